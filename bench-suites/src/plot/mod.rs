//! Plots, as SVG text.
//!
//! | what | file |
//! |---|---|
//! | bounds against time, scattered points, panels side by side | here |
//! | curves over linear or logarithmic axes | [`lines`] |
//! | matrices as pictures | [`heat`] |
//! | groups of bars | [`bars`] |
//! | the same as PNG | [`raster`] |

pub mod bars;
pub mod heat;
pub mod lines;
pub mod raster;

use crate::record::SampleRecord;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;
use std::fmt::Display;

/// A plot could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the plot could not be drawn: {0}")]
pub struct PlotError(String);

impl PlotError {
    fn new(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

const SIZE: (u32, u32) = (840, 500);

/// Lower and upper bound against time, as steps.
///
/// # Errors
/// There is nothing finite to draw.
pub fn bounds(title: &str, history: &[SampleRecord]) -> Result<String, PlotError> {
    let end = history.last().map_or(0.0, |s| s.seconds).max(1e-3);
    let steps = |value: fn(&SampleRecord) -> Option<f64>| {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for sample in history {
            let Some(v) = value(sample) else { continue };
            points.extend(points.last().map(|(_, before)| (sample.seconds, *before)));
            points.push((sample.seconds, v));
        }
        points.extend(points.last().map(|(_, v)| (end, *v)));
        points
    };
    let (lower, upper) = (steps(|s| s.lower), steps(|s| s.upper));
    let values = || lower.iter().chain(&upper).map(|(_, v)| *v);
    let (least, greatest) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    if !(least.is_finite() && greatest.is_finite()) {
        return Err(PlotError("no bound is finite".to_owned()));
    }
    let pad = 0.06 * (greatest - least).max(1e-6 * greatest.abs().max(1e-6));
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(PlotError::new)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 17))
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..end, least - pad..greatest + pad)
            .map_err(PlotError::new)?;
        chart
            .configure_mesh()
            .x_desc("seconds")
            .y_desc("margin")
            .light_line_style(WHITE)
            .draw()
            .map_err(PlotError::new)?;
        for (points, colour, label) in [(upper, RED, "upper bound"), (lower, BLUE, "lower bound")] {
            let drawn = chart.draw_series(LineSeries::new(points, colour.stroke_width(2))).map_err(PlotError::new)?;
            let key = move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2));
            drawn.label(label).legend(key);
        }
        let mut key = chart.configure_series_labels();
        key.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.4)).draw().map_err(PlotError::new)?;
        area.present().map_err(PlotError::new)?;
    }
    Ok(text)
}

/// Points with one label.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What they are.
    pub label: String,
    /// The points.
    pub points: Vec<(f64, f64)>,
}

/// What the axes show.
#[derive(Clone, Copy, Debug)]
pub struct Axes<'a> {
    /// The horizontal axis.
    pub x: &'a str,
    /// The vertical axis.
    pub y: &'a str,
    /// Whether the horizontal axis is logarithmic.
    pub log_x: bool,
    /// Whether the vertical axis is logarithmic.
    pub log_y: bool,
}

/// Points of several series. On a logarithmic axis only positive numbers have a place; the others are left
/// out.
///
/// # Errors
/// No point can be drawn.
pub fn scatter(title: &str, axes: &Axes<'_>, series: &[Series]) -> Result<String, PlotError> {
    let place = |(x, y): &(f64, f64)| {
        let fits = |v: f64, log: bool| v.is_finite() && (!log || v > 0.0);
        let scale = |v: f64, log: bool| if log { v.log10() } else { v };
        (fits(*x, axes.log_x) && fits(*y, axes.log_y)).then(|| (scale(*x, axes.log_x), scale(*y, axes.log_y)))
    };
    let placed: Vec<Vec<(f64, f64)>> = series.iter().map(|s| s.points.iter().filter_map(place).collect()).collect();
    let range = |pick: fn(&(f64, f64)) -> f64| {
        let values = || placed.iter().flatten().map(pick);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        let pad = (0.05 * (most - least)).max(0.05);
        (least - pad, most + pad)
    };
    let ((x0, x1), (y0, y1)) = (range(|p| p.0), range(|p| p.1));
    // The key stands to the right of the points, not on them.
    let letters = series.iter().map(|s| s.label.chars().count()).max().unwrap_or(0) as f64;
    let x1 = x1 + (x1 - x0) * (0.08 + 0.014 * letters);
    if !(x0.is_finite() && y0.is_finite()) {
        return Err(PlotError("there is no point to draw".to_owned()));
    }
    let label = |log: bool| {
        move |v: &f64| match log {
            true if *v < -2.5 => format!("1e{v:.0}"),
            true => format!("{:.2}", 10f64.powf(*v)).trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => format!("{v:.0}"),
        }
    };
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(PlotError::new)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 17))
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(72)
            .build_cartesian_2d(x0..x1, y0..y1)
            .map_err(PlotError::new)?;
        chart
            .configure_mesh()
            .x_desc(axes.x)
            .y_desc(axes.y)
            .x_label_formatter(&label(axes.log_x))
            .y_label_formatter(&label(axes.log_y))
            .light_line_style(WHITE)
            .draw()
            .map_err(PlotError::new)?;
        for (index, (series, points)) in series.iter().zip(placed).enumerate() {
            let colour = Palette99::pick(index).to_rgba();
            let dots = points.into_iter().map(|point| Circle::new(point, 3, colour.filled()));
            let drawn = chart.draw_series(dots).map_err(PlotError::new)?;
            drawn.label(&series.label).legend(move |(x, y)| Circle::new((x + 9, y), 3, colour.filled()));
        }
        let mut key = chart.configure_series_labels();
        key.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.4)).draw().map_err(PlotError::new)?;
        area.present().map_err(PlotError::new)?;
    }
    Ok(text)
}

/// Colours of curves, all dark enough for a thin line on white.
const COLOURS: [(u8, u8, u8); 14] = [
    (31, 119, 180),
    (214, 39, 40),
    (44, 160, 44),
    (148, 103, 189),
    (255, 127, 14),
    (23, 190, 207),
    (140, 86, 75),
    (227, 119, 194),
    (127, 127, 127),
    (0, 70, 60),
    (160, 160, 20),
    (20, 20, 120),
    (120, 0, 50),
    (200, 150, 90),
];

/// A point with a bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dot {
    /// Its place.
    pub x: f64,
    /// Its value.
    pub y: f64,
    /// The ends of the bar.
    pub bar: (f64, f64),
}

/// A line through points with bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What it is.
    pub label: String,
    /// The points.
    pub points: Vec<Dot>,
}

/// Curves over the same axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What stands above.
    pub title: String,
    /// The curves.
    pub curves: Vec<Curve>,
    /// A level to compare with, drawn as a dashed line, and what it is.
    pub level: Option<(f64, String)>,
}

/// A logarithmic axis that is marked at some places.
struct Places {
    axis: plotters::coord::types::RangedCoordf64,
    marks: Vec<f64>,
}

impl Ranged for Places {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.axis.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.axis.range()
    }
}

impl ValueFormatter<f64> for Places {
    fn format(value: &f64) -> String {
        let text = format!("{:.1}", 10f64.powf(*value));
        text.strip_suffix(".0").unwrap_or(&text).to_owned()
    }
}

/// Panels side by side with one scale. The horizontal axis is logarithmic and marked where there are points; a label has the
/// same colour in every panel.
///
/// # Errors
/// There is no point with a positive place, or one that is not finite.
pub fn panels(title: &str, x: &str, y: &str, panels: &[Panel]) -> Result<String, PlotError> {
    let points = || panels.iter().flat_map(|p| &p.curves).flat_map(|c| &c.points);
    let levels = panels.iter().filter_map(|p| p.level.as_ref().map(|(level, _)| *level));
    let heights: Vec<f64> = points().flat_map(|dot| [dot.y, dot.bar.0, dot.bar.1]).chain(levels).collect();
    let mut places: Vec<f64> = points().map(|dot| dot.x.log10()).collect();
    places.sort_by(f64::total_cmp);
    places.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    let (Some(first), Some(last)) = (places.first().copied(), places.last().copied()) else {
        return Err(PlotError("there is no point to draw".to_owned()));
    };
    if !places.iter().chain(&heights).all(|v| v.is_finite()) {
        return Err(PlotError("a point is not finite, or its place not positive".to_owned()));
    }
    let (least, most) = heights.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    let pad = (0.04 * (most - least)).max(0.05);
    let mut labels: Vec<&str> = Vec::new();
    for label in panels.iter().flat_map(|p| &p.curves).map(|c| c.label.as_str()) {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    let letters = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0) as f64;
    let beside = (last - first).max(0.1) * (0.1 + 0.02 * letters) * if panels.len() > 1 { 1.1 } else { 0.8 };
    let size = (if panels.len() > 1 { 590 * panels.len() as u32 } else { SIZE.0 }, SIZE.1);
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE).map_err(PlotError::new)?;
        let area = area.titled(title, ("sans-serif", 18)).map_err(PlotError::new)?;
        for (part, panel) in area.split_evenly((1, panels.len())).iter().zip(panels) {
            let ends = first - 0.03 * (last - first).max(0.1)..last + beside;
            let across = Places { axis: ends.into(), marks: places.clone() };
            let mut chart = ChartBuilder::on(part)
                .caption(&panel.title, ("sans-serif", 15))
                .margin(10)
                .x_label_area_size(42)
                .y_label_area_size(58)
                .build_cartesian_2d(across, least - pad..most + pad)
                .map_err(PlotError::new)?;
            chart
                .configure_mesh()
                .x_desc(x)
                .y_desc(y)
                .y_label_formatter(&|v| format!("{v:.0}"))
                .light_line_style(WHITE)
                .draw()
                .map_err(PlotError::new)?;
            if let Some((level, name)) = &panel.level {
                let (ends, grey) = ([(first, *level), (last, *level)], BLACK.mix(0.6));
                let line = chart.draw_series(DashedLineSeries::new(ends, 5, 4, grey.stroke_width(1)));
                let key = move |(x, y)| PathElement::new(vec![(x, y), (x + 5, y)], grey.stroke_width(1));
                line.map_err(PlotError::new)?.label(name).legend(key);
            }
            for curve in &panel.curves {
                let index = labels.iter().position(|label| *label == curve.label).unwrap_or(0);
                let (red, green, blue) = COLOURS[index % COLOURS.len()];
                let colour = RGBColor(red, green, blue).to_rgba();
                let bars = curve.points.iter().map(|Dot { x, bar: (low, high), .. }| {
                    PathElement::new([(x.log10(), *low), (x.log10(), *high)], colour.stroke_width(1))
                });
                chart.draw_series(bars).map_err(PlotError::new)?;
                let places = curve.points.iter().map(|dot| (dot.x.log10(), dot.y));
                let dots = places.clone().map(|place| Circle::new(place, 3, colour.filled()));
                chart.draw_series(dots).map_err(PlotError::new)?;
                let drawn = chart.draw_series(LineSeries::new(places, colour.stroke_width(2)));
                let key = move |(x, y)| PathElement::new(vec![(x, y), (x + 14, y)], colour.stroke_width(2));
                drawn.map_err(PlotError::new)?.label(&curve.label).legend(key);
            }
            let mut key = chart.configure_series_labels();
            key.position(SeriesLabelPosition::LowerRight).background_style(WHITE.mix(0.8));
            key.border_style(BLACK.mix(0.4)).draw().map_err(PlotError::new)?;
        }
        area.present().map_err(PlotError::new)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: f64, lower: Option<f64>, upper: Option<f64>) -> SampleRecord {
        SampleRecord { seconds, domains: 1, lower, upper }
    }

    #[test]
    fn both_bounds_are_drawn() {
        let history =
            [sample(0.1, None, Some(2.0)), sample(0.5, Some(-1.0), Some(1.5)), sample(1.0, Some(1.0), Some(1.5))];
        let svg = bounds("a margin", &history).expect("finite bounds");
        assert!(svg.starts_with("<svg") && svg.matches("<polyline").count() >= 2, "{svg}");
        assert!(svg.contains("lower bound") && svg.contains("upper bound") && svg.contains("a margin"));
    }

    #[test]
    fn nothing_finite_is_an_error() {
        assert!(bounds("a margin", &[sample(0.1, None, None)]).is_err());
        assert!(bounds("a margin", &[]).is_err());
    }

    #[test]
    fn panels_have_curves_and_a_level() {
        let dot = |x: f64, y: f64| Dot { x, y, bar: (y - 2.0, y) };
        let curve = |label: &str| Curve { label: label.to_owned(), points: vec![dot(1.0, 90.0), dot(50.0, 98.0)] };
        let panel = |label: &str| Panel {
            title: "left".to_owned(),
            curves: vec![curve(label)],
            level: Some((99.0, "all".to_owned())),
        };
        let svg = panels("two", "kept", "right", &[panel("a curve"), panel("another")]).expect("points");
        assert!(svg.contains("a curve") && svg.contains("another") && svg.matches("<polyline").count() >= 2, "{svg}");
        assert!(panels("none", "kept", "right", &[]).is_err());
        let bad = Panel { curves: vec![Curve { label: String::new(), points: vec![dot(0.0, 1.0)] }], ..panel("a") };
        assert!(panels("bad", "kept", "right", &[bad]).is_err());
    }
}
