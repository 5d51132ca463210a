//! Just enough of the zip format to read an archive of stored or deflated files.

use super::fault::DataFault;
use flate2::read::DeflateDecoder;
use std::io::Read;

/// The most bytes that one entry may unpack to.
const MAX_ENTRY: u64 = 1 << 28;

/// One file of an archive.
pub(super) struct Entry<'a> {
    /// Its path, with `/` between folders.
    pub(super) name: String,
    packed: &'a [u8],
    method: u16,
    size: usize,
}

fn bad() -> DataFault {
    DataFault::Format { expected: "a zip archive" }
}

fn word(bytes: &[u8], at: usize, size: usize) -> Result<usize, DataFault> {
    let slice = at.checked_add(size).and_then(|end| bytes.get(at..end)).ok_or_else(bad)?;
    Ok(slice.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
}

/// The files of an archive, by its central directory.
pub(super) fn entries(bytes: &[u8]) -> Result<Vec<Entry<'_>>, DataFault> {
    let tail = bytes.len().saturating_sub(22 + 65_535);
    let found = bytes[tail..].windows(4).rposition(|w| w == b"PK\x05\x06").ok_or_else(bad)?;
    let end = tail + found;
    let (count, mut at) = (word(bytes, end + 10, 2)?, word(bytes, end + 16, 4)?);
    let mut entries = Vec::new();
    for _ in 0..count {
        if word(bytes, at, 4)? != 0x0201_4b50 {
            return Err(bad());
        }
        let [name, extra, comment] = [28, 30, 32].map(|offset| word(bytes, at + offset, 2));
        let (name, extra, comment) = (name?, extra?, comment?);
        let (packed, size, local) = (word(bytes, at + 20, 4)?, word(bytes, at + 24, 4)?, word(bytes, at + 42, 4)?);
        let start = local + 30 + word(bytes, local + 26, 2)? + word(bytes, local + 28, 2)?;
        let packed = start.checked_add(packed).and_then(|end| bytes.get(start..end)).ok_or_else(bad)?;
        let text = bytes.get(at + 46..at + 46 + name).ok_or_else(bad)?;
        let method = word(bytes, at + 10, 2)? as u16;
        entries.push(Entry { name: String::from_utf8_lossy(text).into_owned(), packed, method, size });
        at += 46 + name + extra + comment;
    }
    Ok(entries)
}

impl Entry<'_> {
    /// The file's bytes.
    pub(super) fn content(&self) -> Result<Vec<u8>, DataFault> {
        let mut content = Vec::new();
        match self.method {
            0 => content.extend_from_slice(self.packed),
            8 => {
                DeflateDecoder::new(self.packed).take(MAX_ENTRY).read_to_end(&mut content)?;
            }
            _ => return Err(DataFault::Format { expected: "a zip archive of stored or deflated files" }),
        }
        if content.len() != self.size {
            return Err(DataFault::Length { expected: self.size, found: content.len() });
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with one stored file.
    fn archive(name: &str, content: &[u8]) -> Vec<u8> {
        let size = (content.len() as u32).to_le_bytes();
        let length = (name.len() as u16).to_le_bytes();
        let mut out = Vec::new();
        out.extend(b"PK\x03\x04");
        out.extend([0; 14]);
        out.extend([size, size].concat());
        out.extend(length);
        out.extend([0; 2]);
        out.extend(name.as_bytes());
        out.extend(content);
        let directory = out.len() as u32;
        out.extend(b"PK\x01\x02");
        out.extend([0; 16]);
        out.extend([size, size].concat());
        out.extend(length);
        out.extend([0; 16]);
        out.extend(name.as_bytes());
        out.extend(b"PK\x05\x06");
        out.extend([0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]);
        out.extend(directory.to_le_bytes());
        out.extend([0; 2]);
        out
    }

    #[test]
    fn a_stored_file_is_found() {
        let bytes = archive("a/b.txt", b"hello");
        let entries = entries(&bytes).unwrap();
        assert_eq!((entries.len(), entries[0].name.as_str()), (1, "a/b.txt"));
        assert_eq!(entries[0].content().unwrap(), b"hello");
    }

    #[test]
    fn every_cut_archive_is_refused_without_a_panic() {
        let bytes = archive("a/b.txt", b"hello");
        for length in 0..bytes.len() - 2 {
            let whole =
                entries(&bytes[..length]).and_then(|e| e.iter().map(Entry::content).collect::<Result<Vec<_>, _>>());
            assert!(whole.is_err() || whole.is_ok_and(|w| w.is_empty()), "cut at {length}");
        }
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0xff;
            let _ = entries(&damaged).map(|e| e.iter().map(Entry::content).collect::<Vec<_>>());
        }
    }
}
