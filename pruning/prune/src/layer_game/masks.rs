//! Sets of kept blocks, and how they are drawn: so many of each size, uniformly, none twice.

use secateur_linalg::random::Random;
use std::collections::BTreeSet;
use std::fmt;

/// A set of kept blocks: bit $i$ is block $i$, at most 128 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mask(pub u128);

impl Mask {
    /// Every block is kept.
    ///
    /// # Panics
    /// More than 128 blocks.
    #[track_caller]
    pub fn full(layers: usize) -> Self {
        assert!(layers <= 128, "{layers} blocks");
        Self(if layers == 128 { u128::MAX } else { (1 << layers) - 1 })
    }

    /// Whether a block is kept.
    pub fn keeps(self, layer: usize) -> bool {
        self.0 >> layer & 1 == 1
    }

    /// With a block.
    #[must_use]
    pub fn with(self, layer: usize) -> Self {
        Self(self.0 | 1 << layer)
    }

    /// Without a block.
    #[must_use]
    pub fn without(self, layer: usize) -> Self {
        Self(self.0 & !(1 << layer))
    }

    /// All blocks but some.
    pub fn all_but(layers: usize, removed: &[usize]) -> Self {
        removed.iter().fold(Self::full(layers), |mask, layer| mask.without(*layer))
    }

    /// How many blocks are kept.
    pub fn size(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The kept blocks, in order.
    pub fn kept(self) -> Vec<usize> {
        (0..128).filter(|layer| self.keeps(*layer)).collect()
    }

    /// The blocks that are not kept, in order.
    pub fn removed(self, layers: usize) -> Vec<usize> {
        (0..layers).filter(|layer| !self.keeps(*layer)).collect()
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.kept().iter().map(ToString::to_string).collect();
        write!(f, "{{{}}}", names.join(", "))
    }
}

/// Masks that keep the same number of blocks, and how many of them are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stratum {
    /// Kept blocks.
    pub kept: usize,
    /// Masks wanted.
    pub count: usize,
}

/// Sizes of the paper, which keeps 30, 27, 24, 21 and 18 of 32 blocks, in the same shares of `layers`; each once.
pub fn sizes(layers: usize) -> Vec<usize> {
    let share = |kept: usize| (2 * layers * kept + 32) / 64;
    let mut sizes: Vec<usize> = [30, 27, 24, 21, 18].into_iter().map(share).filter(|kept| *kept < layers).collect();
    sizes.dedup();
    sizes
}

/// $\binom{n}{k}$; the largest number there is where it is larger.
pub fn choose(n: usize, k: usize) -> u128 {
    if k > n {
        return 0;
    }
    let next = |count: u128, i: usize| {
        // What i + 1 and the count have in common goes first, so that no product is larger than the next count.
        let common = divisor(count, i as u128 + 1);
        (count / common).checked_mul((n - i) as u128 / ((i as u128 + 1) / common))
    };
    (0..k.min(n - k)).try_fold(1u128, next).unwrap_or(u128::MAX)
}

/// The greatest common divisor.
fn divisor(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// The mask of a place in the order of masks of one size, by their number in binary.
///
/// $$ \text{rank} = \sum_{j = 1}^{k} \binom{l_j}{j} \quad\text{for kept blocks } l_1 < \dots < l_k. $$
///
/// # Panics
/// There are not so many masks.
#[track_caller]
pub fn unrank(layers: usize, kept: usize, mut rank: u128) -> Mask {
    assert!(rank < choose(layers, kept), "no such rank");
    let (mut mask, mut above) = (Mask(0), layers);
    for left in (1..=kept).rev() {
        above = (0..above).rev().find(|layer| choose(*layer, left) <= rank).unwrap_or(0);
        rank -= choose(above, left);
        mask = mask.with(above);
    }
    mask
}

/// Every mask of one size, by their number in binary.
pub fn every(layers: usize, kept: usize) -> impl Iterator<Item = Mask> {
    let first = (kept <= layers).then(|| Mask::full(kept));
    std::iter::successors(first, move |mask| next(*mask).filter(|next| next.0 <= Mask::full(layers).0))
}

/// The next larger number with as many ones.
fn next(mask: Mask) -> Option<Mask> {
    let lowest = mask.0 & mask.0.wrapping_neg();
    let ripple = mask.0.checked_add(lowest).filter(|_| mask.0 != 0)?;
    Some(Mask(ripple | (((mask.0 ^ ripple) / lowest) >> 2)))
}

/// One mask of a size, uniformly.
///
/// # Panics
/// More are to be kept than there are.
#[track_caller]
pub fn one(layers: usize, kept: usize, random: &mut Random) -> Mask {
    assert!(kept <= layers, "{kept} of {layers} blocks");
    let mut order: Vec<usize> = (0..layers).collect();
    // The first steps of Fisher and Yates.
    (0..kept).for_each(|i| order.swap(i, i + random.index(layers - i)));
    order[..kept].iter().fold(Mask(0), |mask, layer| mask.with(*layer))
}

/// Different masks of one size, every set of so many equally likely; all of them where there are no more.
pub fn draw(layers: usize, stratum: Stratum, random: &mut Random) -> Vec<Mask> {
    let Stratum { kept, count } = stratum;
    let all = choose(layers, kept);
    if all <= count as u128 {
        return every(layers, kept).collect();
    }
    if all > 2 * count as u128 {
        // At most every second draw is one that was drawn before.
        let mut seen = BTreeSet::new();
        let fresh = |mask: &Mask| seen.insert(*mask);
        return std::iter::repeat_with(|| one(layers, kept, random)).filter(fresh).take(count).collect();
    }
    let mut ranks: Vec<usize> = (0..all as usize).collect();
    (0..count).for_each(|i| ranks.swap(i, i + random.index(all as usize - i)));
    ranks[..count].iter().map(|rank| unrank(layers, kept, *rank as u128)).collect()
}

/// Masks of several strata, each from a random stream of its own.
pub fn sample(layers: usize, strata: &[Stratum], seed: u64) -> Vec<Mask> {
    let draw = |stratum: &Stratum| draw(layers, *stratum, &mut Random::stream(seed, stratum.kept as u64));
    strata.iter().flat_map(draw).collect()
}

/// `total` different masks in equal counts: sizes that have fewer masks than that are taken whole, what is missing comes from
/// the others in equal counts, and the first sizes get one more where it does not divide.
pub fn equal(layers: usize, sizes: &[usize], total: usize) -> Vec<Stratum> {
    let mut strata: Vec<Stratum> = sizes.iter().map(|kept| Stratum { kept: *kept, count: 0 }).collect();
    let room = |stratum: &Stratum| {
        let all = usize::try_from(choose(layers, stratum.kept)).unwrap_or(usize::MAX);
        all - stratum.count
    };
    let mut left = total;
    loop {
        let mut open: Vec<&mut Stratum> = strata.iter_mut().filter(|stratum| room(stratum) > 0).collect();
        if left == 0 || open.is_empty() {
            return strata;
        }
        let each = (left / open.len()).max(1);
        for stratum in &mut open {
            let more = each.min(left).min(room(stratum));
            stratum.count += more;
            left -= more;
        }
    }
}

/// Sorts masks so that those whose first kept blocks are the same are neighbours, and removes copies: the lists of kept blocks in
/// the order of a dictionary.
pub fn neighbours(masks: &mut Vec<Mask>) {
    masks.sort_by_cached_key(|mask| mask.kept());
    masks.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_of_sets() {
        assert_eq!((choose(5, 2), choose(20, 10), choose(3, 4), choose(0, 0)), (10, 184_756, 0, 1));
        assert_eq!(choose(128, 64), 23_951_146_041_928_082_866_135_587_776_380_551_750);
        assert_eq!(sizes(32), [30, 27, 24, 21, 18]);
        assert_eq!(sizes(20), [19, 17, 15, 13, 11]);
        assert_eq!(sizes(5), [4, 3]);
        let counts = |layers, sizes: &[usize], total| -> Vec<usize> {
            equal(layers, sizes, total).into_iter().map(|stratum| stratum.count).collect()
        };
        assert_eq!(counts(5, &[4, 3], 5), [3, 2]);
        // The paper's: 496 sets of two blocks go, which is all of them.
        assert_eq!(counts(32, &[30, 27, 24, 21, 18], 8000), [496, 1876, 1876, 1876, 1876]);
        assert_eq!((counts(5, &[4, 3], 40), counts(5, &[], 3)), (vec![5, 10], vec![]));
    }

    #[test]
    fn every_set_in_order() {
        let sets: Vec<u128> = every(4, 2).map(|mask| mask.0).collect();
        assert_eq!(sets, [0b0011, 0b0101, 0b0110, 0b1001, 0b1010, 0b1100]);
        assert_eq!(every(3, 0).collect::<Vec<_>>(), [Mask(0)]);
        assert_eq!(every(128, 127).count(), 128);
        assert_eq!(every(3, 4).count(), 0);
    }

    #[test]
    fn neighbours_share_what_they_begin_with() {
        let mut masks = vec![Mask(0b110), Mask(0b001), Mask(0b101), Mask(0), Mask(0b111), Mask(0b101)];
        neighbours(&mut masks);
        let sets: Vec<Vec<usize>> = masks.iter().map(|mask| mask.kept()).collect();
        assert_eq!(sets, [vec![], vec![0], vec![0, 1, 2], vec![0, 2], vec![1, 2]]);
    }

    /// Of 12 000 draws of 4 of the 6 pairs each pair is in two thirds: 8000 ± 52 by one deviation, so 260 is five.
    #[test]
    fn draws_are_uniform() {
        for count in [2, 4] {
            let mut hits = [0; 6];
            for seed in 0..12_000 {
                for mask in draw(4, Stratum { kept: 2, count }, &mut Random::new(seed)) {
                    hits[every(4, 2).position(|other| other == mask).expect("a pair")] += 1;
                }
            }
            let expected = 2000 * count as i32;
            assert!(hits.iter().all(|hits: &i32| (hits - expected).abs() < 260), "{count}: {hits:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn ranks_are_places(layers in 1usize..12, kept in 0usize..12) {
            prop_assume!(kept <= layers);
            let ranked: Vec<Mask> = (0..choose(layers, kept)).map(|rank| unrank(layers, kept, rank)).collect();
            prop_assert_eq!(ranked, every(layers, kept).collect::<Vec<_>>());
        }

        #[test]
        fn strata_have_their_counts(layers in 1usize..14, count in 1usize..80, seed in 0u64..1000) {
            let sizes: Vec<usize> = (0..=layers).collect();
            let strata: Vec<Stratum> = sizes.iter().map(|kept| Stratum { kept: *kept, count }).collect();
            let masks = sample(layers, &strata, seed);
            let distinct: BTreeSet<Mask> = masks.iter().copied().collect();
            prop_assert_eq!(distinct.len(), masks.len());
            prop_assert!(masks.iter().all(|mask| mask.0 <= Mask::full(layers).0));
            for kept in sizes {
                let found = masks.iter().filter(|mask| mask.size() == kept).count();
                prop_assert_eq!(found as u128, choose(layers, kept).min(count as u128));
            }
            prop_assert_eq!(sample(layers, &strata, seed), masks);
        }
    }
}
