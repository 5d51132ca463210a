//! Small linear and least-norm programs in rational numbers, with rows that are named only when they are violated.
//!
//! | concept | file |
//! |---|---|
//! | rows $a^\top x \ge b$, and sets of linear equations | here |
//! | linear programs: a dual simplex method | [`simplex`] |
//! | the point of least norm under rows: a dual active-set method | [`least_norm`] |
//!
//! The methods suit programs with few columns and so many rows that they are searched rather than listed: the caller looks for
//! a row that the point violates, and enters it. No number is rounded, so the answer is the answer, and its multipliers
//! prove it. They are made for coefficients that are small whole numbers, whose bases have small determinants.

pub mod least_norm;
pub mod simplex;

use dashu_ratio::RBig;
use std::collections::BTreeMap;

/// A row $a^\top x \ge b$, or $= b$.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What the caller calls it.
    pub name: u128,
    /// $a$.
    pub coefficients: Vec<RBig>,
    /// $b$.
    pub bound: RBig,
    /// Whether both sides are equal.
    pub equal: bool,
}

impl Row {
    /// $a^\top x$.
    ///
    /// # Panics
    /// The point has another number of entries.
    #[track_caller]
    pub fn at(&self, point: &[RBig]) -> RBig {
        dot(&self.coefficients, point)
    }
}

/// $\sum_i a_i b_i$.
///
/// # Panics
/// The lengths differ.
#[track_caller]
pub fn dot(a: &[RBig], b: &[RBig]) -> RBig {
    assert_eq!(a.len(), b.len(), "an inner product is of vectors of one length");
    let mut sum = RBig::ZERO;
    for (a, b) in a.iter().zip(b) {
        if !a.is_zero() && !b.is_zero() {
            sum += a * b;
        }
    }
    sum
}

/// A subspace given by vectors that span it, in reduced form: each has a place where it is 1 and the others are 0.
#[derive(Clone, Debug, Default)]
pub struct Span {
    reduced: BTreeMap<usize, Vec<RBig>>,
}

impl Span {
    /// Its dimension.
    pub fn rank(&self) -> usize {
        self.reduced.len()
    }

    /// What is left of a vector when its part in the span is taken away; all 0 where it lies in it.
    pub fn rest(&self, vector: &[RBig]) -> Vec<RBig> {
        let mut rest = vector.to_vec();
        for (place, row) in &self.reduced {
            let factor = rest[*place].clone();
            if !factor.is_zero() {
                subtract(&mut rest, &factor, row);
            }
        }
        rest
    }

    /// Vectors that span its orthogonal complement in a space of `dimension`.
    pub fn complement(&self, dimension: usize) -> Vec<Vec<RBig>> {
        let free = (0..dimension).filter(|place| !self.reduced.contains_key(place));
        free.map(|place| {
            let mut vector = vec![RBig::ZERO; dimension];
            vector[place] = RBig::ONE;
            self.reduced.iter().for_each(|(pivot, row)| vector[*pivot] = -row[place].clone());
            vector
        })
        .collect()
    }

    /// Whether a vector lies in it.
    pub fn contains(&self, vector: &[RBig]) -> bool {
        self.rest(vector).iter().all(RBig::is_zero)
    }

    /// Takes a vector in; whether the dimension grew.
    pub fn insert(&mut self, vector: &[RBig]) -> bool {
        let mut rest = self.rest(vector);
        let Some(place) = rest.iter().position(|entry| !entry.is_zero()) else {
            return false;
        };
        let pivot = rest[place].clone();
        rest.iter_mut().filter(|entry| !entry.is_zero()).for_each(|entry| *entry /= &pivot);
        for row in self.reduced.values_mut() {
            let factor = row[place].clone();
            if !factor.is_zero() {
                subtract(row, &factor, &rest);
            }
        }
        self.reduced.insert(place, rest);
        true
    }
}

/// $v \leftarrow v - f\,w$.
fn subtract(v: &mut [RBig], factor: &RBig, w: &[RBig]) {
    for (v, w) in v.iter_mut().zip(w) {
        if !w.is_zero() {
            *v -= factor * w;
        }
    }
}

/// Turns $[A \mid B]$, with square $A$, into $[I \mid A^{-1} B]$; none where $A$ is singular.
fn eliminate(rows: &mut [Vec<RBig>]) -> Option<()> {
    for place in 0..rows.len() {
        let pivot = (place..rows.len()).find(|row| !rows[*row][place].is_zero())?;
        rows.swap(place, pivot);
        let divisor = rows[place][place].clone();
        rows[place].iter_mut().filter(|entry| !entry.is_zero()).for_each(|entry| *entry /= &divisor);
        let row = rows[place].clone();
        for other in (0..rows.len()).filter(|other| *other != place) {
            let factor = rows[other][place].clone();
            if !factor.is_zero() {
                subtract(&mut rows[other], &factor, &row);
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(entries: &[i64]) -> Vec<RBig> {
        entries.iter().map(|entry| RBig::from(*entry)).collect()
    }

    #[test]
    fn a_span_knows_its_vectors() {
        let mut span = Span::default();
        assert!(span.insert(&vector(&[1, 1, 0])) && span.insert(&vector(&[0, 1, 1])));
        assert!(!span.insert(&vector(&[1, 0, -1])));
        assert_eq!(span.rank(), 2);
        assert_eq!(span.complement(3), [vector(&[1, -1, 1])]);
        assert!(span.contains(&vector(&[2, 3, 1])) && !span.contains(&vector(&[0, 0, 1])));
    }

    #[test]
    fn matrices_are_inverted() {
        let matrix = [[0, 2, 1], [1, 1, 0], [3, 0, 1]];
        let mut rows: Vec<Vec<RBig>> =
            matrix.iter().zip([7, 3, 6]).map(|([a, b, c], d)| vector(&[*a, *b, *c, d])).collect();
        eliminate(&mut rows).expect("regular");
        let point: Vec<RBig> = rows.iter().map(|row| row[3].clone()).collect();
        matrix.iter().zip([7, 3, 6]).for_each(|(row, b)| assert_eq!(dot(&vector(row), &point), RBig::from(b)));
        assert!(eliminate(&mut [vector(&[1, 2, 1]), vector(&[2, 4, 2])]).is_none());
    }
}
