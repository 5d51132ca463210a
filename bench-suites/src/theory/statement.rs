//! A statement of the theory, and the check that can refute it.

use super::error::StudyError;
use crate::watcher::Watcher;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A statement: its note and its check.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// Its name, `system.statement`.
    pub id: &'static str,
    /// The text of its note in `proofs-notes`.
    pub note: &'static str,
    /// Compares what the statement predicts with what the algorithms do.
    pub check: fn(&Context<'_>) -> Result<Finding, StudyError>,
}

/// What a check may use.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where every random number comes from.
    pub seed: u64,
    /// The directory of data sets, if there is one.
    pub data: Option<&'a Path>,
    /// Who hears of progress, and may stop the check.
    pub watcher: &'a dyn Watcher,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Predictions beside observations.
    Compared(Vec<Comparison>),
    /// The check reads this data set, and was given none.
    NeedsData(String),
    /// The check could not be made.
    Impossible(String),
}

/// A predicted number beside an observed one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What the numbers are.
    pub what: String,
    /// What the statement says.
    pub predicted: f64,
    /// What was found.
    pub observed: f64,
    /// How far they may be apart.
    pub tolerance: Tolerance,
}

/// How far an observation may be from its prediction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tolerance {
    /// $|o - p| \le t$.
    Absolute(f64),
    /// $|o - p| \le t\,|p|$.
    Relative(f64),
    /// $o \le p$.
    AtMost,
    /// $o \ge p$.
    AtLeast,
}

impl Comparison {
    /// Two numbers and how far they may be apart.
    pub fn new(what: impl Into<String>, predicted: f64, observed: f64, tolerance: Tolerance) -> Self {
        Self { what: what.into(), predicted, observed, tolerance }
    }

    /// Whether the observation is what was predicted. A number that is not finite never is.
    pub fn holds(&self) -> bool {
        let Self { predicted, observed, .. } = *self;
        let distance = (observed - predicted).abs();
        predicted.is_finite()
            && observed.is_finite()
            && match self.tolerance {
                Tolerance::Absolute(tolerance) => distance <= tolerance,
                Tolerance::Relative(tolerance) => distance <= tolerance * predicted.abs(),
                Tolerance::AtMost => observed <= predicted,
                Tolerance::AtLeast => observed >= predicted,
            }
    }
}

/// The greatest value; not a number if there is none, or if one is not a number. So a measurement that is missing or that
/// failed is never within a bound.
pub fn greatest(values: impl IntoIterator<Item = f64>) -> f64 {
    let pick = |most: f64, value: f64| if most.is_nan() || value.is_nan() { f64::NAN } else { most.max(value) };
    values.into_iter().reduce(pick).unwrap_or(f64::NAN)
}

impl std::fmt::Display for Tolerance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absolute(tolerance) => write!(f, "± {tolerance:.2e}"),
            Self::Relative(tolerance) => write!(f, "± {:.3} %", 100.0 * tolerance),
            Self::AtMost => f.write_str("at most"),
            Self::AtLeast => f.write_str("at least"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_value_needs_all_values() {
        assert_eq!(greatest([-2.0, -1.0, -3.0]), -1.0);
        assert_eq!(greatest([1.0, f64::INFINITY]), f64::INFINITY);
        assert!(greatest([]).is_nan());
        for values in [[f64::NAN, 1.0, 2.0], [1.0, f64::NAN, 2.0], [1.0, 2.0, f64::NAN]] {
            assert!(greatest(values).is_nan(), "{values:?}");
        }
    }

    #[test]
    fn comparisons_can_fail() {
        let compare = |observed, tolerance| Comparison::new("x", 2.0, observed, tolerance).holds();
        assert!(compare(2.1, Tolerance::Absolute(0.11)) && !compare(2.2, Tolerance::Absolute(0.11)));
        assert!(compare(2.1, Tolerance::Relative(0.06)) && !compare(2.2, Tolerance::Relative(0.06)));
        assert!(compare(2.0, Tolerance::AtMost) && !compare(2.1, Tolerance::AtMost));
        assert!(compare(2.0, Tolerance::AtLeast) && !compare(1.9, Tolerance::AtLeast));
        assert!(!compare(f64::NAN, Tolerance::Absolute(f64::INFINITY)));
        assert!(!compare(f64::NEG_INFINITY, Tolerance::AtMost));
    }
}
