//! The nonlinear program of a model.

use super::expression::{Function, Node};
use crate::nonlinear::NonlinearProgram;
use crate::program::Row;
use std::rc::Rc;

/// A nonlinear program given by expressions.
#[derive(Clone, Debug)]
pub struct ExpressionProgram {
    pub(super) objective: Function,
    pub(super) rows: Vec<Function>,
    pub(super) row_lower: Vec<f64>,
    pub(super) row_upper: Vec<f64>,
    pub(super) lower: Vec<f64>,
    pub(super) upper: Vec<f64>,
    pub(super) start: Vec<f64>,
    pub(super) names: Vec<String>,
}

impl ExpressionProgram {
    /// The name of each variable, with its subscripts; variables that the reader added are named after their
    /// constraint.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl NonlinearProgram for ExpressionProgram {
    fn variables(&self) -> usize {
        self.lower.len()
    }

    fn constraints(&self) -> usize {
        self.rows.len()
    }

    fn variable_bounds(&self) -> (Vec<f64>, Vec<f64>) {
        (self.lower.clone(), self.upper.clone())
    }

    fn constraint_bounds(&self) -> (Vec<f64>, Vec<f64>) {
        (self.row_lower.clone(), self.row_upper.clone())
    }

    fn objective(&self, x: &[f64]) -> f64 {
        self.objective.value(x)
    }

    fn gradient(&self, x: &[f64], into: &mut [f64]) {
        into.fill(0.0);
        for (variable, entry) in self.objective.gradient_pattern().zip(self.objective.gradient(x)) {
            into[variable] += entry;
        }
    }

    fn evaluate(&self, x: &[f64], into: &mut [f64]) {
        for (value, row) in into.iter_mut().zip(&self.rows) {
            *value = row.value(x);
        }
    }

    fn jacobian_pattern(&self) -> Vec<(usize, usize)> {
        let rows = self.rows.iter().enumerate();
        rows.flat_map(|(row, function)| function.gradient_pattern().map(move |column| (row, column))).collect()
    }

    fn jacobian(&self, x: &[f64], into: &mut [f64]) {
        let entries = self.rows.iter().flat_map(|function| function.gradient(x));
        into.iter_mut().zip(entries).for_each(|(into, entry)| *into = entry);
    }

    fn hessian_pattern(&self) -> Vec<(usize, usize)> {
        std::iter::once(&self.objective).chain(&self.rows).flat_map(Function::hessian_pattern).collect()
    }

    fn hessian(&self, x: &[f64], objective_factor: f64, multipliers: &[f64], into: &mut [f64]) {
        into.fill(0.0);
        let mut at = self.objective.add_hessian(x, objective_factor, into);
        for (row, multiplier) in self.rows.iter().zip(multipliers) {
            at += row.add_hessian(x, *multiplier, &mut into[at..]);
        }
    }

    fn start(&self) -> Vec<f64> {
        self.start.clone()
    }
}

/// A program with a quadratic objective and linear constraints.
#[derive(Clone, Debug, Default)]
pub struct QuadraticTerms {
    /// The constant of the objective.
    pub constant: f64,
    /// $(j, c_j)$.
    pub linear: Vec<(usize, f64)>,
    /// $(i, j, q)$ for the term $q\, x_i x_j$.
    pub quadratic: Vec<(usize, usize, f64)>,
    /// Coefficients and bounds of each constraint.
    pub rows: Vec<Row>,
    /// $\ell$.
    pub lower: Vec<f64>,
    /// $u$.
    pub upper: Vec<f64>,
}

impl QuadraticTerms {
    /// The program, with zero, moved into the bounds, as its start.
    pub fn program(&self) -> ExpressionProgram {
        let variable = |j: usize| Rc::new(Node::Variable(j));
        let linear = |entries: &[(usize, f64)]| entries.iter().map(|(j, a)| (*a, variable(*j))).collect::<Vec<_>>();
        let mut objective = linear(&self.linear);
        objective.push((self.constant, Rc::new(Node::Constant(1.0))));
        objective.extend(self.quadratic.iter().map(|&(i, j, q)| (q, Node::product(variable(i), variable(j)))));
        ExpressionProgram {
            objective: Function::new(&Node::sum(objective)),
            rows: self.rows.iter().map(|row| Function::new(&Node::sum(linear(&row.entries)))).collect(),
            row_lower: self.rows.iter().map(|row| row.lower).collect(),
            row_upper: self.rows.iter().map(|row| row.upper).collect(),
            start: self.lower.iter().zip(&self.upper).map(|(l, u)| 0.0_f64.max(*l).min(*u)).collect(),
            lower: self.lower.clone(),
            upper: self.upper.clone(),
            names: (0..self.lower.len()).map(|j| format!("x[{j}]")).collect(),
        }
    }
}
