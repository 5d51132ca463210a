//! The checks of `proofs-notes/race`.

mod laws;
mod races;

use super::config::{Config, Integrator, Kind};
use super::data::{Pool, Source};
use super::measure::{Race, Setting, measure};
use crate::theory::StudyError;
use crate::theory::statement::{Context, Statement};
use rayon::prelude::*;
use secateur_theory::race::{Loss, Start};

macro_rules! note {
    ($name:literal) => {
        include_str!(concat!("../../../../../proofs-notes/race/", $name, ".md"))
    };
}

/// The statements about the race.
pub const STATEMENTS: &[Statement] = &[
    Statement { id: "race.conservation", note: note!("conservation"), check: laws::conservation },
    Statement { id: "race.alignment", note: note!("alignment"), check: laws::alignment },
    Statement { id: "race.same-data", note: note!("same-data"), check: laws::same_data },
    Statement { id: "race.late-ratio", note: note!("late-ratio"), check: laws::late_ratio },
    Statement { id: "race.merge", note: note!("merge"), check: laws::merging },
    Statement { id: "race.edge", note: note!("edge"), check: laws::edge },
    Statement { id: "race.flips", note: note!("flips"), check: laws::flips },
    Statement { id: "race.racing", note: note!("racing"), check: races::racing },
    Statement { id: "race.clusters", note: note!("clusters"), check: races::clusters },
    Statement { id: "race.unlocking", note: note!("unlocking"), check: races::unlocking },
    Statement { id: "race.confound", note: note!("confound"), check: races::confound },
    Statement { id: "race.pruning", note: note!("pruning"), check: races::pruning },
    Statement { id: "race.tickets", note: note!("tickets"), check: races::tickets },
];

/// The races of the independent values: 300 neurons, 200 shipped digits, rate .2.
fn digits(steps: usize) -> Config {
    Config {
        title: String::new(),
        data: Source::Digits,
        classes: [3, 8],
        samples: 200,
        width: 300,
        seeds: Vec::new(),
        losses: Vec::new(),
        starts: Vec::new(),
        norms: Vec::new(),
        integrators: Vec::new(),
        rate: 0.2,
        steps,
        looks: steps / 10,
        threshold: 0.99,
        dwell: 2.0,
        lag: 20.0,
        overlays: Vec::new(),
        turn: 0.1,
        early: 6.0,
        tickets: Vec::new(),
        tolerance: 1e-6,
        window: 0.05,
    }
}

/// A race of descent.
fn descent(loss: Loss, start: Start, norm: f64) -> Kind {
    Kind { loss, start, norm, integrator: Integrator::Descent }
}

/// Races of one kind with `count` seeds from the context's on.
fn races(config: &Config, kind: Kind, count: u64, context: &Context<'_>) -> Result<Vec<Race>, StudyError> {
    let pool = config.data.load(&config.classes, context.data)?;
    let one = |offset: u64| race(&pool, config, kind, context.seed.wrapping_add(offset), context);
    let races = (0..count).into_par_iter().map(one).collect::<Result<Vec<_>, _>>()?;
    let done = races.iter().flatten().count();
    let all = races.len();
    races.into_iter().collect::<Option<Vec<Race>>>().ok_or(StudyError::Stopped { done, all })
}

fn race(
    pool: &Pool,
    config: &Config,
    kind: Kind,
    seed: u64,
    context: &Context<'_>,
) -> Result<Option<Race>, StudyError> {
    let task = pool.task(config.samples, seed)?;
    measure(&Setting { config, task: &task, kind, seed }, context.watcher)
}

/// The mean; not a number if a value is missing.
fn mean(values: impl Iterator<Item = Option<f64>>) -> f64 {
    let values: Vec<f64> = values.map(|value| value.unwrap_or(f64::NAN)).collect();
    values.iter().sum::<f64>() / values.len() as f64
}
