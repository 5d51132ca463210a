//! The licences of everything that is linked into the program.

use secateur_tests::root;
use serde_json::Value;
use std::process::Command;

/// Licences that a dependency may be used under.
const ALLOWED: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages that may be used under another licence, weak copyleft, each by name.
const BY_NAME: [(&str, &str); 15] = [
    ("pounce-algorithm", "EPL-2.0"),
    ("pounce-common", "EPL-2.0"),
    ("pounce-convex", "EPL-2.0"),
    ("pounce-feral", "EPL-2.0"),
    ("pounce-l1penalty", "EPL-2.0"),
    ("pounce-linalg", "EPL-2.0"),
    ("pounce-linsol", "EPL-2.0"),
    ("pounce-nlp", "EPL-2.0"),
    ("pounce-observability", "EPL-2.0"),
    ("pounce-presolve", "EPL-2.0"),
    ("pounce-qp", "EPL-2.0"),
    ("pounce-restoration", "EPL-2.0"),
    ("pounce-rs", "EPL-2.0"),
    ("pounce-sens-core", "EPL-2.0"),
    ("pounce-solve-report", "EPL-2.0"),
];

/// Whether a package may be used: `OR` needs one side, `AND` both, an exception after `WITH` only adds permissions.
fn allowed(package: &str, expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let result = either(package, &mut rest);
    result && rest.is_empty()
}

fn either(package: &str, words: &mut &[&str]) -> bool {
    let mut result = both(package, words);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        result |= both(package, words);
    }
    result
}

fn both(package: &str, words: &mut &[&str]) -> bool {
    let mut result = single(package, words);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        result &= single(package, words);
    }
    result
}

fn single(package: &str, words: &mut &[&str]) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let result = either(package, words);
            let closed = words.first() == Some(&")");
            *words = words.get(1..).unwrap_or_default();
            result && closed
        }
        [licence, "WITH", _, rest @ ..] | [licence, rest @ ..] => {
            *words = rest;
            ALLOWED.contains(licence) || BY_NAME.contains(&(package, licence))
        }
        [] => false,
    }
}

#[test]
fn expressions_are_understood() {
    for text in
        ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR X) AND Zlib", "Apache-2.0 WITH LLVM-exception OR X"]
    {
        assert!(allowed("p", text), "{text}");
    }
    for text in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT", "MIT)", "EPL-2.0", "X AND (MIT OR Zlib)"] {
        assert!(!allowed("p", text), "{text}");
    }
    assert!(allowed("pounce-rs", "EPL-2.0"));
}

#[test]
fn every_dependency_may_be_used() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let version = Command::new("rustc").arg("-vV").output().expect("rustc runs").stdout;
    let version = String::from_utf8(version).expect("UTF-8");
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    // A dependency that nothing was built with may still have to be fetched.
    let arguments = ["metadata", "--locked", "--all-features", "--format-version", "1", "--filter-platform", host];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    assert!(packages.len() > 50, "only {} packages", packages.len());
    for package in packages {
        let (name, licence) = (package["name"].as_str().expect("a name"), package["license"].as_str());
        assert!(allowed(name, licence.unwrap_or_default()), "{name} has licence {licence:?}");
    }
}
