//! Where sparse products win: the density below which compressed rows beat the dense product, measured on this machine.

use crate::error::PruneError;
use crate::weights::weights;
use secateur_linalg::Csr;
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::random::Random;
use secateur_nn::graph::Graph;
use secateur_nn::op::Op;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Densities at which random matrices are timed, from dense to sparse.
const GRID: [f64; 8] = [0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005];

/// The most vectors that a product is timed with: convolutions have one per position.
const VECTORS: usize = 256;

/// One layer's product, dense and sparse.
///
/// # Units
/// Seconds for the product of the layer's matrix with all vectors, on one thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// The weight.
    pub name: String,
    /// Outputs (of one group).
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// Vectors multiplied at once.
    pub vectors: usize,
    /// The weight's own density.
    pub density: f64,
    /// The dense product.
    pub dense: f64,
    /// The sparse product with the weight's own zeros.
    pub sparse: f64,
    /// The greatest density of the grid at which the product with a random matrix was faster sparse, and so at every
    /// lower one; `None` if at none.
    pub crossover: Option<f64>,
}

impl Speed {
    /// Whether the layer as it is runs faster sparse.
    pub fn is_faster_sparse(&self) -> bool {
        self.sparse < self.dense
    }
}

/// Times every layer of a network for a batch of inputs.
///
/// # Errors
/// The network has nothing to prune, or two operators read a weight as different matrices.
pub fn speeds(graph: &Graph, batch: usize) -> Result<Vec<Speed>, PruneError> {
    let mut all = Vec::new();
    for weight in weights(graph)? {
        let layout = weight.layout(graph, "the timing of sparse products")?;
        let (rows, cols) = (layout.rows / layout.groups, layout.cols);
        let node = graph.node(weight.uses[0].node);
        let positions = match node.op {
            Op::Conv { .. } | Op::ConvTranspose { .. } => node.shape[2..].iter().product(),
            _ => node.shape.iter().product::<usize>() / layout.rows.max(1),
        };
        let vectors = (batch * positions).clamp(1, VECTORS.max(batch));
        let stored: Vec<f32> = layout.index[..rows * cols].iter().map(|i| weight.value.data()[*i]).collect();
        let mut random = Random::new(1);
        let mut x = vec![0.0f32; vectors * cols];
        random.fill_normal(&mut x, 1.0);
        let mut y = vec![0.0f32; vectors * rows];
        let dense = seconds(|| gemm(&mut y, View::new(&x, vectors, cols), View::new(&stored, rows, cols).t(), false));
        let mut timed = |matrix: &[f32]| {
            let csr = Csr::from_dense(matrix, rows, cols);
            seconds(|| {
                y.fill(0.0);
                csr.multiply_add(&x, vectors, &mut y);
            })
        };
        let sparse = timed(&stored);
        let mut crossover = None;
        for density in GRID.iter().rev() {
            let thinned: Vec<f32> =
                (0..rows * cols).map(|_| if random.unit() < *density { random.normal() as f32 } else { 0.0 }).collect();
            if timed(&thinned) >= dense {
                break;
            }
            crossover = Some(*density);
        }
        let nonzero = weight.value.data().iter().filter(|v| **v != 0.0).count();
        let density = nonzero as f64 / weight.len() as f64;
        all.push(Speed { name: weight.name, rows, cols, vectors, density, dense, sparse, crossover });
    }
    Ok(all)
}

/// The median time of a piece of work, over at least five runs and a few milliseconds.
fn seconds(mut work: impl FnMut()) -> f64 {
    work();
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || (begin.elapsed() < Duration::from_millis(3) && times.len() < 1000) {
        let start = Instant::now();
        work();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::mlp;

    #[test]
    fn layers_are_timed() {
        let found = speeds(&mlp(&[8, 16, 4], 1), 3).unwrap();
        let shapes: Vec<_> = found.iter().map(|s| (s.rows, s.cols, s.vectors, s.density)).collect();
        assert_eq!(shapes, [(16, 8, 3, 1.0), (4, 16, 3, 1.0)]);
        assert!(found.iter().all(|s| s.dense > 0.0 && s.sparse > 0.0));
    }
}
