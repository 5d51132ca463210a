//! `secateur lm flatten` and `drop-layers` as a person runs them: what they write, what they say, what they refuse.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const STORY: &str = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a \
    big, red ball. She wanted to play with it, but it was too high. Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and \
    didn't know what to do. She said, \"I want to play with your ball, but I can't find it.\" ";

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.stdin(Stdio::null()).arg("lm").args(arguments);
    command.output().expect("the program runs")
}

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../nn/tests/fixtures/lm").join(name);
    path.to_str().expect("UTF-8").to_owned()
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().expect("UTF-8").to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A command on the small model, with a story to calibrate on.
fn on_stories(place: &Path, command: &str, out: &str, more: &[&str]) -> Output {
    let story = path(place, "story.txt");
    std::fs::write(&story, STORY.repeat(4)).expect("written");
    let (model, tokenizer, out) = (fixture("stories260K.bin"), fixture("tok512.bin"), path(place, out));
    let common = [command, &model, "-o", &out, "--tokenizer", &tokenizer, "--sequences", "4", "--length", "96"];
    let calibration = ["--calibration", &story];
    run(&[&common[..], &calibration[..], more].concat())
}

fn record(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn every_method_writes_a_model_that_tells_a_story() {
    let place = tempfile::tempdir().expect("a directory");
    let tokenizer = fixture("tok512.bin");
    let choices = [
        ("flatten", "flatten"),
        ("flatten", "slice"),
        ("flatten", "laco"),
        ("drop-layers", "short-gpt"),
        ("drop-layers", "sleb"),
    ];
    for (command, method) in choices {
        let found =
            record(&on_stories(place.path(), command, method, &["--method", method, "--blocks", "4", "--json", "-"]));
        assert_eq!(found["method"], method);
        let [before, after] = [0, 1].map(|at| found["measured"]["perplexity"][at].as_f64().expect("a number"));
        assert!(
            before > 1.0 && after > before && found["measured"]["health"] == "predicts",
            "{method}: {before} {after}"
        );
        assert!(found["parameters"][1].as_u64() < found["parameters"][0].as_u64(), "{found}");
        let out = path(place.path(), method);
        let said = run(&["generate", &out, "--tokenizer", &tokenizer, "--prompt", "Once upon a time", "--steps", "8"]);
        assert!(said.status.success() && text(&said.stdout).len() > 20, "{}", text(&said.stderr));
    }
}

#[test]
fn tables_show_cosines_and_say_what_collapsed() {
    let place = tempfile::tempdir().expect("a directory");
    let said = text(&on_stories(place.path(), "flatten", "four", &["--blocks", "4"]).stdout);
    assert!(said.contains("cosines between the streams") && said.contains("blocks      5 → 4"), "{said}");
    // Without its first blocks this model no longer tells stories.
    let list = ["--method", "list", "--layers", "0,1,2"];
    let said = text(&on_stories(place.path(), "drop-layers", "two", &list).stdout);
    assert!(said.contains("blocks that stay: [3, 4]") && said.contains("collapsed"), "{said}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let refused = |command: &str, more: &[&str], what: &str| {
        let found = on_stories(place.path(), command, "out", more);
        let said = text(&found.stderr);
        assert!(!found.status.success() && said.contains(what), "{more:?}: {said}");
        assert!(!place.path().join("out/config.json").exists());
    };
    refused("flatten", &["--blocks", "6"], "6 blocks: expected from 1 to the 5");
    refused("flatten", &["--blocks", "0"], "0 blocks");
    refused("flatten", &["--blocks", "3", "--method", "sleb"], "drop-layers");
    refused("flatten", &["--blocks", "3", "--lambda", "0"], "positive");
    refused("drop-layers", &["--method", "list", "--layers", "5"], "[5]");
    refused("drop-layers", &["--method", "list", "--blocks", "3"], "--layers");
    refused("drop-layers", &["--method", "sleb", "--layers", "3"], "--blocks");
    refused("drop-layers", &[], "--blocks");
    let (once, again) = (["--blocks", "3", "--method", "random"], "random");
    assert!(on_stories(place.path(), "drop-layers", again, &once).status.success());
    let found = on_stories(place.path(), "drop-layers", again, &once);
    assert!(!found.status.success(), "a folder that holds a model");
}
