//! `secateur game solve`: a game that is given by its values, or as one of the literature.

use super::given::{Asked, Given};
use super::record::Record;
use super::{sampled, whole};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use clap::{Args, ValueEnum};
use dashu_base::Abs;
use dashu_ratio::RBig;
use secateur_bench_suites::oracle::Expensive;
use secateur_bench_suites::oracle::command::Program;
use secateur_check::shares::Shares;
use secateur_theory::TheoryError;
use secateur_theory::game::core::{Membership, membership_of};
use secateur_theory::game::excess::{ExcessOracle, Excesses};
use secateur_theory::game::kinds::Kind;
use secateur_theory::game::least_core::{LeastCore, Settings, least_core_of};
use secateur_theory::game::nucleolus::{nucleolus_of, prenucleolus_of};
use secateur_theory::game::sampled::{Method, coalitions, sample};
use secateur_theory::game::shapley::{banzhaf, leave_one_out, shapley};
use secateur_theory::game::table::MOST;
use secateur_theory::game::{Coalition, Game, Plain, Table};
use std::path::PathBuf;

/// Solve a game that is given by its values, or as one of the games of the literature.
///
/// A game of up to 24 players is solved by the values of all coalitions. The least core, the core, and the Shapley and Banzhaf values of
/// most games of the literature need no such table, so these games may have a hundred players.
///
/// A game in JSON is `{"n": 3, "values": [v(∅), v({0}), v({1}), v({0,1}), …]}`, bit i of the position being player i, or
/// `{"kind": "airport", "costs": […]}` and likewise `weighted-voting` (quota, weights), `induced-subgraph` (n, edges),
/// `bankruptcy` (estate, claims), `spanning-tree` (costs, source first). A game in CSV has the columns `coalition,value` with the
/// bits as a number, or `players,value` with the players' numbers between spaces.
///
/// Values may also be measured by a program, `{"n": 6, "command": […], "seeds": […]}`, as `game search --help` says; they are kept in --out.
#[derive(Args)]
pub struct Arguments {
    /// The game (JSON or CSV).
    pub(super) game: PathBuf,
    /// What is fair.
    #[arg(long, value_enum)]
    pub(super) concept: Concept,
    /// Nobody gets less than 0 (least core).
    #[arg(long)]
    pub(super) nonnegative: bool,
    /// Payoffs, between commas, that are compared with what coalitions have alone (core). Decimals are read as doubles, as values
    /// are, and gains of their roundings do not count; quotients such as 1/3 are exact.
    #[arg(long, value_name = "X,…", value_delimiter = ',', allow_hyphen_values = true)]
    payoffs: Vec<String>,
    /// Draw this many units instead of going through all coalitions (Shapley).
    #[arg(long, value_name = "N")]
    units: Option<usize>,
    /// How units are drawn; antithetic by default.
    #[arg(long, value_enum)]
    method: Option<Draw>,
    /// The seed of draws; 1 by default.
    #[arg(long)]
    seed: Option<u64>,
    /// The directory of measured values, for a game with a command.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Values that are measured side by side, for a game with a command; every core by default.
    #[arg(long, value_name = "N", value_parser = crate::verify::threads)]
    threads: Option<usize>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
    /// Write the record as JSON to a file, or to standard output with `-` instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a proof of the least core, for `secateur-check --least-core GAME FILE`; with --table it is about that file.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Write the game with all its values.
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Concept {
    LeastCore,
    Nucleolus,
    Prenucleolus,
    Shapley,
    Banzhaf,
    LeaveOneOut,
    Core,
}

impl Concept {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned())
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Draw {
    Permutation,
    Antithetic,
    Stratified,
    Kernel,
}

impl From<Draw> for Method {
    fn from(draw: Draw) -> Self {
        match draw {
            Draw::Permutation => Self::Permutation,
            Draw::Antithetic => Self::Antithetic,
            Draw::Stratified => Self::Stratified,
            Draw::Kernel => Self::Kernel,
        }
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let (game, file) = Given::read(&arguments.game)?;
    arguments.refuse_idle(&game)?;
    let files = [arguments.certificate.as_ref(), arguments.table.as_ref()];
    output::check(&[&arguments.game], &files, arguments.json.as_ref())?;
    let record = match &game {
        Given::Table(table) => {
            let csv = arguments.game.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
            by_table(arguments, table, None, (!csv).then_some(file.as_slice()))?
        }
        Given::Kind(kind) => by_kind(arguments, kind, &file)?,
        Given::Program(program) => by_program(arguments, program)?,
    };
    if let Some(what) = record.overflow() {
        return Err(CliError::TooLarge { path: arguments.game.clone(), what });
    }
    record.files.iter().try_for_each(|(path, text)| output::write(path, text))?;
    output::record(arguments.json.as_deref(), &record, &record.text())?;
    Ok(Exit::Done)
}

impl Arguments {
    /// Refuses options that would do nothing.
    fn refuse_idle(&self, game: &Given) -> Result<(), CliError> {
        let measured = matches!(game, Given::Program(_));
        let is = |concept| self.concept == concept;
        let sampled = self.units.is_some();
        let whole = !sampled && !is(Concept::LeaveOneOut);
        if is(Concept::Core) && self.payoffs.is_empty() {
            return Err(CliError::Payoffs);
        }
        CliError::refuse_idle([
            (self.certificate.is_some() && !is(Concept::LeastCore), "--certificate", "only the least core has a proof"),
            (self.nonnegative && !is(Concept::LeastCore), "--nonnegative", "is about the least core"),
            (!self.payoffs.is_empty() && !is(Concept::Core), "--payoffs", "are compared by --concept core"),
            (sampled && !is(Concept::Shapley), "--units", "are drawn for --concept shapley"),
            (self.method.is_some() && !sampled, "--method", "is how --units are drawn"),
            (self.seed.is_some() && !sampled, "--seed", "is of draws of --units"),
            (self.out.is_some() && !measured, "--out", "is for a game with a command"),
            (self.threads.is_some() && !measured, "--threads", "is for a game with a command"),
            (self.table.is_some() && !whole, "--table", "is written where all values are evaluated"),
        ])
    }
}

fn empty(arguments: &Arguments, players: usize) -> Record {
    Record { concept: arguments.concept.name(), players, ..Record::default() }
}

fn fault(arguments: &Arguments) -> impl Fn(TheoryError) -> CliError {
    let path = arguments.game.clone();
    move |error| CliError::Game { path: path.clone(), what: error.to_string() }
}

/// What needs few values: leave-one-out, and Shapley values by sampling. None where all are needed.
fn by_few(arguments: &Arguments, game: &dyn Game) -> Result<Option<Record>, TheoryError> {
    let mut record = empty(arguments, game.players());
    match (arguments.concept, arguments.units) {
        (Concept::LeaveOneOut, _) => {
            record.payoffs = leave_one_out(game)?;
            record.notes.push(unshared(game, &record.payoffs)?);
        }
        (Concept::Shapley, Some(units)) => {
            let method = arguments.method.unwrap_or(Draw::Antithetic).into();
            let seed = arguments.seed.unwrap_or(1);
            sampled::record(&mut record, sample(game, method, units, seed)?, method, seed);
            // The other methods divide v(N) in every unit.
            if method == Method::Stratified {
                record.notes.push(unshared(game, &record.payoffs)?);
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(record))
}

fn by_kind(arguments: &Arguments, kind: &Kind, file: &[u8]) -> Result<Record, CliError> {
    if let Some(record) = by_few(arguments, kind).map_err(fault(arguments))? {
        return Ok(record);
    }
    let mut record = empty(arguments, kind.players());
    if arguments.table.is_none() && whole::solved(arguments, kind, file, &mut record)? {
        return Ok(record);
    }
    if kind.players() > MOST {
        return Err(beyond(arguments, kind.players()));
    }
    let table = Table::of(kind).map_err(fault(arguments))?;
    // Exactly, unless the answer is about a table that is written.
    let exact = arguments.table.is_none().then(|| Excesses::of_kind(kind)).transpose().map_err(fault(arguments))?;
    by_table(arguments, &table, exact, None)
}

fn by_program(arguments: &Arguments, program: &Program) -> Result<Record, CliError> {
    let out = arguments.out.as_ref().ok_or(CliError::NoCache)?;
    let asked = Asked { program, out, threads: arguments.threads.unwrap_or(0), quiet: arguments.quiet };
    let work = |game: &Expensive<'_>| -> Result<_, TheoryError> {
        if let (Concept::Shapley, Some(units)) = (arguments.concept, arguments.units) {
            let method = arguments.method.unwrap_or(Draw::Antithetic).into();
            let drawn = coalitions(game.players(), method, units, arguments.seed.unwrap_or(1))?;
            game.prepare(&drawn.into_iter().collect::<Vec<_>>())?;
        }
        match by_few(arguments, game)? {
            Some(record) => Ok((Some(record), None)),
            None => Ok((None, Some(Table::of(game)?))),
        }
    };
    let ((few, table), (new, all)) = asked.run(&arguments.game, work)?;
    let mut record = match (few, table) {
        (Some(record), _) => record,
        (None, Some(table)) => by_table(arguments, &table, None, None)?,
        (None, None) => empty(arguments, program.n),
    };
    record.notes.push(format!("{new} values measured now, {all} in all"));
    Ok(record)
}

/// By the values of all coalitions, and their excesses where they are known better than by these; a proof is about the file with the
/// values.
fn by_table(
    arguments: &Arguments,
    table: &Table,
    exact: Option<Excesses>,
    file: Option<&[u8]>,
) -> Result<Record, CliError> {
    if let Some(record) = by_few(arguments, table).map_err(fault(arguments))? {
        return Ok(record);
    }
    let (mut record, fault) = (empty(arguments, table.players()), fault(arguments));
    if arguments.certificate.is_some() && arguments.table.is_none() && file.is_none() {
        return Err(CliError::NoTable);
    }
    record.notes = notes(table);
    let excesses = exact.unwrap_or_else(|| Excesses::of(table));
    let mut least_core = None;
    match arguments.concept {
        Concept::LeastCore => {
            let found = least_core_of(&excesses, Settings { nonnegative: arguments.nonnegative }).map_err(&fault)?;
            record.shares(&excesses, &found.payoffs, Some(&found.excess));
            least_core = Some(found);
        }
        Concept::Nucleolus => record.shares(&excesses, &nucleolus_of(&excesses).map_err(fault)?.payoffs, None),
        Concept::Prenucleolus => record.shares(&excesses, &prenucleolus_of(&excesses).payoffs, None),
        Concept::Shapley => record.payoffs = shapley(table),
        Concept::Banzhaf => {
            record.payoffs = banzhaf(table);
            record.notes.push(unshared(table, &record.payoffs).map_err(fault)?);
        }
        Concept::Core => compared(arguments, &excesses, &mut record)?,
        Concept::LeaveOneOut => {}
    }
    let written =
        arguments.table.as_ref().map(|path| output::json(table).map(|text| (path.clone(), text))).transpose()?;
    if let (Some(found), Some(file)) = (least_core, written.as_ref().map(|(_, text)| text.as_bytes()).or(file)) {
        proved(arguments, &found, file, &mut record)?;
    }
    record.files.extend(written);
    Ok(record)
}

/// Whether payoffs are in the core: gains that roundings explain do not count.
pub fn compared(arguments: &Arguments, game: &dyn ExcessOracle, record: &mut Record) -> Result<(), CliError> {
    let fault = |error: TheoryError| CliError::Game { path: arguments.game.clone(), what: error.to_string() };
    let payoffs = arguments.payoffs.iter().map(|text| payoff(text.trim())).collect::<Option<Vec<(RBig, bool)>>>();
    let payoffs = payoffs.filter(|payoffs| payoffs.len() == game.players()).ok_or(CliError::Payoffs)?;
    let doubles = payoffs.iter().any(|(_, rounded)| *rounded);
    let mut payoffs: Vec<RBig> = payoffs.into_iter().map(|(payoff, _)| payoff).collect();
    let left = shared(game, &mut payoffs, &mut record.notes);
    let exact = !doubles && left.is_zero();
    let blocking = match membership_of(game, &payoffs).map_err(fault)? {
        Membership::Blocked { coalition, .. } if exact => Some(coalition),
        Membership::Blocked { coalition, gain } => {
            // Who gains if each player had what roundings may have taken from it does so by more than these.
            let most: Vec<RBig> = payoffs.iter().map(|x| x + rounding(x) + &left).collect();
            let found = game.worst(&most).filter(|(_, gain)| *gain > RBig::ZERO).map(|(coalition, _)| coalition);
            if found.is_none() {
                let gain = Plain(gain.to_f64().value());
                record
                    .notes
                    .push(format!("{coalition} gains {gain} by leaving, no more than roundings of payoffs and values"));
            }
            found
        }
        Membership::Core => None,
    };
    record.shares(game, &payoffs, None);
    record.in_core = Some(blocking.is_none());
    record.blocking = blocking.map(|coalition| coalition.members().collect());
    Ok(())
}

/// A payoff, and whether it was rounded: a decimal is read as a double, as values are, and a quotient is exact.
fn payoff(text: &str) -> Option<(RBig, bool)> {
    let exact = secateur_nn::vnnlib::quotient(text)?;
    if text.contains('/') {
        return Some((exact, false));
    }
    let double = RBig::try_from(text.parse::<f64>().ok()?).ok()?;
    Some((double.clone(), double != exact))
}

/// What roundings to doubles may take from a player: half a unit in the last place of its payoff, $2^{-53} |x_i|$, and as much of the
/// value of its coalition, which is at most $\sum_{i \in S} |x_i|$ where gains are as small as roundings.
fn rounding(payoff: &RBig) -> RBig {
    payoff.clone().abs() / RBig::from(1u64 << 52)
}

/// Shares what payoffs lack, or have too much, where that is less than a billionth of $v(N)$ or their rounding, and says so; how much
/// that is, without its sign.
fn shared(game: &dyn ExcessOracle, payoffs: &mut [RBig], notes: &mut Vec<String>) -> RBig {
    let grand = game.value(Coalition::all(game.players()));
    let most = grand.clone().abs() / RBig::from(1_000_000_000u32);
    let most = payoffs.iter().fold(most, |most, x| most + rounding(x));
    let left = payoffs.iter().fold(grand, |left, x| left - x);
    let size = left.clone().abs();
    if left.is_zero() || size > most {
        return RBig::ZERO;
    }
    let (text, side) = (Plain(size.to_f64().value()), if left > RBig::ZERO { "below" } else { "above" });
    notes.push(format!(
        "the payoffs add up to {text} {side} the grand coalition's value; the difference is shared equally"
    ));
    let share = left / RBig::from(payoffs.len());
    payoffs.iter_mut().for_each(|x| *x += &share);
    size
}

/// What is not found for so many players.
fn beyond(arguments: &Arguments, players: usize) -> CliError {
    let (path, concept) = (arguments.game.clone(), arguments.concept.name());
    let instead = match arguments.concept {
        Concept::Nucleolus | Concept::Prenucleolus => {
            "the least core and the Shapley value of most kinds need no table: --concept least-core, --concept shapley (with --units \
             N where it is sampled)"
        }
        _ => "leave out --table",
    };
    CliError::Players { path, concept, players, instead }
}

/// What payoffs that are no division leave.
pub fn unshared(game: &dyn Game, payoffs: &[f64]) -> Result<String, TheoryError> {
    let (paid, grand) = (payoffs.iter().sum::<f64>(), game.value(Coalition::all(game.players()))?);
    Ok(format!("these payoffs add up to {}, all together have {}", Plain(paid), Plain(grand)))
}

/// What is to be known about a game.
fn notes(table: &Table) -> Vec<String> {
    let mut notes = Vec::new();
    if let (falls @ 1.., all) = table.decreases() {
        notes.push(format!("the game is not monotone: {falls} of {all} arrivals make a coalition worth less"));
    }
    let below = table.values().iter().filter(|value| **value < 0.0).count();
    if below > 0 {
        notes.push(format!("{below} coalitions are worth less than nothing (costs?)"));
    }
    notes
}

/// Enters a proof about a game's file among what is to be written, where one is asked for.
pub fn proved(arguments: &Arguments, found: &LeastCore, game: &[u8], record: &mut Record) -> Result<(), CliError> {
    let Some(path) = &arguments.certificate else { return Ok(()) };
    let weights = found.weights.iter().map(|(coalition, weight)| (coalition.0, weight));
    let floors = arguments.nonnegative.then_some(found.floors.as_slice());
    let shares = Shares::new(game, &found.excess, &found.payoffs, weights, floors);
    record.files.push((path.clone(), output::json(&shares)?));
    Ok(())
}
