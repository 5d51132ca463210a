//! An objective taken back to the input: a linear function of the input below it.
//!
//! From the last layer to the first, $\langle a, h_k \rangle$ becomes a function of the layers that $h_k$ is computed
//! from. Coefficients are integers with one exponent per layer; wherever they are shortened, the floor is taken: the
//! true coefficient is $a + \delta$ with $0 \le \delta < 1$, and $\delta h \ge -\max(-l, 0)$, which the constant pays. Lines
//! below and above a ReLU on $[l, u]$, $l < 0 < u$:
//! $$ \alpha z \le \max(z, 0) \le s z + \max(-s l, (1 - s) u), \qquad \alpha, s \in [0, 1]. $$

use super::bounds::{Corners, Frame, Known, Ranges};
use super::curves::{MIDDLE, NOWHERE};
use super::format::{SLOPE_BITS, Slopes, Split, WHOLE};
use super::lines::{Line, relu};
use super::matrix::{COARSE, Constant, FINE, power};
use super::network::{Factor, Function, Kind, Network};
use super::planes::{DROPPED, plane};
use super::rejection::Rejection;
use crate::float::decode_f64;
use crate::interval::Dyadic;
use std::iter::Peekable;
use std::slice::Iter;

/// What is known on a part: bounds of a box that holds it, tighter ranges of its own, and the signs that make it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Of a box.
    pub known: &'a Known,
    /// Bounds of the inputs of the ReLUs.
    pub ranges: &'a Ranges,
    /// Signs of inputs of ReLUs.
    pub splits: &'a [Split],
}

impl Known {
    /// This box itself.
    pub fn view(&self) -> View<'_> {
        View { known: self, ranges: &self.ranges, splits: &[] }
    }
}

/// What is seen on the way.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// The open ReLU whose upper line costs the bound most, and how much.
    pub costliest: Option<(Dyadic, Split)>,
    /// The greatest of the bounds that the ranges of one layer give.
    pub best: Option<Dyadic>,
}

/// Integers with one exponent.
#[derive(Clone, Debug)]
struct Sum {
    exponent: i64,
    values: Vec<i64>,
}

/// Coefficients of some entries of a layer, in integers that lie at most [`Terms::away`] units below them.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Entries and coefficients.
    pub values: Vec<(usize, i64)>,
    /// The exponent of the coefficients.
    pub exponent: i64,
    /// How many units they may lie below the true ones.
    pub away: u8,
}

/// What to bound from below: terms of a layer and of the input, and a constant.
#[derive(Clone, Debug)]
pub struct Start {
    layer: usize,
    terms: Terms,
    input: Option<Terms>,
    constant: Dyadic,
}

impl Start {
    /// $\pm h_{ko}$.
    pub fn entry(layer: usize, o: usize, sign: i64) -> Self {
        let terms = Terms { values: vec![(o, sign)], exponent: 0, away: 0 };
        Self { layer, terms, input: None, constant: Dyadic::zero() }
    }

    /// 0.
    pub fn nothing(layer: usize) -> Self {
        Self { layer, terms: Terms::default(), input: None, constant: Dyadic::zero() }
    }

    /// $\sum_j b_j y_j + \sum_i a_i x_i + d$.
    pub fn new(layer: usize, terms: Terms, input: Option<Terms>, constant: Dyadic) -> Self {
        Self { layer, terms, input, constant }
    }
}

impl Terms {
    /// All coefficients of the layer, and how much the function may fall because they lie below the true ones.
    fn dense(&self, below: &[i64], g: i64) -> (Sum, (i128, i64)) {
        let mut values = vec![0i64; below.len()];
        self.values.iter().for_each(|(i, v)| values[*i] = *v);
        let loss: i128 = self.values.iter().map(|(i, _)| i128::from(below[*i]) * i128::from(self.away)).sum();
        (Sum { exponent: self.exponent, values }, (loss, self.exponent + g))
    }
}

/// A linear function of the input.
#[derive(Clone, Debug)]
pub struct Form {
    /// Coefficients.
    pub values: Vec<i64>,
    /// Their exponent.
    pub exponent: i64,
    /// The constant.
    pub constant: Dyadic,
}

fn bits(v: u64) -> i64 {
    i64::from(64 - v.leading_zeros())
}

/// Bits of a coefficient, so that no sum over a layer overflows: products with coarse weights are summed in 63 bits;
/// those with a bias of 60 bits, a line's end of 75, or fine weights in 127.
fn coefficient_bits(fine: bool, size: usize) -> i64 {
    let rows = bits(size as u64);
    if fine { (126 - 76 - rows).min(126 - FINE - rows) } else { (61 - COARSE - rows).min(31) }
}

impl Sum {
    /// Integers of at most 60 bits, and how much the function may fall.
    fn of(values: Vec<i128>, exponent: i64, below: &[i64], g: i64) -> (Self, (i128, i64)) {
        let all = values.iter().fold(0u128, |all, v| all | v.unsigned_abs());
        let shift = 128 - i64::from(all.leading_zeros()) - 60;
        if shift <= 0 {
            return (Self { exponent, values: values.into_iter().map(|v| v as i64).collect() }, (0, 0));
        }
        let mask = (1i128 << shift) - 1;
        let lost = values.iter().zip(below).filter(|(v, _)| *v & mask != 0).map(|(_, low)| i128::from(*low));
        let exponent = exponent + shift;
        let loss = (lost.sum(), exponent + g);
        (Self { exponent, values: values.into_iter().map(|v| (v >> shift) as i64).collect() }, loss)
    }

    /// Shortens the integers to `most` bits; returns how much the function may fall.
    fn shorten(&mut self, most: i64, below: &[i64], exponent: i64) -> (i128, i64) {
        let all = self.values.iter().fold(0u64, |all, v| all | v.unsigned_abs());
        let shift = bits(all) - most;
        if shift <= 0 {
            return (0, 0);
        }
        self.coarsen(shift, below, exponent)
    }

    fn coarsen(&mut self, shift: i64, below: &[i64], exponent: i64) -> (i128, i64) {
        // From 63 places on, what is left of a number is its sign.
        let places = shift.min(63);
        let mut loss = 0i128;
        for (v, low) in self.values.iter_mut().zip(below) {
            let rest = *v >> places;
            if shift > 63 && *v != 0 || rest << places != *v {
                loss += i128::from(*low);
            }
            *v = rest;
        }
        self.exponent += shift;
        (loss, self.exponent + exponent)
    }
}

/// Adds integers to a layer's; what is lost to shortening is taken from the constant.
fn merge(
    slot: &mut Option<Sum>,
    mut new: Sum,
    below: &[i64],
    g: i64,
    constant: &mut Constant,
) -> Result<(), Rejection> {
    let Some(present) = slot else {
        *slot = Some(new);
        return Ok(());
    };
    let gap = present.exponent - new.exponent;
    if gap != 0 {
        let finer = if gap > 0 { &mut new } else { &mut *present };
        constant.minus(finer.coarsen(gap.abs(), below, g));
    }
    for (v, w) in present.values.iter_mut().zip(&new.values) {
        *v = v.checked_add(*w).ok_or(Rejection::Range)?;
    }
    Ok(())
}

/// Takes an objective back to the input.
///
/// # Errors
/// [`Rejection::Range`] where numbers grow beyond the integers, [`Rejection::Slopes`] for slopes that are not in [0, 1]
/// and multipliers that are not numbers from 0 on.
pub fn back(
    network: &Network,
    frame: &Frame,
    view: View<'_>,
    start: Start,
    slopes: &Slopes,
    mut probe: Option<&mut Probe>,
) -> Result<Form, Rejection> {
    let known = view.known;
    valid(slopes)?;
    let mut constant = Constant::of(&start.constant);
    let mut sums: Vec<Option<Sum>> = vec![None; start.layer + 1];
    let (sum, loss) = start.terms.dense(&known.below[start.layer], frame.exponent[start.layer]);
    constant.minus(loss);
    sums[start.layer] = Some(sum);
    if let Some(terms) = start.input {
        let (sum, loss) = terms.dense(&known.below[0], frame.exponent[0]);
        constant.minus(loss);
        merge(&mut sums[0], sum, &known.below[0], frame.exponent[0], &mut constant)?;
    }
    for k in (1..=start.layer).rev() {
        let Some(mut sum) = sums[k].take() else { continue };
        let (below, g) = (&known.below[k], frame.exponent[k]);
        match &network.layers[k].kind {
            Kind::Input => return Err(Rejection::Range),
            Kind::Affine(terms, bias) => {
                let most = coefficient_bits(frame.fine, network.layers[k].size);
                constant.minus(sum.shorten(most, below, g));
                let a = &sum.values;
                let mut total = 0i128;
                for (a, b) in a.iter().zip(&bias.values) {
                    let b = i128::from(*b) + if bias.rounded && *a < 0 { 2 } else { 0 };
                    total = total.wrapping_add(i128::from(*a).wrapping_mul(b));
                }
                constant.plus(total, sum.exponent + bias.exponent);
                // 51 bits and 51, and the sum over a layer.
                let executed = a.iter().zip(&known.noise[k]).map(|(a, e)| i128::from(a.abs()) * i128::from(*e));
                constant.minus((executed.sum(), sum.exponent + g));
                for (t, (s, map)) in terms.iter().enumerate() {
                    let (below, g) = (&known.below[*s], frame.exponent[*s]);
                    let nonzero = || a.iter().copied().enumerate().filter(|(_, a)| *a != 0);
                    let (new, rounded) = if frame.fine {
                        let mut values = vec![0i128; network.layers[*s].size];
                        nonzero().for_each(|(o, a)| map.add_fine(o, a, &mut values));
                        let (new, loss) = Sum::of(values, sum.exponent + map.fine.exponent, below, g);
                        constant.minus(loss);
                        (new, (&map.fine.rounded, map.fine.exponent))
                    } else {
                        let mut values = vec![0i64; network.layers[*s].size];
                        nonzero().for_each(|(o, a)| map.add_coarse(o, a, &mut values));
                        let exponent = sum.exponent + map.coarse.exponent;
                        (Sum { exponent, values }, (&map.coarse.rounded, map.coarse.exponent))
                    };
                    let (rounded, exponent) = rounded;
                    let reach = &known.reach[k][t];
                    let away = |(o, a): (usize, i64)| i128::from(a.abs()).wrapping_mul(i128::from(rounded[o]));
                    // 61 bits and the sum of a row's magnitudes.
                    let slack = match reach[..] {
                        [] => 0,
                        [all] if frame.fine => nonzero().map(away).sum::<i128>() * all,
                        // 31 bits and two, and the sum over a layer.
                        [all] => {
                            let units = a.iter().zip(rounded).map(|(a, away)| a.unsigned_abs() * u64::from(*away));
                            i128::from(units.fold(0, u64::wrapping_add)) * all
                        }
                        _ => nonzero().map(|(o, a)| away((o, a)) * reach[o]).sum(),
                    };
                    constant.minus((slack, sum.exponent + exponent - 1 + g));
                    merge(&mut sums[*s], new, below, g, &mut constant)?;
                }
            }
            Kind::Activation(s, function) if function.is_curved() => {
                constant.minus(sum.shorten(coefficient_bits(true, network.layers[k].size), below, g));
                let r = network.number(k);
                let (below, g) = (&known.below[*s], frame.exponent[*s]);
                let (lines, here) = (&known.lines[r], &known.ranges[r]);
                let mut given = Given::of(slopes, r);
                let mut intercepts = 0i128;
                let mut through = |(j, a): (usize, &i64)| {
                    if *a == 0 {
                        return Ok(0);
                    }
                    let above = *a < 0;
                    let other = given.next(j).filter(|share| *share != MIDDLE);
                    let range = ((here.lower[j], here.upper[j]), g);
                    let tangent = other.and_then(|share| lines.tangent(*function, j, range, share, above));
                    let line = tangent.unwrap_or(lines.lines[j][usize::from(above)]);
                    if line.intercept == NOWHERE {
                        return Err(Rejection::Unbounded);
                    }
                    // Coefficients have 50 bits less those of a sum over the layer, slopes 54 and a sign, intercepts 62.
                    intercepts += i128::from(*a) * i128::from(line.intercept);
                    Ok(i128::from(*a) * i128::from(line.slope))
                };
                let values = sum.values.iter().enumerate().map(&mut through).collect::<Result<_, _>>()?;
                constant.plus(intercepts, sum.exponent + lines.intercept);
                let (mut new, loss) = Sum::of(values, sum.exponent + lines.slope, below, g);
                constant.minus(loss);
                constant.minus(signs(view, slopes, r, &mut new, below, g)?);
                merge(&mut sums[*s], new, below, g, &mut constant)?;
            }
            Kind::Product(left, right) => {
                constant.minus(sum.shorten(coefficient_bits(true, network.layers[k].size), below, g));
                let r = network.number(k);
                let (x, y) = (&view.ranges[r], &view.ranges[r + 1]);
                // Whether the planes are those of the box.
                let (planes, plain) = (&known.planes[r], std::ptr::eq(view.ranges, &known.ranges));
                let mut given = Given::of(slopes, r);
                let zeros = |factor: &Factor| vec![0i128; network.layers[factor.source].size];
                let (mut of_left, mut of_right, mut intercepts) = (zeros(left), zeros(right), 0i128);
                for (j, a) in sum.values.iter().enumerate().filter(|(_, a)| **a != 0) {
                    let (p, q) = (left.index[j] as usize, right.index[j] as usize);
                    let share = given.next(j).unwrap_or(MIDDLE);
                    let plane = match share {
                        MIDDLE if plain => planes[j][usize::from(*a < 0)],
                        _ => plane((x.lower[p], x.upper[p]), (y.lower[q], y.upper[q]), share, *a > 0),
                    };
                    // As above, with slopes of 51 bits: sums over the layer have 113.
                    let a = i128::from(*a);
                    of_left[p] += a * i128::from(plane.left);
                    of_right[q] += a * i128::from(plane.right);
                    intercepts += a * i128::from(plane.intercept);
                }
                let units = [left, right].map(|factor| frame.exponent[factor.source]);
                constant.plus(intercepts, sum.exponent + units[0] + units[1] + DROPPED);
                let sides = [(left, of_left, units[1], r), (right, of_right, units[0], r + 1)];
                for (factor, values, unit, r) in sides {
                    let (below, g) = (&known.below[factor.source], frame.exponent[factor.source]);
                    let (mut new, loss) = Sum::of(values, sum.exponent + unit, below, g);
                    constant.minus(loss);
                    constant.minus(signs(view, slopes, r, &mut new, below, g)?);
                    merge(&mut sums[factor.source], new, below, g, &mut constant)?;
                }
            }
            Kind::Activation(s, function) => {
                constant.minus(sum.shorten(coefficient_bits(frame.fine, network.layers[k].size), below, g));
                let r = network.number(k);
                let range = &view.ranges[r];
                let mut given = Given::of(slopes, r);
                // Whether the lines are those of the box.
                let plain = given.is_none()
                    && probe.is_none()
                    && view.splits.is_empty()
                    && std::ptr::eq(view.ranges, &known.ranges);
                let (lines, here) = (&known.lines[r].lines, &known.ranges[r]);
                let unit = sum.exponent + known.lines[r].intercept;
                // The sign that the splits give a neuron whose range leaves 0 alone.
                let sign = |j: usize| {
                    let mut last = view.splits.iter().rev().filter(|s| s.layer as usize == r && s.neuron as usize == j);
                    last.next().is_some_and(|split| split.active)
                };
                let mut intercepts = 0i128;
                // The slope that a coefficient takes.
                let mut slope = |j: usize, a: i64| -> i64 {
                    let mut line = lines[j][usize::from(a < 0)];
                    if *function == Function::Relu {
                        // This lies below a ReLU on any range.
                        if a > 0
                            && let Some(slope) = given.next(j)
                        {
                            return slope;
                        }
                        let (l, u) = (range.lower[j], range.upper[j]);
                        let either = l >= 0 && u <= 0 && !view.splits.is_empty();
                        if either || l != here.lower[j] || u != here.upper[j] {
                            line = relu(l, u, either && sign(j))[usize::from(a < 0)];
                        }
                    }
                    // 50 bits and 62.
                    let cost = i128::from(a).wrapping_mul(i128::from(line.intercept));
                    intercepts = intercepts.wrapping_add(cost);
                    if let Some(Probe { costliest: most, .. }) = probe.as_deref_mut()
                        && *function == Function::Relu
                        && cost < 0
                    {
                        let cost = power(-cost, unit);
                        if most.as_ref().is_none_or(|(most, _)| most.minus(&cost).is_negative()) {
                            let split = Split { layer: r as u32, neuron: j as u32, active: false };
                            *most = Some((cost, split));
                        }
                    }
                    line.slope
                };
                let (below, g) = (&known.below[*s], frame.exponent[*s]);
                let exponent = sum.exponent - i64::from(SLOPE_BITS);
                let entries = sum.values.iter().enumerate();
                let mut new = if frame.fine {
                    let product =
                        |(j, a): (usize, &i64)| if *a == 0 { 0 } else { i128::from(*a) * i128::from(slope(j, *a)) };
                    let (new, loss) = Sum::of(entries.map(product).collect(), exponent, below, g);
                    constant.minus(loss);
                    new
                } else if plain {
                    let product = |(a, line): (&i64, &[Line; 2])| {
                        let line = line[usize::from(*a < 0)];
                        intercepts = intercepts.wrapping_add(i128::from(*a).wrapping_mul(i128::from(line.intercept)));
                        a.wrapping_mul(line.slope)
                    };
                    Sum { exponent, values: sum.values.iter().zip(lines).map(product).collect() }
                } else {
                    // 31 bits and 24.
                    let product = |(j, a): (usize, &i64)| if *a == 0 { 0 } else { a * slope(j, *a) };
                    Sum { exponent, values: entries.map(product).collect() }
                };
                constant.minus(signs(view, slopes, r, &mut new, below, g)?);
                constant.plus(intercepts, unit);
                if let Some(probe) = probe.as_deref_mut().filter(|_| sums.iter().all(Option::is_none)) {
                    let least =
                        |(a, (l, u)): (&i64, (&i64, &i64))| i128::from(*a) * i128::from(if *a > 0 { *l } else { *u });
                    let sum: i128 = new.values.iter().zip(range.lower.iter().zip(&range.upper)).map(least).sum();
                    let bound = constant.value().plus(&power(sum, new.exponent + g));
                    if probe.best.as_ref().is_none_or(|best| best.minus(&bound).is_negative()) {
                        probe.best = Some(bound);
                    }
                }
                merge(&mut sums[*s], new, below, g, &mut constant)?;
            }
        }
    }
    let none = || Sum { exponent: 0, values: vec![0; network.inputs()] };
    let mut sum = sums[0].take().unwrap_or_else(none);
    // Room for a weight of 20 bits and a sum.
    let loss = sum.shorten(40, &known.below[0], frame.exponent[0]);
    constant.minus(loss);
    Ok(Form { values: sum.values, exponent: sum.exponent, constant: constant.value() })
}

/// The numbers that slopes give to the neurons of a layer, asked for in ascending order.
struct Given<'a>(Option<Peekable<Iter<'a, (u32, u32)>>>);

impl<'a> Given<'a> {
    fn of(slopes: &'a Slopes, r: usize) -> Self {
        Self(slopes.alpha.iter().find(|(layer, _)| *layer as usize == r).map(|(_, of)| of.iter().peekable()))
    }

    fn is_none(&self) -> bool {
        self.0.is_none()
    }

    fn next(&mut self, j: usize) -> Option<i64> {
        let given = self.0.as_mut()?;
        while given.next_if(|(neuron, _)| (*neuron as usize) < j).is_some() {}
        given.peek().filter(|(neuron, _)| *neuron as usize == j).map(|(_, slope)| i64::from(*slope))
    }
}

/// Whether slopes and multipliers are what they have to be.
fn valid(slopes: &Slopes) -> Result<(), Rejection> {
    let ascending = |of: &[(u32, u32)]| of.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let fits = |of: &[(u32, u32)]| of.iter().all(|(_, slope)| i64::from(*slope) <= WHOLE);
    let mut multipliers = slopes.beta.iter().chain(slopes.shown.iter().map(|(_, _, beta)| beta));
    let numbers = multipliers.all(|beta| beta.is_finite() && !beta.is_sign_negative());
    let right = numbers && slopes.alpha.iter().all(|(_, of)| ascending(of) && fits(of));
    if right { Ok(()) } else { Err(Rejection::Slopes) }
}

/// Adds to the coefficients of the inputs of ReLU layer `r` what the multipliers $\beta \ge 0$ of its splits ask for, and
/// returns how much the function may fall: on $z \ge 0$ the objective is at least itself less $\beta z$, on $z \le 0$ at least
/// itself plus $\beta z$. Any multiplier serves, so rounding it costs nothing; making room for it does.
fn signs(
    view: View<'_>,
    slopes: &Slopes,
    r: usize,
    sum: &mut Sum,
    below: &[i64],
    g: i64,
) -> Result<(i128, i64), Rejection> {
    const MOST: i64 = 60;
    if view.splits.is_empty() && slopes.shown.is_empty() {
        return Ok((0, 0));
    }
    // A sign that ranges do not show is left out.
    let shown = |(layer, neuron, beta): &(u32, u32, f64)| {
        let range = view.ranges.get(*layer as usize)?;
        let (l, u) = (*range.lower.get(*neuron as usize)?, *range.upper.get(*neuron as usize)?);
        let beta = if l >= 0 || u <= 0 { *beta } else { 0.0 };
        Some((Split { layer: *layer, neuron: *neuron, active: l >= 0 }, beta))
    };
    let shown: Option<Vec<(Split, f64)>> = slopes.shown.iter().map(shown).collect();
    let shown = shown.ok_or(Rejection::Slopes)?;
    let all = view.splits.iter().copied().zip(slopes.beta.iter().copied()).chain(shown);
    let here = all.filter(|(split, beta)| split.layer as usize == r && beta.to_bits() > 0);
    let here: Vec<(Split, Dyadic)> =
        here.filter_map(|(split, beta)| Some((split, Dyadic::from(decode_f64(beta)?)))).collect();
    let top = here.iter().filter_map(|(_, beta)| beta.top()).max().unwrap_or(i64::MIN / 2);
    let room = top - MOST - sum.exponent;
    let loss = if room > 0 { sum.coarsen(room, below, g) } else { (0, 0) };
    for (split, beta) in here {
        let units = i64::try_from(beta.floor_at(sum.exponent)).expect("there is room for it");
        let value = &mut sum.values[split.neuron as usize];
        *value = value.checked_add(if split.active { -units } else { units }).ok_or(Rejection::Range)?;
    }
    Ok(loss)
}

impl Form {
    /// The function times a weight.
    pub fn times(mut self, weight: u64) -> Option<Self> {
        let factor = i64::try_from(weight).ok()?;
        // Room for the weight.
        for v in &mut self.values {
            *v = v.checked_mul(factor)?;
        }
        self.constant = self.constant.times(&power(i128::from(factor), 0));
        Some(self)
    }

    /// The sum of two; coefficients are rounded down where exponents differ.
    pub fn plus(mut self, mut other: Self, below: &[i64], g: i64) -> Option<Self> {
        let gap = self.exponent - other.exponent;
        let finer = if gap > 0 { &mut other } else { &mut self };
        let shift = gap.abs().min(63);
        if shift > 0 {
            let loss: i128 = below.iter().map(|b| i128::from(*b)).sum();
            finer.values.iter_mut().for_each(|v| *v >>= shift);
            finer.exponent += gap.abs();
            finer.constant = finer.constant.minus(&power(loss, finer.exponent + g));
        }
        for (v, w) in self.values.iter_mut().zip(&other.values) {
            *v = v.checked_add(*w)?;
        }
        self.constant = self.constant.plus(&other.constant);
        Some(self)
    }

    /// The least value on a box whose corners have exponent `g`.
    pub fn minimum(&self, corners: &Corners, g: i64) -> Dyadic {
        let ends = corners.lower.iter().zip(&corners.upper);
        let terms = self.values.iter().zip(ends);
        let sum: i128 = terms.map(|(a, (l, u))| i128::from(*a) * i128::from(if *a > 0 { *l } else { *u })).sum();
        self.constant.plus(&power(sum, self.exponent + g))
    }
}

/// A lower bound of an objective on a part of a box.
///
/// # Errors
/// See [`back`].
pub fn least(
    network: &Network,
    frame: &Frame,
    view: View<'_>,
    start: Start,
    slopes: &Slopes,
    corners: &Corners,
) -> Result<Dyadic, Rejection> {
    Ok(back(network, frame, view, start, slopes, None)?.minimum(corners, frame.exponent[0]))
}
