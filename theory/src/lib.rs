//! Predictions about networks, from theory alone.
//!
//! | system | folder |
//! |---|---|
//! | cooperative games: fair shares | [`game`] |
//!
//! A prediction never calls the implementation that it predicts: masks come from `secateur-prune`, and the two meet in
//! `bench-suites/src/theory` and in the checks of `proofs-notes`.

pub mod error;
pub mod game;

pub use error::TheoryError;
