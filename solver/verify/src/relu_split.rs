//! Splitting ReLUs: for networks with many inputs.
//!
//! One region and one disjunct at a time. Intermediate bounds are those of the root; a subproblem
//! adds the signs of some ReLU inputs, which fix their lines and enter the bound through $\beta$.
//! For a batch of subproblems: raise the objectives' bounds by the ascent on $\alpha$ and $\beta$,
//! starting from the parent's; try the minimisers as counterexamples; pick the next ReLU
//! ([`crate::branching`]); where none is left, solve the linear program of the leaf. What closed
//! subproblems teach is applied to those that follow ([`crate::lemma`]).

use crate::alpha::{self, Optimised, Slopes, Split};
use crate::attack;
use crate::bounds::{self, Bounds, Boxes, Preactivations};
use crate::branching::{self, Choice};
use crate::halfspace::{Exact, HalfSpace};
use crate::leaf::{self, Leaf};
use crate::lemma::Lemmas;
use crate::network::{Function, Network};
use crate::node::{Node, RootBox, wide};
use crate::proof::{self, Names};
use crate::reduce::Origin;
use crate::rounding::Magnitudes;
use crate::search::{Candidate, Hint, Learned, Lesson, Next, Splitting, Step};
use crate::settings::Branching;
use crate::specification::{self, Objective, Region};
use secateur_check::proof::format::{self, Claim, Row};
use secateur_linalg::Scalar;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// A subproblem: the root box with the signs of some ReLU inputs.
#[derive(Clone, Debug)]
pub struct ReluDomain<T> {
    /// The signs, in the order they were chosen or followed.
    pub splits: Vec<Split>,
    /// How many of them are new, and how many lemmas were applied to the others.
    pub(crate) unlearned: (usize, usize),
    /// The parent's slopes for each objective's row, on the open neurons of the root, one after the
    /// other; and its multipliers, one per objective and split of the parent.
    parent: Option<Arc<Multipliers<T>>>,
    /// The parent's intervals of each exact layer, and the half-space that its objective's bound leaves.
    narrowed: Option<Arc<Narrowed<T>>>,
}

#[derive(Clone, Debug)]
struct Multipliers<T> {
    alpha: Vec<T>,
    beta: Vec<T>,
}

#[derive(Clone, Debug)]
struct Narrowed<T> {
    intervals: Vec<(Vec<T>, Vec<T>)>,
    objective: HalfSpace,
}

/// Bounds of a region's root.
pub struct Root<T> {
    /// Bounds of every layer, batch size 1.
    pub bounds: Bounds<T>,
    /// Magnitudes for all its subproblems.
    pub magnitudes: Magnitudes<T>,
    /// Open ReLUs: (activation layer, neuron).
    pub open: Vec<(u32, u32)>,
    /// What proofs call its layers and entries.
    names: Names,
    /// The network that this is a reduction of, if it is one.
    whole: Option<Whole<T>>,
    /// What an explorer sees of it, made when first asked for.
    shown: OnceLock<Arc<RootBox>>,
}

/// What subproblems of a reduced network are shown as.
struct Whole<T> {
    origin: Origin,
    /// Bounds of the whole network on the region.
    bounds: Preactivations<T>,
}

impl<T: Scalar> Root<T> {
    /// The root of a reduction of a network with these bounds.
    pub fn reduced(
        network: &Network<T>,
        bounds: Bounds<T>,
        magnitudes: Magnitudes<T>,
        origin: Origin,
        (whole, known): (&Network<T>, &Bounds<T>),
    ) -> Self {
        let names = origin.names(&Names::new(whole));
        let whole = Whole { origin, bounds: known.preactivations(whole, 0) };
        Self { names, whole: Some(whole), ..Self::new(network, bounds, magnitudes) }
    }

    /// Collects the open ReLUs of the root's bounds.
    pub fn new(network: &Network<T>, bounds: Bounds<T>, magnitudes: Magnitudes<T>) -> Self {
        let mut open = Vec::new();
        for (k, source, function) in network.activations() {
            if function == Function::Relu {
                let (l, u) = (&bounds.lower[source], &bounds.upper[source]);
                open.extend((0..l.len()).filter(|j| l[*j] < T::ZERO && u[*j] > T::ZERO).map(|j| (k as u32, j as u32)));
            }
        }
        Self { bounds, magnitudes, open, names: Names::new(network), whole: None, shown: OnceLock::new() }
    }
}

impl<T: Scalar> Root<T> {
    /// The sum of the gaps of the chords of open ReLUs.
    pub fn gap(&self, network: &Network<T>) -> f64 {
        let sources = network.sources();
        let gap = |(k, j): &(u32, u32)| {
            let (source, j) = (sources[*k as usize], *j as usize);
            branching::gap(self.bounds.lower[source][j].to_f64(), self.bounds.upper[source][j].to_f64())
        };
        self.open.iter().map(gap).sum()
    }
}

impl<T: Scalar> Whole<T> {
    /// Bounds of a reduced network's layers, among those of the whole network.
    fn show(&self, reduced: &Preactivations<T>) -> Preactivations<T> {
        let mut shown = self.bounds.clone();
        for (k, (whole, entries)) in self.origin.layers.iter().zip(&self.origin.entries).enumerate() {
            let sides = [(&mut shown.lower, &reduced.lower), (&mut shown.upper, &reduced.upper)];
            for (all, part) in sides {
                part[k].iter().zip(entries).for_each(|(v, j)| all[*whole][*j as usize] = *v);
            }
        }
        shown
    }

    fn split(&self, split: &Split) -> Split {
        let (k, j) = self.origin.entry(split.layer as usize, split.neuron as usize);
        Split { layer: k as u32, neuron: j as u32, active: split.active }
    }
}

/// Parameters of ReLU splitting.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// The ascent at the root.
    pub root: alpha::Params,
    /// The ascent at every other node.
    pub node: alpha::Params,
    /// Subproblems bounded together.
    pub chunk: usize,
    /// The branching rule.
    pub branching: Branching,
    /// Candidates per score that filtered smart branching bounds.
    pub candidates: usize,
    /// $\lambda$ of pattern-aligned branching.
    pub alignment: f64,
    /// Whether to learn from closed subproblems.
    pub learns: bool,
}

/// What bounding the root alone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootVerdict {
    /// No counterexample exists.
    Refuted,
    /// Undecided.
    Open,
    /// Undecided, and rounding errors are a good part of why: a wider type will do better.
    Coarse,
}

/// An error term above this share of the bound is coarse.
const COARSE: f64 = 0.02;

/// ReLU splitting on one region and disjunct.
pub struct ReluSplitting<'a, T> {
    /// The network.
    pub network: &'a Network<T>,
    /// The region.
    pub region: &'a Region<T>,
    /// Its index in the specification.
    pub region_index: usize,
    /// The disjunct.
    pub objectives: &'a [Objective<T>],
    /// Its index in the region.
    pub disjunct: usize,
    /// Its root.
    pub root: &'a Root<T>,
    /// The layers whose intervals are narrowed in every subproblem.
    pub exact: &'a [Exact],
    /// Parameters.
    pub params: Params,
    /// Whether to keep what proves each step.
    pub trace: bool,
    /// What was learned.
    pub lemmas: RwLock<Lemmas>,
}

impl<T: Scalar> ReluSplitting<'_, T> {
    /// The whole problem.
    pub fn roots(&self) -> Vec<ReluDomain<T>> {
        vec![ReluDomain { splits: Vec::new(), unlearned: (0, 0), parent: None, narrowed: None }]
    }

    /// What the ascent says of the whole problem, its lower bound, and the claim that refutes it.
    pub fn root_verdict(&self, goal: f64, stop: bounds::Stop<'_>) -> (RootVerdict, f64, Option<Claim>) {
        let goal = T::round_up(goal);
        let (boxes, rows) = (self.boxes(1), self.rows(1));
        let bounds = self.root.bounds.gather(self.network, &[(0, &[])]);
        let slopes = Slopes::initial(self.network, &bounds.lines, &rows.domain, &[]);
        let done = |r: usize, m: T| stop() || self.objectives[r].refuted_by(m, goal);
        let magnitudes = &self.root.magnitudes;
        let params = self.params.root;
        let found = alpha::optimise(self.network, magnitudes, &bounds, &boxes, &rows, &[], slopes, params, done);
        let lower = found.minimum.iter().fold(f64::NEG_INFINITY, |most, m| most.max(m.to_f64()));
        if found.minimum.iter().zip(self.objectives).any(|(m, o)| o.refuted_by(*m, goal)) {
            let claim = self.trace.then(|| self.claim(0, &[], &boxes, &bounds, &found, goal));
            return (RootVerdict::Refuted, lower, claim);
        }
        let share = T::from_f64(COARSE);
        let coarse = found.minimum.iter().zip(&found.best.error).any(|(m, e)| !e.is_finite() || *e > share * m.abs());
        (if coarse { RootVerdict::Coarse } else { RootVerdict::Open }, lower, None)
    }

    /// The root's box, once for each subproblem of a batch.
    pub fn boxes(&self, batch: usize) -> Boxes<T> {
        self.region.boxes().repeat(batch)
    }

    /// The rows of every objective for a batch of subproblems, subproblem by subproblem.
    pub fn rows(&self, batch: usize) -> crate::crown::Rows<T> {
        let pairs: Vec<(u32, &Objective<T>)> =
            (0..batch as u32).flat_map(|d| self.objectives.iter().map(move |o| (d, o))).collect();
        specification::rows(self.network, &self.root.magnitudes, &pairs)
    }

    /// The parent's slopes and multipliers, laid out for this batch; split neurons have fixed lines.
    fn slopes(&self, batch: &[ReluDomain<T>], bounds: &Bounds<T>, domain: &[u32], splits: &[&[Split]]) -> Slopes<T> {
        let mut slopes = Slopes::initial(self.network, &bounds.lines, domain, splits);
        let (objectives, open) = (self.objectives.len(), self.root.open.len());
        let mut at = vec![0usize; slopes.beta.len()];
        for (d, node) in batch.iter().enumerate() {
            for o in 0..objectives {
                let r = d * objectives + o;
                if let Some(parent) = &node.parent {
                    for (value, (k, j)) in parent.alpha[o * open..(o + 1) * open].iter().zip(&self.root.open) {
                        let size = self.network.layers[*k as usize].size;
                        slopes.alpha[*k as usize][r * size + *j as usize] = *value;
                    }
                }
                for (index, split) in node.splits.iter().enumerate() {
                    let k = split.layer as usize;
                    let size = self.network.layers[k].size;
                    let slope = if split.active { T::ONE } else { T::ZERO };
                    slopes.alpha[k][r * size + split.neuron as usize] = slope;
                    let entry = &mut slopes.beta[k][at[k]];
                    at[k] += 1;
                    if let Some(parent) = &node.parent {
                        let count = parent.beta.len() / objectives;
                        let beta = parent.beta[o * count..(o + 1) * count].get(index).copied().unwrap_or(T::ZERO);
                        entry.2 = if split.active { beta } else { -beta };
                    }
                }
            }
        }
        slopes
    }

    /// What the children of subproblem `d` start from.
    fn remember(&self, d: usize, node: &ReluDomain<T>, slopes: &Slopes<T>) -> Multipliers<T> {
        let (mut alpha, mut beta) = (Vec::new(), Vec::new());
        for o in 0..self.objectives.len() {
            let r = d * self.objectives.len() + o;
            for (k, j) in &self.root.open {
                let size = self.network.layers[*k as usize].size;
                alpha.push(slopes.alpha[*k as usize][r * size + *j as usize]);
            }
            for split in &node.splits {
                beta.push(slopes.multiplier(r, split));
            }
        }
        Multipliers { alpha, beta }
    }
}

impl<T: Scalar> Splitting for ReluSplitting<'_, T> {
    type Domain = ReluDomain<T>;

    fn chunk(&self) -> usize {
        self.network.together(self.params.chunk)
    }

    fn bytes(&self) -> usize {
        let exact: usize = self.exact.iter().map(|e| 2 * self.network.layers[e.source].size).sum();
        (self.root.open.len() * self.objectives.len() + exact) * size_of::<T>()
    }

    fn node(&self, domain: &ReluDomain<T>) -> Node {
        let mut bounds = self.root.bounds.gather(self.network, &[(0, &domain.splits)]);
        self.narrow(std::slice::from_ref(domain), &mut bounds);
        let (lower, upper) = (wide(&self.region.lower), wide(&self.region.upper));
        let all = |bounds: &Bounds<T>| {
            let bounds = bounds.preactivations(self.network, 0);
            self.root.whole.as_ref().map_or_else(|| bounds.clone(), |whole| whole.show(&bounds)).widen()
        };
        let root = self.root.shown.get_or_init(|| {
            let bounds = all(&self.root.bounds);
            Arc::new(RootBox { lower: lower.clone(), upper: upper.clone(), bounds })
        });
        let split = |split: &Split| self.root.whole.as_ref().map_or(*split, |whole| whole.split(split));
        Node {
            region: self.region_index,
            objectives: self.objectives.iter().map(Objective::widen).collect(),
            root: root.clone(),
            lower,
            upper,
            bounds: all(&bounds),
            splits: domain.splits.iter().map(split).collect(),
        }
    }

    fn process(&self, batch: Vec<ReluDomain<T>>, hint: &Hint<'_>) -> Vec<Step<ReluDomain<T>>> {
        if self.objectives.is_empty() {
            // Every point is unsafe; an attack that could not confirm one leaves nothing to bound or split.
            let stuck = |_| Step::new(Next::Stuck);
            return batch.into_iter().map(stuck).collect();
        }
        if !self.learns() {
            return self.bound(batch, hint);
        }
        let mut open = Vec::with_capacity(batch.len());
        let lessons: Vec<(Lesson, Option<Step<ReluDomain<T>>>)> =
            batch.into_iter().map(|node| self.apply_lemmas(node, hint.goal, &self.root.names, &mut open)).collect();
        let mut bounded = self.bound(open, hint).into_iter();
        let step = |(Lesson { implied, .. }, closed): (Lesson, Option<Step<ReluDomain<T>>>)| {
            let mut step =
                closed.unwrap_or_else(|| bounded.next().expect("a step for every subproblem that was bounded"));
            step.lesson.implied = implied;
            step
        };
        lessons.into_iter().map(step).collect()
    }

    fn learn(&self, learned: Vec<Learned>) {
        let mut lemmas = self.lemmas.write().unwrap_or_else(PoisonError::into_inner);
        learned.into_iter().for_each(|learned| lemmas.learn(learned));
    }
}

impl<T: Scalar> ReluSplitting<'_, T> {
    /// Bounds subproblems, closes them or splits them.
    fn bound(&self, batch: Vec<ReluDomain<T>>, hint: &Hint<'_>) -> Vec<Step<ReluDomain<T>>> {
        let goal = hint.goal;
        if batch.is_empty() {
            return Vec::new();
        }
        let splits: Vec<&[Split]> = batch.iter().map(|d| d.splits.as_slice()).collect();
        let boxes = self.boxes(batch.len());
        let picks: Vec<(usize, &[Split])> = splits.iter().map(|splits| (0, *splits)).collect();
        let mut bounds = self.root.bounds.gather(self.network, &picks);
        let empty = self.narrow(&batch, &mut bounds);
        let rows = self.rows(batch.len());
        let slopes = self.slopes(&batch, &bounds, &rows.domain, &splits);
        let params = if splits.iter().all(|s| s.is_empty()) { self.params.root } else { self.params.node };
        let each = self.objectives.len();
        let limit = T::round_up(goal);
        let done = |r: usize, m: T| empty[r / each] || self.objectives[r % each].refuted_by(m, limit);
        let magnitudes = &self.root.magnitudes;
        let found = alpha::optimise(self.network, magnitudes, &bounds, &boxes, &rows, &splits, slopes, params, done);
        let refuted = |d: usize| {
            let of: Vec<usize> = (d * each..(d + 1) * each).collect();
            empty[d]
                || of.iter().any(|r| self.objectives[r % each].refuted_by(found.minimum[*r], limit))
                || found.best.combined_minimum(&of, boxes.set(d)) > goal
        };
        let undecided: Vec<usize> = (0..batch.len()).filter(|d| !refuted(*d)).collect();
        let mut lessons = self.lessons(&splits, &found, goal, refuted, &self.root.names).into_iter();
        let choices = branching::choose(self, &bounds, &found, &undecided, hint);
        let mut choices = choices.into_iter();
        let mut points = self.candidates(&undecided, &found).into_iter();
        let mut steps = Vec::with_capacity(batch.len());
        for (d, node) in batch.iter().enumerate() {
            let strongest = self.strongest(d, &found);
            // Inside half-spaces a bound above the goal holds only where the margin is at most the goal.
            let most = if self.exact.is_empty() { f64::INFINITY } else { goal };
            let lower = found.minimum[strongest].to_f64().min(most);
            if refuted(d) {
                let closed = || self.closed(self.claim(d, &node.splits, &boxes, &bounds, &found, limit));
                let evidence = self.trace.then(closed);
                let lesson = Lesson { learned: lessons.next().flatten(), ..Lesson::default() };
                steps.push(Step { lower, evidence, lesson, ..Step::new(Next::Closed) });
                continue;
            }
            let (choice, candidate) = (choices.next().flatten(), points.next());
            steps.push(match choice {
                Some(Choice { neuron, first }) => {
                    let next = self.split(node, d, neuron, goal, &bounds, &found, first);
                    let evidence = self.trace.then(|| {
                        let split = Split { layer: neuron.0, neuron: neuron.1, active: first };
                        let next = format::Next::Relu(self.root.names.split(&split));
                        // The half-space that its objective leaves to the children.
                        let half_space = || self.row(strongest, 1, d, &node.splits, &bounds, &found);
                        let cut = || Claim { disjunct: self.disjunct as u32, rows: vec![half_space()] };
                        let space = || {
                            let space = found.best.half_space(strongest, goal);
                            space.coefficients.into_iter().chain([space.constant]).collect()
                        };
                        let mut step = format::Step::new(next);
                        if !self.exact.is_empty() {
                            (step.cutting, step.space) = (vec![cut()], space());
                        }
                        Box::new(step)
                    });
                    Step { candidate, lower, evidence, ..Step::new(next) }
                }
                None => self.leaf(node, d, lower, goal, &bounds),
            });
        }
        steps
    }
}

impl<T: Scalar> ReluSplitting<'_, T> {
    /// The row of subproblem `d` with the greatest lower bound.
    pub fn strongest(&self, d: usize, found: &Optimised<T>) -> usize {
        let each = self.objectives.len();
        let value = |r: &usize| found.minimum[*r].to_f64();
        let rows = d * each..(d + 1) * each;
        rows.max_by(|a, b| value(a).total_cmp(&value(b))).unwrap_or(d * each)
    }

    /// Splits a subproblem at a ReLU; the child in which it has the sign `first` comes first.
    #[allow(clippy::too_many_arguments)]
    fn split(
        &self,
        node: &ReluDomain<T>,
        d: usize,
        (layer, neuron): (u32, u32),
        goal: f64,
        bounds: &Bounds<T>,
        found: &Optimised<T>,
        first: bool,
    ) -> Next<ReluDomain<T>> {
        let parent = Some(Arc::new(self.remember(d, node, &found.slopes)));
        let narrowed = (!self.exact.is_empty()).then(|| Arc::new(self.narrowed(d, goal, bounds, found)));
        let child = |active: bool| {
            let split = Split { layer, neuron, active };
            let mut splits = node.splits.clone();
            splits.push(split);
            let unlearned = (1, node.unlearned.1);
            ReluDomain { splits, unlearned, parent: parent.clone(), narrowed: narrowed.clone() }
        };
        Next::Split(vec![child(first), child(!first)])
    }

    /// Solves a subproblem in which nothing is left to split.
    fn leaf(&self, node: &ReluDomain<T>, d: usize, lower: f64, goal: f64, bounds: &Bounds<T>) -> Step<ReluDomain<T>> {
        let bounds = bounds.gather(self.network, &[(d, &[])]);
        let all = self.signs(node, &bounds);
        match leaf::solve(self, &bounds, &all, goal) {
            Leaf::Refuted(goals, signs) => {
                let claim = || self.exact_claim(&node.splits, &all, &goals, &signs);
                let evidence = self.trace.then(|| self.closed(claim()));
                Step { lower, evidence, ..Step::new(Next::Closed) }
            }
            Leaf::Point(x) => {
                Step { candidate: Some(self.candidate(x)), lower, ..Step::new(Next::Again(node.clone())) }
            }
            Leaf::Unclear => Step { lower, ..Step::new(Next::Stuck) },
        }
    }

    fn closed(&self, claim: Claim) -> Box<format::Step> {
        Box::new(format::Step { refuted: vec![claim], ..format::Step::new(format::Next::Closed) })
    }

    /// Why subproblem `d` is refuted: by its strongest objective, or by several together.
    fn claim(
        &self,
        d: usize,
        splits: &[Split],
        boxes: &Boxes<T>,
        bounds: &Bounds<T>,
        found: &Optimised<T>,
        limit: T,
    ) -> Claim {
        let each = self.objectives.len();
        let of: Vec<usize> = (d * each..(d + 1) * each).collect();
        let strongest = self.strongest(d, found);
        let alone = self.objectives[strongest % each].refuted_by(found.minimum[strongest], limit);
        let shares = if alone { None } else { found.best.combined(&of, boxes.set(d)) };
        let whole = |share: &f64| (share * f64::from(1 << 20)).round() as u64;
        let mut weighted: Vec<(usize, u64)> = match shares {
            None => vec![(strongest, 1)],
            Some((_, shares)) => of.iter().copied().zip(shares.iter().map(whole)).filter(|(_, w)| *w > 0).collect(),
        };
        if let [only] = weighted.as_mut_slice() {
            only.1 = 1;
        }
        let row = |(r, weight): (usize, u64)| self.row(r, weight, d, splits, bounds, found);
        Claim { disjunct: self.disjunct as u32, rows: weighted.into_iter().map(row).collect() }
    }

    /// Row `r` of subproblem `d` as it goes back to the input.
    fn row(&self, r: usize, weight: u64, d: usize, splits: &[Split], bounds: &Bounds<T>, found: &Optimised<T>) -> Row {
        let beta = splits.iter().map(|split| found.slopes.multiplier(r, split).to_f64());
        let slopes = proof::slopes(self.network, bounds, d, &found.slopes, r, &self.root.names).with(beta.collect());
        Row { objective: (r % self.objectives.len()) as u32, weight, slopes }
    }

    /// Why a leaf is refuted: objectives and signs with these multipliers. Signs that are no splits follow from ranges.
    fn exact_claim(&self, splits: &[Split], all: &[Split], goals: &[f64], signs: &[f64]) -> Claim {
        let most = goals.iter().fold(0.0f64, |most, v| most.max(*v));
        let against = signs.iter().fold(0.0f64, |most, v| most.max(*v));
        let multipliers = |unit: f64| {
            let of = |split: &Split| all.iter().position(|s| (s.layer, s.neuron) == (split.layer, split.neuron));
            let beta = splits.iter().map(|split| of(split).map_or(0.0, |at| signs[at] / unit)).collect();
            let mut shown: Vec<(u32, u32, f64)> = Vec::new();
            for (split, beta) in all.iter().zip(signs).filter(|(_, beta)| **beta > 0.0) {
                if splits.iter().all(|s| (s.layer, s.neuron) != (split.layer, split.neuron)) {
                    let named = self.root.names.split(split);
                    shown.push((named.layer, named.neuron, beta / unit));
                }
            }
            format::Slopes { alpha: Vec::new(), beta, shown }
        };
        if most < NO_SHARE * against {
            let slopes = multipliers(against);
            return Claim { disjunct: self.disjunct as u32, rows: vec![Row { objective: 0, weight: 0, slopes }] };
        }
        let weight = |v: &f64| (v / most * f64::from(1 << 20)).round() as u64;
        let weighted = goals.iter().map(weight).enumerate().filter(|(_, w)| *w > 0);
        let mut rows: Vec<Row> = weighted
            .map(|(objective, weight)| Row { objective: objective as u32, weight, slopes: format::Slopes::default() })
            .collect();
        if let Some(heaviest) = rows.iter_mut().max_by_key(|row| row.weight) {
            heaviest.slopes = multipliers(most);
        }
        if let [only] = rows.as_mut_slice() {
            only.weight = 1;
        }
        Claim { disjunct: self.disjunct as u32, rows }
    }

    /// The signs that make a leaf: its splits, or every sign where narrowing fixed some of them.
    fn signs(&self, node: &ReluDomain<T>, bounds: &Bounds<T>) -> Vec<Split> {
        if self.exact.is_empty() {
            return node.splits.clone();
        }
        let sign = |&(layer, neuron): &(u32, u32)| {
            let active = bounds.lines.upper_slope[layer as usize][neuron as usize] == T::ONE;
            Split { layer, neuron, active }
        };
        self.root.open.iter().map(sign).collect()
    }

    /// Narrows the intervals of the exact layers; says which subproblems this empties.
    fn narrow(&self, batch: &[ReluDomain<T>], bounds: &mut Bounds<T>) -> Vec<bool> {
        let mut empty = vec![false; batch.len()];
        let wide = |side: &[T]| side.iter().map(|v| v.to_f64()).collect::<Vec<f64>>();
        let (lower, upper) = (wide(&self.region.lower), wide(&self.region.upper));
        let spaces: Vec<Vec<HalfSpace>> = batch.iter().map(|node| self.spaces(node)).collect();
        for (index, exact) in self.exact.iter().enumerate() {
            let (k, size) = (exact.source, self.network.layers[exact.source].size);
            for (d, node) in batch.iter().enumerate() {
                let at = d * size..(d + 1) * size;
                let (l, u) = (&mut bounds.lower[k][at.clone()], &mut bounds.upper[k][at]);
                if let Some(narrowed) = &node.narrowed {
                    let (known_l, known_u) = &narrowed.intervals[index];
                    bounds::tighten(l, u, known_l, known_u);
                }
                if !spaces[d].is_empty() {
                    exact.narrow((&lower, &upper), &spaces[d], l, u);
                }
                empty[d] |= l.iter().zip(u.iter()).any(|(l, u)| l > u);
            }
            bounds.lines.set(exact.activation, Function::Relu, &bounds.lower[k], &bounds.upper[k]);
        }
        empty
    }

    /// The half-spaces of a subproblem: its objective's, then those of its splits in exact layers.
    fn spaces(&self, node: &ReluDomain<T>) -> Vec<HalfSpace> {
        let side = |split: &Split| {
            let exact = self.exact.iter().find(|exact| exact.activation == split.layer as usize)?;
            Some(exact.side(split.neuron as usize, split.active))
        };
        let objective = node.narrowed.iter().map(|narrowed| narrowed.objective.clone());
        objective.chain(node.splits.iter().filter_map(side)).collect()
    }

    /// What narrowing hands to the children of subproblem `d`.
    fn narrowed(&self, d: usize, goal: f64, bounds: &Bounds<T>, found: &Optimised<T>) -> Narrowed<T> {
        let interval = |exact: &Exact| {
            let size = self.network.layers[exact.source].size;
            let of = |all: &[Vec<T>]| all[exact.source][d * size..(d + 1) * size].to_vec();
            (of(&bounds.lower), of(&bounds.upper))
        };
        Narrowed {
            intervals: self.exact.iter().map(interval).collect(),
            objective: found.best.half_space(self.strongest(d, found), goal),
        }
    }

    /// The minimisers of the undecided subproblems, evaluated in one batch; the best few are descended
    /// from.
    fn candidates(&self, undecided: &[usize], found: &Optimised<T>) -> Vec<Candidate> {
        let n = self.network.inputs();
        let mut points = vec![T::ZERO; undecided.len() * n];
        for (d, x) in undecided.iter().zip(points.chunks_exact_mut(n)) {
            found.best.minimiser(self.strongest(*d, found), self.region.set(), x);
        }
        let values = self.network.evaluate(&points, undecided.len());
        let outputs = values[self.network.output()].chunks_exact(self.network.outputs());
        let margins = points.chunks_exact(n).zip(outputs).map(|(x, y)| attack::margin(self.objectives, x, y).0);
        let margins: Vec<T> = margins.collect();
        let mut order: Vec<usize> = (0..undecided.len()).collect();
        order.sort_by(|a, b| margins[*a].to_f64().total_cmp(&margins[*b].to_f64()).then(a.cmp(b)));
        let record = |(x, margin): (&[T], &T)| Candidate {
            region: self.region_index,
            input: x.iter().map(|v| v.to_f64()).collect(),
            margin: margin.to_f64(),
        };
        let mut candidates: Vec<Candidate> = points.chunks_exact(n).zip(&margins).map(record).collect();
        for index in order.into_iter().take(DESCENTS) {
            let start = points[index * n..(index + 1) * n].to_vec();
            let found = attack::descend(self.network, self.region.set(), self.objectives, start, DESCENT);
            if found.margin < margins[index] {
                candidates[index] = record((&found.input, &found.margin));
            }
        }
        candidates
    }

    fn candidate(&self, x: Vec<T>) -> Candidate {
        let values = self.network.evaluate(&x, 1);
        let (margin, _) = attack::margin(self.objectives, &x, &values[self.network.output()]);
        let input = x.iter().map(|v| v.to_f64()).collect();
        Candidate { region: self.region_index, input, margin: margin.to_f64() }
    }
}

/// Of multipliers of objectives this much smaller than those of the splits, the sum is positive without them.
const NO_SHARE: f64 = 1e-7;

/// Points of a chunk that are descended from.
const DESCENTS: usize = 2;

/// The descent from them.
const DESCENT: attack::Params = attack::Params { restarts: 1, steps: 8, rate: 0.05, rounds: 1, enough: 0.0 };
