//! Federated averaging: clients train on their own samples, the server averages their weights.
//!
//! $$ \theta^{t+1} = \sum_{i \in S} \frac{m_i}{\sum_{j \in S} m_j}\, \theta_i^{t+1}, $$
//!
//! where $\theta_i^{t+1}$ is what client $i$ with $m_i$ samples makes of $\theta^t$ in its epochs of descent.
//!
//! # Source
//! B. McMahan et al., *Communication-efficient learning of deep networks from decentralized data*, 2017, with every client in
//! every round.

use super::config::Training;
use super::players::Brings;
use secateur_linalg::Tensor;
use secateur_nn::NnError;
use secateur_nn::data::Dataset;
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_nn::models::{Initialisation, mlp};
use secateur_nn::op::{Op, Value};
use secateur_nn::train::{Optimiser, Schedule, Settings, Silent, parameters, train_within};
use std::collections::BTreeMap;

/// The model that all coalitions start from.
///
/// # Errors
/// A layer is too large.
pub fn start(training: &Training, inputs: usize, classes: usize, seed: u64) -> Result<Graph, NnError> {
    let widths: Vec<usize> = [inputs].into_iter().chain(training.hidden.iter().copied()).chain([classes]).collect();
    mlp(&widths, Initialisation::default(), seed)
}

/// The model that clients make together. Clients have numbers, by which they shuffle their samples.
///
/// # Errors
/// A weight or loss is no finite number.
pub fn federated(
    start: &Graph,
    clients: &[(usize, &Brings)],
    training: &Training,
    seed: u64,
) -> Result<Graph, NnError> {
    let total: usize = clients.iter().map(|(_, client)| client.weight()).sum();
    let mut model = start.clone();
    for round in 0..training.rounds {
        let mut mean = Mean::default();
        for (number, client) in clients {
            let share = client.weight() as f64 / total as f64;
            match client {
                Brings::Nothing(_) => mean.add(&model, share),
                Brings::Samples(samples) => {
                    // A client's order of samples depends on the seed, its number and the round, and on nobody else.
                    let order = seed ^ (*number as u64 + 1) << 40 ^ (round as u64) << 20;
                    mean.add(&descended(&model, samples, training, training.epochs, order)?, share);
                }
            }
        }
        model = model.with_constants(&mean.weights())?;
    }
    Ok(model)
}

/// Epochs of descent on one client's samples, in the caller's threads.
///
/// # Errors
/// A weight or loss is no finite number.
pub fn descended(
    model: &Graph,
    samples: &Dataset,
    training: &Training,
    epochs: usize,
    seed: u64,
) -> Result<Graph, NnError> {
    let settings = Settings {
        epochs,
        batch: training.batch,
        optimiser: Optimiser::sgd(training.momentum, false),
        schedule: Schedule::constant(training.rate),
        seed,
        ..Settings::default()
    };
    Ok(train_within(model, samples, None, &Masks::default(), &settings, &Silent)?.graph)
}

/// A weighted mean of models.
#[derive(Default)]
struct Mean {
    sums: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

impl Mean {
    fn add(&mut self, model: &Graph, share: f64) {
        for id in parameters(model) {
            let node = model.node(id);
            let Op::Constant(Value::F32(tensor)) = &node.op else { continue };
            let empty = || (tensor.shape().to_vec(), vec![0.0; tensor.len()]);
            let (_, sums) = self.sums.entry(node.name.clone()).or_insert_with(empty);
            sums.iter_mut().zip(tensor.data()).for_each(|(sum, weight)| *sum += share * f64::from(*weight));
        }
    }

    fn weights(self) -> BTreeMap<String, Tensor<f32>> {
        let tensor = |(shape, sums): (Vec<usize>, Vec<f64>)| {
            Tensor::new(shape, sums.into_iter().map(|sum| sum as f32).collect())
        };
        self.sums.into_iter().map(|(name, sums)| (name, tensor(sums))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_nn::data::{Inputs, Targets};
    use std::sync::Arc;

    fn training(rounds: usize) -> Training {
        Training { hidden: vec![3], rounds, epochs: 1, batch: 8, rate: 0.1, momentum: 0.0 }
    }

    fn samples(from: usize, count: usize) -> Dataset {
        let values = (0..2 * count).map(|i| ((from + i) * 37 % 11) as f32 / 11.0).collect();
        let labels = (0..count).map(|i| (from + i) % 2).collect();
        let inputs = Inputs::Dense { shape: vec![2], values: Arc::new(values) };
        Dataset::new("test", inputs, Targets::Classes { classes: 2, labels: Arc::new(labels) }).expect("samples")
    }

    fn weights(model: &Graph) -> Vec<f32> {
        let tensors = parameters(model).into_iter().map(|id| match &model.node(id).op {
            Op::Constant(Value::F32(tensor)) => tensor.data().to_vec(),
            _ => Vec::new(),
        });
        tensors.flatten().collect()
    }

    /// With one step on all samples in each round, averaging is descent on the samples of all.
    #[test]
    fn one_whole_step_a_round_is_descent() {
        let all = samples(0, 8);
        let (a, b) = (all.subset(&[0, 1, 2]), all.subset(&[3, 4, 5, 6, 7]));
        let (a, b) = (Brings::Samples(a), Brings::Samples(b));
        let first = start(&training(5), 2, 2, 1).expect("a model");
        let together = federated(&first, &[(0, &a), (1, &b)], &training(5), 1).expect("a model");
        let central = descended(&first, &all, &training(5), 5, 1).expect("a model");
        let far = weights(&together).iter().zip(weights(&central)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-6, "{far}");
        assert_ne!(weights(&first), weights(&central));
    }

    #[test]
    fn who_sends_nothing_holds_the_others_back() {
        let (a, idle) = (Brings::Samples(samples(0, 8)), Brings::Nothing(8));
        let first = start(&training(1), 2, 2, 1).expect("a model");
        let alone = weights(&federated(&first, &[(0, &a)], &training(1), 1).expect("a model"));
        let both = weights(&federated(&first, &[(0, &a), (1, &idle)], &training(1), 1).expect("a model"));
        for ((start, alone), both) in weights(&first).iter().zip(alone).zip(both) {
            assert!((0.5 * (start + alone) - both).abs() < 1e-6);
        }
        let only = federated(&first, &[(1, &idle)], &training(3), 1).expect("a model");
        assert_eq!(weights(&only), weights(&first));
    }
}
