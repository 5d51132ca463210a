//! Running many samples through a network at once: axis 0 of the input from 1 to $n$.

use crate::error::NnError;
use crate::graph::{Graph, GraphBuilder, Node, NodeId};
use crate::op::Op;

impl Graph {
    /// The same network on `batch` samples stacked along axis 0 of its input.
    ///
    /// Every node is checked to treat its axis 0 as independent samples, so sample `i` of the
    /// output is the network's output on sample `i` of the input. Node ids stay as they are unless
    /// a constant has to be repeated for a concatenation, which inserts an [`Op::Expand`].
    ///
    /// # Errors
    /// [`NnError::NotBatched`] names the first node that mixes samples or fixes their number.
    pub fn with_batch(&self, batch: usize) -> Result<Graph, NnError> {
        let input = self.node(self.input());
        let refuse =
            |node: &Node, rule| NnError::NotBatched { node: node.name.clone(), op: node.op.name(), rule, batch };
        if input.shape.first() != Some(&1) {
            return Err(refuse(input, "the input's axis 0 is not 1"));
        }
        let mut shape = input.shape.clone();
        shape[0] = batch;
        let mut builder = GraphBuilder::new(input.name.clone(), shape, input.element);
        // Where each node went, and whether its axis 0 is now the batch.
        let mut copies: Vec<(NodeId, bool)> = vec![(builder.input(), true)];
        for (id, node) in self.nodes().filter(|(id, _)| *id != self.input()) {
            let arguments = self.arguments(id);
            let mut copied: Vec<NodeId> = arguments.iter().map(|a| copies[a.index()].0).collect();
            let batched: Vec<bool> = arguments.iter().map(|a| copies[a.index()].1).collect();
            if !batched.contains(&true) {
                copies.push((builder.add(node.name.clone(), node.op.clone(), &copied)?, false));
                continue;
            }
            let ranks: Vec<usize> = arguments.iter().map(|a| self.node(*a).shape.len()).collect();
            let op = rebatch(node, &ranks, &batched, batch).map_err(|rule| refuse(node, rule))?;
            if matches!(op, Op::Concat { .. }) {
                for (position, argument) in arguments.iter().enumerate().filter(|(i, _)| !batched[*i]) {
                    let mut shape = self.node(*argument).shape.clone();
                    shape[0] = batch;
                    let name = format!("{}/argument {position} repeated", node.name);
                    copied[position] = builder.add(name, Op::Expand { shape }, &[copied[position]])?;
                }
            }
            copies.push((builder.add(node.name.clone(), op, &copied)?, true));
        }
        let (output, batched) = copies[self.output().index()];
        if !batched {
            return Err(refuse(self.node(self.output()), "the output does not depend on the input"));
        }
        builder.finish(output)
    }
}

/// The operator for a batch, or the rule by which it mixes samples.
///
/// `batched` says which arguments carry the batch along their axis 0; at least one does.
fn rebatch(node: &Node, ranks: &[usize], batched: &[bool], batch: usize) -> Result<Op, &'static str> {
    let mut op = node.op.clone();
    let only_first = || batched[1..].iter().all(|b| !b);
    let holds = match &mut op {
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Min | Op::Max | Op::Pow | Op::Equal | Op::Where => {
            (0..ranks.len()).all(|i| !batched[i] || ranks[i] == node.shape.len())
        }
        // The left rows (rank 2) or leading axis must become the output's axis 0; the right rows are summed over.
        Op::MatMul => {
            let left = !batched[0] || (ranks[0] >= 2 && ranks[0] >= ranks[1]);
            let right = !batched[1] || (ranks[1] >= 3 && ranks[1] >= ranks[0]);
            left && right
        }
        Op::Gemm { trans_a, .. } => {
            let summand = batched.get(2).is_none_or(|b| !b || ranks[2] == 2);
            batched[0] && !batched[1] && !*trans_a && summand
        }
        Op::Conv { .. } | Op::ConvTranspose { .. } | Op::BatchNormalization { .. } => only_first(),
        Op::MaxPool { .. } | Op::AveragePool { .. } => true,
        Op::Softmax { axis } => *axis != 0,
        Op::ReduceSum { axes, .. } | Op::ReduceMean { axes, .. } => !axes.contains(&0),
        Op::Transpose { axes } => axes.first() == Some(&0),
        Op::Concat { axis } => *axis != 0,
        Op::Gather { axis, .. } => *axis != 0,
        Op::Pad { begin, end, .. } => begin[0] == 0 && end[0] == 0,
        Op::Upsample { factors } => factors[0] == 1,
        Op::Slice { starts, steps, lengths } => {
            let whole = starts[0] == 0 && lengths[0] == 1;
            (lengths[0], steps[0]) = (batch, 1);
            whole
        }
        Op::Reshape { shape } | Op::Expand { shape } if shape.first() == Some(&1) => {
            shape[0] = batch;
            ranks[0] == node.shape.len() || matches!(node.op, Op::Reshape { .. })
        }
        Op::Reshape { .. } => return Err("the target shape does not start with 1"),
        Op::Expand { .. } => false,
        Op::Input | Op::Constant(_) => false,
        Op::Neg
        | Op::Relu
        | Op::LeakyRelu { .. }
        | Op::Sigmoid
        | Op::Tanh
        | Op::Sign
        | Op::Sin
        | Op::Cos
        | Op::Floor
        | Op::Exp
        | Op::Sqrt
        | Op::Clip { .. }
        | Op::Cast(_) => true,
    };
    // A result without an axis 0 of 1 cannot have kept the samples apart.
    let kept = holds && node.shape.first() == Some(&1);
    if kept { Ok(op) } else { Err("it does not treat axis 0 as independent samples") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{ElementType, Value};
    use secateur_linalg::Tensor;
    use std::sync::Arc;

    fn floats(shape: &[usize]) -> Value {
        Value::F32(Arc::new(Tensor::full(shape.to_vec(), 1.0)))
    }

    #[test]
    fn a_dense_network_takes_any_batch() {
        let mut b = GraphBuilder::new("x", vec![1, 2, 3], ElementType::F32);
        let flat = b.add("flat", Op::Reshape { shape: vec![1, 6] }, &[b.input()]).unwrap();
        let w = b.constant("w", floats(&[6, 4])).unwrap();
        let dense = b.add("dense", Op::MatMul, &[flat, w]).unwrap();
        let token = b.constant("token", floats(&[1, 2])).unwrap();
        let joined = b.add("joined", Op::Concat { axis: 1 }, &[token, dense]).unwrap();
        let graph = b.finish(joined).unwrap().with_batch(5).unwrap();
        assert_eq!(graph.node(graph.input()).shape, [5, 2, 3]);
        assert_eq!(graph.node(graph.output()).shape, [5, 6]);
    }

    #[test]
    fn mixing_samples_is_refused() {
        let cases: [(Vec<usize>, Op); 5] = [
            (vec![1, 6], Op::Reshape { shape: vec![6] }),
            (vec![1, 6], Op::Transpose { axes: vec![1, 0] }),
            (vec![1, 6], Op::ReduceSum { axes: vec![0], keep: true }),
            (vec![1, 6], Op::Softmax { axis: 0 }),
            (vec![2, 6], Op::Relu),
        ];
        for (shape, op) in cases {
            let mut b = GraphBuilder::new("x", shape, ElementType::F32);
            let y = b.add("y", op.clone(), &[b.input()]).unwrap();
            let result = b.finish(y).unwrap().with_batch(3);
            assert!(matches!(result, Err(NnError::NotBatched { .. })), "{op:?}");
        }
    }

    #[test]
    fn the_right_factor_may_not_carry_the_batch_in_its_rows() {
        let mut b = GraphBuilder::new("x", vec![1, 6], ElementType::F32);
        let column = b.constant("column", floats(&[4, 1])).unwrap();
        let y = b.add("y", Op::MatMul, &[column, b.input()]).unwrap();
        assert!(matches!(b.finish(y).unwrap().with_batch(3), Err(NnError::NotBatched { .. })));
    }
}
