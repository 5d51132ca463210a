//! Players that are interchangeable.
//!
//! Where two players can change places without changing any value, the least core of a game has the same payoff for both in
//! its division of least norm: the set is convex and stays the same under the change, and so does its one point of least norm.
//! A program over divisions then needs one payoff for each class of players, and a coalition counts by how many it has of each.

use super::coalition::Coalition;
use dashu_ratio::RBig;
use std::collections::BTreeSet;

/// A partition of the players into classes of interchangeable ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    of: Vec<usize>,
    members: Vec<Vec<usize>>,
}

impl Classes {
    /// Each player in a class of its own.
    pub fn single(players: usize) -> Self {
        Self { of: (0..players).collect(), members: (0..players).map(|player| vec![player]).collect() }
    }

    /// By a test of whether two players are interchangeable, an equivalence.
    pub fn by(players: usize, same: impl Fn(usize, usize) -> bool) -> Self {
        let (mut of, mut members): (Vec<usize>, Vec<Vec<usize>>) = (Vec::new(), Vec::new());
        for player in 0..players {
            let class = members.iter().position(|class| same(class[0], player)).unwrap_or(members.len());
            if class == members.len() {
                members.push(Vec::new());
            }
            members[class].push(player);
            of.push(class);
        }
        Self { of, members }
    }

    /// How many classes there are.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// How many players a class has.
    pub fn size(&self, class: usize) -> usize {
        self.members[class].len()
    }

    /// The players of a class.
    pub fn members(&self, class: usize) -> &[usize] {
        &self.members[class]
    }

    /// How many of each class are in a coalition.
    pub fn counts(&self, coalition: Coalition) -> Vec<RBig> {
        let counted = |class: &Vec<usize>| class.iter().filter(|player| coalition.has(**player)).count();
        self.members.iter().map(|class| RBig::from(counted(class))).collect()
    }

    /// The payoffs of players from those of classes.
    pub fn spread(&self, payoffs: &[RBig]) -> Vec<RBig> {
        self.of.iter().map(|class| payoffs[*class].clone()).collect()
    }

    /// At most $n$ coalitions with as many of each class as a given one, with shares that add up to 1 and treat the players
    /// of a class alike.
    ///
    /// Player $j$ of a class of $m$, of whom $k$ are to be in, has the arc $[\frac{jk}{m}, \frac{(j + 1) k}{m})$ of a circle of
    /// length 1. The arcs of a class go round $k$ times, so each point of the circle lies in $k$ of them; these players form its
    /// coalition.
    pub fn alike(&self, coalition: Coalition) -> Vec<(Coalition, RBig)> {
        let counts = self.counts(coalition);
        let arc = |class: usize| &counts[class] / RBig::from(self.size(class));
        let start = |class: usize, j: usize| {
            let start = arc(class) * RBig::from(j);
            let turns = start.floor();
            start - turns
        };
        let mut arcs = Vec::new();
        for (class, members) in self.members.iter().enumerate() {
            arcs.extend(members.iter().enumerate().map(|(j, player)| (*player, start(class, j), arc(class))));
        }
        let starts: BTreeSet<RBig> = arcs.iter().map(|(_, start, _)| start.clone()).collect();
        let ends: Vec<RBig> = starts.iter().skip(1).cloned().chain([RBig::ONE]).collect();
        let inside = |at: &RBig, start: &RBig, arc: &RBig| {
            let after = if at >= start { at - start } else { at - start + RBig::ONE };
            after < *arc
        };
        let at_start = |at: &RBig| {
            let met = arcs.iter().filter(|(_, start, arc)| inside(at, start, arc));
            met.fold(Coalition::EMPTY, |met, (player, ..)| met.with(*player))
        };
        starts.iter().zip(ends).map(|(at, end)| (at_start(at), end - at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coalitions_that_treat_players_alike() {
        let classes = Classes::by(9, |i, j| i % 3 == j % 3 && (i < 6) == (j < 6));
        assert_eq!((classes.count(), classes.size(0), classes.members(3)), (6, 2, &[6][..]));
        let classes = Classes::by(9, |i, j| i / 5 == j / 5);
        let coalition = Coalition(0b0_0110_0111);
        let alike = classes.alike(coalition);
        assert!(alike.len() <= 9);
        let mut paid = vec![RBig::ZERO; 9];
        for (other, share) in &alike {
            assert!(*share > RBig::ZERO);
            assert_eq!(classes.counts(*other), classes.counts(coalition));
            other.members().for_each(|player| paid[player] += share);
        }
        let part = |k: usize, m: usize| RBig::from(k) / RBig::from(m);
        let wanted: Vec<RBig> = (0..9).map(|player| if player < 5 { part(3, 5) } else { part(2, 4) }).collect();
        assert_eq!(paid, wanted);
        assert_eq!(Classes::single(9).alike(coalition), [(coalition, RBig::ONE)]);
    }
}
