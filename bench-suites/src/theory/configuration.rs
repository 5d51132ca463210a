//! Configurations of studies: TOML files whose values are checked.

use super::error::StudyError;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::path::Path;

/// What is wrong: the key, what belongs there, what is there.
pub type Fault = (&'static str, &'static str, String);

/// Refuses a value that breaks a rule.
///
/// # Errors
/// The rule does not hold.
pub fn rule(holds: bool, key: &'static str, expected: &'static str, found: &dyn Debug) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err((key, expected, format!("{found:?}"))) }
}

/// Reads a configuration.
///
/// # Errors
/// The file cannot be read, has unknown keys, or a value makes no sense.
pub fn read<C: DeserializeOwned>(path: &Path, check: impl FnOnce(&C) -> Result<(), Fault>) -> Result<C, StudyError> {
    let text = std::fs::read_to_string(path).map_err(|source| StudyError::Io { path: path.to_owned(), source })?;
    let fault = |source| StudyError::Config { path: path.to_owned(), source: Box::new(source) };
    let config: C = toml::from_str(&text).map_err(fault)?;
    let fault = |(key, expected, found)| StudyError::Value { path: path.to_owned(), key, expected, found };
    check(&config).map_err(fault)?;
    Ok(config)
}
