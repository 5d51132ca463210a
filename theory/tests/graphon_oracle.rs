//! Graphons with known densities and spectra: `fixtures/graphons.json`, closed forms with values at the midpoints of 2000 cells.

use secateur_theory::graphon::StepGraphon;
use serde_json::Value;

const CELLS: usize = 500;

fn kernel(name: &str) -> fn(f64, f64) -> f64 {
    match name {
        "constant p" => |_, _| 0.3,
        "product" => |x, y| x * y,
        "min" => f64::min,
        "uniform attachment" => |x, y| 1.0 - f64::max(x, y),
        "half graph" => |x, y| f64::from(u8::from(x + y >= 1.0)),
        "SBM 2 equal blocks" => |x, y| if (x < 0.5) == (y < 0.5) { 0.8 } else { 0.2 },
        other => panic!("unknown graphon {other}"),
    }
}

fn all() -> Vec<Value> {
    let text = include_str!("fixtures/graphons.json");
    let value: Value = serde_json::from_str(text).expect("JSON");
    value["graphons"].as_array().expect("graphons").clone()
}

#[test]
fn densities_and_spectra_are_the_known_ones() {
    let graphons = all();
    assert_eq!(graphons.len(), 6);
    for known in graphons {
        let name = known["name"].as_str().expect("a name");
        let w = StepGraphon::at_midpoints(CELLS, CELLS, kernel(name)).expect("a graphon");
        // Midpoints of n cells miss smooth kernels by O(1/n²); along the jump of the half graph whole cells are counted, O(1/n). The
        // table's own values are at n = 2000.
        let tolerance = if name == "half graph" { 2.0 / CELLS as f64 } else { 2.0 / (CELLS * CELLS) as f64 };
        let near = |what: &str, found: f64, expected: &Value| {
            if let Some(expected) = expected.as_f64() {
                assert!((found - expected).abs() <= tolerance, "{name}, {what}: {found} {expected}");
            }
        };
        let computed = &known["computed"];
        near("edge", w.edge_density(), &known["edge"]);
        near("cherry", w.cherry_density(), &known["cherry_computed"]);
        for (key, found) in [("triangle", w.triangle_density()), ("c4", w.c4_density())] {
            let found = found.expect("symmetric");
            near(key, found, &known[key]);
            near(key, found, &computed[key]);
        }
        let eigenvalues = w.eigenvalues().expect("a spectrum");
        let listed = known["eigenvalues"].as_array().expect("eigenvalues");
        for (found, expected) in eigenvalues.iter().zip(listed) {
            near("eigenvalue", *found, expected);
        }
        let singular = w.singular_values().expect("a spectrum");
        for (eigenvalue, singular) in eigenvalues.iter().zip(&singular).take(5) {
            assert!((eigenvalue.abs() - singular).abs() < 1e-12, "{name}: {eigenvalue} {singular}");
        }
    }
}

#[test]
fn blocks_are_exact_without_a_grid() {
    let w = StepGraphon::from_matrix(2, 2, vec![0.8, 0.2, 0.2, 0.8]).expect("a graphon");
    let found = [w.edge_density(), w.cherry_density(), w.triangle_density().unwrap(), w.c4_density().unwrap()];
    for (found, expected) in found.iter().zip([0.5, 0.25, 0.152, 0.0706]) {
        // A few roundings.
        assert!((found - expected).abs() < 1e-15, "{found} {expected}");
    }
    let eigenvalues = w.eigenvalues().expect("a spectrum");
    assert!((eigenvalues[0] - 0.5).abs() < 1e-15 && (eigenvalues[1] - 0.3).abs() < 1e-15);
}

#[test]
fn attachment_is_the_minimum_turned_around() {
    let (min, attachment) = (kernel("min"), kernel("uniform attachment"));
    let turned = StepGraphon::at_midpoints(60, 60, |x, y| min(1.0 - x, 1.0 - y)).expect("a graphon");
    let other = StepGraphon::at_midpoints(60, 60, attachment).expect("a graphon");
    assert!(turned.values().iter().zip(other.values()).all(|(a, b)| (a - b).abs() < 1e-15));
}
