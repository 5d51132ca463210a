//! `secateur ntk`: tangent kernels of networks at hand and of infinitely wide ones with sparse layers.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::samples::{self, Normalisation, Sample};
use clap::{ArgGroup, Args, ValueEnum};
use secateur_nn::graph::Graph;
use secateur_nn::onnx;
use secateur_theory::TheoryError;
use secateur_theory::ntk::bound::Bound;
use secateur_theory::ntk::regression::{accuracy, class_targets};
use secateur_theory::ntk::{
    Architecture, Gradient, Kernels, Outputs, Plan, Ridge, Settings, Spectrum, Zeros, empirical,
};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The neural tangent kernel of a network, or of infinitely wide sparse layers, with its spectrum.
///
/// MODEL gives the empirical kernel over the weights that training would change. --architecture gives the
/// kernel of infinite width: a TOML file with the `input` shape and the `layers`: dense, conv, relu, erf, flatten, average-pool,
/// global-average-pool, residual. Dense and conv take std, bias, density (a share, one for each input or tap, or rows of a
/// graphon), values (reinit, kept) and rescaled; `gradient = "all"` counts removed weights too. Samples are the first training
/// images (of a CSV file: the first lines); test samples are the first test images (the lines behind).
#[derive(Args)]
#[command(group(ArgGroup::new("network").required(true).args(["model", "architecture"])))]
pub struct Arguments {
    /// The network (ONNX, may be gzipped).
    model: Option<PathBuf>,
    /// The layers of an infinitely wide network.
    #[arg(long, value_name = "SPEC.toml")]
    architecture: Option<PathBuf>,
    /// The data: mnist, cifar, or a CSV file of label and pixels 0–255.
    #[arg(long, value_name = "SET")]
    data: String,
    /// The directory of data sets, for mnist and cifar.
    #[arg(long, value_name = "DIR", env = "SECATEUR_DATA")]
    data_dir: Option<PathBuf>,
    /// Samples.
    #[arg(long, value_name = "N", default_value_t = 100)]
    samples: usize,
    /// These classes only, such as 3,8.
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    classes: Vec<usize>,
    /// What the network wants subtracted from pixels in [0, 1]: one number per channel, or one for all.
    #[arg(long, value_name = "M,…", value_delimiter = ',', value_parser = number, allow_hyphen_values = true)]
    mean: Vec<f32>,
    /// What it then wants them divided by: one number per channel, or one for all.
    #[arg(long, value_name = "S,…", value_delimiter = ',', value_parser = deviation)]
    std: Vec<f32>,
    /// Whether weights that are 0 count: keep them, or drop them as pruned. Of --architecture, the file decides.
    #[arg(long, value_enum, default_value_t = MaskedZeros::Drop, conflicts_with = "architecture")]
    masked_zeros: MaskedZeros,
    /// The arithmetic of derivatives.
    #[arg(long, value_enum, default_value_t = Precision::F64, conflicts_with = "architecture")]
    precision: Precision,
    /// What of several outputs is kept: their mean, or a row for each output of each sample.
    #[arg(long, value_enum, default_value_t = Which::Mean, conflicts_with_all = ["architecture", "ridge"])]
    outputs: Which,
    /// MiB that a piece of the Jacobian may take.
    #[arg(long, value_name = "MIB", default_value_t = 256, conflicts_with = "architecture")]
    memory: usize,
    /// Predict test samples by ridge regression with this much on the diagonal, relative to its mean.
    #[arg(long, value_name = "L", allow_negative_numbers = true)]
    ridge: Option<f64>,
    /// Test samples.
    #[arg(long, value_name = "N", default_value_t = 200, requires = "ridge")]
    test: usize,
    /// Write the kernel, a row for each sample (CSV).
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Write a record as JSON to a file, or with `-` to standard output instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Whether weights that are 0 count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MaskedZeros {
    /// They count.
    Keep,
    /// They were removed.
    Drop,
}

/// What of several outputs is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The mean of their kernels.
    Mean,
    /// The kernel of every pair of them.
    Each,
}

/// The arithmetic of derivatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Precision {
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

/// What was found.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Record {
    /// The network's or the architecture's file.
    network: String,
    data: String,
    samples: usize,
    /// Of a finite network: its outputs, weights that count, and all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<[usize; 2]>,
    /// Of an architecture: which weights the kernel sums over.
    #[serde(skip_serializing_if = "Option::is_none")]
    gradient: Option<Gradient>,
    spectrum: Spectrum,
    #[serde(skip_serializing_if = "Option::is_none")]
    regression: Option<Regression>,
    seconds: f64,
    version: String,
}

/// How well the kernel predicts.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Regression {
    /// What was added to the diagonal.
    ridge: f64,
    classes: usize,
    test: usize,
    training_accuracy: f64,
    test_accuracy: f64,
    /// Bounds of the test error without ridge, for two classes; none where the kernel is singular.
    bound: Option<Bound>,
}

/// What the kernel is of.
enum Source {
    /// A network.
    Network(Graph),
    /// Layers of infinite width.
    Layers(Plan, Gradient),
}

/// A kernel, with that of test samples beside, and what is said of it.
struct Found {
    /// Rows of the kernel: samples, or outputs of samples.
    rows: usize,
    kernel: Vec<f64>,
    cross: Vec<f64>,
    outputs: Option<usize>,
    weights: Option<[usize; 2]>,
    gradient: Option<Gradient>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let begin = Instant::now();
    let model = arguments.model.iter().map(PathBuf::as_path);
    let inputs: Vec<&Path> = model.chain([Path::new(&arguments.data)]).collect();
    output::check(&inputs, &[arguments.kernel.as_ref()], arguments.json.as_ref())?;
    let source = match (&arguments.model, &arguments.architecture) {
        (Some(model), _) => Source::Network(onnx::read(model)?),
        (None, Some(spec)) => layers(spec)?,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    let (samples, test) = arguments.load()?;
    let found = match &source {
        Source::Network(graph) => arguments.finite(graph, &samples, &test)?,
        Source::Layers(plan, gradient) => infinite(plan, *gradient, &samples, &test)?,
    };
    let spectrum = Spectrum::of(&found.kernel, found.rows)?;
    let regression = arguments.ridge.map(|ridge| arguments.regression(ridge, &found, &samples, &test)).transpose()?;
    let network = arguments.model.as_ref().or(arguments.architecture.as_ref());
    let record = Record {
        network: network.map_or_else(String::new, |path| path.display().to_string()),
        data: arguments.data.clone(),
        samples: samples.len(),
        outputs: found.outputs,
        weights: found.weights,
        gradient: found.gradient,
        spectrum,
        regression,
        seconds: begin.elapsed().as_secs_f64(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let json = output::json(&record)?;
    let text = if arguments.json.as_deref().is_some_and(output::is_dash) { json.clone() } else { record.text() };
    output::print(&text)?;
    if let Some(file) = arguments.json.as_deref().filter(|f| !output::is_dash(f)) {
        output::write(file, &json)?;
    }
    if let Some(file) = &arguments.kernel {
        let line = |row: &[f64]| row.iter().map(f64::to_string).collect::<Vec<_>>().join(",") + "\n";
        let rows: String = found.kernel.chunks_exact(found.rows).map(line).collect();
        output::write(file, &rows)?;
    }
    Ok(Exit::Done)
}

impl Arguments {
    /// Samples, and test samples where they are predicted.
    fn load(&self) -> Result<(Vec<Sample>, Vec<Sample>), CliError> {
        if self.ridge.is_some() && self.test == 0 {
            return Err(CliError::Idle { option: "--ridge", why: "predicts test samples: --test is 1 or more" });
        }
        let test = if self.ridge.is_some() { self.test } else { 0 };
        let normalisation = Normalisation { mean: &self.mean, deviation: &self.std };
        let directory = self.data_dir.as_deref();
        samples::of_classes(&self.data, directory, &self.classes, [self.samples, test], normalisation)
    }

    fn finite(&self, graph: &Graph, samples: &[Sample], test: &[Sample]) -> Result<Found, CliError> {
        let zeros = match self.masked_zeros {
            MaskedZeros::Keep => Zeros::Keep,
            MaskedZeros::Drop => Zeros::Drop,
        };
        let outputs = match self.outputs {
            Which::Mean => Outputs::Mean,
            Which::Each => Outputs::Each,
        };
        let settings = Settings { outputs, zeros, memory: self.memory.max(1) << 20 };
        let all: Vec<Vec<f32>> = samples.iter().chain(test).map(|s| s.features.clone()).collect();
        let found = match self.precision {
            Precision::F32 => empirical::<f32>(graph, None, &all, &settings)?,
            Precision::F64 => empirical::<f64>(graph, None, &all, &settings)?,
        };
        let n = found.rows / all.len() * samples.len();
        let rows = found.kernel.chunks_exact(found.rows);
        let part = |rows: &mut dyn Iterator<Item = &[f64]>| rows.flat_map(|row| &row[..n]).copied().collect();
        Ok(Found {
            rows: n,
            kernel: part(&mut rows.clone().take(n)),
            cross: part(&mut rows.skip(n)),
            outputs: Some(found.outputs),
            weights: Some([found.weights, found.all_weights]),
            gradient: None,
        })
    }

    fn regression(
        &self,
        ridge: f64,
        found: &Found,
        samples: &[Sample],
        test: &[Sample],
    ) -> Result<Regression, CliError> {
        let labels = |samples: &[Sample]| -> Vec<usize> { samples.iter().map(|s| s.label).collect() };
        let (known, unknown) = (labels(samples), labels(test));
        let classes = known.iter().chain(&unknown).max().map_or(0, |largest| largest + 1).max(2);
        let n = samples.len();
        let mean = found.kernel.iter().step_by(n + 1).sum::<f64>() / n as f64;
        let targets = class_targets(&known, classes);
        let fit = Ridge::fit(&found.kernel, n, &targets, ridge * mean)?;
        let bound = match (classes == 2).then(|| Bound::of(&found.kernel, &targets, FAILURES)).transpose() {
            Err(TheoryError::Singular { .. }) => None,
            other => other?,
        };
        Ok(Regression {
            ridge: ridge * mean,
            classes,
            test: test.len(),
            training_accuracy: accuracy(&fit.predict(&found.kernel)?, &known),
            test_accuracy: accuracy(&fit.predict(&found.cross)?, &unknown),
            bound,
        })
    }
}

/// How often a bound may fail.
const FAILURES: f64 = 0.05;

/// The layers of a file, ready to be evaluated.
fn layers(spec: &Path) -> Result<Source, CliError> {
    let text = std::fs::read_to_string(spec).map_err(|source| CliError::Read { path: spec.to_owned(), source })?;
    let architecture: Architecture = toml::from_str(&text)
        .map_err(|source| CliError::Architecture { path: spec.to_owned(), source: Box::new(source) })?;
    Ok(Source::Layers(Plan::new(&architecture)?, architecture.gradient))
}

fn infinite(plan: &Plan, gradient: Gradient, samples: &[Sample], test: &[Sample]) -> Result<Found, CliError> {
    let numbers = |samples: &[Sample]| -> Vec<Vec<f64>> {
        samples.iter().map(|s| s.features.iter().map(|v| f64::from(*v)).collect()).collect()
    };
    let known = numbers(samples);
    let Kernels { ntk: kernel, .. } = plan.gram(&known)?;
    let Kernels { ntk: cross, .. } = plan.cross(&numbers(test), &known)?;
    let (outputs, weights) = (None, None);
    Ok(Found { rows: samples.len(), kernel, cross, outputs, weights, gradient: Some(gradient) })
}

impl Record {
    fn text(&self) -> String {
        let mut text = String::new();
        let kind = match (self.outputs, self.gradient) {
            (Some(outputs), _) if self.spectrum.eigenvalues.len() == self.samples => {
                format!("empirical, mean over {outputs} outputs")
            }
            (Some(outputs), _) => format!("empirical, of each of {outputs} outputs"),
            (None, Some(Gradient::Kept)) => "infinite width, derivatives of kept weights".to_owned(),
            _ => "infinite width, derivatives of all weights".to_owned(),
        };
        let Spectrum { eigenvalues, trace, effective_rank, top_five, condition, decay } = &self.spectrum;
        let _ = writeln!(text, "kernel {kind}");
        if let Some([kept, all]) = self.weights {
            let _ = writeln!(text, "weights {kept} of {all}");
        }
        let option = |value: &Option<f64>, none: &str| value.map_or_else(|| none.to_owned(), |v| format!("{v:.4}"));
        let condition = condition.map_or_else(|| "above the roundoff".to_owned(), |c| format!("{c:.3e}"));
        let _ = writeln!(text, "samples {}\ntrace {trace:.6}", self.samples);
        let _ = writeln!(text, "trace over largest eigenvalue {effective_rank:.4}");
        let _ = writeln!(text, "share of the first five eigenvalues {top_five:.4}\ncondition {condition}");
        let _ = writeln!(text, "decay exponent of eigenvalues {}", option(decay, "–"));
        let first: Vec<String> = eigenvalues.iter().take(10).map(|v| format!("{v:.4e}")).collect();
        let _ = writeln!(text, "eigenvalues {}{}", first.join(" "), if eigenvalues.len() > 10 { " …" } else { "" });
        if let Some(Regression { ridge, classes, test, training_accuracy, test_accuracy, bound }) = &self.regression {
            let _ = writeln!(text, "ridge {ridge:.3e}\nclasses {classes}\ntraining accuracy {training_accuracy:.4}");
            let _ = writeln!(text, "test accuracy {test_accuracy:.4} (of {test})");
            if let Some(bound) = bound {
                let Bound { leading, leading_scaled, deviation, explicit, .. } = bound;
                let _ =
                    writeln!(text, "bound sqrt(2 y K^-1 y / N) {leading:.4}, of the scaled kernel {leading_scaled:.4}");
                let _ = writeln!(text, "deviation term {deviation:.4}, bound with all constants {explicit:.4}");
            }
        }
        let _ = writeln!(text, "seconds {:.2}", self.seconds);
        text
    }
}

fn number(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|v: &f32| v.is_finite()).ok_or_else(|| "expected a number".to_owned())
}

fn deviation(text: &str) -> Result<f32, String> {
    number(text).ok().filter(|v| *v > 0.0).ok_or_else(|| "expected a positive number".to_owned())
}
