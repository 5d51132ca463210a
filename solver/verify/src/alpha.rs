//! Optimised bounds: slopes $\alpha \in [0, 1]$ below open ReLUs and multipliers $\beta \ge 0$ of
//! splits, by projected gradient ascent on the CROWN bound.
//!
//! For fixed signs of the coefficients the bound is
//! $\min_x \langle A_0, x \rangle + d$, a composition of linear maps; with $x^\ast$ its minimiser and
//! $\hat z, \hat h$ the values that the relaxed network takes at $x^\ast$ (each activation replaced by
//! the line that its coefficient selected),
//! $$ \frac{\partial}{\partial \alpha_j} = \max(A_j, 0)\, \hat z_j, \qquad
//!    \frac{\partial}{\partial \beta_j} = -s_j \hat z_j. $$
//! One back-substitution and one forward pass per step. Every iterate is a valid bound; the best is
//! kept, so more steps never loosen it.
//!
//! # Source
//! Xu et al., *Fast and complete*, 2021; Wang et al., *Beta-CROWN*, 2021.

use crate::bounds::{Bounds, Boxes};
use crate::crown::{EVEN_SHARE, InputBound, Lines, Multipliers, Rows, back_substitute};
use crate::network::{Function, Kind, Network};
use crate::proposal;
use crate::relax::Plane;
use crate::rounding::Magnitudes;
use secateur_linalg::Scalar;
use std::borrow::Cow;

/// Bits of a slope behind the point: any slope is sound, and short ones make short proofs.
pub const BITS: u32 = 12;

#[inline]
pub(crate) fn rounded_slope<T: Scalar>(alpha: T) -> T {
    // Adding this constant leaves no more bits than wanted.
    let shift = T::from_f64(0.75 / (T::UNIT_ROUNDOFF.to_f64() * f64::from(1u32 << BITS)));
    (alpha + shift) - shift
}

/// The multiplier with 16 significant bits.
pub(crate) fn rounded_multiplier<T: Scalar>(beta: T) -> T {
    T::from_f64(f64::from(f32::from_bits((beta.to_f64() as f32).to_bits() & !0xff)))
}

/// A split: ReLU layer, neuron, and the sign $s$ of its input on the subproblem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Split {
    /// The activation layer.
    pub layer: u32,
    /// The neuron.
    pub neuron: u32,
    /// Whether $z \ge 0$; otherwise $z \le 0$.
    pub active: bool,
}

/// Parameters of the ascent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    /// Gradient steps.
    pub steps: usize,
    /// Step size of $\alpha$.
    pub alpha_rate: f64,
    /// Step size of $\beta$.
    pub beta_rate: f64,
    /// Factor of both after every step.
    pub decay: f64,
}

/// Slopes and multipliers of a set of rows.
#[derive(Clone, Debug)]
pub struct Slopes<T> {
    /// For activation layer `k`: $\alpha$, `rows × size`; empty for layers that are not ReLUs.
    pub alpha: Vec<Vec<T>>,
    /// For activation layer `k`: (row, neuron, $s \beta$).
    pub beta: Vec<Vec<(u32, u32, T)>>,
}

/// What the ascent found.
#[derive(Clone, Debug)]
pub struct Optimised<T> {
    /// The best lower bound of each row.
    pub minimum: Vec<T>,
    /// The affine bound of each row's best step.
    pub best: InputBound<T>,
    /// The slopes and multipliers of each row's best step.
    pub slopes: Slopes<T>,
    /// The coefficients at every activation in the first step.
    pub tape: Vec<Vec<T>>,
}

impl<T: Scalar> Slopes<T> {
    /// The slopes that the lines already have, and $\beta = 0$.
    pub fn initial(network: &Network<T>, lines: &Lines<T>, domain: &[u32], splits: &[&[Split]]) -> Self {
        let layers = network.layers.len();
        let mut slopes = Self { alpha: vec![Vec::new(); layers], beta: vec![Vec::new(); layers] };
        for (k, _, function) in network.activations() {
            // Layers above the rows have no lines yet.
            if function == Function::Relu && !lines.lower_slope[k].is_empty() {
                let size = network.layers[k].size;
                let row = |d: &u32| &lines.lower_slope[k][*d as usize * size..(*d as usize + 1) * size];
                slopes.alpha[k] = domain.iter().flat_map(row).copied().collect();
            }
        }
        for (k, _) in network.products().filter(|(k, _)| !lines.planes[*k].is_empty()) {
            slopes.alpha[k] = vec![T::from_f64(EVEN_SHARE); domain.len() * network.layers[k].size];
        }
        for (r, d) in domain.iter().enumerate() {
            for split in splits.get(*d as usize).copied().unwrap_or_default() {
                slopes.beta[split.layer as usize].push((r as u32, split.neuron, T::ZERO));
            }
        }
        slopes
    }

    /// $\beta$ of a split in a row.
    pub fn multiplier(&self, row: usize, split: &Split) -> T {
        let mut entries = self.beta[split.layer as usize].iter();
        let mine = entries.find(|(r, j, _)| *r as usize == row && *j == split.neuron);
        mine.map_or(T::ZERO, |(_, _, signed)| signed.abs())
    }

    /// As multipliers of a back-substitution.
    pub fn multipliers(&self) -> Multipliers<'_, T> {
        Multipliers { alpha: &self.alpha, beta: &self.beta }
    }
}

/// Raises the lower bounds of `rows`; row `r` lies in subproblem `rows.domain[r]` of `boxes`.
/// Rows whose bounds satisfy `done` are left out of the steps that follow once they are a quarter of those still raised;
/// when all do, the ascent ends.
///
/// # Soundness
/// Every step's bound is sound by itself: the ascent only chooses among sound bounds.
#[allow(clippy::too_many_arguments)]
pub fn optimise<T: Scalar>(
    network: &Network<T>,
    magnitudes: &Magnitudes<T>,
    bounds: &Bounds<T>,
    boxes: &Boxes<T>,
    rows: &Rows<T>,
    splits: &[&[Split]],
    slopes: Slopes<T>,
    params: Params,
    done: impl Fn(usize, T) -> bool,
) -> Optimised<T> {
    let proposed = proposal::optimise(network, magnitudes, bounds, boxes, rows, splits, &slopes, params, &done);
    if let Some(found) = proposed {
        return found;
    }
    let step = |rows: &Rows<T>, slopes: &Slopes<T>, keep: bool| {
        let bound = back_substitute(network, magnitudes, &bounds.lines, rows.clone(), slopes.multipliers(), keep);
        let minimum = (0..rows.len()).map(|r| bound.minimum(r, boxes.set(rows.domain[r] as usize)));
        let minimum: Vec<T> = minimum.collect();
        (bound, minimum)
    };
    let (mut bound, minimum) = step(rows, &slopes, true);
    let tape = bound.tape.clone();
    let mut found = Optimised { minimum, best: strip(&bound), slopes: slopes.clone(), tape };
    let (mut ascent, mut rows) = (Ascent::new(network, bounds, rows, splits, slopes), Cow::Borrowed(rows));
    let mut raised: Vec<usize> = (0..rows.len()).collect();
    for taken in 0..params.steps {
        let open = |i: &usize| !done(raised[*i], found.minimum[raised[*i]]);
        let open: Vec<usize> = (0..raised.len()).filter(open).collect();
        if open.is_empty() {
            break;
        }
        // Copying the other rows costs a part of a step, so it has to save as much.
        if 4 * open.len() <= 3 * raised.len() {
            raised = open.iter().map(|i| raised[*i]).collect();
            rows = Cow::Owned(rows.select(&open));
            bound = bound.select(&open);
            ascent.select(&open);
        }
        ascent.step(boxes, &rows, &bound, params, taken);
        let minimum;
        (bound, minimum) = step(&rows, &ascent.slopes, taken + 1 < params.steps);
        found.keep_better(network, &raised, &minimum, &bound, &ascent.slopes);
    }
    found
}

fn strip<T: Scalar>(bound: &InputBound<T>) -> InputBound<T> {
    InputBound {
        coefficients: bound.coefficients.clone(),
        constant: bound.constant.clone(),
        error: bound.error.clone(),
        tape: Vec::new(),
    }
}

impl<T: Scalar> Optimised<T> {
    /// Takes up the bounds of some rows that are greater than before; `raised` says which rows they are, ascending.
    pub(crate) fn keep_better(
        &mut self,
        network: &Network<T>,
        raised: &[usize],
        minimum: &[T],
        bound: &InputBound<T>,
        slopes: &Slopes<T>,
    ) {
        let (n, all) = (network.inputs(), self.minimum.len());
        let better: Vec<bool> = minimum.iter().zip(raised).map(|(new, r)| *new > self.minimum[*r]).collect();
        for (i, &r) in raised.iter().enumerate().filter(|(i, _)| better[*i]) {
            self.minimum[r] = minimum[i];
            self.best.coefficients[r * n..(r + 1) * n].copy_from_slice(bound.row(i));
            (self.best.constant[r], self.best.error[r]) = (bound.constant[i], bound.error[i]);
            for (mine, theirs) in self.slopes.alpha.iter_mut().zip(&slopes.alpha) {
                let size = mine.len() / all;
                mine[r * size..(r + 1) * size].copy_from_slice(&theirs[i * size..(i + 1) * size]);
            }
        }
        for (mine, theirs) in self.slopes.beta.iter_mut().zip(&slopes.beta) {
            // Both are in the order of their rows.
            let mut mine = mine.iter_mut();
            for theirs in theirs {
                let r = raised[theirs.0 as usize] as u32;
                let mine = mine.find(|mine| (mine.0, mine.1) == (r, theirs.1)).expect("every row keeps its splits");
                if better[theirs.0 as usize] {
                    mine.2 = theirs.2;
                }
            }
        }
    }
}

/// Rows of a matrix.
fn select<T: Copy>(matrix: &[T], rows: usize, chosen: &[usize]) -> Vec<T> {
    let size = matrix.len() / rows.max(1);
    chosen.iter().flat_map(|r| &matrix[r * size..(r + 1) * size]).copied().collect()
}

impl<T: Scalar> InputBound<T> {
    fn select(&self, chosen: &[usize]) -> Self {
        let rows = self.len();
        Self {
            coefficients: select(&self.coefficients, rows, chosen),
            constant: select(&self.constant, rows, chosen),
            error: select(&self.error, rows, chosen),
            tape: self.tape.iter().map(|tape| select(tape, rows, chosen)).collect(),
        }
    }
}

impl<T: Scalar> Rows<T> {
    /// Some rows.
    pub(crate) fn select(&self, chosen: &[usize]) -> Self {
        let rows = self.len();
        let coefficients = self.coefficients.iter().map(|a| a.as_ref().map(|a| select(a, rows, chosen)));
        Self {
            domain: select(&self.domain, rows, chosen),
            coefficients: coefficients.collect(),
            constant: select(&self.constant, rows, chosen),
            error: select(&self.error, rows, chosen),
        }
    }
}

/// Where the ascent is: slopes and multipliers, Adam's moments and the signs of the splits.
struct Ascent<'a, T> {
    network: &'a Network<T>,
    bounds: &'a Bounds<T>,
    /// Number of rows.
    rows: usize,
    slopes: Slopes<T>,
    alpha_moments: Vec<(Vec<T>, Vec<T>)>,
    beta_moments: Vec<Vec<(T, T)>>,
    signs: Vec<Vec<T>>,
}

impl<'a, T: Scalar> Ascent<'a, T> {
    fn new(
        network: &'a Network<T>,
        bounds: &'a Bounds<T>,
        rows: &Rows<T>,
        splits: &[&[Split]],
        slopes: Slopes<T>,
    ) -> Self {
        let zeros = |v: &Vec<T>| (vec![T::ZERO; v.len()], vec![T::ZERO; v.len()]);
        let alpha_moments = slopes.alpha.iter().map(zeros).collect();
        let beta_moments = slopes.beta.iter().map(|v| vec![(T::ZERO, T::ZERO); v.len()]).collect();
        let mut signs = vec![Vec::new(); slopes.beta.len()];
        for d in &rows.domain {
            for split in splits.get(*d as usize).copied().unwrap_or_default() {
                signs[split.layer as usize].push(if split.active { T::ONE } else { -T::ONE });
            }
        }
        Self { network, bounds, rows: rows.len(), slopes, alpha_moments, beta_moments, signs }
    }

    /// Goes on with some rows only.
    fn select(&mut self, chosen: &[usize]) {
        let rows = self.rows;
        let mut places = vec![None; rows];
        chosen.iter().enumerate().for_each(|(place, r)| places[*r] = Some(place as u32));
        let of_rows = |matrix: &mut Vec<T>| *matrix = select(matrix, rows, chosen);
        self.slopes.alpha.iter_mut().for_each(of_rows);
        for (first, second) in &mut self.alpha_moments {
            of_rows(first);
            of_rows(second);
        }
        let kinds = self.slopes.beta.iter_mut().zip(&mut self.beta_moments).zip(&mut self.signs);
        for ((beta, moments), signs) in kinds {
            let kept: Vec<bool> = beta.iter().map(|(r, _, _)| places[*r as usize].is_some()).collect();
            retain(moments, &kept);
            retain(signs, &kept);
            retain(beta, &kept);
            beta.iter_mut().for_each(|(r, _, _)| *r = places[*r as usize].expect("a row that is kept"));
        }
        self.rows = chosen.len();
    }

    fn step(&mut self, boxes: &Boxes<T>, rows: &Rows<T>, bound: &InputBound<T>, params: Params, step: usize) {
        let values = self.relaxed_forward(boxes, rows, bound);
        let slopes = &mut self.slopes;
        let decay = params.decay.powi(step as i32);
        let adam = Adam::<T>::new(step);
        let rate = T::from_f64(params.alpha_rate * decay);
        for (k, product) in self.network.products() {
            if slopes.alpha[k].is_empty() || bound.tape[k].is_empty() {
                continue;
            }
            let size = self.network.layers[k].size;
            let sizes = self.network.factor_sizes(product);
            let (first, second) = &mut self.alpha_moments[k];
            for (r, d) in rows.domain.iter().enumerate() {
                for j in 0..size {
                    let (at, a) = (r * size + j, bound.tape[k][r * size + j]);
                    let (x, y) = product.factors(&values, r, j, sizes);
                    let planes = &self.bounds.lines.planes[k][*d as usize * size + j];
                    let [one, other] = if a >= T::ZERO { &planes.below } else { &planes.above };
                    let height = |p: &Plane<T>| p.left * x + p.right * y + p.intercept;
                    let gradient = a * (height(other) - height(one));
                    let move_by = rate * adam.direction(gradient, &mut first[at], &mut second[at]);
                    let share = &mut slopes.alpha[k][at];
                    *share = rounded_slope((*share + move_by).max(T::ZERO).min(T::ONE));
                }
            }
        }
        for (k, source, _) in self.network.activations() {
            if slopes.alpha[k].is_empty() || bound.tape[k].is_empty() {
                continue;
            }
            let size = self.network.layers[k].size;
            let (lower, upper) = (&self.bounds.lower[source], &self.bounds.upper[source]);
            let (first, second) = &mut self.alpha_moments[k];
            for (r, d) in rows.domain.iter().enumerate() {
                let (here, box_of) = (r * size..(r + 1) * size, *d as usize * size..(*d as usize + 1) * size);
                let (lower, upper) = (&lower[box_of.clone()], &upper[box_of]);
                let (tape, values) = (&bound.tape[k][here.clone()], &values[source][here.clone()]);
                let (first, second) = (&mut first[here.clone()], &mut second[here.clone()]);
                let alpha = &mut slopes.alpha[k][here];
                // Without a jump, so that it runs in vectors: moments of fixed neurons move nothing.
                for j in 0..size {
                    let gradient = tape[j].max(T::ZERO) * values[j];
                    let move_by = rate * adam.direction(gradient, &mut first[j], &mut second[j]);
                    let moved = rounded_slope((alpha[j] + move_by).max(T::ZERO).min(T::ONE));
                    let open = (lower[j] < T::ZERO) & (upper[j] > T::ZERO);
                    alpha[j] = if open { moved } else { alpha[j] };
                }
            }
            let rate = T::from_f64(params.beta_rate * decay);
            for (index, (r, j, signed)) in slopes.beta[k].iter_mut().enumerate() {
                let sign = self.signs[k][index];
                let gradient = -sign * values[source][*r as usize * size + *j as usize];
                let (first, second) = &mut self.beta_moments[k][index];
                let beta = *signed * sign + rate * adam.direction(gradient, first, second);
                *signed = sign * rounded_multiplier(beta.max(T::ZERO));
            }
        }
    }

    /// The values of the relaxed network at each row's minimiser.
    fn relaxed_forward(&self, boxes: &Boxes<T>, rows: &Rows<T>, bound: &InputBound<T>) -> Vec<Vec<T>> {
        let (count, lines, slopes) = (rows.len(), &self.bounds.lines, &self.slopes);
        let last = bound.tape.iter().rposition(|t| !t.is_empty()).unwrap_or(0);
        let mut values: Vec<Vec<T>> = Vec::with_capacity(last);
        for (k, layer) in self.network.layers.iter().enumerate().take(last) {
            let size = layer.size;
            let value = match &layer.kind {
                Kind::Input => {
                    let mut x = vec![T::ZERO; count * size];
                    for (r, x) in x.chunks_exact_mut(size).enumerate() {
                        bound.minimiser(r, boxes.set(rows.domain[r] as usize), x);
                    }
                    x
                }
                Kind::Affine(affine) => {
                    let mut y = affine.bias.repeat(count);
                    for (source, map) in &affine.terms {
                        map.forward(false, &values[*source], count, &mut y);
                    }
                    y
                }
                Kind::Product(product) => {
                    let mut out = vec![T::ZERO; count * size];
                    let sizes = self.network.factor_sizes(product);
                    for (r, d) in rows.domain.iter().enumerate() {
                        let (at, from) = (r * size, *d as usize * size);
                        let Some(tape) = bound.tape[k].get(at..at + size) else { continue };
                        for j in 0..size {
                            let (x, y) = product.factors(&values, r, j, sizes);
                            let planes = &lines.planes[k][from + j];
                            let pair = if tape[j] >= T::ZERO { &planes.below } else { &planes.above };
                            let share = slopes.alpha[k].get(at + j).copied().unwrap_or(T::from_f64(EVEN_SHARE));
                            let plane = Plane::mixed(pair, share);
                            out[at + j] = plane.left * x + plane.right * y + plane.intercept;
                        }
                    }
                    out
                }
                Kind::Activation { source, .. } => {
                    let mut out = vec![T::ZERO; count * size];
                    for (r, d) in rows.domain.iter().enumerate() {
                        let (at, from) = (r * size, *d as usize * size);
                        let Some(tape) = bound.tape[k].get(at..at + size) else { continue };
                        for j in 0..size {
                            let z = values[*source][at + j];
                            let low = lines.lower_intercept[k].get(from + j).copied().unwrap_or(T::ZERO);
                            let below = slopes.alpha[k].get(at + j).copied().unwrap_or(lines.lower_slope[k][from + j]);
                            out[at + j] = if tape[j] >= T::ZERO {
                                below * z + low
                            } else {
                                lines.upper_slope[k][from + j] * z + lines.upper_intercept[k][from + j]
                            };
                        }
                    }
                    out
                }
            };
            values.push(value);
        }
        values
    }
}

/// Keeps some entries.
fn retain<V>(entries: &mut Vec<V>, kept: &[bool]) {
    let mut kept = kept.iter();
    entries.retain(|_| kept.next().copied().unwrap_or(false));
}

/// Adam with the usual $\beta_1 = 0.9$, $\beta_2 = 0.999$.
struct Adam<T> {
    first: T,
    second: T,
    correction_first: T,
    correction_second: T,
    tiny: T,
}

impl<T: Scalar> Adam<T> {
    fn new(step: usize) -> Self {
        let t = step as i32 + 1;
        Self {
            first: T::from_f64(0.9),
            second: T::from_f64(0.999),
            correction_first: T::from_f64(1.0 / (1.0 - 0.9f64.powi(t))),
            correction_second: T::from_f64(1.0 / (1.0 - 0.999f64.powi(t))),
            tiny: T::from_f64(1e-12),
        }
    }

    #[inline]
    fn direction(&self, gradient: T, first: &mut T, second: &mut T) -> T {
        *first = self.first * *first + (T::ONE - self.first) * gradient;
        *second = self.second * *second + (T::ONE - self.second) * gradient * gradient;
        let scale = (*second * self.correction_second).sqrt() + self.tiny;
        *first * self.correction_first / scale
    }
}
