//! Why a question could not be put as a program.

use secateur_opt::OptError;
use secateur_verify::VerifyError;
use thiserror::Error;

/// Why a question could not be put as a program.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GlobalError {
    /// An activation is not a ReLU.
    #[error("layer `{layer}` is not piecewise linear")]
    NotPiecewiseLinear {
        /// The layer's node.
        layer: String,
    },
    /// Every point of a region is unsafe.
    #[error("a conjunction has no constraint, so there is nothing to minimise")]
    NoObjective,
    /// The mixed-integer solver calls a program infeasible or unbounded that is neither, or stops without an answer.
    #[error("the mixed-integer solver has no answer")]
    Unsolved,
    /// A solver refused the program.
    #[error(transparent)]
    Program(#[from] OptError),
    /// The network or the property.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}
