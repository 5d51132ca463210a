//! Nonlinear programs with known answers.
#![cfg(feature = "nlp")]

use secateur_opt::nonlinear::{NlpFunction, NlpStatus};
use secateur_opt::{NlpSettings, NlpSolver, NonlinearFault, NonlinearProgram, OptError, Pounce, Warm};

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
