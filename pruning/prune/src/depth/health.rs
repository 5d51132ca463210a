//! Whether a compressed model still predicts.

use serde::{Deserialize, Serialize};

/// A model whose perplexity is more than so many times the original's has collapsed.
pub const LIMIT: f64 = 10.0;

/// What perplexities before and after say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It predicts, if worse.
    Predicts,
    /// Perplexity is not finite, more than ten times the original's, or no better than of guessing, where every token of
    /// the vocabulary is as likely. Published losses at a fifth of the blocks are factors of 1.4 to 3.4; models that fell
    /// apart are at hundreds.
    Collapsed,
}

impl Health {
    /// By perplexities of the same text, and tokens of the vocabulary.
    pub fn of(before: f64, after: f64, vocab: usize) -> Self {
        let predicts = after.is_finite() && after <= LIMIT * before && after < vocab as f64;
        if predicts { Health::Predicts } else { Health::Collapsed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collapse_is_told_from_loss() {
        let of = |before, after| Health::of(before, after, 256);
        assert_eq!(of(5.47, 18.45), Health::Predicts);
        assert_eq!(of(5.47, 200.0), Health::Collapsed);
        assert_eq!(of(5.47, f64::NAN), Health::Collapsed);
        assert_eq!(of(5.47, f64::INFINITY), Health::Collapsed);
        assert_eq!((of(100.0, 255.0), of(100.0, 256.0)), (Health::Predicts, Health::Collapsed));
        assert_eq!(of(f64::INFINITY, f64::INFINITY), Health::Collapsed);
    }
}
