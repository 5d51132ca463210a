//! Statements on games, and the checks that can refute them.
//!
//! | step | file |
//! |---|---|
//! | games drawn at random | `draw.rs` |
//! | what weights prove, intervals of monotone games and of others | `bounds.rs` |
//! | what is missed when few coalitions are looked at | `missed.rs` |
//! | players with the same data, the nucleolus, games with closed forms | `divisions.rs` |
//! | the Shapley value and its estimates | `values.rs` |
//! | games whose values are measured with errors | `noise.rs` |

mod bounds;
mod divisions;
mod draw;
mod missed;
mod noise;
mod values;

use super::statement::{Comparison, Statement, Tolerance};
use dashu_ratio::RBig;

macro_rules! statement {
    ($name:literal, $check:expr) => {
        Statement {
            id: concat!("game.", $name),
            note: include_str!(concat!("../../../../proofs-notes/game/", $name, ".md")),
            check: $check,
        }
    };
}

/// The statements on games.
pub const STATEMENTS: &[Statement] = &[
    statement!("duality", bounds::duality),
    statement!("interval", bounds::interval),
    statement!("closure", bounds::closure),
    statement!("drawn-rows", missed::drawn_rows),
    statement!("thresholds", missed::thresholds),
    statement!("duplicates", divisions::duplicates),
    statement!("nucleolus", divisions::nucleoli),
    statement!("talmud", divisions::talmud),
    statement!("closed-forms", divisions::closed_forms),
    statement!("shapley", values::axioms),
    statement!("sampling", values::sampling),
    statement!("noise", noise::excess),
    statement!("amplification", noise::amplification),
];

/// How many of some cases are as predicted; all have to be.
fn all(what: &str, cases: &[bool]) -> Comparison {
    let found = cases.iter().filter(|case| **case).count();
    // No case at all is no success.
    let predicted = if cases.is_empty() { f64::NAN } else { cases.len() as f64 };
    Comparison::new(what, predicted, found as f64, Tolerance::Absolute(0.0))
}

/// A double, exactly.
fn exact(value: f64) -> RBig {
    RBig::try_from(value).expect("values of games are finite")
}

/// The nearest double.
fn float(value: &RBig) -> f64 {
    value.to_f64().value()
}

/// The quotient of two whole numbers.
fn quotient(above: i64, below: u64) -> RBig {
    RBig::from_parts(above.into(), below.into())
}
