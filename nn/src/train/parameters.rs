//! Which constants of a network are trained.

use crate::graph::{Graph, NodeId};
use crate::op::{Op, Value};

/// The constants that training changes: those of type `f32` with at least one axis, except
///
/// - mean and variance of batch normalisation, which are statistics of the data,
/// - exponents, and what is compared with,
/// - what shifts or scales the input before anything else: preprocessing.
///
/// Scalars (a layer normalisation's $\epsilon$, an attention's scale) have no axis.
pub fn parameters(graph: &Graph) -> Vec<NodeId> {
    let mut varies = vec![false; graph.len()];
    let mut raw = vec![false; graph.len()];
    for (id, node) in graph.nodes() {
        let arguments = graph.arguments(id);
        varies[id.index()] = id == graph.input() || arguments.iter().any(|a| varies[a.index()]);
        let shifts = matches!(
            node.op,
            Op::Add
                | Op::Sub
                | Op::Mul
                | Op::Div
                | Op::Cast(_)
                | Op::Reshape { .. }
                | Op::Transpose { .. }
                | Op::Slice { .. }
        );
        let only_raw = arguments.iter().all(|a| raw[a.index()] || !varies[a.index()]);
        raw[id.index()] = id == graph.input() || (varies[id.index()] && shifts && only_raw);
    }
    let trains = |constant: NodeId, user: NodeId| {
        let places = graph.arguments(user).into_iter().enumerate().filter(|(_, a)| *a == constant).map(|(i, _)| i);
        let mut places = places.map(|place| match graph.node(user).op {
            Op::BatchNormalization { .. } => place < 3,
            Op::Pow => place == 0,
            Op::Equal => false,
            Op::Where => place > 0,
            _ => !raw[user.index()],
        });
        places.any(|trains| trains)
    };
    let constants = graph.nodes().filter(|(_, n)| matches!(&n.op, Op::Constant(Value::F32(t)) if t.rank() > 0));
    constants.map(|(id, _)| id).filter(|id| graph.users(*id).iter().any(|user| trains(*id, *user))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;
    use crate::op::ElementType;
    use secateur_linalg::Tensor;
    use std::sync::Arc;

    #[test]
    fn weights_are_trained_and_statistics_are_not() {
        let mut b = GraphBuilder::new("x", vec![1, 2, 2], ElementType::F32);
        let constant = |b: &mut GraphBuilder, name: &str, shape: &[usize]| {
            b.constant(name, Value::F32(Arc::new(Tensor::full(shape.to_vec(), 1.0)))).unwrap()
        };
        let mean = constant(&mut b, "pixel mean", &[1, 2, 1]);
        let w = constant(&mut b, "w", &[2, 2]);
        let norm: Vec<NodeId> = ["scale", "shift", "mean", "variance"].map(|n| constant(&mut b, n, &[2])).to_vec();
        let two = constant(&mut b, "two", &[1]);
        let half = constant(&mut b, "half", &[]);
        let bias = constant(&mut b, "bias", &[2]);
        let centred = b.add("centred", Op::Sub, &[b.input(), mean]).unwrap();
        let y = b.add("y", Op::MatMul, &[centred, w]).unwrap();
        let y = b.add("bn", Op::BatchNormalization { epsilon: 1e-5 }, &[&[y][..], &norm].concat()).unwrap();
        let y = b.add("square", Op::Pow, &[y, two]).unwrap();
        let y = b.add("halved", Op::Mul, &[y, half]).unwrap();
        let y = b.add("out", Op::Add, &[y, bias]).unwrap();
        let graph = b.finish(y).unwrap();
        let names: Vec<&str> = parameters(&graph).iter().map(|id| graph.node(*id).name.as_str()).collect();
        assert_eq!(names, ["w", "scale", "shift", "bias"]);
    }
}
