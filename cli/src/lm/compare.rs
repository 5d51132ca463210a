//! `secateur lm compare`: methods that make a model smaller, side by side.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress::Steps;
use clap::Args;
use secateur_bench_suites::depth;
use std::path::PathBuf;

/// Compare methods that make a model smaller: perplexity, parameters, bytes and speed over seeds.
///
/// Writes a record, figures and a page. Every measurement is on disk as soon as it is made; the same command goes on
/// where the last run stopped.
#[derive(Args)]
pub struct Arguments {
    /// The configuration (TOML).
    config: PathBuf,
    /// The directory to write to; by default one beside the configuration, of its name.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let Arguments { config, out, quiet } = arguments;
    let beside = config.with_extension("");
    let display = Steps::new(*quiet)?;
    let page = depth::study(config, out.as_ref().unwrap_or(&beside), &display);
    display.clear();
    output::print(&page?)?;
    Ok(Exit::Done)
}
