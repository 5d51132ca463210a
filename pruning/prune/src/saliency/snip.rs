//! SNIP: connection sensitivity at initialisation.

use super::{Criterion, Needs, Saliency, names};
use crate::calibration::{Calibration, gradients};
use crate::error::PruneError;
use secateur_nn::graph::Graph;

/// $S_i = |w_i\, \partial_{w_i} \mathcal L| \,/\, \sum_j |w_j\, \partial_{w_j} \mathcal L|$.
///
/// The derivative of the loss in a factor $c_i = 1$ of $w_i$, normalised over the network. Where all vanish, all are 0.
///
/// # Source
/// Lee, Ajanthan, Torr 2019, "SNIP: single-shot network pruning based on connection sensitivity", equations 5 and 6.
#[derive(Clone, Copy, Debug)]
pub struct Snip;

impl Criterion for Snip {
    fn name(&self) -> &'static str {
        "snip"
    }

    fn needs(&self) -> Needs {
        Needs::Targets
    }

    fn score(&self, graph: &Graph, calibration: Option<&Calibration>) -> Result<Saliency, PruneError> {
        let calibration = calibration.ok_or(PruneError::NoData { criterion: self.name() })?;
        let gradients = gradients(graph, calibration, &names(graph)?, 1.0, self.name())?;
        let mut saliency = Saliency::by_pair(graph, &gradients, |w, g| (w * g).abs())?;
        let total: f64 = saliency.scores.values().flat_map(|scores| scores.data()).sum();
        if total > 0.0 {
            saliency.scores.values_mut().flat_map(|scores| scores.data_mut()).for_each(|s| *s /= total);
        }
        Ok(saliency)
    }
}
