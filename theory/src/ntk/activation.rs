//! What an activation makes of a covariance, in closed form.
//!
//! For $(z, z')$ normal with mean 0, variances $a$, $b$ and covariance $c$:
//!
//! | activation | $\mathrm E\,\sigma\sigma'$ | $\mathrm E\,\dot\sigma\dot\sigma'$ |
//! |---|---|---|
//! | ReLU, $\cos\theta = c/\sqrt{ab}$ | $\sqrt{ab}\,(\sin\theta + (\pi - \theta)\cos\theta)/2\pi$ | $(\pi - \theta)/2\pi$ |
//! | erf, $s = \sqrt{(1+2a)(1+2b)}$ | $\tfrac2\pi \arcsin(2c/s)$ | $\tfrac4\pi\,(s^2 - 4c^2)^{-1/2}$ |

use std::f64::consts::{PI, TAU};

/// A function between affine layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// $\max(z, 0)$.
    Relu,
    /// $\operatorname{erf} z$.
    Erf,
}

/// What is left of a covariance behind an activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dual {
    /// $\mathrm E\,\sigma(z)\sigma(z')$.
    pub value: f64,
    /// $\mathrm E\,\dot\sigma(z)\dot\sigma(z')$.
    pub slope: f64,
}

impl Activation {
    /// Both expectations, for variances $a$, $b$ and covariance $c$; where $c^2 > ab$ by rounding, for $c^2 = ab$.
    ///
    /// Where a variance is 0, ReLU has value and slope 0, the derivative that [`secateur_nn::autodiff`] takes at the kink.
    ///
    /// # Source
    /// Cho and Saul 2009, equations 3 to 6 (ReLU); Williams 1997, equation 11 (erf), and its derivative.
    pub fn dual(self, a: f64, b: f64, c: f64) -> Dual {
        match self {
            Activation::Relu => relu(a, b, c),
            Activation::Erf => erf(a, b, c),
        }
    }
}

/// The angles come from $\operatorname{atan2}$ of $\sqrt{ab}\sin\theta$ and $\pm c$, which loses nothing near $\cos\theta = \pm1$,
/// where an arc cosine loses half of the digits.
fn relu(a: f64, b: f64, c: f64) -> Dual {
    let size = a.sqrt() * b.sqrt();
    if size == 0.0 {
        return Dual { value: 0.0, slope: 0.0 };
    }
    let sine = determinant(a, b, c).max(0.0).sqrt();
    let rest = sine.atan2(-c);
    let value = if rest < 0.25 { size * sine_minus_angle_cosine(rest) } else { sine + rest * c };
    Dual { value: value / TAU, slope: rest / TAU }
}

/// $\sin\varphi - \varphi\cos\varphi = \sum_{k \ge 1} (-1)^{k+1} \frac{2k}{(2k+1)!} \varphi^{2k+1}$ for $\varphi < 1/4$, where the
/// difference would cancel: six terms leave less than a rounding.
fn sine_minus_angle_cosine(angle: f64) -> f64 {
    let square = angle * angle;
    let coefficients = [518_918_400.0, -3_991_680.0, 45_360.0, -840.0, 30.0, -3.0];
    let sum = coefficients.iter().fold(0.0, |sum, divisor| sum * square - 1.0 / divisor);
    angle * square * sum
}

fn erf(a: f64, b: f64, c: f64) -> Dual {
    // (1 + 2a)(1 + 2b) - 4c² = 1 + 2(a + b) + 4(ab - c²) is at least 1.
    let rest = 1.0 + 2.0 * (a + b) + 4.0 * determinant(a, b, c).max(0.0);
    Dual { value: 2.0 / PI * (2.0 * c).atan2(rest.sqrt()), slope: 4.0 / (PI * rest.sqrt()) }
}

/// $ab - c^2$ to two roundings, by Kahan's product differences.
fn determinant(a: f64, b: f64, c: f64) -> f64 {
    let square = c * c;
    let lost = (-c).mul_add(c, square);
    a.mul_add(b, -square) + lost
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_linalg::random::Random;

    /// $\mathrm E f(z) f(z')$ by the trapezium rule on independent normals, which converges geometrically for smooth
    /// integrands, and like $h^2$ across the kink of a ReLU.
    fn by_quadrature(f: impl Fn(f64) -> f64, a: f64, b: f64, c: f64) -> f64 {
        let (h, reach) = (0.02, 450_i32);
        let (slope, rest) = (c / a.sqrt(), (b - c * c / a).max(0.0).sqrt());
        let weight = |u: f64| h / TAU.sqrt() * (-0.5 * u * u).exp();
        let mut sum = 0.0;
        for i in -reach..=reach {
            let u = f64::from(i) * h;
            let inner: f64 = (-reach..=reach)
                .map(|j| {
                    let w = f64::from(j) * h;
                    weight(w) * f(slope * u + rest * w)
                })
                .sum();
            sum += weight(u) * f(a.sqrt() * u) * inner;
        }
        sum
    }

    #[test]
    fn expectations_by_quadrature() {
        for (a, b, c) in [(1.0, 1.0, 0.3), (2.0, 0.5, -0.7), (0.3, 4.0, 1.0)] {
            let relu = Activation::Relu.dual(a, b, c);
            assert!((by_quadrature(|z| z.max(0.0), a, b, c) - relu.value).abs() < 2e-4);
            // The step is discontinuous: first order in h.
            assert!((by_quadrature(|z| f64::from(u8::from(z > 0.0)), a, b, c) - relu.slope).abs() < 1e-2);
            let erf = Activation::Erf.dual(a, b, c);
            assert!((by_quadrature(libm::erf, a, b, c) - erf.value).abs() < 1e-12);
            let slope = |z: f64| 2.0 / PI.sqrt() * (-z * z).exp();
            assert!((by_quadrature(slope, a, b, c) - erf.slope).abs() < 1e-12);
        }
    }

    #[test]
    fn equal_and_opposite_inputs() {
        let same = Activation::Relu.dual(0.3, 0.3, 0.3);
        // One rounding each.
        assert!((same.value - 0.15).abs() < 1e-16 && (same.slope - 0.5).abs() < 1e-16);
        let opposite = Activation::Relu.dual(0.3, 0.3, -0.3);
        assert_eq!((opposite.value, opposite.slope), (0.0, 0.0));
    }

    #[test]
    fn nothing_is_lost_near_the_ends() {
        // c = ±(1 - e) with e a power of two is exact; φ = 2 asin √(e/2), sin φ - φ cos φ = φ³/3 - φ⁵/30 + ….
        for k in [12, 24, 40, 50] {
            let e = 0.5_f64.powi(k);
            let angle = 2.0 * (0.5 * e).sqrt().asin();
            let opposite = Activation::Relu.dual(1.0, 1.0, e - 1.0);
            let expected = angle.powi(3) * (1.0 / 3.0 - angle * angle / 30.0 + angle.powi(4) / 840.0) / TAU;
            // A few roundings of the angle, cubed; the next term is below 1e-12 of the first for e = 2^-12.
            assert!((opposite.value / expected - 1.0).abs() < 1e-12, "{k}: {} {expected}", opposite.value);
            assert!((opposite.slope * TAU / angle - 1.0).abs() < 1e-14, "{k}");
            let near = Activation::Relu.dual(1.0, 1.0, 1.0 - e);
            // Roundings of numbers near 1/2 on both sides.
            assert!((near.slope - (PI - angle) / TAU).abs() < 3e-16, "{k}");
        }
    }

    #[test]
    fn both_branches_of_the_difference_meet() {
        for angle in [0.1_f64, 0.2, 0.2499] {
            let direct = angle.sin() - angle * angle.cos();
            // The direct form has lost the digits of φ³/3 against φ.
            assert!((sine_minus_angle_cosine(angle) - direct).abs() < 3e-16 * angle);
        }
    }

    #[test]
    fn rounding_beyond_one_is_no_trouble() {
        let mut random = Random::new(3);
        for _ in 0..1000 {
            let (a, b) = (random.unit() + 0.1, random.unit() + 0.1);
            let c = (a * b).sqrt() * (1.0 + 1e-15 * random.normal());
            for activation in [Activation::Relu, Activation::Erf] {
                let Dual { value, slope } = activation.dual(a, b, c);
                assert!(value.is_finite() && slope.is_finite() && value > 0.0);
            }
        }
        assert_eq!(Activation::Relu.dual(0.0, 1.0, 0.0), Dual { value: 0.0, slope: 0.0 });
    }
}
