//! A dual simplex method in rational numbers.
//!
//! $$\min_x\; c^\top x \quad\text{subject to}\quad a_i^\top x \ge b_i \text{ or } = b_i ,\qquad x \in \mathbb{R}^n .$$
//!
//! A basis is $n$ independent rows that hold with equality; it fixes the point $x$, and its multipliers $y$ with
//! $\sum_i y_i a_i = c$ and $y_i \ge 0$ at inequalities prove that no point of these rows is better. A row that the point
//! violates enters, another leaves, and the value only grows, until no row is violated.
//!
//! Many multipliers may be 0, and a pivot then makes no progress. No basis comes twice all the same, whichever rows enter: the
//! rows compete as if the objective were $c + \sum_j \varepsilon^j a_j$ over the rows $a_j$ of the first basis, with
//! $\varepsilon > 0$ smaller than any number that matters; every pivot makes progress on that.
//!
//! # Source
//! G. B. Dantzig, A. Orden, P. Wolfe, *The generalized simplex method for minimizing a linear form under linear inequality
//! restraints*, 1955: the order of dictionaries in the test of ratios.

use super::{Row, dot};
use dashu_ratio::RBig;

/// A basis, its point and its multipliers.
#[derive(Clone, Debug)]
pub struct Simplex {
    rows: Vec<Row>,
    /// The inequalities of the first basis.
    first: Vec<Vec<RBig>>,
    /// Column $i$ of the inverse of the matrix of rows: how the point moves with the bound of row $i$.
    inverse: Vec<Vec<RBig>>,
    multipliers: Vec<RBig>,
    point: Vec<RBig>,
    value: RBig,
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
        let first = rows.iter().filter(|row| !row.equal).map(|row| row.coefficients.clone()).collect();
        Some(Self { rows, first, inverse, multipliers, point, value })
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
        let Some(leaving) = self.leaving(&shares) else {
            return Entered::Infeasible;
        };
        let step = &self.multipliers[leaving] / &shares[leaving];
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

    /// The inequality whose multiplier is the first to reach 0: of those with positive shares the one of least
    /// $y_i(\varepsilon) / \text{share}_i$. Only ties are looked at beyond $\varepsilon = 0$.
    fn leaving(&self, shares: &[RBig]) -> Option<usize> {
        let mut tied: Vec<usize> =
            (0..shares.len()).filter(|row| !self.rows[*row].equal && shares[*row] > RBig::ZERO).collect();
        let least = |tied: &mut Vec<usize>, part: &dyn Fn(usize) -> RBig| {
            let ratios: Vec<RBig> = tied.iter().map(|row| part(*row) / &shares[*row]).collect();
            if let Some(least) = ratios.iter().min() {
                let mut ratio = ratios.iter();
                tied.retain(|_| ratio.next() == Some(least));
            }
        };
        least(&mut tied, &|row| self.multipliers[row].clone());
        for coefficients in &self.first {
            if tied.len() < 2 {
                break;
            }
            least(&mut tied, &|row| dot(coefficients, &self.inverse[row]));
        }
        tied.first().copied()
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

    /// Beale's program, on which the simplex method with ties broken by place returns to its first basis.
    #[test]
    fn ties_do_not_bring_a_basis_back() {
        // The dual of: max 3/4 u - 150 v + 1/50 w - 6 z, u/4 - 60 v - w/25 + 9 z <= 0, u/2 - 90 v - w/50 + 3 z <= 0, w <= 1.
        let ratio = |a: i64, b: u64| RBig::from_parts(a.into(), b.into());
        let wanted = [
            (vec![ratio(1, 4), ratio(1, 2), ratio(0, 1)], ratio(3, 4)),
            (vec![ratio(-60, 1), ratio(-90, 1), ratio(0, 1)], ratio(-150, 1)),
            (vec![ratio(-1, 25), ratio(-1, 50), ratio(1, 1)], ratio(1, 50)),
            (vec![ratio(9, 1), ratio(3, 1), ratio(0, 1)], ratio(-6, 1)),
        ];
        let rows = |place: usize| {
            let (coefficients, bound) = wanted[place].clone();
            Row { name: 3 + place as u128, coefficients, bound, equal: false }
        };
        let unit = |place: usize| {
            let coefficients = (0..3).map(|i| if i == place { RBig::ONE } else { RBig::ZERO }).collect();
            Row { name: place as u128, coefficients, bound: RBig::ZERO, equal: false }
        };
        let objective = [RBig::ZERO, RBig::ZERO, RBig::ONE];
        let mut simplex = Simplex::new(&objective, (0..3).map(unit).collect()).expect("a start");
        let all = || (0..3).map(unit).chain((0..4).map(rows));
        let short = |row: &Row, simplex: &Simplex| &row.bound - row.at(simplex.point());
        for _ in 0..12 {
            let most = all().max_by(|a, b| short(a, &simplex).cmp(&short(b, &simplex))).expect("rows");
            if short(&most, &simplex) <= RBig::ZERO {
                break;
            }
            assert_eq!(simplex.enter(most), Entered::Pivoted);
        }
        assert!(all().all(|row| short(&row, &simplex) <= RBig::ZERO), "{:?}", simplex.point());
        assert_eq!(*simplex.value(), ratio(1, 20));
    }

    #[test]
    fn what_cannot_be_is_found() {
        let mut simplex = Simplex::new(&[RBig::ONE], vec![row(0, &[1], 2)]).expect("a start");
        assert_eq!(simplex.enter(row(1, &[-1], -1)), Entered::Infeasible);
        assert!(Simplex::new(&[-RBig::ONE], vec![row(0, &[1], 2)]).is_none());
    }
}
