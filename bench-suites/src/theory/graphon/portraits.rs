//! Masks beside their predictions: pictures, spectra, and what sorting makes of a random mask.

use super::bench::{self, Bench};
use super::config::{Config, Fault, check_densities, check_series, check_widths};
use super::series::{Pair, Series};
use crate::plot::Axes;
use crate::plot::heat::{Colours, Heat, heat_maps};
use crate::plot::lines::{Line, Stroke, lines};
use crate::theory::StudyError;
use crate::theory::report::Report;
use crate::watcher::Watcher;
use secateur_theory::graphon::StepGraphon;
use secateur_theory::graphon::histogram::{order, root_mean_square, sort_and_smooth};
use secateur_theory::graphon::spectrum::energy;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Pictures and spectra at one width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Portraits {
    /// Inputs, and as many hidden units.
    pub width: usize,
    /// The share of weights that is kept.
    pub density: f64,
    /// The methods.
    pub series: Vec<Series>,
}

/// Spectra and histogram of a mask and its prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spectra {
    /// The series.
    pub series: String,
    /// The seed.
    pub seed: u64,
    /// Singular values of the mask, from the largest.
    pub mask: Vec<f64>,
    /// The same of the prediction.
    pub limit: Vec<f64>,
    /// The root of the mean square difference of the histogram after sorting and the prediction, sorted the same way.
    pub histogram: f64,
    /// Side of a block of the histogram.
    pub block: usize,
}

impl Portraits {
    pub(super) fn check(&self) -> Result<(), Fault> {
        check_densities("density", &[self.density])?;
        check_widths(&[self.width])?;
        check_series(&self.series, &[self.width])
    }
}

/// Rows and columns in rising order of the model's factors.
///
/// # Errors
/// None in practice.
pub fn by_factors(pair: &Pair, w: &StepGraphon) -> Result<StepGraphon, StudyError> {
    let (rows, cols) = (order(pair.model.rows()), order(pair.model.cols()));
    let (cols, w) = (&cols, w);
    let values = rows.iter().flat_map(|i| cols.iter().map(move |j| w.values()[i * cols.len() + j])).collect();
    Ok(StepGraphon::from_matrix(rows.len(), cols.len(), values)?)
}

/// Side of a block of the histogram, $\lfloor \ln n \rfloor$.
pub fn block(width: usize) -> usize {
    (width as f64).ln().floor() as usize
}

fn spectra(series: &Series, pair: &Pair, width: usize, seed: u64) -> Result<Spectra, StudyError> {
    let mask: Vec<bool> = pair.mask.values().iter().map(|v| *v > 0.5).collect();
    let sorted = sort_and_smooth(width, width, &mask, block(width))?;
    Ok(Spectra {
        series: series.label.clone(),
        seed,
        mask: pair.mask.singular_values()?,
        limit: pair.limit.singular_values()?,
        histogram: root_mean_square(&sorted, &by_factors(pair, &pair.limit)?)?,
        block: block(width),
    })
}

pub(super) fn run(
    config: &Config,
    asked: &Portraits,
    directory: &Path,
    watcher: &dyn Watcher,
) -> Result<String, StudyError> {
    let mut bench = Bench::open(directory, config, asked.series.len() * config.seeds.len(), watcher)?;
    let (mut found, mut pictures) = (Vec::new(), Vec::new());
    for series in &asked.series {
        for &seed in &config.seeds {
            let is = |m: &Spectra| m.series == series.label && m.seed == seed;
            let what = format!("{}, seed {seed}", series.label);
            let make = || spectra(series, &series.pair(asked.width, asked.density, seed)?, asked.width, seed);
            found.push(bench.measurement(&what, is, make)?);
        }
        pictures.push(picture(series, asked, config.seeds[0])?);
    }
    bench::write(directory, config, &found, &page(config, asked, &found, pictures)?)
}

/// The mask, its prediction, and the histogram after sorting.
fn picture(series: &Series, asked: &Portraits, seed: u64) -> Result<String, StudyError> {
    let pair = series.pair(asked.width, asked.density, seed)?;
    let (mask, limit) = (by_factors(&pair, &pair.mask)?, by_factors(&pair, &pair.limit)?);
    let bits: Vec<bool> = pair.mask.values().iter().map(|v| *v > 0.5).collect();
    let sorted = sort_and_smooth(asked.width, asked.width, &bits, block(asked.width))?;
    let heat = |title: &str, w: &StepGraphon| Heat::new(title, w.rows().len(), w.cols().len(), w.values());
    let average = averaged(&mask, 32)?;
    let maps = [
        heat("mask", &mask)?,
        heat("mask, means over blocks", &average)?,
        heat("prediction", &limit)?,
        heat("histogram after sorting", &sorted)?,
    ];
    Ok(heat_maps(&series.label, Colours { low: 0.0, high: 1.0 }, &maps)?)
}

/// Means over `cells × cells` blocks.
fn averaged(w: &StepGraphon, cells: usize) -> Result<StepGraphon, StudyError> {
    let (rows, cols) = (w.rows().len(), w.cols().len());
    let mut sums = vec![(0.0, 0.0); cells * cells];
    for (k, v) in w.values().iter().enumerate() {
        let (sum, count) = &mut sums[(k / cols * cells / rows) * cells + k % cols * cells / cols];
        *sum += v;
        *count += 1.0;
    }
    let values = sums.into_iter().map(|(sum, count)| sum / f64::max(count, 1.0)).collect();
    Ok(StepGraphon::from_matrix(cells, cells, values)?)
}

fn page(config: &Config, asked: &Portraits, found: &[Spectra], pictures: Vec<String>) -> Result<Report, StudyError> {
    let mut report = Report::new(&config.title);
    report.text(&format!(
        "Width {}, density {}. Rows are inputs and columns hidden units, both in rising order of the model's factors $r_i$ and $c_j$. The \
         last picture of each row sorts by the mask's own degrees instead and averages over blocks of {}: it shows a slope where the \
         graphon is constant, because degrees differ by chance.",
        asked.width,
        asked.density,
        block(asked.width)
    ));
    for (number, (series, svg)) in asked.series.iter().zip(pictures).enumerate() {
        report.figure(&format!("mask-{number}"), svg, &format!("{}: mask beside prediction.", series.label));
    }
    let (mut rows, mut curves) = (Vec::new(), Vec::new());
    for (colour, series) in asked.series.iter().enumerate() {
        let of: Vec<&Spectra> = found.iter().filter(|m| m.series == series.label).collect();
        let mean = |value: &dyn Fn(&Spectra) -> Result<f64, StudyError>| -> Result<f64, StudyError> {
            Ok(of.iter().map(|m| value(m)).sum::<Result<f64, _>>()? / of.len() as f64)
        };
        let cells = [
            mean(&|m| Ok(100.0 * energy(&m.mask)?.top5))?,
            mean(&|m| Ok(100.0 * energy(&m.limit)?.top5))?,
            mean(&|m| Ok(energy(&m.mask)?.effective_rank))?,
            mean(&|m| Ok(energy(&m.limit)?.effective_rank))?,
            mean(&|m| Ok(m.histogram))?,
        ];
        let text = [1, 1, 2, 2, 4].iter().zip(cells).map(|(places, v)| format!("{v:.*}", *places as usize));
        rows.push(std::iter::once(series.label.clone()).chain(text).collect::<Vec<_>>());
        let Some(first) = of.first() else { continue };
        let points = |values: &[f64]| -> Vec<(f64, f64)> {
            values.iter().take(100).enumerate().map(|(k, s)| ((k + 1) as f64, s.max(1e-9))).collect()
        };
        curves.push(Line::new(format!("{}: mask", series.label), points(&first.mask), Stroke::Solid).coloured(colour));
        let limit: Vec<f64> = first.limit.iter().copied().take_while(|s| *s > 1e-6).collect();
        curves
            .push(Line::new(format!("{}: prediction", series.label), points(&limit), Stroke::Dashed).coloured(colour));
    }
    report.text(
        "## Spectra\n\nSingular values $s_1 \\ge s_2 \\ge \\dots$ of masks and predictions as operators. The energy of the first five is \
         $\\sum_{i \\le 5} s_i^2 / \\sum_i s_i^2$, the effective rank $\\sum_i s_i / s_1$; a mask's own noise has all ranks, so only the \
         first few of its values say something about the limit. The histogram's column is the root of its mean square distance to \
         the prediction.",
    );
    let header = [
        "series",
        "top 5 %, mask",
        "top 5 %, prediction",
        "effective rank, mask",
        "effective rank, prediction",
        "histogram",
    ];
    report.table(&header, &rows);
    let axes = Axes { x: "rank", y: "singular value", log_x: true, log_y: true };
    report.figure("spectra", lines("Singular values", &axes, &curves)?, "Decay of singular values, first seed.");
    Ok(report)
}
