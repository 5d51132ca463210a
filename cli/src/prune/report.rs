//! What `secateur prune` reports of a network, as a record and as text.

use crate::equiv::{Agreement, Difference};
use secateur_prune::cost::{Cost, Latency, LayerDensity};
use secateur_prune::crossover::Speed;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;

/// A network, measured.
#[derive(Serialize)]
pub struct Measured {
    pub file: String,
    pub file_bytes: u64,
    pub cost: Cost,
    pub latency: Latency,
    pub accuracy: Option<f64>,
    pub layers: Vec<LayerDensity>,
}

/// A run, described.
#[derive(Serialize)]
pub struct Record {
    pub method: &'static str,
    pub scope: String,
    pub budget: String,
    pub sparsity: f64,
    pub schedule: String,
    pub rounds: usize,
    pub seed: u64,
    /// Epochs of training after each step.
    pub finetuned_epochs: usize,
    /// The data set, and what was subtracted from its pixels in [0, 1] and divided by.
    pub data: Option<String>,
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
    pub calibration_samples: usize,
    pub accuracy_samples: usize,
    /// Whether accuracy was measured on samples that calibration did not see.
    pub samples_apart: bool,
    pub certified: Option<CertifiedRecord>,
    pub before: Measured,
    pub after: Measured,
    /// Kept entries of the masked tensors, and all of them, after each step.
    pub steps: Vec<(usize, usize)>,
    pub collapsed: Vec<String>,
    pub compaction: Option<CompactionRecord>,
    /// Dense and sparse products of the pruned network's layers.
    pub speeds: Vec<Speed>,
    /// Operators whose arithmetic is not among the multiply-adds.
    pub uncounted: BTreeSet<&'static str>,
    pub version: &'static str,
}

/// What was shown of the pruned network against the original.
#[derive(Serialize)]
pub struct CertifiedRecord {
    pub question: String,
    pub verdict: Agreement,
    pub difference: Option<Difference>,
    pub subproblems: u64,
    pub seconds: f64,
}

#[derive(Serialize)]
pub struct CompactionRecord {
    pub removed_units: usize,
    pub folded_into_biases: usize,
    pub constant_units_kept: usize,
    pub axes_kept_from_emptying: usize,
    pub constant_operators: Vec<String>,
    /// Largest difference to the masked network on random inputs, relative to the largest output.
    pub disagreement: f64,
}

/// The record as text.
pub fn table(record: &Record) -> String {
    let Record { before, after, .. } = record;
    let mut text = String::new();
    if let Some(certified) = &record.certified {
        let difference = certified.difference.as_ref().map_or(String::new(), Difference::print);
        let CertifiedRecord { question, verdict, subproblems, seconds, .. } = certified;
        let verdict = verdict.word();
        text = format!(
            "{verdict}\n{difference}against the original: {question}, {subproblems} subproblems, {seconds:.2} s\n\n"
        );
    }
    // Writing to a string does not fail.
    let _ = write!(
        text,
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
