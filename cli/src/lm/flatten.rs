//! `secateur lm flatten`: neighbouring blocks become one.

use super::smaller::Pair;
use crate::error::CliError;
use crate::exit::Exit;
use clap::Args;
use secateur_prune::depth::{Activations, Lora, Method, Params, Settings, write};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Bring a model to fewer blocks by making one of similar neighbours.
///
/// The result has the same tensor names and sizes of blocks, and loads wherever the original does. Prints the cosines
/// between streams that blocks are grouped by, and says so where the model is unfit for it or the result collapsed.
/// `slice` makes the stream narrower instead, to as few parameters as so many blocks would have.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    pair: Pair,
    /// Blocks of the result.
    #[arg(long, value_name = "N")]
    blocks: usize,
    /// The text to calibrate on (UTF-8).
    #[arg(long, value_name = "TEXT")]
    calibration: PathBuf,
    /// flatten, flatten-naive (the channels that stay do not make up for the others), laco, slice.
    #[arg(long, value_name = "NAME", default_value = "flatten", value_parser = method)]
    method: Method,
    /// Ridge for channels, in mean second moments of theirs.
    #[arg(long, value_name = "X", default_value_t = Params::default().lambda)]
    lambda: f64,
    /// Calibrate on streams of the model as it is `compressed` so far, or of the `dense` original.
    #[arg(long, value_name = "WHICH", default_value_t = Activations::Compressed)]
    activations: Activations,
    /// Refit output projections to the heads that stay, with this ridge in mean second moments of theirs.
    #[arg(long, value_name = "R")]
    refit: Option<f64>,
    /// Train the result on the calibration text for so many epochs: low-rank additions to all matrices, then merged.
    #[arg(long, value_name = "EPOCHS")]
    recover: Option<usize>,
    /// Rank of the additions.
    #[arg(long, value_name = "N", default_value_t = Lora::default().rank, requires = "recover")]
    rank: usize,
    /// Size of the steps of their training.
    #[arg(long, value_name = "X", default_value_t = Lora::default().rate, requires = "recover")]
    rate: f64,
}

fn method(text: &str) -> Result<Method, String> {
    let found = text.parse::<Method>().ok();
    let known = [Method::Flatten, Method::FlattenNaive, Method::Laco, Method::Slice];
    let found = found.filter(|method| known.contains(method));
    found.ok_or_else(|| format!("expected {}; `drop-layers` has others", known.map(Method::name).join(", ")))
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    calibration: String,
    sequences: usize,
    length: usize,
    seed: u64,
    #[serde(flatten)]
    params: Params,
    recover: Option<Lora>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let Arguments { pair, blocks, calibration, method, lambda, activations, refit, recover, rank, rate } = arguments;
    let begin = Instant::now();
    let mut task = pair.open()?;
    let sequences = task.sequences(calibration)?;
    let params = Params { lambda: *lambda, activations: *activations, refit: *refit, ..Params::default() };
    let seed = pair.seed();
    let lora = |epochs| Lora { rank: *rank, rate: *rate, epochs, seed, ..Lora::default() };
    let recover = recover.map(lora);
    let settings = Settings { method: *method, blocks: *blocks, params, seed, recover };
    let written = write(&task.checkpoint, &sequences, &settings, pair.out(), pair.dtype(&task.checkpoint))?;
    let asked = Asked {
        calibration: calibration.display().to_string(),
        sequences: sequences.all().len(),
        length: sequences.longest(),
        seed,
        params,
        recover,
    };
    task.finish(&written, asked, Some(calibration), begin)
}
