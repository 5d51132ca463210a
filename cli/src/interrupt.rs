//! Ctrl-C: the first asks for an orderly end, the second ends at once.

use crate::error::CliError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code that shells give to a program that Ctrl-C ended.
const ENDED_BY_INTERRUPT: i32 = 130;

/// A flag that the first Ctrl-C raises.
pub fn listen() -> Result<Arc<AtomicBool>, CliError> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(ENDED_BY_INTERRUPT);
        }
    })?;
    Ok(flag)
}
