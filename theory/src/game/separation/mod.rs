//! The greatest excess of games given by a few numbers, exactly and without a table.
//!
//! $$\max \{ v(S) - \textstyle\sum_{i \in S} x_i : \emptyset \ne S \subsetneq N \} .$$
//!
//! | kind | method |
//! |---|---|
//! | weighted voting | a dynamic program over whole sums of votes: `votes.rs` |
//! | induced subgraph, no negative weight between two players | least cuts: `cut.rs` |
//! | airport, bankruptcy | the greatest of a few sums: here |
//!
//! With a negative weight between players the subgraph's greatest excess is a maximum cut, and for a spanning tree it is that of a
//! prize-collecting tree: NP-hard both.
//!
//! The numbers of a [`Kind`] are doubles, and are taken as the rational numbers that they are; $v$ is the kind's function of them in
//! rational numbers. [`Kind::value`] evaluates it in floating point, so a table of the kind is of the same game where sums of
//! these numbers are doubles (whole numbers, say), and is close to it elsewhere.

mod cut;
pub(super) mod votes;

use super::classes::Classes;
use super::coalition::Coalition;
use super::excess::ExcessOracle;
use super::kinds::Kind;
use super::known::rational;
use super::table::Game;
use crate::error::TheoryError;
use cut::Graph;
use dashu_base::Signed;
use dashu_int::IBig;
use dashu_ratio::RBig;
use votes::Votes;

/// A game whose greatest excess is found in polynomial time.
#[derive(Clone, Debug)]
pub struct Separable {
    players: usize,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Voting(Votes),
    Graph(Graph),
    Airport(Vec<RBig>),
    Bankruptcy { estate: RBig, claims: Vec<RBig> },
}

impl Separable {
    /// Of a kind.
    ///
    /// # Errors
    /// As [`Kind::checked`]; a spanning tree; a subgraph with a negative weight between players; votes that add up to more than
    /// a million times their greatest common divisor.
    pub fn of(kind: &Kind) -> Result<Self, TheoryError> {
        let kind = kind.clone().checked()?;
        let players = kind.players();
        let exact = |numbers: &[f64]| numbers.iter().map(|number| rational(*number)).collect();
        let form = match &kind {
            Kind::WeightedVoting { quota, weights } => Form::Voting(Votes::of(*quota, weights)?),
            Kind::InducedSubgraph { n, edges } => Form::Graph(Graph::of(*n, edges)?),
            Kind::Airport { costs } => Form::Airport(exact(costs)),
            Kind::Bankruptcy { estate, claims } => {
                Form::Bankruptcy { estate: rational(*estate), claims: exact(claims) }
            }
            Kind::SpanningTree { .. } => {
                return Err(TheoryError::NoMethod {
                    what: "the greatest excess of a spanning tree game",
                    why: "it is NP-hard to find; up to 24 players it is looked up in a table, beyond that the Shapley value \
                          can be sampled",
                });
            }
        };
        Ok(Self { players, form })
    }
}

impl ExcessOracle for Separable {
    fn players(&self) -> usize {
        self.players
    }

    fn value(&self, coalition: Coalition) -> RBig {
        match &self.form {
            Form::Voting(votes) if votes.win(coalition) => RBig::ONE,
            Form::Voting(_) => RBig::ZERO,
            Form::Graph(graph) => graph.value(coalition),
            Form::Airport(costs) => {
                -coalition.members().map(|player| &costs[player]).max().cloned().unwrap_or(RBig::ZERO)
            }
            Form::Bankruptcy { estate, claims } => {
                let others = (0..self.players).filter(|player| !coalition.has(*player));
                others.fold(estate.clone(), |left, player| left - &claims[player]).max(RBig::ZERO)
            }
        }
    }

    fn worst(&self, point: &[RBig]) -> Option<(Coalition, RBig)> {
        if self.players < 2 {
            return None;
        }
        let candidates = match &self.form {
            Form::Voting(votes) => votes.candidates(point),
            Form::Graph(graph) => graph.candidates(point),
            Form::Airport(costs) => airport(costs, point),
            // Claims that are met make a piece with a slope, those that are not one without.
            Form::Bankruptcy { claims, .. } => {
                let met: Vec<RBig> = claims.iter().zip(point).map(|(claim, x)| claim - x).collect();
                vec![best(&met), least_paid(point)]
            }
        };
        let excess = |coalition: Coalition| {
            let paid = coalition.members().fold(RBig::ZERO, |paid, player| paid + &point[player]);
            self.value(coalition) - paid
        };
        let found = candidates.into_iter().map(|coalition| (coalition, excess(coalition)));
        found.reduce(|a, b| if b.1 > a.1 { b } else { a })
    }

    fn classes(&self) -> Classes {
        let same = |i: usize, j: usize| match &self.form {
            Form::Voting(votes) => votes.weights[i] == votes.weights[j],
            Form::Graph(graph) => graph.same(i, j),
            Form::Airport(costs) => costs[i] == costs[j],
            Form::Bankruptcy { claims, .. } => claims[i] == claims[j],
        };
        Classes::by(self.players, same)
    }
}

/// For each cost that a runway may have, the least paid of the players whom it serves: it costs them no more than that.
fn airport(costs: &[RBig], point: &[RBig]) -> Vec<Coalition> {
    let n = costs.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| costs[*i].cmp(&costs[*j]));
    let (mut paying, mut least): (Coalition, Option<usize>) = (Coalition::EMPTY, None);
    let mut found = Vec::new();
    for (place, player) in order.iter().enumerate().take(n - 1) {
        if point[*player].is_negative() {
            paying = paying.with(*player);
        }
        if least.is_none_or(|least| point[*player] < point[least]) {
            least = Some(*player);
        }
        if costs[order[place + 1]] > costs[*player] {
            found.extend(if paying == Coalition::EMPTY { least.map(Coalition::one) } else { Some(paying) });
        }
    }
    found.push(least_paid(point));
    found
}

/// The proper coalition, not empty, of least $\sum_{i \in S} x_i$.
fn least_paid(point: &[RBig]) -> Coalition {
    let gains: Vec<RBig> = point.iter().map(|x| -x.clone()).collect();
    best(&gains)
}

/// The proper coalition, not empty, of greatest $\sum_{i \in S} g_i$: those with positive gains; where that is nobody or all, the
/// best one, or all but the one who adds least.
fn best(gains: &[RBig]) -> Coalition {
    let n = gains.len();
    let positive = (0..n).filter(|player| gains[*player].is_positive()).fold(Coalition::EMPTY, Coalition::with);
    if positive == Coalition::EMPTY {
        let most = (0..n).max_by(|i, j| gains[*i].cmp(&gains[*j]));
        return most.map_or(positive, Coalition::one);
    }
    let least = (0..n).min_by(|i, j| gains[*i].cmp(&gains[*j])).filter(|_| positive == Coalition::all(n));
    least.map_or(positive, |player| positive.without(player))
}

/// Rational numbers as whole multiples of one unit: in 128 bits where their sums fit, else of any length.
enum Whole {
    Narrow(Vec<i128>),
    Wide(Vec<IBig>),
}

impl Whole {
    /// Sums of up to $2^{16}$ of these numbers are then below $2^{127}$.
    const BITS: usize = 110;

    fn of(numbers: &[RBig]) -> Self {
        let unit = super::excess::common(numbers);
        let whole = |number: &RBig| number.numerator() * IBig::from(&unit / number.denominator());
        let wide: Vec<IBig> = numbers.iter().map(whole).collect();
        let narrow = |number: &IBig| {
            let fits = super::excess::bits(number) <= Self::BITS;
            fits.then(|| i128::try_from(number).ok()).flatten()
        };
        match wide.iter().map(narrow).collect() {
            Some(narrow) => Self::Narrow(narrow),
            None => Self::Wide(wide),
        }
    }
}
