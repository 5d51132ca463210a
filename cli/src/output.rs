//! Answers on standard output and in files.

use crate::error::CliError;
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

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

/// Whether a name stands for standard output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Refuses files for results that are files to be read, or one another, or could not be written later, before any work is done.
/// `json` may be `-`, which is standard output.
pub fn check(inputs: &[&Path], files: &[Option<&PathBuf>], json: Option<&PathBuf>) -> Result<(), CliError> {
    let mut taken: Vec<PathBuf> = inputs.iter().map(|path| place(path)).collect();
    for file in files.iter().flatten().copied().chain(json.filter(|json| !is_dash(json))) {
        if is_dash(file) {
            return Err(CliError::NoDash);
        }
        let place = place(file);
        if taken.contains(&place) {
            return Err(CliError::Taken { path: file.clone() });
        }
        taken.push(place);
        check_writable(file)?;
    }
    Ok(())
}

/// One name for all names of a file, also of one that is yet to be written.
fn place(path: &Path) -> PathBuf {
    let beside = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    path.canonicalize().ok().or_else(beside).unwrap_or_else(|| path.to_owned())
}

fn check_writable(path: &Path) -> Result<(), CliError> {
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
        Some(path) if is_dash(path) => print(&json(record)?),
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
