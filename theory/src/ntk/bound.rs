//! What a kernel says of the test error of its interpolating function.

use super::regression::Ridge;
use super::spectrum::Spectrum;
use crate::TheoryError;
use serde::{Deserialize, Serialize};

/// Bounds of the population loss of the function that interpolates $y$, for losses with values in $[0, 1]$ that change by
/// at most the change of the prediction and are 0 on the training data.
///
/// With labels $\pm1$ the clipped hinge $\min(1, \max(0, 1 - y f))$ is such a loss, and it is at least 1 where the sign is wrong: the
/// bounds hold for the test error.
///
/// # Source
/// Arora, Du, Hu, Li, Wang 2019, theorem 5.1 and its proof; arXiv 2602.06675, theorem 3.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bound {
    /// $\sqrt{2\, y^\top K^{-1} y / N}$, the paper's first term. It supposes $\operatorname{tr} K \le N/2$ and falls when a kernel
    /// is merely multiplied by a number.
    pub leading: f64,
    /// The same for $K\, N / (2 \operatorname{tr} K)$, which has $\operatorname{tr} K = N/2$: $2\sqrt{y^\top K^{-1} y \cdot
    /// \operatorname{tr} K} / N$.
    pub leading_scaled: f64,
    /// $C \sqrt{\log(N/(\lambda_0 \delta))/N}$ with $C = 3/\sqrt2$ ([`CONSTANT`]) and $\lambda_0$ the smallest eigenvalue of the scaled
    /// kernel: the deviation term that the paper writes as $O(\cdot)$.
    pub deviation: f64,
    /// $\tfrac2N \lceil B \rceil \sqrt{\operatorname{tr} K} + 3 \sqrt{\log(2 \lceil B \rceil (\lceil B \rceil + 1)/\delta)/2N}$ with
    /// $B^2 = y^\top K^{-1} y$ of the scaled kernel: with every constant. It holds for a kernel that is fixed before the data are drawn,
    /// scale included: where $K(x, x)$ is the same for all inputs, as it is for inputs of one length.
    pub explicit: f64,
    /// $\delta$: how often the bounds may fail.
    pub delta: f64,
}

/// $C = 3/\sqrt2$: that of $3\sqrt{\log(2/\delta')/2N}$ for $\delta' = 2 \lambda_0 \delta / N$, the share that is left of $\delta$ for each of
/// the $N/\lambda_0$ sizes that $y^\top K^{-1} y$ may have.
pub const CONSTANT: f64 = 3.0 * std::f64::consts::FRAC_1_SQRT_2;

impl Bound {
    /// The bounds for a kernel and labels.
    ///
    /// # Shapes
    /// `kernel` is $N \times N$, `labels` has $N$ numbers in $[-1, 1]$.
    ///
    /// # Errors
    /// They do not fit, a label is larger, $\delta$ is not in $(0, 1)$, or the kernel is singular in `f64`.
    pub fn of(kernel: &[f64], labels: &[f64], delta: f64) -> Result<Self, TheoryError> {
        let samples = labels.len();
        if !(delta > 0.0 && delta < 1.0) {
            return Err(TheoryError::Range { name: "delta", expected: "a probability between 0 and 1", found: delta });
        }
        if let Some(found) = labels.iter().copied().find(|y| y.is_nan() || y.abs() > 1.0) {
            return Err(TheoryError::Range { name: "label", expected: "a number from -1 to 1", found });
        }
        let spectrum = Spectrum::of(kernel, samples)?;
        let norm = Ridge::fit(kernel, samples, labels, 0.0)?.norm();
        let smallest = spectrum.condition.map(|condition| spectrum.eigenvalues[0] / condition);
        let smallest = smallest.ok_or(TheoryError::Singular { samples, ridge: 0.0 })?;
        let (n, trace) = (samples as f64, spectrum.trace);
        // Multiplying K by s divides yᵀK⁻¹y by s.
        let scale = n / (2.0 * trace);
        let (size, smallest) = ((norm / scale).sqrt(), smallest * scale);
        let level = size.ceil().max(1.0);
        Ok(Self {
            leading: (2.0 * norm / n).sqrt(),
            leading_scaled: size * (2.0 / n).sqrt(),
            deviation: CONSTANT * ((n / (smallest * delta)).ln().max(0.0) / n).sqrt(),
            explicit: level * (2.0 / n).sqrt() + 3.0 * ((2.0 * level * (level + 1.0) / delta).ln() / (2.0 * n)).sqrt(),
            delta,
        })
    }

    /// The scaled first term with the deviation.
    pub fn total(&self) -> f64 {
        self.leading_scaled + self.deviation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(n: usize, scale: f64) -> Vec<f64> {
        (0..n * n).map(|k| if k / n == k % n { scale } else { 0.0 }).collect()
    }

    #[test]
    fn by_hand_for_a_multiple_of_the_identity() {
        let labels = [1.0, -1.0, 1.0, 1.0];
        let bound = Bound::of(&identity(4, 0.5), &labels, 0.05).unwrap();
        // tr K = N/2 already; yᵀK⁻¹y = 8, so √(2·8/4) = 2, and ⌈√8⌉ = 3; λ₀ = 1/2.
        assert!((bound.leading - 2.0).abs() < 1e-15 && (bound.leading_scaled - 2.0).abs() < 1e-15);
        assert!((bound.deviation - 3.0 / 2f64.sqrt() * (160f64.ln() / 4.0).sqrt()).abs() < 1e-14);
        let explicit = 3.0 / 2f64.sqrt() + 3.0 * (480f64.ln() / 8.0).sqrt();
        assert!((bound.explicit - explicit).abs() < 1e-14);
    }

    #[test]
    fn only_the_first_term_depends_on_the_scale() {
        let labels = [1.0, -1.0, 1.0, 1.0];
        let (one, other) = (identity(4, 0.5), identity(4, 0.02));
        let (one, other) = (Bound::of(&one, &labels, 0.1).unwrap(), Bound::of(&other, &labels, 0.1).unwrap());
        assert!((other.leading / one.leading - 5.0).abs() < 1e-13);
        // Roundings alone.
        assert!((other.total() - one.total()).abs() < 1e-13 && (other.explicit - one.explicit).abs() < 1e-13);
    }

    #[test]
    fn bad_input_is_refused() {
        let kernel = identity(2, 1.0);
        assert!(matches!(Bound::of(&kernel, &[1.0, 2.0], 0.1), Err(TheoryError::Range { name: "label", .. })));
        assert!(matches!(Bound::of(&kernel, &[1.0, f64::NAN], 0.1), Err(TheoryError::Range { .. })));
        assert!(matches!(Bound::of(&kernel, &[1.0, 1.0], 1.0), Err(TheoryError::Range { name: "delta", .. })));
        assert!(matches!(Bound::of(&[1.0; 4], &[1.0, 1.0], 0.1), Err(TheoryError::Singular { .. })));
        assert!(Bound::of(&kernel, &[1.0], 0.1).is_err());
    }
}
