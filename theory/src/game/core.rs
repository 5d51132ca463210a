//! Whether a division is in the core, with a coalition that would leave where it is not.

use super::coalition::Coalition;
use super::excess::{ExcessOracle, Excesses};
use super::table::Table;
use crate::error::TheoryError;
use dashu_ratio::RBig;

/// What becomes of a division.
#[derive(Clone, Debug, PartialEq)]
pub enum Membership {
    /// No coalition gains by leaving.
    Core,
    /// This one does, and none gains more.
    Blocked {
        /// The coalition.
        coalition: Coalition,
        /// What it gains.
        gain: RBig,
    },
}

/// Whether a division is in the core of a table.
///
/// # Errors
/// Another number of payoffs than players, or payoffs that do not add up to $v(N)$ exactly.
pub fn membership(game: &Table, payoffs: &[RBig]) -> Result<Membership, TheoryError> {
    membership_of(&Excesses::of(game), payoffs)
}

/// Whether a division is in the core of a game whose greatest excess can be found.
///
/// # Errors
/// As [`membership`].
pub fn membership_of(game: &dyn ExcessOracle, payoffs: &[RBig]) -> Result<Membership, TheoryError> {
    let n = game.players();
    if payoffs.len() != n {
        return Err(TheoryError::Shape { name: "payoffs", expected: vec![n], found: vec![payoffs.len()] });
    }
    let paid = payoffs.iter().fold(RBig::ZERO, |sum, x| sum + x);
    let grand = game.value(Coalition::all(n));
    let excess = paid - &grand;
    if !excess.is_zero() {
        return Err(TheoryError::NotEfficient { excess: excess.to_f64().value(), grand: grand.to_f64().value() });
    }
    Ok(match game.worst(payoffs) {
        Some((coalition, gain)) if gain > RBig::ZERO => Membership::Blocked { coalition, gain },
        _ => Membership::Core,
    })
}
