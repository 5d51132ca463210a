//! `secateur theory`: statements checked, studies run, and notes as pages.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress::Steps;
use clap::{Args, Subcommand};
use secateur_bench_suites::theory::statement::{Context, Statement};
use secateur_bench_suites::theory::{StudyError, book, check, graphon, ntk, race, statements};
use secateur_bench_suites::watcher::Watcher;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Predictions against what networks and algorithms do.
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Check(CheckArguments),
    Notes(NotesArguments),
    /// Measure masks of pruned networks beside the graphons that theory predicts.
    Graphon(StudyArguments),
    /// Measure tangent kernels of pruned networks beside those of their graphons.
    Ntk(StudyArguments),
    /// Measure how neurons align, unlock and race beside closed forms.
    Race(StudyArguments),
}

/// Check statements: what each predicts beside what was observed.
///
/// The exit code is 1 where an observation is not what was predicted. Every number follows from the seed.
#[derive(Args)]
struct CheckArguments {
    /// Statements to check, or systems (such as `graphon`); all by default.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Name the statements, and check nothing.
    #[arg(long)]
    list: bool,
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The directory of data sets, for statements about them.
    #[arg(long, value_name = "DIR", env = "SECATEUR_DATA")]
    data_dir: Option<PathBuf>,
    /// Write a record as JSON to a file, or to standard output with `-` instead of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

/// Write the notes on statements as pages, formulas included; nothing is loaded from elsewhere.
#[derive(Args)]
struct NotesArguments {
    /// The directory of notes.
    #[arg(long, value_name = "DIR", default_value = "proofs-notes")]
    from: PathBuf,
    /// The directory to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// As a configuration says; writes a record, figures and a page.
///
/// Every measurement is on disk as soon as it is known; the same command goes on where the last run stopped.
#[derive(Args)]
struct StudyArguments {
    /// The configuration (TOML).
    config: PathBuf,
    /// The directory to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The directory of data sets, for studies of them.
    #[arg(long, value_name = "DIR", env = "SECATEUR_DATA")]
    data_dir: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    match &arguments.task {
        Task::Check(arguments) => checked(arguments),
        Task::Notes(NotesArguments { from, out }) => {
            let count = book::write(from, out)?;
            output::print(&format!("{count} notes: {}\n", out.join("index.html").display()))?;
            Ok(Exit::Done)
        }
        Task::Graphon(arguments) => studied(arguments, graphon::run),
        Task::Ntk(arguments) => studied(arguments, ntk::run),
        Task::Race(arguments) => studied(arguments, race::study),
    }
}

/// A study of a system: configuration, data sets, directory, who hears of progress; its page.
type Study = fn(&Path, Option<&Path>, &Path, &dyn Watcher) -> Result<String, StudyError>;

fn studied(arguments: &StudyArguments, study: Study) -> Result<Exit, CliError> {
    let StudyArguments { config, out, data_dir, quiet } = arguments;
    let display = Steps::new(*quiet)?;
    let page = study(config, data_dir.as_deref(), out, &display);
    display.clear();
    output::print(&page?)?;
    Ok(Exit::Done)
}

fn checked(arguments: &CheckArguments) -> Result<Exit, CliError> {
    let statements = chosen(&arguments.names)?;
    if arguments.list {
        let mut text = String::new();
        statements.iter().for_each(|statement| {
            let _ = writeln!(text, "{}", statement.id);
        });
        output::print(&text)?;
        return Ok(Exit::Done);
    }
    let display = Steps::new(arguments.quiet)?;
    let context = Context { seed: arguments.seed, data: arguments.data_dir.as_deref(), watcher: &display };
    let record = check::check(&statements, &context);
    display.clear();
    let record = record?;
    output::record(arguments.json.as_deref(), &record, &record.table())?;
    Ok(if record.holds() { Exit::Done } else { Exit::Fault })
}

/// The statements that names stand for, in the order of the registry.
fn chosen(names: &[String]) -> Result<Vec<Statement>, StudyError> {
    let all = statements();
    let meant = |statement: &Statement, name: &str| {
        statement.id == name || statement.id.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
    };
    if let Some(name) = names.iter().find(|name| !all.iter().any(|statement| meant(statement, name))) {
        return Err(StudyError::NoStatement(name.clone()));
    }
    let wanted = |statement: &Statement| names.is_empty() || names.iter().any(|name| meant(statement, name));
    Ok(all.into_iter().filter(wanted).collect())
}
