//! The safetensors format: named tensors behind a JSON header.
//!
//! ```text
//! 8 bytes   length n of the header, little-endian
//! n bytes   JSON: {"name": {"dtype": …, "shape": […], "data_offsets": [begin, end]}, …, "__metadata__": {…}}
//! the rest  the entries, little-endian, row-major, without gaps
//! ```
//!
//! Element types are kept as they are stored, so that what is read and not changed is written bit for bit.

use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The longest header that is read.
const MAX_HEADER: usize = 100 << 20;

/// How entries are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
    /// 16-bit floats of IEEE 754.
    F16,
    /// 16-bit floats with the exponent of 32-bit ones.
    Bf16,
    /// 64-bit integers.
    I64,
    /// Truth values, a byte each.
    Bool,
}

impl Dtype {
    const ALL: [(Dtype, &'static str, usize); 6] = [
        (Dtype::F32, "F32", 4),
        (Dtype::F64, "F64", 8),
        (Dtype::F16, "F16", 2),
        (Dtype::Bf16, "BF16", 2),
        (Dtype::I64, "I64", 8),
        (Dtype::Bool, "BOOL", 1),
    ];

    fn row(self) -> (Dtype, &'static str, usize) {
        Self::ALL[Self::ALL.iter().position(|(dtype, ..)| *dtype == self).expect("every type has a row")]
    }

    /// Its name in the header.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Bytes of an entry.
    pub fn size(self) -> usize {
        self.row().2
    }

    /// Whether entries are floats.
    pub fn is_float(self) -> bool {
        !matches!(self, Dtype::I64 | Dtype::Bool)
    }
}

/// A stored tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// How entries are stored.
    pub dtype: Dtype,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// The entries, little-endian, row-major.
    pub bytes: Vec<u8>,
}

/// The tensors of a file, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Safetensors {
    /// The tensors.
    pub tensors: BTreeMap<String, Stored>,
    /// Free text beside them.
    pub metadata: BTreeMap<String, String>,
}

/// Why a file was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SafetensorsFault {
    /// The file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that ends before what it announces.
    #[error("{origin}: truncated: {what} needs {expected} bytes, the file has {found}")]
    Truncated {
        /// The file.
        origin: String,
        /// What ends too early.
        what: String,
        /// Bytes that it needs.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// A header that is not what the format says.
    #[error("{origin}: header: {place}: expected {expected}")]
    Header {
        /// The file.
        origin: String,
        /// The tensor, or the header as a whole.
        place: String,
        /// What belongs there.
        expected: String,
    },
    /// A tensor that is not one of floats.
    #[error("tensor `{tensor}`: expected floats, found {found}")]
    NotFloat {
        /// The tensor.
        tensor: String,
        /// Its element type.
        found: &'static str,
    },
}

impl Stored {
    /// A tensor of truth values.
    pub fn truth(shape: Vec<usize>, entries: &[bool]) -> Self {
        Self { dtype: Dtype::Bool, shape, bytes: entries.iter().map(|b| u8::from(*b)).collect() }
    }

    /// A tensor of 32-bit floats.
    pub fn f32(shape: Vec<usize>, entries: &[f32]) -> Self {
        Self { dtype: Dtype::F32, shape, bytes: entries.iter().flat_map(|v| v.to_le_bytes()).collect() }
    }

    /// A tensor of 64-bit floats.
    pub fn f64(shape: Vec<usize>, entries: &[f64]) -> Self {
        Self { dtype: Dtype::F64, shape, bytes: entries.iter().flat_map(|v| v.to_le_bytes()).collect() }
    }

    /// A tensor of integers.
    pub fn i64(shape: Vec<usize>, entries: &[i64]) -> Self {
        Self { dtype: Dtype::I64, shape, bytes: entries.iter().flat_map(|v| v.to_le_bytes()).collect() }
    }

    /// The entries of a tensor of 32-bit floats, bit for bit; `None` for other types.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        let word = |w: &[u8]| f32::from_le_bytes([w[0], w[1], w[2], w[3]]);
        (self.dtype == Dtype::F32).then(|| self.bytes.chunks_exact(4).map(word).collect())
    }

    /// The entries of a tensor of integers; `None` for other types.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        let word = |w: &[u8]| i64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]);
        (self.dtype == Dtype::I64).then(|| self.bytes.chunks_exact(8).map(word).collect())
    }

    /// The entries as `f64`, without loss; `None` for integers and truth values.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        let words = self.bytes.chunks_exact(self.dtype.size());
        let half = |w: &[u8]| u16::from_le_bytes([w[0], w[1]]);
        let single = |w: &[u8]| f32::from_le_bytes([w[0], w[1], w[2], w[3]]);
        match self.dtype {
            Dtype::F32 => Some(words.map(|w| f64::from(single(w))).collect()),
            Dtype::F64 => {
                Some(words.map(|w| f64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]])).collect())
            }
            Dtype::F16 => Some(words.map(|w| from_half(half(w))).collect()),
            Dtype::Bf16 => Some(words.map(|w| f64::from(f32::from_bits(u32::from(half(w)) << 16))).collect()),
            Dtype::I64 | Dtype::Bool => None,
        }
    }

    /// Sets the entries to 0 where `kept` is false; the others stay bit for bit.
    ///
    /// # Panics
    /// There are not as many entries.
    #[track_caller]
    pub fn mask(&mut self, kept: &[bool]) {
        let size = self.dtype.size();
        assert_eq!(self.bytes.len(), kept.len() * size, "one truth value per entry");
        let words = self.bytes.chunks_exact_mut(size).zip(kept);
        words.filter(|(_, keep)| !**keep).for_each(|(word, _)| word.fill(0));
    }
}

/// A 16-bit float of IEEE 754.
fn from_half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

/// Reads a file.
///
/// # Errors
/// [`SafetensorsFault`], naming the file and what is wrong.
pub fn read(path: impl AsRef<Path>) -> Result<Safetensors, SafetensorsFault> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| SafetensorsFault::Io { path: path.to_owned(), source })?;
    parse(&bytes, &path.display().to_string())
}

/// Reads bytes.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], origin: &str) -> Result<Safetensors, SafetensorsFault> {
    let truncated = |what: &str, expected: u64| SafetensorsFault::Truncated {
        origin: origin.to_owned(),
        what: what.to_owned(),
        expected,
        found: bytes.len() as u64,
    };
    let fault = |place: &str, expected: &str| SafetensorsFault::Header {
        origin: origin.to_owned(),
        place: place.to_owned(),
        expected: expected.to_owned(),
    };
    let length = bytes.first_chunk::<8>().ok_or_else(|| truncated("the length of the header", 8))?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER as u64 {
        return Err(fault("its length", "at most 100 MiB"));
    }
    let end = 8 + length as usize;
    let header = bytes.get(8..end).ok_or_else(|| truncated("the header", end as u64))?;
    let header: Map<String, Json> =
        serde_json::from_slice(header).map_err(|e| fault("the whole", &format!("a JSON object ({e})")))?;
    let data = &bytes[end..];
    let mut found = Safetensors::default();
    let mut ranges = Vec::new();
    for (name, entry) in header {
        if name == "__metadata__" {
            let texts = entry.as_object().ok_or_else(|| fault("`__metadata__`", "an object of texts"))?;
            for (key, value) in texts {
                let value = value.as_str().ok_or_else(|| fault("`__metadata__`", "an object of texts"))?;
                found.metadata.insert(key.clone(), value.to_owned());
            }
            continue;
        }
        let place = format!("tensor `{name}`");
        let fault = |expected: &str| fault(&place, expected);
        let dtype = entry["dtype"].as_str().and_then(|d| Dtype::ALL.into_iter().find(|(_, n, _)| *n == d));
        let (dtype, _, size) = dtype.ok_or_else(|| {
            let known: Vec<&str> = Dtype::ALL.iter().map(|(_, name, _)| *name).collect();
            fault(&format!("a dtype out of {}, found {}", known.join(", "), entry["dtype"]))
        })?;
        let whole = |value: &Json| value.as_u64().and_then(|v| usize::try_from(v).ok());
        let list = |key: &str| entry[key].as_array().and_then(|all| all.iter().map(whole).collect::<Option<Vec<_>>>());
        let shape = list("shape").ok_or_else(|| fault("a shape of whole numbers"))?;
        let offsets = list("data_offsets").filter(|o| o.len() == 2 && o[0] <= o[1]);
        let offsets = offsets.ok_or_else(|| fault("two ascending data_offsets"))?;
        let expected = shape.iter().try_fold(size, |all, extent| all.checked_mul(*extent));
        if expected != Some(offsets[1] - offsets[0]) {
            return Err(fault(&format!(
                "as many bytes as shape {shape:?} of {} takes, found {}",
                dtype.name(),
                offsets[1] - offsets[0]
            )));
        }
        let content = data.get(offsets[0]..offsets[1]);
        let content = content.ok_or_else(|| truncated(&place, end as u64 + offsets[1] as u64))?;
        ranges.push((offsets[0], offsets[1], place));
        found.tensors.insert(name, Stored { dtype, shape, bytes: content.to_vec() });
    }
    ranges.sort();
    let mut covered = 0;
    for (begin, until, place) in &ranges {
        if *begin != covered {
            return Err(fault(place, &format!("its data to begin at {covered}, where the tensor before ends")));
        }
        covered = *until;
    }
    if covered != data.len() {
        return Err(fault("the whole", &format!("{covered} bytes of data as announced, found {}", data.len())));
    }
    Ok(found)
}

/// The bytes of a file with these tensors, in the order of their names.
pub fn to_bytes(file: &Safetensors) -> Vec<u8> {
    let mut header = Map::new();
    if !file.metadata.is_empty() {
        header.insert("__metadata__".to_owned(), json!(file.metadata));
    }
    let mut offset = 0;
    for (name, tensor) in &file.tensors {
        let end = offset + tensor.bytes.len();
        let entry = json!({"dtype": tensor.dtype.name(), "shape": tensor.shape, "data_offsets": [offset, end]});
        header.insert(name.clone(), entry);
        offset = end;
    }
    let mut text = Json::Object(header).to_string().into_bytes();
    // The data begin at a multiple of eight.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text);
    file.tensors.values().for_each(|tensor| bytes.extend(&tensor.bytes));
    bytes
}

/// Writes a file in one go: under another name first, so that an interruption leaves an old file whole.
///
/// # Errors
/// The file cannot be written.
pub fn write(file: &Safetensors, path: impl AsRef<Path>) -> Result<(), SafetensorsFault> {
    let path = path.as_ref();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = std::fs::write(&part, to_bytes(file)).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|source| SafetensorsFault::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Safetensors {
        let tensors = BTreeMap::from([
            ("a".to_owned(), Stored::f32(vec![2, 1], &[1.5, -2.0])),
            ("b".to_owned(), Stored::truth(vec![3], &[true, false, true])),
            ("empty".to_owned(), Stored::f32(vec![0, 4], &[])),
            (
                "h".to_owned(),
                Stored { dtype: Dtype::F16, shape: vec![4], bytes: vec![0, 0x3c, 1, 0, 0, 0xfc, 0, 0xc1] },
            ),
            ("t".to_owned(), Stored { dtype: Dtype::Bf16, shape: vec![], bytes: vec![0x40, 0x40] }),
        ]);
        Safetensors { tensors, metadata: BTreeMap::from([("format".to_owned(), "pt".to_owned())]) }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = to_bytes(&file());
        assert_eq!(parse(&bytes, "memory").unwrap(), file());
        assert_eq!((8 + u64::from_le_bytes(bytes[..8].try_into().unwrap())) % 8, 0);
    }

    #[test]
    fn halves_are_decoded() {
        let file = file();
        assert_eq!(file.tensors["h"].to_f64().unwrap(), [1.0, 2f64.powi(-24), f64::NEG_INFINITY, -2.5]);
        assert_eq!(file.tensors["t"].to_f64().unwrap(), [3.0]);
        assert!(file.tensors["b"].to_f64().is_none());
    }

    #[test]
    fn masked_entries_are_zero_and_others_untouched() {
        let mut half = file().tensors.remove("h").unwrap();
        half.mask(&[true, false, true, false]);
        assert_eq!(half.bytes, [0, 0x3c, 0, 0, 0, 0xfc, 0, 0]);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = to_bytes(&file());
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end], "cut").is_err(), "{end}");
        }
        assert!(matches!(parse(&bytes[..20], "cut"), Err(SafetensorsFault::Truncated { .. })));
        assert!(matches!(parse(&bytes[..bytes.len() - 1], "cut"), Err(SafetensorsFault::Truncated { .. })));
    }

    #[test]
    fn damaged_headers_are_refused() {
        let with = |header: &str, data: usize| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.resize(bytes.len() + data, 0);
            parse(&bytes, "made up")
        };
        let entry = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        assert!(with(&entry("F32", "[1]", "[0,4]"), 4).is_ok());
        let bad = [
            (entry("F8", "[4]", "[0,4]"), 4),
            (entry("F32", "[2]", "[0,4]"), 4),
            (entry("F32", "[-1]", "[0,4]"), 4),
            (entry("F32", "[1]", "[4,0]"), 4),
            (entry("F32", "[1]", "[4,8]"), 8),
            (entry("F32", "[1]", "[0,4]"), 5),
            (entry("F32", "[4611686018427387904,4]", "[0,0]"), 0),
            ("[]".to_owned(), 0),
            (r#"{"__metadata__":{"a":1}}"#.to_owned(), 0),
        ];
        for (header, data) in bad {
            assert!(matches!(with(&header, data), Err(SafetensorsFault::Header { .. })), "{header}");
        }
        let huge = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
        assert!(matches!(parse(&huge, "huge"), Err(SafetensorsFault::Header { .. })));
    }
}
