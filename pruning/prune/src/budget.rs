//! Budgets: from scores to masks.
//!
//! | step | here |
//! |---|---|
//! | how many entries each layer keeps | [`counts`] in `allocation.rs` |
//! | which: the highest scores, ties by the lower index | [`keep_largest`] |
//! | single weights, N:M patterns | [`Budget::masks`] |
//! | neurons, channels, heads, blocks | `units.rs` |

pub use crate::allocation::{Allocation, count, counts};
use crate::error::PruneError;
use crate::saliency::Saliency;
use crate::units;
use crate::weights::{Layout, Weight, weights};
use secateur_linalg::Tensor;
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// What is kept or removed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Single weights.
    Weight,
    /// Of every `m` consecutive inputs of an output (input channels at one tap, for convolutions), `n`.
    Pattern {
        /// Kept.
        n: usize,
        /// Out of.
        m: usize,
    },
    /// Outputs of dense layers.
    Neuron,
    /// Channels of convolutions.
    Channel,
    /// Attention heads, with all heads that share keys and values.
    Head,
    /// Residual branches.
    Block,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Weight => f.write_str("weight"),
            Scope::Pattern { n, m } => write!(f, "{n}:{m}"),
            Scope::Neuron => f.write_str("neuron"),
            Scope::Channel => f.write_str("channel"),
            Scope::Head => f.write_str("head"),
            Scope::Block => f.write_str("block"),
        }
    }
}

impl FromStr for Scope {
    type Err = PruneError;

    fn from_str(text: &str) -> Result<Self, PruneError> {
        let unknown = || PruneError::Unknown {
            what: "scope",
            found: text.to_owned(),
            expected: "weight, N:M, neuron, channel, head or block".to_owned(),
        };
        match text {
            "weight" => Ok(Scope::Weight),
            "neuron" => Ok(Scope::Neuron),
            "channel" => Ok(Scope::Channel),
            "head" => Ok(Scope::Head),
            "block" => Ok(Scope::Block),
            _ => {
                let (n, m) = text.split_once(':').ok_or_else(unknown)?;
                let (n, m) = (n.parse().map_err(|_| unknown())?, m.parse().map_err(|_| unknown())?);
                if n == 0 || n >= m { Err(PruneError::Pattern { n, m }) } else { Ok(Scope::Pattern { n, m }) }
            }
        }
    }
}

/// How much is kept, of what, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// What is kept or removed as a whole.
    pub scope: Scope,
    /// How layers share.
    pub allocation: Allocation,
    /// The share that is removed, in $[0, 1)$: of weights or, at the other scopes, of units. N:M has its own.
    pub sparsity: f64,
    /// Refuse masks that leave nothing of a whole layer, instead of reporting them. At the scopes of units, the best unit
    /// of a layer is kept instead.
    pub keep_layers: bool,
}

/// Masks and what they do to layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// The masks, of every prunable tensor.
    pub masks: Masks,
    /// Weights of which nothing is left.
    pub collapsed: Vec<String>,
}

impl Budget {
    /// The share that is kept.
    pub fn density(&self) -> f64 {
        match self.scope {
            Scope::Pattern { n, m } => n as f64 / m as f64,
            _ => 1.0 - self.sparsity,
        }
    }

    /// Refuses settings that mean nothing.
    ///
    /// # Errors
    /// A sparsity outside of $[0, 1)$; a pattern that keeps nothing or everything; an allocation that a scope does not have.
    pub fn check(&self) -> Result<(), PruneError> {
        if !(0.0..1.0).contains(&self.sparsity) {
            return Err(PruneError::Sparsity { found: self.sparsity });
        }
        let clash = |reason| {
            let (first, second) = (format!("budget {}", self.allocation), format!("scope {}", self.scope));
            Err(PruneError::Combination { first, second, reason })
        };
        match (self.scope, self.allocation) {
            (Scope::Pattern { n, m }, _) if n == 0 || n >= m => Err(PruneError::Pattern { n, m }),
            (Scope::Pattern { .. } | Scope::Weight, _) => Ok(()),
            (_, Allocation::Row | Allocation::Erk) => clash("it shares single weights among layers, not units"),
            (Scope::Block, Allocation::Uniform) => clash("a block is a layer of its own"),
            _ => Ok(()),
        }
    }

    /// The masks that keep what scores highest.
    ///
    /// With masks of an earlier round, only what they keep can be kept. Exactly $\operatorname{round}(\rho n)$ of $n$ weights are
    /// kept, over the network and (except globally) in each layer up to the largest remainder; ties go to the
    /// lower index, in the order of the network. The rest of a row that is shorter than $m$ keeps at most $n$.
    ///
    /// # Errors
    /// As [`Budget::check`]; scores that do not fit the network; a collapse that is forbidden; no unit of that scope.
    pub fn masks(&self, graph: &Graph, saliency: &Saliency, earlier: Option<&Masks>) -> Result<Selection, PruneError> {
        self.check()?;
        let weights = weights(graph)?;
        let scores = scores(&weights, saliency)?;
        if !matches!(self.scope, Scope::Weight | Scope::Pattern { .. }) {
            return units::select(self, graph, &weights, saliency, earlier);
        }
        let scores = restricted(&weights, scores, earlier);
        let kept = self.keep(&scores, &|place| weights[place].layout(graph, "this budget"))?;
        let masks = weights.iter().zip(kept).map(|(w, k)| (w.name.clone(), Tensor::new(w.value.shape().to_vec(), k)));
        self.selection(&weights, Masks(masks.collect()))
    }

    /// Which entries of each tensor stay, by their scores; `layout` says how a tensor is a matrix.
    ///
    /// # Errors
    /// The scope is one of units; a layout that is needed does not exist.
    pub fn keep(
        &self,
        scores: &[Vec<f64>],
        layout: &dyn Fn(usize) -> Result<Layout, PruneError>,
    ) -> Result<Vec<Vec<bool>>, PruneError> {
        let sizes: Vec<usize> = scores.iter().map(Vec::len).collect();
        match (self.scope, self.allocation) {
            (Scope::Weight, Allocation::Global) => Ok(global(scores, self.density())),
            (Scope::Weight, allocation) => {
                let counts = counts(&sizes, self.density(), allocation, layout)?;
                let layers = scores.iter().zip(counts).enumerate();
                let one = |(place, (scores, count)): (usize, (&Vec<f64>, usize))| match allocation {
                    Allocation::Row => Ok(by_rows(&layout(place)?, scores, count)),
                    _ => Ok(keep_largest(scores, count)),
                };
                layers.map(one).collect()
            }
            (Scope::Pattern { n, m }, _) => {
                scores.iter().enumerate().map(|(place, s)| Ok(by_pattern(&layout(place)?, s, n, m))).collect()
            }
            (scope, _) => Err(PruneError::Combination {
                first: format!("scope {scope}"),
                second: "tensors without a network".to_owned(),
                reason: "what belongs to a unit is known from the network only",
            }),
        }
    }

    /// The masks with the layers that they empty.
    pub(crate) fn selection(&self, weights: &[Weight], masks: Masks) -> Result<Selection, PruneError> {
        let empty = |w: &&Weight| masks.get(&w.name).is_some_and(|mask| mask.data().iter().all(|keep| !keep));
        let collapsed: Vec<String> = weights.iter().filter(empty).map(|w| w.name.clone()).collect();
        if self.keep_layers && !collapsed.is_empty() {
            return Err(PruneError::Collapse { layers: collapsed });
        }
        Ok(Selection { masks, collapsed })
    }
}

/// The scores of each weight, checked.
fn scores(weights: &[Weight], saliency: &Saliency) -> Result<Vec<Vec<f64>>, PruneError> {
    let known = || weights.iter().map(|w| format!("`{}`", w.name)).collect::<Vec<_>>().join(", ");
    if let Some(name) = saliency.scores.keys().find(|name| !weights.iter().any(|w| w.name == **name)) {
        return Err(PruneError::UnknownWeight { name: name.clone(), known: known() });
    }
    let one = |weight: &Weight| {
        let found = saliency.scores.get(&weight.name).map(|s| s.shape().to_vec()).unwrap_or_default();
        let expected = weight.value.shape().to_vec();
        if found != expected {
            return Err(PruneError::ScoreShape { tensor: weight.name.clone(), expected, found });
        }
        let scores = saliency.scores[&weight.name].data();
        match scores.iter().position(|s| !s.is_finite()) {
            Some(index) => Err(PruneError::Score { tensor: weight.name.clone(), index }),
            None => Ok(scores.to_vec()),
        }
    };
    weights.iter().map(one).collect()
}

/// Scores below all others for what is gone already.
fn restricted(weights: &[Weight], mut scores: Vec<Vec<f64>>, earlier: Option<&Masks>) -> Vec<Vec<f64>> {
    for (weight, scores) in weights.iter().zip(&mut scores) {
        if let Some(mask) = earlier.and_then(|masks| masks.get(&weight.name)) {
            scores.iter_mut().zip(mask.data()).filter(|(_, keep)| !**keep).for_each(|(s, _)| *s = f64::NEG_INFINITY);
        }
    }
    scores
}

/// Keeps the `count` highest scores; of equal ones, those with the lower index.
pub fn keep_largest(scores: &[f64], count: usize) -> Vec<bool> {
    if count == 0 || count >= scores.len() {
        return vec![count > 0; scores.len()];
    }
    // The least score that is kept, found on the scores alone: an order of indices reads them all over memory.
    let mut falling = scores.to_vec();
    let (_, least, _) = falling.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
    let least = *least;
    let mut equal = count - scores.iter().filter(|s| s.total_cmp(&least).is_gt()).count();
    let keep = |score: &f64| match score.total_cmp(&least) {
        Ordering::Greater => true,
        Ordering::Less => false,
        Ordering::Equal => {
            let keep = equal > 0;
            equal -= usize::from(keep);
            keep
        }
    };
    scores.iter().map(keep).collect()
}

fn global(scores: &[Vec<f64>], density: f64) -> Vec<Vec<bool>> {
    let all = scores.concat();
    let kept = keep_largest(&all, count(density, all.len()));
    let mut rest = kept.as_slice();
    let mut parts = Vec::new();
    for part in scores {
        let (head, tail) = rest.split_at(part.len());
        parts.push(head.to_vec());
        rest = tail;
    }
    parts
}

/// `count` entries, as evenly over the rows as whole numbers allow; earlier rows get the remainder.
pub(crate) fn by_rows(layout: &Layout, scores: &[f64], count: usize) -> Vec<bool> {
    let mut kept = vec![false; scores.len()];
    for row in 0..layout.rows {
        let share = count / layout.rows + usize::from(row < count % layout.rows);
        let places = &layout.index[row * layout.cols..(row + 1) * layout.cols];
        mark(&mut kept, scores, places, share);
    }
    kept
}

fn by_pattern(layout: &Layout, scores: &[f64], n: usize, m: usize) -> Vec<bool> {
    let mut kept = vec![false; scores.len()];
    for line in lines(layout) {
        line.chunks(m).for_each(|group| mark(&mut kept, scores, group, n.min(group.len())));
    }
    kept
}

/// The places of the inputs of each row, tap by tap: where N:M patterns run.
pub fn lines(layout: &Layout) -> impl Iterator<Item = Vec<usize>> + '_ {
    (0..layout.rows).flat_map(move |row| {
        let places = &layout.index[row * layout.cols..(row + 1) * layout.cols];
        let taps = layout.taps();
        (0..taps).map(move |tap| places.iter().skip(tap).step_by(taps).copied().collect())
    })
}

fn mark(kept: &mut [bool], scores: &[f64], places: &[usize], count: usize) {
    let chosen: Vec<f64> = places.iter().map(|p| scores[*p]).collect();
    for (place, keep) in places.iter().zip(keep_largest(&chosen, count)) {
        kept[*place] |= keep;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saliency::{Criterion, Magnitude, RandomScores};
    use crate::testing::mlp;
    use proptest::prelude::*;

    fn budget(scope: Scope, allocation: Allocation, sparsity: f64) -> Budget {
        Budget { scope, allocation, sparsity, keep_layers: false }
    }

    #[test]
    fn equal_scores_keep_the_lower_index() {
        assert_eq!(keep_largest(&[1.0, 2.0, 1.0, 1.0], 2), [true, true, false, false]);
        assert_eq!(keep_largest(&[0.0; 5], 3), [true, true, true, false, false]);
        assert_eq!(keep_largest(&[0.0; 2], 9), [true, true]);
    }

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        for sparsity in [1.0, -0.1, f64::NAN, 2.0] {
            let found = budget(Scope::Weight, Allocation::Global, sparsity).check();
            assert!(matches!(found, Err(PruneError::Sparsity { .. })), "{sparsity}");
        }
        assert!(matches!("4:2".parse::<Scope>(), Err(PruneError::Pattern { n: 4, m: 2 })));
        assert!(matches!("0:2".parse::<Scope>(), Err(PruneError::Pattern { .. })));
        for text in ["weights", "2:", ":4", "a:b"] {
            assert!(matches!(text.parse::<Scope>(), Err(PruneError::Unknown { what: "scope", .. })), "{text}");
        }
        let rows = budget(Scope::Neuron, Allocation::Erk, 0.5).check();
        assert!(matches!(rows, Err(PruneError::Combination { .. })));
    }

    #[test]
    fn scores_that_do_not_fit_are_refused() {
        let graph = mlp(&[3, 4, 2], 1);
        let good = Magnitude.score(&graph, None).unwrap();
        let ask = |saliency: &Saliency| budget(Scope::Weight, Allocation::Global, 0.5).masks(&graph, saliency, None);
        let mut unknown = good.clone();
        unknown.scores.insert("w7".to_owned(), Tensor::vector(vec![1.0]));
        assert!(matches!(ask(&unknown), Err(PruneError::UnknownWeight { name, .. }) if name == "w7"));
        let mut missing = good.clone();
        missing.scores.remove("w1");
        assert!(matches!(ask(&missing), Err(PruneError::ScoreShape { .. })));
        let mut nan = good;
        nan.scores.get_mut("w1").unwrap().data_mut()[3] = f64::NAN;
        assert!(matches!(ask(&nan), Err(PruneError::Score { index: 3, .. })));
    }

    #[test]
    fn collapse_is_reported_or_refused() {
        let graph = mlp(&[3, 4, 2], 1);
        let mut scores = Magnitude.score(&graph, None).unwrap();
        scores.scores.get_mut("w1").unwrap().data_mut().fill(0.0);
        let mut budget = budget(Scope::Weight, Allocation::Global, 0.5);
        assert_eq!(budget.masks(&graph, &scores, None).unwrap().collapsed, ["w1"]);
        budget.keep_layers = true;
        assert!(
            matches!(budget.masks(&graph, &scores, None), Err(PruneError::Collapse { layers }) if layers == ["w1"])
        );
    }

    #[test]
    fn units_keep_the_best_of_a_layer() {
        let graph = mlp(&[3, 4, 5, 2], 1);
        let mut scores = Magnitude.score(&graph, None).unwrap();
        scores.scores.get_mut("w0").unwrap().data_mut().fill(0.0);
        let budget = Budget { keep_layers: true, ..budget(Scope::Neuron, Allocation::Global, 0.6) };
        let found = budget.masks(&graph, &scores, None).unwrap();
        assert!(found.collapsed.is_empty());
        let bias = |name: &str| found.masks.get(name).map_or(0, |m| m.data().iter().filter(|k| !**k).count());
        // 9 neurons, of which round(0.4 · 9) = 4 stay; their biases go with them.
        assert_eq!(bias("b0") + bias("b1"), 5);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn exactly_as_many_as_asked_for(sparsity in 0.0f64..1.0, seed in 0u64..99) {
            let graph = mlp(&[7, 9, 5, 3], seed);
            let scores = RandomScores { seed }.score(&graph, None).unwrap();
            let total = 7 * 9 + 9 * 5 + 5 * 3;
            for allocation in [Allocation::Global, Allocation::Uniform, Allocation::Row, Allocation::Erk] {
                let found = budget(Scope::Weight, allocation, sparsity).masks(&graph, &scores, None).unwrap();
                prop_assert_eq!(found.masks.count(), (count(1.0 - sparsity, total), total));
            }
        }

        #[test]
        fn later_masks_lie_inside_earlier_ones(a in 0.0f64..1.0, b in 0.0f64..1.0, seed in 0u64..99) {
            let graph = mlp(&[7, 9, 5, 3], seed);
            let scores = Magnitude.score(&graph, None).unwrap();
            let at = |s| budget(Scope::Weight, Allocation::Global, s).masks(&graph, &scores, None).unwrap().masks;
            let (wide, narrow) = (at(a.min(b)), at(a.max(b)));
            for (name, mask) in &narrow.0 {
                prop_assert!(mask.data().iter().zip(wide.0[name].data()).all(|(narrow, wide)| *wide || !narrow));
            }
        }

        #[test]
        fn patterns_hold_in_every_group(n in 1usize..4, extra in 1usize..4, seed in 0u64..99) {
            let m = n + extra;
            let graph = mlp(&[7, 9, 5, 3], seed);
            let scores = RandomScores { seed }.score(&graph, None).unwrap();
            let found = budget(Scope::Pattern { n, m }, Allocation::Global, 0.0).masks(&graph, &scores, None).unwrap();
            for weight in weights(&graph).unwrap() {
                let layout = weight.layout(&graph, "test").unwrap();
                let mask = found.masks.get(&weight.name).unwrap();
                for line in lines(&layout) {
                    for group in line.chunks(m) {
                        let kept = group.iter().filter(|p| mask.data()[**p]).count();
                        prop_assert_eq!(kept, n.min(group.len()));
                    }
                }
            }
        }
    }
}
