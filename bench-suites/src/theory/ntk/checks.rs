//! Statements on tangent kernels, and the checks that can refute them.

use super::super::StudyError;
use super::super::statement::{Comparison, Context, Finding, Statement, Tolerance, greatest};
use super::config::{Curves, Limit};
use super::limit::exponent;
use super::network::{Mode, distance, predicted};
use super::problem::Pool;
use super::{curves, limit};
use crate::journal::JournalError;
use crate::statistics::Interval;
use secateur_linalg::random::Random;
use secateur_prune::Method;
use secateur_theory::TheoryError;
use secateur_theory::ntk::density::{kept_second_moment, threshold};
use secateur_theory::ntk::graphon::deep;
use secateur_theory::ntk::{
    Activation, Architecture, DensityGrid, Gradient, Layer, Plan, Settings, Spectrum, Values, Weights, empirical,
    finite, path_density,
};
use std::f64::consts::{FRAC_PI_2, PI};

macro_rules! statement {
    ($name:literal, $check:expr) => {
        Statement {
            id: concat!("ntk.", $name),
            note: include_str!(concat!("../../../../proofs-notes/ntk/", $name, ".md")),
            check: $check,
        }
    };
}

/// The statements of this system.
pub const STATEMENTS: &[Statement] = &[
    statement!("arc-cosine", arc_cosine),
    statement!("limit", masked_networks),
    statement!("kept-weights", kept_weights),
    statement!("constant-graphon", constant_graphon),
    statement!("sparse-layers", sparse_layers),
    statement!("positive", positive),
    statement!("bound", generalisation),
    statement!("cross-over", cross_over),
    statement!("path-density", paths),
];

/// Closed forms against the integral that they solve, and against another library.
fn arc_cosine(_: &Context<'_>) -> Result<Finding, StudyError> {
    let mut rows = Vec::new();
    for cosine in [-1.0 + 1e-6, -0.5, 0.0, 0.9, 1.0 - 1e-9_f64] {
        let angle = cosine.acos();
        // (1/π) ∫ cos φ cos(φ - θ) dφ over the half planes' intersection, by Simpson's rule.
        let steps = 2000;
        let (low, high) = (angle - FRAC_PI_2, FRAC_PI_2);
        let h = (high - low) / f64::from(steps);
        let f = |k: i32| {
            let phi = low + f64::from(k) * h;
            phi.cos() * (phi - angle).cos()
        };
        let weight = |k: i32| if k == 0 || k == steps { 1.0 } else { 2.0 + 2.0 * f64::from(k % 2) };
        let integral = (0..=steps).map(|k| weight(k) * f(k)).sum::<f64>() * h / (3.0 * PI);
        let dual = Activation::Relu.dual(1.0, 1.0, cosine);
        let what = format!("E σσ′ of ReLU at cos θ = {cosine}");
        rows.push(Comparison::new(what, integral, dual.value, Tolerance::Absolute(1e-12)));
    }
    let text = include_str!("../../../../theory/tests/fixtures/ntk_values.json");
    let oracle: Oracle = serde_json::from_str(text).map_err(JournalError::Json)?;
    let mut differences = Vec::new();
    for case in &oracle.cases {
        let activation = if case.activation == "relu" { Layer::Relu } else { Layer::Erf };
        let weights = Weights::new(case.weight_std, case.bias_std);
        let architecture = Architecture::fully_connected(3, case.hidden_layers, &activation, &weights);
        let found = Plan::new(&architecture)?.gram(&oracle.inputs)?;
        for (found, expected) in [(found.nngp, case.nngp.concat()), (found.ntk, case.ntk.concat())] {
            if found.len() != expected.len() {
                return Err(StudyError::Note {
                    note: "ntk_values.json".to_owned(),
                    fault: "kernels of other sizes".to_owned(),
                });
            }
            differences.extend(found.iter().zip(expected).map(|(a, b)| (a - b).abs()));
        }
    }
    let largest = greatest(differences);
    rows.push(Comparison::new("largest difference to neural_tangents, 9 networks", 1e-12, largest, Tolerance::AtMost));
    Ok(Finding::Compared(rows))
}

#[derive(serde::Deserialize)]
struct Oracle {
    #[serde(rename = "X")]
    inputs: Vec<Vec<f64>>,
    cases: Vec<OracleCase>,
}

#[derive(serde::Deserialize)]
struct OracleCase {
    activation: String,
    hidden_layers: usize,
    #[serde(rename = "W_std")]
    weight_std: f64,
    #[serde(rename = "b_std")]
    bias_std: f64,
    nngp: Vec<Vec<f64>>,
    ntk: Vec<Vec<f64>>,
}

/// Distances to the graphon's kernel fall like one over the root of the width, for both kinds of weights.
fn masked_networks(context: &Context<'_>) -> Result<Finding, StudyError> {
    let methods = vec![Method::Random, Method::Magnitude, Method::Snip];
    let question =
        Limit { methods, widths: vec![64, 128, 256, 512], densities: vec![0.2], probes: 6, samples_per_width: 4 };
    let pool = Pool::Normal(0.7);
    let mut rows = Vec::new();
    for method in &question.methods {
        let mut points = Vec::new();
        for width in &question.widths {
            for run in 0..4 {
                let (seed, method) = (context.seed.wrapping_add(run), method.name().to_owned());
                points.push(question.measure(&pool, limit::Place { seed, method, density: 0.2, width: *width })?);
            }
        }
        for mode in [Mode::Reinit, Mode::Kept] {
            let pick = |p: &limit::Point| if mode == Mode::Reinit { p.reinit } else { p.kept };
            let law: Vec<(f64, f64)> = points.iter().map(|p| (p.place.width as f64, pick(p))).collect();
            let found = exponent(&law).map_or(f64::NAN, |found| found.mean);
            // Three times the usual half width of the interval with 16 points.
            let what = format!("exponent of the distance, {method}, {mode:?}");
            rows.push(Comparison::new(what, -0.5, found, Tolerance::Absolute(0.3)));
            let last: Vec<f64> = points.iter().filter(|p| p.place.width == 512).map(pick).collect();
            let (mean, _) = mean_and_error(&last);
            rows.push(Comparison::new(
                format!("distance at width 512, {method}, {mode:?}"),
                few(512),
                mean,
                Tolerance::AtMost,
            ));
        }
    }
    Ok(Finding::Compared(rows))
}

/// The second moment of kept weights, and what ignoring it costs.
fn kept_weights(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut rows = Vec::new();
    let mut random = Random::stream(context.seed, 11);
    let draws: Vec<f64> = (0..400_000).map(|_| random.normal()).collect();
    for density in [0.05, 0.3, 0.7] {
        let t = threshold(density);
        let squares: Vec<f64> = draws.iter().map(|w| if w.abs() >= t { w * w } else { 0.0 }).collect();
        let (mean, error) = mean_and_error(&squares);
        let what = format!("second moment of kept weights at density {density}");
        rows.push(Comparison::new(what, kept_second_moment(density), mean, Tolerance::Absolute(4.5 * error)));
    }
    let width = 512;
    let (methods, densities) = (vec![Method::Magnitude], vec![0.2]);
    let question = Limit { methods, widths: vec![width], densities, probes: 6, samples_per_width: 1 };
    let pool = Pool::Normal(0.7);
    let (mut excess, mut kept) = (Vec::new(), Vec::new());
    for run in 0..12 {
        let (seed, method) = (context.seed.wrapping_add(run), "magnitude".to_owned());
        let found = question.measure(&pool, limit::Place { seed, method, density: 0.2, width })?;
        let probes = question.problem(&pool, width, seed)?.training.numbers();
        let gram = |mode| -> Result<Vec<f64>, StudyError> {
            let kernel = predicted(Method::Magnitude, mode, 0.2, &[], 1)?;
            Ok(kernel.expect("magnitude has a graphon").gram(&probes)?)
        };
        excess.push(found.kept_as_reinit - distance(&gram(Mode::Kept)?, &gram(Mode::Reinit)?));
        kept.push(found.kept);
    }
    let (mean, error) = mean_and_error(&excess);
    let what = "distance of kept weights' kernel to the one with variance W, less that of both limits, width 512";
    rows.push(Comparison::new(what, 0.0, mean, Tolerance::Absolute(4.5 * error)));
    let what = "distance to the one with their second moment, width 512";
    rows.push(Comparison::new(what, few(512), mean_and_error(&kept).0, Tolerance::AtMost));
    Ok(Finding::Compared(rows))
}

/// $4/\sqrt n$: what a mean of $n$ numbers may be off by whose deviation is four times their mean.
fn few(width: usize) -> f64 {
    4.0 / (width as f64).sqrt()
}

/// Powers of a constant density.
fn constant_graphon(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut rows = Vec::new();
    let c = 0.4;
    let x = normal_inputs(4, 128, context.seed);
    let single = rounded(&x);
    for hidden in [1, 2] {
        for (gradient, power) in [(Gradient::Kept, hidden + 1), (Gradient::All, hidden)] {
            let plan = |c: f64| -> Result<Plan, TheoryError> {
                let densities = vec![DensityGrid::new(1, 1, vec![c])?; hidden + 1];
                Plan::new(&deep(128, &densities, Values::Reinit, gradient))
            };
            let (dense, sparse) = (plan(1.0)?.gram(&x)?.ntk, plan(c)?.gram(&x)?.ntk);
            let expected = c.powi(power as i32);
            let scaled: Vec<f64> = dense.iter().map(|v| v * expected).collect();
            let counted = if gradient == Gradient::Kept { "kept" } else { "all" };
            let what =
                format!("distance to c^{power} times the dense kernel, {hidden} hidden layers, {counted} weights");
            rows.push(Comparison::new(what, 1e-12, distance(&sparse, &scaled), Tolerance::AtMost));
            let traces = (0..24)
                .map(|draw| {
                    let (graph, masks) = finite(&plan(c)?, 256, 2, context.seed.wrapping_add(draw))?;
                    let masks = (gradient == Gradient::Kept).then_some(&masks);
                    let found = empirical::<f64>(&graph, masks, &single, &Settings::default())?;
                    Ok(trace(&found.kernel, 4) / trace(&dense, 4))
                })
                .collect::<Result<Vec<f64>, TheoryError>>()?;
            let (mean, error) = mean_and_error(&traces);
            // Width 256 has a bias of the order of 1/256 from two hidden layers on.
            let allowed = 4.5 * error + 2.0 * expected / 256.0;
            let what = format!(
                "drawn networks: trace over that of the dense limit, {hidden} hidden layers, {counted} weights"
            );
            rows.push(Comparison::new(what, expected, mean, Tolerance::Absolute(allowed)));
        }
    }
    Ok(Finding::Compared(rows))
}

/// Networks that are drawn of each.
const DRAWS: u64 = 120;

/// Networks with sparse layers of every kind.
const NETWORKS: [(&str, &str, usize); 3] = [
    (
        "dense layers",
        "input = [128]
         layers = [{ dense = { density = 0.5 } }, 'relu', { dense = { std = 1.4, density = 0.3, bias = 0.2 } }, 'relu',
                   { dense = { std = 1.4, density = 0.5 } }]",
        192,
    ),
    (
        "convolutions, flattened",
        "input = [2, 5, 5]
         layers = [{ conv = { kernel = 3, pad = 1, weights = { std = 1.4, density = [0, 1, 0, 1, 1, 1, 0, 1, 1] } } }, 'relu',
                   { conv = { kernel = 3, stride = 2, weights = { std = 1.4, density = 0.4 } } }, 'relu', 'flatten',
                   { dense = { std = 1.4, density = [0.2, 0.9, 0.5, 0.6] } }]",
        64,
    ),
    (
        "circular convolutions, a residual branch, a global pool",
        "input = [2, 4, 4]
         layers = [{ conv = { kernel = 3, pad = 1, padding = 'circular', weights = { std = 1.4 } } },
                   { residual = ['relu', { conv = { kernel = 3, pad = 1, padding = 'circular', weights = { density = 0.4 } } }] },
                   'relu', 'global-average-pool', { dense = { std = 1.4, density = 0.5 } }]",
        48,
    ),
];

fn network(text: &str) -> Result<Architecture, StudyError> {
    let fault = |source| StudyError::Config { path: "a check's network".into(), source: Box::new(source) };
    toml::from_str(text).map_err(fault)
}

/// Drawn networks average to the kernel of their sparse layers.
fn sparse_layers(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut rows = Vec::new();
    for (what, text, width) in NETWORKS {
        let architecture = network(text)?;
        let plan = Plan::new(&architecture)?;
        let x = normal_inputs(2, architecture.input.iter().product(), context.seed);
        let (limit, single) = (plan.gram(&x)?.ntk, rounded(&x));
        let kernels = (0..DRAWS)
            .map(|draw| {
                let (graph, masks) = finite(&plan, width, 4, context.seed.wrapping_add(draw))?;
                Ok(empirical::<f64>(&graph, Some(&masks), &single, &Settings::default())?.kernel)
            })
            .collect::<Result<Vec<_>, TheoryError>>()?;
        for (entry, name) in [(0, "K(x, x)"), (1, "K(x, x′)")] {
            let (mean, error) = mean_and_error(&kernels.iter().map(|k| k[entry]).collect::<Vec<_>>());
            let allowed = 4.5 * error + 2.0 * limit[entry].abs() / width as f64;
            let what = format!("{name} of {what}, mean of {DRAWS} networks of width {width}");
            rows.push(Comparison::new(what, limit[entry], mean, Tolerance::Absolute(allowed)));
        }
    }
    let layers = |std: f64, rest: &str| {
        let layer = format!("{{ dense = {{ std = {std}{rest} }} }}");
        network(&format!("input = [24]\nlayers = [{layer}, 'relu', {layer}, 'relu', {layer}]"))
    };
    let x = normal_inputs(5, 24, context.seed);
    let of =
        |architecture: Architecture| -> Result<Vec<f64>, StudyError> { Ok(Plan::new(&architecture)?.gram(&x)?.ntk) };
    let dense = of(layers(1.4, "")?)?;
    let rescaled = distance(&of(layers(1.4, ", density = 0.3, rescaled = true")?)?, &dense);
    rows.push(Comparison::new("rescaled layers: distance to dense ones", 1e-13, rescaled, Tolerance::AtMost));
    let scaled = distance(&of(layers(1.4, ", density = 0.3")?)?, &of(layers(1.4 * 0.3_f64.sqrt(), "")?)?);
    let what = "density c: distance to dense layers of variance c";
    rows.push(Comparison::new(what, 1e-13, scaled, Tolerance::AtMost));
    Ok(Finding::Compared(rows))
}

/// Kernel matrices have no negative eigenvalues.
fn positive(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut rows = Vec::new();
    let mut row = |what: String, kernel: &[f64], n: usize| -> Result<(), StudyError> {
        let Spectrum { eigenvalues, .. } = Spectrum::of(kernel, n)?;
        let observed = eigenvalues[n - 1] / eigenvalues[0];
        // Each entry is off by a few roundings, so eigenvalues by n times that.
        rows.push(Comparison::new(what, -1e-13, observed, Tolerance::AtLeast));
        Ok(())
    };
    for (what, text, width) in NETWORKS {
        let plan = Plan::new(&network(text)?)?;
        // The same input twice, so that 0 is an eigenvalue.
        let mut x = normal_inputs(19, plan.input_size(), context.seed);
        x.push(x[0].clone());
        let kernels = plan.gram(&x)?;
        row(format!("smallest over largest eigenvalue of Θ, {what}"), &kernels.ntk, 20)?;
        row(format!("the same of the covariance, {what}"), &kernels.nngp, 20)?;
        let (graph, masks) = finite(&plan, width, 2, context.seed)?;
        let found = empirical::<f64>(&graph, Some(&masks), &rounded(&x), &Settings::default())?;
        row(format!("the same of a drawn network's kernel, {what}"), &found.kernel, 20)?;
    }
    Ok(Finding::Compared(rows))
}

/// A small study of curves.
fn small(methods: Vec<Method>, densities: Vec<f64>, width: usize) -> Curves {
    let (training, test, calibration) = (100, 200, 400);
    Curves { methods, densities, width, dimensions: Some(64), training, test, calibration, ridge: 0.0 }
}

/// Test losses stay below their bounds, on classes so far apart that the bounds say something.
fn generalisation(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut rows = Vec::new();
    let pool = Pool::Normal(2.0);
    for density in [0.5, 0.9] {
        let question = Curves { training: 1000, ..small(vec![Method::Random], vec![density], 256) };
        let place = curves::Place { seed: context.seed, method: "random".to_owned(), density };
        let point = question.measure(&pool, place)?;
        let bound = point.bound.ok_or(TheoryError::Singular { samples: 1000, ridge: 0.0 })?;
        let what = |what: &str| format!("{what}, two normal classes, density {density}");
        rows.push(Comparison::new(
            what("clipped hinge loss"),
            bound.explicit,
            point.prediction.hinge,
            Tolerance::AtMost,
        ));
        rows.push(Comparison::new(what("bound"), 1.0, bound.explicit, Tolerance::AtMost));
    }
    Ok(Finding::Compared(rows))
}

/// Curves of other methods are away from random masks' at low densities, and meet them at high ones.
fn cross_over(context: &Context<'_>) -> Result<Finding, StudyError> {
    let methods = [Method::Magnitude, Method::GraspAbs, Method::Snip, Method::Synflow];
    let question = small(methods.to_vec(), vec![0.1, 0.9], 256);
    let pool = Pool::Normal(0.15);
    let measure = |method: Method, density: f64| -> Result<Vec<curves::Point>, StudyError> {
        let at = |run| {
            let (seed, method) = (context.seed.wrapping_add(run), method.name().to_owned());
            question.measure(&pool, curves::Place { seed, method, density })
        };
        (0..4).map(at).collect()
    };
    let mean = |points: &[curves::Point], pick: fn(&curves::Point) -> f64| {
        Interval::of(&points.iter().map(pick).collect::<Vec<_>>()).map_or(f64::NAN, |interval| interval.mean)
    };
    let random = [measure(Method::Random, 0.1)?, measure(Method::Random, 0.9)?];
    let mut rows = Vec::new();
    for method in methods {
        let own = [measure(method, 0.1)?, measure(method, 0.9)?];
        let [far, near] = [0, 1].map(|i| mean(&own[i], |p| p.to_dense));
        let what = format!("distance of the kernel of {method} to the dense one at density 0.9");
        rows.push(Comparison::new(what, 0.5 * far, near, Tolerance::AtMost));
        if method != Method::Magnitude {
            // Four runs cannot tell the squared errors of the others from those of random masks.
            continue;
        }
        let square: fn(&curves::Point) -> f64 = |p| p.prediction.square;
        let [low, high] = [0, 1].map(|i| mean(&own[i], square) - mean(&random[i], square));
        let what = format!("squared error of {method} less that of random masks, density 0.1");
        rows.push(Comparison::new(what, 0.0, low, Tolerance::AtLeast));
        let what = format!("size of the difference of {method} at density 0.9");
        rows.push(Comparison::new(what, 0.5 * low.abs(), high.abs(), Tolerance::AtMost));
    }
    Ok(Finding::Compared(rows))
}

/// Paths of drawn masks.
fn paths(context: &Context<'_>) -> Result<Finding, StudyError> {
    let (inputs, width) = (4, 4096);
    let first = DensityGrid::from_fn(inputs, 16, |u, v| (0.2 + 0.7 * v) * (1.0 - 0.8 * u))?;
    let second: Vec<f64> = (0..16).map(|k| 0.1 + 0.05 * f64::from(k)).collect();
    let output = DensityGrid::new(16, 1, second.clone())?;
    let plan = Plan::new(&deep(inputs, &[first.clone(), output], Values::Reinit, Gradient::Kept))?;
    let (_, masks) = finite(&plan, width, 1, context.seed)?;
    let of = |shape: &[usize]| masks.0.values().find(|mask| mask.shape() == shape).expect("both layers have masks");
    let (into, out) = (of(&[inputs, width]), of(&[width, 1]));
    let mut rows = Vec::new();
    for (u, expected) in path_density(&first, &second)?.into_iter().enumerate() {
        let paths = (0..width).filter(|j| into.data()[u * width + j] && out.data()[*j]).count();
        let observed = paths as f64 / width as f64;
        // Four and a half standard errors of a share of independent neurons.
        let allowed = 4.5 * (expected * (1.0 - expected) / width as f64).sqrt();
        let what = format!("share of paths from input {u}, width {width}");
        rows.push(Comparison::new(what, expected, observed, Tolerance::Absolute(allowed)));
    }
    Ok(Finding::Compared(rows))
}

fn normal_inputs(count: usize, size: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut random = Random::stream(seed, 21);
    // Numbers of single precision, which networks take.
    (0..count).map(|_| (0..size).map(|_| f64::from(random.normal() as f32)).collect()).collect()
}

fn rounded(inputs: &[Vec<f64>]) -> Vec<Vec<f32>> {
    inputs.iter().map(|x| x.iter().map(|v| *v as f32).collect()).collect()
}

fn trace(kernel: &[f64], n: usize) -> f64 {
    kernel.iter().step_by(n + 1).sum()
}

fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt())
}
