//! First-order Taylor expansion of the loss.

use super::{Criterion, Needs, Saliency, names};
use crate::calibration::{Calibration, gradients};
use crate::error::PruneError;
use secateur_nn::graph::Graph;

/// $S_i = \left| w_i\, \partial_{w_i} \mathcal L \right|$: the loss's first-order change when $w_i$ becomes 0.
///
/// # Source
/// Molchanov, Mallya, Tyree, Frosio, Kautz 2019, "Importance estimation for neural network pruning", equation 6, before the
/// square. They sum over the parameters of a filter before taking the size; our units sum the sizes, over all their weights.
#[derive(Clone, Copy, Debug)]
pub struct Taylor;

impl Criterion for Taylor {
    fn name(&self) -> &'static str {
        "taylor"
    }

    fn needs(&self) -> Needs {
        Needs::Targets
    }

    fn score(&self, graph: &Graph, calibration: Option<&Calibration>) -> Result<Saliency, PruneError> {
        let calibration = calibration.ok_or(PruneError::NoData { criterion: self.name() })?;
        let gradients = gradients(graph, calibration, &names(graph)?, 1.0, self.name())?;
        Saliency::by_pair(graph, &gradients, |w, g| (w * g).abs())
    }
}
