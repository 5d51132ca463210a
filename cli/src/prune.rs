//! `secateur prune`: a smaller or sparser network, and what it gains.

mod certify;
mod recovery;
mod report;
mod tensors;

use crate::equiv::{self, Agreement, Answer};
use crate::error::CliError;
use crate::exit::Exit;
use crate::progress::Display;
use crate::samples::{self, Normalisation, Samples};
use crate::train::Bar;
use crate::{interrupt, output};
use clap::Args;
use recovery::Tuner;
use report::{CertifiedRecord, CompactionRecord, Measured, Record, table};
use secateur_check::Question;
use secateur_nn::data::Dataset;
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_nn::onnx;
use secateur_nn::safetensors::{self, Safetensors, Stored};
use secateur_nn::train::{Loss, check_fit};
use secateur_prune::cost::{cost, densities, latency, uncounted};
use secateur_prune::crossover::speeds;
use secateur_prune::pipeline::{self, Schedule};
use secateur_prune::structured::disagreement;
use secateur_prune::{Allocation, Budget, Calibration, Method, Needs, PruneError, Scope, Settings, Targets, compact};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Prune a network, and measure what that gains.
///
/// Prints parameters, bytes, multiply-adds, measured latency and the density of every layer, before and after; with labelled
/// data also accuracy. MODEL is an ONNX network, or a safetensors file for the methods that look at weights alone.
#[derive(Args)]
pub struct Arguments {
    /// The network (ONNX, may be gzipped) or its tensors (`.safetensors`).
    model: PathBuf,
    /// random, magnitude, l1, l2, taylor, taylor2, snip, grasp, grasp-abs, synflow, wanda, sparsegpt or nystrom.
    #[arg(long, value_name = "M", value_parser = parsed::<Method>)]
    method: Method,
    /// The share to remove, from 0 up to but without 1; an N:M scope has its own.
    #[arg(long, value_name = "S", required_unless_present = "scope")]
    sparsity: Option<f64>,
    /// What is removed as a whole: weight, N:M (such as 2:4), neuron, channel, head or block.
    #[arg(long, value_name = "SCOPE", default_value = "weight", value_parser = parsed::<Scope>)]
    scope: Scope,
    /// How layers share: global, uniform, row or erk; the method's own if not given.
    #[arg(long, value_name = "B", value_parser = parsed::<Allocation>)]
    budget: Option<Allocation>,
    /// Calibration data with labels: mnist, cifar, or a CSV file of label and pixels 0–255.
    #[arg(long, value_name = "SET")]
    data: Option<String>,
    /// The directory of data sets, for mnist and cifar.
    #[arg(long, value_name = "DIR", env = "SECATEUR_DATA")]
    data_dir: Option<PathBuf>,
    /// Samples to calibrate on; accuracy is measured on others.
    #[arg(long, value_name = "N", default_value_t = 128)]
    samples: usize,
    /// What the network wants subtracted from pixels in [0, 1]: one number per channel, or one for all.
    #[arg(long, value_name = "M,…", value_delimiter = ',', value_parser = finite, allow_hyphen_values = true)]
    mean: Vec<f32>,
    /// What it then wants them divided by: one number per channel, or one for all.
    #[arg(long, value_name = "S,…", value_delimiter = ',', value_parser = positive)]
    std: Vec<f32>,
    /// Rounds: of scoring with oneshot (100 for synflow, else 1, if not given), steps of the other schedules (10).
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How the sparsity grows: oneshot, iterative (by the same factor each step) or cubic.
    #[arg(long, value_name = "SCHEDULE", default_value = "oneshot", value_parser = parsed::<Schedule>)]
    schedule: Schedule,
    #[command(flatten)]
    recovery: recovery::Options,
    #[command(flatten)]
    certify: certify::Options,
    /// Seed of random scores, of training and of the verifier's attacks.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Refuse to remove whole layers, or keep the best unit of each, instead of reporting it.
    #[arg(long)]
    keep_layers: bool,
    /// Remove neurons, channels, heads and layers that nothing is left of, so that tensors get smaller.
    #[arg(long)]
    compact: bool,
    /// Inputs per evaluation where latency is measured.
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// Where the pruned network is written.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Write the masks as truth values.
    #[arg(long, value_name = "FILE.safetensors")]
    mask: Option<PathBuf>,
    /// Write a record of the run as JSON to a file, or with `-` to standard output instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

fn parsed<T: std::str::FromStr<Err = PruneError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: PruneError| error.to_string())
}

/// The largest relative difference between the masked and the compacted network that is taken for rounding to `f32`.
const ROUNDING: f64 = 1e-5;

fn finite(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|v: &f32| v.is_finite()).ok_or_else(|| "expected a number".to_owned())
}

fn positive(text: &str) -> Result<f32, String> {
    finite(text).ok().filter(|v| *v > 0.0).ok_or_else(|| "expected a positive number".to_owned())
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let files = [Some(&arguments.output), arguments.mask.as_ref(), arguments.certify.certificate.as_ref()];
    let inputs: Vec<&Path> = arguments.data.iter().map(Path::new).chain([arguments.model.as_path()]).collect();
    output::check(&inputs, &files, arguments.json.as_ref())?;
    let settings = settings(arguments)?;
    if arguments.model.extension().is_some_and(|e| e == "safetensors") {
        return tensors::run(arguments, &settings);
    }
    let graph = onnx::read(&arguments.model)?;
    let question = arguments.certify.question()?;
    let data = load(arguments, &graph)?;
    let stop = interrupt::listen()?;
    let (bar, display) =
        (Bar::new(arguments.quiet, Arc::clone(&stop)), Display::new(arguments.quiet, Arc::clone(&stop)));
    let task =
        Task { arguments, graph: &graph, data: &data, question: question.as_ref(), bar: &bar, display: &display };
    let (made, settings) = match arguments.certify.largest {
        true => task.largest(&settings)?,
        false => (task.make(&settings, arguments.certify.certificate.as_deref())?, settings),
    };
    bar.clear();
    let Made { outcome, pruned, compaction, answer, interrupted } = made;
    if let Some(path) = &arguments.mask {
        write_masks(&outcome.pruned.masks, path)?;
    }
    let calibration = task.calibration(&settings);
    let record = Record {
        method: settings.method.name(),
        scope: settings.budget.scope.to_string(),
        budget: settings.budget.allocation.to_string(),
        sparsity: 1.0 - settings.budget.density(),
        schedule: scheduled(arguments).to_string(),
        rounds: settings.rounds,
        seed: settings.seed,
        finetuned_epochs: arguments.recovery.finetune.unwrap_or(0),
        data: arguments.data.clone(),
        mean: arguments.mean.clone(),
        std: arguments.std.clone(),
        calibration_samples: calibration.map_or(0, Calibration::len),
        accuracy_samples: data.evaluation.as_ref().map_or(0, Calibration::len),
        samples_apart: data.apart || calibration.is_none(),
        certified: answer.as_ref().zip(question.as_ref()).map(|(answer, (question, _))| CertifiedRecord {
            question: equiv::describe(question),
            verdict: answer.agreement,
            difference: answer.difference.clone(),
            subproblems: answer.report.statistics.domains,
            seconds: answer.report.statistics.seconds,
        }),
        before: measured(&graph, &arguments.model, arguments.batch, data.evaluation.as_ref())?,
        after: measured(&pruned, &arguments.output, arguments.batch, data.evaluation.as_ref())?,
        steps: outcome.steps.iter().map(|step| step.kept).collect(),
        collapsed: outcome.pruned.collapsed,
        compaction,
        speeds: match speeds(&pruned, arguments.batch) {
            // Everything was folded away.
            Err(PruneError::NothingToPrune) => Vec::new(),
            other => other?,
        },
        uncounted: uncounted(&graph),
        version: env!("CARGO_PKG_VERSION"),
    };
    self::answer(arguments, &record, &table(&record))?;
    let undecided = answer.is_some_and(|a| matches!(a.agreement, Agreement::Unknown | Agreement::Timeout));
    if interrupted {
        eprintln!("interrupted: the network was written as it was then");
    }
    Ok(if interrupted || undecided { Exit::Undecided } else { Exit::Done })
}

/// What is pruned, by what, and what is asked of it.
struct Task<'a> {
    arguments: &'a Arguments,
    graph: &'a Graph,
    data: &'a Data,
    question: Option<&'a (Question, &'a Path)>,
    bar: &'a Bar,
    display: &'a Display,
}

/// A pruned network, as it was written.
struct Made {
    outcome: pipeline::Outcome,
    pruned: Graph,
    compaction: Option<CompactionRecord>,
    answer: Option<Answer>,
    interrupted: bool,
}

impl Task<'_> {
    fn calibration(&self, settings: &Settings) -> Option<&Calibration> {
        (settings.method.needs() > Needs::Nothing).then_some(self.data.calibration.as_ref()).flatten()
    }

    /// Prunes, trains, compacts, writes and verifies.
    fn make(&self, settings: &Settings, certificate: Option<&Path>) -> Result<Made, CliError> {
        let arguments = self.arguments;
        let recovery = arguments.recovery.recovery(self.graph, settings.seed)?;
        let mut tuner = Tuner::new(&arguments.recovery, self.data.training.as_ref(), settings.seed, self.bar);
        let calibration = self.calibration(settings);
        let outcome = pipeline::run(self.graph, calibration, settings, scheduled(arguments), &recovery, &mut tuner)?;
        let interrupted = tuner.interrupted;
        let masked = outcome.pruned.graph.clone();
        let (pruned, compaction) = if arguments.compact { compacted(&masked)? } else { (masked, None) };
        onnx::write(&pruned, &arguments.output)?;
        let original = (self.graph, arguments.model.as_path());
        let answer = self
            .question
            .map(|(question, spec)| {
                let certify = &arguments.certify;
                let about = (question, *spec);
                certify.decide(original, &arguments.output, about, settings.seed, certificate, self.display)
            })
            .transpose()?;
        Ok(Made { outcome, pruned, compaction, answer, interrupted })
    }

    /// The greatest sparsity, of those that bisection meets, at which the pruned network is shown to be equivalent.
    fn largest(&self, settings: &Settings) -> Result<(Made, Settings), CliError> {
        let at = |sparsity: f64| Settings { budget: Budget { sparsity, ..settings.budget }, ..*settings };
        let equivalent = |made: &Made| made.answer.as_ref().is_some_and(|a| a.agreement == Agreement::Equivalent);
        let (mut low, mut high) = (0.0, settings.budget.sparsity);
        let mut next = high;
        for _ in 0..=BISECTIONS {
            if equivalent(&self.make(&at(next), None)?) {
                low = next;
            } else {
                high = next;
            }
            if low == high {
                break;
            }
            next = 0.5 * (low + high);
        }
        Ok((self.make(&at(low), self.arguments.certify.certificate.as_deref())?, at(low)))
    }
}

/// Halvings of the range of sparsities.
const BISECTIONS: usize = 7;

/// What the options say.
fn settings(arguments: &Arguments) -> Result<Settings, CliError> {
    let (method, scope) = (arguments.method, arguments.scope);
    let sparsity = match (arguments.sparsity, scope) {
        (Some(sparsity), _) => sparsity,
        (None, Scope::Pattern { n, m }) => 1.0 - n as f64 / m as f64,
        (None, _) => return Err(CliError::NoSparsity),
    };
    if let (Some(_), Scope::Pattern { n, m }) = (arguments.sparsity, scope) {
        let own = 1.0 - n as f64 / m as f64;
        if (sparsity - own).abs() > 1e-9 {
            return Err(CliError::PatternSparsity { sparsity, scope: scope.to_string(), own });
        }
    }
    let allocation = arguments.budget.unwrap_or_else(|| method.allocation(scope));
    let rounds = match arguments.schedule {
        Schedule::OneShot => arguments.rounds.unwrap_or_else(|| method.rounds()),
        _ => 1,
    };
    let budget = Budget { scope, allocation, sparsity, keep_layers: arguments.keep_layers };
    budget.check()?;
    Ok(Settings { method, budget, rounds, seed: arguments.seed })
}

fn scheduled(arguments: &Arguments) -> Schedule {
    match (arguments.schedule, arguments.rounds) {
        (Schedule::Iterative { .. }, Some(steps)) => Schedule::Iterative { steps },
        (Schedule::Cubic { .. }, Some(steps)) => Schedule::Cubic { steps },
        (schedule, _) => schedule,
    }
}

struct Data {
    calibration: Option<Calibration>,
    evaluation: Option<Calibration>,
    /// What training sees.
    training: Option<Dataset>,
    apart: bool,
}

fn load(arguments: &Arguments, graph: &Graph) -> Result<Data, CliError> {
    let Some(name) = &arguments.data else {
        return Ok(Data { calibration: None, evaluation: None, training: None, apart: true });
    };
    let normalisation = Normalisation { mean: &arguments.mean, deviation: &arguments.std };
    let shape = graph.node(graph.input()).shape.get(1..).unwrap_or_default();
    let training = arguments.recovery.finetune.is_some().then_some(shape);
    let directory = arguments.data_dir.as_deref();
    let Samples { calibration, evaluation, training, apart } =
        samples::load(name, directory, arguments.samples, normalisation, training)?;
    if let Some(training) = &training {
        check_fit(graph, training, &Loss::CrossEntropy { smoothing: 0.0 })?;
    }
    let labelled = |samples: Vec<samples::Sample>| {
        let (inputs, labels) = samples.into_iter().map(|s| (s.features, s.label)).unzip();
        let labelled = Calibration::new(inputs, Targets::Labels(labels))?;
        labelled.check(graph)?;
        Ok::<_, PruneError>(labelled)
    };
    Ok(Data { calibration: Some(labelled(calibration)?), evaluation: Some(labelled(evaluation)?), training, apart })
}

/// The compacted network, checked against the masked one.
fn compacted(masked: &Graph) -> Result<(Graph, Option<CompactionRecord>), CliError> {
    let found = compact(masked, &Masks::default())?;
    let disagreement = disagreement(masked, &found.graph, 16, 0)?;
    if disagreement > ROUNDING {
        return Err(CliError::Disagreement { found: disagreement, allowed: ROUNDING });
    }
    let record = CompactionRecord {
        removed_units: found.removed,
        folded_into_biases: found.folded,
        constant_units_kept: found.kept,
        axes_kept_from_emptying: found.narrow,
        constant_operators: found.constant,
        disagreement,
    };
    Ok((found.graph, Some(record)))
}

fn write_masks(masks: &Masks, path: &Path) -> Result<(), CliError> {
    let tensor = |(name, mask): (&String, &secateur_linalg::Tensor<bool>)| {
        (name.clone(), Stored::truth(mask.shape().to_vec(), mask.data()))
    };
    let file = Safetensors { tensors: masks.0.iter().map(tensor).collect(), ..Safetensors::default() };
    Ok(safetensors::write(&file, path)?)
}

fn measured(graph: &Graph, path: &Path, batch: usize, data: Option<&Calibration>) -> Result<Measured, CliError> {
    let file = std::fs::metadata(path).map_err(|source| CliError::Read { path: path.to_owned(), source })?;
    Ok(Measured {
        file: path.display().to_string(),
        file_bytes: file.len(),
        cost: cost(graph)?,
        latency: latency(graph, batch, 20)?,
        accuracy: data.map(|data| data.accuracy(graph)).transpose()?.flatten(),
        layers: match densities(graph) {
            Err(PruneError::NothingToPrune) => Vec::new(),
            other => other?,
        },
    })
}

fn answer(arguments: &Arguments, record: &impl Serialize, text: &str) -> Result<Exit, CliError> {
    let json = output::json(record)?;
    let dash = arguments.json.as_deref().is_some_and(output::is_dash);
    output::print(if dash { &json } else { text })?;
    if let Some(file) = arguments.json.as_deref().filter(|f| !output::is_dash(f)) {
        output::write(file, &json)?;
    }
    Ok(Exit::Done)
}

impl From<PruneError> for CliError {
    fn from(error: PruneError) -> Self {
        match error {
            PruneError::Network(error) => CliError::Network(error),
            other => CliError::Prune(other),
        }
    }
}
