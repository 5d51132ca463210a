//! Values that average what players add to coalitions.

use super::coalition::Coalition;
use super::table::{Game, Table};
use crate::error::TheoryError;

/// The Shapley value,
/// $\varphi_i = \sum_{S \not\ni i} \frac{|S|!\,(n - 1 - |S|)!}{n!} \big(v(S \cup i) - v(S)\big)$.
///
/// # Source
/// L. S. Shapley, *A value for n-person games*, 1953.
pub fn shapley(game: &Table) -> Vec<f64> {
    let n = game.players();
    // 1 / (n C(n - 1, k)), the share of one coalition of k others.
    let mut shares = vec![1.0 / n as f64; n];
    for k in 1..n {
        shares[k] = shares[k - 1] * k as f64 / (n - k) as f64;
    }
    averaged(game, |others| shares[others])
}

/// The Banzhaf value, $\beta_i = 2^{1 - n} \sum_{S \not\ni i} \big(v(S \cup i) - v(S)\big)$. It does not add up to $v(N)$.
///
/// # Source
/// J. F. Banzhaf, *Weighted voting doesn't work*, 1965.
pub fn banzhaf(game: &Table) -> Vec<f64> {
    let share = 0.5f64.powi(game.players() as i32 - 1);
    averaged(game, |_| share)
}

/// What players add, times the share of coalitions of that many others. Sums of one size are kept apart, which keeps their
/// rounding errors small.
fn averaged(game: &Table, share: impl Fn(usize) -> f64) -> Vec<f64> {
    let (n, values) = (game.players(), game.values());
    // Sums of up to 2^24 differences of the largest doubles stay finite with this power of two, which changes no digit of them.
    let largest = values.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let unit = if largest > f64::MAX / 2f64.powi(30) { 2f64.powi(-60) } else { 1.0 };
    let payoff = |player: usize| {
        let mut sums = vec![(0.0, 0.0); n];
        for set in (0..values.len()).filter(|set| set >> player & 1 == 0) {
            let (sum, lost): &mut (f64, f64) = &mut sums[set.count_ones() as usize];
            // Neumaier's sum: what an addition loses is added at the end.
            let gain = unit * values[set | 1 << player] - unit * values[set];
            let next = *sum + gain;
            *lost += if sum.abs() >= gain.abs() { (*sum - next) + gain } else { (gain - next) + *sum };
            *sum = next;
        }
        sums.iter().enumerate().map(|(others, (sum, lost))| share(others) * (sum + lost)).sum::<f64>() / unit
    };
    (0..n).map(payoff).collect()
}

/// What each player adds to all others, $v(N) - v(N \setminus i)$, with $n + 1$ evaluations.
///
/// # Errors
/// A value is not known.
pub fn leave_one_out(game: &dyn Game) -> Result<Vec<f64>, TheoryError> {
    let all = Coalition::all(game.players());
    let asked: Vec<Coalition> = (0..game.players()).map(|player| all.without(player)).chain([all]).collect();
    game.prepare(&asked)?;
    let grand = game.value(all)?;
    (0..game.players()).map(|player| Ok(grand - game.value(all.without(player))?)).collect()
}
