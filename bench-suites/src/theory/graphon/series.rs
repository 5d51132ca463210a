//! What is pruned how, and what is measured of a mask.

use super::network::{How, Samples, Shallow, isotropic, mixture};
use crate::theory::StudyError;
use secateur_prune::{Method, Needs};
use secateur_theory::graphon::cut::Params;
use secateur_theory::graphon::law::Law;
use secateur_theory::graphon::methods::{self, Curvature, Data};
use secateur_theory::graphon::taxonomy::to_constant;
use secateur_theory::graphon::{FactorisedSaliency, StepGraphon, cut_distance};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// A way to make masks, as a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Series {
    /// What plots call it.
    pub label: String,
    /// The pruning method, by its name.
    pub method: String,
    /// The task, for methods that look at samples.
    #[serde(default)]
    pub task: Task,
    /// How many samples.
    #[serde(default)]
    pub samples: Count,
    /// What becomes of $f_0$.
    #[serde(default)]
    pub output: Output,
    /// Rounds of scoring.
    #[serde(default = "once")]
    pub rounds: usize,
    /// What GraSP divides the output by; 200 in its paper.
    #[serde(default = "unit")]
    pub temperature: f64,
    /// What the prediction takes for GraSP's column factors.
    #[serde(default)]
    pub columns: Columns,
}

fn once() -> usize {
    1
}

fn unit() -> f64 {
    1.0
}

/// GraSP's column factors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Columns {
    /// Those of the limit, $|a_j|$.
    #[default]
    Limit,
    /// With the curvature of the network, which counts at high temperature: [`methods::grasp_at_temperature`].
    Curvature,
}

/// A synthetic task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// [`mixture`].
    #[default]
    Mixture,
    /// [`isotropic`].
    Isotropic,
}

/// How many samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Count {
    /// So many for each input.
    PerInput(f64),
    /// So many.
    Fixed(usize),
}

impl Default for Count {
    fn default() -> Self {
        Count::PerInput(2.0)
    }
}

impl Count {
    /// For $d$ inputs.
    pub fn of(self, d: usize) -> usize {
        match self {
            Count::PerInput(share) => (share * d as f64).round() as usize,
            Count::Fixed(count) => count,
        }
    }
}

/// What becomes of the initial output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// Targets are moved by it, so that residuals are $-y$.
    #[default]
    Zero,
    /// Residuals are $f_0 - y$.
    Kept,
}

/// A mask with its prediction.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The mask.
    pub mask: StepGraphon,
    /// What the model says, row by row and column by column.
    pub limit: StepGraphon,
    /// The model.
    pub model: FactorisedSaliency,
    /// Seconds for scores and mask.
    pub mask_seconds: f64,
    /// Seconds for the prediction.
    pub limit_seconds: f64,
}

/// A bracket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bracket {
    /// Not less.
    pub lower: f64,
    /// Not more.
    pub upper: f64,
}

impl Bracket {
    /// Its middle.
    pub fn middle(self) -> f64 {
        0.5 * (self.lower + self.upper)
    }
}

impl std::fmt::Display for Bracket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{:.4}, {:.4}]", self.lower, self.upper)
    }
}

/// What is known of a mask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The curve.
    pub series: String,
    /// Inputs.
    pub d: usize,
    /// Hidden units.
    pub n: usize,
    /// Samples that the method looked at.
    pub samples: usize,
    /// The share that is kept.
    pub density: f64,
    /// The seed.
    pub seed: u64,
    /// The cut distance to the prediction.
    pub distance: Bracket,
    /// The bound by the largest singular value.
    pub spectral: f64,
    /// The cut distance to the best constant.
    pub constant: Option<Bracket>,
    /// Seconds for scores and mask.
    pub mask_seconds: f64,
    /// Seconds for the prediction.
    pub limit_seconds: f64,
    /// Seconds for the bracket of the distance.
    pub cut_seconds: f64,
}

/// The theory's name of a method.
///
/// # Errors
/// A method without a limit.
pub fn predicted(method: Method) -> Result<methods::Method, StudyError> {
    Ok(match method {
        Method::Random => methods::Method::Random,
        Method::Magnitude => methods::Method::Magnitude,
        Method::Snip => methods::Method::Snip,
        Method::Grasp => methods::Method::Grasp,
        Method::GraspAbs => methods::Method::GraspAbs,
        Method::Synflow => methods::Method::Synflow,
        other => {
            return Err(StudyError::Value {
                path: "configuration".into(),
                key: "method",
                expected: "random, magnitude, snip, grasp, grasp-abs or synflow",
                found: other.to_string(),
            });
        }
    })
}

impl Series {
    /// A series with the usual samples and no initial output.
    pub fn new(label: &str, method: Method) -> Self {
        let (task, samples, output) = (Task::default(), Count::default(), Output::default());
        let (label, method) = (label.to_owned(), method.to_string());
        Self { label, method, task, samples, output, rounds: 1, temperature: 1.0, columns: Columns::Limit }
    }

    /// The mask of a network of this width, and its prediction.
    ///
    /// # Errors
    /// A method without a limit, or a mask or prediction that cannot be made.
    pub fn pair(&self, width: usize, density: f64, seed: u64) -> Result<Pair, StudyError> {
        let method: Method = self.method.parse()?;
        let samples = (method.needs() != Needs::Nothing).then(|| {
            let count = self.samples.of(width);
            let seed = seed.wrapping_mul(2).wrapping_add(1);
            match self.task {
                Task::Mixture => mixture(width, count, seed),
                Task::Isotropic => isotropic(width, count, seed),
            }
        });
        let how = How { method, rounds: self.rounds, temperature: self.temperature };
        pair(&Shallow::new(width, width, seed)?, how, density, samples.as_ref(), (self.output, self.columns), seed)
    }

    /// Measures a mask.
    ///
    /// # Errors
    /// As [`Series::pair`].
    pub fn measure(&self, width: usize, density: f64, seed: u64, constant: bool) -> Result<Measurement, StudyError> {
        let pair = self.pair(width, density, seed)?;
        let method: Method = self.method.parse()?;
        let samples = if method.needs() == Needs::Nothing { 0 } else { self.samples.of(width) };
        measured(&self.label, &pair, samples, density, seed, constant)
    }
}

/// The mask of a network on samples, and its prediction.
///
/// # Errors
/// As [`Series::pair`].
pub fn pair(
    network: &Shallow,
    how: How,
    density: f64,
    samples: Option<&Samples>,
    (output, columns): (Output, Columns),
    seed: u64,
) -> Result<Pair, StudyError> {
    let theory = predicted(how.method)?;
    let begin = Instant::now();
    let mut residuals = Vec::new();
    let mut targets = Vec::new();
    if let Some(samples) = samples {
        samples.check(network.d)?;
        let initial = network.outputs(samples)?.into_iter().map(|f| f / how.temperature);
        (targets, residuals) = match output {
            Output::Zero => initial.zip(&samples.targets).map(|(f, y)| (y + f, -y)).unzip(),
            Output::Kept => initial.zip(&samples.targets).map(|(f, y)| (*y, f - y)).unzip(),
        };
    }
    let seen = samples.map(|samples| (samples, targets.as_slice()));
    let mask = network.mask(how, density, seen, seed)?;
    let mask_seconds = begin.elapsed().as_secs_f64();

    let begin = Instant::now();
    let kept = mask.iter().filter(|keep| **keep).count() as f64 / mask.len() as f64;
    let data = samples.map(|samples| Data { inputs: &samples.inputs, residuals: &residuals });
    let grasp = matches!(theory, methods::Method::Grasp | methods::Method::GraspAbs);
    let model = match (samples, data) {
        (Some(samples), Some(data)) if grasp && columns == Columns::Curvature => {
            let responses = network.responses(samples, &residuals)?;
            let curvature = Curvature { temperature: how.temperature, responses: &responses };
            let law = if theory == methods::Method::Grasp { Law::normal() } else { Law::absolute_normal() };
            methods::grasp_at_temperature(network.d, &network.outer, data, curvature, law)?
        }
        _ => methods::model(theory, network.d, &network.outer, data)?,
    };
    let limit = model.limit(kept)?.graphon;
    let mask = StepGraphon::from_mask(network.d, network.n, &mask)?;
    Ok(Pair { mask, limit, model, mask_seconds, limit_seconds: begin.elapsed().as_secs_f64() })
}

/// Measures a mask beside its prediction.
///
/// # Errors
/// None in practice.
pub fn measured(
    series: &str,
    pair: &Pair,
    samples: usize,
    density: f64,
    seed: u64,
    constant: bool,
) -> Result<Measurement, StudyError> {
    let params = Params::default();
    let begin = Instant::now();
    let found = cut_distance(&pair.mask, &pair.limit, &params)?;
    let cut_seconds = begin.elapsed().as_secs_f64();
    let constant = match constant {
        true => Some(to_constant(&pair.mask, &params)?).map(|c| Bracket { lower: c.lower, upper: c.upper }),
        false => None,
    };
    Ok(Measurement {
        series: series.to_owned(),
        d: pair.mask.rows().len(),
        n: pair.mask.cols().len(),
        samples,
        density,
        seed,
        distance: Bracket { lower: found.lower, upper: found.upper },
        spectral: found.spectral,
        constant,
        mask_seconds: pair.mask_seconds,
        limit_seconds: pair.limit_seconds,
        cut_seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_near_their_limit_and_repeat() {
        for method in [Method::Random, Method::Synflow, Method::Snip, Method::GraspAbs, Method::Grasp] {
            let series = Series::new("a", method);
            let found = series.measure(96, 0.2, 3, true).expect("a measurement");
            // Seven times what a random mask of this width is off would be no limit.
            assert!(found.distance.lower < found.distance.upper && found.distance.upper < 0.06, "{method}: {found:?}");
            let again = series.measure(96, 0.2, 3, true).expect("a measurement");
            assert_eq!((found.distance, found.constant), (again.distance, again.constant), "{method}");
        }
        assert!(Series::new("a", Method::Wanda).measure(8, 0.5, 1, false).is_err());
    }
}
