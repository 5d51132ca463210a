//! Who hears of an experiment's progress.

/// Hears of progress and may stop the run.
pub trait Watcher: Sync {
    /// Before each measurement: its number, of how many, and what it is.
    fn measuring(&self, _number: usize, _all: usize, _what: &str) {}

    /// Whether to stop.
    fn stop(&self) -> bool {
        false
    }
}

/// Hears nothing and never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Watcher for Silent {}
