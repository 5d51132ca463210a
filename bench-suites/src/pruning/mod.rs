//! Experiments on pruning: configured, seeded, recorded, plotted.
//!
//! | step | file |
//! |---|---|
//! | read what is to be measured | [`config`] |
//! | the network, its data and its training | [`study`] |
//! | which method prunes what, and when | [`contender`] |
//! | accuracy, and verified accuracy, against sparsity | [`sweep`] |
//! | lottery tickets and their controls | [`tickets`] |
//! | what is measured of a network | [`point`] |
//! | means, intervals of confidence, tables | [`summary`] |
//! | plots | [`figure`] |
//!
//! A point is one line of `measurements.jsonl`, on disk as soon as it is known. A second run into the same directory trains
//! again what the remaining points start from, which gives the same weights, and goes on where the first stopped. At the end
//! `record.json`, `table.md` and `plot.svg` are written.

pub mod config;
pub mod contender;
pub mod figure;
pub mod point;
pub mod study;
pub mod summary;
pub mod sweep;
pub mod tickets;

use crate::journal::{self, Journal, JournalError};
use crate::plot::PlotError;
use crate::watcher::Watcher;
use config::{Config, Question};
use point::Point;
use secateur_nn::error::NnError;
use secateur_prune::PruneError;
use secateur_verify::VerifyError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use study::{DataRecord, Study};
use thiserror::Error;

/// Why an experiment cannot begin or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PruningError {
    /// The configuration cannot be read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The configuration is not what it should be.
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
    /// More images are asked for than there are.
    #[error("{key}: {expected} images are asked for, the data set has {found}")]
    TooFewImages {
        /// The key.
        key: &'static str,
        /// Asked for.
        expected: usize,
        /// Found.
        found: usize,
    },
    /// The directory of measurements.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The network, or the images.
    #[error(transparent)]
    Network(#[from] NnError),
    /// Pruning.
    #[error(transparent)]
    Prune(#[from] PruneError),
    /// The verifier.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The plot.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The caller stopped the run; what was measured is on disk.
    #[error("stopped after {done} of {all} points, which are kept: run again to go on")]
    Stopped {
        /// Points on disk.
        done: usize,
        /// Points asked for.
        all: usize,
    },
}

/// What an experiment leaves behind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The configuration, seeds included.
    pub config: Config,
    /// Version of the program.
    pub version: String,
    /// What was trained and measured on.
    pub data: DataRecord,
    /// The points.
    pub points: Vec<Point>,
    /// What follows from them.
    pub summary: summary::Summary,
}

/// Whether a configuration is one of these experiments: it has a question.
///
/// # Errors
/// The file cannot be read, or is no TOML.
pub fn asks(path: &Path) -> Result<bool, PruningError> {
    let text = std::fs::read_to_string(path).map_err(|source| PruningError::Io { path: path.to_owned(), source })?;
    let table: toml::Table = toml::from_str(&text)
        .map_err(|source| PruningError::Config { path: path.to_owned(), source: Box::new(source) })?;
    Ok(table.contains_key("question"))
}

/// Runs the experiment of a configuration file into a directory.
///
/// # Errors
/// See [`PruningError`].
pub fn run(path: &Path, data: &Path, directory: &Path, watcher: &dyn Watcher) -> Result<Record, PruningError> {
    let config = Config::read(path)?;
    let study = Study::load(&config, data)?;
    let mut bench = Bench::open(directory, &config, watcher)?;
    let end = match &config.question {
        Question::Sparsity(sweep) => sweep::measure(&study, sweep, &mut bench),
        Question::Tickets(tickets) => tickets::measure(&study, tickets, &mut bench),
    };
    match end {
        // Training that is cut short ends as an error of whoever asked for it.
        Err(_) if watcher.stop() => return Err(PruningError::Stopped { done: bench.points.len(), all: bench.all }),
        other => other?,
    }
    let points = bench.sorted();
    let summary = summary::summarise(&config, &points);
    let record = Record {
        config: config.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data: study.record(),
        points,
        summary,
    };
    let json = serde_json::to_string_pretty(&record).map_err(JournalError::Json)?;
    journal::write(&directory.join("record.json"), &(json + "\n"))?;
    journal::write(&directory.join("table.md"), &summary::table(&record))?;
    journal::write(&directory.join("plot.svg"), &figure::plot(&record)?)?;
    Ok(record)
}

/// Where points are put.
pub struct Bench<'a> {
    journal: Journal,
    points: Vec<Point>,
    all: usize,
    order: Vec<String>,
    watcher: &'a dyn Watcher,
}

impl<'a> Bench<'a> {
    fn open(directory: &Path, config: &Config, watcher: &'a dyn Watcher) -> Result<Self, PruningError> {
        let (journal, points) = Journal::open(directory, config)?;
        Ok(Self { journal, points, all: config.points(), order: config.series(), watcher })
    }

    /// Whether a point is known.
    fn has(&self, seed: u64, series: &str, sparsity: f64) -> bool {
        self.points.iter().any(|p| p.seed == seed && p.series == series && p.sparsity == sparsity)
    }

    /// Says what is measured next.
    fn announce(&self, seed: u64, series: &str, sparsity: f64) {
        let what = format!("seed {seed}, {series}, sparsity {sparsity:.4}");
        self.watcher.measuring(self.points.len(), self.all, &what);
    }

    /// Puts a point on disk.
    fn add(&mut self, point: Point) -> Result<(), PruningError> {
        self.journal.append(&point)?;
        self.points.push(point);
        Ok(())
    }

    /// The points, in the order of the configuration.
    fn sorted(self) -> Vec<Point> {
        let Self { mut points, order, .. } = self;
        let place = |p: &Point| order.iter().position(|series| *series == p.series);
        points
            .sort_by(|a, b| place(a).cmp(&place(b)).then(a.sparsity.total_cmp(&b.sparsity)).then(a.seed.cmp(&b.seed)));
        points
    }
}
