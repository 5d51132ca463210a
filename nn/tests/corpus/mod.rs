//! Small networks in every operator form, with what ONNX Runtime answers (`fixtures/*.py`).

mod record;

use record::{graph, numbers};
use secateur_linalg::Tensor;
use secateur_nn::graph::Graph;
use serde_json::Value as Json;

/// A network with a recorded input and output.
pub struct Case {
    pub name: String,
    pub graph: Graph,
    pub input: Tensor<f64>,
    pub output: Tensor<f64>,
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
