//! Two classes of samples, centred and scaled to mean norm 1, in coordinates of their span.
//!
//! Gradients with respect to $w_1$ are combinations of samples, so the part of $w_1$ outside of the span of the samples never
//! changes and never reaches a sample. Coordinates with respect to an orthonormal basis of the span are exact, and there are
//! at most $N - 1$ of them, however many pixels there are.

use crate::error::TheoryError;
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::orthonormal::{RowBasis, row_basis};

/// Samples $x_s$ with labels $y_s = \pm 1$.
#[derive(Clone, Debug)]
pub struct Task {
    samples: usize,
    dimension: usize,
    inputs: Vec<f64>,
    labels: Vec<f64>,
    gram: Vec<f64>,
    basis: Vec<f64>,
    ambient: usize,
}

/// A sample whose part outside of the span of those before is shorter than this, relative to itself, is in that span: far above
/// the roundoff of sums of thousands of products, far below what real data do.
const RANK_TOLERANCE: f64 = 1e-9;

impl Task {
    /// Centres the inputs, scales them to mean norm 1, and finds their span.
    ///
    /// # Shapes
    /// `inputs` is $N \times d$, row-major; `labels` has $N$ entries.
    ///
    /// # Errors
    /// Sizes do not fit, a number is not finite, a label is not ±1, one class is missing, or all samples are the same.
    pub fn new(inputs: &[f64], labels: &[f64]) -> Result<Self, TheoryError> {
        let samples = labels.len();
        if samples == 0 || inputs.is_empty() || !inputs.len().is_multiple_of(samples) {
            let found = vec![inputs.len()];
            return Err(TheoryError::Shape { name: "inputs", expected: vec![samples, 1], found });
        }
        let range = |name, expected, found| Err(TheoryError::Range { name, expected, found });
        if let Some(bad) = inputs.iter().find(|v| !v.is_finite()) {
            return range("an input", "a finite number", *bad);
        }
        if let Some(bad) = labels.iter().find(|y| y.abs() != 1.0) {
            return range("a label", "1 or -1", *bad);
        }
        let total: f64 = labels.iter().sum();
        if total.abs() == samples as f64 {
            return range("the sum of labels", "samples of both classes", total);
        }
        let ambient = inputs.len() / samples;
        let mut centred = inputs.to_vec();
        for column in 0..ambient {
            let entries = || (0..samples).map(|s| s * ambient + column);
            let mean = entries().map(|k| inputs[k]).sum::<f64>() / samples as f64;
            entries().for_each(|k| centred[k] -= mean);
        }
        let norms = centred.chunks_exact(ambient).map(|x| x.iter().map(|v| v * v).sum::<f64>().sqrt());
        let mean = norms.sum::<f64>() / samples as f64;
        if mean <= 0.0 || !mean.is_finite() {
            return range("the mean norm of centred inputs", "a positive number", mean);
        }
        centred.iter_mut().for_each(|v| *v /= mean);
        let RowBasis { basis, coordinates, rank } = row_basis(&centred, samples, ambient, RANK_TOLERANCE);
        let x = View::new(&coordinates, samples, rank);
        let mut gram = vec![0.0; samples * samples];
        gemm(&mut gram, x, x.t(), false);
        let labels = labels.to_vec();
        Ok(Self { samples, dimension: rank, inputs: coordinates, labels, gram, basis, ambient })
    }

    /// $N$.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Coordinates of a sample: the dimension of the span.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Numbers of a sample before that.
    pub fn ambient(&self) -> usize {
        self.ambient
    }

    /// The samples, $N \times r$.
    pub fn inputs(&self) -> &[f64] {
        &self.inputs
    }

    /// Sample $s$.
    pub fn input(&self, sample: usize) -> &[f64] {
        &self.inputs[sample * self.dimension..(sample + 1) * self.dimension]
    }

    /// The labels.
    pub fn labels(&self) -> &[f64] {
        &self.labels
    }

    /// $x_s \cdot x_t$.
    pub fn product(&self, s: usize, t: usize) -> f64 {
        self.gram[s * self.samples + t]
    }

    /// The orthonormal basis of the span, $r \times d$.
    pub fn basis(&self) -> &[f64] {
        &self.basis
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_linalg::random::Random;

    #[test]
    fn inputs_are_centred_scaled_and_keep_their_products() {
        let (samples, ambient) = (7, 30);
        let mut inputs = vec![0.0; samples * ambient];
        let mut random = Random::new(1);
        inputs.iter_mut().for_each(|v| *v = 2.0 + random.normal());
        let labels = [1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0];
        let task = Task::new(&inputs, &labels).expect("a task");
        assert_eq!((task.samples(), task.dimension(), task.ambient()), (7, 6, 30), "centred samples sum to zero");
        let norms: f64 = (0..samples).map(|s| task.product(s, s).sqrt()).sum();
        assert!((norms / samples as f64 - 1.0).abs() < 1e-12);
        // Products of centred samples, by hand and up to the common scale.
        let mean = |j: usize| (0..samples).map(|s| inputs[s * ambient + j]).sum::<f64>() / samples as f64;
        let product = |s: usize, t: usize| {
            (0..ambient).map(|j| (inputs[s * ambient + j] - mean(j)) * (inputs[t * ambient + j] - mean(j))).sum::<f64>()
        };
        let scale = product(0, 0) / task.product(0, 0);
        for s in 0..samples {
            for t in 0..samples {
                assert!((product(s, t) - scale * task.product(s, t)).abs() < 1e-12 * scale);
            }
        }
    }

    #[test]
    fn what_is_no_task_is_refused() {
        let good = [0.0, 1.0, 2.0, 3.0];
        assert!(Task::new(&good, &[1.0, -1.0]).is_ok());
        for (inputs, labels) in [
            (&good[..3], &[1.0, -1.0][..]),
            (&[0.0, f64::NAN, 2.0, 3.0], &[1.0, -1.0]),
            (&good, &[1.0, 0.5]),
            (&good, &[1.0, 1.0]),
            (&[1.0; 4], &[1.0, -1.0]),
            (&[], &[]),
        ] {
            assert!(Task::new(inputs, labels).is_err(), "{inputs:?} {labels:?}");
        }
    }
}
