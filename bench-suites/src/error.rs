//! What can be wrong with a suite or with a results file.

use std::path::PathBuf;
use thiserror::Error;

/// Why a run cannot begin or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BenchError {
    /// Neither the directory nor its children hold instances.
    #[error("{}: no suite here: expected instances.csv in the directory or in one of its subdirectories", .directory.display())]
    NoSuite {
        /// The directory.
        directory: PathBuf,
    },
    /// A file or directory that cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line of `instances.csv`, `expected.csv` or a results file that does not have its columns.
    #[error("{}, line {line}: expected {expected}, found `{found}`", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A results file that would be overwritten.
    #[error("{}: the results file exists: add --resume to complete it, or name another file", .path.display())]
    ResultsExist {
        /// The file.
        path: PathBuf,
    },
    /// The verifier could not be started.
    #[error("{}: cannot be started: {source}", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The verifier could not be waited for.
    #[error("the verifier's process cannot be waited for: {0}")]
    Wait(std::io::Error),
}
