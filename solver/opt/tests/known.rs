//! Programs whose answers are known.

use secateur_opt::{BoundSide, LinearProgram, LpOutcome, LpSettings, LpSolver, OptError, Refutation, Row, StallReason};

const INF: f64 = f64::INFINITY;
/// The solver's tolerance is 1e-8 relative to data of size up to 100.
const TOLERANCE: f64 = 1e-6;

fn answer(solver: &dyn LpSolver, program: &LinearProgram) -> LpOutcome {
    solver.solve(program, &LpSettings::default()).unwrap()
}

/// Checks feasibility, the dual equation, the signs and strong duality, and returns the optimum.
#[track_caller]
fn optimum(solver: &dyn LpSolver, program: &LinearProgram) -> (Vec<f64>, f64, Vec<f64>) {
    match answer(solver, program) {
        LpOutcome::Optimal { point, value, row_duals, column_duals } => {
            assert!(program.violation(&point) < TOLERANCE, "infeasible by {}", program.violation(&point));
            let residual = program.column_residual(&program.objective, &row_duals);
            for (j, (r, d)) in residual.iter().zip(&column_duals).enumerate() {
                assert!((r - d).abs() < TOLERANCE, "column {j}: c - A'y = {r}, d = {d}");
            }
            let dual = program.dual_value(&row_duals, &column_duals);
            assert!((value - dual).abs() < TOLERANCE, "primal {value}, dual {dual}");
            (point, value, row_duals)
        }
        other => panic!("expected an optimum, found {other:?}"),
    }
}

/// Checks that the multipliers refute without the library's own measure, and returns them.
#[track_caller]
fn refutation(solver: &dyn LpSolver, program: &LinearProgram) -> (Vec<f64>, Vec<f64>) {
    match answer(solver, program) {
        LpOutcome::Infeasible(Refutation::Farkas { row_ray, column_ray }) => {
            let mut combined = column_ray.clone();
            let mut gap = 0.0;
            for (row, y) in program.rows.iter().zip(&row_ray) {
                row.entries.iter().for_each(|&(column, value)| combined[column] += y * value);
                gap += if *y > 0.0 {
                    y * row.lower
                } else if *y < 0.0 {
                    y * row.upper
                } else {
                    0.0
                };
            }
            for (j, d) in column_ray.iter().enumerate() {
                gap += if *d > 0.0 {
                    d * program.lower[j]
                } else if *d < 0.0 {
                    d * program.upper[j]
                } else {
                    0.0
                };
            }
            assert!(combined.iter().all(|v| v.abs() < TOLERANCE), "A'y + d = {combined:?}");
            assert!(gap > TOLERANCE, "the combination is refuted by {gap} only");
            (row_ray, column_ray)
        }
        other => panic!("expected a refutation, found {other:?}"),
    }
}

fn a_production_plan(solver: &dyn LpSolver) {
    // max 3x + 5y, x ≤ 4, 2y ≤ 12, 3x + 2y ≤ 18: (2, 6), value 36, prices 0, 3/2, 1.
    let mut program = LinearProgram::new(vec![-3.0, -5.0], vec![0.0; 2], vec![INF; 2]);
    program.rows = vec![
        Row::at_most(vec![(0, 1.0)], 4.0),
        Row::at_most(vec![(1, 2.0)], 12.0),
        Row::at_most(vec![(0, 3.0), (1, 2.0)], 18.0),
    ];
    let (point, value, duals) = optimum(solver, &program);
    assert!((point[0] - 2.0).abs() < TOLERANCE && (point[1] - 6.0).abs() < TOLERANCE);
    assert!((value + 36.0).abs() < TOLERANCE);
    for (dual, expected) in duals.iter().zip([0.0, -1.5, -1.0]) {
        assert!((dual - expected).abs() < TOLERANCE, "{duals:?}");
    }
}

fn beale_cycles_the_simplex_method_but_has_an_optimum(solver: &dyn LpSolver) {
    let mut program = LinearProgram::new(vec![-0.75, 150.0, -0.02, 6.0], vec![0.0; 4], vec![INF; 4]);
    program.rows = vec![
        Row::at_most(vec![(0, 0.25), (1, -60.0), (2, -0.04), (3, 9.0)], 0.0),
        Row::at_most(vec![(0, 0.5), (1, -90.0), (2, -0.02), (3, 3.0)], 0.0),
        Row::at_most(vec![(2, 1.0)], 1.0),
    ];
    assert!((optimum(solver, &program).1 + 0.05).abs() < TOLERANCE);
}

fn a_free_variable_is_held_by_a_range(solver: &dyn LpSolver) {
    let mut program = LinearProgram::new(vec![1.0, 0.0], vec![-INF, 0.0], vec![INF, 3.0]);
    program.rows = vec![Row { entries: vec![(0, 1.0), (1, 1.0)], lower: -2.0, upper: 7.0 }];
    assert!((optimum(solver, &program).1 + 5.0).abs() < TOLERANCE);
}

fn equations_and_repeated_columns(solver: &dyn LpSolver) {
    let mut program = LinearProgram::new(vec![1.0, 2.0, 3.0], vec![0.0; 3], vec![INF; 3]);
    program.rows = vec![
        Row::equal(vec![(0, 0.5), (1, 1.0), (0, 0.5), (2, 1.0)], 10.0),
        Row::equal(vec![(0, 1.0), (1, -1.0)], 2.0),
    ];
    // x = y + 2, z = 8 - 2y: the value 2 + 3y + 24 - 6y is least at y = 4.
    assert!((optimum(solver, &program).1 - 14.0).abs() < TOLERANCE);
}

fn fixed_columns_and_empty_rows(solver: &dyn LpSolver) {
    let mut program = LinearProgram::new(vec![1.0, 1.0], vec![2.5, -4.0], vec![2.5, 9.0]);
    program.rows = vec![Row::at_least(vec![], -1.0), Row::at_least(vec![(0, 2.0), (1, 1.0)], 4.0)];
    let (point, value, _) = optimum(solver, &program);
    assert_eq!(point[0], 2.5);
    assert!((value - 1.5).abs() < TOLERANCE);

    program.rows.push(Row::at_most(vec![(0, 2.0)], 4.0));
    let (row_ray, column_ray) = refutation(solver, &program);
    assert_eq!((row_ray, column_ray), (vec![0.0, 0.0, -0.5], vec![1.0, 0.0]));

    program.rows = vec![Row::at_least(vec![], 1.0)];
    refutation(solver, &program);
}

fn everything_fixed(solver: &dyn LpSolver) {
    let mut program = LinearProgram::new(vec![3.0, -1.0], vec![1.0, 2.0], vec![1.0, 2.0]);
    program.rows = vec![Row::equal(vec![(0, 1.0), (1, 1.0)], 3.0)];
    assert_eq!(optimum(solver, &program).1, 1.0);
}

fn no_columns_and_no_constraints(solver: &dyn LpSolver) {
    assert_eq!(optimum(solver, &LinearProgram::default()).1, 0.0);
    assert_eq!(optimum(solver, &LinearProgram::new(vec![0.0], vec![-INF], vec![INF])).1, 0.0);
    assert_eq!(answer(solver, &LinearProgram::new(vec![1.0], vec![-INF], vec![INF])), LpOutcome::Unbounded);
}

fn unbounded_only_when_feasible(solver: &dyn LpSolver) {
    let mut program = LinearProgram::new(vec![-1.0, 0.0], vec![0.0; 2], vec![INF, 1.0]);
    program.rows = vec![Row::at_least(vec![(0, 1.0), (1, 1.0)], 1.0)];
    assert_eq!(answer(solver, &program), LpOutcome::Unbounded);
    program.rows.push(Row::at_least(vec![(1, 1.0)], 2.0));
    refutation(solver, &program);
}

fn rows_that_contradict_each_other(solver: &dyn LpSolver) {
    let mut program = LinearProgram::new(vec![0.0; 2], vec![-INF; 2], vec![INF; 2]);
    program.rows = vec![Row::at_least(vec![(0, 1.0), (1, 1.0)], 1.0), Row::at_most(vec![(0, 2.0), (1, 2.0)], 1.0)];
    let (row_ray, _) = refutation(solver, &program);
    assert!((row_ray[0] - 1.0).abs() < TOLERANCE && (row_ray[1] + 0.5).abs() < TOLERANCE);
}

fn a_box_that_a_row_misses(solver: &dyn LpSolver) {
    let mut program = LinearProgram::new(vec![1.0; 3], vec![-1.0; 3], vec![1.0; 3]);
    program.rows = vec![Row::equal(vec![(0, 1.0), (1, -1.0), (2, 1.0)], 3.5)];
    refutation(solver, &program);
}

fn crossed_bounds_are_seen_before_the_call(solver: &dyn LpSolver) {
    let mut program = LinearProgram::new(vec![1.0; 2], vec![0.0, 1.0], vec![1.0, 1.0 - f64::EPSILON]);
    let outcome = answer(solver, &program);
    let LpOutcome::Infeasible(refutation) = &outcome else { panic!("found {outcome:?}") };
    assert_eq!(*refutation, Refutation::CrossedColumn(1));
    assert!(refutation.gap(&program) > 0.0);
    program.upper[1] = 2.0;
    program.rows = vec![Row { entries: vec![(0, 1.0)], lower: 0.5, upper: 0.25 }];
    assert_eq!(answer(solver, &program), LpOutcome::Infeasible(Refutation::CrossedRow(0)));
}

fn a_limit_on_iterations_is_an_outcome(solver: &dyn LpSolver) {
    // Dense enough that presolve leaves work.
    let size = 12;
    let mut program = LinearProgram::new(vec![-1.0; size], vec![0.0; size], vec![INF; size]);
    for i in 0..size {
        let entries = (0..size).map(|j| (j, 1.0 + ((7 * i + 5 * j + i * j) % 11) as f64)).collect();
        program.rows.push(Row::at_most(entries, 50.0 + i as f64));
    }
    let settings = LpSettings { max_iterations: Some(1), ..LpSettings::default() };
    assert_eq!(solver.solve(&program, &settings).unwrap(), LpOutcome::Stalled(StallReason::Iterations));
}

fn data_that_is_no_program_is_an_error_with_its_place(solver: &dyn LpSolver) {
    let good = {
        let mut program = LinearProgram::new(vec![1.0; 2], vec![0.0; 2], vec![1.0; 2]);
        program.rows = vec![Row::at_most(vec![(0, 1.0)], 1.0), Row::at_most(vec![(1, 1.0)], 1.0)];
        program
    };
    let fault = |change: &dyn Fn(&mut LinearProgram)| {
        let mut program = good.clone();
        change(&mut program);
        solver.solve(&program, &LpSettings::default()).unwrap_err()
    };
    assert!(matches!(fault(&|p| p.objective[1] = f64::NAN), OptError::Objective { column: 1, .. }));
    assert!(matches!(
        fault(&|p| p.lower[0] = f64::NAN),
        OptError::ColumnBound { column: 0, side: BoundSide::Lower, .. }
    ));
    assert!(matches!(fault(&|p| p.upper[1] = -INF), OptError::ColumnBound { column: 1, side: BoundSide::Upper, .. }));
    assert!(matches!(fault(&|p| p.rows[1].upper = f64::NAN), OptError::RowBound { row: 1, .. }));
    assert!(matches!(fault(&|p| p.rows[1].entries[0].1 = INF), OptError::Coefficient { row: 1, column: 1, .. }));
    assert!(matches!(fault(&|p| p.rows[0].entries[0].0 = 2), OptError::NoSuchColumn { row: 0, column: 2, columns: 2 }));
    assert!(matches!(fault(&|p| p.upper.truncate(1)), OptError::ColumnCount { columns: 2, lower: 2, upper: 1 }));
    let settings = LpSettings { tolerance: f64::NAN, ..LpSettings::default() };
    assert!(matches!(solver.solve(&good, &settings), Err(OptError::Tolerance { .. })));
}

/// Every test above for one method.
macro_rules! known_programs {
    ($($(#[$condition:meta])? $module:ident: $method:expr;)*) => { $(
        $(#[$condition])?
        mod $module {
            known_programs!(@each $method;
                a_production_plan,
                beale_cycles_the_simplex_method_but_has_an_optimum,
                a_free_variable_is_held_by_a_range,
                equations_and_repeated_columns,
                fixed_columns_and_empty_rows,
                everything_fixed,
                no_columns_and_no_constraints,
                unbounded_only_when_feasible,
                rows_that_contradict_each_other,
                a_box_that_a_row_misses,
                crossed_bounds_are_seen_before_the_call,
                a_limit_on_iterations_is_an_outcome,
                data_that_is_no_program_is_an_error_with_its_place
            );
        }
    )* };
    (@each $method:expr; $($test:ident),*) => { $(
        #[test]
        fn $test() {
            super::$test(&$method);
        }
    )* };
}

known_programs! {
    interior_point: secateur_opt::InteriorPoint;
    #[cfg(feature = "highs")] simplex: secateur_opt::Simplex;
}
