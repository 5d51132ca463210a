//! Runs the checks of statements, and says what they found.

use super::error::StudyError;
use super::note::{Note, Status};
use super::statement::{Context, Finding, Statement};
use serde::Serialize;
use std::fmt::Write;
use std::time::Instant;

/// What became of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every observation is what was predicted.
    Holds,
    /// One is not.
    Fails,
    /// Nothing was compared, for want of data.
    NotRun,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Fails => "FAILS",
            Self::NotRun => "not run",
        })
    }
}

/// A statement that was checked.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// Its name.
    pub id: String,
    /// What it says.
    pub title: String,
    /// How well it is founded.
    pub status: Status,
    /// What was found.
    pub finding: Finding,
    /// What follows.
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
}

/// What all checks found.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// The program's version.
    pub version: String,
    /// The seed of every random number.
    pub seed: u64,
    /// The statements, in their order.
    pub statements: Vec<Checked>,
}

/// Checks statements one after the other.
///
/// # Errors
/// A note that cannot be read, or the caller stops; a check that fails, or cannot be made, is no error.
pub fn check(statements: &[Statement], context: &Context<'_>) -> Result<Record, StudyError> {
    let mut checked = Vec::new();
    for (number, statement) in statements.iter().enumerate() {
        if context.watcher.stop() {
            return Err(StudyError::Stopped { done: number, all: statements.len() });
        }
        context.watcher.measuring(number, statements.len(), statement.id);
        let heading = Note::parse(statement.id, statement.note)?.heading;
        let start = Instant::now();
        let finding = match (statement.check)(context) {
            Err(_) if context.watcher.stop() => {
                return Err(StudyError::Stopped { done: number, all: statements.len() });
            }
            // The others are checked all the same.
            Err(error) => Finding::Impossible(error.to_string()),
            Ok(finding) => finding,
        };
        let verdict = match &finding {
            Finding::Impossible(_) => Verdict::Fails,
            Finding::NeedsData(_) => Verdict::NotRun,
            Finding::Compared(rows) if !rows.is_empty() && rows.iter().all(|row| row.holds()) => Verdict::Holds,
            Finding::Compared(_) => Verdict::Fails,
        };
        let seconds = start.elapsed().as_secs_f64();
        let (id, title, status) = (heading.id, heading.title, heading.status);
        checked.push(Checked { id, title, status, finding, verdict, seconds });
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Record { version, seed: context.seed, statements: checked })
}

impl Record {
    /// Whether no statement fails.
    pub fn holds(&self) -> bool {
        self.statements.iter().all(|statement| statement.verdict != Verdict::Fails)
    }

    /// A row for every comparison.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| statement | status | what | prediction | observation | tolerance | verdict |\n|---|---|---|---|---|---|---|\n",
        );
        for Checked { id, status, finding, .. } in &self.statements {
            match finding {
                Finding::NeedsData(what) => {
                    let _ = writeln!(text, "| {id} | {status} | needs {what} | – | – | – | {} |", Verdict::NotRun);
                }
                Finding::Impossible(why) => {
                    let _ = writeln!(
                        text,
                        "| {id} | {status} | cannot be checked: {why} | – | – | – | {} |",
                        Verdict::Fails
                    );
                }
                Finding::Compared(rows) if rows.is_empty() => {
                    let _ =
                        writeln!(text, "| {id} | {status} | nothing was compared | – | – | – | {} |", Verdict::Fails);
                }
                Finding::Compared(rows) => rows.iter().for_each(|row| {
                    let verdict = if row.holds() { Verdict::Holds } else { Verdict::Fails };
                    let (predicted, observed) = (number(row.predicted), number(row.observed));
                    let (what, tolerance) = (&row.what, row.tolerance);
                    let _ = writeln!(
                        text,
                        "| {id} | {status} | {what} | {predicted} | {observed} | {tolerance} | {verdict} |"
                    );
                }),
            }
        }
        let count = |verdict| self.statements.iter().filter(|statement| statement.verdict == verdict).count();
        let seconds: f64 = self.statements.iter().map(|statement| statement.seconds).sum();
        let _ = writeln!(
            text,
            "\n{} statements: {} hold, {} fail, {} not run; {seconds:.1} s, seed {}",
            self.statements.len(),
            count(Verdict::Holds),
            count(Verdict::Fails),
            count(Verdict::NotRun),
            self.seed
        );
        text
    }
}

/// Five digits, or the exponent where there are more zeros than that.
fn number(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || (1e-3..1e6).contains(&size) => {
            let text = format!("{value:.5}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::statement::{Comparison, Tolerance};
    use super::*;
    use crate::watcher::Silent;

    type Check = fn(&Context<'_>) -> Result<Finding, StudyError>;

    const NOTE: &str = "+++\nid = \"a.b\"\ntitle = \"A is b\"\nstatus = \"numerical\"\nsource = \"own\"\ncheck = [\"a.b\"]\n\
                        code = [\"a.rs#b\"]\n+++\n## Statement\n## Evidence\n## Symbols\n## What the numerics cannot show\n";

    #[test]
    fn one_wrong_number_fails_a_statement() {
        let compare = |observed| Comparison::new("x", 1.0, observed, Tolerance::Absolute(0.1));
        let checks: [Check; 5] = [
            |_| Err(StudyError::NoStatement("a.c".to_owned())),
            |_| Ok(Finding::Compared(vec![Comparison::new("x", 1.0, 1.05, Tolerance::Absolute(0.1))])),
            |_| Ok(Finding::Compared(vec![Comparison::new("x", 1.0, 1.2, Tolerance::Absolute(0.1))])),
            |_| Ok(Finding::NeedsData("MNIST".to_owned())),
            |_| Ok(Finding::Compared(Vec::new())),
        ];
        assert!(compare(1.05).holds());
        let statements = checks.map(|check| Statement { id: "a.b", note: NOTE, check });
        let context = Context { seed: 1, data: None, watcher: &Silent };
        let record = check(&statements, &context).expect("checks");
        let verdicts: Vec<Verdict> = record.statements.iter().map(|s| s.verdict).collect();
        assert_eq!(verdicts, [Verdict::Fails, Verdict::Holds, Verdict::Fails, Verdict::NotRun, Verdict::Fails]);
        assert!(!record.holds());
        assert!(record.table().contains("5 statements: 1 hold, 3 fail, 1 not run"), "{}", record.table());
    }
}
