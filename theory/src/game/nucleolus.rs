//! The nucleolus and the prenucleolus, exactly.
//!
//! The division whose excesses, from the greatest down, are least in the order of dictionaries. The greatest excess is
//! minimised; coalitions with a positive multiplier have that excess in every division that attains it, so their payoff is
//! fixed; what the fixed payoffs determine is set aside, and the next greatest excess is minimised, until one division is left.
//!
//! # Source
//! M. Maschler, B. Peleg, L. S. Shapley, *Geometric properties of the kernel, nucleolus, and related solution concepts*, 1979.

use super::classes::Classes;
use super::coalition::Coalition;
use super::excess::{ExcessOracle, Excesses, Unmarked};
use super::least_core::{floor_of, indicator, least_excess};
use super::table::Table;
use crate::error::TheoryError;
use dashu_int::IBig;
use dashu_ratio::RBig;
use secateur_opt::exact::Span;

/// The nucleolus.
#[derive(Clone, Debug, PartialEq)]
pub struct Nucleolus {
    /// The division.
    pub payoffs: Vec<RBig>,
    /// The excess that each stage minimised.
    pub levels: Vec<RBig>,
    /// Rows that entered.
    pub pivots: usize,
}

/// Among the divisions that give each player at least what it has alone.
///
/// # Errors
/// There is no such division.
pub fn nucleolus(game: &Table) -> Result<Nucleolus, TheoryError> {
    nucleolus_of(&Excesses::of(game))
}

/// The same by the excesses of all coalitions.
///
/// # Errors
/// As [`nucleolus`].
pub fn nucleolus_of(excesses: &Excesses) -> Result<Nucleolus, TheoryError> {
    let n = excesses.players();
    let alone: Vec<RBig> = (0..n).map(|player| excesses.value(Coalition::one(player))).collect();
    let together = excesses.value(Coalition::all(n));
    let sum = alone.iter().fold(RBig::ZERO, |sum, value| sum + value);
    if sum > together {
        let excess = (sum - &together).to_f64().value();
        return Err(TheoryError::NoImputation { excess, together: together.to_f64().value() });
    }
    Ok(stages(excesses, n, Some(&alone)))
}

/// Among all divisions of $v(N)$.
pub fn prenucleolus(game: &Table) -> Nucleolus {
    prenucleolus_of(&Excesses::of(game))
}

/// The same by the excesses of all coalitions.
pub fn prenucleolus_of(excesses: &Excesses) -> Nucleolus {
    stages(excesses, excesses.players(), None)
}

fn stages(excesses: &Excesses, n: usize, floors: Option<&[RBig]>) -> Nucleolus {
    let (mut span, single) = (Span::default(), Classes::single(n));
    let whole = (vec![RBig::ONE; n], excesses.value(Coalition::all(n)));
    span.insert(&whole.0);
    let mut payoffs = vec![whole.1.clone()];
    let mut equations = vec![whole];
    let (mut levels, mut pivots) = (Vec::new(), 0);
    while span.rank() < n {
        let marks = determined(&span, n);
        let (simplex, entered) = least_excess(&Unmarked { excesses, marks: &marks }, &single, &equations, floors);
        pivots += entered;
        payoffs = simplex.point()[..n].to_vec();
        let level = simplex.value().clone();
        for (row, y) in simplex.basis().filter(|(row, _)| !row.equal) {
            if y.is_zero() {
                continue;
            }
            let (coefficients, bound) = match floor_of(row) {
                Some(player) => (indicator(Coalition::one(player), n), row.bound.clone()),
                None => (row.coefficients[..n].to_vec(), &row.bound - &level),
            };
            if span.insert(&coefficients) {
                equations.push((coefficients, bound));
            }
        }
        levels.push(level);
    }
    Nucleolus { payoffs, levels, pivots }
}

/// Marks the coalitions whose payoff the equations determine: those whose indicator is orthogonal to all that is.
fn determined(span: &Span, n: usize) -> Vec<bool> {
    let mut marks = vec![true; 1 << n];
    for vector in span.complement(n) {
        let denominators = vector.iter().map(|entry| IBig::from(entry.denominator().clone()));
        let common =
            denominators.fold(IBig::ONE, |product, d| if &product % &d == IBig::ZERO { product } else { product * d });
        let whole: Vec<IBig> =
            vector.iter().map(|v| v.numerator() * (&common / IBig::from(v.denominator().clone()))).collect();
        let mut sums: Vec<IBig> = Vec::new();
        let narrow: Option<Vec<i64>> = whole.iter().map(|w| i32::try_from(w).ok().map(i64::from)).collect();
        match narrow {
            Some(whole) => {
                let mut sums = vec![0i64; 1 << n];
                for set in 1..sums.len() {
                    sums[set] = sums[set & (set - 1)] + whole[set.trailing_zeros() as usize];
                    marks[set] &= sums[set] == 0;
                }
            }
            None => {
                sums.push(IBig::ZERO);
                for set in 1..1usize << n {
                    let sum = &sums[set & (set - 1)] + &whole[set.trailing_zeros() as usize];
                    marks[set] &= sum == IBig::ZERO;
                    sums.push(sum);
                }
            }
        }
    }
    marks
}
