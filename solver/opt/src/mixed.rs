//! Mixed-integer programs, solved one at a time.
//!
//! $$\min_x\; c^\top x \quad\text{subject to}\quad \ell^r \le A x \le u^r,\qquad \ell \le x \le u,\qquad
//! x_j \in \mathbb Z \text{ for } j \in J .$$
//!
//! | back end | feature | through | dual bound | nodes | absolute gap | threads |
//! |---|---|---|---|---|---|---|
//! | [`MicroLp`] | `mip` | good_lp | no | no | no | one |
//! | `HighsMip` | `highs` | highs-sys | yes | yes | yes | yes |
//!
//! HiGHS is called directly because good_lp passes on neither its dual bound nor its count of nodes, and takes
//! "unbounded or infeasible" for infeasible.

#[cfg(feature = "highs")]
mod highs;
mod microlp;

use crate::error::OptError;
use crate::outcome::{StallReason, crossed_bound};
use crate::program::LinearProgram;
#[cfg(feature = "highs")]
pub use highs::HighsMip;
pub use microlp::MicroLp;
use std::time::Duration;

/// A linear program, some of whose columns are to be integer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MixedIntegerProgram {
    /// Objective, bounds and rows.
    pub linear: LinearProgram,
    /// The columns $J$ that are to be integer, in any order.
    pub integer_columns: Vec<usize>,
}

impl MixedIntegerProgram {
    /// The largest violation of a row, a bound or integrality at a point; zero when it is feasible.
    pub fn violation(&self, point: &[f64]) -> f64 {
        let fraction = |&column: &usize| (point[column] - point[column].round()).abs();
        self.integer_columns.iter().map(fraction).fold(self.linear.violation(point), f64::max)
    }

    /// Checks that the data are a mixed-integer program.
    ///
    /// # Errors
    /// The first fault, by place and value.
    pub fn check(&self) -> Result<(), OptError> {
        self.linear.check()?;
        let columns = self.linear.columns();
        match self.integer_columns.iter().find(|&&column| column >= columns) {
            Some(&column) => Err(OptError::ColumnIndex { column, columns }),
            None => Ok(()),
        }
    }

    /// The answer where it takes no search: an empty range of a column or row, or no columns.
    fn settled(&self) -> Option<MipReport> {
        let linear = &self.linear;
        let no_integer = |&j: &usize| linear.lower[j].ceil() > linear.upper[j].floor();
        let outcome = if crossed_bound(linear).is_some() || self.integer_columns.iter().any(no_integer) {
            MipOutcome::Infeasible
        } else if linear.columns() > 0 {
            return None;
        } else if linear.violation(&[]) > 0.0 {
            MipOutcome::Infeasible
        } else {
            MipOutcome::Optimal { incumbent: Incumbent { point: Vec::new(), value: 0.0 }, bound: Some(0.0) }
        };
        Some(MipReport { outcome, nodes: None })
    }
}

/// Limits and accuracy of one solve.
#[derive(Clone, Debug, PartialEq)]
pub struct MipSettings {
    /// Largest wall time, if limited.
    pub time_limit: Option<Duration>,
    /// The gap between the point's value and the bound, relative to the value, at which a point counts as optimal.
    pub relative_gap: f64,
    /// The same, absolute; either suffices. A back end without it uses the relative gap alone.
    pub absolute_gap: f64,
    /// Number of threads, at least 1. A back end without threads uses one.
    pub threads: usize,
}

impl Default for MipSettings {
    fn default() -> Self {
        Self { time_limit: None, relative_gap: 1e-6, absolute_gap: 1e-6, threads: 1 }
    }
}

impl MipSettings {
    fn check(&self) -> Result<(), OptError> {
        for gap in [self.relative_gap, self.absolute_gap] {
            if !(gap >= 0.0 && gap.is_finite()) {
                return Err(OptError::Gap { gap });
            }
        }
        if self.threads == 0 { Err(OptError::NoThreads) } else { Ok(()) }
    }
}

/// A feasible point and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Incumbent {
    /// $x$, feasible and integer to the back end's tolerance (1e-6 in HiGHS).
    pub point: Vec<f64>,
    /// $c^\top x$.
    pub value: f64,
}

/// The answer to a mixed-integer program.
#[derive(Clone, Debug, PartialEq)]
pub enum MipOutcome {
    /// A point whose value is within the gap of the optimum.
    Optimal {
        /// The point.
        incumbent: Incumbent,
        /// A lower bound of the optimum, if the back end gives one.
        bound: Option<f64>,
    },
    /// The search ended before the gap closed.
    Limit {
        /// What ended it.
        reason: StallReason,
        /// The best point found, if any.
        incumbent: Option<Incumbent>,
        /// A lower bound of the optimum, if there is one and the back end gives it.
        bound: Option<f64>,
    },
    /// No point satisfies rows, bounds and integrality.
    Infeasible,
    /// There are feasible points, and the objective falls without limit on them.
    Unbounded,
    /// The method stopped without an answer.
    Stalled(StallReason),
}

/// The answer and the work it took.
#[derive(Clone, Debug, PartialEq)]
pub struct MipReport {
    /// The answer.
    pub outcome: MipOutcome,
    /// Nodes of the search tree, if the back end counts them.
    pub nodes: Option<u64>,
}

/// A method that solves mixed-integer programs.
pub trait MipSolver {
    /// Solves a mixed-integer program.
    ///
    /// # Errors
    /// Data that is no mixed-integer program: see [`OptError`]. Not finding an answer is an outcome.
    fn solve(&self, program: &MixedIntegerProgram, settings: &MipSettings) -> Result<MipReport, OptError>;
}

/// Solves a mixed-integer program with HiGHS if the feature `highs` is on, else with microlp.
///
/// # Errors
/// Data that is no mixed-integer program: see [`OptError`].
pub fn solve_mixed(program: &MixedIntegerProgram, settings: &MipSettings) -> Result<MipReport, OptError> {
    #[cfg(feature = "highs")]
    return HighsMip.solve(program, settings);
    #[cfg(not(feature = "highs"))]
    MicroLp.solve(program, settings)
}
