//! Lemmas: signs that no counterexample has together, learned from closed subproblems.
//!
//! A subproblem with the signs $S$ of some ReLU inputs is closed by slopes and multipliers. Often most of $S$ has no part in it:
//! the same slopes and multipliers close every subproblem with the signs $C \subset S$, the *lemma*. So
//! - a subproblem that has all signs of a lemma is closed;
//! - in a subproblem that has all of them but one, that one has the other sign, without a split.
//!
//! Which signs to leave out: those with multiplier 0, first those whose chord costs the bound least,
//! $\max(-A, 0)\, \frac{-l u}{u - l}$; how many, by bisection. The bound of what is left is computed, not estimated.
//!
//! # Soundness
//! The intermediate bounds are those of the root, so a bound with the signs $C$ holds wherever they do. Nothing is learned where
//! subproblems narrow ranges of their own.
//!
//! # Source
//! Zhou et al., *Scalable neural network verification with branch-and-bound inferred cutting planes*, 2024, who add lemmas as
//! cutting planes; propagation is that of satisfiability solvers.

use crate::alpha::{Optimised, Split};
use crate::branching::{gap, multipliers, rows};
use crate::crown::{Multipliers, back_substitute};
use crate::proof::{self, Names};
use crate::relu_split::{ReluDomain, ReluSplitting};
use crate::search::{Learned, Lesson, Next, Step};
use secateur_check::proof::format;
use secateur_linalg::Scalar;
use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;

/// Signs that no counterexample has together.
#[derive(Clone, Debug, PartialEq)]
pub struct Lemma {
    signs: Vec<Split>,
    /// The row that shows it, with the multipliers of the signs in their order; kept for the proof.
    row: Option<format::Row>,
}

/// Signs of a lemma, at most: longer ones hardly ever apply.
const LONGEST: usize = 24;

/// Lemmas, at most.
const MOST: usize = 1 << 14;

/// Subproblems that are tried to learn from in any case; and of how many more one has to have led to a lemma, for others to be
/// tried.
const PATIENCE: (u64, u64) = (2048, 64);

/// Bisections of how many signs to leave out.
const BISECTIONS: usize = 4;

/// What a search has learned.
#[derive(Debug)]
pub struct Lemmas {
    list: Vec<Lemma>,
    /// Their signs.
    known: HashSet<Vec<Split>>,
    /// The lemmas that have a sign, ascending.
    having: HashMap<Split, Vec<u32>>,
    /// Subproblems that were tried to learn from.
    tried: u64,
    /// The least goal at which one was learned: above it they show nothing.
    goal: f64,
}

impl Default for Lemmas {
    fn default() -> Self {
        Self { list: Vec::new(), known: HashSet::new(), having: HashMap::new(), tried: 0, goal: f64::INFINITY }
    }
}

/// What lemmas say of a subproblem.
#[derive(Debug, Default, PartialEq)]
pub struct Consequences {
    /// Signs that it has besides its own, each with the lemma that says so, in their order.
    pub implied: Vec<(Split, u32)>,
    /// The lemma that closes it, if there is one.
    pub closing: Option<u32>,
}

/// How much of a lemma a subproblem has.
enum Missing {
    Nothing,
    One(Split),
    More,
}

impl Lemmas {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether trying to learn more is worth its time.
    pub fn is_worth_trying(&self) -> bool {
        let (least, share) = PATIENCE;
        self.len() < MOST && self.tried <= least + share * self.len() as u64
    }

    /// Takes up what came of trying to learn from a subproblem.
    pub fn learn(&mut self, Learned { goal, lemma }: Learned) {
        self.tried += 1;
        if let Some(lemma) = lemma.filter(|lemma| self.list.len() < MOST && self.known.insert(lemma.signs.clone())) {
            self.goal = self.goal.min(goal);
            let number = self.list.len() as u32;
            lemma.signs.iter().for_each(|sign| self.having.entry(*sign).or_default().push(number));
            self.list.push(lemma);
        }
    }

    /// Adds to the signs of a subproblem what follows from them, if nothing needs to be known where the margin exceeds this
    /// goal. Of the signs the last `fresh` are new since `seen` lemmas were applied to the others.
    pub fn apply(&self, signs: &mut Vec<Split>, (fresh, seen): (usize, usize), goal: f64) -> Consequences {
        let mut found = Consequences::default();
        if goal > self.goal {
            return found;
        }
        let mut set: HashSet<Split> = signs.iter().copied().collect();
        let mut next = signs.len().saturating_sub(fresh);
        let mut conclude = |number: u32, signs: &mut Vec<Split>| match self.missing(number, &set) {
            Missing::Nothing => {
                found.closing = Some(number);
                false
            }
            Missing::One(sign) => {
                let other = Split { active: !sign.active, ..sign };
                if set.insert(other) {
                    signs.push(other);
                    found.implied.push((other, number));
                }
                true
            }
            Missing::More => true,
        };
        let mut goes_on = (seen as u32..self.list.len() as u32).all(|number| conclude(number, signs));
        while goes_on && next < signs.len() {
            let sign = signs[next];
            next += 1;
            goes_on = self.having.get(&sign).into_iter().flatten().all(|number| conclude(*number, signs));
        }
        found
    }

    fn missing(&self, number: u32, set: &HashSet<Split>) -> Missing {
        let mut missing = self.list[number as usize].signs.iter().filter(|sign| !set.contains(sign));
        match (missing.next(), missing.next()) {
            (None, _) => Missing::Nothing,
            (Some(sign), None) => Missing::One(*sign),
            (Some(_), Some(_)) => Missing::More,
        }
    }

    /// The proof that a lemma closes a subproblem with these signs.
    pub fn closing(&self, number: u32, disjunct: u32, signs: &[Split]) -> format::Step {
        let lemma = &self.list[number as usize];
        let place = |sign: &Split| lemma.signs.iter().position(|of| of == sign);
        let mut row = lemma.row.clone().unwrap_or_default();
        row.slopes.beta = signs.iter().filter_map(place).map(|at| row.slopes.beta[at]).collect();
        let without = (0..).zip(signs).filter(|(_, sign)| place(sign).is_none()).map(|(at, _)| at).collect();
        let refuted = vec![format::Claim { disjunct, rows: vec![row] }];
        format::Step { refuted, without, ..format::Step::new(format::Next::Closed) }
    }
}

/// A closed subproblem, on the way to a lemma.
struct Closed {
    /// Its row.
    row: usize,
    /// Signs with multipliers.
    kept: Vec<Split>,
    /// The others, those first that cost the bound least.
    others: Vec<Split>,
    /// How many of these can be left out, and how many cannot.
    between: (usize, usize),
}

impl Closed {
    fn without(&self, others: usize) -> Vec<Split> {
        self.kept.iter().chain(&self.others[others..]).copied().collect()
    }
}

fn ordered(mut signs: Vec<Split>) -> Vec<Split> {
    signs.sort_by_key(|sign| (sign.layer, sign.neuron));
    signs
}

/// Tries to learn from subproblems of a batch that `found` closes, each by its strongest row alone; answers in their order.
fn learn<T: Scalar>(
    problem: &ReluSplitting<'_, T>,
    found: &Optimised<T>,
    subproblems: &[(usize, &[Split])],
    goal: T,
    names: &Names,
) -> Vec<Option<Lemma>> {
    if subproblems.is_empty() {
        return Vec::new();
    }
    let (network, root) = (problem.network, problem.root);
    let (sources, set) = (network.sources(), problem.region.set());
    let of: Vec<usize> = subproblems.iter().map(|(d, _)| problem.strongest(*d, found)).collect();
    let (alpha, beta) = multipliers(problem, found, &of);
    let domains: Vec<u32> = (0..of.len() as u32).collect();
    let bound = |signs: &[Vec<Split>], keep: bool| {
        let picks: Vec<(usize, &[Split])> = signs.iter().map(|signs| (0, signs.as_slice())).collect();
        let bounds = root.bounds.gather(network, &picks);
        let multipliers = Multipliers { alpha: &alpha, beta: &beta };
        let rows = rows(problem, &domains, &of);
        let found = back_substitute(network, &root.magnitudes, &bounds.lines, rows, multipliers, keep);
        (bounds, found)
    };
    let mut parts: Vec<Closed> = Vec::with_capacity(of.len());
    let whole: Vec<Vec<Split>> = subproblems.iter().map(|(_, signs)| signs.to_vec()).collect();
    let (_, traced) = bound(&whole, true);
    for (i, (row, signs)) in of.iter().zip(&whole).enumerate() {
        let used = |sign: &Split| found.slopes.multiplier(*row, sign) != T::ZERO;
        let cost = |sign: &Split| {
            let (k, j) = (sign.layer as usize, sign.neuron as usize);
            let a = traced.tape[k].get(i * network.layers[k].size + j).map_or(0.0, |a| a.to_f64());
            let of = |side: &[Vec<T>]| side[sources[k]][j].to_f64();
            (-a).max(0.0) * gap(of(&root.bounds.lower), of(&root.bounds.upper))
        };
        let (kept, others): (Vec<Split>, Vec<Split>) = signs.iter().partition(|sign| used(sign));
        let mut costs: Vec<(f64, Split)> = others.iter().map(|sign| (cost(sign), *sign)).collect();
        costs.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let others: Vec<Split> = costs.into_iter().map(|(_, sign)| sign).collect();
        let between = (0, others.len() + 1);
        parts.push(Closed { row: *row, kept, others, between });
    }
    let objective = |part: &Closed| &problem.objectives[part.row % problem.objectives.len()];
    for turn in 0..BISECTIONS {
        let middle = |part: &Closed| match turn {
            0 => part.others.len(),
            _ => part.between.0.midpoint(part.between.1),
        };
        let tried: Vec<usize> = parts.iter().map(middle).collect();
        let signs: Vec<Vec<Split>> = parts.iter().zip(&tried).map(|(part, count)| part.without(*count)).collect();
        let (_, rows) = bound(&signs, false);
        for (i, (part, count)) in parts.iter_mut().zip(tried).enumerate() {
            if objective(part).refuted_by(rows.minimum(i, set), goal) {
                part.between.0 = part.between.0.max(count);
            } else {
                part.between.1 = part.between.1.min(count);
            }
        }
    }
    let signs: Vec<Vec<Split>> = parts.iter().map(|part| part.without(part.between.0)).map(ordered).collect();
    let shown = problem.trace.then(|| bound(&signs, false).0);
    let lemma = |(i, (part, signs)): (usize, (&Closed, Vec<Split>))| {
        if part.between.0 == 0 || signs.len() > LONGEST {
            return None;
        }
        let row = shown.as_ref().map(|bounds| {
            let beta = |sign: &Split| found.slopes.multiplier(part.row, sign).to_f64();
            let slopes = proof::slopes(network, bounds, i, &found.slopes, part.row, names);
            let slopes = slopes.with(signs.iter().map(beta).collect());
            format::Row { objective: (part.row % problem.objectives.len()) as u32, weight: 1, slopes }
        });
        Some(Lemma { signs, row })
    };
    parts.iter().zip(signs).enumerate().map(lemma).collect()
}

impl<T: Scalar> ReluSplitting<'_, T> {
    /// Whether lemmas are learned: not where subproblems narrow ranges of their own.
    pub(crate) fn learns(&self) -> bool {
        self.params.learns && self.exact.is_empty()
    }

    /// Adds the signs that follow to a subproblem that lemmas leave open, or closes it.
    pub(crate) fn apply_lemmas(
        &self,
        mut node: ReluDomain<T>,
        goal: f64,
        names: &Names,
        open: &mut Vec<ReluDomain<T>>,
    ) -> (Lesson, Option<Step<ReluDomain<T>>>) {
        let lemmas = self.lemmas.read().unwrap_or_else(PoisonError::into_inner);
        let known = node.splits.len();
        let found = lemmas.apply(&mut node.splits, node.unlearned, goal);
        node.unlearned = (0, lemmas.len());
        let disjunct = self.disjunct as u32;
        let mut lesson = Lesson::default();
        for (place, (sign, lemma)) in found.implied.iter().enumerate() {
            let closed = || {
                let mut signs = node.splits[..known + place].to_vec();
                signs.push(Split { active: !sign.active, ..*sign });
                lemmas.closing(*lemma, disjunct, &signs)
            };
            lesson.implied.push((names.split(sign), self.trace.then(closed)));
        }
        let closed = found.closing.map(|lemma| {
            let evidence = self.trace.then(|| Box::new(lemmas.closing(lemma, disjunct, &node.splits)));
            Step { evidence, ..Step::new(Next::Closed) }
        });
        if closed.is_none() {
            open.push(node);
        }
        (lesson, closed)
    }

    /// What closed subproblems teach: for each that is, in their order.
    pub(crate) fn lessons(
        &self,
        splits: &[&[Split]],
        found: &Optimised<T>,
        goal: f64,
        refuted: impl Fn(usize) -> bool,
        names: &Names,
    ) -> Vec<Option<Learned>> {
        let closed: Vec<usize> = (0..splits.len()).filter(|d| refuted(*d)).collect();
        let worth = || self.lemmas.read().unwrap_or_else(PoisonError::into_inner).is_worth_trying();
        let mut lessons = vec![None; closed.len()];
        let limit = T::round_up(goal);
        if !self.learns() || closed.is_empty() || !worth() {
            return lessons;
        }
        let alone = |d: usize| {
            let strongest = self.strongest(d, found);
            self.objectives[strongest % self.objectives.len()].refuted_by(found.minimum[strongest], limit)
        };
        let places: Vec<usize> =
            (0..closed.len()).filter(|i| splits[closed[*i]].len() > 1 && alone(closed[*i])).collect();
        let subproblems: Vec<(usize, &[Split])> = places.iter().map(|i| (closed[*i], splits[closed[*i]])).collect();
        let learned = learn(self, found, &subproblems, limit, names);
        places.into_iter().zip(learned).for_each(|(i, lemma)| lessons[i] = Some(Learned { goal, lemma }));
        lessons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(neuron: u32, active: bool) -> Split {
        Split { layer: 1, neuron, active }
    }

    fn learned(lemma: Option<Lemma>) -> Learned {
        Learned { goal: 0.0, lemma }
    }

    fn lemmas(list: &[&[(u32, bool)]]) -> Lemmas {
        let mut lemmas = Lemmas::default();
        for signs in list {
            let signs = signs.iter().map(|(j, active)| sign(*j, *active)).collect();
            lemmas.learn(learned(Some(Lemma { signs, row: None })));
        }
        lemmas
    }

    #[test]
    fn what_follows_is_found_in_any_order() {
        let list = lemmas(&[&[(0, true), (1, true)], &[(1, false), (2, true), (0, true)], &[(2, false), (3, false)]]);
        let mut signs = vec![sign(0, true)];
        let found = list.apply(&mut signs, (1, 0), 0.0);
        assert_eq!(found.closing, None);
        assert_eq!(signs, [sign(0, true), sign(1, false), sign(2, false), sign(3, true)]);
        let lemmas: Vec<u32> = found.implied.iter().map(|(_, lemma)| *lemma).collect();
        assert_eq!(lemmas, [0, 1, 2]);
        let mut signs = vec![sign(3, false), sign(0, true)];
        assert!(list.apply(&mut signs, (2, 0), 0.0).closing.is_some());
    }

    #[test]
    fn only_new_signs_and_new_lemmas_are_looked_at() {
        let list = lemmas(&[&[(0, true), (1, true)], &[(2, true), (3, true)]]);
        let mut signs = vec![sign(0, true), sign(2, true)];
        let found = list.apply(&mut signs, (1, 2), 0.0);
        assert_eq!(found.implied, [(sign(3, false), 1)], "the first sign is not new");
        let mut signs = vec![sign(0, true)];
        assert_eq!(list.apply(&mut signs, (0, 0), 0.0).implied, [(sign(1, false), 0)], "the lemmas are new");
        assert_eq!(list.apply(&mut vec![sign(5, true)], (1, 0), 0.0), Consequences::default());
    }

    #[test]
    fn above_its_goal_a_lemma_shows_nothing() {
        let list = lemmas(&[&[(0, true), (1, true)]]);
        let mut signs = vec![sign(0, true), sign(1, true)];
        assert_eq!(list.apply(&mut signs, (2, 0), 0.25), Consequences::default());
        assert_eq!(list.apply(&mut signs, (2, 0), -0.25).closing, Some(0));
    }

    #[test]
    fn trying_ends_where_nothing_comes_of_it() {
        let mut list = Lemmas::default();
        (0..=PATIENCE.0).for_each(|_| list.learn(learned(None)));
        assert!(!list.is_worth_trying());
        list.learn(learned(Some(Lemma { signs: vec![sign(0, true)], row: None })));
        assert!(list.is_worth_trying());
    }
}
