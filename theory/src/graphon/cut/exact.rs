//! All subsets of the shorter side; for each, the best other side in closed form.
//!
//! For a fixed $S$ the best $T$ holds all columns whose sum over $S$ is positive, or all whose sum is negative.

use super::rounding::{WIDER, down, gamma, up};
use super::{CutNorm, Proof};

/// $2^{10}$ subsets are visited by exchanging one row at a time, then the sums are computed anew: rounding errors stay those of so
/// many operations.
const BLOCK: u32 = 10;

/// The cut norm of a matrix with a short side.
pub(super) fn enumerate(rows: usize, cols: usize, values: &[f64], spectral: f64) -> CutNorm {
    let (best, s, t) = if rows <= cols {
        best_cut(rows, cols, values)
    } else {
        let turned: Vec<f64> = (0..rows * cols).map(|k| values[(k % rows) * cols + k / rows]).collect();
        let (best, t, s) = best_cut(cols, rows, &turned);
        (best, s, t)
    };
    // Every column's sum went through at most 2^BLOCK exchanges and one addition for each row, then columns were added up.
    let total: f64 = values.iter().map(|v| v.abs()).sum();
    let upper = up(best + gamma((1 << BLOCK) + rows + cols) * total * WIDER);
    let (found, error) = sum(cols, values, &s, &t);
    let lower = down(found.abs() - error);
    CutNorm { lower, upper, rows: s, cols: t, positive: found > 0.0, spectral, proof: Proof::Enumeration }
}

/// The best value and its sets, of a matrix with at least as many columns as rows.
fn best_cut(rows: usize, cols: usize, values: &[f64]) -> (f64, Vec<bool>, Vec<bool>) {
    let block = BLOCK.min(rows as u32);
    let (mut best, mut best_set, mut positive) = (-1.0, 0u64, true);
    for high in 0..1u64 << (rows as u32 - block) {
        let mut set = high << block;
        let mut sums = column_sums(cols, values, set);
        for step in 0..1u64 << block {
            if step > 0 {
                let row = step.trailing_zeros() as usize;
                set ^= 1 << row;
                let sign = if set >> row & 1 == 1 { 1.0 } else { -1.0 };
                sums.iter_mut().zip(&values[row * cols..]).for_each(|(s, v)| *s += sign * v);
            }
            let (above, below) = sums.iter().fold((0.0, 0.0), |(a, b), s: &f64| (a + s.max(0.0), b - s.min(0.0)));
            if above.max(below) > best {
                (best, best_set, positive) = (above.max(below), set, above >= below);
            }
        }
    }
    let sums = column_sums(cols, values, best_set);
    let t = sums.iter().map(|sum| if positive { *sum > 0.0 } else { *sum < 0.0 }).collect();
    (best, (0..rows).map(|row| best_set >> row & 1 == 1).collect(), t)
}

fn column_sums(cols: usize, values: &[f64], set: u64) -> Vec<f64> {
    let mut sums = vec![0.0; cols];
    for (_, row) in values.chunks_exact(cols).enumerate().filter(|(row, _)| set >> row & 1 == 1) {
        sums.iter_mut().zip(row).for_each(|(s, v)| *s += v);
    }
    sums
}

/// $\sum_{i \in S,\, j \in T} a_{ij}$ as computed, and how far that can be from the exact sum.
pub(super) fn sum(cols: usize, values: &[f64], s: &[bool], t: &[bool]) -> (f64, f64) {
    let (mut sum, mut size) = (0.0, 0.0);
    for (row, _) in values.chunks_exact(cols).zip(s).filter(|(_, keep)| **keep) {
        let kept = || row.iter().zip(t).filter(|(_, keep)| **keep).map(|(v, _)| v);
        sum += kept().sum::<f64>();
        size += kept().map(|v| v.abs()).sum::<f64>();
    }
    (sum, gamma(s.len() + cols) * size * WIDER)
}
