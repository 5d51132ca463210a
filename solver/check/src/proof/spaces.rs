//! Ranges of ReLU inputs that are affine functions of the network's input, narrowed by half-spaces.
//!
//! A split's sign there is a half-space $F(x) \le 0$, and where a claim's form is positive its disjunct is refuted: that
//! leaves one more. For any multipliers $\gamma_k \ge 0$, on the part of the box inside all of them,
//! $$ \pm z_o(x) \;\ge\; A(x) \;\ge\; \min_{x \in \text{box}} \Big( A(x) + \sum_k \gamma_k F_k(x) \Big). $$
//! The multipliers are found here, from the last half-space to the first; the sum holds whatever they are.
//!
//! # Source
//! Zhou et al., *Clip-and-verify*, 2025 (linear constraints on intermediate bounds).

use super::bounds::{Corners, Frame, Known, Ranges};
use super::format::{Slopes, Split, exact};
use super::matrix::power;
use super::network::{Function, Kind, Network};
use super::rejection::Rejection;
use super::rows::{Form, Start, back};

/// Bits of a coefficient.
const BITS: i64 = 30;

/// More bits for the coefficients of sums.
const MORE: i64 = 24;

/// Slopes of fewer bits than this below the sum of magnitudes are none.
const FLAT: u32 = 27;

/// The most that a multiplier may be, in units of its sum.
const MOST: i128 = 1 << 38;

/// A multiplier where more is better, in units of the one that makes masses equal.
const BEYOND: i128 = 64;

/// The most inputs.
const INPUTS: usize = 64;

/// Bits of a constant.
const CONSTANT: u32 = 88;

/// Bits of a form's constant, less than those to leave room for what shortening takes.
const CONSTANT_BITS: i64 = 86;

/// Bits of a sum's coefficients.
const SUM: u32 = 69;

/// The half-space $\langle a, x \rangle + c \le 0$, or the function itself.
#[derive(Clone, Debug)]
pub struct Space {
    values: Vec<i64>,
    exponent: i64,
    /// In units of the coefficients times those of the input.
    constant: i128,
}

impl Space {
    /// A function below a form, with fewer bits where its constant is large; `None` where it is that alone.
    pub fn below(form: &Form, below: &[i64], g: i64) -> Option<Self> {
        let all = form.values.iter().fold(0u64, |all, v| all | v.unsigned_abs());
        let shift = 64 - i64::from(all.leading_zeros()) - BITS;
        let shift = form.constant.top().map_or(shift, |top| shift.max(top - form.exponent - g - CONSTANT_BITS)).max(0);
        if shift > 62 {
            return None;
        }
        let mask = (1i64 << shift) - 1;
        let lost = form.values.iter().zip(below).filter(|(v, _)| **v & mask != 0).map(|(_, b)| i128::from(*b)).sum();
        let exponent = form.exponent + shift;
        let constant = form.constant.minus(&power(lost, exponent + g)).floor_at(exponent + g);
        let constant = i128::try_from(constant).ok().filter(|c| c.unsigned_abs() >> CONSTANT == 0)?;
        Some(Self { values: form.values.iter().map(|v| v >> shift).collect(), exponent, constant })
    }
}

impl Space {
    /// A half-space with these coefficients and constant, moved out until it holds this one; this one where its integers do not
    /// hold it.
    pub fn widened(self, coefficients: &[f64], constant: f64, corners: &Corners, g: i64) -> Self {
        let floor = |v: f64, exponent: i64| exact(v).map(|v| v.floor_at(exponent));
        let value = |v: &f64| i64::try_from(floor(*v, self.exponent)?).ok().filter(|v| v.unsigned_abs() >> 32 == 0);
        let values: Option<Vec<i64>> = coefficients.iter().map(value).collect();
        let constant = floor(constant, self.exponent + g).and_then(|c| i128::try_from(c).ok());
        let (Some(values), Some(constant)) = (values, constant.filter(|c| c.unsigned_abs() >> CONSTANT == 0)) else {
            return self;
        };
        if values.len() != self.values.len() {
            return self;
        }
        // The least of the difference on the box: 33 bits and 51, and the sum over the inputs.
        let ends = self.values.iter().zip(&values).zip(corners.lower.iter().zip(&corners.upper));
        let least = |((a, b), (l, u)): ((&i64, &i64), (&i64, &i64))| {
            let difference = i128::from(a - b);
            difference * i128::from(if difference > 0 { *l } else { *u })
        };
        let difference = ends.map(least).sum::<i128>() + self.constant - constant;
        let constant = constant + difference.min(0);
        if constant.unsigned_abs() >> CONSTANT > 0 { self } else { Self { values, exponent: self.exponent, constant } }
    }
}

/// A ReLU layer whose inputs are affine functions of the network's input: functions below $z_o$ and $-z_o$.
#[derive(Clone, Debug)]
pub struct Direct {
    /// The layer, by number.
    layer: usize,
    /// Its source.
    source: usize,
    entries: Vec<Option<[Space; 2]>>,
}

/// Every such layer of a network, on a box; none of networks of more than 64 inputs.
///
/// # Errors
/// [`Rejection::Range`] where numbers grow beyond the integers.
pub fn direct(network: &Network, frame: &Frame, known: &Known) -> Result<Vec<Direct>, Rejection> {
    let frame = &Frame { fine: true, ..frame.clone() };
    let mut found = Vec::new();
    if network.inputs() > INPUTS {
        return Ok(found);
    }
    for (k, layer) in network.layers.iter().enumerate() {
        let Kind::Activation(source, Function::Relu) = layer.kind else { continue };
        let Kind::Affine(terms, _) = &network.layers[source].kind else { continue };
        if !matches!(terms.as_slice(), [(0, _)]) {
            continue;
        }
        let side = |o: usize, sign: i64| -> Result<Option<Space>, Rejection> {
            let form = back(network, frame, known.view(), Start::entry(source, o, sign), &Slopes::default(), None)?;
            Ok(Space::below(&form, &known.below[0], frame.exponent[0]))
        };
        let entry = |o: usize| Ok(side(o, 1)?.zip(side(o, -1)?).map(|(below, minus)| [below, minus]));
        let entries = (0..layer.size).map(entry).collect::<Result<_, Rejection>>()?;
        found.push(Direct { layer: network.number(k), source, entries });
    }
    Ok(found)
}

/// Narrows the open ranges of these layers to the part of the box on which the signs of the splits hold and a function is
/// not positive; says whether any point is left.
pub fn narrow(
    frame: &Frame,
    layers: &[Direct],
    corners: &Corners,
    function: &Space,
    splits: &[Split],
    ranges: &mut Ranges,
) -> bool {
    let side = |split: &Split| {
        let layer = layers.iter().find(|layer| layer.layer == split.layer as usize)?;
        // Where $z \ge 0$, a function below $-z$ is not positive.
        layer.entries.get(split.neuron as usize)?.as_ref().map(|both| &both[usize::from(split.active)])
    };
    let spaces: Vec<&Space> = std::iter::once(function).chain(splits.iter().filter_map(side)).collect();
    for layer in layers {
        let (g, range) = (frame.exponent[layer.source], &mut ranges[layer.layer]);
        for (o, both) in layer.entries.iter().enumerate() {
            let Some(both) = both.as_ref().filter(|_| range.lower[o] < 0 && range.upper[o] > 0) else { continue };
            let end = |of: &Space| -> i64 {
                let Some(least) = least(of, corners, &spaces) else { return i64::MIN };
                let least = power(least, of.exponent - MORE + frame.exponent[0]).floor_at(g);
                i64::try_from(least).unwrap_or(i64::MIN)
            };
            // What lies far outside says only that nothing is left.
            range.lower[o] = range.lower[o].max(end(&both[0]).min(range.upper[o] + 1));
            range.upper[o] =
                range.upper[o].min(end(&both[1]).checked_neg().unwrap_or(i64::MAX).max(range.lower[o] - 1));
        }
    }
    ranges.iter().all(|range| range.lower.iter().zip(&range.upper).all(|(l, u)| l <= u))
}

/// A lower bound of a function on the part of the box inside the half-spaces, with [`MORE`] bits; `None` where the integers
/// do not hold it.
fn least(of: &Space, corners: &Corners, spaces: &[&Space]) -> Option<i128> {
    let mut a: Vec<i128> = of.values.iter().map(|v| i128::from(*v) << MORE).collect();
    let mut constant = of.constant << MORE;
    for space in spaces.iter().rev() {
        let gamma = multiplier(&a, corners, space);
        if gamma > 0 {
            a.iter_mut().zip(&space.values).for_each(|(a, v)| *a += gamma * i128::from(*v));
            constant = constant.checked_add(gamma.checked_mul(space.constant)?)?;
            if a.iter().any(|a| a.unsigned_abs() >> SUM > 0) {
                return None;
            }
        }
    }
    // 69 bits and 51, and the sum over the inputs.
    let ends = a.iter().zip(corners.lower.iter().zip(&corners.upper));
    let products = ends.map(|(a, (l, u))| a * i128::from(if *a > 0 { *l } else { *u }));
    products.into_iter().try_fold(constant, |sum, product| sum.checked_add(product))
}

/// The $\gamma \ge 0$ that about maximises $\min_x \langle a + \gamma A, x \rangle + \gamma c$ over the box: concave and linear
/// between the $\gamma_i = -a_i / A_i$, where the slope falls by $|A_i| (u_i - l_i)$.
fn multiplier(a: &[i128], corners: &Corners, space: &Space) -> i128 {
    // 30 bits and 51, and the sum over the inputs.
    let mut slope = space.constant;
    let mut mass = space.constant.unsigned_abs();
    let mut kinks: Vec<(i128, i128)> = Vec::with_capacity(a.len());
    for (i, of) in space.values.iter().enumerate() {
        let (l, u) = (corners.lower[i], corners.upper[i]);
        slope += i128::from(*of) * i128::from(if a[i] >= 0 { l } else { u });
        mass += u128::from(of.unsigned_abs()) * u128::from(l.unsigned_abs().max(u.unsigned_abs()));
        if (a[i] >= 0) == (*of < 0) && *of != 0 {
            kinks.push(((a[i] / i128::from(*of)).abs(), i128::from(of.abs()) * i128::from(u - l)));
        }
    }
    // A slope that rounding may have made counts as none, here as in the search.
    let flat = (mass >> FLAT) as i128;
    if slope <= flat {
        return 0;
    }
    kinks.sort_unstable();
    for (at, fall) in &kinks {
        slope -= fall;
        if slope <= flat {
            return (*at).min(MOST);
        }
    }
    // It rises without end: nothing lies inside.
    let all = |v: &mut dyn Iterator<Item = u128>| v.sum::<u128>() as i128;
    let own = all(&mut space.values.iter().map(|v| u128::from(v.unsigned_abs())));
    (BEYOND * (all(&mut a.iter().map(|a| a.unsigned_abs())) / own.max(1))).min(MOST)
}
