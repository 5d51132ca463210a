//! The point of least norm under rows, in rational numbers.
//!
//! $$\min_x\; \tfrac12 \sum_j m_j x_j^2 \quad\text{subject to}\quad a_i^\top x \ge b_i \text{ or } = b_i .$$
//!
//! Rows enter as they are found violated; the point is always the least one under the active rows, and the norm only grows.
//! The matrix $G = (a_i^\top M^{-1} a_k)_{ik}$ of the active rows is kept inverted: a row that enters or leaves costs its square. The
//! inverse is kept as $\operatorname{adj} G$ and $\det G$, whole numbers, which change by products and divisions without rest; quotients
//! would be reduced at every step, which takes most of the time.
//!
//! # Source
//! D. Goldfarb and A. Idnani, *A numerically stable dual method for solving strictly convex quadratic programs*, 1983.

use super::Row;
use dashu_base::Gcd;
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

/// Active rows with their multipliers, and the point of least norm under them.
#[derive(Clone, Debug)]
pub struct LeastNorm {
    /// $1 / m_j$, in units of `1 / unit`.
    scale: Vec<IBig>,
    unit: UBig,
    active: Vec<(Row, RBig)>,
    /// The coefficients of active rows.
    whole: Vec<Vec<IBig>>,
    /// The adjugate of the active rows' inner products, times `unit` each, and their determinant: the inverse, times it.
    adjugate: Vec<Vec<IBig>>,
    determinant: IBig,
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
        let inverse: Vec<RBig> = weights.into_iter().map(|weight| RBig::ONE / weight).collect();
        let unit = common(&inverse);
        let (scale, empty) = (times(&inverse, &unit), Vec::new());
        Self { scale, unit, active: Vec::new(), whole: Vec::new(), adjugate: empty, determinant: IBig::ONE, point }
    }

    /// The point.
    pub fn point(&self) -> &[RBig] {
        &self.point
    }

    /// The active rows with their multipliers $y$: $M x = \sum_i y_i a_i$.
    pub fn active(&self) -> &[(Row, RBig)] {
        &self.active
    }

    /// Enters a row: moves the point until it satisfies it, and drops rows that are no longer needed. The row is kept as a multiple
    /// with whole coefficients.
    ///
    /// # Panics
    /// The row has another number of coefficients.
    #[track_caller]
    pub fn enter(&mut self, row: Row) -> Met {
        let mut row = scaled(row);
        let mut short = &row.bound - row.at(&self.point);
        if row.equal && short < RBig::ZERO {
            // An equation is one from either side.
            row.coefficients.iter_mut().for_each(|a| *a = -a.clone());
            row.bound = -row.bound;
            short = -short;
        }
        let whole = times(&row.coefficients, &UBig::ONE);
        let mut multiplier = RBig::ZERO;
        // An equation is active also where the point satisfies it.
        while short > RBig::ZERO || row.equal {
            let Part { shares, determinant } = self.part(&whole);
            let gain = RBig::from(determinant.clone()) / RBig::from(&self.determinant * IBig::from(self.unit.clone()));
            let full = (!gain.is_zero()).then(|| &short / &gain);
            let blocking = self.blocking(&shares);
            if gain.is_zero() && short.is_zero() {
                return Met::Yes;
            }
            let step = match (&full, &blocking) {
                (None, None) => return Met::Never(self.refute(row, &shares, short)),
                (Some(full), Some((_, ratio))) => full.min(ratio).clone(),
                (Some(step), None) | (None, Some((_, step))) => step.clone(),
            };
            self.walk(&whole, &shares, &step);
            multiplier += &step;
            short -= &step * &gain;
            if full.as_ref() == Some(&step) {
                self.border(&shares, determinant);
                self.active.push((row, multiplier));
                self.whole.push(whole);
                return Met::Yes;
            }
            if let Some((index, _)) = blocking {
                self.drop(index);
            }
        }
        Met::Yes
    }

    /// The inequality whose multiplier is the first to reach 0 where the row takes over its share, and the step to there.
    fn blocking(&self, shares: &[IBig]) -> Option<(usize, RBig)> {
        let mut first: Option<(usize, RBig)> = None;
        for (index, ((active, y), share)) in self.active.iter().zip(shares).enumerate() {
            if active.equal || *share <= IBig::ZERO {
                continue;
            }
            let ratio = y * RBig::from(self.determinant.clone()) / RBig::from(share.clone());
            if first.as_ref().is_none_or(|(_, least)| ratio < *least) {
                first = Some((index, ratio));
            }
        }
        first
    }

    /// Moves the point, and the multipliers with it: $x \leftarrow x + t M^{-1} (a - \sum_i r_i a_i)$, $y_i \leftarrow y_i - t r_i$.
    fn walk(&mut self, whole: &[IBig], shares: &[IBig], step: &RBig) {
        let step = step / RBig::from(self.determinant.clone());
        let mut direction: Vec<IBig> = whole.iter().map(|a| a * &self.determinant).collect();
        for (active, share) in self.whole.iter().zip(shares).filter(|(_, share)| !share.is_zero()) {
            direction.iter_mut().zip(active).filter(|(_, a)| !a.is_zero()).for_each(|(d, a)| *d -= share * a);
        }
        for ((_, y), share) in self.active.iter_mut().zip(shares).filter(|(_, share)| !share.is_zero()) {
            *y -= &step * RBig::from(share.clone());
        }
        let step = step / RBig::from(self.unit.clone());
        for ((x, d), m) in self.point.iter_mut().zip(direction).zip(&self.scale).filter(|((_, d), _)| !d.is_zero()) {
            *x += &step * RBig::from(d * m);
        }
    }

    /// A row that is its shares of the active ones, but whose bound is not met by theirs.
    fn refute(&self, row: Row, shares: &[IBig], short: RBig) -> Refutation {
        let active = self.active.iter().zip(shares).filter(|(_, share)| !share.is_zero());
        let multiplier = |share: &IBig| RBig::from(-share.clone()) / RBig::from(self.determinant.clone());
        let rows = active.map(|((active, _), share)| (active.clone(), multiplier(share)));
        Refutation { rows: rows.chain([(row, RBig::ONE)]).collect(), short }
    }

    /// Gives the active rows other bounds. Those that the point of least norm then does not need are dropped.
    pub fn rebound(&mut self, bound: impl Fn(&Row) -> RBig) {
        for (row, _) in &mut self.active {
            row.bound = bound(row);
        }
        // The multipliers, in units of `unit / (determinant * common)`.
        let (common, multipliers) = loop {
            let bounds: Vec<RBig> = self.active.iter().map(|(row, _)| row.bound.clone()).collect();
            let common = common(&bounds);
            let bounds = times(&bounds, &common);
            let multipliers: Vec<IBig> = self.adjugate.iter().map(|row| dot(row, &bounds)).collect();
            let negative = (0..multipliers.len()).filter(|i| !self.active[*i].0.equal && multipliers[*i] < IBig::ZERO);
            match negative.min_by(|i, j| multipliers[*i].cmp(&multipliers[*j])) {
                Some(index) => self.drop(index),
                None => break (common, multipliers),
            }
        };
        let below = RBig::from(&self.determinant * IBig::from(common));
        let mut sums = vec![IBig::ZERO; self.scale.len()];
        for ((whole, (_, y)), multiplier) in self.whole.iter().zip(&mut self.active).zip(multipliers) {
            sums.iter_mut().zip(whole).filter(|(_, a)| !a.is_zero()).for_each(|(sum, a)| *sum += &multiplier * a);
            *y = RBig::from(multiplier * IBig::from(self.unit.clone())) / &below;
        }
        self.point = sums.into_iter().zip(&self.scale).map(|(sum, m)| RBig::from(sum * m) / &below).collect();
    }

    /// What a row has in common with the active ones.
    fn part(&self, whole: &[IBig]) -> Part {
        let weighted: Vec<IBig> = whole.iter().zip(&self.scale).map(|(a, m)| a * m).collect();
        let products: Vec<IBig> = self.whole.iter().map(|active| dot(active, &weighted)).collect();
        let shares: Vec<IBig> = self.adjugate.iter().map(|row| dot(row, &products)).collect();
        let determinant = dot(whole, &weighted) * &self.determinant - dot(&products, &shares);
        Part { shares, determinant }
    }

    /// The adjugate with a row that enters. For products $p$ with the active rows, shares $r = \operatorname{adj}(G)\, p$ and the new
    /// determinant $\delta$ it is
    /// $$\begin{pmatrix} (\delta \operatorname{adj} G + r r^\top) / \det G & -r \\ -r^\top & \det G \end{pmatrix} .$$
    fn border(&mut self, shares: &[IBig], determinant: IBig) {
        let divisor = std::mem::replace(&mut self.determinant, determinant);
        for (row, share) in self.adjugate.iter_mut().zip(shares) {
            for (entry, other) in row.iter_mut().zip(shares) {
                *entry = (&*entry * &self.determinant + share * other) / &divisor;
            }
            row.push(-share.clone());
        }
        self.adjugate.push(shares.iter().map(|share| -share.clone()).chain([divisor]).collect());
    }

    /// Drops a row. Its entry on the diagonal is the determinant of the others, whose adjugate is
    /// $(P_{jj} P_{ik} - P_{ij} P_{jk}) / \det G$.
    fn drop(&mut self, index: usize) {
        self.active.remove(index);
        self.whole.remove(index);
        let mut out = self.adjugate.remove(index);
        let pivot = out.remove(index);
        for row in &mut self.adjugate {
            let factor = row.remove(index);
            for (entry, other) in row.iter_mut().zip(&out) {
                *entry = (&pivot * &*entry - &factor * other) / &self.determinant;
            }
        }
        self.determinant = pivot;
    }
}

/// A row's shares of the active rows that are nearest to it, times the determinant, and the determinant with it.
struct Part {
    shares: Vec<IBig>,
    determinant: IBig,
}

/// $\sum_i a_i b_i$.
fn dot(a: &[IBig], b: &[IBig]) -> IBig {
    let pairs = a.iter().zip(b).filter(|(a, b)| !a.is_zero() && !b.is_zero());
    pairs.fold(IBig::ZERO, |sum, (a, b)| sum + a * b)
}

/// The least common denominator.
fn common(numbers: &[RBig]) -> UBig {
    numbers.iter().fold(UBig::ONE, |common, number| {
        let shared = (&common).gcd(number.denominator());
        common / shared * number.denominator()
    })
}

/// Numbers with a common denominator, times it.
fn times(numbers: &[RBig], common: &UBig) -> Vec<IBig> {
    numbers.iter().map(|number| number.numerator() * IBig::from(common / number.denominator())).collect()
}

/// A row with whole coefficients.
fn scaled(mut row: Row) -> Row {
    let factor = RBig::from(common(&row.coefficients));
    if !factor.is_one() {
        row.coefficients.iter_mut().for_each(|a| *a *= &factor);
        row.bound *= factor;
    }
    row
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
