//! Sums of products with stored weights, in wide two's complement integers.
//!
//! A weight is $\pm (h\,2^{64} + l)\,2^{64 q}$ in units of the least bit of all weights. A sum is `width` words,
//! wide enough for the largest possible sum, so arithmetic modulo $2^{64\,\text{width}}$ is exact.

use crate::error::Fault;
use crate::float::{Decoded, decode_f32, decode_f64};
use crate::linear::Terms;
use crate::tensor::{DyadicTensor, MAX_BITS};
use dashu_int::IBig;

/// The stored entries of a weight tensor.
#[derive(Clone, Copy, Debug)]
pub enum Stored<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 64-bit floats.
    F64(&'a [f64]),
}

impl Stored<'_> {
    fn len(&self) -> usize {
        match self {
            Stored::F32(data) => data.len(),
            Stored::F64(data) => data.len(),
        }
    }

    fn decode(&self, index: usize) -> Option<Decoded> {
        match self {
            Stored::F32(data) => decode_f32(data[index]),
            Stored::F64(data) => decode_f64(data[index]),
        }
    }
}

/// A weight as factors of words.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    negative: bool,
    low: u64,
    high: u64,
    /// $q$.
    offset: usize,
}

/// Sums in progress.
struct Sums<'a> {
    weights: Stored<'a>,
    /// Exponent of the least bit of all weights.
    unit: i32,
    width: usize,
    lower: Words,
    /// Upper ends, when they differ from the lower.
    upper: Option<Words>,
    weight: Weight,
}

/// Arguments and sums of one end, `width` words each.
struct Words {
    arguments: Vec<u64>,
    sums: Vec<u64>,
}

/// $y_o = \sum w\, x_i$ over the terms $(o, w, i)$, exactly at each end.
///
/// # Errors
/// A weight that is not finite, by index; [`Fault::Range`] when the sums need too many bits.
pub fn products(terms: &impl Terms, x: &DyadicTensor, weights: Stored<'_>) -> Result<DyadicTensor, Fault> {
    let shape = terms.shape();
    let mut span: Option<(i32, i32)> = None;
    for index in 0..weights.len() {
        let decoded = weights.decode(index).ok_or(Fault::NotFinite(index))?;
        if decoded.mantissa != 0 {
            let top = decoded.exponent + 64 - decoded.mantissa.leading_zeros().cast_signed();
            span = Some(match span {
                None => (decoded.exponent, top),
                Some((low, high)) => (low.min(decoded.exponent), high.max(top)),
            });
        }
    }
    let bits = x.bits();
    let Some((unit, top)) = span.filter(|_| bits > 0) else {
        return Ok(DyadicTensor::zeros(shape));
    };
    let count_bits = (usize::BITS - terms.longest().leading_zeros()) as usize;
    // One bit for the sign; a word more leaves room for the high part of the largest weight.
    let width = (bits + top.abs_diff(unit) as usize + count_bits + 1) / 64 + 1;
    let outputs: usize = shape.iter().product();
    if width > MAX_BITS / 64 || (outputs + x.len()).checked_mul(width).is_none() {
        return Err(Fault::Range);
    }
    let words = |ends: &[IBig]| Words { arguments: to_words(ends, width), sums: vec![0; outputs * width] };
    let mut sums = Sums {
        weights,
        unit,
        width,
        lower: words(x.lower()),
        upper: (!x.is_exact()).then(|| words(x.upper())),
        weight: Weight::default(),
    };
    terms.visit(&mut sums);
    let upper = sums.upper.map(|words| from_words(&words.sums, width));
    Ok(DyadicTensor::new(shape, x.exponent() + i64::from(unit), from_words(&sums.lower.sums, width), upper))
}

impl crate::linear::Visitor for Sums<'_> {
    #[inline]
    fn weight(&mut self, index: usize) -> bool {
        match self.weights.decode(index) {
            Some(Decoded { negative, mantissa, exponent }) if mantissa != 0 => {
                let shift = (exponent - self.unit).cast_unsigned();
                let wide = u128::from(mantissa) << (shift % 64);
                let (low, high) = (wide as u64, (wide >> 64) as u64);
                self.weight = Weight { negative, low, high, offset: (shift / 64) as usize };
                true
            }
            // Infinite weights have been refused before.
            _ => false,
        }
    }

    #[inline]
    fn term(&mut self, output: usize, argument: usize) {
        let width = self.width;
        match &mut self.upper {
            None => self.lower.add(width, output, argument, self.weight),
            Some(upper) if self.weight.negative => {
                let to = output * width..(output + 1) * width;
                let from = argument * width..(argument + 1) * width;
                add_weighted(&mut self.lower.sums[to.clone()], &upper.arguments[from.clone()], self.weight);
                add_weighted(&mut upper.sums[to], &self.lower.arguments[from], self.weight);
            }
            Some(upper) => {
                self.lower.add(width, output, argument, self.weight);
                upper.add(width, output, argument, self.weight);
            }
        }
    }
}

impl Words {
    #[inline]
    fn add(&mut self, width: usize, output: usize, argument: usize, weight: Weight) {
        let from = &self.arguments[argument * width..(argument + 1) * width];
        add_weighted(&mut self.sums[output * width..(output + 1) * width], from, weight);
    }
}

#[inline]
fn add_weighted(sum: &mut [u64], argument: &[u64], weight: Weight) {
    let mask = if weight.negative { u64::MAX } else { 0 };
    add_scaled(&mut sum[weight.offset..], argument, weight.low, mask);
    if weight.high != 0 && weight.offset + 1 < sum.len() {
        add_scaled(&mut sum[weight.offset + 1..], argument, weight.high, mask);
    }
}

/// $s \leftarrow s \pm f x$ modulo $2^{64\,\text{words}}$; the sign is minus when the mask is all ones, because the complement of
/// $s$ is $-s - 1$, and $-(-s - 1 + f x) - 1 = s - f x$.
#[inline]
fn add_scaled(sum: &mut [u64], argument: &[u64], factor: u64, mask: u64) {
    let mut carry = 0_u64;
    for (s, x) in sum.iter_mut().zip(argument) {
        // At most (2^64 - 1)^2 + 2 (2^64 - 1) = 2^128 - 1.
        let wide = u128::from(factor) * u128::from(*x) + u128::from(*s ^ mask) + u128::from(carry);
        *s = wide as u64 ^ mask;
        carry = (wide >> 64) as u64;
    }
}

/// Two's complement, `width` words each, least first.
fn to_words(numbers: &[IBig], width: usize) -> Vec<u64> {
    let mut words = Vec::with_capacity(numbers.len() * width);
    for number in numbers {
        let bytes = number.to_le_bytes();
        let sign = if *number < IBig::ZERO { 0xff } else { 0 };
        for word in 0..width {
            words.push(u64::from_le_bytes(std::array::from_fn(|i| bytes.get(8 * word + i).copied().unwrap_or(sign))));
        }
    }
    words
}

fn from_words(words: &[u64], width: usize) -> Vec<IBig> {
    let mut bytes = vec![0; 8 * width];
    words
        .chunks_exact(width)
        .map(|number| {
            bytes.chunks_exact_mut(8).zip(number).for_each(|(to, word)| to.copy_from_slice(&word.to_le_bytes()));
            IBig::from_le_bytes(&bytes)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_signed_integers() {
        for value in [0_i128, 1, -1, 255, -256, i128::from(i64::MIN), i128::MAX, i128::MIN] {
            let number = IBig::from(value);
            for width in 3..5 {
                let words = to_words(std::slice::from_ref(&number), width);
                assert_eq!(from_words(&words, width)[0], number);
            }
        }
    }

    #[test]
    fn weighted_sums_agree_with_wide_integers() {
        let arguments = [5_i128, -7, i128::from(u64::MAX), -(1 << 70), 1];
        let factors = [3_i128, -3, (1 << 65) + 9, -(1 << 65) - 9, 1 << 64];
        let (mut sum, mut expected) = (vec![0; 5], IBig::ZERO);
        for x in arguments {
            for f in factors {
                let magnitude = f.unsigned_abs();
                let weight =
                    Weight { negative: f < 0, low: magnitude as u64, high: (magnitude >> 64) as u64, offset: 1 };
                add_weighted(&mut sum, &to_words(&[IBig::from(x)], 5), weight);
                expected += (IBig::from(x) * IBig::from(f)) << 64;
                assert_eq!(from_words(&sum, 5), [expected.clone()]);
            }
        }
    }
}
