//! `secateur lm generate`: continues a text.

use super::{Source, name};
use crate::error::CliError;
use crate::exit::Exit;
use crate::{interrupt, output};
use clap::Args;
use secateur_nn::lm::{Reading, Sampling, StopReason, check_prompt, generate};
use serde::Serialize;
use std::sync::atomic::Ordering;

/// Continue a text: what the model adds appears behind the prompt as it comes.
///
/// Generation ends with a token that ends a text, by config.json or generation_config.json, or begins another, and where
/// the model's context is full.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// The text to continue.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prompt: String,
    /// The most tokens to add.
    #[arg(long, value_name = "N", default_value_t = 256)]
    steps: usize,
    /// 0 takes the likeliest token; 1 draws as the model says, less sticks closer to the likeliest.
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = temperature)]
    temperature: f64,
    /// The seed of draws.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Draw from so many of the likeliest tokens only.
    #[arg(long, value_name = "K", requires = "temperature", value_parser = count)]
    top_k: Option<usize>,
    /// Draw from the fewest likeliest tokens only whose probabilities sum to at least P, after --top-k.
    #[arg(long, value_name = "P", requires = "temperature", value_parser = share)]
    top_p: Option<f64>,
    /// Print a record as JSON instead: text, tokens and tokens a second.
    #[arg(long)]
    json: bool,
}

fn temperature(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
    value.ok_or_else(|| "expected a number from 0".to_owned())
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "expected a whole number from 1".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| *value > 0.0 && *value <= 1.0);
    value.ok_or_else(|| "expected a number above 0 and at most 1".to_owned())
}

/// What was added, and how fast.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Record {
    model: String,
    tokenizer: String,
    prompt: String,
    /// What was added.
    text: String,
    prompt_tokens: usize,
    tokens: Vec<u32>,
    reason: StopReason,
    temperature: f64,
    top_k: Option<usize>,
    top_p: Option<f64>,
    seed: u64,
    prompt_seconds: f64,
    seconds: f64,
    tokens_per_second: f64,
    threads: usize,
    version: String,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let Arguments { source, prompt, steps, temperature, seed, top_k, top_p, json } = arguments;
    let (model, tokens) = source.load()?;
    let start = match (tokens.encode(prompt, true)?, model.config.bos) {
        (start, Some(bos)) if start.is_empty() => vec![bos],
        (start, _) => start,
    };
    check_prompt(&model, &start)?;
    let stop = interrupt::listen()?;
    let mut reading = Reading::after(&tokens, &start)?;
    let (mut text, mut fault) = (String::new(), None);
    if !json {
        output::print(prompt)?;
    }
    let hear = |token| {
        let told = reading.push(token).map_err(CliError::from).and_then(|new| {
            text.push_str(&new);
            if *json { Ok(()) } else { output::print(&new) }
        });
        fault = told.err();
        fault.is_none() && !stop.load(Ordering::Relaxed)
    };
    let sampling = Sampling { steps: *steps, temperature: *temperature, seed: *seed, top_k: *top_k, top_p: *top_p };
    let found = generate(&model, &start, sampling, hear)?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    let rest = reading.finish()?;
    text.push_str(&rest);
    if !json {
        output::print(&rest)?;
    }
    let (seconds, done) = (found.steps.as_secs_f64(), found.tokens.len());
    let record = Record {
        model: source.model.display().to_string(),
        tokenizer: name(&tokens),
        prompt: prompt.clone(),
        text,
        prompt_tokens: start.len(),
        reason: found.reason,
        temperature: *temperature,
        top_k: *top_k,
        top_p: *top_p,
        seed: *seed,
        prompt_seconds: found.prompt.as_secs_f64(),
        seconds,
        tokens_per_second: if seconds > 0.0 { found.tokens.len() as f64 / seconds } else { 0.0 },
        threads: rayon::current_num_threads(),
        tokens: found.tokens,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    output::print(&if *json { output::json(&record)? } else { "\n".to_owned() })?;
    match found.reason {
        StopReason::Caller => Err(CliError::Stopped { done, all: *steps, what: "tokens" }),
        _ => Ok(Exit::Done),
    }
}
