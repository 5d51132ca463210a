//! Networks in ONNX: reading operator sets 7 to 21, writing 13.
//!
//! | step | file |
//! |---|---|
//! | the messages of the format | `proto` |
//! | walk the file, holding one tensor at a time | `stream` |
//! | stored tensors to values | `tensor` |
//! | order the nodes that the output needs | `order` |
//! | nodes to operators, with constants folded exactly | `translate`, `fold` |
//! | one file per operator family | `elementwise`, `linear`, `windows`, `layout`, `resize` |
//! | operators to nodes | `write` |

mod attributes;
mod elementwise;
mod fault;
mod fold;
mod layout;
mod linear;
mod order;
mod proto;
#[cfg(test)]
mod refusals;
mod resize;
mod stream;
mod tensor;
mod translate;
mod windows;
mod write;

pub use fault::OnnxFault;

use crate::error::NnError;
use crate::graph::Graph;
use crate::gzip;
use prost::Message;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The most bytes that a file may unpack to.
const MAX_BYTES: u64 = 2 << 30;

/// Reads a network from a file, gunzipping it where it is compressed.
///
/// A symbolic first extent of the input is taken as 1.
///
/// # Errors
/// [`NnError::Onnx`] with the file's name and an [`OnnxFault`] that names the place.
pub fn read(path: impl AsRef<Path>) -> Result<Graph, NnError> {
    let path = path.as_ref();
    let at = |fault| NnError::Onnx { origin: path.display().to_string(), fault: Box::new(fault) };
    let file = File::open(path).map_err(|e| at(OnnxFault::Io(e)))?;
    graph_of(file).map_err(at)
}

/// Reads a network from bytes, gunzipping them where they are compressed.
///
/// # Errors
/// [`NnError::Onnx`] with `origin` and an [`OnnxFault`] that names the place.
pub fn parse(bytes: &[u8], origin: &str) -> Result<Graph, NnError> {
    graph_of(bytes).map_err(|fault| NnError::Onnx { origin: origin.to_owned(), fault: Box::new(fault) })
}

fn graph_of(source: impl Read) -> Result<Graph, OnnxFault> {
    let source = gzip::plain(source, MAX_BYTES).map_err(OnnxFault::Io)?;
    translate::graph(stream::model(source)?)
}

/// The bytes of a file that describes `graph`, with operator set 13.
///
/// Reading them gives the same network: the same nodes by name, though constants may stand in
/// another order.
///
/// # Errors
/// [`NnError::Onnx`] where operator set 13 cannot express an operator.
pub fn to_bytes(graph: &Graph) -> Result<Vec<u8>, NnError> {
    let model = write::model(graph);
    model.map(|m| m.encode_to_vec()).map_err(|fault| refused(&graph.node(graph.output()).name, fault))
}

/// Writes `graph` to a file, with operator set 13.
///
/// # Errors
/// [`NnError::Onnx`] with the file's name.
pub fn write(graph: &Graph, path: impl AsRef<Path>) -> Result<(), NnError> {
    let path = path.as_ref();
    let at = |fault| refused(&path.display().to_string(), fault);
    let bytes = write::model(graph).map_err(at)?.encode_to_vec();
    std::fs::write(path, bytes).map_err(|e| at(OnnxFault::Io(e)))
}

fn refused(origin: &str, fault: OnnxFault) -> NnError {
    NnError::Onnx { origin: origin.to_owned(), fault: Box::new(fault) }
}
