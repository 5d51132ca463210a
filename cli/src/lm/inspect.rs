//! `secateur lm inspect`: shows a model without reading its weights.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use clap::Args;
use secateur_nn::lm::{Checkpoint, Config, Rope, Scaling};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

/// Show a language model: sizes, parameters, bytes, block by block.
#[derive(Args)]
pub struct Arguments {
    /// A folder with config.json and safetensors, or a llama2.c checkpoint.
    model: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Record {
    model: String,
    family: &'static str,
    width: usize,
    vocab: usize,
    context: usize,
    /// The last tokens that attention sees; all before it if none.
    window: Option<usize>,
    tied: bool,
    epsilon: f32,
    theta: f64,
    rope: Rope,
    scaling: Scaling,
    bos: Option<u32>,
    eos: Vec<u32>,
    dtype: &'static str,
    parameters: usize,
    /// Bytes of the files of weights.
    bytes: u64,
    blocks: Vec<Row>,
    /// Embedding, last norm and head.
    outside: Stored,
}

/// A block.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    inner: usize,
    #[serde(flatten)]
    stored: Stored,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Stored {
    parameters: usize,
    bytes: usize,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let checkpoint = Checkpoint::open(&arguments.model)?;
    let record = describe(&checkpoint);
    output::print(&if arguments.json { output::json(&record)? } else { record.table() })?;
    Ok(Exit::Done)
}

fn describe(checkpoint: &Checkpoint) -> Record {
    let config = checkpoint.config();
    let mut blocks = vec![Stored::default(); config.blocks];
    let mut outside = Stored::default();
    for (name, dtype, shape) in checkpoint.tensors() {
        let block = name.strip_prefix("model.layers.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
        let stored = block.and_then(|block| blocks.get_mut(block)).unwrap_or(&mut outside);
        let entries: usize = shape.iter().product();
        stored.parameters += entries;
        stored.bytes += entries * dtype.size();
    }
    let Config { family, width, vocab, context, window, tied, epsilon, theta, rope, scaling, bos, .. } = *config;
    let Config { heads, kv_heads, head_dim, inner, .. } = *config;
    Record {
        model: checkpoint.path().display().to_string(),
        family: family.name(),
        width,
        vocab,
        context,
        window,
        tied,
        epsilon,
        theta,
        rope,
        scaling,
        bos,
        eos: config.eos.clone(),
        dtype: checkpoint.dtype().name(),
        parameters: config.parameters(),
        bytes: checkpoint.bytes(),
        blocks: blocks.into_iter().map(|stored| Row { heads, kv_heads, head_dim, inner, stored }).collect(),
        outside,
    }
}

impl Record {
    fn table(&self) -> String {
        let mut text = String::from("block  heads  key heads  head size  channels  parameters         bytes\n");
        // Writing to a string does not fail.
        for (number, row) in self.blocks.iter().enumerate() {
            let Row { heads, kv_heads, head_dim, inner, stored } = row;
            let Stored { parameters, bytes } = stored;
            let _ = writeln!(
                text,
                "{number:5}  {heads:5}  {kv_heads:9}  {head_dim:9}  {inner:8}  {parameters:10}  {bytes:12}"
            );
        }
        let Stored { parameters, bytes } = self.outside;
        let _ = writeln!(text, "{:42}  {parameters:10}  {bytes:12}\n", "embedding, last norm, head");
        let _ = writeln!(text, "family      {}, {}", self.family, self.dtype);
        let _ = writeln!(text, "width       {}", self.width);
        let tied = if self.tied { ", the embedding is the head" } else { "" };
        let _ = writeln!(text, "vocabulary  {}{tied}", self.vocab);
        let window = self.window.map_or(String::new(), |window| format!(", attention to the last {window} tokens"));
        let _ = writeln!(text, "context     {}{window}", self.context);
        let _ = writeln!(text, "parameters  {}", self.parameters);
        let _ = writeln!(text, "bytes       {}", self.bytes);
        text
    }
}
