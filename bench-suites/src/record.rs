//! What one run says about itself: the JSON that `secateur verify --json` and `secateur bound --json` write.

use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// A verification as a machine-readable record.
///
/// A bound that is infinite or not a number is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerificationRecord {
    /// The network's file.
    pub model: String,
    /// The property's file.
    pub property: String,
    /// `sat`, `unsat`, `unknown` or `timeout`.
    pub verdict: Verdict,
    /// Why the verdict is `unknown`.
    pub reason: Option<String>,
    /// The violating input of a `sat` verdict.
    pub witness: Option<WitnessRecord>,
    /// What was asked for.
    pub settings: SettingsRecord,
    /// What the search did.
    pub statistics: StatisticsRecord,
    /// Wall-clock seconds of the command, reading of the files included.
    pub seconds: f64,
    /// Peak resident memory of the process in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// Version of the program.
    pub version: String,
}

/// A violating input and what the network answers there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WitnessRecord {
    /// The input, each coordinate as the decimal that denotes it exactly.
    pub input: Vec<String>,
    /// The outputs in f32 arithmetic.
    pub outputs: Vec<f32>,
}

/// The settings of a verification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingsRecord {
    /// Limit in seconds.
    pub timeout: Option<f64>,
    /// Worker threads, 0 for every core.
    pub threads: usize,
    /// Seed of the random starts.
    pub seed: u64,
    /// Branching rule.
    pub branching: String,
    /// Weight of agreement in aligned branching.
    pub alignment: f64,
}

/// Counts and bounds of a search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatisticsRecord {
    /// Subproblems bounded.
    pub domains: u64,
    /// Proved lower bound of the margin.
    pub lower: Option<f64>,
    /// Least margin found.
    pub upper: Option<f64>,
    /// Wall-clock seconds of the search.
    pub seconds: f64,
    /// What decided.
    pub method: String,
}

/// Bounds of a margin as a machine-readable record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundRecord {
    /// The network's file.
    pub model: String,
    /// The property's file.
    pub property: String,
    /// `safe`, `unsafe`, `epsilon-global` or `unknown`.
    pub outcome: String,
    /// Why the outcome is `unknown`.
    pub reason: Option<String>,
    /// The width that was asked for.
    pub epsilon: f64,
    /// Whether the search went on where the sign was known.
    pub full: bool,
    /// The margin is proved to be at least this.
    pub lower: Option<f64>,
    /// The margin at the incumbent, rounded up.
    pub upper: Option<f64>,
    /// The incumbent, each coordinate as the decimal that denotes it exactly.
    pub incumbent: Option<Vec<String>>,
    /// The bounds whenever one of them moved.
    pub history: Vec<SampleRecord>,
    /// What was asked for.
    pub settings: SettingsRecord,
    /// What the search did.
    pub statistics: StatisticsRecord,
    /// Wall-clock seconds of the command, reading of the files included.
    pub seconds: f64,
    /// Peak resident memory of the process in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// Version of the program.
    pub version: String,
}

/// The bounds at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// Seconds since the start of the search.
    pub seconds: f64,
    /// Subproblems bounded so far.
    pub domains: u64,
    /// Proved lower bound of the margin.
    pub lower: Option<f64>,
    /// Least margin found.
    pub upper: Option<f64>,
}

/// A number as JSON has it: nothing where it is infinite or not a number.
pub fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Peak resident memory of a process in bytes, from what Linux keeps under `/proc`; nothing elsewhere.
pub fn peak_memory(process: Option<u32>) -> Option<u64> {
    let name = process.map_or_else(|| "self".to_owned(), |id| id.to_string());
    let status = std::fs::read_to_string(format!("/proc/{name}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn peak_memory_grows_with_what_is_touched() {
        let before = peak_memory(None).expect("Linux reports it");
        let block = std::hint::black_box(vec![1_u8; 96 << 20]);
        let after = peak_memory(None).expect("Linux reports it");
        assert!(after >= before.max(block.len() as u64), "{before} then {after}");
        assert!(peak_memory(Some(std::process::id())).is_some_and(|p| p >= after));
    }

    #[test]
    fn infinite_bounds_are_null() {
        assert_eq!([f64::INFINITY, f64::NAN, -1.5].map(finite), [None, None, Some(-1.5)]);
    }
}
