//! Means over seeds with intervals of confidence, and the table of them.

use super::Record;
use super::config::{Config, Question};
use super::point::Point;
use crate::statistics::Interval;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Classes of both data sets; a constant network is right on about a tenth.
const CLASSES: f64 = 10.0;

/// What follows from the points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// One row per curve and sparsity.
    pub rows: Vec<Row>,
}

/// One curve at one sparsity, over seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The curve.
    pub series: String,
    /// The share that was to be removed.
    pub sparsity: f64,
    /// Seeds.
    pub runs: usize,
    /// Mean share of weights that are left.
    pub density: f64,
    /// Accuracy right after pruning.
    pub before: Option<Interval>,
    /// Accuracy in the end.
    pub accuracy: Interval,
    /// Share of images verified.
    pub verified: Option<Interval>,
    /// Share of images not falsified.
    pub not_falsified: Option<Interval>,
    /// Runs that end below twice the accuracy of chance.
    pub near_chance: usize,
    /// Runs in which no path leads from an input to an output any more.
    pub severed: usize,
    /// Weight tensors of which nothing is left, each with the number of runs.
    pub empty: BTreeMap<String, usize>,
}

/// Summarises; points are in the order of the configuration.
pub fn summarise(config: &Config, points: &[Point]) -> Summary {
    let mut rows = Vec::new();
    for series in config.series() {
        let mine: Vec<&Point> = points.iter().filter(|p| p.series == series).collect();
        let mut sparsities: Vec<f64> = mine.iter().map(|p| p.sparsity).collect();
        sparsities.sort_by(f64::total_cmp);
        sparsities.dedup();
        for sparsity in sparsities {
            let runs: Vec<&Point> = mine.iter().copied().filter(|p| p.sparsity == sparsity).collect();
            rows.extend(row(&series, sparsity, &runs));
        }
    }
    Summary { rows }
}

fn row(series: &str, sparsity: f64, runs: &[&Point]) -> Option<Row> {
    let over = |value: &dyn Fn(&Point) -> Option<f64>| {
        Interval::of(&runs.iter().filter_map(|p| value(p)).collect::<Vec<f64>>())
    };
    let count = |holds: &dyn Fn(&Point) -> bool| runs.iter().filter(|p| holds(p)).count();
    let density = |p: &Point| {
        let (kept, all) = p.kept();
        kept as f64 / all.max(1) as f64
    };
    let mut empty = BTreeMap::new();
    for name in runs.iter().flat_map(|p| p.empty()) {
        *empty.entry(name.to_owned()).or_insert(0) += 1;
    }
    Some(Row {
        series: series.to_owned(),
        sparsity,
        runs: runs.len(),
        density: runs.iter().map(|p| density(p)).sum::<f64>() / runs.len().max(1) as f64,
        before: over(&|p| p.before),
        accuracy: over(&|p| Some(p.accuracy))?,
        verified: over(&|p| p.verdicts.map(|v| v.verified())),
        not_falsified: over(&|p| p.verdicts.map(|v| v.not_falsified())),
        near_chance: count(&|p| p.accuracy < 2.0 / CLASSES),
        severed: count(&|p| p.severed),
        empty,
    })
}

/// The table.
pub fn table(record: &Record) -> String {
    let Record { config, data, summary, .. } = record;
    let verifies = matches!(&config.question, Question::Sparsity(sweep) if sweep.verification.is_some());
    let mut text = format!("# {}\n\n", config.title);
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    line(format!(
        "`{}`, trained on {} of {} images ({}), tested on {}; seeds {:?}. {}",
        config.network,
        data.training,
        data.available,
        data.origin,
        data.test,
        config.seeds,
        protocol(config)
    ));
    line("Percentages are means over seeds ± half of the 95 % interval (Student's t).\n".to_owned());
    let more = if verifies { " verified, % | not falsified, % |" } else { "" };
    let rule = if verifies { "---|---|" } else { "" };
    line(format!(
        "| method | removed | weights left, % | accuracy before training on, % | accuracy, % |{more} runs near chance | severed | empty layers |"
    ));
    line(format!("|---|---|---|---|---|{rule}---|---|---|"));
    for row in &summary.rows {
        let shown = |interval: &Option<Interval>| interval.map_or_else(|| "–".to_owned(), |i| i.percent());
        let mut cells = format!(
            "| {} | {} | {:.2} | {} | {} |",
            row.series,
            removed(row.sparsity),
            100.0 * row.density,
            shown(&row.before),
            row.accuracy.percent()
        );
        if verifies {
            let _ = write!(cells, " {} | {} |", shown(&row.verified), shown(&row.not_falsified));
        }
        let runs = |count: usize| if count == 0 { "–".to_owned() } else { format!("{count} of {}", row.runs) };
        let empty = row.empty.iter().map(|(name, count)| format!("{name} ({count} of {})", row.runs));
        let empty: Vec<String> = empty.collect();
        let empty = if empty.is_empty() { "–".to_owned() } else { empty.join(", ") };
        line(format!("{cells} {} | {} | {empty} |", runs(row.near_chance), runs(row.severed)));
    }
    text
}

/// A share with as many digits as it needs, at most four.
fn removed(sparsity: f64) -> String {
    let text = format!("{sparsity:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// How the networks came about, in words.
fn protocol(config: &Config) -> String {
    let fit = |fit: &super::config::Fit| format!("{} epochs of Adam at {} ({:?})", fit.epochs, fit.rate, fit.decay);
    let training = fit(&config.training).to_lowercase().replace("adam", "Adam");
    match &config.question {
        Question::Sparsity(sweep) => {
            let tuning = fit(&sweep.fine_tuning).to_lowercase().replace("adam", "Adam");
            let verified = sweep.verification.as_ref().map_or_else(String::new, |v| {
                format!(
                    " Verified: the first {} test images, maximum norm, radius {}, {} s each.",
                    v.images, v.radius, v.timeout
                )
            });
            format!(
                "`unpruned`: a training of {training}, without fine-tuning; `at-init`: pruned before it; the others: pruned after it, at once, and fine-tuned for {tuning}.{verified}"
            )
        }
        Question::Tickets(tickets) => format!(
            "A training is {training}; tickets and random masks have the weights of epoch {} and train for the others.",
            tickets.rewind_epochs
        ),
    }
}
