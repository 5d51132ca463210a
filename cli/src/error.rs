//! Everything that ends a command early.

use crate::exit::Exit;
use secateur_bench_suites::error::BenchError;
#[cfg(feature = "full")]
use secateur_bench_suites::experiment::ExperimentError;
use secateur_bench_suites::plot::PlotError;
use secateur_bench_suites::pruning::PruningError;
use secateur_bench_suites::theory::StudyError;
use secateur_check::CheckError;
use secateur_nn::NnError;
use secateur_nn::lm::LmFault;
use secateur_prune::PruneError;
use secateur_verify::VerifyError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a command did not come to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CliError {
    /// A network or property was refused.
    #[error(transparent)]
    Network(#[from] NnError),
    /// A property that speaks of another network.
    #[error("{} does not fit {}: {source}", .property.display(), .model.display())]
    Mismatch {
        /// The property's file.
        property: PathBuf,
        /// The network's file.
        model: PathBuf,
        /// What does not fit.
        source: Box<NnError>,
    },
    /// The verifier cannot take the question.
    #[error("{}: {source}", .model.display())]
    Verify {
        /// The network's file.
        model: PathBuf,
        /// What it cannot take.
        source: VerifyError,
    },
    /// The verifier cannot bound the network.
    #[error(transparent)]
    Bounds(#[from] VerifyError),
    /// The exact evaluator cannot take the network.
    #[error("{}: {source}", .model.display())]
    Check {
        /// The network's file.
        model: PathBuf,
        /// What it cannot take.
        source: CheckError,
    },
    /// Two networks that make no pair.
    #[error("{} and {}: {source}", .first.display(), .second.display())]
    Pair {
        /// The first network's file.
        first: PathBuf,
        /// The second network's file.
        second: PathBuf,
        /// Why not.
        source: Box<secateur_check::PairError>,
    },
    /// A device was asked for that cannot be used.
    #[error(transparent)]
    Device {
        /// Why not.
        source: VerifyError,
    },
    /// A suite or its results file was refused.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// A file that cannot be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("{}: cannot be written: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A text without a letter.
    #[error("{}: the text is empty", .path.display())]
    EmptyText {
        /// The file.
        path: PathBuf,
    },
    /// A file that would be written over what is read, or over another result.
    #[error("{}: is read by this command, or is to hold another of its results: choose another name", .path.display())]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// Standard output in place of a file.
    #[error("-: only --json writes to standard output: name a file")]
    NoDash,
    /// A plot that cannot be drawn.
    #[error("{}: {source}", .path.display())]
    Plot {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: PlotError,
    },
    /// An input vector that is not a list of numbers.
    #[error("{origin}: expected a decimal number at position {position}, found `{found}`")]
    Number {
        /// Where the text came from.
        origin: String,
        /// Index of the coordinate.
        position: usize,
        /// What is there.
        found: String,
    },
    /// A witness that does not list its inputs in order.
    #[error("{origin}: expected `X_{expected}` as the next input of the witness, found `{found}`")]
    Witness {
        /// Where the text came from.
        origin: String,
        /// The next input.
        expected: usize,
        /// What is there.
        found: String,
    },
    /// An input vector of the wrong length.
    #[error("{origin}: the network takes {expected} numbers (input shape {shape:?}), found {found}")]
    InputLength {
        /// Where the numbers came from.
        origin: String,
        /// How many the network takes.
        expected: usize,
        /// The input's shape.
        shape: Vec<usize>,
        /// How many there are.
        found: usize,
    },
    /// A network cannot be pruned as asked.
    #[error(transparent)]
    Prune(secateur_prune::PruneError),
    /// A safetensors file was refused.
    #[error(transparent)]
    Safetensors(#[from] secateur_nn::safetensors::SafetensorsFault),
    /// An early network without a use, or the other way around.
    #[error("--from early goes with --early FILE, and with nothing else")]
    Early,
    /// An early network of another architecture.
    #[error("{}: the early network has other nodes or shapes than the one that is pruned", .path.display())]
    OtherArchitecture {
        /// The early network.
        path: PathBuf,
    },
    /// Nobody said what to certify.
    #[error("--certify: say --delta D or --same-class")]
    NoQuestion,
    /// Nobody said how much to remove.
    #[error("say how much to remove with --sparsity; only an N:M scope has a sparsity of its own")]
    NoSparsity,
    /// A sparsity that is not the scope's.
    #[error("--sparsity {sparsity} does not go with --scope {scope}, which removes {own}")]
    PatternSparsity {
        /// What was asked for.
        sparsity: f64,
        /// The scope.
        scope: String,
        /// Its sparsity.
        own: f64,
    },
    /// A compacted network that computes something else.
    #[error(
        "the compacted network differs from the masked one by {found:.1e} of the largest output, more than {allowed:.0e}"
    )]
    Disagreement {
        /// The difference.
        found: f64,
        /// What rounding explains.
        allowed: f64,
    },
    /// Nobody said where the data are.
    #[error("{set}: name the directory of data sets with --data-dir or SECATEUR_DATA")]
    NoDataDirectory {
        /// The data set.
        set: secateur_nn::data::DataSet,
    },
    /// A share of the data that is none.
    #[error("--validation: expected a share from 0 to below 1, found {share}")]
    Share {
        /// What was given.
        share: f64,
    },
    /// An index beyond the data set.
    #[error("there is no image {index}: the data set has {images}, from 0")]
    NoSuchImage {
        /// The index.
        index: usize,
        /// Images.
        images: usize,
    },
    /// Images of another size than the network takes.
    #[error("the network takes {expected} numbers, an image has {found}")]
    ImageSize {
        /// The network's inputs.
        expected: usize,
        /// The image's pixels.
        found: usize,
    },
    /// More samples than there are, or none.
    #[error(
        "{asked} samples are asked for, expected at least one and at most those there are of these classes: {found} were found"
    )]
    SampleCount {
        /// Asked for.
        asked: usize,
        /// Found.
        found: usize,
    },
    /// A file of layers that is not what it should be.
    #[error("{}: {source}", .path.display())]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<toml::de::Error>,
    },
    /// A kernel that cannot be computed, or cannot be solved with.
    #[error(transparent)]
    Kernel(#[from] secateur_theory::TheoryError),
    /// A label that the network has no score for.
    #[error("image {index} has label {label}, but the network scores {classes} classes, from 0")]
    Label {
        /// The image.
        index: usize,
        /// Its label.
        label: usize,
        /// Classes.
        classes: usize,
    },
    /// The build leaves something out.
    #[cfg(not(feature = "full"))]
    #[error("this build has no {what}: build with `--features full`, as ./secateur does where cmake and libclang are at hand", what = .what.trim_start_matches("a "))]
    NotBuilt {
        /// What is left out.
        what: &'static str,
    },
    /// An experiment on pruning did not come to its end.
    #[error(transparent)]
    Pruning(#[from] PruningError),
    /// A game that cannot be read or solved.
    #[error("{}: {what}", .path.display())]
    Game {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A language model, its tokenizer or a text for it was refused.
    #[error(transparent)]
    Lm(#[from] secateur_nn::lm::LmFault),
    /// A model was written, and measuring it was interrupted.
    #[error("stopped; the model is in {}, and was not measured", .out.display())]
    Unmeasured {
        /// Its folder.
        out: PathBuf,
    },
    /// Ctrl-C.
    #[error("stopped after {done} of {all} {what}")]
    Stopped {
        /// Parts that were done.
        done: usize,
        /// Parts that were asked for.
        all: usize,
        /// What they are.
        what: &'static str,
    },
    /// Ctrl-C during a search.
    #[error("stopped after {evaluated} coalitions were evaluated")]
    Searched {
        /// Coalitions.
        evaluated: usize,
    },
    /// A token before every window, of a model that has none.
    #[error("{}: --bos window: the model has no token that begins a text", .model.display())]
    NoBos {
        /// The model.
        model: PathBuf,
    },
    /// Blocks to remove that are named where they are chosen, or not named where they should be.
    #[error("expected --blocks N with a method that chooses, or --method list with --layers I,J")]
    Layers,
    /// A text that is not UTF-8.
    #[error("{}: expected text in UTF-8", .path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// An option that would do nothing.
    #[error("{option} {why}")]
    Idle {
        /// The option.
        option: &'static str,
        /// What it is for.
        why: &'static str,
    },
    /// A proof is about a table, which a game of another form is not.
    #[error(
        "--certificate: the game has no proof but by a table in JSON: add --table FILE, which the proof is then about"
    )]
    NoTable,
    /// What cannot be found from a game's few numbers.
    #[error("{}: {what}: {why} (to sample the Shapley value: --concept shapley --units N)", .path.display())]
    NoMethod {
        /// The game.
        path: PathBuf,
        /// What is asked for.
        what: &'static str,
        /// Why not, and what to do instead.
        why: &'static str,
    },
    /// A concept that is found from all values, of a game with too many players for that.
    #[error(
        "{}: {concept} needs the values of all coalitions, which {players} players have too many of (up to 24): {instead}",
        .path.display()
    )]
    Players {
        /// The game.
        path: PathBuf,
        /// The concept.
        concept: String,
        /// Players.
        players: usize,
        /// What to do instead.
        instead: &'static str,
    },
    /// An answer that no double is.
    #[error("{}: {what} is beyond the range of doubles: give the game in a larger unit", .path.display())]
    TooLarge {
        /// The game.
        path: PathBuf,
        /// Which answer.
        what: String,
    },
    /// Payoffs that cannot be compared.
    #[error("--payoffs: expected a number for each player, between commas")]
    Payoffs,
    /// A game with a command and nowhere to keep what it measures.
    #[error("--out: name a directory to keep measured values in")]
    NoCache,
    /// Ctrl-C during measurements.
    #[error("stopped; {measured} values are kept in {}: run again to go on", .out.display())]
    Measuring {
        /// Values that are kept.
        measured: usize,
        /// Where.
        out: PathBuf,
    },
    /// A study of a theory did not come to its end.
    #[error(transparent)]
    Theory(#[from] StudyError),
    /// An experiment did not come to its end.
    #[cfg(feature = "full")]
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// A program could not be put or solved.
    #[cfg(feature = "full")]
    #[error("{}: {source}", .model.display())]
    Global {
        /// The network's file.
        model: PathBuf,
        /// Why not.
        source: secateur_global::GlobalError,
    },
    /// Standard output went away.
    #[error("standard output cannot be written: {0}")]
    Output(std::io::Error),
    /// The signal handler cannot be installed.
    #[error("cannot listen to Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    /// The program cannot find itself.
    #[error("cannot find the program's own file: {0}")]
    Program(std::io::Error),
}

impl CliError {
    /// Refuses the first option that would do nothing: whether it is given and idle, its name, what it is for.
    pub fn refuse_idle<const N: usize>(options: [(bool, &'static str, &'static str); N]) -> Result<(), Self> {
        match options.into_iter().find(|(idle, ..)| *idle) {
            Some((_, option, why)) => Err(Self::Idle { option, why }),
            None => Ok(()),
        }
    }

    /// The exit code that goes with it.
    pub fn exit(&self) -> Exit {
        match self {
            CliError::Output(_)
            | CliError::Signal(_)
            | CliError::Program(_)
            | CliError::Disagreement { .. }
            | CliError::Verify { source: VerifyError::Threads(_), .. }
            | CliError::Bench(BenchError::Start { .. } | BenchError::Wait(_)) => Exit::Fault,
            CliError::Stopped { .. }
            | CliError::Unmeasured { .. }
            | CliError::Lm(LmFault::Stopped)
            | CliError::Prune(PruneError::Stopped)
            | CliError::Measuring { .. }
            | CliError::Searched { .. }
            | CliError::Pruning(PruningError::Stopped { .. })
            | CliError::Theory(StudyError::Stopped { .. } | StudyError::Interrupted { .. }) => Exit::Undecided,
            #[cfg(feature = "full")]
            CliError::Experiment(ExperimentError::Stopped { .. }) => Exit::Undecided,
            _ => Exit::BadInput,
        }
    }
}
