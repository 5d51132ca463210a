//! The interior-point back end.
//!
//! Clarabel solves $\min q^\top x$ subject to $G x + s = h$ with $s$ in a product of $\{0\}$ and
//! $\mathbb R_{\ge 0}$, and returns multipliers $z$ with $q + G^\top z = 0$. The program is brought to
//! this form in the order below: crossed bounds and constant rows are settled first, fixed columns are
//! substituted, each equation becomes one row of the zero cone and each finite bound one row of the
//! orthant. The duals of the program follow from $z$ by [`LinearProgram::column_residual`].

use crate::LpSolver;
use crate::error::OptError;
use crate::outcome::{
    LpOutcome, LpSettings, StallReason, crossed_bound, drop_infinite_columns, drop_infinite_rows, farkas,
};
use crate::program::{INFINITE_BOUND, LinearProgram};
use clarabel::algebra::CscMatrix;
use clarabel::solver::{DefaultSettings, DefaultSolver, IPSolver, SolverStatus, SupportedConeT};

/// Iterations allowed where the settings name no limit.
const MAX_ITERATIONS: u32 = 200;

/// A homogeneous primal-dual interior-point method, sequential and without output.
///
/// The point of an LP with many optima is in the relative interior of their set, not at a vertex.
///
/// # Source
/// P. J. Goulart, Y. Chen, "Clarabel: An interior-point solver for conic programs with quadratic objectives".
#[derive(Clone, Copy, Debug, Default)]
pub struct InteriorPoint;

impl LpSolver for InteriorPoint {
    fn solve(&self, program: &LinearProgram, settings: &LpSettings) -> Result<LpOutcome, OptError> {
        program.check()?;
        settings.check()?;
        let form = ConeForm::new(program);
        if let Some(outcome) = settle(program, &form, settings) {
            return Ok(outcome);
        }
        if form.constraints.is_empty() {
            return Ok(without_constraints(program, &form));
        }
        let linear = CscMatrix::zeros((form.columns.len(), form.columns.len()));
        match form.call(&linear, &form.objective(program), settings)? {
            Answer::Optimal { x, z } => Ok(form.optimal(program, &x, &z)),
            Answer::PrimalInfeasible { z } => Ok(form.refuted(program, &z)),
            // A direction of descent exists; the program is unbounded only if it has a feasible point.
            Answer::DualInfeasible => match form.feasible(settings)? {
                Answer::Optimal { .. } | Answer::DualInfeasible => Ok(LpOutcome::Unbounded),
                Answer::PrimalInfeasible { z } => Ok(form.refuted(program, &z)),
                Answer::Stalled(reason) => Ok(LpOutcome::Stalled(reason)),
            },
            Answer::Stalled(reason) => Ok(LpOutcome::Stalled(reason)),
        }
    }
}

/// The answer where bounds are crossed or fixed columns contradict a row.
pub(crate) fn settle(program: &LinearProgram, form: &ConeForm, settings: &LpSettings) -> Option<LpOutcome> {
    if let Some(crossed) = crossed_bound(program) {
        return Some(LpOutcome::Infeasible(crossed));
    }
    let row = form.contradictory_constant_row(program, settings.tolerance)?;
    Some(unit_row_refutation(program, row, form.constant[row.index]))
}

/// A program without rows, fixed columns aside, and without finite bounds.
fn without_constraints(program: &LinearProgram, form: &ConeForm) -> LpOutcome {
    if form.columns.iter().any(|&column| program.objective[column] != 0.0) {
        return LpOutcome::Unbounded;
    }
    form.optimal(program, &vec![0.0; form.columns.len()], &[])
}

fn unit_row_refutation(program: &LinearProgram, row: ConstantRow, activity: f64) -> LpOutcome {
    let mut row_ray = vec![0.0; program.rows.len()];
    row_ray[row.index] = if activity < program.rows[row.index].lower { 1.0 } else { -1.0 };
    farkas(program, row_ray)
}

/// A row that holds no free column.
#[derive(Clone, Copy)]
struct ConstantRow {
    index: usize,
}

/// One row of the cone form.
#[derive(Clone, Copy)]
enum Constraint {
    RowEqual(usize),
    RowLower(usize),
    RowUpper(usize),
    ColumnLower(usize),
    ColumnUpper(usize),
}

/// The program over its columns that are not fixed, one constraint per finite bound, equations first.
pub(crate) struct ConeForm {
    /// The program's column of each column of the form.
    pub columns: Vec<usize>,
    /// What the fixed columns add to each row.
    constant: Vec<f64>,
    /// Sum of the magnitudes of what the fixed columns add to each row.
    constant_size: Vec<f64>,
    /// Rows without a free column.
    constant_rows: Vec<ConstantRow>,
    constraints: Vec<Constraint>,
    equations: usize,
    matrix: CscMatrix<f64>,
    right: Vec<f64>,
}

pub(crate) enum Answer {
    Optimal { x: Vec<f64>, z: Vec<f64> },
    PrimalInfeasible { z: Vec<f64> },
    DualInfeasible,
    Stalled(StallReason),
}

impl ConeForm {
    pub fn new(program: &LinearProgram) -> Self {
        let columns: Vec<usize> = (0..program.columns()).filter(|&j| program.lower[j] < program.upper[j]).collect();
        let mut position = vec![None; program.columns()];
        for (index, &column) in columns.iter().enumerate() {
            position[column] = Some(index);
        }

        let mut constant = vec![0.0; program.rows.len()];
        let mut constant_size = constant.clone();
        let mut free_entries = Vec::with_capacity(program.rows.len());
        for (index, row) in program.rows.iter().enumerate() {
            let mut free = Vec::with_capacity(row.entries.len());
            for &(column, coefficient) in &row.entries {
                match position[column] {
                    Some(at) if coefficient != 0.0 => free.push((at, coefficient)),
                    Some(_) => {}
                    None => {
                        constant[index] += coefficient * program.lower[column];
                        constant_size[index] += (coefficient * program.lower[column]).abs();
                    }
                }
            }
            free_entries.push(free);
        }

        let mut equations = Vec::new();
        let mut inequalities = Vec::new();
        let mut constant_rows = Vec::new();
        for (index, row) in program.rows.iter().enumerate() {
            if free_entries[index].is_empty() {
                constant_rows.push(ConstantRow { index });
            } else if row.lower == row.upper {
                equations.push(Constraint::RowEqual(index));
            } else {
                if row.lower > -INFINITE_BOUND {
                    inequalities.push(Constraint::RowLower(index));
                }
                if row.upper < INFINITE_BOUND {
                    inequalities.push(Constraint::RowUpper(index));
                }
            }
        }
        for (index, &column) in columns.iter().enumerate() {
            if program.lower[column] > -INFINITE_BOUND {
                inequalities.push(Constraint::ColumnLower(index));
            }
            if program.upper[column] < INFINITE_BOUND {
                inequalities.push(Constraint::ColumnUpper(index));
            }
        }
        let equation_count = equations.len();
        let constraints: Vec<Constraint> = equations.into_iter().chain(inequalities).collect();

        let (mut at_row, mut at_column, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut right = Vec::with_capacity(constraints.len());
        for (line, constraint) in constraints.iter().enumerate() {
            let mut push = |column: usize, value: f64| {
                at_row.push(line);
                at_column.push(column);
                values.push(value);
            };
            match *constraint {
                Constraint::RowEqual(row) | Constraint::RowUpper(row) => {
                    free_entries[row].iter().for_each(|&(column, value)| push(column, value));
                    right.push(program.rows[row].upper - constant[row]);
                }
                Constraint::RowLower(row) => {
                    free_entries[row].iter().for_each(|&(column, value)| push(column, -value));
                    right.push(constant[row] - program.rows[row].lower);
                }
                Constraint::ColumnLower(column) => {
                    push(column, -1.0);
                    right.push(-program.lower[columns[column]]);
                }
                Constraint::ColumnUpper(column) => {
                    push(column, 1.0);
                    right.push(program.upper[columns[column]]);
                }
            }
        }
        let matrix = CscMatrix::new_from_triplets(constraints.len(), columns.len(), at_row, at_column, values);
        Self { columns, constant, constant_size, constant_rows, constraints, equations: equation_count, matrix, right }
    }

    fn contradictory_constant_row(&self, program: &LinearProgram, tolerance: f64) -> Option<ConstantRow> {
        self.constant_rows.iter().copied().find(|row| {
            let (bounds, activity) = (&program.rows[row.index], self.constant[row.index]);
            let slack = tolerance * self.constant_size[row.index];
            activity < bounds.lower - slack || activity > bounds.upper + slack
        })
    }

    pub fn objective(&self, program: &LinearProgram) -> Vec<f64> {
        self.columns.iter().map(|&column| program.objective[column]).collect()
    }

    /// Looks for a feasible point.
    pub fn feasible(&self, settings: &LpSettings) -> Result<Answer, OptError> {
        let columns = self.columns.len();
        self.call(&CscMatrix::zeros((columns, columns)), &vec![0.0; columns], settings)
    }

    /// Minimises with the upper triangle of a quadratic term and an objective, over the form's columns.
    pub fn call(
        &self,
        quadratic: &CscMatrix<f64>,
        objective: &[f64],
        settings: &LpSettings,
    ) -> Result<Answer, OptError> {
        let cones = [
            SupportedConeT::ZeroConeT(self.equations),
            SupportedConeT::NonnegativeConeT(self.constraints.len() - self.equations),
        ];
        let settings = DefaultSettings {
            verbose: false,
            max_threads: 1,
            direct_solve_method: "qdldl".to_string(),
            presolve_enable: false,
            max_iter: settings.max_iterations.unwrap_or(MAX_ITERATIONS),
            time_limit: settings.time_limit.map_or(f64::INFINITY, |limit| limit.as_secs_f64()),
            tol_gap_abs: settings.tolerance,
            tol_gap_rel: settings.tolerance,
            tol_feas: settings.tolerance,
            tol_infeas_abs: settings.tolerance,
            tol_infeas_rel: settings.tolerance,
            ..DefaultSettings::default()
        };
        let mut solver = DefaultSolver::new(quadratic, objective, &self.matrix, &self.right, &cones, settings)?;
        solver.solve();
        let solution = solver.solution;
        Ok(match solution.status {
            SolverStatus::Solved => Answer::Optimal { x: solution.x, z: solution.z },
            SolverStatus::PrimalInfeasible => Answer::PrimalInfeasible { z: solution.z },
            SolverStatus::DualInfeasible => Answer::DualInfeasible,
            SolverStatus::AlmostSolved | SolverStatus::AlmostPrimalInfeasible | SolverStatus::AlmostDualInfeasible => {
                Answer::Stalled(StallReason::Accuracy)
            }
            SolverStatus::MaxIterations => Answer::Stalled(StallReason::Iterations),
            SolverStatus::MaxTime => Answer::Stalled(StallReason::Time),
            SolverStatus::InsufficientProgress => Answer::Stalled(StallReason::Progress),
            SolverStatus::NumericalError | SolverStatus::Unsolved | SolverStatus::CallbackTerminated => {
                Answer::Stalled(StallReason::Numerics)
            }
        })
    }

    /// The program's point, fixed columns included.
    pub fn point(&self, program: &LinearProgram, x: &[f64]) -> Vec<f64> {
        let mut point = program.lower.clone();
        for (&column, &value) in self.columns.iter().zip(x) {
            point[column] = value;
        }
        point
    }

    pub fn optimal(&self, program: &LinearProgram, x: &[f64], z: &[f64]) -> LpOutcome {
        let point = self.point(program, x);
        let row_duals = self.row_duals(program, z);
        let mut column_duals = program.column_residual(&program.objective, &row_duals);
        drop_infinite_columns(program, &mut column_duals);
        LpOutcome::Optimal { value: program.value(&point), point, row_duals, column_duals }
    }

    pub fn refuted(&self, program: &LinearProgram, z: &[f64]) -> LpOutcome {
        farkas(program, self.row_duals(program, z))
    }

    fn row_duals(&self, program: &LinearProgram, z: &[f64]) -> Vec<f64> {
        let mut duals = vec![0.0; program.rows.len()];
        for (constraint, &multiplier) in self.constraints.iter().zip(z) {
            match *constraint {
                Constraint::RowEqual(row) | Constraint::RowUpper(row) => duals[row] -= multiplier,
                Constraint::RowLower(row) => duals[row] += multiplier,
                Constraint::ColumnLower(_) | Constraint::ColumnUpper(_) => {}
            }
        }
        // The two multipliers of a row may leave a trace on a side that has no bound.
        drop_infinite_rows(program, &mut duals);
        duals
    }
}
