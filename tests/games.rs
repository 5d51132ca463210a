//! `secateur game solve` as a person runs it.

use dashu_ratio::RBig;
use secateur_check::shares::{Shares, SharesRejection, check_shares};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.stdin(Stdio::null()).args(arguments).output().expect("the program runs")
}

fn solve(directory: &Path, game: &Value, arguments: &[&str]) -> Output {
    let file = directory.join("game.json");
    std::fs::write(&file, game.to_string()).expect("written");
    let file = file.to_str().expect("UTF-8");
    run(&[&["game", "solve", file], arguments].concat())
}

fn record(directory: &Path, game: &Value, arguments: &[&str]) -> Value {
    let output = solve(directory, game, &[arguments, &["--json", "-"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn refusal(directory: &Path, game: &Value, arguments: &[&str]) -> String {
    let output = solve(directory, game, arguments);
    assert!(!output.status.success() && output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// Costs by the distance round a ring, the source being equally far from all.
fn ring(players: usize) -> Value {
    let cost = |i: usize, j: usize| match (i, j) {
        _ if i == j => 0,
        (0, _) | (_, 0) => 101,
        _ => i.abs_diff(j).min(players - i.abs_diff(j)),
    };
    let costs: Vec<Vec<usize>> = (0..=players).map(|i| (0..=players).map(|j| cost(i, j)).collect()).collect();
    json!({"kind": "spanning-tree", "costs": costs})
}

#[test]
fn a_hundred_players_need_no_table() {
    let directory = tempfile::tempdir().expect("a directory");
    let costs: Vec<u32> = (0..100).map(|player| player / 10 + 1).collect();
    let airport = json!({"kind": "airport", "costs": costs});
    let found = record(directory.path(), &airport, &["--concept", "shapley"]);
    // The first piece is shared by all, the next one by 90.
    assert_eq!((&found["exact"]["payoffs"][0], &found["exact"]["payoffs"][10]), (&json!("-1/100"), &json!("-19/900")));
    let found = record(directory.path(), &airport, &["--concept", "least-core"]);
    assert!(found["excess"].as_f64().expect("a number") < 0.0);
    let payoffs: Vec<String> = numbers(&found["payoffs"]).iter().map(f64::to_string).collect();
    assert!((numbers(&found["payoffs"]).iter().sum::<f64>() + 10.0).abs() < 1e-12);
    let inside = record(directory.path(), &airport, &["--concept", "core", "--payoffs", &payoffs.join(",")]);
    assert_eq!(inside["in_core"], json!(true));
    // The first player would pay 1 alone, and no group needs more than its longest runway.
    let payoffs: Vec<&str> = (0..100).map(|player| if player == 0 { "-10" } else { "0" }).collect();
    let outside = record(directory.path(), &airport, &["--concept", "core", "--payoffs", &payoffs.join(",")]);
    assert_eq!(
        (&outside["in_core"], &outside["blocking"], &outside["excess"]),
        (&json!(false), &json!([0]), &json!(9.0))
    );
    let votes = json!({"kind": "weighted-voting", "quota": 51, "weights": vec![1; 100]});
    let found = record(directory.path(), &votes, &["--concept", "least-core"]);
    assert_eq!((&found["exact"]["excess"], &found["exact"]["payoffs"][99]), (&json!("49/100"), &json!("1/100")));
    assert_eq!(record(directory.path(), &ring(100), &["--concept", "shapley"])["payoffs"][7], json!(-2.0));
}

fn shifted(number: &str, by: i32) -> String {
    (number.parse::<RBig>().expect("a quotient") + RBig::from(by)).to_string()
}

/// Least cores of a hundred players have proofs about the few numbers of the game; a proof of anything else is refused.
#[test]
fn a_hundred_players_are_proved() {
    let directory = tempfile::tempdir().expect("a directory");
    let certificate = directory.path().join("proof.json");
    let numbers = |step: usize, most: usize| (0..100).map(|at| at * at * step % most).collect::<Vec<usize>>();
    let edges: Vec<Value> = (0..300).map(|at| json!([at * 7 % 90, (at * at + 3) % 91, at % 5 + 1])).collect();
    let claims = numbers(5, 97);
    let games = [
        (json!({"kind": "weighted-voting", "quota": 260, "weights": numbers(3, 11)}), true),
        (json!({"kind": "weighted-voting", "quota": 0.8, "weights": [0.1, 0.7, 0.3]}), true),
        (json!({"kind": "airport", "costs": numbers(7, 13)}), false),
        (json!({"kind": "bankruptcy", "estate": claims.iter().sum::<usize>() / 3, "claims": claims}), true),
        (json!({"kind": "induced-subgraph", "n": 91, "edges": edges}), true),
    ];
    for (game, sums) in &games {
        for options in [&[][..], &["--nonnegative"]].into_iter().filter(|options| *sums || options.is_empty()) {
            let proof = ["--certificate", certificate.to_str().expect("UTF-8")];
            let found = record(directory.path(), game, &[&["--concept", "least-core"][..], &proof, options].concat());
            let file = std::fs::read(directory.path().join("game.json")).expect("read");
            let written = std::fs::read(&certificate).expect("written");
            let proved = check_shares(&file, &written).unwrap_or_else(|why| panic!("{}: {why}", game["kind"]));
            assert_eq!(json!(proved.excess.to_string()), found["exact"]["excess"]);
            assert_eq!(proved.nonnegative, !options.is_empty());
            let shares: Shares = serde_json::from_slice(&written).expect("JSON");
            let refused = |change: &dyn Fn(&mut Shares)| {
                let mut mutant = shares.clone();
                change(&mut mutant);
                check_shares(&file, &serde_json::to_vec(&mutant).expect("JSON")).expect_err("refused")
            };
            // From one player to another: whoever pays for it, alone or with others, has more than the excess now.
            let moved = refused(&|mutant| {
                mutant.payoffs[1] = shifted(&mutant.payoffs[1], -1000);
                mutant.payoffs[0] = shifted(&mutant.payoffs[0], 1000);
            });
            assert!(matches!(moved, SharesRejection::Greater | SharesRejection::BelowFloor(1)), "{moved}");
            let first = refused(&|mutant| mutant.weights[0].0 ^= 1);
            assert!(matches!(first, SharesRejection::Balance(_) | SharesRejection::Weight(_)), "{first}");
            assert_eq!(refused(&|mutant| drop(mutant.weights.pop())), SharesRejection::Sum);
            assert_eq!(refused(&|mutant| mutant.excess = shifted(&mutant.excess, 1)), SharesRejection::Value);
        }
    }
}

#[test]
fn what_has_too_many_players_is_told_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let airport = json!({"kind": "airport", "costs": vec![1; 25]});
    for concept in ["nucleolus", "prenucleolus"] {
        let text = refusal(directory.path(), &airport, &["--concept", concept]);
        assert!(text.contains("up to 24") && text.contains("--units"), "{text}");
    }
    let text = refusal(directory.path(), &ring(25), &["--concept", "least-core"]);
    assert!(text.contains("NP-hard") && text.contains("--units"), "{text}");
    let text = refusal(directory.path(), &ring(25), &["--concept", "banzhaf"]);
    assert!(text.contains("all coalitions"), "{text}");
    let table = directory.path().join("table.json");
    let table = table.to_str().expect("UTF-8");
    let text = refusal(directory.path(), &airport, &["--concept", "least-core", "--table", table]);
    assert!(text.contains("--table"), "{text}");
    // The same by a table, for few players.
    let found = record(directory.path(), &ring(6), &["--concept", "banzhaf"]);
    assert_eq!(numbers(&found["payoffs"]).len(), 6);
}

#[test]
fn a_kind_is_solved_as_its_table_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let kinds = [
        json!({"kind": "bankruptcy", "estate": 200, "claims": [100, 200, 300]}),
        json!({"kind": "weighted-voting", "quota": 5, "weights": [3, 2, 2, 1]}),
        json!({"kind": "induced-subgraph", "n": 4, "edges": [[0, 1, 3], [1, 2, 2], [2, 3, 5], [3, 3, -2]]}),
        json!({"kind": "induced-subgraph", "n": 3, "edges": [[0, 1, 3], [1, 2, -2]]}),
    ];
    for kind in kinds {
        for concept in ["least-core", "shapley", "banzhaf", "nucleolus"] {
            let table = directory.path().join("table.json");
            let table = table.to_str().expect("UTF-8");
            let written = record(directory.path(), &kind, &["--concept", concept, "--table", table]);
            let found = record(directory.path(), &kind, &["--concept", concept]);
            let (payoffs, others) = (numbers(&found["payoffs"]), numbers(&written["payoffs"]));
            let distance = payoffs.iter().zip(&others).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(distance < 1e-12, "{kind} {concept}");
            assert_eq!(
                (&found["excess"], &found["tight"]),
                (&written["excess"], &written["tight"]),
                "{kind} {concept}"
            );
        }
    }
}

#[test]
fn estimates_say_whether_they_have_settled() {
    let directory = tempfile::tempdir().expect("a directory");
    let airport = json!({"kind": "airport", "costs": (1..=30).collect::<Vec<u32>>()});
    let sampled = ["--concept", "shapley", "--units", "40"];
    let found = record(directory.path(), &airport, &sampled);
    let trace = found["trace"].as_array().expect("a list");
    let units: Vec<u64> = trace.iter().map(|stage| stage["units"].as_u64().expect("a number")).collect();
    assert_eq!(units, [2, 4, 8, 16, 32, 40]);
    assert_eq!((&trace[5]["half_widths"], &trace[5]["payoffs"]), (&found["half_widths"], &found["payoffs"]));
    assert!(found["notes"][0].as_str().expect("a note").contains("not settled"), "{}", found["notes"]);
    let output = solve(directory.path(), &airport, &sampled);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("units  largest half width\n       2  "), "{text}");
    // Two players whose order no draw can change.
    let apart = json!({"n": 2, "values": [0, 1, 5, 6]});
    let found = record(directory.path(), &apart, &sampled);
    assert_eq!((&found["notes"], &found["payoffs"]), (&json!([]), &json!([1.0, 5.0])));
}

#[test]
fn numbers_beyond_doubles_are_never_null() {
    let directory = tempfile::tempdir().expect("a directory");
    let game = json!({"n": 2, "values": [0, 1e308, -1e308, -1e308]});
    let found = record(directory.path(), &game, &["--concept", "shapley"]);
    assert_eq!(found["payoffs"], json!([0.5e308, -1.5e308]));
    for concept in [&["leave-one-out"][..], &["least-core"], &["prenucleolus"], &["shapley", "--units", "9"]] {
        let output = solve(directory.path(), &game, &[&["--concept"], concept, &["--json", "-"]].concat());
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(!text.contains("null"), "{text}");
        assert!(output.status.success() || error.contains("beyond the range of doubles"), "{error}");
    }
    let game = json!({"n": 2, "values": [0, 1.7e308, 1.7e308, -1.7e308]});
    let text = refusal(directory.path(), &game, &["--concept", "least-core"]);
    assert!(text.contains("the greatest excess is beyond the range of doubles"), "{text}");
}

#[test]
fn games_that_are_none_are_explained() {
    let place = tempfile::tempdir().expect("a directory");
    let refused = |text: &str, arguments: &[&str]| {
        let path = place.path().join("game.json");
        std::fs::write(&path, text).expect("written");
        let output = run(&[&["game", "solve", path.to_str().expect("UTF-8")], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{text}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let concept = ["--concept", "shapley"];
    for (text, what) in [
        (r#"{"n": 1, "values": [0, NaN]}"#, "values are finite numbers, which `NaN` is not"),
        (r#"{"n": 1, "values": [0, null]}"#, "values are finite numbers, which `null` is not"),
        (r#"{"n": 2, "values": [0, 1, 2]}"#, "a game of 2 players has 4 values"),
        (r#"{"n": 1, "values": [1, 2]}"#, "nobody earns nothing"),
        (r#"{"n": 1, "n": 2, "values": [0, 1]}"#, "duplicate field"),
        (r#"{"kind": "airport", "costs": [1, 2], "costs": [3]}"#, "duplicate field"),
        (r#"{"kind": "airport", "cost": [1]}"#, "unknown field `cost`"),
        ("[2, [0, 1, 2, 4]]", "a game in JSON is an object"),
        ("", "a game in JSON is an object"),
        (r#"{"n": 0, "values": [0]}"#, "players of a table"),
    ] {
        let error = refused(text, &concept);
        assert!(error.contains(what), "{text}: {error}");
    }
    let two = r#"{"n": 2, "values": [0, 1, 2, 4]}"#;
    assert!(refused(two, &["--concept", "shapley", "--seed", "3"]).contains("--seed"));
    assert!(refused(two, &["--concept", "shapley", "--out", "x"]).contains("--out"));
    assert!(refused(two, &["--concept", "shapley", "--units", "1"]).contains("units"));
    let alone = refused(r#"{"n": 1, "values": [0, 1]}"#, &["--concept", "least-core"]);
    assert!(alone.contains("no proper coalition"), "{alone}");
    let costs = refused(r#"{"kind": "airport", "costs": [7, 7]}"#, &["--concept", "least-core", "--nonnegative"]);
    assert!(costs.contains("payoffs from 0 cannot add up to the -7"), "{costs}");
}

#[test]
fn votes_are_decimals() {
    let place = tempfile::tempdir().expect("a directory");
    let game = json!({"kind": "weighted-voting", "quota": 0.8, "weights": [0.1, 0.7]});
    assert_eq!(numbers(&record(place.path(), &game, &["--concept", "shapley"])["payoffs"]), [0.5, 0.5]);
}
