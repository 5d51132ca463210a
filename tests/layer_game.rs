//! `secateur lm layer-game` as a person runs it: five blocks of the model that ships, all sets of them.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const CONFIG: &str = r#"
    title = "Five blocks"
    model = "EXAMPLES/bytes"
    text = "EXAMPLES/tinyshakespeare.txt"
    sequences = 4
    length = 64
    held-out-sequences = 4
    seeds = [0, 1]
    blocks = [4, 5, 9, 13, 19]
    removed = [1, 2]
    [masks]
    kept = [4, 3, 2]
    samples = 24
    base = 2000
    bootstrap = 20
    [shapley]
    permutation = 10
    stratified = 2
    kernel = 20
"#;

/// Runs a configuration into a directory beside it.
fn run(place: &Path, config: &str, out: &str, threads: &str) -> Output {
    let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/lm");
    let path = place.join("study.toml");
    std::fs::write(&path, config.replace("EXAMPLES", examples.to_str().expect("UTF-8"))).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.stdin(Stdio::null()).args(["lm", "layer-game", "--threads", threads]);
    command.arg(&path).arg("--out").arg(place.join(out)).output().expect("the program runs")
}

fn page(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn all_sets_of_five_blocks() {
    let place = tempfile::tempdir().expect("a directory");
    let first = page(&run(place.path(), CONFIG, "out", "1"));
    let lines = || std::fs::read(place.path().join("out/measurements.jsonl")).expect("measurements");
    let measured = lines();
    assert_eq!(first, page(&run(place.path(), CONFIG, "out", "2")), "from what is on disk");
    assert_eq!(measured, lines());
    assert_eq!(first, page(&run(place.path(), CONFIG, "other", "2")), "with other threads");
    let record = std::fs::read(place.path().join("out/record.json")).expect("a record");
    let record: Value = serde_json::from_slice(&record).expect("JSON");
    let named = |list: &str, name: &str| -> Value {
        let all = record[list].as_array().expect("a list");
        all.iter().find(|one| one["name"] == name).expect("one of that name").clone()
    };
    // Block 5 is the second that would go by its own loss; with 4, it is 9.
    for method in ["best of all sets", "SLEB", "Shapley"] {
        let choices = &named("methods", method)["choices"][0];
        assert_eq!((&choices[0]["removed"], &choices[1]["removed"]), (&json!([4]), &json!([4, 9])), "{method}");
        assert_eq!(choices[1]["better"], 0);
    }
    let values = named("concepts", "Shapley")["values"].as_array().expect("values").clone();
    let sum: f64 = values.iter().map(|value| value.as_f64().expect("a number")).sum();
    let [whole, bare] = [&record["whole"][0], &record["bare"]].map(|value| value.as_f64().expect("a number"));
    assert!((sum - (1.0 - whole / bare)).abs() < 1e-12, "{sum}");
    assert_eq!(record["masks"], 32);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    for (from, to, said) in [
        ("samples", "sample", "sample"),
        ("[4, 5, 9, 13, 19]", "[4, 5, 9, 13, 20]", "blocks"),
        ("removed = [1, 2]", "removed = [5]", "removed"),
        ("EXAMPLES/bytes", "EXAMPLES/nothing", "nothing"),
        ("length = 64", "length = 5000", "the model takes 512"),
    ] {
        let output = run(place.path(), &CONFIG.replace(from, to), "out", "1");
        let fault = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.code() == Some(2) && fault.contains(said) && output.stdout.is_empty(), "{to}: {fault}");
    }
}
