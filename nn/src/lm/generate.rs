//! Continues a sequence token by token, with keys and values kept.

use super::fault::LmFault;
use super::model::Model;
use secateur_linalg::random::Random;
use serde::Serialize;
use std::time::{Duration, Instant};

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The most tokens to add.
    pub steps: usize,
    /// Logits are divided by it; at 0 the largest is taken, the first of equals.
    pub temperature: f64,
    /// The seed of draws.
    pub seed: u64,
    /// Draw from so many of the likeliest tokens only, at least 1.
    pub top_k: Option<usize>,
    /// Of those, draw from the fewest likeliest whose probabilities sum to at least this, above 0 and at most 1.
    ///
    /// # Source
    /// Holtzman et al., arXiv 1904.09751, section 3.1.
    pub top_p: Option<f64>,
}

impl Sampling {
    /// So many of the likeliest tokens, nothing drawn.
    pub fn greedy(steps: usize) -> Self {
        Self { steps, temperature: 0.0, seed: 0, top_k: None, top_p: None }
    }
}

/// Why no more tokens were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// As many as were asked for.
    Steps,
    /// The model ended the text, or began a new one.
    End,
    /// The model takes no more.
    Context,
    /// The caller heard enough.
    Caller,
}

/// What was added.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The tokens, without the one that ended the text.
    pub tokens: Vec<u32>,
    /// Why no more.
    pub reason: StopReason,
    /// Time for the tokens of the prompt.
    pub prompt: Duration,
    /// Time for the tokens after.
    pub steps: Duration,
}

/// Refuses a prompt that cannot be continued.
///
/// # Errors
/// It is empty, longer than the model's context, or has tokens that the model has no row for.
pub fn check_prompt(model: &Model, prompt: &[u32]) -> Result<(), LmFault> {
    let context = model.config.context;
    if prompt.is_empty() {
        return Err(LmFault::Short { expected: 1, found: 0 });
    }
    if prompt.len() > context {
        return Err(LmFault::Context { context, found: prompt.len() });
    }
    model.check(prompt)
}

/// Continues `prompt`; `hear` gets every token as soon as it is known and says whether to go on.
///
/// # Errors
/// As [`check_prompt`]; a logit is not finite.
///
/// # Panics
/// Draws are from no token: `top_k` or `top_p` is not in its range.
#[track_caller]
pub fn generate(
    model: &Model,
    prompt: &[u32],
    sampling: Sampling,
    mut hear: impl FnMut(u32) -> bool,
) -> Result<Generation, LmFault> {
    assert!(sampling.top_k != Some(0), "top_k is at least 1");
    assert!(sampling.top_p.is_none_or(|p| p > 0.0 && p <= 1.0), "top_p is above 0 and at most 1");
    let context = model.config.context;
    check_prompt(model, prompt)?;
    let mut random = Random::new(sampling.seed);
    let mut cache = model.cache();
    let begin = Instant::now();
    let mut logits = model.next(prompt, &mut cache);
    let prompt = begin.elapsed();
    let (mut tokens, mut reason) = (Vec::new(), StopReason::Steps);
    while tokens.len() < sampling.steps {
        if let Some(token) = logits.iter().position(|logit| !logit.is_finite()) {
            return Err(LmFault::Logits { step: tokens.len() + 1, token });
        }
        let token = choose(&logits, &sampling, &mut random);
        if model.config.bos == Some(token) || model.config.eos.contains(&token) {
            reason = StopReason::End;
            break;
        }
        tokens.push(token);
        if !hear(token) {
            reason = StopReason::Caller;
            break;
        }
        if cache.len() == context {
            reason = StopReason::Context;
            break;
        }
        if tokens.len() < sampling.steps {
            if let Some(window) = model.config.window {
                cache.forget_before(window);
            }
            logits = model.next(&[token], &mut cache);
        }
    }
    Ok(Generation { tokens, reason, prompt, steps: begin.elapsed() - prompt })
}

/// The largest logit at temperature 0, else a draw from the softmax of logits over the temperature.
fn choose(logits: &[f32], sampling: &Sampling, random: &mut Random) -> u32 {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    if sampling.temperature <= 0.0 {
        return best as u32;
    }
    let weight = |logit: &f32| (f64::from(*logit - logits[best]) / sampling.temperature).exp();
    let mut weights: Vec<(u32, f64)> = (0..).zip(logits.iter().map(weight)).collect();
    if sampling.top_k.is_some() || sampling.top_p.is_some() {
        keep_likeliest(&mut weights, sampling);
    }
    let mut left = random.unit() * weights.iter().map(|(_, weight)| weight).sum::<f64>();
    for (token, weight) in weights {
        left -= weight;
        if left < 0.0 {
            return token;
        }
    }
    best as u32
}

/// Tokens that are drawn from, the likeliest first, of equals the first first.
fn keep_likeliest(weights: &mut Vec<(u32, f64)>, sampling: &Sampling) {
    weights.sort_by(|a, b| b.1.total_cmp(&a.1));
    weights.truncate(sampling.top_k.unwrap_or(usize::MAX));
    let mut needed = sampling.top_p.unwrap_or(1.0) * weights.iter().map(|(_, weight)| weight).sum::<f64>();
    let enough = weights.iter().position(|(_, weight)| {
        needed -= weight;
        needed <= 0.0
    });
    weights.truncate(enough.map_or(weights.len(), |last| last + 1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WARM: Sampling = Sampling { steps: 1, temperature: 2.0, seed: 5, top_k: None, top_p: None };

    /// Draws follow the softmax of these tokens' logits over 2, and no other token is drawn.
    fn drawn(logits: &[f32], sampling: Sampling, tokens: &[usize]) {
        let mut random = Random::new(5);
        let mut counts = vec![0.0; logits.len()];
        (0..20_000).for_each(|_| counts[choose(logits, &sampling, &mut random) as usize] += 1.0 / 20_000.0);
        let weight = |token: &usize| f64::from(logits[*token] / 2.0).exp();
        let sum: f64 = tokens.iter().map(weight).sum();
        for (token, count) in counts.iter().enumerate() {
            let expected = if tokens.contains(&token) { weight(&token) / sum } else { 0.0 };
            // Four standard errors of a share: 4 · 0.5 / √20000 = 0.014.
            assert!((count - expected).abs() < 0.015 && (expected > 0.0 || *count == 0.0), "{token}: {count}");
        }
    }

    #[test]
    fn draws_follow_the_softmax() {
        let logits = [1.0, 3.0, 2.0, -50.0];
        assert_eq!(choose(&logits, &Sampling::greedy(1), &mut Random::new(5)), 1);
        drawn(&logits, WARM, &[0, 1, 2]);
    }

    #[test]
    fn draws_stay_among_the_likeliest() {
        // Shares over 2: 0.186, 0.506, 0.307 and nothing.
        let logits = [1.0, 3.0, 2.0, -50.0];
        drawn(&logits, Sampling { top_k: Some(2), ..WARM }, &[1, 2]);
        drawn(&logits, Sampling { top_k: Some(9), ..WARM }, &[0, 1, 2]);
        drawn(&logits, Sampling { top_p: Some(0.5), ..WARM }, &[1]);
        drawn(&logits, Sampling { top_p: Some(0.52), ..WARM }, &[1, 2]);
        drawn(&logits, Sampling { top_p: Some(0.83), ..WARM }, &[0, 1, 2]);
        // Of the two likeliest the first has 0.62.
        drawn(&logits, Sampling { top_k: Some(2), top_p: Some(0.6), ..WARM }, &[1]);
        drawn(&logits, Sampling { top_k: Some(2), top_p: Some(0.63), ..WARM }, &[1, 2]);
        // Of equals the first.
        drawn(&[0.0; 3], Sampling { top_k: Some(2), ..WARM }, &[0, 1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_fewest_that_reach_the_sum_stay(
            weights in prop::collection::vec(0.01..1.0f64, 1..30), k in 1..30usize, p in 0.01..1.0f64
        ) {
            let mut kept: Vec<(u32, f64)> = (0..).zip(weights.iter().copied()).collect();
            keep_likeliest(&mut kept, &Sampling { top_k: Some(k), top_p: Some(p), ..WARM });
            let mut sorted = weights.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            sorted.truncate(k);
            let (sum, mass) = (sorted.iter().sum::<f64>(), |count: usize| sorted[..count].iter().sum::<f64>());
            prop_assert_eq!(&sorted[..kept.len()], kept.iter().map(|(_, weight)| *weight).collect::<Vec<_>>());
            prop_assert!(kept.iter().all(|(token, weight)| weights[*token as usize] == *weight));
            prop_assert!(mass(kept.len()) >= p * sum - 1e-12 && mass(kept.len() - 1) < p * sum + 1e-12);
        }
    }
}
