//! The least core of coalitions that were drawn at random, with a bound of what the others may gain.

use super::coalition::Coalition;
use super::known::Known;
use super::stack::{Found, checked, worst};
use super::table::Game;
use crate::error::TheoryError;
use secateur_linalg::random::Random;
use std::collections::BTreeSet;

/// Evaluates a number of different proper coalitions, each as likely as any other, and divides $v(N)$ by their rows.
///
/// The excess of the rows says little about coalitions that were not drawn: `upper` bounds these too, for games that are
/// monotone up to the slack.
///
/// # Errors
/// As [`Known::new`]; no coalition asked for, or more than there are; a value is not known.
pub fn monte_carlo(game: &dyn Game, coalitions: usize, seed: u64, slack: f64) -> Result<Found, TheoryError> {
    let slack = checked(slack)?;
    let mut known = Known::new(game)?;
    let n = known.players();
    let proper = if n < 63 { (1usize << n) - 2 } else { usize::MAX };
    if !(1..=proper).contains(&coalitions) {
        let expected = "1 to the number of proper coalitions";
        return Err(TheoryError::Range { name: "coalitions", expected, found: coalitions as f64 });
    }
    let (mut random, all) = (Random::new(seed), Coalition::all(n));
    let mut drawn = BTreeSet::new();
    while drawn.len() < coalitions {
        let bits = u128::from(random.bits()) << 64 | u128::from(random.bits());
        let coalition = Coalition(bits & all.0);
        if coalition != Coalition::EMPTY && coalition != all {
            drawn.insert(coalition);
        }
    }
    known.evaluate_all(&drawn.into_iter().collect::<Vec<_>>())?;
    let (payoffs, lower) = known.solve();
    let upper = worst(&known, &payoffs, &slack);
    Ok(Found { payoffs, lower, upper, contradiction: known.contradiction(&slack), evaluations: known.evaluations() })
}
