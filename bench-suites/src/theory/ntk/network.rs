//! Networks with one hidden layer, masks of it by the real criteria, and the graphons that are predicted.

use super::super::StudyError;
use super::problem::Samples;
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_prune::{Allocation, Budget, Calibration, Method, Scope, Settings, Targets, prune};
use secateur_theory::ntk::density::threshold;
use secateur_theory::ntk::{Architecture, DensityGrid, GraphonNtk, Layer, Plan, Values, Weights, finite};
use serde::{Deserialize, Serialize};

/// What labels are multiplied by where a criterion looks at a loss: the output before training, which is of size 1, is then nothing
/// beside them, as the limit supposes.
const GAIN: f64 = 1e4;

/// What the weights of a masked network are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Drawn again, independent of the mask.
    Reinit,
    /// Those that the mask was chosen by.
    Kept,
}

/// $f(x) = n^{-1/2} \sum_j a_j\, \sigma(d^{-1/2}\, w_j \cdot x)$.
#[derive(Clone, Debug)]
pub struct Shallow {
    /// The network without mask.
    pub graph: Graph,
    inputs: usize,
    width: usize,
    /// The name of the hidden layer's weight.
    hidden: String,
}

impl Shallow {
    /// Draws one.
    ///
    /// # Errors
    /// It is too large.
    pub fn draw(inputs: usize, width: usize, seed: u64) -> Result<Self, StudyError> {
        let layers = vec![Layer::Dense(Weights::default()), Layer::Relu, Layer::Dense(Weights::default())];
        let architecture = Architecture { input: vec![inputs], layers, gradient: Default::default() };
        let (graph, masks) = finite(&Plan::new(&architecture)?, width, 1, seed)?;
        let hidden = masks.0.into_iter().find(|(_, mask)| mask.shape() == [inputs, width]);
        let hidden = hidden.expect("the hidden layer has a weight").0;
        Ok(Self { graph, inputs, width, hidden })
    }

    /// The mask that a method gives the hidden layer.
    ///
    /// # Errors
    /// The method cannot score this network.
    pub fn mask(&self, method: Method, density: f64, samples: &Samples, seed: u64) -> Result<Masks, StudyError> {
        let targets = Targets::Values(samples.labels.iter().map(|y| vec![GAIN * y]).collect());
        let calibration = Calibration::new(samples.inputs.clone(), targets)?;
        let (scope, allocation) = (Scope::Weight, Allocation::Uniform);
        let budget = Budget { scope, allocation, sparsity: 1.0 - density, keep_layers: false };
        let settings = Settings { method, budget, rounds: method.rounds(), seed };
        let mut masks = prune(&self.graph, Some(&calibration), &settings)?.masks;
        masks.0.retain(|name, _| *name == self.hidden);
        Ok(masks)
    }

    /// The masked network, with its weights or with others.
    ///
    /// # Errors
    /// None in practice.
    pub fn masked(&self, masks: &Masks, mode: Mode, seed: u64) -> Result<Graph, StudyError> {
        let graph = match mode {
            Mode::Kept => masks.apply(&self.graph)?,
            Mode::Reinit => masks.apply(&Self::draw(self.inputs, self.width, seed)?.graph)?,
        };
        Ok(graph)
    }
}

/// The kernel that is predicted for a method's masks, with so many points of the quadrature over neurons; none for a method without
/// a predicted graphon. Coordinates count by their correlation with the label.
///
/// # Errors
/// The density cannot be reached: too many coordinates tell nothing of the label.
pub fn predicted(
    method: Method,
    mode: Mode,
    density: f64,
    correlations: &[f64],
    points: usize,
) -> Result<Option<GraphonNtk>, StudyError> {
    let constant = || DensityGrid::new(1, 1, vec![density]);
    Ok(Some(match (method, mode) {
        (Method::Random, _) | (Method::Magnitude, Mode::Reinit) => GraphonNtk::new(constant()?, Values::Reinit),
        (Method::Magnitude, Mode::Kept) => GraphonNtk::new(constant()?, Values::Kept),
        (Method::Snip, mode) => {
            let q = output_sizes(points);
            let grid = DensityGrid::factorised(correlations, &q, density)?;
            match mode {
                Mode::Reinit => GraphonNtk::new(grid, Values::Reinit),
                Mode::Kept => {
                    let squares = q.iter().map(|q| q * q).collect();
                    GraphonNtk::new(grid, Values::Kept).with_output(squares)?
                }
            }
        }
        _ => return Ok(None),
    }))
}

/// $q(v)$: the quantiles of $|a|$ for a standard normal $a$, at midpoints.
fn output_sizes(points: usize) -> Vec<f64> {
    (0..points).map(|k| threshold(1.0 - (k as f64 + 0.5) / points as f64)).collect()
}

/// $\lVert A - B \rVert_F / \lVert B \rVert_F$.
#[track_caller]
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "kernels of the same samples");
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    (square(&mut a.iter().zip(b).map(|(x, y)| x - y)) / square(&mut b.iter().copied())).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::ntk::problem::{Counts, Pool};

    #[test]
    fn masks_are_of_the_hidden_layer() {
        let counts = Counts { dimensions: 10, calibration: 30, training: 2, test: 0 };
        let problem = Pool::Normal(0.5).draw(counts, 1).expect("samples");
        let network = Shallow::draw(10, 20, 3).expect("a network");
        for method in [Method::Random, Method::Magnitude, Method::Snip, Method::GraspAbs, Method::Synflow] {
            let masks = network.mask(method, 0.3, &problem.calibration, 1).expect("a mask");
            assert_eq!((masks.count(), masks.0.len()), ((60, 200), 1), "{method}");
            network.masked(&masks, Mode::Reinit, 9).expect("a network");
        }
    }

    #[test]
    fn quantiles_have_the_moments_of_a_half_normal() {
        let q = output_sizes(256);
        let mean = q.iter().sum::<f64>() / q.len() as f64;
        let square = q.iter().map(|q| q * q).sum::<f64>() / q.len() as f64;
        // √(2/π) and 1; the midpoint rule misses part of the tail.
        assert!((mean - 0.79788).abs() < 2e-3 && (square - 1.0).abs() < 1e-2, "{mean} {square}");
    }
}
