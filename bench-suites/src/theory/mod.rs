//! Theory against the real algorithms: statements with checks, and studies with pages.
//!
//! | step | file |
//! |---|---|
//! | a statement, and what may refute it | [`statement`] |
//! | run checks, and put them in a table | [`check`] |
//! | the notes on statements | [`note`] |
//! | the same as pages | [`book`], [`markdown`] |
//! | what a study is told | [`mod@configuration`] |
//! | what a study writes | [`report`] |
//! | divisions of cooperative games | [`game`] |
//! | masks beside their limit graphons | [`graphon`] |
//! | tangent kernels of pruned networks | [`mod@ntk`] |
//! | the neuron race | [`race`] |

pub mod book;
pub mod check;
pub mod configuration;
pub mod error;
pub mod game;
pub mod graphon;
pub mod markdown;
pub mod note;
pub mod ntk;
pub mod race;
pub mod report;
pub mod statement;

pub use error::StudyError;
use statement::Statement;

/// Whether no two values are equal.
pub(crate) fn distinct<T: PartialEq>(values: &[T]) -> bool {
    values.iter().enumerate().all(|(k, value)| !values[..k].contains(value))
}

/// Every statement that `secateur theory check` checks.
pub fn statements() -> Vec<Statement> {
    let systems: [&[Statement]; 4] =
        [graphon::checks::STATEMENTS, ntk::checks::STATEMENTS, race::STATEMENTS, game::STATEMENTS];
    systems.concat()
}
