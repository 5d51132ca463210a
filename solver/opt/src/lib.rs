//! Linear programs behind one small interface.
//!
//! $$\min_x\; c^\top x \quad\text{subject to}\quad \ell^r \le A x \le u^r,\qquad \ell \le x \le u .$$
//!
//! | concept | file |
//! |---|---|
//! | the program, its feasibility measure and the bound that multipliers prove | [`program`] |
//! | what a solver answers: a point with duals, a refutation, or neither | [`outcome`] |
//! | the interior-point back end | [`interior`] |
//! | nonlinear programs, what their solvers are asked and answer | [`nonlinear`] |
//! | complementarity pairs and their reformulations | [`complementarity`] |
//! | the interior-point method for nonlinear programs (feature `nlp`) | `pounce` |
//! | the simplex back end, kept between solves (feature `highs`) | `session`, `highs` |
//! | mixed-integer programs (feature `mip`; with `highs`, by HiGHS) | `mixed` |
//! | convex quadratic programs, by interior points | [`quadratic`] |
//! | small programs in rational numbers, rows by need | [`exact`] |
//! | programs in MPS and QPS files | [`mps`] |
//! | a check of derivatives | [`derivatives`] |
//! | Ipopt in a process of its own, and what is said to it (feature `ipopt`) | `ipopt`, `wire` |
//! | models in AMPL (feature `nlp`) | `ampl` |
//! | problems with known answers for every nonlinear solver (feature `nlp`) | `conformance` |
//! | faults in the data | [`error`] |
//!
//! # Sign convention
//! `row_duals` $y$ and `column_duals` $d$ of a minimisation satisfy
//! $$c = A^\top y + d, \qquad c^\top x = \sum_i (y_i^+ \ell^r_i - y_i^- u^r_i) + \sum_j (d_j^+ \ell_j - d_j^- u_j),$$
//! with $v^+ = \max(v, 0)$ and $v^- = \max(-v, 0)$: a positive multiplier belongs to a lower bound, a negative
//! one to an upper bound, and $y_i$ is the derivative of the optimal value in the active bound of row $i$.
//! A refutation has the same form with $c = 0$ and a positive right-hand side.

#[cfg(feature = "nlp")]
pub mod ampl;
#[cfg(feature = "nlp")]
mod barrier;
pub mod complementarity;
#[cfg(feature = "nlp")]
pub mod conformance;
pub mod derivatives;
pub mod error;
pub mod exact;
#[cfg(feature = "highs")]
mod highs;
pub mod interior;
#[cfg(feature = "ipopt")]
pub mod ipopt;
#[cfg(feature = "mip")]
pub mod mixed;
pub mod mps;
pub mod nonlinear;
pub mod outcome;
#[cfg(feature = "nlp")]
pub mod pounce;
pub mod program;
pub mod quadratic;
#[cfg(feature = "highs")]
pub mod session;
#[cfg(feature = "ipopt")]
pub mod wire;

pub use complementarity::{Complementarity, ComplementarityReport, Schedule, solve_complementarity};
pub use error::{BoundSide, OptError};
pub use interior::InteriorPoint;
#[cfg(feature = "ipopt")]
pub use ipopt::Ipopt;
#[cfg(feature = "highs")]
pub use mixed::HighsMip;
#[cfg(feature = "mip")]
pub use mixed::{Incumbent, MicroLp, MipOutcome, MipReport, MipSettings, MipSolver, MixedIntegerProgram, solve_mixed};
pub use mps::{MpsFault, MpsForm, MpsModel};
pub use nonlinear::{NlpReport, NlpSettings, NlpSolver, NlpStatus, NonlinearFault, NonlinearProgram, Warm};
pub use outcome::{LpOutcome, LpSettings, Refutation, StallReason};
#[cfg(feature = "nlp")]
pub use pounce::Pounce;
pub use program::{LinearProgram, Row};
pub use quadratic::QuadraticProgram;
#[cfg(feature = "highs")]
pub use session::{Basis, Session, Simplex};

/// A method that solves linear programs.
pub trait LpSolver {
    /// Solves a linear program.
    ///
    /// # Errors
    /// Data that is no linear program: see [`OptError`]. Not finding an answer is an outcome.
    fn solve(&self, program: &LinearProgram, settings: &LpSettings) -> Result<LpOutcome, OptError>;
}

/// Solves a linear program with the default method, [`InteriorPoint`].
///
/// # Errors
/// Data that is no linear program: see [`OptError`].
pub fn solve(program: &LinearProgram, settings: &LpSettings) -> Result<LpOutcome, OptError> {
    InteriorPoint.solve(program, settings)
}
