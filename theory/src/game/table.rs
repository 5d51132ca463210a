//! Games, and games with a value for every coalition.

use super::coalition::Coalition;
use crate::error::TheoryError;
use serde::{Deserialize, Serialize};

/// Most players of a game that is given by its $2^n$ values.
pub const MOST: usize = 24;

/// A game: what each coalition is worth by itself.
pub trait Game: Sync {
    /// How many players there are, at most 128.
    fn players(&self) -> usize;

    /// $v(S)$, with $v(\emptyset) = 0$.
    ///
    /// # Errors
    /// The value is not known, or no finite number.
    fn value(&self, coalition: Coalition) -> Result<f64, TheoryError>;

    /// Makes values known that will be asked for: games whose values are expensive find them side by side. By default nothing.
    ///
    /// # Errors
    /// A value cannot be found.
    fn prepare(&self, _coalitions: &[Coalition]) -> Result<(), TheoryError> {
        Ok(())
    }
}

/// A game with a value for every coalition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Table {
    players: usize,
    values: Vec<f64>,
}

/// A table as it is written in files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    n: usize,
    values: Vec<f64>,
}

impl TryFrom<Stored> for Table {
    type Error = TheoryError;

    fn try_from(Stored { n, values }: Stored) -> Result<Self, TheoryError> {
        Self::new(n, values)
    }
}

impl From<Table> for Stored {
    fn from(Table { players, values }: Table) -> Self {
        Self { n: players, values }
    }
}

impl Table {
    /// A game from its values, in the order of the coalitions' bits.
    ///
    /// # Errors
    /// No player or more than 24, another number of values than $2^n$, a value that is not finite, or $v(\emptyset) \ne 0$.
    pub fn new(players: usize, values: Vec<f64>) -> Result<Self, TheoryError> {
        if !(1..=MOST).contains(&players) {
            let found = players as f64;
            return Err(TheoryError::Range { name: "players of a table", expected: "1 to 24", found });
        }
        if values.len() != 1 << players {
            return Err(TheoryError::CoalitionCount { players, expected: 1 << players, found: values.len() });
        }
        if let Some(coalition) = values.iter().position(|value| !value.is_finite()) {
            return Err(TheoryError::CoalitionValue {
                coalition: Coalition(coalition as u128),
                value: values[coalition],
                expected: "a finite number",
            });
        }
        if values[0] != 0.0 {
            return Err(TheoryError::CoalitionValue {
                coalition: Coalition::EMPTY,
                value: values[0],
                expected: "0: nobody earns nothing",
            });
        }
        Ok(Self { players, values })
    }

    /// The values of any game, all of them.
    ///
    /// # Errors
    /// As [`Table::new`], and where a value is not known.
    pub fn of(game: &dyn Game) -> Result<Self, TheoryError> {
        let players = game.players();
        if !(1..=MOST).contains(&players) {
            let found = players as f64;
            return Err(TheoryError::Range { name: "players of a table", expected: "1 to 24", found });
        }
        let all: Vec<Coalition> = (0..1u128 << players).map(Coalition).collect();
        game.prepare(&all)?;
        let values = all.into_iter().map(|set| game.value(set));
        Self::new(players, values.collect::<Result<_, _>>()?)
    }

    /// The values, in the order of the coalitions' bits.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// $v(N)$.
    pub fn grand(&self) -> f64 {
        self.values[self.values.len() - 1]
    }

    /// A coalition and a player whose arrival makes it worth less; none where the game is monotone.
    pub fn decrease(&self) -> Option<(Coalition, usize)> {
        self.arcs()
            .find(|(set, player)| self.values[set | 1 << player] < self.values[*set])
            .map(|(set, player)| (Coalition(set as u128), player))
    }

    /// How many arrivals make a coalition worth less, of how many.
    pub fn decreases(&self) -> (usize, usize) {
        let falls = self.arcs().filter(|(set, player)| self.values[set | 1 << player] < self.values[*set]).count();
        (falls, self.players << (self.players - 1))
    }

    /// Coalitions with players that are not in them.
    fn arcs(&self) -> impl Iterator<Item = (usize, usize)> {
        let players = self.players;
        (0..self.values.len())
            .flat_map(move |set| (0..players).filter(move |player| set >> player & 1 == 0).map(move |p| (set, p)))
    }

    /// The least monotone game above it: $\bar v(S) = \max_{T \subseteq S} v(T)$.
    #[must_use]
    pub fn closure(&self) -> Self {
        let mut values = self.values.clone();
        for player in 0..self.players {
            for set in 0..values.len() {
                if set >> player & 1 == 1 {
                    values[set] = values[set].max(values[set & !(1 << player)]);
                }
            }
        }
        Self { players: self.players, values }
    }
}

impl Game for Table {
    fn players(&self) -> usize {
        self.players
    }

    fn value(&self, coalition: Coalition) -> Result<f64, TheoryError> {
        let value = usize::try_from(coalition.0).ok().and_then(|set| self.values.get(set));
        value.copied().ok_or(TheoryError::NoCoalition { coalition, players: self.players })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_game_is_refused() {
        assert!(matches!(Table::new(2, vec![0.0; 3]), Err(TheoryError::CoalitionCount { expected: 4, found: 3, .. })));
        assert!(matches!(Table::new(1, vec![0.0, f64::NAN]), Err(TheoryError::CoalitionValue { .. })));
        assert!(matches!(Table::new(1, vec![1.0, 1.0]), Err(TheoryError::CoalitionValue { .. })));
        assert!(matches!(Table::new(0, vec![0.0]), Err(TheoryError::Range { .. })));
        assert!(serde_json::from_str::<Table>("{\"n\": 1, \"values\": [0, 1], \"v\": 2}").is_err());
        let game: Table = serde_json::from_str("{\"n\": 2, \"values\": [0, 1, 2, -4.5]}").expect("a game");
        assert_eq!((game.grand(), game.value(Coalition::one(1)).expect("known")), (-4.5, 2.0));
        assert!(game.value(Coalition(4)).is_err());
    }

    #[test]
    fn the_closure_is_monotone() {
        let game = Table::new(2, vec![0.0, 3.0, 1.0, 2.0]).expect("a game");
        assert_eq!(game.decrease(), Some((Coalition::one(0), 1)));
        assert_eq!(game.decreases(), (1, 4));
        assert_eq!(game.closure().values(), [0.0, 3.0, 1.0, 3.0]);
        assert_eq!(game.closure().decrease(), None);
    }
}
