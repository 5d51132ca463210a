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
pub fn generate(
    model: &Model,
    prompt: &[u32],
    sampling: Sampling,
    mut hear: impl FnMut(u32) -> bool,
) -> Result<Generation, LmFault> {
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
        let token = choose(&logits, sampling.temperature, &mut random);
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
            logits = model.next(&[token], &mut cache);
        }
    }
    Ok(Generation { tokens, reason, prompt, steps: begin.elapsed() - prompt })
}

/// The largest logit at temperature 0, else a draw from the softmax of logits over the temperature.
fn choose(logits: &[f32], temperature: f64, random: &mut Random) -> u32 {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    if temperature <= 0.0 {
        return best as u32;
    }
    let weight = |logit: &f32| (f64::from(*logit - logits[best]) / temperature).exp();
    let mut left = random.unit() * logits.iter().map(weight).sum::<f64>();
    for (token, logit) in logits.iter().enumerate() {
        left -= weight(logit);
        if left < 0.0 {
            return token as u32;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_softmax() {
        let logits = [1.0, 3.0, 2.0, -50.0];
        let mut random = Random::new(5);
        assert_eq!(choose(&logits, 0.0, &mut random), 1);
        let mut counts = [0.0; 4];
        (0..20_000).for_each(|_| counts[choose(&logits, 2.0, &mut random) as usize] += 1.0 / 20_000.0);
        let weights = [1.0, 3.0, 2.0f64].map(|logit| (logit / 2.0).exp());
        for (count, weight) in counts.iter().zip(weights) {
            // Four standard errors of a share: 4 · 0.5 / √20000 = 0.014.
            assert!((count - weight / weights.iter().sum::<f64>()).abs() < 0.015);
        }
        assert_eq!(counts[3], 0.0);
    }
}
