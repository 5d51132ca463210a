//! Magnitude pruning.

use super::{Criterion, Needs, Saliency};
use crate::calibration::Calibration;
use crate::error::PruneError;
use secateur_nn::graph::Graph;

/// $S_i = |w_i|$.
///
/// # Source
/// Han, Pool, Tran, Dally 2015, "Learning both weights and connections for efficient neural networks".
#[derive(Clone, Copy, Debug)]
pub struct Magnitude;

impl Criterion for Magnitude {
    fn name(&self) -> &'static str {
        "magnitude"
    }

    fn needs(&self) -> Needs {
        Needs::Nothing
    }

    fn score(&self, graph: &Graph, _: Option<&Calibration>) -> Result<Saliency, PruneError> {
        Saliency::by_entry(graph, f64::abs)
    }
}
