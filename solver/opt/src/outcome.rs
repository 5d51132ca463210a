//! What a solver is asked to keep to, and what it answers.

use crate::error::OptError;
use crate::program::{INFINITE_BOUND, LinearProgram};
use std::time::Duration;

/// Limits and accuracy of one solve.
#[derive(Clone, Debug, PartialEq)]
pub struct LpSettings {
    /// Feasibility and gap tolerance, relative to the size of the data.
    pub tolerance: f64,
    /// Largest number of iterations; without it, the method's own: 200 for interior points, none for the simplex
    /// method, whose iterations are many and cheap.
    pub max_iterations: Option<u32>,
    /// Largest wall time of one call, if limited.
    pub time_limit: Option<Duration>,
}

impl Default for LpSettings {
    fn default() -> Self {
        Self { tolerance: 1e-8, max_iterations: None, time_limit: None }
    }
}

impl LpSettings {
    /// Checks that the tolerance is usable.
    pub(crate) fn check(&self) -> Result<(), OptError> {
        if self.tolerance > 0.0 && self.tolerance < 1.0 {
            Ok(())
        } else {
            Err(OptError::Tolerance { tolerance: self.tolerance })
        }
    }
}

/// The answer to a linear program.
#[derive(Clone, Debug, PartialEq)]
pub enum LpOutcome {
    /// A point and multipliers whose values agree to the tolerance.
    Optimal {
        /// The point $x$, feasible to the tolerance.
        point: Vec<f64>,
        /// $c^\top x$.
        value: f64,
        /// $y$, one per row; zero where the bound that its sign calls for is infinite.
        row_duals: Vec<f64>,
        /// $d = c - A^\top y$, one per column; set to zero where the bound that its sign calls for is infinite
        /// (the equation then holds to the tolerance only).
        column_duals: Vec<f64>,
    },
    /// No point satisfies the rows and bounds.
    Infeasible(Refutation),
    /// There are feasible points, and the objective falls without limit on them.
    Unbounded,
    /// The method stopped without an answer.
    Stalled(StallReason),
}

/// Why no point satisfies the rows and bounds of a linear program.
#[derive(Clone, Debug, PartialEq)]
pub enum Refutation {
    /// This column's lower bound exceeds its upper bound.
    CrossedColumn(usize),
    /// This row's lower bound exceeds its upper bound.
    CrossedRow(usize),
    /// Multipliers with $A^\top y + d = 0$ and
    /// $\sum_i (y_i^+ \ell^r_i - y_i^- u^r_i) + \sum_j (d_j^+ \ell_j - d_j^- u_j) > 0$,
    /// where the left-hand side of the second would be at most $(A^\top y + d)^\top x = 0$ at a feasible $x$.
    /// The largest multiplier has magnitude 1.
    Farkas {
        /// $y$, one per row.
        row_ray: Vec<f64>,
        /// $d = -A^\top y$, one per column; set to zero where the bound that its sign calls for is infinite.
        column_ray: Vec<f64>,
    },
}

impl Refutation {
    /// The amount by which the refutation contradicts feasibility; positive when it does.
    ///
    /// # Soundness
    /// Computed in `f64` without directed rounding: evidence to check, not a proof.
    pub fn gap(&self, program: &LinearProgram) -> f64 {
        match self {
            Refutation::CrossedColumn(column) => program.lower[*column] - program.upper[*column],
            Refutation::CrossedRow(row) => program.rows[*row].lower - program.rows[*row].upper,
            Refutation::Farkas { row_ray, column_ray } => program.dual_value(row_ray, column_ray),
        }
    }
}

/// Why a method stopped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StallReason {
    /// The limit on iterations was reached.
    Iterations,
    /// The limit on time was reached.
    Time,
    /// An answer was found, but not to the tolerance.
    Accuracy,
    /// The iteration stopped making progress.
    Progress,
    /// The linear algebra broke down.
    Numerics,
    /// The multipliers offered as a refutation do not refute.
    Refutation,
    /// The method ran out of memory.
    Memory,
}

/// The first column, else the first row, whose bounds are crossed.
pub(crate) fn crossed_bound(program: &LinearProgram) -> Option<Refutation> {
    let column = (0..program.columns()).find(|&j| program.lower[j] > program.upper[j]).map(Refutation::CrossedColumn);
    column.or_else(|| program.rows.iter().position(|row| row.lower > row.upper).map(Refutation::CrossedRow))
}

/// The refutation that multipliers of the rows give, if they refute.
pub(crate) fn farkas(program: &LinearProgram, mut row_ray: Vec<f64>) -> LpOutcome {
    let zero = vec![0.0; program.columns()];
    let mut column_ray = program.column_residual(&zero, &row_ray);
    let size = row_ray.iter().chain(&column_ray).fold(0.0, |size: f64, v| size.max(v.abs()));
    row_ray.iter_mut().chain(&mut column_ray).for_each(|v| *v /= size);
    drop_infinite_columns(program, &mut column_ray);
    let refutation = Refutation::Farkas { row_ray, column_ray };
    if refutation.gap(program) > 0.0 {
        LpOutcome::Infeasible(refutation)
    } else {
        LpOutcome::Stalled(StallReason::Refutation)
    }
}

/// Sets to zero the multipliers of columns that call for an infinite bound.
pub(crate) fn drop_infinite_columns(program: &LinearProgram, duals: &mut [f64]) {
    for ((dual, &lower), &upper) in duals.iter_mut().zip(&program.lower).zip(&program.upper) {
        drop_infinite(dual, lower, upper);
    }
}

/// Sets to zero the multipliers of rows that call for an infinite bound.
pub(crate) fn drop_infinite_rows(program: &LinearProgram, duals: &mut [f64]) {
    for (dual, row) in duals.iter_mut().zip(&program.rows) {
        drop_infinite(dual, row.lower, row.upper);
    }
}

fn drop_infinite(dual: &mut f64, lower: f64, upper: f64) {
    if (*dual > 0.0 && lower <= -INFINITE_BOUND) || (*dual < 0.0 && upper >= INFINITE_BOUND) {
        *dual = 0.0;
    }
}
