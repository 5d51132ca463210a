//! Which blocks each method removes, and what is left.

use super::concepts::{Concept, PAPER, Predicted, shuffled};
use super::config::Config;
use super::game::Layers;
use crate::theory::StudyError;
use secateur_prune::layer_game::{Mask, decide, masks};
use secateur_theory::game::{Game, Table};
use serde::{Deserialize, Serialize};
use std::cell::Cell;

/// A method, and what it chose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// Masks that it measures before it chooses, those that others measure too included.
    pub masks: usize,
    /// By seed, where it depends on seeds, and by number of removed blocks; none where it is not known.
    pub choices: Vec<Vec<Option<Choice>>>,
}

/// Removed blocks, and what is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The removed blocks.
    pub removed: Vec<usize>,
    /// Perplexity on the sequences that masks are measured on; none where it is not finite.
    pub measured: Option<f64>,
    /// Perplexity on held-out text; none where it is not finite.
    pub held_out: Option<f64>,
    /// How many sets of as many blocks leave a lower perplexity on the measured sequences, where all are measured.
    pub better: Option<usize>,
}

/// A method's masks, by seed and by number of removed blocks.
struct Chosen {
    name: String,
    masks: usize,
    draws: Vec<Vec<Option<Mask>>>,
}

/// Numbers of removed blocks of which all sets are measured.
pub(super) fn enumerated(config: &Config, players: usize, table: Option<&Table>) -> Vec<usize> {
    let few = |count: &&usize| masks::choose(players, **count) <= config.limits.subsets as u128;
    config.removed.iter().filter(|count| table.is_some() || few(count)).copied().collect()
}

/// What every method chooses, and what is left.
pub(super) fn methods(
    config: &Config,
    game: &Layers<'_>,
    held_out: &Layers<'_>,
    players: &[usize],
    concepts: &[Concept],
    predicted: &[Predicted],
    enumerated: &[usize],
) -> Result<Vec<Method>, StudyError> {
    let n = game.players();
    let ascending = |values: &[f64]| -> Vec<Option<Mask>> {
        config.removed.iter().map(|count| Some(decide::ascending(values, *count))).collect()
    };
    let mut all = vec![paper(config, predicted), searched(config, predicted, n)];
    for concept in concepts.iter().filter(|concept| concept.name != PAPER) {
        let draws = vec![ascending(&concept.values)];
        all.push(Chosen { name: concept.name.clone(), masks: concept.masks, draws });
    }
    all.push(greedy(config, game)?);
    let random = config.seeds.iter().map(|seed| {
        let order = shuffled(n, *seed);
        config.removed.iter().map(|count| Some(Mask::all_but(n, &order[..*count]))).collect()
    });
    all.push(Chosen { name: "random".to_owned(), masks: 0, draws: random.collect() });
    all.push(best(config, game, enumerated)?);
    let sets: Vec<Mask> = all.iter().flat_map(|chosen| chosen.draws.iter().flatten().flatten().copied()).collect();
    game.nlls(&sets)?;
    held_out.nlls(&sets)?;
    let left = |mask: Mask| -> Result<Choice, StudyError> {
        let perplexity = |game: &Layers<'_>| Ok::<_, StudyError>(game.nlls(&[mask])?[0].map(f64::exp));
        let removed = mask.removed(n);
        let better = if enumerated.contains(&removed.len()) { Some(better(game, mask)?) } else { None };
        let (measured, held_out) = (perplexity(game)?, perplexity(held_out)?);
        Ok(Choice { removed: removed.into_iter().map(|player| players[player]).collect(), measured, held_out, better })
    };
    let method = |Chosen { name, masks, draws }: Chosen| {
        let draw = |draw: Vec<Option<Mask>>| draw.into_iter().map(|mask| mask.map(left).transpose()).collect();
        let choices = draws.into_iter().map(draw).collect::<Result<Vec<Vec<_>>, StudyError>>()?;
        Ok(Method { name, masks, choices })
    };
    all.into_iter().map(method).collect()
}

/// How many sets of the same size leave a lower perplexity.
fn better(game: &Layers<'_>, mask: Mask) -> Result<usize, StudyError> {
    let all: Vec<Mask> = masks::every(game.players(), mask.size()).collect();
    let mine = game.nlls(&[mask])?[0].unwrap_or(f64::INFINITY);
    Ok(game.nlls(&all)?.into_iter().flatten().filter(|nll| *nll < mine).count())
}

/// Blocks of least value in the paper's estimate, by seed.
fn paper(config: &Config, predicted: &[Predicted]) -> Chosen {
    let draw = |predicted: &Predicted| {
        let values = &predicted.concept.values;
        config.removed.iter().map(|count| Some(decide::ascending(values, *count))).collect()
    };
    let masks = predicted.iter().map(|predicted| predicted.concept.masks).max().unwrap_or(0);
    Chosen { name: format!("{PAPER}, ascending"), masks, draws: predicted.iter().map(draw).collect() }
}

/// The sets of greatest prediction that exchanges find, from the paper's choice and at random.
fn searched(config: &Config, predicted: &[Predicted], players: usize) -> Chosen {
    let draw = |Predicted { seed, fitted, concept }: &Predicted| {
        let value = |mask| fitted.surrogate.value(mask);
        let find = |count: &usize| {
            let first = decide::ascending(&concept.values, *count);
            Some(decide::swap_search(&value, players, first, config.limits.restarts, *seed).mask)
        };
        config.removed.iter().map(find).collect()
    };
    let masks = predicted.iter().map(|predicted| predicted.concept.masks).max().unwrap_or(0);
    Chosen { name: format!("{PAPER}, search"), masks, draws: predicted.iter().map(draw).collect() }
}

/// One block after the other, each the one whose removal leaves the lowest perplexity.
fn greedy(config: &Config, game: &Layers<'_>) -> Result<Chosen, StudyError> {
    let (n, asked) = (game.players(), Cell::new(0));
    let scores = |candidates: &[Mask]| {
        asked.set(asked.get() + candidates.len());
        game.scores(candidates)
    };
    let most = config.removed.iter().copied().max().unwrap_or(0);
    let order: Vec<usize> = decide::greedy(scores, n, most)?.into_iter().map(|(player, _)| player).collect();
    let after = |count: &usize| order.get(..*count).map(|removed| Mask::all_but(n, removed));
    let draws = vec![config.removed.iter().map(after).collect()];
    Ok(Chosen { name: "SLEB".to_owned(), masks: asked.get(), draws })
}

/// The truly best sets, where all are measured.
fn best(config: &Config, game: &Layers<'_>, enumerated: &[usize]) -> Result<Chosen, StudyError> {
    let (n, mut asked) = (game.players(), 0);
    let mut draw = Vec::new();
    for count in &config.removed {
        if !enumerated.contains(count) {
            draw.push(None);
            continue;
        }
        let sets: Vec<Mask> = masks::every(n, n - count).collect();
        asked += sets.len();
        let scores = game.scores(&sets)?;
        let score = |mask: Mask| scores[sets.binary_search(&mask).expect("sets are in order")];
        draw.push(decide::best(&score, n, n - count).map(|(mask, _)| mask));
    }
    Ok(Chosen { name: "best of all sets".to_owned(), masks: asked, draws: vec![draw] })
}
