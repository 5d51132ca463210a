//! From the nodes of a graph to layers, one after the other.

use super::affine::{Rows, affine, constant, magnitudes, one, operand, size_of};
use super::bilinear;
use super::matrix::{LONGEST, Matrix, Numbers, Weight};
use super::network::{Factor, Function, Kind, Layer, Rounding};
use crate::error::Fault;
use crate::evaluate::{Precision, apply};
use crate::float::{decode_f32, decode_f64};
use crate::interval::{Dyadic, Interval};
use crate::layout::broadcast_offsets;
use crate::semantics::{Effect, effect};
use crate::tensor::DyadicTensor;
use crate::windows::taps;
use secateur_nn::graph::Node;
use secateur_nn::op::{ElementType, Op, Value, Window};
use std::rc::Rc;
use std::sync::Arc;

/// What a node of the graph is here.
#[derive(Clone)]
pub(super) enum Known<'a> {
    Stored(&'a Value),
    Constant(Rc<DyadicTensor>),
    Layer(usize),
}

/// Bits of what a constant computation cannot give exactly.
pub(super) const BITS: usize = Precision::ROUNDED.bits;

/// The layers so far.
#[derive(Default)]
pub(super) struct Builder {
    /// Whether layers are executed, with rounding.
    pub(super) executed: bool,
    pub(super) layers: Vec<Layer>,
    /// The biases of affine layers, as they are.
    pub(super) biases: Vec<Vec<Interval>>,
}

impl Builder {
    /// The next node of the graph; layers that it needs are appended.
    ///
    /// # Errors
    /// An operator without such a form; stored numbers that are not finite.
    pub(super) fn node<'a>(
        &mut self,
        node: &'a Node,
        arguments: Vec<Known<'a>>,
        shapes: &[&[usize]],
    ) -> Result<Known<'a>, Fault> {
        let layer = match &node.op {
            Op::Constant(value) => return Ok(Known::Stored(value)),
            Op::Input => self.push(node.shape.iter().product(), Kind::Input, Vec::new()),
            _ if arguments.iter().all(|a| !matches!(a, Known::Layer(_))) => {
                let operands = arguments.into_iter().map(operand).collect();
                return Ok(Known::Constant(Rc::new(apply(node, operands, BITS)?)));
            }
            Op::Reshape { .. } | Op::Cast(ElementType::F32 | ElementType::F64) => return Ok(arguments[0].clone()),
            Op::Relu => self.activation(source(&arguments)?, Function::Relu)?,
            Op::Sigmoid => self.smooth(source(&arguments)?, Function::Sigmoid)?,
            Op::Tanh => self.smooth(source(&arguments)?, Function::Tanh)?,
            Op::Exp => self.activation(source(&arguments)?, Function::Exp)?,
            Op::Sqrt => self.activation(source(&arguments)?, Function::Sqrt)?,
            Op::Sin => self.activation(source(&arguments)?, Function::Sin)?,
            Op::Cos => self.activation(source(&arguments)?, Function::Cos)?,
            Op::Sign => self.activation(source(&arguments)?, Function::Sign)?,
            Op::Floor => self.activation(source(&arguments)?, Function::Floor)?,
            Op::Pow | Op::Softmax { .. } => bilinear::layer(self, node, &arguments, shapes)?,
            Op::Mul | Op::Div | Op::MatMul | Op::Gemm { .. } if bilinear::takes(&node.op, &arguments) => {
                bilinear::layer(self, node, &arguments, shapes)?
            }
            Op::LeakyRelu { slope } => {
                let slope = decode_f32(*slope).map(Dyadic::from).ok_or(Fault::NotFinite(0))?;
                let source = source(&arguments)?;
                let relu = self.activation(source, Function::Relu)?;
                let rest = Interval::point(Dyadic::one().minus(&slope));
                let terms = vec![
                    (source, Entries::diagonal(self.layers[source].size, &Interval::point(slope))),
                    (relu, Entries::diagonal(self.layers[source].size, &rest)),
                ];
                let layer = self.affine(terms, None)?;
                let size = self.layers[layer].size;
                self.round(layer, node, vec![Dyadic::zero(); size]);
                layer
            }
            Op::Clip { min, max } => {
                let mut value = source(&arguments)?;
                let end = |v: f64| decode_f64(v).map(|v| Interval::point(Dyadic::from(v))).ok_or(Fault::NotFinite(0));
                // max(z, m) = m + max(z − m, 0), then min(y, M) = M − max(M − y, 0).
                if let Some(min) = min {
                    let min = end(*min)?;
                    let relu = self.shifted(value, &one(), min.negated())?;
                    value = self.shift(relu, &one(), min)?;
                }
                if let Some(max) = max {
                    let max = end(*max)?;
                    let relu = self.shifted(value, &one().negated(), max.clone())?;
                    value = self.shift(relu, &one().negated(), max)?;
                }
                value
            }
            Op::Max | Op::Min => {
                let mut values = Vec::new();
                for (argument, shape) in arguments.iter().zip(shapes) {
                    let layer = self.layer_of(argument)?;
                    let offsets = broadcast_offsets(shape, &node.shape);
                    values.push((layer, Entries::selection(offsets.into_iter().map(Some), &one())));
                }
                let mut values = values.into_iter();
                let mut value = values.next().ok_or(Fault::Unsupported)?;
                for other in values {
                    value = self.extreme(value, other, node.op == Op::Max)?;
                }
                self.affine(vec![value], None)?
            }
            Op::MaxPool { window, .. } => {
                let source = source(&arguments)?;
                let mut round: Vec<(usize, Entries)> = tournament(window, shapes[0], &node.shape)?
                    .into_iter()
                    .map(|tap| (source, Entries::selection(tap.into_iter().map(Some), &one())))
                    .collect();
                while round.len() > 1 {
                    let mut next = Vec::new();
                    let mut rest = round.into_iter();
                    while let Some(first) = rest.next() {
                        next.push(match rest.next() {
                            Some(second) => self.extreme(first, second, true)?,
                            None => first,
                        });
                    }
                    round = next;
                }
                self.affine(round, None)?
            }
            _ => {
                let sizes: Vec<usize> = self.layers.iter().map(|l| l.size).collect();
                let (mut terms, mut bias) = affine(node, &arguments, shapes, &sizes)?;
                // What changes nothing is no layer of its own: the factors of a square are known by their layer.
                if let (true, [(source, map)]) = (may_be_nothing(&node.op), &terms[..])
                    && map.is_identity()
                    && bias.iter().all(|b| b.lower.is_zero() && b.upper.is_zero())
                {
                    return Ok(Known::Layer(*source));
                }
                let mut magnitude = if self.executed { magnitudes(node, &arguments, &bias)? } else { Vec::new() };
                let mut more = 0;
                // A constant added to an affine layer is a part of its bias.
                if let (Op::Add, [(source, map)]) = (&node.op, &terms[..])
                    && let Layer { kind: Kind::Affine(inner, _), rounding, .. } = &self.layers[*source]
                    && !matches!(rounding, Rounding::Smooth)
                    && map.is_identity()
                {
                    let inner_bias = &self.biases[*source];
                    bias.iter_mut().zip(inner_bias).for_each(|(b, inner)| *b = b.plus(inner));
                    match rounding {
                        Rounding::Sum(roundings, all) => {
                            more = *roundings;
                            magnitude.iter_mut().zip(all).for_each(|(m, inner)| *m = m.plus(inner));
                        }
                        _ => magnitude.iter_mut().zip(inner_bias).for_each(|(m, inner)| *m = m.plus(&size_of(inner))),
                    }
                    terms.clone_from(inner);
                }
                let kind = Kind::Affine(terms, Numbers::new(&bias)?);
                let layer = self.push(node.shape.iter().product(), kind, bias);
                self.round(layer, node, magnitude);
                if let Rounding::Sum(roundings, _) = &mut self.layers[layer].rounding {
                    *roundings += more;
                }
                layer
            }
        };
        Ok(Known::Layer(layer))
    }

    pub(super) fn push(&mut self, size: usize, kind: Kind, bias: Vec<Interval>) -> usize {
        self.layers.push(Layer { size, kind, rounding: Rounding::None, capped: false, opposite: Vec::new() });
        self.biases.push(bias);
        self.layers.len() - 1
    }

    /// A function of every entry of a layer.
    pub(super) fn activation(&mut self, source: usize, function: Function) -> Result<usize, Fault> {
        let source = self.bounded(source)?;
        Ok(self.push(self.layers[source].size, Kind::Activation(source, function), Vec::new()))
    }

    /// A layer as one that functions and products read.
    pub(super) fn bounded(&mut self, source: usize) -> Result<usize, Fault> {
        match self.layers[source].kind {
            Kind::Input | Kind::Affine(..) => Ok(source),
            _ => self.shift(source, &one(), Interval::point(Dyadic::zero())),
        }
    }

    /// Gives an affine layer the rounding of its node's execution.
    fn round(&mut self, layer: usize, node: &Node, magnitude: Vec<Dyadic>) {
        if let (true, Some(Effect::Sum(roundings))) = (self.executed, effect(&node.op)) {
            self.layers[layer].rounding = Rounding::Sum(roundings, magnitude);
        }
    }

    /// Products of entries of two layers.
    pub(super) fn product(
        &mut self,
        (left, p): (usize, Vec<u32>),
        (right, q): (usize, Vec<u32>),
    ) -> Result<usize, Fault> {
        let size = p.len();
        let left = Factor { source: self.bounded(left)?, index: p };
        let right = Factor { source: self.bounded(right)?, index: q };
        if size >= LONGEST {
            return Err(Fault::Range);
        }
        Ok(self.push(size, Kind::Product(left, right), Vec::new()))
    }

    /// A function whose execution is not exact.
    fn smooth(&mut self, source: usize, function: Function) -> Result<usize, Fault> {
        let layer = self.activation(source, function)?;
        if !self.executed {
            return Ok(layer);
        }
        let executed = self.shift(layer, &one(), Interval::point(Dyadic::zero()))?;
        self.layers[executed].rounding = Rounding::Smooth;
        Ok(executed)
    }

    fn affine(&mut self, terms: Vec<(usize, Entries)>, bias: Option<Interval>) -> Result<usize, Fault> {
        let size = terms.first().map_or(0, |(_, rows)| rows.0.len());
        let bias = vec![bias.unwrap_or_else(|| Interval::point(Dyadic::zero())); size];
        self.sum(terms, bias)
    }

    /// $\sum_s W_s h_s + b$.
    pub(super) fn sum(&mut self, terms: Vec<(usize, Entries)>, bias: Vec<Interval>) -> Result<usize, Fault> {
        let terms = terms.into_iter().map(|(s, rows)| Ok((s, Arc::new(Matrix::new(self.layers[s].size, rows.0)?))));
        let kind = Kind::Affine(terms.collect::<Result<_, Fault>>()?, Numbers::new(&bias)?);
        Ok(self.push(bias.len(), kind, bias))
    }

    /// $w h_s + c$ in every entry.
    pub(super) fn shift(&mut self, source: usize, weight: &Interval, by: Interval) -> Result<usize, Fault> {
        self.affine(vec![(source, Entries::diagonal(self.layers[source].size, weight))], Some(by))
    }

    /// The ReLU of that.
    fn shifted(&mut self, source: usize, weight: &Interval, by: Interval) -> Result<usize, Fault> {
        let shifted = self.shift(source, weight, by)?;
        self.activation(shifted, Function::Relu)
    }

    /// $\max(a, b) = b + \max(a - b, 0)$; $\min(a, b) = b - \max(b - a, 0)$.
    fn extreme(&mut self, a: (usize, Entries), b: (usize, Entries), greatest: bool) -> Result<(usize, Entries), Fault> {
        let size = a.1.0.len();
        let (plus, minus) = if greatest { (&a, &b) } else { (&b, &a) };
        let difference = self.affine(vec![plus.clone(), (minus.0, minus.1.negated())], None)?;
        let relu = self.activation(difference, Function::Relu)?;
        let sign = if greatest { one() } else { one().negated() };
        let value = self.affine(vec![b, (relu, Entries::diagonal(size, &sign))], None)?;
        Ok((value, Entries::diagonal(size, &one())))
    }

    /// The layer of a value; a constant becomes a layer that reads nothing.
    pub(super) fn layer_of(&mut self, known: &Known<'_>) -> Result<usize, Fault> {
        if let Known::Layer(k) = known {
            return Ok(*k);
        }
        let values: Vec<Interval> = constant(known)?.intervals().collect();
        let kind = Kind::Affine(Vec::new(), Numbers::new(&values)?);
        Ok(self.push(values.len(), kind, values))
    }
}

/// Whether a node may give its argument back: moves of entries, and sums.
fn may_be_nothing(op: &Op) -> bool {
    let moves = matches!(op, Op::Expand { .. } | Op::Transpose { .. } | Op::Slice { .. } | Op::Gather { .. });
    moves || matches!(op, Op::Upsample { .. } | Op::Pad { .. } | Op::Concat { .. } | Op::Where | Op::Add | Op::Sub)
}

fn source(arguments: &[Known<'_>]) -> Result<usize, Fault> {
    match arguments {
        [Known::Layer(source), ..] => Ok(*source),
        _ => Err(Fault::Unsupported),
    }
}

/// Rows with at most one entry each.
#[derive(Clone)]
pub(super) struct Entries(pub(super) Rows);

impl Entries {
    pub(super) fn selection(index: impl Iterator<Item = Option<usize>>, weight: &Interval) -> Self {
        let weight = Weight::from(weight.clone());
        Self(index.map(|i| i.map(|i| (i as u32, weight.clone())).into_iter().collect()).collect())
    }

    pub(super) fn diagonal(size: usize, weight: &Interval) -> Self {
        Self::selection((0..size).map(Some), weight)
    }

    fn negated(&self) -> Self {
        let row = |row: &Vec<(u32, Weight)>| row.iter().map(|(i, w)| (*i, w.negated())).collect();
        Self(self.0.iter().map(row).collect())
    }
}

/// The entries that meet in the rounds of a pooling's tournament, one list per place in a window; a window that is cut off
/// repeats its entries.
fn tournament(window: &Window, shape: &[usize], result: &[usize]) -> Result<Vec<Vec<usize>>, Fault> {
    let (extents, positions) = (&shape[2..], &result[2..]);
    let (size, count): (usize, usize) = (extents.iter().product(), positions.iter().product());
    let mut windows: Vec<Vec<usize>> = vec![Vec::new(); shape[0] * shape[1] * count];
    for taps in taps(window, extents, positions) {
        for (p, i) in taps {
            (0..shape[0] * shape[1]).for_each(|channel| windows[channel * count + p].push(channel * size + i));
        }
    }
    if let Some(empty) = windows.iter().position(Vec::is_empty) {
        return Err(Fault::Domain(empty));
    }
    let places = windows.iter().map(Vec::len).max().unwrap_or(1);
    Ok((0..places).map(|t| windows.iter().map(|window| window[t % window.len()]).collect()).collect())
}
