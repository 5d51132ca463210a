//! Pruning: a network, a criterion and a budget give masks; masks give a smaller network.
//!
//! | step | file |
//! |---|---|
//! | which stored tensors can be pruned, as matrices of outputs by inputs | [`weights`] |
//! | samples to look at, with a loss; the inputs of each layer | [`calibration`], `activations.rs` |
//! | score every weight | [`saliency`] |
//! | keep the best within a budget: weights, N:M | [`budget`], `allocation.rs` |
//! | the same for neurons, channels, heads, blocks | `units.rs` |
//! | prune and adjust what stays: SparseGPT, Nyström | [`reconstruct`] |
//! | a method by its name, over rounds | [`strategy`] |
//! | train, prune, fine-tune, rewind; controls | [`pipeline`] |
//! | tensors of a safetensors file, without a network | [`stored`] |
//! | what has to go together; removing it | [`structured`] |
//! | what changes nothing on a set of inputs | [`lossless`] |
//! | layers of language models as players of a game | [`layer_game`] |
//! | language models with fewer blocks | [`depth`] |
//! | parameters, bytes, operations, seconds | [`cost`], [`crossover`] |

mod activations;
mod allocation;
pub mod budget;
pub mod calibration;
pub mod cost;
pub mod crossover;
pub mod depth;
pub mod error;
pub mod layer_game;
pub mod lossless;
pub mod pipeline;
pub mod reconstruct;
pub mod saliency;
pub mod stored;
pub mod strategy;
pub mod structured;
#[cfg(test)]
mod testing;
mod units;
pub mod weights;

pub use budget::{Allocation, Budget, Scope, Selection};
pub use calibration::{Calibration, Targets};
pub use error::PruneError;
pub use saliency::{Criterion, Needs, Pool, Saliency};
pub use strategy::{Method, Pruned, Settings, prune};
pub use structured::{Compaction, compact, structure};
