//! How well a model predicts calibration tokens.

use super::progress::Progress;
use super::source::Source;
use super::streams::{Sequences, Streams};
use crate::error::PruneError;
use rayon::prelude::*;
use secateur_nn::lm::Model;

/// Mean $-\ln p$ of the tokens of sequences after the first of each; one block is in memory at a time.
///
/// # Errors
/// The model cannot be read, or has no row for a token; the caller stopped.
pub fn loss(source: &impl Source, sequences: &Sequences, progress: &dyn Progress) -> Result<f64, PruneError> {
    let mut streams = Streams::embed(source, sequences)?;
    let blocks = source.config().blocks;
    for block in 0..blocks {
        progress.begin(block, blocks, "blocks for perplexity")?;
        streams.advance(&source.block(block)?, progress)?;
    }
    let end = Model {
        config: source.config().clone(),
        embedding: source.embedding()?,
        blocks: Vec::new(),
        norm: source.norm()?,
        head: source.head()?,
    };
    let pairs = streams.all().par_iter().zip(sequences.all());
    let sum = |(stream, tokens): (&Vec<f32>, &Vec<u32>)| {
        progress.go_on()?;
        let seen = stream.len() - end.config.width;
        Ok(end.surprises(&stream[..seen], &tokens[1..]).iter().sum::<f64>())
    };
    let sums = pairs.map(sum).collect::<Result<Vec<f64>, PruneError>>()?;
    Ok(sums.iter().sum::<f64>() / predicted(sequences))
}

/// The same of a model that others are compared with.
///
/// # Errors
/// It is not finite; or as [`loss`].
pub fn finite_loss(source: &impl Source, sequences: &Sequences, progress: &dyn Progress) -> Result<f64, PruneError> {
    let found = loss(source, sequences, progress)?;
    if found.is_finite() { Ok(found) } else { Err(PruneError::Perplexity { removed: Vec::new() }) }
}

/// Tokens that have one before them.
fn predicted(sequences: &Sequences) -> f64 {
    (sequences.tokens() - sequences.all().len()) as f64
}

/// The same of a model in memory, without the blocks that are not kept.
///
/// # Errors
/// The model has no row for a token.
///
/// # Panics
/// `kept` has no entry for a block.
#[track_caller]
pub fn loss_with(model: &Model, sequences: &Sequences, kept: &[bool]) -> Result<f64, PruneError> {
    sequences.all().iter().try_for_each(|tokens| model.check(tokens))?;
    let sum = |tokens: &Vec<u32>| {
        let stream = model.onwards(model.embed(&tokens[..tokens.len() - 1]), 0, kept);
        model.surprises(&stream, &tokens[1..]).iter().sum::<f64>()
    };
    let sums: Vec<f64> = sequences.all().par_iter().map(sum).collect();
    Ok(sums.iter().sum::<f64>() / predicted(sequences))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::progress::Silent;
    use crate::depth::testing::{Shape, tokens};

    #[test]
    fn the_loss_is_the_mean_over_predicted_tokens() {
        let model = Shape::small(2).model(9);
        let texts = [tokens(&model.config, 9, 1), tokens(&model.config, 4, 2)];
        let sequences = Sequences::new(texts.to_vec()).expect("tokens");
        let found = loss_with(&model, &sequences, &[true; 2]).expect("known");
        let mut sum = 0.0;
        for text in &texts {
            let logits = model.logits(text);
            for (row, target) in logits.chunks_exact(20).zip(&text[1..]) {
                let total: f64 = row.iter().map(|l| f64::from(*l).exp()).sum();
                sum += total.ln() - f64::from(row[*target as usize]);
            }
        }
        // Logits are rounded to 24 bits.
        assert!((found - sum / 11.0).abs() < 1e-5, "{found} {}", sum / 11.0);
        assert!((loss(&model, &sequences, &Silent).expect("known") - found).abs() < 1e-6);
        let mut broken = model.clone();
        broken.blocks[1].down.data_mut().fill(f32::MAX);
        assert!(!loss(&broken, &sequences, &Silent).expect("known").is_finite());
        let refused = finite_loss(&broken, &sequences, &Silent).expect_err("not finite").to_string();
        assert_eq!(refused, "the perplexity of the whole model on these sequences is not finite");
        let whole = finite_loss(&model, &sequences, &Silent).expect("finite");
        assert_eq!(whole, loss(&model, &sequences, &Silent).expect("known"));
    }
}
