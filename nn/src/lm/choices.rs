//! Questions with choices: which continuation a model finds likeliest.
//!
//! $$ s_c = \sum_{t \in c} \ln p(t \mid \text{context and tokens of } c \text{ before}), \qquad
//!    \bar s_c = s_c / \text{bytes}(c). $$
//!
//! [`questions`](super::questions) reads them from files.
//!
//! Context and continuation are joined by a space, unless one of them brings white space there. The tokens of a
//! continuation are those of both together without those of the context, as in the harness of EleutherAI; where the
//! two together are tokenised otherwise at the seam, tokens from the first that differs on are the continuation's. Where both
//! are longer than the model takes, tokens at the beginning go, also as there.

use super::fault::LmFault;
use super::model::Model;
use super::questions::{Choice, Question};
use super::tokens::Tokens;
use rayon::prelude::*;
use serde::Serialize;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    /// Tokens that were left out at the beginning, of the choice where they are most.
    pub cut: usize,
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

/// Scores every question, shared among threads; `heard` gets questions done and all, and says whether to go on.
///
/// # Errors
/// A choice is longer than the model's context, has tokens that the model has no row for, or is alone and has no two
/// tokens; a likelihood is not finite; the caller stopped.
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
    let line = question.line;
    let (mut log_likelihoods, mut by_bytes, mut cut) = (Vec::new(), Vec::new(), 0);
    let mut cache = model.cache();
    let mut held: Vec<u32> = Vec::new();
    for (number, choice) in question.choices.iter().enumerate() {
        let Asked { tokens: whole, first, cut: left } = Asked::new(model, tokens, choice, [line, number])?;
        let reused = common(&held, &whole).min(first - 1);
        cache.truncate(reused);
        // What the last token predicts is not scored.
        let seen = &whole[..whole.len() - 1];
        let stream = model.extend(&seen[reused..], &mut cache);
        held = seen.to_vec();
        let rows = &stream[(first - 1 - reused) * model.config.width..];
        let found = -model.surprises(rows, &whole[first..]).iter().sum::<f64>();
        if !found.is_finite() {
            return Err(LmFault::Likelihood { line, choice: number });
        }
        log_likelihoods.push(found);
        by_bytes.push(found / choice.text.len() as f64);
        cut = cut.max(left);
    }
    Ok(Scores { log_likelihoods, by_bytes, answer: question.answer, cut })
}

/// A choice behind its context, as tokens that the model takes.
struct Asked {
    tokens: Vec<u32>,
    /// The first that is scored.
    first: usize,
    /// Tokens that were left out at the beginning.
    cut: usize,
}

impl Asked {
    fn new(model: &Model, tokens: &Tokens, choice: &Choice, [line, number]: [usize; 2]) -> Result<Self, LmFault> {
        let mut whole = tokens.encode(&joined(&choice.context, &choice.text), true)?;
        model.check(&whole)?;
        if whole.len() < 2 {
            return Err(LmFault::Short { expected: 2, found: whole.len() });
        }
        // The first token of all has nothing before it.
        let first = common(&tokens.encode(&choice.context, true)?, &whole).clamp(1, whole.len() - 1);
        let (context, found) = (model.config.context, whole.len() - first);
        if found > context {
            return Err(LmFault::Choice { line, choice: number, context, found });
        }
        // The last token is predicted and not read.
        let cut = whole.len().saturating_sub(context + 1);
        whole.drain(..cut);
        Ok(Self { tokens: whole, first: first - cut, cut })
    }
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
    fn seams_have_one_space() {
        assert_eq!((joined("A", "b"), joined("A ", "b"), joined("A", " b"), joined("", "b")), {
            ("A b".to_owned(), "A b".to_owned(), "A b".to_owned(), "b".to_owned())
        });
    }
}
