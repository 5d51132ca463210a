//! Branch and bound: the loop that every kind of splitting shares.
//!
//! A round takes the open subproblems with the least lower bounds (where counterexamples are), or,
//! when very many are open, the youngest, so that memory stays bounded. It bounds them in parallel
//! chunks whose sizes do not depend on the number of threads, and takes the results up in order: the
//! same question has the same answer, the same counts and the same witness on any number of threads.

use crate::error::VerifyError;
use crate::lemma::Lemma;
use crate::node::Node;
use crate::proof::Scribe;
use crate::report::{Observer, Outcome, Progress, UnknownReason, Witness};
use rayon::prelude::*;
use secateur_check::proof::format::{self, Record};
use std::time::{Duration, Instant};

/// Chunks taken up in one round, at most.
const ROUND: usize = 16;

/// With open subproblems of more bytes than this, the youngest come first.
const CROWD: usize = 256 << 20;

/// A way to split a problem.
pub trait Splitting: Sync {
    /// A subproblem.
    type Domain: Send + Sync;

    /// Subproblems that are bounded together.
    fn chunk(&self) -> usize;

    /// Memory of an open subproblem, about.
    fn bytes(&self) -> usize;

    /// Bounds subproblems; answers in their order. One whose margin exceeds the goal everywhere is closed.
    fn process(&self, batch: Vec<Self::Domain>, hint: &Hint<'_>) -> Vec<Step<Self::Domain>>;

    /// Takes up what a round's subproblems taught, in their order.
    fn learn(&self, _learned: Vec<Learned>) {}

    /// Describes a subproblem to an explorer.
    fn node(&self, domain: &Self::Domain) -> Node;
}

/// What a round hands to the bounding of its subproblems.
#[derive(Clone, Copy, Debug)]
pub struct Hint<'a> {
    /// Where the margin exceeds this, nothing needs to be known of it.
    pub goal: f64,
    /// The best point seen.
    pub incumbent: Option<&'a Candidate>,
    /// Rounds since the upper bound last moved.
    pub stale: u32,
}

/// What a search is for.
pub trait Referee {
    /// Takes up a point, and lowers the tally's upper bound to what it is worth; a witness ends the search.
    ///
    /// # Errors
    /// The point cannot be evaluated.
    fn see(&mut self, candidate: &Candidate, tally: &mut Tally) -> Result<Option<Witness>, VerifyError>;

    /// Where the margin exceeds this, nothing needs to be known of it. Never rises.
    fn goal(&self, tally: &Tally) -> f64;

    /// A margin below this ends the search.
    fn enough(&self) -> f64 {
        0.0
    }

    /// Whether to look for a good point in the most promising subproblem of this round, after so many subproblems.
    fn curious(&self, _domains: u64) -> bool {
        false
    }

    /// Looks for one.
    fn explore(&mut self, _node: &Node, _incumbent: Option<&Candidate>, _domains: u64) -> Option<Candidate> {
        None
    }

    /// Looks at the bounds after a round.
    fn watch(&mut self, _tally: &Tally, _elapsed: Duration) {}
}

/// A point that may be a counterexample.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The region of the specification that it lies in.
    pub region: usize,
    /// The point.
    pub input: Vec<f64>,
    /// Its margin, in floating point.
    pub margin: f64,
}

/// What bounding a subproblem led to.
#[derive(Clone, Debug)]
pub struct Step<D> {
    /// The best point seen.
    pub candidate: Option<Candidate>,
    /// A lower bound of the margin on the subproblem, but for what its lesson excludes.
    pub lower: f64,
    /// How it goes on.
    pub next: Next<D>,
    /// What proves it, where the splitting was asked to keep that; the search fills in the number of the part.
    pub evidence: Option<Box<format::Step>>,
    /// What lemmas say of it, and what it teaches.
    pub lesson: Lesson,
}

impl<D> Step<D> {
    /// Nothing is known but how it goes on.
    pub fn new(next: Next<D>) -> Self {
        Self { candidate: None, lower: f64::NEG_INFINITY, next, evidence: None, lesson: Lesson::default() }
    }
}

/// What passes between a subproblem and lemmas.
#[derive(Clone, Debug, Default)]
pub struct Lesson {
    /// Signs that follow from its own: on the part with the other sign the margin exceeds the goal, as this proves, where proofs
    /// are kept. All else that is said of the subproblem is about the rest.
    pub implied: Vec<(format::Split, Option<format::Step>)>,
    /// What came of trying to learn from it, if that was tried.
    pub learned: Option<Learned>,
}

/// What a subproblem taught that was closed at a goal.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The goal.
    pub goal: f64,
    /// The lemma, if there is one.
    pub lemma: Option<Lemma>,
}

/// Takes up the proof of a search, record by record.
pub trait Tracer: Send {
    /// The next record.
    fn record(&mut self, record: &Record);

    /// The place behind the last record.
    fn mark(&mut self) -> u64;

    /// Forgets the records behind a place.
    fn rewind(&mut self, place: u64);
}

/// How a subproblem goes on.
#[derive(Clone, Debug)]
pub enum Next<D> {
    /// It holds no counterexample.
    Closed,
    /// It is covered by these.
    Split(Vec<D>),
    /// It is covered by these but for points where the margin exceeds the goal.
    Cut(Vec<D>),
    /// It can be neither closed nor split.
    Stuck,
    /// The same, unless a point of this round lowers the upper bound, and with it the goal.
    Again(D),
}

/// Time and the wish to stop.
#[derive(Clone, Copy)]
pub struct Clock<'a> {
    start: Instant,
    limit: Option<Duration>,
    observer: &'a dyn Observer,
}

impl<'a> Clock<'a> {
    /// Starts now.
    pub fn start(limit: Option<Duration>, observer: &'a dyn Observer) -> Self {
        Self { start: Instant::now(), limit, observer }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// How the search has to end now, if it has to.
    pub fn stopped(&self) -> Option<Outcome> {
        if self.observer.stop() {
            return Some(Outcome::Interrupted);
        }
        self.limit.is_some_and(|limit| self.elapsed() >= limit).then_some(Outcome::Timeout)
    }

    /// Tells the observer.
    pub fn report(&self, phase: &'static str, tally: &Tally, open: usize, lower: f64) {
        let (domains, upper, elapsed) = (tally.domains, tally.upper, self.elapsed());
        self.observer.progress(&Progress { phase, domains, open, lower, upper, elapsed });
    }
}

/// What has been counted so far.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Subproblems taken up.
    pub domains: u64,
    /// Subproblems given up.
    pub stuck: u64,
    /// Least margin seen at a point.
    pub upper: f64,
    /// Least lower bound of the margin over the part that is searched: open, closed or given up.
    pub lower: f64,
    /// Least lower bound over all other parts.
    pub elsewhere: f64,
    /// The point with the least margin in floating point.
    pub incumbent: Option<Candidate>,
}

impl Default for Tally {
    fn default() -> Self {
        let (upper, lower, elsewhere) = (f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY);
        Self { domains: 0, stuck: 0, upper, lower, elsewhere, incumbent: None }
    }
}

impl Tally {
    /// Least lower bound of the margin, of all parts.
    pub fn least(&self) -> f64 {
        self.lower.min(self.elsewhere)
    }

    /// Shows a point to the referee; a witness ends the search.
    ///
    /// # Errors
    /// Those of the referee.
    pub fn show(
        &mut self,
        candidate: Candidate,
        referee: &mut (dyn Referee + Send),
    ) -> Result<Option<Witness>, VerifyError> {
        let witness = referee.see(&candidate, self)?;
        let better = |best: &Candidate| candidate.margin < best.margin;
        if !candidate.margin.is_nan() && self.incumbent.as_ref().is_none_or(better) {
            self.incumbent = Some(candidate);
        }
        Ok(witness)
    }
}

/// Searches the problem that `roots` cover until its margin is known to exceed the referee's goal, or gives
/// up (`None`) after `most` subproblems. The trace numbers the parts; it gets those of the roots.
///
/// # Errors
/// Those of the referee.
pub fn search<S: Splitting>(
    splitting: &S,
    roots: Vec<S::Domain>,
    tally: &mut Tally,
    clock: &Clock<'_>,
    most: Option<u64>,
    referee: &mut (dyn Referee + Send),
    mut trace: Option<(&mut Scribe<'_>, &[u64])>,
) -> Result<Option<Outcome>, VerifyError> {
    let start = tally.domains;
    tally.lower = f64::NEG_INFINITY;
    let mut settled = f64::INFINITY;
    let mut stale = 0;
    let parts = trace.as_ref().map_or(&[][..], |(_, parts)| parts).iter().copied().chain(std::iter::repeat(0));
    let root = |(domain, id)| Open { lower: f64::NEG_INFINITY, rank: 0, id, domain };
    let mut open: Vec<Open<S::Domain>> = roots.into_iter().zip(parts).map(root).collect();
    while !open.is_empty() {
        if let Some(outcome) = clock.stopped() {
            return Ok(Some(outcome));
        }
        if most.is_some_and(|most| tally.domains - start >= most) {
            return Ok(None);
        }
        let (goal, upper) = (referee.goal(tally), tally.upper);
        let batch = next_batch(&mut open, ROUND * splitting.chunk(), CROWD / splitting.bytes().max(1));
        let domains = tally.domains;
        tally.domains += batch.len() as u64;
        let parents: Vec<(f64, u64)> = batch.iter().map(|open| (open.lower, open.id)).collect();
        let best = batch.iter().min_by(|a, b| a.lower.total_cmp(&b.lower));
        let node = best.filter(|_| referee.curious(domains)).map(|open| splitting.node(&open.domain));
        let batch = batch.into_iter().map(|open| open.domain).collect();
        let hint = Hint { goal, incumbent: tally.incumbent.as_ref(), stale };
        let (steps, found) = rayon::join(
            || bound_in_chunks(splitting, batch, &hint, clock),
            || node.and_then(|node| referee.explore(&node, hint.incumbent, domains)),
        );
        if let Some(candidate) = found
            && let Some(witness) = tally.show(candidate, referee)?
        {
            return Ok(Some(Outcome::Sat(witness)));
        }
        let Some(steps) = steps else { return Ok(Some(clock.stopped().unwrap_or(Outcome::Timeout))) };
        let mut again = Vec::new();
        let mut lessons = Vec::new();
        for (step, (parent, mut id)) in steps.into_iter().zip(parents) {
            let lower = step.lower.max(parent);
            let Lesson { implied, learned } = step.lesson;
            lessons.extend(learned);
            if !implied.is_empty() {
                settled = settled.min(parent.max(goal));
            }
            for (split, closed) in implied {
                if let (Some((scribe, _)), Some(closed)) = (&mut trace, closed) {
                    scribe.step(id, format::Step::new(format::Next::Relu(split)));
                    let other;
                    (id, other) = (scribe.number(), scribe.number());
                    scribe.step(other, closed);
                }
            }
            if let (Some((scribe, _)), Some(step)) = (&mut trace, step.evidence) {
                scribe.step(id, *step);
            }
            let mut child = |(rank, domain)| {
                let id = trace.as_mut().map_or(0, |(scribe, _)| scribe.number());
                Open { lower, rank, id, domain }
            };
            if let Some(candidate) = step.candidate
                && let Some(witness) = tally.show(candidate, referee)?
            {
                return Ok(Some(Outcome::Sat(witness)));
            }
            match step.next {
                Next::Closed => settled = settled.min(lower.max(goal)),
                Next::Split(children) => open.extend((0..).zip(children).map(&mut child)),
                Next::Cut(children) => {
                    settled = settled.min(lower.max(goal));
                    open.extend((0..).zip(children).map(&mut child));
                }
                Next::Again(domain) => again.push(Open { lower, rank: 0, id, domain }),
                Next::Stuck => {
                    settled = settled.min(lower);
                    tally.stuck += 1;
                }
            }
        }
        splitting.learn(lessons);
        stale = if tally.upper < upper { 0 } else { stale + 1 };
        if referee.goal(tally) < goal {
            open.append(&mut again);
        }
        tally.stuck += again.len() as u64;
        settled = again.iter().fold(settled, |least, open| least.min(open.lower));
        tally.lower = open.iter().fold(settled, |least, open| least.min(open.lower));
        clock.report("search", tally, open.len(), tally.least());
        referee.watch(tally, clock.elapsed());
    }
    match tally.stuck {
        0 => Ok(Some(Outcome::Unsat)),
        leaves => Ok(Some(Outcome::Unknown(UnknownReason::Unresolved { leaves }))),
    }
}

/// An open subproblem.
struct Open<D> {
    /// The lower bound of what it was split from.
    lower: f64,
    /// Its place among its siblings; the first is taken up first.
    rank: u32,
    /// Its number in the proof, if there is one.
    id: u64,
    domain: D,
}

/// Removes the subproblems of the next round.
fn next_batch<D>(open: &mut Vec<Open<D>>, size: usize, crowd: usize) -> Vec<Open<D>> {
    let rest = open.len().saturating_sub(size);
    if rest > 0 && open.len() <= crowd {
        open.select_nth_unstable_by(rest, |a, b| b.lower.total_cmp(&a.lower).then(b.rank.cmp(&a.rank)));
    }
    open.split_off(rest)
}

/// Bounds a round's subproblems; `None` when time ran out on the way, and then some of them are lost.
fn bound_in_chunks<S: Splitting>(
    splitting: &S,
    batch: Vec<S::Domain>,
    hint: &Hint<'_>,
    clock: &Clock<'_>,
) -> Option<Vec<Step<S::Domain>>> {
    let size = splitting.chunk().min(batch.len().div_ceil(4)).max(1);
    let mut chunks: Vec<Vec<S::Domain>> = Vec::with_capacity(batch.len().div_ceil(size));
    for (i, domain) in batch.into_iter().enumerate() {
        if i % size == 0 {
            chunks.push(Vec::with_capacity(size));
        }
        chunks.last_mut().expect("just pushed").push(domain);
    }
    let bound = |chunk| clock.stopped().is_none().then(|| splitting.process(chunk, hint));
    let steps: Option<Vec<Vec<Step<S::Domain>>>> = chunks.into_par_iter().map(bound).collect();
    steps.map(|steps| steps.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Silent;

    /// A problem of which a lemma excludes a half, and whose other half has great margins.
    struct Excluding;

    impl Splitting for Excluding {
        type Domain = ();

        fn chunk(&self) -> usize {
            1
        }

        fn bytes(&self) -> usize {
            0
        }

        fn process(&self, batch: Vec<()>, _: &Hint<'_>) -> Vec<Step<()>> {
            let sign = format::Split { layer: 0, neuron: 0, active: true };
            let lesson = Lesson { implied: vec![(sign, None)], learned: None };
            batch.iter().map(|()| Step { lower: 5.0, lesson: lesson.clone(), ..Step::new(Next::Closed) }).collect()
        }

        fn node(&self, (): &()) -> Node {
            unreachable!("nobody explores")
        }
    }

    struct Goal(f64);

    impl Referee for Goal {
        fn see(&mut self, _: &Candidate, _: &mut Tally) -> Result<Option<Witness>, VerifyError> {
            Ok(None)
        }

        fn goal(&self, _: &Tally) -> f64 {
            self.0
        }
    }

    #[test]
    fn what_a_lemma_excludes_has_a_margin_above_the_goal_and_no_more() {
        let (clock, mut tally) = (Clock::start(None, &Silent), Tally::default());
        let found = search(&Excluding, vec![()], &mut tally, &clock, None, &mut Goal(-0.25), None);
        assert_eq!(found.expect("no errors"), Some(Outcome::Unsat));
        assert_eq!(tally.lower, -0.25);
    }
}
