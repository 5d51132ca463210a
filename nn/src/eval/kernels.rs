//! Which kernel evaluates which operator.

use super::array::Array;
use super::convolution::{Correlation, add_bias};
use super::number::Number;
use super::windows::Patches;
use super::{elementwise, layout, linear, normalisation, pooling, reduction};
use crate::error::NnError;
use crate::graph::Node;
use crate::op::Op;
use secateur_linalg::Tensor;
use std::sync::Arc;

/// The value of a node at its arguments' values, whose shapes and types shape inference has checked.
///
/// # Errors
/// Integers overflow or are divided by zero.
pub(crate) fn apply<N: Number>(node: &Node, mut arguments: Vec<Array<N>>) -> Result<Array<N>, NnError> {
    let shape = &node.shape;
    let real = |position: usize| arguments[position].real();
    let optional = |position: usize| arguments.get(position).map(Array::real);
    let value = match &node.op {
        Op::Input | Op::Constant(_) => panic!("inputs and constants are not computed"),
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Min | Op::Max | Op::Pow => {
            let first = arguments.swap_remove(0);
            return elementwise::binary(node, first, &arguments[0]);
        }
        Op::Equal => return Ok(elementwise::equal(&arguments[0], &arguments[1], shape)),
        Op::Where => return Ok(elementwise::choose(&arguments[0], &arguments[1], &arguments[2], shape)),
        Op::Neg
        | Op::Relu
        | Op::LeakyRelu { .. }
        | Op::Sigmoid
        | Op::Tanh
        | Op::Sign
        | Op::Sin
        | Op::Cos
        | Op::Floor
        | Op::Exp
        | Op::Sqrt
        | Op::Clip { .. } => return elementwise::unary(node, arguments.swap_remove(0)),
        Op::Cast(element) => return Ok(arguments.swap_remove(0).cast(*element)),
        Op::MatMul => linear::matmul(real(0), real(1), shape),
        Op::Gemm { alpha, beta, trans_a, trans_b } => {
            linear::gemm((real(0), *trans_a), (real(1), *trans_b), optional(2), (*alpha, *beta), shape)
        }
        Op::Conv { window, groups } => {
            let y = Correlation::new(window, *groups, real(0).shape(), shape).forward(real(1).data(), real(0).data());
            with_bias(y, optional(2), shape)
        }
        Op::ConvTranspose { window, groups, .. } => {
            let y = Correlation::new(window, *groups, shape, real(0).shape()).adjoint(real(1).data(), real(0).data());
            with_bias(y, optional(2), shape)
        }
        Op::BatchNormalization { epsilon } => {
            normalisation::batch_normalization(real(0), [real(1), real(2), real(3), real(4)], *epsilon)
        }
        Op::MaxPool { window, .. } => {
            let patches = Patches::new(window, &real(0).shape()[2..], &shape[2..]);
            Tensor::new(shape.clone(), pooling::max_pool(&patches, real(0).data()))
        }
        Op::AveragePool { window, count_include_pad, .. } => {
            let extents = &real(0).shape()[2..];
            let patches = Patches::new(window, extents, &shape[2..]);
            let divisors = pooling::divisors(window, extents, &shape[2..], *count_include_pad);
            Tensor::new(shape.clone(), pooling::average_pool(&patches, &divisors, real(0).data()))
        }
        Op::Softmax { axis } => normalisation::softmax(real(0), *axis),
        Op::ReduceSum { axes, .. } => return reduction::sum(node, &arguments[0], axes),
        Op::ReduceMean { axes, .. } => reduction::mean(real(0), axes, shape),
        Op::Reshape { .. }
        | Op::Transpose { .. }
        | Op::Concat { .. }
        | Op::Slice { .. }
        | Op::Gather { .. }
        | Op::Pad { .. }
        | Op::Expand { .. }
        | Op::Upsample { .. } => return Ok(layout::apply(node, arguments)),
    };
    Ok(Array::Real(Arc::new(value)))
}

fn with_bias<N: Number>(mut y: Vec<N>, bias: Option<&Tensor<N>>, shape: &[usize]) -> Tensor<N> {
    if let Some(bias) = bias {
        add_bias(&mut y, bias.data(), shape[2..].iter().product());
    }
    Tensor::new(shape.to_vec(), y)
}
