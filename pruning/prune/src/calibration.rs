//! Samples that a criterion looks at, and the loss on them.

use crate::error::PruneError;
use rayon::prelude::*;
use secateur_linalg::Tensor;
use secateur_nn::NnError;
use secateur_nn::autodiff::{self, CrossEntropy, MeanSquaredError, Objective};
use secateur_nn::eval::{Evaluator, Number, Trace};
use secateur_nn::graph::{Graph, NodeId};
use secateur_nn::op::Op;
use std::collections::BTreeMap;

/// Least and greatest number of samples that are evaluated together.
const BATCH: (usize, usize) = (32, 512);

/// What the outputs should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Nothing is known: criteria that look at activations only.
    None,
    /// A class per sample; the loss is the mean cross-entropy.
    Labels(Vec<usize>),
    /// An output per sample; the loss is the mean squared error over samples and entries.
    Values(Vec<Vec<f64>>),
}

/// Calibration samples.
///
/// # Shapes
/// Every sample has as many entries as the network's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    inputs: Vec<Vec<f32>>,
    targets: Targets,
}

/// Some samples, with a network that takes them all at once.
pub(crate) struct Batch {
    /// The network with that batch.
    pub(crate) graph: Graph,
    /// The samples, stacked.
    pub(crate) input: Tensor<f64>,
    loss: Option<Loss>,
    /// Their share of all samples.
    pub(crate) share: f64,
}

impl Calibration {
    /// Samples with their targets.
    ///
    /// # Errors
    /// There are no samples, or not as many targets as samples.
    pub fn new(inputs: Vec<Vec<f32>>, targets: Targets) -> Result<Self, PruneError> {
        let found = match &targets {
            Targets::None => inputs.len(),
            Targets::Labels(labels) => labels.len(),
            Targets::Values(values) => values.len(),
        };
        if inputs.is_empty() {
            return Err(PruneError::Empty);
        }
        if found != inputs.len() {
            return Err(PruneError::TargetCount { samples: inputs.len(), found });
        }
        Ok(Self { inputs, targets })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether there are no samples (there always are).
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// The samples.
    pub fn inputs(&self) -> &[Vec<f32>] {
        &self.inputs
    }

    /// What the outputs should be.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Refuses samples and targets that do not fit the network.
    ///
    /// # Errors
    /// As named.
    pub fn check(&self, graph: &Graph) -> Result<(), PruneError> {
        let expected: usize = graph.node(graph.input()).shape.iter().product();
        let outputs: usize = graph.node(graph.output()).shape.iter().product();
        if let Some((sample, found)) = self.inputs.iter().map(Vec::len).enumerate().find(|(_, n)| *n != expected) {
            return Err(PruneError::SampleSize { sample, expected, found });
        }
        match &self.targets {
            Targets::None => Ok(()),
            Targets::Labels(labels) => match labels.iter().enumerate().find(|(_, label)| **label >= outputs) {
                Some((sample, &label)) => Err(PruneError::Label { sample, label, classes: outputs }),
                None => Ok(()),
            },
            Targets::Values(values) => match values.iter().map(Vec::len).enumerate().find(|(_, n)| *n != outputs) {
                Some((sample, found)) => Err(PruneError::SampleSize { sample, expected: outputs, found }),
                None => Ok(()),
            },
        }
    }

    /// All samples in batches that the network takes; one by one where it takes no batches.
    pub(crate) fn batches(&self, graph: &Graph) -> Result<Vec<Batch>, PruneError> {
        self.check(graph)?;
        let size = match graph.with_batch(2) {
            Ok(_) => batch_size(graph),
            Err(NnError::NotBatched { .. }) => 1,
            Err(error) => return Err(error.into()),
        };
        let starts: Vec<usize> = (0..self.len()).step_by(size).collect();
        let mut batches: Vec<Batch> = Vec::new();
        for start in starts {
            let range = start..(start + size).min(self.len());
            let batched = match batches.first() {
                _ if size == 1 => graph.clone(),
                Some(first) if first.input.shape()[0] == range.len() => first.graph.clone(),
                _ => graph.with_batch(range.len())?,
            };
            let shape = batched.node(batched.input()).shape.clone();
            let data = self.inputs[range.clone()].iter().flatten().map(|v| f64::from(*v)).collect();
            let loss = match &self.targets {
                Targets::None => None,
                Targets::Labels(labels) => Some(Loss::Labels(CrossEntropy { labels: labels[range.clone()].to_vec() })),
                Targets::Values(values) => {
                    Some(Loss::Values(MeanSquaredError { targets: values[range.clone()].concat() }))
                }
            };
            let share = range.len() as f64 / self.len() as f64;
            batches.push(Batch { graph: batched, input: Tensor::new(shape, data), loss, share });
        }
        Ok(batches)
    }

    /// The share of samples whose largest output is the label's; `None` without labels. The first of equal outputs counts.
    ///
    /// # Errors
    /// The samples do not fit the network, or it has a value that is not finite.
    pub fn accuracy(&self, graph: &Graph) -> Result<Option<f64>, PruneError> {
        let Targets::Labels(labels) = &self.targets else { return Ok(None) };
        let mut hits = 0;
        let mut labels = labels.iter();
        for batch in self.batches(graph)? {
            let output = Evaluator::<f32>::new(&batch.graph)?.forward(&batch.input.map(|v| *v as f32))?;
            let samples = (batch.share * self.len() as f64).round() as usize;
            for row in output.data().chunks_exact(output.len() / samples) {
                let best = (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
                hits += usize::from(labels.next() == Some(&best));
            }
        }
        Ok(Some(hits as f64 / self.len() as f64))
    }
}

/// As many samples as have no more values than the network has weights: what is done once a batch for every weight (its gradient,
/// sums of gradients) then takes no more memory traffic than the samples do.
fn batch_size(graph: &Graph) -> usize {
    let (mut weights, mut values) = (0, 0);
    for (_, node) in graph.nodes() {
        let size: usize = node.shape.iter().product();
        *(if matches!(node.op, Op::Constant(_)) { &mut weights } else { &mut values }) += size;
    }
    (weights / values.max(1)).clamp(BATCH.0, BATCH.1)
}

impl Batch {
    /// The node of a name; batching may have moved it.
    #[track_caller]
    pub(crate) fn find(&self, name: &str) -> NodeId {
        let found = self.graph.nodes().find(|(_, node)| node.name == name);
        found.map(|(id, _)| id).expect("batching keeps the names")
    }

    /// The values of all nodes.
    pub(crate) fn trace(&self) -> Result<Trace<f64>, PruneError> {
        Ok(Evaluator::new(&self.graph)?.trace(&self.input)?)
    }
}

#[derive(Clone, Debug)]
enum Loss {
    Labels(CrossEntropy),
    Values(MeanSquaredError),
}

/// $\mathcal L(y / T)$.
struct Tempered<'a> {
    loss: &'a Loss,
    temperature: f64,
}

impl Objective for Tempered<'_> {
    fn differentiate<N: Number>(&self, output: &Tensor<N>) -> (N, Tensor<N>) {
        let factor = N::of(1.0 / self.temperature);
        let scaled = output.map(|y| *y * factor);
        let (value, gradient) = match self.loss {
            Loss::Labels(loss) => loss.differentiate(&scaled),
            Loss::Values(loss) => loss.differentiate(&scaled),
        };
        (value, gradient.map(|g| *g * factor))
    }
}

/// $\nabla_\theta \mathcal L(f / T)$ in the named constants, for the mean loss over all samples.
///
/// # Errors
/// There are no targets, or a derivative is not finite.
pub(crate) fn gradients(
    graph: &Graph,
    calibration: &Calibration,
    names: &[String],
    temperature: f64,
    criterion: &'static str,
) -> Result<BTreeMap<String, Tensor<f64>>, PruneError> {
    sum_over_batches(graph, calibration, names, criterion, |evaluator, batch, loss, ids| {
        let (_, parts) = autodiff::gradient(evaluator, &batch.input, &Tempered { loss, temperature }, ids)?;
        Ok(parts)
    })
}

/// $\nabla^2_\theta \mathcal L(f / T)\, u$ in the named constants, for the mean loss over all samples.
///
/// # Errors
/// As [`gradients`].
pub(crate) fn hessian_products(
    graph: &Graph,
    calibration: &Calibration,
    direction: &BTreeMap<String, Tensor<f64>>,
    temperature: f64,
    criterion: &'static str,
) -> Result<BTreeMap<String, Tensor<f64>>, PruneError> {
    let names: Vec<String> = direction.keys().cloned().collect();
    sum_over_batches(graph, calibration, &names, criterion, |evaluator, batch, loss, ids| {
        let along: Vec<(NodeId, &Tensor<f64>)> = ids.iter().copied().zip(direction.values()).collect();
        let objective = Tempered { loss, temperature };
        Ok(autodiff::hessian_vector_product(evaluator, &batch.input, &objective, &along, ids)?.product)
    })
}

/// The mean over all samples of what is computed of each batch, for each named constant. As many batches as there are threads
/// are computed at a time, and added up in their order.
fn sum_over_batches(
    graph: &Graph,
    calibration: &Calibration,
    names: &[String],
    criterion: &'static str,
    part: impl Fn(&Evaluator<f64>, &Batch, &Loss, &[NodeId]) -> Result<Vec<Tensor<f64>>, PruneError> + Sync,
) -> Result<BTreeMap<String, Tensor<f64>>, PruneError> {
    let mut sums = BTreeMap::new();
    let batches = calibration.batches(graph)?;
    for alike in batches.chunk_by(|a, b| a.input.shape() == b.input.shape()) {
        let evaluator = &Evaluator::new(&alike[0].graph)?;
        for together in alike.chunks(rayon::current_num_threads()) {
            let parts = together.par_iter().map(|batch| {
                let loss = batch.loss.as_ref().ok_or(PruneError::NoTargets { criterion })?;
                let ids: Vec<NodeId> = names.iter().map(|name| batch.find(name)).collect();
                part(evaluator, batch, loss, &ids)
            });
            let parts: Vec<Vec<Tensor<f64>>> = parts.collect::<Result<_, _>>()?;
            parts.into_iter().zip(together).for_each(|(parts, batch)| add(&mut sums, names, parts, batch.share));
        }
    }
    Ok(sums)
}

fn add(sums: &mut BTreeMap<String, Tensor<f64>>, names: &[String], parts: Vec<Tensor<f64>>, share: f64) {
    for (name, part) in names.iter().zip(parts) {
        let sum = sums.entry(name.clone()).or_insert_with(|| Tensor::full(part.shape().to_vec(), 0.0));
        sum.data_mut().iter_mut().zip(part.data()).for_each(|(s, p)| *s += share * p);
    }
}
