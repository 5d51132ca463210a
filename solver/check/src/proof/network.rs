//! The network as affine layers and elementwise functions, from the graph.
//!
//! $$ h_0 = x, \qquad h_k = \sum_s W_{ks} h_s + b_k \quad\text{or}\quad h_k = \sigma(h_s) \quad\text{or}\quad
//!    h_{kj} = h_{s,p(j)}\, h_{s',q(j)}. $$
//!
//! Every weight is the stored number or encloses what the operator computes from stored numbers. Rewritten exactly:
//!
//! | operator | as |
//! |---|---|
//! | LeakyRelu | $a z + (1 - a) \max(z, 0)$ |
//! | Max, Min, MaxPool, Clip | $\max(a, b) = b + \max(a - b, 0)$, pairwise; the rounds of a window are those of a tournament |
//! | Div by a variable | the product with $1 / z$ |
//! | Mul, MatMul, Gemm of two variables | products, and sums of them; $z z$ is a power |
//! | Pow with $-n$ or $-0.5$ | $1 / z^n$, $1 / \sqrt z$ |
//! | Softmax | $1 / (1 + \sum_{j \ne i} e^{z_j - z_i})$ |
//!
//! Functions and products read affine layers or the input; where they would not, an identity layer is put in between. What they
//! read is numbered in the order in which they come up: a layer of functions takes one number, a layer of products two, that of
//! its left factors and that of its right ones.
//!
//! In single precision ([`crate::semantics`]) every affine layer has a [`Rounding`]; an identity layer after sigmoid and tanh
//! takes up theirs.

use super::build::{Builder, Known};
use super::matrix::{Matrix, Numbers};
use crate::error::{CheckError, Fault};
use crate::interval::Dyadic;
use crate::semantics::{Semantics, admit};
use secateur_nn::graph::{Graph, NodeId};
use secateur_nn::op::{ElementType, Op};
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
    /// $e^z$.
    Exp,
    /// $1 / z$, where $z$ leaves 0 alone.
    Reciprocal,
    /// $\sqrt z$, where $z$ is not negative.
    Sqrt,
    /// $\sin z$.
    Sin,
    /// $\cos z$.
    Cos,
    /// $z^n$, $n \ge 2$.
    Power(u32),
    /// $-1$, 0 or 1.
    Sign,
    /// $\lfloor z \rfloor$.
    Floor,
}

impl Function {
    /// Whether its lines are those of [`super::curves`].
    pub fn is_curved(self) -> bool {
        !matches!(self, Function::Relu | Function::Sigmoid | Function::Tanh)
    }
}

/// Entries of a layer, one for each product.
#[derive(Clone, Debug)]
pub struct Factor {
    /// The layer.
    pub source: usize,
    /// The entries.
    pub index: Vec<u32>,
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
    /// Products of entries: left factors, right factors.
    Product(Factor, Factor),
}

impl Kind {
    /// How many numbers it takes.
    fn numbers(&self) -> usize {
        match self {
            Kind::Input | Kind::Affine(..) => 0,
            Kind::Activation(..) => 1,
            Kind::Product(..) => 2,
        }
    }
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
    /// Whether values whose arguments may reach 2^[`super::bounds::LARGE`] count as unbounded: the summands of a softmax, whose
    /// large values make shares that are 0 to so many bits, and whose units would be too coarse for all others.
    pub capped: bool,
    /// For every entry the one that is its negative, if that is so: the differences of a softmax.
    pub opposite: Vec<u32>,
}

/// Layers in topological order; the last is the output.
#[derive(Clone, Debug)]
pub struct Network {
    /// The layers.
    pub layers: Vec<Layer>,
    /// For every layer, how many numbers the layers before it take.
    earlier: Vec<usize>,
    /// Whether it is executed in single precision.
    pub executed: bool,
}

impl Network {
    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.layers[0].size
    }

    /// Index of the output layer.
    pub fn output(&self) -> usize {
        self.layers.len() - 1
    }

    /// The (first) number of a layer of functions or products.
    pub fn number(&self, k: usize) -> usize {
        self.earlier[k]
    }

    /// At least the number of terms of an entry of an affine layer.
    pub fn longest(&self, k: usize) -> usize {
        match &self.layers[k].kind {
            Kind::Affine(terms, _) => terms.iter().map(|(_, map)| map.inputs).sum::<usize>().max(1),
            _ => 1,
        }
    }

    /// For each layer: whether it is divided by, or has its roots taken.
    pub fn divisors(&self) -> Vec<bool> {
        let mut divisors = vec![false; self.layers.len()];
        for layer in &self.layers {
            if let Kind::Activation(source, Function::Reciprocal | Function::Sqrt) = layer.kind {
                divisors[source] = true;
            }
        }
        divisors
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
            *count += layer.kind.numbers();
            Some(before)
        };
        let earlier = layers.iter().scan(0, count).collect();
        Ok(Self { layers, earlier, executed })
    }
}

/// The layers that the output reads, and the inputs of all functions: these are numbered.
fn live(layers: Vec<Layer>) -> Vec<Layer> {
    let mut needed = vec![false; layers.len()];
    for (k, layer) in layers.iter().enumerate().rev() {
        needed[k] |= k + 1 == layers.len() || !matches!(layer.kind, Kind::Affine(..));
        match &layer.kind {
            Kind::Affine(terms, _) if needed[k] => terms.iter().for_each(|(s, _)| needed[*s] = true),
            Kind::Activation(source, _) => needed[*source] = true,
            Kind::Product(left, right) => {
                needed[left.source] = true;
                needed[right.source] = true;
            }
            _ => {}
        }
    }
    let mut place = vec![0; layers.len()];
    let mut kept: Vec<Layer> = Vec::new();
    for (k, mut layer) in layers.into_iter().enumerate().filter(|(k, _)| needed[*k]) {
        match &mut layer.kind {
            Kind::Input => {}
            Kind::Activation(source, _) => *source = place[*source],
            Kind::Product(left, right) => [left, right].into_iter().for_each(|f| f.source = place[f.source]),
            Kind::Affine(terms, _) => terms.iter_mut().for_each(|(s, _)| *s = place[*s]),
        }
        place[k] = kept.len();
        kept.push(layer);
    }
    kept
}
