//! Networks and numbers as the fixtures' JSON writes them.

use secateur_nn::graph::Graph;
use secateur_nn::onnx;
use serde_json::Value as Json;

/// An array of numbers.
pub fn numbers(value: &Json) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
}

/// A network written as hexadecimal bytes of ONNX.
pub fn graph(value: &Json, name: &str) -> Graph {
    let hex = value.as_str().unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    onnx::parse(&bytes, name).unwrap_or_else(|e| panic!("{e}"))
}
