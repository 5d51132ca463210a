//! The table of linear and mixed-integer problems with known answers.

use crate::files::text;
use secateur_opt::{MpsForm, MpsModel};

/// What a problem's answer is known to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected {
    Optimal(f64),
    /// An optimum exists, but no value of it is published.
    Proved,
    Infeasible,
    Unbounded,
}

/// A problem of the table.
pub struct Problem {
    pub file: String,
    pub expected: Expected,
    /// `None` where the file is not at hand.
    pub model: Option<MpsModel>,
}

/// All problems of the table.
pub fn linear() -> Vec<Problem> {
    let table = text("lp/expected.csv", "lp/expected.csv").expect("the table is a fixture");
    let problems: Vec<Problem> = table.lines().skip(1).map(problem).collect();
    let missing = problems.iter().filter(|problem| problem.model.is_none()).count();
    if missing > 0 {
        println!("{missing} of {} problems are left out: they need the directory SECATEUR_DATA", problems.len());
    }
    problems
}

fn problem(line: &str) -> Problem {
    let fields: Vec<&str> = line.split(',').collect();
    let [file, _kind, status, objective, _source] = fields[..] else { panic!("expected five fields: {line}") };
    let expected = match (status, objective) {
        ("optimal", "") => Expected::Proved,
        ("optimal", value) => Expected::Optimal(value.parse().unwrap_or_else(|_| panic!("no number: {line}"))),
        ("infeasible", _) => Expected::Infeasible,
        ("unbounded", _) => Expected::Unbounded,
        _ => panic!("no status: {line}"),
    };
    let model = text(&format!("lp/{file}"), &format!("lp/{file}"))
        .map(|text| MpsModel::read(&text, MpsForm::Free).unwrap_or_else(|error| panic!("{file}: {error}")));
    Problem { file: file.to_string(), expected, model }
}
