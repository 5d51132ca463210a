//! Ipopt in its process: the conformance suite, and what happens when the process fails.
#![cfg(feature = "ipopt")]

use secateur_opt::conformance::{Listed, check, written_out};
use secateur_opt::nonlinear::{NlpStatus, NonlinearFault};
use secateur_opt::{Ipopt, NlpSettings, NlpSolver, OptError, Pounce};
use std::time::Duration;

fn worker() -> Ipopt {
    Ipopt::new(env!("CARGO_BIN_EXE_secateur-ipopt-worker"))
}

#[test]
fn ipopt_on_the_problems_written_out() {
    let listed = [Listed { name: "dempe", reason: "local optimum 31.25 vs. best known 28.25" }];
    assert_eq!(check(&worker(), &written_out(), &listed), []);
}

#[test]
fn both_codes_agree_on_value_and_multipliers() {
    let ipopt = worker();
    for problem in written_out().iter().filter(|problem| problem.name.starts_with("hs")) {
        let program = &problem.program.as_ref().unwrap().program;
        let settings = NlpSettings::default();
        let (a, b) = (Pounce.solve(program, &settings).unwrap(), ipopt.solve(program, &settings).unwrap());
        assert_eq!((a.status, b.status), (NlpStatus::Optimal, NlpStatus::Optimal), "{}", problem.name);
        assert!((a.value - b.value).abs() < 1e-6 * a.value.abs().max(1.0), "{}", problem.name);
        for (a, b) in a.constraint_multipliers.iter().zip(&b.constraint_multipliers) {
            assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{}: {a} against {b}", problem.name);
        }
    }
}

#[test]
fn objects_in_several_threads_do_not_disturb_each_other() {
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(check(&worker(), &written_out()[..4], &[]), []));
        }
    });
}

#[test]
fn a_program_that_is_no_worker_is_a_fault() {
    let problems = written_out();
    let program = &problems[0].program.as_ref().unwrap().program;
    for name in ["/nonexistent/worker", "/bin/false"] {
        match Ipopt::new(name).solve(program, &NlpSettings::default()) {
            Err(OptError::Worker(fault)) => assert_eq!(fault.program.to_str(), Some(name)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn after_a_killed_worker_the_next_solve_starts_another() {
    let ipopt = worker();
    let problems = written_out();
    let program = &problems[0].program.as_ref().unwrap().program;
    assert!(ipopt.solve(program, &NlpSettings::default()).is_ok());
    let killed = ipopt.process().expect("a worker is running");
    let status = std::process::Command::new("kill").args(["-9", &killed.to_string()]).status().unwrap();
    assert!(status.success());
    assert!(matches!(ipopt.solve(program, &NlpSettings::default()), Err(OptError::Worker(_))));
    assert!(ipopt.solve(program, &NlpSettings::default()).is_ok());
    assert_ne!(ipopt.process(), Some(killed));
}

#[test]
fn limits_and_faults_pass_the_pipe() {
    let ipopt = worker();
    let problems = written_out();
    let program = &problems[6].program.as_ref().unwrap().program;
    let settings = NlpSettings { max_iterations: 2, ..NlpSettings::default() };
    assert_eq!(ipopt.solve(program, &settings).unwrap().status, NlpStatus::IterationLimit);
    let settings = NlpSettings { time_limit: Some(Duration::ZERO), ..NlpSettings::default() };
    assert_eq!(ipopt.solve(program, &settings).unwrap().status, NlpStatus::TimeLimit);
    let model = secateur_opt::ampl::AmplModel::read("var x; minimize f: log(x - 1); c: x <= 0;", None).unwrap();
    assert!(matches!(
        ipopt.solve(&model.program.program, &NlpSettings::default()),
        Err(OptError::Nonlinear(NonlinearFault::NotFinite { .. }))
    ));
    assert_eq!(ipopt.solve(program, &NlpSettings::default()).unwrap().status, NlpStatus::Optimal);
}
