//! A dual simplex method in rational numbers.
//!
//! $$\min_x\; c^\top x \quad\text{subject to}\quad a_i^\top x \ge b_i \text{ or } = b_i ,\qquad x \in \mathbb{R}^n .$$
//!
//! A basis is $n$ independent rows that hold with equality; it fixes the point $x$, and its multipliers $y$ with
//! $\sum_i y_i a_i = c$ and $y_i \ge 0$ at inequalities prove that no point of these rows is better. A row that the point
//! violates enters, another leaves, and the value only grows, until no row is violated.

use super::{Row, dot};
use dashu_ratio::RBig;

/// Pivots without progress after which rows are taken in the order of their names, so that no basis comes twice.
const PATIENCE: usize = 30;

/// A basis, its point and its multipliers.
#[derive(Clone, Debug)]
pub struct Simplex {
    rows: Vec<Row>,
    /// Column $i$ of the inverse of the matrix of rows: how the point moves with the bound of row $i$.
    inverse: Vec<Vec<RBig>>,
    multipliers: Vec<RBig>,
    point: Vec<RBig>,
    value: RBig,
    stalled: usize,
}

/// What became of a row that was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entered {
    /// The point satisfies it already.
    Satisfied,
    /// It is in the basis now.
    Pivoted,
    /// No point satisfies it and the basis.
    Infeasible,
}

impl Simplex {
    /// Starts from $n$ independent rows whose multipliers for the objective $c$ are not negative at inequalities; none where
    /// they are not such rows.
    pub fn new(objective: &[RBig], rows: Vec<Row>) -> Option<Self> {
        let n = objective.len();
        if rows.len() != n || rows.iter().any(|row| row.coefficients.len() != n) {
            return None;
        }
        let inverse = inverse(&rows)?;
        let multipliers: Vec<RBig> = inverse.iter().map(|column| dot(objective, column)).collect();
        if rows.iter().zip(&multipliers).any(|(row, y)| !row.equal && *y < RBig::ZERO) {
            return None;
        }
        let mut point = vec![RBig::ZERO; n];
        for (row, column) in rows.iter().zip(&inverse) {
            point.iter_mut().zip(column).for_each(|(x, entry)| *x += &row.bound * entry);
        }
        let value = dot(objective, &point);
        Some(Self { rows, inverse, multipliers, point, value, stalled: 0 })
    }

    /// The point.
    pub fn point(&self) -> &[RBig] {
        &self.point
    }

    /// Its value, a lower bound of the program's.
    pub fn value(&self) -> &RBig {
        &self.value
    }

    /// The rows of the basis with their multipliers.
    pub fn basis(&self) -> impl Iterator<Item = (&Row, &RBig)> {
        self.rows.iter().zip(&self.multipliers)
    }

    /// Whether the row to enter next should be the violated one with the least name, instead of the one that is violated most.
    pub fn stalls(&self) -> bool {
        self.stalled >= PATIENCE
    }

    /// Enters a row.
    ///
    /// # Panics
    /// The row has another number of coefficients, or is an equation.
    #[track_caller]
    pub fn enter(&mut self, row: Row) -> Entered {
        assert!(!row.equal, "equations are in the basis from the start");
        let short = &row.bound - row.at(&self.point);
        if short <= RBig::ZERO {
            return Entered::Satisfied;
        }
        // The row as a combination of the basis: what enters relieves rows with positive shares.
        let shares: Vec<RBig> = self.inverse.iter().map(|column| dot(&row.coefficients, column)).collect();
        let mut leaving: Option<(usize, RBig)> = None;
        for (index, share) in shares.iter().enumerate() {
            if self.rows[index].equal || *share <= RBig::ZERO {
                continue;
            }
            let ratio = &self.multipliers[index] / share;
            let better = leaving.as_ref().is_none_or(|(other, least)| {
                ratio < *least || ratio == *least && self.rows[index].name < self.rows[*other].name
            });
            if better {
                leaving = Some((index, ratio));
            }
        }
        let Some((leaving, step)) = leaving else {
            return Entered::Infeasible;
        };
        self.stalled = if step.is_zero() { self.stalled + 1 } else { 0 };
        self.value += &step * &short;
        for (y, share) in self.multipliers.iter_mut().zip(&shares) {
            if !share.is_zero() {
                *y -= &step * share;
            }
        }
        self.multipliers[leaving] = step;
        let pivot = shares[leaving].clone();
        self.inverse[leaving].iter_mut().filter(|entry| !entry.is_zero()).for_each(|entry| *entry /= &pivot);
        let column = self.inverse[leaving].clone();
        for (index, share) in shares.iter().enumerate() {
            if index != leaving && !share.is_zero() {
                super::subtract(&mut self.inverse[index], share, &column);
            }
        }
        self.point.iter_mut().zip(&column).filter(|(_, entry)| !entry.is_zero()).for_each(|(x, entry)| {
            *x += &short * entry;
        });
        self.rows[leaving] = row;
        Entered::Pivoted
    }
}

/// The columns of the inverse of a matrix of rows; none where it is singular.
fn inverse(rows: &[Row]) -> Option<Vec<Vec<RBig>>> {
    let n = rows.len();
    let unit = |place: usize| (0..n).map(move |i| if i == place { RBig::ONE } else { RBig::ZERO });
    let mut wide: Vec<Vec<RBig>> =
        rows.iter().enumerate().map(|(i, row)| row.coefficients.iter().cloned().chain(unit(i)).collect()).collect();
    super::eliminate(&mut wide)?;
    Some((0..n).map(|column| wide.iter().map(|row| row[n + column].clone()).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: u128, coefficients: &[i64], bound: i64) -> Row {
        let coefficients = coefficients.iter().map(|a| RBig::from(*a)).collect();
        Row { name, coefficients, bound: RBig::from(bound), equal: false }
    }

    #[test]
    fn a_program_with_a_known_optimum() {
        // min x + 2y: x + y >= 2, x <= 1, y >= 0.
        let objective = [RBig::ONE, RBig::from(2)];
        let mut simplex = Simplex::new(&objective, vec![row(0, &[1, 1], 2), row(1, &[0, 1], 0)]).expect("a start");
        assert_eq!(simplex.enter(row(2, &[-1, 0], -1)), Entered::Pivoted);
        assert_eq!(simplex.point(), [RBig::ONE, RBig::ONE]);
        assert_eq!(*simplex.value(), RBig::from(3));
        assert_eq!(simplex.enter(row(3, &[1, 0], 0)), Entered::Satisfied);
        assert_eq!(simplex.enter(row(4, &[0, -1], -1)), Entered::Satisfied);
        let proved = simplex.basis().fold(RBig::ZERO, |sum, (row, y)| sum + y * &row.bound);
        assert_eq!(proved, *simplex.value());
    }

    #[test]
    fn what_cannot_be_is_found() {
        let mut simplex = Simplex::new(&[RBig::ONE], vec![row(0, &[1], 2)]).expect("a start");
        assert_eq!(simplex.enter(row(1, &[-1], -1)), Entered::Infeasible);
        assert!(Simplex::new(&[-RBig::ONE], vec![row(0, &[1], 2)]).is_none());
    }
}
