//! The induced subgraph game whose edges between players have no negative weight.
//!
//! With edges $w_{ij} \ge 0$ and loops $w_{ii}$, since $2 [i \in S][j \in S] = [i \in S] + [j \in S] - [i, j \text{ are parted}]$,
//! $$2 \big( x(S) - v(S) \big) = \sum_{i \in S} c_i + \sum_{i, j \text{ parted}} w_{ij} , \qquad
//!   c_i = 2 x_i - 2 w_{ii} - \sum_{j \ne i} w_{ij} ,$$
//! whose least value is a least cut. A coalition is proper and not empty where a first player is in it and some other one is not, or
//! the other way round: each of these is a cut with two players tied to the ends, found from the flow of the cut before it.
//!
//! # Source
//! X. Deng, C. H. Papadimitriou, *On the complexity of cooperative solution concepts*, 1994; J. C. Picard, H. D. Ratliff,
//! *Minimum cuts and related problems*, 1975.

use super::Whole;
use crate::error::TheoryError;
use crate::game::coalition::Coalition;
use crate::game::known::rational;
use dashu_ratio::RBig;
use std::collections::BTreeMap;
use std::ops::{Add, Sub};

/// A graph with each edge once.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    loops: Vec<RBig>,
    edges: BTreeMap<(usize, usize), RBig>,
}

impl Graph {
    pub(super) fn of(players: usize, edges: &[(usize, usize, f64)]) -> Result<Self, TheoryError> {
        let (mut loops, mut apart) = (vec![RBig::ZERO; players], BTreeMap::new());
        for (a, b, weight) in edges {
            if a == b {
                loops[*a] += rational(*weight);
            } else {
                *apart.entry((*a.min(b), *a.max(b))).or_insert(RBig::ZERO) += rational(*weight);
            }
        }
        apart.retain(|_, weight| !weight.is_zero());
        if apart.values().any(|weight| *weight < RBig::ZERO) {
            return Err(TheoryError::NoMethod {
                what: "the greatest excess of an induced subgraph game with a negative weight between two players",
                why: "it is NP-hard to find; up to 24 players it is looked up in a table",
            });
        }
        Ok(Self { loops, edges: apart })
    }

    pub(super) fn value(&self, coalition: Coalition) -> RBig {
        let alone = coalition.members().fold(RBig::ZERO, |sum, player| sum + &self.loops[player]);
        let inside = self.edges.iter().filter(|((a, b), _)| coalition.has(*a) && coalition.has(*b));
        inside.fold(alone, |sum, (_, weight)| sum + weight)
    }

    /// Whether two players can change places.
    pub(super) fn same(&self, i: usize, j: usize) -> bool {
        let weight = |a: usize, b: usize| self.edges.get(&(a.min(b), a.max(b)));
        let others = (0..self.loops.len()).filter(|other| *other != i && *other != j);
        self.loops[i] == self.loops[j] && others.into_iter().all(|other| weight(i, other) == weight(j, other))
    }

    /// Coalitions of which one has the greatest excess.
    pub(super) fn candidates(&self, point: &[RBig]) -> Vec<Coalition> {
        let two = RBig::from(2);
        let mut numbers: Vec<RBig> = point.iter().zip(&self.loops).map(|(x, own)| &two * (x - own)).collect();
        for ((a, b), weight) in &self.edges {
            numbers[*a] -= weight;
            numbers[*b] -= weight;
        }
        numbers.extend(self.edges.values().cloned());
        let ends: Vec<(usize, usize)> = self.edges.keys().copied().collect();
        match Whole::of(&numbers) {
            Whole::Narrow(numbers) => cuts(&ends, &numbers, 0, 1),
            Whole::Wide(numbers) => cuts(&ends, &numbers, 0.into(), 1.into()),
        }
    }
}

/// Whole numbers of one length.
trait Number: Clone + Ord + Add<Output = Self> + Sub<Output = Self> {}

impl<T: Clone + Ord + Add<Output = T> + Sub<Output = T>> Number for T {}

/// Coalitions of which one has the least $\sum_{i \in S} c_i + \sum_{\text{parted}} w$; the numbers are those of players, then those
/// of edges.
fn cuts<T: Number>(ends: &[(usize, usize)], numbers: &[T], zero: T, one: T) -> Vec<Coalition> {
    let players = numbers.len() - ends.len();
    let mut network = Network::new(players, zero.clone());
    let mut much = one;
    for (player, number) in numbers[..players].iter().enumerate() {
        if *number < zero {
            network.arc(network.source, player, zero.clone() - number.clone(), zero.clone());
            much = much - number.clone();
        } else {
            network.arc(player, network.sink, number.clone(), zero.clone());
            much = much + number.clone();
        }
    }
    for ((a, b), weight) in ends.iter().zip(&numbers[players..]) {
        network.arc(*a, *b, weight.clone(), weight.clone());
        much = much + weight.clone();
    }
    network.fill();
    let free = network.side();
    if free != Coalition::EMPTY && free != Coalition::all(players) {
        return vec![free];
    }
    // The first player in it and another one not, and the other way round.
    let mut found = Vec::new();
    for inside in [true, false] {
        let mut tied = network.clone();
        tied.tie(0, inside, &much);
        let side = tied.side();
        if side != Coalition::EMPTY && side != Coalition::all(players) {
            found.push(side);
            continue;
        }
        found.extend((1..players).map(|player| {
            let mut both = tied.clone();
            both.tie(player, !inside, &much);
            both.side()
        }));
    }
    found
}

/// A flow, by what is left of capacities.
#[derive(Clone)]
struct Network<T> {
    /// Arcs that leave each node.
    leaving: Vec<Vec<usize>>,
    /// An arc and the one back are neighbours: $2k$ and $2k + 1$.
    head: Vec<usize>,
    left: Vec<T>,
    source: usize,
    sink: usize,
    zero: T,
}

impl<T: Number> Network<T> {
    fn new(players: usize, zero: T) -> Self {
        let leaving = vec![Vec::new(); players + 2];
        Self { leaving, head: Vec::new(), left: Vec::new(), source: players, sink: players + 1, zero }
    }

    fn arc(&mut self, from: usize, to: usize, there: T, back: T) {
        self.leaving[from].push(self.head.len());
        self.leaving[to].push(self.head.len() + 1);
        self.head.extend([to, from]);
        self.left.extend([there, back]);
    }

    /// Puts a player on one side, and finds the greatest flow again.
    fn tie(&mut self, player: usize, inside: bool, much: &T) {
        let (from, to) = if inside { (self.source, player) } else { (player, self.sink) };
        self.arc(from, to, much.clone(), self.zero.clone());
        self.fill();
    }

    /// The greatest flow: all shortest paths of one length at a time (Dinitz's algorithm).
    fn fill(&mut self) {
        loop {
            let depth = self.depths();
            if depth[self.sink] == usize::MAX {
                return;
            }
            let mut next = vec![0; self.leaving.len()];
            while self.push(&depth, &mut next) {}
        }
    }

    /// Sends what one shortest path takes; whether there was one.
    fn push(&mut self, depth: &[usize], next: &mut [usize]) -> bool {
        let (mut path, mut node): (Vec<usize>, usize) = (Vec::new(), self.source);
        while node != self.sink {
            if let Some(arc) = self.leaving[node].get(next[node]).copied() {
                let to = self.head[arc];
                if self.left[arc] > self.zero && depth[to] == depth[node] + 1 {
                    path.push(arc);
                    node = to;
                } else {
                    next[node] += 1;
                }
            } else {
                let Some(arc) = path.pop() else {
                    return false;
                };
                node = self.head[arc ^ 1];
                next[node] += 1;
            }
        }
        let Some(flow) = path.iter().map(|arc| self.left[*arc].clone()).min() else {
            return false;
        };
        for arc in path {
            self.left[arc] = self.left[arc].clone() - flow.clone();
            self.left[arc ^ 1] = self.left[arc ^ 1].clone() + flow.clone();
        }
        true
    }

    /// How many arcs with something left there are from the source to each node.
    fn depths(&self) -> Vec<usize> {
        let mut depth = vec![usize::MAX; self.leaving.len()];
        depth[self.source] = 0;
        let mut queue = vec![self.source];
        let mut place = 0;
        while let Some(node) = queue.get(place).copied() {
            place += 1;
            for arc in &self.leaving[node] {
                let to = self.head[*arc];
                if self.left[*arc] > self.zero && depth[to] == usize::MAX {
                    depth[to] = depth[node] + 1;
                    queue.push(to);
                }
            }
        }
        depth
    }

    /// The players on the source's side of a least cut.
    fn side(&self) -> Coalition {
        let depth = self.depths();
        let near = (0..self.source).filter(|player| depth[*player] != usize::MAX);
        near.fold(Coalition::EMPTY, Coalition::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_least_cut_is_found(
            alone in prop::collection::vec(-9i128..10, 2..7),
            between in prop::collection::vec(prop_oneof![Just(0), 0i128..9], 15),
        ) {
            let players = alone.len();
            let ends: Vec<(usize, usize)> = (1..players).flat_map(|b| (0..b).map(move |a| (a, b))).collect();
            let numbers: Vec<i128> = alone.iter().chain(&between[..ends.len()]).copied().collect();
            let cost = |coalition: Coalition| {
                let paid: i128 = coalition.members().map(|player| numbers[player]).sum();
                let parted = ends.iter().zip(&numbers[players..]).filter(|((a, b), _)| coalition.has(*a) != coalition.has(*b));
                paid + parted.map(|(_, weight)| weight).sum::<i128>()
            };
            let wide: Vec<dashu_int::IBig> = numbers.iter().map(|number| (*number).into()).collect();
            let least = (1..(1 << players) - 1).map(|set| cost(Coalition(set))).min();
            for found in [cuts(&ends, &numbers, 0, 1), cuts(&ends, &wide, 0.into(), 1.into())] {
                prop_assert!(found.iter().all(|s| *s != Coalition::EMPTY && *s != Coalition::all(players)));
                prop_assert_eq!(found.into_iter().map(cost).min(), least);
            }
        }
    }
}
