//! How wide a masked network has to be to approximate a function of $k$ active coordinates.
//!
//! On a rectangle $A \times B$ with $W \ge p$, where $A$ holds the active coordinates and $\alpha = |B|$, a hidden unit of $B$
//! is wired to all $k$ with probability at least $p^k$. Of $n$ units, at least $\operatorname{Binomial}(\alpha n, p^k)$ are, and
//! on these the masked network is a full network on the active coordinates: it approximates whatever $m$ units can once
//! $\alpha n p^k$ is well above $m$.

use super::step::StepGraphon;
use crate::error::TheoryError;

/// A rectangle, its bound and the number of active coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wiring {
    /// $\alpha$: the share of hidden units.
    pub share: f64,
    /// $p$: the graphon is at least that on the rectangle.
    pub density: f64,
    /// $k$.
    pub active: usize,
}

impl Wiring {
    /// Checked numbers.
    ///
    /// # Errors
    /// $\alpha$ or $p$ outside of $(0, 1]$, or $k = 0$.
    pub fn new(share: f64, density: f64, active: usize) -> Result<Self, TheoryError> {
        for (name, found) in [("share of hidden units", share), ("density on the rectangle", density)] {
            if !(found > 0.0 && found <= 1.0) {
                return Err(TheoryError::Range { name, expected: "above 0 and at most 1", found });
            }
        }
        if active == 0 {
            return Err(TheoryError::Range { name: "active coordinates", expected: "at least 1", found: 0.0 });
        }
        Ok(Self { share, density, active })
    }

    /// $p^k$.
    pub fn probability(&self) -> f64 {
        self.density.powf(self.active as f64)
    }

    /// $\alpha n p^k$: how many of $n$ units are expected to be wired to all active coordinates, at least.
    pub fn expected(&self, n: usize) -> f64 {
        self.share * n as f64 * self.probability()
    }

    /// The width at which $m$ wired units are expected, $n = m / (\alpha p^k)$, rounded up.
    pub fn width(&self, m: usize) -> f64 {
        (m as f64 / (self.share * self.probability())).ceil()
    }

    /// The probability that at least $m$ of $\lfloor \alpha n \rfloor$ units are wired, if wired independently.
    pub fn at_least(&self, m: usize, n: usize) -> f64 {
        let (trials, p) = ((self.share * n as f64 + 1e-9).floor() as usize, self.probability());
        if m > trials {
            return 0.0;
        }
        if m == 0 || p >= 1.0 {
            return 1.0;
        }
        let term = |i: usize| {
            let choose = libm::lgamma(trials as f64 + 1.0)
                - libm::lgamma(i as f64 + 1.0)
                - libm::lgamma((trials - i) as f64 + 1.0);
            (choose + i as f64 * p.ln() + (trials - i) as f64 * (-p).ln_1p()).exp()
        };
        // The shorter tail.
        if m as f64 > trials as f64 * p {
            (m..=trials).map(term).sum::<f64>().min(1.0)
        } else {
            (1.0 - (0..m).map(term).sum::<f64>()).max(0.0)
        }
    }

    /// The least width at which at least $m$ units are wired with the given probability.
    ///
    /// # Errors
    /// A probability outside of $(0, 1)$.
    pub fn width_for(&self, m: usize, probability: f64) -> Result<usize, TheoryError> {
        if !(probability > 0.0 && probability < 1.0) {
            return Err(TheoryError::Range {
                name: "probability",
                expected: "above 0 and below 1",
                found: probability,
            });
        }
        let (mut low, mut high) = (0, self.width(m.max(1)) as usize);
        while self.at_least(m, high) < probability {
            (low, high) = (high, 2 * high);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.at_least(m, middle) < probability { low = middle } else { high = middle }
        }
        Ok(high)
    }
}

/// The rectangle of the given rows that promises most: the $\alpha$ and $p$ with the largest $\alpha p^k$, over sets of columns on which the
/// graphon is at least $p$ in all of these rows.
///
/// # Errors
/// No rows, a row that is not there, or a graphon that is 0 there in every column.
pub fn best_rectangle(w: &StepGraphon, rows: &[usize]) -> Result<Wiring, TheoryError> {
    let count = w.rows().len();
    if let Some(&row) = rows.iter().find(|row| **row >= count) {
        return Err(TheoryError::Range {
            name: "row of the graphon",
            expected: "a row that is there",
            found: row as f64,
        });
    }
    let cols = w.cols().len();
    let least = |j: usize| rows.iter().map(|i| w.values()[i * cols + j]).fold(1.0, f64::min);
    let mut columns: Vec<(f64, f64)> = w.cols().widths().into_iter().enumerate().map(|(j, b)| (least(j), b)).collect();
    columns.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut share, mut best) = (0.0, (0.0, 0.0, 0.0));
    for (p, width) in columns {
        share += width;
        let value = share * p.powf(rows.len() as f64);
        if value > best.0 {
            best = (value, share.min(1.0), p);
        }
    }
    Wiring::new(best.1, best.2, rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_by_hand() {
        let wiring = Wiring::new(0.5, 0.2, 2).unwrap();
        assert_eq!(wiring.expected(1000), 20.000000000000004);
        assert_eq!(wiring.width(20), 1000.0);
        assert!(
            Wiring::new(0.0, 0.5, 1).is_err()
                && Wiring::new(1.0, f64::NAN, 1).is_err()
                && Wiring::new(1.0, 0.5, 0).is_err()
        );
    }

    #[test]
    fn binomial_tails_by_hand() {
        let coin = Wiring::new(1.0, 0.5, 1).unwrap();
        // Of four coins: 1, 15/16, 11/16, 5/16, 1/16, 0.
        for (m, expected) in [16.0, 15.0, 11.0, 5.0, 1.0, 0.0].into_iter().enumerate() {
            assert!((coin.at_least(m, 4) - expected / 16.0).abs() < 1e-12, "{m}");
        }
        let wide = Wiring::new(1.0, 0.1, 3).unwrap();
        // Poisson of mean 5 within the law of small numbers: P(≥ 3) = 1 - e⁻⁵ (1 + 5 + 12.5).
        assert!((wide.at_least(3, 5000) - 0.87535).abs() < 1e-3);
    }

    #[test]
    fn the_least_width_is_least() {
        let wiring = Wiring::new(0.7, 0.4, 2).unwrap();
        let n = wiring.width_for(10, 0.95).unwrap();
        assert!(wiring.at_least(10, n) >= 0.95 && wiring.at_least(10, n - 1) < 0.95, "{n}");
        assert!(wiring.width_for(10, 1.0).is_err());
    }

    #[test]
    fn the_best_rectangle_weighs_size_against_density() {
        let w = StepGraphon::from_matrix(2, 4, vec![0.9, 0.5, 0.1, 0.0, 0.8, 0.6, 0.1, 0.0]).unwrap();
        // Columns 0 and 1: 1/2 · 1/4; column 0 alone: 1/4 · 0.64.
        assert_eq!(best_rectangle(&w, &[0, 1]).unwrap(), Wiring::new(0.25, 0.8, 2).unwrap());
        // One row: 1/2 · 1/2 against 1/4 · 0.9.
        assert_eq!(best_rectangle(&w, &[0]).unwrap(), Wiring::new(0.5, 0.5, 1).unwrap());
        assert!(best_rectangle(&w, &[2]).is_err());
        let empty = StepGraphon::from_matrix(1, 1, vec![0.0]).unwrap();
        assert!(best_rectangle(&empty, &[0]).is_err());
    }
}
