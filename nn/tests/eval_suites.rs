//! Evaluation agrees with ONNX Runtime on every network of the public suites, where they are at hand.
//!
//! The outputs are recorded by `fixtures/record_suites.py`.

use secateur_linalg::Tensor;
use secateur_nn::eval::Evaluator;
use secateur_nn::onnx;
use serde_json::Value;
use std::path::Path;

/// The inputs of `record_suites.py`.
fn entries(seed: u64, count: usize, lower: f64, upper: f64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (lower + (upper - lower) * ((state >> 40) as f64 / (1 << 24) as f64)) as f32
    };
    (0..count).map(|_| next()).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn difference(found: impl Iterator<Item = f64>, expected: &[f64]) -> f64 {
    found.zip(expected).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()))
}

#[test]
fn suites_agree_with_onnx_runtime() {
    let Some(root) = std::env::var_os("SECATEUR_BENCH") else {
        println!("skipped: SECATEUR_BENCH is not set");
        return;
    };
    let records: Value = serde_json::from_str(include_str!("fixtures/ort_suites.json")).unwrap();
    let seeds: Vec<u64> = records["seeds"].as_array().unwrap().iter().map(|s| s.as_u64().unwrap()).collect();
    for record in records["networks"].as_array().unwrap() {
        let network = record["network"].as_str().unwrap();
        let graph = onnx::read(Path::new(&root).join(network)).unwrap_or_else(|e| panic!("{e}"));
        let (single, double) = (Evaluator::<f32>::new(&graph).unwrap(), Evaluator::<f64>::new(&graph).unwrap());
        let shape = graph.node(graph.input()).shape.clone();
        let (lower, upper) = (record["lower"].as_f64().unwrap(), record["upper"].as_f64().unwrap());
        let (mut worst, mut scale) = ([0.0_f64; 2], 0.0_f64);
        for (seed, expected) in seeds.iter().zip(record["outputs"].as_array().unwrap()) {
            let expected = numbers(expected);
            let x = Tensor::new(shape.clone(), entries(*seed, shape.iter().product(), lower, upper));
            let y = single.forward(&x).unwrap_or_else(|e| panic!("{network}: {e}"));
            let exact = double.forward(&x.map(|v| f64::from(*v))).unwrap_or_else(|e| panic!("{network}: {e}"));
            assert_eq!(y.len(), expected.len(), "{network}");
            scale = expected.iter().fold(scale, |m, v| m.max(v.abs()));
            worst[0] = worst[0].max(difference(y.data().iter().map(|v| f64::from(*v)), &expected));
            worst[1] = worst[1].max(difference(exact.data().iter().copied(), &expected));
        }
        let worst = worst.map(|w| w / scale);
        println!("{network}: f32 {:.1e}, f64 {:.1e}", worst[0], worst[1]);
        // Relative to the network's largest output: about a hundred roundoffs of f32, which leaves room
        // for sums in another order and for the Runtime's own approximations of sigmoid and tanh.
        assert!(worst.iter().all(|w| *w <= 1e-5), "{network}: differs by {worst:?}");
    }
}
