//! The page of curves over densities.

use super::super::StudyError;
use super::super::report::Report;
use super::config::{Config, Curves};
use super::curves::{DENSE, Point};
use super::limit_page::interval;
use crate::plot::lines::{Line, Stroke, lines};
use crate::plot::{Axes, Dot};
use crate::statistics::Interval;

/// A number of a point; none where it was not found.
type Pick = fn(&Point) -> Option<f64>;

/// The points, by method and density.
struct Table<'a> {
    points: &'a [Point],
    curves: &'a Curves,
}

impl Table<'_> {
    fn of(&self, method: &str, density: f64) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(move |p| p.place.method == method && p.place.density == density)
    }

    fn mean(&self, method: &str, density: f64, pick: Pick) -> Option<Interval> {
        Interval::of(&self.of(method, density).filter_map(pick).collect::<Vec<_>>())
    }

    /// The mean over seeds of the difference to the first method.
    fn difference(&self, method: &str, density: f64, pick: Pick) -> Option<Interval> {
        let first = self.curves.methods.first()?.name();
        let of = |point: &Point| {
            let other = self.of(first, density).find(|other| other.place.seed == point.place.seed)?;
            Some(pick(point)? - pick(other)?)
        };
        Interval::of(&self.of(method, density).filter_map(of).collect::<Vec<_>>())
    }

    fn line(&self, index: usize, stroke: Stroke, suffix: &str, found: impl Fn(&str, f64) -> Option<Interval>) -> Line {
        let method = self.curves.methods[index].name();
        let dot = |density: &f64| {
            let Interval { mean, half } = found(method, *density)?;
            let half = if stroke == Stroke::Dotted { half.unwrap_or(0.0) } else { 0.0 };
            // Bars at one density stand side by side.
            let aside = if stroke == Stroke::Dotted { 0.004 * (index as f64 - 2.0) } else { 0.0 };
            Some(Dot { x: density + aside, y: mean, bar: (mean - half, mean + half) })
        };
        let points = self.curves.densities.iter().filter_map(dot).collect();
        Line { label: format!("{method}{suffix}"), points, stroke, colour: Some(index) }
    }

    /// A curve for every method, and broken ones for what graphons predict.
    fn lines(&self, observed: Pick, graphon: Pick) -> Vec<Line> {
        let count = self.curves.methods.len();
        let mut curves: Vec<Line> =
            (0..count).map(|i| self.line(i, Stroke::Dotted, "", |m, d| self.mean(m, d, observed))).collect();
        let predicted = (0..count).map(|i| self.line(i, Stroke::Dashed, ", graphon", |m, d| self.mean(m, d, graphon)));
        curves.extend(predicted.filter(|line| !line.points.is_empty()));
        curves
    }

    /// The level of the network without mask.
    fn dense(&self, pick: Pick) -> Option<Line> {
        let level = self.mean(DENSE, 1.0, pick)?.mean;
        let densities = &self.curves.densities;
        let ends = [densities.iter().fold(1.0, |a: f64, b| a.min(*b)), 1.0].map(|x| (x, level));
        Some(Line::new(DENSE, ends, Stroke::Dashed).coloured(self.curves.methods.len()))
    }
}

/// The page.
///
/// # Errors
/// A figure cannot be drawn.
pub(super) fn page(config: &Config, curves: &Curves, points: &[Point]) -> Result<Report, StudyError> {
    let table = Table { points, curves };
    let mut report = Report::new(config.title.clone());
    let Curves { width, training, test, calibration, .. } = curves;
    report.text(&format!(
        "Kernels $J J^\\top$ of networks with one hidden layer of {width} neurons at initialisation, whose hidden layer is masked, on \
         {}: {training} samples to fit, {test} to test, {calibration} that criteria look at; means and 95 % intervals over {} seeds. \
         Inputs have the length $\\sqrt d$. Broken lines are the predictions of graphons, of as many neurons as one likes. \
         Points at one density stand a little apart.",
        config.data.name(),
        config.seeds.len()
    ));
    let none: Pick = |_| None;
    let mut figure = |name: &str, title: &str, y: &str, observed: Pick, graphon: Pick, caption: &str| {
        let mut all = table.lines(observed, graphon);
        all.extend(table.dense(observed));
        report.figure(name, lines(title, &Axes { x: "density", y, log_x: false, log_y: false }, &all)?, caption);
        Ok::<(), StudyError>(())
    };
    figure(
        "error",
        "Test error of kernel regression",
        "test error",
        |p| Some(p.prediction.error),
        |p| p.graphon.map(|g| g.error),
        "Share of test samples with the wrong sign.",
    )?;
    figure(
        "distance",
        "Distance to the kernel of the dense network, both divided by their traces",
        "relative distance",
        |p| Some(p.to_dense),
        |p| p.graphon_to_dense,
        "A random mask of finite width is not the dense network either; its graphon is.",
    )?;
    figure(
        "rank",
        "Trace over largest eigenvalue",
        "trace / largest eigenvalue",
        |p| Some(p.spectrum.effective_rank),
        none,
        "How many directions a kernel has, counted by size.",
    )?;
    figure(
        "energy",
        "Share of the five largest eigenvalues",
        "share",
        |p| Some(p.spectrum.top_five),
        none,
        "How much of a kernel lies in five directions.",
    )?;
    figure(
        "bound",
        "Bound of the clipped hinge loss, with all constants",
        "bound",
        |p| p.bound.map(|b| b.explicit),
        none,
        "For the interpolating function; it holds with probability 0.95 for kernels that do not look at the labels.",
    )?;
    differences(&table, &mut report)?;
    eigenvalues(&table, config, &mut report)?;
    numbers(&table, &mut report);
    Ok(report)
}

/// Where curves differ from the first method's, and where they meet it.
fn differences(table: &Table<'_>, report: &mut Report) -> Result<(), StudyError> {
    let Curves { methods, densities, .. } = table.curves;
    let first = methods[0].name();
    let square: Pick = |p| Some(p.prediction.square);
    let error: Pick = |p| Some(p.prediction.error);
    for (name, what, pick) in
        [("square-difference", "squared error", square), ("error-difference", "test error", error)]
    {
        let curves: Vec<Line> = (1..methods.len())
            .map(|i| table.line(i, Stroke::Dotted, "", |m, d| table.difference(m, d, pick)))
            .collect();
        if curves.is_empty() {
            return Ok(());
        }
        let axes = Axes { x: "density", y: "difference", log_x: false, log_y: false };
        let title = format!("Difference of the {what} to that of {first}");
        let caption = "Differences of one seed each, with 95 % intervals of their means: below 0 is better.";
        report.figure(name, lines(&title, &axes, &curves)?, caption);
    }
    let mut rows = Vec::new();
    for method in &methods[1..] {
        for (what, pick) in [("squared error", square), ("test error", error)] {
            let found: Vec<(f64, Interval)> =
                densities.iter().filter_map(|d| Some((*d, table.difference(method.name(), *d, pick)?))).collect();
            let side = |interval: &Interval| match interval.half {
                Some(half) if interval.mean > half => 1,
                Some(half) if interval.mean < -half => -1,
                _ => 0,
            };
            let list = |wanted: i32| {
                let some = found.iter().filter(|(_, interval)| side(interval) == wanted);
                let names: Vec<String> = some.map(|(density, _)| density.to_string()).collect();
                if names.is_empty() { "–".to_owned() } else { names.join(", ") }
            };
            rows.push(vec![method.name().to_owned(), what.to_owned(), list(-1), list(0), list(1)]);
        }
    }
    report.text(&format!("Densities at which a method is better than {first}, cannot be told from it, or is worse:"));
    report.table(&["method", "of", "better", "the same", "worse"], &rows);
    Ok(())
}

/// Eigenvalues over their number, of the first seed at the smallest density.
fn eigenvalues(table: &Table<'_>, config: &Config, report: &mut Report) -> Result<(), StudyError> {
    let Curves { methods, densities, .. } = table.curves;
    let (density, seed) = (densities.iter().fold(1.0, |a: f64, b| a.min(*b)), config.seeds[0]);
    let names = methods.iter().map(|m| (m.name(), density)).chain([(DENSE, 1.0)]);
    let mut curves = Vec::new();
    for (name, density) in names {
        let Some(point) = table.of(name, density).find(|p| p.place.seed == seed) else { continue };
        let trace = point.spectrum.trace;
        let values = point.spectrum.eigenvalues.iter().enumerate();
        let stroke = if name == DENSE { Stroke::Dashed } else { Stroke::Solid };
        curves.push(Line::new(name, values.map(|(i, v)| ((i + 1) as f64, v / trace)), stroke));
    }
    let axes = Axes { x: "number", y: "eigenvalue / trace", log_x: true, log_y: true };
    let title = format!("Eigenvalues at density {density}");
    report.figure("eigenvalues", lines(&title, &axes, &curves)?, "Of one seed.");
    Ok(())
}

/// All numbers.
fn numbers(table: &Table<'_>, report: &mut Report) {
    let columns: [(&str, usize, Pick); 8] = [
        ("test error", 4, |p| Some(p.prediction.error)),
        ("of the graphon", 4, |p| p.graphon.map(|g| g.error)),
        ("squared error", 4, |p| Some(p.prediction.square)),
        ("trace/λ₁", 2, |p| Some(p.spectrum.effective_rank)),
        ("top five", 4, |p| Some(p.spectrum.top_five)),
        ("decay", 3, |p| p.spectrum.decay),
        ("log₁₀ condition", 2, |p| p.spectrum.condition.map(f64::log10)),
        ("bound", 3, |p| p.bound.map(|b| b.explicit)),
    ];
    let mut rows = Vec::new();
    let mut add = |method: &str, density: f64| {
        let cells = columns.iter().map(|(_, digits, pick)| {
            table.mean(method, density, *pick).map_or_else(|| "–".to_owned(), |found| interval(&found, *digits))
        });
        rows.push([method.to_owned(), density.to_string()].into_iter().chain(cells).collect::<Vec<_>>());
    };
    add(DENSE, 1.0);
    for method in &table.curves.methods {
        table.curves.densities.iter().for_each(|density| add(method.name(), *density));
    }
    let header: Vec<&str> = ["method", "density"].into_iter().chain(columns.iter().map(|(name, ..)| *name)).collect();
    report.table(&header, &rows);
}
