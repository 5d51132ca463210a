//! A proof that no cut is larger: scalings, and the spectral norm of the scaled matrix in floating point with all errors counted.
//!
//! For signs $z, w$ and positive $s, t$, with $P = \operatorname{diag}(s)\, A' \operatorname{diag}(t)$,
//!
//! $$ z^\top A' w = (z / s)^\top P\, (w / t) \le \lVert P \rVert_2 \sqrt{\textstyle\sum_i s_i^{-2} \sum_j t_j^{-2}}. $$
//!
//! At the optimum of Grothendieck's relaxation $s_i^{-2}$ and $t_j^{-2}$ are the norms $\lVert g_i \rVert$, $\lVert h_j \rVert$ at which
//! its alternation ends, and $\lVert P \rVert_2 = 1$. Any $s, t$ give a bound, so an alternation that is stopped early costs
//! tightness only.

use super::alternating::Alternated;
use super::balanced::{Balanced, gram, spectral_norm};
use super::rounding::{WIDER, gamma, up};
use secateur_linalg::cholesky::factor_in_blocks;

const UNIT: f64 = f64::EPSILON / 2.0;
/// More than all that underflows can take from sums of squares of numbers up to $10^{100}$.
const UNDERFLOW: f64 = 1e-150;

/// A number that no cut exceeds.
pub(super) fn bound(matrix: &Balanced, vectors: &Alternated) -> f64 {
    let (Some(s), Some(t)) = (scalings(&vectors.left_norms), scalings(&vectors.right_norms)) else {
        return trivial(matrix);
    };
    let scaled = Scaled::new(matrix, &s, &t);
    let norm = up(scaled.norm_bound() + scaled.error);
    let squares = |s: &[f64]| s.iter().map(|s| 1.0 / (s * s)).sum::<f64>() * WIDER;
    let upper = 0.25 * norm * (squares(&s) * squares(&t)).sqrt() * WIDER;
    if upper.is_finite() { upper.min(trivial(matrix)) } else { trivial(matrix) }
}

/// The sum of all absolute values.
fn trivial(matrix: &Balanced) -> f64 {
    let rows = matrix.entries.chunks_exact(matrix.cols).take(matrix.rows - 1);
    rows.map(|row| row[..matrix.cols - 1].iter().map(|v| v.abs()).sum::<f64>()).sum::<f64>() * WIDER
}

/// $s_i = \lVert g_i \rVert^{-1/2}$, where a norm near 0 counts as a millionth of the mean; none where all are 0.
fn scalings(norms: &[f64]) -> Option<Vec<f64>> {
    let floor = 1e-6 * norms.iter().sum::<f64>() / norms.len() as f64;
    (floor > 0.0 && floor.is_finite()).then(|| norms.iter().map(|x| 1.0 / x.max(floor).sqrt()).collect())
}

/// $\operatorname{diag}(s)\, A' \operatorname{diag}(t)$ or its transpose, whichever has fewer rows.
struct Scaled {
    rows: usize,
    cols: usize,
    entries: Vec<f64>,
    /// How far it can be from the exact one, in the Frobenius norm.
    error: f64,
}

impl Scaled {
    fn new(matrix: &Balanced, s: &[f64], t: &[f64]) -> Self {
        let (d, n) = (matrix.rows, matrix.cols);
        let scaled = |i: usize, j: usize| s[i] * matrix.entries[i * n + j] * t[j];
        let wide = d <= n;
        let (rows, cols) = if wide { (d, n) } else { (n, d) };
        let at = |k: usize| if wide { scaled(k / cols, k % cols) } else { scaled(k % cols, k / cols) };
        let entries: Vec<f64> = (0..rows * cols).map(at).collect();
        // Two products of two roundings each way: below 3u of what is stored.
        let products = 3.0 * UNIT * frobenius(&entries);
        let in_column = matrix.col_error.iter().zip(s).map(|(e, s)| (e * s * t[n - 1]).powi(2)).sum::<f64>();
        let in_row = matrix.row_error.iter().zip(t).map(|(e, t)| (e * t * s[d - 1]).powi(2)).sum::<f64>();
        let error = (products + (in_column + in_row).sqrt() * (1.0 + 4.0 * UNIT)) * WIDER + UNDERFLOW;
        Self { rows, cols, entries, error }
    }

    /// A number that $\lVert P \rVert_2$ of the stored $P$ does not exceed.
    ///
    /// For $\mu$ above the largest eigenvalue of $P P^\top$ let $L$ be a lower triangular matrix near a factor of
    /// $C = \mu I - P P^\top$. Since $L L^\top$ is positive semidefinite whatever $L$ is,
    ///
    /// $$ \lambda_{\max}(P P^\top) \le \mu + \lVert C - L L^\top \rVert_F, $$
    ///
    /// where $C$ and $L L^\top$ are computed with errors of at most $\gamma_n \lVert P \rVert_F^2 + u \max |c_{ii}|$ and
    /// $\gamma_m \lVert L \rVert_F^2$ in norm.
    fn norm_bound(&self) -> f64 {
        let size = frobenius(&self.entries);
        let near = spectral_norm(self.rows, self.cols, &self.entries, 0);
        let gram = gram(self.rows, self.cols, &self.entries);
        let mut excess = 1e-6;
        while excess < 1.0 {
            let mu = near * near * (1.0 + excess);
            if let Some(slack) = self.slack(&gram, mu, size) {
                return up((mu + slack) * WIDER).sqrt() * WIDER;
            }
            excess *= 10.0;
        }
        size
    }

    /// How far the largest eigenvalue of $P P^\top$ can be above $\mu$; none where a factor is not found.
    fn slack(&self, gram: &[f64], mu: f64, size: f64) -> Option<f64> {
        let m = self.rows;
        let mut c: Vec<f64> = gram.iter().map(|g| -g).collect();
        let mut diagonal = 0.0_f64;
        for i in 0..m {
            c[i * m + i] += mu;
            diagonal = diagonal.max(c[i * m + i].abs());
        }
        let l = factor_in_blocks(&c, m)?;
        let product = self::gram(m, m, &l);
        let mut residual = 0.0;
        for i in 0..m {
            let row = |a: &[f64], j: usize| a[i * m + j];
            let off: f64 = (0..i).map(|j| (row(&c, j) - row(&product, j)).powi(2)).sum();
            residual += 2.0 * off + (row(&c, i) - row(&product, i)).powi(2);
        }
        let residual = residual.sqrt() * (1.0 + UNIT) * WIDER;
        let errors = gamma(self.cols) * size * size + gamma(m) * frobenius(&l).powi(2) + 2.0 * UNIT * diagonal;
        Some((residual + errors) * WIDER + UNDERFLOW)
    }
}

/// $\lVert A \rVert_F$, rounded up.
fn frobenius(entries: &[f64]) -> f64 {
    entries.iter().map(|v| v * v).sum::<f64>().sqrt() * WIDER
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_linalg::spectrum::singular_values;

    #[test]
    fn the_norm_is_bounded_tightly_and_never_from_below() {
        for (rows, cols, seed) in [(1, 1, 1), (20, 20, 2), (33, 60, 3), (70, 41, 4)] {
            let mut values = vec![0.0; rows * cols];
            secateur_linalg::random::Random::new(seed).fill_normal(&mut values, 1.0);
            let matrix = Balanced::new(rows, cols, &values);
            let (s, t) = (vec![1.0; rows + 1], vec![0.5; cols + 1]);
            let scaled = Scaled::new(&matrix, &s, &t);
            let exact = 0.5 * singular_values(&matrix.entries, rows + 1, cols + 1).expect("finite")[0];
            let bound = scaled.norm_bound() + scaled.error;
            // The margin is half of the excess over μ, 5e-7, and what covers roundings, 3e-6.
            assert!(bound >= exact && bound <= exact * (1.0 + 1e-5), "{bound} {exact}");
        }
    }

    #[test]
    fn a_factor_of_something_else_gives_no_false_bound() {
        let scaled = Scaled { rows: 2, cols: 2, entries: vec![3.0, 0.0, 0.0, 1.0], error: 0.0 };
        let gram = gram(2, 2, &scaled.entries);
        // Below the largest eigenvalue there is no factor, so there is no bound.
        assert!(scaled.slack(&gram, 8.9, 4.0).is_none());
        let slack = scaled.slack(&gram, 9.1, 4.0).expect("a factor");
        assert!(slack > 0.0 && slack < 1e-12, "{slack}");
    }
}
