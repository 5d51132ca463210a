//! Blocks: residual branches $f$ of sums $x + f(x)$, which can be removed as a whole.

use super::unit::maskable;
use crate::error::PruneError;
use crate::weights::weights;
use secateur_linalg::Tensor;
use secateur_nn::graph::{Graph, NodeId};
use secateur_nn::mask::Masks;
use secateur_nn::op::{Op, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A residual branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The sum that it enters.
    pub sum: String,
    /// Its prunable weights.
    pub weights: Vec<String>,
    /// What a mask of the block removes: the weights, and the biases, scales and shifts beside them.
    pub constants: Vec<String>,
}

/// The residual branches whose other summand is the branch's own input.
///
/// A branch that something else reads too is none, nor is one without weights, nor a sum with a projection on its
/// shortcut: removing either side would change shapes.
///
/// # Errors
/// The network has no weights.
pub fn blocks(graph: &Graph) -> Result<Vec<Block>, PruneError> {
    let weights = weights(graph)?;
    let mut found = Vec::new();
    for (id, node) in graph.nodes().filter(|(_, node)| matches!(node.op, Op::Add)) {
        let arguments = graph.arguments(id);
        for (shortcut, branch) in [(arguments[0], arguments[1]), (arguments[1], arguments[0])] {
            let same = graph.node(shortcut).shape == node.shape && graph.node(branch).shape == node.shape;
            let above = ancestors(graph, branch);
            if !same || !above.contains(&shortcut) || shortcut == branch {
                continue;
            }
            let outside = ancestors(graph, shortcut);
            let inside: BTreeSet<NodeId> = above.difference(&outside).copied().collect();
            let is_constant = |id: &NodeId| matches!(graph.node(*id).op, Op::Constant(_));
            let escapes = |n: &NodeId| graph.users(*n).iter().any(|user| *user != id && !inside.contains(user));
            if inside.iter().any(|n| !is_constant(n) && escapes(n)) {
                continue;
            }
            let own = |n: &NodeId| is_constant(n) && !escapes(n);
            let name = |n: &NodeId| graph.node(*n).name.clone();
            let names: Vec<String> =
                weights.iter().filter(|w| own(&w.id) && inside.contains(&w.id)).map(|w| w.name.clone()).collect();
            if names.is_empty() {
                continue;
            }
            let removable = |n: &NodeId| {
                let stored = matches!(&graph.node(*n).op, Op::Constant(Value::F32(t)) if t.len() > 1);
                let uses = graph.users(*n);
                let at = |user: &NodeId| graph.arguments(*user).iter().position(|a| a == n).unwrap_or(0);
                stored && uses.iter().all(|user| maskable(&graph.node(*user).op, at(user)))
            };
            let constants = inside.iter().filter(|n| own(n) && removable(n)).map(name).collect();
            found.push(Block { sum: node.name.clone(), weights: names, constants });
            break;
        }
    }
    Ok(found)
}

/// A node and all that it is computed from.
fn ancestors(graph: &Graph, id: NodeId) -> BTreeSet<NodeId> {
    let mut all = BTreeSet::from([id]);
    let mut open = vec![id];
    while let Some(next) = open.pop() {
        open.extend(graph.arguments(next).into_iter().filter(|a| all.insert(*a)));
    }
    all
}

impl Block {
    /// Masks that remove the blocks.
    pub fn masks<'a>(graph: &Graph, removed: impl IntoIterator<Item = &'a Block>) -> Masks {
        let constants = crate::weights::constants(graph);
        let names = removed.into_iter().flat_map(|block| &block.constants);
        let empty = |name: &String| (name.clone(), Tensor::full(constants[name].shape().to_vec(), false));
        Masks(names.map(empty).collect::<BTreeMap<_, _>>())
    }
}
