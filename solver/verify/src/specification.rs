//! The property as objectives to bound.
//!
//! A conjunction of constraints $g_i(x, f(x)) \le 0$ is refuted on a box when for every point some
//! $g_i$ is positive (or not negative, where the constraint is strict). The verifier bounds the
//! $g_i = \langle a_i, x \rangle + \langle b_i, y \rangle - c_i$ from below.

use crate::ball::{Ball, Set};
use crate::bounds::Boxes;
use crate::crown::Rows;
use crate::network::Network;
use dashu_ratio::RBig;
use secateur_linalg::Scalar;
use secateur_nn::property::{Case, LinearConstraint, Property};
use std::sync::Arc;

/// $g(x) = \langle a, x \rangle + \langle b, f(x) \rangle - c$.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective<T> {
    /// $a$: (input, coefficient).
    pub inputs: Vec<(usize, T)>,
    /// $b$: (output, coefficient).
    pub outputs: Vec<(usize, T)>,
    /// $-c$, rounded down.
    pub constant: T,
    /// Whether the coefficients were rounded.
    pub rounded: bool,
    /// Whether $g = 0$ is safe.
    pub strict: bool,
}

/// One box and the ways to be unsafe on it.
#[derive(Clone, Debug)]
pub struct Region<T> {
    /// Lower corner, rounded down.
    pub lower: Vec<T>,
    /// Upper corner, rounded up.
    pub upper: Vec<T>,
    /// The ball that cuts the box.
    pub ball: Option<Arc<Ball>>,
    /// Each is unsafe when all its objectives are at most 0.
    pub disjuncts: Vec<Vec<Objective<T>>>,
}

/// All the boxes.
#[derive(Clone, Debug)]
pub struct Specification<T> {
    /// The boxes.
    pub regions: Vec<Region<T>>,
}

/// The `f64` nearest to a rational, and whether it is equal.
pub fn nearest(value: &RBig) -> (f64, bool) {
    let near = value.to_f64().value();
    (near, RBig::try_from(near).is_ok_and(|exact| exact == *value))
}

/// The greatest `f64` that is not above a rational.
pub fn round_down(value: &RBig) -> f64 {
    let (near, _) = nearest(value);
    match RBig::try_from(near) {
        Ok(exact) if exact <= *value => near,
        Ok(_) => near.next_down(),
        Err(_) if near > 0.0 => f64::MAX,
        Err(_) => near,
    }
}

/// The least `f64` that is not below a rational.
pub fn round_up(value: &RBig) -> f64 {
    -round_down(&-value.clone())
}

impl<T: Scalar> Objective<T> {
    fn new(constraint: &LinearConstraint) -> Self {
        let mut rounded = false;
        let mut convert = |(index, value): &(usize, RBig)| {
            let (near, exact) = nearest(value);
            let narrow = T::from_f64(near);
            rounded |= !exact || narrow.to_f64() != near;
            (*index, narrow)
        };
        let inputs = constraint.inputs.iter().map(&mut convert).collect();
        let outputs = constraint.outputs.iter().map(&mut convert).collect();
        let constant = T::round_down(round_down(&-constraint.bound.clone()));
        Self { inputs, outputs, constant, rounded, strict: constraint.strict }
    }

    /// Whether a lower bound of $g$ refutes $g \le \text{goal}$ (or $<$, where the constraint is strict); the
    /// constraint itself has the goal 0.
    pub fn refuted_by(&self, bound: T, goal: T) -> bool {
        bound > goal || (self.strict && bound >= goal)
    }

    /// $g$ at an input with its output, in floating point.
    pub fn value(&self, x: &[T], y: &[T]) -> T {
        let inputs: T = self.inputs.iter().map(|(i, a)| *a * x[*i]).sum();
        let outputs: T = self.outputs.iter().map(|(j, b)| *b * y[*j]).sum();
        inputs + outputs + self.constant
    }
}

impl<T: Scalar> Region<T> {
    /// What the input ranges over.
    pub fn set(&self) -> Set<'_, T> {
        Set { lower: &self.lower, upper: &self.upper, ball: self.ball.as_deref() }
    }

    /// The same as a batch of one.
    pub fn boxes(&self) -> Boxes<T> {
        Boxes::one(&self.lower, &self.upper, self.ball.clone())
    }
}

impl<T: Scalar> Specification<T> {
    /// The objectives of a property.
    pub fn new(property: &Property) -> Self {
        let region = |case: &Case| Region {
            lower: case.lower.iter().map(|v| T::round_down(round_down(v))).collect(),
            upper: case.upper.iter().map(|v| T::round_up(round_up(v))).collect(),
            ball: case.ball.as_ref().map(|ball| Arc::new(Ball::new(ball))),
            disjuncts: case.unsafe_set.iter().map(|c| c.iter().map(Objective::new).collect()).collect(),
        };
        Self { regions: property.cases.iter().map(region).collect() }
    }

    /// The least box that contains every region.
    pub fn hull(&self) -> (Vec<T>, Vec<T>) {
        let mut lower = self.regions[0].lower.clone();
        let mut upper = self.regions[0].upper.clone();
        for region in &self.regions[1..] {
            lower.iter_mut().zip(&region.lower).for_each(|(l, other)| *l = l.min(*other));
            upper.iter_mut().zip(&region.upper).for_each(|(u, other)| *u = u.max(*other));
        }
        (lower, upper)
    }
}

/// The rows of (subproblem, objective) pairs.
///
/// # Soundness
/// Rounded coefficients are off by at most one rounding each, or by the smallest normal number where
/// they underflow; the error term takes that times the magnitude of what they multiply.
pub fn rows<T: Scalar>(
    network: &Network<T>,
    magnitudes: &crate::rounding::Magnitudes<T>,
    objectives: &[(u32, &Objective<T>)],
) -> Rows<T> {
    let mut rows = Rows::new(network.layers.len(), objectives.iter().map(|(d, _)| *d).collect());
    let (n, m) = (network.inputs(), network.outputs());
    let mut outputs = vec![T::ZERO; objectives.len() * m];
    let mut inputs = vec![T::ZERO; objectives.len() * n];
    let rounding = T::from_f64(2.0 * crate::rounding::SAFETY * T::UNIT_ROUNDOFF);
    let tiny = T::from_f64(T::SMALLEST_NORMAL);
    let mut reads_input = false;
    for (r, (d, objective)) in objectives.iter().enumerate() {
        rows.constant[r] = objective.constant;
        let mut error = T::ZERO;
        for (j, b) in &objective.outputs {
            outputs[r * m + j] = *b;
            error += (rounding * b.abs() + tiny) * magnitudes.values(network.output(), *d)[*j];
        }
        for (i, a) in &objective.inputs {
            reads_input = true;
            inputs[r * n + i] = *a;
            error += (rounding * a.abs() + tiny) * magnitudes.values(0, *d)[*i];
        }
        if objective.rounded {
            // The sum itself may underflow.
            rows.error[r] = error + tiny;
        }
    }
    rows.coefficients[network.output()] = Some(outputs);
    if reads_input {
        rows.coefficients[0] = Some(inputs);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_rounded_outward() {
        let tenth = RBig::from_parts(1.into(), 10u8.into());
        assert!(RBig::try_from(round_down(&tenth)).expect("finite") < tenth);
        assert!(RBig::try_from(round_up(&tenth)).expect("finite") > tenth);
        let half = RBig::from_parts((-1).into(), 2u8.into());
        assert_eq!((round_down(&half), round_up(&half)), (-0.5, -0.5));
    }
}
