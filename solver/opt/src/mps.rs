//! Programs in the MPS format and its quadratic extension QPS.
//!
//! | section | meaning |
//! |---|---|
//! | `NAME` | a name |
//! | `OBJSENSE` | `MAX` or `MIN` (the default), on the same line or the next |
//! | `ROWS` | `N` objective (the first one; further ones are free rows and dropped), `L` ≤, `G` ≥, `E` = |
//! | `COLUMNS` | coefficients by columns; `'MARKER'` lines with `'INTORG'` and `'INTEND'` enclose integer columns |
//! | `RHS` | right-hand sides; that of the objective is subtracted from it |
//! | `RANGES` | $R$ makes `L` $[b - \lvert R\rvert, b]$, `G` $[b, b + \lvert R\rvert]$, `E` $[b, b + R]$ or $[b + R, b]$ by the sign of $R$ |
//! | `BOUNDS` | `LO UP FX FR MI PL BV LI UI` |
//! | `QUADOBJ`, `QSECTION` | one triangle of $Q$ in $c^\top x + \tfrac12 x^\top Q x$ |
//! | `QMATRIX` | all of $Q$ |
//!
//! The format leaves open what the following mean; the readings are those of CPLEX and HiGHS:
//! - a column is nonnegative unless bounded, and an integer column between markers without bounds is binary;
//! - `UP` with a negative bound on a column without a lower bound makes it unbounded below; with 0 it does not;
//! - `MI` leaves the upper bound alone, and `BV`, `LI`, `UI` make their column integer;
//! - of several right-hand sides, ranges or sets of bounds in a file, all are read as one.
//!
//! Semicontinuous columns (`SC`), quadratic constraints, special ordered sets, indicator constraints and the `.lp`
//! format are not read: each is an error with its line.

mod line;

use crate::error::OptError;
use crate::program::{LinearProgram, Row};
use line::{Fields, split_fixed, split_free};
use std::collections::HashMap;
use thiserror::Error;

/// How a data line is cut into fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MpsForm {
    /// At white space; names have none.
    Free,
    /// At columns 2, 5, 15, 25, 40 and 50; names have up to 8 characters and may have spaces.
    Fixed,
}

/// What is wrong with a line of an MPS file.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum MpsFault {
    /// A section that is not read.
    #[error("section {0} is not supported")]
    Section(String),
    /// A section appears before one that it refers to, or twice.
    #[error("section {0} is out of order")]
    Order(String),
    /// Data outside of any section.
    #[error("data before the first section")]
    NoSection,
    /// A line in fixed form is not ASCII text, or has tabs, so that its columns are unclear.
    #[error("a line in fixed form has ASCII characters and no tabs")]
    Columns,
    /// A line in fixed form has text between the fields.
    #[error("text outside of the fields at columns 2-3, 5-12, 15-22, 25-36, 40-47 and 50-61")]
    Misplaced,
    /// A line with too few or too many fields.
    #[error("found {found} fields, expected {expected}")]
    FieldCount {
        /// The number of fields.
        found: usize,
        /// What the section calls for.
        expected: &'static str,
    },
    /// A field that is no finite number.
    #[error("expected a number, found {0:?}")]
    Number(String),
    /// A kind of row that is none of `N`, `L`, `G`, `E`.
    #[error("expected one of the row types N, L, G, E, found {0:?}")]
    RowType(String),
    /// A kind of bound that is not read.
    #[error("bound type {0:?} is not supported")]
    BoundType(String),
    /// A bound of integer type that is no integer.
    #[error("{0} bounds an integer column, but is no integer")]
    IntegerBound(f64),
    /// A sense that is neither `MAX` nor `MIN`.
    #[error("expected MAX or MIN, found {0:?}")]
    Sense(String),
    /// A marker that neither begins nor ends integer columns.
    #[error("expected 'INTORG' or 'INTEND', found {0:?}")]
    Marker(String),
    /// A row that `ROWS` does not list.
    #[error("there is no row {0:?}")]
    UnknownRow(String),
    /// A column that `COLUMNS` does not list.
    #[error("there is no column {0:?}")]
    UnknownColumn(String),
    /// A name given to two rows or to two columns that are apart.
    #[error("{0:?} is defined twice")]
    Duplicate(String),
    /// A coefficient, right-hand side or range that is given twice.
    #[error("the entry of {0:?} is given twice")]
    Repeated(String),
    /// A range of the objective.
    #[error("row {0:?} is free and has no range")]
    FreeRange(String),
    /// A matrix that is to be symmetric is not.
    #[error("the entries of {0:?} and {1:?} in QMATRIX differ")]
    Asymmetric(String, String),
    /// The file ends before `ENDATA`.
    #[error("the file ends without ENDATA")]
    Unfinished,
}

/// A program with what the MPS format says beyond a [`LinearProgram`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MpsModel {
    /// The name, empty if there is none.
    pub name: String,
    /// Whether the file asks for a maximum; [`MpsModel::program`] is then the minimisation of the negative.
    pub maximise: bool,
    /// The constant of the objective as the file has it.
    pub offset: f64,
    /// Objective (to be minimised, without quadratic part and constant), bounds and rows.
    pub program: LinearProgram,
    /// Columns that are to be integer, in ascending order.
    pub integer_columns: Vec<usize>,
    /// Entries $(i, j, Q_{ij})$, $i \le j$, of the symmetric $Q$ in $\tfrac12 x^\top Q x$, to be minimised.
    pub quadratic: Vec<(usize, usize, f64)>,
    /// Name of each column.
    pub column_names: Vec<String>,
    /// Name of each row.
    pub row_names: Vec<String>,
}

impl MpsModel {
    /// Reads a file's text.
    ///
    /// # Errors
    /// [`OptError::Mps`] with the line and the [`MpsFault`].
    pub fn read(text: &str, form: MpsForm) -> Result<Self, OptError> {
        let mut reader = Reader::default();
        let mut last = 0;
        for (index, text) in text.lines().enumerate() {
            last = index + 1;
            let at = |fault| OptError::Mps { line: last, fault };
            if text.starts_with('*') || text.trim().is_empty() {
                continue;
            }
            if text.starts_with(|c: char| !c.is_whitespace()) {
                if reader.header(text).map_err(at)? {
                    return reader.finish().map_err(at);
                }
                continue;
            }
            let fields = match form {
                MpsForm::Free => split_free(text, reader.section),
                MpsForm::Fixed => split_fixed(text, reader.section),
            };
            fields.and_then(|fields| reader.data(&fields)).map_err(at)?;
        }
        Err(OptError::Mps { line: last, fault: MpsFault::Unfinished })
    }

    /// The file's objective where the minimisation has this value.
    pub fn objective_value(&self, minimum: f64) -> f64 {
        if self.maximise { self.offset - minimum } else { self.offset + minimum }
    }
}

/// The part of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Section {
    #[default]
    None,
    Sense,
    Rows,
    Columns,
    RightHandSides,
    Ranges,
    Bounds,
    /// One triangle of the matrix.
    Triangle,
    /// The whole matrix.
    Matrix,
}

/// What `ROWS` says about a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum RowKind {
    Objective,
    /// A further row of type `N`.
    Dropped,
    AtMost(usize),
    AtLeast(usize),
    Equal(usize),
}

#[derive(Default)]
struct Reader {
    section: Section,
    model: MpsModel,
    rows: HashMap<String, RowKind>,
    has_objective: bool,
    columns: HashMap<String, usize>,
    /// For each row of the program, its right-hand side and range.
    right: Vec<Option<f64>>,
    ranges: Vec<Option<f64>>,
    has_offset: bool,
    integer: Vec<bool>,
    between_markers: bool,
    has_lower: Vec<bool>,
    has_upper: Vec<bool>,
    matrix: HashMap<(usize, usize), f64>,
}

impl Reader {
    /// Enters a section; `true` at the end of the data.
    fn header(&mut self, text: &str) -> Result<bool, MpsFault> {
        let mut words = text.split_whitespace();
        let keyword = words.next().unwrap_or_default();
        let section = match keyword {
            "NAME" => {
                self.model.name = text[keyword.len()..].trim().to_string();
                return Ok(false);
            }
            "ENDATA" => return Ok(true),
            "OBJSENSE" => Section::Sense,
            "ROWS" => Section::Rows,
            "COLUMNS" => Section::Columns,
            "RHS" => Section::RightHandSides,
            "RANGES" => Section::Ranges,
            "BOUNDS" => Section::Bounds,
            "QUADOBJ" | "QSECTION" => Section::Triangle,
            "QMATRIX" => Section::Matrix,
            _ => return Err(MpsFault::Section(keyword.to_string())),
        };
        let missing_columns = section > Section::Columns && self.section < Section::Columns;
        let quadratic_twice = section >= Section::Triangle && self.section >= Section::Triangle;
        if missing_columns || quadratic_twice || (section <= Section::Columns && section <= self.section) {
            return Err(MpsFault::Order(keyword.to_string()));
        }
        if section == Section::Sense
            && let Some(sense) = words.next()
        {
            self.sense(sense)?;
        }
        self.section = section;
        Ok(false)
    }

    fn data(&mut self, fields: &Fields) -> Result<(), MpsFault> {
        match self.section {
            Section::None => Err(MpsFault::NoSection),
            Section::Sense => self.sense(fields.name),
            Section::Rows => self.row(fields.kind, fields.name),
            Section::Columns => self.column(fields),
            Section::RightHandSides => {
                fields.pairs.iter().try_for_each(|&(row, value)| self.right_hand_side(row, number(value)?))
            }
            Section::Ranges => fields.pairs.iter().try_for_each(|&(row, value)| self.range(row, number(value)?)),
            Section::Bounds => self.bound(fields),
            Section::Triangle | Section::Matrix => {
                fields.pairs.iter().try_for_each(|&(other, value)| self.product(fields.name, other, number(value)?))
            }
        }
    }

    fn sense(&mut self, sense: &str) -> Result<(), MpsFault> {
        self.model.maximise = match sense.to_ascii_uppercase().as_str() {
            "MAX" | "MAXIMIZE" | "MAXIMISE" => true,
            "MIN" | "MINIMIZE" | "MINIMISE" => false,
            _ => return Err(MpsFault::Sense(sense.to_string())),
        };
        Ok(())
    }

    fn row(&mut self, kind: &str, name: &str) -> Result<(), MpsFault> {
        let index = self.model.program.rows.len();
        let kind = match kind.to_ascii_uppercase().as_str() {
            "N" if self.has_objective => RowKind::Dropped,
            "N" => RowKind::Objective,
            "L" => RowKind::AtMost(index),
            "G" => RowKind::AtLeast(index),
            "E" => RowKind::Equal(index),
            _ => return Err(MpsFault::RowType(kind.to_string())),
        };
        if self.rows.insert(name.to_string(), kind).is_some() {
            return Err(MpsFault::Duplicate(name.to_string()));
        }
        match kind {
            RowKind::Objective => self.has_objective = true,
            RowKind::Dropped => {}
            RowKind::AtMost(_) | RowKind::AtLeast(_) | RowKind::Equal(_) => {
                self.model.program.rows.push(Row::default());
                self.model.row_names.push(name.to_string());
                self.right.push(None);
                self.ranges.push(None);
            }
        }
        Ok(())
    }

    fn column(&mut self, fields: &Fields) -> Result<(), MpsFault> {
        if let Some(marker) = fields.marker {
            self.between_markers = match marker {
                "'INTORG'" => true,
                "'INTEND'" => false,
                _ => return Err(MpsFault::Marker(marker.to_string())),
            };
            return Ok(());
        }
        let last = self.model.column_names.len();
        if self.model.column_names.last().is_none_or(|name| name != fields.name) {
            if self.columns.insert(fields.name.to_string(), last).is_some() {
                return Err(MpsFault::Duplicate(fields.name.to_string()));
            }
            self.model.column_names.push(fields.name.to_string());
            self.integer.push(self.between_markers);
            self.has_lower.push(false);
            self.has_upper.push(false);
            let program = &mut self.model.program;
            program.objective.push(0.0);
            program.lower.push(0.0);
            program.upper.push(f64::INFINITY);
        }
        let column = self.model.column_names.len() - 1;
        for &(row, value) in &fields.pairs {
            let value = number(value)?;
            match self.row_kind(row)? {
                RowKind::Objective => self.model.program.objective[column] += value,
                RowKind::Dropped => {}
                RowKind::AtMost(index) | RowKind::AtLeast(index) | RowKind::Equal(index) => {
                    let entries = &mut self.model.program.rows[index].entries;
                    if entries.last().is_some_and(|&(last, _)| last == column) {
                        return Err(MpsFault::Repeated(row.to_string()));
                    }
                    entries.push((column, value));
                }
            }
        }
        Ok(())
    }

    fn right_hand_side(&mut self, row: &str, value: f64) -> Result<(), MpsFault> {
        let given = match self.row_kind(row)? {
            RowKind::Dropped => return Ok(()),
            RowKind::Objective => {
                self.model.offset = -value;
                std::mem::replace(&mut self.has_offset, true)
            }
            RowKind::AtMost(index) | RowKind::AtLeast(index) | RowKind::Equal(index) => {
                self.right[index].replace(value).is_some()
            }
        };
        if given { Err(MpsFault::Repeated(row.to_string())) } else { Ok(()) }
    }

    fn range(&mut self, row: &str, value: f64) -> Result<(), MpsFault> {
        let (RowKind::AtMost(index) | RowKind::AtLeast(index) | RowKind::Equal(index)) = self.row_kind(row)? else {
            return Err(MpsFault::FreeRange(row.to_string()));
        };
        if self.ranges[index].replace(value).is_some() {
            return Err(MpsFault::Repeated(row.to_string()));
        }
        Ok(())
    }

    fn bound(&mut self, fields: &Fields) -> Result<(), MpsFault> {
        let (name, text) = fields.pairs[0];
        let column = self.column_index(name)?;
        let kind = fields.kind.to_ascii_uppercase();
        let value = match kind.as_str() {
            "FR" | "MI" | "PL" | "BV" => 0.0,
            "LO" | "UP" | "FX" => bound_number(text)?,
            "LI" | "UI" => {
                let value = bound_number(text)?;
                if value.fract() != 0.0 {
                    return Err(MpsFault::IntegerBound(value));
                }
                value
            }
            _ => return Err(MpsFault::BoundType(fields.kind.to_string())),
        };
        let (new_lower, new_upper) = match kind.as_str() {
            "LO" | "LI" => (Some(value), None),
            "UP" | "UI" if value < 0.0 && !self.has_lower[column] => {
                // Only a bound of its own makes the lower end known.
                self.model.program.lower[column] = f64::NEG_INFINITY;
                (None, Some(value))
            }
            "UP" | "UI" => (None, Some(value)),
            "FX" => (Some(value), Some(value)),
            "FR" => (Some(f64::NEG_INFINITY), Some(f64::INFINITY)),
            "MI" => (Some(f64::NEG_INFINITY), None),
            "PL" => (None, Some(f64::INFINITY)),
            _ => (Some(0.0), Some(1.0)),
        };
        self.integer[column] |= matches!(kind.as_str(), "BV" | "LI" | "UI");
        if let Some(lower) = new_lower {
            self.model.program.lower[column] = lower;
            self.has_lower[column] = true;
        }
        if let Some(upper) = new_upper {
            self.model.program.upper[column] = upper;
            self.has_upper[column] = true;
        }
        Ok(())
    }

    fn product(&mut self, first: &str, second: &str, value: f64) -> Result<(), MpsFault> {
        let (i, j) = (self.column_index(first)?, self.column_index(second)?);
        let place = if self.section == Section::Triangle { (i.min(j), i.max(j)) } else { (i, j) };
        if self.matrix.insert(place, value).is_some() {
            return Err(MpsFault::Repeated(second.to_string()));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<MpsModel, MpsFault> {
        for kind in self.rows.values() {
            let (RowKind::AtMost(index) | RowKind::AtLeast(index) | RowKind::Equal(index)) = *kind else { continue };
            let right = self.right[index].unwrap_or(0.0);
            let range = self.ranges[index];
            let width = range.map_or(f64::INFINITY, f64::abs);
            let row = &mut self.model.program.rows[index];
            (row.lower, row.upper) = match kind {
                RowKind::AtMost(_) => (right - width, right),
                RowKind::AtLeast(_) => (right, right + width),
                _ => (right + range.unwrap_or(0.0).min(0.0), right + range.unwrap_or(0.0).max(0.0)),
            };
        }
        for column in 0..self.integer.len() {
            if self.integer[column] {
                self.model.integer_columns.push(column);
                if !self.has_lower[column] && !self.has_upper[column] {
                    self.model.program.upper[column] = 1.0;
                }
            }
        }
        let mut entries: Vec<_> = self.matrix.iter().map(|(&place, &value)| (place, value)).collect();
        entries.sort_unstable_by_key(|&(place, _)| place);
        for ((i, j), value) in entries {
            if self.section == Section::Matrix && self.matrix.get(&(j, i)) != Some(&value) {
                let names = &self.model.column_names;
                return Err(MpsFault::Asymmetric(names[i].clone(), names[j].clone()));
            }
            if i <= j {
                self.model.quadratic.push((i, j, value));
            }
        }
        if self.model.maximise {
            self.model.program.objective.iter_mut().for_each(|cost| *cost = -*cost);
            self.model.quadratic.iter_mut().for_each(|entry| entry.2 = -entry.2);
        }
        Ok(self.model)
    }

    fn row_kind(&self, name: &str) -> Result<RowKind, MpsFault> {
        self.rows.get(name).copied().ok_or_else(|| MpsFault::UnknownRow(name.to_string()))
    }

    fn column_index(&self, name: &str) -> Result<usize, MpsFault> {
        self.columns.get(name).copied().ok_or_else(|| MpsFault::UnknownColumn(name.to_string()))
    }
}

fn number(text: &str) -> Result<f64, MpsFault> {
    match bound_number(text) {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(MpsFault::Number(text.to_string())),
    }
}

/// A number, or infinity as `1e30`, `inf` and the like.
fn bound_number(text: &str) -> Result<f64, MpsFault> {
    let fault = || MpsFault::Number(text.to_string());
    // Fortran writes exponents with D.
    let value: f64 = text.replace(['d', 'D'], "e").parse().map_err(|_| fault())?;
    if value.is_nan() { Err(fault()) } else { Ok(value) }
}
