//! Laws of the noise on edges.

use crate::error::TheoryError;
use std::f64::consts::SQRT_2;
use std::fmt;
use std::sync::Arc;

/// A continuous law by its survival function $x \mapsto P(\xi \ge x)$.
#[derive(Clone)]
pub struct Law {
    name: &'static str,
    signed: bool,
    survival: Arc<dyn Fn(f64) -> f64 + Send + Sync>,
}

impl fmt::Debug for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Law {
    /// $|\xi|$ of a standard normal $\xi$: $P(|\xi| \ge x) = \operatorname{erfc}(x / \sqrt 2)$.
    pub fn absolute_normal() -> Self {
        Self::positive("absolute normal", |x| libm::erfc(x / SQRT_2))
    }

    /// A standard normal $\xi$, whose sign counts.
    pub fn normal() -> Self {
        Self { name: "normal", signed: true, survival: Arc::new(|x| 0.5 * libm::erfc(x / SQRT_2)) }
    }

    /// Uniform on $[0, 1]$.
    pub fn uniform() -> Self {
        Self::positive("uniform", |x| (1.0 - x).clamp(0.0, 1.0))
    }

    /// $|\xi|$ of a standard Laplace $\xi$: $P(|\xi| \ge x) = e^{-x}$.
    pub fn exponential() -> Self {
        Self::positive("exponential", |x| (-x).exp())
    }

    /// Any law of positive numbers, by its survival function on $[0, \infty)$: continuous, falling from 1 to 0.
    pub fn positive(name: &'static str, survival: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
        Self { name, signed: false, survival: Arc::new(survival) }
    }

    /// Whether it takes negative numbers.
    pub fn is_signed(&self) -> bool {
        self.signed
    }

    /// $P(\xi \ge x)$, for any $x$ and for $\pm\infty$.
    pub fn survival(&self, x: f64) -> f64 {
        if x == f64::INFINITY {
            0.0
        } else if x == f64::NEG_INFINITY || (!self.signed && x <= 0.0) {
            1.0
        } else {
            (self.survival)(x)
        }
    }

    /// The number that $\xi$ is below with probability $p$, by bisection.
    ///
    /// # Errors
    /// $p$ outside of $(0, 1)$.
    pub fn quantile(&self, p: f64) -> Result<f64, TheoryError> {
        if !(p > 0.0 && p < 1.0) {
            return Err(TheoryError::Range { name: "probability", expected: "above 0 and below 1", found: p });
        }
        let (mut low, mut high) = (if self.signed { -1.0 } else { 0.0 }, 1.0);
        while self.signed && 1.0 - self.survival(low) > p {
            low *= 2.0;
        }
        while 1.0 - self.survival(high) < p {
            high *= 2.0;
        }
        // Each step halves the interval; 200 leave neighbouring numbers.
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            if 1.0 - self.survival(middle) < p {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(0.5 * (low + high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_tables() {
        // Printed with four digits.
        assert!((Law::absolute_normal().quantile(0.95).unwrap() - 1.95996).abs() < 1e-5);
        assert!((Law::normal().quantile(0.025).unwrap() + 1.95996).abs() < 1e-5);
        assert!((Law::exponential().quantile(0.5).unwrap() - 2.0_f64.ln()).abs() < 1e-12);
        assert!((Law::uniform().quantile(0.3).unwrap() - 0.3).abs() < 1e-12);
        assert!(Law::uniform().quantile(0.0).is_err() && Law::normal().quantile(f64::NAN).is_err());
    }

    #[test]
    fn ends() {
        let law = Law::absolute_normal();
        assert_eq!((law.survival(-1.0), law.survival(0.0), law.survival(f64::INFINITY)), (1.0, 1.0, 0.0));
        assert_eq!((Law::normal().survival(f64::NEG_INFINITY), Law::normal().survival(0.0)), (1.0, 0.5));
    }
}
