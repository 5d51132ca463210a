//! `secateur ntk` as a person runs it: kernels of networks and of layers, and what it refuses.

use secateur_nn::models::{self, Initialisation};
use secateur_nn::onnx;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.stdin(Stdio::null()).env_remove("SECATEUR_DATA").arg("ntk").args(arguments);
    command.output().expect("the program runs")
}

fn record(arguments: &[&str]) -> Value {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().expect("UTF-8").to_owned()
}

/// Labels 0, 1, 2 and nine pixels.
fn samples(directory: &Path) -> String {
    let file = path(directory, "samples.csv");
    let row = |i: usize| {
        // The high bits of a multiplicative sequence.
        let noise = |k: usize| (k as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
        let pixels = (0..9).map(|p| ((noise(9 * i + p) + 60 * ((i % 3) * (p % 3)) as u64) % 256).to_string());
        format!("{},{}\n", i % 3, pixels.collect::<Vec<_>>().join(","))
    };
    std::fs::write(&file, (0..60).map(row).collect::<String>()).expect("written");
    file
}

#[test]
fn kernels_of_a_network() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, network) = (samples(directory.path()), path(directory.path(), "net.onnx"));
    let graph = models::mlp(&[9, 12, 3], Initialisation::He, 1).expect("a network");
    onnx::write(&graph, Path::new(&network)).expect("written");
    let kernel = path(directory.path(), "kernel.csv");
    let found = record(&[&network, "--data", &data, "--samples", "20", "--kernel", &kernel, "--json", "-"]);
    assert_eq!((found["samples"].as_u64(), found["outputs"].as_u64()), (Some(20), Some(3)));
    assert_eq!(found["weights"], serde_json::json!([159, 159]));
    let rows = std::fs::read_to_string(&kernel).expect("a kernel");
    let numbers: Vec<f64> = rows.split([',', '\n']).filter_map(|v| v.parse().ok()).collect();
    let trace: f64 = numbers.iter().step_by(21).sum();
    // Printed with the digits that identify them.
    assert!(
        (trace / found["spectrum"]["trace"].as_f64().expect("a trace") - 1.0).abs() < 1e-12 && numbers.len() == 400
    );
    let each = record(&[&network, "--data", &data, "--samples", "20", "--outputs", "each", "--json", "-"]);
    let values = each["spectrum"]["eigenvalues"].as_array().expect("eigenvalues");
    let sum = each["spectrum"]["trace"].as_f64().expect("a trace");
    assert!(values.len() == 60 && (sum / (3.0 * trace) - 1.0).abs() < 1e-12);
    let single = record(&[&network, "--data", &data, "--samples", "20", "--precision", "f32", "--json", "-"]);
    let difference = single["spectrum"]["trace"].as_f64().expect("a trace") / trace - 1.0;
    assert!(difference.abs() < 1e-5 && difference != 0.0, "{difference:e}");
}

#[test]
fn predictions_of_layers() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, spec) = (samples(directory.path()), path(directory.path(), "layers.toml"));
    let layers = |density: &str| {
        let text = format!(
            "input = [1, 3, 3]\nlayers = [{{ conv = {{ kernel = 2, weights = {{ std = 1.4, density = {density} }} }} }}, 'relu',
             'flatten', {{ dense = {{ std = 1.4 }} }}]"
        );
        std::fs::write(&spec, text).expect("written");
    };
    let ask = ["--architecture", &spec, "--data", &data, "--classes", "0,2", "--samples", "24", "--ridge", "0.01"];
    let ask = [&ask[..], &["--test", "10", "--json", "-"]].concat();
    layers("1.0");
    let dense = record(&ask);
    assert_eq!((dense["gradient"].as_str(), dense["regression"]["classes"].as_u64()), (Some("kept"), Some(2)));
    assert!(dense["regression"]["bound"]["explicit"].as_f64().expect("a bound") > 0.0);
    layers("0.25");
    let sparse = record(&ask);
    let of = |record: &Value, key: &str| record["spectrum"][key].as_f64().expect("a number");
    // One sparse layer of density c: the kernel is c times the dense one.
    assert!((of(&sparse, "trace") / of(&dense, "trace") - 0.25).abs() < 1e-12);
    assert!((of(&sparse, "effective-rank") / of(&dense, "effective-rank") - 1.0).abs() < 1e-12);
    assert_eq!(sparse["regression"]["test-accuracy"], dense["regression"]["test-accuracy"]);
}

#[test]
fn bad_input_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, spec) = (samples(directory.path()), path(directory.path(), "layers.toml"));
    std::fs::write(&spec, "input = [9]\nlayers = [{ dense = { density = 2 } }]").expect("written");
    let with = |more: &[&str]| refused(&[&["--architecture", &spec, "--data", &data], more].concat());
    assert!(with(&["--samples", "5"]).contains("layer 1 (dense): density: expected a share from 0 to 1, found 2"));
    std::fs::write(&spec, "input = [9]\nlayers = [{ dense = {} }]").expect("written");
    assert!(with(&["--samples", "61"]).contains("61 samples are asked for"));
    assert!(with(&["--samples", "0"]).contains("0 samples are asked for"));
    assert!(with(&["--samples", "5", "--classes", "7"]).contains("0 were found"));
    assert!(with(&["--masked-zeros", "keep"]).contains("cannot be used with"));
    std::fs::write(&spec, "input = [9]\nlayers = [{ dense = { rho = 2 } }]").expect("written");
    assert!(with(&[]).contains("unknown field `rho`"));
    std::fs::write(&spec, "input = [9]\nlayers = [{ dense = {} }]").expect("written");
    assert!(with(&["--samples", "5", "--ridge", "-1", "--test", "5"]).contains("ridge: expected a number, at least 0"));
    // Nine numbers give a linear kernel of rank 9.
    assert!(with(&["--samples", "20", "--ridge", "0", "--test", "5"]).contains("singular"));
    std::fs::write(&spec, "input = [8]\nlayers = [{ dense = {} }]").expect("written");
    assert!(with(&["--samples", "5"]).contains("input: expected [8], found [9]"));
    assert!(refused(&["--data", &data]).contains("--architecture"));
    assert!(refused(&["--architecture", "none.toml", "--data", &data]).contains("none.toml"));
    assert!(refused(&["--architecture", &spec, "--data", "mnist"]).contains("--data-dir"));
}
