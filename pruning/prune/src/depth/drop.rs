//! Baselines that remove whole blocks: by influence, by size, by chance.

use super::method::check_depth;
use super::progress::Progress;
use super::scores::{influence, magnitude};
use super::source::Source;
use super::streams::Sequences;
use crate::budget::keep_largest;
use crate::error::PruneError;
use secateur_linalg::random::Random;
use serde::Serialize;

/// By what blocks are removed that are scored once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Removal<'a> {
    /// The least [`influence`] on these sequences.
    ///
    /// # Source
    /// ShortGPT, arXiv 2403.03853.
    Influence(&'a Sequences),
    /// The least [`magnitude`] of weights as they are stored.
    Magnitude,
    /// By chance.
    Random {
        /// The seed.
        seed: u64,
    },
}

/// Blocks that stay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dropped {
    /// Their numbers in the original, ascending.
    pub kept: Vec<usize>,
    /// What every block was scored; those with the least were removed. None where blocks were not scored once.
    pub scores: Option<Vec<f64>>,
    /// Blocks that went, in the order in which they did, where there is one.
    pub order: Option<Vec<usize>>,
}

/// Removes blocks until so many are left; of equal scores the later ones go.
///
/// # Errors
/// The model cannot be read or does not know a token; the depth is 0 or more than it has; a stream is not finite where
/// streams are looked at; the caller stopped.
pub fn dropped(
    source: &impl Source,
    depth: usize,
    removal: Removal<'_>,
    progress: &dyn Progress,
) -> Result<Dropped, PruneError> {
    let blocks = source.config().blocks;
    check_depth(depth, blocks)?;
    let size = |block| {
        progress.begin(block, blocks, "weights of blocks")?;
        Ok(magnitude(&source.block(block)?))
    };
    let scores: Vec<f64> = match removal {
        Removal::Influence(sequences) => influence(source, sequences, progress)?,
        Removal::Magnitude => (0..blocks).map(size).collect::<Result<_, PruneError>>()?,
        Removal::Random { seed } => Random::new(seed).permutation(blocks).into_iter().map(|at| at as f64).collect(),
    };
    let kept = keep_largest(&scores, depth);
    Ok(Dropped { kept: (0..blocks).filter(|block| kept[*block]).collect(), scores: Some(scores), order: None })
}

/// Removes these blocks.
///
/// # Errors
/// A block is not there or is named twice, or none would be left.
pub fn listed(blocks: usize, removed: &[usize]) -> Result<Dropped, PruneError> {
    let kept: Vec<usize> = (0..blocks).filter(|block| !removed.contains(block)).collect();
    if removed.is_empty() || kept.is_empty() || kept.len() + removed.len() != blocks {
        return Err(PruneError::Layers { found: removed.to_vec(), blocks });
    }
    Ok(Dropped { kept, scores: None, order: Some(removed.to_vec()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::progress::Silent;
    use crate::depth::testing::{Shape, tokens};
    use secateur_nn::lm::Block;

    #[test]
    fn what_does_little_goes_first() {
        let mut model = Shape::small(5).model(6);
        // Block 2 adds nothing, block 3 little.
        for (block, factor) in [(2, 0.0), (3, 1e-3)] {
            let Block { o, down, o_bias, down_bias, .. } = &mut model.blocks[block];
            o.data_mut().iter_mut().chain(down.data_mut()).for_each(|w| *w *= factor);
            o_bias.iter_mut().chain(down_bias).flatten().for_each(|b| *b *= factor);
        }
        let sequences = Sequences::new(vec![tokens(&model.config, 30, 1)]).expect("tokens");
        let kept = |removal, depth| dropped(&model, depth, removal, &Silent).expect("a depth").kept;
        assert_eq!(kept(Removal::Influence(&sequences), 4), [0, 1, 3, 4]);
        assert_eq!(kept(Removal::Influence(&sequences), 3), [0, 1, 4]);
        assert_eq!(kept(Removal::Magnitude, 3), [0, 1, 4]);
        assert_eq!(kept(Removal::Magnitude, 5), [0, 1, 2, 3, 4]);
        assert!(dropped(&model, 0, Removal::Magnitude, &Silent).is_err());
        assert!(dropped(&model, 6, Removal::Magnitude, &Silent).is_err());
    }

    #[test]
    fn chance_repeats_and_reaches_every_block() {
        let model = Shape::small(5).model(6);
        let kept = |seed| dropped(&model, 4, Removal::Random { seed }, &Silent).expect("a depth").kept;
        assert_eq!(kept(3), kept(3));
        let gone = |seed| (0..5).find(|block| !kept(seed).contains(block)).expect("one block went");
        let seen: std::collections::BTreeSet<usize> = (0..60).map(gone).collect();
        assert_eq!(seen.len(), 5);
    }

    #[test]
    fn lists_name_blocks_once() {
        assert_eq!(listed(5, &[3, 1]).expect("blocks").kept, [0, 2, 4]);
        for wrong in [&[][..], &[5], &[1, 1], &[0, 1, 2, 3, 4]] {
            assert!(matches!(listed(5, wrong), Err(PruneError::Layers { .. })), "{wrong:?}");
        }
    }
}
