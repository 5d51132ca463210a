//! The least core of games whose values are expensive: which coalitions need not be evaluated.
//!
//! [`dispensable`] is the stack of the paper, with rules of thumb for what is not looked at; its excess is that of the rows it
//! saw. [`search`] looks at sets of coalitions between $I$ and $I \cup U$ and leaves out only those that a bound excludes, so
//! its interval holds for every monotone game.

use super::coalition::Coalition;
use super::known::{Known, rational};
use super::table::Game;
use crate::error::TheoryError;
use dashu_ratio::RBig;
use std::collections::BTreeSet;

/// Thresholds of the paper's stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// A player whose loss costs at most this share of $v(N)$ is dispensable.
    pub dispensable: f64,
    /// A coalition worth at most this share of $v(N)$ is too weak to leave.
    pub weak: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { dispensable: 0.005, weak: 0.5 }
    }
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The division.
    pub payoffs: Vec<RBig>,
    /// The excess of the least core is at least this, for payoffs that are not negative.
    pub lower: RBig,
    /// No coalition of a game that is monotone, but for the slack, has a greater excess under the division.
    pub upper: RBig,
    /// Two evaluated coalitions, the smaller of which is worth more, by more than the slack: `upper` then is about no such game.
    pub contradiction: Option<(Coalition, Coalition)>,
    /// Coalitions that were evaluated.
    pub evaluations: usize,
}

/// The paper's stack: from $N$ downward, depth first; coalitions whose last loss was small, or that are weak, are not expanded.
///
/// # Source
/// arXiv 2602.03387, with the order of players (by what they add, least first) and the test of each threshold chosen here.
///
/// # Errors
/// As [`Known::new`], a threshold that is no number, and a value that is not known.
pub fn dispensable(game: &dyn Game, thresholds: Thresholds, slack: f64) -> Result<Found, TheoryError> {
    let slack = checked(slack)?;
    for (name, found) in [("dispensable", thresholds.dispensable), ("weak", thresholds.weak)] {
        if !found.is_finite() {
            return Err(TheoryError::Range { name, expected: "a finite share", found });
        }
    }
    let mut known = Known::new(game)?;
    let mut stack = vec![Coalition::all(known.players())];
    let mut seen: BTreeSet<Coalition> = BTreeSet::new();
    while let Some(coalition) = stack.pop() {
        let value = known.evaluate(coalition)?;
        let all = coalition.members().map(|player| coalition.without(player));
        let new: Vec<Coalition> = all.filter(|part| *part != Coalition::EMPTY && seen.insert(*part)).collect();
        known.evaluate_all(&new)?;
        let worth = |part: Coalition| known.evaluate(part).map(|worth| (worth, part));
        let mut parts = new.into_iter().map(worth).collect::<Result<Vec<_>, _>>()?;
        // The player who adds least comes first; the stack takes the last one up first.
        parts.sort_by(|a, b| (value - a.0).total_cmp(&(value - b.0)));
        for (worth, part) in parts {
            let idle = value - worth <= thresholds.dispensable * known.grand();
            if !idle && worth > thresholds.weak * known.grand() {
                stack.push(part);
            }
        }
    }
    let (payoffs, lower) = known.solve();
    let upper = worst(&known, &payoffs, &slack);
    Ok(Found { payoffs, lower, upper, contradiction: known.contradiction(&slack), evaluations: known.evaluations() })
}

/// How far [`search`] goes, and what it takes for granted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// The interval may be so wide.
    pub eta: f64,
    /// By how much a coalition may be worth more than one that holds it; 0 for monotone games.
    pub slack: f64,
    /// So many coalitions are evaluated side by side. More of them may then be evaluated than one by one.
    pub batch: usize,
}

/// [`search`] for monotone games, one coalition at a time.
///
/// # Errors
/// As [`search`].
pub fn certified(game: &dyn Game, eta: f64) -> Result<Found, TheoryError> {
    search(game, Search { eta, slack: 0.0, batch: 1 })
}

/// The division and interval of a game that is monotone up to a slack $\delta$, with $\text{upper} - \text{lower} \le \eta$.
///
/// Sets of coalitions $\{S : I \subseteq S \subseteq I \cup U\}$ are halved. Since $v(S) \le v(T) + \delta$ for every evaluated
/// $T \supseteq S$ and $x \ge 0$, no excess in a set is above $\min_T v(T) + \delta - x(I)$; a set whose bound is at most
/// $\underline e + \eta$ is left out. Otherwise $I \cup U$ is evaluated. A row that is violated changes the division, and the search
/// starts over, without evaluating anything twice.
///
/// # Soundness
/// `upper` holds for games with $v(S) \le v(T) + \delta$ whenever $S \subseteq T$.
///
/// # Errors
/// As [`Known::new`], a negative $\eta$ or slack, a batch of nothing, and a value that is not known.
pub fn search(game: &dyn Game, Search { eta, slack, batch }: Search) -> Result<Found, TheoryError> {
    if !(eta >= 0.0 && eta.is_finite()) {
        return Err(TheoryError::Range { name: "eta", expected: "0 or more", found: eta });
    }
    if batch == 0 {
        return Err(TheoryError::Range { name: "batch", expected: "1 or more", found: 0.0 });
    }
    let (eta, slack) = (rational(eta), checked(slack)?);
    let mut known = Known::new(game)?;
    let (n, all) = (known.players(), Coalition::all(known.players()));
    known.evaluate_all(&(0..n).map(|player| all.without(player)).collect::<Vec<_>>())?;
    'division: loop {
        let (payoffs, lower) = known.solve();
        let enough = &lower + &eta;
        let mut upper = lower.clone();
        let mut stack = vec![(Coalition::EMPTY, all)];
        let mut waiting: Vec<(Coalition, Coalition)> = Vec::new();
        loop {
            if waiting.len() == batch || stack.is_empty() && !waiting.is_empty() {
                let largest: Vec<Coalition> = waiting.iter().map(|(i, u)| Coalition(i.0 | u.0)).collect();
                known.evaluate_all(&largest)?;
                stack.extend(waiting.drain(..).rev());
            }
            let Some((inside, open)) = stack.pop() else { break };
            let largest = Coalition(inside.0 | open.0);
            let proper = largest != all && largest != Coalition::EMPTY;
            let bound = rational(known.ceiling(largest)) + &slack - paid(inside, &payoffs);
            if bound <= enough {
                if bound > upper && inside != all && largest != Coalition::EMPTY {
                    upper = bound;
                }
                continue;
            }
            if proper && !known.knows(largest) {
                waiting.push((inside, open));
                continue;
            }
            if proper {
                let excess = rational(known.evaluate(largest)?) - paid(largest, &payoffs);
                if excess > enough {
                    continue 'division;
                }
                upper = upper.max(excess);
            }
            // The richest player of the open ones splits the set: with it the bound falls most.
            let Some(player) = open.members().max_by(|a, b| payoffs[*a].cmp(&payoffs[*b])) else { continue };
            stack.push((inside.with(player), open.without(player)));
            stack.push((inside, open.without(player)));
        }
        return Ok(Found {
            payoffs,
            lower,
            upper,
            contradiction: known.contradiction(&slack),
            evaluations: known.evaluations(),
        });
    }
}

/// By how much a coalition may be worth more than one that holds it.
pub(super) fn checked(slack: f64) -> Result<RBig, TheoryError> {
    let fault = TheoryError::Range { name: "slack", expected: "0 or more", found: slack };
    if slack >= 0.0 && slack.is_finite() { Ok(rational(slack)) } else { Err(fault) }
}

/// A bound of the greatest excess of a game of which some values are known, and which is monotone up to a slack, without
/// evaluating more.
pub fn worst(known: &Known<'_>, payoffs: &[RBig], slack: &RBig) -> RBig {
    let all = Coalition::all(known.players());
    let known_excess = |(coalition, value): (&Coalition, &f64)| rational(*value) - paid(*coalition, payoffs);
    let mut worst = known.values().iter().map(known_excess).max().unwrap_or(RBig::ZERO);
    let mut stack = vec![(Coalition::EMPTY, all)];
    while let Some((inside, open)) = stack.pop() {
        let largest = Coalition(inside.0 | open.0);
        // What was evaluated is known, whatever the slack.
        if open == Coalition::EMPTY && known.knows(largest) {
            continue;
        }
        let bound = rational(known.ceiling(largest)) + slack - paid(inside, payoffs);
        if bound <= worst {
            continue;
        }
        match open.members().max_by(|a, b| payoffs[*a].cmp(&payoffs[*b])) {
            Some(player) => {
                stack.push((inside.with(player), open.without(player)));
                stack.push((inside, open.without(player)));
            }
            None if inside != all && inside != Coalition::EMPTY => worst = bound,
            None => {}
        }
    }
    worst
}

/// $x(S)$.
fn paid(coalition: Coalition, payoffs: &[RBig]) -> RBig {
    coalition.members().fold(RBig::ZERO, |sum, player| sum + &payoffs[player])
}
