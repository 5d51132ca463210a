//! A page of results in Markdown: what each tool solved per suite, in which time and memory, and tools side by side on the
//! instances that both ran.

use crate::error::BenchError;
use crate::results::ResultRow;
use crate::table::{Line, Table};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

/// What one tool, or one variant of a tool, did.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name on the page.
    pub name: String,
    /// Its results.
    pub rows: Vec<ResultRow>,
}

impl Run {
    /// Reads results files.
    ///
    /// # Errors
    /// A file that cannot be read, a line that is not one of results, an instance that has two lines.
    pub fn read(name: &str, files: &[impl AsRef<Path>]) -> Result<Self, BenchError> {
        let mut rows: Vec<ResultRow> = Vec::new();
        for path in files {
            let path = path.as_ref();
            let io = |source| BenchError::Io { path: path.to_owned(), source };
            let file = std::fs::File::open(path).map_err(io)?;
            for (index, row) in csv::Reader::from_reader(file).deserialize().enumerate() {
                let fault = |line, found: String| BenchError::Line {
                    path: path.to_owned(),
                    line,
                    expected: "a line of results, one for each instance",
                    found,
                };
                let line = |error: &csv::Error| error.position().map_or(index as u64 + 2, csv::Position::line);
                let row: ResultRow = row.map_err(|error: csv::Error| fault(line(&error), error.to_string()))?;
                if rows.iter().any(|other| key(other) == key(&row)) {
                    return Err(fault(index as u64 + 2, format!("{} {} again", row.onnx, row.vnnlib)));
                }
                rows.push(row);
            }
        }
        Ok(Self { name: name.to_owned(), rows })
    }
}

fn key(row: &ResultRow) -> (&str, &str, &str) {
    (&row.suite, &row.onnx, &row.vnnlib)
}

/// The tables of a page: of the first run, then of the others, and the first beside each of them.
pub fn tables(runs: &[Run]) -> String {
    let mut page = String::new();
    for run in runs {
        let _ = writeln!(page, "## {}\n", run.name);
        page.push_str(
            "| suite | instances | sat | unsat | as expected | against | median s | mean s | max s | max MiB |\n\
             |---|---|---|---|---|---|---|---|---|---|\n",
        );
        Table::of(&run.rows).lines.iter().for_each(|line| page.push_str(&solved(line)));
        page.push('\n');
    }
    if let [first, others @ ..] = runs {
        for other in others {
            page.push_str(&beside(first, other));
        }
    }
    page
}

fn solved(line: &Line) -> String {
    let [sat, unsat, ..] = line.verdicts;
    let [median, mean, max] = line.seconds;
    let instances: usize = line.verdicts.iter().sum();
    let memory = line.memory.map_or_else(|| "–".to_owned(), |m| format!("{:.0}", m as f64 / f64::from(1 << 20)));
    format!(
        "| {} | {instances} | {sat} | {unsat} | {} of {} | {} | {median:.2} | {mean:.2} | {max:.1} | {memory} |\n",
        line.suite, line.agree, line.known, line.disagree
    )
}

/// Two runs on the instances that both have.
fn beside(first: &Run, other: &Run) -> String {
    let of_other: HashMap<_, &ResultRow> = other.rows.iter().map(|row| (key(row), row)).collect();
    let pairs: Vec<(&ResultRow, &ResultRow)> =
        first.rows.iter().filter_map(|row| Some((row, *of_other.get(&key(row))?))).collect();
    let (one, two) = (&first.name, &other.name);
    let mut page = format!("## {one} beside {two}\n\n");
    if pairs.is_empty() {
        page.push_str("No instance was run by both.\n\n");
        return page;
    }
    let _ = writeln!(
        page,
        "| suite | instances | both solve | {one} only | {two} only | {one} total s | {two} total s | ratio |\n\
         |---|---|---|---|---|---|---|---|"
    );
    let mut suites: Vec<&str> = Vec::new();
    for (row, _) in &pairs {
        if !suites.contains(&row.suite.as_str()) {
            suites.push(&row.suite);
        }
    }
    let line = |name: &str, pairs: &[&(&ResultRow, &ResultRow)]| {
        let count = |a: bool, b: bool| {
            pairs.iter().filter(|(x, y)| x.verdict.decided() == a && y.verdict.decided() == b).count()
        };
        let total = |of: &dyn Fn(&(&ResultRow, &ResultRow)) -> f64| pairs.iter().map(|pair| of(pair)).sum::<f64>();
        let (a, b) = (total(&|(x, _)| x.seconds), total(&|(_, y)| y.seconds));
        format!(
            "| {name} | {} | {} | {} | {} | {a:.1} | {b:.1} | {:.2} |\n",
            pairs.len(),
            count(true, true),
            count(true, false),
            count(false, true),
            b / a
        )
    };
    for suite in &suites {
        let of: Vec<_> = pairs.iter().filter(|(row, _)| row.suite == *suite).collect();
        page.push_str(&line(suite, &of));
    }
    if suites.len() > 1 {
        page.push_str(&line("all", &pairs.iter().collect::<Vec<_>>()));
    }
    page.push('\n');
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, text: &str) -> Result<Run, BenchError> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("r.csv");
        let head = "suite,onnx,vnnlib,limit,verdict,expected,seconds,memory,domains,lower,upper,method,detail,fault\n";
        std::fs::write(&path, format!("{head}{text}")).expect("written");
        Run::read(name, &[path])
    }

    #[test]
    fn a_page_counts_what_each_solved() {
        let ours = run(
            "ours",
            "s,a,p,10,unsat,unsat,1.0,1048576,,,,,,false\n\
             s,a,q,10,sat,unsat,2.0,2097152,,,,,,false\n\
             t,b,p,10,timeout,sat,10.0,,,,,,,false\n",
        );
        let theirs = run("theirs", "s,a,p,10,unsat,unsat,4.0,,,,,,,false\nt,b,p,10,sat,sat,5.0,,,,,,,false\n");
        let page = tables(&[ours.expect("read"), theirs.expect("read")]);
        assert!(page.contains("| s | 2 | 1 | 1 | 1 of 2 | 1 | 1.50 | 1.50 | 2.0 | 2 |\n"), "{page}");
        assert!(page.contains("| t | 1 | 0 | 0 | 0 of 1 | 0 | 10.00 | 10.00 | 10.0 | – |\n"), "{page}");
        assert!(page.contains("| all | 2 | 1 | 0 | 1 | 11.0 | 9.0 | 0.82 |\n"), "{page}");
        assert!(page.contains("| s | 1 | 1 | 0 | 0 | 1.0 | 4.0 | 4.00 |\n"), "{page}");
    }

    #[test]
    fn lines_that_are_no_results_are_named() {
        let cut = run("x", "s,a,p,10\n");
        assert!(matches!(cut, Err(BenchError::Line { line: 2, .. })), "{cut:?}");
        let twice = "s,a,p,10,sat,,1.0,,,,,,,false\n".repeat(2);
        assert!(matches!(run("x", &twice), Err(BenchError::Line { line: 3, .. })));
        assert!(tables(&[run("x", "").expect("read"), run("y", "").expect("read")]).contains("No instance"));
    }
}
