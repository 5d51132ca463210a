//! Reverse rules of the operators that act entry by entry.

use super::{Application, Parts};
use crate::eval::elementwise::zip;
use crate::eval::strided::Strided;
use crate::eval::{Array, Number};
use crate::op::Op;
use secateur_linalg::Tensor;

/// The adjoint of broadcasting from `shape` to `result`: sums over what was repeated.
pub(super) fn unbroadcast<N: Number>(cotangent: Vec<N>, shape: &[usize], result: &[usize]) -> Vec<N> {
    if shape == result {
        return cotangent;
    }
    let mut out = vec![N::default(); shape.iter().product()];
    Strided::expand(shape, result).add_back(&cotangent, &mut out);
    out
}

/// Multiplies each cotangent by $f(x, y)$ of the argument and the value.
fn scale<N: Number>(cotangent: &mut [N], x: &[N], y: &[N], f: impl Fn(N, N) -> N) {
    cotangent.iter_mut().zip(x.iter().zip(y)).for_each(|(g, (x, y))| *g = *g * f(*x, *y));
}

/// Partial derivative of an operator of two numbers in the first (`true`) or second, at $(a, b)$.
fn partial<N: Number>(op: &Op, first: bool, a: N, b: N) -> N {
    let (zero, one, half) = (N::default(), N::of(1.0), N::of(0.5));
    match (op, first) {
        (Op::Add, _) | (Op::Sub, true) => one,
        (Op::Sub, false) => -one,
        (Op::Mul, true) => b,
        (Op::Mul, false) => a,
        (Op::Div, true) => one / b,
        (Op::Div, false) => -(a / b / b),
        (Op::Max | Op::Min, _) if a.equals(b) => half,
        (Op::Max, _) => {
            if a.exceeds(b) == first {
                one
            } else {
                zero
            }
        }
        (Op::Min, _) => {
            if b.exceeds(a) == first {
                one
            } else {
                zero
            }
        }
        (Op::Pow, true) => {
            if b.equals(zero) {
                zero
            } else {
                b * a.pow(b - one)
            }
        }
        (Op::Pow, false) => {
            if a.equals(zero) {
                zero
            } else {
                a.pow(b) * a.ln()
            }
        }
        (other, _) => panic!("{} does not act on pairs of numbers", other.name()),
    }
}

impl<N: Number> Application<'_, N> {
    pub(super) fn unary(&self, mut cotangent: Vec<N>) -> Vec<N> {
        let (zero, one) = (N::default(), N::of(1.0));
        let (x, y) = (self.real(0).data(), self.value.data());
        match &self.node.op {
            Op::Cast(_) => {}
            Op::Neg => cotangent.iter_mut().for_each(|g| *g = -*g),
            // Selected, not multiplied or skipped: the loop vectorises. By the value, which is positive where the argument is,
            // so that the argument need not be kept.
            Op::Relu => {
                cotangent.iter_mut().zip(y).for_each(|(g, y)| *g = if y.exceeds(zero) { *g } else { zero });
            }
            Op::LeakyRelu { slope } => {
                let slope = N::of(f64::from(*slope));
                scale(&mut cotangent, x, y, |x, _| if x.exceeds(zero) { one } else { slope });
            }
            Op::Sigmoid => scale(&mut cotangent, x, y, |_, y| y * (one - y)),
            Op::Tanh => scale(&mut cotangent, x, y, |_, y| one - y * y),
            Op::Sin => scale(&mut cotangent, x, y, |x, _| x.cos()),
            Op::Cos => scale(&mut cotangent, x, y, |x, _| -x.sin()),
            Op::Exp => scale(&mut cotangent, x, y, |_, y| y),
            Op::Sqrt => scale(&mut cotangent, x, y, |_, y| N::of(0.5) / y),
            Op::Clip { min, max } => {
                let (min, max) = (min.map(N::of), max.map(N::of));
                let outside = |x: N| min.is_some_and(|m| m.exceeds(x)) || max.is_some_and(|m| x.exceeds(m));
                scale(&mut cotangent, x, y, |x, _| if outside(x) { zero } else { one });
            }
            other => panic!("{} does not act on single numbers", other.name()),
        }
        cotangent
    }

    pub(super) fn binary(&self, cotangent: &[N]) -> Parts<N> {
        let (a, b, shape) = (self.real(0), self.real(1), self.value.shape());
        let part = |first: bool, argument: &Tensor<N>| {
            let scaled = match (&self.node.op, first) {
                (Op::Add, _) | (Op::Sub, true) => cotangent.to_vec(),
                (op, _) => {
                    let mut partials = zip(a, b, shape, |x, y| partial(op, first, x, y)).into_data();
                    partials.iter_mut().zip(cotangent).for_each(|(p, g)| *p = *p * *g);
                    partials
                }
            };
            unbroadcast(scaled, argument.shape(), shape)
        };
        vec![self.part(0, || part(true, a)), self.part(1, || part(false, b))]
    }

    pub(super) fn choose(&self, cotangent: &[N]) -> Parts<N> {
        let Array::Truth(condition) = self.arguments[0] else {
            panic!("shape inference admits only a condition here");
        };
        let shape = self.value.shape();
        let condition = Strided::expand(condition.shape(), shape).read(condition.data());
        let part = |side: bool, argument: usize| {
            let passes = condition.iter().zip(cotangent).map(|(c, g)| if *c == side { *g } else { N::default() });
            unbroadcast(passes.collect(), self.real(argument).shape(), shape)
        };
        vec![None, self.part(1, || part(true, 1)), self.part(2, || part(false, 2))]
    }
}
