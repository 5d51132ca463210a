//! One more row and one more column, so that every row and every column sums to 0.
//!
//! $$ A' = \begin{pmatrix} A & -A\mathbf 1 \\ -\mathbf 1^\top A & \mathbf 1^\top A \mathbf 1 \end{pmatrix}, \qquad
//! z^\top A' w = 4\, s^\top A' t \quad \text{for } s = \tfrac12(\mathbf 1 + z),\ t = \tfrac12(\mathbf 1 + w). $$
//!
//! Replacing $s$ by $\mathbf 1 - s$ changes the sign of $s^\top A' t$ only, so the added row and column can be kept out of both
//! sets: cuts of $A$ are pairs of signs for $A'$.

use super::alternating::Alternated;
use super::rounding::{WIDER, gamma};
use rayon::prelude::*;
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::lanczos::{self, largest_singular_value};

/// Rows or columns that one thread multiplies at a time; also what makes sums independent of the number of threads.
const PANEL: usize = 256;

/// A matrix with row and column sums of 0, up to rounding.
pub(super) struct Balanced {
    /// $d + 1$.
    pub(super) rows: usize,
    /// $n + 1$.
    pub(super) cols: usize,
    /// The entries as computed.
    pub(super) entries: Vec<f64>,
    /// How far each entry of the last column can be from the exact one.
    pub(super) col_error: Vec<f64>,
    /// How far each entry of the last row can be from the exact one, but for the corner.
    pub(super) row_error: Vec<f64>,
}

impl Balanced {
    pub(super) fn new(d: usize, n: usize, values: &[f64]) -> Self {
        let mut entries = Vec::with_capacity((d + 1) * (n + 1));
        let (mut last, mut sizes) = (vec![0.0; n + 1], vec![0.0; n]);
        let mut col_error = Vec::with_capacity(d + 1);
        for row in values.chunks_exact(n) {
            let sum: f64 = row.iter().sum();
            entries.extend_from_slice(row);
            entries.push(-sum);
            last.iter_mut().zip(row).for_each(|(l, v)| *l -= v);
            last[n] += sum;
            sizes.iter_mut().zip(row).for_each(|(s, v)| *s += v.abs());
            col_error.push(gamma(n) * row.iter().map(|v| v.abs()).sum::<f64>() * WIDER);
        }
        col_error.push(gamma(n + d) * sizes.iter().sum::<f64>() * WIDER);
        let row_error = sizes.iter().map(|size| gamma(d) * size * WIDER).collect();
        entries.extend(last);
        Self { rows: d + 1, cols: n + 1, entries, col_error, row_error }
    }

    /// $A' X$ for $X$ of `width` columns.
    pub(super) fn times(&self, x: &[f64], width: usize) -> Vec<f64> {
        times(self.cols, &self.entries, x, width)
    }

    /// $A'^\top X$ for $X$ of `width` columns.
    pub(super) fn transposed_times(&self, x: &[f64], width: usize) -> Vec<f64> {
        transposed_times(self.rows, self.cols, &self.entries, x, width)
    }

    /// The sets of the best pair of signs.
    pub(super) fn cut(&self, signs: &Alternated) -> (Vec<bool>, Vec<bool>) {
        let width = signs.width;
        let products = self.times(&signs.right, width);
        let mut values = vec![0.0; width];
        for (row, z) in products.chunks_exact(width).zip(signs.left.chunks_exact(width)) {
            values.iter_mut().zip(row.iter().zip(z)).for_each(|(v, (p, z))| *v += p * z);
        }
        let best = (1..width).fold(0, |best, k| if values[k] > values[best] { k } else { best });
        let set = |signs: &[f64], count: usize| -> Vec<bool> {
            let outside = signs[count * width + best];
            (0..count).map(|i| signs[i * width + best] != outside).collect()
        };
        (set(&signs.left, self.rows - 1), set(&signs.right, self.cols - 1))
    }
}

/// $A X$.
pub(super) fn times(cols: usize, a: &[f64], x: &[f64], width: usize) -> Vec<f64> {
    let mut out = vec![0.0; a.len() / cols * width];
    out.par_chunks_mut(PANEL * width).zip(a.par_chunks(PANEL * cols)).for_each(|(out, a)| {
        gemm(out, View::new(a, a.len() / cols, cols), View::new(x, cols, width), false);
    });
    out
}

/// $A^\top X$.
pub(super) fn transposed_times(rows: usize, cols: usize, a: &[f64], x: &[f64], width: usize) -> Vec<f64> {
    let mut out = vec![0.0; cols * width];
    out.par_chunks_mut(PANEL * width).enumerate().for_each(|(panel, out)| {
        let columns = View::strided(&a[panel * PANEL..], rows, out.len() / width, cols);
        gemm(out, columns.t(), View::new(x, rows, width), false);
    });
    out
}

/// $\lVert A \rVert_2$, from below, by Lanczos.
pub(super) fn spectral_norm(rows: usize, cols: usize, a: &[f64], seed: u64) -> f64 {
    let params = lanczos::Params { steps: 80, tolerance: 1e-7, seed };
    largest_singular_value(cols, &params, |x| times(cols, a, x, 1), |y| transposed_times(rows, cols, a, y, 1))
}

/// The lower triangle of $A A^\top$, panel by panel, with zeros or other entries of the product above the diagonal.
pub(super) fn gram(rows: usize, cols: usize, a: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; rows * rows];
    out.par_chunks_mut(PANEL * rows).enumerate().for_each(|(panel, out)| {
        let (begin, count) = (panel * PANEL, out.len() / rows);
        let end = begin + count;
        let mut product = vec![0.0; count * end];
        let (left, right) = (View::new(&a[begin * cols..], count, cols), View::new(a, end, cols));
        gemm(&mut product, left, right.t(), false);
        for (out, row) in out.chunks_exact_mut(rows).zip(product.chunks_exact(end)) {
            out[..end].copy_from_slice(row);
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_vanish_and_signs_are_cuts() {
        let values = [1.0, -2.0, 0.5, 4.0, 3.0, -1.0];
        let matrix = Balanced::new(2, 3, &values);
        assert_eq!(matrix.entries, [1.0, -2.0, 0.5, 0.5, 4.0, 3.0, -1.0, -6.0, -5.0, -1.0, 0.5, 5.5]);
        let value = |z: &[f64], w: &[f64]| -> f64 { (0..12).map(|k| z[k / 4] * matrix.entries[k] * w[k % 4]).sum() };
        // S = {1}, T = {0, 1} against the added row and column: 4 · 7.
        assert_eq!(value(&[-1.0, 1.0, -1.0], &[1.0, 1.0, -1.0, -1.0]), 28.0);
        assert_eq!(value(&[1.0, -1.0, 1.0], &[1.0, 1.0, -1.0, -1.0]), -28.0);
    }

    #[test]
    fn panels_multiply_as_one() {
        let (rows, cols) = (300, 270);
        let mut a = vec![0.0; rows * cols];
        secateur_linalg::random::Random::new(2).fill_normal(&mut a, 1.0);
        let (x, y) = (vec![1.0; 2 * cols], vec![1.0; 2 * rows]);
        let (ax, ay) = (times(cols, &a, &x, 2), transposed_times(rows, cols, &a, &y, 2));
        let g = gram(rows, cols, &a);
        let entry = |i: usize, j: usize| (0..cols).map(|k| a[i * cols + k] * a[j * cols + k]).sum::<f64>();
        // Sums of 300 numbers near 1.
        assert!((ax[2 * 290 + 1] - a[290 * cols..291 * cols].iter().sum::<f64>()).abs() < 1e-11);
        assert!((ay[2 * 265] - (0..rows).map(|i| a[i * cols + 265]).sum::<f64>()).abs() < 1e-11);
        assert!(
            [(299, 10), (299, 299), (3, 2), (256, 255)]
                .iter()
                .all(|(i, j)| (g[i * rows + j] - entry(*i, *j)).abs() < 1e-11)
        );
    }
}
