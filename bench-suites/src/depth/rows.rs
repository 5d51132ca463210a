//! Rows of the table.

use super::{Measured, Record};
use crate::statistics::Interval;
use secateur_prune::depth::Health;
use serde::Serialize;

/// A method at a size: means over seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What the table calls it.
    pub label: String,
    /// Blocks that were asked for.
    pub asked: usize,
    /// Blocks that there are.
    pub blocks: usize,
    /// Width of the stream.
    pub width: usize,
    /// Parameters that went, as a share of the original's.
    pub sparsity: f64,
    /// Stored numbers.
    pub parameters: usize,
    /// Bytes of the file of weights.
    pub bytes: u64,
    /// Mean perplexity, and half of its interval of confidence where there are several seeds and all are finite.
    pub perplexity: (f64, Option<f64>),
    /// The worst of the seeds.
    pub worst: f64,
    /// Tokens a second when read together, and one by one; the fastest of the seeds.
    pub speed: [f64; 2],
    /// Mean seconds that the method took.
    pub seconds: f64,
    /// Of the worst.
    pub health: Health,
}

/// The original first, then by method and size in the order of the configuration.
///
/// # Panics
/// Nothing was measured.
#[track_caller]
pub fn rows(record: &Record) -> Vec<Row> {
    let original = record.measured.first().expect("the original is measured first");
    let mut rows = vec![row(original, &[original], record.vocab)];
    for variant in &record.config.methods {
        for blocks in &record.config.blocks {
            let of = |m: &&Measured| m.label == variant.label() && m.asked == *blocks;
            let found: Vec<&Measured> = record.measured.iter().skip(1).filter(of).collect();
            if !found.is_empty() {
                rows.push(row(original, &found, record.vocab));
            }
        }
    }
    rows
}

fn row(original: &Measured, found: &[&Measured], vocab: usize) -> Row {
    let first = found[0];
    let mean = |value: fn(&Measured) -> f64| found.iter().map(|m| value(m)).sum::<f64>() / found.len() as f64;
    let most = |value: fn(&Measured) -> f64| found.iter().map(|m| value(m)).fold(0.0, f64::max);
    let perplexities: Vec<f64> = found.iter().map(|m| m.perplexity).collect();
    let finite = found.len() > 1 && perplexities.iter().all(|p| p.is_finite());
    let half = Interval::of(&perplexities).filter(|_| finite).and_then(|interval| interval.half);
    let worst = most(|m| m.perplexity);
    Row {
        label: first.label.clone(),
        asked: first.asked,
        blocks: first.blocks,
        width: first.width,
        sparsity: 1.0 - first.parameters as f64 / original.parameters as f64,
        parameters: first.parameters,
        bytes: first.bytes,
        perplexity: (mean(|m| m.perplexity), half),
        worst,
        speed: [most(|m| m.speed.prefill), most(|m| m.speed.decode)],
        seconds: mean(|m| m.seconds),
        health: Health::of(original.perplexity, worst, vocab),
    }
}
