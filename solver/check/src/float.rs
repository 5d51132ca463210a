//! Floats as bits: $\pm m\,2^e$.

use crate::interval::Dyadic;
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

/// A finite float $\pm m\,2^e$ with odd $m$, or $m = e = 0$.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Whether the sign bit is set.
    pub negative: bool,
    /// $m < 2^{53}$.
    pub mantissa: u64,
    /// $e$.
    pub exponent: i32,
}

impl Decoded {
    fn new(negative: bool, mantissa: u64, exponent: i32) -> Self {
        if mantissa == 0 {
            return Self { negative, mantissa, exponent: 0 };
        }
        let zeros = mantissa.trailing_zeros();
        Self { negative, mantissa: mantissa >> zeros, exponent: exponent + zeros.cast_signed() }
    }
}

/// Decodes a 32-bit float: sign, 8 bits of exponent (bias 127), 23 bits of fraction. `None` for NaN and infinities.
pub fn decode_f32(value: f32) -> Option<Decoded> {
    let bits = value.to_bits();
    let (biased, fraction) = ((bits >> 23) & 0xff, bits & 0x007f_ffff);
    let negative = bits >> 31 == 1;
    match biased {
        0xff => None,
        0 => Some(Decoded::new(negative, u64::from(fraction), -149)),
        _ => Some(Decoded::new(negative, u64::from(fraction | 0x0080_0000), biased.cast_signed() - 150)),
    }
}

/// Decodes a 64-bit float: sign, 11 bits of exponent (bias 1023), 52 bits of fraction. `None` for NaN and infinities.
pub fn decode_f64(value: f64) -> Option<Decoded> {
    let bits = value.to_bits();
    let (biased, fraction) = (((bits >> 52) & 0x7ff) as i32, bits & 0x000f_ffff_ffff_ffff);
    let negative = bits >> 63 == 1;
    match biased {
        0x7ff => None,
        0 => Some(Decoded::new(negative, fraction, -1074)),
        _ => Some(Decoded::new(negative, fraction | 0x0010_0000_0000_0000, biased - 1075)),
    }
}

impl From<Decoded> for Dyadic {
    fn from(decoded: Decoded) -> Self {
        let magnitude = IBig::from(decoded.mantissa);
        Dyadic::new(if decoded.negative { -magnitude } else { magnitude }, i64::from(decoded.exponent))
    }
}

/// The rational number that a float is; `None` for NaN and infinities.
pub fn dyadic(value: f64) -> Option<RBig> {
    let Decoded { negative, mantissa, exponent } = decode_f64(value)?;
    let shift = exponent.unsigned_abs() as usize;
    let magnitude = if exponent >= 0 {
        RBig::from(UBig::from(mantissa) << shift)
    } else {
        RBig::from_parts(IBig::from(mantissa), UBig::ONE << shift)
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// $x - y$ where it is a float.
pub fn difference(x: f32, y: f32) -> Option<f32> {
    const SIGN: u32 = 1 << 31;
    let (p, q) = (decode_f32(x)?, decode_f32(y)?);
    if q.mantissa == 0 {
        return Some(x);
    }
    if p.mantissa == 0 {
        return Some(f32::from_bits(y.to_bits() ^ SIGN));
    }
    let least = p.exponent.min(q.exponent);
    let aligned = |d: Decoded| {
        let shift = (d.exponent - least).unsigned_abs();
        let magnitude = if shift < 64 { i128::from(d.mantissa) << shift } else { return None };
        Some(if d.negative { -magnitude } else { magnitude })
    };
    let sum = aligned(p)? - aligned(q)?;
    encode(sum, least)
}

/// $m\,2^e$ as a float, where it is one.
fn encode(mantissa: i128, exponent: i32) -> Option<f32> {
    let sign = if mantissa < 0 { 1u32 << 31 } else { 0 };
    let magnitude = mantissa.unsigned_abs();
    if magnitude == 0 {
        return Some(f32::from_bits(0));
    }
    let zeros = magnitude.trailing_zeros();
    let (magnitude, exponent) = (magnitude >> zeros, exponent + zeros.cast_signed());
    let bits = 128 - magnitude.leading_zeros();
    let top = exponent + bits.cast_signed() - 1;
    if bits > 24 || exponent < -149 || top > 127 {
        return None;
    }
    if top < -126 {
        return Some(f32::from_bits(sign | (magnitude << (exponent + 149)) as u32));
    }
    let fraction = (magnitude << (24 - bits)) as u32 & 0x007f_ffff;
    Some(f32::from_bits(sign | (((top + 127) as u32) << 23) | fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bits() {
        let one = Decoded { negative: false, mantissa: 1, exponent: 0 };
        assert_eq!(decode_f32(1.0), Some(one));
        assert_eq!(decode_f64(1.0), Some(one));
        let three_halves = Decoded { negative: true, mantissa: 3, exponent: -1 };
        assert_eq!(decode_f32(-1.5), Some(three_halves));
        assert_eq!(decode_f64(-1.5), Some(three_halves));
        assert_eq!(decode_f32(f32::from_bits(1)), Some(Decoded { negative: false, mantissa: 1, exponent: -149 }));
        assert_eq!(decode_f64(f64::from_bits(1)), Some(Decoded { negative: false, mantissa: 1, exponent: -1074 }));
        assert_eq!(decode_f32(f32::MAX), Some(Decoded { negative: false, mantissa: (1 << 24) - 1, exponent: 104 }));
        assert_eq!(decode_f64(f64::MAX), Some(Decoded { negative: false, mantissa: (1 << 53) - 1, exponent: 971 }));
        assert_eq!(decode_f32(0.0).map(|d| d.mantissa), Some(0));
        for special in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(decode_f64(special), None);
            assert_eq!(decode_f32(special as f32), None);
            assert_eq!(dyadic(special), None);
        }
    }

    #[test]
    fn rationals_agree_with_the_bits() {
        for value in [0.0, 1.0, -0.1, 1e300, -3e-310, f64::MIN_POSITIVE, f64::MAX, 123456.789] {
            let exact = RBig::try_from(value).unwrap();
            assert_eq!(dyadic(value), Some(exact.clone()));
            assert_eq!(Dyadic::from(decode_f64(value).unwrap()).to_rational(), exact);
        }
    }
}
