//! Second-order Taylor expansion of the loss.

use super::{Criterion, Needs, Saliency, names};
use crate::calibration::{Calibration, gradients, hessian_products};
use crate::error::PruneError;
use crate::weights::weights;
use secateur_nn::graph::Graph;
use std::collections::BTreeMap;

/// $S_i = \left| w_i\, g_i - \tfrac12\, w_i\, (H w)_i \right|$ with $g = \nabla \mathcal L$, $H = \nabla^2 \mathcal L$.
///
/// Before the absolute value the scores add up to the second-order estimate of what the loss falls by when all weights
/// become 0, $g^\top w - \tfrac12 w^\top H w$: each weight gets its row's share. One Hessian-vector product.
///
/// # Source
/// The expansion is that of Optimal Brain Damage (LeCun, Denker, Solla 1990). Keeping whole rows of $H$ where that
/// paper keeps the diagonal is ours.
#[derive(Clone, Copy, Debug)]
pub struct Taylor2;

impl Criterion for Taylor2 {
    fn name(&self) -> &'static str {
        "taylor2"
    }

    fn needs(&self) -> Needs {
        Needs::Targets
    }

    fn score(&self, graph: &Graph, calibration: Option<&Calibration>) -> Result<Saliency, PruneError> {
        let calibration = calibration.ok_or(PruneError::NoData { criterion: self.name() })?;
        let names = names(graph)?;
        let mut gradients = gradients(graph, calibration, &names, 1.0, self.name())?;
        let direction: BTreeMap<_, _> = weights(graph)?.into_iter().map(|w| (w.name.clone(), w.numbers())).collect();
        let products = hessian_products(graph, calibration, &direction, 1.0, self.name())?;
        for (name, gradient) in &mut gradients {
            gradient.data_mut().iter_mut().zip(products[name].data()).for_each(|(g, p)| *g -= 0.5 * p);
        }
        Saliency::by_pair(graph, &gradients, |w, g| (w * g).abs())
    }
}
