//! Every nonlinear solver on problems with known answers.
//!
//! The collections are read from the directory that `SECATEUR_DATA` names; without it only the problems written out
//! in the crate are solved.
#![cfg(feature = "nlp")]

use secateur_opt::conformance::{Criteria, Finding, Problem, Verdict, check, findings, macmpec, quadratic_programs};
use secateur_opt::conformance::{Listed, Run, run, written_out};
use secateur_opt::{NlpSolver, Pounce};
use std::path::PathBuf;

fn collection(name: &str) -> Option<PathBuf> {
    match std::env::var_os("SECATEUR_DATA") {
        Some(data) => Some(PathBuf::from(data).join("oracles").join(name)),
        None => {
            println!("skipped: SECATEUR_DATA is not set, so there is no {name}");
            None
        }
    }
}

fn report(solver: &dyn NlpSolver, problems: &[Problem]) -> Vec<Run> {
    let mut runs = Vec::with_capacity(problems.len());
    let mut counts = [0_usize; 5];
    for problem in problems {
        let run = run(solver, problem, &Criteria::default());
        let (place, text) = match &run.verdict {
            Verdict::Passed => (0, "passed".to_string()),
            Verdict::Better(value) => (1, format!("better: {value}")),
            Verdict::Refused => (2, "refused".to_string()),
            Verdict::TooLarge(variables) => (4, format!("not tried: {variables} variables")),
            Verdict::Failed(failure) => (3, failure.to_string()),
        };
        counts[place] += 1;
        println!(
            "{:16} {:5} iterations {:3} restorations {:6.2} s  {text}",
            run.name, run.iterations, run.restorations, run.seconds
        );
        runs.push(run);
    }
    let [passed, better, refused, failed, large] = counts;
    println!(
        "{passed} passed, {better} better than the best known, {refused} refused, {failed} failed, {large} not tried"
    );
    runs
}

#[test]
fn pounce_on_the_problems_written_out() {
    assert_eq!(check(&Pounce, &written_out(), &[]), []);
}

#[test]
fn pounce_on_the_quadratic_programs() {
    let Some(directory) = collection("hs_qp") else { return };
    let problems = quadratic_programs(&directory).unwrap();
    assert_eq!(findings(&report(&Pounce, &problems), &[]), []);
}

#[test]
fn pounce_on_macmpec() {
    let Some(directory) = collection("macmpec") else { return };
    let problems = macmpec(&directory).unwrap();
    assert_eq!(findings(&report(&Pounce, &problems), MACMPEC), []);
}

#[test]
fn a_listed_problem_that_is_solved_and_one_that_does_not_exist_are_findings() {
    let listed = [Listed { name: "hs6", reason: "none" }, Listed { name: "hs0", reason: "none" }];
    let found = check(&Pounce, &written_out()[..1], &listed);
    assert_eq!(found, [Finding::Solved("hs6".to_string()), Finding::Unknown("hs0")]);
}

/// The problems of MacMPEC that [`Pounce`] does not solve from the collection's starts.
const MACMPEC: &[Listed] = &[];
