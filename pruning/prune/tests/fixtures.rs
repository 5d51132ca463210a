//! Scores, masks and adjusted weights against an independent implementation (`fixtures/generate.py`, PyTorch and numpy).

use secateur_linalg::Tensor;
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_nn::onnx;
use secateur_prune::reconstruct::{Landmarks, NystromParams, Reconstruction, SparsegptParams, nystrom, sparsegpt};
use secateur_prune::weights::{constants, weights};
use secateur_prune::{Allocation, Budget, Calibration, Method, Scope, Settings, Targets, prune, structure};
use serde_json::Value;
use std::path::Path;

struct Case {
    name: String,
    graph: Graph,
    data: Calibration,
    record: Value,
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn cases() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let text = std::fs::read_to_string(directory.join("scores.json")).unwrap();
    let records: Vec<Value> = serde_json::from_str(&text).unwrap();
    let case = |record: Value| {
        let name = record["name"].as_str().unwrap().to_owned();
        let graph = onnx::read(directory.join(format!("{name}.onnx"))).unwrap();
        let single = |row: &Value| numbers(row).into_iter().map(|v| v as f32).collect();
        let inputs = record["inputs"].as_array().unwrap().iter().map(single).collect();
        let labels = numbers(&record["labels"]).into_iter().map(|l| l as usize).collect();
        let data = Calibration::new(inputs, Targets::Labels(labels)).unwrap();
        Case { name, graph, data, record }
    };
    records.into_iter().map(case).collect()
}

fn same_masks(masks: &Masks, expected: &Value, what: &str) {
    for (name, bits) in expected.as_object().unwrap() {
        let found: String = masks.0[name].data().iter().map(|keep| if *keep { '1' } else { '0' }).collect();
        assert_eq!(found, bits.as_str().unwrap(), "{what}: {name}");
    }
}

/// Weights are stored in f32 between layers on both sides, so that a last place may differ.
fn same_weights(graph: &Graph, expected: &Value, what: &str) {
    let found = constants(graph);
    for (name, values) in expected.as_object().unwrap() {
        for (a, b) in found[name].data().iter().zip(numbers(values)) {
            assert!((f64::from(*a) - b).abs() < 1e-6 * (1.0 + b.abs()), "{what}: {name}: {a} {b}");
        }
    }
}

#[test]
fn scores_agree() {
    for Case { name, graph, data, record } in cases() {
        let scores = record["scores"].as_object().unwrap();
        assert_eq!(scores.len(), 10);
        for (method, expected) in scores {
            let criterion = method.parse::<Method>().unwrap().criterion(0).unwrap();
            let found = criterion.score(&graph, Some(&data)).unwrap();
            for (tensor, values) in expected.as_object().unwrap() {
                let values = numbers(values);
                let size = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                for (a, b) in found.scores[tensor].data().iter().zip(values) {
                    // Sums of up to a few hundred terms in f64, in another order. SynFlow drives the hyperbolic tangent
                    // of one network to 1 - 1e-8, where its slope has half of the digits.
                    let tolerance = if method == "synflow" && name == "mlp" { 1e-8 } else { 1e-10 };
                    assert!((a - b).abs() < tolerance * size, "{name} {method} {tensor}: {a} {b}");
                }
            }
        }
    }
}

fn budget(scope: Scope, sparsity: f64) -> Budget {
    Budget { scope, allocation: Allocation::Uniform, sparsity, keep_layers: false }
}

#[test]
fn synflow_ends_with_the_same_mask_after_a_hundred_rounds() {
    for Case { name, graph, record, .. } in cases() {
        let expected = &record["synflow_mask"];
        let sparsity = 1.0 - expected["density"].as_f64().unwrap();
        let budget = Budget { allocation: Allocation::Global, ..budget(Scope::Weight, sparsity) };
        let rounds = expected["rounds"].as_u64().unwrap() as usize;
        let settings = Settings { method: Method::Synflow, budget, rounds, seed: 0 };
        same_masks(&prune(&graph, None, &settings).unwrap().masks, &expected["mask"], &name);
    }
}

#[test]
fn sparsegpt_agrees() {
    for Case { name, graph, data, record } in cases() {
        let params = SparsegptParams::default();
        let check = |key: &str, budget: Budget| {
            let Reconstruction { masks, graph } = sparsegpt(&graph, &data, &budget, &params).unwrap();
            same_masks(&masks, &record[key]["mask"], &name);
            same_weights(&graph, &record[key]["weights"], &name);
        };
        check("sparsegpt", budget(Scope::Weight, 0.5));
        if name == "mlp" {
            check("sparsegpt_2_4", budget(Scope::Pattern { n: 2, m: 4 }, 0.5));
        }
    }
}

#[test]
fn nystrom_agrees() {
    let Case { graph, data, record, .. } = cases().remove(0);
    for (rule, landmarks) in [("greedy", Landmarks::Greedy), ("leverage", Landmarks::Leverage)] {
        let expected = &record["nystrom"][rule];
        let params = NystromParams { landmarks, ..NystromParams::default() };
        let found = nystrom(&graph, &data, &budget(Scope::Neuron, 0.5), &params).unwrap();
        // The kept neurons are those whose bias stays.
        for (bias, kept) in ["b0", "b1"].iter().zip(expected["landmarks"].as_array().unwrap()) {
            let mask: &Tensor<bool> = found.masks.get(bias).unwrap();
            let stays: Vec<f64> = (0..mask.len()).filter(|j| mask.data()[*j]).map(|j| j as f64).collect();
            assert_eq!(stays, numbers(kept), "{rule}");
        }
        // Columns of removed neurons are 0 there; rows of neurons that the next layer loses are masked here only.
        let stored = constants(&found.graph);
        for (name, values) in expected["weights"].as_object().unwrap() {
            let mask = found.masks.get(name).unwrap();
            for ((a, b), keep) in stored[name].data().iter().zip(numbers(values)).zip(mask.data()) {
                let b = if *keep { b } else { 0.0 };
                // f32 storage; the normal equations have a condition of up to 1e4.
                assert!((f64::from(*a) - b).abs() < 1e-5 * (1.0 + b.abs()), "{rule} {name}: {a} {b}");
            }
        }
    }
}

#[test]
fn the_convolutional_network_has_the_units_that_its_groups_allow() {
    let Case { graph, .. } = cases().remove(1);
    let names: Vec<String> = weights(&graph).unwrap().into_iter().map(|w| w.name).collect();
    assert_eq!(names, ["k0", "k1", "w"]);
    // Two groups of the second convolution, each with its inputs, its outputs and their features.
    let units = structure(&graph).unwrap().units;
    let shares: Vec<Vec<(String, usize)>> = units
        .iter()
        .map(|u| u.parts.iter().filter(|p| p.weight).map(|p| (p.constant.clone(), p.indices.len())).collect())
        .collect();
    let expected = [("k0", 2), ("k1", 3), ("w", 12)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(shares, [expected.to_vec(), expected.to_vec()]);
}
