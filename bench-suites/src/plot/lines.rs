//! Curves over two axes, each linear or logarithmic.

use super::{Axes, COLOURS, Dot, PlotError, SIZE};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;

/// How a curve is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stroke {
    /// A line with a dot at every point.
    #[default]
    Dotted,
    /// A line.
    Solid,
    /// A broken line, for what is predicted or compared with.
    Dashed,
    /// Points alone.
    Points,
}

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it is; without a label it is not in the key.
    pub label: String,
    /// Its points; a bar that is no longer than a point is not drawn.
    pub points: Vec<Dot>,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Curves of one colour belong together; by default each has its own.
    pub colour: Option<usize>,
}

impl Line {
    /// A curve through points without bars.
    pub fn new(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>, stroke: Stroke) -> Self {
        let points = points.into_iter().map(|(x, y)| Dot { x, y, bar: (y, y) }).collect();
        Self { label: label.into(), points, stroke, colour: None }
    }

    /// The same curve in a colour by its number.
    #[must_use]
    pub fn coloured(mut self, colour: usize) -> Self {
        self.colour = Some(colour);
        self
    }
}

/// An axis, in units of the drawing: logarithms where it is logarithmic.
struct Scale {
    axis: plotters::coord::types::RangedCoordf64,
    marks: Vec<f64>,
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.axis.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if self.marks.is_empty() { self.axis.key_points(hint) } else { self.marks.clone() }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.axis.range()
    }
}

impl ValueFormatter<f64> for Scale {
    fn format(value: &f64) -> String {
        number(*value)
    }
}

/// The places of marks on a logarithmic axis: decades; with 2 and 5 where there are few of them.
fn marks(low: f64, high: f64) -> Vec<f64> {
    let within = |steps: &[f64]| -> Vec<f64> {
        let decades = low.floor() as i32..=high.ceil() as i32;
        let all = decades.flat_map(|decade| steps.iter().map(move |step| f64::from(decade) + step.log10()));
        all.filter(|mark| (low..=high).contains(mark)).collect()
    };
    let decades = within(&[1.0]);
    match decades.len() {
        0..=1 => within(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]),
        2..=3 => within(&[1.0, 2.0, 5.0]),
        4..=9 => decades,
        many => decades.into_iter().step_by(many.div_ceil(8)).collect(),
    }
}

/// A number as short as it can be read.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size == 0.0 => "0".to_owned(),
        _ if (1e-3..1e5).contains(&size) => {
            let places = if size >= 10.0 { 1 } else { 4 };
            let text = format!("{value:.places$}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => {
            let text = format!("{value:.1e}");
            text.replace(".0e", "e")
        }
    }
}

/// The ends of an axis that shows some values.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let pad = if high > low { 0.05 * (high - low) } else { 0.5 };
    (low - pad, high + pad)
}

/// Draws curves over the same axes. On a logarithmic axis only positive numbers have a place; the other points are left out.
///
/// # Errors
/// No point can be drawn.
pub fn lines(title: &str, axes: &Axes<'_>, curves: &[Line]) -> Result<String, PlotError> {
    let scale = |v: f64, log: bool| if log { v.log10() } else { v };
    let placed = |line: &Line| -> Vec<Dot> {
        let dots = line.points.iter().map(|dot| Dot {
            x: scale(dot.x, axes.log_x),
            y: scale(dot.y, axes.log_y),
            bar: (scale(dot.bar.0, axes.log_y), scale(dot.bar.1, axes.log_y)),
        });
        dots.filter(|dot| dot.x.is_finite() && dot.y.is_finite()).collect()
    };
    let placed: Vec<Vec<Dot>> = curves.iter().map(placed).collect();
    let (x0, x1) = ends(placed.iter().flatten().map(|dot| dot.x));
    let heights = placed.iter().flatten().flat_map(|dot| [dot.y, dot.bar.0, dot.bar.1]);
    let (y0, y1) = ends(heights.filter(|v| v.is_finite()));
    if !(x0.is_finite() && y0.is_finite()) {
        return Err(PlotError("there is no point to draw".to_owned()));
    }
    let places = |log: bool, low, high| if log { marks(low, high) } else { Vec::new() };
    // The key stands to the right of the curves, not on them.
    let letters = curves.iter().map(|line| line.label.chars().count()).max().unwrap_or(0) as f64;
    let across =
        Scale { marks: places(axes.log_x, x0, x1), axis: (x0..x1 + (x1 - x0) * (0.08 + 0.0125 * letters)).into() };
    let up = Scale { marks: places(axes.log_y, y0, y1), axis: (y0..y1).into() };
    let label = |log: bool| move |v: &f64| number(if log { 10f64.powf(*v) } else { *v });
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(PlotError::new)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 17))
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(72)
            .build_cartesian_2d(across, up)
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
        for (index, (line, dots)) in curves.iter().zip(&placed).enumerate() {
            let (red, green, blue) = COLOURS[line.colour.unwrap_or(index) % COLOURS.len()];
            let colour = RGBColor(red, green, blue).to_rgba();
            let bars = dots.iter().filter(|dot| dot.bar.1 > dot.bar.0).map(|dot| {
                let low = if dot.bar.0.is_finite() { dot.bar.0 } else { y0 };
                PathElement::new([(dot.x, low), (dot.x, dot.bar.1)], colour.stroke_width(1))
            });
            chart.draw_series(bars).map_err(PlotError::new)?;
            if matches!(line.stroke, Stroke::Dotted | Stroke::Points) {
                let marks = dots.iter().map(|dot| Circle::new((dot.x, dot.y), 3, colour.filled()));
                chart.draw_series(marks).map_err(PlotError::new)?;
            }
            let path = dots.iter().map(|dot| (dot.x, dot.y));
            let width = colour.stroke_width(2);
            let drawn = match line.stroke {
                Stroke::Dotted | Stroke::Solid => chart.draw_series(LineSeries::new(path, width)),
                Stroke::Dashed => chart.draw_series(DashedLineSeries::new(path, 6, 4, width)),
                Stroke::Points => chart.draw_series(std::iter::empty::<Circle<(f64, f64), i32>>()),
            };
            // A key has one piece: short for broken lines, a spot for points.
            let (from, to, width) = match line.stroke {
                Stroke::Dotted | Stroke::Solid => (0, 16, 2),
                Stroke::Dashed => (0, 6, 2),
                Stroke::Points => (6, 10, 4),
            };
            let drawn = drawn.map_err(PlotError::new)?;
            if !line.label.is_empty() {
                drawn
                    .label(&line.label)
                    .legend(move |(x, y)| PathElement::new([(x + from, y), (x + to, y)], colour.stroke_width(width)));
            }
        }
        let mut key = chart.configure_series_labels();
        key.position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.8));
        key.border_style(BLACK.mix(0.4)).draw().map_err(PlotError::new)?;
        area.present().map_err(PlotError::new)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXES: Axes<'_> = Axes { x: "width", y: "distance", log_x: true, log_y: true };

    #[test]
    fn curves_have_names_and_logarithmic_marks() {
        let slope = Line::new("slope", [(128.0, 0.02), (2048.0, 0.005)], Stroke::Dashed);
        let seen = Line::new("seen", [(128.0, 0.021), (512.0, 0.0), (2048.0, 0.0052)], Stroke::Dotted);
        let svg = lines("rate", &AXES, &[slope, seen]).expect("points");
        for text in ["slope", "seen", "width", "distance", "200", "0.01"] {
            assert!(svg.contains(text), "{text} is missing in {svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 2, "a point at 0 has no place");
        assert!(lines("none", &AXES, &[Line::new("none", [(1.0, 0.0)], Stroke::Solid)]).is_err());
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.25, 128.0, 1e-4, 250_000.0, -0.5].map(number);
        assert_eq!(texts, ["0", "0.25", "128", "1e-4", "2.5e5", "-0.5"]);
    }
}
