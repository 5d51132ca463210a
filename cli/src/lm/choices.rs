//! `secateur lm choices`: which of several continuations a model finds likeliest.

use super::{Source, answer, check_json, name};
use crate::error::CliError;
use crate::exit::Exit;
use crate::progress::Steps;
use clap::Args;
use secateur_bench_suites::watcher::Watcher;
use secateur_nn::lm::choices::{Scores, read_questions, score};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Answer questions with choices by the likelihood of each, whole and over its bytes.
///
/// A line of the file is a JSON object: the context under context, query, question, ctx, prompt or sentence; a list of
/// continuations under choices, endings or options; the number of the right one, from 0, under gold, answer, label or
/// answer_index.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// The questions (JSON lines).
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Write a record as JSON, with the scores of every choice, to a file, or to standard output with `-`.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Record {
    model: String,
    tokenizer: String,
    file: String,
    questions: usize,
    /// Share of questions whose right choice is the likeliest.
    accuracy: f64,
    /// The same with likelihoods over bytes.
    accuracy_by_bytes: f64,
    /// Of the first: $\sqrt{p(1-p)/n}$.
    standard_error: f64,
    scores: Vec<Scores>,
    seconds: f64,
    version: String,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    check_json(arguments.json.as_deref())?;
    let questions = read_questions(&arguments.file)?;
    let (model, tokens) = arguments.source.load()?;
    let display = Steps::new(arguments.quiet)?;
    let begin = Instant::now();
    let scores = score(&model, &tokens, &questions, &|done, all| {
        display.measuring(done, all, "questions");
        !display.stop()
    });
    display.clear();
    let scores = scores?;
    let share = |right: fn(&Scores) -> bool| scores.iter().filter(|s| right(s)).count() as f64 / scores.len() as f64;
    let accuracy = share(Scores::correct);
    let record = Record {
        model: arguments.source.model.display().to_string(),
        tokenizer: name(&tokens),
        file: arguments.file.display().to_string(),
        questions: scores.len(),
        accuracy,
        accuracy_by_bytes: share(Scores::correct_by_bytes),
        standard_error: (accuracy * (1.0 - accuracy) / scores.len() as f64).sqrt(),
        scores,
        seconds: begin.elapsed().as_secs_f64(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let table = format!(
        "questions          {}\naccuracy           {:.4} ± {:.4}\naccuracy by bytes  {:.4}\nseconds            {:.2}\n",
        record.questions, record.accuracy, record.standard_error, record.accuracy_by_bytes, record.seconds
    );
    answer(arguments.json.as_deref(), &record, &table)
}
