//! What can go wrong when somebody asks for a network to be pruned.

use secateur_nn::NnError;
use secateur_nn::lm::LmFault;
use thiserror::Error;

impl From<LmFault> for PruneError {
    fn from(fault: LmFault) -> Self {
        PruneError::Network(fault.into())
    }
}

/// Why a network was not pruned.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PruneError {
    /// The network cannot be evaluated, differentiated or rebuilt.
    #[error(transparent)]
    Network(#[from] NnError),
    /// No operator of the network has a stored weight.
    #[error("the network has no MatMul, Gemm, Conv or ConvTranspose with a stored f32 weight: nothing can be pruned")]
    NothingToPrune,
    /// A sparsity outside of $[0, 1)$.
    #[error("sparsity {found}: expected a number from 0 up to, but without, 1")]
    Sparsity {
        /// What was asked for.
        found: f64,
    },
    /// A number that has to be positive.
    #[error("{what}: expected a positive number, found {found}")]
    Positive {
        /// The setting.
        what: &'static str,
        /// What was asked for.
        found: f64,
    },
    /// A weight that is infinite or not a number.
    #[error("weight `{tensor}`: entry {index} is not finite")]
    Weight {
        /// The stored tensor.
        tensor: String,
        /// The first such entry.
        index: usize,
    },
    /// A score that is infinite or not a number.
    #[error("the scores of `{tensor}` are not finite (entry {index}): the criterion overflows on this network")]
    Score {
        /// The stored tensor.
        tensor: String,
        /// The first such entry.
        index: usize,
    },
    /// Scores that do not belong to the network.
    #[error("scores for `{tensor}` of shape {found:?}: the network's weight has shape {expected:?}")]
    ScoreShape {
        /// The stored tensor.
        tensor: String,
        /// Its shape.
        expected: Vec<usize>,
        /// Shape of the scores.
        found: Vec<usize>,
    },
    /// A criterion that looks at data got none.
    #[error("{criterion} needs calibration data")]
    NoData {
        /// The criterion.
        criterion: &'static str,
    },
    /// A criterion that looks at a loss got data without labels or targets.
    #[error("{criterion} needs a loss: calibration data with labels or targets")]
    NoTargets {
        /// The criterion.
        criterion: &'static str,
    },
    /// Calibration data without samples.
    #[error("the calibration data have no samples")]
    Empty,
    /// A sample of the wrong size.
    #[error("calibration sample {sample}: the network takes {expected} numbers, found {found}")]
    SampleSize {
        /// The sample, from 0.
        sample: usize,
        /// The network's input entries.
        expected: usize,
        /// The sample's entries.
        found: usize,
    },
    /// As many labels or targets as samples belong together.
    #[error("{found} labels or targets for {samples} calibration samples")]
    TargetCount {
        /// Samples.
        samples: usize,
        /// Labels or targets.
        found: usize,
    },
    /// A label that the network has no score for.
    #[error("calibration sample {sample} has label {label}, but the network scores {classes} classes, from 0")]
    Label {
        /// The sample.
        sample: usize,
        /// Its label.
        label: usize,
        /// Classes.
        classes: usize,
    },
    /// A name that is not in a registry.
    #[error("`{found}` is no {what}: expected {expected}")]
    Unknown {
        /// What was to be named.
        what: &'static str,
        /// The name.
        found: String,
        /// The names there are.
        expected: String,
    },
    /// A weight that the network does not have.
    #[error("the network has no weight `{name}`; it has {known}")]
    UnknownWeight {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A pattern that keeps nothing or everything.
    #[error("pattern {n}:{m}: expected N of M entries with 0 < N < M")]
    Pattern {
        /// Entries kept.
        n: usize,
        /// Entries of a group.
        m: usize,
    },
    /// A stored tensor that two operators read as different matrices.
    #[error(
        "weight `{tensor}` is shared by `{first}` and `{second}`, which use its axes differently: {what} does not know what to do with it"
    )]
    Shared {
        /// The stored tensor.
        tensor: String,
        /// One operator.
        first: String,
        /// The other.
        second: String,
        /// Who wants one matrix.
        what: &'static str,
    },
    /// An operator that a method cannot treat.
    #[error("node `{node}` ({op}): {what} cannot treat it: {reason}")]
    Unsupported {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
        /// The method.
        what: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// Settings that do not go together.
    #[error("{first} does not go with {second}: {reason}")]
    Combination {
        /// One setting.
        first: String,
        /// The other.
        second: String,
        /// Why not.
        reason: &'static str,
    },
    /// No unit of the network can be removed at a scope.
    #[error("the network has no {scope} that can be removed: {reason}")]
    NoUnits {
        /// The scope.
        scope: &'static str,
        /// What stands in the way.
        reason: String,
    },
    /// Whole layers would be lost, which was forbidden.
    #[error("nothing would be left of {layers:?}; lower the sparsity, choose another budget, or allow it")]
    Collapse {
        /// The weights that would be lost.
        layers: Vec<String>,
    },
    /// A pruned network whose output no longer depends on its input.
    #[error(
        "the output `{output}` does not depend on the input any more: what was removed cuts every path; lower the sparsity, keep a unit of every layer, or choose another budget"
    )]
    Constant {
        /// The output.
        output: String,
    },
    /// A matrix that has no Cholesky factor.
    #[error("the second moments of the inputs of `{tensor}` have no Cholesky factor: raise the damping")]
    Singular {
        /// The weight.
        tensor: String,
    },
    /// The caller asked to stop.
    #[error("stopped; no model was written")]
    Stopped,
    /// A number that is too small.
    #[error("{what}: expected {least} or more, found {found}")]
    AtLeast {
        /// The setting.
        what: &'static str,
        /// The least that makes sense.
        least: usize,
        /// What was asked for.
        found: usize,
    },
    /// A language model whose perplexity is not finite whichever block goes next.
    #[error("whichever block goes after {removed:?}, the perplexity on these sequences is not finite")]
    NoRemoval {
        /// Blocks that went before, in the order in which they did.
        removed: Vec<usize>,
    },
    /// A language model whose perplexity is not finite on the sequences at hand.
    #[error("the perplexity {} on these sequences is not finite", which(.removed))]
    Perplexity {
        /// The blocks that were removed.
        removed: Vec<usize>,
    },
    /// A count of blocks that a language model cannot be brought to.
    #[error("{found} blocks: expected from 1 to the {blocks} that the model has")]
    Depth {
        /// What was asked for.
        found: usize,
        /// Blocks of the model.
        blocks: usize,
    },
    /// Blocks to remove that are not there, named twice, or all of them.
    #[error("blocks to remove: {found:?}: expected some, but not all, of 0 to {}, each once", .blocks - 1)]
    Layers {
        /// What was asked for.
        found: Vec<usize>,
        /// Blocks of the model.
        blocks: usize,
    },
    /// Activations of a language model that are infinite or not a number.
    #[error("activations of blocks {first} to {last} are not finite on the calibration tokens")]
    Activations {
        /// The first block.
        first: usize,
        /// The last.
        last: usize,
    },
    /// Blocks that cannot be one, since a block has one scale for all its query heads and one for its key heads.
    #[error(
        "blocks 0 and {block} scale their query and key heads differently (q_norm and k_norm), and one block has one scale for all its \
         heads: blocks of this model cannot be put side by side, but they can be dropped"
    )]
    HeadNorms {
        /// The first block whose scales differ from those of the first.
        block: usize,
    },
    /// The training that was handed in failed.
    #[error("training failed: {0}")]
    Training(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The whole model, or the one without some blocks.
fn which(removed: &[usize]) -> String {
    if removed.is_empty() { "of the whole model".to_owned() } else { format!("without blocks {removed:?}") }
}
