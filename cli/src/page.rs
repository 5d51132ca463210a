//! `secateur page`: results files as a page of tables.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use clap::Args;
use secateur_bench_suites::page::{Run, tables};
use std::path::{Path, PathBuf};

/// Write what `bench` measured as a page in Markdown, beside what other tools or variants did.
///
/// Tables per suite: instances, verdicts, agreement, times and memory; then this tool beside each other one on the instances
/// that both ran. Files of other tools have the columns of `bench --results` (`bench-suites/peers/run_peers.py` writes them).
#[derive(Args)]
pub struct Arguments {
    /// Results of `bench`.
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// The name of these results on the page.
    #[arg(long, default_value = "secateur")]
    name: String,
    /// Results of another tool or variant.
    #[arg(long, value_name = "NAME=FILE", value_parser = named)]
    peer: Vec<(String, PathBuf)>,
    /// Write to a file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or_else(|| "expected NAME=FILE".to_owned())?;
    Ok((name.to_owned(), PathBuf::from(file)))
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let inputs: Vec<&Path> =
        arguments.results.iter().chain(arguments.peer.iter().map(|(_, file)| file)).map(PathBuf::as_path).collect();
    output::check(&inputs, &[arguments.out.as_ref()], None)?;
    let mut runs = vec![Run::read(&arguments.name, &arguments.results)?];
    for (name, file) in &arguments.peer {
        runs.push(Run::read(name, std::slice::from_ref(file))?);
    }
    let page = format!("# Results\n\n{}\n{}", machine(), tables(&runs));
    match &arguments.out {
        Some(path) => output::write(path, &page)?,
        None => output::print(&page)?,
    }
    Ok(Exit::Done)
}

/// The machine that this runs on, for who reads the times.
fn machine() -> String {
    let facts = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = facts.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let model = model.map_or("unknown processor", str::trim);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "secateur {} on {cores} cores ({model}); wall-clock time and memory of whole processes.\n",
        env!("CARGO_PKG_VERSION")
    )
}
