//! Systems with a large symmetric positive definite matrix, whose factor $A = L L^\top$ takes half of the matrix's place.
//!
//! The factor of faer takes the other half as working memory; here it keeps the matrix, which
//! [`Definite::restore`] gives back.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Accum, MatMut, MatRef, Par, Spec};
use rayon::prelude::*;

/// Rows that are factored, or columns of the identity that are solved for, together.
const PANEL: usize = 192;

/// A factored matrix.
#[derive(Clone, Debug)]
pub struct Definite {
    n: usize,
    /// $L$ by columns, on and below its diagonal.
    lower: Vec<f64>,
}

impl Definite {
    /// Factors a matrix in its own memory, panel by panel; `None` where a pivot is not positive.
    ///
    /// # Shapes
    /// `a` is $n \times n$, row-major; its upper triangle is read.
    #[track_caller]
    pub fn factor(mut a: Vec<f64>, n: usize) -> Option<Self> {
        assert_eq!(a.len(), n * n, "a square matrix");
        for from in (0..n).step_by(PANEL) {
            let rows = PANEL.min(n - from);
            // The rows of a symmetric matrix are its columns: a panel holds columns of L.
            let (panel, below) = a[from * n..].split_at_mut(rows * n);
            let corner = corner(panel, from, rows, n)?;
            let corner = MatRef::from_column_major_slice(&corner, rows, rows);
            let behind = from + rows;
            if behind == n {
                break;
            }
            solve_lower_triangular_in_place(corner, rows_of(&mut panel[behind..], [rows, n - behind], n), Par::Seq);
            let panel = &panel[behind..];
            below.par_chunks_mut(PANEL * n).enumerate().for_each(|(band, below)| {
                let (first, count) = (band * PANEL, below.len() / n);
                let right = MatRef::from_row_major_slice_with_stride(&panel[first..], rows, n - behind - first, n);
                let (square, right) = right.split_at_col(count);
                let mut product = vec![0.0; count * count];
                let out = MatMut::from_column_major_slice_mut(&mut product, count, count);
                matmul(out, Accum::Replace, square.transpose(), square, 1.0, Par::Seq);
                for (i, row) in product.chunks_exact(count).enumerate() {
                    let out = &mut below[i * n + behind + first..][i..count];
                    out.iter_mut().zip(&row[i..]).for_each(|(out, product)| *out -= product);
                }
                if right.ncols() > 0 {
                    let out = rows_of(&mut below[behind + first + count..], [count, right.ncols()], n);
                    matmul(out, Accum::Add, square.transpose(), right, -1.0, Par::Seq);
                }
            });
        }
        let sound = (0..n).all(|i| a[i * n + i..(i + 1) * n].iter().all(|v| v.is_finite()));
        sound.then_some(Self { n, lower: a })
    }

    fn lower(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.lower, self.n, self.n)
    }

    /// $A^{-1} B$ in place of $B$.
    ///
    /// # Shapes
    /// `b` is $n \times m$, row-major.
    #[track_caller]
    pub fn solve(&self, b: &mut [f64], m: usize) {
        assert_eq!(b.len(), self.n * m, "as many rows as unknowns");
        let mut b = MatMut::from_row_major_slice_mut(b, self.n, m);
        solve_lower_triangular_in_place(self.lower(), b.as_mut(), Par::Seq);
        solve_upper_triangular_in_place(self.lower().transpose(), b, Par::Seq);
    }

    /// The diagonal of $A^{-1}$: $[A^{-1}]_{jj} = \sum_i [L^{-1}]_{ij}^2$, with a few columns of $L^{-1}$ in memory for
    /// each thread.
    pub fn inverse_diagonal(&self) -> Vec<f64> {
        let mut diagonal = vec![0.0; self.n];
        diagonal.par_chunks_mut(PANEL).enumerate().for_each(|(panel, diagonal)| {
            // Columns of L⁻¹ begin at their own row.
            let (from, cols) = (panel * PANEL, diagonal.len());
            let rows = self.n - from;
            let mut columns = vec![0.0; rows * cols];
            (0..cols).for_each(|j| columns[j * rows + j] = 1.0);
            let rest = self.lower().submatrix(from, from, rows, rows);
            solve_lower_triangular_in_place(
                rest,
                MatMut::from_column_major_slice_mut(&mut columns, rows, cols),
                Par::Seq,
            );
            for (out, column) in diagonal.iter_mut().zip(columns.chunks_exact(rows)) {
                *out = column.iter().map(|x| x * x).sum();
            }
        });
        diagonal
    }

    /// The matrix again, in the same memory, given its diagonal: the factor left half of it as it was.
    ///
    /// # Shapes
    /// `diagonal` has $n$ entries; the matrix that was factored must have been given with both triangles.
    #[track_caller]
    pub fn restore(self, diagonal: &[f64]) -> Vec<f64> {
        let (n, mut a) = (self.n, self.lower);
        assert_eq!(diagonal.len(), n, "an entry for every row");
        for (i, entry) in diagonal.iter().enumerate() {
            a[i * n + i] = *entry;
            for j in i + 1..n {
                a[i * n + j] = a[j * n + i];
            }
        }
        a
    }
}

/// Rows that begin `stride` entries apart. (faer 0.24 takes those of its own function for such rows as columns.)
fn rows_of(entries: &mut [f64], [rows, cols]: [usize; 2], stride: usize) -> MatMut<'_, f64> {
    MatMut::from_column_major_slice_with_stride_mut(entries, cols, rows, stride).transpose_mut()
}

/// Factors the square at a panel's beginning, and returns it.
fn corner(panel: &mut [f64], from: usize, rows: usize, n: usize) -> Option<Vec<f64>> {
    let mut corner: Vec<f64> = (0..rows).flat_map(|i| panel[i * n + from..][..rows].to_vec()).collect();
    let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(rows, Par::Seq, Spec::default()));
    let matrix = MatMut::from_column_major_slice_mut(&mut corner, rows, rows);
    cholesky_in_place(matrix, Default::default(), Par::Seq, MemStack::new(&mut memory), Spec::default()).ok()?;
    for (i, row) in corner.chunks_exact(rows).enumerate() {
        panel[i * n + from + i..][..rows - i].copy_from_slice(&row[i..]);
    }
    Some(corner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cholesky;
    use crate::random::Random;

    #[test]
    fn solutions_and_inverses_are_those_of_small_factors() {
        let (n, m) = (450, 7);
        let mut x = vec![0.0; 2 * n * n];
        Random::new(8).fill_normal(&mut x, 1.0);
        let entry = |i: usize, j: usize| (0..2 * n).map(|r| x[r * n + i] * x[r * n + j]).sum::<f64>();
        let a: Vec<f64> = (0..n * n).map(|k| entry((k / n).min(k % n), (k / n).max(k % n))).collect();
        let factor = cholesky::factor(&a, n).expect("definite");
        let (inverse, right) = (cholesky::inverse(&factor, n), &x[..n * m]);
        let (found, mut solved) = (Definite::factor(a.clone(), n).expect("definite"), right.to_vec());
        found.solve(&mut solved, m);
        // The condition of a 450 × 900 normal sample is about 34; entries of the inverse are below 0.03.
        let expected = cholesky::solve(&factor, n, right, m);
        assert!(solved.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
        let diagonal = found.inverse_diagonal();
        assert!((0..n).all(|j| (diagonal[j] - inverse[j * n + j]).abs() < 1e-13));
        let own: Vec<f64> = (0..n).map(|j| a[j * n + j]).collect();
        assert_eq!(found.restore(&own), a);
    }

    #[test]
    fn what_is_not_definite_has_no_factor() {
        assert!(Definite::factor(vec![1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(Definite::factor(vec![f64::NAN], 1).is_none());
        assert!(Definite::factor(Vec::new(), 0).is_some_and(|empty| empty.inverse_diagonal().is_empty()));
    }
}
