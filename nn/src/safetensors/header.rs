//! The header of a safetensors file: where each tensor lies, without its entries.

use super::{Dtype, SafetensorsFault};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::io::Read;

/// The longest header that is read.
const MAX_HEADER: u64 = 100 << 20;

/// Where a tensor lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How entries are stored.
    pub dtype: Dtype,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Its first byte, counted from the beginning of the file.
    pub begin: u64,
    /// One past its last byte.
    pub end: u64,
}

/// What a file announces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The tensors.
    pub tensors: BTreeMap<String, Entry>,
    /// Free text beside them.
    pub metadata: BTreeMap<String, String>,
}

/// What a fault in the header says.
struct Origin<'a>(&'a str);

impl Origin<'_> {
    fn fault(&self, place: &str, expected: &str) -> SafetensorsFault {
        SafetensorsFault::Header { origin: self.0.to_owned(), place: place.to_owned(), expected: expected.to_owned() }
    }

    fn truncated(&self, what: &str, expected: u64, found: u64) -> SafetensorsFault {
        SafetensorsFault::Truncated { origin: self.0.to_owned(), what: what.to_owned(), expected, found }
    }
}

impl Header {
    /// Reads the header from the beginning of a file of `length` bytes.
    ///
    /// # Errors
    /// [`SafetensorsFault`]: the file is shorter or longer than the header says, or the header is damaged.
    pub fn read(file: &mut impl Read, length: u64, origin: &str) -> Result<Self, SafetensorsFault> {
        let at = Origin(origin);
        let mut word = [0; 8];
        file.read_exact(&mut word).map_err(|_| at.truncated("the length of the header", 8, length))?;
        let size = u64::from_le_bytes(word);
        if size > MAX_HEADER {
            return Err(at.fault("its length", "at most 100 MiB"));
        }
        let start = 8 + size;
        if start > length {
            return Err(at.truncated("the header", start, length));
        }
        let mut text = vec![0; size as usize];
        file.read_exact(&mut text).map_err(|_| at.truncated("the header", start, length))?;
        let entries: Map<String, Json> =
            serde_json::from_slice(&text).map_err(|e| at.fault("the whole", &format!("a JSON object ({e})")))?;
        let mut header = Self::default();
        for (name, entry) in entries {
            if name == "__metadata__" {
                header.metadata = texts(&entry).ok_or_else(|| at.fault("`__metadata__`", "an object of texts"))?;
            } else {
                let found = tensor(&name, &entry, start, &at)?;
                header.tensors.insert(name, found);
            }
        }
        header.check(start, length, &at)?;
        Ok(header)
    }

    /// Tensors follow each other without gaps and fill the file.
    fn check(&self, start: u64, length: u64, at: &Origin<'_>) -> Result<(), SafetensorsFault> {
        let mut ranges: Vec<(u64, u64, &str)> =
            self.tensors.iter().map(|(name, entry)| (entry.begin, entry.end, name.as_str())).collect();
        ranges.sort_unstable();
        let mut covered = start;
        for (begin, end, name) in ranges {
            let place = format!("tensor `{name}`");
            if end > length {
                return Err(at.truncated(&place, end, length));
            }
            if begin != covered {
                let expected = format!("its data to begin at {}, where the tensor before ends", covered - start);
                return Err(at.fault(&place, &expected));
            }
            covered = end;
        }
        if covered != length {
            let expected = format!("{} bytes of data as announced, found {}", covered - start, length - start);
            return Err(at.fault("the whole", &expected));
        }
        Ok(())
    }
}

fn texts(entry: &Json) -> Option<BTreeMap<String, String>> {
    entry.as_object()?.iter().map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// One tensor of the header, its data counted from `start`.
fn tensor(name: &str, entry: &Json, start: u64, at: &Origin<'_>) -> Result<Entry, SafetensorsFault> {
    let fault = |expected: &str| at.fault(&format!("tensor `{name}`"), expected);
    let dtype = entry["dtype"].as_str().and_then(|d| Dtype::ALL.into_iter().find(|(_, n, _)| *n == d));
    let (dtype, _, size) = dtype.ok_or_else(|| {
        let known: Vec<&str> = Dtype::ALL.iter().map(|(_, name, _)| *name).collect();
        fault(&format!("a dtype out of {}, found {}", known.join(", "), entry["dtype"]))
    })?;
    let list =
        |key: &str| entry[key].as_array().and_then(|all| all.iter().map(Json::as_u64).collect::<Option<Vec<_>>>());
    let shape = list("shape").ok_or_else(|| fault("a shape of whole numbers"))?;
    let offsets = list("data_offsets").filter(|o| o.len() == 2 && o[0] <= o[1]);
    let offsets = offsets.ok_or_else(|| fault("two ascending data_offsets"))?;
    let expected = shape.iter().try_fold(size as u64, |all, extent| all.checked_mul(*extent));
    let found = offsets[1] - offsets[0];
    if expected != Some(found) {
        let name = dtype.name();
        return Err(fault(&format!("as many bytes as shape {shape:?} of {name} takes, found {found}")));
    }
    let end = start.checked_add(offsets[1]).ok_or_else(|| fault("data_offsets within the file"))?;
    let shape = shape.into_iter().map(usize::try_from).collect::<Result<_, _>>();
    let shape = shape.map_err(|_| fault("a shape that this machine can address"))?;
    Ok(Entry { dtype, shape, begin: start + offsets[0], end })
}

/// Length and text of the header of tensors that follow each other in this order.
pub(crate) fn to_bytes<'a>(
    tensors: impl Iterator<Item = (&'a str, Dtype, &'a [usize])>,
    metadata: &BTreeMap<String, String>,
) -> Vec<u8> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".to_owned(), json!(metadata));
    }
    let mut offset = 0;
    for (name, dtype, shape) in tensors {
        let end = offset + shape.iter().product::<usize>() * dtype.size();
        let entry = json!({"dtype": dtype.name(), "shape": shape, "data_offsets": [offset, end]});
        header.insert(name.to_owned(), entry);
        offset = end;
    }
    let mut text = Json::Object(header).to_string().into_bytes();
    // The data begin at a multiple of eight.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text);
    bytes
}
