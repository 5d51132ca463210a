//! `secateur lm choices`: which of several continuations a model finds likeliest.

use super::{Source, answer, ended, name};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress::Steps;
use clap::Args;
use secateur_bench_suites::watcher::Watcher;
use secateur_nn::lm::choices::{Scores, score};
use secateur_nn::lm::questions::read_questions;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Answer questions with choices by the likelihood of each, whole and over its bytes.
///
/// A line of the file is a JSON object in one of these layouts.
///
/// Plain (HellaSwag): the context under context, query, question, ctx, prompt or sentence; a list of continuations under
/// choices, endings or options; the right one under gold, answer, label or answer_index, as a number from 0 or a letter
/// from A. A context and a question together are the context, a line each.
///
/// ARC, OpenBookQA: the context under question, question.stem or question_stem; choices with labels, as {"text": [...],
/// "label": [...]} or as a list of {"text", "label"}; the label of the right one under answerKey.
///
/// PIQA: goal, sol1, sol2; label 0 or 1.
///
/// WinoGrande: sentence with one _, option1, option2; answer 1 or 2. Scored is what follows the _, behind each option.
///
/// Numbers may be texts, and lists of one number; two names for one thing are refused. Where a context is too long for the
/// model, its beginning is left out, and the record counts the questions.
#[derive(Args)]
#[command(verbatim_doc_comment)]
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
    /// Questions whose contexts lost their beginning, since the model takes no more.
    cut: usize,
    scores: Vec<Scores>,
    seconds: f64,
    version: String,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    output::check(&[arguments.source.model.as_path(), &arguments.file], &[], arguments.json.as_ref())?;
    let questions = read_questions(&arguments.file)?;
    let (model, tokens) = arguments.source.load()?;
    let display = Steps::new(arguments.quiet)?;
    let begin = Instant::now();
    let scores = score(&model, &tokens, &questions, &|done, all| {
        display.measuring(done, all, "questions");
        !display.stop()
    });
    let scores = scores.map_err(|fault| ended(&display, "questions", fault));
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
        cut: scores.iter().filter(|scores| scores.cut > 0).count(),
        scores,
        seconds: begin.elapsed().as_secs_f64(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let table = format!(
        "questions          {}\naccuracy           {:.4} ± {:.4}\naccuracy by bytes  {:.4}\ncontexts cut       {}\nseconds            {:.2}\n",
        record.questions, record.accuracy, record.standard_error, record.accuracy_by_bytes, record.cut, record.seconds
    );
    answer(arguments.json.as_deref(), &record, &table)
}
