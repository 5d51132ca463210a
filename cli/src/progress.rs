//! A running search or study on standard error: silent unless that is a terminal.

use crate::error::CliError;
use crate::interrupt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secateur_bench_suites::watcher::Watcher;
use secateur_prune::depth;
use secateur_verify::{Observer, Progress};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shows a search and ends it when asked to.
pub struct Display {
    line: ProgressBar,
    stop: Arc<AtomicBool>,
}

impl Display {
    /// A display on standard error, or none when `quiet`.
    pub fn new(quiet: bool, stop: Arc<AtomicBool>) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let line = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
            line.set_style(style);
        }
        Self { line, stop }
    }

    /// Removes the line.
    pub fn clear(&self) {
        self.line.finish_and_clear();
    }
}

impl Observer for Display {
    fn progress(&self, progress: &Progress) {
        if self.line.is_hidden() {
            return;
        }
        let Progress { phase, domains, open, lower, upper, .. } = progress;
        self.line.set_message(format!("{phase}: {domains} domains, {open} open, lower {lower:.4}, upper {upper:.4}"));
        self.line.tick();
    }

    fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Shows which step of a study, experiment or method is running; Ctrl-C ends it after that.
pub struct Steps {
    line: ProgressBar,
    stop: Arc<AtomicBool>,
}

impl Steps {
    /// A display on standard error, or none when `quiet`. Listens to Ctrl-C, so there is one in a run.
    pub fn new(quiet: bool) -> Result<Self, CliError> {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let line = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}") {
            line.set_style(style);
        }
        Ok(Self { line, stop: interrupt::listen()? })
    }

    /// Removes the line.
    pub fn clear(&self) {
        self.line.finish_and_clear();
    }

    /// Measurements that were done, and all, before the line is removed.
    pub fn done(&self) -> (usize, usize) {
        (self.line.position() as usize, self.line.length().unwrap_or(0) as usize)
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.clear();
    }
}

impl depth::Progress for Steps {
    fn step(&self, number: usize, all: usize, what: &str) {
        self.measuring(number, all, what);
    }

    fn stop(&self) -> bool {
        Watcher::stop(self)
    }
}

impl Watcher for Steps {
    fn measuring(&self, number: usize, all: usize, what: &str) {
        self.line.set_length(all as u64);
        self.line.set_position(number as u64);
        self.line.set_message(what.to_owned());
    }

    fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
