//! What is asked: a TOML file.

use super::approximation::Approximation;
use super::deep::Deep;
use super::densities::Densities;
use super::images::Images;
use super::portraits::Portraits;
use super::rate::Rate;
use super::series::{Count, Series, predicted};
pub use crate::theory::configuration::{Fault, rule};
use crate::theory::{StudyError, configuration, distinct};
use secateur_prune::Method;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

/// A study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What the page says first.
    pub title: String,
    /// One run each.
    pub seeds: Vec<u64>,
    /// What is asked.
    pub question: Question,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Distance against width.
    Rate(Rate),
    /// Distance against density, and which methods are homogeneous.
    Densities(Densities),
    /// Pictures and spectra at one width.
    Portraits(Portraits),
    /// Networks of several layers.
    Deep(Deep),
    /// Pairs of classes of images.
    Images(Images),
    /// Approximation on the active coordinates.
    Approximation(Approximation),
}

/// Densities are above 0 and below 1.
///
/// # Errors
/// There is none, or one that is not, or one twice.
pub fn check_densities(key: &'static str, densities: &[f64]) -> Result<(), Fault> {
    let good = !densities.is_empty() && distinct(densities) && densities.iter().all(|d| *d > 0.0 && *d < 1.0);
    rule(good, key, "different numbers above 0 and below 1", &densities)
}

/// The most numbers that the samples of one measurement may hold: 4 GiB.
const NUMBERS: usize = 1 << 30;

/// There are samples, and they fit into memory.
///
/// # Errors
/// There are none, or too many for inputs of this size.
pub fn check_samples(key: &'static str, samples: Count, inputs: usize) -> Result<(), Fault> {
    let count = samples.of(inputs);
    let good = count > 0 && count.saturating_mul(inputs) <= NUMBERS;
    rule(good, key, "at least one sample, and at most 2^30 numbers in all samples", &samples)
}

/// Widths are large enough for a graphon to be seen.
///
/// # Errors
/// There is none, or one below 16 or above 16384, or one twice.
pub fn check_widths(widths: &[usize]) -> Result<(), Fault> {
    let good = !widths.is_empty() && distinct(widths) && widths.iter().all(|w| (16..=16384).contains(w));
    rule(good, "widths", "different numbers from 16 to 16384", &widths)
}

/// Series have names of their own, methods with a limit, and samples that fit into memory at every width.
///
/// # Errors
/// As said.
pub fn check_series(series: &[Series], widths: &[usize]) -> Result<(), Fault> {
    let labels: BTreeSet<&str> = series.iter().map(|s| s.label.as_str()).collect();
    rule(
        !series.is_empty() && labels.len() == series.len(),
        "series",
        "at least one, each with a label of its own",
        &labels,
    )?;
    for Series { method, samples, rounds, temperature, .. } in series {
        let known = method.parse::<Method>().is_ok_and(|method| predicted(method).is_ok());
        rule(known, "method", "random, magnitude, snip, grasp, grasp-abs or synflow", method)?;
        rule(*rounds > 0, "rounds", "at least one", rounds)?;
        rule(*temperature > 0.0 && temperature.is_finite(), "temperature", "a positive number", temperature)?;
        widths.iter().try_for_each(|width| check_samples("samples", *samples, *width))?;
    }
    Ok(())
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// The file cannot be read, has unknown keys, or a value makes no sense.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        configuration::read(path, Self::check)
    }

    fn check(&self) -> Result<(), Fault> {
        rule(!self.seeds.is_empty() && distinct(&self.seeds), "seeds", "at least one, all different", &self.seeds)?;
        match &self.question {
            Question::Rate(rate) => rate.check(),
            Question::Densities(densities) => densities.check(),
            Question::Portraits(portraits) => portraits.check(),
            Question::Deep(deep) => deep.check(),
            Question::Images(images) => images.check(),
            Question::Approximation(approximation) => approximation.check(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
title = "a title"
seeds = [1, 2]
[question.rate]
density = 0.2
widths = [32, 64]
[[question.rate.series]]
label = "a"
method = "snip"
samples = { fixed = 8 }
output = "kept"
"#;

    #[test]
    fn faults_name_the_key() {
        let read = |text: &str| {
            let place = tempfile::tempdir().expect("a directory");
            let path = place.path().join("a.toml");
            std::fs::write(&path, text).expect("written");
            Config::read(&path)
        };
        assert!(read(GOOD).is_ok());
        for (from, to, named) in [
            ("density = 0.2", "density = 1.0", "density"),
            ("density = 0.2", "density = nan", "density"),
            ("density", "sparsity", "sparsity"),
            ("[32, 64]", "[32, 32]", "widths"),
            ("[32, 64]", "[8]", "widths"),
            ("\"snip\"", "\"wanda\"", "method"),
            ("\"kept\"", "\"lost\"", "lost"),
            ("fixed = 8", "fixed = 0", "samples"),
            ("fixed = 8", "fixed = 1000000000000", "samples"),
            ("fixed = 8", "per-input = 1e300", "samples"),
            ("fixed = 8", "per-input = nan", "samples"),
            ("fixed = 8", "per-input = 1e-9", "samples"),
            ("[1, 2]", "[1, 1]", "seeds"),
            ("question.rate]", "question.pace]", "pace"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let message = read(&GOOD.replacen(from, to, 1)).expect_err("a fault").to_string();
            assert!(message.contains(named), "{from}: {message}");
        }
    }

    #[test]
    fn faults_of_other_questions_name_the_key() {
        let approximation = "title = \"a\"\nseeds = [1]\n[question.approximation]\ninputs = 16\nwidths = [16]\n\
                             densities = [0.2, 0.4]\nactive = [1, 2]\nmethods = [\"random\", \"synflow\"]\n";
        let deep = "title = \"a\"\nseeds = [1]\n[question.deep]\ndepths = [3, 4]\nwidth = 16\nsparsities = [0.2, 0.4]\n\
                    samples-per-input = 2\nmethods = [\"random\", \"snip\"]\n";
        let images = "title = \"a\"\nseeds = [1]\n[question.images]\ndensity = 0.2\nwidths = [16]\nsamples = 20\n\
                      methods = [\"random\", \"snip\"]\npairs = [{ set = \"mnist\", classes = [3, 8] }]\n";
        for (good, from, to, named) in [
            (approximation, "inputs = 16", "inputs = 1000000000000000", "inputs"),
            (approximation, "[0.2, 0.4]", "[0.2, 0.2]", "densities"),
            (approximation, "[1, 2]", "[2, 2]", "active"),
            (approximation, "\"synflow\"", "\"random\"", "methods"),
            (deep, "[3, 4]", "[3, 3]", "depths"),
            (deep, "[0.2, 0.4]", "[0.2, 0.2]", "sparsities"),
            (deep, "input = 2", "input = 1000000000000000000", "samples-per-input"),
            (deep, "\"snip\"", "\"random\"", "methods"),
            (images, "\"snip\"", "\"random\"", "methods"),
            (images, "[{ set", "[{ set = \"mnist\", classes = [3, 8] }, { set", "pairs"),
        ] {
            let check = |text: &str| toml::from_str::<Config>(text).expect("a configuration").check();
            check(good).expect("no fault");
            assert!(good.contains(from), "{from}");
            assert_eq!(check(&good.replacen(from, to, 1)).expect_err("a fault").0, named, "{to}");
        }
    }

    #[test]
    fn the_studies_that_come_with_the_program_are_readable() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/theory");
        let all = std::fs::read_dir(directory).expect("configurations").filter_map(Result::ok).map(|e| e.path());
        let ours: Vec<_> =
            all.filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("graphon_"))).collect();
        assert_eq!(ours.len(), 7);
        for path in ours {
            Config::read(&path).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
