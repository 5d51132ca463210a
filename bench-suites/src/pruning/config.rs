//! What is to be measured: a TOML file.

use super::PruningError;
use super::contender::Contender;
use super::study::Architecture;
use super::{sweep, tickets};
use crate::local;
use secateur_nn::data::DataSet;
use secateur_prune::Scope;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// An experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What the table and the plot say first.
    pub title: String,
    /// The network.
    pub network: Architecture,
    /// The data set.
    pub data: DataSet,
    /// How many training images, drawn with seed 0; all if not given.
    #[serde(default)]
    pub training_images: Option<usize>,
    /// One run each: weights, order of the data, calibration, random scores.
    pub seeds: Vec<u64>,
    /// Worker threads.
    pub threads: usize,
    /// How a network is trained.
    pub training: Fit,
    /// What is asked.
    pub question: Question,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// How accuracy, and perhaps verified accuracy, falls with sparsity.
    Sparsity(Sweep),
    /// Whether early weights and the places of what is left matter.
    Tickets(Tickets),
}

/// Accuracy against sparsity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sweep {
    /// The methods.
    pub methods: Vec<Contender>,
    /// The shares that are removed: of weights, or of units at the scopes of units.
    pub sparsities: Vec<f64>,
    /// Training images that criteria look at, drawn with the run's seed.
    pub calibration: usize,
    /// The training after pruning a trained network.
    pub fine_tuning: Fit,
    /// Verify what is left, too.
    #[serde(default)]
    pub verification: Option<Verification>,
}

/// Lottery tickets: iterative magnitude pruning with rewinding, against two controls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tickets {
    /// The share of weights that is removed in the end.
    pub sparsity: f64,
    /// Rounds of training and pruning, each by the same factor of what is left.
    pub rounds: usize,
    /// Weights are put back to those after so many epochs.
    pub rewind_epochs: usize,
}

/// What is verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Verification {
    /// The radius in the maximum norm, for pixels in $[0, 1]$: a decimal or a quotient such as `2/255`.
    pub radius: String,
    /// How many test images, the first.
    pub images: usize,
    /// Seconds per image.
    pub timeout: f64,
}

/// A training: Adam on cross-entropy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Fit {
    /// Passes over the data.
    pub epochs: usize,
    /// Samples per step.
    #[serde(default = "Fit::batch")]
    pub batch: usize,
    /// The largest step size.
    pub rate: f64,
    /// The step size over time.
    #[serde(default)]
    pub decay: Decay,
    /// Mirror half of the images.
    #[serde(default)]
    pub flip: bool,
    /// Shift images by up to so many pixels.
    #[serde(default)]
    pub crop: usize,
}

/// The step size over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Along half a cosine to 0.
    #[default]
    Cosine,
    /// Always the same.
    Constant,
}

impl Fit {
    fn batch() -> usize {
        128
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// The file cannot be read, has unknown keys, or a value makes no sense.
    pub fn read(path: &Path) -> Result<Self, PruningError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| PruningError::Io { path: path.to_owned(), source })?;
        let config: Self = toml::from_str(&text)
            .map_err(|source| PruningError::Config { path: path.to_owned(), source: Box::new(source) })?;
        let fault = |(key, expected, found)| PruningError::Value { path: path.to_owned(), key, expected, found };
        config.check().map_err(fault)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), (&'static str, &'static str, String)> {
        let rule = |holds: bool, key, expected, found: &dyn std::fmt::Debug| match holds {
            true => Ok(()),
            false => Err((key, expected, format!("{found:?}"))),
        };
        rule(self.training_images != Some(0), "training-images", "at least one image", &self.training_images)?;
        let distinct: BTreeSet<u64> = self.seeds.iter().copied().collect();
        let seeds = !distinct.is_empty() && distinct.len() == self.seeds.len();
        rule(seeds, "seeds", "at least one, all different", &self.seeds)?;
        let removed = |s: &f64| (0.0..1.0).contains(s);
        match &self.question {
            Question::Sparsity(Sweep { methods, sparsities, calibration, verification, .. }) => {
                rule(*calibration > 0, "calibration", "at least one image", calibration)?;
                rule(!methods.is_empty(), "methods", "at least one method", methods)?;
                for (place, contender) in methods.iter().enumerate() {
                    let name = contender.to_string();
                    let whole = !matches!(contender.scope, Scope::Pattern { .. });
                    rule(whole, "methods", "a scope with a sparsity of its own choice", &name)?;
                    rule(!methods[..place].contains(contender), "methods", "every method once", &name)?;
                    let fits = contender.settings(0.5, 0).budget.check().is_ok();
                    rule(fits, "methods", "a scope that goes with the method", &name)?;
                }
                let good = !sparsities.is_empty() && sparsities.iter().all(removed);
                rule(good, "sparsities", "shares from 0 to below 1", sparsities)?;
                if let Some(Verification { radius, images, timeout }) = verification {
                    rule(local::radius(radius).is_some(), "radius", "a positive decimal or quotient", radius)?;
                    rule(*images > 0, "images", "at least one image", images)?;
                    rule(*timeout > 0.0 && timeout.is_finite(), "timeout", "a positive number of seconds", timeout)?;
                }
                Ok(())
            }
            Question::Tickets(Tickets { sparsity, rounds, rewind_epochs }) => {
                rule(removed(sparsity), "sparsity", "a share from 0 to below 1", sparsity)?;
                rule(*rounds > 0, "rounds", "at least one", rounds)?;
                let fewer = *rewind_epochs < self.training.epochs;
                rule(fewer, "rewind-epochs", "fewer epochs than those of the training", rewind_epochs)?;
                // Where the step size falls, the first epochs of a long training are not a short training.
                let steady = *rewind_epochs == 0 || self.training.decay == Decay::Constant;
                rule(
                    steady,
                    "decay",
                    "`constant` where weights are rewound to a later epoch than 0",
                    &self.training.decay,
                )
            }
        }
    }

    /// The names of the curves, in order.
    pub fn series(&self) -> Vec<String> {
        match &self.question {
            Question::Sparsity(sweep) => {
                let methods = sweep.methods.iter().map(ToString::to_string);
                std::iter::once(sweep::UNPRUNED.to_owned()).chain(methods).collect()
            }
            Question::Tickets(_) => tickets::SERIES.map(str::to_owned).to_vec(),
        }
    }

    /// How many points there will be.
    pub fn points(&self) -> usize {
        self.seeds.len()
            * match &self.question {
                Question::Sparsity(sweep) => 1 + sweep.methods.len() * sweep.sparsities.len(),
                Question::Tickets(tickets) => 1 + 3 * tickets.rounds,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
title = "a title"
network = "mlp:784-8-10"
data = "mnist"
seeds = [1, 2]
threads = 1
[training]
epochs = 2
rate = 0.001
[question.sparsity]
methods = ["magnitude", "snip at-init"]
sparsities = [0.5, 0.9]
calibration = 4
[question.sparsity.fine-tuning]
epochs = 1
rate = 0.001
[question.sparsity.verification]
radius = "2/255"
images = 3
timeout = 1.0
"#;

    fn refused(from: &str, to: &str) -> String {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("a.toml");
        assert!(GOOD.contains(from), "{from}");
        std::fs::write(&path, GOOD.replacen(from, to, 1)).expect("written");
        Config::read(&path).expect_err("a fault").to_string()
    }

    #[test]
    fn faults_name_the_key() {
        let config: Config = toml::from_str(GOOD).expect("a configuration");
        assert_eq!(config.points(), 10);
        for (from, to, named) in [
            ("calibration", "calibrations", "calibrations"),
            ("epochs", "epoch", "epoch"),
            ("radius", "epsilon", "epsilon"),
            ("methods", "method", "method"),
            ("question.sparsity]", "question.density]", "density"),
            ("calibration = 4", "calibration = 0", "calibration: expected at least one image"),
            ("[1, 2]", "[1, 1]", "seeds"),
            ("[0.5, 0.9]", "[1.0]", "sparsities"),
            ("2/255", "2/0", "radius"),
            ("timeout = 1.0", "timeout = 0.0", "timeout"),
            ("\"magnitude\"", "\"wanda 2:4\"", "wanda 2:4"),
            ("\"magnitude\"", "\"magic\"", "magic"),
            ("mlp:784-8-10", "mlp:784", "mlp:784"),
        ] {
            let message = refused(from, to);
            assert!(message.contains(named), "{from}: {message}");
        }
    }
}
