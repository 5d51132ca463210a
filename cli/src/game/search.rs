//! `secateur game search`: the least core of games whose values are expensive.

use super::given::{self, Given};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress::Steps;
use clap::{Args, ValueEnum};
use secateur_bench_suites::oracle::Expensive;
use secateur_bench_suites::oracle::command::Program;
use secateur_bench_suites::watcher::Watcher;
use secateur_theory::TheoryError;
use secateur_theory::game::monte_carlo::monte_carlo;
use secateur_theory::game::stack::{Found, Search, Thresholds, dispensable, search};
use secateur_theory::game::{Coalition, Game};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

/// Find the least core with few values: for games whose values are expensive.
///
/// Besides the games that `solve` takes: `{"n": 6, "command": ["PROGRAM", …], "seeds": [1, 2, 3]}`, whose values a program measures. It
/// is called with a seed and the players of a coalition as its last arguments and writes a number; a value is the mean over seeds.
/// Every value is kept in a directory as soon as it is known, and not measured again.
#[derive(Args)]
pub struct Arguments {
    /// The game (JSON or CSV).
    game: PathBuf,
    /// Which coalitions are evaluated.
    #[arg(long, value_enum, default_value = "certified")]
    mode: Mode,
    /// How wide the interval of the excess may be (certified).
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_hyphen_values = true)]
    eta: f64,
    /// By how much a coalition may be worth more than one that holds it (certified).
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_hyphen_values = true)]
    slack: f64,
    /// Coalitions that are evaluated side by side (certified). More may then be evaluated than one by one.
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// A player whose loss costs at most this share of what all have is dispensable (stack).
    #[arg(long, value_name = "SHARE", default_value_t = Thresholds::default().dispensable, allow_hyphen_values = true)]
    dispensable: f64,
    /// A coalition with at most this share of what all have is too weak to leave (stack).
    #[arg(long, value_name = "SHARE", default_value_t = Thresholds::default().weak, allow_hyphen_values = true)]
    weak: f64,
    /// Coalitions that are drawn (drawn).
    #[arg(long, value_name = "N", default_value_t = 100)]
    coalitions: usize,
    /// The seed of draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The directory of measured values, for a game with a command.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Values that are measured side by side; 0 for every core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
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
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Exact {
    payoffs: Vec<String>,
    lower: String,
    upper: String,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let file = given::bytes(&arguments.game)?;
    let fault = |what: String| CliError::Game { path: arguments.game.clone(), what };
    let record = match Given::program(&file) {
        Some(program) => {
            let program: Program = program.map_err(|error| fault(error.to_string()))?;
            let program = program.within(arguments.game.parent().unwrap_or("".as_ref())).map_err(fault)?;
            let out = arguments.out.as_ref().ok_or(CliError::NoCache)?;
            let display = Steps::new(arguments.quiet)?;
            let game = Expensive::open(&program, &program.seeds, out, &program, arguments.threads, &display);
            let game = game.map_err(|error| CliError::Theory(error.into()))?;
            let found = arguments.found(&game);
            display.clear();
            let found = found.map_err(|error| match display.stop() {
                true => CliError::Measuring { measured: game.count().1, out: out.clone() },
                false => fault(error.to_string()),
            })?;
            Record { measured: Some(game.count()), ..arguments.record(&found, game.players()) }
        }
        None => {
            if arguments.out.is_some() {
                return Err(CliError::Idle { option: "--out", why: "holds the values of a game with a command" });
            }
            let game = Given::read(&arguments.game, &file)?;
            let found = arguments.found(game.game()).map_err(|error| fault(error.to_string()))?;
            arguments.record(&found, game.game().players())
        }
    };
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
    fn found(&self, game: &dyn Game) -> Result<Found, TheoryError> {
        let Self { eta, slack, batch, dispensable: idle, weak, .. } = *self;
        match self.mode {
            Mode::Certified => search(game, Search { eta, slack, batch }),
            Mode::Stack => dispensable(game, Thresholds { dispensable: idle, weak }),
            Mode::Drawn => monte_carlo(game, self.coalitions, self.seed),
        }
    }

    fn record(&self, found: &Found, players: usize) -> Record {
        let members = |coalition: Coalition| coalition.members().collect::<Vec<usize>>();
        let slack = if self.mode == Mode::Certified { self.slack } else { 0.0 };
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
            measured: None,
            contradiction: found.contradiction.map(|(small, large)| [members(small), members(large)]),
            seed: (self.mode == Mode::Drawn).then_some(self.seed),
            notes,
        }
    }
}

impl Record {
    fn text(&self) -> String {
        let mut text = format!("least core, {}\n", self.mode);
        for (player, payoff) in self.payoffs.iter().enumerate() {
            let _ = writeln!(text, "player {player}: {payoff}");
        }
        let _ = writeln!(text, "the least excess is from {}; no coalition has more than {}", self.lower, self.upper);
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
