//! Slopes that a device proposes, and the bounds that the processor computes with them.
//!
//! The ascent on a device replaces the steps of [`alpha::optimise`] by two back-substitutions of its own kind: one with the
//! slopes at the start and one with those proposed. Of both bounds, row by row, the better one stands.
//!
//! # Soundness
//! A device only proposes. Where a slope is no number in $[0, 1]$, or a multiplier no number $\ge 0$, the proposal is refused
//! and the device is not asked again; else the bound is computed with error terms from whatever slopes these are, and any
//! such slopes are sound. A device that is wrong, or lies, costs bounds.

use crate::alpha::{self, Optimised, Params, Slopes, Split};
use crate::bounds::{Bounds, Boxes};
use crate::crown::{InputBound, Rows};
use crate::network::Network;
use crate::rounding::Magnitudes;
use rayon::prelude::*;
use secateur_linalg::Scalar;
use std::any::Any;
use std::ops::Range;

/// Rows that go through one back-substitution on the processor.
const ROWS_AT_ONCE: usize = 128;

/// What a device is asked for: slopes and multipliers that raise these rows.
pub struct Task<'a> {
    /// Bounds and lines of every layer.
    pub bounds: &'a Bounds<f32>,
    /// The boxes of the subproblems.
    pub boxes: &'a Boxes<f32>,
    /// The rows.
    pub rows: &'a Rows<f32>,
    /// The splits of each subproblem.
    pub splits: &'a [&'a [Split]],
    /// Where to start.
    pub slopes: &'a Slopes<f32>,
    /// The ascent.
    pub params: Params,
    /// By how much each row's minimum falls short of the device's for its error term.
    pub margin: Vec<f32>,
    /// Whether a row is done with that minimum.
    pub done: &'a dyn Fn(usize, f32) -> bool,
}

impl Task<'_> {
    /// Whether a row is done where a device finds this minimum.
    pub fn is_done(&self, row: usize, minimum: f32) -> bool {
        (self.done)(row, minimum - self.margin[row])
    }

    /// Whether all subproblems have the same box.
    pub fn one_box(&self) -> bool {
        let n = self.boxes.lower.len() / self.boxes.batch.max(1);
        let same = |side: &[f32]| side.chunks_exact(n.max(1)).all(|corner| corner == &side[..n]);
        same(&self.boxes.lower) && same(&self.boxes.upper)
    }

    /// The start of some rows, which then are the first.
    pub fn start_of(&self, range: &Range<usize>) -> Slopes<f32> {
        self.slopes.part(self.rows.len(), range)
    }

    /// The multipliers of splits in layer `k` of some rows, which then are the first; and the splits' signs.
    pub fn splits_of(&self, k: usize, range: &Range<usize>) -> (Vec<(u32, u32, f32)>, Vec<f32>) {
        let mut signs = Vec::new();
        for d in &self.rows.domain[range.clone()] {
            let splits = self.splits.get(*d as usize).copied().unwrap_or_default();
            let here = splits.iter().filter(|split| split.layer as usize == k);
            signs.extend(here.map(|split| if split.active { 1.0 } else { -1.0 }));
        }
        (entries(&self.slopes.beta[k], range), signs)
    }
}

/// The ascent with slopes from the network's device; `None` where it has none, or none that takes these rows.
///
/// # Soundness
/// See above: every bound that is returned was computed by [`crate::crown::back_substitute`].
#[allow(clippy::too_many_arguments)]
pub fn optimise<T: Scalar>(
    network: &Network<T>,
    magnitudes: &Magnitudes<T>,
    bounds: &Bounds<T>,
    boxes: &Boxes<T>,
    rows: &Rows<T>,
    splits: &[&[Split]],
    slopes: &Slopes<T>,
    params: Params,
    done: &dyn Fn(usize, T) -> bool,
) -> Option<Optimised<T>> {
    let single = same::<_, Network<f32>>(network)?;
    let task = |margin: Vec<f32>, done| {
        let (bounds, boxes) = (same::<_, Bounds<f32>>(bounds)?, same::<_, Boxes<f32>>(boxes)?);
        let (rows, slopes) = (same::<_, Rows<f32>>(rows)?, same::<_, Slopes<f32>>(slopes)?);
        Some(Task { bounds, boxes, rows, splits, slopes, params, margin, done })
    };
    let taken = params.steps > 0 && !rows.is_empty() && single.is_proposed_for(rows.len());
    if !taken || boxes.balls.iter().any(Option::is_some) || !fits(network, rows, splits, slopes) {
        return None;
    }
    let bounded = |slopes: &Slopes<T>| bounded(network, magnitudes, bounds, boxes, rows, splits, slopes, params);
    let mut found = bounded(slopes);
    if found.minimum.iter().enumerate().all(|(r, m)| done(r, *m)) {
        return Some(found);
    }
    let margin = found.best.error.iter().map(|e| 1.5 * e.to_f64() as f32).collect();
    let single_done = |r: usize, m: f32| done(r, T::from_f32(m));
    let task = task(margin, &single_done as &dyn Fn(usize, f32) -> bool)?;
    let Some(proposed) = checked(single.proposed(&task)?, &task) else {
        single.distrust();
        return None;
    };
    let better = bounded(same::<_, Slopes<T>>(&proposed)?);
    let raised: Vec<usize> = (0..rows.len()).collect();
    found.keep_better(network, &raised, &better.minimum, &better.best, &better.slopes);
    Some(found)
}

/// The value as what it is.
fn same<A: Any, B: Any>(value: &A) -> Option<&B> {
    (value as &dyn Any).downcast_ref()
}

/// Whether there are slopes for every ReLU that the rows reach, and a multiplier for every split.
fn fits<T: Scalar>(network: &Network<T>, rows: &Rows<T>, splits: &[&[Split]], slopes: &Slopes<T>) -> bool {
    let highest = rows.coefficients.iter().rposition(Option::is_some).unwrap_or(0);
    let slopes_fit = |k: usize| k > highest || slopes.alpha[k].len() == rows.len() * network.layers[k].size;
    let listed: usize = slopes.beta.iter().map(Vec::len).sum();
    let of = |d: &u32| splits.get(*d as usize).map_or(0, |splits| splits.len());
    network.activations().all(|(k, _, _)| slopes_fit(k)) && listed == rows.domain.iter().map(of).sum::<usize>()
}

/// The proposal, with as many bits as the ascent's own; `None` if it is not of the right shape or holds what is no slope or no
/// multiplier.
fn checked(mut proposed: Slopes<f32>, task: &Task<'_>) -> Option<Slopes<f32>> {
    let start = task.slopes;
    if proposed.alpha.len() != start.alpha.len() || proposed.beta.len() != start.beta.len() {
        return None;
    }
    let whole = 0..task.rows.len();
    for k in 0..start.alpha.len() {
        let (alpha, beta) = (&mut proposed.alpha[k], &mut proposed.beta[k]);
        if alpha.len() != start.alpha[k].len() || beta.len() != start.beta[k].len() {
            return None;
        }
        for (alpha, start) in alpha.iter_mut().zip(&start.alpha[k]) {
            if !(0.0..=1.0).contains(alpha) {
                return None;
            }
            *alpha = if alpha == start { *start } else { alpha::rounded_slope(*alpha) };
        }
        let (entries, signs) = task.splits_of(k, &whole);
        for ((beta, (r, j, start)), sign) in beta.iter_mut().zip(entries).zip(signs) {
            let size = beta.2 * sign;
            if !(size >= 0.0 && size.is_finite()) {
                return None;
            }
            *beta = (r, j, if beta.2 == start { start } else { sign * alpha::rounded_multiplier(size) });
        }
    }
    Some(proposed)
}

/// The bounds of the rows with these slopes, some rows at once.
#[allow(clippy::too_many_arguments)]
fn bounded<T: Scalar>(
    network: &Network<T>,
    magnitudes: &Magnitudes<T>,
    bounds: &Bounds<T>,
    boxes: &Boxes<T>,
    rows: &Rows<T>,
    splits: &[&[Split]],
    slopes: &Slopes<T>,
    params: Params,
) -> Optimised<T> {
    let count = rows.len();
    let starts: Vec<usize> = (0..count).step_by(ROWS_AT_ONCE).collect();
    let part = |first: &usize| {
        let range = *first..(first + ROWS_AT_ONCE).min(count);
        let chosen: Vec<usize> = range.clone().collect();
        let (rows, slopes) = (rows.select(&chosen), slopes.part(count, &range));
        let once = Params { steps: 0, ..params };
        alpha::optimise(network, magnitudes, bounds, boxes, &rows, splits, slopes, once, |_, _| false)
    };
    let parts: Vec<Optimised<T>> = starts.par_iter().map(part).collect();
    let layers = network.layers.len();
    let best = InputBound { coefficients: Vec::new(), constant: Vec::new(), error: Vec::new(), tape: Vec::new() };
    let mut all = Optimised { minimum: Vec::new(), best, slopes: slopes.clone(), tape: vec![Vec::new(); layers] };
    for part in parts {
        all.minimum.extend(part.minimum);
        all.best.coefficients.extend(part.best.coefficients);
        all.best.constant.extend(part.best.constant);
        all.best.error.extend(part.best.error);
        all.tape.iter_mut().zip(part.tape).for_each(|(all, part)| all.extend(part));
    }
    all
}

/// The multipliers of some rows, which then are the first.
fn entries<T: Copy>(beta: &[(u32, u32, T)], range: &Range<usize>) -> Vec<(u32, u32, T)> {
    let first = range.start as u32;
    let here = beta.iter().filter(|(r, _, _)| range.contains(&(*r as usize)));
    here.map(|(r, j, signed)| (r - first, *j, *signed)).collect()
}

impl<T: Scalar> Slopes<T> {
    /// The slopes and multipliers of some of so many rows, which then are the first.
    fn part(&self, rows: usize, range: &Range<usize>) -> Self {
        let alpha = |all: &Vec<T>| {
            let size = all.len() / rows.max(1);
            all[range.start * size..range.end * size].to_vec()
        };
        let beta = self.beta.iter().map(|all| entries(all, range));
        Self { alpha: self.alpha.iter().map(alpha).collect(), beta: beta.collect() }
    }
}
