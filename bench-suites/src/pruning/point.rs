//! What is measured of a network.

use super::PruningError;
use super::config::Verification;
use super::study::{Ears, Halted, Study};
use crate::local;
use crate::robustness::{Classifier, Verdict, centre};
use crate::watcher::Watcher;
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_nn::train::evaluate;
use secateur_prune::saliency::{Criterion, Synflow};
use secateur_prune::weights::weights;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// One network at one sparsity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The run.
    pub seed: u64,
    /// The curve it belongs to.
    pub series: String,
    /// The share that was to be removed.
    pub sparsity: f64,
    /// What is left of each weight tensor, in the order of the network.
    pub layers: Vec<Layer>,
    /// Whether no path of kept weights leads from an input to an output any more: the network is constant.
    pub severed: bool,
    /// Accuracy on the test data right after pruning, before training went on.
    pub before: Option<f64>,
    /// Accuracy on the test data in the end.
    pub accuracy: f64,
    /// Mean cross-entropy on the test data in the end.
    pub loss: f64,
    /// Verdicts on the first test images, where they were asked for.
    pub verdicts: Option<Verdicts>,
    /// Seconds for pruning, training, evaluation and verification.
    pub seconds: f64,
}

/// What is left of a weight tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Entries kept.
    pub kept: usize,
    /// Entries.
    pub all: usize,
}

/// How many images have which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    /// Right, and proved to stay so on the ball.
    pub robust: usize,
    /// Right, but not everywhere on the ball.
    pub not_robust: usize,
    /// Right, and undecided on the ball within the limit.
    pub unknown: usize,
    /// Wrong.
    pub misclassified: usize,
}

impl Verdicts {
    /// All images.
    pub fn all(&self) -> usize {
        self.robust + self.not_robust + self.unknown + self.misclassified
    }

    /// The share that is verified.
    pub fn verified(&self) -> f64 {
        self.robust as f64 / self.all().max(1) as f64
    }

    /// The share that is not falsified: an upper bound of the share that a verifier without limits would verify.
    pub fn not_falsified(&self) -> f64 {
        (self.robust + self.unknown) as f64 / self.all().max(1) as f64
    }
}

impl Point {
    /// Entries kept of all weight tensors, and all of them.
    pub fn kept(&self) -> (usize, usize) {
        self.layers.iter().fold((0, 0), |(kept, all), layer| (kept + layer.kept, all + layer.all))
    }

    /// Names of the weight tensors of which nothing is left.
    pub fn empty(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().filter(|layer| layer.kept == 0).map(|layer| layer.name.as_str())
    }
}

/// Whose point it is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The run.
    pub seed: u64,
    /// The curve.
    pub series: &'a str,
    /// The sparsity asked for.
    pub sparsity: f64,
    /// Accuracy before training went on.
    pub before: Option<f64>,
    /// When its computation began.
    pub begin: Instant,
}

/// Measures a network.
///
/// # Errors
/// It has a value that is not finite, or an operator that the verifier does not bound; the watcher stops a verification.
pub fn measure(
    study: &Study<'_>,
    graph: &Graph,
    masks: &Masks,
    place: Place<'_>,
    verification: Option<&Verification>,
    watcher: &dyn Watcher,
) -> Result<Point, PruningError> {
    let found = evaluate(graph, study.test())?;
    let verdicts = verification.map(|v| verdicts(study, graph, v, place.seed, watcher)).transpose()?;
    let Place { seed, series, sparsity, before, begin } = place;
    Ok(Point {
        seed,
        series: series.to_owned(),
        sparsity,
        layers: layers(graph, masks)?,
        severed: severed(&masks.apply(graph)?)?,
        before,
        accuracy: found.accuracy.unwrap_or(0.0),
        loss: found.loss,
        verdicts,
        seconds: begin.elapsed().as_secs_f64(),
    })
}

/// What masks leave of each weight tensor.
fn layers(graph: &Graph, masks: &Masks) -> Result<Vec<Layer>, PruningError> {
    let layer = |weight: secateur_prune::weights::Weight| {
        let all = weight.len();
        let kept = masks.get(&weight.name).map_or(all, |mask| mask.data().iter().filter(|keep| **keep).count());
        Layer { name: weight.name, kept, all }
    };
    Ok(weights(graph)?.into_iter().map(layer).collect())
}

/// Whether no path of weights other than 0 leads from an input to an output.
///
/// SynFlow's scores are sums over such paths of products of absolute values: all are 0 if and only if there is none, as long
/// as no product underflows `f64`.
fn severed(graph: &Graph) -> Result<bool, PruningError> {
    let flow = Synflow.score(graph, None)?;
    Ok(flow.scores.values().flat_map(|scores| scores.data()).all(|score| *score == 0.0))
}

/// Verdicts on the first test images.
fn verdicts(
    study: &Study<'_>,
    graph: &Graph,
    asked: &Verification,
    seed: u64,
    watcher: &dyn Watcher,
) -> Result<Verdicts, PruningError> {
    let radius = local::radius(&asked.radius).ok_or_else(|| PruningError::Value {
        path: "configuration".into(),
        key: "radius",
        expected: "a positive decimal or quotient",
        found: asked.radius.clone(),
    })?;
    let images = study.images().get(..asked.images).ok_or(PruningError::TooFewImages {
        key: "images",
        expected: asked.images,
        found: study.images().len(),
    })?;
    let settings = secateur_verify::Settings {
        timeout: Some(Duration::from_secs_f64(asked.timeout)),
        threads: study.config.threads,
        seed,
        ..secateur_verify::Settings::default()
    };
    let classifier = Classifier::new(graph)?;
    let mut verdicts = Verdicts::default();
    for image in images {
        if classifier.predict(image)? != image.label {
            verdicts.misclassified += 1;
            continue;
        }
        let verdict = classifier.decide(&centre(image), image.label, &radius, None, &settings, &Ears(watcher))?;
        if watcher.stop() {
            return Err(Halted::Stopped.into());
        }
        match verdict {
            Verdict::Robust => verdicts.robust += 1,
            Verdict::NotRobust => verdicts.not_robust += 1,
            Verdict::Unknown => verdicts.unknown += 1,
        }
    }
    Ok(verdicts)
}
