//! Reverse rules of sums, means, and the operators that move entries: the adjoint moves them back.

use super::{Application, Parts};
use crate::eval::Number;
use crate::eval::layout::{concat_blocks, padded_block, selection};
use crate::eval::normalisation::axis_extents;
use crate::eval::reduction::{kept_shape, reduced_count};
use crate::eval::strided::Strided;

impl<N: Number> Application<'_, N> {
    pub(super) fn reduce(&self, cotangent: &[N], axes: &[usize], mean: bool) -> Vec<N> {
        let shape = self.real(0).shape();
        let mut out = Strided::expand(&kept_shape(shape, axes), shape).read(cotangent);
        if mean {
            let count = N::of(reduced_count(shape, axes));
            out.iter_mut().for_each(|g| *g = *g / count);
        }
        out
    }

    pub(super) fn selection(&self, cotangent: &[N]) -> Vec<N> {
        let argument = self.real(0);
        let selection = selection(&self.node.op, argument.shape());
        let mut out = vec![N::default(); argument.len()];
        selection.expect("an operator that selects entries").add_back(cotangent, &mut out);
        out
    }

    pub(super) fn concat(&self, cotangent: &[N], axis: usize) -> Parts<N> {
        let shapes = self.arguments.iter().map(|a| a.shape());
        let blocks = concat_blocks(shapes, axis, self.value.shape());
        blocks.iter().enumerate().map(|(i, block)| self.part(i, || block.read(cotangent))).collect()
    }

    pub(super) fn pad(&self, cotangent: &[N], begin: &[usize]) -> Vec<N> {
        padded_block(self.real(0).shape(), begin, self.value.shape()).read(cotangent)
    }

    pub(super) fn gather(&self, cotangent: &[N], axis: usize, indices: &[usize]) -> Vec<N> {
        let argument = self.real(0);
        let (outer, length, inner) = axis_extents(argument.shape(), axis);
        let mut out = vec![N::default(); argument.len()];
        let rows = (0..outer).flat_map(|o| indices.iter().map(move |i| o * length + i));
        for (row, g) in rows.zip(cotangent.chunks_exact(inner.max(1))) {
            out[row * inner..(row + 1) * inner].iter_mut().zip(g).for_each(|(t, g)| *t += *g);
        }
        out
    }
}
