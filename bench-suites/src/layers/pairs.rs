//! What pairs of blocks lose, beside what each loses alone.

use super::config::Config;
use super::game::Layers;
use crate::theory::StudyError;
use secateur_prune::layer_game::{Mask, masks};
use secateur_theory::game::Game;
use serde::{Deserialize, Serialize};

/// Losses $1 - s$ without one block, and without two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    /// Without each block that may go.
    pub alone: Vec<f64>,
    /// Without two: a row and a column for each block, what it loses alone on the diagonal.
    pub together: Vec<f64>,
    /// The two blocks that lose least alone, and what they lose together.
    pub least_alone: ([usize; 2], f64),
    /// The two that lose least together.
    pub least_together: ([usize; 2], f64),
}

impl Pairs {
    /// Measures all pairs, where there are not too many; nothing where one was dropped.
    pub(super) fn measure(config: &Config, game: &Layers<'_>, players: &[usize]) -> Result<Option<Self>, StudyError> {
        let n = game.players();
        if masks::choose(n, 2) > config.limits.subsets as u128 {
            return Ok(None);
        }
        let whole = Mask::full(n);
        let mask = |place: usize| whole.without(place / n).without(place % n);
        let sets: Vec<Mask> = (0..n * n).map(mask).collect();
        let Some(scores) = game.scores(&sets)?.into_iter().collect::<Option<Vec<f64>>>() else { return Ok(None) };
        let together: Vec<f64> = scores.into_iter().map(|score| 1.0 - score).collect();
        let alone: Vec<f64> = (0..n).map(|player| together[player * (n + 1)]).collect();
        let pairs = (0..n).flat_map(|a| (a + 1..n).map(move |b| [a, b]));
        let least = |loss: &dyn Fn([usize; 2]) -> f64| pairs.clone().min_by(|a, b| loss(*a).total_cmp(&loss(*b)));
        let of = |[a, b]: [usize; 2]| together[a * n + b];
        let named = |pair: Option<[usize; 2]>| pair.map(|pair| (pair.map(|player| players[player]), of(pair)));
        let least_alone = named(least(&|[a, b]| alone[a] + alone[b]));
        let (Some(least_alone), Some(least_together)) = (least_alone, named(least(&of))) else { return Ok(None) };
        Ok(Some(Self { alone, together, least_alone, least_together }))
    }
}
