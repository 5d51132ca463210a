//! `secateur bound`: how safe a network is.

use crate::error::CliError;
use crate::exit::Exit;
use crate::progress::Display;
use crate::upper::{Source, Upper};
use crate::verify::seconds;
use crate::{decimal, interrupt, output, witness};
use clap::Args;
use secateur_bench_suites::plot;
use secateur_bench_suites::record::{BoundRecord, SampleRecord, SettingsRecord, UpperRecord, finite, peak_memory};
use secateur_check::Semantics;
use secateur_nn::{onnx, vnnlib};
use secateur_verify::{Branching, Certainty, Choice, Interval, Reason, Settings, Until};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bound how far the network is from an unsafe output.
///
/// The margin is the least value, over all inputs that the property allows, by which some constraint of its unsafe set
/// fails. The first line of standard output is `safe` (the margin is positive), `unsafe` (it is not, and an input
/// follows), `epsilon-global` (its sign is unknown, but the bounds are no more than epsilon apart) or `unknown`; then
/// come the bounds.
#[derive(Args)]
pub struct Arguments {
    /// The network (ONNX, may be gzipped).
    model: PathBuf,
    /// The property (VNNLIB, may be gzipped).
    spec: PathBuf,
    /// Stop when the bounds are this close.
    #[arg(long, value_name = "E", value_parser = width)]
    epsilon: f64,
    /// Go on to epsilon where the sign is known already.
    #[arg(long)]
    full: bool,
    /// Limit in seconds, reading of the files included.
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Worker threads; 0 takes every core.
    #[arg(long, value_name = "N", value_parser = crate::verify::threads, default_value_t = 0)]
    threads: usize,
    /// Seed of the attack's random starts.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// How to split: auto, input, babsr, fsb, kfsb or aligned.
    #[arg(long, value_name = "RULE", default_value_t = Branching::Auto)]
    branching: Branching,
    /// Weight of agreement with the best point's activation pattern, for aligned branching.
    #[arg(long, value_name = "L", value_parser = crate::bound::weight, default_value_t = Settings::ALIGNMENT)]
    alignment: f64,
    /// Where slopes are optimised: `cpu`, `cuda`, or `auto` for a CUDA device where there is one and the work is large enough.
    /// Bounds are the processor's in any case.
    #[arg(long, value_name = "DEVICE", default_value_t = Choice::Cpu)]
    device: Choice,
    /// Where upper bounds come from beside the search; nlp where this build has a nonlinear solver.
    #[arg(long, value_name = "SOURCE", value_enum, default_value_t = Source::DEFAULT)]
    upper: Source,
    /// Write a plot of the bounds against time (SVG).
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write a record of the run as JSON to a file, or with `-` to standard output instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

fn width(text: &str) -> Result<f64, String> {
    let width = text.parse::<f64>().ok().filter(|e| *e > 0.0 && e.is_finite());
    width.ok_or_else(|| "expected a positive number".to_owned())
}

/// A weight that is not negative.
pub fn weight(text: &str) -> Result<f64, String> {
    let weight = text.parse::<f64>().ok().filter(|w| *w >= 0.0 && w.is_finite());
    weight.ok_or_else(|| "expected a number that is not negative".to_owned())
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let begin = Instant::now();
    output::check(&[&arguments.model, &arguments.spec], &[arguments.plot.as_ref()], arguments.json.as_ref())?;
    let device = arguments.device.opened().map_err(|source| CliError::Device { source })?;
    let display = Display::new(arguments.quiet, interrupt::listen()?);
    let graph = onnx::read(&arguments.model)?;
    let property = vnnlib::read(&arguments.spec)?;
    let (model, spec) = (&arguments.model, &arguments.spec);
    property.check_against(&graph).map_err(|source| CliError::Mismatch {
        property: spec.clone(),
        model: model.clone(),
        source: Box::new(source),
    })?;
    let settings = Settings {
        timeout: arguments.timeout.map(|limit| limit.saturating_sub(begin.elapsed())),
        threads: arguments.threads,
        seed: arguments.seed,
        branching: arguments.branching,
        alignment: arguments.alignment,
        semantics: Semantics::Real,
        without: Vec::new(),
        device,
    };
    let until = if arguments.full { Until::Narrow } else { Until::Decided };
    let mut upper = Upper::new(arguments.upper, &graph, model)?;
    let (epsilon, explorer) = (arguments.epsilon, upper.explorer());
    let found = secateur_verify::interval_with(&graph, &property, epsilon, until, &settings, &display, explorer)
        .map_err(|source| CliError::Verify { model: model.clone(), source })?;
    display.clear();
    answer(arguments, &found, upper.record(), begin)
}

/// Says what was found, on every channel that was asked for.
fn answer(arguments: &Arguments, found: &Interval, upper: UpperRecord, begin: Instant) -> Result<Exit, CliError> {
    let record = record(arguments, found, upper, begin);
    let mut text = format!("{}\nlower {}\nupper {}\n", record.outcome, found.lower, found.upper);
    if let Certainty::Unsafe(found) = &found.certainty {
        text += &witness::print(found);
    }
    let json = output::json(&record)?;
    let instead = arguments.json.as_deref().is_some_and(output::is_dash);
    output::print(if instead { &json } else { &text })?;
    if let Some(failure) = &record.upper_bounds.failure {
        eprintln!("no nonlinear program was solved: {failure}");
    }
    if let Some(reason) = &record.reason {
        eprintln!("{}: {reason}", record.outcome);
    }
    if let Some(file) = arguments.json.as_deref().filter(|f| !output::is_dash(f)) {
        output::write(file, &json)?;
    }
    if let Some(file) = &arguments.plot {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let title = format!("{}, {}: {}", name(&arguments.model), name(&arguments.spec), record.outcome);
        let drawn = plot::bounds(&title, &record.history);
        output::write(file, &drawn.map_err(|source| CliError::Plot { path: file.clone(), source })?)?;
    }
    Ok(match found.certainty {
        Certainty::Unknown(_) => Exit::Undecided,
        _ => Exit::Done,
    })
}

fn record(arguments: &Arguments, found: &Interval, upper_bounds: UpperRecord, begin: Instant) -> BoundRecord {
    let (outcome, reason) = match &found.certainty {
        Certainty::Safe => ("safe", None),
        Certainty::Unsafe(_) => ("unsafe", None),
        Certainty::EpsilonGlobal => ("epsilon-global", None),
        Certainty::Unknown(Reason::Timeout) => ("unknown", Some("the time limit came first".to_owned())),
        Certainty::Unknown(Reason::Interrupted) => ("unknown", Some("interrupted".to_owned())),
        Certainty::Unknown(Reason::Unresolved(reason)) => ("unknown", Some(reason.to_string())),
    };
    let sample = |s: &secateur_verify::Sample| SampleRecord {
        seconds: s.seconds,
        domains: s.domains,
        lower: finite(s.lower),
        upper: finite(s.upper),
    };
    let statistics = &found.statistics;
    BoundRecord {
        model: arguments.model.display().to_string(),
        property: arguments.spec.display().to_string(),
        outcome: outcome.to_owned(),
        reason,
        epsilon: arguments.epsilon,
        full: arguments.full,
        lower: finite(found.lower),
        upper: finite(found.upper),
        incumbent: found.incumbent.as_ref().map(|point| point.input.iter().map(decimal::print).collect()),
        upper_bounds,
        history: found.history.iter().map(sample).collect(),
        settings: SettingsRecord {
            timeout: arguments.timeout.map(|limit| limit.as_secs_f64()),
            threads: arguments.threads,
            seed: arguments.seed,
            branching: arguments.branching.to_string(),
            alignment: arguments.alignment,
            semantics: Semantics::Real.to_string(),
            without: Vec::new(),
            device: arguments.device.to_string(),
        },
        statistics: statistics.into(),
        seconds: begin.elapsed().as_secs_f64(),
        peak_memory: peak_memory(None),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
