//! What the runner makes of processes that answer, complain, crash, lie or hang.
#![cfg(unix)]

use secateur_bench_suites::child::{GRACE, Measurement, Program, measure};
use secateur_bench_suites::record::{SettingsRecord, StatisticsRecord, VerificationRecord};
use secateur_bench_suites::verdict::Verdict;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Runs a shell script in the verifier's place.
fn script(text: &str, limit: Duration, stop: bool) -> Option<Measurement> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("verifier");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let program = Program { path, threads: 1, without: Vec::new() };
    // A script that another thread's fork still holds open for writing cannot start yet.
    loop {
        let stop = AtomicBool::new(stop);
        match measure(&program, Path::new("m"), Path::new("p"), limit, &stop) {
            Err(error) if error.to_string().contains("busy") => std::thread::sleep(Duration::from_millis(5)),
            result => return result.expect("it starts"),
        }
    }
}

fn answered(text: &str) -> Measurement {
    script(text, Duration::from_secs(20), false).expect("not interrupted")
}

/// A script that prints a record and exits.
fn saying(verdict: Verdict, code: u8) -> String {
    let record = VerificationRecord {
        model: "m".to_owned(),
        property: "p".to_owned(),
        verdict,
        reason: (verdict == Verdict::Unknown).then(|| "why".to_owned()),
        witness: None,
        settings: SettingsRecord {
            timeout: None,
            threads: 1,
            seed: 0,
            branching: "auto".to_owned(),
            alignment: 0.1,
            semantics: "real".to_owned(),
            without: Vec::new(),
            device: "cpu".to_owned(),
        },
        statistics: StatisticsRecord::default(),
        seconds: 0.0,
        peak_memory: Some(12_345),
        version: "0".to_owned(),
    };
    let json = serde_json::to_string(&record).expect("JSON");
    format!("cat <<'END'\n{json}\nEND\nexit {code}")
}

#[test]
fn answers_are_taken_with_their_exit_codes() {
    for (verdict, code) in [(Verdict::Sat, 0), (Verdict::Unsat, 0), (Verdict::Unknown, 3), (Verdict::Timeout, 3)] {
        let found = answered(&saying(verdict, code));
        assert_eq!((found.verdict, found.fault, found.memory), (verdict, false, Some(12_345)));
    }
    assert_eq!(answered(&saying(Verdict::Unknown, 3)).detail, "why");
}

#[test]
fn a_refusal_is_an_error_and_anything_else_a_fault() {
    let refused = answered("echo 'error: no such\nfile' >&2; exit 2");
    assert_eq!((refused.verdict, refused.fault), (Verdict::Error, false));
    assert_eq!(refused.detail, "error: no such file");
    let scripts = [
        "echo boom >&2; exit 1".to_owned(),
        "kill -SEGV $$".to_owned(),
        "exit 0".to_owned(),
        "echo unsat; exit 0".to_owned(),
        saying(Verdict::Unsat, 3),
        saying(Verdict::Unknown, 0),
    ];
    for text in scripts {
        let found = answered(&text);
        assert_eq!((found.verdict, found.fault), (Verdict::Error, true), "{text}: {}", found.detail);
    }
    assert!(answered("kill -SEGV $$").detail.contains("signal"));
}

#[test]
fn a_late_answer_is_a_timeout() {
    let text = format!("sleep 0.3\n{}", saying(Verdict::Unsat, 0));
    let found = script(&text, Duration::from_millis(100), false).expect("not interrupted");
    assert_eq!((found.verdict, found.detail.as_str()), (Verdict::Timeout, "unsat after the limit"));
}

#[test]
fn what_hangs_is_killed_and_what_fills_its_pipes_is_not() {
    let begin = Instant::now();
    let found = script("exec sleep 60", Duration::from_millis(100), false).expect("not interrupted");
    assert_eq!((found.verdict, found.fault), (Verdict::Timeout, false));
    assert!(begin.elapsed() < GRACE + Duration::from_secs(5));
    let noisy = format!("head -c 1000000 /dev/zero >&2\n{}", saying(Verdict::Sat, 0));
    assert_eq!(answered(&noisy).verdict, Verdict::Sat);
}

#[test]
fn a_raised_flag_ends_the_process() {
    let begin = Instant::now();
    assert_eq!(script("exec sleep 60", Duration::from_secs(60), true), None);
    assert!(begin.elapsed() < Duration::from_secs(5));
}
