//! Exit codes.

use std::process::ExitCode;

/// What `--help` says about exit codes.
pub const HELP: &str = "Exit codes: 0 done or decided, 1 internal fault or contradicted expectation, 2 bad input, \
                        3 undecided or interrupted.";

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Decided, or done.
    Done = 0,
    /// The program itself is at fault, or a known verdict was contradicted.
    Fault = 1,
    /// What it was given is at fault.
    BadInput = 2,
    /// Unknown, timeout or interrupted.
    Undecided = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
