//! Weighted voting with whole votes.
//!
//! $v(S) = \max(0, [w(S) \ge q])$, so the greatest excess is that of the coalition that is paid least, or 1 less the least pay
//! of one that wins. A proper coalition wins if and only if the others, somebody, have at most $w(N) - q$ votes:
//! $$\min_{w(S) \ge q} x(S) = x(N) - \max \{ x(R) : R \ne \emptyset,\; w(R) \le w(N) - q \} ,$$
//! a knapsack problem, solved over the sums of votes that $R$ may have.

use super::{Whole, least_paid};
use crate::error::TheoryError;
use crate::game::coalition::Coalition;
use crate::game::excess::common;
use crate::game::known::rational;
use dashu_base::{Gcd, UnsignedAbs};
use dashu_int::UBig;
use dashu_ratio::RBig;
use std::ops::Add;

/// Most votes that are counted one by one.
pub const MOST: usize = 1_000_000;

/// Numbers that are not negative as whole multiples of the greatest unit of which they all are; none where all are 0.
pub(in crate::game) fn whole(numbers: &[f64]) -> Option<(RBig, Vec<UBig>)> {
    let exact: Vec<RBig> = numbers.iter().map(|number| rational(*number)).collect();
    let common = common(&exact);
    let whole = |number: &RBig| number.numerator().unsigned_abs() * (&common / number.denominator());
    let whole: Vec<UBig> = exact.iter().map(whole).collect();
    let divisor = whole.iter().filter(|number| !number.is_zero()).cloned().reduce(|a, b| a.gcd(&b))?;
    let multiples = whole.iter().map(|number| number / &divisor).collect();
    Some((RBig::from_parts(divisor.into(), common), multiples))
}

/// Votes as whole multiples of their greatest common divisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::game) struct Votes {
    pub(in crate::game) weights: Vec<usize>,
    /// Votes that are enough; one more than there are where no coalition has enough.
    pub(in crate::game) quota: usize,
    pub(in crate::game) total: usize,
}

impl Votes {
    /// From votes that are not negative and a quota above 0.
    pub(in crate::game) fn of(quota: f64, weights: &[f64]) -> Result<Self, TheoryError> {
        let (unit, whole) = whole(weights).unwrap_or((RBig::ONE, vec![UBig::ZERO; weights.len()]));
        let total = whole.iter().fold(UBig::ZERO, |sum, weight| sum + weight);
        let fault = TheoryError::NoMethod {
            what: "counting votes one by one",
            why: "in units of their greatest common divisor they add up to more than a million; give weights as smaller \
                  whole numbers",
        };
        let Some(total) = usize::try_from(&total).ok().filter(|total| *total <= MOST) else {
            return Err(fault);
        };
        let weights: Option<Vec<usize>> = whole.iter().map(|weight| usize::try_from(weight).ok()).collect();
        let quota = (rational(quota) / unit).ceil();
        let quota = usize::try_from(quota).map_or(total + 1, |quota| quota.min(total + 1));
        Ok(Self { weights: weights.ok_or(fault)?, quota, total })
    }

    /// Whether a coalition has enough.
    pub(in crate::game) fn win(&self, coalition: Coalition) -> bool {
        coalition.members().map(|player| self.weights[player]).sum::<usize>() >= self.quota
    }

    /// Coalitions of which one has the greatest excess.
    pub(super) fn candidates(&self, point: &[RBig]) -> Vec<Coalition> {
        let losers = match Whole::of(point) {
            Whole::Narrow(shares) => self.dearest(&shares),
            Whole::Wide(shares) => self.dearest(&shares),
        };
        let all = Coalition::all(point.len());
        let winners = losers.map(|losers| Coalition(all.0 & !losers.0));
        winners.into_iter().chain([least_paid(point)]).collect()
    }

    /// The coalition, not empty, that is paid most among those whose loss leaves enough votes.
    fn dearest<T: Clone + Ord + Add<Output = T>>(&self, shares: &[T]) -> Option<Coalition> {
        let spare = self.total.checked_sub(self.quota)?;
        let mut paid: Vec<Option<T>> = vec![None; spare + 1];
        let mut chosen = vec![vec![0u64; spare / 64 + 1]; shares.len()];
        let mut alone = vec![false; shares.len()];
        for (player, (share, weight)) in shares.iter().zip(&self.weights).enumerate() {
            for sum in (*weight..=spare).rev() {
                let with = paid[sum - weight].as_ref().map(|paid| paid.clone() + share.clone());
                // Nobody before this player is another way to have its votes.
                let first = sum == *weight && with.as_ref().is_none_or(|with| share > with);
                let with = if first { Some(share.clone()) } else { with };
                if with > paid[sum] {
                    paid[sum] = with;
                    chosen[player][sum / 64] |= 1 << (sum % 64);
                    alone[player] |= first;
                }
            }
        }
        let mut sum = (0..=spare).filter(|sum| paid[*sum].is_some()).max_by(|a, b| paid[*a].cmp(&paid[*b]))?;
        let mut coalition = Coalition::EMPTY;
        for player in (0..shares.len()).rev() {
            if chosen[player][sum / 64] >> (sum % 64) & 1 == 1 {
                coalition = coalition.with(player);
                if sum == self.weights[player] && alone[player] {
                    break;
                }
                sum -= self.weights[player];
            }
        }
        Some(coalition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_are_counted_in_their_own_unit() {
        let votes = Votes::of(3.6, &[1.5, 3.0, 0.0, 2.25]).expect("votes");
        assert_eq!(votes, Votes { weights: vec![2, 4, 0, 3], quota: 5, total: 9 });
        assert!(votes.win(Coalition(0b1001)) && !votes.win(Coalition(0b0110)));
        assert_eq!(Votes::of(1e300, &[0.0, 1.0]).expect("votes").quota, 2);
        assert_eq!(Votes::of(0.5, &[0.0, 0.0]).expect("votes"), Votes { weights: vec![0; 2], quota: 1, total: 0 });
        assert!(matches!(Votes::of(1.0, &[0.1, 1.0]), Err(TheoryError::NoMethod { .. })));
        assert!(Votes::of(1.0, &[999_999.0, 1.0]).is_ok() && Votes::of(1.0, &[1e6, 1.0]).is_err());
    }
}
