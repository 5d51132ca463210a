//! A model in memory, and its passes over tokens.

use super::attention::BlockCache;
use super::block::{Block, norm};
use super::config::Config;
use super::exponential::surprise;
use super::fault::LmFault;
use super::matrix::Matrix;
use super::positions::Positions;

/// Logits of this many tokens are in memory at a time, where only their targets count.
const ROWS: usize = 64;

/// A language model.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Sizes and constants.
    pub config: Config,
    /// A row per token: vocab × width.
    pub embedding: Matrix,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Scale of the last norm.
    pub norm: Vec<f32>,
    /// The head, vocab × width, where it is not the embedding.
    pub head: Option<Matrix>,
}

/// Keys and values of every block for the tokens so far.
#[derive(Clone, Debug, Default)]
pub struct Cache(Vec<BlockCache>);

impl Cache {
    /// Tokens so far.
    pub fn len(&self) -> usize {
        self.0.first().map_or(0, BlockCache::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all but the first tokens.
    ///
    /// # Panics
    /// There are fewer, or some of them were forgotten.
    #[track_caller]
    pub fn truncate(&mut self, tokens: usize) {
        self.0.iter_mut().for_each(|block| block.truncate(tokens));
    }

    /// Forgets what a model with this window no longer sees.
    pub fn forget_before(&mut self, window: usize) {
        self.0.iter_mut().for_each(|block| block.forget_before(window));
    }
}

impl Model {
    /// Stored numbers.
    pub fn parameters(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |head| head.data().len());
        let blocks: usize = self.blocks.iter().map(Block::parameters).sum();
        self.embedding.data().len() + blocks + self.norm.len() + head
    }

    /// Refuses tokens that the model has no row for.
    ///
    /// # Errors
    /// [`LmFault::Token`].
    pub fn check(&self, tokens: &[u32]) -> Result<(), LmFault> {
        known(tokens, self.embedding.rows())
    }

    /// The stream before the first block: tokens × width.
    ///
    /// # Panics
    /// A token that [`check`](Self::check) refuses.
    #[track_caller]
    pub fn embed(&self, tokens: &[u32]) -> Vec<f32> {
        tokens.iter().flat_map(|token| self.embedding.row(*token as usize)).copied().collect()
    }

    /// Logits of streams after the last block: tokens × vocab.
    pub fn readout(&self, stream: &[f32]) -> Vec<f32> {
        self.end().logits(stream)
    }

    /// What follows the last block.
    pub(super) fn end(&self) -> End<'_> {
        let weights = self.head.as_ref().unwrap_or(&self.embedding);
        End { norm: &self.norm, weights, epsilon: self.config.epsilon }
    }

    /// Logits of every token of one sequence: tokens × vocab.
    pub fn logits(&self, tokens: &[u32]) -> Vec<f32> {
        self.logits_with(tokens, &vec![true; self.blocks.len()])
    }

    /// The same without the blocks that are not kept.
    pub fn logits_with(&self, tokens: &[u32], kept: &[bool]) -> Vec<f32> {
        self.readout(&self.onwards(self.embed(tokens), 0, kept))
    }

    /// The stream after the last block from that before block `from`, without the blocks that are not kept.
    ///
    /// # Shapes
    /// `stream` is tokens × width, of one sequence from position 0; `kept` has an entry for every block of the model.
    #[track_caller]
    pub fn onwards(&self, mut stream: Vec<f32>, from: usize, kept: &[bool]) -> Vec<f32> {
        assert_eq!(kept.len(), self.blocks.len(), "an entry per block");
        let positions = self.positions(&stream);
        for (block, _) in self.blocks.iter().zip(kept).skip(from).filter(|(_, kept)| **kept) {
            block.forward(&mut stream, &positions, None, &self.config);
        }
        stream
    }

    /// The stream before each block, and after the last: blocks + 1 streams, each tokens × width.
    pub fn streams(&self, tokens: &[u32]) -> Vec<Vec<f32>> {
        let mut streams = vec![self.embed(tokens)];
        let positions = self.positions(&streams[0]);
        for block in &self.blocks {
            let mut stream = streams[streams.len() - 1].clone();
            block.forward(&mut stream, &positions, None, &self.config);
            streams.push(stream);
        }
        streams
    }

    /// Positions from 0 of as many tokens as a stream has.
    fn positions(&self, stream: &[f32]) -> Positions {
        Positions::new(&self.config, 0..stream.len() / self.config.width)
    }

    /// A cache without tokens.
    pub fn cache(&self) -> Cache {
        Cache(vec![BlockCache::default(); self.blocks.len()])
    }

    /// The stream after the last block of tokens that follow those of the cache, which learns them: tokens × width.
    #[track_caller]
    pub fn extend(&self, tokens: &[u32], cache: &mut Cache) -> Vec<f32> {
        assert_eq!(cache.0.len(), self.blocks.len(), "a cache of another model");
        let mut stream = self.embed(tokens);
        let start = cache.len();
        let positions = Positions::new(&self.config, start..start + tokens.len());
        for (block, cache) in self.blocks.iter().zip(&mut cache.0) {
            block.forward(&mut stream, &positions, Some(cache), &self.config);
        }
        stream
    }

    /// Logits of the token after those of the cache and `tokens`, which the cache learns.
    ///
    /// # Panics
    /// `tokens` is empty.
    #[track_caller]
    pub fn next(&self, tokens: &[u32], cache: &mut Cache) -> Vec<f32> {
        let stream = self.extend(tokens, cache);
        self.readout(&stream[stream.len() - self.config.width..])
    }

    /// $-\ln p$ of targets, from streams after the last block; a row of logits for few tokens at a time is in memory.
    ///
    /// # Shapes
    /// `stream` is tokens × width, with a target for each token.
    #[track_caller]
    pub fn surprises(&self, stream: &[f32], targets: &[u32]) -> Vec<f64> {
        self.end().surprises(stream, targets)
    }
}

/// The last norm and the head.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    pub norm: &'a [f32],
    pub weights: &'a Matrix,
    pub epsilon: f32,
}

impl End<'_> {
    /// Logits of streams after the last block: tokens × vocab.
    fn logits(self, stream: &[f32]) -> Vec<f32> {
        self.weights.times(&norm(stream, self.norm, self.epsilon))
    }

    /// [`Model::surprises`].
    #[track_caller]
    pub fn surprises(self, stream: &[f32], targets: &[u32]) -> Vec<f64> {
        let (width, vocab) = (self.norm.len(), self.weights.rows());
        assert_eq!(stream.len(), targets.len() * width, "a target per token");
        let parts = stream.chunks(ROWS * width).zip(targets.chunks(ROWS));
        let part = |(stream, targets): (&[f32], &[u32])| -> Vec<f64> {
            let logits = self.logits(stream);
            let rows = logits.chunks_exact(vocab).zip(targets);
            rows.map(|(row, target)| surprise(row, *target as usize)).collect()
        };
        parts.flat_map(part).collect()
    }
}

/// Refuses tokens that a model with `vocab` rows has none for.
pub(super) fn known(tokens: &[u32], vocab: usize) -> Result<(), LmFault> {
    match tokens.iter().position(|token| *token as usize >= vocab) {
        Some(position) => Err(LmFault::Token { token: tokens[position], position, vocab }),
        None => Ok(()),
    }
}
