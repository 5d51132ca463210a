//! Networks as data: graph, operators, evaluation, derivatives, formats, properties.
//!
//! | step | file |
//! |---|---|
//! | a network is a DAG of operators with inferred shapes | [`graph`], [`op`], [`shape`] |
//! | read and write ONNX | [`onnx`] |
//! | read and write safetensors | [`safetensors`] |
//! | evaluate in f32 and f64, with the same loops for every scalar | [`eval`] |
//! | differentiate: vjp, jvp, per-example gradients, Hessian-vector products | [`autodiff`] |
//! | which entries of stored tensors are kept | [`mask`] |
//! | data sets: images, tables, texts | [`data`] |
//! | fit a network's constants to data | [`train`] |
//! | networks to start from | [`models`] |
//! | language models from checkpoints | [`lm`] |
//! | files of named tensors | [`safetensors`] |
//! | what is to be verified: input boxes and unsafe output sets | [`property`], [`vnnlib`] |

pub mod autodiff;
mod batch;
pub mod data;
pub mod error;
pub mod eval;
pub mod graph;
mod gzip;
pub mod lm;
pub mod mask;
pub mod models;
pub mod onnx;
pub mod op;
pub mod property;
pub mod safetensors;
pub mod shape;
pub mod train;
pub mod vnnlib;

pub use error::NnError;
