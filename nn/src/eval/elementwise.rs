//! Operators that act entry by entry, with NumPy's broadcasting.

use super::array::Array;
use super::number::Number;
use super::strided::{broadcast_strides, walk};
use crate::error::NnError;
use crate::graph::Node;
use crate::op::Op;
use secateur_linalg::Tensor;
use std::sync::Arc;

/// $f(a)$ for every entry, in place where the argument is not used elsewhere.
pub(crate) fn map<E: Copy>(mut a: Arc<Tensor<E>>, mut f: impl FnMut(E) -> E) -> Arc<Tensor<E>> {
    if let Some(own) = Arc::get_mut(&mut a) {
        own.data_mut().iter_mut().for_each(|v| *v = f(*v));
        return a;
    }
    Arc::new(a.map(|v| f(*v)))
}

/// $f(a, b)$ for every entry of the common shape.
pub(crate) fn zip<A: Copy, B: Copy, C>(
    a: &Tensor<A>,
    b: &Tensor<B>,
    shape: &[usize],
    mut f: impl FnMut(A, B) -> C,
) -> Tensor<C> {
    let mut out = Vec::with_capacity(shape.iter().product());
    let (steps_a, steps_b) = (broadcast_strides(a.shape(), shape), broadcast_strides(b.shape(), shape));
    let (a, b) = (a.data(), b.data());
    walk(shape, [0, 0], [&steps_a, &steps_b], |[i, j], steps, length| {
        let (i, j) = (i as usize, j as usize);
        match steps {
            [0, _] => out.extend(b[j..j + length].iter().map(|y| f(a[i], *y))),
            [_, 0] => out.extend(a[i..i + length].iter().map(|x| f(*x, b[j]))),
            _ => out.extend(a[i..i + length].iter().zip(&b[j..j + length]).map(|(x, y)| f(*x, *y))),
        }
    });
    Tensor::new(shape.to_vec(), out)
}

/// [`zip`] of equal types, in place in `a` where its shape is the result's and it is not used elsewhere.
fn zip_into<E: Copy>(
    mut a: Arc<Tensor<E>>,
    b: &Tensor<E>,
    shape: &[usize],
    mut f: impl FnMut(E, E) -> E,
) -> Arc<Tensor<E>> {
    if a.shape() == shape
        && let Some(own) = Arc::get_mut(&mut a)
    {
        let steps = broadcast_strides(b.shape(), shape);
        let whole = broadcast_strides(shape, shape);
        let (target, b) = (own.data_mut(), b.data());
        walk(shape, [0, 0], [&whole, &steps], |[i, j], [_, step], length| {
            let (row, j) = (&mut target[i as usize..i as usize + length], j as usize);
            match step {
                0 => row.iter_mut().for_each(|x| *x = f(*x, b[j])),
                _ => row.iter_mut().zip(&b[j..]).for_each(|(x, y)| *x = f(*x, *y)),
            }
        });
        return a;
    }
    Arc::new(zip(&a, b, shape, f))
}

fn select<E: Copy>(c: &Tensor<bool>, a: &Tensor<E>, b: &Tensor<E>, shape: &[usize]) -> Tensor<E> {
    let with_a = zip(c, a, shape, |c, a| c.then_some(a));
    zip(&with_a, b, shape, |a, b| a.unwrap_or(b))
}

/// $a$ limited to $[\text{min}, \text{max}]$; `max` wins where the limits cross.
pub(crate) fn clip<N: Number>(a: N, min: Option<N>, max: Option<N>) -> N {
    let raised = min.filter(|m| m.exceeds(a)).unwrap_or(a);
    max.filter(|m| raised.exceeds(*m)).unwrap_or(raised)
}

/// $\operatorname{sign} a$.
fn sign<N: Number>(a: N) -> N {
    let zero = N::default();
    match (a.exceeds(zero), zero.exceeds(a)) {
        (true, _) => N::of(1.0),
        (_, true) => N::of(-1.0),
        _ => zero,
    }
}

fn unary_real<N: Number>(op: &Op, a: Arc<Tensor<N>>) -> Arc<Tensor<N>> {
    let zero = N::default();
    match op {
        Op::Neg => map(a, |v| -v),
        Op::Relu => map(a, |v| if v.exceeds(zero) { v } else { zero }),
        Op::LeakyRelu { slope } => {
            let slope = N::of(f64::from(*slope));
            map(a, |v| if v.exceeds(zero) { v } else { slope * v })
        }
        Op::Sigmoid => map(a, N::sigmoid),
        Op::Tanh => map(a, N::tanh),
        Op::Sign => map(a, sign),
        Op::Sin => map(a, N::sin),
        Op::Cos => map(a, N::cos),
        Op::Floor => map(a, |v| N::of(v.value().floor())),
        Op::Exp => map(a, N::exp),
        Op::Sqrt => map(a, N::sqrt),
        Op::Clip { min, max } => {
            let (min, max) = (min.map(N::of), max.map(N::of));
            map(a, |v| clip(v, min, max))
        }
        other => panic!("{} does not act on single numbers", other.name()),
    }
}

fn unary_integer(op: &Op, a: i64) -> Option<i64> {
    match op {
        Op::Neg => a.checked_neg(),
        Op::Relu => Some(a.max(0)),
        Op::Sign => Some(a.signum()),
        Op::Clip { min, max } => {
            let raised = min.map_or(a, |m| a.max(m.ceil() as i64));
            Some(max.map_or(raised, |m| raised.min(m.floor() as i64)))
        }
        other => panic!("{} does not act on single integers", other.name()),
    }
}

/// An operator of one argument that acts entry by entry.
pub(super) fn unary<N: Number>(node: &Node, a: Array<N>) -> Result<Array<N>, NnError> {
    match a {
        Array::Real(a) => Ok(Array::Real(unary_real(&node.op, a))),
        Array::Integer(a) => in_range(node, a.map(|v| unary_integer(&node.op, *v))),
        Array::Truth(_) => panic!("shape inference admits only numbers here"),
    }
}

fn binary_real<N: Number>(op: &Op, a: Arc<Tensor<N>>, b: &Tensor<N>, shape: &[usize]) -> Arc<Tensor<N>> {
    match op {
        Op::Add => zip_into(a, b, shape, |x, y| x + y),
        Op::Sub => zip_into(a, b, shape, |x, y| x - y),
        Op::Mul => zip_into(a, b, shape, |x, y| x * y),
        Op::Div => zip_into(a, b, shape, |x, y| x / y),
        Op::Min => zip_into(a, b, shape, N::minimum),
        Op::Max => zip_into(a, b, shape, N::maximum),
        Op::Pow => zip_into(a, b, shape, N::pow),
        other => panic!("{} does not act on pairs of numbers", other.name()),
    }
}

fn binary_integer(op: &Op, a: i64, b: i64) -> Option<i64> {
    match op {
        Op::Add => a.checked_add(b),
        Op::Sub => a.checked_sub(b),
        Op::Mul => a.checked_mul(b),
        Op::Div => a.checked_div(b),
        Op::Min => Some(a.min(b)),
        Op::Max => Some(a.max(b)),
        Op::Pow => a.checked_pow(u32::try_from(b).ok()?),
        other => panic!("{} does not act on pairs of integers", other.name()),
    }
}

/// An operator of two arguments that acts entry by entry.
pub(super) fn binary<N: Number>(node: &Node, a: Array<N>, b: &Array<N>) -> Result<Array<N>, NnError> {
    let shape = &node.shape;
    match (a, b) {
        (Array::Real(a), Array::Real(b)) => Ok(Array::Real(binary_real(&node.op, a, b, shape))),
        (Array::Integer(a), Array::Integer(b)) => {
            in_range(node, zip(&a, b, shape, |x, y| binary_integer(&node.op, x, y)))
        }
        _ => panic!("shape inference admits only numbers of one type here"),
    }
}

/// Integers, unless one of them has overflowed.
fn in_range<N>(node: &Node, values: Tensor<Option<i64>>) -> Result<Array<N>, NnError> {
    let shape = values.shape().to_vec();
    match values.into_data().into_iter().collect() {
        Some(data) => Ok(Array::Integer(Arc::new(Tensor::new(shape, data)))),
        None => Err(NnError::IntegerRange { node: node.name.clone(), op: node.op.name() }),
    }
}

/// $a = b$ for every entry of the common shape.
pub(super) fn equal<N: Number>(a: &Array<N>, b: &Array<N>, shape: &[usize]) -> Array<N> {
    Array::Truth(Arc::new(match (a, b) {
        (Array::Real(a), Array::Real(b)) => zip(a, b, shape, N::equals),
        (Array::Integer(a), Array::Integer(b)) => zip(a, b, shape, |x, y| x == y),
        (Array::Truth(a), Array::Truth(b)) => zip(a, b, shape, |x, y| x == y),
        _ => panic!("shape inference admits only one type here"),
    }))
}

/// $c\,?\,a : b$ for every entry of the common shape.
pub(super) fn choose<N: Number>(c: &Array<N>, a: &Array<N>, b: &Array<N>, shape: &[usize]) -> Array<N> {
    match (c, a, b) {
        (Array::Truth(c), Array::Real(a), Array::Real(b)) => Array::Real(Arc::new(select(c, a, b, shape))),
        (Array::Truth(c), Array::Integer(a), Array::Integer(b)) => Array::Integer(Arc::new(select(c, a, b, shape))),
        (Array::Truth(c), Array::Truth(a), Array::Truth(b)) => Array::Truth(Arc::new(select(c, a, b, shape))),
        _ => panic!("shape inference admits only a condition and two values of one type here"),
    }
}
