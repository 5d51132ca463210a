//! Everything that can be wrong with a question; a search's outcome is never an error.

use thiserror::Error;

/// Why a verification could not begin.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A branching rule that does not exist.
    #[error("unknown branching rule `{found}`: expected auto, input, babsr, fsb or kfsb")]
    UnknownBranching {
        /// What was asked for.
        found: String,
    },
    /// A technique that does not exist.
    #[error(
        "unknown technique `{found}`: expected attack, alpha, beta, tighten, refine, reduce, narrow, precise, lemmas, clip or relate"
    )]
    UnknownTechnique {
        /// What was asked for.
        found: String,
    },
    /// An operator that has no sound bounds here.
    #[error("node `{node}`: operator {operator} is not supported by the verifier{detail}")]
    Unsupported {
        /// The node.
        node: String,
        /// Its operator.
        operator: &'static str,
        /// What about it.
        detail: &'static str,
    },
    /// A device that does not exist.
    #[error("unknown device `{found}`: expected cpu, cuda or auto")]
    UnknownDevice {
        /// What was asked for.
        found: String,
    },
    /// CUDA was asked for, and cannot be used.
    #[error("--device cuda: {source}; with --device auto the processor computes where no device is")]
    NoDevice {
        /// Why not.
        source: secateur_linalg::device::DeviceError,
    },
    /// The worker threads could not be started.
    #[error("cannot start worker threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The network or the property is malformed.
    #[error(transparent)]
    Network(#[from] secateur_nn::error::NnError),
    /// Two networks make no pair.
    #[error(transparent)]
    Pair(#[from] secateur_check::PairError),
    /// The exact evaluator refused the network.
    #[error(transparent)]
    Check(#[from] secateur_check::CheckError),
}
