//! Approximation on the active coordinates: errors against $\alpha n p^k$, for masks of real pruning.
//!
//! The function is $h(z) = \sin 2z$ of $z = k^{-1/2} \sum_{i \le k} x_i$ with standard normal $x$, so that its difficulty does not depend
//! on $k$. The network of the proof: of the hidden units that a mask leaves wired to all $k$ coordinates, at most 64 get the weights $1/\sqrt
//! k$ there, 0 elsewhere, and thresholds at even distances; their outgoing weights are those of least squares. What is left of
//! the mask does not matter, so the error depends on the number of wired units only.

use super::bench::{self, Bench};
use super::config::{Config, Fault, check_densities, check_widths, rule};
use super::network::{How, Shallow};
use super::series::predicted;
use crate::plot::Axes;
use crate::plot::lines::{Line, Stroke, lines};
use crate::theory::report::Report;
use crate::theory::{StudyError, distinct};
use crate::watcher::Watcher;
use secateur_linalg::cholesky::{factor, solve};
use secateur_linalg::random::Random;
use secateur_prune::{Method, Needs};
use secateur_theory::graphon::approximation::{Wiring, best_rectangle};
use secateur_theory::graphon::methods;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Approximation on the active coordinates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Approximation {
    /// Inputs, of which the first few are active.
    pub inputs: usize,
    /// Hidden units.
    pub widths: Vec<usize>,
    /// The shares of weights that are kept.
    pub densities: Vec<f64>,
    /// Active coordinates.
    pub active: Vec<usize>,
    /// Methods that need no samples, by name.
    pub methods: Vec<String>,
}

/// One masked network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approximated {
    /// The method.
    pub method: String,
    /// Hidden units.
    pub n: usize,
    /// The share of weights that is kept.
    pub density: f64,
    /// Active coordinates.
    pub active: usize,
    /// The seed.
    pub seed: u64,
    /// $\alpha n p^k$ of the best rectangle.
    pub expected: f64,
    /// Hidden units that are wired to all active coordinates.
    pub wired: usize,
    /// The network's root mean square error, relative to the function's deviation.
    pub error: f64,
}

impl Approximation {
    pub(super) fn check(&self) -> Result<(), Fault> {
        check_widths(&self.widths)?;
        check_densities("densities", &self.densities)?;
        rule((1..=16384).contains(&self.inputs), "inputs", "a number from 1 to 16384", &self.inputs)?;
        let some = !self.active.is_empty()
            && distinct(&self.active)
            && self.active.iter().all(|k| *k > 0 && *k <= self.inputs);
        rule(some, "active", "different numbers from 1 to that of inputs", &self.active)?;
        for method in &self.methods {
            let blind = method.parse::<Method>().is_ok_and(|m| m.needs() == Needs::Nothing && predicted(m).is_ok());
            rule(blind, "methods", "random, magnitude or synflow", method)?;
        }
        let different = !self.methods.is_empty() && distinct(&self.methods);
        rule(different, "methods", "at least one, all different", &self.methods)
    }
}

/// Units that are used, at most.
const UNITS: usize = 64;

/// Thresholds lie between minus this and this.
const REACH: f64 = 3.5;

fn target(z: f64) -> f64 {
    (2.0 * z).sin()
}

/// A function of one number by ReLUs: $b + \sum_j c_j \max(z - t_j, 0)$.
#[derive(Clone, Debug)]
pub struct Interpolant {
    thresholds: Vec<f64>,
    factors: Vec<f64>,
    constant: f64,
}

impl Interpolant {
    /// The least-squares fit of the function with so many units, for standard normal $z$.
    ///
    /// # Errors
    /// None in practice.
    pub fn new(units: usize) -> Result<Self, StudyError> {
        let thresholds: Vec<f64> = (0..units).map(|j| REACH * (2.0 * j as f64 / units as f64 - 1.0)).collect();
        let size = units + 1;
        let basis =
            |z: f64| -> Vec<f64> { std::iter::once(1.0).chain(thresholds.iter().map(|t| (z - t).max(0.0))).collect() };
        let (mut a, mut b) = (vec![0.0; size * size], vec![0.0; size]);
        for (z, weight) in grid() {
            let values = basis(z);
            for i in 0..size {
                b[i] += weight * values[i] * target(z);
                (0..=i).for_each(|j| a[i * size + j] += weight * values[i] * values[j]);
            }
        }
        // Neighbouring ReLUs are nearly dependent: a ridge that is small beside the error that is measured.
        (0..size).for_each(|i| a[i * size + i] += 1e-10);
        let l = factor(&a, size).ok_or(secateur_theory::TheoryError::Iteration)?;
        let found = solve(&l, size, &b, 1);
        Ok(Self { thresholds, factors: found[1..].to_vec(), constant: found[0] })
    }

    /// Its value.
    pub fn at(&self, z: f64) -> f64 {
        let units = self.thresholds.iter().zip(&self.factors).map(|(t, c)| c * (z - t).max(0.0));
        self.constant + units.sum::<f64>()
    }

    /// Its root mean square error, relative to the function's deviation.
    pub fn error(&self) -> f64 {
        let squares = grid().map(|(z, weight)| weight * (self.at(z) - target(z)).powi(2)).sum::<f64>();
        (squares / variance()).sqrt()
    }
}

/// Midpoints with the weights of the standard normal law.
fn grid() -> impl Iterator<Item = (f64, f64)> {
    const POINTS: usize = 2000;
    let step = 10.0 / POINTS as f64;
    let root = std::f64::consts::TAU.sqrt();
    (0..POINTS).map(move |k| -5.0 + (k as f64 + 0.5) * step).map(move |z| (z, step * (-0.5 * z * z).exp() / root))
}

fn variance() -> f64 {
    grid().map(|(z, weight)| weight * target(z).powi(2)).sum()
}

/// A masked network that approximates, measured on samples.
///
/// # Errors
/// As [`Shallow::mask`].
pub fn measure(
    inputs: usize,
    (method, n, density, active): (&str, usize, f64, usize),
    seed: u64,
) -> Result<Approximated, StudyError> {
    let name: Method = method.parse()?;
    let network = Shallow::new(inputs, n, seed)?;
    let mask = network.mask(How::once(name), density, None, seed)?;
    let rows: Vec<usize> = (0..active).collect();
    let limit = methods::model(predicted(name)?, inputs, &network.outer, None)?.limit(density)?.graphon;
    let wiring = match name {
        Method::Synflow => best_rectangle(&limit, &rows)?,
        _ => Wiring::new(1.0, density, active)?,
    };
    let wired: Vec<usize> = (0..n).filter(|j| rows.iter().all(|i| mask[i * n + j])).collect();
    let used = &wired[..wired.len().min(UNITS)];
    let interpolant = Interpolant::new(used.len())?;
    // The network: its own mask times weights, then thresholds, ReLUs and a linear output.
    let mut weights = vec![0.0; inputs * n];
    for (j, i) in used.iter().flat_map(|j| rows.iter().map(move |i| (j, i))) {
        weights[i * n + j] = f64::from(u8::from(mask[i * n + j])) / (active as f64).sqrt();
    }
    const SAMPLES: usize = 2000;
    let mut random = Random::stream(seed, 77);
    let mut squares = 0.0;
    for _ in 0..SAMPLES {
        let x: Vec<f64> = (0..inputs).map(|_| random.normal()).collect();
        let unit = |(j, (t, c)): (&usize, (&f64, &f64))| {
            let z: f64 = (0..inputs).map(|i| weights[i * n + j] * x[i]).sum();
            c * (z - t).max(0.0)
        };
        let pairs = interpolant.thresholds.iter().zip(&interpolant.factors);
        let output = interpolant.constant + used.iter().zip(pairs).map(unit).sum::<f64>();
        let z = x[..active].iter().sum::<f64>() / (active as f64).sqrt();
        squares += (output - target(z)).powi(2) / SAMPLES as f64;
    }
    Ok(Approximated {
        method: method.to_owned(),
        n,
        density,
        active,
        seed,
        expected: wiring.expected(n),
        wired: wired.len(),
        error: (squares / variance()).sqrt(),
    })
}

/// The mean error of a network whose number of wired units is binomial: what theory says at $\alpha n p^k$, by the law of small
/// numbers.
///
/// # Errors
/// None in practice.
pub fn predicted_error(expected: f64) -> Result<f64, StudyError> {
    let mut sum = 0.0;
    let mut term = (-expected).exp();
    let mut rest = 1.0;
    for m in 0..=UNITS {
        let weight = if m == UNITS { rest } else { term };
        if weight > 1e-9 {
            sum += weight * Interpolant::new(m)?.error();
        }
        rest -= term;
        term *= expected / (m + 1) as f64;
    }
    Ok(sum)
}

pub(super) fn run(
    config: &Config,
    asked: &Approximation,
    directory: &Path,
    watcher: &dyn Watcher,
) -> Result<String, StudyError> {
    let mut places = Vec::new();
    for method in &asked.methods {
        for &density in &asked.densities {
            for &k in &asked.active {
                for &n in &asked.widths {
                    places.extend(config.seeds.iter().map(|seed| (method, density, k, n, *seed)));
                }
            }
        }
    }
    let mut bench = Bench::open(directory, config, places.len(), watcher)?;
    let mut found = Vec::new();
    for (method, density, k, n, seed) in places {
        let is = |m: &Approximated| {
            m.method == *method && m.density == density && m.active == k && m.n == n && m.seed == seed
        };
        let what = format!("{method}, density {density}, {k} active, {n} units, seed {seed}");
        found.push(bench.measurement(&what, is, || measure(asked.inputs, (method, n, density, k), seed))?);
    }
    bench::write(directory, config, &found, &page(config, asked, &found)?)
}

fn page(config: &Config, asked: &Approximation, found: &[Approximated]) -> Result<Report, StudyError> {
    let mut report = Report::new(&config.title);
    report.text(&format!(
        "The function $\\sin(2z)$ of $z = k^{{-1/2}} \\sum_{{i \\le k}} x_i$ on {} inputs, of which $k$ are active. A hidden unit serves \
         when its mask keeps all $k$ of its weights. The error of the network on these units, relative to the deviation of the \
         function, against $\\alpha n p^k$ of the best rectangle: means over {} seeds for every width, density and $k$ lie on one curve. \
         For SynFlow units outside of the rectangle serve too, so its points lie below the curve.",
        asked.inputs,
        config.seeds.len()
    ));
    let mut curves = Vec::new();
    let mut rows = Vec::new();
    let mut ends = (f64::INFINITY, 0.0_f64);
    for method in &asked.methods {
        for &k in &asked.active {
            let mut points: BTreeMap<(usize, String), Vec<&Approximated>> = BTreeMap::new();
            for m in found.iter().filter(|m| m.method == *method && m.active == k) {
                points.entry((m.n, m.density.to_string())).or_default().push(m);
            }
            let mut dots = Vec::new();
            for ((n, density), of) in &points {
                let mean = |value: fn(&Approximated) -> f64| of.iter().map(|m| value(m)).sum::<f64>() / of.len() as f64;
                let (expected, error) = (mean(|m| m.expected), mean(|m| m.error));
                let said = predicted_error(expected)?;
                dots.push((expected, error));
                ends = (ends.0.min(expected), ends.1.max(expected));
                let numbers = [expected, mean(|m| m.wired as f64)].map(|v| format!("{v:.2}"));
                let errors = [error, said].map(|v| format!("{v:.4}"));
                rows.push(
                    [
                        vec![method.clone(), k.to_string(), n.to_string(), density.clone()],
                        numbers.to_vec(),
                        errors.to_vec(),
                    ]
                    .concat(),
                );
            }
            curves.push(Line::new(format!("{method}, k = {k}"), dots, Stroke::Points));
        }
    }
    let steps = 40;
    let at = |s: usize| (ends.0.ln() + (ends.1 / ends.0).ln() * s as f64 / steps as f64).exp();
    let said: Vec<(f64, f64)> =
        (0..=steps).map(|s| Ok((at(s), predicted_error(at(s))?))).collect::<Result<_, StudyError>>()?;
    curves.push(Line::new("prediction", said, Stroke::Solid));
    let axes = Axes { x: "α n p^k", y: "relative error", log_x: true, log_y: true };
    report.figure(
        "collapse",
        lines(&config.title, &axes, &curves)?,
        "Errors against the number of wired units that is promised.",
    );
    let header = ["method", "k", "units", "density", "α n p^k", "wired", "error", "predicted"];
    report.table(&header, &rows);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_units_fit_better() {
        let errors: Vec<f64> = [0, 4, 16, 64].iter().map(|m| Interpolant::new(*m).expect("a fit").error()).collect();
        // The function has mean 0, so a constant is off by its deviation.
        assert!((errors[0] - 1.0).abs() < 1e-6 && errors[3] < 0.01, "{errors:?}");
        assert!(errors.windows(2).all(|pair| pair[1] < pair[0]), "{errors:?}");
    }

    #[test]
    fn a_network_is_as_good_as_its_wired_units() {
        let found = measure(20, ("random", 400, 0.5, 3), 5).expect("a network");
        // 400/8 = 50 units are expected, with a deviation of 6.6.
        assert!((found.expected - 50.0).abs() < 1e-9 && found.wired.abs_diff(50) < 27, "{found:?}");
        let fit = Interpolant::new(found.wired.min(UNITS)).expect("a fit").error();
        // Means over 2000 samples of squares of numbers with heavy ends.
        assert!((found.error / fit - 1.0).abs() < 0.5, "{} {fit}", found.error);
        let few = measure(20, ("random", 400, 0.05, 3), 5).expect("a network");
        assert!(few.wired < 3 && few.error > 0.5, "{few:?}");
    }

    #[test]
    fn the_predicted_error_falls() {
        let errors: Vec<f64> = [0.1, 2.0, 20.0].iter().map(|m| predicted_error(*m).expect("a number")).collect();
        assert!(errors[0] > 0.9 && errors[2] < 0.2 && errors[1] < errors[0] && errors[2] < errors[1], "{errors:?}");
    }
}
