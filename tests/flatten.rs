//! `secateur lm flatten` and `drop-layers` as a person runs them: what they write, what they say, what they refuse.

use secateur_nn::lm::{Checkpoint, Model};
use secateur_nn::safetensors::Dtype;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

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

/// A command on the small model, with a story to calibrate on, or only to measure on where a method looks at none.
fn on_stories(place: &Path, command: &str, out: &str, more: &[&str]) -> Output {
    on(place, &fixture("stories260K.bin"), command, out, more)
}

fn on(place: &Path, model: &str, command: &str, out: &str, more: &[&str]) -> Output {
    let story = path(place, "story.txt");
    std::fs::write(&story, STORY.repeat(4)).expect("written");
    let (tokenizer, out) = (fixture("tok512.bin"), path(place, out));
    let sizes: &[&str] =
        if more.contains(&"--length") { &["--sequences", "4"] } else { &["--sequences", "4", "--length", "96"] };
    let common = [command, model, "-o", &out, "--tokenizer", &tokenizer];
    let blind = ["list", "random", "magnitude"].iter().any(|name| more.contains(name)) && !more.contains(&"--recover");
    let story = [if blind { "--text" } else { "--calibration" }, &story];
    run(&[&common[..], &story[..], sizes, more].concat())
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
    for command in ["flatten", "drop-layers"] {
        refused(command, &["--blocks", "3", "--recover", "1", "--rank", "0"], "positive");
        refused(command, &["--blocks", "3", "--length", "0"], "tokens of a sequence: expected 2 or more, found 0");
        refused(command, &["--blocks", "3", "--length", "1"], "tokens of a sequence: expected 2 or more, found 1");
    }
    let slice = ["--blocks", "3", "--method", "slice"];
    for option in [["--lambda", "1"], ["--refit", "1"], ["--activations", "dense"]] {
        refused("flatten", &[&slice[..], &option].concat(), &format!("{} ", option[0]));
    }
    refused("flatten", &["--blocks", "3", "--method", "flatten-naive", "--refit", "1"], "--refit is of");
    refused(
        "drop-layers",
        &["--blocks", "3", "--method", "magnitude", "--calibration", "story"],
        "--calibration is for",
    );
    refused("drop-layers", &["--blocks", "3", "--method", "random", "--recover", "0"], "positive");
    refused("drop-layers", &["--method", "list", "--layers", "5"], "[5]");
    refused("drop-layers", &["--method", "list", "--blocks", "3"], "--layers");
    refused("drop-layers", &["--method", "sleb", "--layers", "3"], "--blocks");
    refused("drop-layers", &[], "--blocks");
    let (once, again) = (["--blocks", "3", "--method", "random"], "random");
    assert!(on_stories(place.path(), "drop-layers", again, &once).status.success());
    let found = on_stories(place.path(), "drop-layers", again, &once);
    assert!(!found.status.success(), "a folder that holds a model");
}

#[test]
fn options_without_a_text_are_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let (model, out) = (fixture("stories260K.bin"), path(place.path(), "out"));
    let common = ["drop-layers", &model, "-o", &out, "--method", "magnitude", "--blocks", "4"];
    for option in [["--sequences", "3"], ["--length", "9"], ["--seed", "3"], ["--tokenizer", "none"]] {
        let found = run(&[&common[..], &option].concat());
        let said = text(&found.stderr);
        assert!(found.status.code() == Some(2) && said.contains(option[0]), "{said}");
    }
    let none = ["drop-layers", &model, "-o", &out, "--method", "magnitude", "--blocks", "4", "--recover", "1"];
    assert!(text(&run(&none).stderr).contains("--calibration"));
    let said = text(&run(&common).stdout);
    assert!(said.contains("perplexity  not measured") && said.contains("tokens/s  "), "{said}");
}

#[test]
fn records_tell_what_was_used() {
    let place = tempfile::tempdir().expect("a directory");
    let asked = |command: &str, method: &str, more: &[&str]| {
        let common = ["--blocks", "4", "--method", method, "--json", "-"];
        let out = format!("{command} {method} {}", more.concat());
        record(&on_stories(place.path(), command, &out, &[&common[..], more].concat()))
    };
    let found = asked("flatten", "flatten", &[]);
    let settings = &found["settings"];
    assert_eq!((&settings["lambda"], &settings["compensate"]), (&10.0.into(), &true.into()));
    assert_eq!((&settings["sequences"], &settings["length"]), (&4.into(), &96.into()));
    assert_eq!((&found["measured"]["context"], &found["measured"]["stride"]), (&96.into(), &95.into()));
    for at in [0, 1] {
        let speed = &found["speed"][at];
        assert!(speed["prefill"].as_f64() > Some(0.0) && speed["decode"].as_f64() > Some(0.0), "{speed}");
    }
    let naive = &asked("flatten", "flatten-naive", &["--no-speed"]);
    assert_eq!((&naive["settings"]["lambda"], &naive["settings"]["compensate"]), (&Value::Null, &false.into()));
    assert_eq!(naive["speed"], Value::Null);
    let laco = &asked("flatten", "laco", &[])["settings"];
    assert_eq!(
        (&laco["lambda"], &laco["activations"], &laco["compensate"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let sleb = &asked("drop-layers", "sleb", &["--length", "50"])["settings"];
    assert_eq!((&sleb["sequences"], &sleb["length"], &sleb["seed"]), (&4.into(), &50.into(), &1.into()));
    let recovered = asked("drop-layers", "random", &["--recover", "2"]);
    assert_eq!(recovered["recovery"].as_array().map(Vec::len), Some(2));
    assert_eq!((&recovered["settings"]["recover"]["alpha"], &recovered["method"]), (&16.0.into(), &"random".into()));
}

/// The small model with a block whose finite weights overflow.
fn broken(place: &Path) -> String {
    let mut model = Model::load(&Checkpoint::open(fixture("stories260K.bin")).expect("a model")).expect("read");
    model.blocks[2].down.data_mut().fill(f32::MAX);
    model.save(&place.join("broken"), Dtype::F32).expect("written");
    path(place, "broken")
}

#[test]
fn originals_that_do_not_predict_are_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let model = broken(place.path());
    for (command, method) in
        [("flatten", "flatten"), ("flatten", "laco"), ("drop-layers", "sleb"), ("drop-layers", "random")]
    {
        let found = on(place.path(), &model, command, "out", &["--blocks", "3", "--method", method]);
        let said = text(&found.stderr);
        assert!(found.status.code() == Some(2) && said.contains("perplexity of the whole model"), "{method}: {said}");
        assert!(!place.path().join("out").exists(), "{method}");
    }
}

#[test]
fn interrupted_runs_leave_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let (story, out) = (path(place.path(), "story.txt"), path(place.path(), "out"));
    std::fs::write(&story, STORY.repeat(4)).expect("written");
    let (model, tokenizer) = (fixture("stories260K.bin"), fixture("tok512.bin"));
    let recover = ["--recover", "1000000", "--no-speed"];
    let common = ["-o", &out, "--tokenizer", &tokenizer, "--calibration", &story, "--blocks", "4"];
    for command in ["flatten", "drop-layers"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_secateur"));
        let child = child.args(["lm", command, &model]).args(common).args(recover);
        let child = child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let child = child.expect("the program runs");
        // It listens before it claims its folder.
        let begun = Instant::now();
        while !Path::new(&out).exists() {
            assert!(begun.elapsed().as_secs() < 60, "{command} begins");
            std::thread::sleep(Duration::from_millis(5));
        }
        let number = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &number]).status().expect("a signal").success());
        let found = child.wait_with_output().expect("an end");
        assert_eq!(found.status.code(), Some(3), "{command}: {}", text(&found.stderr));
        assert!(text(&found.stderr).contains("stopped") && !Path::new(&out).exists(), "{command}");
    }
}

/// What is discrete of the model that ships: which blocks become one, and which of their heads stay.
#[test]
fn the_model_that_ships_keeps_its_groups() {
    let place = tempfile::tempdir().expect("a directory");
    let example = |name: &str| path(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/lm"), name);
    let (model, words, out) = (example("bytes"), example("tinyshakespeare.txt"), path(place.path(), "out"));
    let arguments = ["flatten", &model, "--blocks", "16", "--calibration", &words, "--sequences", "8", "-o", &out];
    let found = record(&run(&[&arguments[..], &["--length", "256", "--no-speed", "--json", "-"]].concat()));
    let groups = found["found"]["flattened"]["groups"].as_array().expect("groups");
    let told: Vec<Value> = groups.iter().map(|group| json!([group["blocks"]["start"], group["heads"]])).collect();
    assert_eq!(json!(told), json!([[5, [0, 1, 4]], [10, [1, 2, 3]], [13, [2, 3, 5]], [16, [1, 3, 5]]]));
    let perplexity = found["measured"]["perplexity"].as_array().expect("two").iter().map(|p| p.as_f64().expect("one"));
    let perplexity: Vec<f64> = perplexity.collect();
    // Measured on the tokens it was calibrated on: 3.977 → 4.202. Four of twenty blocks less cost less than a tenth.
    assert!((perplexity[0] - 3.9766).abs() < 1e-3 && perplexity[1] < 1.1 * perplexity[0], "{perplexity:?}");
    assert_eq!(
        (&found["parameters"], &found["bytes"]),
        (&json!([2_056_224, 1_649_952]), &json!([4_131_784, 3_315_368]))
    );
}
