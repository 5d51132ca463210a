//! Reverse rules of the matrix products.

use super::elementwise::unbroadcast;
use super::{Application, Parts};
use crate::eval::linear::{Products, operand};
use crate::eval::{Matrix, Number};
use std::borrow::Cow;

impl<N: Number> Application<'_, N> {
    /// $\bar A = \bar Y B^\top$, $\bar B = A^\top \bar Y$, summed over the products that share a factor.
    pub(super) fn matmul(&self, cotangent: &[N]) -> Parts<N> {
        let (a, b) = (self.real(0), self.real(1));
        let products = Products::new(a.shape(), b.shape());
        let (m, k, n) = products.extents;
        let left = |i: usize| Matrix::new(&a.data()[i..i + m * k], m, k);
        let right = |j: usize| Matrix::new(&b.data()[j..j + k * n], k, n);
        let result = |o: usize| Matrix::new(&cotangent[o..o + m * n], m, n);
        let part_a = || {
            let mut out = vec![N::default(); a.len()];
            for [i, j, o] in &products.starts {
                N::gemm(&mut out[*i..i + m * k], result(*o), right(*j).t(), true);
            }
            out
        };
        let part_b = || {
            let mut out = vec![N::default(); b.len()];
            for [i, j, o] in &products.starts {
                N::gemm(&mut out[*j..j + k * n], left(*i).t(), result(*o), true);
            }
            out
        };
        vec![self.part(0, part_a), self.part(1, part_b)]
    }

    pub(super) fn gemm(
        &self,
        cotangent: &[N],
        (alpha, beta): (f32, f32),
        (trans_a, trans_b): (bool, bool),
    ) -> Parts<N> {
        let shape = self.value.shape();
        let scaled = |factor: f32| -> Cow<'_, [N]> {
            if factor == 1.0 {
                return Cow::Borrowed(cotangent);
            }
            let factor = N::of(f64::from(factor));
            Cow::Owned(cotangent.iter().map(|g| factor * *g).collect())
        };
        let (a, b) = (operand(self.real(0), trans_a), operand(self.real(1), trans_b));
        let product = |left: Matrix<'_, N>, right: Matrix<'_, N>, len: usize| {
            let mut out = vec![N::default(); len];
            N::gemm(&mut out, left, right, false);
            out
        };
        let by_alpha = scaled(alpha);
        let g = Matrix::new(&by_alpha, shape[0], shape[1]);
        let part_a = || {
            let (left, right) = if trans_a { (b, g.t()) } else { (g, b.t()) };
            product(left, right, self.real(0).len())
        };
        let part_b = || {
            let (left, right) = if trans_b { (g.t(), a) } else { (a.t(), g) };
            product(left, right, self.real(1).len())
        };
        let part_c = || unbroadcast(scaled(beta).into_owned(), self.real(2).shape(), shape);
        vec![self.part(0, part_a), self.part(1, part_b), self.part(2, part_c)]
    }
}
