//! Bounds of all layers on a box, in integers.
//!
//! Layer $k$ has an exponent $g_k$; its bounds are integers $l, u$ of at most 50 bits: $l\,2^{g_k} \le h_k \le u\,2^{g_k}$.
//! A [`Frame`] bounds every layer on the whole region; a [`Ranges`] bounds the inputs of the ReLUs on a part of it.

use super::checker::Rejection;
use super::matrix::{Row, power};
use super::network::{Kind, Network};
use super::rows::{Slopes, Start, least};
use crate::evaluate::enclosed;
use crate::interval::{Dyadic, Interval};
use dashu_ratio::RBig;

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

/// Bounds of every layer on a region, and what follows from them once for all.
#[derive(Clone, Debug)]
pub struct Frame {
    /// $g_k$.
    pub exponent: Vec<i64>,
    /// $\max(-l, 0)$ of every entry.
    pub below: Vec<Vec<i64>>,
    /// For each layer and term, for each output: the sum of the greatest magnitudes that its row reads.
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
    let fit = |v: dashu_int::IBig| i64::try_from(v).map_err(|_| Rejection::Range);
    let lower = bounds.iter().map(|b| fit(b.lower.floor_at(exponent))).collect::<Result<_, _>>()?;
    let upper = bounds.iter().map(|b| fit(b.upper.ceil_at(exponent))).collect::<Result<_, _>>()?;
    Ok((exponent, Range { lower, upper }))
}

impl Frame {
    /// Bounds of every layer on the box with these corners: intervals, and where a ReLU reads the layer also the
    /// linear bounds of its entries.
    ///
    /// # Errors
    /// [`Rejection::Range`] where numbers grow beyond the integers.
    pub fn new(network: &Network, lower: &[RBig], upper: &[RBig]) -> Result<(Self, Corners), Rejection> {
        let ends = lower.iter().zip(upper).map(|(l, u)| Interval::new(enclosed(l, 256).lower, enclosed(u, 256).upper));
        let (exponent, input) = settle(&ends.collect::<Vec<_>>())?;
        let corners = Corners { lower: input.lower.clone(), upper: input.upper.clone() };
        let mut frame =
            Self { exponent: vec![exponent], below: Vec::new(), reach: vec![Vec::new()], ranges: Vec::new() };
        let mut all = vec![input];
        frame.below.push(below(&all[0].lower));
        for (k, layer) in network.layers.iter().enumerate().skip(1) {
            match &layer.kind {
                Kind::Input => return Err(Rejection::Range),
                Kind::Relu(source) => {
                    let (g, range) =
                        (frame.exponent[*source], frame.tighten(network, *source, &corners, &all[*source])?);
                    let cut = |side: &[i64]| side.iter().map(|v| (*v).max(0)).collect();
                    all.push(Range { lower: cut(&range.lower), upper: cut(&range.upper) });
                    frame.ranges.push(range);
                    frame.exponent.push(g);
                    frame.reach.push(Vec::new());
                }
                Kind::Affine(..) => {
                    let (g, range) = settle(&frame.image(network, k, &all)?)?;
                    all.push(range);
                    frame.exponent.push(g);
                    let Kind::Affine(terms, _) = &layer.kind else { return Err(Rejection::Range) };
                    let most = |s: usize| -> Vec<i64> {
                        all[s].lower.iter().zip(&all[s].upper).map(|(l, u)| l.abs().max(u.abs())).collect()
                    };
                    let reach = terms.iter().map(|(s, map)| {
                        let most = most(*s);
                        (0..map.outputs()).map(|o| if map.rounded[o] { map.reach(o, &most) } else { 0 }).collect()
                    });
                    frame.reach.push(reach.collect());
                }
            }
            frame.below.push(below(&all[k].lower));
        }
        Ok((frame, corners))
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
            let exponent = map.exponent + self.exponent[*s];
            for (o, sum) in sums.iter_mut().enumerate() {
                let (mut low, mut high, mut slack) = (0i128, 0i128, 0i128);
                let mut add = |i: usize, q: i32| {
                    let (l, u) = (i128::from(all[*s].lower[i]), i128::from(all[*s].upper[i]));
                    let q = i128::from(q);
                    low += if q > 0 { q * l } else { q * u };
                    high += if q > 0 { q * u } else { q * l };
                    slack += 2 * l.abs().max(u.abs());
                };
                match map.row(o) {
                    Row::Dense(row) => row.iter().enumerate().for_each(|(i, q)| add(i, *q)),
                    Row::Sparse(index, values) => index.iter().zip(values).for_each(|(i, q)| add(*i as usize, *q)),
                }
                let slack = if map.rounded[o] { slack } else { 0 };
                *sum = sum.plus(&Interval::new(power(low - slack, exponent), power(high + slack, exponent)));
            }
        }
        Ok(sums)
    }

    /// The bounds of layer `k`, where it is not a direct image of the input tightened by linear bounds of its open entries.
    fn tighten(&self, network: &Network, k: usize, corners: &Corners, known: &Range) -> Result<Range, Rejection> {
        let mut range = known.clone();
        if reads_input(network, k) {
            return Ok(range);
        }
        for o in 0..range.lower.len() {
            if range.lower[o] < 0 && range.upper[o] > 0 {
                let bound = |sign: i64| -> Result<Dyadic, Rejection> {
                    least(network, self, &self.ranges, Start::entry(k, o, sign), &Slopes::NONE, corners)
                };
                let fit = |v: dashu_int::IBig| i64::try_from(v).unwrap_or(i64::MIN);
                range.lower[o] = range.lower[o].max(fit(bound(1)?.floor_at(self.exponent[k])));
                if range.lower[o] < 0 {
                    let above = fit(bound(-1)?.floor_at(self.exponent[k]));
                    range.upper[o] = range.upper[o].min(above.checked_neg().unwrap_or(i64::MAX));
                }
            }
        }
        Ok(range)
    }

    /// Bounds of the inputs of the ReLUs on a smaller box, none looser than `known`: intervals from layer to layer, and
    /// linear bounds of what is still open.
    ///
    /// # Errors
    /// See [`Frame::new`].
    pub fn narrow(&self, network: &Network, corners: &Corners, known: &Ranges) -> Result<Ranges, Rejection> {
        let mut part = Frame { ranges: Vec::with_capacity(known.len()), ..self.light() };
        let mut all = vec![Range { lower: corners.lower.clone(), upper: corners.upper.clone() }];
        for (k, layer) in network.layers.iter().enumerate().skip(1) {
            if part.ranges.len() == known.len() {
                break;
            }
            all.push(match &layer.kind {
                Kind::Input => return Err(Rejection::Range),
                Kind::Relu(source) => {
                    let mut range = all[*source].clone();
                    let known = &known[part.ranges.len()];
                    range.lower.iter_mut().zip(&known.lower).for_each(|(l, k)| *l = (*l).max(*k));
                    range.upper.iter_mut().zip(&known.upper).for_each(|(u, k)| *u = (*u).min(*k));
                    range = part.tighten(network, *source, corners, &range)?;
                    let cut = |side: &[i64]| side.iter().map(|v| (*v).max(0)).collect();
                    let image = Range { lower: cut(&range.lower), upper: cut(&range.upper) };
                    part.ranges.push(range);
                    image
                }
                Kind::Affine(..) => {
                    let fit = |v: dashu_int::IBig| i64::try_from(v).map_err(|_| Rejection::Range);
                    let (mut lower, mut upper) = (Vec::with_capacity(layer.size), Vec::with_capacity(layer.size));
                    for value in self.image(network, k, &all)? {
                        lower.push(fit(value.lower.floor_at(self.exponent[k]))?);
                        upper.push(fit(value.upper.ceil_at(self.exponent[k]))?);
                    }
                    Range { lower, upper }
                }
            });
        }
        Ok(part.ranges)
    }

    /// The same without the ranges.
    fn light(&self) -> Self {
        Self {
            exponent: self.exponent.clone(),
            below: self.below.clone(),
            reach: self.reach.clone(),
            ranges: Vec::new(),
        }
    }
}

fn below(lower: &[i64]) -> Vec<i64> {
    lower.iter().map(|l| (-*l).max(0)).collect()
}

/// Whether an affine layer reads the input alone.
fn reads_input(network: &Network, k: usize) -> bool {
    matches!(&network.layers[k].kind, Kind::Affine(terms, _) if terms.iter().all(|(s, _)| *s == 0))
}
