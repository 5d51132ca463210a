//! Tensors of dyadic enclosures with one exponent.
//!
//! Entry $i$ is the interval $[\ell_i, u_i] \cdot 2^e$ with integers $\ell_i \le u_i$ and one $e$ for all.

use crate::error::Fault;
use crate::float::{decode_f32, decode_f64};
use crate::interval::{Dyadic, Interval, ceil_shift, floor_shift};
use dashu_base::BitTest;
use dashu_int::IBig;
use secateur_nn::op::Value;

/// The most bits that the integers of a tensor may have.
pub const MAX_BITS: usize = 1 << 24;

/// A tensor of enclosures.
#[derive(Clone, Debug, PartialEq)]
pub struct DyadicTensor {
    shape: Vec<usize>,
    exponent: i64,
    lower: Vec<IBig>,
    /// `None` when every entry is one point.
    upper: Option<Vec<IBig>>,
}

impl DyadicTensor {
    /// A tensor from its integers; `upper` is `None` when every entry is one point.
    #[track_caller]
    pub fn new(shape: Vec<usize>, exponent: i64, lower: Vec<IBig>, upper: Option<Vec<IBig>>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), lower.len(), "entries do not fill shape {shape:?}");
        assert!(upper.as_ref().is_none_or(|u| u.len() == lower.len()), "lower and upper ends differ in number");
        Self { shape, exponent, lower, upper }
    }

    /// All zeros.
    pub fn zeros(shape: Vec<usize>) -> Self {
        let len = shape.iter().product();
        Self { shape, exponent: 0, lower: vec![IBig::ZERO; len], upper: None }
    }

    /// The stored numbers, exactly.
    ///
    /// # Errors
    /// A number that is not finite, or entries that are not floats.
    pub fn stored(value: &Value) -> Result<Self, Fault> {
        let decoded: Option<Result<Vec<Dyadic>, usize>> = match value {
            Value::F32(t) => {
                Some(t.data().iter().enumerate().map(|(i, v)| Ok(decode_f32(*v).ok_or(i)?.into())).collect())
            }
            Value::F64(t) => {
                Some(t.data().iter().enumerate().map(|(i, v)| Ok(decode_f64(*v).ok_or(i)?.into())).collect())
            }
            Value::I64(_) | Value::Bool(_) => None,
        };
        let numbers = decoded.ok_or(Fault::Element(value.element_type()))?.map_err(Fault::NotFinite)?;
        Self::collect(value.shape().to_vec(), numbers.into_iter().map(Interval::point).collect(), None)
    }

    /// A tensor of intervals, rounded outward to `bits` bits of the largest when given, else exact.
    ///
    /// # Errors
    /// [`Fault::Range`] when the integers would need more than [`MAX_BITS`] bits.
    #[track_caller]
    pub fn collect(shape: Vec<usize>, intervals: Vec<Interval>, bits: Option<usize>) -> Result<Self, Fault> {
        let ends = || intervals.iter().flat_map(|x| [&x.lower, &x.upper]).filter(|x| !x.is_zero());
        let Some(top) = ends().filter_map(Dyadic::top).max() else {
            return Ok(Self::zeros(shape));
        };
        let mut exponent = ends().map(|x| x.exponent).min().unwrap_or(0);
        if let Some(bits) = bits {
            exponent = exponent.max(top - bits as i64);
        }
        if top - exponent > MAX_BITS as i64 {
            return Err(Fault::Range);
        }
        let lower: Vec<IBig> = intervals.iter().map(|x| x.lower.floor_at(exponent)).collect();
        let upper: Vec<IBig> = intervals.iter().map(|x| x.upper.ceil_at(exponent)).collect();
        let upper = (lower != upper).then_some(upper);
        Ok(Self::new(shape, exponent, lower, upper))
    }

    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.lower.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.lower.is_empty()
    }

    /// $e$.
    pub fn exponent(&self) -> i64 {
        self.exponent
    }

    /// $\ell$.
    pub fn lower(&self) -> &[IBig] {
        &self.lower
    }

    /// $u$.
    pub fn upper(&self) -> &[IBig] {
        self.upper.as_deref().unwrap_or(&self.lower)
    }

    /// Whether every entry is one point.
    pub fn is_exact(&self) -> bool {
        self.upper.is_none()
    }

    /// Entry `index`.
    pub fn interval(&self, index: usize) -> Interval {
        let end = |mantissas: &[IBig]| Dyadic::new(mantissas[index].clone(), self.exponent);
        Interval { lower: end(&self.lower), upper: end(self.upper()) }
    }

    /// All entries.
    pub fn intervals(&self) -> impl Iterator<Item = Interval> {
        (0..self.len()).map(|index| self.interval(index))
    }

    /// The largest number of bits of an integer.
    pub fn bits(&self) -> usize {
        self.lower.iter().chain(self.upper.iter().flatten()).map(BitTest::bit_len).max().unwrap_or(0)
    }

    /// The same entries under another shape of the same size.
    #[track_caller]
    pub fn reshaped(self, shape: Vec<usize>) -> Self {
        Self::new(shape, self.exponent, self.lower, self.upper)
    }

    /// The same numbers with a lower or equal exponent.
    ///
    /// # Errors
    /// [`Fault::Range`] when the integers would need more than [`MAX_BITS`] bits.
    #[track_caller]
    pub fn at_exponent(mut self, exponent: i64) -> Result<Self, Fault> {
        assert!(exponent <= self.exponent, "raising the exponent would lose bits");
        let shift = self.exponent.abs_diff(exponent);
        if shift == 0 {
            return Ok(self);
        }
        let shift = usize::try_from(shift).map_err(|_| Fault::Range)?;
        let bits = self.bits();
        if bits > 0 && shift.checked_add(bits).is_none_or(|bits| bits > MAX_BITS) {
            return Err(Fault::Range);
        }
        if bits > 0 {
            self.lower.iter_mut().chain(self.upper.iter_mut().flatten()).for_each(|m| *m <<= shift);
        }
        self.exponent = exponent;
        Ok(self)
    }

    /// Applies an increasing function of integers to all ends and sets the exponent of the results.
    pub fn increasing(self, exponent: i64, f: impl Fn(IBig) -> IBig) -> Self {
        let lower = self.lower.into_iter().map(&f).collect();
        let upper = self.upper.map(|upper| upper.into_iter().map(&f).collect());
        Self { shape: self.shape, exponent, lower, upper }
    }

    /// The entries at these indices, in a new shape; `fill` where there is none.
    ///
    /// # Errors
    /// [`Fault::Range`] when the integers would need more than [`MAX_BITS`] bits.
    pub fn gather(self, shape: Vec<usize>, indices: &[Option<usize>], fill: &Dyadic) -> Result<Self, Fault> {
        let filled = !fill.is_zero() && indices.contains(&None);
        let source = if filled { self.exponent_at_most(fill.exponent)? } else { self };
        let fill = if filled { fill.mantissa_at(source.exponent) } else { IBig::ZERO };
        let pick = |m: &[IBig]| indices.iter().map(|i| i.map_or_else(|| fill.clone(), |i| m[i].clone())).collect();
        let upper = source.upper.as_deref().map(pick);
        Ok(Self::new(shape, source.exponent, pick(&source.lower), upper))
    }

    fn exponent_at_most(self, exponent: i64) -> Result<Self, Fault> {
        let exponent = exponent.min(self.exponent);
        self.at_exponent(exponent)
    }

    /// The same numbers with common trailing zeros dropped and, when `bits` is given, rounded outward to that many bits
    /// of the largest.
    ///
    /// # Errors
    /// [`Fault::Range`] when the integers need more than [`MAX_BITS`] bits.
    pub fn settled(mut self, bits: Option<usize>) -> Result<Self, Fault> {
        if self.upper.as_ref() == Some(&self.lower) {
            self.upper = None;
        }
        let largest = self.bits();
        let all = || self.lower.iter().chain(self.upper.iter().flatten());
        let zeros = all().filter_map(IBig::trailing_zeros).min();
        let Some(zeros) = zeros else {
            self.exponent = 0;
            return Ok(self);
        };
        let shift = zeros.max(bits.map_or(0, |bits| largest.saturating_sub(bits)));
        if largest - shift.min(largest) > MAX_BITS || self.exponent.unsigned_abs() > 1 << 40 {
            return Err(Fault::Range);
        }
        if shift == 0 {
            return Ok(self);
        }
        self.exponent += shift as i64;
        if shift > zeros {
            self.upper = Some(self.upper().iter().map(|m| ceil_shift(m, shift)).collect());
        } else if let Some(upper) = &mut self.upper {
            upper.iter_mut().for_each(|m| *m = ceil_shift(m, shift));
        }
        self.lower.iter_mut().for_each(|m| *m = floor_shift(m, shift));
        Ok(self)
    }

    /// Both tensors with one exponent.
    ///
    /// # Errors
    /// [`Fault::Range`] when the integers would need more than [`MAX_BITS`] bits.
    pub fn common(a: Self, b: Self) -> Result<(Self, Self), Fault> {
        // A tensor of zeros takes any exponent.
        let exponent = match (a.bits(), b.bits()) {
            (0, _) => b.exponent,
            (_, 0) => a.exponent,
            _ => a.exponent.min(b.exponent),
        };
        let at = |t: Self| {
            if t.bits() == 0 { Ok(Self { exponent, ..t }) } else { t.at_exponent(exponent) }
        };
        Ok((at(a)?, at(b)?))
    }

    /// All entries divided by positive integers, one per entry; `bits` more bits are kept where a quotient is not exact.
    pub fn divided(self, divisors: &[u64], bits: usize) -> Self {
        if divisors.iter().all(|d| d.is_power_of_two()) {
            let most = divisors.iter().map(|d| d.trailing_zeros()).max().unwrap_or(0);
            let shift = |m: Vec<IBig>| -> Vec<IBig> {
                m.into_iter().zip(divisors).map(|(m, d)| m << (most - d.trailing_zeros()) as usize).collect()
            };
            let upper = self.upper.map(shift);
            return Self {
                lower: shift(self.lower),
                upper,
                exponent: self.exponent - i64::from(most),
                shape: self.shape,
            };
        }
        let quotients = |m: &IBig, d: &u64| crate::interval::quotients(&(m << bits), &(*d).into());
        let upper = self.upper().iter().zip(divisors).map(|(m, d)| quotients(m, d).1).collect();
        let lower = self.lower.iter().zip(divisors).map(|(m, d)| quotients(m, d).0).collect();
        Self { shape: self.shape, exponent: self.exponent - bits as i64, lower, upper: Some(upper) }
    }
}
