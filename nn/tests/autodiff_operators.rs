//! The derivative rules of every operator: reverse against forward mode, both against differences.

mod corpus;

use proptest::prelude::*;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::NnError;
use secateur_nn::autodiff::{self, Tape, Weighted};
use secateur_nn::eval::Evaluator;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value, Window};
use std::slice::from_ref;
use std::sync::Arc;

fn dot(a: &[Tensor<f64>], b: &[Tensor<f64>]) -> f64 {
    a.iter().zip(b).flat_map(|(a, b)| a.data().iter().zip(b.data())).map(|(a, b)| a * b).sum()
}

fn normal(random: &mut Random, shape: &[usize]) -> Tensor<f64> {
    let mut out = Tensor::full(shape.to_vec(), 0.0);
    random.fill_normal(out.data_mut(), 1.0);
    out
}

/// Entries that keep products of many of them tame, so that differences stay accurate.
fn small(random: &mut Random, shape: &[usize]) -> Tensor<f64> {
    normal(random, shape).map(|v| (0.5 * v).clamp(-0.9, 0.9))
}

/// The input and the constants of numbers, without exponents of a negative input ($a^b$ has no
/// derivative in $b$ there) and without what is compared for equality (a jump).
fn variables(graph: &Graph, input: &Tensor<f64>) -> Vec<NodeId> {
    let real = |e| matches!(e, ElementType::F32 | ElementType::F64);
    let varies = |op: &Op| matches!(op, Op::Input | Op::Constant(_));
    let negative = input.data().iter().any(|v| *v < 0.0);
    let excluded = |id| {
        graph.users(id).into_iter().any(|user| match graph.node(user).op {
            Op::Pow => negative && graph.arguments(user) == [graph.input(), id],
            Op::Equal => true,
            _ => false,
        })
    };
    let chosen = graph.nodes().filter(|(_, n)| varies(&n.op) && real(n.element)).map(|(id, _)| id);
    chosen.filter(|id| !excluded(*id)).collect()
}

/// The network at variables moved by `step` along a direction.
struct Line<'a> {
    evaluator: Evaluator<f64>,
    input: &'a Tensor<f64>,
    direction: Vec<(NodeId, &'a Tensor<f64>)>,
}

impl Line<'_> {
    fn at(&self, step: f64) -> (Evaluator<f64>, Tensor<f64>) {
        let moved = |value: &Tensor<f64>, along: &Tensor<f64>| {
            let data = value.data().iter().zip(along.data()).map(|(v, d)| v + step * d).collect();
            Tensor::new(value.shape().to_vec(), data)
        };
        let (mut evaluator, mut input) = (self.evaluator.clone(), self.input.clone());
        for (id, along) in &self.direction {
            match self.evaluator.constant(*id) {
                Some(value) => evaluator.set_constant(*id, moved(value, along)),
                None => input = moved(self.input, along),
            }
        }
        (evaluator, input)
    }
}

/// Step of the differences: their error is about step⁴ from the fifth derivative, and 1e-16 / step
/// from rounding.
const STEP: f64 = 1e-4;

/// The derivative at 0 of a function given at -2, -1, 1 and 2 steps.
fn slope([far_before, before, after, far_after]: [f64; 4]) -> f64 {
    (8.0 * (after - before) - (far_after - far_before)) / (12.0 * STEP)
}

/// Checks all derivatives of a network at a point. `differences` off near kinks.
fn check(name: &str, graph: &Graph, input: &Tensor<f64>, seed: u64, differences: bool) {
    let evaluator = Evaluator::<f64>::new(graph).unwrap();
    let random = &mut Random::new(seed);
    let wrt = variables(graph, input);
    let draw = |random: &mut Random| -> Vec<Tensor<f64>> {
        wrt.iter().map(|id| normal(random, &graph.node(*id).shape)).collect()
    };
    let (u, w) = (draw(random), draw(random));
    let v = normal(random, &graph.node(graph.output()).shape);
    let direction: Vec<_> = wrt.iter().copied().zip(&u).collect();

    let (_, pushed) = autodiff::jvp(&evaluator, input, &direction).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (_, pulled) = autodiff::vjp(&evaluator, input, &v, &wrt).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (forward, reverse) = (dot(from_ref(&v), &[pushed]), dot(&pulled, &u));
    // Relative to the size of the terms, not of their sum.
    let scale = 1.0 + pulled.iter().flat_map(|t| t.data()).map(|g| g.abs()).sum::<f64>();
    assert!((forward - reverse).abs() <= 1e-12 * scale, "{name}: ⟨v, Ju⟩ = {forward}, ⟨Jᵀv, u⟩ = {reverse}");

    let objective = Weighted { weights: v.data().to_vec() };
    let product = |direction: &[Tensor<f64>]| {
        let direction: Vec<_> = wrt.iter().copied().zip(direction).collect();
        let found = autodiff::hessian_vector_product(&evaluator, input, &objective, &direction, &wrt);
        found.unwrap_or_else(|e| panic!("{name}: {e}")).product
    };
    let (along_u, along_w) = (product(&u), product(&w));
    let (uw, wu) = (dot(&along_u, &w), dot(&along_w, &u));
    let curvature = scale + along_u.iter().flat_map(|t| t.data()).map(|g| g.abs()).sum::<f64>();
    assert!((uw - wu).abs() <= 1e-11 * curvature, "{name}: the Hessian is not symmetric: {uw}, {wu}");

    if differences {
        let line = Line { evaluator: evaluator.clone(), input, direction };
        let steps = [-2.0 * STEP, -STEP, STEP, 2.0 * STEP];
        let value = |step| {
            let (evaluator, input) = line.at(step);
            dot(from_ref(&v), &[evaluator.forward(&input).unwrap()])
        };
        let first = slope(steps.map(value));
        assert!((first - forward).abs() <= 1e-6 * curvature, "{name}: slope {first}, derivative {forward}");
        let gradients = steps.map(|step| {
            let (evaluator, input) = line.at(step);
            let gradient = autodiff::gradient(&evaluator, &input, &objective, &wrt).unwrap().1;
            gradient.into_iter().flat_map(Tensor::into_data).collect::<Vec<f64>>()
        });
        for (i, exact) in along_u.iter().flat_map(Tensor::data).enumerate() {
            let second = slope([0, 1, 2, 3].map(|k: usize| gradients[k][i]));
            assert!((second - exact).abs() <= 1e-6 * curvature, "{name}: slope {second}, second derivative {exact}");
        }
    }
}

#[test]
fn every_recorded_operator() {
    let mut checked = 0;
    for case in corpus::cases() {
        assert_eq!(case.graph.node(case.graph.output()).shape, case.output.shape(), "{}", case.name);
        // The recorded inputs lie nowhere near a kink.
        check(&case.name, &case.graph, &case.input, 11, true);
        checked += 1;
    }
    assert!(checked > 180, "{checked}");
}

/// A layered network of random operators over a few rows; smooth ones only where asked.
fn network(seed: u64, smooth: bool) -> Graph {
    let random = &mut Random::new(seed);
    let (rows, mut width) = (1 + random.index(3), 1 + random.index(4));
    let mut builder = GraphBuilder::new("x", vec![rows, width], ElementType::F64);
    let mut values = vec![(builder.input(), width)];
    let mut stored = 0;
    for layer in 0..6 {
        let (last, _) = *values.last().unwrap();
        let mut constant = |builder: &mut GraphBuilder, shape: &[usize], random: &mut Random| {
            stored += 1;
            builder.constant(format!("c{stored}"), Value::F64(Arc::new(small(random, shape)))).unwrap()
        };
        let other = values[random.index(values.len())];
        let (op, arguments) = match random.index(if smooth { 10 } else { 14 }) {
            0 => {
                let new = 1 + random.index(4);
                let w = constant(&mut builder, &[width, new], random);
                width = new;
                (Op::MatMul, vec![last, w])
            }
            1 => {
                let new = 1 + random.index(4);
                let (w, b) = (constant(&mut builder, &[new, width], random), constant(&mut builder, &[new], random));
                width = new;
                (Op::Gemm { alpha: 0.5, beta: 2.0, trans_a: false, trans_b: true }, vec![last, w, b])
            }
            2 => (Op::Tanh, vec![last]),
            3 => (Op::Sigmoid, vec![last]),
            4 => (Op::Sin, vec![last]),
            5 => (Op::Softmax { axis: random.index(2) }, vec![last]),
            6 => (Op::Mul, vec![last, constant(&mut builder, &[rows, 1], random)]),
            7 if other.1 == width => (Op::Add, vec![last, other.0]),
            8 if other.1 == width => (Op::Mul, vec![other.0, last]),
            7..=9 => {
                width += other.1;
                (Op::Concat { axis: 1 }, vec![last, other.0])
            }
            10 => (Op::Relu, vec![last]),
            11 => (Op::LeakyRelu { slope: 0.25 }, vec![last]),
            12 => (Op::Max, vec![last, constant(&mut builder, &[width], random)]),
            _ => (Op::Clip { min: Some(-1.0), max: Some(0.5) }, vec![last]),
        };
        let id = builder.add(format!("n{layer}"), op, &arguments).unwrap();
        values.push((id, width));
    }
    builder.finish(values.last().unwrap().0).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn random_smooth_networks(seed in 0_u64..1 << 40) {
        let graph = network(seed, true);
        let input = small(&mut Random::stream(seed, 1), &graph.node(graph.input()).shape);
        check("smooth", &graph, &input, seed, true);
    }

    #[test]
    fn random_networks_with_kinks(seed in 0_u64..1 << 40) {
        let graph = network(seed, false);
        let input = small(&mut Random::stream(seed, 1), &graph.node(graph.input()).shape);
        // Exact identities only: a difference may straddle a kink.
        check("kinks", &graph, &input, seed, false);
    }
}

/// The derivative of a network of one operator at a point, along the input.
fn slopes(op: Op, input: &[f64]) -> Vec<f64> {
    let mut builder = GraphBuilder::new("x", vec![input.len()], ElementType::F64);
    let output = builder.add("y", op, &[builder.input()]).unwrap();
    let graph = builder.finish(output).unwrap();
    let evaluator = Evaluator::<f64>::new(&graph).unwrap();
    let input = Tensor::vector(input.to_vec());
    let ones = input.map(|_| 1.0);
    let (_, gradient) = autodiff::vjp(&evaluator, &input, &ones, &[graph.input()]).unwrap();
    let (_, tangent) = autodiff::jvp(&evaluator, &input, &[(graph.input(), &ones)]).unwrap();
    assert_eq!(gradient[0], tangent, "both modes agree at kinks");
    tangent.into_data()
}

#[test]
fn derivatives_at_kinks_are_pytorch_s() {
    assert_eq!(slopes(Op::Relu, &[-1.0, 0.0, 1.0]), [0.0, 0.0, 1.0]);
    assert_eq!(slopes(Op::LeakyRelu { slope: 0.5 }, &[-1.0, 0.0, 1.0]), [0.5, 0.5, 1.0]);
    let clip = Op::Clip { min: Some(-1.0), max: Some(1.0) };
    assert_eq!(slopes(clip, &[-2.0, -1.0, 0.0, 1.0, 2.0]), [0.0, 1.0, 1.0, 1.0, 0.0]);
    assert_eq!(slopes(Op::Sign, &[-1.0, 0.0, 1.0]), [0.0; 3]);
    assert_eq!(slopes(Op::Floor, &[-1.0, 0.5]), [0.0; 2]);
}

#[test]
fn a_pool_gives_all_to_the_first_maximum() {
    let mut builder = GraphBuilder::new("x", vec![1, 1, 3], ElementType::F64);
    let window =
        Window { kernel: vec![3], strides: vec![1], pads_begin: vec![0], pads_end: vec![0], dilations: vec![1] };
    let output = builder.add("y", Op::MaxPool { window, ceil_mode: false }, &[builder.input()]).unwrap();
    let graph = builder.finish(output).unwrap();
    let evaluator = Evaluator::<f64>::new(&graph).unwrap();
    let input = Tensor::new(vec![1, 1, 3], vec![1.0, 2.0, 2.0]);
    let one = Tensor::full(vec![1, 1, 1], 1.0);
    let (_, gradient) = autodiff::vjp(&evaluator, &input, &one, &[graph.input()]).unwrap();
    assert_eq!(gradient[0].data(), [0.0, 1.0, 0.0]);
}

#[test]
fn intermediate_values_and_constants_without_influence() {
    let mut builder = GraphBuilder::new("x", vec![2], ElementType::F64);
    let square = builder.add("square", Op::Mul, &[builder.input(), builder.input()]).unwrap();
    let integer = builder.add("integer", Op::Cast(ElementType::I64), &[square]).unwrap();
    let steps = builder.add("steps", Op::Cast(ElementType::F64), &[integer]).unwrap();
    let exponent = builder.constant("exponent", Value::F64(Arc::new(Tensor::scalar(3.0)))).unwrap();
    let cube = builder.add("cube", Op::Pow, &[square, exponent]).unwrap();
    let output = builder.add("y", Op::Add, &[cube, steps]).unwrap();
    let graph = builder.finish(output).unwrap();
    let evaluator = Evaluator::<f64>::new(&graph).unwrap();
    let tape = Tape::record(&evaluator, &Tensor::vector(vec![1.0, -2.0])).unwrap();
    let ones = Tensor::vector(vec![1.0, 1.0]);
    let gradients = tape.vjp(&ones, &[graph.input(), square, steps]).unwrap();
    // 3 s² and 6 x⁵ at s = x²; the steps pass nothing to what they were rounded from.
    assert_eq!(gradients[1].data(), [3.0, 48.0]);
    assert_eq!(gradients[0].data(), [6.0, -192.0]);
    assert_eq!(gradients[2].data(), [1.0, 1.0]);
    let error = tape.vjp(&ones, &[integer]).unwrap_err();
    assert!(matches!(&error, NnError::NotReal { node, element: ElementType::I64 } if node == "integer"), "{error}");
}

#[test]
fn derivatives_that_are_not_finite_name_their_node() {
    let mut builder = GraphBuilder::new("x", vec![1], ElementType::F64);
    let root = builder.add("root", Op::Sqrt, &[builder.input()]).unwrap();
    let output = builder.add("y", Op::Relu, &[root]).unwrap();
    let graph = builder.finish(output).unwrap();
    let evaluator = Evaluator::<f64>::new(&graph).unwrap();
    let (zero, one) = (Tensor::vector(vec![0.0]), Tensor::vector(vec![1.0]));
    assert_eq!(evaluator.forward(&zero).unwrap().data(), [0.0]);
    // ReLU passes a derivative of 0 there, and 0 · ∞ is no number.
    let error = autodiff::vjp(&evaluator, &zero, &one, &[graph.input()]).unwrap_err();
    assert!(matches!(&error, NnError::NonFiniteDerivative { node, .. } if node == "root"), "{error}");
    assert!(autodiff::jvp(&evaluator, &zero, &[(graph.input(), &one)]).is_err());
}

#[test]
fn exponents_of_negative_numbers_have_no_derivative() {
    let mut builder = GraphBuilder::new("x", vec![1], ElementType::F64);
    let exponent = builder.constant("b", Value::F64(Arc::new(Tensor::scalar(3.0)))).unwrap();
    let output = builder.add("y", Op::Pow, &[builder.input(), exponent]).unwrap();
    let graph = builder.finish(output).unwrap();
    let evaluator = Evaluator::<f64>::new(&graph).unwrap();
    let (input, one) = (Tensor::vector(vec![-2.0]), Tensor::vector(vec![1.0]));
    let (_, gradient) = autodiff::vjp(&evaluator, &input, &one, &[graph.input()]).unwrap();
    assert_eq!(gradient[0].data(), [12.0]);
    let error = autodiff::vjp(&evaluator, &input, &one, &[exponent]).unwrap_err();
    assert!(matches!(&error, NnError::NonFiniteDerivative { node, .. } if node == "y"), "{error}");
}
