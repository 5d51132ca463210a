//! Measurements: on disk as soon as they are made, and taken from there by the next run.

use super::config::Config;
use crate::journal::{self, Journal, JournalError};
use crate::theory::StudyError;
use crate::theory::report::Report;
use crate::watcher::Watcher;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Where measurements are put.
pub struct Bench<'a, M> {
    journal: Journal,
    found: Vec<M>,
    done: usize,
    all: usize,
    watcher: &'a dyn Watcher,
}

/// What a study leaves besides its page.
#[derive(Serialize)]
struct Record<'a, M> {
    config: &'a Config,
    version: &'static str,
    measurements: &'a [M],
}

impl<'a, M: Serialize + DeserializeOwned + Clone> Bench<'a, M> {
    /// Opens a directory of measurements, of which there will be `all`.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn open(directory: &Path, config: &Config, all: usize, watcher: &'a dyn Watcher) -> Result<Self, StudyError> {
        let (journal, found) = Journal::open(directory, config)?;
        Ok(Self { journal, found, done: 0, all, watcher })
    }

    /// The measurement that `is` recognises, from disk or made now.
    ///
    /// # Errors
    /// The watcher stops the run, or the measurement cannot be made or written.
    pub fn measurement(
        &mut self,
        what: &str,
        is: impl Fn(&M) -> bool,
        make: impl FnOnce() -> Result<M, StudyError>,
    ) -> Result<M, StudyError> {
        let found = match self.found.iter().find(|m| is(m)) {
            Some(found) => found.clone(),
            None => {
                if self.watcher.stop() {
                    return Err(StudyError::Stopped { done: self.found.len(), all: self.all });
                }
                self.watcher.measuring(self.done, self.all, what);
                let made = make()?;
                self.journal.append(&made)?;
                self.found.push(made.clone());
                made
            }
        };
        self.done += 1;
        Ok(found)
    }
}

/// Writes the record and the page; the page's text.
///
/// # Errors
/// A file that cannot be written.
pub fn write<M: Serialize>(
    directory: &Path,
    config: &Config,
    measurements: &[M],
    report: &Report,
) -> Result<String, StudyError> {
    let record = Record { config, version: env!("CARGO_PKG_VERSION"), measurements };
    let json = serde_json::to_string_pretty(&record).map_err(JournalError::Json)?;
    journal::write(&directory.join("record.json"), &(json + "\n"))?;
    report.write(directory)?;
    Ok(report.markdown())
}
