//! Projected gradient descent: a quick search for an unsafe input.
//!
//! For a disjunct with objectives $g_i$ the loss is $\max_i g_i(x)$; a point with loss at most 0 is a
//! candidate. Starts are random in the box (the first at its centre), in later rounds near the best
//! points so far; steps follow the sign of the gradient, scaled by the box's widths, with a decreasing
//! step size. In a ball the steps go towards the least point of the linearised loss instead (Frank and Wolfe), so
//! that they never leave it. What an attack finds is only a candidate: [`crate::witness`] decides.
//!
//! # Source
//! Madry et al., *Towards deep learning models resistant to adversarial attacks*, 2018.

use crate::ball::Set;
use crate::network::Network;
use crate::specification::{Objective, Region};
use rayon::prelude::*;
use secateur_linalg::Scalar;
use secateur_linalg::random::Random;
use std::cmp::Ordering;

/// Parameters of an attack.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// Starting points per disjunct.
    pub restarts: usize,
    /// Steps from each.
    pub steps: usize,
    /// First step size, as a share of each width.
    pub rate: f64,
    /// Rounds; each after the first starts near what the one before found.
    pub rounds: usize,
    /// A margin below this is enough.
    pub enough: f64,
}

/// The best point of an attack.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// The point.
    pub input: Vec<T>,
    /// Its loss, in floating point.
    pub margin: T,
}

/// $\max_i g_i$ and the index where it is attained.
pub fn margin<T: Scalar>(disjunct: &[Objective<T>], x: &[T], y: &[T]) -> (T, usize) {
    let mut worst = (-T::INFINITY, 0);
    for (i, objective) in disjunct.iter().enumerate() {
        let value = objective.value(x, y);
        if value > worst.0 {
            worst = (value, i);
        }
    }
    worst
}

/// Points that are descended from together.
const TOGETHER: usize = 16;

/// Disjuncts that the rounds after the first keep to, and points of one that its next round starts near.
const KEPT: (usize, usize) = (3, 8);

/// How much nearer each round's starts lie to the best points so far.
const NARROWER: f64 = 0.4;

/// Descends from random points of the region's box, for each disjunct; then, for the most promising ones,
/// from around the best points of the round before. Returns the best point of all.
pub fn attack<T: Scalar>(network: &Network<T>, region: &Region<T>, params: Params, random: &mut Random) -> Found<T> {
    let count = params.restarts.max(1);
    let mut all: Vec<(usize, Vec<Found<T>>)> = Vec::with_capacity(region.disjuncts.len());
    for disjunct in 0..region.disjuncts.len() {
        let starts = (0..count).map(|r| {
            let share = |random: &mut Random| if r == 0 { 0.5 } else { random.unit() };
            let corners = region.lower.iter().zip(&region.upper);
            let start = corners.map(|(l, u)| (*l + (*u - *l) * T::from_f64(share(random))).max(*l).min(*u));
            pulled(region.set(), start.collect())
        });
        let found = descend_all(network, region, disjunct, starts.collect(), params);
        all.push((disjunct, found));
        if all.last().is_some_and(|(_, found)| found[0].margin.to_f64() < params.enough) {
            break;
        }
    }
    let order = |a: &(usize, Vec<Found<T>>), b: &(usize, Vec<Found<T>>)| a.1[0].by_margin(&b.1[0]).then(a.0.cmp(&b.0));
    all.sort_by(order);
    all.truncate(KEPT.0);
    for round in 1..params.rounds {
        if all[0].1[0].margin.to_f64() < params.enough {
            break;
        }
        let spread = T::from_f64(NARROWER.powi(round as i32));
        let params = Params { rate: params.rate * NARROWER.powi(round as i32), ..params };
        for (disjunct, found) in &mut all {
            found.truncate(KEPT.1);
            let starts = (0..count).map(|r| {
                let near = found[r % found.len()].input.iter().zip(region.lower.iter().zip(&region.upper));
                let start = near.map(|(x, (l, u))| {
                    let away = T::from_f64(random.unit() - 0.5) * spread * (*u - *l);
                    (*x + away).max(*l).min(*u)
                });
                pulled(region.set(), start.collect())
            });
            let more = descend_all(network, region, *disjunct, starts.collect(), params);
            found.extend(more);
            found.sort_by(Found::by_margin);
        }
        all.sort_by(order);
    }
    all.swap_remove(0).1.swap_remove(0)
}

/// A point of the box, moved into the ball.
fn pulled<T: Scalar>(set: Set<'_, T>, mut x: Vec<T>) -> Vec<T> {
    if let Some(ball) = set.ball {
        ball.pull(&mut x);
    }
    x
}

/// Descends from every start, side by side; the ends, best first.
fn descend_all<T: Scalar>(
    network: &Network<T>,
    region: &Region<T>,
    disjunct: usize,
    starts: Vec<Vec<T>>,
    params: Params,
) -> Vec<Found<T>> {
    let descend =
        |starts: &[Vec<T>]| descend_each(network, region.set(), &region.disjuncts[disjunct], starts.concat(), params);
    let found: Vec<Vec<Found<T>>> = starts.par_chunks(TOGETHER).map(descend).collect();
    let mut found: Vec<Found<T>> = found.into_iter().flatten().collect();
    found.sort_by(Found::by_margin);
    found
}

impl<T: Scalar> Found<T> {
    fn by_margin(&self, other: &Self) -> Ordering {
        self.margin.to_f64().total_cmp(&other.margin.to_f64())
    }
}

/// Descends from the given starting points of one box for one disjunct; the best point of all.
///
/// # Shapes
/// `points` is `batch × n`.
pub fn descend<T: Scalar>(
    network: &Network<T>,
    set: Set<'_, T>,
    disjunct: &[Objective<T>],
    points: Vec<T>,
    params: Params,
) -> Found<T> {
    let found = descend_each(network, set, disjunct, points, params).into_iter();
    found.min_by(Found::by_margin).expect("at least one point")
}

/// Descends from each of the points until the margin of one is low enough; the best point of each.
fn descend_each<T: Scalar>(
    network: &Network<T>,
    set: Set<'_, T>,
    disjunct: &[Objective<T>],
    mut points: Vec<T>,
    params: Params,
) -> Vec<Found<T>> {
    let (n, m) = (network.inputs(), network.outputs());
    let batch = points.len() / n;
    let mut best: Vec<Found<T>> =
        points.chunks_exact(n).map(|x| Found { input: x.to_vec(), margin: T::INFINITY }).collect();
    let mut target = vec![T::ZERO; n];
    for step in 0..=params.steps {
        let values = network.evaluate(&points, batch);
        let outputs = values.last().expect("a network has layers");
        let mut cotangent = vec![T::ZERO; batch * m];
        let mut direct: Vec<&[(usize, T)]> = Vec::with_capacity(batch);
        for b in 0..batch {
            let (x, y) = (&points[b * n..(b + 1) * n], &outputs[b * m..(b + 1) * m]);
            let (loss, worst) = margin(disjunct, x, y);
            if loss < best[b].margin {
                best[b].input.copy_from_slice(x);
                best[b].margin = loss;
            }
            let Some(objective) = disjunct.get(worst) else { return best };
            objective.outputs.iter().for_each(|(j, c)| cotangent[b * m + j] = *c);
            direct.push(&objective.inputs);
        }
        if step == params.steps || best.iter().any(|b| b.margin.to_f64() < params.enough) {
            break;
        }
        let gradient = network.gradient(&values, cotangent, batch);
        // From `rate` down to a hundredth of it, geometrically.
        let rate = T::from_f64(params.rate * 0.01f64.powf(step as f64 / params.steps.max(1) as f64));
        for b in 0..batch {
            let mut slope = gradient[b * n..(b + 1) * n].to_vec();
            direct[b].iter().for_each(|(i, a)| slope[*i] += *a);
            if let Some(ball) = set.ball {
                ball.minimiser(&slope, set.lower, set.upper, &mut target);
                let points = points[b * n..(b + 1) * n].iter_mut().zip(&target);
                points.for_each(|(x, v)| *x += T::from_f64(2.0) * rate * (*v - *x));
                continue;
            }
            for (i, g) in slope.iter().enumerate() {
                let x = &mut points[b * n + i];
                let step = rate * (set.upper[i] - set.lower[i]);
                if *g > T::ZERO {
                    *x = (*x - step).max(set.lower[i]);
                } else if *g < T::ZERO {
                    *x = (*x + step).min(set.upper[i]);
                }
            }
        }
    }
    best
}
