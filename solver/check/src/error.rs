//! Why a network or a property could not be evaluated.

use secateur_nn::op::ElementType;
use thiserror::Error;

/// A fault that names its place.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CheckError {
    /// The point has the wrong number of coordinates.
    #[error("the network has {expected} inputs, the point {found} coordinates")]
    InputCount {
        /// Inputs of the network.
        expected: usize,
        /// Coordinates of the point.
        found: usize,
    },
    /// The property speaks of another number of inputs than the network has.
    #[error("the property has {property} inputs, the network {network}")]
    PropertyInputs {
        /// Inputs of the property.
        property: usize,
        /// Inputs of the network.
        network: usize,
    },
    /// The property speaks of another number of outputs than the network has.
    #[error("the property has {property} outputs, the network {network}")]
    PropertyOutputs {
        /// Outputs of the property.
        property: usize,
        /// Outputs of the network.
        network: usize,
    },
    /// A case of the property contradicts the number of inputs or outputs.
    #[error("case {case} of the property names a variable that does not exist")]
    PropertyVariable {
        /// Index of the case.
        case: usize,
    },
    /// A coordinate of the input is NaN or infinite.
    #[error("input coordinate {index} is not finite")]
    InputNotFinite {
        /// Index of the coordinate.
        index: usize,
    },
    /// A stored number is NaN or infinite.
    #[error("entry {index} of node `{node}` is not finite")]
    NotFinite {
        /// The node.
        node: String,
        /// Index of the entry; attributes count as entry 0.
        index: usize,
    },
    /// The operator, or this use of it (rounding to F32, a power with another exponent than ±1/2 and small integers), has no exact evaluation here.
    #[error("node `{node}`: operator {op} is not supported by the exact evaluator")]
    Unsupported {
        /// The node.
        node: String,
        /// The operator.
        op: &'static str,
    },
    /// The node's entries are integers or truth values where real numbers are evaluated.
    #[error("node `{node}` has element type {found:?}, the exact evaluator takes F32 and F64")]
    Element {
        /// The node.
        node: String,
        /// The element type.
        found: ElementType,
    },
    /// The enclosure of an argument meets numbers for which the operator is not defined.
    #[error("node `{node}`: {op} is not defined on all of the enclosure of its argument (entry {index})")]
    Domain {
        /// The node.
        node: String,
        /// The operator.
        op: &'static str,
        /// Index of the entry.
        index: usize,
    },
    /// It is not known how the node is executed in single precision ([`crate::semantics::admit`]).
    #[error("node `{node}`: how {op} is executed in f32 is not known here")]
    Executed {
        /// The node.
        node: String,
        /// The operator.
        op: &'static str,
    },
    /// A coordinate of the input is no number of type `f32`.
    #[error("input coordinate {index} is no number of type f32")]
    InputNotSingle {
        /// Index of the coordinate.
        index: usize,
    },
    /// Numbers of a node need more than [`crate::tensor::MAX_BITS`] bits.
    #[error("node `{node}`: the numbers of {op} spread over too many binary orders of magnitude")]
    Range {
        /// The node.
        node: String,
        /// The operator.
        op: &'static str,
    },
}

/// What may go wrong inside an operator, before the node's name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// See [`CheckError::Domain`].
    Domain(usize),
    /// See [`CheckError::Range`].
    Range,
    /// See [`CheckError::NotFinite`].
    NotFinite(usize),
    /// See [`CheckError::Unsupported`].
    Unsupported,
    /// See [`CheckError::Element`].
    Element(ElementType),
}

impl Fault {
    /// The fault at a node.
    pub fn at(self, node: &str, op: &'static str) -> CheckError {
        let node = node.to_string();
        match self {
            Fault::Domain(index) => CheckError::Domain { node, op, index },
            Fault::Range => CheckError::Range { node, op },
            Fault::NotFinite(index) => CheckError::NotFinite { node, index },
            Fault::Unsupported => CheckError::Unsupported { node, op },
            Fault::Element(found) => CheckError::Element { node, found },
        }
    }
}
