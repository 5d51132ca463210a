//! The program as a person runs it: verdict lines, exit codes, records, and what it does with bad input.

use secateur_bench_suites::record::{BoundRecord, RobustRecord, VerificationRecord};
use secateur_bench_suites::results::{ResultRow, Results};
use secateur_bench_suites::verdict::Verdict;
use secateur_check::proof::Accepted;
use secateur_check::proof::format::Digests;
use secateur_check::{Replay, Semantics, proof, replay};
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_nn::{onnx, vnnlib};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

fn secateur() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    secateur().args(arguments).output().expect("the program runs")
}

fn example(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    path.to_str().expect("UTF-8").to_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// What is written is never what is read, nor two results one file.
#[test]
fn results_replace_no_input() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name).to_str().expect("UTF-8").to_owned();
    let (model, spec, other) = (at("toy.onnx"), at("toy.vnnlib"), at("new"));
    std::fs::copy(example("toy.onnx"), &model).expect("copied");
    std::fs::copy(example("toy_sat.vnnlib"), &spec).expect("copied");
    std::os::unix::fs::symlink(&model, at("link")).expect("linked");
    let before = [&model, &spec].map(|file| std::fs::read(file).expect("read"));
    let (link, around) = (
        at("link"),
        format!("{}/../{}/toy.onnx", place.path().display(), place.path().file_name().expect("a name").display()),
    );
    let data = at("data.csv");
    std::fs::write(&data, "1,2\n0,3\n").expect("written");
    let refused: [&[&str]; 11] = [
        &["verify", &model, &spec, "--certificate", &model],
        &["verify", &model, &spec, "--certificate", &link],
        &["verify", &model, &spec, "--counterexample", &around],
        &["verify", &model, &spec, "--json", &spec],
        &["verify", &model, &spec, "--json", &other, "--certificate", &other],
        &["bound", &model, &spec, "--epsilon", "0.1", "--json", &spec],
        &["reduce", &model, &spec, "-o", &model],
        &["prune", &model, "--method", "magnitude", "--sparsity", "0.5", "-o", &model],
        &["equiv", &model, &model, &spec, "--delta", "1", "--certificate", &model],
        &["train", "--model", "mlp:1-2", "--data", &data, "-o", &data],
        &["robust", &model, "--data", &data, "--index", "0..1", "--radius", "0.1", "--json", &data],
    ];
    for arguments in refused {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stdout(&output));
        assert!(stderr(&output).contains("choose another name"), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!([&model, &spec].map(|file| std::fs::read(file).expect("read")), before);
    assert!(!Path::new(&other).exists());
    let dash = run(&["verify", &model, &spec, "--certificate", "-"]);
    assert!(dash.status.code() == Some(2) && stderr(&dash).contains("--json"), "{}", stderr(&dash));
}

#[test]
fn unsat_is_one_word_and_exit_code_0() {
    let output = run(&["verify", &example("acasxu_1_1.onnx"), &example("prop_3.vnnlib")]);
    assert_eq!(stdout(&output), "unsat\n", "{}", stderr(&output));
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn sat_is_followed_by_a_witness_that_replays_and_evaluates() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("witness.txt");
    for (model, spec) in [("toy.onnx", "toy_sat.vnnlib"), ("residual.onnx", "residual_1_sat.vnnlib")] {
        let (model, spec) = (example(model), example(spec));
        let output = run(&["verify", &model, &spec, "--counterexample", file.to_str().expect("UTF-8")]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = stdout(&output);
        let witness = text.strip_prefix("sat\n").expect("the verdict comes first");
        assert_eq!(std::fs::read_to_string(&file).expect("written"), witness);
        let (inputs, outputs) = read_witness(witness);
        let graph = onnx::read(&model).expect("a network");
        let property = vnnlib::read(&spec).expect("a property");
        let point: Vec<_> = inputs.iter().map(|v| vnnlib::decimal(v).expect("a decimal")).collect();
        assert!(matches!(replay(&graph, &property, &point), Ok(Replay::Violated { .. })), "{spec}");
        let evaluated = run(&["eval", &model, "--input", file.to_str().expect("UTF-8")]);
        let numbers = |lines: Vec<String>| lines.iter().map(|v| v.parse().expect("a number")).collect::<Vec<f32>>();
        let lines = stdout(&evaluated).lines().map(str::to_owned).collect();
        assert_eq!(numbers(lines), numbers(outputs), "{spec}");
    }
}

/// The values of `((X_0 v) … (Y_0 v) …)`, checked to be in order.
fn read_witness(text: &str) -> (Vec<String>, Vec<String>) {
    let inner = text.trim_end().strip_prefix('(').and_then(|t| t.strip_suffix(')')).expect("parentheses around all");
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for line in inner.lines() {
        let pair = line.strip_prefix('(').and_then(|l| l.strip_suffix(')')).expect("parentheses around each");
        let (name, value) = pair.split_once(' ').expect("a name and a value");
        let (values, letter) = if name.starts_with('X') { (&mut inputs, 'X') } else { (&mut outputs, 'Y') };
        assert_eq!(name, format!("{letter}_{}", values.len()));
        values.push(value.to_owned());
    }
    (inputs, outputs)
}

#[test]
fn records_tell_the_same_as_the_text() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("record.json");
    let (model, spec) = (example("toy.onnx"), example("toy_sat.vnnlib"));
    let options = ["--seed", "7", "--threads", "1", "--branching", "input", "--timeout", "50", "--json"];
    let mut arguments = vec!["verify", model.as_str(), spec.as_str()];
    arguments.extend(options);
    let text = run(&[&arguments[..], &[file.to_str().expect("UTF-8")]].concat());
    let instead = run(&[&arguments[..], &["-"]].concat());
    let written = std::fs::read(&file).expect("written");
    for record in [&written, &instead.stdout] {
        let record: VerificationRecord = serde_json::from_slice(record).expect("a record");
        assert_eq!((record.verdict, record.reason), (Verdict::Sat, None));
        assert_eq!((record.settings.seed, record.settings.threads, record.settings.timeout), (7, 1, Some(50.0)));
        assert_eq!(record.settings.branching, "input");
        let witness = record.witness.expect("a witness");
        let (inputs, outputs) = read_witness(stdout(&text).strip_prefix("sat\n").expect("sat"));
        assert_eq!(witness.input, inputs);
        assert_eq!(witness.outputs.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>(), outputs);
        assert!(record.seconds >= record.statistics.seconds);
    }
    assert_eq!((text.status.code(), instead.status.code()), (Some(0), Some(0)));
}

#[test]
fn a_limit_that_has_passed_is_a_timeout_with_exit_code_3() {
    let output = run(&["verify", &example("acasxu_1_1.onnx"), &example("prop_2.vnnlib"), "--timeout", "0.000001"]);
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("timeout\n", Some(3)), "{}", stderr(&output));
}

/// A network of one layer, with one weight replaced.
fn network(weight: f32) -> Graph {
    let mut builder = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
    let matrix = Tensor::new(vec![2, 1], vec![weight, 1.0]);
    let matrix = builder.constant("w", Value::F32(Arc::new(matrix))).expect("a constant");
    let product = builder.add("y", Op::MatMul, &[builder.input(), matrix]).expect("shapes fit");
    builder.finish(product).expect("a graph")
}

/// An ONNX model whose one operator does not exist: `Relux`, as long as `MatMul`.
fn unsupported() -> Vec<u8> {
    let mut bytes = onnx::to_bytes(&network(1.0)).expect("written");
    let place = bytes.windows(6).position(|w| w == b"MatMul").expect("its name is in the file");
    bytes[place..place + 6].copy_from_slice(b"Matmux");
    bytes
}

const SPEC: &str = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)
(assert (>= X_0 0))(assert (<= X_0 1))
(assert (>= X_1 0))(assert (<= X_1 1))
(assert (>= Y_0 9))
";

#[test]
fn bad_input_is_one_paragraph_that_names_the_place_with_exit_code_2() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let good = onnx::to_bytes(&network(1.0)).expect("written");
    let with_weight = |weight: f32| {
        let mut bytes = good.clone();
        let one = 1.0_f32.to_le_bytes();
        let place = bytes.windows(8).position(|w| w == [one, one].concat()).expect("the weights are in the file");
        bytes[place..place + 4].copy_from_slice(&weight.to_le_bytes());
        bytes
    };
    let model = write("good.onnx", &good);
    let spec = write("good.vnnlib", SPEC.as_bytes());
    let fine = run(&["verify", &model, &spec]);
    assert_eq!((stdout(&fine).as_str(), fine.status.code()), ("unsat\n", Some(0)), "{}", stderr(&fine));

    let mut random = Random::new(3);
    let noise: Vec<u8> = (0..512).map(|_| random.bits() as u8).collect();
    let models: [(&str, &[u8], &str); 7] = [
        ("empty.onnx", b"", "empty.onnx"),
        ("half.onnx", &good[..good.len() / 2], "half.onnx"),
        ("noise.onnx", &noise, "noise.onnx"),
        ("text.onnx", b"not a network\n", "text.onnx"),
        ("nan.onnx", &with_weight(f32::NAN), "`w`"),
        ("infinite.onnx", &with_weight(f32::INFINITY), "`w`"),
        ("operator.onnx", &unsupported(), "Matmux"),
    ];
    for (name, bytes, place) in models {
        let path = write(name, bytes);
        refused(&["verify", &path, &spec], place);
        refused(&["inspect", &path], place);
        refused(&["eval", &path, "--input", "0,0"], place);
    }

    let edited = |from: &str, to: &str| SPEC.replacen(from, to, 1);
    let specs = [
        ("empty.vnnlib", String::new(), "empty.vnnlib"),
        ("half.vnnlib", SPEC[..SPEC.len() / 2].to_owned(), "half.vnnlib:2"),
        ("size.vnnlib", format!("(declare-const X_2 Real)(assert (>= X_2 0))(assert (<= X_2 1)){SPEC}"), "3"),
        ("contradiction.vnnlib", edited("(>= X_1 0)", "(>= X_1 2)"), "X_1"),
        ("unbounded.vnnlib", edited("(assert (<= X_1 1))", ""), "X_1"),
        ("output.vnnlib", edited("(>= Y_0 9)", "(>= Y_1 9)"), "Y_1"),
        ("outputs.vnnlib", edited("(declare-const Y_0 Real)", "(declare-const Y_0 Real)(declare-const Y_1 Real)"), "2"),
        ("construct.vnnlib", edited("(>= Y_0 9)", "(>= (sin Y_0) 9)"), "construct.vnnlib:4"),
        ("product.vnnlib", edited("(>= Y_0 9)", "(>= (* Y_0 Y_0) 9)"), "product.vnnlib:4"),
    ];
    for (name, text, place) in specs {
        let path = write(name, text.as_bytes());
        let message = refused(&["verify", &model, &path], place);
        assert!(message.contains(name), "{message}");
    }
    refused(&["verify", &model, "absent.vnnlib"], "absent.vnnlib");
    refused(&["verify", "absent.onnx", &spec], "absent.onnx");
    refused(&["verify", &model, &spec, "--json", "/nowhere/record.json"], "/nowhere/record.json");
    refused(&["eval", &model, "--input", "1,2,3"], "takes 2 numbers");
    refused(&["eval", &model, "--input", "1,two"], "`two`");
    refused(&["bench", directory.path().to_str().expect("UTF-8")], "instances.csv");
}

/// Asserts that a command is refused, and returns what it says.
#[track_caller]
fn refused(arguments: &[&str], place: &str) -> String {
    let output = run(arguments);
    let message = stderr(&output);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{arguments:?}: {message}");
    assert!(message.starts_with("error: ") && !message.trim_end().contains("\n\n"), "{arguments:?}: {message}");
    assert!(message.contains(place), "{arguments:?}: {message}");
    message
}

#[test]
fn wrong_usage_has_exit_code_2_and_help_has_0() {
    for arguments in [
        &["verify"][..],
        &["verify", "a", "b", "--bogus"],
        &["nonsense"],
        &[],
        &["verify", "a", "b", "--timeout", "-1"],
        &["verify", "a", "b", "--threads", "99999"],
        &["verify", "a", "b", "--branching", "best"],
        &["verify", "a", "b", "--device", "gpu"],
    ] {
        let output = run(arguments);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    for command in [&["verify", "a", "b"][..], &["bound", "a", "b"], &["robust", "a"], &["equiv", "a", "b", "c"]] {
        let output = run(&[command, &["--threads", "513"]].concat());
        assert!(stderr(&output).contains("at most 512"), "{command:?}: {}", stderr(&output));
    }
    // No device is visible, whatever the machine has.
    let (model, spec) = (example("acasxu_1_1.onnx"), example("prop_3.vnnlib"));
    let mut command = secateur();
    command.args(["verify", &model, &spec, "--device", "cuda"]).env("CUDA_VISIBLE_DEVICES", "");
    let output = command.output().expect("the program runs");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(stderr(&output).contains("--device cuda"), "{}", stderr(&output));
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(stdout(&help).contains("Exit codes"));
}

#[test]
fn inspect_counts_what_is_in_the_network() {
    let output = run(&["inspect", &example("acasxu_1_1.onnx"), "--json"]);
    let description: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(description["relus"], 300);
    // 5·50 + 5·50² + 50·5 weights, 6·50 + 5 biases, and the 5 input means.
    assert_eq!(description["parameters"], 250 + 12_500 + 250 + 305 + 5);
    assert_eq!(description["input"]["shape"], serde_json::json!([1, 1, 1, 5]));
    let text = stdout(&run(&["inspect", &example("conv_maxpool.onnx")]));
    assert!(text.contains("maxpool     12") && text.contains("relus       56"), "{text}");
}

#[test]
fn eval_reads_lists_files_and_standard_input_in_every_precision() {
    let toy = example("toy.onnx");
    // Y_0 = |0.5| + |-0.25| - 1, Y_1 = tent(tent(0.75)).
    for precision in ["f32", "f64", "exact"] {
        let output = run(&["eval", &toy, "--input", "0.5,-0.25", "--precision", precision]);
        let values: Vec<f64> = stdout(&output).lines().map(|l| l.parse().expect("a number")).collect();
        assert_eq!(values, [-0.25, 1.0], "{precision}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("input.txt");
    std::fs::write(&file, "0.5\n-0.25\n").expect("written");
    let from_file = secateur().args(["eval", &toy, "--input"]).arg(&file).output().expect("runs");
    let text = std::fs::File::open(&file).expect("a file");
    let from_stdin = secateur().args(["eval", &toy, "--input", "-"]).stdin(text).output().expect("runs");
    assert_eq!(stdout(&from_file), "-0.25\n1.0\n");
    assert_eq!(stdout(&from_stdin), "-0.25\n1.0\n");
    // One third of a unit has no finite decimal: the output is enclosed.
    let enclosed = stdout(&run(&["eval", &toy, "--input", "((X_0 (/ 1 3)) (X_1 0))", "--precision", "exact"]));
    assert!(enclosed.starts_with("[-0.66666666"), "{enclosed}");
}

fn suite(directory: &Path, expected: &str) {
    let lines = |names: &[&str]| names.iter().map(|n| format!("{},{},20\n", example("toy.onnx"), example(n))).collect();
    let instances: String = lines(&["toy_sat.vnnlib", "toy_unsat.vnnlib", "prop_1.vnnlib"]);
    std::fs::write(directory.join("instances.csv"), instances).expect("written");
    let line = format!("{},{},{expected}\n", example("toy.onnx"), example("toy_unsat.vnnlib"));
    std::fs::write(directory.join("expected.csv"), line).expect("written");
}

#[test]
fn bench_runs_resumes_and_reports() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().to_str().expect("UTF-8");
    let results = directory.path().join("results.csv");
    let results = results.to_str().expect("UTF-8");
    suite(directory.path(), "unsat");
    let first = run(&["bench", root, "--results", results, "--filter", "toy_"]);
    assert_eq!(first.status.code(), Some(0), "{}{}", stdout(&first), stderr(&first));
    let again = run(&["bench", root, "--results", results]);
    assert_eq!(again.status.code(), Some(2), "an existing file is not overwritten");
    let rest = run(&["bench", root, "--results", results, "--resume"]);
    assert_eq!(rest.status.code(), Some(0), "{}", stderr(&rest));
    assert_eq!(stdout(&rest).matches("toy_sat.vnnlib").count(), 0, "{}", stdout(&rest));
    let (_, rows) = Results::resume(Path::new(results)).expect("results");
    let verdicts: Vec<Verdict> = rows.iter().map(|row| row.verdict).collect();
    assert_eq!(verdicts, [Verdict::Sat, Verdict::Unsat, Verdict::Error]);
    let ResultRow { expected, memory, seconds, detail, fault, .. } = &rows[1];
    assert_eq!((expected, detail.as_str(), fault), (&Some(Verdict::Unsat), "", &false));
    assert!(memory.is_some_and(|m| m > 1 << 20) && *seconds > 0.0);
    assert!(rows[2].detail.contains("does not fit") && !rows[2].fault, "{:?}", rows[2]);
}

#[test]
fn a_certificate_is_kept_for_a_verdict_and_is_accepted() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("proof");
    let name = file.to_str().expect("UTF-8");
    let (model, spec) = (example("acasxu_1_1.onnx"), example("prop_3.vnnlib"));
    let output = run(&["verify", &model, &spec, "--certificate", name]);
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("unsat\n", ""));
    let graph = onnx::read(&model).expect("a network");
    let certificate = || std::fs::File::open(&file).expect("written");
    let digests = Digests::of(Path::new(&model), Path::new(&spec)).expect("files");
    let property = vnnlib::read(&spec).expect("a property");
    let accepted = proof::check(&graph, &property, &digests, Semantics::Real, certificate()).expect("accepted");
    assert!(matches!(accepted, Accepted::Unsat { records } if records > 100), "{accepted:?}");
    // The same proof does not show another property of the same network.
    let text = std::fs::read_to_string(&spec).expect("a property").replace("(<= Y_0 Y_4)", "(<= Y_0 Y_0)");
    let other = vnnlib::parse(&text, "other").expect("a property");
    assert!(proof::check(&graph, &other, &digests, Semantics::Real, certificate()).is_err());
    let why =
        proof::check(&graph, &property, &Digests { property: [0; 32], ..digests }, Semantics::Real, certificate());
    assert!(why.is_err_and(|why| why.to_string().contains("another property")));
    std::fs::remove_file(&file).expect("written");
    let output = run(&["verify", &example("toy.onnx"), &example("toy_sat.vnnlib"), "--certificate", name]);
    assert!(stdout(&output).starts_with("sat"), "{}", stderr(&output));
    let (model, spec) = (example("toy.onnx"), example("toy_sat.vnnlib"));
    let graph = onnx::read(&model).expect("a network");
    let digests = Digests::of(Path::new(&model), Path::new(&spec)).expect("files");
    let property = vnnlib::read(&spec).expect("a property");
    let accepted = proof::check(&graph, &property, &digests, Semantics::Real, certificate()).expect("accepted");
    assert!(matches!(accepted, Accepted::Sat { .. }), "{accepted:?}");
    std::fs::remove_file(&file).expect("written");
    let (model, spec) = (example("acasxu_1_1.onnx"), example("prop_3.vnnlib"));
    let output = run(&["verify", &model, &spec, "--certificate", name, "--timeout", "0.001"]);
    assert_eq!(stdout(&output), "timeout\n", "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0, "nothing is left behind");
}

#[test]
fn bound_tells_outcomes_apart_and_draws_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let plot = directory.path().join("bounds.svg");
    let plot = plot.to_str().expect("UTF-8");
    let (model, unsat, sat) = (example("toy.onnx"), example("toy_unsat.vnnlib"), example("toy_sat.vnnlib"));
    let safe = run(&["bound", &model, &unsat, "--epsilon", "0.01", "--full", "--plot", plot]);
    assert_eq!(safe.status.code(), Some(0), "{}", stderr(&safe));
    let text = stdout(&safe);
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a bound");
        line.trim().parse::<f64>().expect("a number")
    };
    assert!(text.starts_with("safe\n") && number("lower") > 0.0, "{text}");
    assert!(number("lower") <= number("upper") && number("upper") - number("lower") <= 0.01, "{text}");
    assert!(std::fs::read_to_string(plot).expect("written").starts_with("<svg"));
    let json = run(&["bound", &model, &sat, "--epsilon", "0.01", "--json", "-"]);
    let record: BoundRecord = serde_json::from_str(&stdout(&json)).expect("a record");
    assert_eq!((record.outcome.as_str(), record.full), ("unsafe", false));
    assert!(record.upper.is_some_and(|u| u <= 0.0) && record.incumbent.is_some(), "{record:?}");
    for (argument, value) in [("--epsilon", "0"), ("--epsilon", "NaN"), ("--epsilon", "-1")] {
        assert_eq!(run(&["bound", &model, &sat, argument, value]).status.code(), Some(2), "{argument} {value}");
    }
}

#[test]
fn a_contradicted_verdict_is_loud_and_has_exit_code_1() {
    let directory = tempfile::tempdir().expect("a directory");
    suite(directory.path(), "sat");
    let output = run(&["bench", directory.path().to_str().expect("UTF-8"), "--filter", "toy_"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("DISAGREEMENT") && stdout(&output).contains("found unsat, expected sat"));
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_a_search_with_unknown_and_exit_code_3() {
    // Property 2 needs input splitting; splitting ReLUs instead takes far longer than the signal.
    let (model, spec) = (example("acasxu_1_1.onnx"), example("prop_2.vnnlib"));
    let mut command = secateur();
    command.args(["verify", &model, &spec, "--branching", "babsr", "--threads", "1"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(signal.success());
    let output = child.wait_with_output().expect("it ends");
    let found = (stdout(&output), output.status.code());
    assert_eq!(found, ("unknown\n".to_owned(), Some(3)), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted"));
}

/// Images of the example network: label and 28 × 28 pixels, a blob whose place depends on `seed`.
fn image_file(directory: &Path, labels: &[usize]) -> String {
    let mut text = String::new();
    for (seed, label) in labels.iter().enumerate() {
        text += &label.to_string();
        for i in 0..784usize {
            let (x, y) = (i % 28, i / 28);
            let inside = x.abs_diff(8 + seed) < 5 && y.abs_diff(12) < 7;
            text += if inside { ",200" } else { ",0" };
        }
        text += "\n";
    }
    let file = directory.join("images.csv");
    std::fs::write(&file, text).expect("written");
    file.to_str().expect("UTF-8").to_owned()
}

#[test]
fn robust_counts_verified_images_and_bisects() {
    let directory = tempfile::tempdir().expect("a directory");
    let model = example("mnist_24x24.onnx");
    let classes = |data: &str| {
        let json = run(&["robust", &model, "--data", data, "--index", "0..3", "--radius", "1/1000000", "--json", "-"]);
        let record: RobustRecord = serde_json::from_str(&stdout(&json)).expect("a record");
        record.images.iter().map(|image| image.predicted).collect::<Vec<usize>>()
    };
    let predicted = classes(&image_file(directory.path(), &[0, 0, 0]));
    // The third image is given a wrong label.
    let data = image_file(directory.path(), &[predicted[0], predicted[1], (predicted[2] + 1) % 10]);
    let mut verified = Vec::new();
    for norm in ["linf", "l2", "l1"] {
        let ask = |radius: &str| {
            let arguments = ["robust", &model, "--data", &data, "--index", "0..3", "--norm", norm, "--radius", radius];
            let output = run(&[&arguments[..], &["--timeout", "20"]].concat());
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            stdout(&output)
        };
        let (near, far) = (ask("0.001"), ask("50"));
        let verdicts = |text: &str| {
            let words = text.lines().take(3).map(|line| line.split(' ').nth(3).expect("a verdict").to_owned());
            words.collect::<Vec<String>>()
        };
        assert_eq!(verdicts(&near), ["robust", "robust", "misclassified"], "{norm}: {near}");
        assert!(near.ends_with("clean accuracy 2/3\nverified accuracy 2/3\nnot falsified 2/3\n"), "{near}");
        assert_eq!(verdicts(&far), ["not-robust", "not-robust", "misclassified"], "{norm}: {far}");
        assert!(far.ends_with("clean accuracy 2/3\nverified accuracy 0/3\nnot falsified 0/3\n"), "{far}");
        let arguments = ["robust", &model, "--data", &data, "--index", "0..1", "--norm", norm, "--radius", "0.5"];
        let largest = run(&[&arguments[..], &["--largest", "--timeout", "20", "--json", "-"]].concat());
        let record: RobustRecord = serde_json::from_str(&stdout(&largest)).expect("a record");
        assert_eq!(record.norm, norm);
        let number = |text: &Option<String>| text.as_deref().map(|t| t.parse::<f64>().expect("a radius"));
        let (low, high) = (number(&record.images[0].verified).expect("verified"), number(&record.images[0].falsified));
        assert!(high.is_none_or(|high| low <= high && high - low < 0.5 / 32.0), "{norm}: {low} {high:?}");
        verified.push(low);
    }
    // The cube contains the ball, and the ball the cross-polytope.
    assert!(verified[0] > 0.0 && verified[0] <= verified[1] && verified[1] <= verified[2], "{verified:?}");
}

#[test]
fn robust_refuses_what_it_cannot_use() {
    let directory = tempfile::tempdir().expect("a directory");
    let model = example("mnist_24x24.onnx");
    let good = image_file(directory.path(), &[3, 4]);
    let bad = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).expect("written");
        file.to_str().expect("UTF-8").to_owned()
    };
    let (short, word) = (bad("short.csv", "1,0,0,0\n"), bad("word.csv", "1,a\n"));
    let label = bad("label.csv", &format!("77{}\n", ",0".repeat(784)));
    let ask = |data: &str, index: &str, radius: &str| {
        let output = run(&["robust", &model, "--data", data, "--index", index, "--radius", radius]);
        assert_eq!(output.status.code(), Some(2), "{data} {index} {radius}: {}", stdout(&output));
        assert_eq!(stdout(&output), "", "{data} {index} {radius}");
        stderr(&output)
    };
    assert!(ask(&good, "0..3", "0.1").contains("2"));
    assert!(ask(&short, "0..1", "0.1").contains("784"));
    assert!(ask(&label, "0..1", "0.1").contains("77"));
    for (data, index, radius) in [
        (word.as_str(), "0..1", "0.1"),
        (&good, "1..1", "0.1"),
        (&good, "a..b", "0.1"),
        (&good, "0..1", "0"),
        (&good, "0..1", "-1"),
        (&good, "0..1", "NaN"),
        ("nowhere.csv", "0..1", "0.1"),
        ("letters", "0..1", "0.1"),
    ] {
        ask(data, index, radius);
    }
    let mut without = secateur();
    without.args(["robust", &model, "--data", "mnist", "--index", "0..1", "--radius", "0.1"]);
    let output = without.env_remove("SECATEUR_DATA").output().expect("the program runs");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--data-dir"), "{}", stderr(&output));
}
