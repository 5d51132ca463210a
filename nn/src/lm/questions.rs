//! Questions with choices from files: a JSON object on each line, in the layouts of usual data sets.
//!
//! | layout | told by | context | choices | the right one |
//! |---|---|---|---|---|
//! | plain, HellaSwag | | `context`, `query`, `question`, `ctx`, `prompt` or `sentence` | a list of texts under `choices`, `endings` or `options` | `gold`, `answer`, `label` or `answer_index`: a number from 0 or a letter from A |
//! | ARC, OpenBookQA | `answerKey`, or choices with labels | as above, `question_stem`, or `question` with a `stem` | `{"text": […], "label": […]}` or a list of `{"text", "label"}`, beside the question or in it | its label |
//! | PIQA | `sol1` | `goal` | `sol1`, `sol2` | `label`, from 0 |
//! | WinoGrande | `option1` | `sentence` up to its `_`, with an option there | what follows the `_`, the same for both | `answer`: 1 or 2 |
//!
//! Where a line has a `context` and a `question`, they are the context together, a line each. Two names for one thing are
//! refused. Numbers may be texts, and lists of one number. No words are put around what a line says; harnesses write
//! "Question:" and "Answer:" around the questions of some data sets, which moves accuracies by some hundredths.

use super::fault::LmFault;
use serde_json::{Map, Value as Json};
use std::path::Path;

const CONTEXTS: [&str; 8] = ["context", "query", "question", "ctx", "prompt", "sentence", "goal", "question_stem"];
const CHOICES: [&str; 5] = ["choices", "endings", "options", "sol1", "option1"];
const ANSWERS: [&str; 5] = ["gold", "answer", "label", "answer_index", "answerKey"];

/// A question with choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its line in the file, from 1.
    pub line: usize,
    /// What may be said.
    pub choices: Vec<Choice>,
    /// Which of them is right.
    pub answer: usize,
}

/// A continuation, which is scored, and what comes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What comes before.
    pub context: String,
    /// What may follow.
    pub text: String,
}

/// Reads a file of questions.
///
/// # Errors
/// The file cannot be read, has no question, or has a line that is none; the message names the line.
pub fn read_questions(path: &Path) -> Result<Vec<Question>, LmFault> {
    let text = std::fs::read_to_string(path).map_err(LmFault::io(path))?;
    let fault = |line: usize, what: String| LmFault::Question { path: path.to_owned(), line, what };
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let read = |(line, text)| match question(text) {
        Ok((choices, answer)) => Ok(Question { line, choices, answer }),
        Err(what) => Err(fault(line, what)),
    };
    let questions = lines.map(read).collect::<Result<Vec<_>, _>>()?;
    if questions.is_empty() { Err(fault(1, "no questions".to_owned())) } else { Ok(questions) }
}

/// The choices of a line, and the right one.
fn question(line: &str) -> Result<(Vec<Choice>, usize), String> {
    let object: Map<String, Json> =
        serde_json::from_str(line).map_err(|error| format!("expected a JSON object: {error}"))?;
    let line = Line(&object);
    let found = match (line.0.contains_key("sol1"), line.0.contains_key("option1")) {
        (true, _) => line.piqa()?,
        (_, true) => line.winogrande()?,
        _ => line.listed()?,
    };
    match found.0.len() < 2 || found.0.iter().any(|choice| choice.text.trim().is_empty()) {
        true => Err("expected at least two choices, none of them empty".to_owned()),
        false => Ok(found),
    }
}

/// The fields of a line.
struct Line<'a>(&'a Map<String, Json>);

impl Line<'_> {
    /// The field that one of these names names; several of them are refused.
    fn field(&self, names: &[&str]) -> Result<&Json, String> {
        let mut there = names.iter().filter(|name| self.0.contains_key(**name));
        match (there.next(), there.next()) {
            (Some(name), None) => Ok(&self.0[*name]),
            (Some(one), Some(other)) => Err(format!("`{one}` and `{other}` name the same thing: expected one of them")),
            (None, _) => Err(format!("expected one of the fields {}", names.join(", "))),
        }
    }

    fn text(&self, name: &str) -> Result<String, String> {
        text(self.field(&[name])?).ok_or_else(|| format!("`{name}` is no text"))
    }

    /// Lists of choices: plain, HellaSwag, ARC, OpenBookQA.
    fn listed(&self) -> Result<(Vec<Choice>, usize), String> {
        let context = self.context()?;
        let inside = self.0.get("question").and_then(|question| question.get("choices"));
        let listed = match inside {
            Some(inside) if CHOICES.iter().all(|name| !self.0.contains_key(*name)) => inside,
            Some(_) => return Err("choices beside the question and in it: expected one of them".to_owned()),
            None => self.field(&CHOICES)?,
        };
        let (texts, labels) = choices(listed).ok_or("the choices are no list of texts, or of texts with labels")?;
        let answer = self.field(&ANSWERS)?;
        let right = if labels.is_empty() { numbered(answer, 0, texts.len()) } else { labelled(answer, &labels) };
        let expected = || match labels.is_empty() {
            true => format!("expected the right choice as a number below {} or a letter, found {answer}", texts.len()),
            false => format!("expected one of the labels {}, found {answer}", labels.join(", ")),
        };
        let right = right.ok_or_else(expected)?;
        let choice = |text| Choice { context: context.clone(), text };
        Ok((texts.into_iter().map(choice).collect(), right))
    }

    /// What comes before listed choices.
    fn context(&self) -> Result<String, String> {
        let found = |value: &Json| text(value).or_else(|| text(value.get("stem")?)).ok_or("the context is no text");
        if let (Some(context), Some(question)) = (self.0.get("context"), self.0.get("question")) {
            self.field(&CONTEXTS.map(|name| if name == "question" { "context" } else { name })[1..])?;
            return Ok(format!("{}\n{}", found(context)?, found(question)?));
        }
        Ok(found(self.field(&CONTEXTS)?)?)
    }

    /// PIQA: a goal and two ways to it.
    fn piqa(&self) -> Result<(Vec<Choice>, usize), String> {
        self.field(&CONTEXTS)?;
        self.field(&CHOICES)?;
        let context = self.text("goal")?;
        let choices = [self.text("sol1")?, self.text("sol2")?].map(|text| Choice { context: context.clone(), text });
        let answer = self.field(&ANSWERS)?;
        let right =
            numbered(answer, 0, 2).ok_or_else(|| format!("expected the right choice, 0 or 1, found {answer}"))?;
        Ok((choices.to_vec(), right))
    }

    /// WinoGrande: what follows the gap is scored behind either option, since options differ in how frequent they are.
    fn winogrande(&self) -> Result<(Vec<Choice>, usize), String> {
        self.field(&CONTEXTS)?;
        self.field(&CHOICES)?;
        let sentence = self.text("sentence")?;
        let parts = sentence.split_once('_').filter(|(_, after)| !after.contains('_'));
        let (before, after) = parts.ok_or("expected a sentence with one _")?;
        let choice = |option| Choice { context: format!("{before}{option}"), text: after.to_owned() };
        let choices = [self.text("option1")?, self.text("option2")?].map(choice);
        let answer = self.field(&ANSWERS)?;
        let right =
            numbered(answer, 1, 2).ok_or_else(|| format!("expected the right choice, 1 or 2, found {answer}"))?;
        Ok((choices.to_vec(), right))
    }
}

fn text(value: &Json) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Texts, and their labels where they have some.
fn choices(value: &Json) -> Option<(Vec<String>, Vec<String>)> {
    let texts = |all: &Json| all.as_array()?.iter().map(text).collect::<Option<Vec<_>>>();
    if let Some(found) = texts(value) {
        return Some((found, Vec::new()));
    }
    let (found, labels) = match value {
        Json::Array(all) => {
            let each = |name: &str| all.iter().map(|choice| text(choice.get(name)?)).collect::<Option<Vec<_>>>();
            (each("text")?, each("label")?)
        }
        _ => (texts(value.get("text")?)?, texts(value.get("label")?)?),
    };
    (found.len() == labels.len()).then_some((found, labels))
}

/// Where the only choice with this label is.
fn labelled(answer: &Json, labels: &[String]) -> Option<usize> {
    let answer = text(answer).or_else(|| Some(answer.as_u64()?.to_string()))?;
    let mut found = labels.iter().enumerate().filter(|(_, label)| **label == answer.trim());
    let (at, _) = found.next()?;
    found.next().is_none().then_some(at)
}

/// The number of a choice, counted from `first`, or its letter, counted from A.
fn numbered(answer: &Json, first: usize, count: usize) -> Option<usize> {
    let at = match answer {
        Json::Array(one) => return one.first().filter(|_| one.len() == 1).and_then(|one| numbered(one, first, count)),
        Json::String(text) => match text.trim().as_bytes() {
            [letter @ b'A'..=b'Z'] => usize::from(letter - b'A'),
            _ => text.trim().parse::<usize>().ok()?.checked_sub(first)?,
        },
        _ => usize::try_from(answer.as_u64()?).ok()?.checked_sub(first)?,
    };
    (at < count).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (Vec<(String, String)>, usize) {
        let (choices, answer) = question(line).unwrap();
        (choices.into_iter().map(|choice| (choice.context, choice.text)).collect(), answer)
    }

    fn expected(context: &str, choices: &[&str], answer: usize) -> (Vec<(String, String)>, usize) {
        (choices.iter().map(|choice| (context.to_owned(), (*choice).to_owned())).collect(), answer)
    }

    #[test]
    fn plain_questions_are_read_under_their_usual_names() {
        let same = expected("A", &["b", "c"], 1);
        for line in [
            r#"{"ctx_a": "x", "ctx": "A", "endings": ["b", "c"], "label": "1"}"#,
            r#"{"query": "A", "choices": ["b", "c"], "gold": 1}"#,
            r#"{"query": "A", "choices": ["b", "c"], "gold": [1]}"#,
            r#"{"question": "A", "options": ["b", "c"], "answer": "B"}"#,
            r#"{"prompt": "A", "choices": ["b", "c"], "answer_index": 1}"#,
        ] {
            assert_eq!(read(line), same, "{line}");
        }
        let both = r#"{"question": "Which?", "context": "Long ago.", "choices": ["b", "c"], "gold": 0}"#;
        assert_eq!(read(both), expected("Long ago.\nWhich?", &["b", "c"], 0));
    }

    #[test]
    fn labelled_choices_are_read() {
        let same = expected("Why?", &["b", "c", "d"], 2);
        for line in [
            r#"{"question": "Why?", "choices": {"text": ["b", "c", "d"], "label": ["A", "B", "C"]}, "answerKey": "C"}"#,
            r#"{"question": "Why?", "choices": {"text": ["b", "c", "d"], "label": ["1", "2", "3"]}, "answerKey": "3"}"#,
            r#"{"question": "Why?", "choices": {"text": ["b", "c", "d"], "label": ["1", "2", "3"]}, "answerKey": 3}"#,
            r#"{"question": {"stem": "Why?", "choices": [{"text": "b", "label": "A"}, {"text": "c", "label": "B"},
                {"text": "d", "label": "C"}]}, "answerKey": "C"}"#,
            r#"{"question": {"stem": "Why?"}, "choices": [{"text": "b", "label": "X"}, {"text": "c", "label": "Y"},
                {"text": "d", "label": "Z"}], "answerKey": "Z"}"#,
            r#"{"question_stem": "Why?", "choices": ["b", "c", "d"], "answerKey": "C"}"#,
        ] {
            assert_eq!(read(line), same, "{line}");
        }
    }

    #[test]
    fn goals_and_gaps_are_read() {
        let piqa = r#"{"goal": "Boil water.", "sol1": "Use a kettle.", "sol2": "Use a sieve.", "label": 0}"#;
        assert_eq!(read(piqa), expected("Boil water.", &["Use a kettle.", "Use a sieve."], 0));
        let gap = r#"{"sentence": "Ann told Eve that _ was late.", "option1": "Ann", "option2": "Eve", "answer": "2"}"#;
        let behind = |option: &str| (format!("Ann told Eve that {option}"), " was late.".to_owned());
        assert_eq!(read(gap), (vec![behind("Ann"), behind("Eve")], 1));
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for (line, what) in [
            ("[]", "JSON object"),
            ("{", "JSON object"),
            ("{}", "context"),
            (r#"{"query": 1, "choices": ["b", "c"], "gold": 1}"#, "no text"),
            (r#"{"query": "A", "choices": ["b"], "gold": 0}"#, "two choices"),
            (r#"{"query": "A", "choices": ["b", ""], "gold": 0}"#, "none of them empty"),
            (r#"{"query": "A", "choices": ["b", "c"], "gold": 2}"#, "below 2"),
            (r#"{"query": "A", "choices": ["b", "c"], "gold": -1}"#, "below 2"),
            (r#"{"query": "A", "choices": ["b", "c"], "gold": "C"}"#, "below 2"),
            (r#"{"query": "A", "choices": ["b", "c"], "gold": [0, 1]}"#, "below 2"),
            (r#"{"query": "A", "choices": ["b", "c"]}"#, "gold"),
            (r#"{"query": "A", "choices": ["b", "c"], "gold": 0, "label": 1}"#, "`gold` and `label`"),
            (r#"{"query": "A", "choices": ["b", "c"], "endings": ["d", "e"], "gold": 0}"#, "`choices` and `endings`"),
            (r#"{"query": "A", "ctx": "B", "choices": ["b", "c"], "gold": 0}"#, "`query` and `ctx`"),
            (
                r#"{"context": "A", "question": "B", "ctx": "C", "choices": ["b", "c"], "gold": 0}"#,
                "`context` and `ctx`",
            ),
            (r#"{"question": "A", "choices": {"text": ["b", "c"], "label": ["A"]}, "answerKey": "A"}"#, "no list"),
            (r#"{"question": "A", "choices": {"text": ["b", "c"], "label": ["A", "B"]}, "answerKey": "C"}"#, "A, B"),
            (r#"{"question": "A", "choices": {"text": ["b", "c"], "label": ["A", "A"]}, "answerKey": "A"}"#, "A, A"),
            (r#"{"goal": "A", "sol1": "b", "label": 0}"#, "sol2"),
            (r#"{"goal": "A", "sol1": "b", "sol2": "c", "choices": ["d", "e"], "label": 0}"#, "`choices` and `sol1`"),
            (r#"{"sentence": "A", "option1": "b", "option2": "c", "answer": "1"}"#, "one _"),
            (r#"{"sentence": "A _", "option1": "b", "option2": "c", "answer": "1"}"#, "none of them empty"),
            (r#"{"sentence": "A _ d", "option1": "b", "option2": "c", "answer": ""}"#, "1 or 2"),
            (r#"{"sentence": "A _ d", "option1": "b", "option2": "c", "answer": "0"}"#, "1 or 2"),
        ] {
            let found = question(line).unwrap_err();
            assert!(found.contains(what), "{line}: {found}");
        }
    }
}
