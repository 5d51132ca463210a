//! A running search on standard error: silent unless that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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
