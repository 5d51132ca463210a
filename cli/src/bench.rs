//! `secateur bench`: runs suites and compares with what is known.

use crate::error::CliError;
use crate::exit::Exit;
use crate::verify::seconds;
use crate::{interrupt, output};
use clap::Args;
use regex::Regex;
use secateur_bench_suites::child::Program;
use secateur_bench_suites::results::{ResultRow, Results};
use secateur_bench_suites::runner::{self, Settings, Summary, Watcher};
use secateur_bench_suites::suite::{Instance, Suite, discover};
use secateur_bench_suites::table::Table;
use secateur_bench_suites::verdict::{Agreement, Verdict};
use secateur_verify::Technique;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Run the instances of a suite, or of every suite in a directory, each in its own process.
///
/// A suite is a directory with `instances.csv` (network, property, limit in seconds) and, where verdicts are known,
/// `expected.csv` (network, property, verdict). Ctrl-C ends the run with a summary of what is done.
#[derive(Args)]
pub struct Arguments {
    /// A suite, or a directory of suites.
    directory: PathBuf,
    /// Cap on every instance's own limit, in seconds.
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Only instances whose `suite/network property` matches.
    #[arg(long, value_name = "RE")]
    filter: Option<Regex>,
    /// Write one CSV line per instance, each as soon as it is known.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Skip what the results file already holds.
    #[arg(long, requires = "results")]
    resume: bool,
    /// Verify again what was decided, with a certificate, and check that; tells what certificates cost.
    #[arg(long)]
    certificates: bool,
    /// Do without a technique, to see what it gains (see `verify`).
    #[arg(long, value_name = "TECHNIQUE")]
    without: Vec<Technique>,
    /// Worker threads of each verification; 0 takes every core.
    #[arg(long, value_name = "N", value_parser = crate::verify::threads, default_value_t = 0)]
    threads: usize,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let suites = discover(&arguments.directory)?;
    let (results, done) = open(arguments.results.as_deref(), arguments.resume)?;
    let path = std::env::current_exe().map_err(CliError::Program)?;
    let settings = Settings {
        program: Program {
            path,
            threads: arguments.threads,
            without: arguments.without.iter().map(Technique::to_string).collect(),
        },
        timeout: arguments.timeout,
        filter: arguments.filter.clone(),
        certificates: arguments.certificates,
    };
    let stop = interrupt::listen()?;
    let summary = runner::run(&suites, &settings, results, done, &stop, &mut Lines)?;
    output::print(&format!("\n{}", Table::of(&summary.rows)))?;
    conclude(&summary)
}

fn open(path: Option<&Path>, resume: bool) -> Result<(Option<Results>, Vec<ResultRow>), CliError> {
    match path {
        None => Ok((None, Vec::new())),
        Some(path) if resume => {
            let (results, done) = Results::resume(path)?;
            Ok((Some(results), done))
        }
        Some(path) => Ok((Some(Results::create(path)?), Vec::new())),
    }
}

/// Lists what must not be overlooked.
fn conclude(summary: &Summary) -> Result<Exit, CliError> {
    let mut failed = false;
    for row in &summary.rows {
        let expected = row.expected.map_or("nothing", Verdict::name);
        if row.verdict.compare(row.expected) == Agreement::Disagree {
            failed = true;
            output::print(&format!("DISAGREEMENT: {}: found {}, expected {expected}\n", name(row), row.verdict))?;
        } else if row.fault {
            failed = true;
            output::print(&format!("FAULT: {}: {}\n", name(row), row.detail))?;
        } else if !row.refused.is_empty() {
            failed = true;
            output::print(&format!("REFUSED: {}: {}\n", name(row), row.refused))?;
        }
    }
    if summary.interrupted {
        eprintln!("interrupted after {} instances", summary.rows.len());
    }
    Ok(match (failed, summary.interrupted) {
        (true, _) => Exit::Fault,
        (false, true) => Exit::Undecided,
        (false, false) => Exit::Done,
    })
}

fn name(row: &ResultRow) -> String {
    format!("{}/{} {}", row.suite, row.onnx, row.vnnlib)
}

/// One line per instance on standard output; on a terminal, the running one on standard error.
struct Lines;

impl Watcher for Lines {
    fn begin(&mut self, index: usize, total: usize, suite: &Suite, instance: &Instance) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K[{}/{total}] {}/{} {}", index + 1, suite.name, instance.onnx, instance.vnnlib);
        }
    }

    fn end(&mut self, row: &ResultRow) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        let agreement = row.verdict.compare(row.expected);
        let line = format!("{:7} {agreement:8} {:>9.3} s  {}  {}", row.verdict, row.seconds, name(row), row.detail);
        // A reader that has gone away does not end the run; the results file is what counts.
        let _ = output::print(&format!("{}\n", line.trim_end()));
    }
}
