//! An objective taken back to the input: a linear function of the input below it.
//!
//! From the last layer to the first, $\langle a, h_k \rangle$ becomes a function of the layers that $h_k$ is computed
//! from. Coefficients are integers with one exponent per layer; wherever they are shortened, the floor is taken: the
//! true coefficient is $a + \delta$ with $0 \le \delta < 1$, and $\delta h \ge -\max(-l, 0)$, which the constant pays. Lines
//! below and above a ReLU on $[l, u]$, $l < 0 < u$:
//! $$ \alpha z \le \max(z, 0) \le s z + \max(-s l, (1 - s) u), \qquad \alpha, s \in [0, 1]. $$

use super::bounds::{Corners, Frame, Known};
use super::checker::Rejection;
use super::matrix::{COARSE, FINE, power};
use super::network::{Kind, Network};
use crate::interval::Dyadic;
use std::collections::BTreeMap;

/// Bits behind the point of a slope.
pub const SLOPE_BITS: u32 = 24;

/// The slope 1.
pub const WHOLE: i64 = 1 << SLOPE_BITS;

/// Slopes below open ReLUs, and multipliers of splits.
#[derive(Clone, Debug, Default)]
pub struct Slopes {
    /// For each ReLU layer, by number: neurons and slopes, ascending by neuron. Others take 0 or 1, whichever leaves
    /// the smaller area.
    pub alpha: BTreeMap<usize, BTreeMap<u32, i64>>,
}

impl Slopes {
    /// None.
    pub const NONE: Self = Self { alpha: BTreeMap::new() };
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

    /// $\sum_j b_j y_j + \sum_i a_i x_i + d$.
    pub fn new(layer: usize, terms: Terms, input: Option<Terms>, constant: Dyadic) -> Self {
        Self { layer, terms, input, constant }
    }
}

impl Terms {
    /// All coefficients of the layer, and how much the function may fall because they lie below the true ones.
    fn dense(&self, below: &[i64], g: i64) -> (Sum, Dyadic) {
        let mut values = vec![0i64; below.len()];
        self.values.iter().for_each(|(i, v)| values[*i] = *v);
        let loss: i128 = self.values.iter().map(|(i, _)| i128::from(below[*i]) * i128::from(self.away)).sum();
        (Sum { exponent: self.exponent, values }, power(loss, self.exponent + g))
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
    fn of(values: Vec<i128>, exponent: i64, below: &[i64], g: i64) -> (Self, Dyadic) {
        let all = values.iter().fold(0u128, |all, v| all | v.unsigned_abs());
        let shift = 128 - i64::from(all.leading_zeros()) - 60;
        if shift <= 0 {
            return (Self { exponent, values: values.into_iter().map(|v| v as i64).collect() }, Dyadic::zero());
        }
        let mask = (1i128 << shift) - 1;
        let lost = values.iter().zip(below).filter(|(v, _)| *v & mask != 0).map(|(_, low)| i128::from(*low));
        let exponent = exponent + shift;
        let loss = power(lost.sum(), exponent + g);
        (Self { exponent, values: values.into_iter().map(|v| (v >> shift) as i64).collect() }, loss)
    }

    /// Shortens the integers to `most` bits; returns how much the function may fall.
    fn shorten(&mut self, most: i64, below: &[i64], exponent: i64) -> Dyadic {
        let all = self.values.iter().fold(0u64, |all, v| all | v.unsigned_abs());
        let shift = bits(all) - most;
        if shift <= 0 {
            return Dyadic::zero();
        }
        self.coarsen(shift, below, exponent)
    }

    fn coarsen(&mut self, shift: i64, below: &[i64], exponent: i64) -> Dyadic {
        let shift = shift.min(63);
        let mask = if shift == 63 { i64::MAX } else { (1i64 << shift) - 1 };
        let mut loss = 0i128;
        for (v, low) in self.values.iter_mut().zip(below) {
            if *v & mask != 0 {
                loss += i128::from(*low);
            }
            *v >>= shift;
        }
        self.exponent += shift;
        power(loss, self.exponent + exponent)
    }
}

/// Adds integers to a layer's; what is lost to shortening is taken from the constant.
fn merge(slot: &mut Option<Sum>, mut new: Sum, below: &[i64], g: i64, constant: &mut Dyadic) -> Result<(), Rejection> {
    let Some(present) = slot else {
        *slot = Some(new);
        return Ok(());
    };
    let gap = present.exponent - new.exponent;
    if gap != 0 {
        let finer = if gap > 0 { &mut new } else { &mut *present };
        let loss = finer.coarsen(gap.abs(), below, g);
        if gap.abs() > 63 {
            return Err(Rejection::Range);
        }
        *constant = constant.minus(&loss);
    }
    for (v, w) in present.values.iter_mut().zip(&new.values) {
        *v = v.checked_add(*w).ok_or(Rejection::Range)?;
    }
    Ok(())
}

/// Takes an objective back to the input.
///
/// # Errors
/// [`Rejection::Range`] where numbers grow beyond the integers.
pub fn back(network: &Network, frame: &Frame, known: &Known, start: Start, slopes: &Slopes) -> Result<Form, Rejection> {
    let mut constant = start.constant;
    let mut sums: Vec<Option<Sum>> = vec![None; start.layer + 1];
    let (sum, loss) = start.terms.dense(&known.below[start.layer], frame.exponent[start.layer]);
    constant = constant.minus(&loss);
    sums[start.layer] = Some(sum);
    if let Some(terms) = start.input {
        let (sum, loss) = terms.dense(&known.below[0], frame.exponent[0]);
        constant = constant.minus(&loss);
        merge(&mut sums[0], sum, &known.below[0], frame.exponent[0], &mut constant)?;
    }
    for k in (1..=start.layer).rev() {
        let Some(mut sum) = sums[k].take() else { continue };
        let (below, g) = (&known.below[k], frame.exponent[k]);
        match &network.layers[k].kind {
            Kind::Input => return Err(Rejection::Range),
            Kind::Affine(terms, bias) => {
                let most = coefficient_bits(frame.fine, network.layers[k].size);
                constant = constant.minus(&sum.shorten(most, below, g));
                let a = &sum.values;
                let mut total = 0i128;
                for (a, b) in a.iter().zip(&bias.values) {
                    let b = i128::from(*b) + if bias.rounded && *a < 0 { 2 } else { 0 };
                    total = total.wrapping_add(i128::from(*a).wrapping_mul(b));
                }
                constant = constant.plus(&power(total, sum.exponent + bias.exponent));
                for (t, (s, map)) in terms.iter().enumerate() {
                    let (below, g) = (&known.below[*s], frame.exponent[*s]);
                    let nonzero = || a.iter().copied().enumerate().filter(|(_, a)| *a != 0);
                    let (new, rounded) = if frame.fine {
                        let mut values = vec![0i128; network.layers[*s].size];
                        nonzero().for_each(|(o, a)| map.add_fine(o, a, &mut values));
                        let (new, loss) = Sum::of(values, sum.exponent + map.fine.exponent, below, g);
                        constant = constant.minus(&loss);
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
                        [all] => nonzero().map(away).sum::<i128>() * all,
                        _ => nonzero().map(|(o, a)| away((o, a)) * reach[o]).sum(),
                    };
                    constant = constant.minus(&power(slack, sum.exponent + exponent - 1 + g));
                    merge(&mut sums[*s], new, below, g, &mut constant)?;
                }
            }
            Kind::Relu(s) => {
                constant = constant.minus(&sum.shorten(coefficient_bits(frame.fine, network.layers[k].size), below, g));
                let r = network.relu_number(k);
                let (range, given) = (&known.ranges[r], slopes.alpha.get(&r));
                // The slope that each coefficient takes.
                let mut total = 0i128;
                let mut slope = |j: usize, a: i64| -> i64 {
                    let (l, u) = (range.lower[j], range.upper[j]);
                    if l >= 0 {
                        WHOLE
                    } else if u <= 0 {
                        0
                    } else if a > 0 {
                        let plain = if u > -l { WHOLE } else { 0 };
                        given.and_then(|g| g.get(&(j as u32)).copied()).unwrap_or(plain)
                    } else {
                        let (l, u, whole) = (i128::from(l), i128::from(u), i128::from(WHOLE));
                        let slope = (u * whole / (u - l)).clamp(0, whole);
                        total += i128::from(a) * (-slope * l).max((whole - slope) * u);
                        slope as i64
                    }
                };
                let (below, g) = (&known.below[*s], frame.exponent[*s]);
                let exponent = sum.exponent - i64::from(SLOPE_BITS);
                let entries = sum.values.iter().enumerate();
                let new = if frame.fine {
                    let product =
                        |(j, a): (usize, &i64)| if *a == 0 { 0 } else { i128::from(*a) * i128::from(slope(j, *a)) };
                    let (new, loss) = Sum::of(entries.map(product).collect(), exponent, below, g);
                    constant = constant.minus(&loss);
                    new
                } else {
                    // 31 bits and 24.
                    let product = |(j, a): (usize, &i64)| if *a == 0 { 0 } else { a * slope(j, *a) };
                    Sum { exponent, values: entries.map(product).collect() }
                };
                constant = constant.plus(&power(total, exponent + g));
                merge(&mut sums[*s], new, below, g, &mut constant)?;
            }
        }
    }
    let none = || Sum { exponent: 0, values: vec![0; network.inputs()] };
    let mut sum = sums[0].take().unwrap_or_else(none);
    // Room for a weight of 20 bits and a sum.
    let loss = sum.shorten(40, &known.below[0], frame.exponent[0]);
    Ok(Form { values: sum.values, exponent: sum.exponent, constant: constant.minus(&loss) })
}

impl Form {
    /// The least value on a box whose corners have exponent `g`.
    pub fn minimum(&self, corners: &Corners, g: i64) -> Dyadic {
        let ends = corners.lower.iter().zip(&corners.upper);
        let terms = self.values.iter().zip(ends);
        let sum: i128 = terms.map(|(a, (l, u))| i128::from(*a) * i128::from(if *a > 0 { *l } else { *u })).sum();
        self.constant.plus(&power(sum, self.exponent + g))
    }
}

/// A lower bound of an objective on a box.
///
/// # Errors
/// See [`back`].
pub fn least(
    network: &Network,
    frame: &Frame,
    known: &Known,
    start: Start,
    slopes: &Slopes,
    corners: &Corners,
) -> Result<Dyadic, Rejection> {
    Ok(back(network, frame, known, start, slopes)?.minimum(corners, frame.exponent[0]))
}
