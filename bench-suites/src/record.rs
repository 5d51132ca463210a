//! What one run says about itself: the JSON that `secateur verify --json` and `secateur bound --json` write.

use crate::verdict::Verdict;
use secateur_verify::Statistics;
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

/// Where a bound's upper bounds came from, the search itself aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpperRecord {
    /// `attack` or `nlp`.
    pub source: String,
    /// Every solve of a nonlinear program.
    pub solves: Vec<SolveRecord>,
    /// Why none was solved.
    pub failure: Option<String>,
}

impl UpperRecord {
    /// Attacks only.
    pub fn attack() -> Self {
        Self { source: "attack".to_owned(), solves: Vec::new(), failure: None }
    }
}

/// One solve of a nonlinear program with complementarity constraints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SolveRecord {
    /// Signs fixed in the subproblem.
    pub depth: usize,
    /// Complementarity pairs that are open in it.
    pub pairs: usize,
    /// Whether it started from an ancestor's solution.
    pub warm: bool,
    /// Whether that failed and a cold start followed.
    pub fell_back: bool,
    /// Margin at the start.
    pub start_margin: f64,
    /// Margin where the solver ended.
    pub nlp_margin: f64,
    /// Least margin after the descent over patterns.
    pub margin: f64,
    /// Pairs at the kink where the solver ended.
    pub kinks: usize,
    /// What the linear program of the solution's pattern took off the margin.
    pub pattern_gap: Option<f64>,
    /// Linear programs of patterns.
    pub patterns: usize,
    /// Iterations.
    pub iterations: usize,
    /// Entries into restoration.
    pub restorations: usize,
    /// The solver's last status.
    pub status: String,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// What mixed-integer programs say of a margin; nothing of it is proved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MipRecord {
    /// The network's file.
    pub model: String,
    /// The property's file.
    pub property: String,
    /// The solver's lower bound.
    pub lower: Option<f64>,
    /// The margin at the solver's point.
    pub upper: Option<f64>,
    /// Binaries of the largest program.
    pub binaries: usize,
    /// Whether every program was solved to the gap.
    pub finished: bool,
    /// The gap.
    pub gap: f64,
    /// Limit in seconds per program.
    pub timeout: Option<f64>,
    /// Threads of the solver.
    pub threads: usize,
    /// Every program.
    pub parts: Vec<MipPartRecord>,
    /// Wall-clock seconds of the command, reading of the files included.
    pub seconds: f64,
    /// Peak resident memory of the process in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// Version of the program.
    pub version: String,
}

/// One mixed-integer program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MipPartRecord {
    /// Region of the property.
    pub region: usize,
    /// Its conjunction.
    pub disjunct: usize,
    /// The solver's lower bound.
    pub lower: Option<f64>,
    /// The margin at the solver's point.
    pub upper: Option<f64>,
    /// Binaries.
    pub binaries: usize,
    /// Whether it was solved to the gap.
    pub finished: bool,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// A training run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrainRecord {
    /// The data set.
    pub data: String,
    /// All settings.
    pub settings: String,
    /// Weights that were trained.
    pub parameters: usize,
    /// Mean loss on the test data.
    pub test_loss: f64,
    /// Share of right classes on the test data.
    pub test_accuracy: Option<f64>,
    /// Epoch by epoch.
    pub epochs: Vec<EpochRecord>,
    /// The epoch whose weights were kept, where training was stopped by validation.
    pub best: Option<usize>,
    /// `finished`, `no-improvement` or `interrupted`.
    pub stop: String,
    /// Time from start to answer.
    pub seconds: f64,
    /// Most memory in use, in bytes, where the system says.
    pub peak_memory: Option<u64>,
    /// Version of the program.
    pub version: String,
}

/// An epoch of a training run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Its number, from 1.
    pub epoch: usize,
    /// The last step size.
    pub rate: f64,
    /// Mean loss of the batches.
    pub loss: f64,
    /// Share of right classes in the batches.
    pub accuracy: Option<f64>,
    /// Mean loss on the validation data.
    pub validation_loss: Option<f64>,
    /// Share of right classes on the validation data.
    pub validation_accuracy: Option<f64>,
    /// Time it took.
    pub seconds: f64,
}

/// The local robustness of a range of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RobustRecord {
    /// The network's file.
    pub model: String,
    /// The data set or file.
    pub data: String,
    /// The radius, rounded down if its decimals do not end.
    pub radius: String,
    /// The norm of the ball.
    pub norm: String,
    /// Limit in seconds per property.
    pub timeout: Option<f64>,
    /// Worker threads, 0 for every core.
    pub threads: usize,
    /// Seed of the random starts.
    pub seed: u64,
    /// The device that proposed slopes, or `cpu` where none did.
    #[serde(default = "cpu")]
    pub device: String,
    /// Images asked for; fewer are listed when the run was interrupted.
    pub asked: usize,
    /// Images that are classified correctly.
    pub correct: usize,
    /// Images proved robust at the radius.
    pub verified: usize,
    /// Images neither misclassified nor with a counterexample.
    pub not_falsified: usize,
    /// Every image.
    pub images: Vec<RobustImageRecord>,
    /// Wall-clock seconds of the command.
    pub seconds: f64,
    /// Peak resident memory of the process in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// Version of the program.
    pub version: String,
}

/// The local robustness of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RobustImageRecord {
    /// Its number.
    pub index: usize,
    /// Its class.
    pub label: usize,
    /// The class that the network gives it.
    pub predicted: usize,
    /// At the whole radius: `robust`, `not-robust`, `misclassified` or `unknown`.
    pub verdict: String,
    /// The largest radius that bisection verified, rounded down.
    pub verified: Option<String>,
    /// The least radius that bisection falsified, rounded up.
    pub falsified: Option<String>,
    /// Radii that bisection left undecided.
    pub unknown: Vec<String>,
    /// Wall-clock seconds.
    pub seconds: f64,
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
    /// What the verdict is about, `real` or `f32`.
    #[serde(default = "real")]
    pub semantics: String,
    /// Techniques that the search did without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Where ascents were allowed to run: `cpu`, `cuda` or `auto`.
    #[serde(default = "cpu")]
    pub device: String,
}

/// What verdicts are about unless the user says otherwise.
fn real() -> String {
    "real".to_owned()
}

/// Where ascents run unless a record says otherwise.
fn cpu() -> String {
    "cpu".to_owned()
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
    /// The device that proposed slopes, or `cpu` where none did.
    #[serde(default = "cpu")]
    pub device: String,
}

impl From<&Statistics> for StatisticsRecord {
    fn from(statistics: &Statistics) -> Self {
        Self {
            domains: statistics.domains,
            lower: finite(statistics.lower),
            upper: finite(statistics.upper),
            seconds: statistics.seconds,
            method: statistics.method.clone(),
            device: statistics.device.clone(),
        }
    }
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
    /// Where upper bounds came from.
    pub upper_bounds: UpperRecord,
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
