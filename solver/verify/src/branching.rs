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
//! | both (the default) | the same candidates; the greatest sum of both children's bounds, each counted up to the goal |
//!
//! What lies below a split is the work of both children. On image networks the sum takes a half to two thirds of the
//! subproblems that the lesser child takes; there are small networks where it takes more (`ARCHITECTURE.md`).
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
use crate::search::Hint;
use crate::settings::Branching;
use secateur_linalg::Scalar;

/// Where to split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Activation layer and index.
    pub neuron: (u32, u32),
    /// The sign of the child to take up first: that of the best point where one guides the choice.
    pub first: bool,
}

/// For each undecided subproblem the neuron to split, or `None` where every ReLU is fixed.
pub fn choose<T: Scalar>(
    problem: &ReluSplitting<'_, T>,
    bounds: &Bounds<T>,
    found: &Optimised<T>,
    undecided: &[usize],
    hint: &Hint<'_>,
) -> Vec<Option<Choice>> {
    if undecided.is_empty() {
        return Vec::new();
    }
    let plain = |neuron: (u32, u32)| Choice { neuron, first: false };
    let candidates = candidates(problem, bounds, found, undecided);
    if problem.params.branching == Branching::Babsr {
        return candidates.into_iter().map(|c| c.first().copied().map(plain)).collect();
    }
    let alignment = match problem.params.branching {
        Branching::Aligned => Alignment::new(problem, hint),
        _ => None,
    };
    let children = bound_children(problem, bounds, found, undecided, &candidates, alignment.as_ref(), hint.goal);
    let mut children = children.into_iter();
    let mut best_of = |list: Vec<(u32, u32)>| {
        let scored = list.into_iter().map(|c| (c, children.next().unwrap_or(f64::NEG_INFINITY)));
        let mut best: Option<((u32, u32), f64)> = None;
        for (neuron, score) in scored {
            if best.is_none_or(|(_, b)| score > b) {
                best = Some((neuron, score));
            }
        }
        best.map(|(neuron, _)| Choice { neuron, first: alignment.as_ref().is_some_and(|a| a.active(neuron)) })
    };
    candidates.into_iter().map(&mut best_of).collect()
}

/// Agreement with the activation pattern of the best point.
///
/// $$ s_a(C) = s(C) + \lambda\,(u - \ell)\, m(C), $$
/// with $s$ the child's bound, $u - \ell$ the gap of its parent, and $m$ the share of the parent's open ReLUs
/// whose sign at the minimiser of the child's bound is that of the best point. $\lambda$ is halved for every
/// [`PATIENCE`] rounds in which $u$ has not moved.
struct Alignment {
    /// Values of every layer at the best point.
    signs: Vec<Vec<bool>>,
    weight: f64,
    upper: f64,
}

/// Rounds without a better point after which $\lambda$ is halved.
const PATIENCE: u32 = 16;

impl Alignment {
    fn new<T: Scalar>(problem: &ReluSplitting<'_, T>, hint: &Hint<'_>) -> Option<Self> {
        let best = hint.incumbent.filter(|best| best.region == problem.region_index)?;
        let input: Vec<T> = best.input.iter().map(|v| T::from_f64(*v)).collect();
        let signs = signs(problem, &problem.network.evaluate(&input, 1), 0);
        let weight = problem.params.alignment * 0.5f64.powi((hint.stale / PATIENCE).min(1000) as i32);
        Some(Self { signs, weight, upper: best.margin })
    }

    fn active(&self, (layer, neuron): (u32, u32)) -> bool {
        self.signs[layer as usize][neuron as usize]
    }

    /// The share of the open neurons on which a pattern agrees.
    fn share(&self, open: &[(u32, u32)], pattern: &[Vec<bool>]) -> f64 {
        let agree = open.iter().filter(|(k, j)| pattern[*k as usize][*j as usize] == self.active((*k, *j)));
        agree.count() as f64 / open.len().max(1) as f64
    }
}

/// For every activation layer, which inputs are positive at point `index` of a batch.
fn signs<T: Scalar>(problem: &ReluSplitting<'_, T>, values: &[Vec<T>], index: usize) -> Vec<Vec<bool>> {
    let mut signs = vec![Vec::new(); problem.network.layers.len()];
    for (k, source, _) in problem.network.activations() {
        let size = problem.network.layers[k].size;
        signs[k] = values[source][index * size..(index + 1) * size].iter().map(|z| *z > T::ZERO).collect();
    }
    signs
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
        if matches!(problem.params.branching, Branching::Kfsb | Branching::Auto | Branching::Aligned) {
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
    let order = |(a, i): &(f64, (u32, u32)), (b, j): &(f64, (u32, u32))| b.total_cmp(a).then(i.cmp(j));
    if count < scored.len() {
        scored.select_nth_unstable_by(count, order);
        scored.truncate(count);
    }
    scored.sort_by(order);
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
pub(crate) fn rows<T: Scalar>(problem: &ReluSplitting<'_, T>, domain: &[u32], of: &[usize]) -> Rows<T> {
    let each = problem.objectives.len();
    let pairs: Vec<_> = domain.iter().zip(of).map(|(d, r)| (*d, &problem.objectives[r % each])).collect();
    crate::specification::rows(problem.network, &problem.root.magnitudes, &pairs)
}

/// The slopes and multipliers of the given rows of `found`, renumbered.
#[allow(clippy::type_complexity)]
pub(crate) fn multipliers<T: Scalar>(
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

/// For each candidate in order: the score of its two children, bound without ascent.
fn bound_children<T: Scalar>(
    problem: &ReluSplitting<'_, T>,
    bounds: &Bounds<T>,
    found: &Optimised<T>,
    undecided: &[usize],
    candidates: &[Vec<(u32, u32)>],
    alignment: Option<&Alignment>,
    goal: f64,
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
    let below = bounds.gather(problem.network, &picks);
    let rows = rows(problem, &(0..children.len() as u32).collect::<Vec<_>>(), &of);
    let (alpha, beta) = multipliers(problem, found, &of);
    let multipliers = Multipliers { alpha: &alpha, beta: &beta };
    let rows = back_substitute(problem.network, &problem.root.magnitudes, &below.lines, rows, multipliers, false);
    let set = problem.region.set();
    let mut scores: Vec<f64> = (0..children.len()).map(|r| rows.minimum(r, set).to_f64()).collect();
    if let Some(alignment) = alignment.filter(|a| a.weight > 0.0) {
        let n = problem.network.inputs();
        let mut points = vec![T::ZERO; children.len() * n];
        points.chunks_exact_mut(n).enumerate().for_each(|(r, x)| rows.minimiser(r, set, x));
        let values = problem.network.evaluate(&points, children.len());
        for (r, (d, [split])) in children.iter().enumerate() {
            let mut pattern = signs(problem, &values, r);
            pattern[split.layer as usize][split.neuron as usize] = split.active;
            let gap = alignment.upper - found.minimum[of[r]].to_f64();
            scores[r] += alignment.weight * gap * alignment.share(&open(problem, bounds, *d), &pattern);
        }
    }
    let score = |pair: &[f64]| match problem.params.branching {
        // A child above the goal is closed: what it has more than that is worth nothing.
        Branching::Auto => pair[0].min(goal) + pair[1].min(goal),
        _ => pair[0].min(pair[1]),
    };
    scores.chunks_exact(2).map(score).collect()
}

/// The open ReLUs of subproblem `d`.
fn open<T: Scalar>(problem: &ReluSplitting<'_, T>, bounds: &Bounds<T>, d: usize) -> Vec<(u32, u32)> {
    let sources = problem.network.sources();
    let is_open = |(k, j): &(u32, u32)| {
        let source = sources[*k as usize];
        let at = d * problem.network.layers[source].size + *j as usize;
        bounds.lower[source][at] < T::ZERO && bounds.upper[source][at] > T::ZERO
    };
    problem.root.open.iter().copied().filter(is_open).collect()
}
