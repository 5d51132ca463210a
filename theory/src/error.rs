//! What can be wrong with what is asked of a theory.

use secateur_nn::NnError;
use thiserror::Error;

/// Why there is no prediction.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TheoryError {
    /// A number outside of its range.
    #[error("{name}: expected {expected}, found {found}")]
    Range {
        /// The quantity.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: f64,
    },
    /// Sizes that do not fit.
    #[error("{name}: expected {expected:?}, found {found:?}")]
    Shape {
        /// The quantity.
        name: &'static str,
        /// The shape that fits.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// A descent or flow whose loss is no number any more.
    #[error("the loss is no number any more at time {time}: choose a smaller step size")]
    Diverged {
        /// When.
        time: f64,
    },
    /// A flow in which events follow each other without end.
    #[error("events of the gradient flow follow each other without end at time {time}")]
    Stuck {
        /// When.
        time: f64,
    },
    /// A differential equation that could not be solved.
    #[error("the differential equation could not be solved: {0}")]
    Equation(#[from] diffsol::error::DiffsolError),
    /// A network.
    #[error(transparent)]
    Network(#[from] NnError),
}
