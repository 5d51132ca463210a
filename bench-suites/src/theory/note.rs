//! Notes on statements: what is said, why it holds, where it is checked.
//!
//! A note is a file of Markdown that begins with a table in TOML between lines of `+++`.

use super::error::StudyError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How well a statement is founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The note proves it.
    Proved,
    /// It was measured, no more.
    Numerical,
    /// It is believed, and neither proved nor measured in all that it says.
    Conjecture,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Proved => "proved",
            Self::Numerical => "numerical",
            Self::Conjecture => "conjecture",
        })
    }
}

/// What a note says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heading {
    /// The statement's name, `system.statement`.
    pub id: String,
    /// The statement in a sentence.
    pub title: String,
    /// How well it is founded.
    pub status: Status,
    /// Where it comes from.
    pub source: String,
    /// What checks it: the statement's own name for a check of `secateur theory check`, and tests as `path#function`.
    pub check: Vec<String>,
    /// The code that predicts and implements it, `path#identifier`.
    pub code: Vec<String>,
}

/// A note.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// What it says about itself.
    pub heading: Heading,
    /// The text below, in Markdown.
    pub body: String,
}

/// Sections that a note has besides its proof, sketch or evidence.
const SECTIONS: [&str; 3] = ["## Statement", "## Symbols", "## What the numerics cannot show"];

impl Note {
    /// Reads the text of a note; `place` is what errors call it.
    ///
    /// # Errors
    /// The table is missing or has other keys, a section is missing, a proved statement without proof.
    pub fn parse(place: &str, text: &str) -> Result<Self, StudyError> {
        let fault = |fault: String| StudyError::Note { note: place.to_owned(), fault };
        let rest = text.strip_prefix("+++\n").ok_or_else(|| fault("does not begin with a line `+++`".to_owned()))?;
        let (table, body) =
            rest.split_once("\n+++\n").ok_or_else(|| fault("the table has no end, a line `+++`".to_owned()))?;
        let heading: Heading = toml::from_str(table).map_err(|error| fault(error.to_string()))?;
        let has = |section: &str| body.lines().any(|line| line.starts_with(section));
        for section in SECTIONS {
            if !has(section) {
                return Err(fault(format!("has no section `{section}`")));
            }
        }
        match heading.status {
            Status::Proved if !has("## Proof") => Err(fault("a proved statement has a section `## Proof`".to_owned())),
            _ if !["## Proof", "## Sketch", "## Evidence"].into_iter().any(has) => {
                Err(fault("has no section `## Proof`, `## Sketch` or `## Evidence`".to_owned()))
            }
            _ if heading.check.is_empty() || heading.code.is_empty() => {
                Err(fault("names no check or no code".to_owned()))
            }
            _ => Ok(Self { heading, body: body.to_owned() }),
        }
    }

    /// Identifiers of the table of symbols: what stands in backticks in its last column.
    pub fn identifiers(&self) -> Vec<&str> {
        let lines = self.body.lines().skip_while(|line| !line.starts_with("## Symbols")).skip(1);
        let rows = lines.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with('|'));
        let cells = rows.filter_map(|row| row.trim_end().trim_end_matches('|').rsplit('|').next());
        cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
    }
}

/// The notes under a directory, each with its path inside of it, in order.
///
/// # Errors
/// A file that cannot be read, or is no note.
pub fn notes(directory: &Path) -> Result<Vec<(PathBuf, Note)>, StudyError> {
    let mut files = Vec::new();
    collect(directory, &mut files)?;
    files.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|source| StudyError::Io { path: path.clone(), source })?;
        let place = path.strip_prefix(directory).unwrap_or(path).to_owned();
        Ok((place.clone(), Note::parse(&place.display().to_string(), &text)?))
    };
    files.iter().map(read).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), StudyError> {
    let io = |source| StudyError::Io { path: directory.to_owned(), source };
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "md") && path.file_name().is_some_and(|n| n != "README.md") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = "+++\nid = \"a.b\"\ntitle = \"A is b\"\nstatus = \"proved\"\nsource = \"own\"\ncheck = [\"a.b\"]\n\
                        code = [\"a.rs#b\"]\n+++\n## Statement\n## Proof\n## Symbols\n| symbol | identifier |\n|---|---|\n\
                        | $a$ | `A`, `b` |\n## What the numerics cannot show\nAll.\n";

    #[test]
    fn notes_are_read_and_what_is_missing_is_named() {
        let note = Note::parse("a.md", NOTE).expect("a note");
        assert_eq!((note.heading.id.as_str(), note.heading.status), ("a.b", Status::Proved));
        assert_eq!(note.identifiers(), ["A", "b"]);
        let parts = ["+++\nid", "id = \"a.b\"\n", "## Proof\n", "## Symbols\n", "## Statement\n", "[\"a.b\"]"];
        for part in parts {
            let text = NOTE.replacen(part, if part == "[\"a.b\"]" { "[]" } else { "" }, 1);
            assert!(matches!(Note::parse("a.md", &text), Err(StudyError::Note { .. })), "{part}");
        }
        assert!(Note::parse("a.md", &NOTE.replace("source", "origin")).is_err());
    }
}
