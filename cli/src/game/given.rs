//! Games as they are written in files.

use crate::error::CliError;
use secateur_bench_suites::oracle::command::Program;
use secateur_theory::TheoryError;
use secateur_theory::game::kinds::Kind;
use secateur_theory::game::table::MOST;
use secateur_theory::game::{Coalition, Game, Table};
use std::path::Path;

/// A game as it was given.
pub enum Given {
    Table(Table),
    Kind(Kind),
}

/// A file's content.
pub fn bytes(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|source| CliError::Read { path: path.to_owned(), source })
}

impl Given {
    /// A game whose values a program measures, where it is one.
    pub fn program(file: &[u8]) -> Option<Result<Program, serde_json::Error>> {
        let json: serde_json::Value = serde_json::from_slice(file).ok()?;
        json.get("command")?;
        Some(serde_json::from_slice(file))
    }

    /// Reads a game.
    pub fn read(path: &Path, file: &[u8]) -> Result<Self, CliError> {
        let fault = |what: String| CliError::Game { path: path.to_owned(), what };
        let theory = |error: TheoryError| fault(error.to_string());
        if path.extension().is_some_and(|extension| extension == "csv") {
            return Ok(Self::Table(from_csv(file).map_err(fault)?));
        }
        let json: serde_json::Value = serde_json::from_slice(file).map_err(|error| fault(error.to_string()))?;
        if json.get("kind").is_some() {
            let kind: Kind = serde_json::from_value(json).map_err(|error| fault(error.to_string()))?;
            return Ok(Self::Kind(kind.checked().map_err(theory)?));
        }
        // From the text again: errors then have a line.
        Ok(Self::Table(serde_json::from_slice(file).map_err(|error| fault(error.to_string()))?))
    }

    /// As any game.
    pub fn game(&self) -> &dyn Game {
        match self {
            Self::Table(table) => table,
            Self::Kind(kind) => kind,
        }
    }
}

/// A game with a line for each coalition. Nobody may be left out: that is worth 0.
fn from_csv(file: &[u8]) -> Result<Table, String> {
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let by_bits = match header.iter().map(str::trim).collect::<Vec<_>>()[..] {
        ["coalition", "value"] => true,
        ["players", "value"] => false,
        _ => return Err("the columns are `coalition,value` or `players,value`".to_owned()),
    };
    let mut known: std::collections::BTreeMap<u128, f64> = std::collections::BTreeMap::new();
    for (index, line) in reader.records().enumerate() {
        let at = index + 2;
        let line = line.map_err(|error| error.to_string())?;
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| format!("line {at}: `{text}` is no number"));
        let player = |text: &str| match text.parse::<usize>() {
            Ok(player) if player < MOST => Ok(player),
            _ => Err(format!("line {at}: `{text}` is no player from 0 to {}", MOST - 1)),
        };
        let set = if by_bits {
            let bits = line[0].trim().parse::<u128>().ok().filter(|bits| *bits < 1 << MOST);
            bits.ok_or_else(|| format!("line {at}: `{}` is no coalition of up to {MOST} players", &line[0]))?
        } else {
            let mut set = Coalition::EMPTY;
            for text in line[0].split_whitespace() {
                set = set.with(player(text)?);
            }
            set.0
        };
        if known.insert(set, number(&line[1])?).is_some() {
            return Err(format!("line {at}: coalition {} has a value already", Coalition(set)));
        }
    }
    let players = known.last_key_value().map_or(0, |(set, _)| 128 - set.leading_zeros() as usize);
    known.entry(0).or_insert(0.0);
    let value = |set: u128| {
        let value = known.get(&set).copied();
        value.ok_or_else(|| TheoryError::CoalitionMissing { coalition: Coalition(set) }.to_string())
    };
    let values = (0..1u128 << players).map(value).collect::<Result<Vec<_>, _>>()?;
    Table::new(players, values).map_err(|error| error.to_string())
}
