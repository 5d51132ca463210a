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
