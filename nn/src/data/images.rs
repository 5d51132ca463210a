//! Labelled images from the usual files.
//!
//! | format | layout |
//! |---|---|
//! | idx (MNIST), perhaps gzipped | big-endian magic `0x803` or `0x801`, counts, then bytes |
//! | CIFAR-10 binary | records of one label byte and 3072 bytes: red, green, blue plane, row by row |
//! | CSV | label, then the pixels 0–255 |
//!
//! Pixels are bytes; a network that takes numbers in $[0, 1]$ gets them divided by 255.

use super::dataset::{Dataset, Inputs, Targets};
use super::fault::DataFault;
use super::{fault, fault_at, jpeg, read};
use crate::error::NnError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

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
    type Err = NnError;

    fn from_str(text: &str) -> Result<Self, NnError> {
        match text {
            "mnist" => Ok(DataSet::Mnist),
            "cifar" => Ok(DataSet::Cifar),
            _ => Err(NnError::Data { origin: text.to_owned(), fault: Box::new(DataFault::UnknownSet) }),
        }
    }
}

/// The test images of a data set below a directory of data.
///
/// # Errors
/// A file is missing or damaged.
pub fn load(set: DataSet, data: &Path) -> Result<Vec<Image>, NnError> {
    match set {
        DataSet::Mnist => mnist(&data.join("mnist"), "t10k"),
        DataSet::Cifar => cifar(&data.join("cifar/cifar10_exact_subset.bin")),
    }
}

/// The images of MNIST in a directory: `train` or `t10k`.
///
/// # Errors
/// A file is missing or damaged.
pub fn mnist(directory: &Path, part: &str) -> Result<Vec<Image>, NnError> {
    let (pixels, sizes) = idx(&directory.join(format!("{part}-images-idx3-ubyte.gz")), 3)?;
    let path = directory.join(format!("{part}-labels-idx1-ubyte.gz"));
    let (labels, _) = idx(&path, 1)?;
    let size = sizes[1] * sizes[2];
    if labels.len() != sizes[0] {
        return Err(fault(&path, DataFault::Count { samples: sizes[0], targets: labels.len() }));
    }
    let image = |(label, pixels): (&u8, &[u8])| Image { label: usize::from(*label), pixels: pixels.to_vec() };
    Ok(labels.iter().zip(pixels.chunks_exact(size.max(1))).map(image).collect())
}

/// The content and sizes of an idx file.
fn idx(path: &Path, dimensions: usize) -> Result<(Vec<u8>, Vec<usize>), NnError> {
    const EXPECTED: &str = "an idx file of unsigned bytes";
    let bytes = read(path)?;
    let format = || fault(path, DataFault::Format { expected: EXPECTED });
    let header = 4 + 4 * dimensions;
    if bytes.len() < header || bytes[..4] != [0, 0, 8, dimensions as u8] {
        return Err(format());
    }
    let size = |i: usize| u32::from_be_bytes([0, 1, 2, 3].map(|b| bytes[4 + 4 * i + b])) as usize;
    let sizes: Vec<usize> = (0..dimensions).map(size).collect();
    let expected = sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size)).ok_or_else(format)?;
    let found = bytes.len() - header;
    if found != expected {
        return Err(fault(path, DataFault::Length { expected, found }));
    }
    Ok((bytes[header..].to_vec(), sizes))
}

/// Records of CIFAR-10 in binary form.
///
/// # Errors
/// The file is missing or damaged.
pub fn cifar(path: &Path) -> Result<Vec<Image>, NnError> {
    const RECORD: usize = 1 + 3072;
    let bytes = read(path)?;
    if bytes.is_empty() || bytes.len() % RECORD != 0 {
        let expected = bytes.len().div_ceil(RECORD).max(1) * RECORD;
        return Err(fault(path, DataFault::Length { expected, found: bytes.len() }));
    }
    if bytes.chunks_exact(RECORD).any(|record| record[0] > 9) {
        return Err(fault(path, DataFault::Format { expected: "labels from 0 to 9 before every image" }));
    }
    let image = |record: &[u8]| Image { label: usize::from(record[0]), pixels: record[1..].to_vec() };
    Ok(bytes.chunks_exact(RECORD).map(image).collect())
}

/// A CSV file of labels and pixels, without a header.
///
/// # Errors
/// The file is missing, a line is not as long as the first, or an entry is no byte.
pub fn csv(path: &Path) -> Result<Vec<Image>, NnError> {
    let bytes = read(path)?;
    let mut images: Vec<Image> = Vec::new();
    for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let fault = |expected, found: &str| fault_at(path, number + 1, expected, found);
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

/// The training images of a data set below a directory of data. CIFAR-10 comes from its five binary files where they are,
/// else from JPEG files (`cifar/train`, or the archive in `cifar/jpeg`).
///
/// # Errors
/// A file is missing or damaged.
pub fn load_training(set: DataSet, data: &Path) -> Result<Vec<Image>, NnError> {
    if set == DataSet::Mnist {
        return mnist(&data.join("mnist"), "train");
    }
    let batch = |number: usize| data.join(format!("cifar/data_batch_{number}.bin"));
    if batch(1).exists() {
        let batches = (1..=5).map(|number| cifar(&batch(number))).collect::<Result<Vec<_>, _>>()?;
        return Ok(batches.concat());
    }
    let folder = data.join("cifar/train");
    let place = if folder.is_dir() { folder } else { data.join("cifar/jpeg/cifar10_train1000pc_jpeg.zip") };
    jpeg::read_classes(&place, &jpeg::CIFAR_CLASSES, 3072)
}

impl DataSet {
    /// Shape of an image: channels, rows, columns.
    pub fn shape(self) -> [usize; 3] {
        match self {
            DataSet::Mnist => [1, 28, 28],
            DataSet::Cifar => [3, 32, 32],
        }
    }
}

/// Images as a data set with `classes` classes and pixels in $[0, 1]$.
///
/// # Errors
/// There are no images, one is not of this shape, or a label is too large; the error goes by the name `origin`.
pub fn dataset(origin: &str, images: &[Image], shape: &[usize], classes: usize) -> Result<Dataset, NnError> {
    let size: usize = shape.iter().product();
    let refuse = |found| {
        let fault = Box::new(DataFault::ImageSize { expected: size, found });
        NnError::Data { origin: origin.to_owned(), fault }
    };
    if let Some(other) = images.iter().find(|image| image.pixels.len() != size) {
        return Err(refuse(other.pixels.len()));
    }
    let values = images.iter().flat_map(|image| &image.pixels).map(|p| f32::from(*p) / 255.0).collect();
    let labels = images.iter().map(|image| image.label).collect();
    let inputs = Inputs::Dense { shape: shape.to_vec(), values: Arc::new(values) };
    Dataset::new(origin, inputs, Targets::Classes { classes, labels: Arc::new(labels) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;
    use std::path::PathBuf;

    fn fault_of<T: fmt::Debug>(result: Result<T, NnError>) -> DataFault {
        match result {
            Err(NnError::Data { fault, .. }) => *fault,
            other => panic!("{other:?}"),
        }
    }

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
        assert!(matches!(fault_of(mnist(place.path(), "t10k")), DataFault::Count { samples: 2, targets: 1 }));
        let mut record = vec![3u8; 3073];
        assert_eq!(cifar(&file(place.path(), "whole.bin", &record)).expect("an image").len(), 1);
        record.pop();
        assert!(matches!(fault_of(cifar(&file(place.path(), "cut.bin", &record))), DataFault::Length { .. }));
        assert!(cifar(&file(place.path(), "label.bin", &[200u8; 3073])).is_err());
        assert!(cifar(&file(place.path(), "empty.bin", &[])).is_err());
        assert!(matches!(fault_of(cifar(&place.path().join("none"))), DataFault::Io(_)));
    }

    #[test]
    fn csv_lines_are_checked() {
        let place = tempfile::tempdir().expect("a directory");
        let good = csv(&file(place.path(), "a.csv", b"5,0,255\n1,2,3\n\n")).expect("images");
        assert_eq!(good, [Image { label: 5, pixels: vec![0, 255] }, Image { label: 1, pixels: vec![2, 3] }]);
        for bad in [&b"5,0,256\n"[..], b"x,1\n", b"1,2,3\n1,2\n", b"1\n", b"1,2.5\n", b"-1,2\n"] {
            assert!(matches!(fault_of(csv(&file(place.path(), "b.csv", bad))), DataFault::Line { .. }));
        }
    }
}
