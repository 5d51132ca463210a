//! GraSP: gradient flow after pruning.

use super::{Criterion, Needs, Saliency, names};
use crate::calibration::{Calibration, gradients, hessian_products};
use crate::error::PruneError;
use secateur_nn::graph::Graph;

/// $S = \theta \odot H g$ or $|\theta \odot H g|$, with $g$ and $H$ of the loss of $f / T$, $T = 200$.
///
/// To first order, removing $\theta_i$ changes $\tfrac12\lVert g \rVert^2$ by $-\theta_i (H g)_i$. The paper's score is that
/// change, and it keeps the lowest; ours is its negative, since everywhere here the highest are kept. The absolute
/// variant keeps what matters most in either direction.
///
/// # Source
/// Wang, Zhang, Grosse 2020, "Picking winning tickets before training by preserving gradient flow", equation 8; the
/// temperature is that of their code. The absolute variant: arXiv 2602.06675.
#[derive(Clone, Copy, Debug)]
pub struct Grasp {
    absolute: bool,
}

impl Grasp {
    /// The paper's score.
    pub const SIGNED: Self = Self { absolute: false };
    /// Its absolute value.
    pub const ABSOLUTE: Self = Self { absolute: true };
    /// $T$.
    pub const TEMPERATURE: f64 = 200.0;
}

impl Criterion for Grasp {
    fn name(&self) -> &'static str {
        if self.absolute { "grasp-abs" } else { "grasp" }
    }

    fn needs(&self) -> Needs {
        Needs::Targets
    }

    fn score(&self, graph: &Graph, calibration: Option<&Calibration>) -> Result<Saliency, PruneError> {
        let calibration = calibration.ok_or(PruneError::NoData { criterion: self.name() })?;
        let gradients = gradients(graph, calibration, &names(graph)?, Self::TEMPERATURE, self.name())?;
        let products = hessian_products(graph, calibration, &gradients, Self::TEMPERATURE, self.name())?;
        let absolute = self.absolute;
        Saliency::by_pair(graph, &products, move |w, hg| if absolute { (w * hg).abs() } else { w * hg })
    }
}
