//! Suites on disk: `instances.csv` (network, property, limit in seconds) and, beside it, `expected.csv`.

use crate::error::BenchError;
use crate::verdict::Verdict;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One question of a suite.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The network, relative to the suite.
    pub onnx: String,
    /// The property, relative to the suite.
    pub vnnlib: String,
    /// The limit that the suite gives.
    pub limit: Duration,
    /// The verdict that is known, if any is.
    pub expected: Option<Verdict>,
}

/// A directory with instances.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// The directory's name.
    pub name: String,
    /// Where it is.
    pub directory: PathBuf,
    /// Its questions, in the file's order.
    pub instances: Vec<Instance>,
}

impl Suite {
    /// The path of a file of this suite: as named, or with `.gz` appended when only that exists.
    pub fn resolve(&self, file: &str) -> PathBuf {
        let plain = self.directory.join(file);
        if plain.exists() {
            return plain;
        }
        let packed = self.directory.join(format!("{file}.gz"));
        if packed.exists() { packed } else { plain }
    }
}

/// The suites of a directory: itself if it has an `instances.csv`, else those of its children, by name.
///
/// # Errors
/// A directory without suites, unreadable files, and lines without their columns.
pub fn discover(root: &Path) -> Result<Vec<Suite>, BenchError> {
    let io = |source| BenchError::Io { path: root.to_owned(), source };
    if root.join("instances.csv").is_file() {
        return Ok(vec![read(root)?]);
    }
    let mut directories = Vec::new();
    for entry in std::fs::read_dir(root).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.join("instances.csv").is_file() {
            directories.push(path);
        }
    }
    if directories.is_empty() {
        return Err(BenchError::NoSuite { directory: root.to_owned() });
    }
    directories.sort();
    directories.iter().map(|d| read(d)).collect()
}

fn read(directory: &Path) -> Result<Suite, BenchError> {
    let known = read_expected(&directory.join("expected.csv"))?;
    let path = directory.join("instances.csv");
    let mut instances = Vec::new();
    for (line, fields) in rows(&path)? {
        let wrong = || BenchError::Line {
            path: path.clone(),
            line,
            expected: "network, property, limit in seconds",
            found: fields.join(","),
        };
        let [onnx, vnnlib, seconds, ..] = fields.as_slice() else {
            return Err(wrong());
        };
        let seconds: f64 = match seconds.parse() {
            Ok(seconds) => seconds,
            Err(_) if line == 1 && onnx == "onnx" => continue,
            Err(_) => return Err(wrong()),
        };
        let limit = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
        let key = (plain(onnx).to_owned(), plain(vnnlib).to_owned());
        let expected = known.get(&key).copied().flatten();
        instances.push(Instance { onnx: key.0, vnnlib: key.1, limit, expected });
    }
    let name = directory.canonicalize().ok().and_then(|d| d.file_name().map(|n| n.to_string_lossy().into_owned()));
    Ok(Suite { name: name.unwrap_or_default(), directory: directory.to_owned(), instances })
}

type Known = HashMap<(String, String), Option<Verdict>>;

/// Reads `onnx,vnnlib,expected,…`; a missing file means that nothing is known.
fn read_expected(path: &Path) -> Result<Known, BenchError> {
    let mut known = Known::new();
    if !path.is_file() {
        return Ok(known);
    }
    for (line, fields) in rows(path)? {
        let wrong = || BenchError::Line {
            path: path.to_owned(),
            line,
            expected: "network, property, and sat, unsat, unknown or nothing",
            found: fields.join(","),
        };
        let [onnx, vnnlib, word, ..] = fields.as_slice() else {
            return Err(wrong());
        };
        let verdict = match word.as_str() {
            "expected" if line == 1 => continue,
            "" | "unknown" => None,
            "sat" => Some(Verdict::Sat),
            "unsat" => Some(Verdict::Unsat),
            _ => return Err(wrong()),
        };
        known.insert((plain(onnx).to_owned(), plain(vnnlib).to_owned()), verdict);
    }
    Ok(known)
}

/// File names are compared without `./` in front and `.gz` at the end.
fn plain(name: &str) -> &str {
    let name = name.strip_prefix("./").unwrap_or(name);
    name.strip_suffix(".gz").unwrap_or(name)
}

fn rows(path: &Path) -> Result<Vec<(u64, Vec<String>)>, BenchError> {
    let text = std::fs::read(path).map_err(|source| BenchError::Io { path: path.to_owned(), source })?;
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_slice());
    let mut rows = Vec::new();
    for (index, row) in reader.records().enumerate() {
        let row = row.map_err(|error| BenchError::Line {
            path: path.to_owned(),
            line: error.position().map_or(index as u64 + 1, csv::Position::line),
            expected: "comma-separated UTF-8 text",
            found: error.to_string(),
        })?;
        let line = row.position().map_or(index as u64 + 1, csv::Position::line);
        rows.push((line, row.iter().map(str::to_owned).collect()));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn suite(root: &Path, name: &str, instances: &str, expected: Option<&str>) -> PathBuf {
        let directory = root.join(name);
        fs::create_dir_all(&directory).expect("created");
        fs::write(directory.join("instances.csv"), instances).expect("written");
        if let Some(expected) = expected {
            fs::write(directory.join("expected.csv"), expected).expect("written");
        }
        directory
    }

    #[test]
    fn a_root_holds_suites_in_order_of_their_names() {
        let root = tempfile::tempdir().expect("a directory");
        suite(root.path(), "b", "n.onnx,p.vnnlib,1\n", None);
        let a = suite(
            root.path(),
            "a",
            "./n.onnx.gz,p.vnnlib,2.5\nm.onnx,p.vnnlib,7\n",
            Some("onnx,vnnlib,expected,best\nn.onnx,p.vnnlib,unsat,0.1\nm.onnx,p.vnnlib,unknown,\n"),
        );
        fs::write(a.join("n.onnx.gz"), "").expect("written");
        let suites = discover(root.path()).expect("two suites");
        assert_eq!(suites.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let [first, second] = suites[0].instances.as_slice() else { panic!("two instances") };
        assert_eq!((first.limit, first.expected), (Duration::from_millis(2500), Some(Verdict::Unsat)));
        assert_eq!(second.expected, None);
        assert_eq!(suites[0].resolve("n.onnx"), a.join("n.onnx.gz"));
        assert_eq!(suites[0].resolve("m.onnx"), a.join("m.onnx"));
    }

    #[test]
    fn a_bad_line_is_named() {
        let root = tempfile::tempdir().expect("a directory");
        let table = [
            ("n.onnx,p.vnnlib\n", None, "line 1"),
            ("n.onnx,p.vnnlib,1\nn.onnx,p.vnnlib,soon\n", None, "line 2"),
            ("n.onnx,p.vnnlib,-1\n", None, "line 1"),
            ("n.onnx,p.vnnlib,1\n", Some("n.onnx,p.vnnlib,maybe\n"), "expected.csv, line 1"),
        ];
        for (instances, expected, place) in table {
            let directory = suite(root.path(), "s", instances, expected);
            let error = discover(&directory).expect_err("refused").to_string();
            assert!(error.contains(place), "{error}");
        }
        let empty = root.path().join("empty");
        fs::create_dir(&empty).expect("created");
        assert!(matches!(discover(&empty), Err(BenchError::NoSuite { .. })));
    }
}
