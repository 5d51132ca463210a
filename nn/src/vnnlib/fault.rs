//! Why a property was refused.

use crate::error::NnError;
use std::io;
use thiserror::Error;

/// Why a property was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VnnlibFault {
    /// The file cannot be read or unpacked.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    /// The file is not text.
    #[error("not a text in UTF-8")]
    NotText,
    /// The file holds no command.
    #[error("the file is empty (no commands)")]
    Empty,
    /// A parenthesis, bracket or quotation is not closed.
    #[error("`{opened}` is never closed")]
    Unclosed {
        /// What was opened.
        opened: char,
    },
    /// Something stands where it cannot.
    #[error("expected {expected}, found `{found}`")]
    Unexpected {
        /// What can stand there.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// Expressions are nested too deeply.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A command, operator, sort or statement is not known, or not supported.
    #[error("{what} `{name}` is not supported")]
    Unknown {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A command or operator has the wrong number of arguments.
    #[error("`{name}` takes {expected} arguments, found {found}")]
    ArgumentCount {
        /// The command or operator.
        name: String,
        /// How many it takes.
        expected: &'static str,
        /// How many it has.
        found: usize,
    },
    /// A number is not a decimal, or is too long.
    #[error("`{text}` is not a decimal number of at most {limit} characters and that exponent")]
    Number {
        /// The number.
        text: String,
        /// The limit on its length and on its exponent.
        limit: usize,
    },
    /// A variable is used but not declared.
    #[error("variable `{name}` is not declared")]
    Undeclared {
        /// The variable.
        name: String,
    },
    /// A variable is declared twice.
    #[error("`{name}` is declared twice")]
    Redeclared {
        /// The variable.
        name: String,
    },
    /// The numbering of the variables has a gap.
    #[error("`{missing}` is not declared, but variables of higher index are")]
    Gap {
        /// The variable that is missing.
        missing: String,
    },
    /// No input or no output is declared.
    #[error("no {what} is declared")]
    NoVariables {
        /// Input or output.
        what: &'static str,
    },
    /// A declared shape is negative or too large.
    #[error("`{text}` is no possible shape")]
    Shape {
        /// The shape.
        text: String,
    },
    /// An index lies outside the declared shape.
    #[error("`{name}[{index}]` is outside the declared shape {shape:?}")]
    Index {
        /// The variable.
        name: String,
        /// The index.
        index: String,
        /// The declared shape.
        shape: Vec<usize>,
    },
    /// Two expressions with variables are multiplied.
    #[error("a product of two expressions with variables is not linear")]
    NonLinear,
    /// An input has no lower or no upper bound.
    #[error("input `{name}` has no {side} bound")]
    MissingBound {
        /// The input.
        name: String,
        /// Lower or upper.
        side: &'static str,
    },
    /// The bounds of an input exclude each other on every branch.
    #[error("input `{name}` has contradictory bounds: {bounds}")]
    Contradiction {
        /// The input.
        name: String,
        /// The largest lower bound and the smallest upper bound.
        bounds: String,
    },
    /// A comparison of constants is false on every branch.
    #[error("a comparison of constants is false on every branch, so the property cannot be violated")]
    False,
    /// The combinations of `or` are too many.
    #[error("the nested `or` make more than {limit} combinations")]
    TooManyCases {
        /// The limit.
        limit: usize,
    },
}

/// A fault and its line.
#[derive(Debug)]
pub struct At {
    /// Line, from 1; none when it concerns the whole file.
    pub line: Option<usize>,
    /// What is wrong.
    pub fault: VnnlibFault,
}

impl At {
    /// A fault of the whole file.
    pub fn file(fault: VnnlibFault) -> Self {
        Self { line: None, fault }
    }

    /// A fault on a line.
    pub fn line(line: usize, fault: VnnlibFault) -> Self {
        Self { line: Some(line), fault }
    }

    /// The crate's error.
    pub fn into_error(self, origin: &str) -> NnError {
        let origin = match self.line {
            Some(line) => format!("{origin}:{line}"),
            None => origin.to_owned(),
        };
        NnError::Vnnlib { origin, line: self.line, fault: Box::new(self.fault) }
    }
}
