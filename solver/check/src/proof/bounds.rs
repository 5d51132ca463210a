//! Bounds of all layers on a box, in integers.
//!
//! Layer $k$ has an exponent $g_k$; its bounds are integers $l, u$ of at most 50 bits: $l\,2^{g_k} \le h_k \le u\,2^{g_k}$.
//! A [`Frame`] has the exponents of a region; [`Known`] is what bounds a part of it.

use super::curves::{self, Lines, MIDDLE, NOWHERE};
use super::format::{Cover, Entry, SLOPE_BITS, Slopes, Split, Table, exact};
use super::lines::{INTERCEPT_BITS, Line, RELU_BITS, image, lines, relu};
use super::matrix::{Constant, Matrix, power};
use super::network::{Factor, Function, Kind, Layer, Network, Rounding};
use super::planes::{Plane, plane};
use super::rejection::Rejection;
use super::rows::{Start, View, least};
use crate::evaluate::enclosed;
use crate::interval::{Dyadic, Interval};
use crate::semantics;
use dashu_ratio::RBig;
use rayon::prelude::*;
use std::sync::Arc;

/// Rows that one thread takes up together, at least.
const ROWS_AT_ONCE: usize = 16;

/// Bits of a bound.
const BITS: i64 = 50;

/// Exponents of what curved functions and products read stay between this and its negative.
const SPAN: i64 = 1 << 14;

/// Summands $e^z$ of a softmax count as unbounded where $z$ may reach two to this power; all others have at most 24 bits.
pub const LARGE: i64 = 4;

/// Bits of a summand that has an upper bound.
const CAP: i64 = 24;

// $\log_2 e < 1.443$.
const _: () = assert!((1 << LARGE) * 1443 < CAP * 1000);

/// The upper end of an entry without an upper bound: one of a layer of such summands, or one that reads it with weights that are
/// not negative. Functions other than $1/z$ and products do not take such entries.
const UNBOUNDED: i64 = 1 << 56;

/// Whether a number has more bits than a bound may.
fn is_far(v: i64) -> bool {
    v.unsigned_abs() >> (BITS + 1) > 0
}

/// Integer bounds with one exponent.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// $l$.
    pub lower: Vec<i64>,
    /// $u$.
    pub upper: Vec<i64>,
}

/// Bounds of the inputs of the layers of functions, in their order.
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
    /// How far the execution of every entry of an affine layer may be from what it computes; empty for none.
    pub noise: Vec<Vec<i64>>,
    /// Bounds of the inputs of the functions.
    pub ranges: Ranges,
    /// Lines below and above the functions on these ranges.
    pub lines: Vec<Lines>,
    /// Planes below and above products on these ranges, with equal shares, under their first numbers; empty under others.
    pub planes: Vec<Vec<[Plane; 2]>>,
    /// For every layer, whether all its entries have been bounded by lines.
    tightened: Vec<bool>,
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
    // What is far too large is not shifted up.
    let huge = |v: &Dyadic| v.top().is_some_and(|top| top > exponent + 64);
    if bounds.iter().any(|b| huge(&b.lower) || huge(&b.upper)) {
        return Err(Rejection::Range);
    }
    let fit = |v: dashu_int::IBig| i64::try_from(v).map_err(|_| Rejection::Range);
    let lower = bounds.iter().map(|b| fit(b.lower.floor_at(exponent))).collect::<Result<_, _>>()?;
    let upper = bounds.iter().map(|b| fit(b.upper.ceil_at(exponent))).collect::<Result<_, _>>()?;
    Ok(Range { lower, upper })
}

impl Frame {
    /// A frame with the exponent of the input, and the corners of a box.
    ///
    /// # Errors
    /// [`Rejection::Range`] where numbers grow beyond the integers.
    pub fn new(lower: &[RBig], upper: &[RBig]) -> Result<(Self, Corners), Rejection> {
        let ends = lower.iter().zip(upper).map(|(l, u)| Interval::new(enclosed(l, 256).lower, enclosed(u, 256).upper));
        let (exponent, input) = settle(&ends.collect::<Vec<_>>())?;
        let corners = Corners { lower: input.lower, upper: input.upper };
        Ok((Self { exponent: vec![exponent], fine: false }, corners))
    }

    /// Whether the other layers have no exponents yet.
    pub fn is_new(&self) -> bool {
        self.exponent.len() == 1
    }

    /// Exponents for the box with these corners, and what is known on it with the help of a table; `None` where no point of it
    /// has the ranges that the table shows.
    ///
    /// # Errors
    /// [`Rejection::Range`] where numbers grow beyond the integers, [`Rejection::Domain`] where a function is not defined,
    /// [`Rejection::Table`] for entries that do not exist.
    pub fn start(&mut self, network: &Network, corners: &Corners, table: &Table) -> Result<Option<Known>, Rejection> {
        self.exponent.truncate(1);
        self.walk(network, corners, None, table)
    }

    /// What is known on a smaller box, where the ReLUs have `parent`'s ranges and those that a table shows; `None` where
    /// they contradict each other, which shows that no point has them.
    ///
    /// # Errors
    /// See [`Frame::new`]; [`Rejection::Table`] for entries that do not exist.
    pub fn narrow(
        &self,
        network: &Network,
        corners: &Corners,
        parent: &Ranges,
        table: &Table,
    ) -> Result<Option<Known>, Rejection> {
        self.clone().walk(network, corners, Some(parent), table)
    }

    /// From the first layer to the last: intervals, and linear bounds of the entries that functions read, for ReLUs of the
    /// open ones.
    fn walk(
        &mut self,
        network: &Network,
        corners: &Corners,
        parent: Option<&Ranges>,
        table: &Table,
    ) -> Result<Option<Known>, Rejection> {
        let mut all = vec![Range { lower: corners.lower.clone(), upper: corners.upper.clone() }];
        let (below_input, nothing) = (below(&all[0].lower), Vec::new());
        let mut known =
            Known { below: vec![below_input], reach: vec![Vec::new()], noise: vec![nothing], ..Known::default() };
        known.tightened = vec![false; network.layers.len()];
        // Intervals of what is divided by or has its root taken: next to large numbers, units may be too coarse to tell that
        // it leaves 0 alone.
        let wanted = network.divisors();
        let mut sharp: Vec<Vec<Interval>> = vec![Vec::new(); network.layers.len()];
        for (k, layer) in network.layers.iter().enumerate().skip(1) {
            let (range, reach, noise, open) = match &layer.kind {
                Kind::Input => return Err(Rejection::Range),
                Kind::Activation(source, function) => {
                    let curved = *function != Function::Relu;
                    if !self.read(network, (*source, curved), corners, parent, table, &mut known, &mut all)? {
                        return Ok(None);
                    }
                    let (g, given) = (self.exponent[*source], parent.map(|_| self.exponent[k]));
                    let range = &all[*source];
                    let (exponent, values, lines) = apply(*function, (range, g), given, &sharp[*source], layer.capped)?;
                    known.lines.push(lines);
                    known.planes.push(Vec::new());
                    if parent.is_none() {
                        self.exponent.push(exponent);
                    }
                    let open = match layer.capped {
                        true => values.upper.iter().map(|u| *u == UNBOUNDED).collect(),
                        false => Vec::new(),
                    };
                    (values, Vec::new(), Vec::new(), open)
                }
                Kind::Product(left, right) => {
                    for source in [left.source, right.source] {
                        if !self.read(network, (source, true), corners, parent, table, &mut known, &mut all)? {
                            return Ok(None);
                        }
                        known.lines.push(Lines::default());
                    }
                    let values = self.products((left, right), &all)?;
                    let sides = |(i, j): (&u32, &u32)| {
                        let end = |factor: &Factor, i: u32| {
                            let range = &all[factor.source];
                            (range.lower[i as usize], range.upper[i as usize])
                        };
                        [true, false].map(|below| plane(end(left, *i), end(right, *j), MIDDLE, below))
                    };
                    known.planes.push(left.index.iter().zip(&right.index).map(sides).collect());
                    known.planes.push(Vec::new());
                    if parent.is_none() {
                        self.exponent.push(settle(&values)?.0);
                    }
                    (at(&values, self.exponent[k])?, Vec::new(), Vec::new(), Vec::new())
                }
                Kind::Affine(terms, _) => {
                    let (mut image, open) = self.image(network, k, &all)?;
                    let noise = self.noise(network, k, &all)?;
                    for (ends, e) in image.iter_mut().zip(&noise) {
                        ends.iter_mut().for_each(|end| end.add(&e.negated()));
                    }
                    let far = |lower: &Dyadic| lower.clone().max(Dyadic::power_of_two(2 * SPAN));
                    let ends = |([lower, minus_upper], open): (&[Constant; 2], &bool)| {
                        let lower = lower.value();
                        let upper = if *open { far(&lower) } else { minus_upper.value().negated() };
                        Interval::new(lower, upper)
                    };
                    if wanted[k] {
                        sharp[k] = image.iter().zip(&open).map(ends).collect();
                    }
                    if parent.is_none() {
                        let all = image.iter().zip(&open).map(ends);
                        let bounded = all.zip(&open).map(|(e, open)| if *open { Interval::point(e.lower) } else { e });
                        let exponent = settle(&bounded.collect::<Vec<_>>())?.0;
                        // There is room for all that will be bounded on a part.
                        let sums = CAP + i64::from(layer.size.max(network.longest(k)).ilog2()) + 2 - BITS;
                        self.exponent.push(if open.contains(&true) { exponent.max(sums) } else { exponent });
                    }
                    let floor = |end: Constant| end.floor_at(self.exponent[k]).ok_or(Rejection::Range);
                    let lower = image.iter().map(|ends| floor(ends[0])).collect::<Result<_, _>>()?;
                    let upper = |(ends, open): (&[Constant; 2], &bool)| match open {
                        true => Ok(UNBOUNDED),
                        false => floor(ends[1])?.checked_neg().ok_or(Rejection::Range),
                    };
                    let upper = image.iter().zip(&open).map(upper).collect::<Result<_, _>>()?;
                    let range = Range { lower, upper };
                    let reach = |(s, map): &(usize, Arc<Matrix>)| {
                        map.reach(|i| all[*s].lower[i].abs().max(all[*s].upper[i].abs()))
                    };
                    let noise = noise.iter().map(|e| i64::try_from(e.ceil_at(self.exponent[k])));
                    let noise = noise.collect::<Result<_, _>>().map_err(|_| Rejection::Range)?;
                    (range, terms.iter().map(reach).collect(), noise, open)
                }
            };
            // A table's ranges may be wider than what the exponents were made for, and a number may happen to be `UNBOUNDED`.
            let no_bound = |(j, u): (usize, &i64)| is_far(*u) && !open.get(j).is_some_and(|open| *open);
            if range.lower.iter().any(|l| is_far(*l)) || range.upper.iter().enumerate().any(no_bound) {
                return Err(Rejection::Range);
            }
            if network.executed && self.exponent[k] + BITS > semantics::TOP {
                return Err(Rejection::Range);
            }
            known.noise.push(noise);
            known.below.push(below(&range.lower));
            known.reach.push(reach);
            all.push(range);
        }
        Ok(Some(known))
    }

    /// The range of a layer that the next function or product reads, as tight as parent, lines and table make it; `false` where
    /// they contradict each other.
    #[allow(clippy::too_many_arguments)]
    fn read(
        &self,
        network: &Network,
        (source, everything): (usize, bool),
        corners: &Corners,
        parent: Option<&Ranges>,
        table: &Table,
        known: &mut Known,
        all: &mut [Range],
    ) -> Result<bool, Rejection> {
        let number = known.ranges.len();
        let mut range = all[source].clone();
        if let Some(parent) = parent.map(|ranges| &ranges[number]) {
            range.lower.iter_mut().zip(&parent.lower).for_each(|(l, p)| *l = (*l).max(*p));
            range.upper.iter_mut().zip(&parent.upper).for_each(|(u, p)| *u = (*u).min(*p));
        }
        if !known.tightened[source] {
            self.tighten(network, source, everything, corners, known, &mut range)?;
            known.tightened[source] = everything;
        }
        for (_, entries) in table.layers.iter().filter(|(r, _)| *r as usize == number) {
            self.follow(network, source, corners, known, entries, &mut range)?;
        }
        // Upper ends of too many bits are none, and beside them lower ends of too many bits are cut.
        for (l, u) in range.lower.iter_mut().zip(&mut range.upper).filter(|(_, u)| is_far(**u) && **u > 0) {
            (*l, *u) = ((*l).min(1 << BITS), UNBOUNDED);
        }
        if range.lower.iter().zip(&range.upper).any(|(l, u)| l > u) {
            return Ok(false);
        }
        for (_, wider) in table.ranges.iter().filter(|(r, _)| *r as usize == number) {
            self.widen(source, wider, &mut range)?;
        }
        known.below[source] = below(&range.lower);
        known.ranges.push(range.clone());
        // Others may read that layer too.
        all[source] = range;
        Ok(true)
    }

    /// The values of products.
    fn products(&self, (left, right): (&Factor, &Factor), all: &[Range]) -> Result<Vec<Interval>, Rejection> {
        if [left, right].iter().any(|factor| self.exponent[factor.source].abs() > SPAN) {
            return Err(Rejection::Range);
        }
        let end = |factor: &Factor, i: u32| {
            let (range, g) = (&all[factor.source], self.exponent[factor.source]);
            let [l, u] = [range.lower[i as usize], range.upper[i as usize]].map(|v| Dyadic::new(v.into(), g));
            Interval::new(l, u)
        };
        if [left, right].iter().any(|factor| all[factor.source].upper.contains(&UNBOUNDED)) {
            return Err(Rejection::Range);
        }
        let pairs = left.index.par_iter().zip(&right.index);
        Ok(pairs.map(|(i, j)| end(left, *i).times(&end(right, *j))).collect())
    }

    /// Interval arithmetic through an affine layer: lower ends, and upper ends negated.
    /// Says as well which have no upper bound.
    fn image(&self, network: &Network, k: usize, all: &[Range]) -> Result<(Vec<[Constant; 2]>, Vec<bool>), Rejection> {
        let Kind::Affine(terms, bias) = &network.layers[k].kind else { return Err(Rejection::Range) };
        let start = |value: &i64| {
            let above = i128::from(*value) + if bias.rounded { 2 } else { 0 };
            [(*value).into(), -above].map(|units| Constant::new(units, bias.exponent))
        };
        let mut sums: Vec<[Constant; 2]> = bias.values.iter().map(start).collect();
        let mut open = vec![false; sums.len()];
        for (s, map) in terms {
            let exponent = map.fine.exponent + self.exponent[*s];
            let unbounded = all[*s].upper.contains(&UNBOUNDED);
            let reach: Vec<i64> = all[*s].lower.iter().zip(&all[*s].upper).map(|(l, u)| l.abs().max(u.abs())).collect();
            let whole: i128 = reach.iter().map(|reach| i128::from(*reach)).sum();
            for (o, [below, above]) in sums.iter_mut().enumerate() {
                let (mut low, mut high) = (0i128, 0i128);
                for (i, q) in map.row(o) {
                    // 54 bits and 51: sums of fewer than 2^20 such products do not wrap, and no row has more.
                    let (a, b) = (all[*s].lower[i], all[*s].upper[i]);
                    let b = if b == UNBOUNDED { a } else { b };
                    let (least, most) = if q > 0 { (a, b) } else { (b, a) };
                    low = low.wrapping_add(i128::from(q).wrapping_mul(i128::from(least)));
                    high = high.wrapping_add(i128::from(q).wrapping_mul(i128::from(most)));
                }
                if unbounded {
                    let read = || map.row(o).filter(|(i, _)| all[*s].upper[*i] == UNBOUNDED);
                    open[o] |= read().next().is_some();
                    if map.fine.rounded[o] > 0 || map.coarse.rounded[o] > 0 || read().any(|(_, q)| q < 0) {
                        return Err(Rejection::Range);
                    }
                }
                let rounded = i128::from(map.fine.rounded[o]);
                let slack = if rounded == 0 { 0 } else { rounded * map.reached(o, &reach, whole) };
                below.plus(2 * low - slack, exponent - 1);
                above.plus(-2 * high - slack, exponent - 1);
            }
        }
        Ok((sums, open))
    }

    /// How far the execution of an affine layer may be from what it computes; empty for none.
    fn noise(&self, network: &Network, k: usize, all: &[Range]) -> Result<Vec<Dyadic>, Rejection> {
        let Layer { size, kind: Kind::Affine(terms, _), rounding, .. } = &network.layers[k] else {
            return Err(Rejection::Range);
        };
        let (roundings, magnitude) = match rounding {
            Rounding::None => return Ok(Vec::new()),
            Rounding::Smooth => return Ok(vec![Dyadic::power_of_two(semantics::SMOOTH); *size]),
            Rounding::Sum(roundings, magnitude) => (*roundings, magnitude),
        };
        if terms.iter().any(|(s, _)| all[*s].upper.contains(&UNBOUNDED)) {
            return Err(Rejection::Range);
        }
        let entry = |o: usize| {
            let (mut count, mut mass) = (roundings, magnitude[o].clone());
            for (s, map) in terms {
                let most = |i: usize| i128::from(all[*s].lower[i].abs().max(all[*s].upper[i].abs()));
                // 54 bits and 51, as in the image.
                let products = map.row(o).map(|(i, q)| (i128::from(q.abs()).wrapping_mul(most(i)), most(i)));
                let (sum, reach) = products.fold((0i128, 0i128), |(a, b), (p, m)| (a.wrapping_add(p), b + m));
                let sum = 2 * sum + reach * i128::from(map.fine.rounded[o]);
                mass = mass.plus(&power(sum, map.fine.exponent + self.exponent[*s] - 1));
                count += map.terms(o);
            }
            if count > semantics::MOST || mass.top().is_some_and(|top| top > semantics::TOP) {
                return Err(Rejection::Range);
            }
            // $m u / (1 - m u)$ of it, rounded up.
            let (count, rest) =
                (Dyadic::new(count.into(), 0), Dyadic::new(((1usize << semantics::BITS) - count).into(), 0));
            let share = mass.times(&count).over(&rest, 64).ok_or(Rejection::Range)?;
            Ok(share.upper.plus(&Dyadic::power_of_two(semantics::LOST)))
        };
        (0..*size).into_par_iter().with_min_len(ROWS_AT_ONCE).map(entry).collect()
    }

    /// Tightens the entries of layer `k` that matter to what reads it by linear bounds; where it is a direct image of the
    /// input, intervals are as good.
    fn tighten(
        &self,
        network: &Network,
        k: usize,
        everything: bool,
        corners: &Corners,
        known: &Known,
        range: &mut Range,
    ) -> Result<(), Rejection> {
        if is_direct(network, k) {
            return Ok(());
        }
        let matters = |o: &usize| everything || (range.lower[*o] < 0 && range.upper[*o] > 0);
        let open: Vec<usize> = (0..range.lower.len()).filter(matters).collect();
        let bound = |o: usize, sign: i64| -> Result<i64, Rejection> {
            match least(network, self, known.view(), Start::entry(k, o, sign), &Slopes::default(), corners) {
                Ok(least) => Ok(i64::try_from(least.floor_at(self.exponent[k])).unwrap_or(i64::MIN)),
                Err(Rejection::Unbounded) => Ok(i64::MIN),
                Err(why) => Err(why),
            }
        };
        let opposite = &network.layers[k].opposite;
        if everything && !opposite.is_empty() {
            let lower = open.par_iter().with_min_len(ROWS_AT_ONCE).map(|o| bound(*o, 1));
            let lower: Vec<i64> = lower.collect::<Result<_, Rejection>>()?;
            for (o, other) in opposite.iter().enumerate() {
                range.lower[o] = range.lower[o].max(lower[o]);
                let upper = lower[*other as usize].checked_neg().unwrap_or(i64::MAX);
                range.upper[o] = range.upper[o].min(upper);
            }
            return Ok(());
        }
        let both = |o: &usize| Ok((bound(*o, 1)?, bound(*o, -1)?));
        let ends: Vec<(i64, i64)> =
            open.par_iter().with_min_len(ROWS_AT_ONCE).map(both).collect::<Result<_, Rejection>>()?;
        for (o, (lower, minus_upper)) in open.into_iter().zip(ends) {
            range.lower[o] = range.lower[o].max(lower);
            range.upper[o] = range.upper[o].min(minus_upper.checked_neg().unwrap_or(i64::MAX));
        }
        Ok(())
    }

    /// Tightens entries of layer `k`, the source of the next ReLU layer, as a table says.
    fn follow(
        &self,
        network: &Network,
        k: usize,
        corners: &Corners,
        known: &Known,
        entries: &[Entry],
        range: &mut Range,
    ) -> Result<(), Rejection> {
        let bound = |entry: &Entry| -> Result<Option<i64>, Rejection> {
            if entry.neuron as usize >= network.layers[k].size {
                return Err(Rejection::Table);
            }
            let start = Start::entry(k, entry.neuron as usize, if entry.upper { -1 } else { 1 });
            let mut part = Leaves { network, frame: self, known, corners, start, ranges: None, splits: Vec::new() };
            let least = match part.least(&entry.cover) {
                Err(Rejection::Unbounded) => return Ok(Some(i64::MIN)),
                least => least?,
            };
            Ok(least.map(|least| i64::try_from(least.floor_at(self.exponent[k])).unwrap_or(i64::MIN)))
        };
        let found: Vec<Option<i64>> = entries.par_iter().map(bound).collect::<Result<_, Rejection>>()?;
        for (entry, least) in entries.iter().zip(found) {
            let (least, o) = (least.unwrap_or(i64::MAX), entry.neuron as usize);
            if entry.upper {
                range.upper[o] = range.upper[o].min(least.checked_neg().unwrap_or(i64::MAX));
            } else {
                range.lower[o] = range.lower[o].max(least);
            }
        }
        Ok(())
    }
}

impl Frame {
    /// Takes no tighter ranges than these.
    fn widen(&self, k: usize, ranges: &[(u32, f64, f64)], range: &mut Range) -> Result<(), Rejection> {
        for (neuron, lower, upper) in ranges {
            let o = *neuron as usize;
            let (Some(lower), Some(upper)) = (exact(*lower), exact(*upper)) else { return Err(Rejection::Table) };
            if o >= range.lower.len() {
                return Err(Rejection::Table);
            }
            let end = |v: dashu_int::IBig| i64::try_from(v).map_err(|_| Rejection::Table);
            // Bounds of many bits would not fit into the sums.
            let (lower, upper) = (end(lower.floor_at(self.exponent[k]))?, end(upper.ceil_at(self.exponent[k]))?);
            if lower.unsigned_abs().max(upper.unsigned_abs()) >> (BITS + 1) > 0 {
                return Err(Rejection::Table);
            }
            range.lower[o] = range.lower[o].min(lower);
            range.upper[o] = range.upper[o].max(upper);
        }
        Ok(())
    }
}

/// The parts of a cover.
struct Leaves<'a> {
    network: &'a Network,
    frame: &'a Frame,
    known: &'a Known,
    corners: &'a Corners,
    start: Start,
    /// Those of `known`, cut by `splits`; made at the first split.
    ranges: Option<Ranges>,
    splits: Vec<Split>,
}

impl Leaves<'_> {
    /// The least bound of all parts; `None` where there is none that holds a point.
    fn least(&mut self, cover: &Cover) -> Result<Option<Dyadic>, Rejection> {
        match cover {
            Cover::Leaf(slopes) => {
                let ranges = self.ranges.as_ref().unwrap_or(&self.known.ranges);
                let view = View { known: self.known, ranges, splits: &self.splits };
                least(self.network, self.frame, view, self.start.clone(), slopes, self.corners).map(Some)
            }
            Cover::Halves(layer, neuron, halves) => {
                let mut least: Option<Dyadic> = None;
                for (half, active) in halves.iter().zip([false, true]) {
                    let split = Split { layer: *layer, neuron: *neuron, active };
                    let ranges = self.ranges.get_or_insert_with(|| self.known.ranges.clone());
                    let (l, u) = cut(ranges, split).ok_or(Rejection::Table)?;
                    let range = &self.ranges.as_ref().expect("just made")[*layer as usize];
                    let found = if range.lower[*neuron as usize] > range.upper[*neuron as usize] {
                        None
                    } else {
                        self.splits.push(split);
                        let found = self.least(half)?;
                        self.splits.pop();
                        found
                    };
                    let range = &mut self.ranges.as_mut().expect("just made")[*layer as usize];
                    (range.lower[*neuron as usize], range.upper[*neuron as usize]) = (l, u);
                    least = match (least, found) {
                        (Some(a), Some(b)) => Some(if a.minus(&b).is_negative() { a } else { b }),
                        (a, b) => a.or(b),
                    };
                }
                Ok(least)
            }
        }
    }
}

/// Cuts a range by a sign and returns what it was; `None` if there is no such neuron.
pub fn cut(ranges: &mut Ranges, split: Split) -> Option<(i64, i64)> {
    let range = ranges.get_mut(split.layer as usize)?;
    let j = split.neuron as usize;
    let was = (*range.lower.get(j)?, *range.upper.get(j)?);
    if split.active {
        range.lower[j] = was.0.max(0);
    } else {
        range.upper[j] = was.1.min(0);
    }
    Some(was)
}

/// Bits behind the point of the values of sigmoid and tanh.
const VALUE_BITS: i64 = 50;

/// The values of a function on ranges with exponent `g`, their exponent (which may be given), and lines. Ranges may be known
/// more sharply than in these units, and values may be capped.
fn apply(
    function: Function,
    (range, g): (&Range, i64),
    given: Option<i64>,
    sharp: &[Interval],
    capped: bool,
) -> Result<(i64, Range, Lines), Rejection> {
    let of = |slope: i64, intercept: i64, lines: Vec<[Line; 2]>| Lines { slope, intercept, lines, bends: Vec::new() };
    let slope = -i64::from(SLOPE_BITS);
    if function != Function::Reciprocal && range.upper.contains(&UNBOUNDED) {
        return Err(Rejection::Range);
    }
    if function == Function::Relu {
        let cut = |side: &[i64]| side.iter().map(|v| (*v).max(0)).collect();
        let lines = range.lower.iter().zip(&range.upper).map(|(l, u)| relu(*l, *u, false)).collect();
        let values = Range { lower: cut(&range.lower), upper: cut(&range.upper) };
        return Ok((g, values, of(slope, g - RELU_BITS, lines)));
    }
    if function.is_curved() {
        return bent(function, (range, g), given, sharp, capped);
    }
    let end = |v: i64| Dyadic::new(v.into(), g);
    let entry = |(l, u): (&i64, &i64)| {
        let (l, u) = (end(*l), end(*u));
        (image(function, &Interval::new(l.clone(), u.clone())), lines(function, &l, &u))
    };
    let (values, lines): (Vec<Interval>, Vec<[Line; 2]>) = range.lower.par_iter().zip(&range.upper).map(entry).unzip();
    Ok((-VALUE_BITS, at(&values, -VALUE_BITS)?, of(slope, -INTERCEPT_BITS, lines)))
}

/// The same for a curved function.
fn bent(
    function: Function,
    (range, g): (&Range, i64),
    given: Option<i64>,
    sharp: &[Interval],
    capped: bool,
) -> Result<(i64, Range, Lines), Rejection> {
    if g.abs() > SPAN {
        return Err(Rejection::Range);
    }
    let ends = range.lower.iter().zip(&range.upper).enumerate().map(|(o, (l, u))| {
        let [l, u] = [l, u].map(|v| Dyadic::new((*v).into(), g));
        let Some(sharp) = sharp.get(o) else { return Interval::new(l, u) };
        // Where the two contradict each other, no point has either.
        let (lower, upper) = (l.clone().max(sharp.lower.clone()), u.clone().min(sharp.upper.clone()));
        if lower <= upper { Interval::new(lower, upper) } else { Interval::new(l, u) }
    });
    let mut ends: Vec<Interval> = ends.collect();
    // Where the argument, or the value, has no upper bound, lines are constants.
    let open: Vec<bool> = if capped {
        let most = |end: &Interval| end.upper.top().is_some_and(|top| top > LARGE && !end.upper.is_negative());
        ends.iter().map(most).collect()
    } else {
        range.upper.iter().map(|u| *u == UNBOUNDED).collect()
    };
    for (end, _) in ends.iter_mut().zip(&open).filter(|(_, open)| **open) {
        if !capped && (end.lower.is_negative() || end.lower.is_zero()) {
            return Err(Rejection::Domain("a quotient by 0"));
        }
        // The least value of the exponential, or the greatest of the reciprocal, lies there.
        let least = if capped { end.lower.clone().min(Dyadic::zero()) } else { end.lower.clone() };
        *end = Interval::point(least);
    }
    let mut lines = curves::lines(function, &ends)?;
    let values = ends.par_iter().map(|ends| curves::image(function, ends));
    let mut values: Vec<Interval> = values.collect::<Result<_, Rejection>>()?;
    for (j, _) in open.iter().enumerate().filter(|(_, open)| **open) {
        if capped {
            lines.lines[j][1].intercept = NOWHERE;
        } else {
            lines.lines[j][0] = Line { slope: 0, intercept: 0 };
            values[j].lower = Dyadic::zero();
        }
    }
    let unbounded = capped && open.contains(&true);
    let exponent = match given {
        Some(exponent) => exponent,
        None if unbounded => CAP - BITS,
        None => settle(&values)?.0,
    };
    let mut found = at(&values, exponent)?;
    if capped {
        for (u, _) in found.upper.iter_mut().zip(&open).filter(|(u, open)| **open || is_far(**u)) {
            *u = UNBOUNDED;
        }
    }
    Ok((exponent, found, lines))
}

fn below(lower: &[i64]) -> Vec<i64> {
    lower.iter().map(|l| (-*l).max(0)).collect()
}

/// Whether intervals are exact: a layer is the input, or an affine one with one map, of the input. Of two maps of the input, as
/// in the difference of a maximum, intervals add the ends of one entry twice.
fn is_direct(network: &Network, k: usize) -> bool {
    match &network.layers[k].kind {
        Kind::Input => true,
        Kind::Affine(terms, _) => matches!(terms[..], [] | [(0, _)]),
        _ => false,
    }
}
