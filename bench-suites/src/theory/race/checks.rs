//! The checks of `proofs-notes/race`.

use crate::theory::statement::Statement;

/// The statements about the race.
pub const STATEMENTS: &[Statement] = &[];
