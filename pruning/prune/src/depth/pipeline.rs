//! FlattenGPT: similar neighbouring blocks become one.
//!
//! ```text
//! measure how similar streams are; group neighbouring blocks
//! for each group, with the streams of calibration tokens in front of it
//!     a group of one block stays as it is; otherwise
//!     absorb norms; put the blocks side by side                  (absorb.rs, beside.rs)
//!     keep the heads that add most                               (heads.rs)
//!     keep the channels that the others follow from, make up     (channels.rs)
//!     hand the block over, take the streams through it
//! ```

use super::absorb::absorb;
use super::beside::beside;
use super::method::check_depth;
use super::progress::Progress;
use super::similarity::{Grouping, Similarity, groups};
use super::source::Source;
use super::streams::{Sequences, Streams};
use super::{channels, heads};
use crate::budget::keep_largest;
use crate::error::PruneError;
use secateur_nn::lm::{Block, Config};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Which model's streams later groups are fitted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activations {
    /// The one of the groups so far: what is lost early is known later.
    Compressed,
    /// The original one.
    Dense,
}

impl FromStr for Activations {
    type Err = PruneError;

    fn from_str(text: &str) -> Result<Self, PruneError> {
        match text {
            "compressed" => Ok(Activations::Compressed),
            "dense" => Ok(Activations::Dense),
            _ => Err(PruneError::Unknown {
                what: "model to take activations from",
                found: text.to_owned(),
                expected: "compressed or dense".to_owned(),
            }),
        }
    }
}

impl fmt::Display for Activations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Activations::Dense { "dense" } else { "compressed" })
    }
}

/// Parameters of FlattenGPT.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// $\lambda$ over the mean singular value of the channels' second moments.
    pub lambda: f64,
    /// Whose streams later groups see.
    pub activations: Activations,
    /// Refit output projections to the heads that stay, with a ridge of so many mean second moments of their outputs.
    pub refit: Option<f64>,
    /// Choose channels by leverage and let those that stay make up for the others. Without it those with the largest
    /// second moments stay as they are.
    pub compensate: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { lambda: 10.0, activations: Activations::Compressed, refit: None, compensate: true }
    }
}

/// A group of blocks that became one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Blocks of the original.
    pub blocks: Range<usize>,
    /// Importance of every query head, block by block.
    pub importance: Vec<f64>,
    /// Key heads that stayed, among those of all blocks.
    pub heads: Vec<usize>,
    /// Channels that stayed, counted by the block that they came from.
    pub channels: Vec<usize>,
    /// $\lambda$.
    pub ridge: f64,
    /// The share of the MLPs' second moment on calibration tokens that the smaller one leaves out.
    pub error: f64,
}

/// How blocks were grouped and what stayed of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flattened {
    /// Cosines between streams of the original.
    pub similarity: Similarity,
    /// The groups, those of one block left out.
    pub groups: Vec<Group>,
}

/// Flattens a model to so many blocks, which `write` gets with their numbers, from first to last.
///
/// A block that is a group of its own comes as it was read. The norms of the others have no scales: those are in the
/// weights behind them, which is exact up to rounding, and where weights are written in 16 bits the products are rounded
/// to those, once, like all that is fitted here.
///
/// In memory at a time: the blocks of one group three times, the streams of the calibration tokens, and the second moments
/// of the group's channels in 64 bits, with a quarter more.
///
/// # Errors
/// The model cannot be read or does not know a token; the depth is 0 or more than it has; activations overflow; the
/// ridge is too small for the second moments; heads have norms, which differ from block to block; `write` fails; the
/// caller stopped.
///
/// # Source
/// FlattenGPT (arXiv 2602.08858). Whole groups of heads that share keys, refitting, and groups of one block that stay as
/// they are, are ours.
pub fn flatten(
    source: &impl Source,
    sequences: &Sequences,
    depth: usize,
    params: &Params,
    write: &mut dyn FnMut(usize, Block) -> Result<(), PruneError>,
    progress: &dyn Progress,
) -> Result<Flattened, PruneError> {
    check(params)?;
    check_depth(depth, source.config().blocks)?;
    check_norms(source, depth)?;
    let similarity = Similarity::measure(source, sequences, progress)?;
    let grouping: Grouping = groups(&similarity, depth)?;
    let mut streams = Streams::embed(source, sequences)?;
    let mut found = Vec::new();
    for (number, range) in grouping.into_iter().enumerate() {
        progress.begin(number, depth, "groups of blocks")?;
        if range.len() == 1 {
            let block = source.block(range.start)?;
            streams.advance(&block, progress)?;
            write(number, block)?;
            continue;
        }
        let mut blocks = range.clone().map(|block| source.block(block)).collect::<Result<Vec<_>, _>>()?;
        blocks.iter_mut().for_each(absorb);
        let (one, group) = flattened(&blocks, range, &streams, source.config(), params, progress)?;
        found.push(group);
        match params.activations {
            Activations::Compressed => streams.advance(&one, progress)?,
            Activations::Dense => blocks.iter().try_for_each(|block| streams.advance(block, progress))?,
        }
        write(number, one)?;
    }
    Ok(Flattened { similarity, groups: found })
}

/// Refuses fewer blocks where norms of heads differ. Their scale comes behind the norm and in front of the rotation, so
/// it cannot move into weights, and a block has one for all its heads.
pub(super) fn check_norms(source: &impl Source, depth: usize) -> Result<(), PruneError> {
    let blocks = source.config().blocks;
    if depth >= blocks || !source.config().head_norms {
        return Ok(());
    }
    let first = source.head_norms(0)?;
    for block in 1..blocks {
        if source.head_norms(block)? != first {
            return Err(PruneError::HeadNorms { block });
        }
    }
    Ok(())
}

/// Refuses parameters that mean nothing.
pub(super) fn check(params: &Params) -> Result<(), PruneError> {
    let positive = |what, found: f64| match found.is_finite() && found > 0.0 {
        true => Ok(()),
        false => Err(PruneError::Positive { what, found }),
    };
    positive("lambda", params.lambda)?;
    params.refit.map_or(Ok(()), |refit| positive("ridge of the refit", refit))
}

/// One block of the model's own sizes in place of several.
fn flattened(
    blocks: &[Block],
    range: Range<usize>,
    streams: &Streams,
    config: &Config,
    params: &Params,
    progress: &dyn Progress,
) -> Result<(Block, Group), PruneError> {
    let overflow = || PruneError::Activations { first: range.start, last: range.end - 1 };
    let singular = |part: &str| PruneError::Singular { tensor: format!("model.layers.{}.{part}", range.start) };
    let wide = beside(blocks);

    let importance = heads::importance(&wide, streams, progress)?;
    if !importance.iter().all(|f| f.is_finite()) {
        return Err(overflow());
    }
    let kept_heads = heads::best(&importance, config.heads / config.kv_heads, config.kv_heads);
    let mut fewer = heads::keep_heads(&wide, &kept_heads);
    if let Some(ridge) = params.refit {
        let o = heads::refitted(&wide, &kept_heads, streams, ridge, progress)?;
        fewer.o = o.ok_or_else(|| singular("self_attn.o_proj.weight"))?;
    }

    // Channels see the attention that there will be, or the one that there was.
    let behind = if params.activations == Activations::Dense { &wide } else { &fewer };
    let mut moments = channels::moments(behind, streams, progress)?.ok_or_else(overflow)?;
    let n = wide.inner();
    let ridge = channels::ridge(&moments, n, params.lambda);
    let down = || singular("mlp.down_proj.weight");
    let scores = match params.compensate {
        true => channels::leverage(&mut moments, n, ridge).ok_or_else(down)?,
        false => (0..n).map(|j| moments[j * n + j]).collect(),
    };
    let kept = keep_largest(&scores, config.inner);
    let kept: Vec<usize> = (0..n).filter(|at| kept[*at]).collect();
    let small = match params.compensate {
        true => channels::compensated(&moments, &kept, &wide.down, ridge).ok_or_else(down)?,
        false => wide.down.select_cols(&kept),
    };
    let [lost, whole] = channels::error(&moments, &kept, &wide.down, &small);
    let of = |block: usize| kept.iter().filter(|at| **at / config.inner == block).count();
    let group = Group {
        blocks: range.clone(),
        importance,
        heads: kept_heads,
        channels: (0..blocks.len()).map(of).collect(),
        ridge,
        error: if whole > 0.0 { lost / whole } else { 0.0 },
    };
    Ok((channels::keep_channels(&fewer, &kept, small), group))
}
