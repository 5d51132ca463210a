//! Reverse mode: one evaluation, then any number of products with the transposed Jacobian.

use super::rules;
use crate::error::NnError;
use crate::eval::{Evaluator, Number, Trace};
use crate::graph::NodeId;
use secateur_linalg::Tensor;

/// An evaluation that can be differentiated.
pub struct Tape<'e, N> {
    evaluator: &'e Evaluator<N>,
    trace: Trace<N>,
}

impl<'e, N: Number> Tape<'e, N> {
    /// Evaluates the network at `input` and keeps every value.
    ///
    /// # Errors
    /// As [`Evaluator::forward`].
    pub fn record(evaluator: &'e Evaluator<N>, input: &Tensor<N>) -> Result<Self, NnError> {
        Ok(Self { evaluator, trace: evaluator.trace(input)? })
    }

    /// $f(x)$.
    pub fn output(&self) -> &Tensor<N> {
        self.trace.output()
    }

    /// The values of all nodes.
    pub fn trace(&self) -> &Trace<N> {
        &self.trace
    }

    /// $J^\top v$ for each of the nodes `wrt`, where $J$ is the Jacobian of the output in that node's
    /// value: the input, constants, or any value on the way.
    ///
    /// Nodes that the output does not vary with get zeros.
    ///
    /// # Shapes
    /// `cotangent` has the output's shape, each result its node's.
    ///
    /// # Errors
    /// A node of `wrt` does not hold floats, or a derivative is not finite.
    #[track_caller]
    pub fn vjp(&self, cotangent: &Tensor<N>, wrt: &[NodeId]) -> Result<Vec<Tensor<N>>, NnError> {
        assert_eq!(cotangent.shape(), self.output().shape(), "the cotangent has the output's shape");
        let wanted = self.wanted(wrt)?;
        let mut cotangents: Vec<Option<Vec<N>>> = vec![None; self.evaluator.len()];
        cotangents[self.evaluator.output().index()] = Some(cotangent.data().to_vec());
        for index in (0..self.evaluator.len()).rev() {
            let arguments = self.evaluator.arguments(index);
            let needed: Vec<bool> = arguments.iter().map(|a| wanted[*a]).collect();
            if !needed.contains(&true) {
                continue;
            }
            let kept = wrt.iter().any(|id| id.index() == index);
            let slot = &mut cotangents[index];
            let Some(cotangent) = (if kept { slot.clone() } else { slot.take() }) else {
                continue;
            };
            for (argument, part) in arguments.iter().zip(self.pull_back(index, cotangent, &needed)?) {
                match (&mut cotangents[*argument], part) {
                    (_, None) => {}
                    (Some(sum), Some(part)) => sum.iter_mut().zip(part).for_each(|(s, p)| *s += p),
                    (empty @ None, part) => *empty = part,
                }
            }
        }
        let gradient = |id: &NodeId| {
            let shape = self.trace.value(*id).shape().to_vec();
            match &cotangents[id.index()] {
                Some(data) => Tensor::new(shape, data.clone()),
                None => Tensor::full(shape, N::default()),
            }
        };
        Ok(wrt.iter().map(gradient).collect())
    }

    /// Which nodes' cotangents the sweep has to carry: those of numbers that depend on `wrt`.
    fn wanted(&self, wrt: &[NodeId]) -> Result<Vec<bool>, NnError> {
        let mut wanted = vec![false; self.evaluator.len()];
        for id in wrt {
            if self.trace.real(*id).is_none() {
                let node = self.evaluator.node(*id);
                return Err(NnError::NotReal { node: node.name.clone(), element: node.element });
            }
            wanted[id.index()] = true;
        }
        for index in 0..wanted.len() {
            let depends = self.evaluator.arguments(index).iter().any(|a| wanted[*a]);
            wanted[index] |= depends && self.trace.values[index].as_real().is_some();
        }
        Ok(wanted)
    }

    fn pull_back(&self, index: usize, cotangent: Vec<N>, needed: &[bool]) -> Result<Vec<Option<Vec<N>>>, NnError> {
        let node = self.evaluator.node(NodeId::new(index));
        let application = rules::Application {
            node,
            arguments: self.evaluator.arguments(index).iter().map(|a| &self.trace.values[*a]).collect(),
            value: self.trace.values[index].real(),
            needed,
        };
        let parts = application.pull_back(cotangent);
        let finite = parts.iter().flatten().all(|part| part.iter().fold(true, |all, v| all & v.is_finite()));
        if finite {
            return Ok(parts);
        }
        Err(NnError::NonFiniteDerivative { node: node.name.clone(), op: node.op.name() })
    }
}
