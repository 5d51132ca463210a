//! What a block adds on average to the other kept blocks of base masks.
//!
//! $$ \varphi_i = \frac1Q \sum_q \big[ f(m_q \cup i) - f(m_q \setminus i) \big] $$
//!
//! with base masks $m_q$ from strata of given sizes, every stratum as often. This is a semivalue restricted to these sizes, and not
//! the Shapley value: small coalitions do not occur, and sizes do not have Shapley's weights. Hence $\sum_i \varphi_i$ is not
//! $f(\text{all}) - f(\emptyset)$.

use super::masks::{Mask, every, one};
use secateur_linalg::random::Random;

/// An estimate by drawn base masks.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// $\varphi$.
    pub values: Vec<f64>,
    /// Ends of the 95 % intervals of the bootstrap over base masks. They say how far the draws can be trusted, not how far $f$ can.
    pub intervals: Vec<[f64; 2]>,
    /// Base masks.
    pub masks: usize,
}

/// What each block adds to one base mask.
fn gains(f: &impl Fn(Mask) -> f64, layers: usize, base: Mask) -> Vec<f64> {
    let at = f(base);
    let gain = |layer| if base.keeps(layer) { at - f(base.without(layer)) } else { f(base.with(layer)) - at };
    (0..layers).map(gain).collect()
}

/// The estimator's expectation: the mean over sizes of the mean over all masks of a size.
///
/// # Panics
/// No size, or one that is larger than the number of layers.
#[track_caller]
pub fn expectation(f: &impl Fn(Mask) -> f64, layers: usize, sizes: &[usize]) -> Vec<f64> {
    assert!(!sizes.is_empty() && sizes.iter().all(|kept| *kept <= layers), "sizes of strata");
    let mean = |kept: &usize| mean(every(layers, *kept).map(|base| gains(f, layers, base)), layers);
    mean_of(&sizes.iter().map(mean).collect::<Vec<_>>(), layers)
}

/// The mean of lists of one number per layer.
fn mean(lists: impl Iterator<Item = Vec<f64>>, layers: usize) -> Vec<f64> {
    let (mut sums, mut count) = (vec![0.0; layers], 0.0);
    for list in lists {
        sums.iter_mut().zip(list).for_each(|(sum, value)| *sum += value);
        count += 1.0;
    }
    sums.into_iter().map(|sum| sum / count).collect()
}

fn mean_of(lists: &[Vec<f64>], layers: usize) -> Vec<f64> {
    mean(lists.iter().cloned(), layers)
}

/// The estimate from `each` independent base masks of every size, with intervals of a bootstrap of `draws` that draws masks of a
/// size again.
///
/// # Panics
/// No size, one that is larger than the number of layers, no mask or no draw.
#[track_caller]
pub fn sampled(
    f: &impl Fn(Mask) -> f64,
    layers: usize,
    sizes: &[usize],
    each: usize,
    draws: usize,
    seed: u64,
) -> Estimate {
    assert!(!sizes.is_empty() && sizes.iter().all(|kept| *kept <= layers) && each > 0, "sizes of strata");
    let stratum = |kept: &usize| -> Vec<Vec<f64>> {
        let mut random = Random::stream(seed, *kept as u64);
        (0..each).map(|_| gains(f, layers, one(layers, *kept, &mut random))).collect()
    };
    let strata: Vec<Vec<Vec<f64>>> = sizes.iter().map(stratum).collect();
    let means: Vec<Vec<f64>> = strata.iter().map(|gains| mean_of(gains, layers)).collect();
    let intervals = bootstrap(&strata, draws, seed);
    Estimate { values: mean_of(&means, layers), intervals, masks: each * sizes.len() }
}

/// Ends of the 95 % intervals of the mean over strata of the means of units, by drawing each stratum's units again with replacement
/// and taking percentiles.
///
/// # Shapes
/// Strata of units of numbers, as many numbers in each; an interval for each number.
///
/// # Panics
/// No draw, no stratum, or one without units.
///
/// # Source
/// B. Efron, *Bootstrap methods: another look at the jackknife*, 1979; percentile intervals.
#[track_caller]
pub fn bootstrap(strata: &[Vec<Vec<f64>>], draws: usize, seed: u64) -> Vec<[f64; 2]> {
    assert!(draws > 0 && !strata.is_empty() && strata.iter().all(|units| !units.is_empty()), "something to draw");
    let numbers = strata[0][0].len();
    let again = |draw: u64| {
        let mut random = Random::stream(seed ^ 0xB007, draw);
        let mut stratum = |units: &Vec<Vec<f64>>| {
            let mut sums = vec![0.0; numbers];
            for _ in 0..units.len() {
                let unit = &units[random.index(units.len())];
                sums.iter_mut().zip(unit).for_each(|(sum, value)| *sum += value);
            }
            sums.into_iter().map(|sum| sum / units.len() as f64).collect::<Vec<f64>>()
        };
        mean_of(&strata.iter().map(&mut stratum).collect::<Vec<_>>(), numbers)
    };
    let means: Vec<Vec<f64>> = (0..draws as u64).map(again).collect();
    let interval = |number: usize| {
        let mut column: Vec<f64> = means.iter().map(|mean| mean[number]).collect();
        column.sort_by(f64::total_cmp);
        [0.025, 0.975].map(|share: f64| column[(share * (draws - 1) as f64).round() as usize])
    };
    (0..numbers).map(interval).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Four blocks whose removal costs shares $w$, and half as well where 1 and 2 are both removed.
    pub fn toy(kept: Mask) -> f64 {
        let shares = [0.4, 0.1, 0.2, 0.3];
        let removed = kept.removed(4);
        let product: f64 = removed.iter().map(|layer| 1.0 - shares[*layer]).product();
        if removed.contains(&1) && removed.contains(&2) { 0.5 * product } else { product }
    }

    const EXPECTED: [f64; 4] = [0.301_667, 0.182_417, 0.257_167, 0.215_750];

    #[test]
    fn the_toy_game_in_expectation() {
        let found = expectation(&toy, 4, &[3, 2]);
        // Printed to six digits.
        assert!(found.iter().zip(EXPECTED).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn draws_come_near_the_expectation() {
        let found = sampled(&toy, 4, &[3, 2], 4000, 200, 7);
        assert_eq!(found.masks, 8000);
        for (layer, expected) in expectation(&toy, 4, &[3, 2]).into_iter().enumerate() {
            let [low, high] = found.intervals[layer];
            assert!(low < found.values[layer] && found.values[layer] < high && high - low < 0.01);
            // Four standard errors on either side.
            let room = high - low;
            assert!((low - room / 2.0..high + room / 2.0).contains(&expected), "{layer}: {expected} {low} {high}");
        }
    }

    #[test]
    fn bootstrap_intervals_of_a_mean() {
        // Of 400 units of deviation 1 the mean has deviation 0.05, and the interval a width of 3.92 · 0.05 = 0.196.
        let mut random = Random::new(4);
        let units: Vec<Vec<f64>> = (0..400).map(|_| vec![random.normal(), 3.0]).collect();
        let found = bootstrap(&[units], 2000, 1);
        assert!((found[0][1] - found[0][0] - 0.196).abs() < 0.03, "{found:?}");
        assert_eq!(found[1], [3.0, 3.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Of a sum every block adds its own number, whatever the strata.
        #[test]
        fn sums_are_their_parts(weights in prop::collection::vec(-1.0f64..1.0, 6), size in 0usize..7) {
            let f = |mask: Mask| mask.kept().iter().map(|layer| weights[*layer]).sum::<f64>();
            for found in [expectation(&f, 6, &[size]), sampled(&f, 6, &[size], 3, 2, 1).values] {
                prop_assert!(found.iter().zip(&weights).all(|(a, b)| (a - b).abs() < 1e-9), "{:?}", found);
            }
        }
    }
}
