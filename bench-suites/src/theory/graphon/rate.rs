//! Distance to the predicted graphon against width.

use super::bench::{self, Bench};
use super::config::{Config, Fault, check_densities, check_series, check_widths, rule};
use super::series::{Measurement, Series};
use crate::plot::lines::{Line, Stroke, lines};
use crate::plot::{Axes, Dot};
use crate::statistics::Interval;
use crate::theory::StudyError;
use crate::theory::report::Report;
use crate::watcher::Watcher;
use secateur_theory::graphon::taxonomy::concentration;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Distance against width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rate {
    /// The share of weights that is kept.
    pub density: f64,
    /// Inputs, and as many hidden units.
    pub widths: Vec<usize>,
    /// The curves.
    pub series: Vec<Series>,
    /// Numbers to compare the lower bounds with.
    #[serde(default)]
    pub known: Vec<Known>,
    /// Widths above this are measured with the first seed only.
    #[serde(default)]
    pub every_seed_to: Option<usize>,
}

/// A number to compare with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Known {
    /// The curve.
    pub series: String,
    /// The width.
    pub width: usize,
    /// The cut distance, from below.
    pub distance: f64,
}

impl Rate {
    pub(super) fn check(&self) -> Result<(), Fault> {
        check_densities("density", &[self.density])?;
        check_widths(&self.widths)?;
        check_series(&self.series, &self.widths)?;
        for Known { series, width, distance } in &self.known {
            let there = self.series.iter().any(|s| s.label == *series) && self.widths.contains(width);
            rule(there, "known", "a series and a width of this study", &(series, width))?;
            rule(*distance > 0.0 && distance.is_finite(), "distance", "a positive number", distance)?;
        }
        Ok(())
    }
}

/// The slope of the least-squares line of $\ln y$ over $\ln x$.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let (mx, my) = (logs.iter().map(|p| p.0).sum::<f64>() / count, logs.iter().map(|p| p.1).sum::<f64>() / count);
    let across: f64 = logs.iter().map(|p| (p.0 - mx).powi(2)).sum();
    logs.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>() / across
}

/// The slopes of the middle of the bracket, one for each seed that has every width.
pub fn slopes(found: &[&Measurement], seeds: &[u64]) -> Vec<f64> {
    let of = |seed: u64| -> Vec<(f64, f64)> {
        found.iter().filter(|m| m.seed == seed).map(|m| (m.n as f64, m.distance.middle())).collect()
    };
    let widths = seeds.iter().map(|seed| of(*seed).len()).min().unwrap_or(0);
    let line = |seed: &u64| (widths > 1).then(|| slope(&of(*seed)[..widths]));
    seeds.iter().filter_map(line).collect()
}

pub(super) fn run(config: &Config, rate: &Rate, directory: &Path, watcher: &dyn Watcher) -> Result<String, StudyError> {
    let wanted =
        |width: usize, seed: u64| seed == config.seeds[0] || rate.every_seed_to.is_none_or(|most| width <= most);
    let mut places = Vec::new();
    for &width in &rate.widths {
        for series in &rate.series {
            places.extend(config.seeds.iter().filter(|seed| wanted(width, **seed)).map(|seed| (series, width, *seed)));
        }
    }
    let mut bench = Bench::open(directory, config, places.len(), watcher)?;
    let mut found = Vec::new();
    for (series, width, seed) in places {
        let what = format!("{}, width {width}, seed {seed}", series.label);
        let is = |m: &Measurement| m.series == series.label && m.n == width && m.seed == seed;
        found.push(bench.measurement(&what, is, || series.measure(width, rate.density, seed, false))?);
    }
    bench::write(directory, config, &found, &page(config, rate, &found)?)
}

fn page(config: &Config, rate: &Rate, found: &[Measurement]) -> Result<Report, StudyError> {
    let mut report = Report::new(&config.title);
    report.text(&format!(
        "Masks of $f(x) = n^{{-1/2}} \\sum_j a_j \\sigma(w_j^\\top x / \\sqrt d)$ with $d = n$, pruned to density {}, beside the graphon \
         that the factorised saliency model predicts with the network's own $a_j$ and the samples' own $r_i$. Distances are \
         labelled cut distances, each as a bracket: the cut of a pair of sets that was found, and a bound that no pair exceeds. \
         Means over {} seeds; slopes are those of the middle of the bracket over the widths that every seed has, with 95 % intervals over seeds.",
        rate.density,
        config.seeds.len()
    ));
    let of = |series: &Series, width: usize| -> Vec<&Measurement> {
        found.iter().filter(|m| m.series == series.label && m.n == width).collect()
    };
    let mean = |ms: &[&Measurement], value: fn(&Measurement) -> f64| {
        ms.iter().map(|m| value(m)).sum::<f64>() / ms.len() as f64
    };
    let mut curves = Vec::new();
    let mut rows = Vec::new();
    for (colour, series) in rate.series.iter().enumerate() {
        let mut row = vec![series.label.clone()];
        let mut dots = Vec::new();
        for &width in &rate.widths {
            let at = of(series, width);
            let (lower, upper) = (mean(&at, |m| m.distance.lower), mean(&at, |m| m.distance.upper));
            row.push(format!("[{lower:.4}, {upper:.4}]"));
            dots.push(Dot { x: width as f64, y: 0.5 * (lower + upper), bar: (lower, upper) });
        }
        let all: Vec<&Measurement> = found.iter().filter(|m| m.series == series.label).collect();
        let fitted = Interval::of(&slopes(&all, &config.seeds));
        row.push(fitted.map_or_else(String::new, |s| match s.half {
            Some(half) => format!("{:.3} ± {half:.3}", s.mean),
            None => format!("{:.3}", s.mean),
        }));
        rows.push(row);
        curves.push(Line { label: series.label.clone(), points: dots, stroke: Stroke::Dotted, colour: Some(colour) });
    }
    let proved: Vec<(f64, f64)> =
        rate.widths.iter().map(|w| Ok((*w as f64, concentration(*w, *w, 0.01)?))).collect::<Result<_, StudyError>>()?;
    curves.push(Line::new("independent edges: exceeded in 1 %", proved, Stroke::Dashed).coloured(rate.series.len()));
    let axes = Axes { x: "width", y: "cut distance", log_x: true, log_y: true };
    let mut header: Vec<String> = vec!["series".to_owned()];
    header.extend(rate.widths.iter().map(|w| format!("width {w}")));
    header.push("slope".to_owned());
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    report.table(&header, &rows);
    report.figure("rate", lines(&config.title, &axes, &curves)?, "Brackets against width.");
    if !rate.known.is_empty() {
        let row = |known: &Known| {
            let series = rate.series.iter().find(|s| s.label == known.series);
            let at = series.map(|s| of(s, known.width)).unwrap_or_default();
            let lower = mean(&at, |m| m.distance.lower);
            let off = format!("{:+.1} %", 100.0 * (lower / known.distance - 1.0));
            vec![known.series.clone(), known.width.to_string(), known.distance.to_string(), format!("{lower:.4}"), off]
        };
        report.text("## Lower bounds beside known ones");
        report.table(&["series", "width", "known", "found", "off"], &rate.known.iter().map(row).collect::<Vec<_>>());
    }
    report.text(
        "## Time\n\nSeconds for the mask (scores and selection), the prediction and the bracket; means over seeds, whatever else the machine was doing.",
    );
    let mut times = Vec::new();
    for &width in &rate.widths {
        for series in &rate.series {
            let at = of(series, width);
            let cells = [mean(&at, |m| m.mask_seconds), mean(&at, |m| m.limit_seconds), mean(&at, |m| m.cut_seconds)];
            let mut row = vec![width.to_string(), series.label.clone()];
            row.extend(cells.iter().map(|s| format!("{s:.2}")));
            times.push(row);
        }
    }
    report.table(&["width", "series", "mask", "prediction", "bracket"], &times);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_a_power_is_its_exponent() {
        let points: Vec<(f64, f64)> = [1.0, 3.0, 10.0].map(|x: f64| (x, 5.0 * x.powf(-0.5))).to_vec();
        assert!((slope(&points) + 0.5).abs() < 1e-12);
    }
}
