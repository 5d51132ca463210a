//! Splitting the input box: for networks with few inputs that vary.
//!
//! For a batch of boxes: bound every layer (CROWN for the open ReLUs); bound the objectives, with
//! optimised slopes where the first bound does not decide; try the minimisers as counterexamples;
//! cut from each open box what the linear bounds exclude; halve it where the bound gains most.

use crate::alpha::{self, Optimised, Slopes};
use crate::attack;
use crate::ball::Set;
use crate::bounds::{self, Bounds, Boxes, Method, Preactivations};
use crate::branching::gap;
use crate::crown::{Lines, Multipliers, back_substitute};
use crate::network::{Function, Kind, Network};
use crate::node::{self, Node, RootBox, wide};
use crate::proof::{self, Names};
use crate::rounding::Magnitudes;
use crate::search::{Candidate, Hint, Next, Splitting, Step};
use crate::specification::{self, Objective, Specification};
use secateur_check::proof::format::{self, Claim};
use secateur_linalg::Scalar;
use std::sync::{Arc, OnceLock};

/// A box with the disjuncts that are open on it.
#[derive(Clone, Debug)]
pub struct InputDomain<T> {
    region: u32,
    lower: Vec<T>,
    upper: Vec<T>,
    open: Vec<u32>,
    known: Option<Arc<Preactivations<T>>>,
}

/// Input splitting on one network and specification.
pub struct InputSplitting<'a, T> {
    network: &'a Network<T>,
    specification: &'a Specification<T>,
    /// The same network in `f64`, for claims that `f32` is too coarse to prove.
    precise: Option<(&'a Network<f64>, &'a Specification<f64>)>,
    params: Params,
    /// Whether to keep what proves each step.
    trace: bool,
    /// Per region, computed when first asked for.
    root_boxes: Vec<OnceLock<Arc<RootBox>>>,
}

/// Parameters of input splitting.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// Whether to cut boxes to where a counterexample can be.
    pub clip: bool,
    /// How pre-activations are bounded.
    pub method: Method,
    /// The ascent on objectives that the first bound leaves open.
    pub ascent: alpha::Params,
    /// Boxes bounded together.
    pub chunk: usize,
}

impl<'a, T: Scalar> InputSplitting<'a, T> {
    /// Input splitting that bounds in `T`; what falls short of proof by rounding alone is bounded
    /// again with `precise`.
    pub fn new(
        network: &'a Network<T>,
        specification: &'a Specification<T>,
        precise: Option<(&'a Network<f64>, &'a Specification<f64>)>,
        params: Params,
        trace: bool,
    ) -> Self {
        let root_boxes = specification.regions.iter().map(|_| OnceLock::new()).collect();
        Self { network, specification, precise, params, trace, root_boxes }
    }

    /// One subproblem per region.
    pub fn roots(&self) -> Vec<InputDomain<T>> {
        let root = |(index, region): (usize, &specification::Region<T>)| InputDomain {
            region: index as u32,
            lower: region.lower.clone(),
            upper: region.upper.clone(),
            open: (0..region.disjuncts.len() as u32).collect(),
            known: None,
        };
        self.specification.regions.iter().enumerate().map(root).collect()
    }

    fn set<'d>(&'d self, domain: &'d InputDomain<T>) -> Set<'d, T> {
        let ball = self.specification.regions[domain.region as usize].ball.as_deref();
        Set { lower: &domain.lower, upper: &domain.upper, ball }
    }

    fn objectives(&self, domain: &InputDomain<T>, disjunct: u32) -> &'a [Objective<T>] {
        &self.specification.regions[domain.region as usize].disjuncts[disjunct as usize]
    }
}

/// A row: which box, which disjunct of which region, which objective.
struct Row<'a, T> {
    domain: u32,
    region: u32,
    disjunct: u32,
    index: usize,
    objective: &'a Objective<T>,
}

/// A point to try.
struct Start<T> {
    step: usize,
    region: u32,
    disjunct: u32,
    point: Vec<T>,
    margin: T,
}

/// Points of a chunk that are descended from.
const DESCENTS: usize = 2;

/// The descent from them.
const DESCENT: attack::Params = attack::Params { restarts: 1, steps: 8, rate: 0.02, rounds: 1, enough: 0.0 };

impl<T: Scalar> Splitting for InputSplitting<'_, T> {
    type Domain = InputDomain<T>;

    fn chunk(&self) -> usize {
        self.params.chunk
    }

    fn bytes(&self) -> usize {
        // The bounds are shared by two siblings.
        let read = self.network.preactivations();
        let held: usize = self.network.layers.iter().zip(read).filter(|(_, r)| *r).map(|(l, _)| l.size).sum();
        (held + 2 * self.network.inputs()) * size_of::<T>()
    }

    fn node(&self, domain: &InputDomain<T>) -> Node {
        let region = &self.specification.regions[domain.region as usize];
        let root = self.root_boxes[domain.region as usize].get_or_init(|| {
            let bounds = node::crown_bounds(self.network, &region.lower, &region.upper);
            Arc::new(RootBox { lower: wide(&region.lower), upper: wide(&region.upper), bounds })
        });
        // The disjunct that is nearest to unsafe at the centre.
        let centre: Vec<T> =
            domain.lower.iter().zip(&domain.upper).map(|(l, u)| (*l + *u) * T::from_f64(0.5)).collect();
        let values = self.network.evaluate(&centre, 1);
        let y = &values[self.network.output()];
        let margin = |disjunct: &u32| attack::margin(self.objectives(domain, *disjunct), &centre, y).0.to_f64();
        let nearest = domain.open.iter().min_by(|a, b| margin(a).total_cmp(&margin(b)));
        let objectives = nearest.map_or(&[][..], |disjunct| self.objectives(domain, *disjunct));
        Node {
            region: domain.region as usize,
            objectives: objectives.iter().map(Objective::widen).collect(),
            root: root.clone(),
            lower: wide(&domain.lower),
            upper: wide(&domain.upper),
            bounds: node::crown_bounds(self.network, &domain.lower, &domain.upper),
            splits: Vec::new(),
        }
    }

    fn process(&self, batch: Vec<InputDomain<T>>, hint: &Hint<'_>) -> Vec<Step<InputDomain<T>>> {
        let goal = hint.goal;
        let gather =
            |corner: fn(&InputDomain<T>) -> &Vec<T>| batch.iter().flat_map(|d| corner(d).iter().copied()).collect();
        let balls = batch.iter().map(|d| self.specification.regions[d.region as usize].ball.clone()).collect();
        let boxes = Boxes { batch: batch.len(), lower: gather(|d| &d.lower), upper: gather(|d| &d.upper), balls };
        let known: Vec<Option<&Preactivations<T>>> = batch.iter().map(|d| d.known.as_deref()).collect();
        let (bounds, magnitudes) = bounds::bound(self.network, &boxes, self.params.method, &known, &|| false);
        let rows = self.rows(&batch);
        let mut found = self.bound_objectives(&boxes, &bounds, &magnitudes, &rows, goal);
        if let Some(precise) = self.precise {
            self.bound_precisely(precise, &boxes, &bounds, &rows, &mut found, goal);
        }
        self.conclude(batch, &boxes, &bounds, &rows, &found, goal)
    }
}

impl<T: Scalar> InputSplitting<'_, T> {
    fn rows(&self, batch: &[InputDomain<T>]) -> Vec<Row<'_, T>> {
        let mut rows = Vec::new();
        for (d, domain) in batch.iter().enumerate() {
            for &disjunct in &domain.open {
                let objectives = self.objectives(domain, disjunct).iter().enumerate();
                let (d, region) = (d as u32, domain.region);
                rows.extend(objectives.map(|(index, objective)| Row { domain: d, region, disjunct, index, objective }));
            }
        }
        rows
    }

    fn bound_objectives(
        &self,
        boxes: &Boxes<T>,
        bounds: &Bounds<T>,
        magnitudes: &Magnitudes<T>,
        rows: &[Row<'_, T>],
        goal: f64,
    ) -> Optimised<T> {
        let goal = T::round_up(goal);
        let pairs: Vec<(u32, &Objective<T>)> = rows.iter().map(|r| (r.domain, r.objective)).collect();
        let seeds = specification::rows(self.network, magnitudes, &pairs);
        let slopes = Slopes::initial(self.network, &bounds.lines, &seeds.domain, &[]);
        let done = |r: usize, m: T| rows[r].objective.refuted_by(m, goal);
        alpha::optimise(self.network, magnitudes, bounds, boxes, &seeds, &[], slopes, self.params.ascent, done)
    }

    /// Bounds again in `f64`, with the slopes found, the rows that only their error term keeps open.
    fn bound_precisely(
        &self,
        (network, specification): (&Network<f64>, &Specification<f64>),
        boxes: &Boxes<T>,
        bounds: &Bounds<T>,
        rows: &[Row<'_, T>],
        found: &mut Optimised<T>,
        goal: f64,
    ) {
        let goal = T::round_up(goal);
        let short = |r: &usize| {
            let error = found.best.error[*r];
            let minimum = found.minimum[*r];
            !rows[*r].objective.refuted_by(minimum, goal) && minimum + error + error > goal
        };
        let chosen: Vec<usize> = (0..rows.len()).filter(short).collect();
        if chosen.is_empty() {
            return;
        }
        let mut domains: Vec<u32> = chosen.iter().map(|r| rows[*r].domain).collect();
        domains.dedup();
        let widen = |all: &[T], size: usize| -> Vec<f64> {
            let of = |d: &u32| all[*d as usize * size..(*d as usize + 1) * size].iter().map(|v| v.to_f64());
            domains.iter().flat_map(of).collect()
        };
        let mut magnitudes = Magnitudes::new(domains.len());
        let mut lines = Lines::new(network.layers.len());
        let (mut lower, mut upper): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
        for (k, layer) in network.layers.iter().enumerate() {
            match &layer.kind {
                Kind::Activation { source, function } => lines.set(k, *function, &lower[*source], &upper[*source]),
                Kind::Product(product) => lines.set_product(k, product, &lower, &upper, network.factor_sizes(product)),
                Kind::Input | Kind::Affine(_) => {}
            }
            lower.push(widen(&bounds.lower[k], layer.size));
            upper.push(widen(&bounds.upper[k], layer.size));
            magnitudes.push(network, &lines, &lower[k], &upper[k]);
        }
        let place = |d: u32| domains.partition_point(|other| *other < d) as u32;
        let objective = |r: &usize| {
            let row = &rows[*r];
            (place(row.domain), &specification.regions[row.region as usize].disjuncts[row.disjunct as usize][row.index])
        };
        let pairs: Vec<(u32, &Objective<f64>)> = chosen.iter().map(objective).collect();
        let seeds = specification::rows(network, &magnitudes, &pairs);
        let mut alpha = vec![Vec::new(); network.layers.len()];
        for (k, slopes) in found.slopes.alpha.iter().enumerate().filter(|(_, s)| !s.is_empty()) {
            let size = network.layers[k].size;
            let row = |r: &usize| slopes[r * size..(r + 1) * size].iter().map(|v| v.to_f64());
            alpha[k] = chosen.iter().flat_map(row).collect();
        }
        let multipliers = Multipliers { alpha: &alpha, beta: &[] };
        let bound = back_substitute(network, &magnitudes, &lines, seeds, multipliers, false);
        for (index, r) in chosen.iter().enumerate() {
            let Set { lower, upper, ball } = boxes.set(rows[*r].domain as usize);
            let (lower, upper) = (wide(lower), wide(upper));
            let minimum = T::round_down(bound.minimum(index, Set { lower: &lower, upper: &upper, ball }));
            found.minimum[*r] = minimum.max(found.minimum[*r]);
        }
    }

    fn conclude(
        &self,
        batch: Vec<InputDomain<T>>,
        boxes: &Boxes<T>,
        bounds: &Bounds<T>,
        rows: &[Row<'_, T>],
        found: &Optimised<T>,
        goal: f64,
    ) -> Vec<Step<InputDomain<T>>> {
        let limit = T::round_up(goal);
        let mut steps = Vec::with_capacity(batch.len());
        let mut starts = Vec::new();
        let mut next_row = 0;
        for (d, mut domain) in batch.into_iter().enumerate() {
            let first = next_row;
            while next_row < rows.len() && rows[next_row].domain as usize == d {
                next_row += 1;
            }
            let mine = first..next_row;
            let refuted = |disjunct: u32| {
                let of: Vec<usize> = mine.clone().filter(|r| rows[*r].disjunct == disjunct).collect();
                of.iter().any(|r| rows[*r].objective.refuted_by(found.minimum[*r], limit))
                    || found.best.combined_minimum(&of, boxes.set(d)) > goal
            };
            // A disjunct is as safe as its safest objective, the box as its least safe disjunct.
            let strength = |disjunct: u32| {
                let bounds = mine.clone().filter(|r| rows[*r].disjunct == disjunct).map(|r| found.minimum[r]);
                bounds.fold(-T::INFINITY, |a, b| b.max(a))
            };
            let lower = domain.open.iter().map(|o| strength(*o)).fold(T::INFINITY, |a, b| b.min(a)).to_f64();
            let open: Vec<u32> = domain.open.iter().copied().filter(|o| !refuted(*o)).collect();
            let mut evidence = self.trace.then(|| {
                let gone = domain.open.iter().filter(|o| !open.contains(o));
                let refuted =
                    gone.map(|o| self.claim(*o, d, boxes, bounds, mine.clone(), rows, found, limit)).collect();
                Box::new(format::Step { refuted, ..format::Step::new(format::Next::Closed) })
            });
            if open.is_empty() {
                steps.push(Step { lower, evidence, ..Step::new(Next::Closed) });
                continue;
            }
            domain.open = open;
            if domain.open.iter().any(|o| self.objectives(&domain, *o).is_empty()) {
                // Every point is unsafe; an attack that could not confirm one leaves nothing to bound or split.
                steps.push(Step::new(Next::Stuck));
                continue;
            }
            self.minimisers(steps.len(), &domain, mine.clone(), rows, found, &mut starts);
            if let Some(evidence) = &mut evidence {
                let cutting = mine.clone().filter(|r| domain.open.contains(&rows[*r].disjunct));
                let claim =
                    |r: usize| Claim { disjunct: rows[r].disjunct, rows: vec![self.row(r, d, 1, bounds, rows, found)] };
                evidence.cutting = cutting.map(claim).collect();
            }
            let open = domain.open.len();
            let next = self.split(domain, d, boxes, bounds, mine, rows, found, goal);
            if let Some(evidence) = &mut evidence {
                (evidence.left, evidence.next) = written(&next, boxes.corners(d));
                // What cut nothing need not be shown.
                let same = matches!(&next, Next::Cut(parts) if parts.iter().all(|part| part.open.len() == open));
                if same && evidence.left.is_empty() {
                    evidence.cutting.clear();
                }
            }
            steps.push(Step { lower, evidence, ..Step::new(next) });
        }
        self.try_points(starts, &mut steps);
        steps
    }

    /// Why a disjunct is refuted on box `d`: by its strongest objective, or by several together.
    #[allow(clippy::too_many_arguments)]
    fn claim(
        &self,
        disjunct: u32,
        d: usize,
        boxes: &Boxes<T>,
        bounds: &Bounds<T>,
        mine: std::ops::Range<usize>,
        rows: &[Row<'_, T>],
        found: &Optimised<T>,
        limit: T,
    ) -> Claim {
        let of: Vec<usize> = mine.filter(|r| rows[*r].disjunct == disjunct).collect();
        let alone = of.iter().copied().filter(|r| rows[*r].objective.refuted_by(found.minimum[*r], limit));
        let strongest = alone.max_by(|a, b| found.minimum[*a].to_f64().total_cmp(&found.minimum[*b].to_f64()));
        let mut weighted: Vec<(usize, u64)> = Vec::new();
        match strongest {
            Some(r) => weighted.push((r, 1)),
            None => {
                let shares = found.best.combined(&of, boxes.set(d)).map(|(_, shares)| shares).unwrap_or_default();
                let whole = |share: f64| (share * f64::from(1 << 20)).round() as u64;
                weighted.extend(of.into_iter().zip(shares).map(|(r, s)| (r, whole(s))).filter(|(_, w)| *w > 0));
            }
        }
        let only = weighted.len() == 1;
        let row = |(r, w): (usize, u64)| self.row(r, d, if only { 1 } else { w }, bounds, rows, found);
        Claim { disjunct, rows: weighted.into_iter().map(row).collect() }
    }

    /// Row `r` with the slopes that differ from those that the checker takes by itself.
    fn row(
        &self,
        r: usize,
        d: usize,
        weight: u64,
        bounds: &Bounds<T>,
        rows: &[Row<'_, T>],
        found: &Optimised<T>,
    ) -> format::Row {
        let slopes =
            proof::slopes(self.network, bounds, d, &found.slopes, r, &Names::new(self.network)).with(Vec::new());
        format::Row { objective: rows[r].index as u32, weight, slopes }
    }

    /// The minimisers of the strongest rows of the open disjuncts.
    fn minimisers(
        &self,
        step: usize,
        domain: &InputDomain<T>,
        mine: std::ops::Range<usize>,
        rows: &[Row<'_, T>],
        found: &Optimised<T>,
        starts: &mut Vec<Start<T>>,
    ) {
        let value = |r: &usize| found.minimum[*r].to_f64();
        for &disjunct in &domain.open {
            let of = mine.clone().filter(|r| rows[*r].disjunct == disjunct);
            if let Some(strongest) = of.max_by(|a, b| value(a).total_cmp(&value(b))) {
                let mut point = vec![T::ZERO; self.network.inputs()];
                found.best.minimiser(strongest, self.set(domain), &mut point);
                starts.push(Start { step, region: domain.region, disjunct, point, margin: T::INFINITY });
            }
        }
    }

    /// Evaluates the points in one batch, descends from the best few, and records the candidates.
    fn try_points(&self, mut starts: Vec<Start<T>>, steps: &mut [Step<InputDomain<T>>]) {
        let points: Vec<T> = starts.iter().flat_map(|s| s.point.iter().copied()).collect();
        let values = self.network.evaluate(&points, starts.len());
        let outputs = values[self.network.output()].chunks_exact(self.network.outputs());
        for (start, y) in starts.iter_mut().zip(outputs) {
            let region = &self.specification.regions[start.region as usize];
            start.margin = attack::margin(&region.disjuncts[start.disjunct as usize], &start.point, y).0;
        }
        starts.sort_by(|a, b| a.margin.to_f64().total_cmp(&b.margin.to_f64()));
        for (rank, start) in starts.into_iter().enumerate() {
            let region = &self.specification.regions[start.region as usize];
            let disjunct = &region.disjuncts[start.disjunct as usize];
            let (mut input, mut margin) = (start.point, start.margin);
            if rank < DESCENTS && margin > T::ZERO {
                let found = attack::descend(self.network, region.set(), disjunct, input, DESCENT);
                (input, margin) = (found.input, found.margin);
            }
            let candidate = &mut steps[start.step].candidate;
            let margin = margin.to_f64();
            if candidate.as_ref().is_none_or(|c| margin < c.margin) {
                let input = input.iter().map(|v| v.to_f64()).collect();
                *candidate = Some(Candidate { region: start.region as usize, input, margin });
            }
        }
    }

    /// Cuts and halves an open box.
    #[allow(clippy::too_many_arguments)]
    fn split(
        &self,
        mut domain: InputDomain<T>,
        d: usize,
        boxes: &Boxes<T>,
        bounds: &Bounds<T>,
        mine: std::ops::Range<usize>,
        rows: &[Row<'_, T>],
        found: &Optimised<T>,
        goal: f64,
    ) -> Next<InputDomain<T>> {
        let (lower, upper) = boxes.corners(d);
        let (cut_lower, cut_upper) = match self.clip(&mut domain, lower, upper, mine.clone(), rows, found, goal) {
            Some(corners) => corners,
            None => return Next::Closed,
        };
        let known = Arc::new(bounds.preactivations(self.network, d));
        let (before, after) = (volume(lower, upper), volume(&cut_lower, &cut_upper));
        (domain.lower, domain.upper, domain.known) = (cut_lower, cut_upper, Some(known));
        if after < before - 1.0 {
            // The cut alone more than halved the box: bound what is left before splitting it.
            return Next::Cut(vec![domain]);
        }
        let scores = self.scores(d, &domain, bounds, mine.clone(), rows, found);
        let score = |i: &usize| scores[*i];
        let widest = (0..self.network.inputs()).filter(|i| halves(domain.lower[*i], domain.upper[*i]).is_some());
        let Some(axis) = widest.max_by(|a, b| score(a).total_cmp(&score(b))) else { return Next::Stuck };
        let Some(middle) = halves(domain.lower[axis], domain.upper[axis]) else { return Next::Stuck };
        let (mut left, mut right) = (domain.clone(), domain);
        left.upper[axis] = middle;
        right.lower[axis] = middle;
        // Decided disjuncts and what was clipped are left out.
        Next::Cut(vec![left, right])
    }

    /// How much halving each axis is expected to raise the bounds of the open disjuncts' best rows.
    ///
    /// Halving axis $i$ (width $w_i$) gains $|A_i| w_i / 4$ on average through the linear bound itself,
    /// and narrows the input interval of an open ReLU, whose linear bounds have slopes $p_i$, by about
    /// $\delta = p_i w_i / 2$ on one side; its chord's gap $g(l, u) = -l u / (u - l)$ shrinks
    /// accordingly and enters with the weight of its coefficient.
    fn scores(
        &self,
        d: usize,
        domain: &InputDomain<T>,
        bounds: &Bounds<T>,
        mine: std::ops::Range<usize>,
        rows: &[Row<'_, T>],
        found: &Optimised<T>,
    ) -> Vec<f64> {
        let n = self.network.inputs();
        let width: Vec<f64> = (0..n).map(|i| (domain.upper[i] - domain.lower[i]).to_f64()).collect();
        let mut scores = vec![0.0; n];
        let value = |r: &usize| found.minimum[*r].to_f64();
        let strongest: Vec<usize> = domain
            .open
            .iter()
            .filter_map(|o| {
                let of = mine.clone().filter(|r| rows[*r].disjunct == *o);
                of.max_by(|a, b| value(a).total_cmp(&value(b)))
            })
            .collect();
        for r in &strongest {
            let row = found.best.row(*r);
            (0..n).for_each(|i| scores[i] += 0.25 * row[i].to_f64().abs() * width[i]);
        }
        let axes = &bounds.axes;
        for (k, source, function) in self.network.activations() {
            let gap = if function == Function::Relu { gap } else { smooth_gap };
            let (size, influence) = (self.network.layers[k].size, &bounds.influence[source]);
            let start = influence.entries.partition_point(|at| (*at as usize) < d * size);
            for (e, at) in influence.entries.iter().enumerate().skip(start) {
                let at = *at as usize;
                if at >= (d + 1) * size {
                    break;
                }
                let j = at - d * size;
                let weight: f64 = strongest.iter().map(|r| found.tape[k][r * size + j].to_f64().abs()).sum();
                let (l, u) = (bounds.lower[source][at].to_f64(), bounds.upper[source][at].to_f64());
                let whole = gap(l, u);
                if weight == 0.0 || whole == 0.0 || influence.slopes.is_empty() {
                    continue;
                }
                for (slot, &i) in axes.iter().enumerate() {
                    let delta = 0.5 * influence.slopes[e * axes.len() + slot].to_f64() * width[i];
                    scores[i] += weight * 0.5 * (2.0 * whole - gap(l, u - delta) - gap(l + delta, u));
                }
            }
        }
        scores
    }

    /// The part of the box where every objective of some open disjunct may still be at most the goal; drops
    /// the disjuncts for which nothing is left. `None` if nothing is left at all.
    ///
    /// # Soundness
    /// Where $\langle A, x \rangle + d - e \le g(x) \le 0$ (the goal subtracted), for each $i$
    /// $A_i x_i \le -\min_{x'} \big( \sum_{j \ne i} A_j x'_j + d - e \big)$. The row's minimum is
    /// already rounded down; the remaining operations are in `f64` and padded by eight roundings.
    #[allow(clippy::too_many_arguments)]
    fn clip(
        &self,
        domain: &mut InputDomain<T>,
        lower: &[T],
        upper: &[T],
        mine: std::ops::Range<usize>,
        rows: &[Row<'_, T>],
        found: &Optimised<T>,
        goal: f64,
    ) -> Option<(Vec<T>, Vec<T>)> {
        let mut hull: Option<(Vec<T>, Vec<T>)> = None;
        let mut remaining = Vec::new();
        for &disjunct in &domain.open {
            let (mut l, mut u) = (lower.to_vec(), upper.to_vec());
            for r in mine.clone().filter(|r| self.params.clip && rows[*r].disjunct == disjunct) {
                // The minimum of this very row: `found.minimum` may be that of its `f64` counterpart.
                let minimum = found.best.box_minimum(r, lower, upper).to_f64();
                let minimum = if goal == 0.0 { minimum } else { (minimum - goal).next_down() };
                cut(found.best.row(r), minimum, lower, upper, &mut l, &mut u);
            }
            if l.iter().zip(&u).any(|(l, u)| l > u) {
                continue;
            }
            remaining.push(disjunct);
            hull = Some(match hull {
                None => (l, u),
                Some((mut hl, mut hu)) => {
                    hl.iter_mut().zip(&l).for_each(|(h, l)| *h = l.min(*h));
                    hu.iter_mut().zip(&u).for_each(|(h, u)| *h = u.max(*h));
                    (hl, hu)
                }
            });
        }
        domain.open = remaining;
        hull
    }
}

/// Cuts `[l, u]` by $\langle A, x \rangle + d - e \le 0$ where `minimum` is the row's least value on
/// `[lower, upper]`.
fn cut<T: Scalar>(a: &[T], minimum: f64, lower: &[T], upper: &[T], l: &mut [T], u: &mut [T]) {
    if !minimum.is_finite() {
        return;
    }
    let unit = f64::EPSILON;
    for i in 0..a.len() {
        let slope = a[i].to_f64();
        if slope == 0.0 || lower[i] == upper[i] {
            continue;
        }
        let (low, high) = (lower[i].to_f64(), upper[i].to_f64());
        let own = (slope * low).min(slope * high);
        let rest = minimum - own;
        let limit = -rest / slope;
        let pad = 8.0 * unit * ((minimum.abs() + own.abs()) / slope.abs() + limit.abs()) + f64::MIN_POSITIVE;
        if !limit.is_finite() || !pad.is_finite() {
            continue;
        }
        if slope > 0.0 {
            u[i] = T::round_up(limit + pad).min(u[i]);
        } else {
            l[i] = T::round_down(limit - pad).max(l[i]);
        }
    }
}

/// Sum of the binary logarithms of the widths that are not 0.
fn volume<T: Scalar>(lower: &[T], upper: &[T]) -> f64 {
    let widths = lower.iter().zip(upper).map(|(l, u)| (*u - *l).to_f64());
    widths.filter(|w| *w > 0.0).map(f64::log2).sum()
}

/// What the lines of a sigmoid or tanh leave between them on $[l, u]$, roughly: an eighth of the width
/// squared times a curvature of 0.1, at most 1.
fn smooth_gap(l: f64, u: f64) -> f64 {
    (0.0125 * (u - l).max(0.0).powi(2)).min(1.0)
}

/// How a part goes on, in a certificate: halves share the end that is the upper one of the first.
fn written<T: Scalar>(next: &Next<InputDomain<T>>, (lower, upper): (&[T], &[T])) -> (format::Sides, format::Next) {
    let Next::Cut(children) = next else { return (Vec::new(), format::Next::Closed) };
    let [first, .., last] = &children.as_slice() else {
        let Some(only) = children.first() else { return (Vec::new(), format::Next::Closed) };
        return (sides((&only.lower, &only.upper), (lower, upper)), format::Next::Whole);
    };
    let differs = |i: &usize| first.upper[*i] != last.upper[*i] || first.lower[*i] != last.lower[*i];
    let axis = (0..first.upper.len()).find(differs).unwrap_or(0);
    let mut whole = (first.lower.clone(), first.upper.clone());
    whole.1[axis] = last.upper[axis];
    let next = format::Next::Axis(axis as u32, first.upper[axis].to_f64());
    (sides((&whole.0, &whole.1), (lower, upper)), next)
}

/// The sides of a box that moved.
fn sides<T: Scalar>(now: (&[T], &[T]), before: (&[T], &[T])) -> format::Sides {
    let moved = (0..now.0.len()).filter(|i| now.0[*i] != before.0[*i] || now.1[*i] != before.1[*i]);
    moved.map(|i| (i as u32, now.0[i].to_f64(), now.1[i].to_f64())).collect()
}

/// The middle of an interval, if it lies strictly inside.
fn halves<T: Scalar>(lower: T, upper: T) -> Option<T> {
    let middle = T::from_f64(0.5 * (lower.to_f64() + upper.to_f64()));
    (middle > lower && middle < upper).then_some(middle)
}
