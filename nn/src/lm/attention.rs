//! Causal attention over keys and values, head by head.
//!
//! $$ A_i = \operatorname{softmax}\Big(\frac{Q_i K_{g(i)}^\top}{\sqrt{d}} + M\Big) V_{g(i)}, \qquad
//!    g(i) = \lfloor i / (H / H_{kv}) \rfloor, $$
//!
//! with $M = -\infty$ where a key is later than the query.

use super::exponential::softmax;
use rayon::prelude::*;
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::matvec::{blend, strided_dots};

/// Queries that are taken together: their scores stay in the cache, and keys later than all of them are left out.
const TILE: usize = 64;
/// From this many queries on, scores are products of matrices.
const PACKED: usize = 4;
/// From this many multiplications on, heads are shared among threads.
const SHARED: usize = 1 << 19;

/// Keys and values of the tokens that a block has seen.
#[derive(Clone, Debug, Default)]
pub struct BlockCache {
    keys: Vec<f32>,
    values: Vec<f32>,
    tokens: usize,
}

impl BlockCache {
    /// Tokens seen.
    pub fn len(&self) -> usize {
        self.tokens
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }

    /// Forgets all but the first tokens.
    #[track_caller]
    pub fn truncate(&mut self, tokens: usize) {
        assert!(tokens <= self.tokens, "the cache has {} tokens", self.tokens);
        let kept = |entries: usize| entries.checked_div(self.tokens).unwrap_or(0) * tokens;
        let (keys, values) = (kept(self.keys.len()), kept(self.values.len()));
        self.keys.truncate(keys);
        self.values.truncate(values);
        self.tokens = tokens;
    }

    pub(super) fn append(&mut self, keys: &[f32], values: &[f32], tokens: usize) {
        self.keys.extend(keys);
        self.values.extend(values);
        self.tokens += tokens;
    }

    pub(super) fn keys(&self) -> &[f32] {
        &self.keys
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }
}

/// Heads of one block, and how they share keys.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
}

impl Heads {
    /// $A$: tokens × heads, each of `head_dim` entries. The last query is at the last key.
    pub fn attend(self, queries: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
        let (width, kv_width) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let (tokens, seen) = (queries.len() / width, keys.len() / kv_width);
        let mut out = vec![0.0; queries.len()];
        let past = seen - tokens;
        let shared = self.heads * tokens * seen * self.head_dim >= SHARED && rayon::current_num_threads() > 1;
        if tokens < PACKED && !shared {
            let mut scores = vec![0.0; seen];
            for (token, (query, out)) in queries.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
                let scores = &mut scores[..past + token + 1];
                for head in 0..self.heads {
                    self.single(head, query, keys, values, scores, out);
                }
            }
            return out;
        }
        let one = |head| self.head(head, queries, keys, values, past);
        let found: Vec<Vec<f32>> = if shared {
            (0..self.heads).into_par_iter().map(one).collect()
        } else {
            (0..self.heads).map(one).collect()
        };
        for (head, found) in found.iter().enumerate() {
            let rows = out.chunks_exact_mut(width).zip(found.chunks_exact(self.head_dim));
            rows.for_each(|(out, found)| out[head * self.head_dim..(head + 1) * self.head_dim].copy_from_slice(found));
        }
        out
    }

    /// One head of one query.
    fn single(self, head: usize, query: &[f32], keys: &[f32], values: &[f32], scores: &mut [f32], out: &mut [f32]) {
        let (dim, kv_width) = (self.head_dim, self.kv_heads * self.head_dim);
        let from = head / (self.heads / self.kv_heads) * dim;
        let scale = 1.0 / (dim as f32).sqrt();
        let query = &query[head * dim..(head + 1) * dim];
        strided_dots(scores, &keys[from..], kv_width, query);
        scores.iter_mut().for_each(|score| *score *= scale);
        softmax(scores);
        blend(&mut out[head * dim..(head + 1) * dim], scores, &values[from..], kv_width);
    }

    /// One head of all queries: tokens × `head_dim`.
    fn head(self, head: usize, queries: &[f32], keys: &[f32], values: &[f32], past: usize) -> Vec<f32> {
        let (dim, width, kv_width) = (self.head_dim, self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let from = head / (self.heads / self.kv_heads) * dim;
        let scale = 1.0 / (dim as f32).sqrt();
        let tokens = queries.len() / width;
        let mut out = vec![0.0; tokens * dim];
        let mut scores = Vec::new();
        for begin in (0..tokens).step_by(TILE) {
            let end = (begin + TILE).min(tokens);
            let seen = past + end;
            scores.resize((end - begin) * seen, 0.0);
            let query = View::strided(&queries[begin * width + head * dim..], end - begin, dim, width);
            gemm(&mut scores, query, View::strided(&keys[from..], seen, dim, kv_width).t(), false);
            for (row, token) in scores.chunks_exact_mut(seen).zip(begin..) {
                let (before, later) = row.split_at_mut(past + token + 1);
                before.iter_mut().for_each(|score| *score *= scale);
                softmax(before);
                later.fill(0.0);
            }
            let value = View::strided(&values[from..], seen, dim, kv_width);
            gemm(&mut out[begin * dim..end * dim], View::new(&scores, end - begin, seen), value, false);
        }
        out
    }
}
