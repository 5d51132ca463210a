//! What other methods say of a block: the less, the sooner it goes.

use crate::error::PruneError;
use secateur_nn::NnError;
use secateur_nn::lm::{Block, Model};

/// How much a block turns the stream: $1 - \overline{\cos(X_{l, t}, X_{l+1, t})}$, the mean over all tokens that are read.
///
/// # Errors
/// There is no token, or one that the model does not know; a stream is not finite.
///
/// # Source
/// Block influence of ShortGPT, arXiv 2403.03853, equation 1.
pub fn influence(model: &Model, sequences: &[Vec<u32>]) -> Result<Vec<f64>, PruneError> {
    let mut sums = vec![0.0; model.blocks.len()];
    let tokens: usize = sequences.iter().map(Vec::len).sum();
    if tokens == 0 {
        return Err(PruneError::Empty);
    }
    for sequence in sequences {
        model.check(sequence).map_err(NnError::from)?;
        let streams = model.streams(sequence);
        for (sum, pair) in sums.iter_mut().zip(streams.windows(2)) {
            let width = model.config.width;
            let rows = pair[0].chunks_exact(width).zip(pair[1].chunks_exact(width));
            *sum += rows.map(|(before, after)| 1.0 - cosine(before, after)).sum::<f64>();
        }
    }
    match sums.iter().position(|sum| !sum.is_finite()) {
        Some(layer) => Err(PruneError::Score { tensor: format!("block {layer}"), index: 0 }),
        None => Ok(sums.into_iter().map(|sum| sum / tokens as f64).collect()),
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

/// $\sum |w|$ over the matrices of each block.
pub fn magnitude(model: &Model) -> Vec<f64> {
    let sum = |block: &Block| {
        block.matrices().iter().flat_map(|matrix| matrix.data()).map(|weight| f64::from(weight.abs())).sum()
    };
    model.blocks.iter().map(sum).collect()
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
        let weights: f64 = model.blocks[2].q.data().iter().map(|w| f64::from(w.abs())).sum();
        assert!((0..4).all(|layer| layer == 2 || magnitude[layer] > magnitude[2]) && magnitude[2] > weights);
    }

    #[test]
    fn opposite_streams_have_influence_two() {
        assert!((cosine(&[1.0, 2.0], &[-2.0, -4.0]) + 1.0).abs() < 1e-12);
        assert!(cosine(&[1.0, 2.0], &[2.0, -1.0]).abs() < 1e-12);
    }
}
