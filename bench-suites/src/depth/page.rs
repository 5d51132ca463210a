//! The page of a comparison.

use super::rows::{Row, rows};
use super::{Config, Record};
use crate::plot::Axes;
use crate::plot::heat::{Colours, Heat, heat_maps};
use crate::plot::lines::{Line, Stroke, lines};
use crate::theory::StudyError;
use crate::theory::report::Report;
use secateur_prune::depth::{Health, PREMISE, Similarity};

pub(super) fn report(record: &Record) -> Result<Report, StudyError> {
    let rows = rows(record);
    let mut page = Report::new(&record.config.title);
    page.text(&setting(record));
    premise(&mut page, record)?;
    table(&mut page, &rows);
    curves(&mut page, record, &rows)?;
    Ok(page)
}

fn setting(record: &Record) -> String {
    let Config { model, tokenizer, text, held_out, context, stride, sequences, length, seeds, .. } = &record.config;
    let tokens = record.measured.first().map_or(0, |original| original.tokens);
    let stride = stride.map_or_else(|| "end to end".to_owned(), |stride| format!("every {stride} tokens"));
    let tokenizer = tokenizer.as_deref().unwrap_or("those of the tokenizer beside the model");
    let bos = record.bos.map_or_else(|| "no beginning token".to_owned(), |bos| format!("token {bos}"));
    format!(
        "`{}`, {} blocks. Perplexity is measured on {tokens} tokens of the last {:.0} % of `{}` (tokens: {tokenizer}), in windows of \
         {context}, {stride}, with {bos} before each. Up to {sequences} calibration sequences of {length} \
         tokens come from the rest, drawn by seeds {seeds:?}. Models are written and read back before they are measured. Speed is the \
         fastest of three runs with {} threads. Half of the 95 % interval of the mean over seeds stands behind perplexities.",
        model.display(),
        record.blocks,
        100.0 * held_out,
        text.display(),
        record.threads,
    )
}

fn premise(page: &mut Report, record: &Record) -> Result<(), StudyError> {
    let similarity = Similarity::new(record.blocks, record.cosines.clone());
    let adjacent = similarity.adjacent();
    let least = adjacent.iter().copied().fold(f64::INFINITY, f64::min);
    let most = adjacent.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    page.text(&format!(
        "## Streams\n\nCosines between the streams before neighbouring blocks lie between {least:.3} and {most:.3}{}",
        match similarity.broken_premise() {
            Some(_) => format!(", all below {PREMISE}: blocks of this model are far from parallel."),
            None => ".".to_owned(),
        }
    ));
    let size = record.blocks + 1;
    let heat = Heat::new("cosines", size, size, &record.cosines)?;
    let low = record.cosines.iter().copied().fold(f64::INFINITY, f64::min);
    // A model of one block still has a scale.
    let colours = Colours { low: low.min(0.999), high: 1.0 };
    let caption = "Mean cosines between the streams before every block and after the last.";
    page.figure("streams", heat_maps("Similarity of streams", colours, &[heat])?, caption);
    Ok(())
}

fn perplexity(row: &Row) -> String {
    let (mean, half) = row.perplexity;
    let half = half.map_or_else(String::new, |half| format!(" ± {half:.3}"));
    let collapsed = if row.health == Health::Collapsed { ", collapsed" } else { "" };
    if mean.is_finite() { format!("{mean:.3}{half}{collapsed}") } else { "not finite, collapsed".to_owned() }
}

fn table(page: &mut Report, rows: &[Row]) {
    let cells = |row: &Row| {
        vec![
            row.label.clone(),
            row.blocks.to_string(),
            row.width.to_string(),
            format!("{:.1} %", 100.0 * row.sparsity),
            perplexity(row),
            row.parameters.to_string(),
            row.bytes.to_string(),
            format!("{:.0}", row.speed[0]),
            format!("{:.0}", row.speed[1]),
            format!("{:.1}", row.seconds),
        ]
    };
    page.text("## Methods");
    let header = [
        "method",
        "blocks",
        "width",
        "removed",
        "perplexity",
        "parameters",
        "bytes",
        "tokens/s read",
        "tokens/s added",
        "seconds",
    ];
    page.table(&header, &rows.iter().map(cells).collect::<Vec<_>>());
}

fn curves(page: &mut Report, record: &Record, rows: &[Row]) -> Result<(), StudyError> {
    let original = (0.0, rows[0].perplexity.0);
    let line = |label: &str| {
        let found = rows.iter().skip(1).filter(|row| row.label == label && row.perplexity.0.is_finite());
        let mut points: Vec<(f64, f64)> = found.map(|row| (100.0 * row.sparsity, row.perplexity.0)).collect();
        points.push(original);
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Line::new(label, points, Stroke::Dotted)
    };
    let axes = Axes { x: "parameters removed (%)", y: "perplexity", log_x: false, log_y: true };
    let curves: Vec<Line> = record.config.methods.iter().map(|variant| line(variant.label())).collect();
    page.figure(
        "perplexity",
        lines("Perplexity", &axes, &curves)?,
        "Means over seeds; what is not finite has no point.",
    );
    Ok(())
}
