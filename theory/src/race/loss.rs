//! Losses of one output against a label ±1, and their residuals $\rho = -\partial \ell / \partial f$.

use serde::{Deserialize, Serialize};

/// A loss; the loss of a network is the mean over samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// $\ell = \tfrac12 (f - y)^2$, $\rho = y - f$.
    Mse,
    /// $\ell = \ln(1 + e^{-y f})$, $\rho = y / (1 + e^{y f})$.
    Logistic,
}

impl Loss {
    /// The loss of an output.
    pub fn value(self, output: f64, label: f64) -> f64 {
        match self {
            Loss::Mse => 0.5 * (output - label).powi(2),
            Loss::Logistic => {
                let margin = output * label;
                (-margin).max(0.0) + (-margin.abs()).exp().ln_1p()
            }
        }
    }

    /// The residual $\rho$ of an output.
    pub fn residual(self, output: f64, label: f64) -> f64 {
        match self {
            Loss::Mse => label - output,
            Loss::Logistic => label / (1.0 + (output * label).exp()),
        }
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Loss::Mse => "mse",
            Loss::Logistic => "logistic",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_are_slopes() {
        let step = 1e-6;
        for loss in [Loss::Mse, Loss::Logistic] {
            for (f, y) in [(0.0, 1.0), (0.7, -1.0), (-2.0, -1.0), (3.0, 1.0)] {
                let slope = (loss.value(f + step, y) - loss.value(f - step, y)) / (2.0 * step);
                // Central differences: h² f''' and roundoff / h, both below 1e-9.
                assert!((slope + loss.residual(f, y)).abs() < 1e-9, "{loss} {f} {y}");
            }
        }
        assert!(Loss::Logistic.value(-800.0, 1.0) == 800.0 && Loss::Logistic.residual(800.0, 1.0) == 0.0);
    }
}
