//! What can be wrong with a language model, its tokenizer or a text for it.

use crate::safetensors::SafetensorsFault;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a language model was refused, or what was asked of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LmFault {
    /// A file that cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of tensors was refused.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsFault),
    /// A file that is not JSON of the expected form.
    #[error("{}: {source}", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A key of `config.json` with a value that is missing, of the wrong kind, or not supported.
    #[error("{origin}: `{key}`: expected {expected}, found {found}")]
    Config {
        /// The file.
        origin: String,
        /// The key.
        key: String,
        /// What is supported.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Neither a folder with `config.json` nor a llama2.c file.
    #[error("{}: expected a folder with config.json, or a llama2.c checkpoint: {what}", .path.display())]
    NoModel {
        /// What was named.
        path: PathBuf,
        /// Why it is neither.
        what: String,
    },
    /// A file that is shorter or longer than its header says.
    #[error("{}: expected {expected} bytes as its header announces, found {found}", .path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes that its header announces.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// A tensor that no file has.
    #[error("{origin}: no tensor `{tensor}`")]
    Missing {
        /// The folder or file.
        origin: String,
        /// The tensor.
        tensor: String,
    },
    /// A tensor in more than one file.
    #[error("{origin}: tensor `{tensor}` is in more than one file")]
    Twice {
        /// The folder.
        origin: String,
        /// The tensor.
        tensor: String,
    },
    /// A tensor that models of this configuration do not have.
    #[error("{origin}: tensor `{tensor}` has no place in a model of this configuration")]
    Unexpected {
        /// The folder.
        origin: String,
        /// The tensor.
        tensor: String,
    },
    /// A tensor of another shape than the configuration says.
    #[error("{origin}: tensor `{tensor}`: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The folder or file.
        origin: String,
        /// The tensor.
        tensor: String,
        /// Its shape by the configuration.
        expected: Vec<usize>,
        /// Its shape in the file.
        found: Vec<usize>,
    },
    /// A tensor that is not one of 16- or 32-bit floats.
    #[error("{origin}: tensor `{tensor}`: expected F32, F16 or BF16, found {found}")]
    Dtype {
        /// The folder or file.
        origin: String,
        /// The tensor.
        tensor: String,
        /// Its element type.
        found: &'static str,
    },
    /// A weight that is infinite or not a number.
    #[error("{origin}: tensor `{tensor}`: entry {index} is not finite")]
    NotFinite {
        /// The folder or file.
        origin: String,
        /// The tensor.
        tensor: String,
        /// The entry, row-major.
        index: usize,
    },
    /// A weight that the type to be written has no number for.
    #[error("tensor `{tensor}`: entry {index} is {value}, beyond the range of {dtype}")]
    Range {
        /// The tensor.
        tensor: String,
        /// The entry, row-major.
        index: usize,
        /// Its value.
        value: f32,
        /// The type.
        dtype: &'static str,
    },
    /// A block of other sizes than the configuration says, which the layout on disk has no place for.
    #[error("block {block}: {what} is {found}, the configuration says {expected}")]
    Block {
        /// The block.
        block: usize,
        /// What differs.
        what: &'static str,
        /// By the configuration.
        expected: usize,
        /// Of the block.
        found: usize,
    },
    /// A tensor that was announced and never written.
    #[error("tensor `{tensor}` was not written")]
    Unwritten {
        /// The tensor.
        tensor: String,
    },
    /// A folder that already holds a model, or files of one.
    #[error("{}: already holds `{file}`: expected a folder without config.json and files of weights", .path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// A file of a model, or one whose writing was broken off.
        file: String,
    },
    /// A token that the model has no row for.
    #[error("token {token} at position {position}: the model has {vocab}, from 0")]
    Token {
        /// The token.
        token: u32,
        /// Where it is.
        position: usize,
        /// Tokens of the model.
        vocab: usize,
    },
    /// A tokenizer that cannot be read or used.
    #[error("{}: {what}", .path.display())]
    Tokenizer {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// No tokenizer beside the model.
    #[error("{}: no tokenizer.json beside the model: name one with --tokenizer", .path.display())]
    NoTokenizer {
        /// The model.
        path: PathBuf,
    },
    /// A text that is too short to be scored.
    #[error("{found} tokens: expected at least {expected}")]
    Short {
        /// Tokens that are needed.
        expected: usize,
        /// Tokens that there are.
        found: usize,
    },
    /// A window that cannot move or has no room.
    #[error("context {context}, stride {stride}: expected 2 ≤ context and 1 ≤ stride ≤ {most}")]
    Window {
        /// Tokens of a window.
        context: usize,
        /// Tokens between windows.
        stride: usize,
        /// The longest stride.
        most: usize,
    },
    /// More tokens than the model was made for.
    #[error("{found} tokens: the model takes {context}")]
    Context {
        /// The model's context.
        context: usize,
        /// Tokens that were asked for.
        found: usize,
    },
    /// A window of a text that the model gives no probabilities for.
    #[error(
        "window {window} of {windows}: -ln p is not finite: the model's values overflow, or its weights are damaged"
    )]
    Loss {
        /// The window, from 1.
        window: usize,
        /// Windows of the text.
        windows: usize,
        /// Tokens that all windows score.
        tokens: usize,
    },
    /// A step of generation without probabilities.
    #[error(
        "step {step}: the logit of token {token} is not finite: the model's values overflow, or its weights are damaged"
    )]
    Logits {
        /// The step, from 1.
        step: usize,
        /// The first token with such a logit.
        token: usize,
    },
    /// A choice that the model gives no probability.
    #[error(
        "line {line}, choice {choice}: its likelihood is not finite: the model's values overflow, or its weights are damaged"
    )]
    Likelihood {
        /// The question's line, from 1.
        line: usize,
        /// The choice, from 0.
        choice: usize,
    },
    /// A choice that alone is longer than the model's context.
    #[error("line {line}, choice {choice}: {found} tokens: the model takes {context}")]
    Choice {
        /// The question's line, from 1.
        line: usize,
        /// The choice, from 0.
        choice: usize,
        /// The model's context.
        context: usize,
        /// Tokens of the choice.
        found: usize,
    },
    /// A line that is no question with choices.
    #[error("{}, line {line}: {what}", .path.display())]
    Question {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
}

impl LmFault {
    /// A file that cannot be read or written.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
