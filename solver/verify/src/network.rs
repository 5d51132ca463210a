//! The network as the bounds see it: flat vectors, affine layers, elementwise activations.
//!
//! $$ h_0 = x, \qquad h_k = \sum_{i} W_{ki} h_i + b_k \quad\text{or}\quad h_k = \sigma(h_i) \quad\text{or}\quad
//!    h_{kj} = h_{i,p(j)}\, h_{i',q(j)}. $$
//!
//! The last layer is the output. [`crate::lower`] makes a network from a graph.

use crate::device::Home;
use crate::linear::Linear;
use secateur_linalg::Scalar;

/// An elementwise nonlinear function.
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
    /// $1 / z$, defined where $z$ leaves 0 alone.
    Reciprocal,
    /// $\sqrt z$, defined from 0 on.
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

/// $\sum_i W_i h_i + b$.
#[derive(Clone, Debug)]
pub struct Affine<T> {
    /// Source layers and their maps.
    pub terms: Vec<(usize, Linear<T>)>,
    /// $b$.
    pub bias: Vec<T>,
    /// Bounds the magnitudes that $b$ was computed from; $|b|$ where it is stored.
    pub bias_magnitude: Vec<T>,
    /// Roundings that the entries of $W_i$ and $b$ have seen; 0 where they are stored.
    pub roundings: usize,
    /// How far its execution may be from what it computes.
    pub executed: Executed,
    /// How far its entries may be from what it computes, on the region that it was made for ([`crate::reduce`]); empty where
    /// it is made for all inputs.
    pub error: Vec<T>,
}

/// How far the execution of an affine layer may be from what it computes ([`secateur_check::semantics`]): a share of
/// $\sum_i |W_i| |h_i| + |b|$, and more.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Executed {
    /// $m u / (1 - m u)$.
    pub share: f64,
    /// What comes on top.
    pub more: f64,
}

impl Executed {
    /// Whether nothing is rounded.
    pub fn is_exact(self) -> bool {
        self == Self::default()
    }
}

/// What a layer computes.
#[derive(Clone, Debug)]
pub enum Kind<T> {
    /// The input.
    Input,
    /// An affine map of earlier layers.
    Affine(Affine<T>),
    /// An elementwise function of an earlier layer.
    Activation {
        /// The layer.
        source: usize,
        /// The function.
        function: Function,
    },
    /// Products of entries of two earlier layers.
    Product(Product),
}

/// $h_{kj} = h_{i,p(j)}\, h_{i',q(j)}$.
#[derive(Clone, Debug)]
pub struct Product {
    /// $i$ and $p$.
    pub left: Factor,
    /// $i'$ and $q$.
    pub right: Factor,
}

/// Entries of a layer, one for each product.
#[derive(Clone, Debug)]
pub struct Factor {
    /// The layer, an affine one.
    pub source: usize,
    /// The entries.
    pub index: Vec<u32>,
    /// How often the most frequent of them occurs.
    pub uses: usize,
}

impl Factor {
    /// Entries of a layer.
    pub fn new(source: usize, index: Vec<u32>) -> Self {
        let mut uses = vec![0usize; index.iter().max().map_or(0, |most| *most as usize + 1)];
        index.iter().for_each(|i| uses[*i as usize] += 1);
        Self { source, uses: uses.into_iter().max().unwrap_or(0), index }
    }
}

/// One layer.
#[derive(Clone, Debug)]
pub struct Layer<T> {
    /// The name of the graph node that it came from.
    pub name: String,
    /// Number of entries.
    pub size: usize,
    /// What it computes.
    pub kind: Kind<T>,
}

/// Layers in topological order: the first is the input, the last the output.
#[derive(Clone, Debug)]
pub struct Network<T> {
    /// The layers.
    pub layers: Vec<Layer<T>>,
    /// Whether every weight is a number of type `f32`.
    pub single_precision: bool,
    /// Where it lives beside the processor.
    pub home: Home,
}

impl<T: Scalar> Network<T> {
    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.layers[0].size
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.layers[self.output()].size
    }

    /// Index of the output layer.
    pub fn output(&self) -> usize {
        self.layers.len() - 1
    }

    /// Indices of the activation layers with their sources and functions.
    pub fn activations(&self) -> impl Iterator<Item = (usize, usize, Function)> + '_ {
        self.layers.iter().enumerate().filter_map(|(k, layer)| match layer.kind {
            Kind::Activation { source, function } => Some((k, source, function)),
            _ => None,
        })
    }

    /// For each activation layer its source; 0 for other layers.
    pub fn sources(&self) -> Vec<usize> {
        let mut sources = vec![0; self.layers.len()];
        self.activations().for_each(|(k, source, _)| sources[k] = source);
        sources
    }

    /// Number of ReLUs.
    pub fn relus(&self) -> usize {
        let relus = self.activations().filter(|(_, _, f)| *f == Function::Relu);
        relus.map(|(k, _, _)| self.layers[k].size).sum()
    }

    /// What nonlinear layers read, in order: each layer with its source, a product with both of its factors' sources. Their
    /// places are the numbers that certificates know them by.
    pub fn readers(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.layers.iter().enumerate().flat_map(|(k, layer)| {
            let sources = match &layer.kind {
                Kind::Activation { source, .. } => vec![*source],
                Kind::Product(product) => vec![product.left.source, product.right.source],
                Kind::Input | Kind::Affine(_) => Vec::new(),
            };
            sources.into_iter().map(move |source| (k, source))
        })
    }

    /// The product layers.
    pub fn products(&self) -> impl Iterator<Item = (usize, &Product)> + '_ {
        self.layers.iter().enumerate().filter_map(|(k, layer)| match &layer.kind {
            Kind::Product(product) => Some((k, product)),
            _ => None,
        })
    }

    /// The sizes of the layers that a product's factors are entries of.
    pub fn factor_sizes(&self, product: &Product) -> [usize; 2] {
        [&product.left, &product.right].map(|factor| self.layers[factor.source].size)
    }

    /// Whether every nonlinear layer is one of ReLUs.
    pub fn is_piecewise_linear(&self) -> bool {
        self.activations().all(|(_, _, f)| f == Function::Relu) && self.products().next().is_none()
    }

    /// For each layer: whether some nonlinear layer reads it.
    pub fn preactivations(&self) -> Vec<bool> {
        let mut read = vec![false; self.layers.len()];
        self.readers().for_each(|(_, source)| read[source] = true);
        read
    }

    /// For each layer: whether something other than a ReLU reads it, so that every bound of it matters and not only those
    /// whose sign is open.
    pub fn curved(&self) -> Vec<bool> {
        let mut read = vec![false; self.layers.len()];
        self.activations().filter(|(_, _, f)| *f != Function::Relu).for_each(|(_, source, _)| read[source] = true);
        for (_, product) in self.products() {
            read[product.left.source] = true;
            read[product.right.source] = true;
        }
        read
    }

    /// The same network with another scalar type; the rounding this may cause is counted.
    pub fn cast<U: Scalar>(&self) -> Network<U> {
        let convert = |v: &[T]| v.iter().map(|b| U::from_f64(b.to_f64())).collect::<Vec<U>>();
        let extra = usize::from(U::UNIT_ROUNDOFF > T::UNIT_ROUNDOFF && !self.single_precision);
        let affine = |a: &Affine<T>| Affine {
            terms: a.terms.iter().map(|(source, map)| (*source, map.cast())).collect(),
            bias: convert(&a.bias),
            bias_magnitude: a.bias_magnitude.iter().map(|b| U::round_up(b.to_f64())).collect(),
            roundings: a.roundings + extra,
            executed: a.executed,
            error: a.error.iter().map(|e| U::round_up(e.to_f64())).collect(),
        };
        let kind = |kind: &Kind<T>| match kind {
            Kind::Input => Kind::Input,
            Kind::Affine(a) => Kind::Affine(affine(a)),
            Kind::Activation { source, function } => Kind::Activation { source: *source, function: *function },
            Kind::Product(product) => Kind::Product(product.clone()),
        };
        let layer = |l: &Layer<T>| Layer { name: l.name.clone(), size: l.size, kind: kind(&l.kind) };
        let layers = self.layers.iter().map(layer).collect();
        Network { layers, single_precision: self.single_precision, home: self.home.elsewhere() }
    }

    /// Evaluates a batch of inputs; returns every layer's values.
    ///
    /// # Shapes
    /// `x` is `batch × n`; layer `k` of the result is `batch × size`.
    #[track_caller]
    pub fn evaluate(&self, x: &[T], batch: usize) -> Vec<Vec<T>> {
        assert_eq!(x.len(), batch * self.inputs());
        let mut values: Vec<Vec<T>> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let value = match &layer.kind {
                Kind::Input => x.to_vec(),
                Kind::Affine(a) => {
                    let mut y = a.bias.repeat(batch);
                    for (source, map) in &a.terms {
                        map.forward(false, &values[*source], batch, &mut y);
                    }
                    y
                }
                Kind::Activation { source, function } => values[*source].iter().map(|z| function.apply(*z)).collect(),
                Kind::Product(product) => product.apply(&values, batch, self.factor_sizes(product)),
            };
            values.push(value);
        }
        values
    }

    /// Gradient with respect to the input of $\langle c, f(x) \rangle$ for every row of a batch.
    ///
    /// # Shapes
    /// `values` is what [`Self::evaluate`] returned; `cotangent` is `batch × outputs`; the result
    /// is `batch × inputs`.
    #[track_caller]
    pub fn gradient(&self, values: &[Vec<T>], cotangent: Vec<T>, batch: usize) -> Vec<T> {
        let mut pending: Vec<Option<Vec<T>>> = vec![None; self.layers.len()];
        *pending.last_mut().expect("a network has layers") = Some(cotangent);
        for k in (1..self.layers.len()).rev() {
            let Some(a) = pending[k].take() else { continue };
            match &self.layers[k].kind {
                Kind::Input => {}
                Kind::Affine(affine) => {
                    for (source, map) in &affine.terms {
                        let size = batch * self.layers[*source].size;
                        map.backward(&a, batch, pending[*source].get_or_insert_with(|| vec![T::ZERO; size]));
                    }
                }
                Kind::Activation { source, function } => {
                    let into = pending[*source].get_or_insert_with(|| vec![T::ZERO; a.len()]);
                    for (((out, a), z), h) in into.iter_mut().zip(&a).zip(&values[*source]).zip(&values[k]) {
                        *out += *a * function.derivative(*z, *h);
                    }
                }
                Kind::Product(product) => {
                    for (one, other) in [(&product.left, &product.right), (&product.right, &product.left)] {
                        let (n, m) = (self.layers[one.source].size, self.layers[other.source].size);
                        let into = pending[one.source].get_or_insert_with(|| vec![T::ZERO; batch * n]);
                        for (r, a) in a.chunks_exact(one.index.len().max(1)).enumerate() {
                            for ((a, i), j) in a.iter().zip(&one.index).zip(&other.index) {
                                into[r * n + *i as usize] += *a * values[other.source][r * m + *j as usize];
                            }
                        }
                    }
                }
            }
        }
        pending[0].take().unwrap_or_else(|| vec![T::ZERO; batch * self.inputs()])
    }
}

impl Product {
    /// The two factors of product `j` in row `r` of every layer's values; `sizes` are those of their layers.
    #[inline]
    pub(crate) fn factors<T: Scalar>(&self, values: &[Vec<T>], r: usize, j: usize, [n, m]: [usize; 2]) -> (T, T) {
        let (left, right) = (&self.left, &self.right);
        (values[left.source][r * n + left.index[j] as usize], values[right.source][r * m + right.index[j] as usize])
    }

    fn apply<T: Scalar>(&self, values: &[Vec<T>], batch: usize, sizes: [usize; 2]) -> Vec<T> {
        let size = self.left.index.len();
        let product = |at: usize| {
            let (x, y) = self.factors(values, at / size, at % size, sizes);
            x * y
        };
        (0..batch * size).map(product).collect()
    }
}

impl Function {
    /// The function's value.
    #[inline]
    pub fn apply<T: Scalar>(self, z: T) -> T {
        if self == Function::Relu { z.max(T::ZERO) } else { T::from_f64(self.value(z.to_f64())) }
    }

    /// The function's value in `f64`.
    #[inline]
    pub fn value(self, z: f64) -> f64 {
        match self {
            Function::Relu => z.max(0.0),
            Function::Sigmoid => 1.0 / (1.0 + (-z).exp()),
            Function::Tanh => z.tanh(),
            Function::Exp => z.exp(),
            Function::Reciprocal => 1.0 / z,
            Function::Sqrt => z.sqrt(),
            Function::Sin => z.sin(),
            Function::Cos => z.cos(),
            Function::Power(n) => z.powi(n as i32),
            Function::Sign if z == 0.0 => 0.0,
            Function::Sign => z.signum(),
            Function::Floor => z.floor(),
        }
    }

    /// The derivative at $z$, where the value is $h$; 0 at a kink and at a step.
    #[inline]
    pub fn derivative<T: Scalar>(self, z: T, h: T) -> T {
        match self {
            Function::Relu if z > T::ZERO => T::ONE,
            Function::Relu | Function::Sign | Function::Floor => T::ZERO,
            Function::Sigmoid => h * (T::ONE - h),
            Function::Tanh => T::ONE - h * h,
            Function::Exp => h,
            Function::Reciprocal => -h * h,
            Function::Sqrt => T::ONE / (h + h),
            Function::Sin => T::from_f64(z.to_f64().cos()),
            Function::Cos => T::from_f64(-z.to_f64().sin()),
            Function::Power(n) => T::from_f64(f64::from(n) * z.to_f64().powi(n as i32 - 1)),
        }
    }
}
