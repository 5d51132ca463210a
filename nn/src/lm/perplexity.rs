//! Perplexity of a text: $\exp\big(-\frac1n \sum_i \ln p(t_i \mid \text{tokens before})\big)$ with windows that slide.
//!
//! The convention is that of the documentation of Hugging Face's transformers ("Perplexity of fixed-length models"):
//!
//! - Windows begin at tokens $0, s, 2s, \dots$ and hold `context` tokens; the first that reaches the end is the last.
//! - A window scores the tokens that no window before it held. Each is scored given the tokens of the window before it,
//!   at least `context` − $s$ of them from the second window on. So every token is scored once, except the first of the
//!   text and, where $s$ = `context`, the first of each window, which have nothing before them.
//! - With a token `bos` before every window, a window holds `context` − 1 tokens of the text and $s$ is at most that; then
//!   every token is scored. For one at the beginning of the text only, put it there.
//! - The mean is over scored tokens. (The documentation's script gives every window the weight of one token less, also
//!   those that score all they count, which moves the mean by a share of about 1/$s$ of what windows differ.)

use super::config::Config;
use super::fault::LmFault;
use super::model::{End, Model, known};
use rayon::prelude::*;
use serde::Serialize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How well a model predicts a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Perplexity {
    /// Mean of $-\ln p$ over scored tokens.
    pub nll: f64,
    /// $e^{\text{nll}}$.
    pub perplexity: f64,
    /// Scored tokens.
    pub tokens: usize,
    /// Windows.
    pub windows: usize,
    /// Tokens of a window.
    pub context: usize,
    /// Tokens between the beginnings of windows.
    pub stride: usize,
    /// The token before every window.
    pub bos: Option<u32>,
}

/// A window: the tokens of the text that it holds, and those of them that it scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    held: Range<usize>,
    scored: Range<usize>,
}

fn windows(tokens: usize, context: usize, stride: usize, bos: bool) -> Vec<Window> {
    let room = context - usize::from(bos);
    let mut all = Vec::new();
    let (mut begin, mut scored) = (0, 0);
    while scored < tokens {
        let end = (begin + room).min(tokens);
        let first = scored.max(begin + usize::from(!bos));
        all.push(Window { held: begin..end, scored: first..end });
        (begin, scored) = (begin + stride, end);
    }
    all
}

/// A text in windows.
pub(super) struct Cut<'a> {
    tokens: &'a [u32],
    pub windows: Vec<Window>,
    context: usize,
    stride: usize,
    bos: Option<u32>,
}

impl<'a> Cut<'a> {
    /// The windows of a text for a model of this configuration.
    ///
    /// # Errors
    /// As [`perplexity`].
    pub fn new(
        config: &Config,
        tokens: &'a [u32],
        context: usize,
        stride: usize,
        bos: Option<u32>,
    ) -> Result<Self, LmFault> {
        let most = context.saturating_sub(usize::from(bos.is_some()));
        if context < 2 || !(1..=most).contains(&stride) {
            return Err(LmFault::Window { context, stride, most });
        }
        if context > config.context {
            return Err(LmFault::Context { context: config.context, found: context });
        }
        let expected = if bos.is_some() { 1 } else { 2 };
        if tokens.len() < expected {
            return Err(LmFault::Short { expected, found: tokens.len() });
        }
        known(tokens, config.vocab)?;
        known(bos.as_slice(), config.vocab)?;
        let windows = windows(tokens.len(), context, stride, bos.is_some());
        Ok(Self { tokens, windows, context, stride, bos })
    }

    /// The tokens that pass through the model for a window: none where it scores none. What the last token predicts is
    /// not scored.
    pub fn seen(&self, window: &Window) -> Vec<u32> {
        let Window { held, scored } = window;
        match scored.is_empty() {
            true => Vec::new(),
            false => self.bos.into_iter().chain(self.tokens[held.start..held.end - 1].iter().copied()).collect(),
        }
    }

    /// The sum of $-\ln p$ of a window's scored tokens, from the stream after the last block.
    pub fn nll(&self, window: &Window, stream: &[f32], end: End<'_>) -> f64 {
        let Window { held, scored } = window;
        if scored.is_empty() {
            return 0.0;
        }
        // The row that predicts a token is that of the token before.
        let first = scored.start - held.start + usize::from(self.bos.is_some()) - 1;
        end.surprises(&stream[first * end.norm.len()..], &self.tokens[scored.clone()]).iter().sum()
    }

    /// The result, from the sums of all windows.
    ///
    /// # Errors
    /// One of them is not finite.
    pub fn perplexity(&self, sums: &[f64]) -> Result<Perplexity, LmFault> {
        let tokens: usize = self.windows.iter().map(|window| window.scored.len()).sum();
        if let Some(at) = sums.iter().position(|sum| !sum.is_finite()) {
            return Err(LmFault::Loss { window: at + 1, windows: sums.len(), tokens });
        }
        let nll = sums.iter().sum::<f64>() / tokens as f64;
        let Self { windows, context, stride, bos, .. } = self;
        let (windows, context, stride, bos) = (windows.len(), *context, *stride, *bos);
        Ok(Perplexity { nll, perplexity: nll.exp(), tokens, windows, context, stride, bos })
    }
}

/// Parts of the work on windows that are done, of which every window has `each`.
pub(super) struct Parts<'a> {
    pub each: usize,
    pub windows: usize,
    pub heard: &'a (dyn Fn(usize, usize) -> bool + Sync),
    pub done: AtomicUsize,
}

impl Parts<'_> {
    /// Does a part, unless the caller wants to stop.
    pub fn next<T>(&self, part: impl FnOnce() -> T) -> Result<T, LmFault> {
        if !(self.heard)(self.done.load(Ordering::Relaxed) / self.each, self.windows) {
            return Err(LmFault::Stopped);
        }
        let found = part();
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(found)
    }
}

/// Perplexity of `tokens`, windows shared among threads; `heard` gets windows done and all, and says whether to go on.
///
/// # Errors
/// No token can be scored; the model has no row for a token; `context` is longer than the model's, or less than 2;
/// `stride` is 0 or leaves tokens out; a window's $-\ln p$ is not finite; the caller stopped.
pub fn perplexity(
    model: &Model,
    tokens: &[u32],
    context: usize,
    stride: usize,
    bos: Option<u32>,
    heard: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Result<Perplexity, LmFault> {
    let cut = Cut::new(&model.config, tokens, context, stride, bos)?;
    let parts = Parts { each: 1, windows: cut.windows.len(), heard, done: AtomicUsize::new(0) };
    let kept = vec![true; model.blocks.len()];
    let score = |window: &Window| {
        parts.next(|| cut.nll(window, &model.onwards(model.embed(&cut.seen(window)), 0, &kept), model.end()))
    };
    let sums = cut.windows.par_iter().map(score).collect::<Result<Vec<f64>, LmFault>>()?;
    cut.perplexity(&sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_are_those_of_the_documentation() {
        let found = windows(10, 4, 2, false);
        let held: Vec<_> = found.iter().map(|window| window.held.clone()).collect();
        assert_eq!(held, [0..4, 2..6, 4..8, 6..10]);
        let scored: Vec<_> = found.iter().map(|window| window.scored.clone()).collect();
        assert_eq!(scored, [1..4, 4..6, 6..8, 8..10]);
        let apart: Vec<_> = windows(9, 4, 4, false).iter().map(|window| window.scored.clone()).collect();
        assert_eq!(apart, [1..4, 5..8, 9..9]);
        let begun: Vec<_> = windows(7, 4, 3, true).iter().map(|window| window.scored.clone()).collect();
        assert_eq!(begun, [0..3, 3..6, 6..7]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_token_is_scored_once(tokens in 2..200usize, context in 3..40usize, share in 0.0..1.0f64, bos: bool) {
            let stride = 1 + ((context - 2) as f64 * share) as usize;
            let mut next = usize::from(!bos);
            for Window { held, scored } in windows(tokens, context, stride, bos) {
                prop_assert_eq!(scored.start, next);
                prop_assert!(scored.end == held.end && held.len() <= context - usize::from(bos));
                // Unless it is in the first window, as much is before it as the stride leaves.
                prop_assert!(held.start == 0 || scored.start - held.start >= context - usize::from(bos) - stride);
                next = scored.end;
            }
            prop_assert_eq!(next, tokens);
        }
    }
}
