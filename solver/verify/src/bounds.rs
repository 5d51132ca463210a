//! Bounds on every layer for a batch of boxes: intervals everywhere, CROWN where a ReLU is open.
//!
//! Layers are visited in order. An affine layer is bounded by interval arithmetic from its sources;
//! when an activation reads it, the entries that may still have either sign (or any entry, before a
//! smooth activation) are bounded again by back-substitution to the input, and the two are
//! intersected. Then the activation's lines are known and the next layer can be bounded.

use crate::alpha::{self, Optimised, Slopes, Split};
use crate::ball::{Ball, Set};
use crate::crown::{InputBound, Lines, Multipliers, Rows, back_substitute};
use crate::network::{Affine, Kind, Layer, Network};
use crate::proof::{self, Names};
use crate::reduce::{Reducer, Reduction};
use crate::refine;
use crate::relax::{self, Planes};
use crate::rounding::{Magnitudes, gamma};
use rayon::prelude::*;
use secateur_check::proof::format::{Cover, Entry};
use secateur_linalg::Scalar;
use std::sync::Arc;

/// Rows that go through one back-substitution.
const ROWS_AT_ONCE: usize = 1024;

/// Coefficients of one layer that a back-substitution of a single domain holds: more than that falls out of the cache.
const COEFFICIENTS_AT_ONCE: usize = 1 << 19;

/// Entries, each with two rows, that go through one back-substitution: `most`, or fewer where layers are wide.
fn entries_at_once<T: Scalar>(network: &Network<T>, most: usize) -> usize {
    let widest = network.layers.iter().map(|layer| layer.size).max().unwrap_or(1);
    (COEFFICIENTS_AT_ONCE / (2 * widest)).clamp(8, most)
}

/// Boxes of inputs: `batch × n` corners.
#[derive(Clone, Debug)]
pub struct Boxes<T> {
    /// Number of boxes.
    pub batch: usize,
    /// Lower corners.
    pub lower: Vec<T>,
    /// Upper corners.
    pub upper: Vec<T>,
    /// The ball that cuts each; empty when there are none.
    pub balls: Vec<Option<Arc<Ball>>>,
}

impl<T: Scalar> Boxes<T> {
    /// One box.
    pub fn one(lower: &[T], upper: &[T], ball: Option<Arc<Ball>>) -> Self {
        Self { batch: 1, lower: lower.to_vec(), upper: upper.to_vec(), balls: vec![ball] }
    }

    /// The only box, `batch` times.
    pub fn repeat(&self, batch: usize) -> Self {
        let balls = (0..batch).flat_map(|_| self.balls.iter().cloned()).collect();
        Self { batch, lower: self.lower.repeat(batch), upper: self.upper.repeat(batch), balls }
    }

    /// What the input of one subproblem ranges over.
    pub fn set(&self, b: usize) -> Set<'_, T> {
        let (lower, upper) = self.corners(b);
        Set { lower, upper, ball: self.balls.get(b).and_then(Option::as_deref) }
    }

    /// The corners of one box.
    pub fn corners(&self, b: usize) -> (&[T], &[T]) {
        let n = self.lower.len() / self.batch.max(1);
        (&self.lower[b * n..(b + 1) * n], &self.upper[b * n..(b + 1) * n])
    }
}

/// Bounds on every layer and the lines that follow from them.
#[derive(Clone, Debug)]
pub struct Bounds<T> {
    /// Lower bounds of layer `k`, `batch × size`.
    pub lower: Vec<Vec<T>>,
    /// Upper bounds of layer `k`, `batch × size`.
    pub upper: Vec<Vec<T>>,
    /// Lines of the activations.
    pub lines: Lines<T>,
    /// The inputs that vary.
    pub axes: Vec<usize>,
    /// For each layer, how its open entries depend on the inputs.
    pub influence: Vec<Influence<T>>,
}

/// What moves the pre-activations of a layer that were bounded by back-substitution: the mean
/// absolute coefficients of the two linear bounds of each.
#[derive(Clone, Debug, Default)]
pub struct Influence<T> {
    /// Positions in the batch, `b × size + j`, ascending.
    pub entries: Vec<u32>,
    /// For each, the coefficients of the varying inputs ([`Bounds::axes`]); kept when these are few.
    pub slopes: Vec<T>,
}

/// The optimised slopes of the open entries of a layer: good slopes for every subproblem.
#[derive(Clone, Debug, Default)]
pub struct Guide<T> {
    /// The entries, ascending.
    pub entries: Vec<u32>,
    /// For activation layer `k`: the slopes of each entry's lower row, then of its upper row,
    /// `2 entries × size`.
    pub alpha: Vec<Vec<T>>,
}

/// With more varying inputs than this no slopes are kept.
const FEW_AXES: usize = 64;

/// The inputs that vary in some box by more than the outward rounding of a constant.
fn varying<T: Scalar>(boxes: &Boxes<T>, inputs: usize) -> Vec<usize> {
    let wide = |at: usize| {
        let (l, u) = (boxes.lower[at].to_f64(), boxes.upper[at].to_f64());
        u - l > 8.0 * T::UNIT_ROUNDOFF * l.abs().max(u.abs()) + T::SMALLEST_NORMAL
    };
    (0..inputs).filter(|i| (0..boxes.batch).any(|b| wide(b * inputs + i))).collect()
}

/// Asked between pieces of work; after a yes, what is not tightened yet keeps its interval bounds.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// How pre-activations are bounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Interval arithmetic alone.
    Interval,
    /// Intervals, tightened by CROWN.
    Crown,
    /// The same, and what is still open tightened again with slopes optimised for each entry.
    AlphaCrown(alpha::Params),
    /// The same, and what is still open tightened again by a small branch and bound for each entry.
    Refined(alpha::Params, refine::Params),
}

impl<T: Scalar> Bounds<T> {
    /// The bounds of the pre-activations of domain `d`.
    pub fn preactivations(&self, network: &Network<T>, d: usize) -> Preactivations<T> {
        let read = network.preactivations();
        let take = |all: &[Vec<T>]| -> Vec<Vec<T>> {
            let layer = |(k, v): (usize, &Vec<T>)| {
                let size = network.layers[k].size;
                if read[k] { v[d * size..(d + 1) * size].to_vec() } else { Vec::new() }
            };
            all.iter().enumerate().map(layer).collect()
        };
        Preactivations { lower: take(&self.lower), upper: take(&self.upper) }
    }

    /// The pre-activation bounds and lines of some domains of the batch, each cut to the signs of some
    /// ReLU inputs.
    pub fn gather(&self, network: &Network<T>, picks: &[(usize, &[Split])]) -> Self {
        let pick = |all: &[Vec<T>], keep: &dyn Fn(usize) -> bool| -> Vec<Vec<T>> {
            let layer = |(k, v): (usize, &Vec<T>)| {
                let size = network.layers[k].size;
                if v.is_empty() || !keep(k) {
                    return Vec::new();
                }
                picks.iter().flat_map(|(d, _)| v[d * size..(d + 1) * size].iter().copied()).collect()
            };
            all.iter().enumerate().map(layer).collect()
        };
        let read = network.preactivations();
        let all = |_: usize| true;
        let lines = Lines {
            lower_slope: pick(&self.lines.lower_slope, &all),
            lower_intercept: pick(&self.lines.lower_intercept, &all),
            upper_slope: pick(&self.lines.upper_slope, &all),
            upper_intercept: pick(&self.lines.upper_intercept, &all),
            planes: self.planes(network, picks),
        };
        let (lower, upper) = (pick(&self.lower, &|k| read[k]), pick(&self.upper, &|k| read[k]));
        let mut gathered = Bounds { lower, upper, lines, axes: self.axes.clone(), influence: Vec::new() };
        let sources = network.sources();
        for (d, (_, splits)) in picks.iter().enumerate() {
            for split in *splits {
                let k = split.layer as usize;
                let at = d * network.layers[k].size + split.neuron as usize;
                let slope = if split.active { T::ONE } else { T::ZERO };
                gathered.lines.lower_slope[k][at] = slope;
                gathered.lines.upper_slope[k][at] = slope;
                gathered.lines.upper_intercept[k][at] = T::ZERO;
                let end = if split.active { &mut gathered.lower } else { &mut gathered.upper };
                end[sources[k]][at] = T::ZERO;
            }
        }
        gathered
    }
}

impl<T: Scalar> Bounds<T> {
    /// The planes of some domains of the batch.
    fn planes(&self, network: &Network<T>, picks: &[(usize, &[Split])]) -> Vec<Vec<Planes<T>>> {
        let layer = |(planes, layer): (&Vec<Planes<T>>, &Layer<T>)| {
            let size = if planes.is_empty() { 0 } else { layer.size };
            picks.iter().flat_map(|(d, _)| planes[d * size..(d + 1) * size].iter().copied()).collect()
        };
        self.lines.planes.iter().zip(&network.layers).map(layer).collect()
    }
}

/// Bounds on the pre-activations of one domain: lower and upper per layer (empty for others).
#[derive(Clone, Debug)]
pub struct Preactivations<T> {
    /// Lower bounds.
    pub lower: Vec<Vec<T>>,
    /// Upper bounds.
    pub upper: Vec<Vec<T>>,
}

/// Bounds of every layer for a batch of boxes, and magnitudes for each. `known` gives, for each box,
/// bounds of the pre-activations that hold already (its parent's); the result is never looser. It may be
/// empty.
pub fn bound<T: Scalar>(
    network: &Network<T>,
    boxes: &Boxes<T>,
    method: Method,
    known: &[Option<&Preactivations<T>>],
    stop: Stop<'_>,
) -> (Bounds<T>, Magnitudes<T>) {
    bound_traced(network, None, boxes, method, known, stop, None)
}

/// The same for one box; the table takes up why the bounds hold that [`Method::Crown`] does not find. With the network in `f64`
/// at hand, what [`Method::Crown`] leaves open is bounded in reduced networks where that is less work ([`crate::reduce`]).
pub fn bound_traced<T: Scalar>(
    network: &Network<T>,
    precise: Option<&Network<f64>>,
    boxes: &Boxes<T>,
    method: Method,
    known: &[Option<&Preactivations<T>>],
    stop: Stop<'_>,
    mut table: Option<&mut Vec<(u32, Vec<Entry>)>>,
) -> (Bounds<T>, Magnitudes<T>) {
    let layers = network.layers.len();
    let (read, curved) = (network.preactivations(), network.curved());
    let mut magnitudes = Magnitudes::new(boxes.batch);
    let influence = vec![Influence::default(); layers];
    let (lower, upper, lines) = (Vec::new(), Vec::new(), Lines::new(layers));
    let axes = varying(boxes, network.inputs());
    let mut bounds = Bounds { lower, upper, lines, axes, influence };
    let names = Names::new(network);
    let tightens = matches!(method, Method::AlphaCrown(_) | Method::Refined(..));
    let mut reducer = precise.filter(|_| tightens && boxes.batch == 1).map(Reducer::new);
    for (k, layer) in network.layers.iter().enumerate() {
        let (mut lower, mut upper) = match &layer.kind {
            Kind::Input => (boxes.lower.clone(), boxes.upper.clone()),
            Kind::Affine(affine) => interval(affine, &bounds, boxes.batch, layer.size),
            Kind::Activation { source, function } => {
                let (l, u) = (&bounds.lower[*source], &bounds.upper[*source]);
                bounds.lines.set(k, *function, l, u);
                l.iter().zip(u).map(|(l, u)| relax::image(*function, *l, *u)).unzip()
            }
            Kind::Product(product) => {
                let sizes = network.factor_sizes(product);
                bounds.lines.set_product(k, product, &bounds.lower, &bounds.upper, sizes);
                product.ranges(&bounds.lower, &bounds.upper, sizes).map(|(x, y)| relax::product_image(x, y)).unzip()
            }
        };
        if read[k] {
            for (b, parent) in known.iter().enumerate() {
                if let Some(parent) = parent {
                    let at = b * layer.size..(b + 1) * layer.size;
                    tighten(&mut lower[at.clone()], &mut upper[at], &parent.lower[k], &parent.upper[k]);
                }
            }
            let exact = matches!(&layer.kind, Kind::Affine(a) if a.terms.len() == 1 && a.terms[0].0 == 0);
            if exact && bounds.axes.len() <= FEW_AXES {
                bounds.influence[k] = direct(layer, &bounds.axes, boxes.batch, &lower, &upper);
            }
            if method != Method::Interval && !exact && matches!(layer.kind, Kind::Affine(_)) {
                let everything = curved[k];
                let ends = (&mut lower[..], &mut upper[..]);
                let axes = &bounds.axes;
                bounds.influence[k] =
                    crown(network, boxes, &magnitudes, &bounds.lines, k, everything, axes, ends, stop);
                let mut entries = table.is_some().then(Vec::new);
                let open = |at: &usize| everything || (lower[*at] < T::ZERO && upper[*at] > T::ZERO);
                let chosen: Vec<usize> = (0..boxes.batch * layer.size).filter(open).collect();
                if tightens && !chosen.is_empty() && !stop() {
                    let task = Tightening { boxes, method, everything, stop };
                    match reducer.as_mut().filter(|reducer| reducer.pays(k, chosen.len())) {
                        Some(reducer) => {
                            let picked: Vec<u32> = chosen.iter().map(|at| *at as u32).collect();
                            let small = reducer.below(k, &picked, (&lower, &upper));
                            let names = small.origin.names(&names);
                            let Reduction { network, bounds, magnitudes, .. } = small;
                            let last = network.output();
                            let mut ends = (bounds.lower[last].clone(), bounds.upper[last].clone());
                            let all: Vec<usize> = (0..chosen.len()).collect();
                            let problem =
                                Layered { network: &network, magnitudes: &magnitudes, bounds: &bounds, names };
                            let mut found = entries.is_some().then(Vec::new);
                            task.tighten(problem, last, &all, (&mut ends.0, &mut ends.1), found.as_mut());
                            for (i, at) in chosen.iter().enumerate() {
                                lower[*at] = ends.0[i].max(lower[*at]);
                                upper[*at] = ends.1[i].min(upper[*at]);
                            }
                            for mut entry in found.into_iter().flatten() {
                                entry.neuron = chosen[entry.neuron as usize] as u32;
                                entries.iter_mut().for_each(|entries| entries.push(entry.clone()));
                            }
                        }
                        None => {
                            let names = names.clone();
                            let problem = Layered { network, magnitudes: &magnitudes, bounds: &bounds, names };
                            task.tighten(problem, k, &chosen, (&mut lower, &mut upper), entries.as_mut());
                        }
                    }
                }
                if let (Some(table), Some(entries)) = (&mut table, entries.filter(|e| !e.is_empty())) {
                    let readers = network.readers().enumerate().filter(|(_, (_, source))| *source == k);
                    readers.for_each(|(number, _)| table.push((number as u32, entries.clone())));
                }
            }
        }
        magnitudes.push(network, &bounds.lines, &lower, &upper);
        if stop() {
            reducer = None;
        }
        if let Some(reducer) = &mut reducer {
            reducer.advance(k, &lower, &upper);
        }
        bounds.lower.push(lower);
        bounds.upper.push(upper);
    }
    (bounds, magnitudes)
}

/// Keeps the tighter of two bounds; a NaN never replaces a number.
pub fn tighten<T: Scalar>(lower: &mut [T], upper: &mut [T], other_lower: &[T], other_upper: &[T]) {
    for (l, other) in lower.iter_mut().zip(other_lower) {
        *l = other.max(*l);
    }
    for (u, other) in upper.iter_mut().zip(other_upper) {
        *u = other.min(*u);
    }
}

/// Tightens the bounds of the open entries of affine layer `k` by back-substitution.
#[allow(clippy::too_many_arguments)]
fn crown<T: Scalar>(
    network: &Network<T>,
    boxes: &Boxes<T>,
    magnitudes: &Magnitudes<T>,
    lines: &Lines<T>,
    k: usize,
    everything: bool,
    axes: &[usize],
    (lower, upper): (&mut [T], &mut [T]),
    stop: Stop<'_>,
) -> Influence<T> {
    let mut influence = Influence::default();
    let keep = axes.len() <= FEW_AXES;
    let half = T::from_f64(0.5);
    let size = network.layers[k].size;
    let open = |at: usize| everything || (lower[at] < T::ZERO && upper[at] > T::ZERO);
    let chosen: Vec<usize> = (0..boxes.batch * size).filter(|at| open(*at)).collect();
    let tighten = |chosen: &[usize]| {
        let mut part = Influence::default();
        if stop() {
            return (Vec::new(), part);
        }
        let signs = [T::ONE, -T::ONE];
        let row = |(at, sign): (&usize, T)| ((at / size) as u32, (at % size) as u32, sign);
        let neurons: Vec<_> = chosen.iter().flat_map(|at| signs.map(|s| row((at, s)))).collect();
        let rows = Rows::units(network, magnitudes, k, &neurons);
        let found = back_substitute(network, magnitudes, lines, rows, Multipliers::NONE, false);
        let mut ends = Vec::with_capacity(chosen.len());
        for (pair, at) in chosen.iter().enumerate() {
            ends.push(pair_bounds(&found, 2 * pair, boxes, at / size));
            part.entries.push(*at as u32);
            if keep {
                let (a, b) = (found.row(2 * pair), found.row(2 * pair + 1));
                part.slopes.extend(axes.iter().map(|i| (a[*i].abs() + b[*i].abs()) * half));
            }
        }
        (ends, part)
    };
    // A batch is one of many chunks that run side by side; a single domain has the cores to itself.
    let parts: Vec<_> = match boxes.batch {
        1 => chosen.par_chunks(entries_at_once(network, ROWS_AT_ONCE / 8)).map(tighten).collect(),
        _ => chosen.chunks(ROWS_AT_ONCE / 2).map(tighten).collect(),
    };
    for (ends, part) in parts {
        for (at, (l, u)) in part.entries.iter().zip(ends) {
            let at = *at as usize;
            lower[at] = l.max(lower[at]);
            upper[at] = u.min(upper[at]);
        }
        influence.entries.extend(part.entries);
        influence.slopes.extend(part.slopes);
    }
    influence
}

/// The influence on an affine layer of the input itself.
fn direct<T: Scalar>(layer: &Layer<T>, axes: &[usize], batch: usize, lower: &[T], upper: &[T]) -> Influence<T> {
    let mut influence = Influence::default();
    let Kind::Affine(affine) = &layer.kind else { return influence };
    for at in (0..batch * layer.size).filter(|at| lower[*at] < T::ZERO && upper[*at] > T::ZERO) {
        influence.entries.push(at as u32);
        for (_, map) in &affine.terms {
            let mut row = vec![T::ZERO; map.inputs()];
            map.add_row(at % layer.size, T::ONE, &mut row);
            influence.slopes.extend(axes.iter().map(|i| row[*i].abs()));
        }
    }
    influence
}

/// A network whose layers below one are bounded.
struct Layered<'a, T> {
    network: &'a Network<T>,
    magnitudes: &'a Magnitudes<T>,
    bounds: &'a Bounds<T>,
    names: Names,
}

/// How open entries of a layer are tightened.
struct Tightening<'a, T> {
    boxes: &'a Boxes<T>,
    method: Method,
    /// Whether every bound matters, and not only one whose sign is open.
    everything: bool,
    stop: Stop<'a>,
}

impl<T: Scalar> Tightening<'_, T> {
    /// Tightens the chosen entries of affine layer `k`.
    fn tighten(
        &self,
        problem: Layered<'_, T>,
        k: usize,
        chosen: &[usize],
        (lower, upper): (&mut [T], &mut [T]),
        mut entries: Option<&mut Vec<Entry>>,
    ) {
        let (Method::AlphaCrown(params) | Method::Refined(params, _)) = self.method else { return };
        let ends = (&mut *lower, &mut *upper);
        let guide = self.alpha_crown(&problem, k, chosen, params, ends, entries.as_deref_mut());
        let Layered { network, magnitudes, bounds, names } = problem;
        if let Method::Refined(_, params) = self.method {
            let problem =
                refine::Problem { network, boxes: self.boxes, magnitudes, bounds, guide: &guide, k, params, names };
            problem.refine_all((lower, upper), self.stop, entries);
        }
    }

    /// With slopes optimised for each.
    fn alpha_crown(
        &self,
        Layered { network, magnitudes, bounds, names }: &Layered<'_, T>,
        k: usize,
        chosen: &[usize],
        params: alpha::Params,
        (lower, upper): (&mut [T], &mut [T]),
        entries: Option<&mut Vec<Entry>>,
    ) -> Guide<T> {
        let (size, boxes) = (network.layers[k].size, self.boxes);
        let tighten = |chosen: &[usize]| {
            let signs = [T::ONE, -T::ONE];
            let pair = |at: &usize| signs.map(|s| ((at / size) as u32, (at % size) as u32, s));
            let neurons: Vec<_> = chosen.iter().flat_map(pair).collect();
            let rows = Rows::units(network, magnitudes, k, &neurons);
            let slopes = Slopes::initial(network, &bounds.lines, &rows.domain, &[]);
            // An entry whose sign is known needs no tighter bound.
            let done = |_: usize, m: T| (!self.everything && m >= T::ZERO) || (self.stop)();
            alpha::optimise(network, magnitudes, bounds, boxes, &rows, &[], slopes, params, done)
        };
        let together = network.together(entries_at_once(network, ROWS_AT_ONCE / 16));
        let found: Vec<Optimised<T>> = chosen.par_chunks(together).map(tighten).collect();
        if let Some(entries) = entries {
            for (part, found) in chosen.chunks(together).zip(&found) {
                for (row, at) in part.iter().flat_map(|at| [at, at]).enumerate() {
                    let is_upper = row % 2 == 1;
                    let known = if is_upper { -upper[*at] } else { lower[*at] };
                    if found.minimum[row] > known {
                        let slopes = proof::slopes(network, bounds, 0, &found.slopes, row, names).with(Vec::new());
                        entries.push(Entry { neuron: *at as u32, upper: is_upper, cover: Cover::Leaf(slopes) });
                    }
                }
            }
        }
        for (at, pair) in chosen.iter().zip(found.iter().flat_map(|f| f.minimum.chunks_exact(2))) {
            lower[*at] = pair[0].max(lower[*at]);
            upper[*at] = (-pair[1]).min(upper[*at]);
        }
        let slopes = |a: usize| found.iter().flat_map(|f| f.slopes.alpha[a].iter().copied()).collect();
        let alpha: Vec<Vec<T>> = (0..network.layers.len()).map(slopes).collect();
        let held: usize = alpha.iter().map(Vec::len).sum();
        if boxes.batch > 1 || held > LARGEST_GUIDE {
            return Guide::default();
        }
        Guide { entries: chosen.iter().map(|at| *at as u32).collect(), alpha }
    }
}

/// Slopes that a guide may hold for one layer.
const LARGEST_GUIDE: usize = 4 << 20;

/// Bounds of an entry from its rows `r` (plus sign) and `r + 1` (minus sign).
fn pair_bounds<T: Scalar>(found: &InputBound<T>, r: usize, boxes: &Boxes<T>, b: usize) -> (T, T) {
    let set = boxes.set(b);
    (found.minimum(r, set), -found.minimum(r + 1, set))
}

/// Interval arithmetic through an affine layer, by centre and radius:
/// $c' = W c + b$, $r' = |W| r$, with the rounding of both added to the radius.
fn interval<T: Scalar>(affine: &Affine<T>, bounds: &Bounds<T>, batch: usize, size: usize) -> (Vec<T>, Vec<T>) {
    let mut centre = affine.bias.repeat(batch);
    let mut radius = vec![T::ZERO; batch * size];
    let terms: usize = affine.terms.iter().map(|(_, map)| map.forward_terms() + 1).sum();
    let factor = T::round_up(2.0 * gamma::<T>(terms + affine.roundings + 6));
    let tiny = T::from_f64(T::SMALLEST_NORMAL * (terms + 2) as f64);
    let two = T::from_f64(2.0);
    for (source, map) in &affine.terms {
        let (l, u) = (&bounds.lower[*source], &bounds.upper[*source]);
        let middle: Vec<T> = l.iter().zip(u).map(|(l, u)| *l / two + *u / two).collect();
        let spread: Vec<T> = (0..l.len())
            .map(|i| {
                let half = (u[i] - middle[i]).max(middle[i] - l[i]);
                half + factor * (half + middle[i].abs()) + tiny
            })
            .collect();
        map.forward(false, &middle, batch, &mut centre);
        map.forward(true, &spread, batch, &mut radius);
    }
    if !affine.executed.is_exact() {
        let mut mass = affine.bias_magnitude.repeat(batch);
        for (source, map) in &affine.terms {
            let ends = bounds.lower[*source].iter().zip(&bounds.upper[*source]);
            let most: Vec<T> = ends.map(|(l, u)| l.abs().max(u.abs()) + tiny).collect();
            map.forward(true, &most, batch, &mut mass);
        }
        let safety = 1.0 + 2.0 * gamma::<T>(terms + 6);
        let (share, more) = (T::round_up(safety * affine.executed.share), T::round_up(safety * affine.executed.more));
        radius.iter_mut().zip(&mass).for_each(|(r, m)| *r += share * *m + more);
    }
    for (i, r) in radius.iter_mut().enumerate() {
        *r += affine.error.get(i % size).copied().unwrap_or(T::ZERO);
        *r = *r + factor * (affine.bias_magnitude[i % size] + *r + centre[i].abs()) + tiny;
    }
    // An overflow may leave NaN, of which comparisons would make a number.
    let or = |bound: T, unbounded: T| if bound.to_f64().is_nan() { unbounded } else { bound };
    let lower = centre.iter().zip(&radius).map(|(c, r)| or(*c - *r, -T::INFINITY)).collect();
    let upper = centre.iter().zip(&radius).map(|(c, r)| or(*c + *r, T::INFINITY)).collect();
    (lower, upper)
}
