//! The summands of the $\ell_1$ norm of a neuron or channel.

use super::{Criterion, Needs, Saliency};
use crate::calibration::Calibration;
use crate::error::PruneError;
use secateur_nn::graph::Graph;

/// $S_i = |w_i|$: a unit scores the mean of its entries, hence orders as $\lVert w \rVert_1$ among units of one size.
///
/// # Source
/// Li, Kadav, Durdanovic, Samet, Graf 2017, "Pruning filters for efficient ConvNets". The mean over the whole unit (rows, and the columns that read it), relative to that of its layer, instead of the sum over its filter is ours: it makes layers comparable.
#[derive(Clone, Copy, Debug)]
pub struct L1;

impl Criterion for L1 {
    fn name(&self) -> &'static str {
        "l1"
    }

    fn needs(&self) -> Needs {
        Needs::Nothing
    }

    fn score(&self, graph: &Graph, _: Option<&Calibration>) -> Result<Saliency, PruneError> {
        Saliency::by_entry(graph, f64::abs)
    }
}
