//! Heads of a wide block: what each adds to the stream, and fewer of them.

use super::channels::compensated;
use super::gram::Gram;
use super::progress::Progress;
use super::streams::Streams;
use crate::budget::keep_largest;
use crate::error::PruneError;
use secateur_nn::lm::{Block, Matrix};

/// What every query head adds, in the mean over calibration tokens, with the entries of its output taken one by one:
///
/// $$ f_i = \frac1T \sum_t \Big\lVert a_{i,t} \operatorname{diag}(W_{O,i} W_{O,i}^\top)^{1/2} \Big\rVert_2 $$
///
/// with $a_{i,t}$ the output of head $i$ as a row and $W_{O,i}$ the rows of the output projection that it meets.
///
/// # Errors
/// The caller stopped.
///
/// # Source
/// FlattenGPT, step D.
pub fn importance(block: &Block, streams: &Streams, progress: &dyn Progress) -> Result<Vec<f64>, PruneError> {
    let dim = block.head_dim;
    let mut squares = vec![0.0f64; block.o.cols()];
    for row in 0..block.o.rows() {
        squares.iter_mut().zip(block.o.row(row)).for_each(|(sum, w)| *sum += f64::from(*w).powi(2));
    }
    let (mut sums, mut tokens) = (vec![0.0; block.heads], 0);
    for stream in streams.all() {
        progress.go_on()?;
        let outputs = block.head_outputs(&streams.normed(stream), &streams.positions(stream), None);
        for row in outputs.chunks_exact(squares.len()) {
            let heads = row.chunks_exact(dim).zip(squares.chunks_exact(dim));
            let lengths = heads.map(|(out, squares)| {
                out.iter().zip(squares).map(|(a, square)| f64::from(*a).powi(2) * square).sum::<f64>().sqrt()
            });
            sums.iter_mut().zip(lengths).for_each(|(sum, length)| *sum += length);
            tokens += 1;
        }
    }
    sums.iter_mut().for_each(|sum| *sum /= tokens.max(1) as f64);
    Ok(sums)
}

/// The key heads whose query heads are the most important together, ascending: `count` of them.
///
/// # Shapes
/// `importance` has `shared` query heads in a row for every key head.
#[track_caller]
pub fn best(importance: &[f64], shared: usize, count: usize) -> Vec<usize> {
    let sums: Vec<f64> = importance.chunks_exact(shared).map(|group| group.iter().sum()).collect();
    let kept = keep_largest(&sums, count);
    (0..sums.len()).filter(|group| kept[*group]).collect()
}

/// The block with these key heads and their query heads only.
pub fn keep_heads(block: &Block, kept: &[usize]) -> Block {
    let (queries, keys) = (entries(block, kept), spread(kept, block.head_dim));
    let picked = |bias: &Option<Vec<f32>>, at: &[usize]| bias.as_ref().map(|b| at.iter().map(|i| b[*i]).collect());
    Block {
        q: block.q.select_rows(&queries),
        k: block.k.select_rows(&keys),
        v: block.v.select_rows(&keys),
        o: block.o.select_cols(&queries),
        q_bias: picked(&block.q_bias, &queries),
        k_bias: picked(&block.k_bias, &keys),
        v_bias: picked(&block.v_bias, &keys),
        heads: kept.len() * (block.heads / block.kv_heads),
        kv_heads: kept.len(),
        ..block.clone()
    }
}

/// Entries of the outputs of the query heads of these key heads.
pub(super) fn entries(block: &Block, kept: &[usize]) -> Vec<usize> {
    spread(kept, block.heads / block.kv_heads * block.head_dim)
}

fn spread(kept: &[usize], size: usize) -> Vec<usize> {
    kept.iter().flat_map(|at| at * size..(at + 1) * size).collect()
}

/// The output projection of the kept heads that predicts what all heads add, from calibration tokens, with a ridge
/// towards what it is ([`compensated`]); `None` where the second moments are not finite, or not definite with that
/// ridge.
///
/// `ridge` is a share of the mean of the diagonal of the outputs' second moments.
///
/// # Errors
/// The caller stopped.
pub fn refitted(
    block: &Block,
    kept: &[usize],
    streams: &Streams,
    ridge: f64,
    progress: &dyn Progress,
) -> Result<Option<Matrix>, PruneError> {
    let mut gram = Gram::new(block.o.cols());
    for stream in streams.all() {
        progress.go_on()?;
        gram.add(&block.head_outputs(&streams.normed(stream), &streams.positions(stream), None));
    }
    let Some(moments) = gram.mean() else { return Ok(None) };
    let lambda = super::channels::ridge(&moments, block.o.cols(), ridge);
    Ok(compensated(&moments, &entries(block, kept), &block.o, lambda))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::progress::Silent;
    use crate::depth::testing::{Shape, relative, shapes, tokens};
    use crate::depth::{Sequences, absorb, beside};
    use proptest::prelude::*;

    fn wide(shape: &Shape, seed: u64) -> (Block, Streams) {
        let mut model = shape.model(seed);
        model.blocks.iter_mut().for_each(absorb);
        let sequences = Sequences::new(vec![tokens(&model.config, 30, seed), tokens(&model.config, 20, seed + 1)]);
        (beside(&model.blocks), Streams::embed(&model, &sequences.expect("tokens")).expect("known"))
    }

    fn attended(block: &Block, streams: &Streams, stream: &[f32]) -> Vec<f32> {
        block.attention(&streams.normed(stream), &streams.positions(stream), None)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn heads_that_do_not_matter_go_without_a_trace(shape in shapes(), seed in 0..999u64) {
            let (mut block, streams) = wide(&shape, seed);
            // Key heads 1 and on add nothing.
            let size = block.heads / block.kv_heads * block.head_dim;
            for row in block.o.data_mut().chunks_exact_mut(shape.blocks * shape.kv_heads * size) {
                row[size..].fill(0.0);
            }
            let scores = importance(&block, &streams, &Silent).expect("not stopped");
            prop_assert!(scores[..shape.shared].iter().all(|f| *f > 0.0) && scores[shape.shared..].iter().all(|f| *f == 0.0));
            let kept = best(&scores, shape.shared, shape.kv_heads);
            prop_assert_eq!(kept[0], 0);
            let small = keep_heads(&block, &kept);
            prop_assert_eq!((small.heads, small.kv_heads), (shape.kv_heads * shape.shared, shape.kv_heads));
            for stream in streams.all() {
                let error = relative(&attended(&small, &streams, stream), &attended(&block, &streams, stream));
                prop_assert!(error < 1e-5, "{}", error);
            }
        }

        #[test]
        fn refitting_brings_attention_closer(shape in shapes(), seed in 0..999u64) {
            let (block, streams) = wide(&shape, seed);
            let kept = best(&importance(&block, &streams, &Silent).expect("not stopped"), shape.shared, shape.kv_heads);
            let plain = keep_heads(&block, &kept);
            let ridge = 1e-3;
            let o = refitted(&block, &kept, &streams, ridge, &Silent).expect("not stopped").expect("definite");
            let fitted = Block { o, ..plain.clone() };
            let apart = |small: &Block| streams.all().iter().map(|stream| {
                let (a, b) = (attended(small, &streams, stream), attended(&block, &streams, stream));
                a.iter().zip(&b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
            }).sum::<f64>();
            // A minimum with a ridge towards the plain weights is no worse than those.
            prop_assert!(apart(&fitted) <= apart(&plain) * (1.0 + 1e-4), "{} {}", apart(&fitted), apart(&plain));
        }
    }

    #[test]
    fn importance_by_hand() {
        let (block, streams) = wide(&Shape { shared: 1, kv_heads: 1, ..Shape::small(2) }, 3);
        let found = importance(&block, &streams, &Silent).expect("not stopped");
        let mut expected = vec![0.0; 2];
        for stream in streams.all() {
            let outputs = block.head_outputs(&streams.normed(stream), &streams.positions(stream), None);
            for (row, head) in outputs.chunks_exact(8).flat_map(|row| [(row, 0), (row, 1)]) {
                let mut square = 0.0;
                for out in 0..block.o.rows() {
                    let weights = &block.o.row(out)[head * 4..][..4];
                    square += row[head * 4..].iter().zip(weights).map(|(z, w)| f64::from(z * w).powi(2)).sum::<f64>();
                }
                expected[head] += square.sqrt() / 50.0;
            }
        }
        // Products of two 24-bit numbers are rounded once here.
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6 * b), "{found:?} {expected:?}");
    }
}
