//! Small networks in every operator form, with what ONNX Runtime answers (`fixtures/*.py`).

use secateur_linalg::Tensor;
use secateur_nn::graph::Graph;
use secateur_nn::onnx;
use serde_json::Value as Json;

/// A network with a recorded input and output.
pub struct Case {
    pub name: String,
    pub graph: Graph,
    pub input: Tensor<f64>,
    pub output: Tensor<f64>,
}

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

/// All recorded networks.
pub fn cases() -> Vec<Case> {
    let files = [include_str!("../fixtures/onnx_operators.json"), include_str!("../fixtures/eval_operators.json")];
    let records = files.iter().flat_map(|text| serde_json::from_str::<Vec<Json>>(text).unwrap());
    let extents = |v: &Json| -> Vec<usize> { numbers(v).into_iter().map(|n| n as usize).collect() };
    let case = |c: Json| {
        let name = c["name"].as_str().unwrap().to_owned();
        Case {
            graph: graph(&c["model"], &name),
            input: Tensor::new(extents(&c["input_shape"]), numbers(&c["input"])),
            output: Tensor::new(extents(&c["output_shape"]), numbers(&c["output"])),
            name,
        }
    };
    records.map(case).collect()
}
