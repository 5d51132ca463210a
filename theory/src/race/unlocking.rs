//! Whether clusters split along gate flips.
//!
//! Unlocking (a definition of this project): a neuron's effective dataset changes, by a flip that lasts. Where it is what parts a
//! cluster, the neurons that leave and those that stay flip different samples before. The statistic of a split is by how much
//! they do, in a time $\ell$ up to it:
//!
//! $$ T = \sum_s |p_s - p'_s|, $$
//!
//! with $p_s$ and $p'_s$ the flips of sample $s$ for a neuron that leaves and for one that stays, in the mean. Two nulls can
//! refute that: the same neurons before other times, and other ways to divide the same cluster at the same time.

use super::clusters::Clusters;
use super::flips::Flip;
use crate::error::TheoryError;
use secateur_linalg::random::Random;
use serde::{Deserialize, Serialize};

/// A cluster lost some neurons between two looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Which look was the first after it.
    pub look: usize,
    /// Those that left together.
    pub gone: Vec<usize>,
    /// The largest part of what was their cluster.
    pub stayed: Vec<usize>,
}

impl Split {
    /// The splits between two looks: every part of an old cluster but the largest left it.
    pub fn between(before: &Clusters, after: &Clusters, look: usize) -> Vec<Self> {
        let mut splits = Vec::new();
        for cluster in before.members() {
            let mut parts: Vec<(usize, Vec<usize>)> = Vec::new();
            for alpha in cluster {
                let label = after.labels()[*alpha];
                match parts.iter_mut().find(|(of, _)| *of == label) {
                    Some((_, part)) => part.push(*alpha),
                    None => parts.push((label, vec![*alpha])),
                }
            }
            // The first of the largest, so that equal halves are told apart by their first neurons.
            parts.sort_by_key(|(_, part)| std::cmp::Reverse(part.len()));
            let mut parts = parts.into_iter().map(|(_, part)| part);
            if let Some(stayed) = parts.next() {
                splits.extend(parts.map(|gone| Self { look, gone, stayed: stayed.clone() }));
            }
        }
        splits
    }
}

/// The outcome of the test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Splits.
    pub splits: usize,
    /// The mean of $T$.
    pub observed: f64,
    /// The mean of $T$ of the same neurons before other looks.
    pub other_times: f64,
    /// Splits whose $T$ is above the median of that over other looks.
    pub above: usize,
    /// The mean of $T$ of other ways to divide the same clusters.
    pub other_parts: f64,
    /// Splits whose $T$ at most one in twenty of those ways reaches.
    pub apart: usize,
}

/// Tests splits, against looks from `first` on. `looks` are times, ascending.
///
/// # Errors
/// No time before a split, or no permutation.
pub fn test(
    flips: &[Flip],
    splits: &[Split],
    looks: &[f64],
    first: usize,
    lag: f64,
    permutations: usize,
    seed: u64,
) -> Result<Option<Test>, TheoryError> {
    for (name, found) in [("the time before a split", lag), ("permutations", permutations as f64)] {
        if !(found > 0.0 && found.is_finite()) {
            return Err(TheoryError::Range { name, expected: "a positive number", found });
        }
    }
    let samples = flips.iter().map(|flip| flip.sample + 1).max().unwrap_or(0);
    let mut test = Test { splits: splits.len(), observed: 0.0, other_times: 0.0, above: 0, other_parts: 0.0, apart: 0 };
    for (index, split) in splits.iter().enumerate() {
        let Split { look, gone, stayed } = split;
        let statistic = |look: usize, gone: &[usize], stayed: &[usize]| {
            difference(flips, samples, (looks[look] - lag, looks[look]), gone, stayed)
        };
        let observed = statistic(*look, gone, stayed);
        let mut elsewhere: Vec<f64> =
            (first..looks.len()).filter(|k| k != look).map(|k| statistic(k, gone, stayed)).collect();
        elsewhere.sort_by(f64::total_cmp);
        let mut random = Random::stream(seed, index as u64);
        let both = [gone.as_slice(), stayed].concat();
        let otherwise: Vec<f64> = (0..permutations)
            .map(|_| {
                let order: Vec<usize> = random.permutation(both.len()).into_iter().map(|k| both[k]).collect();
                statistic(*look, &order[..gone.len()], &order[gone.len()..])
            })
            .collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let share = 1.0 / splits.len() as f64;
        test.observed += share * observed;
        test.other_times += share * mean(&elsewhere);
        test.above += usize::from(elsewhere.get(elsewhere.len() / 2).is_some_and(|median| observed > *median));
        test.other_parts += share * mean(&otherwise);
        // Equal sums in another order differ by roundings.
        let reached = otherwise.iter().filter(|value| **value >= observed * (1.0 - 1e-12)).count();
        test.apart += usize::from(20 * (reached + 1) <= permutations + 1);
    }
    Ok((!splits.is_empty()).then_some(test))
}

/// $T$ of two groups of neurons over a span of time.
fn difference(flips: &[Flip], samples: usize, (from, to): (f64, f64), gone: &[usize], stayed: &[usize]) -> f64 {
    let mut rates = vec![0.0; samples];
    let width = gone.iter().chain(stayed).max().map_or(0, |alpha| alpha + 1);
    let mut weights = vec![0.0; width];
    gone.iter().for_each(|alpha| weights[*alpha] = 1.0 / gone.len() as f64);
    stayed.iter().for_each(|alpha| weights[*alpha] = -1.0 / stayed.len() as f64);
    for flip in flips.iter().filter(|flip| flip.time > from && flip.time <= to && flip.neuron < width) {
        // Gaining and losing a sample are opposite.
        rates[flip.sample] += weights[flip.neuron] * if flip.gains() { 1.0 } else { -1.0 };
    }
    rates.iter().map(|rate: &f64| rate.abs()).sum()
}

/// The probability of at least `least` successes in `trials`, each of probability `chance`.
pub fn tail(least: usize, trials: usize, chance: f64) -> f64 {
    // The distribution after one trial more, from the first.
    let mut row = vec![1.0];
    for _ in 0..trials {
        let next = (0..=row.len()).map(|k| {
            let came = if k > 0 { chance * row[k - 1] } else { 0.0 };
            came + (1.0 - chance) * row.get(k).copied().unwrap_or(0.0)
        });
        row = next.collect();
    }
    row.iter().skip(least).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::{Gate, Neurons};

    fn flip(neuron: usize, sample: usize, time: f64) -> Flip {
        Flip { time, neuron, sample, from: Gate::Off, to: Gate::On, jump: 0.1 }
    }

    /// Twenty neurons that flip at random, and splits by a rule.
    fn world(related: bool) -> Test {
        let looks: Vec<f64> = (0..=50).map(f64::from).collect();
        let mut random = Random::new(3);
        let mut flips: Vec<Flip> =
            (0..600).map(|_| flip(random.index(20), random.index(30), random.uniform(0.0, 50.0))).collect();
        let mut splits = Vec::new();
        for _ in 0..25 {
            let order = random.permutation(20);
            let look = 5 + random.index(45);
            if related {
                let sample = random.index(30);
                flips.extend(order[..6].iter().map(|alpha| flip(*alpha, sample, looks[look] - 0.5)));
            }
            splits.push(Split { look, gone: order[..6].to_vec(), stayed: order[6..].to_vec() });
        }
        test(&flips, &splits, &looks, 0, 2.0, 199, 1).expect("a test").expect("splits")
    }

    #[test]
    fn splits_along_flips_are_found_and_others_are_not() {
        let found = world(true);
        assert!(tail(found.above, found.splits, 0.5) < 1e-3, "{found:?}");
        assert!(tail(found.apart, found.splits, 0.05) < 1e-3, "{found:?}");
        let found = world(false);
        assert!(tail(found.above, found.splits, 0.5) > 0.05, "{found:?}");
        assert!(tail(found.apart, found.splits, 0.05) > 0.05, "{found:?}");
        assert_eq!(test(&[], &[], &[0.0, 1.0], 0, 1.0, 9, 1).expect("a test"), None);
        assert!(test(&[], &[], &[0.0, 1.0], 0, 0.0, 9, 1).is_err());
    }

    #[test]
    fn tails_by_hand() {
        // 1/8; (10 + 5 + 1) / 32; all; 1 - .95².
        assert_eq!((tail(3, 3, 0.5), tail(3, 5, 0.5), tail(0, 9, 0.5)), (0.125, 0.5, 1.0));
        assert!((tail(1, 2, 0.05) - 0.0975).abs() < 1e-15);
    }

    #[test]
    fn opposite_flips_cancel_and_others_differ() {
        let mut back = flip(0, 1, 0.6);
        (back.from, back.to) = (Gate::On, Gate::Off);
        let flips = [flip(0, 1, 0.5), back, flip(2, 0, 0.7), flip(2, 3, 5.0)];
        assert_eq!(difference(&flips, 4, (0.0, 1.0), &[0, 1], &[2]), 1.0);
    }

    #[test]
    fn all_parts_but_the_largest_leave() {
        let clusters = |angles: [f64; 5]| {
            let w1 = angles.iter().flat_map(|t: &f64| [t.cos(), t.sin()]).collect();
            let neurons = Neurons::new(2, w1, vec![1.0; 5]).expect("neurons");
            Clusters::new(&neurons, &neurons.cosines(), 0.99).expect("clusters")
        };
        let (before, after) = (clusters([0.0, 0.0, 0.0, 0.0, 2.0]), clusters([0.0, 0.0, 1.0, 2.0, 2.0]));
        let found = Split::between(&before, &after, 7);
        let split = |gone| Split { look: 7, gone: vec![gone], stayed: vec![0, 1] };
        assert_eq!(found, [split(2), split(3)]);
        assert!(Split::between(&after, &after, 7).is_empty());
    }
}
