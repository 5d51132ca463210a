//! The safetensors format: named tensors with a table of contents.
//!
//! ```text
//! u64 little-endian: bytes of the header
//! header (JSON):     {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, …}
//! data:              the tensors' bytes, little-endian, end to end
//! ```

use crate::error::NnError;
use secateur_linalg::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use thiserror::Error;

/// The most bytes that a header may have.
const MAX_HEADER: usize = 100_000_000;

/// A tensor in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// 32-bit floats.
    F32(Tensor<f32>),
    /// 64-bit floats.
    F64(Tensor<f64>),
    /// 64-bit integers.
    I64(Tensor<i64>),
}

/// The content of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Archive {
    /// Texts beside the tensors.
    pub metadata: BTreeMap<String, String>,
    /// The tensors, by name.
    pub tensors: BTreeMap<String, Stored>,
}

/// Why a file was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SafetensorsFault {
    /// A file that cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A header that is no table of contents.
    #[error("no safetensors header: {what}")]
    Header {
        /// What is wrong with it.
        what: String,
    },
    /// A tensor whose bytes are not where the header says.
    #[error("tensor `{name}`: {found} bytes at its offsets, its shape needs {expected}")]
    Length {
        /// The tensor.
        name: String,
        /// Bytes that its shape needs.
        expected: usize,
        /// Bytes between its offsets, 0 where these lie outside of the file.
        found: usize,
    },
    /// An element type that is not read.
    #[error("tensor `{name}`: expected F32, F64 or I64, found {found}")]
    Element {
        /// The tensor.
        name: String,
        /// Its element type.
        found: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl Stored {
    fn entry(&self) -> (&'static str, &[usize], Vec<u8>) {
        match self {
            Stored::F32(t) => ("F32", t.shape(), t.data().iter().flat_map(|v| v.to_le_bytes()).collect()),
            Stored::F64(t) => ("F64", t.shape(), t.data().iter().flat_map(|v| v.to_le_bytes()).collect()),
            Stored::I64(t) => ("I64", t.shape(), t.data().iter().flat_map(|v| v.to_le_bytes()).collect()),
        }
    }
}

impl Archive {
    /// A file, read whole.
    ///
    /// # Errors
    /// It cannot be read, or is damaged; the error names it.
    pub fn read(path: &Path) -> Result<Self, NnError> {
        let bytes = std::fs::read(path).map_err(|e| refuse(path, e.into()))?;
        Self::from_bytes(&bytes).map_err(|fault| refuse(path, fault))
    }

    /// Writes a file in one go: under another name first, so that an interruption leaves the old file whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), NnError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let written = std::fs::write(&part, self.to_bytes()).and_then(|()| std::fs::rename(&part, path));
        written.map_err(|e| refuse(path, e.into()))
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        if !self.metadata.is_empty() {
            let texts = self.metadata.iter().map(|(k, v)| (k.clone(), Value::String(v.clone()))).collect();
            header.insert("__metadata__".to_owned(), Value::Object(texts));
        }
        let mut data = Vec::new();
        for (name, tensor) in &self.tensors {
            let (dtype, shape, bytes) = tensor.entry();
            let offsets = [data.len(), data.len() + bytes.len()];
            header.insert(name.clone(), serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }));
            data.extend(bytes);
        }
        let mut text = Value::Object(header).to_string();
        // The data begin at a multiple of eight.
        text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
        let mut out = (text.len() as u64).to_le_bytes().to_vec();
        out.extend(text.into_bytes());
        out.extend(data);
        out
    }

    /// From a file's bytes.
    ///
    /// # Errors
    /// They are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SafetensorsFault> {
        let header_fault = |what: String| SafetensorsFault::Header { what };
        let length = bytes.first_chunk().map(|b| u64::from_le_bytes(*b));
        let length = length.and_then(|l| usize::try_from(l).ok()).filter(|l| *l <= MAX_HEADER);
        let text =
            length.and_then(|l| bytes.get(8..8 + l)).ok_or_else(|| header_fault("its length is wrong".to_owned()))?;
        let header: BTreeMap<String, Value> = serde_json::from_slice(text).map_err(|e| header_fault(e.to_string()))?;
        let data = &bytes[8 + text.len()..];
        let mut archive = Self::default();
        for (name, value) in header {
            if name == "__metadata__" {
                archive.metadata = serde_json::from_value(value).map_err(|e| header_fault(e.to_string()))?;
                continue;
            }
            let entry: Entry = serde_json::from_value(value).map_err(|e| header_fault(format!("`{name}`: {e}")))?;
            let tensor = tensor(&name, entry, data)?;
            archive.tensors.insert(name, tensor);
        }
        Ok(archive)
    }
}

fn refuse(path: &Path, fault: SafetensorsFault) -> NnError {
    NnError::Safetensors { origin: path.display().to_string(), fault: Box::new(fault) }
}

fn tensor(name: &str, entry: Entry, data: &[u8]) -> Result<Stored, SafetensorsFault> {
    fn numbers<const N: usize, T>(bytes: &[u8], of: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks().0.iter().map(|chunk| of(*chunk)).collect()
    }
    let Entry { dtype, shape, data_offsets: [begin, end] } = entry;
    let size = match dtype.as_str() {
        "F32" => 4,
        "F64" | "I64" => 8,
        _ => return Err(SafetensorsFault::Element { name: name.to_owned(), found: dtype }),
    };
    let expected = shape.iter().try_fold(size, |n: usize, d| n.checked_mul(*d)).unwrap_or(usize::MAX);
    let bytes = data.get(begin..end).unwrap_or_default();
    if bytes.len() != expected {
        return Err(SafetensorsFault::Length { name: name.to_owned(), expected, found: bytes.len() });
    }
    Ok(match dtype.as_str() {
        "F32" => Stored::F32(Tensor::new(shape, numbers(bytes, f32::from_le_bytes))),
        "F64" => Stored::F64(Tensor::new(shape, numbers(bytes, f64::from_le_bytes))),
        _ => Stored::I64(Tensor::new(shape, numbers(bytes, i64::from_le_bytes))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> Archive {
        let mut archive = Archive::default();
        archive.metadata.insert("kind".to_owned(), "test".to_owned());
        archive.tensors.insert("a".to_owned(), Stored::F32(Tensor::new(vec![2, 1], vec![1.5, f32::MIN_POSITIVE])));
        archive.tensors.insert("b".to_owned(), Stored::F64(Tensor::scalar(f64::NEG_INFINITY)));
        archive.tensors.insert("c".to_owned(), Stored::I64(Tensor::vector(vec![])));
        archive
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Archive::from_bytes(&example().to_bytes()).unwrap(), example());
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x.safetensors");
        example().write(&path).unwrap();
        assert_eq!(Archive::read(&path).unwrap(), example());
        assert!(Archive::read(&place.path().join("none")).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn damage_is_named() {
        let with = |header: &str, data: &[u8]| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.extend(data);
            Archive::from_bytes(&bytes).unwrap_err().to_string()
        };
        let entry =
            |dtype: &str, shape: &str| format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,4]}}}}"#);
        assert!(with("{", b"").contains("no safetensors header"));
        assert!(with(&entry("F32", "[1]"), b"").contains("0 bytes at its offsets, its shape needs 4"));
        assert!(with(&entry("F32", "[2]"), b"abcd").contains("4 bytes at its offsets, its shape needs 8"));
        assert!(with(&entry("BF16", "[2]"), b"abcd").contains("found BF16"));
        assert!(with(&entry("F32", &format!("[{0},{0}]", usize::MAX)), b"abcd").contains("its shape needs"));
    }

    proptest! {
        #[test]
        fn no_damage_panics(place in 0_usize..200, bits in 1_u8..=255, cut in 0_usize..200) {
            let mut bytes = example().to_bytes();
            let length = bytes.len();
            bytes[place % length] ^= bits;
            let _ = Archive::from_bytes(&bytes);
            let _ = Archive::from_bytes(&bytes[..cut % length]);
        }
    }
}
