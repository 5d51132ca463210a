//! Compressed sparse rows.

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

    /// $y \leftarrow y + M x$.
    #[track_caller]
    pub fn multiply_add(&self, x: &[T], y: &mut [T]) {
        assert_eq!((x.len(), y.len()), (self.cols, self.rows()));
        for (r, out) in y.iter_mut().enumerate() {
            let mut sum = T::ZERO;
            for (c, v) in self.row(r) {
                sum += v * x[c];
            }
            *out += sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transpose_and_product() {
        let dense = [0.0, 2.0, 0.0, 1.0, 0.0, 3.0];
        let m = Csr::from_dense(&dense, 2, 3);
        assert_eq!(m.stored(), 3);
        assert_eq!(m.longest_row(), 2);
        assert_eq!(m.transpose().transpose(), m);
        let mut y = [1.0, 0.0];
        m.multiply_add(&[1.0, 1.0, 2.0], &mut y);
        assert_eq!(y, [3.0, 7.0]);
    }
}
