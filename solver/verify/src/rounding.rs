//! A-priori bounds on the rounding error of the bounds.
//!
//! # Soundness
//! Back-substitution keeps, for each row, a claim that holds in real arithmetic for every input of
//! the row's domain:
//! $$ \text{objective}(x) \;\ge\; \sum_k \langle \tilde A_k, h_k(x) \rangle + \tilde d - e, $$
//! where $\tilde A_k, \tilde d$ are the floating-point numbers at hand, $h_k(x)$ the exact values of
//! the layers not yet eliminated, and $e \ge 0$ an error term. Eliminating an affine layer
//! $h_k = W h + b$ replaces $\tilde A_k W$ by its computed value. Each entry is a sum of at most
//! $p$ products (in any order, fused or not), so it is off by at most
//! $\gamma_p \sum_j |\tilde A_{kj}| |W_{ji}|$ with $\gamma_p = p u / (1 - p u)$, and because
//! $|h_i(x)| \le H_i$ on the domain, the claim stays true when $e$ grows by
//! $\gamma_p \langle |\tilde A_k|, |W| H + |b| \rangle$. The vector $|W| H + |b|$ is computed once for a
//! domain (or once for all domains inside a root), so the price of rigour is one inner product per
//! row and layer.
//!
//! Eliminating an activation multiplies by a slope and adds intercepts; the same argument applies
//! with the magnitudes of its source. Lines are made valid for the rounded slope by moving their
//! intercepts outward ([`crate::relax`]). A product is eliminated in the same way, with the magnitudes of both factors; the
//! mixture of its planes is off by a few roundings of the greater one. Adding into a sum that already has a value counts as one
//! more product. Weights that are not stored but computed (batch normalisation, means) or that were
//! converted to a narrower type count their roundings into $p$.
//!
//! A layer as executed in single precision is off by a share of $|W| H + |b|$ too, and its bounds are bounds of what is
//! executed; so when it is eliminated the same inner product, with a greater factor, pays for both.
//!
//! Magnitudes and errors are themselves sums of non-negative numbers and so have a relative error
//! below $\gamma_n \le 1\,\%$; the factor [`SAFETY`] covers it. Underflow loses at most the smallest
//! normal number per operation and is covered by [`Magnitudes::underflow`]; in the magnitudes themselves it is
//! added to $|W| H + |b|$.

use crate::crown::Lines;
use crate::network::{Affine, Function, Kind, Network};
use crate::relax::Planes;
use secateur_linalg::Scalar;

/// Inflates computed error terms to cover the rounding of their own computation.
pub const SAFETY: f64 = 1.05;

/// Sums longer than this, in units of $1/u$, are refused.
const LONGEST: f64 = 0.01;

/// The share that stands for the rounding of an execution that is off by the same anywhere.
const EXECUTED: f64 = 1.0 / (1 << 21) as f64;

/// $\gamma_p = p u / (1 - p u)$ for the scalar type, times [`SAFETY`].
///
/// # Panics
/// When $p u > 0.01$: such a layer needs the wider type.
#[track_caller]
pub fn gamma<T: Scalar>(terms: usize) -> f64 {
    let pu = terms as f64 * T::UNIT_ROUNDOFF;
    assert!(pu <= LONGEST, "a sum of {terms} terms is too long for this precision");
    SAFETY * pu / (1.0 - pu)
}

/// Whether every sum of the network is short enough for the scalar type.
pub fn fits<T: Scalar>(network: &Network<T>) -> bool {
    let longest = network.layers.iter().map(|layer| match &layer.kind {
        Kind::Affine(a) => {
            let longest: usize = a.terms.iter().map(|(_, m)| m.forward_terms().max(m.backward_terms())).sum();
            longest + a.terms.len() + a.roundings + layer.size
        }
        _ => layer.size,
    });
    longest.max().unwrap_or(0) as f64 * T::UNIT_ROUNDOFF <= LONGEST / 2.0
}

/// Bounds on absolute values, for one domain that contains all others or for each of a batch.
#[derive(Clone, Debug)]
pub struct Magnitudes<T> {
    batch: usize,
    values: Vec<Vec<T>>,
    weighted: Vec<Vec<T>>,
    /// The $\gamma$ that multiplies the weighted magnitudes when the layer is eliminated.
    pub gamma: Vec<T>,
    /// The share of the weighted magnitudes by which the layer's execution may be off ([`crate::network::Executed`]).
    pub executed: Vec<T>,
    /// What underflow can lose when the layer is eliminated.
    pub underflow: Vec<T>,
}

impl<T: Scalar> Magnitudes<T> {
    /// Magnitudes of no layer yet.
    pub fn new(batch: usize) -> Self {
        let (values, weighted, gamma, executed, underflow) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { batch, values, weighted, gamma, executed, underflow }
    }

    /// $H_k$: bounds $|h_k|$ entrywise on domain `d`.
    #[inline]
    pub fn values(&self, k: usize, d: u32) -> &[T] {
        self.part(&self.values[k], d)
    }

    /// For an affine layer $\sum_i |W_i| H_i + |b|$; for an activation, bounds $|s z| + |t|$ for every
    /// line $s z + t$ in use; for a product $|s x| + |s' y| + |t|$; on domain `d`.
    #[inline]
    pub fn weighted(&self, k: usize, d: u32) -> &[T] {
        self.part(&self.weighted[k], d)
    }

    #[inline]
    fn part<'a>(&self, all: &'a [T], d: u32) -> &'a [T] {
        let size = all.len() / self.batch;
        let d = if self.batch == 1 { 0 } else { d as usize };
        &all[d * size..(d + 1) * size]
    }

    /// Appends the next layer, whose values lie in `[lower, upper]` and whose lines, if it has any, are known.
    ///
    /// # Shapes
    /// `lower` and `upper` are `batch × size`.
    #[track_caller]
    pub fn push(&mut self, network: &Network<T>, lines: &Lines<T>, lower: &[T], upper: &[T]) {
        let k = self.values.len();
        let layer = &network.layers[k];
        let safety = T::from_f64(SAFETY);
        let (mut mass, mut terms) = (T::ZERO, 2);
        let mut executed = T::ZERO;
        let weighted = match &layer.kind {
            Kind::Input => Vec::new(),
            Kind::Affine(a) => {
                let mut weighted = a.bias_magnitude.repeat(self.batch);
                let longest: usize = a.terms.iter().map(|(_, map)| map.forward_terms()).sum();
                for (source, map) in &a.terms {
                    map.forward(true, &self.values[*source], self.batch, &mut weighted);
                    mass += self.values[*source].iter().copied().sum::<T>();
                    terms = terms.max(map.backward_terms() + 2);
                }
                terms += a.terms.len() + a.roundings + layer.size / LANES + LANES;
                let mut lost = T::from_f64(T::SMALLEST_NORMAL * (2 * longest + 2) as f64);
                if !a.executed.is_exact() {
                    // What comes on top becomes a share of what is added here.
                    let share = if a.executed.share > 0.0 { a.executed.share } else { EXECUTED };
                    executed = T::round_up(SAFETY * share);
                    lost += T::round_up(a.executed.more / share);
                }
                // Times the least factor, a known error is itself.
                let share = T::from_f64(SAFETY / gamma::<T>(terms));
                let known = |i: usize| affine_error(a, i % layer.size) * share;
                weighted.iter().enumerate().map(|(i, w)| (*w + lost + known(i)) * safety).collect()
            }
            Kind::Activation { source, function } => {
                let two = T::from_f64(2.0);
                let sources = &self.values[*source];
                mass = sources.iter().copied().sum::<T>();
                terms += 2 + layer.size / LANES + LANES;
                if *function == Function::Relu {
                    // Slopes of at most 1, here and on every part.
                    sources.iter().map(|z| two * *z * safety).collect()
                } else {
                    // The lines of parts are the same.
                    let line = |(j, z): (usize, &T)| {
                        let slope = lines.lower_slope[k][j].abs().max(lines.upper_slope[k][j].abs());
                        let intercept = lines.lower_intercept[k][j].abs().max(lines.upper_intercept[k][j].abs());
                        mass += slope * *z;
                        (slope * *z + intercept) * safety
                    };
                    sources.iter().enumerate().map(line).collect()
                }
            }
            Kind::Product(product) => {
                let (left, right) = (&product.left, &product.right);
                // The mixture of two planes, each of whose parts may be the greatest of either, and sums over the uses of a factor.
                terms += 12 + left.uses.max(right.uses) + layer.size / LANES + LANES;
                let sizes = network.factor_sizes(product);
                // What underflow in a mixture may lose, as a share of the coefficient.
                let lost = T::from_f64(T::SMALLEST_NORMAL / T::UNIT_ROUNDOFF);
                let plane = |(at, planes): (usize, &Planes<T>)| {
                    let (d, j) = (at / layer.size, at % layer.size);
                    let x = self.values[left.source][d * sizes[0] + left.index[j] as usize];
                    let y = self.values[right.source][d * sizes[1] + right.index[j] as usize];
                    mass += x + y;
                    let all = planes.below.iter().chain(&planes.above);
                    let most = all.map(|p| p.left.abs() * x + p.right.abs() * y + p.intercept.abs());
                    let most = most.fold(T::ZERO, |a, b| if b > a || !b.is_finite() { b } else { a });
                    (most + lost * (x + y + T::ONE)) * safety
                };
                lines.planes[k].iter().enumerate().map(plane).collect()
            }
        };
        self.values.push(lower.iter().zip(upper).map(|(l, u)| l.abs().max(u.abs())).collect());
        self.weighted.push(weighted);
        self.gamma.push(T::round_up(gamma::<T>(terms)));
        self.executed.push(executed);
        let lost = T::SMALLEST_NORMAL * (terms * (layer.size + 1)) as f64 * (mass.to_f64() * SAFETY + 1.0);
        self.underflow.push(T::round_up(lost.max(T::SMALLEST_NORMAL)));
    }
}

fn affine_error<T: Scalar>(affine: &Affine<T>, j: usize) -> T {
    affine.error.get(j).copied().unwrap_or(T::ZERO)
}

/// Partial sums that inner products here are split into: a sum of $n$ terms is at most
/// $n / \text{LANES} + \text{LANES}$ additions deep.
pub const LANES: usize = 16;

/// $\langle a, b \rangle$ and $\langle |a|, w \rangle$ in [`LANES`] partial sums.
#[inline]
pub fn inner<T: Scalar>(a: &[T], b: &[T], w: &[T]) -> (T, T) {
    let (mut plain, mut weighted) = ([T::ZERO; LANES], [T::ZERO; LANES]);
    let whole = a.len() - a.len() % LANES;
    for ((a, b), w) in
        a[..whole].chunks_exact(LANES).zip(b[..whole].chunks_exact(LANES)).zip(w[..whole].chunks_exact(LANES))
    {
        for i in 0..LANES {
            plain[i] += a[i] * b[i];
            weighted[i] += a[i].abs() * w[i];
        }
    }
    for i in whole..a.len() {
        plain[i - whole] += a[i] * b[i];
        weighted[i - whole] += a[i].abs() * w[i];
    }
    (plain.into_iter().sum(), weighted.into_iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_bounds_a_long_sum() {
        // 0.1 + … + 0.1 (n terms) in f32 against the exact n · fl(0.1).
        for n in [10usize, 1000, 100_000] {
            let sum: f32 = std::iter::repeat_n(0.1f32, n).sum();
            let exact = n as f64 * f64::from(0.1f32);
            assert!((f64::from(sum) - exact).abs() <= gamma::<f32>(n) * exact);
        }
    }

    #[test]
    fn inner_products_of_every_length() {
        for n in 0..70 {
            let a: Vec<f64> = (0..n).map(|i| if i % 2 == 0 { 1.0 } else { -2.0 }).collect();
            let b: Vec<f64> = (0..n).map(|i| i as f64).collect();
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            let weighted: f64 = a.iter().zip(&b).map(|(a, b)| a.abs() * b).sum();
            assert_eq!(inner(&a, &b, &b), (plain, weighted));
        }
    }
}
