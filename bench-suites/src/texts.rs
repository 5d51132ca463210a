//! Texts of language models, as tokens.

use crate::theory::StudyError;
use secateur_nn::NnError;
use secateur_nn::lm::{Model, Tokens};
use std::path::Path;

/// The tokenizer of models whose tokens 0 to 255 are bytes.
const BYTES: &str = "bytes";

/// Where a text and its tokens are from; paths begin at `base`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// The directory of the configuration.
    pub base: &'a Path,
    /// The text (UTF-8).
    pub text: &'a Path,
    /// The model's folder or file.
    pub model: &'a Path,
    /// The tokenizer's file, or `bytes`; the one beside the model without one.
    pub tokenizer: Option<&'a str>,
}

impl Source<'_> {
    /// The beginning of the text, and a share of its end that is held out: tokens that the model has.
    ///
    /// # Errors
    /// A file cannot be read, the text is not in UTF-8, or a token is none of the model's.
    pub fn parts(&self, held_out: f64, model: &Model) -> Result<[Vec<u32>; 2], StudyError> {
        let path = self.base.join(self.text);
        let text = std::fs::read_to_string(&path).map_err(|source| StudyError::Io { path, source })?;
        let mut at = ((1.0 - held_out) * text.len() as f64) as usize;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let (first, last) = text.split_at(at);
        let parts = [self.encode(first)?, self.encode(last)?];
        parts.iter().try_for_each(|tokens| model.check(tokens)).map_err(NnError::from)?;
        Ok(parts)
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, StudyError> {
        let tokens = match self.tokenizer {
            Some(BYTES) => return Ok(text.bytes().map(u32::from).collect()),
            Some(file) => Tokens::open(self.base.join(file)),
            None => Tokens::beside(&self.base.join(self.model)),
        };
        Ok(tokens.map_err(NnError::from)?.encode(text, false).map_err(NnError::from)?)
    }
}
