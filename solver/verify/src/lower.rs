//! From the graph to the flat network: every operator becomes affine layers and activations.
//!
//! | operators | become |
//! |---|---|
//! | Reshape, Transpose, Slice, Concat, Gather, Pad, Expand, Upsample | selections of entries |
//! | Add, Sub, Neg, Mul and Div by constants, MatMul and Gemm with one constant, Conv, means and sums, batch normalisation | affine layers |
//! | Relu, Sigmoid, Tanh, Exp, Sqrt, Sin, Cos, Sign, Floor, Pow with a whole exponent | activations |
//! | Mul, MatMul and Gemm of two variables | products, and sums of them |
//! | Div by a variable | the product with $1 / z$ |
//! | Softmax | $1 / (1 + \sum_{j \ne i} e^{z_j - z_i})$ |
//! | LeakyRelu | $a z + (1 - a) \max(z, 0)$ |
//! | Max, Min, MaxPool, Clip | $\max(a, b) = b + \max(a - b, 0)$, pairwise |
//!
//! The rewriting is exact in real arithmetic except where a weight has to be computed (quotients,
//! means, batch normalisation); there the number of roundings is recorded.

use crate::affine_ops;
use crate::curved_ops;
use crate::device::Home;
use crate::error::VerifyError;
use crate::linear::{Linear, NOTHING};
use crate::network::{Affine, Executed, Factor, Function, Kind, Layer, Network, Product};
use crate::rounding::SAFETY;
use secateur_check::semantics::{self, Effect, Semantics, admit, effect};
use secateur_linalg::{Csr, Tensor};
use secateur_nn::graph::{Graph, Node, NodeId};
use secateur_nn::op::{ElementType, Op, Value};
use std::sync::Arc;

/// A node's value while lowering: a known constant, or an array of entries of a layer.
#[derive(Clone, Debug)]
pub(crate) enum Lowered {
    /// Stored numbers.
    Constant(Stored),
    /// The whole of a layer.
    Layer(usize),
}

/// Stored floats, shared with the graph until they have to be moved.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    /// As the graph holds them.
    Single(Arc<Tensor<f32>>),
    /// As the graph holds them.
    Double(Arc<Tensor<f64>>),
    /// Rearranged.
    Moved(Arc<Vec<f64>>),
}

impl Stored {
    pub(crate) fn get(&self, i: usize) -> f64 {
        match self {
            Stored::Single(t) => f64::from(t.data()[i]),
            Stored::Double(t) => t.data()[i],
            Stored::Moved(v) => v[i],
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Stored::Single(t) => t.len(),
            Stored::Double(t) => t.len(),
            Stored::Moved(v) => v.len(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }
}

/// The network under construction.
pub(crate) struct Lowering<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) layers: Vec<Layer<f64>>,
    semantics: Semantics,
}

/// Lowers a graph to what it computes in real arithmetic.
///
/// # Errors
/// [`VerifyError::Unsupported`] names the node that has no affine or activation form.
pub fn lower(graph: &Graph) -> Result<Network<f64>, VerifyError> {
    lower_as(graph, Semantics::Real)
}

/// Lowers a graph; in single precision, layers know how far their execution may be from what they compute.
///
/// # Errors
/// The same; and see [`admit`].
pub fn lower_as(graph: &Graph, semantics: Semantics) -> Result<Network<f64>, VerifyError> {
    if semantics == Semantics::Single {
        admit(graph)?;
    }
    let mut lowering = Lowering { graph, layers: Vec::new(), semantics };
    let mut values: Vec<Option<Lowered>> = vec![None; graph.len()];
    for (id, node) in graph.nodes() {
        let arguments: Vec<Lowered> =
            graph.arguments(id).iter().map(|a| values[a.index()].clone().expect("arguments come first")).collect();
        values[id.index()] = Some(lowering.node(id, node, &arguments)?);
    }
    let output = values[graph.output().index()].clone().expect("the output is a node");
    let output = lowering.as_layer(output, &graph.node(graph.output()).name);
    if output + 1 != lowering.layers.len() || output == 0 {
        let size = lowering.layers[output].size;
        lowering.exact("output", vec![(output, Linear::Identity { size })], vec![0.0; size]);
    }
    let fits = |values: &[f64]| values.iter().all(|v| f64::from(*v as f32) == *v);
    let single_precision = lowering.layers.iter().all(|layer| match &layer.kind {
        Kind::Affine(a) => fits(&a.bias) && a.terms.iter().all(|(_, m)| weights_fit(m, fits)),
        _ => true,
    });
    Ok(Network { layers: lowering.layers, single_precision, home: Home::default() })
}

fn weights_fit(map: &Linear<f64>, fits: impl Fn(&[f64]) -> bool) -> bool {
    match map {
        Linear::Identity { .. } | Linear::Select { .. } => true,
        Linear::Dense(w) => fits(&w.weight),
        Linear::Sparse { weight, .. } => (0..weight.rows()).all(|r| weight.row(r).all(|(_, v)| fits(&[v]))),
        Linear::Convolution(c) | Linear::Transposed(c) => fits(c.weight()),
    }
}

impl Lowering<'_> {
    fn node(&mut self, id: NodeId, node: &Node, arguments: &[Lowered]) -> Result<Lowered, VerifyError> {
        if node.shape.contains(&0) {
            return Err(unsupported(node, " without entries"));
        }
        let shapes: Vec<Vec<usize>> =
            self.graph.arguments(id).iter().map(|a| self.graph.node(*a).shape.clone()).collect();
        match &node.op {
            Op::Input => {
                let size = node.shape.iter().product();
                self.layers.push(Layer { name: node.name.clone(), size, kind: Kind::Input });
                Ok(Lowered::Layer(self.layers.len() - 1))
            }
            Op::Constant(Value::F32(t)) => Ok(Lowered::Constant(Stored::Single(t.clone()))),
            Op::Constant(Value::F64(t)) => Ok(Lowered::Constant(Stored::Double(t.clone()))),
            Op::Constant(Value::Bool(t)) => {
                let whole = t.data().iter().map(|b| f64::from(u8::from(*b))).collect();
                Ok(Lowered::Constant(Stored::Moved(Arc::new(whole))))
            }
            Op::Constant(_) => Err(unsupported(node, " on integers")),
            Op::Relu => Ok(self.activation(node, &arguments[0], Function::Relu)),
            Op::Sigmoid => Ok(self.activation(node, &arguments[0], Function::Sigmoid)),
            Op::Tanh => Ok(self.activation(node, &arguments[0], Function::Tanh)),
            Op::Exp => Ok(self.activation(node, &arguments[0], Function::Exp)),
            Op::Sqrt => Ok(self.activation(node, &arguments[0], Function::Sqrt)),
            Op::Sin => Ok(self.activation(node, &arguments[0], Function::Sin)),
            Op::Cos => Ok(self.activation(node, &arguments[0], Function::Cos)),
            Op::Sign => Ok(self.activation(node, &arguments[0], Function::Sign)),
            Op::Floor => Ok(self.activation(node, &arguments[0], Function::Floor)),
            Op::Pow | Op::Softmax { .. } => curved_ops::lower(self, node, arguments, &shapes),
            Op::Mul | Op::MatMul | Op::Gemm { .. } if is_variable(arguments, 0) && is_variable(arguments, 1) => {
                curved_ops::lower(self, node, arguments, &shapes)
            }
            Op::Div if is_variable(arguments, 1) => curved_ops::lower(self, node, arguments, &shapes),
            // No float is lost in a type that is as wide.
            Op::Cast(to)
                if [Some(*to), Some(ElementType::F32)].contains(&self.element(id))
                    && is_variable(arguments, 0)
                    && matches!(to, ElementType::F32 | ElementType::F64) =>
            {
                Ok(arguments[0].clone())
            }
            Op::LeakyRelu { slope } => Ok(self.leaky_relu(node, &arguments[0], f64::from(*slope))),
            Op::Clip { min, max } => Ok(self.clip(node, &arguments[0], *min, *max)),
            Op::Max | Op::Min => Ok(self.extreme(node, arguments, &shapes, node.op == Op::Max)),
            Op::MaxPool { window, ceil_mode: _ } => self.max_pool(node, &arguments[0], &shapes[0], window),
            _ => affine_ops::lower(self, node, arguments, &shapes),
        }
    }

    /// The type of a node's first argument.
    fn element(&self, id: NodeId) -> Option<ElementType> {
        self.graph.arguments(id).first().map(|a| self.graph.node(*a).element)
    }

    /// The layer that holds a value; a constant becomes a layer that does not depend on the input.
    pub(crate) fn as_layer(&mut self, value: Lowered, name: &str) -> usize {
        match value {
            Lowered::Layer(k) => k,
            Lowered::Constant(stored) => self.exact(name, Vec::new(), stored.iter().collect()),
        }
    }

    /// Appends a node's affine layer with stored weights.
    pub(crate) fn affine(&mut self, node: &Node, terms: Vec<(usize, Linear<f64>)>, bias: Vec<f64>) -> usize {
        let bias_magnitude = bias.iter().map(|b| b.abs()).collect();
        self.affine_rounded(node, terms, bias, bias_magnitude, 0)
    }

    /// Appends a node's affine layer whose weights saw `roundings` roundings.
    pub(crate) fn affine_rounded(
        &mut self,
        node: &Node,
        terms: Vec<(usize, Linear<f64>)>,
        bias: Vec<f64>,
        bias_magnitude: Vec<f64>,
        roundings: usize,
    ) -> usize {
        let longest: usize = terms.iter().map(|(_, map)| map.forward_terms()).sum();
        let executed = match (self.semantics, effect(&node.op)) {
            (Semantics::Single, Some(Effect::Sum(more))) => sum_of(longest + more),
            _ => Executed::default(),
        };
        self.push(&node.name, terms, (bias, bias_magnitude), roundings, executed)
    }

    /// Appends an affine layer that is a part of an operator without rounding.
    pub(crate) fn exact(&mut self, name: &str, terms: Vec<(usize, Linear<f64>)>, bias: Vec<f64>) -> usize {
        let bias_magnitude = bias.iter().map(|b| b.abs()).collect();
        self.push(name, terms, (bias, bias_magnitude), 0, Executed::default())
    }

    fn push(
        &mut self,
        name: &str,
        terms: Vec<(usize, Linear<f64>)>,
        (bias, bias_magnitude): (Vec<f64>, Vec<f64>),
        roundings: usize,
        executed: Executed,
    ) -> usize {
        let kind = Kind::Affine(Affine { terms, bias_magnitude, roundings, bias, executed, error: Vec::new() });
        let Kind::Affine(a) = &kind else { unreachable!("just made") };
        let size = a.bias.len();
        self.layers.push(Layer { name: name.to_owned(), size, kind });
        self.layers.len() - 1
    }

    /// Products of entries of two values.
    pub(crate) fn product(&mut self, name: &str, left: (usize, Vec<u32>), right: (usize, Vec<u32>)) -> usize {
        let size = left.1.len();
        let mut factor = |(source, index): (usize, Vec<u32>)| Factor::new(self.bounded(name, source), index);
        let product = Product { left: factor(left), right: factor(right) };
        self.layers.push(Layer { name: name.to_owned(), size, kind: Kind::Product(product) });
        self.layers.len() - 1
    }

    fn activation(&mut self, node: &Node, argument: &Lowered, function: Function) -> Lowered {
        let source = self.as_layer(argument.clone(), &node.name);
        let layer = self.push_activation(&node.name, source, function);
        if self.semantics == Semantics::Real || function == Function::Relu {
            return Lowered::Layer(layer);
        }
        let size = self.layers[layer].size;
        let executed = Executed { share: 0.0, more: (semantics::SMOOTH as f64).exp2() };
        let (terms, zero) = (vec![(layer, Linear::Identity { size })], vec![0.0; size]);
        Lowered::Layer(self.push(&node.name, terms, (zero.clone(), zero), 0, executed))
    }

    /// A layer as an affine one: activations and products read these, so that every bound they need has one form.
    fn bounded(&mut self, name: &str, source: usize) -> usize {
        match self.layers[source].kind {
            Kind::Affine(_) => source,
            _ => {
                let size = self.layers[source].size;
                self.exact(name, vec![(source, Linear::Identity { size })], vec![0.0; size])
            }
        }
    }

    pub(crate) fn push_activation(&mut self, name: &str, source: usize, function: Function) -> usize {
        let source = self.bounded(name, source);
        let size = self.layers[source].size;
        self.layers.push(Layer { name: name.to_owned(), size, kind: Kind::Activation { source, function } });
        self.layers.len() - 1
    }

    fn leaky_relu(&mut self, node: &Node, argument: &Lowered, slope: f64) -> Lowered {
        let source = self.as_layer(argument.clone(), &node.name);
        let size = self.layers[source].size;
        let relu = self.push_activation(&node.name, source, Function::Relu);
        // 1 − a is exact in f64 for a stored in f32 unless |a| is very small or very large; then it rounds once.
        let rest = 1.0 - slope;
        let exact = 1.0 - rest == slope && rest + slope == 1.0;
        let roundings = usize::from(!exact);
        let terms = vec![(source, diagonal(&vec![slope; size])), (relu, diagonal(&vec![rest; size]))];
        Lowered::Layer(self.affine_rounded(node, terms, vec![0.0; size], vec![0.0; size], roundings))
    }

    fn clip(&mut self, node: &Node, argument: &Lowered, min: Option<f64>, max: Option<f64>) -> Lowered {
        let source = self.as_layer(argument.clone(), &node.name);
        let size = self.layers[source].size;
        let identity = || Linear::Identity { size };
        let mut value = source;
        // max(z, m) = m + relu(z − m), then min(y, M) = M − relu(M − y).
        if let Some(m) = min {
            let shifted = self.exact(&node.name, vec![(value, identity())], vec![-m; size]);
            let relu = self.push_activation(&node.name, shifted, Function::Relu);
            value = self.exact(&node.name, vec![(relu, identity())], vec![m; size]);
        }
        if let Some(m) = max {
            let shifted = self.exact(&node.name, vec![(value, diagonal(&vec![-1.0; size]))], vec![m; size]);
            let relu = self.push_activation(&node.name, shifted, Function::Relu);
            value = self.exact(&node.name, vec![(relu, diagonal(&vec![-1.0; size]))], vec![m; size]);
        }
        Lowered::Layer(value)
    }

    fn extreme(&mut self, node: &Node, arguments: &[Lowered], shapes: &[Vec<usize>], greatest: bool) -> Lowered {
        let size: usize = node.shape.iter().product();
        let mut layers = Vec::new();
        for (argument, shape) in arguments.iter().zip(shapes) {
            let source = self.as_layer(argument.clone(), &node.name);
            let index = affine_ops::broadcast_index(shape, &node.shape);
            let map = affine_ops::select(self.layers[source].size, index);
            layers.push((source, map));
        }
        let (first, rest) = layers.split_at(1);
        let mut value = first[0].clone();
        for other in rest {
            value = (self.pairwise(&node.name, value, other.clone(), size, greatest), Linear::Identity { size });
        }
        if let (layer, Linear::Identity { .. }) = value {
            return Lowered::Layer(layer);
        }
        Lowered::Layer(self.exact(&node.name, vec![value], vec![0.0; size]))
    }

    /// $\max(a, b) = b + \max(a - b, 0)$; $\min(a, b) = b - \max(b - a, 0)$.
    fn pairwise(
        &mut self,
        name: &str,
        a: (usize, Linear<f64>),
        b: (usize, Linear<f64>),
        size: usize,
        greatest: bool,
    ) -> usize {
        let (plus, minus) = if greatest { (&a, &b) } else { (&b, &a) };
        let difference = vec![plus.clone(), (minus.0, negated(&minus.1))];
        let difference = self.exact(name, difference, vec![0.0; size]);
        let relu = self.push_activation(name, difference, Function::Relu);
        let step = if greatest { Linear::Identity { size } } else { diagonal(&vec![-1.0; size]) };
        self.exact(name, vec![b, (relu, step)], vec![0.0; size])
    }

    fn max_pool(
        &mut self,
        node: &Node,
        argument: &Lowered,
        shape: &[usize],
        window: &secateur_nn::op::Window,
    ) -> Result<Lowered, VerifyError> {
        let source = self.as_layer(argument.clone(), &node.name);
        let (inputs, size) = (self.layers[source].size, node.shape.iter().product::<usize>());
        let windows = affine_ops::windows(node, shape, window)?;
        if windows.iter().any(Vec::is_empty) {
            return Err(unsupported(node, " with a window that holds padding only"));
        }
        // Repeating an entry of a short window does not change its maximum.
        let taps = windows.iter().map(Vec::len).max().unwrap_or(1);
        let tap = |t: usize| windows.iter().map(|w| w[t % w.len()] as u32).collect::<Vec<u32>>();
        let mut round: Vec<(usize, Linear<f64>)> =
            (0..taps).map(|t| (source, affine_ops::select(inputs, tap(t)))).collect();
        while round.len() > 1 {
            let mut next = Vec::new();
            let mut pairs = round.chunks_exact(2);
            for pair in &mut pairs {
                let layer = self.pairwise(&node.name, pair[0].clone(), pair[1].clone(), size, true);
                next.push((layer, Linear::Identity { size }));
            }
            next.extend(pairs.remainder().iter().cloned());
            round = next;
        }
        match round.remove(0) {
            (layer, Linear::Identity { .. }) => Ok(Lowered::Layer(layer)),
            term => Ok(Lowered::Layer(self.exact(&node.name, vec![term], vec![0.0; size]))),
        }
    }
}

fn is_variable(arguments: &[Lowered], a: usize) -> bool {
    matches!(arguments.get(a), Some(Lowered::Layer(_)))
}

/// The rounding of a sum whose terms see this many roundings.
fn sum_of(roundings: usize) -> Executed {
    let unit = (-semantics::BITS as f64).exp2() * roundings as f64;
    if roundings > semantics::MOST {
        return Executed { share: f64::INFINITY, more: f64::INFINITY };
    }
    Executed { share: SAFETY * unit / (1.0 - unit), more: SAFETY * (semantics::LOST as f64).exp2() }
}

/// The error for a node without a lowering.
pub(crate) fn unsupported(node: &Node, detail: &'static str) -> VerifyError {
    VerifyError::Unsupported { node: node.name.clone(), operator: node.op.name(), detail }
}

/// A diagonal matrix.
pub(crate) fn diagonal(entries: &[f64]) -> Linear<f64> {
    Linear::sparse(Csr::from_rows(entries.len(), entries.iter().enumerate().map(|(i, v)| vec![(i, *v)])))
}

/// $-W$ for a selection or the identity.
fn negated(map: &Linear<f64>) -> Linear<f64> {
    match map {
        Linear::Select { inputs, index } => {
            let row = |i: &u32| if *i == NOTHING { Vec::new() } else { vec![(*i as usize, -1.0)] };
            Linear::sparse(Csr::from_rows(*inputs, index.iter().map(row)))
        }
        other => diagonal(&vec![-1.0; other.outputs()]),
    }
}
