//! Lines below and above sigmoid and tanh on an interval, in integers.
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

/// Bits of the values of the functions.
const BITS: usize = 72;

/// Steps that look for a tangent.
const STEPS: usize = 34;

/// Bits of the values that this takes.
const SEARCH_BITS: usize = 48;

/// $s z + t$, with $s$ in units of $2^{-24}$ and $t$ in units of $2^{-60}$.
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

fn below(function: Function, l: &Dyadic, u: &Dyadic) -> Line {
    let zero = Dyadic::zero();
    let (at_l, at_u) = (at(function, l), at(function, u));
    let width = u.minus(l);
    let units = |v: &Dyadic| i64::try_from(v.floor_at(-i64::from(SLOPE_BITS))).unwrap_or(0).clamp(0, WHOLE);
    let chord = Interval::point(at_u.lower.minus(&at_l.lower)).over(&Interval::point(width), BITS);
    let chord = chord.map_or(0, |chord| units(&chord.lower));
    let slope_at = |p: &Dyadic| units(&derivative(function, &at(function, p)).lower);
    let half = |a: &Dyadic, b: &Dyadic| {
        let sum = a.plus(b);
        Dyadic::new(sum.mantissa, sum.exponent - 1)
    };
    let convex = l.is_negative();
    let (point, slope) = if convex && (u.is_negative() || u.is_zero()) {
        let middle = half(l, u);
        let slope = slope_at(&middle);
        (middle, slope)
    } else if !convex || slope_at(l) >= chord {
        (l.clone(), chord)
    } else {
        // The tangent at `a`, continued to u, passes below the function there.
        let (mut a, mut b) = (l.clone(), zero.clone());
        for _ in 0..STEPS {
            let middle = half(&a, &b);
            let value = values(function, &Interval::point(middle.clone()), SEARCH_BITS);
            let ahead = value.plus(&derivative(function, &value).times(&Interval::point(u.minus(&middle))));
            if ahead.upper.minus(&at_u.lower).is_negative() { a = middle } else { b = middle }
        }
        let slope = slope_at(&a);
        (a, slope)
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
    let intercept = least.map_or(-1 << INTERCEPT_BITS, |least| {
        // All lines of these slopes pass through (0, σ(0)) less a share of the range: |t| < 4.
        i64::try_from(least.floor_at(-INTERCEPT_BITS)).unwrap_or(i64::MIN)
    });
    Line { slope, intercept }
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
