//! Sound bounds and complete branch and bound.
mod affine_ops;
pub mod alpha;
pub mod attack;
pub mod bounds;
pub mod branching;
pub mod convolution;
pub mod crown;
pub mod error;
pub mod input_split;
pub mod leaf;
pub mod linear;
pub mod lower;
pub mod network;
pub mod portfolio;
pub mod relax;
pub mod relu_split;
pub mod report;
pub mod rounding;
pub mod search;
pub mod settings;
pub mod specification;
pub mod verify;
pub mod witness;

pub use error::VerifyError;
pub use report::{Observer, Outcome, Progress, Report, Silent, Statistics, UnknownReason, Witness};
pub use settings::{Branching, Settings};
pub use verify::verify;
