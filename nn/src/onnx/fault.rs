//! Why an ONNX file was refused.

use crate::error::NnError;
use std::io;
use thiserror::Error;

/// Why an ONNX file was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OnnxFault {
    /// The file cannot be read or unpacked.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file ends inside a message.
    #[error("the file ends at byte {offset}, inside a {part}")]
    Truncated {
        /// Bytes read (unpacked).
        offset: u64,
        /// What was being read.
        part: &'static str,
    },
    /// The bytes are not a protocol buffer.
    #[error("not an ONNX file: byte {offset} is no valid field of a {part}")]
    Malformed {
        /// Where the field starts (unpacked).
        offset: u64,
        /// What was being read.
        part: &'static str,
    },
    /// A part of the file does not decode.
    #[error("the {part} that ends at byte {offset} does not decode: {source}")]
    Decode {
        /// Where the part ends (unpacked).
        offset: u64,
        /// What was being read.
        part: &'static str,
        /// What the decoder says.
        source: prost::DecodeError,
    },
    /// The model has no graph.
    #[error("the file holds no network (no graph in the model)")]
    NoGraph,
    /// The operator set is missing, contradictory or not among those known.
    #[error("expected one operator set of version 7 to 21, found {found:?}")]
    Opset {
        /// The versions that the file declares.
        found: Vec<i64>,
    },
    /// A node's operator belongs to another domain.
    #[error("node `{node}` ({op}): unknown operator domain `{domain}`")]
    Domain {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// Its domain.
        domain: String,
    },
    /// The operator is not supported.
    #[error("node `{node}`: operator {op} is not supported")]
    Operator {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
    },
    /// An attribute, or this value of it, is not supported.
    #[error("node `{node}` ({op}): {setting} = {found} is not supported")]
    Setting {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// The attribute or input.
        setting: String,
        /// Its value.
        found: String,
    },
    /// An attribute that the operator needs is missing.
    #[error("node `{node}` ({op}): attribute `{attribute}` is missing")]
    MissingAttribute {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute has another type.
    #[error("node `{node}` ({op}): attribute `{attribute}` is not {expected}")]
    AttributeType {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// The attribute.
        attribute: String,
        /// The type that the operator takes.
        expected: &'static str,
    },
    /// An input that the operator needs is missing.
    #[error("node `{node}` ({op}): input {position} is missing")]
    MissingInput {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// Position of the input.
        position: usize,
    },
    /// A node has more inputs or outputs than its operator.
    #[error("node `{node}` ({op}): {what} `{name}` is not supported")]
    Extra {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// Input or output.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// An input would have to be known without running the network.
    #[error("node `{node}` ({op}): input {position} must be a constant")]
    NotConstant {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// Position of the input.
        position: usize,
    },
    /// An axis does not exist.
    #[error("node `{node}` ({op}): axis {axis} does not exist in rank {rank}")]
    Axis {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// The axis.
        axis: i64,
        /// The rank.
        rank: usize,
    },
    /// A constant or attribute does not fit the shape of the tensor it is about.
    #[error("node `{node}` ({op}): {setting} = {found:?} does not fit shape {shape:?}")]
    Misfit {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// The attribute or input.
        setting: &'static str,
        /// Its value.
        found: Vec<i64>,
        /// The shape.
        shape: Vec<usize>,
    },
    /// Nothing produces a tensor.
    #[error("{user} needs tensor `{tensor}`, which nothing produces")]
    Undefined {
        /// Who needs it.
        user: String,
        /// The tensor.
        tensor: String,
    },
    /// Nodes wait for each other.
    #[error("node `{node}` depends on its own output")]
    Cycle {
        /// One of them.
        node: String,
    },
    /// Two tensors share a name.
    #[error("tensor `{tensor}` is defined twice")]
    Duplicate {
        /// The name.
        tensor: String,
    },
    /// The network does not have exactly one input and one output.
    #[error("expected one {what}, found {found:?}")]
    Ports {
        /// Input or output.
        what: &'static str,
        /// Their names.
        found: Vec<String>,
    },
    /// The input's shape is not known, or has no entries.
    #[error("input `{input}`: axis {axis} has no positive extent (only the first axis may be symbolic)")]
    InputShape {
        /// The input.
        input: String,
        /// The axis.
        axis: usize,
    },
    /// The input is not a tensor with a shape.
    #[error("input `{input}` has no tensor shape")]
    InputType {
        /// The input.
        input: String,
    },
    /// Input or output is not a tensor of floats.
    #[error("tensor `{tensor}` is an input or output and must hold floats, found element type {code}")]
    PortElement {
        /// The tensor.
        tensor: String,
        /// ONNX's number of the element type.
        code: i32,
    },
    /// A tensor's element type is not supported.
    #[error("tensor `{tensor}`: element type {code} is not supported")]
    TensorElement {
        /// The tensor.
        tensor: String,
        /// ONNX's number of the element type.
        code: i32,
    },
    /// A tensor's extents are negative or too large.
    #[error("tensor `{tensor}`: extents {dims:?} are not possible")]
    TensorDims {
        /// The tensor.
        tensor: String,
        /// Its extents.
        dims: Vec<i64>,
    },
    /// A tensor's data do not fill its shape.
    #[error("tensor `{tensor}`: extents {dims:?} need {expected} {unit}, found {found}")]
    TensorData {
        /// The tensor.
        tensor: String,
        /// Its extents.
        dims: Vec<i64>,
        /// How many it needs.
        expected: usize,
        /// Bytes or entries.
        unit: &'static str,
        /// How many it has.
        found: usize,
    },
    /// A number in the tensor does not fit its element type.
    #[error("tensor `{tensor}`: entry {index} = {value} is out of range")]
    TensorRange {
        /// The tensor.
        tensor: String,
        /// Which entry.
        index: usize,
        /// The entry.
        value: String,
    },
    /// A tensor is stored in another file.
    #[error("tensor `{tensor}` is stored in another file, which is not supported")]
    ExternalData {
        /// The tensor.
        tensor: String,
    },
    /// A tensor has its entries in two fields, or in segments.
    #[error("tensor `{tensor}` is stored in segments or in two fields at once, which is not supported")]
    TensorParts {
        /// The tensor.
        tensor: String,
    },
    /// The file defines operators.
    #[error("functions that a model defines are not supported")]
    Functions,
    /// A tensor is stored sparsely.
    #[error("sparse initializers are not supported")]
    SparseData,
    /// A weight is not a number or infinite.
    #[error("tensor `{tensor}`: entry {index} is {value}")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// Which entry, in row-major order.
        index: usize,
        /// The entry.
        value: f64,
    },
    /// The operators do not go together.
    #[error(transparent)]
    Graph(#[from] Box<NnError>),
}

impl From<NnError> for OnnxFault {
    fn from(error: NnError) -> Self {
        OnnxFault::Graph(Box::new(error))
    }
}
