//! Files that may be compressed.

use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Read};

/// The plain bytes of `source`, gunzipped when they begin with gzip's magic number.
///
/// Reading past `limit` bytes is an error of kind [`io::ErrorKind::FileTooLarge`].
pub(crate) fn plain<'a>(source: impl Read + 'a, limit: u64) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut source = BufReader::with_capacity(1 << 16, source);
    let packed = source.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let plain: Box<dyn Read + 'a> = if packed { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
    Ok(Box::new(BufReader::with_capacity(1 << 16, Limited { source: plain, left: limit })))
}

struct Limited<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    #[test]
    fn content_decides_whether_to_unpack() {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(b"hello").unwrap();
        let packed = packer.finish().unwrap();
        for bytes in [&packed[..], b"hello"] {
            assert_eq!(io::read_to_string(plain(bytes, 5).unwrap()).unwrap(), "hello");
        }
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let mut limited = Limited { source: io::repeat(0), left: 10 };
        let error = limited.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
