//! Who hears of the steps of a method, and may stop it.

use crate::error::PruneError;

/// Hears of steps and may stop a method between them.
pub trait Progress: Sync {
    /// Before each step: its number from 0, of how many, and what they are.
    fn step(&self, _number: usize, _all: usize, _what: &str) {}

    /// Whether to stop.
    fn stop(&self) -> bool {
        false
    }

    /// Tells of a step, unless it is time to stop.
    ///
    /// # Errors
    /// [`PruneError::Stopped`].
    fn begin(&self, number: usize, all: usize, what: &str) -> Result<(), PruneError> {
        self.go_on()?;
        self.step(number, all, what);
        Ok(())
    }

    /// Within a step.
    ///
    /// # Errors
    /// [`PruneError::Stopped`], where it is time to stop.
    fn go_on(&self) -> Result<(), PruneError> {
        if self.stop() { Err(PruneError::Stopped) } else { Ok(()) }
    }
}

/// Hears nothing and never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}
