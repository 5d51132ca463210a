//! Seeded random streams: the same seed gives the same numbers on every machine.

use crate::Scalar;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A reproducible stream of random numbers (ChaCha8).
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// An independent stream of the same seed: worker `index`, or restart `index`.
    pub fn stream(seed: u64, index: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index);
        Self(rng)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in $[0, 1)$ with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in $[a, b)$.
    pub fn uniform(&mut self, a: f64, b: f64) -> f64 {
        a + (b - a) * self.unit()
    }

    /// Uniform in $0, \dots, n-1$.
    #[track_caller]
    pub fn index(&mut self, n: usize) -> usize {
        assert!(n > 0, "no index below zero");
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// Standard normal, by the Box–Muller transform.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Fills a slice with normal numbers of the given deviation.
    pub fn fill_normal<T: Scalar>(&mut self, out: &mut [T], deviation: f64) {
        for value in out {
            *value = T::from_f64(self.normal() * deviation);
        }
    }

    /// A random permutation of $0, \dots, n-1$.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.index(i + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        assert_eq!(Random::new(7).bits(), Random::new(7).bits());
        assert_ne!(Random::stream(7, 1).bits(), Random::stream(7, 2).bits());
    }

    #[test]
    fn moments_of_the_normal() {
        let mut rng = Random::new(1);
        let draws: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / 20_000.0;
        // Four standard errors: 4/√20000 ≈ 0.028 and 4·√2/√20000 = 0.04.
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04);
    }
}
