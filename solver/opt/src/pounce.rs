//! The default back end of nonlinear programs.
//!
//! POUNCE is a port of Ipopt: a primal-dual interior-point method with a filter line search and feasibility
//! restoration. One solve is one run of the method: its automatic second attempts are switched off, so that the
//! counts of a report belong to the point that it holds.

use crate::barrier::{Counts, End, Evaluation, Options, bounds, status};
use crate::error::OptError;
use crate::nonlinear::{Frame, NlpReport, NlpSettings, NlpSolver, NonlinearFault, NonlinearProgram, Warm};
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
            evaluation: Evaluation::new(&frame),
            frame: frame.clone(),
            warm: settings.warm.clone(),
            end: None,
        }));
        let code = {
            let _lent = lend(&callbacks, program);
            application.optimize_tnlp(Rc::clone(&callbacks) as Rc<RefCell<dyn TNLP>>)
        };
        let statistics = application.statistics();
        let mut callbacks = callbacks.borrow_mut();
        let status = status(code as i32, callbacks.evaluation.unusable.take())?;
        let end = callbacks.end.take().unwrap_or_else(|| End::at_start(&frame));
        let counts = Counts {
            iterations: usize::try_from(statistics.iteration_count).unwrap_or(0),
            restorations: usize::try_from(statistics.restoration_calls).unwrap_or(0),
            began,
        };
        end.report(program, &frame, status, counts)
    }
}

/// An application with every option set; its default options are those of Ipopt.
fn configured(settings: &NlpSettings) -> Result<IpoptApplication, OptError> {
    let mut application = IpoptApplication::new();
    let refused = |_| OptError::from(NonlinearFault::Refused { code: ApplicationReturnStatus::InvalidOption as i32 });
    application.initialize().map_err(refused)?;
    let mut set = Options::new(settings);
    set.words.extend([("mu_strategy_fallback", "no"), ("dual_divergence_retry", "no")]);
    if let Some(limit) = settings.time_limit {
        set.numbers.push(("max_wall_time", limit.as_secs_f64().max(f64::MIN_POSITIVE)));
    }
    let options = application.options_mut();
    for (name, value) in set.numbers {
        options.set_numeric_value(name, value, true, true).map_err(refused)?;
    }
    for (name, value) in set.words {
        options.set_string_value(name, value, true, true).map_err(refused)?;
    }
    for (name, value) in set.integers {
        options.set_integer_value(name, value, true, true).map_err(refused)?;
    }

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

/// The program as the application sees it.
struct Callbacks {
    /// Present while the program is lent.
    program: Option<&'static dyn NonlinearProgram>,
    evaluation: Evaluation,
    frame: Frame,
    warm: Option<Warm>,
    end: Option<End>,
}

/// Takes the program back when dropped.
struct Lent<'a>(&'a RefCell<Callbacks>);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // Callbacks end before the application returns or unwinds past them, so nobody holds the borrow; if somebody
        // did, the program could be used after it is gone.
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
    // SAFETY: the reference lives in `Callbacks::program` only, which is private to this file and never copied out
    // of a callback; the guard, whose lifetime is within the program's and which the caller does not leak, empties
    // the field before the program can go, on unwinding too. A copy of the `Rc` that the application may keep then
    // finds the field empty.
    let program: &'static dyn NonlinearProgram =
        unsafe { std::mem::transmute::<&'a dyn NonlinearProgram, &'static dyn NonlinearProgram>(program) };
    callbacks.borrow_mut().program = Some(program);
    Lent(callbacks)
}

fn write_pattern(positions: &[(usize, usize)], irow: &mut [i32], jcol: &mut [i32]) {
    for ((&(row, column), i), j) in positions.iter().zip(irow).zip(jcol) {
        (*i, *j) = (row as i32, column as i32);
    }
}

impl TNLP for Callbacks {
    fn get_nlp_info(&mut self) -> Option<NlpInfo> {
        Some(NlpInfo {
            n: i32::try_from(self.frame.lower.len()).ok()?,
            m: i32::try_from(self.frame.row_lower.len()).ok()?,
            nnz_jac_g: i32::try_from(self.evaluation.jacobian.positions.len()).ok()?,
            nnz_h_lag: i32::try_from(self.evaluation.hessian.positions.len()).ok()?,
            index_style: IndexStyle::C,
        })
    }

    fn get_bounds_info(&mut self, into: BoundsInfo<'_>) -> bool {
        into.x_l.copy_from_slice(&bounds(&self.frame.lower));
        into.x_u.copy_from_slice(&bounds(&self.frame.upper));
        into.g_l.copy_from_slice(&bounds(&self.frame.row_lower));
        into.g_u.copy_from_slice(&bounds(&self.frame.row_upper));
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
        self.evaluation.objective(self.program?, x)
    }

    fn eval_grad_f(&mut self, x: &[f64], _: bool, into: &mut [f64]) -> bool {
        self.program.is_some_and(|program| self.evaluation.gradient(program, x, into))
    }

    fn eval_g(&mut self, x: &[f64], _: bool, into: &mut [f64]) -> bool {
        self.program.is_some_and(|program| self.evaluation.constraints(program, x, into))
    }

    fn eval_jac_g(&mut self, x: Option<&[f64]>, _: bool, mode: SparsityRequest<'_>) -> bool {
        match (mode, self.program.zip(x)) {
            (SparsityRequest::Structure { irow, jcol }, _) => {
                write_pattern(&self.evaluation.jacobian.positions, irow, jcol);
                true
            }
            (SparsityRequest::Values { values }, Some((program, x))) => self.evaluation.jacobian(program, x, values),
            (SparsityRequest::Values { .. }, None) => false,
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
        match (mode, self.program.zip(x).zip(multipliers)) {
            (SparsityRequest::Structure { irow, jcol }, _) => {
                write_pattern(&self.evaluation.hessian.positions, irow, jcol);
                true
            }
            (SparsityRequest::Values { values }, Some(((program, x), multipliers))) => {
                self.evaluation.hessian(program, x, objective_factor, multipliers, values)
            }
            (SparsityRequest::Values { .. }, None) => false,
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
