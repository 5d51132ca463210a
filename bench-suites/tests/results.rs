//! The shipped records of experiments: tables and plots follow from them, and so do the claims of the notes.
//!
//! `SECATEUR_BLESS=1` writes tables and plots anew.
#![cfg(feature = "full")]

use secateur_bench_suites::experiment::Record;
use secateur_bench_suites::experiment::config::Config;
use secateur_bench_suites::experiment::summary::{Summary, plot, summarise};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn record(name: &str) -> Record {
    let file = root().join("results").join(name).join("record.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn summary(record: &Record) -> Summary {
    let radii: Vec<String> = record.cases.iter().map(|case| case.radius.clone()).collect();
    summarise(&record.config, &record.measurements, &radii)
}

fn agrees(file: &Path, text: &str) {
    if std::env::var_os("SECATEUR_BLESS").is_some() {
        std::fs::write(file, text).expect("written");
    }
    let found = std::fs::read_to_string(file).expect("a file");
    assert!(found == text, "{} does not follow from the record beside it", file.display());
}

#[test]
fn tables_and_plots_follow_from_the_records() {
    let mut names: Vec<String> = std::fs::read_dir(root().join("experiments"))
        .expect("experiments")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let record = record(&name);
        let config = Config::read(&root().join("experiments").join(format!("{name}.toml"))).expect("a configuration");
        assert_eq!(record.config, config, "{name}");
        let directory = root().join("results").join(&name);
        agrees(&directory.join("table.md"), &summary(&record).table());
        agrees(&directory.join("plot.svg"), &plot(&record).expect("a plot").expect("a plot"));
    }
}

#[test]
fn the_claims_of_the_notes_hold() {
    let gaps = summary(&record("mnist_gaps"));
    let both: Vec<_> = gaps.rows.iter().filter(|row| row.method == "pgd+nlp-cc").collect();
    let known: usize = both.iter().map(|row| row.known).sum();
    let near: f64 = both.iter().map(|row| row.success.expect("known optima") * row.known as f64).sum();
    assert_eq!((known, near.round()), (100, 97.0));

    let epsilon = summary(&record("mnist_epsilon"));
    let at = |name: &str| epsilon.ratios.iter().find(|ratio| ratio.method.starts_with(name)).expect("a comparison");
    assert!(at("bab epsilon=0.1").seconds.2 < 1.0 / 20.0, "{:?}", at("bab epsilon=0.1").seconds);

    let starts = summary(&record("mnist_starts")).starts.expect("starts");
    assert!(starts.all.solves >= 200 && starts.feasible.solves >= 20);
    assert!(2 * starts.feasible.iterations.0 <= starts.feasible.iterations.1);
    assert!(starts.all.iterations.0 <= starts.all.iterations.1 && starts.all.seconds.0 <= starts.all.seconds.1);

    // No gain of λ = 0.1 over λ = 0 in subproblems: the interval holds 1.
    let alignment = summary(&record("mnist_alignment"));
    let weight = alignment.ratios.iter().find(|ratio| ratio.method.ends_with("alignment=0.1")).expect("a comparison");
    let (_, low, high) = weight.domains.expect("both count subproblems");
    assert!(low < 1.0 && 1.0 < high, "{low} to {high}");
}
