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

#[cfg(feature = "ipopt")]
#[test]
fn ipopt_on_the_quadratic_programs() {
    let Some(directory) = collection("hs_qp") else { return };
    let solver = secateur_opt::Ipopt::new(env!("CARGO_BIN_EXE_secateur-ipopt-worker"));
    assert_eq!(findings(&report(&solver, &quadratic_programs(&directory).unwrap()), &[]), []);
}

#[cfg(feature = "ipopt")]
#[test]
fn ipopt_on_macmpec() {
    let Some(directory) = collection("macmpec") else { return };
    let solver = secateur_opt::Ipopt::new(env!("CARGO_BIN_EXE_secateur-ipopt-worker"));
    assert_eq!(findings(&report(&solver, &macmpec(&directory).unwrap()), MACMPEC_IPOPT), []);
}

#[test]
fn a_listed_problem_that_is_solved_and_one_that_does_not_exist_are_findings() {
    let listed = [Listed { name: "hs6", reason: "none" }, Listed { name: "hs0", reason: "none" }];
    let found = check(&Pounce, &written_out()[..1], &listed);
    assert_eq!(found, [Finding::Solved("hs6".to_string()), Finding::Unknown("hs0")]);
}

/// The problems of MacMPEC that [`Pounce`] does not solve from the collection's starts.
const MACMPEC: &[Listed] = &[
    Listed { name: "bilevel1", reason: "local optimum 5.000 vs. best known 0" },
    Listed { name: "bilevel1m", reason: "local optimum 5.000 vs. best known -55" },
    Listed { name: "design-cent-3", reason: "ended with RestorationFailed" },
    Listed { name: "ex9.1.2", reason: "line 16: an integer variable is not supported" },
    Listed { name: "ex9.2.3", reason: "local optimum 5.000 vs. best known -55" },
    Listed { name: "ex9.2.5", reason: "local optimum 9.000 vs. best known 6" },
    Listed { name: "flp4-2", reason: "flp4-2.dat is not in the collection" },
    Listed { name: "flp4-3", reason: "flp4-3.dat is not in the collection" },
    Listed { name: "flp4-4", reason: "flp4-4.dat is not in the collection" },
    Listed { name: "qpec-100-1", reason: "qpec-100-1.dat is not in the collection" },
    Listed { name: "qpec-100-2", reason: "qpec-100-2.dat is not in the collection" },
    Listed { name: "qpec-100-3", reason: "qpec-100-3.dat is not in the collection" },
    Listed { name: "qpec-100-4", reason: "qpec-100-4.dat is not in the collection" },
    Listed { name: "qpec-200-1", reason: "qpec-200-1.dat is not in the collection" },
    Listed { name: "qpec-200-2", reason: "qpec-200-2.dat is not in the collection" },
    Listed { name: "qpec-200-3", reason: "qpec-200-3.dat is not in the collection" },
    Listed { name: "qpec-200-4", reason: "qpec-200-4.dat is not in the collection" },
    Listed { name: "ralphmod", reason: "ralphmod.dat is not in the collection" },
    Listed { name: "tap-15", reason: "ended with NumericalTrouble(StepComputation)" },
    Listed {
        name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-1.dat",
        reason: "local optimum 54.963 vs. best known 45.15",
    },
    Listed {
        name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-2.dat",
        reason: "local optimum 52.571 vs. best known 42.12",
    },
    Listed {
        name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-3.dat",
        reason: "local optimum 87.067 vs. best known 80.63",
    },
    Listed {
        name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-4.dat",
        reason: "local optimum 79.044 vs. best known 75.02",
    },
    Listed {
        name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-5.dat",
        reason: "local optimum 101.469 vs. best known 88.06",
    },
    Listed { name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-7.dat", reason: "ended with LocallyInfeasible" },
    Listed { name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-8.dat", reason: "ended with LocallyInfeasible" },
    Listed { name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-12.dat", reason: "ended with LocallyInfeasible" },
    Listed {
        name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-13.dat",
        reason: "local optimum 86.403 vs. best known 83.55",
    },
];

/// The problems of MacMPEC that Ipopt does not solve from the collection's starts.
#[cfg(feature = "ipopt")]
const MACMPEC_IPOPT: &[Listed] = &[
    Listed { name: "bilevel1", reason: "local optimum 5.000 vs. best known 0" },
    Listed { name: "bilevel1m", reason: "local optimum 5.000 vs. best known -55" },
    Listed { name: "design-cent-3", reason: "ended with IterationLimit" },
    Listed { name: "ex9.1.2", reason: "line 16: an integer variable is not supported" },
    Listed { name: "ex9.2.3", reason: "local optimum 5.000 vs. best known -55" },
    Listed { name: "ex9.2.5", reason: "local optimum 9.000 vs. best known 6" },
    Listed { name: "flp4-2", reason: "flp4-2.dat is not in the collection" },
    Listed { name: "flp4-3", reason: "flp4-3.dat is not in the collection" },
    Listed { name: "flp4-4", reason: "flp4-4.dat is not in the collection" },
    Listed { name: "qpec-100-1", reason: "qpec-100-1.dat is not in the collection" },
    Listed { name: "qpec-100-2", reason: "qpec-100-2.dat is not in the collection" },
    Listed { name: "qpec-100-3", reason: "qpec-100-3.dat is not in the collection" },
    Listed { name: "qpec-100-4", reason: "qpec-100-4.dat is not in the collection" },
    Listed { name: "qpec-200-1", reason: "qpec-200-1.dat is not in the collection" },
    Listed { name: "qpec-200-2", reason: "qpec-200-2.dat is not in the collection" },
    Listed { name: "qpec-200-3", reason: "qpec-200-3.dat is not in the collection" },
    Listed { name: "qpec-200-4", reason: "qpec-200-4.dat is not in the collection" },
    Listed { name: "ralphmod", reason: "ralphmod.dat is not in the collection" },
    Listed { name: "tap-09", reason: "ended with IterationLimit" },
    Listed { name: "tap-15", reason: "ended with LocallyInfeasible" },
    Listed {
        name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-1.dat",
        reason: "local optimum 54.963 vs. best known 45.15",
    },
    Listed {
        name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-2.dat",
        reason: "local optimum 52.571 vs. best known 42.12",
    },
    Listed {
        name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-3.dat",
        reason: "local optimum 87.067 vs. best known 80.63",
    },
    Listed {
        name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-4.dat",
        reason: "local optimum 79.044 vs. best known 75.02",
    },
    Listed {
        name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-5.dat",
        reason: "local optimum 101.469 vs. best known 88.06",
    },
    Listed { name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-7.dat", reason: "ended with LocallyInfeasible" },
    Listed { name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-8.dat", reason: "ended with LocallyInfeasible" },
    Listed { name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-12.dat", reason: "ended with LocallyInfeasible" },
    Listed {
        name: "TrafficSignalCycle TrafficSignalCycle.mod TSC-13.dat",
        reason: "local optimum 86.403 vs. best known 83.55",
    },
];
