//! Games of the literature, given by a few numbers: what coalitions are worth, and whether one gains more than an excess.
//!
//! | kind | $v(S)$ | shown is |
//! |---|---|---|
//! | weighted voting | 1 if $w(S) \ge q$, else 0 | the most that losers are paid, by a table over their votes |
//! | airport | $-\max_{i \in S} c_i$ | the least pay of those whom a player's runway serves, for each player |
//! | bankruptcy | $\max(0, E - c(N \setminus S))$ | the least sums of $x_i$ and of $x_i - c_i$ |
//! | induced subgraph | the weight of edges inside of $S$ | flows that are lower bounds of cuts |
//!
//! Numbers are the doubles that are stored, but votes and the quota, which are the decimals that name these doubles shortest: .1 and
//! .7 votes reach a quota of .8.

use super::flow::Network;
use super::{SharesRejection, sum, whole_multiples};
use dashu_base::Gcd;
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use serde::Deserialize;

/// Most players of a game of a kind.
const MOST: usize = 127;
/// Most votes in units of the greatest one.
const MOST_VOTES: usize = 1_000_000;

/// As it is stored.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Stored {
    WeightedVoting { quota: f64, weights: Vec<f64> },
    InducedSubgraph { n: usize, edges: Vec<(usize, usize, f64)> },
    Airport { costs: Vec<f64> },
    Bankruptcy { estate: f64, claims: Vec<f64> },
}

/// A game of a kind, in whole or rational numbers.
#[derive(Debug)]
pub(super) enum Kind {
    /// Votes that are enough, and votes.
    Voting {
        quota: usize,
        weights: Vec<usize>,
    },
    /// Weights of players, and of edges between two.
    Graph {
        own: Vec<RBig>,
        edges: Vec<(usize, usize, RBig)>,
    },
    Airport {
        costs: Vec<RBig>,
    },
    Bankruptcy {
        estate: RBig,
        claims: Vec<RBig>,
    },
}

impl Kind {
    pub fn read(game: &[u8]) -> Result<Self, SharesRejection> {
        let fault = |what: &str| SharesRejection::Game(what.to_owned());
        let stored: Stored = serde_json::from_slice(game).map_err(|error| SharesRejection::Game(error.to_string()))?;
        let kind = match stored {
            Stored::WeightedVoting { quota, weights } => votes(quota, &weights)?,
            Stored::InducedSubgraph { n, edges } => {
                let mut own = vec![RBig::ZERO; n.min(MOST + 1)];
                let mut between = Vec::new();
                for (a, b, weight) in edges {
                    let weight = RBig::try_from(weight).map_err(|_| fault("a weight is no number"))?;
                    if a.max(b) >= own.len() {
                        return Err(fault("an edge ends at a player that does not exist"));
                    }
                    if a == b {
                        own[a] += weight;
                    } else if weight < RBig::ZERO {
                        return Err(fault("a weight between two players is negative: no proof is known for that"));
                    } else {
                        between.push((a, b, weight));
                    }
                }
                Self::Graph { own, edges: between }
            }
            Stored::Airport { costs } => Self::Airport { costs: amounts(&costs)? },
            Stored::Bankruptcy { estate, claims } => {
                let (estate, claims) = (amounts(&[estate])?.remove(0), amounts(&claims)?);
                if sum(&claims) < estate {
                    return Err(fault("the estate is more than all claims"));
                }
                Self::Bankruptcy { estate, claims }
            }
        };
        if (2..=MOST).contains(&kind.players()) { Ok(kind) } else { Err(fault("not for 2 to 127 players")) }
    }

    pub fn players(&self) -> usize {
        match self {
            Self::Voting { weights, .. } => weights.len(),
            Self::Graph { own, .. } => own.len(),
            Self::Airport { costs } => costs.len(),
            Self::Bankruptcy { claims, .. } => claims.len(),
        }
    }

    /// $v(S)$ of a coalition that is not empty.
    pub fn value(&self, set: u128) -> RBig {
        let has = |player: usize| set >> player & 1 == 1;
        match self {
            Self::Voting { quota, weights } => {
                let votes: usize = (0..weights.len()).filter(|player| has(*player)).map(|player| weights[player]).sum();
                if votes >= *quota { RBig::ONE } else { RBig::ZERO }
            }
            Self::Graph { own, edges } => {
                let alone = (0..own.len()).filter(|player| has(*player)).map(|player| &own[player]);
                let inside = edges.iter().filter(|(a, b, _)| has(*a) && has(*b)).map(|(_, _, weight)| weight);
                alone.chain(inside).fold(RBig::ZERO, |sum, weight| sum + weight)
            }
            Self::Airport { costs } => -(0..costs.len())
                .filter(|player| has(*player))
                .map(|player| &costs[player])
                .max()
                .cloned()
                .unwrap_or_default(),
            Self::Bankruptcy { estate, claims } => {
                let others = (0..claims.len()).filter(|player| !has(*player));
                others.fold(estate.clone(), |left, player| left - &claims[player]).max(RBig::ZERO)
            }
        }
    }

    /// Whether $v(S) \le x(S) + e$ for every proper coalition that is not empty.
    pub fn satisfied(&self, excess: &RBig, payoffs: &[RBig]) -> bool {
        match self {
            Self::Voting { quota, weights } => {
                least(payoffs) + excess >= RBig::ZERO && winners_are_paid(*quota, weights, excess, payoffs)
            }
            Self::Graph { own, edges } => cuts_are_paid(own, edges, excess, payoffs),
            Self::Airport { costs } => (0..costs.len()).all(|longest| {
                // The player with the longest runway, and whom of the others it is worth taking along.
                let served = (0..costs.len()).filter(|player| *player != longest && costs[*player] <= costs[longest]);
                let paying: Vec<&RBig> = served.map(|player| &payoffs[player]).filter(|x| **x < RBig::ZERO).collect();
                let mut paid = paying.iter().fold(payoffs[longest].clone(), |paid, x| paid + *x);
                if paying.len() + 1 == costs.len() {
                    // Somebody stays behind.
                    paid -= paying.into_iter().max().cloned().unwrap_or_default();
                }
                paid + excess >= -costs[longest].clone()
            }),
            Self::Bankruptcy { estate, claims } => {
                let left: Vec<RBig> = payoffs.iter().zip(claims).map(|(x, claim)| x - claim).collect();
                least(payoffs) + excess >= RBig::ZERO && least(&left) + excess >= estate - sum(claims)
            }
        }
    }
}

/// Numbers that are not negative.
fn amounts(numbers: &[f64]) -> Result<Vec<RBig>, SharesRejection> {
    let amount = |number: &f64| RBig::try_from(*number).ok().filter(|amount| *amount >= RBig::ZERO);
    let amounts: Option<Vec<RBig>> = numbers.iter().map(amount).collect();
    amounts.ok_or_else(|| SharesRejection::Game("a number is negative or none".to_owned()))
}

/// Votes in their greatest common unit, from decimals.
fn votes(quota: f64, weights: &[f64]) -> Result<Kind, SharesRejection> {
    let decimal = |number: &f64| {
        let text = number.to_string();
        let (front, back) = text.split_once('.').unwrap_or((&text, ""));
        let digits = format!("{front}{back}").parse::<UBig>().ok()?;
        Some(RBig::from_parts(digits.into(), UBig::from(10u8).pow(back.len())))
    };
    let fault = |what: &str| SharesRejection::Game(what.to_owned());
    let decimals: Option<Vec<RBig>> = weights.iter().map(decimal).collect();
    let decimals = decimals.ok_or_else(|| fault("votes are negative or no numbers"))?;
    let quota = decimal(&quota).filter(|quota| *quota > RBig::ZERO).ok_or_else(|| fault("the quota is not above 0"))?;
    let (common, mut whole) = whole_multiples(decimals.iter());
    let unit = whole.iter().filter(|votes| !votes.is_zero()).cloned().reduce(|a, b| (&a).gcd(&b).into());
    let unit = unit.unwrap_or(IBig::ONE);
    whole.iter_mut().for_each(|votes| *votes /= &unit);
    let total = whole.iter().fold(IBig::ZERO, |sum, votes| sum + votes);
    let total = usize::try_from(&total).ok().filter(|total| *total <= MOST_VOTES);
    let total = total.ok_or_else(|| fault("votes add up to more than a million of their units"))?;
    let quota = (quota * RBig::from(common) / RBig::from(unit)).ceil();
    let quota = usize::try_from(&quota).unwrap_or(usize::MAX).min(total + 1);
    // None is more than all.
    let weights = whole.iter().map(|votes| usize::try_from(votes).unwrap_or(total)).collect();
    Ok(Kind::Voting { quota, weights })
}

/// The least sum of a proper coalition that is not empty.
fn least(numbers: &[RBig]) -> RBig {
    let below: Vec<&RBig> = numbers.iter().filter(|number| **number < RBig::ZERO).collect();
    if below.is_empty() {
        return numbers.iter().min().cloned().unwrap_or_default();
    }
    let spared = if below.len() == numbers.len() { below.iter().max().map(|most| (*most).clone()) } else { None };
    below.into_iter().fold(RBig::ZERO, |sum, number| sum + number) - spared.unwrap_or_default()
}

/// Whether coalitions that win are paid $1 - e$ at least: losers, somebody, with votes that can be spared, are paid no more than
/// $x(N) - 1 + e$.
fn winners_are_paid(quota: usize, weights: &[usize], excess: &RBig, payoffs: &[RBig]) -> bool {
    let Some(spare) = weights.iter().sum::<usize>().checked_sub(quota) else { return true };
    let (common, shares) = whole_multiples(payoffs.iter());
    // By votes: the most that losers with so many are paid.
    let mut most: Vec<Option<IBig>> = vec![None; spare + 1];
    for (votes, share) in weights.iter().zip(&shares) {
        for before in (0..(spare + 1).saturating_sub(*votes)).rev() {
            let joined = most[before].as_ref().map(|paid| paid + share);
            let alone = (before == 0).then(|| share.clone());
            let place = &mut most[before + votes];
            *place = [place.take(), joined, alone].into_iter().flatten().max();
        }
    }
    let Some(losers) = most.into_iter().flatten().max() else { return true };
    RBig::from_parts(losers, common) <= sum(payoffs) - RBig::ONE + excess
}

/// Whether $\sum_{i \in S} (x_i - a_i) - w(S) + e \ge 0$ for every proper coalition that is not empty, with $a$ the players' own
/// weights and $w$ those of edges.
///
/// An edge that is not inside counts half at each of its ends that is outside, and half where it is cut; so twice the sum, with
/// twice all weights added, is a cut between $S$ with the source and the others with the sink. Player 0 is in, and some other is not;
/// or player 0 is not, and some other is in.
fn cuts_are_paid(own: &[RBig], edges: &[(usize, usize, RBig)], excess: &RBig, payoffs: &[RBig]) -> bool {
    let n = own.len();
    let net: Vec<RBig> = payoffs.iter().zip(own).map(|(x, own)| x - own).collect();
    let numbers = net.iter().chain(edges.iter().map(|(_, _, weight)| weight)).chain([excess]);
    let (_, whole) = whole_multiples(numbers);
    let (net, rest) = whole.split_at(n);
    let (weights, level) = rest.split_at(edges.len());
    let mut outside = vec![IBig::ZERO; n];
    for ((a, b, _), weight) in edges.iter().zip(weights) {
        outside[*a] += weight;
        outside[*b] += weight;
    }
    // What a cut has more than twice the sum.
    let below = net.iter().filter(|net| **net < IBig::ZERO).fold(IBig::ZERO, |sum, net| sum + net);
    let more = (weights.iter().fold(IBig::ZERO, |sum, weight| sum + weight) - below) * 2;
    let never = whole
        .iter()
        .fold(IBig::ONE, |sum, number| sum + if *number < IBig::ZERO { -number.clone() } else { number.clone() } * 4);
    let (source, sink) = (n, n + 1);
    (1..n).flat_map(|other| [(0, other), (other, 0)]).all(|(inside, out)| {
        let mut network = Network::new(n + 2);
        for player in 0..n {
            let (mut stay, mut go) = (outside[player].clone(), IBig::ZERO);
            if net[player] < IBig::ZERO {
                stay -= &net[player] * 2
            } else {
                go += &net[player] * 2
            }
            if player == inside {
                stay += &never
            }
            if player == out {
                go += &never
            }
            network.join(source, player, stay, IBig::ZERO);
            network.join(player, sink, go, IBig::ZERO);
        }
        for ((a, b, _), weight) in edges.iter().zip(weights) {
            network.join(*a, *b, weight.clone(), weight.clone());
        }
        network.carried(source, sink) + &level[0] * 2 >= more
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(numbers: &[i32]) -> Vec<RBig> {
        numbers.iter().map(|number| RBig::from(*number)).collect()
    }

    /// Games of two to six players, with ties and zeros.
    fn kinds() -> impl Strategy<Value = Kind> {
        let numbers = |n| proptest::collection::vec(0..5i32, n);
        let players = 2..7usize;
        prop_oneof![
            (players.clone().prop_flat_map(numbers), 1..9usize).prop_map(|(weights, quota)| Kind::Voting {
                quota,
                weights: weights.iter().map(|votes| *votes as usize).collect(),
            }),
            players.clone().prop_flat_map(numbers).prop_map(|costs| Kind::Airport { costs: whole(&costs) }),
            (players.clone().prop_flat_map(numbers), 0..9i32).prop_map(|(claims, estate)| {
                let estate = estate.min(claims.iter().sum()).into();
                Kind::Bankruptcy { estate, claims: whole(&claims) }
            }),
            players.prop_flat_map(|n| {
                let own = proptest::collection::vec(-4..5i32, n);
                let edges = proptest::collection::vec((0..n, 1..n, 0..5i32), 0..9);
                (own, edges).prop_map(move |(own, edges)| Kind::Graph {
                    own: whole(&own),
                    edges: edges.into_iter().map(|(a, apart, weight)| (a, (a + apart) % n, weight.into())).collect(),
                })
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]
        /// The greatest excess of all proper coalitions is satisfied, and nothing less is.
        #[test]
        fn what_is_satisfied_is_the_greatest_excess(
            kind in kinds(),
            payoffs in proptest::collection::vec((-6..7i32, 1..4u8), 6),
        ) {
            let n = kind.players();
            let payoffs: Vec<RBig> =
                payoffs[..n].iter().map(|(above, below)| RBig::from_parts((*above).into(), (*below).into())).collect();
            let excess = |set: u128| {
                let members = (0..n).filter(|player| set >> player & 1 == 1);
                members.fold(kind.value(set), |excess, player| excess - &payoffs[player])
            };
            let greatest = (1..(1 << n) - 1).map(excess).max().expect("proper coalitions");
            prop_assert!(kind.satisfied(&greatest, &payoffs));
            prop_assert!(!kind.satisfied(&(greatest - RBig::from_parts(1.into(), 1000u16.into())), &payoffs));
        }
    }

    #[test]
    fn votes_are_decimals() {
        let read = |game: &str| Kind::read(game.as_bytes());
        let games = [
            (r#"{"kind": "weighted-voting", "quota": 0.8, "weights": [0.1, 0.7]}"#, 8, vec![1, 7]),
            (r#"{"kind": "weighted-voting", "quota": 7, "weights": [4, 6, 0]}"#, 4, vec![2, 3, 0]),
            (r#"{"kind": "weighted-voting", "quota": 1e300, "weights": [0, 0.5]}"#, 2, vec![0, 1]),
        ];
        for (game, expected, votes) in games {
            let Ok(Kind::Voting { quota, weights }) = read(game) else { panic!("{game}") };
            assert_eq!((quota, weights), (expected, votes), "{game}");
        }
    }

    #[test]
    fn what_is_no_game_of_a_kind_is_refused() {
        for game in [
            r#"{"kind": "weighted-voting", "quota": 0, "weights": [1, 1]}"#,
            r#"{"kind": "weighted-voting", "quota": 1, "weights": [1, -1]}"#,
            r#"{"kind": "weighted-voting", "quota": 1, "weights": [1, 1234567]}"#,
            r#"{"kind": "induced-subgraph", "n": 2, "edges": [[0, 2, 1]]}"#,
            r#"{"kind": "induced-subgraph", "n": 3, "edges": [[0, 2, -1]]}"#,
            r#"{"kind": "induced-subgraph", "n": 128, "edges": []}"#,
            r#"{"kind": "airport", "costs": [1]}"#,
            r#"{"kind": "airport", "costs": [1, -1]}"#,
            r#"{"kind": "airport", "costs": [1, 1], "values": []}"#,
            r#"{"kind": "bankruptcy", "estate": 3, "claims": [1, 1]}"#,
            r#"{"kind": "spanning-tree", "costs": [[0, 1], [1, 0]]}"#,
            r#"{"kind": 3}"#,
        ] {
            assert!(matches!(Kind::read(game.as_bytes()), Err(SharesRejection::Game(_))), "{game}");
        }
    }
}
