//! Operators applied to constants while reading.
//!
//! Folding never rounds: floats are moved, and computed with only where the result is exact, so
//! the graph denotes the same real function as the file. What cannot be folded stays an operator.

use crate::op::{ElementType, Op, Value};
use crate::shape::TensorType;
use secateur_linalg::Tensor;
use secateur_linalg::tensor::strides;
use std::sync::Arc;

/// The value of `op` on constants, `None` where it is not exact or not an operator that is folded.
///
/// # Shapes
/// `result` is the inferred type, so shapes and element types fit each other.
pub fn fold(op: &Op, arguments: &[&Value], result: &TensorType) -> Option<Value> {
    let shape = &result.shape;
    match op {
        Op::Reshape { .. } => Some(take(arguments[0], shape, 0..arguments[0].shape().iter().product())),
        Op::Transpose { .. } | Op::Slice { .. } | Op::Gather { .. } | Op::Expand { .. } => {
            let sources = sources(op, arguments[0].shape(), shape);
            Some(take(arguments[0], shape, sources.into_iter()))
        }
        Op::Concat { axis } => concat(*axis, arguments, shape),
        Op::Cast(element) => cast(arguments[0], *element),
        Op::Where => select(arguments, shape),
        Op::Equal => Some(equal(arguments, shape)),
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Min | Op::Max => binary(op, arguments, shape),
        Op::Neg | Op::Floor | Op::Sqrt => unary(op, arguments[0]),
        _ => None,
    }
}

/// The entries of `value` at flat positions, under a shape.
fn take(value: &Value, shape: &[usize], sources: impl Iterator<Item = usize>) -> Value {
    fn pick<T: Copy>(tensor: &Tensor<T>, shape: &[usize], sources: impl Iterator<Item = usize>) -> Arc<Tensor<T>> {
        Arc::new(Tensor::new(shape.to_vec(), sources.map(|i| tensor.data()[i]).collect()))
    }
    match value {
        Value::F32(t) => Value::F32(pick(t, shape, sources)),
        Value::F64(t) => Value::F64(pick(t, shape, sources)),
        Value::I64(t) => Value::I64(pick(t, shape, sources)),
        Value::Bool(t) => Value::Bool(pick(t, shape, sources)),
    }
}

/// For every entry of the result, in order, the flat position of the argument's entry that it is.
fn sources(op: &Op, from: &[usize], to: &[usize]) -> Vec<usize> {
    let step = strides(from);
    let mut positions = vec![0; to.iter().product()];
    let mut inner = positions.len();
    let at_axis = |axis: usize, index: usize| -> usize {
        match op {
            Op::Transpose { axes } => index * step[axes[axis]],
            Op::Slice { starts, steps, .. } => {
                let offset = index as isize * steps[axis];
                starts[axis].wrapping_add_signed(offset) * step[axis]
            }
            Op::Expand { .. } => {
                let source = (axis + from.len()).checked_sub(to.len());
                source.map_or(0, |a| if from[a] == 1 { 0 } else { index * step[a] })
            }
            Op::Gather { axis: gathered, indices } => {
                let rank = indices.rank();
                match axis {
                    a if a < *gathered => index * step[a],
                    // The index axes are dealt with together, at the first of them.
                    a if a < gathered + rank => 0,
                    a => index * step[a + 1 - rank],
                }
            }
            _ => 0,
        }
    };
    for (axis, extent) in to.iter().enumerate() {
        inner /= (*extent).max(1);
        for (flat, position) in positions.iter_mut().enumerate() {
            *position += at_axis(axis, flat / inner.max(1) % extent);
        }
    }
    if let Op::Gather { axis, indices } = op {
        let inner: usize = from[axis + 1..].iter().product();
        for (flat, position) in positions.iter_mut().enumerate() {
            *position += indices.data()[flat / inner % indices.len()] * step[*axis];
        }
    }
    positions
}

fn concat(axis: usize, arguments: &[&Value], shape: &[usize]) -> Option<Value> {
    fn join<T: Copy>(axis: usize, parts: &[&Tensor<T>], shape: &[usize]) -> Arc<Tensor<T>> {
        let outer: usize = shape[..axis].iter().product();
        let mut data = Vec::with_capacity(shape.iter().product());
        for row in 0..outer {
            for part in parts {
                let width: usize = part.shape()[axis..].iter().product();
                data.extend_from_slice(&part.data()[row * width..(row + 1) * width]);
            }
        }
        Arc::new(Tensor::new(shape.to_vec(), data))
    }
    macro_rules! join_as {
        ($variant:ident) => {{
            let part = |v: &&'_ Value| match v {
                Value::$variant(t) => Some(Arc::clone(t)),
                _ => None,
            };
            let parts = arguments.iter().map(part).collect::<Option<Vec<_>>>()?;
            let parts: Vec<_> = parts.iter().map(|p| &**p).collect();
            Some(Value::$variant(join(axis, &parts, shape)))
        }};
    }
    match arguments[0] {
        Value::F32(_) => join_as!(F32),
        Value::F64(_) => join_as!(F64),
        Value::I64(_) => join_as!(I64),
        Value::Bool(_) => join_as!(Bool),
    }
}

fn cast(value: &Value, element: ElementType) -> Option<Value> {
    fn each<T: Copy, U>(tensor: &Tensor<T>, f: impl Fn(T) -> Option<U>) -> Option<Arc<Tensor<U>>> {
        let data = tensor.data().iter().map(|v| f(*v)).collect::<Option<_>>()?;
        Some(Arc::new(Tensor::new(tensor.shape().to_vec(), data)))
    }
    /// Truncation, where the result is an integer of 63 bits.
    fn whole(v: f64) -> Option<i64> {
        (v.abs() < 9e18).then_some(v.trunc() as i64)
    }
    fn single(v: f64) -> Option<f32> {
        (f64::from(v as f32) == v).then_some(v as f32)
    }
    fn double(v: i64) -> Option<f64> {
        (v.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS).then_some(v as f64)
    }
    if value.element_type() == element {
        return Some(value.clone());
    }
    Some(match (value, element) {
        (Value::F32(t), ElementType::F64) => Value::F64(each(t, |v| Some(f64::from(v)))?),
        (Value::F32(t), ElementType::I64) => Value::I64(each(t, |v| whole(f64::from(v)))?),
        (Value::F32(t), ElementType::Bool) => Value::Bool(each(t, |v| Some(v != 0.0))?),
        (Value::F64(t), ElementType::F32) => Value::F32(each(t, single)?),
        (Value::F64(t), ElementType::I64) => Value::I64(each(t, whole)?),
        (Value::F64(t), ElementType::Bool) => Value::Bool(each(t, |v| Some(v != 0.0))?),
        (Value::I64(t), ElementType::F32) => Value::F32(each(t, |v| double(v).and_then(single))?),
        (Value::I64(t), ElementType::F64) => Value::F64(each(t, double)?),
        (Value::I64(t), ElementType::Bool) => Value::Bool(each(t, |v| Some(v != 0))?),
        (Value::Bool(t), ElementType::F32) => Value::F32(each(t, |v| Some(f32::from(u8::from(v))))?),
        (Value::Bool(t), ElementType::F64) => Value::F64(each(t, |v| Some(f64::from(u8::from(v))))?),
        (Value::Bool(t), ElementType::I64) => Value::I64(each(t, |v| Some(i64::from(v)))?),
        _ => return None,
    })
}

/// An argument broadcast to the result's shape.
fn expanded(value: &Value, shape: &[usize]) -> Value {
    let op = Op::Expand { shape: shape.to_vec() };
    take(value, shape, sources(&op, value.shape(), shape).into_iter())
}

fn select(arguments: &[&Value], shape: &[usize]) -> Option<Value> {
    fn choose<T: Copy>(c: &Tensor<bool>, a: &Tensor<T>, b: &Tensor<T>) -> Arc<Tensor<T>> {
        let pairs = a.data().iter().zip(b.data());
        let data = c.data().iter().zip(pairs).map(|(c, (a, b))| if *c { *a } else { *b }).collect();
        Arc::new(Tensor::new(c.shape().to_vec(), data))
    }
    let (condition, a, b) =
        (expanded(arguments[0], shape), expanded(arguments[1], shape), expanded(arguments[2], shape));
    let Value::Bool(c) = condition else { return None };
    Some(match (a, b) {
        (Value::F32(a), Value::F32(b)) => Value::F32(choose(&c, &a, &b)),
        (Value::F64(a), Value::F64(b)) => Value::F64(choose(&c, &a, &b)),
        (Value::I64(a), Value::I64(b)) => Value::I64(choose(&c, &a, &b)),
        (Value::Bool(a), Value::Bool(b)) => Value::Bool(choose(&c, &a, &b)),
        _ => return None,
    })
}

fn equal(arguments: &[&Value], shape: &[usize]) -> Value {
    fn each<T: PartialEq>(a: &Tensor<T>, b: &Tensor<T>) -> Vec<bool> {
        a.data().iter().zip(b.data()).map(|(a, b)| a == b).collect()
    }
    let data = match (expanded(arguments[0], shape), expanded(arguments[1], shape)) {
        (Value::F32(a), Value::F32(b)) => each(&a, &b),
        (Value::F64(a), Value::F64(b)) => each(&a, &b),
        (Value::I64(a), Value::I64(b)) => each(&a, &b),
        (Value::Bool(a), Value::Bool(b)) => each(&a, &b),
        (a, _) => vec![false; a.shape().iter().product()],
    };
    Value::Bool(Arc::new(Tensor::new(shape.to_vec(), data)))
}

fn binary(op: &Op, arguments: &[&Value], shape: &[usize]) -> Option<Value> {
    let (a, b) = (expanded(arguments[0], shape), expanded(arguments[1], shape));
    match (a, b) {
        (Value::I64(a), Value::I64(b)) => {
            let data = a.data().iter().zip(b.data()).map(|(a, b)| integer(op, *a, *b)).collect::<Option<_>>()?;
            Some(Value::I64(Arc::new(Tensor::new(shape.to_vec(), data))))
        }
        (Value::F32(a), Value::F32(b)) => {
            let data = a.data().iter().zip(b.data()).map(|(a, b)| exact(op, *a, *b)).collect::<Option<_>>()?;
            Some(Value::F32(Arc::new(Tensor::new(shape.to_vec(), data))))
        }
        _ => None,
    }
}

/// An integer operation; `None` on division by zero, and where 32 bits would overflow: the file may mean numbers that wrap.
fn integer(op: &Op, a: i64, b: i64) -> Option<i64> {
    let result = match op {
        Op::Add => a.checked_add(b),
        Op::Sub => a.checked_sub(b),
        Op::Mul => a.checked_mul(b),
        Op::Div => a.checked_div(b),
        Op::Min => return Some(a.min(b)),
        Op::Max => return Some(a.max(b)),
        _ => None,
    };
    result.filter(|v| i32::try_from(*v).is_ok())
}

/// A float operation whose result is exact; `None` when it would round.
///
/// In `f64`, the product of two `f32` is exact, and so is the remainder $a - qb$ that a fused
/// multiply-add gives; a sum $s$ is exact when $s - a = b$ and $s - b = a$.
fn exact(op: &Op, a: f32, b: f32) -> Option<f32> {
    let (x, y) = (f64::from(a), f64::from(b));
    let (result, holds) = match op {
        Op::Add => (x + y, x + y - x == y && x + y - y == x),
        Op::Sub => (x - y, x - (x - y) == y && (x - y) + y == x),
        Op::Mul => (x * y, true),
        Op::Div => (x / y, (x / y).mul_add(y, -x) == 0.0),
        // These would drop what is not a number.
        Op::Min => (x.min(y), !x.is_nan() && !y.is_nan()),
        Op::Max => (x.max(y), !x.is_nan() && !y.is_nan()),
        _ => return None,
    };
    let rounded = result as f32;
    (holds && result.is_finite() && f64::from(rounded) == result).then_some(rounded)
}

fn unary(op: &Op, value: &Value) -> Option<Value> {
    match value {
        Value::F32(tensor) => {
            let root =
                |v: f32| (v.sqrt().is_finite() && f64::from(v.sqrt()).powi(2) == f64::from(v)).then_some(v.sqrt());
            let f = |v: &f32| match op {
                Op::Neg => Some(-v),
                Op::Floor => Some(v.floor()),
                Op::Sqrt => root(*v),
                _ => None,
            };
            let data = tensor.data().iter().map(f).collect::<Option<_>>()?;
            Some(Value::F32(Arc::new(Tensor::new(tensor.shape().to_vec(), data))))
        }
        Value::I64(tensor) if matches!(op, Op::Neg) => {
            // Of 32 bits, the least number has none.
            let negated = |v: &i64| v.checked_neg().filter(|v| *v != 1 << 31);
            let data = tensor.data().iter().map(negated).collect::<Option<_>>()?;
            Some(Value::I64(Arc::new(Tensor::new(tensor.shape().to_vec(), data))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::infer;

    fn ints(shape: &[usize], data: &[i64]) -> Value {
        Value::I64(Arc::new(Tensor::new(shape.to_vec(), data.to_vec())))
    }

    fn floats(data: &[f32]) -> Value {
        Value::F32(Arc::new(Tensor::vector(data.to_vec())))
    }

    fn run(op: Op, arguments: &[&Value]) -> Option<Value> {
        let typed = |v: &&Value| TensorType { shape: v.shape().to_vec(), element: v.element_type() };
        let result = infer("n", &op, &arguments.iter().map(typed).collect::<Vec<_>>()).unwrap();
        fold(&op, arguments, &result)
    }

    #[test]
    fn entries_are_moved() {
        let a = ints(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let gather = |axis, indices| Op::Gather { axis, indices };
        let table = [
            (Op::Transpose { axes: vec![1, 0] }, ints(&[3, 2], &[1, 4, 2, 5, 3, 6])),
            (Op::Slice { starts: vec![1, 2], steps: vec![1, -2], lengths: vec![1, 2] }, ints(&[1, 2], &[6, 4])),
            (Op::Expand { shape: vec![2, 2, 3] }, ints(&[2, 2, 3], &[1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6])),
            (gather(1, Tensor::vector(vec![2, 0])), ints(&[2, 2], &[3, 1, 6, 4])),
            (gather(0, Tensor::scalar(1)), ints(&[3], &[4, 5, 6])),
            (gather(1, Tensor::new(vec![2, 1], vec![0, 1])), ints(&[2, 2, 1], &[1, 2, 4, 5])),
            (Op::Reshape { shape: vec![6] }, ints(&[6], &[1, 2, 3, 4, 5, 6])),
            (Op::Slice { starts: vec![0, 0], steps: vec![1, 1], lengths: vec![0, 3] }, ints(&[0, 3], &[])),
        ];
        for (op, expected) in table {
            assert_eq!(run(op.clone(), &[&a]).unwrap(), expected, "{op:?}");
        }
        let joined = run(Op::Concat { axis: 1 }, &[&a, &ints(&[2, 1], &[7, 8])]).unwrap();
        assert_eq!(joined, ints(&[2, 4], &[1, 2, 3, 7, 4, 5, 6, 8]));
    }

    #[test]
    fn integers_compute() {
        let (a, b) = (ints(&[2], &[7, -7]), ints(&[1], &[2]));
        assert_eq!(run(Op::Div, &[&a, &b]).unwrap(), ints(&[2], &[3, -3]));
        assert_eq!(run(Op::Mul, &[&a, &b]).unwrap(), ints(&[2], &[14, -14]));
        assert_eq!(run(Op::Div, &[&a, &ints(&[1], &[0])]), None);
        assert_eq!(run(Op::Add, &[&ints(&[1], &[i64::MAX]), &b]), None);
        let same = run(Op::Equal, &[&a, &ints(&[1], &[7])]).unwrap();
        assert_eq!(run(Op::Where, &[&same, &a, &b]).unwrap(), ints(&[2], &[7, 2]));
    }

    #[test]
    fn floats_are_folded_only_without_rounding() {
        let (a, b) = (floats(&[1.5]), floats(&[0.5]));
        assert_eq!(run(Op::Add, &[&a, &b]).unwrap(), floats(&[2.0]));
        assert_eq!(run(Op::Div, &[&a, &b]).unwrap(), floats(&[3.0]));
        assert_eq!(run(Op::Div, &[&a, &floats(&[0.1])]), None);
        assert_eq!(run(Op::Add, &[&floats(&[1e30]), &b]), None);
        assert_eq!(run(Op::Mul, &[&floats(&[0.1]), &floats(&[0.1])]), None);
        assert_eq!(run(Op::Sqrt, &[&floats(&[6.25])]).unwrap(), floats(&[2.5]));
        assert_eq!(run(Op::Sqrt, &[&floats(&[2.0])]), None);
        assert_eq!(run(Op::Cast(ElementType::I64), &[&floats(&[-2.5])]).unwrap(), ints(&[1], &[-2]));
        assert_eq!(run(Op::Cast(ElementType::F32), &[&ints(&[1], &[(1 << 24) + 1])]), None);
    }
}
