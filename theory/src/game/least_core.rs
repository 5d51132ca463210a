//! The least core, exactly: over coalitions that are named when they are violated.
//!
//! $$\min_{x, e}\; e \quad\text{subject to}\quad \sum_{i \in N} x_i = v(N), \qquad \sum_{i \in S} x_i + e \ge v(S)
//!   \quad (\emptyset \ne S \subsetneq N).$$
//!
//! The division of least norm is sought for a given excess, and the excess is raised by what refutes that there is one. (A
//! linear program over $(x, e)$ has few rows with multipliers that are not 0, so nearly all of its pivots make no progress: with a
//! hundred players it does not end in minutes.) The multipliers $\lambda_S \ge 0$ of the last refutation, with $\sum_S \lambda_S = 1$
//! and $\sum_S \lambda_S 1_S = \mu 1_N$, prove that no division does better: $e \ge \sum_S \lambda_S v(S) - \mu\, v(N)$.
//!
//! One procedure serves tables and the games of [`separation`](super::separation), which differ in how the most violated
//! coalition is found. Players that are interchangeable share a payoff, so there is a column for each class of them. Numbers are
//! rational and nothing is rounded.
//!
//! The nucleolus needs all coalitions that have the least excess in every division, which the linear program names; tables have
//! few players, and it is used there.
//!
//! # Source
//! W. Dinkelbach, *On nonlinear fractional programming*, 1967, for raising a level by the ratio that a refutation gives.

use super::classes::Classes;
use super::coalition::Coalition;
use super::excess::{ExcessOracle, Excesses};
use super::table::Table;
use crate::error::TheoryError;
use dashu_ratio::RBig;
use secateur_opt::exact::least_norm::{LeastNorm, Met};
use secateur_opt::exact::simplex::{Entered, Simplex};
use secateur_opt::exact::{Row, Span};
use std::collections::BTreeMap;

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

/// Rows of least payoffs have names of their own.
const FLOOR: u128 = 1 << 127;

/// Finds the least core of a table.
///
/// # Errors
/// A game of one player, which has no proper coalition; with `nonnegative`, $v(N) < 0$.
pub fn least_core(game: &Table, settings: Settings) -> Result<LeastCore, TheoryError> {
    least_core_of(&Excesses::of(game), settings)
}

/// Finds the least core of a game whose greatest excess can be found.
///
/// # Errors
/// A game of one player, which has no proper coalition, or of more than 127; with `nonnegative`, $v(N) < 0$.
pub fn least_core_of(game: &dyn ExcessOracle, settings: Settings) -> Result<LeastCore, TheoryError> {
    let (n, classes) = (game.players(), game.classes());
    if !(2..=127).contains(&n) {
        return Err(TheoryError::Range { name: "players", expected: "2 to 127", found: n as f64 });
    }
    let grand = game.value(Coalition::all(n));
    if settings.nonnegative && grand < RBig::ZERO {
        let together = grand.to_f64().value();
        return Err(TheoryError::NoImputation { excess: -together, together });
    }
    let solved = lowest(game, &classes, settings.nonnegative);
    let excess = solved.excess;
    let (mut weights, mut floors) = (BTreeMap::new(), Vec::new());
    for (row, y) in &solved.proof {
        if let Some(class) = floor_of(row) {
            let each = y / RBig::from(classes.size(class));
            floors.extend(classes.members(class).iter().map(|player| (*player, each.clone())));
        } else {
            for (coalition, share) in classes.alike(Coalition(row.name)) {
                *weights.entry(coalition).or_insert(RBig::ZERO) += y * share;
            }
        }
    }
    let (payoffs, weights) = (classes.spread(&solved.payoffs), weights.into_iter().collect());
    Ok(LeastCore { excess, payoffs, weights, floors, pivots: solved.rows })
}

/// The least excess, over payoffs of classes.
struct Lowest {
    excess: RBig,
    payoffs: Vec<RBig>,
    /// Rows of coalitions and least payoffs with multipliers; those of coalitions add up to 1.
    proof: Vec<(Row, RBig)>,
    rows: usize,
}

/// Raises the excess from what a first player and the others may claim until there is a division.
///
/// At each excess $e$ the division of least norm is sought. Where there is none, some rows $x(S) \ge v(S) - e$ refute it: their
/// multipliers, scaled to $\sum_S \lambda_S = 1$, prove that the least excess is at least $e + \sum_i \lambda_i b_i$, the next one that is
/// tried. Excesses that are tried grow, so no refutation comes twice, and the last one proves the excess that a division attains.
fn lowest(game: &dyn ExcessOracle, classes: &Classes, nonnegative: bool) -> Lowest {
    let (all, count) = (Coalition::all(game.players()), classes.count());
    let whole = classes.counts(all);
    let row = |coalition: Coalition, excess: &RBig| Row {
        name: coalition.0,
        coefficients: classes.counts(coalition),
        bound: game.value(coalition) - excess,
        equal: false,
    };
    let mut program = LeastNorm::weighted(whole.clone());
    let first = Coalition::one(0);
    let half = RBig::ONE / RBig::from(2);
    let pair = [first, Coalition(all.0 & !first.0)];
    let mut excess = (game.value(pair[0]) + game.value(pair[1]) - game.value(all)) * &half;
    let mut proof: Vec<(Row, RBig)> = pair.map(|coalition| (row(coalition, &excess), half.clone())).to_vec();
    let mut met = program.enter(Row { name: 0, coefficients: whole, bound: game.value(all), equal: true });
    let mut rows = 0;
    loop {
        if let Met::Never(refutation) = met {
            let of_coalition = |row: &Row| !row.equal && floor_of(row).is_none();
            let named = refutation.rows.iter().filter(|(row, _)| of_coalition(row));
            let total = named.fold(RBig::ZERO, |sum, (_, y)| sum + y);
            assert!(!total.is_zero(), "the grand coalition can be divided");
            let gain = refutation.short / &total;
            excess += &gain;
            program.rebound(|row| if of_coalition(row) { &row.bound - &gain } else { row.bound.clone() });
            proof =
                refutation.rows.into_iter().filter(|(row, _)| !row.equal).map(|(row, y)| (row, y / &total)).collect();
        }
        let point = program.point();
        let poorest = (0..count).min_by(|i, j| point[*i].cmp(&point[*j]));
        let violated = match poorest.filter(|class| nonnegative && point[*class] < RBig::ZERO) {
            Some(class) => Some(floor(count, class, RBig::ZERO)),
            None => {
                let worst = game.worst(&classes.spread(point)).filter(|(_, worst)| *worst > excess);
                worst.map(|(coalition, _)| row(coalition, &excess))
            }
        };
        let Some(violated) = violated else {
            return Lowest { excess, payoffs: program.point().to_vec(), proof, rows };
        };
        met = program.enter(violated);
        rows += 1;
    }
}

/// $1_S$.
pub(super) fn indicator(coalition: Coalition, players: usize) -> Vec<RBig> {
    (0..players).map(|player| if coalition.has(player) { RBig::ONE } else { RBig::ZERO }).collect()
}

/// $x_i \ge f$, in a space of `columns`.
pub(super) fn floor(columns: usize, player: usize, bound: RBig) -> Row {
    let coefficients = indicator(Coalition::one(player), columns);
    Row { name: FLOOR | player as u128, coefficients, bound, equal: false }
}

/// Whether a row is of a least payoff, and whose.
pub(super) fn floor_of(row: &Row) -> Option<usize> {
    (row.name & FLOOR != 0).then_some((row.name & !FLOOR) as usize)
}

/// Minimises the greatest excess of coalitions that are looked at, under equations on the payoffs and least payoffs. The
/// simplex is over $(x, e)$ with one payoff for each class; coalitions count by how many of each they have.
///
/// A start: for a coalition $S$ that the equations leave open, $\tfrac12 (x(S) + e) + \tfrac12 (x(N \setminus S) + e) - \tfrac12 x(N) = e$,
/// so these two rows have multipliers $\tfrac12$; other rows of single players complete the basis with multipliers 0. Where
/// nothing is open because there is one class, the row of one of its players has multiplier 1.
///
/// # Panics
/// The equations do not include that of $N$, or contradict the least payoffs.
pub(super) fn least_excess(
    game: &dyn ExcessOracle,
    classes: &Classes,
    equations: &[(Vec<RBig>, RBig)],
    floors: Option<&[RBig]>,
) -> (Simplex, usize) {
    let (n, count) = (game.players(), classes.count());
    let wide = |mut coefficients: Vec<RBig>, last: RBig| {
        coefficients.push(last);
        coefficients
    };
    let row = |coalition: Coalition| Row {
        name: coalition.0,
        coefficients: wide(classes.counts(coalition), RBig::ONE),
        bound: game.value(coalition),
        equal: false,
    };
    let (mut span, mut rows) = (Span::default(), Vec::new());
    for (coefficients, bound) in equations {
        let coefficients = wide(coefficients.clone(), RBig::ZERO);
        assert!(span.insert(&coefficients), "equations are independent");
        rows.push(Row { name: 0, coefficients, bound: bound.clone(), equal: true });
    }
    let singles = (0..count).map(|class| Coalition::one(classes.members(class)[0]));
    let open = |single: &Coalition| !span.contains(&wide(classes.counts(*single), RBig::ZERO));
    let first = singles.clone().find(open).unwrap_or(Coalition::one(0));
    let rest = Coalition(Coalition::all(n).0 & !first.0);
    for coalition in [first, rest].into_iter().chain(singles) {
        let row = row(coalition);
        if span.rank() <= count && span.insert(&row.coefficients) {
            rows.push(row);
        }
    }
    let objective = wide(vec![RBig::ZERO; count], RBig::ONE);
    let mut simplex = Simplex::new(&objective, rows).expect("the start is a basis");
    let mut pivots = 0;
    while let Some(row) = poorest(&simplex, floors).or_else(|| {
        let (point, level) = simplex.point().split_at(count);
        let (coalition, worst) = game.worst(&classes.spread(point))?;
        (worst > level[0]).then(|| row(coalition))
    }) {
        let entered = simplex.enter(row);
        assert_eq!(entered, Entered::Pivoted, "the equations and least payoffs have a common point");
        pivots += 1;
    }
    (simplex, pivots)
}

/// The row of the payoff that is furthest below its least one.
fn poorest(simplex: &Simplex, floors: Option<&[RBig]>) -> Option<Row> {
    let floors = floors?;
    let short = |class: usize| &floors[class] - &simplex.point()[class];
    let class = (0..floors.len()).max_by(|i, j| short(*i).cmp(&short(*j)))?;
    (short(class) > RBig::ZERO).then(|| floor(floors.len() + 1, class, floors[class].clone()))
}
