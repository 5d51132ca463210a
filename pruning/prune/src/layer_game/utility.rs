//! What a set of blocks is worth: the whole model's perplexity over that of the model with these blocks alone.
//!
//! $$ s(m) = \exp\big(\operatorname{nll}(\text{all}) - \operatorname{nll}(m)\big), \qquad
//! \operatorname{nll}(m) = \frac1n \sum_i -\ln p_m(t_i \mid t_{<i}), $$
//!
//! over every token of every sequence but the first. A block that is not kept is passed over, so the residual stream goes on as it
//! was and nothing is copied. A walk over masks keeps the streams after each kept block: the next mask begins where its kept blocks
//! first differ.

use super::masks::Mask;
use crate::error::PruneError;
use secateur_nn::NnError;
use secateur_nn::lm::{LmFault, Model, Positions};
use serde::{Deserialize, Serialize};

/// A model and the sequences that it is measured on.
#[derive(Debug)]
pub struct Utility<'a> {
    model: &'a Model,
    sequences: Vec<Sequence<'a>>,
    /// Mean of $-\ln p$ with every block.
    full: f64,
}

/// What is read, and what is to be predicted.
#[derive(Debug)]
struct Sequence<'a> {
    inputs: &'a [u32],
    targets: &'a [u32],
    positions: Positions,
}

/// What a mask is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The kept blocks.
    pub mask: Mask,
    /// Mean of $-\ln p$; none where it is not finite.
    pub nll: Option<f64>,
    /// $s(m)$; none where the mean is not finite: such a mask is dropped.
    pub score: Option<f64>,
    /// Blocks that were evaluated for it, each over all sequences.
    pub blocks: usize,
}

/// Evaluations of blocks, each over all sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Evaluated.
    pub done: usize,
    /// Not evaluated, because a neighbour's stream was at hand.
    pub saved: usize,
}

impl<'a> Utility<'a> {
    /// A utility on token sequences.
    ///
    /// # Errors
    /// There is no sequence; one has fewer than two tokens, more than the model was made for, or one that it does not know; the whole
    /// model's perplexity is not finite.
    ///
    /// # Panics
    /// More than 128 blocks.
    pub fn new(model: &'a Model, sequences: &'a [Vec<u32>]) -> Result<Self, PruneError> {
        if sequences.is_empty() {
            return Err(PruneError::Empty);
        }
        let sequences = sequences.iter().map(|tokens| Sequence::new(model, tokens));
        let sequences = sequences.collect::<Result<_, _>>().map_err(NnError::from)?;
        let mut utility = Self { model, sequences, full: 0.0 };
        let whole = Mask::full(utility.layers());
        utility.full = utility.walk().score(whole).nll.ok_or(PruneError::Perplexity { removed: Vec::new() })?;
        Ok(utility)
    }

    /// How many blocks the model has.
    pub fn layers(&self) -> usize {
        self.model.blocks.len()
    }

    /// Mean of $-\ln p$ with every block.
    pub fn full(&self) -> f64 {
        self.full
    }

    /// Tokens that are predicted.
    pub fn targets(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.targets.len()).sum()
    }

    /// A walk over masks, with nothing evaluated yet.
    pub fn walk(&self) -> Walk<'_> {
        let streams = self.sequences.iter().map(|sequence| self.model.embed(sequence.inputs)).collect();
        Walk { utility: self, begin: streams, path: Vec::new(), work: Work::default() }
    }

    /// Scores masks, each once, in an order in which neighbours share what they begin with; and what that took.
    pub fn score(&self, masks: &[Mask]) -> (Vec<Scored>, Work) {
        let mut sorted = masks.to_vec();
        super::masks::neighbours(&mut sorted);
        let mut walk = self.walk();
        let scored = sorted.into_iter().map(|mask| walk.score(mask)).collect();
        (scored, walk.work)
    }

    /// The streams after a block, from those before it.
    fn onwards(&self, layer: usize, streams: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let pass = |(sequence, stream): (&Sequence<'_>, &Vec<f32>)| {
            let mut stream = stream.clone();
            self.model.blocks[layer].forward(&mut stream, &sequence.positions, None, &self.model.config);
            stream
        };
        self.sequences.iter().zip(streams).map(pass).collect()
    }

    /// Mean of $-\ln p$ from the last streams.
    fn nll(&self, streams: &[Vec<f32>]) -> f64 {
        let surprises = self.sequences.iter().zip(streams).flat_map(|(s, x)| self.model.surprises(x, s.targets));
        surprises.sum::<f64>() / self.targets() as f64
    }
}

impl<'a> Sequence<'a> {
    fn new(model: &Model, tokens: &'a [u32]) -> Result<Self, LmFault> {
        model.check(tokens)?;
        let (found, context) = (tokens.len(), model.config.context);
        if found < 2 {
            return Err(LmFault::Short { expected: 2, found });
        }
        if found - 1 > context {
            return Err(LmFault::Context { context, found: found - 1 });
        }
        let (inputs, targets) = (&tokens[..found - 1], &tokens[1..]);
        Ok(Self { inputs, targets, positions: Positions::new(&model.config, 0..inputs.len()) })
    }
}

/// A walk over masks that keeps the streams of the mask it is at.
///
/// # Units
/// It holds up to one stream per kept block and sequence: blocks × tokens × width numbers of 4 bytes.
#[derive(Debug)]
pub struct Walk<'a> {
    utility: &'a Utility<'a>,
    /// Before the first block, one stream per sequence.
    begin: Vec<Vec<f32>>,
    /// The kept blocks so far, with the streams after each.
    path: Vec<(usize, Vec<Vec<f32>>)>,
    work: Work,
}

impl Walk<'_> {
    /// Goes to a mask: back to where its kept blocks first differ, and on from there.
    #[track_caller]
    pub fn score(&mut self, mask: Mask) -> Scored {
        let utility = self.utility;
        assert!(mask.0 <= Mask::full(utility.layers()).0, "a mask of another model");
        let kept = mask.kept();
        let shared = self.path.iter().zip(&kept).take_while(|((at, _), layer)| at == *layer).count();
        self.path.truncate(shared);
        for layer in &kept[shared..] {
            let streams = utility.onwards(*layer, self.streams());
            self.path.push((*layer, streams));
        }
        let blocks = kept.len() - shared;
        self.work.done += blocks;
        self.work.saved += shared;
        let nll = Some(utility.nll(self.streams())).filter(|nll| nll.is_finite());
        Scored { mask, nll, score: nll.map(|nll| (utility.full - nll).exp()), blocks }
    }

    /// Evaluations so far.
    pub fn work(&self) -> Work {
        self.work
    }

    fn streams(&self) -> &[Vec<f32>] {
        self.path.last().map_or(&self.begin, |(_, streams)| streams)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::masks::every;
    use super::*;
    use proptest::prelude::*;
    use secateur_linalg::random::Random;
    use secateur_nn::lm::{Block, Config, Matrix};

    /// A random model, two query heads to one key head.
    pub fn model(blocks: usize, seed: u64) -> Model {
        let text = format!(
            r#"{{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 11, "hidden_size": 8,
            "intermediate_size": 12, "num_hidden_layers": {blocks}, "num_attention_heads": 2, "num_key_value_heads": 1,
            "max_position_embeddings": 16, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": false}}"#
        );
        let config = Config::parse(&text, "a test").expect("a configuration");
        let mut random = Random::new(seed);
        let mut matrix = |rows: usize, cols: usize| {
            let mut data = vec![0.0; rows * cols];
            random.fill_normal(&mut data, 0.4);
            Matrix::new(rows, cols, data)
        };
        let mut block = || Block {
            input_norm: vec![1.0; 8],
            post_norm: vec![1.0; 8],
            q: matrix(8, 8),
            k: matrix(4, 8),
            v: matrix(4, 8),
            o: matrix(8, 8),
            gate: matrix(12, 8),
            up: matrix(12, 8),
            down: matrix(8, 12),
            heads: 2,
            kv_heads: 1,
            head_dim: 4,
            ..Block::default()
        };
        let blocks = (0..blocks).map(|_| block()).collect();
        Model { config, blocks, embedding: matrix(11, 8), norm: vec![1.0; 8], head: Some(matrix(11, 8)) }
    }

    pub fn sequences() -> Vec<Vec<u32>> {
        vec![vec![1, 5, 0, 10, 3, 3, 7], vec![2, 9, 4], vec![6, 6, 8, 1]]
    }

    #[test]
    fn deleting_is_masking() {
        let (model, tokens) = (model(5, 3), [4, 0, 9, 2, 2]);
        for mask in (0..=5).flat_map(|kept| every(5, kept)) {
            let kept: Vec<bool> = (0..5).map(|layer| mask.keeps(layer)).collect();
            let blocks = mask.kept().iter().map(|layer| model.blocks[*layer].clone()).collect();
            let deleted = Model { blocks, ..model.clone() };
            assert_eq!(deleted.logits(&tokens), model.logits_with(&tokens, &kept), "{mask}");
            let texts = sequences();
            let masked = Utility::new(&model, &texts).expect("a utility");
            let short = Utility::new(&deleted, &texts).expect("a utility");
            assert_eq!(masked.walk().score(mask).nll, Some(short.full()), "{mask}");
        }
    }

    #[test]
    fn all_masks_take_one_block_each() {
        let (model, texts) = (model(5, 1), sequences());
        let utility = Utility::new(&model, &texts).expect("a utility");
        let all: Vec<Mask> = (0..32).map(Mask).collect();
        let (scored, work) = utility.score(&all);
        // Every mask but the empty one adds a block to another; from nothing they would take 5 · 16.
        assert_eq!(work, Work { done: 31, saved: 49 });
        assert_eq!(scored.len(), 32);
        let whole = scored.iter().find(|scored| scored.mask == Mask::full(5)).expect("scored");
        assert_eq!((whole.score, utility.targets()), (Some(1.0), 11));
    }

    #[test]
    fn what_is_not_finite_is_dropped() {
        let (mut model, texts) = (model(3, 2), sequences());
        model.blocks[0].up = Matrix::new(12, 8, vec![f32::MAX; 96]);
        assert!(matches!(Utility::new(&model, &texts), Err(PruneError::Perplexity { .. })));
        model.blocks[0].gate = Matrix::new(12, 8, vec![f32::NAN; 96]);
        let kept = Model { blocks: model.blocks[1..].to_vec(), ..model.clone() };
        let utility = Utility { full: Utility::new(&kept, &texts).expect("finite").full, ..of(&model, &texts) };
        let (scored, _) = utility.score(&[Mask(0b110), Mask(0b011)]);
        let scores: Vec<Option<f64>> = scored.iter().map(|scored| scored.score).collect();
        assert_eq!(scores, [None, Some(1.0)]);
    }

    fn of<'a>(model: &'a Model, texts: &'a [Vec<u32>]) -> Utility<'a> {
        let sequences = texts.iter().map(|tokens| Sequence::new(model, tokens).expect("tokens")).collect();
        Utility { model, sequences, full: 0.0 }
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let model = model(2, 0);
        let fault = |texts: &[Vec<u32>]| Utility::new(&model, texts).expect_err("refused").to_string();
        assert_eq!(fault(&[]), "the calibration data have no samples");
        assert!(fault(&[vec![1]]).contains("expected at least 2"), "{}", fault(&[vec![1]]));
        assert!(fault(&[vec![1, 11]]).contains("token 11 at position 1"), "{}", fault(&[vec![1, 11]]));
        assert!(fault(&[vec![1; 18]]).contains("the model takes 16"), "{}", fault(&[vec![1; 18]]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Streams at hand change no bit.
        #[test]
        fn shared_streams_are_those_from_scratch(masks in prop::collection::vec(0u128..64, 1..12), seed in 0u64..50) {
            let (model, texts) = (model(6, seed), sequences());
            let utility = Utility::new(&model, &texts).expect("a utility");
            let mut walk = utility.walk();
            let mut blocks = 0;
            for mask in masks.into_iter().map(Mask) {
                let (found, scratch) = (walk.score(mask), utility.walk().score(mask));
                prop_assert_eq!(found.nll, scratch.nll);
                prop_assert_eq!(found.score, scratch.score);
                prop_assert_eq!(scratch.blocks, mask.size());
                blocks += found.blocks;
            }
            prop_assert_eq!(walk.work().done, blocks);
        }
    }
}
