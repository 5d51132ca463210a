//! `secateur prune` on a safetensors file, where there is no network to evaluate.

use super::Arguments;
use crate::error::CliError;
use crate::exit::Exit;
use secateur_nn::safetensors;
use secateur_prune::pipeline::Schedule;
use secateur_prune::{PruneError, Settings, stored};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

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

pub fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit, CliError> {
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
        super::write_masks(&masks, path)?;
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
    super::answer(arguments, &record, &stored_table(&record))
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
