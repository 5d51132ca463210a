//! One block of a pre-norm transformer: attention and a gated MLP, each added to the residual stream.
//!
//! $$ A = X + \operatorname{attn}(\operatorname{norm}(X)), \qquad Y = A + \operatorname{mlp}(\operatorname{norm}(A)). $$

use super::attention::{BlockCache, Heads};
use super::config::Config;
use super::exponential::gated;
use super::matrix::Matrix;
use super::positions::Positions;
use secateur_linalg::matvec::dot;

/// The weights of a block, with its own numbers of heads and channels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Scale of the norm before attention.
    pub input_norm: Vec<f32>,
    /// Queries: (`heads` · `head_dim`) × width.
    pub q: Matrix,
    /// Keys: (`kv_heads` · `head_dim`) × width.
    pub k: Matrix,
    /// Values: (`kv_heads` · `head_dim`) × width.
    pub v: Matrix,
    /// Output projection: width × (`heads` · `head_dim`).
    pub o: Matrix,
    /// Shift of queries.
    pub q_bias: Option<Vec<f32>>,
    /// Shift of keys.
    pub k_bias: Option<Vec<f32>>,
    /// Shift of values.
    pub v_bias: Option<Vec<f32>>,
    /// Shift of the output projection.
    pub o_bias: Option<Vec<f32>>,
    /// Norms of queries and keys, head by head, before they turn.
    pub head_norms: Option<HeadNorms>,
    /// Scale of the norm before the MLP.
    pub post_norm: Vec<f32>,
    /// Gate: inner × width.
    pub gate: Matrix,
    /// Up projection: inner × width.
    pub up: Matrix,
    /// Down projection: width × inner.
    pub down: Matrix,
    /// Shift of the gate.
    pub gate_bias: Option<Vec<f32>>,
    /// Shift of the up projection.
    pub up_bias: Option<Vec<f32>>,
    /// Shift of the down projection.
    pub down_bias: Option<Vec<f32>>,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads: query head $i$ reads number $\lfloor i / (H / H_{kv}) \rfloor$.
    pub kv_heads: usize,
    /// Entries of a head.
    pub head_dim: usize,
}

/// Norms of single heads, the same for all query heads and for all key heads of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadNorms {
    /// Scale of queries: `head_dim` entries.
    pub q: Vec<f32>,
    /// Scale of keys: `head_dim` entries.
    pub k: Vec<f32>,
    /// What is added to the mean square.
    pub epsilon: f32,
}

/// $\alpha \odot x / \sqrt{\tfrac1n \sum x_i^2 + \varepsilon}$ for every row of `x`.
///
/// # Shapes
/// `x` is tokens × the length of `scale`.
#[track_caller]
pub fn norm(x: &[f32], scale: &[f32], epsilon: f32) -> Vec<f32> {
    let width = scale.len();
    assert_eq!(x.len() % width.max(1), 0, "a stream of another width");
    let mut out = x.to_vec();
    for row in out.chunks_exact_mut(width.max(1)) {
        let factor = 1.0 / (dot(row, row) / width as f32 + epsilon).sqrt();
        row.iter_mut().zip(scale).for_each(|(x, scale)| *x = *scale * (factor * *x));
    }
    out
}

/// $x \leftarrow x + y$.
pub fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

impl Block {
    /// Inner channels of the MLP.
    pub fn inner(&self) -> usize {
        self.gate.rows()
    }

    /// Entries of a token's residual stream.
    pub fn width(&self) -> usize {
        self.input_norm.len()
    }

    /// Its matrices: those of attention, then those of the MLP.
    pub fn matrices(&self) -> [&Matrix; 7] {
        [&self.q, &self.k, &self.v, &self.o, &self.gate, &self.up, &self.down]
    }

    /// The same for writing.
    pub fn matrices_mut(&mut self) -> [&mut Matrix; 7] {
        [&mut self.q, &mut self.k, &mut self.v, &mut self.o, &mut self.gate, &mut self.up, &mut self.down]
    }

    /// Stored numbers.
    pub fn parameters(&self) -> usize {
        let matrices = self.matrices().map(|matrix| matrix.data().len());
        matrices.iter().sum::<usize>() + self.vectors().map(Vec::len).sum::<usize>()
    }

    /// Its shifts, and the scales of its norms.
    pub fn vectors(&self) -> impl Iterator<Item = &Vec<f32>> {
        let attention = [&self.q_bias, &self.k_bias, &self.v_bias, &self.o_bias];
        let mlp = [&self.gate_bias, &self.up_bias, &self.down_bias];
        let heads = self.head_norms.iter().flat_map(|norms| [&norms.q, &norms.k]);
        attention.into_iter().chain(mlp).flatten().chain(heads).chain([&self.input_norm, &self.post_norm])
    }

    /// The block, in place on the residual stream of tokens at `positions`; `cache` holds those before and learns these.
    ///
    /// # Shapes
    /// `x` is tokens × width.
    #[track_caller]
    pub fn forward(&self, x: &mut [f32], positions: &Positions, cache: Option<&mut BlockCache>, config: &Config) {
        let normed = norm(x, &self.input_norm, config.epsilon);
        add(x, &self.attention(&normed, positions, cache));
        let normed = norm(x, &self.post_norm, config.epsilon);
        add(x, &self.mlp(&normed));
    }

    /// What attention adds to the stream, from the normed stream: tokens × width.
    #[track_caller]
    pub fn attention(&self, normed: &[f32], positions: &Positions, cache: Option<&mut BlockCache>) -> Vec<f32> {
        self.project(&self.head_outputs(normed, positions, cache))
    }

    /// The outputs of heads before the output projection: tokens × (`heads` · `head_dim`), head $i$ from `i * head_dim`.
    #[track_caller]
    pub fn head_outputs(&self, normed: &[f32], positions: &Positions, cache: Option<&mut BlockCache>) -> Vec<f32> {
        let mut queries = self.q.affine(normed, self.q_bias.as_deref());
        let mut keys = self.k.affine(normed, self.k_bias.as_deref());
        let values = self.v.affine(normed, self.v_bias.as_deref());
        if let Some(HeadNorms { q, k, epsilon }) = &self.head_norms {
            (queries, keys) = (norm(&queries, q, *epsilon), norm(&keys, k, *epsilon));
        }
        positions.turn(&mut queries, self.head_dim);
        positions.turn(&mut keys, self.head_dim);
        let (heads, kv_heads, head_dim) = (self.heads, self.kv_heads, self.head_dim);
        let heads = Heads { heads, kv_heads, head_dim, window: positions.window() };
        match cache {
            Some(cache) => {
                assert_eq!(cache.len(), positions.start(), "the cache ends where the positions begin");
                cache.append(&keys, &values, positions.len());
                heads.attend(&queries, cache.keys(), cache.values())
            }
            None => heads.attend(&queries, &keys, &values),
        }
    }

    /// The output projection of what [`head_outputs`](Self::head_outputs) gives: tokens × width.
    #[track_caller]
    pub fn project(&self, outputs: &[f32]) -> Vec<f32> {
        self.o.affine(outputs, self.o_bias.as_deref())
    }

    /// What the MLP adds to the stream, from the normed stream: tokens × width.
    #[track_caller]
    pub fn mlp(&self, normed: &[f32]) -> Vec<f32> {
        self.down.affine(&self.activations(normed), self.down_bias.as_deref())
    }

    /// $\psi = \operatorname{silu}(W_g x + b_g) \odot (W_u x + b_u)$ of every token: tokens × inner.
    #[track_caller]
    pub fn activations(&self, normed: &[f32]) -> Vec<f32> {
        let mut gate = self.gate.affine(normed, self.gate_bias.as_deref());
        gated(&mut gate, &self.up.affine(normed, self.up_bias.as_deref()));
        gate
    }
}
