//! Labelled images from the usual files.
//!
//! | format | layout |
//! |---|---|
//! | idx (MNIST), perhaps gzipped | big-endian magic `0x803` or `0x801`, counts, then bytes |
//! | CIFAR-10 binary | records of one label byte and 3072 bytes: red, green, blue plane, row by row |
//! | CSV | label, then the pixels 0–255 |
//!
//! Pixels are bytes; a network that takes numbers in $[0, 1]$ gets them divided by 255.

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use thiserror::Error;

/// An image and its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The class.
    pub label: usize,
    /// The pixels.
    pub pixels: Vec<u8>,
}

/// A data set of test images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataSet {
    /// The 10 000 test images of MNIST.
    Mnist,
    /// Test images of CIFAR-10.
    Cifar,
}

impl fmt::Display for DataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DataSet::Mnist => "mnist",
            DataSet::Cifar => "cifar",
        })
    }
}

impl FromStr for DataSet {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        match text {
            "mnist" => Ok(DataSet::Mnist),
            "cifar" => Ok(DataSet::Cifar),
            _ => Err(ImageError::UnknownDataSet { found: text.to_owned() }),
        }
    }
}

/// Why images cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A name that is no data set.
    #[error("`{found}` is no data set: expected mnist, cifar or a CSV file")]
    UnknownDataSet {
        /// The name.
        found: String,
    },
    /// A file that cannot be read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of another format.
    #[error("{}: expected {expected}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What belongs there.
        expected: &'static str,
    },
    /// A file that ends too early, or goes on too long.
    #[error("{}: expected {expected} bytes of content, found {found}", .path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes that the header calls for.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// A line of a CSV file that is not a label and pixels.
    #[error("{}, line {line}: expected {expected}, found `{found}`", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// As many labels as images belong together.
    #[error("{}: {labels} labels for {images} images", .path.display())]
    Count {
        /// The file of labels.
        path: PathBuf,
        /// Images.
        images: usize,
        /// Labels.
        labels: usize,
    },
}

/// The test images of a data set below a directory of data.
///
/// # Errors
/// A file is missing or damaged.
pub fn load(set: DataSet, data: &Path) -> Result<Vec<Image>, ImageError> {
    match set {
        DataSet::Mnist => mnist(&data.join("mnist"), "t10k"),
        DataSet::Cifar => cifar(&data.join("cifar/cifar10_exact_subset.bin")),
    }
}

/// The images of MNIST in a directory: `train` or `t10k`.
///
/// # Errors
/// A file is missing or damaged.
pub fn mnist(directory: &Path, part: &str) -> Result<Vec<Image>, ImageError> {
    let (pixels, sizes) = idx(&directory.join(format!("{part}-images-idx3-ubyte.gz")), 3)?;
    let path = directory.join(format!("{part}-labels-idx1-ubyte.gz"));
    let (labels, _) = idx(&path, 1)?;
    let size = sizes[1] * sizes[2];
    if labels.len() != sizes[0] {
        return Err(ImageError::Count { path, images: sizes[0], labels: labels.len() });
    }
    let image = |(label, pixels): (&u8, &[u8])| Image { label: usize::from(*label), pixels: pixels.to_vec() };
    Ok(labels.iter().zip(pixels.chunks_exact(size.max(1))).map(image).collect())
}

/// The content and sizes of an idx file.
fn idx(path: &Path, dimensions: usize) -> Result<(Vec<u8>, Vec<usize>), ImageError> {
    const EXPECTED: &str = "an idx file of unsigned bytes";
    let bytes = read(path)?;
    let format = || ImageError::Format { path: path.to_owned(), expected: EXPECTED };
    let header = 4 + 4 * dimensions;
    if bytes.len() < header || bytes[..4] != [0, 0, 8, dimensions as u8] {
        return Err(format());
    }
    let size = |i: usize| u32::from_be_bytes([0, 1, 2, 3].map(|b| bytes[4 + 4 * i + b])) as usize;
    let sizes: Vec<usize> = (0..dimensions).map(size).collect();
    let expected = sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size)).ok_or_else(format)?;
    let found = bytes.len() - header;
    if found != expected {
        return Err(ImageError::Length { path: path.to_owned(), expected, found });
    }
    Ok((bytes[header..].to_vec(), sizes))
}

/// Records of CIFAR-10 in binary form.
///
/// # Errors
/// The file is missing or damaged.
pub fn cifar(path: &Path) -> Result<Vec<Image>, ImageError> {
    const RECORD: usize = 1 + 3072;
    let bytes = read(path)?;
    if bytes.is_empty() || bytes.len() % RECORD != 0 {
        let expected = bytes.len().div_ceil(RECORD).max(1) * RECORD;
        return Err(ImageError::Length { path: path.to_owned(), expected, found: bytes.len() });
    }
    if bytes.chunks_exact(RECORD).any(|record| record[0] > 9) {
        return Err(ImageError::Format { path: path.to_owned(), expected: "labels from 0 to 9 before every image" });
    }
    let image = |record: &[u8]| Image { label: usize::from(record[0]), pixels: record[1..].to_vec() };
    Ok(bytes.chunks_exact(RECORD).map(image).collect())
}

/// A CSV file of labels and pixels, without a header.
///
/// # Errors
/// The file is missing, a line is not as long as the first, or an entry is no byte.
pub fn csv(path: &Path) -> Result<Vec<Image>, ImageError> {
    let bytes = read(path)?;
    let mut images: Vec<Image> = Vec::new();
    for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let fault = |expected, found: &str| {
            let (path, found) = (path.to_owned(), found.chars().take(40).collect());
            ImageError::Line { path, line: number + 1, expected, found }
        };
        let mut fields = text.split(',').map(str::trim);
        let label = fields.next().unwrap_or_default();
        let label = label.parse().map_err(|_| fault("a class number first", label))?;
        let pixel = |field: &str| field.parse::<u8>().map_err(|_| fault("pixels from 0 to 255", field));
        let pixels: Vec<u8> = fields.map(pixel).collect::<Result<_, _>>()?;
        if pixels.is_empty() || images.first().is_some_and(|first| first.pixels.len() != pixels.len()) {
            return Err(fault("as many pixels as in the first line", &format!("{} pixels", pixels.len())));
        }
        images.push(Image { label, pixels });
    }
    Ok(images)
}

/// The content of a file, gunzipped where it is packed.
fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    let io = |source| ImageError::Io { path: path.to_owned(), source };
    let mut source = BufReader::new(File::open(path).map_err(io)?);
    let mut bytes = Vec::new();
    match source.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]) {
        true => MultiGzDecoder::new(source).read_to_end(&mut bytes),
        false => source.read_to_end(&mut bytes),
    }
    .map_err(io)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn file(directory: &Path, name: &str, content: &[u8]) -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(content).expect("packed");
        packer.finish().expect("packed")
    }

    const IMAGES: [u8; 20] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 10, 20, 30, 40];
    const LABELS: [u8; 10] = [0, 0, 8, 1, 0, 0, 0, 2, 7, 3];

    #[test]
    fn mnist_is_read() {
        let place = tempfile::tempdir().expect("a directory");
        file(place.path(), "t10k-images-idx3-ubyte.gz", &packed(&IMAGES));
        file(place.path(), "t10k-labels-idx1-ubyte.gz", &packed(&LABELS));
        let images = mnist(place.path(), "t10k").expect("images");
        assert_eq!(images, [Image { label: 7, pixels: vec![10, 20] }, Image { label: 3, pixels: vec![30, 40] }]);
    }

    #[test]
    fn damaged_files_are_refused() {
        let place = tempfile::tempdir().expect("a directory");
        file(place.path(), "t10k-labels-idx1-ubyte.gz", &packed(&LABELS));
        let cut = packed(&IMAGES);
        for content in [packed(&IMAGES[..19]), packed(&IMAGES[..9]), cut[..cut.len() - 9].to_vec(), packed(b"hello")] {
            file(place.path(), "t10k-images-idx3-ubyte.gz", &content);
            assert!(mnist(place.path(), "t10k").is_err());
        }
        file(place.path(), "t10k-images-idx3-ubyte.gz", &packed(&IMAGES));
        let mut one = LABELS[..9].to_vec();
        one[7] = 1;
        file(place.path(), "t10k-labels-idx1-ubyte.gz", &packed(&one));
        assert!(matches!(mnist(place.path(), "t10k"), Err(ImageError::Count { images: 2, labels: 1, .. })));
        let mut record = vec![3u8; 3073];
        assert_eq!(cifar(&file(place.path(), "whole.bin", &record)).expect("an image").len(), 1);
        record.pop();
        assert!(matches!(cifar(&file(place.path(), "cut.bin", &record)), Err(ImageError::Length { .. })));
        assert!(cifar(&file(place.path(), "label.bin", &[200u8; 3073])).is_err());
        assert!(cifar(&file(place.path(), "empty.bin", &[])).is_err());
        assert!(matches!(cifar(&place.path().join("none")), Err(ImageError::Io { .. })));
    }

    #[test]
    fn csv_lines_are_checked() {
        let place = tempfile::tempdir().expect("a directory");
        let good = csv(&file(place.path(), "a.csv", b"5,0,255\n1,2,3\n\n")).expect("images");
        assert_eq!(good, [Image { label: 5, pixels: vec![0, 255] }, Image { label: 1, pixels: vec![2, 3] }]);
        for bad in [&b"5,0,256\n"[..], b"x,1\n", b"1,2,3\n1,2\n", b"1\n", b"1,2.5\n", b"-1,2\n"] {
            assert!(matches!(csv(&file(place.path(), "b.csv", bad)), Err(ImageError::Line { .. })));
        }
    }
}
