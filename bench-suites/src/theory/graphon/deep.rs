//! Networks of several layers: each hidden layer's mask beside a constant, and beside factors that are fitted to its scores.
//!
//! There is no closed limit behind the first layer. What is asked is whether the factorised form still describes the masks: row
//! and column means of the scores serve as factors, so this is a fit and no prediction.

use super::bench::{self, Bench};
use super::config::{Config, Fault, check_densities, check_samples, rule};
use super::densities::{Kind, mean};
use super::network::mixture;
use super::series::{Bracket, Count};
use crate::theory::report::Report;
use crate::theory::{StudyError, distinct};
use crate::watcher::Watcher;
use secateur_nn::models::{Initialisation, mlp};
use secateur_prune::{Allocation, Budget, Calibration, Method, Scope, Targets};
use secateur_theory::graphon::cut::Params;
use secateur_theory::graphon::law::Law;
use secateur_theory::graphon::spectrum::energy;
use secateur_theory::graphon::taxonomy::to_constant;
use secateur_theory::graphon::{FactorisedSaliency, StepGraphon, cut_distance};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Networks of several layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deep {
    /// Weight layers, the last of which is not looked at.
    pub depths: Vec<usize>,
    /// Units of every layer, and inputs.
    pub width: usize,
    /// The shares of weights that are removed.
    pub sparsities: Vec<f64>,
    /// Samples of the mixture for each input.
    pub samples_per_input: usize,
    /// The methods, by name.
    pub methods: Vec<String>,
}

/// One layer's mask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Weight layers of the network.
    pub depth: usize,
    /// The layer, from 1.
    pub layer: usize,
    /// The method.
    pub method: String,
    /// The share that is removed.
    pub sparsity: f64,
    /// The seed.
    pub seed: u64,
    /// The cut distance to the fitted factors' graphon.
    pub fitted: Bracket,
    /// The cut distance to the best constant.
    pub constant: Bracket,
    /// The share of the energy of the first five singular values.
    pub top5: f64,
}

/// All layers of one network.
type Network = Vec<Layer>;

impl Deep {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let deep =
            !self.depths.is_empty() && distinct(&self.depths) && self.depths.iter().all(|d| (2..=16).contains(d));
        rule(deep, "depths", "different numbers from 2 to 16", &self.depths)?;
        rule((16..=2048).contains(&self.width), "width", "a number from 16 to 2048", &self.width)?;
        check_densities("sparsities", &self.sparsities)?;
        let samples = Count::Fixed(self.samples_per_input.saturating_mul(self.width));
        check_samples("samples-per-input", samples, self.width)?;
        let different = !self.methods.is_empty() && distinct(&self.methods);
        rule(different, "methods", "at least one, all different", &self.methods)?;
        for method in &self.methods {
            let known = method.parse::<Method>().is_ok_and(|method| method.criterion(0).is_some());
            rule(known, "methods", "methods that score weights", method)?;
        }
        Ok(())
    }
}

/// The masks of a network's hidden layers, with what is known of each.
///
/// # Errors
/// Scores that are not finite, a layer that lost everything.
pub fn layers(
    depth: usize,
    width: usize,
    samples_per_input: usize,
    method: &str,
    sparsities: &[f64],
    seed: u64,
) -> Result<Network, StudyError> {
    let (name, method) = (method.to_owned(), method.parse::<Method>()?);
    let mut widths = vec![width; depth];
    widths.push(1);
    let graph = mlp(&widths, Initialisation::He, seed)?;
    let samples = mixture(width, samples_per_input * width, seed.wrapping_mul(2).wrapping_add(1));
    let inputs = samples.inputs.chunks_exact(width).map(<[f32]>::to_vec).collect();
    let targets = Targets::Values(samples.targets.iter().map(|y| vec![*y]).collect());
    let calibration = Calibration::new(inputs, targets)?;
    let criterion = method.criterion(seed).ok_or_else(|| StudyError::Value {
        path: "configuration".into(),
        key: "methods",
        expected: "methods that score weights",
        found: name.clone(),
    })?;
    let saliency = criterion.score(&graph, Some(&calibration))?;
    let params = Params::default();
    let mut found = Vec::new();
    for &sparsity in sparsities {
        let budget = Budget { scope: Scope::Weight, allocation: Allocation::Uniform, sparsity, keep_layers: false };
        let masks = budget.masks(&graph, &saliency, None)?.masks;
        for layer in 1..depth {
            let tensor = format!("fc{layer}.weight");
            let (Some(mask), Some(scores)) = (masks.get(&tensor), saliency.scores.get(&tensor)) else { continue };
            // Stored as outputs by inputs; graphons have inputs as rows.
            let turned = |k: usize| (k % width) * width + k / width;
            let bits: Vec<bool> = (0..width * width).map(|k| mask.data()[turned(k)]).collect();
            let sizes: Vec<f64> = (0..width * width).map(|k| scores.data()[turned(k)].abs()).collect();
            let mask = StepGraphon::from_mask(width, width, &bits)?;
            let limit = fitted(width, &sizes)?.limit(mask.edge_density())?.graphon;
            let distance = cut_distance(&mask, &limit, &params)?;
            let constant = to_constant(&mask, &params)?;
            found.push(Layer {
                depth,
                layer,
                method: name.clone(),
                sparsity,
                seed,
                fitted: Bracket { lower: distance.lower, upper: distance.upper },
                constant: Bracket { lower: constant.lower, upper: constant.upper },
                top5: energy(&mask.singular_values()?)?.top5,
            });
        }
    }
    Ok(found)
}

/// The model whose factors are the means of a layer's scores over rows and columns.
fn fitted(width: usize, scores: &[f64]) -> Result<FactorisedSaliency, StudyError> {
    let (mut rows, mut cols) = (vec![0.0; width], vec![0.0; width]);
    for (k, score) in scores.iter().enumerate() {
        rows[k / width] += score;
        cols[k % width] += score;
    }
    let largest = rows.iter().chain(&cols).fold(f64::MIN_POSITIVE, |a, b| a.max(*b));
    rows.iter_mut().chain(&mut cols).for_each(|v| *v /= largest);
    Ok(FactorisedSaliency::new(rows, cols, Law::absolute_normal())?)
}

pub(super) fn run(
    config: &Config,
    asked: &Deep,
    directory: &Path,
    watcher: &dyn Watcher,
) -> Result<String, StudyError> {
    let mut places = Vec::new();
    for &depth in &asked.depths {
        for method in &asked.methods {
            places.extend(config.seeds.iter().map(|seed| (depth, method, *seed)));
        }
    }
    let mut bench = Bench::open(directory, config, places.len(), watcher)?;
    let mut found: Vec<Network> = Vec::new();
    for (depth, method, seed) in places {
        let is = |m: &Network| m.iter().any(|l| l.depth == depth && l.method == *method && l.seed == seed);
        let make = || layers(depth, asked.width, asked.samples_per_input, method, &asked.sparsities, seed);
        found.push(bench.measurement(&format!("{depth} layers, {method}, seed {seed}"), is, make)?);
    }
    let mut report = Report::new(&config.title);
    report.text(&format!(
        "Perceptrons of width {} with ReLU and He's initialisation, pruned layer by layer at initialisation on the mixture. For each \
         hidden layer: the cut distance of its mask to the best constant graphon, and to the graphon of the factorised model whose factors \
         are the row and column means of the scores themselves. The second is a fit, not a prediction. Means over {} seeds.",
        asked.width,
        config.seeds.len()
    ));
    let all: Vec<&Layer> = found.iter().flatten().collect();
    let mut rows = Vec::new();
    for &depth in &asked.depths {
        for method in &asked.methods {
            for &sparsity in &asked.sparsities {
                for layer in 1..depth {
                    let of = || {
                        let same = |l: &&&Layer| l.depth == depth && l.method == *method && l.layer == layer;
                        all.iter().filter(same).filter(|l| l.sparsity == sparsity)
                    };
                    let (Some(fit), Some(constant)) = (mean(of().map(|l| l.fitted)), mean(of().map(|l| l.constant)))
                    else {
                        continue;
                    };
                    let top5 = of().map(|l| l.top5).sum::<f64>() / of().count() as f64;
                    rows.push(vec![
                        depth.to_string(),
                        method.clone(),
                        format!("{:.0} %", 100.0 * sparsity),
                        layer.to_string(),
                        constant.to_string(),
                        fit.to_string(),
                        Kind::of(asked.width, asked.width, constant)?.to_string(),
                        format!("{:.1}", 100.0 * top5),
                    ]);
                }
            }
        }
    }
    let header = ["layers", "method", "sparsity", "layer", "to the best constant", "to the fit", "kind", "top 5 %"];
    report.table(&header, &rows);
    bench::write(directory, config, &found, &report)
}
