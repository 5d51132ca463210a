//! Which share of a layer's weights is there, and the moments of those that are.

use crate::TheoryError;
use serde::{Deserialize, Serialize};
use std::f64::consts::{FRAC_2_PI, SQRT_2};

/// A function $W : [0, 1]^2 \to [0, 1]$ that is constant on the cells of a grid: the probability that the weight from input
/// $u$ to output $v$ is there.
///
/// # Shapes
/// Rows are inputs, columns are outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct DensityGrid {
    rows: usize,
    cols: usize,
    values: Vec<f64>,
}

impl DensityGrid {
    /// A grid from its cells in row-major order.
    ///
    /// # Errors
    /// There are no cells, not as many as the shape says, or a value outside of $[0, 1]$.
    pub fn new(rows: usize, cols: usize, values: Vec<f64>) -> Result<Self, TheoryError> {
        if rows == 0 || cols == 0 || values.len() != rows * cols {
            let (expected, found) = (vec![rows.max(1), cols.max(1)], vec![values.len()]);
            return Err(TheoryError::Shape { name: "cells of a density", expected, found });
        }
        values.iter().try_for_each(|value| share(*value))?;
        Ok(Self { rows, cols, values })
    }

    /// The values of $W$ at the midpoints of the cells: the midpoint rule in $u$ and $v$.
    ///
    /// # Errors
    /// As [`DensityGrid::new`].
    pub fn from_fn(rows: usize, cols: usize, density: impl Fn(f64, f64) -> f64) -> Result<Self, TheoryError> {
        let middle = |i: usize, n: usize| (i as f64 + 0.5) / n as f64;
        let cell = |k: usize| density(middle(k / cols, rows), middle(k % cols, cols));
        Self::new(rows, cols, (0..rows * cols).map(cell).collect())
    }

    /// The density of weights $w_{uv}$, standard normal, that are kept where $r(u)\,q(v)\,|w_{uv}| \ge \tau$:
    ///
    /// $$ W(u, v) = \operatorname{erfc}\Big(\frac{\tau}{\sqrt2\, r(u)\, q(v)}\Big), \qquad \int W = \rho. $$
    ///
    /// # Errors
    /// No factors, one that is negative or not finite, a density outside of $(0, 1]$, or one that the positive factors cannot reach.
    ///
    /// # Source
    /// arXiv 2602.06675: the limit of SNIP's masks.
    pub fn factorised(r: &[f64], q: &[f64], density: f64) -> Result<Self, TheoryError> {
        if let Some(found) = r.iter().chain(q).copied().find(|f| !(f.is_finite() && *f >= 0.0)) {
            return Err(TheoryError::Range { name: "factor", expected: "a finite number, at least 0", found });
        }
        let positive = |f: &[f64]| f.iter().filter(|f| **f > 0.0).count() as f64 / f.len().max(1) as f64;
        if !(density > 0.0 && density <= positive(r) * positive(q)) {
            let expected = "a share above 0, at most that of positive factors";
            return Err(TheoryError::Range { name: "density", expected, found: density });
        }
        let products: Vec<f64> = r.iter().flat_map(|r| q.iter().map(move |q| r * q)).collect();
        let cells =
            |tau: f64| products.iter().map(move |p| if *p > 0.0 { libm::erfc(tau / (SQRT_2 * p)) } else { 0.0 });
        let mean = |tau: f64| cells(tau).sum::<f64>() / products.len() as f64;
        let largest = products.iter().fold(0.0_f64, |a, b| a.max(*b));
        // The density falls from its greatest value at 0 to nothing at 40 deviations.
        let (mut low, mut high) = (0.0, 40.0 * largest);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if mean(middle) > density {
                low = middle;
            } else {
                high = middle;
            }
        }
        Self::new(r.len(), q.len(), cells(low).collect())
    }

    /// Cells along $u$ and along $v$.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// The cells, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// $\int W$.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }
}

/// The share of a layer's weights that is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a share, a list of shares, or a list of rows of shares")]
pub enum Density {
    /// Each weight with the same probability.
    Uniform(f64),
    /// Its own probability for every input coordinate; for a convolution, for every kernel tap or every tap of every
    /// channel.
    Inputs(Vec<f64>),
    /// $W(u, v)$: rows are inputs as above, columns are groups of neurons (channels), equal parts of the layer.
    Graphon(Vec<Vec<f64>>),
}

impl Default for Density {
    fn default() -> Self {
        Density::Uniform(1.0)
    }
}

impl From<&DensityGrid> for Density {
    fn from(grid: &DensityGrid) -> Self {
        Density::Graphon(grid.values.chunks_exact(grid.cols).map(<[f64]>::to_vec).collect())
    }
}

impl Density {
    /// As a grid.
    ///
    /// # Errors
    /// Rows of different lengths, or what [`DensityGrid::new`] refuses.
    pub fn grid(&self) -> Result<DensityGrid, TheoryError> {
        match self {
            Density::Uniform(value) => DensityGrid::new(1, 1, vec![*value]),
            Density::Inputs(values) => DensityGrid::new(values.len(), 1, values.clone()),
            Density::Graphon(rows) => {
                let cols = rows.first().map_or(0, Vec::len);
                if let Some(other) = rows.iter().find(|row| row.len() != cols) {
                    let (expected, found) = (vec![cols], vec![other.len()]);
                    return Err(TheoryError::Shape { name: "row of a density", expected, found });
                }
                DensityGrid::new(rows.len(), cols, rows.concat())
            }
        }
    }
}

fn share(value: f64) -> Result<(), TheoryError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(TheoryError::Range { name: "density", expected: "a share from 0 to 1", found: value })
}

/// The size $t$ that a standard normal number exceeds with probability $W$: $\operatorname{erfc}(t/\sqrt2) = W$.
///
/// # Panics
/// $W$ is not in $(0, 1]$.
#[track_caller]
pub fn threshold(share: f64) -> f64 {
    assert!(share > 0.0 && share <= 1.0, "a share above 0 and up to 1");
    let slope = |x: f64| -2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp();
    // erfc is convex for x > 0, so Newton's steps from 0 approach the root from one side.
    let mut x = 0.0;
    for _ in 0..1000 {
        let step = (share - libm::erfc(x)) / slope(x);
        x += step;
        if step <= 1e-16 * x {
            break;
        }
    }
    SQRT_2 * x
}

/// $\mathrm E\,w^2 \mathbf 1\{|w| \ge t\} = \operatorname{erfc}(t/\sqrt2) + \sqrt{2/\pi}\; t\, e^{-t^2/2}$ of a standard normal
/// weight that is kept where it is large, with $\operatorname{erfc}(t/\sqrt2) = W$.
pub fn kept_second_moment(share: f64) -> f64 {
    if share <= 0.0 {
        return 0.0;
    }
    let t = threshold(share);
    share + FRAC_2_PI.sqrt() * t * (-0.5 * t * t).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_linalg::random::Random;

    #[test]
    fn thresholds_leave_their_share() {
        for share in [1.0, 0.999, 0.5, 0.05, 1e-6, 1e-30] {
            let left = libm::erfc(threshold(share) / SQRT_2);
            // erfc's relative condition at t is about t², which is 130 at the last share.
            assert!((left / share - 1.0).abs() < 1e-13, "{share} {left}");
        }
        assert_eq!(kept_second_moment(1.0), 1.0);
        assert_eq!(kept_second_moment(0.0), 0.0);
    }

    #[test]
    fn the_second_moment_of_large_numbers() {
        let mut random = Random::new(5);
        let (share, count) = (0.2, 200_000);
        let t = threshold(share);
        let squares: Vec<f64> =
            (0..count).map(|_| random.normal()).map(|w| if w.abs() >= t { w * w } else { 0.0 }).collect();
        let mean = squares.iter().sum::<f64>() / f64::from(count);
        let variance = squares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / f64::from(count);
        let error = (variance / f64::from(count)).sqrt();
        // Four standard errors.
        assert!((mean - kept_second_moment(share)).abs() < 4.0 * error, "{mean}");
    }

    #[test]
    fn what_is_no_density_is_refused() {
        assert!(matches!(DensityGrid::new(1, 1, vec![1.5]), Err(TheoryError::Range { .. })));
        assert!(matches!(DensityGrid::new(1, 1, vec![f64::NAN]), Err(TheoryError::Range { .. })));
        assert!(matches!(DensityGrid::new(2, 1, vec![0.5]), Err(TheoryError::Shape { .. })));
        assert!(Density::Graphon(vec![vec![0.5], vec![0.5, 0.5]]).grid().is_err());
        assert!(Density::Graphon(vec![]).grid().is_err());
    }

    #[test]
    fn factors_and_their_threshold() {
        let grid = DensityGrid::factorised(&[1.0, 2.0, 0.0], &[0.5, 1.0], 0.3).unwrap();
        // The bisection ends below the roundoff of the threshold.
        assert!((grid.mean() - 0.3).abs() < 1e-12);
        let w = grid.values();
        assert!(w[1] == w[2] && w[0] < w[1] && w[1] < w[3] && w[4] == 0.0, "{w:?}");
        // Equal factors: the same density everywhere.
        let even = DensityGrid::factorised(&[2.0; 3], &[0.1; 2], 0.4).unwrap();
        assert!(even.values().iter().all(|w| (w - 0.4).abs() < 1e-12));
        for (r, density) in [(&[1.0, 0.0][..], 0.6), (&[1.0][..], 0.0), (&[][..], 0.5), (&[-1.0][..], 0.5)] {
            assert!(DensityGrid::factorised(r, &[1.0], density).is_err(), "{r:?} {density}");
        }
        assert!(DensityGrid::factorised(&[f64::NAN], &[1.0], 0.5).is_err());
    }

    #[test]
    fn midpoints_of_a_function() {
        let grid = DensityGrid::from_fn(2, 4, |u, v| u * v).unwrap();
        assert_eq!(grid.shape(), (2, 4));
        assert_eq!(grid.values()[..2], [0.25 * 0.125, 0.25 * 0.375]);
        // The midpoint rule is exact for a product of linear functions, up to rounding.
        assert!((grid.mean() - 0.25).abs() < 1e-16);
    }
}
