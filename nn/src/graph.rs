//! A network as a directed acyclic graph of operators with known shapes.

use crate::op::{ElementType, Op};
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

/// Identifies a node of a [`Graph`].
pub type NodeId = NodeIndex<u32>;

/// One operator application.
#[derive(Clone, Debug)]
pub struct Node {
    /// The name of its output tensor, unique in the graph.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Shape of its output.
    pub shape: Vec<usize>,
    /// Element type of its output.
    pub element: ElementType,
}

/// A network: one input, one output, operators between them.
///
/// Edges carry the argument position. Nodes are added after their arguments, so the order of node
/// ids is a topological order.
#[derive(Clone, Debug)]
pub struct Graph {
    dag: DiGraph<Node, u32, u32>,
    input: NodeId,
    output: NodeId,
}

impl Graph {
    /// The network's input node.
    pub fn input(&self) -> NodeId {
        self.input
    }

    /// The network's output node.
    pub fn output(&self) -> NodeId {
        self.output
    }

    /// A node by its id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.dag[id]
    }

    /// All nodes, arguments before the nodes that use them.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.dag.node_indices().map(|id| (id, &self.dag[id]))
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.dag.node_count()
    }

    /// Whether there are no nodes (a built graph has at least its input).
    pub fn is_empty(&self) -> bool {
        self.dag.node_count() == 0
    }

    /// The arguments of a node, in order.
    pub fn arguments(&self, id: NodeId) -> Vec<NodeId> {
        let mut arguments: Vec<_> =
            self.dag.edges_directed(id, Direction::Incoming).map(|e| (*e.weight(), e.source())).collect();
        arguments.sort_unstable();
        arguments.into_iter().map(|(_, source)| source).collect()
    }

    /// The nodes that use a node's output.
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        let mut users: Vec<_> = self.dag.neighbors_directed(id, Direction::Outgoing).collect();
        users.sort_unstable();
        users
    }
}
