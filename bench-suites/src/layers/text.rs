//! Sequences of tokens: some of the text at random places, and some of its end that is held out.

use super::config::Config;
use crate::texts::Source;
use crate::theory::StudyError;
use secateur_linalg::random::Random;
use secateur_nn::lm::Model;
use std::path::Path;

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
        let Config { text, model: folder, tokenizer, .. } = config;
        let source = Source { base, text, model: folder, tokenizer: tokenizer.as_deref() };
        let [first, last] = source.parts(config.held_out, model)?;
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
