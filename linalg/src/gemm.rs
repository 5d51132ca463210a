//! Dense products on row-major slices: $C \leftarrow A B$ or $C \leftarrow C + A B$.
//!
//! One thread each: the parallelism of this project is over subproblems, where it scales.

use crate::Scalar;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// A read-only view of a row-major matrix or of the transpose of one.
#[derive(Clone, Copy)]
pub struct View<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    stride: usize,
    transposed: bool,
}

impl<'a, T: Scalar> View<'a, T> {
    /// A row-major matrix of `rows × cols`.
    #[track_caller]
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major matrix whose rows begin `stride` entries apart.
    #[track_caller]
    pub fn strided(data: &'a [T], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(rows == 0 || cols == 0 || (rows - 1) * stride + cols <= data.len(), "matrix exceeds its slice");
        Self { data, rows, cols, stride, transposed: false }
    }

    /// The transpose, without copying.
    pub fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// Rows and columns as seen by the product.
    pub fn shape(&self) -> (usize, usize) {
        if self.transposed { (self.cols, self.rows) } else { (self.rows, self.cols) }
    }

    fn faer(self) -> MatRef<'a, T> {
        let plain = MatRef::from_row_major_slice_with_stride(self.data, self.rows, self.cols, self.stride);
        if self.transposed { plain.transpose() } else { plain }
    }
}

/// $C \leftarrow A B$, or $C \leftarrow C + A B$ when `accumulate`.
///
/// # Shapes
/// `a` is $m \times k$, `b` is $k \times n$, `c` holds $m$ rows of $n$ entries.
///
/// # Soundness
/// Each entry is a sum of $k$ products in some order, with or without fused operations, so its
/// error is at most $\gamma_k \sum_i |a_i b_i|$ with $\gamma_k = k u / (1 - k u)$, underflow apart.
#[track_caller]
pub fn gemm<T: Scalar>(c: &mut [T], a: View<'_, T>, b: View<'_, T>, accumulate: bool) {
    let ((m, k), (inner, n)) = (a.shape(), b.shape());
    assert_eq!(k, inner, "inner dimensions differ");
    assert_eq!(c.len(), m * n, "the product does not fill its slice");
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if !accumulate {
            c.fill(T::ZERO);
        }
        return;
    }
    let how = if accumulate { Accum::Add } else { Accum::Replace };
    let out = MatMut::from_row_major_slice_mut(c, m, n);
    matmul(out, how, a.faer(), b.faer(), T::ONE, Par::Seq);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_all_layouts() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0_f64];
        let b = [1.0, 0.0, 2.0, 1.0, 0.0, 1.0_f64];
        let mut c = [1.0; 4];
        gemm(&mut c, View::new(&a, 2, 3), View::new(&b, 3, 2), true);
        assert_eq!(c, [6.0, 6.0, 15.0, 12.0]);
        let mut d = [0.0; 9];
        gemm(&mut d, View::new(&a, 2, 3).t(), View::new(&b, 3, 2).t(), false);
        assert_eq!(d, [1.0, 6.0, 4.0, 2.0, 9.0, 5.0, 3.0, 12.0, 6.0]);
        let mut e = [9.0; 2];
        gemm(&mut e, View::strided(&a, 2, 1, 3), View::new(&[2.0], 1, 1), false);
        assert_eq!(e, [2.0, 8.0]);
    }

    #[test]
    fn empty_inner_dimension_is_zero() {
        let mut c = [3.0_f32; 2];
        gemm(&mut c, View::new(&[], 2, 0), View::new(&[], 0, 1), false);
        assert_eq!(c, [0.0; 2]);
    }
}
