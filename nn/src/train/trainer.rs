//! The loop.

use super::evaluate::{Evaluation, check_fit, evaluate_with, mean};
use super::fault::TrainFault;
use super::loss::Sum;
use super::program::{Gradient, Program};
use super::settings::Settings;
use crate::data::Dataset;
use crate::error::NnError;
use crate::graph::Graph;
use crate::mask::Masks;
use crate::op::{Op, Value};
use rayon::prelude::*;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use std::collections::BTreeMap;
use std::time::Instant;

/// One pass over the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// The last step size.
    pub rate: f64,
    /// Mean loss over the batches, each before its step.
    pub loss: f64,
    /// Share of right classes, likewise.
    pub accuracy: Option<f64>,
    /// On the validation data, after the last step.
    pub validation: Option<Evaluation>,
    /// Time it took.
    pub seconds: f64,
}

/// Where a run stands after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// Samples of the epoch that are done.
    pub samples: usize,
    /// Samples of an epoch.
    pub all: usize,
    /// Mean loss in this epoch so far.
    pub loss: f64,
    /// Share of right classes in this epoch so far.
    pub accuracy: Option<f64>,
    /// The step size.
    pub rate: f64,
}

/// Hears of a run, and may end it.
pub trait Observer: Sync {
    /// A step was taken.
    fn step(&self, _progress: &Progress) {}

    /// An epoch is over, its checkpoint written.
    fn epoch(&self, _epoch: &Epoch) {}

    /// Whether to stop before the next step.
    fn stop(&self) -> bool {
        false
    }
}

/// Hears nothing and never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// All epochs are done.
    Finished,
    /// The validation loss did not fall for as many epochs as the user's patience.
    NoImprovement,
    /// The observer asked for it. The checkpoint is that of the last whole epoch.
    Interrupted,
}

/// What a run leaves.
#[derive(Clone, Debug)]
pub struct Report {
    /// The network with its new weights: with patience those of the best epoch, else the last.
    pub graph: Graph,
    /// Every epoch, with those before a resumption.
    pub history: Vec<Epoch>,
    /// The epoch whose weights these are, where there is patience.
    pub best: Option<usize>,
    /// Why it ended.
    pub stop: StopReason,
}

/// The weights with the smallest validation loss so far.
pub(super) struct Best {
    pub(super) epoch: usize,
    pub(super) loss: f64,
    pub(super) state: BTreeMap<String, Tensor<f32>>,
}

/// Everything that changes during a run, with what it is run on.
pub(super) struct Session<'a> {
    pub(super) program: Program,
    data: &'a Dataset,
    validation: Option<&'a Dataset>,
    masks: &'a Masks,
    /// By number of the parameter.
    kept: Vec<Option<&'a Tensor<bool>>>,
    pub(super) settings: &'a Settings,
    /// What the optimiser remembers, by number of the parameter.
    pub(super) moments: Vec<Vec<Vec<f32>>>,
    pub(super) step: usize,
    pub(super) history: Vec<Epoch>,
    pub(super) best: Option<Best>,
}

/// Fits a network's weights to data.
///
/// Where masks keep nothing, weights are zero from the first step to the last.
///
/// # Errors
/// Settings, network, data and masks do not go together; a value or a derivative is not finite (the error names the
/// node); a checkpoint cannot be read or written.
pub fn train(
    graph: &Graph,
    data: &Dataset,
    validation: Option<&Dataset>,
    masks: &Masks,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<Report, NnError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(settings.threads).build();
    let pool = pool.map_err(|error| TrainFault::Threads(error.to_string()))?;
    pool.install(|| train_within(graph, data, validation, masks, settings, observer))
}

/// The same in the threads that the caller is in, for callers that train many networks.
///
/// # Errors
/// As [`train`].
pub fn train_within(
    graph: &Graph,
    data: &Dataset,
    validation: Option<&Dataset>,
    masks: &Masks,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<Report, NnError> {
    Session::new(graph, data, validation, masks, settings)?.run(observer)
}

impl<'a> Session<'a> {
    /// The procedure.
    fn run(mut self, observer: &dyn Observer) -> Result<Report, NnError> {
        let Settings { epochs, batch, patience, .. } = *self.settings;
        for epoch in self.history.len() + 1..=epochs {
            if self.exhausted() {
                break;
            }
            let (begin, mut sum, mut rate) = (Instant::now(), Sum::default(), 0.0);
            let order = Random::stream(self.settings.seed, epoch as u64).permutation(self.data.len());
            for samples in order.chunks(batch) {
                if observer.stop() {
                    return self.finish(StopReason::Interrupted);
                }
                let mut gradient = self.gradient(epoch, samples)?;
                self.clip(&mut gradient);
                rate = self.rate();
                self.take_step(&gradient, rate);
                sum.add(gradient.sum);
                observer.step(&self.progress(epoch, &sum, rate));
            }
            let validation = self.validate()?;
            let Evaluation { loss, accuracy } = mean(&sum, &self.settings.loss);
            let seconds = begin.elapsed().as_secs_f64();
            self.history.push(Epoch { epoch, rate, loss, accuracy, validation, seconds });
            if let (Some(_), Some(validation)) = (patience, validation) {
                self.remember(epoch, validation.loss);
            }
            if let Some(path) = &self.settings.checkpoint {
                self.save(path)?;
            }
            self.history.last().into_iter().for_each(|epoch| observer.epoch(epoch));
        }
        let stop = if self.exhausted() { StopReason::NoImprovement } else { StopReason::Finished };
        self.finish(stop)
    }

    /// Checks that everything goes together, and starts or resumes.
    fn new(
        graph: &Graph,
        data: &'a Dataset,
        validation: Option<&'a Dataset>,
        masks: &'a Masks,
        settings: &'a Settings,
    ) -> Result<Self, NnError> {
        settings.check()?;
        for data in [Some(data), validation].into_iter().flatten() {
            check_fit(graph, data, &settings.loss)?;
        }
        if settings.patience.is_some() && validation.is_none() {
            let (expected, found) = ("validation data to measure on", "none".to_owned());
            return Err(TrainFault::Setting { setting: "patience", expected, found }.into());
        }
        check_masks(graph, masks)?;
        let mut program = Program::new(&masks.apply(graph)?, &settings.frozen)?;
        let last = (data.len() - 1) % settings.batch + 1;
        if let (1, Some(node)) = (last, program.flat_norm()) {
            return Err(TrainFault::OneValue { node: node.to_owned(), batch: 1 }.into());
        }
        let kept = (0..program.parameters()).map(|slot| masks.get(program.name(slot))).collect();
        let remembered = settings.optimiser.moments();
        let sizes: Vec<usize> = program.parameters_mut().iter().map(|p| p.len()).collect();
        let moments = sizes.iter().map(|size| vec![vec![0.0; *size]; remembered]).collect();
        let (history, best) = (Vec::new(), None);
        let mut session = Self { program, data, validation, masks, kept, settings, moments, step: 0, history, best };
        if let Some(path) = settings.checkpoint.as_ref().filter(|path| settings.resume && path.exists()) {
            session.load(path)?;
        }
        Ok(session)
    }

    /// The gradient of a batch.
    fn gradient(&mut self, epoch: usize, samples: &[usize]) -> Result<Gradient, NnError> {
        let (data, Settings { seed, augmentation, loss, .. }) = (self.data, self.settings);
        // Shuffling takes stream `epoch` of the seed; augmentation another seed for every epoch, a stream for every sample.
        let random = |sample: usize| Random::stream(seed.wrapping_add((epoch as u64) << 32 | 1 << 63), sample as u64);
        self.program.gradient(loss, samples.len(), |range| {
            let samples = &samples[range];
            (data.gather(samples, augmentation, random), data.gather_targets(samples))
        })
    }

    /// Masks the gradient, and shortens it to the user's norm.
    fn clip(&self, gradient: &mut Gradient) {
        for (slopes, kept) in gradient.slopes.iter_mut().zip(&self.kept) {
            kept.iter().for_each(|kept| zero(slopes, kept));
        }
        let Some(limit) = self.settings.clip else { return };
        let square = |slopes: &Vec<f32>| slopes.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        let norm = gradient.slopes.iter().map(square).sum::<f64>().sqrt();
        // The small number is PyTorch's.
        let factor = limit / (norm + 1e-6);
        if factor < 1.0 {
            gradient.slopes.iter_mut().flatten().for_each(|v| *v *= factor as f32);
        }
    }

    fn rate(&self) -> f64 {
        let per_epoch = self.data.len().div_ceil(self.settings.batch);
        self.settings.schedule.at(self.step, per_epoch * self.settings.epochs, per_epoch)
    }

    /// Changes the weights, and puts zeros where the masks want them.
    fn take_step(&mut self, gradient: &Gradient, rate: f64) {
        self.step += 1;
        let (optimiser, count) = (&self.settings.optimiser, self.step as u64);
        let weights = self.program.parameters_mut();
        let parts = weights.into_par_iter().zip(&gradient.slopes).zip(&mut self.moments).zip(&self.kept);
        parts.for_each(|(((weights, slopes), moments), kept)| {
            optimiser.step(weights, slopes, moments, rate, count);
            kept.iter().for_each(|kept| zero(weights, kept));
        });
    }

    fn progress(&self, epoch: usize, sum: &Sum, rate: f64) -> Progress {
        let Evaluation { loss, accuracy } = mean(sum, &self.settings.loss);
        let per_sample = match self.settings.loss.takes_classes() {
            true => self.data.targets_per_sample(),
            false => self.data.output_size(),
        };
        let (samples, all) = (sum.count / per_sample.max(1), self.data.len());
        Progress { epoch, epochs: self.settings.epochs, samples, all, loss, accuracy, rate }
    }

    fn validate(&self) -> Result<Option<Evaluation>, NnError> {
        let Some(data) = self.validation else { return Ok(None) };
        Ok(Some(evaluate_with(&self.program.graph()?, data, &self.settings.loss)?))
    }

    /// Keeps the weights if they are the best so far.
    fn remember(&mut self, epoch: usize, loss: f64) {
        if self.best.as_ref().is_none_or(|best| loss < best.loss) {
            self.best = Some(Best { epoch, loss, state: self.program.state() });
        }
    }

    /// Takes the best weights of a checkpoint; which epoch they are of is in the history.
    pub(super) fn restore_best(&mut self, state: BTreeMap<String, Tensor<f32>>) {
        let mut best: Option<(usize, f64)> = None;
        for (epoch, loss) in self.history.iter().filter_map(|e| Some((e.epoch, e.validation?.loss))) {
            if best.is_none_or(|(_, least)| loss < least) {
                best = Some((epoch, loss));
            }
        }
        let found = best.filter(|_| self.settings.patience.is_some() && !state.is_empty());
        self.best = found.map(|(epoch, loss)| Best { epoch, loss, state });
    }

    /// Whether patience has run out.
    fn exhausted(&self) -> bool {
        let best = self.best.as_ref().map(|best| best.epoch);
        let since = best.map(|epoch| self.history.len() - epoch);
        self.settings.patience.zip(since).is_some_and(|(patience, since)| since >= patience.max(1))
    }

    fn finish(mut self, stop: StopReason) -> Result<Report, NnError> {
        let best = self.best.take();
        if let Some(best) = &best {
            self.program.restore(&best.state)?;
        }
        let graph = self.program.graph()?;
        Ok(Report { graph, history: self.history, best: best.map(|best| best.epoch), stop })
    }

    /// What must be the same for a run to go on from a checkpoint.
    pub(super) fn description(&self) -> [(&'static str, String); 8] {
        let Settings { epochs, batch, optimiser, schedule, loss, clip, augmentation, patience, seed, frozen, .. } =
            self.settings;
        let validation = self.validation.map_or(0, Dataset::len);
        [
            ("data", format!("{} samples of {:?}, {validation} for validation", self.data.len(), self.data.shape())),
            ("epochs and batch", format!("{epochs}, {batch}")),
            ("optimiser", format!("{optimiser:?}, clip {clip:?}")),
            ("schedule", format!("{schedule:?}")),
            ("loss", format!("{loss:?}, {augmentation:?}, patience {patience:?}")),
            ("seed", seed.to_string()),
            ("frozen constants", format!("{frozen:?}")),
            ("masks", format!("{:?} kept of all", self.masks.count())),
        ]
    }
}

fn zero(values: &mut [f32], kept: &Tensor<bool>) {
    values.iter_mut().zip(kept.data()).for_each(|(v, kept)| *v = if *kept { *v } else { 0.0 });
}

fn check_masks(graph: &Graph, masks: &Masks) -> Result<(), NnError> {
    for (name, mask) in &masks.0 {
        let fits = graph.nodes().any(|(_, node)| {
            node.name == *name && matches!(&node.op, Op::Constant(Value::F32(t)) if t.shape() == mask.shape())
        });
        if !fits {
            return Err(TrainFault::Mask { name: name.clone(), shape: mask.shape().to_vec() }.into());
        }
    }
    Ok(())
}
