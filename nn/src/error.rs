//! What can go wrong with a network or a property that somebody hands in.

use crate::data::DataFault;
use crate::lm::LmFault;
use crate::onnx::OnnxFault;
use crate::op::ElementType;
use crate::safetensors::SafetensorsFault;
use crate::train::TrainFault;
use crate::vnnlib::VnnlibFault;
use thiserror::Error;

/// Why a network or a property was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NnError {
    /// An operator got the wrong number of arguments.
    #[error("node `{node}` ({op}): expected {expected} arguments, found {found}")]
    ArgumentCount {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
        /// How many the operator takes.
        expected: &'static str,
        /// How many it got.
        found: usize,
    },
    /// The shapes of an operator's arguments do not go together.
    #[error("node `{node}` ({op}): {rule}, found argument shapes {shapes:?}")]
    Shape {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
        /// Shapes of the arguments.
        shapes: Vec<Vec<usize>>,
        /// The rule that they break.
        rule: &'static str,
    },
    /// An operator does not take arguments of these element types.
    #[error("node `{node}` ({op}): expected {expected}, found element types {found:?}")]
    Element {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
        /// What the operator takes.
        expected: &'static str,
        /// Element types of the arguments.
        found: Vec<ElementType>,
    },
    /// A tensor would have more entries than [`crate::shape::MAX_ENTRIES`].
    #[error("tensor `{node}`: shape {shape:?} has more than {} entries", crate::shape::MAX_ENTRIES)]
    TooLarge {
        /// The tensor.
        node: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Two nodes of a graph share a name.
    #[error("two nodes are named `{node}`")]
    DuplicateName {
        /// The name.
        node: String,
    },
    /// The network treats the first axis as more than a batch of independent samples.
    #[error("node `{node}` ({op}): {rule}; the network cannot take a batch of {batch} along axis 0")]
    NotBatched {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
        /// The rule that it breaks.
        rule: &'static str,
        /// The batch asked for.
        batch: usize,
    },
    /// An ONNX file was refused.
    #[error("{origin}: {fault}")]
    Onnx {
        /// The file.
        origin: String,
        /// Why.
        #[source]
        fault: Box<OnnxFault>,
    },
    /// A VNNLIB file was refused.
    #[error("{origin}: {fault}")]
    Vnnlib {
        /// The file, with the line where one is to blame.
        origin: String,
        /// The line, from 1; none when the whole file is to blame.
        line: Option<usize>,
        /// Why.
        #[source]
        fault: Box<VnnlibFault>,
    },
    /// A property does not speak about this network.
    #[error("the property has {found} {what}s, the network {expected}")]
    Sizes {
        /// Input or output.
        what: &'static str,
        /// How many the network has.
        expected: usize,
        /// How many the property has.
        found: usize,
    },
    /// A property declares another shape than the network has.
    #[error("the property declares an {what} of shape {found:?}, the network has {expected:?}")]
    Shapes {
        /// Input or output.
        what: &'static str,
        /// The network's.
        expected: Vec<usize>,
        /// The property's.
        found: Vec<usize>,
    },
    /// A tensor to be computed with is not one of floats.
    #[error("node `{node}`: expected floats, found {element:?}")]
    NotReal {
        /// The node.
        node: String,
        /// Its element type.
        element: ElementType,
    },
    /// An input of the wrong shape.
    #[error("input `{node}`: expected shape {expected:?}, found {found:?}")]
    InputShape {
        /// The network's input.
        node: String,
        /// Its shape.
        expected: Vec<usize>,
        /// Shape of what was handed in.
        found: Vec<usize>,
    },
    /// A value that is infinite or not a number.
    #[error("node `{node}` ({op}): the value is not finite")]
    NonFinite {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
    },
    /// A derivative that is infinite or not a number.
    #[error("node `{node}` ({op}): its derivative is not finite")]
    NonFiniteDerivative {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
    },
    /// An integer result outside 64 bits, or a division by zero.
    #[error("node `{node}` ({op}): an integer result is out of range")]
    IntegerRange {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
    },
    /// Data were refused.
    #[error("{origin}: {fault}")]
    Data {
        /// The file, with the line where one is to blame.
        origin: String,
        /// Why.
        #[source]
        fault: Box<DataFault>,
    },
    /// A file of tensors was refused.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsFault),
    /// A language model was refused.
    #[error(transparent)]
    Lm(Box<LmFault>),
    /// A training run was refused.
    #[error(transparent)]
    Train(#[from] TrainFault),
}

impl From<LmFault> for NnError {
    fn from(fault: LmFault) -> Self {
        Self::Lm(Box::new(fault))
    }
}
