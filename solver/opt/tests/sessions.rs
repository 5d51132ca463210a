//! Sessions: a warm solve answers as a cold one does, and what either offers as proof is one.
#![cfg(feature = "highs")]

use proptest::prelude::*;
use secateur_opt::{
    BoundSide, InteriorPoint, LinearProgram, LpOutcome, LpSettings, LpSolver, OptError, Refutation, Row, Session,
    Simplex, StallReason,
};

/// Coefficients and bounds are integers up to 9, so that distinct values differ by far more than this.
const TOLERANCE: f64 = 1e-6;

fn integer(range: std::ops::RangeInclusive<i32>) -> impl Strategy<Value = f64> {
    range.prop_map(f64::from)
}

fn row(columns: usize) -> impl Strategy<Value = Row> {
    (prop::collection::vec(integer(-3..=3), columns), integer(-9..=9), integer(0..=6), 0..5u8).prop_map(
        |(normal, at, width, kind)| {
            let entries = normal.into_iter().enumerate().filter(|(_, v)| *v != 0.0).collect();
            match kind {
                0 => Row::at_least(entries, at),
                1 => Row::equal(entries, at),
                2 => Row { entries, lower: at, upper: at + width },
                _ => Row::at_most(entries, at),
            }
        },
    )
}

/// A lower bound and an upper one, infinite now and then; never crossed.
fn bounds() -> impl Strategy<Value = (f64, f64)> {
    (integer(-6..=6), integer(0..=6), 0..12u8).prop_map(|(lower, width, kind)| match kind {
        0 => (f64::NEG_INFINITY, lower),
        1 => (lower, f64::INFINITY),
        _ => (lower, lower + width),
    })
}

fn program() -> impl Strategy<Value = LinearProgram> {
    (2usize..=8)
        .prop_flat_map(|n| {
            let objective = prop::collection::vec(integer(-3..=3), n);
            (objective, prop::collection::vec(bounds(), n), prop::collection::vec(row(n), 0..8))
        })
        .prop_map(|(objective, bounds, rows)| {
            let (lower, upper) = bounds.into_iter().unzip();
            LinearProgram { objective, lower, upper, rows }
        })
}

/// A change of the bounds and of the cost of a column, by its index modulo the number of columns.
fn changes() -> impl Strategy<Value = Vec<(usize, (f64, f64), f64)>> {
    prop::collection::vec((0usize..8, bounds(), integer(-3..=3)), 1..6)
}

/// Checks an outcome's proof.
fn check(program: &LinearProgram, outcome: &LpOutcome) -> Result<(), TestCaseError> {
    match outcome {
        LpOutcome::Optimal { point, value, row_duals, column_duals } => {
            prop_assert!(program.violation(point) < TOLERANCE);
            let residual = program.column_residual(&program.objective, row_duals);
            for (r, d) in residual.iter().zip(column_duals) {
                prop_assert!((r - d).abs() < TOLERANCE, "c - A'y = {}, d = {}", r, d);
            }
            let dual = program.dual_value(row_duals, column_duals);
            prop_assert!((value - dual).abs() < TOLERANCE, "value {}, but the multipliers prove {}", value, dual);
        }
        LpOutcome::Infeasible(refutation) => {
            prop_assert!(refutation.gap(program) > TOLERANCE, "refuted by {} only", refutation.gap(program));
            if let Refutation::Farkas { row_ray, column_ray } = refutation {
                let combined = program.column_residual(&vec![0.0; program.columns()], row_ray);
                for (r, d) in combined.iter().zip(column_ray) {
                    prop_assert!((r - d).abs() < TOLERANCE, "-A'y = {}, d = {}", r, d);
                }
            }
        }
        LpOutcome::Unbounded => {}
        LpOutcome::Stalled(reason) => prop_assert!(false, "the simplex method stalled on integers: {:?}", reason),
    }
    Ok(())
}

fn same(one: &LpOutcome, other: &LpOutcome) -> bool {
    match (one, other) {
        (LpOutcome::Optimal { value, .. }, LpOutcome::Optimal { value: other, .. }) => {
            (value - other).abs() < TOLERANCE
        }
        (LpOutcome::Infeasible(_), LpOutcome::Infeasible(_)) | (LpOutcome::Unbounded, LpOutcome::Unbounded) => true,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn warm_answers_as_cold(program in program(), rounds in prop::collection::vec(changes(), 1..5)) {
        let settings = LpSettings::default();
        let mut session = Session::new(program, &settings).unwrap();
        let first = session.solve().unwrap();
        check(session.program(), &first)?;
        for changes in rounds {
            for (column, (lower, upper), cost) in changes {
                let column = column % session.program().columns();
                session.set_bounds(column, lower, upper).unwrap();
                session.set_cost(column, cost).unwrap();
            }
            let warm = session.solve().unwrap();
            let program = session.program().clone();
            check(&program, &warm)?;
            let cold = Simplex.solve(&program, &settings).unwrap();
            check(&program, &cold)?;
            prop_assert!(same(&warm, &cold), "warm {:?}, cold {:?}", warm, cold);
            let scratch = session.solve_from_scratch().unwrap();
            prop_assert!(same(&warm, &scratch), "warm {:?}, from scratch {:?}", warm, scratch);
        }
    }

    #[test]
    fn agrees_with_interior_points(program in program()) {
        let settings = LpSettings::default();
        let simplex = Simplex.solve(&program, &settings).unwrap();
        match InteriorPoint.solve(&program, &settings).unwrap() {
            // An outcome without a claim.
            LpOutcome::Stalled(_) => {}
            interior => prop_assert!(same(&simplex, &interior), "simplex {:?}, interior point {:?}", simplex, interior),
        }
    }
}

/// A dense program with few zeros, 12 by 12, bounded by its rows.
fn dense() -> LinearProgram {
    let size = 12;
    let mut program = LinearProgram::new(vec![-1.0; size], vec![0.0; size], vec![f64::INFINITY; size]);
    for i in 0..size {
        let entries = (0..size).map(|j| (j, 1.0 + ((7 * i + 5 * j + i * j) % 11) as f64)).collect();
        program.rows.push(Row::at_most(entries, 50.0 + i as f64));
    }
    program
}

fn value(outcome: LpOutcome) -> f64 {
    match outcome {
        LpOutcome::Optimal { value, .. } => value,
        other => panic!("expected an optimum, found {other:?}"),
    }
}

#[test]
fn a_basis_is_a_warm_start() {
    let mut session = Session::new(dense(), &LpSettings::default()).unwrap();
    assert_eq!(session.basis().unwrap(), None);
    let best = value(session.solve().unwrap());
    let from_scratch = session.iterations();
    assert!(from_scratch > 0);
    let basis = session.basis().unwrap().unwrap();
    assert_eq!((basis.columns(), basis.rows()), (12, 12));

    assert_eq!(value(session.solve().unwrap()), best);
    assert_eq!(session.iterations(), 0, "the optimal basis needs no iteration");
    session.set_bounds(0, 0.0, 0.5).unwrap();
    value(session.solve().unwrap());
    session.set_bounds(0, 0.0, f64::INFINITY).unwrap();
    session.set_basis(&basis).unwrap();
    assert!((value(session.solve().unwrap()) - best).abs() < TOLERANCE);
    assert_eq!(session.iterations(), 0, "the optimal basis needs no iteration");
    session.solve_from_scratch().unwrap();
    assert_eq!(session.iterations(), from_scratch, "the same path from scratch");

    let mut other = Session::new(LinearProgram::new(vec![1.0], vec![0.0], vec![1.0]), &LpSettings::default()).unwrap();
    assert!(matches!(other.set_basis(&basis), Err(OptError::BasisShape { columns: 12, rows: 12, .. })));
}

#[test]
fn crossed_bounds_come_and_go() {
    let mut program = LinearProgram::new(vec![1.0, 1.0], vec![0.0; 2], vec![4.0, 1.0]);
    program.rows = vec![Row::at_least(vec![(0, 1.0), (1, 2.0)], 3.0)];
    program.lower[1] = 2.0;
    let mut session = Session::new(program, &LpSettings::default()).unwrap();
    assert_eq!(session.solve().unwrap(), LpOutcome::Infeasible(Refutation::CrossedColumn(1)));
    session.set_bounds(0, 5.0, 4.0).unwrap();
    assert_eq!(session.solve().unwrap(), LpOutcome::Infeasible(Refutation::CrossedColumn(0)));
    session.set_many_bounds(&[(0, 0.0, 4.0), (1, 0.0, 1.0)]).unwrap();
    assert!((value(session.solve().unwrap()) - 2.0).abs() < TOLERANCE);
    session.set_many_costs(&[(0, 0.0), (1, 1.0)]).unwrap();
    assert!(value(session.solve().unwrap()).abs() < TOLERANCE);
}

#[test]
fn limits_are_outcomes_and_can_be_lifted() {
    let none = LpSettings { max_iterations: Some(0), ..LpSettings::default() };
    let mut session = Session::new(dense(), &none).unwrap();
    assert_eq!(session.solve().unwrap(), LpOutcome::Stalled(StallReason::Iterations));
    session.set_settings(&LpSettings { time_limit: Some(std::time::Duration::ZERO), ..LpSettings::default() }).unwrap();
    assert_eq!(session.solve_from_scratch().unwrap(), LpOutcome::Stalled(StallReason::Time));
    session.set_settings(&LpSettings::default()).unwrap();
    value(session.solve().unwrap());
}

#[test]
fn a_fault_leaves_the_program_as_it_was() {
    let mut session = Session::new(dense(), &LpSettings::default()).unwrap();
    let fault = session.set_many_bounds(&[(0, 1.0, 2.0), (1, f64::NAN, 2.0)]);
    assert!(matches!(fault, Err(OptError::ColumnBound { column: 1, side: BoundSide::Lower, .. })));
    assert!(matches!(session.set_bounds(12, 0.0, 1.0), Err(OptError::ColumnIndex { column: 12, columns: 12 })));
    let fault = session.set_many_costs(&[(0, 1.0), (3, f64::INFINITY)]);
    assert!(matches!(fault, Err(OptError::Objective { column: 3, .. })));
    assert_eq!(*session.program(), dense());
    let strict = LpSettings { tolerance: 1e-12, ..LpSettings::default() };
    assert!(matches!(session.set_settings(&strict), Err(OptError::HighsOption { .. })));
}

#[test]
fn sessions_move_between_threads() {
    let mut session = Session::new(dense(), &LpSettings::default()).unwrap();
    let best = value(session.solve().unwrap());
    let moved = std::thread::spawn(move || {
        session.set_bounds(0, 0.0, 9.0).unwrap();
        value(session.solve().unwrap())
    });
    assert!((moved.join().unwrap() - best).abs() < TOLERANCE);
}
