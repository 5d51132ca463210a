//! Masks: which entries of a network's stored tensors are kept.
//!
//! $$ \theta' = m \odot \theta, \qquad m \in \{0, 1\}^{|\theta|}. $$

use crate::error::NnError;
use crate::graph::{Graph, GraphBuilder, NodeId};
use crate::op::{Op, Value};
use secateur_linalg::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// For some constants of a network, by name, the entries that are kept. Constants that are not named are kept whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Masks(pub BTreeMap<String, Tensor<bool>>);

impl Masks {
    /// The mask of a constant, where it has one.
    pub fn get(&self, name: &str) -> Option<&Tensor<bool>> {
        self.0.get(name)
    }

    /// Kept entries and all entries of the masked constants.
    pub fn count(&self) -> (usize, usize) {
        let kept = |mask: &Tensor<bool>| mask.data().iter().filter(|keep| **keep).count();
        (self.0.values().map(kept).sum(), self.0.values().map(Tensor::len).sum())
    }

    /// Kept entries as a share of the entries of the masked constants; 1 without any.
    pub fn density(&self) -> f64 {
        let (kept, all) = self.count();
        if all == 0 { 1.0 } else { kept as f64 / all as f64 }
    }

    /// The network with zeros where the masks keep nothing.
    ///
    /// # Errors
    /// See [`Graph::with_constants`].
    pub fn apply(&self, graph: &Graph) -> Result<Graph, NnError> {
        let mut values = BTreeMap::new();
        for (_, node) in graph.nodes() {
            if let (Some(mask), Op::Constant(Value::F32(tensor))) = (self.get(&node.name), &node.op) {
                assert_eq!(mask.shape(), tensor.shape(), "a mask has its constant's shape");
                let kept = tensor.data().iter().zip(mask.data()).map(|(v, keep)| if *keep { *v } else { 0.0 });
                values.insert(node.name.clone(), Tensor::new(tensor.shape().to_vec(), kept.collect()));
            }
        }
        assert_eq!(values.len(), self.0.len(), "masks belong to constants of type f32");
        graph.with_constants(&values)
    }
}

impl Graph {
    /// The same network with other numbers in some of its `f32` constants, which are named. Node ids stay.
    ///
    /// # Errors
    /// The network is one whose nodes cannot be added again (none that a builder made).
    ///
    /// # Panics
    /// A name is not that of an `f32` constant of that shape.
    #[track_caller]
    pub fn with_constants(&self, values: &BTreeMap<String, Tensor<f32>>) -> Result<Graph, NnError> {
        let input = self.node(self.input());
        let mut builder = GraphBuilder::new(input.name.clone(), input.shape.clone(), input.element);
        let mut copies: Vec<NodeId> = vec![builder.input()];
        let mut left = values.len();
        for (id, node) in self.nodes().filter(|(id, _)| *id != self.input()) {
            let op = match (&node.op, values.get(&node.name)) {
                (op, None) => op.clone(),
                (Op::Constant(Value::F32(old)), Some(new)) => {
                    assert_eq!(old.shape(), new.shape(), "`{}` keeps its shape", node.name);
                    left -= 1;
                    Op::Constant(Value::F32(Arc::new(new.clone())))
                }
                (_, Some(_)) => panic!("`{}` is no constant of type f32", node.name),
            };
            let arguments: Vec<NodeId> = self.arguments(id).iter().map(|a| copies[a.index()]).collect();
            copies.push(builder.add(node.name.clone(), op, &arguments)?);
        }
        assert_eq!(left, 0, "every name is one of a constant");
        builder.finish(copies[self.output().index()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::ElementType;

    fn product() -> Graph {
        let mut b = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
        let w = Tensor::new(vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let w = b.constant("w", Value::F32(Arc::new(w))).unwrap();
        let y = b.add("y", Op::MatMul, &[b.input(), w]).unwrap();
        b.finish(y).unwrap()
    }

    #[test]
    fn masked_entries_are_zero() {
        let mask = Tensor::new(vec![2, 2], vec![true, false, false, true]);
        let masks = Masks(BTreeMap::from([("w".to_owned(), mask)]));
        assert_eq!((masks.count(), masks.density()), ((2, 4), 0.5));
        let graph = masks.apply(&product()).unwrap();
        let w = graph.nodes().find_map(|(_, node)| match &node.op {
            Op::Constant(Value::F32(w)) => Some(w.clone()),
            _ => None,
        });
        assert_eq!(w.unwrap().data(), [1.0, 0.0, 0.0, 4.0]);
    }

    #[test]
    #[should_panic(expected = "masks belong to constants")]
    fn a_mask_without_a_constant_is_a_mistake() {
        let masks = Masks(BTreeMap::from([("v".to_owned(), Tensor::full(vec![2, 2], true))]));
        let _ = masks.apply(&product());
    }
}
