//! An objective taken back to the input: a linear function of the input below it.
//!
//! From the last layer to the first, $\langle a, h_k \rangle$ becomes a function of the layers that $h_k$ is computed
//! from. Coefficients are integers with one exponent per layer; wherever they are shortened, the floor is taken: the
//! true coefficient is $a + \delta$ with $0 \le \delta < 1$, and $\delta h \ge -\max(-l, 0)$, which the constant pays. Lines
//! below and above a ReLU on $[l, u]$, $l < 0 < u$:
//! $$ \alpha z \le \max(z, 0) \le s z + \max(-s l, (1 - s) u), \qquad \alpha, s \in [0, 1]. $$

use super::bounds::{Corners, Frame, Ranges};
use super::checker::Rejection;
use super::matrix::{WEIGHT_BITS, power};
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

/// What to bound from below.
#[derive(Clone, Debug)]
pub struct Start {
    layer: usize,
    /// Coefficients of the layer.
    values: Vec<(usize, i64)>,
    /// Their exponent.
    exponent: i64,
    /// Coefficients of the input and their exponent.
    input: Option<(Vec<(usize, i64)>, i64)>,
    /// A constant.
    constant: Dyadic,
}

impl Start {
    /// $\pm h_{ko}$.
    pub fn entry(layer: usize, o: usize, sign: i64) -> Self {
        Self { layer, values: vec![(o, sign)], exponent: 0, input: None, constant: Dyadic::zero() }
    }

    /// $\sum_j (b_j + \delta_j) y_j + \sum_i (a_i + \delta_i) x_i + d$ with each $0 \le \delta < 1$ unit.
    pub fn new(
        layer: usize,
        (values, exponent): (Vec<(usize, i64)>, i64),
        input: Option<(Vec<(usize, i64)>, i64)>,
        constant: Dyadic,
    ) -> Self {
        Self { layer, values, exponent, input, constant }
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

impl Sum {
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
pub fn back(
    network: &Network,
    frame: &Frame,
    ranges: &Ranges,
    start: Start,
    slopes: &Slopes,
) -> Result<Form, Rejection> {
    let mut constant = start.constant;
    let mut sums: Vec<Option<Sum>> = vec![None; start.layer + 1];
    let dense = |entries: &[(usize, i64)], size: usize| {
        let mut values = vec![0i64; size];
        entries.iter().for_each(|(i, v)| values[*i] = *v);
        values
    };
    let size = network.layers[start.layer].size;
    sums[start.layer] = Some(Sum { exponent: start.exponent, values: dense(&start.values, size) });
    if let Some((entries, exponent)) = start.input {
        let sum = Sum { exponent, values: dense(&entries, network.inputs()) };
        merge(&mut sums[0], sum, &frame.below[0], frame.exponent[0], &mut constant)?;
    }
    let relu_number: BTreeMap<usize, usize> = network.relus().enumerate().map(|(r, (k, _))| (k, r)).collect();
    for k in (1..=start.layer).rev() {
        let Some(mut sum) = sums[k].take() else { continue };
        let (below, g) = (&frame.below[k], frame.exponent[k]);
        match &network.layers[k].kind {
            Kind::Input => return Err(Rejection::Range),
            Kind::Affine(terms, bias) => {
                // Sums of that many products stay below 2^61.
                let room = 61 - WEIGHT_BITS - bits(network.layers[k].size as u64);
                constant = constant.minus(&sum.shorten(room.min(31), below, g));
                let a = &sum.values;
                let mut total = 0i128;
                for (a, b) in a.iter().zip(&bias.values) {
                    total += i128::from(*a) * i128::from(*b);
                    if bias.rounded && *a < 0 {
                        total += 2 * i128::from(*a);
                    }
                }
                constant = constant.plus(&power(total, sum.exponent + bias.exponent));
                for (t, (s, map)) in terms.iter().enumerate() {
                    let mut values = vec![0i64; network.layers[*s].size];
                    let mut slack = 0i128;
                    for (o, a) in a.iter().enumerate().filter(|(_, a)| **a != 0) {
                        map.add_row(o, *a, &mut values);
                        slack += 2 * i128::from(a.abs()) * frame.reach[k][t][o];
                    }
                    let exponent = sum.exponent + map.exponent;
                    constant = constant.minus(&power(slack, exponent + frame.exponent[*s]));
                    let new = Sum { exponent, values };
                    merge(&mut sums[*s], new, &frame.below[*s], frame.exponent[*s], &mut constant)?;
                }
            }
            Kind::Relu(s) => {
                constant = constant.minus(&sum.shorten(31, below, g));
                let r = relu_number[&k];
                let (range, given) = (&ranges[r], slopes.alpha.get(&r));
                let mut values = vec![0i64; sum.values.len()];
                let mut total = 0i128;
                for (j, a) in sum.values.iter().enumerate().filter(|(_, a)| **a != 0) {
                    let (l, u) = (range.lower[j], range.upper[j]);
                    values[j] = if l >= 0 {
                        a * WHOLE
                    } else if u <= 0 {
                        0
                    } else if *a > 0 {
                        let plain = if u > -l { WHOLE } else { 0 };
                        a * given.and_then(|g| g.get(&(j as u32)).copied()).unwrap_or(plain)
                    } else {
                        let (l, u, whole) = (i128::from(l), i128::from(u), i128::from(WHOLE));
                        let slope = (u * whole / (u - l)).clamp(0, whole);
                        let touch = (-slope * l).max((whole - slope) * u);
                        total += i128::from(*a) * touch;
                        a * slope as i64
                    };
                }
                let exponent = sum.exponent - i64::from(SLOPE_BITS);
                constant = constant.plus(&power(total, exponent + frame.exponent[*s]));
                merge(&mut sums[*s], Sum { exponent, values }, &frame.below[*s], frame.exponent[*s], &mut constant)?;
            }
        }
    }
    let none = || Sum { exponent: 0, values: vec![0; network.inputs()] };
    let mut sum = sums[0].take().unwrap_or_else(none);
    // Room for a weight of 20 bits and a sum.
    let loss = sum.shorten(40, &frame.below[0], frame.exponent[0]);
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
    ranges: &Ranges,
    start: Start,
    slopes: &Slopes,
    corners: &Corners,
) -> Result<Dyadic, Rejection> {
    Ok(back(network, frame, ranges, start, slopes)?.minimum(corners, frame.exponent[0]))
}
