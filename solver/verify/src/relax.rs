//! Lines below and above an activation on an interval.
//!
//! For $z \in [l, u]$: $\; s_l z + t_l \le \sigma(z) \le s_u z + t_u$ in real arithmetic, for the
//! floating-point numbers $s_l, t_l, s_u, t_u$.

use crate::network::Function;
use secateur_linalg::Scalar;

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
    }
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
    let (at_l, at_u) = (function.apply(l), function.apply(u));
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
    let slope_at = |z: f64| function.derivative(z, function.apply(z));
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
        let value = function.apply(z);
        // The tangent at z, continued to u, still passes below σ(u): move right.
        if value + function.derivative(z, value) * (u - z) < function.apply(u) {
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
    let height = |z: f64| function.apply(z) - s * z;
    let mut best = pick(height(l), height(u));
    let mut scale = 1.0 + (s * l).abs() + (s * u).abs();
    for z in stationary(function, s) {
        if z > l && z < u {
            best = pick(best, height(z));
            scale += (s * z).abs();
        }
    }
    best + pick(-1.0, 1.0) * SLACK * scale
}

/// The points where $\sigma'(z) = s$: for the sigmoid $h (1 - h) = s$, for tanh $1 - h^2 = s$.
fn stationary(function: Function, s: f64) -> Vec<f64> {
    let root = match function {
        Function::Sigmoid if s > 0.0 && s <= 0.25 => {
            let h = 0.5 * (1.0 + (1.0 - 4.0 * s).sqrt());
            // log(h / (1 − h)) with 1 − h = s / h, which does not cancel.
            2.0 * h.ln() - s.ln()
        }
        Function::Tanh if s > 0.0 && s <= 1.0 => {
            let h = (1.0 - s).sqrt();
            // atanh h = log((1 + h)² / (1 − h²)) / 2.
            0.5 * (2.0 * (1.0 + h).ln() - s.ln())
        }
        _ => return Vec::new(),
    };
    vec![-root, root]
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
            let value = function.apply(z);
            // 1e-15: the evaluation here is itself rounded.
            let low = line.lower_slope.to_f64() * z + line.lower_intercept.to_f64();
            let high = line.upper_slope.to_f64() * z + line.upper_intercept.to_f64();
            let noise = 1e-15 * (1.0 + z.abs());
            assert!(low <= value + noise && value <= high + noise, "{function:?} on [{l}, {u}] at {z}: {line:?}");
        }
    }

    proptest! {
        #[test]
        fn lines_enclose(a in -20.0f64..20.0, width in 0.0f64..30.0) {
            for function in [Function::Relu, Function::Sigmoid, Function::Tanh] {
                encloses(function, a, a + width);
                encloses(function, a as f32, (a + width) as f32);
            }
        }
    }

    #[test]
    fn tangents_touch() {
        // On [-4, 2] the lower line of the sigmoid is tangent on the left and meets σ(2).
        let line = relax(Function::Sigmoid, -4.0f64, 2.0);
        let at_2 = line.lower_slope * 2.0 + line.lower_intercept;
        assert!((at_2 - Function::Sigmoid.apply(2.0f64)).abs() < 1e-6, "{line:?}");
    }

    #[test]
    fn unbounded_intervals_get_constants() {
        let line = relax(Function::Tanh, f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!((line.lower_slope, line.upper_slope), (0.0, 0.0));
        assert!(line.lower_intercept <= -1.0 && line.upper_intercept >= 1.0);
    }
}
