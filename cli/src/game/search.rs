//! `secateur game search`: the least core of games whose values are expensive.

use super::given::{Asked, Given};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress::Steps;
use clap::{Args, ValueEnum};
use secateur_bench_suites::oracle::Stopped;
use secateur_bench_suites::watcher::Watcher;
use secateur_theory::TheoryError;
use secateur_theory::game::excess::{ExcessOracle, Excesses};
use secateur_theory::game::monte_carlo::monte_carlo;
use secateur_theory::game::separation::Separable;
use secateur_theory::game::stack::{Found, Search, Thresholds, dispensable, search};
use secateur_theory::game::{Coalition, Game, Plain};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Find the least core with few values: for games whose values are expensive.
///
/// Besides the games that `solve` takes: `{"n": 6, "command": ["PROGRAM", …], "seeds": [1, 2, 3]}`, whose values a program measures. It
/// is called with a seed and the players of a coalition as its last arguments and writes a number; a value is the mean over seeds.
/// With `"timeout": SECONDS` a measurement that takes longer is an error.
/// Every value is kept in a directory as soon as it is known, and not measured again.
#[derive(Args)]
pub struct Arguments {
    /// The game (JSON or CSV).
    game: PathBuf,
    /// Which coalitions are evaluated.
    #[arg(long, value_enum, default_value = "certified")]
    mode: Mode,
    /// By how much a coalition may be worth more than one that holds it.
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_hyphen_values = true)]
    slack: f64,
    /// How wide the interval of the excess may be (certified; 0 by default).
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    eta: Option<f64>,
    /// Coalitions that are evaluated side by side (certified; 1 by default). More may then be evaluated than one by one.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// A player whose loss costs at most this share of what all have is dispensable (stack; .005 by default).
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true)]
    dispensable: Option<f64>,
    /// A coalition with at most this share of what all have is too weak to leave (stack; .5 by default).
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true)]
    weak: Option<f64>,
    /// Coalitions that are drawn (drawn; 100 by default, or all).
    #[arg(long, value_name = "N")]
    coalitions: Option<usize>,
    /// The seed of draws (drawn; 1 by default).
    #[arg(long)]
    seed: Option<u64>,
    /// The directory of measured values, for a game with a command.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Values that are measured side by side, for a game with a command; every core by default.
    #[arg(long, value_name = "N", value_parser = crate::verify::threads)]
    threads: Option<usize>,
    /// Write the record as JSON to a file, or to standard output with `-` instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// An interval that holds for games that are monotone up to the slack.
    Certified,
    /// The paper's stack with its thresholds.
    Stack,
    /// Coalitions drawn at random, with a bound of what the others may gain.
    Drawn,
}

/// Coalitions that are drawn where nobody says how many.
const DRAWN: usize = 100;

/// What is found.
#[derive(Serialize)]
struct Record {
    mode: String,
    players: usize,
    payoffs: Vec<f64>,
    /// The excess of the least core is at least this.
    lower: f64,
    /// No coalition has more under the division.
    upper: f64,
    /// The greatest excess under the division, where it can be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    worst: Option<f64>,
    exact: Exact,
    /// Coalitions that were evaluated, $N$ included.
    evaluations: usize,
    /// Values that were measured in this run, and that the directory holds; of a game with a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<(usize, usize)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contradiction: Option<[Vec<usize>; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// By how much a coalition may be worth more than one that holds it.
    slack: f64,
    /// The width that was asked for, and coalitions side by side (certified).
    #[serde(skip_serializing_if = "Option::is_none")]
    eta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Exact {
    payoffs: Vec<String>,
    lower: String,
    upper: String,
}

/// A game that shows how many of its values were evaluated; Ctrl-C ends the search at the next one.
struct Shown<'a> {
    game: &'a dyn Game,
    display: Steps,
    evaluated: AtomicUsize,
}

impl Game for Shown<'_> {
    fn players(&self) -> usize {
        self.game.players()
    }

    fn value(&self, coalition: Coalition) -> Result<f64, TheoryError> {
        if self.display.stop() {
            return Err(TheoryError::Oracle { coalition, source: Stopped.into() });
        }
        let evaluated = self.evaluated.fetch_add(1, Ordering::Relaxed) + 1;
        // Of more coalitions than can be counted through, how many there are says nothing.
        let all = if self.players() < 40 { 1 << self.players() } else { evaluated };
        self.display.measuring(evaluated, all, "coalitions");
        self.game.value(coalition)
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    arguments.refuse_idle()?;
    output::check(&[&arguments.game], &[], arguments.json.as_ref())?;
    let (game, _) = Given::read(&arguments.game)?;
    if let (Given::Table(_) | Given::Kind(_), true) = (&game, arguments.out.is_some() || arguments.threads.is_some()) {
        let option = if arguments.out.is_some() { "--out" } else { "--threads" };
        return Err(CliError::Idle { option, why: "is for a game with a command" });
    }
    let record = match &game {
        Given::Program(program) => {
            let out = arguments.out.as_ref().ok_or(CliError::NoCache)?;
            let asked = Asked { program, out, threads: arguments.threads.unwrap_or(0), quiet: arguments.quiet };
            let (found, measured) = asked.run(&arguments.game, |game| arguments.found(game))?;
            Record { measured: Some(measured), ..arguments.record(&found, program.n) }
        }
        Given::Table(table) => {
            let found = arguments.shown(table)?;
            let worst = Excesses::of(table).worst(&found.payoffs, None).map(|(_, worst)| worst.to_f64().value());
            Record { worst, ..arguments.record(&found, table.players()) }
        }
        Given::Kind(kind) => {
            let found = arguments.shown(kind)?;
            // Where there is no method to find it the bound has to do.
            let worst = Separable::of(kind).ok().and_then(|game| game.worst(&found.payoffs));
            let worst = worst.map(|(_, worst)| worst.to_f64().value());
            Record { worst, ..arguments.record(&found, kind.players()) }
        }
    };
    output::record(arguments.json.as_deref(), &record, &record.text())?;
    Ok(Exit::Done)
}

impl Arguments {
    /// Refuses options that would do nothing.
    fn refuse_idle(&self) -> Result<(), CliError> {
        let is = |mode| self.mode == mode;
        CliError::refuse_idle([
            (self.eta.is_some() && !is(Mode::Certified), "--eta", "is of --mode certified"),
            (self.batch.is_some() && !is(Mode::Certified), "--batch", "is of --mode certified"),
            (self.dispensable.is_some() && !is(Mode::Stack), "--dispensable", "is of --mode stack"),
            (self.weak.is_some() && !is(Mode::Stack), "--weak", "is of --mode stack"),
            (self.coalitions.is_some() && !is(Mode::Drawn), "--coalitions", "are drawn by --mode drawn"),
            (self.seed.is_some() && !is(Mode::Drawn), "--seed", "is of --mode drawn"),
        ])
    }

    /// Of a game whose values are at hand.
    fn shown(&self, game: &dyn Game) -> Result<Found, CliError> {
        let shown = Shown { game, display: Steps::new(self.quiet)?, evaluated: AtomicUsize::new(0) };
        let found = self.found(&shown);
        let stopped = shown.display.stop();
        shown.display.clear();
        found.map_err(|error| match stopped {
            true => CliError::Searched { evaluated: shown.evaluated.into_inner() },
            false => CliError::Game { path: self.game.clone(), what: error.to_string() },
        })
    }

    fn found(&self, game: &dyn Game) -> Result<Found, TheoryError> {
        let (slack, usual) = (self.slack, Thresholds::default());
        match self.mode {
            Mode::Certified => {
                search(game, Search { eta: self.eta.unwrap_or(0.0), slack, batch: self.batch.unwrap_or(1) })
            }
            Mode::Stack => {
                let (idle, weak) = (self.dispensable.unwrap_or(usual.dispensable), self.weak.unwrap_or(usual.weak));
                dispensable(game, Thresholds { dispensable: idle, weak }, slack)
            }
            Mode::Drawn => {
                let n = game.players();
                let proper = if n < 63 { (1usize << n).saturating_sub(2) } else { usize::MAX };
                let coalitions = self.coalitions.unwrap_or(proper.min(DRAWN));
                monte_carlo(game, coalitions, self.seed.unwrap_or(1), slack)
            }
        }
    }

    fn record(&self, found: &Found, players: usize) -> Record {
        let members = |coalition: Coalition| coalition.members().collect::<Vec<usize>>();
        let slack = self.slack;
        let mut notes = vec![match slack {
            0.0 => "the upper end holds if nobody's arrival makes a coalition worth less".to_owned(),
            _ => format!("the upper end holds if no coalition is worth more than {slack} above one that holds it"),
        }];
        if let Some((small, large)) = found.contradiction {
            notes.push(format!("this is not so: {small} is worth more than {large}; choose a larger --slack"));
        }
        Record {
            mode: self.mode.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned()),
            players,
            payoffs: found.payoffs.iter().map(|x| x.to_f64().value()).collect(),
            lower: found.lower.to_f64().value(),
            upper: found.upper.to_f64().value(),
            exact: Exact {
                payoffs: found.payoffs.iter().map(ToString::to_string).collect(),
                lower: found.lower.to_string(),
                upper: found.upper.to_string(),
            },
            evaluations: found.evaluations,
            worst: None,
            measured: None,
            contradiction: found.contradiction.map(|(small, large)| [members(small), members(large)]),
            seed: (self.mode == Mode::Drawn).then(|| self.seed.unwrap_or(1)),
            slack,
            eta: (self.mode == Mode::Certified).then(|| self.eta.unwrap_or(0.0)),
            batch: (self.mode == Mode::Certified).then(|| self.batch.unwrap_or(1)),
            notes,
        }
    }
}

impl Record {
    fn text(&self) -> String {
        let mut text = format!("least core, {}\n", self.mode);
        for (player, payoff) in self.payoffs.iter().enumerate() {
            let _ = writeln!(text, "player {player}: {}", Plain(*payoff));
        }
        let _ = writeln!(text, "the excess of the least core is at least {}", Plain(self.lower));
        let _ = writeln!(text, "no coalition has more than {} under this division", Plain(self.upper));
        if let Some(worst) = self.worst {
            let _ = writeln!(text, "the greatest excess under it is {}", Plain(worst));
        }
        let _ = writeln!(text, "{} coalitions evaluated", self.evaluations);
        if let Some((new, all)) = self.measured {
            let _ = writeln!(text, "{new} values measured now, {all} in all");
        }
        self.notes.iter().for_each(|note| {
            let _ = writeln!(text, "note: {note}");
        });
        text
    }
}
