//! Spectra and generalisation of the kernels of masked networks, over densities.

use super::super::StudyError;
use super::Measured;
use super::config::{Config, Curves};
use super::network::{Mode, Shallow, distance, predicted};
use super::problem::{Counts, Pool, Problem};
use secateur_nn::mask::Masks;
use secateur_prune::Method;
use secateur_theory::TheoryError;
use secateur_theory::ntk::bound::Bound;
use secateur_theory::ntk::{Ridge, Settings, Spectrum, empirical};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Points of the quadrature over neurons.
const POINTS: usize = 64;

/// How often a bound may fail.
const FAILURES: f64 = 0.05;

/// The name of the network without mask.
pub const DENSE: &str = "dense";

/// Which network is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// The run.
    pub seed: u64,
    /// The method's name, or [`DENSE`].
    pub method: String,
    /// The share of weights that is kept.
    pub density: f64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Point {
    /// Where.
    pub place: Place,
    /// Eigenvalues of the kernel of training samples; in a record, those of the first seed only.
    pub spectrum: Spectrum,
    /// What the kernel predicts.
    pub prediction: Prediction,
    /// The same by the kernel of the predicted graphon, where there is one.
    pub graphon: Option<Prediction>,
    /// Distance to the kernel of the dense network, both divided by their traces.
    pub to_dense: f64,
    /// The same for the graphon's kernel and that of a constant graphon.
    pub graphon_to_dense: Option<f64>,
    /// What the test error is bound by; none where the kernel is singular.
    pub bound: Option<Bound>,
}

/// How well a kernel predicts labels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Prediction {
    /// Share of test samples with the wrong sign.
    pub error: f64,
    /// Mean of $\min(1, \max(0, 1 - y f))$ over test samples: the loss that the bound is about.
    pub hinge: f64,
    /// Mean of $(y - f)^2$ over test samples.
    pub square: f64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, method, density } = self;
        write!(f, "seed {seed}, {method}, density {density}")
    }
}

impl Measured for Point {
    type Place = Place;

    fn place(&self) -> &Place {
        &self.place
    }
}

impl Curves {
    /// All networks.
    pub(super) fn places(&self, config: &Config) -> Vec<Place> {
        let mut places = Vec::new();
        for seed in &config.seeds {
            places.push(Place { seed: *seed, method: DENSE.to_owned(), density: 1.0 });
            for method in &self.methods {
                let place = |density: &f64| Place { seed: *seed, method: method.name().to_owned(), density: *density };
                places.extend(self.densities.iter().map(place));
            }
        }
        places
    }

    /// Measures a network.
    pub(super) fn measure(&self, pool: &Pool, place: Place) -> Result<Point, StudyError> {
        let Place { seed, density, .. } = place;
        let dimensions = pool.dimensions().or(self.dimensions).unwrap_or(self.width);
        let Curves { calibration, training, test, .. } = *self;
        let problem = pool.draw(Counts { dimensions, calibration, training, test }, seed)?;
        let network = Shallow::draw(dimensions, self.width, seed)?;
        let samples: Vec<Vec<f32>> = [&problem.training.inputs[..], &problem.test.inputs].concat();
        let all = samples.len();
        let kernel = |masks: &Masks| -> Result<Vec<f64>, StudyError> {
            let graph = network.masked(masks, Mode::Kept, seed)?;
            Ok(empirical::<f64>(&graph, Some(masks), &samples, &Settings::default())?.kernel)
        };
        let method = if place.method == DENSE { None } else { Some(place.method.parse::<Method>()?) };
        let masks = match method {
            None => Masks::default(),
            Some(method) => network.mask(method, density, &problem.calibration, seed)?,
        };
        let found = kernel(&masks)?;
        let dense = if method.is_none() { found.clone() } else { kernel(&Masks::default())? };
        let (mut graphon, mut graphon_to_dense) = (None, None);
        if let Some(method) = method {
            let correlations = problem.profile.clone().unwrap_or_else(|| problem.calibration.correlations());
            let reached = |error: &TheoryError| !matches!(error, TheoryError::Range { name: "density", .. });
            let limit = match predicted(method, Mode::Kept, density, &correlations, POINTS) {
                // Too many coordinates are the same in all samples: the threshold is 0, and no limit is predicted.
                Err(StudyError::Theory(error)) if !reached(&error) => None,
                other => other?,
            };
            if let Some(limit) = limit {
                let numbers = [problem.training.numbers(), problem.test.numbers()].concat();
                let limit = limit.gram(&numbers)?;
                let constant = predicted(Method::Random, Mode::Kept, density, &correlations, 1)?;
                let constant = constant.expect("random masks have a graphon").gram(&numbers)?;
                graphon_to_dense = Some(distance(&by_trace(&limit, all), &by_trace(&constant, all)));
                graphon = Some(self.predict(&limit, &problem)?);
            }
        }
        let own = part(&found, all, 0..training, training);
        let bound = match Bound::of(&own, &problem.training.labels, FAILURES) {
            Err(TheoryError::Singular { .. }) => None,
            other => Some(other?),
        };
        Ok(Point {
            place,
            spectrum: Spectrum::of(&own, training)?,
            prediction: self.predict(&found, &problem)?,
            graphon,
            to_dense: distance(&by_trace(&found, all), &by_trace(&dense, all)),
            graphon_to_dense,
            bound,
        })
    }

    /// Fits training samples and predicts the others, by the kernel of all of them.
    fn predict(&self, kernel: &[f64], problem: &Problem) -> Result<Prediction, StudyError> {
        let (n, all) = (self.training, self.training + self.test);
        let own = part(kernel, all, 0..n, n);
        let mean = own.iter().step_by(n + 1).sum::<f64>() / n as f64;
        let fit = Ridge::fit(&own, n, &problem.training.labels, self.ridge * mean)?;
        let values = fit.predict(&part(kernel, all, n..all, n))?;
        let average = |loss: fn(f64, f64) -> f64| {
            let pairs = values.iter().zip(&problem.test.labels);
            pairs.map(|(f, y)| loss(*f, *y)).sum::<f64>() / self.test as f64
        };
        Ok(Prediction {
            error: average(|f, y| f64::from(u8::from(f * y <= 0.0))),
            hinge: average(|f, y| (1.0 - f * y).clamp(0.0, 1.0)),
            square: average(|f, y| (f - y).powi(2)),
        })
    }
}

/// The points for the record: eigenvalues of the first seed only, which are those of the figure.
pub(super) fn lean(config: &Config, mut points: Vec<Point>) -> Vec<Point> {
    let others = points.iter_mut().filter(|point| config.seeds.first() != Some(&point.place.seed));
    others.for_each(|point| point.spectrum.eigenvalues.clear());
    points
}

/// Some rows and the first columns of a square matrix.
fn part(kernel: &[f64], side: usize, rows: std::ops::Range<usize>, cols: usize) -> Vec<f64> {
    kernel[rows.start * side..rows.end * side].chunks_exact(side).flat_map(|row| &row[..cols]).copied().collect()
}

fn by_trace(kernel: &[f64], side: usize) -> Vec<f64> {
    let trace: f64 = kernel.iter().step_by(side + 1).sum();
    kernel.iter().map(|v| v / trace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_matrix() {
        let matrix: Vec<f64> = (0..9).map(f64::from).collect();
        assert_eq!(part(&matrix, 3, 0..2, 2), [0.0, 1.0, 3.0, 4.0]);
        assert_eq!(part(&matrix, 3, 2..3, 2), [6.0, 7.0]);
        assert_eq!(by_trace(&matrix, 3)[8], 8.0 / 12.0);
    }
}
