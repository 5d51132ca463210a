//! Bounds of several objectives at once: a conjunction fails where any convex combination of its
//! objectives is positive.
//!
//! $$ \max_{\lambda \in \Delta} \min_{x} \sum_i \lambda_i \big( \langle A_i, x \rangle + d_i - e_i \big) $$
//! over the box is concave in $\lambda$. It is climbed from the best single objective by line searches
//! towards the others; whatever $\lambda$ results, its value is a bound.

use crate::ball::Set;
use crate::crown::InputBound;
use crate::rounding::{SAFETY, gamma};
use secateur_linalg::Scalar;

/// Sweeps over the objectives.
const SWEEPS: usize = 2;

/// Steps of a line search; each shrinks the interval to two thirds.
const STEPS: usize = 14;

/// A combination of rows: coefficients, constant less errors, and the magnitude of what was summed.
#[derive(Clone)]
struct Combination {
    coefficients: Vec<f64>,
    constant: f64,
    magnitude: f64,
    /// The share of each row.
    shares: Vec<f64>,
}

impl Combination {
    fn mix(&self, other: &Self, share: f64) -> Self {
        let blend = |a: f64, b: f64| (1.0 - share) * a + share * b;
        let pairs = self.coefficients.iter().zip(&other.coefficients);
        Self {
            coefficients: pairs.map(|(a, b)| blend(*a, *b)).collect(),
            constant: blend(self.constant, other.constant),
            magnitude: blend(self.magnitude, other.magnitude),
            shares: self.shares.iter().zip(&other.shares).map(|(a, b)| blend(*a, *b)).collect(),
        }
    }

    fn minimum<T: Scalar>(&self, set: Set<'_, T>) -> f64 {
        let Set { lower, upper, .. } = set;
        let corners = lower.iter().zip(upper).map(|(l, u)| (l.to_f64(), u.to_f64()));
        let terms = self.coefficients.iter().zip(corners).map(|(a, (l, u))| (a * l).min(a * u));
        self.constant + terms.sum::<f64>()
    }
}

impl<T: Scalar> InputBound<T> {
    /// A number that is below some convex combination of the given rows everywhere on the box (a ball that cuts
    /// it is left out of account), and
    /// below 0 when there are fewer than two rows.
    ///
    /// # Soundness
    /// Coefficients and constants are mixed in `f64`, each at most three roundings per mix; with the
    /// sum over the inputs that is fewer than `inputs + 4 mixes + 8` roundings relative to the mixed
    /// magnitudes, which are added to the error.
    pub fn combined_minimum(&self, rows: &[usize], set: Set<'_, T>) -> f64 {
        self.combined(rows, set).map_or(f64::NEG_INFINITY, |(minimum, _)| minimum)
    }

    /// The same with the share of each row; `None` when there are fewer than two.
    ///
    /// # Soundness
    /// See [`InputBound::combined_minimum`].
    pub fn combined(&self, rows: &[usize], set: Set<'_, T>) -> Option<(f64, Vec<f64>)> {
        if rows.len() < 2 {
            return None;
        }
        let unit = |at: usize| (0..rows.len()).map(|i| if i == at { 1.0 } else { 0.0 }).collect();
        let combination = |(at, r): (usize, &usize)| self.combination(*r, set.lower, set.upper, unit(at));
        let combinations: Vec<Combination> = rows.iter().enumerate().map(combination).collect();
        let value = |c: &Combination| c.minimum(set);
        let start = combinations.iter().max_by(|a, b| value(a).total_cmp(&value(b)));
        let mut best = start.cloned()?;
        let mut mixes = 0;
        for other in combinations.iter().cycle().take(SWEEPS * combinations.len()) {
            let (mut a, mut b) = (0.0, 1.0);
            for _ in 0..STEPS {
                let (left, right) = (a + (b - a) / 3.0, b - (b - a) / 3.0);
                if value(&best.mix(other, left)) < value(&best.mix(other, right)) {
                    a = left;
                } else {
                    b = right;
                }
            }
            let mixed = best.mix(other, 0.5 * (a + b));
            if value(&mixed) > value(&best) {
                (best, mixes) = (mixed, mixes + 1);
            }
        }
        let roundings = set.lower.len() + 4 * mixes + 8;
        let minimum = value(&best) - gamma::<f64>(roundings) * (best.magnitude + 1e-300);
        Some((minimum, best.shares))
    }

    fn combination(&self, r: usize, lower: &[T], upper: &[T], shares: Vec<f64>) -> Combination {
        let coefficients: Vec<f64> = self.row(r).iter().map(|a| a.to_f64()).collect();
        let error = SAFETY * self.error[r].to_f64();
        let reach = lower.iter().zip(upper).map(|(l, u)| l.abs().max(u.abs()).to_f64());
        let products = coefficients.iter().zip(reach).map(|(a, x)| a.abs() * x);
        let magnitude = products.sum::<f64>() + self.constant[r].abs().to_f64() + error;
        Combination { coefficients, constant: self.constant[r].to_f64() - error, magnitude, shares }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_objectives_that_exclude_each_other() {
        // g1 = x − 0.1 and g2 = −x + 0.3 on [0, 1]: neither is positive everywhere, their mean is 0.1.
        let bound = InputBound {
            coefficients: vec![1.0f64, -1.0],
            constant: vec![-0.1, 0.3],
            error: vec![0.0, 0.0],
            tape: Vec::new(),
        };
        let set = Set { lower: &[0.0], upper: &[1.0], ball: None };
        let minimum = bound.combined_minimum(&[0, 1], set);
        // Fourteen steps of the search leave a thousandth of the interval.
        assert!(minimum > 0.098 && minimum <= 0.1, "{minimum}");
        assert_eq!(bound.combined_minimum(&[0], set), f64::NEG_INFINITY);
    }
}
