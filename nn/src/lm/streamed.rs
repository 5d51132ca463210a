//! Perplexity of a model that is larger than memory: a block is in memory while streams pass through it.
//!
//! ```text
//! for each group of windows, as many as their streams leave room for
//!     the streams of their tokens                       embedding
//!     for each block: read it, take all streams through it
//!     -ln p of their scored tokens                      last norm, head
//! ```
//!
//! A window passes through the operations of [`perplexity`](super::perplexity()) in their order, so the result is the
//! same to the last bit with as many threads. The next block is not read ahead: with a group of thousands of tokens
//! reading takes far less time than computing, and a second block would take as much memory as those streams.

use super::block::Block;
use super::checkpoint::Checkpoint;
use super::fault::LmFault;
use super::model::End;
use super::perplexity::{Cut, Parts, Perplexity, Window};
use super::positions::Positions;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;

/// How well a model predicts a text, and how often it was read for that.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Streamed {
    /// How well.
    #[serde(flatten)]
    pub perplexity: Perplexity,
    /// Groups of windows, each of which reads the model once.
    pub reads: usize,
}

/// [`perplexity`](super::perplexity()) of a model in files, whose blocks are read one after the other, once for every
/// group of windows whose streams take at most `memory` bytes, or of a single window that takes more.
///
/// Beside those streams, what is in memory at a time is a block or the head in 32 bits, and what threads compute in
/// between, a window each. `heard` is asked before every block of every window.
///
/// # Errors
/// As [`perplexity`](super::perplexity()); a file cannot be read, or a weight is not finite.
pub fn streamed(
    checkpoint: &Checkpoint,
    tokens: &[u32],
    context: usize,
    stride: usize,
    bos: Option<u32>,
    memory: usize,
    heard: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Result<Streamed, LmFault> {
    let config = checkpoint.config();
    let cut = Cut::new(config, tokens, context, stride, bos)?;
    // The last part of a window is the head.
    let parts = Parts { each: config.blocks + 1, windows: cut.windows.len(), heard, done: AtomicUsize::new(0) };
    let groups = groups(&cut, memory / (config.width * size_of::<f32>()));
    let mut sums = Vec::with_capacity(cut.windows.len());
    for group in &groups {
        let mut streams = embedded(checkpoint, &cut, group)?;
        let positions = angles(checkpoint, &streams);
        for number in 0..config.blocks {
            advance(&checkpoint.block(number)?, &mut streams, &positions, checkpoint, &parts)?;
        }
        sums.extend(scored(checkpoint, &cut, group, &streams, &parts)?);
    }
    Ok(Streamed { perplexity: cut.perplexity(&sums)?, reads: groups.len() })
}

/// Neighbouring windows whose streams have at most so many rows, or one that has more.
fn groups<'a>(cut: &'a Cut<'_>, rows: usize) -> Vec<&'a [Window]> {
    let (mut found, mut begin, mut filled) = (Vec::new(), 0, 0);
    for (at, window) in cut.windows.iter().enumerate() {
        let tokens = cut.seen(window).len();
        if filled > 0 && tokens > 0 && filled + tokens > rows {
            found.push(&cut.windows[begin..at]);
            (begin, filled) = (at, 0);
        }
        filled += tokens;
    }
    found.push(&cut.windows[begin..]);
    found
}

/// The streams before the first block: tokens × width for each window.
fn embedded(checkpoint: &Checkpoint, cut: &Cut<'_>, group: &[Window]) -> Result<Vec<Vec<f32>>, LmFault> {
    let embedding = checkpoint.embedding()?;
    let stream = |window: &Window| {
        let tokens = cut.seen(window);
        // No more than the rows: a group is as large as memory allows.
        let mut stream = Vec::with_capacity(tokens.len() * embedding.cols());
        tokens.iter().for_each(|token| stream.extend_from_slice(embedding.row(*token as usize)));
        stream
    };
    Ok(group.iter().map(stream).collect())
}

/// Positions for every length of a stream.
fn angles(checkpoint: &Checkpoint, streams: &[Vec<f32>]) -> BTreeMap<usize, Positions> {
    let config = checkpoint.config();
    let mut found = BTreeMap::new();
    for stream in streams {
        let positions = || Positions::new(config, 0..stream.len() / config.width);
        found.entry(stream.len()).or_insert_with(positions);
    }
    found
}

/// Takes every stream through a block.
fn advance(
    block: &Block,
    streams: &mut [Vec<f32>],
    positions: &BTreeMap<usize, Positions>,
    checkpoint: &Checkpoint,
    parts: &Parts<'_>,
) -> Result<(), LmFault> {
    streams.par_iter_mut().try_for_each(|stream| {
        let positions = &positions[&stream.len()];
        parts.next(|| block.forward(stream, positions, None, checkpoint.config()))
    })
}

/// The sum of $-\ln p$ of every window's scored tokens.
fn scored(
    checkpoint: &Checkpoint,
    cut: &Cut<'_>,
    group: &[Window],
    streams: &[Vec<f32>],
    parts: &Parts<'_>,
) -> Result<Vec<f64>, LmFault> {
    let norm = checkpoint.norm()?;
    let weights = match checkpoint.head()? {
        Some(head) => head,
        None => checkpoint.embedding()?,
    };
    let end = End { norm: &norm, weights: &weights, epsilon: checkpoint.config().epsilon };
    let pairs = group.par_iter().zip(streams);
    pairs.map(|(window, stream)| parts.next(|| cut.nll(window, stream, end))).collect()
}
