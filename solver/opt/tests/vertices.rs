//! Random small programs against the enumeration of all vertices.

use proptest::prelude::*;
use secateur_opt::{LinearProgram, LpOutcome, LpSettings, Row, solve};

/// Coefficients are integers up to 3 and bounds up to 6, so vertices are quotients of small integers:
/// distinct ones, and slacks that are not zero, differ by far more than this.
const TOLERANCE: f64 = 1e-6;

/// The halfspaces $a^\top x \le b$ of a program.
fn halfspaces(program: &LinearProgram) -> Vec<(Vec<f64>, f64)> {
    let columns = program.columns();
    let mut halfspaces = Vec::new();
    let mut both = |normal: Vec<f64>, lower: f64, upper: f64| {
        if lower.is_finite() {
            halfspaces.push((normal.iter().map(|v| -v).collect(), -lower));
        }
        if upper.is_finite() {
            halfspaces.push((normal, upper));
        }
    };
    for row in &program.rows {
        let mut normal = vec![0.0; columns];
        row.entries.iter().for_each(|&(column, value)| normal[column] += value);
        both(normal, row.lower, row.upper);
    }
    for column in 0..columns {
        let mut normal = vec![0.0; columns];
        normal[column] = 1.0;
        both(normal, program.lower[column], program.upper[column]);
    }
    halfspaces
}

/// Solves a square system by elimination with partial pivoting; `None` when it is singular.
fn intersect(mut system: Vec<(Vec<f64>, f64)>) -> Option<Vec<f64>> {
    let n = system.len();
    for k in 0..n {
        let pivot = (k..n).max_by(|&a, &b| system[a].0[k].abs().total_cmp(&system[b].0[k].abs()))?;
        if system[pivot].0[k].abs() < 1e-9 {
            return None;
        }
        system.swap(k, pivot);
        let (normal, bound) = system[k].clone();
        for (i, line) in system.iter_mut().enumerate() {
            if i != k {
                let factor = line.0[k] / normal[k];
                line.0.iter_mut().zip(&normal).for_each(|(v, p)| *v -= factor * p);
                line.1 -= factor * bound;
            }
        }
    }
    Some((0..n).map(|k| system[k].1 / system[k].0[k]).collect())
}

/// The least value over all vertices; `None` when there are none. The box is finite, so this decides.
fn least_vertex(program: &LinearProgram) -> Option<f64> {
    let halfspaces = halfspaces(program);
    let n = program.columns();
    let mut least: Option<f64> = None;
    let mut chosen: Vec<usize> = (0..n).collect();
    loop {
        if let Some(point) = intersect(chosen.iter().map(|&i| halfspaces[i].clone()).collect())
            && program.violation(&point) < 1e-9
        {
            let value = program.value(&point);
            least = Some(least.map_or(value, |least| least.min(value)));
        }
        // The next subset of n halfspaces.
        let Some(k) = (0..n).rev().find(|&k| chosen[k] + n - k < halfspaces.len()) else {
            return least;
        };
        chosen[k] += 1;
        for later in k + 1..n {
            chosen[later] = chosen[later - 1] + 1;
        }
    }
}

fn small() -> impl Strategy<Value = f64> {
    (-3i32..=3).prop_map(f64::from)
}

fn row(columns: usize) -> impl Strategy<Value = Row> {
    (prop::collection::vec(small(), columns), -6i32..=6, 0i32..=4, 0..4u8).prop_map(|(normal, at, width, kind)| {
        let entries = normal.into_iter().enumerate().filter(|(_, v)| *v != 0.0).collect();
        let at = f64::from(at);
        match kind {
            0 => Row::at_most(entries, at),
            1 => Row::at_least(entries, at),
            2 => Row::equal(entries, at),
            _ => Row { entries, lower: at, upper: at + f64::from(width) },
        }
    })
}

fn program() -> impl Strategy<Value = LinearProgram> {
    (1usize..=3)
        .prop_flat_map(|n| {
            let bounds = prop::collection::vec((-3i32..=3, 0i32..=4), n);
            (prop::collection::vec(small(), n), bounds, prop::collection::vec(row(n), 0..6))
        })
        .prop_map(|(objective, bounds, rows)| {
            let lower: Vec<f64> = bounds.iter().map(|(l, _)| f64::from(*l)).collect();
            let upper = bounds.iter().map(|(l, w)| f64::from(l + w)).collect();
            LinearProgram { objective, lower, upper, rows }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_vertex_enumeration(program in program()) {
        match (solve(&program, &LpSettings::default()).unwrap(), least_vertex(&program)) {
            (LpOutcome::Optimal { point, value, row_duals, column_duals }, Some(least)) => {
                prop_assert!((value - least).abs() < TOLERANCE, "value {} but the best vertex has {}", value, least);
                prop_assert!(program.violation(&point) < TOLERANCE);
                let dual = program.dual_value(&row_duals, &column_duals);
                prop_assert!((value - dual).abs() < TOLERANCE, "value {} but the duals prove {}", value, dual);
            }
            (LpOutcome::Infeasible(refutation), None) => prop_assert!(refutation.gap(&program) > TOLERANCE),
            // An interior-point method may stall, mostly on equalities that contradict each other. That is an
            // outcome without a claim; the known programs must not stall.
            (LpOutcome::Stalled(_), _) => {}
            (outcome, least) => prop_assert!(false, "found {:?}, by enumeration {:?}", outcome, least),
        }
    }
}
