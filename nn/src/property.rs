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

/// A box of inputs with the unsafe sets that matter on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Lower corner.
    pub lower: Vec<RBig>,
    /// Upper corner.
    pub upper: Vec<RBig>,
    /// The outputs are unsafe when any of these holds. Never empty; an empty conjunction always holds.
    pub unsafe_set: Vec<Conjunction>,
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
}

impl Property {
    /// Checks that the property speaks about as many inputs and outputs as the network has.
    ///
    /// # Errors
    /// [`NnError::Sizes`] with both numbers.
    pub fn check_against(&self, graph: &Graph) -> Result<(), NnError> {
        let entries = |id| graph.node(id).shape.iter().product();
        let sizes = [("input", entries(graph.input()), self.inputs), ("output", entries(graph.output()), self.outputs)];
        match sizes.into_iter().find(|(_, expected, found)| expected != found) {
            Some((what, expected, found)) => Err(NnError::Sizes { what, expected, found }),
            None => Ok(()),
        }
    }
}
