//! What the cross-crate tests share: questions with answers that do not come from the verifier.
//!
//! | what | file |
//! |---|---|
//! | questions that every engine must answer, and the check that it does | [`conformance`] |
//! | small networks that multiply, divide and bend variables | [`bent`] |
//! | networks of many operators on a segment, with exact curves of their outputs | [`curves`] |
//! | fully connected ReLU networks to build questions with | [`dense`] |
//! | proofs: taken down, written, checked, mutated | [`proofs`] |
//! | the exact minimum of such a network over a rectangle, by cutting it into its linear pieces | [`pieces`] |
//!
//! A new engine or branching rule gets its tests in one line: `conformance::check(|graph, property| …)`.

pub mod bent;
pub mod conformance;
pub mod curves;
pub mod dense;
pub mod pieces;
pub mod proofs;

use std::path::PathBuf;

/// The project's root directory.
pub fn root() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map_or(tests.clone(), PathBuf::from)
}
