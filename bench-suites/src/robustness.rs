//! Whether a network keeps the class of an image on a ball around it.

use crate::local;
use dashu_ratio::RBig;
use secateur_linalg::Tensor;
use secateur_nn::data::Image;
use secateur_nn::error::NnError;
use secateur_nn::eval::Evaluator;
use secateur_nn::graph::Graph;
use secateur_nn::property::Norm;
use secateur_verify::{Observer, Outcome, Settings, VerifyError};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The class scores strictly above every other one on the whole ball: proved.
    Robust,
    /// A point of the ball has another class: shown exactly.
    NotRobust,
    /// Neither, for lack of time or of means.
    Unknown,
}

impl Verdict {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Robust => "robust",
            Verdict::NotRobust => "not-robust",
            Verdict::Unknown => "unknown",
        }
    }
}

/// A network that takes pixels in $[0, 1]$ and gives a score per class.
pub struct Classifier<'a> {
    graph: &'a Graph,
    executed: Evaluator<f32>,
}

impl<'a> Classifier<'a> {
    /// The classifier of a network.
    ///
    /// # Errors
    /// The network cannot be evaluated.
    pub fn new(graph: &'a Graph) -> Result<Self, NnError> {
        Ok(Self { graph, executed: Evaluator::new(graph)? })
    }

    /// The class with the highest score in `f32`; the last of equal ones.
    ///
    /// # Errors
    /// A value is not finite.
    pub fn predict(&self, image: &Image) -> Result<usize, NnError> {
        let input = image.pixels.iter().map(|p| f32::from(*p) / 255.0).collect();
        let shape = self.graph.node(self.graph.input()).shape.clone();
        let scores = self.executed.forward(&Tensor::new(shape, input))?.into_data();
        let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        Ok(best.unwrap_or(0))
    }

    /// Whether `label` scores above every other class on the ball of `radius` around `centre`, cut to $[0, 1]$.
    ///
    /// # Errors
    /// The network has an operator that is not bounded.
    pub fn decide(
        &self,
        centre: &[RBig],
        label: usize,
        radius: &RBig,
        norm: Option<Norm>,
        settings: &Settings,
        observer: &dyn Observer,
    ) -> Result<Verdict, VerifyError> {
        let classes: usize = self.graph.node(self.graph.output()).shape.iter().product();
        let others: Vec<usize> = (0..classes).filter(|class| *class != label).collect();
        if others.is_empty() {
            return Ok(Verdict::Robust);
        }
        let property = local::property(centre, radius, norm, classes, label, &others);
        let report = secateur_verify::verify(self.graph, &property, settings, observer)?;
        Ok(match report.outcome {
            Outcome::Unsat => Verdict::Robust,
            Outcome::Sat(_) => Verdict::NotRobust,
            Outcome::Unknown(_) | Outcome::Timeout | Outcome::Interrupted => Verdict::Unknown,
        })
    }
}

/// The pixels as exact numbers in $[0, 1]$.
pub fn centre(image: &Image) -> Vec<RBig> {
    image.pixels.iter().map(|p| RBig::from(*p) / RBig::from(255)).collect()
}
