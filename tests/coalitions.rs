//! `secateur game search` and `game federated` as a person runs them: values that are expensive, and kept.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.stdin(Stdio::null()).env_remove("SECATEUR_DATA").arg("game").args(arguments);
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

fn file(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

/// The square of the number of players, with a seed of 0 or 1 added and taken off.
const SQUARES: &str =
    r#"{"n": 5, "seeds": [0, 1], "command": ["sh", "-c", "s=$1; shift; echo $(($# * $# + 2 * $s - 1))", "v"]}"#;

#[test]
fn values_of_a_program_are_measured_once() {
    let place = tempfile::tempdir().expect("a directory");
    let (game, out) = (file(place.path(), "game.json", SQUARES), place.path().join("values"));
    let out = out.to_str().expect("UTF-8");
    let found = record(&["search", &game, "--out", out, "--json", "-"]);
    // A convex game: no coalition gains by leaving an equal division; all but one have 16, a fifth of 25 is 5.
    assert_eq!((found["exact"]["lower"].as_str(), found["exact"]["upper"].as_str()), (Some("-4"), Some("-4")));
    assert_eq!(found["payoffs"], serde_json::json!([5.0, 5.0, 5.0, 5.0, 5.0]));
    let evaluations = found["evaluations"].as_u64().expect("a number");
    assert!((6..=31).contains(&evaluations), "{evaluations}");
    assert_eq!(found["measured"], serde_json::json!([2 * evaluations, 2 * evaluations]));
    let again = record(&["search", &game, "--out", out, "--json", "-"]);
    assert_eq!(again["measured"], serde_json::json!([0, 2 * evaluations]));
    // Whoever leaves takes less than 16, so an interval of 20 needs all and all but one.
    let wide = place.path().join("wide");
    let wide = record(&["search", &game, "--out", wide.to_str().expect("UTF-8"), "--eta", "20", "--json", "-"]);
    assert_eq!((&wide["evaluations"], &wide["exact"]["lower"]), (&Value::from(6), &found["exact"]["lower"]));
    let drawn = record(&["search", &game, "--out", out, "--mode", "drawn", "--coalitions", "30", "--json", "-"]);
    assert_eq!((&drawn["exact"]["lower"], &drawn["evaluations"]), (&found["exact"]["lower"], &Value::from(31)));
    let stack = record(&["search", &game, "--out", out, "--mode", "stack", "--json", "-"]);
    assert!(stack["lower"].as_f64() <= found["lower"].as_f64());
}

#[test]
fn what_makes_no_search_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let game = file(place.path(), "game.json", SQUARES);
    assert!(refused(&["search", &game]).contains("--out"));
    let out = place.path().join("values");
    let out = out.to_str().expect("UTF-8");
    let failing = file(place.path(), "failing.json", r#"{"n": 2, "command": ["sh", "-c", "echo broken >&2; exit 1"]}"#);
    assert!(refused(&["search", &failing, "--out", out]).contains("broken"));
    // The directory is of that game now.
    assert!(refused(&["search", &game, "--out", out]).contains("another configuration"));
    let table = file(place.path(), "table.json", r#"{"n": 2, "values": [0, 3, 1, 2]}"#);
    assert!(refused(&["search", &table, "--out", out]).contains("--out"));
    assert!(refused(&["search", &table, "--eta", "-1"]).contains("eta"));
    assert!(refused(&["search", &table, "--mode", "stack", "--weak", "nan"]).contains("weak"));
    let found = record(&["search", &table, "--json", "-"]);
    assert_eq!(found["contradiction"], serde_json::json!([[0], [0, 1]]));
    let slack = record(&["search", &table, "--slack", "1", "--json", "-"]);
    assert!(slack["contradiction"].is_null());
    let unknown = file(place.path(), "unknown.json", r#"{"n": 2, "command": ["true"], "color": 1}"#);
    assert!(refused(&["search", &unknown, "--out", out]).contains("color"));
}

const DIGITS: &str = r#"
title = "Four clients"
data = "digits"
classes = ["0", "1", "2"]
test = 100
data-seed = 1
seeds = [1, 2]

[training]
hidden = [8]
rounds = 4
batch = 16
rate = 0.5

[compare]
noise = 4
draws = 2

[[client]]
name = "zeros and ones"
samples = { 0 = 20, 1 = 20 }

[[client]]
name = "twos"
samples = { 2 = 30 }

[[client]]
name = "twos, again"
same-as = "twos"

[[client]]
name = "nothing"
idle = 10
"#;

#[test]
fn clients_train_together() {
    let place = tempfile::tempdir().expect("a directory");
    let config = file(place.path(), "four.toml", DIGITS);
    let page = run(&["federated", &config, "--threads", "1"]);
    assert_eq!(page.status.code(), Some(0), "{}", String::from_utf8_lossy(&page.stderr));
    let text = String::from_utf8(page.stdout).expect("UTF-8");
    assert!(text.contains("All 15 coalitions need 30 trainings"), "{text}");
    let out = place.path().join("four");
    for name in ["index.html", "report.md", "payoffs.svg", "searches.png", "noise.svg", "game.json", "record.json"] {
        assert!(out.join(name).exists(), "{name}");
    }
    let read = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON") };
    let record = read(&out.join("record.json"));
    assert_eq!(record["measured"].as_array().map(Vec::len), Some(30));
    // Who sends back what it received makes an untrained model alone.
    let idle = record["shares"]["values"][8].as_f64().expect("a value");
    let whole = record["shares"]["values"][15].as_f64().expect("a value");
    assert!(idle < 0.5 * whole, "{idle} {whole}");
    // What was trained is not trained again, and threads change nothing.
    let other = place.path().join("other");
    let again = run(&["federated", &config, "--out", other.to_str().expect("UTF-8"), "--threads", "3"]);
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(read(&out.join("game.json")), read(&other.join("game.json")));
    let before = std::fs::metadata(out.join("measurements.jsonl")).expect("a file").len();
    assert_eq!(run(&["federated", &config]).status.code(), Some(0));
    assert_eq!(std::fs::metadata(out.join("measurements.jsonl")).expect("a file").len(), before);
}

#[test]
fn a_certified_search_trains_less() {
    let place = tempfile::tempdir().expect("a directory");
    let text = DIGITS.replace("[compare]", "[search]\neta = 1.0\nslack = 0.1\nbatch = 2\n\n[compare]");
    let config = file(place.path(), "search.toml", &text);
    let output = run(&["federated", &config]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("of 15 coalitions were trained"), "{text}");
    let lines = std::fs::read_to_string(place.path().join("search").join("measurements.jsonl")).expect("a file");
    assert!((10..30).contains(&lines.lines().count()), "{}", lines.lines().count());
}

/// More coalitions than a number of 64 bits counts.
#[test]
fn seventy_clients_are_searched() {
    let place = tempfile::tempdir().expect("a directory");
    let clients = DIGITS.find("[compare]").expect("a table");
    let text = DIGITS[..clients].replace("rounds = 4", "rounds = 1").replace("seeds = [1, 2]", "seeds = [1]");
    let search = "[search]\neta = 2.0\nslack = 1.0\nbatch = 8\n[skew]\nclients = 70\nsamples = 140\n";
    let config = file(place.path(), "many.toml", &(text + search));
    let output = run(&["federated", &config]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains(" of 1180591620717411303423 coalitions were trained"), "{text}");
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    let place = tempfile::tempdir().expect("a directory");
    for (from, to, what) in [
        ("test = 100", "test = 0", "test"),
        ("test = 100", "test = 5000", "test: 5000 samples are asked for, 536 are left"),
        ("samples = { 2 = 30 }", "samples = { 11 = 30 }", "found `\"11\"`"),
        ("hidden = [8]", "hidden = [1000000000]", "widths of at most 10000000 weights in all, found `[1000000000]`"),
        ("hidden = [8]", "hidden = [4000, 4000]", "widths of at most"),
        ("[compare]", "[skew]\nclients = 1000000000000\nsamples = 1000000000000\n[compare]", "skew.clients"),
        ("seeds = [1, 2]", "seeds = []", "seeds"),
        ("\"2\"]", "\"eleven\"]", "classes"),
        ("idle = 10", "idle = 0", "idle"),
        ("same-as = \"twos\"", "same-as = \"threes\"", "same-as"),
        ("{ 2 = 30 }", "{ 2 = 3000 }", "samples are asked for"),
        ("name = \"nothing\"", "name = \"twos\"", "name"),
        ("rounds = 4", "rounds = 0", "rounds"),
        ("rate = 0.5", "rate = nan", "rate"),
        ("rate = 0.5", "rate = 1e30", "coalition"),
        ("title", "color = 1\ntitle", "color"),
        ("data = \"digits\"", "data = \"nsl-kdd\"", "classes"),
    ] {
        assert!(DIGITS.contains(from), "{from}");
        let config = file(place.path(), "bad.toml", &DIGITS.replace(from, to));
        let out = place.path().join("out");
        let error = refused(&["federated", &config, "--out", out.to_str().expect("UTF-8")]);
        assert!(error.contains(what), "{from} → {to}: {error}");
        assert!(!out.exists() || to == "rate = 1e30", "{to}");
        let _ = std::fs::remove_dir_all(out);
    }
    let flows = DIGITS.replace("digits", "nsl-kdd").replace("classes = [\"0\", \"1\", \"2\"]", "");
    let flows = flows.replace("0 = 20, 1 = 20", "normal = 20").replace("2 = 30", "dos = 30");
    let config = file(place.path(), "flows.toml", &flows);
    assert!(refused(&["federated", &config]).contains("no directory of data sets"));
}

#[test]
fn every_concept_asks_a_program() {
    let place = tempfile::tempdir().expect("a directory");
    file(place.path(), "game.json", SQUARES);
    // A bare name is a file of the working directory.
    let run_there = |arguments: &[&str]| -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
        command.stdin(Stdio::null()).current_dir(place.path()).arg("game").args(arguments);
        let output = command.output().expect("the program runs");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let solve = |concept: &str, more: &[&str]| {
        let arguments = ["solve", "game.json", "--concept", concept, "--out", "values", "--json", "-"];
        run_there(&[&arguments, more].concat())
    };
    assert_eq!(solve("leave-one-out", &[])["payoffs"], serde_json::json!([9.0, 9.0, 9.0, 9.0, 9.0]));
    let sampled = solve("shapley", &["--units", "4"]);
    assert!(
        sampled["payoffs"].as_array().expect("payoffs").iter().all(|x| (3.0..7.0).contains(&x.as_f64().expect("one")))
    );
    for concept in ["least-core", "nucleolus", "shapley"] {
        assert_eq!(solve(concept, &[])["payoffs"], serde_json::json!([5.0, 5.0, 5.0, 5.0, 5.0]), "{concept}");
    }
    assert_eq!(run_there(&["search", "game.json", "--out", "values", "--json", "-"])["measured"][0], 0);
    // Values of another program are not taken.
    std::fs::remove_file(place.path().join("values").join("config.json")).expect("removed");
    let game = place.path().join("game.json");
    let out = place.path().join("values");
    let (game, out) = (game.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
    assert!(refused(&["solve", game, "--concept", "shapley", "--out", out]).contains("config.json"));
}

#[test]
fn what_is_known_bounds_what_is_not() {
    let place = tempfile::tempdir().expect("a directory");
    // Not monotone: a coalition that no stack looks at.
    let game = file(place.path(), "game.json", r#"{"n": 3, "values": [0, 5, 0, 0, 0, 0, 0, 1]}"#);
    let worst = |record: &Value| record["worst"].as_f64().expect("a number");
    for mode in ["stack", "drawn"] {
        let coalitions: &[&str] = if mode == "drawn" { &["--coalitions", "1", "--seed", "2"] } else { &[] };
        let plain = record(&[&["search", &game, "--mode", mode, "--json", "-"], coalitions].concat());
        let slack = record(&[&["search", &game, "--mode", mode, "--slack", "5", "--json", "-"], coalitions].concat());
        assert!(worst(&plain) >= 4.0 && slack["upper"].as_f64() >= Some(worst(&slack)), "{plain} {slack}");
    }
    for options in [
        &["--mode", "stack", "--eta", "0"][..],
        &["--seed", "1"],
        &["--mode", "drawn", "--weak", "0.5"],
        &["--threads", "2"],
    ] {
        let error = refused(&[&["search", &game], options].concat());
        assert!(error.contains(options[options.len() - 2]), "{error}");
    }
}

#[test]
fn models_that_learn_nothing_are_worth_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let clients = DIGITS.find("[[client]]").expect("clients");
    let idle = "[[client]]\nname = \"a\"\nidle = 5\n[[client]]\nname = \"b\"\nsamples = { 0 = 5 }\n";
    let text = DIGITS[..clients].replace("rate = 0.5", "rate = 1e-9").to_owned() + idle;
    let config = file(place.path(), "nothing.toml", &text);
    let output = run(&["federated", &config]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    // A line that is none of this game is refused.
    let lines = place.path().join("nothing").join("measurements.jsonl");
    let mut text = std::fs::read_to_string(&lines).expect("lines");
    text.push_str("{\"players\":[130],\"seed\":1,\"value\":9.0,\"seconds\":0.0}\n");
    std::fs::write(&lines, text).expect("written");
    assert!(refused(&["federated", &config]).contains("line 7"), "{}", refused(&["federated", &config]));
}
