//! Budgets over units: neurons, channels, heads, blocks.

use crate::budget::{Allocation, Budget, Scope, Selection, count, keep_largest};
use crate::error::PruneError;
use crate::saliency::Saliency;
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

/// The mean score of a unit's weights.
pub(crate) fn unit_score(unit: &Unit, saliency: &Saliency) -> f64 {
    let (mut sum, mut entries) = (0.0, 0);
    for part in unit.parts.iter().filter(|part| part.weight) {
        let scores = &saliency.0[&part.constant];
        let positions = part.positions(scores.shape());
        entries += positions.len();
        sum += positions.into_iter().map(|p| scores.data()[p]).sum::<f64>();
    }
    sum / entries.max(1) as f64
}

fn is_masked(unit: &Unit, masks: &Masks) -> bool {
    unit.parts.iter().filter(|part| part.weight).all(|part| {
        masks.get(&part.constant).is_some_and(|mask| part.positions(mask.shape()).iter().all(|p| !mask.data()[*p]))
    })
}

fn block_score(block: &Block, saliency: &Saliency) -> f64 {
    let all = block.weights.iter().flat_map(|name| saliency.0[name].data());
    let (sum, entries) = all.fold((0.0, 0usize), |(sum, n), s| (sum + s, n + 1));
    sum / entries.max(1) as f64
}

fn gone(block: &Block, earlier: Option<&Masks>) -> bool {
    let empty = |name: &String| {
        earlier.and_then(|masks| masks.get(name)).is_some_and(|mask| mask.data().iter().all(|keep| !keep))
    };
    block.weights.iter().all(empty)
}
