//! What is to be verified: a set of inputs and a set of unsafe outputs.
//!
//! The property is *violated* (`sat`) when some case has an input $x$ in its box and some
//! conjunction of constraints that all hold at $(x, f(x))$. Numbers are kept as the exact rationals
//! that the decimals of the file denote; rounding is the business of whoever computes with them.

use crate::error::NnError;
use crate::graph::Graph;
use dashu_ratio::RBig;

/// $\sum_i a_i x_i + \sum_j b_j y_j \le c$, or $<$ when `strict`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearConstraint {
    /// Coefficients of inputs: (index, value), ascending, without zeros.
    pub inputs: Vec<(usize, RBig)>,
    /// Coefficients of outputs: (index, value), ascending, without zeros.
    pub outputs: Vec<(usize, RBig)>,
    /// The right-hand side $c$.
    pub bound: RBig,
    /// Whether equality is excluded.
    pub strict: bool,
}

/// Constraints that hold together: one way to be unsafe.
pub type Conjunction = Vec<LinearConstraint>;

/// How far from a centre a ball reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// $\sum_i |x_i - c_i|$.
    L1,
    /// $\sqrt{\sum_i (x_i - c_i)^2}$.
    L2,
}

/// $\| x - c \| \le r$.
#[derive(Clone, Debug, PartialEq)]
pub struct Ball {
    /// The norm.
    pub norm: Norm,
    /// $c$.
    pub centre: Vec<RBig>,
    /// $r$.
    pub radius: RBig,
}

impl Ball {
    /// Whether a point is inside, exactly.
    pub fn contains(&self, point: &[RBig]) -> bool {
        let steps = point.iter().zip(&self.centre).map(|(x, c)| x - c);
        let (size, budget): (fn(RBig) -> RBig, RBig) = match self.norm {
            Norm::L1 => (|t| if t < RBig::ZERO { -t } else { t }, self.radius.clone()),
            Norm::L2 => (|t| &t * &t, &self.radius * &self.radius),
        };
        steps.fold(RBig::ZERO, |sum, t| sum + size(t)) <= budget
    }
}

/// A box of inputs with the unsafe sets that matter on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Lower corner.
    pub lower: Vec<RBig>,
    /// Upper corner.
    pub upper: Vec<RBig>,
    /// Where given, inputs lie in this ball too.
    pub ball: Option<Ball>,
    /// The outputs are unsafe when any of these holds. Never empty; an empty conjunction always holds.
    pub unsafe_set: Vec<Conjunction>,
}

impl Case {
    /// Whether a point is one of its inputs, exactly.
    pub fn contains(&self, point: &[RBig]) -> bool {
        let inside = |(x, (l, u)): (&RBig, (&RBig, &RBig))| l <= x && x <= u;
        point.iter().zip(self.lower.iter().zip(&self.upper)).all(inside)
            && self.ball.as_ref().is_none_or(|ball| ball.contains(point))
    }
}

/// A verification query over flattened inputs and outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Number of input variables.
    pub inputs: usize,
    /// Number of output variables.
    pub outputs: usize,
    /// The property is violated when any of these is. Never empty: readers refuse constraints that
    /// contradict each other on every branch.
    pub cases: Vec<Case>,
    /// The shapes of input and output, where the property declares them.
    pub declared: Option<[Vec<usize>; 2]>,
}

impl Property {
    /// Checks that the property speaks about as many inputs as the network has, whatever it says of outputs.
    ///
    /// # Errors
    /// [`NnError::Sizes`] with both numbers.
    pub fn check_inputs(&self, graph: &Graph) -> Result<(), NnError> {
        let (expected, found) = (graph.node(graph.input()).shape.iter().product(), self.inputs);
        if expected == found { Ok(()) } else { Err(NnError::Sizes { what: "input", expected, found }) }
    }

    /// Checks that the property speaks about as many inputs and outputs as the network has; where it declares shapes, they
    /// are the network's, or flat. Extents of 1 do not count.
    ///
    /// # Errors
    /// [`NnError::Sizes`] with both numbers, [`NnError::Shapes`] with both shapes.
    pub fn check_against(&self, graph: &Graph) -> Result<(), NnError> {
        let ports = [("input", graph.input()), ("output", graph.output())];
        for ((what, port), declared) in ports.into_iter().zip(self.declared.iter().flatten()) {
            let expected = &graph.node(port).shape;
            let long = |shape: &[usize]| shape.iter().copied().filter(|n| *n != 1).collect::<Vec<usize>>();
            let (ours, theirs) = (long(expected), long(declared));
            let same = ours == theirs || theirs.len() == 1;
            if !same && ours.iter().product::<usize>() == theirs.iter().product::<usize>() {
                return Err(NnError::Shapes { what, expected: expected.clone(), found: declared.clone() });
            }
        }
        let entries = |id| graph.node(id).shape.iter().product();
        let sizes = [("input", entries(graph.input()), self.inputs), ("output", entries(graph.output()), self.outputs)];
        match sizes.into_iter().find(|(_, expected, found)| expected != found) {
            Some((what, expected, found)) => Err(NnError::Sizes { what, expected, found }),
            None => Ok(()),
        }
    }
}
