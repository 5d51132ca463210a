//! Eigenvalues of symmetric matrices and singular values, all of them, by dense factorisation (faer).

use faer::{MatRef, Side};

/// The eigenvalues of a symmetric matrix, from the largest to the smallest; `None` where the iteration fails, which it
/// does for numbers that are not finite.
///
/// # Shapes
/// `a` is $n \times n$, row-major; its lower triangle is read.
#[track_caller]
pub fn symmetric_eigenvalues(a: &[f64], n: usize) -> Option<Vec<f64>> {
    assert_eq!(a.len(), n * n, "a square matrix");
    if n == 0 || !a.iter().all(|v| v.is_finite()) {
        return (n == 0).then(Vec::new);
    }
    let mut found = MatRef::from_row_major_slice(a, n, n).self_adjoint_eigenvalues(Side::Lower).ok()?;
    found.sort_by(|x, y| y.total_cmp(x));
    Some(found)
}

/// The eigenvalues of a symmetric matrix from the largest to the smallest, and a unit vector for each,
/// $A v_i = \lambda_i v_i$, orthogonal to the others; `None` where [`symmetric_eigenvalues`] finds none.
///
/// # Shapes
/// `a` is $n \times n$, row-major; its lower triangle is read. The vectors are the rows of an $n \times n$ matrix.
#[track_caller]
pub fn symmetric_eigenvectors(a: &[f64], n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    assert_eq!(a.len(), n * n, "a square matrix");
    if n == 0 || !a.iter().all(|v| v.is_finite()) {
        return (n == 0).then(Default::default);
    }
    let found = MatRef::from_row_major_slice(a, n, n).self_adjoint_eigen(Side::Lower).ok()?;
    let (values, vectors) = (found.S().column_vector(), found.U());
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| values[*j].total_cmp(&values[*i]));
    let rows = order.iter().flat_map(|j| (0..n).map(move |i| vectors[(i, *j)])).collect();
    Some((order.iter().map(|j| values[*j]).collect(), rows))
}

/// The singular values of a matrix, from the largest to the smallest; `None` where the iteration fails, which it does
/// for numbers that are not finite.
///
/// # Shapes
/// `a` is `rows × cols`, row-major; there are $\min(\text{rows}, \text{cols})$ values.
#[track_caller]
pub fn singular_values(a: &[f64], rows: usize, cols: usize) -> Option<Vec<f64>> {
    assert_eq!(a.len(), rows * cols, "entries fill the matrix");
    if a.is_empty() || !a.iter().all(|v| v.is_finite()) {
        return a.is_empty().then(Vec::new);
    }
    let mut found = MatRef::from_row_major_slice(a, rows, cols).singular_values().ok()?;
    found.sort_by(|x, y| y.total_cmp(x));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_by_hand() {
        let found = symmetric_eigenvalues(&[2.0, 1.0, 1.0, 2.0], 2).expect("finite");
        // A few roundings of numbers near 1.
        assert!((found[0] - 3.0).abs() < 1e-14 && (found[1] - 1.0).abs() < 1e-14, "{found:?}");
        let found = singular_values(&[3.0, 0.0, 0.0, 0.0, -4.0, 0.0], 2, 3).expect("finite");
        assert!((found[0] - 4.0).abs() < 1e-14 && (found[1] - 3.0).abs() < 1e-14 && found.len() == 2, "{found:?}");
        assert!(singular_values(&[f64::NAN], 1, 1).is_none() && symmetric_eigenvalues(&[f64::NAN], 1).is_none());
        assert_eq!(singular_values(&[], 0, 3), Some(vec![]));
    }

    #[test]
    fn vectors_put_the_matrix_together() {
        let (n, mut x) = (40, vec![0.0; 1600]);
        crate::random::Random::new(2).fill_normal(&mut x, 1.0);
        let a: Vec<f64> = (0..n * n).map(|k| x[k] + x[k % n * n + k / n]).collect();
        let (values, vectors) = symmetric_eigenvectors(&a, n).expect("finite");
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let sum: f64 = (0..n).map(|k| values[k] * vectors[k * n + i] * vectors[k * n + j]).sum();
            let product: f64 = (0..n).map(|k| vectors[i * n + k] * vectors[j * n + k]).sum();
            // Eigenvalues up to about 25, a few dozen roundings.
            assert!((sum - a[i * n + j]).abs() < 1e-12 && (product - f64::from(u8::from(i == j))).abs() < 1e-13);
        }
        assert!(symmetric_eigenvectors(&[f64::NAN], 1).is_none());
    }
}
