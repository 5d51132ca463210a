//! Matrices of weights, one row per output, and their products with rows of activations.

use rayon::prelude::*;
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::matvec::matvec;

/// From this many multiplications on, a product is shared among threads.
const SHARED: usize = 1 << 19;
/// From this many rows of activations on, a product goes through [`gemm`], which packs its operands.
const PACKED: usize = 4;

/// A row-major matrix $W \in \mathbb{R}^{\text{out} \times \text{in}}$ of weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f32>,
}

impl Matrix {
    /// A matrix from its entries, row by row.
    #[track_caller]
    pub fn new(rows: usize, cols: usize, data: Vec<f32>) -> Self {
        assert_eq!(rows * cols, data.len(), "entries do not fill {rows} × {cols}");
        Self { rows, cols, data }
    }

    /// Outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Entries, row by row.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Entries, row by row, for writing.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The entries alone.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// The weights of one output.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.cols..(row + 1) * self.cols]
    }

    /// The matrix as [`gemm`] takes it.
    pub fn view(&self) -> View<'_, f32> {
        View::new(&self.data, self.rows, self.cols)
    }

    /// These rows, in this order.
    #[track_caller]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        Self::new(rows.len(), self.cols, rows.iter().flat_map(|row| self.row(*row)).copied().collect())
    }

    /// These columns, in this order.
    #[track_caller]
    pub fn select_cols(&self, cols: &[usize]) -> Self {
        let row = |row| cols.iter().map(move |col| self.row(row)[*col]);
        Self::new(self.rows, cols.len(), (0..self.rows).flat_map(row).collect())
    }

    /// Matrices with the same inputs, one below the other.
    #[track_caller]
    pub fn stack(parts: &[&Matrix]) -> Self {
        let cols = parts.first().map_or(0, |part| part.cols);
        assert!(parts.iter().all(|part| part.cols == cols), "inputs differ");
        let rows = parts.iter().map(|part| part.rows).sum();
        Self::new(rows, cols, parts.iter().flat_map(|part| &part.data).copied().collect())
    }

    /// Matrices with the same outputs, one beside the other.
    #[track_caller]
    pub fn beside(parts: &[&Matrix]) -> Self {
        let rows = parts.first().map_or(0, |part| part.rows);
        assert!(parts.iter().all(|part| part.rows == rows), "outputs differ");
        let cols = parts.iter().map(|part| part.cols).sum();
        let row = |row| parts.iter().flat_map(move |part| part.row(row)).copied();
        Self::new(rows, cols, (0..rows).flat_map(row).collect())
    }

    /// $W_{ij} \leftarrow W_{ij} \alpha_j$.
    #[track_caller]
    pub fn scale_cols(&mut self, scale: &[f32]) {
        assert_eq!(scale.len(), self.cols, "one factor per input");
        for row in self.data.chunks_exact_mut(self.cols.max(1)) {
            row.iter_mut().zip(scale).for_each(|(weight, factor)| *weight *= factor);
        }
    }

    /// $Y = X W^\top$: every row of `x` through the layer.
    ///
    /// # Shapes
    /// `x` is tokens × [`cols`](Self::cols), the result tokens × [`rows`](Self::rows).
    #[track_caller]
    pub fn times(&self, x: &[f32]) -> Vec<f32> {
        assert_eq!(x.len() % self.cols.max(1), 0, "activations of another width");
        let tokens = x.len() / self.cols.max(1);
        let mut y = vec![0.0; tokens * self.rows];
        if y.is_empty() {
            return y;
        }
        let shared = tokens * self.data.len() >= SHARED && rayon::current_num_threads() > 1;
        match (tokens < PACKED, shared) {
            (true, false) => self.dots(x, &mut y),
            (true, true) => self.shared_dots(x, &mut y),
            (false, false) => self.product(x, &mut y),
            (false, true) => {
                let part = tokens.div_ceil(rayon::current_num_threads()).max(PACKED);
                // A single row would be summed in another order than rows together.
                let part = (part..).find(|part| tokens % part != 1).unwrap_or(tokens);
                let pairs = y.par_chunks_mut(part * self.rows).zip(x.par_chunks(part * self.cols));
                pairs.for_each(|(y, x)| self.product(x, y));
            }
        }
        y
    }

    /// $Y = X W^\top + \mathbf{1} b^\top$, without a shift where there is none.
    #[track_caller]
    pub fn affine(&self, x: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let mut y = self.times(x);
        if let Some(bias) = bias {
            assert_eq!(bias.len(), self.rows, "one shift per output");
            let rows = y.chunks_exact_mut(self.rows.max(1));
            rows.for_each(|row| row.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
        }
        y
    }

    fn product(&self, x: &[f32], y: &mut [f32]) {
        gemm(y, View::new(x, x.len() / self.cols, self.cols), self.view().t(), false);
    }

    fn dots(&self, x: &[f32], y: &mut [f32]) {
        for (x, y) in x.chunks_exact(self.cols).zip(y.chunks_exact_mut(self.rows)) {
            matvec(y, &self.data, x);
        }
    }

    fn shared_dots(&self, x: &[f32], y: &mut [f32]) {
        let part = self.rows.div_ceil(rayon::current_num_threads()).max(1);
        for (x, y) in x.chunks_exact(self.cols).zip(y.chunks_exact_mut(self.rows)) {
            let pairs = y.par_chunks_mut(part).zip(self.data.par_chunks(part * self.cols));
            pairs.for_each(|(y, weights)| matvec(y, weights, x));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secateur_linalg::random::Random;

    fn random(rows: usize, cols: usize, seed: u64) -> Matrix {
        let mut data = vec![0.0; rows * cols];
        Random::new(seed).fill_normal(&mut data, 1.0);
        Matrix::new(rows, cols, data)
    }

    fn reference(w: &Matrix, x: &[f32]) -> Vec<f64> {
        let rows = x.chunks_exact(w.cols());
        let wide = |(a, b): (&f32, &f32)| f64::from(*a) * f64::from(*b);
        rows.flat_map(|x| (0..w.rows()).map(move |row| w.row(row).iter().zip(x).map(wide).sum())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn products_are_those_of_definitions(rows in 1..40usize, cols in 1..90usize, tokens in 0..9usize, seed in 0..999u64) {
            let w = random(rows, cols, seed);
            let x = random(tokens, cols, seed + 1);
            let expected = reference(&w, x.data());
            let found = w.times(x.data());
            prop_assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                // Sums of at most 90 products of normal numbers, each rounded to 24 bits.
                prop_assert!((f64::from(*found) - expected).abs() < 1e-4, "{} {}", found, expected);
            }
        }
    }

    fn pool_of(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    /// To the last bit.
    #[test]
    fn shared_products_are_the_sequential_ones() {
        // 4 rows beyond a multiple of the threads' parts, enough work to be shared.
        let w = random(1030, 520, 3);
        for tokens in [1, 2, 9, 13, 64, 75] {
            let x = random(tokens, 520, 4);
            let expected = reference(&w, x.data());
            let found = pool_of(3).install(|| w.times(x.data()));
            for (found, expected) in found.iter().zip(&expected) {
                assert!((f64::from(*found) - expected).abs() < 2e-4, "{found} {expected}");
            }
            assert!(found == pool_of(1).install(|| w.times(x.data())), "{tokens} tokens");
        }
    }

    #[test]
    fn parts_are_put_together_and_taken_apart() {
        let (a, b) = (random(3, 4, 1), random(2, 4, 2));
        let stacked = Matrix::stack(&[&a, &b]);
        assert_eq!(stacked.select_rows(&[0, 1, 2]), a);
        assert_eq!(stacked.select_rows(&[3, 4]), b);
        let c = random(3, 2, 3);
        let wide = Matrix::beside(&[&a, &c]);
        assert_eq!((wide.rows(), wide.cols()), (3, 6));
        assert_eq!(wide.select_cols(&[4, 5]), c);
        let mut scaled = c.clone();
        scaled.scale_cols(&[2.0, 0.0]);
        assert_eq!(scaled.row(1), [2.0 * c.row(1)[0], 0.0]);
    }
}
