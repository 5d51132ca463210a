//! What certificates cost: a verification that writes one, its size, and how long it takes to check.

use crate::child::{Program, measure_with};
use crate::error::BenchError;
use crate::verdict::Verdict;
use secateur_check::Semantics;
use secateur_check::proof::check;
use secateur_check::proof::format::Digests;
use secateur_nn::{onnx, vnnlib};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// A certificate and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Certified {
    /// Wall-clock seconds of the process that wrote it.
    pub seconds: f64,
    /// Its bytes.
    pub bytes: u64,
    /// Seconds to read network, property and certificate, and to check it.
    pub checking: f64,
    /// Why the checker refuses it; empty where it accepts.
    pub refused: String,
}

/// Verifies again with a certificate, and checks it. `None` where there was no verdict this time, or when `stop` was
/// raised.
///
/// # Errors
/// The program cannot be started, or there is no room for the certificate.
pub fn certify(
    program: &Program,
    model: &Path,
    property: &Path,
    limit: Duration,
    stop: &AtomicBool,
) -> Result<Option<Certified>, BenchError> {
    let io = |source| BenchError::Io { path: std::env::temp_dir(), source };
    let directory = tempfile::tempdir().map_err(io)?;
    let file = directory.path().join("certificate");
    let Some(measured) = measure_with(program, model, property, limit, Some(&file), stop)? else { return Ok(None) };
    if !matches!(measured.verdict, Verdict::Sat | Verdict::Unsat) {
        return Ok(None);
    }
    let bytes = file.metadata().map_or(0, |data| data.len());
    let begin = Instant::now();
    let refused = why_refused(model, property, &file).err().unwrap_or_default();
    let checking = begin.elapsed().as_secs_f64();
    Ok(Some(Certified { seconds: measured.seconds, bytes, checking, refused }))
}

fn why_refused(model: &Path, property: &Path, file: &Path) -> Result<(), String> {
    let graph = onnx::read(model).map_err(|error| error.to_string())?;
    let digests = Digests::of(model, property).map_err(|error| error.to_string())?;
    let property = vnnlib::read(property).map_err(|error| error.to_string())?;
    let file = File::open(file).map_err(|error| format!("no certificate: {error}"))?;
    check(&graph, &property, &digests, Semantics::Real, file).map(|_| ()).map_err(|why| why.to_string())
}
