//! All notes as pages that are read in a browser: an index, and a page for each.

use super::error::StudyError;
use super::markdown;
use super::note::{Note, notes};
use crate::journal;
use std::fmt::Write;
use std::path::Path;

/// Writes the notes under a directory as pages into another; how many there are.
///
/// # Errors
/// A note or formula that cannot be read, a file that cannot be written.
pub fn write(from: &Path, to: &Path) -> Result<usize, StudyError> {
    let notes = notes(from)?;
    std::fs::create_dir_all(to).map_err(|source| StudyError::Io { path: to.to_owned(), source })?;
    let mut index = String::from("# Statements\n\n");
    let mut system = String::new();
    for (path, note) in &notes {
        let folder = path.parent().unwrap_or(Path::new("")).display().to_string();
        if folder != system {
            let _ = write!(index, "\n## {folder}\n\n| statement | status | |\n|---|---|---|\n");
            system = folder;
        }
        let Note { heading, .. } = note;
        let _ = writeln!(index, "| {} | {} | [{}]({}.html) |", heading.title, heading.status, heading.id, heading.id);
        let text = page(note).map_err(|fault| StudyError::Note { note: path.display().to_string(), fault })?;
        journal::write(&to.join(format!("{}.html", heading.id)), &text)?;
    }
    let body = markdown::html(&index).map_err(|fault| StudyError::Note { note: "the index".to_owned(), fault })?;
    journal::write(&to.join("index.html"), &markdown::page("Statements", &body))?;
    Ok(notes.len())
}

/// The page of a note.
fn page(note: &Note) -> Result<String, String> {
    let Note { heading, body } = note;
    let list = |items: &[String]| items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "[Statements](index.html)\n\n# {}\n\n| | |\n|---|---|\n| name | `{}` |\n| status | {} |\n| source | {} |\n| checks | {} |\n\
         | code | {} |\n\n{body}",
        heading.title,
        heading.id,
        heading.status,
        heading.source,
        list(&heading.check),
        list(&heading.code),
    );
    Ok(markdown::page(&heading.title, &markdown::html(&text)?))
}
