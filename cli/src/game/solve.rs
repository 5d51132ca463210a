//! `secateur game solve`: a game that is given by its values, or as one of the literature.

use super::given::{self, Given};
use super::record::Record;
use super::{sampled, whole};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use clap::{Args, ValueEnum};
use dashu_base::Abs;
use dashu_int::UBig;
use dashu_ratio::RBig;
use secateur_check::shares::{Shares, digest};
use secateur_theory::TheoryError;
use secateur_theory::game::core::{Membership, membership_of};
use secateur_theory::game::excess::{ExcessOracle, Excesses};
use secateur_theory::game::least_core::{LeastCore, Settings, least_core_of};
use secateur_theory::game::nucleolus::{nucleolus, prenucleolus};
use secateur_theory::game::sampled::{Method, sample};
use secateur_theory::game::shapley::{banzhaf, leave_one_out, shapley};
use secateur_theory::game::table::MOST;
use secateur_theory::game::{Coalition, Game, Table};
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
    /// Payoffs, between commas, that are compared with what coalitions have alone (core).
    #[arg(long, value_name = "X,…", value_delimiter = ',', allow_hyphen_values = true)]
    payoffs: Vec<String>,
    /// Draw this many units instead of going through all coalitions (Shapley).
    #[arg(long, value_name = "N")]
    units: Option<usize>,
    /// How units are drawn.
    #[arg(long, value_enum, default_value = "antithetic")]
    method: Draw,
    /// The seed of draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the record as JSON to a file, or to standard output with `-` instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a proof of the least core, for `secateur-check --least-core GAME FILE`.
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
    let file = given::bytes(&arguments.game)?;
    let game = Given::read(&arguments.game, &file)?;
    arguments.refuse_idle()?;
    let record = solved(arguments, &game, &file)?;
    if let Some(what) = record.overflow() {
        return Err(CliError::TooLarge { path: arguments.game.clone(), what });
    }
    match &arguments.json {
        Some(path) if path.as_os_str() == "-" => output::print(&output::json(&record)?)?,
        Some(path) => {
            output::write(path, &output::json(&record)?)?;
            output::print(&record.text())?;
        }
        None => output::print(&record.text())?,
    }
    Ok(Exit::Done)
}

impl Arguments {
    /// Refuses options that would do nothing.
    fn refuse_idle(&self) -> Result<(), CliError> {
        let is = |concept| self.concept == concept;
        let sampled = self.units.is_some();
        let whole = !sampled && !is(Concept::LeaveOneOut);
        let idle = [
            (self.certificate.is_some() && !is(Concept::LeastCore), "--certificate", "only the least core has a proof"),
            (self.nonnegative && !is(Concept::LeastCore), "--nonnegative", "is about the least core"),
            (!self.payoffs.is_empty() && !is(Concept::Core), "--payoffs", "are compared by --concept core"),
            (sampled && !is(Concept::Shapley), "--units", "are drawn for --concept shapley"),
            (self.table.is_some() && !whole, "--table", "is written where all values are evaluated"),
        ];
        match idle.into_iter().find(|(idle, ..)| *idle) {
            Some((_, option, why)) => Err(CliError::Idle { option, why }),
            None => Ok(()),
        }
    }
}

fn solved(arguments: &Arguments, game: &Given, file: &[u8]) -> Result<Record, CliError> {
    let fault = |error: TheoryError| CliError::Game { path: arguments.game.clone(), what: error.to_string() };
    let mut record = Record { concept: arguments.concept.name(), players: game.game().players(), ..Record::default() };
    if arguments.concept == Concept::LeaveOneOut {
        record.payoffs = leave_one_out(game.game()).map_err(fault)?;
        record.notes.push(unshared(game.game(), &record.payoffs).map_err(fault)?);
        return Ok(record);
    }
    if let (Concept::Shapley, Some(units)) = (arguments.concept, arguments.units) {
        let found = sample(game.game(), arguments.method.into(), units, arguments.seed).map_err(fault)?;
        sampled::record(&mut record, found, arguments.seed);
        return Ok(record);
    }
    if let (Given::Kind(kind), None, None) = (game, &arguments.table, &arguments.certificate)
        && whole::solved(arguments, kind, &mut record)?
    {
        return Ok(record);
    }
    let table = match game {
        Given::Table(table) => table.clone(),
        Given::Kind(kind) if kind.players() > MOST => return Err(beyond(arguments, kind.players())),
        Given::Kind(kind) => Table::of(kind).map_err(fault)?,
    };
    let written = arguments.table.as_ref().map(|path| -> Result<Vec<u8>, CliError> {
        let text = output::json(&table)?;
        output::write(path, &text)?;
        Ok(text.into_bytes())
    });
    let written = written.transpose()?;
    record.notes = notes(&table);
    let excesses = Excesses::of(&table);
    match arguments.concept {
        Concept::LeastCore => {
            let found = least_core_of(&excesses, Settings { nonnegative: arguments.nonnegative }).map_err(fault)?;
            if let Some(path) = &arguments.certificate {
                let about = match (game, &written) {
                    (_, Some(written)) => written.as_slice(),
                    (Given::Table(_), None) if arguments.game.extension().is_none_or(|e| e != "csv") => file,
                    _ => return Err(CliError::NoTable),
                };
                output::write(
                    path,
                    &output::json(&certificate(&found, about, record.players, arguments.nonnegative))?,
                )?;
            }
            record.shares(&excesses, &found.payoffs, Some(&found.excess));
        }
        Concept::Nucleolus => record.shares(&excesses, &nucleolus(&table).map_err(fault)?.payoffs, None),
        Concept::Prenucleolus => record.shares(&excesses, &prenucleolus(&table).payoffs, None),
        Concept::Shapley => record.payoffs = shapley(&table),
        Concept::Banzhaf => {
            record.payoffs = banzhaf(&table);
            record.notes.push(unshared(&table, &record.payoffs).map_err(fault)?);
        }
        Concept::Core => compared(arguments, &excesses, &mut record)?,
        Concept::LeaveOneOut => {}
    }
    Ok(record)
}

/// Whether payoffs are in the core.
pub fn compared(arguments: &Arguments, game: &dyn ExcessOracle, record: &mut Record) -> Result<(), CliError> {
    let fault = |error: TheoryError| CliError::Game { path: arguments.game.clone(), what: error.to_string() };
    let number = |text: &String| secateur_nn::vnnlib::quotient(text.trim());
    let payoffs: Option<Vec<RBig>> = arguments.payoffs.iter().map(number).collect();
    let mut payoffs = payoffs.ok_or(CliError::Payoffs)?;
    record.notes.extend(rounded(game, &mut payoffs));
    let found = membership_of(game, &payoffs).map_err(fault)?;
    record.shares(game, &payoffs, None);
    record.in_core = Some(found == Membership::Core);
    if let Membership::Blocked { coalition, .. } = found {
        record.blocking = Some(coalition.members().collect());
    }
    Ok(())
}

/// Decimals that add up to $v(N)$ but for rounding: shares the difference, and says so.
fn rounded(game: &dyn ExcessOracle, payoffs: &mut [RBig]) -> Option<String> {
    let grand = game.value(Coalition::all(game.players()));
    let most = RBig::from_parts(grand.numerator().clone().abs(), grand.denominator() * UBig::from(10u8).pow(9));
    let left = payoffs.iter().fold(grand, |left, x| left - x);
    if left.is_zero() || payoffs.is_empty() || left.clone().abs() > most {
        return None;
    }
    let difference = left.to_f64().value();
    let share = left / RBig::from(payoffs.len());
    payoffs.iter_mut().for_each(|x| *x += &share);
    Some(format!("the payoffs were {difference:e} short of the grand coalition's value, which they share"))
}

/// What is not found for so many players.
fn beyond(arguments: &Arguments, players: usize) -> CliError {
    let (path, concept) = (arguments.game.clone(), arguments.concept.name());
    let instead = match arguments.concept {
        Concept::Nucleolus | Concept::Prenucleolus => {
            "the least core and the Shapley value of most kinds need no table: --concept least-core, --concept shapley (with --units \
             N where it is sampled)"
        }
        _ => "leave out --table and --certificate",
    };
    CliError::Players { path, concept, players, instead }
}

/// What payoffs that are no division leave.
pub fn unshared(game: &dyn Game, payoffs: &[f64]) -> Result<String, TheoryError> {
    let (paid, grand) = (payoffs.iter().sum::<f64>(), game.value(Coalition::all(game.players()))?);
    Ok(format!("these payoffs add up to {paid}, all together have {grand}"))
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

fn certificate(found: &LeastCore, game: &[u8], players: usize, nonnegative: bool) -> Shares {
    let weights = found.weights.iter().map(|(coalition, weight)| (coalition.0 as usize, weight.to_string())).collect();
    let mut floors = vec![RBig::ZERO; players];
    found.floors.iter().for_each(|(player, multiplier)| floors[*player] = multiplier.clone());
    Shares {
        game: digest(game),
        excess: found.excess.to_string(),
        payoffs: found.payoffs.iter().map(RBig::to_string).collect(),
        weights,
        floors: nonnegative.then(|| floors.iter().map(RBig::to_string).collect()),
    }
}
