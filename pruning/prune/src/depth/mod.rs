//! Language models with fewer blocks, or a narrower stream: FlattenGPT and what it is compared with.
//!
//! In pre-norm transformers neighbouring residual streams are similar, so two blocks in series are close to the same
//! two side by side, $X + B_a(X) + B_b(X + B_a(X)) \approx X + B_a(X) + B_b(X)$, and blocks side by side are one block
//! with more heads and channels.
//!
//! | step | file |
//! |---|---|
//! | a method by its name; a model in memory | [`Method`], [`compress`] in `method.rs` |
//! | the same from files to files | [`write`](write()) in `files.rs` |
//! | FlattenGPT, one group of blocks at a time | [`flatten`] in `pipeline.rs` |
//! | scales of norms into the weights behind them | [`absorb`](absorb()) in `absorb.rs` |
//! | cosines between streams; groups of neighbouring blocks | [`Similarity`] in `similarity.rs` |
//! | a group as one block | [`beside`](beside()) in `beside.rs` |
//! | its heads, back to as many as one block had | `heads.rs` |
//! | its channels, likewise, and what makes up for those that go | `channels.rs` |
//! | second moments over all calibration tokens | [`Gram`] in `gram.rs` |
//! | calibration tokens and their streams | [`Sequences`], [`Streams`] in `streams.rs` |
//! | where blocks come from | [`Source`] in `source.rs` |
//! | baselines that remove blocks | `drop.rs`, by the scores of `scores.rs`; one by one by loss in `sleb.rs` |
//! | baseline that adds up blocks' differences | `laco.rs` |
//! | baseline that makes the stream narrower | `slice.rs` |
//! | training what is left, by low-rank additions | [`recovered`] in `lora.rs`, `backward.rs` |
//! | how well tokens are predicted | [`loss`](loss()) in `loss.rs` |
//! | a model that no longer predicts | [`Health`] in `health.rs` |
//! | tokens a second | [`Speed`] in `speed.rs` |
//! | who hears of steps and may stop them | [`Progress`] in `progress.rs` |
//!
//! # Source
//! FlattenGPT: arXiv 2602.08858.

mod absorb;
mod backward;
mod beside;
mod channels;
mod drop;
mod files;
mod gram;
mod heads;
mod health;
mod laco;
mod lora;
mod loss;
mod method;
mod pipeline;
mod progress;
mod scores;
mod similarity;
mod sleb;
mod slice;
mod source;
mod speed;
mod streams;
#[cfg(test)]
mod testing;

pub use absorb::absorb;
pub use beside::beside;
pub use channels::{compensated, leverage, ridge};
pub use drop::{Removal, dropped, listed};
pub use files::{Target, Written, write, write_without};
pub use gram::Gram;
pub use heads::{importance, keep_heads};
pub use health::Health;
pub use laco::{Merged, merged};
pub use lora::{Lora, recovered};
pub use loss::{finite_loss, loss, loss_with};
pub use method::{Compressed, Found, Method, Report, Settings, compress};
pub use pipeline::{Activations, Flattened, Group, Params, flatten};
pub use progress::{Progress, Silent};
pub use scores::{influence, magnitude};
pub use similarity::{Grouping, PREMISE, Similarity, groups};
pub use sleb::one_by_one;
pub use slice::{Sliced, sliced};
pub use source::Source;
pub use speed::Speed;
pub use streams::{Sequences, Streams};
