//! The arithmetic that networks are evaluated in.

use secateur_linalg::Tensor;
use secateur_linalg::gemm::{View, gemm};
use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};
use std::sync::Arc;

/// A row-major matrix, or the transpose of one, as an operand of a product.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, N> {
    /// Stored entries, row by row.
    pub data: &'a [N],
    /// Stored rows.
    pub rows: usize,
    /// Stored columns.
    pub cols: usize,
    /// Whether the operand is the transpose of what is stored.
    pub transposed: bool,
}

impl<'a, N> Matrix<'a, N> {
    /// The stored matrix.
    pub fn new(data: &'a [N], rows: usize, cols: usize) -> Self {
        Self { data, rows, cols, transposed: false }
    }

    /// The transpose, without copying.
    pub fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }
}

/// What the kernels compute with: `f32`, `f64`, or a [dual number](crate::autodiff::Dual) over them.
///
/// Comparisons look at the value alone, so that a dual number takes the branch that its value takes.
pub trait Number:
    Copy
    + Send
    + Sync
    + Default
    + Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + 'static
{
    /// The nearest number to a constant.
    fn of(value: f64) -> Self;
    /// The value, without loss.
    fn value(self) -> f64;
    /// $a > b$.
    fn exceeds(self, other: Self) -> bool;
    /// $a = b$.
    fn equals(self, other: Self) -> bool;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// $e^a$.
    fn exp(self) -> Self;
    /// $\ln a$.
    fn ln(self) -> Self;
    /// $\tanh a$.
    fn tanh(self) -> Self;
    /// $1 / (1 + e^{-a})$.
    fn sigmoid(self) -> Self;
    /// $\sin a$.
    fn sin(self) -> Self;
    /// $\cos a$.
    fn cos(self) -> Self;
    /// $\sqrt a$.
    fn sqrt(self) -> Self;
    /// $a^b$.
    fn pow(self, exponent: Self) -> Self;
    /// $\max(a, b)$; the derivative is shared evenly where $a = b$.
    fn maximum(self, other: Self) -> Self;
    /// $\min(a, b)$; the derivative is shared evenly where $a = b$.
    fn minimum(self, other: Self) -> Self;

    /// $C \leftarrow A B$, or $C \leftarrow C + A B$ when `accumulate`.
    ///
    /// # Shapes
    /// `a` is $m \times k$, `b` is $k \times n$, `c` holds $m$ rows of $n$ entries.
    fn gemm(c: &mut [Self], a: Matrix<'_, Self>, b: Matrix<'_, Self>, accumulate: bool);

    /// A stored tensor in this arithmetic; shared, not copied, where it is already in it.
    fn from_f32_tensor(tensor: &Arc<Tensor<f32>>) -> Arc<Tensor<Self>> {
        Arc::new(tensor.map(|v| Self::of(f64::from(*v))))
    }

    /// A stored tensor in this arithmetic; shared, not copied, where it is already in it.
    fn from_f64_tensor(tensor: &Arc<Tensor<f64>>) -> Arc<Tensor<Self>> {
        Arc::new(tensor.map(|v| Self::of(*v)))
    }
}

impl<'a, T: secateur_linalg::Scalar> From<Matrix<'a, T>> for View<'a, T> {
    fn from(matrix: Matrix<'a, T>) -> Self {
        let view = View::new(matrix.data, matrix.rows, matrix.cols);
        if matrix.transposed { view.t() } else { view }
    }
}

macro_rules! number {
    ($t:ident, $share:ident) => {
        impl Number for $t {
            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn value(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn exceeds(self, other: Self) -> bool {
                self > other
            }
            #[inline(always)]
            fn equals(self, other: Self) -> bool {
                self == other
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $t::is_finite(self)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $t::exp(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                $t::ln(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $t::tanh(self)
            }
            #[inline(always)]
            fn sigmoid(self) -> Self {
                // Only non-positive arguments of exp, which therefore never overflows.
                let e = $t::exp(-self.abs());
                if self >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
            }
            #[inline(always)]
            fn sin(self) -> Self {
                $t::sin(self)
            }
            #[inline(always)]
            fn cos(self) -> Self {
                $t::cos(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $t::sqrt(self)
            }
            #[inline(always)]
            fn pow(self, exponent: Self) -> Self {
                $t::powf(self, exponent)
            }
            #[inline(always)]
            fn maximum(self, other: Self) -> Self {
                if other > self { other } else { self }
            }
            #[inline(always)]
            fn minimum(self, other: Self) -> Self {
                if other < self { other } else { self }
            }
            fn gemm(c: &mut [Self], a: Matrix<'_, Self>, b: Matrix<'_, Self>, accumulate: bool) {
                gemm(c, a.into(), b.into(), accumulate);
            }
            fn $share(tensor: &Arc<Tensor<$t>>) -> Arc<Tensor<Self>> {
                Arc::clone(tensor)
            }
        }
    };
}

number!(f32, from_f32_tensor);
number!(f64, from_f64_tensor);
