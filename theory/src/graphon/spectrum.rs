//! Spectra of graphons and of masks.

use super::step::StepGraphon;
use crate::error::TheoryError;
use secateur_linalg::spectrum::{singular_values, symmetric_eigenvalues};

impl StepGraphon {
    /// The eigenvalues of $f \mapsto \int W(\cdot, v) f(v)\, dv$, from the largest absolute value.
    ///
    /// # Errors
    /// The graphon is not symmetric.
    pub fn eigenvalues(&self) -> Result<Vec<f64>, TheoryError> {
        let mut found = symmetric_eigenvalues(&self.operator()?, self.rows().len()).ok_or(TheoryError::Iteration)?;
        found.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
        Ok(found)
    }

    /// The singular values of the same operator, from the largest.
    ///
    /// # Errors
    /// The iteration fails (not seen).
    pub fn singular_values(&self) -> Result<Vec<f64>, TheoryError> {
        singular_values(&self.weighted(), self.rows().len(), self.cols().len()).ok_or(TheoryError::Iteration)
    }
}

/// What a spectrum says in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Energy {
    /// $\sum_i s_i^2$, which is $\int W^2$.
    pub total: f64,
    /// The share of the largest five, $\sum_{i \le 5} s_i^2 / \sum_i s_i^2$.
    pub top5: f64,
    /// $\sum_i s_i / s_1$: how many values as large as the largest the sum amounts to.
    pub effective_rank: f64,
}

/// The energy of singular values that fall.
///
/// # Errors
/// There is no positive one.
pub fn energy(singular_values: &[f64]) -> Result<Energy, TheoryError> {
    let total: f64 = singular_values.iter().map(|s| s * s).sum();
    if !(total > 0.0 && total.is_finite()) {
        return Err(TheoryError::Range { name: "energy of a spectrum", expected: "a positive number", found: total });
    }
    let top5 = singular_values.iter().take(5).map(|s| s * s).sum::<f64>() / total;
    let effective_rank = singular_values.iter().sum::<f64>() / singular_values[0];
    Ok(Energy { total, top5, effective_rank })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_has_one_singular_value() {
        let w = StepGraphon::at_midpoints(40, 60, |u, v| u * v).unwrap();
        let found = w.singular_values().unwrap();
        // The midpoint rule for u² with 40 and 60 points: 1/3 - 1/(12 n²).
        let expected = ((1.0 / 3.0 - 1.0 / 19200.0) * (1.0 / 3.0 - 1.0 / 43200.0_f64)).sqrt();
        assert!((found[0] - expected).abs() < 1e-12 && found[1] < 1e-12, "{found:?}");
        let found = energy(&found).unwrap();
        assert!((found.top5 - 1.0).abs() < 1e-12 && (found.effective_rank - 1.0).abs() < 1e-9);
        assert!(energy(&[0.0]).is_err() && energy(&[]).is_err());
    }
}
