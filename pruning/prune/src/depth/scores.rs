//! What blocks are scored by that go at once: how far they turn the stream, how large their weights are.

use super::progress::Progress;
use super::source::Source;
use super::streams::{Sequences, Streams};
use crate::error::PruneError;
use secateur_nn::lm::Block;

/// How far every block turns the stream: $1 - \frac1T \sum_t \cos(H_{l,t}, H_{l+1,t})$ over all tokens, its input
/// against its output. A token whose stream is 0 counts with cosine 0.
///
/// # Errors
/// The model cannot be read or does not know a token; a stream is not finite; the caller stopped.
///
/// # Source
/// Block influence of ShortGPT (arXiv 2403.03853), equation 1.
pub fn influence(source: &impl Source, sequences: &Sequences, progress: &dyn Progress) -> Result<Vec<f64>, PruneError> {
    let blocks = source.config().blocks;
    let mut streams = Streams::embed(source, sequences)?;
    let mut found = Vec::with_capacity(blocks);
    for block in 0..blocks {
        progress.begin(block, blocks, "influence of blocks")?;
        let cosine = streams.turned(&source.block(block)?, progress)? / sequences.tokens() as f64;
        if !cosine.is_finite() {
            return Err(PruneError::Score { tensor: format!("block {block}"), index: 0 });
        }
        found.push(1.0 - cosine);
    }
    Ok(found)
}

/// The mean of $\lvert w \rvert$ over a block's matrices.
pub fn magnitude(block: &Block) -> f64 {
    let entries: usize = block.matrices().iter().map(|matrix| matrix.data().len()).sum();
    let sum: f64 = block.matrices().iter().flat_map(|matrix| matrix.data()).map(|w| f64::from(w.abs())).sum();
    sum / entries.max(1) as f64
}

/// The cosine between two streams of a token; 0 where one is 0, and no number where one is not finite.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::progress::Silent;
    use crate::depth::testing::{Shape, shapes, tokens};
    use proptest::prelude::*;

    #[test]
    fn cosines_by_hand() {
        assert!((cosine(&[1.0, 2.0], &[-2.0, -4.0]) + 1.0).abs() < 1e-12);
        assert!(cosine(&[1.0, 2.0], &[2.0, -1.0]).abs() < 1e-12);
        assert_eq!(cosine(&[0.0, 0.0], &[2.0, -1.0]), 0.0);
        assert!(cosine(&[f32::INFINITY, 1.0], &[2.0, 0.0]).is_nan() && cosine(&[1.0, f32::NAN], &[2.0, 1.0]).is_nan());
    }

    #[test]
    fn streams_that_overflow_have_no_influence() {
        let mut model = Shape::small(4).model(3);
        model.blocks[2].down.data_mut().fill(f32::MAX);
        let sequences = Sequences::new(vec![tokens(&model.config, 9, 1)]).expect("tokens");
        let found = influence(&model, &sequences, &Silent);
        assert!(matches!(&found, Err(PruneError::Score { tensor, .. }) if tensor == "block 2"), "{found:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn influence_is_the_mean_over_all_tokens(shape in shapes(), seed in 0..999u64) {
            let model = shape.model(seed);
            let texts = vec![tokens(&model.config, 9, seed), tokens(&model.config, 4, seed + 1)];
            let found = influence(&model, &Sequences::new(texts.clone()).expect("tokens"), &Silent).expect("finite");
            for (block, found) in found.into_iter().enumerate() {
                let turns = |text: &Vec<u32>| {
                    let streams = model.streams(text);
                    let rows = streams[block].chunks_exact(shape.width).zip(streams[block + 1].chunks_exact(shape.width));
                    rows.map(|(a, b)| 1.0 - cosine(a, b)).sum::<f64>()
                };
                let expected = texts.iter().map(turns).sum::<f64>() / 13.0;
                // Streams are rounded to 24 bits, perhaps on other tiles of rows.
                prop_assert!((found - expected).abs() < 1e-6, "{} {}", found, expected);
            }
        }
    }
}
