//! Weights as integers with one exponent.
//!
//! $W_{oi} = (q_{oi} + r_{oi})\, 2^e$ with the nearest integer $q_{oi}$; every row has a bound of its $|r_{oi}|$, which is 0
//! where all its weights fit. There are two such forms: coarse ones of 25 bits, for speed, and fine ones of 53.

use crate::error::Fault;
use crate::interval::{Dyadic, Interval};
use dashu_int::IBig;

/// Bits of a coarse weight.
pub const COARSE: i64 = 25;

/// Bits of a fine weight.
pub const FINE: i64 = 53;

/// Rows have fewer entries, so that sums over them do not wrap.
pub const LONGEST: usize = 1 << 20;

/// A matrix, row by row, one row per output.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Number of inputs.
    pub inputs: usize,
    /// For the matrices that are mostly zeros: where each row starts, and the input of each entry.
    sparse: Option<(Vec<usize>, Vec<u32>)>,
    /// Few bits.
    pub coarse: Weights<i32>,
    /// Many bits.
    pub fine: Weights<i64>,
}

/// The entries in one form.
#[derive(Clone, Debug)]
pub struct Weights<T> {
    /// $e$.
    pub exponent: i64,
    /// For every row, how far its entries are from the weights, in half units.
    pub rounded: Vec<u8>,
    values: Vec<T>,
}

/// An entry on the way into a matrix.
#[derive(Clone, Debug)]
pub enum Weight {
    /// $m\,2^e$.
    Exact(i64, i64),
    /// What is known of it.
    Between(Interval),
}

impl From<Interval> for Weight {
    fn from(value: Interval) -> Self {
        match i64::try_from(value.lower.mantissa.clone()) {
            Ok(mantissa) if value.is_point() && mantissa != i64::MIN => Self::Exact(mantissa, value.lower.exponent),
            _ => Self::Between(value),
        }
    }
}

impl Weight {
    /// 1.
    pub const ONE: Self = Self::Exact(1, 0);

    /// $-w$.
    pub fn negated(&self) -> Self {
        match self {
            Self::Exact(mantissa, exponent) => Self::Exact(-mantissa, *exponent),
            Self::Between(value) => Self::Between(value.negated()),
        }
    }

    /// $t$ with $|w| < 2^t$; `None` for 0.
    fn top(&self) -> Option<i64> {
        match self {
            Self::Exact(0, _) => None,
            Self::Exact(mantissa, exponent) => Some(exponent + 64 - i64::from(mantissa.unsigned_abs().leading_zeros())),
            Self::Between(value) => [value.lower.top(), value.upper.top()].into_iter().flatten().max(),
        }
    }

    /// The nearest integer in units of $2^e$, and how far away the weight is, in half units.
    fn nearest(&self, unit: i64) -> Result<(i64, u8), Fault> {
        match self {
            Self::Exact(mantissa, exponent) => {
                let (mantissa, shift) = (i128::from(*mantissa), unit - exponent);
                let (q, exact) = match shift {
                    ..=-64 => (0, mantissa == 0),
                    -63..=0 => (mantissa << -shift, true),
                    1..=65 => {
                        let q = (mantissa + (1 << (shift - 1))) >> shift;
                        (q, q << shift == mantissa)
                    }
                    _ => (0, mantissa == 0),
                };
                let fits = if shift <= -64 && !exact { None } else { i64::try_from(q).ok() };
                Ok((fits.ok_or(Fault::Range)?, u8::from(!exact)))
            }
            Self::Between(value) => {
                let (q, away) = nearest(&value.lower.floor_at(unit - 1), &value.upper.ceil_at(unit - 1))?;
                Ok((i64::try_from(q).map_err(|_| Fault::Range)?, away))
            }
        }
    }
}

/// $|2 q - v|$ for the nearest $q$ of every $v \in [\text{below}, \text{above}]$, which are twice the weight.
fn nearest(below: &IBig, above: &IBig) -> Result<(IBig, u8), Fault> {
    let q: IBig = (below + IBig::ONE) >> 1;
    let twice = &q + &q;
    let away = (&twice - below).max(above - &twice);
    let away = u8::try_from(away).ok().filter(|away| *away <= 2).ok_or(Fault::Range)?;
    Ok((q, away))
}

impl Matrix {
    /// A matrix from rows of (input, weight), at most one weight per input.
    ///
    /// # Errors
    /// [`Fault::Range`] where a weight is not known to a unit, and for rows of [`LONGEST`] entries.
    pub fn new(inputs: usize, rows: Vec<Vec<(u32, Weight)>>) -> Result<Self, Fault> {
        if rows.iter().any(|row| row.len() >= LONGEST) {
            return Err(Fault::Range);
        }
        let top = rows.iter().flatten().filter_map(|(_, w)| w.top()).max().unwrap_or(0);
        let count: usize = rows.iter().map(Vec::len).sum();
        let dense = 2 * count >= rows.len() * inputs;
        let (mut starts, mut index) = (vec![0], Vec::new());
        let mut coarse = Weights { exponent: top - COARSE, rounded: Vec::new(), values: Vec::new() };
        let mut fine = Weights { exponent: top - FINE, rounded: Vec::new(), values: Vec::new() };
        if dense {
            coarse.values = vec![0i32; rows.len() * inputs];
            fine.values = vec![0i64; rows.len() * inputs];
        }
        for (o, row) in rows.iter().enumerate() {
            let mut away = (0, 0);
            for (i, w) in row {
                let ((few, few_away), (many, many_away)) = (w.nearest(coarse.exponent)?, w.nearest(fine.exponent)?);
                away = (few_away.max(away.0), many_away.max(away.1));
                let few = i32::try_from(few).map_err(|_| Fault::Range)?;
                if dense {
                    coarse.values[o * inputs + *i as usize] = few;
                    fine.values[o * inputs + *i as usize] = many;
                } else {
                    index.push(*i);
                    coarse.values.push(few);
                    fine.values.push(many);
                }
            }
            coarse.rounded.push(away.0);
            fine.rounded.push(away.1);
            starts.push(index.len());
        }
        Ok(Self { inputs, sparse: (!dense).then_some((starts, index)), coarse, fine })
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.coarse.rounded.len()
    }

    /// Whether it is the identity.
    pub fn is_identity(&self) -> bool {
        let one = u32::try_from(-self.fine.exponent).ok().and_then(|places| 1i64.checked_shl(places));
        let diagonal = |o: usize| {
            let mut entries = self.row(o).filter(|(_, v)| *v != 0);
            entries.next().is_some_and(|(i, v)| i == o && Some(v) == one) && entries.next().is_none()
        };
        let rounded = self.fine.rounded.iter().any(|away| *away > 0);
        self.inputs == self.outputs() && !rounded && (0..self.inputs).all(diagonal)
    }

    /// How many entries output `o` may have.
    pub fn terms(&self, o: usize) -> usize {
        self.sparse.as_ref().map_or(self.inputs, |(starts, _)| starts[o + 1] - starts[o])
    }

    /// The inputs and fine entries of output `o`.
    pub fn row(&self, o: usize) -> impl Iterator<Item = (usize, i64)> + '_ {
        let (index, range) = match &self.sparse {
            None => (None, o * self.inputs..(o + 1) * self.inputs),
            Some((starts, index)) => (Some(&index[starts[o]..starts[o + 1]]), starts[o]..starts[o + 1]),
        };
        let values = self.fine.values[range].iter().enumerate();
        values.map(move |(e, q)| (index.map_or(e, |index| index[e] as usize), *q))
    }

    /// $\text{sum} \mathrel{+}= a\, q_o$ with coarse entries; $a$ has at most 31 bits, and few enough that sums over all rows do not wrap.
    #[inline]
    pub fn add_coarse(&self, o: usize, a: i64, sum: &mut [i64]) {
        match &self.sparse {
            // Both factors have 32 bits: this is one multiplication per lane.
            None => {
                let a = a as i32;
                let row = &self.coarse.values[o * self.inputs..(o + 1) * self.inputs];
                row.iter().zip(sum).for_each(|(q, s)| *s = s.wrapping_add(i64::from(a) * i64::from(*q)));
            }
            Some((starts, index)) => {
                let range = starts[o]..starts[o + 1];
                let row = index[range.clone()].iter().zip(&self.coarse.values[range]);
                row.for_each(|(i, q)| {
                    let s = &mut sum[*i as usize];
                    *s = s.wrapping_add(a.wrapping_mul(i64::from(*q)));
                });
            }
        }
    }

    /// The same with fine entries.
    pub fn add_fine(&self, o: usize, a: i64, sum: &mut [i128]) {
        let a = i128::from(a);
        self.row(o).for_each(|(i, q)| sum[i] += a * i128::from(q));
    }

    /// The sum of `most` over the inputs that output `o` reads, where `whole` is that over all.
    pub fn reached(&self, o: usize, most: &[i64], whole: i128) -> i128 {
        let of = |(starts, index): &(Vec<usize>, Vec<u32>)| {
            index[starts[o]..starts[o + 1]].iter().map(|i| i128::from(most[*i as usize])).sum()
        };
        self.sparse.as_ref().map_or(whole, of)
    }

    /// For every row, the sum of `most` over the inputs that it reads; one sum where all rows read everything, none where
    /// no entry was rounded.
    pub fn reach(&self, most: impl Fn(usize) -> i64) -> Vec<i128> {
        if self.coarse.rounded.iter().chain(&self.fine.rounded).all(|away| *away == 0) {
            return Vec::new();
        }
        match &self.sparse {
            None => vec![(0..self.inputs).map(|i| i128::from(most(i))).sum()],
            Some((starts, index)) => starts
                .windows(2)
                .map(|range| index[range[0]..range[1]].iter().map(|i| i128::from(most(*i as usize))).sum())
                .collect(),
        }
    }
}

/// Numbers as 60-bit integers with one exponent; where some were rounded, each lies at most two units above.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// $e$.
    pub exponent: i64,
    /// The integers.
    pub values: Vec<i64>,
    /// Whether any was rounded.
    pub rounded: bool,
}

impl Numbers {
    /// Rounds the lower ends down.
    ///
    /// # Errors
    /// [`Fault::Range`] where a number is not known to two units.
    pub fn new(numbers: &[Interval]) -> Result<Self, Fault> {
        let top = numbers.iter().flat_map(|n| [n.lower.top(), n.upper.top()]).flatten().max().unwrap_or(0);
        let exponent = top - 60;
        let (mut values, mut rounded) = (Vec::with_capacity(numbers.len()), false);
        for n in numbers {
            let (below, above) = (n.lower.floor_at(exponent), n.upper.ceil_at(exponent));
            if &above - &below > IBig::from(2) {
                return Err(Fault::Range);
            }
            rounded |= below != above;
            values.push(i64::try_from(below).map_err(|_| Fault::Range)?);
        }
        Ok(Self { exponent, values, rounded })
    }
}

/// $m\,2^e$.
pub fn power(m: i128, exponent: i64) -> Dyadic {
    Dyadic::new(m.into(), exponent)
}

/// A sum of numbers $m\,2^e$, rounded down.
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    units: i128,
    exponent: i64,
}

impl Constant {
    /// Bits that are kept, at least.
    const BITS: i64 = 124;

    /// $m\,2^e$.
    pub fn new(units: i128, exponent: i64) -> Self {
        Self { units, exponent }
    }

    /// A number, or one a little below.
    pub fn of(value: &Dyadic) -> Self {
        let value = value.clone().round_down(Self::BITS as usize);
        let units = i128::try_from(value.mantissa).expect("so many bits fit");
        Self { units, exponent: value.exponent }
    }

    /// Adds $m\,2^e$, $|m| < 2^{127}$.
    pub fn plus(&mut self, m: i128, exponent: i64) {
        if m == 0 {
            return;
        }
        if self.units == 0 {
            (self.units, self.exponent) = (m, exponent);
            return;
        }
        let top = |m: i128, e: i64| e + 128 - i64::from(m.unsigned_abs().leading_zeros());
        let finest = top(self.units, self.exponent).max(top(m, exponent)) - Self::BITS;
        let to = self.exponent.min(exponent).max(finest);
        // What is raised has at most so many bits there.
        let at = |m: i128, from: i64| if from >= to { m << (from - to) } else { m >> (to - from).min(127) };
        (self.units, self.exponent) = (at(self.units, self.exponent) + at(m, exponent), to);
    }

    /// Adds a number, or one a little below.
    pub fn add(&mut self, value: &Dyadic) {
        let Self { units, exponent } = Self::of(value);
        self.plus(units, exponent);
    }

    /// Takes $m\,2^e$ away.
    pub fn minus(&mut self, (m, exponent): (i128, i64)) {
        self.plus(-m, exponent);
    }

    /// The greatest multiple of $2^e$ that is not above.
    pub fn floor_at(self, exponent: i64) -> Option<i64> {
        let shift = exponent - self.exponent;
        if shift >= 0 {
            return i64::try_from(self.units >> shift.min(127)).ok();
        }
        let units = i64::try_from(self.units).ok()?;
        let room = i64::from(units.unsigned_abs().leading_zeros());
        if units == 0 || -shift < room { Some(units << -shift.max(-63)) } else { None }
    }

    /// The sum.
    pub fn value(self) -> Dyadic {
        power(self.units, self.exponent)
    }
}
