//! The tangent kernel of a network whose mask has a limit graphon.

use super::activation::Activation;
use super::architecture::{Architecture, Gradient, Layer, Values, Weights};
use super::density::{DensityGrid, kept_second_moment};
use crate::TheoryError;
use rayon::prelude::*;
use secateur_linalg::gemm::{View, gemm};

/// Points of the quadrature that are computed at the same time.
const TOGETHER: usize = 8;

/// One hidden layer of ReLUs, $f(x) = n^{-1/2} \sum_j a_j\, \sigma\big(d^{-1/2} \sum_i M_{ij} w_{ij} x_i\big)$, whose mask
/// converges to the graphon $W(u, v)$:
///
/// $$ K(x,x') = \int_0^1 dv\, \Big[ \mathrm E\,\sigma(z_v)\sigma(z'_v) + a^2(v)\;
/// \mathrm E\,\dot\sigma(z_v)\dot\sigma(z'_v)\; \Sigma_v(x,x') \Big], \qquad
/// \Sigma_v(x,x') = \int_0^1 W(u,v)\, X(u) X'(u)\, du . $$
///
/// $(z_v, z'_v)$ has the covariance $\Sigma_v$ where weights are independent of the mask, and the one with the second moments of
/// kept weights in place of $W$ where they are those that the mask was chosen by ([`Values`]). The factor $\Sigma_v$ counts
/// derivatives of kept weights, so it has $W$ in both. $a^2(v)$ is 1 unless output weights are kept and $v$ orders neurons
/// by them.
///
/// # Shapes
/// Rows of the density are coordinates of the input or equal parts of them, columns the points of the quadrature in $v$.
///
/// # Source
/// arXiv 2602.06675, theorem 3; $a^2(v)$ and the second moments of kept weights are ours.
#[derive(Clone, Debug)]
pub struct GraphonNtk {
    density: DensityGrid,
    second: DensityMoments,
    output: Vec<f64>,
}

/// $\mathrm E (M w)^2$ by cell.
#[derive(Clone, Debug)]
struct DensityMoments(Vec<f64>);

impl GraphonNtk {
    /// The kernel of a density; the midpoint rule over its columns.
    pub fn new(density: DensityGrid, values: Values) -> Self {
        let second = match values {
            Values::Reinit => density.values().to_vec(),
            Values::Kept => density.values().iter().map(|share| kept_second_moment(*share)).collect(),
        };
        let output = vec![1.0; density.shape().1];
        Self { density, second: DensityMoments(second), output }
    }

    /// The same with $a^2(v)$ at the points of the quadrature.
    ///
    /// # Errors
    /// Not as many numbers as columns, or one that is negative or not finite.
    pub fn with_output(self, squares: Vec<f64>) -> Result<Self, TheoryError> {
        let cols = self.density.shape().1;
        if squares.len() != cols {
            return Err(TheoryError::Shape { name: "a²(v)", expected: vec![cols], found: vec![squares.len()] });
        }
        if let Some(found) = squares.iter().copied().find(|a| !(a.is_finite() && *a >= 0.0)) {
            return Err(TheoryError::Range { name: "a²(v)", expected: "finite numbers, at least 0", found });
        }
        Ok(Self { output: squares, ..self })
    }

    /// $K(x, x')$.
    ///
    /// # Errors
    /// Inputs whose coordinates are not equal parts for the density's rows, or of different lengths.
    pub fn kernel(&self, x: &[f64], y: &[f64]) -> Result<f64, TheoryError> {
        let (rows, cols) = self.density.shape();
        if x.is_empty() || x.len() != y.len() || !x.len().is_multiple_of(rows) {
            let (expected, found) = (vec![rows], vec![x.len(), y.len()]);
            return Err(TheoryError::Shape { name: "inputs of a graphon's kernel", expected, found });
        }
        let mut sum = 0.0;
        for v in 0..cols {
            let sigma = |moments: &[f64], a: &[f64], b: &[f64]| integral(moments, rows, cols, v, a, b);
            let second = &self.second.0;
            let dual = Activation::Relu.dual(sigma(second, x, x), sigma(second, y, y), sigma(second, x, y));
            sum += dual.value + self.output[v] * dual.slope * sigma(self.density.values(), x, y);
        }
        Ok(sum / cols as f64)
    }

    /// $K$ of all pairs of inputs, row-major: [`GraphonNtk::kernel`] with one matrix product for each point of the quadrature, so
    /// that equal inputs have equal angles up to the roundoff of products only.
    ///
    /// # Errors
    /// As [`GraphonNtk::kernel`].
    pub fn gram(&self, inputs: &[Vec<f64>]) -> Result<Vec<f64>, TheoryError> {
        let (n, (rows, cols)) = (inputs.len(), self.density.shape());
        let size = inputs.first().map_or(0, Vec::len);
        if let Some(other) = inputs.iter().find(|x| x.is_empty() || x.len() != size || !size.is_multiple_of(rows)) {
            let (expected, found) = (vec![rows], vec![other.len()]);
            return Err(TheoryError::Shape { name: "inputs of a graphon's kernel", expected, found });
        }
        let x = inputs.concat();
        let sigma = |moments: &[f64], v: usize| {
            let weight = |i: usize| moments[i / (size / rows) * cols + v] / size as f64;
            let weighted: Vec<f64> = x.iter().enumerate().map(|(k, value)| value * weight(k % size)).collect();
            let mut product = vec![0.0; n * n];
            gemm(&mut product, View::new(&weighted, n, size), View::new(&x, n, size).t(), false);
            product
        };
        let same = self.second.0 == self.density.values();
        let point = |v: usize| {
            let own = sigma(self.density.values(), v);
            let second = if same { own.clone() } else { sigma(&self.second.0, v) };
            let pair = |i: usize, j: usize| {
                let dual = Activation::Relu.dual(second[i * n + i], second[j * n + j], second[i * n + j]);
                dual.value + self.output[v] * dual.slope * own[i * n + j]
            };
            (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| pair(i, j)).collect::<Vec<f64>>()
        };
        let mut sum = vec![0.0; n * (n + 1) / 2];
        for points in (0..cols).collect::<Vec<_>>().chunks(TOGETHER) {
            let parts: Vec<Vec<f64>> = points.par_iter().map(|v| point(*v)).collect();
            parts.iter().for_each(|part| sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value));
        }
        let place = |i: usize, j: usize| if i < j { j * (j + 1) / 2 + i } else { i * (i + 1) / 2 + j };
        Ok((0..n * n).map(|k| sum[place(k / n, k % n)] / cols as f64).collect())
    }
}

/// $\int W(u, v)\, X(u) X'(u)\, du$ for column `v`, as a mean over coordinates.
fn integral(moments: &[f64], rows: usize, cols: usize, v: usize, x: &[f64], y: &[f64]) -> f64 {
    let span = x.len() / rows;
    let products = x.iter().zip(y).enumerate();
    products.map(|(i, (a, b))| moments[i / span * cols + v] * a * b).sum::<f64>() / x.len() as f64
}

/// Several hidden layers of ReLUs with graphons $W^{(l)}(u, v)$, the columns of each being the rows of the next; the last one is the
/// output layer's. Deviations of weights are $\sqrt2$ behind a ReLU and 1 at the input.
pub fn deep(inputs: usize, densities: &[DensityGrid], values: Values, gradient: Gradient) -> Architecture {
    let mut layers = Vec::new();
    for (index, density) in densities.iter().enumerate() {
        let std = if index == 0 { 1.0 } else { std::f64::consts::SQRT_2 };
        if index > 0 {
            layers.push(Layer::Relu);
        }
        layers.push(Layer::Dense(Weights { values, ..Weights::new(std, 0.0).with_density(density) }));
    }
    Architecture { input: vec![inputs], layers, gradient }
}

/// $P(u) = \int W^{(1)}(u, v)\, W^{(2)}(v)\, dv$: the share of the paths from input $u$ to an output that are there.
///
/// # Shapes
/// `second` has one number per column of `first`; the result one per row.
///
/// # Errors
/// They do not fit.
///
/// # Source
/// arXiv 2602.06675.
pub fn path_density(first: &DensityGrid, second: &[f64]) -> Result<Vec<f64>, TheoryError> {
    let (rows, cols) = first.shape();
    if second.len() != cols {
        return Err(TheoryError::Shape { name: "output density", expected: vec![cols], found: vec![second.len()] });
    }
    let row = |u: usize| first.values()[u * cols..(u + 1) * cols].iter().zip(second);
    Ok((0..rows).map(|u| row(u).map(|(a, b)| a * b).sum::<f64>() / cols as f64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ntk::Plan;
    use secateur_linalg::random::Random;

    fn inputs(count: usize, size: usize) -> Vec<Vec<f64>> {
        let mut random = Random::new(9);
        (0..count).map(|_| (0..size).map(|_| random.normal()).collect()).collect()
    }

    /// A density like that of SNIP: erfc of a threshold over r(u) q(v).
    fn snip(rows: usize, cols: usize) -> DensityGrid {
        DensityGrid::from_fn(rows, cols, |u, v| libm::erfc(0.6 / ((0.2 + u) * (0.1 + 2.0 * v)))).unwrap()
    }

    #[test]
    fn the_theorem_is_the_recursion_with_one_hidden_layer() {
        let x = inputs(4, 12);
        for values in [Values::Reinit, Values::Kept] {
            let kernel = GraphonNtk::new(snip(12, 5), values);
            let direct: Vec<f64> = (0..16).map(|k| kernel.kernel(&x[k / 4], &x[k % 4]).unwrap()).collect();
            for (a, b) in direct.iter().zip(kernel.gram(&x).unwrap()) {
                // As below; on the diagonal too, where angles are 0 in both.
                assert!((a - b).abs() < 1e-14 * (1.0 + a.abs()), "{a} {b}");
            }
            let output = DensityGrid::new(1, 1, vec![1.0]).unwrap();
            let mut architecture = deep(12, &[snip(12, 5), output], values, Gradient::Kept);
            // The theorem has weights of deviation 1 at the output.
            architecture.layers[2] = Layer::Dense(Weights::new(1.0, 0.0));
            let recursion = Plan::new(&architecture).unwrap().gram(&x).unwrap();
            for (a, b) in direct.iter().zip(&recursion.ntk) {
                // The same sums in another order.
                assert!((a - b).abs() < 1e-14 * (1.0 + a.abs()), "{a} {b}");
            }
        }
    }

    #[test]
    fn a_constant_graphon_scales_the_kernel_by_its_powers() {
        let x = inputs(5, 8);
        let constant = |c: f64| DensityGrid::new(1, 1, vec![c]).unwrap();
        for hidden in [1, 2, 4] {
            for (gradient, power) in [(Gradient::Kept, hidden + 1), (Gradient::All, hidden)] {
                let kernel = |c: f64| {
                    let densities = vec![constant(c); hidden as usize + 1];
                    Plan::new(&deep(8, &densities, Values::Reinit, gradient)).unwrap().gram(&x).unwrap()
                };
                let (dense, sparse) = (kernel(1.0), kernel(0.3));
                for (a, b) in dense.ntk.iter().zip(&sparse.ntk) {
                    let expected = 0.3_f64.powi(power) * a;
                    // A dozen roundings; angles of scaled covariances are the same up to their condition.
                    assert!((b - expected).abs() < 1e-12 * a.abs().max(1e-3), "{gradient:?} {b} {expected}");
                }
            }
        }
    }

    #[test]
    fn kept_weights_scale_by_their_second_moment() {
        let x = inputs(4, 8);
        let constant = |c: f64| DensityGrid::new(1, 1, vec![c]).unwrap();
        let kernel = |c, gradient| {
            Plan::new(&deep(8, &vec![constant(c); 3], Values::Kept, gradient)).unwrap().gram(&x).unwrap().ntk
        };
        let (c, second) = (0.2, kept_second_moment(0.2));
        let dense = kernel(1.0, Gradient::Kept);
        for ((a, kept), all) in dense.iter().zip(kernel(c, Gradient::Kept)).zip(kernel(c, Gradient::All)) {
            // As above.
            assert!((kept - c * second * second * a).abs() < 1e-12 * a.abs().max(1e-3));
            assert!((all - second * second * a).abs() < 1e-12 * a.abs().max(1e-3));
        }
    }

    #[test]
    fn the_quadrature_converges() {
        let x = inputs(2, 16);
        let at = |cols| GraphonNtk::new(snip(16, cols), Values::Kept).kernel(&x[0], &x[1]).unwrap();
        let (coarse, fine, finest) = (at(32), at(64), at(512));
        // The midpoint rule is of second order: halving the step leaves a quarter of the error.
        let ratio = (coarse - finest) / (fine - finest);
        assert!((3.0..5.5).contains(&ratio), "{ratio}");
    }

    #[test]
    fn paths_of_a_product() {
        let first = DensityGrid::new(2, 2, vec![1.0, 0.5, 0.0, 0.2]).unwrap();
        let paths = path_density(&first, &[0.5, 1.0]).unwrap();
        assert!((paths[0] - 0.5).abs() < 1e-16 && (paths[1] - 0.1).abs() < 1e-16);
        assert!(path_density(&first, &[1.0]).is_err());
    }

    #[test]
    fn inputs_that_do_not_fit_are_refused() {
        let kernel = GraphonNtk::new(snip(4, 3), Values::Reinit);
        assert!(matches!(kernel.kernel(&[1.0; 6], &[1.0; 6]), Err(TheoryError::Shape { .. })));
        assert!(matches!(kernel.kernel(&[1.0; 8], &[1.0; 4]), Err(TheoryError::Shape { .. })));
        assert!(matches!(kernel.clone().with_output(vec![1.0]), Err(TheoryError::Shape { .. })));
        assert!(matches!(kernel.with_output(vec![1.0, -1.0, 1.0]), Err(TheoryError::Range { .. })));
    }
}
