//! Projected gradient descent: a quick search for an unsafe input.
//!
//! For a disjunct with objectives $g_i$ the loss is $\max_i g_i(x)$; a point with loss at most 0 is a
//! candidate. Starts are random in the box (the first at its centre); steps follow the sign of the
//! gradient, scaled by the box's widths, with a decreasing step size. What an attack finds is only
//! a candidate: [`crate::witness`] decides.
//!
//! # Source
//! Madry et al., *Towards deep learning models resistant to adversarial attacks*, 2018.

use crate::network::Network;
use crate::specification::{Objective, Region};
use secateur_linalg::Scalar;
use secateur_linalg::random::Random;

/// Parameters of an attack.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// Starting points per disjunct.
    pub restarts: usize,
    /// Steps from each.
    pub steps: usize,
    /// First step size, as a share of each width.
    pub rate: f64,
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

/// Descends from random points of the region's box, for each disjunct; returns the best point of all.
pub fn attack<T: Scalar>(network: &Network<T>, region: &Region<T>, params: Params, random: &mut Random) -> Found<T> {
    let n = network.inputs();
    let mut best: Option<Found<T>> = None;
    for disjunct in &region.disjuncts {
        let mut starts = vec![T::ZERO; params.restarts.max(1) * n];
        for (r, x) in starts.chunks_exact_mut(n).enumerate() {
            for (i, x) in x.iter_mut().enumerate() {
                let (l, u) = (region.lower[i], region.upper[i]);
                let share = if r == 0 { 0.5 } else { random.unit() };
                *x = (l + (u - l) * T::from_f64(share)).max(l).min(u);
            }
        }
        let found = descend(network, &region.lower, &region.upper, disjunct, starts, params);
        if best.as_ref().is_none_or(|b| found.margin < b.margin) {
            best = Some(found);
        }
        if best.as_ref().is_some_and(|b| b.margin < T::ZERO) {
            break;
        }
    }
    best.expect("a region has at least one disjunct")
}

/// Descends from the given starting points of one box for one disjunct.
///
/// # Shapes
/// `points` is `batch × n`.
pub fn descend<T: Scalar>(
    network: &Network<T>,
    lower: &[T],
    upper: &[T],
    disjunct: &[Objective<T>],
    mut points: Vec<T>,
    params: Params,
) -> Found<T> {
    let (n, m) = (network.inputs(), network.outputs());
    let batch = points.len() / n;
    let mut best = Found { input: points[..n].to_vec(), margin: T::INFINITY };
    for step in 0..=params.steps {
        let values = network.evaluate(&points, batch);
        let outputs = values.last().expect("a network has layers");
        let mut cotangent = vec![T::ZERO; batch * m];
        let mut direct: Vec<&[(usize, T)]> = Vec::with_capacity(batch);
        for b in 0..batch {
            let (x, y) = (&points[b * n..(b + 1) * n], &outputs[b * m..(b + 1) * m]);
            let (loss, worst) = margin(disjunct, x, y);
            if loss < best.margin {
                best = Found { input: x.to_vec(), margin: loss };
            }
            let Some(objective) = disjunct.get(worst) else { return best };
            objective.outputs.iter().for_each(|(j, c)| cotangent[b * m + j] = *c);
            direct.push(&objective.inputs);
        }
        if step == params.steps || best.margin < T::ZERO {
            break;
        }
        let gradient = network.gradient(&values, cotangent, batch);
        // From `rate` down to a hundredth of it, geometrically.
        let rate = T::from_f64(params.rate * 0.01f64.powf(step as f64 / params.steps.max(1) as f64));
        for b in 0..batch {
            let mut slope = gradient[b * n..(b + 1) * n].to_vec();
            direct[b].iter().for_each(|(i, a)| slope[*i] += *a);
            for (i, g) in slope.iter().enumerate() {
                let x = &mut points[b * n + i];
                let step = rate * (upper[i] - lower[i]);
                if *g > T::ZERO {
                    *x = (*x - step).max(lower[i]);
                } else if *g < T::ZERO {
                    *x = (*x + step).min(upper[i]);
                }
            }
        }
    }
    best
}
