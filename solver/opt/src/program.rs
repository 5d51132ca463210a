//! A linear program as data.

use crate::error::{BoundSide, OptError};

/// Bounds of at least this magnitude count as infinite.
pub const INFINITE_BOUND: f64 = 1e20;

/// One row $\ell^r \le \sum_j a_j x_j \le u^r$.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Column and coefficient, in any order; repeated columns add up.
    pub entries: Vec<(usize, f64)>,
    /// Lower bound, $-\infty$ for none.
    pub lower: f64,
    /// Upper bound, $\infty$ for none.
    pub upper: f64,
}

impl Row {
    /// $\sum_j a_j x_j \le u$.
    pub fn at_most(entries: Vec<(usize, f64)>, upper: f64) -> Self {
        Self { entries, lower: f64::NEG_INFINITY, upper }
    }

    /// $\sum_j a_j x_j \ge \ell$.
    pub fn at_least(entries: Vec<(usize, f64)>, lower: f64) -> Self {
        Self { entries, lower, upper: f64::INFINITY }
    }

    /// $\sum_j a_j x_j = b$.
    pub fn equal(entries: Vec<(usize, f64)>, value: f64) -> Self {
        Self { entries, lower: value, upper: value }
    }

    /// $\sum_j a_j x_j$ at a point.
    pub fn activity(&self, point: &[f64]) -> f64 {
        self.entries.iter().map(|&(column, coefficient)| coefficient * point[column]).sum()
    }
}

/// $\min c^\top x$ subject to $\ell^r \le A x \le u^r$ and $\ell \le x \le u$.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinearProgram {
    /// $c$, one per column.
    pub objective: Vec<f64>,
    /// $\ell$, one per column, $-\infty$ for none.
    pub lower: Vec<f64>,
    /// $u$, one per column, $\infty$ for none.
    pub upper: Vec<f64>,
    /// The rows of $A$ with their bounds.
    pub rows: Vec<Row>,
}

impl LinearProgram {
    /// A program over a box, without rows.
    #[track_caller]
    pub fn new(objective: Vec<f64>, lower: Vec<f64>, upper: Vec<f64>) -> Self {
        assert_eq!(objective.len(), lower.len(), "objective and lower bounds differ in length");
        assert_eq!(objective.len(), upper.len(), "objective and upper bounds differ in length");
        Self { objective, lower, upper, rows: Vec::new() }
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.objective.len()
    }

    /// $c^\top x$.
    pub fn value(&self, point: &[f64]) -> f64 {
        self.objective.iter().zip(point).map(|(c, x)| c * x).sum()
    }

    /// The largest violation of a row or a bound at a point; zero when it is feasible.
    pub fn violation(&self, point: &[f64]) -> f64 {
        let rows = self.rows.iter().map(|row| outside(row.activity(point), row.lower, row.upper));
        let columns = point.iter().zip(&self.lower).zip(&self.upper).map(|((&x, &l), &u)| outside(x, l, u));
        rows.chain(columns).fold(0.0, f64::max)
    }

    /// $v - A^\top y$: the multipliers of the columns that make $v$ from the multipliers of the rows.
    ///
    /// # Shapes
    /// `target` has one entry per column, `row_duals` one per row.
    pub fn column_residual(&self, target: &[f64], row_duals: &[f64]) -> Vec<f64> {
        let mut residual = target.to_vec();
        for (row, &dual) in self.rows.iter().zip(row_duals) {
            for &(column, coefficient) in &row.entries {
                residual[column] -= coefficient * dual;
            }
        }
        residual
    }

    /// $\sum_i (y_i^+ \ell^r_i - y_i^- u^r_i) + \sum_j (d_j^+ \ell_j - d_j^- u_j)$, a lower bound of
    /// $(A^\top y + d)^\top x$ over feasible $x$; $-\infty$ when a multiplier calls for an infinite bound.
    ///
    /// # Soundness
    /// Computed in `f64` without directed rounding.
    pub fn dual_value(&self, row_duals: &[f64], column_duals: &[f64]) -> f64 {
        let rows = self.rows.iter().zip(row_duals).map(|(row, &y)| support(y, row.lower, row.upper));
        let columns = column_duals.iter().zip(&self.lower).zip(&self.upper).map(|((&d, &l), &u)| support(d, l, u));
        rows.chain(columns).sum()
    }

    /// Checks that the data are a linear program; crossed bounds are, an infinite coefficient is not.
    ///
    /// # Errors
    /// The first fault, by place and value.
    pub fn check(&self) -> Result<(), OptError> {
        let columns = self.columns();
        if self.lower.len() != columns || self.upper.len() != columns {
            return Err(OptError::ColumnCount { columns, lower: self.lower.len(), upper: self.upper.len() });
        }
        for column in 0..columns {
            if !self.objective[column].is_finite() {
                return Err(OptError::Objective { column, value: self.objective[column] });
            }
            if let Some((side, value)) = bad_bound(self.lower[column], self.upper[column]) {
                return Err(OptError::ColumnBound { column, side, value });
            }
        }
        for (index, row) in self.rows.iter().enumerate() {
            if let Some((side, value)) = bad_bound(row.lower, row.upper) {
                return Err(OptError::RowBound { row: index, side, value });
            }
            for &(column, value) in &row.entries {
                if column >= columns {
                    return Err(OptError::NoSuchColumn { row: index, column, columns });
                }
                if !value.is_finite() {
                    return Err(OptError::Coefficient { row: index, column, value });
                }
            }
        }
        Ok(())
    }
}

fn outside(value: f64, lower: f64, upper: f64) -> f64 {
    (lower - value).max(value - upper).max(0.0)
}

/// $v^+ \ell - v^- u$ without $0 \cdot \infty$.
fn support(multiplier: f64, lower: f64, upper: f64) -> f64 {
    if multiplier > 0.0 {
        multiplier * lower
    } else if multiplier < 0.0 {
        multiplier * upper
    } else {
        0.0
    }
}

pub(crate) fn bad_bound(lower: f64, upper: f64) -> Option<(BoundSide, f64)> {
    if lower.is_nan() || lower >= INFINITE_BOUND {
        Some((BoundSide::Lower, lower))
    } else if upper.is_nan() || upper <= -INFINITE_BOUND {
        Some((BoundSide::Upper, upper))
    } else {
        None
    }
}
