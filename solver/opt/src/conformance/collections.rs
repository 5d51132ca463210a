//! Collections of problems in a directory.

use super::{Known, Problem, Unread, read_quadratic};
use crate::ampl::AmplModel;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a collection could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CollectionFault {
    /// Its table could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A line of its table has too few fields, or one that is no number.
    #[error("{path}: line {line} is not understood")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
}

fn table(path: &Path) -> Result<Vec<Vec<String>>, CollectionFault> {
    let text = std::fs::read_to_string(path).map_err(|source| CollectionFault::Read { path: path.into(), source })?;
    Ok(text.lines().skip(1).map(|line| line.split(',').map(|field| field.trim().to_string()).collect()).collect())
}

/// The problems of MacMPEC.
///
/// `directory` holds `collection.csv` with the fields name, model file, data file, classification and best known
/// value, and the folder `ampl`. A value `(I)` means that there is no feasible point.
///
/// # Errors
/// A table that cannot be read. A problem that cannot be read is a problem with its reason.
///
/// # Source
/// S. Leyffer, "MacMPEC: AMPL collection of MPECs".
pub fn macmpec(directory: &Path) -> Result<Vec<Problem>, CollectionFault> {
    let path = directory.join("collection.csv");
    let mut problems = Vec::new();
    let lines = table(&path)?;
    for (index, fields) in lines.iter().enumerate() {
        let fault = || CollectionFault::Line { path: path.clone(), line: index + 2 };
        let [name, model_file, data, _, value] = fields.as_slice() else { return Err(fault()) };
        let read = |file: &str| {
            std::fs::read_to_string(directory.join("ampl").join(file)).map_err(|_| Unread::NoFile(file.to_string()))
        };
        let text = read(model_file).and_then(|model| match data.as_str() {
            "n/a" => Ok((model, None)),
            data => read(data).map(|data| (model, Some(data))),
        });
        let model = text.and_then(|(model, data)| AmplModel::read(&model, data.as_deref()).map_err(Unread::Ampl));
        let sign = if model.as_ref().is_ok_and(|model| model.maximize) { -1.0 } else { 1.0 };
        let known = match value.as_str() {
            "(I)" => Known::Infeasible,
            "" | "tba" => Known::Nothing,
            value => Known::Best(sign * value.parse::<f64>().map_err(|_| fault())?),
        };
        // A few names stand for more than one problem.
        let is_repeated = lines.iter().filter(|other| other.first() == Some(name)).count() > 1;
        let name = if is_repeated { format!("{name} {model_file} {data}") } else { name.clone() };
        problems.push(Problem { name, program: model.map(|model| model.program), known });
    }
    Ok(problems)
}

/// Convex quadratic programs in QPS files, with their values in `expected.csv` (file, value, ...).
///
/// # Errors
/// A table that cannot be read. A problem that cannot be read is a problem with its reason.
pub fn quadratic_programs(directory: &Path) -> Result<Vec<Problem>, CollectionFault> {
    let path = directory.join("expected.csv");
    let mut problems = Vec::new();
    for (index, fields) in table(&path)?.iter().enumerate() {
        let fault = || CollectionFault::Line { path: path.clone(), line: index + 2 };
        let [file, value, ..] = fields.as_slice() else { return Err(fault()) };
        let known = Known::Best(value.parse().map_err(|_| fault())?);
        let text = std::fs::read_to_string(directory.join(file)).map_err(|_| Unread::NoFile(file.clone()));
        let program = text.and_then(|text| read_quadratic(&text).map_err(Unread::Quadratic));
        problems.push(Problem { name: file.clone(), program, known });
    }
    Ok(problems)
}
