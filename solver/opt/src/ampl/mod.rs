//! A reader of a part of the AMPL modelling language, enough for collections of test problems.
//!
//! Read are: sets with `within`, `union`, `inter`, `diff`, `cross`, ranges and lists; parameters with values,
//! defaults, and lists and tables of data; variables with bounds, starts and definitions; one objective; constraints
//! with indexing; `complements` between two inequalities, or between a range and an expression; the commands `let`,
//! `fix`, `for` and `if`. Restrictions on parameters (`integer`, `> 0`, `in S`) are read and not checked. `option`,
//! `solve`, `display`, `printf` and the like have no effect.
//!
//! | step | file |
//! |---|---|
//! | text to tokens | `lex` |
//! | tokens to expressions and sets | `parse`, `syntax` |
//! | tokens to declarations, commands and data | `statements` |
//! | data and commands to values of sets and parameters | `values` |
//! | declarations and values to functions of the variables | `instance` |
//! | functions with derivatives | `expression` |
//!
//! # Source
//! R. Fourer, D. M. Gay, B. W. Kernighan, "AMPL: a modeling language for mathematical programming", appendix A.

mod expression;
mod instance;
mod lex;
mod parse;
mod program;
mod statements;
mod syntax;
mod values;

pub use program::{ExpressionProgram, QuadraticTerms};

use crate::complementarity::Complementarity;
use thiserror::Error;

/// A model read from text.
#[derive(Clone, Debug)]
pub struct AmplModel {
    /// The program, as a minimisation; a maximisation is negated.
    pub program: Complementarity<ExpressionProgram>,
    /// Whether the text asks for the largest value.
    pub maximize: bool,
}

impl AmplModel {
    /// Reads a model and its data.
    ///
    /// # Errors
    /// Text outside the part of the language that is read, and values that are missing: see [`AmplFault`].
    pub fn read(model: &str, data: Option<&str>) -> Result<Self, AmplFault> {
        let mut source = statements::Source::default();
        source.read(model, false)?;
        if let Some(data) = data {
            source.read(data, true)?;
        }
        instance::model(&source)
    }

    /// A value of the program in the sense of the text.
    pub fn value(&self, value: f64) -> f64 {
        if self.maximize { -value } else { value }
    }
}

/// Why a model could not be read.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum AmplFault {
    /// A character that no token begins with.
    #[error("line {line}: unexpected character {character:?}")]
    Character {
        /// The line.
        line: usize,
        /// The character.
        character: char,
    },
    /// A comment or text without an end.
    #[error("line {line}: a comment or text does not end")]
    Unterminated {
        /// The line on which it begins.
        line: usize,
    },
    /// Digits that are no number.
    #[error("line {line}: {text} is no number")]
    Number {
        /// The line.
        line: usize,
        /// The digits.
        text: String,
    },
    /// A token out of place.
    #[error("line {line}: expected {expected}, found {found}")]
    Syntax {
        /// The line.
        line: usize,
        /// What could stand here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// A part of the language that is not read.
    #[error("line {line}: {feature} is not supported")]
    Unsupported {
        /// The line.
        line: usize,
        /// The part.
        feature: &'static str,
    },
    /// A name without a declaration.
    #[error("{name} is not declared as {kind}")]
    Undeclared {
        /// The name.
        name: String,
        /// What it would have to be.
        kind: &'static str,
    },
    /// A set, parameter or variable without a value for its subscripts.
    #[error("{name}[{subscripts}] has no value")]
    NoValue {
        /// The name.
        name: String,
        /// Its subscripts.
        subscripts: String,
    },
    /// A table of data whose size does not fit its headings.
    #[error("line {line}: the values of {name} do not fit its subscripts or headings")]
    DataShape {
        /// The line.
        line: usize,
        /// The parameter or set.
        name: String,
    },
    /// A variable where a constant must stand.
    #[error("{name} is a variable where a constant must stand")]
    NotConstant {
        /// The variable.
        name: String,
    },
    /// Text where a number must stand.
    #[error("'{text}' stands where a number must")]
    NotNumber {
        /// The text.
        text: String,
    },
    /// A function that is not known, or not of variables.
    #[error("the function {name} of {arguments} arguments is not supported here")]
    Function {
        /// The function.
        name: String,
        /// The number of its arguments.
        arguments: usize,
    },
    /// A tuple whose length is not that of the members of its set.
    #[error("an index tuple of {found} places runs over a set of {expected}")]
    Dimension {
        /// Places of the members.
        expected: usize,
        /// Places of the tuple.
        found: usize,
    },
    /// A complementarity condition in a form that is not read.
    #[error("line {line}: the complementarity condition of {name} has a form that is not supported")]
    Complements {
        /// The line.
        line: usize,
        /// The constraint.
        name: String,
    },
    /// Definitions that need themselves.
    #[error("the definition of {name} needs itself, or is nested too deeply")]
    Circular {
        /// The name.
        name: String,
    },
    /// A model without an objective.
    #[error("the model has no objective")]
    NoObjective,
}
