//! ℓ₁ and ℓ₂ balls: bounds of linear functions on the part of a box inside a ball.
//!
//! With $t = x - c$ and $\|t\| \le r$, for every $\mu \ge 0$
//! $$ \langle a, x \rangle \;\ge\; \langle a, c \rangle
//!    \;+\; \sum_i \min_{l_i - c_i \le t_i \le u_i - c_i} \big( a_i t_i + \mu\, \phi(t_i) \big) - \mu\, \rho, $$
//! with $\phi(t) = |t|,\ \rho = r$ for ℓ₁ and $\phi(t) = t^2,\ \rho = r^2$ for ℓ₂. The right side is concave in
//! $\mu$; its maximum is the least value itself, and any $\mu$ gives a bound. $\mu$ is found by bisection on the
//! derivative $\sum_i \phi(t_i(\mu)) - \rho$.

use crate::rounding::gamma;
use crate::specification::{nearest, round_up};
use dashu_ratio::RBig;
use secateur_linalg::Scalar;
use secateur_nn::property::{self, Norm};

/// A ball that contains the one that was asked about.
#[derive(Clone, Debug)]
pub struct Ball {
    norm: Norm,
    centre: Vec<f64>,
    radius: f64,
}

/// What the input of a subproblem ranges over: a box, or the part of a box inside a ball.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a, T> {
    /// Lower corner.
    pub lower: &'a [T],
    /// Upper corner.
    pub upper: &'a [T],
    /// The ball.
    pub ball: Option<&'a Ball>,
}

/// Steps of the bisection.
const STEPS: usize = 24;

impl Ball {
    /// The ball in `f64`.
    ///
    /// # Soundness
    /// The radius grows by more than the rounding of the centre moves it.
    pub fn new(ball: &property::Ball) -> Self {
        let centre: Vec<f64> = ball.centre.iter().map(|c: &RBig| nearest(c).0).collect();
        let moved = centre.iter().map(|c| c.abs()).sum::<f64>() * f64::EPSILON + f64::MIN_POSITIVE;
        let radius = (round_up(&ball.radius) + 2.0 * moved).next_up();
        Self { norm: ball.norm, centre, radius }
    }

    /// $\rho$.
    fn budget(&self) -> f64 {
        match self.norm {
            Norm::L1 => self.radius,
            Norm::L2 => self.radius * self.radius,
        }
    }

    /// The linear function and the box, seen from the centre.
    fn terms<T: Scalar>(&self, a: &[T], lower: &[T], upper: &[T]) -> Terms {
        let from_centre = |side: &[T]| side.iter().zip(&self.centre).map(|(x, c)| x.to_f64() - c).collect();
        let a = a.iter().map(|a| a.to_f64()).collect();
        Terms { norm: self.norm, a, low: from_centre(lower), high: from_centre(upper) }
    }

    /// Multipliers that enclose the best one: $\sum \phi(t_i)$ exceeds $\rho$ at the first and not at the second.
    /// `None` when the box alone decides.
    fn multipliers(&self, terms: &Terms) -> Option<(f64, f64)> {
        let budget = self.budget();
        if terms.used(0.0) <= budget {
            return None;
        }
        let norm = match self.norm {
            Norm::L1 => terms.a.iter().fold(0.0f64, |most, a| most.max(a.abs())),
            // Without the box, ‖a‖ / 2μ = r.
            Norm::L2 => terms.a.iter().map(|a| a * a).sum::<f64>().sqrt() / (2.0 * self.radius),
        };
        let (mut low, mut high) = (0.0, norm * (1.0 + 1e-9));
        // Where the centre is outside the box, more may be needed.
        let mut doublings = 0;
        while terms.used(high) > budget && doublings < STEPS {
            (low, high) = (high, 4.0 * high);
            doublings += 1;
        }
        for _ in 0..STEPS {
            let middle = 0.5 * (low + high);
            if terms.used(middle) > budget { low = middle } else { high = middle }
        }
        high.is_finite().then_some((low, high))
    }

    /// A number that $\langle a, x \rangle$ is certainly not below on the part of the box inside the ball;
    /// $-\infty$ when the box alone decides.
    ///
    /// # Soundness
    /// Any $\mu$ will do. Each $t_i$ is at most two roundings from where its term is least: for ℓ₁ it is a rounded
    /// end of the interval or 0, for ℓ₂ the same or the free minimiser, and then the term is taken as
    /// $-a^2 / 4 \mu$, its least value anywhere. An end that moves by a rounding moves its term by at most
    /// $(|a_i| + 2 \mu \max(1, |t_i|))$ times that, which the magnitudes count.
    pub fn least<T: Scalar>(&self, a: &[T], lower: &[T], upper: &[T]) -> f64 {
        let terms = self.terms(a, lower, upper);
        let Some((_, mu)) = self.multipliers(&terms) else { return f64::NEG_INFINITY };
        let (mut sum, mut magnitude) = (0.0, mu * self.budget());
        for i in 0..a.len() {
            let (a, c, low, high) = (terms.a[i], self.centre[i], terms.low[i], terms.high[i]);
            let t = terms.least_at(i, mu);
            let free = self.norm == Norm::L2 && low < t && t < high && a != 0.0;
            let value = if free { -(a * a) / (4.0 * mu) } else { a * t + mu * size(self.norm, t) };
            sum += a * c + value;
            let reach = 2.0 * c.abs() + lower[i].to_f64().abs().max(upper[i].to_f64().abs());
            let slope = if self.norm == Norm::L1 { mu } else { 2.0 * mu * t.abs() };
            magnitude += (a.abs() + slope) * reach + value.abs() + mu * size(self.norm, t);
        }
        let value = sum - mu * self.budget() - gamma::<f64>(2 * a.len() + 32) * magnitude - 1e-200;
        if value.is_nan() { f64::NEG_INFINITY } else { value }
    }

    /// The point of the box inside the ball where $\langle a, x \rangle$ is about least.
    pub fn minimiser<T: Scalar>(&self, a: &[T], lower: &[T], upper: &[T], out: &mut [T]) {
        let terms = self.terms(a, lower, upper);
        let (tight, loose) = self.multipliers(&terms).map_or((0.0, 0.0), |(low, high)| (high, low));
        // ℓ₁ has jumps: between the points on either side of one.
        let (inside, outside) = (terms.used(tight), terms.used(loose));
        let share = match self.norm {
            Norm::L1 if outside > inside => ((self.budget() - inside) / (outside - inside)).clamp(0.0, 1.0),
            _ => 0.0,
        };
        for (i, out) in out.iter_mut().enumerate() {
            let t = terms.least_at(i, tight);
            let t = if share > 0.0 { t + share * (terms.least_at(i, loose) - t) } else { t };
            *out = T::from_f64(self.centre[i] + t).max(lower[i]).min(upper[i]);
        }
    }

    /// Moves a point towards the centre until it is inside, up to rounding.
    pub fn pull<T: Scalar>(&self, x: &mut [T]) {
        let sum: f64 = x.iter().zip(&self.centre).map(|(x, c)| size(self.norm, x.to_f64() - c)).sum();
        let distance = if self.norm == Norm::L1 { sum } else { sum.sqrt() };
        if distance > self.radius {
            let share = self.radius / distance;
            x.iter_mut().zip(&self.centre).for_each(|(x, c)| *x = T::from_f64(c + share * (x.to_f64() - c)));
        }
    }
}

/// $\phi$.
fn size(norm: Norm, t: f64) -> f64 {
    match norm {
        Norm::L1 => t.abs(),
        Norm::L2 => t * t,
    }
}

/// A linear function of $t$ on a box.
struct Terms {
    norm: Norm,
    a: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
}

impl Terms {
    /// The $t_i$ where $a_i t_i + \mu \phi(t_i)$ is least.
    fn least_at(&self, i: usize, mu: f64) -> f64 {
        let a = self.a[i];
        let free = match self.norm {
            Norm::L1 if a.abs() <= mu => 0.0,
            Norm::L1 => -a.signum() * f64::INFINITY,
            Norm::L2 if a == 0.0 => 0.0,
            Norm::L2 => -a / (2.0 * mu),
        };
        free.max(self.low[i]).min(self.high[i])
    }

    /// $\sum_i \phi(t_i)$.
    fn used(&self, mu: f64) -> f64 {
        let (a, low, high) = (&self.a[..], &self.low[..self.a.len()], &self.high[..self.a.len()]);
        match self.norm {
            Norm::L2 if mu > 0.0 => {
                let scale = -0.5 / mu;
                let mut sums = [0.0; 8];
                for i in 0..a.len() {
                    let t = (a[i] * scale).max(low[i]).min(high[i]);
                    sums[i % 8] += t * t;
                }
                sums.into_iter().sum()
            }
            _ => (0..a.len()).map(|i| size(self.norm, self.least_at(i, mu))).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_linalg::random::Random;

    fn ball(norm: Norm, centre: &[f64], radius: f64) -> Ball {
        let exact = |v: &f64| RBig::try_from(*v).expect("finite");
        Ball::new(&property::Ball { norm, centre: centre.iter().map(exact).collect(), radius: exact(&radius) })
    }

    #[test]
    fn known_minima() {
        let wide = (&[-10.0f64, -10.0][..], &[10.0f64, 10.0][..]);
        let near = |found: f64, exact: f64| found <= exact && found > exact - 1e-5;
        // −r ‖a‖ in the dual norm.
        assert!(near(ball(Norm::L2, &[1.0, 0.0], 2.0).least(&[3.0, 4.0], wide.0, wide.1), 3.0 - 10.0));
        assert!(near(ball(Norm::L1, &[1.0, 0.0], 2.0).least(&[3.0, 4.0], wide.0, wide.1), 3.0 - 8.0));
        // The box takes the better direction away after 1: 4 + 3 for ℓ₁; for ℓ₂ the rest is √3 wide.
        let cut = (&[-10.0f64, -1.0][..], &[10.0f64, 10.0][..]);
        assert!(near(ball(Norm::L1, &[0.0, 0.0], 2.0).least(&[3.0, 4.0], cut.0, cut.1), -7.0));
        assert!(near(ball(Norm::L2, &[0.0, 0.0], 2.0).least(&[3.0, 4.0], cut.0, cut.1), -4.0 - 3.0 * 3f64.sqrt()));
        // A box inside the ball decides by itself; a box outside of it is empty, and any bound holds.
        let small = (&[0.0f64, 0.0][..], &[0.5f64, 0.5][..]);
        assert_eq!(ball(Norm::L2, &[0.0, 0.0], 2.0).least(&[3.0, 4.0], small.0, small.1), f64::NEG_INFINITY);
        let far = (&[5.0f64, 5.0][..], &[6.0f64, 6.0][..]);
        assert!(ball(Norm::L2, &[0.0, 0.0], 2.0).least(&[3.0, 4.0], far.0, far.1) > 35.0);
    }

    #[test]
    fn nothing_inside_is_below_and_the_minimiser_attains() {
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let n = 2 + seed as usize % 9;
            let mut numbers =
                |scale: f64| (0..n).map(|_| f64::from((scale * random.normal()) as f32)).collect::<Vec<_>>();
            let (a, centre, below, above) = (numbers(1.0), numbers(1.0), numbers(0.4), numbers(0.4));
            let lower: Vec<f64> = centre.iter().zip(&below).map(|(c, w)| c - w.abs()).collect();
            let upper: Vec<f64> = centre.iter().zip(&above).map(|(c, w)| c + w.abs()).collect();
            let norm = [Norm::L1, Norm::L2][seed as usize % 2];
            let ball = ball(norm, &centre, 0.1 + random.unit());
            let value = |x: &[f64]| a.iter().zip(x).map(|(a, x)| a * x).sum::<f64>();
            let corner: f64 = (0..n).map(|i| (a[i] * lower[i]).min(a[i] * upper[i])).sum();
            let least = ball.least(&a, &lower, &upper).max(corner);
            let mut best = vec![0.0; n];
            ball.minimiser(&a, &lower, &upper, &mut best);
            assert!((value(&best) - least).abs() < 1e-4 * (1.0 + least.abs()), "seed {seed}: {} {least}", value(&best));
            for _ in 0..200 {
                let mut x: Vec<f64> = (0..n).map(|i| lower[i] + (upper[i] - lower[i]) * random.unit()).collect();
                ball.pull(&mut x);
                assert!(value(&x) >= least - 1e-12, "seed {seed}");
            }
        }
    }
}
