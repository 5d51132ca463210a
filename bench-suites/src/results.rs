//! The results file: one CSV line per instance, on disk as soon as the instance has ended.

use crate::certified::Certified;
use crate::child::Measurement;
use crate::error::BenchError;
use crate::record::VerificationRecord;
use crate::suite::{Instance, Suite};
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One line of a results file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultRow {
    /// The suite.
    pub suite: String,
    /// The network, relative to the suite.
    pub onnx: String,
    /// The property, relative to the suite.
    pub vnnlib: String,
    /// The limit that held, in seconds.
    pub limit: f64,
    /// What was found.
    pub verdict: Verdict,
    /// What is known.
    pub expected: Option<Verdict>,
    /// Wall-clock seconds of the whole process.
    pub seconds: f64,
    /// Peak resident memory in bytes.
    pub memory: Option<u64>,
    /// Subproblems bounded.
    pub domains: Option<u64>,
    /// Proved lower bound of the margin.
    pub lower: Option<f64>,
    /// Least margin found.
    pub upper: Option<f64>,
    /// What decided.
    pub method: String,
    /// Why there is no verdict.
    pub detail: String,
    /// The verifier itself failed.
    pub fault: bool,
    /// Wall-clock seconds of the process that wrote a certificate.
    #[serde(default)]
    pub certified: Option<f64>,
    /// Bytes of the certificate.
    #[serde(default)]
    pub certificate: Option<u64>,
    /// Seconds to check it.
    #[serde(default)]
    pub checking: Option<f64>,
    /// Why the checker refuses it.
    #[serde(default)]
    pub refused: String,
}

impl ResultRow {
    /// The line for what was measured on an instance.
    pub fn new(suite: &Suite, instance: &Instance, limit: f64, measured: &Measurement) -> Self {
        let statistics = measured.record.as_ref().map(|VerificationRecord { statistics, .. }| statistics);
        ResultRow {
            suite: suite.name.clone(),
            onnx: instance.onnx.clone(),
            vnnlib: instance.vnnlib.clone(),
            limit,
            verdict: measured.verdict,
            expected: instance.expected,
            seconds: measured.seconds,
            memory: measured.memory,
            domains: statistics.map(|s| s.domains),
            lower: statistics.and_then(|s| s.lower),
            upper: statistics.and_then(|s| s.upper),
            method: statistics.map_or_else(String::new, |s| s.method.clone()),
            detail: measured.detail.clone(),
            fault: measured.fault,
            certified: None,
            certificate: None,
            checking: None,
            refused: String::new(),
        }
    }

    /// Enters what a certificate cost.
    pub fn keep(&mut self, certified: Option<Certified>) {
        if let Some(certified) = certified {
            self.certified = Some(certified.seconds);
            self.certificate = Some(certified.bytes);
            self.checking = Some(certified.checking);
            self.refused = certified.refused;
        }
    }

    /// Whether this is the line of an instance.
    pub fn is_of(&self, suite: &Suite, instance: &Instance) -> bool {
        self.suite == suite.name && self.onnx == instance.onnx && self.vnnlib == instance.vnnlib
    }
}

/// An open results file.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    file: File,
}

impl Results {
    /// Starts a new file.
    ///
    /// # Errors
    /// [`BenchError::ResultsExist`] rather than overwrite one; a path that cannot be written.
    pub fn create(path: &Path) -> Result<Results, BenchError> {
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => Ok(Results { path: path.to_owned(), file }),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(BenchError::ResultsExist { path: path.to_owned() })
            }
            Err(source) => Err(BenchError::Io { path: path.to_owned(), source }),
        }
    }

    /// Opens a file to complete it, with the lines that it holds; a line that was cut off is dropped.
    ///
    /// # Errors
    /// A path that cannot be read or written, and lines that are not results.
    pub fn resume(path: &Path) -> Result<(Results, Vec<ResultRow>), BenchError> {
        let io = |source| BenchError::Io { path: path.to_owned(), source };
        if !path.exists() {
            return Ok((Results::create(path)?, Vec::new()));
        }
        let mut bytes = std::fs::read(path).map_err(io)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(whole);
        let mut rows = Vec::new();
        for (index, row) in csv::Reader::from_reader(bytes.as_slice()).deserialize().enumerate() {
            rows.push(row.map_err(|error: csv::Error| BenchError::Line {
                path: path.to_owned(),
                line: error.position().map_or(index as u64 + 2, csv::Position::line),
                expected: "a line of results",
                found: error.to_string(),
            })?);
        }
        let file = OpenOptions::new().append(true).open(path).map_err(io)?;
        file.set_len(whole as u64).map_err(io)?;
        Ok((Results { path: path.to_owned(), file }, rows))
    }

    /// Appends a line, in one write, and hands it to the disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&mut self, row: &ResultRow) -> Result<(), BenchError> {
        let io = |source| BenchError::Io { path: self.path.clone(), source };
        let header = self.file.metadata().map_err(io)?.len() == 0;
        let mut writer = csv::WriterBuilder::new().has_headers(header).from_writer(Vec::new());
        writer.serialize(row).map_err(|error| io(error.into()))?;
        let line = writer.into_inner().map_err(|error| io(error.into_error()))?;
        self.file.write_all(&line).map_err(io)?;
        self.file.sync_data().map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(onnx: &str) -> ResultRow {
        ResultRow {
            suite: "s".to_owned(),
            onnx: onnx.to_owned(),
            vnnlib: "p, with a comma".to_owned(),
            limit: 1.5,
            verdict: Verdict::Sat,
            expected: None,
            seconds: 0.25,
            memory: Some(7),
            domains: None,
            lower: None,
            upper: Some(-1.0),
            method: "attack".to_owned(),
            detail: "two\nlines".to_owned(),
            fault: false,
            certified: Some(0.5),
            certificate: Some(99),
            checking: None,
            refused: "why".to_owned(),
        }
    }

    #[test]
    fn a_cut_line_is_dropped_and_the_rest_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("r.csv");
        let mut results = Results::create(&path).expect("new");
        assert!(matches!(Results::create(&path), Err(BenchError::ResultsExist { .. })));
        results.append(&row("a")).expect("written");
        results.append(&row("b")).expect("written");
        drop(results);
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut f| f.write_all(b"s,c,p,1.5,sa"))
            .expect("written");
        let (mut results, rows) = Results::resume(&path).expect("resumed");
        assert_eq!(rows, [row("a"), row("b")]);
        results.append(&row("c")).expect("written");
        let (_, rows) = Results::resume(&path).expect("resumed");
        assert_eq!(rows, [row("a"), row("b"), row("c")]);
    }

    #[test]
    fn a_foreign_file_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("r.csv");
        std::fs::write(&path, "a,b\n1,2\n").expect("written");
        assert!(matches!(Results::resume(&path), Err(BenchError::Line { line: 2, .. })));
    }
}
