//! Decimals as exact rationals.

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

/// The longest number, in characters, and the largest exponent of ten.
pub const LIMIT: usize = 1100;

/// Whether a word can only be meant as a number.
pub fn looks_like(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        || (word.len() > 1
            && word.starts_with(['-', '+', '.'])
            && word[1..].starts_with(|c: char| c.is_ascii_digit() || c == '.'))
}

/// The rational that a decimal, or a quotient of two such as `8/255`, denotes.
pub fn quotient(text: &str) -> Option<RBig> {
    match text.split_once('/') {
        None => decimal(text),
        Some((p, q)) => Some(decimal(p)? / decimal(q).filter(|q| !q.is_zero())?),
    }
}

/// The rational that `digits[.digits][e±digits]` with an optional sign denotes.
pub fn decimal(word: &str) -> Option<RBig> {
    if word.len() > LIMIT {
        return None;
    }
    let (negative, magnitude) = match word.as_bytes().first()? {
        b'-' => (true, &word[1..]),
        b'+' => (false, &word[1..]),
        _ => (false, word),
    };
    let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (magnitude, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if exponent.unsigned_abs() as usize > LIMIT {
        return None;
    }
    let shift = i64::from(exponent) - fraction.len() as i64;
    let value = match digits.parse::<u64>() {
        Ok(small) => UBig::from(small),
        Err(_) => UBig::from_str_radix(&digits, 10).ok()?,
    };
    let value = if negative { -IBig::from(value) } else { IBig::from(value) };
    let power = UBig::from(10_u8).pow(usize::try_from(shift.unsigned_abs()).ok()?);
    Some(if shift < 0 { RBig::from_parts(value, power) } else { RBig::from(value * IBig::from(power)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        let ratio = |a: i64, b: u64| RBig::from_parts(a.into(), b.into());
        let table = [
            ("0.1", ratio(1, 10)),
            ("-2.50", ratio(-5, 2)),
            ("3", ratio(3, 1)),
            ("+1.5e-2", ratio(3, 200)),
            ("12E2", ratio(1200, 1)),
            (".5", ratio(1, 2)),
            ("7.", ratio(7, 1)),
            ("-0.0", ratio(0, 1)),
        ];
        for (text, expected) in table {
            assert_eq!(decimal(text), Some(expected), "{text}");
        }
        let long = "0.123456789012345678901234567890";
        assert_eq!(
            decimal(long).unwrap() * RBig::from(10_u64.pow(15)) * RBig::from(10_u64.pow(15)),
            "123456789012345678901234567890".parse::<RBig>().unwrap()
        );
    }

    #[test]
    fn other_words_are_refused() {
        for text in ["", "-", ".", "e5", "1e", "1e99999999", "0x10", "1.2.3", "1_000", "inf", "nan", "--1", "1e-2000"] {
            assert_eq!(decimal(text), None, "{text}");
        }
        assert_eq!(decimal(&"9".repeat(LIMIT + 1)), None);
    }
}
