//! What each block is worth, by every concept.

use super::config::Config;
use super::game::{Asked, Layers};
use crate::theory::StudyError;
use secateur_linalg::random::Random;
use secateur_prune::layer_game::surrogate::{Fitted, Quality};
use secateur_prune::layer_game::{Mask, Surrogate, agreement, estimator, masks};
use secateur_theory::TheoryError;
use secateur_theory::game::sampled::{Method, images};
use secateur_theory::game::shapley::shapley;
use secateur_theory::game::{Game, Table};
use serde::{Deserialize, Serialize};

/// With so many blocks that may go, or fewer, the surrogate's game has a table.
const TABLE: usize = 20;

/// What each block is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Concept {
    /// Its name.
    pub name: String,
    /// A number for each block that may go; the least goes first.
    pub values: Vec<f64>,
    /// Ends of 95 % intervals, where values are sampled.
    pub intervals: Option<Vec<[f64; 2]>>,
    /// Masks that it measures.
    pub masks: usize,
    /// Spearman's $\rho$ with the Shapley value, the exact one where it is known.
    pub agreement: Option<f64>,
}

impl Concept {
    fn new(name: &str, values: Vec<f64>, intervals: Option<Vec<[f64; 2]>>, masks: usize) -> Self {
        Self { name: name.to_owned(), values, intervals, masks, agreement: None }
    }
}

/// A surrogate of one seed, and what follows from it.
pub(super) struct Predicted {
    pub seed: u64,
    pub fitted: Fitted,
    /// The paper's estimate.
    pub concept: Concept,
}

/// Sizes of strata.
pub(super) fn sizes(config: &Config, players: usize) -> Vec<usize> {
    if config.masks.kept.is_empty() { masks::sizes(players) } else { config.masks.kept.clone() }
}

/// The name of the paper's estimate.
pub(super) const PAPER: &str = "paper";

/// A surrogate for each seed, fitted to masks of that seed.
pub(super) fn predicted(config: &Config, game: &Layers<'_>) -> Result<Vec<Predicted>, StudyError> {
    let (n, sizes) = (game.players(), sizes(config, game.players()));
    let one = |seed: &u64| {
        let drawn = masks::sample(n, &masks::equal(n, &sizes, config.masks.samples), *seed);
        let scores = game.scores(&drawn)?;
        let valued: Vec<(Mask, f64)> = drawn.iter().zip(scores).filter_map(|(mask, s)| Some((*mask, s?))).collect();
        if valued.is_empty() {
            let found = drawn.len();
            return Err(StudyError::TooFewSamples { key: "masks of finite perplexity", asked: found, found: 0 });
        }
        let fitted = Surrogate::fit(n, &valued, &config.surrogate, *seed);
        let concept = estimate(config, &fitted.surrogate, &sizes, drawn.len(), *seed);
        Ok(Predicted { seed: *seed, fitted, concept })
    };
    config.seeds.iter().map(one).collect()
}

/// The paper's estimate, its expectation where there are no more base masks than asked for.
fn estimate(config: &Config, surrogate: &Surrogate, sizes: &[usize], drawn: usize, seed: u64) -> Concept {
    let (n, f) = (surrogate.layers(), |mask| surrogate.value(mask));
    let all = sizes.iter().fold(0u128, |sum, kept| sum.saturating_add(masks::choose(n, *kept)));
    if all <= config.masks.base as u128 {
        return Concept::new(PAPER, estimator::expectation(&f, n, sizes), None, drawn);
    }
    let each = (config.masks.base / sizes.len()).max(1);
    let found = estimator::sampled(&f, n, sizes, each, config.masks.bootstrap, seed);
    Concept::new(PAPER, found.values, Some(found.intervals), drawn)
}

/// All values, where all masks are to be measured and none is dropped.
pub(super) fn table(config: &Config, game: &Layers<'_>) -> Result<Option<Table>, StudyError> {
    if game.players() > config.limits.players {
        return Ok(None);
    }
    finite(Table::of(game))
}

/// Nothing where a mask was dropped.
fn finite<T>(found: Result<T, TheoryError>) -> Result<Option<T>, StudyError> {
    match found {
        Err(TheoryError::CoalitionValue { .. }) => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// Every concept that the game alone gives: the Shapley value, exact and sampled, and the paper's estimate without a surrogate.
pub(super) fn concepts(
    config: &Config,
    game: &Layers<'_>,
    table: Option<&Table>,
    predicted: &[Predicted],
) -> Result<Vec<Concept>, StudyError> {
    let n = game.players();
    let mut all: Vec<Concept> = predicted.iter().take(1).map(|predicted| predicted.concept.clone()).collect();
    if let Some(table) = table {
        let f = |mask: Mask| table.values()[mask.0 as usize];
        let values = estimator::expectation(&f, n, &sizes(config, n));
        all.push(Concept::new("paper without surrogate", values, None, 1 << n));
        all.push(Concept::new("Shapley", shapley(table), None, 1 << n));
    }
    if let Some(first) = predicted.first().filter(|_| n <= TABLE) {
        let f = &first.fitted.surrogate;
        let empty = f.value(Mask(0));
        let values = (0..1u128 << n).map(|set| f.value(Mask(set)) - empty).collect();
        all.push(Concept::new("Shapley of surrogate", shapley(&Table::new(n, values)?), None, first.concept.masks));
    }
    let units = config.shapley;
    let sampled = [
        ("Shapley, stratified", Method::Stratified, units.stratified),
        ("Shapley, permutations", Method::Permutation, units.permutation),
        ("Shapley, kernel", Method::Kernel, units.kernel),
    ];
    for (name, method, units) in sampled.into_iter().filter(|(_, _, units)| *units > 0) {
        let seed = config.seeds[0];
        let asked = Asked::by(n, |game| images(game, method, units, seed))?;
        game.prepare(&asked)?;
        let Some(images) = finite(images(game, method, units, seed))? else { continue };
        all.push(mean(name, images, asked.len(), config.masks.bootstrap, seed));
    }
    Ok(all)
}

/// The mean of images with intervals of the bootstrap.
fn mean(name: &str, images: Vec<Vec<f64>>, asked: usize, draws: usize, seed: u64) -> Concept {
    let sum = |player: usize| images.iter().map(|image| image[player]).sum::<f64>();
    let values = (0..images[0].len()).map(|player| sum(player) / images.len() as f64).collect();
    let intervals = estimator::bootstrap(&[images], draws, seed);
    Concept::new(name, values, Some(intervals), asked)
}

/// Concepts of other methods, from numbers of all blocks.
pub(super) fn other(name: &str, blocks: &[f64], players: &[usize]) -> Concept {
    Concept::new(name, players.iter().map(|block| blocks[*block]).collect(), None, 0)
}

/// The first of these names that there is is what others are compared with.
const REFERENCE: [&str; 5] =
    ["Shapley", "Shapley, stratified", "Shapley, permutations", "Shapley, kernel", "Shapley of surrogate"];

/// Compares every concept with the Shapley value; its name.
pub(super) fn compare(concepts: &mut [Concept]) -> Option<String> {
    let find = |name: &&str| concepts.iter().find(|concept| concept.name == **name);
    let reference = REFERENCE.iter().find_map(find)?.clone();
    for concept in concepts.iter_mut().filter(|concept| concept.name != reference.name) {
        concept.agreement = agreement::spearman(&concept.values, &reference.values);
    }
    Some(reference.name)
}

/// How far a surrogate is from the truth on masks of which all are measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Which masks.
    pub masks: String,
    /// How well it predicts them.
    pub quality: Quality,
}

/// The surrogate's true errors: on every mask, on strata, off them; and on every size that was enumerated.
pub(super) fn truths(
    config: &Config,
    game: &Layers<'_>,
    table: Option<&Table>,
    enumerated: &[usize],
    surrogate: &Surrogate,
) -> Result<Vec<Truth>, StudyError> {
    let (n, sizes) = (game.players(), sizes(config, game.players()));
    let on = |asked: Vec<Mask>| -> Result<Quality, StudyError> {
        let scores = game.scores(&asked)?;
        let valued: Vec<(Mask, f64)> = asked.iter().zip(scores).filter_map(|(mask, s)| Some((*mask, s?))).collect();
        Ok(surrogate.quality(&valued))
    };
    let mut all = Vec::new();
    if table.is_some() {
        let every = || (0..1u128 << n).map(Mask);
        let strata = |mask: &Mask| sizes.contains(&mask.size());
        all.push(("all".to_owned(), on(every().collect())?));
        all.push(("of the strata".to_owned(), on(every().filter(strata).collect())?));
        all.push(("of other sizes".to_owned(), on(every().filter(|mask| !strata(mask)).collect())?));
    }
    for count in enumerated {
        all.push((format!("{count} removed"), on(masks::every(n, n - count).collect())?));
    }
    Ok(all.into_iter().map(|(masks, quality)| Truth { masks, quality }).collect())
}

/// A random order of blocks.
pub(super) fn shuffled(players: usize, seed: u64) -> Vec<usize> {
    Random::stream(seed, 9).permutation(players)
}
