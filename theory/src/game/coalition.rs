//! Sets of players.

use std::fmt;

/// A set of players: bit $i$ is player $i$.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coalition(pub u128);

impl Coalition {
    /// Nobody.
    pub const EMPTY: Self = Self(0);

    /// All of $n \le 128$ players.
    pub fn all(players: usize) -> Self {
        Self(if players == 128 { u128::MAX } else { (1 << players) - 1 })
    }

    /// One player.
    pub fn one(player: usize) -> Self {
        Self(1 << player)
    }

    /// Whether a player is in it.
    pub fn has(self, player: usize) -> bool {
        self.0 >> player & 1 == 1
    }

    /// With a player.
    #[must_use]
    pub fn with(self, player: usize) -> Self {
        Self(self.0 | 1 << player)
    }

    /// Without a player.
    #[must_use]
    pub fn without(self, player: usize) -> Self {
        Self(self.0 & !(1 << player))
    }

    /// How many players are in it.
    pub fn size(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Its players, in order.
    pub fn members(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let player = left.trailing_zeros() as usize;
            let found = (left != 0).then_some(player);
            left &= left.wrapping_sub(1);
            found
        })
    }
}

impl fmt::Display for Coalition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.members().map(|player| player.to_string()).collect();
        write!(f, "{{{}}}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_the_bits() {
        let coalition = Coalition::EMPTY.with(0).with(5).with(127);
        assert_eq!(coalition.members().collect::<Vec<_>>(), [0, 5, 127]);
        assert_eq!(coalition.without(5).to_string(), "{0, 127}");
        assert_eq!((coalition.size(), Coalition::all(128).size(), Coalition::all(3).0), (3, 128, 7));
    }
}
