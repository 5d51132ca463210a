//! Means with intervals of confidence.

use serde::{Deserialize, Serialize};

/// A mean and how far it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Half the width of the 95 % interval, $t_{0.975,\,n-1}\, s / \sqrt n$ with the sample deviation $s$; none for one value.
    pub half: Option<f64>,
}

impl Interval {
    /// Of some values; none for no values.
    ///
    /// # Source
    /// Student 1908: exact where the values are normal.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let half = (values.len() > 1).then(|| {
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
            student(values.len() - 1) * (variance / n).sqrt()
        });
        (!values.is_empty()).then_some(Self { mean, half })
    }

    /// As percentages, such as `97.31 ± 0.12`.
    pub fn percent(&self) -> String {
        let half = self.half.map_or_else(String::new, |half| format!(" ± {:.2}", 100.0 * half));
        format!("{:.2}{half}", 100.0 * self.mean)
    }
}

/// $t_{0.975,\,\nu}$: the number that a Student variable of $\nu$ degrees of freedom exceeds in absolute value with probability 0.05.
///
/// # Panics
/// $\nu = 0$.
#[track_caller]
pub fn student(freedom: usize) -> f64 {
    assert!(freedom > 0, "one value has no deviation");
    let (mut low, mut high) = (0.0, 20.0);
    // The width halves each time: 60 times leaves less than a rounding.
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if within(middle, freedom) < 0.95 {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The probability that a Student variable of $\nu$ degrees of freedom is at most $t$ in absolute value, with
/// $\theta = \arctan(t / \sqrt\nu)$:
///
/// $$ \tfrac2\pi\big(\theta + \sin\theta\,(\cos\theta + \tfrac23\cos^3\theta + \dots)\big) \ (\nu \text{ odd}), \qquad
/// \sin\theta\,\big(1 + \tfrac12\cos^2\theta + \tfrac{1\cdot3}{2\cdot4}\cos^4\theta + \dots\big) \ (\nu \text{ even}), $$
///
/// with powers up to $\nu - 2$.
///
/// # Source
/// Abramowitz, Stegun 1964, 26.7.3 and 26.7.4.
fn within(t: f64, freedom: usize) -> f64 {
    let angle = (t / (freedom as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    let (mut power, mut term) = if odd { (1, cosine) } else { (0, 1.0) };
    let mut sum = 0.0;
    while power + 2 <= freedom {
        sum += term;
        term *= (power + 1) as f64 / (power + 2) as f64 * cosine * cosine;
        power += 2;
    }
    if odd { (angle + sine * sum) * std::f64::consts::FRAC_2_PI } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Printed with three digits.
        for (freedom, expected) in [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042)] {
            assert!((student(freedom) - expected).abs() < 5.1e-4, "{freedom}: {}", student(freedom));
        }
    }

    #[test]
    fn an_interval_by_hand() {
        assert_eq!(Interval::of(&[]), None);
        assert_eq!(Interval::of(&[0.5]), Some(Interval { mean: 0.5, half: None }));
        let found = Interval::of(&[1.0, 2.0, 3.0]).expect("values");
        // s = 1, so half = 4.303 / sqrt 3; the table's digits allow 1e-3.
        assert!(found.mean == 2.0 && (found.half.expect("three values") - 2.4843).abs() < 1e-3, "{found:?}");
    }
}
