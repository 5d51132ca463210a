//! Texts of language models, as tokens.

use crate::theory::StudyError;
use secateur_nn::NnError;
use secateur_nn::lm::{Block, Model, Tokens};
use std::path::Path;

/// The tokenizer of models whose tokens 0 to 255 are bytes.
const BYTES: &str = "bytes";

/// 64 bits that differ, but for chance, where measurements may: all weights, what the configuration says beside them, the
/// tokens of texts, the program's version.
///
/// # Source
/// G. Fowler, L. C. Noll, K.-P. Vo: FNV-1a, here a word at a time.
pub(crate) fn fingerprint(model: &Model, texts: &[&[Vec<u32>]]) -> String {
    let (mut hash, prime) = (0xcbf2_9ce4_8422_2325_u64, 0x100_0000_01b3);
    let mut word = |word: u32| hash = (hash ^ u64::from(word)).wrapping_mul(prime);
    let Model { config, embedding, blocks, norm, head } = model;
    let told = (config.epsilon, config.theta, config.rope, config.scaling, config.bos);
    format!("{} {told:?}", env!("CARGO_PKG_VERSION")).bytes().for_each(|byte| word(byte.into()));
    config.window.iter().for_each(|window| word(*window as u32));
    for block in blocks {
        let Block { heads, kv_heads, head_dim, .. } = *block;
        [heads, kv_heads, head_dim].into_iter().for_each(|size| word(size as u32));
        block.vectors().for_each(|vector| word(vector.len() as u32));
        let vectors = block.vectors().flatten();
        let matrices = block.matrices().into_iter().flat_map(|matrix| matrix.data());
        matrices.chain(vectors).for_each(|x| word(x.to_bits()));
    }
    word(head.is_some().into());
    let outside = head.iter().flat_map(|head| head.data()).chain(embedding.data()).chain(norm);
    outside.for_each(|x| word(x.to_bits()));
    for text in texts {
        word(text.len() as u32);
        for sequence in *text {
            word(sequence.len() as u32);
            sequence.iter().for_each(|token| word(*token));
        }
    }
    format!("{hash:016x}")
}

/// Where a text and its tokens are from; paths begin at `base`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// The directory of the configuration.
    pub base: &'a Path,
    /// The text (UTF-8).
    pub text: &'a Path,
    /// The model's folder or file.
    pub model: &'a Path,
    /// The tokenizer's file, or `bytes`; the one beside the model without one.
    pub tokenizer: Option<&'a str>,
}

impl Source<'_> {
    /// The beginning of the text, and a share of its end that is held out: tokens that the model has.
    ///
    /// # Errors
    /// A file cannot be read, the text is not in UTF-8, or a token is none of the model's.
    pub fn parts(&self, held_out: f64, model: &Model) -> Result<[Vec<u32>; 2], StudyError> {
        let path = self.base.join(self.text);
        let text = std::fs::read_to_string(&path).map_err(|source| StudyError::Io { path, source })?;
        let mut at = ((1.0 - held_out) * text.len() as f64) as usize;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let (first, last) = text.split_at(at);
        let parts = [self.encode(first)?, self.encode(last)?];
        parts.iter().try_for_each(|tokens| model.check(tokens)).map_err(NnError::from)?;
        Ok(parts)
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, StudyError> {
        let tokens = match self.tokenizer {
            Some(BYTES) => return Ok(text.bytes().map(u32::from).collect()),
            Some(file) => Tokens::open(self.base.join(file)),
            None => Tokens::beside(&self.base.join(self.model)),
        };
        Ok(tokens.map_err(NnError::from)?.encode(text, false).map_err(NnError::from)?)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use secateur_linalg::random::Random;
    use secateur_nn::lm::{Config, Matrix, Rope, Scaling};

    /// A random model of four blocks whose tokens 0 to 255 are bytes.
    pub(crate) fn model(seed: u64) -> Model {
        let text = r#"{"model_type": "llama", "hidden_size": 12, "intermediate_size": 16, "num_hidden_layers": 4,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "vocab_size": 257, "rms_norm_eps": 1e-5,
            "max_position_embeddings": 64, "bos_token_id": 256, "eos_token_id": null, "tie_word_embeddings": true}"#;
        let config = Config::parse(text, "test").expect("a configuration");
        let mut random = Random::new(seed);
        let mut matrix = |rows: usize, cols: usize| {
            let mut data = vec![0.0; rows * cols];
            random.fill_normal(&mut data, 0.2);
            Matrix::new(rows, cols, data)
        };
        let embedding = matrix(257, 12);
        let mut block = || Block {
            input_norm: vec![1.0; 12],
            q: matrix(16, 12),
            k: matrix(8, 12),
            v: matrix(8, 12),
            o: matrix(12, 16),
            post_norm: vec![1.0; 12],
            gate: matrix(16, 12),
            up: matrix(16, 12),
            down: matrix(12, 16),
            heads: 4,
            kv_heads: 2,
            head_dim: 4,
            ..Block::default()
        };
        let blocks = (0..4).map(|_| block()).collect();
        Model { config, embedding, blocks, norm: vec![1.0; 12], head: None }
    }

    #[test]
    fn whatever_changes_results_changes_the_fingerprint() {
        let (first, second) = (vec![vec![1, 2], vec![3]], vec![vec![4, 5]]);
        let of = |model: &Model| fingerprint(model, &[&first, &second]);
        let original = model(4);
        let changes: [fn(&mut Model); 13] = [
            |m| m.config.epsilon = 1e-6,
            |m| m.config.theta = 5e5,
            |m| m.config.rope = Rope::Interleaved,
            |m| m.config.scaling = Scaling::Linear { factor: 2.0 },
            |m| m.config.window = Some(9),
            |m| m.config.bos = Some(1),
            |m| m.blocks[1].kv_heads = 4,
            |m| (m.blocks[1].heads, m.blocks[1].head_dim) = (2, 8),
            |m| m.blocks[3].down.data_mut()[7] += 1e-6,
            |m| m.blocks[0].post_norm[0] = 2.0,
            |m| m.norm[11] = 0.5,
            |m| m.head = Some(m.embedding.clone()),
            |m| drop(m.blocks.pop()),
        ];
        let mut seen = vec![of(&original), fingerprint(&original, &[&second, &first])];
        seen.push(fingerprint(&original, &[&[vec![1], vec![2, 3]], &second]));
        for change in changes {
            let mut other = original.clone();
            change(&mut other);
            seen.push(of(&other));
        }
        assert_eq!(of(&model(4)), seen[0]);
        for (at, found) in seen.iter().enumerate() {
            assert!(!seen[..at].contains(found), "{at}: {seen:?}");
        }
    }
}
