//! Dual numbers: a value with its derivative along one direction.

use crate::eval::{Matrix, Number};
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// $a + \dot a\,\varepsilon$ with $\varepsilon^2 = 0$.
///
/// $f(a + \dot a\,\varepsilon) = f(a) + f'(a)\,\dot a\,\varepsilon$, so whatever runs on dual numbers
/// computes its own derivative along $\dot a$, exactly up to rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dual<N> {
    /// $a$.
    pub value: N,
    /// $\dot a$.
    pub tangent: N,
}

impl<N: Number> Dual<N> {
    /// A number that does not vary.
    #[inline(always)]
    pub fn constant(value: N) -> Self {
        Self { value, tangent: N::default() }
    }

    /// $f(a)$ with its derivative $f'(a)$.
    #[inline(always)]
    fn chain(self, value: N, derivative: N) -> Self {
        Self { value, tangent: derivative * self.tangent }
    }

    fn halfway(self, other: Self) -> Self {
        Self { value: self.value, tangent: N::of(0.5) * (self.tangent + other.tangent) }
    }

    fn is_constant(self) -> bool {
        self.tangent.equals(N::default()) && self.tangent.is_finite()
    }
}

impl<N: Number> Add for Dual<N> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, tangent: self.tangent + other.tangent }
    }
}

impl<N: Number> AddAssign for Dual<N> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<N: Number> Sub for Dual<N> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self { value: self.value - other.value, tangent: self.tangent - other.tangent }
    }
}

impl<N: Number> Mul for Dual<N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self { value: self.value * other.value, tangent: self.tangent * other.value + self.value * other.tangent }
    }
}

impl<N: Number> Div for Dual<N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        Self { value, tangent: (self.tangent - value * other.tangent) / other.value }
    }
}

impl<N: Number> Neg for Dual<N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self { value: -self.value, tangent: -self.tangent }
    }
}

impl<N: Number> Number for Dual<N> {
    fn of(value: f64) -> Self {
        Self::constant(N::of(value))
    }
    #[inline(always)]
    fn value(self) -> f64 {
        self.value.value()
    }
    #[inline(always)]
    fn exceeds(self, other: Self) -> bool {
        self.value.exceeds(other.value)
    }
    #[inline(always)]
    fn equals(self, other: Self) -> bool {
        self.value.equals(other.value)
    }
    fn is_finite(self) -> bool {
        self.value.is_finite() & self.tangent.is_finite()
    }
    fn exp(self) -> Self {
        let y = self.value.exp();
        self.chain(y, y)
    }
    fn ln(self) -> Self {
        self.chain(self.value.ln(), N::of(1.0) / self.value)
    }
    fn tanh(self) -> Self {
        let y = self.value.tanh();
        self.chain(y, N::of(1.0) - y * y)
    }
    fn sigmoid(self) -> Self {
        let y = self.value.sigmoid();
        self.chain(y, y * (N::of(1.0) - y))
    }
    fn sin(self) -> Self {
        self.chain(self.value.sin(), self.value.cos())
    }
    fn cos(self) -> Self {
        self.chain(self.value.cos(), -self.value.sin())
    }
    fn sqrt(self) -> Self {
        let y = self.value.sqrt();
        // A number that does not vary has a finite root at zero too.
        if self.is_constant() { Self::constant(y) } else { self.chain(y, N::of(0.5) / y) }
    }
    fn pow(self, exponent: Self) -> Self {
        // Each term only where it varies: ln a and a^(b-1) need not exist elsewhere.
        let (a, b, zero) = (self.value, exponent.value, N::default());
        let value = a.pow(b);
        let mut tangent = zero;
        if !self.is_constant() && !b.equals(zero) {
            tangent += b * a.pow(b - N::of(1.0)) * self.tangent;
        }
        if !exponent.is_constant() && !a.equals(zero) {
            tangent += value * a.ln() * exponent.tangent;
        }
        Self { value, tangent }
    }
    fn maximum(self, other: Self) -> Self {
        match (self.exceeds(other), other.exceeds(self)) {
            (true, _) => self,
            (_, true) => other,
            _ => self.halfway(other),
        }
    }
    fn minimum(self, other: Self) -> Self {
        match (self.exceeds(other), other.exceeds(self)) {
            (true, _) => other,
            (_, true) => self,
            _ => self.halfway(other),
        }
    }

    /// $(A + \dot A\varepsilon)(B + \dot B\varepsilon) = AB + (\dot A B + A \dot B)\,\varepsilon$: three
    /// plain products, fewer where an operand does not vary.
    fn gemm(c: &mut [Self], a: Matrix<'_, Self>, b: Matrix<'_, Self>, accumulate: bool) {
        let (a_value, a_tangent) = split(a.data);
        let (b_value, b_tangent) = split(b.data);
        fn of<'s, N>(m: &Matrix<'_, Dual<N>>, data: &'s [N]) -> Matrix<'s, N> {
            Matrix { data, rows: m.rows, cols: m.cols, transposed: m.transposed }
        }
        let (mut value, mut tangent) = (vec![N::default(); c.len()], vec![N::default(); c.len()]);
        N::gemm(&mut value, of(&a, &a_value), of(&b, &b_value), false);
        if let Some(a_tangent) = a_tangent {
            N::gemm(&mut tangent, of(&a, &a_tangent), of(&b, &b_value), true);
        }
        if let Some(b_tangent) = b_tangent {
            N::gemm(&mut tangent, of(&a, &a_value), of(&b, &b_tangent), true);
        }
        for (c, (value, tangent)) in c.iter_mut().zip(value.into_iter().zip(tangent)) {
            let product = Self { value, tangent };
            *c = if accumulate { *c + product } else { product };
        }
    }
}

/// Values and tangents apart; no tangents where nothing varies.
fn split<N: Number>(data: &[Dual<N>]) -> (Vec<N>, Option<Vec<N>>) {
    let values = data.iter().map(|d| d.value).collect();
    let varies = data.iter().any(|d| !d.is_constant());
    (values, varies.then(|| data.iter().map(|d| d.tangent).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn along(a: f64) -> Dual<f64> {
        Dual { value: a, tangent: 1.0 }
    }

    #[test]
    fn derivatives_of_the_elementary_functions() {
        let x = 0.7_f64;
        let cases: [(Dual<f64>, f64); 9] = [
            (along(x).exp(), x.exp()),
            (along(x).ln(), 1.0 / x),
            (along(x).tanh(), 1.0 - x.tanh().powi(2)),
            (along(x).sin(), x.cos()),
            (along(x).cos(), -x.sin()),
            (along(x).sqrt(), 0.5 / x.sqrt()),
            (along(x).pow(Dual::of(3.0)), 3.0 * x * x),
            (Dual::of(2.0).pow(along(x)), 2.0_f64.powf(x) * 2.0_f64.ln()),
            (Dual::of(1.0) / along(x), -1.0 / (x * x)),
        ];
        for (found, expected) in cases {
            // A few roundoffs of numbers near 1.
            assert!((found.tangent - expected).abs() < 1e-14, "{found:?} {expected}");
        }
    }

    #[test]
    fn powers_of_negative_numbers_with_fixed_exponents() {
        let square = along(-3.0).pow(Dual::of(2.0));
        assert_eq!((square.value, square.tangent), (9.0, -6.0));
        assert_eq!(along(0.0).pow(Dual::of(0.0)).tangent, 0.0);
    }

    #[test]
    fn dual_numbers_nest() {
        // d²/dx² x³ at 2 is 12.
        let x = Dual { value: along(2.0), tangent: Dual::of(1.0) };
        assert_eq!((x * x * x).tangent.tangent, 12.0);
    }

    #[test]
    fn ties_share_the_derivative() {
        assert_eq!(along(1.0).maximum(Dual::of(1.0)).tangent, 0.5);
        assert_eq!(along(1.0).minimum(along(1.0)).tangent, 1.0);
    }

    #[test]
    fn products_of_dual_matrices() {
        let a = [along(1.0), Dual::of(2.0)];
        let b = [along(3.0), along(4.0)];
        let mut c = [Dual::of(1.0)];
        Dual::gemm(&mut c, Matrix::new(&a, 1, 2), Matrix::new(&b, 2, 1), true);
        assert_eq!(c, [Dual { value: 12.0, tangent: 6.0 }]);
    }
}
