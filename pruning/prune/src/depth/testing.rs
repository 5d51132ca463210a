//! Small random models.

use proptest::prelude::*;
use secateur_linalg::random::Random;
use secateur_nn::lm::{Block, Config, Family, HeadNorms, Matrix, Model, Rope, Scaling};

/// Large enough to matter, and so that norms of heads of two entries are smooth.
const EPSILON: f32 = 1e-2;

/// What a random model is like.
#[derive(Clone, Debug)]
pub struct Shape {
    pub width: usize,
    pub inner: usize,
    pub blocks: usize,
    pub kv_heads: usize,
    pub shared: usize,
    pub head_dim: usize,
    pub biased: bool,
    /// Norms of heads, the same in all blocks.
    pub normed: bool,
    pub tied: bool,
    pub rope: Rope,
    /// What attention sees, of every block.
    pub window: Option<usize>,
}

/// Every kind that a loader knows.
pub fn shapes() -> impl Strategy<Value = Shape> {
    let sizes = (3..12usize, 3..10usize, 2..5usize, 1..3usize, 1..4usize, 1..3usize);
    let kinds = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let window = proptest::option::of(1..6usize);
    (sizes, kinds, window).prop_map(|(sizes, (biased, normed, tied, halves), window)| {
        let (width, inner, blocks, kv_heads, shared, pairs) = sizes;
        let rope = if halves { Rope::HalfSplit } else { Rope::Interleaved };
        Shape { width, inner, blocks, kv_heads, shared, head_dim: 2 * pairs, biased, normed, tied, rope, window }
    })
}

impl Shape {
    pub fn small(blocks: usize) -> Self {
        let (width, inner, kv_heads, shared, head_dim) = (16, 24, 2, 2, 4);
        let (biased, normed, tied, rope) = (true, false, true, Rope::HalfSplit);
        Self { width, inner, blocks, kv_heads, shared, head_dim, biased, normed, tied, rope, window: None }
    }

    pub fn model(&self, seed: u64) -> Model {
        let heads = self.kv_heads * self.shared;
        let config = Config {
            family: if self.normed { Family::Qwen3 } else { Family::Llama },
            width: self.width,
            inner: self.inner,
            blocks: self.blocks,
            heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            vocab: 20,
            epsilon: EPSILON,
            theta: 100.0,
            rope: self.rope,
            scaling: Scaling::None,
            window: self.window,
            tied: self.tied,
            context: 64,
            bos: None,
            eos: Vec::new(),
            qkv_bias: self.biased,
            o_bias: self.biased,
            mlp_bias: self.biased,
            head_norms: self.normed,
            original: serde_json::Map::new(),
        };
        let mut random = Random::new(seed);
        let mut scale = || vector(&mut random, self.head_dim, 0.3, 1.0);
        let head_norms = self.normed.then(|| HeadNorms { q: scale(), k: scale(), epsilon: EPSILON });
        let mut block = || Block { head_norms: head_norms.clone(), ..self.block(&mut random) };
        Model {
            blocks: (0..self.blocks).map(|_| block()).collect(),
            embedding: matrix(&mut random, 20, self.width, 1.0),
            norm: vector(&mut random, self.width, 0.3, 1.0),
            head: (!self.tied).then(|| matrix(&mut random, 20, self.width, 1.0)),
            config,
        }
    }

    fn block(&self, random: &mut Random) -> Block {
        let (width, heads, inner) = (self.width, self.kv_heads * self.shared, self.inner);
        let (queries, keys) = (heads * self.head_dim, self.kv_heads * self.head_dim);
        let scale = 1.0 / (width as f64).sqrt();
        Block {
            input_norm: vector(random, width, 0.3, 1.0),
            q: matrix(random, queries, width, scale),
            k: matrix(random, keys, width, scale),
            v: matrix(random, keys, width, scale),
            o: matrix(random, width, queries, 0.3 * scale),
            q_bias: self.biased.then(|| vector(random, queries, 0.3, 0.0)),
            k_bias: self.biased.then(|| vector(random, keys, 0.3, 0.0)),
            v_bias: self.biased.then(|| vector(random, keys, 0.3, 0.0)),
            o_bias: self.biased.then(|| vector(random, width, 0.3, 0.0)),
            post_norm: vector(random, width, 0.3, 1.0),
            gate: matrix(random, inner, width, scale),
            up: matrix(random, inner, width, scale),
            down: matrix(random, width, inner, 0.3 * scale),
            gate_bias: self.biased.then(|| vector(random, inner, 0.3, 0.0)),
            up_bias: self.biased.then(|| vector(random, inner, 0.3, 0.0)),
            down_bias: self.biased.then(|| vector(random, width, 0.3, 0.0)),
            heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            ..Block::default()
        }
    }
}

pub fn matrix(random: &mut Random, rows: usize, cols: usize, deviation: f64) -> Matrix {
    let mut data = vec![0.0; rows * cols];
    random.fill_normal(&mut data, deviation);
    Matrix::new(rows, cols, data)
}

fn vector(random: &mut Random, entries: usize, deviation: f64, mean: f32) -> Vec<f32> {
    let mut data = vec![0.0f32; entries];
    random.fill_normal(&mut data, deviation);
    data.iter_mut().for_each(|x| *x += mean);
    data
}

pub fn tokens(config: &Config, count: usize, seed: u64) -> Vec<u32> {
    let mut random = Random::stream(seed, 1);
    (0..count).map(|_| random.index(config.vocab) as u32).collect()
}

/// The largest difference over the largest entry; no number where an entry is none.
pub fn relative(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let larger = |most: f64, x: f64| if x.is_nan() || x > most { x } else { most };
    let largest = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x.abs())).fold(1e-9, larger);
    largest(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / largest(&mut expected.iter().copied())
}

#[test]
fn what_is_no_number_is_not_close() {
    for (found, expected) in
        [([f32::NAN, 2.0], [1.0, 2.0]), ([1.0, 2.0], [f32::NAN, 2.0]), ([f32::INFINITY; 2], [1.0, 2.0])]
    {
        let close = relative(&found, &expected) < 1.0;
        assert!(!close, "{found:?} {expected:?}");
    }
    assert!((relative(&[1.0, 2.5], &[1.0, 2.0]) - 0.25).abs() < 1e-12);
}
