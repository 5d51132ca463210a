//! Which blocks go: those that add least, a search by exchanges, or the truly best of all sets of a size.

use super::masks::{Mask, every, one};
use secateur_linalg::random::Random;

/// The `count` blocks of smallest value, removed at once; the first where they are equal.
///
/// # Panics
/// More are to go than there are.
#[track_caller]
pub fn ascending(values: &[f64], count: usize) -> Mask {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    Mask::all_but(values.len(), &order[..count])
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The kept blocks.
    pub mask: Mask,
    /// Their value.
    pub value: f64,
    /// How often the function was asked.
    pub asked: usize,
}

/// The greatest value over masks of one size that exchanges find: from each start, the best exchange of a kept block and one that
/// is not, until none is better. Starts are `first` and `restarts` random masks of the same size.
pub fn swap_search(value: &impl Fn(Mask) -> f64, layers: usize, first: Mask, restarts: usize, seed: u64) -> Found {
    let start = |index: u64| one(layers, first.size(), &mut Random::stream(seed, index));
    let starts = std::iter::once(first).chain((0..restarts as u64).map(start));
    let (mut best, mut asked) = (Found { mask: first, value: f64::NEG_INFINITY, asked: 0 }, 0);
    for start in starts {
        let found = climb(value, layers, start);
        asked += found.asked;
        if found.value > best.value {
            best = found;
        }
    }
    Found { asked, ..best }
}

/// The best exchanges from one start.
fn climb(value: &impl Fn(Mask) -> f64, layers: usize, start: Mask) -> Found {
    let mut at = Found { mask: start, value: value(start), asked: 1 };
    loop {
        let mask = at.mask;
        let removed = mask.removed(layers);
        let exchange = |out: usize| removed.iter().map(move |back| mask.without(out).with(*back));
        let valued = mask.kept().into_iter().flat_map(exchange).map(|mask| (mask, value(mask)));
        let (mut best, mut asked) = (at, at.asked);
        for (mask, value) in valued {
            asked += 1;
            if value > best.value {
                best = Found { mask, value, asked };
            }
        }
        if best.mask == mask {
            return Found { asked, ..at };
        }
        at = Found { asked, ..best };
    }
}

/// The mask of greatest value of all of one size, the first where they are equal; masks without a value are passed over.
pub fn best(value: &impl Fn(Mask) -> Option<f64>, layers: usize, kept: usize) -> Option<(Mask, f64)> {
    let valued = every(layers, kept).filter_map(|mask| Some((mask, value(mask)?)));
    valued.reduce(|best, other| if other.1 > best.1 { other } else { best })
}

/// Blocks one after the other, each the one whose removal leaves the greatest value: the order of removal, and what is left after
/// each. `value` is asked for all candidates of a step at once; one without a value is passed over, and the order ends where none has
/// one.
///
/// # Errors
/// Those of `value`.
///
/// # Source
/// SLEB, arXiv 2402.09025, whose loss is the perplexity.
pub fn greedy<E>(
    mut value: impl FnMut(&[Mask]) -> Result<Vec<Option<f64>>, E>,
    layers: usize,
    count: usize,
) -> Result<Vec<(usize, f64)>, E> {
    let (mut mask, mut order) = (Mask::full(layers), Vec::new());
    while order.len() < count {
        let kept = mask.kept();
        let candidates: Vec<Mask> = kept.iter().map(|layer| mask.without(*layer)).collect();
        let values = value(&candidates)?;
        let valued = kept.iter().zip(values).filter_map(|(layer, value)| Some((*layer, value?)));
        let Some(step) = valued.reduce(|best, other| if other.1 > best.1 { other } else { best }) else { break };
        mask = mask.without(step.0);
        order.push(step);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer_game::estimator::tests::toy;
    use proptest::prelude::*;
    use std::convert::Infallible;

    #[test]
    fn the_pair_that_loses_least_alone_is_not_the_best() {
        let best = best(&|mask| Some(toy(mask)), 4, 2).expect("pairs");
        assert_eq!(best.0.removed(4), [1, 3]);
        assert!((best.1 - 0.63).abs() < 1e-12);
        let found = swap_search(&toy, 4, Mask::all_but(4, &[1, 2]), 0, 0);
        assert_eq!((found.mask, found.value), best);
        let order = greedy(|masks| Ok::<_, Infallible>(masks.iter().map(|m| Some(toy(*m))).collect()), 4, 2);
        let order: Vec<usize> = order.expect("values").iter().map(|step| step.0).collect();
        assert_eq!(order, [1, 3]);
        // By what each loses alone, blocks 1 and 2 would go.
        assert_eq!(ascending(&[0.4, 0.1, 0.2, 0.3], 2).removed(4), [1, 2]);
    }

    #[test]
    fn greedy_passes_over_what_has_no_value() {
        let value = |masks: &[Mask]| -> Result<Vec<Option<f64>>, Infallible> {
            Ok(masks.iter().map(|mask| mask.keeps(0).then_some(1.0)).collect())
        };
        assert_eq!(greedy(value, 3, 3).expect("values"), [(1, 1.0), (2, 1.0)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// With a start in every basin the search finds the best; exchanges never make it worse.
        #[test]
        fn searches_find_what_enumeration_finds(weights in prop::collection::vec(-1.0f64..1.0, 8), kept in 1usize..8) {
            let value = |mask: Mask| mask.kept().iter().map(|layer| weights[*layer]).sum::<f64>();
            let found = swap_search(&value, 8, one(8, kept, &mut Random::new(1)), 0, 0);
            let (_, most) = best(&|mask| Some(value(mask)), 8, kept).expect("masks");
            prop_assert!((found.value - most).abs() < 1e-12, "a sum has no other hills");
        }
    }
}
