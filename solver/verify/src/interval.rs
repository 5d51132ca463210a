//! ε-global bounds: how safe, not only whether.
//!
//! The margin of a property is
//! $$ f^\ast = \min_{\text{regions},\, x} \; \min_{\text{disjuncts}} \; \max_i \; g_i(x, f(x)), $$
//! at most 0 exactly where an input is unsafe (strict constraints aside). Branch and bound keeps
//! $\ell \le f^\ast \le u$: $\ell$ is the least lower bound of what is not settled, $u$ the exact margin of
//! the best point seen. Subproblems with a lower bound above $u - \varepsilon$ need no more work, nor, when
//! only the sign is asked for, those above 0.
//!
//! # Source
//! *E-Globe*, arXiv 2602.05068: outcomes and stopping rules.

use crate::error::VerifyError;
use crate::node::Node;
use crate::report::{Observer, Outcome, Statistics, UnknownReason, Witness};
use crate::search::{Candidate, Referee, Tally};
use crate::settings::Settings;
use crate::verify::run;
use crate::witness::{Judge, Point};
use secateur_nn::graph::Graph;
use secateur_nn::property::Property;
use std::time::Duration;

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Until {
    /// The sign of the margin is known, or the interval is at most ε wide.
    #[default]
    Decided,
    /// The interval is at most ε wide.
    Narrow,
}

/// What is known of the margin's sign.
#[derive(Clone, Debug, PartialEq)]
pub enum Certainty {
    /// It is positive: no input is unsafe.
    Safe,
    /// This input is unsafe.
    Unsafe(Witness),
    /// Unknown, but the interval is at most ε wide.
    EpsilonGlobal,
    /// Unknown, and the interval is wider than ε.
    Unknown(Reason),
}

/// Why an interval stayed wide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The time limit.
    Timeout,
    /// The caller.
    Interrupted,
    /// Subproblems that cannot be refined.
    Unresolved(UnknownReason),
}

/// The bounds at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Since the start.
    pub seconds: f64,
    /// Subproblems bounded.
    pub domains: u64,
    /// $\ell$.
    pub lower: f64,
    /// $u$.
    pub upper: f64,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// The sign.
    pub certainty: Certainty,
    /// $\ell$; $-\infty$ before anything is bounded.
    pub lower: f64,
    /// $u$; $\infty$ before any point is evaluated.
    pub upper: f64,
    /// Where the margin is at most $u$.
    pub incumbent: Option<Point>,
    /// The bounds whenever one of them moved.
    pub history: Vec<Sample>,
    /// Counts.
    pub statistics: Statistics,
}

/// Bounds the property's margin on the network to within `epsilon`.
///
/// # Errors
/// See [`crate::verify()`].
pub fn interval(
    graph: &Graph,
    property: &Property,
    epsilon: f64,
    until: Until,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<Interval, VerifyError> {
    interval_with(graph, property, epsilon, until, settings, observer, None)
}

/// The same, with an explorer that lowers the upper bound.
///
/// # Errors
/// See [`crate::verify()`].
pub fn interval_with(
    graph: &Graph,
    property: &Property,
    epsilon: f64,
    until: Until,
    settings: &Settings,
    observer: &dyn Observer,
    explorer: Option<&mut dyn Explorer>,
) -> Result<Interval, VerifyError> {
    let judge = Judge::new(graph, property, settings.semantics)?;
    let schedule = Schedule { wait: 1, due: UNIT, exploring: false };
    let explorer = explorer.map(|explorer| explorer as &mut dyn Explorer);
    let mut pursuit =
        Pursuit { judge: &judge, epsilon, until, incumbent: None, history: Vec::new(), explorer, schedule };
    let (outcome, statistics) = run(graph, property, settings, observer, &mut pursuit, None)?;
    let Pursuit { incumbent, mut history, .. } = pursuit;
    // A later way of splitting starts over; what an earlier one proved still holds.
    let proved = history.iter().fold(f64::NEG_INFINITY, |most, sample| most.max(sample.lower));
    let (mut lower, mut upper) = (statistics.lower.max(proved), statistics.upper);
    let exhausted = outcome == Outcome::Unsat && until == Until::Decided && upper > epsilon;
    let certainty = match outcome {
        Outcome::Sat(witness) => Certainty::Unsafe(witness),
        // Everything was closed at the goal 0.
        _ if exhausted || lower > 0.0 => Certainty::Safe,
        outcome => {
            let candidate = incumbent.as_ref().filter(|_| upper <= 0.0);
            match candidate.map(|point| judge.confirm_exact(point)).transpose()?.flatten() {
                Some(witness) => Certainty::Unsafe(witness),
                None if upper - lower <= epsilon => Certainty::EpsilonGlobal,
                None => Certainty::Unknown(match outcome {
                    Outcome::Interrupted => Reason::Interrupted,
                    Outcome::Unknown(reason) => Reason::Unresolved(reason),
                    Outcome::Timeout | Outcome::Unsat | Outcome::Sat(_) => Reason::Timeout,
                }),
            }
        }
    };
    if exhausted {
        lower = lower.max(0.0);
    }
    upper = incumbent.as_ref().map_or(upper, |point| point.margin);
    history.push(Sample { seconds: statistics.seconds, domains: statistics.domains, lower, upper });
    Ok(Interval { certainty, lower, upper, incumbent, history, statistics })
}

/// Looks for points of low margin in a subproblem, by any means: what it finds is measured exactly.
pub trait Explorer: Send {
    /// A point of the node's region and its margin in floating point, perhaps below that of `incumbent`, the
    /// best point so far.
    fn explore(&mut self, node: &Node, incumbent: Option<&[f64]>) -> Option<(Vec<f64>, f64)>;

    /// Whether to explore in every round, whatever comes of it.
    fn every_round(&self) -> bool {
        false
    }
}

/// Asks for the interval.
struct Pursuit<'a> {
    judge: &'a Judge<'a>,
    epsilon: f64,
    until: Until,
    incumbent: Option<Point>,
    history: Vec<Sample>,
    explorer: Option<&'a mut dyn Explorer>,
    schedule: Schedule,
}

/// When to explore: after $8192\,\tau$ subproblems; $\tau$ is 1 at first and after a success, and doubles after a
/// failure.
///
/// Subproblems are counted and not rounds, whose sizes differ a thousandfold: so the time that explorations take
/// stays in proportion to that of the bounds, and does not depend on the clock. A nonlinear program takes about as
/// long as bounding 8192 subproblems (784-50-50-10, one thread), and what is decided sooner has no use for one.
struct Schedule {
    /// $\tau$.
    wait: u64,
    /// The number of subproblems at which the next exploration is due.
    due: u64,
    /// Whether the next point seen comes from the explorer.
    exploring: bool,
}

/// The greatest $\tau$.
const LONGEST_WAIT: u64 = 16;

/// Subproblems in the unit of $\tau$.
const UNIT: u64 = 8192;

impl Schedule {
    fn record(&mut self, improved: bool, domains: u64) {
        self.wait = if improved { 1 } else { (2 * self.wait).min(LONGEST_WAIT) };
        self.due = domains + UNIT * self.wait;
    }
}

impl Referee for Pursuit<'_> {
    fn see(&mut self, candidate: &Candidate, tally: &mut Tally) -> Result<Option<Witness>, VerifyError> {
        let before = tally.upper;
        let witness = self.measure(candidate, tally)?;
        if std::mem::take(&mut self.schedule.exploring) {
            self.schedule.record(tally.upper < before, tally.domains);
        }
        Ok(witness)
    }

    fn enough(&self) -> f64 {
        match self.until {
            Until::Decided => 0.0,
            Until::Narrow => f64::NEG_INFINITY,
        }
    }

    fn curious(&self, domains: u64) -> bool {
        self.explorer.as_ref().is_some_and(|e| domains >= self.schedule.due || e.every_round())
    }

    fn explore(&mut self, node: &Node, incumbent: Option<&Candidate>, domains: u64) -> Option<Candidate> {
        let incumbent = incumbent.filter(|best| best.region == node.region).map(|best| best.input.as_slice());
        let found = self.explorer.as_mut()?.explore(node, incumbent);
        self.schedule.exploring = found.is_some();
        if found.is_none() {
            self.schedule.record(false, domains);
        }
        found.map(|(input, margin)| Candidate { region: node.region, input, margin })
    }

    fn goal(&self, tally: &Tally) -> f64 {
        let near = (tally.upper - self.epsilon).next_up();
        match self.until {
            _ if !near.is_finite() => 0.0,
            Until::Decided => near.min(0.0),
            Until::Narrow => near,
        }
    }

    fn watch(&mut self, tally: &Tally, elapsed: Duration) {
        let (lower, upper) = (tally.least(), tally.upper);
        if self.history.last().is_none_or(|last| lower > last.lower || upper < last.upper) {
            let lower = self.history.last().map_or(lower, |last| lower.max(last.lower));
            self.history.push(Sample { seconds: elapsed.as_secs_f64(), domains: tally.domains, lower, upper });
        }
    }
}

impl Pursuit<'_> {
    fn measure(&mut self, candidate: &Candidate, tally: &mut Tally) -> Result<Option<Witness>, VerifyError> {
        if candidate.margin >= tally.upper {
            return Ok(None);
        }
        let Some(point) = self.judge.measure(candidate.region, &candidate.input)? else { return Ok(None) };
        if point.margin >= tally.upper {
            return Ok(None);
        }
        tally.upper = point.margin;
        let decides = self.until == Until::Decided && point.margin <= 0.0;
        let witness = if decides { self.judge.confirm_exact(&point)? } else { None };
        self.incumbent = Some(point);
        Ok(witness)
    }
}
