//! `secateur lm drop-layers`: whole blocks go.

use super::smaller::{Calibration, Pair, Recovery};
use crate::error::CliError;
use crate::exit::Exit;
use clap::{ArgGroup, Args, ValueEnum};
use secateur_prune::depth::{Lora, Method, Params, Settings, listed, write, write_without};
use serde::Serialize;
use std::path::PathBuf;

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
    /// The text that short-gpt and sleb look at, and that the result recovers on (UTF-8).
    #[arg(long, value_name = "TEXT", required_if_eq_any([("method", "short-gpt"), ("method", "sleb")]))]
    calibration: Option<PathBuf>,
    #[command(flatten)]
    recovery: Recovery,
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

impl Choice {
    /// The method; none where blocks are named.
    fn method(self) -> Option<Method> {
        match self {
            Choice::ShortGpt => Some(Method::ShortGpt),
            Choice::Sleb => Some(Method::Sleb),
            Choice::Magnitude => Some(Method::Magnitude),
            Choice::Random => Some(Method::Random),
            Choice::List => None,
        }
    }
}

/// What was asked and used; missing is what a method does not read.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    method: Choice,
    #[serde(flatten)]
    calibration: Option<Calibration>,
    seed: Option<u64>,
    recover: Option<Lora>,
}

impl Arguments {
    /// Refuses options that would do nothing.
    fn refuse_idle(&self, recover: bool) -> Result<(), CliError> {
        let reads = recover || matches!(self.method, Choice::ShortGpt | Choice::Sleb);
        let why = "is for short-gpt, sleb and --recover; name the text to measure on with --text";
        CliError::refuse_idle([(self.calibration.is_some() && !reads, "--calibration", why)])?;
        self.pair.refuse_idle(self.calibration.is_some(), self.method == Choice::Random)
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let Arguments { pair, method: choice, blocks, layers, calibration, recovery } = arguments;
    let (seed, recover) = (pair.seed(), recovery.lora(pair.seed()));
    arguments.refuse_idle(recover.is_some())?;
    let settings = match (choice.method(), blocks) {
        (None, None) => None,
        (Some(method), Some(blocks)) => {
            Some(Settings { method, blocks: *blocks, params: Params::default(), seed, recover })
        }
        _ => return Err(CliError::Layers),
    };
    let mut task = pair.open(calibration.as_deref())?;
    let count = task.checkpoint.config().blocks;
    match &settings {
        Some(settings) => settings.check(count)?,
        None => {
            listed(count, layers)?;
            recover.as_ref().map_or(Ok(()), Lora::check)?;
        }
    }
    let sequences = calibration.as_ref().map(|text| task.sequences(text)).transpose()?;
    let calibrated = calibration.as_deref().zip(sequences.as_ref());
    task.measure(calibrated)?;
    let written = match &settings {
        Some(settings) => write(&task.checkpoint, sequences.as_ref(), settings, task.target(), &task.display)?,
        None => {
            let recovery = sequences.as_ref().zip(recover.as_ref());
            write_without(&task.checkpoint, layers, recovery, task.target(), &task.display)?
        }
    };
    let drawn = calibrated.is_some() || *choice == Choice::Random;
    let calibration = calibrated.map(|(text, sequences)| Calibration::of(text, sequences));
    task.finish(&written, Asked { method: *choice, calibration, seed: drawn.then_some(seed), recover })
}
