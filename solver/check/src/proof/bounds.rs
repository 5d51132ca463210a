//! Bounds of all layers on a box, in integers.
//!
//! Layer $k$ has an exponent $g_k$; its bounds are integers $l, u$ of at most 50 bits: $l\,2^{g_k} \le h_k \le u\,2^{g_k}$.
//! A [`Frame`] has the exponents of a region; [`Known`] is what bounds a part of it.

use super::checker::Rejection;
use super::matrix::{Matrix, power};
use super::network::{Kind, Network};
use super::rows::{Slopes, Start, least};
use crate::evaluate::enclosed;
use crate::interval::Interval;
use dashu_ratio::RBig;
use rayon::prelude::*;
use std::sync::Arc;

/// Bits of a bound.
const BITS: i64 = 50;

/// Integer bounds with one exponent.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// $l$.
    pub lower: Vec<i64>,
    /// $u$.
    pub upper: Vec<i64>,
}

/// Bounds of the inputs of the ReLU layers, in their order.
pub type Ranges = Vec<Range>;

/// The exponents $g_k$ of all layers, from bounds on a whole region.
#[derive(Clone, Debug)]
pub struct Frame {
    /// $g_k$.
    pub exponent: Vec<i64>,
    /// Whether to take the fine weights.
    pub fine: bool,
}

/// What a part of a region is known to have.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// $\max(-l, 0)$ of every entry of every layer.
    pub below: Vec<Vec<i64>>,
    /// For every layer and term: see [`super::matrix::Matrix::reach`].
    pub reach: Vec<Vec<Vec<i128>>>,
    /// Bounds of the inputs of the ReLUs.
    pub ranges: Ranges,
}

/// Corners of a box at the exponent of the input.
#[derive(Clone, Debug)]
pub struct Corners {
    /// Lower corner.
    pub lower: Vec<i64>,
    /// Upper corner.
    pub upper: Vec<i64>,
}

/// Integers at an exponent that leaves [`BITS`] bits, rounded outward.
fn settle(bounds: &[Interval]) -> Result<(i64, Range), Rejection> {
    let top = bounds.iter().flat_map(|b| [b.lower.top(), b.upper.top()]).flatten().max().unwrap_or(0);
    let exponent = top - BITS;
    Ok((exponent, at(bounds, exponent)?))
}

/// Integers at an exponent, rounded outward.
fn at(bounds: &[Interval], exponent: i64) -> Result<Range, Rejection> {
    let fit = |v: dashu_int::IBig| i64::try_from(v).map_err(|_| Rejection::Range);
    let lower = bounds.iter().map(|b| fit(b.lower.floor_at(exponent))).collect::<Result<_, _>>()?;
    let upper = bounds.iter().map(|b| fit(b.upper.ceil_at(exponent))).collect::<Result<_, _>>()?;
    Ok(Range { lower, upper })
}

impl Frame {
    /// Exponents for the box with these corners, and what is known on it.
    ///
    /// # Errors
    /// [`Rejection::Range`] where numbers grow beyond the integers.
    pub fn new(network: &Network, lower: &[RBig], upper: &[RBig]) -> Result<(Self, Corners, Known), Rejection> {
        let ends = lower.iter().zip(upper).map(|(l, u)| Interval::new(enclosed(l, 256).lower, enclosed(u, 256).upper));
        let (exponent, input) = settle(&ends.collect::<Vec<_>>())?;
        let corners = Corners { lower: input.lower, upper: input.upper };
        let mut frame = Self { exponent: vec![exponent], fine: false };
        let known = frame.walk(network, &corners, None)?;
        Ok((frame, corners, known))
    }

    /// What is known on a smaller box, where the ReLUs have `parent`'s ranges.
    ///
    /// # Errors
    /// See [`Frame::new`].
    pub fn narrow(&self, network: &Network, corners: &Corners, parent: &Ranges) -> Result<Known, Rejection> {
        self.clone().walk(network, corners, Some(parent))
    }

    /// From the first layer to the last: intervals, and linear bounds of the open entries that ReLUs read.
    fn walk(&mut self, network: &Network, corners: &Corners, parent: Option<&Ranges>) -> Result<Known, Rejection> {
        let mut all = vec![Range { lower: corners.lower.clone(), upper: corners.upper.clone() }];
        let mut known = Known { below: vec![below(&all[0].lower)], reach: vec![Vec::new()], ranges: Vec::new() };
        for (k, layer) in network.layers.iter().enumerate().skip(1) {
            let (range, reach) = match &layer.kind {
                Kind::Input => return Err(Rejection::Range),
                Kind::Relu(source) => {
                    let mut range = all[*source].clone();
                    if let Some(parent) = parent.map(|ranges| &ranges[known.ranges.len()]) {
                        range.lower.iter_mut().zip(&parent.lower).for_each(|(l, p)| *l = (*l).max(*p));
                        range.upper.iter_mut().zip(&parent.upper).for_each(|(u, p)| *u = (*u).min(*p));
                    }
                    self.tighten(network, *source, corners, &known, &mut range)?;
                    known.below[*source] = below(&range.lower);
                    let cut = |side: &[i64]| side.iter().map(|v| (*v).max(0)).collect();
                    let image = Range { lower: cut(&range.lower), upper: cut(&range.upper) };
                    known.ranges.push(range);
                    if parent.is_none() {
                        self.exponent.push(self.exponent[*source]);
                    }
                    (image, Vec::new())
                }
                Kind::Affine(terms, _) => {
                    let image = self.image(network, k, &all)?;
                    let range = match parent {
                        None => {
                            let (g, range) = settle(&image)?;
                            self.exponent.push(g);
                            range
                        }
                        Some(_) => at(&image, self.exponent[k])?,
                    };
                    let reach = |(s, map): &(usize, Arc<Matrix>)| {
                        map.reach(|i| all[*s].lower[i].abs().max(all[*s].upper[i].abs()))
                    };
                    (range, terms.iter().map(reach).collect())
                }
            };
            known.below.push(below(&range.lower));
            known.reach.push(reach);
            all.push(range);
        }
        Ok(known)
    }

    /// Interval arithmetic through an affine layer.
    fn image(&self, network: &Network, k: usize, all: &[Range]) -> Result<Vec<Interval>, Rejection> {
        let Kind::Affine(terms, bias) = &network.layers[k].kind else { return Err(Rejection::Range) };
        let mut sums: Vec<Interval> = (0..network.layers[k].size)
            .map(|o| {
                let value = i128::from(bias.values[o]);
                let above = value + if bias.rounded { 2 } else { 0 };
                Interval::new(power(value, bias.exponent), power(above, bias.exponent))
            })
            .collect();
        for (s, map) in terms {
            let exponent = map.fine.exponent + self.exponent[*s];
            for (o, sum) in sums.iter_mut().enumerate() {
                let (mut low, mut high, mut slack) = (0i128, 0i128, 0i128);
                for (i, q) in map.row(o) {
                    let (l, u) = (i128::from(all[*s].lower[i]), i128::from(all[*s].upper[i]));
                    let q = i128::from(q);
                    // 54 bits and 51: sums of fewer than 2^20 such products do not wrap.
                    let (least, most) = if q > 0 { (l, u) } else { (u, l) };
                    low = low.wrapping_add(q.wrapping_mul(least));
                    high = high.wrapping_add(q.wrapping_mul(most));
                    slack += l.abs().max(u.abs());
                }
                let slack = slack * i128::from(map.fine.rounded[o]);
                let (low, high) = (power(2 * low - slack, exponent - 1), power(2 * high + slack, exponent - 1));
                *sum = sum.plus(&Interval::new(low, high));
            }
        }
        Ok(sums)
    }

    /// Tightens the open entries of layer `k` by linear bounds; where it is a direct image of the input, intervals are
    /// as good.
    fn tighten(
        &self,
        network: &Network,
        k: usize,
        corners: &Corners,
        known: &Known,
        range: &mut Range,
    ) -> Result<(), Rejection> {
        if reads_input(network, k) {
            return Ok(());
        }
        let open: Vec<usize> = (0..range.lower.len()).filter(|o| range.lower[*o] < 0 && range.upper[*o] > 0).collect();
        let bound = |o: usize, sign: i64| -> Result<i64, Rejection> {
            let least = least(network, self, known, Start::entry(k, o, sign), &Slopes::NONE, corners)?;
            Ok(i64::try_from(least.floor_at(self.exponent[k])).unwrap_or(i64::MIN))
        };
        let both = |o: &usize| Ok((bound(*o, 1)?, bound(*o, -1)?));
        let ends: Vec<(i64, i64)> = open.par_iter().map(both).collect::<Result<_, Rejection>>()?;
        for (o, (lower, minus_upper)) in open.into_iter().zip(ends) {
            range.lower[o] = range.lower[o].max(lower);
            range.upper[o] = range.upper[o].min(minus_upper.checked_neg().unwrap_or(i64::MAX));
        }
        Ok(())
    }
}

fn below(lower: &[i64]) -> Vec<i64> {
    lower.iter().map(|l| (-*l).max(0)).collect()
}

/// Whether an affine layer reads the input alone.
fn reads_input(network: &Network, k: usize) -> bool {
    matches!(&network.layers[k].kind, Kind::Affine(terms, _) if terms.iter().all(|(s, _)| *s == 0))
}
