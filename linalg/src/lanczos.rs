//! The largest eigenvalues of a symmetric operator that is known by its products only.
//!
//! Lanczos with full reorthogonalisation: an orthonormal basis $Q$ of the Krylov space of $A$, and the eigenvalues of
//! $T = Q^\top A Q$, each of which is at most the eigenvalue of $A$ of the same rank.

use crate::random::Random;
use crate::spectrum::symmetric_eigenvalues;

/// How long to iterate.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// Products with the operator, at most.
    pub steps: usize,
    /// Stop when no wanted eigenvalue changed by more than this share of the largest.
    pub tolerance: f64,
    /// Seed of the first vector.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self { steps: 120, tolerance: 1e-8, seed: 0 }
    }
}

/// The `count` largest eigenvalues, from the largest; fewer where the Krylov space is smaller.
///
/// An eigenvalue that is there several times may be found once, since one first vector reaches one direction of its space.
///
/// # Shapes
/// `apply` maps vectors of length `n` to vectors of length `n`.
///
/// # Source
/// Lanczos 1950; Parlett 1980, chapter 13.
pub fn largest_eigenvalues(n: usize, count: usize, params: &Params, apply: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut first = vec![0.0; n];
    Random::new(params.seed).fill_normal(&mut first, 1.0);
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let (mut diagonal, mut beside): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut next = first;
    let mut found: Vec<f64> = Vec::new();
    for step in 0..params.steps.min(n) {
        let length = norm(&next);
        let scale = diagonal.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        // What is left of a product in an exhausted space is rounding.
        if length <= 1e-13 * scale || length == 0.0 {
            break;
        }
        if step > 0 {
            beside.push(length);
        }
        next.iter_mut().for_each(|v| *v /= length);
        let mut image = apply(&next);
        diagonal.push(dot(&image, &next));
        basis.push(next);
        // Twice is enough (Parlett 1980, section 6.9).
        for _ in 0..2 {
            for q in &basis {
                let part = dot(&image, q);
                image.iter_mut().zip(q).for_each(|(v, q)| *v -= part * q);
            }
        }
        next = image;
        if step % 5 == 4 {
            let ritz = ritz_values(&diagonal, &beside, count);
            let near = |(a, b): (&f64, &f64)| (a - b).abs() <= params.tolerance * ritz[0].abs();
            let settled = ritz.len() == count && found.len() == count && ritz.iter().zip(&found).all(near);
            found = ritz;
            if settled {
                return found;
            }
        }
    }
    ritz_values(&diagonal, &beside, count)
}

/// The largest singular value of a matrix that is known by its products $x \mapsto A x$ and $y \mapsto A^\top y$; a lower
/// estimate.
///
/// # Shapes
/// `cols` is the length of $x$.
pub fn largest_singular_value(
    cols: usize,
    params: &Params,
    apply: impl Fn(&[f64]) -> Vec<f64>,
    transposed: impl Fn(&[f64]) -> Vec<f64>,
) -> f64 {
    let squares = largest_eigenvalues(cols, 1, params, |x| transposed(&apply(x)));
    squares.first().map_or(0.0, |s| s.max(0.0).sqrt())
}

fn ritz_values(diagonal: &[f64], beside: &[f64], count: usize) -> Vec<f64> {
    let n = diagonal.len();
    let mut t = vec![0.0; n * n];
    (0..n).for_each(|i| t[i * n + i] = diagonal[i]);
    (1..n).for_each(|i| t[i * n + i - 1] = beside[i - 1]);
    let mut found = symmetric_eigenvalues(&t, n).unwrap_or_default();
    found.truncate(count);
    found
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (mut sums, (a8, b8)) = ([0.0; 8], (a.chunks_exact(8), b.chunks_exact(8)));
    let rest: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        (0..8).for_each(|i| sums[i] += x[i] * y[i]);
    }
    rest + sums.iter().sum::<f64>()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_a_diagonal_matrix() {
        let entries: Vec<f64> = (0..200).map(|i| 1.0 / (1.0 + i as f64)).collect();
        let apply = |x: &[f64]| x.iter().zip(&entries).map(|(x, e)| x * e).collect();
        let found = largest_eigenvalues(200, 3, &Params::default(), apply);
        for (found, expected) in found.iter().zip([1.0, 0.5, 1.0 / 3.0]) {
            // The stopping rule's tolerance, with room for the last of the three.
            assert!((found - expected).abs() < 1e-7, "{found} {expected}");
        }
    }

    #[test]
    fn small_and_empty_spaces() {
        let params = Params::default();
        let matrix = [1.0, 2.0, 0.0, 2.0, 4.0, 0.0];
        let apply = |x: &[f64]| (0..2).map(|r| (0..3).map(|c| matrix[3 * r + c] * x[c]).sum()).collect();
        let back = |y: &[f64]| (0..3).map(|c| (0..2).map(|r| matrix[3 * r + c] * y[r]).sum()).collect();
        // Rank 1: the singular value is the Frobenius norm, 5.
        assert!((largest_singular_value(3, &params, apply, back) - 5.0).abs() < 1e-12);
        assert_eq!(largest_eigenvalues(4, 2, &params, |_| vec![0.0; 4]), [0.0]);
    }
}
