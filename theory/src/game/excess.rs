//! Excesses of all coalitions of a table, in whole numbers.
//!
//! Values are doubles, $v(S) = m_S 2^{-s}$ with whole $m_S$ and one $s$. For a point with common denominator $D$,
//! $D\,2^s\,e(S, x) = m_S D - \sum_{i \in S} D\,2^s x_i$ is whole, and mostly fits 128 bits.

use super::coalition::Coalition;
use super::table::{Game, Table};
use dashu_base::{BitTest, Gcd, UnsignedAbs};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use rayon::prelude::*;
use std::ops::{Add, Sub};

/// The values of a game as whole numbers.
#[derive(Clone, Debug)]
pub struct Excesses {
    players: usize,
    shift: usize,
    wide: Vec<IBig>,
    /// The same where they all have at most 64 bits.
    narrow: Option<Vec<i64>>,
}

/// Which coalitions are looked at: all proper ones, or those that are not marked.
pub type Skip<'a> = Option<&'a [bool]>;

impl Excesses {
    /// Of a table.
    pub fn of(game: &Table) -> Self {
        let parts: Vec<(i64, i32)> = game.values().iter().map(|value| parts(*value)).collect();
        let least = parts.iter().filter(|(m, _)| *m != 0).map(|(_, e)| *e).min().unwrap_or(0).min(0);
        let whole = |(m, e): &(i64, i32)| IBig::from(*m) << (if *m == 0 { 0 } else { (e - least) as usize });
        let wide: Vec<IBig> = parts.iter().map(whole).collect();
        let narrow = wide.iter().map(|m| i64::try_from(m).ok()).collect();
        Self { players: game.players(), shift: least.unsigned_abs() as usize, wide, narrow }
    }

    /// $v(S)$.
    pub fn value(&self, coalition: Coalition) -> RBig {
        let m = self.wide[coalition.0 as usize].clone();
        RBig::from_parts(m, UBig::ONE << self.shift)
    }

    /// $e(S, x)$.
    pub fn excess(&self, coalition: Coalition, point: &[RBig]) -> RBig {
        coalition.members().fold(self.value(coalition), |left, player| left - &point[player])
    }

    /// A proper coalition of greatest excess, the first of them; none where there is none to look at.
    pub fn worst(&self, point: &[RBig], skip: Skip<'_>) -> Option<(Coalition, RBig)> {
        self.scan(point, skip, None).map(|coalition| (coalition, self.excess(coalition, point)))
    }

    /// The first proper coalition whose excess is above a level.
    pub fn first_above(&self, point: &[RBig], level: &RBig, skip: Skip<'_>) -> Option<Coalition> {
        self.scan(point, skip, Some(level))
    }

    /// The proper coalitions whose excess is a number.
    pub fn tight(&self, point: &[RBig], level: &RBig) -> Vec<Coalition> {
        let all = 1..self.wide.len() - 1;
        let near = |set: &usize| self.excess(Coalition(*set as u128), point) == *level;
        all.into_par_iter().filter(near).map(|set| Coalition(set as u128)).collect()
    }

    /// The first coalition of greatest excess, or the first one above a level.
    fn scan(&self, point: &[RBig], skip: Skip<'_>, level: Option<&RBig>) -> Option<Coalition> {
        let point = &point[..self.players];
        let mut denominator = UBig::ONE;
        for x in point.iter().chain(level) {
            let common = (&denominator).gcd(x.denominator());
            denominator = denominator / common * x.denominator();
        }
        let scaled = |x: &RBig| (x.numerator() * (&denominator / x.denominator())) << self.shift;
        let shares: Vec<IBig> = point.iter().map(scaled).collect();
        let level = level.map(scaled);
        // Sums of up to 24 shares, and differences of them, then stay below 2^127.
        let narrow = |number: &IBig| (bits(number) <= 120).then(|| i128::try_from(number).ok()).flatten();
        let denominator = IBig::from(denominator);
        if let Some(values) = &self.narrow
            && bits(&denominator) <= 56
            && let Some(factor) = narrow(&denominator)
            && let Some(shares) = shares.iter().map(narrow).collect::<Option<Vec<i128>>>()
            && let Some(level) = level.as_ref().map(narrow).map_or(Some(None), |level| level.map(Some))
        {
            return search(&shares, |set| i128::from(values[set]) * factor, skip, level, 0);
        }
        search(&shares, |set| &self.wide[set] * &denominator, skip, level, IBig::ZERO)
    }
}

/// How many bits the absolute value has.
fn bits(number: &IBig) -> usize {
    number.unsigned_abs().bit_len()
}

/// A double as a whole number times a power of two.
fn parts(value: f64) -> (i64, i32) {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, (bits & ((1 << 52) - 1)) as i64);
    let magnitude = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    let zeros = if magnitude == 0 { 0 } else { magnitude.trailing_zeros() };
    let signed = if value.is_sign_negative() { -(magnitude >> zeros) } else { magnitude >> zeros };
    (signed, exponent.max(1) - 1075 + zeros as i32)
}

/// Players whose sums are listed once; the others' are added to them.
const LOW: usize = 10;

/// The sums of all subsets.
fn sums<T: Clone + Add<Output = T>>(shares: &[T], zero: T) -> Vec<T> {
    let mut sums = vec![zero];
    for share in shares {
        let with: Vec<T> = sums.iter().map(|sum| sum.clone() + share.clone()).collect();
        sums.extend(with);
    }
    sums
}

/// The first proper coalition of greatest $v(S) - \sum_{i \in S} x_i$, or the first one where that is above a level.
fn search<T>(
    shares: &[T],
    value: impl Fn(usize) -> T + Sync,
    skip: Skip<'_>,
    level: Option<T>,
    zero: T,
) -> Option<Coalition>
where
    T: Clone + Ord + Send + Sync + Add<Output = T> + Sub<Output = T>,
{
    let low = shares.len().min(LOW);
    let (below, above) = (sums(&shares[..low], zero.clone()), sums(&shares[low..], zero));
    let all = (1 << shares.len()) - 1;
    let (above, below, value) = (&above, &below, &value);
    let part = |high: usize| {
        let sets = (0..below.len()).map(move |set| high << low | set);
        let looked_at = sets.filter(move |set| *set != 0 && *set != all && skip.is_none_or(|skip| !skip[*set]));
        looked_at.map(move |set| {
            let excess = value(set) - (above[high].clone() + below[set & ((1 << low) - 1)].clone());
            (set, excess)
        })
    };
    let parts = (0..above.len()).into_par_iter();
    let found = match level {
        Some(level) => parts.find_map_first(|high| part(high).find(|(_, excess)| *excess > level)),
        None => {
            let greater = |a: (usize, T), b: (usize, T)| {
                if b.1 > a.1 || b.1 == a.1 && b.0 < a.0 { b } else { a }
            };
            parts.filter_map(|high| part(high).reduce(greater)).reduce_with(greater)
        }
    };
    found.map(|(set, _)| Coalition(set as u128))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn doubles_are_taken_apart() {
        for value in [0.0, 1.0, -0.75, 5e-324, f64::MAX, 0.1] {
            let (m, e) = parts(value);
            let scale = |m: f64, e: i32| m * 2f64.powi(e / 2) * 2f64.powi(e - e / 2);
            assert_eq!(scale(m as f64, e), value);
        }
    }

    proptest! {
        #[test]
        fn scans_find_what_comparing_all_finds(
            values in prop::collection::vec(prop_oneof![-4.0f64..4.0, -1e30f64..1e30, Just(1e-40)], 15),
            thirds in prop::collection::vec(-9i64..9, 4),
        ) {
            let game = Table::new(4, [0.0].into_iter().chain(values).collect()).expect("a game");
            let excesses = Excesses::of(&game);
            let point: Vec<RBig> = thirds.iter().map(|t| RBig::from_parts(IBig::from(*t), UBig::from(3u8))).collect();
            let all: Vec<RBig> = (1..15).map(|set| excesses.excess(Coalition(set), &point)).collect();
            let greatest = all.iter().max().expect("coalitions");
            let first = all.iter().position(|e| e == greatest).expect("one") as u128 + 1;
            prop_assert_eq!(excesses.worst(&point, None), Some((Coalition(first), greatest.clone())));
            let above = all.iter().position(|e| *e > all[3]).map(|place| Coalition(place as u128 + 1));
            prop_assert_eq!(excesses.first_above(&point, &all[3], None), above);
            let value = excesses.value(Coalition(5));
            prop_assert_eq!(RBig::try_from(game.values()[5]).expect("finite"), value);
        }
    }
}
