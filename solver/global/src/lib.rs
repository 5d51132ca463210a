//! Global optimisation beside the branch and bound: upper bounds by nonlinear programs, and the
//! mixed-integer baseline.
//!
//! | concept | file |
//! |---|---|
//! | a network on a box as rows, columns and complementarity pairs | [`encoding`] |
//! | the upper bound: warm starts, relaxations, statistics | [`nlp_cc`] |
//! | descent over activation patterns | [`pattern`] |
//! | the mixed-integer baseline | [`mip`] |
//!
//! Nothing in this crate closes a subproblem: [`nlp_cc::NlpCc`] hands points to
//! [`secateur_verify::interval_with`], which measures them exactly.

pub mod encoding;
pub mod error;
pub mod mip;
pub mod nlp_cc;
pub mod pattern;

pub use error::GlobalError;
pub use nlp_cc::{NlpCc, Params, Solve, Start};
