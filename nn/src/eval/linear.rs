//! Matrix products: `MatMul` and `Gemm`.

use super::number::{Matrix, Number};
use super::strided::{Strided, broadcast_strides, walk};
use secateur_linalg::Tensor;

/// How a `MatMul` splits into plain products: batch by batch, or one for all rows.
pub(crate) struct Products {
    /// Rows of the left factor, inner extent, columns of the right factor.
    pub(crate) extents: (usize, usize, usize),
    /// First entries of the factors and of the product, batch by batch.
    pub(crate) starts: Vec<[usize; 3]>,
}

impl Products {
    /// The products behind `MatMul` of these shapes: vectors are matrices of one row or column,
    /// leading axes broadcast, and leading axes of the left factor alone join its rows.
    pub(crate) fn new(a: &[usize], b: &[usize]) -> Self {
        let left = if a.len() == 1 { vec![1, a[0]] } else { a.to_vec() };
        let right = if b.len() == 1 { vec![b[0], 1] } else { b.to_vec() };
        let (batch_a, matrix_a) = left.split_at(left.len() - 2);
        let (batch_b, matrix_b) = right.split_at(right.len() - 2);
        let (m, k, n) = (matrix_a[0], matrix_a[1], matrix_b[1]);
        if batch_b.iter().all(|d| *d == 1) && batch_b.len() <= batch_a.len() {
            let rows = batch_a.iter().product::<usize>() * m;
            return Self { extents: (rows, k, n), starts: vec![[0; 3]] };
        }
        let rank = batch_a.len().max(batch_b.len());
        let extent = |s: &[usize], axis: usize| (axis + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
        // Where one extent is 1 the other counts, be it 0.
        let common = |axis| match (extent(batch_a, axis), extent(batch_b, axis)) {
            (1, y) => y,
            (x, _) => x,
        };
        let batch: Vec<usize> = (0..rank).map(common).collect();
        let (steps_a, steps_b) = (broadcast_strides(batch_a, &batch), broadcast_strides(batch_b, &batch));
        let mut starts = Vec::new();
        walk(&batch, [0, 0], [&steps_a, &steps_b], |[i, j], [step_i, step_j], length| {
            for row in 0..length as isize {
                let (i, j) = ((i + step_i * row) as usize, (j + step_j * row) as usize);
                starts.push([i * m * k, j * k * n, starts.len() * m * n]);
            }
        });
        Self { extents: (m, k, n), starts }
    }
}

/// $A B$ with NumPy's rules for batches and vectors.
pub(super) fn matmul<N: Number>(a: &Tensor<N>, b: &Tensor<N>, shape: &[usize]) -> Tensor<N> {
    let products = Products::new(a.shape(), b.shape());
    let (m, k, n) = products.extents;
    let mut out = vec![N::default(); shape.iter().product()];
    for [i, j, o] in products.starts {
        let left = Matrix::new(&a.data()[i..i + m * k], m, k);
        let right = Matrix::new(&b.data()[j..j + k * n], k, n);
        N::gemm(&mut out[o..o + m * n], left, right, false);
    }
    Tensor::new(shape.to_vec(), out)
}

/// A matrix operand from a tensor of rank 2.
pub(crate) fn operand<N>(a: &Tensor<N>, transposed: bool) -> Matrix<'_, N> {
    let matrix = Matrix::new(a.data(), a.shape()[0], a.shape()[1]);
    if transposed { matrix.t() } else { matrix }
}

/// $\alpha\, A' B' + \beta\, C$.
pub(super) fn gemm<N: Number>(
    (a, trans_a): (&Tensor<N>, bool),
    (b, trans_b): (&Tensor<N>, bool),
    c: Option<&Tensor<N>>,
    (alpha, beta): (f32, f32),
    shape: &[usize],
) -> Tensor<N> {
    let (a, b) = (operand(a, trans_a), operand(b, trans_b));
    let (alpha_number, beta_number) = (N::of(f64::from(alpha)), N::of(f64::from(beta)));
    let Some(c) = c.filter(|_| beta != 0.0) else {
        let mut out = vec![N::default(); shape.iter().product()];
        N::gemm(&mut out, a, b, false);
        if alpha != 1.0 {
            out.iter_mut().for_each(|v| *v = alpha_number * *v);
        }
        return Tensor::new(shape.to_vec(), out);
    };
    let mut out = Strided::expand(c.shape(), shape).read(c.data());
    if beta != 1.0 {
        out.iter_mut().for_each(|v| *v = beta_number * *v);
    }
    if alpha == 1.0 {
        N::gemm(&mut out, a, b, true);
    } else {
        let mut product = vec![N::default(); out.len()];
        N::gemm(&mut product, a, b, false);
        out.iter_mut().zip(product).for_each(|(v, p)| *v += alpha_number * p);
    }
    Tensor::new(shape.to_vec(), out)
}
