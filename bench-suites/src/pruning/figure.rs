//! Plots of what was measured.

use super::Record;
use super::config::Question;
use super::contender::{Contender, Moment};
use super::summary::Row;
use super::sweep::UNPRUNED;
use crate::plot::{self, Curve, Dot, Panel, PlotError};
use crate::statistics::Interval;

/// Accuracy against what is kept: a panel for each moment of pruning or, where networks were verified, one for clean and one for
/// verified accuracy. Bars are 95 % intervals, cut to [0, 100] %; dashed lines are the unpruned network.
///
/// # Errors
/// There is nothing to draw.
pub fn plot(record: &Record) -> Result<String, PlotError> {
    let rows = &record.summary.rows;
    let accuracy = |row: &Row| Some(row.accuracy);
    let panels = match &record.config.question {
        Question::Tickets(_) => {
            let series = &super::tickets::SERIES[1..];
            vec![panel("", rows, series.iter().map(|s| (*s).to_owned()), &accuracy)]
        }
        Question::Sparsity(sweep) if sweep.verification.is_some() => {
            let names = || sweep.methods.iter().map(ToString::to_string);
            vec![
                panel("accuracy", rows, names(), &accuracy),
                panel("verified accuracy", rows, names(), &|row| row.verified),
            ]
        }
        Question::Sparsity(sweep) => {
            let of =
                |moment: Moment| sweep.methods.iter().filter(move |c| c.moment == moment).map(Contender::to_string);
            let both = [
                ("pruned at initialisation, then trained", Moment::Initialisation),
                ("trained, pruned, fine-tuned", Moment::Trained),
            ];
            let panels = both.map(|(title, moment)| panel(title, rows, of(moment), &accuracy));
            panels.into_iter().filter(|panel| !panel.curves.is_empty()).collect()
        }
    };
    plot::panels(&record.config.title, "kept, %", "accuracy, %", &panels)
}

fn panel(
    title: &str,
    rows: &[Row],
    series: impl Iterator<Item = String>,
    value: &dyn Fn(&Row) -> Option<Interval>,
) -> Panel {
    let point = |row: &Row| {
        let Interval { mean, half } = value(row)?;
        let half = half.unwrap_or(0.0);
        Some(Dot {
            x: 100.0 * (1.0 - row.sparsity),
            y: 100.0 * mean,
            // A share is no less than 0 and no more than 1, whatever an interval of a normal variable says.
            bar: (100.0 * (mean - half).max(0.0), 100.0 * (mean + half).min(1.0)),
        })
    };
    let curve = |label: String| {
        let points = rows.iter().filter(|row| row.series == label).filter_map(point).collect();
        Curve { label, points }
    };
    let curves = series.map(curve).filter(|curve| !curve.points.is_empty()).collect();
    let level =
        rows.iter().find(|row| row.series == UNPRUNED).and_then(value).map(|i| (100.0 * i.mean, UNPRUNED.to_owned()));
    Panel { title: title.to_owned(), curves, level }
}
