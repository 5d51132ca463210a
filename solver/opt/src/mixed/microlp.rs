//! The back end microlp, in Rust, through good_lp.

use super::{Incumbent, MipOutcome, MipReport, MipSettings, MipSolver, MixedIntegerProgram};
use crate::error::{BoundSide, OptError};
use crate::outcome::StallReason;
use crate::program::INFINITE_BOUND;
use good_lp::solvers::SolutionStatus;
use good_lp::solvers::microlp::microlp;
use good_lp::{
    Expression, ProblemVariables, ResolutionError, Solution, SolverModel, WithMipGap, WithTimeLimit, variable,
};

/// Branch and bound by microlp, without threads; for small programs.
///
/// Integer columns need bounds within 32-bit integers.
///
/// # Source
/// <https://docs.rs/microlp>
#[derive(Clone, Copy, Debug, Default)]
pub struct MicroLp;

impl MipSolver for MicroLp {
    fn solve(&self, program: &MixedIntegerProgram, settings: &MipSettings) -> Result<MipReport, OptError> {
        program.check()?;
        settings.check()?;
        if let Some(report) = program.settled() {
            return Ok(report);
        }
        check_integer_bounds(program)?;
        let outcome = match search(program, &program.linear.objective, settings)? {
            // A direction of descent exists; the program is unbounded if it has a feasible point.
            MipOutcome::Unbounded => match search(program, &vec![0.0; program.linear.columns()], settings)? {
                MipOutcome::Optimal { .. } => MipOutcome::Unbounded,
                MipOutcome::Limit { incumbent: Some(_), .. } => MipOutcome::Unbounded,
                MipOutcome::Limit { reason, .. } => MipOutcome::Stalled(reason),
                MipOutcome::Unbounded => MipOutcome::Stalled(StallReason::Numerics),
                outcome @ (MipOutcome::Infeasible | MipOutcome::Stalled(_)) => outcome,
            },
            outcome => outcome,
        };
        Ok(MipReport { outcome, nodes: None })
    }
}

fn check_integer_bounds(program: &MixedIntegerProgram) -> Result<(), OptError> {
    for &column in &program.integer_columns {
        let bounds =
            [(BoundSide::Lower, program.linear.lower[column]), (BoundSide::Upper, program.linear.upper[column])];
        for (side, value) in bounds {
            if value.abs() > f64::from(i32::MAX) {
                return Err(OptError::IntegerRange { column, side, value });
            }
        }
    }
    Ok(())
}

fn search(program: &MixedIntegerProgram, objective: &[f64], settings: &MipSettings) -> Result<MipOutcome, OptError> {
    let linear = &program.linear;
    let mut integer = vec![false; linear.columns()];
    program.integer_columns.iter().for_each(|&column| integer[column] = true);
    let mut variables = ProblemVariables::new();
    let columns: Vec<_> = (0..linear.columns())
        .map(|j| {
            let column = variable().min(infinite(linear.lower[j])).max(infinite(linear.upper[j]));
            variables.add(if integer[j] { column.integer() } else { column })
        })
        .collect();
    let sum = |entries: &mut dyn Iterator<Item = (usize, f64)>| {
        let mut sum = Expression::with_capacity(entries.size_hint().0);
        entries.for_each(|(column, value)| sum.add_mul(value, columns[column]));
        sum
    };
    let cost = sum(&mut objective.iter().copied().enumerate().filter(|(_, cost)| *cost != 0.0));
    let mut model = variables.minimise(cost).using(microlp);
    for row in &linear.rows {
        let activity = sum(&mut row.entries.iter().copied());
        if row.lower == row.upper {
            model.add_constraint(activity.eq(row.lower));
            continue;
        }
        if row.lower > -INFINITE_BOUND {
            model.add_constraint(activity.clone().geq(row.lower));
        }
        if row.upper < INFINITE_BOUND {
            model.add_constraint(activity.leq(row.upper));
        }
    }
    if let Some(limit) = settings.time_limit {
        model = model.with_time_limit(limit.as_secs_f64());
    }
    let model =
        model.with_mip_gap(settings.relative_gap as f32).map_err(|_| OptError::Gap { gap: settings.relative_gap })?;

    match model.solve() {
        Ok(solution) => {
            let point: Vec<f64> = columns.iter().map(|&column| solution.value(column)).collect();
            let incumbent = Incumbent { value: linear.value(&point), point };
            Ok(match solution.status() {
                SolutionStatus::Optimal | SolutionStatus::GapLimit => MipOutcome::Optimal { incumbent, bound: None },
                SolutionStatus::TimeLimit => {
                    MipOutcome::Limit { reason: StallReason::Time, incumbent: Some(incumbent), bound: None }
                }
            })
        }
        Err(ResolutionError::Infeasible) => Ok(MipOutcome::Infeasible),
        Err(ResolutionError::Unbounded) => Ok(MipOutcome::Unbounded),
        // The only such message of this back end: the time ran out before a feasible point was found.
        Err(ResolutionError::Other(_)) => {
            Ok(MipOutcome::Limit { reason: StallReason::Time, incumbent: None, bound: None })
        }
        Err(ResolutionError::Str(message)) => Err(OptError::MicroLp { message }),
    }
}

fn infinite(bound: f64) -> f64 {
    if bound.abs() >= INFINITE_BOUND { f64::INFINITY.copysign(bound) } else { bound }
}
