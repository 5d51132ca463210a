//! Blocks side by side as one block.

use secateur_nn::lm::{Block, Matrix};

/// One block that does what these blocks do side by side:
///
/// $$ A = X + \sum_l \operatorname{attn}_l(\operatorname{norm}(X)), \qquad
///    Y = A + \sum_l \operatorname{mlp}_l(\operatorname{norm}(A)). $$
///
/// # Shapes
/// Heads and channels are those of all blocks, in their order; with shared keys the query heads of a key head stay
/// together.
///
/// # Panics
/// There is no block, their heads differ in size or in how many share a key or in their norms, or their norms of streams
/// still have scales ([`absorb`](super::absorb()) them first).
///
/// # Source
/// FlattenGPT, step B.
#[track_caller]
pub fn beside(blocks: &[Block]) -> Block {
    let first = blocks.first().expect("a block");
    let alike = |b: &Block| b.head_dim == first.head_dim && b.heads * first.kv_heads == first.heads * b.kv_heads;
    assert!(blocks.iter().all(alike), "heads of one kind");
    assert!(blocks.iter().all(|b| b.head_norms == first.head_norms), "heads with one norm");
    let plain = |b: &Block| b.input_norm.iter().chain(&b.post_norm).all(|scale| *scale == 1.0);
    assert!(blocks.iter().all(plain), "norms without scales");
    let rows = |part: fn(&Block) -> &Matrix| Matrix::stack(&blocks.iter().map(part).collect::<Vec<_>>());
    let cols = |part: fn(&Block) -> &Matrix| Matrix::beside(&blocks.iter().map(part).collect::<Vec<_>>());
    Block {
        input_norm: first.input_norm.clone(),
        q: rows(|b| &b.q),
        k: rows(|b| &b.k),
        v: rows(|b| &b.v),
        o: cols(|b| &b.o),
        q_bias: joined(blocks, |b| &b.q_bias, |b| b.q.rows()),
        k_bias: joined(blocks, |b| &b.k_bias, |b| b.k.rows()),
        v_bias: joined(blocks, |b| &b.v_bias, |b| b.v.rows()),
        o_bias: summed(blocks, |b| &b.o_bias),
        head_norms: first.head_norms.clone(),
        post_norm: first.post_norm.clone(),
        gate: rows(|b| &b.gate),
        up: rows(|b| &b.up),
        down: cols(|b| &b.down),
        gate_bias: joined(blocks, |b| &b.gate_bias, Block::inner),
        up_bias: joined(blocks, |b| &b.up_bias, Block::inner),
        down_bias: summed(blocks, |b| &b.down_bias),
        heads: blocks.iter().map(|b| b.heads).sum(),
        kv_heads: blocks.iter().map(|b| b.kv_heads).sum(),
        head_dim: first.head_dim,
    }
}

/// Biases one after the other, zeros for blocks without; none where no block has one.
fn joined(blocks: &[Block], bias: fn(&Block) -> &Option<Vec<f32>>, rows: fn(&Block) -> usize) -> Option<Vec<f32>> {
    let any = blocks.iter().any(|block| bias(block).is_some());
    let one = |block: &Block| bias(block).clone().unwrap_or_else(|| vec![0.0; rows(block)]);
    any.then(|| blocks.iter().flat_map(one).collect())
}

/// The sum of shifts of what is added to the stream.
fn summed(blocks: &[Block], bias: fn(&Block) -> &Option<Vec<f32>>) -> Option<Vec<f32>> {
    let add = |sum: Vec<f32>, bias: &Vec<f32>| sum.iter().zip(bias).map(|(a, b)| a + b).collect();
    let mut biases = blocks.iter().filter_map(|block| bias(block).as_ref());
    let first = biases.next()?.clone();
    Some(biases.fold(first, add))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::absorb;
    use crate::depth::testing::{relative, shapes, tokens};
    use proptest::prelude::*;
    use secateur_nn::lm::{Positions, add, norm};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn one_block_is_the_sum_of_all(shape in shapes(), seed in 0..999u64) {
            let mut model = shape.model(seed);
            model.blocks.iter_mut().for_each(absorb);
            let config = &model.config;
            let text = tokens(config, 9, seed);
            let positions = Positions::new(config, 0..text.len());
            let mut stream = model.embed(&text);
            let mut expected = stream.clone();
            let ones = vec![1.0; config.width];
            let normed = norm(&expected, &ones, config.epsilon);
            model.blocks.iter().for_each(|b| add(&mut expected, &b.attention(&normed, &positions, None)));
            let normed = norm(&expected, &ones, config.epsilon);
            model.blocks.iter().for_each(|b| add(&mut expected, &b.mlp(&normed)));
            let block = beside(&model.blocks);
            block.forward(&mut stream, &positions, None, config);
            // Sums in another order.
            prop_assert!(relative(&stream, &expected) <= 1e-5);
            prop_assert_eq!(block.heads, config.heads * config.blocks);
            prop_assert_eq!(block.inner(), config.inner * config.blocks);
        }
    }
}
