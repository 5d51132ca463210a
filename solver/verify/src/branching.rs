//! Which ReLU to split next.
//!
//! With $A_j$ the coefficient of ReLU $j$'s output in the objective's bound, $\lambda = u / (u - l)$ and
//! $b_j$ the bias of its input:
//!
//! | rule | score |
//! |---|---|
//! | BaBSR | $\min\big(-A_j b_j \lambda,\; A_j b_j (1 - \lambda)\big) - \min(A_j, 0) (-\lambda l)$ |
//! | intercept | $-\min(A_j, 0) (-\lambda l)$ |
//! | FSB | the best by BaBSR; bound both children of each; the greatest lesser child |
//! | kFSB | the same over the best by either score |
//!
//! # Source
//! Bunel et al., *Branch and bound for piecewise linear neural network verification*, 2020; De Palma
//! et al., *Improved branch and bound for neural network verification via Lagrangian decomposition*,
//! 2021.

use crate::alpha::{Optimised, Split};
use crate::bounds::Bounds;
use crate::crown::{Multipliers, Rows, back_substitute};
use crate::network::Kind;
use crate::relu_split::ReluSplitting;
use crate::settings::Branching;
use secateur_linalg::Scalar;

/// For each undecided subproblem the neuron (activation layer, index) to split, or `None` where
/// every ReLU is fixed.
pub fn choose<T: Scalar>(
    problem: &ReluSplitting<'_, T>,
    bounds: &Bounds<T>,
    found: &Optimised<T>,
    undecided: &[usize],
) -> Vec<Option<(u32, u32)>> {
    if undecided.is_empty() {
        return Vec::new();
    }
    let candidates = candidates(problem, bounds, found, undecided);
    if problem.params.branching == Branching::Babsr {
        return candidates.into_iter().map(|c| c.first().copied()).collect();
    }
    let children = bound_children(problem, bounds, found, undecided, &candidates);
    let mut children = children.into_iter();
    let mut best_of = |list: Vec<(u32, u32)>| {
        let scored = list.into_iter().map(|c| (c, children.next().unwrap_or(f64::NEG_INFINITY)));
        let mut best: Option<((u32, u32), f64)> = None;
        for (neuron, score) in scored {
            if best.is_none_or(|(_, b)| score > b) {
                best = Some((neuron, score));
            }
        }
        best.map(|(neuron, _)| neuron)
    };
    candidates.into_iter().map(&mut best_of).collect()
}

/// The gap of the chord of a ReLU on $[l, u]$.
pub fn gap(l: f64, u: f64) -> f64 {
    if l < 0.0 && u > 0.0 { -l * u / (u - l) } else { 0.0 }
}

/// The best neurons by BaBSR and, for kFSB, by the intercept score.
fn candidates<T: Scalar>(
    problem: &ReluSplitting<'_, T>,
    bounds: &Bounds<T>,
    found: &Optimised<T>,
    undecided: &[usize],
) -> Vec<Vec<(u32, u32)>> {
    let strongest: Vec<usize> = undecided.iter().map(|d| problem.strongest(*d, found)).collect();
    let tape = tape(problem, bounds, found, undecided, &strongest);
    let network = problem.network;
    let sources = network.sources();
    let count = match problem.params.branching {
        Branching::Babsr => 1,
        _ => problem.params.candidates,
    };
    let mut lists = Vec::with_capacity(undecided.len());
    for (index, d) in undecided.iter().enumerate() {
        let (mut babsr, mut intercept) = (Vec::new(), Vec::new());
        for &(k, j) in &problem.root.open {
            let (layer, source) = (k as usize, sources[k as usize]);
            let size = network.layers[layer].size;
            let at = d * size + j as usize;
            let (l, u) = (bounds.lower[source][at].to_f64(), bounds.upper[source][at].to_f64());
            if !(l < 0.0 && u > 0.0) {
                continue;
            }
            let a = tape[layer].get(index * size + j as usize).map_or(0.0, |a| a.to_f64());
            let bias = match &network.layers[source].kind {
                Kind::Affine(affine) => affine.bias[j as usize].to_f64(),
                _ => 0.0,
            };
            let slope = u / (u - l);
            let gap = -a.min(0.0) * -slope * l;
            babsr.push(((-a * bias * slope).min(a * bias * (1.0 - slope)) + gap, (k, j)));
            intercept.push((gap, (k, j)));
        }
        let mut list = top(babsr, count);
        if problem.params.branching == Branching::Kfsb || problem.params.branching == Branching::Auto {
            for neuron in top(intercept, count) {
                if !list.contains(&neuron) {
                    list.push(neuron);
                }
            }
        }
        lists.push(list);
    }
    lists
}

fn top(mut scored: Vec<(f64, (u32, u32))>, count: usize) -> Vec<(u32, u32)> {
    // Ties go to the earlier neuron, so that the choice does not depend on the sort.
    scored.sort_by(|(a, i), (b, j)| b.total_cmp(a).then(i.cmp(j)));
    scored.truncate(count);
    scored.into_iter().map(|(_, neuron)| neuron).collect()
}

/// The coefficients $A$ of the strongest rows at every activation.
fn tape<T: Scalar>(
    problem: &ReluSplitting<'_, T>,
    bounds: &Bounds<T>,
    found: &Optimised<T>,
    undecided: &[usize],
    strongest: &[usize],
) -> Vec<Vec<T>> {
    let picks: Vec<(usize, &[Split])> = undecided.iter().map(|d| (*d, &[][..])).collect();
    let bounds = bounds.gather(problem.network, &picks);
    let rows = rows(problem, &(0..undecided.len() as u32).collect::<Vec<_>>(), strongest);
    let (alpha, beta) = multipliers(problem, found, strongest);
    let multipliers = Multipliers { alpha: &alpha, beta: &beta };
    back_substitute(problem.network, &problem.root.magnitudes, &bounds.lines, rows, multipliers, true).tape
}

/// Rows with the objectives of the given rows of `found`.
fn rows<T: Scalar>(problem: &ReluSplitting<'_, T>, domain: &[u32], of: &[usize]) -> Rows<T> {
    let each = problem.objectives.len();
    let pairs: Vec<_> = domain.iter().zip(of).map(|(d, r)| (*d, &problem.objectives[r % each])).collect();
    crate::specification::rows(problem.network, &problem.root.magnitudes, &pairs)
}

/// The slopes and multipliers of the given rows of `found`, renumbered.
#[allow(clippy::type_complexity)]
fn multipliers<T: Scalar>(
    problem: &ReluSplitting<'_, T>,
    found: &Optimised<T>,
    of: &[usize],
) -> (Vec<Vec<T>>, Vec<Vec<(u32, u32, T)>>) {
    let mut alpha = vec![Vec::new(); problem.network.layers.len()];
    let mut beta = vec![Vec::new(); problem.network.layers.len()];
    for (k, layer) in problem.network.layers.iter().enumerate() {
        let slopes = &found.slopes.alpha[k];
        if slopes.is_empty() {
            continue;
        }
        alpha[k] = of.iter().flat_map(|r| slopes[r * layer.size..(r + 1) * layer.size].iter().copied()).collect();
        let mut by_row: Vec<Vec<(u32, T)>> = vec![Vec::new(); found.minimum.len()];
        found.slopes.beta[k].iter().for_each(|(r, j, v)| by_row[*r as usize].push((*j, *v)));
        for (new, old) in of.iter().enumerate() {
            beta[k].extend(by_row[*old].iter().map(|(j, v)| (new as u32, *j, *v)));
        }
    }
    (alpha, beta)
}

/// For each candidate in order: the lesser bound of its two children, without ascent.
fn bound_children<T: Scalar>(
    problem: &ReluSplitting<'_, T>,
    bounds: &Bounds<T>,
    found: &Optimised<T>,
    undecided: &[usize],
    candidates: &[Vec<(u32, u32)>],
) -> Vec<f64> {
    let mut children: Vec<(usize, [Split; 1])> = Vec::new();
    let mut of = Vec::new();
    for (d, list) in undecided.iter().zip(candidates) {
        for &(layer, neuron) in list {
            for active in [false, true] {
                children.push((*d, [Split { layer, neuron, active }]));
                of.push(problem.strongest(*d, found));
            }
        }
    }
    if children.is_empty() {
        return Vec::new();
    }
    let picks: Vec<(usize, &[Split])> = children.iter().map(|(d, split)| (*d, &split[..])).collect();
    let bounds = bounds.gather(problem.network, &picks);
    let rows = rows(problem, &(0..children.len() as u32).collect::<Vec<_>>(), &of);
    let (alpha, beta) = multipliers(problem, found, &of);
    let multipliers = Multipliers { alpha: &alpha, beta: &beta };
    let found = back_substitute(problem.network, &problem.root.magnitudes, &bounds.lines, rows, multipliers, false);
    let bound = |r: usize| found.minimum(r, &problem.region.lower, &problem.region.upper).to_f64();
    (0..children.len() / 2).map(|c| bound(2 * c).min(bound(2 * c + 1))).collect()
}
