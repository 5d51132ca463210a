//! Nonlinear programs with known answers.
#![cfg(feature = "nlp")]

use proptest::prelude::*;
use secateur_opt::ampl::QuadraticTerms;
use secateur_opt::complementarity::{Penalty, Scholtes};
use secateur_opt::conformance::written_out;
use secateur_opt::derivatives::derivative_errors;
use secateur_opt::nonlinear::{NlpFunction, NlpStatus, NlpVector};
use secateur_opt::{
    Complementarity, NlpReport, NlpSettings, NlpSolver, NonlinearFault, NonlinearProgram, OptError, Pounce, Row,
    Schedule, Warm, solve_complementarity,
};

/// Hock–Schittkowski 71:
/// min x1 x4 (x1 + x2 + x3) + x3  s.t.  x1 x2 x3 x4 >= 25, |x|² = 40, 1 <= x <= 5; value 17.0140173.
struct Hs71;

impl NonlinearProgram for Hs71 {
    fn variables(&self) -> usize {
        4
    }
    fn constraints(&self) -> usize {
        2
    }
    fn variable_bounds(&self) -> (Vec<f64>, Vec<f64>) {
        (vec![1.0; 4], vec![5.0; 4])
    }
    fn constraint_bounds(&self) -> (Vec<f64>, Vec<f64>) {
        (vec![25.0, 40.0], vec![f64::INFINITY, 40.0])
    }
    fn objective(&self, x: &[f64]) -> f64 {
        x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2]
    }
    fn gradient(&self, x: &[f64], into: &mut [f64]) {
        into[0] = x[3] * (2.0 * x[0] + x[1] + x[2]);
        into[1] = x[0] * x[3];
        into[2] = x[0] * x[3] + 1.0;
        into[3] = x[0] * (x[0] + x[1] + x[2]);
    }
    fn evaluate(&self, x: &[f64], into: &mut [f64]) {
        into[0] = x.iter().product();
        into[1] = x.iter().map(|v| v * v).sum();
    }
    fn jacobian_pattern(&self) -> Vec<(usize, usize)> {
        (0..2).flat_map(|row| (0..4).map(move |column| (row, column))).collect()
    }
    fn jacobian(&self, x: &[f64], into: &mut [f64]) {
        for j in 0..4 {
            into[j] = (0..4).filter(|&k| k != j).map(|k| x[k]).product();
            into[4 + j] = 2.0 * x[j];
        }
    }
    fn hessian_pattern(&self) -> Vec<(usize, usize)> {
        (0..4).flat_map(|row| (0..=row).map(move |column| (row, column))).collect()
    }
    fn hessian(&self, x: &[f64], factor: f64, multipliers: &[f64], into: &mut [f64]) {
        for (entry, (i, j)) in self.hessian_pattern().into_iter().enumerate() {
            let objective = match (i, j) {
                (0, 0) => 2.0 * x[3],
                (1, 0) | (2, 0) => x[3],
                (3, 0) => 2.0 * x[0] + x[1] + x[2],
                (3, 1) | (3, 2) => x[0],
                _ => 0.0,
            };
            let product: f64 = if i == j { 0.0 } else { (0..4).filter(|&k| k != i && k != j).map(|k| x[k]).product() };
            let square = if i == j { 2.0 } else { 0.0 };
            into[entry] = factor * objective + multipliers[0] * product + multipliers[1] * square;
        }
    }
    fn start(&self) -> Vec<f64> {
        vec![1.0, 5.0, 5.0, 1.0]
    }
}

#[test]
fn the_known_optimum_is_found_with_multipliers() {
    let report = Pounce.solve(&Hs71, &NlpSettings::default()).unwrap();
    assert_eq!(report.status, NlpStatus::Optimal);
    assert!((report.value - 17.0140173).abs() < 1e-6, "{}", report.value);
    assert!(report.violation < 1e-6);
    assert!(report.iterations > 0);
    // Stationarity in the documented sign convention.
    let (mut gradient, mut jacobian) = (vec![0.0; 4], vec![0.0; 8]);
    Hs71.gradient(&report.point, &mut gradient);
    Hs71.jacobian(&report.point, &mut jacobian);
    for j in 0..4 {
        let rows = report.constraint_multipliers[0] * jacobian[j] + report.constraint_multipliers[1] * jacobian[4 + j];
        let residual = gradient[j] + rows - report.lower_multipliers[j] + report.upper_multipliers[j];
        assert!(residual.abs() < 1e-6, "column {j}: {residual}");
    }
}

#[test]
fn a_warm_start_from_the_optimum_saves_iterations() {
    let cold = Pounce.solve(&Hs71, &NlpSettings::default()).unwrap();
    let settings = NlpSettings { warm: Some(Warm::from_report(&cold)), ..NlpSettings::default() };
    let warm = Pounce.solve(&Hs71, &settings).unwrap();
    assert_eq!(warm.status, NlpStatus::Optimal);
    assert!(warm.iterations < cold.iterations, "{} against {}", warm.iterations, cold.iterations);
}

/// Largest error of $\nabla f + J^\top \lambda - z^\ell + z^u = 0$ and of the complementarity of multipliers and
/// bounds.
fn stationarity(program: &dyn NonlinearProgram, report: &NlpReport) -> f64 {
    let x = &report.point;
    let mut residual = vec![0.0; program.variables()];
    program.gradient(x, &mut residual);
    let pattern = program.jacobian_pattern();
    let mut entries = vec![0.0; pattern.len()];
    program.jacobian(x, &mut entries);
    for ((row, column), entry) in pattern.iter().zip(&entries) {
        residual[*column] += report.constraint_multipliers[*row] * entry;
    }
    let (lower, upper) = program.variable_bounds();
    let (row_lower, row_upper) = program.constraint_bounds();
    let mut rows = vec![0.0; program.constraints()];
    program.evaluate(x, &mut rows);
    let mut worst = 0.0_f64;
    let idle = |multiplier: f64, distance: f64| if distance.is_finite() { multiplier * distance } else { multiplier };
    for j in 0..x.len() {
        let (below, above) = (report.lower_multipliers[j], report.upper_multipliers[j]);
        worst = worst.max((residual[j] - below + above).abs());
        worst = worst.max(idle(below, x[j] - lower[j]).abs()).max(idle(above, upper[j] - x[j]).abs());
    }
    for r in 0..rows.len() {
        let multiplier = report.constraint_multipliers[r];
        worst = worst.max(idle(multiplier.max(0.0), row_upper[r] - rows[r]).abs());
        worst = worst.max(idle((-multiplier).max(0.0), rows[r] - row_lower[r]).abs());
    }
    worst
}

/// A strictly convex quadratic program that is feasible at `inside`.
fn convex_program() -> impl Strategy<Value = QuadraticTerms> {
    (2_usize..6, 0_usize..4).prop_flat_map(|(n, m)| {
        let entry = -3.0..3.0_f64;
        (
            prop::collection::vec(entry.clone(), n * n),
            prop::collection::vec(entry.clone(), n),
            prop::collection::vec(entry.clone(), m * n),
            prop::collection::vec(entry, n),
            prop::collection::vec((0.0..2.0_f64, 0.0..2.0_f64), n + m),
        )
            .prop_map(move |(factor, linear, matrix, inside, widths)| {
                let mut quadratic = Vec::new();
                for i in 0..n {
                    for j in 0..n {
                        let product: f64 = (0..n).map(|k| factor[k * n + i] * factor[k * n + j]).sum();
                        quadratic.push((i, j, 0.5 * (product + f64::from(u8::from(i == j)))));
                    }
                }
                let rows = (0..m)
                    .map(|r| {
                        let entries: Vec<(usize, f64)> = (0..n).map(|j| (j, matrix[r * n + j])).collect();
                        let value: f64 = entries.iter().map(|(j, a)| a * inside[*j]).sum();
                        Row { entries, lower: value - widths[n + r].0 - 0.01, upper: value + widths[n + r].1 + 0.01 }
                    })
                    .collect();
                QuadraticTerms {
                    constant: 0.0,
                    linear: linear.into_iter().enumerate().collect(),
                    quadratic,
                    rows,
                    lower: (0..n).map(|j| inside[j] - widths[j].0 - 0.01).collect(),
                    upper: (0..n).map(|j| inside[j] + widths[j].1 + 0.01).collect(),
                }
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// For a convex program these conditions are sufficient for optimality.
    #[test]
    fn optima_of_convex_programs_satisfy_the_optimality_conditions(terms in convex_program()) {
        let program = terms.program();
        let report = Pounce.solve(&program, &NlpSettings::default()).unwrap();
        prop_assert_eq!(report.status, NlpStatus::Optimal);
        prop_assert!(report.violation < 1e-6);
        // The tolerance of the method is relative to the size of the multipliers, which narrow boxes make large.
        let residual = stationarity(&program, &report);
        prop_assert!(residual < 1e-4, "{residual}");
    }

    #[test]
    fn a_warm_start_from_an_optimum_is_no_worse_than_a_cold_one(terms in convex_program()) {
        let program = terms.program();
        let cold = Pounce.solve(&program, &NlpSettings::default()).unwrap();
        let settings = NlpSettings { warm: Some(Warm::from_report(&cold)), ..NlpSettings::default() };
        let warm = Pounce.solve(&program, &settings).unwrap();
        prop_assert_eq!(warm.status, NlpStatus::Optimal);
        prop_assert!((warm.value - cold.value).abs() < 1e-5 * cold.value.abs().max(1.0));
        prop_assert!(warm.iterations <= cold.iterations, "{} against {}", warm.iterations, cold.iterations);
    }

    #[test]
    fn derivatives_of_the_problems_written_out_agree_with_differences(
        seed in prop::collection::vec((0.1..1.5_f64, -2.0..2.0_f64), 64),
    ) {
        for problem in written_out() {
            let program = problem.program.unwrap();
            for (t, rho) in [(1e-2, 1.0), (1e-4, 10.0)] {
                let relaxed = Scholtes { of: &program, t };
                let penalised = Penalty { of: &program, rho };
                for program in [&relaxed as &dyn NonlinearProgram, &penalised] {
                    let x: Vec<f64> = seed.iter().map(|s| s.0).take(program.variables()).collect();
                    let multipliers: Vec<f64> = seed.iter().map(|s| s.1).take(program.constraints()).collect();
                    let errors = derivative_errors(program, &x, seed[0].1, &multipliers, 1e-5);
                    // Central differences of width 1e-5 are exact to about 1e-10 times the third derivative.
                    prop_assert!(errors.largest() < 1e-5, "{}: {errors:?}", problem.name);
                }
            }
        }
    }
}

#[test]
fn a_wrong_derivative_is_noticed() {
    struct Wrong;
    impl NonlinearProgram for Wrong {
        fn variables(&self) -> usize {
            1
        }
        fn constraints(&self) -> usize {
            0
        }
        fn variable_bounds(&self) -> (Vec<f64>, Vec<f64>) {
            (vec![-1.0], vec![1.0])
        }
        fn constraint_bounds(&self) -> (Vec<f64>, Vec<f64>) {
            (vec![], vec![])
        }
        fn objective(&self, x: &[f64]) -> f64 {
            x[0].powi(3)
        }
        fn gradient(&self, x: &[f64], into: &mut [f64]) {
            into[0] = 2.0 * x[0] * x[0];
        }
        fn evaluate(&self, _: &[f64], _: &mut [f64]) {}
        fn jacobian_pattern(&self) -> Vec<(usize, usize)> {
            vec![]
        }
        fn jacobian(&self, _: &[f64], _: &mut [f64]) {}
        fn hessian_pattern(&self) -> Vec<(usize, usize)> {
            vec![(0, 0)]
        }
        fn hessian(&self, x: &[f64], factor: f64, _: &[f64], into: &mut [f64]) {
            into[0] = 4.0 * factor * x[0];
        }
        fn start(&self) -> Vec<f64> {
            vec![0.5]
        }
    }
    let errors = derivative_errors(&Wrong, &[0.5], 1.0, &[], 1e-5);
    assert!(errors.gradient > 0.1);
    assert!(errors.hessian < 1e-6, "it is the derivative of the wrong gradient");
}

fn terms() -> QuadraticTerms {
    QuadraticTerms {
        quadratic: vec![(0, 0, 1.0), (1, 1, 1.0)],
        rows: vec![Row { entries: vec![(0, 1.0), (1, 1.0)], lower: 1.0, upper: f64::INFINITY }],
        lower: vec![0.0; 2],
        upper: vec![2.0; 2],
        ..QuadraticTerms::default()
    }
}

fn fault(terms: &QuadraticTerms, settings: &NlpSettings) -> NonlinearFault {
    match Pounce.solve(&terms.program(), settings) {
        Err(OptError::Nonlinear(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn faults_of_the_data_are_typed() {
    let settings = NlpSettings::default();
    let crossed = QuadraticTerms { lower: vec![0.0, 3.0], ..terms() };
    assert_eq!(
        fault(&crossed, &NlpSettings { start: Some(vec![0.0; 2]), ..settings.clone() }),
        NonlinearFault::CrossedVariable { variable: 1, lower: 3.0, upper: 2.0 }
    );
    let crossed = QuadraticTerms { rows: vec![Row { entries: vec![(0, 1.0)], lower: 2.0, upper: 1.0 }], ..terms() };
    assert_eq!(fault(&crossed, &settings), NonlinearFault::CrossedConstraint { constraint: 0, lower: 2.0, upper: 1.0 });
    assert_eq!(
        fault(&terms(), &NlpSettings { start: Some(vec![0.0]), ..settings.clone() }),
        NonlinearFault::Length { vector: NlpVector::Start, expected: 2, found: 1 }
    );
    let unbounded =
        QuadraticTerms { upper: vec![f64::NEG_INFINITY, 1.0], lower: vec![f64::NEG_INFINITY; 2], ..terms() };
    assert_eq!(
        fault(&unbounded, &NlpSettings { start: Some(vec![0.0; 2]), ..settings.clone() }),
        NonlinearFault::Entry { vector: NlpVector::UpperBounds, index: 0, value: f64::NEG_INFINITY }
    );
    let report = Pounce.solve(&terms().program(), &settings).unwrap();
    let short = Warm { lower_multipliers: vec![], ..Warm::from_report(&report) };
    assert_eq!(
        fault(&terms(), &NlpSettings { warm: Some(short), ..settings.clone() }),
        NonlinearFault::Length { vector: NlpVector::LowerMultipliers, expected: 2, found: 0 }
    );
    assert_eq!(fault(&QuadraticTerms::default(), &settings), NonlinearFault::NoVariables);
}

#[test]
fn a_function_that_is_nowhere_finite_is_a_fault_and_one_that_is_somewhere_is_not() {
    let nowhere = QuadraticTerms { constant: f64::NAN, ..terms() };
    match fault(&nowhere, &NlpSettings::default()) {
        NonlinearFault::NotFinite { function: NlpFunction::Objective, index: 0, value } => assert!(value.is_nan()),
        other => panic!("{other:?}"),
    }
    // log x is not finite at the start of a full step below zero.
    let model = "var x := 8; minimize f: x - log(x);";
    let model = secateur_opt::ampl::AmplModel::read(model, None).unwrap();
    let report = Pounce.solve(&model.program.program, &NlpSettings::default()).unwrap();
    assert_eq!(report.status, NlpStatus::Optimal);
    assert!((report.point[0] - 1.0).abs() < 1e-6);
}

#[test]
fn a_program_without_feasible_points_is_not_solved() {
    let model = "var x := 1; var y := 1; minimize f: x + y; c: x^2 + y^2 <= -1;";
    let model = secateur_opt::ampl::AmplModel::read(model, None).unwrap();
    let report = Pounce.solve(&model.program.program, &NlpSettings::default()).unwrap();
    assert_eq!(report.status, NlpStatus::LocallyInfeasible);
    assert!(report.restorations > 0, "infeasibility is found in restoration");
    assert!(report.violation > 0.9);
}

#[test]
fn limits_on_iterations_are_kept() {
    let settings = NlpSettings { max_iterations: 2, ..NlpSettings::default() };
    let report = Pounce.solve(&Hs71, &settings).unwrap();
    assert_eq!((report.status, report.iterations), (NlpStatus::IterationLimit, 2));
}

#[test]
fn relaxation_and_penalty_end_at_the_same_corner_and_report_every_solve() {
    let program = QuadraticTerms {
        linear: vec![(0, -2.0), (1, -3.0)],
        quadratic: vec![(0, 0, 1.0), (1, 1, 1.0)],
        lower: vec![0.0; 2],
        upper: vec![f64::INFINITY; 2],
        ..QuadraticTerms::default()
    };
    // (x - 1)² + (y - 1.5)² less a constant; the better branch is x = 0.
    let program = Complementarity { program: program.program(), pairs: vec![(0, 1)] };
    let settings = NlpSettings { start: Some(vec![0.5, 1.0]), ..NlpSettings::default() };
    for schedule in [Schedule::Scholtes(vec![1e-2, 1e-4, 1e-6]), Schedule::Penalty(vec![1.0, 10.0, 100.0])] {
        let report = solve_complementarity(&Pounce, &program, &schedule, &settings).unwrap();
        assert_eq!(report.solves.len(), 3);
        assert!(report.solves.iter().all(|(_, report)| report.status == NlpStatus::Optimal));
        assert!(report.residual < 1e-5, "{schedule:?}: {}", report.residual);
        assert!((report.value + 2.25).abs() < 1e-4, "{schedule:?}: {}", report.value);
    }
}

#[test]
fn pairs_and_schedules_that_are_none_are_faults() {
    let program = Complementarity { program: terms().program(), pairs: vec![(0, 2)] };
    let solve = |program: &_, schedule| solve_complementarity(&Pounce, program, &schedule, &NlpSettings::default());
    assert!(matches!(
        solve(&program, Schedule::default()),
        Err(OptError::Nonlinear(NonlinearFault::Pair { pair: 0, left: 0, right: 2, variables: 2 }))
    ));
    let program = Complementarity { pairs: vec![(0, 1)], ..program };
    assert!(matches!(
        solve(&program, Schedule::Scholtes(vec![])),
        Err(OptError::Nonlinear(NonlinearFault::EmptySchedule))
    ));
    assert!(matches!(
        solve(&program, Schedule::Penalty(vec![-1.0])),
        Err(OptError::Nonlinear(NonlinearFault::Schedule { index: 0, .. }))
    ));
}
