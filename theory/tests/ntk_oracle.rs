//! The infinite-width kernels against values of the JAX library `neural_tangents`, and against closed forms.
//!
//! `fixtures/ntk_values.py` says where `fixtures/ntk_values.json` comes from, and computes it anew.

use secateur_theory::ntk::{Architecture, Layer, Plan, Weights};
use serde::Deserialize;

#[derive(Deserialize)]
struct Oracle {
    #[serde(rename = "X")]
    inputs: Vec<Vec<f64>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    activation: String,
    hidden_layers: usize,
    #[serde(rename = "W_std")]
    weight_std: f64,
    b_std: f64,
    nngp: Vec<Vec<f64>>,
    ntk: Vec<Vec<f64>>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("fixtures/ntk_values.json")).expect("the fixture")
}

#[test]
fn every_value_of_neural_tangents() {
    let Oracle { inputs, cases } = oracle();
    assert_eq!(cases.len(), 9);
    let mut largest: f64 = 0.0;
    for case in cases {
        let activation = if case.activation == "relu" { Layer::Relu } else { Layer::Erf };
        let weights = Weights::new(case.weight_std, case.b_std);
        let architecture = Architecture::fully_connected(3, case.hidden_layers, &activation, &weights);
        let plan = Plan::new(&architecture).expect("a plan");
        let found = plan.gram(&inputs).expect("kernels");
        for (found, expected) in [(found.nngp, case.nngp.concat()), (found.ntk, case.ntk.concat())] {
            for (a, b) in found.iter().zip(&expected) {
                largest = largest.max((a - b).abs());
            }
        }
    }
    // Numbers up to 11 and a few dozen roundings; the library differs from the fixture's closed forms by 9e-16.
    assert!(largest < 2e-14, "{largest:e}");
}

#[test]
fn rows_and_columns_may_be_different_inputs() {
    let Oracle { inputs, .. } = oracle();
    let architecture = Architecture::fully_connected(3, 2, &Layer::Relu, &Weights::new(1.3, 0.2));
    let plan = Plan::new(&architecture).expect("a plan");
    let all = plan.gram(&inputs).expect("kernels");
    let part = plan.cross(&inputs[1..3], &inputs).expect("kernels");
    assert_eq!((part.rows, part.cols), (2, 4));
    assert_eq!(part.ntk, all.ntk[4..12]);
    assert_eq!(part.nngp, all.nngp[4..12]);
}
