//! What the reader refuses, and how it says so.

use super::fault::OnnxFault;
use super::proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ShapeProto, TensorProto,
    TensorTypeProto, TypeProto, ValueInfoProto, attribute, element,
};
use super::{parse, to_bytes};
use crate::error::NnError;
use crate::graph::GraphBuilder;
use crate::op::{ElementType, Op};
use prost::Message;
use prost::bytes::Bytes;

fn port(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|d| Dimension { value: (*d != i64::MAX).then_some(*d) }).collect();
    let tensor_type = TensorTypeProto { elem_type: element::FLOAT, shape: Some(ShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

fn node(op: &str, input: &[&str], output: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    let op_type = op.to_owned();
    NodeProto { input: owned(input), output: owned(output), op_type, attribute, ..Default::default() }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let (name, dims, float_data) = (name.to_owned(), dims.to_vec(), values.to_vec());
    TensorProto { name, dims, data_type: element::FLOAT, float_data, ..Default::default() }
}

fn integers(name: &str, values: &[i64]) -> TensorProto {
    let (name, dims, int64_data) = (name.to_owned(), vec![values.len() as i64], values.to_vec());
    TensorProto { name, dims, data_type: element::INT64, int64_data, ..Default::default() }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: attribute::INT, i: Some(value), ..Default::default() }
}

fn text(name: &str, value: &'static str) -> AttributeProto {
    let s = Some(Bytes::from_static(value.as_bytes()));
    AttributeProto { name: name.to_owned(), r#type: attribute::STRING, s, ..Default::default() }
}

/// A model from `x` of shape 1 × 3 to `y`.
fn model(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let graph = GraphProto {
        name: "g".to_owned(),
        node,
        initializer,
        input: vec![port("x", &[1, 3])],
        output: vec![port("y", &[1, 3])],
    };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
    ModelProto { ir_version: 7, producer_name: String::new(), graph: Some(graph), opset_import }
}

fn relu() -> ModelProto {
    model(vec![node("Relu", &["x"], &["y"], Vec::new())], Vec::new())
}

fn changed(change: impl FnOnce(&mut ModelProto, &mut GraphProto)) -> ModelProto {
    let mut model = relu();
    let mut graph = model.graph.take().unwrap();
    change(&mut model, &mut graph);
    model.graph = Some(graph);
    model
}

fn fault(model: &ModelProto) -> OnnxFault {
    fault_of(&model.encode_to_vec())
}

fn fault_of(bytes: &[u8]) -> OnnxFault {
    match parse(bytes, "file.onnx") {
        Err(error @ NnError::Onnx { .. }) => {
            assert!(error.to_string().starts_with("file.onnx: "), "{error}");
            let NnError::Onnx { fault, .. } = error else { unreachable!() };
            *fault
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn nodes_that_are_not_understood_are_refused_by_name() {
    let one = |n: NodeProto, tensors: Vec<TensorProto>| fault(&model(vec![n], tensors)).to_string();
    let axes = || vec![integers("i", &[5])];
    let w = || vec![floats("w", &[4, 3, 1, 1], &[1.0; 12])];
    let table = [
        (one(node("LSTM", &["x"], &["y"], vec![]), vec![]), "node `y`: operator LSTM is not supported"),
        (
            one(NodeProto { domain: "com.microsoft".to_owned(), ..node("Gelu", &["x"], &["y"], vec![]) }, vec![]),
            "domain",
        ),
        (one(node("Relu", &["x"], &["y"], vec![int("shiny", 1)]), vec![]), "attribute `shiny`"),
        (one(node("Relu", &[], &["y"], vec![]), vec![]), "input 0 is missing"),
        (one(node("Relu", &["x", "x"], &["y"], vec![]), vec![]), "input `x` is not supported"),
        (one(node("Relu", &["x"], &["z", "y"], vec![]), vec![]), "output `y` is not supported"),
        (one(node("Softmax", &["x"], &["y"], vec![int("axis", 2)]), vec![]), "axis 2 does not exist in rank 2"),
        (one(node("Softmax", &["x"], &["y"], vec![text("axis", "one")]), vec![]), "attribute `axis` is not an integer"),
        (one(node("Concat", &["x"], &["y"], vec![]), vec![]), "attribute `axis` is missing"),
        (one(node("Gather", &["x", "x"], &["y"], vec![]), vec![]), "input 1 must be a constant"),
        (
            one(node("Gather", &["x", "i"], &["y"], vec![int("axis", 1)]), axes()),
            "indices = [5] does not fit shape [1, 3]",
        ),
        (one(node("Reshape", &["x", "i"], &["y"], vec![]), axes()), "as many entries"),
        (one(node("Unsqueeze", &["x", "i"], &["y"], vec![]), axes()), "axis 5 does not exist"),
        (
            one(node("Pad", &["x", "i"], &["y"], vec![text("mode", "reflect")]), axes()),
            "mode = reflect is not supported",
        ),
        (one(node("Resize", &["x"], &["y"], vec![text("mode", "cubic")]), vec![]), "mode = cubic"),
        (
            one(
                node("Resize", &["x"], &["y"], vec![text("coordinate_transformation_mode", "tf_crop_and_resize")]),
                vec![],
            ),
            "coordinate_transformation_mode = tf_crop_and_resize",
        ),
        (one(node("Resize", &["x"], &["y"], vec![text("nearest_mode", "nearest")]), vec![]), "nearest_mode = nearest"),
        (one(node("Cast", &["x"], &["y"], vec![int("to", 10)]), vec![]), "to = 10"),
        (one(node("Conv", &["x", "w"], &["y"], vec![]), w()), "kernel_shape"),
        (one(node("MatMul", &["x", "w"], &["y"], vec![]), w()), "found argument shapes [[1, 3], [4, 3, 1, 1]]"),
        (one(node("Add", &["x", "i"], &["y"], vec![]), axes()), "one element type"),
        (one(node("MaxPool", &["x"], &["y"], vec![]), vec![]), "attribute `kernel_shape` is missing"),
        (one(node("Shape", &["x"], &["y"], vec![]), vec![]), "must hold floats"),
    ];
    for (found, expected) in table {
        assert!(found.contains(expected), "{found} | {expected}");
        assert!(found.contains("`y`"), "{found} does not name the node");
    }
}

#[test]
fn padding_on_which_runtimes_differ_is_refused() {
    let read = |op: &str, kernel: i64, stride: i64, dilation: i64, extent: i64| {
        let list = |name: &str, v: i64| AttributeProto {
            name: name.to_owned(),
            r#type: attribute::INTS,
            ints: vec![v],
            ..Default::default()
        };
        let shape = [("kernel_shape", kernel), ("strides", stride), ("dilations", dilation)].map(|(n, v)| list(n, v));
        let attributes = [vec![text("auto_pad", "SAME_UPPER")], shape.to_vec()].concat();
        let (inputs, weight) = match op {
            "Conv" => (vec!["x", "w"], vec![floats("w", &[1, 1, kernel], &vec![1.0; kernel as usize])]),
            _ => (vec!["x"], Vec::new()),
        };
        let mut model = model(vec![node(op, &inputs, &["y"], attributes)], weight);
        let graph = model.graph.as_mut().unwrap();
        graph.input = vec![port("x", &[1, 1, extent])];
        graph.output = vec![port("y", &[1, 1, (extent - 1) / stride + 1])];
        model.opset_import[0].version = 19;
        model
    };
    for (op, kernel, stride, dilation, extent, expected) in [
        ("AveragePool", 1, 3, 1, 6, "auto_pad with negative padding = SAME, [1] and strides [3]"),
        ("MaxPool", 1, 3, 1, 5, "auto_pad with negative padding"),
        ("Conv", 1, 4, 1, 8, "auto_pad with negative padding"),
        ("MaxPool", 2, 1, 2, 6, "auto_pad with dilations = SAME, [2]"),
        ("AveragePool", 2, 1, 2, 6, "auto_pad with dilations = SAME, [2]"),
    ] {
        let found = fault(&read(op, kernel, stride, dilation, extent)).to_string();
        assert!(found.contains(expected) && found.contains("`y`"), "{op}: {found}");
    }
    // The convolutions that halve extents in residual networks.
    let accepted = [("Conv", 1, 2, 1, 6), ("Conv", 2, 1, 2, 6), ("MaxPool", 2, 2, 1, 6), ("AveragePool", 2, 3, 1, 5)];
    for (op, kernel, stride, dilation, extent) in accepted {
        let model = read(op, kernel, stride, dilation, extent).encode_to_vec();
        parse(&model, "file.onnx").unwrap_or_else(|why| panic!("{op}: {why}"));
    }
}

#[test]
fn models_that_define_operators_are_refused() {
    let mut bytes = relu().encode_to_vec();
    parse(&bytes, "file.onnx").expect("a network");
    bytes.extend([0xca, 0x01, 0x02, 0x0a, 0x00]);
    assert!(matches!(fault_of(&bytes), OnnxFault::Functions));
}

#[test]
fn models_that_make_no_network_are_refused() {
    let sum = |inputs: &[&str]| vec![node("Sum", inputs, &["y"], vec![])];
    let version = |version| OperatorSetIdProto { domain: "ai.onnx".to_owned(), version };
    let opset = |versions: &'static [i64]| {
        fault(&changed(|m, _| m.opset_import = versions.iter().map(|v| version(*v)).collect()))
    };
    assert!(matches!(opset(&[6]), OnnxFault::Opset { .. }));
    assert!(matches!(opset(&[22]), OnnxFault::Opset { .. }));
    assert!(matches!(opset(&[]), OnnxFault::Opset { .. }));
    assert!(matches!(opset(&[11, 12]), OnnxFault::Opset { .. }));
    assert!(parse(&changed(|m, _| m.opset_import = vec![version(11), version(11)]).encode_to_vec(), "f").is_ok());

    let undefined = fault(&model(sum(&["x", "nowhere"]), vec![]));
    assert!(matches!(undefined, OnnxFault::Undefined { tensor, .. } if tensor == "nowhere"));
    assert!(matches!(fault(&model(sum(&["x", "y"]), vec![])), OnnxFault::Cycle { .. }));
    let twice = vec![floats("w", &[1], &[1.0]), floats("w", &[1], &[2.0])];
    assert!(matches!(fault(&model(sum(&["x", "w"]), twice)), OnnxFault::Duplicate { .. }));
    let two_inputs = fault(&changed(|_, g| g.input.push(port("z", &[1]))));
    assert!(matches!(two_inputs, OnnxFault::Ports { what: "input", found } if found == ["x", "z"]));
    assert!(matches!(fault(&changed(|_, g| g.input.clear())), OnnxFault::Ports { .. }));
    let two_outputs = fault(&changed(|_, g| g.output.push(port("x", &[1, 3]))));
    assert!(matches!(two_outputs, OnnxFault::Ports { what: "output", .. }));
    let input = |dims: &'static [i64]| changed(|_, g| g.input = vec![port("x", dims)]);
    assert!(matches!(fault(&input(&[1, i64::MAX])), OnnxFault::InputShape { axis: 1, .. }));
    assert!(matches!(fault(&input(&[1, 0])), OnnxFault::InputShape { axis: 1, .. }));
    assert!(matches!(fault(&input(&[1 << 40, 1 << 40])), OnnxFault::TensorDims { .. }));
    assert!(matches!(fault(&input(&[0, 3])), OnnxFault::InputShape { axis: 0, .. }));
    for open in [i64::MAX, -1] {
        let graph = parse(&changed(|_, g| g.input = vec![port("x", &[open, 3])]).encode_to_vec(), "f").unwrap();
        assert_eq!(graph.node(graph.input()).shape, [1, 3]);
    }
    assert!(matches!(fault(&changed(|_, g| g.input[0].r#type = None)), OnnxFault::InputType { .. }));
    let integer = changed(|_, g| {
        let kind = g.input[0].r#type.as_mut().and_then(|t| t.tensor_type.as_mut());
        kind.unwrap().elem_type = element::INT64;
    });
    assert!(matches!(fault(&integer), OnnxFault::PortElement { code: element::INT64, .. }));
    assert!(matches!(fault(&ModelProto { graph: None, ..relu() }), OnnxFault::NoGraph));
}

#[test]
fn weights_must_be_numbers_that_are_there() {
    let with = |w: TensorProto| fault(&model(vec![node("Add", &["x", "w"], &["y"], vec![])], vec![w]));
    let nan = with(floats("w", &[3], &[1.0, f32::NAN, 2.0]));
    assert!(matches!(&nan, OnnxFault::NotFinite { tensor, index: 1, .. } if tensor == "w"), "{nan}");
    assert!(matches!(with(floats("w", &[1], &[f32::INFINITY])), OnnxFault::NotFinite { .. }));
    assert!(matches!(with(floats("w", &[4], &[1.0; 3])), OnnxFault::TensorData { expected: 4, found: 3, .. }));
    assert!(matches!(with(floats("w", &[1 << 40, 1 << 40], &[1.0])), OnnxFault::TensorDims { .. }));
    let elsewhere = TensorProto { data_location: 1, ..floats("w", &[3], &[]) };
    assert!(matches!(with(elsewhere), OnnxFault::ExternalData { .. }));
    // What the output does not need may be anything.
    let unused = model(relu().graph.unwrap().node, vec![floats("w", &[1], &[f32::NAN])]);
    assert!(parse(&unused.encode_to_vec(), "f").is_ok());
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    assert!(matches!(fault_of(b""), OnnxFault::Empty));
    assert!(matches!(fault_of(b"(assert (<= X_0 1))"), OnnxFault::Malformed { .. } | OnnxFault::Truncated { .. }));
    assert!(matches!(fault_of(&[0x1f, 0x8b, 8, 0]), OnnxFault::Io(_)));
    assert!(matches!(fault_of(&[0x3a, 0x05, 0x0a, 0xff, 0xff, 0xff, 0x0f]), OnnxFault::Truncated { .. }));
    // A node of 2^62 bytes is declared; nothing of the sort is reserved.
    let huge = [&[0x3a, 0x7f, 0x0a][..], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40]].concat();
    assert!(matches!(fault_of(&huge), OnnxFault::Truncated { .. }));
    let whole = relu().encode_to_vec();
    let refused = (0..whole.len()).filter(|n| parse(&whole[..*n], "f").is_err()).count();
    assert_eq!(refused, whole.len(), "every proper prefix lacks the operator set or more");
}

#[test]
fn huge_results_are_refused_before_they_are_made() {
    let shape = integers("s", &[1 << 20, 1 << 20]);
    let fill = node("ConstantOfShape", &["s"], &["c"], vec![]);
    let all = node("Add", &["x", "c"], &["y"], vec![]);
    let result = fault(&model(vec![fill, all], vec![shape]));
    assert!(matches!(&result, OnnxFault::Graph(e) if matches!(**e, NnError::TooLarge { .. })), "{result}");
    // Large but possible: it stays an operator instead of being folded.
    let shape = integers("s", &[1 << 20, 3 << 8]);
    let fill = node("ConstantOfShape", &["s"], &["c"], vec![]);
    let all = node("Gather", &["c", "i"], &["row"], vec![]);
    let tail = [
        node("Reshape", &["row", "t"], &["z"], vec![]),
        node("MatMul", &["x", "w"], &["v"], vec![]),
        node("Add", &["v", "z"], &["y"], vec![]),
    ];
    let tensors = vec![shape, integers("i", &[7]), integers("t", &[1, 768]), floats("w", &[3, 768], &[0.5; 3 * 768])];
    let graph = parse(&model([vec![fill, all], tail.to_vec()].concat(), tensors).encode_to_vec(), "f").unwrap();
    assert!(graph.nodes().any(|(_, n)| matches!(n.op, Op::Expand { .. })));
}

#[test]
fn what_the_operator_set_cannot_say_is_not_written() {
    let mut b = GraphBuilder::new("x", vec![2], ElementType::F32);
    let y = b.add("y", Op::Clip { min: Some(0.1), max: None }, &[b.input()]).unwrap();
    let error = to_bytes(&b.finish(y).unwrap()).unwrap_err();
    assert!(error.to_string().contains("node `y` (Clip): min = 0.1"), "{error}");
}
