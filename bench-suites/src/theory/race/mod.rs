//! The neuron race against its predictions: alignment, unlocking, racing; merging, pruning, tickets.
//!
//! | step | file |
//! |---|---|
//! | what is to be measured: a TOML file | [`Config`] in `config.rs` |
//! | the two classes: shipped digits, MNIST, CIFAR-10, Gaussian clouds | [`Source`] in `data.rs` |
//! | one race, from start to end | [`Race`] in `measure.rs` |
//! | what is left after merging and pruning, and who wins alone | `reductions.rs` |
//! | the figures | `figure.rs` |
//! | the page | `page.rs` |
//! | the checks of `proofs-notes/race` | [`STATEMENTS`] in `checks.rs` |

mod checks;
mod config;
mod data;
mod figure;
mod measure;
mod page;
mod reductions;

pub use checks::STATEMENTS;
pub use config::{Config, Integrator, Kind};
pub use data::Source;
pub use measure::{End, Look, Overlay, Race, Racing};
pub use reductions::{Kept, Pruned, Ticket};

use super::error::StudyError;
use crate::journal::{self, Journal, JournalError};
use crate::watcher::Watcher;
use measure::Setting;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A study: its configuration and its races.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The program's version.
    pub version: String,
    /// What was asked.
    pub config: Config,
    /// What was measured, in the order of the configuration.
    pub races: Vec<Race>,
}

/// Runs a study; writes `measurements.jsonl`, `record.json`, and the page with its figures into a directory. Races that are there
/// already are not run again.
///
/// # Errors
/// See [`StudyError`].
pub fn run(
    config: &Config,
    data: Option<&Path>,
    directory: &Path,
    watcher: &dyn Watcher,
) -> Result<Record, StudyError> {
    let (mut journal, mut races) = Journal::open::<Race>(directory, config)?;
    let images = config.data.load(&config.classes, data)?;
    let kinds = config.kinds();
    let all = kinds.len() * config.seeds.len();
    for kind in &kinds {
        for seed in &config.seeds {
            if races.iter().any(|race| race.seed == *seed && race.kind == *kind) {
                continue;
            }
            if watcher.stop() {
                return Err(StudyError::Stopped { done: races.len(), all });
            }
            watcher.measuring(races.len(), all, &format!("{kind}, seed {seed}"));
            let task = images.task(config.samples, *seed)?;
            let setting = Setting { config, task: &task, kind: *kind, seed: *seed };
            let Some(race) = measure::measure(&setting, watcher)? else {
                return Err(StudyError::Stopped { done: races.len(), all });
            };
            journal.append(&race)?;
            races.push(race);
        }
    }
    let place = |race: &Race| kinds.iter().position(|kind| *kind == race.kind);
    races.sort_by(|a, b| place(a).cmp(&place(b)).then(a.seed.cmp(&b.seed)));
    let record = Record { version: env!("CARGO_PKG_VERSION").to_owned(), config: config.clone(), races };
    let text = serde_json::to_string_pretty(&record).map_err(JournalError::Json)?;
    journal::write(&directory.join("record.json"), &text)?;
    page::report(&record, &images)?.write(directory)?;
    Ok(record)
}
