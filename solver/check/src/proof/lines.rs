//! Lines below and above ReLU, sigmoid and tanh on an interval, in integers.
//!
//! The functions are convex left of 0 and concave right of it. For any slope $s$ and any point $p \le 0$ of $[l, u]$,
//! $\sigma(z) - s z$ is at least
//! $$ \sigma(p) - s p + (\sigma'(p) - s) (z - p) \quad\text{for } z \le 0, $$
//! because the tangent at $p$ lies below the convex part, and this is least at an end; and on the concave part it is
//! least at an end. So the least of these numbers is an intercept, whatever $s$ and $p$ are; they are chosen so that it
//! is large. Lines above follow from $1 - \sigma(-z)$ for the sigmoid and $-\sigma(-z)$ for tanh.

use super::format::{SLOPE_BITS, WHOLE};
pub use super::network::Function;
use crate::interval::{Dyadic, Interval};
use crate::transcendental;

/// Bits behind the point of an intercept.
pub const INTERCEPT_BITS: i64 = 60;

/// Bits behind the unit of a range of the intercept of a ReLU's line.
pub const RELU_BITS: i64 = 10;

/// Bits of the values of the functions.
const BITS: usize = 50;

/// Steps that look for a tangent, at most.
const STEPS: usize = 34;

/// Bits of the values that this takes.
const SEARCH_BITS: usize = 48;

/// Bits behind the point of its last step.
const SEARCH_END: i64 = 26;

/// $s z + t$, with $s$ in units of $2^{-24}$ and $t$ in units of $2^{-60}$, or of $2^{g - 10}$ for a ReLU that reads a layer with
/// exponent $g$.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// $s$.
    pub slope: i64,
    /// $t$.
    pub intercept: i64,
}

/// The values of an increasing function on an interval.
pub fn image(function: Function, z: &Interval) -> Interval {
    values(function, z, BITS)
}

fn values(function: Function, z: &Interval, bits: usize) -> Interval {
    match function {
        Function::Relu => {
            let cut = |v: &Dyadic| if v.is_negative() { Dyadic::zero() } else { v.clone() };
            Interval::new(cut(&z.lower), cut(&z.upper))
        }
        Function::Sigmoid => transcendental::sigmoid(z, bits),
        Function::Tanh => transcendental::tanh(z, bits),
        _ => unreachable!("the lines of other functions are those of `curves`"),
    }
}

fn at(function: Function, z: &Dyadic) -> Interval {
    image(function, &Interval::point(z.clone()))
}

/// $\sigma'$, where the value is $h$: $h (1 - h)$ or $1 - h^2$.
fn derivative(function: Function, h: &Interval) -> Interval {
    let one = Interval::point(Dyadic::one());
    match function {
        Function::Tanh => one.minus(&h.times(h)),
        _ => h.times(&one.minus(h)),
    }
}

/// The lines of a sigmoid or tanh on $[l, u]$: below, above.
pub fn lines(function: Function, l: &Dyadic, u: &Dyadic) -> [Line; 2] {
    let mirrored = below(function, &u.negated(), &l.negated());
    let intercept = match function {
        Function::Tanh => -mirrored.intercept,
        _ => (1 << INTERCEPT_BITS) - mirrored.intercept,
    };
    [below(function, l, u), Line { slope: mirrored.slope, intercept }]
}

/// The lines of a ReLU on $[l, u]$, which has at most 51 bits: below 0 or 1, whichever leaves (about) the smaller area; above $s z + \max(-s l, (1 - s) u)$
/// for any $s \in [0, 1]$, here that of the chord. A ReLU whose input can only be 0 may be taken for either.
pub fn relu(l: i64, u: i64, active: bool) -> [Line; 2] {
    let line = |slope, intercept| Line { slope, intercept };
    if u <= 0 && (l < 0 || !active) {
        return [line(0, 0); 2];
    }
    if l >= 0 {
        return [line(WHOLE, 0); 2];
    }
    let (wide, whole) = (i128::from(u) - i128::from(l), i128::from(WHOLE));
    let slope = (i128::from(u) * whole / wide).clamp(0, whole);
    let cost = (-slope * i128::from(l)).max((whole - slope) * i128::from(u));
    // Rounded up to 61 bits.
    let intercept = (cost >> (i64::from(SLOPE_BITS) - RELU_BITS)) + 1;
    // A little aside of where the areas are the same, so that rounding does not decide on symmetric ranges.
    let identity = i128::from(u) << 10 > -i128::from(l) * 1025;
    [line(if identity { WHOLE } else { 0 }, 0), line(slope as i64, intercept as i64)]
}

fn half(a: &Dyadic, b: &Dyadic) -> Dyadic {
    let sum = a.plus(b);
    Dyadic::new(sum.mantissa, sum.exponent - 1)
}

fn below(function: Function, l: &Dyadic, u: &Dyadic) -> Line {
    let zero = Dyadic::zero();
    let (at_l, at_u) = (at(function, l), at(function, u));
    let width = u.minus(l);
    let units = |v: &Dyadic| i64::try_from(v.floor_at(-i64::from(SLOPE_BITS))).unwrap_or(0).clamp(0, WHOLE);
    let chord = Interval::point(at_u.lower.minus(&at_l.lower)).over(&Interval::point(width), BITS);
    let chord = chord.map_or(0, |chord| units(&chord.lower));
    let slope_at = |p: &Dyadic| units(&derivative(function, &at(function, p)).lower);
    let convex = l.is_negative();
    let (point, slope) = if convex && (u.is_negative() || u.is_zero()) {
        let middle = half(l, u);
        let slope = slope_at(&middle);
        (middle, slope)
    } else if !convex || slope_at(l) >= chord {
        (l.clone(), chord)
    } else {
        let point = tangent(function, l, u, &at_u.lower);
        let slope = slope_at(&point);
        (point, slope)
    };
    let s = Interval::point(Dyadic::new(slope.into(), -i64::from(SLOPE_BITS)));
    let height = |z: &Dyadic, value: &Interval| value.minus(&s.times(&Interval::point(z.clone()))).lower;
    let mut candidates = Vec::new();
    if convex {
        let end = if u.is_negative() { u } else { &zero };
        let value = at(function, &point);
        let away = derivative(function, &value).minus(&s);
        let from = Interval::point(height(&point, &value));
        for z in [l, end] {
            candidates.push(from.plus(&away.times(&Interval::point(z.minus(&point)))).lower);
        }
    }
    if !u.is_negative() {
        let start = if convex { &zero } else { l };
        candidates.push(height(start, &at(function, start)));
        candidates.push(height(u, &at_u));
    }
    let least = candidates.into_iter().reduce(|a, b| if a.minus(&b).is_negative() { a } else { b });
    let units = |v: &Dyadic| i64::try_from(v.floor_at(-INTERCEPT_BITS)).ok().filter(|t| t.unsigned_abs() >> 62 == 0);
    match least.as_ref().and_then(units) {
        Some(intercept) => Line { slope, intercept },
        // The function increases.
        None => Line { slope: 0, intercept: units(&at_l.lower).unwrap_or(-1 << INTERCEPT_BITS) },
    }
}

/// About the point left of 0 whose tangent meets the function at $u$: the zero of
/// $g(p) = \sigma(p) + \sigma'(p) (u - p) - \sigma(u)$, by Newton's method between points where $g$ has either sign.
fn tangent(function: Function, l: &Dyadic, u: &Dyadic, at_u: &Dyadic) -> Dyadic {
    let cut = |v: Dyadic| Dyadic::new(v.floor_at(-(SEARCH_BITS as i64)), -(SEARCH_BITS as i64));
    // Further left, tangents have no slope to speak of.
    let far = Dyadic::new((-64).into(), 0);
    let (mut a, mut b) = (if *l < far { far } else { l.clone() }, Dyadic::zero());
    let mut point = half(&a, &b);
    for count in 1..=STEPS {
        let value = values(function, &Interval::point(point.clone()), SEARCH_BITS).lower;
        let first = cut(derivative(function, &Interval::point(value.clone())).lower);
        let bend = match function {
            // -2 h σ'
            Function::Tanh => Dyadic::new(-value.mantissa.clone(), value.exponent + 1),
            // (1 - 2 h) σ'
            _ => Dyadic::one().minus(&Dyadic::new(value.mantissa.clone(), value.exponent + 1)),
        };
        let ahead = u.minus(&point);
        let gap = cut(value.plus(&first.times(&ahead)).minus(at_u));
        let rise = cut(first.times(&bend).times(&ahead));
        let (whole, size) = if gap.is_negative() { (&mut a, gap.negated()) } else { (&mut b, gap.clone()) };
        *whole = point.clone();
        let step = if rise.is_zero() { None } else { size.over(&rise, SEARCH_BITS) };
        let next = step.map(|step| if gap.is_negative() { point.plus(&step.lower) } else { point.minus(&step.lower) });
        // Where Newton's steps stay on one side, halving goes on.
        let inside = next.map(cut).filter(|next| count % 4 > 0 && a < *next && *next < b);
        let next = inside.unwrap_or_else(|| half(&a, &b));
        let moved = next.minus(&point);
        let close = moved.is_zero() || moved.top().is_some_and(|top| top < -SEARCH_END);
        point = next;
        if close {
            break;
        }
    }
    point
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_enclose_the_functions_closely() {
        let dyadic = |v: i64| Dyadic::new(v.into(), -4);
        for function in [Function::Sigmoid, Function::Tanh] {
            let mut gaps = Vec::new();
            for l in (-96..96).step_by(7) {
                for width in [0, 1, 5, 16, 40, 90, 170] {
                    let (l, u) = (dyadic(l), dyadic(l + width));
                    let [low, high] = lines(function, &l, &u);
                    let mut gap: Option<Dyadic> = None;
                    for step in 0..=32 {
                        let z = l.plus(&Dyadic::new((width * step).into(), -9));
                        let value = at(function, &z);
                        let line = |line: Line| {
                            let slope = Dyadic::new(line.slope.into(), -24);
                            slope.times(&z).plus(&Dyadic::new(line.intercept.into(), -60))
                        };
                        let (below, above) = (value.lower.minus(&line(low)), line(high).minus(&value.upper));
                        assert!(
                            !below.is_negative() && !above.is_negative(),
                            "{function:?} on [{l:?}, {u:?}] at {z:?}"
                        );
                        gap = Some(match gap {
                            Some(gap) if gap.minus(&below).is_negative() => gap,
                            _ => below,
                        });
                    }
                    gaps.push(gap.expect("steps"));
                }
            }
            // The lines touch the function, or nearly so between the points that are looked at.
            let near = Dyadic::new(1.into(), -6);
            assert!(gaps.iter().all(|gap| gap.minus(&near).is_negative()), "{function:?}");
        }
    }
}
