//! Folding: what does not depend on the input any more becomes a stored tensor.
//!
//! A product with a weight of zeros is its bias, whatever comes in. Such values, and all that is computed from them and from
//! constants alone, are stored; a sum with a folded 0 is dropped. A whole layer or residual branch whose weights are gone
//! disappears this way.

use crate::error::PruneError;
use secateur_linalg::Tensor;
use secateur_nn::eval;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value};
use std::sync::Arc;

/// A network with what is constant folded, and the names of the operators that went.
pub(super) struct Folded {
    pub(super) graph: Graph,
    pub(super) gone: Vec<String>,
}

/// The same function with its constant parts stored.
///
/// # Errors
/// The output is constant, or a value is not finite.
pub(super) fn fold(graph: &Graph) -> Result<Folded, PruneError> {
    let constant = constant_nodes(graph);
    if constant[graph.output().index()] {
        return Err(PruneError::Constant { output: graph.node(graph.output()).name.clone() });
    }
    let is_stored = |id: NodeId| matches!(graph.node(id).op, Op::Constant(_));
    let folds: Vec<NodeId> =
        graph.nodes().map(|(id, _)| id).filter(|id| constant[id.index()] && !is_stored(*id)).collect();
    if folds.is_empty() {
        return Ok(Folded { graph: graph.clone(), gone: Vec::new() });
    }
    let input = graph.node(graph.input());
    // Any input will do for what does not depend on it.
    let trace = eval::trace::<f64>(graph, &Tensor::full(input.shape.clone(), 0.0))?;
    let mut builder = GraphBuilder::new(input.name.clone(), input.shape.clone(), input.element);
    let mut copies: Vec<NodeId> = vec![builder.input()];
    let mut gone = Vec::new();
    for (id, node) in graph.nodes().filter(|(id, _)| *id != graph.input()) {
        let arguments = graph.arguments(id);
        if constant[id.index()] {
            let used = graph.users(id).iter().any(|user| !constant[user.index()]);
            let copy = match (is_stored(id), used, node.element) {
                (true, _, _) => builder.add(node.name.clone(), node.op.clone(), &[])?,
                // A placeholder; whoever finishes the graph drops what nothing uses.
                (false, false, _) => builder.input(),
                (false, true, ElementType::F32 | ElementType::F64) => {
                    let value = trace.real(id).expect("floats");
                    builder.constant(node.name.clone(), stored(value, node.element))?
                }
                // Integers and truth values are computed again; they are small and rare.
                (false, true, _) => {
                    return Err(PruneError::Unsupported {
                        node: node.name.clone(),
                        op: node.op.name(),
                        what: "folding",
                        reason: "its value is constant and not one of floats",
                    });
                }
            };
            if !is_stored(id) {
                gone.push(node.name.clone());
            }
            copies.push(copy);
            continue;
        }
        let is_fold = |a: &NodeId| constant[a.index()] && !is_stored(*a);
        let is_zero = |a: &NodeId| is_fold(a) && trace.real(*a).is_some_and(|t| t.data().iter().all(|v| *v == 0.0));
        if matches!(node.op, Op::Add) && id != graph.output() {
            let kept = [(0, 1), (1, 0)]
                .into_iter()
                .find(|(zero, kept)| is_zero(&arguments[*zero]) && graph.node(arguments[*kept]).shape == node.shape);
            if let Some((_, kept)) = kept {
                gone.push(node.name.clone());
                copies.push(copies[arguments[kept].index()]);
                continue;
            }
        }
        let mut copied: Vec<NodeId> = arguments.iter().map(|a| copies[a.index()]).collect();
        let broadcasts = matches!(node.op, Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Min | Op::Max);
        if let (true, Some(position)) = (broadcasts, arguments.iter().position(is_fold)) {
            let (value, other) = (trace.real(arguments[position]), &graph.node(arguments[1 - position]).shape);
            if let (Some(value), true) = (value, *other == node.shape) {
                let name = format!("{}/constant of {}", graph.node(arguments[position]).name, node.name);
                copied[position] = builder.constant(name, stored(&narrowed(value), node.element))?;
            }
        }
        copies.push(builder.add(node.name.clone(), node.op.clone(), &copied)?);
    }
    Ok(Folded { graph: builder.finish(copies[graph.output().index()])?, gone })
}

fn stored(value: &Tensor<f64>, element: ElementType) -> Value {
    match element {
        ElementType::F64 => Value::F64(Arc::new(value.clone())),
        _ => Value::F32(Arc::new(value.map(|v| *v as f32))),
    }
}

/// Axes along which all entries are equal, shortened to 1.
fn narrowed(value: &Tensor<f64>) -> Tensor<f64> {
    let mut value = value.clone();
    for axis in 0..value.rank() {
        let shape = value.shape().to_vec();
        let inner: usize = shape[axis + 1..].iter().product();
        let block = shape[axis] * inner;
        if shape[axis] < 2 || block == 0 {
            continue;
        }
        let even = value.data().chunks_exact(block).all(|b| b.iter().enumerate().all(|(i, v)| *v == b[i % inner]));
        if even {
            let data = value.data().chunks_exact(block).flat_map(|b| b[..inner].to_vec()).collect();
            let shape = [&shape[..axis], &[1], &shape[axis + 1..]].concat();
            value = Tensor::new(shape, data);
        }
    }
    value
}

/// Which nodes do not depend on the input.
fn constant_nodes(graph: &Graph) -> Vec<bool> {
    let mut constant = Vec::with_capacity(graph.len());
    let is_zero = |id: &NodeId| {
        let node = graph.node(*id);
        matches!(&node.op, Op::Constant(Value::F32(t)) if t.data().iter().all(|v| *v == 0.0))
    };
    for (id, node) in graph.nodes() {
        let arguments = graph.arguments(id);
        let all = !arguments.is_empty() && arguments.iter().all(|a| constant[a.index()]);
        let found = match &node.op {
            Op::Input => false,
            Op::Constant(_) => true,
            Op::Mul | Op::MatMul => all || arguments.iter().any(is_zero),
            Op::Gemm { .. } | Op::Conv { .. } | Op::ConvTranspose { .. } => {
                all || arguments[..2].iter().any(is_zero) && arguments.get(2).is_none_or(|bias| constant[bias.index()])
            }
            _ => all,
        };
        constant.push(found);
    }
    constant
}
