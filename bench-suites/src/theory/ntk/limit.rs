//! Empirical kernels of masked networks beside the graphon's, over widths.
//!
//! ```text
//! draw inputs, and a network
//! mask it by the method, on samples that grow with the width
//! for weights that are drawn again, and for those that were kept
//!     empirical kernel over kept weights, predicted kernel, distance
//! ```

use super::super::StudyError;
use super::Measured;
use super::config::{Config, Limit};
use super::network::{Mode, Shallow, distance, predicted};
use super::problem::{Counts, Pool, Problem};
use crate::statistics::{Interval, student};
use secateur_prune::Method;
use secateur_theory::ntk::{Settings, empirical};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Points of the quadrature over neurons.
const POINTS: usize = 256;

/// Which network is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// The run.
    pub seed: u64,
    /// The method's name.
    pub method: String,
    /// The share of weights that is kept.
    pub density: f64,
    /// Neurons.
    pub width: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Point {
    /// Where.
    pub place: Place,
    /// Relative distance to the predicted kernel, where weights are drawn again.
    pub reinit: f64,
    /// The same where they were kept.
    pub kept: f64,
    /// Distance of the kernel of kept weights to what is predicted for weights that are drawn again: what ignoring the
    /// difference costs.
    pub kept_as_reinit: f64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, method, density, width } = self;
        write!(f, "seed {seed}, {method}, density {density}, width {width}")
    }
}

impl Measured for Point {
    type Place = Place;

    fn place(&self) -> &Place {
        &self.place
    }
}

impl Limit {
    /// All networks.
    pub(super) fn places(&self, config: &Config) -> Vec<Place> {
        let mut places = Vec::new();
        for width in &self.widths {
            for seed in &config.seeds {
                for method in &self.methods {
                    let place = |density: &f64| Place {
                        seed: *seed,
                        method: method.name().to_owned(),
                        density: *density,
                        width: *width,
                    };
                    places.extend(self.densities.iter().map(place));
                }
            }
        }
        places
    }

    /// Samples for criteria, and the inputs that kernels are compared on.
    pub(super) fn problem(&self, pool: &Pool, width: usize, seed: u64) -> Result<Problem, StudyError> {
        let dimensions = pool.dimensions().unwrap_or(width);
        let calibration = self.samples_per_width * width;
        pool.draw(Counts { dimensions, calibration, training: self.probes, test: 0 }, seed)
    }

    /// Measures a network.
    pub(super) fn measure(&self, pool: &Pool, place: Place) -> Result<Point, StudyError> {
        let Place { seed, density, width, .. } = place;
        let method: Method = place.method.parse()?;
        let problem = self.problem(pool, width, seed)?;
        let network = Shallow::draw(problem.training.inputs[0].len(), width, seed)?;
        let masks = network.mask(method, density, &problem.calibration, seed)?;
        let correlations = problem.profile.unwrap_or_else(|| problem.calibration.correlations());
        let probes = problem.training.numbers();
        let observed = |mode: Mode| -> Result<Vec<f64>, StudyError> {
            // The run's own weights have its seed; those that are drawn again have one that no run has.
            let graph = network.masked(&masks, mode, u64::MAX - seed)?;
            Ok(empirical::<f64>(&graph, Some(&masks), &problem.training.inputs, &Settings::default())?.kernel)
        };
        let expected = |mode: Mode| -> Result<Vec<f64>, StudyError> {
            let kernel = predicted(method, mode, density, &correlations, POINTS)?;
            Ok(kernel.expect("the configuration names methods with a graphon").gram(&probes)?)
        };
        let (reinit, kept) = (expected(Mode::Reinit)?, observed(Mode::Kept)?);
        Ok(Point {
            reinit: distance(&observed(Mode::Reinit)?, &reinit),
            kept: distance(&kept, &expected(Mode::Kept)?),
            kept_as_reinit: distance(&kept, &reinit),
            place,
        })
    }
}

/// The exponent of a power law through points $(x, y)$: the least-squares slope of the logarithms, with its 95 % interval by
/// Student's t; none for fewer than three points or equal places.
pub fn exponent(points: &[(f64, f64)]) -> Option<Interval> {
    let n = points.len() as f64;
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let (mx, my) = (logs.iter().map(|p| p.0).sum::<f64>() / n, logs.iter().map(|p| p.1).sum::<f64>() / n);
    let spread: f64 = logs.iter().map(|p| (p.0 - mx).powi(2)).sum();
    if points.len() < 3 || spread.is_nan() || spread <= 0.0 {
        return None;
    }
    let slope = logs.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>() / spread;
    let rest: f64 = logs.iter().map(|p| (p.1 - my - slope * (p.0 - mx)).powi(2)).sum();
    let error = (rest / (n - 2.0) / spread).sqrt();
    Some(Interval { mean: slope, half: Some(student(points.len() - 2) * error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_of_a_power_law() {
        let law: Vec<(f64, f64)> = [1.0_f64, 2.0, 4.0, 8.0].map(|x| (x, 3.0 * x.powf(-0.5))).to_vec();
        let found = exponent(&law).expect("a slope");
        // Logarithms and sums of a few numbers near 1.
        assert!((found.mean + 0.5).abs() < 1e-14 && found.half.expect("four points") < 1e-12, "{found:?}");
        // ln y = 0, ln 2, 0 at ln x = 0, ln 2, ln 4: slope 0; s² = (2/3) ln²2 / 1, spread 2 ln²2, so ± 12.706 / √3.
        let bent = exponent(&[(1.0, 1.0), (2.0, 2.0), (4.0, 1.0)]).expect("a slope");
        assert!(bent.mean.abs() < 1e-14 && (bent.half.expect("three") - 12.706 / 3f64.sqrt()).abs() < 1e-2, "{bent:?}");
        assert!(exponent(&law[..2]).is_none() && exponent(&[(1.0, 1.0); 3]).is_none());
    }
}
