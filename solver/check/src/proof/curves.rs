//! Lines below and above curved functions on an interval, in integers: $e^z$, $1/z$, $\sqrt z$, $z^n$, $\sin$, $\cos$, steps.
//!
//! Where $\sigma$ is convex on $[l, u]$, for any slope $s$ and any $p \in [l, u]$,
//! $$ \sigma(z) - s z \;\ge\; \sigma(p) - s p + (\sigma'(p) - s)(z - p), $$
//! which is least at an end, while $\sigma(z) - s z$ is greatest at an end; concave functions are the mirror image. The slope on
//! the inside of the bend is that of the tangent at $p$, the one on the outside that of the chord. An odd power across 0 is
//! concave left of 0 and convex right of it; sine and cosine (`waves.rs`) are one or the other on pieces of the interval.
//!
//! Lines are integers with one exponent for the slopes of a layer and one for its intercepts.

use super::format::{SLOPE_BITS, WHOLE};
use super::lines::Line;
use super::network::Function;
use super::rejection::Rejection;
use super::waves::{self, Waves};
use crate::interval::{Dyadic, Interval};
use crate::pointwise::whole_power;
use crate::transcendental::exp;
use rayon::prelude::*;

/// Bits of values.
pub(super) const BITS: usize = 60;

/// Bits of the greatest slope of a layer, so that other tangents have room.
const SLOPE: i64 = 50;

/// Slopes are cut to so many bits.
const STEEPEST: i64 = 54;

/// Bits of the greatest intercept of a layer.
const INTERCEPT: i64 = 58;

/// Intercepts have fewer bits than this.
const FARTHEST: u32 = 62;

/// Magnitudes of values stay below two to this power.
const SPAN: i64 = 1 << 14;

/// Values below two to this power are not told from 0.
const TINY: i64 = -(1 << 12);

/// The intercept of a line above that does not exist.
pub const NOWHERE: i64 = i64::MAX;

/// Where a tangent touches, in units of $2^{-24}$ of the interval, if nothing is said.
pub const MIDDLE: i64 = WHOLE / 2;

/// Lines of the entries of a layer.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// The exponent of slopes.
    pub slope: i64,
    /// The exponent of intercepts.
    pub intercept: i64,
    /// Below, above.
    pub lines: Vec<[Line; 2]>,
    /// Bends of curved functions.
    pub bends: Vec<Bend>,
}

/// How a function bends on an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bend {
    /// Convex.
    Up,
    /// Concave.
    Down,
    /// Both, or hardly an interval: tangents are not asked for.
    Mixed,
}

/// The line below or the line above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Below,
    Above,
}

impl Side {
    /// The least lower end below, the greatest upper end above.
    fn pick(self, values: impl IntoIterator<Item = Interval>) -> Option<Dyadic> {
        let values = values.into_iter();
        match self {
            Side::Below => values.map(|v| v.lower).min(),
            Side::Above => values.map(|v| v.upper).max(),
        }
    }

    /// In units, outward.
    fn units(self, value: &Dyadic, exponent: i64) -> Option<i64> {
        if value.top().is_some_and(|top| top > exponent.saturating_add(64)) {
            return None;
        }
        let units = if self == Side::Below { value.floor_at(exponent) } else { value.ceil_at(exponent) };
        i64::try_from(units).ok()
    }
}

fn undefined(function: Function) -> Rejection {
    Rejection::Domain(if function == Function::Sqrt { "a root of negative numbers" } else { "a quotient by 0" })
}

/// The values of a function on an interval.
///
/// # Errors
/// [`Rejection::Domain`] where the function is not defined on all of it, [`Rejection::Range`] where values are huge.
pub fn image(function: Function, z: &Interval) -> Result<Interval, Rejection> {
    let ends = |low: Interval, high: Interval| Interval::new(low.lower, high.upper);
    let at = |end: &Dyadic| value(function, end);
    if function == Function::Reciprocal && z.holds_zero() {
        return Err(undefined(function));
    }
    let values = match function {
        Function::Sign | Function::Floor => {
            let step = |end: &Dyadic| Interval::point(step(function, end));
            ends(step(&z.lower), step(&z.upper))
        }
        Function::Reciprocal => ends(at(&z.upper)?, at(&z.lower)?),
        Function::Power(n) => whole_power(z, n).rounded(BITS),
        Function::Sin | Function::Cos => Waves::new(function, &z.lower, &z.upper).values()?,
        _ => ends(at(&z.lower)?, at(&z.upper)?),
    };
    let huge = |v: &Dyadic| v.top().is_some_and(|top| top > SPAN);
    if huge(&values.lower) || huge(&values.upper) { Err(Rejection::Range) } else { Ok(values) }
}

/// The value of a step function.
fn step(function: Function, z: &Dyadic) -> Dyadic {
    match function {
        Function::Floor => Dyadic::new(z.floor_at(0), 0),
        _ if z.is_zero() => Dyadic::zero(),
        _ if z.is_negative() => Dyadic::one().negated(),
        _ => Dyadic::one(),
    }
}

/// The value at a point.
fn value(function: Function, z: &Dyadic) -> Result<Interval, Rejection> {
    let point = Interval::point(z.clone());
    let value = match function {
        Function::Exp => exp(&point, BITS).ok_or(Rejection::Range)?,
        Function::Reciprocal => Dyadic::one().over(z, BITS).ok_or(undefined(function))?,
        Function::Sqrt => z.root(BITS).ok_or(undefined(function))?,
        Function::Power(n) => whole_power(&point, n).rounded(BITS),
        Function::Sin | Function::Cos => waves::touch(function, z).value,
        _ => return Err(Rejection::Range),
    };
    let tiny = |v: &Dyadic| v.top().is_none_or(|top| top < TINY);
    if tiny(&value.lower) && tiny(&value.upper) {
        let near = |v: Dyadic, up: bool| match (v.is_zero(), v.is_negative()) {
            (true, _) => v,
            (_, false) if up => Dyadic::power_of_two(TINY),
            (_, true) if !up => Dyadic::power_of_two(TINY).negated(),
            _ => Dyadic::zero(),
        };
        return Ok(Interval::new(near(value.lower, false), near(value.upper, true)));
    }
    Ok(value)
}

/// The derivative at a point where the value is known; `None` where it is infinite.
fn derivative(function: Function, z: &Dyadic, value: &Interval) -> Option<Interval> {
    let point = Interval::point(z.clone());
    let number = |n: u32| Interval::point(Dyadic::new(n.into(), 0));
    Some(match function {
        Function::Exp => value.clone(),
        Function::Reciprocal => value.times(value).negated(),
        Function::Sqrt => number(1).over(&value.plus(value), BITS)?,
        Function::Power(n) => whole_power(&point, n - 1).times(&number(n)).rounded(BITS),
        Function::Sin | Function::Cos => waves::touch(function, z).first,
        _ => return None,
    })
}

/// A point of the interval with the value and the derivative there.
#[derive(Clone)]
pub(super) struct Touch {
    pub(super) at: Dyadic,
    pub(super) value: Interval,
    pub(super) first: Interval,
}

/// A function on an interval.
struct Curve {
    function: Function,
    l: Dyadic,
    u: Dyadic,
    at_l: Interval,
    at_u: Interval,
    bend: Bend,
    /// Values, where lines are constants.
    flat: Option<Interval>,
    /// Of sine and cosine.
    waves: Option<Waves>,
}

pub(super) fn times(s: &Dyadic, z: &Dyadic) -> Interval {
    Interval::point(s.times(z))
}

impl Curve {
    fn new(function: Function, l: Dyadic, u: Dyadic) -> Result<Self, Rejection> {
        let waves = matches!(function, Function::Sin | Function::Cos).then(|| Waves::new(function, &l, &u));
        let values = match &waves {
            Some(waves) => waves.values()?,
            None => image(function, &Interval::new(l.clone(), u.clone()))?,
        };
        let by = |up: bool, down: bool| match (up, down) {
            (true, _) => Bend::Up,
            (_, true) => Bend::Down,
            _ => Bend::Mixed,
        };
        let (from_zero, to_zero) = (!l.is_negative(), u.is_negative() || u.is_zero());
        let bend = match function {
            Function::Exp => Bend::Up,
            Function::Sqrt => Bend::Down,
            Function::Power(n) if n.is_multiple_of(2) => Bend::Up,
            Function::Reciprocal | Function::Power(_) => by(from_zero, to_zero),
            // The second derivative is minus the function.
            _ => by(values.upper.is_negative() || values.upper.is_zero(), !values.lower.is_negative()),
        };
        let width = u.minus(&l);
        let size = if l.negated() > u { l.negated() } else { u.clone() };
        let size = Dyadic::one().plus(&size);
        let narrow = width < Dyadic::new(size.mantissa, size.exponent - 30);
        let (at_l, at_u) = (value(function, &l)?, value(function, &u)?);
        let bend = if narrow { Bend::Mixed } else { bend };
        Ok(Self { function, l, u, at_l, at_u, bend, flat: narrow.then_some(values), waves })
    }

    /// Where the tangent is to touch; the middle if there is none there.
    fn touch(&self, share: i64) -> Result<Touch, Rejection> {
        touch(self.function, &self.l, &self.u, share)
    }

    /// Slopes below and above.
    fn slopes(&self) -> Result<[Dyadic; 2], Rejection> {
        if self.flat.is_some() {
            return Ok([Dyadic::zero(), Dyadic::zero()]);
        }
        let rise = self.at_u.lower.minus(&self.at_l.lower).over(&self.u.minus(&self.l), BITS);
        let chord = rise.map_or(Dyadic::zero(), |rise| rise.lower);
        Ok(match self.bend {
            Bend::Up => [self.touch(MIDDLE)?.first.lower, chord],
            Bend::Down => [chord, self.touch(MIDDLE)?.first.lower],
            Bend::Mixed => [chord.clone(), chord],
        })
    }

    /// The intercept of a line with any slope.
    fn intercept(&self, side: Side, s: &Dyadic) -> Result<Dyadic, Rejection> {
        if let Some(values) = &self.flat {
            let tilt = [&self.l, &self.u].map(|z| values.minus(&times(s, z)));
            return side.pick(tilt).ok_or(Rejection::Range);
        }
        let at_ends = || [self.at_l.minus(&times(s, &self.l)), self.at_u.minus(&times(s, &self.u))];
        let found = match (self.bend, side, self.function) {
            (Bend::Up, Side::Below, _) | (Bend::Down, Side::Above, _) => {
                return inside(&self.touch(MIDDLE)?, side, s, &self.l, &self.u);
            }
            (Bend::Up, ..) | (Bend::Down, ..) => side.pick(at_ends()),
            (Bend::Mixed, Side::Below, Function::Power(n)) => Some(odd_power(n, s, &self.l, &self.u)?),
            // The function is odd.
            (Bend::Mixed, Side::Above, Function::Power(n)) => {
                Some(odd_power(n, s, &self.u.negated(), &self.l.negated())?.negated())
            }
            (Bend::Mixed, side, _) => match (side, &self.waves) {
                (Side::Below, Some(waves)) => Some(waves.least(false, s)?),
                (Side::Above, Some(waves)) => Some(waves.least(true, &s.negated())?.negated()),
                (_, None) => None,
            },
        };
        found.ok_or(Rejection::Range)
    }
}

fn touch(function: Function, l: &Dyadic, u: &Dyadic, share: i64) -> Result<Touch, Rejection> {
    let way = u.minus(l).times(&Dyadic::new(share.into(), -i64::from(SLOPE_BITS)));
    let at = l.plus(&way);
    if matches!(function, Function::Sin | Function::Cos) {
        return Ok(waves::touch(function, &at));
    }
    let value = value(function, &at)?;
    match derivative(function, &at, &value) {
        Some(first) => Ok(Touch { at, value, first }),
        None if share != MIDDLE => touch(function, l, u, MIDDLE),
        None => Err(Rejection::Range),
    }
}

/// The intercept on the inside of the bend.
pub(super) fn inside(touch: &Touch, side: Side, s: &Dyadic, l: &Dyadic, u: &Dyadic) -> Result<Dyadic, Rejection> {
    let (from, away) = (touch.value.minus(&times(s, &touch.at)), touch.first.minus(&Interval::point(s.clone())));
    let at = |z: &Dyadic| from.plus(&away.times(&Interval::point(z.minus(&touch.at))));
    side.pick([at(l), at(u)]).ok_or(Rejection::Range)
}

/// A lower bound of $z^n - s z$ on $[l, u]$, $l < 0 < u$, for odd $n$.
fn odd_power(n: u32, s: &Dyadic, l: &Dyadic, u: &Dyadic) -> Result<Dyadic, Rejection> {
    let function = Function::Power(n);
    // About where the derivative is s.
    let (mut a, mut b) = (Dyadic::zero(), u.clone());
    for _ in 0..48 {
        let sum = a.plus(&b);
        let middle = Dyadic::new(sum.mantissa, sum.exponent - 1);
        let steeper = derivative(function, &middle, &Interval::point(Dyadic::zero()));
        let place = if steeper.is_some_and(|first| first.lower > *s) { &mut b } else { &mut a };
        *place = middle;
    }
    let at = value(function, &a)?;
    let first = derivative(function, &a, &at).ok_or(Rejection::Range)?;
    let right = inside(&Touch { at: a, value: at, first }, Side::Below, s, &Dyadic::zero(), u)?;
    let left = value(function, l)?.minus(&times(s, l)).lower;
    Ok(right.min(left).min(Dyadic::zero()))
}

/// The lines of a function on ranges.
///
/// # Errors
/// See [`image`].
pub fn lines(function: Function, ranges: &[Interval]) -> Result<Lines, Rejection> {
    let ends = ranges.par_iter().map(|range| [range.lower.clone(), range.upper.clone()]);
    if matches!(function, Function::Sign | Function::Floor) {
        return settled(0, ends.map(|[l, u]| steps(function, &l, &u)).collect(), Vec::new());
    }
    let curves: Vec<Curve> = ends.map(|[l, u]| Curve::new(function, l, u)).collect::<Result<_, _>>()?;
    let slopes: Vec<[Dyadic; 2]> = curves.par_iter().map(Curve::slopes).collect::<Result<_, _>>()?;
    let exponent = slopes.iter().flatten().filter_map(Dyadic::top).max().unwrap_or(0) - SLOPE;
    let line = |(curve, slopes): (&Curve, &[Dyadic; 2])| -> Result<[(i64, Dyadic); 2], Rejection> {
        let side = |side: Side, slope: &Dyadic| {
            let units = i64::try_from(slope.floor_at(exponent)).map_err(|_| Rejection::Range)?;
            Ok::<_, Rejection>((units, curve.intercept(side, &Dyadic::new(units.into(), exponent))?))
        };
        Ok([side(Side::Below, &slopes[0])?, side(Side::Above, &slopes[1])?])
    };
    let found = curves.par_iter().zip(&slopes).map(line).collect::<Result<_, _>>()?;
    settled(exponent, found, curves.iter().map(|curve| curve.bend).collect())
}

/// Lines of a step function: $z - 1 \le \lfloor z \rfloor \le z$, and constants where there is no step or it is a sign.
fn steps(function: Function, l: &Dyadic, u: &Dyadic) -> [(i64, Dyadic); 2] {
    let (low, high) = (step(function, l), step(function, u));
    if function == Function::Floor && low != high {
        return [(1, Dyadic::one().negated()), (1, Dyadic::zero())];
    }
    [(0, low), (0, high)]
}

/// Intercepts with one exponent.
fn settled(slope: i64, lines: Vec<[(i64, Dyadic); 2]>, bends: Vec<Bend>) -> Result<Lines, Rejection> {
    let top = lines.iter().flatten().filter_map(|(_, t)| t.top()).max().unwrap_or(0);
    let intercept = top - INTERCEPT;
    let line = |[below, above]: &[(i64, Dyadic); 2]| {
        let side = |side: Side, (slope, t): &(i64, Dyadic)| {
            let intercept = side.units(t, intercept).ok_or(Rejection::Range)?;
            Ok::<_, Rejection>(Line { slope: *slope, intercept })
        };
        Ok([side(Side::Below, below)?, side(Side::Above, above)?])
    };
    let lines = lines.iter().map(line).collect::<Result<_, Rejection>>()?;
    Ok(Lines { slope, intercept, lines, bends })
}

impl Lines {
    /// The tangent of entry `j`, whose range is given with its exponent, at another point than the middle, on the side where
    /// tangents are; `None` where there are none, or where its numbers outgrow those of the layer.
    pub fn tangent(
        &self,
        function: Function,
        j: usize,
        ((l, u), g): ((i64, i64), i64),
        share: i64,
        above: bool,
    ) -> Option<Line> {
        let side = match (self.bends.get(j)?, above) {
            (Bend::Up, false) => Side::Below,
            (Bend::Down, true) => Side::Above,
            _ => return None,
        };
        let [l, u] = [l, u].map(|v| Dyadic::new(v.into(), g));
        let touch = touch(function, &l, &u, share).ok()?;
        let steepest = 1i64 << STEEPEST;
        let slope = side.units(&touch.first.lower, self.slope).map(|s| s.clamp(-steepest, steepest))?;
        let t = inside(&touch, side, &Dyadic::new(slope.into(), self.slope), &l, &u).ok()?;
        let intercept = side.units(&t, self.intercept).filter(|t| t.unsigned_abs() >> FARTHEST == 0)?;
        Some(Line { slope, intercept })
    }
}
