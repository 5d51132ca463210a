//! `secateur lm drop-layers`: whole blocks go.

use super::smaller::Pair;
use crate::error::CliError;
use crate::exit::Exit;
use clap::{ArgGroup, Args, ValueEnum};
use secateur_prune::depth::{Method, Params, Removal, Settings, dropped, listed, write, write_without};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Remove blocks of a model: the least useful ones by a method, or those that are named.
///
/// The result has the same tensor names and loads wherever the original does.
#[derive(Args)]
#[command(group(ArgGroup::new("how many").required(true).args(["blocks", "layers"])))]
pub struct Arguments {
    #[command(flatten)]
    pair: Pair,
    /// How blocks are chosen.
    #[arg(long, value_enum, default_value_t = Choice::ShortGpt)]
    method: Choice,
    /// Blocks of the result.
    #[arg(long, value_name = "N")]
    blocks: Option<usize>,
    /// Blocks to remove, from 0, with commas between them; for `--method list`.
    #[arg(long, value_name = "I,J", value_delimiter = ',')]
    layers: Vec<usize>,
    /// The text that short-gpt and sleb look at (UTF-8).
    #[arg(long, value_name = "TEXT", required_if_eq_any([("method", "short-gpt"), ("method", "sleb")]))]
    calibration: Option<PathBuf>,
}

/// How blocks are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Choice {
    /// Those that turn the stream least.
    ShortGpt,
    /// One by one, the block whose removal costs least.
    Sleb,
    /// Those with the smallest weights.
    Magnitude,
    /// By chance.
    Random,
    /// Those of `--layers`.
    List,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    method: Choice,
    calibration: Option<String>,
    seed: u64,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let Arguments { pair, method: choice, blocks, layers, calibration } = arguments;
    let begin = Instant::now();
    let mut task = pair.open()?;
    let dtype = pair.dtype(&task.checkpoint);
    let scored = |method, removal, depth| {
        let found = dropped(&task.checkpoint, depth, removal)?;
        write_without(&task.checkpoint, Some(method), found, pair.out(), dtype)
    };
    let written = match (choice, blocks) {
        (Choice::List, None) => {
            let found = listed(task.checkpoint.config().blocks, layers)?;
            write_without(&task.checkpoint, None, found, pair.out(), dtype)?
        }
        (Choice::Magnitude, Some(depth)) => scored(Method::Magnitude, Removal::Magnitude, *depth)?,
        (Choice::Random, Some(depth)) => scored(Method::Random, Removal::Random { seed: pair.seed() }, *depth)?,
        (Choice::ShortGpt | Choice::Sleb, Some(depth)) => {
            let method = if *choice == Choice::Sleb { Method::Sleb } else { Method::ShortGpt };
            let text = calibration.as_ref().ok_or(CliError::Layers)?;
            let sequences = task.sequences(text)?;
            let settings =
                Settings { method, blocks: *depth, params: Params::default(), seed: pair.seed(), recover: None };
            write(&task.checkpoint, &sequences, &settings, pair.out(), dtype)?
        }
        _ => return Err(CliError::Layers),
    };
    let asked = Asked {
        method: *choice,
        calibration: calibration.as_ref().map(|c| c.display().to_string()),
        seed: pair.seed(),
    };
    task.finish(&written, asked, calibration.as_deref(), begin)
}
