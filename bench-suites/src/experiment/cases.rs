//! The cases: correctly classified images, each with a radius and the class that comes nearest.

use super::ExperimentError;
use super::config::Config;
use crate::local;
use dashu_ratio::RBig;
use secateur_nn::data::images::{self, Image};
use secateur_nn::graph::Graph;
use secateur_nn::property::Property;
use secateur_verify::bounds;
use secateur_verify::lower::lower;
use secateur_verify::network::Network;
use secateur_verify::portfolio;
use secateur_verify::specification::Specification;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its number in the experiment.
    pub index: usize,
    /// The image's number in the data set.
    pub image: usize,
    /// Its class.
    pub class: usize,
    /// The class that the network scores second.
    pub attacked: usize,
    /// The radius, as the configuration has it.
    pub radius: String,
    /// The class scores above the attacked one on the whole box.
    pub property: Property,
}

/// A case in a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseRecord {
    /// Its number.
    pub index: usize,
    /// The image's number in the data set.
    pub image: usize,
    /// Its class.
    pub class: usize,
    /// The attacked class.
    pub attacked: usize,
    /// The radius.
    pub radius: String,
}

impl Case {
    /// The case in a record.
    pub fn record(&self) -> CaseRecord {
        let Case { index, image, class, attacked, ref radius, .. } = *self;
        CaseRecord { index, image, class, attacked, radius: radius.clone() }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image {} ({} against {}), radius {}", self.image, self.class, self.attacked, self.radius)
    }
}

/// The cases of an experiment.
///
/// # Errors
/// The images cannot be read or do not fit, a radius is none, or too few images are classified correctly.
pub fn choose(config: &Config, graph: &Graph, data: &Path) -> Result<Vec<Case>, ExperimentError> {
    let network = lower(graph)?;
    let images = images::load(config.data, data)?;
    let mut cases = Vec::new();
    let mut correct = 0;
    for (number, image) in images.iter().enumerate() {
        if correct == config.images {
            break;
        }
        let centre = centre(image, &network)?;
        let Some(attacked) = runner_up(&network, &centre, image.label) else { continue };
        correct += 1;
        for text in &config.radii {
            let radius = local::radius(text).ok_or_else(|| ExperimentError::Value {
                path: config.network.clone(),
                key: "radii",
                expected: "positive decimals or quotients",
                found: text.clone(),
            })?;
            let property = local::property(&centre, &radius, None, network.outputs(), image.label, &[attacked]);
            let (index, radius) = (cases.len(), text.clone());
            cases.push(Case { index, image: number, class: image.label, attacked, radius, property });
        }
    }
    if correct < config.images {
        return Err(ExperimentError::TooFewImages { expected: config.images, found: correct });
    }
    if let Some(most) = config.hardest {
        cases = hardest(&network, cases, most);
    }
    Ok(cases)
}

/// The pixels as exact numbers.
fn centre(image: &Image, network: &Network<f64>) -> Result<Vec<RBig>, ExperimentError> {
    if image.pixels.len() != network.inputs() {
        return Err(ExperimentError::Sizes { expected: image.pixels.len(), found: network.inputs() });
    }
    Ok(image.pixels.iter().map(|p| RBig::from(*p) / RBig::from(255)).collect())
}

/// The class with the highest score after the image's own, if that has the highest.
fn runner_up(network: &Network<f64>, centre: &[RBig], class: usize) -> Option<usize> {
    let input: Vec<f64> = centre.iter().map(|v| v.to_f64().value()).collect();
    let values = network.evaluate(&input, 1);
    let scores = &values[network.output()];
    let others = (0..scores.len()).filter(|other| *other != class);
    let attacked = others.max_by(|a, b| scores[*a].total_cmp(&scores[*b]))?;
    (class < scores.len() && scores[class] > scores[attacked]).then_some(attacked)
}

/// The cases with the most open ReLUs among those whose sign the root leaves open; in their order.
fn hardest(network: &Network<f64>, cases: Vec<Case>, most: usize) -> Vec<Case> {
    let mut open: Vec<(usize, Case)> = Vec::new();
    for case in cases {
        let specification = Specification::<f64>::new(&case.property);
        let region = &specification.regions[0];
        let boxes = region.boxes();
        let method = bounds::Method::AlphaCrown(portfolio::root_ascent());
        let (found, _) = bounds::bound(network, &boxes, method, &[], &|| false);
        let ends = |k: usize| found.lower[k].iter().zip(&found.upper[k]);
        let count = |k: usize| ends(k).filter(|(l, u)| **l < 0.0 && **u > 0.0).count();
        let relus: usize = network.activations().map(|(_, source, _)| count(source)).sum();
        let undecided = super::measure::root_lower(network, region, method) <= 0.0
            && super::measure::attacked(network, region, 0) > 0.0;
        if undecided {
            open.push((relus, case));
        }
    }
    open.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.index.cmp(&b.1.index)));
    open.truncate(most);
    open.into_iter().enumerate().map(|(index, (_, case))| Case { index, ..case }).collect()
}
