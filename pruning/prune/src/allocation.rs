//! Allocations: how many entries each layer keeps.

use crate::error::PruneError;
use crate::weights::Layout;
use std::fmt;
use std::str::FromStr;

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

/// Entries kept of `total` at a density.
pub fn count(density: f64, total: usize) -> usize {
    ((density * total as f64).round() as usize).min(total)
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
    sizes: &[usize],
    density: f64,
    allocation: Allocation,
    layout: &dyn Fn(usize) -> Result<Layout, PruneError>,
) -> Result<Vec<usize>, PruneError> {
    let total: usize = sizes.iter().sum();
    let wanted = count(density, total);
    let shares: Vec<f64> = match allocation {
        Allocation::Uniform | Allocation::Row => sizes.iter().map(|n| density * *n as f64).collect(),
        Allocation::Erk => {
            let extents = |place: usize| {
                let Layout { rows, cols, kernel, .. } = layout(place)?;
                // Kernel extents count one by one, channels once each.
                let taps: usize = kernel.iter().product();
                Ok((rows + cols / taps + kernel.iter().sum::<usize>()) as f64)
            };
            let raw = (0..sizes.len()).map(extents).collect::<Result<Vec<f64>, PruneError>>()?;
            erk(sizes, &raw, density * total as f64)
        }
        Allocation::Global => {
            return Err(PruneError::Combination {
                first: "budget global".to_owned(),
                second: "counts per layer".to_owned(),
                reason: "the scores decide how much each layer keeps",
            });
        }
    };
    Ok(largest_remainders(&shares, sizes, wanted))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erk_is_its_formula() {
        // Two layers of 100 × 10 and 10 × 10, density 0.2: raw shares 110 and 20, ε = 220 / 130.
        let layout = |place: usize| Ok(Layout::outputs_first(&[[100, 10], [10, 10]][place]));
        let found = counts(&[1000, 100], 0.2, Allocation::Erk, &layout).unwrap();
        assert_eq!(found, [186, 34]);
        // At density 0.9 the small layer stays whole.
        assert_eq!(counts(&[1000, 100], 0.9, Allocation::Erk, &layout).unwrap(), [890, 100]);
    }
}
