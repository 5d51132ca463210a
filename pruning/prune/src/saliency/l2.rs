//! The summands of the squared $\ell_2$ norm of a neuron or channel.

use super::{Criterion, Needs, Saliency};
use crate::calibration::Calibration;
use crate::error::PruneError;
use secateur_nn::graph::Graph;

/// $S_i = w_i^2$: a unit scores the mean of its entries, hence orders as $\lVert w \rVert_2$ among units of one size.
///
/// # Source
/// He et al. 2018, "Soft filter pruning". The mean over the whole unit is ours, as for `l1`.
#[derive(Clone, Copy, Debug)]
pub struct L2;

impl Criterion for L2 {
    fn name(&self) -> &'static str {
        "l2"
    }

    fn needs(&self) -> Needs {
        Needs::Nothing
    }

    fn score(&self, graph: &Graph, _: Option<&Calibration>) -> Result<Saliency, PruneError> {
        Saliency::by_entry(graph, |w| w * w)
    }
}
