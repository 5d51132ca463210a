//! Every concept on values that are all known, and what searches would have saved.

use super::config::Config;
use super::noise::{Noise, noise};
use crate::theory::StudyError;
use dashu_ratio::RBig;
use secateur_theory::TheoryError;
use secateur_theory::game::excess::Excesses;
use secateur_theory::game::least_core::{LeastCore, Settings, least_core};
use secateur_theory::game::monte_carlo::monte_carlo;
use secateur_theory::game::nucleolus::{nucleolus, prenucleolus};
use secateur_theory::game::sampled::{Method, sample};
use secateur_theory::game::shapley::{banzhaf, leave_one_out, shapley};
use secateur_theory::game::stack::{Found, Search, Thresholds, dispensable, search};
use secateur_theory::game::{Coalition, Game, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// What follows from the values of all coalitions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shares {
    /// $v(S)$ in the order of the coalitions' bits, means over seeds.
    pub values: Vec<f64>,
    /// Their standard errors; none with one seed.
    pub errors: Option<Vec<f64>>,
    /// Arrivals that make a coalition worth less, of how many.
    pub falls: (usize, usize),
    /// The most that a coalition is worth above one that holds it.
    pub slack: f64,
    /// The excess of the least core with payoffs from 0.
    pub excess: f64,
    /// The same as a quotient of whole numbers.
    pub exact: String,
    /// Coalitions with that excess.
    pub tight: Vec<Alliance>,
    /// Each concept's division.
    pub concepts: Vec<Concept>,
    /// Certified searches.
    pub searches: Vec<Interval>,
    /// The stack with its thresholds.
    pub stack: Stack,
    /// Coalitions drawn at random.
    pub drawn: Vec<Drawn>,
    /// What noise in the values does.
    pub noise: Option<Noise>,
}

/// A coalition whose excess is that of the least core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alliance {
    /// Who is in it.
    pub players: Vec<usize>,
    /// What it is worth.
    pub value: f64,
    /// Its weight $\lambda_S$ in the proof of that excess.
    pub weight: f64,
}

/// A division by a concept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Concept {
    /// Its name.
    pub name: String,
    /// What each player gets.
    pub payoffs: Vec<f64>,
    /// Half of 95 % intervals of sampled payoffs.
    pub halves: Option<Vec<f64>>,
    /// The greatest excess.
    pub excess: f64,
    /// Who has it.
    pub worst: Vec<usize>,
    /// Coalitions that gain by leaving.
    pub violated: usize,
    /// Coalitions whose values it needs.
    pub evaluations: usize,
    /// $\sum_i |x_i - x_i^*|$ from the least core.
    pub distance: f64,
}

/// A certified search.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Interval {
    /// Whether it is of the monotone closure; else of the game, with its slack.
    pub closure: bool,
    /// The width asked for, as a share of $v(N)$.
    pub eta: f64,
    /// The ends that were found.
    pub ends: [f64; 2],
    /// The excess of the least core that they enclose.
    pub excess: f64,
    /// Coalitions that were evaluated.
    pub evaluations: usize,
}

/// The stack with its thresholds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stack {
    /// Coalitions that were evaluated.
    pub evaluations: usize,
    /// The excess over them.
    pub reported: f64,
    /// The greatest excess of all.
    pub worst: f64,
}

/// Coalitions drawn at random, means over draws.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drawn {
    /// How many of the coalitions.
    pub share: f64,
    /// That many.
    pub coalitions: usize,
    /// The excess over those drawn.
    pub reported: f64,
    /// The greatest excess of all.
    pub worst: f64,
    /// Draws in which the true excess of the least core is above the one over those drawn.
    pub below: u64,
    /// Draws.
    pub draws: u64,
}

/// Runs every concept and search. The tables of single seeds give the noise of values; volumes are how much each player holds.
///
/// # Errors
/// $v(N) < 0$, which no score is.
pub(super) fn shares(config: &Config, volumes: &[usize], table: &Table, seeds: &[Table]) -> Result<Shares, StudyError> {
    let core = least_core(table, Settings { nonnegative: true })?;
    let closure = table.closure();
    let slack = closure.values().iter().zip(table.values()).map(|(most, v)| most - v).fold(0.0, f64::max).next_up();
    let errors = standard_errors(seeds);
    Ok(Shares {
        values: table.values().to_vec(),
        falls: table.decreases(),
        slack,
        excess: core.excess.to_f64().value(),
        exact: core.excess.to_string(),
        tight: alliances(table, &core),
        concepts: concepts(config, volumes, table, &core)?,
        searches: searches(config, table, &closure, slack, &core)?,
        stack: stack(table)?,
        drawn: drawn(config, table, &core)?,
        noise: noise(config, table, errors.as_deref(), seeds)?,
        errors,
    })
}

fn alliances(table: &Table, core: &LeastCore) -> Vec<Alliance> {
    let weight = |coalition: Coalition| {
        let found = core.weights.iter().find(|(other, _)| *other == coalition);
        found.map_or(0.0, |(_, weight)| weight.to_f64().value())
    };
    let tight = Excesses::of(table).tight(&core.payoffs, &core.excess).into_iter();
    let value = |coalition: Coalition| table.values()[coalition.0 as usize];
    tight.map(|c| Alliance { players: members(c), value: value(c), weight: weight(c) }).collect()
}

fn members(coalition: Coalition) -> Vec<usize> {
    coalition.members().collect()
}

fn floats(payoffs: &[RBig]) -> Vec<f64> {
    payoffs.iter().map(|x| x.to_f64().value()).collect()
}

/// $s / \sqrt k$ of each value over $k$ seeds.
fn standard_errors(seeds: &[Table]) -> Option<Vec<f64>> {
    let count = seeds.len() as f64;
    let error = |set: usize| {
        let mean = seeds.iter().map(|table| table.values()[set]).sum::<f64>() / count;
        let square: f64 = seeds.iter().map(|table| (table.values()[set] - mean).powi(2)).sum();
        (square / (count - 1.0) / count).sqrt()
    };
    (seeds.len() > 1).then(|| (0..seeds[0].values().len()).map(error).collect())
}

/// A game that counts what it is asked.
struct Counted<'a> {
    game: &'a Table,
    asked: Mutex<BTreeSet<Coalition>>,
}

impl<'a> Counted<'a> {
    fn new(game: &'a Table) -> Self {
        Self { game, asked: Mutex::default() }
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len()
    }
}

impl Game for Counted<'_> {
    fn players(&self) -> usize {
        self.game.players()
    }

    fn value(&self, coalition: Coalition) -> Result<f64, TheoryError> {
        if coalition != Coalition::EMPTY {
            self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(coalition);
        }
        self.game.value(coalition)
    }
}

fn concepts(config: &Config, volumes: &[usize], table: &Table, core: &LeastCore) -> Result<Vec<Concept>, StudyError> {
    let (n, all) = (table.players(), table.values().len() - 1);
    let exact = floats(&core.payoffs);
    let concept = |name: &str, payoffs: Vec<f64>, evaluations: usize| {
        let excess =
            |set: usize| table.values()[set] - Coalition(set as u128).members().map(|i| payoffs[i]).sum::<f64>();
        let excesses: Vec<f64> = (1..all).map(excess).collect();
        let worst = (0..excesses.len()).fold(0, |worst, set| if excesses[set] > excesses[worst] { set } else { worst });
        // Roundings of sums of so many payoffs gain nobody anything.
        let violated = excesses.iter().filter(|excess| **excess > 1e-12).count();
        let distance = payoffs.iter().zip(&exact).map(|(x, y)| (x - y).abs()).sum();
        let (name, worst_set) = (name.to_owned(), members(Coalition(worst as u128 + 1)));
        Concept {
            name,
            payoffs,
            halves: None,
            excess: excesses[worst],
            worst: worst_set,
            violated,
            evaluations,
            distance,
        }
    };
    let scaled = |weights: Vec<f64>| {
        let sum: f64 = weights.iter().sum();
        (sum != 0.0).then(|| weights.iter().map(|w| w / sum * table.grand()).collect::<Vec<f64>>())
    };
    let nucleolus = match nucleolus(table) {
        Ok(found) => ("nucleolus", found),
        // The players alone have more than all together.
        Err(TheoryError::NoImputation { .. }) => ("prenucleolus", prenucleolus(table)),
        Err(error) => return Err(error.into()),
    };
    let mut found = vec![
        concept("least core", exact.clone(), all),
        concept(nucleolus.0, floats(&nucleolus.1.payoffs), all),
        concept("Shapley", shapley(table), all),
    ];
    for (name, method, units) in [
        ("Shapley, permutations", Method::Permutation, config.compare.permutations),
        ("Shapley, antithetic", Method::Antithetic, config.compare.permutations.div_ceil(2).max(2)),
    ] {
        let counted = Counted::new(table);
        let estimate = sample(&counted, method, units, config.data_seed)?;
        let quantile = crate::statistics::student(units - 1);
        let halves = estimate.errors.iter().map(|error| quantile * error).collect();
        found.push(Concept { halves: Some(halves), ..concept(name, estimate.payoffs, counted.count()) });
    }
    if let Some(payoffs) = scaled(banzhaf(table)) {
        found.push(concept("Banzhaf, scaled", payoffs, all));
    }
    if let Some(payoffs) = scaled(leave_one_out(table)?) {
        found.push(concept("leave-one-out, scaled", payoffs, n + 1));
    }
    if let Some(payoffs) = scaled(volumes.iter().map(|volume| *volume as f64).collect()) {
        found.push(concept("volume of data", payoffs, 1));
    }
    Ok(found)
}

/// Certified searches on the closure, and on the game with its slack.
fn searches(
    config: &Config,
    table: &Table,
    closure: &Table,
    slack: f64,
    core: &LeastCore,
) -> Result<Vec<Interval>, StudyError> {
    let top = least_core(closure, Settings { nonnegative: true })?;
    let mut found = Vec::new();
    for (closed, game, slack, excess) in [(true, closure, 0.0, &top.excess), (false, table, slack, &core.excess)] {
        for eta in &config.compare.eta {
            let Found { lower, upper, evaluations, .. } =
                search(game, Search { eta: eta * game.grand(), slack, batch: 1 })?;
            let ends = [lower.to_f64().value(), upper.to_f64().value()];
            found.push(Interval { closure: closed, eta: *eta, ends, excess: excess.to_f64().value(), evaluations });
        }
    }
    Ok(found)
}

fn stack(table: &Table) -> Result<Stack, StudyError> {
    let found = dispensable(table, Thresholds::default())?;
    let worst = worst(table, &found.payoffs);
    Ok(Stack { evaluations: found.evaluations, reported: found.lower.to_f64().value(), worst })
}

/// The greatest excess of all.
fn worst(table: &Table, payoffs: &[RBig]) -> f64 {
    Excesses::of(table).worst(payoffs, None).map_or(f64::NAN, |(_, worst)| worst.to_f64().value())
}

fn drawn(config: &Config, table: &Table, core: &LeastCore) -> Result<Vec<Drawn>, StudyError> {
    let proper = table.values().len() - 2;
    let mut found = Vec::new();
    for share in &config.compare.drawn {
        let coalitions = ((share * proper as f64).round() as usize).clamp(1, proper);
        let (mut reported, mut truly, mut below) = (0.0, 0.0, 0);
        for draw in 0..config.compare.draws {
            let drawn = monte_carlo(table, coalitions, config.data_seed.wrapping_add(draw))?;
            reported += drawn.lower.to_f64().value();
            truly += worst(table, &drawn.payoffs);
            below += u64::from(drawn.lower < core.excess);
        }
        let draws = config.compare.draws as f64;
        let (reported, worst) = (reported / draws, truly / draws);
        found.push(Drawn { share: *share, coalitions, reported, worst, below, draws: config.compare.draws });
    }
    Ok(found)
}
