//! The shipped examples: every verdict by default settings, and every file accounted for.

use secateur_bench_suites::suite::discover;
use secateur_tests::{conformance, root};
use secateur_verify::{Settings, Silent, verify};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn verdicts() {
    let settings = Settings { timeout: Some(Duration::from_secs(120)), ..Settings::default() };
    for question in conformance::examples(|_| true) {
        conformance::ask(&question, |graph, property| {
            verify(graph, property, &settings, &Silent).expect("supported").outcome
        });
    }
}

#[test]
fn every_file_has_a_line_in_the_manifest_and_every_instance_its_files() {
    let directory = root().join("examples");
    let manifest = std::fs::read_to_string(directory.join("MANIFEST.tsv")).expect("a manifest");
    let mut listed = BTreeSet::new();
    for line in manifest.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [file, source, licence, digest, note] = fields.as_slice() else { panic!("five fields: {line}") };
        assert!(![source, licence, note].iter().any(|field| field.is_empty()), "{line}");
        assert_eq!(digest.len(), 64, "{line}");
        assert!(listed.insert((*file).to_owned()), "{file} is listed twice");
    }
    let mut found = BTreeSet::new();
    for part in ["", "lm/", "lm/bytes/"] {
        let entries =
            std::fs::read_dir(directory.join(part)).expect("a directory").map(|e| e.expect("an entry").file_name());
        found.extend(entries.map(|name| format!("{part}{}", name.to_string_lossy())));
    }
    let data =
        |name: &String| [".onnx", ".vnnlib", ".safetensors", ".json", ".txt"].iter().any(|end| name.ends_with(end));
    assert_eq!(found.into_iter().filter(data).collect::<BTreeSet<_>>(), listed);
    for instance in &discover(&directory).expect("a suite")[0].instances {
        assert!(instance.expected.is_some(), "{} has no known verdict", instance.vnnlib);
        assert!(listed.contains(&instance.onnx) && listed.contains(&instance.vnnlib));
    }
}
