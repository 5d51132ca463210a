//! Structured pruning: what has to be removed together, and removing it.
//!
//! | step | file |
//! |---|---|
//! | label every index of every axis of every tensor; tie those that stand or fall together | `labels.rs` |
//! | collect the stored numbers behind each label: units (neurons, channels, heads) | `unit.rs` |
//! | residual branches that can be removed as a whole | `block.rs` |
//! | replace what no longer depends on the input by its value | `fold.rs` |
//! | slice every tensor to the labels that stay | `compact.rs`, `rebuild.rs` |

mod block;
mod compact;
mod fold;
mod labels;
mod rebuild;
mod unit;

pub use block::{Block, blocks};
pub use compact::{Compaction, compact, disagreement};
pub use unit::{Fixed, Kind, Part, Structure, Unit, structure};
