//! The back end HiGHS.

use super::{Incumbent, MipOutcome, MipReport, MipSettings, MipSolver, MixedIntegerProgram};
use crate::error::OptError;
use crate::highs::{Highs, ModelStatus, OptionValue};
use crate::outcome::StallReason;

/// Branch and cut by HiGHS.
///
/// # Source
/// <https://highs.dev>
#[derive(Clone, Copy, Debug, Default)]
pub struct HighsMip;

impl MipSolver for HighsMip {
    fn solve(&self, program: &MixedIntegerProgram, settings: &MipSettings) -> Result<MipReport, OptError> {
        program.check()?;
        settings.check()?;
        if let Some(report) = program.settled() {
            return Ok(report);
        }
        let mut highs = Highs::new(&program.linear, &program.integer_columns, settings.threads)?;
        highs.set(c"mip_rel_gap", OptionValue::Double(settings.relative_gap))?;
        highs.set(c"mip_abs_gap", OptionValue::Double(settings.absolute_gap))?;
        highs.set_time_limit(settings.time_limit)?;

        let outcome = match highs.run()? {
            ModelStatus::Optimal => {
                MipOutcome::Optimal { incumbent: incumbent(&highs, program)?, bound: bound(&highs, program)? }
            }
            ModelStatus::Infeasible => MipOutcome::Infeasible,
            // A direction of descent exists. With data that are rational numbers, as floating-point numbers are, the
            // program is unbounded if it has a feasible point.
            ModelStatus::Unbounded | ModelStatus::UnboundedOrInfeasible => {
                let columns: Vec<usize> = (0..program.linear.columns()).collect();
                highs.change_costs(&columns, &vec![0.0; columns.len()])?;
                match highs.run()? {
                    ModelStatus::Optimal => MipOutcome::Unbounded,
                    ModelStatus::Infeasible => MipOutcome::Infeasible,
                    ModelStatus::Stopped(reason) => MipOutcome::Stalled(reason),
                    ModelStatus::Unbounded | ModelStatus::UnboundedOrInfeasible => {
                        MipOutcome::Stalled(StallReason::Numerics)
                    }
                }
            }
            ModelStatus::Stopped(reason @ (StallReason::Time | StallReason::Iterations | StallReason::Memory)) => {
                let found = highs.has_feasible_point()?;
                let incumbent = if found { Some(incumbent(&highs, program)?) } else { None };
                MipOutcome::Limit { reason, incumbent, bound: bound(&highs, program)? }
            }
            ModelStatus::Stopped(reason) => MipOutcome::Stalled(reason),
        };
        // Negative where no tree was searched.
        let nodes = u64::try_from(highs.long_info(c"mip_node_count")?).ok();
        Ok(MipReport { outcome, nodes })
    }
}

fn incumbent(highs: &Highs, program: &MixedIntegerProgram) -> Result<Incumbent, OptError> {
    let point = highs.values()?.point;
    Ok(Incumbent { value: program.linear.value(&point), point })
}

/// The dual bound, which HiGHS sets only where there are integer columns.
fn bound(highs: &Highs, program: &MixedIntegerProgram) -> Result<Option<f64>, OptError> {
    if program.integer_columns.is_empty() {
        return Ok(None);
    }
    Ok(Some(highs.double_info(c"mip_dual_bound")?).filter(|bound| bound.is_finite()))
}
