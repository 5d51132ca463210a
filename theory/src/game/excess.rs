//! Excesses of all coalitions of a table, in whole numbers.
//!
//! Values are doubles, or sums of doubles: $v(S) = m_S 2^{-s}$ with whole $m_S$ and one $s$. For a point with common denominator $D$,
//! $D\,2^s\,e(S, x) = m_S D - \sum_{i \in S} D\,2^s x_i$ is whole, and mostly fits 128 bits. Excesses in floating point, with a
//! bound of their error, tell which coalitions need that at all.

use super::classes::Classes;
use super::coalition::Coalition;
use super::kinds::Kind;
use super::table::{Game, MOST, Table};
use crate::error::TheoryError;
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
    /// The values as doubles: rounded, where they are none.
    values: Vec<f64>,
    /// The greatest absolute value.
    largest: f64,
    wide: Vec<IBig>,
    /// The same where they all have at most 96 bits.
    narrow: Option<Vec<i128>>,
    /// How many bits the longest has.
    length: usize,
}

/// Which coalitions are looked at: all proper ones, or those that are not marked.
pub type Skip<'a> = Option<&'a [bool]>;

/// A game of exact values whose greatest excess can be found: in a table, or by what is known of its kind.
pub trait ExcessOracle: Sync {
    /// How many players there are.
    fn players(&self) -> usize;

    /// $v(S)$.
    fn value(&self, coalition: Coalition) -> RBig;

    /// A coalition of greatest excess among those that are looked at, all of them proper; none where there is none.
    fn worst(&self, point: &[RBig]) -> Option<(Coalition, RBig)>;

    /// Which players are known to be interchangeable.
    fn classes(&self) -> Classes {
        Classes::single(self.players())
    }
}

impl ExcessOracle for Excesses {
    fn players(&self) -> usize {
        self.players
    }

    fn value(&self, coalition: Coalition) -> RBig {
        Self::value(self, coalition)
    }

    fn worst(&self, point: &[RBig]) -> Option<(Coalition, RBig)> {
        Self::worst(self, point, None)
    }
}

/// The coalitions of a table that are not marked.
pub(super) struct Unmarked<'a> {
    pub(super) excesses: &'a Excesses,
    pub(super) marks: &'a [bool],
}

impl ExcessOracle for Unmarked<'_> {
    fn players(&self) -> usize {
        self.excesses.players
    }

    fn value(&self, coalition: Coalition) -> RBig {
        self.excesses.value(coalition)
    }

    fn worst(&self, point: &[RBig]) -> Option<(Coalition, RBig)> {
        self.excesses.worst(point, Some(self.marks))
    }
}

impl Excesses {
    /// Of a table.
    pub fn of(game: &Table) -> Self {
        let parts: Vec<(i64, i32)> = game.values().iter().map(|value| parts(*value)).collect();
        let least = parts.iter().filter(|(m, _)| *m != 0).map(|(_, e)| *e).min().unwrap_or(0).min(0);
        let whole = |(m, e): &(i64, i32)| IBig::from(*m) << (if *m == 0 { 0 } else { (e - least) as usize });
        let wide: Vec<IBig> = parts.iter().map(whole).collect();
        Self::with(game.players(), game.values().to_vec(), wide, least.unsigned_abs() as usize)
    }

    /// Of a game of the literature, whose values are sums of its numbers: exactly, where a table would round them.
    ///
    /// # Errors
    /// As [`Kind::checked`], more than 24 players, or a value beyond the range of doubles.
    pub fn of_kind(kind: &Kind) -> Result<Self, TheoryError> {
        let kind = kind.clone().checked()?;
        let players = kind.players();
        if players > MOST {
            let found = players as f64;
            return Err(TheoryError::Range { name: "players of a table", expected: "1 to 24", found });
        }
        let (wide, shift) = kind.whole_values();
        // In two steps: the power of two by itself may be below the range of doubles.
        let (first, second) = (shift as i32 / 2, shift as i32 - shift as i32 / 2);
        let double = |m: &IBig| m.to_f64().value() * 0.5f64.powi(first) * 0.5f64.powi(second);
        let values: Vec<f64> = wide.iter().map(double).collect();
        match values.iter().position(|value| !value.is_finite()) {
            Some(set) => {
                let (coalition, value) = (Coalition(set as u128), values[set]);
                Err(TheoryError::CoalitionValue { coalition, value, expected: "a finite number" })
            }
            None => Ok(Self::with(players, values, wide, shift)),
        }
    }

    fn with(players: usize, values: Vec<f64>, wide: Vec<IBig>, shift: usize) -> Self {
        let length = wide.iter().map(bits).max().unwrap_or(0);
        let narrow = (length <= 96).then(|| wide.iter().map(|m| i128::try_from(m).ok()).collect()).flatten();
        let largest = values.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        Self { players, shift, values, largest, wide, narrow, length }
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
        let exact = |coalition| (coalition, self.excess(coalition, point));
        match self.near(point, skip) {
            Some(few) => few.into_iter().map(exact).reduce(|a, b| if b.1 > a.1 { b } else { a }),
            None => self.scan(point, skip).map(exact),
        }
    }

    /// The proper coalitions whose excess is a number.
    pub fn tight(&self, point: &[RBig], level: &RBig) -> Vec<Coalition> {
        let all = 1..self.wide.len() - 1;
        let near = |set: &usize| self.excess(Coalition(*set as u128), point) == *level;
        all.into_par_iter().filter(near).map(|set| Coalition(set as u128)).collect()
    }

    /// The coalitions that may have the greatest excess, in order; none where rounding leaves too many.
    ///
    /// A sum of $n \le 24$ rounded payoffs and its difference from a value are off by at most
    /// $2^{-47} (\sum_i |x_i| + \max_S |v(S)|)$, 64 roundings.
    fn near(&self, point: &[RBig], skip: Skip<'_>) -> Option<Vec<Coalition>> {
        let shares: Vec<f64> = point[..self.players].iter().map(|x| x.to_f64().value()).collect();
        let size = shares.iter().map(|x| x.abs()).sum::<f64>() + self.largest;
        let error = 2f64.powi(-47) * size + f64::MIN_POSITIVE;
        if error.is_nan() || error >= f64::MAX / 1024.0 {
            return None;
        }
        let low = self.players.min(LOW);
        let (below, above) = (&sums(&shares[..low], 0.0), &sums(&shares[low..], 0.0));
        let all = self.values.len() - 1;
        let part = |high: usize| {
            let values = &self.values[high << low..(high + 1) << low];
            values.iter().zip(below).enumerate().filter_map(move |(place, (value, sum))| {
                let set = high << low | place;
                let looked_at = set != 0 && set != all && skip.is_none_or(|skip| !skip[set]);
                looked_at.then(|| (set, value - (above[high] + sum)))
            })
        };
        let greatest = |high: usize| part(high).map(|(_, excess)| excess).fold(f64::NEG_INFINITY, f64::max);
        let tops: Vec<f64> = (0..above.len()).into_par_iter().map(greatest).collect();
        let level = tops.iter().copied().fold(f64::NEG_INFINITY, f64::max) - 2.0 * error;
        let mut few = Vec::new();
        for high in (0..above.len()).filter(|high| tops[*high] >= level) {
            few.extend(part(high).filter(|(_, e)| *e >= level).map(|(set, _)| Coalition(set as u128)));
            if few.len() > FEW {
                return None;
            }
        }
        Some(few)
    }

    /// The first coalition of greatest excess.
    fn scan(&self, point: &[RBig], skip: Skip<'_>) -> Option<Coalition> {
        let point = &point[..self.players];
        let denominator = common(point);
        let scaled = |x: &RBig| (x.numerator() * (&denominator / x.denominator())) << self.shift;
        let shares: Vec<IBig> = point.iter().map(scaled).collect();
        // Sums of up to 24 shares, and differences of them, then stay below 2^127.
        let narrow = |number: &IBig| (bits(number) <= 120).then(|| i128::try_from(number).ok()).flatten();
        let denominator = IBig::from(denominator);
        if let Some(values) = &self.narrow
            && bits(&denominator) + self.length <= 120
            && let Some(factor) = narrow(&denominator)
            && let Some(shares) = shares.iter().map(narrow).collect::<Option<Vec<i128>>>()
        {
            return search(&shares, |set| values[set] * factor, skip, 0);
        }
        search(&shares, |set| &self.wide[set] * &denominator, skip, IBig::ZERO)
    }
}

/// The least common denominator.
pub(super) fn common(numbers: &[RBig]) -> UBig {
    numbers.iter().fold(UBig::ONE, |common, number| {
        let shared = (&common).gcd(number.denominator());
        common / shared * number.denominator()
    })
}

/// How many bits the absolute value has.
pub(super) fn bits(number: &IBig) -> usize {
    number.unsigned_abs().bit_len()
}

/// A double as a whole number times a power of two.
pub(super) fn parts(value: f64) -> (i64, i32) {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, (bits & ((1 << 52) - 1)) as i64);
    let magnitude = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    let zeros = if magnitude == 0 { 0 } else { magnitude.trailing_zeros() };
    let signed = if value.is_sign_negative() { -(magnitude >> zeros) } else { magnitude >> zeros };
    (signed, exponent.max(1) - 1075 + zeros as i32)
}

/// Coalitions that are compared one by one.
const FEW: usize = 256;

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

/// The first proper coalition of greatest $v(S) - \sum_{i \in S} x_i$.
fn search<T>(shares: &[T], value: impl Fn(usize) -> T + Sync, skip: Skip<'_>, zero: T) -> Option<Coalition>
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
    let greater = |a: (usize, T), b: (usize, T)| {
        if b.1 > a.1 || b.1 == a.1 && b.0 < a.0 { b } else { a }
    };
    let parts = (0..above.len()).into_par_iter();
    let found = parts.filter_map(|high| part(high).reduce(greater)).reduce_with(greater);
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
            let value = excesses.value(Coalition(5));
            prop_assert_eq!(RBig::try_from(game.values()[5]).expect("finite"), value);
        }

        /// Values that are payoffs but for rounding: what floating point says of these excesses is noise.
        #[test]
        fn roundings_do_not_hide_the_greatest(sevenths in prop::collection::vec(1i64..1000, 5)) {
            let point: Vec<RBig> = sevenths.iter().map(|t| RBig::from_parts(IBig::from(*t), UBig::from(7u8))).collect();
            let paid = |set: u128| Coalition(set).members().fold(RBig::ZERO, |sum, player| sum + &point[player]);
            let game = Table::new(5, (0..32).map(|set| paid(set).to_f64().value()).collect()).expect("a game");
            let excesses = Excesses::of(&game);
            let all = (1..31).map(|set| (Coalition(set), excesses.excess(Coalition(set), &point)));
            let first = all.reduce(|a, b| if b.1 > a.1 { b } else { a });
            prop_assert_eq!(excesses.worst(&point, None), first);
        }
    }
}
