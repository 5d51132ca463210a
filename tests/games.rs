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

/// Payoffs and values are decimals that were rounded: what they gain by that is no reason to leave, and a billionth is.
#[test]
fn roundings_block_nobody() {
    let place = tempfile::tempdir().expect("a directory");
    let core = |values: &Value, payoffs: &str| {
        let n = values.as_array().expect("values").len().ilog2();
        record(place.path(), &json!({"n": n, "values": values}), &["--concept", "core", "--payoffs", payoffs])
    };
    let three: Vec<u8> = (0..16).map(|set| u8::from(set & 7 == 7)).collect();
    let tenths = json!([0, 0.1, 0.2, 0.3, 0.3, 0.4, 0.5, 0.6]);
    for (values, payoffs) in [
        (json!(three), "0.3333333333333333,0.3333333333333333,0.3333333333333333,0"),
        (json!(three), "1/3,1/3,1/3,0"),
        (json!([0, 0.1, 0, 0.1]), "0.1,0"),
        (tenths.clone(), "0.1,0.2,0.3"),
        (json!([0, 0, 0, 0, -0.3, -0.2, -0.1, 0]), "0.1,0.2,-0.3"),
    ] {
        let found = core(&values, payoffs);
        assert_eq!((&found["in_core"], &found["blocking"]), (&json!(true), &Value::Null), "{payoffs}: {found}");
        let gain = found["excess"].as_f64().expect("a number");
        let explained = found["notes"].to_string().contains("no more than roundings");
        assert!(gain < 1e-15 && (gain <= 0.0 || explained), "{payoffs}: {found}");
    }
    for (values, payoffs, leaves) in [
        (json!([0, 0.1, 0.2, 0.300000001, 0.3, 0.4, 0.5, 0.6]), "0.1,0.2,0.3", json!([0, 1])),
        (json!(three), "0.333333333,0.333333333,0.333333332,0.000000002", json!([0, 1, 2])),
        (json!([0, 0.1, 0, 0.1]), "0.099999999,0.000000001", json!([0])),
        // What is rounding to a large payoff is none to small ones.
        (json!([0, 0, 0.3, 0, 0, 0, 0, 1e18]), "1e18,0.1,-0.1", json!([1])),
        // Quotients are exact.
        (json!(three), "1/3,1/3,999999999999999999/3000000000000000000,1/3000000000000000000", json!([0, 1, 2])),
    ] {
        let found = core(&values, payoffs);
        assert_eq!((&found["in_core"], &found["blocking"]), (&json!(false), &leaves), "{payoffs}: {found}");
    }
    // What the tool prints of a least core without a positive excess is in the core.
    for (seed, concept) in (0..40u64).flat_map(|seed| [(seed, "least-core"), (seed, "nucleolus")]) {
        let noise = |set: u64| (set.wrapping_add(seed << 8)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let value =
            |set: u64| if set == 0 { 0.0 } else { f64::from(set.count_ones().pow(2)) / 7.0 + noise(set) as f64 * 3e-9 };
        let values = json!((0..32).map(value).collect::<Vec<f64>>());
        let found = record(place.path(), &json!({"n": 5, "values": values}), &["--concept", concept]);
        assert!(found["excess"].as_f64().expect("a number") <= 0.0, "{found}");
        let payoffs: Vec<String> = numbers(&found["payoffs"]).iter().map(f64::to_string).collect();
        assert_eq!(core(&values, &payoffs.join(","))["in_core"], json!(true), "{seed} {concept}");
    }
    let game = json!({"n": 2, "values": [0, 0.1, 0, 0.1]});
    for options in [&[][..], &["--payoffs", "1"], &["--payoffs", "0.1,inf"], &["--payoffs", "0.1,0,0"]] {
        let text = refusal(place.path(), &game, &[&["--concept", "core"][..], options].concat());
        assert!(text.contains("--payoffs"), "{options:?}: {text}");
    }
}

/// Nothing is written before there is an answer.
#[test]
fn errors_leave_no_files() {
    let place = tempfile::tempdir().expect("a directory");
    let (table, proof) = (place.path().join("table.json"), place.path().join("proof.json"));
    let (table, proof) = (table.to_str().expect("UTF-8"), proof.to_str().expect("UTF-8"));
    let alone = json!({"n": 2, "values": [0, 3, 3, 4]});
    let text = refusal(place.path(), &alone, &["--concept", "nucleolus", "--table", table]);
    assert!(text.contains("no imputation") && text.contains("have 2 more") && text.contains("whole numbers"), "{text}");
    let large = json!({"n": 2, "values": [0, 1.7e308, 1.7e308, -1.7e308]});
    refusal(place.path(), &large, &["--concept", "least-core", "--table", table, "--certificate", proof]);
    assert!(!Path::new(table).exists() && !Path::new(proof).exists());
    record(place.path(), &alone, &["--concept", "least-core", "--table", table, "--certificate", proof]);
    let (game, proof) = (std::fs::read(table).expect("a game"), std::fs::read(proof).expect("a proof"));
    check_shares(&game, &proof).expect("a proof of that game");
}

#[test]
fn games_of_decimals_are_solved_as_decimals() {
    let place = tempfile::tempdir().expect("a directory");
    // The players alone cost 6.3 and 1.7, and together as much: their sum as a double is more.
    let tree = json!({"kind": "spanning-tree", "costs": [[0, 6.3, 1.7], [6.3, 0, 15.2], [1.7, 15.2, 0]]});
    for concept in ["nucleolus", "prenucleolus", "least-core"] {
        let found = record(place.path(), &tree, &["--concept", concept]);
        assert_eq!(found["excess"], json!(0.0), "{found}");
        assert_eq!(numbers(&found["payoffs"]), [-6.3, -1.7], "{found}");
    }
    let loops = json!({"kind": "spanning-tree", "costs": [[0, 2, 1], [2, 3, 1], [1, 1, 0]]});
    assert!(refusal(place.path(), &loops, &["--concept", "shapley"]).contains("from a place to itself, found 3"));
    let claims: Vec<f64> = (0..30).map(|player| f64::from(player * 7 % 30 + 1) / 10.0).collect();
    let tenths: Vec<u32> = (0..30).map(|player| player * 7 % 30 + 1).collect();
    for concept in ["shapley", "banzhaf"] {
        let game = json!({"kind": "bankruptcy", "estate": 20.5, "claims": claims});
        let found = record(place.path(), &game, &["--concept", concept]);
        let game = json!({"kind": "bankruptcy", "estate": 205, "claims": tenths});
        let whole = record(place.path(), &game, &["--concept", concept]);
        let exact = |found: &Value| -> Vec<RBig> {
            let texts = found["exact"]["payoffs"].as_array().expect("a list").iter();
            texts.map(|text| text.as_str().expect("text").parse().expect("a quotient")).collect()
        };
        let ten = RBig::from(10);
        assert!(exact(&found).into_iter().zip(exact(&whole)).all(|(x, whole)| x * &ten == whole), "{concept}");
    }
}

#[test]
fn numbers_are_written_as_people_do() {
    let place = tempfile::tempdir().expect("a directory");
    let game = json!({"n": 2, "values": [0, 1, 2, 24]});
    for (payoffs, what) in [("4,2", "add up to 18 less than the 24"), ("20,22", "add up to 18 more than the 24")] {
        let text = refusal(place.path(), &game, &["--concept", "core", "--payoffs", payoffs]);
        assert!(text.contains(what), "{text}");
    }
    let small = json!({"n": 2, "values": [0, 1e-300, 5e-324, 2e20]});
    let output = solve(place.path(), &small, &["--concept", "leave-one-out"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("player 0: 2e20\n") && text.contains("all together have 2e20"), "{text}");
    let small = json!({"n": 2, "values": [0, 0, 0, 1e-300]});
    let output = solve(place.path(), &small, &["--concept", "least-core"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("player 0: 5e-301\n") && text.contains("greatest excess: -5e-301"), "{text}");
}

#[test]
fn samples_say_how_they_were_drawn() {
    let place = tempfile::tempdir().expect("a directory");
    let game = json!({"n": 3, "values": [0, 1, 2, 4, 3, 9, 7, 12]});
    for method in ["permutation", "antithetic", "stratified", "kernel"] {
        let sampled = ["--concept", "shapley", "--units", "9", "--method", method];
        let found = record(place.path(), &game, &sampled);
        assert_eq!(found["method"], json!(method));
        let sum: f64 = numbers(&found["payoffs"]).iter().sum();
        let said = found["notes"].to_string().contains("these payoffs add up to");
        assert!(if method == "stratified" { said } else { !said && (sum - 12.0).abs() < 1e-9 }, "{method}: {found}");
    }
}

#[test]
fn files_are_read_with_a_mark_and_without() {
    let place = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let text = r#"{"kind": "airport", "costs": [1, 2]}"#;
    let (game, proof) = (write("game.json", &format!("\u{feff}{text}")), write("proof.json", ""));
    let output = run(&["game", "solve", &game, "--concept", "least-core", "--certificate", &proof]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |path: &str| std::fs::read(path).expect("a file");
    check_shares(&read(&game), &read(&proof)).expect("a proof");
    let lines = write("game.csv", "\u{feff}players,value\n0,1\n1,1\n0 1,3\n");
    assert!(run(&["game", "solve", &lines, "--concept", "shapley"]).status.success());
    let lines = write("game.csv", "players,value\n0 0,2\n");
    let output = run(&["game", "solve", &lines, "--concept", "shapley"]);
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.code() == Some(2) && text.contains("line 2: player 0 is named twice"), "{text}");
}
