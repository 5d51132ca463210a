//! A reader of quadratic programs in QPS files without blanks in names.
//!
//! Sections `ROWS`, `COLUMNS`, `RHS`, `RANGES`, `BOUNDS` and `QUADOBJ` are read; the objective is
//! $\tfrac12 x^\top Q x + c^\top x - r$, where `QUADOBJ` gives one triangle of $Q$ and $r$ is the right-hand side of the
//! objective's row.

use crate::ampl::{ExpressionProgram, QuadraticTerms};
use crate::complementarity::Complementarity;
use crate::program::Row;
use std::collections::HashMap;
use thiserror::Error;

/// Why a quadratic program could not be read.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum QuadraticFault {
    /// A line that does not fit its section.
    #[error("line {line} is not understood")]
    Line {
        /// The line.
        line: usize,
    },
    /// A row or column that is not declared.
    #[error("line {line}: {name} is not declared")]
    Undeclared {
        /// The line.
        line: usize,
        /// The row or column.
        name: String,
    },
}

/// A line of `ROWS` and what the later sections say of it.
struct Line {
    kind: char,
    entries: Vec<(usize, f64)>,
    right: f64,
    range: Option<f64>,
}

#[derive(Default)]
struct Reader {
    rows: Vec<Line>,
    row_names: HashMap<String, usize>,
    columns: HashMap<String, usize>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    quadratic: Vec<(usize, usize, f64)>,
}

/// Reads a quadratic program.
///
/// # Errors
/// Lines that are not understood: see [`QuadraticFault`].
pub fn read_quadratic(text: &str) -> Result<Complementarity<ExpressionProgram>, QuadraticFault> {
    let mut reader = Reader::default();
    let mut section = String::new();
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        let fields: Vec<&str> = content.split_whitespace().collect();
        if fields.is_empty() || content.starts_with('*') {
            continue;
        }
        if !content.starts_with(' ') {
            section = fields[0].to_string();
            if section == "ENDATA" {
                break;
            }
            continue;
        }
        reader.line(&section, &fields, line)?;
    }
    Ok(Complementarity { program: reader.finish(), pairs: Vec::new() })
}

impl Reader {
    fn line(&mut self, section: &str, fields: &[&str], line: usize) -> Result<(), QuadraticFault> {
        let number = |field: &str| field.parse::<f64>().map_err(|_| QuadraticFault::Line { line });
        match (section, fields) {
            ("ROWS", [kind, name]) => {
                let kind = kind.chars().next().filter(|k| "NLGE".contains(*k)).ok_or(QuadraticFault::Line { line })?;
                self.row_names.insert((*name).to_string(), self.rows.len());
                self.rows.push(Line { kind, entries: Vec::new(), right: 0.0, range: None });
            }
            ("COLUMNS", [column, entries @ ..]) if matches!(entries.len(), 2 | 4) => {
                let count = self.columns.len();
                let column = *self.columns.entry((*column).to_string()).or_insert(count);
                if column == count {
                    self.lower.push(0.0);
                    self.upper.push(f64::INFINITY);
                }
                for pair in entries.chunks_exact(2) {
                    let row = self.row(pair[0], line)?;
                    self.rows[row].entries.push((column, number(pair[1])?));
                }
            }
            ("RHS" | "RANGES", [_, entries @ ..]) if matches!(entries.len(), 2 | 4) => {
                for pair in entries.chunks_exact(2) {
                    let (row, value) = (self.row(pair[0], line)?, number(pair[1])?);
                    if section == "RHS" {
                        self.rows[row].right = value;
                    } else {
                        self.rows[row].range = Some(value);
                    }
                }
            }
            ("BOUNDS", [kind, _, column, value @ ..]) => {
                let column = self.column(column, line)?;
                let value = value.first().map_or(Ok(f64::NAN), |value| number(value))?;
                let (lower, upper) = match *kind {
                    "LO" => (value, self.upper[column]),
                    "UP" => (self.lower[column], value),
                    "FX" => (value, value),
                    "FR" => (f64::NEG_INFINITY, f64::INFINITY),
                    "MI" => (f64::NEG_INFINITY, self.upper[column]),
                    "PL" => (self.lower[column], f64::INFINITY),
                    _ => return Err(QuadraticFault::Line { line }),
                };
                if lower.is_nan() || upper.is_nan() {
                    return Err(QuadraticFault::Line { line });
                }
                (self.lower[column], self.upper[column]) = (lower, upper);
            }
            ("QUADOBJ", [a, b, value]) => {
                let (a, b) = (self.column(a, line)?, self.column(b, line)?);
                self.quadratic.push((a, b, number(value)?));
            }
            _ => return Err(QuadraticFault::Line { line }),
        }
        Ok(())
    }

    fn row(&self, name: &str, line: usize) -> Result<usize, QuadraticFault> {
        self.row_names.get(name).copied().ok_or_else(|| QuadraticFault::Undeclared { line, name: name.to_string() })
    }

    fn column(&self, name: &str, line: usize) -> Result<usize, QuadraticFault> {
        self.columns.get(name).copied().ok_or_else(|| QuadraticFault::Undeclared { line, name: name.to_string() })
    }

    fn finish(self) -> ExpressionProgram {
        let mut terms = QuadraticTerms {
            quadratic: self.quadratic.iter().map(|&(a, b, q)| (a, b, if a == b { 0.5 * q } else { q })).collect(),
            lower: self.lower,
            upper: self.upper,
            ..QuadraticTerms::default()
        };
        for Line { kind, entries, right, range } in self.rows {
            let (lower, upper) = match (kind, range) {
                ('N', _) => {
                    // The first free row is the objective; others constrain nothing.
                    if terms.linear.is_empty() && terms.constant == 0.0 {
                        (terms.linear, terms.constant) = (entries, -right);
                    }
                    continue;
                }
                ('L', None) => (f64::NEG_INFINITY, right),
                ('G', None) => (right, f64::INFINITY),
                ('L', Some(range)) => (right - range.abs(), right),
                ('G', Some(range)) => (right, right + range.abs()),
                (_, None) => (right, right),
                (_, Some(range)) => (right + range.min(0.0), right + range.max(0.0)),
            };
            terms.rows.push(Row { entries, lower, upper });
        }
        terms.program()
    }
}
