//! Faults in the data of a linear program.

use crate::mps::MpsFault;
use crate::nonlinear::NonlinearFault;
use clarabel::solver::SolverError;
use std::fmt;
use thiserror::Error;

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundSide {
    /// The lower end.
    Lower,
    /// The upper end.
    Upper,
}

impl fmt::Display for BoundSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BoundSide::Lower => "lower",
            BoundSide::Upper => "upper",
        })
    }
}

/// Why a linear program could not be handed to a solver.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OptError {
    /// The vectors over columns differ in length.
    #[error("the objective has {columns} columns, the column bounds {lower} lower and {upper} upper entries")]
    ColumnCount {
        /// Entries of the objective.
        columns: usize,
        /// Entries of the lower bounds.
        lower: usize,
        /// Entries of the upper bounds.
        upper: usize,
    },
    /// An objective coefficient is NaN or infinite.
    #[error("objective coefficient of column {column} is {value}, expected a finite number")]
    Objective {
        /// The column.
        column: usize,
        /// The coefficient.
        value: f64,
    },
    /// A column's bound is NaN, or infinite on the wrong side.
    #[error("{side} bound of column {column} is {value}")]
    ColumnBound {
        /// The column.
        column: usize,
        /// Which bound.
        side: BoundSide,
        /// The bound.
        value: f64,
    },
    /// A row's bound is NaN, or infinite on the wrong side.
    #[error("{side} bound of row {row} is {value}")]
    RowBound {
        /// The row.
        row: usize,
        /// Which bound.
        side: BoundSide,
        /// The bound.
        value: f64,
    },
    /// A coefficient is NaN or infinite.
    #[error("coefficient of column {column} in row {row} is {value}, expected a finite number")]
    Coefficient {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// The coefficient.
        value: f64,
    },
    /// A row names a column that does not exist.
    #[error("row {row} names column {column}, but there are {columns} columns")]
    NoSuchColumn {
        /// The row.
        row: usize,
        /// The column it names.
        column: usize,
        /// Number of columns.
        columns: usize,
    },
    /// The tolerance is not a positive number below one.
    #[error("the tolerance is {tolerance}, expected a number between 0 and 1")]
    Tolerance {
        /// The tolerance.
        tolerance: f64,
    },
    /// The interior-point method refused the program.
    #[error("the interior-point method refused the program")]
    InteriorPoint(#[from] SolverError),
    /// A nonlinear program could not be solved as posed.
    #[error(transparent)]
    Nonlinear(#[from] NonlinearFault),
    /// A change names a column that does not exist.
    #[error("there is no column {column} among {columns}")]
    ColumnIndex {
        /// The column named.
        column: usize,
        /// Number of columns.
        columns: usize,
    },
    /// A basis does not fit the program.
    #[error("the basis has {columns} columns and {rows} rows, {basic} of them basic, which does not fit the program")]
    BasisShape {
        /// Columns of the basis.
        columns: usize,
        /// Rows of the basis.
        rows: usize,
        /// Basic columns and rows.
        basic: usize,
    },
    /// The program has more columns, rows or coefficients than 32-bit indices count.
    #[error("{count} {what} are more than the back end can count")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        count: usize,
    },
    /// An entry of a quadratic term that lies below the diagonal or outside, is given twice, or is not finite.
    #[error(
        "entry ({row}, {column}) of the quadratic term is {value}: expected finite entries, each place of the upper triangle once"
    )]
    Quadratic {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// The entry.
        value: f64,
    },
    /// A quadratic term that is not positive semidefinite.
    #[error("the quadratic term is not convex")]
    NotConvex,
    /// A line of an MPS file.
    #[error("line {line}: {fault}")]
    Mps {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: MpsFault,
    },
    /// A gap of a mixed-integer program that is negative, infinite or NaN.
    #[error("the gap is {gap}, expected a finite number of at least 0")]
    Gap {
        /// The gap.
        gap: f64,
    },
    /// No threads to run on.
    #[error("the number of threads is 0")]
    NoThreads,
    /// A bound of an integer column that microlp cannot hold.
    #[error("{side} bound of integer column {column} is {value}, but microlp needs one within 32-bit integers")]
    IntegerRange {
        /// The column.
        column: usize,
        /// Which bound.
        side: BoundSide,
        /// The bound.
        value: f64,
    },
    /// microlp refused the program.
    #[error("microlp refused the program: {message}")]
    MicroLp {
        /// What it says.
        message: String,
    },
    /// HiGHS answered a call with an error.
    #[error("HiGHS refused the call {call}")]
    HighsCall {
        /// The function.
        call: &'static str,
    },
    /// HiGHS did not take a value for an option.
    #[error("HiGHS refused {value} for the option {option}")]
    HighsOption {
        /// The option.
        option: String,
        /// The value.
        value: String,
    },
    /// HiGHS ended in a state that these programs and settings cannot lead to.
    #[error("HiGHS ended with the unexpected model status {status}")]
    HighsStatus {
        /// The number of the state in HiGHS's interface.
        status: i32,
    },
    /// The process of a solver failed.
    #[cfg(feature = "ipopt")]
    #[error(transparent)]
    Worker(#[from] crate::ipopt::WorkerFault),
}
