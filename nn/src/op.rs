//! The operators of a network.
//!
//! Every operator has one output. What ONNX passes as constant tensors (axes, target shapes,
//! slice bounds) is an attribute here; weights are [`Op::Constant`] nodes.

pub use secateur_linalg::Tensor;
use std::sync::Arc;

/// A constant with the element type in which it is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// 32-bit floats.
    F32(Arc<Tensor<f32>>),
    /// 64-bit floats.
    F64(Arc<Tensor<f64>>),
    /// 64-bit integers: indices and shapes (narrower integers are widened).
    I64(Arc<Tensor<i64>>),
    /// Truth values.
    Bool(Arc<Tensor<bool>>),
}

/// An element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
    /// 64-bit integers.
    I64,
    /// Truth values.
    Bool,
}

impl Value {
    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Value::F32(t) => t.shape(),
            Value::F64(t) => t.shape(),
            Value::I64(t) => t.shape(),
            Value::Bool(t) => t.shape(),
        }
    }

    /// The element type.
    pub fn element_type(&self) -> ElementType {
        match self {
            Value::F32(_) => ElementType::F32,
            Value::F64(_) => ElementType::F64,
            Value::I64(_) => ElementType::I64,
            Value::Bool(_) => ElementType::Bool,
        }
    }

    /// The entries as `f64`, without loss for floats; `None` for integers and truth values.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        match self {
            Value::F32(t) => Some(t.data().iter().map(|v| f64::from(*v)).collect()),
            Value::F64(t) => Some(t.data().to_vec()),
            Value::I64(_) | Value::Bool(_) => None,
        }
    }
}

/// Sliding windows over the spatial axes of an `N × C × spatial…` tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Kernel extent along each spatial axis.
    pub kernel: Vec<usize>,
    /// Step along each spatial axis.
    pub strides: Vec<usize>,
    /// Padding before each spatial axis.
    pub pads_begin: Vec<usize>,
    /// Padding after each spatial axis.
    pub pads_end: Vec<usize>,
    /// Distance between kernel taps along each spatial axis.
    pub dilations: Vec<usize>,
}

/// One operator. Arguments are the node's incoming edges, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The network's input (no arguments).
    Input,
    /// A stored tensor (no arguments).
    Constant(Value),

    /// $a + b$, broadcast.
    Add,
    /// $a - b$, broadcast.
    Sub,
    /// $a \odot b$, broadcast.
    Mul,
    /// $a \oslash b$, broadcast.
    Div,
    /// $\min(a, b)$, broadcast.
    Min,
    /// $\max(a, b)$, broadcast.
    Max,
    /// $a^b$, broadcast.
    Pow,
    /// $a = b$ as a truth value, broadcast.
    Equal,
    /// $c\,?\,a : b$, broadcast; arguments $c, a, b$.
    Where,

    /// $-a$.
    Neg,
    /// $\max(a, 0)$.
    Relu,
    /// $a$ where $a \ge 0$, else $\text{slope} \cdot a$.
    LeakyRelu {
        /// Slope on the negative side, as stored.
        slope: f32,
    },
    /// $1 / (1 + e^{-a})$.
    Sigmoid,
    /// $\tanh a$.
    Tanh,
    /// $\operatorname{sign} a \in \{-1, 0, 1\}$.
    Sign,
    /// $\sin a$.
    Sin,
    /// $\cos a$.
    Cos,
    /// $\lfloor a \rfloor$.
    Floor,
    /// $e^a$.
    Exp,
    /// $\sqrt a$.
    Sqrt,
    /// $a$ limited to $[\text{min}, \text{max}]$.
    Clip {
        /// Lower limit, if any.
        min: Option<f64>,
        /// Upper limit, if any.
        max: Option<f64>,
    },
    /// Conversion of the element type.
    Cast(ElementType),

    /// Matrix product with NumPy's rules for batches and vectors.
    MatMul,
    /// $\alpha\, A' B' + \beta\, C$ with $A' = A$ or $A^\top$; arguments $A, B$ and optionally $C$.
    Gemm {
        /// Factor of the product.
        alpha: f32,
        /// Factor of the summand.
        beta: f32,
        /// Transpose $A$.
        trans_a: bool,
        /// Transpose $B$.
        trans_b: bool,
    },
    /// Cross-correlation; arguments input `N × C × …`, weight `M × C/groups × …`, optionally bias `M`.
    Conv {
        /// Geometry.
        window: Window,
        /// Number of groups.
        groups: usize,
    },
    /// Transposed convolution; weight `C × M/groups × …`.
    ConvTranspose {
        /// Geometry (of the forward convolution that it is the adjoint of).
        window: Window,
        /// Number of groups.
        groups: usize,
        /// Extra rows at the end of each spatial axis.
        output_padding: Vec<usize>,
    },
    /// Inference-mode batch normalisation; arguments input, scale, shift, mean, variance.
    BatchNormalization {
        /// Added to the variance.
        epsilon: f32,
    },
    /// Maximum over windows.
    MaxPool {
        /// Geometry.
        window: Window,
        /// Round output extents up instead of down.
        ceil_mode: bool,
    },
    /// Mean over windows.
    AveragePool {
        /// Geometry.
        window: Window,
        /// Round output extents up instead of down.
        ceil_mode: bool,
        /// Count padding in the mean.
        count_include_pad: bool,
    },
    /// Softmax along one axis.
    Softmax {
        /// The axis.
        axis: usize,
    },
    /// Sum over axes.
    ReduceSum {
        /// The axes, ascending.
        axes: Vec<usize>,
        /// Keep them with length 1.
        keep: bool,
    },
    /// Mean over axes.
    ReduceMean {
        /// The axes, ascending.
        axes: Vec<usize>,
        /// Keep them with length 1.
        keep: bool,
    },

    /// The same entries under another shape (reshape, flatten, squeeze, unsqueeze).
    Reshape {
        /// Target shape, fully resolved.
        shape: Vec<usize>,
    },
    /// Permutation of axes: output axis `i` is input axis `axes[i]`.
    Transpose {
        /// The permutation.
        axes: Vec<usize>,
    },
    /// Concatenation of all arguments.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Strided slice, one entry per axis of the argument.
    Slice {
        /// First index along each axis.
        starts: Vec<usize>,
        /// Signed step along each axis.
        steps: Vec<isize>,
        /// Resulting extent along each axis.
        lengths: Vec<usize>,
    },
    /// Constant-index gather along an axis; the index axes replace it.
    Gather {
        /// The axis.
        axis: usize,
        /// Indices, already non-negative.
        indices: Tensor<usize>,
    },
    /// Constant padding, one entry per axis.
    Pad {
        /// Entries before each axis.
        begin: Vec<usize>,
        /// Entries after each axis.
        end: Vec<usize>,
        /// The value padded with.
        value: f64,
    },
    /// Broadcast to a shape.
    Expand {
        /// Target shape.
        shape: Vec<usize>,
    },
    /// Nearest-neighbour enlargement by whole factors along each axis.
    Upsample {
        /// Factors, one per axis.
        factors: Vec<usize>,
    },
}

impl Op {
    /// The operator's name, as in ONNX where it has one there.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input => "Input",
            Op::Constant(_) => "Constant",
            Op::Add => "Add",
            Op::Sub => "Sub",
            Op::Mul => "Mul",
            Op::Div => "Div",
            Op::Min => "Min",
            Op::Max => "Max",
            Op::Pow => "Pow",
            Op::Equal => "Equal",
            Op::Where => "Where",
            Op::Neg => "Neg",
            Op::Relu => "Relu",
            Op::LeakyRelu { .. } => "LeakyRelu",
            Op::Sigmoid => "Sigmoid",
            Op::Tanh => "Tanh",
            Op::Sign => "Sign",
            Op::Sin => "Sin",
            Op::Cos => "Cos",
            Op::Floor => "Floor",
            Op::Exp => "Exp",
            Op::Sqrt => "Sqrt",
            Op::Clip { .. } => "Clip",
            Op::Cast(_) => "Cast",
            Op::MatMul => "MatMul",
            Op::Gemm { .. } => "Gemm",
            Op::Conv { .. } => "Conv",
            Op::ConvTranspose { .. } => "ConvTranspose",
            Op::BatchNormalization { .. } => "BatchNormalization",
            Op::MaxPool { .. } => "MaxPool",
            Op::AveragePool { .. } => "AveragePool",
            Op::Softmax { .. } => "Softmax",
            Op::ReduceSum { .. } => "ReduceSum",
            Op::ReduceMean { .. } => "ReduceMean",
            Op::Reshape { .. } => "Reshape",
            Op::Transpose { .. } => "Transpose",
            Op::Concat { .. } => "Concat",
            Op::Slice { .. } => "Slice",
            Op::Gather { .. } => "Gather",
            Op::Pad { .. } => "Pad",
            Op::Expand { .. } => "Expand",
            Op::Upsample { .. } => "Upsample",
        }
    }
}
