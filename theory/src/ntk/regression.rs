//! Kernel ridge regression: what a wide network of that kernel predicts once it is trained to the end.

use crate::TheoryError;
use secateur_linalg::cholesky;

/// $\alpha = (K + \lambda I)^{-1} Y$; predictions are $K(x, X)\,\alpha$.
#[derive(Clone, Debug)]
pub struct Ridge {
    samples: usize,
    outputs: usize,
    coefficients: Vec<f64>,
    norm: f64,
}

impl Ridge {
    /// Fits targets.
    ///
    /// # Shapes
    /// `kernel` is $n \times n$, `targets` $n \times m$.
    ///
    /// # Errors
    /// They do not fit, the ridge is negative, or $K + \lambda I$ is not positive definite in `f64`.
    pub fn fit(kernel: &[f64], samples: usize, targets: &[f64], ridge: f64) -> Result<Self, TheoryError> {
        if samples == 0 || kernel.len() != samples * samples {
            let (expected, found) = (vec![samples.max(1), samples.max(1)], vec![kernel.len()]);
            return Err(TheoryError::Shape { name: "kernel", expected, found });
        }
        if targets.is_empty() || !targets.len().is_multiple_of(samples) {
            let (expected, found) = (vec![samples], vec![targets.len()]);
            return Err(TheoryError::Shape { name: "targets", expected, found });
        }
        if !(ridge.is_finite() && ridge >= 0.0) {
            return Err(TheoryError::Range { name: "ridge", expected: "a number, at least 0", found: ridge });
        }
        let mut sum = kernel.to_vec();
        sum.iter_mut().step_by(samples + 1).for_each(|v| *v += ridge);
        let factor = cholesky::factor(&sum, samples).ok_or(TheoryError::Singular { samples, ridge })?;
        let outputs = targets.len() / samples;
        let coefficients = cholesky::solve(&factor, samples, targets, outputs);
        let norm = targets.iter().zip(&coefficients).map(|(y, a)| y * a).sum();
        Ok(Self { samples, outputs, coefficients, norm })
    }

    /// Predictions from the kernel of other samples with those that were fitted.
    ///
    /// # Shapes
    /// `cross` is `others × n`, the result `others × m`.
    ///
    /// # Errors
    /// It does not fit.
    pub fn predict(&self, cross: &[f64]) -> Result<Vec<f64>, TheoryError> {
        if !cross.len().is_multiple_of(self.samples) {
            let (expected, found) = (vec![self.samples], vec![cross.len()]);
            return Err(TheoryError::Shape { name: "cross kernel", expected, found });
        }
        let row = |row: &[f64], k: usize| -> f64 {
            row.iter().zip(self.coefficients[k..].iter().step_by(self.outputs)).map(|(a, b)| a * b).sum()
        };
        let rows = cross.chunks_exact(self.samples);
        Ok(rows.flat_map(|values| (0..self.outputs).map(move |k| row(values, k))).collect())
    }

    /// $\operatorname{tr} Y^\top (K + \lambda I)^{-1} Y$: the squared norm of the interpolating function, without ridge.
    pub fn norm(&self) -> f64 {
        self.norm
    }
}

/// Targets of classes: $1 - 1/m$ for the class and $-1/m$ for the others of $m$; with two classes, one column of $\pm1$, the second
/// positive.
#[track_caller]
pub fn class_targets(labels: &[usize], classes: usize) -> Vec<f64> {
    assert!(classes >= 2 && labels.iter().all(|l| *l < classes), "labels below the number of classes");
    if classes == 2 {
        return labels.iter().map(|l| 2.0 * *l as f64 - 1.0).collect();
    }
    let share = 1.0 / classes as f64;
    labels.iter().flat_map(|l| (0..classes).map(move |k| f64::from(u8::from(k == *l)) - share)).collect()
}

/// The share of predictions whose largest entry, or sign for a single column, is the label's.
#[track_caller]
pub fn accuracy(predictions: &[f64], labels: &[usize]) -> f64 {
    assert!(!labels.is_empty() && predictions.len().is_multiple_of(labels.len()), "a row for every label");
    let rows = predictions.chunks_exact(predictions.len() / labels.len()).zip(labels);
    let right = rows.filter(|(row, label)| match row {
        [single] => usize::from(*single > 0.0) == **label,
        _ => (1..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best }) == **label,
    });
    right.count() as f64 / labels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation_without_ridge() {
        let kernel = [2.0, 1.0, 1.0, 3.0];
        let fit = Ridge::fit(&kernel, 2, &[1.0, 0.0, -1.0, 2.0], 0.0).unwrap();
        let back = fit.predict(&kernel).unwrap();
        // A 2 × 2 system with condition 3.
        assert!(back.iter().zip([1.0, 0.0, -1.0, 2.0]).all(|(a, b)| (a - b).abs() < 1e-14));
        // K⁻¹ = [3 -1; -1 2]/5: the columns give (3 + 2 + 2)/5 and 8/5.
        assert!((fit.norm() - 3.0).abs() < 1e-14, "{}", fit.norm());
    }

    #[test]
    fn a_ridge_shrinks() {
        let fit = Ridge::fit(&[1.0], 1, &[1.0], 1.0).unwrap();
        // The root of 2 is rounded.
        assert!((fit.predict(&[1.0]).unwrap()[0] - 0.5).abs() < 1e-15);
    }

    #[test]
    fn what_cannot_be_solved_is_refused() {
        assert!(matches!(Ridge::fit(&[1.0; 4], 2, &[1.0; 2], 0.0), Err(TheoryError::Singular { .. })));
        assert!(Ridge::fit(&[1.0; 4], 2, &[1.0; 2], 0.1).is_ok());
        assert!(matches!(Ridge::fit(&[1.0; 4], 2, &[1.0; 2], f64::NAN), Err(TheoryError::Range { .. })));
        assert!(matches!(Ridge::fit(&[1.0; 4], 2, &[1.0; 3], 0.0), Err(TheoryError::Shape { .. })));
        assert!(matches!(Ridge::fit(&[], 0, &[], 0.0), Err(TheoryError::Shape { .. })));
    }

    #[test]
    fn classes_and_their_accuracy() {
        assert_eq!(class_targets(&[0, 1], 2), [-1.0, 1.0]);
        assert_eq!(class_targets(&[1], 4), [-0.25, 0.75, -0.25, -0.25]);
        assert_eq!(accuracy(&[0.3, -0.2], &[1, 1]), 0.5);
        assert_eq!(accuracy(&[0.3, 0.4, 0.1, 1.0, 0.0, 0.5], &[1, 0]), 1.0);
    }
}
