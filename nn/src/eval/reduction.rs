//! `ReduceSum` and `ReduceMean`.

use super::array::Array;
use super::number::Number;
use super::strided::Strided;
use crate::error::NnError;
use crate::graph::Node;
use secateur_linalg::Tensor;
use std::sync::Arc;

/// The shape with the reduced axes kept at length 1.
pub(crate) fn kept_shape(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    shape.iter().enumerate().map(|(axis, d)| if axes.contains(&axis) { 1 } else { *d }).collect()
}

/// Entries that each sum runs over.
pub(crate) fn reduced_count(shape: &[usize], axes: &[usize]) -> f64 {
    axes.iter().map(|a| shape[*a]).product::<usize>() as f64
}

fn sums<N: Number>(a: &Tensor<N>, axes: &[usize]) -> Vec<N> {
    let kept = kept_shape(a.shape(), axes);
    let mut out = vec![N::default(); kept.iter().product()];
    Strided::expand(&kept, a.shape()).add_back(a.data(), &mut out);
    out
}

/// The sum over axes, of numbers or integers.
pub(super) fn sum<N: Number>(node: &Node, a: &Array<N>, axes: &[usize]) -> Result<Array<N>, NnError> {
    let a = match a {
        Array::Real(a) => return Ok(Array::Real(Arc::new(Tensor::new(node.shape.clone(), sums(a, axes))))),
        Array::Integer(a) => a,
        Array::Truth(_) => panic!("shape inference admits only numbers here"),
    };
    let kept = kept_shape(a.shape(), axes);
    let places: Vec<usize> = (0..kept.iter().product()).collect();
    let mut out = vec![0_i64; places.len()];
    for (place, v) in Strided::expand(&kept, a.shape()).read(&places).into_iter().zip(a.data()) {
        let range = || NnError::IntegerRange { node: node.name.clone(), op: node.op.name() };
        out[place] = out[place].checked_add(*v).ok_or_else(range)?;
    }
    Ok(Array::Integer(Arc::new(Tensor::new(node.shape.clone(), out))))
}

/// The mean over axes.
pub(super) fn mean<N: Number>(a: &Tensor<N>, axes: &[usize], shape: &[usize]) -> Tensor<N> {
    let count = N::of(reduced_count(a.shape(), axes));
    Tensor::new(shape.to_vec(), sums(a, axes).into_iter().map(|v| v / count).collect())
}
