//! Derivatives of a network: exact, in reverse and forward mode.
//!
//! For $f$ with input $x$ and constants $\theta$, and any choice of them as variables:
//!
//! | what | by | file |
//! |---|---|---|
//! | $J^\top v$ | a sweep back over the recorded values | [`Tape`], `rules/` |
//! | $J u$ | evaluation over dual numbers | [`jvp`], [`Dual`] |
//! | $\nabla s_i$ for each example $i$ | one sweep per example, in parallel | [`per_example_gradients`] |
//! | $\nabla^2 s\, u$ | the sweep back over dual numbers | [`hessian_vector_product`] |
//!
//! At kinks the derivative is PyTorch's: ReLU has 0 at 0, clipping 1 at its limits, a maximum of two
//! equal numbers shares evenly, a pool gives all to the first maximum. Sign, floor, comparisons and
//! conversions to integers are constant almost everywhere and have derivative 0.

mod dual;
mod loss;
pub(crate) mod rules;
mod tape;

pub use dual::Dual;
pub use loss::{CrossEntropy, MeanSquaredError, Objective, Weighted};
pub use tape::Tape;

use crate::error::NnError;
use crate::eval::{Evaluator, Number};
use crate::graph::NodeId;
use crate::op::Op;
use rayon::prelude::*;
use secateur_linalg::Tensor;

/// $f(x)$ and $J^\top v$ for each of the nodes `wrt`: see [`Tape::vjp`].
///
/// # Errors
/// As [`Evaluator::forward`] and [`Tape::vjp`].
#[track_caller]
pub fn vjp<N: Number>(
    evaluator: &Evaluator<N>,
    input: &Tensor<N>,
    cotangent: &Tensor<N>,
    wrt: &[NodeId],
) -> Result<(Tensor<N>, Vec<Tensor<N>>), NnError> {
    let tape = Tape::record(evaluator, input)?;
    let gradients = tape.vjp(cotangent, wrt)?;
    Ok((tape.output().clone(), gradients))
}

/// $s(f(x))$ and its gradient in each of the nodes `wrt`.
///
/// # Errors
/// As [`vjp`].
#[track_caller]
pub fn gradient<N: Number>(
    evaluator: &Evaluator<N>,
    input: &Tensor<N>,
    objective: &impl Objective,
    wrt: &[NodeId],
) -> Result<(N, Vec<Tensor<N>>), NnError> {
    let tape = Tape::record(evaluator, input)?;
    let (value, cotangent) = objective.differentiate(tape.output());
    Ok((value, tape.vjp(&cotangent, wrt)?))
}

/// $f(x)$ and $J u$, where `direction` gives $u$ for the input and for any constants; it is zero for
/// the others.
///
/// # Shapes
/// Each part of the direction has its node's shape; both results have the output's.
///
/// # Errors
/// As [`Evaluator::forward`]; also where the derivative is not finite.
#[track_caller]
pub fn jvp<N: Number>(
    evaluator: &Evaluator<N>,
    input: &Tensor<N>,
    direction: &[(NodeId, &Tensor<N>)],
) -> Result<(Tensor<N>, Tensor<N>), NnError> {
    let (evaluator, input) = along(evaluator, input, direction);
    let output = evaluator.forward(&input)?;
    Ok((output.map(|d| d.value), output.map(|d| d.tangent)))
}

/// The gradients of each example's own objective, example by example.
///
/// `cotangent(i, y)` is the gradient of the objective of example `i` in its output `y`. Examples run
/// in parallel; each result depends on its example alone, so it does not vary with the threads.
///
/// # Shapes
/// Entry `[i][k]` has the shape of node `wrt[k]`.
///
/// # Errors
/// As [`vjp`], for the first example that fails.
#[track_caller]
pub fn per_example_gradients<N: Number>(
    evaluator: &Evaluator<N>,
    inputs: &[Tensor<N>],
    cotangent: impl Fn(usize, &Tensor<N>) -> Tensor<N> + Sync,
    wrt: &[NodeId],
) -> Result<Vec<Vec<Tensor<N>>>, NnError> {
    let one = |(i, input): (usize, &Tensor<N>)| {
        let tape = Tape::record(evaluator, input)?;
        tape.vjp(&cotangent(i, tape.output()), wrt)
    };
    let results: Vec<Result<_, NnError>> = inputs.par_iter().enumerate().map(one).collect();
    results.into_iter().collect()
}

/// A scalar function's value, gradient, and Hessian times a direction.
#[derive(Clone, Debug)]
pub struct HessianProduct<N> {
    /// $s$.
    pub value: N,
    /// $\nabla s$ in each of the chosen nodes.
    pub gradient: Vec<Tensor<N>>,
    /// $\nabla^2 s\, u$ in each of the chosen nodes.
    pub product: Vec<Tensor<N>>,
}

/// $\nabla^2 s\, u$ for $s(x, \theta)$ = `objective` of $f(x, \theta)$: the derivative of the gradient in
/// the nodes `wrt` along `direction`.
///
/// # Shapes
/// As for [`jvp`] and [`vjp`].
///
/// # Errors
/// As [`jvp`] and [`vjp`].
#[track_caller]
pub fn hessian_vector_product<N: Number>(
    evaluator: &Evaluator<N>,
    input: &Tensor<N>,
    objective: &impl Objective,
    direction: &[(NodeId, &Tensor<N>)],
    wrt: &[NodeId],
) -> Result<HessianProduct<N>, NnError> {
    let (evaluator, input) = along(evaluator, input, direction);
    let (value, gradient) = gradient(&evaluator, &input, objective, wrt)?;
    Ok(HessianProduct {
        value: value.value,
        gradient: gradient.iter().map(|g| g.map(|d| d.value)).collect(),
        product: gradient.iter().map(|g| g.map(|d| d.tangent)).collect(),
    })
}

/// The network and its input as dual numbers that vary along `direction`.
#[track_caller]
fn along<N: Number>(
    evaluator: &Evaluator<N>,
    input: &Tensor<N>,
    direction: &[(NodeId, &Tensor<N>)],
) -> (Evaluator<Dual<N>>, Tensor<Dual<N>>) {
    for (id, tangent) in direction {
        let node = evaluator.node(*id);
        assert!(matches!(node.op, Op::Input | Op::Constant(_)), "`{}` is neither input nor constant", node.name);
        assert_eq!(tangent.shape(), node.shape, "the direction has the node's shape");
    }
    let lift = |id: NodeId, value: &Tensor<N>| {
        let tangent = direction.iter().find(|(other, _)| *other == id);
        match tangent {
            None => value.map(|v| Dual::constant(*v)),
            Some((_, tangent)) => {
                let pairs = value.data().iter().zip(tangent.data());
                let data = pairs.map(|(v, t)| Dual { value: *v, tangent: *t }).collect();
                Tensor::new(value.shape().to_vec(), data)
            }
        }
    };
    // An input of the wrong shape is left for the evaluation to refuse.
    let fits = input.shape() == evaluator.node(evaluator.input()).shape;
    let lifted = if fits { lift(evaluator.input(), input) } else { input.map(|v| Dual::constant(*v)) };
    (evaluator.map_constants(lift), lifted)
}
