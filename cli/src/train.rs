//! `secateur train`: fits a network to data.

use crate::error::CliError;
use crate::exit::Exit;
use crate::{interrupt, output};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secateur_bench_suites::record::{EpochRecord, TrainRecord, peak_memory};
use secateur_nn::data::table::{Columns, Kind, read_table};
use secateur_nn::data::{Augmentation, DataSet, Dataset, images};
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_nn::models::{self, Gru, ResNet, Transformer};
use secateur_nn::onnx;
use secateur_nn::train::{
    Decay, Evaluation, Loss, Observer, Optimiser, Progress, Report, Schedule, Settings, StopReason, check_fit,
    evaluate_with, parameters, train,
};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Train a network, or go on training one that is stored as ONNX.
///
/// Prints loss and accuracy on the test data, epochs, seconds and parameters; `-o` writes the network. Networks for mnist and
/// cifar take pixels in [0, 1], as `robust` does. The same seed gives the same weights with any number of threads, on the same
/// processor. Ctrl-C ends training after the step at hand; with --checkpoint, --resume goes on from the last whole epoch.
#[derive(Args)]
pub struct Arguments {
    /// The network: mlp:A-B-…-C (widths), lenet300, lenet5, resnet20 or resnet20:W (channels of the first stage, else 16),
    /// transformer or transformer:W, gru or gru:W (width; an image is a sequence of its rows), or a file FILE.onnx, perhaps gzipped.
    #[arg(long, value_name = "NETWORK")]
    model: Model,
    /// The data: mnist, cifar, or a CSV file of numbers, perhaps with a header.
    #[arg(long, value_name = "SET")]
    data: String,
    /// The directory of data sets, for mnist and cifar.
    #[arg(long, value_name = "DIR", env = "SECATEUR_DATA")]
    data_dir: Option<PathBuf>,
    /// Test data for a CSV file, in its columns; a fifth of the lines, by seed, if not given.
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// The CSV file's column to predict: its name in the header, or its number from 0.
    #[arg(long, value_name = "COLUMN", default_value = "0")]
    target: String,
    /// Factor of every number of a CSV file that is not the target, such as 1/255 for pixels.
    #[arg(long, value_name = "F", default_value = "1", value_parser = quotient)]
    scale: f64,
    /// Passes over the data.
    #[arg(long, value_name = "N", default_value_t = 10)]
    epochs: usize,
    /// Samples per step.
    #[arg(long, value_name = "N", default_value_t = 128)]
    batch: usize,
    /// The rule by which gradients change weights.
    #[arg(long, value_enum, default_value_t = Rule::Adam)]
    optimiser: Rule,
    /// The largest step size; 0.05 for sgd and 0.001 for the others if not given.
    #[arg(long, value_name = "R", value_parser = quotient)]
    rate: Option<f64>,
    /// Momentum of sgd.
    #[arg(long, value_name = "M", default_value_t = 0.9)]
    momentum: f64,
    /// Let sgd look ahead along its momentum.
    #[arg(long)]
    nesterov: bool,
    /// Weight decay; 0.01 for adamw and 0 for the others if not given.
    #[arg(long, value_name = "L")]
    weight_decay: Option<f64>,
    /// The step size over time: constant, cosine, step:E:F (times F every E epochs) or one-cycle.
    #[arg(long, value_name = "SCHEDULE", default_value = "cosine", value_parser = decay)]
    schedule: Decay,
    /// Steps of linear warm-up.
    #[arg(long, value_name = "N", default_value_t = 0)]
    warmup: usize,
    /// Shorten gradients to this Euclidean norm.
    #[arg(long, value_name = "NORM")]
    clip: Option<f64>,
    /// Stop after N epochs without a smaller loss on validation data, and keep the best weights.
    #[arg(long, value_name = "N")]
    patience: Option<usize>,
    /// Share of the training data that is kept for validation; a tenth if not given and --patience is, else none.
    #[arg(long, value_name = "SHARE")]
    validation: Option<f64>,
    /// What is minimised: cross-entropy, cross-entropy:S (label smoothing S), mse, or huber:D.
    #[arg(long, value_name = "LOSS", default_value = "cross-entropy", value_parser = loss)]
    loss: Loss,
    /// Mirror half of the images.
    #[arg(long)]
    flip: bool,
    /// Shift images by up to N pixels.
    #[arg(long, value_name = "N", default_value_t = 0)]
    crop: usize,
    /// How weights begin.
    #[arg(long, value_enum, default_value_t = Initialisation::Uniform)]
    init: Initialisation,
    /// Seed of the weights, the order of the data and their changes.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Worker threads of training; 0 takes every core.
    #[arg(long, value_name = "N", value_parser = crate::verify::threads, default_value_t = 0)]
    threads: usize,
    /// Write the state after every epoch (safetensors).
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Go on from the checkpoint where there is one.
    #[arg(long, requires = "checkpoint")]
    resume: bool,
    /// Write the trained network (ONNX).
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a record of the run as JSON to a file, or with `-` to standard output instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

/// A rule by which gradients change weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rule {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Adam.
    Adam,
    /// Adam with decoupled weight decay.
    Adamw,
}

/// How weights begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Initialisation {
    /// PyTorch's default for linear layers and convolutions.
    Uniform,
    /// Normal, by He et al.
    He,
    /// Normal, by Glorot and Bengio.
    Xavier,
}

/// A network to start from.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    Mlp(Vec<usize>),
    Lenet300,
    Lenet5,
    Resnet20(usize),
    Transformer(usize),
    Gru(usize),
    File(PathBuf),
}

impl FromStr for Model {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = text.split_once(':').map_or((text, None), |(name, number)| (name, Some(number)));
        let widths =
            |text: &str| text.split('-').map(|w| w.parse().ok().filter(|w| *w > 0)).collect::<Option<Vec<usize>>>();
        let width = |default: usize| match number {
            None => Ok(default),
            Some(text) => {
                text.parse().ok().filter(|w| *w > 0).ok_or_else(|| format!("expected a width after `{name}:`"))
            }
        };
        match (name, number) {
            ("mlp", Some(text)) => match widths(text).filter(|w| w.len() >= 2) {
                Some(widths) => Ok(Model::Mlp(widths)),
                None => Err("expected widths such as mlp:784-300-100-10".to_owned()),
            },
            ("lenet300", None) => Ok(Model::Lenet300),
            ("lenet5", None) => Ok(Model::Lenet5),
            ("resnet20", _) => Ok(Model::Resnet20(width(16)?)),
            ("transformer", _) => match width(64)? {
                width if width % 4 == 0 => Ok(Model::Transformer(width)),
                _ => Err("expected a multiple of the four heads after `transformer:`".to_owned()),
            },
            ("gru", _) => Ok(Model::Gru(width(64)?)),
            _ if Path::new(text).extension().is_some() => Ok(Model::File(PathBuf::from(text))),
            _ => Err("expected mlp:A-B-…, lenet300, lenet5, resnet20, transformer, gru or a file".to_owned()),
        }
    }
}

impl Model {
    /// The network, for samples such as those of `data`.
    fn build(&self, data: &Dataset, how: models::Initialisation, seed: u64) -> Result<Graph, CliError> {
        let (shape, classes) = (data.shape(), data.output_size());
        // An image is a sequence of its rows, a line of a table one of its numbers.
        let features = if shape.len() > 1 { shape[shape.len() - 1] } else { 1 };
        let length = data.input_size() / features;
        Ok(match *self {
            Model::Mlp(ref widths) => models::mlp(widths, how, seed)?,
            Model::Lenet300 => models::lenet_300_100(how, seed)?,
            Model::Lenet5 => models::lenet_5(how, seed)?,
            Model::Resnet20(width) => {
                let image = shape.try_into().unwrap_or([3, 32, 32]);
                ResNet { image, classes, ..ResNet::cifar_20(width) }.build(how, seed)?
            }
            Model::Transformer(width) => {
                let (heads, hidden, blocks) = (4, 2 * width, 2);
                Transformer { length, features, width, heads, hidden, blocks, classes }.build(how, seed)?
            }
            Model::Gru(hidden) => Gru { length, features, hidden, classes }.build(how, seed)?,
            Model::File(ref path) => onnx::read(path)?,
        })
    }
}

fn quotient(text: &str) -> Result<f64, String> {
    let (a, b) = text.split_once('/').unwrap_or((text, "1"));
    let value = a.trim().parse::<f64>().ok().zip(b.trim().parse::<f64>().ok()).map(|(a, b)| a / b);
    value
        .filter(|v| *v > 0.0 && v.is_finite())
        .ok_or_else(|| "expected a positive decimal or a quotient such as 1/255".to_owned())
}

fn decay(text: &str) -> Result<Decay, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let found = match parts.as_slice() {
        ["constant"] => Some(Decay::Constant),
        ["cosine"] => Some(Decay::Cosine { least: 0.0 }),
        ["one-cycle"] => Some(Decay::OneCycle),
        ["step", epochs, factor] => {
            epochs.parse().ok().zip(factor.parse().ok()).map(|(epochs, factor)| Decay::Step { epochs, factor })
        }
        _ => None,
    };
    found.ok_or_else(|| "expected constant, cosine, step:EPOCHS:FACTOR or one-cycle".to_owned())
}

fn loss(text: &str) -> Result<Loss, String> {
    let found = match text.split_once(':') {
        None if text == "cross-entropy" => Some(Loss::CrossEntropy { smoothing: 0.0 }),
        None if text == "mse" => Some(Loss::MeanSquaredError),
        Some(("cross-entropy", smoothing)) => smoothing.parse().ok().map(|smoothing| Loss::CrossEntropy { smoothing }),
        Some(("huber", delta)) => delta.parse().ok().map(|delta| Loss::Huber { delta }),
        _ => None,
    };
    found.ok_or_else(|| "expected cross-entropy, cross-entropy:SMOOTHING, mse or huber:LIMIT".to_owned())
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let begin = Instant::now();
    // A network may be trained in place.
    let inputs: Vec<&Path> = arguments.test.iter().map(PathBuf::as_path).chain([Path::new(&arguments.data)]).collect();
    output::check(&inputs, &[arguments.output.as_ref(), arguments.checkpoint.as_ref()], arguments.json.as_ref())?;
    let settings = arguments.settings();
    settings.check()?;
    let (data, test) = arguments.load()?;
    let share = arguments.validation.or(arguments.patience.map(|_| 0.1)).filter(|share| *share > 0.0);
    let (validation, data) = match share {
        Some(share) if share < 1.0 => data.split(share, arguments.seed).map(|(a, b)| (Some(a), b))?,
        Some(share) => return Err(CliError::Share { share }),
        None => (None, data),
    };
    let graph = arguments.model.build(&data, arguments.init.how(), arguments.seed)?;
    check_fit(&graph, &test, &settings.loss)?;
    let bar = Bar::new(arguments.quiet, interrupt::listen()?);
    let report = train(&graph, &data, validation.as_ref(), &Masks::default(), &settings, &bar);
    bar.clear();
    let report = report?;
    if let Some(path) = &arguments.output {
        onnx::write(&report.graph, path)?;
    }
    let found = evaluate_with(&report.graph, &test, &settings.loss)?;
    arguments.answer(&report, found, &settings, begin)
}

impl Initialisation {
    fn how(self) -> models::Initialisation {
        match self {
            Initialisation::Uniform => models::Initialisation::Uniform,
            Initialisation::He => models::Initialisation::He,
            Initialisation::Xavier => models::Initialisation::Xavier,
        }
    }
}

impl Arguments {
    fn settings(&self) -> Settings {
        let default = match self.optimiser {
            Rule::Sgd => 0.05,
            Rule::Adam | Rule::Adamw => 1e-3,
        };
        let decayed = |default: f64| self.weight_decay.unwrap_or(default);
        let adam =
            |weight_decay, decoupled| Optimiser::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay, decoupled };
        let optimiser = match self.optimiser {
            Rule::Sgd => {
                Optimiser::Sgd { momentum: self.momentum, nesterov: self.nesterov, weight_decay: decayed(0.0) }
            }
            Rule::Adam => adam(decayed(0.0), false),
            Rule::Adamw => adam(decayed(0.01), true),
        };
        Settings {
            epochs: self.epochs,
            batch: self.batch,
            optimiser,
            schedule: Schedule {
                rate: self.rate.unwrap_or(default),
                warmup: self.warmup,
                decay: self.schedule.clone(),
            },
            loss: self.loss.clone(),
            clip: self.clip,
            augmentation: Augmentation { flip: self.flip, crop: self.crop },
            patience: self.patience,
            seed: self.seed,
            threads: self.threads,
            checkpoint: self.checkpoint.clone(),
            resume: self.resume,
            ..Settings::default()
        }
    }

    /// Training and test data.
    fn load(&self) -> Result<(Dataset, Dataset), CliError> {
        match self.data.parse::<DataSet>() {
            Ok(set) => {
                let directory = self.data_dir.as_deref().ok_or(CliError::NoDataDirectory { set })?;
                let dataset = |part: &str, found: &[images::Image]| {
                    images::dataset(&format!("{set} ({part})"), found, &set.shape(), 10)
                };
                let train = dataset("training", &images::load_training(set, directory)?)?;
                Ok((train, dataset("test", &images::load(set, directory)?)?))
            }
            Err(unknown) if Path::new(&self.data).extension().is_none() => Err(unknown.into()),
            Err(_) => {
                let kind = if self.loss.takes_classes() { Kind::Classes } else { Kind::Values };
                let columns = Columns { target: self.target.clone(), kind, scale: self.scale as f32 };
                let data = read_table(Path::new(&self.data), &columns)?;
                match &self.test {
                    Some(file) => Ok((data, read_table(file, &columns)?)),
                    None => Ok(data.split(0.2, self.seed).map(|(test, train)| (train, test))?),
                }
            }
        }
    }

    /// Says how it went, on every channel that was asked for.
    fn answer(&self, report: &Report, test: Evaluation, settings: &Settings, begin: Instant) -> Result<Exit, CliError> {
        let Report { graph, history, best, stop } = report;
        let entries = |id| graph.node(id).shape.iter().product::<usize>();
        let epoch = |e: &secateur_nn::train::Epoch| EpochRecord {
            epoch: e.epoch,
            rate: e.rate,
            loss: e.loss,
            accuracy: e.accuracy,
            validation_loss: e.validation.map(|v| v.loss),
            validation_accuracy: e.validation.and_then(|v| v.accuracy),
            seconds: e.seconds,
        };
        let stop_name = match stop {
            StopReason::Finished => "finished",
            StopReason::NoImprovement => "no-improvement",
            StopReason::Interrupted => "interrupted",
        };
        let record = TrainRecord {
            data: self.data.clone(),
            settings: format!("{settings:?}"),
            parameters: parameters(graph).into_iter().map(entries).sum(),
            test_loss: test.loss,
            test_accuracy: test.accuracy,
            epochs: history.iter().map(epoch).collect(),
            best: *best,
            stop: stop_name.to_owned(),
            seconds: begin.elapsed().as_secs_f64(),
            peak_memory: peak_memory(None),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let json = output::json(&record)?;
        if self.json.as_deref().is_some_and(output::is_dash) {
            output::print(&json)?;
        } else {
            let accuracy = test.accuracy.map_or_else(String::new, |a| format!("test accuracy {a:.4}\n"));
            let kept = best.map_or_else(String::new, |epoch| format!(" (weights of epoch {epoch})"));
            let TrainRecord { test_loss, parameters, seconds, .. } = &record;
            output::print(&format!(
                "{accuracy}test loss {test_loss:.5}\nepochs {}{kept}\nseconds {seconds:.1}\nparameters {parameters}\n",
                history.len()
            ))?;
        }
        if let Some(file) = self.json.as_deref().filter(|f| !output::is_dash(f)) {
            output::write(file, &json)?;
        }
        if *stop == StopReason::Interrupted {
            eprintln!("interrupted after {} of {} epochs", history.len(), self.epochs);
            return Ok(Exit::Undecided);
        }
        Ok(Exit::Done)
    }
}

/// A run on standard error, silent unless that is a terminal; ends it when asked to.
/// Progress of training on standard error.
pub struct Bar {
    line: ProgressBar,
    stop: Arc<AtomicBool>,
}

impl Bar {
    /// A bar that ends training when the flag is raised.
    pub fn new(quiet: bool, stop: Arc<AtomicBool>) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let line = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {msg} {per_sec} {eta}") {
            line.set_style(style);
        }
        Self { line, stop }
    }

    /// Takes it off the terminal.
    pub fn clear(&self) {
        self.line.finish_and_clear();
    }
}

impl Observer for Bar {
    fn step(&self, progress: &Progress) {
        if self.line.is_hidden() {
            return;
        }
        let Progress { epoch, epochs, samples, all, loss, accuracy, rate } = progress;
        let accuracy = accuracy.map_or_else(String::new, |a| format!(", accuracy {a:.4}"));
        self.line.set_length((all * epochs) as u64);
        self.line.set_position((all * (epoch - 1) + samples) as u64);
        self.line.set_prefix(format!("epoch {epoch}/{epochs}"));
        self.line.set_message(format!("loss {loss:.4}{accuracy}, rate {rate:.1e}"));
    }

    fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_networks() {
        assert_eq!("mlp:4-3".parse(), Ok(Model::Mlp(vec![4, 3])));
        assert_eq!("resnet20".parse(), Ok(Model::Resnet20(16)));
        assert_eq!("gru:8".parse(), Ok(Model::Gru(8)));
        assert_eq!("a/b.onnx".parse(), Ok(Model::File("a/b.onnx".into())));
        for bad in ["mlp", "mlp:4", "mlp:4-0", "mlp:4-x", "lenet", "resnet20:0", "transformer:6", "gru:"] {
            assert!(bad.parse::<Model>().is_err(), "{bad}");
        }
    }

    #[test]
    fn schedules_and_losses() {
        assert_eq!(decay("step:3:0.5"), Ok(Decay::Step { epochs: 3, factor: 0.5 }));
        assert!(decay("step:3").is_err() && decay("linear").is_err());
        assert_eq!(loss("huber:2"), Ok(Loss::Huber { delta: 2.0 }));
        assert!(loss("huber").is_err() && loss("mse:1").is_err());
        assert_eq!(quotient("1/4"), Ok(0.25));
        assert!(quotient("1/0").is_err() && quotient("-1").is_err() && quotient("").is_err());
    }
}
