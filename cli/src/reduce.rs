//! `secateur reduce`: a smaller network that computes the same on a set of inputs.

use crate::equiv::{self, Agreement, Difference, Files, decide, tolerance};
use crate::error::CliError;
use crate::exit::Exit;
use crate::progress::Display;
use crate::verify::{is_dash, seconds};
use crate::{interrupt, output};
use clap::Args;
use dashu_ratio::RBig;
use secateur_check::Question;
use secateur_nn::graph::Graph;
use secateur_nn::op::{Op, Value};
use secateur_nn::{onnx, vnnlib};
use secateur_prune::lossless::{Entries, merged, without_dead, without_idle};
use secateur_verify::Settings;
use secateur_verify::stable::{Sign, signs};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Take from a network what does nothing on the box of a property, and prove that it computes the same there.
///
/// Neurons and channels that are 0 on the box go, neurons of one direction are merged, ReLUs whose input is nowhere negative are left
/// out. What was written is then verified against the original: the first line of standard output is `equivalent`, `different`,
/// `unknown` or `timeout`.
#[derive(Args)]
pub struct Arguments {
    /// The network (ONNX, may be gzipped).
    model: PathBuf,
    /// The property whose inputs count (VNNLIB, may be gzipped).
    spec: PathBuf,
    /// Where the reduced network is written.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// How far the outputs may be apart: what rounding in the verifier's own bounds explains.
    #[arg(long, value_name = "D", value_parser = tolerance, default_value = "1e-5")]
    delta: RBig,
    /// Limit of the verification in seconds.
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Write a proof of the verdict, for `secateur-check --delta D MODEL OUT SPEC FILE`.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Write a record of the run as JSON to a file, or with `-` to standard output instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

/// How large a network is.
#[derive(Serialize)]
struct Size {
    parameters: usize,
    /// Entries of ReLUs.
    relus: usize,
}

impl Size {
    fn of(graph: &Graph) -> Self {
        let entries = |wanted: fn(&Op) -> bool| {
            let nodes = graph.nodes().filter(|(_, node)| wanted(&node.op));
            nodes.map(|(_, node)| node.shape.iter().product::<usize>()).sum()
        };
        let float = |op: &Op| matches!(op, Op::Constant(Value::F32(_) | Value::F64(_)));
        Self { parameters: entries(float), relus: entries(|op| *op == Op::Relu) }
    }
}

#[derive(Serialize)]
struct Record {
    model: String,
    property: String,
    output: String,
    question: String,
    verdict: Agreement,
    difference: Option<Difference>,
    before: Size,
    after: Size,
    /// Neurons and channels that are 0 on the box.
    dead: usize,
    /// Neurons merged with another of their direction.
    merged: usize,
    /// Entries of ReLUs that are nowhere negative, of those that are left.
    idle: usize,
    seconds: f64,
    version: &'static str,
}

/// The entries of one sign.
fn of_sign(graph: &Graph, inputs: &secateur_nn::property::Property, wanted: Sign) -> Result<Entries, CliError> {
    let found = signs(graph, inputs)?;
    let entries = |signs: Vec<Sign>| (0..signs.len()).filter(|i| signs[*i] == wanted).collect();
    Ok(found.into_iter().map(|(name, signs)| (name, entries(signs))).collect())
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let begin = Instant::now();
    let files = [Some(&arguments.output), arguments.certificate.as_ref(), arguments.json.as_ref()];
    for file in files.into_iter().flatten().filter(|f| !is_dash(f)) {
        output::check_writable(file)?;
    }
    let graph = onnx::read(&arguments.model)?;
    let inputs = vnnlib::read(&arguments.spec)?;
    let display = Display::new(arguments.quiet, interrupt::listen()?);
    let alive = without_dead(&graph, &of_sign(&graph, &inputs, Sign::Dead)?)?;
    let distinct = merged(&alive.graph)?;
    let active = of_sign(&distinct.graph, &inputs, Sign::Active)?;
    let reduced = without_idle(&distinct.graph, &active)?;
    onnx::write(&reduced, &arguments.output)?;
    let question = Question::Within(arguments.delta.clone());
    let networks = [graph, onnx::read(&arguments.output)?];
    let settings = Settings { timeout: arguments.timeout, ..Settings::default() };
    let files = Files { first: &arguments.model, second: &arguments.output, spec: &arguments.spec };
    let certificate = arguments.certificate.as_deref();
    let answer = decide(files, &networks, &inputs, &question, &settings, certificate, &display)?;
    display.clear();
    let record = Record {
        model: arguments.model.display().to_string(),
        property: arguments.spec.display().to_string(),
        output: arguments.output.display().to_string(),
        question: equiv::describe(&question),
        verdict: answer.agreement,
        difference: answer.difference,
        before: Size::of(&networks[0]),
        after: Size::of(&networks[1]),
        dead: alive.units,
        merged: distinct.units,
        idle: active.values().map(Vec::len).sum(),
        seconds: begin.elapsed().as_secs_f64(),
        version: env!("CARGO_PKG_VERSION"),
    };
    let (json, text) = (output::json(&record)?, record.text());
    output::print(if arguments.json.as_deref().is_some_and(is_dash) { &json } else { &text })?;
    if let Some(file) = arguments.json.as_deref().filter(|f| !is_dash(f)) {
        output::write(file, &json)?;
    }
    Ok(match record.verdict {
        Agreement::Equivalent | Agreement::Different => Exit::Done,
        Agreement::Unknown | Agreement::Timeout => Exit::Undecided,
    })
}

impl Record {
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.verdict.word());
        // Writing to a string does not fail.
        if let Some(difference) = &self.difference {
            let _ = write!(text, "{}", difference.print());
        }
        let _ = writeln!(text, "{} on the box of {}\n", self.question, self.property);
        let rows = [
            ("parameters", self.before.parameters, self.after.parameters),
            ("entries of ReLUs", self.before.relus, self.after.relus),
        ];
        for (name, before, after) in rows {
            let _ = writeln!(text, "{name:18} {before:>9} -> {after:>9}");
        }
        let _ = writeln!(text, "{} neurons or channels 0, {} merged, {} ReLUs idle", self.dead, self.merged, self.idle);
        text
    }
}
