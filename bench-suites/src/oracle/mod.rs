//! Games whose values are expensive: each is measured once for every seed, and on disk as soon as it is known.
//!
//! | what | file |
//! |---|---|
//! | the game that asks an oracle, side by side, and never twice | here |
//! | an oracle that is another program | [`command`] |

pub mod command;

use crate::journal::{Journal, JournalError};
use crate::side_by_side::side_by_side;
use crate::watcher::Watcher;
use secateur_theory::TheoryError;
use secateur_theory::game::{Coalition, Game};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

/// Why a value could not be measured.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Measures what coalitions are worth.
pub trait Oracle: Sync {
    /// How many players there are.
    fn players(&self) -> usize;

    /// One measurement of $v(S)$, $S \ne \emptyset$. The same seed gives the same number. A long one asks now and then whether to
    /// stop.
    ///
    /// # Errors
    /// The value cannot be measured.
    fn measure(&self, coalition: Coalition, seed: u64, watcher: &dyn Watcher) -> Result<f64, Fault>;
}

/// A measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Who is in the coalition.
    pub players: Vec<usize>,
    /// The seed.
    pub seed: u64,
    /// What was found.
    pub value: f64,
    /// How long it took.
    pub seconds: f64,
}

/// A caller stopped the measurements.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("stopped; what was measured is kept")]
pub struct Stopped;

/// A game that asks an oracle: $v(S)$ is the mean over seeds.
pub struct Expensive<'a> {
    oracle: &'a dyn Oracle,
    seeds: Vec<u64>,
    /// Measurements side by side.
    threads: usize,
    watcher: &'a dyn Watcher,
    kept: Mutex<Kept>,
}

/// What was measured.
struct Kept {
    journal: Journal,
    values: BTreeMap<(Coalition, u64), Measured>,
    /// What this run asked for.
    asked: BTreeSet<(Coalition, u64)>,
    /// Measurements of this run.
    new: usize,
}

impl<'a> Expensive<'a> {
    /// A game with the measurements that a directory holds, which must be of the same configuration. So many are made side by
    /// side, each on one thread; 0 takes every core.
    ///
    /// # Errors
    /// The directory cannot be read, or holds something else.
    pub fn open(
        oracle: &'a dyn Oracle,
        seeds: &[u64],
        directory: &Path,
        config: &impl Serialize,
        threads: usize,
        watcher: &'a dyn Watcher,
    ) -> Result<Self, JournalError> {
        let (journal, found) = Journal::open::<Measured>(directory, config)?;
        let mut values: BTreeMap<(Coalition, u64), Measured> = BTreeMap::new();
        for (index, measured) in found.into_iter().enumerate() {
            let fault = |what: &str| {
                let (path, what) = (journal.path().to_owned(), what.to_owned());
                JournalError::Measurement { path, line: index + 1, what }
            };
            let ascending = measured.players.windows(2).all(|pair| pair[0] < pair[1]);
            let last = *measured.players.last().ok_or_else(|| fault("a coalition of nobody"))?;
            if !ascending || last >= oracle.players() || !measured.value.is_finite() {
                return Err(fault("no coalition of this game, or no number"));
            }
            let coalition = measured.players.iter().copied().fold(Coalition::EMPTY, Coalition::with);
            if values.insert((coalition, measured.seed), measured).is_some() {
                return Err(fault("this coalition has a value of this seed already"));
            }
        }
        let kept = Mutex::new(Kept { journal, values, asked: BTreeSet::new(), new: 0 });
        Ok(Self { oracle, seeds: seeds.to_vec(), threads, watcher, kept })
    }

    /// The seeds of each value.
    pub fn seeds(&self) -> &[u64] {
        &self.seeds
    }

    /// The measurements of a coalition in the order of seeds, measured where they are not known.
    ///
    /// # Errors
    /// As [`Game::prepare`].
    pub fn measurements(&self, coalition: Coalition) -> Result<Vec<f64>, TheoryError> {
        self.prepare(&[coalition])?;
        let kept = self.kept();
        Ok(self.seeds.iter().filter_map(|seed| kept.values.get(&(coalition, *seed))).map(|m| m.value).collect())
    }

    /// The measurements that this run asked for, by coalition and seed.
    pub fn asked(&self) -> Vec<Measured> {
        let kept = self.kept();
        let asked = kept.values.iter().filter(|(unit, _)| kept.asked.contains(unit));
        asked.map(|(_, measured)| measured.clone()).collect()
    }

    /// How many measurements were made in this run, and how many there are.
    pub fn count(&self) -> (usize, usize) {
        let kept = self.kept();
        (kept.new, kept.values.len())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Measures once, and keeps the result.
    fn measure(&self, coalition: Coalition, seed: u64, all: usize) -> Result<(), TheoryError> {
        let fault = |source: Fault| TheoryError::Oracle { coalition, source };
        if self.watcher.stop() {
            return Err(fault(Box::new(Stopped)));
        }
        self.watcher.measuring(self.count().1, all, &format!("{coalition}, seed {seed}"));
        let start = Instant::now();
        let value = self.oracle.measure(coalition, seed, self.watcher).map_err(fault)?;
        if !value.is_finite() {
            return Err(TheoryError::CoalitionValue { coalition, value, expected: "a finite number" });
        }
        let (players, seconds) = (coalition.members().collect(), start.elapsed().as_secs_f64());
        let measured = Measured { players, seed, value, seconds };
        let mut kept = self.kept();
        kept.journal.append(&measured).map_err(|error| fault(Box::new(error)))?;
        kept.values.insert((coalition, seed), measured);
        kept.new += 1;
        Ok(())
    }
}

impl Game for Expensive<'_> {
    fn players(&self) -> usize {
        self.oracle.players()
    }

    fn value(&self, coalition: Coalition) -> Result<f64, TheoryError> {
        if coalition == Coalition::EMPTY {
            return Ok(0.0);
        }
        Ok(mean(&self.measurements(coalition)?))
    }

    fn prepare(&self, coalitions: &[Coalition]) -> Result<(), TheoryError> {
        let (missing, known): (Vec<(Coalition, u64)>, usize) = {
            let mut kept = self.kept();
            let some = coalitions.iter().filter(|coalition| **coalition != Coalition::EMPTY);
            let units = some.flat_map(|coalition| self.seeds.iter().map(|seed| (*coalition, *seed)));
            let units: Vec<(Coalition, u64)> = units.collect();
            kept.asked.extend(units.iter().copied());
            (units.into_iter().filter(|unit| !kept.values.contains_key(unit)).collect(), kept.values.len())
        };
        let all = known + missing.len();
        side_by_side(self.threads, &missing, |(coalition, seed)| self.measure(*coalition, *seed, all))
    }
}

/// The mean of finite numbers, which is no more than the greatest even where their sum is beyond the range of doubles.
fn mean(numbers: &[f64]) -> f64 {
    let (sum, count) = (numbers.iter().sum::<f64>(), numbers.len() as f64);
    if sum.is_finite() {
        return sum / count;
    }
    let largest = numbers.iter().fold(0.0f64, |largest, number| largest.max(number.abs()));
    numbers.iter().map(|number| number / count).sum::<f64>().clamp(-largest, largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watcher::Silent;
    use secateur_theory::game::Table;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Worth its size and its seed; counts how often it is asked, and fails at the coalition of all.
    struct Sizes(AtomicUsize, bool);

    impl Oracle for Sizes {
        fn players(&self) -> usize {
            3
        }

        fn measure(&self, coalition: Coalition, seed: u64, _: &dyn Watcher) -> Result<f64, Fault> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if self.1 && coalition == Coalition::all(3) {
                return Err("too many".into());
            }
            Ok(coalition.size() as f64 + seed as f64)
        }
    }

    #[test]
    fn values_are_measured_once_and_kept() {
        let place = tempfile::tempdir().expect("a directory");
        let failing = Sizes(AtomicUsize::new(0), true);
        let game = Expensive::open(&failing, &[1, 3], place.path(), &"sizes", 2, &Silent).expect("a directory");
        assert_eq!(game.value(Coalition(3)).expect("a value"), 4.0);
        assert_eq!(game.measurements(Coalition(3)).expect("values"), [3.0, 5.0]);
        assert_eq!((game.count(), failing.0.load(Ordering::Relaxed)), ((2, 2), 2));
        let error = Table::of(&game).expect_err("the oracle fails").to_string();
        assert_eq!(error, "the value of coalition {0, 1, 2}: too many");
        drop(game);
        let oracle = Sizes(AtomicUsize::new(0), false);
        let game = Expensive::open(&oracle, &[1, 3], place.path(), &"sizes", 2, &Silent).expect("the same directory");
        let before = game.count().1;
        assert_eq!(Table::of(&game).expect("values").values(), [0.0, 3.0, 3.0, 4.0, 3.0, 4.0, 4.0, 5.0]);
        assert_eq!((game.count(), oracle.0.load(Ordering::Relaxed)), ((14 - before, 14), 14 - before));
        drop(game);
        assert!(Expensive::open(&oracle, &[1], place.path(), &"other", 2, &Silent).is_err());
        let path = place.path().join("measurements.jsonl");
        let good = std::fs::read_to_string(&path).expect("lines");
        for (players, what) in
            [("[]", "nobody"), ("[128]", "no coalition"), ("[1,0]", "no coalition"), ("[0]", "already")]
        {
            let line = format!("{{\"players\":{players},\"seed\":1,\"value\":9.0,\"seconds\":0.0}}\n");
            std::fs::write(&path, good.clone() + &line).expect("written");
            let error = Expensive::open(&oracle, &[1], place.path(), &"sizes", 2, &Silent).err().expect("a bad line");
            assert!(error.to_string().contains("line 15: ") && error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn means_of_large_numbers_are_numbers() {
        assert_eq!(mean(&[1.7e308, 1.7e308]), 1.7e308);
        assert_eq!(mean(&[f64::MAX; 3]), f64::MAX);
        assert_eq!(mean(&[-1.7e308, -1.7e308, 0.0, 0.0]), -0.85e308);
        assert_eq!(mean(&[1.0, 2.0]), 1.5);
    }

    /// Stops at once.
    struct Impatient;

    impl Watcher for Impatient {
        fn stop(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_stop_is_no_value() {
        let place = tempfile::tempdir().expect("a directory");
        let oracle = Sizes(AtomicUsize::new(0), false);
        let game = Expensive::open(&oracle, &[1], place.path(), &"sizes", 2, &Impatient).expect("a directory");
        assert!(matches!(game.value(Coalition(1)), Err(TheoryError::Oracle { .. })));
        assert_eq!(oracle.0.load(Ordering::Relaxed), 0);
        assert_eq!(game.value(Coalition::EMPTY).expect("nobody has nothing"), 0.0);
    }
}
