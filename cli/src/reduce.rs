//! `secateur reduce`: a smaller network that computes the same on a set of inputs.

use crate::certificate::Certificate;
use crate::equiv::Agreement;
use crate::error::CliError;
use crate::exit::Exit;
use crate::progress::Display;
use crate::verify::seconds;
use crate::{decimal, interrupt, output};
use clap::Args;
use secateur_check::Semantics;
use secateur_check::proof::format::Digests;
use secateur_nn::graph::Graph;
use secateur_nn::op::{Op, Value};
use secateur_nn::property::{Case, Property};
use secateur_nn::{onnx, vnnlib};
use secateur_prune::lossless::{Entries, merged, without_dead, without_idle};
use secateur_verify::stable::{Sign, claims, signs};
use secateur_verify::{Outcome, Settings, verify_traced};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Take from a network what does nothing on the box of a property, and prove that it does nothing there.
///
/// Neurons and channels that are 0 on the box go, neurons of one direction are merged, ReLUs whose input is nowhere negative are left
/// out; what is left is not changed. That each sign holds on the box is verified: the first line of standard output is `equivalent`,
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
    /// Write to a directory what was verified: dead.onnx and idle.onnx, whose outputs are the inputs of these ReLUs, with a
    /// property and a certificate each, for `secateur-check`.
    #[arg(long, value_name = "DIR")]
    proof: Option<PathBuf>,
    /// Limit of each of the two verifications in seconds.
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
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
    verdict: Agreement,
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
fn of_sign(found: &BTreeMap<String, Vec<Sign>>, wanted: Sign) -> Entries {
    let entries = |signs: &Vec<Sign>| (0..signs.len()).filter(|i| signs[*i] == wanted).collect();
    found.iter().map(|(name, signs)| (name.clone(), entries(signs))).collect()
}

impl Arguments {
    /// Verifies that ReLUs have these signs.
    fn verify(
        &self,
        what: &str,
        graph: &Graph,
        inputs: &Property,
        wanted: &BTreeMap<String, Vec<Sign>>,
        display: &Display,
    ) -> Result<Outcome, CliError> {
        let Some((claims, property)) = claims(graph, inputs, wanted)? else { return Ok(Outcome::Unsat) };
        let settings = Settings { timeout: self.timeout, ..Settings::default() };
        let model = self.model.clone();
        let fault = |source| CliError::Verify { model, source };
        let Some(directory) = &self.proof else {
            return Ok(verify_traced(&claims, &property, &settings, display, None).map_err(fault)?.outcome);
        };
        std::fs::create_dir_all(directory).map_err(|source| CliError::Write { path: directory.clone(), source })?;
        let [network, spec, proof] = ["onnx", "vnnlib", "cert"].map(|kind| directory.join(format!("{what}.{kind}")));
        onnx::write(&claims, &network)?;
        output::write(&spec, &vnnlib_text(&property))?;
        let mut certificate = Certificate::create(&proof, || Digests::of(&network, &spec))?;
        let report = verify_traced(&claims, &property, &settings, display, Some(&mut certificate)).map_err(fault)?;
        certificate.finish(&claims, &network, Semantics::Real, &report)?;
        Ok(report.outcome)
    }
}

/// A property whose cases have one unsafe set, as VNNLIB: the boxes, and constraints $y_i \ge 0$ of which one holds.
fn vnnlib_text(property: &Property) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    (0..property.inputs).for_each(|i| _ = writeln!(text, "(declare-const X_{i} Real)"));
    (0..property.outputs).for_each(|i| _ = writeln!(text, "(declare-const Y_{i} Real)"));
    let sides = |case: &Case| -> Vec<String> {
        let side =
            |(i, (l, u))| [format!("(>= X_{i} {})", decimal::print(l)), format!("(<= X_{i} {})", decimal::print(u))];
        case.lower.iter().zip(&case.upper).enumerate().flat_map(side).collect()
    };
    if let [case] = &property.cases[..] {
        sides(case).iter().for_each(|side| _ = writeln!(text, "(assert {side})"));
    } else {
        let boxes = property.cases.iter().map(|case| format!("(and {})", sides(case).join(" ")));
        let _ = writeln!(text, "(assert (or {}))", boxes.collect::<Vec<_>>().join("\n"));
    }
    let signs = (0..property.outputs).map(|i| format!("(and (>= Y_{i} 0))"));
    let _ = writeln!(text, "(assert (or {}))", signs.collect::<Vec<_>>().join("\n"));
    text
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let begin = Instant::now();
    let (inputs, json) = ([arguments.model.as_path(), &arguments.spec], arguments.json.as_ref());
    output::check(&inputs, &[Some(&arguments.output)], json)?;
    let graph = onnx::read(&arguments.model)?;
    let inputs = vnnlib::read(&arguments.spec)?;
    let display = Display::new(arguments.quiet, interrupt::listen()?);
    let only = |found: &BTreeMap<String, Vec<Sign>>, wanted: Sign| -> BTreeMap<String, Vec<Sign>> {
        let keep = |sign: &Sign| if *sign == wanted { wanted } else { Sign::Open };
        found.iter().map(|(name, signs)| (name.clone(), signs.iter().map(keep).collect())).collect()
    };
    // What is 0 goes; of what is left, ReLUs that do nothing.
    let dead = only(&signs(&graph, &inputs)?, Sign::Dead);
    let alive = without_dead(&graph, &of_sign(&dead, Sign::Dead))?;
    let distinct = merged(&alive.graph)?;
    let idle = only(&signs(&distinct.graph, &inputs)?, Sign::Active);
    let active = of_sign(&idle, Sign::Active);
    let reduced = without_idle(&distinct.graph, &active)?;
    onnx::write(&reduced, &arguments.output)?;
    let mut verdict = Agreement::Equivalent;
    for (what, graph, wanted) in [("dead", &graph, &dead), ("idle", &distinct.graph, &idle)] {
        if verdict == Agreement::Equivalent {
            verdict = match arguments.verify(what, graph, &inputs, wanted, &display)? {
                Outcome::Unsat => Agreement::Equivalent,
                Outcome::Timeout => Agreement::Timeout,
                // Bounds said otherwise: a counterexample would be a fault of theirs.
                Outcome::Sat(_) => unreachable!("a ReLU has another sign than its bounds"),
                Outcome::Unknown(_) | Outcome::Interrupted => Agreement::Unknown,
            };
        }
    }
    display.clear();
    let record = Record {
        model: arguments.model.display().to_string(),
        property: arguments.spec.display().to_string(),
        output: arguments.output.display().to_string(),
        verdict,
        before: Size::of(&graph),
        after: Size::of(&reduced),
        dead: alive.units,
        merged: distinct.units,
        idle: active.values().map(Vec::len).sum(),
        seconds: begin.elapsed().as_secs_f64(),
        version: env!("CARGO_PKG_VERSION"),
    };
    let (json, text) = (output::json(&record)?, record.text());
    output::print(if arguments.json.as_deref().is_some_and(output::is_dash) { &json } else { &text })?;
    if let Some(file) = arguments.json.as_deref().filter(|f| !output::is_dash(f)) {
        output::write(file, &json)?;
    }
    Ok(if verdict == Agreement::Equivalent { Exit::Done } else { Exit::Undecided })
}

impl Record {
    fn text(&self) -> String {
        let mut text = format!("{}\non the box of {}\n\n", self.verdict.word(), self.property);
        let rows = [
            ("parameters", self.before.parameters, self.after.parameters),
            ("entries of ReLUs", self.before.relus, self.after.relus),
        ];
        // Writing to a string does not fail.
        for (name, before, after) in rows {
            let _ = writeln!(text, "{name:18} {before:>9} -> {after:>9}");
        }
        let _ = writeln!(text, "{} neurons or channels 0, {} merged, {} ReLUs idle", self.dead, self.merged, self.idle);
        text
    }
}
