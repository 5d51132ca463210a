//! Every operator against evaluation in `f64`, and affine networks against naive rational arithmetic.

use dashu_ratio::RBig;
use proptest::prelude::*;
use secateur_check::{CheckError, Enclosure, Precision, dyadic, enclose, evaluate};
use secateur_linalg::Tensor;
use secateur_nn::eval::forward;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value, Window};
use std::sync::Arc;

fn floats(shape: &[usize], data: Vec<f32>) -> Value {
    Value::F32(Arc::new(Tensor::new(shape.to_vec(), data)))
}

/// Numbers between -2 and 2 with all 24 bits in use, the same for the same seed.
fn varied(shape: &[usize], seed: u32) -> Value {
    let count: usize = shape.iter().product();
    let number = |i: usize| {
        let mixed = (i as u32 + 1).wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40_503)) >> 7;
        (f64::from(mixed) / f64::from(1 << 23) - 2.0) as f32
    };
    floats(shape, (0..count).map(number).collect())
}

fn positive(shape: &[usize], seed: u32) -> Value {
    match varied(shape, seed) {
        Value::F32(t) => Value::F32(Arc::new(t.map(|v| v.abs() + 0.5))),
        other => other,
    }
}

/// A graph of one operator on the input and constants.
fn of_one(op: Op, input: &[usize], constants: &[Value]) -> Graph {
    let mut builder = GraphBuilder::new("x", input.to_vec(), ElementType::F32);
    let mut arguments = vec![builder.input()];
    for (i, value) in constants.iter().enumerate() {
        arguments.push(builder.constant(format!("c{i}"), value.clone()).unwrap());
    }
    let output = builder.add("y", op, &arguments).unwrap();
    builder.finish(output).unwrap()
}

fn window(kernel: usize, stride: usize, begin: usize, end: usize, dilation: usize) -> Window {
    Window {
        kernel: vec![kernel; 2],
        strides: vec![stride; 2],
        pads_begin: vec![begin; 2],
        pads_end: vec![end; 2],
        dilations: vec![dilation; 2],
    }
}

/// Compares all outputs with `f64` at a dyadic point and at points whose coordinates are not dyadic.
#[track_caller]
fn agrees(name: &str, graph: &Graph, exact: bool) {
    let shape = graph.node(graph.input()).shape.clone();
    let count: usize = shape.iter().product();
    for seed in 0..3 {
        let numerators: Vec<i64> = (0..count).map(|i| (i as i64 * 7919 + seed * 131 + 17) % 401 - 200).collect();
        let denominator = [128_u32, 90, 7 << 20][seed as usize];
        let factor = [1, 1, 1 << 20][seed as usize];
        let point: Vec<RBig> =
            numerators.iter().map(|n| RBig::from_parts((n * factor).into(), denominator.into())).collect();
        let input = point.iter().map(|v| v.to_f64().value()).collect();
        let expected = forward(graph, &Tensor::new(shape.clone(), input)).unwrap();
        let mut coarse: Option<Vec<Enclosure>> = None;
        for precision in [Precision::ROUNDED, Precision::EXACT] {
            let found = evaluate(graph, &point, precision).unwrap();
            assert_eq!(found.len(), expected.len(), "{name}");
            for (i, (y, value)) in found.iter().zip(expected.data()).enumerate() {
                let middle = ((&y.lower + &y.upper) / RBig::from(2)).to_f64().value();
                let tolerance = 1e-13 * value.abs().max(1.0);
                assert!(y.lower <= y.upper, "{name}: entry {i} is crossed");
                assert!((middle - value).abs() <= tolerance, "{name}: entry {i} is {middle}, in f64 {value}");
                assert!((&y.upper - &y.lower).to_f64().value() < 1e-60, "{name}: entry {i} is enclosed loosely");
                if seed == 0 && exact && !precision.rounded {
                    assert!(y.is_exact(), "{name}: entry {i} is not exact");
                }
                if let Some(coarse) = &coarse {
                    assert!(coarse[i].lower <= y.upper && y.lower <= coarse[i].upper, "{name}: entry {i}");
                }
            }
            coarse = Some(found);
        }
    }
}

#[test]
fn pointwise_operators() {
    let shape = [2, 3];
    let exact = [
        (Op::Neg, true),
        (Op::Relu, true),
        (Op::LeakyRelu { slope: 0.01 }, true),
        (Op::LeakyRelu { slope: -0.5 }, true),
        (Op::LeakyRelu { slope: 3.0 }, true),
        (Op::Sigmoid, false),
        (Op::Tanh, false),
        (Op::Sign, true),
        (Op::Sin, false),
        (Op::Cos, false),
        (Op::Floor, true),
        (Op::Exp, false),
        (Op::Clip { min: Some(-0.3), max: Some(0.7) }, true),
        (Op::Clip { min: None, max: Some(0.1) }, true),
        (Op::Clip { min: Some(f64::NEG_INFINITY), max: None }, true),
        (Op::Cast(ElementType::F64), true),
        (Op::Cast(ElementType::F32), true),
    ];
    for (op, exact) in exact {
        agrees(op.name(), &of_one(op.clone(), &shape, &[]), exact);
    }
}

#[test]
fn binary_operators_broadcast() {
    for op in [Op::Add, Op::Sub, Op::Mul, Op::Min, Op::Max] {
        agrees(op.name(), &of_one(op.clone(), &[2, 1, 3], &[varied(&[4, 1], 1)]), true);
        agrees(op.name(), &of_one(op.clone(), &[2, 3], &[varied(&[], 1)]), true);
    }
    agrees("Div", &of_one(Op::Div, &[2, 3], &[positive(&[3], 1)]), false);
    agrees("Div", &of_one(Op::Div, &[2, 3], &[floats(&[], vec![-4.0])]), true);
    let exponents = floats(&[6], vec![0.0, 1.0, 2.0, 3.0, 4.0, 7.0]);
    agrees("Pow", &of_one(Op::Pow, &[2, 1], &[exponents]), true);
}

#[test]
fn powers_and_choices_are_what_they_say() {
    let ratio = |n: i32, d: u32| RBig::from_parts(n.into(), d.into());
    let exponents = floats(&[5], vec![-2.0, -1.0, -0.5, 0.5, 3.0]);
    let powers = of_one(Op::Pow, &[1, 1], &[exponents]);
    let found = enclose(&powers, &[4.0]).expect("defined");
    let exact = [ratio(1, 16), ratio(1, 4), ratio(1, 2), ratio(2, 1), ratio(64, 1)];
    assert!(found.iter().zip(&exact).all(|(found, exact)| found.lower == *exact && found.upper == *exact), "{found:?}");
    let inverse = &enclose(&powers, &[2.0]).expect("defined")[2];
    let (low, high) = (&inverse.lower * &inverse.lower, &inverse.upper * &inverse.upper);
    assert!(low <= ratio(1, 2) && ratio(1, 2) <= high && &high - &low < ratio(1, 1 << 30));
    let mut builder = GraphBuilder::new("x", vec![2, 2], ElementType::F32);
    let input = builder.input();
    let condition = Value::Bool(Arc::new(Tensor::new(vec![2], vec![true, false])));
    let condition = builder.constant("c", condition).unwrap();
    let other = builder.constant("o", floats(&[2, 1], vec![5.0, 7.0])).unwrap();
    let output = builder.add("y", Op::Where, &[condition, input, other]).unwrap();
    let found = enclose(&builder.finish(output).unwrap(), &[1.0, 2.0, 3.0, 4.0]).expect("defined");
    assert!(found.iter().zip([1, 5, 3, 7]).all(|(found, exact)| found.lower == ratio(exact, 1) && found.is_exact()));
}

#[test]
fn differences_are_not_mirrored() {
    let mut builder = GraphBuilder::new("x", vec![3], ElementType::F32);
    let input = builder.input();
    let constant = builder.constant("c", varied(&[2, 1], 5)).unwrap();
    let squared = builder.add("sq", Op::Mul, &[input, input]).unwrap();
    let root_of = builder.add("shift", Op::Add, &[squared, constant]).unwrap();
    let tanh = builder.add("tanh", Op::Tanh, &[root_of]).unwrap();
    let output = builder.add("y", Op::Sub, &[constant, tanh]).unwrap();
    agrees("Sub of an enclosure", &builder.finish(output).unwrap(), false);
}

#[test]
fn roots_of_squares() {
    let mut builder = GraphBuilder::new("x", vec![4], ElementType::F32);
    let input = builder.input();
    let squared = builder.add("sq", Op::Mul, &[input, input]).unwrap();
    let output = builder.add("y", Op::Sqrt, &[squared]).unwrap();
    agrees("Sqrt", &builder.finish(output).unwrap(), true);
}

#[test]
fn matrix_products() {
    agrees("MatMul", &of_one(Op::MatMul, &[2, 3], &[varied(&[3, 4], 1)]), true);
    agrees("MatMul vector", &of_one(Op::MatMul, &[3], &[varied(&[2, 3, 4], 1)]), true);
    agrees("MatMul to vector", &of_one(Op::MatMul, &[2, 3], &[varied(&[3], 1)]), true);
    agrees("MatMul batch", &of_one(Op::MatMul, &[2, 1, 2, 3], &[varied(&[3, 3, 4], 1)]), true);
    for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
        for (alpha, beta) in [(1.0, 1.0), (-0.3, 0.7)] {
            let op = Op::Gemm { alpha, beta, trans_a, trans_b };
            let a = if trans_a { [3, 2] } else { [2, 3] };
            let b = if trans_b { [4, 3] } else { [3, 4] };
            agrees("Gemm", &of_one(op.clone(), &a, &[varied(&b, 2)]), true);
            agrees("Gemm with summand", &of_one(op, &a, &[varied(&b, 2), varied(&[4], 3)]), true);
        }
    }
}

#[test]
fn products_from_the_left_and_of_two_computed_operands() {
    let mut builder = GraphBuilder::new("x", vec![2, 3, 4], ElementType::F32);
    let input = builder.input();
    let left = builder.constant("w", varied(&[2, 5, 3], 1)).unwrap();
    let from_left = builder.add("left", Op::MatMul, &[left, input]).unwrap();
    let transposed = builder.add("t", Op::Transpose { axes: vec![0, 2, 1] }, &[input]).unwrap();
    let output = builder.add("y", Op::MatMul, &[from_left, transposed]).unwrap();
    agrees("bilinear MatMul", &builder.finish(output).unwrap(), true);
}

#[test]
fn convolutions() {
    for (window, groups) in
        [(window(3, 1, 1, 1, 1), 1), (window(2, 2, 0, 1, 1), 2), (window(2, 1, 2, 0, 3), 1), (window(1, 1, 0, 0, 1), 4)]
    {
        let k = window.kernel[0];
        let weight = varied(&[8, 4 / groups, k, k], 1);
        let op = Op::Conv { window: window.clone(), groups };
        agrees("Conv", &of_one(op.clone(), &[2, 4, 5, 6], std::slice::from_ref(&weight)), true);
        agrees("Conv with bias", &of_one(op, &[2, 4, 5, 6], &[weight, varied(&[8], 2)]), true);
        let weight = varied(&[4, 3, k, k], 1);
        let op = Op::ConvTranspose { window, groups, output_padding: vec![0, 0] };
        agrees("ConvTranspose", &of_one(op, &[2, 4, 5, 6], &[weight, varied(&[3 * groups], 2)]), true);
    }
    let op = Op::ConvTranspose { window: window(3, 2, 1, 1, 1), groups: 1, output_padding: vec![1, 0] };
    agrees("ConvTranspose with output padding", &of_one(op, &[1, 2, 3, 3], &[varied(&[2, 3, 3, 3], 1)]), true);
    let op = Op::Conv {
        window: Window {
            kernel: vec![3],
            strides: vec![2],
            pads_begin: vec![1],
            pads_end: vec![0],
            dilations: vec![1],
        },
        groups: 1,
    };
    agrees("Conv in one dimension", &of_one(op, &[1, 2, 7], &[varied(&[3, 2, 3], 1)]), true);
}

#[test]
fn pools() {
    for (window, ceil_mode) in [
        (window(2, 2, 0, 0, 1), false),
        (window(3, 2, 1, 1, 1), true),
        (window(2, 2, 1, 0, 1), true),
        (window(2, 1, 0, 0, 2), false),
    ] {
        let op = Op::MaxPool { window: window.clone(), ceil_mode };
        agrees("MaxPool", &of_one(op, &[2, 3, 6, 5], &[]), true);
        for count_include_pad in [false, true] {
            let op = Op::AveragePool { window: window.clone(), ceil_mode, count_include_pad };
            let powers_of_two = window.kernel[0] == 2;
            agrees("AveragePool", &of_one(op, &[2, 3, 6, 5], &[]), powers_of_two);
        }
    }
}

#[test]
fn axes() {
    for keep in [false, true] {
        agrees("ReduceSum", &of_one(Op::ReduceSum { axes: vec![0, 2], keep }, &[2, 3, 4], &[]), true);
        agrees("ReduceMean", &of_one(Op::ReduceMean { axes: vec![1], keep }, &[2, 3, 4], &[]), false);
        agrees("ReduceMean", &of_one(Op::ReduceMean { axes: vec![0, 2], keep }, &[2, 3, 4], &[]), true);
    }
    for axis in 0..3 {
        agrees("Softmax", &of_one(Op::Softmax { axis }, &[2, 3, 4], &[]), false);
    }
    let op = Op::BatchNormalization { epsilon: 1e-5 };
    let constants = [varied(&[3], 1), varied(&[3], 2), varied(&[3], 3), positive(&[3], 4)];
    agrees("BatchNormalization", &of_one(op.clone(), &[2, 3, 4], &constants), false);
    agrees("BatchNormalization without axes", &of_one(op, &[2, 3], &constants), false);
}

#[test]
fn moves() {
    let gather = Op::Gather { axis: 1, indices: Tensor::new(vec![2, 2], vec![2, 0, 1, 2]) };
    let table: Vec<(Op, Vec<usize>)> = vec![
        (Op::Reshape { shape: vec![4, 6] }, vec![2, 3, 4]),
        (Op::Transpose { axes: vec![2, 0, 1] }, vec![2, 3, 4]),
        (Op::Slice { starts: vec![1, 2, 0], steps: vec![1, -1, 2], lengths: vec![1, 3, 2] }, vec![2, 3, 4]),
        (gather, vec![2, 3, 4]),
        (Op::Pad { begin: vec![0, 1], end: vec![2, 0], value: 0.1 }, vec![2, 3]),
        (Op::Expand { shape: vec![2, 3, 4] }, vec![3, 1]),
        (Op::Upsample { factors: vec![1, 1, 2, 3] }, vec![1, 2, 2, 2]),
    ];
    for (op, shape) in table {
        agrees(op.name(), &of_one(op.clone(), &shape, &[]), true);
    }
    let mut builder = GraphBuilder::new("x", vec![2, 3, 2], ElementType::F32);
    let input = builder.input();
    let constant = builder.constant("c", varied(&[2, 1, 2], 1)).unwrap();
    let tanh = builder.add("tanh", Op::Tanh, &[input]).unwrap();
    let output = builder.add("y", Op::Concat { axis: 1 }, &[input, constant, tanh]).unwrap();
    agrees("Concat", &builder.finish(output).unwrap(), false);
}

#[test]
fn a_network_by_hand() {
    // y = max(0, 0.1f x₀ - x₁) + 2⁻¹⁰⁰, with 0.1f = 13421773 / 2²⁷.
    let mut builder = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
    let input = builder.input();
    let weight = builder.constant("w", floats(&[2, 1], vec![0.1, -1.0])).unwrap();
    let product = builder.add("p", Op::MatMul, &[input, weight]).unwrap();
    let relu = builder.add("r", Op::Relu, &[product]).unwrap();
    let bias = builder.constant("b", floats(&[1], vec![2.0_f32.powi(-100)])).unwrap();
    let output = builder.add("y", Op::Add, &[relu, bias]).unwrap();
    let graph = builder.finish(output).unwrap();
    let found = enclose(&graph, &[2.0, 0.125]).unwrap();
    let tiny = RBig::from_parts(1.into(), dashu_int::UBig::ONE << 100);
    let exact =
        RBig::from_parts(13_421_773.into(), (1_u32 << 26).into()) - RBig::from_parts(1.into(), 8_u8.into()) + &tiny;
    assert_eq!(found, [Enclosure { lower: exact.clone(), upper: exact }]);
    assert_eq!(enclose(&graph, &[1.0, 1.0]).unwrap(), [Enclosure { lower: tiny.clone(), upper: tiny }]);
}

#[test]
fn faults_name_their_node() {
    let name = |error: CheckError| error.to_string();
    let divided = of_one(Op::Div, &[1], &[floats(&[1], vec![0.0])]);
    assert_eq!(enclose(&divided, &[1.0]), Err(CheckError::Domain { node: "y".into(), op: "Div", index: 0 }));
    let root = of_one(Op::Sqrt, &[2], &[]);
    assert_eq!(enclose(&root, &[1.0, -1.0]), Err(CheckError::Domain { node: "y".into(), op: "Sqrt", index: 1 }));
    let weights = of_one(Op::MatMul, &[2], &[floats(&[2, 1], vec![1.0, f32::NAN])]);
    assert_eq!(enclose(&weights, &[1.0, 1.0]), Err(CheckError::NotFinite { node: "y".into(), index: 1 }));
    let added = of_one(Op::Add, &[2], &[floats(&[2], vec![f32::INFINITY, 0.0])]);
    assert_eq!(enclose(&added, &[1.0, 1.0]), Err(CheckError::NotFinite { node: "y".into(), index: 0 }));
    let power = of_one(Op::Pow, &[1], &[floats(&[1], vec![0.25])]);
    assert_eq!(enclose(&power, &[1.0]), Err(CheckError::Unsupported { node: "y".into(), op: "Pow" }));
    let inverse = of_one(Op::Pow, &[1], &[floats(&[1], vec![-0.5])]);
    assert_eq!(enclose(&inverse, &[0.0]), Err(CheckError::Domain { node: "y".into(), op: "Pow", index: 0 }));
    let truths = of_one(Op::Equal, &[1], &[floats(&[1], vec![0.5])]);
    assert_eq!(enclose(&truths, &[1.0]), Err(CheckError::Element { node: "y".into(), found: ElementType::Bool }));
    assert!(name(enclose(&root, &[1.0]).unwrap_err()).contains("2 inputs"));
    assert_eq!(enclose(&root, &[1.0, f64::NAN]), Err(CheckError::InputNotFinite { index: 1 }));
    let mut builder = GraphBuilder::new("x", vec![1], ElementType::F64);
    let input = builder.input();
    let output = builder.add("y", Op::Cast(ElementType::F32), &[input]).unwrap();
    let narrowed = builder.finish(output).unwrap();
    assert_eq!(enclose(&narrowed, &[1.0]), Err(CheckError::Unsupported { node: "y".into(), op: "Cast" }));
    // e^(e^(e^3)) has about 3·10⁸ digits.
    let mut builder = GraphBuilder::new("x", vec![1], ElementType::F32);
    let mut last = builder.input();
    for i in 0..4 {
        last = builder.add(format!("e{i}"), Op::Exp, &[last]).unwrap();
    }
    let tower = builder.finish(last).unwrap();
    assert_eq!(enclose(&tower, &[3.0]), Err(CheckError::Domain { node: "e2".into(), op: "Exp", index: 0 }));
}

/// Layers of an affine network with ReLUs between them: weights by row, and biases.
type Layers = Vec<(Vec<Vec<f32>>, Vec<f32>)>;

fn mlp(layers: &Layers, inputs: usize) -> Graph {
    let mut builder = GraphBuilder::new("x", vec![1, inputs], ElementType::F32);
    let mut last: NodeId = builder.input();
    for (i, (weight, bias)) in layers.iter().enumerate() {
        let shape = [weight.len(), weight[0].len()];
        let w = builder.constant(format!("w{i}"), floats(&shape, weight.concat())).unwrap();
        let b = builder.constant(format!("b{i}"), floats(&[bias.len()], bias.clone())).unwrap();
        let op = Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
        last = builder.add(format!("z{i}"), op, &[last, w, b]).unwrap();
        if i + 1 < layers.len() {
            last = builder.add(format!("r{i}"), Op::Relu, &[last]).unwrap();
        }
    }
    builder.finish(last).unwrap()
}

fn naive(layers: &Layers, point: &[RBig]) -> Vec<RBig> {
    let exact = |v: &f32| RBig::try_from(*v).unwrap();
    let mut values = point.to_vec();
    for (i, (weight, bias)) in layers.iter().enumerate() {
        let affine =
            |(row, b): (&Vec<f32>, &f32)| row.iter().zip(&values).fold(exact(b), |sum, (w, x)| sum + exact(w) * x);
        let sums: Vec<RBig> = weight.iter().zip(bias).map(affine).collect();
        let last = i + 1 == layers.len();
        values = sums.into_iter().map(|v| if last { v } else { v.max(RBig::ZERO) }).collect();
    }
    values
}

/// Weights of all magnitudes, subnormal numbers and zeros among them.
fn weight() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -2.0_f32..2.0,
        1 => Just(0.0_f32),
        1 => any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |v| v.is_finite()),
        1 => Just(f32::from_bits(1)),
        1 => Just(-f32::MAX),
    ]
}

fn layers() -> impl Strategy<Value = Layers> {
    prop::collection::vec(1_usize..5, 3..5).prop_flat_map(|widths| {
        let layer = |w: &[usize]| {
            let rows = prop::collection::vec(prop::collection::vec(weight(), w[0]), w[1]);
            (rows, prop::collection::vec(weight(), w[1]))
        };
        widths.windows(2).map(layer).collect::<Vec<_>>()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn affine_networks_are_exact(layers in layers(), seeds in prop::collection::vec((-1000_i64..1000, 1_u32..50), 4)) {
        let inputs = layers[0].0[0].len();
        let graph = mlp(&layers, inputs);
        let point: Vec<RBig> = seeds[..inputs].iter().map(|(n, d)| RBig::from_parts((*n).into(), (*d).into())).collect();
        let dyadic_point: Vec<RBig> = seeds[..inputs].iter().map(|(n, d)| dyadic(*n as f64 / f64::from(*d)).unwrap()).collect();

        let exact = naive(&layers, &dyadic_point);
        for (y, value) in evaluate(&graph, &dyadic_point, Precision::EXACT).unwrap().iter().zip(&exact) {
            prop_assert!(y.is_exact() && y.lower == *value);
        }
        for precision in [Precision::ROUNDED, Precision { bits: 40, rounded: true }] {
            for (y, value) in evaluate(&graph, &dyadic_point, precision).unwrap().iter().zip(&exact) {
                prop_assert!(y.holds(value));
            }
        }
        let exact = naive(&layers, &point);
        for precision in [Precision::EXACT, Precision { bits: 60, rounded: true }] {
            for (y, value) in evaluate(&graph, &point, precision).unwrap().iter().zip(&exact) {
                prop_assert!(y.holds(value));
            }
        }
    }
}
