//! Row-major tensors.

use std::fmt;

/// A dense row-major tensor: the last axis varies fastest.
#[derive(Clone, PartialEq, Default)]
pub struct Tensor<T> {
    shape: Vec<usize>,
    data: Vec<T>,
}

impl<T> Tensor<T> {
    /// A tensor from its shape and its entries in row-major order.
    ///
    /// # Shapes
    /// `data.len()` is the product of `shape` (1 for an empty shape, a scalar).
    #[track_caller]
    pub fn new(shape: Vec<usize>, data: Vec<T>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "entries do not fill shape {shape:?}");
        Self { shape, data }
    }

    /// A tensor of rank 0.
    pub fn scalar(value: T) -> Self {
        Self { shape: Vec::new(), data: vec![value] }
    }

    /// A tensor of rank 1.
    pub fn vector(data: Vec<T>) -> Self {
        Self { shape: vec![data.len()], data }
    }

    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Entries in row-major order.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// Entries in row-major order, for writing.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The entries alone.
    pub fn into_data(self) -> Vec<T> {
        self.data
    }

    /// The same entries under another shape of the same size.
    #[track_caller]
    pub fn reshaped(self, shape: Vec<usize>) -> Self {
        Self::new(shape, self.data)
    }

    /// Applies `f` to every entry.
    pub fn map<U>(&self, f: impl FnMut(&T) -> U) -> Tensor<U> {
        Tensor { shape: self.shape.clone(), data: self.data.iter().map(f).collect() }
    }
}

impl<T: Clone> Tensor<T> {
    /// A tensor with every entry equal.
    pub fn full(shape: Vec<usize>, value: T) -> Self {
        let len = shape.iter().product();
        Self { shape, data: vec![value; len] }
    }
}

/// Distance between neighbours along each axis, in entries, of a row-major tensor.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

impl<T: fmt::Debug> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor{:?}", self.shape)?;
        f.debug_list().entries(self.data.iter().take(8)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_row_major() {
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
        assert!(strides(&[]).is_empty());
    }

    #[test]
    #[should_panic(expected = "do not fill")]
    fn wrong_size_is_refused() {
        let _ = Tensor::new(vec![2, 2], vec![1.0]);
    }
}
