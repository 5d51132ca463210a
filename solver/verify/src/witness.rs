//! Candidates become witnesses here, or nowhere.
//!
//! A witness is an exact rational input inside the exact box of a case. It must violate the property
//! twice: in exact arithmetic on the stored weights ([`secateur_check::replay()`]), and as executed in
//! `f32` on the input rounded to `f32`. Coordinates are `f32` numbers wherever the box holds one.
//!
//! Where the question is about executions in `f32`, its coordinates are numbers of that type, and it violates the property
//! in the execution of [`secateur_check::single`].

use crate::error::VerifyError;
use crate::report::Witness;
use crate::search::Candidate;
use crate::specification::round_up;
use dashu_ratio::RBig;
use secateur_check::single::execute;
use secateur_check::{Precision, Replay, Semantics, evaluate, replay, replay_executed};
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::eval::Evaluator;
use secateur_nn::graph::Graph;
use secateur_nn::property::{Case, Conjunction, LinearConstraint, Property};

/// Judges candidates for one question.
pub struct Judge<'a> {
    graph: &'a Graph,
    property: &'a Property,
    semantics: Semantics,
    executed: Evaluator<f32>,
    shape: Vec<usize>,
}

/// A point of a case's exact box with its margin.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The input, exactly.
    pub input: Vec<RBig>,
    /// The margin there: exact for the stored weights, then rounded up.
    pub margin: f64,
}

impl<'a> Judge<'a> {
    /// A judge for this network and property.
    ///
    /// # Errors
    /// The network cannot be evaluated in `f32`.
    pub fn new(graph: &'a Graph, property: &'a Property, semantics: Semantics) -> Result<Self, VerifyError> {
        let shape = graph.node(graph.input()).shape.clone();
        Ok(Self { graph, property, semantics, executed: Evaluator::new(graph)?, shape })
    }

    /// The witness at or next to `input` in the box of case `region`, if it is one.
    ///
    /// # Errors
    /// The exact evaluator does not know an operator of the network.
    #[track_caller]
    pub fn confirm(&self, region: usize, input: &[f64]) -> Result<Option<Witness>, VerifyError> {
        self.confirm_at(self.placed(region, input))
    }

    /// The witness at a measured point, if it is one.
    ///
    /// # Errors
    /// The exact evaluator does not know an operator of the network.
    pub fn confirm_exact(&self, point: &Point) -> Result<Option<Witness>, VerifyError> {
        self.confirm_at(point.input.clone())
    }

    fn confirm_at(&self, point: Vec<RBig>) -> Result<Option<Witness>, VerifyError> {
        if self.semantics == Semantics::Single {
            return self.confirm_executed(&point);
        }
        let Some(outputs) = self.execute(&point) else { return Ok(None) };
        let holds = |case: &Case| case.contains(&point) && case.unsafe_set.iter().any(|c| holds(c, &point, &outputs));
        if !self.property.cases.iter().any(holds) {
            return Ok(None);
        }
        match replay(self.graph, self.property, &point)? {
            Replay::Violated { .. } => Ok(Some(Witness { input: point, outputs })),
            _ => Ok(None),
        }
    }

    /// The witness at a point, if the execution there violates the property.
    fn confirm_executed(&self, point: &[RBig]) -> Result<Option<Witness>, VerifyError> {
        if !point.iter().all(is_single) {
            return Ok(None);
        }
        let Some(found) = replay_executed(self.graph, self.property, point)? else { return Ok(None) };
        Ok(Some(Witness { input: point.to_vec(), outputs: found.outputs.iter().map(number).collect() }))
    }

    /// Whether rounding may make a candidate of positive margin a witness.
    pub fn is_near(&self, candidate: &Candidate) -> bool {
        let scale = |c: &LinearConstraint| c.bound.to_f64().value().abs();
        let bounds = self.property.cases[candidate.region].unsafe_set.iter().flatten().map(scale);
        self.semantics == Semantics::Single && candidate.margin <= NEAR * bounds.fold(1.0, f64::max)
    }

    /// Looks for an execution that violates the property around a candidate: steps of some units in the last place that
    /// lower the executed margin are kept.
    ///
    /// # Errors
    /// See [`execute`].
    pub fn hunt(&self, candidate: &Candidate, random: &mut Random) -> Result<Option<Witness>, VerifyError> {
        let case = &self.property.cases[candidate.region];
        let mut best = self.placed(candidate.region, &candidate.input);
        let products = Self::size(self.graph);
        let mut least = f64::INFINITY;
        for turn in 0..(EFFORT / products.max(1)).clamp(16, 4096) {
            let reach = if turn == 0 { 0 } else { REACHES[turn % REACHES.len()] };
            let mut point = best.clone();
            for (i, x) in point.iter_mut().enumerate().filter(|_| turn > 0) {
                // About half of the coordinates stay.
                if random.unit() < 0.5 {
                    let steps = random.index(2 * reach + 1) as i64 - reach as i64;
                    *x = place(moved(number(x), steps), &case.lower[i], &case.upper[i]);
                }
            }
            if !case.contains(&point) || !point.iter().all(is_single) {
                continue;
            }
            let outputs = execute(self.graph, &point)?;
            let margin = executed_margin(case, &point, &outputs);
            if margin < least {
                (least, best) = (margin, point);
            }
            if least <= 0.0
                && let Some(witness) = self.confirm_executed(&best)?
            {
                return Ok(Some(witness));
            }
        }
        Ok(None)
    }

    /// Entries of all stored tensors and all nodes: about what an execution costs.
    fn size(graph: &Graph) -> usize {
        graph.nodes().map(|(_, node)| node.shape.iter().product::<usize>()).sum()
    }

    /// The point at or next to `input` in the box of case `region`, with its margin there; `None` when the
    /// output cannot be enclosed.
    ///
    /// # Errors
    /// The exact evaluator does not know an operator of the network.
    pub fn measure(&self, region: usize, input: &[f64]) -> Result<Option<Point>, VerifyError> {
        let input = self.placed(region, input);
        let outputs = evaluate(self.graph, &input, Precision::ROUNDED)?;
        // The greatest value that a constraint can have, given the enclosures.
        let greatest = |c: &LinearConstraint| {
            let mut sum = -c.bound.clone();
            c.inputs.iter().for_each(|(i, a)| sum += a * &input[*i]);
            for (j, b) in &c.outputs {
                sum += b * if *b > RBig::ZERO { &outputs[*j].upper } else { &outputs[*j].lower };
            }
            sum
        };
        let disjuncts = self.property.cases[region].unsafe_set.iter();
        let margins = disjuncts.filter_map(|conjunction| conjunction.iter().map(greatest).max());
        let margin = margins.min().map(|margin| round_up(&margin));
        Ok(margin.map(|margin| Point { input, margin }))
    }

    #[track_caller]
    fn placed(&self, region: usize, input: &[f64]) -> Vec<RBig> {
        let case = &self.property.cases[region];
        assert_eq!(input.len(), case.lower.len(), "a candidate has one coordinate per input");
        let at = |x: &dyn Fn(usize) -> f64| -> Vec<RBig> {
            (0..input.len()).map(|i| place(x(i), &case.lower[i], &case.upper[i])).collect()
        };
        let placed = at(&|i| input[i]);
        let Some(ball) = case.ball.as_ref().filter(|ball| !ball.contains(&placed)) else { return placed };
        // Nearer and nearer to the centre, until the exact ball holds the point.
        let centre: Vec<f64> = ball.centre.iter().map(|c| c.to_f64().value()).collect();
        let nearer = |excess: f64| at(&|i| centre[i] + (1.0 - excess) * (input[i] - centre[i]));
        let found = PULLS.into_iter().map(nearer).find(|point| ball.contains(point));
        found.unwrap_or_else(|| ball.centre.clone())
    }

    /// The network's output in `f32`; `None` when it is not finite.
    fn execute(&self, point: &[RBig]) -> Option<Vec<f32>> {
        let input = point.iter().map(|v| v.to_f64().value() as f32).collect();
        self.executed.forward(&Tensor::new(self.shape.clone(), input)).ok().map(Tensor::into_data)
    }
}

/// A candidate with a margin of at most this share of the property's largest bound may be a witness by rounding.
const NEAR: f64 = 1e-4;

/// Steps of a hunt, in units in the last place, at most.
const REACHES: [usize; 6] = [1, 4, 16, 64, 256, 1024];

/// What a hunt may cost, in entries.
const EFFORT: usize = 20_000_000;

/// The nearest number of type `f32`.
fn number(v: &RBig) -> f32 {
    v.to_f64().value() as f32
}

/// Whether it is one.
fn is_single(v: &RBig) -> bool {
    RBig::try_from(number(v)).is_ok_and(|single| single == *v)
}

/// The number some units in the last place away.
fn moved(x: f32, steps: i64) -> f64 {
    let mut x = x;
    for _ in 0..steps.unsigned_abs() {
        x = if steps > 0 { x.next_up() } else { x.next_down() };
    }
    f64::from(x)
}

/// The least over the conjunctions of the greatest of their constraints, as executed.
fn executed_margin(case: &Case, x: &[RBig], y: &[RBig]) -> f64 {
    let value = |c: &LinearConstraint| {
        let inputs = c.inputs.iter().map(|(i, a)| a * &x[*i]);
        let outputs = c.outputs.iter().map(|(j, b)| b * &y[*j]);
        inputs.chain(outputs).fold(-c.bound.clone(), |sum, v| sum + v)
    };
    let worst = case.unsafe_set.iter().filter_map(|conjunction| conjunction.iter().map(value).max()).min();
    worst.map_or(f64::INFINITY, |worst| worst.to_f64().value())
}

/// Shares of the way to its ball's centre that a candidate may move.
const PULLS: [f64; 5] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2];

/// The number next to `x` in `[low, high]`: of type `f32` if there is one, else `f64`, else `low`.
fn place(x: f64, low: &RBig, high: &RBig) -> RBig {
    let inside = |v: &RBig| low <= v && v <= high;
    let single = x as f32;
    let singles = [single, single.next_up(), single.next_down()].map(f64::from);
    let doubles = [x, x.next_up(), x.next_down()];
    let near = singles.into_iter().chain(doubles).filter_map(|v| RBig::try_from(v).ok());
    near.into_iter().find(inside).unwrap_or_else(|| low.clone())
}

/// Whether every constraint holds at the given numbers, exactly.
fn holds(conjunction: &Conjunction, x: &[RBig], y: &[f32]) -> bool {
    let satisfied = |c: &LinearConstraint| {
        let mut sum = -c.bound.clone();
        c.inputs.iter().for_each(|(i, a)| sum += a * &x[*i]);
        for (j, b) in &c.outputs {
            let Ok(y) = RBig::try_from(y[*j]) else { return false };
            sum += b * y;
        }
        sum < RBig::ZERO || (!c.strict && sum == RBig::ZERO)
    };
    conjunction.iter().all(satisfied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(n: i32, d: u32) -> RBig {
        RBig::from_parts(n.into(), d.into())
    }

    #[test]
    fn coordinates_stay_in_the_exact_box() {
        let (low, high) = (ratio(1, 10), ratio(3, 10));
        for x in [0.0, 0.1, 0.2, 0.3, 1.0] {
            let placed = place(x, &low, &high);
            assert!(low <= placed && placed <= high);
        }
        // A point box on a number that no float is.
        assert_eq!(place(0.1, &low, &low), low);
        // 0.2 is rounded to f32 when the box has room for it.
        assert_eq!(place(0.2, &low, &high), RBig::try_from(0.2f32).expect("finite"));
    }

    #[test]
    fn strict_constraints_exclude_ties() {
        let tie = |strict| LinearConstraint {
            inputs: vec![(0, RBig::from(1))],
            outputs: vec![(0, RBig::from(-2))],
            bound: RBig::ZERO,
            strict,
        };
        assert!(holds(&vec![tie(false)], &[RBig::from(2)], &[1.0]));
        assert!(!holds(&vec![tie(true)], &[RBig::from(2)], &[1.0]));
    }
}
