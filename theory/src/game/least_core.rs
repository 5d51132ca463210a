//! The least core, exactly: by simplex over coalitions that are named when they are violated.
//!
//! $$\min_{x, e}\; e \quad\text{subject to}\quad \sum_{i \in N} x_i = v(N), \qquad \sum_{i \in S} x_i + e \ge v(S)
//!   \quad (\emptyset \ne S \subsetneq N).$$
//!
//! One procedure serves tables and the games of [`separation`](super::separation), which differ in how the most violated
//! coalition is found. Players that are interchangeable share a payoff, so the program has a column for each class of them.
//! Bases consist of rows of small whole numbers, whose determinants are small, so rational pivots are cheap and nothing is
//! rounded. The multipliers $\lambda_S \ge 0$ of the last basis, with $\sum_S \lambda_S = 1$ and $\sum_S \lambda_S 1_S = \mu 1_N$,
//! prove that no division does better: $e \ge \sum_S \lambda_S v(S) - \mu\, v(N)$.

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
    let floors = settings.nonnegative.then(|| vec![RBig::ZERO; classes.count()]);
    let whole = (classes.counts(Coalition::all(n)), grand);
    let (simplex, pivots) = least_excess(game, &classes, &[whole], floors.as_deref());
    let excess = simplex.value().clone();
    let (mut weights, mut floors) = (BTreeMap::new(), Vec::new());
    for (row, y) in simplex.basis().filter(|(row, y)| !row.equal && !y.is_zero()) {
        if let Some(class) = floor_of(row) {
            let each = y / RBig::from(classes.size(class));
            floors.extend(classes.members(class).iter().map(|player| (*player, each.clone())));
        } else {
            for (coalition, share) in classes.alike(Coalition(row.name)) {
                *weights.entry(coalition).or_insert(RBig::ZERO) += y * share;
            }
        }
    }
    let payoffs = classes.spread(&egalitarian(game, &classes, &simplex, settings.nonnegative));
    Ok(LeastCore { excess, payoffs, weights: weights.into_iter().collect(), floors, pivots })
}

/// The payoffs of classes in the division of least norm that attains the least excess.
///
/// Rows with positive multipliers hold with equality in all of these divisions.
fn egalitarian(game: &dyn ExcessOracle, classes: &Classes, simplex: &Simplex, nonnegative: bool) -> Vec<RBig> {
    let count = classes.count();
    let excess = simplex.value();
    let mut program = LeastNorm::weighted((0..count).map(|class| RBig::from(classes.size(class))).collect());
    for (row, y) in simplex.basis() {
        if row.equal || !y.is_zero() {
            let bound = &row.bound - excess * &row.coefficients[count];
            let coefficients = row.coefficients[..count].to_vec();
            let met = program.enter(Row { name: row.name, coefficients, bound, equal: true });
            assert_eq!(met, Met::Yes, "the point of the simplex satisfies them all");
        }
    }
    loop {
        let point = program.point();
        let players = classes.spread(point);
        let poorest = (0..count).min_by(|i, j| point[*i].cmp(&point[*j]));
        let row = match (game.worst(&players), poorest) {
            (_, Some(class)) if nonnegative && point[class] < RBig::ZERO => floor(count, class, RBig::ZERO),
            (Some((coalition, worst)), _) if worst > *excess => {
                let bound = game.value(coalition) - excess;
                Row { name: coalition.0, coefficients: classes.counts(coalition), bound, equal: false }
            }
            _ => return point.to_vec(),
        };
        assert_eq!(program.enter(row), Met::Yes, "the least core is not empty");
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
