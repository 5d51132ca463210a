//! Notes, checks and code belong together: a note names what checks it and what it is about, and these exist; every check holds.

use secateur_bench_suites::theory::check::{Verdict, check};
use secateur_bench_suites::theory::note::{Note, notes};
use secateur_bench_suites::theory::statement::Context;
use secateur_bench_suites::theory::{book, statements};
use secateur_bench_suites::watcher::Silent;
use secateur_tests::root;
use std::collections::BTreeSet;

/// The text of a file of the project.
fn source(note: &str, path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{note} names {path}: {error}"))
}

/// Whether a text has a word, not as part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.chars().next_back().is_some_and(inside) && !after.chars().next().is_some_and(inside)
    })
}

/// Whether a text defines an identifier.
fn defines(text: &str, identifier: &str) -> bool {
    let kinds = ["fn", "struct", "enum", "trait", "const", "static", "type", "mod"];
    kinds.iter().any(|kind| has_word(text, &format!("{kind} {identifier}")))
}

fn split<'a>(note: &str, reference: &'a str) -> (&'a str, &'a str) {
    reference.split_once('#').unwrap_or_else(|| panic!("{note}: `{reference}` is not of the form path#identifier"))
}

#[test]
fn what_notes_name_exists() {
    let all = notes(&root().join("proofs-notes")).expect("notes");
    let registered: BTreeSet<&str> = statements().iter().map(|statement| statement.id).collect();
    let mut names = BTreeSet::new();
    for (path, note) in &all {
        let place = path.display().to_string();
        let heading = &note.heading;
        assert!(names.insert(heading.id.as_str()), "two notes are called {}", heading.id);
        for reference in &heading.check {
            if reference.contains('#') {
                let (file, function) = split(&place, reference);
                let text = source(&place, file);
                assert!(has_word(&text, &format!("fn {function}")), "{place}: no test `{function}` in {file}");
                assert!(text.contains("#[test]"), "{place}: {file} has no tests");
            } else {
                assert_eq!(*reference, heading.id, "{place}: a check has the statement's name");
                assert!(registered.contains(reference.as_str()), "{place}: nothing checks {reference}");
            }
        }
        let mut code = String::new();
        for reference in &heading.code {
            let (file, identifier) = split(&place, reference);
            let text = source(&place, file);
            assert!(defines(&text, identifier), "{place}: {file} does not define `{identifier}`");
            code.push_str(&text);
        }
        for identifier in note.identifiers() {
            let word = identifier.rsplit("::").next().unwrap_or(identifier);
            assert!(has_word(&code, word), "{place}: the code that it names does not know `{identifier}`");
        }
    }
    for id in registered {
        assert!(names.contains(id), "{id} is checked and has no note");
    }
}

#[test]
fn every_statement_is_registered_with_its_own_note() {
    let all = notes(&root().join("proofs-notes")).expect("notes");
    for statement in statements() {
        let own = Note::parse(statement.id, statement.note).expect("a note");
        assert_eq!(own.heading.id, statement.id);
        assert!(
            own.heading.check.iter().any(|check| check == statement.id),
            "{} does not name its check",
            statement.id
        );
        assert!(all.iter().any(|(_, note)| *note == own), "{} has another note than the directory", statement.id);
    }
}

#[test]
fn notes_are_pages() {
    let place = tempfile::tempdir().expect("a directory");
    let count = book::write(&root().join("proofs-notes"), place.path()).expect("pages");
    assert!(count >= 5 && place.path().join("index.html").exists());
}

#[test]
fn statements_hold() {
    let context = Context { seed: 1, data: None, watcher: &Silent };
    let record = check(&statements(), &context).expect("checks");
    let failed: Vec<&str> =
        record.statements.iter().filter(|s| s.verdict == Verdict::Fails).map(|s| s.id.as_str()).collect();
    assert!(failed.is_empty(), "{failed:?} fail:\n{}", record.table());
}
