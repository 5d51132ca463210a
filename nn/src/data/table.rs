//! Tables of numbers: one sample per line, separated by commas.

use super::dataset::{Dataset, Inputs, Targets};
use super::fault::DataFault;
use super::{fault, fault_at, read};
use crate::error::NnError;
use std::path::Path;
use std::sync::Arc;

/// What a table's target column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Classes, numbered from 0.
    Classes,
    /// Numbers.
    Values,
}

/// How a table is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    /// The target's column: its name in the header, or its number from 0.
    pub target: String,
    /// What it holds.
    pub kind: Kind,
    /// Factor of every feature, such as 1/255 for bytes.
    pub scale: f32,
}

impl Default for Columns {
    /// Classes in the first column, features as they are.
    fn default() -> Self {
        Self { target: "0".to_owned(), kind: Kind::Classes, scale: 1.0 }
    }
}

/// A data set from a CSV file. The first line is a header if one of its fields is not a number.
///
/// # Errors
/// The file is missing or empty, it has no such column, a line has more or fewer fields than the first, or a field is
/// not a number (for classes: a whole number from 0).
pub fn read_table(path: &Path, columns: &Columns) -> Result<Dataset, NnError> {
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim())).filter(|(_, line)| !line.is_empty());
    let mut lines = lines.peekable();
    let first: Vec<&str> = lines.peek().map(|(_, line)| fields(line).collect()).unwrap_or_default();
    let width = first.len();
    let named = first.iter().any(|field| field.parse::<f32>().is_err());
    let by_name = first.iter().position(|field| named && *field == columns.target);
    let by_number = || columns.target.parse::<usize>().ok().filter(|column| *column < width);
    let target = by_name.or_else(by_number).ok_or_else(|| {
        let column = columns.target.clone();
        fault(path, if width == 0 { DataFault::Empty } else { DataFault::NoColumn { column, columns: width } })
    })?;
    if named {
        lines.next();
    }
    let (mut features, mut labels, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (number, line) in lines {
        let found = fields(line).count();
        if found != width {
            return Err(fault_at(path, number, "as many fields as in the first line", &format!("{found} fields")));
        }
        for (column, field) in fields(line).enumerate() {
            if column == target && columns.kind == Kind::Classes {
                let label = field.parse::<usize>().ok().filter(|label| *label < 1 << 24);
                labels.push(label.ok_or_else(|| fault_at(path, number, "a class, numbered from 0", field))?);
                continue;
            }
            let value = field.parse::<f32>().ok().filter(|v| v.is_finite());
            let value = value.ok_or_else(|| fault_at(path, number, "a number", field))?;
            if column == target { values.push(value) } else { features.push(value * columns.scale) }
        }
    }
    let targets = match columns.kind {
        Kind::Classes => {
            let classes = labels.iter().max().map_or(0, |most| most + 1);
            Targets::Classes { classes, labels: Arc::new(labels) }
        }
        Kind::Values => Targets::Values { width: 1, values: Arc::new(values) },
    };
    let inputs = Inputs::Dense { shape: vec![width - 1], values: Arc::new(features) };
    Dataset::new(&path.display().to_string(), inputs, targets)
}

fn fields(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(content: &str, columns: &Columns) -> Result<Dataset, NnError> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("t.csv");
        std::fs::write(&path, content).unwrap();
        read_table(&path, columns)
    }

    #[test]
    fn tables_with_and_without_a_header() {
        let plain = table("1,0.5,2\n0,1,3\n", &Columns::default()).unwrap();
        let columns = Columns { target: "y".to_owned(), scale: 0.5, ..Columns::default() };
        let named = table("a,y,b\n1.0,1,4\n\n2,0,6\n", &columns).unwrap();
        assert_eq!(plain, named);
        let columns = Columns { target: "2".to_owned(), kind: Kind::Values, scale: 1.0 };
        let values = table("1,2,-0.5\n", &columns).unwrap();
        assert_eq!(values.targets(), &Targets::Values { width: 1, values: Arc::new(vec![-0.5]) });
    }

    #[test]
    fn faults_name_the_line() {
        for (content, part) in [
            ("1,2\n1,2,3\n", "line 2: expected as many fields as in the first line, found `3 fields`"),
            ("1,2\n\nx,2\n", "line 3: expected a class, numbered from 0, found `x`"),
            ("1,2\n1,nan\n", "line 2: expected a number, found `nan`"),
            ("1,2\n-1,2\n", "line 2: expected a class"),
            ("", "no samples"),
            ("a,b\n", "no samples"),
            ("1\n", "no samples"),
        ] {
            let error = table(content, &Columns::default()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let columns = Columns { target: "z".to_owned(), ..Columns::default() };
        let error = table("a,b\n1,2\n", &columns).unwrap_err().to_string();
        assert!(error.contains("no column `z`: there are 2"), "{error}");
    }
}
