//! `secateur inspect`: shows a network.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use clap::Args;
use secateur_nn::graph::{Graph, NodeId};
use secateur_nn::onnx;
use secateur_nn::op::{ElementType, Op};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// Show a network's layers, shapes, parameters and nonlinearities.
#[derive(Args)]
pub struct Arguments {
    /// The network (ONNX, may be gzipped).
    model: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A network, described.
#[derive(Serialize)]
struct Description {
    model: String,
    input: Endpoint,
    output: Endpoint,
    layers: Vec<Layer>,
    parameters: usize,
    relus: usize,
    /// Scalar nonlinear units per operator, ReLUs included.
    nonlinear: BTreeMap<&'static str, usize>,
}

#[derive(Serialize)]
struct Endpoint {
    name: String,
    shape: Vec<usize>,
    element: &'static str,
}

#[derive(Serialize)]
struct Layer {
    name: String,
    op: &'static str,
    shape: Vec<usize>,
    /// Stored numbers that enter here first.
    parameters: usize,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let graph = onnx::read(&arguments.model)?;
    let description = describe(&arguments.model.display().to_string(), &graph);
    output::print(&if arguments.json { output::json(&description)? } else { table(&description) })?;
    Ok(Exit::Done)
}

fn describe(model: &str, graph: &Graph) -> Description {
    let mut layers = Vec::new();
    let mut nonlinear = BTreeMap::new();
    for (id, node) in graph.nodes() {
        let size: usize = node.shape.iter().product();
        if matches!(node.op, Op::Constant(_)) {
            continue;
        }
        if is_nonlinear(&node.op) {
            *nonlinear.entry(node.op.name()).or_insert(0) += size;
        }
        let constants = graph.arguments(id).into_iter().filter(|argument| graph.users(*argument).first() == Some(&id));
        layers.push(Layer {
            name: node.name.clone(),
            op: node.op.name(),
            shape: node.shape.clone(),
            parameters: constants.collect::<std::collections::BTreeSet<_>>().iter().map(|c| stored(graph, *c)).sum(),
        });
    }
    Description {
        model: model.to_owned(),
        input: endpoint(graph, graph.input()),
        output: endpoint(graph, graph.output()),
        parameters: layers.iter().map(|layer| layer.parameters).sum(),
        relus: nonlinear.get("Relu").copied().unwrap_or(0),
        layers,
        nonlinear,
    }
}

/// Floats stored in a constant node; none in any other.
fn stored(graph: &Graph, id: NodeId) -> usize {
    match &graph.node(id).op {
        Op::Constant(value) if matches!(value.element_type(), ElementType::F32 | ElementType::F64) => {
            value.shape().iter().product()
        }
        _ => 0,
    }
}

fn is_nonlinear(op: &Op) -> bool {
    matches!(
        op,
        Op::Min
            | Op::Max
            | Op::Pow
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
            | Op::MaxPool { .. }
            | Op::Softmax { .. }
    )
}

fn endpoint(graph: &Graph, id: NodeId) -> Endpoint {
    let node = graph.node(id);
    let element = match node.element {
        ElementType::F32 => "f32",
        ElementType::F64 => "f64",
        ElementType::I64 => "i64",
        ElementType::Bool => "bool",
    };
    Endpoint { name: node.name.clone(), shape: node.shape.clone(), element }
}

fn table(description: &Description) -> String {
    let width = description.layers.iter().map(|layer| layer.name.chars().count()).max().unwrap_or(0).max(5);
    let shapes: Vec<String> = description.layers.iter().map(|layer| shape(&layer.shape)).collect();
    let shape_width = shapes.iter().map(|s| s.chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!("{:width$}  {:18}  {:shape_width$}  {:>10}\n", "layer", "operator", "shape", "parameters");
    // Writing to a string does not fail.
    for (layer, shape) in description.layers.iter().zip(&shapes) {
        let _ =
            writeln!(text, "{:width$}  {:18}  {shape:shape_width$}  {:>10}", layer.name, layer.op, layer.parameters);
    }
    let Description { input, output, parameters, relus, nonlinear, .. } = description;
    let _ = writeln!(text, "\ninput       {} {} {}", input.name, input.element, shape(&input.shape));
    let _ = writeln!(text, "output      {} {} {}", output.name, output.element, shape(&output.shape));
    let _ = writeln!(text, "parameters  {parameters}\nrelus       {relus}");
    for (op, units) in nonlinear.iter().filter(|(op, _)| **op != "Relu") {
        let _ = writeln!(text, "{:10}  {units}", op.to_lowercase());
    }
    text
}

fn shape(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "scalar".to_owned();
    }
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}
