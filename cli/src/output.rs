//! Answers on standard output and in files.

use crate::error::CliError;
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Prints an answer at once; a reader that has gone away is not an error.
pub fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(()),
    }
}

/// Writes a file.
pub fn write(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text).map_err(|source| CliError::Write { path: path.to_owned(), source })
}

/// Refuses a file that could not be written later, before any work is done for it.
pub fn check_writable(path: &Path) -> Result<(), CliError> {
    let exists = path.exists();
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|source| CliError::Write { path: path.to_owned(), source })?;
    if !exists {
        // The trial file is empty; that it stays behind when it cannot be removed harms nobody.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

/// A record as text on standard output, and as JSON in a file; with `-` as JSON on standard output instead.
pub fn record(json_to: Option<&Path>, record: &impl Serialize, text: &str) -> Result<(), CliError> {
    match json_to {
        Some(path) if path.as_os_str() == "-" => print(&json(record)?),
        Some(path) => {
            write(path, &json(record)?)?;
            print(text)
        }
        None => print(text),
    }
}

/// A record as one indented JSON text.
pub fn json(record: &impl Serialize) -> Result<String, CliError> {
    let mut text = serde_json::to_string_pretty(record).map_err(|error| CliError::Output(error.into()))?;
    text.push('\n');
    Ok(text)
}
