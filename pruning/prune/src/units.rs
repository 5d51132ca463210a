//! Budgets over units: neurons, channels, heads, blocks.

use crate::budget::{Allocation, Budget, Scope, Selection, count, keep_largest};
use crate::error::PruneError;
use crate::saliency::{Pool, Saliency};
use crate::structured::{Block, Kind, Structure, Unit, blocks, structure};
use crate::weights::Weight;
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use std::collections::BTreeMap;

/// Masks that remove the units which score least.
pub(crate) fn select(
    budget: &Budget,
    graph: &Graph,
    weights: &[Weight],
    saliency: &Saliency,
    earlier: Option<&Masks>,
) -> Result<Selection, PruneError> {
    if budget.scope == Scope::Block {
        let blocks = blocks(graph)?;
        if blocks.is_empty() {
            let reason = "no sum adds a branch with weights to the branch's own input".to_owned();
            return Err(PruneError::NoUnits { scope: "block", reason });
        }
        let scores: Vec<f64> = blocks.iter().map(|b| restricted(block_score(b, saliency), gone(b, earlier))).collect();
        let kept = keep_largest(&scores, count(budget.density(), blocks.len()));
        let removed = blocks.iter().zip(&kept).filter(|(_, keep)| !**keep).map(|(block, _)| block);
        let masks = Block::masks(graph, removed);
        // That is what the scope means: whole layers go, and the report names them.
        return Budget { keep_layers: false, ..*budget }.selection(weights, masks);
    }
    let structure = structure(graph)?;
    let candidates = candidates(&structure, budget.scope)?;
    let scores: Vec<f64> = candidates
        .iter()
        .map(|u| {
            let unit = &structure.units[*u];
            let removed = earlier.is_some_and(|masks| is_masked(unit, masks));
            restricted(unit_score(unit, saliency), removed)
        })
        .collect();
    let scores = if saliency.pool == Pool::Mean { relative(&structure, &candidates, scores) } else { scores };
    let kept = choose(budget, &structure, &candidates, &scores);
    let removed = candidates.iter().zip(&kept).filter(|(_, keep)| !**keep).map(|(unit, _)| *unit);
    budget.selection(weights, structure.masks(graph, removed))
}

/// The units of a scope.
pub(crate) fn candidates(structure: &Structure, scope: Scope) -> Result<Vec<usize>, PruneError> {
    let (kind, scope) = match scope {
        Scope::Channel => (Kind::Channel, "channel"),
        Scope::Head => (Kind::Head, "head"),
        _ => (Kind::Neuron, "neuron"),
    };
    let found: Vec<usize> = (0..structure.units.len()).filter(|u| structure.units[*u].kind == kind).collect();
    if found.is_empty() {
        return Err(PruneError::NoUnits { scope, reason: structure.obstacles() });
    }
    Ok(found)
}

/// Which candidates stay.
pub(crate) fn choose(budget: &Budget, structure: &Structure, candidates: &[usize], scores: &[f64]) -> Vec<bool> {
    let mut bundles: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, unit) in candidates.iter().enumerate() {
        bundles.entry(structure.units[*unit].bundle).or_default().push(place);
    }
    let best =
        |places: &Vec<usize>| places.iter().copied().reduce(|best, p| if scores[p] > scores[best] { p } else { best });
    if budget.allocation == Allocation::Uniform {
        let mut kept = vec![false; candidates.len()];
        for places in bundles.values() {
            let least = usize::from(budget.keep_layers);
            let share = count(budget.density(), places.len()).max(least);
            let own: Vec<f64> = places.iter().map(|p| scores[*p]).collect();
            places.iter().zip(keep_largest(&own, share)).for_each(|(p, keep)| kept[*p] = keep);
        }
        return kept;
    }
    // The best of each layer comes first where every layer has to stay.
    let mut ranks = scores.to_vec();
    if budget.keep_layers {
        bundles.values().filter_map(best).for_each(|p| ranks[p] = f64::INFINITY);
    }
    let least = if budget.keep_layers { bundles.len() } else { 0 };
    keep_largest(&ranks, count(budget.density(), candidates.len()).max(least))
}

fn restricted(score: f64, gone: bool) -> f64 {
    if gone { f64::NEG_INFINITY } else { score }
}

/// Scores over the mean of those of their bundle that are still there.
fn relative(structure: &Structure, candidates: &[usize], scores: Vec<f64>) -> Vec<f64> {
    let mut sums = vec![(0.0, 0usize); structure.bundles];
    for (unit, score) in candidates.iter().zip(&scores).filter(|(_, score)| score.is_finite()) {
        let (sum, count) = &mut sums[structure.units[*unit].bundle];
        (*sum, *count) = (*sum + score, *count + 1);
    }
    let one = |(unit, score): (&usize, f64)| {
        let (sum, count) = sums[structure.units[*unit].bundle];
        // A bundle of zeros stays one of zeros.
        if sum > 0.0 { score * count as f64 / sum } else { score }
    };
    candidates.iter().zip(scores).map(one).collect()
}

/// The score of a unit from those of its weights.
pub(crate) fn unit_score(unit: &Unit, saliency: &Saliency) -> f64 {
    let parts = unit.parts.iter().filter(|part| part.weight);
    let scores = parts.flat_map(|part| {
        let scores = &saliency.scores[&part.constant];
        part.positions(scores.shape()).into_iter().map(|p| scores.data()[p])
    });
    pooled(saliency.pool, scores)
}

fn pooled(pool: Pool, mut scores: impl Iterator<Item = f64>) -> f64 {
    match pool {
        Pool::First => scores.next().unwrap_or(0.0),
        Pool::Sum => scores.sum(),
        Pool::Mean => {
            let (sum, count) = scores.fold((0.0, 0usize), |(sum, n), s| (sum + s, n + 1));
            sum / count.max(1) as f64
        }
    }
}

fn is_masked(unit: &Unit, masks: &Masks) -> bool {
    unit.parts.iter().filter(|part| part.weight).all(|part| {
        masks.get(&part.constant).is_some_and(|mask| part.positions(mask.shape()).iter().all(|p| !mask.data()[*p]))
    })
}

fn block_score(block: &Block, saliency: &Saliency) -> f64 {
    pooled(saliency.pool, block.weights.iter().flat_map(|name| saliency.scores[name].data()).copied())
}

fn gone(block: &Block, earlier: Option<&Masks>) -> bool {
    let empty = |name: &String| {
        earlier.and_then(|masks| masks.get(name)).is_some_and(|mask| mask.data().iter().all(|keep| !keep))
    };
    block.weights.iter().all(empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saliency::{Criterion, Magnitude, RandomScores};
    use crate::testing::mlp;

    fn neurons(saliency: &Saliency, graph: &Graph) -> Vec<usize> {
        let budget = Budget { scope: Scope::Neuron, allocation: Allocation::Global, sparsity: 0.5, keep_layers: false };
        let masks = budget.masks(graph, saliency, None).unwrap().masks;
        let removed = |name: &str| masks.get(name).map_or(0, |m| m.data().iter().filter(|keep| !**keep).count());
        vec![removed("b0"), removed("b1")]
    }

    #[test]
    fn sizes_compare_within_layers_of_different_scale() {
        let graph = mlp(&[3, 20, 20, 2], 1);
        let mut scores = Magnitude.score(&graph, None).unwrap();
        let even = neurons(&scores, &graph);
        // The layer's own weights a thousand times smaller, and the layer is not lost.
        scores.scores.get_mut("w0").unwrap().data_mut().iter_mut().for_each(|s| *s *= 1e-3);
        let small = neurons(&scores, &graph);
        assert_eq!((even.iter().sum::<usize>(), small.iter().sum::<usize>()), (20, 20));
        assert!(small[0] > 5 && small[0] < 15, "{even:?} {small:?}");
    }

    #[test]
    fn random_units_are_random_in_layers_of_any_width() {
        let graph = mlp(&[200, 20, 20, 2], 1);
        let removed: Vec<usize> =
            (0..40).map(|seed| neurons(&RandomScores { seed }.score(&graph, None).unwrap(), &graph)[0]).collect();
        let mean = removed.iter().sum::<usize>() as f64 / 40.0;
        // Hypergeometric with deviation 1.6: the mean of 40 has 0.25.
        assert!((mean - 10.0).abs() < 1.0, "{mean}");
        assert!(removed.iter().any(|r| *r > 11) && removed.iter().any(|r| *r < 9), "{removed:?}");
    }
}
