//! Questions with choices: which continuation a model finds likeliest.
//!
//! $$ s_c = \sum_{t \in c} \ln p(t \mid \text{context and tokens of } c \text{ before}), \qquad
//!    \bar s_c = s_c / \text{bytes}(c). $$
//!
//! A file has a JSON object on each line with
//!
//! | meaning | names |
//! |---|---|
//! | the context | `context`, `query`, `question`, `ctx`, `prompt`, `sentence` |
//! | a list of continuations | `choices`, `endings`, `options` |
//! | the right one, from 0, as a number or as text | `gold`, `answer`, `label`, `answer_index` |
//!
//! Context and continuation are joined by a space, unless one of them brings white space there. The tokens of a
//! continuation are those of both together without those of the context, as in the harness of EleutherAI; where the
//! two together are tokenised otherwise at the seam, tokens from the first that differs on are the continuation's.

use super::fault::LmFault;
use super::model::Model;
use super::tokens::Tokens;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value as Json;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

const CONTEXTS: [&str; 6] = ["context", "query", "question", "ctx", "prompt", "sentence"];
const CHOICES: [&str; 3] = ["choices", "endings", "options"];
const ANSWERS: [&str; 4] = ["gold", "answer", "label", "answer_index"];

/// A question with choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What comes before.
    pub context: String,
    /// What may follow.
    pub choices: Vec<String>,
    /// Which of them is right.
    pub answer: usize,
}

/// Scores of the choices of a question.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scores {
    /// $s_c$.
    pub log_likelihoods: Vec<f64>,
    /// $\bar s_c$.
    pub by_bytes: Vec<f64>,
    /// The right one.
    pub answer: usize,
}

impl Scores {
    /// Whether the right choice has the largest $s_c$, the first of equals counting.
    pub fn correct(&self) -> bool {
        largest(&self.log_likelihoods) == self.answer
    }

    /// Whether it has the largest $\bar s_c$.
    pub fn correct_by_bytes(&self) -> bool {
        largest(&self.by_bytes) == self.answer
    }
}

fn largest(scores: &[f64]) -> usize {
    (1..scores.len()).fold(0, |best, at| if scores[at] > scores[best] { at } else { best })
}

/// Reads a file of questions.
///
/// # Errors
/// The file cannot be read, has no question, or has a line that is none.
pub fn read_questions(path: &Path) -> Result<Vec<Question>, LmFault> {
    let text = std::fs::read_to_string(path).map_err(LmFault::io(path))?;
    let fault = |line: usize, what: String| LmFault::Question { path: path.to_owned(), line, what };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let questions = lines.map(|(at, line)| question(line).map_err(|what| fault(at + 1, what)));
    let questions = questions.collect::<Result<Vec<_>, _>>()?;
    if questions.is_empty() { Err(fault(1, "no questions".to_owned())) } else { Ok(questions) }
}

fn question(line: &str) -> Result<Question, String> {
    let object: Json = serde_json::from_str(line).map_err(|error| format!("expected a JSON object: {error}"))?;
    let field = |names: &[&str]| {
        let found = names.iter().find_map(|name| object.get(name));
        found.ok_or_else(|| format!("expected one of the fields {}", names.join(", ")))
    };
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let context = text(field(&CONTEXTS)?).ok_or("the context is no text")?;
    let choices = field(&CHOICES)?.as_array().and_then(|all| all.iter().map(text).collect::<Option<Vec<_>>>());
    let choices = choices.ok_or("the choices are no list of texts")?;
    if choices.len() < 2 || choices.iter().any(String::is_empty) {
        return Err("expected at least two choices, none of them empty".to_owned());
    }
    let answer = field(&ANSWERS)?;
    let number = answer.as_u64().or_else(|| answer.as_str()?.trim().parse().ok()).and_then(|n| usize::try_from(n).ok());
    let answer = number.filter(|number| *number < choices.len());
    let answer = answer.ok_or_else(|| format!("expected the number of the right choice, below {}", choices.len()))?;
    Ok(Question { context, choices, answer })
}

/// Scores every question, shared among threads; `heard` gets questions done and all, and says whether to go on.
///
/// # Errors
/// A question is longer than the model's context, has tokens that the model has no row for, or has no two tokens; the
/// caller stopped.
pub fn score(
    model: &Model,
    tokens: &Tokens,
    questions: &[Question],
    heard: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Result<Vec<Scores>, LmFault> {
    let done = AtomicUsize::new(0);
    let one = |question: &Question| {
        if !heard(done.load(Ordering::Relaxed), questions.len()) {
            return Err(LmFault::Stopped);
        }
        let scores = scores(model, tokens, question)?;
        done.fetch_add(1, Ordering::Relaxed);
        Ok(scores)
    };
    questions.par_iter().map(one).collect()
}

fn scores(model: &Model, tokens: &Tokens, question: &Question) -> Result<Scores, LmFault> {
    let context = tokens.encode(&question.context, true)?;
    let mut log_likelihoods = Vec::new();
    let mut cache = model.cache();
    let mut held: Vec<u32> = Vec::new();
    for choice in &question.choices {
        let whole = tokens.encode(&joined(&question.context, choice), true)?;
        model.check(&whole)?;
        if whole.len() < 2 {
            return Err(LmFault::Short { expected: 2, found: whole.len() });
        }
        if whole.len() > model.config.context {
            return Err(LmFault::Context { context: model.config.context, found: whole.len() });
        }
        // The first token of all has nothing before it; what the last predicts is not scored.
        let first = common(&context, &whole).clamp(1, whole.len() - 1);
        let reused = common(&held, &whole).min(first - 1);
        cache.truncate(reused);
        let seen = &whole[..whole.len() - 1];
        let stream = model.extend(&seen[reused..], &mut cache);
        held = seen.to_vec();
        let rows = &stream[(first - 1 - reused) * model.config.width..];
        log_likelihoods.push(-model.surprises(rows, &whole[first..]).iter().sum::<f64>());
    }
    let by_bytes = log_likelihoods.iter().zip(&question.choices).map(|(s, choice)| s / choice.len() as f64).collect();
    Ok(Scores { log_likelihoods, by_bytes, answer: question.answer })
}

/// Context and continuation with white space between.
fn joined(context: &str, choice: &str) -> String {
    let spaced =
        context.is_empty() || context.ends_with(char::is_whitespace) || choice.starts_with(char::is_whitespace);
    format!("{context}{}{choice}", if spaced { "" } else { " " })
}

/// Tokens that two sequences begin with.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_under_their_usual_names() {
        let line = r#"{"ctx": "A", "endings": ["b", "c"], "label": "1"}"#;
        let expected = Question { context: "A".to_owned(), choices: vec!["b".to_owned(), "c".to_owned()], answer: 1 };
        assert_eq!(question(line), Ok(expected.clone()));
        assert_eq!(question(r#"{"query": "A", "choices": ["b", "c"], "gold": 1}"#), Ok(expected));
        for (line, what) in [
            ("[]", "context"),
            ("{", "JSON"),
            (r#"{"query": 1, "choices": ["b", "c"], "gold": 1}"#, "no text"),
            (r#"{"query": "A", "choices": ["b"], "gold": 0}"#, "two choices"),
            (r#"{"query": "A", "choices": ["b", "c"], "gold": 2}"#, "below 2"),
            (r#"{"query": "A", "choices": ["b", "c"], "gold": -1}"#, "below 2"),
            (r#"{"query": "A", "choices": ["b", "c"]}"#, "gold"),
        ] {
            assert!(question(line).unwrap_err().contains(what), "{line}");
        }
    }

    #[test]
    fn seams_have_one_space() {
        assert_eq!((joined("A", "b"), joined("A ", "b"), joined("A", " b"), joined("", "b")), {
            ("A b".to_owned(), "A b".to_owned(), "A b".to_owned(), "b".to_owned())
        });
    }
}
