//! The tangent kernel of a network as it is: $\Theta = J J^\top$ over its kept weights.
//!
//! ```text
//! which derivatives come from what     parts.rs
//! samples forward and back, in batches: what layers read, derivatives in what they give
//! for each part, as many columns of J as memory allows: Θ += J Jᵀ
//! ```
//!
//! A dense layer without removed weights needs no columns: $(h_i \cdot h_j)(\delta_i \cdot \delta_j)$.

use super::parts::{Part, Source, parts};
use crate::TheoryError;
use rayon::prelude::*;
use secateur_linalg::Tensor;
use secateur_nn::NnError;
use secateur_nn::autodiff::Tape;
use secateur_nn::eval::{Evaluator, Matrix, Number};
use secateur_nn::graph::{Graph, NodeId};
use secateur_nn::mask::Masks;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// Samples that go through the network at once.
const BATCH: usize = 32;

/// Rows of the kernel that are computed together.
const BAND: usize = 64;

/// How a kernel is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What of several outputs is kept.
    pub outputs: Outputs,
    /// Whether weights that are 0 count.
    pub zeros: Zeros,
    /// Bytes that a piece of the Jacobian may take.
    pub memory: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { outputs: Outputs::Mean, zeros: Zeros::Keep, memory: 1 << 28 }
    }
}

/// What of several outputs is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outputs {
    /// $\frac1K \sum_k \Theta_{kk}(x, x')$: one number per pair of samples.
    Mean,
    /// $\Theta_{kl}(x, x')$ for every pair of outputs.
    Each,
}

/// Whether weights that are 0 count. Biases and scales always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Zeros {
    /// They count: training would change them.
    Keep,
    /// They were removed, and stay 0.
    Drop,
}

/// An empirical kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Empirical {
    /// Samples.
    pub samples: usize,
    /// Outputs of the network.
    pub outputs: usize,
    /// Rows of the kernel: samples, or samples times outputs, outputs fastest.
    pub rows: usize,
    /// `rows × rows`, row-major.
    pub kernel: Vec<f64>,
    /// Weights that count.
    pub weights: usize,
    /// All weights.
    pub all_weights: usize,
}

/// $\Theta(x_i, x_j) = \sum_\theta \partial_\theta f(x_i)\, \partial_\theta f(x_j)$ over the constants that training changes
/// ([`secateur_nn::train::parameters`]), without those that the masks or [`Zeros::Drop`] remove; derivatives in the arithmetic `N`,
/// sums of pieces in `f64`.
///
/// # Errors
/// Samples of another size than the network's input, masks of other shapes than its constants, no samples, a network with a value
/// or derivative that is not finite.
pub fn empirical<N: Number>(
    graph: &Graph,
    masks: Option<&Masks>,
    samples: &[Vec<f32>],
    settings: &Settings,
) -> Result<Empirical, TheoryError> {
    check(graph, masks, samples)?;
    let parts = parts(graph, masks, settings);
    let values = sweep::<N>(graph, &parts, samples)?;
    let mut sum = Sum::new(samples.len(), values.outputs, settings);
    for part in &parts {
        match &part.source {
            Source::Product { reads, gives, alpha, transposed } => {
                let (h, delta) = (&values.rows[reads], &values.cotangents[gives]);
                match &part.kept {
                    None => sum.add_product(h, delta, *alpha),
                    Some(kept) => sum.add_masked_product(h, delta, *alpha, *transposed, kept),
                }
            }
            Source::Bias { gives, beta } => sum.add_bias(&values.cotangents[gives], *beta, part.kept.as_deref()),
            Source::Sweep => {}
        }
    }
    let swept: Vec<&Part> = parts.iter().filter(|part| part.source == Source::Sweep).collect();
    sum.add_swept::<N>(graph, &swept, samples)?;
    let weights = parts.iter().map(|part| part.kept.as_ref().map_or(part.len, Vec::len)).sum();
    let all_weights = parts.iter().map(|part| part.len).sum();
    let Sum { samples, outputs, rows, kernel, .. } = sum.finished();
    Ok(Empirical { samples, outputs, rows, kernel, weights, all_weights })
}

fn check(graph: &Graph, masks: Option<&Masks>, samples: &[Vec<f32>]) -> Result<(), TheoryError> {
    let shape = &graph.node(graph.input()).shape;
    let size = shape.iter().product::<usize>();
    if samples.is_empty() {
        return Err(TheoryError::Shape { name: "samples", expected: vec![1], found: vec![0] });
    }
    if let Some(other) = samples.iter().find(|sample| sample.len() != size) {
        return Err(TheoryError::Shape { name: "sample", expected: shape.clone(), found: vec![other.len()] });
    }
    for (_, node) in graph.nodes() {
        if let Some(mask) = masks.and_then(|masks| masks.get(&node.name)).filter(|mask| mask.shape() != node.shape) {
            let (expected, found) = (node.shape.clone(), mask.shape().to_vec());
            return Err(TheoryError::Shape { name: "mask", expected, found });
        }
    }
    Ok(())
}

/// What layers read and the derivatives in what they give, by the names of nodes.
struct Values<N> {
    outputs: usize,
    /// Sample by sample.
    rows: BTreeMap<String, Vec<N>>,
    /// Sample by sample, output by output.
    cotangents: BTreeMap<String, Vec<N>>,
}

/// All samples forward, and back from each output.
fn sweep<N: Number>(graph: &Graph, parts: &[Part], samples: &[Vec<f32>]) -> Result<Values<N>, TheoryError> {
    let size = match graph.with_batch(2) {
        Ok(_) => BATCH,
        Err(NnError::NotBatched { .. }) => 1,
        Err(error) => return Err(error.into()),
    };
    let batch = |count: usize| if size == 1 { Ok(graph.clone()) } else { graph.with_batch(count) };
    let chunks: Vec<&[Vec<f32>]> = samples.chunks(size).collect();
    let mut batched: BTreeMap<usize, (Graph, Evaluator<N>)> = BTreeMap::new();
    for count in [chunks[0].len(), chunks[chunks.len() - 1].len()] {
        let graph = batch(count)?;
        let evaluator = Evaluator::new(&graph)?;
        batched.insert(count, (graph, evaluator));
    }
    let names = |pick: fn(&Source) -> Option<&String>| -> Vec<&String> {
        let mut names: Vec<&String> = parts.iter().filter_map(|part| pick(&part.source)).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let read = names(|source| match source {
        Source::Product { reads, .. } => Some(reads),
        _ => None,
    });
    let given = names(|source| match source {
        Source::Product { gives, .. } | Source::Bias { gives, .. } => Some(gives),
        Source::Sweep => None,
    });
    let outputs: usize = graph.node(graph.output()).shape.iter().product();
    type Chunk<N> = (Vec<Vec<N>>, Vec<Vec<N>>);
    let run = |chunk: &&[Vec<f32>]| -> Result<Chunk<N>, TheoryError> {
        let (graph, evaluator) = &batched[&chunk.len()];
        let find = |name: &&String| -> NodeId {
            let found = graph.nodes().find(|(_, node)| node.name == **name);
            found.map(|(id, _)| id).expect("batching keeps the names")
        };
        let data = chunk.iter().flatten().map(|v| N::of(f64::from(*v))).collect();
        let tape = Tape::record(evaluator, &Tensor::new(graph.node(graph.input()).shape.clone(), data))?;
        let value = |name| tape.trace().real(find(name)).map(|value| value.data().to_vec()).unwrap_or_default();
        let rows = read.iter().map(value).collect();
        let wrt: Vec<NodeId> = given.iter().map(find).collect();
        let mut cotangents = vec![Vec::new(); wrt.len()];
        let mut each = Vec::with_capacity(outputs);
        for k in 0..outputs {
            let place = |i: usize| if i % outputs == k { N::of(1.0) } else { N::default() };
            let shape = tape.output().shape().to_vec();
            each.push(tape.vjp(&Tensor::new(shape, (0..chunk.len() * outputs).map(place).collect()), &wrt)?);
        }
        for (at, all) in cotangents.iter_mut().enumerate() {
            let width = each[0][at].len() / chunk.len();
            for sample in 0..chunk.len() {
                each.iter().for_each(|part| all.extend_from_slice(&part[at].data()[sample * width..][..width]));
            }
        }
        Ok((rows, cotangents))
    };
    let found = chunks.par_iter().map(run).collect::<Result<Vec<_>, _>>()?;
    let mut values = Values { outputs, rows: BTreeMap::new(), cotangents: BTreeMap::new() };
    for (rows, cotangents) in found {
        let join = |all: &mut BTreeMap<String, Vec<N>>, names: &[&String], parts: Vec<Vec<N>>| {
            names.iter().zip(parts).for_each(|(name, part)| all.entry((*name).clone()).or_default().extend(part));
        };
        join(&mut values.rows, &read, rows);
        join(&mut values.cotangents, &given, cotangents);
    }
    Ok(values)
}

/// The kernel as far as it is summed up.
///
/// A row of the Jacobian belongs to a sample, with the derivatives of its outputs side by side, or to one output of a sample.
struct Sum {
    samples: usize,
    outputs: usize,
    rows: usize,
    /// Outputs side by side in a row.
    copies: usize,
    memory: usize,
    kernel: Vec<f64>,
}

impl Sum {
    fn new(samples: usize, outputs: usize, settings: &Settings) -> Self {
        let (rows, copies) = match settings.outputs {
            Outputs::Mean => (samples, outputs),
            Outputs::Each => (samples * outputs, 1),
        };
        Self { samples, outputs, rows, copies, memory: settings.memory, kernel: vec![0.0; rows * rows] }
    }

    /// Columns of the Jacobian that memory allows.
    fn columns<N>(&self) -> usize {
        (self.memory / (self.rows * size_of::<N>())).max(1)
    }

    fn add_product<N: Number>(&mut self, h: &[N], delta: &[N], alpha: f64) {
        let (samples, rows) = (self.samples, self.rows);
        let mut products = vec![0.0; samples * samples];
        add_gram(&mut products, h, samples);
        let mut gram = vec![0.0; rows * rows];
        add_gram(&mut gram, delta, rows);
        let per_sample = rows / samples;
        for (place, sum) in self.kernel.iter_mut().enumerate() {
            let (i, j) = (place / rows / per_sample, place % rows / per_sample);
            *sum += alpha * alpha * products[i * samples + j] * gram[place];
        }
    }

    fn add_bias<N: Number>(&mut self, delta: &[N], beta: f64, kept: Option<&[usize]>) {
        let mut gram = vec![0.0; self.rows * self.rows];
        match kept {
            None => add_gram(&mut gram, delta, self.rows),
            Some(kept) => {
                let width = delta.len() / (self.samples * self.outputs);
                let rows = delta.chunks_exact(width).flat_map(|row| kept.iter().map(|i| row[*i]));
                add_gram(&mut gram, &rows.collect::<Vec<N>>(), self.rows);
            }
        }
        self.kernel.iter_mut().zip(gram).for_each(|(sum, part)| *sum += beta * beta * part);
    }

    /// $h_u \delta_v$ for the kept entries $(u, v)$, as many at a time as memory allows.
    fn add_masked_product<N: Number>(&mut self, h: &[N], delta: &[N], alpha: f64, transposed: bool, kept: &[usize]) {
        let (inputs, width) = (h.len() / self.samples, delta.len() / (self.samples * self.outputs));
        let mut gram = vec![0.0; self.rows * self.rows];
        for entries in kept.chunks((self.columns::<N>() / self.copies).max(1)) {
            let places: Vec<(usize, usize)> = match transposed {
                true => entries.iter().map(|e| (e % inputs, e / inputs)).collect(),
                false => entries.iter().map(|e| (e / width, e % width)).collect(),
            };
            let mut piece = vec![N::default(); self.samples * self.outputs * places.len()];
            piece.par_chunks_exact_mut(places.len()).zip(delta.par_chunks_exact(width)).enumerate().for_each(
                |(row, (piece, delta))| {
                    let h = &h[row / self.outputs * inputs..][..inputs];
                    piece.iter_mut().zip(&places).for_each(|(value, (u, v))| *value = h[*u] * delta[*v]);
                },
            );
            add_gram(&mut gram, &piece, self.rows);
        }
        self.kernel.iter_mut().zip(gram).for_each(|(sum, part)| *sum += alpha * alpha * part);
    }

    /// The derivatives that come from a sweep for every sample: tensors in groups, and samples in blocks where a group is
    /// too large for all of them.
    fn add_swept<N: Number>(
        &mut self,
        graph: &Graph,
        parts: &[&Part],
        samples: &[Vec<f32>],
    ) -> Result<(), TheoryError> {
        let evaluator = Evaluator::<N>::new(graph)?;
        let columns = self.columns::<N>() / self.copies;
        let mut groups: Vec<Vec<&Part>> = Vec::new();
        let mut filled = usize::MAX;
        for part in parts {
            let len = part.kept.as_ref().map_or(part.len, Vec::len);
            match groups.last_mut() {
                Some(group) if filled.saturating_add(len) <= columns => {
                    filled += len;
                    group.push(part);
                }
                _ => {
                    filled = len;
                    groups.push(vec![part]);
                }
            }
        }
        for group in groups {
            let len: usize = group.iter().map(|part| part.kept.as_ref().map_or(part.len, Vec::len)).sum();
            // Two blocks at a time.
            let block = if len <= columns { self.samples } else { (columns * self.samples / (2 * len)).max(1) };
            let starts = (0..self.samples).step_by(block);
            let blocks: Vec<Range<usize>> = starts.map(|start| start..(start + block).min(self.samples)).collect();
            for (place, rows) in blocks.iter().enumerate() {
                let left = jacobian(graph, &evaluator, &group, &samples[rows.clone()], self.outputs)?;
                self.add_block(rows, &left, rows, &left);
                for cols in &blocks[..place] {
                    let right = jacobian(graph, &evaluator, &group, &samples[cols.clone()], self.outputs)?;
                    self.add_block(rows, &left, cols, &right);
                }
            }
        }
        Ok(())
    }

    /// Adds the products of two blocks of samples, on both sides of the diagonal.
    fn add_block<N: Number>(&mut self, rows: &Range<usize>, a: &[N], cols: &Range<usize>, b: &[N]) {
        let per_sample = self.rows / self.samples;
        let (m, n) = (rows.len() * per_sample, cols.len() * per_sample);
        let width = a.len() / m;
        if width == 0 {
            return;
        }
        let mut product = vec![N::default(); m * n];
        N::gemm(&mut product, Matrix::new(a, m, width), Matrix::new(b, n, width).t(), false);
        for i in 0..m {
            for j in 0..n {
                let (row, col) = (rows.start * per_sample + i, cols.start * per_sample + j);
                let value = product[i * n + j].value();
                self.kernel[row * self.rows + col] += value;
                if rows != cols {
                    self.kernel[col * self.rows + row] += value;
                }
            }
        }
    }

    /// The kernel, as the mean over outputs that stood side by side.
    fn finished(mut self) -> Self {
        let share = 1.0 / self.copies as f64;
        self.kernel.iter_mut().for_each(|value| *value *= share);
        self
    }
}

/// The derivatives of every output of some samples in the kept entries of some tensors.
fn jacobian<N: Number>(
    graph: &Graph,
    evaluator: &Evaluator<N>,
    parts: &[&Part],
    samples: &[Vec<f32>],
    outputs: usize,
) -> Result<Vec<N>, TheoryError> {
    let find = |part: &&Part| graph.nodes().find(|(_, node)| node.name == part.name).map(|(id, _)| id);
    let wrt: Vec<NodeId> = parts.iter().filter_map(find).collect();
    let one = |sample: &Vec<f32>| -> Result<Vec<N>, TheoryError> {
        let shape = graph.node(graph.input()).shape.clone();
        let input = Tensor::new(shape, sample.iter().map(|v| N::of(f64::from(*v))).collect());
        let tape = Tape::record(evaluator, &input)?;
        let mut row = Vec::new();
        for k in 0..outputs {
            let unit = (0..outputs).map(|i| if i == k { N::of(1.0) } else { N::default() }).collect();
            let found = tape.vjp(&Tensor::new(tape.output().shape().to_vec(), unit), &wrt)?;
            for (part, gradient) in parts.iter().zip(found) {
                match &part.kept {
                    None => row.extend_from_slice(gradient.data()),
                    Some(kept) => row.extend(kept.iter().map(|i| gradient.data()[*i])),
                }
            }
        }
        Ok(row)
    };
    let rows = samples.par_iter().map(one).collect::<Result<Vec<_>, _>>()?;
    Ok(rows.concat())
}

/// $G \leftarrow G + A A^\top$ for $n$ rows, in bands of rows that run in parallel.
fn add_gram<N: Number>(gram: &mut [f64], a: &[N], n: usize) {
    let width = a.len() / n;
    if width == 0 {
        return;
    }
    gram.par_chunks_mut(BAND * n).enumerate().for_each(|(band, gram)| {
        let rows = gram.len() / n;
        let mut product = vec![N::default(); rows * n];
        let part = &a[band * BAND * width..][..rows * width];
        N::gemm(&mut product, Matrix::new(part, rows, width), Matrix::new(a, n, width).t(), false);
        gram.iter_mut().zip(product).for_each(|(sum, value)| *sum += value.value());
    });
}
