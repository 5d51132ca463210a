//! The import rules of ARCHITECTURE.md, and the rules about files.

use secateur_tests::root;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which of our crates a crate may import. A crate without a line may import none.
const IMPORTS: [(&str, &[&str]); 11] = [
    ("linalg", &[]),
    ("opt", &[]),
    ("nn", &["linalg"]),
    ("check", &["nn"]),
    ("verify", &["linalg", "nn", "opt", "check"]),
    ("global", &["linalg", "nn", "opt", "verify"]),
    ("theory", &["linalg", "nn", "opt"]),
    ("prune", &["linalg", "nn"]),
    ("bench-suites", &["linalg", "nn", "opt", "check", "verify", "global", "theory", "prune"]),
    ("secateur", &["linalg", "nn", "opt", "check", "verify", "global", "theory", "prune", "bench-suites"]),
    ("tests", &["linalg", "nn", "opt", "check", "verify", "global", "theory", "bench-suites"]),
];

/// File names that say nothing about their content.
const EMPTY_NAMES: [&str; 8] = ["utils", "util", "helpers", "helper", "common", "misc", "stuff", "types"];

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn short(name: &str) -> &str {
    name.strip_prefix("secateur-").unwrap_or(name)
}

/// Our crates, each with the crates of ours that it imports outside tests.
fn imports() -> BTreeMap<String, Vec<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("a list");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let ours: Vec<String> = packages.iter().map(name).collect();
    let imported = |package: &Value| {
        let all = package["dependencies"].as_array().expect("a list");
        let normal = all.iter().filter(|d| d["kind"].is_null()).map(name);
        normal.filter(|d| ours.contains(d)).map(|d| short(&d).to_owned()).collect()
    };
    packages.iter().map(|package| (short(&name(package)).to_owned(), imported(package))).collect()
}

#[test]
fn crates_import_only_what_they_may() {
    for (name, imported) in imports() {
        let rule = IMPORTS.iter().find(|(crate_name, _)| *crate_name == name);
        let (_, allowed) = rule.unwrap_or_else(|| panic!("{name} has no line in the table of import rules"));
        for import in imported {
            assert!(allowed.contains(&import.as_str()), "{name} may not import {import}");
        }
    }
}

#[test]
fn the_written_rules_are_the_checked_ones() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the document");
    for (name, allowed) in IMPORTS {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {name}"));
        let cell = row.split('|').nth(2).expect("a second cell");
        let written: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert_eq!(written, allowed, "{name}");
    }
}

#[test]
fn files_are_named_by_their_concept_and_start_with_a_doc() {
    for file in sources() {
        let stem = file.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(!EMPTY_NAMES.contains(&stem.as_str()), "{} says nothing", file.display());
        let text = std::fs::read_to_string(&file).expect("UTF-8");
        assert!(text.starts_with("//! "), "{} does not start with a module doc", file.display());
    }
}

#[test]
fn the_trusted_base_has_no_floats_and_no_unsafe() {
    let text = std::fs::read_to_string(root().join("solver/check/src/lib.rs")).expect("UTF-8");
    for attribute in ["#![forbid(unsafe_code)]", "#![deny(clippy::float_arithmetic)]"] {
        assert!(text.contains(attribute), "solver/check lacks {attribute}");
    }
    for file in sources().into_iter().filter(|file| file.starts_with(root().join("solver/check/src"))) {
        let text = std::fs::read_to_string(&file).expect("UTF-8");
        assert!(!text.contains("allow(clippy::float_arithmetic)"), "{} opts out", file.display());
    }
}

/// Every Rust file under a `src` directory of ours.
fn sources() -> Vec<PathBuf> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("a list");
    let manifests = packages.iter().map(|p| PathBuf::from(p["manifest_path"].as_str().expect("a path")));
    let mut files = Vec::new();
    manifests.for_each(|manifest| collect(&manifest.with_file_name("src"), &mut files));
    assert!(files.len() > 50, "only {} files found", files.len());
    files
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}
