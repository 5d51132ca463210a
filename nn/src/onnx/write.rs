//! From a graph of operators to a file with operator set 13.

use super::fault::OnnxFault;
use super::proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ShapeProto, TensorProto,
    TensorTypeProto, TypeProto, ValueInfoProto, attribute, element,
};
use crate::graph::{Graph, Node, NodeId};
use crate::op::{ElementType, Op, Value, Window};
use prost::bytes::Bytes;
use std::collections::HashSet;

/// The message that describes `graph`.
pub fn model(graph: &Graph) -> Result<ModelProto, OnnxFault> {
    let mut writer = Writer::new(graph);
    for (id, node) in graph.nodes() {
        writer.node(id, node)?;
    }
    let output = graph.node(graph.output());
    let mut output_name = writer.names[graph.output().index()].clone();
    if matches!(output.op, Op::Input | Op::Constant(_)) {
        // An output must be some node's.
        let name = writer.fresh("output");
        writer.push("Identity", vec![output_name], &name, Vec::new());
        output_name = name;
    }
    let input = graph.node(graph.input());
    let input_name = writer.names[graph.input().index()].clone();
    Ok(ModelProto {
        ir_version: 7,
        producer_name: "secateur".to_owned(),
        graph: Some(GraphProto {
            name: "network".to_owned(),
            input: vec![port(input_name, input)],
            output: vec![port(output_name, output)],
            node: writer.nodes,
            initializer: writer.initializers,
        }),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
    })
}

fn code(element: ElementType) -> i32 {
    match element {
        ElementType::F32 => element::FLOAT,
        ElementType::F64 => element::DOUBLE,
        ElementType::I64 => element::INT64,
        ElementType::Bool => element::BOOL,
    }
}

fn port(name: String, node: &Node) -> ValueInfoProto {
    let dim = node.shape.iter().map(|d| Dimension { value: Some(*d as i64) }).collect();
    let tensor_type = TensorTypeProto { elem_type: code(node.element), shape: Some(ShapeProto { dim }) };
    ValueInfoProto { name, r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

fn stored(name: &str, value: &Value) -> TensorProto {
    let raw: Vec<u8> = match value {
        Value::F32(t) => t.data().iter().flat_map(|v| v.to_le_bytes()).collect(),
        Value::F64(t) => t.data().iter().flat_map(|v| v.to_le_bytes()).collect(),
        Value::I64(t) => t.data().iter().flat_map(|v| v.to_le_bytes()).collect(),
        Value::Bool(t) => t.data().iter().map(|v| u8::from(*v)).collect(),
    };
    TensorProto {
        name: name.to_owned(),
        dims: value.shape().iter().map(|d| *d as i64).collect(),
        data_type: code(value.element_type()),
        raw_data: Some(Bytes::from(raw)),
        ..Default::default()
    }
}

fn int(name: &str, value: impl Into<i64>) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: attribute::INT, i: Some(value.into()), ..Default::default() }
}

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = words(values);
    AttributeProto { name: name.to_owned(), r#type: attribute::INTS, ints, ..Default::default() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: attribute::FLOAT, f: Some(value), ..Default::default() }
}

fn text(name: &str, value: &'static str) -> AttributeProto {
    let s = Some(Bytes::from_static(value.as_bytes()));
    AttributeProto { name: name.to_owned(), r#type: attribute::STRING, s, ..Default::default() }
}

fn words(values: &[usize]) -> Vec<i64> {
    values.iter().map(|v| *v as i64).collect()
}

fn window_attributes(window: &Window) -> Vec<AttributeProto> {
    vec![
        ints("kernel_shape", &window.kernel),
        ints("strides", &window.strides),
        ints("pads", &[&window.pads_begin[..], &window.pads_end].concat()),
        ints("dilations", &window.dilations),
    ]
}

struct Writer<'a> {
    graph: &'a Graph,
    /// The tensor name of each node.
    names: Vec<String>,
    taken: HashSet<String>,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl<'a> Writer<'a> {
    fn new(graph: &'a Graph) -> Self {
        let taken = graph.nodes().map(|(_, node)| node.name.clone()).collect();
        let mut writer = Self { graph, names: Vec::new(), taken, nodes: Vec::new(), initializers: Vec::new() };
        for (_, node) in graph.nodes() {
            // The empty name means "left out" in a file.
            let name = if node.name.is_empty() { writer.fresh("unnamed") } else { node.name.clone() };
            writer.names.push(name);
        }
        writer
    }

    /// A name that no tensor has yet.
    fn fresh(&mut self, name: &str) -> String {
        let mut name = name.to_owned();
        while !self.taken.insert(name.clone()) {
            name.push('\'');
        }
        name
    }

    fn push(&mut self, op: &str, input: Vec<String>, output: &str, attribute: Vec<AttributeProto>) {
        let (output, name) = (vec![output.to_owned()], output.to_owned());
        self.nodes.push(NodeProto { input, output, name, op_type: op.to_owned(), attribute, domain: String::new() });
    }

    /// Stores integers that the node `owner` takes as an input; gives the input's name.
    fn integers(&mut self, owner: &str, what: &str, values: &[i64], dims: Vec<i64>) -> String {
        let name = self.fresh(&format!("{owner}/{what}"));
        self.initializers.push(TensorProto {
            name: name.clone(),
            dims,
            data_type: element::INT64,
            raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            ..Default::default()
        });
        name
    }

    fn list(&mut self, owner: &str, what: &str, values: &[i64]) -> String {
        self.integers(owner, what, values, vec![values.len() as i64])
    }

    /// Stores a number of the node's element type; an error where it has none that is equal.
    fn number(&mut self, owner: &str, node: &Node, what: &'static str, value: f64) -> Result<String, OnnxFault> {
        let raw: Option<Vec<u8>> = match node.element {
            ElementType::F32 => (f64::from(value as f32) == value).then(|| (value as f32).to_le_bytes().to_vec()),
            ElementType::F64 => Some(value.to_le_bytes().to_vec()),
            ElementType::I64 => ((value as i64) as f64 == value).then(|| (value as i64).to_le_bytes().to_vec()),
            ElementType::Bool => None,
        };
        let raw = raw.ok_or_else(|| unwritable(node, what, value.to_string()))?;
        let name = self.fresh(&format!("{owner}/{what}"));
        self.initializers.push(TensorProto {
            name: name.clone(),
            data_type: code(node.element),
            raw_data: Some(raw.into()),
            ..Default::default()
        });
        Ok(name)
    }

    fn node(&mut self, id: NodeId, node: &Node) -> Result<(), OnnxFault> {
        let name = self.names[id.index()].clone();
        let mut input: Vec<String> = self.graph.arguments(id).iter().map(|a| self.names[a.index()].clone()).collect();
        let mut op = node.op.name();
        let attributes = match &node.op {
            Op::Input => return Ok(()),
            Op::Constant(value) => {
                self.initializers.push(stored(&name, value));
                return Ok(());
            }
            Op::Add
            | Op::Sub
            | Op::Mul
            | Op::Div
            | Op::Min
            | Op::Max
            | Op::Pow
            | Op::Equal
            | Op::Where
            | Op::Neg
            | Op::Relu
            | Op::Sigmoid
            | Op::Tanh
            | Op::Sign
            | Op::Sin
            | Op::Cos
            | Op::Floor
            | Op::Exp
            | Op::Sqrt
            | Op::MatMul => Vec::new(),
            Op::LeakyRelu { slope } => vec![float("alpha", *slope)],
            Op::Clip { min, max } => {
                for (what, limit) in [("min", min), ("max", max)] {
                    input.push(match limit {
                        Some(limit) => self.number(&name, node, what, *limit)?,
                        None => String::new(),
                    });
                }
                Vec::new()
            }
            Op::Cast(element) => vec![int("to", code(*element))],
            Op::Gemm { alpha, beta, trans_a, trans_b } => {
                let flags = [int("transA", *trans_a), int("transB", *trans_b)];
                [vec![float("alpha", *alpha), float("beta", *beta)], flags.to_vec()].concat()
            }
            Op::Conv { window, groups } => [window_attributes(window), vec![int("group", *groups as i64)]].concat(),
            Op::ConvTranspose { window, groups, output_padding } => {
                let more = vec![int("group", *groups as i64), ints("output_padding", output_padding)];
                [window_attributes(window), more].concat()
            }
            Op::BatchNormalization { epsilon } => vec![float("epsilon", *epsilon)],
            Op::MaxPool { window, ceil_mode } => {
                [window_attributes(window), vec![int("ceil_mode", *ceil_mode)]].concat()
            }
            Op::AveragePool { window, ceil_mode, count_include_pad } => {
                if window.dilations.iter().any(|d| *d != 1) {
                    return Err(unwritable(node, "dilations", format!("{:?}", window.dilations)));
                }
                let flags = vec![int("ceil_mode", *ceil_mode), int("count_include_pad", *count_include_pad)];
                let mut attributes = window_attributes(window);
                attributes.retain(|a| a.name != "dilations");
                [attributes, flags].concat()
            }
            Op::Softmax { axis } | Op::Concat { axis } => vec![int("axis", *axis as i64)],
            // Over no axes nothing is reduced; `ReduceMean` could not say so.
            Op::ReduceSum { axes, .. } | Op::ReduceMean { axes, .. } if axes.is_empty() => {
                op = "Identity";
                Vec::new()
            }
            Op::ReduceSum { axes, keep } => {
                input.push(self.list(&name, "axes", &words(axes)));
                vec![int("keepdims", *keep)]
            }
            Op::ReduceMean { axes, keep } => vec![ints("axes", axes), int("keepdims", *keep)],
            Op::Reshape { shape } => {
                if shape.contains(&0) {
                    return Err(unwritable(node, "shape", format!("{shape:?}")));
                }
                input.push(self.list(&name, "shape", &words(shape)));
                Vec::new()
            }
            Op::Transpose { axes } => vec![ints("perm", axes)],
            Op::Slice { starts, steps, lengths } => {
                let rank = starts.len();
                let steps: Vec<i64> = steps.iter().map(|s| *s as i64).collect();
                let ends: Vec<i64> =
                    (0..rank).map(|axis| slice_end(starts[axis], steps[axis], lengths[axis])).collect();
                let axes: Vec<i64> = (0..rank as i64).collect();
                for (what, values) in [("starts", words(starts)), ("ends", ends), ("axes", axes), ("steps", steps)] {
                    input.push(self.list(&name, what, &values));
                }
                Vec::new()
            }
            Op::Gather { axis, indices } => {
                let dims = words(indices.shape());
                input.push(self.integers(&name, "indices", &words(indices.data()), dims));
                vec![int("axis", *axis as i64)]
            }
            Op::Pad { begin, end, value } => {
                input.push(self.list(&name, "pads", &words(&[&begin[..], end].concat())));
                input.push(self.number(&name, node, "value", *value)?);
                Vec::new()
            }
            Op::Expand { shape } => {
                input.push(self.list(&name, "shape", &words(shape)));
                Vec::new()
            }
            Op::Upsample { factors } => {
                op = "Resize";
                let scales: Vec<f32> = factors.iter().map(|f| *f as f32).collect();
                let scales_name = self.fresh(&format!("{name}/scales"));
                self.initializers.push(TensorProto {
                    name: scales_name.clone(),
                    dims: vec![scales.len() as i64],
                    data_type: element::FLOAT,
                    raw_data: Some(scales.iter().flat_map(|s| s.to_le_bytes()).collect()),
                    ..Default::default()
                });
                input.extend([String::new(), scales_name]);
                vec![
                    text("mode", "nearest"),
                    text("coordinate_transformation_mode", "asymmetric"),
                    text("nearest_mode", "floor"),
                ]
            }
        };
        self.push(op, input, &name, attributes);
        Ok(())
    }
}

/// One past the last index of a slice, in its direction; below zero it must not count from the end.
fn slice_end(start: usize, step: i64, length: usize) -> i64 {
    let Some(moves) = length.checked_sub(1) else {
        return start as i64;
    };
    let last = start as i64 + step * moves as i64;
    match (step > 0, last) {
        (true, last) => last + 1,
        (false, 0) => i64::MIN,
        (false, last) => last - 1,
    }
}

fn unwritable(node: &Node, setting: &str, found: String) -> OnnxFault {
    let (node, op) = (node.name.clone(), node.op.name().to_owned());
    OnnxFault::Setting { node, op, setting: setting.to_owned(), found }
}
