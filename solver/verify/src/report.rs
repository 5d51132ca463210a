//! What a verification says, and what it tells while it runs.

use dashu_ratio::RBig;
use std::fmt;
use std::time::Duration;

/// An input in the property's box whose output is unsafe.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// The input, exactly.
    pub input: Vec<RBig>,
    /// The network's output there, executed in f32 on the input rounded to f32.
    pub outputs: Vec<f32>,
}

/// Why a search ended without a verdict before its time was up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownReason {
    /// Leaves remain whose bound is zero up to rounding, or whose relaxation cannot be refined.
    Unresolved {
        /// How many.
        leaves: u64,
    },
    /// As executed, numbers may leave the range for which rounding is bounded.
    Range,
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnknownReason::Unresolved { leaves } => {
                write!(f, "{leaves} subproblems can be neither refined further nor decided")
            }
            UnknownReason::Range => f.write_str("as executed in f32, numbers may reach 2^60"),
        }
    }
}

/// How a search ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// No input in the box is unsafe.
    Unsat,
    /// This one is.
    Sat(Witness),
    /// Undecided, for a reason other than time.
    Unknown(UnknownReason),
    /// The time limit came first.
    Timeout,
    /// The caller asked to stop.
    Interrupted,
}

impl Outcome {
    /// The word on the first line of output.
    pub fn verdict(&self) -> &'static str {
        match self {
            Outcome::Unsat => "unsat",
            Outcome::Sat(_) => "sat",
            Outcome::Unknown(_) | Outcome::Interrupted => "unknown",
            Outcome::Timeout => "timeout",
        }
    }
}

/// Counts and bounds of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Subproblems bounded.
    pub domains: u64,
    /// Greatest proved lower bound of the margin over what was open at the end.
    pub lower: f64,
    /// Least margin found at any point.
    pub upper: f64,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// What decided: `attack`, `root`, `input splitting`, `relu splitting`.
    pub method: String,
    /// The device that proposed slopes, or `cpu` where none did.
    pub device: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Counts and bounds.
    pub statistics: Statistics,
}

/// A look at a running search.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What is being done.
    pub phase: &'static str,
    /// Subproblems bounded so far.
    pub domains: u64,
    /// Subproblems waiting.
    pub open: usize,
    /// Least lower bound of what is open.
    pub lower: f64,
    /// Least margin found at any point.
    pub upper: f64,
    /// Time since the start.
    pub elapsed: Duration,
}

/// Someone who watches a search and may end it.
pub trait Observer: Sync {
    /// Called between rounds.
    fn progress(&self, _progress: &Progress) {}
    /// Whether to end the search now.
    fn stop(&self) -> bool {
        false
    }
}

/// An observer that does nothing.
pub struct Silent;

impl Observer for Silent {}
