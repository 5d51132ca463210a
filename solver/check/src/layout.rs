//! Moves of entries: which entry of the argument each entry of the result is.

use crate::error::Fault;
use crate::tensor::DyadicTensor;
use dashu_int::IBig;
use secateur_nn::op::Op;

/// Distance between neighbours along each axis of a row-major tensor.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The sum of one offset per axis, for every entry in row-major order; `None` where an axis has none.
fn sums_of_offsets(axes: &[Vec<Option<usize>>]) -> Vec<Option<usize>> {
    axes.iter().fold(vec![Some(0)], |outer, axis| {
        outer.iter().flat_map(|start| axis.iter().map(move |offset| Some((*start)? + (*offset)?))).collect()
    })
}

/// The entry of a tensor of shape `from` that each entry of the broadcast shape `to` is.
pub fn broadcast_offsets(from: &[usize], to: &[usize]) -> Vec<usize> {
    let missing = to.len() - from.len();
    let own = strides(from);
    let axis = |(a, extent): (usize, &usize)| {
        let step = if a < missing || from[a - missing] == 1 { 0 } else { own[a - missing] };
        (0..*extent).map(|i| Some(i * step)).collect()
    };
    let axes: Vec<Vec<Option<usize>>> = to.iter().enumerate().map(axis).collect();
    sums_of_offsets(&axes).into_iter().flatten().collect()
}

/// The group of each entry when the given axes are merged: its index in the tensor without these axes.
pub fn groups_without(shape: &[usize], merged: &[usize]) -> Vec<usize> {
    let kept: Vec<usize> = shape.iter().enumerate().map(|(a, n)| if merged.contains(&a) { 1 } else { *n }).collect();
    broadcast_offsets(&kept, shape)
}

/// The entry of the argument that each entry of the result is, `None` for padding; `None` overall when the operator moves
/// no entries of one argument.
pub fn sources(op: &Op, argument: &[usize], result: &[usize]) -> Option<Vec<Option<usize>>> {
    let own = strides(argument);
    let axes: Vec<Vec<Option<usize>>> = match op {
        Op::Expand { .. } => return Some(broadcast_offsets(argument, result).into_iter().map(Some).collect()),
        Op::Transpose { axes } => axes.iter().map(|a| (0..argument[*a]).map(|i| Some(i * own[*a])).collect()).collect(),
        Op::Slice { starts, steps, lengths } => (0..argument.len())
            .map(|a| {
                (0..lengths[a])
                    .map(|i| Some(starts[a].checked_add_signed(steps[a] * i.cast_signed())? * own[a]))
                    .collect()
            })
            .collect(),
        Op::Gather { axis, indices } => (0..argument.len())
            .map(|a| {
                if a == *axis {
                    indices.data().iter().map(|i| Some(i * own[a])).collect()
                } else {
                    (0..argument[a]).map(|i| Some(i * own[a])).collect()
                }
            })
            .collect(),
        Op::Pad { begin, .. } => (0..argument.len())
            .map(|a| {
                let inside = |i: usize| i.checked_sub(begin[a]).filter(|i| *i < argument[a]);
                (0..result[a]).map(|i| Some(inside(i)? * own[a])).collect()
            })
            .collect(),
        Op::Upsample { factors } => {
            (0..argument.len()).map(|a| (0..result[a]).map(|i| Some(i / factors[a] * own[a])).collect()).collect()
        }
        _ => return None,
    };
    Some(sums_of_offsets(&axes))
}

/// Concatenation along an axis.
///
/// # Errors
/// [`Fault::Range`] when the common exponent needs too many bits.
pub fn concat(parts: Vec<DyadicTensor>, axis: usize, shape: &[usize]) -> Result<DyadicTensor, Fault> {
    let exponent = parts.iter().filter(|p| p.bits() > 0).map(DyadicTensor::exponent).min().unwrap_or(0);
    let aligned = |part: DyadicTensor| match part.bits() {
        0 => Ok(part),
        _ => part.at_exponent(exponent),
    };
    let parts = parts.into_iter().map(aligned).collect::<Result<Vec<_>, _>>()?;
    let outer: usize = shape[..axis].iter().product();
    let join = |ends: &dyn Fn(usize) -> Vec<IBig>| {
        let mut blocks: Vec<(usize, std::vec::IntoIter<IBig>)> = parts
            .iter()
            .enumerate()
            .map(|(i, part)| (part.shape()[axis..].iter().product(), ends(i).into_iter()))
            .collect();
        let mut joined = Vec::with_capacity(shape.iter().product());
        for _ in 0..outer {
            blocks.iter_mut().for_each(|(size, entries)| joined.extend(entries.by_ref().take(*size)));
        }
        joined
    };
    let lower = join(&|i| parts[i].lower().to_vec());
    let upper = parts.iter().any(|p| !p.is_exact()).then(|| join(&|i| parts[i].upper().to_vec()));
    Ok(DyadicTensor::new(shape.to_vec(), exponent, lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_broadcasts() {
        assert_eq!(broadcast_offsets(&[3, 1], &[2, 3, 2]), [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
        assert_eq!(broadcast_offsets(&[], &[2]), [0, 0]);
        assert_eq!(groups_without(&[2, 3], &[1]), [0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn sources_of_moves() {
        let all = |op: &Op, argument: &[usize], result: &[usize]| sources(op, argument, result).unwrap();
        let transpose = Op::Transpose { axes: vec![1, 0] };
        assert_eq!(all(&transpose, &[2, 3], &[3, 2]), [0, 3, 1, 4, 2, 5].map(Some));
        let slice = Op::Slice { starts: vec![1, 2], steps: vec![1, -2], lengths: vec![1, 2] };
        assert_eq!(all(&slice, &[2, 3], &[1, 2]), [5, 3].map(Some));
        let pad = Op::Pad { begin: vec![1], end: vec![2], value: 0.0 };
        assert_eq!(all(&pad, &[2], &[5]), [None, Some(0), Some(1), None, None]);
        let upsample = Op::Upsample { factors: vec![1, 2] };
        assert_eq!(all(&upsample, &[2, 2], &[2, 4]), [0, 0, 1, 1, 2, 2, 3, 3].map(Some));
        assert!(sources(&Op::Relu, &[2], &[2]).is_none());
    }
}
