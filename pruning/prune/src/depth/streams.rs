//! Calibration tokens, and their residual streams on the way through a model.

use super::progress::Progress;
use super::scores::cosine;
use super::source::Source;
use crate::error::PruneError;
use rayon::prelude::*;
use secateur_linalg::random::Random;
use secateur_nn::lm::{Block, Config, LmFault, Positions, norm};
use serde::Serialize;

/// Sequences of tokens that a model is looked at on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sequences(Vec<Vec<u32>>);

impl Sequences {
    /// Sequences given one by one.
    ///
    /// # Errors
    /// There is none, or one has fewer than two tokens: nothing is predicted in it.
    pub fn new(sequences: Vec<Vec<u32>>) -> Result<Self, PruneError> {
        match sequences.iter().map(Vec::len).min() {
            None => Err(PruneError::Empty),
            Some(found @ 0..2) => Err(LmFault::Short { expected: 2, found }.into()),
            Some(_) => Ok(Self(sequences)),
        }
    }

    /// Up to `count` stretches of a text of `length` tokens each, which do not overlap, drawn without replacement; all
    /// there are where they are fewer. With `bos` it is the first token of each.
    ///
    /// # Errors
    /// No sequence is asked for, or one of fewer than two tokens; the text has no stretch of that length.
    pub fn draw(tokens: &[u32], count: usize, length: usize, bos: Option<u32>, seed: u64) -> Result<Self, PruneError> {
        for (what, least, found) in [("sequences", 1, count), ("tokens of a sequence", 2, length)] {
            if found < least {
                return Err(PruneError::AtLeast { what, least, found });
            }
        }
        let room = length - usize::from(bos.is_some());
        if tokens.len() < room {
            return Err(LmFault::Short { expected: room, found: tokens.len() }.into());
        }
        let stretches: Vec<&[u32]> = tokens.chunks_exact(room).collect();
        let mut drawn = Random::new(seed).permutation(stretches.len());
        drawn.truncate(count);
        // In the order of the text: what is drawn is a set.
        drawn.sort_unstable();
        let begun = |at: &usize| bos.into_iter().chain(stretches[*at].iter().copied()).collect();
        Self::new(drawn.iter().map(begun).collect())
    }

    /// The sequences.
    pub fn all(&self) -> &[Vec<u32>] {
        &self.0
    }

    /// Tokens of all sequences.
    pub fn tokens(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// The longest sequence.
    pub fn longest(&self) -> usize {
        self.0.iter().map(Vec::len).max().unwrap_or(0)
    }
}

/// The residual stream of every sequence at one place of a model: tokens × width each.
#[derive(Clone, Debug)]
pub struct Streams {
    streams: Vec<Vec<f32>>,
    positions: Positions,
    config: Config,
}

impl Streams {
    /// The streams before the first block.
    ///
    /// # Errors
    /// The embedding cannot be read, or has no row for a token.
    pub fn embed(source: &impl Source, sequences: &Sequences) -> Result<Self, PruneError> {
        let embedding = source.embedding()?;
        let vocab = embedding.rows();
        for tokens in sequences.all() {
            if let Some(position) = tokens.iter().position(|token| *token as usize >= vocab) {
                return Err(LmFault::Token { token: tokens[position], position, vocab }.into());
            }
        }
        let row = |token: &u32| embedding.row(*token as usize).iter().copied();
        let streams = sequences.all().iter().map(|tokens| tokens.iter().flat_map(row).collect()).collect();
        let config = source.config().clone();
        let positions = Positions::new(&config, 0..sequences.longest());
        Ok(Self { streams, positions, config })
    }

    /// The streams one by one.
    pub fn all(&self) -> &[Vec<f32>] {
        &self.streams
    }

    /// Sizes and constants of the model.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The positions of a stream's tokens.
    pub fn positions(&self, stream: &[f32]) -> Positions {
        let tokens = stream.len() / self.config.width;
        if tokens == self.positions.len() { self.positions.clone() } else { Positions::new(&self.config, 0..tokens) }
    }

    /// A stream as attention or an MLP sees it behind a norm without scale.
    pub fn normed(&self, stream: &[f32]) -> Vec<f32> {
        norm(stream, &vec![1.0; self.config.width], self.config.epsilon)
    }

    /// Takes every stream through a block.
    ///
    /// # Errors
    /// The caller stopped.
    pub fn advance(&mut self, block: &Block, progress: &dyn Progress) -> Result<(), PruneError> {
        self.pass(block, progress, false).map(|_| ())
    }

    /// The same; the sum over all tokens of the cosine between the streams before and after.
    ///
    /// # Errors
    /// The caller stopped.
    pub fn turned(&mut self, block: &Block, progress: &dyn Progress) -> Result<f64, PruneError> {
        Ok(self.pass(block, progress, true)?.into_iter().sum())
    }

    /// Takes streams through a block, and sums up cosines where they are asked for.
    fn pass(&mut self, block: &Block, progress: &dyn Progress, cosines: bool) -> Result<Vec<f64>, PruneError> {
        let (config, positions) = (&self.config, &self.positions);
        let one = |stream: &mut Vec<f32>| {
            progress.go_on()?;
            let before = if cosines { stream.clone() } else { Vec::new() };
            let tokens = stream.len() / config.width;
            if tokens == positions.len() {
                block.forward(stream, positions, None, config);
            } else {
                block.forward(stream, &Positions::new(config, 0..tokens), None, config);
            }
            let rows = before.chunks_exact(config.width).zip(stream.chunks_exact(config.width));
            Ok(rows.map(|(before, after)| cosine(before, after)).sum())
        };
        self.streams.par_iter_mut().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::progress::Silent;
    use crate::depth::testing::{Shape, relative, tokens};

    #[test]
    fn stretches_are_disjoint_and_begin_as_asked() {
        let text: Vec<u32> = (0..100).collect();
        let drawn = Sequences::draw(&text, 4, 11, Some(7), 3).expect("enough text");
        assert_eq!((drawn.all().len(), drawn.tokens(), drawn.longest()), (4, 44, 11));
        let mut seen: Vec<u32> = drawn.all().iter().flat_map(|tokens| tokens[1..].to_vec()).collect();
        seen.dedup();
        assert!(seen.len() == 40 && drawn.all().iter().all(|tokens| tokens[0] == 7 && tokens[1] % 10 == 0));
        assert_ne!(Sequences::draw(&text, 4, 11, Some(7), 4).expect("enough text"), drawn);
        assert_eq!(Sequences::draw(&text, 99, 10, None, 3).expect("all there are").all().len(), 10);
        assert_eq!(Sequences::draw(&text, 4, 2, Some(7), 3).expect("all there are").longest(), 2);
        let fault =
            |count, length, bos| Sequences::draw(&text, count, length, bos, 3).expect_err("refused").to_string();
        assert_eq!(fault(4, 101, None), "100 tokens: expected at least 101");
        for bos in [None, Some(7)] {
            assert_eq!(fault(0, 9, bos), "sequences: expected 1 or more, found 0");
            assert_eq!(fault(4, 0, bos), "tokens of a sequence: expected 2 or more, found 0");
            assert_eq!(fault(4, 1, bos), "tokens of a sequence: expected 2 or more, found 1");
        }
    }

    #[test]
    fn streams_are_those_of_the_model() {
        let model = Shape::small(4).model(2);
        let texts = vec![tokens(&model.config, 9, 1), tokens(&model.config, 5, 2)];
        let sequences = Sequences::new(texts.clone()).expect("tokens");
        let mut streams = Streams::embed(&model, &sequences).expect("known tokens");
        for block in &model.blocks {
            streams.advance(block, &Silent).expect("not stopped");
        }
        for (stream, text) in streams.all().iter().zip(&texts) {
            // The same operations, perhaps on other tiles of rows.
            assert!(relative(stream, &model.streams(text)[4]) < 1e-6);
        }
        let unknown = Sequences::new(vec![vec![0, 999]]).expect("tokens");
        assert!(Streams::embed(&model, &unknown).is_err());
    }
}
