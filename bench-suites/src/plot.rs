//! Plots, as SVG text.

use crate::record::SampleRecord;
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
}
