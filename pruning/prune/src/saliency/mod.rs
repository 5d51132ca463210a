//! Saliencies: one score per prunable weight; what scores highest is kept.
//!
//! A unit (neuron, channel, head, block) scores the mean or the sum of its weights' scores ([`Pool`]): rows that compute it and
//! columns that read it.
//!
//! | criterion | score of $w$ | looks at | file |
//! |---|---|---|---|
//! | `random` | uniform noise | nothing | `random.rs` |
//! | `magnitude`, `l1` | $\|w\|$ | weights | `magnitude.rs`, `l1.rs` |
//! | `l2` | $w^2$ | weights | `l2.rs` |
//! | `taylor` | $\|w\, \partial_w \mathcal L\|$ | loss | `taylor.rs` |
//! | `taylor2` | $\|w\, \partial_w \mathcal L - \tfrac12 w\, (H w)\|$ | loss | `taylor2.rs` |
//! | `snip` | $\|w\, \partial_w \mathcal L\|$, normalised | loss | `snip.rs` |
//! | `grasp`, `grasp-abs` | $w\, (H g)$, $\|w\, (H g)\|$ | loss | `grasp.rs` |
//! | `synflow` | $\theta\, \partial_\theta \mathcal R$ of $\|\theta\|$ | weights | `synflow.rs` |
//! | `wanda` | $\|w\|\, \lVert x \rVert_2$ | inputs of each layer | `wanda.rs` |

mod grasp;
mod l1;
mod l2;
mod magnitude;
mod random;
mod snip;
mod synflow;
mod taylor;
mod taylor2;
mod wanda;

pub use grasp::Grasp;
pub use l1::L1;
pub use l2::L2;
pub use magnitude::Magnitude;
pub use random::RandomScores;
pub use snip::Snip;
pub use synflow::Synflow;
pub use taylor::Taylor;
pub use taylor2::Taylor2;
pub use wanda::Wanda;

use crate::calibration::Calibration;
use crate::error::PruneError;
use crate::weights::{Weight, weights};
use secateur_linalg::Tensor;
use secateur_nn::graph::Graph;
use std::collections::BTreeMap;

/// One score per entry of each prunable tensor, by the tensor's name.
#[derive(Clone, Debug, PartialEq)]
pub struct Saliency {
    /// The scores.
    pub scores: BTreeMap<String, Tensor<f64>>,
    /// How they make the score of a unit.
    pub pool: Pool,
}

/// How the scores of a unit's weights make the unit's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Their mean, relative to the mean over all units of the bundle: for sizes of weights and inputs, which differ from layer
    /// to layer with the number of inputs and say little across layers by themselves. Ours.
    Mean,
    /// Their sum: for shares of a loss or a flow, which add up.
    Sum,
    /// That of its first weight: for noise, which a mean would level.
    First,
}

/// What a criterion looks at besides the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// The network alone.
    Nothing,
    /// Samples.
    Inputs,
    /// Samples with labels or targets.
    Targets,
}

/// A rule that scores weights.
pub trait Criterion {
    /// Its name in the registry.
    fn name(&self) -> &'static str;

    /// What it looks at.
    fn needs(&self) -> Needs;

    /// The scores of all prunable weights.
    ///
    /// # Shapes
    /// Each tensor of scores has its weight's shape.
    ///
    /// # Errors
    /// The network has nothing to prune, what the criterion needs is missing, or a score is not finite.
    fn score(&self, graph: &Graph, calibration: Option<&Calibration>) -> Result<Saliency, PruneError>;
}

impl Saliency {
    /// Scores that depend on one weight at a time.
    fn by_entry(graph: &Graph, score: impl Fn(f64) -> f64) -> Result<Self, PruneError> {
        let one = |weight: Weight| (weight.name, weight.value.map(|w| score(f64::from(*w))));
        Ok(Self { scores: weights(graph)?.into_iter().map(one).collect(), pool: Pool::Mean })
    }

    /// Scores that depend on a weight and on another number for it.
    fn by_pair(
        graph: &Graph,
        others: &BTreeMap<String, Tensor<f64>>,
        score: impl Fn(f64, f64) -> f64,
    ) -> Result<Self, PruneError> {
        let one = |weight: Weight| {
            let pairs = weight.value.data().iter().zip(others[&weight.name].data());
            let scores = pairs.map(|(w, other)| score(f64::from(*w), *other)).collect();
            (weight.name, Tensor::new(weight.value.shape().to_vec(), scores))
        };
        Self { scores: weights(graph)?.into_iter().map(one).collect(), pool: Pool::Sum }.checked()
    }

    /// The scores, if all are finite.
    ///
    /// # Errors
    /// [`PruneError::Score`] names the first tensor with one that is not.
    pub fn checked(self) -> Result<Self, PruneError> {
        for (tensor, scores) in &self.scores {
            if let Some(index) = scores.data().iter().position(|s| !s.is_finite()) {
                return Err(PruneError::Score { tensor: tensor.clone(), index });
            }
        }
        Ok(self)
    }
}

/// Names of the prunable tensors, sorted.
fn names(graph: &Graph) -> Result<Vec<String>, PruneError> {
    let mut names: Vec<String> = weights(graph)?.into_iter().map(|weight| weight.name).collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Targets;
    use crate::testing::{mlp, samples};

    #[test]
    fn what_is_needed_is_asked_for() {
        let graph = mlp(&[3, 4, 2], 1);
        let unlabelled = Calibration::new(samples(5, 3, 2), Targets::None).unwrap();
        for criterion in [&Snip as &dyn Criterion, &Taylor, &Taylor2, &Grasp::SIGNED, &Wanda] {
            assert!(matches!(criterion.score(&graph, None), Err(PruneError::NoData { .. })), "{}", criterion.name());
            let answer = criterion.score(&graph, Some(&unlabelled));
            assert_eq!(matches!(answer, Err(PruneError::NoTargets { .. })), criterion.needs() == Needs::Targets);
        }
    }

    #[test]
    fn data_that_do_not_fit_are_refused() {
        let graph = mlp(&[3, 4, 2], 1);
        let wrong = Calibration::new(samples(2, 4, 1), Targets::Labels(vec![0, 1])).unwrap();
        assert!(matches!(Snip.score(&graph, Some(&wrong)), Err(PruneError::SampleSize { sample: 0, .. })));
        let label = Calibration::new(samples(2, 3, 1), Targets::Labels(vec![0, 2])).unwrap();
        assert!(matches!(Snip.score(&graph, Some(&label)), Err(PruneError::Label { sample: 1, label: 2, .. })));
        assert!(matches!(Calibration::new(vec![], Targets::None), Err(PruneError::Empty)));
        assert!(matches!(
            Calibration::new(samples(2, 3, 1), Targets::Labels(vec![0])),
            Err(PruneError::TargetCount { samples: 2, found: 1 })
        ));
    }

    #[test]
    fn scores_follow_their_neurons_when_these_are_permuted() {
        let graph = mlp(&[3, 4, 2], 7);
        let order = [2, 0, 3, 1];
        let permuted = {
            let values = crate::weights::constants(&graph);
            let rows = |t: &Tensor<f32>, width: usize| -> Vec<f32> {
                order.iter().flat_map(|o| t.data()[o * width..(o + 1) * width].to_vec()).collect()
            };
            let columns = |t: &Tensor<f32>| -> Vec<f32> {
                let width = t.shape()[1];
                (0..t.shape()[0]).flat_map(|r| order.map(|o| t.data()[r * width + o])).collect()
            };
            let new = |name: &str, data| (name.to_owned(), Tensor::new(values[name].shape().to_vec(), data));
            graph
                .with_constants(&BTreeMap::from([
                    new("w0", columns(&values["w0"])),
                    new("b0", order.iter().map(|o| values["b0"].data()[*o]).collect()),
                    new("w1", rows(&values["w1"], 2)),
                ]))
                .unwrap()
        };
        let data = Calibration::new(samples(9, 3, 2), Targets::Labels(vec![0, 1, 0, 1, 1, 0, 0, 1, 1])).unwrap();
        let criteria: [&dyn Criterion; 8] =
            [&Magnitude, &L2, &Snip, &Taylor, &Taylor2, &Grasp::SIGNED, &Synflow, &Wanda];
        for criterion in criteria {
            let (a, b) =
                (criterion.score(&graph, Some(&data)).unwrap(), criterion.score(&permuted, Some(&data)).unwrap());
            for row in 0..3 {
                for (place, old) in order.iter().enumerate() {
                    let (a, b) = (a.scores["w0"].data()[row * 4 + old], b.scores["w0"].data()[row * 4 + place]);
                    // Sums of a few terms near 1 in another order, in f64.
                    assert!((a - b).abs() < 1e-12 * (1.0 + a.abs()), "{}: {a} {b}", criterion.name());
                }
            }
        }
    }
}
