//! Nyström: keep landmark neurons, predict the others from them.
//!
//! The activations of a layer's neurons on $R$ samples are the columns of $A \in \mathbb R^{R \times n}$, $G = \frac1R A^\top A$. For
//! landmarks $S$ the Nyström approximation of $G$ is $G_{:S} G_{SS}^{-1} G_{S:}$; the same matrix predicts what goes from what stays,
//!
//! $$ A \approx A_S\, T, \qquad T = (G_{SS} + \lambda I)^{-1} G_{S:}, $$
//!
//! so the next layer $A W^\top$ becomes $A_S\, (W T^\top)^\top$: a smaller layer, with no other change.

use super::Reconstruction;
use crate::budget::{Allocation, Budget, Scope, count};
use crate::calibration::Calibration;
use crate::error::PruneError;
use crate::structured::{Part, Structure, structure};
use crate::units::candidates;
use crate::weights::{Use, Weight, constants, weights};
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::{Tensor, cholesky};
use secateur_nn::graph::Graph;
use secateur_nn::op::Op;
use std::collections::BTreeMap;

/// How landmarks are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landmarks {
    /// The neurons with the highest ridge leverage scores $\ell_j = [G (G + \lambda I)^{-1}]_{jj}$.
    Leverage,
    /// One after the other, the neuron that the ones before leave the most of: pivoted Cholesky of $G$.
    Greedy,
}

/// Parameters of the Nyström method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NystromParams {
    /// How landmarks are chosen.
    pub landmarks: Landmarks,
    /// $\lambda$ as a share of the mean of the diagonal of $G$.
    pub ridge: f64,
}

impl Default for NystromParams {
    fn default() -> Self {
        Self { landmarks: Landmarks::Greedy, ridge: 1e-4 }
    }
}

/// Removes the neurons or channels that the others predict best, and gives their share in the next layers to those.
///
/// A weight that computes and reads the same neurons (shared by two layers) cannot be adjusted, and is an error. Layers are
/// treated in the order of the network, each on activations from the layers treated before. A unit with several
/// features (a channel in front of a dense layer, a channel of an image) is one column of $A$ whose rows run over
/// samples, positions and features. Where several layers read the same neurons, landmarks are chosen from the sum of their
/// normalised $G$, and each layer gets a $T$ of its own.
///
/// # Errors
/// The scope is not neuron or channel, the budget not uniform; the data do not fit; a layer reads and computes
/// neurons with one shared weight.
///
/// # Source
/// The approximation: Williams, Seeger 2001, "Using the Nyström method to speed up kernel machines"; ridge leverage scores:
/// Alaoui, Mahoney 2015. Choosing neurons as landmarks and folding $T$ into the next layer, over units with several
/// features and several readers, is ours; no bias is refitted, so that padded convolutions stay exact in form.
pub fn nystrom(
    graph: &Graph,
    calibration: &Calibration,
    budget: &Budget,
    params: &NystromParams,
) -> Result<Reconstruction, PruneError> {
    budget.check()?;
    let refuse = |second: String, reason| Err(PruneError::Combination { first: "nystrom".to_owned(), second, reason });
    if !matches!(budget.scope, Scope::Neuron | Scope::Channel) {
        return refuse(format!("scope {}", budget.scope), "it removes neurons or channels");
    }
    if budget.allocation != Allocation::Uniform {
        return refuse(format!("budget {}", budget.allocation), "it chooses landmarks layer by layer: uniform");
    }
    if params.ridge <= 0.0 {
        return Err(PruneError::Positive { what: "ridge", found: params.ridge });
    }
    let all = weights(graph)?;
    let structure = structure(graph)?;
    let mut bundles: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for unit in candidates(&structure, budget.scope)? {
        bundles.entry(structure.units[unit].bundle).or_default().push(unit);
    }
    let mut current = graph.clone();
    let mut removed = Vec::new();
    for units in bundles.values() {
        let size = count(budget.density(), units.len()).max(1);
        let readers = readers(&structure, units, &all)?;
        let mut grams = Vec::new();
        for reader in &readers {
            grams.push(gram(&current, reader, calibration)?);
        }
        let n = units.len();
        let mut sum = vec![0.0; n * n];
        for gram in &grams {
            let trace: f64 = (0..n).map(|j| gram[j * n + j]).sum();
            sum.iter_mut().zip(gram).for_each(|(s, g)| *s += g / trace.max(f64::MIN_POSITIVE));
        }
        let landmarks = landmarks(&sum, n, size, params);
        removed.extend((0..n).filter(|j| !landmarks.contains(j)).map(|j| units[j]));
        let mut values = BTreeMap::new();
        for (reader, gram) in readers.iter().zip(&grams) {
            let transfer = transfer(gram, n, &landmarks, params.ridge)
                .ok_or_else(|| PruneError::Singular { tensor: reader.weight.name.clone() })?;
            let stored = values
                .remove(&reader.weight.name)
                .unwrap_or_else(|| (*constants(&current)[&reader.weight.name]).clone());
            values.insert(reader.weight.name.clone(), transferred(stored, reader, &landmarks, &transfer));
        }
        current = current.with_constants(&values)?;
    }
    let masks = structure.masks(graph, removed);
    let selection = budget.selection(&all, masks)?;
    Ok(Reconstruction { graph: selection.masks.apply(&current)?, masks: selection.masks })
}

/// A weight that reads a bundle of units: for each unit, its indices along the axis.
struct Reader<'a> {
    weight: &'a Weight,
    axis: usize,
    units: Vec<Vec<usize>>,
}

fn readers<'a>(structure: &Structure, units: &[usize], weights: &'a [Weight]) -> Result<Vec<Reader<'a>>, PruneError> {
    let first = &structure.units[units[0]];
    let reads = |part: &&Part| part.weight && part.consumes;
    if let Some(part) = first.parts.iter().find(|part| part.weight && part.consumes && part.produces) {
        return Err(PruneError::Unsupported {
            node: part.constant.clone(),
            op: "Constant",
            what: "nystrom",
            reason: "it computes and reads the same neurons",
        });
    }
    let reader = |part: &Part| {
        let weight = weights.iter().find(|w| w.name == part.constant)?;
        let same = |p: &&Part| p.constant == part.constant && p.axis == part.axis;
        let indices = |u: &usize| structure.units[*u].parts.iter().find(same).map(|p| p.indices.clone());
        let units: Vec<Vec<usize>> = units.iter().map(indices).collect::<Option<_>>()?;
        Some(Reader { weight, axis: part.axis, units })
    };
    Ok(first.parts.iter().filter(reads).filter_map(reader).collect())
}

/// $G$ over the units that a weight reads: samples, positions and features are the rows.
fn gram(graph: &Graph, reader: &Reader<'_>, calibration: &Calibration) -> Result<Vec<f64>, PruneError> {
    let n = reader.units.len();
    let mut sum = vec![0.0; n * n];
    let mut rows = 0usize;
    for batch in calibration.batches(graph)? {
        let trace = batch.trace()?;
        for this in &reader.weight.uses {
            let Use { node, position } = crate::activations::relocate(graph, &batch, *this);
            let arguments = batch.graph.arguments(node);
            let axis = input_axis(&batch.graph, node, position);
            let value = trace.real(arguments[1 - position]).ok_or(PruneError::Unsupported {
                node: batch.graph.node(node).name.clone(),
                op: batch.graph.node(node).op.name(),
                what: "nystrom",
                reason: "its input is not one of floats",
            })?;
            let inner: usize = value.shape()[axis + 1..].iter().product();
            let extent = value.shape()[axis];
            let features = reader.units[0].len();
            let blocks = value.len() / (extent * inner).max(1);
            let mut matrix = Vec::with_capacity(blocks * inner * features * n);
            for block in value.data().chunks_exact((extent * inner).max(1)) {
                for feature in 0..features {
                    for place in 0..inner {
                        matrix.extend(reader.units.iter().map(|unit| block[unit[feature] * inner + place]));
                    }
                }
            }
            let a = View::new(&matrix, matrix.len() / n, n);
            gemm(&mut sum, a.t(), a, true);
            rows += matrix.len() / n;
        }
    }
    sum.iter_mut().for_each(|s| *s /= rows.max(1) as f64);
    Ok(sum)
}

/// The axis of the varying argument that a stored weight sums over.
fn input_axis(graph: &Graph, node: secateur_nn::graph::NodeId, position: usize) -> usize {
    let rank = graph.node(graph.arguments(node)[1 - position]).shape.len();
    match (&graph.node(node).op, position) {
        (Op::Conv { .. } | Op::ConvTranspose { .. }, _) => 1,
        (Op::Gemm { trans_a, .. }, 1) => usize::from(!*trans_a),
        (Op::Gemm { trans_b, .. }, _) => usize::from(*trans_b),
        (_, 1) => rank - 1,
        _ => rank.saturating_sub(2),
    }
}

/// The landmarks, ascending.
fn landmarks(gram: &[f64], n: usize, size: usize, params: &NystromParams) -> Vec<usize> {
    let scores = match params.landmarks {
        Landmarks::Greedy => return pivots(gram, n, size),
        Landmarks::Leverage => leverage(gram, n, params.ridge),
    };
    let kept = crate::budget::keep_largest(&scores, size);
    (0..n).filter(|j| kept[*j]).collect()
}

/// $\ell_j = 1 - \lambda\, [(G + \lambda I)^{-1}]_{jj}$.
fn leverage(gram: &[f64], n: usize, ridge: f64) -> Vec<f64> {
    let (damped, lambda) = damped(gram, n, ridge);
    match cholesky::factor(&damped, n) {
        Some(l) => {
            let inverse = cholesky::inverse(&l, n);
            (0..n).map(|j| 1.0 - lambda * inverse[j * n + j]).collect()
        }
        // Not a number somewhere: nothing is told apart, and the transfer says so.
        None => vec![0.0; n],
    }
}

/// Pivoted Cholesky: the column with the greatest rest, again and again; ties to the lower index.
fn pivots(gram: &[f64], n: usize, size: usize) -> Vec<usize> {
    let mut rest: Vec<f64> = (0..n).map(|j| gram[j * n + j]).collect();
    let mut rows: Vec<Vec<f64>> = Vec::new();
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < size {
        let open = (0..n).filter(|j| !chosen.contains(j));
        let Some(pivot) = open.reduce(|best, j| if rest[j] > rest[best] { j } else { best }) else { break };
        let root = rest[pivot].max(f64::MIN_POSITIVE).sqrt();
        let entry = |j: usize| (gram[pivot * n + j] - rows.iter().map(|r| r[pivot] * r[j]).sum::<f64>()) / root;
        // Beyond the rank of G every rest is rounding: what is taken then is the lowest index left.
        let row: Vec<f64> =
            if rest[pivot] > 1e-14 * gram[pivot * n + pivot] { (0..n).map(entry).collect() } else { vec![0.0; n] };
        rest.iter_mut().zip(&row).for_each(|(r, v)| *r -= v * v);
        rows.push(row);
        chosen.push(pivot);
    }
    chosen.sort_unstable();
    chosen
}

fn damped(gram: &[f64], n: usize, ridge: f64) -> (Vec<f64>, f64) {
    let mean = (0..n).map(|j| gram[j * n + j]).sum::<f64>() / n as f64;
    // Neurons that are 0 everywhere predict nothing, with any ridge.
    let lambda = if mean > 0.0 { ridge * mean } else { 1.0 };
    let mut damped = gram.to_vec();
    (0..n).for_each(|j| damped[j * n + j] += lambda);
    (damped, lambda)
}

/// $T$, landmarks by units; the identity on the landmarks themselves.
fn transfer(gram: &[f64], n: usize, landmarks: &[usize], ridge: f64) -> Option<Vec<f64>> {
    let k = landmarks.len();
    let part: Vec<f64> = (0..k * k).map(|i| gram[landmarks[i / k] * n + landmarks[i % k]]).collect();
    let right: Vec<f64> = (0..k * n).map(|i| gram[landmarks[i / n] * n + i % n]).collect();
    let factor = cholesky::factor(&damped(&part, k, ridge).0, k)?;
    let mut solved = cholesky::solve(&factor, k, &right, n);
    for (row, _) in landmarks.iter().enumerate() {
        for (column, landmark) in landmarks.iter().enumerate() {
            solved[row * n + landmark] = f64::from(u8::from(row == column));
        }
    }
    Some(solved)
}

/// The stored weight with every unit's share moved to the landmarks.
fn transferred(stored: Tensor<f32>, reader: &Reader<'_>, landmarks: &[usize], transfer: &[f64]) -> Tensor<f32> {
    let shape = stored.shape().to_vec();
    let inner: usize = shape[reader.axis + 1..].iter().product();
    let extent = shape[reader.axis];
    let n = reader.units.len();
    let old = stored.data().to_vec();
    let mut new = stored;
    let block = extent * inner;
    for start in (0..old.len()).step_by(block.max(1)) {
        for feature in 0..reader.units[0].len() {
            for place in 0..inner {
                let at = |unit: usize| start + reader.units[unit][feature] * inner + place;
                // What goes is read no more: the next layers are treated on what is left.
                (0..n).for_each(|unit| new.data_mut()[at(unit)] = 0.0);
                for (row, landmark) in landmarks.iter().enumerate() {
                    let sum: f64 = (0..n).map(|unit| transfer[row * n + unit] * f64::from(old[at(unit)])).sum();
                    new.data_mut()[at(*landmark)] = sum as f32;
                }
            }
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Targets;
    use crate::structured::compact;
    use crate::testing::{mlp, samples};
    use secateur_nn::eval::forward;

    /// Four neurons that are copies of four others, scaled.
    fn doubled() -> Graph {
        let graph = mlp(&[5, 8, 3], 11);
        let values = constants(&graph);
        let (mut w, mut b) = ((*values["w0"]).clone(), (*values["b0"]).clone());
        for j in 0..4 {
            for i in 0..5 {
                w.data_mut()[i * 8 + 4 + j] = 2.0 * w.data()[i * 8 + j];
            }
            b.data_mut()[4 + j] = 2.0 * b.data()[j];
        }
        graph.with_constants(&BTreeMap::from([("w0".to_owned(), w), ("b0".to_owned(), b)])).unwrap()
    }

    #[test]
    fn copies_are_replaced_without_loss() {
        let graph = doubled();
        let data = Calibration::new(samples(50, 5, 1), Targets::None).unwrap();
        let budget = Budget { scope: Scope::Neuron, allocation: Allocation::Uniform, sparsity: 0.5, keep_layers: true };
        let params = NystromParams { ridge: 1e-10, ..NystromParams::default() };
        let found = nystrom(&graph, &data, &budget, &params).unwrap();
        let small = compact(&found.graph, &found.masks).unwrap();
        assert_eq!((small.removed, weights(&small.graph).unwrap()[0].value.shape()), (4, &[5, 4][..]));
        for x in samples(10, 5, 9) {
            let x = Tensor::new(vec![1, 5], x).map(|v| f64::from(*v));
            let (a, b) = (forward(&graph, &x).unwrap(), forward(&small.graph, &x).unwrap());
            for (a, b) in a.data().iter().zip(b.data()) {
                // Weights are rounded to f32, and the ridge is 1e-10.
                assert!((a - b).abs() < 1e-5 * (1.0 + a.abs()), "{a} {b}");
            }
        }
    }

    #[test]
    fn landmarks_are_as_many_as_asked_for() {
        let graph = mlp(&[5, 8, 6, 3], 2);
        let data = Calibration::new(samples(40, 5, 1), Targets::None).unwrap();
        for rule in [Landmarks::Greedy, Landmarks::Leverage] {
            let budget =
                Budget { scope: Scope::Neuron, allocation: Allocation::Uniform, sparsity: 0.5, keep_layers: true };
            let params = NystromParams { landmarks: rule, ..NystromParams::default() };
            let found = nystrom(&graph, &data, &budget, &params).unwrap();
            assert_eq!(compact(&found.graph, &found.masks).unwrap().removed, 4 + 3);
        }
    }
}
