//! Evaluation of single operators: against ONNX Runtime, against values by hand, and its errors.

mod corpus;

use secateur_linalg::Tensor;
use secateur_nn::NnError;
use secateur_nn::eval::{self, Array, Evaluator};
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op, Value, Window};
use std::collections::BTreeSet;
use std::sync::Arc;

#[test]
fn operators_agree_with_onnx_runtime_in_both_precisions() {
    for case in corpus::cases() {
        let name = &case.name;
        let single =
            eval::forward(&case.graph, &case.input.map(|v| *v as f32)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let double = eval::forward(&case.graph, &case.input).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(single.shape(), case.output.shape(), "{name}");
        let scale = case.output.data().iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        for ((s, d), expected) in single.data().iter().zip(double.data()).zip(case.output.data()) {
            // Sums of up to 50 products of size 1 in f32, of which each may lose 6e-8.
            let tolerance = 3e-6 * scale;
            assert!((f64::from(*s) - expected).abs() <= tolerance, "{name} in f32: {s} for {expected}");
            assert!((d - expected).abs() <= tolerance, "{name} in f64: {d} for {expected}");
        }
    }
}

#[test]
fn every_operator_is_recorded() {
    let mut seen = BTreeSet::new();
    for case in corpus::cases() {
        seen.extend(case.graph.nodes().map(|(_, node)| node.op.name()));
    }
    let all = [
        "Input",
        "Constant",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Min",
        "Max",
        "Pow",
        "Equal",
        "Where",
        "Neg",
        "Relu",
        "LeakyRelu",
        "Sigmoid",
        "Tanh",
        "Sign",
        "Sin",
        "Cos",
        "Floor",
        "Exp",
        "Sqrt",
        "Clip",
        "Cast",
        "MatMul",
        "Gemm",
        "Conv",
        "ConvTranspose",
        "BatchNormalization",
        "MaxPool",
        "AveragePool",
        "Softmax",
        "ReduceSum",
        "ReduceMean",
        "Reshape",
        "Transpose",
        "Concat",
        "Slice",
        "Gather",
        "Pad",
        "Expand",
        "Upsample",
    ];
    assert_eq!(all.iter().filter(|op| !seen.contains(*op)).collect::<Vec<_>>(), Vec::<&&str>::new());
}

/// A network of one operator on its input, then constants.
fn single(op: Op, shape: &[usize], constants: &[Tensor<f64>]) -> Graph {
    let mut builder = GraphBuilder::new("x", shape.to_vec(), ElementType::F64);
    let mut arguments = vec![builder.input()];
    for (i, value) in constants.iter().enumerate() {
        arguments.push(builder.constant(format!("c{i}"), Value::F64(Arc::new(value.clone()))).unwrap());
    }
    let output = builder.add("y", op, &arguments).unwrap();
    builder.finish(output).unwrap()
}

fn tensor(shape: &[usize], data: &[f64]) -> Tensor<f64> {
    Tensor::new(shape.to_vec(), data.to_vec())
}

fn check(op: Op, input: Tensor<f64>, constants: &[Tensor<f64>], expected: Tensor<f64>) {
    let graph = single(op, input.shape(), constants);
    assert_eq!(eval::forward(&graph, &input).unwrap(), expected);
}

fn window(kernel: &[usize], stride: usize, pad: usize) -> Window {
    let rank = kernel.len();
    Window {
        kernel: kernel.to_vec(),
        strides: vec![stride; rank],
        pads_begin: vec![pad; rank],
        pads_end: vec![pad; rank],
        dilations: vec![1; rank],
    }
}

#[test]
fn values_by_hand() {
    let x = tensor(&[4], &[-2.0, -0.5, 0.0, 3.0]);
    let same = |v: &[f64]| tensor(&[4], v);
    check(Op::Relu, x.clone(), &[], same(&[0.0, 0.0, 0.0, 3.0]));
    check(Op::LeakyRelu { slope: 0.5 }, x.clone(), &[], same(&[-1.0, -0.25, 0.0, 3.0]));
    check(Op::Sign, x.clone(), &[], same(&[-1.0, -1.0, 0.0, 1.0]));
    check(Op::Floor, x.clone(), &[], same(&[-2.0, -1.0, 0.0, 3.0]));
    check(Op::Clip { min: Some(-1.0), max: None }, x.clone(), &[], same(&[-1.0, -0.5, 0.0, 3.0]));
    check(Op::Clip { min: Some(2.0), max: Some(1.0) }, x.clone(), &[], same(&[1.0; 4]));
    check(Op::Max, x.clone(), &[Tensor::scalar(0.5)], same(&[0.5, 0.5, 0.5, 3.0]));
    check(Op::Pow, x.clone(), &[Tensor::scalar(2.0)], same(&[4.0, 0.25, 0.0, 9.0]));
    check(
        Op::Sub,
        tensor(&[2, 1], &[1.0, 2.0]),
        &[tensor(&[2], &[10.0, 20.0])],
        tensor(&[2, 2], &[-9.0, -19.0, -8.0, -18.0]),
    );

    let m = tensor(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    check(Op::MatMul, m.clone(), &[tensor(&[2], &[1.0, -1.0])], tensor(&[2], &[-1.0, -1.0]));
    let gemm = Op::Gemm { alpha: 2.0, beta: -1.0, trans_a: true, trans_b: false };
    check(gemm, m.clone(), &[m.clone(), Tensor::scalar(1.0)], tensor(&[2, 2], &[19.0, 27.0, 27.0, 39.0]));

    let row = tensor(&[1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
    let conv = Op::Conv { window: window(&[2], 1, 1), groups: 1 };
    check(conv, row.clone(), &[tensor(&[1, 1, 2], &[1.0, 10.0])], tensor(&[1, 1, 5], &[10.0, 21.0, 32.0, 43.0, 4.0]));
    let transposed = Op::ConvTranspose { window: window(&[2], 2, 0), groups: 1, output_padding: vec![0] };
    let spread = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0];
    check(transposed, row.clone(), &[tensor(&[1, 1, 2], &[1.0, 10.0])], tensor(&[1, 1, 8], &spread));
    let pool = Op::MaxPool { window: window(&[3], 2, 0), ceil_mode: true };
    check(pool, row.clone(), &[], tensor(&[1, 1, 2], &[3.0, 4.0]));
    for (count_include_pad, first) in [(false, 1.5), (true, 1.0)] {
        let pool = Op::AveragePool { window: window(&[3], 3, 1), ceil_mode: false, count_include_pad };
        check(pool, row.clone(), &[], tensor(&[1, 1, 2], &[first, if count_include_pad { 7.0 / 3.0 } else { 3.5 }]));
    }
    check(Op::Softmax { axis: 1 }, tensor(&[1, 2], &[1000.0, 1000.0]), &[], tensor(&[1, 2], &[0.5, 0.5]));
    let backwards = Op::Slice { starts: vec![1, 0], steps: vec![-1, 1], lengths: vec![2, 1] };
    check(backwards, m.clone(), &[], tensor(&[2, 1], &[3.0, 1.0]));
    let pad = Op::Pad { begin: vec![0, 1], end: vec![0, 0], value: 7.0 };
    check(pad, m.clone(), &[], tensor(&[2, 3], &[7.0, 1.0, 2.0, 7.0, 3.0, 4.0]));
    let gather = Op::Gather { axis: 1, indices: Tensor::vector(vec![1, 1, 0]) };
    check(gather, m, &[], tensor(&[2, 3], &[2.0, 2.0, 1.0, 4.0, 4.0, 3.0]));
}

#[test]
fn integers_and_truth_values() {
    let mut builder = GraphBuilder::new("x", vec![3], ElementType::F32);
    let integer = builder.add("i", Op::Cast(ElementType::I64), &[builder.input()]).unwrap();
    let two = builder.constant("two", Value::I64(Arc::new(Tensor::scalar(2)))).unwrap();
    let doubled = builder.add("d", Op::Mul, &[integer, two]).unwrap();
    let equal = builder.add("e", Op::Equal, &[doubled, two]).unwrap();
    let output = builder.add("y", Op::Cast(ElementType::F32), &[equal]).unwrap();
    let graph = builder.finish(output).unwrap();
    let trace = eval::trace(&graph, &Tensor::vector(vec![1.9_f32, -1.9, 0.3])).unwrap();
    let named = |name: &str| graph.nodes().find(|(_, n)| n.name == name).unwrap().0;
    assert!(matches!(trace.value(named("d")), Array::Integer(t) if t.data() == [2, -2, 0]));
    assert!(matches!(trace.value(named("e")), Array::Truth(t) if t.data() == [true, false, false]));
    assert!(trace.real(named("e")).is_none());
    assert_eq!(trace.output().data(), [1.0, 0.0, 0.0]);
}

#[test]
fn integer_division_by_zero_names_the_node() {
    let mut builder = GraphBuilder::new("x", vec![1], ElementType::F32);
    let integer = builder.add("i", Op::Cast(ElementType::I64), &[builder.input()]).unwrap();
    let quotient = builder.add("quotient", Op::Div, &[integer, integer]).unwrap();
    let output = builder.add("y", Op::Cast(ElementType::F32), &[quotient]).unwrap();
    let graph = builder.finish(output).unwrap();
    assert_eq!(eval::forward(&graph, &Tensor::vector(vec![3.0_f32])).unwrap().data(), [1.0]);
    let error = eval::forward(&graph, &Tensor::vector(vec![0.0_f32])).unwrap_err();
    assert!(matches!(&error, NnError::IntegerRange { node, .. } if node == "quotient"), "{error}");
}

#[test]
fn values_that_are_not_finite_name_their_node() {
    let mut builder = GraphBuilder::new("x", vec![2], ElementType::F32);
    let root = builder.add("root", Op::Sqrt, &[builder.input()]).unwrap();
    let output = builder.add("y", Op::Relu, &[root]).unwrap();
    let graph = builder.finish(output).unwrap();
    let error = eval::forward(&graph, &Tensor::vector(vec![1.0_f32, -1.0])).unwrap_err();
    assert!(matches!(&error, NnError::NonFinite { node, op: "Sqrt" } if node == "root"), "{error}");
    let error = eval::forward(&graph, &Tensor::vector(vec![1.0, f64::NAN])).unwrap_err();
    assert!(matches!(&error, NnError::NonFinite { node, .. } if node == "x"), "{error}");
}

#[test]
fn constants_beyond_single_precision_name_their_node() {
    let graph = single(Op::Add, &[1], &[Tensor::scalar(1e300)]);
    assert_eq!(eval::forward(&graph, &Tensor::vector(vec![0.0_f64])).unwrap().data(), [1e300]);
    let error = Evaluator::<f32>::new(&graph).unwrap_err();
    assert!(matches!(&error, NnError::NonFinite { node, .. } if node == "c0"), "{error}");
}

#[test]
fn inputs_of_another_shape_are_refused() {
    let graph = single(Op::Relu, &[2, 3], &[]);
    let error = eval::forward(&graph, &Tensor::full(vec![6], 0.0)).unwrap_err();
    assert_eq!(error.to_string(), "input `x`: expected shape [2, 3], found [6]");
}

#[test]
fn an_evaluator_shares_single_precision_weights_and_repeats_itself() {
    let weight = Arc::new(Tensor::new(vec![2, 2], vec![1.0_f32, 2.0, 3.0, 4.0]));
    let mut builder = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
    let w = builder.constant("w", Value::F32(Arc::clone(&weight))).unwrap();
    let product = builder.add("p", Op::MatMul, &[builder.input(), w]).unwrap();
    // The product is used twice, so neither use may overwrite it.
    let negative = builder.add("n", Op::Neg, &[product]).unwrap();
    let sum = builder.add("s", Op::Add, &[product, product]).unwrap();
    let output = builder.add("y", Op::Add, &[sum, negative]).unwrap();
    let graph = builder.finish(output).unwrap();
    let evaluator = Evaluator::<f32>::new(&graph).unwrap();
    assert!(std::ptr::eq(evaluator.constant(w).unwrap(), &*weight));
    let x = Tensor::new(vec![1, 2], vec![1.0_f32, -1.0]);
    for _ in 0..2 {
        assert_eq!(evaluator.forward(&x).unwrap().data(), [-2.0, -2.0]);
    }
    assert_eq!(weight.data(), [1.0, 2.0, 3.0, 4.0]);
    let mut other = evaluator.clone();
    other.set_constant(w, Tensor::full(vec![2, 2], 1.0));
    assert_eq!(other.forward(&x).unwrap().data(), [0.0, 0.0]);
    assert_eq!(evaluator.forward(&x).unwrap().data(), [-2.0, -2.0]);
}
