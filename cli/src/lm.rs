//! `secateur lm`: language models of the LLaMA, Mistral and Qwen families.
//!
//! | what | file |
//! |---|---|
//! | continue a text | `generate.rs` |
//! | how well a text is predicted | `perplexity.rs` |
//! | which choice a model takes | `choices.rs` |
//! | show a model | `inspect.rs` |
//! | which blocks can go | `layer_game.rs` |
//! | neighbouring blocks become one | `flatten.rs` |
//! | whole blocks go | `drop.rs` |
//! | methods side by side | `compare.rs` |
//! | what the first two of these ask, and tell | `smaller.rs`, `outcome.rs` |

mod choices;
mod compare;
mod drop;
mod flatten;
mod generate;
mod inspect;
mod layer_game;
mod outcome;
mod perplexity;
mod smaller;

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress::Steps;
use clap::{Args, Subcommand};
use secateur_nn::lm::{Checkpoint, LmFault, Model, Tokens};
use std::path::{Path, PathBuf};

/// Language models: continue texts, measure, show, bring to fewer blocks.
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Generate(generate::Arguments),
    Perplexity(perplexity::Arguments),
    Choices(choices::Arguments),
    Inspect(inspect::Arguments),
    LayerGame(layer_game::Arguments),
    Flatten(flatten::Arguments),
    DropLayers(drop::Arguments),
    Compare(compare::Arguments),
}

/// A model with its tokenizer.
#[derive(Args)]
struct Source {
    /// A folder with config.json and safetensors, or a llama2.c checkpoint.
    model: PathBuf,
    /// The tokenizer: tokenizer.json, or a file of llama2.c; by default the one beside the model.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
}

impl Source {
    /// The files and the tokenizer.
    fn open(&self) -> Result<(Checkpoint, Tokens), CliError> {
        let checkpoint = Checkpoint::open(&self.model)?;
        let tokens = match &self.tokenizer {
            Some(file) => Tokens::open(file)?,
            None => Tokens::beside(&self.model)?,
        };
        check_vocab_of(checkpoint.config().vocab, &tokens)?;
        Ok((checkpoint, tokens))
    }

    /// The model in memory, and the tokenizer.
    fn load(&self) -> Result<(Model, Tokens), CliError> {
        let (checkpoint, tokens) = self.open()?;
        Ok((Model::load(&checkpoint)?, tokens))
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    match &arguments.task {
        Task::Generate(arguments) => generate::run(arguments),
        Task::Perplexity(arguments) => perplexity::run(arguments),
        Task::Choices(arguments) => choices::run(arguments),
        Task::Inspect(arguments) => inspect::run(arguments),
        Task::LayerGame(arguments) => layer_game::run(arguments),
        Task::Flatten(arguments) => flatten::run(arguments),
        Task::DropLayers(arguments) => drop::run(arguments),
        Task::Compare(arguments) => compare::run(arguments),
    }
}

/// Prints a table, or the record: `-` prints it instead, another name gets it as a file.
fn answer(json: Option<&Path>, record: &impl serde::Serialize, table: &str) -> Result<Exit, CliError> {
    output::record(json, record, table)?;
    Ok(Exit::Done)
}

/// What ends a command that measures: Ctrl-C with what was done, or a fault.
fn ended(display: &Steps, what: &'static str, fault: LmFault) -> CliError {
    let (done, all) = display.done();
    match fault {
        LmFault::Stopped => CliError::Stopped { done, all, what },
        fault => fault.into(),
    }
}

/// A file of text.
fn read_text(path: &Path) -> Result<String, CliError> {
    let bytes = std::fs::read(path).map_err(|source| CliError::Read { path: path.to_owned(), source })?;
    if bytes.is_empty() {
        return Err(CliError::EmptyText { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|_| CliError::NotText { path: path.to_owned() })
}

/// The tokenizer's file, for records.
fn name(tokens: &Tokens) -> String {
    tokens.path().display().to_string()
}

/// A tokenizer with more tokens than the model has rows goes with another model.
fn check_vocab_of(vocab: usize, tokens: &Tokens) -> Result<(), CliError> {
    if tokens.vocab() <= vocab {
        return Ok(());
    }
    let what = format!("it has {} tokens, the model {vocab}", tokens.vocab());
    Err(LmFault::Tokenizer { path: tokens.path().to_owned(), what }.into())
}
