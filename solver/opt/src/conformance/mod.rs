//! Problems with known answers, for every solver of nonlinear programs.
//!
//! A solver joins with one line: `assert_eq!(check(&solver, &problems, listed), [])`, where `listed` names the
//! problems that it is known not to solve, each with its reason. A listed problem that passes is a finding, too.
//!
//! | problems | file |
//! |---|---|
//! | written out in this crate | `problems` |
//! | the MacMPEC collection and quadratic programs, from a directory | `collections` |

mod collections;
mod problems;
mod quadratic;

pub use collections::{CollectionFault, macmpec, quadratic_programs};
pub use problems::written_out;
pub use quadratic::{QuadraticFault, read_quadratic};

use crate::ampl::{AmplFault, ExpressionProgram};
use crate::complementarity::{Complementarity, Schedule, solve_complementarity};
use crate::error::OptError;
use crate::nonlinear::{NlpSettings, NlpSolver, NlpStatus, NonlinearProgram};
use std::fmt;

/// A problem and what is known of its solution.
#[derive(Debug)]
pub struct Problem {
    /// Its name, unique in its collection.
    pub name: String,
    /// The program, or why it could not be read.
    pub program: Result<Complementarity<ExpressionProgram>, Unread>,
    /// What is known.
    pub known: Known,
}

/// Why the program of a problem is not there.
#[derive(Clone, Debug, PartialEq)]
pub enum Unread {
    /// A file of the problem is not in the collection.
    NoFile(String),
    /// The reader refuses it.
    Ampl(AmplFault),
    /// The reader refuses it.
    Quadratic(QuadraticFault),
}

/// What is known of the solution of a problem.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    /// The best known value, in the sense of the program (a minimisation).
    Best(f64),
    /// Nothing.
    Nothing,
    /// That there is no feasible point.
    Infeasible,
}

/// How a solver did on a problem.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The best known value was found, or, where nothing is known, a stationary point.
    Passed,
    /// A better value than the best known was found.
    Better(f64),
    /// There is no feasible point, and none was claimed.
    Refused,
    /// It was not tried, since it has this number of variables.
    TooLarge(usize),
    /// Something else.
    Failed(Failure),
}

/// Why a problem counts as not solved.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The program could not be read.
    Unread(Unread),
    /// The solver reported a fault.
    Fault(String),
    /// The last solve ended without a stationary point.
    Status(NlpStatus),
    /// The point violates the constraints.
    Violation(f64),
    /// The point violates the complementarity conditions.
    Complementarity(f64),
    /// A stationary point that is worse than the best known.
    LocalOptimum {
        /// Its value.
        value: f64,
        /// The best known value.
        best: f64,
    },
    /// A point was found where there should be none.
    Feasible(f64),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unread(Unread::NoFile(file)) => write!(f, "{file} is not in the collection"),
            Failure::Unread(Unread::Ampl(fault)) => fault.fmt(f),
            Failure::Unread(Unread::Quadratic(fault)) => fault.fmt(f),
            Failure::Fault(fault) => f.write_str(fault),
            Failure::Status(status) => write!(f, "ended with {status:?}"),
            Failure::Violation(violation) => write!(f, "constraints violated by {violation:.1e}"),
            Failure::Complementarity(residual) => write!(f, "complementarity violated by {residual:.1e}"),
            Failure::LocalOptimum { value, best } => write!(f, "local optimum {value} vs. best known {best}"),
            Failure::Feasible(value) => write!(f, "a feasible point of value {value} where there should be none"),
        }
    }
}

/// What counts as solved.
#[derive(Clone, Debug)]
pub struct Criteria {
    /// The reformulations of complementarity.
    pub schedule: Schedule,
    /// The settings of each solve.
    pub settings: NlpSettings,
    /// Problems with more variables are not tried.
    pub largest: usize,
    /// Largest difference $|v - v^*| / \max(1, |v^*|)$ to the best known value.
    pub value: f64,
    /// Largest violation of constraints, relative to $\max(1, \|x\|_\infty)$.
    pub violation: f64,
    /// Largest $\min(x_a, x_b)$ of a pair, relative to $\max(1, \|x\|_\infty)$.
    pub complementarity: f64,
}

impl Default for Criteria {
    /// $t = 10^{-2}, 10^{-4}, 10^{-6}, 10^{-8}$; values to $10^{-3}$, since those of the collections have few digits
    /// and a relaxation by $t$ moves the value by about $\sqrt t$ where both sides of a pair vanish.
    fn default() -> Self {
        Self {
            schedule: Schedule::Scholtes(vec![1e-2, 1e-4, 1e-6, 1e-8]),
            settings: NlpSettings { max_iterations: 400, ..NlpSettings::default() },
            largest: 1500,
            value: 1e-3,
            violation: 1e-5,
            complementarity: 1e-3,
        }
    }
}

/// What one problem cost.
#[derive(Clone, Debug)]
pub struct Run {
    /// The problem's name.
    pub name: String,
    /// How the solver did.
    pub verdict: Verdict,
    /// The value it found, if it ended.
    pub value: Option<f64>,
    /// Iterations of all solves.
    pub iterations: usize,
    /// Restorations of all solves.
    pub restorations: usize,
    /// Wall time of all solves.
    pub seconds: f64,
}

/// Solves a problem and judges the answer.
pub fn run(solver: &dyn NlpSolver, problem: &Problem, criteria: &Criteria) -> Run {
    let without = |verdict| Run {
        name: problem.name.clone(),
        verdict,
        value: None,
        iterations: 0,
        restorations: 0,
        seconds: 0.0,
    };
    let program = match &problem.program {
        Ok(program) => program,
        Err(unread) => return without(Verdict::Failed(Failure::Unread(unread.clone()))),
    };
    let variables = program.program.variables();
    if variables > criteria.largest {
        return without(Verdict::TooLarge(variables));
    }
    match solve(solver, program, criteria) {
        Err(fault) => without(Verdict::Failed(Failure::Fault(fault.to_string()))),
        Ok(report) => {
            let verdict = judge(program, problem.known, criteria, &report);
            Run {
                name: problem.name.clone(),
                verdict,
                value: Some(report.value),
                iterations: report.iterations(),
                restorations: report.restorations(),
                seconds: report.solves.iter().map(|(_, report)| report.seconds).sum(),
            }
        }
    }
}

fn solve(
    solver: &dyn NlpSolver,
    program: &Complementarity<ExpressionProgram>,
    criteria: &Criteria,
) -> Result<crate::ComplementarityReport, OptError> {
    // One solve is enough where there is nothing to relax.
    let none = Schedule::Penalty(vec![0.0]);
    let schedule = if program.pairs.is_empty() { &none } else { &criteria.schedule };
    solve_complementarity(solver, program, schedule, &criteria.settings)
}

fn judge(
    program: &Complementarity<ExpressionProgram>,
    known: Known,
    criteria: &Criteria,
    report: &crate::ComplementarityReport,
) -> Verdict {
    let last = report.last();
    let size = last.point.iter().fold(1.0, |size: f64, x| size.max(x.abs()));
    let failure = if !last.status.is_solved() {
        Some(Failure::Status(last.status))
    } else if last.violation > criteria.violation * size {
        Some(Failure::Violation(last.violation))
    } else if report.residual > criteria.complementarity * size {
        Some(Failure::Complementarity(report.residual))
    } else {
        None
    };
    debug_assert_eq!(last.point.len(), program.program.variables());
    match (known, failure) {
        (Known::Infeasible, Some(_)) => Verdict::Refused,
        (Known::Infeasible, None) => Verdict::Failed(Failure::Feasible(report.value)),
        (_, Some(failure)) => Verdict::Failed(failure),
        (Known::Nothing, None) => Verdict::Passed,
        (Known::Best(best), None) => {
            let tolerance = criteria.value * best.abs().max(1.0);
            if report.value < best - tolerance {
                Verdict::Better(report.value)
            } else if report.value <= best + tolerance {
                Verdict::Passed
            } else {
                Verdict::Failed(Failure::LocalOptimum { value: report.value, best })
            }
        }
    }
}

/// A problem that a solver is known not to solve.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// Its name.
    pub name: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// A difference between a list of known failures and a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// A problem that is not listed was not solved.
    Unlisted(String, Failure),
    /// A listed problem was solved.
    Solved(String),
    /// A listed problem does not exist.
    Unknown(&'static str),
}

/// Runs a solver on problems and compares with the list of those that it is known not to solve.
pub fn check(solver: &dyn NlpSolver, problems: &[Problem], listed: &[Listed]) -> Vec<Finding> {
    let runs: Vec<Run> = problems.iter().map(|problem| run(solver, problem, &Criteria::default())).collect();
    findings(&runs, listed)
}

/// The differences between runs and a list of known failures.
pub fn findings(runs: &[Run], listed: &[Listed]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for run in runs {
        let is_listed = listed.iter().any(|listed| listed.name == run.name);
        match (&run.verdict, is_listed) {
            (Verdict::Failed(failure), false) => findings.push(Finding::Unlisted(run.name.clone(), failure.clone())),
            (Verdict::Failed(_), true) | (_, false) => {}
            (_, true) => findings.push(Finding::Solved(run.name.clone())),
        }
    }
    let unknown = listed.iter().filter(|listed| runs.iter().all(|run| run.name != listed.name));
    findings.extend(unknown.map(|listed| Finding::Unknown(listed.name)));
    findings
}
