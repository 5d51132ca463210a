//! Convex quadratic programs, by the interior-point back end.
//!
//! $$\min_x\; c^\top x + \tfrac12 x^\top Q x \quad\text{subject to}\quad \ell^r \le A x \le u^r,\qquad \ell \le x \le u,
//! \qquad Q \succeq 0 .$$

use crate::error::OptError;
use crate::interior::{Answer, ConeForm, settle};
use crate::outcome::{LpOutcome, LpSettings};
use crate::program::LinearProgram;
use clarabel::algebra::CscMatrix;

/// A linear program with a convex quadratic term in the objective.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuadraticProgram {
    /// $c$, bounds and rows.
    pub linear: LinearProgram,
    /// Entries $(i, j, Q_{ij})$ with $i \le j$ of the symmetric $Q$, each place once.
    pub quadratic: Vec<(usize, usize, f64)>,
}

impl QuadraticProgram {
    /// $c^\top x + \tfrac12 x^\top Q x$.
    pub fn value(&self, point: &[f64]) -> f64 {
        let gradient = self.gradient(point);
        0.5 * (self.linear.value(point) + gradient.iter().zip(point).map(|(g, x)| g * x).sum::<f64>())
    }

    /// $c + Q x$.
    pub fn gradient(&self, point: &[f64]) -> Vec<f64> {
        let mut gradient = self.linear.objective.clone();
        for &(i, j, value) in &self.quadratic {
            gradient[i] += value * point[j];
            if i != j {
                gradient[j] += value * point[i];
            }
        }
        gradient
    }

    /// Checks that the data are a convex quadratic program.
    ///
    /// # Errors
    /// The first fault; a $Q$ that is not positive semidefinite, up to rounding.
    pub fn check(&self) -> Result<(), OptError> {
        self.linear.check()?;
        let columns = self.linear.columns();
        let mut places = Vec::with_capacity(self.quadratic.len());
        for &(row, column, value) in &self.quadratic {
            if row > column || column >= columns || !value.is_finite() {
                return Err(OptError::Quadratic { row, column, value });
            }
            places.push((row, column, value));
        }
        places.sort_unstable_by_key(|&(i, j, _)| (i, j));
        if let Some(twice) = places.windows(2).find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)) {
            let (row, column, value) = twice[1];
            return Err(OptError::Quadratic { row, column, value });
        }
        if is_semidefinite(columns, &self.quadratic) { Ok(()) } else { Err(OptError::NotConvex) }
    }

    /// Solves the program; the multipliers satisfy $c + Q x = A^\top y + d$ at the point.
    ///
    /// # Errors
    /// As [`QuadraticProgram::check`]. Not finding an answer is an outcome.
    pub fn solve(&self, settings: &LpSettings) -> Result<LpOutcome, OptError> {
        self.check()?;
        settings.check()?;
        let linear = &self.linear;
        let form = ConeForm::new(linear);
        if let Some(outcome) = settle(linear, &form, settings) {
            return Ok(outcome);
        }
        let (matrix, costs) = self.over_free_columns(&form);
        let answer = match form.call(&matrix, &costs, settings)? {
            // A direction of descent exists; the program is unbounded only if it has a feasible point.
            Answer::DualInfeasible => match form.feasible(settings)? {
                Answer::Optimal { .. } | Answer::DualInfeasible => return Ok(LpOutcome::Unbounded),
                other => other,
            },
            answer => answer,
        };
        Ok(match answer {
            Answer::Optimal { x, z } => {
                let point = form.point(linear, &x);
                let tangent = LinearProgram { objective: self.gradient(&point), ..linear.clone() };
                match form.optimal(&tangent, &x, &z) {
                    LpOutcome::Optimal { point, row_duals, column_duals, .. } => {
                        LpOutcome::Optimal { value: self.value(&point), point, row_duals, column_duals }
                    }
                    other => other,
                }
            }
            Answer::PrimalInfeasible { z } => form.refuted(linear, &z),
            Answer::Stalled(reason) => LpOutcome::Stalled(reason),
            Answer::DualInfeasible => LpOutcome::Unbounded,
        })
    }

    /// $Q$ and $c$ over the columns that are not fixed, which add to $c$.
    fn over_free_columns(&self, form: &ConeForm) -> (CscMatrix<f64>, Vec<f64>) {
        let free = form.columns.len();
        let mut position = vec![None; self.linear.columns()];
        form.columns.iter().enumerate().for_each(|(at, &column)| position[column] = Some(at));
        let mut costs = form.objective(&self.linear);
        let (mut rows, mut columns, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for &(i, j, value) in &self.quadratic {
            match (position[i], position[j]) {
                (Some(at), Some(other)) => {
                    rows.push(at);
                    columns.push(other);
                    values.push(value);
                }
                (Some(at), None) => costs[at] += value * self.linear.lower[j],
                (None, Some(at)) => costs[at] += value * self.linear.lower[i],
                (None, None) => {}
            }
        }
        (CscMatrix::new_from_triplets(free, free, rows, columns, values), costs)
    }
}

/// Whether a symmetric matrix has no negative eigenvalue beyond rounding, by elimination with diagonal pivots.
fn is_semidefinite(size: usize, upper: &[(usize, usize, f64)]) -> bool {
    // Columns without entries have zero rows.
    let mut used: Vec<usize> = upper.iter().flat_map(|&(i, j, _)| [i, j]).collect();
    used.sort_unstable();
    used.dedup();
    let mut position = vec![0; size];
    used.iter().enumerate().for_each(|(at, &column)| position[column] = at);
    let n = used.len();
    let mut matrix = vec![vec![0.0; n]; n];
    for &(i, j, value) in upper {
        matrix[position[i]][position[j]] = value;
        matrix[position[j]][position[i]] = value;
    }
    let largest = upper.iter().fold(0.0, |largest: f64, entry| largest.max(entry.2.abs()));
    let tolerance = 1e-12 * largest * n as f64;
    let mut left: Vec<usize> = (0..n).collect();
    while let Some(at) = (0..left.len()).max_by(|&a, &b| matrix[left[a]][left[a]].total_cmp(&matrix[left[b]][left[b]]))
    {
        let pivot = left.swap_remove(at);
        let diagonal = matrix[pivot][pivot];
        if diagonal <= tolerance {
            // No diagonal entry is larger, so what is left has to be zero.
            left.push(pivot);
            return left.iter().all(|&i| left.iter().all(|&j| matrix[i][j].abs() <= tolerance));
        }
        let line = matrix[pivot].clone();
        for &i in &left {
            let factor = line[i] / diagonal;
            left.iter().for_each(|&j| matrix[i][j] -= factor * line[j]);
        }
    }
    true
}
