//! Distance against density, and the taxonomy: which methods make masks that a constant describes.

use super::bench::{self, Bench};
use super::config::{Config, Fault, check_densities, check_series, check_widths};
use super::series::{Bracket, Measurement, Series};
use crate::plot::lines::{Line, Stroke, lines};
use crate::plot::{Axes, Dot};
use crate::theory::StudyError;
use crate::theory::report::Report;
use crate::watcher::Watcher;
use secateur_theory::graphon::taxonomy::concentration;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Distance against density.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Densities {
    /// Inputs, and as many hidden units.
    pub width: usize,
    /// The shares of weights that are kept.
    pub densities: Vec<f64>,
    /// The methods.
    pub series: Vec<Series>,
}

impl Densities {
    pub(super) fn check(&self) -> Result<(), Fault> {
        check_densities("densities", &self.densities)?;
        check_widths(&[self.width])?;
        check_series(&self.series, &[self.width])
    }
}

/// Whether masks are told from a constant graphon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A constant with independent edges is not refuted.
    Homogeneous,
    /// No constant with independent edges is as far from its mask as these masks are, but with probability 0.01.
    Heterogeneous,
}

impl Kind {
    /// The kind of a $d \times n$ mask by its distance to the best constant.
    ///
    /// # Errors
    /// None in practice.
    pub fn of(d: usize, n: usize, constant: Bracket) -> Result<Self, StudyError> {
        let level = concentration(d, n, 0.01)?;
        Ok(if constant.lower > level { Self::Heterogeneous } else { Self::Homogeneous })
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Homogeneous => "homogeneous",
            Self::Heterogeneous => "heterogeneous",
        })
    }
}

/// The mean of brackets.
pub fn mean(brackets: impl Iterator<Item = Bracket>) -> Option<Bracket> {
    let all: Vec<Bracket> = brackets.collect();
    let count = all.len() as f64;
    let sum = |value: fn(&Bracket) -> f64| all.iter().map(value).sum::<f64>() / count;
    (!all.is_empty()).then(|| Bracket { lower: sum(|b| b.lower), upper: sum(|b| b.upper) })
}

pub(super) fn run(
    config: &Config,
    asked: &Densities,
    directory: &Path,
    watcher: &dyn Watcher,
) -> Result<String, StudyError> {
    let mut places = Vec::new();
    for series in &asked.series {
        for &density in &asked.densities {
            places.extend(config.seeds.iter().map(|seed| (series, density, *seed)));
        }
    }
    let mut bench = Bench::open(directory, config, places.len(), watcher)?;
    let mut found = Vec::new();
    for (series, density, seed) in places {
        let what = format!("{}, density {density}, seed {seed}", series.label);
        let is = |m: &Measurement| m.series == series.label && m.density == density && m.seed == seed;
        found.push(bench.measurement(&what, is, || series.measure(asked.width, density, seed, true))?);
    }
    bench::write(directory, config, &found, &page(config, asked, &found)?)
}

fn page(config: &Config, asked: &Densities, found: &[Measurement]) -> Result<Report, StudyError> {
    let level = concentration(asked.width, asked.width, 0.01)?;
    let mut report = Report::new(&config.title);
    report.text(&format!(
        "Masks at width {} and their labelled cut distance to the predicted graphon and to the best constant one, as brackets; means over \
         {} seeds. A mask with independent edges of one probability is further than {level:.4} from its constant with probability 0.01 at \
         most, so a method whose masks are further away from every constant is heterogeneous.",
        asked.width,
        config.seeds.len()
    ));
    let mut rows = Vec::new();
    let mut curves = [Vec::new(), Vec::new()];
    for (colour, series) in asked.series.iter().enumerate() {
        let mut dots = [Vec::new(), Vec::new()];
        for &density in &asked.densities {
            let at = || found.iter().filter(|m| m.series == series.label && m.density == density);
            let (Some(distance), Some(constant)) =
                (mean(at().map(|m| m.distance)), mean(at().filter_map(|m| m.constant)))
            else {
                continue;
            };
            let kind = Kind::of(asked.width, asked.width, constant)?;
            let cells = [distance.to_string(), constant.to_string(), kind.to_string()];
            rows.push([vec![series.label.clone(), density.to_string()], cells.to_vec()].concat());
            for (dots, b) in dots.iter_mut().zip([distance, constant]) {
                dots.push(Dot { x: density, y: b.middle(), bar: (b.lower, b.upper) });
            }
        }
        for (curves, points) in curves.iter_mut().zip(dots) {
            curves.push(Line { label: series.label.clone(), points, stroke: Stroke::Dotted, colour: Some(colour) });
        }
    }
    let header = ["series", "density", "to the prediction", "to the best constant", "kind"];
    let axes = |y: &'static str| Axes { x: "density", y, log_x: false, log_y: true };
    let [to_limit, mut to_constant] = curves;
    let ends = asked.densities.iter().fold((1.0_f64, 0.0_f64), |(a, b), d| (a.min(*d), b.max(*d)));
    let line = Line::new("independent edges: exceeded in 1 %", [(ends.0, level), (ends.1, level)], Stroke::Dashed);
    to_constant.push(line.coloured(asked.series.len()));
    report.figure(
        "prediction",
        lines("to the prediction", &axes("cut distance"), &to_limit)?,
        "Distance to the prediction.",
    );
    report.figure(
        "constant",
        lines("to the best constant", &axes("cut distance"), &to_constant)?,
        "Distance to the best constant.",
    );
    report.table(&header, &rows);
    Ok(report)
}
