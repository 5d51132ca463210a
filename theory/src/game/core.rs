//! Whether a division is in the core, with a coalition that would leave where it is not.

use super::coalition::Coalition;
use super::excess::Excesses;
use super::table::{Game, Table};
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

/// Whether a division is in the core.
///
/// # Errors
/// Another number of payoffs than players, or payoffs that do not add up to $v(N)$ exactly.
pub fn membership(game: &Table, payoffs: &[RBig]) -> Result<Membership, TheoryError> {
    let n = game.players();
    if payoffs.len() != n {
        return Err(TheoryError::Shape { name: "payoffs", expected: vec![n], found: vec![payoffs.len()] });
    }
    let excesses = Excesses::of(game);
    let paid = payoffs.iter().fold(RBig::ZERO, |sum, x| sum + x);
    let excess = paid - excesses.value(Coalition::all(n));
    if !excess.is_zero() {
        return Err(TheoryError::NotEfficient { excess: excess.to_f64().value(), grand: game.grand() });
    }
    Ok(match excesses.worst(payoffs, None) {
        Some((coalition, gain)) if gain > RBig::ZERO => Membership::Blocked { coalition, gain },
        _ => Membership::Core,
    })
}
