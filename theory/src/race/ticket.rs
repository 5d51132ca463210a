//! Who is chosen to race alone: neurons that are put back to their start and trained without the others.

use secateur_linalg::random::Random;
use serde::{Deserialize, Serialize};
use std::fmt;

/// By what neurons are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The alignment with their drives early on.
    Alignment,
    /// The norm of the total weight vector at the start.
    Magnitude,
    /// Chance.
    Random,
    /// The amplitude in the end: what only the finished race knows.
    Oracle,
}

impl Choice {
    /// All, in the order of tables.
    pub const ALL: [Choice; 4] = [Choice::Alignment, Choice::Magnitude, Choice::Random, Choice::Oracle];
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Choice::Alignment => "early alignment",
            Choice::Magnitude => "norm at the start",
            Choice::Random => "random",
            Choice::Oracle => "final amplitude",
        })
    }
}

/// The `count` neurons with the greatest scores, half of them of each sign of $w_2$ (as near as there are enough), because a network
/// of one sign cannot fit two classes. Ties are broken by the seed, so equal scores are a random choice.
#[track_caller]
pub fn choose(scores: &[f64], w2: &[f64], count: usize, seed: u64) -> Vec<usize> {
    assert_eq!(scores.len(), w2.len(), "a score for every neuron");
    assert!(count <= w2.len(), "no more than there are");
    let shuffled = Random::new(seed).permutation(w2.len());
    let ranked = |positive: bool| {
        let mut group: Vec<usize> = shuffled.iter().copied().filter(|alpha| (w2[*alpha] > 0.0) == positive).collect();
        // A stable sort keeps the shuffled order of equal scores.
        group.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        group
    };
    let (positive, negative) = (ranked(true), ranked(false));
    let first = count.div_ceil(2).min(positive.len()).max(count.saturating_sub(negative.len()));
    let mut chosen = [&positive[..first], &negative[..count - first]].concat();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_signs_are_chosen() {
        let w2 = [1.0, 1.0, 1.0, -1.0, -1.0, -1.0];
        let scores = [0.9, 0.8, 0.7, 0.1, 0.3, 0.2];
        assert_eq!(choose(&scores, &w2, 4, 0), [0, 1, 4, 5]);
        assert_eq!(choose(&scores, &w2, 3, 0), [0, 1, 4]);
        assert_eq!(choose(&scores, &[1.0, 1.0, 1.0, 1.0, 1.0, -1.0], 4, 0), [0, 1, 2, 5]);
        assert_eq!(choose(&scores, &[1.0; 6], 2, 0), [0, 1]);
        assert_eq!(choose(&scores, &[-1.0; 6], 6, 0).len(), 6);
    }

    #[test]
    fn ties_are_broken_by_chance() {
        let w2: Vec<f64> = (0..40).map(|k| if k % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let picks: Vec<_> = (0..5).map(|seed| choose(&[0.5; 40], &w2, 6, seed)).collect();
        assert_eq!(picks[0], choose(&[0.5; 40], &w2, 6, 0));
        assert!(picks.iter().any(|pick| *pick != picks[0]));
    }
}
