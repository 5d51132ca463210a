//! Evaluation: $f(x)$ in `f32` or `f64`, with ONNX's meaning of every operator.
//!
//! | operators | file |
//! |---|---|
//! | the loop over the nodes, constants converted once | [`Evaluator`] |
//! | which kernel evaluates which operator | `kernels.rs` |
//! | entry by entry, with broadcasting | `elementwise.rs` |
//! | `MatMul`, `Gemm` | `linear.rs` |
//! | `Conv`, `ConvTranspose` | `convolution.rs` |
//! | pools | `pooling.rs` |
//! | `BatchNormalization`, `Softmax` | `normalisation.rs` |
//! | sums and means | `reduction.rs` |
//! | moves of entries | `layout.rs` |
//!
//! The kernels are generic over [`Number`], so dual numbers run through the same loops and give exact
//! derivatives. Every value must be finite: the first one that is not is an error that names its node.

mod array;
pub(crate) mod convolution;
pub(crate) mod elementwise;
mod evaluator;
pub(crate) mod kernels;
pub(crate) mod layout;
pub(crate) mod linear;
pub(crate) mod normalisation;
mod number;
pub(crate) mod pooling;
pub(crate) mod reduction;
pub(crate) mod strided;
pub(crate) mod windows;

pub use array::Array;
pub use evaluator::{Evaluator, Trace};
pub use number::{Matrix, Number};

use crate::error::NnError;
use crate::graph::Graph;
use secateur_linalg::Tensor;

/// $f(x)$, once; an [`Evaluator`] repeats it without converting the constants again.
///
/// # Errors
/// The input has another shape than the graph's, or a value on the way is not finite.
pub fn forward<N: Number>(graph: &Graph, input: &Tensor<N>) -> Result<Tensor<N>, NnError> {
    Evaluator::new(graph)?.forward(input)
}

/// The value of every node at $x$.
///
/// # Errors
/// As [`forward`].
pub fn trace<N: Number>(graph: &Graph, input: &Tensor<N>) -> Result<Trace<N>, NnError> {
    Evaluator::new(graph)?.trace(input)
}
