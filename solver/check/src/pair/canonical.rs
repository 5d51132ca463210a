//! Operators that say the same in two ways, said in one, so that networks from different exporters correspond.

use secateur_nn::NnError;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{Op, Tensor, Value};
use std::sync::Arc;

/// The same network with $A B + C$ as a product and a sum, and with stored summands on the right. Weights are moved, not changed.
pub(super) fn canonical(graph: &Graph) -> Result<Graph, NnError> {
    let input = graph.node(graph.input());
    let mut builder = GraphBuilder::new(input.name.clone(), input.shape.clone(), input.element);
    let mut copies: Vec<NodeId> = vec![builder.input()];
    // Names of the network's own might collide with new ones.
    let mut count = 0;
    let mut name = || {
        count += 1;
        format!("{count}/{}", input.name)
    };
    for (id, node) in graph.nodes().filter(|(id, _)| *id != graph.input()) {
        let given = graph.arguments(id);
        let mut arguments: Vec<NodeId> = given.iter().map(|a| copies[a.index()]).collect();
        let stored = |a: &NodeId| match &graph.node(*a).op {
            Op::Constant(value) => Some(value),
            _ => None,
        };
        let copied = match &node.op {
            Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b } if stored(&given[1]).is_some() => {
                if let (true, Some(value)) = (*trans_b, stored(&given[1])) {
                    arguments[1] = builder.constant(name(), transposed(value))?;
                }
                match arguments[..] {
                    [a, b, c, ..] => {
                        let product = builder.add(name(), Op::MatMul, &[a, b])?;
                        builder.add(name(), Op::Add, &[product, c])?
                    }
                    _ => builder.add(name(), Op::MatMul, &arguments)?,
                }
            }
            Op::Add if stored(&given[0]).is_some() && stored(&given[1]).is_none() => {
                arguments.swap(0, 1);
                builder.add(name(), Op::Add, &arguments)?
            }
            op => builder.add(name(), op.clone(), &arguments)?,
        };
        copies.push(copied);
    }
    builder.finish(copies[graph.output().index()])
}

/// The transpose of a stored matrix.
fn transposed(value: &Value) -> Value {
    fn moved<T: Clone>(tensor: &Tensor<T>) -> Arc<Tensor<T>> {
        let (rows, columns) = (tensor.shape()[0], tensor.shape()[1]);
        let entry = |at: usize| tensor.data()[at % rows * columns + at / rows].clone();
        Arc::new(Tensor::new(vec![columns, rows], (0..rows * columns).map(entry).collect()))
    }
    match value {
        Value::F32(tensor) => Value::F32(moved(tensor)),
        Value::F64(tensor) => Value::F64(moved(tensor)),
        Value::I64(tensor) => Value::I64(moved(tensor)),
        Value::Bool(tensor) => Value::Bool(moved(tensor)),
    }
}
