//! Predictions about networks, from theory alone.
//!
//! | system | folder |
//! |---|---|
//! | the neuron race: alignment, unlocking, racing | [`race`] |
//!
//! A prediction never calls the implementation that it predicts: masks come from `secateur-prune`, and the two meet in
//! `bench-suites/src/theory` and in the checks of `proofs-notes`.

pub mod error;
pub mod race;

pub use error::TheoryError;
