//! `secateur robust`: how many images keep their class inside a radius.

use crate::error::CliError;
use crate::exit::Exit;
use crate::progress::Display;
use crate::verify::seconds;
use crate::{decimal, interrupt, output};
use clap::{Args, ValueEnum};
use dashu_ratio::RBig;
use secateur_bench_suites::local;
use secateur_bench_suites::record::{RobustImageRecord, RobustRecord, peak_memory};
use secateur_bench_suites::robustness::{Classifier, centre};
use secateur_nn::data::images::{self, DataSet, Image};
use secateur_nn::graph::Graph;
use secateur_nn::{onnx, property};
use secateur_verify::{Branching, Choice, Observer, Settings};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Verify local robustness for a range of images.
///
/// An image is robust when its label scores strictly above every other class on the whole ball around it, cut to
/// pixels in [0, 1]. One line per image: index, label, predicted class, verdict (`robust`, `not-robust`,
/// `misclassified` or `unknown`), seconds. With `--largest` the verdict is replaced by the largest radius that was
/// verified and the least that was falsified (`-` for none). Then the shares of all images: classified correctly,
/// verified, and not falsified.
#[derive(Args)]
pub struct Arguments {
    /// The network (ONNX, may be gzipped): takes pixels in [0, 1], gives one score per class.
    model: PathBuf,
    /// The images: mnist, cifar (planes of red, green and blue), or a CSV file of label and pixels 0–255 in the order of
    /// the network's inputs.
    #[arg(long, value_name = "SET")]
    data: String,
    /// The images' numbers, from A up to but without B.
    #[arg(long, value_name = "A..B", value_parser = range)]
    index: Range<usize>,
    /// The radius: a decimal or a quotient such as 8/255.
    #[arg(long, value_name = "E", value_parser = radius)]
    radius: RBig,
    /// The norm of the ball.
    #[arg(long, value_enum, default_value_t = Norm::Linf)]
    norm: Norm,
    /// Limit in seconds per property.
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
    /// The directory of data sets, for mnist and cifar.
    #[arg(long, value_name = "DIR", env = "SECATEUR_DATA")]
    data_dir: Option<PathBuf>,
    /// Bisect for the largest verified radius up to E.
    #[arg(long)]
    largest: bool,
    /// Stop the bisection when the radii are this close; a 64th of E if not given.
    #[arg(long, value_name = "T", value_parser = radius, requires = "largest")]
    tolerance: Option<RBig>,
    /// Worker threads; 0 takes every core.
    #[arg(long, value_name = "N", value_parser = crate::verify::threads, default_value_t = 0)]
    threads: usize,
    /// Seed of the attack's random starts.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Where slopes are optimised: `cpu`, `cuda`, or `auto` for a CUDA device where there is one and the work is large enough.
    /// Bounds are the processor's in any case.
    #[arg(long, value_name = "DEVICE", default_value_t = Choice::Cpu)]
    device: Choice,
    /// Write a record of the run as JSON to a file, or with `-` to standard output instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

/// A norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Norm {
    /// The greatest change of a pixel.
    Linf,
    /// The Euclidean norm.
    L2,
    /// The sum of the changes.
    L1,
}

impl Norm {
    /// The norm of the ball inside the box; the maximum norm needs none.
    fn ball(self) -> Option<property::Norm> {
        match self {
            Self::Linf => None,
            Self::L2 => Some(property::Norm::L2),
            Self::L1 => Some(property::Norm::L1),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Linf => "linf",
            Self::L2 => "l2",
            Self::L1 => "l1",
        }
    }
}

fn range(text: &str) -> Result<Range<usize>, String> {
    let ends = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    ends.filter(|r| r.start < r.end).ok_or_else(|| "expected A..B with A below B".to_owned())
}

fn radius(text: &str) -> Result<RBig, String> {
    local::radius(text)
        .ok_or_else(|| "expected a positive decimal such as 0.03, or a quotient such as 8/255".to_owned())
}

/// One network and what is asked of it.
struct Question<'a> {
    arguments: &'a Arguments,
    graph: &'a Graph,
    classifier: Classifier<'a>,
    display: Display,
    /// The device, open.
    device: Choice,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let begin = Instant::now();
    output::check(&[&arguments.model, arguments.data.as_ref()], &[], arguments.json.as_ref())?;
    let device = arguments.device.opened().map_err(|source| CliError::Device { source })?;
    let graph = onnx::read(&arguments.model)?;
    let images = load(arguments)?;
    let display = Display::new(arguments.quiet, interrupt::listen()?);
    let question = Question { arguments, graph: &graph, classifier: Classifier::new(&graph)?, display, device };
    question.check(&images)?;

    let text = !arguments.json.as_deref().is_some_and(output::is_dash);
    let mut found: Vec<RobustImageRecord> = Vec::new();
    for index in arguments.index.clone() {
        if question.display.stop() {
            break;
        }
        let line = question.image(index, &images[index])?;
        question.display.clear();
        if text {
            output::print(&(print(&line, arguments.largest) + "\n"))?;
        }
        found.push(line);
    }
    answer(arguments, found, question.device.used(), text, begin)
}

fn load(arguments: &Arguments) -> Result<Vec<Image>, CliError> {
    match arguments.data.parse::<DataSet>() {
        Ok(set) => {
            let directory = arguments.data_dir.as_deref().ok_or(CliError::NoDataDirectory { set })?;
            Ok(images::load(set, directory)?)
        }
        Err(unknown) if Path::new(&arguments.data).extension().is_none() => Err(unknown.into()),
        Err(_) => Ok(images::csv(Path::new(&arguments.data))?),
    }
}

impl Question<'_> {
    /// Whether images and network fit together.
    fn check(&self, images: &[Image]) -> Result<(), CliError> {
        let range = &self.arguments.index;
        if range.end > images.len() {
            return Err(CliError::NoSuchImage { index: range.end - 1, images: images.len() });
        }
        let size = |id| self.graph.node(id).shape.iter().product::<usize>();
        let (inputs, outputs) = (size(self.graph.input()), size(self.graph.output()));
        for (offset, image) in images[range.clone()].iter().enumerate() {
            if image.pixels.len() != inputs {
                return Err(CliError::ImageSize { expected: inputs, found: image.pixels.len() });
            }
            if image.label >= outputs {
                return Err(CliError::Label { index: range.start + offset, label: image.label, classes: outputs });
            }
        }
        Ok(())
    }

    fn image(&self, index: usize, image: &Image) -> Result<RobustImageRecord, CliError> {
        let begin = Instant::now();
        let centre = centre(image);
        let predicted = self.classifier.predict(image)?;
        let mut line = RobustImageRecord {
            index,
            label: image.label,
            predicted,
            verdict: "misclassified".to_owned(),
            verified: None,
            falsified: None,
            unknown: Vec::new(),
            seconds: 0.0,
        };
        if predicted == image.label {
            match self.arguments.largest {
                true => self.largest(&centre, &mut line)?,
                false => line.verdict = self.verdict(&centre, image.label, &self.arguments.radius)?.to_owned(),
            }
        }
        line.seconds = begin.elapsed().as_secs_f64();
        Ok(line)
    }

    fn verdict(&self, centre: &[RBig], label: usize, radius: &RBig) -> Result<&'static str, CliError> {
        let arguments = self.arguments;
        let settings = Settings {
            timeout: arguments.timeout,
            threads: arguments.threads,
            seed: arguments.seed,
            branching: Branching::Auto,
            device: self.device.clone(),
            ..Settings::default()
        };
        let found = self.classifier.decide(centre, label, radius, arguments.norm.ball(), &settings, &self.display);
        Ok(found.map_err(|source| CliError::Verify { model: arguments.model.clone(), source })?.name())
    }

    /// Bisects between what is verified and what is not; robustness in a ball is robustness in every smaller one.
    fn largest(&self, centre: &[RBig], line: &mut RobustImageRecord) -> Result<(), CliError> {
        let arguments = self.arguments;
        let tolerance = arguments.tolerance.clone().unwrap_or_else(|| &arguments.radius / RBig::from(64));
        let (mut low, mut high, mut falsified) = (RBig::ZERO, arguments.radius.clone(), None);
        let mut next = high.clone();
        loop {
            let verdict = self.verdict(centre, line.label, &next)?;
            if next == arguments.radius {
                line.verdict = verdict.to_owned();
            }
            match verdict {
                "robust" => low = next,
                "not-robust" => {
                    falsified = Some(next.clone());
                    high = next;
                }
                _ => {
                    line.unknown.push(decimal::print_below(&next));
                    high = next;
                }
            }
            if &high - &low <= tolerance || self.display.stop() {
                break;
            }
            next = (&low + &high) / RBig::from(2);
        }
        line.verified = Some(decimal::print_below(&low));
        line.falsified = falsified.map(|radius| decimal::print_above(&radius));
        Ok(())
    }
}

fn print(line: &RobustImageRecord, largest: bool) -> String {
    let RobustImageRecord { index, label, predicted, verdict, seconds, .. } = line;
    match (&line.verified, largest) {
        (Some(verified), true) => {
            let falsified = line.falsified.as_deref().unwrap_or("-");
            format!("{index} {label} {predicted} {verified} {falsified} {seconds:.3}")
        }
        _ => format!("{index} {label} {predicted} {verdict} {seconds:.3}"),
    }
}

/// The shares of all images, on every channel that was asked for.
fn answer(
    arguments: &Arguments,
    lines: Vec<RobustImageRecord>,
    device: String,
    text: bool,
    begin: Instant,
) -> Result<Exit, CliError> {
    let count = |matches: &dyn Fn(&RobustImageRecord) -> bool| lines.iter().filter(|line| matches(line)).count();
    let all = arguments.index.len();
    let verified = count(&|l| l.verdict == "robust");
    let falsified = count(&|l| matches!(l.verdict.as_str(), "not-robust" | "misclassified") || l.falsified.is_some());
    let undecided = count(&|l| l.verdict == "unknown" || !l.unknown.is_empty());
    let record = RobustRecord {
        model: arguments.model.display().to_string(),
        data: arguments.data.clone(),
        radius: decimal::print_below(&arguments.radius),
        norm: arguments.norm.name().to_owned(),
        timeout: arguments.timeout.map(|limit| limit.as_secs_f64()),
        threads: arguments.threads,
        seed: arguments.seed,
        device,
        asked: all,
        correct: count(&|l| l.verdict != "misclassified"),
        verified,
        not_falsified: lines.len() - falsified,
        images: lines,
        seconds: begin.elapsed().as_secs_f64(),
        peak_memory: peak_memory(None),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let json = output::json(&record)?;
    let done = record.images.len();
    if text {
        let (correct, open) = (record.correct, record.not_falsified);
        output::print(&format!(
            "clean accuracy {correct}/{done}\nverified accuracy {verified}/{done}\nnot falsified {open}/{done}\n"
        ))?;
    } else {
        output::print(&json)?;
    }
    if let Some(file) = arguments.json.as_deref().filter(|f| !output::is_dash(f)) {
        output::write(file, &json)?;
    }
    if done < all {
        eprintln!("interrupted after {done} of {all} images");
    }
    Ok(if done < all || undecided > 0 { Exit::Undecided } else { Exit::Done })
}
