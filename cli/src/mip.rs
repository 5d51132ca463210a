//! `secateur mip`: the mixed-integer baseline.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::verify::seconds;
use clap::Args;
use secateur_bench_suites::record::{MipPartRecord, MipRecord, finite, peak_memory};
use secateur_global::mip;
use secateur_nn::{onnx, vnnlib};
use secateur_opt::mixed::MipSettings;
use secateur_verify::lower::lower;
use secateur_verify::node;
use secateur_verify::specification::Specification;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bound a property's margin by mixed-integer programs: the baseline that `bound` is compared with.
///
/// One program per region and conjunction, with the big-M form of every ReLU whose sign the root's bounds leave
/// open. The numbers are what a floating-point solver says; they prove nothing, and no verdict is given. Standard
/// output has the lines `lower`, `upper`, `binaries`, `seconds`, and `finished` or `limit`.
#[derive(Args)]
pub struct Arguments {
    /// The network (ONNX, may be gzipped).
    model: PathBuf,
    /// The property (VNNLIB, may be gzipped).
    spec: PathBuf,
    /// Stop each program when its bounds are this close.
    #[arg(long, value_name = "G", default_value_t = 1e-6)]
    gap: f64,
    /// Limit in seconds per program.
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Threads of the solver.
    #[arg(long, value_name = "N", value_parser = crate::verify::threads, default_value_t = 1)]
    threads: usize,
    /// Write a record of the run as JSON to a file, or with `-` to standard output instead of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let begin = Instant::now();
    output::check(&[&arguments.model, &arguments.spec], &[], arguments.json.as_ref())?;
    let (model, spec) = (&arguments.model, &arguments.spec);
    let graph = onnx::read(model)?;
    let property = vnnlib::read(spec)?;
    property.check_against(&graph).map_err(|source| CliError::Mismatch {
        property: spec.clone(),
        model: model.clone(),
        source: Box::new(source),
    })?;
    let network = lower(&graph).map_err(|source| CliError::Verify { model: model.clone(), source })?;
    let settings = MipSettings {
        time_limit: arguments.timeout,
        absolute_gap: arguments.gap,
        threads: arguments.threads,
        ..MipSettings::default()
    };
    let mut parts = Vec::new();
    for (index, region) in Specification::<f64>::new(&property).regions.iter().enumerate() {
        let root = node::root_box(&network, region);
        for (disjunct, objectives) in region.disjuncts.iter().enumerate() {
            let found = mip::minimum(&network, &root, objectives, &settings)
                .map_err(|source| CliError::Global { model: model.clone(), source })?;
            parts.push(MipPartRecord {
                region: index,
                disjunct,
                lower: finite(found.bound),
                upper: found.point.map(|(_, margin)| margin),
                binaries: found.binaries,
                finished: found.optimal,
                seconds: found.seconds,
            });
        }
    }
    let least = |value: fn(&MipPartRecord) -> Option<f64>, none: f64| {
        parts.iter().map(|p| value(p).unwrap_or(none)).fold(f64::INFINITY, f64::min)
    };
    let (lower, upper) = (least(|p| p.lower, f64::NEG_INFINITY), least(|p| p.upper, f64::INFINITY));
    let record = MipRecord {
        model: model.display().to_string(),
        property: spec.display().to_string(),
        lower: finite(lower),
        upper: finite(upper),
        binaries: parts.iter().map(|p| p.binaries).max().unwrap_or(0),
        finished: parts.iter().all(|p| p.finished),
        gap: arguments.gap,
        timeout: arguments.timeout.map(|limit| limit.as_secs_f64()),
        threads: arguments.threads,
        parts,
        seconds: begin.elapsed().as_secs_f64(),
        peak_memory: peak_memory(None),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let json = output::json(&record)?;
    let end = if record.finished { "finished" } else { "limit" };
    let text =
        format!("lower {lower}\nupper {upper}\nbinaries {}\nseconds {:.3}\n{end}\n", record.binaries, record.seconds);
    output::print(if arguments.json.as_deref().is_some_and(output::is_dash) { &json } else { &text })?;
    if let Some(file) = arguments.json.as_deref().filter(|f| !output::is_dash(f)) {
        output::write(file, &json)?;
    }
    Ok(if record.finished { Exit::Done } else { Exit::Undecided })
}
