//! How similar streams are along a model, and which blocks go together by that.
//!
//! $$ S_{ij} = \frac1T \sum_t \frac{\langle H_{i,t}, H_{j,t} \rangle}{\lVert H_{i,t} \rVert \lVert H_{j,t} \rVert} $$
//!
//! with $H_i$ the stream before block $i$, and $H_L$ the one after the last.

use super::progress::Progress;
use super::source::Source;
use super::streams::{Sequences, Streams};
use crate::error::PruneError;
use rayon::prelude::*;
use secateur_linalg::random::Random;
use serde::Serialize;
use std::ops::Range;

/// Tokens whose streams are kept at every depth, at most.
const TOKENS: usize = 4096;
/// Flattening rests on some neighbours being at least this similar.
pub const PREMISE: f64 = 0.8;

/// Neighbouring blocks that become one: every block is in exactly one range, in order.
pub type Grouping = Vec<Range<usize>>;

/// $S$.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Similarity {
    /// $L$.
    blocks: usize,
    /// $(L + 1) \times (L + 1)$, row-major.
    cosines: Vec<f64>,
}

impl Similarity {
    /// Measures a model that is read one block at a time.
    ///
    /// Streams of at most 4096 tokens, the same ones at every depth, drawn from the calibration tokens, are kept; the
    /// others only see to attention. (Tokens at equal distances would be the beginnings of sequences too often, whose
    /// streams are unlike those of others.) A token whose stream is 0 counts with cosine 0.
    ///
    /// # Errors
    /// The model cannot be read, or does not know a token; a stream is not finite; the caller stopped.
    pub fn measure(source: &impl Source, sequences: &Sequences, progress: &dyn Progress) -> Result<Self, PruneError> {
        let blocks = source.config().blocks;
        let tokens = sample(sequences.tokens(), TOKENS);
        let mut streams = Streams::embed(source, sequences)?;
        let mut seen = vec![directions(&streams, &tokens)];
        for block in 0..blocks {
            progress.begin(block, blocks, "streams of blocks")?;
            streams.advance(&source.block(block)?, progress)?;
            seen.push(directions(&streams, &tokens));
            if !seen[block + 1].iter().all(|x| x.is_finite()) {
                return Err(PruneError::Activations { first: block, last: block });
            }
        }
        let size = blocks + 1;
        let width = source.config().width;
        let entry = |at: usize| mean_cosine(&seen[at / size], &seen[at % size], width);
        Ok(Self { blocks, cosines: (0..size * size).into_par_iter().map(entry).collect() })
    }

    /// From a table that was measured before.
    ///
    /// # Shapes
    /// `cosines` is $(L + 1) \times (L + 1)$, row-major.
    #[track_caller]
    pub fn new(blocks: usize, cosines: Vec<f64>) -> Self {
        assert_eq!(cosines.len(), (blocks + 1) * (blocks + 1), "an entry per pair of depths");
        Self { blocks, cosines }
    }

    /// $L$.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// $S_{ij}$ with $i, j \le L$.
    #[track_caller]
    pub fn at(&self, i: usize, j: usize) -> f64 {
        assert!(i <= self.blocks && j <= self.blocks, "a depth of the model");
        self.cosines[i * (self.blocks + 1) + j]
    }

    /// $S_{l,l+1}$ for the inputs of neighbouring blocks: $L - 1$ numbers.
    pub fn adjacent(&self) -> Vec<f64> {
        (1..self.blocks).map(|l| self.at(l - 1, l)).collect()
    }

    /// The largest similarity of neighbours' inputs, where it is below [`PREMISE`]: flattening has nothing to rest on.
    pub fn broken_premise(&self) -> Option<f64> {
        self.adjacent().into_iter().reduce(f64::max).filter(|largest| *largest < PREMISE)
    }
}

/// Which tokens are looked at: all, or so many of them, drawn without replacement.
fn sample(tokens: usize, most: usize) -> Vec<bool> {
    let mut seen = vec![tokens <= most; tokens];
    if tokens > most {
        Random::new(1).permutation(tokens)[..most].iter().for_each(|at| seen[*at] = true);
    }
    seen
}

/// Streams of these tokens, each of length 1: tokens × width.
fn directions(streams: &Streams, tokens: &[bool]) -> Vec<f32> {
    let width = streams.config().width;
    let rows = streams.all().iter().flat_map(|stream| stream.chunks_exact(width));
    let unit = |row: &[f32]| {
        let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let factor = if length == 0.0 { 0.0 } else { 1.0 / length };
        row.iter().map(move |x| (f64::from(*x) * factor) as f32).collect::<Vec<f32>>()
    };
    rows.zip(tokens).filter(|(_, seen)| **seen).flat_map(|(row, _)| unit(row)).collect()
}

fn mean_cosine(a: &[f32], b: &[f32], width: usize) -> f64 {
    let product: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    product / (a.len() / width) as f64
}

/// Groups of neighbouring blocks, as many as asked for.
///
/// Every block is a group at first. Again and again the two neighbouring groups $G_k, G_{k+1}$ with the largest
/// $S_{\text{first}(G_k), \text{last}(G_{k+1})}$ become one; of equal pairs, the first.
///
/// # Errors
/// The count is 0 or more than there are blocks.
///
/// # Source
/// FlattenGPT, step C.
pub fn groups(similarity: &Similarity, count: usize) -> Result<Grouping, PruneError> {
    let blocks = similarity.blocks();
    if !(1..=blocks).contains(&count) {
        return Err(PruneError::Depth { found: count, blocks });
    }
    let mut groups: Grouping = (0..blocks).map(|block| block..block + 1).collect();
    while groups.len() > count {
        let score = |k: usize| similarity.at(groups[k].start, groups[k + 1].end - 1);
        let pairs = 1..groups.len() - 1;
        let best = pairs.fold(0, |best, k| if score(k) > score(best) { k } else { best });
        let last = groups.remove(best + 1);
        groups[best].end = last.end;
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::progress::Silent;
    use crate::depth::testing::{Shape, shapes, tokens};
    use proptest::prelude::*;

    /// Similarity that falls with the distance, by so much for each step.
    fn falling(steps: &[f64]) -> Similarity {
        let at: Vec<f64> = steps.iter().scan(0.0, |sum, step| Some(std::mem::replace(sum, *sum + step))).collect();
        let ends: Vec<f64> = at.iter().copied().chain([at[at.len() - 1] + steps[steps.len() - 1]]).collect();
        let size = ends.len();
        Similarity::new(size - 1, (0..size * size).map(|k| 1.0 - (ends[k / size] - ends[k % size]).abs()).collect())
    }

    #[test]
    fn groups_by_hand() {
        // Inputs of blocks 0 to 5 at 0, .3, .31, .33, .63, .65: first {1,2}, which are .01 apart, then {4,5} with .02,
        // then {1,2,3} with .03 from the first to the last.
        let similarity = falling(&[0.3, 0.01, 0.02, 0.3, 0.02, 0.5]);
        let ranges = |count| groups(&similarity, count).expect("a depth");
        assert_eq!(ranges(5), [0..1, 1..3, 3..4, 4..5, 5..6]);
        assert_eq!(ranges(4), [0..1, 1..3, 3..4, 4..6]);
        assert_eq!(ranges(3), [0..1, 1..4, 4..6]);
        assert!(groups(&similarity, 0).is_err() && groups(&similarity, 7).is_err());
        assert_eq!(similarity.broken_premise(), None);
        assert!(falling(&[0.3, 0.21, 0.4]).broken_premise().is_some_and(|s| (s - 0.79).abs() < 1e-12));
    }

    #[test]
    fn samples_do_not_prefer_beginnings() {
        assert_eq!(sample(4096, 4096), [true; 4096]);
        for length in [16, 64, 256, 1000, 2048] {
            let tokens = 128 * length;
            let seen = sample(tokens, 500);
            assert_eq!(seen.iter().filter(|seen| **seen).count(), 500);
            let beginnings = seen.iter().step_by(length).filter(|seen| **seen).count();
            let expected = 500.0 / length as f64;
            // The count of a draw without replacement deviates by less than the root of its mean.
            assert!((beginnings as f64 - expected).abs() < 4.0 * expected.sqrt().max(0.5), "{length}: {beginnings}");
        }
    }

    #[test]
    fn streams_that_overflow_have_no_cosine() {
        let mut model = Shape::small(4).model(3);
        model.blocks[2].down.data_mut().fill(f32::MAX);
        let sequences = Sequences::new(vec![tokens(&model.config, 9, 1)]).expect("tokens");
        let found = Similarity::measure(&model, &sequences, &Silent);
        assert!(matches!(found, Err(PruneError::Activations { first: 2, last: 2 })), "{found:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn cosines_are_those_of_streams_and_groups_cover(shape in shapes(), seed in 0..999u64) {
            let model = shape.model(seed);
            let text = tokens(&model.config, 7, seed);
            let sequences = Sequences::new(vec![text.clone()]).expect("tokens");
            let found = Similarity::measure(&model, &sequences, &Silent).expect("known");
            let streams = model.streams(&text);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            for (i, j) in (0..=shape.blocks).flat_map(|i| (0..=shape.blocks).map(move |j| (i, j))) {
                let rows = streams[i].chunks_exact(shape.width).zip(streams[j].chunks_exact(shape.width));
                let cosines = rows.map(|(a, b)| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt());
                let expected = cosines.sum::<f64>() / 7.0;
                // Directions are rounded to 24 bits.
                prop_assert!((found.at(i, j) - expected).abs() < 1e-5, "{} {}", found.at(i, j), expected);
            }
            for count in 1..=shape.blocks {
                let groups = groups(&found, count).expect("a depth");
                prop_assert_eq!(groups.len(), count);
                prop_assert!(groups.into_iter().flatten().eq(0..shape.blocks));
            }
        }
    }
}
