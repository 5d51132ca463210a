//! Refining: a small branch and bound of its own for every open pre-activation of a root.
//!
//! The bound of $\pm z_j$ over the box is the least of the bounds over a cover of it. Each of these rows
//! starts with one leaf; again and again its weakest leaf is split at the ReLU below whose chord costs
//! the leaf's bound most, $\max(-A, 0)\, \frac{-l u}{u - l}$, and the two halves are bounded by the ascent
//! on $\alpha$ and $\beta$. The splits serve this row alone, so a few dozen do for it what the search
//! for the property would need as many levels for, and every subproblem of that search inherits the
//! result.
//!
//! The leaves of many rows go through one back-substitution. Nothing here depends on the number of
//! threads.

use crate::alpha::{self, Optimised, Slopes, Split};
use crate::bounds::{Bounds, Boxes, Guide, Stop};
use crate::branching::gap;
use crate::crown::Rows;
use crate::network::{Function, Network};
use crate::proof::{self, Listing, Names};
use crate::rounding::Magnitudes;
use rayon::prelude::*;
use secateur_check::proof::format::{Cover, Entry, Slopes as Written};
use secateur_linalg::Scalar;
use std::collections::HashSet;
use std::sync::Arc;

/// Parameters of refining.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    /// Splits per row, at most.
    pub splits: usize,
    /// The ascent on every leaf.
    pub ascent: alpha::Params,
}

/// Rows refined side by side in one batch.
const ROWS_AT_ONCE: usize = 64;

/// What is refined: the entries of layer `k` that a guide lists.
///
/// # Shapes
/// One box; `bounds` holds the layers below `k`.
pub struct Problem<'a, T> {
    /// The network.
    pub network: &'a Network<T>,
    /// The box.
    pub boxes: &'a Boxes<T>,
    /// The magnitudes of the layers below.
    pub magnitudes: &'a Magnitudes<T>,
    /// Their bounds.
    pub bounds: &'a Bounds<T>,
    /// Good slopes for the entries.
    pub guide: &'a Guide<T>,
    /// The layer.
    pub k: usize,
    /// Parameters.
    pub params: Params,
    /// What proofs call its neurons.
    pub names: Names,
}

impl<T: Scalar> Problem<'_, T> {
    /// Tightens the bounds of the entries.
    ///
    /// # Soundness
    /// The two halves of a leaf cover it, and each bound holds on its own leaf.
    pub fn refine_all(&self, (lower, upper): (&mut [T], &mut [T]), stop: Stop<'_>, written: Option<&mut Vec<Entry>>) {
        let both = |(e, j): (usize, &u32)| [(2 * e, *j, T::ONE), (2 * e + 1, *j, -T::ONE)];
        let rows: Vec<Row<T>> = (self.guide.entries.iter().enumerate().flat_map(both))
            .map(|(guide, neuron, sign)| {
                let known = if sign > T::ZERO { lower[neuron as usize] } else { -upper[neuron as usize] };
                Row { guide, neuron, sign, known }
            })
            .collect();
        let cover = Covering { problem: self, open: self.open(), trace: written.is_some() };
        type Found<T> = Vec<(T, Option<Cover>)>;
        let found: Vec<Found<T>> =
            rows.par_chunks(self.network.together(ROWS_AT_ONCE)).map(|chunk| cover.refine(chunk, stop)).collect();
        let mut shown = Vec::new();
        for (row, (bound, cover)) in rows.iter().zip(found.into_iter().flatten()) {
            let j = row.neuron as usize;
            if let Some(cover) = cover.filter(|_| bound > row.known) {
                shown.push(Entry { neuron: row.neuron, upper: row.sign < T::ZERO, cover });
            }
            if row.sign > T::ZERO {
                lower[j] = bound.max(lower[j]);
            } else {
                upper[j] = (-bound).min(upper[j]);
            }
        }
        if let Some(written) = written {
            // What a cover shows was shown more weakly before.
            let better: HashSet<(u32, bool)> = shown.iter().map(|entry| (entry.neuron, entry.upper)).collect();
            written.retain(|entry| !better.contains(&(entry.neuron, entry.upper)));
            written.extend(shown);
        }
    }

    /// The open ReLUs below layer `k`.
    fn open(&self) -> Vec<Open> {
        let mut open = Vec::new();
        for (a, source, function) in self.network.activations().filter(|(a, _, _)| *a < self.k) {
            if function == Function::Relu {
                let (l, u) = (&self.bounds.lower[source], &self.bounds.upper[source]);
                let unknown = (0..l.len()).filter(|j| l[*j] < T::ZERO && u[*j] > T::ZERO);
                open.extend(unknown.map(|neuron| Open { layer: a, source, neuron }));
            }
        }
        open
    }
}

/// A ReLU whose sign is not known.
struct Open {
    layer: usize,
    source: usize,
    neuron: usize,
}

/// $\pm z_j$, to be bounded below.
struct Row<T> {
    /// Its row in the guide.
    guide: usize,
    neuron: u32,
    sign: T,
    /// The bound so far.
    known: T,
}

/// A part of the box, for one row.
struct Leaf<T> {
    row: usize,
    value: T,
    splits: Vec<Split>,
    /// The slopes of the open ReLUs below.
    alpha: Vec<T>,
    /// One multiplier per split.
    beta: Vec<T>,
    /// The ReLU to split next.
    next: Option<(u32, u32)>,
    /// Where the value was found, if it was on a part that holds this one; kept for the proof.
    ancestor: Option<Arc<Ancestor<T>>>,
}

/// How many splits a part had, and what bounded it.
struct Ancestor<T> {
    splits: usize,
    alpha: Vec<T>,
    beta: Vec<T>,
}

impl<T: Scalar> Leaf<T> {
    fn halves(self) -> [Self; 2] {
        let (layer, neuron) = self.next.expect("a leaf to halve has a ReLU to split");
        [false, true].map(|active| {
            let (mut splits, mut beta) = (self.splits.clone(), self.beta.clone());
            splits.push(Split { layer, neuron, active });
            beta.push(T::ZERO);
            let (alpha, ancestor) = (self.alpha.clone(), self.ancestor.clone());
            Self { row: self.row, value: self.value, splits, alpha, beta, next: None, ancestor }
        })
    }
}

/// Covers of a problem's rows in the making.
struct Covering<'a, T> {
    problem: &'a Problem<'a, T>,
    /// The open ReLUs below.
    open: Vec<Open>,
    /// Whether to keep what proves the bounds.
    trace: bool,
}

impl<T: Scalar> Covering<'_, T> {
    /// Lower bounds of some rows, and why they hold.
    fn refine(&self, rows: &[Row<T>], stop: Stop<'_>) -> Vec<(T, Option<Cover>)> {
        let roots = rows.iter().enumerate().map(|(r, row)| self.root(r, row)).collect();
        let once = alpha::Params { steps: 0, ..self.problem.params.ascent };
        let mut covers: Vec<Vec<Leaf<T>>> = self.bound(rows, roots, once).into_iter().map(|leaf| vec![leaf]).collect();
        for _ in 0..self.problem.params.splits {
            let mut halves = Vec::new();
            for cover in &mut covers {
                let weakest = weakest(cover);
                // An entry whose sign is known needs no tighter bound.
                if cover[weakest].value < T::ZERO && cover[weakest].next.is_some() {
                    halves.extend(cover.swap_remove(weakest).halves());
                }
            }
            if halves.is_empty() || stop() {
                // What was taken out to be halved still stands.
                halves.into_iter().for_each(|leaf| covers[leaf.row].push(leaf));
                break;
            }
            for leaf in self.bound(rows, halves, self.problem.params.ascent) {
                covers[leaf.row].push(leaf);
            }
        }
        let conclude = |cover: &Vec<Leaf<T>>| {
            let leaves: Vec<&Leaf<T>> = cover.iter().collect();
            (cover[weakest(cover)].value, self.trace.then(|| self.cover(&leaves, 0)))
        };
        covers.iter().map(conclude).collect()
    }

    /// The leaves below a part with so many splits, which they share.
    fn cover(&self, leaves: &[&Leaf<T>], depth: usize) -> Cover {
        if let Some(ancestor) = leaves.iter().filter_map(|leaf| leaf.ancestor.as_ref()).find(|a| a.splits == depth) {
            return Cover::Leaf(self.written(&leaves[0].splits[..depth], &ancestor.alpha, &ancestor.beta));
        }
        let first = leaves[0];
        let Some(split) = first.splits.get(depth) else {
            return Cover::Leaf(self.written(&first.splits, &first.alpha, &first.beta));
        };
        let (active, inactive): (Vec<&Leaf<T>>, Vec<&Leaf<T>>) =
            leaves.iter().partition(|leaf| leaf.splits[depth].active);
        let halves = Box::new([self.cover(&inactive, depth + 1), self.cover(&active, depth + 1)]);
        let (layer, neuron) = self.problem.names.entry(split.layer as usize, split.neuron as usize);
        Cover::Halves(layer, neuron, halves)
    }

    fn written(&self, splits: &[Split], alpha: &[T], beta: &[T]) -> Written {
        let mut listing = Listing::default();
        for (o, slope) in self.open.iter().zip(alpha) {
            let split = |s: &Split| s.layer as usize == o.layer && s.neuron as usize == o.neuron;
            if !splits.iter().any(split) {
                let of = |side: &[Vec<T>]| side[o.source][o.neuron].to_f64();
                let ends = (of(&self.problem.bounds.lower), of(&self.problem.bounds.upper));
                let above = self.problem.bounds.lines.upper_slope[o.layer][o.neuron];
                let slope = proof::slope(above, *slope);
                listing.push(self.problem.names.entry(o.layer, o.neuron), ends, slope.to_f64());
            }
        }
        listing.with(beta.iter().map(|b| b.to_f64()).collect())
    }

    fn size(&self, open: &Open) -> usize {
        self.problem.network.layers[open.layer].size
    }

    /// The whole box, with the slopes of the guide.
    fn root(&self, r: usize, row: &Row<T>) -> Leaf<T> {
        let guide = &self.problem.guide.alpha;
        let slope = |o: &Open| guide[o.layer][row.guide * self.size(o) + o.neuron];
        let alpha = self.open.iter().map(slope).collect();
        Leaf { row: r, value: row.known, splits: Vec::new(), alpha, beta: Vec::new(), next: None, ancestor: None }
    }

    /// Bounds leaves; none becomes weaker than it was.
    fn bound(&self, rows: &[Row<T>], leaves: Vec<Leaf<T>>, ascent: alpha::Params) -> Vec<Leaf<T>> {
        let count = leaves.len();
        let picks: Vec<(usize, &[Split])> = leaves.iter().map(|leaf| (0, leaf.splits.as_slice())).collect();
        let bounds = self.problem.bounds.gather(self.problem.network, &picks);
        let splits: Vec<&[Split]> = picks.iter().map(|(_, splits)| *splits).collect();
        let neuron = |(d, leaf): (usize, &Leaf<T>)| (d as u32, rows[leaf.row].neuron, rows[leaf.row].sign);
        let neurons: Vec<(u32, u32, T)> = leaves.iter().enumerate().map(neuron).collect();
        let units = Rows::units(self.problem.network, self.problem.magnitudes, self.problem.k, &neurons);
        let boxes = self.problem.boxes.repeat(count);
        let slopes = self.slopes(&leaves, &bounds, &units.domain, &splits);
        let done = |_: usize, m: T| m >= T::ZERO;
        let (network, magnitudes) = (self.problem.network, self.problem.magnitudes);
        let found = alpha::optimise(network, magnitudes, &bounds, &boxes, &units, &splits, slopes, ascent, done);
        let mut used = vec![0usize; network.layers.len()];
        let mut bounded = Vec::with_capacity(count);
        for (d, leaf) in leaves.into_iter().enumerate() {
            let mut beta = Vec::with_capacity(leaf.splits.len());
            for split in &leaf.splits {
                let layer = split.layer as usize;
                beta.push(found.slopes.beta[layer][used[layer]].2.abs());
                used[layer] += 1;
            }
            let slope = |o: &Open| found.slopes.alpha[o.layer][d * self.size(o) + o.neuron];
            let alpha = self.open.iter().map(slope).collect();
            let next = self.costliest(d, &bounds, &found);
            let inherited = self.trace && found.minimum[d] < leaf.value && !leaf.splits.is_empty();
            let ancestor = inherited.then(|| match &leaf.ancestor {
                Some(ancestor) => ancestor.clone(),
                None => {
                    let splits = leaf.splits.len() - 1;
                    Arc::new(Ancestor { splits, alpha: leaf.alpha.clone(), beta: leaf.beta[..splits].to_vec() })
                }
            });
            let value = found.minimum[d].max(leaf.value);
            bounded.push(Leaf { value, alpha, beta, next, ancestor, ..leaf });
        }
        bounded
    }

    /// The leaves' slopes and multipliers as those of a batch; split ReLUs have fixed lines.
    fn slopes(&self, leaves: &[Leaf<T>], bounds: &Bounds<T>, domain: &[u32], splits: &[&[Split]]) -> Slopes<T> {
        let mut slopes = Slopes::initial(self.problem.network, &bounds.lines, domain, splits);
        let mut used = vec![0usize; slopes.beta.len()];
        for (d, leaf) in leaves.iter().enumerate() {
            for (o, value) in self.open.iter().zip(&leaf.alpha) {
                slopes.alpha[o.layer][d * self.size(o) + o.neuron] = *value;
            }
            for (split, beta) in leaf.splits.iter().zip(&leaf.beta) {
                let layer = split.layer as usize;
                slopes.beta[layer][used[layer]].2 = if split.active { *beta } else { -*beta };
                used[layer] += 1;
            }
        }
        slopes
    }

    /// The open ReLU whose chord costs leaf `d` most.
    fn costliest(&self, d: usize, bounds: &Bounds<T>, found: &Optimised<T>) -> Option<(u32, u32)> {
        let mut costliest: Option<(f64, (u32, u32))> = None;
        for o in &self.open {
            let at = d * self.size(o) + o.neuron;
            let coefficient = found.tape[o.layer].get(at).map_or(0.0, |c| c.to_f64());
            let (l, u) = (bounds.lower[o.source][at].to_f64(), bounds.upper[o.source][at].to_f64());
            let cost = (-coefficient).max(0.0) * gap(l, u);
            if cost > 0.0 && costliest.is_none_or(|(most, _)| cost > most) {
                costliest = Some((cost, (o.layer as u32, o.neuron as u32)));
            }
        }
        costliest.map(|(_, neuron)| neuron)
    }
}

/// The leaf with the least bound.
fn weakest<T: Scalar>(cover: &[Leaf<T>]) -> usize {
    let value = |i: &usize| cover[*i].value.to_f64();
    (0..cover.len()).min_by(|a, b| value(a).total_cmp(&value(b))).expect("a cover has leaves")
}
