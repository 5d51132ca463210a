//! `secateur prune` as a person runs it: what it writes, what it says, what it refuses.

use secateur_linalg::Tensor;
use secateur_nn::eval::forward;
use secateur_nn::onnx;
use secateur_nn::safetensors::{self, Dtype, Safetensors, Stored};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.stdin(Stdio::null()).env_remove("SECATEUR_DATA").arg("prune").args(arguments);
    command.output().expect("the program runs")
}

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../pruning/prune/tests/fixtures").join(name);
    path.to_str().expect("UTF-8").to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().expect("UTF-8").to_owned()
}

/// Labels and pixels for the dense fixture.
fn samples(directory: &Path) -> String {
    let file = path(directory, "samples.csv");
    let row =
        |i: usize| format!("{},{}\n", i % 4, [31, 67, 101, 7, 211, 149].map(|p| (i * p % 256).to_string()).join(","));
    std::fs::write(&file, (0..40).map(row).collect::<String>()).expect("written");
    file
}

fn record(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn every_method_prunes_and_reports() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, out) = (samples(directory.path()), path(directory.path(), "out.onnx"));
    let methods = [
        "random",
        "magnitude",
        "l1",
        "l2",
        "taylor",
        "taylor2",
        "snip",
        "grasp",
        "grasp-abs",
        "synflow",
        "wanda",
        "sparsegpt",
    ];
    for method in methods {
        let arguments = [
            &fixture("mlp.onnx"),
            "--method",
            method,
            "--sparsity",
            "0.5",
            "--data",
            &data,
            "--samples",
            "20",
            "-o",
            &out,
            "--json",
            "-",
        ];
        let found = record(&run(&arguments));
        // 132 weights and 19 biases.
        assert_eq!(
            (&found["before"]["cost"]["nonzero"], &found["after"]["cost"]["nonzero"]),
            (&151.into(), &85.into()),
            "{method}"
        );
        assert_eq!(found["after"]["file_bytes"], std::fs::metadata(&out).expect("written").len(), "{method}");
        assert!(found["after"]["latency"]["median"].as_f64().expect("a time") > 0.0);
        assert_eq!(found["accuracy_samples"], 20);
        assert!(found["before"]["accuracy"].is_f64() && found["after"]["accuracy"].is_f64());
        onnx::read(&out).expect("a network");
    }
}

#[test]
fn compact_networks_are_smaller_and_compute_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let (wide, small) = (path(directory.path(), "wide.onnx"), path(directory.path(), "small.onnx"));
    for (model, scope, shape) in [("mlp.onnx", "neuron", vec![1, 6]), ("conv.onnx", "channel", vec![1, 2, 5, 5])] {
        let model = fixture(model);
        let arguments = [&model, "--method", "l2", "--sparsity", "0.5", "--scope", scope, "--keep-layers", "-o"];
        let masked = run(&[&arguments[..], &[wide.as_str()]].concat());
        assert_eq!(masked.status.code(), Some(0), "{}", text(&masked.stderr));
        let compacted = run(&[&arguments[..], &[small.as_str(), "--compact"]].concat());
        assert_eq!(compacted.status.code(), Some(0), "{}", text(&compacted.stderr));
        assert!(text(&compacted.stdout).contains("Compaction removed"), "{}", text(&compacted.stdout));
        let size = |file: &str| std::fs::metadata(file).expect("written").len();
        assert!(size(&small) < size(&wide));
        let (wide, small) = (onnx::read(&wide).expect("a network"), onnx::read(&small).expect("a network"));
        let input = Tensor::new(shape.clone(), (0..shape.iter().product()).map(|i: usize| (i as f64).sin()).collect());
        let (a, b) = (forward(&wide, &input).expect("a value"), forward(&small, &input).expect("a value"));
        // Weights are stored in f32.
        assert!(a.data().iter().zip(b.data()).all(|(a, b)| (a - b).abs() < 1e-6 * (1.0 + a.abs())));
    }
}

#[test]
fn masks_are_written_as_truth_values() {
    let directory = tempfile::tempdir().expect("a directory");
    let (out, mask) = (path(directory.path(), "out.onnx"), path(directory.path(), "mask.safetensors"));
    let arguments = [&fixture("mlp.onnx"), "--method", "magnitude", "--scope", "2:4", "-o", &out, "--mask", &mask];
    let output = run(&[&arguments[..], &["--sparsity", "0.5"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let masks = safetensors::read(&mask).expect("a file");
    assert_eq!(masks.tensors.keys().collect::<Vec<_>>(), ["w0", "w1", "w2"]);
    let w0 = &masks.tensors["w0"];
    assert_eq!((w0.dtype, w0.shape.as_slice()), (Dtype::Bool, &[8, 6][..]));
    // Rows of six: two of the first four, and the two that are left over.
    for row in w0.bytes.chunks(6) {
        assert_eq!((row[..4].iter().sum::<u8>(), row[4] + row[5]), (2, 2));
    }
}

#[test]
fn tensors_without_a_network_are_pruned_in_their_own_type() {
    let directory = tempfile::tempdir().expect("a directory");
    let (model, out) = (path(directory.path(), "in.safetensors"), path(directory.path(), "out.safetensors"));
    // 1, -2, 3, -4 as bfloat16.
    let bytes = [0x3f80u16, 0xc000, 0x4040, 0xc080].iter().flat_map(|w| w.to_le_bytes()).collect();
    let tensors = BTreeMap::from([
        ("layer.bias".to_owned(), Stored::f32(vec![2], &[1.0, 2.0])),
        ("layer.weight".to_owned(), Stored { dtype: Dtype::Bf16, shape: vec![2, 2], bytes }),
    ]);
    safetensors::write(&Safetensors { tensors, metadata: BTreeMap::new() }, &model).expect("written");
    let output = run(&[&model, "--method", "magnitude", "--sparsity", "0.5", "-o", &out]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let found = safetensors::read(&out).expect("a file");
    assert_eq!(found.tensors["layer.weight"].to_f64().expect("floats"), [0.0, 0.0, 3.0, -4.0]);
    assert_eq!(found.tensors["layer.bias"].to_f64().expect("floats"), [1.0, 2.0]);
    let refused = run(&[&model, "--method", "synflow", "--sparsity", "0.5", "-o", &out]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("needs the network"), "{}", text(&refused.stderr));
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, out) = (samples(directory.path()), path(directory.path(), "out.onnx"));
    let (mlp, conv) = (fixture("mlp.onnx"), fixture("conv.onnx"));
    let cases: [(&[&str], &str); 10] = [
        (&[&mlp, "--method", "magnitude", "--sparsity", "1"], "sparsity 1"),
        (&[&mlp, "--method", "magic", "--sparsity", "0.5"], "`magic` is no method"),
        (&[&mlp, "--method", "magnitude"], "--sparsity"),
        (&[&mlp, "--method", "wanda", "--sparsity", "0.5"], "wanda needs calibration data"),
        (&[&mlp, "--method", "magnitude", "--sparsity", "0.5", "--scope", "head"], "no head that can be removed"),
        (&[&mlp, "--method", "magnitude", "--sparsity", "0.7", "--scope", "2:4"], "does not go with"),
        (&[&mlp, "--method", "nystrom", "--sparsity", "0.5", "--data", &data], "removes neurons or channels"),
        (&[&conv, "--method", "snip", "--sparsity", "0.5", "--data", &data], "takes 50 numbers, found 6"),
        (&[&mlp, "--method", "snip", "--sparsity", "0.5", "--data", &data, "--samples", "0"], "no samples"),
        (
            &[&mlp, "--method", "magnitude", "--sparsity", "0.5", "--budget", "erk", "--scope", "neuron"],
            "does not go with",
        ),
    ];
    for (arguments, reason) in cases {
        let output = run(&[arguments, &["-o", &out]].concat());
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
    assert!(!Path::new(&out).exists(), "nothing was written");
}
