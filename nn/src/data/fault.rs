//! What can be wrong with data that somebody hands in.

use thiserror::Error;

/// Why data were refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataFault {
    /// A file that cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A name that is no data set.
    #[error("no such data set: expected mnist, cifar or a CSV file")]
    UnknownSet,
    /// A file of another format.
    #[error("expected {expected}")]
    Format {
        /// What belongs there.
        expected: &'static str,
    },
    /// A file that ends too early, or goes on too long.
    #[error("expected {expected} bytes of content, found {found}")]
    Length {
        /// Bytes that the header calls for.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// A line with something else than belongs there.
    #[error("expected {expected}, found `{found}`")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// As many targets as samples belong together.
    #[error("{targets} targets for {samples} samples")]
    Count {
        /// Samples.
        samples: usize,
        /// Targets.
        targets: usize,
    },
    /// A class that does not exist.
    #[error("sample {sample}: class {label}, but there are {classes}, from 0")]
    Class {
        /// The sample.
        sample: usize,
        /// Its label.
        label: usize,
        /// Classes.
        classes: usize,
    },
    /// An input or a target that is infinite or not a number.
    #[error("sample {sample}: a number that is not finite")]
    NotFinite {
        /// The sample.
        sample: usize,
    },
    /// Nothing to learn from.
    #[error("no samples")]
    Empty,
    /// An image of another size than the others.
    #[error("expected an image of {expected} bytes, found {found}")]
    ImageSize {
        /// Bytes.
        expected: usize,
        /// Bytes.
        found: usize,
    },
    /// An image that cannot be decoded.
    #[error("{0}")]
    Jpeg(#[from] jpeg_decoder::Error),
    /// A column that a table does not have.
    #[error("no column `{column}`: there are {columns}")]
    NoColumn {
        /// Its name or number.
        column: String,
        /// Columns of the table.
        columns: usize,
    },
    /// A text that is shorter than one sequence.
    #[error("{found} symbols, but a sequence with its continuation needs {expected}")]
    Short {
        /// Symbols that are needed.
        expected: usize,
        /// Symbols that are there.
        found: usize,
    },
}
