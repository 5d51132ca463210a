//! What noise in the values does to divisions.
//!
//! Values are means over few trainings. Games with normal noise of the measured standard errors show how much of a payoff is
//! chance; the games of single seeds show the same without a law.

use super::config::Config;
use crate::theory::StudyError;
use rayon::prelude::*;
use secateur_linalg::random::Random;
use secateur_theory::TheoryError;
use secateur_theory::game::least_core::{Settings, least_core};
use secateur_theory::game::nucleolus::prenucleolus;
use secateur_theory::game::shapley::shapley;
use secateur_theory::game::{Game, Table};
use serde::{Deserialize, Serialize};

/// What noise does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Noise {
    /// Games with noise.
    pub games: u64,
    /// The greatest standard error of a value.
    pub largest: f64,
    /// Each concept's payoffs over games with noise.
    pub concepts: Vec<Spread>,
    /// The excess of the least core: mean and deviation.
    pub excess: [f64; 2],
    /// The excess of the least core of each seed's own game.
    pub by_seed: Vec<f64>,
}

/// A concept's payoffs over games with noise.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The concept.
    pub name: String,
    /// Means.
    pub means: Vec<f64>,
    /// Deviations.
    pub deviations: Vec<f64>,
}

/// The stream of the seed of data that noise comes from, one for each game from there.
const NOISE: u64 = 1 << 48;

/// What one game gives: payoffs by concept, and the excess of the least core.
type Draw = ([Vec<f64>; 3], f64);

/// None without standard errors, or where no game is asked for.
pub(super) fn noise(
    config: &Config,
    table: &Table,
    errors: Option<&[f64]>,
    seeds: &[Table],
) -> Result<Option<Noise>, StudyError> {
    let games = config.compare.noise;
    let Some(errors) = errors.filter(|_| games > 0) else { return Ok(None) };
    let draw = |number: u64| -> Result<Draw, TheoryError> {
        let mut random = Random::stream(config.data_seed, NOISE + number);
        // A score is not below 0, with noise or without.
        let values = table.values().iter().zip(errors).map(|(value, error)| (value + error * random.normal()).max(0.0));
        solved(&Table::new(table.players(), values.collect())?)
    };
    let draws = (0..games).into_par_iter().map(draw).collect::<Result<Vec<_>, _>>()?;
    let spread = |(place, name): (usize, &str)| {
        let of = |player: usize| moments(draws.iter().map(|(payoffs, _)| payoffs[place][player]));
        let moments: Vec<[f64; 2]> = (0..table.players()).map(of).collect();
        let part = |k: usize| moments.iter().map(|m| m[k]).collect();
        Spread { name: name.to_owned(), means: part(0), deviations: part(1) }
    };
    let concepts = ["least core", "prenucleolus", "Shapley"].into_iter().enumerate().map(spread).collect();
    let by_seed = seeds.iter().map(|table| solved(table).map(|(_, excess)| excess)).collect::<Result<_, _>>()?;
    let largest = errors.iter().copied().fold(0.0, f64::max);
    Ok(Some(Noise { games, largest, concepts, excess: moments(draws.iter().map(|(_, excess)| *excess)), by_seed }))
}

fn solved(table: &Table) -> Result<Draw, TheoryError> {
    let core = least_core(table, Settings { nonnegative: true })?;
    let floats = |payoffs: &[dashu_ratio::RBig]| payoffs.iter().map(|x| x.to_f64().value()).collect();
    let payoffs = [floats(&core.payoffs), floats(&prenucleolus(table).payoffs), shapley(table)];
    Ok((payoffs, core.excess.to_f64().value()))
}

/// Mean and sample deviation.
fn moments(values: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    [mean, (values.map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt()]
}
