//! Training between and after the steps of pruning.

use crate::error::CliError;
use crate::train::Bar;
use clap::{Args, ValueEnum};
use secateur_nn::data::Dataset;
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_nn::onnx;
use secateur_nn::train::{Optimiser, Schedule, Settings, StopReason, train};
use secateur_prune::pipeline::{Call, Recovery, Trainer};
use std::error::Error;
use std::path::PathBuf;

/// How a pruned network recovers.
#[derive(Args)]
#[group(id = "recovery")]
pub struct Options {
    /// Train N epochs after each step of the schedule, with Adam; what is removed stays 0.
    #[arg(long, value_name = "N", requires = "data")]
    pub finetune: Option<usize>,
    /// Where that training begins.
    #[arg(long, value_enum, default_value_t = From::Weights, requires = "finetune")]
    from: From,
    /// The early network whose weights --from early puts back (ONNX, the same architecture).
    #[arg(long, value_name = "FILE", requires = "finetune")]
    early: Option<PathBuf>,
    /// The first step size of that training; it falls along half a cosine.
    #[arg(long, value_name = "R", default_value_t = 1e-3, requires = "finetune")]
    rate: f64,
    /// Samples per step of that training.
    #[arg(long, value_name = "N", default_value_t = 128, requires = "finetune")]
    train_batch: usize,
    /// Worker threads of that training; 0 takes every core.
    #[arg(long, value_name = "N", value_parser = crate::verify::threads, default_value_t = 0)]
    threads: usize,
}

/// Where training begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// From the weights that are left.
    Weights,
    /// From the weights that an early network has in their places (rewinding).
    Early,
    /// From new random weights under the same masks (a control).
    Scratch,
}

impl Options {
    /// What happens after each step.
    ///
    /// # Errors
    /// The early network is missing, cannot be read or has another architecture.
    pub fn recovery(&self, graph: &Graph, seed: u64) -> Result<Recovery, CliError> {
        if self.early.is_some() != (self.from == From::Early) {
            return Err(CliError::Early);
        }
        Ok(match (self.finetune, self.from, &self.early) {
            (None, ..) => Recovery::None,
            (_, From::Scratch, _) => Recovery::Scratch { seed },
            (_, From::Early, Some(path)) => {
                let early = onnx::read(path)?;
                let shapes = |graph: &Graph| -> Vec<(String, Vec<usize>)> {
                    graph.nodes().map(|(_, node)| (node.name.clone(), node.shape.clone())).collect()
                };
                if shapes(graph) != shapes(&early) {
                    return Err(CliError::OtherArchitecture { path: path.clone() });
                }
                Recovery::RewindWeights { early: Box::new(early) }
            }
            _ => Recovery::FineTune,
        })
    }

    fn settings(&self, seed: u64) -> Settings {
        let epochs = self.finetune.unwrap_or(0);
        let mut schedule = Schedule::constant(self.rate);
        schedule.decay = secateur_nn::train::Decay::Cosine { least: 0.0 };
        let (batch, threads) = (self.train_batch, self.threads);
        Settings { epochs, batch, optimiser: Optimiser::adam(), schedule, seed, threads, ..Settings::default() }
    }
}

/// Trains on a data set.
pub struct Tuner<'a> {
    data: Option<&'a Dataset>,
    settings: Settings,
    bar: &'a Bar,
    /// Whether training was interrupted.
    pub interrupted: bool,
}

impl<'a> Tuner<'a> {
    /// A trainer by options; without data it leaves networks as they are.
    pub fn new(options: &Options, data: Option<&'a Dataset>, seed: u64, bar: &'a Bar) -> Self {
        Self { data, settings: options.settings(seed), bar, interrupted: false }
    }
}

impl Trainer for Tuner<'_> {
    fn train(&mut self, graph: Graph, masks: &Masks, _: Call) -> Result<Graph, Box<dyn Error + Send + Sync>> {
        let Some(data) = self.data.filter(|_| self.settings.epochs > 0 && !self.interrupted) else { return Ok(graph) };
        let report = train(&graph, data, None, masks, &self.settings, self.bar)?;
        self.interrupted |= report.stop == StopReason::Interrupted;
        Ok(report.graph)
    }
}
