//! The network as affine layers and elementwise functions, from the graph.
//!
//! $$ h_0 = x, \qquad h_k = \sum_s W_{ks} h_s + b_k \quad\text{or}\quad h_k = \sigma(h_s). $$
//!
//! Every weight is the stored number or encloses what the operator computes from stored numbers. Rewritten exactly:
//!
//! | operator | as |
//! |---|---|
//! | LeakyRelu | $a z + (1 - a) \max(z, 0)$ |
//! | Max, Min, MaxPool, Clip | $\max(a, b) = b + \max(a - b, 0)$, pairwise; the rounds of a window are those of a tournament |
//!
//! The layers of elementwise functions are numbered in the order in which they come up.
//!
//! In single precision ([`crate::semantics`]) every affine layer has a [`Rounding`]; an identity layer after sigmoid and tanh
//! takes up theirs.

use super::matrix::{Matrix, Numbers, Weight};
use crate::accumulate::Stored;
use crate::error::{CheckError, Fault};
use crate::evaluate::{Precision, apply};
use crate::float::{decode_f32, decode_f64};
use crate::interval::{Dyadic, Interval};
use crate::layout::{broadcast_offsets, groups_without, sources};
use crate::linear::{Operand, Terms, Visitor, linear_terms};
use crate::semantics::{Effect, Semantics, admit, effect};
use crate::tensor::DyadicTensor;
use crate::windows::{counts, taps};
use dashu_int::IBig;
use secateur_nn::graph::{Graph, Node, NodeId};
use secateur_nn::op::{ElementType, Op, Value, Window};
use std::rc::Rc;
use std::sync::Arc;

/// An elementwise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// $\max(z, 0)$.
    Relu,
    /// $1 / (1 + e^{-z})$.
    Sigmoid,
    /// $\tanh z$.
    Tanh,
}

/// What a layer computes.
#[derive(Clone, Debug)]
pub enum Kind {
    /// The input.
    Input,
    /// Sources with their maps, and the bias.
    Affine(Vec<(usize, Arc<Matrix>)>, Numbers),
    /// $\sigma(h_s)$.
    Activation(usize, Function),
}

/// How far the execution of an affine layer may be from what it computes.
#[derive(Clone, Debug)]
pub enum Rounding {
    /// Not at all.
    None,
    /// A sum whose terms see this many roundings more than it has terms; magnitudes of what the bias is computed from.
    Sum(usize, Vec<Dyadic>),
    /// $2^{\text{SMOOTH}}$.
    Smooth,
}

/// A layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Entries.
    pub size: usize,
    /// What it computes.
    pub kind: Kind,
    /// How it is executed.
    pub rounding: Rounding,
}

/// Layers in topological order; the last is the output.
#[derive(Clone, Debug)]
pub struct Network {
    /// The layers.
    pub layers: Vec<Layer>,
    /// For every layer, how many layers of functions come before it.
    earlier: Vec<usize>,
    /// Whether it is executed in single precision.
    pub executed: bool,
}

/// What a node of the graph is here.
#[derive(Clone)]
enum Known<'a> {
    Stored(&'a Value),
    Constant(Rc<DyadicTensor>),
    Layer(usize),
}

/// Bits of what a constant computation cannot give exactly.
const BITS: usize = Precision::ROUNDED.bits;

impl Network {
    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.layers[0].size
    }

    /// Index of the output layer.
    pub fn output(&self) -> usize {
        self.layers.len() - 1
    }

    /// The number among the layers of functions of a layer that is one.
    pub fn number(&self, k: usize) -> usize {
        self.earlier[k]
    }

    /// The layers of a graph.
    ///
    /// # Errors
    /// An operator without such a form, by node; stored numbers that are not finite.
    pub fn new(graph: &Graph, semantics: Semantics) -> Result<Self, CheckError> {
        let executed = semantics == Semantics::Single;
        if executed {
            admit(graph)?;
        }
        let mut to = Builder { executed, ..Builder::default() };
        let mut known: Vec<Option<Known<'_>>> = vec![None; graph.len()];
        for (id, node) in graph.nodes() {
            let arguments = graph.arguments(id).iter().filter_map(|a| known[a.index()].clone()).collect::<Vec<_>>();
            let shapes: Vec<&[usize]> = graph.arguments(id).iter().map(|a| graph.node(*a).shape.as_slice()).collect();
            let narrows = |a: &NodeId| graph.node(*a).element == ElementType::F64;
            if node.op == Op::Cast(ElementType::F32) && graph.arguments(id).iter().any(narrows) {
                return Err(Fault::Unsupported.at(&node.name, node.op.name()));
            }
            let value = to.node(node, arguments, &shapes).map_err(|fault| fault.at(&node.name, node.op.name()))?;
            known[id.index()] = Some(value);
        }
        let output = graph.node(graph.output());
        let refused = || Fault::Unsupported.at(&output.name, output.op.name());
        let Some(Known::Layer(last)) = known[graph.output().index()] else { return Err(refused()) };
        to.layers.truncate(last + 1);
        let layers = live(to.layers);
        let count = |count: &mut usize, layer: &Layer| {
            let before = *count;
            *count += usize::from(matches!(layer.kind, Kind::Activation(..)));
            Some(before)
        };
        let earlier = layers.iter().scan(0, count).collect();
        Ok(Self { layers, earlier, executed })
    }
}

/// The layers so far.
#[derive(Default)]
struct Builder {
    /// Whether layers are executed, with rounding.
    executed: bool,
    layers: Vec<Layer>,
    /// The biases of affine layers, as they are.
    biases: Vec<Vec<Interval>>,
}

impl Builder {
    fn node<'a>(&mut self, node: &'a Node, arguments: Vec<Known<'a>>, shapes: &[&[usize]]) -> Result<Known<'a>, Fault> {
        let layer = match &node.op {
            Op::Constant(value) => return Ok(Known::Stored(value)),
            Op::Input => self.push(node.shape.iter().product(), Kind::Input, Vec::new()),
            _ if arguments.iter().all(|a| !matches!(a, Known::Layer(_))) => {
                let operands = arguments.into_iter().map(operand).collect();
                return Ok(Known::Constant(Rc::new(apply(node, operands, BITS)?)));
            }
            Op::Reshape { .. } => return Ok(arguments[0].clone()),
            Op::Relu => self.activation(source(&arguments)?, Function::Relu),
            Op::Sigmoid => self.smooth(source(&arguments)?, Function::Sigmoid)?,
            Op::Tanh => self.smooth(source(&arguments)?, Function::Tanh)?,
            Op::LeakyRelu { slope } => {
                let slope = decode_f32(*slope).map(Dyadic::from).ok_or(Fault::NotFinite(0))?;
                let source = source(&arguments)?;
                let relu = self.activation(source, Function::Relu);
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

    fn push(&mut self, size: usize, kind: Kind, bias: Vec<Interval>) -> usize {
        self.layers.push(Layer { size, kind, rounding: Rounding::None });
        self.biases.push(bias);
        self.layers.len() - 1
    }

    fn activation(&mut self, source: usize, function: Function) -> usize {
        self.push(self.layers[source].size, Kind::Activation(source, function), Vec::new())
    }

    /// Gives an affine layer the rounding of its node's execution.
    fn round(&mut self, layer: usize, node: &Node, magnitude: Vec<Dyadic>) {
        if let (true, Some(Effect::Sum(roundings))) = (self.executed, effect(&node.op)) {
            self.layers[layer].rounding = Rounding::Sum(roundings, magnitude);
        }
    }

    /// A function whose execution is not exact.
    fn smooth(&mut self, source: usize, function: Function) -> Result<usize, Fault> {
        let layer = self.activation(source, function);
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
        let terms = terms.into_iter().map(|(s, rows)| Ok((s, Arc::new(Matrix::new(self.layers[s].size, rows.0)?))));
        let kind = Kind::Affine(terms.collect::<Result<_, Fault>>()?, Numbers::new(&bias)?);
        Ok(self.push(size, kind, bias))
    }

    /// $w h_s + c$ in every entry.
    fn shift(&mut self, source: usize, weight: &Interval, by: Interval) -> Result<usize, Fault> {
        self.affine(vec![(source, Entries::diagonal(self.layers[source].size, weight))], Some(by))
    }

    /// The ReLU of that.
    fn shifted(&mut self, source: usize, weight: &Interval, by: Interval) -> Result<usize, Fault> {
        let shifted = self.shift(source, weight, by)?;
        Ok(self.activation(shifted, Function::Relu))
    }

    /// $\max(a, b) = b + \max(a - b, 0)$; $\min(a, b) = b - \max(b - a, 0)$.
    fn extreme(&mut self, a: (usize, Entries), b: (usize, Entries), greatest: bool) -> Result<(usize, Entries), Fault> {
        let size = a.1.0.len();
        let (plus, minus) = if greatest { (&a, &b) } else { (&b, &a) };
        let difference = self.affine(vec![plus.clone(), (minus.0, minus.1.negated())], None)?;
        let relu = self.activation(difference, Function::Relu);
        let sign = if greatest { one() } else { one().negated() };
        let value = self.affine(vec![b, (relu, Entries::diagonal(size, &sign))], None)?;
        Ok((value, Entries::diagonal(size, &one())))
    }

    /// The layer of a value; a constant becomes a layer that reads nothing.
    fn layer_of(&mut self, known: &Known<'_>) -> Result<usize, Fault> {
        if let Known::Layer(k) = known {
            return Ok(*k);
        }
        let values: Vec<Interval> = constant(known)?.intervals().collect();
        let kind = Kind::Affine(Vec::new(), Numbers::new(&values)?);
        Ok(self.push(values.len(), kind, values))
    }
}

fn source(arguments: &[Known<'_>]) -> Result<usize, Fault> {
    match arguments {
        [Known::Layer(source), ..] => Ok(*source),
        _ => Err(Fault::Unsupported),
    }
}

/// Rows with at most one entry each.
#[derive(Clone)]
struct Entries(Rows);

impl Entries {
    fn selection(index: impl Iterator<Item = Option<usize>>, weight: &Interval) -> Self {
        let weight = Weight::from(weight.clone());
        Self(index.map(|i| i.map(|i| (i as u32, weight.clone())).into_iter().collect()).collect())
    }

    fn diagonal(size: usize, weight: &Interval) -> Self {
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

/// The layers that the output reads, and the inputs of all functions: these are numbered.
fn live(layers: Vec<Layer>) -> Vec<Layer> {
    let mut needed = vec![false; layers.len()];
    for (k, layer) in layers.iter().enumerate().rev() {
        needed[k] |= k + 1 == layers.len() || !matches!(layer.kind, Kind::Affine(..));
        match &layer.kind {
            Kind::Affine(terms, _) if needed[k] => terms.iter().for_each(|(s, _)| needed[*s] = true),
            Kind::Activation(source, _) => needed[*source] = true,
            _ => {}
        }
    }
    let mut place = vec![0; layers.len()];
    let mut kept: Vec<Layer> = Vec::new();
    for (k, mut layer) in layers.into_iter().enumerate().filter(|(k, _)| needed[*k]) {
        match &mut layer.kind {
            Kind::Input => {}
            Kind::Activation(source, _) => *source = place[*source],
            Kind::Affine(terms, _) => terms.iter_mut().for_each(|(s, _)| *s = place[*s]),
        }
        place[k] = kept.len();
        kept.push(layer);
    }
    kept
}

/// $\max |v|$.
fn size_of(values: &Interval) -> Dyadic {
    let negated = values.lower.negated();
    if negated > values.upper { negated } else { values.upper.clone() }
}

/// The magnitudes of what the biases of an affine node are computed from.
fn magnitudes(node: &Node, arguments: &[Known<'_>], bias: &[Interval]) -> Result<Vec<Dyadic>, Fault> {
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

fn operand(known: Known<'_>) -> Operand<'_> {
    match known {
        Known::Stored(value) => Operand::Stored(value),
        Known::Constant(tensor) => Operand::Computed(tensor),
        Known::Layer(_) => unreachable!("constants only"),
    }
}

fn constant(known: &Known<'_>) -> Result<DyadicTensor, Fault> {
    operand(known.clone()).tensor()
}

/// Rows of (input, weight).
type Rows = Vec<Vec<(u32, Weight)>>;

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

fn one() -> Interval {
    Interval::point(Dyadic::one())
}

/// Which layers an affine node reads and how, and its value at 0.
type Affine = (Vec<(usize, Arc<Matrix>)>, Vec<Interval>);

/// An affine node.
fn affine(node: &Node, arguments: &[Known<'_>], shapes: &[&[usize]], sizes: &[usize]) -> Result<Affine, Fault> {
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

fn channels(shape: &[usize]) -> Vec<usize> {
    let mut per_channel = vec![1; shape.len() - 1];
    per_channel[0] = shape[1];
    per_channel
}
