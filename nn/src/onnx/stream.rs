//! Walks an ONNX file from front to back.
//!
//! The model and its graph are taken apart field by field, so that at most one serialised tensor
//! is in memory beside the values made so far. No length in the file is trusted before its bytes
//! have arrived.

use super::fault::OnnxFault;
use super::proto::{NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto};
use super::tensor;
use crate::op::Value;
use prost::Message;
use prost::bytes::Bytes;
use std::io::{self, BufRead, Read};

/// What a model file says, with its tensors as values.
#[derive(Default)]
pub struct Model {
    /// Operator sets.
    pub opsets: Vec<OperatorSetIdProto>,
    /// Nodes, in the file's order.
    pub nodes: Vec<NodeProto>,
    /// Stored tensors by name.
    pub initializers: Vec<(String, Value)>,
    /// Declared inputs; may include initializers.
    pub inputs: Vec<ValueInfoProto>,
    /// Declared outputs.
    pub outputs: Vec<ValueInfoProto>,
    has_graph: bool,
}

/// Reads a model.
pub fn model(source: impl BufRead) -> Result<Model, OnnxFault> {
    const PART: &str = "model";
    let mut model = Model::default();
    let mut walk = Walk { source, offset: 0 };
    while !walk.source.fill_buf().map_err(OnnxFault::Io)?.is_empty() {
        match walk.field(PART)? {
            (7, Payload::Bytes(length)) => graph(&mut walk, length, &mut model)?,
            (8, Payload::Bytes(length)) => model.opsets.push(walk.message("operator set", length)?),
            (25, Payload::Bytes(_)) => return Err(OnnxFault::Functions),
            (_, payload) => walk.skip(payload, PART)?,
        }
    }
    match (walk.offset, model.has_graph) {
        (0, _) => Err(OnnxFault::Empty),
        (_, false) => Err(OnnxFault::NoGraph),
        _ => Ok(model),
    }
}

fn graph(walk: &mut Walk<impl BufRead>, length: u64, model: &mut Model) -> Result<(), OnnxFault> {
    const PART: &str = "graph";
    model.has_graph = true;
    let start = walk.offset;
    let end = start.checked_add(length).ok_or(OnnxFault::Malformed { offset: start, part: PART })?;
    while walk.offset < end {
        match walk.field(PART)? {
            (1, Payload::Bytes(length)) => model.nodes.push(walk.message("node", length)?),
            (5, Payload::Bytes(length)) => {
                let mut stored: TensorProto = walk.message("tensor", length)?;
                let name = std::mem::take(&mut stored.name);
                let value = tensor::value(&name, stored)?;
                model.initializers.push((name, value));
            }
            (11, Payload::Bytes(length)) => model.inputs.push(walk.message("input", length)?),
            (12, Payload::Bytes(length)) => model.outputs.push(walk.message("output", length)?),
            (15, Payload::Bytes(_)) => return Err(OnnxFault::SparseData),
            (_, payload) => walk.skip(payload, PART)?,
        }
    }
    if walk.offset > end { Err(OnnxFault::Malformed { offset: end, part: PART }) } else { Ok(()) }
}

/// What follows a field's tag.
enum Payload {
    /// A number, already read.
    Number,
    /// This many bytes.
    Bytes(u64),
}

struct Walk<R> {
    source: R,
    offset: u64,
}

impl<R: BufRead> Walk<R> {
    fn byte(&mut self, part: &'static str) -> Result<u8, OnnxFault> {
        let mut byte = [0];
        match self.source.read_exact(&mut byte) {
            Ok(()) => self.offset += 1,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(OnnxFault::Truncated { offset: self.offset, part });
            }
            Err(e) => return Err(OnnxFault::Io(e)),
        }
        Ok(byte[0])
    }

    fn varint(&mut self, part: &'static str) -> Result<u64, OnnxFault> {
        let start = self.offset;
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(part)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(OnnxFault::Malformed { offset: start, part })
    }

    /// The next field's number, and its payload.
    fn field(&mut self, part: &'static str) -> Result<(u64, Payload), OnnxFault> {
        let start = self.offset;
        let tag = self.varint(part)?;
        let payload = match tag & 7 {
            0 => {
                self.varint(part)?;
                Payload::Number
            }
            1 => Payload::Bytes(8),
            2 => Payload::Bytes(self.varint(part)?),
            5 => Payload::Bytes(4),
            _ => return Err(OnnxFault::Malformed { offset: start, part }),
        };
        match (tag >> 3, tag & 7) {
            (0, _) => Err(OnnxFault::Malformed { offset: start, part }),
            // Fixed-width numbers are of no interest; the number 0 makes the caller skip them.
            (_, 1 | 5) => Ok((0, payload)),
            (field, _) => Ok((field, payload)),
        }
    }

    fn skip(&mut self, payload: Payload, part: &'static str) -> Result<(), OnnxFault> {
        let Payload::Bytes(length) = payload else { return Ok(()) };
        let skipped = io::copy(&mut self.source.by_ref().take(length), &mut io::sink()).map_err(OnnxFault::Io)?;
        self.offset += skipped;
        if skipped < length { Err(OnnxFault::Truncated { offset: self.offset, part }) } else { Ok(()) }
    }

    fn message<M: Message + Default>(&mut self, part: &'static str, length: u64) -> Result<M, OnnxFault> {
        let mut bytes = Vec::new();
        let count = self.source.by_ref().take(length).read_to_end(&mut bytes).map_err(OnnxFault::Io)? as u64;
        self.offset += count;
        if count < length {
            return Err(OnnxFault::Truncated { offset: self.offset, part });
        }
        let offset = self.offset;
        M::decode(Bytes::from(bytes)).map_err(|source| OnnxFault::Decode { offset, part, source })
    }
}
