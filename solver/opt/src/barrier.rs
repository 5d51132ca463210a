//! What the interior-point codes of the Ipopt family have in common.

use crate::error::OptError;
use crate::nonlinear::{
    Frame, NO_BOUND, NlpFunction, NlpReport, NlpSettings, NlpStatus, NonlinearFault, NonlinearProgram,
    NumericalTrouble, Warm,
};
use std::time::Instant;

/// The options of a solve by their names, which the codes share.
pub(crate) struct Options {
    pub numbers: Vec<(&'static str, f64)>,
    pub words: Vec<(&'static str, &'static str)>,
    pub integers: Vec<(&'static str, i32)>,
}

impl Options {
    pub fn new(settings: &NlpSettings) -> Self {
        let mut numbers = vec![
            ("tol", settings.tolerance),
            ("acceptable_tol", settings.acceptable_tolerance),
            ("constr_viol_tol", settings.feasibility_tolerance),
        ];
        let mut words = vec![("sb", "yes"), ("mu_strategy", "monotone")];
        if let Some(warm) = &settings.warm {
            words.push(("warm_start_init_point", "yes"));
            numbers.extend([
                ("mu_init", warm.barrier),
                ("warm_start_bound_push", warm.push),
                ("warm_start_bound_frac", warm.push.min(0.5)),
                ("warm_start_slack_bound_push", warm.push),
                ("warm_start_slack_bound_frac", warm.push.min(0.5)),
                ("warm_start_mult_bound_push", Warm::MULTIPLIER_RANGE.0),
            ]);
        }
        let limit = i32::try_from(settings.max_iterations).unwrap_or(i32::MAX);
        Self { numbers, words, integers: vec![("max_iter", limit), ("print_level", 0)] }
    }
}

/// The status that a return code stands for.
///
/// # Errors
/// The codes of a program that was not solved for a fault of its data.
pub(crate) fn status(code: i32, unusable: Option<NonlinearFault>) -> Result<NlpStatus, OptError> {
    Ok(match code {
        // A square system ends with a feasible point (6), which is all that is asked of it.
        0 | 6 => NlpStatus::Optimal,
        1 => NlpStatus::Acceptable,
        2 => NlpStatus::LocallyInfeasible,
        3 => NlpStatus::NumericalTrouble(NumericalTrouble::SmallStep),
        4 => NlpStatus::Unbounded,
        -1 => NlpStatus::IterationLimit,
        -2 => NlpStatus::RestorationFailed,
        -3 => NlpStatus::NumericalTrouble(NumericalTrouble::StepComputation),
        // Of CPU time and of wall time.
        -4 | -5 => NlpStatus::TimeLimit,
        -10 => NlpStatus::NumericalTrouble(NumericalTrouble::TooFewDegreesOfFreedom),
        -13 => return Err(unusable.unwrap_or(NonlinearFault::Refused { code }).into()),
        code => return Err(NonlinearFault::Refused { code }.into()),
    })
}

/// Bounds in the form of the codes, for which every large number means that there is no bound.
pub(crate) fn bounds(bounds: &[f64]) -> Vec<f64> {
    bounds.iter().map(|bound| bound.clamp(-2.0 * NO_BOUND, 2.0 * NO_BOUND)).collect()
}

/// A pattern in which no position is repeated.
///
/// A factorisation adds repeated positions up in an order of its own, which changes from one call to the next.
pub(crate) struct Merged {
    pub positions: Vec<(usize, usize)>,
    /// The position of each entry of the program's pattern.
    place: Vec<usize>,
    /// The program's entries.
    entries: Vec<f64>,
}

impl Merged {
    fn new(pattern: &[(usize, usize)]) -> Self {
        let mut positions = pattern.to_vec();
        positions.sort_unstable();
        positions.dedup();
        let place = pattern.iter().map(|position| positions.partition_point(|known| known < position)).collect();
        Self { positions, place, entries: vec![0.0; pattern.len()] }
    }

    fn write(&self, into: &mut [f64]) {
        into.fill(0.0);
        for (place, entry) in self.place.iter().zip(&self.entries) {
            into[*place] += entry;
        }
    }
}

/// The functions of a program as a code calls them: every call tells whether all values are finite.
pub(crate) struct Evaluation {
    pub jacobian: Merged,
    pub hessian: Merged,
    /// The last function value that was not finite.
    pub unusable: Option<NonlinearFault>,
}

impl Evaluation {
    pub fn new(frame: &Frame) -> Self {
        Self { jacobian: Merged::new(&frame.jacobian), hessian: Merged::new(&frame.hessian), unusable: None }
    }

    pub fn objective(&mut self, program: &dyn NonlinearProgram, x: &[f64]) -> Option<f64> {
        let value = program.objective(x);
        self.usable(NlpFunction::Objective, &[value]).then_some(value)
    }

    pub fn gradient(&mut self, program: &dyn NonlinearProgram, x: &[f64], into: &mut [f64]) -> bool {
        program.gradient(x, into);
        self.usable(NlpFunction::Gradient, into)
    }

    pub fn constraints(&mut self, program: &dyn NonlinearProgram, x: &[f64], into: &mut [f64]) -> bool {
        program.evaluate(x, into);
        self.usable(NlpFunction::Constraints, into)
    }

    pub fn jacobian(&mut self, program: &dyn NonlinearProgram, x: &[f64], into: &mut [f64]) -> bool {
        program.jacobian(x, &mut self.jacobian.entries);
        self.jacobian.write(into);
        self.usable(NlpFunction::Jacobian, into)
    }

    pub fn hessian(
        &mut self,
        program: &dyn NonlinearProgram,
        x: &[f64],
        objective_factor: f64,
        multipliers: &[f64],
        into: &mut [f64],
    ) -> bool {
        program.hessian(x, objective_factor, multipliers, &mut self.hessian.entries);
        self.hessian.write(into);
        self.usable(NlpFunction::Hessian, into)
    }

    fn usable(&mut self, function: NlpFunction, values: &[f64]) -> bool {
        match values.iter().position(|v| !v.is_finite()) {
            Some(index) => {
                self.unusable = Some(NonlinearFault::NotFinite { function, index, value: values[index] });
                false
            }
            None => true,
        }
    }
}

/// The last iterate.
pub(crate) struct End {
    pub point: Vec<f64>,
    pub constraint_multipliers: Vec<f64>,
    pub lower_multipliers: Vec<f64>,
    pub upper_multipliers: Vec<f64>,
}

impl End {
    pub fn at_start(frame: &Frame) -> Self {
        let (variables, constraints) = (frame.lower.len(), frame.row_lower.len());
        Self {
            point: frame.start.clone(),
            constraint_multipliers: vec![0.0; constraints],
            lower_multipliers: vec![0.0; variables],
            upper_multipliers: vec![0.0; variables],
        }
    }

    /// The report of a solve that ended here.
    ///
    /// # Errors
    /// A function is not finite here.
    pub fn report(
        self,
        program: &dyn NonlinearProgram,
        frame: &Frame,
        status: NlpStatus,
        counts: Counts,
    ) -> Result<NlpReport, OptError> {
        // The codes may step out of the bounds by a rounding.
        let point: Vec<f64> =
            self.point.iter().zip(&frame.lower).zip(&frame.upper).map(|((x, l), u)| x.clamp(*l, *u)).collect();
        let value = program.objective(&point);
        let mut rows = vec![0.0; frame.row_lower.len()];
        program.evaluate(&point, &mut rows);
        let mut evaluation = Evaluation::new(frame);
        let _ =
            evaluation.usable(NlpFunction::Constraints, &rows) && evaluation.usable(NlpFunction::Objective, &[value]);
        if let Some(fault) = evaluation.unusable {
            return Err(fault.into());
        }
        Ok(NlpReport {
            status,
            value,
            violation: frame.violation(&point, &rows),
            point,
            constraint_multipliers: self.constraint_multipliers,
            lower_multipliers: self.lower_multipliers,
            upper_multipliers: self.upper_multipliers,
            iterations: counts.iterations,
            restorations: counts.restorations,
            seconds: counts.began.elapsed().as_secs_f64(),
        })
    }
}

/// What a solve cost.
pub(crate) struct Counts {
    pub iterations: usize,
    pub restorations: usize,
    pub began: Instant,
}
