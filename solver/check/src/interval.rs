//! Dyadic numbers, and closed intervals between two of them.
//!
//! Sums and products of numbers are exact; intervals are rounded outward to a number of bits, so an
//! operation on intervals holds the results of the operation on all their members.

use dashu_base::{Abs, BitTest, Sign, SquareRootRem, UnsignedAbs};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use std::cmp::Ordering;

/// $\lfloor m / 2^s \rfloor$.
pub fn floor_shift(mantissa: &IBig, shift: usize) -> IBig {
    let (sign, magnitude) = mantissa.clone().into_parts();
    match sign {
        Sign::Positive => IBig::from(magnitude >> shift),
        Sign::Negative => -IBig::from(ceil_shift_magnitude(magnitude, shift)),
    }
}

/// $\lceil m / 2^s \rceil$.
pub fn ceil_shift(mantissa: &IBig, shift: usize) -> IBig {
    let (sign, magnitude) = mantissa.clone().into_parts();
    match sign {
        Sign::Positive => IBig::from(ceil_shift_magnitude(magnitude, shift)),
        Sign::Negative => -IBig::from(magnitude >> shift),
    }
}

fn ceil_shift_magnitude(magnitude: UBig, shift: usize) -> UBig {
    let exact = magnitude.trailing_zeros().is_none_or(|zeros| zeros >= shift);
    let floor = magnitude >> shift;
    if exact { floor } else { floor + UBig::ONE }
}

/// $\lfloor a / b \rfloor$ and $\lceil a / b \rceil$ for $b > 0$.
pub fn quotients(dividend: &IBig, divisor: &UBig) -> (IBig, IBig) {
    let (sign, magnitude) = dividend.clone().into_parts();
    let quotient = &magnitude / divisor;
    let above = if &quotient * divisor == magnitude { quotient.clone() } else { &quotient + UBig::ONE };
    match sign {
        Sign::Positive => (quotient.into(), above.into()),
        Sign::Negative => (-IBig::from(above), -IBig::from(quotient)),
    }
}

/// $m\,2^e$.
#[derive(Clone, Debug)]
pub struct Dyadic {
    /// $m$.
    pub mantissa: IBig,
    /// $e$.
    pub exponent: i64,
}

impl Dyadic {
    /// $m\,2^e$.
    pub fn new(mantissa: IBig, exponent: i64) -> Self {
        Self { mantissa, exponent }
    }

    /// 0.
    pub fn zero() -> Self {
        Self::new(IBig::ZERO, 0)
    }

    /// 1.
    pub fn one() -> Self {
        Self::new(IBig::ONE, 0)
    }

    /// $2^e$.
    pub fn power_of_two(exponent: i64) -> Self {
        Self::new(IBig::ONE, exponent)
    }

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        self.mantissa.is_zero()
    }

    /// Whether it is below 0.
    pub fn is_negative(&self) -> bool {
        self.mantissa.sign() == Sign::Negative
    }

    /// The least $k$ with $|x| < 2^k$, or `None` for 0.
    pub fn top(&self) -> Option<i64> {
        (!self.is_zero()).then(|| self.mantissa.bit_len() as i64 + self.exponent)
    }

    /// The mantissa at a lower or equal exponent.
    #[track_caller]
    pub fn mantissa_at(&self, exponent: i64) -> IBig {
        assert!(exponent <= self.exponent || self.is_zero(), "raising the exponent would lose bits");
        if self.is_zero() { IBig::ZERO } else { &self.mantissa << (self.exponent - exponent) as usize }
    }

    /// $\lfloor x / 2^e \rfloor$.
    pub fn floor_at(&self, exponent: i64) -> IBig {
        if exponent <= self.exponent {
            self.mantissa_at(exponent)
        } else {
            floor_shift(&self.mantissa, exponent.abs_diff(self.exponent) as usize)
        }
    }

    /// $\lceil x / 2^e \rceil$.
    pub fn ceil_at(&self, exponent: i64) -> IBig {
        if exponent <= self.exponent {
            self.mantissa_at(exponent)
        } else {
            ceil_shift(&self.mantissa, exponent.abs_diff(self.exponent) as usize)
        }
    }

    /// The greatest number of `bits` bits that is not above.
    pub fn round_down(self, bits: usize) -> Self {
        let excess = self.mantissa.bit_len().saturating_sub(bits);
        if excess == 0 {
            return self;
        }
        Self::new(floor_shift(&self.mantissa, excess), self.exponent + excess as i64)
    }

    /// The least number of `bits` bits that is not below.
    pub fn round_up(self, bits: usize) -> Self {
        let excess = self.mantissa.bit_len().saturating_sub(bits);
        if excess == 0 {
            return self;
        }
        Self::new(ceil_shift(&self.mantissa, excess), self.exponent + excess as i64)
    }

    /// $a + b$.
    pub fn plus(&self, other: &Self) -> Self {
        if self.is_zero() {
            return other.clone();
        }
        if other.is_zero() {
            return self.clone();
        }
        let exponent = self.exponent.min(other.exponent);
        Self::new(self.mantissa_at(exponent) + other.mantissa_at(exponent), exponent)
    }

    /// $-a$.
    pub fn negated(&self) -> Self {
        Self::new(-&self.mantissa, self.exponent)
    }

    /// $a - b$.
    pub fn minus(&self, other: &Self) -> Self {
        self.plus(&other.negated())
    }

    /// $a b$.
    pub fn times(&self, other: &Self) -> Self {
        Self::new(&self.mantissa * &other.mantissa, self.exponent + other.exponent)
    }

    /// Numbers of at least `bits` bits below and above $a / b$, equal when the quotient is one of them;
    /// `None` for $b = 0$.
    pub fn over(&self, other: &Self, bits: usize) -> Option<Interval> {
        if other.is_zero() {
            return None;
        }
        let shift = (bits + other.mantissa.bit_len()).saturating_sub(self.mantissa.bit_len());
        let dividend = &self.mantissa << shift;
        let dividend = if other.is_negative() { -dividend } else { dividend };
        let (lower, upper) = quotients(&dividend, &other.mantissa.clone().unsigned_abs());
        let exponent = self.exponent - shift as i64 - other.exponent;
        Some(Interval::new(Self::new(lower, exponent), Self::new(upper, exponent)))
    }

    /// Numbers of at least `bits` bits below and above $\sqrt a$, equal when the root is one of them; `None` for
    /// $a < 0$.
    pub fn root(&self, bits: usize) -> Option<Interval> {
        if self.is_negative() {
            return None;
        }
        let mut shift = (2 * bits).saturating_sub(self.mantissa.bit_len());
        if (self.exponent - shift as i64) % 2 != 0 {
            shift += 1;
        }
        let (root, rest) = (&self.mantissa << shift).unsigned_abs().sqrt_rem();
        let exponent = (self.exponent - shift as i64) / 2;
        let above = if rest.is_zero() { root.clone() } else { &root + UBig::ONE };
        Some(Interval::new(Self::new(root.into(), exponent), Self::new(above.into(), exponent)))
    }

    /// The number as a quotient of integers.
    pub fn to_rational(&self) -> RBig {
        let shift = self.exponent.unsigned_abs() as usize;
        if self.is_zero() {
            RBig::ZERO
        } else if self.exponent >= 0 {
            RBig::from(&self.mantissa << shift)
        } else {
            RBig::from_parts(self.mantissa.clone(), UBig::ONE << shift)
        }
    }
}

impl PartialEq for Dyadic {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Dyadic {}

impl PartialOrd for Dyadic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Dyadic {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.is_negative() != other.is_negative() || self.is_zero() || other.is_zero() {
            let sign = |x: &Self| {
                if x.is_zero() { 0 } else { 1 - 2 * i32::from(x.is_negative()) }
            };
            return sign(self).cmp(&sign(other));
        }
        let magnitudes = match self.top().cmp(&other.top()) {
            Ordering::Equal => {
                let exponent = self.exponent.min(other.exponent);
                self.mantissa_at(exponent).abs().cmp(&other.mantissa_at(exponent).abs())
            }
            unequal => unequal,
        };
        if self.is_negative() { magnitudes.reverse() } else { magnitudes }
    }
}

/// $[\ell, u]$.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// $\ell$.
    pub lower: Dyadic,
    /// $u$.
    pub upper: Dyadic,
}

impl Interval {
    /// $[\ell, u]$ with $\ell \le u$.
    pub fn new(lower: Dyadic, upper: Dyadic) -> Self {
        debug_assert!(lower <= upper, "crossed interval");
        Self { lower, upper }
    }

    /// $[x, x]$.
    pub fn point(value: Dyadic) -> Self {
        Self { lower: value.clone(), upper: value }
    }

    /// Whether it is one point.
    pub fn is_point(&self) -> bool {
        self.lower == self.upper
    }

    /// Whether 0 lies in it.
    pub fn holds_zero(&self) -> bool {
        self.lower <= Dyadic::zero() && self.upper >= Dyadic::zero()
    }

    /// A superset with ends of at most `bits` bits.
    pub fn rounded(self, bits: usize) -> Self {
        Self { lower: self.lower.round_down(bits), upper: self.upper.round_up(bits) }
    }

    /// $\{a + b\}$.
    pub fn plus(&self, other: &Self) -> Self {
        Self::new(self.lower.plus(&other.lower), self.upper.plus(&other.upper))
    }

    /// $\{-a\}$.
    pub fn negated(&self) -> Self {
        Self::new(self.upper.negated(), self.lower.negated())
    }

    /// $\{a - b\}$.
    pub fn minus(&self, other: &Self) -> Self {
        self.plus(&other.negated())
    }

    /// $\{a b\}$.
    pub fn times(&self, other: &Self) -> Self {
        if self.is_point() && other.is_point() {
            return Self::point(self.lower.times(&other.lower));
        }
        if !self.lower.is_negative() && !other.lower.is_negative() {
            return Self::new(self.lower.times(&other.lower), self.upper.times(&other.upper));
        }
        let products = [
            self.lower.times(&other.lower),
            self.lower.times(&other.upper),
            self.upper.times(&other.lower),
            self.upper.times(&other.upper),
        ];
        let [mut lower, mut upper] = [products[0].clone(), products[0].clone()];
        for product in &products[1..] {
            lower = lower.min(product.clone());
            upper = upper.max(product.clone());
        }
        Self::new(lower, upper)
    }

    /// A superset of $\{a / b\}$ with ends of at least `bits` bits; `None` when 0 lies in the divisor.
    pub fn over(&self, other: &Self, bits: usize) -> Option<Self> {
        if other.holds_zero() {
            return None;
        }
        if !self.lower.is_negative() && !other.lower.is_negative() {
            return Some(Self::new(
                self.lower.over(&other.upper, bits)?.lower,
                self.upper.over(&other.lower, bits)?.upper,
            ));
        }
        let mut hull = self.lower.over(&other.lower, bits)?;
        for (a, b) in [(&self.lower, &other.upper), (&self.upper, &other.lower), (&self.upper, &other.upper)] {
            let quotient = a.over(b, bits)?;
            hull = Self::new(hull.lower.min(quotient.lower), hull.upper.max(quotient.upper));
        }
        Some(hull)
    }

    /// A superset of $\{\sqrt a\}$ with ends of at least `bits` bits; `None` when a negative number lies in it.
    pub fn root(&self, bits: usize) -> Option<Self> {
        Some(Self::new(self.lower.root(bits)?.lower, self.upper.root(bits)?.upper))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(mantissa: i64, exponent: i64) -> Dyadic {
        Dyadic::new(IBig::from(mantissa), exponent)
    }

    #[test]
    fn shifts_round_as_they_say() {
        for value in -40_i64..=40 {
            for shift in 0..8 {
                let exact = IBig::from(value);
                let floor = value.div_euclid(1 << shift);
                assert_eq!(floor_shift(&exact, shift), IBig::from(floor), "{value} >> {shift}");
                let ceil = -(-value).div_euclid(1 << shift);
                assert_eq!(ceil_shift(&exact, shift), IBig::from(ceil), "{value} >> {shift}");
            }
        }
    }

    #[test]
    fn quotients_round_as_they_say() {
        for a in -30_i64..=30 {
            for b in 1_i64..=9 {
                let (lower, upper) = quotients(&IBig::from(a), &UBig::from(b.unsigned_abs()));
                assert_eq!(lower, IBig::from(a.div_euclid(b)), "{a} / {b}");
                assert_eq!(upper, IBig::from(-(-a).div_euclid(b)), "{a} / {b}");
            }
        }
    }

    #[test]
    fn order_is_that_of_the_rationals() {
        let numbers: Vec<_> = (-9..=9)
            .flat_map(|m| (-3..=3).map(move |e| number(m, e)))
            .chain([number(1, 900), number(-1, -900)])
            .collect();
        for a in &numbers {
            for b in &numbers {
                assert_eq!(a.cmp(b), a.to_rational().cmp(&b.to_rational()), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn rounding_and_quotients_enclose_tightly() {
        for (a, b) in [(1, 3), (-1, 3), (22, -7), (-22, -7), (6, 3), (0, 5)] {
            let found = number(a, 3).over(&number(b, -2), 100).unwrap();
            let exact = number(a, 3).to_rational() / number(b, -2).to_rational();
            assert!(found.lower.to_rational() <= exact && exact <= found.upper.to_rational());
            let width = found.upper.minus(&found.lower);
            assert!(width.top().is_none_or(|top| top <= found.upper.top().unwrap() - 99), "{width:?}");
        }
        assert!(number(6, 3).over(&number(3, 0), 10).unwrap().is_point());
        assert!(number(1, 0).over(&Dyadic::zero(), 10).is_none());
        let third = number(1, 0).over(&number(3, 0), 100).unwrap();
        let coarse = third.clone().rounded(10);
        assert!(coarse.lower < third.lower && third.upper < coarse.upper);
        assert!(coarse.lower.mantissa.bit_len() <= 10 && coarse.upper.mantissa.bit_len() <= 11);
    }

    #[test]
    fn products_and_quotients_of_intervals_hold_all_members() {
        let points = [-3, -1, 0, 2, 5];
        for a in points {
            for b in points.into_iter().filter(|b| *b >= a) {
                for c in points {
                    for d in points.into_iter().filter(|d| *d >= c) {
                        let x = Interval::new(number(a, 0), number(b, 0));
                        let y = Interval::new(number(c, 0), number(d, 0));
                        let product = x.times(&y);
                        let ends = [a * c, a * d, b * c, b * d];
                        assert_eq!(product.lower, number(*ends.iter().min().unwrap(), 0));
                        assert_eq!(product.upper, number(*ends.iter().max().unwrap(), 0));
                        assert_eq!(x.over(&y, 20).is_none(), c <= 0 && d >= 0);
                    }
                }
            }
        }
    }

    #[test]
    fn roots() {
        assert_eq!(number(9, 2).root(50).unwrap(), Interval::point(number(6, 0)));
        assert_eq!(Dyadic::zero().root(50).unwrap(), Interval::point(Dyadic::zero()));
        assert!(number(-1, 0).root(50).is_none());
        for exponent in -3..=3 {
            let two = number(2, exponent);
            let root = two.root(100).unwrap();
            assert!(root.lower.times(&root.lower) < two && two < root.upper.times(&root.upper) || root.is_point());
            assert!(root.upper.minus(&root.lower).top().is_none_or(|top| top <= root.lower.top().unwrap() - 99));
        }
    }
}
