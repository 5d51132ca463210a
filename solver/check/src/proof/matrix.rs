//! Weights as integers with one exponent.
//!
//! $W_{oi} = (q_{oi} + r_{oi})\, 2^e$ with an integer $|q_{oi}| \le 2^{25}$ and $0 \le r_{oi} \le 2$; $r_{oi} = 0$ where
//! the weight fits. Rows with entries that do not fit are marked.

use crate::error::Fault;
use crate::interval::{Dyadic, Interval};
use dashu_int::IBig;

/// Bits of a weight.
pub const WEIGHT_BITS: i64 = 25;

/// A matrix, row by row, one row per output.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Number of inputs.
    pub inputs: usize,
    /// $e$.
    pub exponent: i64,
    /// Whether some entry of the row was rounded.
    pub rounded: Vec<bool>,
    entries: Entries,
}

#[derive(Clone, Debug)]
enum Entries {
    /// All entries.
    Dense(Vec<i32>),
    /// Where each row starts, and its inputs and entries.
    Sparse(Vec<usize>, Vec<u32>, Vec<i32>),
}

/// The entry of a row: its input and the integer.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// One entry per input.
    Dense(&'a [i32]),
    /// Inputs and entries.
    Sparse(&'a [u32], &'a [i32]),
}

impl Matrix {
    /// A matrix from rows of (input, weight), at most one weight per input.
    ///
    /// # Errors
    /// [`Fault::Range`] where a weight is not known to two units.
    pub fn new(inputs: usize, rows: Vec<Vec<(u32, Interval)>>) -> Result<Self, Fault> {
        let tops = rows.iter().flatten().flat_map(|(_, w)| [w.lower.top(), w.upper.top()]).flatten();
        let top = tops.max().unwrap_or(0);
        let exponent = top - WEIGHT_BITS;
        let quantised = |w: &Interval| -> Result<(i32, bool), Fault> {
            let (below, above) = (w.lower.floor_at(exponent), w.upper.ceil_at(exponent));
            if &above - &below > IBig::from(2) {
                return Err(Fault::Range);
            }
            let rounded = below != above;
            Ok((i32::try_from(below).map_err(|_| Fault::Range)?, rounded))
        };
        let mut rounded = Vec::with_capacity(rows.len());
        let count: usize = rows.iter().map(Vec::len).sum();
        let dense = 2 * count >= rows.len() * inputs;
        let (mut all, mut starts, mut index, mut values) = (Vec::new(), vec![0], Vec::new(), Vec::new());
        if dense {
            all = vec![0i32; rows.len() * inputs];
        }
        for (o, row) in rows.iter().enumerate() {
            let mut inexact = false;
            for (i, w) in row {
                let (q, was) = quantised(w)?;
                inexact |= was;
                if dense {
                    all[o * inputs + *i as usize] = q;
                } else if q != 0 || was {
                    index.push(*i);
                    values.push(q);
                }
            }
            rounded.push(inexact);
            starts.push(index.len());
        }
        let entries = if dense { Entries::Dense(all) } else { Entries::Sparse(starts, index, values) };
        Ok(Self { inputs, exponent, rounded, entries })
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.rounded.len()
    }

    /// The entries of output `o`.
    pub fn row(&self, o: usize) -> Row<'_> {
        match &self.entries {
            Entries::Dense(all) => Row::Dense(&all[o * self.inputs..(o + 1) * self.inputs]),
            Entries::Sparse(starts, index, values) => {
                let range = starts[o]..starts[o + 1];
                Row::Sparse(&index[range.clone()], &values[range])
            }
        }
    }

    /// $\text{sum} \mathrel{+}= a\, q_o$.
    #[inline]
    pub fn add_row(&self, o: usize, a: i64, sum: &mut [i64]) {
        match self.row(o) {
            // Both factors have 32 bits: this is one multiplication per lane.
            Row::Dense(row) => {
                let a = a as i32;
                row.iter().zip(sum).for_each(|(q, s)| *s += i64::from(a) * i64::from(*q));
            }
            Row::Sparse(index, values) => {
                index.iter().zip(values).for_each(|(i, q)| sum[*i as usize] += a * i64::from(*q));
            }
        }
    }

    /// For output `o`, $\sum_i$ of `most` over the inputs that its row reads.
    pub fn reach(&self, o: usize, most: &[i64]) -> i128 {
        match self.row(o) {
            Row::Dense(_) => most.iter().map(|m| i128::from(*m)).sum(),
            Row::Sparse(index, _) => index.iter().map(|i| i128::from(most[*i as usize])).sum(),
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
