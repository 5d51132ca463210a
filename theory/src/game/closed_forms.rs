//! Shapley and Banzhaf values of games of the literature, exactly and without going through coalitions.
//!
//! | kind | what a player gets |
//! |---|---|
//! | airport | of each piece of the runway that it uses, an equal share with all who use it |
//! | weighted voting | how often its votes decide, from the numbers of coalitions by size and votes |
//! | induced subgraph | its loops, and half of its edges |
//! | bankruptcy | what it adds to $\min(T, d(S))$, from the numbers of coalitions by size and claims |
//! | spanning tree | the same as all others, where all can change places by turning |
//!
//! Both values are averages of what a player adds to coalitions, with a share for each number of others:
//! $\frac{1}{n} \binom{n - 1}{k}^{-1}$ (Shapley) and $2^{1 - n}$ (Banzhaf). As in [`separation`](super::separation), the numbers of a kind
//! are the rational numbers that they are as doubles; but votes, and here also claims and estates, are the decimals that were written
//! where these have few digits, as doubles like 1.8 have no common divisor to count by. A bankruptcy's least core, of the doubles, is
//! then of numbers that differ by their rounding.
//!
//! # Source
//! S. C. Littlechild, G. Owen, *A simple expression for the Shapley value in a special case*, 1973 (airport); X. Deng,
//! C. H. Papadimitriou, *On the complexity of cooperative solution concepts*, 1994 (subgraph); I. Mann, L. S. Shapley, *Values of
//! large games, VI*, 1962 (voting).

use super::kinds::{Kind, prices, whole_decimals};
use super::known::rational;
use super::separation::votes::{Votes, whole};
use super::table::Game;
use super::{Coalition, counts::Counts};
use crate::error::TheoryError;
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

/// Which average.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Average {
    Shapley,
    Banzhaf,
}

impl Average {
    /// The share of one coalition of $k$ others, for each $k$.
    fn shares(self, players: usize) -> Vec<RBig> {
        let others = players - 1;
        let mut choices = UBig::ONE;
        let share = |k: usize| {
            if k > 0 {
                choices = &choices * UBig::from(others + 1 - k) / UBig::from(k);
            }
            match self {
                Self::Shapley => RBig::from_parts(IBig::ONE, &choices * UBig::from(players)),
                Self::Banzhaf => RBig::from_parts(IBig::ONE, UBig::ONE << others),
            }
        };
        (0..players).map(share).collect()
    }

    /// How likely it is that no other one of some players comes before.
    fn first_of(self, players: usize) -> RBig {
        match self {
            Self::Shapley => RBig::ONE / RBig::from(players),
            Self::Banzhaf => RBig::from_parts(IBig::ONE, UBig::ONE << (players - 1)),
        }
    }
}

/// The Shapley value.
///
/// # Errors
/// As [`Kind::checked`]; votes or claims that are too many to be counted one by one; a spanning tree whose players cannot change
/// places by turning.
pub fn shapley(kind: &Kind) -> Result<Vec<RBig>, TheoryError> {
    averaged(kind, Average::Shapley)
}

/// The Banzhaf value.
///
/// # Errors
/// As [`shapley`], and any spanning tree.
pub fn banzhaf(kind: &Kind) -> Result<Vec<RBig>, TheoryError> {
    averaged(kind, Average::Banzhaf)
}

fn averaged(kind: &Kind, average: Average) -> Result<Vec<RBig>, TheoryError> {
    let kind = kind.clone().checked()?;
    let n = kind.players();
    match &kind {
        Kind::Airport { costs } => Ok(airport(costs, average)),
        Kind::InducedSubgraph { edges, .. } => Ok(subgraph(n, edges)),
        Kind::WeightedVoting { quota, weights } => voting(&Votes::of(*quota, weights)?, &average.shares(n)),
        Kind::Bankruptcy { estate, claims } => match whole_decimals(&[&[*estate], claims.as_slice()].concat()) {
            Some((digits, numbers)) => {
                let unit = RBig::from(UBig::from(10u8).pow(digits as usize));
                let payoffs = bankruptcy(numbers[0], &numbers[1..], &average.shares(n))?;
                Ok(payoffs.into_iter().map(|payoff| payoff / &unit).collect())
            }
            None => bankruptcy(*estate, claims, &average.shares(n)),
        },
        Kind::SpanningTree { costs } if average == Average::Shapley && turns(costs) => {
            let cost =
                prices(costs, Coalition::all(n)).into_iter().fold(RBig::ZERO, |sum, price| sum + rational(price));
            Ok(vec![-cost / RBig::from(n); n])
        }
        Kind::SpanningTree { .. } => Err(TheoryError::NoMethod {
            what: "an exact value of a spanning tree game",
            why: "none is known that does not go through all coalitions, unless all players can change places by turning; up \
                  to 24 players a table is used, beyond that draw units for the Shapley value",
        }),
    }
}

/// Costs fall by pieces $c_k - c_{k - 1}$ of the sorted costs; a piece is added by the first one to come of those who use it.
fn airport(costs: &[f64], average: Average) -> Vec<RBig> {
    let n = costs.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| costs[*i].total_cmp(&costs[*j]));
    let (mut payoffs, mut paid, mut before) = (vec![RBig::ZERO; n], RBig::ZERO, RBig::ZERO);
    for (place, player) in order.into_iter().enumerate() {
        let cost = rational(costs[player]);
        paid -= (&cost - &before) * average.first_of(n - place);
        payoffs[player] = paid.clone();
        before = cost;
    }
    payoffs
}

/// An edge is added by the second of its ends to come, either of them as often.
fn subgraph(players: usize, edges: &[(usize, usize, f64)]) -> Vec<RBig> {
    let mut twice = vec![RBig::ZERO; players];
    for (a, b, weight) in edges {
        twice[*a] += rational(*weight);
        twice[*b] += rational(*weight);
    }
    twice.into_iter().map(|sum| sum / RBig::from(2)).collect()
}

/// A player decides where the others have from $q - w_i$ to $q - 1$ votes. With $w(N) - q + 1$ in place of $q$ it decides where it did
/// not before in the complement, as often.
fn voting(votes: &Votes, shares: &[RBig]) -> Result<Vec<RBig>, TheoryError> {
    if votes.quota > votes.total {
        return Ok(vec![RBig::ZERO; votes.weights.len()]);
    }
    let quota = votes.quota.min(votes.total + 1 - votes.quota);
    let counts = Counts::of(&votes.weights, quota)?;
    Ok(counts.each(&votes.weights, |weight| {
        let mut payoff = RBig::ZERO;
        counts.without(weight, |size, row| {
            let decided: u128 = row[quota.saturating_sub(weight)..].iter().sum();
            payoff += RBig::from(decided) * &shares[size];
        });
        payoff
    }))
}

/// With claims $d$ and $d(N) - E$ that is not paid, $v(S) = \max(0, d(S) - (d(N) - E)) = d(S) - \min(d(N) - E, d(S))$, and its dual, which has
/// the same value, is $\min(E, d(S))$: the smaller bound is counted up to.
fn bankruptcy(estate: f64, claims: &[f64], shares: &[RBig]) -> Result<Vec<RBig>, TheoryError> {
    let (unit, whole) = whole(claims).unwrap_or((RBig::ONE, vec![UBig::ZERO; claims.len()]));
    let estate = rational(estate) / &unit;
    let total = whole.iter().fold(UBig::ZERO, |sum, claim| sum + claim);
    let unpaid = RBig::from(total) - &estate;
    let bound = if estate < unpaid { &estate } else { &unpaid };
    let width = usize::try_from(bound.ceil()).unwrap_or(usize::MAX);
    // A claim beyond the bound counts like one up to it.
    let capped: Vec<usize> = whole.iter().map(|claim| usize::try_from(claim).map_or(width, |d| d.min(width))).collect();
    let counts = Counts::of(&capped, width)?;
    let added = counts.each(&capped, |claim| {
        let mut payoff = RBig::ZERO;
        counts.without(claim, |size, row| {
            // Up to here the claim is met in full.
            let full = usize::try_from((bound - RBig::from(claim)).floor() + IBig::ONE).unwrap_or(0).min(row.len());
            let met: u128 = row[..full].iter().sum();
            let mut sum = RBig::from(met) * RBig::from(claim);
            let part = row[full..].iter().enumerate().filter(|(_, count)| **count > 0);
            for (place, count) in part {
                sum += (bound - RBig::from(full + place)) * RBig::from(*count);
            }
            payoff += sum * &shares[size];
        });
        payoff
    });
    let payoff = |(added, claim): (RBig, &UBig)| {
        let payoff = if estate < unpaid { added } else { RBig::from(claim.clone()) - added };
        payoff * &unit
    };
    Ok(added.into_iter().zip(&whole).map(payoff).collect())
}

/// Whether moving every player on by one place, and the last one to the first place, changes no cost.
fn turns(costs: &[Vec<f64>]) -> bool {
    let n = costs.len() - 1;
    let next = |player: usize| player % n + 1;
    let same = |i: usize| costs[0][i] == costs[0][next(i)] && (1..=n).all(|j| costs[i][j] == costs[next(i)][next(j)]);
    (1..=n).all(same)
}
