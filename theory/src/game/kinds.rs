//! Games of the literature, given by a few numbers.

use super::coalition::Coalition;
use super::excess::parts;
use super::known::rational;
use super::table::Game;
use crate::error::TheoryError;
use dashu_int::IBig;
use dashu_ratio::RBig;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A game given by a few numbers. Costs are negative values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Kind {
    /// 1 for coalitions with enough votes, 0 for others.
    WeightedVoting {
        /// Votes that are enough.
        quota: f64,
        /// Votes of the players.
        weights: Vec<f64>,
    },
    /// The weight of edges inside of the coalition.
    InducedSubgraph {
        /// Players.
        n: usize,
        /// Edges with weights; both ends may be the same player.
        edges: Vec<(usize, usize, f64)>,
    },
    /// Less the cost of the longest runway that one of the coalition needs.
    Airport {
        /// Costs of the players.
        costs: Vec<f64>,
    },
    /// What is left of the estate when all others have their claims.
    Bankruptcy {
        /// The estate.
        estate: f64,
        /// The claims of the players.
        claims: Vec<f64>,
    },
    /// Less the cost of the cheapest tree that connects the coalition, and nobody else, to the source.
    SpanningTree {
        /// A symmetric matrix of costs; the source comes first.
        costs: Vec<Vec<f64>>,
    },
}

impl Kind {
    /// Checks the numbers.
    ///
    /// # Errors
    /// No player or more than 128, a number that is not finite or negative where it may not be, a player that does not exist, a
    /// matrix that is not square and symmetric with 0 on its diagonal.
    pub fn checked(self) -> Result<Self, TheoryError> {
        let n = self.players();
        if !(1..=128).contains(&n) {
            return Err(TheoryError::Range { name: "players", expected: "1 to 128", found: n as f64 });
        }
        let mut numbers: Vec<f64> = Vec::new();
        let mut least = 0.0;
        match &self {
            Self::WeightedVoting { quota, weights } => {
                numbers.extend([*quota].iter().chain(weights));
                if *quota <= 0.0 {
                    return Err(TheoryError::Range { name: "quota", expected: "above 0", found: *quota });
                }
            }
            Self::InducedSubgraph { n, edges } => {
                least = f64::NEG_INFINITY;
                numbers.extend(edges.iter().map(|(_, _, weight)| weight));
                if let Some(end) = edges.iter().flat_map(|(a, b, _)| [a, b]).find(|end| *end >= n) {
                    let found = *end as f64;
                    return Err(TheoryError::Range { name: "end of an edge", expected: "a player, from 0", found });
                }
            }
            Self::Airport { costs } => numbers.extend(costs),
            Self::Bankruptcy { estate, claims } => {
                numbers.extend([*estate].iter().chain(claims));
                if claims.iter().chain([estate]).all(|number| number.is_finite())
                    && exact_sum(claims) < rational(*estate)
                {
                    let expected = "at most the sum of the claims";
                    return Err(TheoryError::Range { name: "estate", expected, found: *estate });
                }
            }
            Self::SpanningTree { costs } => {
                for (i, row) in costs.iter().enumerate() {
                    if row.len() != costs.len() {
                        let (expected, found) = (vec![costs.len(); 2], vec![costs.len(), row.len()]);
                        return Err(TheoryError::Shape { name: "costs", expected, found });
                    }
                    numbers.extend(row);
                    if row[i] != 0.0 {
                        return Err(TheoryError::Range {
                            name: "costs",
                            expected: "0 from a place to itself",
                            found: row[i],
                        });
                    }
                    if let Some(j) = (0..i).find(|j| row[*j] != costs[*j][i]) {
                        return Err(TheoryError::Range {
                            name: "costs",
                            expected: "a symmetric matrix",
                            found: row[j],
                        });
                    }
                }
            }
        }
        match numbers.into_iter().find(|number| !number.is_finite() || *number < least) {
            Some(found) if least == 0.0 => {
                Err(TheoryError::Range { name: "a number of the game", expected: "finite and not negative", found })
            }
            Some(found) => Err(TheoryError::Range { name: "a number of the game", expected: "finite", found }),
            None => Ok(self.whole_votes()),
        }
    }

    /// Votes and quota in whole numbers where their decimals have few digits. Multiplied by the same number, they decide the same:
    /// .1 and .7 votes then reach a quota of .8, as their doubles do not.
    fn whole_votes(self) -> Self {
        let Self::WeightedVoting { quota, weights } = self else { return self };
        match whole_decimals(&[&[quota], weights.as_slice()].concat()) {
            Some((_, numbers)) => Self::WeightedVoting { quota: numbers[0], weights: numbers[1..].to_vec() },
            None => Self::WeightedVoting { quota, weights },
        }
    }

    /// All values exactly, as whole multiples of $2^{-s}$ in the order of the coalitions' bits, with $s$.
    pub(super) fn whole_values(&self) -> (Vec<IBig>, usize) {
        let numbers: Vec<f64> = match self {
            Self::WeightedVoting { quota: bound, weights: each } | Self::Bankruptcy { estate: bound, claims: each } => {
                [&[*bound], each.as_slice()].concat()
            }
            Self::InducedSubgraph { edges, .. } => edges.iter().map(|(_, _, weight)| *weight).collect(),
            Self::Airport { costs } => costs.clone(),
            Self::SpanningTree { costs } => costs.concat(),
        };
        let exponents = numbers.iter().map(|number| parts(*number)).filter(|(m, _)| *m != 0).map(|(_, e)| e);
        let least = exponents.min().unwrap_or(0).min(0);
        let whole = |number: f64| match parts(number) {
            (0, _) => IBig::ZERO,
            (m, e) => IBig::from(m) << (e - least) as usize,
        };
        let (n, shift) = (self.players(), least.unsigned_abs() as usize);
        let amounts: Vec<IBig> = numbers.iter().map(|number| whole(*number)).collect();
        let sum = |amounts: &[IBig], of: Coalition| of.members().fold(IBig::ZERO, |sum, player| sum + &amounts[player]);
        let value = |set: usize| {
            let coalition = Coalition(set as u128);
            match self {
                Self::WeightedVoting { .. } if sum(&amounts[1..], coalition) >= amounts[0] => IBig::ONE << shift,
                Self::WeightedVoting { .. } => IBig::ZERO,
                Self::InducedSubgraph { edges, .. } => {
                    let inside =
                        edges.iter().zip(&amounts).filter(|((a, b, _), _)| coalition.has(*a) && coalition.has(*b));
                    inside.fold(IBig::ZERO, |sum, (_, weight)| sum + weight)
                }
                Self::Airport { .. } => {
                    -coalition.members().map(|player| &amounts[player]).max().cloned().unwrap_or(IBig::ZERO)
                }
                Self::Bankruptcy { .. } if coalition == Coalition::EMPTY => IBig::ZERO,
                Self::Bankruptcy { .. } => {
                    let others = Coalition(Coalition::all(n).0 & !coalition.0);
                    (&amounts[0] - sum(&amounts[1..], others)).max(IBig::ZERO)
                }
                Self::SpanningTree { costs } => {
                    -prices(costs, coalition).into_iter().fold(IBig::ZERO, |sum, price| sum + whole(price))
                }
            }
        };
        ((0..1usize << n).into_par_iter().map(value).collect(), shift)
    }
}

/// Decimals with few digits as whole numbers, with the power of ten that they were multiplied by; none where they are whole
/// already, or have too many digits.
pub(super) fn whole_decimals(numbers: &[f64]) -> Option<(u32, Vec<f64>)> {
    let places = |number: &f64| number.to_string().split_once('.').map_or(0, |(_, digits)| digits.len());
    let digits = numbers.iter().map(places).max().filter(|digits| *digits > 0)?;
    let whole = |number: &f64| {
        let text = number.to_string();
        let (front, back) = text.split_once('.').unwrap_or((&text, ""));
        format!("{front}{back:0<digits$}").parse::<u64>().ok().filter(|whole| *whole < 1 << 53).map(|w| w as f64)
    };
    Some((digits as u32, numbers.iter().map(whole).collect::<Option<_>>()?))
}

impl Game for Kind {
    fn players(&self) -> usize {
        match self {
            Self::WeightedVoting { weights, .. } => weights.len(),
            Self::InducedSubgraph { n, .. } => *n,
            Self::Airport { costs } => costs.len(),
            Self::Bankruptcy { claims, .. } => claims.len(),
            Self::SpanningTree { costs } => costs.len().saturating_sub(1),
        }
    }

    fn value(&self, coalition: Coalition) -> Result<f64, TheoryError> {
        let players = self.players();
        if coalition.0 & !Coalition::all(players).0 != 0 {
            return Err(TheoryError::NoCoalition { coalition, players });
        }
        Ok(match self {
            Self::WeightedVoting { quota, weights } => {
                let votes: f64 = coalition.members().map(|player| weights[player]).sum();
                if votes >= *quota { 1.0 } else { 0.0 }
            }
            Self::InducedSubgraph { edges, .. } => {
                let inside = edges.iter().filter(|(a, b, _)| coalition.has(*a) && coalition.has(*b));
                inside.map(|(_, _, weight)| weight).sum()
            }
            Self::Airport { costs } => -coalition.members().map(|player| costs[player]).fold(0.0, f64::max),
            Self::Bankruptcy { estate, claims } => {
                let others = (0..players).filter(|player| !coalition.has(*player));
                let claimed: f64 = others.map(|player| claims[player]).sum();
                if coalition == Coalition::EMPTY { 0.0 } else { (estate - claimed).max(0.0) }
            }
            Self::SpanningTree { costs } => -prices(costs, coalition).into_iter().sum::<f64>(),
        })
    }
}

/// $\sum_i c_i$ of finite doubles.
fn exact_sum(numbers: &[f64]) -> RBig {
    numbers.iter().fold(RBig::ZERO, |sum, number| sum + rational(*number))
}

/// What the edges of the cheapest tree over the source and a coalition cost (Prim's algorithm).
pub(super) fn prices(costs: &[Vec<f64>], coalition: Coalition) -> Vec<f64> {
    let mut away: Vec<(usize, f64)> = coalition.members().map(|player| (player + 1, costs[0][player + 1])).collect();
    let mut prices = Vec::new();
    while let Some(place) = (0..away.len()).min_by(|a, b| away[*a].1.total_cmp(&away[*b].1)) {
        let (node, price) = away.swap_remove(place);
        prices.push(price);
        away.iter_mut().for_each(|(other, price)| *price = price.min(costs[node][*other]));
    }
    prices
}

#[cfg(test)]
mod tests {
    use super::*;
    use dashu_int::UBig;

    fn values(game: &Kind) -> Vec<f64> {
        (0..1u128 << game.players()).map(|set| game.value(Coalition(set)).expect("a value")).collect()
    }

    #[test]
    fn values_by_hand() {
        let votes = Kind::WeightedVoting { quota: 3.0, weights: vec![2.0, 1.0, 1.0] };
        assert_eq!(values(&votes), [0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        let graph = Kind::InducedSubgraph { n: 3, edges: vec![(0, 1, 2.0), (1, 2, -1.0), (2, 2, 5.0)] };
        assert_eq!(values(&graph), [0.0, 0.0, 0.0, 2.0, 5.0, 5.0, 4.0, 6.0]);
        let airport = Kind::Airport { costs: vec![1.0, 3.0] };
        assert_eq!(values(&airport), [0.0, -1.0, -3.0, -3.0]);
        let estate = Kind::Bankruptcy { estate: 200.0, claims: vec![100.0, 200.0, 300.0] };
        assert_eq!(values(&estate), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100.0, 200.0]);
        let costs = vec![vec![0.0, 4.0, 9.0], vec![4.0, 0.0, 2.0], vec![9.0, 2.0, 0.0]];
        assert_eq!(values(&Kind::SpanningTree { costs }), [0.0, -4.0, -9.0, -6.0]);
    }

    /// In rational numbers values are what they are in doubles where these round nothing, and what they are nearest to elsewhere.
    #[test]
    fn whole_values_are_values() {
        let costs = vec![vec![0.0, 6.3, 1.7], vec![6.3, 0.0, 15.2], vec![1.7, 15.2, 0.0]];
        let kinds = [
            Kind::WeightedVoting { quota: 3.5, weights: vec![2.0, 1.5, 1.0] },
            Kind::InducedSubgraph { n: 3, edges: vec![(0, 1, 0.1), (1, 2, -1e-300), (2, 2, 5.0)] },
            Kind::Airport { costs: vec![0.1, 3.0, 0.0] },
            Kind::Bankruptcy { estate: 200.3, claims: vec![100.0, 200.0, 300.0] },
            Kind::SpanningTree { costs },
        ];
        for kind in kinds {
            let (whole, shift) = kind.whole_values();
            let exact: Vec<RBig> = whole.into_iter().map(|m| RBig::from_parts(m, UBig::ONE << shift)).collect();
            let near = |(exact, value): (&RBig, f64)| (exact.to_f64().value() - value).abs() <= 1e-15 * value.abs();
            assert!(exact.iter().zip(values(&kind)).all(near), "{kind:?}: {exact:?}");
            if matches!(kind, Kind::SpanningTree { .. }) {
                assert_eq!(exact[3], &exact[1] + &exact[2]);
                assert_eq!(exact[3], -exact_sum(&[6.3, 1.7]));
            }
        }
    }

    #[test]
    fn votes_are_counted_as_decimals() {
        let votes = Kind::WeightedVoting { quota: 0.8, weights: vec![0.1, 0.7] }.checked().expect("a game");
        assert_eq!(votes, Kind::WeightedVoting { quota: 8.0, weights: vec![1.0, 7.0] });
        assert_eq!(values(&votes), [0.0, 0.0, 0.0, 1.0]);
        let whole = Kind::WeightedVoting { quota: 3.0, weights: vec![2.0, 1.0] };
        assert_eq!(whole.clone().checked().expect("a game"), whole);
        let long = Kind::WeightedVoting { quota: 1.0 / 3.0, weights: vec![1e-20, 1.0] };
        assert_eq!(long.clone().checked().expect("a game"), long);
    }

    #[test]
    fn numbers_that_make_no_game_are_refused() {
        let refused = [
            Kind::Airport { costs: vec![-1.0] },
            Kind::Airport { costs: vec![] },
            Kind::WeightedVoting { quota: 0.0, weights: vec![1.0] },
            Kind::InducedSubgraph { n: 2, edges: vec![(0, 2, 1.0)] },
            Kind::InducedSubgraph { n: 2, edges: vec![(0, 1, f64::NAN)] },
            Kind::Bankruptcy { estate: 5.0, claims: vec![1.0, 2.0] },
            Kind::SpanningTree { costs: vec![vec![0.0, 1.0], vec![2.0, 0.0]] },
            Kind::SpanningTree { costs: vec![vec![0.0, 1.0], vec![1.0, 2.0]] },
            Kind::SpanningTree { costs: vec![vec![0.0, 1.0], vec![1.0]] },
        ];
        refused.into_iter().for_each(|kind| assert!(kind.clone().checked().is_err(), "{kind:?}"));
    }
}
