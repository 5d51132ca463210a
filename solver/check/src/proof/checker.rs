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

use super::bounds::{Corners, Frame, Known, Ranges};
use super::format::{Claim, FormatError, Next, Reader, Record, Row, exact};
use super::matrix::power;
use super::network::Network;
use super::rows::{Form, Slopes, Start, Terms, WHOLE, back};
use crate::error::CheckError;
use crate::evaluate::enclosed;
use crate::interval::{Interval, quotients};
use dashu_ratio::RBig;
use secateur_nn::graph::Graph;
use secateur_nn::property::{LinearConstraint, Property};
use std::collections::BTreeMap;
use std::io::Read;
use std::rc::Rc;
use thiserror::Error;

/// What was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Records read.
    pub records: u64,
}

/// Why a certificate proves nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The file.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The network.
    #[error(transparent)]
    Network(#[from] CheckError),
    /// The region is a ball.
    #[error("case {0} of the property is a ball; certificates are about boxes")]
    Ball(usize),
    /// Numbers outgrow the integers.
    #[error("the numbers of the bounds spread over too many binary orders of magnitude")]
    Range,
    /// A record names a part that is not open.
    #[error("record {record}: part {part} is not open")]
    Part {
        /// The record.
        record: u64,
        /// The part.
        part: u64,
    },
    /// A record names a disjunct, objective, neuron or axis that does not exist, a slope outside of [0, 1], or an end
    /// that is not a number.
    #[error("record {record}: {what}")]
    Content {
        /// The record.
        record: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A bound does not show what is claimed.
    #[error("record {record}: the bounds do not refute disjunct {disjunct} on part {part}")]
    Bound {
        /// The record.
        record: u64,
        /// The part.
        part: u64,
        /// The disjunct.
        disjunct: u32,
    },
    /// The end came too early.
    #[error("the certificate ends with {0} open parts")]
    Open(usize),
}

/// How often a part may be halved to refute a disjunct that its bounds leave a little short.
const HALVINGS: u32 = 4;

/// A part of a region.
struct Part {
    case: usize,
    corners: Corners,
    open: Vec<u32>,
    known: Rc<Ranges>,
}

/// One case of the property, ready for bounds.
struct Case {
    frame: Frame,
    /// Objectives of every disjunct: where to start, and whether equality is excluded.
    disjuncts: Vec<Vec<(Start, bool)>>,
}

/// Checks a certificate.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(graph: &Graph, property: &Property, certificate: impl Read) -> Result<Accepted, Rejection> {
    let network = Network::new(graph)?;
    let mut reader = Reader::new(certificate)?;
    let (mut cases, mut parts) = (Vec::new(), BTreeMap::new());
    for (number, case) in property.cases.iter().enumerate() {
        if case.ball.is_some() {
            return Err(Rejection::Ball(number));
        }
        let (frame, corners, known) = Frame::new(&network, &case.lower, &case.upper)?;
        let start = |c: &LinearConstraint| Ok((objective(&network, c)?, c.strict));
        let all = case.unsafe_set.iter().map(|conjunction| conjunction.iter().map(start).collect());
        let disjuncts: Vec<Vec<(Start, bool)>> = all.collect::<Result<_, Rejection>>()?;
        let known = Rc::new(known.ranges);
        let open = (0..disjuncts.len() as u32).collect();
        parts.insert(number as u64, Some(Part { case: number, corners, open, known }));
        cases.push(Case { frame, disjuncts });
    }
    let (mut next, mut records) = (parts.len() as u64, 0);
    while let Some(record) = reader.read()? {
        records += 1;
        let part = parts.remove(&record.id).ok_or(Rejection::Part { record: records, part: record.id })?;
        let children = match part {
            Some(part) => {
                Step { network: &network, case: &cases[part.case], number: records, record: &record }.take(part)?
            }
            None => Vec::new(),
        };
        // A part of which these bounds leave nothing has empty children.
        let expected = match record.next {
            Next::Closed => 0,
            Next::Whole => 1,
            Next::Axis(..) => 2,
        };
        let empty = expected - children.len();
        for child in children.into_iter().chain((0..empty).map(|_| None)) {
            parts.insert(next, child);
            next += 1;
        }
    }
    let open = parts.values().flatten().count();
    if open == 0 { Ok(Accepted { records }) } else { Err(Rejection::Open(open)) }
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
struct Step<'a> {
    network: &'a Network,
    case: &'a Case,
    number: u64,
    record: &'a Record,
}

impl Step<'_> {
    fn content(&self, what: &'static str) -> Rejection {
        Rejection::Content { record: self.number, what }
    }

    /// Where coarse weights do not show it, fine ones may.
    fn take(&self, part: Part) -> Result<Vec<Option<Part>>, Rejection> {
        match self.attempt(&part, &self.case.frame) {
            Err(Rejection::Bound { .. }) => self.attempt(&part, &Frame { fine: true, ..self.case.frame.clone() }),
            result => result,
        }
    }

    fn attempt(&self, part: &Part, frame: &Frame) -> Result<Vec<Option<Part>>, Rejection> {
        let known = frame.narrow(self.network, &part.corners, &part.known)?;
        let g = frame.exponent[0];
        let mut open = part.open.clone();
        for claim in &self.record.refuted {
            // Halving is for what fine weights leave a little short.
            if !self.refuted(frame, &part.corners, &known, claim, if frame.fine { HALVINGS } else { 0 })? {
                let (record, part) = (self.number, self.record.id);
                return Err(Rejection::Bound { record, part, disjunct: claim.disjunct });
            }
            open.retain(|d| *d != claim.disjunct);
        }
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let Some(corners) = self.cut(frame, &part.corners, &mut open, &known)? else { return Ok(Vec::new()) };
        let known = Rc::new(known.ranges);
        // A cut may end before a split: then one half is empty.
        let child = |corners: Corners| {
            let empty = corners.lower.iter().zip(&corners.upper).any(|(l, u)| l > u);
            (!empty).then(|| Part { case: part.case, corners, open: open.clone(), known: known.clone() })
        };
        match &self.record.next {
            Next::Closed => Err(self.content("a part is closed though a disjunct is open on it")),
            Next::Whole => Ok(vec![child(corners)]),
            Next::Axis(axis, at) => {
                let axis = *axis as usize;
                let at = exact(*at).ok_or_else(|| self.content("a split is not at a number"))?;
                if axis >= corners.lower.len() {
                    return Err(self.content("a split is along an input that does not exist"));
                }
                let fit = |v: dashu_int::IBig| i64::try_from(v).map_err(|_| self.content("a split is far outside"));
                let (mut left, mut right) = (corners.clone(), corners);
                // Rounded outward, the halves overlap by a unit at most.
                left.upper[axis] = left.upper[axis].min(fit(at.ceil_at(g))?);
                right.lower[axis] = right.lower[axis].max(fit(at.floor_at(g))?);
                Ok([left, right].into_iter().map(child).collect())
            }
        }
    }

    /// Whether a claim's sum is positive on a box, or on both halves of it.
    fn refuted(
        &self,
        frame: &Frame,
        corners: &Corners,
        known: &Known,
        claim: &Claim,
        halvings: u32,
    ) -> Result<bool, Rejection> {
        let (form, strict) = self.form(frame, known, claim)?;
        let least = form.minimum(corners, frame.exponent[0]);
        if !least.is_negative() && (strict || !least.is_zero()) {
            return Ok(true);
        }
        let weight = |i: &usize| {
            let width = i128::from(corners.upper[*i]) - i128::from(corners.lower[*i]);
            i128::from(form.values[*i].unsigned_abs()) * width
        };
        let Some(axis) = (0..form.values.len()).max_by_key(weight).filter(|_| halvings > 0) else { return Ok(false) };
        let middle = corners.lower[axis] + (corners.upper[axis] - corners.lower[axis]) / 2;
        let (mut left, mut right) = (corners.clone(), corners.clone());
        left.upper[axis] = middle;
        right.lower[axis] = middle;
        for half in [left, right] {
            let known = frame.narrow(self.network, &half, &known.ranges)?;
            if !self.refuted(frame, &half, &known, claim, halvings - 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The linear function below a claim's sum, and whether all its objectives are strict.
    fn form(&self, frame: &Frame, known: &Known, claim: &Claim) -> Result<(Form, bool), Rejection> {
        let missing = || self.content("a disjunct or objective that does not exist");
        let objectives = self.case.disjuncts.get(claim.disjunct as usize).ok_or_else(missing)?;
        let mut sum: Option<Form> = None;
        let mut strict = true;
        for row in &claim.rows {
            let (start, is_strict) = objectives.get(row.objective as usize).ok_or_else(missing)?;
            let single = claim.rows.len() == 1;
            if row.weight == 0 || row.weight > 1 << 20 || (single && row.weight != 1) {
                return Err(self.content("a weight is out of range"));
            }
            strict &= *is_strict;
            let form = back(self.network, frame, known, start.clone(), &self.slopes(row)?)?;
            sum = Some(match sum {
                None if single => form,
                None => form.times(row.weight).ok_or(Rejection::Range)?,
                Some(sum) => {
                    let form = form.times(row.weight).ok_or(Rejection::Range)?;
                    sum.plus(form, &known.below[0], frame.exponent[0]).ok_or(Rejection::Range)?
                }
            });
        }
        Ok((sum.ok_or_else(|| self.content("a claim without an objective"))?, strict))
    }

    fn slopes(&self, row: &Row) -> Result<Slopes, Rejection> {
        if row.alpha.values().flat_map(BTreeMap::values).any(|slope| *slope > WHOLE || *slope < 0) {
            return Err(self.content("a slope is outside of [0, 1]"));
        }
        Ok(Slopes { alpha: row.alpha.clone() })
    }

    /// The box around what the cutting claims leave of each open disjunct; drops disjuncts of which nothing is left.
    ///
    /// Where a form with least value $M$ on the box is at most 0, $x_i - l_i \le -M / A_i$ for $A_i > 0$, and
    /// $u_i - x_i \le M / A_i$ for $A_i < 0$.
    fn cut(
        &self,
        frame: &Frame,
        corners: &Corners,
        open: &mut Vec<u32>,
        known: &Known,
    ) -> Result<Option<Corners>, Rejection> {
        let g = frame.exponent[0];
        let mut left: BTreeMap<u32, Corners> = open.iter().map(|d| (*d, corners.clone())).collect();
        for claim in &self.record.cutting {
            let (form, _) = self.form(frame, known, claim)?;
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
        open.retain(|d| left.contains_key(d));
        Ok(left.into_values().reduce(|a, b| Corners {
            lower: a.lower.iter().zip(&b.lower).map(|(a, b)| *a.min(b)).collect(),
            upper: a.upper.iter().zip(&b.upper).map(|(a, b)| *a.max(b)).collect(),
        }))
    }
}

impl Form {
    /// The function times a weight.
    fn times(mut self, weight: u64) -> Option<Self> {
        let factor = i64::try_from(weight).ok()?;
        // Room for the weight.
        for v in &mut self.values {
            *v = v.checked_mul(factor)?;
        }
        self.constant = self.constant.times(&power(i128::from(factor), 0));
        Some(self)
    }

    /// The sum of two; coefficients are rounded down where exponents differ.
    fn plus(mut self, mut other: Self, below: &[i64], g: i64) -> Option<Self> {
        let gap = self.exponent - other.exponent;
        let finer = if gap > 0 { &mut other } else { &mut self };
        let shift = gap.abs().min(63);
        if shift > 0 {
            let loss: i128 = below.iter().map(|b| i128::from(*b)).sum();
            finer.values.iter_mut().for_each(|v| *v >>= shift);
            finer.exponent += gap.abs();
            finer.constant = finer.constant.minus(&power(loss, finer.exponent + g));
        }
        for (v, w) in self.values.iter_mut().zip(&other.values) {
            *v = v.checked_add(*w)?;
        }
        self.constant = self.constant.plus(&other.constant);
        Some(self)
    }
}
