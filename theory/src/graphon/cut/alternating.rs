//! Alternating maximisation of $\sum_{ij} a'_{ij} \langle z_i, w_j \rangle$ over signs, or over unit vectors.
//!
//! For fixed $w$ the best $z_i$ points along $g_i = \sum_j a'_{ij} w_j$, and the sum is $\sum_i \lVert g_i \rVert$; then the
//! other side. The sum never falls.

use super::balanced::Balanced;
use secateur_linalg::random::Random;

/// What is maximised over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Each column of numbers is a pair of sign vectors of its own.
    Signs,
    /// Each row of numbers is a unit vector.
    Vectors,
}

/// Where an alternation ends.
pub(super) struct Alternated {
    /// Numbers a row.
    pub(super) width: usize,
    /// $z$, one row for each row of the matrix.
    pub(super) left: Vec<f64>,
    /// $w$, one row for each column of the matrix.
    pub(super) right: Vec<f64>,
    /// $\lVert g_i \rVert$ of the rows.
    pub(super) left_norms: Vec<f64>,
    /// The same of the columns.
    pub(super) right_norms: Vec<f64>,
}

/// Alternates until the sum stops rising.
///
/// # Source
/// Wang, Kolter 2019, "Low-rank semidefinite programming for the MAX2SAT problem", for vectors, by blocks here.
pub(super) fn alternate(matrix: &Balanced, start: Vec<f64>, width: usize, kind: Kind, steps: usize) -> Alternated {
    let tolerance = if kind == Kind::Signs { 1e-13 } else { 1e-6 };
    let mut found = Alternated { width, left: vec![], right: start, left_norms: vec![], right_norms: vec![] };
    let mut before = 0.0;
    for _ in 0..steps {
        found.left = matrix.times(&found.right, width);
        found.left_norms = project(&mut found.left, width, kind);
        found.right = matrix.transposed_times(&found.left, width);
        found.right_norms = project(&mut found.right, width, kind);
        let sum: f64 = found.right_norms.iter().sum();
        if sum <= before * (1.0 + tolerance) {
            break;
        }
        before = sum;
    }
    found
}

/// Replaces each row by its direction; gives the rows' norms.
fn project(rows: &mut [f64], width: usize, kind: Kind) -> Vec<f64> {
    let one = |row: &mut [f64]| match kind {
        Kind::Signs => {
            let norm = row.iter().map(|v| v.abs()).sum();
            row.iter_mut().for_each(|v| *v = if *v < 0.0 { -1.0 } else { 1.0 });
            norm
        }
        Kind::Vectors => {
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            if norm > 0.0 {
                row.iter_mut().for_each(|v| *v /= norm);
            }
            norm
        }
    };
    rows.chunks_exact_mut(width).map(one).collect()
}

/// Unit vectors in random directions.
pub(super) fn random_vectors(count: usize, width: usize, seed: u64) -> Vec<f64> {
    let mut vectors = vec![0.0; count * width];
    Random::stream(seed, u64::MAX).fill_normal(&mut vectors, 1.0);
    project(&mut vectors, width, Kind::Vectors);
    vectors
}

/// Random signs, in the first half of each row: every restart has a stream of its own.
pub(super) fn random_signs(count: usize, restarts: usize, seed: u64) -> Vec<f64> {
    let mut signs = vec![1.0; count * 2 * restarts];
    for restart in 0..restarts {
        let mut random = Random::stream(seed, restart as u64);
        (0..count).for_each(|i| signs[i * 2 * restarts + restart] = if random.unit() < 0.5 { -1.0 } else { 1.0 });
    }
    signs
}

/// Signs of the vectors along random directions, in the second half of each row.
///
/// # Source
/// Goemans, Williamson 1995; Alon, Naor 2006, section 5.
pub(super) fn rounded(vectors: &Alternated, signs: &mut [f64], restarts: usize, seed: u64) {
    let width = vectors.width;
    for restart in restarts..2 * restarts {
        let mut direction = vec![0.0; width];
        Random::stream(seed, restart as u64).fill_normal(&mut direction, 1.0);
        for (i, w) in vectors.right.chunks_exact(width).enumerate() {
            let along: f64 = w.iter().zip(&direction).map(|(w, d)| w * d).sum();
            signs[i * 2 * restarts + restart] = if along < 0.0 { -1.0 } else { 1.0 };
        }
    }
}
