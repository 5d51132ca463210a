//! What is to be measured: a TOML file.

use super::super::configuration::{self, Fault, rule};
use super::super::{StudyError, distinct};
use super::problem::Source;
use secateur_prune::Method;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::path::Path;

/// A study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What the page says first.
    pub title: String,
    /// Where inputs come from.
    pub data: Source,
    /// One run each: weights, inputs, random masks.
    pub seeds: Vec<u64>,
    /// What is asked.
    pub question: Question,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// How fast empirical kernels of masked networks approach the graphon's.
    Limit(Limit),
    /// How spectra and generalisation depend on density, method by method.
    Curves(Curves),
}

/// The limit over widths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limit {
    /// Methods with a predicted graphon: random, magnitude, snip.
    #[serde(with = "names")]
    pub methods: Vec<Method>,
    /// Widths; with normal inputs, dimensions too.
    pub widths: Vec<usize>,
    /// Shares of weights that are kept.
    pub densities: Vec<f64>,
    /// Inputs that the kernel is compared on.
    pub probes: usize,
    /// Samples that criteria look at, times the width.
    pub samples_per_width: usize,
}

/// Curves over densities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Curves {
    /// The methods; the first is what the others are compared with.
    #[serde(with = "names")]
    pub methods: Vec<Method>,
    /// Shares of weights that are kept.
    pub densities: Vec<f64>,
    /// Hidden neurons.
    pub width: usize,
    /// Dimensions of normal inputs; images have their own.
    #[serde(default)]
    pub dimensions: Option<usize>,
    /// Samples that the kernel fits.
    pub training: usize,
    /// Samples that it predicts.
    pub test: usize,
    /// Samples that criteria look at.
    pub calibration: usize,
    /// What is added to the diagonal, relative to its mean.
    #[serde(default)]
    pub ridge: f64,
}

/// Methods by their names.
mod names {
    use secateur_prune::Method;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(methods: &[Method], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(methods.iter().map(|method| method.name()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Method>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().map(|name| name.parse().map_err(serde::de::Error::custom)).collect()
    }
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
        if let Source::Normal { signal } = &self.data {
            rule(signal.is_finite() && *signal >= 0.0, "signal", "a number, at least 0", signal)?;
        }
        if let Source::Mnist { classes } | Source::Cifar { classes } = &self.data {
            let pair = classes[0] != classes[1] && classes.iter().all(|c| *c < 10);
            rule(pair, "classes", "two different classes below 10", classes)?;
        }
        let shares = |densities: &[f64]| {
            !densities.is_empty() && distinct(densities) && densities.iter().all(|d| *d > 0.0 && *d < 1.0)
        };
        let methods = |methods: &[Method]| !methods.is_empty() && distinct(methods);
        match &self.question {
            Question::Limit(Limit { methods: all, widths, densities, probes, samples_per_width }) => {
                let predicted = |m: &Method| matches!(m, Method::Random | Method::Magnitude | Method::Snip);
                let known = methods(all) && all.iter().all(predicted);
                rule(known, "methods", "some of random, magnitude, snip, each once", all)?;
                let rising = widths.len() >= 3 && widths.windows(2).all(|w| w[0] < w[1]) && widths[0] >= 8;
                rule(rising, "widths", "at least three, rising, from 8 on", widths)?;
                rule(shares(densities), "densities", "shares between 0 and 1, all different", densities)?;
                rule(*probes >= 2, "probes", "at least two inputs", probes)?;
                rule(*samples_per_width >= 1, "samples-per-width", "at least one", samples_per_width)
            }
            Question::Curves(curves) => {
                let Curves { methods: all, densities, width, dimensions, training, test, calibration, ridge } = curves;
                let criteria = methods(all) && all.iter().all(|m| m.criterion(0).is_some());
                rule(criteria, "methods", "methods that score weights, each once", all)?;
                rule(shares(densities), "densities", "shares between 0 and 1, all different", densities)?;
                let normal = matches!(self.data, Source::Normal { .. });
                rule(dimensions.is_some() == normal, "dimensions", "a number with normal inputs only", dimensions)?;
                rule(*dimensions != Some(0), "dimensions", "at least one", dimensions)?;
                rule(ridge.is_finite() && *ridge >= 0.0, "ridge", "a number, at least 0", ridge)?;
                let counts = [("width", width), ("test", test), ("calibration", calibration)];
                counts.into_iter().try_for_each(|(key, count)| rule(*count > 0, key, "at least one", count))?;
                rule(*training >= 16, "training", "at least 16 samples", training)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: &str = r#"
title = "a title"
seeds = [1, 2]
[data.normal]
signal = 0.5
[question.limit]
methods = ["random", "snip"]
widths = [16, 32, 64]
densities = [0.2]
probes = 4
samples-per-width = 2
"#;

    const CURVES: &str = r#"
title = "a title"
seeds = [1, 2]
[data.mnist]
classes = [3, 8]
[question.curves]
methods = ["random", "grasp-abs"]
densities = [0.2, 0.9]
width = 16
training = 20
test = 10
calibration = 30
"#;

    #[test]
    fn faults_name_the_key() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("a.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("written");
            Config::read(&path)
        };
        assert!(read(LIMIT).is_ok() && read(CURVES).is_ok());
        for (text, from, to, named) in [
            (LIMIT, "probes = 4", "probes = 1", "probes"),
            (LIMIT, "probes", "probe", "probe"),
            (LIMIT, "[16, 32, 64]", "[16, 16, 64]", "widths"),
            (LIMIT, "[0.2]", "[1.0]", "densities"),
            (LIMIT, "\"snip\"", "\"grasp\"", "methods"),
            (LIMIT, "\"snip\"", "\"magic\"", "magic"),
            (LIMIT, "[1, 2]", "[]", "seeds"),
            (LIMIT, "signal = 0.5", "signal = -1.0", "signal"),
            (CURVES, "[3, 8]", "[3, 3]", "classes"),
            (CURVES, "\"grasp-abs\"", "\"nystrom\"", "methods"),
            (CURVES, "training = 20", "training = 2", "training"),
            (CURVES, "width = 16", "width = 16\ndimensions = 4", "dimensions"),
            (CURVES, "width = 16", "width = 16\nridge = -1.0", "ridge"),
        ] {
            assert!(text.contains(from), "{from}");
            let message = read(&text.replacen(from, to, 1)).expect_err(to).to_string();
            assert!(message.contains(named), "{to}: {message}");
        }
    }
}
