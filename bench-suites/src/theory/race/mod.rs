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
use super::report;
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

/// Runs the study of a configuration file into a directory; its page in Markdown.
///
/// # Errors
/// See [`StudyError`].
pub fn study(path: &Path, data: Option<&Path>, directory: &Path, watcher: &dyn Watcher) -> Result<String, StudyError> {
    run(&Config::read(path)?, data, directory, watcher)?;
    report::read(directory)
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
    let text = serde_json::to_string(&record).map_err(JournalError::Json)?;
    journal::write(&directory.join("record.json"), &text)?;
    page::report(&record, &images)?.write(directory)?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watcher::Silent;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Stops when so many races are known.
    struct Impatient(usize, AtomicUsize);

    impl Watcher for Impatient {
        fn measuring(&self, number: usize, _: usize, _: &str) {
            self.1.store(number, Ordering::Relaxed);
        }

        fn stop(&self) -> bool {
            self.1.load(Ordering::Relaxed) >= self.0
        }
    }

    #[test]
    fn figures_without_a_point_are_left_out() {
        let place = tempfile::tempdir().expect("a directory");
        let good: Config = toml::from_str(config::tests::GOOD).expect("a configuration");
        let seeds = vec![1];
        let two = Config { width: 2, tickets: vec![2], seeds: seeds.clone(), ..good.clone() };
        let tiny = Config { norms: vec![1e-300], integrators: vec![Integrator::Descent], seeds, ..good };
        for (name, config) in [("two", two), ("tiny", tiny)] {
            let out = place.path().join(name);
            run(&config, None, &out, &Silent).unwrap_or_else(|error| panic!("{name}: {error}"));
            let page = std::fs::read_to_string(out.join("index.html")).expect("a page");
            assert!(!page.contains("NaN"), "{name}");
            run(&config, None, &out, &Silent).unwrap_or_else(|error| panic!("{name}, read again: {error}"));
        }
    }

    #[test]
    fn a_study_goes_on_where_it_stopped_and_has_a_page() {
        let place = tempfile::tempdir().expect("a directory");
        let (path, out) = (place.path().join("race.toml"), place.path().join("out"));
        std::fs::write(&path, config::tests::GOOD).expect("written");
        let config = Config::read(&path).expect("a configuration");
        let stopped = run(&config, None, &out, &Impatient(2, AtomicUsize::new(0)));
        assert!(matches!(stopped, Err(StudyError::Stopped { done: 2, all: 8 })), "{stopped:?}");
        let record = run(&config, None, &out, &Silent).expect("races");
        assert_eq!(record.races.len(), 8);
        let again = place.path().join("again");
        assert_eq!(run(&config, None, &again, &Silent).expect("races").races, record.races, "one seed, one result");
        for race in &record.races {
            assert!(race.end.loss < race.looks[0].loss, "{race:?}");
            assert_eq!(race.looks.len(), config.looks + 1);
            assert_eq!(race.end.sizes.iter().sum::<usize>(), config.width);
            let descent = race.kind.integrator == Integrator::Descent;
            assert_eq!(race.tickets.is_empty(), !descent);
            assert_eq!(race.overlays[0].worst.is_none(), descent);
        }
        let page = std::fs::read_to_string(out.join("index.html")).expect("a page");
        assert!(page.contains("<svg") && page.contains("mse, equal start") && !page.contains("NaN"), "{page}");
        assert!(out.join("cosines-1.png").exists() && out.join("record.json").exists());
    }
}
