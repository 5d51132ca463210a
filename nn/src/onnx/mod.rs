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
mod resize;
mod stream;
mod tensor;
mod translate;
mod windows;

pub use fault::OnnxFault;

use crate::error::NnError;
use crate::graph::Graph;
use crate::gzip;
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
    let at = |fault| NnError::Onnx {
        origin: path.display().to_string(),
        fault: Box::new(fault),
    };
    let file = File::open(path).map_err(|e| at(OnnxFault::Io(e)))?;
    graph_of(file).map_err(at)
}

/// Reads a network from bytes, gunzipping them where they are compressed.
///
/// # Errors
/// [`NnError::Onnx`] with `origin` and an [`OnnxFault`] that names the place.
pub fn parse(bytes: &[u8], origin: &str) -> Result<Graph, NnError> {
    graph_of(bytes).map_err(|fault| NnError::Onnx {
        origin: origin.to_owned(),
        fault: Box::new(fault),
    })
}

fn graph_of(source: impl Read) -> Result<Graph, OnnxFault> {
    let source = gzip::plain(source, MAX_BYTES).map_err(OnnxFault::Io)?;
    translate::graph(stream::model(source)?)
}
