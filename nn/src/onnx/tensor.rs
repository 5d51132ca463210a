//! Stored tensors as values.
//!
//! Of the integers, those of 32 and 64 bits with a sign are read: arithmetic on others would wrap where that of 64 bits
//! does not.

use super::fault::OnnxFault;
use super::proto::{TensorProto, element};
use crate::op::Value;
use crate::shape;
use secateur_linalg::Tensor;
use std::sync::Arc;

/// The value that `stored` denotes: half-precision floats are widened exactly, integers to 64 bits.
pub fn value(name: &str, stored: TensorProto) -> Result<Value, OnnxFault> {
    let tensor = || name.to_owned();
    if stored.data_location != 0 || !stored.external_data.is_empty() {
        return Err(OnnxFault::ExternalData { tensor: tensor() });
    }
    let fields = [
        stored.float_data.len(),
        stored.int32_data.len(),
        stored.int64_data.len(),
        stored.double_data.len(),
        stored.uint64_data.len(),
        stored.raw_data.as_ref().map_or(0, |raw| raw.len()),
    ];
    if stored.segment.is_some() || fields.iter().filter(|length| **length > 0).count() > 1 {
        return Err(OnnxFault::TensorParts { tensor: tensor() });
    }
    let extents: Option<Vec<usize>> = stored.dims.iter().map(|d| usize::try_from(*d).ok()).collect();
    let Some((shape, count)) = extents.and_then(|s| shape::entries(&s).map(|n| (s, n))) else {
        return Err(OnnxFault::TensorDims { tensor: tensor(), dims: stored.dims });
    };
    let source = Source { name, count, stored };
    Ok(match source.stored.data_type {
        element::FLOAT => {
            let entries = source.entries(f32::from_le_bytes, |s| &s.float_data, |v| Some(*v))?;
            Value::F32(Arc::new(Tensor::new(shape, entries)))
        }
        element::DOUBLE => {
            let entries = source.entries(f64::from_le_bytes, |s| &s.double_data, |v| Some(*v))?;
            Value::F64(Arc::new(Tensor::new(shape, entries)))
        }
        element::FLOAT16 => {
            let widen = |bytes| widen_half(u16::from_le_bytes(bytes));
            let entries = source.entries(widen, |s| &s.int32_data, |v| u16::try_from(*v).ok().map(widen_half))?;
            Value::F32(Arc::new(Tensor::new(shape, entries)))
        }
        element::BFLOAT16 => {
            let widen_bits = |bits: u16| f32::from_bits(u32::from(bits) << 16);
            let widen = |bytes| widen_bits(u16::from_le_bytes(bytes));
            let entries = source.entries(widen, |s| &s.int32_data, |v| u16::try_from(*v).ok().map(widen_bits))?;
            Value::F32(Arc::new(Tensor::new(shape, entries)))
        }
        element::BOOL => {
            let entries = source.entries(|[b]: [u8; 1]| b != 0, |s| &s.int32_data, |v| Some(*v != 0))?;
            Value::Bool(Arc::new(Tensor::new(shape, entries)))
        }
        _ => Value::I64(Arc::new(Tensor::new(shape, source.integers()?))),
    })
}

struct Source<'a> {
    name: &'a str,
    count: usize,
    stored: TensorProto,
}

impl Source<'_> {
    fn integers(&self) -> Result<Vec<i64>, OnnxFault> {
        match self.stored.data_type {
            element::INT64 => self.entries(i64::from_le_bytes, |s| &s.int64_data, |v| Some(*v)),
            element::INT32 => {
                self.entries(|b| i64::from(i32::from_le_bytes(b)), |s| &s.int32_data, |v| Some(i64::from(*v)))
            }
            code => Err(OnnxFault::TensorElement { tensor: self.name.to_owned(), code }),
        }
    }

    /// The entries from the raw bytes where there are some, else from the typed field.
    fn entries<T, S, const N: usize>(
        &self,
        decode: impl Fn([u8; N]) -> T,
        field: impl Fn(&TensorProto) -> &Vec<S>,
        convert: impl Fn(&S) -> Option<T>,
    ) -> Result<Vec<T>, OnnxFault>
    where
        S: ToString,
    {
        let wrong = |expected, unit, found| OnnxFault::TensorData {
            tensor: self.name.to_owned(),
            dims: self.stored.dims.clone(),
            expected,
            unit,
            found,
        };
        let typed = field(&self.stored);
        if let (Some(raw), true) = (&self.stored.raw_data, typed.is_empty()) {
            let (chunks, rest) = raw.as_chunks::<N>();
            if chunks.len() != self.count || !rest.is_empty() {
                return Err(wrong(self.count.saturating_mul(N), "bytes", raw.len()));
            }
            return Ok(chunks.iter().map(|c| decode(*c)).collect());
        }
        if typed.len() != self.count {
            return Err(wrong(self.count, "entries", typed.len()));
        }
        let range = |index: usize, value: &S| OnnxFault::TensorRange {
            tensor: self.name.to_owned(),
            index,
            value: value.to_string(),
        };
        typed.iter().enumerate().map(|(i, v)| convert(v).ok_or_else(|| range(i, v))).collect()
    }
}

/// A half-precision float, exactly.
fn widen_half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        let table = [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (1, 2_f32.powi(-24)), (0x3555, 0.333_251_95)];
        for (bits, expected) in table {
            assert_eq!(widen_half(bits), expected);
        }
        assert!(widen_half(0x7c01).is_nan() && widen_half(0xfc00) == f32::NEG_INFINITY);
    }

    #[test]
    fn every_storage_form_is_read() {
        let base = TensorProto { dims: vec![2], ..Default::default() };
        let raw =
            |data_type, bytes: &'static [u8]| TensorProto { data_type, raw_data: Some(bytes.into()), ..base.clone() };
        let words = |data_type, int32_data| TensorProto { data_type, int32_data, ..base.clone() };
        let floats = Value::F32(Arc::new(Tensor::vector(vec![1.0, -2.0])));
        let integers = |a, b| Value::I64(Arc::new(Tensor::vector(vec![a, b])));
        let table = [
            (raw(element::FLOAT, &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]), floats.clone()),
            (TensorProto { data_type: element::FLOAT, float_data: vec![1.0, -2.0], ..base.clone() }, floats.clone()),
            (raw(element::FLOAT16, &[0, 0x3c, 0, 0xc0]), floats.clone()),
            (words(element::FLOAT16, vec![0x3c00, 0xc000]), floats.clone()),
            (raw(element::BFLOAT16, &[0x80, 0x3f, 0, 0xc0]), floats),
            (raw(element::INT32, &[255, 255, 255, 255, 1, 0, 0, 0]), integers(-1, 1)),
            (words(element::INT32, vec![-3, 4]), integers(-3, 4)),
            (TensorProto { data_type: element::INT64, int64_data: vec![7, 8], ..base.clone() }, integers(7, 8)),
            (words(element::BOOL, vec![1, 0]), Value::Bool(Arc::new(Tensor::vector(vec![true, false])))),
        ];
        for (stored, expected) in table {
            assert_eq!(value("t", stored).unwrap(), expected);
        }
    }

    #[test]
    fn bad_tensors_are_refused() {
        let float = |dims: &[i64]| TensorProto {
            dims: dims.to_vec(),
            data_type: element::FLOAT,
            raw_data: Some(vec![0; 8].into()),
            ..Default::default()
        };
        assert!(matches!(value("t", float(&[3])), Err(OnnxFault::TensorData { expected: 12, found: 8, .. })));
        assert!(matches!(value("t", float(&[-1])), Err(OnnxFault::TensorDims { .. })));
        assert!(matches!(value("t", float(&[1 << 40, 1 << 40])), Err(OnnxFault::TensorDims { .. })));
        let elsewhere = TensorProto { data_location: 1, ..float(&[2]) };
        assert!(matches!(value("t", elsewhere), Err(OnnxFault::ExternalData { .. })));
        let strings = TensorProto { data_type: 8, ..float(&[2]) };
        assert!(matches!(value("t", strings), Err(OnnxFault::TensorElement { code: 8, .. })));
        let half =
            TensorProto { data_type: element::FLOAT16, int32_data: vec![1 << 17], raw_data: None, ..float(&[1]) };
        assert!(matches!(value("t", half), Err(OnnxFault::TensorRange { .. })));
        // Arithmetic on integers without a sign, or of fewer bits, would wrap.
        for code in [2, 3, 4, 5, 12, 13] {
            let narrow = TensorProto { data_type: code, ..float(&[1]) };
            assert!(matches!(value("t", narrow), Err(OnnxFault::TensorElement { .. })));
        }
        let both = TensorProto { float_data: vec![1.0, 2.0], ..float(&[2]) };
        assert!(matches!(value("t", both), Err(OnnxFault::TensorParts { .. })));
        let part = TensorProto { segment: Some(vec![8, 0].into()), ..float(&[2]) };
        assert!(matches!(value("t", part), Err(OnnxFault::TensorParts { .. })));
    }
}
