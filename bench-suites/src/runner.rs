//! Runs every instance that is not yet in the results file.

use crate::certified::certify;
use crate::child::{Measurement, Program, measure};
use crate::error::BenchError;
use crate::results::{ResultRow, Results};
use crate::suite::{Instance, Suite};
use crate::verdict::Verdict;
use regex::Regex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the user chooses about a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The verifier.
    pub program: Program,
    /// Cap on every instance's own limit.
    pub timeout: Option<Duration>,
    /// Only instances whose `suite/network property` matches.
    pub filter: Option<Regex>,
    /// Whether to verify again what was decided, with a certificate, and to check that.
    pub certificates: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The lines of all selected instances that have one, old and new.
    pub rows: Vec<ResultRow>,
    /// Whether it was stopped before the last instance.
    pub interrupted: bool,
}

/// Someone who watches a run.
pub trait Watcher {
    /// Called before instance `index` of `total`.
    fn begin(&mut self, index: usize, total: usize, suite: &Suite, instance: &Instance);
    /// Called after it, with its line.
    fn end(&mut self, row: &ResultRow);
}

/// Runs the selected instances one after the other, except those in `done`, and appends each line to `results`.
///
/// # Errors
/// The verifier cannot be started, or the results cannot be written.
pub fn run(
    suites: &[Suite],
    settings: &Settings,
    mut results: Option<Results>,
    done: Vec<ResultRow>,
    stop: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<Summary, BenchError> {
    let selected = select(suites, settings.filter.as_ref());
    let total = selected.len();
    let mut rows = Vec::with_capacity(total);
    for (index, (suite, instance)) in selected.into_iter().enumerate() {
        if let Some(row) = done.iter().find(|row| row.is_of(suite, instance)) {
            rows.push(row.clone());
            continue;
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(Summary { rows, interrupted: true });
        }
        watcher.begin(index, total, suite, instance);
        let limit = settings.timeout.map_or(instance.limit, |cap| instance.limit.min(cap));
        let Some(measured) = verify(suite, instance, settings, limit, stop)? else {
            return Ok(Summary { rows, interrupted: true });
        };
        let mut row = ResultRow::new(suite, instance, limit.as_secs_f64(), &measured);
        if settings.certificates && matches!(measured.verdict, Verdict::Sat | Verdict::Unsat) {
            let (model, property) = (suite.resolve(&instance.onnx), suite.resolve(&instance.vnnlib));
            let slack = limit.mul_f64(1.5);
            row.keep(certify(&settings.program, &model, &property, slack, stop)?);
        }
        if let Some(results) = &mut results {
            results.append(&row)?;
        }
        watcher.end(&row);
        rows.push(row);
    }
    Ok(Summary { rows, interrupted: false })
}

fn verify(
    suite: &Suite,
    instance: &Instance,
    settings: &Settings,
    limit: Duration,
    stop: &AtomicBool,
) -> Result<Option<Measurement>, BenchError> {
    let (model, property) = (suite.resolve(&instance.onnx), suite.resolve(&instance.vnnlib));
    measure(&settings.program, &model, &property, limit, stop)
}

fn select<'a>(suites: &'a [Suite], filter: Option<&Regex>) -> Vec<(&'a Suite, &'a Instance)> {
    let all = suites.iter().flat_map(|suite| suite.instances.iter().map(move |instance| (suite, instance)));
    all.filter(|(suite, instance)| {
        let name = format!("{}/{} {}", suite.name, instance.onnx, instance.vnnlib);
        filter.is_none_or(|filter| filter.is_match(&name))
    })
    .collect()
}
