//! Compressed sparse rows.
//!
//! Products with many vectors take them up in panels of [`PANEL`], transposed, so that each stored entry is multiplied with a
//! whole register. Every sum is taken in the same order however many vectors there are.

use crate::Scalar;

/// A sparse matrix whose rows are lists of (column, value).
#[derive(Clone, Debug, PartialEq)]
pub struct Csr<T> {
    cols: usize,
    starts: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<T>,
}

impl<T: Scalar> Csr<T> {
    /// A matrix from its rows; each is a list of (column, value).
    #[track_caller]
    pub fn from_rows(cols: usize, rows: impl IntoIterator<Item = Vec<(usize, T)>>) -> Self {
        let (mut starts, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in rows {
            for (column, value) in row {
                assert!(column < cols, "column {column} of {cols}");
                indices.push(u32::try_from(column).expect("fewer than 2³² columns"));
                values.push(value);
            }
            starts.push(indices.len());
        }
        Self { cols, starts, indices, values }
    }

    /// The non-zero entries of a row-major matrix.
    #[track_caller]
    pub fn from_dense(data: &[T], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols);
        let row = |r: usize| {
            let entries = data[r * cols..(r + 1) * cols].iter().enumerate();
            entries.filter(|(_, v)| **v != T::ZERO).map(|(c, v)| (c, *v)).collect()
        };
        Self::from_rows(cols, (0..rows).map(row))
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Number of stored entries.
    pub fn stored(&self) -> usize {
        self.values.len()
    }

    /// The stored entries of one row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, T)> + '_ {
        let range = self.starts[row]..self.starts[row + 1];
        self.indices[range.clone()].iter().map(|i| *i as usize).zip(self.values[range].iter().copied())
    }

    /// The largest number of stored entries in a row.
    pub fn longest_row(&self) -> usize {
        self.starts.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0)
    }

    /// The transpose.
    pub fn transpose(&self) -> Self {
        let mut starts = vec![0; self.cols + 1];
        for &c in &self.indices {
            starts[c as usize + 1] += 1;
        }
        for c in 0..self.cols {
            starts[c + 1] += starts[c];
        }
        let mut next = starts.clone();
        let mut indices = vec![0; self.indices.len()];
        let mut values = vec![T::ZERO; self.values.len()];
        for r in 0..self.rows() {
            for (c, v) in self.row(r) {
                indices[next[c]] = r as u32;
                values[next[c]] = v;
                next[c] += 1;
            }
        }
        Self { cols: self.rows(), starts, indices, values }
    }

    /// Applies `f` to every stored value.
    pub fn map<U: Scalar>(&self, f: impl FnMut(&T) -> U) -> Csr<U> {
        Csr {
            cols: self.cols,
            starts: self.starts.clone(),
            indices: self.indices.clone(),
            values: self.values.iter().map(f).collect(),
        }
    }

    /// $y \leftarrow y + M x$ for every row $x$ of a batch.
    ///
    /// # Shapes
    /// `x` is `batch × cols`, `y` is `batch × rows`.
    #[track_caller]
    pub fn multiply_add(&self, x: &[T], batch: usize, y: &mut [T]) {
        let (rows, cols) = (self.rows(), self.cols);
        assert_eq!((x.len(), y.len()), (batch * cols, batch * rows));
        let whole = batch - batch % PANEL;
        let (x, x_rest) = x.split_at(whole * cols);
        let (y, y_rest) = y.split_at_mut(whole * rows);
        for (x, y) in x.chunks_exact((PANEL * cols).max(1)).zip(y.chunks_exact_mut((PANEL * rows).max(1))) {
            self.multiply_panel::<PANEL>(x, y);
        }
        for (x, y) in x_rest.chunks_exact(cols.max(1)).zip(y_rest.chunks_exact_mut(rows.max(1))) {
            self.multiply_panel::<1>(x, y);
        }
    }

    /// $y \leftarrow y + x M$ for every row $x$ of a batch.
    ///
    /// # Shapes
    /// `x` is `batch × rows`, `y` is `batch × cols`.
    #[track_caller]
    pub fn multiply_add_transposed(&self, x: &[T], batch: usize, y: &mut [T]) {
        let (rows, cols) = (self.rows(), self.cols);
        assert_eq!((x.len(), y.len()), (batch * rows, batch * cols));
        let whole = batch - batch % PANEL;
        let (x, x_rest) = x.split_at(whole * rows);
        let (y, y_rest) = y.split_at_mut(whole * cols);
        for (x, y) in x.chunks_exact((PANEL * rows).max(1)).zip(y.chunks_exact_mut((PANEL * cols).max(1))) {
            self.scatter_panel::<PANEL>(x, y);
        }
        for (x, y) in x_rest.chunks_exact(rows.max(1)).zip(y_rest.chunks_exact_mut(cols.max(1))) {
            self.scatter_panel::<1>(x, y);
        }
    }

    fn multiply_panel<const N: usize>(&self, x: &[T], y: &mut [T]) {
        let x = columns::<T, N>(x, self.cols);
        let rows = self.rows();
        for r in 0..rows {
            let mut sum = [T::ZERO; N];
            for (c, v) in self.row(r) {
                let x = &x[c];
                (0..N).for_each(|lane| sum[lane] += v * x[lane]);
            }
            (0..N).for_each(|lane| y[lane * rows + r] += sum[lane]);
        }
    }

    fn scatter_panel<const N: usize>(&self, x: &[T], y: &mut [T]) {
        let (rows, cols) = (self.rows(), self.cols);
        let mut out = vec![[T::ZERO; N]; cols];
        for r in 0..rows {
            let mut x_r = [T::ZERO; N];
            (0..N).for_each(|lane| x_r[lane] = x[lane * rows + r]);
            if x_r.iter().all(|v| *v == T::ZERO) {
                continue;
            }
            for (c, v) in self.row(r) {
                let out = &mut out[c];
                (0..N).for_each(|lane| out[lane] += v * x_r[lane]);
            }
        }
        for lane in 0..N {
            y[lane * cols..(lane + 1) * cols].iter_mut().zip(&out).for_each(|(y, out)| *y += out[lane]);
        }
    }
}

/// Vectors that are multiplied side by side: a register of sixteen floats.
pub const PANEL: usize = 16;

/// The columns of `N` row vectors.
fn columns<T: Scalar, const N: usize>(x: &[T], cols: usize) -> Vec<[T; N]> {
    let mut out = vec![[T::ZERO; N]; cols];
    for lane in 0..N {
        out.iter_mut().zip(&x[lane * cols..(lane + 1) * cols]).for_each(|(out, x)| out[lane] = *x);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn transpose_and_product() {
        let dense = [0.0, 2.0, 0.0, 1.0, 0.0, 3.0];
        let m = Csr::from_dense(&dense, 2, 3);
        assert_eq!(m.stored(), 3);
        assert_eq!(m.longest_row(), 2);
        assert_eq!(m.transpose().transpose(), m);
        let mut y = [1.0, 0.0];
        m.multiply_add(&[1.0, 1.0, 2.0], 1, &mut y);
        assert_eq!(y, [3.0, 7.0]);
    }

    #[test]
    fn vectors_in_panels_are_multiplied_as_they_are_alone() {
        let mut random = Random::new(11);
        let mut weights = vec![0.0f32; 9 * 13];
        random.fill_normal(&mut weights, 1.0);
        weights.iter_mut().enumerate().filter(|(i, _)| i % 3 > 0).for_each(|(_, w)| *w = 0.0);
        let m = Csr::from_dense(&weights, 9, 13);
        for batch in [0, 1, 15, 16, 37] {
            let (mut x, mut a) = (vec![0.0f32; batch * 13], vec![0.0f32; batch * 9]);
            random.fill_normal(&mut x, 1.0);
            random.fill_normal(&mut a, 1.0);
            let (mut y, mut b) = (vec![0.5f32; batch * 9], vec![0.25f32; batch * 13]);
            m.multiply_add(&x, batch, &mut y);
            m.multiply_add_transposed(&a, batch, &mut b);
            for r in 0..batch {
                let (mut one, mut other) = (vec![0.5f32; 9], vec![0.25f32; 13]);
                m.multiply_add(&x[r * 13..(r + 1) * 13], 1, &mut one);
                m.multiply_add_transposed(&a[r * 9..(r + 1) * 9], 1, &mut other);
                assert_eq!(one, y[r * 9..(r + 1) * 9]);
                assert_eq!(other, b[r * 13..(r + 1) * 13]);
                for (j, y) in one.iter().enumerate() {
                    let sum: f64 = (0..13).map(|i| f64::from(weights[j * 13 + i]) * f64::from(x[r * 13 + i])).sum();
                    // A dozen roundings of sums of a few normal numbers.
                    assert!((sum + 0.5 - f64::from(*y)).abs() < 1e-5);
                }
                for (i, b) in other.iter().enumerate() {
                    let sum: f64 = (0..9).map(|j| f64::from(weights[j * 13 + i]) * f64::from(a[r * 9 + j])).sum();
                    assert!((sum + 0.25 - f64::from(*b)).abs() < 1e-5);
                }
            }
        }
    }
}
