//! Techniques that a search can do without: what each gains is measured by leaving it out.

use crate::error::VerifyError;
use std::fmt;
use std::str::FromStr;

/// A technique. No verdict depends on any: without one, a search takes longer or ends undecided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Technique {
    /// Attacks before the search and between its stages; minimisers of bounds are still tried.
    Attack,
    /// Slopes below open ReLUs and shares of planes optimised in every subproblem.
    Alpha,
    /// Multipliers of splits.
    Beta,
    /// Slopes optimised for each intermediate bound at the root.
    Tighten,
    /// A branch and bound of its own for each intermediate bound at the root.
    Refine,
    /// Reduced networks.
    Reduce,
    /// Narrowing of first-layer ranges by half-spaces in every subproblem.
    Narrow,
    /// Bounds in `f64` of what only rounding in `f32` keeps open.
    Precise,
    /// Lemmas learned from closed subproblems.
    Lemmas,
    /// Cutting boxes to where a counterexample can be.
    Clip,
    /// Differences of ReLUs relaxed through the differences of what they read, where two networks are compared.
    Relate,
}

impl Technique {
    /// All of them.
    pub const ALL: [Technique; 11] = [
        Technique::Attack,
        Technique::Alpha,
        Technique::Beta,
        Technique::Tighten,
        Technique::Refine,
        Technique::Reduce,
        Technique::Narrow,
        Technique::Precise,
        Technique::Lemmas,
        Technique::Clip,
        Technique::Relate,
    ];

    /// The name that the command line uses.
    pub fn name(self) -> &'static str {
        match self {
            Technique::Attack => "attack",
            Technique::Alpha => "alpha",
            Technique::Beta => "beta",
            Technique::Tighten => "tighten",
            Technique::Refine => "refine",
            Technique::Reduce => "reduce",
            Technique::Narrow => "narrow",
            Technique::Precise => "precise",
            Technique::Lemmas => "lemmas",
            Technique::Clip => "clip",
            Technique::Relate => "relate",
        }
    }
}

impl fmt::Display for Technique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Technique {
    type Err = VerifyError;

    fn from_str(text: &str) -> Result<Self, VerifyError> {
        let found = Self::ALL.into_iter().find(|t| t.name() == text);
        found.ok_or_else(|| VerifyError::UnknownTechnique { found: text.to_owned() })
    }
}
