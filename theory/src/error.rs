//! What can be wrong with what is asked of a theory.

use crate::game::Coalition;
use secateur_nn::NnError;
use thiserror::Error;

/// Why there is no prediction.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TheoryError {
    /// A number outside of its range.
    #[error("{name}: expected {expected}, found {found}")]
    Range {
        /// The quantity.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: f64,
    },
    /// Sizes that do not fit.
    #[error("{name}: expected {expected:?}, found {found:?}")]
    Shape {
        /// The quantity.
        name: &'static str,
        /// The shape that fits.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// A table of a game with another number of values than coalitions.
    #[error("a game of {players} players has {expected} values, one for each coalition; found {found}")]
    CoalitionCount {
        /// Players.
        players: usize,
        /// Coalitions.
        expected: usize,
        /// Values.
        found: usize,
    },
    /// A coalition that is worth what no coalition is.
    #[error("coalition {coalition}: expected {expected}, found {value}")]
    CoalitionValue {
        /// The coalition.
        coalition: Coalition,
        /// Its value.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A coalition whose value is not known.
    #[error("the value of coalition {coalition} is missing")]
    CoalitionMissing {
        /// The coalition.
        coalition: Coalition,
    },
    /// A coalition of players that the game does not have.
    #[error("coalition {coalition} is none of a game of {players} players")]
    NoCoalition {
        /// The coalition.
        coalition: Coalition,
        /// Players.
        players: usize,
    },
    /// No division of $v(N)$ gives each player what it has alone.
    #[error("there is no imputation: alone the players have {alone} together, and {together} in the grand coalition")]
    NoImputation {
        /// $\sum_i v(\{i\})$.
        alone: f64,
        /// $v(N)$.
        together: f64,
    },
    /// Payoffs that are not a division of $v(N)$.
    #[error("the payoffs add up to {paid}, the grand coalition has {grand}")]
    NotEfficient {
        /// Their sum.
        paid: f64,
        /// $v(N)$.
        grand: f64,
    },
    /// A network.
    #[error(transparent)]
    Network(#[from] NnError),
}
