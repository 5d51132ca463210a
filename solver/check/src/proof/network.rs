//! The network as affine layers and ReLUs, from the graph.
//!
//! $$ h_0 = x, \qquad h_k = \sum_s W_{ks} h_s + b_k \quad\text{or}\quad h_k = \max(h_s, 0). $$
//!
//! Every weight is the stored number or encloses what the operator computes from stored numbers.

use super::matrix::{Matrix, Numbers};
use crate::accumulate::Stored;
use crate::error::{CheckError, Fault};
use crate::evaluate::{Precision, apply};
use crate::float::{decode_f32, decode_f64};
use crate::interval::{Dyadic, Interval};
use crate::layout::{broadcast_offsets, sources};
use crate::linear::{Operand, Terms, Visitor, linear_terms};
use crate::tensor::DyadicTensor;
use secateur_nn::graph::{Graph, Node};
use secateur_nn::op::{Op, Value};
use std::rc::Rc;
use std::sync::Arc;

/// What a layer computes.
#[derive(Clone, Debug)]
pub enum Kind {
    /// The input.
    Input,
    /// Sources with their maps, and the bias.
    Affine(Vec<(usize, Arc<Matrix>)>, Numbers),
    /// $\max(h_s, 0)$.
    Relu(usize),
}

/// A layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Entries.
    pub size: usize,
    /// What it computes.
    pub kind: Kind,
}

/// Layers in topological order; the last is the output.
#[derive(Clone, Debug)]
pub struct Network {
    /// The layers.
    pub layers: Vec<Layer>,
    /// For every layer, how many ReLU layers come before it.
    earlier: Vec<usize>,
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

    /// The number among the ReLU layers of a layer that is one.
    pub fn relu_number(&self, k: usize) -> usize {
        self.earlier[k]
    }

    /// The ReLU layers with their sources, in order.
    pub fn relus(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.layers.iter().enumerate().filter_map(|(k, layer)| match layer.kind {
            Kind::Relu(source) => Some((k, source)),
            _ => None,
        })
    }

    /// The layers of a graph.
    ///
    /// # Errors
    /// An operator that is neither affine nor a ReLU, by node; stored numbers that are not finite.
    pub fn new(graph: &Graph) -> Result<Self, CheckError> {
        let mut layers: Vec<Layer> = Vec::new();
        let mut biases: Vec<Vec<Interval>> = Vec::new();
        let mut known: Vec<Option<Known<'_>>> = vec![None; graph.len()];
        for (id, node) in graph.nodes() {
            let fault = |fault: Fault| fault.at(&node.name, node.op.name());
            let arguments = graph.arguments(id).iter().filter_map(|a| known[a.index()].clone()).collect::<Vec<_>>();
            let shapes: Vec<&[usize]> = graph.arguments(id).iter().map(|a| graph.node(*a).shape.as_slice()).collect();
            let value = match &node.op {
                Op::Constant(value) => Known::Stored(value),
                Op::Input => {
                    layers.push(Layer { size: node.shape.iter().product(), kind: Kind::Input });
                    biases.push(Vec::new());
                    Known::Layer(layers.len() - 1)
                }
                _ if arguments.iter().all(|a| !matches!(a, Known::Layer(_))) => {
                    let operands = arguments.into_iter().map(operand).collect();
                    Known::Constant(Rc::new(apply(node, operands, BITS).map_err(fault)?))
                }
                Op::Relu => {
                    let [Known::Layer(source)] = arguments[..] else { return Err(fault(Fault::Unsupported)) };
                    layers.push(Layer { size: layers[source].size, kind: Kind::Relu(source) });
                    biases.push(Vec::new());
                    Known::Layer(layers.len() - 1)
                }
                Op::Reshape { .. } | Op::Cast(_) => arguments[0].clone(),
                _ => {
                    let sizes: Vec<usize> = layers.iter().map(|l| l.size).collect();
                    let (mut terms, mut bias) = affine(node, &arguments, &shapes, &sizes).map_err(fault)?;
                    // A constant added to an affine layer is a part of its bias.
                    if let (Op::Add, [(source, map)]) = (&node.op, &terms[..])
                        && let Kind::Affine(inner, _) = &layers[*source].kind
                        && map.is_identity()
                    {
                        bias.iter_mut().zip(&biases[*source]).for_each(|(b, inner)| *b = b.plus(inner));
                        terms.clone_from(inner);
                    }
                    let kind = Kind::Affine(terms, Numbers::new(&bias).map_err(fault)?);
                    layers.push(Layer { size: node.shape.iter().product(), kind });
                    biases.push(bias);
                    Known::Layer(layers.len() - 1)
                }
            };
            known[id.index()] = Some(value);
        }
        let output = graph.node(graph.output());
        let refused = || Fault::Unsupported.at(&output.name, output.op.name());
        let Some(Known::Layer(last)) = known[graph.output().index()] else { return Err(refused()) };
        layers.truncate(last + 1);
        let layers = live(layers);
        let count = |count: &mut usize, layer: &Layer| {
            let before = *count;
            *count += usize::from(matches!(layer.kind, Kind::Relu(_)));
            Some(before)
        };
        let earlier = layers.iter().scan(0, count).collect();
        Ok(Self { layers, earlier })
    }
}

/// The layers that the output reads, and the inputs of all ReLUs: these are numbered.
fn live(layers: Vec<Layer>) -> Vec<Layer> {
    let mut needed = vec![false; layers.len()];
    for (k, layer) in layers.iter().enumerate().rev() {
        needed[k] |= k + 1 == layers.len() || !matches!(layer.kind, Kind::Affine(..));
        match &layer.kind {
            Kind::Affine(terms, _) if needed[k] => terms.iter().for_each(|(s, _)| needed[*s] = true),
            Kind::Relu(source) => needed[*source] = true,
            _ => {}
        }
    }
    let mut place = vec![0; layers.len()];
    let mut kept: Vec<Layer> = Vec::new();
    for (k, mut layer) in layers.into_iter().enumerate().filter(|(k, _)| needed[*k]) {
        match &mut layer.kind {
            Kind::Input => {}
            Kind::Relu(source) => *source = place[*source],
            Kind::Affine(terms, _) => terms.iter_mut().for_each(|(s, _)| *s = place[*s]),
        }
        place[k] = kept.len();
        kept.push(layer);
    }
    kept
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
type Rows = Vec<Vec<(u32, Interval)>>;

/// Collects the terms of a product with stored weights.
struct Collector<'a> {
    weights: Stored<'a>,
    factor: Dyadic,
    weight: Interval,
    bad: Option<usize>,
    rows: Rows,
}

impl Visitor for Collector<'_> {
    fn weight(&mut self, index: usize) -> bool {
        let decoded = match self.weights {
            Stored::F32(data) => decode_f32(data[index]),
            Stored::F64(data) => decode_f64(data[index]),
        };
        let Some(decoded) = decoded else {
            self.bad = Some(index);
            return false;
        };
        self.weight = Interval::point(Dyadic::from(decoded).times(&self.factor));
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
                (Known::Layer(source), Known::Stored(weight)) => (*source, *weight, true),
                (Known::Stored(weight), Known::Layer(source)) => (*source, *weight, false),
                _ => return Err(Fault::Unsupported),
            };
            let weights = match weight {
                Value::F32(w) => Stored::F32(w.data()),
                Value::F64(w) => Stored::F64(w.data()),
                other => return Err(Fault::Element(other.element_type())),
            };
            let stored = |v: f32| decode_f32(v).map(Dyadic::from).ok_or(Fault::NotFinite(0));
            let factors = match node.op {
                Op::Gemm { alpha, beta, .. } => (stored(alpha)?, stored(beta)?),
                _ => (Dyadic::one(), Dyadic::one()),
            };
            let rows = vec![Vec::new(); size];
            let mut collector = Collector { weights, factor: factors.0, weight: one(), bad: None, rows };
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
                        terms.push((*source, offsets.iter().map(|i| vec![(*i as u32, signed(one()))]).collect()));
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
            let rows = from.iter().zip(by).map(|(i, j)| Ok(vec![(*i as u32, weight(j)?)]));
            terms.push((source, rows.collect::<Result<_, Fault>>()?));
        }
        (Op::Neg, [Known::Layer(source)]) => {
            terms.push((*source, (0..size).map(|i| vec![(i as u32, one().negated())]).collect()));
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
            let weight = |i: usize| vec![(i as u32, high.interval(i).minus(&low.interval(i)))];
            terms.push((*source, (0..size).map(weight).collect()));
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
                        places.iter().enumerate().for_each(|(i, o)| rows[*o].push((i as u32, one())));
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
            let row = |from: &Option<usize>| from.iter().map(|i| (*i as u32, one())).collect();
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
