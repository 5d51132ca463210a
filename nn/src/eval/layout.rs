//! Operators that move entries without computing: reshape, transpose, concatenate, slice, gather,
//! pad, expand, upsample.

use super::array::Array;
use super::number::Number;
use super::strided::Strided;
use crate::graph::Node;
use crate::op::Op;
use secateur_linalg::Tensor;
use std::sync::Arc;

/// Evaluates an operator that moves entries, whatever their type.
pub(super) fn apply<N: Number>(node: &Node, mut arguments: Vec<Array<N>>) -> Array<N> {
    if let Op::Concat { axis } = node.op {
        return concat(&arguments, axis, &node.shape);
    }
    assert_eq!(arguments.len(), 1, "{} takes one argument", node.op.name());
    match arguments.remove(0) {
        Array::Real(a) => Array::Real(move_entries(node, a, N::of)),
        Array::Integer(a) => Array::Integer(move_entries(node, a, |v| v as i64)),
        Array::Truth(a) => Array::Truth(move_entries(node, a, |v| v != 0.0)),
    }
}

/// The selection of the argument's entries behind an operator; `None` where it is not one.
pub(crate) fn selection(op: &Op, argument: &[usize]) -> Option<Strided> {
    Some(match op {
        Op::Transpose { axes } => Strided::transpose(argument, axes),
        Op::Slice { starts, steps, lengths } => Strided::slice(argument, starts, steps, lengths),
        Op::Expand { shape } => Strided::expand(argument, shape),
        Op::Upsample { factors } => Strided::upsample(argument, factors),
        _ => return None,
    })
}

/// Where the argument of a `Pad` lies in the result. The block may not exist for empty arguments.
pub(crate) fn padded_block(argument: &[usize], begin: &[usize], shape: &[usize]) -> Strided {
    Strided::block(shape, begin, argument)
}

/// Where each argument of a `Concat` lies in the result.
pub(crate) fn concat_blocks<'a>(
    arguments: impl Iterator<Item = &'a [usize]>,
    axis: usize,
    shape: &[usize],
) -> Vec<Strided> {
    let mut starts = vec![0; shape.len()];
    arguments
        .map(|argument| {
            let block = Strided::block(shape, &starts, argument);
            starts[axis] += argument[axis];
            block
        })
        .collect()
}

fn move_entries<E: Copy>(node: &Node, a: Arc<Tensor<E>>, of: impl Fn(f64) -> E) -> Arc<Tensor<E>> {
    let shape = node.shape.clone();
    let data = match &node.op {
        Op::Reshape { .. } => return Arc::new(Arc::unwrap_or_clone(a).reshaped(shape)),
        Op::Pad { begin, value, .. } => {
            let mut out = vec![of(*value); shape.iter().product()];
            padded_block(a.shape(), begin, &shape).write(a.data(), &mut out);
            out
        }
        Op::Gather { axis, indices } => gather(&a, *axis, indices.data()),
        op => match selection(op, a.shape()) {
            Some(selection) => selection.read(a.data()),
            None => panic!("{} does not move entries", op.name()),
        },
    };
    Arc::new(Tensor::new(shape, data))
}

fn gather<E: Copy>(a: &Tensor<E>, axis: usize, indices: &[usize]) -> Vec<E> {
    let (outer, length, inner) = super::normalisation::axis_extents(a.shape(), axis);
    let mut out = Vec::with_capacity(outer * indices.len() * inner);
    for o in 0..outer {
        for i in indices {
            let start = (o * length + i) * inner;
            out.extend_from_slice(&a.data()[start..start + inner]);
        }
    }
    out
}

fn concat<N: Number>(arguments: &[Array<N>], axis: usize, shape: &[usize]) -> Array<N> {
    fn join<E: Copy>(parts: Option<Vec<&Tensor<E>>>, axis: usize, shape: &[usize]) -> Option<Arc<Tensor<E>>> {
        let parts = parts?;
        let blocks: Vec<(usize, &Tensor<E>)> =
            parts.into_iter().map(|t| (t.shape()[axis..].iter().product(), t)).collect();
        let outer: usize = shape[..axis].iter().product();
        let mut out = Vec::with_capacity(shape.iter().product());
        for o in 0..outer {
            for (size, t) in &blocks {
                out.extend_from_slice(&t.data()[o * size..(o + 1) * size]);
            }
        }
        Some(Arc::new(Tensor::new(shape.to_vec(), out)))
    }
    let reals = arguments.iter().map(|a| a.as_real().map(|t| &**t)).collect();
    let integers = arguments.iter().map(|a| if let Array::Integer(t) = a { Some(&**t) } else { None }).collect();
    let truths = arguments.iter().map(|a| if let Array::Truth(t) = a { Some(&**t) } else { None }).collect();
    (join(reals, axis, shape).map(Array::Real))
        .or_else(|| join(integers, axis, shape).map(Array::Integer))
        .or_else(|| join(truths, axis, shape).map(Array::Truth))
        .expect("shape inference admits only one element type here")
}
