//! Linear maps between layers, each in the form that multiplies it fastest.
//!
//! A map $W : \mathbb{R}^{n} \to \mathbb{R}^{m}$ is applied to batches of row vectors, forward
//! ($y \leftarrow y + W x$, or with $|W|$) and backward ($a' \leftarrow a' + a W$).

use crate::convolution::Convolution;
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::{Csr, Scalar};

/// A row-major matrix together with its entrywise absolute value.
#[derive(Clone, Debug)]
pub struct Dense<T> {
    /// Number of outputs $m$.
    pub rows: usize,
    /// Number of inputs $n$.
    pub cols: usize,
    /// $W$, `rows × cols`.
    pub weight: Vec<T>,
    /// $|W|$.
    pub absolute: Vec<T>,
}

/// A linear map.
#[derive(Clone, Debug)]
pub enum Linear<T> {
    /// $y = x$.
    Identity {
        /// Dimension.
        size: usize,
    },
    /// $y_j = x_{i(j)}$, or 0 where there is no $i(j)$.
    Select {
        /// Number of inputs.
        inputs: usize,
        /// $i(j)$, or [`NOTHING`].
        index: Vec<u32>,
    },
    /// A dense matrix.
    Dense(Dense<T>),
    /// A sparse matrix.
    Sparse {
        /// $W$.
        weight: Csr<T>,
        /// $|W|$.
        absolute: Csr<T>,
        /// The largest number of entries in a column.
        longest_column: usize,
    },
    /// A convolution.
    Convolution(Convolution<T>),
    /// The transpose of a convolution.
    Transposed(Convolution<T>),
}

/// Marks an output of [`Linear::Select`] that is zero.
pub const NOTHING: u32 = u32::MAX;

/// A matrix denser than this is multiplied densely.
const DENSE_ABOVE: f64 = 0.15;

impl<T: Scalar> Linear<T> {
    /// The matrix `weight` (`rows × cols`, row-major), sparse if that pays.
    pub fn matrix(rows: usize, cols: usize, weight: Vec<T>) -> Self {
        let stored = weight.iter().filter(|w| **w != T::ZERO).count();
        if (stored as f64) < DENSE_ABOVE * weight.len() as f64 {
            return Self::sparse(Csr::from_dense(&weight, rows, cols));
        }
        let absolute = weight.iter().map(|w| w.abs()).collect();
        Linear::Dense(Dense { rows, cols, weight, absolute })
    }

    /// The matrix with the given entries, sparse if that pays; the dense form is not built otherwise.
    pub fn from_entries(rows: usize, cols: usize, entry: impl Fn(usize, usize) -> T) -> Self {
        let limit = (DENSE_ABOVE * (rows * cols) as f64) as usize;
        let mut stored = 0;
        for r in 0..rows {
            stored += (0..cols).filter(|c| entry(r, *c) != T::ZERO).count();
            if stored > limit {
                return Self::matrix(rows, cols, (0..rows * cols).map(|e| entry(e / cols, e % cols)).collect());
            }
        }
        let row = |r: usize| (0..cols).map(|c| (c, entry(r, c))).filter(|(_, w)| *w != T::ZERO).collect();
        Self::sparse(Csr::from_rows(cols, (0..rows).map(row)))
    }

    /// A sparse matrix.
    pub fn sparse(weight: Csr<T>) -> Self {
        let longest_column = weight.transpose().longest_row();
        let absolute = weight.map(|w| w.abs());
        Linear::Sparse { weight, absolute, longest_column }
    }

    /// Number of inputs $n$.
    pub fn inputs(&self) -> usize {
        match self {
            Linear::Identity { size } => *size,
            Linear::Select { inputs, .. } => *inputs,
            Linear::Dense(w) => w.cols,
            Linear::Sparse { weight, .. } => weight.cols(),
            Linear::Convolution(c) => c.inputs(),
            Linear::Transposed(c) => c.outputs(),
        }
    }

    /// Number of outputs $m$.
    pub fn outputs(&self) -> usize {
        match self {
            Linear::Identity { size } => *size,
            Linear::Select { index, .. } => index.len(),
            Linear::Dense(w) => w.rows,
            Linear::Sparse { weight, .. } => weight.rows(),
            Linear::Convolution(c) => c.outputs(),
            Linear::Transposed(c) => c.inputs(),
        }
    }

    /// Multiplications of one row vector.
    pub fn products(&self) -> usize {
        match self {
            Linear::Identity { .. } | Linear::Select { .. } => self.outputs(),
            Linear::Dense(w) => w.weight.len(),
            Linear::Sparse { weight, .. } => weight.stored(),
            Linear::Convolution(c) | Linear::Transposed(c) => c.outputs() * c.forward_terms(),
        }
    }

    /// The largest number of products that [`Self::forward`] sums into one entry.
    pub fn forward_terms(&self) -> usize {
        match self {
            Linear::Identity { .. } | Linear::Select { .. } => 1,
            Linear::Dense(w) => w.cols,
            Linear::Sparse { weight, .. } => weight.longest_row(),
            Linear::Convolution(c) => c.forward_terms(),
            Linear::Transposed(c) => c.backward_terms(),
        }
    }

    /// The largest number of products that [`Self::backward`] sums into one entry.
    pub fn backward_terms(&self) -> usize {
        match self {
            Linear::Identity { .. } => 1,
            Linear::Select { index, .. } => {
                let mut uses = vec![0usize; self.inputs()];
                for i in index.iter().filter(|i| **i != NOTHING) {
                    uses[*i as usize] += 1;
                }
                uses.into_iter().max().unwrap_or(0).max(1)
            }
            Linear::Dense(w) => w.rows,
            Linear::Sparse { longest_column, .. } => (*longest_column).max(1),
            Linear::Convolution(c) => c.backward_terms(),
            Linear::Transposed(c) => c.forward_terms(),
        }
    }

    /// Whether applying the map rounds: selections do not.
    pub fn is_exact(&self) -> bool {
        matches!(self, Linear::Identity { .. })
    }

    /// $y \leftarrow y + W x$ for every row $x$ of a batch; with $|W|$ when `absolute`.
    ///
    /// # Shapes
    /// `x` is `batch × n`, `y` is `batch × m`.
    #[track_caller]
    pub fn forward(&self, absolute: bool, x: &[T], batch: usize, y: &mut [T]) {
        let (n, m) = (self.inputs(), self.outputs());
        assert_eq!((x.len(), y.len()), (batch * n, batch * m));
        match self {
            Linear::Identity { .. } => add(y, x),
            Linear::Select { index, .. } => {
                for (x, y) in rows(x, n).zip(y.chunks_exact_mut(m)) {
                    for (out, i) in y.iter_mut().zip(index).filter(|(_, i)| **i != NOTHING) {
                        *out += x[*i as usize];
                    }
                }
            }
            Linear::Dense(w) => {
                let matrix = if absolute { &w.absolute } else { &w.weight };
                gemm(y, View::new(x, batch, n), View::new(matrix, m, n).t(), true);
            }
            Linear::Sparse { weight, absolute: magnitude, .. } => {
                let matrix = if absolute { magnitude } else { weight };
                matrix.multiply_add(x, batch, y);
            }
            Linear::Convolution(c) => c.forward(absolute, x, batch, y),
            Linear::Transposed(c) => c.backward(absolute, x, batch, y),
        }
    }

    /// $a' \leftarrow a' + a W$ for every row $a$ of a batch.
    ///
    /// # Shapes
    /// `a` is `batch × m`, `out` is `batch × n`.
    #[track_caller]
    pub fn backward(&self, a: &[T], batch: usize, out: &mut [T]) {
        let (n, m) = (self.inputs(), self.outputs());
        assert_eq!((a.len(), out.len()), (batch * m, batch * n));
        match self {
            Linear::Identity { .. } => add(out, a),
            Linear::Select { index, .. } => {
                for (a, out) in rows(a, m).zip(out.chunks_exact_mut(n)) {
                    for (value, i) in a.iter().zip(index).filter(|(_, i)| **i != NOTHING) {
                        out[*i as usize] += *value;
                    }
                }
            }
            Linear::Dense(w) => gemm(out, View::new(a, batch, m), View::new(&w.weight, m, n), true),
            Linear::Sparse { weight, .. } => weight.multiply_add_transposed(a, batch, out),
            Linear::Convolution(c) => c.backward(false, a, batch, out),
            Linear::Transposed(c) => c.forward(false, a, batch, out),
        }
    }

    /// `out ← out + sign · W[j, :]`.
    #[track_caller]
    pub fn add_row(&self, j: usize, sign: T, out: &mut [T]) {
        assert_eq!(out.len(), self.inputs());
        match self {
            Linear::Identity { .. } => out[j] += sign,
            Linear::Select { index, .. } => {
                if index[j] != NOTHING {
                    out[index[j] as usize] += sign;
                }
            }
            Linear::Dense(w) => {
                for (out, w) in out.iter_mut().zip(&w.weight[j * w.cols..(j + 1) * w.cols]) {
                    *out += sign * *w;
                }
            }
            Linear::Sparse { weight, .. } => {
                for (i, w) in weight.row(j) {
                    out[i] += sign * w;
                }
            }
            Linear::Convolution(c) => c.add_row(j, sign, out),
            Linear::Transposed(c) => {
                let mut unit = vec![T::ZERO; c.inputs()];
                unit[j] = sign;
                c.forward(false, &unit, 1, out);
            }
        }
    }

    /// Some rows of a matrix.
    ///
    /// # Panics
    /// When the map is not a matrix, dense or sparse.
    #[track_caller]
    pub fn rows(&self, rows: &[usize]) -> Self {
        match self {
            Linear::Dense(w) => {
                let row = |r: &usize| w.weight[r * w.cols..(r + 1) * w.cols].iter().copied();
                Self::matrix(rows.len(), w.cols, rows.iter().flat_map(row).collect())
            }
            Linear::Sparse { weight, .. } => {
                Self::sparse(Csr::from_rows(weight.cols(), rows.iter().map(|r| weight.row(*r).collect())))
            }
            _ => panic!("the map is not a matrix"),
        }
    }

    /// The same map with another scalar type.
    pub fn cast<U: Scalar>(&self) -> Linear<U> {
        let convert = |w: &T| U::from_f64(w.to_f64());
        match self {
            Linear::Identity { size } => Linear::Identity { size: *size },
            Linear::Select { inputs, index } => Linear::Select { inputs: *inputs, index: index.clone() },
            Linear::Dense(w) => Linear::Dense(Dense {
                rows: w.rows,
                cols: w.cols,
                weight: w.weight.iter().map(convert).collect(),
                absolute: w.absolute.iter().map(convert).collect(),
            }),
            Linear::Sparse { weight, absolute, longest_column } => Linear::Sparse {
                weight: weight.map(convert),
                absolute: absolute.map(convert),
                longest_column: *longest_column,
            },
            Linear::Convolution(c) => Linear::Convolution(c.cast()),
            Linear::Transposed(c) => Linear::Transposed(c.cast()),
        }
    }
}

fn rows<T>(data: &[T], width: usize) -> impl Iterator<Item = &[T]> {
    data.chunks_exact(width.max(1))
}

fn add<T: Scalar>(out: &mut [T], summand: &[T]) {
    for (out, value) in out.iter_mut().zip(summand) {
        *out += *value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convolution::Geometry;

    fn maps() -> Vec<Linear<f64>> {
        let mut sparse = vec![0.0; 12 * 7];
        sparse[5] = 2.0;
        sparse[40] = -3.0;
        sparse[83] = 0.5;
        vec![
            Linear::Identity { size: 3 },
            Linear::Select { inputs: 4, index: vec![2, NOTHING, 0, 2, 3] },
            Linear::matrix(2, 3, vec![1.0, -2.0, 3.0, 0.5, 0.0, -1.0]),
            Linear::matrix(12, 7, sparse),
            Linear::Transposed(Convolution::new(
                Geometry {
                    groups: 1,
                    input: [2, 1, 5],
                    output: [1, 1, 3],
                    kernel: [1, 3],
                    strides: [1, 2],
                    pads: [0, 1],
                    dilations: [1, 1],
                },
                vec![1.0, -2.0, 0.5, 3.0, -1.0, 4.0],
            )),
        ]
    }

    #[test]
    fn sparse_is_chosen_when_it_pays() {
        assert!(matches!(maps()[3], Linear::Sparse { .. }));
        assert!(matches!(maps()[2], Linear::Dense(_)));
    }

    #[test]
    fn forward_backward_and_rows_are_one_matrix() {
        for map in maps() {
            let (n, m) = (map.inputs(), map.outputs());
            let mut by_rows = vec![0.0; m * n];
            for j in 0..m {
                map.add_row(j, 1.0, &mut by_rows[j * n..(j + 1) * n]);
            }
            let identity: Vec<f64> = (0..m * m).map(|k| if k / m == k % m { 1.0 } else { 0.0 }).collect();
            let mut by_backward = vec![0.0; m * n];
            map.backward(&identity, m, &mut by_backward);
            assert_eq!(by_rows, by_backward);
            let x: Vec<f64> = (0..n).map(|i| i as f64 - 1.5).collect();
            let (mut y, mut magnitude) = (vec![1.0; m], vec![0.0; m]);
            map.forward(false, &x, 1, &mut y);
            map.forward(true, &x.iter().map(|v| v.abs()).collect::<Vec<_>>(), 1, &mut magnitude);
            for j in 0..m {
                let row = &by_rows[j * n..(j + 1) * n];
                let dot: f64 = row.iter().zip(&x).map(|(w, x)| w * x).sum();
                let absolute: f64 = row.iter().zip(&x).map(|(w, x)| (w * x).abs()).sum();
                assert_eq!((y[j], magnitude[j]), (dot + 1.0, absolute));
            }
        }
    }
}
