//! Certificates of `unsat`, and what it takes to accept one.
//!
//! A certificate tells how the region of a property was split and why each part holds no counterexample. Nothing in
//! it is believed: the checker bounds every part itself, with the slopes and multipliers that the certificate
//! proposes, in integers.
//!
//! | step | file |
//! |---|---|
//! | the network as affine layers, elementwise functions and products, from the graph | [`network`], `build`, `affine`, `bilinear` |
//! | weights as integers with one exponent | [`matrix`] |
//! | bounds of all layers on a box; lines of the ReLUs | [`bounds`] |
//! | lines of sigmoid and tanh; of other curved functions, among them sine and cosine; planes of products | [`lines`]; [`curves`], `waves`; [`planes`] |
//! | an objective taken back to the input | [`rows`] |
//! | ranges narrowed by half-spaces | [`spaces`] |
//! | the file | [`mod@format`] |
//! | every part of the region is closed | [`checker`] |

mod affine;
mod bilinear;
pub mod bounds;
mod build;
pub mod checker;
pub mod curves;
pub mod format;
pub mod lines;
pub mod matrix;
pub mod network;
pub mod planes;
pub mod rejection;
pub mod rows;
pub mod spaces;
mod waves;

pub use checker::check;
pub use rejection::{Accepted, Rejection};
