//! `secateur lm layer-game`: which blocks of a language model can go.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress::Steps;
use clap::Args;
use secateur_bench_suites::layers;
use std::path::PathBuf;

/// Find out which blocks can go, by layer pruning as a cooperative game and by other methods.
///
/// Writes a record, figures and a page. Every measurement is on disk as soon as it is known; the same command goes on where the
/// last run stopped.
#[derive(Args)]
pub struct Arguments {
    /// The configuration (TOML).
    config: PathBuf,
    /// The directory to write to; by default one beside the configuration, of its name.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Walks side by side; 0 for every core. Results do not depend on it.
    #[arg(long, value_name = "N", value_parser = crate::verify::threads, default_value_t = 0)]
    threads: usize,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let Arguments { config, out, threads, quiet } = arguments;
    let beside = config.with_extension("");
    let out = out.as_ref().unwrap_or(&beside);
    let display = Steps::new(*quiet)?;
    let page = layers::study(config, out, *threads, &display);
    display.clear();
    output::print(&page?)?;
    Ok(Exit::Done)
}
