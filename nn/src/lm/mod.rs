//! Language models: pre-norm transformers of the LLaMA, Mistral and Qwen families, from real checkpoints.
//!
//! $$ X_0 = E_{t}, \qquad X_{l+1} = A_l + \operatorname{mlp}_l(\operatorname{norm}(A_l)), \quad
//!    A_l = X_l + \operatorname{attn}_l(\operatorname{norm}(X_l)), \qquad
//!    \text{logits} = W \operatorname{norm}(X_L). $$
//!
//! | step | file |
//! |---|---|
//! | sizes and constants, `config.json` | [`Config`] in `config.rs`, [`Family`] in `family.rs`, `keys.rs` |
//! | weights in files, one block at a time | [`Checkpoint`] in `checkpoint.rs`, `folder.rs`, `llama2c.rs` |
//! | weights in memory, passes over tokens | [`Model`] in `model.rs` |
//! | one block: norms, attention, MLP | [`Block`] in `block.rs`, `attention.rs` |
//! | rotary positions | [`Positions`] in `positions.rs` |
//! | products with weights | [`Matrix`] in `matrix.rs` |
//! | exponentials of whole rows | `exponential.rs` |
//! | write a model, tensor by tensor | [`Writer`] in `writer.rs` |
//! | texts as tokens | [`Tokens`] in `tokens.rs`, `pieces.rs` |
//! | continue a text | [`generate()`] |
//! | how well a text is predicted | [`perplexity()`]; by a model larger than memory [`streamed()`] |
//! | questions with choices, from files | [`questions`] |
//! | which of several continuations is likeliest | [`choices`] |

mod attention;
mod block;
mod checkpoint;
pub mod choices;
mod config;
mod exponential;
mod family;
mod fault;
mod folder;
mod generate;
mod keys;
mod llama2c;
mod matrix;
mod model;
mod perplexity;
mod pieces;
mod positions;
pub mod questions;
mod streamed;
mod tokens;
mod writer;

pub use attention::BlockCache;
pub use block::{Block, HeadNorms, add, norm};
pub use checkpoint::Checkpoint;
pub use config::{Config, Rope, Scaling};
pub use exponential::surprise;
pub use family::Family;
pub use fault::LmFault;
pub use generate::{Generation, Sampling, StopReason, check_prompt, generate};
pub use matrix::Matrix;
pub use model::{Cache, Model};
pub use perplexity::{Perplexity, perplexity};
pub use positions::Positions;
pub use streamed::{Streamed, streamed};
pub use tokens::{Reading, Tokens};
pub use writer::Writer;
