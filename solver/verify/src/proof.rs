//! What a certificate is told of a search.
//!
//! The search hands over slopes, multipliers and splits; whether they prove anything is the checker's business. Slopes
//! are left out where the checker takes the same by itself.

use crate::alpha;
use crate::bounds::Bounds;
use crate::crown::EVEN_SHARE;
use crate::network::{Function, Kind, Network};
use crate::search::Tracer;
use secateur_check::proof::format::{Entry, Next, Record, Sides, Slopes, Split, Step, Table, WHOLE};
use secateur_linalg::Scalar;

/// Numbers the parts as the checker will, and hands records to the tracer.
pub struct Scribe<'a> {
    tracer: &'a mut (dyn Tracer + 'a),
    /// The number of the next part.
    next: u64,
    /// For every region, the part on which disjuncts are open.
    pub parts: Vec<u64>,
}

/// A place to return to.
#[derive(Clone, Debug)]
pub struct Mark {
    place: u64,
    next: u64,
    parts: Vec<u64>,
}

impl<'a> Scribe<'a> {
    /// One part for each region.
    pub fn new(tracer: &'a mut (dyn Tracer + 'a), regions: usize) -> Self {
        Self { tracer, next: regions as u64, parts: (0..regions as u64).collect() }
    }

    /// The number of a new part.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// One part is done with; its children have to be numbered next.
    pub fn step(&mut self, id: u64, mut step: Step) {
        step.id = id;
        self.tracer.record(&Record::Step(step));
    }

    /// Bounds of the open part of a region.
    pub fn table<T: Scalar>(
        &mut self,
        region: usize,
        network: &Network<T>,
        bounds: &Bounds<T>,
        layers: Vec<(u32, Vec<Entry>)>,
    ) {
        let ranges = narrow(network, bounds);
        if !layers.is_empty() || !ranges.is_empty() {
            self.tracer.record(&Record::Table(Table { id: self.parts[region], layers, ranges }));
        }
    }

    /// Splits the open part of a region: the part with one disjunct alone is returned, the other one is the region's from
    /// then on.
    pub fn apart(&mut self, region: usize, disjunct: u32) -> u64 {
        let next = Next::Apart(disjunct);
        self.step(self.parts[region], Step::new(next));
        let alone = self.number();
        self.parts[region] = self.number();
        alone
    }

    /// This place.
    pub fn mark(&mut self) -> Mark {
        Mark { place: self.tracer.mark(), next: self.next, parts: self.parts.clone() }
    }

    /// Forgets everything behind a place.
    pub fn rewind(&mut self, mark: Mark) {
        self.tracer.rewind(mark.place);
        (self.next, self.parts) = (mark.next, mark.parts);
    }
}

/// An input of a function is narrow if its range is this share of its layer's widest or less: rounding errors, which differ
/// between search and checker, then turn the lines.
const NARROW: f64 = 1.0 / 256.0;

/// The ranges of narrow inputs of functions.
fn narrow<T: Scalar>(network: &Network<T>, bounds: &Bounds<T>) -> Vec<(u32, Sides)> {
    let layer = |(number, (_, source)): (usize, (usize, usize))| {
        let ends = bounds.lower[source].iter().zip(&bounds.upper[source]).map(|(l, u)| (l.to_f64(), u.to_f64()));
        let ends: Vec<(f64, f64)> = ends.collect();
        let widest = ends.iter().fold(0.0f64, |most, (l, u)| most.max(u - l));
        let open = ends.iter().enumerate().filter(|(_, (l, u))| *l < 0.0 && *u > 0.0 && u - l <= NARROW * widest);
        let narrow: Sides = open.map(|(j, (l, u))| (j as u32, *l, *u)).collect();
        (number as u32, narrow)
    };
    network.readers().enumerate().map(layer).filter(|(_, narrow)| !narrow.is_empty()).collect()
}

/// For every nonlinear layer, its number: the place of its (first) source among what such layers read.
fn numbers<T: Scalar>(network: &Network<T>) -> Vec<u32> {
    let mut numbers = vec![0; network.layers.len()];
    for (number, (k, _)) in network.readers().enumerate().collect::<Vec<_>>().into_iter().rev() {
        numbers[k] = number as u32;
    }
    numbers
}

/// What certificates call the layers and entries of a network.
#[derive(Clone, Debug)]
pub struct Names {
    numbers: Vec<u32>,
    /// For each layer its entries in the whole network; empty where they are all of them.
    entries: Vec<Vec<u32>>,
}

impl Names {
    /// Those of a network that is the whole one.
    pub fn new<T: Scalar>(network: &Network<T>) -> Self {
        Self { numbers: numbers(network), entries: vec![Vec::new(); network.layers.len()] }
    }

    /// Those of some layers and entries of the whole network, whose names these are.
    pub fn of(&self, layers: &[usize], entries: &[Vec<u32>]) -> Self {
        Self { numbers: layers.iter().map(|k| self.numbers[*k]).collect(), entries: entries.to_vec() }
    }

    /// The number and the neuron of an entry.
    pub fn entry(&self, k: usize, j: usize) -> (u32, u32) {
        (self.numbers[k], self.entries[k].get(j).copied().unwrap_or(j as u32))
    }

    /// A split.
    pub fn split(&self, split: &alpha::Split) -> Split {
        let (layer, neuron) = self.entry(split.layer as usize, split.neuron as usize);
        Split { layer, neuron, active: split.active }
    }
}

/// Slopes on the way into a certificate, by ReLU layer and neuron, ascending.
#[derive(Default)]
pub struct Listing {
    alpha: Vec<(u32, Vec<(u32, u32)>)>,
}

impl Listing {
    /// The slope of a neuron whose input has these bounds.
    pub fn push(&mut self, (layer, neuron): (u32, u32), (l, u): (f64, f64), slope: f64) {
        if l >= 0.0 || u <= 0.0 {
            return;
        }
        let slope = (slope * WHOLE as f64).round().clamp(0.0, WHOLE as f64) as u32;
        // The checker's bounds differ a little: where that may turn its choice, the slope is given as well.
        let certain = (u + l).abs() >= (u - l) / 16.0;
        if certain && i64::from(slope) == if u > -l { WHOLE } else { 0 } {
            return;
        }
        self.add(layer, neuron, slope);
    }

    /// The share of the second plane of a product, or where the tangent of a curved function touches.
    pub fn share(&mut self, (layer, neuron): (u32, u32), share: f64) {
        if share != EVEN_SHARE {
            self.add(layer, neuron, (share * WHOLE as f64).round().clamp(0.0, WHOLE as f64) as u32);
        }
    }

    fn add(&mut self, layer: u32, neuron: u32, slope: u32) {
        match self.alpha.last_mut() {
            Some((last, of)) if *last == layer => of.push((neuron, slope)),
            _ => self.alpha.push((layer, vec![(neuron, slope)])),
        }
    }

    /// With the multipliers of the splits.
    pub fn with(self, beta: Vec<f64>) -> Slopes {
        Slopes { alpha: self.alpha, beta, shown: Vec::new() }
    }
}

/// The slope below a ReLU: where the line above is that of a fixed one, the search takes it below as well.
pub fn slope<T: Scalar>(above: T, below: T) -> T {
    if above == T::ZERO || above == T::ONE { above } else { below }
}

/// The slopes of row `r`, which lies in subproblem `d`, on all layers that have any.
pub fn slopes<T: Scalar>(
    network: &Network<T>,
    bounds: &Bounds<T>,
    d: usize,
    found: &alpha::Slopes<T>,
    r: usize,
    names: &Names,
) -> Listing {
    let mut listing = Listing::default();
    for (k, layer) in network.layers.iter().enumerate() {
        let size = layer.size;
        let Some(of) = found.alpha[k].get(r * size..(r + 1) * size) else { continue };
        let Kind::Activation { source, function: Function::Relu } = layer.kind else {
            // Shares of planes, and where tangents touch.
            of.iter().enumerate().for_each(|(j, share)| listing.share(names.entry(k, j), share.to_f64()));
            continue;
        };
        let (l, u) = (&bounds.lower[source][d * size..], &bounds.upper[source][d * size..]);
        let above = &bounds.lines.upper_slope[k][d * size..];
        for j in 0..size {
            let slope = slope(above[j], of[j]).to_f64();
            listing.push(names.entry(k, j), (l[j].to_f64(), u[j].to_f64()), slope);
        }
    }
    listing
}
