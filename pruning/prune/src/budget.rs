//! Budgets: from scores to masks.
//!
//! | step | here |
//! |---|---|
//! | how many entries each layer keeps | [`counts`] |
//! | which: the highest scores, ties by the lower index | [`keep_largest`] |
//! | single weights, N:M patterns | [`Budget::masks`] |
//! | neurons, channels, heads, blocks | `units.rs` |

use crate::error::PruneError;
use crate::saliency::Saliency;
use crate::units;
use crate::weights::{Layout, Weight, weights};
use secateur_linalg::Tensor;
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
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

/// How the kept entries are shared among layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// The highest scores of the whole network.
    Global,
    /// The same density in every layer.
    Uniform,
    /// The same density in every row of every layer: scores are compared among the inputs of one output.
    Row,
    /// Erdős–Rényi–kernel: density of a layer in proportion to (sum of its extents) / (product of its extents).
    Erk,
}

impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Allocation::Global => "global",
            Allocation::Uniform => "uniform",
            Allocation::Row => "row",
            Allocation::Erk => "erk",
        })
    }
}

impl FromStr for Allocation {
    type Err = PruneError;

    fn from_str(text: &str) -> Result<Self, PruneError> {
        match text {
            "global" => Ok(Allocation::Global),
            "uniform" => Ok(Allocation::Uniform),
            "row" => Ok(Allocation::Row),
            "erk" => Ok(Allocation::Erk),
            _ => Err(PruneError::Unknown {
                what: "budget",
                found: text.to_owned(),
                expected: "global, uniform, row or erk".to_owned(),
            }),
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
        let kept = match self.scope {
            Scope::Weight => {
                let scores = restricted(&weights, scores, earlier);
                match self.allocation {
                    Allocation::Global => global(&scores, self.density()),
                    Allocation::Uniform | Allocation::Erk => {
                        let counts = counts(&weights, graph, self.density(), self.allocation)?;
                        scores.iter().zip(counts).map(|(s, k)| keep_largest(s, k)).collect()
                    }
                    Allocation::Row => {
                        let counts = counts(&weights, graph, self.density(), Allocation::Uniform)?;
                        let rows = |((w, s), k): ((&Weight, &Vec<f64>), usize)| {
                            Ok(by_rows(&w.layout(graph, "the budget by rows")?, s, k))
                        };
                        weights.iter().zip(&scores).zip(counts).map(rows).collect::<Result<_, PruneError>>()?
                    }
                }
            }
            Scope::Pattern { n, m } => {
                let scores = restricted(&weights, scores, earlier);
                let lines = |(w, s): (&Weight, &Vec<f64>)| Ok(by_pattern(&w.layout(graph, "an N:M pattern")?, s, n, m));
                weights.iter().zip(&scores).map(lines).collect::<Result<_, PruneError>>()?
            }
            _ => return units::select(self, graph, &weights, saliency, earlier),
        };
        let masks = weights.iter().zip(kept).map(|(w, k)| (w.name.clone(), Tensor::new(w.value.shape().to_vec(), k)));
        self.selection(&weights, Masks(masks.collect()))
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
    if let Some(name) = saliency.0.keys().find(|name| !weights.iter().any(|w| w.name == **name)) {
        return Err(PruneError::UnknownWeight { name: name.clone(), known: known() });
    }
    let one = |weight: &Weight| {
        let found = saliency.0.get(&weight.name).map(|s| s.shape().to_vec()).unwrap_or_default();
        let expected = weight.value.shape().to_vec();
        if found != expected {
            return Err(PruneError::ScoreShape { tensor: weight.name.clone(), expected, found });
        }
        let scores = saliency.0[&weight.name].data();
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
    let mut kept = vec![false; scores.len()];
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if count == 0 {
        return kept;
    }
    if count < scores.len() {
        order.select_nth_unstable_by(count - 1, |a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    }
    order.iter().take(count).for_each(|i| kept[*i] = true);
    kept
}

/// Entries kept of `total` at a density.
pub fn count(density: f64, total: usize) -> usize {
    ((density * total as f64).round() as usize).min(total)
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

/// How many entries each layer keeps: together $\operatorname{round}(\rho n)$.
///
/// Uniform: $\rho n_l$ each. ERK: $\varepsilon\, (\sum_a d_a / \prod_a d_a)\, n_l$ over the extents $d_a$ of a layer, where layers that
/// would keep more than everything keep everything and $\varepsilon$ makes up for it. Fractions go to the
/// largest remainders, ties to the earlier layer.
///
/// # Errors
/// The allocation has no counts (global scores decide).
///
/// # Source
/// ERK: Evci, Gale, Menick, Castro, Elsen 2020, "Rigging the lottery", section 3.
pub fn counts(
    weights: &[Weight],
    graph: &Graph,
    density: f64,
    allocation: Allocation,
) -> Result<Vec<usize>, PruneError> {
    let sizes: Vec<usize> = weights.iter().map(Weight::len).collect();
    let total: usize = sizes.iter().sum();
    let wanted = count(density, total);
    let shares: Vec<f64> = match allocation {
        Allocation::Uniform | Allocation::Row => sizes.iter().map(|n| density * *n as f64).collect(),
        Allocation::Erk => {
            let extents = |w: &Weight| {
                let layout = w.layout(graph, "ERK")?;
                // Kernel extents count one by one, channels once each.
                let kernel: Vec<usize> = if layout.taps > 1 { w.value.shape()[2..].to_vec() } else { Vec::new() };
                let sum = layout.rows + layout.cols / layout.taps + kernel.iter().sum::<usize>();
                Ok(sum as f64)
            };
            let raw = weights.iter().map(extents).collect::<Result<Vec<f64>, PruneError>>()?;
            erk(&sizes, &raw, density * total as f64)
        }
        Allocation::Global => {
            return Err(PruneError::Combination {
                first: "budget global".to_owned(),
                second: "counts per layer".to_owned(),
                reason: "the scores decide how much each layer keeps",
            });
        }
    };
    Ok(largest_remainders(&shares, &sizes, wanted))
}

/// $\min(n_l, \varepsilon r_l)$ with the $\varepsilon$ for which they add up.
fn erk(sizes: &[usize], raw: &[f64], wanted: f64) -> Vec<f64> {
    let mut dense = vec![false; sizes.len()];
    loop {
        let fixed: f64 = (0..sizes.len()).filter(|l| dense[*l]).map(|l| sizes[l] as f64).sum();
        let open: f64 = (0..sizes.len()).filter(|l| !dense[*l]).map(|l| raw[l]).sum();
        let epsilon = if open > 0.0 { ((wanted - fixed) / open).max(0.0) } else { 0.0 };
        let over = (0..sizes.len()).filter(|l| !dense[*l] && epsilon * raw[*l] > sizes[*l] as f64).collect::<Vec<_>>();
        if over.is_empty() {
            return (0..sizes.len()).map(|l| if dense[l] { sizes[l] as f64 } else { epsilon * raw[l] }).collect();
        }
        over.into_iter().for_each(|l| dense[l] = true);
    }
}

/// Whole numbers near the shares that add up to `wanted`.
fn largest_remainders(shares: &[f64], sizes: &[usize], wanted: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = shares.iter().zip(sizes).map(|(s, n)| (s.floor() as usize).min(*n)).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|a, b| shares[*b].fract().total_cmp(&shares[*a].fract()).then(a.cmp(b)));
    let mut left = wanted.saturating_sub(counts.iter().sum());
    while left > 0 && counts.iter().zip(sizes).any(|(k, n)| k < n) {
        for l in &order {
            if left > 0 && counts[*l] < sizes[*l] {
                counts[*l] += 1;
                left -= 1;
            }
        }
    }
    // Rounding of the shares can leave one too many.
    let mut excess = counts.iter().sum::<usize>().saturating_sub(wanted);
    for l in order.iter().rev() {
        let cut = excess.min(counts[*l]);
        counts[*l] -= cut;
        excess -= cut;
    }
    counts
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
        (0..layout.taps).map(move |tap| places.iter().skip(tap).step_by(layout.taps).copied().collect())
    })
}

fn mark(kept: &mut [bool], scores: &[f64], places: &[usize], count: usize) {
    let chosen: Vec<f64> = places.iter().map(|p| scores[*p]).collect();
    for (place, keep) in places.iter().zip(keep_largest(&chosen, count)) {
        kept[*place] |= keep;
    }
}
