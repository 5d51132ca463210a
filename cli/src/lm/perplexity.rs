//! `secateur lm perplexity`: how well a model predicts a text.

use super::{Source, answer, ended, name, read_text};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress::Steps;
use clap::{Args, ValueEnum};
use secateur_bench_suites::watcher::Watcher;
use secateur_nn::lm::{Config, Model, Perplexity, Streamed, Tokens, perplexity, streamed};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Measure the perplexity of a text in windows that slide.
///
/// Windows begin every STRIDE tokens and hold CONTEXT of them; each scores the tokens that none before it held, given the
/// window before them. With a stride of the context windows lie end to end, which is the protocol of most published
/// numbers. Scored is every token but the first of the text, and, where windows lie end to end, the first of each.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// The text (UTF-8).
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// Tokens of a window; by default the model's context, at most 2048.
    #[arg(long, value_name = "N")]
    context: Option<usize>,
    /// Tokens between the beginnings of windows; by default as many as a window has room for.
    #[arg(long, value_name = "N")]
    stride: Option<usize>,
    /// Where the token that begins a text is put.
    #[arg(long, value_enum, default_value_t = Bos::Text)]
    bos: Bos,
    /// Measure only so many tokens from the beginning.
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,
    /// Read the model a block at a time instead of having it in memory: the same number, for models larger than memory.
    ///
    /// As many windows as fit into MIB pass through a block before the next one is read, so that the model is read once
    /// for every group of windows.
    #[arg(long)]
    stream: bool,
    /// Memory for the streams of a group of windows, beside which a block has room; at least one window is taken.
    #[arg(long, value_name = "MIB", default_value_t = 1024, requires = "stream")]
    memory: usize,
    /// Write a record as JSON to a file, or to standard output with `-` instead of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

/// Where the token that begins a text is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Bos {
    /// Nowhere.
    None,
    /// Before the text, where the tokenizer puts it.
    Text,
    /// Before every window.
    Window,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Record {
    model: String,
    parameters: usize,
    tokenizer: String,
    text: String,
    /// Bytes of the text that was measured.
    bytes: usize,
    bos_at: Bos,
    /// What the tokenizer put before the text.
    beginning: Vec<u32>,
    #[serde(flatten)]
    found: Streamed,
    /// Whether blocks were read one at a time.
    streamed: bool,
    /// Of the whole text; the tokens that are not scored count as free.
    bits_per_byte: f64,
    seconds: f64,
    threads: usize,
    version: String,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let Arguments { source, text, bos, stream, quiet, .. } = arguments;
    output::check(&[source.model.as_path(), text], &[], arguments.json.as_ref())?;
    let (checkpoint, tokens) = source.open()?;
    let config = checkpoint.config();
    let before = arguments.before(config)?;
    let content = read_text(text)?;
    let mut all = tokens.encode(&content, *bos == Bos::Text)?;
    let beginning = if *bos == Bos::Text { beginning(&tokens, &all)? } else { Vec::new() };
    all.truncate(arguments.tokens.unwrap_or(usize::MAX));
    let bytes = match arguments.tokens {
        Some(first) => tokens.bytes_of(&content, *bos == Bos::Text, first)?,
        None => content.len(),
    };
    let context = arguments.context.unwrap_or(config.context.min(2048));
    let stride = arguments.stride.unwrap_or(context.saturating_sub(usize::from(before.is_some())));
    let model = if *stream { None } else { Some(Model::load(&checkpoint)?) };
    let display = Steps::new(*quiet)?;
    let heard = |done: usize, all: usize| {
        display.measuring(done, all, "windows");
        !display.stop()
    };
    let begin = Instant::now();
    let found = match &model {
        Some(model) => {
            perplexity(model, &all, context, stride, before, &heard).map(|perplexity| Streamed { perplexity, reads: 1 })
        }
        None => streamed(&checkpoint, &all, context, stride, before, arguments.memory.saturating_mul(1 << 20), &heard),
    };
    let found = found.map_err(|fault| ended(&display, "windows", fault));
    display.clear();
    let found = found?;
    let record = Record {
        model: source.model.display().to_string(),
        parameters: config.parameters(),
        tokenizer: name(&tokens),
        text: text.display().to_string(),
        bytes,
        bos_at: *bos,
        beginning,
        bits_per_byte: found.perplexity.nll * found.perplexity.tokens as f64 / std::f64::consts::LN_2 / bytes as f64,
        found,
        streamed: *stream,
        seconds: begin.elapsed().as_secs_f64(),
        threads: rayon::current_num_threads(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    answer(arguments.json.as_deref(), &record, &record.table())
}

/// The tokens that the tokenizer puts before every text, as far as this one has them.
fn beginning(tokens: &Tokens, all: &[u32]) -> Result<Vec<u32>, CliError> {
    let around = tokens.encode("", true)?;
    let own = around.iter().zip(all).take_while(|(around, own)| around == own);
    Ok(own.map(|(_, own)| *own).collect())
}

impl Arguments {
    /// The token before every window.
    fn before(&self, config: &Config) -> Result<Option<u32>, CliError> {
        if self.bos != Bos::Window {
            return Ok(None);
        }
        config.bos.map(Some).ok_or_else(|| CliError::NoBos { model: self.source.model.clone() })
    }
}

impl Record {
    fn table(&self) -> String {
        let Perplexity { nll, perplexity, tokens, windows, context, stride, .. } = &self.found.perplexity;
        let bos = match (self.bos_at, &self.beginning[..], self.found.perplexity.bos) {
            (Bos::Text, [], _) => "none, the tokenizer puts none".to_owned(),
            (Bos::Text, beginning, _) => format!("{beginning:?} before the text"),
            (_, _, Some(bos)) => format!("[{bos}] before every window"),
            (_, _, None) => "none".to_owned(),
        };
        let model = match (self.streamed, self.found.reads) {
            (false, _) => "in memory".to_owned(),
            (true, 1) => "read once, a block at a time".to_owned(),
            (true, reads) => format!("read {reads} times, a block at a time"),
        };
        format!(
            "perplexity      {perplexity:.4}\nnats a token    {nll:.6}\nbits a byte     {:.4}\ntokens scored   {tokens}\n\
             windows         {windows}\ncontext         {context}\nstride          {stride}\nbeginning token {bos}\n\
             model           {model}\ntokenizer       {}\nseconds         {:.2}\n",
            self.bits_per_byte, self.tokenizer, self.seconds
        )
    }
}
