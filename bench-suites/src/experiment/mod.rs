//! Experiments: configured, seeded, recorded, plotted.
//!
//! | step | file |
//! |---|---|
//! | read what is to be measured | [`config`] |
//! | choose the cases: image, radius, attacked class | [`cases`] |
//! | measure one case by one method | [`measure`] |
//! | compare warm and cold starts on the same subproblems | [`starts`] |
//! | tables, intervals of confidence and plots of what was measured | [`summary`] |
//!
//! A measurement is one line of `measurements.jsonl`, on disk as soon as it is known; a second run into the same
//! directory goes on where the first stopped. At the end `record.json`, `table.md` and `plot.svg` are written
//! from all lines.

pub mod cases;
pub mod config;
pub mod measure;
pub mod starts;
pub mod summary;

pub use crate::watcher::Watcher;

use crate::journal::{self, Journal, JournalError};
use cases::Case;
use config::{Config, Method};
use measure::Measurement;
use secateur_global::GlobalError;
use secateur_nn::error::NnError;
use secateur_nn::graph::Graph;
use secateur_verify::VerifyError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why an experiment cannot begin or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// A file that cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The configuration.
    #[error("{}: {source}", .path.display())]
    Config {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        source: Box<toml::de::Error>,
    },
    /// A value of the configuration that makes no sense.
    #[error("{}: {key}: expected {expected}, found `{found}`", .path.display())]
    Value {
        /// The configuration.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// The directory of measurements.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The network does not fit the images.
    #[error("the network has {found} inputs, an image {expected} values")]
    Sizes {
        /// Values of an image.
        expected: usize,
        /// Inputs of the network.
        found: usize,
    },
    /// Fewer images than asked for are classified correctly.
    #[error("{found} images of the data set are classified correctly, {expected} are asked for")]
    TooFewImages {
        /// Asked for.
        expected: usize,
        /// Found.
        found: usize,
    },
    /// The network, or the images.
    #[error(transparent)]
    Network(#[from] NnError),
    /// The verifier.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A solver.
    #[error(transparent)]
    Global(#[from] GlobalError),
    /// The plot.
    #[error(transparent)]
    Plot(#[from] crate::plot::PlotError),
    /// The caller stopped the run; what was measured is on disk.
    #[error("stopped after {done} of {all} measurements, which are kept: run again to go on")]
    Stopped {
        /// Measurements on disk.
        done: usize,
        /// Measurements asked for.
        all: usize,
    },
}

/// What an experiment leaves behind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The configuration, seed included.
    pub config: Config,
    /// Version of the program.
    pub version: String,
    /// The cases.
    pub cases: Vec<cases::CaseRecord>,
    /// The measurements.
    pub measurements: Vec<Measurement>,
    /// What follows from them.
    pub summary: summary::Summary,
}

/// Runs the experiment of a configuration file into a directory.
///
/// # Errors
/// See [`ExperimentError`].
pub fn run(path: &Path, data: &Path, directory: &Path, watcher: &dyn Watcher) -> Result<Record, ExperimentError> {
    let config = Config::read(path)?;
    let graph = secateur_nn::onnx::read(config.network_path(path))?;
    let cases = cases::choose(&config, &graph, data)?;
    let (mut journal, mut measurements) = Journal::open::<Measurement>(directory, &config)?;
    let done: BTreeSet<(usize, String)> = measurements.iter().map(|m| (m.case, m.method.clone())).collect();
    let all = cases.len() * config.methods.len();
    let tasks = cases.iter().flat_map(|case| config.methods.iter().map(move |method| (case, method)));
    for (number, (case, method)) in tasks.enumerate() {
        if done.contains(&(case.index, method.to_string())) {
            continue;
        }
        watcher.measuring(number, all, &format!("{case}, {method}"));
        let Some(found) = measure_one(&config, &graph, case, method, watcher)? else {
            return Err(ExperimentError::Stopped { done: measurements.len(), all });
        };
        for measurement in found {
            journal.append(&measurement)?;
            measurements.push(measurement);
        }
    }
    measurements.sort_by_key(|m| m.case);
    conclude(config, &cases, measurements, directory)
}

/// The measurements of a case by a method, or `None` when the caller stops.
fn measure_one(
    config: &Config,
    graph: &Graph,
    case: &Case,
    method: &Method,
    watcher: &dyn Watcher,
) -> Result<Option<Vec<Measurement>>, ExperimentError> {
    let found = match method {
        Method::Starts { .. } => starts::compare(config, graph, case, method, watcher)?,
        _ => vec![measure::measure(config, graph, case, method, watcher)?],
    };
    Ok((!watcher.stop()).then_some(found))
}

/// Writes the record, the table and the plot.
fn conclude(
    config: Config,
    cases: &[Case],
    measurements: Vec<Measurement>,
    directory: &Path,
) -> Result<Record, ExperimentError> {
    let radii: Vec<String> = cases.iter().map(|case| case.radius.clone()).collect();
    let summary = summary::summarise(&config, &measurements, &radii);
    let cases = cases.iter().map(Case::record).collect();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let record = Record { config, version, cases, measurements, summary };
    let json = serde_json::to_string_pretty(&record).map_err(JournalError::Json)?;
    journal::write(&directory.join("record.json"), &json)?;
    journal::write(&directory.join("table.md"), &record.summary.table())?;
    if let Some(plot) = summary::plot(&record)? {
        journal::write(&directory.join("plot.svg"), &plot)?;
    }
    Ok(record)
}
