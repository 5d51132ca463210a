//! The two floating-point types that bounds and evaluations are computed in.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// A binary floating-point type: `f32` or `f64`.
///
/// The unit roundoff $u$ is half the distance from 1 to the next number: every correctly rounded
/// operation satisfies $\mathrm{fl}(a \circ b) = (a \circ b)(1 + \delta)$ with $|\delta| \le u$
/// unless it underflows.
pub trait Scalar:
    Copy
    + Send
    + Sync
    + Default
    + Debug
    + Display
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
    + faer::traits::ComplexField
    + 'static
{
    /// Additive identity.
    const ZERO: Self;
    /// Multiplicative identity.
    const ONE: Self;
    /// Unit roundoff $u$: $2^{-24}$ or $2^{-53}$.
    const UNIT_ROUNDOFF: f64;
    /// The smallest positive normal number: what an underflow or a flush to zero can lose.
    const SMALLEST_NORMAL: f64;
    /// Positive infinity.
    const INFINITY: Self;

    /// Nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// Nearest value of this type.
    fn from_f32(value: f32) -> Self;
    /// The value as `f64`, without loss.
    fn to_f64(self) -> f64;
    /// Absolute value.
    fn abs(self) -> Self;
    /// The larger of two numbers (neither is NaN).
    fn max(self, other: Self) -> Self;
    /// The smaller of two numbers (neither is NaN).
    fn min(self, other: Self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// Least number of this type that is not below `value`.
    fn round_up(value: f64) -> Self;
    /// Greatest number of this type that is not above `value`.
    fn round_down(value: f64) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
}

macro_rules! scalar {
    ($t:ty, $u:expr) => {
        impl Scalar for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const UNIT_ROUNDOFF: f64 = $u;
            const SMALLEST_NORMAL: f64 = <$t>::MIN_POSITIVE as f64;
            const INFINITY: Self = <$t>::INFINITY;

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn from_f32(value: f32) -> Self {
                value as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn abs(self) -> Self {
                <$t>::abs(self)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if self > other { self } else { other }
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                if self < other { self } else { other }
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                <$t>::is_finite(self)
            }
            #[inline(always)]
            fn round_up(value: f64) -> Self {
                let nearest = value as $t;
                if (nearest as f64) < value { nearest.next_up() } else { nearest }
            }
            #[inline(always)]
            fn round_down(value: f64) -> Self {
                let nearest = value as $t;
                if (nearest as f64) > value { nearest.next_down() } else { nearest }
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                <$t>::sqrt(self)
            }
        }
    };
}

scalar!(f32, 5.960_464_477_539_063e-8);
scalar!(f64, 1.110_223_024_625_156_5e-16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roundoffs_are_half_an_ulp_of_one() {
        assert_eq!(<f32 as Scalar>::UNIT_ROUNDOFF, f64::from(f32::EPSILON) / 2.0);
        assert_eq!(<f64 as Scalar>::UNIT_ROUNDOFF, f64::EPSILON / 2.0);
    }

    #[test]
    fn directed_rounding_encloses() {
        for value in [0.1, -0.1, 1.0, 1e-50, -1e-50, 3.3e38] {
            assert!(f64::from(f32::round_up(value)) >= value);
            assert!(f64::from(f32::round_down(value)) <= value);
        }
        assert_eq!(f32::round_up(0.5), 0.5);
    }
}
