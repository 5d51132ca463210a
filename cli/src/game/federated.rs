//! `secateur game federated`: shares of those who train together.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress::Steps;
use clap::Args;
use secateur_bench_suites::federated;
use std::path::PathBuf;

/// Train the models of coalitions, and divide what all together gain.
///
/// Writes a record, the game, figures and a page. Every training is on disk as soon as it is over; the same command goes on where
/// the last run stopped.
#[derive(Args)]
pub struct Arguments {
    /// The configuration (TOML).
    config: PathBuf,
    /// The directory to write to; by default one beside the configuration, of its name.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The directory of data sets.
    #[arg(long, value_name = "DIR", env = "SECATEUR_DATA")]
    data_dir: Option<PathBuf>,
    /// Trainings side by side; 0 for every core. Results do not depend on it.
    #[arg(long, value_name = "N", value_parser = crate::verify::threads, default_value_t = 0)]
    threads: usize,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let Arguments { config, out, data_dir, threads, quiet } = arguments;
    let beside = config.with_extension("");
    let out = out.as_ref().unwrap_or(&beside);
    let display = Steps::new(*quiet)?;
    let page = federated::study(config, data_dir.as_deref(), out, *threads, &display);
    display.clear();
    output::print(&page?)?;
    Ok(Exit::Done)
}
