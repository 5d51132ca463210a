//! Scalar functions of a network's output, with their derivatives.

use crate::eval::Number;
use secateur_linalg::Tensor;

/// A scalar function $s(y)$ of the output.
pub trait Objective: Sync {
    /// $s(y)$ and $\nabla s(y)$.
    ///
    /// # Shapes
    /// The gradient has the output's shape.
    fn differentiate<N: Number>(&self, output: &Tensor<N>) -> (N, Tensor<N>);
}

/// $s(y) = \langle c, y \rangle$.
#[derive(Clone, Debug)]
pub struct Weighted {
    /// $c$, one weight per output entry.
    pub weights: Vec<f64>,
}

impl Objective for Weighted {
    #[track_caller]
    fn differentiate<N: Number>(&self, output: &Tensor<N>) -> (N, Tensor<N>) {
        assert_eq!(self.weights.len(), output.len(), "one weight per output entry");
        let weights: Vec<N> = self.weights.iter().map(|w| N::of(*w)).collect();
        let value = weights.iter().zip(output.data()).fold(N::default(), |sum, (w, y)| sum + *w * *y);
        (value, Tensor::new(output.shape().to_vec(), weights))
    }
}

/// $s(y) = \frac1n \sum_i \left(\ln \sum_k e^{y_{ik}} - y_{i \ell_i}\right)$: mean cross-entropy of the
/// softmax of each row with its label.
///
/// # Shapes
/// The output is read as one row per label.
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    /// $\ell$, one label per row.
    pub labels: Vec<usize>,
}

impl Objective for CrossEntropy {
    #[track_caller]
    fn differentiate<N: Number>(&self, output: &Tensor<N>) -> (N, Tensor<N>) {
        let rows = self.labels.len();
        assert!(rows > 0 && !output.is_empty() && output.len().is_multiple_of(rows), "one row of classes per label");
        let classes = output.len() / rows;
        let count = N::of(rows as f64);
        let (mut value, mut gradient) = (N::default(), Vec::with_capacity(output.len()));
        for (row, &label) in output.data().chunks_exact(classes).zip(&self.labels) {
            assert!(label < classes, "label {label} of {classes}");
            let largest = row.iter().fold(row[0], |a, b| if b.exceeds(a) { *b } else { a });
            let powers: Vec<N> = row.iter().map(|y| (*y - largest).exp()).collect();
            let sum = powers.iter().fold(N::default(), |sum, p| sum + *p);
            value += (sum.ln() + largest - row[label]) / count;
            let hit = |k| if k == label { N::of(1.0) } else { N::default() };
            gradient.extend(powers.iter().enumerate().map(|(k, p)| (*p / sum - hit(k)) / count));
        }
        (value, Tensor::new(output.shape().to_vec(), gradient))
    }
}

/// $s(y) = \frac1n \sum_i (y_i - t_i)^2$ over all $n$ entries.
#[derive(Clone, Debug)]
pub struct MeanSquaredError {
    /// $t$, one target per output entry.
    pub targets: Vec<f64>,
}

impl Objective for MeanSquaredError {
    #[track_caller]
    fn differentiate<N: Number>(&self, output: &Tensor<N>) -> (N, Tensor<N>) {
        assert_eq!(self.targets.len(), output.len(), "one target per output entry");
        let count = N::of(output.len() as f64);
        let residuals: Vec<N> = output.data().iter().zip(&self.targets).map(|(y, t)| *y - N::of(*t)).collect();
        let value = residuals.iter().fold(N::default(), |sum, r| sum + *r * *r) / count;
        let gradient = residuals.iter().map(|r| N::of(2.0) * *r / count).collect();
        (value, Tensor::new(output.shape().to_vec(), gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_of_equal_scores() {
        let (value, gradient) = CrossEntropy { labels: vec![1] }.differentiate(&Tensor::vector(vec![3.0, 3.0_f64]));
        // One rounding each in exp, ln and the quotients.
        assert!((value - 2.0_f64.ln()).abs() < 1e-15);
        assert_eq!(gradient.data(), [0.5, -0.5]);
    }

    #[test]
    fn cross_entropy_of_large_scores_is_finite() {
        let (value, _) = CrossEntropy { labels: vec![0] }.differentiate(&Tensor::vector(vec![1e4, -1e4_f64]));
        assert_eq!(value, 0.0);
    }

    #[test]
    fn squared_error() {
        let loss = MeanSquaredError { targets: vec![1.0, 0.0] };
        let (value, gradient) = loss.differentiate(&Tensor::vector(vec![3.0, 1.0_f64]));
        assert_eq!((value, gradient.data()), (2.5, &[2.0, 1.0][..]));
    }
}
