//! Eigenvalues of symmetric matrices and singular values, all of them, by dense factorisation (faer).

use faer::{MatRef, Side};

/// The eigenvalues of a symmetric matrix, from the largest to the smallest; `None` where the iteration fails, which it does for
/// numbers that are not finite.
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

/// The singular values of a matrix, from the largest to the smallest; `None` where the iteration fails, which it does for numbers
/// that are not finite.
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
}
