//! Second moments $C = \frac1T \sum_t x_t x_t^\top$ of activations that come in pieces.

use rayon::prelude::*;
use secateur_linalg::gemm::{View, gemm};

/// Rows of $C$ that a thread adds to at a time.
const BAND: usize = 128;

/// A sum of products in 64-bit floats; its memory does not depend on the count of tokens.
#[derive(Clone, Debug)]
pub struct Gram {
    n: usize,
    tokens: usize,
    /// $n \times n$; the upper triangle is the sum's.
    sum: Vec<f64>,
}

impl Gram {
    /// Of no tokens.
    pub fn new(n: usize) -> Self {
        Self { n, tokens: 0, sum: vec![0.0; n * n] }
    }

    /// Adds the activations of some tokens.
    ///
    /// # Shapes
    /// `x` is tokens × $n$.
    #[track_caller]
    pub fn add(&mut self, x: &[f32]) {
        let n = self.n.max(1);
        assert_eq!(x.len() % n, 0, "activations of another width");
        let tokens = x.len() / n;
        let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        let bands = self.sum.par_chunks_mut(BAND * n).enumerate();
        bands.for_each(|(band, sum)| {
            let (from, rows) = (band * BAND, sum.len() / n);
            let cols = n - from;
            if tokens == 0 {
                return;
            }
            let mut product = vec![0.0; rows * cols];
            let left = View::strided(&x[from..], tokens, rows, n).t();
            gemm(&mut product, left, View::strided(&x[from..], tokens, cols, n), false);
            for (sum, product) in sum.chunks_exact_mut(n).zip(product.chunks_exact(cols)) {
                sum[from..].iter_mut().zip(product).for_each(|(sum, product)| *sum += product);
            }
        });
        self.tokens += tokens;
    }

    /// $C$, row-major; `None` where an entry is not finite.
    pub fn mean(mut self) -> Option<Vec<f64>> {
        let (n, share) = (self.n, 1.0 / self.tokens.max(1) as f64);
        for i in 0..n {
            for j in i..n {
                let entry = self.sum[i * n + j] * share;
                (self.sum[i * n + j], self.sum[j * n + i]) = (entry, entry);
            }
        }
        self.sum.iter().all(|entry| entry.is_finite()).then_some(self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_linalg::random::Random;

    #[test]
    fn pieces_add_up_to_the_mean_of_products() {
        let (n, tokens) = (150, 31);
        let mut x = vec![0.0f32; n * tokens];
        Random::new(5).fill_normal(&mut x, 1.0);
        let mut gram = Gram::new(n);
        [&x[..n * 4], &x[n * 4..n * 4], &x[n * 4..]].into_iter().for_each(|part| gram.add(part));
        let found = gram.mean().expect("finite");
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let products = x.chunks_exact(n).map(|x| f64::from(x[i]) * f64::from(x[j]));
            // Sums of 31 products of normal numbers in 64 bits.
            assert!((found[i * n + j] - products.sum::<f64>() / tokens as f64).abs() < 1e-14, "{i} {j}");
        }
        let mut gram = Gram::new(1);
        gram.add(&[f32::INFINITY]);
        assert!(gram.mean().is_none());
    }
}
