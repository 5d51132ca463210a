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
    /// Perplexity is not finite, or more than ten times the original's. Published losses at a fifth of the blocks are
    /// factors of 1.4 to 3.4; models that fell apart are at hundreds.
    Collapsed,
}

impl Health {
    /// By perplexities of the same text.
    pub fn of(before: f64, after: f64) -> Self {
        if after.is_finite() && after <= LIMIT * before { Health::Predicts } else { Health::Collapsed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collapse_is_told_from_loss() {
        assert_eq!(Health::of(5.47, 18.45), Health::Predicts);
        assert_eq!(Health::of(5.47, 2000.0), Health::Collapsed);
        assert_eq!(Health::of(5.47, f64::NAN), Health::Collapsed);
        assert_eq!(Health::of(5.47, f64::INFINITY), Health::Collapsed);
    }
}
