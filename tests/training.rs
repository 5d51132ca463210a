//! `secateur train` as a person runs it: what it prints and writes, resumption, Ctrl-C, bad input.

use secateur_bench_suites::record::TrainRecord;
use secateur_nn::onnx;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn secateur() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.stdin(Stdio::null()).env_remove("SECATEUR_DATA");
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Points of a plane and in which quadrants they lie: the first and third are class 1.
fn quadrants(directory: &Path) -> String {
    let mut text = "class,x,y\n".to_owned();
    for i in 0..400 {
        let (x, y) = (f64::from(i % 20) / 10.0 - 0.95, f64::from(i / 20) / 10.0 - 0.95);
        text += &format!("{},{x:.2},{y:.2}\n", u8::from(x * y > 0.0));
    }
    let file = directory.join("quadrants.csv");
    std::fs::write(&file, text).expect("written");
    file.to_str().expect("UTF-8").to_owned()
}

/// A short run on the quadrants.
fn train(data: &str, more: &[&str]) -> Output {
    let settings =
        ["--model", "mlp:2-32-2", "--data", data, "--epochs", "30", "--batch", "32", "--rate", "0.02", "--seed", "3"];
    secateur().arg("train").args(settings).args(more).output().expect("the program runs")
}

#[test]
fn a_network_is_trained_written_and_said_to_be_good() {
    let place = tempfile::tempdir().expect("a directory");
    let (data, path) = (quadrants(place.path()), place.path().join("net.onnx"));
    let file = path.to_str().expect("UTF-8");
    let output = train(&data, &["--target", "class", "-o", file]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    let text = stdout(&output);
    let accuracy = text.lines().next().and_then(|line| line.strip_prefix("test accuracy "));
    let accuracy: f64 = accuracy.and_then(|a| a.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    assert!(accuracy > 0.9, "{text}");
    assert!(text.contains("epochs 30\n") && text.ends_with("parameters 162\n"), "{text}");
    assert_eq!(onnx::read(&path).expect("a network").len(), 8);

    // What is written is trained further: the first epoch begins where the last run ended.
    let more =
        ["train", "--model", file, "--data", &data, "--epochs", "1", "--rate", "1e-4", "--json", "-", "--seed", "3"];
    let further = secateur().args(more).output().expect("the program runs");
    let record: TrainRecord = serde_json::from_str(&stdout(&further)).expect("a record");
    assert!(record.epochs[0].accuracy.is_some_and(|a| a > 0.9) && record.stop == "finished", "{record:?}");
}

#[test]
fn threads_and_interruptions_change_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let data = quadrants(place.path());
    let name = |name: &str| place.path().join(name).to_str().expect("UTF-8").to_owned();
    let content = |file: &str| std::fs::read(file).expect("written");
    let (whole, checkpoint, resumed) = (name("whole.onnx"), name("c.safetensors"), name("resumed.onnx"));
    assert!(train(&data, &["-o", &whole, "--threads", "1"]).status.success());

    // Long enough to be interrupted, then a run that ends after its checkpoint.
    let mut command = secateur();
    command.args(["train", "--model", "mlp:2-600-600-2", "--data", &data, "--epochs", "100000", "--quiet"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted after"), "{}", stderr(&output));

    assert!(train(&data, &["-o", &resumed, "--threads", "2", "--checkpoint", &checkpoint]).status.success());
    assert_eq!(content(&whole), content(&resumed), "the same with two threads");
    std::fs::remove_file(&resumed).expect("removed");
    assert!(train(&data, &["-o", &resumed, "--checkpoint", &checkpoint, "--resume"]).status.success());
    assert_eq!(content(&whole), content(&resumed), "nothing was left to do");
}

#[test]
fn bad_input_is_named() {
    let place = tempfile::tempdir().expect("a directory");
    let data = quadrants(place.path());
    let ask = |arguments: &[&str], part: &str| {
        let output = secateur().arg("train").args(arguments).output().expect("the program runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stdout(&output));
        assert!(stderr(&output).contains(part), "{arguments:?}: {}", stderr(&output));
    };
    let words = place.path().join("words.csv");
    std::fs::write(&words, "1,2\n0,x\n").expect("written");
    let words = words.to_str().expect("UTF-8");
    ask(&["--model", "mlp:2-2", "--data", "mnist"], "--data-dir");
    ask(&["--model", "mlp:2-2", "--data", "letters"], "letters");
    let wide = place.path().join("wide.csv");
    std::fs::write(&wide, "9,1,2\n").expect("written");
    let wide = wide.to_str().expect("UTF-8");
    ask(&["--model", "mlp:2-2", "--data", &data, "--test", wide], "the targets need 10");
    ask(&["--model", "mlp:1-2", "--data", words], "line 2: expected a number, found `x`");
    ask(&["--model", "mlp:3-2", "--data", &data], "the network takes 3 numbers, a sample has 2");
    ask(&["--model", "mlp:2-1", "--data", &data], "the targets need 2");
    ask(&["--model", "none.onnx", "--data", &data], "none.onnx");
    ask(&["--model", "mlp:2-2", "--data", &data, "--batch", "0"], "batch: expected at least one sample");
    ask(&["--model", "mlp:2-2", "--data", &data, "--momentum", "1", "--optimiser", "sgd"], "momentum");
    ask(&["--model", "mlp:2-2", "--data", &data, "--validation", "1"], "--validation");
    ask(&["--model", "mlp:2-2", "--data", &data, "--resume"], "--checkpoint");
    ask(&["--model", "mlp:2-2", "--data", &data, "-o", "/nowhere/net.onnx"], "/nowhere/net.onnx");
    ask(&["--model", "mlp:2-8-8-2", "--data", &data, "--rate", "1e30", "--optimiser", "sgd"], "not finite");
}
