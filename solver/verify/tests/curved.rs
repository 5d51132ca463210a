//! Bounds of networks that multiply, divide and bend variables, against exact enclosures of their values.
//!
//! The graphs have every operator of [`secateur_verify::lower`] that is not piecewise linear: attention with softmax, a layer
//! norm of elementary operators, powers, angles, steps, a constant choice, a transposed convolution.

use dashu_ratio::RBig;
use proptest::prelude::*;
use secateur_check::evaluate::{Precision, evaluate};
use secateur_linalg::random::Random;
use secateur_linalg::{Scalar, Tensor};
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value, Window};
use secateur_verify::alpha::{self, Slopes};
use secateur_verify::bounds::{self, Boxes, Method};
use secateur_verify::crown::{Multipliers, back_substitute};
use secateur_verify::lower::lower;
use secateur_verify::specification::{self, Objective};
use std::sync::Arc;

struct Maker {
    random: Random,
    builder: GraphBuilder,
    count: usize,
}

impl Maker {
    fn constant(&mut self, shape: Vec<usize>, data: Vec<f32>) -> NodeId {
        self.count += 1;
        let value = Value::F32(Arc::new(Tensor::new(shape, data)));
        self.builder.constant(format!("c{}", self.count), value).expect("finite")
    }

    fn weights(&mut self, shape: Vec<usize>) -> NodeId {
        let mut data = vec![0.0f32; shape.iter().product()];
        self.random.fill_normal(&mut data, 0.5);
        self.constant(shape, data)
    }

    fn add(&mut self, op: Op, arguments: &[NodeId]) -> NodeId {
        self.count += 1;
        self.builder.add(format!("n{}", self.count), op, arguments).expect("shapes fit")
    }

    fn linear(&mut self, x: NodeId, from: usize, to: usize) -> NodeId {
        let w = self.weights(vec![from, to]);
        self.add(Op::MatMul, &[x, w])
    }

    /// Softmax of scaled products of queries and keys, times values: `1 × n × m`.
    fn attention(&mut self, x: NodeId, m: usize) -> NodeId {
        let [q, k, v] = [0; 3].map(|_| self.linear(x, m, m));
        let transposed = self.add(Op::Transpose { axes: vec![0, 2, 1] }, &[k]);
        let scores = self.add(Op::MatMul, &[q, transposed]);
        let shares = self.add(Op::Softmax { axis: 2 }, &[scores]);
        self.add(Op::MatMul, &[shares, v])
    }

    /// $(x - \mu) / \sqrt{v + \epsilon}$ over the last axis.
    fn layer_norm(&mut self, x: NodeId) -> NodeId {
        let axes = || Op::ReduceMean { axes: vec![2], keep: true };
        let mean = self.add(axes(), &[x]);
        let away = self.add(Op::Sub, &[x, mean]);
        let two = self.constant(vec![1], vec![2.0]);
        let squares = match self.random.index(2) {
            0 => self.add(Op::Pow, &[away, two]),
            _ => self.add(Op::Mul, &[away, away]),
        };
        let variance = self.add(axes(), &[squares]);
        let epsilon = self.constant(vec![1], vec![0.25]);
        let variance = self.add(Op::Add, &[variance, epsilon]);
        if self.random.index(2) == 0 {
            let exponent = self.constant(vec![1], vec![-0.5]);
            let inverse = self.add(Op::Pow, &[variance, exponent]);
            return self.add(Op::Mul, &[away, inverse]);
        }
        let deviation = self.add(Op::Sqrt, &[variance]);
        self.add(Op::Div, &[away, deviation])
    }

    /// An elementwise function.
    fn bent(&mut self, x: NodeId) -> NodeId {
        match self.random.index(10) {
            9 => {
                let truths = Tensor::new(vec![4], vec![true, false, false, true]);
                let condition = self.builder.constant("truths", Value::Bool(Arc::new(truths))).expect("a constant");
                let zero = self.constant(vec![1], vec![0.0]);
                self.add(Op::Where, &[condition, x, zero])
            }
            0 => self.add(Op::Exp, &[x]),
            1 => self.add(Op::Sin, &[x]),
            2 => self.add(Op::Cos, &[x]),
            3 => self.add(Op::Sign, &[x]),
            4 => self.add(Op::Floor, &[x]),
            5 => self.add(Op::Tanh, &[x]),
            6 => self.add(Op::Cast(ElementType::F32), &[x]),
            choice => {
                let exponent = self.constant(vec![1], vec![if choice == 7 { 3.0 } else { 4.0 }]);
                self.add(Op::Pow, &[x, exponent])
            }
        }
    }
}

/// `1 × 3 × 4` inputs, 3 outputs.
fn random_graph(seed: u64) -> Graph {
    let builder = GraphBuilder::new("x", vec![1, 3, 4], ElementType::F32);
    let mut m = Maker { random: Random::new(seed), builder, count: 0 };
    let x = m.builder.input();
    let attended = m.attention(x, 4);
    let residual = m.add(Op::Add, &[attended, x]);
    let normed = if m.random.index(2) == 0 { m.layer_norm(residual) } else { residual };
    let bent = m.bent(normed);
    let wide = m.add(Op::Reshape { shape: vec![1, 3, 4] }, &[bent]);
    let window =
        Window { kernel: vec![3], strides: vec![2], pads_begin: vec![1], pads_end: vec![1], dilations: vec![1] };
    let kernel = m.weights(vec![3, 2, 3]);
    let spread = m.add(Op::ConvTranspose { window, groups: 1, output_padding: vec![0] }, &[wide, kernel]);
    let flat = m.add(Op::Reshape { shape: vec![1, 14] }, &[spread]);
    let relu = m.add(Op::Relu, &[flat]);
    let (one, other) = (m.linear(relu, 14, 3), m.linear(flat, 14, 3));
    let y = m.add(Op::Mul, &[one, other]);
    m.builder.finish(y).expect("a graph")
}

fn rational(v: f64) -> RBig {
    RBig::try_from(v).expect("finite")
}

/// Bounds of outputs and of an objective, plain and optimised, in a box of a given size.
fn bounds_enclose<T: Scalar>(seed: u64, radius: f32) {
    let graph = random_graph(seed);
    let network = lower(&graph).expect("every operator is supported").cast::<T>();
    let mut random = Random::stream(seed, 1);
    let centre: Vec<f32> = (0..12).map(|_| random.uniform(-1.0, 1.0) as f32).collect();
    let corner = |sign: f32| centre.iter().map(|c| T::from_f32(c + sign * radius)).collect::<Vec<T>>();
    let boxes = Boxes::one(&corner(-1.0), &corner(1.0), None);
    let ascent = alpha::Params { steps: 4, alpha_rate: 0.2, beta_rate: 0.0, decay: 0.9 };
    let (plain, magnitudes) = bounds::bound(&network, &boxes, Method::Crown, &[], &|| false);
    let known = plain.preactivations(&network, 0);
    let (bounds, tighter) = bounds::bound(&network, &boxes, Method::AlphaCrown(ascent), &[Some(&known)], &|| false);
    let outputs = (0..3).map(|j| (j, T::from_f32(random.normal() as f32))).collect();
    let objective =
        Objective { inputs: vec![(5, T::from_f32(0.75))], outputs, constant: T::ZERO, rounded: false, strict: false };
    let never = |_: usize, _: T| false;
    let mut found: Vec<T> = Vec::new();
    for (bounds, magnitudes) in [(&plain, &magnitudes), (&bounds, &tighter)] {
        let rows = specification::rows(&network, magnitudes, &[(0, &objective)]);
        let once = back_substitute(&network, magnitudes, &bounds.lines, rows.clone(), Multipliers::NONE, false);
        let slopes = Slopes::initial(&network, &bounds.lines, &[0], &[]);
        let best = alpha::optimise(&network, magnitudes, bounds, &boxes, &rows, &[], slopes, ascent, never);
        let loosened = once.minimum(0, boxes.set(0)) > best.minimum[0];
        assert!(!loosened, "the ascent loosened the bound");
        found.push(best.minimum[0]);
    }
    let output = network.output();
    for point in 0..4 {
        let x: Vec<f64> = (0..12)
            .map(|i| {
                let (l, u) = (boxes.lower[i].to_f64(), boxes.upper[i].to_f64());
                let share = if point % 2 == 0 { random.unit() } else { random.unit().round() };
                (l + share * (u - l)).clamp(l, u)
            })
            .collect();
        let exact: Vec<RBig> = x.iter().map(|v| rational(*v)).collect();
        let y = evaluate(&graph, &exact, Precision::ROUNDED).expect("a value");
        for (j, y) in y.iter().enumerate() {
            for bounds in [&plain, &bounds] {
                let (l, u) = (bounds.lower[output][j].to_f64(), bounds.upper[output][j].to_f64());
                assert!(!l.is_finite() || rational(l) <= y.upper, "output {j}: {l}");
                assert!(!u.is_finite() || y.lower <= rational(u), "output {j}: {u}");
            }
        }
        let terms = objective.outputs.iter().map(|(j, b)| (rational(b.to_f64()), &y[*j]));
        let most = terms.fold(rational(0.75) * &exact[5], |sum, (b, y)| {
            let end = if b > RBig::ZERO { &y.upper } else { &y.lower };
            sum + b * end
        });
        for bound in &found {
            let bound = bound.to_f64();
            assert!(!bound.is_finite() || rational(bound) <= most, "{bound} is not below the objective");
        }
    }
}

#[test]
fn bounds_are_close_on_small_boxes() {
    // Sixteen graphs; on a box of radius 2⁻¹² bounds of all outputs lie within 0.1 of each other, unless a step may be taken.
    let mut close = 0;
    for seed in 0..16 {
        let network = lower(&random_graph(seed)).expect("supported");
        let boxes = Boxes::one(&[0.25; 12], &[0.25 + 1.0 / 4096.0; 12], None);
        let (bounds, _) = bounds::bound(&network, &boxes, Method::Crown, &[], &|| false);
        let output = network.output();
        let width = bounds.lower[output].iter().zip(&bounds.upper[output]).map(|(l, u)| u - l).fold(0.0, f64::max);
        close += usize::from(width < 0.1);
    }
    assert!(close >= 12, "{close} of 16");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn outputs_and_objectives_are_enclosed(seed in 0u64..1 << 32, exponent in 0i32..18) {
        let radius = 0.5f32.powi(exponent + 1);
        bounds_enclose::<f32>(seed, radius);
        bounds_enclose::<f64>(seed, radius);
    }

    /// There a bound differs from the value by rounding alone.
    #[test]
    fn points_are_enclosed(seed in 0u64..1 << 32) {
        bounds_enclose::<f32>(seed, 0.0);
        bounds_enclose::<f64>(seed, 0.0);
    }
}
