//! How the derivatives in each stored tensor come about.
//!
//! The derivative in a dense layer's weight is a product $h_i \otimes \delta_i$ of what the layer reads and of the derivative in
//! what it gives, so nothing of the weight's size has to be computed for each sample. What no such rule covers comes from a sweep
//! for every sample.

use super::empirical::{Settings, Zeros};
use secateur_linalg::Tensor;
use secateur_nn::graph::{Graph, NodeId};
use secateur_nn::mask::Masks;
use secateur_nn::op::{Op, Value};
use secateur_nn::train::parameters;

/// A stored tensor whose derivatives are part of the kernel.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The tensor's name.
    pub name: String,
    /// Where its derivatives come from.
    pub source: Source,
    /// The entries that count; all of them if none.
    pub kept: Option<Vec<usize>>,
    /// Entries.
    pub len: usize,
}

/// Where the derivatives in a tensor come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// $\alpha\, h_u \delta_v$, where `reads` holds $h$ and `gives` is what $\delta$ is taken in.
    Product {
        /// What the layer reads.
        reads: String,
        /// What it gives.
        gives: String,
        /// Factor.
        alpha: f64,
        /// Whether the tensor is stored as outputs by inputs.
        transposed: bool,
    },
    /// $\beta\, \delta_v$.
    Bias {
        /// What $\delta$ is taken in.
        gives: String,
        /// Factor.
        beta: f64,
    },
    /// A sweep for every sample.
    Sweep,
}

/// The parts of a network's kernel.
pub(super) fn parts(graph: &Graph, masks: Option<&Masks>, settings: &Settings) -> Vec<Part> {
    let part = |id: NodeId| {
        let node = graph.node(id);
        let len = node.shape.iter().product();
        let kept = kept(graph, id, masks.and_then(|masks| masks.get(&node.name)), settings.zeros);
        Part { name: node.name.clone(), source: source(graph, id), kept: kept.filter(|kept| kept.len() < len), len }
    };
    parameters(graph).into_iter().map(part).collect()
}

/// The entries that a mask keeps, without those that are 0 where these count as removed.
fn kept(graph: &Graph, id: NodeId, mask: Option<&Tensor<bool>>, zeros: Zeros) -> Option<Vec<usize>> {
    let Op::Constant(Value::F32(value)) = &graph.node(id).op else { return None };
    let drops = zeros == Zeros::Drop && is_factor(graph, id);
    if mask.is_none() && !drops {
        return None;
    }
    let keep = |i: &usize| mask.is_none_or(|mask| mask.data()[*i]) && (!drops || value.data()[*i] != 0.0);
    Some((0..value.len()).filter(keep).collect())
}

/// Whether a tensor is a factor of a product: biases are not pruned where they are 0.
fn is_factor(graph: &Graph, id: NodeId) -> bool {
    graph.users(id).iter().any(|user| {
        let place = graph.arguments(*user).iter().position(|argument| *argument == id);
        match graph.node(*user).op {
            Op::MatMul | Op::Gemm { .. } => matches!(place, Some(0 | 1)),
            Op::Conv { .. } | Op::ConvTranspose { .. } => place == Some(1),
            _ => false,
        }
    })
}

fn source(graph: &Graph, id: NodeId) -> Source {
    let users = graph.users(id);
    let [user] = users.as_slice() else { return Source::Sweep };
    let (arguments, node) = (graph.arguments(*user), graph.node(*user));
    let name = |id: NodeId| graph.node(id).name.clone();
    let size = |id: NodeId| graph.node(id).shape.iter().product::<usize>();
    let shape = &graph.node(id).shape;
    let place = arguments.iter().position(|argument| *argument == id);
    let row = |reads: NodeId, inputs: usize, outputs: usize| size(reads) == inputs && size(*user) == outputs;
    match (&node.op, place, shape.as_slice()) {
        (Op::MatMul, Some(1), [inputs, outputs]) if row(arguments[0], *inputs, *outputs) => {
            Source::Product { reads: name(arguments[0]), gives: name(*user), alpha: 1.0, transposed: false }
        }
        (Op::Gemm { alpha, trans_a: false, trans_b, .. }, Some(1), [first, second]) => {
            let (inputs, outputs) = if *trans_b { (*second, *first) } else { (*first, *second) };
            if !row(arguments[0], inputs, outputs) {
                return Source::Sweep;
            }
            let alpha = f64::from(*alpha);
            Source::Product { reads: name(arguments[0]), gives: name(*user), alpha, transposed: *trans_b }
        }
        (Op::Gemm { beta, .. }, Some(2), _) if size(id) == size(*user) => {
            Source::Bias { gives: name(*user), beta: f64::from(*beta) }
        }
        (Op::Add, Some(_), _) if size(id) == size(*user) => Source::Bias { gives: name(*user), beta: 1.0 },
        _ => Source::Sweep,
    }
}
