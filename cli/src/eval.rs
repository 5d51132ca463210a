//! `secateur eval`: evaluates a network.

use crate::error::CliError;
use crate::exit::Exit;
use crate::{decimal, output, witness};
use clap::{Args, ValueEnum};
use dashu_ratio::RBig;
use secateur_check::Enclosure;
use secateur_linalg::Tensor;
use secateur_nn::eval::{Number, forward};
use secateur_nn::graph::Graph;
use secateur_nn::{onnx, vnnlib};
use serde::Serialize;
use std::fmt::Debug;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Evaluate a network on one input.
///
/// Outputs are printed one a line, with the digits that identify them.
#[derive(Args)]
pub struct Arguments {
    /// The network (ONNX, may be gzipped).
    model: PathBuf,
    /// A file, `-` for standard input, or the numbers themselves with commas between them; a witness also serves.
    #[arg(long, value_name = "FILE|NUMBERS|-", allow_hyphen_values = true)]
    input: String,
    /// The arithmetic.
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    precision: Precision,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The arithmetic of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Precision {
    /// Single precision; inputs are rounded to it.
    F32,
    /// Double precision.
    F64,
    /// Real arithmetic of the stored weights: exact decimals, or enclosing intervals where no decimal is exact.
    Exact,
}

/// An evaluation, described.
#[derive(Serialize)]
struct Evaluation {
    model: String,
    precision: Precision,
    shape: Vec<usize>,
    outputs: Vec<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let graph = onnx::read(&arguments.model)?;
    let (text, origin) = read(&arguments.input)?;
    let input = witness::parse(&text, &origin)?;
    let shape = &graph.node(graph.input()).shape;
    let expected = shape.iter().product();
    if input.len() != expected {
        return Err(CliError::InputLength { origin, expected, shape: shape.clone(), found: input.len() });
    }
    let (shape, outputs) = match arguments.precision {
        Precision::F32 => evaluate(&graph, input.iter().map(|v| v.to_f32().value()).collect::<Vec<f32>>())?,
        Precision::F64 => evaluate(&graph, input.iter().map(|v| v.to_f64().value()).collect::<Vec<f64>>())?,
        Precision::Exact => evaluate_exactly(&arguments.model, &graph, &input)?,
    };
    let text = if arguments.json {
        let model = arguments.model.display().to_string();
        output::json(&Evaluation { model, precision: arguments.precision, shape, outputs })?
    } else {
        outputs.iter().map(|v| format!("{v}\n")).collect()
    };
    output::print(&text)?;
    Ok(Exit::Done)
}

/// Output shape and the digits of every output.
fn evaluate<N: Number + Debug>(graph: &Graph, input: Vec<N>) -> Result<(Vec<usize>, Vec<String>), CliError> {
    let shape = graph.node(graph.input()).shape.clone();
    let output = forward(graph, &Tensor::new(shape, input))?;
    Ok((output.shape().to_vec(), output.data().iter().map(|v| format!("{v:?}")).collect()))
}

/// Output shape and every output as an exact decimal, or as `[lower, upper]`.
fn evaluate_exactly(model: &Path, graph: &Graph, input: &[RBig]) -> Result<(Vec<usize>, Vec<String>), CliError> {
    let enclosures = secateur_check::evaluate(graph, input, secateur_check::Precision::EXACT)
        .map_err(|source| CliError::Check { model: model.to_owned(), source })?;
    let text = |enclosure: &Enclosure| {
        if enclosure.is_exact() {
            return decimal::print(&enclosure.lower);
        }
        format!("[{}, {}]", decimal::print_below(&enclosure.lower), decimal::print_above(&enclosure.upper))
    };
    Ok((graph.node(graph.output()).shape.clone(), enclosures.iter().map(text).collect()))
}

/// The text of an input and what to call it in a message.
fn read(input: &str) -> Result<(String, String), CliError> {
    if input == "-" {
        let mut text = String::new();
        let path = PathBuf::from("standard input");
        std::io::stdin().read_to_string(&mut text).map_err(|source| CliError::Read { path, source })?;
        return Ok((text, "standard input".to_owned()));
    }
    let path = Path::new(input);
    let is_list = input.contains(',') || witness_or_number(input);
    if is_list && !path.exists() {
        return Ok((input.to_owned(), "--input".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|source| CliError::Read { path: path.to_owned(), source })?;
    Ok((text, input.to_owned()))
}

fn witness_or_number(text: &str) -> bool {
    text.trim_start().starts_with('(') || vnnlib::decimal(text.trim()).is_some()
}
