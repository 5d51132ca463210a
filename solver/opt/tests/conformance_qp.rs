//! Convex quadratic programs against published answers.

mod files;

use secateur_opt::{LinearProgram, LpOutcome, LpSettings, MpsForm, MpsModel, OptError, QuadraticProgram, Row};

/// The method's tolerance is 1e-8 relative to data of size up to 5e4 (HS268).
const TOLERANCE: f64 = 1e-5;

/// Checks that the point is feasible and a minimiser (the multipliers prove it by convexity), and returns its value.
#[track_caller]
fn optimum(program: &QuadraticProgram) -> f64 {
    match program.solve(&LpSettings::default()).unwrap() {
        LpOutcome::Optimal { point, value, row_duals, column_duals } => {
            assert!(program.linear.violation(&point) < TOLERANCE);
            let gradient = program.gradient(&point);
            let scale = gradient.iter().chain(&program.linear.objective).fold(1.0, |size: f64, v| size.max(v.abs()));
            let residual = program.linear.column_residual(&gradient, &row_duals);
            for (r, d) in residual.iter().zip(&column_duals) {
                assert!((r - d).abs() < TOLERANCE * scale, "gradient - A'y = {r}, d = {d}");
            }
            let tangent: f64 = gradient.iter().zip(&point).map(|(g, x)| g * x).sum();
            let dual = program.linear.dual_value(&row_duals, &column_duals);
            assert!((tangent - dual).abs() < TOLERANCE * scale, "tangent {tangent}, multipliers {dual}");
            value
        }
        other => panic!("expected an optimum, found {other:?}"),
    }
}

fn read(name: &str, data: &str) -> (MpsModel, QuadraticProgram) {
    let text = files::text(name, data).unwrap_or_else(|| panic!("no file {name}"));
    let model = MpsModel::read(&text, MpsForm::Free).unwrap_or_else(|error| panic!("{name}: {error}"));
    let program = QuadraticProgram { linear: model.program.clone(), quadratic: model.quadratic.clone() };
    (model, program)
}

#[test]
fn hock_and_schittkowski() {
    let table = files::text("qp/expected.csv", "").unwrap();
    for line in table.lines().skip(1) {
        let [file, objective, _source] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (model, program) = read(&format!("qp/{file}"), &format!("hs_qp/{file}"));
        let (found, expected) = (model.objective_value(optimum(&program)), objective.parse::<f64>().unwrap());
        // The constants of the objective are of size 1e4 in HS268 and cancel.
        let size = model.offset.abs().max(1.0);
        assert!((found - expected).abs() < TOLERANCE * size, "{file}: {found}, expected {expected}");
    }
}

#[test]
fn the_example_of_highs() {
    let (model, program) = read("lp/qjh.mps", "lp/qjh.mps");
    assert!((model.objective_value(optimum(&program)) + 5.25).abs() < TOLERANCE);
}

#[test]
fn fixed_columns_move_the_minimum() {
    // x² + xy over x ≥ -10 with y = 4 is least at x = -2.
    let mut linear = LinearProgram::new(vec![0.0; 2], vec![-10.0, 4.0], vec![f64::INFINITY, 4.0]);
    let quadratic = vec![(0, 0, 2.0), (0, 1, 1.0), (1, 1, 1.0)];
    let program = QuadraticProgram { linear: linear.clone(), quadratic: quadratic.clone() };
    assert!((optimum(&program) - 4.0).abs() < TOLERANCE);
    linear.rows = vec![Row::at_least(vec![(1, 1.0)], 5.0)];
    let program = QuadraticProgram { linear, quadratic };
    assert!(matches!(program.solve(&LpSettings::default()).unwrap(), LpOutcome::Infeasible(_)));
}

#[test]
fn no_constraints_and_no_lower_end() {
    let free = |objective: Vec<f64>| LinearProgram::new(objective, vec![-f64::INFINITY; 2], vec![f64::INFINITY; 2]);
    let bowl = QuadraticProgram { linear: free(vec![2.0, 0.0]), quadratic: vec![(0, 0, 1.0)] };
    assert!((optimum(&bowl) + 2.0).abs() < TOLERANCE);
    let slope = QuadraticProgram { linear: free(vec![2.0, 1.0]), quadratic: vec![(0, 0, 1.0)] };
    assert_eq!(slope.solve(&LpSettings::default()).unwrap(), LpOutcome::Unbounded);
}

#[test]
fn what_is_not_convex_is_refused() {
    let linear = LinearProgram::new(vec![0.0; 2], vec![0.0; 2], vec![1.0; 2]);
    let check = |quadratic: Vec<_>| QuadraticProgram { linear: linear.clone(), quadratic }.check();
    assert!(matches!(check(vec![(0, 1, 1.0)]), Err(OptError::NotConvex)));
    assert!(matches!(check(vec![(0, 0, 1.0), (0, 1, 1.1), (1, 1, 1.0)]), Err(OptError::NotConvex)));
    assert!(check(vec![(0, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0)]).is_ok());
    assert!(matches!(check(vec![(1, 0, 1.0)]), Err(OptError::Quadratic { row: 1, column: 0, .. })));
    assert!(matches!(check(vec![(1, 1, 1.0), (1, 1, 1.0)]), Err(OptError::Quadratic { row: 1, column: 1, .. })));
}
