//! Lines below and above an activation on an interval, and its image; planes below and above a product.
//!
//! For $z \in [l, u]$: $\; s_l z + t_l \le \sigma(z) \le s_u z + t_u$ in real arithmetic, for the
//! floating-point numbers $s_l, t_l, s_u, t_u$. An interval on which a function is not defined gets infinite intercepts,
//! which prove nothing.

use crate::network::Function;
use secateur_linalg::Scalar;
use std::f64::consts::TAU;

/// A line below and a line above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line<T> {
    /// $s_l$.
    pub lower_slope: T,
    /// $t_l$.
    pub lower_intercept: T,
    /// $s_u$.
    pub upper_slope: T,
    /// $t_u$.
    pub upper_intercept: T,
}

/// The lines for `function` on $[l, u]$.
pub fn relax<T: Scalar>(function: Function, l: T, u: T) -> Line<T> {
    match function {
        Function::Relu => relu(l, u),
        Function::Sigmoid | Function::Tanh => s_shaped(function, l.to_f64(), u.to_f64()),
        Function::Sign => sign(l.to_f64(), u.to_f64()),
        Function::Floor => floor(l.to_f64(), u.to_f64()),
        _ => curved(function, l.to_f64(), u.to_f64()),
    }
}

/// The values of an activation on $[l, u]$.
pub fn image<T: Scalar>(function: Function, l: T, u: T) -> (T, T) {
    if function == Function::Relu {
        return (l.max(T::ZERO), u.max(T::ZERO));
    }
    let (low, high) = values(function, l.to_f64(), u.to_f64());
    (T::round_down(low), T::round_up(high))
}

/// Numbers that enclose $\sigma([l, u])$.
fn values(function: Function, l: f64, u: f64) -> (f64, f64) {
    let (at_l, at_u) = (function.value(l), function.value(u));
    let (low, high) = match function {
        Function::Sign | Function::Floor | Function::Relu => return (at_l, at_u),
        Function::Sigmoid | Function::Tanh | Function::Exp => (at_l, at_u),
        Function::Sqrt if l >= 0.0 => (at_l, at_u),
        Function::Reciprocal if l > 0.0 || u < 0.0 => (at_u, at_l),
        Function::Power(n) if n % 2 == 1 || l >= 0.0 => (at_l, at_u),
        Function::Power(_) if u <= 0.0 => (at_u, at_l),
        Function::Power(_) => (0.0, at_l.max(at_u)),
        Function::Sin | Function::Cos => {
            // Crests at a whole number of turns from here, troughs half a turn further.
            let crest = if function == Function::Sin { 0.25 } else { 0.0 };
            let meets = |phase: f64| (u / TAU - phase).floor() >= (l / TAU - phase).ceil();
            let wide = u - l >= TAU || !(u - l).is_finite() || l.abs().max(u.abs()) > FARTHEST;
            let low = if wide || meets(crest + 0.5) { -1.0 } else { at_l.min(at_u) };
            (low, if wide || meets(crest) { 1.0 } else { at_l.max(at_u) })
        }
        // Not defined everywhere.
        Function::Sqrt | Function::Reciprocal => (f64::NEG_INFINITY, f64::INFINITY),
    };
    let or = |v: f64, unknown: f64| if v.is_nan() { unknown } else { v };
    let (low, high) = (or(low - slack(low), f64::NEG_INFINITY), or(high + slack(high), f64::INFINITY));
    match function {
        // Never below 0, whatever the slack.
        Function::Exp => (low.max(0.0), high),
        Function::Sqrt if l >= 0.0 => (low.max(0.0), high),
        Function::Power(n) if n % 2 == 0 => (low.max(0.0), high),
        _ => (low, high),
    }
}

/// Angles beyond this are known too coarsely.
const FARTHEST: f64 = 1e4;

fn slack(value: f64) -> f64 {
    SLACK * (1.0 + value.abs())
}

fn constants<T: Scalar>(low: f64, high: f64) -> Line<T> {
    Line {
        lower_slope: T::ZERO,
        lower_intercept: T::round_down(low),
        upper_slope: T::ZERO,
        upper_intercept: T::round_up(high),
    }
}

/// A step of height 2 at 0.
fn sign<T: Scalar>(l: f64, u: f64) -> Line<T> {
    constants(Function::Sign.value(l), Function::Sign.value(u))
}

/// $z - 1 \le \lfloor z \rfloor \le z$, and constants where there is no step.
fn floor<T: Scalar>(l: f64, u: f64) -> Line<T> {
    let (low, high) = (l.floor(), u.floor());
    if low == high || !(u - l).is_finite() {
        return constants(low, high);
    }
    let one = T::ONE;
    Line { lower_slope: one, lower_intercept: -one, upper_slope: one, upper_intercept: T::ZERO }
}

/// How a function bends on an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bend {
    /// Convex.
    Up,
    /// Concave.
    Down,
    /// Both.
    Mixed,
}

fn bend(function: Function, l: f64, u: f64) -> Bend {
    let by = |up: bool, down: bool| match (up, down) {
        (true, _) => Bend::Up,
        (_, true) => Bend::Down,
        _ => Bend::Mixed,
    };
    match function {
        Function::Exp => Bend::Up,
        Function::Sqrt => Bend::Down,
        Function::Power(n) if n % 2 == 0 => Bend::Up,
        Function::Reciprocal | Function::Power(_) => by(l >= 0.0, u <= 0.0),
        // The second derivative is minus the function.
        _ => {
            let (low, high) = values(function, l, u);
            by(high <= 0.0, low >= 0.0)
        }
    }
}

/// Functions that bend up, down, or both ways: the line on the inside of a bend is the tangent in the middle, the line on the
/// outside has the slope of the chord; where the function bends both ways both lines have it.
fn curved<T: Scalar>(function: Function, l: f64, u: f64) -> Line<T> {
    let (low, high) = values(function, l, u);
    let narrow = u - l < 1e-9 * (1.0 + l.abs().max(u.abs()));
    if narrow || !(u - l).is_finite() || !(high - low).is_finite() {
        return constants(low, high);
    }
    let chord = (function.value(u) - function.value(l)) / (u - l);
    let middle = 0.5 * (l + u);
    let tangent = function.derivative(middle, function.value(middle));
    let (below, above) = match bend(function, l, u) {
        Bend::Up => (tangent, chord),
        Bend::Down => (chord, tangent),
        Bend::Mixed => (chord, chord),
    };
    let (below, above) = (T::from_f64(below), T::from_f64(above));
    if !below.is_finite() || !above.is_finite() {
        return constants(low, high);
    }
    Line {
        lower_slope: below,
        lower_intercept: T::round_down(extreme(function, below.to_f64(), l, u, f64::min)),
        upper_slope: above,
        upper_intercept: T::round_up(extreme(function, above.to_f64(), l, u, f64::max)),
    }
}

/// $s x + s' y + t$.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane<T> {
    /// $s$.
    pub left: T,
    /// $s'$.
    pub right: T,
    /// $t$.
    pub intercept: T,
}

/// Two planes below a product and two above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planes<T> {
    /// Through the corners $(l, l')$ and $(u, u')$.
    pub below: [Plane<T>; 2],
    /// Through the corners $(l, u')$ and $(u, l')$.
    pub above: [Plane<T>; 2],
}

/// The planes of $x y$ on $[l, u] \times [l', u']$: for each corner $(p, q)$, $q x + p y - p q$.
///
/// # Soundness
/// $x y - (q x + p y - p q) = (x - p)(y - q)$ has one sign on the box, that of the side of the corner; the intercept is
/// rounded to the right side.
///
/// # Source
/// McCormick, *Computability of global solutions to factorable nonconvex programs*, 1976.
pub fn product<T: Scalar>((l, u): (T, T), (l2, u2): (T, T)) -> Planes<T> {
    let plane = |p: T, q: T, below: bool| {
        // Exact in f64 where the numbers are of type f32.
        let exact = -(p.to_f64() * q.to_f64());
        let away = 2.0 * f64::EPSILON * exact.abs() + f64::MIN_POSITIVE;
        let intercept = if below { T::round_down(exact - away) } else { T::round_up(exact + away) };
        Plane { left: q, right: p, intercept }
    };
    Planes { below: [plane(l, l2, true), plane(u, u2, true)], above: [plane(l, u2, false), plane(u, l2, false)] }
}

/// The values of $x y$ on $[l, u] \times [l', u']$.
pub fn product_image<T: Scalar>((l, u): (T, T), (l2, u2): (T, T)) -> (T, T) {
    let corners = [(l, l2), (l, u2), (u, l2), (u, u2)].map(|(p, q)| p.to_f64() * q.to_f64());
    if corners.iter().any(|c| c.is_nan()) {
        return (-T::INFINITY, T::INFINITY);
    }
    let (low, high) = corners.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), c| (a.min(*c), b.max(*c)));
    let away = |v: f64| 2.0 * f64::EPSILON * v.abs() + f64::MIN_POSITIVE;
    (T::round_down(low - away(low)), T::round_up(high + away(high)))
}

/// Where a ReLU's line below turns from slope 0 to 1, as $u / (-l)$: aside of 1, so that rounding does not decide on symmetric
/// intervals. The checker of certificates turns at the same place.
const EVEN: f64 = 1.0 + 1.0 / 1024.0;

/// ReLU: the chord above; below, the slope 0 or 1 that leaves the smaller area.
///
/// # Soundness
/// The chord's slope $\lambda$ is any number in $[0, 1]$; the intercept
/// $\max(-\lambda l, (1 - \lambda) u)$ makes $\lambda z + \mu \ge \max(z, 0)$ at both ends and, by
/// convexity, between them. It is inflated by eight roundings, its computation has four.
///
/// # Source
/// Zhang et al., *Efficient neural network robustness certification with general activation
/// functions*, 2018.
#[inline(always)]
pub fn relu<T: Scalar>(l: T, u: T) -> Line<T> {
    if l >= T::ZERO {
        return Line { lower_slope: T::ONE, lower_intercept: T::ZERO, upper_slope: T::ONE, upper_intercept: T::ZERO };
    }
    if u <= T::ZERO {
        return Line { lower_slope: T::ZERO, lower_intercept: T::ZERO, upper_slope: T::ZERO, upper_intercept: T::ZERO };
    }
    let slope = (u / (u - l)).min(T::ONE);
    let touch = (-slope * l).max((T::ONE - slope) * u);
    let inflate = T::ONE + T::from_f64(8.0 * T::UNIT_ROUNDOFF);
    let intercept = touch * inflate + T::from_f64(T::SMALLEST_NORMAL);
    let lower_slope = if u > -l * T::from_f64(EVEN) { T::ONE } else { T::ZERO };
    Line { lower_slope, lower_intercept: T::ZERO, upper_slope: slope, upper_intercept: intercept }
}

/// Relative and absolute slack for the library's `exp` and `tanh` and a few roundings: a thousand
/// units in the last place of `f64`.
pub(crate) const SLACK: f64 = 1e-13;

/// Sigmoid and tanh: convex left of 0, concave right of it.
///
/// A slope is chosen from the tangent or chord geometry, then the intercept is moved until the
/// line is valid: the extremes of $\sigma(z) - s z$ over $[l, u]$ lie at the ends or where
/// $\sigma'(z) = s$, and those points are known in closed form.
fn s_shaped<T: Scalar>(function: Function, l: f64, u: f64) -> Line<T> {
    let (at_l, at_u) = (function.value(l), function.value(u));
    if !(u - l).is_finite() || u - l < 1e-9 {
        // Too narrow for a slope, or unbounded: constants.
        let (low, high) = (at_l - SLACK, at_u + SLACK);
        return Line {
            lower_slope: T::ZERO,
            lower_intercept: T::round_down(low),
            upper_slope: T::ZERO,
            upper_intercept: T::round_up(high),
        };
    }
    let chord = (at_u - at_l) / (u - l);
    let slope_at = |z: f64| function.derivative(z, function.value(z));
    // The line below touches the convex part or is the chord; the line above mirrors it.
    let lower_slope = if u <= 0.0 {
        slope_at(0.5 * (l + u))
    } else if l >= 0.0 || slope_at(l) >= chord {
        chord
    } else {
        slope_at(tangent_from(function, u, l))
    };
    let upper_slope = if l >= 0.0 {
        slope_at(0.5 * (l + u))
    } else if u <= 0.0 || slope_at(u) >= chord {
        chord
    } else {
        slope_at(-tangent_from(function, -l, -u))
    };
    let (lower_slope, upper_slope) = (T::from_f64(lower_slope), T::from_f64(upper_slope));
    Line {
        lower_slope,
        lower_intercept: T::round_down(extreme(function, lower_slope.to_f64(), l, u, f64::min)),
        upper_slope,
        upper_intercept: T::round_up(extreme(function, upper_slope.to_f64(), l, u, f64::max)),
    }
}

/// The point $z \in [l, 0]$ whose tangent passes through $(u, \sigma(u))$, $u > 0$, by bisection.
fn tangent_from(function: Function, u: f64, l: f64) -> f64 {
    let (mut a, mut b) = (l, 0.0f64);
    for _ in 0..40 {
        let z = 0.5 * (a + b);
        let value = function.value(z);
        // The tangent at z, continued to u, still passes below σ(u): move right.
        if value + function.derivative(z, value) * (u - z) < function.value(u) {
            a = z;
        } else {
            b = z;
        }
    }
    a
}

/// The least (`pick = min`) or greatest (`max`) value of $\sigma(z) - s z$ on $[l, u]$, moved outward
/// by the slack.
fn extreme(function: Function, s: f64, l: f64, u: f64, pick: fn(f64, f64) -> f64) -> f64 {
    let height = |z: f64| function.value(z) - s * z;
    let size = |z: f64| function.value(z).abs() + (s * z).abs();
    let mut best = pick(height(l), height(u));
    let mut scale = 1.0 + size(l) + size(u);
    for z in stationary(function, s, l, u) {
        if z > l && z < u {
            best = pick(best, height(z));
            scale += size(z);
        }
    }
    best + pick(-1.0, 1.0) * SLACK * scale
}

/// The points of $(l, u)$, and perhaps some beyond, where $\sigma'(z) = s$.
fn stationary(function: Function, s: f64, l: f64, u: f64) -> Vec<f64> {
    match function {
        // h (1 − h) = s.
        Function::Sigmoid if s > 0.0 && s <= 0.25 => {
            let h = 0.5 * (1.0 + (1.0 - 4.0 * s).sqrt());
            // log(h / (1 − h)) with 1 − h = s / h, which does not cancel.
            let root = 2.0 * h.ln() - s.ln();
            vec![-root, root]
        }
        // 1 − h² = s.
        Function::Tanh if s > 0.0 && s <= 1.0 => {
            let h = (1.0 - s).sqrt();
            // atanh h = log((1 + h)² / (1 − h²)) / 2.
            let root = 0.5 * (2.0 * (1.0 + h).ln() - s.ln());
            vec![-root, root]
        }
        Function::Exp if s > 0.0 => vec![s.ln()],
        Function::Reciprocal if s < 0.0 => vec![-1.0 / (-s).sqrt(), 1.0 / (-s).sqrt()],
        Function::Sqrt if s > 0.0 => vec![0.25 / (s * s)],
        Function::Power(n) => {
            let power = (s.abs() / f64::from(n)).powf(1.0 / f64::from(n - 1));
            // The derivative of an even power is odd.
            if n % 2 == 0 { vec![power.copysign(s)] } else { vec![-power, power] }
        }
        Function::Sin | Function::Cos if s.abs() <= 1.0 => {
            let turns = (l / TAU).floor() as i64 - 1..=(u / TAU).ceil() as i64 + 1;
            let (one, other) = match function {
                Function::Sin => (s.acos(), -s.acos()),
                _ => (-s.asin(), std::f64::consts::PI + s.asin()),
            };
            turns.flat_map(|turn| [one, other].map(|z| z + turn as f64 * TAU)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encloses<T: Scalar>(function: Function, l: T, u: T) {
        let line = relax(function, l, u);
        for step in 0..=200 {
            let z = l.to_f64() + (u.to_f64() - l.to_f64()) * f64::from(step) / 200.0;
            let z = z.clamp(l.to_f64(), u.to_f64());
            let value = function.value(z);
            // 1e-15: the evaluation here is itself rounded.
            let low = line.lower_slope.to_f64() * z + line.lower_intercept.to_f64();
            let high = line.upper_slope.to_f64() * z + line.upper_intercept.to_f64();
            let terms = [line.lower_slope * T::from_f64(z), line.lower_intercept, line.upper_intercept];
            let noise =
                1e-15 * (1.0 + z.abs() + value.abs()) + 1e-15 * terms.map(|t| t.abs().to_f64()).iter().sum::<f64>();
            let (least, most) = image(function, l, u);
            assert!(least.to_f64() <= value && value <= most.to_f64(), "{function:?} on [{l}, {u}] at {z}");
            assert!(low <= value + noise && value <= high + noise, "{function:?} on [{l}, {u}] at {z}: {line:?}");
        }
    }

    proptest! {
        #[test]
        fn lines_enclose(a in -20.0f64..20.0, width in 0.0f64..30.0) {
            use Function::{Cos, Exp, Floor, Power, Reciprocal, Relu, Sigmoid, Sign, Sin, Sqrt, Tanh};
            for function in [Relu, Sigmoid, Tanh, Exp, Sin, Cos, Power(2), Power(3), Power(4), Sign, Floor] {
                encloses(function, a, a + width);
                encloses(function, a as f32, (a + width) as f32);
                encloses(function, a, a + width * 1e-3);
                encloses(function, a as f32, (a + width * 1e-10) as f32);
            }
            let from = a.abs() + 1e-3;
            for (function, l, u) in [(Reciprocal, from, from + width), (Reciprocal, -from - width, -from), (Sqrt, from, from + width), (Sqrt, 0.0, width)] {
                encloses(function, l, u);
                encloses(function, l as f32, u as f32);
            }
        }

        #[test]
        fn planes_enclose(a in -20.0f64..20.0, b in -20.0f64..20.0, width in 0.0f64..30.0, height in 0.0f64..3.0) {
            let (x, y) = ((a, a + width), (b, b + height));
            let planes = product(x, y);
            let (least, most) = product_image(x, y);
            for (i, j) in (0..=8).flat_map(|i| (0..=8).map(move |j| (f64::from(i) / 8.0, f64::from(j) / 8.0))) {
                let (p, q) = ((x.0 + width * i).min(x.1), (y.0 + height * j).min(y.1));
                let value = |plane: &Plane<f64>| plane.left * p + plane.right * q + plane.intercept;
                // A thousand roundings of terms of at most 50 * 23.
                let noise = 1e-10;
                assert!(planes.below.iter().all(|plane| value(plane) <= p * q + noise));
                assert!(planes.above.iter().all(|plane| value(plane) >= p * q - noise));
                assert!(least <= p * q && p * q <= most);
            }
            // Each touches at its corner.
            assert!((planes.below[0].left * x.0 + planes.below[0].right * y.0 + planes.below[0].intercept - x.0 * y.0).abs() < 1e-9);
        }
    }

    #[test]
    fn nothing_is_said_where_a_function_is_not_defined() {
        for (function, l, u) in
            [(Function::Reciprocal, -1.0, 2.0), (Function::Reciprocal, 0.0, 1.0), (Function::Sqrt, -1e-3, 1.0)]
        {
            assert_eq!(image(function, l, u), (f64::NEG_INFINITY, f64::INFINITY));
            let line = relax(function, l, u);
            assert_eq!((line.lower_intercept, line.upper_intercept), (f64::NEG_INFINITY, f64::INFINITY));
        }
    }

    #[test]
    fn tangents_touch() {
        // On [-4, 2] the lower line of the sigmoid is tangent on the left and meets σ(2).
        let line = relax(Function::Sigmoid, -4.0f64, 2.0);
        let at_2 = line.lower_slope * 2.0 + line.lower_intercept;
        assert!((at_2 - Function::Sigmoid.value(2.0)).abs() < 1e-6, "{line:?}");
    }

    #[test]
    fn unbounded_intervals_get_constants() {
        let line = relax(Function::Tanh, f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!((line.lower_slope, line.upper_slope), (0.0, 0.0));
        assert!(line.lower_intercept <= -1.0 && line.upper_intercept >= 1.0);
    }
}
