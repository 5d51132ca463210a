//! The statements about graphons, each with its note and its check.
//!
//! | about | file |
//! |---|---|
//! | cut norms, rates, thresholds, sampling, estimators | `checks/distances.rs` |
//! | what each pruning method does | `checks/pruning.rs` |

mod distances;
mod pruning;

use crate::theory::statement::{Comparison, Statement, Tolerance};

macro_rules! statement {
    ($name:literal, $check:path) => {
        Statement {
            id: concat!("graphon.", $name),
            note: include_str!(concat!("../../../../proofs-notes/graphon/", $name, ".md")),
            check: $check,
        }
    };
}

/// All of them.
pub const STATEMENTS: &[Statement] = &[
    statement!("cut-norm", distances::cut_norm),
    statement!("rate", distances::rate),
    statement!("threshold", distances::threshold),
    statement!("sampling", distances::sampling),
    statement!("densities", distances::densities),
    statement!("histogram", distances::histogram),
    statement!("limit", pruning::limit),
    statement!("synflow", pruning::synflow),
    statement!("grasp", pruning::grasp),
    statement!("temperature", pruning::temperature),
    statement!("taxonomy", pruning::taxonomy),
    statement!("fixed-samples", pruning::fixed_samples),
    statement!("initial-output", pruning::initial_output),
    statement!("isotropic", pruning::isotropic),
    statement!("approximation", pruning::approximation),
    statement!("depth", pruning::depth),
    statement!("images", pruning::images),
];

fn at_most(what: impl Into<String>, predicted: f64, observed: f64) -> Comparison {
    Comparison::new(what, predicted, observed, Tolerance::AtMost)
}

fn at_least(what: impl Into<String>, predicted: f64, observed: f64) -> Comparison {
    Comparison::new(what, predicted, observed, Tolerance::AtLeast)
}
