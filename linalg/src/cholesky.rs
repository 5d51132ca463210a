//! Cholesky factors $A = L L^\top$ of symmetric positive definite matrices, row by row in `f64`.

use faer::{MatRef, Side};

/// The lower factor $L$, with zeros above the diagonal; `None` where a pivot is not positive.
///
/// # Shapes
/// `a` is $n \times n$, row-major; its lower triangle is read.
#[track_caller]
pub fn factor(a: &[f64], n: usize) -> Option<Vec<f64>> {
    assert_eq!(a.len(), n * n, "a square matrix");
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let (above, row) = l.split_at_mut(i * n);
            let other = if j < i { &above[j * n..j * n + j] } else { &row[..j] };
            let rest = a[i * n + j] - dot(&row[..j], other);
            if j < i {
                row[j] = rest / above[j * n + j];
            } else if rest > 0.0 && rest.is_finite() {
                row[i] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    Some(l)
}

/// The lower factor of a large matrix, in blocks; `None` where a pivot is not positive.
///
/// As [`factor`], and several times as fast from a few hundred rows on; entries differ by roundings.
///
/// # Shapes
/// `a` is $n \times n$, row-major; its lower triangle is read.
#[track_caller]
pub fn factor_in_blocks(a: &[f64], n: usize) -> Option<Vec<f64>> {
    assert_eq!(a.len(), n * n, "a square matrix");
    let factor = MatRef::from_row_major_slice(a, n, n).llt(Side::Lower).ok()?;
    let lower = factor.L();
    let mut l = vec![0.0; n * n];
    for (i, row) in l.chunks_exact_mut(n.max(1)).enumerate() {
        (0..=i).for_each(|j| row[j] = lower[(i, j)]);
    }
    l.iter().all(|v| v.is_finite()).then_some(l)
}

/// $A^{-1}$ from the lower factor of $A$.
///
/// # Shapes
/// `l` and the result are $n \times n$.
#[track_caller]
pub fn inverse(l: &[f64], n: usize) -> Vec<f64> {
    assert_eq!(l.len(), n * n, "a square matrix");
    // The columns of L⁻¹ as rows, so that the products below run along rows.
    let mut columns = vec![0.0; n * n];
    for c in 0..n {
        let x = &mut columns[c * n..(c + 1) * n];
        x[c] = 1.0 / l[c * n + c];
        for i in c + 1..n {
            x[i] = -dot(&l[i * n + c..i * n + i], &x[c..i]) / l[i * n + i];
        }
    }
    let mut inverse = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let sum = dot(&columns[i * n + i..(i + 1) * n], &columns[j * n + i..(j + 1) * n]);
            (inverse[i * n + j], inverse[j * n + i]) = (sum, sum);
        }
    }
    inverse
}

/// $A^{-1} B$ from the lower factor of $A$.
///
/// # Shapes
/// `l` is $n \times n$; `b` and the result are $n \times m$.
#[track_caller]
pub fn solve(l: &[f64], n: usize, b: &[f64], m: usize) -> Vec<f64> {
    assert_eq!((l.len(), b.len()), (n * n, n * m), "as many rows as unknowns");
    let mut x = b.to_vec();
    let eliminate = |x: &mut [f64], i: usize, j: usize, factor: f64| {
        for c in 0..m {
            x[i * m + c] -= factor * x[j * m + c];
        }
    };
    for i in 0..n {
        (0..i).for_each(|j| eliminate(&mut x, i, j, l[i * n + j]));
        x[i * m..(i + 1) * m].iter_mut().for_each(|v| *v /= l[i * n + i]);
    }
    for i in (0..n).rev() {
        (i + 1..n).for_each(|j| eliminate(&mut x, i, j, l[j * n + i]));
        x[i * m..(i + 1) * m].iter_mut().for_each(|v| *v /= l[i * n + i]);
    }
    x
}

/// Eight sums side by side, so that the loop vectorises.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (mut sums, (a8, b8)) = ([0.0; 8], (a.chunks_exact(8), b.chunks_exact(8)));
    let rest: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        (0..8).for_each(|i| sums[i] += x[i] * y[i]);
    }
    rest + sums.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn factors_inverses_and_solutions() {
        let n = 21;
        let mut random = Random::new(4);
        let mut x = vec![0.0; 2 * n * n];
        random.fill_normal(&mut x, 1.0);
        let a: Vec<f64> =
            (0..n * n).map(|k| (0..2 * n).map(|r| x[r * n + k / n] * x[r * n + k % n]).sum::<f64>()).collect();
        let l = factor(&a, n).expect("positive definite");
        let inverse = inverse(&l, n);
        let solved = solve(&l, n, &a, n);
        for i in 0..n {
            for j in 0..n {
                let product: f64 = (0..n).map(|k| a[i * n + k] * inverse[k * n + j]).sum();
                let unit = f64::from(u8::from(i == j));
                // The condition of a 21 × 42 normal sample is a few hundred.
                assert!((product - unit).abs() < 1e-10 && (solved[i * n + j] - unit).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn blocks_give_the_same_factor() {
        let n = 150;
        let mut x = vec![0.0; 2 * n * n];
        Random::new(6).fill_normal(&mut x, 1.0);
        let product = |i: usize, j: usize| (0..2 * n).map(|r| x[r * n + i] * x[r * n + j]).sum::<f64>();
        let a: Vec<f64> = (0..n * n).map(|k| product(k / n, k % n)).collect();
        let (one, other) = (factor(&a, n).expect("definite"), factor_in_blocks(&a, n).expect("definite"));
        // The condition of a 150 × 300 normal sample is about 34, the entries are below 20.
        assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-10));
        assert!(factor_in_blocks(&[1.0, 2.0, 2.0, 1.0], 2).is_none() && factor_in_blocks(&[f64::NAN], 1).is_none());
    }

    #[test]
    fn indefinite_matrices_have_none() {
        assert!(factor(&[1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(factor(&[f64::NAN], 1).is_none());
    }
}
