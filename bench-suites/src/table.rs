//! The summary of a run: counts, agreement, times and memory per suite.

use crate::results::ResultRow;
use crate::verdict::{Agreement, Verdict};
use std::fmt;

/// The summary of one suite, or of all.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The suite's name.
    pub suite: String,
    /// Instances per verdict, in the order of [`Verdict::ALL`].
    pub verdicts: [usize; 5],
    /// Decided as expected.
    pub agree: usize,
    /// Decided against what is expected.
    pub disagree: usize,
    /// Decided where nothing is known.
    pub new: usize,
    /// Instances with a known verdict.
    pub known: usize,
    /// Median, mean and greatest wall-clock seconds.
    pub seconds: [f64; 3],
    /// Greatest peak memory in bytes.
    pub memory: Option<u64>,
    /// What certificates cost, where there are any.
    pub certificates: Option<Certificates>,
}

/// What the certificates of a suite's `unsat` cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificates {
    /// Written and accepted.
    pub written: usize,
    /// Accepted.
    pub accepted: usize,
    /// Median ratio of the time with a certificate to the time without.
    pub overhead: f64,
    /// Median and greatest ratio of the time to check to the time to verify.
    pub checking: [f64; 2],
    /// Median and greatest size in bytes.
    pub bytes: [f64; 2],
}

impl Certificates {
    /// Those of `unsat` rows.
    fn of(rows: &[&ResultRow]) -> Option<Self> {
        let rows: Vec<&&ResultRow> =
            rows.iter().filter(|r| r.verdict == Verdict::Unsat && r.certificate.is_some()).collect();
        let sorted = |value: &dyn Fn(&ResultRow) -> Option<f64>| {
            let mut values: Vec<f64> = rows.iter().filter_map(|row| value(row)).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let ends = |values: Vec<f64>| [median(&values), values.last().copied().unwrap_or(0.0)];
        (!rows.is_empty()).then(|| Self {
            written: rows.len(),
            accepted: rows.iter().filter(|row| row.refused.is_empty()).count(),
            overhead: median(&sorted(&|row| Some(row.certified? / row.seconds))),
            checking: ends(sorted(&|row| Some(row.checking? / row.seconds))),
            bytes: ends(sorted(&|row| Some(row.certificate? as f64))),
        })
    }
}

impl Line {
    /// Summarises rows under a name.
    pub fn of(suite: &str, rows: &[&ResultRow]) -> Self {
        let count = |agreement| rows.iter().filter(|r| r.verdict.compare(r.expected) == agreement).count();
        let mut seconds: Vec<f64> = rows.iter().map(|r| r.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        Line {
            suite: suite.to_owned(),
            verdicts: Verdict::ALL.map(|v| rows.iter().filter(|r| r.verdict == v).count()),
            agree: count(Agreement::Agree),
            disagree: count(Agreement::Disagree),
            new: count(Agreement::New),
            known: rows.iter().filter(|r| r.expected.is_some_and(Verdict::decided)).count(),
            seconds: [median(&seconds), mean(&seconds), seconds.last().copied().unwrap_or(0.0)],
            memory: rows.iter().filter_map(|r| r.memory).max(),
            certificates: Certificates::of(rows),
        }
    }
}

/// The summary of a run, one [`Line`] per suite and a last one for all.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Suites in the order in which they were run, then the total when there are several.
    pub lines: Vec<Line>,
}

impl Table {
    /// Summarises rows.
    pub fn of(rows: &[ResultRow]) -> Self {
        let mut names: Vec<&str> = Vec::new();
        for row in rows {
            if !names.contains(&row.suite.as_str()) {
                names.push(&row.suite);
            }
        }
        let of_suite = |name: &&str| rows.iter().filter(|r| r.suite == **name).collect::<Vec<_>>();
        let mut lines: Vec<Line> = names.iter().map(|name| Line::of(name, &of_suite(name))).collect();
        if lines.len() > 1 {
            lines.push(Line::of("all", &rows.iter().collect::<Vec<_>>()));
        }
        Table { lines }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lines.iter().map(|l| l.suite.chars().count()).max().unwrap_or(0).max(5);
        writeln!(
            f,
            "{:width$} {:>5} {:>5} {:>7} {:>7} {:>5} | {:>11} {:>8} {:>4} | {:>8} {:>8} {:>8} {:>8}",
            "suite",
            "sat",
            "unsat",
            "unknown",
            "timeout",
            "error",
            "agree",
            "disagree",
            "new",
            "median s",
            "mean s",
            "max s",
            "max MiB"
        )?;
        for line in &self.lines {
            let [sat, unsat, unknown, timeout, error] = line.verdicts;
            let [median, mean, max] = line.seconds;
            let memory =
                line.memory.map_or_else(|| "-".to_owned(), |m| format!("{:.0}", m as f64 / f64::from(1 << 20)));
            let agree = format!("{} of {}", line.agree, line.known);
            writeln!(
                f,
                "{:width$} {sat:>5} {unsat:>5} {unknown:>7} {timeout:>7} {error:>5} | {agree:>11} {:>8} {:>4} | \
                 {median:>8.3} {mean:>8.3} {max:>8.3} {memory:>8}",
                line.suite, line.disagree, line.new
            )?;
        }
        if self.lines.iter().any(|line| line.certificates.is_some()) {
            writeln!(
                f,
                "\n{:width$} {:>13} {:>9} {:>13} {:>10} {:>10} {:>10}",
                "unsat", "accepted", "overhead", "check/verify", "greatest", "median kB", "max kB"
            )?;
        }
        for line in &self.lines {
            let Some(Certificates { written, accepted, overhead, checking, bytes }) = &line.certificates else {
                continue;
            };
            let accepted = format!("{accepted} of {written}");
            let [checking, most] = checking;
            let [size, largest] = bytes.map(|b| b / 1e3);
            writeln!(
                f,
                "{:width$} {accepted:>13} {overhead:>9.2} {checking:>13.2} {most:>10.2} {size:>10.1} {largest:>10.1}",
                line.suite
            )?;
        }
        Ok(())
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (1, _, Some(value)) => *value,
        (_, Some(below), Some(above)) => 0.5 * (below + above),
        _ => 0.0,
    }
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(suite: &str, verdict: Verdict, expected: Option<Verdict>, seconds: f64) -> ResultRow {
        ResultRow {
            suite: suite.to_owned(),
            onnx: String::new(),
            vnnlib: String::new(),
            limit: 1.0,
            verdict,
            expected,
            seconds,
            memory: Some((seconds * 1048576.0) as u64),
            domains: None,
            lower: None,
            upper: None,
            method: String::new(),
            detail: String::new(),
            fault: false,
            certified: Some(1.1 * seconds),
            certificate: Some(1000),
            checking: Some(0.5 * seconds),
            refused: if seconds > 5.0 { "why".to_owned() } else { String::new() },
        }
    }

    #[test]
    fn counts_agreement_and_times() {
        let rows = [
            row("a", Verdict::Sat, Some(Verdict::Sat), 1.0),
            row("a", Verdict::Unsat, Some(Verdict::Sat), 2.0),
            row("a", Verdict::Unsat, None, 6.0),
            row("b", Verdict::Timeout, Some(Verdict::Unsat), 4.0),
        ];
        let table = Table::of(&rows);
        let [a, b, all] = table.lines.as_slice() else { panic!("two suites and a total") };
        assert_eq!((a.agree, a.disagree, a.new, a.known), (1, 1, 1, 2));
        assert_eq!(a.seconds, [2.0, 3.0, 6.0]);
        assert_eq!((b.verdicts, b.agree, b.disagree), ([0, 0, 0, 1, 0], 0, 0));
        assert_eq!((all.suite.as_str(), all.verdicts), ("all", [1, 2, 0, 1, 0]));
        assert_eq!(all.seconds, [3.0, 3.25, 6.0]);
        assert_eq!(all.memory, Some(6 << 20));
        let certificates = all.certificates.as_ref().expect("two of them");
        assert_eq!((certificates.written, certificates.accepted), (2, 1));
        assert!((certificates.overhead - 1.1).abs() < 1e-12 && certificates.checking == [0.5, 0.5]);
        assert_eq!(table.to_string().lines().count(), 8);
    }

    #[test]
    fn one_suite_needs_no_total() {
        assert_eq!(Table::of(&[row("a", Verdict::Error, None, 0.1)]).lines.len(), 1);
        assert!(Table::of(&[]).lines.is_empty());
    }
}
