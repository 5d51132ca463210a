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
    /// A graphon whose two sides differ, where vertices of one kind are needed.
    #[error("the graphon is not symmetric: one side's intervals or values differ from the other's")]
    NotSymmetric,
    /// A matrix whose spectrum was not found.
    #[error("the iteration for a spectrum did not converge")]
    Iteration,
    /// A network.
    #[error(transparent)]
    Network(#[from] NnError),
}
