//! Operators that are linear in each of two operands: `MatMul`, `Gemm`, `Conv`, `ConvTranspose`.
//!
//! Each is a list of terms $y_o \mathrel{+}= w\, x_i$, walked in the order in which the weights are stored, so that
//! a weight is decoded once and a zero is skipped at once.

use crate::accumulate::{Stored, products};
use crate::error::Fault;
use crate::interval::Interval;
use crate::layout::broadcast_offsets;
use crate::tensor::DyadicTensor;
use crate::windows::taps;
use dashu_int::IBig;
use secateur_nn::op::{Op, Value, Window};
use std::rc::Rc;

/// The terms of a bilinear operator.
pub trait Terms {
    /// Shape of the result.
    fn shape(&self) -> Vec<usize>;
    /// At least the largest number of terms of one output.
    fn longest(&self) -> usize;
    /// Calls the visitor for every weight, and for every term of the weights that it wants.
    fn visit(&self, visitor: &mut impl Visitor);
}

/// What is done with the terms.
pub trait Visitor {
    /// The terms of this weight follow; `false` skips them.
    fn weight(&mut self, index: usize) -> bool;
    /// One term of the weight.
    fn term(&mut self, output: usize, argument: usize);
}

/// What an operator is applied to.
#[derive(Clone, Debug)]
pub enum Operand<'a> {
    /// A stored tensor.
    Stored(&'a Value),
    /// A computed tensor.
    Computed(Rc<DyadicTensor>),
}

impl Operand<'_> {
    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Operand::Stored(value) => value.shape(),
            Operand::Computed(tensor) => tensor.shape(),
        }
    }

    /// The numbers.
    ///
    /// # Errors
    /// See [`DyadicTensor::stored`].
    pub fn tensor(self) -> Result<DyadicTensor, Fault> {
        match self {
            Operand::Stored(value) => DyadicTensor::stored(value),
            Operand::Computed(tensor) => Ok(Rc::unwrap_or_clone(tensor)),
        }
    }
}

fn apply(terms: &impl Terms, x: Operand<'_>, weights: Operand<'_>) -> Result<DyadicTensor, Fault> {
    let x = x.tensor()?;
    match weights {
        Operand::Stored(Value::F32(w)) => products(terms, &x, Stored::F32(w.data())),
        Operand::Stored(Value::F64(w)) => products(terms, &x, Stored::F64(w.data())),
        Operand::Stored(other) => Err(Fault::Element(other.element_type())),
        Operand::Computed(w) => Ok(computed_products(terms, &x, &w)),
    }
}

/// The sums when both operands are computed.
struct IntervalSums<'a> {
    x: &'a DyadicTensor,
    w: &'a DyadicTensor,
    index: usize,
    lower: Vec<IBig>,
    upper: Vec<IBig>,
}

fn computed_products(terms: &impl Terms, x: &DyadicTensor, w: &DyadicTensor) -> DyadicTensor {
    let shape = terms.shape();
    let zeros = vec![IBig::ZERO; shape.iter().product()];
    let mut sums = IntervalSums { x, w, index: 0, lower: zeros.clone(), upper: zeros };
    terms.visit(&mut sums);
    let exponent = x.exponent() + w.exponent();
    let upper = (sums.lower != sums.upper).then_some(sums.upper);
    DyadicTensor::new(shape, exponent, sums.lower, upper)
}

impl Visitor for IntervalSums<'_> {
    fn weight(&mut self, index: usize) -> bool {
        self.index = index;
        !(self.w.lower()[index].is_zero() && self.w.upper()[index].is_zero())
    }

    fn term(&mut self, output: usize, argument: usize) {
        let (x, w) = (self.x.interval(argument), self.w.interval(self.index));
        let Interval { lower, upper } = x.times(&w);
        self.lower[output] += lower.mantissa;
        self.upper[output] += upper.mantissa;
    }
}

/// How one operand of a matrix product is laid out.
#[derive(Clone, Debug)]
struct Factor {
    /// Entries from one step along the free axis to the next.
    free: usize,
    /// Entries from one step along the summed axis to the next.
    summed: usize,
    /// First entry for each matrix of the batch.
    starts: Vec<usize>,
}

/// $y_{b,i,j} = \sum_k x_{b,i,k} w_{b,k,j}$, where $x$ may stand on either side.
pub struct MatrixTerms {
    shape: Vec<usize>,
    x: Factor,
    w: Factor,
    rows: usize,
    inner: usize,
    columns: usize,
    /// Entries from one $i$, and from one $j$, to the next in the result.
    steps: [usize; 2],
}

impl Terms for MatrixTerms {
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn longest(&self) -> usize {
        self.inner
    }

    fn visit(&self, visitor: &mut impl Visitor) {
        let row_major = self.w.summed >= self.w.free;
        for batch in 0..self.x.starts.len() {
            let [x, w] = [self.x.starts[batch], self.w.starts[batch]];
            let y = batch * self.rows * self.columns;
            let mut at = |k: usize, j: usize| {
                if visitor.weight(w + k * self.w.summed + j * self.w.free) {
                    for i in 0..self.rows {
                        visitor
                            .term(y + i * self.steps[0] + j * self.steps[1], x + i * self.x.free + k * self.x.summed);
                    }
                }
            };
            if row_major {
                (0..self.inner).for_each(|k| (0..self.columns).for_each(|j| at(k, j)));
            } else {
                (0..self.columns).for_each(|j| (0..self.inner).for_each(|k| at(k, j)));
            }
        }
    }
}

/// The terms of any of these operators.
pub enum TermList {
    /// `MatMul` or `Gemm`.
    Matrix(MatrixTerms),
    /// `Conv` or `ConvTranspose`.
    Convolution(ConvolutionTerms),
}

impl Terms for TermList {
    fn shape(&self) -> Vec<usize> {
        match self {
            Self::Matrix(terms) => terms.shape(),
            Self::Convolution(terms) => terms.shape(),
        }
    }

    fn longest(&self) -> usize {
        match self {
            Self::Matrix(terms) => terms.longest(),
            Self::Convolution(terms) => terms.longest(),
        }
    }

    fn visit(&self, visitor: &mut impl Visitor) {
        match self {
            Self::Matrix(terms) => terms.visit(visitor),
            Self::Convolution(terms) => terms.visit(visitor),
        }
    }
}

/// The terms of `MatMul`, the product of `Gemm`, `Conv` or `ConvTranspose` for operands of these shapes; the weight is
/// the right operand or (of a matrix product) the left one.
///
/// # Errors
/// [`Fault::Unsupported`] for other operators.
pub fn linear_terms(op: &Op, shapes: &[&[usize]], right: bool, shape: &[usize]) -> Result<TermList, Fault> {
    match op {
        Op::MatMul => Ok(TermList::Matrix(matmul_terms(shapes[0], shapes[1], right, shape))),
        Op::Gemm { trans_a, trans_b, .. } => {
            Ok(TermList::Matrix(gemm_terms(shapes[0], *trans_a, *trans_b, right, shape)))
        }
        Op::Conv { window, groups } if right => {
            Ok(TermList::Convolution(convolution_terms(shapes[0], shapes[1], window, *groups, false, shape)))
        }
        Op::ConvTranspose { window, groups, .. } if right => {
            Ok(TermList::Convolution(convolution_terms(shapes[0], shapes[1], window, *groups, true, shape)))
        }
        _ => Err(Fault::Unsupported),
    }
}

/// The terms of a product of matrices whose right or left factor plays the weight.
fn matrix_terms(
    left: Factor,
    right: Factor,
    weight_is_right: bool,
    shape: Vec<usize>,
    [rows, inner, columns]: [usize; 3],
) -> MatrixTerms {
    if weight_is_right {
        return MatrixTerms { shape, x: left, w: right, rows, inner, columns, steps: [columns, 1] };
    }
    MatrixTerms { shape, x: right, w: left, rows: columns, inner, columns: rows, steps: [1, columns] }
}

/// Applies the terms with the stored operand as weight; the right one unless only the left is stored.
fn matrix_product(terms: impl Fn(bool) -> MatrixTerms, a: Operand<'_>, b: Operand<'_>) -> Result<DyadicTensor, Fault> {
    match (&a, &b) {
        (Operand::Stored(_), Operand::Computed(_)) => apply(&terms(false), b, a),
        _ => apply(&terms(true), a, b),
    }
}

/// `MatMul`: $A B$ with NumPy's rules for batches and vectors; `shape` is that of the result.
///
/// # Errors
/// See [`Fault`].
pub fn matmul(a: Operand<'_>, b: Operand<'_>, shape: &[usize]) -> Result<DyadicTensor, Fault> {
    let (of_a, of_b) = (a.shape().to_vec(), b.shape().to_vec());
    matrix_product(|right| matmul_terms(&of_a, &of_b, right, shape), a, b)
}

fn matmul_terms(a: &[usize], b: &[usize], weight_is_right: bool, shape: &[usize]) -> MatrixTerms {
    let matrix = |s: &[usize], vector_first: bool| match s {
        [n] if vector_first => (vec![], [1, *n]),
        [n] => (vec![], [*n, 1]),
        _ => (s[..s.len() - 2].to_vec(), [s[s.len() - 2], s[s.len() - 1]]),
    };
    let (batch_a, [rows, inner]) = matrix(a, true);
    let (batch_b, [_, columns]) = matrix(b, false);
    let matrix_axes = usize::from(a.len() > 1) + usize::from(b.len() > 1);
    let batch = &shape[..shape.len() - matrix_axes];
    let starts =
        |own: &[usize], size: usize| broadcast_offsets(own, batch).into_iter().map(|i| i * size).collect::<Vec<_>>();
    let left = Factor { free: inner, summed: 1, starts: starts(&batch_a, rows * inner) };
    let right = Factor { free: 1, summed: columns, starts: starts(&batch_b, inner * columns) };
    matrix_terms(left, right, weight_is_right, shape.to_vec(), [rows, inner, columns])
}

/// The product of `Gemm`: $A' B'$ with $A' = A$ or $A^\top$.
///
/// # Errors
/// See [`Fault`].
pub fn gemm_product(
    a: Operand<'_>,
    b: Operand<'_>,
    trans_a: bool,
    trans_b: bool,
    shape: &[usize],
) -> Result<DyadicTensor, Fault> {
    let of_a = a.shape().to_vec();
    matrix_product(|right| gemm_terms(&of_a, trans_a, trans_b, right, shape), a, b)
}

fn gemm_terms(a: &[usize], trans_a: bool, trans_b: bool, weight_is_right: bool, shape: &[usize]) -> MatrixTerms {
    let (rows, columns) = (shape[0], shape[1]);
    let inner = a[usize::from(!trans_a)];
    let (free, summed) = if trans_a { (1, rows) } else { (inner, 1) };
    let left = Factor { free, summed, starts: vec![0] };
    let (free, summed) = if trans_b { (inner, 1) } else { (1, columns) };
    let right = Factor { free, summed, starts: vec![0] };
    matrix_terms(left, right, weight_is_right, shape.to_vec(), [rows, inner, columns])
}

/// The terms of a convolution or of its adjoint.
pub struct ConvolutionTerms {
    shape: Vec<usize>,
    batch: usize,
    groups: usize,
    /// First and second axis of the weight.
    weight: [usize; 2],
    /// Whether the second axis of the weight counts outputs.
    transposed: bool,
    /// (output position, input position) for each tap.
    taps: Vec<Vec<(usize, usize)>>,
    /// Positions of a channel of the input and of the output.
    positions: [usize; 2],
    inputs: usize,
}

impl Terms for ConvolutionTerms {
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn longest(&self) -> usize {
        // Per output: all input channels of its group, and each tap at most once.
        self.inputs * self.taps.len()
    }

    fn visit(&self, visitor: &mut impl Visitor) {
        let [first, second] = self.weight;
        let outputs = self.shape[1];
        for a in 0..first {
            let group = a / (first / self.groups);
            for b in 0..second {
                let (output, input) = if self.transposed { (group * second + b, a) } else { (a, group * second + b) };
                for (tap, pairs) in self.taps.iter().enumerate() {
                    if !visitor.weight((a * second + b) * self.taps.len() + tap) {
                        continue;
                    }
                    for n in 0..self.batch {
                        let y = (n * outputs + output) * self.positions[1];
                        let x = (n * self.inputs + input) * self.positions[0];
                        pairs.iter().for_each(|(to, from)| visitor.term(y + to, x + from));
                    }
                }
            }
        }
    }
}

/// `Conv` or, when `transposed`, `ConvTranspose`, without the bias.
///
/// # Errors
/// See [`Fault`].
pub fn convolution(
    x: Operand<'_>,
    w: Operand<'_>,
    window: &Window,
    groups: usize,
    transposed: bool,
    shape: &[usize],
) -> Result<DyadicTensor, Fault> {
    apply(&convolution_terms(x.shape(), w.shape(), window, groups, transposed, shape), x, w)
}

fn convolution_terms(
    x: &[usize],
    w: &[usize],
    window: &Window,
    groups: usize,
    transposed: bool,
    shape: &[usize],
) -> ConvolutionTerms {
    let (from, to) = (x[2..].to_vec(), &shape[2..]);
    let taps = if transposed {
        let flip = |pairs: Vec<(usize, usize)>| pairs.into_iter().map(|(from, to)| (to, from)).collect();
        taps(window, to, &from).into_iter().map(flip).collect()
    } else {
        taps(window, &from, to)
    };
    ConvolutionTerms {
        shape: shape.to_vec(),
        batch: shape[0],
        groups,
        weight: [w[0], w[1]],
        transposed,
        taps,
        positions: [from.iter().product(), to.iter().product()],
        inputs: x[1],
    }
}
