//! `secateur experiment`: tables and figures from a configuration, of pruning or (feature `full`) of bounds.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress::Steps;
use clap::Args;
use secateur_bench_suites::pruning;
use std::path::PathBuf;

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

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let display = Steps::new(arguments.quiet)?;
    let table = measured(arguments, &display)?;
    display.clear();
    output::print(&table)?;
    Ok(Exit::Done)
}

/// Runs the experiment; its table.
fn measured(arguments: &Arguments, display: &Steps) -> Result<String, CliError> {
    let Arguments { config, out, data_dir, .. } = arguments;
    if pruning::asks(config)? {
        return Ok(pruning::summary::table(&pruning::run(config, data_dir, out, display)?));
    }
    bounds(arguments, display)
}

/// Runs an experiment on bounds; its table.
#[cfg(feature = "full")]
fn bounds(arguments: &Arguments, display: &Steps) -> Result<String, CliError> {
    let Arguments { config, out, data_dir, .. } = arguments;
    Ok(secateur_bench_suites::experiment::run(config, data_dir, out, display)?.summary.table())
}

/// Says that this build has none.
#[cfg(not(feature = "full"))]
fn bounds(_: &Arguments, _: &Steps) -> Result<String, CliError> {
    Err(CliError::NotBuilt { what: "experiments on bounds" })
}
