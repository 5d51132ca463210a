//! The eigenvalues of a kernel, and what they say in a few numbers.

use crate::TheoryError;
use secateur_linalg::spectrum::symmetric_eigenvalues;
use serde::{Deserialize, Serialize};

/// $\lambda_1 \ge \lambda_2 \ge \dots$ of a kernel matrix, with summaries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Spectrum {
    /// $\lambda_i$, the largest first.
    pub eigenvalues: Vec<f64>,
    /// $\sum_i \lambda_i$.
    pub trace: f64,
    /// $\sum_i \lambda_i / \lambda_1$: how many directions there are, counted by size.
    pub effective_rank: f64,
    /// $\sum_{i \le 5} \lambda_i / \sum_i \lambda_i$.
    pub top_five: f64,
    /// $\lambda_1 / \lambda_n$; none where $\lambda_n$ is not above the roundoff of $\lambda_1$.
    pub condition: Option<f64>,
    /// $\alpha$ of $\lambda_i \sim i^{-\alpha}$: the least-squares slope of the logarithms for $i$ from $\sqrt n$ to $n/2$, where
    /// neither the largest few nor the smallest bend it; none for fewer than 16 values, or where they reach the roundoff.
    pub decay: Option<f64>,
}

impl Spectrum {
    /// Of a symmetric matrix.
    ///
    /// # Shapes
    /// `kernel` is $n \times n$.
    ///
    /// # Errors
    /// Not $n^2$ numbers, none at all, one that is not finite, or a trace that is not positive.
    pub fn of(kernel: &[f64], n: usize) -> Result<Self, TheoryError> {
        if n == 0 || kernel.len() != n * n {
            return Err(TheoryError::Shape { name: "kernel", expected: vec![n, n], found: vec![kernel.len()] });
        }
        let range = |found| TheoryError::Range { name: "kernel", expected: "finite numbers, not all 0", found };
        let found = kernel.iter().copied().find(|v| !v.is_finite()).unwrap_or(0.0);
        let eigenvalues = symmetric_eigenvalues(kernel, n).ok_or_else(|| range(found))?;
        let trace: f64 = eigenvalues.iter().sum();
        if trace <= 0.0 {
            return Err(range(trace));
        }
        let (largest, smallest) = (eigenvalues[0], eigenvalues[n - 1]);
        let roundoff = n as f64 * f64::EPSILON * largest;
        let condition = (smallest > roundoff).then(|| largest / smallest);
        Ok(Self {
            trace,
            effective_rank: trace / largest,
            top_five: eigenvalues.iter().take(5).sum::<f64>() / trace,
            condition,
            decay: decay(&eigenvalues, roundoff),
            eigenvalues,
        })
    }
}

fn decay(eigenvalues: &[f64], roundoff: f64) -> Option<f64> {
    let n = eigenvalues.len();
    let range = (n as f64).sqrt() as usize..n / 2;
    if n < 16 || eigenvalues[range.end - 1] <= roundoff {
        return None;
    }
    let points: Vec<(f64, f64)> = range.map(|i| (((i + 1) as f64).ln(), eigenvalues[i].ln())).collect();
    let mean = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let (above, below) = points.iter().fold((0.0, 0.0), |(a, b), p| (a + (p.0 - x) * (p.1 - y), b + (p.0 - x).powi(2)));
    Some(-above / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagonal_matrix() {
        let n = 64;
        let mut kernel = vec![0.0; n * n];
        (0..n).for_each(|i| kernel[i * n + i] = ((i + 1) as f64).powi(-2));
        let found = Spectrum::of(&kernel, n).unwrap();
        // Exact but for the eigensolver's roundings and those of logarithms.
        assert!((found.decay.unwrap() - 2.0).abs() < 1e-9);
        assert!((found.condition.unwrap() - 4096.0).abs() < 1e-6);
        assert!((found.effective_rank - found.trace).abs() < 1e-12);
        assert!((found.top_five - (1.0 + 0.25 + 1.0 / 9.0 + 1.0 / 16.0 + 0.04) / found.trace).abs() < 1e-12);
    }

    #[test]
    fn singular_and_broken_kernels() {
        let rank_one: Vec<f64> = (0..400).map(|k| ((k / 20 + 1) * (k % 20 + 1)) as f64).collect();
        let found = Spectrum::of(&rank_one, 20).unwrap();
        assert_eq!((found.condition, found.decay), (None, None));
        assert!(Spectrum::of(&[f64::NAN], 1).is_err());
        assert!(Spectrum::of(&[0.0], 1).is_err());
        assert!(Spectrum::of(&[1.0, 2.0], 2).is_err());
        assert!(Spectrum::of(&[], 0).is_err());
    }
}
