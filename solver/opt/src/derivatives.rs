//! A check of exact derivatives against central differences.

use crate::nonlinear::NonlinearProgram;

/// Largest errors of the derivatives of a program at a point, each relative to one plus the magnitude of the
/// difference quotient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DerivativeErrors {
    /// Of $\nabla f$ against differences of $f$.
    pub gradient: f64,
    /// Of $J$ against differences of $g$.
    pub jacobian: f64,
    /// Of the Hessian of $\sigma f + \lambda^\top g$ against differences of $\sigma \nabla f + J^\top \lambda$.
    pub hessian: f64,
}

impl DerivativeErrors {
    /// The largest of the three; NaN if one is.
    pub fn largest(&self) -> f64 {
        [self.gradient, self.jacobian, self.hessian].into_iter().fold(0.0, worse)
    }
}

fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// Compares the derivatives of a program at $x$ with central differences of width
/// $h_j = h \max(1, |x_j|)$ in every variable.
///
/// # Shapes
/// `x` and `multipliers` have the program's numbers of variables and constraints; other lengths panic.
#[track_caller]
pub fn derivative_errors(
    program: &dyn NonlinearProgram,
    x: &[f64],
    objective_factor: f64,
    multipliers: &[f64],
    width: f64,
) -> DerivativeErrors {
    let (n, m) = (program.variables(), program.constraints());
    assert_eq!((x.len(), multipliers.len()), (n, m), "one entry per variable and per constraint");
    let mut gradient = vec![0.0; n];
    program.gradient(x, &mut gradient);
    let jacobian = dense_jacobian(program, x);
    let pattern = program.hessian_pattern();
    let mut entries = vec![0.0; pattern.len()];
    program.hessian(x, objective_factor, multipliers, &mut entries);
    let mut hessian = vec![vec![0.0; n]; n];
    for (&(row, column), entry) in pattern.iter().zip(&entries) {
        hessian[row][column] += entry;
        if row != column {
            hessian[column][row] += entry;
        }
    }

    let mut errors = DerivativeErrors { gradient: 0.0, jacobian: 0.0, hessian: 0.0 };
    let error = |exact: f64, quotient: f64| (exact - quotient).abs() / (1.0 + quotient.abs());
    let mut moved = x.to_vec();
    for j in 0..n {
        let step = width * x[j].abs().max(1.0);
        let mut at = |offset: f64| {
            moved[j] = x[j] + offset;
            let mut rows = vec![0.0; m];
            program.evaluate(&moved, &mut rows);
            let result =
                (program.objective(&moved), rows, lagrangian_gradient(program, &moved, objective_factor, multipliers));
            moved[j] = x[j];
            result
        };
        let ((f_up, g_up, l_up), (f_down, g_down, l_down)) = (at(step), at(-step));
        let quotient = |up: f64, down: f64| (up - down) / (2.0 * step);
        errors.gradient = worse(errors.gradient, error(gradient[j], quotient(f_up, f_down)));
        for r in 0..m {
            errors.jacobian = worse(errors.jacobian, error(jacobian[r][j], quotient(g_up[r], g_down[r])));
        }
        for i in 0..n {
            errors.hessian = worse(errors.hessian, error(hessian[i][j], quotient(l_up[i], l_down[i])));
        }
    }
    errors
}

fn dense_jacobian(program: &dyn NonlinearProgram, x: &[f64]) -> Vec<Vec<f64>> {
    let pattern = program.jacobian_pattern();
    let mut entries = vec![0.0; pattern.len()];
    program.jacobian(x, &mut entries);
    let mut dense = vec![vec![0.0; program.variables()]; program.constraints()];
    for (&(row, column), entry) in pattern.iter().zip(&entries) {
        dense[row][column] += entry;
    }
    dense
}

/// $\sigma \nabla f + J^\top \lambda$.
fn lagrangian_gradient(program: &dyn NonlinearProgram, x: &[f64], factor: f64, multipliers: &[f64]) -> Vec<f64> {
    let mut gradient = vec![0.0; program.variables()];
    program.gradient(x, &mut gradient);
    gradient.iter_mut().for_each(|v| *v *= factor);
    for (row, multiplier) in dense_jacobian(program, x).iter().zip(multipliers) {
        gradient.iter_mut().zip(row).for_each(|(v, entry)| *v += multiplier * entry);
    }
    gradient
}
