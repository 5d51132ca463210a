//! Small networks that multiply, divide and bend variables: attention, normalisation, powers, angles, steps.

use dashu_ratio::RBig;
use secateur_check::Precision;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::NnError;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_nn::property::{Case, LinearConstraint, Property};
use std::sync::Arc;

/// Inputs of these networks.
pub const INPUTS: usize = 6;

/// Entries of a token.
const WIDTH: usize = 3;

struct Maker<'a> {
    random: &'a mut Random,
    builder: GraphBuilder,
    count: usize,
}

impl Maker<'_> {
    fn name(&mut self) -> String {
        self.count += 1;
        format!("n{}", self.count)
    }

    fn constant(&mut self, shape: Vec<usize>, data: Vec<f32>) -> Result<NodeId, NnError> {
        let name = self.name();
        self.builder.constant(&name, Value::F32(Arc::new(Tensor::new(shape, data))))
    }

    fn add(&mut self, op: Op, arguments: &[NodeId]) -> Result<NodeId, NnError> {
        let name = self.name();
        self.builder.add(&name, op, arguments)
    }

    fn linear(&mut self, x: NodeId, from: usize, to: usize) -> Result<NodeId, NnError> {
        let mut data = vec![0.0f32; from * to];
        self.random.fill_normal(&mut data, 0.6);
        let w = self.constant(vec![from, to], data)?;
        self.add(Op::MatMul, &[x, w])
    }

    fn attention(&mut self, x: NodeId) -> Result<NodeId, NnError> {
        let (q, k, v) = (self.linear(x, WIDTH, WIDTH)?, self.linear(x, WIDTH, WIDTH)?, self.linear(x, WIDTH, WIDTH)?);
        let turned = self.add(Op::Transpose { axes: vec![0, 2, 1] }, &[k])?;
        let scores = self.add(Op::MatMul, &[q, turned])?;
        let shares = self.add(Op::Softmax { axis: 2 }, &[scores])?;
        let mixed = self.add(Op::MatMul, &[shares, v])?;
        self.add(Op::Add, &[mixed, x])
    }

    fn normalised(&mut self, x: NodeId) -> Result<NodeId, NnError> {
        let mean = || Op::ReduceMean { axes: vec![2], keep: true };
        let centre = self.add(mean(), &[x])?;
        let away = self.add(Op::Sub, &[x, centre])?;
        let squares = if self.random.index(2) == 0 {
            let two = self.constant(vec![1], vec![2.0])?;
            self.add(Op::Pow, &[away, two])?
        } else {
            self.add(Op::Mul, &[away, away])?
        };
        let variance = self.add(mean(), &[squares])?;
        let epsilon = self.constant(vec![1], vec![0.25])?;
        let variance = self.add(Op::Add, &[variance, epsilon])?;
        if self.random.index(2) == 0 {
            let deviation = self.add(Op::Sqrt, &[variance])?;
            return self.add(Op::Div, &[away, deviation]);
        }
        let exponent = self.constant(vec![1], vec![-0.5])?;
        let inverse = self.add(Op::Pow, &[variance, exponent])?;
        self.add(Op::Mul, &[away, inverse])
    }

    fn power(&mut self, x: NodeId, exponent: f32) -> Result<NodeId, NnError> {
        let exponent = self.constant(vec![1], vec![exponent])?;
        self.add(Op::Pow, &[x, exponent])
    }

    fn step(&mut self, x: NodeId) -> Result<NodeId, NnError> {
        match self.random.index(14) {
            0 => self.attention(x),
            1 => self.normalised(x),
            2 => self.add(Op::Exp, &[x]),
            3 => self.add(Op::Sin, &[x]),
            4 => self.add(Op::Cos, &[x]),
            5 => self.power(x, 3.0),
            6 => {
                // From 1/2 on.
                let squares = self.add(Op::Mul, &[x, x])?;
                let half = self.constant(vec![1], vec![0.5])?;
                let above = self.add(Op::Add, &[squares, half])?;
                self.power(above, [-0.5, 0.5, -1.0, -2.0][self.count % 4])
            }
            7 => {
                let zero = self.constant(vec![1, 1, 1], vec![0.0])?;
                let name = self.name();
                let condition = Tensor::new(vec![WIDTH], vec![true, false, true]);
                let condition = self.builder.constant(&name, Value::Bool(Arc::new(condition)))?;
                let other = if self.random.index(2) == 0 { zero } else { self.linear(x, WIDTH, WIDTH)? };
                self.add(Op::Where, &[condition, x, other])
            }
            8 => {
                let (one, other) = (self.linear(x, WIDTH, WIDTH)?, self.linear(x, WIDTH, WIDTH)?);
                self.add(Op::Mul, &[one, other])
            }
            9 => self.add(Op::Softmax { axis: 1 }, &[x]),
            10 => self.add(Op::Sign, &[x]),
            11 => self.add(Op::Floor, &[x]),
            12 => self.add(Op::Relu, &[x]),
            _ => self.add(Op::Tanh, &[x]),
        }
    }
}

/// A random network of two tokens with two outputs.
///
/// # Errors
/// Never, unless an operator's shapes are refused.
pub fn random(random: &mut Random) -> Result<Graph, NnError> {
    let builder = GraphBuilder::new("x", vec![1, 2, WIDTH], ElementType::F32);
    let mut maker = Maker { builder, random, count: 0 };
    let x = maker.builder.input();
    let mut value = maker.linear(x, WIDTH, WIDTH)?;
    for _ in 0..1 + maker.random.index(3) {
        value = maker.step(value)?;
        value = maker.linear(value, WIDTH, WIDTH)?;
    }
    let flat = maker.add(Op::Reshape { shape: vec![1, INPUTS] }, &[value])?;
    let y = maker.linear(flat, INPUTS, 2)?;
    maker.builder.finish(y)
}

/// A box of a given radius around a random centre, and the least value of the first output on some of its points.
pub fn sampled(graph: &Graph, random: &mut Random, radius: &RBig) -> (Vec<RBig>, Vec<RBig>, RBig) {
    let eighth = |v: f64| RBig::from_parts(((v * 8.0).round() as i64).into(), 8_u8.into());
    let centre: Vec<RBig> = (0..INPUTS).map(|_| eighth(random.uniform(-1.0, 1.0))).collect();
    let lower: Vec<RBig> = centre.iter().map(|c| c - radius).collect();
    let upper: Vec<RBig> = centre.iter().map(|c| c + radius).collect();
    let mut least: Option<RBig> = None;
    for _ in 0..40 {
        let sixteenth = |random: &mut Random| RBig::from_parts(random.index(17).into(), 16_u8.into());
        let point: Vec<RBig> = lower.iter().zip(&upper).map(|(l, u)| l + (u - l) * sixteenth(random)).collect();
        let Ok(found) = secateur_check::evaluate(graph, &point, Precision::ROUNDED) else { continue };
        let value = found[0].upper.clone();
        least = Some(least.map_or(value.clone(), |least| least.min(value)));
    }
    (lower, upper, least.unwrap_or(RBig::ZERO))
}

/// Whether the first output can be at most this on a box.
pub fn at_most((lower, upper): (&[RBig], &[RBig]), bound: RBig) -> Property {
    let constraint = LinearConstraint { inputs: Vec::new(), outputs: vec![(0, RBig::ONE)], bound, strict: false };
    let case = Case { lower: lower.to_vec(), upper: upper.to_vec(), ball: None, unsafe_set: vec![vec![constraint]] };
    Property { inputs: INPUTS, outputs: 2, cases: vec![case], declared: None }
}
