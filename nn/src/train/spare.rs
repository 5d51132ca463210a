//! Memory that is used again.
//!
//! The values of large images take megabytes for every operator. Given back to the allocator they would be cleared by the system
//! before the next step has them again, page by page, which was a quarter of the time.

use crate::eval::Array;
use crate::eval::convolution::Scratch;
use std::sync::Arc;

/// Fewer entries are left to the allocator.
const LEAST: usize = 1 << 14;

/// Vectors that nobody reads any more.
#[derive(Debug, Default)]
pub(super) struct Spare {
    vectors: Vec<Vec<f32>>,
    /// For convolutions.
    pub(super) scratch: Scratch<f32>,
    /// Entries that were taken since the last step.
    taken: usize,
}

impl Spare {
    /// A vector of so many entries, whatever they are.
    pub(super) fn take(&mut self, length: usize) -> Vec<f32> {
        let fits = self.vectors.iter().enumerate().filter(|(_, v)| v.capacity() >= length);
        let best = fits.min_by_key(|(_, v)| v.capacity()).map(|(place, _)| place).filter(|_| length >= LEAST);
        let mut vector = best.map_or_else(Vec::new, |place| self.vectors.swap_remove(place));
        vector.resize(length, 0.0);
        self.taken += vector.capacity();
        vector
    }

    /// A vector of zeros.
    pub(super) fn zeros(&mut self, length: usize) -> Vec<f32> {
        let mut vector = self.take(length);
        vector.fill(0.0);
        vector
    }

    /// Keeps a vector for later.
    pub(super) fn put(&mut self, vector: Vec<f32>) {
        if vector.capacity() >= LEAST {
            self.vectors.push(vector);
        }
    }

    /// Keeps the numbers of a value that nobody else holds.
    pub(super) fn put_value(&mut self, value: Option<Array<f32>>) {
        if let Some(Array::Real(tensor)) = value
            && let Ok(tensor) = Arc::try_unwrap(tensor)
        {
            self.put(tensor.into_data());
        }
    }

    /// What the next step will take, if it takes what this one took: more is put than taken.
    pub(super) fn kept(mut self) -> Self {
        self.vectors.sort_by_key(|v| std::cmp::Reverse(v.capacity()));
        while self.entries() > self.taken && self.vectors.pop().is_some() {}
        self.taken = 0;
        self
    }

    fn entries(&self) -> usize {
        self.vectors.iter().map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_vector_that_fits_is_taken() {
        let mut spare = Spare::default();
        for length in [4 * LEAST, 2 * LEAST, LEAST - 1] {
            spare.put(vec![1.0; length]);
        }
        assert_eq!(spare.entries(), 6 * LEAST, "small vectors are not kept");
        let taken = spare.take(2 * LEAST);
        assert_eq!((taken.len(), spare.entries()), (2 * LEAST, 4 * LEAST));
        assert!(spare.zeros(3 * LEAST).iter().all(|v| *v == 0.0));
        assert_eq!((spare.take(10), spare.entries()), (vec![0.0; 10], 0));
        // 6 · LEAST and a little were taken, 10 are there.
        spare.put(taken);
        spare.put(vec![0.0; 4 * LEAST]);
        spare.put(vec![0.0; 4 * LEAST]);
        assert_eq!(spare.kept().entries(), 4 * LEAST);
    }
}
