//! Images as JPEG files: `CLASS/*.jpg` in a folder, or the same in a zip archive.

use super::fault::DataFault;
use super::images::Image;
use super::{fault, read, zip};
use crate::error::NnError;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Classes of CIFAR-10, in the order of their labels.
pub const CIFAR_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Images of `classes` below a folder or in a zip archive, class by class in the order of file names: planes of red,
/// green and blue.
///
/// # Errors
/// A file is missing or no colour JPEG of `size` bytes of pixels.
pub fn read_classes(path: &Path, classes: &[&str], size: usize) -> Result<Vec<Image>, NnError> {
    if path.is_dir() { from_folder(path, classes, size) } else { from_archive(path, classes, size) }
}

fn from_folder(path: &Path, classes: &[&str], size: usize) -> Result<Vec<Image>, NnError> {
    let mut files: Vec<(usize, PathBuf)> = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let folder = path.join(class);
        let io = |source| fault(&folder, DataFault::Io(source));
        let entries = std::fs::read_dir(&folder).map_err(io)?;
        let mut found = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(io)?;
        found.retain(|file| is_jpeg(&file.to_string_lossy()));
        found.sort();
        files.extend(found.into_iter().map(|file| (label, file)));
    }
    let one = |(label, file): &(usize, PathBuf)| {
        let pixels = decode(&read(file)?, size).map_err(|f| fault(file, f))?;
        Ok(Image { label: *label, pixels })
    };
    files.par_iter().map(one).collect()
}

fn from_archive(path: &Path, classes: &[&str], size: usize) -> Result<Vec<Image>, NnError> {
    let bytes = read(path)?;
    let entries = zip::entries(&bytes).map_err(|f| fault(path, f))?;
    let label = |name: &str| {
        let folder = name.rsplit('/').nth(1)?;
        classes.iter().position(|class| *class == folder)
    };
    let mut files: Vec<_> =
        entries.iter().filter(|e| is_jpeg(&e.name)).filter_map(|e| Some((label(&e.name)?, e))).collect();
    files.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
    if files.is_empty() {
        return Err(fault(path, DataFault::Empty));
    }
    let one = |(label, entry): &(usize, &zip::Entry<'_>)| {
        let pixels = entry.content().and_then(|bytes| decode(&bytes, size));
        let pixels = pixels.map_err(|f| fault(&path.join(&entry.name), f))?;
        Ok(Image { label: *label, pixels })
    };
    files.par_iter().map(one).collect()
}

fn is_jpeg(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".jpg") || name.ends_with(".jpeg")
}

/// The planes of a colour image.
fn decode(bytes: &[u8], size: usize) -> Result<Vec<u8>, DataFault> {
    let rgb = jpeg_decoder::Decoder::new(bytes).decode()?;
    if rgb.len() != size {
        return Err(DataFault::ImageSize { expected: size, found: rgb.len() });
    }
    Ok((0..3).flat_map(|channel| rgb.iter().skip(channel).step_by(3).copied()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_refused_with_its_name() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("cat")).unwrap();
        std::fs::write(place.path().join("cat/1.jpg"), b"no image").unwrap();
        let error = read_classes(place.path(), &["cat"], 3072).unwrap_err();
        assert!(error.to_string().contains("cat/1.jpg"), "{error}");
        let error = read_classes(place.path(), &["dog"], 3072).unwrap_err();
        assert!(error.to_string().contains("dog"), "{error}");
        std::fs::write(place.path().join("x.zip"), b"no archive").unwrap();
        let error = read_classes(&place.path().join("x.zip"), &["cat"], 3072).unwrap_err();
        assert!(error.to_string().contains("a zip archive"), "{error}");
    }
}
