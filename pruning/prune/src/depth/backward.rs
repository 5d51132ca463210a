//! Derivatives of the loss of a sequence with respect to the matrices of a model's blocks, one block at a time.
//!
//! Streams in front of blocks are kept; what a block computes inside is computed again when its turn comes.

use super::progress::Progress;
use crate::error::PruneError;
use rayon::prelude::*;
use secateur_linalg::gemm::{View, gemm};
use secateur_nn::lm::{Block, HeadNorms, Matrix, Model, Positions, Rope, add, norm};
use std::ops::Range;

/// Derivatives of the matrices of one block, in the order of [`Block::matrices`].
pub type Slopes = [Vec<f32>; 7];

/// The sum of $-\ln p$ over a sequence's tokens after the first, and its derivatives for every block.
pub fn slopes(model: &Model, tokens: &[u32]) -> (f64, Vec<Slopes>) {
    let (seen, targets) = (&tokens[..tokens.len() - 1], &tokens[1..]);
    let streams = model.streams(seen);
    let positions = Positions::new(&model.config, 0..seen.len());
    let (loss, mut slope) = readout(model, &streams[model.blocks.len()], targets);
    let mut all = Vec::with_capacity(model.blocks.len());
    for (block, stream) in model.blocks.iter().zip(&streams).rev() {
        let (before, found) = through(block, stream, &slope, &positions, model);
        slope = before;
        all.push(found);
    }
    all.reverse();
    (loss, all)
}

/// The loss from the last stream, and its derivative there.
fn readout(model: &Model, stream: &[f32], targets: &[u32]) -> (f64, Vec<f32>) {
    let head = model.head.as_ref().unwrap_or(&model.embedding);
    let mut logits = head.times(&norm(stream, &model.norm, model.config.epsilon));
    let mut loss = 0.0;
    for (row, target) in logits.chunks_exact_mut(head.rows()).zip(targets) {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row.iter().map(|l| f64::from(l - most).exp()).sum();
        loss += sum.ln() - f64::from(row[*target as usize] - most);
        row.iter_mut().for_each(|l| *l = (f64::from(*l - most).exp() / sum) as f32);
        row[*target as usize] -= 1.0;
    }
    let normed = back(&logits, head);
    (loss, norm_slope(stream, &model.norm, model.config.epsilon, &normed))
}

/// Derivatives through a block: at its input, and of its matrices.
fn through(block: &Block, x: &[f32], slope: &[f32], positions: &Positions, model: &Model) -> (Vec<f32>, Slopes) {
    let (epsilon, rope) = (model.config.epsilon, model.config.rope);
    let front = norm(x, &block.input_norm, epsilon);
    let plain = [(&block.q, &block.q_bias), (&block.k, &block.k_bias)];
    let plain = plain.map(|(weights, bias)| weights.affine(&front, bias.as_deref()));
    let [mut q, mut k] = match &block.head_norms {
        Some(HeadNorms { q, k, epsilon }) => [norm(&plain[0], q, *epsilon), norm(&plain[1], k, *epsilon)],
        None => plain.clone(),
    };
    let v = block.v.affine(&front, block.v_bias.as_deref());
    positions.turn(&mut q, block.head_dim);
    positions.turn(&mut k, block.head_dim);
    let outputs = block.head_outputs(&front, positions, None);
    let mut middle = x.to_vec();
    add(&mut middle, &block.project(&outputs));
    let behind = norm(&middle, &block.post_norm, epsilon);
    let gate = block.gate.affine(&behind, block.gate_bias.as_deref());
    let up = block.up.affine(&behind, block.up_bias.as_deref());

    // The MLP.
    let sigmoid = |g: f32| 1.0 / (1.0 + (-g).exp());
    let psi: Vec<f32> = gate.iter().zip(&up).map(|(g, u)| g * sigmoid(*g) * u).collect();
    let psi_slope = back(slope, &block.down);
    let gated = gate.iter().zip(&up).zip(&psi_slope);
    let gate_slope: Vec<f32> = gated
        .map(|((g, u), d)| {
            let s = sigmoid(*g);
            d * u * s * (1.0 + g * (1.0 - s))
        })
        .collect();
    let up_slope: Vec<f32> = gate.iter().zip(&psi_slope).map(|(g, d)| d * g * sigmoid(*g)).collect();
    let mut behind_slope = back(&gate_slope, &block.gate);
    add(&mut behind_slope, &back(&up_slope, &block.up));
    let mut middle_slope = slope.to_vec();
    add(&mut middle_slope, &norm_slope(&middle, &block.post_norm, epsilon, &behind_slope));

    // Attention.
    let outputs_slope = back(&middle_slope, &block.o);
    let [mut q_slope, mut k_slope, v_slope] = attention(block, [&q, &k, &v], &outputs_slope, positions.window());
    turn_back(&mut q_slope, positions, block.head_dim, rope);
    turn_back(&mut k_slope, positions, block.head_dim, rope);
    if let Some(HeadNorms { q, k, epsilon }) = &block.head_norms {
        q_slope = norm_slope(&plain[0], q, *epsilon, &q_slope);
        k_slope = norm_slope(&plain[1], k, *epsilon, &k_slope);
    }
    let mut front_slope = back(&q_slope, &block.q);
    add(&mut front_slope, &back(&k_slope, &block.k));
    add(&mut front_slope, &back(&v_slope, &block.v));
    let mut before = middle_slope.clone();
    add(&mut before, &norm_slope(x, &block.input_norm, epsilon, &front_slope));

    let found = [
        weights(&q_slope, &front, &block.q),
        weights(&k_slope, &front, &block.k),
        weights(&v_slope, &front, &block.v),
        weights(&middle_slope, &outputs, &block.o),
        weights(&gate_slope, &behind, &block.gate),
        weights(&up_slope, &behind, &block.up),
        weights(slope, &psi, &block.down),
    ];
    (before, found)
}

/// Derivatives at queries, keys and values, head by head, from those at heads' outputs.
fn attention(block: &Block, [q, k, v]: [&[f32]; 3], outputs_slope: &[f32], window: Option<usize>) -> [Vec<f32>; 3] {
    let (dim, heads, keys) = (block.head_dim, block.heads, block.kv_heads);
    let (width, kv_width) = (heads * dim, keys * dim);
    let tokens = q.len() / width;
    let scale = 1.0 / (dim as f32).sqrt();
    let mut found = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
    for head in 0..heads {
        let (own, shared) = (head * dim, head / (heads / keys) * dim);
        let of = |all: &[f32], width: usize, from: usize| -> Vec<f32> {
            all.chunks_exact(width).flat_map(|row| row[from..from + dim].iter().copied()).collect()
        };
        let (q, k, v) = (of(q, width, own), of(k, kv_width, shared), of(v, kv_width, shared));
        let slope = of(outputs_slope, width, own);
        let view = |x| View::new(x, tokens, dim);
        let mut shares = product(view(&q), view(&k).t());
        for (token, row) in shares.chunks_exact_mut(tokens).enumerate() {
            let first = window.map_or(0, |window| (token + 1).saturating_sub(window));
            softmax(row, first..token + 1, scale);
        }
        let mut scores = product(view(&slope), view(&v).t());
        for (score, share) in scores.chunks_exact_mut(tokens).zip(shares.chunks_exact(tokens)) {
            let mean: f32 = score.iter().zip(share).map(|(d, p)| d * p).sum();
            score.iter_mut().zip(share).for_each(|(d, p)| *d = p * (*d - mean) * scale);
        }
        let square = |x| View::new(x, tokens, tokens);
        let parts = [
            (product(square(&scores), view(&k)), width, own),
            (product(square(&scores).t(), view(&q)), kv_width, shared),
            (product(square(&shares).t(), view(&slope)), kv_width, shared),
        ];
        for (all, (part, width, from)) in found.iter_mut().zip(parts) {
            for (row, part) in all.chunks_exact_mut(width).zip(part.chunks_exact(dim)) {
                add(&mut row[from..from + dim], part);
            }
        }
    }
    found
}

/// The softmax of the scores that are seen, times a scale; the others get 0.
fn softmax(row: &mut [f32], seen: Range<usize>, scale: f32) {
    let (before, later) = row.split_at_mut(seen.end);
    let (earlier, before) = before.split_at_mut(seen.start);
    let most = before.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    before.iter_mut().for_each(|score| *score = ((*score - most) * scale).exp());
    let sum: f32 = before.iter().sum();
    before.iter_mut().for_each(|score| *score /= sum);
    earlier.fill(0.0);
    later.fill(0.0);
}

/// Rotations by the negative angles: the other entry of every pair changes sign before and after.
fn turn_back(rows: &mut [f32], positions: &Positions, dim: usize, rope: Rope) {
    let flip = |rows: &mut [f32]| {
        for head in rows.chunks_exact_mut(dim) {
            match rope {
                Rope::HalfSplit => head[dim / 2..].iter_mut().for_each(|x| *x = -*x),
                Rope::Interleaved => head.iter_mut().skip(1).step_by(2).for_each(|x| *x = -*x),
            }
        }
    };
    flip(rows);
    positions.turn(rows, dim);
    flip(rows);
}

/// Through $y = \alpha \odot x r$ with $r = (\operatorname{mean} x^2 + \varepsilon)^{-1/2}$:
/// $r\, \alpha \odot \dot y - x\, r^3\, \langle x, \alpha \odot \dot y \rangle / n$.
fn norm_slope(x: &[f32], scale: &[f32], epsilon: f32, slope: &[f32]) -> Vec<f32> {
    let n = scale.len();
    let mut out = vec![0.0; x.len()];
    for ((out, x), slope) in out.chunks_exact_mut(n).zip(x.chunks_exact(n)).zip(slope.chunks_exact(n)) {
        let square = x.iter().map(|x| x * x).sum::<f32>() / n as f32;
        let factor = 1.0 / (square + epsilon).sqrt();
        let along: f32 = x.iter().zip(scale).zip(slope).map(|((x, a), d)| x * a * d).sum();
        let along = along * factor.powi(3) / n as f32;
        for (((out, x), a), d) in out.iter_mut().zip(x).zip(scale).zip(slope) {
            *out = factor * a * d - x * along;
        }
    }
    out
}

/// Through a product with weights: tokens × inputs from tokens × outputs.
fn back(slope: &[f32], weights: &Matrix) -> Vec<f32> {
    product(View::new(slope, slope.len() / weights.rows(), weights.rows()), weights.view())
}

/// Of the weights: outputs × inputs.
fn weights(slope: &[f32], x: &[f32], weights: &Matrix) -> Vec<f32> {
    let tokens = x.len() / weights.cols();
    product(View::new(slope, tokens, weights.rows()).t(), View::new(x, tokens, weights.cols()))
}

fn product(a: View<'_, f32>, b: View<'_, f32>) -> Vec<f32> {
    let mut c = vec![0.0; a.shape().0 * b.shape().1];
    gemm(&mut c, a, b, false);
    c
}

/// The sums over sequences, side by side, added in their order.
///
/// # Errors
/// The caller stopped.
pub fn summed(
    model: &Model,
    sequences: &[&Vec<u32>],
    progress: &dyn Progress,
) -> Result<(f64, Vec<Slopes>), PruneError> {
    let one = |tokens: &&Vec<u32>| progress.go_on().map(|()| slopes(model, tokens));
    let found = sequences.par_iter().map(one).collect::<Result<Vec<(f64, Vec<Slopes>)>, PruneError>>()?;
    let mut found = found.into_iter();
    let (mut loss, mut sum) = found.next().unwrap_or_default();
    for (more, slopes) in found {
        loss += more;
        for (sum, slopes) in sum.iter_mut().flatten().zip(slopes.iter().flatten()) {
            add(sum, slopes);
        }
    }
    Ok((loss, sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::testing::{shapes, tokens};
    use proptest::prelude::*;
    use secateur_linalg::random::Random;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn slopes_are_those_of_differences(shape in shapes(), seed in 0..999u64) {
            let model = shape.model(seed);
            let text = tokens(&model.config, 8, seed);
            let (loss, found) = slopes(&model, &text);
            let mut random = Random::stream(seed, 7);
            for (block, parts) in found.iter().enumerate() {
                for (part, slopes) in parts.iter().enumerate() {
                    // Along a direction that goes with the derivative: random, and the derivative's own.
                    let length = slopes.iter().map(|d| d * d).sum::<f32>().sqrt().max(1e-6);
                    let entries = slopes.len() as f64;
                    let towards = |d: &f32, noise: f64| d / length + (noise / entries.sqrt()) as f32;
                    let along: Vec<f32> = slopes.iter().map(|d| towards(d, random.normal())).collect();
                    let expected: f64 = slopes.iter().zip(&along).map(|(d, a)| f64::from(d * a)).sum();
                    let at = |step: f32| {
                        let mut moved = model.clone();
                        let weights = moved.blocks[block].matrices_mut();
                        let weights = weights.into_iter().nth(part).expect("one of seven").data_mut();
                        weights.iter_mut().zip(&along).for_each(|(w, a)| *w += step * a);
                        let end = moved.streams(&text[..7]).pop().expect("a stream");
                        moved.surprises(&end, &text[1..]).iter().sum::<f64>()
                    };
                    prop_assert!((at(0.0) - loss).abs() < 1e-4 * loss);
                    let over = |step: f32| (at(step) - at(-step)) / f64::from(2.0 * step);
                    // The steeper, the shorter: where streams are short, norms turn within a small step.
                    let step = 2e-3f32.min(0.02 / expected.abs() as f32);
                    // Without the third derivative. What is left are fifth derivatives, and roundings of the loss over the step.
                    let difference = (4.0 * over(step) - over(2.0 * step)) / 3.0;
                    let error = (difference - expected).abs();
                    prop_assert!(error < 5e-3 + 0.02 * expected.abs(), "{} {}: {} {}", block, part, difference, expected);
                }
            }
        }
    }
}
