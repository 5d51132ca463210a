//! The network on one region, as a smaller one: ReLUs whose sign is known are identities or zero, and what lies between the
//! others is multiplied out.
//!
//! With $h_m$ the kept entries of nonlinear layer $m$ (open ReLUs, and every entry of other functions and products), what a
//! nonlinear layer reads is an affine function of the input and of kept entries before it:
//! $$ z_k = \tilde W_{k0}\, x + \sum_m \tilde W_{km}\, h_m + \tilde b_k + \delta, \qquad |\delta| \le e_k . $$
//! Its matrices hold a few hundred rows where the network has thousands of entries behind convolutions.
//!
//! # Soundness
//! The rows of $\tilde W$ are found by back-substitution of unit rows that stops at kept entries. Nothing on the way is
//! relaxed, so the error term of [`crate::rounding`] bounds the difference on either side; it is $e_k$, together with the
//! rounding of the result to the scalar type. The signs hold on the region, hence on every part of it.

use crate::bounds::Bounds;
use crate::crown::{Lines, Rows};
use crate::linear::Linear;
use crate::network::{Affine, Executed, Factor, Kind, Layer, Network, Product};
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

/// Multiplications in dense matrices that cost what one of a network with convolutions does.
const DENSE_GAIN: f64 = 6.0;

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

/// Reduces a network on a region with these bounds; `None` where the matrices would be too large to be worth it.
///
/// # Shapes
/// `bounds` are those of one box.
pub fn reduce<T: Scalar>(network: &Network<f64>, bounds: &Bounds<T>) -> Option<Reduction<T>> {
    let mut to = Reducer::new(network);
    for k in 0..network.layers.len() {
        to.advance(k, &bounds.lower[k], &bounds.upper[k]);
        if to.full {
            return None;
        }
    }
    let k = network.output();
    let entries: Vec<u32> = (0..network.outputs() as u32).collect();
    to.pays(k, entries.len()).then(|| to.finish(k, &entries, (&bounds.lower[k], &bounds.upper[k])))
}

/// A network that is reduced from the input on, as bounds of its layers become known.
pub struct Reducer<'a> {
    network: &'a Network<f64>,
    curved: Vec<bool>,
    /// Bounds of the layers so far, what follows from them, and what each nonlinear entry is.
    lower: Vec<Vec<f64>>,
    upper: Vec<Vec<f64>>,
    lines: Lines<f64>,
    magnitudes: Magnitudes<f64>,
    states: Vec<Vec<State>>,
    /// The reduced layers.
    layers: Vec<Layer<f64>>,
    origin: Origin,
    /// For layers of the whole network, the reduced layer, if there is one.
    place: Vec<Option<usize>>,
    /// Rows that were multiplied out before their layer's bounds were known.
    rows: Option<(usize, Vec<u32>, Affine<f64>)>,
    /// Entries of all matrices, and of a row.
    held: usize,
    columns: usize,
    /// Multiplications of the layers so far.
    products: usize,
    /// Whether matrices were left out, being too large.
    full: bool,
}

fn kept(states: &[State]) -> Vec<u32> {
    (0..states.len() as u32).filter(|j| matches!(states[*j as usize], State::Kept(_))).collect()
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

impl<'a> Reducer<'a> {
    /// Nothing yet.
    pub fn new(network: &'a Network<f64>) -> Self {
        let layers = network.layers.len();
        Self {
            network,
            curved: network.curved(),
            lower: Vec::new(),
            upper: Vec::new(),
            lines: Lines::new(layers),
            magnitudes: Magnitudes::new(1),
            states: Vec::new(),
            layers: Vec::new(),
            origin: Origin::default(),
            place: vec![None; layers],
            rows: None,
            held: 0,
            columns: 0,
            products: 0,
            full: false,
        }
    }

    /// Takes up layer `k`, the next one, with its final bounds.
    pub fn advance<T: Scalar>(&mut self, k: usize, lower: &[T], upper: &[T]) {
        let network = self.network;
        let layer = &network.layers[k];
        let mut states = Vec::new();
        match &layer.kind {
            Kind::Input => self.push(0, (0..layer.size as u32).collect(), Kind::Input),
            Kind::Affine(affine) => self.products += affine.terms.iter().map(|(_, map)| map.products()).sum::<usize>(),
            Kind::Activation { source, function } => {
                self.lines.set(k, *function, &self.lower[*source], &self.upper[*source]);
                states = self.states(*source, layer.size);
                let open = kept(&states);
                if !open.is_empty() {
                    let source = self.source(*source, &open);
                    self.push(k, open, Kind::Activation { source, function: *function });
                }
            }
            Kind::Product(product) => {
                let sizes = network.factor_sizes(product);
                self.lines.set_product(k, product, &self.lower, &self.upper, sizes);
                states = (0..layer.size as u32).map(State::Kept).collect();
                let mut factor = |factor: &Factor| Factor { source: self.source(factor.source, &[]), ..factor.clone() };
                let product = Product { left: factor(&product.left), right: factor(&product.right) };
                self.push(k, kept(&states), Kind::Product(product));
            }
        }
        self.states.push(states);
        self.lower.push(lower.iter().map(|v| v.to_f64()).collect());
        self.upper.push(upper.iter().map(|v| v.to_f64()).collect());
        self.magnitudes.push(network, &self.lines, &self.lower[k], &self.upper[k]);
    }

    /// Whether `rows` rows of layer `k`, the next one, are bounded with less work below in the reduced network.
    pub fn pays(&self, k: usize, rows: usize) -> bool {
        let next = match &self.network.layers[k].kind {
            Kind::Affine(affine) => affine.terms.iter().map(|(_, map)| map.products()).sum(),
            _ => 0,
        };
        // Rows of this layer are dense; back-substitution starts with one row of its maps.
        let dense = self.held + self.columns;
        let whole = self.products + next / self.network.layers[k].size.max(1);
        !self.full && self.held + rows * self.columns <= LARGEST && dense as f64 <= DENSE_GAIN * whole as f64
    }

    /// The network below layer `k`, the next one, with these entries of it as outputs.
    pub fn below<T: Scalar>(&mut self, k: usize, entries: &[u32], ends: (&[T], &[T])) -> Reduction<T> {
        self.rows = Some((k, entries.to_vec(), self.multiply_out(k, entries)));
        self.finish(k, entries, ends)
    }

    /// What the entries of a function of layer `source` are.
    fn states(&self, source: usize, size: usize) -> Vec<State> {
        if self.curved[source] {
            return (0..size as u32).map(State::Kept).collect();
        }
        let (l, u) = (&self.lower[source], &self.upper[source]);
        let mut count = 0;
        let mut state = |j: usize| {
            if l[j] >= 0.0 {
                return State::Same;
            }
            if u[j] <= 0.0 {
                return State::Zero;
            }
            count += 1;
            State::Kept(count - 1)
        };
        (0..size).map(&mut state).collect()
    }

    /// The reduced layer with the entries of an affine layer that are open, or with all that something bends.
    fn source(&mut self, k: usize, open: &[u32]) -> usize {
        if let Some(place) = self.place[k] {
            return place;
        }
        let all: Vec<u32> = (0..self.network.layers[k].size as u32).collect();
        let entries = if self.curved[k] { &all } else { open };
        if self.full || self.held + entries.len() * self.columns > LARGEST {
            self.full = true;
            return 0;
        }
        let affine = match self.rows.take() {
            Some((layer, known, affine)) if layer == k && entries.iter().all(|j| known.binary_search(j).is_ok()) => {
                let rows: Vec<usize> = entries.iter().filter_map(|j| known.binary_search(j).ok()).collect();
                picked(&affine, &rows)
            }
            _ => self.multiply_out(k, entries),
        };
        self.held += affine.terms.iter().map(|(_, map)| map.products()).sum::<usize>();
        self.push(k, entries.to_vec(), Kind::Affine(affine));
        self.layers.len() - 1
    }

    fn push(&mut self, k: usize, entries: Vec<u32>, kind: Kind<f64>) {
        self.place[k] = Some(self.layers.len());
        if !matches!(kind, Kind::Affine(_)) {
            self.columns += entries.len();
        }
        self.layers.push(Layer { name: self.network.layers[k].name.clone(), size: entries.len(), kind });
        self.origin.layers.push(k);
        self.origin.entries.push(entries);
    }

    /// Entries of layer `k` as a function of the input and of kept entries.
    fn multiply_out(&self, k: usize, entries: &[u32]) -> Affine<f64> {
        let network = self.network;
        let compose = |entries: &[u32]| compose(network, &self.magnitudes, &self.states, k, entries);
        let parts: Vec<Composed> = entries.par_chunks(ROWS_AT_ONCE).map(compose).collect();
        let mut terms = Vec::new();
        for m in 0..=k {
            let (Some(place), Some(states)) = (self.place[m], self.states.get(m)) else { continue };
            let cols = if m == 0 { network.inputs() } else { kept(states).len() };
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
            if weight.iter().any(|w| *w != 0.0) {
                terms.push((place, Linear::matrix(entries.len(), cols, weight)));
            }
        }
        let bias: Vec<f64> = parts.iter().flat_map(|part| part.constant.iter().copied()).collect();
        let error = parts.iter().flat_map(|part| part.error.iter().map(|e| SAFETY * e)).collect();
        let bias_magnitude = bias.iter().map(|b| b.abs()).collect();
        Affine { terms, bias, bias_magnitude, roundings: 0, executed: Executed::default(), error }
    }

    /// The network so far with entries of layer `k` as outputs, in the scalar type; `ends` are the bounds of all of that layer.
    fn finish<T: Scalar>(&self, k: usize, outputs: &[u32], ends: (&[T], &[T])) -> Reduction<T> {
        let mut origin = self.origin.clone();
        origin.layers.push(k);
        origin.entries.push(outputs.to_vec());
        let take = |sides: &[Vec<f64>], last: &[T]| -> Vec<Vec<T>> {
            let layers = origin.layers.iter().zip(&origin.entries).take(self.layers.len());
            let entries = |(k, entries): (&usize, &Vec<u32>)| {
                entries.iter().map(|j| T::from_f64(sides[*k][*j as usize])).collect::<Vec<T>>()
            };
            let last = outputs.iter().map(|j| last[*j as usize]).collect();
            layers.map(entries).chain([last]).collect()
        };
        let (lower, upper) = (take(&self.lower, ends.0), take(&self.upper, ends.1));
        let last = match &self.rows {
            Some((layer, entries, affine)) if *layer == k && entries == outputs => narrowed(affine, &lower, &upper),
            _ => narrowed(&self.multiply_out(k, outputs), &lower, &upper),
        };
        let mut layers: Vec<Layer<T>> = Vec::with_capacity(self.layers.len() + 1);
        for layer in &self.layers {
            let kind = match &layer.kind {
                Kind::Input => Kind::Input,
                Kind::Activation { source, function } => Kind::Activation { source: *source, function: *function },
                Kind::Product(product) => Kind::Product(product.clone()),
                Kind::Affine(affine) => Kind::Affine(narrowed(affine, &lower, &upper)),
            };
            layers.push(Layer { name: layer.name.clone(), size: layer.size, kind });
        }
        let name = self.network.layers[k].name.clone();
        layers.push(Layer { name, size: outputs.len(), kind: Kind::Affine(last) });
        let network = Network { layers, single_precision: false, home: self.network.home.elsewhere() };
        let count = network.layers.len();
        let (mut lines, mut magnitudes) = (Lines::new(count), Magnitudes::new(1));
        for (k, layer) in network.layers.iter().enumerate() {
            match &layer.kind {
                Kind::Activation { source, function } => lines.set(k, *function, &lower[*source], &upper[*source]),
                Kind::Product(product) => lines.set_product(k, product, &lower, &upper, network.factor_sizes(product)),
                Kind::Input | Kind::Affine(_) => {}
            }
            magnitudes.push(&network, &lines, &lower[k], &upper[k]);
        }
        let axes = (0..network.inputs()).filter(|i| lower[0][*i] < upper[0][*i]).collect();
        let influence = vec![Default::default(); count];
        let bounds = Bounds { lower, upper, lines, axes, influence };
        Reduction { network, bounds, magnitudes, origin }
    }
}

/// Some rows of an affine layer.
fn picked(affine: &Affine<f64>, rows: &[usize]) -> Affine<f64> {
    let of = |v: &[f64]| rows.iter().map(|r| v[*r]).collect::<Vec<f64>>();
    let map = |(source, map): &(usize, Linear<f64>)| (*source, map.rows(rows));
    Affine {
        terms: affine.terms.iter().map(map).collect(),
        bias: of(&affine.bias),
        bias_magnitude: of(&affine.bias_magnitude),
        error: of(&affine.error),
        ..*affine
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
        let away = |i: usize, w: f64| (w - T::from_f64(w).to_f64()).abs() * reach[i];
        for (j, error) in error.iter_mut().enumerate() {
            match map {
                Linear::Dense(map) => {
                    let row = &map.weight[j * map.cols..(j + 1) * map.cols];
                    *error += row.iter().enumerate().map(|(i, w)| away(i, *w)).sum::<f64>();
                }
                Linear::Sparse { weight, .. } => *error += weight.row(j).map(|(i, w)| away(i, w)).sum::<f64>(),
                _ => unreachable!("only matrices are made"),
            }
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
