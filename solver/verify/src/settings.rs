//! What the user chooses about a search.

use crate::device::Choice;
use crate::error::VerifyError;
use crate::technique::Technique;
use secateur_check::Semantics;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The rule that picks the next split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Branching {
    /// By the network: inputs when few vary, else ReLUs.
    #[default]
    Auto,
    /// Halve an input interval.
    Input,
    /// Split the ReLU with the best BaBSR estimate.
    Babsr,
    /// Filtered smart branching: bound the children of the best candidates, one candidate list.
    Fsb,
    /// Filtered smart branching with the best `k` of the BaBSR and the intercept scores.
    Kfsb,
    /// The same, with a bonus for children whose activation pattern agrees with the best point's.
    Aligned,
}

impl Branching {
    /// Every rule, in the order of the documentation.
    pub const ALL: [Branching; 6] =
        [Branching::Auto, Branching::Input, Branching::Babsr, Branching::Fsb, Branching::Kfsb, Branching::Aligned];

    /// The name that the command line uses.
    pub fn name(self) -> &'static str {
        match self {
            Branching::Auto => "auto",
            Branching::Input => "input",
            Branching::Babsr => "babsr",
            Branching::Fsb => "fsb",
            Branching::Kfsb => "kfsb",
            Branching::Aligned => "aligned",
        }
    }
}

impl fmt::Display for Branching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Branching {
    type Err = VerifyError;

    fn from_str(text: &str) -> Result<Self, VerifyError> {
        let found = Self::ALL.into_iter().find(|b| b.name() == text);
        found.ok_or_else(|| VerifyError::UnknownBranching { found: text.to_owned() })
    }
}

/// Settings of one verification.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Wall-clock limit.
    pub timeout: Option<Duration>,
    /// Worker threads; 0 takes every core.
    pub threads: usize,
    /// Seed of the attack's random starts.
    pub seed: u64,
    /// Branching rule.
    pub branching: Branching,
    /// $\lambda$, the weight of agreement in [`Branching::Aligned`].
    pub alignment: f64,
    /// What the verdict is about.
    pub semantics: Semantics,
    /// Techniques that the search does without.
    pub without: Vec<Technique>,
    /// Where ascents may run beside the processor.
    pub device: Choice,
}

impl Settings {
    /// The default $\lambda$.
    pub const ALIGNMENT: f64 = 0.1;

    /// Whether the search may use a technique.
    pub fn uses(&self, technique: Technique) -> bool {
        !self.without.contains(&technique)
    }
}

impl Default for Settings {
    fn default() -> Self {
        let (branching, alignment) = (Branching::Auto, Self::ALIGNMENT);
        Self {
            timeout: None,
            threads: 0,
            seed: 0,
            branching,
            alignment,
            semantics: Semantics::Real,
            without: Vec::new(),
            device: Choice::default(),
        }
    }
}
