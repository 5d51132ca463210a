//! One verification in a process of its own, so that its time and memory are its own and its faults stay there.

use crate::error::BenchError;
use crate::record::{VerificationRecord, peak_memory};
use crate::verdict::Verdict;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wait_timeout::ChildExt;

/// The verifier that is measured.
#[derive(Clone, Debug)]
pub struct Program {
    /// The binary; it is called as `PROGRAM verify MODEL PROPERTY …`.
    pub path: PathBuf,
    /// Worker threads, 0 for every core.
    pub threads: usize,
    /// Techniques to do without.
    pub without: Vec<String>,
}

/// What came out of one process.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// How it ended.
    pub verdict: Verdict,
    /// Wall-clock seconds from start to exit.
    pub seconds: f64,
    /// Peak resident memory in bytes, where the system tells.
    pub memory: Option<u64>,
    /// The verifier's own account, where it gave one.
    pub record: Option<VerificationRecord>,
    /// Why there is no verdict.
    pub detail: String,
    /// The verifier itself failed: it crashed, or broke its contract.
    pub fault: bool,
}

/// How long past its limit a process may live before it is killed.
pub const GRACE: Duration = Duration::from_secs(3);

/// How often a process is looked at; its end is noticed at once.
const LOOK: Duration = Duration::from_millis(100);

/// Verifies one instance; `None` when `stop` was raised before it ended.
///
/// The process is asked to stop at `limit` and killed [`GRACE`] later. An answer after the limit counts as a timeout.
///
/// # Errors
/// The program cannot be started or waited for.
pub fn measure(
    program: &Program,
    model: &Path,
    property: &Path,
    limit: Duration,
    stop: &AtomicBool,
) -> Result<Option<Measurement>, BenchError> {
    measure_with(program, model, property, limit, None, stop)
}

/// The same, with a certificate.
///
/// # Errors
/// See [`measure`].
pub fn measure_with(
    program: &Program,
    model: &Path,
    property: &Path,
    limit: Duration,
    certificate: Option<&Path>,
    stop: &AtomicBool,
) -> Result<Option<Measurement>, BenchError> {
    let begin = Instant::now();
    let mut child = start(program, model, property, limit, certificate)?;
    let output = drain(child.stdout.take());
    let complaints = drain(child.stderr.take());
    let mut memory = None;
    let mut killed = false;
    let status = loop {
        if let Some(status) = child.wait_timeout(LOOK).map_err(BenchError::Wait)? {
            break status;
        }
        memory = peak_memory(Some(child.id())).or(memory);
        let interrupted = stop.load(Ordering::Relaxed);
        killed = begin.elapsed() > limit + GRACE;
        if killed || interrupted {
            // An error here means that the process has just ended by itself.
            let _ = child.kill();
            let status = child.wait().map_err(BenchError::Wait)?;
            if interrupted {
                return Ok(None);
            }
            break status;
        }
    };
    let seconds = begin.elapsed().as_secs_f64();
    let (output, complaints) = (collect(output), collect(complaints));
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    Ok(Some(judge(status, &output, &complaints, seconds, limit, memory, killed)))
}

fn start(
    program: &Program,
    model: &Path,
    property: &Path,
    limit: Duration,
    certificate: Option<&Path>,
) -> Result<Child, BenchError> {
    let mut command = Command::new(&program.path);
    command.arg("verify").arg(model).arg(property);
    command.args(["--quiet", "--json", "-", "--timeout", &limit.as_secs_f64().to_string()]);
    command.args(["--threads", &program.threads.to_string()]);
    command.args(program.without.iter().flat_map(|technique| ["--without", technique]));
    if let Some(file) = certificate {
        command.arg("--certificate").arg(file);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|source| BenchError::Start { program: program.path.clone(), source })
}

/// Reads a pipe to its end on a thread, so that a full pipe never blocks the process.
fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What a dying process leaves unread is not missed: the verdict then fails to parse.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn collect(reader: JoinHandle<Vec<u8>>) -> Vec<u8> {
    reader.join().unwrap_or_default()
}

/// Turns an exit status and two streams into a verdict.
fn judge(
    status: ExitStatus,
    output: &[u8],
    complaints: &[u8],
    seconds: f64,
    limit: Duration,
    polled: Option<u64>,
    killed: bool,
) -> Measurement {
    let record: Option<VerificationRecord> = serde_json::from_slice(output).ok();
    let memory = record.as_ref().and_then(|r| r.peak_memory).or(polled);
    let measured =
        |verdict, detail: String, fault, record| Measurement { verdict, seconds, memory, record, detail, fault };
    if killed {
        return measured(Verdict::Timeout, "killed after the limit".to_owned(), false, None);
    }
    let complaint = one_line(complaints);
    match (status.code(), record) {
        (Some(0), Some(record)) if record.verdict.decided() => {
            if seconds > limit.as_secs_f64() {
                let detail = format!("{} after the limit", record.verdict);
                return measured(Verdict::Timeout, detail, false, Some(record));
            }
            measured(record.verdict, String::new(), false, Some(record))
        }
        (Some(3), Some(record)) if matches!(record.verdict, Verdict::Unknown | Verdict::Timeout) => {
            let detail = record.reason.clone().unwrap_or_default();
            measured(record.verdict, detail, false, Some(record))
        }
        (Some(2), None) => measured(Verdict::Error, complaint, false, None),
        (code, _) => {
            let end = code.map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
            measured(Verdict::Error, format!("{end}: {complaint}"), true, None)
        }
    }
}

/// The start of a message on one line.
fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(400).collect()
}
