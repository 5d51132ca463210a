//! Nonlinear programs, and what their solvers are asked and answer.
//!
//! $$\min_x\; f(x) \quad\text{subject to}\quad \ell^r \le g(x) \le u^r,\qquad \ell \le x \le u .$$
//!
//! # Sign convention
//! The multipliers of a stationary point satisfy
//! $$\nabla f(x) + J(x)^\top \lambda - z^\ell + z^u = 0, \qquad z^\ell, z^u \ge 0,$$
//! so $\lambda_r > 0$ belongs to the upper bound of row $r$ and $\lambda_r < 0$ to its lower bound. This is the
//! convention of interior-point codes and of the Hessian callback; in the linear part of this crate
//! $y = -\lambda$ and $d = z^\ell - z^u$.

#[cfg(feature = "nlp")]
use crate::error::BoundSide;
use crate::error::OptError;
use std::fmt;
use std::time::Duration;
use thiserror::Error;

/// Bounds of at least this magnitude count as infinite.
pub const NO_BOUND: f64 = 1e19;

/// The functions of a nonlinear program, twice continuously differentiable where they are defined.
///
/// A value outside the domain is NaN or infinite; a solver shortens its step there.
///
/// # Shapes
/// $n$ variables and $m$ constraints; slices have the length of what they hold: $n$, $m$, or the number of
/// entries of the pattern.
pub trait NonlinearProgram: Sync {
    /// $n$.
    fn variables(&self) -> usize;
    /// $m$.
    fn constraints(&self) -> usize;
    /// $(\ell, u)$, infinite where there is no bound.
    fn variable_bounds(&self) -> (Vec<f64>, Vec<f64>);
    /// $(\ell^r, u^r)$, infinite where there is no bound.
    fn constraint_bounds(&self) -> (Vec<f64>, Vec<f64>);
    /// $f(x)$.
    fn objective(&self, x: &[f64]) -> f64;
    /// $\nabla f(x)$, overwriting `into`.
    fn gradient(&self, x: &[f64], into: &mut [f64]);
    /// $g(x)$, overwriting `into`.
    fn evaluate(&self, x: &[f64], into: &mut [f64]);
    /// `(row, column)` of the entries of $J = \partial g / \partial x$; repeated positions add up.
    fn jacobian_pattern(&self) -> Vec<(usize, usize)>;
    /// $J(x)$ in the order of the pattern, overwriting `into`.
    fn jacobian(&self, x: &[f64], into: &mut [f64]);
    /// `(row, column)` with `row >= column` of the entries of the Hessian's lower triangle; repeated positions
    /// add up.
    fn hessian_pattern(&self) -> Vec<(usize, usize)>;
    /// $\sigma \nabla^2 f(x) + \sum_r \lambda_r \nabla^2 g_r(x)$ in the order of the pattern, overwriting `into`;
    /// $\sigma$ is `objective_factor`.
    fn hessian(&self, x: &[f64], objective_factor: f64, multipliers: &[f64], into: &mut [f64]);
    /// The point from which a solver starts.
    fn start(&self) -> Vec<f64>;
}

/// Limits, accuracy and the start of one solve.
#[derive(Clone, Debug, PartialEq)]
pub struct NlpSettings {
    /// Largest scaled optimality error of an [`NlpStatus::Optimal`] point.
    pub tolerance: f64,
    /// Largest scaled optimality error of an [`NlpStatus::Acceptable`] point.
    pub acceptable_tolerance: f64,
    /// Largest constraint violation, in the units of the program.
    pub feasibility_tolerance: f64,
    /// Largest number of iterations, those of restoration included.
    pub max_iterations: usize,
    /// Largest wall time of one call, if limited.
    pub time_limit: Option<Duration>,
    /// Replaces the start of the program; ignored under a warm start.
    pub start: Option<Vec<f64>>,
    /// Point and multipliers to start from.
    pub warm: Option<Warm>,
}

impl Default for NlpSettings {
    fn default() -> Self {
        Self {
            tolerance: 1e-8,
            acceptable_tolerance: 1e-6,
            feasibility_tolerance: 1e-6,
            max_iterations: 1000,
            time_limit: None,
            start: None,
            warm: None,
        }
    }
}

/// Where a solve of a neighbouring program ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Warm {
    /// $x$.
    pub point: Vec<f64>,
    /// $\lambda$, one per constraint.
    pub constraint_multipliers: Vec<f64>,
    /// $z^\ell$, one per variable.
    pub lower_multipliers: Vec<f64>,
    /// $z^u$, one per variable.
    pub upper_multipliers: Vec<f64>,
    /// First barrier parameter.
    pub barrier: f64,
    /// Least distance of the first point from its bounds, absolute and relative.
    pub push: f64,
}

impl Warm {
    /// Bound multipliers of a warm start are clipped to this range.
    pub const MULTIPLIER_RANGE: (f64, f64) = (1e-8, 1e4);

    /// A warm start from the end of a solve, with barrier parameter $10^{-4}$ and push $10^{-6}$.
    pub fn from_report(report: &NlpReport) -> Self {
        Self {
            point: report.point.clone(),
            constraint_multipliers: report.constraint_multipliers.clone(),
            lower_multipliers: report.lower_multipliers.clone(),
            upper_multipliers: report.upper_multipliers.clone(),
            barrier: 1e-4,
            push: 1e-6,
        }
    }

    #[cfg(feature = "nlp")]
    pub(crate) fn clip(multiplier: f64) -> f64 {
        multiplier.clamp(Self::MULTIPLIER_RANGE.0, Self::MULTIPLIER_RANGE.1)
    }
}

/// Where a solve ended.
#[derive(Clone, Debug, PartialEq)]
pub struct NlpReport {
    /// How it ended.
    pub status: NlpStatus,
    /// The last point $x$; within its bounds.
    pub point: Vec<f64>,
    /// $f(x)$.
    pub value: f64,
    /// $\lambda$, one per constraint.
    pub constraint_multipliers: Vec<f64>,
    /// $z^\ell$, one per variable.
    pub lower_multipliers: Vec<f64>,
    /// $z^u$, one per variable.
    pub upper_multipliers: Vec<f64>,
    /// Iterations, those inside restoration included.
    pub iterations: usize,
    /// How many times the method left the line search for feasibility restoration.
    pub restorations: usize,
    /// Largest violation of a constraint or bound at $x$, in the units of the program.
    pub violation: f64,
    /// Wall time of the call.
    pub seconds: f64,
}

/// How a solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NlpStatus {
    /// A stationary point to the tolerance.
    Optimal,
    /// A stationary point to the acceptable tolerance only.
    Acceptable,
    /// A stationary point of the violation, not feasible.
    LocallyInfeasible,
    /// The limit on iterations was reached.
    IterationLimit,
    /// The limit on time was reached.
    TimeLimit,
    /// Restoration found no point that the filter accepts.
    RestorationFailed,
    /// The iterates grow without limit.
    Unbounded,
    /// The method stopped without an answer.
    NumericalTrouble(NumericalTrouble),
}

impl NlpStatus {
    /// Whether the point is stationary and feasible, to the tolerance or the acceptable one.
    pub fn is_solved(self) -> bool {
        matches!(self, NlpStatus::Optimal | NlpStatus::Acceptable)
    }
}

/// Why a method stopped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NumericalTrouble {
    /// The linear system of a step could not be solved.
    StepComputation,
    /// The steps became too small to count.
    SmallStep,
    /// More equations than variables that are free.
    TooFewDegreesOfFreedom,
}

/// One function of a nonlinear program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NlpFunction {
    /// $f$.
    Objective,
    /// $\nabla f$.
    Gradient,
    /// $g$.
    Constraints,
    /// $J$.
    Jacobian,
    /// The Hessian of the Lagrangian.
    Hessian,
}

/// One vector of a nonlinear program or of a warm start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NlpVector {
    /// $\ell$.
    LowerBounds,
    /// $u$.
    UpperBounds,
    /// $\ell^r$.
    ConstraintLowerBounds,
    /// $u^r$.
    ConstraintUpperBounds,
    /// The start.
    Start,
    /// $\lambda$.
    ConstraintMultipliers,
    /// $z^\ell$.
    LowerMultipliers,
    /// $z^u$.
    UpperMultipliers,
}

impl fmt::Display for NlpFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NlpFunction::Objective => "objective",
            NlpFunction::Gradient => "gradient",
            NlpFunction::Constraints => "constraints",
            NlpFunction::Jacobian => "Jacobian",
            NlpFunction::Hessian => "Hessian",
        })
    }
}

impl fmt::Display for NlpVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NlpVector::LowerBounds => "lower bounds",
            NlpVector::UpperBounds => "upper bounds",
            NlpVector::ConstraintLowerBounds => "lower bounds of the constraints",
            NlpVector::ConstraintUpperBounds => "upper bounds of the constraints",
            NlpVector::Start => "start",
            NlpVector::ConstraintMultipliers => "multipliers of the constraints",
            NlpVector::LowerMultipliers => "multipliers of the lower bounds",
            NlpVector::UpperMultipliers => "multipliers of the upper bounds",
        })
    }
}

/// Why a nonlinear program could not be solved as posed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum NonlinearFault {
    /// There is nothing to choose.
    #[error("the program has no variables")]
    NoVariables,
    /// A vector has the wrong length.
    #[error("{vector}: {found} entries, expected {expected}")]
    Length {
        /// The vector.
        vector: NlpVector,
        /// Entries that the program's dimensions call for.
        expected: usize,
        /// Entries found.
        found: usize,
    },
    /// An entry is NaN, or infinite where it may not be.
    #[error("{vector}: entry {index} is {value}")]
    Entry {
        /// The vector.
        vector: NlpVector,
        /// The entry.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// A lower bound of a variable exceeds its upper bound.
    #[error("variable {variable} has lower bound {lower} above upper bound {upper}")]
    CrossedVariable {
        /// The variable.
        variable: usize,
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// A lower bound of a constraint exceeds its upper bound.
    #[error("constraint {constraint} has lower bound {lower} above upper bound {upper}")]
    CrossedConstraint {
        /// The constraint.
        constraint: usize,
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// A pattern names a position outside its matrix, or above the diagonal of a Hessian.
    #[error("{function}: entry {index} of the pattern is ({row}, {column}), outside its matrix or triangle")]
    Pattern {
        /// The matrix.
        function: NlpFunction,
        /// The entry of the pattern.
        index: usize,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// A function is not finite at a point from which the method cannot retreat.
    #[error("{function}: entry {index} is {value} at a point from which the method cannot retreat")]
    NotFinite {
        /// The function.
        function: NlpFunction,
        /// The entry, in the order of the pattern for matrices.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// The barrier parameter or push of a warm start is not a positive number.
    #[error("the {side} of the warm start is {value}, expected a positive number")]
    WarmParameter {
        /// `barrier` or `push`.
        side: WarmParameter,
        /// Its value.
        value: f64,
    },
    /// A complementarity pair names a variable that does not exist, or one variable twice.
    #[error("complementarity pair {pair} is ({left}, {right}), but there are {variables} variables")]
    Pair {
        /// The pair.
        pair: usize,
        /// Its first variable.
        left: usize,
        /// Its second variable.
        right: usize,
        /// Number of variables.
        variables: usize,
    },
    /// The relaxation or penalty parameters are not a schedule.
    #[error("entry {index} of the schedule is {value}, expected a finite number of at least zero")]
    Schedule {
        /// The entry.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// A schedule without entries.
    #[error("the schedule is empty")]
    EmptySchedule,
    /// The solver refused the program for a reason that the checks above do not know.
    #[error("the solver refused the program (return code {code})")]
    Refused {
        /// The return code of the Ipopt family.
        code: i32,
    },
}

/// One parameter of a warm start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmParameter {
    /// The first barrier parameter.
    Barrier,
    /// The distance from the bounds.
    Push,
}

impl fmt::Display for WarmParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WarmParameter::Barrier => "barrier parameter",
            WarmParameter::Push => "push",
        })
    }
}

/// A method that solves nonlinear programs to local optimality.
pub trait NlpSolver {
    /// Solves a nonlinear program.
    ///
    /// # Errors
    /// Data that is no nonlinear program, or functions that are not finite where they must be: see
    /// [`NonlinearFault`]. Not finding a solution is an outcome.
    fn solve(&self, program: &dyn NonlinearProgram, settings: &NlpSettings) -> Result<NlpReport, OptError>;
}

/// The data of a program that do not depend on the point, checked.
#[cfg(feature = "nlp")]
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
    pub row_lower: Vec<f64>,
    pub row_upper: Vec<f64>,
    pub start: Vec<f64>,
    pub jacobian: Vec<(usize, usize)>,
    pub hessian: Vec<(usize, usize)>,
}

#[cfg(feature = "nlp")]
impl Frame {
    pub fn new(program: &dyn NonlinearProgram, settings: &NlpSettings) -> Result<Self, OptError> {
        let (n, m) = (program.variables(), program.constraints());
        if n == 0 {
            return Err(NonlinearFault::NoVariables.into());
        }
        for tolerance in [settings.tolerance, settings.acceptable_tolerance, settings.feasibility_tolerance] {
            if !(tolerance > 0.0 && tolerance < 1.0) {
                return Err(OptError::Tolerance { tolerance });
            }
        }
        let (lower, upper) = program.variable_bounds();
        let (row_lower, row_upper) = program.constraint_bounds();
        check_bounds(&lower, NlpVector::LowerBounds, n, BoundSide::Lower)?;
        check_bounds(&upper, NlpVector::UpperBounds, n, BoundSide::Upper)?;
        check_bounds(&row_lower, NlpVector::ConstraintLowerBounds, m, BoundSide::Lower)?;
        check_bounds(&row_upper, NlpVector::ConstraintUpperBounds, m, BoundSide::Upper)?;
        if let Some(variable) = (0..n).find(|&j| lower[j] > upper[j]) {
            let (lower, upper) = (lower[variable], upper[variable]);
            return Err(NonlinearFault::CrossedVariable { variable, lower, upper }.into());
        }
        if let Some(constraint) = (0..m).find(|&r| row_lower[r] > row_upper[r]) {
            let (lower, upper) = (row_lower[constraint], row_upper[constraint]);
            return Err(NonlinearFault::CrossedConstraint { constraint, lower, upper }.into());
        }
        let start = match (&settings.warm, &settings.start) {
            (Some(warm), _) => {
                check_finite(&warm.constraint_multipliers, NlpVector::ConstraintMultipliers, m)?;
                check_finite(&warm.lower_multipliers, NlpVector::LowerMultipliers, n)?;
                check_finite(&warm.upper_multipliers, NlpVector::UpperMultipliers, n)?;
                for (side, value) in [(WarmParameter::Barrier, warm.barrier), (WarmParameter::Push, warm.push)] {
                    if !(value > 0.0 && value.is_finite()) {
                        return Err(NonlinearFault::WarmParameter { side, value }.into());
                    }
                }
                warm.point.clone()
            }
            (None, Some(start)) => start.clone(),
            (None, None) => program.start(),
        };
        check_finite(&start, NlpVector::Start, n)?;
        let jacobian = program.jacobian_pattern();
        check_pattern(&jacobian, NlpFunction::Jacobian, |row, column| row < m && column < n)?;
        let hessian = program.hessian_pattern();
        check_pattern(&hessian, NlpFunction::Hessian, |row, column| column <= row && row < n)?;
        Ok(Self { lower, upper, row_lower, row_upper, start, jacobian, hessian })
    }

    /// Largest violation of a bound or constraint, from the values of the constraints.
    pub fn violation(&self, point: &[f64], rows: &[f64]) -> f64 {
        let within = |value: f64, lower: f64, upper: f64| (lower - value).max(value - upper).max(0.0);
        let bounds = point.iter().zip(&self.lower).zip(&self.upper).map(|((x, l), u)| within(*x, *l, *u));
        let rows = rows.iter().zip(&self.row_lower).zip(&self.row_upper).map(|((g, l), u)| within(*g, *l, *u));
        bounds.chain(rows).fold(0.0, f64::max)
    }
}

#[cfg(feature = "nlp")]
fn check_length(values: &[f64], vector: NlpVector, expected: usize) -> Result<(), NonlinearFault> {
    if values.len() != expected {
        return Err(NonlinearFault::Length { vector, expected, found: values.len() });
    }
    Ok(())
}

#[cfg(feature = "nlp")]
fn check_bounds(values: &[f64], vector: NlpVector, expected: usize, side: BoundSide) -> Result<(), NonlinearFault> {
    check_length(values, vector, expected)?;
    let wrong = match side {
        BoundSide::Lower => f64::INFINITY,
        BoundSide::Upper => f64::NEG_INFINITY,
    };
    match values.iter().position(|v| v.is_nan() || *v == wrong) {
        Some(index) => Err(NonlinearFault::Entry { vector, index, value: values[index] }),
        None => Ok(()),
    }
}

#[cfg(feature = "nlp")]
fn check_finite(values: &[f64], vector: NlpVector, expected: usize) -> Result<(), NonlinearFault> {
    check_length(values, vector, expected)?;
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(NonlinearFault::Entry { vector, index, value: values[index] }),
        None => Ok(()),
    }
}

#[cfg(feature = "nlp")]
fn check_pattern(
    pattern: &[(usize, usize)],
    function: NlpFunction,
    inside: impl Fn(usize, usize) -> bool,
) -> Result<(), NonlinearFault> {
    match pattern.iter().position(|&(row, column)| !inside(row, column)) {
        Some(index) => {
            let (row, column) = pattern[index];
            Err(NonlinearFault::Pattern { function, index, row, column })
        }
        None => Ok(()),
    }
}
