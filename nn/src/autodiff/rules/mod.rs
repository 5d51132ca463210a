//! The reverse rule of every operator: from the cotangent of its value to those of its arguments.
//!
//! | operators | file |
//! |---|---|
//! | entry by entry | `elementwise.rs` |
//! | products, convolutions, pools, normalisations | `linear.rs`, `windows.rs`, `normalisation.rs` |
//! | sums, means, moves of entries | `layout.rs` |

mod elementwise;
mod layout;
mod linear;
mod normalisation;
mod windows;

use crate::eval::{Array, Number};
use crate::graph::Node;
use crate::op::Op;
use secateur_linalg::Tensor;

/// The cotangents of a node's arguments; `None` where not needed or zero.
type Parts<N> = Vec<Option<Vec<N>>>;

/// An operator with the values around it.
pub(crate) struct Application<'a, N> {
    pub(crate) node: &'a Node,
    pub(crate) arguments: Vec<&'a Array<N>>,
    pub(crate) value: &'a Tensor<N>,
    /// Which arguments' cotangents are asked for.
    pub(crate) needed: &'a [bool],
}

impl<'a, N: Number> Application<'a, N> {
    #[track_caller]
    fn real(&self, position: usize) -> &'a Tensor<N> {
        self.arguments[position].real()
    }

    /// `f()` for the arguments that need it.
    fn part(&self, position: usize, f: impl FnOnce() -> Vec<N>) -> Option<Vec<N>> {
        self.needed.get(position).is_some_and(|n| *n).then(f)
    }

    /// The cotangents of the arguments that need one.
    pub(crate) fn pull_back(&self, cotangent: Vec<N>) -> Parts<N> {
        match &self.node.op {
            Op::Input | Op::Constant(_) => Vec::new(),
            // Truth values do not vary, and a condition is constant almost everywhere.
            Op::Equal => vec![None, None],
            Op::Where => self.choose(&cotangent),
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Min | Op::Max | Op::Pow => self.binary(&cotangent),
            Op::Sign | Op::Floor => vec![None],
            Op::Neg
            | Op::Relu
            | Op::LeakyRelu { .. }
            | Op::Sigmoid
            | Op::Tanh
            | Op::Sin
            | Op::Cos
            | Op::Exp
            | Op::Sqrt
            | Op::Clip { .. }
            | Op::Cast(_) => vec![Some(self.unary(cotangent))],
            Op::MatMul => self.matmul(&cotangent),
            Op::Gemm { alpha, beta, trans_a, trans_b } => self.gemm(&cotangent, (*alpha, *beta), (*trans_a, *trans_b)),
            Op::Conv { window, groups } => self.conv(&cotangent, window, *groups),
            Op::ConvTranspose { window, groups, .. } => self.conv_transpose(&cotangent, window, *groups),
            Op::MaxPool { window, .. } => vec![Some(self.max_pool(&cotangent, window))],
            Op::AveragePool { window, count_include_pad, .. } => {
                vec![Some(self.average_pool(&cotangent, window, *count_include_pad))]
            }
            Op::BatchNormalization { epsilon } => self.batch_normalization(&cotangent, *epsilon),
            Op::Softmax { axis } => vec![Some(self.softmax(cotangent, *axis))],
            Op::ReduceSum { axes, .. } => vec![Some(self.reduce(&cotangent, axes, false))],
            Op::ReduceMean { axes, .. } => vec![Some(self.reduce(&cotangent, axes, true))],
            Op::Reshape { .. } => vec![Some(cotangent)],
            Op::Concat { axis } => self.concat(&cotangent, *axis),
            Op::Pad { begin, .. } => vec![Some(self.pad(&cotangent, begin))],
            Op::Gather { axis, indices } => vec![Some(self.gather(&cotangent, *axis, indices.data()))],
            Op::Transpose { .. } | Op::Slice { .. } | Op::Expand { .. } | Op::Upsample { .. } => {
                vec![Some(self.selection(&cotangent))]
            }
        }
    }
}
