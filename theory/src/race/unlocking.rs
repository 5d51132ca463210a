//! Whether changes of clusters follow gate flips.
//!
//! Unlocking (a definition of this project): a neuron's effective dataset changes. The statistic is the mean number of flips
//! that a neuron had shortly before it changed company. Two nulls keep what could make it large by chance: the same changes
//! with the flips of other neurons at the same times, and the same neurons with flips at other times.

use super::flips::Flip;
use crate::error::TheoryError;
use secateur_linalg::random::Random;
use serde::{Deserialize, Serialize};

/// A neuron changed company between two looks at the clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The neuron.
    pub neuron: usize,
    /// The interval between looks: `k` ends at look `k + 1`.
    pub interval: usize,
}

/// The outcome of a permutation test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Changes of company that were looked at.
    pub changes: usize,
    /// Mean flips of the neuron in the intervals up to its change.
    pub observed: f64,
    /// The mean of that with the flips of other neurons at the same times.
    pub other_neurons: f64,
    /// The share of permutations of neurons that reach what was observed (with the observation among them).
    pub p_neurons: f64,
    /// The mean of that with the neuron's own flips at shifted times.
    pub other_times: f64,
    /// The share of shifts that reach what was observed (with the observation among them).
    pub p_times: f64,
}

/// Tests whether changes follow flips: counts flips in the `lag` intervals that end with the change's own.
///
/// `looks` are the times of the looks at the clusters, ascending. Permutations of neurons stay within a sign of $w_2$,
/// `positive`, because the two signs live different lives.
///
/// # Errors
/// Fewer than two looks, no lag, or no permutation.
pub fn test(
    flips: &[Flip],
    changes: &[Change],
    looks: &[f64],
    positive: &[bool],
    lag: usize,
    permutations: usize,
    seed: u64,
) -> Result<Option<Test>, TheoryError> {
    let least = |name, found: usize, least: usize| match found >= least {
        true => Ok(()),
        false => Err(TheoryError::Range { name, expected: "more", found: found as f64 }),
    };
    least("looks at clusters", looks.len(), 2)?;
    least("the lag in intervals", lag, 1)?;
    least("permutations", permutations, 1)?;
    if changes.is_empty() {
        return Ok(None);
    }
    let (width, intervals) = (positive.len(), looks.len() - 1);
    let counts = counts(flips, looks, width);
    let recent = |neuron: usize, interval: usize, shift: usize| -> f64 {
        (0..lag.min(interval + 1)).map(|back| counts[neuron * intervals + (interval - back + shift) % intervals]).sum()
    };
    let statistic = |neuron: &dyn Fn(usize) -> usize, shift: usize| {
        let flips = changes.iter().map(|change| recent(neuron(change.neuron), change.interval, shift));
        flips.sum::<f64>() / changes.len() as f64
    };
    let observed = statistic(&|alpha| alpha, 0);
    let (mut others, mut shifted) = (Vec::new(), Vec::new());
    for permutation in 0..permutations {
        let mut random = Random::stream(seed, permutation as u64);
        let mut image = vec![0; width];
        for sign in [true, false] {
            let group: Vec<usize> = (0..width).filter(|alpha| positive[*alpha] == sign).collect();
            let order = random.permutation(group.len());
            group.iter().zip(order).for_each(|(alpha, place)| image[*alpha] = group[place]);
        }
        others.push(statistic(&|alpha| image[alpha], 0));
        shifted.push(statistic(&|alpha| alpha, random.index(intervals)));
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    // A relative tolerance of roundoff: equal sums in another order are equal.
    let reaches = |values: &[f64]| {
        let count = values.iter().filter(|value| **value >= observed * (1.0 - 1e-12)).count();
        (count + 1) as f64 / (values.len() + 1) as f64
    };
    Ok(Some(Test {
        changes: changes.len(),
        observed,
        other_neurons: mean(&others),
        p_neurons: reaches(&others),
        other_times: mean(&shifted),
        p_times: reaches(&shifted),
    }))
}

/// Flips of each neuron in each interval, $n \times$ intervals.
fn counts(flips: &[Flip], looks: &[f64], width: usize) -> Vec<f64> {
    let intervals = looks.len() - 1;
    let mut counts = vec![0.0; width * intervals];
    for flip in flips {
        let place = looks.partition_point(|look| *look <= flip.time);
        if (1..=intervals).contains(&place) {
            counts[flip.neuron * intervals + place - 1] += 1.0;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::Gate;

    fn flip(neuron: usize, time: f64) -> Flip {
        Flip { time, neuron, sample: 0, from: Gate::Off, to: Gate::On, jump: 0.1 }
    }

    fn random_flips(random: &mut Random) -> Vec<Flip> {
        (0..400).map(|_| flip(random.index(20), random.uniform(0.0, 50.0))).collect()
    }

    #[test]
    fn changes_that_follow_flips_are_found_and_others_are_not() {
        let looks: Vec<f64> = (0..=50).map(f64::from).collect();
        let positive: Vec<bool> = (0..20).map(|alpha| alpha % 2 == 0).collect();
        let mut random = Random::new(3);
        let flips = random_flips(&mut random);
        let caused: Vec<Change> = flips
            .iter()
            .step_by(8)
            .map(|flip| Change { neuron: flip.neuron, interval: flip.time.floor() as usize })
            .collect();
        let found = test(&flips, &caused, &looks, &positive, 2, 500, 1).expect("a test").expect("changes");
        assert!(found.p_neurons < 0.01 && found.p_times < 0.05, "{found:?}");
        assert!(found.observed > found.other_neurons && found.observed > found.other_times);
        let chance: Vec<Change> =
            (0..50).map(|_| Change { neuron: random.index(20), interval: random.index(50) }).collect();
        let found = test(&flips, &chance, &looks, &positive, 2, 500, 1).expect("a test").expect("changes");
        assert!(found.p_neurons > 0.05 && found.p_times > 0.05, "{found:?}");
        assert_eq!(test(&flips, &[], &looks, &positive, 2, 500, 1).expect("a test"), None);
        assert!(test(&flips, &chance, &looks[..1], &positive, 2, 500, 1).is_err());
    }

    #[test]
    fn flips_are_counted_in_their_interval() {
        let counts = counts(&[flip(1, 0.5), flip(1, 1.0), flip(0, 2.5), flip(0, -1.0)], &[0.0, 1.0, 2.0], 2);
        assert_eq!(counts, [0.0, 0.0, 1.0, 1.0]);
    }
}
