//! Properties in VNNLIB: version 1.0, and of 2.0 the queries over a single network.
//!
//! | step | file |
//! |---|---|
//! | text to nested expressions | `syntax` |
//! | which variables there are | `declarations` |
//! | decimals to exact rationals | `number` |
//! | comparisons to linear constraints, `and`/`or` to a formula | `formula` |
//! | formula to boxes with unsafe sets | `cases` |

mod cases;
mod declarations;
mod fault;
mod formula;
mod number;
mod syntax;

pub use fault::VnnlibFault;
pub use number::{decimal, quotient};

use crate::error::NnError;
use crate::gzip;
use crate::property::Property;
use cases::Cases;
use declarations::Declarations;
use fault::At;
use formula::Formula;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use syntax::Reader;

/// The most bytes that a property may unpack to.
const MAX_BYTES: u64 = 256 << 20;

/// Reads a property from a file, gunzipping it where it is compressed.
///
/// # Errors
/// [`NnError::Vnnlib`] with the file's name, the line, and a [`VnnlibFault`].
pub fn read(path: impl AsRef<Path>) -> Result<Property, NnError> {
    let path = path.as_ref();
    let origin = path.display().to_string();
    let file = File::open(path).map_err(|e| At::file(VnnlibFault::Io(e)).into_error(&origin))?;
    property(file).map_err(|at| at.into_error(&origin))
}

/// Reads a property from text, gunzipping it where it is compressed.
///
/// # Errors
/// [`NnError::Vnnlib`] with `origin`, the line, and a [`VnnlibFault`].
pub fn parse(text: impl AsRef<[u8]>, origin: &str) -> Result<Property, NnError> {
    property(text.as_ref()).map_err(|at| at.into_error(origin))
}

fn property(source: impl Read) -> Result<Property, At> {
    let mut bytes = Vec::new();
    gzip::plain(source, MAX_BYTES)
        .and_then(|mut plain| plain.read_to_end(&mut bytes))
        .map_err(|e| At::file(VnnlibFault::Io(e)))?;
    let text = std::str::from_utf8(&bytes).map_err(|e| At {
        line: Some(1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count()),
        fault: VnnlibFault::NotText,
    })?;
    let mut reader = Reader::new(text);
    let mut declarations = Declarations::default();
    let mut cases = Cases::default();
    let mut empty = true;
    while let Some(expression) = reader.next()? {
        empty = false;
        let (command, arguments) = expression.call()?;
        match (command, arguments) {
            ("assert", [argument]) => cases.assert(Formula::new(argument, &declarations)?, &declarations)?,
            ("assert", _) => return Err(expression.wrong_count("assert", "1", arguments.len())),
            ("vnnlib-version", [version]) => declarations.version(version)?,
            ("declare-const", _) => declarations.constant(&expression, arguments)?,
            ("declare-network", _) => declarations.network(&expression, arguments)?,
            _ => return Err(expression.unknown("command", command)),
        }
    }
    if empty {
        return Err(At::file(VnnlibFault::Empty));
    }
    let (inputs, outputs) = declarations.sizes()?;
    cases.finish(inputs, outputs, &declarations)
}
