//! What a network computes: real numbers, or numbers of type `f32` in any order of summation.
//!
//! An execution in single precision computes every operator of the graph on the values of its arguments, as executed:
//!
//! | operators | computed value |
//! |---|---|
//! | moves of entries, Relu, Max, Min, MaxPool, Clip, Neg | exact |
//! | sums of $n$ products and a summand (Gemm, MatMul, Conv, Add, Mul, Div, LeakyRelu, means, batch normalisation, …) | every operation rounded to nearest once, fused or not, in any order; factors and divisors applied before or after the sum |
//! | Sigmoid, Tanh | any number within $2^{-20}$ |
//!
//! Results below the smallest normal number may be flushed to zero. What recomputes sums by other products (Winograd,
//! Strassen) or rounds to fewer bits (TF32, bf16) is no such execution.
//!
//! With $m = n + c$ roundings on the way of a term ($c$ is [`Effect::Sum`]'s), $u = 2^{-24}$ and values below [`TOP`],
//! $$ \Big| \hat y_o - \sum_i w_{oi} \hat x_i - b_o \Big| \;\le\; \frac{m u}{1 - m u} \Big( \sum_i |w_{oi}| |\hat x_i| + |b_o| \Big) + 2^{-60}, $$
//! where $|b_o|$ sums the magnitudes of all that $b_o$ is computed from. The last summand pays for flushed results.
//!
//! # Source
//! N. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd edition 2002, lemma 3.1 and section 4.2.

use crate::error::CheckError;
use crate::float::decode_f32;
use crate::interval::Dyadic;
use secateur_nn::graph::{Graph, Node};
use secateur_nn::op::{ElementType, Op, Value};
use std::fmt;
use std::str::FromStr;

/// What a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Semantics {
    /// Real arithmetic of the stored weights.
    #[default]
    Real,
    /// Every execution in `f32`, in any order of summation.
    Single,
}

impl Semantics {
    /// The name that the command line uses.
    pub fn name(self) -> &'static str {
        match self {
            Semantics::Real => "real",
            Semantics::Single => "f32",
        }
    }
}

impl fmt::Display for Semantics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Semantics {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Semantics::Real, Semantics::Single].into_iter().find(|s| s.name() == text);
        found.ok_or_else(|| format!("`{text}` is neither `real` nor `f32`"))
    }
}

/// Values, and sums of magnitudes, are below $2^{\text{TOP}}$.
pub const TOP: i64 = 60;

/// Flushed results put a sum off by less than $2^{\text{LOST}}$.
pub const LOST: i64 = -60;

/// Sigmoid and tanh are off by at most $2^{\text{SMOOTH}}$.
pub const SMOOTH: i64 = -20;

/// $u = 2^{-\text{BITS}}$.
pub const BITS: i64 = 24;

/// The most roundings on the way of a term.
pub const MOST: usize = 1 << 20;

/// How an operator is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Without rounding.
    Exact,
    /// A term of a sum of $n$ sees at most $n + c$ roundings.
    Sum(usize),
    /// Within $2^{\text{SMOOTH}}$.
    Smooth,
}

/// How an operator is executed; `None` where nothing is known of it.
pub fn effect(op: &Op) -> Option<Effect> {
    Some(match op {
        Op::Input | Op::Constant(_) | Op::Relu | Op::Max | Op::Min | Op::MaxPool { .. } => Effect::Exact,
        Op::Neg | Op::Clip { .. } | Op::Cast(ElementType::F32) => Effect::Exact,
        Op::Reshape { .. } | Op::Transpose { .. } | Op::Slice { .. } | Op::Gather { .. } => Effect::Exact,
        Op::Expand { .. } | Op::Upsample { .. } | Op::Pad { .. } | Op::Concat { .. } => Effect::Exact,
        // The product, a factor, a summand's factor; a reciprocal and the product with it.
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::LeakyRelu { .. } => Effect::Sum(3),
        Op::MatMul | Op::Gemm { .. } | Op::Conv { .. } | Op::ConvTranspose { .. } => Effect::Sum(3),
        Op::ReduceSum { .. } | Op::ReduceMean { .. } | Op::AveragePool { .. } => Effect::Sum(3),
        // Variance plus ε, root, quotient, mean, product, summand.
        Op::BatchNormalization { .. } => Effect::Sum(8),
        Op::Sigmoid | Op::Tanh => Effect::Smooth,
        _ => return None,
    })
}

/// Whether a network has executions in single precision that are known here.
///
/// # Errors
/// The first node that has none: an operator outside of the table, a product of two variables, another element type,
/// arithmetic among constants, or factors, divisors, limits and variances of an extreme size.
pub fn admit(graph: &Graph) -> Result<(), CheckError> {
    let mut varies = vec![false; graph.len()];
    for (id, node) in graph.nodes() {
        let arguments: Vec<&Node> = graph.arguments(id).iter().map(|a| graph.node(*a)).collect();
        let varying = graph.arguments(id).iter().filter(|a| varies[a.index()]).count();
        varies[id.index()] = node.op == Op::Input || varying > 0;
        let product = matches!(node.op, Op::Mul | Op::MatMul | Op::Conv { .. } | Op::ConvTranspose { .. });
        let bilinear = match node.op {
            Op::Gemm { .. } => graph.arguments(id).iter().take(2).all(|a| varies[a.index()]),
            _ => product && varying > 1,
        };
        if bilinear || !admitted(node, &arguments) {
            return Err(CheckError::Executed { node: node.name.clone(), op: node.op.name() });
        }
    }
    Ok(())
}

fn admitted(node: &Node, arguments: &[&Node]) -> bool {
    let stored = |a: usize| match &arguments.get(a)?.op {
        Op::Constant(Value::F32(values)) => Some(values.data()),
        _ => None,
    };
    let all = |a: usize, fits: &dyn Fn(f32) -> bool| stored(a).is_some_and(|values| values.iter().all(|v| fits(*v)));
    // Folded constants would have been rounded.
    let folded = !arguments.is_empty() && arguments.iter().all(|a| matches!(a.op, Op::Constant(_)));
    let single = |v: f64| v.is_infinite() || f64::from(v as f32) == v;
    match (effect(&node.op), &node.op) {
        (None, _) => false,
        (Some(effect), _) if folded && effect != Effect::Exact => false,
        // Integers say where entries go.
        (_, Op::Constant(value)) => !matches!(value, Value::F64(_)),
        _ if node.element != ElementType::F32 => false,
        (_, Op::Cast(_)) => arguments.iter().all(|a| a.element == ElementType::F32),
        (_, Op::Gemm { alpha, beta, .. }) => {
            // A factor that goes to the weights, or to what they are multiplied with, must not flush either.
            let weights = if stored(1).is_some() { 1 } else { 0 };
            let plain = *alpha == 1.0 || all(weights, &|w| w == 0.0 || within(w, 40));
            plain && [alpha, beta].into_iter().all(|f| within(*f, 20))
        }
        (_, Op::Div) => all(1, &|c| within(c, 100)),
        (_, Op::Clip { min, max }) => [min, max].into_iter().flatten().all(|v| single(*v)),
        (_, Op::Pad { value, .. }) => single(*value),
        (_, Op::BatchNormalization { epsilon }) => {
            all(1, &|scale| scale.to_bits() << 1 == 0 || at_most(scale, 20))
                && within(*epsilon, 40)
                && all(3, &|mean| at_most(mean, 60))
                && all(4, &|v| v.is_sign_positive() && at_most(v, 40))
        }
        _ => true,
    }
}

/// $2^{-b} \le |v| \le 2^b$.
fn within(v: f32, b: i64) -> bool {
    decode_f32(v).map(Dyadic::from).and_then(|v| v.top()).is_some_and(|top| -b < top && top <= b)
}

/// $|v| \le 2^b$.
fn at_most(v: f32, b: i64) -> bool {
    decode_f32(v).is_some_and(|v| Dyadic::from(v).top().is_none_or(|top| top <= b))
}
