//! Orthonormal bases of row spaces: $A = C Q$ with $Q Q^\top = I$, by Gram–Schmidt, every row twice.
//!
//! The second pass leaves $\|Q Q^\top - I\|$ at a few units of roundoff, whatever the condition of $A$ (Giraud, Langou,
//! Rozložník, van den Eshof 2005).

/// An orthonormal basis of the rows of a matrix, and the rows in it.
#[derive(Clone, Debug, PartialEq)]
pub struct RowBasis {
    /// $r \times d$, row-major: the basis $Q$.
    pub basis: Vec<f64>,
    /// $n \times r$, row-major: the coordinates $C = A Q^\top$.
    pub coordinates: Vec<f64>,
    /// $r$.
    pub rank: usize,
}

/// The basis of the rows of `a`. A row whose part outside of the rows before is at most `tolerance` times as long as itself
/// adds no direction.
///
/// # Shapes
/// `a` is $n \times d$, row-major.
#[track_caller]
pub fn row_basis(a: &[f64], n: usize, d: usize, tolerance: f64) -> RowBasis {
    assert_eq!(a.len(), n * d, "the matrix does not fill its slice");
    let mut basis: Vec<f64> = Vec::new();
    let mut coordinates: Vec<Vec<f64>> = Vec::with_capacity(n);
    for row in a.chunks_exact(d.max(1)) {
        let length = norm(row);
        let (mut rest, mut found) = (row.to_vec(), vec![0.0; basis.len() / d]);
        for _ in 0..2 {
            for (q, c) in basis.chunks_exact(d).zip(&mut found) {
                let part = dot(q, &rest);
                rest.iter_mut().zip(q).for_each(|(r, q)| *r -= part * q);
                *c += part;
            }
        }
        let left = norm(&rest);
        if left > tolerance * length {
            basis.extend(rest.iter().map(|r| r / left));
            found.push(left);
        }
        coordinates.push(found);
    }
    let rank = basis.len() / d.max(1);
    coordinates.iter_mut().for_each(|row| row.resize(rank, 0.0));
    RowBasis { basis, coordinates: coordinates.concat(), rank }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn the_basis_is_orthonormal_and_holds_the_rows() {
        let (n, d) = (12, 20);
        let mut a = vec![0.0; n * d];
        Random::new(3).fill_normal(&mut a, 1.0);
        // Row 5 is a sum of others, row 7 nearly row 2, row 9 is zero.
        for j in 0..d {
            a[5 * d + j] = a[d + j] - 2.0 * a[3 * d + j];
            a[7 * d + j] = a[2 * d + j] + 1e-6 * a[7 * d + j];
            a[9 * d + j] = 0.0;
        }
        let RowBasis { basis, coordinates, rank } = row_basis(&a, n, d, 1e-10);
        assert_eq!(rank, n - 2);
        for i in 0..rank {
            for j in 0..rank {
                let product = dot(&basis[i * d..(i + 1) * d], &basis[j * d..(j + 1) * d]);
                // A few roundoffs of sums of 20 products.
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-14, "{i} {j}: {product}");
            }
        }
        for i in 0..n {
            for j in 0..d {
                let held: f64 = (0..rank).map(|k| coordinates[i * rank + k] * basis[k * d + j]).sum();
                assert!((held - a[i * d + j]).abs() < 1e-12, "{i} {j}");
            }
        }
    }

    #[test]
    fn nothing_has_an_empty_basis() {
        assert_eq!(row_basis(&[0.0; 6], 2, 3, 1e-10).rank, 0);
        assert_eq!(row_basis(&[], 0, 3, 1e-10).coordinates, Vec::<f64>::new());
    }
}
