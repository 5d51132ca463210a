//! `secateur equiv`: do two networks agree on a set of inputs?

use crate::certificate::Certificate;
use crate::error::CliError;
use crate::exit::Exit;
use crate::progress::Display;
use crate::verify::{reason, seconds};
use crate::{decimal, interrupt, output};
use clap::{ArgGroup, Args};
use dashu_ratio::RBig;
use secateur_bench_suites::record::{StatisticsRecord, peak_memory};
use secateur_check::proof::format::Digests;
use secateur_check::{Enclosure, Pair, Precision, Question, Semantics, evaluate};
use secateur_nn::graph::Graph;
use secateur_nn::{onnx, vnnlib};
use secateur_verify::{Choice, Outcome, Report, Settings, Technique, Tracer, VerifyError, equivalence};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Decide whether two networks agree everywhere on the box of a property.
///
/// The first line of standard output is `equivalent`, `different` (an input follows, with what both networks make of it),
/// `unknown` or `timeout`. Only the inputs that SPEC allows matter, not what it says of outputs (a part of SPEC whose constraints on
/// outputs can never hold allows no inputs).
#[derive(Args)]
#[command(group(ArgGroup::new("question").required(true).args(["delta", "same_class"])))]
pub struct Arguments {
    /// The first network (ONNX, may be gzipped).
    first: PathBuf,
    /// The second network.
    second: PathBuf,
    /// The property whose inputs count (VNNLIB, may be gzipped).
    spec: PathBuf,
    /// Whether no output differs by more than D.
    #[arg(long, value_name = "D", value_parser = tolerance, allow_hyphen_values = true)]
    delta: Option<RBig>,
    /// Whether a class that is ahead in the first network is among the first in the second.
    #[arg(long)]
    same_class: bool,
    /// With --same-class: look only where the class is ahead of all others by M in the first network.
    #[arg(long, value_name = "M", value_parser = tolerance, allow_hyphen_values = true, requires = "same_class")]
    lead: Option<RBig>,
    /// With --same-class: the class is the least output, not the greatest.
    #[arg(long, requires = "same_class")]
    least: bool,
    /// Limit in seconds, reading of the files included.
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Worker threads; 0 takes every core.
    #[arg(long, value_name = "N", value_parser = crate::verify::threads, default_value_t = 0)]
    threads: usize,
    /// Seed of the attack's random starts.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Do without a technique; see `verify`.
    #[arg(long, value_name = "TECHNIQUE")]
    without: Vec<Technique>,
    /// Where slopes are optimised: `cpu`, `cuda` or `auto`; bounds are the processor's in any case.
    #[arg(long, value_name = "DEVICE", default_value_t = Choice::Cpu)]
    device: Choice,
    /// Write a proof of the verdict to a file, for `secateur-check`.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Write a record of the run as JSON to a file, or with `-` to standard output instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

/// Reads a decimal or quotient from 0 on.
pub fn tolerance(text: &str) -> Result<RBig, String> {
    vnnlib::quotient(text)
        .filter(|number| *number >= RBig::ZERO)
        .ok_or_else(|| "expected a decimal from 0 on such as 0.01, or a quotient such as 1/64".to_owned())
}

/// What is known of two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// They agree on every input.
    Equivalent,
    /// They do not on some.
    Different,
    /// Neither was shown.
    Unknown,
    /// Neither was shown in time.
    Timeout,
}

impl Agreement {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Unsat => Self::Equivalent,
            Outcome::Sat(_) => Self::Different,
            Outcome::Timeout => Self::Timeout,
            Outcome::Unknown(_) | Outcome::Interrupted => Self::Unknown,
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Equivalent => "equivalent",
            Self::Different => "different",
            Self::Unknown => "unknown",
            Self::Timeout => "timeout",
        }
    }
}

/// A run, as JSON.
#[derive(Serialize)]
struct Record {
    first: String,
    second: String,
    property: String,
    /// `delta D`, or `same class` with its lead and whether the least output is the class.
    question: String,
    verdict: Agreement,
    reason: Option<String>,
    difference: Option<Difference>,
    seed: u64,
    threads: usize,
    timeout: Option<f64>,
    statistics: StatisticsRecord,
    seconds: f64,
    peak_memory: Option<u64>,
    version: String,
}

/// An input on which two networks differ, and what they make of it in exact arithmetic, rounded.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Exact decimals.
    pub input: Vec<String>,
    /// Outputs of the first network.
    pub first: Vec<f64>,
    /// Outputs of the second.
    pub second: Vec<f64>,
}

impl Difference {
    /// As text: `((X_0 v) … (A_0 v) … (B_0 v) …)`.
    pub fn print(&self) -> String {
        let mut parts: Vec<String> = self.input.iter().enumerate().map(|(i, x)| format!("(X_{i} {x})")).collect();
        for (name, outputs) in [("A", &self.first), ("B", &self.second)] {
            parts.extend(outputs.iter().enumerate().map(|(j, y)| format!("({name}_{j} {y:?})")));
        }
        format!("({})\n", parts.join("\n"))
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let begin = Instant::now();
    let inputs = [arguments.first.as_path(), &arguments.second, &arguments.spec];
    output::check(&inputs, &[arguments.certificate.as_ref()], arguments.json.as_ref())?;
    let device = arguments.device.opened().map_err(|source| CliError::Device { source })?;
    let display = Display::new(arguments.quiet, interrupt::listen()?);
    let networks = [onnx::read(&arguments.first)?, onnx::read(&arguments.second)?];
    let inputs = vnnlib::read(&arguments.spec)?;
    let question = match &arguments.delta {
        Some(delta) => Question::Within(delta.clone()),
        None => Question::SameClass { lead: arguments.lead.clone().unwrap_or_default(), least: arguments.least },
    };
    let settings = Settings {
        timeout: arguments.timeout.map(|limit| limit.saturating_sub(begin.elapsed())),
        threads: arguments.threads,
        seed: arguments.seed,
        without: arguments.without.clone(),
        device,
        ..Settings::default()
    };
    let files = Files { first: &arguments.first, second: &arguments.second, spec: &arguments.spec };
    let answer = decide(files, &networks, &inputs, &question, &settings, arguments.certificate.as_deref(), &display)?;
    display.clear();
    tell(arguments, &question, &answer, begin)
}

/// Where a question's networks and inputs come from.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// The first network.
    pub first: &'a std::path::Path,
    /// The second.
    pub second: &'a std::path::Path,
    /// The inputs.
    pub spec: &'a std::path::Path,
}

/// What was found out about two networks.
pub struct Answer {
    /// The verdict.
    pub agreement: Agreement,
    /// A point where they differ.
    pub difference: Option<Difference>,
    /// How the verdict came about.
    pub report: Report,
}

/// Decides a question, with a certificate if a file is named.
pub fn decide(
    files: Files<'_>,
    networks: &[Graph; 2],
    inputs: &secateur_nn::property::Property,
    question: &Question,
    settings: &Settings,
    certificate: Option<&std::path::Path>,
    display: &Display,
) -> Result<Answer, CliError> {
    let model = || files.second.to_owned();
    let fault = |source| match source {
        VerifyError::Pair(source) => {
            CliError::Pair { first: files.first.to_owned(), second: model(), source: Box::new(source) }
        }
        source => CliError::Verify { model: model(), source },
    };
    // What makes no pair leaves no file behind.
    let [first, second] = networks;
    let apart = Pair::new(first, second, inputs, question).map_err(|source| fault(source.into()))?;
    let digests = || Digests::of_pair(files.first, files.second, files.spec);
    let mut certificate = certificate.map(|file| Certificate::create(file, digests)).transpose()?;
    let tracer = certificate.as_mut().map(|certificate| certificate as &mut dyn Tracer);
    let (_, report) = equivalence([first, second], inputs, question, settings, display, tracer).map_err(fault)?;
    let difference = match &report.outcome {
        Outcome::Sat(found) => {
            let outputs = |graph: &Graph| -> Result<Vec<f64>, CliError> {
                let outputs = evaluate(graph, &found.input, Precision::ROUNDED);
                let outputs = outputs.map_err(|source| CliError::Check { model: model(), source })?;
                let middle = |y: &Enclosure| ((&y.lower + &y.upper) / RBig::from(2)).to_f64().value();
                Ok(outputs.iter().map(middle).collect())
            };
            let input = found.input.iter().map(decimal::print).collect();
            Some(Difference { input, first: outputs(&networks[0])?, second: outputs(&networks[1])? })
        }
        _ => None,
    };
    if let Some(certificate) = certificate {
        certificate.finish(&apart.graph, files.second, Semantics::Real, &report)?;
    }
    Ok(Answer { agreement: Agreement::of(&report.outcome), difference, report })
}

/// A question in words.
pub fn describe(question: &Question) -> String {
    match question {
        Question::Within(delta) => format!("delta {}", decimal::print(delta)),
        Question::SameClass { lead, least } => {
            let which = if *least { "least" } else { "greatest" };
            format!("same class, the {which} output with lead {}", decimal::print(lead))
        }
    }
}

/// Says what was found, on every channel that was asked for.
fn tell(arguments: &Arguments, question: &Question, answer: &Answer, begin: Instant) -> Result<Exit, CliError> {
    let mut text = format!("{}\n", answer.agreement.word());
    if let Some(difference) = &answer.difference {
        // Writing to a string does not fail.
        let _ = write!(text, "{}", difference.print());
    }
    let statistics = &answer.report.statistics;
    let record = output::json(&Record {
        first: arguments.first.display().to_string(),
        second: arguments.second.display().to_string(),
        property: arguments.spec.display().to_string(),
        question: describe(question),
        verdict: answer.agreement,
        reason: reason(&answer.report.outcome),
        difference: answer.difference.clone(),
        seed: arguments.seed,
        threads: arguments.threads,
        timeout: arguments.timeout.map(|limit| limit.as_secs_f64()),
        statistics: statistics.into(),
        seconds: begin.elapsed().as_secs_f64(),
        peak_memory: peak_memory(None),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })?;
    let instead = arguments.json.as_deref().is_some_and(output::is_dash);
    output::print(if instead { &record } else { &text })?;
    if let Some(reason) = reason(&answer.report.outcome) {
        eprintln!("{}: {reason}", answer.agreement.word());
    }
    if let Some(file) = arguments.json.as_deref().filter(|f| !output::is_dash(f)) {
        output::write(file, &record)?;
    }
    Ok(match answer.agreement {
        Agreement::Equivalent | Agreement::Different => Exit::Done,
        Agreement::Unknown | Agreement::Timeout => Exit::Undecided,
    })
}
