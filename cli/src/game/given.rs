//! Games as they are written in files.

use crate::error::CliError;
use crate::progress::Steps;
use secateur_bench_suites::oracle::Expensive;
use secateur_bench_suites::oracle::command::Program;
use secateur_bench_suites::watcher::Watcher;
use secateur_theory::TheoryError;
use secateur_theory::game::kinds::Kind;
use secateur_theory::game::table::MOST;
use secateur_theory::game::{Coalition, Table};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::path::Path;

/// A game as it was given.
pub enum Given {
    Table(Table),
    Kind(Kind),
    /// Its values are measured by a program.
    Program(Program),
}

/// What a game in JSON has, which says how it is given.
#[derive(Deserialize)]
struct Marks {
    kind: Option<IgnoredAny>,
    command: Option<IgnoredAny>,
}

impl Given {
    /// Reads a game.
    pub fn read(path: &Path) -> Result<(Self, Vec<u8>), CliError> {
        let file = std::fs::read(path).map_err(|source| CliError::Read { path: path.to_owned(), source })?;
        let fault = |what: String| CliError::Game { path: path.to_owned(), what };
        // Editors of some systems put it before a text.
        let text = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&file);
        let csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let game = if csv { from_csv(text).map(Self::Table) } else { from_json(path, text) };
        Ok((game.map_err(fault)?, file))
    }
}

fn from_json(path: &Path, file: &[u8]) -> Result<Given, String> {
    if file.trim_ascii_start().first() != Some(&b'{') {
        return Err("a game in JSON is an object: {\"n\": 2, \"values\": [0, 1, 1, 3]}".to_owned());
    }
    let fault = |error: serde_json::Error| {
        let text = String::from_utf8_lossy(file);
        let word = ["NaN", "Infinity", "null", "inf"].into_iter().find(|word| text.contains(word));
        let hint = word.map_or_else(String::new, |word| format!("; values are finite numbers, which `{word}` is not"));
        format!("{error}{hint}")
    };
    let Marks { kind, command } = serde_json::from_slice(file).map_err(fault)?;
    match (kind, command) {
        (Some(_), _) => {
            let kind: Kind = serde_json::from_slice(file).map_err(fault)?;
            kind.checked().map(Given::Kind).map_err(|error| error.to_string())
        }
        (None, Some(_)) => {
            let program: Program = serde_json::from_slice(file).map_err(fault)?;
            program.within(path.parent().unwrap_or("".as_ref())).map(Given::Program)
        }
        (None, None) => serde_json::from_slice(file).map(Given::Table).map_err(fault),
    }
}

/// A game of a program, with its values in a directory.
pub struct Asked<'a> {
    /// The program.
    pub program: &'a Program,
    /// Where its values are.
    pub out: &'a Path,
    /// Measurements side by side.
    pub threads: usize,
    /// Whether progress is shown.
    pub quiet: bool,
}

impl Asked<'_> {
    /// Runs something on the game. Ctrl-C ends it; what was measured is kept.
    pub fn run<T>(
        &self,
        path: &Path,
        work: impl FnOnce(&Expensive<'_>) -> Result<T, TheoryError>,
    ) -> Result<(T, (usize, usize)), CliError> {
        let display = Steps::new(self.quiet)?;
        let Self { program, out, threads, .. } = *self;
        let game = Expensive::open(program, &program.seeds, out, program, threads, &display);
        let game = game.map_err(|error| CliError::Theory(error.into()))?;
        let found = work(&game);
        display.clear();
        let found = found.map_err(|error| match display.stop() {
            true => CliError::Measuring { measured: game.count().1, out: out.to_owned() },
            false => CliError::Game { path: path.to_owned(), what: error.to_string() },
        })?;
        Ok((found, game.count()))
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
                let player = player(text)?;
                if set.has(player) {
                    return Err(format!("line {at}: player {player} is named twice"));
                }
                set = set.with(player);
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
