//! A strategy turns settings into a mask: a method by its name, a budget, rounds.
//!
//! ```text
//! for round r of n
//!     score the network as it is masked so far
//!     keep the best, at density ρ^(r/n) of what there was
//! ```

use crate::budget::{Allocation, Budget, Scope, Selection};
use crate::calibration::Calibration;
use crate::error::PruneError;
use crate::reconstruct::{self, NystromParams, SparsegptParams};
use crate::saliency::{
    Criterion, Grasp, L1, L2, Magnitude, Needs, RandomScores, Snip, Synflow, Taylor, Taylor2, Wanda,
};
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use std::fmt;
use std::str::FromStr;

/// The methods, by the names of their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// [`RandomScores`].
    Random,
    /// [`Magnitude`].
    Magnitude,
    /// [`L1`].
    L1,
    /// [`L2`].
    L2,
    /// [`Taylor`].
    Taylor,
    /// [`Taylor2`].
    Taylor2,
    /// [`Snip`].
    Snip,
    /// [`Grasp::SIGNED`].
    Grasp,
    /// [`Grasp::ABSOLUTE`].
    GraspAbs,
    /// [`Synflow`].
    Synflow,
    /// [`Wanda`].
    Wanda,
    /// [`reconstruct::sparsegpt`].
    Sparsegpt,
    /// [`reconstruct::nystrom`].
    Nystrom,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 13] = [
        Method::Random,
        Method::Magnitude,
        Method::L1,
        Method::L2,
        Method::Taylor,
        Method::Taylor2,
        Method::Snip,
        Method::Grasp,
        Method::GraspAbs,
        Method::Synflow,
        Method::Wanda,
        Method::Sparsegpt,
        Method::Nystrom,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Method::Random => "random",
            Method::Magnitude => "magnitude",
            Method::L1 => "l1",
            Method::L2 => "l2",
            Method::Taylor => "taylor",
            Method::Taylor2 => "taylor2",
            Method::Snip => "snip",
            Method::Grasp => "grasp",
            Method::GraspAbs => "grasp-abs",
            Method::Synflow => "synflow",
            Method::Wanda => "wanda",
            Method::Sparsegpt => "sparsegpt",
            Method::Nystrom => "nystrom",
        }
    }

    /// What it looks at.
    pub fn needs(self) -> Needs {
        match self {
            Method::Sparsegpt | Method::Nystrom => Needs::Inputs,
            _ => self.criterion(0).map_or(Needs::Nothing, |criterion| criterion.needs()),
        }
    }

    /// The criterion behind it; none for the methods that adjust weights.
    pub fn criterion(self, seed: u64) -> Option<Box<dyn Criterion>> {
        Some(match self {
            Method::Random => Box::new(RandomScores { seed }),
            Method::Magnitude => Box::new(Magnitude),
            Method::L1 => Box::new(L1),
            Method::L2 => Box::new(L2),
            Method::Taylor => Box::new(Taylor),
            Method::Taylor2 => Box::new(Taylor2),
            Method::Snip => Box::new(Snip),
            Method::Grasp => Box::new(Grasp::SIGNED),
            Method::GraspAbs => Box::new(Grasp::ABSOLUTE),
            Method::Synflow => Box::new(Synflow),
            Method::Wanda => Box::new(Wanda),
            Method::Sparsegpt | Method::Nystrom => return None,
        })
    }

    /// The rounds of its paper: 100 for SynFlow, else 1.
    pub fn rounds(self) -> usize {
        if self == Method::Synflow { 100 } else { 1 }
    }

    /// The allocation of its paper: rows for Wanda, layers for methods that go layer by layer, else the network.
    pub fn allocation(self, scope: Scope) -> Allocation {
        match (self, scope) {
            (Method::Wanda, Scope::Weight) => Allocation::Row,
            (Method::Sparsegpt | Method::Nystrom, _) => Allocation::Uniform,
            _ => Allocation::Global,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = PruneError;

    fn from_str(text: &str) -> Result<Self, PruneError> {
        Method::ALL.into_iter().find(|method| method.name() == text).ok_or_else(|| PruneError::Unknown {
            what: "method",
            found: text.to_owned(),
            expected: Method::ALL.map(Method::name).join(", "),
        })
    }
}

/// How a network is pruned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The method.
    pub method: Method,
    /// How much of what goes.
    pub budget: Budget,
    /// Rounds of scoring, each on the network that the last one left; at least 1.
    pub rounds: usize,
    /// Seed of random scores.
    pub seed: u64,
}

/// A pruned network.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// The masks, of every prunable tensor (at the scopes of units: of every tensor that loses something).
    pub masks: Masks,
    /// The network: masked, and adjusted where the method adjusts weights.
    pub graph: Graph,
    /// Weights of which nothing is left.
    pub collapsed: Vec<String>,
}

/// Prunes a network in one go, without training.
///
/// # Errors
/// Settings that do not go together, what the criterion needs is missing, scores that are not finite, a forbidden collapse.
pub fn prune(graph: &Graph, calibration: Option<&Calibration>, settings: &Settings) -> Result<Pruned, PruneError> {
    let Settings { method, budget, rounds, seed } = settings;
    budget.check()?;
    if *rounds == 0 {
        return Err(PruneError::Positive { what: "rounds", found: 0.0 });
    }
    let Some(criterion) = method.criterion(*seed) else {
        if *rounds > 1 {
            return Err(PruneError::Combination {
                first: method.to_string(),
                second: format!("{rounds} rounds"),
                reason: "it adjusts weights as it goes, once",
            });
        }
        let calibration = calibration.ok_or(PruneError::NoData { criterion: method.name() })?;
        let found = match method {
            Method::Sparsegpt => reconstruct::sparsegpt(graph, calibration, budget, &SparsegptParams::default())?,
            _ => reconstruct::nystrom(graph, calibration, budget, &NystromParams::default())?,
        };
        let selection = budget.selection(&crate::weights::weights(graph)?, found.masks)?;
        return Ok(Pruned { masks: selection.masks, graph: found.graph, collapsed: selection.collapsed });
    };
    if *rounds > 1 && matches!(budget.scope, Scope::Pattern { .. }) {
        return Err(PruneError::Combination {
            first: format!("scope {}", budget.scope),
            second: format!("{rounds} rounds"),
            reason: "a pattern has one density",
        });
    }
    let mut selection = Selection::default();
    let mut masked = graph.clone();
    for round in 1..=*rounds {
        let share = round as f64 / *rounds as f64;
        let budget = Budget { sparsity: 1.0 - (1.0 - budget.sparsity).powf(share), ..*budget };
        let saliency = criterion.score(&masked, calibration)?;
        let earlier = (round > 1).then_some(&selection.masks);
        selection = budget.masks(&masked, &saliency, earlier)?;
        masked = selection.masks.apply(graph)?;
    }
    Ok(Pruned { masks: selection.masks, graph: masked, collapsed: selection.collapsed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Targets;
    use crate::testing::{mlp, samples};

    fn settings(method: Method, sparsity: f64) -> Settings {
        let budget =
            Budget { scope: Scope::Weight, allocation: method.allocation(Scope::Weight), sparsity, keep_layers: false };
        Settings { method, budget, rounds: method.rounds(), seed: 1 }
    }

    #[test]
    fn names_are_read_back() {
        for method in Method::ALL {
            assert_eq!(method.name().parse::<Method>().unwrap(), method);
        }
        assert!(matches!("magic".parse::<Method>(), Err(PruneError::Unknown { what: "method", .. })));
    }

    #[test]
    fn every_method_prunes_and_repeats_itself() {
        let graph = mlp(&[6, 8, 8, 3], 5);
        let labels = (0..12).map(|i| i % 3).collect();
        let data = Calibration::new(samples(12, 6, 2), Targets::Labels(labels)).unwrap();
        for method in Method::ALL {
            let mut settings = settings(method, 0.5);
            if method == Method::Nystrom {
                settings.budget.scope = Scope::Neuron;
            }
            let found = prune(&graph, Some(&data), &settings).unwrap();
            assert_eq!(found.masks, prune(&graph, Some(&data), &settings).unwrap().masks, "{method}");
            if method != Method::Nystrom {
                assert_eq!(found.masks.count(), (68, 136), "{method}");
            }
        }
    }

    #[test]
    fn synflow_keeps_every_layer_down_to_a_few_paths() {
        for seed in 0..8 {
            let graph = mlp(&[8, 24, 24, 24, 4], seed);
            // 48 of 1440 weights: enough for a dozen paths through four layers.
            let found = prune(&graph, None, &settings(Method::Synflow, 1.0 - 48.0 / 1440.0)).unwrap();
            assert_eq!(found.masks.count(), (48, 1440));
            assert!(found.collapsed.is_empty(), "seed {seed}");
        }
    }

    #[test]
    fn rounds_are_refused_where_they_mean_nothing() {
        let graph = mlp(&[4, 4, 2], 1);
        let data = Calibration::new(samples(5, 4, 1), Targets::None).unwrap();
        let many = |method| Settings { rounds: 3, ..settings(method, 0.5) };
        assert!(matches!(prune(&graph, Some(&data), &many(Method::Sparsegpt)), Err(PruneError::Combination { .. })));
        let none = Settings { rounds: 0, ..settings(Method::Magnitude, 0.5) };
        assert!(matches!(prune(&graph, None, &none), Err(PruneError::Positive { .. })));
        assert!(matches!(prune(&graph, None, &settings(Method::Wanda, 0.5)), Err(PruneError::NoData { .. })));
    }
}
