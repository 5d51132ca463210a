//! Checks of what each pruning method does.

use super::super::approximation::{self, Interpolant, predicted_error};
use super::super::deep::layers;
use super::super::densities::mean;
use super::super::images::{self, Classes};
use super::super::network::isotropic as isotropic_samples;
use super::super::series::{Bracket, Columns, Count, Measurement, Output, Series, Task};
use super::{at_least, at_most};
use crate::theory::StudyError;
use crate::theory::statement::{Comparison, Context, Finding, Tolerance, greatest};
use secateur_nn::data::DataSet;
use secateur_prune::Method;
use secateur_theory::graphon::methods::{self, Data};
use secateur_theory::graphon::taxonomy::concentration;

const DENSITY: f64 = 0.2;

/// The methods with a limit.
const METHODS: [(Method, &str); 6] = [
    (Method::Random, "random"),
    (Method::Magnitude, "magnitude"),
    (Method::Snip, "SNIP"),
    (Method::GraspAbs, "GraSP, absolute"),
    (Method::Grasp, "GraSP, signed"),
    (Method::Synflow, "SynFlow"),
];

/// Mean distances over seeds.
fn distance(series: &Series, width: usize, context: &Context<'_>, seeds: u64) -> Result<Bracket, StudyError> {
    let found = (0..seeds).map(|k| series.measure(width, DENSITY, context.seed.wrapping_add(k), false));
    let found = found.collect::<Result<Vec<Measurement>, _>>()?;
    Ok(mean(found.iter().map(|m| m.distance)).unwrap_or(Bracket { lower: f64::NAN, upper: f64::NAN }))
}

/// Every method's mask is as near to its limit as independent edges are.
pub(super) fn limit(context: &Context<'_>) -> Result<Finding, StudyError> {
    let width = 256;
    let mut rows = Vec::new();
    for (method, name) in METHODS {
        let found = distance(&Series::new(name, method), width, context, 2)?;
        // Half of the level that independent edges exceed in 1 %: sets are chosen from fewer than 2^512 that matter.
        rows.push(at_most(format!("{name}, width {width}"), 0.5 * concentration(width, width, 0.01)?, found.upper));
    }
    Ok(Finding::Compared(rows))
}

/// Rows of SynFlow's mask differ by chance only, columns as predicted.
pub(super) fn synflow(context: &Context<'_>) -> Result<Finding, StudyError> {
    let width = 512;
    let pair = Series::new("SynFlow", Method::Synflow).pair(width, DENSITY, context.seed)?;
    let w = pair.limit.values();
    // Missing degrees would be no deviation.
    let squares = |found: &[f64], expected: &dyn Fn(usize) -> f64| match found.len() == width {
        true => found.iter().enumerate().map(|(k, d)| (d - expected(k)).powi(2)).sum::<f64>() / width as f64,
        false => f64::NAN,
    };
    let deviation = squares(&pair.mask.row_degrees(), &|_| DENSITY);
    let chance = w[..width].iter().map(|w| w * (1.0 - w)).sum::<f64>() / (width * width) as f64;
    let found = pair.mask.col_degrees();
    let off = squares(&found, &|j| w[j]);
    // What a column is off by, in deviations of chance, of which none is less than a quarter of an edge.
    let far = found.iter().zip(w).map(|(d, w)| (d - w).abs() * (width as f64 / (w * (1.0 - w)).max(1e-4)).sqrt());
    Ok(Finding::Compared(vec![
        // A variance over 512 rows deviates by √(2/512) = 6 %.
        Comparison::new("variance of rows over that of chance", 1.0, deviation / chance, Tolerance::Absolute(0.25)),
        Comparison::new(
            "variance of columns around the limit over that of chance",
            1.0,
            off / chance,
            Tolerance::Absolute(0.25),
        ),
        // A normal deviation is beyond 5 in one of 512 columns with probability .0003; thin columns have longer tails.
        at_most("largest deviation of a column from the limit, in deviations of chance", 6.0, greatest(far)),
    ]))
}

/// The densest block of either variant of GraSP.
pub(super) fn grasp(context: &Context<'_>) -> Result<Finding, StudyError> {
    let width = 256;
    let mut rows = Vec::new();
    for (method, name, signed) in [(Method::GraspAbs, "absolute", false), (Method::Grasp, "signed", true)] {
        let pair = Series::new(name, method).pair(width, DENSITY, context.seed)?;
        let sorted = super::super::portraits::by_factors(&pair, &pair.mask)?;
        // The corner of the largest factors: an eighth of the rows and of the columns.
        let from = width - width / 8;
        let corner = (from..width).flat_map(|i| (from..width).map(move |j| i * width + j));
        let corner = corner.map(|k| sorted.values()[k]).sum::<f64>() / (width / 8).pow(2) as f64;
        match signed {
            // 1024 entries below one half deviate by .016.
            true => rows.push(at_most("signed: density of the densest corner", 0.55, corner)),
            false => rows.push(at_least("absolute: density of the densest corner", 0.8, corner)),
        }
    }
    let half = Series::new("signed", Method::Grasp).pair(width, 0.5, context.seed)?;
    let flat = greatest(half.limit.values().iter().map(|w| (w - 0.5).abs()));
    rows.push(Comparison::new(
        "signed: the limit at density one half, off one half by",
        0.0,
        flat,
        Tolerance::Absolute(1e-6),
    ));
    Ok(Finding::Compared(rows))
}

/// GraSP's columns at its published temperature.
pub(super) fn temperature(context: &Context<'_>) -> Result<Finding, StudyError> {
    let at = |columns| Series { temperature: 200.0, columns, ..Series::new("GraSP", Method::GraspAbs) };
    let width = 256;
    let (plain, curved) =
        (distance(&at(Columns::Limit), width, context, 2)?, distance(&at(Columns::Curvature), width, context, 2)?);
    Ok(Finding::Compared(vec![
        at_least("T = 200, columns of the limit", concentration(width, width, 0.01)?, plain.lower),
        at_most("T = 200, columns with curvature", 0.5 * concentration(width, width, 0.01)?, curved.upper),
    ]))
}

/// Distances to constants.
pub(super) fn taxonomy(context: &Context<'_>) -> Result<Finding, StudyError> {
    let width = 384;
    let level = concentration(width, width, 0.01)?;
    let mut rows = Vec::new();
    for (method, name) in METHODS {
        let found = Series::new(name, method).measure(width, DENSITY, context.seed, true)?;
        let constant = found.constant.unwrap_or(Bracket { lower: f64::NAN, upper: f64::NAN });
        rows.push(match method {
            Method::Random | Method::Magnitude => {
                at_most(format!("{name}, to the best constant"), level, constant.upper)
            }
            _ => at_least(format!("{name}, to the best constant"), level, constant.lower),
        });
    }
    Ok(Finding::Compared(rows))
}

/// With few samples the distance stays.
pub(super) fn fixed_samples(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut rows = Vec::new();
    let fall = |samples: Count| -> Result<f64, StudyError> {
        let series = Series { samples, ..Series::new("SNIP", Method::Snip) };
        Ok(distance(&series, 512, context, 4)?.middle() / distance(&series, 128, context, 4)?.middle())
    };
    // The root of the width would make it one half.
    rows.push(at_most("distance at width 512 over 128, N = 2n", 0.6, fall(Count::PerInput(2.0))?));
    rows.push(at_least("distance at width 512 over 128, N = 16", 0.65, fall(Count::Fixed(16))?));
    Ok(Finding::Compared(rows))
}

/// The initial output adds to the distance.
pub(super) fn initial_output(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut rows = Vec::new();
    for width in [128, 256] {
        let at = |output| distance(&Series { output, ..Series::new("SNIP", Method::Snip) }, width, context, 4);
        let (zero, kept) = (at(Output::Zero)?, at(Output::Kept)?);
        rows.push(at_least(format!("kept over zero, width {width}"), 1.0, kept.lower / zero.upper));
    }
    Ok(Finding::Compared(rows))
}

/// Bessel's inequality, and the distance that stays.
pub(super) fn isotropic(context: &Context<'_>) -> Result<Finding, StudyError> {
    let (d, count) = (128, 16_384);
    let samples = isotropic_samples(d, count, context.seed);
    let residuals: Vec<f64> = samples.targets.iter().map(|y| -y).collect();
    let data = Data { inputs: &samples.inputs, residuals: &residuals };
    let model = methods::model(methods::Method::Snip, d, &[1.0], Some(data))?;
    let square = model.rows().iter().map(|r| (2.0 * r).powi(2)).sum::<f64>() / d as f64;
    let power = samples.targets.iter().map(|y| y * y).sum::<f64>() / count as f64;
    // The sample covariance of 128 numbers from 16 384 samples has no eigenvalue above (1 + √(1/128))² by much.
    let eigenvalue = (1.0 + (d as f64 / count as f64).sqrt()).powi(2) * 1.02;
    let series = Series { task: Task::Isotropic, ..Series::new("SNIP", Method::Snip) };
    let fall = distance(&series, 512, context, 2)?.middle() / distance(&series, 128, context, 2)?.middle();
    Ok(Finding::Compared(vec![
        at_most("mean square of E[y x]", eigenvalue * power / d as f64, square),
        at_least("distance at width 512 over 128, N = 2n", 0.75, fall),
    ]))
}

/// Wired units and errors.
pub(super) fn approximation(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut rows = Vec::new();
    for (n, density, active) in [(512, 0.2, 2), (256, 0.4, 3), (64, 0.4, 1)] {
        let (mut wired, mut error, mut expected) = (0.0, 0.0, 0.0);
        const RUNS: u64 = 12;
        for number in 0..RUNS {
            let seed = context.seed.wrapping_add(number);
            let found = approximation::measure(64, ("random", n, density, active), seed)?;
            wired += found.wired as f64 / RUNS as f64;
            error += found.error / RUNS as f64;
            expected = found.expected;
        }
        let name = format!("n = {n}, density {density}, k = {active}");
        // Four standard errors of a mean of binomial counts.
        let tolerance = Tolerance::Absolute(4.0 * (expected / RUNS as f64).sqrt());
        rows.push(Comparison::new(format!("wired units, {name}"), expected, wired, tolerance));
        rows.push(Comparison::new(
            format!("error, {name}"),
            predicted_error(expected)?,
            error,
            Tolerance::Relative(0.3),
        ));
    }
    let floor = Interpolant::new(64)?.error();
    rows.push(at_most("error of 64 units", 0.01, floor));
    Ok(Finding::Compared(rows))
}

/// Layers of a deep network beside fitted factors.
pub(super) fn depth(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut rows = Vec::new();
    for method in ["snip", "grasp-abs", "synflow"] {
        // SynFlow's layers before the last are as good as constant.
        let first = if method == "synflow" { 3 } else { 1 };
        for layer in layers(4, 128, 2, method, &[0.8], context.seed)?.into_iter().filter(|l| l.layer >= first) {
            let what = format!("{method}, layer {}: to the fit over to a constant", layer.layer);
            rows.push(at_most(what, 1.0, layer.fitted.upper / layer.constant.lower));
        }
    }
    Ok(Finding::Compared(rows))
}

/// Two digits.
pub(super) fn images(context: &Context<'_>) -> Result<Finding, StudyError> {
    let Some(data) = context.data else { return Ok(Finding::NeedsData("MNIST".to_owned())) };
    let pair = Classes { set: DataSet::Mnist, classes: [3, 8] };
    let measure = |width| images::measure(data, &pair, "snip", (width, DENSITY, 2000), context.seed);
    let (narrow, wide) = (measure(256)?, measure(1024)?);
    let constant = narrow.constant.map_or(f64::NAN, |c| c.lower);
    Ok(Finding::Compared(vec![
        at_most("SNIP on 3 and 8, to the prediction over to a constant", 0.2, narrow.distance.upper / constant),
        at_least("distance with 1024 units over 256", 0.8, wide.distance.middle() / narrow.distance.middle()),
    ]))
}
