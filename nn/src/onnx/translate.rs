//! From the nodes of a file to a graph of operators.

use super::attributes::{Attributes, Place};
use super::fault::OnnxFault;
use super::proto::{NodeProto, OperatorSetIdProto, ValueInfoProto, element};
use super::stream::Model;
use super::{elementwise, fold, layout, linear, order, resize, windows};
use crate::graph::{Graph, GraphBuilder, NodeId};
use crate::op::{ElementType, Op, Value};
use crate::shape::{self, TensorType};
use std::collections::{HashMap, HashSet};

/// How many entries constant folding may make in total.
const FOLDED_ENTRIES: usize = 1 << 25;

/// What a tensor name stands for while reading.
#[derive(Clone)]
pub enum Slot {
    /// Known without running the network.
    Constant {
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
    },
    /// Computed by a node.
    Node(NodeId),
}

/// The graph that a model describes.
pub fn graph(model: Model) -> Result<Graph, OnnxFault> {
    let opset = opset(&model.opsets)?;
    let mut slots = HashMap::with_capacity(model.initializers.len());
    for (name, value) in model.initializers {
        if slots.insert(name.clone(), Slot::Constant { name: name.clone(), value }).is_some() {
            return Err(OnnxFault::Duplicate { tensor: name });
        }
    }
    let inputs = model.inputs.into_iter().filter(|i| !slots.contains_key(&i.name)).collect();
    let input = only("input", inputs)?;
    let output = only("output", model.outputs)?.name;
    let known = |name: &str| name == input.name || slots.contains_key(name);
    let nodes = order::needed(model.nodes, &output, known)?;

    let mut names: HashSet<String> = slots.keys().cloned().collect();
    names.insert(input.name.clone());
    let mut uses = HashMap::from([(output.clone(), 1)]);
    for node in &nodes {
        names.extend(node.output.iter().cloned());
        for tensor in node.input.iter().filter(|t| !t.is_empty()) {
            *uses.entry(tensor.clone()).or_insert(0) += 1;
        }
    }
    slots.retain(|name, _| uses.contains_key(name));
    let (shape, element) = port(&input)?;
    let builder = GraphBuilder::new(input.name.clone(), shape, element);
    slots.insert(input.name, Slot::Node(builder.input()));
    let mut translator =
        Translator { builder, opset, slots, uses, names, stored: HashMap::new(), budget: FOLDED_ENTRIES };
    for node in nodes {
        translator.translate(node)?;
    }
    let user = || "the output".to_owned();
    let slot = translator.take(&output).ok_or_else(|| OnnxFault::Undefined { user: user(), tensor: output.clone() })?;
    let id = translator.node(slot)?;
    match translator.builder.node(id).element {
        ElementType::F32 | ElementType::F64 => Ok(translator.builder.finish(id)?),
        ElementType::I64 => Err(OnnxFault::PortElement { tensor: output, code: element::INT64 }),
        ElementType::Bool => Err(OnnxFault::PortElement { tensor: output, code: element::BOOL }),
    }
}

/// The version of ONNX's own operators.
fn opset(declared: &[OperatorSetIdProto]) -> Result<i64, OnnxFault> {
    let own = declared.iter().filter(|o| is_own_domain(&o.domain));
    let mut found: Vec<i64> = own.map(|o| o.version).collect();
    found.dedup();
    match found[..] {
        [version @ 7..=21] => Ok(version),
        _ => Err(OnnxFault::Opset { found }),
    }
}

fn is_own_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

fn only(what: &'static str, mut ports: Vec<ValueInfoProto>) -> Result<ValueInfoProto, OnnxFault> {
    match (ports.pop(), ports.is_empty()) {
        (Some(port), true) => Ok(port),
        (last, _) => Err(OnnxFault::Ports { what, found: ports.into_iter().chain(last).map(|p| p.name).collect() }),
    }
}

/// Shape and element type of the input; a first extent that is symbolic, or negative as some writers put it, becomes 1.
fn port(input: &ValueInfoProto) -> Result<(Vec<usize>, ElementType), OnnxFault> {
    let name = || input.name.clone();
    let declared = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let Some((declared, dims)) = declared.and_then(|t| t.shape.as_ref().map(|s| (t, &s.dim))) else {
        return Err(OnnxFault::InputType { input: name() });
    };
    let element = match declared.elem_type {
        element::FLOAT | element::FLOAT16 | element::BFLOAT16 => ElementType::F32,
        element::DOUBLE => ElementType::F64,
        code => return Err(OnnxFault::PortElement { tensor: name(), code }),
    };
    let extent = |(axis, dim): (usize, &super::proto::Dimension)| {
        let fixed = dim.value.and_then(|v| usize::try_from(v).ok()).filter(|v| *v > 0);
        let open = (axis == 0 && dim.value.is_none_or(|v| v < 0)).then_some(1);
        fixed.or(open).ok_or_else(|| OnnxFault::InputShape { input: name(), axis })
    };
    let shape: Vec<usize> = dims.iter().enumerate().map(extent).collect::<Result<_, _>>()?;
    if shape::entries(&shape).is_none() {
        let dims = dims.iter().map(|d| d.value.unwrap_or(1)).collect();
        return Err(OnnxFault::TensorDims { tensor: name(), dims });
    }
    Ok((shape, element))
}

/// The graph so far, and what the names of the file stand for.
pub struct Translator {
    builder: GraphBuilder,
    opset: i64,
    slots: HashMap<String, Slot>,
    /// How often each tensor is still asked for.
    uses: HashMap<String, usize>,
    /// Names that are taken.
    names: HashSet<String>,
    /// Constants that have become nodes.
    stored: HashMap<String, NodeId>,
    /// How many entries may still be folded.
    budget: usize,
}

impl Translator {
    fn translate(&mut self, node: NodeProto) -> Result<(), OnnxFault> {
        let place = Place::of(&node);
        if !is_own_domain(&node.domain) {
            return Err(OnnxFault::Domain { node: place.node, op: place.op, domain: node.domain });
        }
        let mut inputs = Vec::with_capacity(node.input.len());
        for tensor in &node.input {
            inputs.push(if tensor.is_empty() {
                None
            } else {
                let user = || format!("node `{}` ({})", place.node, place.op);
                Some(self.take(tensor).ok_or_else(|| OnnxFault::Undefined { user: user(), tensor: tensor.clone() })?)
            });
        }
        let mut call = Call {
            attributes: Attributes::new(place.clone(), node.attribute),
            place,
            input_names: node.input,
            inputs,
            outputs: node.output,
            asked: 0,
            results: Vec::new(),
            translator: self,
        };
        let known = elementwise::translate(&mut call)?
            || linear::translate(&mut call)?
            || windows::translate(&mut call)?
            || layout::translate(&mut call)?
            || resize::translate(&mut call)?;
        if !known {
            return Err(OnnxFault::Operator { node: call.place.node, op: call.place.op });
        }
        call.finish()
    }

    /// What a name stands for; forgotten once nobody asks again.
    fn take(&mut self, tensor: &str) -> Option<Slot> {
        let left = self.uses.get_mut(tensor)?;
        *left = left.saturating_sub(1);
        if *left == 0 { self.slots.remove(tensor) } else { self.slots.get(tensor).cloned() }
    }

    /// The node of a slot; a constant becomes one when first asked for.
    fn node(&mut self, slot: Slot) -> Result<NodeId, OnnxFault> {
        let (name, value) = match slot {
            Slot::Node(id) => return Ok(id),
            Slot::Constant { name, value } => (name, value),
        };
        if let Some(id) = self.stored.get(&name) {
            return Ok(*id);
        }
        if let Some((index, value)) = first_not_finite(&value) {
            return Err(OnnxFault::NotFinite { tensor: name, index, value });
        }
        let id = self.builder.constant(name.clone(), value)?;
        self.stored.insert(name, id);
        Ok(id)
    }

    fn tensor_type(&self, slot: &Slot) -> TensorType {
        match slot {
            Slot::Constant { value, .. } => TensorType { shape: value.shape().to_vec(), element: value.element_type() },
            Slot::Node(id) => {
                let node = self.builder.node(*id);
                TensorType { shape: node.shape.clone(), element: node.element }
            }
        }
    }

    fn emit(&mut self, name: String, op: Op, arguments: Vec<Slot>) -> Result<Slot, OnnxFault> {
        let types: Vec<_> = arguments.iter().map(|a| self.tensor_type(a)).collect();
        let result = shape::infer(&name, &op, &types)?;
        let constant = arguments.iter().all(|a| matches!(a, Slot::Constant { .. }));
        if let (true, Some(budget)) = (constant, self.budget.checked_sub(result.shape.iter().product())) {
            let values: Vec<_> = arguments.iter().filter_map(Slot::value).collect();
            if let Some(value) = fold::fold(&op, &values, &result) {
                self.budget = budget;
                return Ok(Slot::Constant { name, value });
            }
        }
        let arguments = arguments.into_iter().map(|a| self.node(a)).collect::<Result<Vec<_>, _>>()?;
        Ok(Slot::Node(self.builder.add(name, op, &arguments)?))
    }
}

impl Slot {
    /// The value, when it is known.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Slot::Constant { value, .. } => Some(value),
            Slot::Node(_) => None,
        }
    }
}

fn first_not_finite(value: &Value) -> Option<(usize, f64)> {
    match value {
        Value::F32(t) => t.data().iter().position(|v| !v.is_finite()).map(|i| (i, f64::from(t.data()[i]))),
        Value::F64(t) => t.data().iter().position(|v| !v.is_finite()).map(|i| (i, t.data()[i])),
        Value::I64(_) | Value::Bool(_) => None,
    }
}

/// One node of the file being translated.
pub struct Call<'a> {
    /// How errors name it.
    pub place: Place,
    /// Attributes not asked for yet.
    pub attributes: Attributes,
    input_names: Vec<String>,
    inputs: Vec<Option<Slot>>,
    outputs: Vec<String>,
    /// One past the last input asked for.
    asked: usize,
    results: Vec<Slot>,
    translator: &'a mut Translator,
}

impl Call<'_> {
    /// ONNX's operator name.
    pub fn op(&self) -> String {
        self.place.op.clone()
    }

    /// The version of the operator set.
    pub fn opset(&self) -> i64 {
        self.translator.opset
    }

    /// Number of inputs written down.
    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// Number of outputs written down.
    pub fn output_count(&self) -> usize {
        self.outputs.len()
    }

    /// An input that must be there. Each input is taken once.
    pub fn input(&mut self, position: usize) -> Result<Slot, OnnxFault> {
        let (node, op) = (self.place.node.clone(), self.place.op.clone());
        self.optional(position).ok_or(OnnxFault::MissingInput { node, op, position })
    }

    /// An input that may be left out.
    pub fn optional(&mut self, position: usize) -> Option<Slot> {
        self.asked = self.asked.max(position + 1);
        self.inputs.get_mut(position).and_then(Option::take)
    }

    /// The value of an input that may be left out but not be computed by the network.
    pub fn optional_value(&mut self, position: usize) -> Result<Option<Value>, OnnxFault> {
        match self.optional(position) {
            None => Ok(None),
            Some(Slot::Constant { value, .. }) => Ok(Some(value)),
            Some(Slot::Node(_)) => {
                let (node, op) = (self.place.node.clone(), self.place.op.clone());
                Err(OnnxFault::NotConstant { node, op, position })
            }
        }
    }

    /// The integers of an input that may be left out.
    pub fn optional_ints(&mut self, position: usize) -> Result<Option<Vec<i64>>, OnnxFault> {
        match self.optional_value(position)? {
            None => Ok(None),
            Some(Value::I64(tensor)) => Ok(Some(tensor.data().to_vec())),
            Some(other) => Err(self.place.setting(format!("input {position}"), format!("{:?}", other.element_type()))),
        }
    }

    /// The number in an input of one entry that may be left out.
    pub fn optional_number(&mut self, position: usize) -> Result<Option<f64>, OnnxFault> {
        let Some(value) = self.optional_value(position)? else {
            return Ok(None);
        };
        let number = match &value {
            Value::I64(tensor) => tensor.data().iter().map(|v| *v as f64).collect(),
            other => other.to_f64().unwrap_or_default(),
        };
        match number[..] {
            [number] => Ok(Some(number)),
            _ => Err(self.place.setting(format!("input {position}"), format!("{:?}", value.shape()))),
        }
    }

    /// Integers that older operator sets have as an attribute and newer ones, from `version`, as an input.
    pub fn ints(&mut self, name: &str, position: usize, version: i64) -> Result<Option<Vec<i64>>, OnnxFault> {
        if self.opset() >= version { self.optional_ints(position) } else { self.attributes.ints(name) }
    }

    /// Lengths of a tensor's axes.
    pub fn shape(&self, slot: &Slot) -> Vec<usize> {
        self.translator.tensor_type(slot).shape
    }

    /// A tensor's element type.
    pub fn element(&self, slot: &Slot) -> ElementType {
        self.translator.tensor_type(slot).element
    }

    /// The name of the output that comes next, or one derived from it for an intermediate result.
    fn name(&mut self, part: Option<&str>) -> String {
        let output = self.outputs.get(self.results.len()).cloned().unwrap_or_default();
        let Some(part) = part else { return output };
        let mut name = format!("{output}/{part}");
        while !self.translator.names.insert(name.clone()) {
            name.push('\'');
        }
        name
    }

    /// Applies an operator for an intermediate result.
    pub fn step(&mut self, part: &str, op: Op, arguments: Vec<Slot>) -> Result<Slot, OnnxFault> {
        let name = self.name(Some(part));
        self.translator.emit(name, op, arguments)
    }

    /// Applies an operator whose result is the node's next output.
    pub fn emit(&mut self, op: Op, arguments: Vec<Slot>) -> Result<(), OnnxFault> {
        let name = self.name(None);
        // An output without a name is not wanted, but its shape is checked all the same.
        let name = if name.is_empty() { self.name(Some("unnamed")) } else { name };
        let slot = self.translator.emit(name, op, arguments)?;
        self.results.push(slot);
        Ok(())
    }

    /// The node's next output is a value.
    pub fn emit_value(&mut self, value: Value) {
        let name = self.name(None);
        self.results.push(Slot::Constant { name, value });
    }

    /// A constant that the file does not name.
    pub fn value(&mut self, part: &str, value: Value) -> Slot {
        Slot::Constant { name: self.name(Some(part)), value }
    }

    /// The node's next output is this tensor under another name.
    pub fn alias(&mut self, slot: Slot) {
        self.results.push(slot);
    }

    /// Binds the outputs, and refuses inputs, attributes and outputs that were not understood.
    fn finish(self) -> Result<(), OnnxFault> {
        let extra = |what, name: &String| OnnxFault::Extra {
            node: self.place.node.clone(),
            op: self.place.op.clone(),
            what,
            name: name.clone(),
        };
        if let Some(name) = self.input_names.iter().skip(self.asked).find(|n| !n.is_empty()) {
            return Err(extra("input", name));
        }
        let unmade = self.outputs.iter().skip(self.results.len());
        if let Some(name) = unmade.into_iter().find(|n| self.translator.uses.contains_key(*n)) {
            return Err(extra("output", name));
        }
        self.attributes.refuse_left()?;
        for (name, slot) in self.outputs.into_iter().zip(self.results) {
            if self.translator.uses.contains_key(&name) {
                self.translator.slots.insert(name, slot);
            }
        }
        Ok(())
    }
}
