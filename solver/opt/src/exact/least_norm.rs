//! The point of least norm under rows, in rational numbers.
//!
//! $$\min_x\; \tfrac12 \sum_j m_j x_j^2 \quad\text{subject to}\quad a_i^\top x \ge b_i \text{ or } = b_i .$$
//!
//! Rows enter as they are found violated; the point is always the least one under the active rows, and the norm only grows.
//! The matrix $(a_i^\top M^{-1} a_k)_{ik}$ of the active rows is kept inverted: a row that enters or leaves costs its square.
//!
//! # Source
//! D. Goldfarb and A. Idnani, *A numerically stable dual method for solving strictly convex quadratic programs*, 1983.

use super::{Row, dot};
use dashu_ratio::RBig;

/// Active rows with their multipliers, and the point of least norm under them.
#[derive(Clone, Debug)]
pub struct LeastNorm {
    /// $1 / m_j$.
    scale: Vec<RBig>,
    active: Vec<(Row, RBig)>,
    /// The inverse of the active rows' inner products.
    inverse: Vec<Vec<RBig>>,
    point: Vec<RBig>,
}

/// What became of a row that was entered.
#[derive(Clone, Debug, PartialEq)]
pub enum Met {
    /// The point satisfies it, now or already.
    Yes,
    /// No point satisfies it and the active rows.
    Never(Refutation),
}

/// Why no point satisfies some rows: $\sum_i \lambda_i a_i = 0$ and $\sum_i \lambda_i b_i > 0$, with $\lambda_i \ge 0$ at inequalities.
#[derive(Clone, Debug, PartialEq)]
pub struct Refutation {
    /// The rows with their multipliers that are not 0.
    pub rows: Vec<(Row, RBig)>,
    /// $\sum_i \lambda_i b_i$.
    pub short: RBig,
}

impl LeastNorm {
    /// The point 0 of a space, under no rows.
    pub fn new(dimension: usize) -> Self {
        Self::weighted(vec![RBig::ONE; dimension])
    }

    /// The same for a norm in which coordinates have weights $m_j$.
    ///
    /// # Panics
    /// A weight is not positive.
    #[track_caller]
    pub fn weighted(weights: Vec<RBig>) -> Self {
        assert!(weights.iter().all(|weight| *weight > RBig::ZERO), "a norm has positive weights");
        let point = vec![RBig::ZERO; weights.len()];
        let scale = weights.into_iter().map(|weight| RBig::ONE / weight).collect();
        Self { scale, active: Vec::new(), inverse: Vec::new(), point }
    }

    /// The point.
    pub fn point(&self) -> &[RBig] {
        &self.point
    }

    /// The active rows with their multipliers $y$: $M x = \sum_i y_i a_i$.
    pub fn active(&self) -> &[(Row, RBig)] {
        &self.active
    }

    /// Enters a row: moves the point until it satisfies it, and drops rows that are no longer needed.
    ///
    /// # Panics
    /// The row has another number of coefficients.
    #[track_caller]
    pub fn enter(&mut self, mut row: Row) -> Met {
        let mut short = &row.bound - row.at(&self.point);
        if row.equal && short < RBig::ZERO {
            // An equation is one from either side.
            row.coefficients.iter_mut().for_each(|a| *a = -a.clone());
            row.bound = -row.bound;
            short = -short;
        }
        let mut multiplier = RBig::ZERO;
        // An equation is active also where the point satisfies it.
        while short > RBig::ZERO || row.equal {
            let shares = self.shares(&row.coefficients);
            let mut direction = row.coefficients.clone();
            for ((active, _), share) in self.active.iter().zip(&shares) {
                if !share.is_zero() {
                    super::subtract(&mut direction, share, &active.coefficients);
                }
            }
            direction.iter_mut().zip(&self.scale).filter(|(_, m)| !m.is_one()).for_each(|(d, m)| *d *= m);
            let gain = dot(&direction, &row.coefficients);
            let full = (!gain.is_zero()).then(|| &short / &gain);
            let mut blocking: Option<(usize, RBig)> = None;
            for (index, ((active, y), share)) in self.active.iter().zip(&shares).enumerate() {
                if active.equal || *share <= RBig::ZERO {
                    continue;
                }
                let ratio = y / share;
                if blocking.as_ref().is_none_or(|(_, least)| ratio < *least) {
                    blocking = Some((index, ratio));
                }
            }
            if gain.is_zero() && short.is_zero() {
                return Met::Yes;
            }
            let step = match (&full, &blocking) {
                (None, None) => return Met::Never(self.refute(row, &shares, short)),
                (Some(full), Some((_, ratio))) => full.min(ratio).clone(),
                (Some(step), None) | (None, Some((_, step))) => step.clone(),
            };
            for ((_, y), share) in self.active.iter_mut().zip(&shares) {
                *y -= &step * share;
            }
            multiplier += &step;
            self.point.iter_mut().zip(&direction).for_each(|(x, d)| *x += &step * d);
            short -= &step * &gain;
            if full.as_ref() == Some(&step) {
                self.border(&shares, &gain);
                self.active.push((row, multiplier));
                return Met::Yes;
            }
            if let Some((index, _)) = blocking {
                self.active.remove(index);
                self.unborder(index);
            }
        }
        Met::Yes
    }

    /// A row that is its shares of the active ones, but whose bound is not met by theirs.
    fn refute(&self, row: Row, shares: &[RBig], short: RBig) -> Refutation {
        let active = self.active.iter().zip(shares).filter(|(_, share)| !share.is_zero());
        let rows = active.map(|((active, _), share)| (active.clone(), -share.clone()));
        Refutation { rows: rows.chain([(row, RBig::ONE)]).collect(), short }
    }

    /// Gives the active rows other bounds. Those that the point of least norm then does not need are dropped.
    pub fn rebound(&mut self, bound: impl Fn(&Row) -> RBig) {
        for (row, _) in &mut self.active {
            row.bound = bound(row);
        }
        loop {
            let bounds: Vec<RBig> = self.active.iter().map(|(row, _)| row.bound.clone()).collect();
            for ((_, y), row) in self.active.iter_mut().zip(&self.inverse) {
                *y = dot(row, &bounds);
            }
            let negative = self.active.iter().enumerate().filter(|(_, (row, y))| !row.equal && *y < RBig::ZERO);
            let Some(index) = negative.min_by(|a, b| a.1.1.cmp(&b.1.1)).map(|(index, _)| index) else {
                break;
            };
            self.active.remove(index);
            self.unborder(index);
        }
        self.point = vec![RBig::ZERO; self.scale.len()];
        for (row, y) in &self.active {
            super::subtract(&mut self.point, &-y.clone(), &row.coefficients);
        }
        self.point.iter_mut().zip(&self.scale).filter(|(_, m)| !m.is_one()).for_each(|(x, m)| *x *= m);
    }

    /// The active rows' combination that is nearest to a vector.
    fn shares(&self, vector: &[RBig]) -> Vec<RBig> {
        let scaled: Vec<RBig> =
            vector.iter().zip(&self.scale).map(|(v, m)| if m.is_one() { v.clone() } else { v * m }).collect();
        let right: Vec<RBig> = self.active.iter().map(|(row, _)| row.at(&scaled)).collect();
        self.inverse.iter().map(|row| dot(row, &right)).collect()
    }

    /// The inverse with a row that enters: its shares $r$ of the active rows leave a part of squared norm $g$, and
    /// $\begin{pmatrix} P & p \\ p^\top & q \end{pmatrix}^{-1} = \begin{pmatrix} P^{-1} + r r^\top / g & -r / g \\ -r^\top / g & 1 / g \end{pmatrix}$.
    fn border(&mut self, shares: &[RBig], gain: &RBig) {
        let mut last: Vec<RBig> = shares.iter().map(|share| -(share / gain)).collect();
        for ((row, share), entry) in self.inverse.iter_mut().zip(shares).zip(&last) {
            if !share.is_zero() {
                super::subtract(row, share, &last);
            }
            row.push(entry.clone());
        }
        last.push(RBig::ONE / gain);
        self.inverse.push(last);
    }

    /// The inverse without a row that leaves.
    fn unborder(&mut self, index: usize) {
        let mut out = self.inverse.remove(index);
        let pivot = out.remove(index);
        for row in &mut self.inverse {
            let factor = row.remove(index) / &pivot;
            if !factor.is_zero() {
                super::subtract(row, &factor, &out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(coefficients: &[i64], bound: i64, equal: bool) -> Row {
        let coefficients = coefficients.iter().map(|a| RBig::from(*a)).collect();
        Row { name: 0, coefficients, bound: RBig::from(bound), equal }
    }

    #[test]
    fn the_nearest_point_by_hand() {
        let mut program = LeastNorm::new(3);
        assert_eq!(program.enter(row(&[1, 1, 1], 6, true)), Met::Yes);
        assert_eq!(program.point(), [2, 2, 2].map(RBig::from));
        assert_eq!(program.enter(row(&[1, 0, 0], 4, false)), Met::Yes);
        assert_eq!(program.point(), [4, 1, 1].map(RBig::from));
        assert_eq!(program.enter(row(&[0, 1, 0], 3, false)), Met::Yes);
        assert_eq!(program.point(), [4, 3, -1].map(RBig::from));
        assert!(matches!(program.enter(row(&[0, 0, 1], 0, false)), Met::Never(_)));
    }

    #[test]
    fn an_equation_that_holds_already_is_kept() {
        let mut program = LeastNorm::new(2);
        assert_eq!(program.enter(row(&[1, 1], 0, true)), Met::Yes);
        assert_eq!(program.enter(row(&[2, 2], 0, true)), Met::Yes);
        assert_eq!(program.enter(row(&[1, 0], 3, false)), Met::Yes);
        assert_eq!(program.point(), [3, -3].map(RBig::from));
        assert!(matches!(program.enter(row(&[1, 1], 1, true)), Met::Never(_)));
    }

    #[test]
    fn weights_count_a_coordinate_as_often() {
        let mut one = LeastNorm::new(4);
        let mut other = LeastNorm::weighted([3, 1].map(RBig::from).to_vec());
        let rows = [[1, 1, 1, 1, 7], [1, 2, 0, 0, 6], [0, 0, 0, 1, 1], [-1, -1, -1, 2, -4], [1, 1, 1, 0, 4]];
        for ([a, b, c, d, bound], equal) in rows.into_iter().zip([true, false, false, false, false]) {
            for [a, b, c] in [[a, b, c], [b, c, a], [c, a, b]] {
                assert_eq!(one.enter(row(&[a, b, c, d], bound, equal)), Met::Yes);
            }
            assert_eq!(other.enter(row(&[a + b + c, d], bound, equal)), Met::Yes);
            let [x, y] = other.point() else { panic!("two coordinates") };
            assert_eq!(one.point(), [x, x, x, y].map(Clone::clone));
        }
    }

    #[test]
    fn rows_that_are_no_longer_needed_leave() {
        let mut program = LeastNorm::new(2);
        program.enter(row(&[1, 0], 1, false));
        program.enter(row(&[1, 1], 4, false));
        assert_eq!(program.point(), [2, 2].map(RBig::from));
        assert_eq!(program.active().len(), 1);
    }
}
