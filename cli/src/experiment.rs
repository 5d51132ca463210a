//! `secateur experiment`: tables and figures from a configuration.

use crate::error::CliError;
use crate::exit::Exit;
use crate::{interrupt, output};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secateur_bench_suites::experiment::{self, Watcher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Run an experiment: measure what its configuration lists, and write record, table and plot.
///
/// Every measurement is on disk as soon as it is known; the same command goes on where the last run stopped.
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
    let record = experiment::run(&arguments.config, &arguments.data_dir, &arguments.out, &display)?;
    display.line.finish_and_clear();
    output::print(&record.summary.table())?;
    Ok(Exit::Done)
}
