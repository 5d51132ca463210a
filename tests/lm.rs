//! `secateur lm` as a person runs it: texts, perplexities, choices, descriptions, and what it refuses.

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.stdin(Stdio::null()).env_remove("SECATEUR_DATA").arg("lm").args(arguments);
    command.output().expect("the program runs")
}

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn record(arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(arguments)).expect("JSON")
}

fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../nn/tests/fixtures/lm").join(name);
    path.to_str().expect("UTF-8").to_owned()
}

/// Arguments that name stories260K and its tokenizer.
fn stories() -> [String; 3] {
    [fixture("stories260K.bin"), "--tokenizer".to_owned(), fixture("tok512.bin")]
}

#[test]
fn texts_continue_behind_their_prompt() {
    let [model, option, tokenizer] = &stories();
    let prompt = "Lily and her mom went to the";
    let text = printed(&["generate", model, option, tokenizer, "--prompt", prompt, "--steps", "30"]);
    assert!(
        text.starts_with(&format!("{prompt} ")) && text.ends_with('\n') && text.len() > prompt.len() + 20,
        "{text}"
    );
    let warm = |seed: &str| {
        record(&["generate", model, option, tokenizer, "--temperature", "1", "--seed", seed, "--steps", "20", "--json"])
    };
    let (first, again, other) = (warm("3"), warm("3"), warm("4"));
    assert_eq!(first["text"], again["text"]);
    assert_ne!(first["text"], other["text"]);
    assert_eq!((&first["prompt-tokens"], first["tokens"].as_array().map(Vec::len)), (&Value::from(1), Some(20)));
    let limited = |more: &[&str]| {
        let fixed =
            ["generate", model, option, tokenizer, "--temperature", "1", "--seed", "3", "--steps", "20", "--json"];
        record(&[&fixed[..], more].concat())
    };
    let (narrow, one) = (limited(&["--top-k", "5", "--top-p", "0.5"]), limited(&["--top-k", "1"]));
    assert_eq!((&narrow["top-k"], &narrow["top-p"], &first["top-k"]), (&5.into(), &0.5.into(), &Value::Null));
    assert_ne!(narrow["tokens"], first["tokens"]);
    assert_eq!(one["tokens"], record(&["generate", model, option, tokenizer, "--steps", "20", "--json"])["tokens"]);
    for wrong in [["--top-k", "0"], ["--top-p", "0"], ["--top-p", "1.1"], ["--top-p", "nan"]] {
        let arguments = ["generate", model, option, tokenizer, "--temperature", "1", wrong[0], wrong[1]];
        assert!(refused(&arguments).contains("expected"), "{wrong:?}");
    }
    assert!(refused(&["generate", model, option, tokenizer, "--top-k", "5"]).contains("--temperature"));
    assert!(refused(&["generate", model]).contains("--tokenizer"));
    assert!(refused(&["generate", model, option, tokenizer, "--temperature=-1"]).contains("from 0"));
    assert!(refused(&["generate", &fixture("llama-f32"), option, tokenizer]).contains("512 tokens, the model 96"));
    // A prompt that is too long is not printed.
    let long = run(&["generate", model, option, tokenizer, "--prompt", &"Lily went ".repeat(400)]);
    assert_eq!((long.status.code(), long.stdout.len()), (Some(2), 0));
    assert!(String::from_utf8_lossy(&long.stderr).contains("the model takes 512"));
}

#[test]
fn perplexities_say_how_they_were_measured() {
    let [model, option, tokenizer] = &stories();
    let place = tempfile::tempdir().expect("a directory");
    let (text, json) = (place.path().join("story.txt"), place.path().join("record.json"));
    let story = printed(&["generate", model, option, tokenizer, "--steps", "120"]);
    std::fs::write(&text, story.trim_end()).expect("written");
    let (text, json) = (text.to_str().expect("UTF-8"), json.to_str().expect("UTF-8"));
    let measure = |more: &[&str]| {
        let fixed = ["perplexity", model, option, tokenizer, "--text", text, "--json", "-"];
        record(&[&fixed[..], more].concat())
    };
    let found = measure(&["--context", "64", "--stride", "16"]);
    assert_eq!((&found["context"], &found["stride"], &found["bos-at"]), (&64.into(), &16.into(), &"text".into()));
    assert_eq!((&found["beginning"], &found["bos"]), (&Value::from(vec![1]), &Value::Null));
    // Greedy text, each token the likeliest of 512: far from a guess.
    let perplexity = found["perplexity"].as_f64().expect("a number");
    assert!(perplexity > 1.0 && perplexity < 4.0, "{perplexity}");
    // The beginning is not scored, so that all tokens of the text are; with none the first is not.
    let scored = |record: &Value| record["tokens"].as_u64().expect("a count");
    assert_eq!(scored(&measure(&["--bos", "none"])) + 1, scored(&found));
    let windows = measure(&["--bos", "window", "--context", "32"]);
    assert_eq!((scored(&windows), &windows["bos"]), (scored(&found), &Value::from(1)));
    let bits = found["nll"].as_f64().expect("a number") * scored(&found) as f64 / std::f64::consts::LN_2;
    let by_byte = bits / found["bytes"].as_f64().expect("a number");
    assert!((found["bits-per-byte"].as_f64().expect("a number") - by_byte).abs() < 1e-12);
    let table = printed(&["perplexity", model, option, tokenizer, "--text", text, "--json", json]);
    assert!(
        table.contains("beginning token [1] before the text")
            && std::fs::read_to_string(json).expect("written").contains("tok512.bin")
    );
    let fault = refused(&["perplexity", model, option, tokenizer, "--text", text, "--context", "4096"]);
    assert!(fault.contains("4096") && fault.contains("512"), "{fault}");
    let fault = refused(&["perplexity", model, option, tokenizer, "--text", tokenizer]);
    assert!(fault.contains("UTF-8"), "{fault}");
}

#[test]
fn choices_are_counted() {
    let [model, option, tokenizer] = &stories();
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("questions.jsonl");
    let lines = r#"{"query": "Once upon a time, there was a little girl named", "choices": ["12", "Lily."], "gold": 1}
{"query": "She loved to play with her", "choices": ["government", "friends"], "gold": 0}"#;
    std::fs::write(&file, lines).expect("written");
    let file = file.to_str().expect("UTF-8");
    let found = record(&["choices", model, option, tokenizer, "--file", file, "--json", "-"]);
    assert_eq!((&found["questions"], &found["accuracy"]), (&2.into(), &0.5.into()));
    assert_eq!(found["scores"][1]["log-likelihoods"].as_array().map(Vec::len), Some(2));
    assert!(printed(&["choices", model, option, tokenizer, "--file", file]).contains("accuracy           0.5000"));
    let lines = r#"{"goal": "Once upon a time, there was a little girl named", "sol1": "12", "sol2": "Lily.", "label": "1"}
{"sentence": "Tom saw a big dog. The _ barked.", "option1": "dog", "option2": "sky", "answer": "1"}
{"question": "What do children do?", "choices": {"text": ["play", "zzzz"], "label": ["A", "B"]}, "answerKey": "A"}"#;
    std::fs::write(file, format!("{lines}\n{}", lines.replace("Once", &"Once ".repeat(600)))).expect("written");
    let found = record(&["choices", model, option, tokenizer, "--file", file, "--json", "-"]);
    assert_eq!((&found["questions"], &found["accuracy"], &found["cut"]), (&6.into(), &1.0.into(), &1.into()));
    std::fs::write(file, "{}").expect("written");
    assert!(refused(&["choices", model, option, tokenizer, "--file", file]).contains("line 1"));
}

#[test]
fn models_are_described() {
    let found = record(&["inspect", &fixture("stories260K.bin"), "--json"]);
    assert_eq!(
        (&found["parameters"], &found["bytes"], &found["rope"]),
        (&260_032.into(), &1_056_540.into(), &"interleaved".into())
    );
    assert_eq!(found["blocks"].as_array().map(Vec::len), Some(5));
    let table = printed(&["inspect", &fixture("qwen2-bf16")]);
    assert!(table.contains("qwen2, BF16") && table.contains("vocabulary  96"), "{table}");
    assert!(refused(&["inspect", "nowhere"]).contains("nowhere"));
    assert!(refused(&["inspect", &fixture("tok512.bin")]).contains("tok512.bin"));
}

#[test]
fn models_that_are_streamed_give_the_same_record() {
    let [model, option, tokenizer] = &stories();
    let place = tempfile::tempdir().expect("a directory");
    let text = place.path().join("story.txt");
    std::fs::write(&text, "Lily and her mom went to the park. ".repeat(20)).expect("written");
    let text = text.to_str().expect("UTF-8");
    let measure = |more: &[&str]| {
        let fixed = ["perplexity", model, option, tokenizer, "--text", text, "--context", "50", "--json", "-"];
        record(&[&fixed[..], more].concat())
    };
    let (loaded, streamed) = (measure(&[]), measure(&["--stream"]));
    for key in ["nll", "perplexity", "tokens", "windows", "bits-per-byte", "parameters"] {
        assert!(loaded[key].is_number() && loaded[key] == streamed[key], "{key}");
    }
    assert_eq!((&loaded["streamed"], &loaded["reads"]), (&false.into(), &1.into()));
    assert_eq!((&streamed["streamed"], &streamed["reads"]), (&true.into(), &1.into()));
    // No room for anything: a window at a time.
    let narrow = measure(&["--stream", "--memory", "0"]);
    assert_eq!((&narrow["reads"], &narrow["nll"]), (&narrow["windows"], &loaded["nll"]));
    let short =
        ["perplexity", model, option, tokenizer, "--text", text, "--context", "50", "--stream", "--memory", "0"];
    let table = printed(&short);
    assert!(table.contains(&format!("read {} times, a block at a time", narrow["windows"])), "{table}");
    assert!(refused(&["perplexity", model, option, tokenizer, "--text", text, "--memory", "3"]).contains("--stream"));
}
