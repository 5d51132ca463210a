//! A network as a directed acyclic graph of operators with known shapes.

use crate::error::NnError;
use crate::op::{ElementType, Op, Value};
use crate::shape::{self, TensorType};
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use std::collections::HashSet;

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
/// Made by a [`GraphBuilder`]. Edges carry the argument position. Nodes are added after their arguments, so the order of node
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

/// Builds a [`Graph`] node by node, checking shapes and element types as it goes.
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    dag: DiGraph<Node, u32, u32>,
    names: HashSet<String>,
    input: NodeId,
}

impl GraphBuilder {
    /// A graph that consists of its input.
    pub fn new(name: impl Into<String>, shape: Vec<usize>, element: ElementType) -> Self {
        let name = name.into();
        let mut dag = DiGraph::default();
        let names = HashSet::from([name.clone()]);
        let input = dag.add_node(Node { name, op: Op::Input, shape, element });
        Self { dag, names, input }
    }

    /// The network's input.
    pub fn input(&self) -> NodeId {
        self.input
    }

    /// A node added so far.
    #[track_caller]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.dag[id]
    }

    /// Adds a stored tensor.
    ///
    /// # Errors
    /// The name is taken, or the tensor is too large.
    pub fn constant(&mut self, name: impl Into<String>, value: Value) -> Result<NodeId, NnError> {
        self.add(name, Op::Constant(value), &[])
    }

    /// Adds an operator applied to `arguments`.
    ///
    /// # Errors
    /// The name is taken, or the arguments do not fit the operator; the error names the node, the
    /// operator and the shapes.
    #[track_caller]
    pub fn add(&mut self, name: impl Into<String>, op: Op, arguments: &[NodeId]) -> Result<NodeId, NnError> {
        let name = name.into();
        assert!(!matches!(op, Op::Input), "a graph has one input");
        let argument_types: Vec<_> = arguments.iter().map(|id| self.tensor_type(*id)).collect();
        let TensorType { shape, element } = shape::infer(&name, &op, &argument_types)?;
        if !self.names.insert(name.clone()) {
            return Err(NnError::DuplicateName { node: name });
        }
        let id = self.dag.add_node(Node { name, op, shape, element });
        for (position, argument) in (0..).zip(arguments) {
            self.dag.add_edge(*argument, id, position);
        }
        Ok(id)
    }

    /// Shape and element type of a node added so far.
    #[track_caller]
    fn tensor_type(&self, id: NodeId) -> TensorType {
        let node = &self.dag[id];
        TensorType { shape: node.shape.clone(), element: node.element }
    }

    /// The finished graph, without the nodes that do not reach `output`. The input always stays.
    ///
    /// # Errors
    /// The input has more than [`shape::MAX_ENTRIES`] entries.
    #[track_caller]
    pub fn finish(self, output: NodeId) -> Result<Graph, NnError> {
        let Self { dag, input, .. } = self;
        if shape::entries(&dag[input].shape).is_none() {
            return Err(NnError::TooLarge { node: dag[input].name.clone(), shape: dag[input].shape.clone() });
        }
        let mut reaches = vec![false; dag.node_count()];
        reaches[output.index()] = true;
        for id in dag.node_indices().rev().filter(|id| id.index() <= output.index()) {
            if reaches[id.index()] {
                dag.neighbors_directed(id, Direction::Incoming).for_each(|a| reaches[a.index()] = true);
            }
        }
        reaches[input.index()] = true;
        let kept = |id: NodeId| reaches[..id.index()].iter().filter(|r| **r).count();
        let (input, output) = (NodeId::new(kept(input)), NodeId::new(kept(output)));
        let dag = dag.filter_map_owned(|id, node| reaches[id.index()].then_some(node), |_, position| Some(position));
        Ok(Graph { dag, input, output })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reaches_the_output_stays() {
        let mut b = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
        let dead = b.add("dead", Op::Relu, &[b.input()]).unwrap();
        let square = b.add("square", Op::Mul, &[b.input(), b.input()]).unwrap();
        b.add("later", Op::Add, &[dead, square]).unwrap();
        let graph = b.finish(square).unwrap();
        assert_eq!(graph.len(), 2);
        assert_eq!(graph.node(graph.output()).name, "square");
        assert_eq!(graph.arguments(graph.output()), [graph.input(), graph.input()]);
    }

    #[test]
    fn an_unused_input_stays() {
        let mut b = GraphBuilder::new("x", vec![3], ElementType::F32);
        let c = b.constant("c", Value::I64(std::sync::Arc::new(secateur_linalg::Tensor::vector(vec![1])))).unwrap();
        let graph = b.finish(c).unwrap();
        assert_eq!((graph.len(), graph.node(graph.input()).shape.as_slice()), (2, &[3][..]));
    }

    #[test]
    fn names_are_unique() {
        let mut b = GraphBuilder::new("x", vec![3], ElementType::F32);
        assert!(matches!(b.add("x", Op::Relu, &[b.input()]), Err(NnError::DuplicateName { .. })));
    }
}
