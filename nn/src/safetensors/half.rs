//! 16-bit floats: of IEEE 754 (five bits of exponent), and with the exponent of 32-bit ones.

/// The value of a 16-bit float of IEEE 754.
#[inline]
pub(super) fn widened(bits: u16) -> f32 {
    let (sign, magnitude) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff));
    let value = match magnitude {
        // Subnormal numbers are whole multiples of 2^-24.
        0..0x400 => (magnitude as f32 * 2f32.powi(-24)).to_bits(),
        0x400..0x7c00 => (magnitude << 13) + (112 << 23),
        _ => (magnitude << 13) | 0x7f80_0000,
    };
    f32::from_bits(value | sign)
}

/// The nearest 16-bit float of IEEE 754, ties to even.
pub(super) fn narrowed(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, magnitude) = ((bits >> 16) as u16 & 0x8000, bits & 0x7fff_ffff);
    let rounded = match magnitude {
        0x7f80_0001.. => 0x7e00,
        // From halfway between the largest number and the next power of two on.
        0x477f_f000.. => 0x7c00,
        0x3880_0000.. => (ties_to_even(magnitude, 13) - (112 << 10)) as u16,
        // Below the smallest normal number, in units of 2^-24.
        _ => (f32::from_bits(magnitude) * 2f32.powi(24)).round_ties_even() as u16,
    };
    sign | rounded
}

/// The nearest 16-bit float with the exponent of 32-bit ones, ties to even.
pub(super) fn cut(value: f32) -> u16 {
    if value.is_nan() { 0x7fc0 } else { ties_to_even(value.to_bits(), 16) as u16 }
}

/// `bits` without the last `count`, rounded.
fn ties_to_even(bits: u32, count: u32) -> u32 {
    let odd = bits >> count & 1;
    (bits + (1 << (count - 1)) - 1 + odd) >> count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives() {
        for bits in 0..=u16::MAX {
            let value = widened(bits);
            assert_eq!(value.is_nan(), bits & 0x7fff > 0x7c00, "{bits:x}");
            if !value.is_nan() {
                assert_eq!(narrowed(value), bits);
            }
            let wide = f32::from_bits(u32::from(bits) << 16);
            assert!(wide.is_nan() || cut(wide) == bits, "{bits:x}");
        }
        assert_eq!((widened(0x3c01), widened(0xc500), widened(1)), (1.0 + 1.0 / 1024.0, -5.0, 2f32.powi(-24)));
    }

    #[test]
    fn halves_are_the_nearest_ones() {
        for bits in 0..0x7bff {
            let (low, high) = (widened(bits), widened(bits + 1));
            let middle = (low + high) / 2.0;
            let even = bits + (bits & 1);
            assert_eq!(
                (narrowed(middle.next_down()), narrowed(middle), narrowed(middle.next_up())),
                (bits, even, bits + 1)
            );
        }
        assert_eq!((narrowed(65519.0), narrowed(65520.0), narrowed(-1e30)), (0x7bff, 0x7c00, 0xfc00));
        assert_eq!((cut(f32::from_bits(0x3f80_8000)), cut(f32::from_bits(0x3f81_8000))), (0x3f80, 0x3f82));
        assert_eq!((cut(f32::MAX), cut(f32::NAN), narrowed(f32::NAN)), (0x7f80, 0x7fc0, 0x7e00));
    }
}
