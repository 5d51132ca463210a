//! Norm absorption: scales of norms move into the weights behind them, which changes nothing but rounding.

use secateur_nn::lm::Block;

/// $W_{ij} \leftarrow W_{ij} \alpha_j$ for every norm scale $\alpha$ and the weights $W$ that read what it scales, then
/// $\alpha = 1$.
///
/// The scale before attention goes into queries, keys and values, the one before the MLP into gate and up. Biases come
/// after the product and stay.
///
/// # Source
/// FlattenGPT, step A, for norms without shift.
pub fn absorb(block: &mut Block) {
    for weights in [&mut block.q, &mut block.k, &mut block.v] {
        weights.scale_cols(&block.input_norm);
    }
    for weights in [&mut block.gate, &mut block.up] {
        weights.scale_cols(&block.post_norm);
    }
    block.input_norm.fill(1.0);
    block.post_norm.fill(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::testing::{relative, shapes, tokens};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn logits_stay(shape in shapes(), seed in 0..999u64) {
            let model = shape.model(seed);
            let mut absorbed = model.clone();
            absorbed.blocks.iter_mut().for_each(absorb);
            prop_assert!(absorbed.blocks.iter().all(|b| b.input_norm.iter().chain(&b.post_norm).all(|s| *s == 1.0)));
            let text = tokens(&model.config, 12, seed);
            let error = relative(&absorbed.logits(&text), &model.logits(&text));
            // Weights and products are rounded to 24 bits; a few blocks pass that on.
            prop_assert!(error <= 1e-5, "{}", error);
        }
    }
}
