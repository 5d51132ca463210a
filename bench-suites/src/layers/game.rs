//! The game of blocks: each set of kept blocks is measured once, and on disk as soon as it is known.
//!
//! $$ v(S) = s(S) - s(\emptyset), $$
//!
//! so that nobody earns nothing. Sets are measured in an order in which neighbours share what they begin with, in runs of 64 that
//! do not depend on the number of threads.

use crate::journal::{Journal, JournalError};
use crate::oracle::Stopped;
use crate::side_by_side::side_by_side;
use crate::watcher::Watcher;
use secateur_prune::layer_game::utility::{Scored, Work};
use secateur_prune::layer_game::{Mask, Utility, masks};
use secateur_theory::TheoryError;
use secateur_theory::game::{Coalition, Game};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Masks that one walk measures.
const RUN: usize = 64;

/// A measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The blocks that are kept of those that may go, by their place among these.
    pub kept: Vec<usize>,
    /// Mean of $-\ln p$; none where it is not finite.
    pub nll: Option<f64>,
    /// Blocks that were evaluated for it.
    pub blocks: usize,
    /// Blocks whose streams were at hand.
    pub saved: usize,
}

/// The game.
pub(super) struct Layers<'a> {
    utility: &'a Utility<'a>,
    /// The blocks that may go.
    players: &'a [usize],
    threads: usize,
    watcher: &'a dyn Watcher,
    kept: Mutex<Kept>,
}

/// What was measured.
struct Kept {
    journal: Journal,
    values: BTreeMap<Mask, Measured>,
}

impl<'a> Layers<'a> {
    /// A game with the measurements that a directory holds, which must be of the same configuration.
    pub fn open(
        utility: &'a Utility<'a>,
        players: &'a [usize],
        directory: &Path,
        config: &impl Serialize,
        threads: usize,
        watcher: &'a dyn Watcher,
    ) -> Result<Self, JournalError> {
        let (journal, found) = Journal::open::<Measured>(directory, config)?;
        let key = |measured: &Measured| measured.kept.iter().fold(Mask(0), |mask, player| mask.with(*player));
        let values = found.into_iter().map(|measured| (key(&measured), measured)).collect();
        Ok(Self { utility, players, threads, watcher, kept: Mutex::new(Kept { journal, values }) })
    }

    /// How many masks are measured.
    pub fn count(&self) -> usize {
        self.kept().values.len()
    }

    /// Masks that were dropped, because their perplexity is not finite.
    pub fn dropped(&self) -> usize {
        self.kept().values.values().filter(|measured| measured.nll.is_none()).count()
    }

    /// Evaluations of blocks of all measurements on disk.
    pub fn work(&self) -> Work {
        let kept = self.kept();
        let sum = |part: fn(&Measured) -> usize| kept.values.values().map(part).sum();
        Work { done: sum(|measured| measured.blocks), saved: sum(|measured| measured.saved) }
    }

    /// $s$ of masks of those that may go, measured where it is not known; none where the perplexity is not finite.
    pub fn scores(&self, asked: &[Mask]) -> Result<Vec<Option<f64>>, TheoryError> {
        let nlls = self.nlls(asked)?;
        Ok(nlls.into_iter().map(|nll| nll.map(|nll| (self.utility.full() - nll).exp())).collect())
    }

    /// Mean of $-\ln p$ of the same.
    pub fn nlls(&self, asked: &[Mask]) -> Result<Vec<Option<f64>>, TheoryError> {
        self.measure(asked)?;
        let kept = self.kept();
        Ok(asked.iter().map(|mask| kept.values.get(mask).and_then(|measured| measured.nll)).collect())
    }

    /// Measures what is not known.
    fn measure(&self, asked: &[Mask]) -> Result<(), TheoryError> {
        let (missing, known) = {
            let kept = self.kept();
            let missing = asked.iter().filter(|mask| !kept.values.contains_key(mask)).copied();
            (missing.collect::<BTreeSet<Mask>>(), kept.values.len())
        };
        let mut missing: Vec<Mask> = missing.into_iter().collect();
        masks::neighbours(&mut missing);
        let runs: Vec<&[Mask]> = missing.chunks(RUN).collect();
        side_by_side(self.threads, &runs, |run| self.walk(run, known + missing.len()))
    }

    /// Measures one run, and keeps every result.
    fn walk(&self, run: &[Mask], all: usize) -> Result<(), TheoryError> {
        let mut walk = self.utility.walk();
        for mask in run {
            let fault = |source| TheoryError::Oracle { coalition: Coalition(mask.0), source };
            if self.watcher.stop() {
                return Err(fault(Box::new(Stopped)));
            }
            self.watcher.measuring(self.count(), all, &format!("{} blocks kept", mask.size()));
            let before = walk.work();
            let Scored { nll, blocks, .. } = walk.score(self.of_model(*mask));
            let saved = walk.work().saved - before.saved;
            let measured = Measured { kept: mask.kept(), nll, blocks, saved };
            let mut kept = self.kept();
            kept.journal.append(&measured).map_err(|error| fault(Box::new(error)))?;
            kept.values.insert(*mask, measured);
        }
        Ok(())
    }

    /// The blocks of the model that a mask of those that may go keeps.
    fn of_model(&self, mask: Mask) -> Mask {
        let removed = self.players.iter().enumerate().filter(|(player, _)| !mask.keeps(*player));
        removed.fold(Mask::full(self.utility.layers()), |all, (_, block)| all.without(*block))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, coalition: Coalition) -> Result<f64, TheoryError> {
        let found = self.scores(&[Mask(coalition.0)])?.into_iter().flatten().next();
        let value = f64::NAN;
        found.ok_or(TheoryError::CoalitionValue { coalition, value, expected: "a finite perplexity" })
    }
}

impl Game for Layers<'_> {
    fn players(&self) -> usize {
        self.players.len()
    }

    fn value(&self, coalition: Coalition) -> Result<f64, TheoryError> {
        Ok(self.known(coalition)? - self.known(Coalition::EMPTY)?)
    }

    fn prepare(&self, coalitions: &[Coalition]) -> Result<(), TheoryError> {
        self.measure(&coalitions.iter().map(|coalition| Mask(coalition.0)).collect::<Vec<_>>())
    }
}

/// A game that is worth nothing and remembers what it was asked: what a method that does not look at values will ask for.
pub(super) struct Asked {
    players: usize,
    asked: Mutex<BTreeSet<Coalition>>,
}

impl Asked {
    /// The coalitions that a method asks for.
    pub fn by<T>(
        players: usize,
        method: impl Fn(&dyn Game) -> Result<T, TheoryError>,
    ) -> Result<Vec<Coalition>, TheoryError> {
        let game = Self { players, asked: Mutex::default() };
        method(&game)?;
        let asked = game.asked.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(asked.into_iter().collect())
    }
}

impl Game for Asked {
    fn players(&self) -> usize {
        self.players
    }

    fn value(&self, coalition: Coalition) -> Result<f64, TheoryError> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(coalition);
        Ok(0.0)
    }
}
