//! Loss and accuracy of a network on a data set.

use super::fault::TrainFault;
use super::loss::{Loss, Sum};
use crate::data::{Augmentation, DataFault, Dataset, Targets};
use crate::error::NnError;
use crate::eval::Evaluator;
use crate::graph::Graph;
use rayon::prelude::*;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use std::collections::BTreeMap;

/// Samples that are evaluated at once.
const CHUNK: usize = 128;

/// What a network does on a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean loss.
    pub loss: f64,
    /// Share of classes that have the highest score; none where the targets are numbers.
    pub accuracy: Option<f64>,
}

/// Mean loss and accuracy: cross-entropy for classes, squared error for numbers.
///
/// # Errors
/// The network and the data do not fit, or a value is not finite.
pub fn evaluate(graph: &Graph, data: &Dataset) -> Result<Evaluation, NnError> {
    let loss = match data.targets() {
        Targets::Classes { .. } => Loss::CrossEntropy { smoothing: 0.0 },
        Targets::Values { .. } => Loss::MeanSquaredError,
    };
    evaluate_with(graph, data, &loss)
}

/// Mean of `loss` and accuracy. Samples go through the network many at once where it allows that, else one by one, and
/// in parallel; sums are in the order of samples, so the result does not depend on the threads.
///
/// # Errors
/// As [`evaluate`]; also a loss that takes other targets.
pub fn evaluate_with(graph: &Graph, data: &Dataset, loss: &Loss) -> Result<Evaluation, NnError> {
    check_fit(graph, data, loss)?;
    let samples: Vec<usize> = (0..data.len()).collect();
    let chunks: Vec<&[usize]> = samples.chunks(CHUNK).collect();
    let mut evaluators = BTreeMap::new();
    for size in [CHUNK.min(data.len()), chunks.last().map_or(0, |c| c.len())] {
        match graph.with_batch(size) {
            Ok(batched) => evaluators.insert(size, Evaluator::<f32>::new(&batched)?),
            Err(NnError::NotBatched { .. }) => None,
            Err(error) => return Err(error),
        };
    }
    let single = if evaluators.is_empty() { Some(Evaluator::<f32>::new(graph)?) } else { None };
    let one = |chunk: &&[usize]| -> Result<Sum, NnError> {
        let inputs = data.gather(chunk, &Augmentation::default(), |_| Random::new(0));
        let (evaluator, steps) = match (&single, evaluators.get(&chunk.len())) {
            (None, Some(batched)) => (batched, inputs.len()),
            (Some(single), _) => (single, data.input_size()),
            (None, None) => panic!("there is an evaluator for every size of chunk"),
        };
        let shape = &evaluator.node(evaluator.input()).shape;
        let mut outputs = Vec::new();
        for input in inputs.chunks_exact(steps) {
            outputs.extend(evaluator.forward(&Tensor::new(shape.clone(), input.to_vec()))?.into_data());
        }
        Ok(loss.of(&mut outputs, &data.gather_targets(chunk), None))
    };
    let parts: Vec<Result<Sum, NnError>> = chunks.par_iter().map(one).collect();
    let mut sum = Sum::default();
    for part in parts {
        sum.add(part?);
    }
    Ok(mean(&sum, loss))
}

/// Mean loss and accuracy of summed samples.
pub(super) fn mean(sum: &Sum, loss: &Loss) -> Evaluation {
    let count = sum.count.max(1) as f64;
    Evaluation { loss: sum.loss / count, accuracy: loss.takes_classes().then(|| sum.correct as f64 / count) }
}

/// Whether a network, a data set and a loss go together.
///
/// # Errors
/// No samples, another count of inputs or outputs, a loss that takes other targets, or a softmax before cross-entropy.
pub fn check_fit(graph: &Graph, data: &Dataset, loss: &Loss) -> Result<(), NnError> {
    if data.is_empty() {
        return Err(NnError::Data { origin: "data set".to_owned(), fault: Box::new(DataFault::Empty) });
    }
    let size = |id| graph.node(id).shape.iter().product::<usize>();
    let (inputs, outputs) = (size(graph.input()), size(graph.output()));
    let takes_classes = loss.takes_classes();
    if matches!(data.targets(), Targets::Classes { .. }) != takes_classes {
        let expected =
            if takes_classes { "classes, the targets are numbers" } else { "numbers, the targets are classes" };
        return Err(TrainFault::Targets { loss: loss.name(), expected }.into());
    }
    if inputs != data.input_size() {
        return Err(TrainFault::InputSize { expected: inputs, found: data.input_size() }.into());
    }
    // A network may score classes that do not occur.
    let rows = data.targets_per_sample();
    let fits = if takes_classes {
        outputs >= data.output_size() && outputs % rows == 0
    } else {
        outputs == data.output_size()
    };
    if !fits {
        return Err(TrainFault::OutputSize { expected: data.output_size(), found: outputs }.into());
    }
    let output = graph.node(graph.output());
    if takes_classes && matches!(output.op, crate::op::Op::Softmax { .. }) {
        return Err(TrainFault::Softmax { node: output.name.clone() }.into());
    }
    Ok(())
}
