//! What can be wrong with what is asked of a theory.

use crate::game::{Coalition, Plain};
use secateur_nn::NnError;
use thiserror::Error;

/// Why there is no prediction.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TheoryError {
    /// A number outside of its range.
    #[error("{name}: expected {expected}, found {}", Plain(*.found))]
    Range {
        /// The quantity.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: f64,
    },
    /// Sizes that do not fit.
    #[error("{name}: expected {expected:?}, found {found:?}")]
    Shape {
        /// The quantity.
        name: &'static str,
        /// The shape that fits.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// A graphon whose two sides differ, where vertices of one kind are needed.
    #[error("the graphon is not symmetric: one side's intervals or values differ from the other's")]
    NotSymmetric,
    /// A matrix whose spectrum was not found.
    #[error("the iteration for a spectrum did not converge")]
    Iteration,
    /// A descent or flow whose loss is no number any more.
    #[error("the loss is no number any more at time {time}: choose a smaller step size")]
    Diverged {
        /// When.
        time: f64,
    },
    /// A flow in which events follow each other without end.
    #[error("events of the gradient flow follow each other without end at time {time}")]
    Stuck {
        /// When.
        time: f64,
    },
    /// A differential equation that could not be solved.
    #[error("the differential equation could not be solved: {0}")]
    Equation(#[from] diffsol::error::DiffsolError),
    /// A table of a game with another number of values than coalitions.
    #[error("a game of {players} players has {expected} values, one for each coalition; found {found}")]
    CoalitionCount {
        /// Players.
        players: usize,
        /// Coalitions.
        expected: usize,
        /// Values.
        found: usize,
    },
    /// A coalition that is worth what no coalition is.
    #[error("coalition {coalition}: expected {expected}, found {}", Plain(*.value))]
    CoalitionValue {
        /// The coalition.
        coalition: Coalition,
        /// Its value.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A coalition whose value is not known.
    #[error("the value of coalition {coalition} is missing")]
    CoalitionMissing {
        /// The coalition.
        coalition: Coalition,
    },
    /// A coalition whose value could not be found.
    #[error("the value of coalition {coalition}: {source}")]
    Oracle {
        /// The coalition.
        coalition: Coalition,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A coalition of players that the game does not have.
    #[error("coalition {coalition} is none of a game of {players} players")]
    NoCoalition {
        /// The coalition.
        coalition: Coalition,
        /// Players.
        players: usize,
    },
    /// What cannot be found from a game's few numbers.
    #[error("{what}: {why}")]
    NoMethod {
        /// What is asked for.
        what: &'static str,
        /// Why not, and what to do instead.
        why: &'static str,
    },
    /// No division of $v(N)$ gives each player what it has alone.
    #[error(
        "there is no imputation: the grand coalition has {}, the players alone have {} more (values are doubles: where that is a \
         rounding, give whole numbers; the prenucleolus needs no imputation)",
        Plain(*.together),
        Plain(*.excess)
    )]
    NoImputation {
        /// $\sum_i v(\{i\}) - v(N)$.
        excess: f64,
        /// $v(N)$.
        together: f64,
    },
    /// A sum that is below 0 has no division into payoffs from 0.
    #[error("payoffs from 0 cannot add up to the {} of the grand coalition", Plain(*.together))]
    NoDivision {
        /// $v(N)$.
        together: f64,
    },
    /// A game of one player.
    #[error("a game of one player has no proper coalition: the player gets all there is")]
    Alone,
    /// Payoffs that are not a division of $v(N)$.
    #[error(
        "the payoffs add up to {} {} than the {} of the grand coalition (values are doubles)",
        Plain(.excess.abs()),
        if *.excess < 0.0 { "less" } else { "more" },
        Plain(*.grand)
    )]
    NotEfficient {
        /// Their sum, less $v(N)$.
        excess: f64,
        /// $v(N)$.
        grand: f64,
    },
    /// A network.
    #[error(transparent)]
    Network(#[from] NnError),
    /// A layer that does not fit what comes before it.
    #[error("layer {layer}: {reason}")]
    Layer {
        /// Its place and name.
        layer: String,
        /// The rule.
        reason: &'static str,
    },
    /// A number or a shape that a layer cannot take.
    #[error("layer {layer}: {source}")]
    InLayer {
        /// Its place and name.
        layer: String,
        /// What is wrong.
        source: Box<TheoryError>,
    },
    /// A density with a row for something else than the inputs.
    #[error(
        "layer {layer}: the density has {rows} rows, but there are {inputs} inputs to a neuron: expected one row each, or rows for equal parts of them"
    )]
    DensityRows {
        /// Its place and name.
        layer: String,
        /// Inputs of a neuron, as far as they differ.
        inputs: usize,
        /// Rows.
        rows: usize,
    },
    /// A kernel matrix that has no inverse in the arithmetic at hand.
    #[error("the kernel of {samples} samples is singular at ridge {ridge:e}: choose a larger one")]
    Singular {
        /// Its size.
        samples: usize,
        /// What was added to the diagonal.
        ridge: f64,
    },
}
