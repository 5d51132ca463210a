//! Does a certificate prove that no part of the region holds a counterexample?
//!
//! The parts that are open form a map from numbers to boxes; it starts with the regions of the property. A record takes
//! one part out of it, shows that some disjuncts are refuted on it, that what is cut from it is refuted too, and puts its
//! halves back. When the map is empty at the end, the parts covered everything.
//!
//! # Soundness
//! A part is dropped only where, for every disjunct open on it, a sum $\sum_i \lambda_i g_i$ with $\lambda \ge 0$ has a
//! lower bound above 0 (or at least 0, where all its objectives are strict), for then some $g_i$ is positive everywhere.
//! Bounds are computed here, from slopes in $[0, 1]$, whatever the certificate says of them.

use super::bounds::{Corners, Frame, Known, Ranges, cut};
use super::format::{self, Claim, Digests, Next, Reader, Record, Split, Table, Witness, exact};
use super::network::Network;
use super::rejection::{Accepted, Rejection};
use super::rows::{Form, Probe, Start, Terms, View, back};
use super::spaces::{self, Direct, Space, direct};
use crate::evaluate::{Enclosure, enclosed};
use crate::interval::{Dyadic, Interval, quotients};
use crate::replay::{Executed, Replay, replay, replay_executed};
use crate::semantics::Semantics;
use dashu_ratio::RBig;
use rayon::prelude::*;
use secateur_nn::graph::Graph;
use secateur_nn::property::{LinearConstraint, Property};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, OnceLock};

/// How often a part may be halved to refute a disjunct that its bounds leave a little short: at an input, or at a ReLU.
const HALVINGS: (u32, u32) = (4, 6);

/// Records that are read before they are checked side by side.
const READ_AHEAD: usize = 512;

/// Entries of lists in such records.
const ENTRIES: u64 = 1 << 20;

/// A part of a region.
#[derive(Clone)]
struct Part {
    case: usize,
    corners: Arc<Corners>,
    splits: Vec<Split>,
    open: Vec<u32>,
    /// What is known of it, or, where it is stale, of a part that holds it.
    known: Arc<Known>,
    stale: bool,
    /// Whether its box is smaller than the region's.
    smaller: bool,
    /// A function that is not positive on it, which together with its splits narrows ranges.
    space: Option<Arc<Space>>,
    /// Ranges that were narrowed so.
    narrowed: Option<Arc<Ranges>>,
}

/// One case of the property, ready for bounds.
struct Case {
    /// Empty until its first record comes.
    frame: Frame,
    /// Objectives of every disjunct: where to start, and whether equality is excluded.
    disjuncts: Vec<Vec<(Start, bool)>>,
    /// What is known on its box.
    known: Arc<Known>,
    /// The layers whose ranges half-spaces narrow; made when first asked for.
    direct: OnceLock<Vec<Direct>>,
}

/// A record that is still to be checked.
struct Waiting {
    /// Its number.
    number: u64,
    /// What it says.
    step: format::Step,
    /// The number of its part's first child.
    first: u64,
}

/// Checks a certificate about files with these digests, and about real numbers or executions in single precision.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(
    graph: &Graph,
    property: &Property,
    digests: &Digests,
    semantics: Semantics,
    certificate: impl Read,
) -> Result<Accepted, Rejection> {
    let mut reader = Reader::new(certificate, digests)?;
    let record = reader.read()?;
    check_records(graph, property, semantics, record, reader)
}

/// The same from the first record on.
pub(crate) fn check_records<R: Read>(
    graph: &Graph,
    property: &Property,
    semantics: Semantics,
    mut record: Option<Record>,
    mut reader: Reader<R>,
) -> Result<Accepted, Rejection> {
    if let Some(Record::Witness(witness)) = record {
        return match reader.read()? {
            None if semantics == Semantics::Real => counterexample(graph, property, &witness),
            None => executed_counterexample(graph, property, &witness),
            Some(_) => Err(Rejection::Witness("a counterexample is followed by another record")),
        };
    }
    let network = Network::new(graph, semantics)?;
    let mut checker = Checker::new(&network, property)?;
    while let Some(next) = record {
        checker.take(next, reader.entries())?;
        record = reader.read()?;
    }
    checker.settle()?;
    let open = checker.parts.values().flatten().count();
    if open == 0 { Ok(Accepted::Unsat { records: checker.records }) } else { Err(Rejection::Open(open)) }
}

/// Evaluates a network exactly at a point.
fn counterexample(graph: &Graph, property: &Property, witness: &Witness) -> Result<Accepted, Rejection> {
    match replay(graph, property, &witness.point)? {
        Replay::Violated { case, conjunction, outputs } => {
            let inside =
                |(found, said): (&Enclosure, &Enclosure)| said.lower <= found.lower && found.upper <= said.upper;
            if outputs.len() == witness.outputs.len() && outputs.iter().zip(&witness.outputs).all(inside) {
                Ok(Accepted::Sat { case, conjunction })
            } else {
                Err(Rejection::Witness("the outputs of the counterexample are not what they are said to be"))
            }
        }
        Replay::NotViolated { .. } => Err(Rejection::Witness("the point is no counterexample")),
        Replay::Undecided { .. } => {
            Err(Rejection::Witness("whether the point is a counterexample is too close to call"))
        }
    }
}

/// Executes a network once at a point.
fn executed_counterexample(graph: &Graph, property: &Property, witness: &Witness) -> Result<Accepted, Rejection> {
    let Some(Executed { case, conjunction, outputs }) = replay_executed(graph, property, &witness.point)? else {
        return Err(Rejection::Witness("the point is no counterexample as executed in f32"));
    };
    let same = |(found, said): (&RBig, &Enclosure)| said.lower == *found && said.upper == *found;
    if outputs.len() == witness.outputs.len() && outputs.iter().zip(&witness.outputs).all(same) {
        Ok(Accepted::Sat { case, conjunction })
    } else {
        Err(Rejection::Witness("the outputs of the counterexample are not what they are said to be"))
    }
}

/// The open parts, and records that are still to be checked.
struct Checker<'a> {
    network: &'a Network,
    cases: Vec<Case>,
    /// A part that holds nothing is `None`.
    parts: BTreeMap<u64, Option<Part>>,
    next: u64,
    records: u64,
    waiting: Vec<Waiting>,
    /// Entries of the lists of those.
    entries: u64,
}

impl<'a> Checker<'a> {
    /// One part for each case.
    fn new(network: &'a Network, property: &Property) -> Result<Self, Rejection> {
        let (mut cases, mut parts) = (Vec::new(), BTreeMap::new());
        for (number, case) in property.cases.iter().enumerate() {
            if case.ball.is_some() {
                return Err(Rejection::Ball(number));
            }
            let (frame, corners) = Frame::new(&case.lower, &case.upper)?;
            let start = |c: &LinearConstraint| Ok((objective(network, c)?, c.strict));
            let all = case.unsafe_set.iter().map(|conjunction| conjunction.iter().map(start).collect());
            let disjuncts: Vec<Vec<(Start, bool)>> = all.collect::<Result<_, Rejection>>()?;
            let (corners, known) = (Arc::new(corners), Arc::<Known>::default());
            let open: Vec<u32> = (0..disjuncts.len() as u32).collect();
            let part = Part {
                case: number,
                corners,
                splits: Vec::new(),
                open,
                known: known.clone(),
                stale: false,
                smaller: false,
                space: None,
                narrowed: None,
            };
            parts.insert(number as u64, (!part.open.is_empty()).then_some(part));
            cases.push(Case { frame, disjuncts, known, direct: OnceLock::new() });
        }
        let next = parts.len() as u64;
        Ok(Self { network, cases, parts, next, records: 0, waiting: Vec::new(), entries: 0 })
    }

    /// Bounds the box of a case, with the help of a table, when the first record names it; says whether this is the first.
    /// The exponents of its frame are those of these bounds, which a table may make much tighter.
    fn open(&mut self, id: u64, table: &Table) -> Result<bool, Rejection> {
        let place = usize::try_from(id).ok().filter(|place| *place < self.cases.len());
        let Some(case) = place.map(|place| &mut self.cases[place]).filter(|case| case.frame.is_new()) else {
            return Ok(false);
        };
        let Some(part) = self.parts.get_mut(&id) else { return Ok(false) };
        let Some(open) = part else { return Ok(false) };
        match case.frame.start(self.network, &open.corners, table)? {
            Some(known) => {
                case.known = Arc::new(known);
                open.known = case.known.clone();
            }
            // Nothing of the box has the ranges that the table shows.
            None => *part = None,
        }
        Ok(true)
    }

    /// Takes up a record. How many children a part has is the record's to say, so their numbers are known at once.
    fn take(&mut self, record: Record, entries: u64) -> Result<(), Rejection> {
        self.records += 1;
        let number = self.records;
        match record {
            Record::Witness(_) => Err(Rejection::Witness("a counterexample follows other records")),
            Record::Related(_) => Err(Rejection::Pairing),
            Record::Table(table) => {
                self.settle()?;
                if self.open(table.id, &table)? {
                    return Ok(());
                }
                let part = self.parts.remove(&table.id).ok_or(Rejection::Part { record: number, part: table.id })?;
                let better = |part: Part| {
                    let known = self.known(&part, &table)?;
                    Ok(known.map(|known| Part { known, stale: false, narrowed: None, ..part }))
                };
                let part: Option<Result<_, Rejection>> = part.map(better);
                self.parts.insert(table.id, part.transpose()?.flatten());
                Ok(())
            }
            Record::Step(step) => {
                self.open(step.id, &Table::default())?;
                let first = self.next;
                self.next += step.next.children();
                self.waiting.push(Waiting { number, step, first });
                self.entries += entries;
                if self.waiting.len() >= READ_AHEAD || self.entries >= ENTRIES { self.settle() } else { Ok(()) }
            }
        }
    }

    /// Checks the records that are waiting, in rounds: those whose parts are there go side by side.
    fn settle(&mut self) -> Result<(), Rejection> {
        self.entries = 0;
        while !self.waiting.is_empty() {
            let (mut ready, mut later) = (Vec::new(), Vec::new());
            for record in std::mem::take(&mut self.waiting) {
                match self.parts.remove(&record.step.id) {
                    Some(part) => ready.push((record, part)),
                    None => later.push(record),
                }
            }
            if let (true, Some(Waiting { number, step, .. })) = (ready.is_empty(), later.first()) {
                return Err(Rejection::Part { record: *number, part: step.id });
            }
            self.waiting = later;
            let check = |(record, part): &(Waiting, Option<Part>)| match part {
                Some(part) => self.step(record.number, &record.step, part.clone()),
                None => Ok(Vec::new()),
            };
            let found: Vec<Result<Vec<Option<Part>>, Rejection>> = ready.par_iter().map(check).collect();
            for ((record, _), children) in ready.into_iter().zip(found) {
                let children = children?;
                // A part of which these bounds leave nothing has empty children.
                let empty = std::iter::repeat_with(|| None);
                let numbers = record.first..record.first + record.step.next.children();
                self.parts.extend(numbers.zip(children.into_iter().chain(empty)));
            }
        }
        Ok(())
    }

    /// Bounds of a part, with the help of a table; `None` where they show that it is empty.
    fn known(&self, part: &Part, table: &Table) -> Result<Option<Arc<Known>>, Rejection> {
        let ranges = part.ranges().ok_or(Rejection::Table)?;
        let known = self.cases[part.case].frame.narrow(self.network, &part.corners, &ranges, table)?;
        Ok(known.map(Arc::new))
    }

    /// Checks the claims about a part; returns its children.
    fn step(&self, number: u64, step: &format::Step, mut part: Part) -> Result<Vec<Option<Part>>, Rejection> {
        let case = &self.cases[part.case];
        let this = Bounding { network: self.network, case, number, id: step.id };
        let fine = Frame { fine: true, ..case.frame.clone() };
        let mut frame = &case.frame;
        if !this.narrow(&mut part)? {
            return Ok(Vec::new());
        }
        this.forget(&mut part, step)?;
        if part.stale {
            let Some(known) = self.known(&part, &Table::default())? else { return Ok(Vec::new()) };
            (part.known, part.stale, part.narrowed) = (known, false, None);
            // Where coarse weights do not show it, fine ones may.
            if !this.all(frame, &part, &step.refuted)? {
                frame = &fine;
                let ranges = part.ranges().ok_or(Rejection::Table)?;
                let known = fine.narrow(self.network, &part.corners, &ranges, &Table::default())?;
                let Some(known) = known else { return Ok(Vec::new()) };
                part.known = Arc::new(known);
                this.prove(frame, &part, &step.refuted)?;
            }
        } else {
            this.prove(frame, &part, &step.refuted)?;
        }
        part.open.retain(|d| step.refuted.iter().all(|claim| claim.disjunct != *d));
        if !part.open.is_empty() && !step.cutting.is_empty() {
            match step.next {
                Next::Relu(_) => this.bound(frame, &mut part, step)?,
                _ if !this.cut(frame, &mut part, step)? => return Ok(Vec::new()),
                _ => {}
            }
        }
        this.children(part, step)
    }
}

impl Part {
    /// The ranges of the inputs of its ReLUs; `None` where a split names one that does not exist.
    fn ranges(&self) -> Option<Ranges> {
        let mut ranges = self.narrowed.as_deref().unwrap_or(&self.known.ranges).clone();
        self.splits.iter().try_for_each(|split| cut(&mut ranges, *split).map(|_| ()))?;
        Some(ranges)
    }
}

/// $g = \langle a, x \rangle + \langle b, y \rangle - c$.
fn objective(network: &Network, constraint: &LinearConstraint) -> Result<Start, Rejection> {
    let floor = |terms: &[(usize, RBig)]| -> Result<Terms, Rejection> {
        let ends: Vec<(usize, Interval)> = terms.iter().map(|(i, v)| (*i, enclosed(v, 128))).collect();
        let top = ends.iter().flat_map(|(_, v)| [v.lower.top(), v.upper.top()]).flatten().max().unwrap_or(0);
        let exponent = top - 60;
        let (mut values, mut away) = (Vec::with_capacity(ends.len()), 0);
        for (i, v) in ends {
            let below = v.lower.floor_at(exponent);
            let units = u8::try_from(v.upper.ceil_at(exponent) - &below).map_err(|_| Rejection::Range)?;
            away = units.max(away);
            values.push((i, i64::try_from(below).map_err(|_| Rejection::Range)?));
        }
        Ok(Terms { values, exponent, away })
    };
    let constant = enclosed(&constraint.bound, 256).upper.negated();
    let input = if constraint.inputs.is_empty() { None } else { Some(floor(&constraint.inputs)?) };
    Ok(Start::new(network.output(), floor(&constraint.outputs)?, input, constant))
}

/// One record against its part.
struct Bounding<'a> {
    network: &'a Network,
    case: &'a Case,
    number: u64,
    id: u64,
}

/// A part on the way to a proof.
struct Attempt<'a> {
    frame: &'a Frame,
    corners: &'a Corners,
    known: &'a Known,
    ranges: Ranges,
    splits: Vec<Split>,
    smaller: bool,
}

impl Bounding<'_> {
    fn content(&self, what: &'static str) -> Rejection {
        Rejection::Content { record: self.number, what }
    }

    /// What becomes of a part on which these disjuncts are open.
    fn children(&self, part: Part, step: &format::Step) -> Result<Vec<Option<Part>>, Rejection> {
        if part.open.is_empty() {
            return Ok(Vec::new());
        }
        // A cut may end before a split: then one half is empty.
        let child = |corners: Corners| {
            let empty = corners.lower.iter().zip(&corners.upper).any(|(l, u)| l > u);
            (!empty).then(|| Part { corners: Arc::new(corners), stale: true, smaller: true, ..part.clone() })
        };
        match &step.next {
            Next::Closed => Err(self.content("a part is closed though a disjunct is open on it")),
            Next::Whole => Ok(vec![Some(part)]),
            Next::Axis(axis, at) => {
                let axis = *axis as usize;
                let at = exact(*at).ok_or_else(|| self.content("a split is not at a number"))?;
                let (mut left, mut right) = (Corners::clone(&part.corners), Corners::clone(&part.corners));
                if axis >= left.lower.len() {
                    return Err(self.content("a split is along an input that does not exist"));
                }
                let fit = |v: dashu_int::IBig| i64::try_from(v).map_err(|_| self.content("a split is far outside"));
                let g = self.case.frame.exponent[0];
                // Rounded outward, the halves overlap by a unit at most.
                left.upper[axis] = left.upper[axis].min(fit(at.ceil_at(g))?);
                right.lower[axis] = right.lower[axis].max(fit(at.floor_at(g))?);
                Ok([left, right].into_iter().map(child).collect())
            }
            Next::Relu(first) => {
                let ranges = part.narrowed.as_deref().unwrap_or(&part.known.ranges);
                let range = ranges.get(first.layer as usize);
                let ends =
                    range.and_then(|r| Some((*r.lower.get(first.neuron as usize)?, r.upper[first.neuron as usize])));
                let (l, u) = ends.ok_or_else(|| self.content("a split is at a ReLU that does not exist"))?;
                let half = |active: bool| {
                    let empty = if active { u < 0 } else { l > 0 };
                    (!empty).then(|| {
                        let mut part = part.clone();
                        part.splits.push(Split { active, ..*first });
                        part
                    })
                };
                Ok([first.active, !first.active].into_iter().map(half).collect())
            }
            Next::Apart(disjunct) => {
                let (alone, others): (Vec<u32>, Vec<u32>) = part.open.iter().partition(|d| *d == disjunct);
                let with = |open: Vec<u32>| (!open.is_empty()).then(|| Part { open, ..part.clone() });
                Ok(vec![with(alone), with(others)])
            }
        }
    }

    fn attempt<'a>(&self, frame: &'a Frame, part: &'a Part) -> Result<Attempt<'a>, Rejection> {
        let ranges = part.ranges().ok_or(Rejection::Table)?;
        let (splits, smaller) = (part.splits.clone(), part.smaller);
        Ok(Attempt { frame, corners: &part.corners, known: &part.known, ranges, splits, smaller })
    }

    /// Whether all claims hold, without halvings.
    fn all(&self, frame: &Frame, part: &Part, claims: &[Claim]) -> Result<bool, Rejection> {
        if claims.is_empty() {
            return Ok(true);
        }
        let mut attempt = self.attempt(frame, part)?;
        for claim in claims {
            if !self.refuted(&mut attempt, claim, 0)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All claims, with coarse weights if these do, with fine ones and halvings where they leave a little short.
    fn prove(&self, frame: &Frame, part: &Part, claims: &[Claim]) -> Result<(), Rejection> {
        let fine = Frame { fine: true, ..frame.clone() };
        let halvings = if part.smaller { HALVINGS.0 } else { HALVINGS.1 };
        if claims.is_empty() {
            return Ok(());
        }
        let mut attempt = self.attempt(frame, part)?;
        for claim in claims {
            attempt.frame = frame;
            if !frame.fine && self.refuted(&mut attempt, claim, 0)? {
                continue;
            }
            attempt.frame = &fine;
            if !self.refuted(&mut attempt, claim, halvings)? {
                return Err(Rejection::Bound { record: self.number, part: self.id, disjunct: claim.disjunct });
            }
        }
        Ok(())
    }

    /// Whether a claim's sum is positive on a part, or on both halves of it.
    fn refuted(&self, attempt: &mut Attempt<'_>, claim: &Claim, halvings: u32) -> Result<bool, Rejection> {
        let (frame, known, corners) = (attempt.frame, attempt.known, attempt.corners);
        let view = View { known, ranges: &attempt.ranges, splits: &attempt.splits };
        let mut probe = Probe::default();
        let (form, strict) = self.form(frame, view, claim, (halvings > 0).then_some(&mut probe))?;
        let shows = |least: &Dyadic| !least.is_negative() && (strict || !least.is_zero());
        if shows(&form.minimum(corners, frame.exponent[0])) {
            return Ok(true);
        }
        // A sum of rows is not one row: then this is the bound of one of them only.
        if claim.rows.len() == 1 && probe.best.as_ref().is_some_and(shows) {
            return Ok(true);
        }
        if halvings == 0 {
            return Ok(false);
        }
        if attempt.smaller {
            self.halves(attempt, claim, &form, halvings)
        } else {
            self.signs(attempt, claim, probe, halvings)
        }
    }

    /// Halves the input that moves the claim's sum most.
    fn halves(&self, attempt: &Attempt<'_>, claim: &Claim, form: &Form, halvings: u32) -> Result<bool, Rejection> {
        let corners = attempt.corners;
        let weight = |i: &usize| {
            let width = i128::from(corners.upper[*i]) - i128::from(corners.lower[*i]);
            i128::from(form.values[*i].unsigned_abs()) * width
        };
        let Some(axis) = (0..form.values.len()).max_by_key(weight) else { return Ok(false) };
        let middle = corners.lower[axis] + (corners.upper[axis] - corners.lower[axis]) / 2;
        let (mut left, mut right) = (corners.clone(), corners.clone());
        left.upper[axis] = middle;
        right.lower[axis] = middle;
        for half in [left, right] {
            let known = attempt.frame.narrow(self.network, &half, &attempt.ranges, &Table::default())?;
            let Some(known) = known else { continue };
            let (ranges, splits) = (known.ranges.clone(), attempt.splits.clone());
            let mut half =
                Attempt { frame: attempt.frame, corners: &half, known: &known, ranges, splits, smaller: true };
            if !self.refuted(&mut half, claim, halvings - 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Tries both signs of the ReLU whose line costs the claim's sum most.
    fn signs(&self, attempt: &mut Attempt<'_>, claim: &Claim, probe: Probe, halvings: u32) -> Result<bool, Rejection> {
        let Some((_, split)) = probe.costliest else { return Ok(false) };
        let (r, j) = (split.layer as usize, split.neuron as usize);
        for active in [false, true] {
            let split = Split { active, ..split };
            let (l, u) = cut(&mut attempt.ranges, split).ok_or(Rejection::Table)?;
            // Behind the certificate's own splits, so that its multipliers keep their places.
            attempt.splits.push(split);
            let found = self.refuted(attempt, claim, halvings - 1);
            attempt.splits.pop();
            (attempt.ranges[r].lower[j], attempt.ranges[r].upper[j]) = (l, u);
            if !found? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The linear function below a claim's sum, and whether all its objectives are strict.
    fn form(
        &self,
        frame: &Frame,
        view: View<'_>,
        claim: &Claim,
        mut probe: Option<&mut Probe>,
    ) -> Result<(Form, bool), Rejection> {
        let missing = || self.content("a disjunct or objective that does not exist");
        let objectives = self.case.disjuncts.get(claim.disjunct as usize).ok_or_else(missing)?;
        let mut sum: Option<Form> = None;
        let mut strict = true;
        for row in &claim.rows {
            let (start, is_strict) = objectives.get(row.objective as usize).ok_or_else(missing)?;
            let single = claim.rows.len() == 1;
            let fits = if single { row.weight <= 1 } else { row.weight > 0 && row.weight <= 1 << 20 };
            if !fits {
                return Err(self.content("a weight is out of range"));
            }
            // Without an objective, the splits contradict each other where their multiples have a positive sum.
            strict &= *is_strict && row.weight > 0;
            let start = if row.weight > 0 { start.clone() } else { Start::nothing(self.network.output()) };
            let form = back(self.network, frame, view, start, &row.slopes, probe.as_deref_mut())?;
            sum = Some(match sum {
                None if single => form,
                None => form.times(row.weight).ok_or(Rejection::Range)?,
                Some(sum) => {
                    let form = form.times(row.weight).ok_or(Rejection::Range)?;
                    sum.plus(form, &view.known.below[0], frame.exponent[0]).ok_or(Rejection::Range)?
                }
            });
        }
        Ok((sum.ok_or_else(|| self.content("a claim without an objective"))?, strict))
    }

    /// Leaves out splits of a part that is to be closed: what is refuted without them is refuted with them.
    fn forget(&self, part: &mut Part, step: &format::Step) -> Result<(), Rejection> {
        let places = &step.without;
        if places.is_empty() {
            return Ok(());
        }
        let ascending = places.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || places.iter().any(|place| *place as usize >= part.splits.len()) {
            return Err(self.content("a part is closed without a split that it does not have"));
        }
        let kept = (0..).zip(&part.splits).filter(|(place, _)| places.binary_search(place).is_err());
        part.splits = kept.map(|(_, split)| *split).collect();
        part.narrowed = None;
        Ok(())
    }

    /// Narrows a part's ranges by its half-spaces, if it has any; says whether something is left.
    fn narrow(&self, part: &mut Part) -> Result<bool, Rejection> {
        let Some(space) = part.space.clone() else { return Ok(true) };
        let layers = match self.case.direct.get() {
            Some(layers) => layers,
            None => {
                let layers = direct(self.network, &self.case.frame, &self.case.known)?;
                self.case.direct.get_or_init(|| layers)
            }
        };
        let mut ranges = part.ranges().ok_or(Rejection::Table)?;
        let left = spaces::narrow(&self.case.frame, layers, &part.corners, &space, &part.splits, &mut ranges);
        part.narrowed = Some(Arc::new(ranges));
        Ok(left)
    }

    /// Keeps of a part what a claim about its only disjunct leaves.
    fn bound(&self, frame: &Frame, part: &mut Part, step: &format::Step) -> Result<(), Rejection> {
        let [claim] = step.cutting.as_slice() else {
            return Err(self.content("several claims cut before a split at a ReLU"));
        };
        if part.open != [claim.disjunct] {
            return Err(self.content("a claim cuts a part with other disjuncts before a split at a ReLU"));
        }
        let attempt = self.attempt(frame, part)?;
        let view = View { known: &part.known, ranges: &attempt.ranges, splits: &attempt.splits };
        let (form, _) = self.form(frame, view, claim, None)?;
        let g = frame.exponent[0];
        let own = Space::below(&form, &part.known.below[0], g).map(|own| match step.space.split_last() {
            Some((constant, coefficients)) => own.widened(coefficients, *constant, &part.corners, g),
            None => own,
        });
        part.space = own.map(Arc::new).or(part.space.take());
        Ok(())
    }

    /// Cuts a part to the box around what the cutting claims leave of each open disjunct, though not further than the
    /// record asks, and drops disjuncts of which nothing is left; says whether something is left at all.
    ///
    /// Where a form with least value $M$ on the box is at most 0, $x_i - l_i \le -M / A_i$ for $A_i > 0$, and
    /// $u_i - x_i \le M / A_i$ for $A_i < 0$.
    fn cut(&self, frame: &Frame, part: &mut Part, step: &format::Step) -> Result<bool, Rejection> {
        let (g, corners) = (frame.exponent[0], &part.corners);
        let attempt = self.attempt(frame, part)?;
        let view = View { known: &part.known, ranges: &attempt.ranges, splits: &attempt.splits };
        let mut left: BTreeMap<u32, Corners> = part.open.iter().map(|d| (*d, Corners::clone(corners))).collect();
        for claim in &step.cutting {
            let (form, _) = self.form(frame, view, claim, None)?;
            let least = form.minimum(corners, g);
            let Some(mine) = left.get_mut(&claim.disjunct) else { continue };
            // In units of the input, with the coefficient's exponent taken out.
            let room = least.negated().ceil_at(form.exponent + g);
            for (i, a) in form.values.iter().enumerate().filter(|(_, a)| **a != 0) {
                let step = quotients(&room, &a.unsigned_abs().into()).1;
                let Ok(step) = i64::try_from(step) else { continue };
                if *a > 0 {
                    mine.upper[i] = mine.upper[i].min(corners.lower[i].saturating_add(step));
                } else {
                    mine.lower[i] = mine.lower[i].max(corners.upper[i].saturating_sub(step));
                }
            }
        }
        left.retain(|_, box_| box_.lower.iter().zip(&box_.upper).all(|(l, u)| l <= u));
        part.open.retain(|d| left.contains_key(d));
        let hull = left.into_values().reduce(|a, b| Corners {
            lower: a.lower.iter().zip(&b.lower).map(|(a, b)| *a.min(b)).collect(),
            upper: a.upper.iter().zip(&b.upper).map(|(a, b)| *a.max(b)).collect(),
        });
        let Some(hull) = hull else { return Ok(false) };
        let mut kept = Corners::clone(corners);
        for (axis, lower, upper) in &step.left {
            let i = *axis as usize;
            let (Some(lower), Some(upper)) = (exact(*lower), exact(*upper)) else {
                return Err(self.content("a side is not at a number"));
            };
            if i >= hull.lower.len() {
                return Err(self.content("a side of an input that does not exist"));
            }
            let end = |v: dashu_int::IBig| i64::try_from(v).map_err(|_| self.content("a side is far outside"));
            kept.lower[i] = hull.lower[i].min(end(lower.floor_at(g))?).max(corners.lower[i]);
            kept.upper[i] = hull.upper[i].max(end(upper.ceil_at(g))?).min(corners.upper[i]);
        }
        (part.corners, part.stale, part.smaller) = (Arc::new(kept), true, true);
        Ok(true)
    }
}
