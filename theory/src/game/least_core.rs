//! The least core, exactly: by simplex over coalitions that are named when they are violated.
//!
//! $$\min_{x, e}\; e \quad\text{subject to}\quad \sum_{i \in N} x_i = v(N), \qquad \sum_{i \in S} x_i + e \ge v(S)
//!   \quad (\emptyset \ne S \subsetneq N).$$
//!
//! Bases consist of rows of zeros and ones, whose determinants are small, so rational pivots are cheap and nothing is
//! rounded. The multipliers $\lambda_S \ge 0$ of the last basis, with $\sum_S \lambda_S = 1$ and $\sum_S \lambda_S 1_S = \mu 1_N$,
//! prove that no division does better: $e \ge \sum_S \lambda_S v(S) - \mu\, v(N)$.

use super::coalition::Coalition;
use super::excess::{Excesses, Skip};
use super::table::{Game, Table};
use crate::error::TheoryError;
use dashu_ratio::RBig;
use secateur_opt::exact::least_norm::{LeastNorm, Met};
use secateur_opt::exact::simplex::{Entered, Simplex};
use secateur_opt::exact::{Row, Span};

/// What may be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Nobody gets less than 0.
    pub nonnegative: bool,
}

/// The least core.
#[derive(Clone, Debug, PartialEq)]
pub struct LeastCore {
    /// $e$: what the unhappiest coalition would gain by leaving.
    pub excess: RBig,
    /// Of the divisions with that excess the one of least norm.
    pub payoffs: Vec<RBig>,
    /// $\lambda_S$ of coalitions, which prove the excess.
    pub weights: Vec<(Coalition, RBig)>,
    /// $\lambda_i$ of players that get nothing less than 0, where that is asked for.
    pub floors: Vec<(usize, RBig)>,
    /// Rows that entered.
    pub pivots: usize,
}

/// Rows of single players' least payoffs have names of their own.
const FLOOR: u128 = 1 << 127;

/// Finds the least core.
///
/// # Errors
/// A game of one player, which has no proper coalition; with `nonnegative`, $v(N) < 0$.
pub fn least_core(game: &Table, settings: Settings) -> Result<LeastCore, TheoryError> {
    let n = game.players();
    if n < 2 {
        return Err(TheoryError::Range { name: "players", expected: "2 or more", found: n as f64 });
    }
    let excesses = Excesses::of(game);
    let floors = settings.nonnegative.then(|| vec![RBig::ZERO; n]);
    if settings.nonnegative && game.grand() < 0.0 {
        return Err(TheoryError::NoImputation { excess: -game.grand(), together: game.grand() });
    }
    let whole = (vec![RBig::ONE; n], excesses.value(Coalition::all(n)));
    let (simplex, pivots) = least_excess(&excesses, n, &[whole], None, floors.as_deref());
    let excess = simplex.value().clone();
    let named = simplex.basis().filter(|(row, y)| !row.equal && !y.is_zero());
    let (floor_rows, rows): (Vec<_>, Vec<_>) = named.partition(|(row, _)| row.name & FLOOR != 0);
    let weights = rows.into_iter().map(|(row, y)| (Coalition(row.name), y.clone())).collect();
    let floor_rows = floor_rows.into_iter().map(|(row, y)| ((row.name & !FLOOR) as usize, y.clone())).collect();
    let payoffs = egalitarian(&excesses, n, &excess, settings.nonnegative);
    Ok(LeastCore { excess, payoffs, weights, floors: floor_rows, pivots })
}

/// The division of least norm under which no coalition has more than an excess.
fn egalitarian(excesses: &Excesses, n: usize, excess: &RBig, nonnegative: bool) -> Vec<RBig> {
    let mut program = LeastNorm::new(n);
    let bound = excesses.value(Coalition::all(n));
    let mut met = program.enter(Row { name: 0, coefficients: vec![RBig::ONE; n], bound, equal: true });
    loop {
        assert_eq!(met, Met::Yes, "the least core is not empty");
        let point = program.point();
        let poorest = (0..n).min_by(|i, j| point[*i].cmp(&point[*j])).filter(|i| nonnegative && point[*i] < RBig::ZERO);
        let row = match (excesses.worst(point, None), poorest) {
            (_, Some(player)) => floor(n, n, player, RBig::ZERO),
            (Some((coalition, worst)), None) if worst > *excess => {
                let bound = excesses.value(coalition) - excess;
                Row { name: coalition.0, coefficients: indicator(coalition, n), bound, equal: false }
            }
            _ => return point.to_vec(),
        };
        met = program.enter(row);
    }
}

/// $1_S$.
pub(super) fn indicator(coalition: Coalition, players: usize) -> Vec<RBig> {
    (0..players).map(|player| if coalition.has(player) { RBig::ONE } else { RBig::ZERO }).collect()
}

/// $x_i \ge f$, in a space of `columns`.
pub(super) fn floor(players: usize, columns: usize, player: usize, bound: RBig) -> Row {
    let mut coefficients = indicator(Coalition::one(player), players);
    coefficients.resize(columns, RBig::ZERO);
    Row { name: FLOOR | player as u128, coefficients, bound, equal: false }
}

/// Whether a row is of a player's least payoff, and whose.
pub(super) fn floor_of(row: &Row) -> Option<usize> {
    (row.name & FLOOR != 0).then_some((row.name & !FLOOR) as usize)
}

/// Minimises the greatest excess of coalitions that are not marked, under equations on the payoffs and least payoffs. The
/// simplex is over $(x, e)$.
///
/// A start: for a coalition $S$ that the equations leave open, $\tfrac12 (x(S) + e) + \tfrac12 (x(N \setminus S) + e) - \tfrac12 x(N) = e$,
/// so these two rows have multipliers $\tfrac12$; other rows of single players complete the basis with multipliers 0.
///
/// # Panics
/// The equations do not include that of $N$, leave nothing open, or contradict the least payoffs.
pub(super) fn least_excess(
    excesses: &Excesses,
    n: usize,
    equations: &[(Vec<RBig>, RBig)],
    skip: Skip<'_>,
    floors: Option<&[RBig]>,
) -> (Simplex, usize) {
    let wide = |mut coefficients: Vec<RBig>, last: RBig| {
        coefficients.push(last);
        coefficients
    };
    let row = |coalition: Coalition| Row {
        name: coalition.0,
        coefficients: wide(indicator(coalition, n), RBig::ONE),
        bound: excesses.value(coalition),
        equal: false,
    };
    let (mut span, mut rows) = (Span::default(), Vec::new());
    for (coefficients, bound) in equations {
        let coefficients = wide(coefficients.clone(), RBig::ZERO);
        assert!(span.insert(&coefficients), "equations are independent");
        rows.push(Row { name: 0, coefficients, bound: bound.clone(), equal: true });
    }
    let open = |player: &usize| !span.contains(&wide(indicator(Coalition::one(*player), n), RBig::ZERO));
    let first = Coalition::one((0..n).find(open).expect("the equations leave a player's payoff open"));
    let rest = Coalition(Coalition::all(n).0 & !first.0);
    let singles = (0..n).map(Coalition::one);
    for coalition in [first, rest].into_iter().chain(singles) {
        let row = row(coalition);
        if span.rank() <= n && span.insert(&row.coefficients) {
            rows.push(row);
        }
    }
    let objective = wide(vec![RBig::ZERO; n], RBig::ONE);
    let mut simplex = Simplex::new(&objective, rows).expect("the start is a basis");
    let mut pivots = 0;
    loop {
        let (point, level) = simplex.point().split_at(n);
        let level = &level[0];
        let poor = floors.and_then(|floors| {
            let short = |player: usize| &floors[player] - &point[player];
            let player = (0..n).max_by(|i, j| short(*i).cmp(&short(*j)))?;
            (short(player) > RBig::ZERO).then(|| floor(n, n + 1, player, floors[player].clone()))
        });
        let entering = if simplex.stalls() {
            excesses.first_above(point, level, skip).map(row).or_else(|| {
                let floors = floors?;
                let player = (0..n).find(|i| floors[*i] > point[*i])?;
                Some(floor(n, n + 1, player, floors[player].clone()))
            })
        } else {
            poor.or_else(|| {
                let (coalition, worst) = excesses.worst(point, skip)?;
                (worst > *level).then(|| row(coalition))
            })
        };
        let Some(entering) = entering else {
            return (simplex, pivots);
        };
        let entered = simplex.enter(entering);
        assert_eq!(entered, Entered::Pivoted, "the equations and least payoffs have a common point");
        pivots += 1;
    }
}
