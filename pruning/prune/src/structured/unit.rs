//! Units: the stored numbers that belong to one removable neuron, channel or head.

use super::labels::{Labels, labels};
use crate::error::PruneError;
use crate::weights::{Weight, weights};
use secateur_linalg::Tensor;
use secateur_linalg::tensor::strides;
use secateur_nn::graph::{Graph, NodeId};
use secateur_nn::mask::Masks;
use secateur_nn::op::{Op, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An output of a dense layer.
    Neuron,
    /// A channel of a convolution, with all features that it becomes; a group of a grouped convolution.
    Channel,
    /// An attention head, with all heads that share its keys and values.
    Head,
}

/// Indices along an axis of a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The constant.
    pub constant: String,
    /// The axis.
    pub axis: usize,
    /// The indices along it, ascending.
    pub indices: Vec<usize>,
    /// It is a prunable weight.
    pub weight: bool,
    /// The axis counts the outputs of a product.
    pub produces: bool,
    /// The axis counts the inputs of a product.
    pub consumes: bool,
    /// Zeros in it make no quotient or root undefined: weights, biases, scales and shifts.
    pub maskable: bool,
}

/// A neuron, channel or head: parts of stored tensors that are removed together.
#[derive(Clone, Debug)]
pub struct Unit {
    /// What it is.
    pub kind: Kind,
    /// Units of one bundle lie along the same axes of the same tensors: the neurons of a layer, the channels of a stage
    /// of residual sums.
    pub bundle: usize,
    /// What belongs to it, in the order of the network.
    pub parts: Vec<Part>,
    pub(super) root: u32,
}

/// A weight whose outputs cannot be removed, and the node that holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The weight.
    pub weight: String,
    /// The node.
    pub node: String,
    /// Its operator.
    pub op: &'static str,
}

/// All units of a network.
#[derive(Clone, Debug)]
pub struct Structure {
    /// The units, ordered by the weight and index where each first appears.
    pub units: Vec<Unit>,
    /// Number of bundles.
    pub bundles: usize,
    /// Weights with outputs that have to stay.
    pub fixed: Vec<Fixed>,
    pub(super) labels: Labels,
}

/// How operators use the axes of a constant.
#[derive(Clone, Copy, Debug, Default)]
struct Role {
    produces: bool,
    consumes: bool,
    maskable: bool,
}

/// The units of a network: classes of indices that can be removed without changing any other shape.
///
/// # Errors
/// The network has no weights.
pub fn structure(graph: &Graph) -> Result<Structure, PruneError> {
    let weights = weights(graph)?;
    let labels = labels(graph);
    let roles = roles(graph);
    // Weights first, so that units are numbered along the layers.
    let mut order: Vec<NodeId> = weights.iter().map(|w| w.id).collect();
    let rest = graph.nodes().filter(|(id, node)| matches!(node.op, Op::Constant(_)) && !order.contains(id));
    order.extend(rest.map(|(id, _)| id).collect::<Vec<_>>());
    let mut parts: BTreeMap<u32, Vec<Part>> = BTreeMap::new();
    let mut appearance: Vec<u32> = Vec::new();
    for id in order {
        let node = graph.node(id);
        let weight = weights.iter().any(|w| w.id == id);
        for (axis, indices) in labels.axes[id.index()].iter().enumerate() {
            let role = roles.get(&(id, axis)).copied().unwrap_or_default();
            for (index, label) in indices.iter().enumerate() {
                let root = labels.root(*label);
                if labels.fixed_by(root).is_some() {
                    continue;
                }
                let known = parts.entry(root).or_default();
                match known.last_mut() {
                    Some(last) if last.constant == node.name && last.axis == axis => last.indices.push(index),
                    _ => {
                        if known.is_empty() && weight {
                            appearance.push(root);
                        }
                        let Role { produces, consumes, maskable } = role;
                        let constant = node.name.clone();
                        known.push(Part { constant, axis, indices: vec![index], weight, produces, consumes, maskable });
                    }
                }
            }
        }
    }
    let convolved: BTreeSet<&str> =
        weights.iter().filter(|w| is_convolved(graph, w)).map(|w| w.name.as_str()).collect();
    let mut bundles: BTreeMap<Vec<(String, usize)>, usize> = BTreeMap::new();
    let mut units = Vec::new();
    for root in appearance {
        let parts = parts.remove(&root).unwrap_or_default();
        let key = parts.iter().map(|p| (p.constant.clone(), p.axis)).collect();
        let next = bundles.len();
        let bundle = *bundles.entry(key).or_insert(next);
        let kind = match () {
            () if labels.is_head(root) => Kind::Head,
            () if parts.iter().any(|p| convolved.contains(p.constant.as_str())) => Kind::Channel,
            () => Kind::Neuron,
        };
        units.push(Unit { kind, bundle, parts, root });
    }
    let fixed = fixed(graph, &weights, &labels, &roles);
    Ok(Structure { units, bundles: bundles.len(), fixed, labels })
}

fn is_convolved(graph: &Graph, weight: &Weight) -> bool {
    let is = |op: &Op| matches!(op, Op::Conv { .. } | Op::ConvTranspose { .. });
    weight.uses.iter().any(|this| is(&graph.node(this.node).op))
}

fn fixed(graph: &Graph, weights: &[Weight], labels: &Labels, roles: &BTreeMap<(NodeId, usize), Role>) -> Vec<Fixed> {
    let mut found = Vec::new();
    for weight in weights {
        for (axis, indices) in labels.axes[weight.id.index()].iter().enumerate() {
            let produces = roles.get(&(weight.id, axis)).is_some_and(|role| role.produces);
            let holder = indices.first().and_then(|label| labels.fixed_by(labels.root(*label)));
            if let (true, Some(holder)) = (produces, holder) {
                let holder = graph.node(holder);
                let (weight, node) = (weight.name.clone(), holder.name.clone());
                found.push(Fixed { weight, node, op: holder.op.name() });
            }
        }
    }
    found
}

/// How each axis of each constant is used, over all operators that use it.
fn roles(graph: &Graph) -> BTreeMap<(NodeId, usize), Role> {
    let mut roles: BTreeMap<(NodeId, usize), Role> = BTreeMap::new();
    for (id, node) in graph.nodes() {
        for (position, argument) in graph.arguments(id).into_iter().enumerate() {
            let constant = graph.node(argument);
            if !matches!(constant.op, Op::Constant(_)) {
                continue;
            }
            let rank = constant.shape.len();
            let maskable = maskable(&node.op, position) && matches!(constant.op, Op::Constant(Value::F32(_)));
            for axis in 0..rank {
                let (produces, consumes) = match (&node.op, position) {
                    (Op::MatMul, 0) => (rank > 1 && axis + 2 == rank, axis + 1 == rank),
                    (Op::MatMul, _) => (rank > 1 && axis + 1 == rank, if rank > 1 { axis + 2 == rank } else { true }),
                    (Op::Gemm { trans_a, .. }, 0) => ((axis == 0) != *trans_a, (axis == 1) != *trans_a),
                    (Op::Gemm { trans_b, .. }, 1) => ((axis == 1) != *trans_b, (axis == 0) != *trans_b),
                    (Op::Conv { groups: 1, .. }, 1) => (axis == 0, axis == 1),
                    (Op::ConvTranspose { groups: 1, .. }, 1) => (axis == 1, axis == 0),
                    _ => (false, false),
                };
                let role = roles.entry((argument, axis)).or_insert(Role { maskable: true, ..Role::default() });
                role.produces |= produces;
                role.consumes |= consumes;
                role.maskable &= maskable;
            }
        }
    }
    roles
}

/// Whether zeros in an argument are harmless and make the unit's value 0.
pub(super) fn maskable(op: &Op, position: usize) -> bool {
    match op {
        Op::MatMul | Op::Gemm { .. } | Op::Conv { .. } | Op::ConvTranspose { .. } => true,
        Op::Add | Op::Mul => true,
        Op::Sub => true,
        Op::BatchNormalization { .. } => matches!(position, 1 | 2),
        _ => false,
    }
}

impl Part {
    /// Positions in the stored tensor.
    pub fn positions(&self, shape: &[usize]) -> Vec<usize> {
        let stride = strides(shape)[self.axis];
        let extent = shape[self.axis];
        let outer: usize = shape[..self.axis].iter().product();
        let block =
            |o: usize| self.indices.iter().flat_map(move |i| (0..stride).map(move |s| (o * extent + i) * stride + s));
        (0..outer).flat_map(block).collect()
    }
}

impl Structure {
    /// Masks that remove the given units: their weights, biases, scales and shifts.
    pub fn masks(&self, graph: &Graph, removed: impl IntoIterator<Item = usize>) -> Masks {
        let constants = crate::weights::constants(graph);
        let mut masks = BTreeMap::new();
        for unit in removed {
            for part in self.units[unit].parts.iter().filter(|p| p.maskable) {
                let shape = constants[&part.constant].shape();
                let mask = masks.entry(part.constant.clone()).or_insert_with(|| Tensor::full(shape.to_vec(), true));
                part.positions(shape).into_iter().for_each(|at| mask.data_mut()[at] = false);
            }
        }
        Masks(masks)
    }

    /// What keeps the outputs of the network's weights in place, for messages.
    pub fn obstacles(&self) -> String {
        let one = |f: &Fixed| format!("`{}` is held by `{}` ({})", f.weight, f.node, f.op);
        let all: Vec<String> = self.fixed.iter().take(4).map(one).collect();
        if all.is_empty() { "the network has none".to_owned() } else { all.join(", ") }
    }
}
