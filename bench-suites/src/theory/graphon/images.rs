//! Pairs of classes of images as tasks.

use super::bench::{self, Bench};
use super::config::{Config, Fault, check_densities, check_widths, rule};
use super::densities::{Kind, mean};
use super::network::{How, Samples, Shallow};
use super::series::{Columns, Measurement, Output, measured, pair, predicted};
use crate::theory::report::Report;
use crate::theory::{StudyError, distinct};
use crate::watcher::Watcher;
use secateur_linalg::random::Random;
use secateur_nn::data::DataSet;
use secateur_nn::data::images::load_training;
use secateur_prune::{Method, Needs};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Pairs of classes of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Images {
    /// The pairs.
    pub pairs: Vec<Classes>,
    /// Hidden units.
    pub widths: Vec<usize>,
    /// The share of weights that is kept.
    pub density: f64,
    /// Training images, half of each class.
    pub samples: usize,
    /// The methods, by name.
    pub methods: Vec<String>,
}

/// Two classes of a data set: the first is $-1$, the second $+1$.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Classes {
    /// The data set.
    pub set: DataSet,
    /// The classes.
    pub classes: [usize; 2],
}

impl std::fmt::Display for Classes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} and {}", self.set, self.classes[0], self.classes[1])
    }
}

impl Images {
    pub(super) fn check(&self) -> Result<(), Fault> {
        check_densities("density", &[self.density])?;
        check_widths(&self.widths)?;
        rule(self.samples > 1, "samples", "at least two", &self.samples)?;
        let good = |c: &Classes| c.classes.iter().all(|k| *k < 10) && c.classes[0] != c.classes[1];
        rule(
            !self.pairs.is_empty() && self.pairs.iter().all(good),
            "classes",
            "two different ones from 0 to 9",
            &self.pairs,
        )?;
        rule(distinct(&self.pairs), "pairs", "different ones", &self.pairs)?;
        for method in &self.methods {
            let known = method.parse::<Method>().is_ok_and(|method| predicted(method).is_ok());
            rule(known, "methods", "random, magnitude, snip, grasp, grasp-abs or synflow", method)?;
        }
        let different = !self.methods.is_empty() && distinct(&self.methods);
        rule(different, "methods", "at least one, all different", &self.methods)
    }
}

/// So many training images of each of two classes, drawn with a seed. Pixels have the mean over the drawn images taken off
/// and are divided by one number, so that a pixel's mean square is 1 over all pixels and images.
///
/// # Errors
/// The images cannot be read, or there are not as many.
pub fn load(data: &Path, pair: &Classes, each: usize, seed: u64) -> Result<Samples, StudyError> {
    let images = load_training(pair.set, data)?;
    let mut samples = Samples { inputs: Vec::new(), targets: Vec::new() };
    for (side, class) in pair.classes.iter().enumerate() {
        let of: Vec<&[u8]> = images.iter().filter(|i| i.label == *class).map(|i| i.pixels.as_slice()).collect();
        if of.len() < each {
            return Err(StudyError::Value {
                path: "configuration".into(),
                key: "samples",
                expected: "no more than twice the images of a class",
                found: format!("{} of class {class}, which has {}", each, of.len()),
            });
        }
        for index in &Random::stream(seed, side as u64).permutation(of.len())[..each] {
            samples.inputs.extend(of[*index].iter().map(|p| f32::from(*p) / 255.0));
            samples.targets.push(if side == 0 { -1.0 } else { 1.0 });
        }
    }
    let d = samples.inputs.len() / samples.targets.len();
    let mut means = vec![0.0_f64; d];
    for x in samples.inputs.chunks_exact(d) {
        means.iter_mut().zip(x).for_each(|(m, x)| *m += f64::from(*x) / samples.targets.len() as f64);
    }
    for x in samples.inputs.chunks_exact_mut(d) {
        x.iter_mut().zip(&means).for_each(|(x, m)| *x -= *m as f32);
    }
    let square = samples.inputs.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / samples.inputs.len() as f64;
    samples.inputs.iter_mut().for_each(|x| *x /= square.sqrt() as f32);
    Ok(samples)
}

/// Measures a mask on a pair of classes.
///
/// # Errors
/// As [`pair`] and [`load`].
pub fn measure(
    data: &Path,
    classes: &Classes,
    method: &str,
    (width, density, samples): (usize, f64, usize),
    seed: u64,
) -> Result<Measurement, StudyError> {
    let (name, method) = (format!("{classes}, {method}"), method.parse::<Method>()?);
    let seen = load(data, classes, samples / 2, seed)?;
    let d = seen.inputs.len() / seen.targets.len();
    let network = Shallow::new(d, width, seed)?;
    let used = (method.needs() != Needs::Nothing).then_some(&seen);
    let found = pair(&network, How::once(method), density, used, (Output::Zero, Columns::Limit), seed)?;
    measured(&name, &found, used.map_or(0, |s| s.targets.len()), density, seed, true)
}

pub(super) fn run(
    config: &Config,
    asked: &Images,
    data: Option<&Path>,
    directory: &Path,
    watcher: &dyn Watcher,
) -> Result<String, StudyError> {
    let data = data.ok_or_else(|| StudyError::NoData { what: config.title.clone() })?;
    let mut places = Vec::new();
    for classes in &asked.pairs {
        for method in &asked.methods {
            for &width in &asked.widths {
                places.extend(config.seeds.iter().map(|seed| (classes, method, width, *seed)));
            }
        }
    }
    let mut bench = Bench::open(directory, config, places.len(), watcher)?;
    let mut found = Vec::new();
    for (classes, method, width, seed) in places {
        let series = format!("{classes}, {method}");
        let is = |m: &Measurement| m.series == series && m.n == width && m.seed == seed;
        let make = || measure(data, classes, method, (width, asked.density, asked.samples), seed);
        found.push(bench.measurement(&format!("{series}, {width} units, seed {seed}"), is, make)?);
    }
    let mut report = Report::new(&config.title);
    report.text(&format!(
        "Networks with one hidden layer on pairs of classes: up to {} training images, pixels centred on their mean and divided by one number; \
         density {}, initial output zero. The cut distance of the mask to the predicted graphon and to the best constant one, \
         means over {} seeds. The prediction takes a unit's gate to be independent of the pixel; images do not have that, so \
         for SNIP and GraSP the distance need not vanish with the width.",
        asked.samples,
        asked.density,
        config.seeds.len()
    ));
    let mut rows = Vec::new();
    for classes in &asked.pairs {
        for method in &asked.methods {
            for &width in &asked.widths {
                let series = format!("{classes}, {method}");
                let of = || found.iter().filter(|m| m.series == series && m.n == width);
                let (Some(distance), Some(constant)) =
                    (mean(of().map(|m| m.distance)), mean(of().filter_map(|m| m.constant)))
                else {
                    continue;
                };
                let d = of().map(|m| m.d).next().unwrap_or(width);
                rows.push(vec![
                    classes.to_string(),
                    method.clone(),
                    format!("{d} × {width}"),
                    distance.to_string(),
                    constant.to_string(),
                    Kind::of(d, width, constant)?.to_string(),
                ]);
            }
        }
    }
    report.table(&["classes", "method", "size", "to the prediction", "to the best constant", "kind"], &rows);
    bench::write(directory, config, &found, &report)
}
