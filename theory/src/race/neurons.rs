//! The neurons of the hidden layer: $w_{1,\alpha}$ in coordinates of the samples' span, and $w_{2,\alpha}$.

use super::task::Task;
use crate::error::TheoryError;
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::random::Random;
use serde::{Deserialize, Serialize};

/// How the neurons start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// $\|w_1\| = |w_2| = \sigma$ for every neuron, directions uniform, as many positive as negative $w_2$: nothing but the
    /// direction tells neurons of one sign apart.
    Equal,
    /// $w_1 \sim \mathcal N(0, \sigma^2 I / d)$, $w_2 \sim \mathcal N(0, \sigma^2)$: norms differ from the start.
    Gaussian,
}

impl std::fmt::Display for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Start::Equal => "equal",
            Start::Gaussian => "gaussian",
        })
    }
}

/// The weights of one hidden layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Neurons {
    dimension: usize,
    pub(super) w1: Vec<f64>,
    pub(super) w2: Vec<f64>,
    /// $p_\alpha \cdot p_\beta$ of the parts of $w_1$ that no sample sees; they never move.
    unseen: Vec<f64>,
}

impl Neurons {
    /// So many neurons with seeded weights of norm `sigma`.
    ///
    /// # Errors
    /// There are no neurons, or `sigma` is not positive.
    pub fn start(task: &Task, width: usize, how: Start, sigma: f64, seed: u64) -> Result<Self, TheoryError> {
        let range = |name, expected, found| Err(TheoryError::Range { name, expected, found });
        if width == 0 {
            return range("the width", "at least one neuron", 0.0);
        }
        if !(sigma > 0.0 && sigma.is_finite()) {
            return range("the norm of a neuron at the start", "a positive number", sigma);
        }
        let (ambient, dimension) = (task.ambient(), task.dimension());
        let mut random = Random::new(seed);
        let mut full = vec![0.0; width * ambient];
        random.fill_normal(&mut full, 1.0);
        let mut w2 = vec![0.0; width];
        for (alpha, (row, v)) in full.chunks_exact_mut(ambient).zip(&mut w2).enumerate() {
            let (scale, weight) = match how {
                Start::Equal => {
                    let norm = row.iter().map(|w| w * w).sum::<f64>().sqrt();
                    (sigma / norm, if alpha % 2 == 0 { sigma } else { -sigma })
                }
                Start::Gaussian => (sigma / (ambient as f64).sqrt(), sigma * random.normal()),
            };
            row.iter_mut().for_each(|w| *w *= scale);
            *v = weight;
        }
        Ok(Self::from_ambient(task, &full, w2, dimension))
    }

    /// Neurons from weights on the inputs as they were.
    fn from_ambient(task: &Task, full: &[f64], w2: Vec<f64>, dimension: usize) -> Self {
        let (width, ambient) = (w2.len(), task.ambient());
        let basis = View::new(task.basis(), dimension, ambient);
        let mut w1 = vec![0.0; width * dimension];
        gemm(&mut w1, View::new(full, width, ambient), basis.t(), false);
        let mut rest: Vec<f64> = vec![0.0; width * ambient];
        gemm(&mut rest, View::new(&w1, width, dimension), basis, false);
        rest.iter_mut().zip(full).for_each(|(r, w)| *r = w - *r);
        let mut unseen = vec![0.0; width * width];
        let rest = View::new(&rest, width, ambient);
        gemm(&mut unseen, rest, rest.t(), false);
        Self { dimension, w1, w2, unseen }
    }

    /// Neurons from weights in coordinates of the span, with nothing outside of it.
    ///
    /// # Errors
    /// Sizes do not fit, or a weight is not finite.
    pub fn new(dimension: usize, w1: Vec<f64>, w2: Vec<f64>) -> Result<Self, TheoryError> {
        if w1.len() != w2.len() * dimension || w2.is_empty() {
            let (expected, found) = (vec![w2.len(), dimension], vec![w1.len()]);
            return Err(TheoryError::Shape { name: "w1", expected, found });
        }
        if let Some(bad) = w1.iter().chain(&w2).find(|w| !w.is_finite()) {
            return Err(TheoryError::Range { name: "a weight", expected: "a finite number", found: *bad });
        }
        let unseen = vec![0.0; w2.len() * w2.len()];
        Ok(Self { dimension, w1, w2, unseen })
    }

    /// How many neurons.
    pub fn width(&self) -> usize {
        self.w2.len()
    }

    /// Coordinates of a $w_1$.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// $w_{1,\alpha}$, as far as samples see it.
    pub fn w1(&self, alpha: usize) -> &[f64] {
        &self.w1[alpha * self.dimension..(alpha + 1) * self.dimension]
    }

    /// All $w_2$.
    pub fn w2(&self) -> &[f64] {
        &self.w2
    }

    /// $\|w_{1,\alpha}\|$.
    pub fn norm(&self, alpha: usize) -> f64 {
        let seen: f64 = self.w1(alpha).iter().map(|w| w * w).sum();
        (seen + self.unseen[alpha * self.width() + alpha].max(0.0)).sqrt()
    }

    /// $a_\alpha = |w_{2,\alpha}| \, \|w_{1,\alpha}\|$.
    pub fn amplitude(&self, alpha: usize) -> f64 {
        self.w2[alpha].abs() * self.norm(alpha)
    }

    /// All $a_\alpha$.
    pub fn amplitudes(&self) -> Vec<f64> {
        (0..self.width()).map(|alpha| self.amplitude(alpha)).collect()
    }

    /// $\|w_{1,\alpha}\|^2 - w_{2,\alpha}^2$, which gradient flow conserves.
    pub fn imbalance(&self, alpha: usize) -> f64 {
        self.norm(alpha).powi(2) - self.w2[alpha].powi(2)
    }

    /// The greatest change of an imbalance since `before`, over the greatest squared norm now.
    #[track_caller]
    pub fn drift(&self, before: &Self) -> f64 {
        assert_eq!(self.width(), before.width(), "the same neurons");
        let change = (0..self.width()).map(|a| (self.imbalance(a) - before.imbalance(a)).abs());
        let scale = (0..self.width()).map(|a| self.norm(a).powi(2)).fold(0.0, f64::max);
        // Not a number once one is none.
        let most = change.fold(0.0, |most, x| if x > most || x.is_nan() { x } else { most });
        most / scale.max(f64::MIN_POSITIVE)
    }

    /// Some of the neurons, in the given order.
    #[track_caller]
    pub fn subset(&self, chosen: &[usize]) -> Self {
        let w1 = chosen.iter().flat_map(|alpha| self.w1(*alpha)).copied().collect();
        let w2 = chosen.iter().map(|alpha| self.w2[*alpha]).collect();
        let unseen =
            chosen.iter().flat_map(|a| chosen.iter().map(move |b| self.unseen[a * self.width() + b])).collect();
        Self { dimension: self.dimension, w1, w2, unseen }
    }

    /// Cosines of the total weight vectors $(w_{1,\alpha}, w_{2,\alpha})$; 0 where one is zero.
    ///
    /// # Shapes
    /// $n \times n$, row-major.
    pub fn cosines(&self) -> Vec<f64> {
        let width = self.width();
        let mut products = self.unseen.clone();
        let w1 = View::new(&self.w1, width, self.dimension);
        gemm(&mut products, w1, w1.t(), true);
        for (row, a) in products.chunks_exact_mut(width).zip(&self.w2) {
            row.iter_mut().zip(&self.w2).for_each(|(p, b)| *p += a * b);
        }
        let norms: Vec<f64> = (0..width).map(|a| products[a * width + a].max(0.0).sqrt()).collect();
        for (a, row) in products.chunks_exact_mut(width).enumerate() {
            for (p, norm) in row.iter_mut().zip(&norms) {
                let scale = norms[a] * norm;
                *p = if scale > 0.0 { (*p / scale).clamp(-1.0, 1.0) } else { 0.0 };
            }
        }
        products
    }

    /// The neurons $\sum_{\alpha} c_{k\alpha} w_{1,\alpha}$ with weights `w2`.
    ///
    /// # Shapes
    /// `combinations` has a row of $n$ entries for every entry of `w2`.
    #[track_caller]
    pub(super) fn combined(&self, combinations: &[f64], w2: Vec<f64>) -> Self {
        let (rows, width) = (w2.len(), self.width());
        let c = View::new(combinations, rows, width);
        let mut w1 = vec![0.0; rows * self.dimension];
        gemm(&mut w1, c, View::new(&self.w1, width, self.dimension), false);
        let mut half = vec![0.0; rows * width];
        gemm(&mut half, c, View::new(&self.unseen, width, width), false);
        let mut unseen = vec![0.0; rows * rows];
        gemm(&mut unseen, View::new(&half, rows, width), c.t(), false);
        Self { dimension: self.dimension, w1, w2, unseen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::testing;

    #[test]
    fn equal_starts_are_balanced_and_gaussian_ones_are_not() {
        let task = testing::mixture(20, 30, 2);
        let equal = Neurons::start(&task, 10, Start::Equal, 1e-2, 5).expect("neurons");
        for alpha in 0..10 {
            // The part outside of the span counts: norms are those of all 30 weights.
            assert!((equal.norm(alpha) - 1e-2).abs() < 1e-12, "{}", equal.norm(alpha));
            assert!(equal.imbalance(alpha).abs() < 1e-12);
        }
        assert_eq!(equal.w2().iter().filter(|w| **w > 0.0).count(), 5);
        let gaussian = Neurons::start(&task, 10, Start::Gaussian, 1e-2, 5).expect("neurons");
        assert!((0..10).any(|alpha| gaussian.imbalance(alpha).abs() > 1e-5));
        for sigma in [0.0, -1.0, f64::NAN] {
            assert!(Neurons::start(&task, 10, Start::Equal, sigma, 5).is_err());
        }
        assert!(Neurons::start(&task, 0, Start::Equal, 1e-2, 5).is_err());
    }

    #[test]
    fn cosines_are_those_of_all_weights() {
        // 4 samples span at most 3 of 12 dimensions, so most of every w1 is unseen.
        let task = testing::mixture(4, 12, 3);
        let (width, ambient) = (5, 12);
        let mut full = vec![0.0; width * ambient];
        Random::new(8).fill_normal(&mut full, 1.0);
        let w2 = vec![0.3, -2.0, 1.0, 0.5, -0.1];
        let neurons = Neurons::from_ambient(&task, &full, w2.clone(), task.dimension());
        let cosines = neurons.cosines();
        for a in 0..width {
            for b in 0..width {
                let dot = |a: usize, b: usize| {
                    (0..ambient).map(|j| full[a * ambient + j] * full[b * ambient + j]).sum::<f64>() + w2[a] * w2[b]
                };
                let expected = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
                assert!((cosines[a * width + b] - expected).abs() < 1e-12, "{a} {b}");
            }
        }
        let part = neurons.subset(&[4, 1]);
        assert!((part.cosines()[1] - cosines[4 * width + 1]).abs() < 1e-12);
    }
}
