//! Groups of bars, with intervals.

use super::{COLOURS, PlotError, SIZE};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;

/// One bar of every group.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What they are.
    pub label: String,
    /// For each group the height and half of its interval; none where there is no bar.
    pub heights: Vec<Option<(f64, f64)>>,
}

/// An axis with a name at the middle of every unit.
struct Names {
    axis: plotters::coord::types::RangedCoordf64,
    names: usize,
}

impl Ranged for Names {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.axis.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        (0..self.names).map(|group| group as f64 + 0.5).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.axis.range()
    }
}

impl ValueFormatter<f64> for Names {
    fn format(value: &f64) -> String {
        format!("{value:.0}")
    }
}

/// Draws bars from 0 side by side, group by group.
///
/// # Errors
/// There is no bar, or one has no finite height.
pub fn bars(title: &str, y: &str, groups: &[String], series: &[Bars]) -> Result<String, PlotError> {
    let all = || series.iter().flat_map(|bars| bars.heights.iter().flatten());
    let most = all().map(|(height, half)| height + half).fold(0.0, f64::max);
    // Whiskers end at 0 where no bar goes below.
    let least = all().filter(|(height, _)| *height < 0.0).map(|(height, half)| height - half).fold(0.0, f64::min);
    // Bars of nothing have an axis too.
    let most = if most > least { most } else { 1.0 };
    if all().next().is_none() || !all().all(|(height, half)| (height + half).is_finite()) {
        return Err(PlotError("there is no bar to draw".to_owned()));
    }
    let letters = series.iter().map(|bars| bars.label.chars().count()).max().unwrap_or(0) as f64;
    let wide = groups.len() as f64 * (1.08 + 0.0125 * letters);
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(PlotError::new)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 17))
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(72)
            .build_cartesian_2d(Names { axis: (0.0..wide).into(), names: groups.len() }, 1.05 * least..1.05 * most)
            .map_err(PlotError::new)?;
        let name = |v: &f64| groups.get(*v as usize).cloned().unwrap_or_default();
        chart
            .configure_mesh()
            .disable_x_mesh()
            .y_desc(y)
            .x_label_formatter(&name)
            .y_label_formatter(&|v| super::lines::number(*v))
            .light_line_style(WHITE)
            .draw()
            .map_err(PlotError::new)?;
        let width = 0.8 / series.len() as f64;
        for (index, bars) in series.iter().enumerate() {
            let (red, green, blue) = COLOURS[index % COLOURS.len()];
            let colour = RGBColor(red, green, blue).to_rgba();
            let place = |group: usize| group as f64 + 0.1 + width * index as f64;
            let found = || bars.heights.iter().enumerate().filter_map(|(group, bar)| Some((place(group), (*bar)?)));
            let boxes =
                found().map(|(x, (height, _))| Rectangle::new([(x, 0.0), (x + 0.92 * width, height)], colour.filled()));
            let drawn = chart.draw_series(boxes).map_err(PlotError::new)?;
            drawn
                .label(&bars.label)
                .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 12, y + 4)], colour.filled()));
            let whiskers = found().filter(|(_, (_, half))| *half > 0.0).map(|(x, (height, half))| {
                let middle = x + 0.46 * width;
                let ends = [(middle, (height - half).max(1.05 * least)), (middle, height + half)];
                PathElement::new(ends, BLACK.stroke_width(1))
            });
            chart.draw_series(whiskers).map_err(PlotError::new)?;
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

    #[test]
    fn groups_and_series_are_named() {
        let series =
            ["random", "oracle"].map(|label| Bars { label: label.to_owned(), heights: vec![Some((0.5, 0.1)), None] });
        let svg = bars("tickets", "loss", &["10".to_owned(), "30 neurons".to_owned()], &series).expect("bars");
        for text in ["tickets", "loss", "30 neurons", "random", "oracle"] {
            assert!(svg.contains(text), "{text} is missing in {svg}");
        }
        assert!(bars("none", "loss", &[], &[]).is_err());
        let nothing = [Bars { label: "a".to_owned(), heights: vec![Some((0.0, 0.0))] }];
        assert!(bars("nothing", "payoff", &["0".to_owned()], &nothing).is_ok());
        let below = [Bars { label: "a".to_owned(), heights: vec![Some((-0.5, 0.0)), Some((0.1, 0.0))] }];
        assert!(bars("signs", "payoff", &["0".to_owned(), "1".to_owned()], &below).expect("bars").contains("-0.5"));
    }
}
