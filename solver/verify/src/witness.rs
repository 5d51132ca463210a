//! Candidates become witnesses here, or nowhere.
//!
//! A witness is an exact rational input inside the exact box of a case. It must violate the property
//! twice: in exact arithmetic on the stored weights ([`secateur_check::replay()`]), and as executed in
//! `f32` on the input rounded to `f32`. Coordinates are `f32` numbers wherever the box holds one.

use crate::error::VerifyError;
use crate::report::Witness;
use crate::specification::round_up;
use dashu_ratio::RBig;
use secateur_check::{Precision, Replay, evaluate, replay};
use secateur_linalg::Tensor;
use secateur_nn::eval::Evaluator;
use secateur_nn::graph::Graph;
use secateur_nn::property::{Case, Conjunction, LinearConstraint, Property};

/// Judges candidates for one question.
pub struct Judge<'a> {
    graph: &'a Graph,
    property: &'a Property,
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
    pub fn new(graph: &'a Graph, property: &'a Property) -> Result<Self, VerifyError> {
        let shape = graph.node(graph.input()).shape.clone();
        Ok(Self { graph, property, executed: Evaluator::new(graph)?, shape })
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
