//! Mixed-integer programs whose answers are known, and random ones against enumeration.
#![cfg(feature = "mip")]

use proptest::prelude::*;
use secateur_opt::{
    BoundSide, LinearProgram, MicroLp, MipOutcome, MipSettings, MipSolver, MixedIntegerProgram, OptError, Row,
    StallReason,
};
use std::time::Duration;

const INF: f64 = f64::INFINITY;
/// Data are integers up to 9 and integrality holds to 1e-6.
const TOLERANCE: f64 = 1e-4;

fn solvers() -> Vec<Box<dyn MipSolver>> {
    vec![
        Box::new(MicroLp),
        #[cfg(feature = "highs")]
        Box::new(secateur_opt::HighsMip),
    ]
}

fn outcome(solver: &dyn MipSolver, program: &MixedIntegerProgram) -> MipOutcome {
    solver.solve(program, &MipSettings::default()).unwrap().outcome
}

/// The least value over the integer points of the box.
fn enumerate(program: &MixedIntegerProgram) -> Option<f64> {
    let linear = &program.linear;
    let mut point = linear.lower.clone();
    let mut least: Option<f64> = None;
    loop {
        if linear.violation(&point) == 0.0 {
            let value = linear.value(&point);
            least = Some(least.map_or(value, |least| least.min(value)));
        }
        let Some(column) = (0..point.len()).find(|&j| point[j] < linear.upper[j]) else { return least };
        point[..column].copy_from_slice(&linear.lower[..column]);
        point[column] += 1.0;
    }
}

fn program() -> impl Strategy<Value = MixedIntegerProgram> {
    let integer = |range: std::ops::RangeInclusive<i32>| range.prop_map(f64::from);
    (1usize..=4)
        .prop_flat_map(move |n| {
            let row = (prop::collection::vec(integer(-5..=5), n), integer(-9..=9), 0..3u8);
            let bounds = prop::collection::vec((integer(-3..=3), integer(0..=4)), n);
            (prop::collection::vec(integer(-5..=5), n), bounds, prop::collection::vec(row, 0..4))
        })
        .prop_map(|(objective, bounds, rows)| {
            let lower: Vec<f64> = bounds.iter().map(|bound| bound.0).collect();
            let upper = bounds.iter().map(|(lower, width)| lower + width).collect();
            let mut linear = LinearProgram::new(objective, lower, upper);
            for (normal, at, kind) in rows {
                let entries = normal.into_iter().enumerate().collect();
                linear.rows.push(match kind {
                    0 => Row::at_most(entries, at),
                    1 => Row::at_least(entries, at),
                    _ => Row { entries, lower: at - 2.0, upper: at },
                });
            }
            MixedIntegerProgram { integer_columns: (0..linear.columns()).collect(), linear }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn agrees_with_enumeration(program in program()) {
        let least = enumerate(&program);
        for solver in solvers() {
            match (outcome(&*solver, &program), least) {
                (MipOutcome::Optimal { incumbent, bound }, Some(least)) => {
                    prop_assert!((incumbent.value - least).abs() < TOLERANCE, "{} but {}", incumbent.value, least);
                    prop_assert!(program.violation(&incumbent.point) < TOLERANCE);
                    prop_assert!(bound.is_none_or(|bound| bound < least + TOLERANCE), "{:?} but {}", bound, least);
                }
                (MipOutcome::Infeasible, None) => {}
                (outcome, least) => prop_assert!(false, "found {:?}, by enumeration {:?}", outcome, least),
            }
        }
    }
}

#[test]
fn unbounded_only_when_an_integer_point_is_feasible() {
    // x rises without limit; 2y = 1 has no integer solution.
    let mut linear = LinearProgram::new(vec![-1.0, 0.0], vec![0.0; 2], vec![INF, 5.0]);
    linear.rows = vec![Row::equal(vec![(1, 2.0)], 2.0)];
    let mut program = MixedIntegerProgram { linear, integer_columns: vec![1] };
    for solver in solvers() {
        assert_eq!(outcome(&*solver, &program), MipOutcome::Unbounded);
    }
    program.linear.rows[0] = Row::equal(vec![(1, 2.0)], 1.0);
    for solver in solvers() {
        assert_eq!(outcome(&*solver, &program), MipOutcome::Infeasible);
    }
}

#[test]
fn empty_ranges_and_empty_programs() {
    let linear = LinearProgram::new(vec![1.0], vec![0.25], vec![0.75]);
    let mut between = MixedIntegerProgram { linear, integer_columns: vec![0] };
    let mut empty = MixedIntegerProgram::default();
    for solver in solvers() {
        assert_eq!(outcome(&*solver, &between), MipOutcome::Infeasible);
        assert!(matches!(outcome(&*solver, &empty), MipOutcome::Optimal { incumbent, .. } if incumbent.value == 0.0));
    }
    empty.linear.rows = vec![Row::at_least(vec![], 1.0)];
    between.integer_columns[0] = 1;
    for solver in solvers() {
        assert_eq!(outcome(&*solver, &empty), MipOutcome::Infeasible);
        let fault = solver.solve(&between, &MipSettings::default());
        assert!(matches!(fault, Err(OptError::ColumnIndex { column: 1, columns: 1 })));
        let gap = MipSettings { relative_gap: f64::NAN, ..MipSettings::default() };
        assert!(matches!(solver.solve(&empty, &gap), Err(OptError::Gap { .. })));
        let threads = MipSettings { threads: 0, ..MipSettings::default() };
        assert!(matches!(solver.solve(&empty, &threads), Err(OptError::NoThreads)));
    }
}

/// A program whose relaxation is far from its hull: each row sums to half of what its even coefficients can.
fn subset_sums() -> MixedIntegerProgram {
    let size = 30;
    let mut linear = LinearProgram::new(vec![-1.0; size], vec![0.0; size], vec![1.0; size]);
    for i in 0..4 {
        let entries: Vec<_> =
            (0..size).map(|j| (j, (1 + (j * j * (7 + 4 * i) + 13 * j * (i + 1)) % 97) as f64)).collect();
        let half = (entries.iter().map(|entry| entry.1).sum::<f64>() / 2.0).floor();
        linear.rows.push(Row::equal(entries, half));
    }
    MixedIntegerProgram { linear, integer_columns: (0..size).collect() }
}

#[test]
fn a_limit_on_time_is_an_outcome() {
    let settings = MipSettings { time_limit: Some(Duration::ZERO), ..MipSettings::default() };
    for solver in solvers() {
        let outcome = solver.solve(&subset_sums(), &settings).unwrap().outcome;
        assert!(matches!(outcome, MipOutcome::Limit { reason: StallReason::Time, incumbent: None, .. }), "{outcome:?}");
    }
}

#[test]
fn microlp_needs_bounds_on_integer_columns() {
    let linear = LinearProgram::new(vec![1.0], vec![0.0], vec![INF]);
    let program = MixedIntegerProgram { linear, integer_columns: vec![0] };
    let fault = MicroLp.solve(&program, &MipSettings::default());
    assert!(matches!(fault, Err(OptError::IntegerRange { column: 0, side: BoundSide::Upper, .. })));
}

#[cfg(feature = "highs")]
#[test]
fn highs_gives_bound_and_nodes_on_any_number_of_threads() {
    use secateur_opt::{HighsMip, LpSettings, LpSolver, Simplex};
    let program = program_with_a_gap();
    for threads in [1, 2, 1] {
        let settings = MipSettings { threads, ..MipSettings::default() };
        let report = HighsMip.solve(&program, &settings).unwrap();
        let MipOutcome::Optimal { incumbent, bound } = report.outcome else { panic!("found {:?}", report.outcome) };
        assert!((incumbent.value + 3.0).abs() < TOLERANCE, "{}", incumbent.value);
        assert!((bound.unwrap() + 3.0).abs() < TOLERANCE);
        assert!(report.nodes.is_some());
        // The scheduler of the thread fits again.
        Simplex.solve(&program.linear, &LpSettings::default()).unwrap();
    }
}

/// At most 7 of 10 columns' double: the relaxation has 3.5 columns at 1.
#[cfg(feature = "highs")]
fn program_with_a_gap() -> MixedIntegerProgram {
    let mut linear = LinearProgram::new(vec![-1.0; 10], vec![0.0; 10], vec![1.0; 10]);
    linear.rows = vec![Row::at_most((0..10).map(|j| (j, 2.0)).collect(), 7.0)];
    MixedIntegerProgram { linear, integer_columns: (0..10).collect() }
}
