//! Systems with a large symmetric positive definite matrix, whose factor $A = L L^\top$ takes the place of the matrix.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{MatMut, MatRef, Par, Spec};

/// Columns of the identity that are solved for together.
const PANEL: usize = 128;

/// A factored matrix.
#[derive(Clone, Debug)]
pub struct Definite {
    n: usize,
    /// $L$ by columns; what is above its diagonal is not read.
    lower: Vec<f64>,
}

impl Definite {
    /// Factors a matrix in its own memory; `None` where a pivot is not positive.
    ///
    /// # Shapes
    /// `a` is $n \times n$, row-major; its upper triangle is read.
    #[track_caller]
    pub fn factor(mut a: Vec<f64>, n: usize) -> Option<Self> {
        assert_eq!(a.len(), n * n, "a square matrix");
        let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(n, Par::Seq, Spec::default()));
        // The rows of a symmetric matrix are its columns.
        let matrix = MatMut::from_column_major_slice_mut(&mut a, n, n);
        let stack = MemStack::new(&mut memory);
        cholesky_in_place(matrix, Default::default(), Par::Seq, stack, Spec::default()).ok()?;
        let sound = (0..n).all(|i| a[i * n..][i..n].iter().all(|v| v.is_finite()));
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

    /// The diagonal of $A^{-1}$: $[A^{-1}]_{jj} = \sum_i [L^{-1}]_{ij}^2$, with a few columns of $L^{-1}$ in memory at
    /// a time.
    pub fn inverse_diagonal(&self) -> Vec<f64> {
        let mut diagonal = vec![0.0; self.n];
        for (panel, diagonal) in diagonal.chunks_mut(PANEL).enumerate() {
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
        }
        diagonal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cholesky;
    use crate::random::Random;

    #[test]
    fn solutions_and_inverses_are_those_of_small_factors() {
        let (n, m) = (300, 7);
        let mut x = vec![0.0; 2 * n * n];
        Random::new(8).fill_normal(&mut x, 1.0);
        let entry = |i: usize, j: usize| (0..2 * n).map(|r| x[r * n + i] * x[r * n + j]).sum::<f64>();
        let a: Vec<f64> = (0..n * n).map(|k| entry(k / n, k % n)).collect();
        let factor = cholesky::factor(&a, n).expect("definite");
        let (inverse, right) = (cholesky::inverse(&factor, n), &x[..n * m]);
        let (found, mut solved) = (Definite::factor(a, n).expect("definite"), right.to_vec());
        found.solve(&mut solved, m);
        // The condition of a 300 × 600 normal sample is about 34; entries of the inverse are below 0.03.
        let expected = cholesky::solve(&factor, n, right, m);
        assert!(solved.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
        let diagonal = found.inverse_diagonal();
        assert!((0..n).all(|j| (diagonal[j] - inverse[j * n + j]).abs() < 1e-13));
    }

    #[test]
    fn what_is_not_definite_has_no_factor() {
        assert!(Definite::factor(vec![1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(Definite::factor(vec![f64::NAN], 1).is_none());
        assert!(Definite::factor(Vec::new(), 0).is_some_and(|empty| empty.inverse_diagonal().is_empty()));
    }
}
