//! The pipeline: prune, train what is left, again, until the sparsity is reached.
//!
//! ```text
//! for each step t of the schedule, with sparsity s_t
//!     score the network, keep the best of what is left     (strategy.rs)
//!     recover: fine-tune, rewind weights, rewind the learning rate, start from scratch, or nothing
//! ```
//!
//! Training is somebody else's: a [`Trainer`] gets a network, the masks that it has to keep, and what the training is for.

use crate::budget::{Budget, Scope};
use crate::calibration::Calibration;
use crate::error::PruneError;
use crate::strategy::{Pruned, Settings, prune};
use crate::weights::{constants, weights};
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_nn::op::{Op, Value};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// What a training is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A few steps with the rate that training ended with.
    FineTune,
    /// The whole schedule of learning rates, from its begin.
    Full,
}

/// Where in the pipeline a training stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it is for.
    pub phase: Phase,
    /// The step of the schedule, from 1.
    pub step: usize,
    /// Steps of the schedule.
    pub steps: usize,
}

/// Trains networks.
///
/// Masked entries must be 0 in the result; the pipeline masks again and so does not rely on it.
pub trait Trainer {
    /// The network after training.
    ///
    /// # Errors
    /// Whatever went wrong; the pipeline passes it on.
    fn train(&mut self, graph: Graph, masks: &Masks, call: Call) -> Result<Graph, Box<dyn Error + Send + Sync>>;
}

impl<F> Trainer for F
where
    F: FnMut(Graph, &Masks, Call) -> Result<Graph, Box<dyn Error + Send + Sync>>,
{
    fn train(&mut self, graph: Graph, masks: &Masks, call: Call) -> Result<Graph, Box<dyn Error + Send + Sync>> {
        self(graph, masks, call)
    }
}

/// How the sparsity grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At once.
    OneShot,
    /// By the same factor of what is left: density $\rho^{t/n}$ after step $t$ of $n$.
    Iterative {
        /// $n$.
        steps: usize,
    },
    /// $s_t = s\,(1 - (1 - t/n)^3)$: fast at first, slowly at the end.
    ///
    /// # Source
    /// Zhu, Gupta 2017, "To prune, or not to prune", equation 1, from sparsity 0.
    Cubic {
        /// $n$.
        steps: usize,
    },
}

impl Schedule {
    /// The sparsity after each step; the last is exactly the one asked for.
    ///
    /// # Errors
    /// No steps, or a sparsity outside of $[0, 1)$.
    pub fn sparsities(self, sparsity: f64) -> Result<Vec<f64>, PruneError> {
        if !(0.0..1.0).contains(&sparsity) {
            return Err(PruneError::Sparsity { found: sparsity });
        }
        let steps = match self {
            Schedule::OneShot => 1,
            Schedule::Iterative { steps } | Schedule::Cubic { steps } => steps,
        };
        if steps == 0 {
            return Err(PruneError::Positive { what: "steps of the schedule", found: 0.0 });
        }
        let after = |t: usize| {
            let share = t as f64 / steps as f64;
            match self {
                _ if t == steps => sparsity,
                Schedule::Cubic { .. } => sparsity * (1.0 - (1.0 - share).powi(3)),
                _ => 1.0 - (1.0 - sparsity).powf(share),
            }
        };
        Ok((1..=steps).map(after).collect())
    }
}

/// What happens after each step.
#[derive(Clone, Debug)]
pub enum Recovery {
    /// Nothing.
    None,
    /// Train on from the weights that are there.
    FineTune,
    /// Put the weights that stay back to those of an early network, and train in full: the lottery ticket.
    ///
    /// # Source
    /// Frankle, Dziugaite, Roy, Carbin 2020, "Linear mode connectivity and the lottery ticket hypothesis".
    RewindWeights {
        /// The early network: the same constants with other numbers.
        early: Box<Graph>,
    },
    /// Keep the weights, and train in full: the learning rate is put back.
    ///
    /// # Source
    /// Renda, Frankle, Carbin 2020, "Comparing rewinding and fine-tuning in neural network pruning".
    RewindRate,
    /// New random weights under the same masks, trained in full: the control that asks whether the weights matter.
    ///
    /// # Source
    /// Liu, Sun, Zhou, Huang, Darrell 2019, "Rethinking the value of network pruning".
    Scratch {
        /// Seed of the weights.
        seed: u64,
    },
}

impl FromStr for Schedule {
    type Err = PruneError;

    /// By name, with ten steps where a schedule has some.
    fn from_str(text: &str) -> Result<Self, PruneError> {
        match text {
            "oneshot" => Ok(Schedule::OneShot),
            "iterative" => Ok(Schedule::Iterative { steps: 10 }),
            "cubic" => Ok(Schedule::Cubic { steps: 10 }),
            _ => Err(PruneError::Unknown {
                what: "schedule",
                found: text.to_owned(),
                expected: "oneshot, iterative or cubic".to_owned(),
            }),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::OneShot => f.write_str("oneshot"),
            Schedule::Iterative { steps } => write!(f, "iterative over {steps} steps"),
            Schedule::Cubic { steps } => write!(f, "cubic over {steps} steps"),
        }
    }
}

/// One step, as it went.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The sparsity asked for.
    pub sparsity: f64,
    /// Entries kept of the masked tensors, and all of them.
    pub kept: (usize, usize),
    /// Weights of which nothing is left.
    pub collapsed: Vec<String>,
}

/// A pruned network and how it came about.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The network after the last recovery.
    pub pruned: Pruned,
    /// The steps.
    pub steps: Vec<Step>,
}

/// Prunes along a schedule with training in between.
///
/// Masks only shrink: what a step removed stays away. N:M has one density and takes one step.
///
/// # Errors
/// As [`prune`]; training fails; the early network has other constants.
pub fn run(
    graph: &Graph,
    calibration: Option<&Calibration>,
    settings: &Settings,
    schedule: Schedule,
    recovery: &Recovery,
    trainer: &mut dyn Trainer,
) -> Result<Outcome, PruneError> {
    let sparsities = schedule.sparsities(settings.budget.sparsity)?;
    if sparsities.len() > 1 && matches!(settings.budget.scope, Scope::Pattern { .. }) {
        return Err(PruneError::Combination {
            first: format!("scope {}", settings.budget.scope),
            second: format!("schedule {schedule}"),
            reason: "a pattern has one density",
        });
    }
    let count = sparsities.len();
    let mut current = graph.clone();
    let mut masks: Option<Masks> = None;
    let mut collapsed = Vec::new();
    let mut steps = Vec::new();
    for (step, sparsity) in (1..).zip(sparsities) {
        let settings = Settings { budget: Budget { sparsity, ..settings.budget }, ..*settings };
        let pruned = prune_on(&current, calibration, &settings, masks.as_ref())?;
        let call = |phase| Call { phase, step, steps: count };
        let mut train = |graph: Graph, phase| {
            let trained = trainer.train(graph, &pruned.masks, call(phase)).map_err(PruneError::Training)?;
            Ok::<_, PruneError>(pruned.masks.apply(&trained)?)
        };
        current = match recovery {
            Recovery::None => pruned.graph.clone(),
            Recovery::FineTune => train(pruned.graph.clone(), Phase::FineTune)?,
            Recovery::RewindRate => train(pruned.graph.clone(), Phase::Full)?,
            Recovery::RewindWeights { early } => train(rewound(&pruned.graph, early, &pruned.masks)?, Phase::Full)?,
            Recovery::Scratch { seed } => {
                train(pruned.masks.apply(&reinitialised(&pruned.graph, *seed)?)?, Phase::Full)?
            }
        };
        steps.push(Step { sparsity, kept: pruned.masks.count(), collapsed: pruned.collapsed.clone() });
        collapsed = pruned.collapsed;
        masks = Some(pruned.masks);
    }
    let pruned = Pruned { masks: masks.unwrap_or_default(), graph: current, collapsed };
    Ok(Outcome { pruned, steps })
}

/// [`prune`], on a network that has masks already.
fn prune_on(
    graph: &Graph,
    calibration: Option<&Calibration>,
    settings: &Settings,
    earlier: Option<&Masks>,
) -> Result<Pruned, PruneError> {
    match (settings.method.criterion(settings.seed), earlier) {
        (Some(criterion), Some(earlier)) if settings.rounds == 1 => {
            let saliency = criterion.score(graph, calibration)?;
            let selection = settings.budget.masks(graph, &saliency, Some(earlier))?;
            let masked = selection.masks.apply(graph)?;
            Ok(Pruned { masks: selection.masks, graph: masked, collapsed: selection.collapsed })
        }
        (None, Some(_)) => Err(PruneError::Combination {
            first: settings.method.to_string(),
            second: "a schedule of several steps".to_owned(),
            reason: "it adjusts weights as it goes, once",
        }),
        (Some(_), Some(_)) => Err(PruneError::Combination {
            first: format!("{} rounds of scoring", settings.rounds),
            second: "a schedule of several steps".to_owned(),
            reason: "each step scores once",
        }),
        (_, None) => prune(graph, calibration, settings),
    }
}

/// The early network's numbers under the masks of the pruned one.
///
/// # Errors
/// The early network lacks a constant, or has it in another shape.
pub fn rewound(pruned: &Graph, early: &Graph, masks: &Masks) -> Result<Graph, PruneError> {
    let early = constants(early);
    let mut values = BTreeMap::new();
    for (name, now) in constants(pruned) {
        let then = early.get(&name).filter(|then| then.shape() == now.shape());
        let then = then.ok_or_else(|| PruneError::UnknownWeight {
            name: name.clone(),
            known: early.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
        values.insert(name, (**then).clone());
    }
    Ok(masks.apply(&pruned.with_constants(&values)?)?)
}

/// The same network with weights drawn anew.
///
/// Weights are normal with variance $2 / \text{inputs}$ (He); what is added is 0, scales are 1, statistics of normalisations those
/// of standardised values. Other constants stay.
///
/// # Errors
/// The network has no weights.
pub fn reinitialised(graph: &Graph, seed: u64) -> Result<Graph, PruneError> {
    let mut values = BTreeMap::new();
    for (id, node) in graph.nodes() {
        for (position, argument) in graph.arguments(id).into_iter().enumerate() {
            let stored = graph.node(argument);
            let Op::Constant(Value::F32(old)) = &stored.op else { continue };
            // Numbers that stand alone are settings, not parameters.
            let value = match (&node.op, position) {
                (Op::Add, _) if old.len() > 1 => 0.0,
                (Op::Gemm { .. } | Op::Conv { .. } | Op::ConvTranspose { .. }, 2) => 0.0,
                (Op::BatchNormalization { .. }, 2 | 3) => 0.0,
                (Op::BatchNormalization { .. }, 1 | 4) => 1.0,
                _ => continue,
            };
            values.insert(stored.name.clone(), Tensor::full(old.shape().to_vec(), value));
        }
    }
    for (stream, weight) in (0..).zip(weights(graph)?) {
        let layout = weight.layout(graph, "a new start")?;
        let mut random = Random::stream(seed, stream);
        let mut data = vec![0.0f32; weight.len()];
        random.fill_normal(&mut data, (2.0 / layout.cols as f64).sqrt());
        values.insert(weight.name, Tensor::new(weight.value.shape().to_vec(), data));
    }
    Ok(graph.with_constants(&values)?)
}

/// Random masks with exactly as many entries kept in each tensor: the control that asks whether their places matter.
pub fn shuffled(masks: &Masks, seed: u64) -> Masks {
    let shuffle = |(stream, (name, mask)): (u64, (&String, &Tensor<bool>))| {
        let order = Random::stream(seed, stream).permutation(mask.len());
        let data = order.into_iter().map(|i| mask.data()[i]).collect();
        (name.clone(), Tensor::new(mask.shape().to_vec(), data))
    };
    Masks((0..).zip(&masks.0).map(shuffle).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Allocation;
    use crate::calibration::{Targets, gradients};
    use crate::strategy::Method;
    use crate::testing::{mlp, samples};

    fn data() -> Calibration {
        let inputs = samples(64, 4, 3);
        // Two classes that a line parts.
        let labels = inputs.iter().map(|x| usize::from(x[0] + 0.5 * x[1] > 0.0)).collect();
        Calibration::new(inputs, Targets::Labels(labels)).unwrap()
    }

    /// Gradient descent on the whole data set.
    fn descend(graph: Graph, masks: &Masks, data: &Calibration, steps: usize) -> Result<Graph, PruneError> {
        let mut graph = graph;
        for _ in 0..steps {
            let stored = constants(&graph);
            let names: Vec<String> = stored.keys().cloned().collect();
            let slopes = gradients(&graph, data, &names, 1.0, "descent")?;
            let moved = stored.into_iter().map(|(name, value)| {
                let pairs = value.data().iter().zip(slopes[&name].data());
                let data = pairs.map(|(v, g)| v - 0.5 * *g as f32).collect();
                (name, Tensor::new(value.shape().to_vec(), data))
            });
            graph = masks.apply(&graph.with_constants(&moved.collect())?)?;
        }
        Ok(graph)
    }

    fn settings(sparsity: f64) -> Settings {
        let budget = Budget { scope: Scope::Weight, allocation: Allocation::Global, sparsity, keep_layers: false };
        Settings { method: Method::Magnitude, budget, rounds: 1, seed: 0 }
    }

    #[test]
    fn schedules_end_at_the_sparsity_asked_for() {
        for schedule in [Schedule::OneShot, Schedule::Iterative { steps: 5 }, Schedule::Cubic { steps: 5 }] {
            let found = schedule.sparsities(0.9).unwrap();
            assert_eq!(found.last(), Some(&0.9));
            assert!(found.windows(2).all(|w| w[0] < w[1]));
        }
        let cubic = Schedule::Cubic { steps: 2 }.sparsities(0.8).unwrap();
        // 0.8 (1 - 1/8), rounded a few times.
        assert!((cubic[0] - 0.7).abs() < 1e-15);
        assert!(matches!(Schedule::Cubic { steps: 0 }.sparsities(0.5), Err(PruneError::Positive { .. })));
        assert!(matches!(Schedule::OneShot.sparsities(1.0), Err(PruneError::Sparsity { .. })));
    }

    #[test]
    fn every_recovery_trains_what_it_says() {
        let data = data();
        let early = mlp(&[4, 12, 2], 9);
        let trained = descend(early.clone(), &Masks::default(), &data, 150).unwrap();
        assert!(data.accuracy(&trained).unwrap() > Some(0.9));
        let recoveries = [
            (Recovery::None, None),
            (Recovery::FineTune, Some(Phase::FineTune)),
            (Recovery::RewindRate, Some(Phase::Full)),
            (Recovery::RewindWeights { early: Box::new(early.clone()) }, Some(Phase::Full)),
            (Recovery::Scratch { seed: 4 }, Some(Phase::Full)),
        ];
        for (recovery, expected) in recoveries {
            let mut calls = Vec::new();
            let mut earlier: Option<Masks> = None;
            let mut trainer = |graph: Graph, masks: &Masks, call: Call| {
                if let Some(earlier) = &earlier {
                    // What a step removed stays away.
                    let stays = |(name, mask): (&String, &Tensor<bool>)| {
                        mask.data().iter().zip(earlier.0[name].data()).all(|(now, then)| *then || !now)
                    };
                    assert!(masks.0.iter().all(stays));
                }
                earlier = Some(masks.clone());
                calls.push(call);
                descend(graph, masks, &data, 100).map_err(|e| Box::new(e) as Box<dyn Error + Send + Sync>)
            };
            let schedule = Schedule::Cubic { steps: 3 };
            let found = run(&trained, None, &settings(0.7), schedule, &recovery, &mut trainer).unwrap();
            let phases: Vec<Phase> = calls.iter().map(|call| call.phase).collect();
            assert_eq!(phases, vec![expected; 3].into_iter().flatten().collect::<Vec<_>>());
            assert_eq!(found.pruned.masks.count(), (22, 72));
            assert_eq!(found.steps.len(), 3);
            if expected.is_some() {
                assert!(data.accuracy(&found.pruned.graph).unwrap() > Some(0.9), "{recovery:?}");
            }
            let kept = |g: &Graph| {
                weights(g).unwrap().iter().flat_map(|w| w.value.data().to_vec()).filter(|v| *v != 0.0).count()
            };
            assert!(kept(&found.pruned.graph) <= 22);
        }
    }

    #[test]
    fn a_failed_training_is_passed_on() {
        let mut trainer = |_: Graph, _: &Masks, _: Call| Err("out of memory".into());
        let graph = mlp(&[4, 4, 2], 1);
        let found = run(&graph, None, &settings(0.5), Schedule::OneShot, &Recovery::FineTune, &mut trainer);
        assert!(matches!(found, Err(PruneError::Training(_))));
    }

    #[test]
    fn controls_keep_what_they_should() {
        let graph = mlp(&[4, 12, 2], 9);
        let pruned = prune(&graph, None, &settings(0.7)).unwrap();
        let random = shuffled(&pruned.masks, 5);
        for (name, mask) in &random.0 {
            let kept = |m: &Tensor<bool>| m.data().iter().filter(|k| **k).count();
            assert_eq!(kept(mask), kept(&pruned.masks.0[name]));
        }
        assert_ne!(random, pruned.masks);
        let fresh = reinitialised(&graph, 3).unwrap();
        assert!(constants(&fresh)["b0"].data().iter().all(|b| *b == 0.0));
        assert_ne!(constants(&fresh)["w0"], constants(&graph)["w0"]);
        let other = mlp(&[4, 11, 2], 9);
        assert!(matches!(rewound(&graph, &other, &Masks::default()), Err(PruneError::UnknownWeight { .. })));
    }
}
