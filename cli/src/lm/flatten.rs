//! `secateur lm flatten`: neighbouring blocks become one.

use super::smaller::{Calibration, Pair, Recovery};
use crate::error::CliError;
use crate::exit::Exit;
use clap::Args;
use secateur_prune::depth::{Activations, Lora, Method, Params, Settings, write};
use serde::Serialize;
use std::path::PathBuf;

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
    /// Ridge for channels, in mean second moments of theirs [default: 10]; for flatten.
    #[arg(long, value_name = "X")]
    lambda: Option<f64>,
    /// Calibrate on streams of the model as it is `compressed` so far, which is the default, or of the `dense` original; for
    /// flatten and flatten-naive.
    #[arg(long, value_name = "WHICH")]
    activations: Option<Activations>,
    /// Refit output projections to the heads that stay, with this ridge in mean second moments of theirs; for flatten.
    #[arg(long, value_name = "R")]
    refit: Option<f64>,
    #[command(flatten)]
    recovery: Recovery,
}

fn method(text: &str) -> Result<Method, String> {
    let found = text.parse::<Method>().ok();
    let known = [Method::Flatten, Method::FlattenNaive, Method::Laco, Method::Slice];
    let found = found.filter(|method| known.contains(method));
    found.ok_or_else(|| format!("expected {}; `drop-layers` has others", known.map(Method::name).join(", ")))
}

/// What was asked and used; missing is what a method does not read.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    #[serde(flatten)]
    calibration: Calibration,
    seed: u64,
    lambda: Option<f64>,
    activations: Option<Activations>,
    refit: Option<f64>,
    compensate: Option<bool>,
    recover: Option<Lora>,
}

impl Arguments {
    /// Refuses options that the method does not read.
    fn refuse_idle(&self) -> Result<(), CliError> {
        let full = self.method == Method::Flatten;
        let flat = full || self.method == Method::FlattenNaive;
        CliError::refuse_idle([
            (self.lambda.is_some() && !full, "--lambda", "is of --method flatten"),
            (self.refit.is_some() && !full, "--refit", "is of --method flatten"),
            (self.activations.is_some() && !flat, "--activations", "are of --method flatten and flatten-naive"),
        ])
    }

    fn settings(&self) -> Settings {
        let Arguments { pair, blocks, method, lambda, activations, refit, recovery, .. } = self;
        let usual = Params::default();
        let params = Params {
            lambda: lambda.unwrap_or(usual.lambda),
            activations: activations.unwrap_or(usual.activations),
            refit: *refit,
            ..usual
        };
        let seed = pair.seed();
        Settings { method: *method, blocks: *blocks, params, seed, recover: recovery.lora(seed) }
    }
}

impl Asked {
    fn of(settings: &Settings, calibration: Calibration) -> Self {
        let Settings { method, params, seed, recover, .. } = *settings;
        let full = method == Method::Flatten;
        let flat = full || method == Method::FlattenNaive;
        Self {
            calibration,
            seed,
            lambda: full.then_some(params.lambda),
            activations: flat.then_some(params.activations),
            refit: params.refit,
            compensate: flat.then_some(full),
            recover,
        }
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    arguments.refuse_idle()?;
    let Arguments { pair, calibration, .. } = arguments;
    let settings = arguments.settings();
    let mut task = pair.open(Some(calibration))?;
    settings.check(task.checkpoint.config().blocks)?;
    let sequences = task.sequences(calibration)?;
    task.measure(Some((calibration, &sequences)))?;
    let written = write(&task.checkpoint, Some(&sequences), &settings, task.target(), &task.display)?;
    task.finish(&written, Asked::of(&settings, Calibration::of(calibration, &sequences)))
}
