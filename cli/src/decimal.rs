//! Rationals as decimals, without loss.

use dashu_base::{DivRem, Signed, UnsignedAbs};
use dashu_int::UBig;
use dashu_ratio::RBig;

/// Writes the decimal that denotes `value` exactly, or the quotient `(/ p q)` where no finite decimal does.
///
/// Read as a decimal or as the nearest double, a dyadic value comes back as itself.
pub fn print(value: &RBig) -> String {
    let sign = if value.numerator().is_negative() { "-" } else { "" };
    let numerator = value.numerator().unsigned_abs();
    let Some(places) = places(value.denominator()) else {
        return format!("(/ {sign}{numerator}.0 {}.0)", value.denominator());
    };
    let scaled = numerator * UBig::from(10_u8).pow(places) / value.denominator();
    let digits = format!("{scaled:0>width$}", scaled = scaled.to_string(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    if fraction.is_empty() { format!("{sign}{whole}.0") } else { format!("{sign}{whole}.{fraction}") }
}

/// Places of a decimal that is not exact.
const PLACES: usize = 40;

/// The greatest decimal of [`PLACES`] places that is not above `value`.
pub fn print_below(value: &RBig) -> String {
    let power = RBig::from(UBig::from(10_u8).pow(PLACES));
    print(&(RBig::from((value * &power).floor()) / power))
}

/// The least decimal of [`PLACES`] places that is not below `value`.
pub fn print_above(value: &RBig) -> String {
    let power = RBig::from(UBig::from(10_u8).pow(PLACES));
    print(&(RBig::from((value * &power).ceil()) / power))
}

/// Decimal places of $1/q$ for $q = 2^a 5^b$: $\max(a, b)$; nothing for another $q$.
fn places(denominator: &UBig) -> Option<usize> {
    let twos = denominator.trailing_zeros().unwrap_or(0);
    let mut rest = denominator >> twos;
    let mut fives = 0;
    while !rest.is_one() {
        let (quotient, remainder) = rest.div_rem(UBig::from(5_u8));
        if !remainder.is_zero() {
            return None;
        }
        rest = quotient;
        fives += 1;
    }
    Some(twos.max(fives))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secateur_nn::vnnlib;

    #[test]
    fn prints_what_it_denotes() {
        let table = [
            ("0", "0.0"),
            ("-3", "-3.0"),
            ("1/8", "0.125"),
            ("-303531156/1000000000", "-0.303531156"),
            ("1/3", "(/ 1.0 3.0)"),
        ];
        for (value, text) in table {
            assert_eq!(print(&value.parse().expect("a rational")), text);
        }
        assert_eq!(print(&RBig::try_from(0.1_f32).expect("finite")), "0.100000001490116119384765625");
    }

    #[test]
    fn inexact_decimals_enclose() {
        let third: RBig = "-1/3".parse().expect("a rational");
        let (below, above) = (print_below(&third), print_above(&third));
        assert_eq!(below, format!("-0.{}4", "3".repeat(PLACES - 1)));
        assert_eq!(above, format!("-0.{}", "3".repeat(PLACES)));
    }

    proptest! {
        #[test]
        fn doubles_come_back_bit_for_bit(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let exact = RBig::try_from(value).expect("finite");
            let text = print(&exact);
            prop_assert_eq!(text.parse::<f64>().expect("a double"), value);
            prop_assert_eq!(vnnlib::decimal(&text), Some(exact));
        }

        #[test]
        fn decimals_come_back(numerator in any::<i64>(), places in 0_usize..30) {
            let value = RBig::from_parts(numerator.into(), UBig::from(10_u8).pow(places));
            prop_assert_eq!(vnnlib::decimal(&print(&value)), Some(value));
        }
    }
}
