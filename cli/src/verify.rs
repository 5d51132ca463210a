//! `secateur verify`: decides a property of a network.

use crate::certificate::Certificate;
use crate::error::CliError;
use crate::exit::Exit;
use crate::progress::Display;
use crate::{decimal, interrupt, output, witness};
use clap::Args;
use secateur_bench_suites::record::{SettingsRecord, VerificationRecord, WitnessRecord, peak_memory};
use secateur_bench_suites::verdict::Verdict;
use secateur_check::Semantics;
use secateur_check::proof::format::Digests;
use secateur_nn::{onnx, vnnlib};
use secateur_verify::{Branching, Choice, Outcome, Report, Settings, Technique, Tracer};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Decide whether some input that the property allows has an unsafe output.
///
/// The first line of standard output is `sat` (such an input exists and follows), `unsat` (none exists), `unknown` or
/// `timeout`.
#[derive(Args)]
pub struct Arguments {
    /// The network (ONNX, may be gzipped).
    model: PathBuf,
    /// The property (VNNLIB, may be gzipped).
    spec: PathBuf,
    /// Limit in seconds, reading of the files included.
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Worker threads; 0 takes every core.
    #[arg(long, value_name = "N", value_parser = threads, default_value_t = 0)]
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
    /// Do without a technique, to see what it gains: attack, alpha, beta, tighten, refine, reduce, narrow, precise, lemmas, clip or relate.
    #[arg(long, value_name = "TECHNIQUE")]
    without: Vec<Technique>,
    /// Where slopes are optimised: `cpu`, `cuda`, or `auto` for a CUDA device where there is one and the work is large enough.
    /// Bounds are the processor's in any case.
    #[arg(long, value_name = "DEVICE", default_value_t = Choice::Cpu)]
    device: Choice,
    /// Write the witness of a `sat` verdict to a file as well.
    #[arg(long, value_name = "FILE")]
    counterexample: Option<PathBuf>,
    /// What the verdict is about: `real` arithmetic of the stored weights, or every execution in `f32`, in any order of
    /// summation.
    #[arg(long, value_name = "NUMBERS", default_value_t = Semantics::Real)]
    semantics: Semantics,
    /// Write a proof of the verdict to a file, for `secateur-check MODEL SPEC FILE`.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Write a record of the run as JSON to a file, or with `-` to standard output instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

/// Reads a positive number of seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|s| *s > 0.0);
    seconds
        .and_then(|s| Duration::try_from_secs_f64(s).ok())
        .ok_or_else(|| "expected a positive number of seconds".to_owned())
}

/// Threads that may be asked for.
const THREADS: usize = 512;

/// A number of worker threads.
pub fn threads(text: &str) -> Result<usize, String> {
    let threads = text.parse::<usize>().ok().filter(|n| *n <= THREADS);
    threads.ok_or_else(|| format!("expected a whole number of threads, at most {THREADS}"))
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let begin = Instant::now();
    let files = [arguments.counterexample.as_ref(), arguments.certificate.as_ref()];
    output::check(&[&arguments.model, &arguments.spec], &files, arguments.json.as_ref())?;
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
        semantics: arguments.semantics,
        without: arguments.without.clone(),
        device,
    };
    let mut certificate = arguments
        .certificate
        .as_deref()
        .map(|file| Certificate::create(file, || Digests::of(model, spec)))
        .transpose()?;
    let tracer = certificate.as_mut().map(|certificate| certificate as &mut dyn Tracer);
    let report = secateur_verify::verify_traced(&graph, &property, &settings, &display, tracer)
        .map_err(|source| CliError::Verify { model: model.clone(), source })?;
    display.clear();
    if let Some(certificate) = certificate {
        certificate.finish(&graph, model, arguments.semantics, &report)?;
    }
    answer(arguments, &report, begin)
}

/// Says what was found, on every channel that was asked for.
fn answer(arguments: &Arguments, report: &Report, begin: Instant) -> Result<Exit, CliError> {
    let verdict = report.outcome.verdict();
    let text = match &report.outcome {
        Outcome::Sat(found) => format!("{verdict}\n{}", witness::print(found)),
        _ => format!("{verdict}\n"),
    };
    let record = output::json(&record(arguments, report, begin))?;
    let instead = arguments.json.as_deref().is_some_and(output::is_dash);
    output::print(if instead { &record } else { &text })?;
    if let Some(reason) = reason(&report.outcome) {
        eprintln!("{verdict}: {reason}");
    }
    if let Some(file) = arguments.json.as_deref().filter(|f| !output::is_dash(f)) {
        output::write(file, &record)?;
    }
    if let (Some(file), Outcome::Sat(found)) = (&arguments.counterexample, &report.outcome) {
        output::write(file, &witness::print(found))?;
    }
    Ok(match report.outcome {
        Outcome::Sat(_) | Outcome::Unsat => Exit::Done,
        _ => Exit::Undecided,
    })
}

fn record(arguments: &Arguments, report: &Report, begin: Instant) -> VerificationRecord {
    let statistics = &report.statistics;
    VerificationRecord {
        model: arguments.model.display().to_string(),
        property: arguments.spec.display().to_string(),
        verdict: match report.outcome {
            Outcome::Sat(_) => Verdict::Sat,
            Outcome::Unsat => Verdict::Unsat,
            Outcome::Timeout => Verdict::Timeout,
            Outcome::Unknown(_) | Outcome::Interrupted => Verdict::Unknown,
        },
        reason: reason(&report.outcome),
        witness: match &report.outcome {
            Outcome::Sat(found) => Some(WitnessRecord {
                input: found.input.iter().map(decimal::print).collect(),
                outputs: found.outputs.clone(),
            }),
            _ => None,
        },
        settings: SettingsRecord {
            timeout: arguments.timeout.map(|limit| limit.as_secs_f64()),
            threads: arguments.threads,
            seed: arguments.seed,
            branching: arguments.branching.to_string(),
            alignment: arguments.alignment,
            semantics: arguments.semantics.to_string(),
            without: arguments.without.iter().map(Technique::to_string).collect(),
            device: arguments.device.to_string(),
        },
        statistics: statistics.into(),
        seconds: begin.elapsed().as_secs_f64(),
        peak_memory: peak_memory(None),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Why there is no verdict, where time is not the reason.
pub fn reason(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Unknown(reason) => Some(reason.to_string()),
        Outcome::Interrupted => Some("interrupted".to_owned()),
        Outcome::Sat(_) | Outcome::Unsat | Outcome::Timeout => None,
    }
}
