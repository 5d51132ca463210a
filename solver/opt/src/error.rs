//! Faults in the data of a linear program.

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
    /// The process of a solver failed.
    #[cfg(feature = "ipopt")]
    #[error(transparent)]
    Worker(#[from] crate::ipopt::WorkerFault),
}
