//! `secateur equiv`, `reduce` and `prune --certify` as a person runs them.

use secateur_check::proof::Accepted;
use secateur_check::proof::format::Digests;
use secateur_check::{Precision, Question, check_pair, evaluate, proof};
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_nn::{onnx, vnnlib};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.stdin(Stdio::null()).env_remove("SECATEUR_DATA").args(arguments).output().expect("the program runs")
}

fn example(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    path.to_str().expect("UTF-8").to_owned()
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().expect("UTF-8").to_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// The network with every weight times a factor.
fn scaled(model: &str, factor: f32, file: &str) {
    let graph = onnx::read(model).expect("a network");
    let mut values = std::collections::BTreeMap::new();
    for (_, node) in graph.nodes() {
        if let (Op::Constant(Value::F32(tensor)), 2..) = (&node.op, node.shape.len()) {
            values.insert(node.name.clone(), tensor.map(|v| v * factor));
        }
    }
    onnx::write(&graph.with_constants(&values).expect("fits"), file).expect("written");
}

#[test]
fn equivalent_networks_have_a_certificate() {
    let directory = tempfile::tempdir().expect("a directory");
    let (a, spec) = (example("acasxu_1_1.onnx"), example("prop_3.vnnlib"));
    let (b, certificate) = (path(directory.path(), "b.onnx"), path(directory.path(), "p.cert"));
    scaled(&a, 0.999, &b);
    let output = run(&["equiv", &a, &b, &spec, "--delta", "0.1", "--certificate", &certificate]);
    assert_eq!((out(&output).as_str(), output.status.code()), ("equivalent\n", Some(0)), "{}", err(&output));
    let graphs = [&a, &b].map(|file| onnx::read(file).expect("a network"));
    let inputs = vnnlib::read(&spec).expect("a property");
    let digests = Digests::of_pair(Path::new(&a), Path::new(&b), Path::new(&spec)).expect("read");
    let check = |delta: &str| {
        let question = Question::Within(vnnlib::decimal(delta).expect("a decimal"));
        let file = File::open(&certificate).expect("written");
        check_pair(&graphs[0], &graphs[1], &inputs, &question, &digests, file)
    };
    assert!(matches!(check("0.1"), Ok(Accepted::Unsat { .. })));
    check("0.0001").expect_err("less is not shown");
}

#[test]
fn different_networks_differ_at_the_point() {
    let directory = tempfile::tempdir().expect("a directory");
    let (a, spec) = (example("acasxu_1_1.onnx"), example("prop_3.vnnlib"));
    let b = path(directory.path(), "b.onnx");
    scaled(&a, 0.9, &b);
    let output = run(&["equiv", &a, &b, &spec, "--delta", "1/1000"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    let witness = text.strip_prefix("different\n").expect("the verdict comes first");
    let value = |name: &str| -> Vec<String> {
        let lines = witness.lines().map(|line| line.trim_matches(['(', ')']));
        lines.filter_map(|line| line.strip_prefix(name)?.split_once(' ').map(|(_, v)| v.to_owned())).collect()
    };
    let point: Vec<_> = value("X_").iter().map(|v| vnnlib::decimal(v).expect("a decimal")).collect();
    assert!(vnnlib::read(&spec).expect("a property").cases.iter().any(|case| case.contains(&point)));
    let mut most = 0.0f64;
    let outputs = [(&a, "A_"), (&b, "B_")].map(|(file, name)| {
        let found = evaluate(&onnx::read(file).expect("a network"), &point, Precision::EXACT).expect("known");
        let exact: Vec<f64> = found.iter().map(|y| y.lower.to_f64().value()).collect();
        let printed: Vec<f64> = value(name).iter().map(|v| v.parse().expect("a number")).collect();
        assert_eq!(exact, printed);
        exact
    });
    outputs[0].iter().zip(&outputs[1]).for_each(|(y, z)| most = most.max((y - z).abs()));
    assert!(most > 0.001, "{most}");
}

#[test]
fn classes_are_compared_and_a_network_agrees_with_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let (a, spec) = (example("acasxu_1_1.onnx"), example("prop_3.vnnlib"));
    let b = path(directory.path(), "b.onnx");
    scaled(&a, 0.9, &b);
    for question in [&["--delta", "0"][..], &["--same-class"], &["--same-class", "--least", "--lead", "0.5"]] {
        let output = run(&[&["equiv", &a, &a, &spec][..], question].concat());
        assert_eq!(out(&output), "equivalent\n", "{question:?}");
    }
    let output = run(&["equiv", &a, &b, &spec, "--same-class", "--least", "--json", "-"]);
    let record: serde_json::Value = serde_json::from_str(&out(&output)).expect("JSON");
    assert_eq!(record["verdict"], "different");
    assert!(record["difference"]["input"].as_array().is_some_and(|x| x.len() == 5));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let (a, other, spec) = (example("acasxu_1_1.onnx"), example("toy.onnx"), example("prop_3.vnnlib"));
    for (arguments, what) in [
        (&["equiv", &a, &other, &spec, "--delta", "1"][..], "inputs"),
        (&["equiv", &other, &other, &spec, "--delta", "1"], "inputs"),
        (&["equiv", &a, &a, &spec], "--delta"),
        (&["equiv", &a, &a, &spec, "--delta", "-1"], "from 0 on"),
        (&["equiv", &a, &a, &spec, "--delta", "1", "--same-class"], "cannot be used"),
        (&["prune", &a, "--method", "magnitude", "--sparsity", "0.1", "-o", "x", "--certify"], "--spec"),
    ] {
        let output = run(arguments);
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(2), ""), "{arguments:?}");
        assert!(err(&output).contains(what), "{arguments:?}: {}", err(&output));
    }
}

/// $y$ of networks that differ where one is not defined, or whose inputs are not the same.
#[test]
fn partial_networks_and_other_inputs_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let make = |name: &str, shape: &[usize], op: Op| {
        let mut b = GraphBuilder::new("x", shape.to_vec(), ElementType::F32);
        let y = b.add("y", op, &[b.input()]).expect("fits");
        let flat = b.add("flat", Op::Reshape { shape: vec![1, 6] }, &[y]).expect("fits");
        let file = path(directory.path(), name);
        onnx::write(&b.finish(flat).expect("fits"), &file).expect("written");
        file
    };
    let (root, relu) = (make("root.onnx", &[1, 2, 3], Op::Sqrt), make("relu.onnx", &[1, 2, 3], Op::Relu));
    let turned = make("turned.onnx", &[1, 3, 2], Op::Relu);
    let spec = path(directory.path(), "box.vnnlib");
    let side = |i: usize| format!("(declare-const X_{i} Real)\n(assert (>= X_{i} 1))\n(assert (<= X_{i} 2))\n");
    let text = format!("(declare-const Y_0 Real)\n{}", (0..6).map(side).collect::<String>());
    std::fs::write(&spec, text).expect("written");
    for (a, b, what) in [(&root, &relu, "Sqrt"), (&relu, &turned, "do not go together")] {
        let output = run(&["equiv", a, b, &spec, "--delta", "1"]);
        assert_eq!(output.status.code(), Some(2), "{}", out(&output));
        assert!(err(&output).contains(what), "{}", err(&output));
    }
}

/// Constraints on inputs beside the box say which inputs count.
#[test]
fn restrictions_of_the_inputs_count() {
    let directory = tempfile::tempdir().expect("a directory");
    // y = x_0, and y = x_0 + max(x_0 + x_1, 0).
    let make = |name: &str, weight: f32| {
        let mut b = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
        let mut constant = |name: &str, shape: &[usize], data: &[f32]| {
            b.constant(name, Value::F32(Arc::new(Tensor::new(shape.to_vec(), data.to_vec())))).expect("fits")
        };
        let (w, v, u) = (
            constant("w", &[2, 1], &[1.0, 1.0]),
            constant("v", &[1, 1], &[weight]),
            constant("u", &[2, 1], &[1.0, 0.0]),
        );
        let z = b.add("z", Op::MatMul, &[b.input(), w]).expect("fits");
        let h = b.add("h", Op::Relu, &[z]).expect("fits");
        let h = b.add("hv", Op::MatMul, &[h, v]).expect("fits");
        let x = b.add("xu", Op::MatMul, &[b.input(), u]).expect("fits");
        let y = b.add("y", Op::Add, &[x, h]).expect("fits");
        let file = path(directory.path(), name);
        onnx::write(&b.finish(y).expect("fits"), &file).expect("written");
        file
    };
    let (a, b) = (make("a.onnx", 0.0), make("b.onnx", 1.0));
    let spec = path(directory.path(), "half.vnnlib");
    let mut text = String::from("(declare-const Y_0 Real)\n");
    for i in 0..2 {
        text += &format!("(declare-const X_{i} Real)\n(assert (>= X_{i} -1))\n(assert (<= X_{i} 1))\n");
    }
    std::fs::write(&spec, format!("{text}(assert (<= (+ X_0 X_1) -0.25))\n")).expect("written");
    assert_eq!(out(&run(&["equiv", &a, &b, &spec, "--delta", "0.001"])), "equivalent\n");
    std::fs::write(&spec, text).expect("written");
    assert!(out(&run(&["equiv", &a, &b, &spec, "--delta", "0.001"])).starts_with("different\n"));
}

#[test]
fn reduced_networks_compute_the_same_on_the_box() {
    let directory = tempfile::tempdir().expect("a directory");
    let (model, spec) = (example("acasxu_1_1.onnx"), example("prop_3.vnnlib"));
    let (reduced, proofs) = (path(directory.path(), "r.onnx"), path(directory.path(), "proofs"));
    let output = run(&["reduce", &model, &spec, "-o", &reduced, "--proof", &proofs, "--json", "-"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let record: serde_json::Value = serde_json::from_str(&out(&output)).expect("JSON");
    assert_eq!((&record["verdict"], &record["dead"]), (&"equivalent".into(), &154.into()));
    let [before, after] = [&model, &reduced].map(|file| onnx::read(file).expect("a network"));
    let inputs = vnnlib::read(&spec).expect("a property");
    let case = &inputs.cases[0];
    let mut random = Random::new(7);
    for _ in 0..50 {
        let sides = case.lower.iter().zip(&case.upper);
        let at = |random: &mut Random| vnnlib::decimal(&format!("{:.4}", random.unit())).expect("a decimal");
        let point: Vec<_> = sides.map(|(l, u)| l + (u - l) * at(&mut random)).collect();
        let [y, z] = [&before, &after].map(|g: &Graph| evaluate(g, &point, Precision::EXACT).expect("known"));
        assert_eq!(y, z, "exactly the same");
    }
    for what in ["dead", "idle"] {
        let [network, property, certificate] =
            ["onnx", "vnnlib", "cert"].map(|kind| PathBuf::from(&proofs).join(format!("{what}.{kind}")));
        let digests = Digests::of(&network, &property).expect("read");
        let (graph, property) = (onnx::read(&network).expect("read"), vnnlib::read(&property).expect("read"));
        let file = File::open(&certificate).expect("written");
        let checked = proof::check(&graph, &property, &digests, secateur_check::Semantics::Real, file);
        assert!(matches!(checked, Ok(Accepted::Unsat { .. })), "{what}");
    }
}

#[test]
fn the_largest_sparsity_that_is_certified_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let (model, spec) = (example("acasxu_1_1.onnx"), example("prop_3.vnnlib"));
    let (pruned, certificate) = (path(directory.path(), "p.onnx"), path(directory.path(), "p.cert"));
    let prune = |extra: &[&str]| {
        let base = ["prune", &model, "--method", "magnitude", "--sparsity", "0.5", "-o", &pruned, "--certify"];
        run(&[&base[..], &["--spec", &spec, "--delta", "0.1"], extra].concat())
    };
    assert!(out(&prune(&[])).starts_with("different\n"));
    let output = prune(&["--largest", "--certificate", &certificate]);
    let text = out(&output);
    assert!(text.starts_with("equivalent\nagainst the original: delta 0.1"), "{text}{}", err(&output));
    // What is stored is what was certified.
    let output = run(&["equiv", &model, &pruned, &spec, "--delta", "0.1"]);
    assert_eq!(out(&output), "equivalent\n");
    let graphs = [&model, &pruned].map(|file| onnx::read(file).expect("a network"));
    let digests = Digests::of_pair(Path::new(&model), Path::new(&pruned), Path::new(&spec)).expect("read");
    let question = Question::Within(vnnlib::decimal("0.1").expect("a decimal"));
    let (inputs, file) = (vnnlib::read(&spec).expect("read"), File::open(&certificate).expect("written"));
    assert!(check_pair(&graphs[0], &graphs[1], &inputs, &question, &digests, file).is_ok());
}
