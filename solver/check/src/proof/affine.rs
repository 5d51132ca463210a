//! Nodes that are affine in what varies: which layers they read and how, and their values at 0.

use super::build::{BITS, Known};
use super::matrix::{Matrix, Weight};
use crate::accumulate::Stored;
use crate::error::Fault;
use crate::evaluate::apply;
use crate::float::{decode_f32, decode_f64};
use crate::interval::{Dyadic, Interval};
use crate::layout::{broadcast_offsets, groups_without, sources};
use crate::linear::{Operand, Terms, Visitor, linear_terms};
use crate::tensor::DyadicTensor;
use crate::windows::{counts, taps};
use dashu_int::IBig;
use secateur_nn::graph::Node;
use secateur_nn::op::{Op, Value};
use std::rc::Rc;
use std::sync::Arc;

/// $\max |v|$.
pub(super) fn size_of(values: &Interval) -> Dyadic {
    let negated = values.lower.negated();
    if negated > values.upper { negated } else { values.upper.clone() }
}

/// The magnitudes of what the biases of an affine node are computed from.
pub(super) fn magnitudes(node: &Node, arguments: &[Known<'_>], bias: &[Interval]) -> Result<Vec<Dyadic>, Fault> {
    if !matches!(node.op, Op::BatchNormalization { .. }) {
        return Ok(bias.iter().map(size_of).collect());
    }
    // $\beta$ and $\beta - \mu s$, whose difference is the other part.
    let shift = constant(arguments.get(2).ok_or(Fault::Unsupported)?)?;
    let offsets = broadcast_offsets(&channels(&node.shape), &node.shape);
    let both = |(b, c): (&Interval, usize)| {
        let shift = shift.interval(c);
        size_of(&shift).plus(&size_of(&b.minus(&shift)))
    };
    Ok(bias.iter().zip(offsets).map(both).collect())
}

pub(super) fn operand(known: Known<'_>) -> Operand<'_> {
    match known {
        Known::Stored(value) => Operand::Stored(value),
        Known::Constant(tensor) => Operand::Computed(tensor),
        Known::Layer(_) => unreachable!("constants only"),
    }
}

pub(super) fn constant(known: &Known<'_>) -> Result<DyadicTensor, Fault> {
    operand(known.clone()).tensor()
}

/// Rows of (input, weight).
pub(super) type Rows = Vec<Vec<(u32, Weight)>>;

/// Where weights come from.
enum Weights<'a> {
    Stored(Stored<'a>),
    Computed(Rc<DyadicTensor>),
}

/// Collects the terms of a product with known weights.
struct Collector<'a> {
    weights: Weights<'a>,
    factor: Interval,
    weight: Weight,
    bad: Option<usize>,
    rows: Rows,
}

impl Visitor for Collector<'_> {
    fn weight(&mut self, index: usize) -> bool {
        let decoded = match &self.weights {
            Weights::Stored(Stored::F32(data)) => decode_f32(data[index]),
            Weights::Stored(Stored::F64(data)) => decode_f64(data[index]),
            Weights::Computed(tensor) => {
                self.weight = tensor.interval(index).times(&self.factor).into();
                return true;
            }
        };
        let Some(decoded) = decoded else {
            self.bad = Some(index);
            return false;
        };
        self.weight = match (&self.factor.lower.mantissa, self.factor.is_point()) {
            (one, true) if *one == IBig::ONE && self.factor.lower.exponent == 0 => {
                let mantissa = decoded.mantissa.cast_signed();
                Weight::Exact(if decoded.negative { -mantissa } else { mantissa }, decoded.exponent.into())
            }
            _ => Interval::point(Dyadic::from(decoded)).times(&self.factor).into(),
        };
        decoded.mantissa != 0
    }

    fn term(&mut self, output: usize, argument: usize) {
        self.rows[output].push((argument as u32, self.weight.clone()));
    }
}

pub(super) fn one() -> Interval {
    Interval::point(Dyadic::one())
}

/// Which layers an affine node reads and how, and its value at 0.
pub(super) type Affine = (Vec<(usize, Arc<Matrix>)>, Vec<Interval>);

/// An affine node.
pub(super) fn affine(
    node: &Node,
    arguments: &[Known<'_>],
    shapes: &[&[usize]],
    sizes: &[usize],
) -> Result<Affine, Fault> {
    let size: usize = node.shape.iter().product();
    let zeros = || vec![Interval::point(Dyadic::zero()); size];
    let mut terms: Vec<(usize, Rows)> = Vec::new();
    let mut bias = zeros();
    let broadcast = |a: usize| broadcast_offsets(shapes[a], &node.shape);
    match (&node.op, arguments) {
        (Op::MatMul | Op::Gemm { .. } | Op::Conv { .. } | Op::ConvTranspose { .. }, _) => {
            let (source, weight, right) = match (&arguments[0], &arguments[1]) {
                (Known::Layer(_), Known::Layer(_)) => return Err(Fault::Unsupported),
                (Known::Layer(source), weight) => (*source, weight, true),
                (weight, Known::Layer(source)) => (*source, weight, false),
                _ => return Err(Fault::Unsupported),
            };
            let weights = match weight {
                Known::Stored(Value::F32(w)) => Weights::Stored(Stored::F32(w.data())),
                Known::Stored(Value::F64(w)) => Weights::Stored(Stored::F64(w.data())),
                Known::Stored(other) => return Err(Fault::Element(other.element_type())),
                Known::Constant(w) => Weights::Computed(w.clone()),
                Known::Layer(_) => return Err(Fault::Unsupported),
            };
            let stored = |v: f32| decode_f32(v).map(Dyadic::from).ok_or(Fault::NotFinite(0));
            let factors = match node.op {
                Op::Gemm { alpha, beta, .. } => (stored(alpha)?, stored(beta)?),
                _ => (Dyadic::one(), Dyadic::one()),
            };
            let rows = vec![Vec::new(); size];
            let factor = Interval::point(factors.0);
            let mut collector = Collector { weights, factor, weight: Weight::ONE, bad: None, rows };
            linear_terms(&node.op, shapes, right, &node.shape)?.visit(&mut collector);
            if let Some(index) = collector.bad {
                return Err(Fault::NotFinite(index));
            }
            terms.push((source, collector.rows));
            if let Some(summand) = arguments.get(2) {
                let per_channel = matches!(node.op, Op::Conv { .. } | Op::ConvTranspose { .. });
                let shape = if per_channel { channels(&node.shape) } else { shapes[2].to_vec() };
                let offsets = broadcast_offsets(&shape, &node.shape);
                match summand {
                    Known::Layer(_) => return Err(Fault::Unsupported),
                    known => {
                        let values = constant(known)?;
                        let factor = Interval::point(factors.1);
                        bias = offsets.iter().map(|i| values.interval(*i).times(&factor)).collect();
                    }
                }
            }
        }
        (Op::Add | Op::Sub, [_, _]) => {
            for (a, argument) in arguments.iter().enumerate() {
                let negative = a == 1 && node.op == Op::Sub;
                let signed = |v: Interval| if negative { v.negated() } else { v };
                let offsets = broadcast(a);
                match argument {
                    Known::Layer(source) => {
                        terms
                            .push((*source, offsets.iter().map(|i| vec![(*i as u32, signed(one()).into())]).collect()));
                    }
                    known => {
                        let values = constant(known)?;
                        bias = bias.iter().zip(&offsets).map(|(b, i)| b.plus(&signed(values.interval(*i)))).collect();
                    }
                }
            }
        }
        (Op::Mul | Op::Div, [first, second]) => {
            let (source, layer, factor) = match (first, second) {
                (Known::Layer(source), known) if !matches!(known, Known::Layer(_)) => (*source, 0, 1),
                (known, Known::Layer(source)) if node.op == Op::Mul && !matches!(known, Known::Layer(_)) => {
                    (*source, 1, 0)
                }
                _ => return Err(Fault::Unsupported),
            };
            let values = constant(&arguments[factor])?;
            let weight = |i: usize| match node.op {
                Op::Div => one().over(&values.interval(i), BITS).ok_or(Fault::Domain(i)),
                _ => Ok(values.interval(i)),
            };
            let (from, by) = (broadcast(layer), broadcast(factor));
            let rows = from.iter().zip(by).map(|(i, j)| Ok(vec![(*i as u32, weight(j)?.into())]));
            terms.push((source, rows.collect::<Result<_, Fault>>()?));
        }
        (Op::Neg, [Known::Layer(source)]) => {
            terms.push((*source, (0..size).map(|i| vec![(i as u32, one().negated().into())]).collect()));
        }
        (Op::BatchNormalization { .. }, [Known::Layer(source), ..]) => {
            // The value at 0 and at 1 of each entry; the operator is affine per entry.
            let at = |v: i32| {
                let all = vec![Interval::point(Dyadic::new(v.into(), 0)); size];
                let x = DyadicTensor::collect(shapes[0].to_vec(), all, None)?;
                let mut operands = vec![Operand::Computed(Rc::new(x))];
                operands.extend(arguments[1..].iter().map(|known| operand(known.clone())));
                apply(node, operands, BITS)
            };
            if arguments[1..].iter().any(|known| matches!(known, Known::Layer(_))) {
                return Err(Fault::Unsupported);
            }
            let (low, high) = (at(0)?, at(1)?);
            bias = low.intervals().collect();
            let weight = |i: usize| vec![(i as u32, high.interval(i).minus(&low.interval(i)).into())];
            terms.push((*source, (0..size).map(weight).collect()));
        }
        (Op::ReduceSum { axes, .. } | Op::ReduceMean { axes, .. }, [Known::Layer(source)]) => {
            let groups = groups_without(shapes[0], axes);
            let count: usize = axes.iter().map(|a| shapes[0][*a]).product();
            let share = match node.op {
                Op::ReduceMean { .. } => {
                    let count = Interval::point(Dyadic::new((count as u64).into(), 0));
                    one().over(&count, BITS).ok_or(Fault::Domain(0))?
                }
                _ => one(),
            };
            let mut rows: Rows = vec![Vec::new(); size];
            groups.iter().enumerate().for_each(|(i, o)| rows[*o].push((i as u32, share.clone().into())));
            terms.push((*source, rows));
        }
        (Op::AveragePool { window, count_include_pad, .. }, [Known::Layer(source)]) => {
            let (extents, positions) = (&shapes[0][2..], &node.shape[2..]);
            let (entries, count): (usize, usize) = (extents.iter().product(), positions.iter().product());
            let divisors = counts(window, extents, positions, *count_include_pad);
            if let Some(empty) = divisors.iter().position(|divisor| *divisor == 0) {
                return Err(Fault::Domain(empty));
            }
            let mut rows: Rows = vec![Vec::new(); size];
            for (p, i) in taps(window, extents, positions).into_iter().flatten() {
                let divisor = Interval::point(Dyadic::new(divisors[p].into(), 0));
                let share = one().over(&divisor, BITS).ok_or(Fault::Domain(p))?;
                for channel in 0..shapes[0][0] * shapes[0][1] {
                    rows[channel * count + p].push(((channel * entries + i) as u32, share.clone().into()));
                }
            }
            terms.push((*source, rows));
        }
        (Op::Where, [known, first, second]) if !matches!(known, Known::Layer(_)) => {
            let condition = truths(known)?;
            let (c, offsets) = (broadcast(0), [broadcast(1), broadcast(2)]);
            let from = |o: usize| usize::from(!condition[c[o]]);
            for (a, argument) in [first, second].into_iter().enumerate() {
                let mine = |o: usize| (from(o) == a).then(|| offsets[a][o]);
                match argument {
                    Known::Layer(source) => {
                        let row = |o: usize| mine(o).iter().map(|i| (*i as u32, Weight::ONE)).collect();
                        terms.push((*source, (0..size).map(row).collect()));
                    }
                    known => {
                        let values = constant(known)?;
                        let chosen = (0..size).filter_map(|o| Some((o, mine(o)?)));
                        chosen.for_each(|(o, i)| bias[o] = values.interval(i));
                    }
                }
            }
        }
        (Op::Concat { axis }, _) => {
            let mut start = 0;
            for (a, argument) in arguments.iter().enumerate() {
                let (outer, inner) =
                    (shapes[a][..*axis].iter().product::<usize>(), shapes[a][*axis..].iter().product::<usize>());
                let whole: usize = node.shape[*axis..].iter().product();
                let places: Vec<usize> =
                    (0..outer).flat_map(|o| (0..inner).map(move |i| o * whole + start + i)).collect();
                match argument {
                    Known::Layer(source) => {
                        let mut rows: Rows = vec![Vec::new(); size];
                        places.iter().enumerate().for_each(|(i, o)| rows[*o].push((i as u32, Weight::ONE)));
                        terms.push((*source, rows));
                    }
                    known => {
                        let values = constant(known)?;
                        places.iter().enumerate().for_each(|(i, o)| bias[*o] = values.interval(i));
                    }
                }
                start += inner;
            }
        }
        (op, [Known::Layer(source), rest @ ..]) if rest.iter().all(|known| !matches!(known, Known::Layer(_))) => {
            let Some(moves) = sources(op, shapes[0], &node.shape) else { return Err(Fault::Unsupported) };
            if let Op::Pad { value, .. } = op {
                let fill = Interval::point(decode_f64(*value).map(Dyadic::from).ok_or(Fault::NotFinite(0))?);
                moves.iter().zip(&mut bias).filter(|(from, _)| from.is_none()).for_each(|(_, b)| *b = fill.clone());
            }
            let row = |from: &Option<usize>| from.iter().map(|i| (*i as u32, Weight::ONE)).collect();
            terms.push((*source, moves.iter().map(row).collect()));
        }
        _ => return Err(Fault::Unsupported),
    }
    let terms = terms.into_iter().map(|(source, rows)| Ok((source, Arc::new(Matrix::new(sizes[source], rows)?))));
    Ok((terms.collect::<Result<_, Fault>>()?, bias))
}

/// A stored condition.
fn truths(known: &Known<'_>) -> Result<Vec<bool>, Fault> {
    match known {
        Known::Stored(Value::Bool(truths)) => Ok(truths.data().to_vec()),
        _ => Err(Fault::Unsupported),
    }
}

fn channels(shape: &[usize]) -> Vec<usize> {
    let mut per_channel = vec![1; shape.len() - 1];
    per_channel[0] = shape[1];
    per_channel
}
