//! What can be wrong with a training run that somebody asks for.

use thiserror::Error;

/// Why a training run was refused or ended early.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainFault {
    /// The network has nothing to train.
    #[error(
        "the network has no weights: no constant of type f32 that is not a scalar, a statistic or a preprocessing step"
    )]
    NoParameters,
    /// The samples are not as large as the network's input.
    #[error("the network takes {expected} numbers, a sample has {found}")]
    InputSize {
        /// What the network takes.
        expected: usize,
        /// What a sample has.
        found: usize,
    },
    /// The targets are not as many as the network's outputs.
    #[error("the network gives {found} numbers, the targets need {expected}")]
    OutputSize {
        /// What the targets need.
        expected: usize,
        /// What the network gives.
        found: usize,
    },
    /// The loss takes other targets.
    #[error("the loss {loss} takes {expected}")]
    Targets {
        /// The loss.
        loss: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// A softmax inside of cross-entropy would be taken twice.
    #[error("node `{node}`: the network ends with a softmax, but cross-entropy takes the scores before it")]
    Softmax {
        /// The output.
        node: String,
    },
    /// A setting outside of its range.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its range.
        expected: &'static str,
        /// Its value.
        found: String,
    },
    /// Batch normalisation of a single value.
    #[error("node `{node}`: a batch of {batch} sample has one value per channel, which has no variance")]
    OneValue {
        /// The batch normalisation.
        node: String,
        /// Samples in the batch.
        batch: usize,
    },
    /// A name that is no trained constant's.
    #[error("the mask `{name}` belongs to no constant of type f32 and shape {shape:?}")]
    Mask {
        /// The name.
        name: String,
        /// The mask's shape.
        shape: Vec<usize>,
    },
    /// A checkpoint of another run.
    #[error("checkpoint of another run: {what} was {found}, is {expected}")]
    OtherRun {
        /// What differs.
        what: &'static str,
        /// What it is now.
        expected: String,
        /// What the checkpoint has.
        found: String,
    },
    /// A checkpoint that lacks something.
    #[error("checkpoint without {what}")]
    Incomplete {
        /// What is missing.
        what: String,
    },
    /// No threads to be had.
    #[error("threads cannot be started: {0}")]
    Threads(String),
}
