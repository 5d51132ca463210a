//! Compaction: a smaller network that computes the same function.
//!
//! A unit goes when nothing reads it (all weights that consume it are 0), or when it is constant (all weights that produce
//! it are 0): then what it contributes is added to the next biases,
//!
//! $$ b' = b + W_{:, j}\, c_j, \qquad c_j = \phi(b_j), $$
//!
//! provided that the contribution is the same at every position; in the padding of a convolution it is not, unless it is 0.

use super::fold::fold;
use super::rebuild::{Deltas, rebuild};
use super::unit::{Part, Structure, structure};
use crate::error::PruneError;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::eval::{self, Evaluator, Trace};
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::mask::Masks;
use secateur_nn::op::Op;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A compacted network and what became of the original's units.
#[derive(Clone, Debug)]
pub struct Compaction {
    /// The smaller network.
    pub graph: Graph,
    /// Units that were removed.
    pub removed: usize,
    /// Of these, units whose constant value was added to the next biases.
    pub folded: usize,
    /// Units that are constant but whose contribution depends on the position; they stay.
    pub kept: usize,
    /// Operators that turned out constant as a whole: removed layers and branches.
    pub constant: Vec<String>,
    /// Bundles of units of which one had to stay, so that no axis is empty.
    pub narrow: usize,
}

/// Relative difference between positions below which a contribution counts as even: rounding in `f64`.
const EVEN: f64 = 1e-12;

/// The network without the units that its masks, or its own zeros, leave without effect.
///
/// # Errors
/// The masks leave nothing that depends on the input ([`PruneError::Constant`]), or the network cannot be rebuilt.
pub fn compact(graph: &Graph, masks: &Masks) -> Result<Compaction, PruneError> {
    let folded = fold(&masks.apply(graph)?)?;
    let graph = folded.graph;
    let structure = match structure(&graph) {
        Ok(structure) => structure,
        // Folding may have taken the last weight; then there is nothing more to remove.
        Err(PruneError::NothingToPrune) => {
            return Ok(Compaction { graph, removed: 0, folded: 0, kept: 0, constant: folded.gone, narrow: 0 });
        }
        Err(error) => return Err(error),
    };
    let constants = crate::weights::constants(&graph);
    let zero = |part: &Part| {
        // What is stored in other types than f32 is no weight of ours, and taken as it is.
        let is_zero =
            |stored: &Arc<Tensor<f32>>| part.positions(stored.shape()).into_iter().all(|at| stored.data()[at] == 0.0);
        constants.get(&part.constant).is_some_and(is_zero)
    };
    let mut unread = BTreeSet::new();
    let mut constant = BTreeSet::new();
    for unit in &structure.units {
        if unit.parts.iter().filter(|p| p.consumes).all(zero) {
            unread.insert(unit.root);
        } else if !structure.labels.is_driven(unit.root) && unit.parts.iter().filter(|p| p.produces).all(zero) {
            constant.insert(unit.root);
        }
    }
    let narrow = keep_one(&graph, &structure, &mut unread, &mut constant);
    let candidates = constant.len();
    let deltas = contributions(&graph, &structure, &mut constant)?;
    let gone: BTreeSet<u32> = unread.union(&constant).copied().collect();
    let small = rebuild(&graph, &structure.labels, &gone, &deltas)?;
    Ok(Compaction {
        graph: small,
        removed: gone.len(),
        folded: constant.len(),
        kept: candidates - constant.len(),
        constant: folded.gone,
        narrow,
    })
}

/// The largest difference between the outputs of two networks on normal inputs, relative to the largest output, in `f64`.
///
/// # Errors
/// A value is not finite.
pub fn disagreement(a: &Graph, b: &Graph, samples: usize, seed: u64) -> Result<f64, PruneError> {
    let shape = a.node(a.input()).shape.clone();
    let (a, b) = (Evaluator::<f64>::new(a)?, Evaluator::<f64>::new(b)?);
    let mut random = Random::new(seed);
    let (mut difference, mut size) = (0.0f64, f64::MIN_POSITIVE);
    for _ in 0..samples {
        let mut data = vec![0.0f64; shape.iter().product()];
        random.fill_normal(&mut data, 1.0);
        let input = Tensor::new(shape.clone(), data);
        let (y, z) = (a.forward(&input)?, b.forward(&input)?);
        y.data().iter().zip(z.data()).for_each(|(y, z)| difference = difference.max((y - z).abs()));
        y.data().iter().for_each(|y| size = size.max(y.abs()));
    }
    Ok(difference / size)
}

/// Takes units back until no axis would be empty; how many.
fn keep_one(graph: &Graph, structure: &Structure, unread: &mut BTreeSet<u32>, constant: &mut BTreeSet<u32>) -> usize {
    let mut kept = 0;
    for (id, _) in graph.nodes() {
        for axis in &structure.labels.axes[id.index()] {
            let root = |label: &u32| structure.labels.root(*label);
            let goes = |label: &u32| unread.contains(&root(label)) || constant.contains(&root(label));
            if !axis.is_empty() && axis.iter().all(goes) {
                let first = root(&axis[0]);
                unread.remove(&first);
                constant.remove(&first);
                kept += 1;
            }
        }
    }
    kept
}

/// What the constant units add to every product that reads them; units that cannot be folded are taken out.
fn contributions(graph: &Graph, structure: &Structure, constant: &mut BTreeSet<u32>) -> Result<Deltas, PruneError> {
    if constant.is_empty() {
        return Ok(Deltas::new());
    }
    let input = graph.node(graph.input());
    let trace = eval::trace::<f64>(graph, &Tensor::full(input.shape.clone(), 0.0))?;
    loop {
        let mut deltas = Deltas::new();
        let mut uneven = BTreeSet::new();
        for (id, node) in graph.nodes() {
            let Some((varying, axis)) = reader(graph, id) else { continue };
            let labels = &structure.labels.axes[graph.arguments(id)[varying].index()][axis];
            let roots: Vec<u32> = labels.iter().map(|label| structure.labels.root(*label)).collect();
            if !roots.iter().any(|root| constant.contains(root)) {
                continue;
            }
            let part = contribution(graph, &trace, id, varying, axis, |index| constant.contains(&roots[index]))?;
            match even(&part, channel_axis(graph, id, varying)) {
                Some(delta) if delta.iter().all(|d| *d == 0.0) => {}
                Some(delta) => {
                    deltas.insert(id, delta);
                }
                None => {
                    let value = trace.real(graph.arguments(id)[varying]).expect("a product of floats");
                    uneven.extend(nonzero(value, axis, &roots).into_iter().filter(|root| constant.contains(root)));
                    debug_assert!(!uneven.is_empty(), "`{}` is uneven for a reason", node.name);
                }
            }
        }
        if uneven.is_empty() {
            return Ok(deltas);
        }
        constant.retain(|root| !uneven.contains(root));
    }
}

/// For a product with a stored weight: which argument varies, and along which axis it is summed. Grouped convolutions sum
/// within a unit and are none.
fn reader(graph: &Graph, id: NodeId) -> Option<(usize, usize)> {
    let arguments = graph.arguments(id);
    let stored = |position: usize| matches!(graph.node(arguments[position]).op, Op::Constant(_));
    match &graph.node(id).op {
        Op::Conv { groups: 1, .. } | Op::ConvTranspose { groups: 1, .. } => stored(1).then_some((0, 1)),
        Op::MatMul | Op::Gemm { .. } => {
            let varying = match (stored(0), stored(1)) {
                (false, true) => 0,
                (true, false) => 1,
                _ => return None,
            };
            let rank = graph.node(arguments[varying]).shape.len();
            let plain = if varying == 0 { rank - 1 } else { rank.saturating_sub(2) };
            let axis = match graph.node(id).op {
                Op::Gemm { trans_a: true, .. } if varying == 0 => 0,
                Op::Gemm { trans_b: true, .. } if varying == 1 => 1,
                _ => plain,
            };
            Some((varying, axis))
        }
        _ => None,
    }
}

/// The axis of a product's value that counts the outputs of its stored weight; `None` where the weight is a vector.
fn channel_axis(graph: &Graph, id: NodeId, varying: usize) -> Option<usize> {
    let node = graph.node(id);
    match node.op {
        Op::MatMul => {
            let weight = graph.arguments(id)[1 - varying];
            let rank = node.shape.len();
            match (graph.node(weight).shape.len(), varying) {
                (1, _) => None,
                (_, 0) => Some(rank - 1),
                // Behind the columns of the right factor, if it has any.
                _ if graph.node(graph.arguments(id)[1]).shape.len() == 1 => Some(rank - 1),
                _ => Some(rank - 2),
            }
        }
        Op::Gemm { .. } => Some(if varying == 0 { 1 } else { 0 }),
        _ => Some(1),
    }
}

/// The product of a node with all but some indices of its varying argument set to 0.
fn contribution(
    graph: &Graph,
    trace: &Trace<f64>,
    id: NodeId,
    varying: usize,
    axis: usize,
    kept: impl Fn(usize) -> bool,
) -> Result<Tensor<f64>, PruneError> {
    let arguments = graph.arguments(id);
    let value = trace.real(arguments[varying]).expect("a product of floats");
    let mut part = value.clone();
    let inner: usize = value.shape()[axis + 1..].iter().product();
    let extent = value.shape()[axis];
    part.data_mut().iter_mut().enumerate().filter(|(i, _)| !kept(i / inner % extent)).for_each(|(_, v)| *v = 0.0);
    let mut builder = GraphBuilder::new("value", part.shape().to_vec(), graph.node(arguments[varying]).element);
    let weight = graph.node(arguments[1 - varying]);
    let stored = builder.add("weight", weight.op.clone(), &[])?;
    let order = if varying == 0 { [builder.input(), stored] } else { [stored, builder.input()] };
    let product = builder.add("product", graph.node(id).op.clone(), &order)?;
    Ok(eval::forward(&builder.finish(product)?, &part)?)
}

/// One number per index of the channel axis, if the value is the same everywhere else.
fn even(value: &Tensor<f64>, axis: Option<usize>) -> Option<Vec<f64>> {
    let (inner, extent) = match axis {
        None => (value.len(), 1),
        Some(axis) => (value.shape()[axis + 1..].iter().product(), value.shape()[axis]),
    };
    let mut found: Vec<Option<f64>> = vec![None; extent];
    let largest = value.data().iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, v) in value.data().iter().enumerate() {
        let first = *found[i / inner % extent].get_or_insert(*v);
        if (first - v).abs() > EVEN * largest {
            return None;
        }
    }
    found.into_iter().collect()
}

/// Classes with a value that is not 0.
fn nonzero(value: &Tensor<f64>, axis: usize, roots: &[u32]) -> BTreeSet<u32> {
    let inner: usize = value.shape()[axis + 1..].iter().product();
    let entries = value.data().iter().enumerate().filter(|(_, v)| **v != 0.0);
    entries.map(|(i, _)| roots[i / inner % roots.len()]).collect()
}
