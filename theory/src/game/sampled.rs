//! Shapley values by sampling, with intervals of confidence.
//!
//! Every method draws independent units (permutations, pairs of them, coalitions), whose images are unbiased for
//! $\varphi$; the interval of a payoff is Student's, from the units' deviation.

use super::coalition::Coalition;
use super::table::Game;
use crate::error::TheoryError;
use secateur_linalg::random::Random;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// How coalitions are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Players arrive in a random order, and get what they add: $n$ values a unit.
    Permutation,
    /// An order and its reverse, averaged: $2n$ values a unit.
    Antithetic,
    /// For each player and each number of others a coalition: $2n^2$ values a unit, and each number of others has its own mean.
    Stratified,
    /// Coalitions with their complements by the weights of the regression that the Shapley value solves, whose matrix is known:
    /// 2 values a unit.
    ///
    /// # Source
    /// I. Covert, S.-I. Lee, *Improving KernelSHAP*, 2021, the unbiased estimator with paired sampling.
    Kernel,
}

/// An estimate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean of the units.
    pub payoffs: Vec<f64>,
    /// Its standard errors.
    pub errors: Vec<f64>,
    /// Units drawn.
    pub units: usize,
    /// Values asked for, those that were asked for before included.
    pub evaluations: usize,
    /// The same after 2, 4, 8, … units and at the end, to see them settle.
    pub trace: Vec<Stage>,
}

/// An estimate on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Units drawn until then.
    pub units: usize,
    /// Their mean.
    pub payoffs: Vec<f64>,
    /// Its standard errors.
    pub errors: Vec<f64>,
}

/// Draws a number of units.
///
/// # Errors
/// No unit or one, which has no deviation; `Kernel` with fewer than two players; a value is not known.
pub fn sample(game: &dyn Game, method: Method, units: usize, seed: u64) -> Result<Estimate, TheoryError> {
    let n = game.players();
    let grand = opening(game, units)?;
    let (mut sum, mut squares, mut evaluations) = (vec![0.0; n], vec![0.0; n], 1);
    let mut trace = Vec::new();
    for unit in 0..units {
        let image = image(game, method, grand, &mut Random::stream(seed, unit as u64))?;
        evaluations += match method {
            Method::Permutation => n - 1,
            Method::Antithetic => 2 * (n - 1),
            Method::Stratified => 2 * n * n,
            Method::Kernel => 2,
        };
        // Welford's recurrence.
        for (i, value) in image.iter().enumerate() {
            let away = value - sum[i];
            sum[i] += away / (unit + 1) as f64;
            squares[i] += away * (value - sum[i]);
        }
        let count = (unit + 1) as f64;
        if unit > 0 && ((unit + 1).is_power_of_two() || unit + 1 == units) {
            let errors = squares.iter().map(|square| (square / (count - 1.0) / count).sqrt()).collect();
            trace.push(Stage { units: unit + 1, payoffs: sum.clone(), errors });
        }
    }
    let errors = trace.last().map_or_else(Vec::new, |stage| stage.errors.clone());
    Ok(Estimate { payoffs: sum, errors, units, evaluations, trace })
}

/// The coalitions that [`sample`] asks for, which do not depend on values: games whose values are expensive prepare them.
///
/// # Errors
/// As [`sample`].
pub fn coalitions(players: usize, method: Method, units: usize, seed: u64) -> Result<BTreeSet<Coalition>, TheoryError> {
    let asked = Asked { players, coalitions: Mutex::default() };
    sample(&asked, method, units, seed)?;
    Ok(asked.coalitions.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Remembers what it is asked for.
struct Asked {
    players: usize,
    coalitions: Mutex<BTreeSet<Coalition>>,
}

impl Game for Asked {
    fn players(&self) -> usize {
        self.players
    }

    fn value(&self, coalition: Coalition) -> Result<f64, TheoryError> {
        self.coalitions.lock().unwrap_or_else(PoisonError::into_inner).insert(coalition);
        Ok(0.0)
    }
}

/// The images of the same units one by one, whose mean is the estimate: what a bootstrap draws from.
///
/// # Errors
/// As [`sample`].
pub fn images(game: &dyn Game, method: Method, units: usize, seed: u64) -> Result<Vec<Vec<f64>>, TheoryError> {
    let grand = opening(game, units)?;
    (0..units as u64).map(|unit| image(game, method, grand, &mut Random::stream(seed, unit))).collect()
}

/// $v(N)$, where so many units make an estimate.
fn opening(game: &dyn Game, units: usize) -> Result<f64, TheoryError> {
    let n = game.players();
    if units < 2 {
        return Err(TheoryError::Range { name: "units", expected: "2 or more", found: units as f64 });
    }
    if n < 2 {
        return Err(TheoryError::Range { name: "players", expected: "2 or more", found: n as f64 });
    }
    game.value(Coalition::all(n))
}

/// One unit, as a payoff for each player.
fn image(game: &dyn Game, method: Method, grand: f64, random: &mut Random) -> Result<Vec<f64>, TheoryError> {
    let n = game.players();
    match method {
        Method::Permutation => arrivals(game, &random.permutation(n), grand),
        Method::Antithetic => {
            let forth = random.permutation(n);
            let back: Vec<usize> = forth.iter().rev().copied().collect();
            let (a, b) = (arrivals(game, &forth, grand)?, arrivals(game, &back, grand)?);
            Ok(a.iter().zip(&b).map(|(a, b)| 0.5 * (a + b)).collect())
        }
        Method::Stratified => strata(game, random),
        Method::Kernel => pair(game, random, grand),
    }
}

/// What players add when they arrive in an order.
fn arrivals(game: &dyn Game, order: &[usize], grand: f64) -> Result<Vec<f64>, TheoryError> {
    let (mut present, mut before) = (Coalition::EMPTY, 0.0);
    let mut gains = vec![0.0; order.len()];
    for (place, player) in order.iter().enumerate() {
        present = present.with(*player);
        let value = if place + 1 == order.len() { grand } else { game.value(present)? };
        gains[*player] = value - before;
        before = value;
    }
    Ok(gains)
}

/// The mean over numbers of others of what each player adds to one coalition of that many.
fn strata(game: &dyn Game, random: &mut Random) -> Result<Vec<f64>, TheoryError> {
    let n = game.players();
    let mut gains = vec![0.0; n];
    for (player, gain) in gains.iter_mut().enumerate() {
        for size in 0..n {
            let others = random.permutation(n).into_iter().filter(|other| *other != player).take(size);
            let coalition = others.fold(Coalition::EMPTY, Coalition::with);
            let before = if coalition == Coalition::EMPTY { 0.0 } else { game.value(coalition)? };
            *gain += (game.value(coalition.with(player))? - before) / n as f64;
        }
    }
    Ok(gains)
}

/// The image of a coalition and its complement under the regression's solution.
///
/// With $A = E[1_S 1_S^\top]$ and $b = E[1_S\, v(S)]$ over proper coalitions of weight $\propto \frac{1}{|S|(n - |S|)}$ a size,
/// $\varphi = A^{-1} \big( b - 1 \frac{1^\top A^{-1} b - v(N)}{1^\top A^{-1} 1} \big)$; $A = \alpha I + \beta (1 1^\top - I)$ with
/// $\alpha = \tfrac12$, so $A^{-1}$ acts on the part of $b$ off the diagonal as $1 / (\alpha - \beta)$.
fn pair(game: &dyn Game, random: &mut Random, grand: f64) -> Result<Vec<f64>, TheoryError> {
    let n = game.players();
    let weight = |size: usize| 1.0 / (size * (n - size)) as f64;
    let total: f64 = (1..n).map(weight).sum();
    let both = |size: usize| (size * (size - 1)) as f64 / (n * (n - 1)) as f64;
    let beta = (1..n).map(|size| weight(size) / total * both(size)).sum::<f64>();
    let mut left = random.unit() * total;
    let size = (1..n).find(|size| {
        left -= weight(*size);
        left < 0.0
    });
    let coalition =
        random.permutation(n).into_iter().take(size.unwrap_or(n - 1)).fold(Coalition::EMPTY, Coalition::with);
    let others = Coalition(Coalition::all(n).0 & !coalition.0);
    let (inside, outside) = (game.value(coalition)?, game.value(others)?);
    let part = |player: usize| 0.5 * if coalition.has(player) { inside } else { outside };
    let mean = (0..n).map(part).sum::<f64>() / n as f64;
    Ok((0..n).map(|player| (part(player) - mean) / (0.5 - beta) + grand / n as f64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::Table;

    #[test]
    fn the_mean_of_images_is_the_estimate() {
        let game = Table::new(3, vec![0.0, 1.0, 2.0, 4.0, 0.5, 3.0, 2.5, 7.0]).expect("a game");
        for method in [Method::Permutation, Method::Antithetic, Method::Stratified, Method::Kernel] {
            let (images, whole) = (images(&game, method, 9, 4), sample(&game, method, 9, 4).expect("values"));
            let images = images.expect("values");
            for (player, payoff) in whole.payoffs.iter().enumerate() {
                let mean = images.iter().map(|image| image[player]).sum::<f64>() / 9.0;
                // Nine numbers below 10, added in another way.
                assert!((mean - payoff).abs() < 1e-12, "{method:?}: {mean} {payoff}");
            }
        }
        assert!(images(&game, Method::Kernel, 1, 0).is_err());
    }
}
