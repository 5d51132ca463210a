//! Rounding outward.
//!
//! Sums of $k$ terms have a relative error of at most $\gamma_k = k u / (1 - k u)$ of the sum of absolute values, in any order
//! (Higham 2002, section 4.2). Bounds on errors are computed with errors of their own, which [`WIDER`] covers.

/// $1 + 2^{-20}$: more than $1 + \gamma_k$ for the $k < 10^9$ operations behind any bound on an error.
pub(super) const WIDER: f64 = 1.0 + 1.0 / 1_048_576.0;

const UNIT: f64 = f64::EPSILON / 2.0;

/// $\gamma_k$, rounded up.
pub(super) fn gamma(k: usize) -> f64 {
    let ku = k as f64 * UNIT;
    ku / (1.0 - ku) * WIDER
}

/// A number above the exact value of one rounded operation.
pub(super) fn up(value: f64) -> f64 {
    value.next_up()
}

/// A number below the exact value of one rounded operation, and not below 0.
pub(super) fn down(value: f64) -> f64 {
    value.next_down().max(0.0)
}
