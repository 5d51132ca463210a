//! Ctrl-C during `secateur lm` and searches of games: exit code 3, what is finished is kept or said, and nothing unfinished is left.
#![cfg(target_os = "linux")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("RAYON_NUM_THREADS", "1").args(arguments).spawn().expect("the program runs")
}

/// Waits until something holds, as long as the program runs.
fn wait(child: &mut Child, what: impl Fn(&Child) -> bool) {
    while !what(child) {
        assert!(child.try_wait().expect("a state").is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the program listens to Ctrl-C.
fn listens(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 2 != 0)
}

fn interrupted(child: Child) -> (String, String) {
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signal.expect("kill runs").success());
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert_eq!(status.code(), Some(3), "{stderr}");
    (stdout, stderr)
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../nn/tests/fixtures/lm").join(name)
}

/// A model without tokens that end a text, with a long context and a tokenizer of one word.
fn endless(folder: &Path) -> String {
    std::fs::copy(fixture("llama-f32/model.safetensors"), folder.join("model.safetensors")).expect("copied");
    let config = std::fs::read_to_string(fixture("llama-f32/config.json")).expect("read");
    let mut config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    (config["bos_token_id"], config["eos_token_id"]) = (serde_json::Value::Null, serde_json::Value::Null);
    config["max_position_embeddings"] = (1 << 20).into();
    std::fs::write(folder.join("config.json"), config.to_string()).expect("written");
    let tokenizer = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"word": 3}, "unk_token": "word"}}"#;
    std::fs::write(folder.join("tokenizer.json"), tokenizer).expect("written");
    folder.to_str().expect("UTF-8").to_owned()
}

#[test]
fn texts_keep_what_was_added() {
    let place = tempfile::tempdir().expect("a directory");
    let mut child = start(&["lm", "generate", &endless(place.path()), "--prompt", "word", "--steps", "1000000"]);
    let mut prompt = [0; 4];
    child.stdout.as_mut().expect("piped").read_exact(&mut prompt).expect("the prompt");
    assert_eq!(&prompt, b"word");
    let (rest, said) = interrupted(child);
    assert!(rest.ends_with('\n'), "{rest:?}");
    assert!(said.starts_with("error: stopped after ") && said.contains(" of 1000000 tokens"), "{said}");
}

#[test]
fn measurements_say_how_far_they_came() {
    let place = tempfile::tempdir().expect("a directory");
    let model = endless(place.path());
    let (text, questions) = (place.path().join("text"), place.path().join("questions"));
    std::fs::write(&text, "word ".repeat(400_000)).expect("written");
    let context = "word ".repeat(400);
    let line = format!(r#"{{"query": "{context}", "choices": ["word", "word word"], "gold": 0}}"#);
    std::fs::write(&questions, format!("{line}\n").repeat(4000)).expect("written");
    let (text, questions) = (text.to_str().expect("UTF-8"), questions.to_str().expect("UTF-8"));
    for (arguments, parts) in [
        (&["lm", "perplexity", &model, "--text", text, "--context", "64", "--stride", "2"][..], "199969 windows"),
        (&["lm", "choices", &model, "--file", questions], "4000 questions"),
    ] {
        let mut child = start(arguments);
        wait(&mut child, listens);
        // Some parts are done by then.
        std::thread::sleep(Duration::from_millis(100));
        let (printed, said) = interrupted(child);
        assert_eq!(printed, "");
        assert!(said.starts_with("error: stopped after ") && said.contains(&format!(" of {parts}")), "{said}");
    }
}

#[test]
fn models_that_are_not_finished_leave_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let (text, out) = (place.path().join("text"), place.path().join("out"));
    std::fs::write(&text, "Lily and her mom went to the park to play with a big red ball. ".repeat(4000))
        .expect("written");
    let [model, tokenizer] = ["stories260K.bin", "tok512.bin"].map(|name| fixture(name).display().to_string());
    let paths = [&text, &out].map(|path| path.to_str().expect("UTF-8"));
    let arguments = ["lm", "flatten", &model, "--tokenizer", &tokenizer, "--calibration", paths[0], "-o", paths[1]];
    let mut child = start(&[&arguments[..], &["--blocks", "2"]].concat());
    let files = || std::fs::read_dir(&out).into_iter().flatten().flatten().map(|entry| entry.file_name());
    wait(&mut child, |_| files().any(|name| name.to_string_lossy().ends_with(".part")));
    let (printed, said) = interrupted(child);
    assert_eq!((printed.as_str(), said.as_str()), ("", "error: stopped; no model was written\n"));
    assert_eq!(files().count(), 0);
}

#[test]
fn searches_say_how_far_they_came() {
    let place = tempfile::tempdir().expect("a directory");
    let game = place.path().join("game.json");
    let claims: Vec<usize> = (0..100).map(|player| player * player * 7 % 97 + 1).collect();
    let text = serde_json::json!({"kind": "bankruptcy", "estate": 2000, "claims": claims}).to_string();
    std::fs::write(&game, text).expect("written");
    let mut child = start(&["game", "search", game.to_str().expect("UTF-8"), "--mode", "stack"]);
    wait(&mut child, listens);
    std::thread::sleep(Duration::from_millis(100));
    let (printed, said) = interrupted(child);
    assert_eq!(printed, "");
    assert!(said.starts_with("error: stopped after ") && said.contains("coalitions were evaluated"), "{said}");
}
