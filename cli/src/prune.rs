//! `secateur prune`: a smaller or sparser network, and what it gains.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::samples::{self, Samples};
use crate::verify::is_dash;
use clap::Args;
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_nn::onnx;
use secateur_nn::safetensors::{self, Safetensors, Stored};
use secateur_prune::cost::{Cost, Latency, LayerDensity, cost, densities, latency, uncounted};
use secateur_prune::crossover::{Speed, speeds};
use secateur_prune::pipeline::{self, Recovery, Schedule};
use secateur_prune::structured::disagreement;
use secateur_prune::{
    Allocation, Budget, Calibration, Method, Needs, PruneError, Scope, Settings, Targets, compact, stored,
};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Prune a network, and measure what that gains.
///
/// Prints parameters, bytes, multiply-adds, measured latency and the density of every layer, before and after; with labelled
/// data also accuracy. MODEL is an ONNX network, or a safetensors file for the methods that look at weights alone.
#[derive(Args)]
pub struct Arguments {
    /// The network (ONNX, may be gzipped) or its tensors (`.safetensors`).
    model: PathBuf,
    /// random, magnitude, l1, l2, taylor, taylor2, snip, grasp, grasp-abs, synflow, wanda, sparsegpt or nystrom.
    #[arg(long, value_name = "M", value_parser = parsed::<Method>)]
    method: Method,
    /// The share to remove, from 0 up to but without 1; an N:M scope has its own.
    #[arg(long, value_name = "S", required_unless_present = "scope")]
    sparsity: Option<f64>,
    /// What is removed as a whole: weight, N:M (such as 2:4), neuron, channel, head or block.
    #[arg(long, value_name = "SCOPE", default_value = "weight", value_parser = parsed::<Scope>)]
    scope: Scope,
    /// How layers share: global, uniform, row or erk; the method's own if not given.
    #[arg(long, value_name = "B", value_parser = parsed::<Allocation>)]
    budget: Option<Allocation>,
    /// Calibration data with labels: mnist, cifar, or a CSV file of label and pixels 0–255.
    #[arg(long, value_name = "SET")]
    data: Option<String>,
    /// The directory of data sets, for mnist and cifar.
    #[arg(long, value_name = "DIR", env = "SECATEUR_DATA")]
    data_dir: Option<PathBuf>,
    /// Samples to calibrate on; accuracy is measured on others.
    #[arg(long, value_name = "N", default_value_t = 128)]
    samples: usize,
    /// Rounds: of scoring with oneshot (100 for synflow, else 1, if not given), steps of the other schedules (10).
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How the sparsity grows: oneshot, iterative (by the same factor each step) or cubic.
    #[arg(long, value_name = "SCHEDULE", default_value = "oneshot", value_parser = parsed::<Schedule>)]
    schedule: Schedule,
    /// Seed of random scores.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Refuse to remove whole layers, or keep the best unit of each, instead of reporting it.
    #[arg(long)]
    keep_layers: bool,
    /// Remove neurons, channels, heads and layers that nothing is left of, so that tensors get smaller.
    #[arg(long)]
    compact: bool,
    /// Inputs per evaluation where latency is measured.
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// Where the pruned network is written.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Write the masks as truth values.
    #[arg(long, value_name = "FILE.safetensors")]
    mask: Option<PathBuf>,
    /// Write a record of the run as JSON to a file, or with `-` to standard output instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn parsed<T: std::str::FromStr<Err = PruneError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: PruneError| error.to_string())
}

/// A network, measured.
#[derive(Serialize)]
struct Measured {
    file: String,
    file_bytes: u64,
    cost: Cost,
    latency: Latency,
    accuracy: Option<f64>,
    layers: Vec<LayerDensity>,
}

/// A run, described.
#[derive(Serialize)]
struct Record {
    method: &'static str,
    scope: String,
    budget: String,
    sparsity: f64,
    schedule: String,
    rounds: usize,
    seed: u64,
    calibration_samples: usize,
    accuracy_samples: usize,
    /// Whether accuracy was measured on samples that calibration did not see.
    samples_apart: bool,
    before: Measured,
    after: Measured,
    /// Kept entries of the masked tensors, and all of them, after each step.
    steps: Vec<(usize, usize)>,
    collapsed: Vec<String>,
    compaction: Option<CompactionRecord>,
    /// Dense and sparse products of the pruned network's layers.
    speeds: Vec<Speed>,
    /// Operators whose arithmetic is not among the multiply-adds.
    uncounted: BTreeSet<&'static str>,
    version: &'static str,
}

#[derive(Serialize)]
struct CompactionRecord {
    removed_units: usize,
    folded_into_biases: usize,
    constant_units_kept: usize,
    axes_kept_from_emptying: usize,
    constant_operators: Vec<String>,
    /// Largest difference to the masked network on random inputs, relative to the largest output.
    disagreement: f64,
}

/// The largest relative difference between the masked and the compacted network that is taken for rounding to `f32`.
const ROUNDING: f64 = 1e-5;

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let files = [Some(&arguments.output), arguments.mask.as_ref(), arguments.json.as_ref().filter(|f| !is_dash(f))];
    for file in files.into_iter().flatten() {
        output::check_writable(file)?;
    }
    let settings = settings(arguments)?;
    if arguments.model.extension().is_some_and(|e| e == "safetensors") {
        return run_stored(arguments, &settings);
    }
    let graph = onnx::read(&arguments.model)?;
    let data = load(arguments, &graph)?;
    let calibration = (settings.method.needs() > Needs::Nothing).then_some(data.calibration.as_ref()).flatten();
    let schedule = scheduled(arguments);
    // Training enters here: a recovery and a trainer in place of none.
    let mut untrained = |graph: Graph, _: &Masks, _: pipeline::Call| Ok(graph);
    let outcome = pipeline::run(&graph, calibration, &settings, schedule, &Recovery::None, &mut untrained)?;
    let masked = outcome.pruned.graph;
    let (pruned, compaction) = if arguments.compact { compacted(&masked)? } else { (masked, None) };
    write_network(&pruned, &arguments.output)?;
    if let Some(path) = &arguments.mask {
        write_masks(&outcome.pruned.masks, path)?;
    }
    let record = Record {
        method: settings.method.name(),
        scope: settings.budget.scope.to_string(),
        budget: settings.budget.allocation.to_string(),
        sparsity: 1.0 - settings.budget.density(),
        schedule: schedule.to_string(),
        rounds: settings.rounds,
        seed: settings.seed,
        calibration_samples: calibration.map_or(0, Calibration::len),
        accuracy_samples: data.evaluation.as_ref().map_or(0, Calibration::len),
        samples_apart: data.apart || calibration.is_none(),
        before: measured(&graph, &arguments.model, arguments.batch, data.evaluation.as_ref())?,
        after: measured(&pruned, &arguments.output, arguments.batch, data.evaluation.as_ref())?,
        steps: outcome.steps.iter().map(|step| step.kept).collect(),
        collapsed: outcome.pruned.collapsed,
        compaction,
        speeds: match speeds(&pruned, arguments.batch) {
            // Everything was folded away.
            Err(PruneError::NothingToPrune) => Vec::new(),
            other => other?,
        },
        uncounted: uncounted(&graph),
        version: env!("CARGO_PKG_VERSION"),
    };
    answer(arguments, &record, &table(&record))
}

/// What the options say.
fn settings(arguments: &Arguments) -> Result<Settings, CliError> {
    let (method, scope) = (arguments.method, arguments.scope);
    let sparsity = match (arguments.sparsity, scope) {
        (Some(sparsity), _) => sparsity,
        (None, Scope::Pattern { n, m }) => 1.0 - n as f64 / m as f64,
        (None, _) => return Err(CliError::NoSparsity),
    };
    if let (Some(_), Scope::Pattern { n, m }) = (arguments.sparsity, scope) {
        let own = 1.0 - n as f64 / m as f64;
        if (sparsity - own).abs() > 1e-9 {
            return Err(CliError::PatternSparsity { sparsity, scope: scope.to_string(), own });
        }
    }
    let allocation = arguments.budget.unwrap_or_else(|| method.allocation(scope));
    let rounds = match arguments.schedule {
        Schedule::OneShot => arguments.rounds.unwrap_or_else(|| method.rounds()),
        _ => 1,
    };
    let budget = Budget { scope, allocation, sparsity, keep_layers: arguments.keep_layers };
    budget.check()?;
    Ok(Settings { method, budget, rounds, seed: arguments.seed })
}

fn scheduled(arguments: &Arguments) -> Schedule {
    match (arguments.schedule, arguments.rounds) {
        (Schedule::Iterative { .. }, Some(steps)) => Schedule::Iterative { steps },
        (Schedule::Cubic { .. }, Some(steps)) => Schedule::Cubic { steps },
        (schedule, _) => schedule,
    }
}

struct Data {
    calibration: Option<Calibration>,
    evaluation: Option<Calibration>,
    apart: bool,
}

fn load(arguments: &Arguments, graph: &Graph) -> Result<Data, CliError> {
    let Some(name) = &arguments.data else {
        return Ok(Data { calibration: None, evaluation: None, apart: true });
    };
    let Samples { calibration, evaluation, apart } =
        samples::load(name, arguments.data_dir.as_deref(), arguments.samples)?;
    let labelled = |samples: Vec<samples::Sample>| {
        let (inputs, labels) = samples.into_iter().map(|s| (s.features, s.label)).unzip();
        let labelled = Calibration::new(inputs, Targets::Labels(labels))?;
        labelled.check(graph)?;
        Ok::<_, PruneError>(labelled)
    };
    Ok(Data { calibration: Some(labelled(calibration)?), evaluation: Some(labelled(evaluation)?), apart })
}

/// The compacted network, checked against the masked one.
fn compacted(masked: &Graph) -> Result<(Graph, Option<CompactionRecord>), CliError> {
    let found = compact(masked, &Masks::default())?;
    let disagreement = disagreement(masked, &found.graph, 16, 0)?;
    if disagreement > ROUNDING {
        return Err(CliError::Disagreement { found: disagreement, allowed: ROUNDING });
    }
    let record = CompactionRecord {
        removed_units: found.removed,
        folded_into_biases: found.folded,
        constant_units_kept: found.kept,
        axes_kept_from_emptying: found.narrow,
        constant_operators: found.constant,
        disagreement,
    };
    Ok((found.graph, Some(record)))
}

fn write_network(graph: &Graph, path: &Path) -> Result<(), CliError> {
    let bytes = onnx::to_bytes(graph)?;
    std::fs::write(path, bytes).map_err(|source| CliError::Write { path: path.to_owned(), source })
}

fn write_masks(masks: &Masks, path: &Path) -> Result<(), CliError> {
    let tensor = |(name, mask): (&String, &secateur_linalg::Tensor<bool>)| {
        (name.clone(), Stored::truth(mask.shape().to_vec(), mask.data()))
    };
    let file = Safetensors { tensors: masks.0.iter().map(tensor).collect(), ..Safetensors::default() };
    Ok(safetensors::write(&file, path)?)
}

fn measured(graph: &Graph, path: &Path, batch: usize, data: Option<&Calibration>) -> Result<Measured, CliError> {
    let file = std::fs::metadata(path).map_err(|source| CliError::Read { path: path.to_owned(), source })?;
    Ok(Measured {
        file: path.display().to_string(),
        file_bytes: file.len(),
        cost: cost(graph)?,
        latency: latency(graph, batch, 20)?,
        accuracy: data.map(|data| data.accuracy(graph)).transpose()?.flatten(),
        layers: match densities(graph) {
            Err(PruneError::NothingToPrune) => Vec::new(),
            other => other?,
        },
    })
}

fn answer(arguments: &Arguments, record: &impl Serialize, text: &str) -> Result<Exit, CliError> {
    let json = output::json(record)?;
    let dash = arguments.json.as_deref().is_some_and(is_dash);
    output::print(if dash { &json } else { text })?;
    if let Some(file) = arguments.json.as_deref().filter(|f| !is_dash(f)) {
        output::write(file, &json)?;
    }
    Ok(Exit::Done)
}

/// The record as text.
fn table(record: &Record) -> String {
    let Record { before, after, .. } = record;
    let mut text = format!(
        "{} at sparsity {:.4}, scope {}, budget {}, {}, {} round{} of scoring, seed {}, {} calibration samples\n\n",
        record.method,
        record.sparsity,
        record.scope,
        record.budget,
        record.schedule,
        record.rounds,
        if record.rounds == 1 { "" } else { "s" },
        record.seed,
        record.calibration_samples
    );
    // Writing to a string does not fail.
    let mut row = |name: &str, a: String, b: String, change: Option<f64>| {
        let change = change.map_or(String::new(), |c| format!("{:+.1} %", 100.0 * c));
        let _ = writeln!(text, "{name:28}  {a:>14}  {b:>14}  {change:>9}");
    };
    row("", "before".to_owned(), "after".to_owned(), None);
    let ratio = |a: f64, b: f64| (a > 0.0).then(|| b / a - 1.0);
    let mut number = |name: &str, a: u64, b: u64| row(name, a.to_string(), b.to_string(), ratio(a as f64, b as f64));
    let (cost_a, cost_b) = (&before.cost, &after.cost);
    number("parameters", cost_a.parameters as u64, cost_b.parameters as u64);
    number("nonzero parameters", cost_a.nonzero as u64, cost_b.nonzero as u64);
    number("bytes on disk", before.file_bytes, after.file_bytes);
    number("multiply-adds, dense", cost_a.total().dense, cost_b.total().dense);
    number("multiply-adds, without zeros", cost_a.total().sparse, cost_b.total().sparse);
    let (a, b) = (before.latency.median, after.latency.median);
    let name = format!("latency, batch {} (ms)", before.latency.batch);
    row(&name, format!("{:.4}", 1e3 * a), format!("{:.4}", 1e3 * b), ratio(a, b));
    if let (Some(a), Some(b)) = (before.accuracy, after.accuracy) {
        let name = format!("accuracy, {} samples", record.accuracy_samples);
        row(&name, format!("{:.2} %", 100.0 * a), format!("{:.2} %", 100.0 * b), None);
    }
    text.push('\n');
    let width = before.layers.iter().map(|l| l.name.chars().count()).max().unwrap_or(0).max(5);
    let shapes = |layer: &LayerDensity| layer.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
    let _ = writeln!(
        text,
        "{:width$}  {:>16}  {:>16}  {:>8}  {:>11}  {:>11}  {:>9}",
        "layer", "before", "after", "density", "dense µs", "sparse µs", "crossover"
    );
    for layer in &before.layers {
        let now = after.layers.iter().find(|l| l.name == layer.name);
        let speed = record.speeds.iter().find(|s| s.name == layer.name);
        let density = now.map_or("gone".to_owned(), |l| format!("{:.4}", l.nonzero as f64 / l.entries.max(1) as f64));
        let micro = |value: Option<f64>| value.map_or("-".to_owned(), |s| format!("{:.2}", 1e6 * s));
        let crossover = speed.map_or("-".to_owned(), |s| s.crossover.map_or("none".to_owned(), |d| d.to_string()));
        let _ = writeln!(
            text,
            "{:width$}  {:>16}  {:>16}  {density:>8}  {:>11}  {:>11}  {crossover:>9}",
            layer.name,
            shapes(layer),
            now.map_or("-".to_owned(), shapes),
            micro(speed.map(|s| s.dense)),
            micro(speed.map(|s| s.sparse)),
        );
    }
    text.push('\n');
    text + &remarks(record)
}

/// What a reader should not have to guess from the numbers.
fn remarks(record: &Record) -> String {
    let mut text = String::new();
    let faster = record.speeds.iter().filter(|s| s.is_faster_sparse()).count();
    let _ = writeln!(
        text,
        "Latency is that of dense evaluation on one thread, zeros included. As sparse products on this machine, {faster} of {} \
         layers would be faster; the crossover is the density below which a layer of that shape is.",
        record.speeds.len()
    );
    if !record.collapsed.is_empty() {
        let _ = writeln!(text, "WHOLE LAYERS REMOVED: {}", record.collapsed.join(", "));
    }
    if let Some(found) = &record.compaction {
        let CompactionRecord {
            removed_units, folded_into_biases, constant_units_kept, axes_kept_from_emptying, ..
        } = found;
        let _ = writeln!(
            text,
            "Compaction removed {removed_units} units, {folded_into_biases} of them constants that are now in biases; it \
             differs from the masked network by {:.1e} of the largest output.",
            found.disagreement
        );
        if *constant_units_kept + *axes_kept_from_emptying > 0 {
            let _ = writeln!(
                text,
                "{constant_units_kept} constant units stay because padding makes their effect uneven, \
                 {axes_kept_from_emptying} so that no axis is empty."
            );
        }
    }
    if record.accuracy_samples > 0 && !record.samples_apart {
        text.push_str("Accuracy was measured on the calibration samples themselves: there are no others.\n");
    }
    text
}

/// What is known of a file of tensors.
#[derive(Serialize)]
struct StoredRecord {
    method: &'static str,
    scope: String,
    budget: String,
    sparsity: f64,
    seed: u64,
    bytes_before: u64,
    bytes_after: u64,
    layers: Vec<StoredLayer>,
    collapsed: Vec<String>,
    version: &'static str,
}

#[derive(Serialize)]
struct StoredLayer {
    name: String,
    shape: Vec<usize>,
    dtype: &'static str,
    kept: usize,
    entries: usize,
}

fn run_stored(arguments: &Arguments, settings: &Settings) -> Result<Exit, CliError> {
    let clash = |first: &str, reason| {
        let second = "a file of tensors".to_owned();
        Err(CliError::Prune(PruneError::Combination { first: first.to_owned(), second, reason }))
    };
    if arguments.compact {
        return clash("--compact", "what belongs to a unit is known from the network only");
    }
    if arguments.data.is_some() {
        return clash("--data", "there is no network to evaluate");
    }
    if arguments.schedule != Schedule::OneShot {
        return clash("--schedule", "weights do not change between the steps");
    }
    let file = safetensors::read(&arguments.model)?;
    let (masks, collapsed) = stored::masks(&file, settings)?;
    safetensors::write(&stored::masked(&file, &masks), &arguments.output)?;
    if let Some(path) = &arguments.mask {
        write_masks(&masks, path)?;
    }
    let size = |path: &Path| {
        let found = std::fs::metadata(path).map(|m| m.len());
        found.map_err(|source| CliError::Read { path: path.to_owned(), source })
    };
    let layer = |(name, mask): (&String, &secateur_linalg::Tensor<bool>)| StoredLayer {
        name: name.clone(),
        shape: mask.shape().to_vec(),
        dtype: file.tensors[name].dtype.name(),
        kept: mask.data().iter().filter(|keep| **keep).count(),
        entries: mask.len(),
    };
    let record = StoredRecord {
        method: settings.method.name(),
        scope: settings.budget.scope.to_string(),
        budget: settings.budget.allocation.to_string(),
        sparsity: 1.0 - settings.budget.density(),
        seed: settings.seed,
        bytes_before: size(&arguments.model)?,
        bytes_after: size(&arguments.output)?,
        layers: masks.0.iter().map(layer).collect(),
        collapsed,
        version: env!("CARGO_PKG_VERSION"),
    };
    answer(arguments, &record, &stored_table(&record))
}

fn stored_table(record: &StoredRecord) -> String {
    let width = record.layers.iter().map(|l| l.name.chars().count()).max().unwrap_or(0).max(6);
    let mut text = format!("{:width$}  {:>6}  {:>12}  {:>12}  {:>8}\n", "tensor", "type", "entries", "kept", "density");
    for layer in &record.layers {
        let density = layer.kept as f64 / layer.entries as f64;
        let StoredLayer { name, dtype, kept, entries, .. } = layer;
        let _ = writeln!(text, "{name:width$}  {dtype:>6}  {entries:>12}  {kept:>12}  {density:>8.4}");
    }
    let sum = |of: fn(&StoredLayer) -> usize| record.layers.iter().map(of).sum::<usize>();
    let (kept, entries) = (sum(|l| l.kept), sum(|l| l.entries));
    let _ = writeln!(
        text,
        "\nkept {kept} of {entries}, {} bytes before, {} after",
        record.bytes_before, record.bytes_after
    );
    if !record.collapsed.is_empty() {
        let _ = writeln!(text, "WHOLE TENSORS REMOVED: {}", record.collapsed.join(", "));
    }
    text
}

impl From<PruneError> for CliError {
    fn from(error: PruneError) -> Self {
        match error {
            PruneError::Network(error) => CliError::Network(error),
            other => CliError::Prune(other),
        }
    }
}
