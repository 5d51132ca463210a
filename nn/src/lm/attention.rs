//! Causal attention over keys and values, head by head.
//!
//! $$ A_i = \operatorname{softmax}\Big(\frac{Q_i K_{g(i)}^\top}{\sqrt{d}} + M\Big) V_{g(i)}, \qquad
//!    g(i) = \lfloor i / (H / H_{kv}) \rfloor, $$
//!
//! with $M = -\infty$ where a key is later than the query, or before the window that ends at it.

use super::exponential::softmax;
use rayon::prelude::*;
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::matvec::{blend, strided_dots};

/// Queries that are taken together: their scores stay in the cache, and keys that none of them sees are left out.
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
    /// Tokens, from the first on, whose keys and values are no longer here.
    forgotten: usize,
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
    ///
    /// # Panics
    /// There are fewer, or some of them were forgotten.
    #[track_caller]
    pub fn truncate(&mut self, tokens: usize) {
        assert!(tokens <= self.tokens, "the cache has {} tokens", self.tokens);
        assert_eq!(self.forgotten, 0, "the cache has the last tokens only");
        let kept = |entries: usize| entries.checked_div(self.tokens).unwrap_or(0) * tokens;
        let (keys, values) = (kept(self.keys.len()), kept(self.values.len()));
        self.keys.truncate(keys);
        self.values.truncate(values);
        self.tokens = tokens;
    }

    /// Forgets keys and values of all but the last tokens; in rare steps, so that a token costs little.
    pub fn forget_before(&mut self, last: usize) {
        let held = self.tokens - self.forgotten;
        if held > 2 * last {
            let gone = |entries: usize| entries / held * (held - last);
            self.keys.drain(..gone(self.keys.len()));
            self.values.drain(..gone(self.values.len()));
            self.forgotten = self.tokens - last;
        }
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
    /// Keys that a query sees, its own among them; all before it if none.
    pub window: Option<usize>,
}

impl Heads {
    /// $A$: tokens × heads, each of `head_dim` entries. The last query is at the last key.
    pub fn attend(self, queries: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
        let (width, kv_width) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let (tokens, seen) = (queries.len() / width, keys.len() / kv_width);
        let mut out = vec![0.0; queries.len()];
        let past = seen - tokens;
        let shared = self.heads * tokens * seen * self.head_dim >= SHARED && rayon::current_num_threads() > 1;
        // Which products are taken depends on sizes alone, so that results do not depend on threads.
        let one = |head| match tokens < PACKED {
            true => self.few(head, queries, keys, values, past),
            false => self.head(head, queries, keys, values, past),
        };
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

    /// The first key that the query at a position sees.
    fn first(self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }

    /// One head of few queries, one after the other: tokens × `head_dim`.
    fn few(self, head: usize, queries: &[f32], keys: &[f32], values: &[f32], past: usize) -> Vec<f32> {
        let (dim, width, kv_width) = (self.head_dim, self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let from = head / (self.heads / self.kv_heads) * dim;
        let scale = 1.0 / (dim as f32).sqrt();
        let tokens = queries.len() / width;
        let mut out = vec![0.0; tokens * dim];
        let mut scores = vec![0.0; past + tokens];
        for (token, out) in out.chunks_exact_mut(dim).enumerate() {
            let query = &queries[token * width + head * dim..][..dim];
            let first = self.first(past + token);
            let scores = &mut scores[..past + token + 1 - first];
            strided_dots(scores, &keys[first * kv_width + from..], kv_width, query);
            scores.iter_mut().for_each(|score| *score *= scale);
            softmax(scores);
            blend(out, scores, &values[first * kv_width + from..], kv_width);
        }
        out
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
            let first = self.first(past + begin);
            let seen = past + end - first;
            scores.resize((end - begin) * seen, 0.0);
            let query = View::strided(&queries[begin * width + head * dim..], end - begin, dim, width);
            let key = View::strided(&keys[first * kv_width + from..], seen, dim, kv_width);
            gemm(&mut scores, query, key.t(), false);
            for (row, token) in scores.chunks_exact_mut(seen).zip(begin..) {
                let (before, later) = row.split_at_mut(past + token + 1 - first);
                let (earlier, before) = before.split_at_mut(self.first(past + token) - first);
                before.iter_mut().for_each(|score| *score *= scale);
                softmax(before);
                earlier.fill(0.0);
                later.fill(0.0);
            }
            let value = View::strided(&values[first * kv_width + from..], seen, dim, kv_width);
            gemm(&mut out[begin * dim..end * dim], View::new(&scores, end - begin, seen), value, false);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_linalg::random::Random;

    /// One query after the other, from the formula.
    fn plain(heads: Heads, queries: &[f32], keys: &[f32], values: &[f32]) -> Vec<f64> {
        let Heads { heads, kv_heads, head_dim: dim, window } = heads;
        let seen = keys.len() / (kv_heads * dim);
        let past = seen - queries.len() / (heads * dim);
        let of = |all: &[f32], row: usize, head: usize, heads: usize| -> Vec<f64> {
            all[(row * heads + head) * dim..][..dim].iter().map(|x| f64::from(*x)).collect()
        };
        let mut out = Vec::new();
        for (at, head) in (past..seen).flat_map(|at| (0..heads).map(move |head| (at, head))) {
            let (query, shared) = (of(queries, at - past, head, heads), head / (heads / kv_heads));
            let visible = (0..=at).filter(|key| window.is_none_or(|window| at - key < window));
            let score = |key: usize| {
                let key = of(keys, key, shared, kv_heads);
                query.iter().zip(&key).map(|(q, k)| q * k).sum::<f64>() / (dim as f64).sqrt()
            };
            let shares: Vec<(usize, f64)> = visible.map(|key| (key, score(key).exp())).collect();
            let sum: f64 = shares.iter().map(|(_, share)| share).sum();
            for entry in 0..dim {
                let value = |key: usize| of(values, key, shared, kv_heads)[entry];
                out.push(shares.iter().map(|(key, share)| share * value(*key)).sum::<f64>() / sum);
            }
        }
        out
    }

    #[test]
    fn heads_see_what_is_in_their_window() {
        for (window, tokens, past) in [None, Some(1), Some(5), Some(64), Some(1000)]
            .into_iter()
            .flat_map(|window| [1, 3, 4, 70, 130].map(|tokens| (window, tokens)))
            .flat_map(|(window, tokens)| [0, 3, 90].map(|past| (window, tokens, past)))
        {
            let heads = Heads { heads: 4, kv_heads: 2, head_dim: 6, window };
            let random = |seed, rows: usize, heads: usize| {
                let mut data = vec![0.0; rows * heads * 6];
                Random::new(seed).fill_normal(&mut data, 1.0);
                data
            };
            let (queries, keys) = (random(1, tokens, 4), random(2, past + tokens, 2));
            let values = random(3, past + tokens, 2);
            let (found, expected) = (heads.attend(&queries, &keys, &values), plain(heads, &queries, &keys, &values));
            for (found, expected) in found.iter().zip(&expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{window:?}, {tokens}, {past}");
            }
            assert_eq!(found.len(), expected.len());
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let heads = Heads { heads: 8, kv_heads: 4, head_dim: 64, window: None };
        let random = |seed, rows: usize, heads: usize| {
            let mut data = vec![0.0; rows * heads * 64];
            Random::new(seed).fill_normal(&mut data, 1.0);
            data
        };
        let (keys, values) = (random(1, 1100, 4), random(2, 1100, 4));
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for tokens in [1, 3, 4, 70] {
            let queries = random(3, tokens, 8);
            assert!(8 * tokens * 1100 * 64 >= SHARED, "as many as are shared");
            let pass = |threads| pool(threads).install(|| heads.attend(&queries, &keys, &values));
            assert!(pass(1) == pass(3), "{tokens} tokens");
        }
    }
}
