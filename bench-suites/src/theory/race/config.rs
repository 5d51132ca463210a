//! What is to be measured: a TOML file.

use super::data::Source;
use crate::theory::configuration::{self, Fault, rule};
use crate::theory::{StudyError, distinct};
use secateur_theory::race::{Loss, Start};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// How the equations of motion are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Integrator {
    /// Gradient descent.
    Descent,
    /// Gradient flow.
    Flow,
}

impl fmt::Display for Integrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descent => "descent",
            Self::Flow => "flow",
        })
    }
}

/// A study: every combination of losses, starts, norms and integrators, with every seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What the page says first.
    pub title: String,
    /// Where samples come from.
    pub data: Source,
    /// The class with label 1, and the one with label -1.
    pub classes: [usize; 2],
    /// Samples of both classes together, half of each, drawn by the seed.
    pub samples: usize,
    /// Neurons.
    pub width: usize,
    /// One race each: samples and start.
    pub seeds: Vec<u64>,
    /// Losses.
    pub losses: Vec<Loss>,
    /// Starts.
    pub starts: Vec<Start>,
    /// Norms of a neuron at the start.
    pub norms: Vec<f64>,
    /// Integrators.
    pub integrators: Vec<Integrator>,
    /// The step size of descent.
    pub rate: f64,
    /// Steps of descent; flow ends at the same time, `rate * steps`.
    pub steps: usize,
    /// How often the race is looked at, in evenly spaced times.
    pub looks: usize,
    /// Neurons of one sign whose cosine is greater belong together.
    pub threshold: f64,
    /// Flips of descent that last for less are no change of the dataset.
    pub dwell: f64,
    /// Flips so long before a cluster splits count as before it.
    pub lag: f64,
    /// When closed forms begin.
    pub overlays: Vec<f64>,
    /// By how much a drive may turn, in radians, before its closed form is no longer drawn.
    pub turn: f64,
    /// When early alignment is read for tickets.
    pub early: f64,
    /// Neurons that race alone.
    pub tickets: Vec<usize>,
    /// The relative tolerance of flow.
    pub tolerance: f64,
    /// Flips of flow act at most so much too late.
    pub window: f64,
}

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kind {
    /// The loss.
    pub loss: Loss,
    /// The start.
    pub start: Start,
    /// The norm of a neuron at the start.
    pub norm: f64,
    /// The integrator.
    pub integrator: Integrator,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { loss, start, norm, integrator } = self;
        // Three hundred zeros are hard to read.
        match *norm < 1e-4 {
            true => write!(f, "{loss}, {start} start, σ {norm:e}, {integrator}"),
            false => write!(f, "{loss}, {start} start, σ {norm}, {integrator}"),
        }
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
        let positive = |v: &f64| *v > 0.0 && v.is_finite();
        let seeds = !self.seeds.is_empty() && distinct(&self.seeds);
        rule(seeds, "seeds", "at least one, all different", &self.seeds)?;
        let even = self.samples >= 2 && self.samples.is_multiple_of(2);
        rule(even, "samples", "an even number from 2", &self.samples)?;
        let limit = self.data.classes();
        let [first, second] = self.classes;
        let classes = first != second && limit.contains(&first) && limit.contains(&second);
        rule(classes, "classes", "two classes of the data", &self.classes)?;
        rule(self.width >= 2, "width", "at least two neurons", &self.width)?;
        let losses = !self.losses.is_empty() && distinct(&self.losses);
        rule(losses, "losses", "at least one, all different", &self.losses)?;
        let starts = !self.starts.is_empty() && distinct(&self.starts);
        rule(starts, "starts", "at least one, all different", &self.starts)?;
        let norms = !self.norms.is_empty() && self.norms.iter().all(positive) && distinct(&self.norms);
        rule(norms, "norms", "positive numbers, all different", &self.norms)?;
        let integrators = !self.integrators.is_empty() && distinct(&self.integrators);
        rule(integrators, "integrators", "at least one, all different", &self.integrators)?;
        rule(positive(&self.rate), "rate", "a positive number", &self.rate)?;
        rule(self.looks >= 2, "looks", "at least two", &self.looks)?;
        rule(self.steps >= self.looks, "steps", "a step for every look", &self.steps)?;
        rule((0.0..1.0).contains(&self.threshold), "threshold", "a number from 0 to below 1", &self.threshold)?;
        rule(positive(&self.dwell), "dwell", "a positive number", &self.dwell)?;
        rule(positive(&self.lag), "lag", "a positive number", &self.lag)?;
        rule(positive(&self.turn), "turn", "a positive number", &self.turn)?;
        let end = self.rate * self.steps as f64;
        let within = |time: &f64| (0.0..end).contains(time);
        let overlays = self.overlays.iter().all(within) && distinct(&self.overlays);
        rule(overlays, "overlays", "times before the end, all different", &self.overlays)?;
        rule(within(&self.early), "early", "a time before the end", &self.early)?;
        let tickets = self.tickets.iter().all(|count| (1..=self.width).contains(count)) && distinct(&self.tickets);
        rule(tickets, "tickets", "from 1 to as many neurons as there are, all different", &self.tickets)?;
        let tolerance = self.tolerance > 1e-14 && self.tolerance <= 1e-2;
        rule(tolerance, "tolerance", "a number above 1e-14 and at most 0.01", &self.tolerance)?;
        let window = self.window >= 0.0 && self.window.is_finite();
        rule(window, "window", "a number from 0", &self.window)
    }

    /// The combinations, in order.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for loss in &self.losses {
            for start in &self.starts {
                for norm in &self.norms {
                    for integrator in &self.integrators {
                        kinds.push(Kind { loss: *loss, start: *start, norm: *norm, integrator: *integrator });
                    }
                }
            }
        }
        kinds
    }

    /// The last time.
    pub fn end(&self) -> f64 {
        self.rate * self.steps as f64
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const GOOD: &str = r#"
title = "a title"
data = "mixture"
classes = [0, 1]
samples = 40
width = 24
seeds = [1, 2]
losses = ["mse", "logistic"]
starts = ["equal"]
norms = [1e-3]
integrators = ["descent", "flow"]
rate = 0.2
steps = 300
looks = 60
threshold = 0.99
dwell = 2.0
lag = 20.0
overlays = [0.0, 4.0]
turn = 0.1
early = 4.0
tickets = [6]
tolerance = 1e-6
window = 0.05
"#;

    #[test]
    fn faults_name_the_key() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("a.toml");
        std::fs::write(&path, GOOD).expect("written");
        assert_eq!(Config::read(&path).expect("a configuration").kinds().len(), 4);
        for (from, to, named) in [
            ("width = 24", "width = 24\nheight = 3", "height"),
            ("[1, 2]", "[1, 1]", "seeds"),
            ("samples = 40", "samples = 41", "samples"),
            ("[0, 1]", "[0, 0]", "classes"),
            ("[0, 1]", "[0, 7]", "classes"),
            ("\"mixture\"", "\"imagenet\"", "imagenet"),
            ("\"mse\", ", "\"hinge\", ", "hinge"),
            ("[1e-3]", "[nan]", "norms"),
            ("rate = 0.2", "rate = 0.0", "rate"),
            ("looks = 60", "looks = 301", "steps"),
            ("threshold = 0.99", "threshold = 1.0", "threshold"),
            ("lag = 20.0", "lag = 0.0", "lag"),
            ("[0.0, 4.0]", "[60.0]", "overlays"),
            ("[6]", "[25]", "tickets"),
            ("[6]", "[6, 6]", "tickets"),
            ("\"mse\", ", "\"logistic\", ", "losses"),
            ("[\"equal\"]", "[\"equal\", \"equal\"]", "starts"),
            ("[1e-3]", "[1e-3, 0.001]", "norms"),
            ("\"descent\", ", "\"flow\", ", "integrators"),
            ("[0.0, 4.0]", "[4.0, 4.0]", "overlays"),
            ("\"mixture\"\nclasses = [0, 1]", "\"digits\"\nclasses = [3, 12]", "classes"),
            ("tolerance = 1e-6", "tolerance = 1e-14", "tolerance"),
            ("tolerance = 1e-6", "tolerance = 0.1", "tolerance"),
            ("window = 0.05", "window = -1.0", "window"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            std::fs::write(&path, GOOD.replacen(from, to, 1)).expect("written");
            let message = Config::read(&path).expect_err("a fault").to_string();
            assert!(message.contains(named), "{from}: {message}");
        }
    }
}
