//! SynFlow: synaptic flow, without data.

use super::{Criterion, Needs, Saliency, names};
use crate::calibration::Calibration;
use crate::error::PruneError;
use secateur_linalg::Tensor;
use secateur_nn::autodiff::{Weighted, gradient};
use secateur_nn::eval::Evaluator;
use secateur_nn::graph::{Graph, NodeId};
use secateur_nn::op::{Op, Value};
use std::collections::{BTreeMap, BTreeSet};

/// $S = |\theta| \odot \nabla_{|\theta|} \mathcal R$ with $\mathcal R = \mathbf 1^\top f_{|\theta|}(\mathbf 1)$, in `f64`.
///
/// One evaluation of the network with the absolute values of its constants on an input of ones. What is added to
/// values (biases, shifts and means of normalisations) is taken as 0, so that the scores that enter a neuron and those
/// that leave it have the same sum. That is so for piecewise linear activations without an offset; a saturating one makes the
/// gradient small behind it. [`crate::strategy::prune`] repeats it over rounds with density $\rho^{r/n}$ after round
/// $r$; 100 rounds keep every layer alive until nothing else is left to take.
///
/// # Source
/// Tanaka, Kunin, Yamins, Ganguli 2020, "Pruning neural networks without any data by iteratively conserving synaptic
/// flow", algorithm 1. Their code keeps the absolute values of biases; leaving them out is ours, for the
/// conservation that their theorem 1 needs.
#[derive(Clone, Copy, Debug)]
pub struct Synflow;

impl Criterion for Synflow {
    fn name(&self) -> &'static str {
        "synflow"
    }

    fn needs(&self) -> Needs {
        Needs::Nothing
    }

    fn score(&self, graph: &Graph, _: Option<&Calibration>) -> Result<Saliency, PruneError> {
        let names = names(graph)?;
        let graph = absolute(graph)?;
        let ids: BTreeMap<&str, NodeId> = graph.nodes().map(|(id, node)| (node.name.as_str(), id)).collect();
        let wrt: Vec<NodeId> = names.iter().map(|name| ids[name.as_str()]).collect();
        let evaluator = Evaluator::<f64>::new(&graph)?;
        let input = Tensor::full(graph.node(graph.input()).shape.clone(), 1.0);
        let outputs = graph.node(graph.output()).shape.iter().product();
        let (_, parts) = gradient(&evaluator, &input, &Weighted { weights: vec![1.0; outputs] }, &wrt)?;
        Saliency::by_pair(&graph, &names.into_iter().zip(parts).collect(), |w, g| w * g)
    }
}

/// The network with the absolute values of its factors and without its summands.
fn absolute(graph: &Graph) -> Result<Graph, PruneError> {
    let mut summands = BTreeSet::new();
    let mut factors = BTreeSet::new();
    for (id, node) in graph.nodes() {
        for (position, argument) in graph.arguments(id).into_iter().enumerate() {
            let added = match &node.op {
                Op::Add | Op::Sub => true,
                Op::Gemm { .. } | Op::Conv { .. } | Op::ConvTranspose { .. } => position == 2,
                Op::BatchNormalization { .. } => matches!(position, 2 | 3),
                _ => false,
            };
            if added {
                summands.insert(argument)
            } else {
                factors.insert(argument)
            };
        }
    }
    let mut values = BTreeMap::new();
    for (id, node) in graph.nodes() {
        if let Op::Constant(Value::F32(value)) = &node.op {
            let zero = summands.contains(&id) && !factors.contains(&id);
            values.insert(node.name.clone(), value.map(|v| if zero { 0.0 } else { v.abs() }));
        }
    }
    Ok(graph.with_constants(&values)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::mlp;

    #[test]
    fn flow_into_a_neuron_is_the_flow_out_of_it() {
        let scores = Synflow.score(&mlp(&[4, 5, 6, 2], 3), None).unwrap();
        for (entering, leaving, width) in [("w0", "w1", 5), ("w1", "w2", 6)] {
            let (a, b) = (&scores.scores[entering], &scores.scores[leaving]);
            for j in 0..width {
                let into: f64 = (0..a.shape()[0]).map(|i| a.data()[i * width + j]).sum();
                let out: f64 = b.data()[j * b.shape()[1]..(j + 1) * b.shape()[1]].iter().sum();
                // Sums of a few positive terms in f64.
                assert!((into - out).abs() < 1e-12 * into, "{into} {out}");
            }
        }
    }

    #[test]
    fn deep_networks_do_not_overflow() {
        let scores = Synflow.score(&mlp(&[16; 60], 3), None).unwrap();
        assert!(scores.scores.values().flat_map(|s| s.data()).all(|s| *s > 0.0));
    }
}
