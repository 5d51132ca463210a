//! Every back end against published answers.
//!
//! A back end joins with a call of [`conform`]. A problem that it does not solve is listed there with the reason; the
//! test fails as well when a listed problem is solved.

mod files;
mod problems;

use problems::{Expected, Problem};
use secateur_opt::{LpOutcome, LpSettings, LpSolver, MpsModel};

/// Published values have ten digits; the methods' tolerance is 1e-8 relative to the data.
const TOLERANCE: f64 = 1e-6;

/// Answers for a problem: the value of the file's objective where there is an optimum.
type BackEnd = dyn Fn(&MpsModel) -> Result<Expected, String>;

/// Why a back end does not solve a problem.
struct Failure {
    file: &'static str,
    /// The start of what it answers, or `None` if it is not asked because it takes too long.
    answer: Option<&'static str>,
    reason: &'static str,
}

/// Runs a back end through the problems it is for.
fn conform(back_end: &BackEnd, applies: impl Fn(&MpsModel) -> bool, failures: &[Failure]) {
    let problems = problems::linear();
    let mut faults = Vec::new();
    let mut solved = 0;
    for Problem { file, expected, model } in &problems {
        let Some(model) = model else { continue };
        if !applies(model) {
            continue;
        }
        let failure = failures.iter().find(|failure| failure.file == file);
        if let Some(Failure { answer: None, reason, .. }) = failure {
            println!("{file}: not run: {reason}");
            continue;
        }
        let result = match back_end(model) {
            Ok(found) if agree(found, *expected) => Ok(()),
            Ok(found) => Err(format!("{found:?}, expected {expected:?}")),
            Err(answer) => Err(answer),
        };
        match (result, failure) {
            (Ok(()), None) => solved += 1,
            (Ok(()), Some(_)) => faults.push(format!("{file} is solved, but listed as a failure")),
            (Err(answer), Some(Failure { answer: Some(listed), reason, .. })) if answer.starts_with(listed) => {
                println!("{file}: {answer}: {reason}");
            }
            (Err(answer), _) => faults.push(format!("{file}: {answer}")),
        }
    }
    println!("{solved} solved");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let unknown = failures.iter().find(|failure| !problems.iter().any(|problem| problem.file == failure.file));
    assert!(unknown.is_none(), "a failure is listed for no problem: {}", unknown.map_or("", |failure| failure.file));
}

fn agree(found: Expected, expected: Expected) -> bool {
    match (found, expected) {
        (Expected::Optimal(found), Expected::Optimal(value)) => {
            (found - value).abs() <= TOLERANCE * value.abs().max(1.0)
        }
        (Expected::Optimal(_), Expected::Proved) => true,
        _ => found == expected,
    }
}

/// Solves a linear program and checks what the method offers as proof.
fn prove(solver: &dyn LpSolver, model: &MpsModel) -> Result<Expected, String> {
    let program = &model.program;
    match solver.solve(program, &LpSettings::default()).map_err(|error| error.to_string())? {
        LpOutcome::Optimal { point, value, row_duals, column_duals } => {
            let size = |values: &[f64]| values.iter().fold(1.0, |size: f64, v| size.max(v.abs()));
            let violation = program.violation(&point);
            if violation > TOLERANCE * size(&point) {
                return Err(format!("infeasible by {violation:e}"));
            }
            let residual = program.column_residual(&program.objective, &row_duals);
            let off = residual.iter().zip(&column_duals).fold(0.0, |off: f64, (r, d)| off.max((r - d).abs()));
            if off > TOLERANCE * size(&program.objective) {
                return Err(format!("multipliers off by {off:e}"));
            }
            let dual = program.dual_value(&row_duals, &column_duals);
            let proved = (value - dual).abs() <= TOLERANCE * value.abs().max(1.0);
            if !proved {
                return Err(format!("multipliers prove {dual}, the value is {value}"));
            }
            Ok(Expected::Optimal(model.objective_value(value)))
        }
        LpOutcome::Infeasible(refutation) if refutation.gap(program) > 0.0 => Ok(Expected::Infeasible),
        LpOutcome::Infeasible(refutation) => Err(format!("refuted by {}", refutation.gap(program))),
        LpOutcome::Unbounded => Ok(Expected::Unbounded),
        LpOutcome::Stalled(reason) => Err(format!("stalled: {reason:?}")),
    }
}

fn is_linear(model: &MpsModel) -> bool {
    model.integer_columns.is_empty() && model.quadratic.is_empty()
}

#[test]
fn interior_point() {
    conform(&|model| prove(&secateur_opt::InteriorPoint, model), is_linear, &[]);
}

#[cfg(feature = "highs")]
#[test]
fn simplex() {
    conform(&|model| prove(&secateur_opt::Simplex, model), is_linear, &[]);
}

#[cfg(feature = "mip")]
mod mixed {
    use super::*;
    use secateur_opt::{MicroLp, MipOutcome, MipSettings, MipSolver, MixedIntegerProgram};

    /// Solves a mixed-integer program to a gap below the tolerance and checks the point.
    fn search(solver: &dyn MipSolver, model: &MpsModel) -> Result<Expected, String> {
        let program =
            MixedIntegerProgram { linear: model.program.clone(), integer_columns: model.integer_columns.clone() };
        let settings = MipSettings { relative_gap: 1e-9, absolute_gap: 1e-9, ..MipSettings::default() };
        match solver.solve(&program, &settings).map_err(|error| error.to_string())?.outcome {
            MipOutcome::Optimal { incumbent, bound } => {
                let violation = program.violation(&incumbent.point);
                let size = incumbent.point.iter().fold(1.0, |size: f64, v| size.max(v.abs()));
                if violation > 2.0 * TOLERANCE * size {
                    return Err(format!("infeasible by {violation:e}"));
                }
                if bound.is_some_and(|bound| bound > incumbent.value + TOLERANCE * incumbent.value.abs().max(1.0)) {
                    return Err(format!("the bound {bound:?} exceeds the value {}", incumbent.value));
                }
                Ok(Expected::Optimal(model.objective_value(incumbent.value)))
            }
            MipOutcome::Infeasible => Ok(Expected::Infeasible),
            MipOutcome::Unbounded => Ok(Expected::Unbounded),
            other => Err(format!("{other:?}")),
        }
    }

    fn is_mixed(model: &MpsModel) -> bool {
        model.quadratic.is_empty()
    }

    #[cfg(feature = "highs")]
    #[test]
    fn highs() {
        conform(&|model| search(&secateur_opt::HighsMip, model), is_mixed, &[]);
    }

    #[test]
    fn microlp() {
        let no_answer = "branch and bound without cutting planes finds no point in seconds";
        let failures =
            ["bell5.mps", "egout.mps", "p0548.mps"].map(|file| Failure { file, answer: None, reason: no_answer });
        conform(&|model| search(&MicroLp, model), is_mixed, &failures);
    }
}
