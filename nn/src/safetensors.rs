//! The safetensors format: named tensors behind a JSON header.
//!
//! ```text
//! 8 bytes   length n of the header, little-endian
//! n bytes   JSON: {"name": {"dtype": …, "shape": […], "data_offsets": [begin, end]}, …, "__metadata__": {…}}
//! the rest  the entries, little-endian, row-major, without gaps
//! ```
//!
//! Element types are kept as they are stored, so that what is read and not changed is written bit for bit.

mod half;
mod header;

pub(crate) use header::to_bytes as header_bytes;
pub use header::{Entry, Header};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use thiserror::Error;

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
    pub(crate) const ALL: [(Dtype, &'static str, usize); 6] = [
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

    /// Appends stored entries as 32-bit floats; those of 64 bits are rounded, those of 16 bits are exact.
    ///
    /// # Panics
    /// The type is not one of floats.
    #[track_caller]
    pub(crate) fn extend(self, entries: &mut Vec<f32>, bytes: &[u8]) {
        let words = bytes.chunks_exact(self.size());
        let half = |w: &[u8]| u16::from_le_bytes([w[0], w[1]]);
        match self {
            Dtype::F32 => entries.extend(words.map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]]))),
            Dtype::F16 => entries.extend(words.map(|w| half::widened(half(w)))),
            Dtype::Bf16 => entries.extend(words.map(|w| f32::from_bits(u32::from(half(w)) << 16))),
            Dtype::F64 => {
                let double = |w: &[u8]| f64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]);
                entries.extend(words.map(|w| double(w) as f32));
            }
            Dtype::I64 | Dtype::Bool => panic!("{} is no type of floats", self.name()),
        }
    }

    /// Appends 32-bit floats as they are stored, rounded to nearest, ties to even; what is too large becomes infinite.
    ///
    /// # Panics
    /// The type is not one of floats.
    #[track_caller]
    pub(crate) fn store(self, bytes: &mut Vec<u8>, entries: &[f32]) {
        match self {
            Dtype::F32 => bytes.extend(entries.iter().flat_map(|v| v.to_le_bytes())),
            Dtype::F64 => bytes.extend(entries.iter().flat_map(|v| f64::from(*v).to_le_bytes())),
            Dtype::F16 => bytes.extend(entries.iter().flat_map(|v| half::narrowed(*v).to_le_bytes())),
            Dtype::Bf16 => bytes.extend(entries.iter().flat_map(|v| half::cut(*v).to_le_bytes())),
            Dtype::I64 | Dtype::Bool => panic!("{} is no type of floats", self.name()),
        }
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
            Dtype::F16 => Some(words.map(|w| f64::from(half::widened(half(w)))).collect()),
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
    let header = Header::read(&mut &bytes[..], bytes.len() as u64, origin)?;
    let content = |entry: &Entry| bytes[entry.begin as usize..entry.end as usize].to_vec();
    let stored = |entry: &Entry| Stored { dtype: entry.dtype, shape: entry.shape.clone(), bytes: content(entry) };
    let tensors = header.tensors.iter().map(|(name, entry)| (name.clone(), stored(entry))).collect();
    Ok(Safetensors { tensors, metadata: header.metadata })
}

/// The bytes of a file with these tensors, in the order of their names.
pub fn to_bytes(file: &Safetensors) -> Vec<u8> {
    let shapes = file.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.dtype, tensor.shape.as_slice()));
    let mut bytes = header_bytes(shapes, &file.metadata);
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
