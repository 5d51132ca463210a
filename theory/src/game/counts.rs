//! Numbers of coalitions by size and weight.

use crate::error::TheoryError;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Most numbers that are kept.
const MOST: usize = 1 << 24;

/// How many coalitions of $k$ players have the weight $s$, for all $k < n$ and $s$ below a bound. These are at most
/// $\binom{128}{64} < 2^{128}$.
pub(super) struct Counts {
    rows: Vec<Vec<u128>>,
}

impl Counts {
    /// Players come one by one: $c_{k}(s) \leftarrow c_{k}(s) + c_{k - 1}(s - w)$.
    ///
    /// # Errors
    /// Too many numbers.
    pub(super) fn of(weights: &[usize], bound: usize) -> Result<Self, TheoryError> {
        let n = weights.len();
        if n.checked_mul(bound).is_none_or(|numbers| numbers > MOST) {
            return Err(TheoryError::NoMethod {
                what: "counting coalitions by size and weight",
                why: "in units of the greatest common divisor of the votes or claims, the players times the bound are more than \
                      2^24; give smaller whole numbers",
            });
        }
        let mut rows = vec![vec![0u128; bound]; n];
        rows.first_mut().and_then(|row| row.first_mut()).into_iter().for_each(|empty| *empty = 1);
        for (place, weight) in weights.iter().enumerate() {
            for size in (1..n.min(place + 2)).rev() {
                let (smaller, larger) = rows.split_at_mut(size);
                let with = larger[0].iter_mut().skip(*weight).zip(&smaller[size - 1]);
                with.for_each(|(count, without)| *count += without);
            }
        }
        Ok(Self { rows })
    }

    /// The same without one player of a weight, size by size: $c'_k(s) = c_k(s) - c'_{k - 1}(s - w)$.
    pub(super) fn without(&self, weight: usize, mut see: impl FnMut(usize, &[u128])) {
        let mut smaller: Vec<u128> = Vec::new();
        for (size, row) in self.rows.iter().enumerate() {
            let mut row = row.clone();
            row.iter_mut().skip(weight).zip(&smaller).for_each(|(count, with)| *count -= with);
            see(size, &row);
            smaller = row;
        }
    }

    /// What each player gets, found once for each weight.
    pub(super) fn each<T: Clone + Send>(&self, weights: &[usize], payoff: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let mut different: Vec<usize> = weights.to_vec();
        different.sort_unstable();
        different.dedup();
        let found: BTreeMap<usize, T> = different.into_par_iter().map(|weight| (weight, payoff(weight))).collect();
        weights.iter().map(|weight| found[weight].clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coalitions_are_counted() {
        let weights = [2usize, 0, 3, 2, 0];
        let counts = Counts::of(&weights, 6).expect("few");
        let members = |set: u32| (0..5).filter(move |player| set >> player & 1 == 1);
        let counted = |size: usize, sum: usize, left_out: Option<usize>| {
            let fits = |set: &u32| {
                left_out.is_none_or(|player| set >> player & 1 == 0)
                    && members(*set).count() == size
                    && members(*set).map(|player| weights[player]).sum::<usize>() == sum
            };
            (0..32).filter(fits).count() as u128
        };
        for (size, row) in counts.rows.iter().enumerate() {
            (0..6).for_each(|sum| assert_eq!(row[sum], counted(size, sum, None)));
        }
        for (player, weight) in weights.into_iter().enumerate() {
            counts.without(weight, |size, row| {
                (0..6).for_each(|sum| assert_eq!(row[sum], counted(size, sum, Some(player))));
            });
        }
        assert!(Counts::of(&[1; 100], 1 << 20).is_err() && Counts::of(&[1; 4], 0).is_ok());
    }
}
