//! `secateur experiment`: tables and figures from a configuration, of pruning or (feature `full`) of bounds.

use crate::error::CliError;
use crate::exit::Exit;
use crate::{interrupt, output};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secateur_bench_suites::pruning;
use secateur_bench_suites::watcher::Watcher;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Run an experiment: measure what its configuration lists, and write record, table and plot.
///
/// Every measurement is on disk as soon as it is known; the same command goes on where the last run stopped. A configuration with a
/// `question` is one on pruning; the others compare bounds, which takes a build with the feature `full`.
#[derive(Args)]
pub struct Arguments {
    /// The configuration (TOML).
    config: PathBuf,
    /// The directory to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The directory of data sets.
    #[arg(long, value_name = "DIR", env = "SECATEUR_DATA")]
    data_dir: PathBuf,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

/// Shows which measurement is running.
struct Display {
    line: ProgressBar,
    stop: Arc<AtomicBool>,
}

impl Watcher for Display {
    fn measuring(&self, number: usize, all: usize, what: &str) {
        self.line.set_length(all as u64);
        self.line.set_position(number as u64);
        self.line.set_message(what.to_owned());
    }

    fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let target = if arguments.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let line = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}") {
        line.set_style(style);
    }
    let display = Display { line, stop: interrupt::listen()? };
    let table = measured(arguments, &display)?;
    display.line.finish_and_clear();
    output::print(&table)?;
    Ok(Exit::Done)
}

/// Runs the experiment; its table.
fn measured(arguments: &Arguments, display: &Display) -> Result<String, CliError> {
    let Arguments { config, out, data_dir, .. } = arguments;
    if pruning::asks(config)? {
        return Ok(pruning::summary::table(&pruning::run(config, data_dir, out, display)?));
    }
    bounds(arguments, display)
}

/// Runs an experiment on bounds; its table.
#[cfg(feature = "full")]
fn bounds(arguments: &Arguments, display: &Display) -> Result<String, CliError> {
    let Arguments { config, out, data_dir, .. } = arguments;
    Ok(secateur_bench_suites::experiment::run(config, data_dir, out, display)?.summary.table())
}

/// Says that this build has none.
#[cfg(not(feature = "full"))]
fn bounds(_: &Arguments, _: &Display) -> Result<String, CliError> {
    Err(CliError::NotBuilt { what: "experiments on bounds" })
}
