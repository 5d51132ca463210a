//! Random small networks of many operators on a segment, with the exact values of every entry.
//!
//! Along a segment, an entry of a piecewise linear network is a continuous piecewise linear curve. Each operator is applied
//! to the curves as the network is put together, from the operator's definition and in rational numbers, so nothing here
//! rests on the code that is tested.

use dashu_ratio::RBig;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::NnError;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value, Window};
use std::sync::Arc;

/// A continuous piecewise linear function on $[0, 1]$: its knots, ascending, the first at 0 and the last at 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve(Vec<(RBig, RBig)>);

impl Curve {
    /// From one value to another.
    pub fn line(from: RBig, to: RBig) -> Self {
        Self(vec![(RBig::ZERO, from), (RBig::ONE, to)])
    }

    fn constant(value: RBig) -> Self {
        Self::line(value.clone(), value)
    }

    /// The least value.
    pub fn minimum(&self) -> RBig {
        self.0.iter().map(|(_, v)| v.clone()).min().expect("two knots or more")
    }

    fn at(&self, t: &RBig) -> RBig {
        let after = self.0.iter().position(|(s, _)| s >= t).expect("t is at most 1");
        let (s, v) = &self.0[after];
        if s == t {
            return v.clone();
        }
        let (r, u) = &self.0[after - 1];
        u + (v - u) * (t - r) / (s - r)
    }

    /// $\sum_i a_i c_i + d$.
    pub fn sum(terms: &[(RBig, &Self)], constant: RBig) -> Self {
        let mut knots: Vec<RBig> = terms.iter().flat_map(|(_, curve)| curve.0.iter().map(|(t, _)| t.clone())).collect();
        knots.extend([RBig::ZERO, RBig::ONE]);
        knots.sort();
        knots.dedup();
        let value = |t: &RBig| terms.iter().fold(constant.clone(), |sum, (a, curve)| sum + a * curve.at(t));
        Self(knots.into_iter().map(|t| (t.clone(), value(&t))).collect()).tidy()
    }

    fn times(&self, factor: &RBig) -> Self {
        Self(self.0.iter().map(|(t, v)| (t.clone(), v * factor)).collect())
    }

    /// The greater of two, with knots where they cross.
    pub fn max(&self, other: &Self) -> Self {
        let difference = Self::sum(&[(RBig::ONE, self), (-RBig::ONE, other)], RBig::ZERO);
        let mut knots: Vec<RBig> = difference.0.iter().map(|(t, _)| t.clone()).collect();
        for pair in difference.0.windows(2) {
            let ((s, a), (t, b)) = (&pair[0], &pair[1]);
            if (a < &RBig::ZERO) != (b < &RBig::ZERO) && a != b {
                knots.push(s + (t - s) * a / (a - b));
            }
        }
        knots.extend(self.0.iter().chain(&other.0).map(|(t, _)| t.clone()));
        knots.sort();
        knots.dedup();
        Self(knots.into_iter().map(|t| (t.clone(), self.at(&t).max(other.at(&t)))).collect()).tidy()
    }

    fn min(&self, other: &Self) -> Self {
        let minus = -RBig::ONE;
        self.times(&minus).max(&other.times(&minus)).times(&minus)
    }

    /// Without the knots at which the slope stays the same.
    fn tidy(self) -> Self {
        let mut kept: Vec<(RBig, RBig)> = Vec::new();
        for (t, v) in self.0 {
            if let [.., (r, u), (s, w)] = kept.as_slice()
                && (w - u) * (&t - s) == (&v - w) * (s - r)
            {
                kept.pop();
            }
            kept.push((t, v));
        }
        Self(kept)
    }
}

fn exact(v: f32) -> RBig {
    RBig::try_from(v).expect("finite")
}

/// A value of a network under construction.
#[derive(Clone)]
struct Part {
    node: NodeId,
    shape: Vec<usize>,
    curves: Vec<Curve>,
}

/// A network on a segment.
pub struct Segment {
    /// The network.
    pub graph: Graph,
    /// Lower and upper corner of the box; they differ along one input.
    pub corners: (Vec<RBig>, Vec<RBig>),
    /// The outputs along the segment, before the last function.
    pub outputs: Vec<Curve>,
    /// The last function, which increases: none, sigmoid or tanh.
    pub last: Option<Op>,
    /// The names of the operators, in order.
    pub operators: Vec<&'static str>,
}

struct Maker<'a> {
    builder: GraphBuilder,
    random: &'a mut Random,
    names: usize,
    operators: Vec<&'static str>,
}

impl Maker<'_> {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    /// A multiple of 1/8 about as large as `scale`.
    fn entry(&mut self, scale: f64) -> f32 {
        ((self.random.normal() * scale * 8.0).round() / 8.0) as f32
    }

    fn entries(&mut self, count: usize, scale: f64) -> Vec<f32> {
        (0..count).map(|_| self.entry(scale)).collect()
    }

    fn constant(&mut self, shape: Vec<usize>, values: Vec<f32>) -> Result<NodeId, NnError> {
        let name = self.name();
        self.builder.constant(name, Value::F32(Arc::new(Tensor::new(shape, values))))
    }

    fn add(&mut self, op: Op, arguments: &[NodeId], curves: Vec<Curve>) -> Result<Part, NnError> {
        self.operators.push(op.name());
        let name = self.name();
        let node = self.builder.add(name, op, arguments)?;
        let shape = self.builder.node(node).shape.clone();
        assert_eq!(shape.iter().product::<usize>(), curves.len(), "the curves of a node are its entries");
        Ok(Part { node, shape, curves })
    }

    /// $W a + b$ of all entries.
    fn dense(&mut self, x: &Part, outputs: usize) -> Result<Part, NnError> {
        let inputs = x.curves.len();
        let flat = self.add(Op::Reshape { shape: vec![1, inputs] }, &[x.node], x.curves.clone())?;
        let weights = self.entries(outputs * inputs, 1.2 / (inputs as f64).sqrt());
        let bias = self.entries(outputs, 0.4);
        let (w, b) =
            (self.constant(vec![outputs, inputs], weights.clone())?, self.constant(vec![outputs], bias.clone())?);
        let row = |o: usize| {
            let terms: Vec<(RBig, &Curve)> =
                x.curves.iter().enumerate().map(|(i, c)| (exact(weights[o * inputs + i]), c)).collect();
            Curve::sum(&terms, exact(bias[o]))
        };
        let curves = (0..outputs).map(row).collect();
        let gemm = Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
        self.add(gemm, &[flat.node, w, b], curves)
    }

    /// A convolution with kernels of `side`, padded so that the plane keeps its size where the side is 3.
    fn convolution(&mut self, x: &Part, side: usize, stride: usize) -> Result<Part, NnError> {
        let [_, channels, height, width] = x.shape[..] else { return Ok(x.clone()) };
        let pad = side / 2;
        let (kernels, bias) = (self.entries(2 * channels * side * side, 0.5), self.entries(2, 0.3));
        let (w, b) =
            (self.constant(vec![2, channels, side, side], kernels.clone())?, self.constant(vec![2], bias.clone())?);
        let places = |extent: usize| (extent + 2 * pad - side) / stride + 1;
        let mut curves = Vec::new();
        for o in 0..2 {
            for (y, z) in (0..places(height)).flat_map(|y| (0..places(width)).map(move |z| (y, z))) {
                let mut terms = Vec::new();
                for (c, i, j) in
                    (0..channels).flat_map(|c| (0..side).flat_map(move |i| (0..side).map(move |j| (c, i, j))))
                {
                    let (row, column) = ((y * stride + i).wrapping_sub(pad), (z * stride + j).wrapping_sub(pad));
                    if row < height && column < width {
                        let weight = kernels[((o * channels + c) * side + i) * side + j];
                        terms.push((exact(weight), &x.curves[(c * height + row) * width + column]));
                    }
                }
                curves.push(Curve::sum(&terms, exact(bias[o])));
            }
        }
        let window = Window {
            kernel: vec![side; 2],
            strides: vec![stride; 2],
            pads_begin: vec![pad; 2],
            pads_end: vec![pad; 2],
            dilations: vec![1; 2],
        };
        self.add(Op::Conv { window, groups: 1 }, &[x.node, w, b], curves)
    }

    /// Greatest or mean entries of windows of two by two.
    fn pool(&mut self, x: &Part, greatest: bool, pad: usize) -> Result<Part, NnError> {
        let [_, channels, height, width] = x.shape[..] else { return Ok(x.clone()) };
        let places = |extent: usize| (extent + 2 * pad - 2) / 2 + 1;
        let mut curves = Vec::new();
        for c in 0..channels {
            for (y, z) in (0..places(height)).flat_map(|y| (0..places(width)).map(move |z| (y, z))) {
                let inside = [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().filter_map(|(i, j)| {
                    let (row, column) = ((2 * y + i).wrapping_sub(pad), (2 * z + j).wrapping_sub(pad));
                    (row < height && column < width).then(|| &x.curves[(c * height + row) * width + column])
                });
                let entries: Vec<&Curve> = inside.collect();
                curves.push(if greatest {
                    entries[1..].iter().fold(entries[0].clone(), |most, curve| most.max(curve))
                } else {
                    let quarter = RBig::from_parts(1.into(), 4_u8.into());
                    let terms: Vec<(RBig, &Curve)> = entries.iter().map(|curve| (quarter.clone(), *curve)).collect();
                    Curve::sum(&terms, RBig::ZERO)
                });
            }
        }
        let window = Window {
            kernel: vec![2; 2],
            strides: vec![2; 2],
            pads_begin: vec![pad; 2],
            pads_end: vec![pad; 2],
            dilations: vec![1; 2],
        };
        let op = if greatest {
            Op::MaxPool { window, ceil_mode: false }
        } else {
            Op::AveragePool { window, ceil_mode: false, count_include_pad: true }
        };
        self.add(op, &[x.node], curves)
    }

    fn relu(&mut self, x: &Part) -> Result<Part, NnError> {
        let zero = Curve::constant(RBig::ZERO);
        self.add(Op::Relu, &[x.node], x.curves.iter().map(|c| c.max(&zero)).collect())
    }

    /// One more operator or a few.
    fn step(&mut self, x: &Part) -> Result<Part, NnError> {
        let zero = Curve::constant(RBig::ZERO);
        let plane = x.shape.len() == 4 && x.shape[2] > 1 && x.shape[3] > 1;
        match self.random.index(16) {
            0 | 1 => self.relu(x),
            2 => {
                let slope = [0.125f32, 0.01, -0.5][self.random.index(3)];
                let leaky = |c: &Curve| {
                    // max(z, 0) + a min(z, 0).
                    Curve::sum(&[(RBig::ONE, &c.max(&zero)), (exact(slope), &c.min(&zero))], RBig::ZERO)
                };
                self.add(Op::LeakyRelu { slope }, &[x.node], x.curves.iter().map(leaky).collect())
            }
            3 => {
                let (min, max) = (self.entry(0.5), 0.75);
                let ends = [min, max].map(|end| Curve::constant(exact(end)));
                let cut = |c: &Curve| c.max(&ends[0]).min(&ends[1]);
                let op = Op::Clip { min: Some(f64::from(min)), max: Some(f64::from(max)) };
                self.add(op, &[x.node], x.curves.iter().map(cut).collect())
            }
            4 if plane => self.convolution(x, 3, 1),
            5 if plane => self.convolution(x, 3, 2),
            6 if plane => self.pool(x, true, 0),
            7 if plane => self.pool(x, true, 1),
            8 if plane => self.pool(x, false, self.names % 2),
            9 if x.shape.len() == 4 => {
                let channels = x.shape[1];
                let size = x.curves.len() / channels;
                let (scale, bias, mean) =
                    (self.entries(channels, 0.8), self.entries(channels, 0.3), self.entries(channels, 0.3));
                let arguments = [scale.clone(), bias.clone(), mean.clone(), vec![0.25; channels]]
                    .map(|values| self.constant(vec![channels], values));
                let [s, b, m, v] = arguments;
                let normal = |(i, c): (usize, &Curve)| {
                    let channel = i / size;
                    // The root of the variance is 1/2.
                    let factor = exact(scale[channel]) * RBig::from(2_u8);
                    let rest = exact(bias[channel]) - &factor * exact(mean[channel]);
                    Curve::sum(&[(factor, c)], rest)
                };
                let curves = x.curves.iter().enumerate().map(normal).collect();
                self.add(Op::BatchNormalization { epsilon: 0.0 }, &[x.node, s?, b?, m?, v?], curves)
            }
            10 if plane => {
                // A residual block.
                let branch = self.convolution(x, 1, 1)?;
                let branch = self.relu(&branch)?;
                if branch.shape != x.shape {
                    return Ok(branch);
                }
                let minus = self.random.index(2) == 0;
                let sign = if minus { -RBig::ONE } else { RBig::ONE };
                let both = x.curves.iter().zip(&branch.curves);
                let curves = both.map(|(a, b)| Curve::sum(&[(RBig::ONE, a), (sign.clone(), b)], RBig::ZERO)).collect();
                self.add(if minus { Op::Sub } else { Op::Add }, &[x.node, branch.node], curves)
            }
            11 => {
                let factor = self.entry(1.0);
                let by = self.constant(vec![1], vec![factor])?;
                self.add(Op::Mul, &[x.node, by], x.curves.iter().map(|c| c.times(&exact(factor))).collect())
            }
            12 => {
                let greatest = self.random.index(2) == 0;
                let negative = self.add(Op::Neg, &[x.node], x.curves.iter().map(|c| c.times(&-RBig::ONE)).collect())?;
                let level = self.entry(0.5);
                let by = self.constant(vec![1], vec![level])?;
                let level = Curve::constant(exact(level));
                let pick = |a: &Curve, b: &Curve| if greatest { a.max(b) } else { a.min(b) };
                let op = || if greatest { Op::Max } else { Op::Min };
                let curves = x.curves.iter().zip(&negative.curves).map(|(a, b)| pick(a, b)).collect();
                let both = self.add(op(), &[x.node, negative.node], curves)?;
                let curves = both.curves.iter().map(|c| pick(c, &level)).collect();
                self.add(op(), &[by, both.node], curves)
            }
            13 if plane => {
                let [_, channels, height, width] = x.shape[..] else { return Ok(x.clone()) };
                let turned = (0..channels * height * width).map(|i| {
                    let (c, w, h) = (i / (height * width), i / height % width, i % height);
                    x.curves[(c * height + h) * width + w].clone()
                });
                let turned = self.add(Op::Transpose { axes: vec![0, 1, 3, 2] }, &[x.node], turned.collect())?;
                let begin = vec![0, 0, 1, 0];
                let (height, width) = (width, height);
                let padded = (0..channels * (height + 1) * width).map(|i| {
                    let (c, h, w) = (i / ((height + 1) * width), i / width % (height + 1), i % width);
                    let value = zero.clone();
                    if h == 0 { value } else { turned.curves[(c * height + h - 1) * width + w].clone() }
                });
                let curves = padded.collect();
                if self.random.index(2) == 0 {
                    return Ok(turned);
                }
                self.add(Op::Pad { begin, end: vec![0; 4], value: 0.0 }, &[turned.node], curves)
            }
            14 if x.shape.len() == 4 => {
                let mean = self.random.index(2) == 0;
                let width = x.shape[3];
                let share = if mean { RBig::from_parts(1.into(), width.into()) } else { RBig::ONE };
                let row = |row: &[Curve]| {
                    let terms: Vec<(RBig, &Curve)> = row.iter().map(|c| (share.clone(), c)).collect();
                    Curve::sum(&terms, RBig::ZERO)
                };
                let curves = x.curves.chunks(width).map(row).collect();
                let (axes, keep) = (vec![3], true);
                let op = if mean { Op::ReduceMean { axes, keep } } else { Op::ReduceSum { axes, keep } };
                self.add(op, &[x.node], curves)
            }
            15 => {
                let bent = self.relu(x)?;
                let axis = x.shape.len() - 1;
                let width = x.shape[axis];
                let rows = x.curves.chunks(width).zip(bent.curves.chunks(width));
                let curves = rows.flat_map(|(a, b)| a.iter().chain(b).cloned()).collect();
                let both = self.add(Op::Concat { axis }, &[x.node, bent.node], curves)?;
                // Every second entry of each row, backwards.
                let mut starts = vec![0; x.shape.len()];
                let mut steps = vec![1; x.shape.len()];
                let mut lengths = x.shape.clone();
                (starts[axis], steps[axis], lengths[axis]) = (2 * width - 1, -2, width);
                let pick = |row: &[Curve]| row.iter().rev().step_by(2).cloned().collect::<Vec<Curve>>();
                let curves = both.curves.chunks(2 * width).flat_map(pick).collect();
                self.add(Op::Slice { starts, steps, lengths }, &[both.node], curves)
            }
            _ => {
                let size = self.random.index(4) + 2;
                let hidden = self.dense(x, size)?;
                self.relu(&hidden)
            }
        }
    }
}

/// A random network with two outputs.
///
/// # Errors
/// Never, unless an operator's shapes are refused.
pub fn random(random: &mut Random) -> Result<Segment, NnError> {
    let inputs = 1 + random.index(3);
    let along = random.index(inputs);
    let builder = GraphBuilder::new("x", vec![1, inputs], ElementType::F32);
    let mut maker = Maker { builder, random, names: 0, operators: Vec::new() };
    let fixed: Vec<RBig> = maker.entries(inputs, 0.7).into_iter().map(exact).collect();
    let corner = |end: RBig| -> Vec<RBig> {
        let at = |i: usize| if i == along { end.clone() } else { fixed[i].clone() };
        (0..inputs).map(at).collect()
    };
    let corners = (corner(-RBig::ONE), corner(RBig::ONE));
    let curves = corners.0.iter().zip(&corners.1).map(|(l, u)| Curve::line(l.clone(), u.clone())).collect();
    let input = Part { node: maker.builder.input(), shape: vec![1, inputs], curves };
    let plane = maker.random.index(3) > 0;
    let mut value = maker.dense(&input, if plane { 18 } else { 5 })?;
    if plane {
        let curves = value.curves.clone();
        value = maker.add(Op::Reshape { shape: vec![1, 2, 3, 3] }, &[value.node], curves)?;
    }
    for _ in 0..2 + maker.random.index(4) {
        value = maker.step(&value)?;
    }
    let mut output = maker.dense(&value, 2)?;
    let outputs = output.curves.clone();
    let last = [None, None, Some(Op::Sigmoid), Some(Op::Tanh)][maker.random.index(4)].clone();
    if let Some(op) = &last {
        output = maker.add(op.clone(), &[output.node], outputs.clone())?;
    }
    let operators = maker.operators;
    Ok(Segment { graph: maker.builder.finish(output.node)?, corners, outputs, last, operators })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_cross_where_they_should() {
        let ratio = |n: i32, d: u32| RBig::from_parts(n.into(), d.into());
        let (up, down) = (Curve::line(ratio(0, 1), ratio(2, 1)), Curve::line(ratio(1, 1), ratio(-2, 1)));
        let most = up.max(&down);
        assert_eq!(most.0, vec![(ratio(0, 1), ratio(1, 1)), (ratio(1, 5), ratio(2, 5)), (ratio(1, 1), ratio(2, 1))]);
        assert_eq!((most.minimum(), up.min(&down).minimum()), (ratio(2, 5), ratio(-2, 1)));
    }

    #[test]
    fn curves_are_what_the_network_computes() {
        let mut random = Random::new(5);
        for _ in 0..200 {
            let Segment { graph, corners, outputs, last, .. } = super::random(&mut random).expect("shapes fit");
            if last.is_some() {
                continue;
            }
            for step in 0..=8 {
                let t = RBig::from_parts(step.into(), 8_u8.into());
                let point: Vec<RBig> = corners.0.iter().zip(&corners.1).map(|(l, u)| l + (u - l) * &t).collect();
                let found = secateur_check::evaluate(&graph, &point, secateur_check::Precision::EXACT).expect("known");
                for (found, curve) in found.iter().zip(&outputs) {
                    let value = curve.at(&t);
                    assert!(found.lower <= value && value <= found.upper, "{found:?} and {value}");
                }
            }
        }
    }
}
