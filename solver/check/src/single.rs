//! One execution of a network in single precision, in integers.
//!
//! Sums go from left to right, a product is rounded before it is added, the summand comes last; quotients, roots, sigmoid and
//! tanh are rounded once, to nearest, ties to even. It is one of the executions that [`crate::semantics`] speaks of.

use crate::error::{CheckError, Fault};
use crate::evaluate::apply;
use crate::float::{Decoded, decode_f32};
use crate::interval::{Dyadic, Interval, floor_shift};
use crate::layout::{broadcast_offsets, groups_without};
use crate::linear::{Operand, Terms, Visitor, linear_terms};
use crate::semantics::admit;
use crate::tensor::DyadicTensor;
use crate::windows::{counts, taps};
use dashu_base::BitTest;
use dashu_ratio::RBig;
use secateur_nn::graph::{Graph, Node};
use secateur_nn::op::{Op, Value};
use std::rc::Rc;

/// Exponent of the least bit of a subnormal number.
const LEAST: i64 = -149;

/// Bits of a significand.
const BITS: i64 = 24;

/// Finite numbers are below $2^{128}$.
const TOP: i64 = 128;

/// Bits that say to which number a quotient, a root or a transcendental value is rounded.
const GUARD: usize = 128;

/// A finite number of type `f32`: $m\,2^e$, $|m| < 2^{24}$, where $|m| \ge 2^{23}$ or $e = -149$.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Single {
    mantissa: i64,
    exponent: i64,
}

impl Single {
    /// 0.
    pub const ZERO: Self = Self { mantissa: 0, exponent: LEAST };

    /// The nearest number to $m\,2^e$, ties to even; `None` where it overflows.
    pub fn nearest(mantissa: i128, exponent: i64) -> Option<Self> {
        if mantissa == 0 {
            return Some(Self::ZERO);
        }
        let magnitude = mantissa.unsigned_abs();
        let bits = 128 - i64::from(magnitude.leading_zeros());
        let shift = (bits - BITS).max(LEAST - exponent);
        let rounded = match shift {
            ..=0 => magnitude << -shift,
            1..=127 => {
                let (floor, rest) = (magnitude >> shift, magnitude & ((1 << shift) - 1));
                let half = 1 << (shift - 1);
                floor + u128::from(rest > half || (rest == half && floor & 1 == 1))
            }
            _ => 0,
        };
        let (rounded, exponent) =
            if rounded >> BITS == 1 { (rounded >> 1, exponent + shift + 1) } else { (rounded, exponent + shift) };
        let mantissa = if mantissa < 0 { -(rounded as i64) } else { rounded as i64 };
        if mantissa == 0 {
            return Some(Self::ZERO);
        }
        (exponent + BITS <= TOP).then_some(Self { mantissa, exponent })
    }

    /// The same for a dyadic number.
    pub fn of(value: &Dyadic) -> Option<Self> {
        let bits = value.mantissa.bit_len();
        // A bit for all that is cut off says on which side of a tie it lies.
        let cut = bits.saturating_sub(100);
        let floor = floor_shift(&value.mantissa, cut);
        let exact = &floor << cut == value.mantissa;
        let mantissa = i128::try_from(floor).ok()?;
        Self::nearest(2 * mantissa + i128::from(!exact), value.exponent + cut as i64 - 1)
    }

    /// The number that every member of an interval is rounded to.
    fn between(value: &Interval) -> Option<Self> {
        let lower = Self::of(&value.lower)?;
        (value.is_point() || Self::of(&value.upper)? == lower).then_some(lower)
    }

    /// A stored number.
    pub fn stored(value: f32) -> Option<Self> {
        let Decoded { negative, mantissa, exponent } = decode_f32(value)?;
        let mantissa = i128::from(mantissa);
        Self::nearest(if negative { -mantissa } else { mantissa }, exponent.into())
    }

    /// The number exactly.
    pub fn dyadic(self) -> Dyadic {
        Dyadic::new(self.mantissa.into(), self.exponent)
    }

    /// $a + b$, rounded.
    pub fn plus(self, other: Self) -> Option<Self> {
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let gap = high.exponent - low.exponent;
        if high.mantissa == 0 {
            return Some(low);
        }
        if gap > 64 {
            // What is added is far below half a unit: only its sign can matter.
            return Self::nearest(
                (i128::from(high.mantissa) << 3) + i128::from(low.mantissa.signum()),
                high.exponent - 3,
            );
        }
        Self::nearest((i128::from(high.mantissa) << gap) + i128::from(low.mantissa), low.exponent)
    }

    /// $a b$, rounded.
    pub fn times(self, other: Self) -> Option<Self> {
        Self::nearest(i128::from(self.mantissa) * i128::from(other.mantissa), self.exponent + other.exponent)
    }

    /// $a / b$, rounded.
    fn over(self, other: Self) -> Option<Self> {
        Self::between(&self.dyadic().over(&other.dyadic(), GUARD)?)
    }

    fn root(self) -> Option<Self> {
        Self::between(&self.dyadic().root(GUARD)?)
    }

    fn negated(self) -> Self {
        Self { mantissa: -self.mantissa, ..self }
    }
}

/// The flattened outputs of one execution at a point whose coordinates are numbers of type `f32`.
///
/// # Errors
/// See [`admit`]; a coordinate of another type, a result that overflows or whose rounding is too close to call.
pub fn execute(graph: &Graph, point: &[RBig]) -> Result<Vec<RBig>, CheckError> {
    admit(graph)?;
    let shape = graph.node(graph.input()).shape.clone();
    let expected = shape.iter().product();
    if point.len() != expected {
        return Err(CheckError::InputCount { expected, found: point.len() });
    }
    let coordinate = |(index, value): (usize, &RBig)| {
        let single = Single::of(&crate::evaluate::enclosed(value, GUARD).lower);
        single.filter(|s| s.dyadic().to_rational() == *value).ok_or(CheckError::InputNotSingle { index })
    };
    let input: Vec<Single> = point.iter().enumerate().map(coordinate).collect::<Result<_, _>>()?;
    let mut values: Vec<Option<Operand<'_>>> = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        let arguments: Vec<Operand<'_>> =
            graph.arguments(id).iter().filter_map(|a| values[a.index()].clone()).collect();
        let computed = match &node.op {
            Op::Constant(value) => {
                values.push(Some(Operand::Stored(value)));
                continue;
            }
            Op::Input => tensor(&node.shape, input.clone()),
            _ => perform(node, arguments),
        };
        let fault = |fault: Fault| fault.at(&node.name, node.op.name());
        values.push(Some(Operand::Computed(Rc::new(computed.map_err(fault)?))));
    }
    let output = graph.node(graph.output());
    let value = values.swap_remove(graph.output().index()).ok_or(Fault::Unsupported);
    let value = value.and_then(Operand::tensor).map_err(|fault| fault.at(&output.name, output.op.name()))?;
    Ok(value.intervals().map(|v| v.lower.to_rational()).collect())
}

fn tensor(shape: &[usize], values: Vec<Single>) -> Result<DyadicTensor, Fault> {
    DyadicTensor::collect(shape.to_vec(), values.into_iter().map(|v| Interval::point(v.dyadic())).collect(), None)
}

fn numbers(operand: Operand<'_>) -> Result<Vec<Single>, Fault> {
    if let Operand::Stored(Value::F32(values)) = operand {
        let stored = |(i, v): (usize, &f32)| Single::stored(*v).ok_or(Fault::NotFinite(i));
        return values.data().iter().enumerate().map(stored).collect();
    }
    let single = |(i, v): (usize, Interval)| Single::between(&v).ok_or(Fault::Domain(i));
    operand.tensor()?.intervals().enumerate().map(single).collect()
}

/// Executes one node.
fn perform(node: &Node, arguments: Vec<Operand<'_>>) -> Result<DyadicTensor, Fault> {
    let shapes: Vec<Vec<usize>> = arguments.iter().map(|a| a.shape().to_vec()).collect();
    let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
    let size: usize = node.shape.iter().product();
    let values = match &node.op {
        Op::MatMul | Op::Gemm { .. } | Op::Conv { .. } | Op::ConvTranspose { .. } => {
            products(node, arguments, &shapes)?
        }
        Op::ReduceSum { axes, .. } | Op::ReduceMean { axes, .. } => {
            let groups = groups_without(shapes[0], axes);
            let mut sums = vec![Some(Single::ZERO); size];
            let x = numbers(arguments.into_iter().next().ok_or(Fault::Unsupported)?)?;
            groups.iter().zip(x).for_each(|(o, x)| sums[*o] = sums[*o].and_then(|s| s.plus(x)));
            let mean = matches!(node.op, Op::ReduceMean { .. });
            let count = if mean { axes.iter().map(|a| shapes[0][*a] as u64).product() } else { 1 };
            shared(sums, |_| count)?
        }
        Op::AveragePool { window, count_include_pad, .. } => {
            let (extents, positions) = (&shapes[0][2..], &node.shape[2..]);
            let (entries, count): (usize, usize) = (extents.iter().product(), positions.iter().product());
            let divisors = counts(window, extents, positions, *count_include_pad);
            let channels = shapes[0][0] * shapes[0][1];
            let x = numbers(arguments.into_iter().next().ok_or(Fault::Unsupported)?)?;
            let mut sums = vec![Some(Single::ZERO); size];
            for (p, i) in taps(window, extents, positions).into_iter().flatten() {
                for c in 0..channels {
                    let sum = &mut sums[c * count + p];
                    *sum = sum.and_then(|s| s.plus(x[c * entries + i]));
                }
            }
            shared(sums, |o| divisors[o % count])?
        }
        Op::BatchNormalization { epsilon } => {
            let mut all = arguments.into_iter().map(numbers).collect::<Result<Vec<_>, _>>()?.into_iter();
            let mut next = || all.next().ok_or(Fault::Unsupported);
            let (x, scale, shift, mean, variance) = (next()?, next()?, next()?, next()?, next()?);
            let epsilon = Single::stored(*epsilon).ok_or(Fault::NotFinite(0))?;
            let positions = size / (shapes[0][0] * scale.len()).max(1);
            let entry = |(o, x): (usize, Single)| {
                let c = o / positions.max(1) % scale.len();
                let normal = || {
                    let factor = scale[c].over(variance[c].plus(epsilon)?.root()?)?;
                    x.plus(mean[c].negated())?.times(factor)?.plus(shift[c])
                };
                normal().ok_or(Fault::Domain(o))
            };
            x.into_iter().enumerate().map(entry).collect::<Result<_, _>>()?
        }
        // One operation an entry.
        _ => numbers(Operand::Computed(Rc::new(apply(node, arguments, GUARD)?)))?,
    };
    tensor(&node.shape, values)
}

/// Sums over the number of their terms.
fn shared(sums: Vec<Option<Single>>, count: impl Fn(usize) -> u64) -> Result<Vec<Single>, Fault> {
    let share = |(o, sum): (usize, Option<Single>)| {
        let divisor = Single::nearest(count(o).into(), 0)?;
        sum?.over(divisor)
    };
    sums.into_iter().enumerate().map(|(o, sum)| share((o, sum)).ok_or(Fault::Domain(o))).collect()
}

/// Sums in the making.
struct Sums {
    weights: Vec<Single>,
    x: Vec<Single>,
    weight: Single,
    sums: Vec<Option<Single>>,
}

impl Visitor for Sums {
    fn weight(&mut self, index: usize) -> bool {
        self.weight = self.weights[index];
        self.weight.mantissa != 0
    }

    fn term(&mut self, output: usize, argument: usize) {
        let sum = &mut self.sums[output];
        *sum = sum.and_then(|sum| sum.plus(self.weight.times(self.x[argument])?));
    }
}

fn products(node: &Node, arguments: Vec<Operand<'_>>, shapes: &[&[usize]]) -> Result<Vec<Single>, Fault> {
    // Whose entries are the weights does not matter to a product.
    let mut arguments = arguments.into_iter();
    let mut next = || arguments.next().map(numbers).transpose();
    let (x, weights) = (next()?.ok_or(Fault::Unsupported)?, next()?.ok_or(Fault::Unsupported)?);
    let zero = vec![Some(Single::ZERO); node.shape.iter().product()];
    let mut sums = Sums { weights, x, weight: Single::ZERO, sums: zero };
    linear_terms(&node.op, shapes, true, &node.shape)?.visit(&mut sums);
    let factors = match &node.op {
        Op::Gemm { alpha, beta, .. } => [*alpha, *beta],
        _ => [1.0, 1.0],
    };
    let [alpha, beta] = factors.map(|f| Single::stored(f).ok_or(Fault::NotFinite(0)));
    let (alpha, beta) = (alpha?, beta?);
    let summand = match next()? {
        None => None,
        Some(values) => {
            let per_channel = matches!(node.op, Op::Conv { .. } | Op::ConvTranspose { .. });
            let mut shape = shapes[2].to_vec();
            if per_channel {
                shape = vec![1; node.shape.len() - 1];
                shape[0] = node.shape[1];
            }
            Some((values, broadcast_offsets(&shape, &node.shape)))
        }
    };
    let finish = |(o, sum): (usize, Option<Single>)| {
        let sum = sum?.times(alpha)?;
        match &summand {
            None => Some(sum),
            Some((values, offsets)) => sum.plus(values[offsets[o]].times(beta)?),
        }
    };
    sums.sums.into_iter().enumerate().map(|(o, sum)| finish((o, sum)).ok_or(Fault::Domain(o))).collect()
}
