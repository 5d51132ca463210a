//! What a network costs: parameters, bytes, multiply-adds, seconds.

use crate::error::PruneError;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::eval::Evaluator;
use secateur_nn::graph::{Graph, NodeId};
use secateur_nn::onnx;
use secateur_nn::op::{Op, Value};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What a network costs, without running it.
///
/// # Units
/// Bytes of its ONNX file, not compressed. Multiply-adds for one input: those of products, convolutions and batch
/// normalisations; sums, activations and pools are not counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Stored floats.
    pub parameters: usize,
    /// Stored floats that are not 0.
    pub nonzero: usize,
    /// Size of the file.
    pub bytes: usize,
    /// Multiply-adds by operator.
    pub operations: BTreeMap<&'static str, Operations>,
}

/// Multiply-adds for one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Operations {
    /// As dense products do them.
    pub dense: u64,
    /// Those with a weight that is not 0.
    pub sparse: u64,
}

impl Cost {
    /// All multiply-adds.
    pub fn total(&self) -> Operations {
        let add = |a: Operations, b: &Operations| Operations { dense: a.dense + b.dense, sparse: a.sparse + b.sparse };
        self.operations.values().fold(Operations::default(), add)
    }
}

/// The cost of a network.
///
/// # Errors
/// The network cannot be written as ONNX.
pub fn cost(graph: &Graph) -> Result<Cost, PruneError> {
    let (mut parameters, mut nonzero) = (0, 0);
    let mut operations: BTreeMap<&'static str, Operations> = BTreeMap::new();
    for (id, node) in graph.nodes() {
        match &node.op {
            Op::Constant(value) => {
                let (all, kept) = stored(value);
                parameters += all;
                nonzero += kept;
            }
            Op::MatMul
            | Op::Gemm { .. }
            | Op::Conv { .. }
            | Op::ConvTranspose { .. }
            | Op::BatchNormalization { .. } => {
                let found = multiply_adds(graph, id);
                let sum = operations.entry(node.op.name()).or_default();
                sum.dense += found.dense;
                sum.sparse += found.sparse;
            }
            _ => {}
        }
    }
    Ok(Cost { parameters, nonzero, bytes: onnx::to_bytes(graph)?.len(), operations })
}

/// Floats, and those that are not 0; integers and truth values are no parameters.
fn stored(value: &Value) -> (usize, usize) {
    match value {
        Value::F32(t) => (t.len(), t.data().iter().filter(|v| **v != 0.0).count()),
        Value::F64(t) => (t.len(), t.data().iter().filter(|v| **v != 0.0).count()),
        Value::I64(_) | Value::Bool(_) => (0, 0),
    }
}

fn multiply_adds(graph: &Graph, id: NodeId) -> Operations {
    let node = graph.node(id);
    let arguments = graph.arguments(id);
    let size = |shape: &[usize]| shape.iter().map(|d| *d as u64).product::<u64>();
    let output = size(&node.shape);
    let shape = |position: usize| graph.node(arguments[position]).shape.as_slice();
    // How often each entry of the weight is multiplied, and how many there are.
    let weighted = |position: usize, times: u64| {
        let (all, kept) = match &graph.node(arguments[position]).op {
            Op::Constant(value) => stored(value),
            _ => (shape(position).iter().product(), shape(position).iter().product()),
        };
        Operations { dense: all as u64 * times, sparse: kept as u64 * times }
    };
    match &node.op {
        Op::BatchNormalization { .. } => Operations { dense: output, sparse: output },
        Op::Conv { .. } => weighted(1, size(&node.shape[..1]) * size(&node.shape[2..])),
        Op::ConvTranspose { .. } => weighted(1, size(&shape(0)[..1]) * size(&shape(0)[2..])),
        op => {
            let inner = match op {
                Op::Gemm { trans_a: true, .. } => shape(0)[0],
                _ => shape(0).last().copied().unwrap_or(1),
            } as u64;
            let constant = |p: &usize| matches!(graph.node(arguments[*p]).op, Op::Constant(_));
            match [1, 0].into_iter().find(constant) {
                Some(weight) => weighted(weight, output * inner / size(shape(weight)).max(1)),
                None => Operations { dense: output * inner, sparse: output * inner },
            }
        }
    }
}

/// Stored and kept entries of one prunable tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerDensity {
    /// The weight.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its entries that are not 0.
    pub nonzero: usize,
    /// Its entries.
    pub entries: usize,
}

/// The densities of the prunable tensors, in the order of the network.
///
/// # Errors
/// There are none.
pub fn densities(graph: &Graph) -> Result<Vec<LayerDensity>, PruneError> {
    let one = |w: crate::weights::Weight| LayerDensity {
        nonzero: w.value.data().iter().filter(|v| **v != 0.0).count(),
        entries: w.len(),
        shape: w.value.shape().to_vec(),
        name: w.name,
    };
    Ok(crate::weights::weights(graph)?.into_iter().map(one).collect())
}

/// A measured time.
///
/// # Units
/// Seconds for one evaluation of the batch, on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// The median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// Evaluations that were timed.
    pub repetitions: usize,
    /// Inputs in the batch.
    pub batch: usize,
}

/// Measures a network in `f32` on normal inputs, by this crate's own evaluation (dense, zeros included).
///
/// Evaluations are repeated `repetitions` times, and as often again as fit into a tenth of a second.
///
/// # Errors
/// The network takes no batch of that size, or a value is not finite.
pub fn latency(graph: &Graph, batch: usize, repetitions: usize) -> Result<Latency, PruneError> {
    let batched = if batch == 1 { graph.clone() } else { graph.with_batch(batch)? };
    let evaluator = Evaluator::<f32>::new(&batched)?;
    let shape = batched.node(batched.input()).shape.clone();
    let mut data = vec![0.0f32; shape.iter().product()];
    Random::new(0).fill_normal(&mut data, 1.0);
    let input = Tensor::new(shape, data);
    evaluator.forward(&input)?;
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < repetitions.max(1) || begin.elapsed() < Duration::from_millis(100) {
        let start = Instant::now();
        std::hint::black_box(evaluator.forward(&input)?);
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(Latency { median: times[times.len() / 2], least: times[0], repetitions: times.len(), batch })
}

/// Names of operators that the counts of multiply-adds leave out, for a report that says so.
pub fn uncounted(graph: &Graph) -> BTreeSet<&'static str> {
    let counted = |op: &Op| {
        matches!(
            op,
            Op::Input
                | Op::Constant(_)
                | Op::MatMul
                | Op::Gemm { .. }
                | Op::Conv { .. }
                | Op::ConvTranspose { .. }
                | Op::BatchNormalization { .. }
                | Op::Reshape { .. }
                | Op::Transpose { .. }
        )
    };
    graph.nodes().filter(|(_, node)| !counted(&node.op)).map(|(_, node)| node.op.name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{constant, mlp, window};
    use secateur_nn::graph::GraphBuilder;
    use secateur_nn::op::ElementType;

    #[test]
    fn a_dense_network_is_counted_by_hand() {
        let graph = mlp(&[3, 5, 2], 1);
        let cost = cost(&graph).unwrap();
        assert_eq!((cost.parameters, cost.nonzero), (3 * 5 + 5 + 5 * 2 + 2, 32));
        assert_eq!(cost.total(), Operations { dense: 25, sparse: 25 });
        assert_eq!(cost.bytes, onnx::to_bytes(&graph).unwrap().len());
    }

    #[test]
    fn a_convolution_multiplies_every_weight_at_every_position() {
        let mut b = GraphBuilder::new("x", vec![1, 2, 5, 4], ElementType::F32);
        let w = constant(&mut b, "w", &[3, 2, 3, 3], 1);
        let y = b.add("y", Op::Conv { window: window(3, 1, 1), groups: 1 }, &[b.input(), w]).unwrap();
        let found = cost(&b.finish(y).unwrap()).unwrap().operations["Conv"];
        assert_eq!(found.dense, 3 * 2 * 9 * 20);
    }

    #[test]
    fn a_time_is_measured() {
        let found = latency(&mlp(&[3, 5, 2], 1), 4, 3).unwrap();
        assert!(found.median >= found.least && found.least > 0.0 && found.repetitions >= 3 && found.batch == 4);
    }
}
