//! SparseGPT: layer by layer, column by column, with the optimal brain surgeon's update.
//!
//! For a layer $Y = X W^\top$ with $H = \frac1R X^\top X + \lambda I$ and the upper factor $U$ of $H^{-1} = U^\top U$:
//!
//! ```text
//! for each block of B columns
//!     choose the mask: the entries with the smallest w² / U_cc² go
//!     for each column c of the block
//!         e = (w_c − mask ⊙ w_c) / U_cc
//!         columns c… of W  −=  e U_{c, c…}
//! ```

use super::Reconstruction;
use crate::activations::second_moments;
use crate::budget::{Allocation, Budget, Scope, counts, keep_largest};
use crate::calibration::Calibration;
use crate::error::PruneError;
use crate::weights::{Layout, Weight, constants, weights};
use secateur_linalg::{Tensor, cholesky};
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use std::collections::BTreeMap;

/// Parameters of SparseGPT.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SparsegptParams {
    /// $\lambda$ as a share of the mean of the diagonal of $H$.
    pub damping: f64,
    /// $B$: columns whose mask is chosen together.
    pub block: usize,
}

impl Default for SparsegptParams {
    fn default() -> Self {
        Self { damping: 0.01, block: 128 }
    }
}

/// Prunes every layer in the order of the network, each on inputs from the layers pruned before it.
///
/// Columns whose inputs are all 0 are removed without a trace. A weight used by several operators sees the inputs of all.
/// An N:M pattern chooses among $M$ columns of a row when it reaches the first of them; convolutions run their patterns
/// over input channels tap by tap, so there the columns are visited in that order.
///
/// # Errors
/// The scope is one of units, the budget global; the data do not fit; $H$ has no Cholesky factor.
///
/// # Source
/// Frantar, Alistarh 2023, "SparseGPT: massive language models can be accurately pruned in one-shot", algorithm 1.
/// Exact counts (per layer, and per block up to one) are ours.
pub fn sparsegpt(
    graph: &Graph,
    calibration: &Calibration,
    budget: &Budget,
    params: &SparsegptParams,
) -> Result<Reconstruction, PruneError> {
    budget.check()?;
    if params.damping <= 0.0 {
        return Err(PruneError::Positive { what: "damping", found: params.damping });
    }
    if params.block == 0 {
        return Err(PruneError::Positive { what: "block of columns", found: 0.0 });
    }
    let refuse =
        |second: String, reason| Err(PruneError::Combination { first: "sparsegpt".to_owned(), second, reason });
    match (budget.scope, budget.allocation) {
        (Scope::Weight | Scope::Pattern { .. }, Allocation::Uniform | Allocation::Erk) => {}
        (Scope::Pattern { .. }, _) => {}
        (Scope::Weight, other) => return refuse(format!("budget {other}"), "it prunes layer by layer: uniform or erk"),
        (other, _) => return refuse(format!("scope {other}"), "it removes single weights or patterns of them"),
    }
    let all = weights(graph)?;
    let kept = match budget.scope {
        Scope::Weight => {
            let sizes: Vec<usize> = all.iter().map(Weight::len).collect();
            counts(&sizes, budget.density(), budget.allocation, &|place| all[place].layout(graph, "sparsegpt"))?
        }
        _ => vec![0; all.len()],
    };
    let mut current = graph.clone();
    let mut masks = BTreeMap::new();
    for (place, count) in kept.into_iter().enumerate() {
        // The same weight, in the network whose earlier layers are pruned.
        let weight = &weights(&current)?[place];
        let layout = weight.layout(graph, "sparsegpt")?;
        let moments = second_moments(&current, weight, calibration, "sparsegpt")?;
        let (values, mask) = layer(weight, &layout, moments, budget.scope, count, params)?;
        let name = weight.name.clone();
        current = current.with_constants(&BTreeMap::from([(name.clone(), values)]))?;
        masks.insert(name, mask);
    }
    let selection = budget.selection(&all, Masks(masks))?;
    Ok(Reconstruction { masks: selection.masks, graph: current })
}

/// One layer: new weights and their mask.
fn layer(
    weight: &Weight,
    layout: &Layout,
    moments: Vec<Vec<f64>>,
    scope: Scope,
    count: usize,
    params: &SparsegptParams,
) -> Result<(Tensor<f32>, Tensor<bool>), PruneError> {
    let shape = weight.value.shape().to_vec();
    let order = visiting_order(layout, scope);
    let (cols, rows) = (layout.cols, layout.rows / layout.groups);
    let mut values = weight.value.data().to_vec();
    let mut mask = vec![true; values.len()];
    for (group, moment) in moments.into_iter().enumerate() {
        // The rows of this group, columns in the order of the visit.
        let place = |row: usize, col: usize| layout.index[(group * rows + row) * cols + order[col]];
        let mut w: Vec<f64> =
            (0..rows * cols).map(|i| f64::from(weight.value.data()[place(i / cols, i % cols)])).collect();
        let share = |g: usize| count * g / layout.groups;
        let wanted = share(group + 1) - share(group);
        let upper = upper_factor(moment, &order, &mut w, params.damping)
            .ok_or_else(|| PruneError::Singular { tensor: weight.name.clone() })?;
        let kept = sweep(&mut w, rows, &upper, scope, wanted, params.block, layout.taps());
        for i in 0..rows * cols {
            let at = place(i / cols, i % cols);
            mask[at] = kept[i];
            values[at] = if kept[i] { w[i] as f32 } else { 0.0 };
        }
    }
    Ok((Tensor::new(shape.clone(), values), Tensor::new(shape, mask)))
}

/// Columns as patterns run over them: tap by tap, along the input channels; as stored at the scope of weights.
fn visiting_order(layout: &Layout, scope: Scope) -> Vec<usize> {
    match scope {
        Scope::Pattern { .. } => (0..layout.taps()).flat_map(|tap| (tap..layout.cols).step_by(layout.taps())).collect(),
        _ => (0..layout.cols).collect(),
    }
}

/// $U$ with $H^{-1} = U^\top U$ for the damped second moments; weights of inputs that are always 0 become 0.
fn upper_factor(moment: Vec<f64>, order: &[usize], w: &mut [f64], damping: f64) -> Option<Vec<f64>> {
    let n = order.len();
    let mut h: Vec<f64> = (0..n * n).map(|i| moment[order[i / n] * n + order[i % n]]).collect();
    for c in 0..n {
        if h[c * n + c] == 0.0 {
            h[c * n + c] = 1.0;
            w.iter_mut().skip(c).step_by(n).for_each(|w| *w = 0.0);
        }
    }
    let mean = (0..n).map(|c| h[c * n + c]).sum::<f64>() / n as f64;
    (0..n).for_each(|c| h[c * n + c] += damping * mean);
    let inverse = cholesky::inverse(&cholesky::factor(&h, n)?, n);
    let lower = cholesky::factor(&inverse, n)?;
    Some((0..n * n).map(|i| lower[(i % n) * n + i / n]).collect())
}

/// The sweep over the columns; which entries stay.
fn sweep(
    w: &mut [f64],
    rows: usize,
    upper: &[f64],
    scope: Scope,
    wanted: usize,
    block: usize,
    taps: usize,
) -> Vec<bool> {
    let cols = w.len() / rows.max(1);
    let mut kept = vec![true; w.len()];
    for start in (0..cols).step_by(block) {
        let end = (start + block).min(cols);
        if scope == Scope::Weight {
            let width = end - start;
            let at = |i: usize| (i / width) * cols + start + i % width;
            let scores: Vec<f64> = (0..rows * width).map(|i| score(w, upper, cols, at(i))).collect();
            // As many as bring the columns so far to their share of the layer.
            let count = wanted * end / cols - wanted * start / cols;
            keep_largest(&scores, count).into_iter().enumerate().for_each(|(i, keep)| kept[at(i)] = keep);
        }
        for c in start..end {
            if let Scope::Pattern { n, m } = scope {
                // Patterns start anew at every tap.
                let channels = cols / taps;
                if (c % channels).is_multiple_of(m) {
                    let last = (c + m).min((c / channels + 1) * channels);
                    for row in 0..rows {
                        let scores: Vec<f64> = (c..last).map(|j| score(w, upper, cols, row * cols + j)).collect();
                        let chosen = keep_largest(&scores, n.min(last - c));
                        chosen.into_iter().enumerate().for_each(|(j, keep)| kept[row * cols + c + j] = keep);
                    }
                }
            }
            let factors = &upper[c * cols..(c + 1) * cols];
            for row in 0..rows {
                if kept[row * cols + c] {
                    continue;
                }
                let w = &mut w[row * cols..(row + 1) * cols];
                let error = w[c] / factors[c];
                (c..cols).for_each(|j| w[j] -= error * factors[j]);
                w[c] = 0.0;
            }
        }
    }
    kept
}

fn score(w: &[f64], upper: &[f64], cols: usize, at: usize) -> f64 {
    let c = at % cols;
    (w[at] / upper[c * cols + c]).powi(2)
}

/// Squared change of a layer's outputs, relative to its outputs: $\lVert X (W - W')^\top \rVert^2 / \lVert X W^\top \rVert^2$.
///
/// # Errors
/// The data do not fit the network, or `pruned` has other weights.
pub fn layer_errors(
    graph: &Graph,
    pruned: &Graph,
    calibration: &Calibration,
) -> Result<BTreeMap<String, f64>, PruneError> {
    let others = constants(pruned);
    let mut errors = BTreeMap::new();
    for weight in weights(graph)? {
        let layout = weight.layout(graph, "the error of a layer")?;
        let other = others.get(&weight.name).filter(|o| o.shape() == weight.value.shape());
        let other = other.ok_or_else(|| PruneError::UnknownWeight {
            name: weight.name.clone(),
            known: others.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
        let moments = second_moments(graph, &weight, calibration, "the error of a layer")?;
        let (mut change, mut size) = (0.0, 0.0);
        for row in 0..layout.rows {
            let moment = &moments[row * layout.groups / layout.rows];
            let places = &layout.index[row * layout.cols..(row + 1) * layout.cols];
            let old: Vec<f64> = places.iter().map(|p| f64::from(weight.value.data()[*p])).collect();
            let difference: Vec<f64> = places.iter().zip(&old).map(|(p, w)| w - f64::from(other.data()[*p])).collect();
            change += quadratic(moment, &difference);
            size += quadratic(moment, &old);
        }
        errors.insert(weight.name, change / size.max(f64::MIN_POSITIVE));
    }
    Ok(errors)
}

fn quadratic(matrix: &[f64], v: &[f64]) -> f64 {
    let row = |(r, x): (usize, &f64)| x * v.iter().zip(&matrix[r * v.len()..]).map(|(y, m)| y * m).sum::<f64>();
    v.iter().enumerate().map(row).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Targets;
    use crate::saliency::{Criterion, Magnitude};
    use crate::testing::{mlp, samples};

    #[test]
    fn outputs_change_less_than_without_the_update() {
        let graph = mlp(&[12, 16, 4], 3);
        let data = Calibration::new(samples(60, 12, 1), Targets::None).unwrap();
        let budget = Budget { scope: Scope::Weight, allocation: Allocation::Uniform, sparsity: 0.5, keep_layers: true };
        let found = sparsegpt(&graph, &data, &budget, &SparsegptParams::default()).unwrap();
        assert_eq!(found.masks.count(), (128, 256));
        let magnitude = budget.masks(&graph, &Magnitude.score(&graph, None).unwrap(), None).unwrap();
        let ours = layer_errors(&graph, &found.graph, &data).unwrap();
        let theirs = layer_errors(&graph, &magnitude.masks.apply(&graph).unwrap(), &data).unwrap();
        assert!(ours["w0"] < theirs["w0"], "{ours:?} {theirs:?}");
    }

    #[test]
    fn patterns_hold_and_units_are_refused() {
        let graph = mlp(&[12, 16, 4], 3);
        let data = Calibration::new(samples(20, 12, 1), Targets::None).unwrap();
        let mut budget = Budget {
            scope: Scope::Pattern { n: 2, m: 4 },
            allocation: Allocation::Uniform,
            sparsity: 0.5,
            keep_layers: true,
        };
        let found = sparsegpt(&graph, &data, &budget, &SparsegptParams::default()).unwrap();
        for weight in weights(&graph).unwrap() {
            let layout = weight.layout(&graph, "test").unwrap();
            let mask = &found.masks.0[&weight.name];
            for line in crate::budget::lines(&layout) {
                assert!(line.chunks(4).all(|g| g.iter().filter(|p| mask.data()[**p]).count() == 2));
            }
        }
        budget.scope = Scope::Neuron;
        let refused = sparsegpt(&graph, &data, &budget, &SparsegptParams::default());
        assert!(matches!(refused, Err(PruneError::Combination { .. })));
    }
}
