//! Rebuilding a network with fewer indices along its axes.

use super::labels::Labels;
use crate::error::PruneError;
use secateur_linalg::Tensor;
use secateur_linalg::tensor::strides;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is added to the value of a node, one number per output channel (before any are removed).
pub(super) type Deltas = BTreeMap<NodeId, Vec<f64>>;

/// The network without the classes `gone`, with `deltas` in its biases.
pub(super) fn rebuild(
    graph: &Graph,
    labels: &Labels,
    gone: &BTreeSet<u32>,
    deltas: &Deltas,
) -> Result<Graph, PruneError> {
    let kept = |id: NodeId| -> Vec<Vec<usize>> {
        let one = |axis: &Vec<u32>| (0..axis.len()).filter(|i| !gone.contains(&labels.root(axis[*i]))).collect();
        labels.axes[id.index()].iter().map(one).collect()
    };
    let input = graph.node(graph.input());
    let mut builder = GraphBuilder::new(input.name.clone(), input.shape.clone(), input.element);
    let mut copies: Vec<NodeId> = vec![builder.input()];
    for (id, node) in graph.nodes().filter(|(id, _)| *id != graph.input()) {
        let arguments = graph.arguments(id);
        let mut copied: Vec<NodeId> = arguments.iter().map(|a| copies[a.index()]).collect();
        let indices = kept(id);
        let shape: Vec<usize> = indices.iter().map(Vec::len).collect();
        let mut op = node.op.clone();
        match &mut op {
            Op::Constant(value) => *value = sliced(value, &indices),
            Op::Reshape { shape: target } | Op::Expand { shape: target } => *target = shape,
            Op::Conv { groups, .. } | Op::ConvTranspose { groups, .. } if *groups > 1 => {
                let channels = graph.node(arguments[0]).shape[1];
                *groups = *groups * kept(arguments[0])[1].len() / channels;
            }
            Op::Gather { axis, indices } => {
                let source = &kept(arguments[0])[*axis];
                // An index that went is one of a result that went; with one index axis, both have the same labels.
                let places: Vec<usize> = indices.data().iter().filter_map(|i| source.binary_search(i).ok()).collect();
                *indices = if indices.rank() == 1 {
                    Tensor::vector(places)
                } else {
                    Tensor::new(indices.shape().to_vec(), places)
                };
            }
            Op::Pad { begin, end, .. } => {
                for axis in 0..indices.len() {
                    let inside = begin[axis]..begin[axis] + graph.node(arguments[0]).shape[axis];
                    begin[axis] = indices[axis].iter().filter(|i| **i < inside.start).count();
                    end[axis] = indices[axis].iter().filter(|i| **i >= inside.end).count();
                }
            }
            Op::Slice { starts, steps, lengths } => {
                let source = kept(arguments[0]);
                let places: Vec<Vec<usize>> = (0..indices.len())
                    .map(|axis| {
                        let at = |i: &usize| starts[axis].wrapping_add_signed(steps[axis] * *i as isize);
                        indices[axis].iter().filter_map(|i| source[axis].binary_search(&at(i)).ok()).collect()
                    })
                    .collect();
                for (axis, places) in places.iter().enumerate() {
                    match progression(places) {
                        Some((start, step)) => (starts[axis], steps[axis], lengths[axis]) = (start, step, places.len()),
                        // What is left of a strided slice may be uneven: then it is picked index by index.
                        None => {
                            (starts[axis], steps[axis], lengths[axis]) = (0, 1, source[axis].len());
                            let name = format!("{}/picked {axis}", node.name);
                            let gather = Op::Gather { axis, indices: Tensor::vector(places.clone()) };
                            copied[0] = builder.add(name, gather, &[copied[0]])?;
                            lengths[axis] = places.len();
                        }
                    }
                }
            }
            _ => {}
        }
        let delta = deltas.get(&id).map(|delta| reduced(delta, &indices, channel(graph, id)));
        copies.push(match delta {
            None => builder.add(node.name.clone(), op, &copied)?,
            Some(delta) => with_delta(&mut builder, graph, id, op, copied, &delta)?,
        });
    }
    Ok(builder.finish(copies[graph.output().index()])?)
}

/// The axis of a product's value that the deltas count.
fn channel(graph: &Graph, id: NodeId) -> usize {
    let node = graph.node(id);
    let stored_first = matches!(graph.node(graph.arguments(id)[0]).op, Op::Constant(_));
    match (&node.op, stored_first) {
        (Op::MatMul, true) if graph.node(graph.arguments(id)[1]).shape.len() > 1 => node.shape.len().saturating_sub(2),
        (Op::MatMul, _) => node.shape.len().saturating_sub(1),
        (Op::Gemm { .. }, true) => 0,
        _ => 1,
    }
}

fn reduced(delta: &[f64], indices: &[Vec<usize>], axis: usize) -> Vec<f64> {
    match indices.get(axis) {
        Some(kept) if delta.len() > 1 => kept.iter().map(|i| delta[*i]).collect(),
        _ => delta.to_vec(),
    }
}

/// The operator with a number added to each output channel: in its own bias where it has one to itself, else behind it.
fn with_delta(
    builder: &mut GraphBuilder,
    graph: &Graph,
    id: NodeId,
    op: Op,
    mut arguments: Vec<NodeId>,
    delta: &[f64],
) -> Result<NodeId, PruneError> {
    let node = graph.node(id);
    let float = |data: Vec<f64>, shape: Vec<usize>| match node.element {
        ElementType::F64 => Value::F64(Arc::new(Tensor::new(shape, data))),
        _ => Value::F32(Arc::new(Tensor::new(shape, data.into_iter().map(|v| v as f32).collect()))),
    };
    let own = |position: usize| graph.arguments(id).get(position).copied();
    let takes_bias = match &op {
        Op::Conv { .. } | Op::ConvTranspose { .. } => true,
        Op::Gemm { beta, .. } => *beta == 1.0 && !matches!(graph.node(graph.arguments(id)[0]).op, Op::Constant(_)),
        _ => false,
    };
    if takes_bias {
        let old = match own(2) {
            None => Some(vec![0.0; delta.len()]),
            Some(bias) => match &builder.node(arguments[2]).op {
                Op::Constant(value) if graph.users(bias).len() == 1 && value.shape() == [delta.len()] => value.to_f64(),
                _ => None,
            },
        };
        if let Some(old) = old {
            let sum = old.iter().zip(delta).map(|(b, d)| b + d).collect();
            let bias = builder.constant(format!("{}/bias", node.name), float(sum, vec![delta.len()]))?;
            arguments.truncate(2);
            arguments.push(bias);
            return Ok(builder.add(node.name.clone(), op, &arguments)?);
        }
    }
    // An output keeps its name: the sum behind it takes it over.
    let product = builder.add(format!("{}/product", node.name), op, &arguments)?;
    let mut shape = vec![1; node.shape.len()];
    if delta.len() > 1 {
        shape[channel(graph, id)] = delta.len();
    }
    let bias = builder.constant(format!("{}/bias", node.name), float(delta.to_vec(), shape))?;
    Ok(builder.add(node.name.clone(), Op::Add, &[product, bias])?)
}

/// First index and step of an arithmetic progression.
fn progression(places: &[usize]) -> Option<(usize, isize)> {
    let start = places.first().copied().unwrap_or(0);
    let step = places.get(1).map_or(1, |second| *second as isize - start as isize);
    let even = places.windows(2).all(|w| w[1] as isize - w[0] as isize == step);
    even.then_some((start, step))
}

fn sliced(value: &Value, indices: &[Vec<usize>]) -> Value {
    fn of<T: Clone>(tensor: &Arc<Tensor<T>>, indices: &[Vec<usize>]) -> Arc<Tensor<T>> {
        let shape: Vec<usize> = indices.iter().map(Vec::len).collect();
        if shape == tensor.shape() {
            return Arc::clone(tensor);
        }
        let mut places = vec![0];
        for (kept, stride) in indices.iter().zip(strides(tensor.shape())) {
            places = places.iter().flat_map(|p| kept.iter().map(move |i| p + i * stride)).collect();
        }
        Arc::new(Tensor::new(shape, places.into_iter().map(|p| tensor.data()[p].clone()).collect()))
    }
    match value {
        Value::F32(t) => Value::F32(of(t, indices)),
        Value::F64(t) => Value::F64(of(t, indices)),
        Value::I64(t) => Value::I64(of(t, indices)),
        Value::Bool(t) => Value::Bool(of(t, indices)),
    }
}
