//! A network at a point: every output between two dyadic numbers, equal when nothing was rounded.

use crate::error::{CheckError, Fault};
use crate::float::{decode_f32, decode_f64, dyadic};
use crate::interval::{Dyadic, Interval, quotients};
use crate::layout::{broadcast_offsets, concat, sources};
use crate::linear::{Operand, convolution, gemm_product, matmul};
use crate::pointwise;
use crate::reduction::{batch_normalization, mean, softmax, sum};
use crate::tensor::DyadicTensor;
use crate::windows::{average_pool, max_pool};
use dashu_ratio::RBig;
use secateur_nn::graph::{Graph, Node};
use secateur_nn::op::{ElementType, Op, Value};
use std::rc::Rc;

/// How many bits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    /// Bits of what cannot be exact: quotients, roots, transcendental functions, inputs that are not dyadic.
    pub bits: usize,
    /// Whether to round the results of every node outward to that many bits of their largest.
    pub rounded: bool,
}

impl Precision {
    /// 256 bits everywhere: fast, and enough unless a constraint holds or fails by less than about $2^{-200}$.
    pub const ROUNDED: Self = Self { bits: 256, rounded: true };

    /// No rounding of what is dyadic, and 2048 bits of the rest.
    pub const EXACT: Self = Self { bits: 2048, rounded: false };

    fn of_results(self) -> Option<usize> {
        self.rounded.then_some(self.bits)
    }
}

/// A number $y$ with $\ell \le y \le u$.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosure {
    /// $\ell$.
    pub lower: RBig,
    /// $u$.
    pub upper: RBig,
}

impl Enclosure {
    /// Whether the number is known exactly.
    pub fn is_exact(&self) -> bool {
        self.lower == self.upper
    }

    /// Whether a number may be the enclosed one.
    pub fn holds(&self, value: &RBig) -> bool {
        self.lower <= *value && *value <= self.upper
    }
}

/// Encloses the flattened outputs $f(x)$ in real arithmetic of the stored weights.
///
/// # Errors
/// See [`CheckError`]; [`CheckError::Domain`] may vanish with more bits.
pub fn evaluate(graph: &Graph, point: &[RBig], precision: Precision) -> Result<Vec<Enclosure>, CheckError> {
    let shape = graph.node(graph.input()).shape.clone();
    let expected = shape.iter().product();
    if point.len() != expected {
        return Err(CheckError::InputCount { expected, found: point.len() });
    }
    let coordinates = point.iter().map(|v| enclosed(v, precision.bits)).collect();
    let mut input = Some(DyadicTensor::collect(shape, coordinates, None));

    let mut uses = vec![0_usize; graph.len()];
    uses[graph.output().index()] += 1;
    graph.nodes().for_each(|(id, _)| graph.arguments(id).iter().for_each(|a| uses[a.index()] += 1));
    let mut values: Vec<Option<Operand<'_>>> = vec![None; graph.len()];
    for (id, node) in graph.nodes() {
        let fault = |fault: Fault| fault.at(&node.name, node.op.name());
        if matches!(node.element, ElementType::I64 | ElementType::Bool) && !matches!(node.op, Op::Constant(_)) {
            return Err(fault(Fault::Element(node.element)));
        }
        let mut arguments = Vec::new();
        for argument in graph.arguments(id) {
            let narrowed = node.op == Op::Cast(ElementType::F32) && graph.node(argument).element == ElementType::F64;
            if narrowed {
                return Err(fault(Fault::Unsupported));
            }
            let place = &mut values[argument.index()];
            uses[argument.index()] -= 1;
            let value = if uses[argument.index()] == 0 { place.take() } else { place.clone() };
            arguments.extend(value);
        }
        let value = match &node.op {
            Op::Constant(value) => Operand::Stored(value),
            Op::Input => {
                let point = input.take().unwrap_or(Err(Fault::Unsupported));
                Operand::Computed(Rc::new(point.map_err(fault)?))
            }
            _ => {
                let result = apply(node, arguments, precision.bits).and_then(|t| t.settled(precision.of_results()));
                Operand::Computed(Rc::new(result.map_err(fault)?))
            }
        };
        if uses[id.index()] > 0 {
            values[id.index()] = Some(value);
        }
    }
    let output = graph.node(graph.output());
    let missing = || Fault::Unsupported.at(&output.name, output.op.name());
    let value = values[graph.output().index()].take().ok_or_else(missing)?;
    let tensor = value.tensor().map_err(|fault| fault.at(&output.name, output.op.name()))?;
    let rational = |x: Interval| Enclosure { lower: x.lower.to_rational(), upper: x.upper.to_rational() };
    Ok(tensor.intervals().map(rational).collect())
}

/// Encloses $f(x)$ for an input of floats, without rounding what is dyadic: the reference for tests of
/// floating-point bounds.
///
/// # Errors
/// See [`CheckError`].
pub fn enclose(graph: &Graph, input: &[f64]) -> Result<Vec<Enclosure>, CheckError> {
    let exact = |(index, v): (usize, &f64)| dyadic(*v).ok_or(CheckError::InputNotFinite { index });
    let point = input.iter().enumerate().map(exact).collect::<Result<Vec<_>, _>>()?;
    evaluate(graph, &point, Precision { bits: 256, rounded: false })
}

/// A rational as a dyadic interval: one point if its denominator is a power of two.
pub(crate) fn enclosed(value: &RBig, bits: usize) -> Interval {
    let (numerator, denominator) = (value.numerator(), value.denominator());
    let zeros = denominator.trailing_zeros().unwrap_or(0);
    let odd = denominator >> zeros;
    let exponent = -(zeros as i64);
    if odd.is_one() {
        return Interval::point(Dyadic::new(numerator.clone(), exponent));
    }
    // The quotient by the odd part has at least `bits` bits.
    let shift = bits + dashu_base::BitTest::bit_len(&odd);
    let (lower, upper) = quotients(&(numerator << shift), &odd);
    let exponent = exponent - shift as i64;
    Interval::new(Dyadic::new(lower, exponent), Dyadic::new(upper, exponent))
}

/// One node.
pub(crate) fn apply(node: &Node, arguments: Vec<Operand<'_>>, bits: usize) -> Result<DyadicTensor, Fault> {
    let shape = node.shape.as_slice();
    let mut arguments = arguments.into_iter();
    let mut operand = || arguments.next().ok_or(Fault::Unsupported);
    match &node.op {
        Op::MatMul => matmul(operand()?, operand()?, shape),
        Op::Gemm { alpha, beta, trans_a, trans_b } => {
            let product = gemm_product(operand()?, operand()?, *trans_a, *trans_b, shape)?;
            let product = scaled(product, *alpha)?;
            match operand() {
                Ok(summand) => add(product, scaled(summand.tensor()?, *beta)?, shape, bits),
                Err(_) => Ok(product),
            }
        }
        Op::Conv { window, groups } => {
            let product = convolution(operand()?, operand()?, window, *groups, false, shape)?;
            biased(product, operand().ok(), shape, bits)
        }
        Op::ConvTranspose { window, groups, .. } => {
            let product = convolution(operand()?, operand()?, window, *groups, true, shape)?;
            biased(product, operand().ok(), shape, bits)
        }
        Op::BatchNormalization { epsilon } => {
            let epsilon = decode_f32(*epsilon).ok_or(Fault::NotFinite(0))?.into();
            let x = operand()?.tensor()?;
            let [scale, shift, mean, variance] =
                [operand()?.tensor()?, operand()?.tensor()?, operand()?.tensor()?, operand()?.tensor()?];
            batch_normalization(x, [&scale, &shift, &mean, &variance], &epsilon, bits)
        }
        Op::MaxPool { window, .. } => max_pool(&operand()?.tensor()?, window, shape),
        Op::AveragePool { window, count_include_pad, .. } => {
            average_pool(&operand()?.tensor()?, window, *count_include_pad, shape, bits)
        }
        Op::Softmax { axis } => softmax(&operand()?.tensor()?, *axis, bits),
        Op::ReduceSum { axes, .. } => Ok(sum(&operand()?.tensor()?, axes, shape)),
        Op::ReduceMean { axes, .. } => mean(&operand()?.tensor()?, axes, shape, bits),
        Op::Reshape { .. } => Ok(operand()?.tensor()?.reshaped(shape.to_vec())),
        Op::Cast(ElementType::F32 | ElementType::F64) => operand()?.tensor(),
        Op::Concat { axis } => {
            let mut parts = Vec::new();
            while let Ok(part) = operand() {
                parts.push(part.tensor()?);
            }
            concat(parts, *axis, shape)
        }
        Op::Where => {
            let condition = operand()?;
            let (Operand::Stored(Value::Bool(truths)), a, b) = (condition, operand()?.tensor()?, operand()?.tensor()?)
            else {
                return Err(Fault::Unsupported);
            };
            let of = |from: &[usize]| broadcast_offsets(from, shape);
            let (c, from) = (of(truths.shape()), [of(a.shape()), of(b.shape())]);
            let entry = |o: usize| if truths.data()[c[o]] { a.interval(from[0][o]) } else { b.interval(from[1][o]) };
            DyadicTensor::collect(shape.to_vec(), (0..c.len()).map(entry).collect(), None)
        }
        op => {
            let first = operand()?;
            if let Some(sources) = sources(op, first.shape(), shape) {
                let fill = match op {
                    Op::Pad { value, .. } => decode_f64(*value).ok_or(Fault::NotFinite(0))?.into(),
                    _ => Dyadic::zero(),
                };
                return first.tensor()?.gather(shape.to_vec(), &sources, &fill);
            }
            let first = first.tensor()?;
            let result = match operand() {
                Ok(second) => pointwise::binary(op, first, second.tensor()?, shape, bits),
                Err(_) => pointwise::unary(op, &first, bits),
            };
            result.unwrap_or(Err(Fault::Unsupported))
        }
    }
}

fn add(a: DyadicTensor, b: DyadicTensor, shape: &[usize], bits: usize) -> Result<DyadicTensor, Fault> {
    pointwise::binary(&Op::Add, a, b, shape, bits).unwrap_or(Err(Fault::Unsupported))
}

/// Adds a bias per channel (axis 1).
fn biased(
    product: DyadicTensor,
    bias: Option<Operand<'_>>,
    shape: &[usize],
    bits: usize,
) -> Result<DyadicTensor, Fault> {
    let Some(bias) = bias else { return Ok(product) };
    let mut per_channel = vec![1; shape.len() - 1];
    per_channel[0] = shape[1];
    add(product, bias.tensor()?.reshaped(per_channel), shape, bits)
}

/// $s\,a$ for a stored factor.
fn scaled(a: DyadicTensor, factor: f32) -> Result<DyadicTensor, Fault> {
    let factor = Dyadic::from(decode_f32(factor).ok_or(Fault::NotFinite(0))?);
    if factor == Dyadic::one() {
        return Ok(a);
    }
    let times = |ends: &[dashu_int::IBig]| ends.iter().map(|m| m * &factor.mantissa).collect::<Vec<_>>();
    let exponent = a.exponent() + factor.exponent;
    let (lower, upper) = (times(a.lower()), (!a.is_exact()).then(|| times(a.upper())));
    Ok(match upper {
        Some(upper) if factor.is_negative() => DyadicTensor::new(a.shape().to_vec(), exponent, upper, Some(lower)),
        upper => DyadicTensor::new(a.shape().to_vec(), exponent, lower, upper),
    })
}
