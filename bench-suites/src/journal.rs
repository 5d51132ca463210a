//! The measurements of a run on disk: a line of JSON each, written as soon as it is known.
//!
//! A directory holds `config.json`, so that measurements of two configurations never mix, and `measurements.jsonl`. A
//! second run with the same configuration reads what the first one left and goes on.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What can be wrong with a directory of measurements.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// A file that cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line of measurements that cannot be read.
    #[error("{}, line {line}: {source}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The directory holds the measurements of another configuration.
    #[error("{}: holds measurements of another configuration: name another directory", .path.display())]
    OtherConfig {
        /// The directory's copy of the configuration.
        path: PathBuf,
    },
    /// Measurements without the configuration that they are of.
    #[error("{}: measurements without their config.json: name another directory", .path.display())]
    NoConfig {
        /// The file of measurements.
        path: PathBuf,
    },
    /// A measurement that is none of this run.
    #[error("{}, line {line}: {what}", .path.display())]
    Measurement {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Another run writes there.
    #[error("{}: another run writes here: wait for it, or name another directory", .path.display())]
    Busy {
        /// The file of measurements.
        path: PathBuf,
    },
    /// A configuration, measurement or record that cannot be written.
    #[error("the record cannot be written as JSON: {0}")]
    Json(serde_json::Error),
}

/// The file of measurements, open for more.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens a directory: what it holds already, if it is of the same configuration. A torn last line is dropped.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn open<M: DeserializeOwned>(
        directory: &Path,
        config: &impl Serialize,
    ) -> Result<(Self, Vec<M>), JournalError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { path, source }
        };
        std::fs::create_dir_all(directory).map_err(io(directory))?;
        let (copy, path) = (directory.join("config.json"), directory.join("measurements.jsonl"));
        let text = serde_json::to_string_pretty(config).map_err(JournalError::Json)?;
        match std::fs::read_to_string(&copy) {
            Ok(found) if found == text => {}
            Ok(_) => return Err(JournalError::OtherConfig { path: copy }),
            Err(_) if path.exists() => return Err(JournalError::NoConfig { path }),
            Err(_) => write(&copy, &text)?,
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io(&path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(JournalError::Busy { path }),
            // File systems without locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let journal = Self { file, path: path.clone() };
        let mut measurements = Vec::new();
        let mut whole = 0u64;
        if let Ok(file) = File::open(&path) {
            let mut reader = BufReader::new(file);
            let mut line = String::new();
            while reader.read_line(&mut line).map_err(io(&path))? > 0 && line.ends_with('\n') {
                let number = measurements.len() + 1;
                let fault = |source| JournalError::Line { path: path.clone(), line: number, source };
                measurements.push(serde_json::from_str(&line).map_err(fault)?);
                whole += line.len() as u64;
                line.clear();
            }
        }
        journal.file.set_len(whole).map_err(io(&path))?;
        Ok((journal, measurements))
    }

    /// Where the measurements are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a measurement, and waits until it is on disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&mut self, measurement: &impl Serialize) -> Result<(), JournalError> {
        let mut line = serde_json::to_string(measurement).map_err(JournalError::Json)?;
        line.push('\n');
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| JournalError::Io { path: self.path.clone(), source })
    }
}

/// A process that is being started holds its parent's files until its program runs, and a lock lasts while anybody holds the file: it
/// is given back, not only closed.
impl Drop for Journal {
    fn drop(&mut self) {
        // File systems without locks have nothing to give back.
        let _ = self.file.unlock();
    }
}

/// Writes a file whole.
///
/// # Errors
/// [`JournalError::Io`].
pub fn write(path: &Path, text: &str) -> Result<(), JournalError> {
    std::fs::write(path, text).map_err(|source| JournalError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_dropped_and_another_configuration_refused() {
        let place = tempfile::tempdir().expect("a directory");
        let (mut journal, none) = Journal::open::<u32>(place.path(), &"a").expect("an empty directory");
        assert!(none.is_empty());
        [1, 2].iter().for_each(|number| journal.append(number).expect("written"));
        let path = place.path().join("measurements.jsonl");
        let mut text = std::fs::read_to_string(&path).expect("lines");
        text.push_str("[3");
        std::fs::write(&path, text).expect("written");
        drop(journal);
        let (mut journal, found) = Journal::open::<u32>(place.path(), &"a").expect("the same configuration");
        assert_eq!(found, [1, 2]);
        journal.append(&3).expect("written");
        assert!(matches!(Journal::open::<u32>(place.path(), &"a"), Err(JournalError::Busy { .. })));
        drop(journal);
        assert_eq!(Journal::open::<u32>(place.path(), &"a").expect("lines").1, [1, 2, 3]);
        assert!(matches!(Journal::open::<u32>(place.path(), &"b"), Err(JournalError::OtherConfig { .. })));
        std::fs::write(&path, "1\nx\n").expect("written");
        assert!(matches!(Journal::open::<u32>(place.path(), &"a"), Err(JournalError::Line { line: 2, .. })));
        std::fs::remove_file(place.path().join("config.json")).expect("removed");
        assert!(matches!(Journal::open::<u32>(place.path(), &"b"), Err(JournalError::NoConfig { .. })));
    }
}
