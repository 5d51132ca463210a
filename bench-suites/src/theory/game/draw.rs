//! Games drawn at random.

use secateur_linalg::random::Random;
use secateur_theory::TheoryError;
use secateur_theory::game::{Coalition, Table};

/// A game from what its coalitions are worth; nobody is worth 0.
pub fn table(players: usize, mut value: impl FnMut(Coalition) -> f64) -> Result<Table, TheoryError> {
    let rest = (1..1u128 << players).map(|set| value(Coalition(set)));
    Table::new(players, [0.0].into_iter().chain(rest).collect())
}

/// Any game with $v(N) \ge 0$; a third of its values are 0 and a third are 1, so that there are ties.
pub fn any(players: usize, random: &mut Random) -> Result<Table, TheoryError> {
    let all = Coalition::all(players);
    table(players, |coalition| {
        let value = [0.0, 1.0, random.uniform(-2.0, 3.0)][random.index(3)];
        if coalition == all { value.abs() } else { value }
    })
}

/// A monotone game: the closure of uniform values, and one half more for all together.
pub fn monotone(players: usize, random: &mut Random) -> Result<Table, TheoryError> {
    let all = Coalition::all(players);
    Ok(table(players, |coalition| random.unit() + if coalition == all { 0.5 } else { 0.0 })?.closure())
}

/// Who holds which of ten labels.
pub struct Labels(Vec<u32>);

impl Labels {
    /// How many labels there are.
    const ALL: usize = 10;

    /// Two labels have one holder each, the others two to four.
    pub fn draw(players: usize, random: &mut Random) -> Self {
        let mut held = vec![0; players];
        for label in 0..Self::ALL {
            let holders = if label < 2 { 1 } else { 2 + random.index(3) };
            random.permutation(players).into_iter().take(holders).for_each(|player| held[player] |= 1 << label);
        }
        Self(held)
    }

    /// The same with player 1 holding what player 0 holds, which is some label.
    pub fn with_duplicates(mut self) -> Self {
        if self.0[0] == 0 {
            self.0[0] = 1 << 5;
        }
        self.0[1] = self.0[0];
        self
    }

    /// The share of labels that a coalition holds.
    pub fn share(&self, coalition: Coalition) -> f64 {
        let held = coalition.members().fold(0, |held, player| held | self.0[player]);
        f64::from(held.count_ones()) / Self::ALL as f64
    }

    /// The game of shares, with a monotone part of .02 that leaves no two coalitions alike.
    pub fn game(&self, random: &mut Random) -> Result<Table, TheoryError> {
        let players = self.0.len();
        table(players, |coalition| {
            let rest = (coalition.size() as f64 + random.unit()) / (players + 1) as f64;
            self.share(coalition) + 0.02 * rest
        })
    }
}

/// A convex game: coalitions that hold one of some random sets of two players or more get its weight.
pub fn convex(players: usize, random: &mut Random) -> Result<Table, TheoryError> {
    let unanimous: Vec<(u128, f64)> = (0..3 * players)
        .map(|_| {
            let pair = random.permutation(players).into_iter().take(2 + random.index(players - 1));
            (pair.fold(Coalition::EMPTY, Coalition::with).0, random.uniform(0.1, 1.0))
        })
        .collect();
    table(players, |coalition| {
        unanimous.iter().filter(|(set, _)| set & !coalition.0 == 0).map(|(_, weight)| weight).sum()
    })
}
