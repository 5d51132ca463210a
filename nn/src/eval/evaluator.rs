//! A graph prepared for repeated evaluation.

use super::array::Array;
use super::kernels;
use super::number::Number;
use crate::error::NnError;
use crate::graph::{Graph, Node, NodeId};
use crate::op::Op;
use secateur_linalg::Tensor;
use std::sync::Arc;

/// A graph with its constants converted once, for repeated evaluation from any number of threads.
///
/// Constants that are stored in the arithmetic of the evaluation are shared with the graph.
#[derive(Clone, Debug)]
pub struct Evaluator<N> {
    nodes: Vec<Node>,
    arguments: Vec<Vec<usize>>,
    constants: Vec<Option<Array<N>>>,
    /// The last node that reads each node's value; `usize::MAX` for the output.
    last_use: Vec<usize>,
    input: NodeId,
    output: NodeId,
}

/// The values of all nodes of one evaluation.
#[derive(Clone, Debug)]
pub struct Trace<N> {
    pub(crate) values: Vec<Array<N>>,
    output: NodeId,
}

impl<N: Number> Trace<N> {
    /// The value of a node.
    pub fn value(&self, id: NodeId) -> &Array<N> {
        &self.values[id.index()]
    }

    /// The value of a node, if it is one of numbers.
    pub fn real(&self, id: NodeId) -> Option<&Tensor<N>> {
        self.value(id).as_real().map(|t| &**t)
    }

    /// The network's output.
    pub fn output(&self) -> &Tensor<N> {
        self.values[self.output.index()].real()
    }
}

impl<N: Number> Evaluator<N> {
    /// Prepares a graph.
    ///
    /// # Errors
    /// The output is not one of floats, or a constant is not finite in this arithmetic.
    pub fn new(graph: &Graph) -> Result<Self, NnError> {
        let output = graph.node(graph.output());
        if !matches!(output.element, crate::op::ElementType::F32 | crate::op::ElementType::F64) {
            return Err(NnError::NotReal { node: output.name.clone(), element: output.element });
        }
        let mut evaluator = Self {
            nodes: Vec::with_capacity(graph.len()),
            arguments: Vec::with_capacity(graph.len()),
            constants: Vec::with_capacity(graph.len()),
            last_use: vec![0; graph.len()],
            input: graph.input(),
            output: graph.output(),
        };
        for (id, node) in graph.nodes() {
            let arguments: Vec<usize> = graph.arguments(id).into_iter().map(|a| a.index()).collect();
            arguments.iter().for_each(|a| evaluator.last_use[*a] = id.index());
            let constant = match &node.op {
                Op::Constant(value) => Some(Array::constant(value)),
                _ => None,
            };
            if let Some(value) = &constant {
                check_finite(node, value)?;
            }
            evaluator.nodes.push(node.clone());
            evaluator.arguments.push(arguments);
            evaluator.constants.push(constant);
        }
        evaluator.last_use[graph.output().index()] = usize::MAX;
        Ok(evaluator)
    }

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
        &self.nodes[id.index()]
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes (a graph has at least its input).
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Positions of a node's arguments.
    pub(crate) fn arguments(&self, index: usize) -> &[usize] {
        &self.arguments[index]
    }

    /// The value of a constant node of numbers; `None` for any other node.
    pub fn constant(&self, id: NodeId) -> Option<&Tensor<N>> {
        self.constants[id.index()].as_ref()?.as_real().map(|t| &**t)
    }

    /// Replaces the value of a constant node of numbers.
    #[track_caller]
    pub fn set_constant(&mut self, id: NodeId, value: Tensor<N>) {
        let held = self.constant(id).expect("not a constant of numbers");
        assert_eq!(held.shape(), value.shape(), "a constant keeps its shape");
        self.constants[id.index()] = Some(Array::Real(Arc::new(value)));
    }

    /// The same network in another arithmetic.
    pub(crate) fn map_constants<M: Number>(&self, f: impl Fn(NodeId, &Tensor<N>) -> Tensor<M>) -> Evaluator<M> {
        let convert = |(index, constant): (usize, &Option<Array<N>>)| {
            constant.as_ref().map(|constant| match constant {
                Array::Real(t) => Array::Real(Arc::new(f(NodeId::new(index), t))),
                Array::Integer(t) => Array::Integer(Arc::clone(t)),
                Array::Truth(t) => Array::Truth(Arc::clone(t)),
            })
        };
        Evaluator {
            nodes: self.nodes.clone(),
            arguments: self.arguments.clone(),
            constants: self.constants.iter().enumerate().map(convert).collect(),
            last_use: self.last_use.clone(),
            input: self.input,
            output: self.output,
        }
    }

    /// $f(x)$.
    ///
    /// # Errors
    /// The input has another shape, a value is not finite, or integers overflow.
    pub fn forward(&self, input: &Tensor<N>) -> Result<Tensor<N>, NnError> {
        let mut values = vec![None; self.nodes.len()];
        for index in 0..self.nodes.len() {
            let take = |a: &usize| {
                let slot: &mut Option<Array<N>> = &mut values[*a];
                let repeated = self.arguments[index].iter().filter(|b| *b == a).count() > 1;
                let value = if self.last_use[*a] == index && !repeated { slot.take() } else { slot.clone() };
                value.expect("arguments come before the nodes that use them")
            };
            let arguments = self.arguments[index].iter().map(take).collect();
            let value = self.step(index, input, arguments)?;
            for a in &self.arguments[index] {
                if self.last_use[*a] == index {
                    values[*a] = None;
                }
            }
            values[index] = Some(value);
        }
        let output = values[self.output.index()].take().expect("the output has been evaluated");
        Ok(Arc::unwrap_or_clone(output.into_real()))
    }

    /// The value of every node at one input.
    ///
    /// # Errors
    /// As [`Evaluator::forward`].
    pub fn trace(&self, input: &Tensor<N>) -> Result<Trace<N>, NnError> {
        let mut values: Vec<Array<N>> = Vec::with_capacity(self.nodes.len());
        for index in 0..self.nodes.len() {
            let arguments = self.arguments[index].iter().map(|a| values[*a].clone()).collect();
            let value = self.step(index, input, arguments)?;
            values.push(value);
        }
        Ok(Trace { values, output: self.output })
    }

    fn step(&self, index: usize, input: &Tensor<N>, arguments: Vec<Array<N>>) -> Result<Array<N>, NnError> {
        let node = &self.nodes[index];
        if let Some(constant) = &self.constants[index] {
            return Ok(constant.clone());
        }
        let value = if index == self.input.index() {
            if input.shape() != node.shape {
                let (expected, found) = (node.shape.clone(), input.shape().to_vec());
                return Err(NnError::InputShape { node: node.name.clone(), expected, found });
            }
            Array::Real(Arc::new(input.clone())).cast(node.element)
        } else {
            kernels::apply(node, arguments)?
        };
        check_finite(node, &value)?;
        Ok(value)
    }
}

fn check_finite<N: Number>(node: &Node, value: &Array<N>) -> Result<(), NnError> {
    // Without an early exit, so that the loop vectorises.
    let finite = value.as_real().is_none_or(|t| t.data().iter().fold(true, |all, v| all & v.is_finite()));
    if finite { Ok(()) } else { Err(NnError::NonFinite { node: node.name.clone(), op: node.op.name() }) }
}
