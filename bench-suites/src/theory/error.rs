//! Why a study of a theory cannot begin or go on.

use crate::journal::JournalError;
use crate::plot::PlotError;
use secateur_nn::NnError;
use secateur_prune::PruneError;
use secateur_theory::TheoryError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a study cannot begin or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StudyError {
    /// A file that cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A configuration that is not what it should be.
    #[error("{}: {source}", .path.display())]
    Config {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        source: Box<toml::de::Error>,
    },
    /// A value of a configuration that makes no sense.
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
    /// A study of data sets without a directory of them.
    #[error("{what}: no directory of data sets is given")]
    NoData {
        /// What needs it.
        what: String,
    },
    /// A column that the data do not have.
    #[error("the data have no column `{name}`")]
    NoColumn {
        /// Its name.
        name: String,
    },
    /// More samples are asked for than there are.
    #[error("{key}: {asked} samples are asked for, {found} are left of these classes")]
    TooFewSamples {
        /// The key.
        key: &'static str,
        /// Asked for.
        asked: usize,
        /// Found.
        found: usize,
    },
    /// A note that is not written as notes are.
    #[error("{note}: {fault}")]
    Note {
        /// Its place.
        note: String,
        /// What is wrong.
        fault: String,
    },
    /// There is no statement of this name.
    #[error("no statement is called `{0}`: `secateur theory check --list` names them")]
    NoStatement(String),
    /// The directory of measurements.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A network, or a data set.
    #[error(transparent)]
    Network(#[from] NnError),
    /// Pruning.
    #[error(transparent)]
    Prune(#[from] PruneError),
    /// A prediction.
    #[error(transparent)]
    Theory(#[from] TheoryError),
    /// A plot.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The caller stopped a run of which nobody knows how many measurements it has; what was measured is on disk.
    #[error("stopped after {done} measurements, which are kept: run again to go on")]
    Interrupted {
        /// Measurements on disk.
        done: usize,
    },
    /// The caller stopped the run; what was measured is on disk.
    #[error("stopped after {done} of {all} measurements, which are kept: run again to go on")]
    Stopped {
        /// Measurements on disk.
        done: usize,
        /// Measurements asked for.
        all: usize,
    },
}
