//! What other methods say of a block: the less, the sooner it goes.

use crate::depth::{self, Sequences, Silent};
use crate::error::PruneError;
use secateur_nn::lm::Model;

/// [`depth::influence`] of a model in memory.
///
/// # Errors
/// There is no sequence, one of fewer than two tokens, or a token that the model does not know; a stream is not finite.
///
/// # Source
/// Block influence of ShortGPT, arXiv 2403.03853, equation 1.
pub fn influence(model: &Model, sequences: &[Vec<u32>]) -> Result<Vec<f64>, PruneError> {
    depth::influence(model, &Sequences::new(sequences.to_vec())?, &Silent)
}

/// [`depth::magnitude`] of each block.
pub fn magnitude(model: &Model) -> Vec<f64> {
    model.blocks.iter().map(depth::magnitude).collect()
}

#[cfg(test)]
mod tests {
    use super::super::utility::tests::{model, sequences};
    use super::*;
    use secateur_nn::lm::Matrix;

    #[test]
    fn a_block_that_does_nothing_is_least() {
        let mut model = model(4, 5);
        model.blocks[2].o = Matrix::new(8, 8, vec![0.0; 64]);
        model.blocks[2].down = Matrix::new(8, 12, vec![0.0; 96]);
        let (influence, magnitude) = (influence(&model, &sequences()).expect("finite"), magnitude(&model));
        assert!(influence[2].abs() < 1e-12 && influence.iter().filter(|x| **x > 1e-3).count() == 3, "{influence:?}");
        assert!((0..4).all(|layer| layer == 2 || magnitude[layer] > magnitude[2]) && magnitude[2] > 0.0);
    }
}
