//! Random pruning, the control of every experiment.

use super::{Criterion, Needs, Pool, Saliency};
use crate::calibration::Calibration;
use crate::error::PruneError;
use crate::weights::weights;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::Graph;

/// $S_i \sim \mathcal U[0, 1)$, independent of the network's numbers.
#[derive(Clone, Copy, Debug)]
pub struct RandomScores {
    /// Seed of the scores; every weight tensor has a stream of its own.
    pub seed: u64,
}

impl Criterion for RandomScores {
    fn name(&self) -> &'static str {
        "random"
    }

    fn needs(&self) -> Needs {
        Needs::Nothing
    }

    fn score(&self, graph: &Graph, _: Option<&Calibration>) -> Result<Saliency, PruneError> {
        let weights = weights(graph)?.into_iter().enumerate();
        let scores = weights.map(|(stream, weight)| {
            let mut random = Random::stream(self.seed, stream as u64);
            let data = (0..weight.len()).map(|_| random.unit()).collect();
            (weight.name, Tensor::new(weight.value.shape().to_vec(), data))
        });
        Ok(Saliency { scores: scores.collect(), pool: Pool::First })
    }
}
