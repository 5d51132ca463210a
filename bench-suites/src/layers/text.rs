//! Sequences of tokens: some of the text at random places, and some of its end that is held out.

use super::config::Config;
use crate::theory::StudyError;
use secateur_linalg::random::Random;
use secateur_nn::NnError;
use secateur_nn::lm::{Model, Tokens};
use std::path::Path;

/// The tokenizer of models whose tokens are bytes.
const BYTES: &str = "bytes";

/// Sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Texts {
    /// What masks are measured on.
    pub measured: Vec<Vec<u32>>,
    /// What was held out.
    pub held_out: Vec<Vec<u32>>,
}

impl Texts {
    /// Reads the text, and cuts it.
    pub fn read(config: &Config, base: &Path, model: &Model) -> Result<Self, StudyError> {
        let path = base.join(&config.text);
        let text = std::fs::read_to_string(&path).map_err(|source| StudyError::Io { path, source })?;
        let mut cut = ((1.0 - config.held_out) * text.len() as f64) as usize;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let (first, last) = text.split_at(cut);
        let (first, last) = (encode(config, base, first)?, encode(config, base, last)?);
        let room = config.length - usize::from(model.config.bos.is_some());
        let begin =
            |tokens: &[u32]| -> Vec<u32> { model.config.bos.into_iter().chain(tokens.iter().copied()).collect() };
        let short = |key, asked, found: &[u32]| StudyError::TooFewSamples { key, asked, found: found.len() / room };
        if first.len() < room {
            return Err(short("sequences", config.sequences, &first));
        }
        if last.len() < room * config.held_out_sequences {
            return Err(short("held-out-sequences", config.held_out_sequences, &last));
        }
        let mut random = Random::stream(config.data_seed, 0);
        let mut place = || random.index(first.len() - room + 1);
        let measured = (0..config.sequences).map(|_| place()).map(|at| begin(&first[at..at + room])).collect();
        // As far from each other as the end allows.
        let apart = last.len() / config.held_out_sequences;
        let held_out = (0..config.held_out_sequences).map(|at| begin(&last[at * apart..at * apart + room])).collect();
        Ok(Self { measured, held_out })
    }
}

fn encode(config: &Config, base: &Path, text: &str) -> Result<Vec<u32>, StudyError> {
    let tokens = match config.tokenizer.as_deref() {
        Some(BYTES) => return Ok(text.bytes().map(u32::from).collect()),
        Some(file) => Tokens::open(base.join(file)),
        None => Tokens::beside(&base.join(&config.model)),
    };
    let fault = |fault| StudyError::Network(NnError::from(fault));
    tokens.map_err(fault)?.encode(text, false).map_err(fault)
}
