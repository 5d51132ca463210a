//! The page of recorded suite runs says what the records say.

use secateur_bench_suites::page::{Run, tables};
use secateur_bench_suites::verdict::Agreement;
use std::path::{Path, PathBuf};

/// Of these the published verdicts are wrong on eight instances (`ARCHITECTURE.md`).
const MISPRINTED: &str = "tllverifybench";

fn records() -> (PathBuf, Run) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/suites");
    let listed = std::fs::read_dir(&directory).expect("a directory of records");
    let files = listed.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "csv")).collect();
    files.sort();
    assert!(!files.is_empty(), "no records");
    let run = Run::read("secateur", &files).expect("records");
    (directory, run)
}

#[test]
fn the_page_is_that_of_the_records() {
    let (directory, run) = records();
    let page = std::fs::read_to_string(directory.join("page.md")).expect("a page");
    assert!(page.contains(&tables(&[run])), "run `secateur page results/suites/*.csv --out results/suites/page.md`");
}

#[test]
fn no_recorded_verdict_is_wrong() {
    let (_, run) = records();
    for row in run.rows.iter().filter(|row| row.suite != MISPRINTED) {
        assert!(row.verdict.compare(row.expected) != Agreement::Disagree, "{} {} {}", row.suite, row.onnx, row.vnnlib);
        assert!(!row.fault, "{} {} {}", row.suite, row.onnx, row.vnnlib);
    }
}
