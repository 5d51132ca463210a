//! The simplex back end: a HiGHS instance that is kept, changed and solved again.
//!
//! A subproblem of branch and bound differs from its parent by bounds of columns. The parent's optimal basis then
//! stays dual feasible, and the dual simplex method needs a few iterations from it where a solve from scratch needs
//! hundreds. Presolve runs only without a basis; where it shows a program infeasible, the program is solved once more
//! without it, because only a basis of the full program has a Farkas ray.

use crate::LpSolver;
use crate::error::OptError;
pub use crate::highs::Basis;
use crate::highs::{Highs, ModelStatus, OptionValue};
use crate::outcome::{
    LpOutcome, LpSettings, Refutation, StallReason, drop_infinite_columns, drop_infinite_rows, farkas,
};
use crate::program::{LinearProgram, bad_bound};
use highs_sys::HighsInt;

/// Values of HiGHS's option `simplex_strategy`.
const SIMPLEX_DUAL: HighsInt = 1;
const SIMPLEX_PRIMAL: HighsInt = 4;

/// The dual simplex method of HiGHS, each program solved from scratch on one thread.
///
/// The point of an LP with many optima is a vertex where there is one. [`Session`] solves programs that differ little.
///
/// # Source
/// Q. Huangfu, J. A. J. Hall, "Parallelizing the dual revised simplex method".
#[derive(Clone, Copy, Debug, Default)]
pub struct Simplex;

impl LpSolver for Simplex {
    fn solve(&self, program: &LinearProgram, settings: &LpSettings) -> Result<LpOutcome, OptError> {
        Session::new(program.clone(), settings)?.solve()
    }
}

/// A linear program in a HiGHS instance, to be changed and solved many times on one thread.
///
/// The matrix and the bounds of rows stay; bounds and costs of columns change. Changes are handed over together at the
/// next solve, so that bounds may be crossed in between; crossed bounds are an outcome, and HiGHS never sees them.
#[derive(Debug)]
pub struct Session {
    highs: Highs,
    program: LinearProgram,
    crossed_row: Option<usize>,
    /// Columns whose bounds HiGHS does not know yet.
    new_bounds: Vec<usize>,
    /// Columns whose costs HiGHS does not know yet.
    new_costs: Vec<usize>,
    iterations: u64,
}

impl Session {
    /// Hands a program to HiGHS.
    ///
    /// # Errors
    /// Data that is no linear program, a tolerance or limit outside HiGHS's range (tolerances are at least 1e-10), a
    /// program too large for 32-bit indices.
    pub fn new(program: LinearProgram, settings: &LpSettings) -> Result<Self, OptError> {
        program.check()?;
        let mut highs = Highs::new(&program, &[], 1)?;
        highs.set(c"solver", OptionValue::Text(c"simplex"))?;
        let new_bounds = (0..program.columns()).filter(|&j| program.lower[j] > program.upper[j]).collect();
        let crossed_row = program.rows.iter().position(|row| row.lower > row.upper);
        let mut session = Self { highs, program, crossed_row, new_bounds, new_costs: Vec::new(), iterations: 0 };
        session.set_settings(settings)?;
        Ok(session)
    }

    /// The program with the bounds and costs that the next solve will use.
    pub fn program(&self) -> &LinearProgram {
        &self.program
    }

    /// Simplex iterations of the last solve.
    pub fn iterations(&self) -> u64 {
        self.iterations
    }

    /// Replaces tolerance and limits.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn set_settings(&mut self, settings: &LpSettings) -> Result<(), OptError> {
        settings.check()?;
        let tolerance = OptionValue::Double(settings.tolerance);
        self.highs.set(c"primal_feasibility_tolerance", tolerance)?;
        self.highs.set(c"dual_feasibility_tolerance", tolerance)?;
        let iterations = settings.max_iterations.map_or(HighsInt::MAX, |limit| {
            // More iterations than HiGHS counts are no limit.
            HighsInt::try_from(limit).unwrap_or(HighsInt::MAX)
        });
        self.highs.set(c"simplex_iteration_limit", OptionValue::Int(iterations))?;
        self.highs.set_time_limit(settings.time_limit)
    }

    /// Replaces the bounds of one column; they may be crossed.
    ///
    /// # Errors
    /// No such column, or a bound that is NaN or infinite on the wrong side; the program is then unchanged.
    pub fn set_bounds(&mut self, column: usize, lower: f64, upper: f64) -> Result<(), OptError> {
        self.set_many_bounds(&[(column, lower, upper)])
    }

    /// Replaces the bounds of columns, given as column, lower and upper bound.
    ///
    /// # Errors
    /// As [`Session::set_bounds`].
    pub fn set_many_bounds(&mut self, changes: &[(usize, f64, f64)]) -> Result<(), OptError> {
        for &(column, lower, upper) in changes {
            self.check_column(column)?;
            if let Some((side, value)) = bad_bound(lower, upper) {
                return Err(OptError::ColumnBound { column, side, value });
            }
        }
        for &(column, lower, upper) in changes {
            self.program.lower[column] = lower;
            self.program.upper[column] = upper;
            self.new_bounds.push(column);
        }
        Ok(())
    }

    /// Replaces the cost of one column.
    ///
    /// # Errors
    /// No such column, or a cost that is not finite; the program is then unchanged.
    pub fn set_cost(&mut self, column: usize, cost: f64) -> Result<(), OptError> {
        self.set_many_costs(&[(column, cost)])
    }

    /// Replaces the costs of columns.
    ///
    /// # Errors
    /// As [`Session::set_cost`].
    pub fn set_many_costs(&mut self, changes: &[(usize, f64)]) -> Result<(), OptError> {
        for &(column, value) in changes {
            self.check_column(column)?;
            if !value.is_finite() {
                return Err(OptError::Objective { column, value });
            }
        }
        for &(column, cost) in changes {
            self.program.objective[column] = cost;
            self.new_costs.push(column);
        }
        Ok(())
    }

    /// The basis where the last solve ended, or the one set since; none before, and none after crossed bounds.
    ///
    /// # Errors
    /// A call that HiGHS refuses.
    pub fn basis(&self) -> Result<Option<Basis>, OptError> {
        self.highs.basis()
    }

    /// Starts the next solve from a basis of a program with the same columns and rows.
    ///
    /// # Errors
    /// A basis of another shape.
    pub fn set_basis(&mut self, basis: &Basis) -> Result<(), OptError> {
        let (columns, rows, basic) = (basis.columns(), basis.rows(), basis.basic());
        if columns != self.program.columns() || rows != self.program.rows.len() || basic != rows {
            return Err(OptError::BasisShape { columns, rows, basic });
        }
        // A role at a bound is relative to the bounds that HiGHS knows.
        if !self.new_bounds.iter().any(|&j| self.program.lower[j] > self.program.upper[j]) {
            self.hand_over()?;
        }
        self.highs.set_basis(basis)
    }

    /// Solves the program, from the basis at hand if there is one.
    ///
    /// Where the dual simplex method cannot vouch for its answer, the primal one starts from scratch, and the limits
    /// count for each of the two.
    ///
    /// # Errors
    /// A call that HiGHS refuses. Not finding an answer is an outcome.
    pub fn solve(&mut self) -> Result<LpOutcome, OptError> {
        self.iterations = 0;
        if let Some(crossed) = self.crossed() {
            return Ok(LpOutcome::Infeasible(crossed));
        }
        if self.program.columns() == 0 {
            return Ok(self.without_columns());
        }
        self.hand_over()?;
        let mut status = self.run()?;
        if status == ModelStatus::Stopped(StallReason::Accuracy) {
            // The dual simplex method ended where it cannot vouch for its answer; the primal one takes another path.
            self.highs.clear_solver()?;
            self.highs.set(c"simplex_strategy", OptionValue::Int(SIMPLEX_PRIMAL))?;
            let again = self.run();
            self.highs.set(c"simplex_strategy", OptionValue::Int(SIMPLEX_DUAL))?;
            status = again?;
        }
        match status {
            ModelStatus::Optimal => self.optimal(),
            ModelStatus::Infeasible => self.refuted(),
            ModelStatus::Unbounded if self.highs.has_feasible_point()? => Ok(LpOutcome::Unbounded),
            ModelStatus::Unbounded | ModelStatus::UnboundedOrInfeasible => self.feasible_or_not(),
            ModelStatus::Stopped(reason) => Ok(LpOutcome::Stalled(reason)),
        }
    }

    /// Forgets the basis and solves the program.
    ///
    /// # Errors
    /// As [`Session::solve`].
    pub fn solve_from_scratch(&mut self) -> Result<LpOutcome, OptError> {
        self.highs.clear_solver()?;
        self.solve()
    }

    /// HiGHS has no solution for a program without columns.
    fn without_columns(&self) -> LpOutcome {
        let row_duals = vec![0.0; self.program.rows.len()];
        let feasible = LpOutcome::Optimal { point: Vec::new(), value: 0.0, row_duals, column_duals: Vec::new() };
        self.row_out_of_reach().unwrap_or(feasible)
    }

    fn check_column(&self, column: usize) -> Result<(), OptError> {
        let columns = self.program.columns();
        if column < columns { Ok(()) } else { Err(OptError::ColumnIndex { column, columns }) }
    }

    fn crossed(&self) -> Option<Refutation> {
        let crossed = self.new_bounds.iter().copied().filter(|&j| self.program.lower[j] > self.program.upper[j]);
        crossed.min().map(Refutation::CrossedColumn).or(self.crossed_row.map(Refutation::CrossedRow))
    }

    fn hand_over(&mut self) -> Result<(), OptError> {
        for changed in [&mut self.new_bounds, &mut self.new_costs] {
            changed.sort_unstable();
            changed.dedup();
        }
        let of = |values: &[f64], columns: &[usize]| columns.iter().map(|&j| values[j]).collect::<Vec<_>>();
        if !self.new_bounds.is_empty() {
            let (lower, upper) = (of(&self.program.lower, &self.new_bounds), of(&self.program.upper, &self.new_bounds));
            self.highs.change_bounds(&self.new_bounds, &lower, &upper)?;
            self.new_bounds.clear();
        }
        if !self.new_costs.is_empty() {
            self.highs.change_costs(&self.new_costs, &of(&self.program.objective, &self.new_costs))?;
            self.new_costs.clear();
        }
        Ok(())
    }

    fn run(&mut self) -> Result<ModelStatus, OptError> {
        let status = self.highs.run()?;
        // The count is negative where no simplex method ran, as in a program that presolve settles.
        self.iterations += u64::try_from(self.highs.int_info(c"simplex_iteration_count")?).unwrap_or(0);
        Ok(status)
    }

    fn optimal(&self) -> Result<LpOutcome, OptError> {
        let values = self.highs.values()?;
        let mut row_duals = values.row_duals;
        drop_infinite_rows(&self.program, &mut row_duals);
        let mut column_duals = self.program.column_residual(&self.program.objective, &row_duals);
        drop_infinite_columns(&self.program, &mut column_duals);
        let value = self.program.value(&values.point);
        Ok(LpOutcome::Optimal { point: values.point, value, row_duals, column_duals })
    }

    /// The refutation of a program that HiGHS calls infeasible.
    fn refuted(&mut self) -> Result<LpOutcome, OptError> {
        if let Some(refuted) = self.row_out_of_reach() {
            return Ok(refuted);
        }
        let Some(ray) = self.highs.dual_ray()? else {
            return Ok(LpOutcome::Stalled(StallReason::Refutation));
        };
        // The sign of the ray depends on the side on which the leaving row was violated.
        for sign in [1.0, -1.0] {
            let mut row_ray: Vec<f64> = ray.iter().map(|v| sign * v).collect();
            drop_infinite_rows(&self.program, &mut row_ray);
            if let LpOutcome::Infeasible(refutation) = farkas(&self.program, row_ray) {
                return Ok(LpOutcome::Infeasible(refutation));
            }
        }
        Ok(LpOutcome::Stalled(StallReason::Refutation))
    }

    /// The refutation by the row that the box of the columns misses by most, if it misses one.
    ///
    /// HiGHS has no ray for such rows where they have no entries, and would solve once more for the others.
    fn row_out_of_reach(&self) -> Option<LpOutcome> {
        let mut widest = (0.0, 0, 0.0);
        for (index, row) in self.program.rows.iter().enumerate() {
            for sign in [1.0, -1.0] {
                let reach = |&(column, value): &(usize, f64)| match sign * value {
                    value if value > 0.0 => value * self.program.upper[column],
                    value if value < 0.0 => value * self.program.lower[column],
                    _ => 0.0,
                };
                let needed = if sign > 0.0 { row.lower } else { -row.upper };
                let gap = needed - row.entries.iter().map(reach).sum::<f64>();
                if gap > widest.0 {
                    widest = (gap, index, sign);
                }
            }
        }
        let (gap, index, sign) = widest;
        if gap == 0.0 {
            return None;
        }
        let mut row_ray = vec![0.0; self.program.rows.len()];
        row_ray[index] = sign;
        Some(farkas(&self.program, row_ray)).filter(|outcome| matches!(outcome, LpOutcome::Infeasible(_)))
    }

    fn run_without_presolve(&mut self) -> Result<ModelStatus, OptError> {
        self.highs.set(c"presolve", OptionValue::Text(c"off"))?;
        let status = self.run();
        self.highs.set(c"presolve", OptionValue::Text(c"choose"))?;
        status
    }

    /// Decides between unbounded and infeasible by solving with the costs set to zero.
    fn feasible_or_not(&mut self) -> Result<LpOutcome, OptError> {
        let columns: Vec<usize> = (0..self.program.columns()).collect();
        self.highs.change_costs(&columns, &vec![0.0; columns.len()])?;
        let outcome = match self.run_without_presolve() {
            Ok(ModelStatus::Optimal) => Ok(LpOutcome::Unbounded),
            Ok(ModelStatus::Infeasible) => self.refuted(),
            Ok(ModelStatus::Unbounded | ModelStatus::UnboundedOrInfeasible) => {
                Ok(LpOutcome::Stalled(StallReason::Numerics))
            }
            Ok(ModelStatus::Stopped(reason)) => Ok(LpOutcome::Stalled(reason)),
            Err(error) => Err(error),
        };
        self.highs.change_costs(&columns, &self.program.objective)?;
        outcome
    }
}
