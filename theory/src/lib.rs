//! Predictions about networks, from theory alone.
//!
//! | system | folder |
//! |---|---|
//! | limit graphons of masks, distances, the factorised saliency model | [`graphon`] |
//! | neural tangent kernels of sparse networks, infinite and finite | [`ntk`] |
//! | the neuron race: alignment, unlocking, racing | [`race`] |
//! | cooperative games: fair shares | [`game`] |
//!
//! A prediction never calls the implementation that it predicts: masks come from `secateur-prune`, and the two meet in
//! `bench-suites/src/theory` and in the checks of `proofs-notes`.

pub mod error;
pub mod game;
pub mod graphon;
pub mod ntk;
pub mod race;

pub use error::TheoryError;
