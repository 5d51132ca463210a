//! The inputs of each layer as a matrix of rows (samples and positions) by columns (inputs of the weight matrix).
//!
//! $$ Y = X W^\top $$
//!
//! A convolution is that product over patches: a row of $X$ for every output position, an entry for every input channel of
//! the group and every kernel tap, 0 in the padding.

use crate::calibration::Calibration;
use crate::error::PruneError;
use crate::weights::{Use, Weight};
use secateur_linalg::Tensor;
use secateur_linalg::gemm::{View, gemm};
use secateur_nn::eval::Trace;
use secateur_nn::graph::Graph;
use secateur_nn::op::{Op, Window};

/// The inputs of one layer on some samples, one matrix per group, row by row.
pub(crate) struct Inputs {
    pub(crate) cols: usize,
    pub(crate) groups: Vec<Vec<f64>>,
}

/// $\operatorname{mean}_r X_{rj}^2$ for every weight, group and column.
pub(crate) fn squares(
    graph: &Graph,
    weights: &[Weight],
    calibration: &Calibration,
    what: &'static str,
) -> Result<Vec<Vec<Vec<f64>>>, PruneError> {
    let mut sums: Vec<Vec<Vec<f64>>> = vec![Vec::new(); weights.len()];
    let mut rows = vec![0usize; weights.len()];
    for batch in calibration.batches(graph)? {
        let trace = batch.trace()?;
        for ((weight, sums), rows) in weights.iter().zip(&mut sums).zip(&mut rows) {
            for this in &weight.uses {
                let inputs = of(&batch.graph, &relocate(graph, &batch, *this), &trace, what)?;
                sums.resize(inputs.groups.len(), vec![0.0; inputs.cols]);
                for (sum, matrix) in sums.iter_mut().zip(&inputs.groups) {
                    for row in matrix.chunks_exact(inputs.cols) {
                        sum.iter_mut().zip(row).for_each(|(s, x)| *s += x * x);
                    }
                }
                *rows += inputs.groups[0].len() / inputs.cols;
            }
        }
    }
    for (sums, rows) in sums.iter_mut().zip(rows) {
        sums.iter_mut().flatten().for_each(|s| *s /= rows.max(1) as f64);
    }
    Ok(sums)
}

/// $\frac1R X^\top X$ of one weight, one matrix per group.
pub(crate) fn second_moments(
    graph: &Graph,
    weight: &Weight,
    calibration: &Calibration,
    what: &'static str,
) -> Result<Vec<Vec<f64>>, PruneError> {
    let mut sums: Vec<Vec<f64>> = Vec::new();
    let mut rows = 0;
    for batch in calibration.batches(graph)? {
        let trace = batch.trace()?;
        for this in &weight.uses {
            let inputs = of(&batch.graph, &relocate(graph, &batch, *this), &trace, what)?;
            let cols = inputs.cols;
            sums.resize(inputs.groups.len(), vec![0.0; cols * cols]);
            for (sum, matrix) in sums.iter_mut().zip(&inputs.groups) {
                let x = View::new(matrix, matrix.len() / cols, cols);
                gemm(sum, x.t(), x, true);
            }
            rows += inputs.groups[0].len() / cols;
        }
    }
    sums.iter_mut().flatten().for_each(|s| *s /= rows.max(1) as f64);
    Ok(sums)
}

/// The same operator in a batched graph.
pub(crate) fn relocate(graph: &Graph, batch: &crate::calibration::Batch, this: Use) -> Use {
    Use { node: batch.find(&graph.node(this.node).name), position: this.position }
}

/// The inputs of one layer in an evaluation.
pub(crate) fn of(graph: &Graph, this: &Use, trace: &Trace<f64>, what: &'static str) -> Result<Inputs, PruneError> {
    let node = graph.node(this.node);
    let unsupported = |reason| PruneError::Unsupported { node: node.name.clone(), op: node.op.name(), what, reason };
    let arguments = graph.arguments(this.node);
    let input =
        trace.real(arguments[1 - this.position]).ok_or_else(|| unsupported("its input is not one of floats"))?;
    let weight = &graph.node(arguments[this.position]).shape;
    match &node.op {
        Op::Conv { window, groups } => Ok(patches(input, &node.shape, weight[1], window, *groups, false)),
        Op::ConvTranspose { window, groups, .. } => {
            Ok(patches(input, &node.shape, weight[0] / groups, window, *groups, true))
        }
        Op::Gemm { trans_a, trans_b, .. } => {
            // The side that varies is read by rows unless it is transposed, or stands on the right.
            let by_rows = if this.position == 1 { !*trans_a } else { *trans_b };
            let (rows, cols) = (input.shape()[0], input.shape()[1]);
            Ok(match by_rows {
                true => Inputs { cols, groups: vec![input.data().to_vec()] },
                false => Inputs { cols: rows, groups: vec![transposed(input.data(), rows, cols)] },
            })
        }
        _ => {
            if weight.iter().product::<usize>() != weight[weight.len() - 1] * weight[weight.len() - 2] {
                return Err(unsupported("its weight is a stack of matrices"));
            }
            let rank = input.rank();
            if this.position == 1 || rank == 1 {
                return Ok(Inputs { cols: input.shape()[rank - 1], groups: vec![input.data().to_vec()] });
            }
            let (rows, cols) = (input.shape()[rank - 2], input.shape()[rank - 1]);
            let blocks = input.data().chunks_exact((rows * cols).max(1));
            Ok(Inputs { cols: rows, groups: vec![blocks.flat_map(|b| transposed(b, rows, cols)).collect()] })
        }
    }
}

fn transposed(data: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    (0..cols).flat_map(|c| (0..rows).map(move |r| data[r * cols + c])).collect()
}

/// Rows over `N × output positions`, columns over `channels of the group × kernel taps`.
fn patches(
    input: &Tensor<f64>,
    output: &[usize],
    channels: usize,
    window: &Window,
    groups: usize,
    adjoint: bool,
) -> Inputs {
    let extents = &input.shape()[2..];
    let area: usize = extents.iter().product();
    let positions = coordinates(&output[2..]);
    let taps = coordinates(&window.kernel);
    // Which input entry of a channel a tap reads at a position, if any.
    let source = |position: &[usize], tap: &[usize]| -> Option<usize> {
        let mut flat = 0;
        for axis in 0..extents.len() {
            let reach = tap[axis] * window.dilations[axis];
            let at = if adjoint {
                let ahead = (position[axis] + window.pads_begin[axis]).checked_sub(reach)?;
                (ahead % window.strides[axis] == 0).then_some(ahead / window.strides[axis])?
            } else {
                (position[axis] * window.strides[axis] + reach).checked_sub(window.pads_begin[axis])?
            };
            (at < extents[axis]).then_some(())?;
            flat = flat * extents[axis] + at;
        }
        Some(flat)
    };
    let sources: Vec<Option<usize>> = positions.iter().flat_map(|p| taps.iter().map(|t| source(p, t))).collect();
    let cols = channels * taps.len();
    let group = |g: usize| {
        let mut rows = Vec::with_capacity(input.shape()[0] * positions.len() * cols);
        for sample in 0..input.shape()[0] {
            for position in sources.chunks_exact(taps.len()) {
                for channel in 0..channels {
                    let base = (sample * input.shape()[1] + g * channels + channel) * area;
                    rows.extend(position.iter().map(|s| s.map_or(0.0, |s| input.data()[base + s])));
                }
            }
        }
        rows
    };
    Inputs { cols, groups: (0..groups).map(group).collect() }
}

/// All index vectors of a shape, the last axis fastest.
fn coordinates(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for extent in shape {
        all = all.iter().flat_map(|c: &Vec<usize>| (0..*extent).map(move |i| [&c[..], &[i]].concat())).collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Targets;
    use crate::testing::{constant, samples, window};
    use crate::weights::weights;
    use secateur_nn::graph::GraphBuilder;
    use secateur_nn::op::ElementType;

    /// The layer's output is the product of its inputs with its weight matrix.
    fn check(graph: &Graph) {
        let entries = graph.node(graph.input()).shape.iter().product();
        let data = Calibration::new(samples(3, entries, 5), Targets::None).unwrap();
        for batch in data.batches(graph).unwrap() {
            let trace = batch.trace().unwrap();
            let weight = &weights(graph).unwrap()[0];
            let this = relocate(graph, &batch, weight.uses[0]);
            let inputs = of(&batch.graph, &this, &trace, "test").unwrap();
            let layout = weight.layout(graph, "test").unwrap();
            let output = trace.output();
            let samples = (3.0 * batch.share).round() as usize;
            let positions = output.len() / samples / layout.rows;
            for (i, value) in output.data().iter().enumerate() {
                let (sample, row, position) =
                    (i / (layout.rows * positions), i / positions % layout.rows, i % positions);
                let x = &inputs.groups[row * layout.groups / layout.rows];
                let x = &x[(sample * positions + position) * layout.cols..][..layout.cols];
                let w = &layout.index[row * layout.cols..][..layout.cols];
                let sum: f64 = x.iter().zip(w).map(|(x, w)| x * f64::from(weight.value.data()[*w])).sum();
                // Sums of a few dozen terms near 1 in f64.
                assert!((sum - value).abs() < 1e-12, "{sum} {value}");
            }
        }
    }

    #[test]
    fn layers_are_products_of_their_inputs() {
        let conv = Op::Conv { window: window(3, 2, 1), groups: 2 };
        let adjoint = Op::ConvTranspose { window: window(3, 2, 1), groups: 2, output_padding: vec![1; 2] };
        for (op, shape) in [(conv, [6, 2, 3, 3]), (adjoint, [4, 3, 3, 3])] {
            let mut b = GraphBuilder::new("x", vec![1, 4, 5, 4], ElementType::F32);
            let w = constant(&mut b, "w", &shape, 3);
            let y = b.add("y", op, &[b.input(), w]).unwrap();
            check(&b.finish(y).unwrap());
        }
        let mut b = GraphBuilder::new("x", vec![1, 5], ElementType::F32);
        let w = constant(&mut b, "w", &[3, 5], 3);
        let op = Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
        let y = b.add("y", op, &[b.input(), w]).unwrap();
        check(&b.finish(y).unwrap());
        let mut b = GraphBuilder::new("x", vec![5, 1], ElementType::F32);
        let w = constant(&mut b, "w", &[3, 5], 3);
        let y = b.add("y", Op::MatMul, &[w, b.input()]).unwrap();
        check(&b.finish(y).unwrap());
    }
}
