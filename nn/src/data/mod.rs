//! Data sets: inputs with their targets, read from the usual files.
//!
//! | step | file |
//! |---|---|
//! | inputs, targets, subsets, shuffling, batches | [`dataset`] |
//! | mean and deviation per channel | [`normalise`] |
//! | random flips and crops | [`augment`] |
//! | MNIST, CIFAR-10, and CSV files of images | [`images`] |
//! | JPEG files in folders or a zip archive | [`jpeg`], `zip.rs` |
//! | tables of numbers | [`table`] |
//! | sequences of characters | [`text`] |
//! | what can be wrong with a file | [`DataFault`] in `fault.rs` |

pub mod augment;
pub mod dataset;
pub mod fault;
pub mod images;
pub mod jpeg;
pub mod normalise;
pub mod table;
pub mod text;
mod zip;

pub use augment::Augmentation;
pub use dataset::{Dataset, Inputs, Targets};
pub use fault::DataFault;
pub use images::{DataSet, Image};
pub use normalise::Normalisation;

use crate::error::NnError;
use crate::gzip;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The most bytes that one file of data may unpack to.
const MAX_BYTES: u64 = 1 << 33;

/// An error about a file as a whole.
fn fault(path: &Path, fault: DataFault) -> NnError {
    NnError::Data { origin: path.display().to_string(), fault: Box::new(fault) }
}

/// An error about a line of a file, counted from 1.
fn fault_at(path: &Path, line: usize, expected: &'static str, found: &str) -> NnError {
    let found = found.chars().take(40).collect();
    let origin = format!("{}, line {line}", path.display());
    NnError::Data { origin, fault: Box::new(DataFault::Line { line, expected, found }) }
}

/// The content of a file, gunzipped where it is packed.
fn read(path: &Path) -> Result<Vec<u8>, NnError> {
    let io = |source| fault(path, DataFault::Io(source));
    let mut bytes = Vec::new();
    gzip::plain(File::open(path).map_err(io)?, MAX_BYTES).map_err(io)?.read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}
