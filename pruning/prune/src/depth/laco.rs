//! Baseline LaCo: blocks collapse into the one before them as long as outputs stay similar.
//!
//! $$ \theta_l \leftarrow \theta_l + \sum_{k=1}^{m} (\theta_{l+k} - \theta_l), \qquad \text{blocks } l+1, \dots, l+m \text{ go.} $$

use super::method::check_depth;
use super::progress::Progress;
use super::scores::cosine;
use super::similarity::Grouping;
use super::streams::Sequences;
use crate::error::PruneError;
use rayon::prelude::*;
use secateur_nn::lm::{Block, HeadNorms, Matrix, Model};
use serde::Serialize;

/// Blocks that collapse at a time, with the one that stays.
const TOGETHER: usize = 4;
/// Blocks between two places that collapse in one sweep, at least.
const APART: usize = 2;
/// The first threshold.
const THRESHOLD: f64 = 0.95;
/// What a sweep that changed nothing takes off the threshold.
const STEP: f64 = 0.05;

/// How blocks collapsed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Merged {
    /// Original blocks that each block stands for.
    pub groups: Grouping,
    /// The threshold in the end.
    pub threshold: f64,
    /// The mean cosine between last streams of the result and of the original.
    pub similarity: f64,
}

/// Collapses blocks until so many are left.
///
/// Sweeps go from the last blocks to the first. Up to four blocks become one where the mean cosine between the last
/// streams on calibration tokens and the original's is above a threshold; then the sweep moves on by two blocks.
///
/// # Errors
/// The model has no row for a token; the depth is 0 or more than it has; the caller stopped.
///
/// # Source
/// LaCo, arXiv 2402.11187, algorithm 1. It stops at any depth above its threshold; ours begins at 0.95 and falls by
/// 0.05 with every sweep that changes nothing, so that the depth is the one asked for, and the last collapse is as
/// small as that takes.
pub fn merged(
    model: &Model,
    sequences: &Sequences,
    depth: usize,
    progress: &dyn Progress,
) -> Result<(Model, Merged), PruneError> {
    let blocks = model.blocks.len();
    check_depth(depth, blocks)?;
    sequences.all().iter().try_for_each(|tokens| model.check(tokens))?;
    let original = ends(model, sequences);
    let (mut current, mut similarity, mut threshold) = (model.clone(), 1.0, THRESHOLD);
    let mut groups: Grouping = (0..blocks).map(|block| block..block + 1).collect();
    while groups.len() > depth {
        let before = groups.len();
        let mut at = before.saturating_sub(2) as isize;
        while at >= 0 && groups.len() > depth {
            progress.begin(blocks - groups.len(), blocks - depth, "blocks that collapse")?;
            let first = at as usize;
            let end = (first + TOGETHER).min(groups.len()).min(first + 1 + groups.len() - depth);
            let candidate = collapsed(&current, first, end);
            let found = mean_cosine(&ends(&candidate, sequences), &original, model.config.width);
            // A cosine that is not a number is below every threshold but the last.
            if found > threshold || threshold < -1.0 {
                (current, similarity) = (candidate, found);
                groups[first].end = groups[end - 1].end;
                groups.drain(first + 1..end);
                at -= APART as isize;
            } else {
                at -= 1;
            }
        }
        if groups.len() == before {
            threshold -= STEP;
        }
    }
    Ok((current, Merged { groups, threshold, similarity }))
}

/// The model whose block `first` stands for all before `end`.
fn collapsed(model: &Model, first: usize, end: usize) -> Model {
    let mut model = model.clone();
    let rest: Vec<Block> = model.blocks.drain(first + 1..end).collect();
    model.blocks[first] = sum_of_differences(&model.blocks[first], &rest);
    model.config.blocks = model.blocks.len();
    model
}

/// $\theta + \sum_k (\theta_k - \theta)$, weight by weight, norms and biases too.
fn sum_of_differences(block: &Block, rest: &[Block]) -> Block {
    let combined = |own: &[f32], others: &mut dyn Iterator<Item = &[f32]>| -> Vec<f32> {
        let mut sum = own.to_vec();
        for other in others {
            sum.iter_mut().zip(other.iter().zip(own)).for_each(|(sum, (other, own))| *sum += other - own);
        }
        sum
    };
    let vector = |part: fn(&Block) -> &Vec<f32>| combined(part(block), &mut rest.iter().map(|b| part(b).as_slice()));
    let matrix = |part: fn(&Block) -> &Matrix| {
        let data = combined(part(block).data(), &mut rest.iter().map(|b| part(b).data()));
        Matrix::new(part(block).rows(), part(block).cols(), data)
    };
    let bias = |part: fn(&Block) -> &Option<Vec<f32>>| {
        part(block).as_ref().map(|own| combined(own, &mut rest.iter().filter_map(|b| part(b).as_deref())))
    };
    let scale = |own: &Vec<f32>, part: fn(&HeadNorms) -> &Vec<f32>| {
        combined(own, &mut rest.iter().filter_map(|b| b.head_norms.as_ref()).map(|norms| part(norms).as_slice()))
    };
    let head_norms = block.head_norms.as_ref().map(|HeadNorms { q, k, epsilon }| HeadNorms {
        q: scale(q, |norms| &norms.q),
        k: scale(k, |norms| &norms.k),
        epsilon: *epsilon,
    });
    Block {
        input_norm: vector(|b| &b.input_norm),
        q: matrix(|b| &b.q),
        k: matrix(|b| &b.k),
        v: matrix(|b| &b.v),
        o: matrix(|b| &b.o),
        q_bias: bias(|b| &b.q_bias),
        k_bias: bias(|b| &b.k_bias),
        v_bias: bias(|b| &b.v_bias),
        o_bias: bias(|b| &b.o_bias),
        head_norms,
        post_norm: vector(|b| &b.post_norm),
        gate: matrix(|b| &b.gate),
        up: matrix(|b| &b.up),
        down: matrix(|b| &b.down),
        gate_bias: bias(|b| &b.gate_bias),
        up_bias: bias(|b| &b.up_bias),
        down_bias: bias(|b| &b.down_bias),
        ..*block
    }
}

/// The last stream of every sequence.
fn ends(model: &Model, sequences: &Sequences) -> Vec<Vec<f32>> {
    let all = vec![true; model.blocks.len()];
    sequences.all().par_iter().map(|tokens| model.onwards(model.embed(tokens), 0, &all)).collect()
}

/// The mean over tokens of the cosine between two streams.
fn mean_cosine(a: &[Vec<f32>], b: &[Vec<f32>], width: usize) -> f64 {
    let rows = || a.iter().zip(b).flat_map(|(a, b)| a.chunks_exact(width).zip(b.chunks_exact(width)));
    rows().map(|(a, b)| cosine(a, b)).sum::<f64>() / rows().count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::progress::Silent;
    use crate::depth::testing::{Shape, tokens};
    use proptest::prelude::*;

    #[test]
    fn copies_collapse_to_one() {
        let model = Shape::small(3).model(4);
        let [first, second] = [&model.blocks[0], &model.blocks[1]];
        let found = sum_of_differences(first, &[first.clone(), second.clone()]);
        // θ + (θ − θ) + (θ' − θ) = θ', rounded once or twice.
        let entries = found.q.data().iter().zip(second.q.data());
        assert!(entries.chain(found.post_norm.iter().zip(&second.post_norm)).all(|(a, b)| (a - b).abs() < 1e-6));
        assert_eq!(found.heads, first.heads);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn the_depth_is_the_one_asked_for(blocks in 2..8usize, depth in 1..8usize, seed in 0..99u64) {
            let model = Shape::small(blocks).model(seed);
            let sequences = Sequences::new(vec![tokens(&model.config, 12, seed)]).expect("tokens");
            let Ok((small, report)) = merged(&model, &sequences, depth, &Silent) else {
                prop_assert!(depth > blocks);
                return Ok(());
            };
            prop_assert_eq!((small.blocks.len(), small.config.blocks, report.groups.len()), (depth, depth, depth));
            prop_assert!(report.groups.iter().cloned().flatten().eq(0..blocks));
            prop_assert!(depth < blocks || small == model);
            prop_assert!(report.similarity > report.threshold);
        }
    }
}
