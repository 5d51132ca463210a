//! The ONNX reader and writer: what they read, what they refuse, and that neither loses anything.

use secateur_linalg::Tensor;
use secateur_nn::graph::{Graph, Node};
use secateur_nn::{eval, onnx};
use serde_json::Value as Json;
use std::collections::BTreeMap;

struct Recorded {
    name: String,
    model: Vec<u8>,
    input: Tensor<f64>,
    output: Tensor<f64>,
}

/// The networks of `onnx_operators.py`, with outputs of ONNX Runtime.
fn recorded() -> Vec<Recorded> {
    let text = include_str!("fixtures/onnx_operators.json");
    let cases: Vec<Json> = serde_json::from_str(text).unwrap();
    let numbers = |v: &Json| -> Vec<f64> { v.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect() };
    let extents = |v: &Json| -> Vec<usize> { numbers(v).into_iter().map(|n| n as usize).collect() };
    let case = |c: &Json| {
        let hex = c["model"].as_str().unwrap();
        Recorded {
            name: c["name"].as_str().unwrap().to_owned(),
            model: (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect(),
            input: Tensor::new(extents(&c["input_shape"]), numbers(&c["input"])),
            output: Tensor::new(extents(&c["output_shape"]), numbers(&c["output"])),
        }
    };
    cases.iter().map(case).collect()
}

/// Nodes by name, with their arguments' names.
fn described(graph: &Graph) -> BTreeMap<&str, (&Node, Vec<&str>)> {
    let arguments = |id| graph.arguments(id).into_iter().map(|a| graph.node(a).name.as_str()).collect();
    graph.nodes().map(|(id, node)| (node.name.as_str(), (node, arguments(id)))).collect()
}

#[test]
fn networks_compute_what_onnx_runtime_computes() {
    let cases = recorded();
    assert!(cases.len() > 140);
    for Recorded { name, model, input, output } in cases {
        let graph = onnx::parse(&model, &name).unwrap_or_else(|e| panic!("{e}"));
        let found = eval::forward(&graph, &input).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(found.shape(), output.shape(), "{name}");
        for (found, expected) in found.data().iter().zip(output.data()) {
            // ONNX Runtime works in single precision: a few roundings of sums of up to 24 terms of size 4.
            assert!((found - expected).abs() <= 4e-6 * expected.abs().max(1.0), "{name}: {found} {expected}");
        }
    }
}

#[test]
fn writing_and_reading_gives_the_same_network() {
    for Recorded { name, model, .. } in recorded() {
        let graph = onnx::parse(&model, &name).unwrap();
        let bytes = match onnx::to_bytes(&graph) {
            Ok(bytes) => bytes,
            Err(e) => panic!("{name}: {e}"),
        };
        let again = onnx::parse(&bytes, &name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (before, after) = (described(&graph), described(&again));
        assert_eq!(graph.len(), again.len(), "{name}");
        for (node_name, (node, arguments)) in before {
            let (other, other_arguments) = &after[node_name];
            assert_eq!((&node.op, &node.shape, node.element), (&other.op, &other.shape, other.element), "{name}");
            assert_eq!(&arguments, other_arguments, "{name}");
        }
        assert_eq!(graph.node(graph.output()).name, again.node(again.output()).name, "{name}");
    }
}
