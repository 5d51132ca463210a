//! Ipopt, in a process of its own.
//!
//! Its linear algebra is not safe to use from several threads, and a fault of it must not take the caller along. The
//! process runs the method and asks for values of the functions through its standard streams; see [`crate::wire`].

use crate::barrier::{Counts, End, Evaluation, Options, bounds, status};
use crate::error::OptError;
use crate::nonlinear::{Frame, NlpReport, NlpSettings, NlpSolver, NlpStatus, NonlinearProgram, Warm};
use crate::wire::{self, Message, Problem};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Ipopt through the program `secateur-ipopt-worker`, one process for each of these objects.
///
/// The process starts with the first solve; solves of one object from several threads wait for each other.
#[derive(Debug)]
pub struct Ipopt {
    program: PathBuf,
    worker: Mutex<Option<Worker>>,
}

#[derive(Debug)]
struct Worker {
    child: Child,
    to: BufWriter<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The process may be gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Worker {
    fn start(program: &Path) -> io::Result<Self> {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self { child, to: BufWriter::new(to), from: BufReader::new(from) })
    }

    /// One solve; values of the functions are computed here.
    fn solve(
        &mut self,
        problem: &Problem,
        program: &dyn NonlinearProgram,
        evaluation: &mut Evaluation,
    ) -> io::Result<wire::End> {
        problem.write(&mut self.to)?;
        let (n, m) = (problem.lower.len(), problem.row_lower.len());
        loop {
            let values = match Message::read(&mut self.from)? {
                Message::End(end) => return Ok(end),
                Message::Objective(x) => evaluation.objective(program, &x).map(|value| vec![value]),
                Message::Gradient(x) => filled(n, |into| evaluation.gradient(program, &x, into)),
                Message::Constraints(x) => filled(m, |into| evaluation.constraints(program, &x, into)),
                Message::Jacobian(x) => filled(problem.jacobian.len(), |into| evaluation.jacobian(program, &x, into)),
                Message::Hessian(x, factor, multipliers) => {
                    filled(problem.hessian.len(), |into| evaluation.hessian(program, &x, factor, &multipliers, into))
                }
            };
            wire::write_answer(&mut self.to, values.as_deref())?;
        }
    }
}

fn filled(length: usize, fill: impl FnOnce(&mut [f64]) -> bool) -> Option<Vec<f64>> {
    let mut values = vec![0.0; length];
    fill(&mut values).then_some(values)
}

impl Ipopt {
    /// Ipopt through the given worker program.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), worker: Mutex::new(None) }
    }

    /// The identifier of the running process, if there is one.
    pub fn process(&self) -> Option<u32> {
        let place = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        place.as_ref().map(|worker| worker.child.id())
    }

    /// Ipopt through the worker program in the folder of the running program.
    ///
    /// # Errors
    /// There is no such file.
    pub fn beside_this_program() -> Result<Self, OptError> {
        let missing = |program: PathBuf| move |source| OptError::from(WorkerFault { program, source });
        let here = std::env::current_exe().map_err(missing("secateur-ipopt-worker".into()))?;
        let program = here.with_file_name(format!("secateur-ipopt-worker{}", std::env::consts::EXE_SUFFIX));
        match program.metadata() {
            Ok(_) => Ok(Self::new(program)),
            Err(source) => Err(WorkerFault { program, source }.into()),
        }
    }
}

/// The process could not be started, ended early, or answered with something else than it should.
#[derive(Debug, thiserror::Error)]
#[error("the solver process {program} failed")]
pub struct WorkerFault {
    /// The program.
    pub program: PathBuf,
    /// What happened to it or its streams.
    pub source: io::Error,
}

impl NlpSolver for Ipopt {
    fn solve(&self, program: &dyn NonlinearProgram, settings: &NlpSettings) -> Result<NlpReport, OptError> {
        let began = Instant::now();
        let frame = Frame::new(program, settings)?;
        let mut evaluation = Evaluation::new(&frame);
        let problem = problem(&frame, &evaluation, settings);
        let fault = |source| WorkerFault { program: self.program.clone(), source };

        // A solve that unwound left no worker behind.
        let mut place = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let mut worker = match place.take() {
            Some(worker) => worker,
            None => Worker::start(&self.program).map_err(fault)?,
        };
        let end = worker.solve(&problem, program, &mut evaluation).map_err(fault)?;
        *place = Some(worker);
        drop(place);

        let status = if end.timed_out { NlpStatus::TimeLimit } else { status(end.code, evaluation.unusable.take())? };
        let is_whole = end.point.len() == frame.lower.len();
        let last = if is_whole {
            End {
                point: end.point,
                constraint_multipliers: end.constraint_multipliers,
                lower_multipliers: end.lower_multipliers,
                upper_multipliers: end.upper_multipliers,
            }
        } else {
            End::at_start(&frame)
        };
        let counts = Counts {
            iterations: usize::try_from(end.iterations).unwrap_or(usize::MAX),
            restorations: usize::try_from(end.restorations).unwrap_or(usize::MAX),
            began,
        };
        last.report(program, &frame, status, counts)
    }
}

fn problem(frame: &Frame, evaluation: &Evaluation, settings: &NlpSettings) -> Problem {
    let options = Options::new(settings);
    let pattern = |positions: &[(usize, usize)]| positions.iter().map(|&(i, j)| (i as u32, j as u32)).collect();
    let clipped = |multipliers: &[f64]| multipliers.iter().map(|z| Warm::clip(*z)).collect::<Vec<_>>();
    let warm = settings.warm.as_ref();
    Problem {
        numbers: options.numbers.iter().map(|(name, value)| ((*name).to_string(), *value)).collect(),
        words: options.words.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect(),
        integers: options.integers.iter().map(|(name, value)| ((*name).to_string(), *value)).collect(),
        seconds: settings.time_limit.map_or(f64::INFINITY, |limit| limit.as_secs_f64()),
        lower: bounds(&frame.lower),
        upper: bounds(&frame.upper),
        row_lower: bounds(&frame.row_lower),
        row_upper: bounds(&frame.row_upper),
        start: frame.start.clone(),
        constraint_multipliers: warm.map_or(Vec::new(), |warm| warm.constraint_multipliers.clone()),
        lower_multipliers: warm.map_or(Vec::new(), |warm| clipped(&warm.lower_multipliers)),
        upper_multipliers: warm.map_or(Vec::new(), |warm| clipped(&warm.upper_multipliers)),
        jacobian: pattern(&evaluation.jacobian.positions),
        hessian: pattern(&evaluation.hessian.positions),
    }
}
