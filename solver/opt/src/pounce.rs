//! The default back end of nonlinear programs.
//!
//! POUNCE is a port of Ipopt: a primal-dual interior-point method with a filter line search and feasibility
//! restoration. One solve is one run of the method: its automatic second attempts are switched off, so that the
//! counts of a report belong to the point that it holds.

use crate::error::OptError;
use crate::nonlinear::{
    Frame, NO_BOUND, NlpFunction, NlpReport, NlpSettings, NlpSolver, NlpStatus, NonlinearFault, NonlinearProgram,
    NumericalTrouble, Warm,
};
use pounce_rs::pounce_algorithm::application::{Ma57Config, default_backend_factory, feral_config_from_options};
use pounce_rs::pounce_restoration::resto_alg_builder::RestoAlgorithmBuilder;
use pounce_rs::pounce_restoration::resto_inner_solver::{
    InnerBackendFactoryFactory, make_default_restoration_factory_provider,
};
use pounce_rs::{
    ApplicationReturnStatus, BoundsInfo, IndexStyle, IpoptApplication, IpoptCq, IpoptData, NlpInfo, Solution,
    SparsityRequest, StartingPoint, TNLP,
};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// A primal-dual interior-point method with exact Hessians, sequential and without output.
///
/// # Source
/// A. Wächter, L. T. Biegler, "On the implementation of an interior-point filter line-search algorithm for
/// large-scale nonlinear programming".
#[derive(Clone, Copy, Debug, Default)]
pub struct Pounce;

impl NlpSolver for Pounce {
    fn solve(&self, program: &dyn NonlinearProgram, settings: &NlpSettings) -> Result<NlpReport, OptError> {
        let began = Instant::now();
        let frame = Frame::new(program, settings)?;
        let mut application = configured(settings)?;
        let callbacks = Rc::new(RefCell::new(Callbacks {
            program: None,
            jacobian: Merged::new(&frame.jacobian),
            hessian: Merged::new(&frame.hessian),
            frame: frame.clone(),
            warm: settings.warm.clone(),
            unusable: None,
            end: None,
        }));
        let status = {
            let _lent = lend(&callbacks, program);
            application.optimize_tnlp(Rc::clone(&callbacks) as Rc<RefCell<dyn TNLP>>)
        };
        let statistics = application.statistics();
        let mut callbacks = callbacks.borrow_mut();
        let status = outcome(status, callbacks.unusable.take())?;
        let end = callbacks.end.take().unwrap_or_else(|| End::at_start(&frame));
        let point: Vec<f64> =
            end.point.iter().zip(&frame.lower).zip(&frame.upper).map(|((x, l), u)| x.clamp(*l, *u)).collect();
        Ok(NlpReport {
            status,
            value: program.objective(&point),
            violation: frame.violation(program, &point),
            point,
            constraint_multipliers: end.constraint_multipliers,
            lower_multipliers: end.lower_multipliers,
            upper_multipliers: end.upper_multipliers,
            iterations: usize::try_from(statistics.iteration_count).unwrap_or(0),
            restorations: usize::try_from(statistics.restoration_calls).unwrap_or(0),
            seconds: began.elapsed().as_secs_f64(),
        })
    }
}

/// An application with every option set; its default options are those of Ipopt.
fn configured(settings: &NlpSettings) -> Result<IpoptApplication, OptError> {
    let mut application = IpoptApplication::new();
    let refused = |_| OptError::from(NonlinearFault::Refused { code: ApplicationReturnStatus::InvalidOption as i32 });
    application.initialize().map_err(refused)?;
    let mut numbers = vec![
        ("tol", settings.tolerance),
        ("acceptable_tol", settings.acceptable_tolerance),
        ("constr_viol_tol", settings.feasibility_tolerance),
    ];
    let mut words = vec![
        ("sb", "yes"),
        ("mu_strategy", "monotone"),
        ("mu_strategy_fallback", "no"),
        ("dual_divergence_retry", "no"),
    ];
    if let Some(limit) = settings.time_limit {
        numbers.push(("max_wall_time", limit.as_secs_f64().max(f64::MIN_POSITIVE)));
    }
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
    let options = application.options_mut();
    for (name, value) in numbers {
        options.set_numeric_value(name, value, true, true).map_err(refused)?;
    }
    for (name, value) in words {
        options.set_string_value(name, value, true, true).map_err(refused)?;
    }
    let limit = i32::try_from(settings.max_iterations).unwrap_or(i32::MAX);
    options.set_integer_value("max_iter", limit, true, true).map_err(refused)?;
    options.set_integer_value("print_level", 0, true, true).map_err(refused)?;

    // Without this the method stops where restoration would begin.
    let linear_algebra = feral_config_from_options(application.options());
    let provider = make_default_restoration_factory_provider(
        RestoAlgorithmBuilder::new(),
        application.algorithm_builder_from_options(),
        move || -> InnerBackendFactoryFactory {
            let linear_algebra = linear_algebra.clone();
            Box::new(move || default_backend_factory(linear_algebra.clone(), Ma57Config::default()))
        },
    );
    application.set_restoration_factory_provider(provider);
    Ok(application)
}

fn outcome(status: ApplicationReturnStatus, unusable: Option<NonlinearFault>) -> Result<NlpStatus, OptError> {
    use ApplicationReturnStatus as Code;
    Ok(match status {
        // A square system ends with a feasible point, which is all that is asked of it.
        Code::SolveSucceeded | Code::FeasiblePointFound => NlpStatus::Optimal,
        Code::SolvedToAcceptableLevel => NlpStatus::Acceptable,
        Code::InfeasibleProblemDetected => NlpStatus::LocallyInfeasible,
        Code::MaximumIterationsExceeded => NlpStatus::IterationLimit,
        Code::MaximumCpuTimeExceeded | Code::MaximumWallTimeExceeded => NlpStatus::TimeLimit,
        Code::RestorationFailed => NlpStatus::RestorationFailed,
        Code::DivergingIterates => NlpStatus::Unbounded,
        Code::ErrorInStepComputation => NlpStatus::NumericalTrouble(NumericalTrouble::StepComputation),
        Code::SearchDirectionBecomesTooSmall => NlpStatus::NumericalTrouble(NumericalTrouble::SmallStep),
        Code::NotEnoughDegreesOfFreedom => NlpStatus::NumericalTrouble(NumericalTrouble::TooFewDegreesOfFreedom),
        Code::InvalidNumberDetected => {
            return Err(unusable.unwrap_or(NonlinearFault::Refused { code: status as i32 }).into());
        }
        Code::UserRequestedStop
        | Code::InvalidProblemDefinition
        | Code::InvalidOption
        | Code::UnrecoverableException
        | Code::NonIpoptExceptionThrown
        | Code::InsufficientMemory
        | Code::InternalError => return Err(NonlinearFault::Refused { code: status as i32 }.into()),
    })
}

/// The last iterate.
struct End {
    point: Vec<f64>,
    constraint_multipliers: Vec<f64>,
    lower_multipliers: Vec<f64>,
    upper_multipliers: Vec<f64>,
}

impl End {
    fn at_start(frame: &Frame) -> Self {
        let (variables, constraints) = (frame.lower.len(), frame.row_lower.len());
        Self {
            point: frame.start.clone(),
            constraint_multipliers: vec![0.0; constraints],
            lower_multipliers: vec![0.0; variables],
            upper_multipliers: vec![0.0; variables],
        }
    }
}

/// The program as the application sees it.
struct Callbacks {
    /// Present while the program is lent.
    program: Option<&'static dyn NonlinearProgram>,
    frame: Frame,
    jacobian: Merged,
    hessian: Merged,
    warm: Option<Warm>,
    /// The last function value that was not finite.
    unusable: Option<NonlinearFault>,
    end: Option<End>,
}

/// A pattern in which no position is repeated.
///
/// The factorisation adds repeated positions up in an order of its own, which changes from one call to the next.
struct Merged {
    positions: Vec<(usize, usize)>,
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

    fn write_pattern(&self, irow: &mut [i32], jcol: &mut [i32]) {
        for ((&(row, column), i), j) in self.positions.iter().zip(irow).zip(jcol) {
            (*i, *j) = (row as i32, column as i32);
        }
    }

    fn write_values(&self, into: &mut [f64]) {
        into.fill(0.0);
        for (place, entry) in self.place.iter().zip(&self.entries) {
            into[*place] += entry;
        }
    }
}

/// Takes the program back when dropped.
struct Lent<'a>(&'a RefCell<Callbacks>);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // The borrow is held only if a callback unwinds, and an unwinding callback is past its use of the program.
        match self.0.try_borrow_mut() {
            Ok(mut callbacks) => callbacks.program = None,
            Err(_) => std::process::abort(),
        }
    }
}

/// Lends a program to the callbacks until the guard is dropped.
///
/// The application holds its program in an `Rc<RefCell<dyn TNLP>>`, whose contents may not borrow.
#[allow(unsafe_code)]
fn lend<'a>(callbacks: &'a RefCell<Callbacks>, program: &'a dyn NonlinearProgram) -> Lent<'a> {
    // SAFETY: the reference lives in `Callbacks::program` only, which is private to this file and never copied
    // out of a callback; the guard, whose lifetime is within the program's, empties the field before the program
    // can go, on unwinding too. A copy of the `Rc` kept by the application then finds the field empty.
    let program: &'static dyn NonlinearProgram =
        unsafe { std::mem::transmute::<&'a dyn NonlinearProgram, &'static dyn NonlinearProgram>(program) };
    callbacks.borrow_mut().program = Some(program);
    Lent(callbacks)
}

impl Callbacks {
    /// Whether all values are finite; remembers the first that is not.
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

fn write_bounds(bounds: &[f64], into: &mut [f64]) {
    for (bound, into) in bounds.iter().zip(into) {
        *into = bound.clamp(-2.0 * NO_BOUND, 2.0 * NO_BOUND);
    }
}

impl TNLP for Callbacks {
    fn get_nlp_info(&mut self) -> Option<NlpInfo> {
        Some(NlpInfo {
            n: i32::try_from(self.frame.lower.len()).ok()?,
            m: i32::try_from(self.frame.row_lower.len()).ok()?,
            nnz_jac_g: i32::try_from(self.jacobian.positions.len()).ok()?,
            nnz_h_lag: i32::try_from(self.hessian.positions.len()).ok()?,
            index_style: IndexStyle::C,
        })
    }

    fn get_bounds_info(&mut self, bounds: BoundsInfo<'_>) -> bool {
        write_bounds(&self.frame.lower, bounds.x_l);
        write_bounds(&self.frame.upper, bounds.x_u);
        write_bounds(&self.frame.row_lower, bounds.g_l);
        write_bounds(&self.frame.row_upper, bounds.g_u);
        true
    }

    fn get_starting_point(&mut self, start: StartingPoint<'_>) -> bool {
        start.x.copy_from_slice(&self.frame.start);
        if let Some(warm) = &self.warm {
            start.lambda.copy_from_slice(&warm.constraint_multipliers);
            for (into, from) in [(start.z_l, &warm.lower_multipliers), (start.z_u, &warm.upper_multipliers)] {
                into.iter_mut().zip(from).for_each(|(into, from)| *into = Warm::clip(*from));
            }
        }
        true
    }

    fn eval_f(&mut self, x: &[f64], _: bool) -> Option<f64> {
        let value = self.program?.objective(x);
        self.usable(NlpFunction::Objective, &[value]).then_some(value)
    }

    fn eval_grad_f(&mut self, x: &[f64], _: bool, into: &mut [f64]) -> bool {
        let Some(program) = self.program else { return false };
        program.gradient(x, into);
        self.usable(NlpFunction::Gradient, into)
    }

    fn eval_g(&mut self, x: &[f64], _: bool, into: &mut [f64]) -> bool {
        let Some(program) = self.program else { return false };
        program.evaluate(x, into);
        self.usable(NlpFunction::Constraints, into)
    }

    fn eval_jac_g(&mut self, x: Option<&[f64]>, _: bool, mode: SparsityRequest<'_>) -> bool {
        match (mode, self.program, x) {
            (SparsityRequest::Structure { irow, jcol }, ..) => {
                self.jacobian.write_pattern(irow, jcol);
                true
            }
            (SparsityRequest::Values { values }, Some(program), Some(x)) => {
                program.jacobian(x, &mut self.jacobian.entries);
                self.jacobian.write_values(values);
                self.usable(NlpFunction::Jacobian, values)
            }
            (SparsityRequest::Values { .. }, ..) => false,
        }
    }

    fn eval_h(
        &mut self,
        x: Option<&[f64]>,
        _: bool,
        objective_factor: f64,
        multipliers: Option<&[f64]>,
        _: bool,
        mode: SparsityRequest<'_>,
    ) -> bool {
        match (mode, self.program, x) {
            (SparsityRequest::Structure { irow, jcol }, ..) => {
                self.hessian.write_pattern(irow, jcol);
                true
            }
            (SparsityRequest::Values { values }, Some(program), Some(x)) => {
                program.hessian(x, objective_factor, multipliers.unwrap_or(&[]), &mut self.hessian.entries);
                self.hessian.write_values(values);
                self.usable(NlpFunction::Hessian, values)
            }
            (SparsityRequest::Values { .. }, ..) => false,
        }
    }

    fn wants_intermediate_callback(&self) -> bool {
        false
    }

    fn finalize_solution(&mut self, solution: Solution<'_>, _: &IpoptData, _: &IpoptCq) {
        self.end = Some(End {
            point: solution.x.to_vec(),
            constraint_multipliers: solution.lambda.to_vec(),
            lower_multipliers: solution.z_l.to_vec(),
            upper_multipliers: solution.z_u.to_vec(),
        });
    }
}
