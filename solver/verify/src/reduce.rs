//! The network on one region, as a smaller one: ReLUs whose sign is known are identities or zero, and what lies between the
//! others is multiplied out.
//!
//! With $h_m$ the kept entries of nonlinear layer $m$ (open ReLUs, and every entry of other functions and products), what a
//! nonlinear layer reads is an affine function of the input and of kept entries before it:
//! $$ z_k = \tilde W_{k0}\, x + \sum_m \tilde W_{km}\, h_m + \tilde b_k + \delta, \qquad |\delta| \le e_k . $$
//! Its matrices are dense and hold a few hundred rows where the network has thousands of entries behind convolutions.
//!
//! # Soundness
//! The rows of $\tilde W$ are found by back-substitution of unit rows that stops at kept entries. Nothing on the way is
//! relaxed, so the error term of [`crate::rounding`] bounds the difference on either side; it is $e_k$, together with the
//! rounding of the result to the scalar type. The signs hold on the region, hence on every part of it.

use crate::bounds::Bounds;
use crate::crown::{Lines, Rows};
use crate::linear::{Dense, Linear};
use crate::network::{Affine, Executed, Factor, Function, Kind, Layer, Network, Product};
use crate::proof::Names;
use crate::rounding::{Magnitudes, SAFETY, inner};
use rayon::prelude::*;
use secateur_linalg::Scalar;

/// A smaller network that agrees with a network on a region, up to the errors that it carries.
pub struct Reduction<T> {
    /// The network.
    pub network: Network<T>,
    /// Its layers' bounds on the region.
    pub bounds: Bounds<T>,
    /// Their magnitudes.
    pub magnitudes: Magnitudes<T>,
    /// Which layers and entries of the whole network its own are.
    pub origin: Origin,
}

/// For every layer of a reduced network, the layer and entries of the whole network that it holds.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The layers.
    pub layers: Vec<usize>,
    /// Their entries, ascending.
    pub entries: Vec<Vec<u32>>,
}

/// Rows that are multiplied out together.
const ROWS_AT_ONCE: usize = 32;

/// Entries that all matrices of a reduced network may have.
const LARGEST: usize = 48 << 20;

/// What a nonlinear entry is on the region.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// An entry of the reduced network, at this place of its layer.
    Kept(u32),
    /// The same as what it reads.
    Same,
    /// 0.
    Zero,
}

/// Reduces a network on a region with these bounds; `None` where the matrices would be too large.
///
/// # Shapes
/// `bounds` are those of one box.
pub fn reduce<T: Scalar>(network: &Network<f64>, bounds: &Bounds<T>) -> Option<Reduction<T>> {
    let magnitudes = magnitudes(network, bounds);
    let states = states(network, bounds);
    let read = network.preactivations();
    let mut to =
        Reduced { network, layers: Vec::new(), origin: Origin::default(), place: vec![0; network.layers.len()] };
    to.push(0, (0..network.inputs() as u32).collect(), Kind::Input);
    let mut held = 0;
    for (k, layer) in network.layers.iter().enumerate().skip(1) {
        let entries = |layer: usize| kept(&states[layer]);
        match &layer.kind {
            Kind::Input => {}
            Kind::Affine(_) if !read[k] => {}
            Kind::Affine(_) => {
                // What its readers keep: all of them the same, or everything.
                let readers = network.readers().filter(|(_, source)| *source == k);
                let curved = network.curved()[k];
                let wanted: Vec<u32> = match readers.map(|(reader, _)| entries(reader)).max_by_key(Vec::len) {
                    Some(open) if !curved => open,
                    _ => (0..layer.size as u32).collect(),
                };
                if !wanted.is_empty() {
                    held += to.affine(&magnitudes, &states, k, wanted);
                }
            }
            Kind::Activation { source, function } => {
                let open = entries(k);
                if !open.is_empty() {
                    let source = to.place[*source];
                    to.push(k, open, Kind::Activation { source, function: *function });
                }
            }
            Kind::Product(product) => {
                let factor = |factor: &Factor| Factor { source: to.place[factor.source], ..factor.clone() };
                let product = Product { left: factor(&product.left), right: factor(&product.right) };
                to.push(k, (0..layer.size as u32).collect(), Kind::Product(product));
            }
        }
        if held > LARGEST {
            return None;
        }
    }
    let outputs = (0..network.outputs() as u32).collect();
    held += to.affine(&magnitudes, &states, network.output(), outputs);
    (held <= LARGEST).then(|| to.finish(bounds))
}

/// Multiplications of one evaluation of the reduced network.
pub fn products<T: Scalar>(network: &Network<T>, bounds: &Bounds<T>) -> f64 {
    let states = states(network, bounds);
    let read = network.preactivations();
    let (mut columns, mut total) = (network.inputs(), 0);
    for (k, layer) in network.layers.iter().enumerate() {
        if read[k] {
            let open =
                network.readers().filter(|(_, source)| *source == k).map(|(reader, _)| kept(&states[reader]).len());
            total += columns * if network.curved()[k] { layer.size } else { open.max().unwrap_or(0) };
        }
        columns += kept(&states[k]).len();
    }
    total += network.outputs() * columns;
    total as f64
}

fn kept(states: &[State]) -> Vec<u32> {
    (0..states.len() as u32).filter(|j| matches!(states[*j as usize], State::Kept(_))).collect()
}

/// What the entries of each nonlinear layer are; empty for other layers.
fn states<T: Scalar>(network: &Network<impl Scalar>, bounds: &Bounds<T>) -> Vec<Vec<State>> {
    let curved = network.curved();
    let layer = |layer: &Layer<_>| {
        let mut count = 0;
        let mut keep = || {
            count += 1;
            State::Kept(count - 1)
        };
        match &layer.kind {
            Kind::Activation { source, function: Function::Relu } if !curved[*source] => {
                let (l, u) = (&bounds.lower[*source], &bounds.upper[*source]);
                let state = |j: usize| match () {
                    () if l[j] >= T::ZERO => State::Same,
                    () if u[j] <= T::ZERO => State::Zero,
                    () => keep(),
                };
                (0..layer.size).map(state).collect()
            }
            Kind::Activation { .. } | Kind::Product(_) => (0..layer.size).map(|_| keep()).collect(),
            Kind::Input | Kind::Affine(_) => Vec::new(),
        }
    };
    network.layers.iter().map(layer).collect()
}

/// The magnitudes of the whole network in `f64`.
fn magnitudes<T: Scalar>(network: &Network<f64>, bounds: &Bounds<T>) -> Magnitudes<f64> {
    let mut magnitudes = Magnitudes::new(1);
    let wide = |v: &[T]| v.iter().map(|v| v.to_f64()).collect::<Vec<f64>>();
    let mut lines = Lines::new(network.layers.len());
    let all = |sides: &[Vec<T>]| sides.iter().map(|v| wide(v)).collect::<Vec<_>>();
    let (lower, upper) = (all(&bounds.lower), all(&bounds.upper));
    for (k, layer) in network.layers.iter().enumerate() {
        match &layer.kind {
            Kind::Activation { source, function } => lines.set(k, *function, &lower[*source], &upper[*source]),
            Kind::Product(product) => lines.set_product(k, product, &lower, &upper, network.factor_sizes(product)),
            Kind::Input | Kind::Affine(_) => {}
        }
        magnitudes.push(network, &lines, &lower[k], &upper[k]);
    }
    magnitudes
}

/// Rows multiplied out: coefficients of kept entries per layer and of the input, constant, error.
struct Composed {
    /// `rows × kept` per nonlinear layer, and `rows × n` for the input at 0.
    coefficients: Vec<Option<Vec<f64>>>,
    constant: Vec<f64>,
    error: Vec<f64>,
}

/// Back-substitution of unit rows of layer `k` that stops at kept entries.
fn compose(
    network: &Network<f64>,
    magnitudes: &Magnitudes<f64>,
    states: &[Vec<State>],
    k: usize,
    entries: &[u32],
) -> Composed {
    let count = entries.len();
    let mut rows = match &network.layers[k].kind {
        Kind::Affine(_) => {
            let units: Vec<(u32, u32, f64)> = entries.iter().map(|j| (0, *j, 1.0)).collect();
            Rows::units(network, magnitudes, k, &units)
        }
        _ => {
            let size = network.layers[k].size;
            let mut rows = Rows::new(network.layers.len(), vec![0; count]);
            let mut units = vec![0.0; count * size];
            entries.iter().enumerate().for_each(|(r, j)| units[r * size + *j as usize] = 1.0);
            rows.coefficients[k] = Some(units);
            rows
        }
    };
    let mut coefficients: Vec<Option<Vec<f64>>> = vec![None; network.layers.len()];
    for m in (1..=k).rev() {
        let Some(a) = rows.coefficients[m].take() else { continue };
        let size = network.layers[m].size;
        let (factor, underflow) = (magnitudes.gamma[m], magnitudes.underflow[m]);
        match &network.layers[m].kind {
            Kind::Input => {}
            Kind::Affine(affine) => {
                let in_all = factor + magnitudes.executed[m];
                for (r, a) in a.chunks_exact(size).enumerate() {
                    let (constant, magnitude) = inner(a, &affine.bias, magnitudes.weighted(m, 0));
                    rows.add_constant(r, constant, in_all * magnitude + underflow);
                }
                for (source, map) in &affine.terms {
                    let out = rows.accumulator(*source, map.inputs(), factor, magnitudes);
                    map.backward(&a, count, out);
                }
            }
            Kind::Activation { .. } | Kind::Product(_) => {
                let width = kept(&states[m]).len();
                let mut taken = vec![0.0; count * width];
                let mut same = false;
                for (r, a) in a.chunks_exact(size).enumerate() {
                    for (a, state) in a.iter().zip(&states[m]) {
                        match state {
                            State::Kept(p) => taken[r * width + *p as usize] = *a,
                            State::Same => same |= *a != 0.0,
                            State::Zero => {}
                        }
                    }
                }
                coefficients[m] = Some(taken);
                if let (Kind::Activation { source, .. }, true) = (&network.layers[m].kind, same) {
                    let out = rows.accumulator(*source, size, factor, magnitudes);
                    for (out, (a, state)) in out.iter_mut().zip(a.iter().zip(states[m].iter().cycle())) {
                        if *state == State::Same {
                            *out += *a;
                        }
                    }
                }
            }
        }
    }
    coefficients[0] = rows.coefficients[0].take();
    Composed { coefficients, constant: rows.constant, error: rows.error }
}

/// A reduced network under construction, in `f64`.
struct Reduced<'a> {
    network: &'a Network<f64>,
    layers: Vec<Layer<f64>>,
    origin: Origin,
    /// For layers of the whole network, the reduced layer.
    place: Vec<usize>,
}

impl Reduced<'_> {
    fn push(&mut self, k: usize, entries: Vec<u32>, kind: Kind<f64>) {
        self.place[k] = self.layers.len();
        self.layers.push(Layer { name: self.network.layers[k].name.clone(), size: entries.len(), kind });
        self.origin.layers.push(k);
        self.origin.entries.push(entries);
    }

    /// Multiplies out entries of layer `k`; returns the entries of its matrices.
    fn affine(&mut self, magnitudes: &Magnitudes<f64>, states: &[Vec<State>], k: usize, entries: Vec<u32>) -> usize {
        let network = self.network;
        let parts: Vec<Composed> = (entries.par_chunks(ROWS_AT_ONCE))
            .map(|entries| compose(network, magnitudes, states, k, entries))
            .collect();
        let (mut terms, mut held) = (Vec::new(), 0);
        for m in 0..=k {
            let cols = if m == 0 { network.inputs() } else { kept(&states[m]).len() };
            if cols == 0 || parts.iter().all(|part| part.coefficients[m].is_none()) {
                continue;
            }
            let mut weight = Vec::with_capacity(entries.len() * cols);
            for part in &parts {
                match &part.coefficients[m] {
                    Some(a) => weight.extend_from_slice(a),
                    None => weight.resize(weight.len() + part.constant.len() * cols, 0.0),
                }
            }
            if weight.iter().all(|w| *w == 0.0) {
                continue;
            }
            held += weight.len();
            let absolute = weight.iter().map(|w| w.abs()).collect();
            let rows = entries.len();
            terms.push((self.place[m], Linear::Dense(Dense { rows, cols, weight, absolute })));
        }
        let bias: Vec<f64> = parts.iter().flat_map(|part| part.constant.iter().copied()).collect();
        let error = parts.iter().flat_map(|part| part.error.iter().map(|e| SAFETY * e)).collect();
        let bias_magnitude = bias.iter().map(|b| b.abs()).collect();
        let affine = Affine { terms, bias, bias_magnitude, roundings: 0, executed: Executed::default(), error };
        self.push(k, entries, Kind::Affine(affine));
        held
    }

    /// The network in the scalar type, with bounds and magnitudes.
    fn finish<T: Scalar>(self, whole: &Bounds<T>) -> Reduction<T> {
        let take = |sides: &[Vec<T>]| -> Vec<Vec<T>> {
            let origin = self.origin.layers.iter().zip(&self.origin.entries);
            origin.map(|(k, entries)| entries.iter().map(|j| sides[*k][*j as usize]).collect()).collect()
        };
        let (lower, upper) = (take(&whole.lower), take(&whole.upper));
        let mut layers: Vec<Layer<T>> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let kind = match &layer.kind {
                Kind::Input => Kind::Input,
                Kind::Activation { source, function } => Kind::Activation { source: *source, function: *function },
                Kind::Product(product) => Kind::Product(product.clone()),
                Kind::Affine(affine) => Kind::Affine(narrowed(affine, &lower, &upper)),
            };
            layers.push(Layer { name: layer.name.clone(), size: layer.size, kind });
        }
        let network = Network { layers, single_precision: false };
        let count = network.layers.len();
        let mut lines = Lines::new(count);
        let mut magnitudes = Magnitudes::new(1);
        for (k, layer) in network.layers.iter().enumerate() {
            match &layer.kind {
                Kind::Activation { source, function } => lines.set(k, *function, &lower[*source], &upper[*source]),
                Kind::Product(product) => lines.set_product(k, product, &lower, &upper, network.factor_sizes(product)),
                Kind::Input | Kind::Affine(_) => {}
            }
            magnitudes.push(&network, &lines, &lower[k], &upper[k]);
        }
        let axes = whole.axes.clone();
        let bounds = Bounds {
            lower,
            upper,
            lines,
            axes,
            influence: vec![Default::default(); count],
            guides: vec![Default::default(); count],
        };
        Reduction { network, bounds, magnitudes, origin: self.origin }
    }
}

/// An affine layer in the scalar type, whose error takes up what that rounds.
fn narrowed<T: Scalar>(affine: &Affine<f64>, lower: &[Vec<T>], upper: &[Vec<T>]) -> Affine<T> {
    let bias: Vec<T> = affine.bias.iter().map(|b| T::from_f64(*b)).collect();
    let mut error: Vec<f64> = (affine.error.iter().zip(&affine.bias).zip(&bias))
        .map(|((e, b), rounded)| e + (b - rounded.to_f64()).abs())
        .collect();
    let mut terms = Vec::with_capacity(affine.terms.len());
    for (source, map) in &affine.terms {
        let reach: Vec<f64> =
            lower[*source].iter().zip(&upper[*source]).map(|(l, u)| l.abs().max(u.abs()).to_f64()).collect();
        let Linear::Dense(dense) = map else { unreachable!("only dense maps are made") };
        for (error, row) in error.iter_mut().zip(dense.weight.chunks_exact(dense.cols)) {
            let lost = row.iter().zip(&reach).map(|(w, h)| (w - T::from_f64(*w).to_f64()).abs() * h);
            *error += lost.sum::<f64>();
        }
        terms.push((*source, map.cast()));
    }
    // Rows that are stored numbers have no error at all.
    let error = error.into_iter().map(|e| if e == 0.0 { T::ZERO } else { T::round_up(SAFETY * e) }).collect();
    let bias_magnitude = bias.iter().map(|b| b.abs()).collect();
    Affine { terms, bias, bias_magnitude, roundings: 0, executed: Executed::default(), error }
}

impl Origin {
    /// The names that certificates have for the layers and entries.
    pub fn names(&self, whole: &Names) -> Names {
        whole.of(&self.layers, &self.entries)
    }

    /// A layer's entry in the whole network.
    pub fn entry(&self, k: usize, j: usize) -> (usize, usize) {
        (self.layers[k], self.entries[k][j] as usize)
    }
}
