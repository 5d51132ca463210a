//! The page of the limit over widths.

use super::super::StudyError;
use super::super::report::Report;
use super::config::Config;
use super::limit::{Point, exponent};
use crate::plot::lines::{Line, Stroke, lines};
use crate::plot::{Axes, Dot};
use crate::statistics::Interval;

/// A number of a point.
type Pick = fn(&Point) -> f64;

/// Points of a method and a density.
struct Group<'a> {
    method: &'a str,
    density: f64,
    points: Vec<&'a Point>,
}

fn groups(points: &[Point]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for point in points {
        let (method, density) = (point.place.method.as_str(), point.place.density);
        match groups.iter_mut().find(|group| group.method == method && group.density == density) {
            Some(group) => group.points.push(point),
            None => groups.push(Group { method, density, points: vec![point] }),
        }
    }
    groups
}

impl Group<'_> {
    /// Means over seeds with their intervals, by width.
    fn means(&self, pick: Pick) -> Vec<(usize, Interval)> {
        let mut widths: Vec<usize> = self.points.iter().map(|p| p.place.width).collect();
        widths.sort_unstable();
        widths.dedup();
        let of = |width: usize| {
            let values: Vec<f64> = self.points.iter().filter(|p| p.place.width == width).map(|p| pick(p)).collect();
            Interval::of(&values).map(|interval| (width, interval))
        };
        widths.into_iter().filter_map(of).collect()
    }

    fn line(&self, pick: Pick, colour: usize, stroke: Stroke) -> Line {
        let dot = |(width, Interval { mean, half }): (usize, Interval)| {
            let half = half.unwrap_or(0.0);
            Dot { x: width as f64, y: mean, bar: (mean - half, mean + half) }
        };
        let label = format!("{}, density {}", self.method, self.density);
        let points = self.means(pick).into_iter().map(dot).collect();
        Line { label, points, stroke, colour: Some(colour) }
    }

    fn exponent(&self, pick: Pick) -> String {
        let points: Vec<(f64, f64)> = self.points.iter().map(|p| (p.place.width as f64, pick(p))).collect();
        exponent(&points).map_or_else(|| "–".to_owned(), |found| interval(&found, 3))
    }
}

/// A mean with half of its interval.
pub(super) fn interval(found: &Interval, digits: usize) -> String {
    let half = found.half.map_or_else(String::new, |half| format!(" ± {half:.digits$}"));
    format!("{:.digits$}{half}", found.mean)
}

/// The page.
///
/// # Errors
/// A figure cannot be drawn.
pub(super) fn page(config: &Config, points: &[Point]) -> Result<Report, StudyError> {
    let groups = groups(points);
    let mut report = Report::new(config.title.clone());
    report.text(&format!(
        "Relative Frobenius distance between the empirical kernel $J J^\\top$ of masked networks with one hidden layer and the \
         kernel of the limit graphon, on {}. Inputs have the length $\\sqrt d$; means and 95 % intervals over {} seeds. Derivatives \
         of kept weights count. Only the hidden layer is masked.",
        config.data.name(),
        config.seeds.len()
    ));
    let modes: [(&str, &str, Pick); 3] = [
        ("reinit", "weights drawn again under the mask, against the kernel with the variance $W$", |p| p.reinit),
        ("kept", "kept weights, against the kernel with their second moments", |p| p.kept),
        ("kept-as-reinit", "kept weights, against the kernel with the variance $W$: the wrong prediction", |p| {
            p.kept_as_reinit
        }),
    ];
    for (name, what, pick) in modes {
        let mut curves: Vec<Line> =
            groups.iter().enumerate().map(|(colour, group)| group.line(pick, colour, Stroke::Dotted)).collect();
        let first = groups.first().map(|group| group.means(pick)).unwrap_or_default();
        if let Some((start, level)) = first.first() {
            let at = |width: usize| (width as f64, level.mean * (*start as f64 / width as f64).sqrt());
            let guide = first.iter().map(|(width, _)| at(*width));
            curves.push(Line::new("slope -1/2", guide, Stroke::Dashed).coloured(groups.len()));
        }
        let axes = Axes { x: "width", y: "relative distance", log_x: true, log_y: true };
        report.figure(
            name,
            lines(what.replace('$', "").as_str(), &axes, &curves)?,
            &format!("Distance over width: {what}."),
        );
    }
    let mut rows = Vec::new();
    for group in &groups {
        for (name, _, pick) in modes {
            let last = group.means(pick).pop();
            let last = last.map_or_else(String::new, |(width, found)| format!("{} at {width}", interval(&found, 4)));
            rows.push(vec![
                group.method.to_owned(),
                group.density.to_string(),
                name.to_owned(),
                group.exponent(pick),
                last,
            ]);
        }
    }
    report.text("Exponents of the distance in the width, over all seeds and widths:");
    report.table(&["method", "density", "mode", "exponent", "distance"], &rows);
    Ok(report)
}
