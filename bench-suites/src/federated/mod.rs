//! Shares of those who train a model together: the least core and other concepts on games whose values are trainings.
//!
//! | step | file |
//! |---|---|
//! | what is to be measured: a TOML file | [`Config`] in `config.rs` |
//! | samples: flows of NSL-KDD, or digits | `source.rs`, `flows.rs` |
//! | who holds what | `players.rs` |
//! | train a coalition's model | `average.rs` |
//! | what a model is worth | `score.rs` |
//! | each coalition and seed once, side by side, on disk | [`crate::oracle`] |
//! | every concept on the values, and what searches would have saved | `shares.rs` |
//! | noise in the values | `noise.rs` |
//! | the page and its figures | `page.rs` |
//!
//! # Source
//! arXiv 2602.03387, with NSL-KDD in place of its data.

mod average;
mod config;
mod flows;
mod noise;
mod page;
mod players;
mod score;
mod shares;
mod source;

pub use config::Config;
pub use noise::{Noise, Spread};
pub use shares::{Alliance, Concept, Drawn, Interval, Shares, Stack};
pub use source::Source;

use crate::journal::{self, JournalError};
use crate::oracle::{Expensive, Fault, Measured, Oracle};
use crate::theory::{StudyError, report};
use crate::watcher::Watcher;
use players::Players;
use secateur_theory::game::stack::{Found, Search, search};
use secateur_theory::game::{Coalition, Game, Table};
use serde::{Deserialize, Serialize};
use source::Samples;
use std::path::Path;

/// A study: its configuration, its trainings, and what follows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The program's version.
    pub version: String,
    /// What was asked.
    pub config: Config,
    /// The players.
    pub players: Vec<Player>,
    /// Every training.
    pub measured: Vec<Measured>,
    /// What follows from all coalitions, where all were trained.
    pub shares: Option<Shares>,
    /// What a certified search found, where one was asked for.
    pub found: Option<Certified>,
}

/// A player.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Player {
    /// Its name.
    pub name: String,
    /// Samples that it has or claims; entries of an input that it has.
    pub volume: usize,
    /// Its samples of each class.
    pub classes: Option<Vec<usize>>,
}

/// What a certified search found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Certified {
    /// The division.
    pub payoffs: Vec<f64>,
    /// The excess of the least core is at least this.
    pub lower: f64,
    /// No coalition has more under the division.
    pub upper: f64,
    /// The same as quotients of whole numbers.
    pub exact: [String; 2],
    /// Two evaluated coalitions that contradict the slack.
    pub contradiction: Option<[Vec<usize>; 2]>,
    /// Coalitions that were evaluated.
    pub evaluations: usize,
}

/// Runs the study of a configuration file into a directory; its page in Markdown.
///
/// # Errors
/// See [`StudyError`].
pub fn study(
    path: &Path,
    data: Option<&Path>,
    directory: &Path,
    threads: usize,
    watcher: &dyn Watcher,
) -> Result<String, StudyError> {
    run(&Config::read(path)?, data, directory, threads, watcher)?;
    report::read(directory)
}

/// Runs a study; writes `measurements.jsonl`, `record.json`, `game.json` where all coalitions were trained, and the page with its
/// figures into a directory. Trainings that are there already are not run again; so many run side by side, 0 for every core.
///
/// # Errors
/// See [`StudyError`].
pub fn run(
    config: &Config,
    data: Option<&Path>,
    directory: &Path,
    threads: usize,
    watcher: &dyn Watcher,
) -> Result<Record, StudyError> {
    let samples = Samples::load(config.data, &config.classes(), config.test, config.data_seed, data)?;
    let learning = Learning { config, players: Players::draw(config, &samples)?, samples: &samples };
    let game = Expensive::open(&learning, &config.seeds, directory, &config.trainings(), threads, watcher)?;
    let result = evaluated(config, &learning.players, &game, directory);
    if watcher.stop() && result.is_err() {
        let done = game.count().1;
        return Err(match config.search {
            // How many it asks for shows as it goes.
            Some(_) => StudyError::Interrupted { done },
            None => StudyError::Stopped { done, all: config.seeds.len() * ((1 << learning.players()) - 1) },
        });
    }
    let (shares, found) = result?;
    let names = config.players().into_iter().zip(learning.players.volumes()).enumerate();
    let classes = |player| learning.players.classes(player, config.classes().len());
    let players = names.map(|(player, (name, volume))| Player { name, volume, classes: classes(player) }).collect();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let record = Record { version, config: config.clone(), players, measured: game.asked(), shares, found };
    let text = serde_json::to_string(&record).map_err(JournalError::Json)?;
    journal::write(&directory.join("record.json"), &text)?;
    page::report(&record)?.write(directory)?;
    Ok(record)
}

type Results = (Option<Shares>, Option<Certified>);

/// Trains what is asked for.
fn evaluated(
    config: &Config,
    players: &Players,
    game: &Expensive<'_>,
    directory: &Path,
) -> Result<Results, StudyError> {
    if let Some(asked) = config.search {
        let found = search(game, Search { eta: asked.eta, slack: asked.slack, batch: asked.batch })?;
        return Ok((None, Some(Certified::of(&found))));
    }
    let table = Table::of(game)?;
    let text = serde_json::to_string(&table).map_err(JournalError::Json)?;
    journal::write(&directory.join("game.json"), &text)?;
    let seeds = (0..game.seeds().len()).map(|seed| by_seed(game, seed)).collect::<Result<Vec<_>, _>>()?;
    Ok((Some(shares::shares(config, &players.volumes(), &table, &seeds)?), None))
}

/// The game of one seed.
fn by_seed(game: &Expensive<'_>, seed: usize) -> Result<Table, StudyError> {
    let value = |set: u128| match set {
        0 => Ok(0.0),
        _ => game.measurements(Coalition(set)).map(|values| values[seed]),
    };
    let values = (0..1u128 << game.players()).map(value).collect::<Result<Vec<_>, _>>()?;
    Ok(Table::new(game.players(), values)?)
}

impl Certified {
    fn of(found: &Found) -> Self {
        let members = |coalition: Coalition| coalition.members().collect();
        Self {
            payoffs: found.payoffs.iter().map(|x| x.to_f64().value()).collect(),
            lower: found.lower.to_f64().value(),
            upper: found.upper.to_f64().value(),
            exact: [found.lower.to_string(), found.upper.to_string()],
            contradiction: found.contradiction.map(|(small, large)| [members(small), members(large)]),
            evaluations: found.evaluations,
        }
    }
}

/// Values by training.
struct Learning<'a> {
    config: &'a Config,
    samples: &'a Samples,
    players: Players,
}

impl Oracle for Learning<'_> {
    fn players(&self) -> usize {
        self.players.count()
    }

    fn measure(&self, coalition: Coalition, seed: u64, _: &dyn Watcher) -> Result<f64, Fault> {
        let (training, test) = (&self.config.training, &self.samples.test);
        let start = average::start(training, test.input_size(), test.output_size(), seed)?;
        Ok(match &self.players {
            Players::Clients(clients) => {
                let members: Vec<_> = coalition.members().map(|player| (player, &clients[player])).collect();
                score::worth(&average::federated(&start, &members, training, seed)?, test)?
            }
            Players::Parties { samples, entries } => {
                // What nobody in the coalition holds is 0, the mean: its weights do not move.
                let mut seen = vec![false; test.input_size()];
                coalition.members().flat_map(|player| &entries[player]).for_each(|entry| seen[*entry] = true);
                let hidden = |entry: usize, value: f32| if seen[entry] { value } else { 0.0 };
                let model = average::descended(&start, &samples.map_inputs(hidden), training, training.rounds, seed)?;
                score::worth(&model, &test.map_inputs(hidden))?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A value for every coalition, of some seeds.
    fn table(measured: &[Measured], players: usize, seeds: &[u64]) -> Table {
        let mut sums: BTreeMap<Coalition, f64> = BTreeMap::new();
        for seed in seeds {
            for one in measured.iter().filter(|one| one.seed == *seed) {
                let coalition = one.players.iter().copied().fold(Coalition::EMPTY, Coalition::with);
                *sums.entry(coalition).or_default() += one.value;
            }
        }
        let value = |set: u128| sums.get(&Coalition(set)).map_or(0.0, |sum| sum / seeds.len() as f64);
        Table::new(players, (0..1u128 << players).map(value).collect()).expect("a game")
    }

    struct Impatient;

    impl Watcher for Impatient {
        fn stop(&self) -> bool {
            true
        }
    }

    /// How many trainings a search asks for is not known before its end.
    #[test]
    fn a_stopped_search_has_no_total() {
        let text = "title = \"Many\"\ndata = \"digits\"\ntest = 9\ndata-seed = 1\nseeds = [1, 2]\n[training]\nhidden = []\nrounds = 1\n\
                    batch = 9\nrate = 0.1\n[skew]\nclients = 5\nsamples = 140\n";
        for (search, all) in [("", Some(62)), ("[search]\neta = 1\nslack = 1\nbatch = 1\n", None)] {
            let config: Config = toml::from_str(&format!("{text}{search}")).expect("a configuration");
            let place = tempfile::tempdir().expect("a directory");
            match run(&config, None, place.path(), 1, &Impatient).expect_err("stopped") {
                StudyError::Stopped { done: 0, all: found } => assert_eq!(Some(found), all),
                StudyError::Interrupted { done: 0 } => assert_eq!(None, all),
                error => panic!("{error}"),
            }
        }
    }

    /// What the recorded studies say follows from their trainings.
    #[test]
    fn records_follow_from_trainings() {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join("games");
        let mut compared = 0;
        for entry in std::fs::read_dir(results).expect("results") {
            let path = entry.expect("an entry").path().join("record.json");
            let record: Record = serde_json::from_slice(&std::fs::read(&path).expect("a record")).expect("JSON");
            let (n, seeds) = (record.players.len(), &record.config.seeds);
            let Some(shares) = record.shares else {
                let found = record.found.expect("a search");
                assert_eq!(record.measured.len(), found.evaluations * seeds.len(), "{}", path.display());
                continue;
            };
            assert_eq!(record.measured.len(), ((1 << n) - 1) * seeds.len(), "{}", path.display());
            let volumes: Vec<usize> = record.players.iter().map(|player| player.volume).collect();
            let mut config = record.config.clone();
            // Noise takes most of the time, and draws that are half of the coalitions most of the rest.
            (config.compare.noise, config.compare.draws) = (0, 2);
            let by_seed: Vec<Table> = seeds.iter().map(|seed| table(&record.measured, n, &[*seed])).collect();
            let again =
                shares::shares(&config, &volumes, &table(&record.measured, n, seeds), &by_seed).expect("shares");
            assert_eq!((&again.values, &again.exact, again.falls), (&shares.values, &shares.exact, shares.falls));
            assert_eq!(again.tight, shares.tight, "{}", path.display());
            for (new, old) in again.concepts.iter().zip(&shares.concepts) {
                assert_eq!((&new.name, &new.worst, new.violated), (&old.name, &old.worst, old.violated));
                assert_eq!(new.evaluations, old.evaluations, "{}", new.name);
                let apart = new.payoffs.iter().zip(&old.payoffs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(apart < 1e-12, "{}: {apart}", new.name);
            }
            let counts = |shares: &Shares| shares.searches.iter().map(|found| found.evaluations).collect::<Vec<_>>();
            assert_eq!(counts(&again), counts(&shares), "{}", path.display());
            assert_eq!(again.stack.evaluations, shares.stack.evaluations);
            for found in &shares.searches {
                assert!(found.ends[0] <= found.excess && found.excess <= found.ends[1]);
                let most = shares.values.iter().copied().fold(0.0, f64::max);
                let together = if found.closure { most } else { shares.values[(1 << n) - 1] };
                assert!(found.ends[1] - found.ends[0] <= found.eta * together + 1e-12);
            }
            compared += 1;
        }
        assert!(compared >= 3, "{compared} studies");
    }
}
