//! ℓ₁ and ℓ₂ balls: bounds of linear functions on the part of a box inside a ball.
//!
//! With $t = x - c$ and $\|t\| \le r$, for every $\mu \ge 0$
//! $$ \langle a, x \rangle \;\ge\; \langle a, c \rangle
//!    + \sum_i \min_{l_i - c_i \le t_i \le u_i - c_i} \big( a_i t_i + \mu\, \phi(t_i) \big) - \mu\, \rho, $$
//! where $\phi(t) = |t|,\ \rho = r$ for ℓ₁ and $\phi(t) = t^2,\ \rho = r^2$ for ℓ₂. The right side is concave in
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

    /// $\phi$.
    fn size(&self, t: f64) -> f64 {
        match self.norm {
            Norm::L1 => t.abs(),
            Norm::L2 => t * t,
        }
    }

    /// $\rho$.
    fn budget(&self) -> f64 {
        match self.norm {
            Norm::L1 => self.radius,
            Norm::L2 => self.radius * self.radius,
        }
    }

    /// The $t \in [\text{low}, \text{high}]$ where $a t + \mu \phi(t)$ is least.
    fn least_at(&self, a: f64, mu: f64, low: f64, high: f64) -> f64 {
        let free = match self.norm {
            Norm::L1 if a.abs() <= mu => 0.0,
            Norm::L1 => -a.signum() * f64::INFINITY,
            Norm::L2 if a == 0.0 => 0.0,
            Norm::L2 => -a / (2.0 * mu),
        };
        free.max(low).min(high)
    }

    /// Multipliers that enclose the best one: $\sum \phi(t_i)$ exceeds $\rho$ at the first and not at the second.
    /// `None` when the box alone decides.
    fn multipliers<T: Scalar>(&self, a: &[T], lower: &[T], upper: &[T]) -> Option<(f64, f64)> {
        let used = |mu: f64| {
            let mut sum = 0.0;
            for i in 0..a.len() {
                let c = self.centre[i];
                let (low, high) = (lower[i].to_f64() - c, upper[i].to_f64() - c);
                sum += self.size(self.least_at(a[i].to_f64(), mu, low, high));
            }
            sum
        };
        let budget = self.budget();
        if used(0.0) <= budget {
            return None;
        }
        let norm = match self.norm {
            Norm::L1 => a.iter().fold(0.0f64, |most, a| most.max(a.to_f64().abs())),
            // Without the box, ‖a‖ / 2μ = r.
            Norm::L2 => a.iter().map(|a| a.to_f64() * a.to_f64()).sum::<f64>().sqrt() / (2.0 * self.radius),
        };
        let (mut low, mut high) = (0.0, norm * (1.0 + 1e-9));
        // Where the centre is outside the box, more may be needed.
        let mut doublings = 0;
        while used(high) > budget && doublings < STEPS {
            (low, high) = (high, 4.0 * high);
            doublings += 1;
        }
        for _ in 0..STEPS {
            let middle = 0.5 * (low + high);
            if used(middle) > budget { low = middle } else { high = middle }
        }
        high.is_finite().then_some((low, high))
    }

    /// A number that $\langle a, x \rangle$ is certainly not below on the part of the box inside the ball;
    /// $-\infty$ when the box alone decides.
    ///
    /// # Soundness
    /// Each term is at most five roundings from its value at the chosen $\mu$ and the chosen $t_i$, and
    /// $a_i t + \mu \phi(t)$ is flat at its least point: the $t_i$ that rounding moved changes the value in the
    /// second order only for ℓ₂, and not at all for ℓ₁, whose $t_i$ are ends or 0. Both are far below the error
    /// term, which is relative to the sum of magnitudes. For ℓ₂ the value is taken from below:
    /// $a t + \mu t^2 \ge -a^2 / 4 \mu$ where the free minimiser is inside.
    pub fn least<T: Scalar>(&self, a: &[T], lower: &[T], upper: &[T]) -> f64 {
        let Some((_, mu)) = self.multipliers(a, lower, upper) else { return f64::NEG_INFINITY };
        let (mut sum, mut magnitude) = (0.0, mu * self.budget());
        for i in 0..a.len() {
            let (a, c) = (a[i].to_f64(), self.centre[i]);
            let (low, high) = (lower[i].to_f64() - c, upper[i].to_f64() - c);
            let t = self.least_at(a, mu, low, high);
            let free = self.norm == Norm::L2 && low < t && t < high && a != 0.0;
            let value = if free { -(a * a) / (4.0 * mu) } else { a * t + mu * self.size(t) };
            sum += a * c + value;
            let reach = c.abs() + lower[i].to_f64().abs().max(upper[i].to_f64().abs());
            magnitude +=
                a.abs() * (c.abs() + reach) + value.abs() + mu * self.size(t) + mu * reach * self.size(t).sqrt();
        }
        let value = sum - mu * self.budget() - gamma::<f64>(2 * a.len() + 32) * magnitude - 1e-200;
        if value.is_nan() { f64::NEG_INFINITY } else { value }
    }

    /// The point of the box inside the ball where $\langle a, x \rangle$ is about least.
    pub fn minimiser<T: Scalar>(&self, a: &[T], lower: &[T], upper: &[T], out: &mut [T]) {
        let (tight, loose) = self.multipliers(a, lower, upper).map_or((0.0, 0.0), |(low, high)| (high, low));
        let at = |mu: f64, i: usize| {
            let c = self.centre[i];
            self.least_at(a[i].to_f64(), mu, lower[i].to_f64() - c, upper[i].to_f64() - c)
        };
        let used = |mu: f64| (0..a.len()).map(|i| self.size(at(mu, i))).sum::<f64>();
        // ℓ₁ has jumps: between the points on either side of one.
        let (inside, outside) = (used(tight), used(loose));
        let share = match self.norm {
            Norm::L1 if outside > inside => ((self.budget() - inside) / (outside - inside)).clamp(0.0, 1.0),
            _ => 0.0,
        };
        for (i, out) in out.iter_mut().enumerate() {
            let t = at(tight, i);
            let t = if share > 0.0 { t + share * (at(loose, i) - t) } else { t };
            *out = T::from_f64(self.centre[i] + t).max(lower[i]).min(upper[i]);
        }
    }

    /// Moves a point towards the centre until it is inside, up to rounding.
    pub fn pull<T: Scalar>(&self, x: &mut [T]) {
        let sum: f64 = x.iter().zip(&self.centre).map(|(x, c)| self.size(x.to_f64() - c)).sum();
        let distance = if self.norm == Norm::L1 { sum } else { sum.sqrt() };
        if distance > self.radius {
            let share = self.radius / distance;
            x.iter_mut().zip(&self.centre).for_each(|(x, c)| *x = T::from_f64(c + share * (x.to_f64() - c)));
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
