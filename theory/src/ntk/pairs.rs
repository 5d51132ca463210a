//! Kernels of all pairs of inputs.

use super::plan::Plan;
use super::recursion::{Block, Variances};
use crate::TheoryError;
use rayon::prelude::*;

/// Covariance and tangent kernel of pairs of inputs.
///
/// # Shapes
/// Both are `rows × cols`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernels {
    /// Inputs on the left.
    pub rows: usize,
    /// Inputs on the right.
    pub cols: usize,
    /// $K(x, x')$: the covariance of an output over random weights.
    pub nngp: Vec<f64>,
    /// $\Theta(x, x')$.
    pub ntk: Vec<f64>,
}

impl Plan {
    /// The kernels of all pairs of some inputs; pairs run in parallel, each on its own.
    ///
    /// # Errors
    /// An input of another size, or with a number that is not finite.
    pub fn gram(&self, inputs: &[Vec<f64>]) -> Result<Kernels, TheoryError> {
        self.check(inputs)?;
        let n = inputs.len();
        let variances = self.variances(inputs);
        let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))).collect();
        let pair = |(i, j): &(usize, usize)| self.pair(&inputs[*i], &inputs[*j], &variances[*i], &variances[*j]);
        let values: Vec<(f64, f64)> = pairs.par_iter().map(pair).collect();
        let mut kernels = Kernels { rows: n, cols: n, nngp: vec![0.0; n * n], ntk: vec![0.0; n * n] };
        for ((i, j), (nngp, ntk)) in pairs.into_iter().zip(values) {
            for place in [i * n + j, j * n + i] {
                (kernels.nngp[place], kernels.ntk[place]) = (nngp, ntk);
            }
        }
        Ok(kernels)
    }

    /// The kernels of every input on the left with every input on the right.
    ///
    /// # Errors
    /// As [`Plan::gram`].
    pub fn cross(&self, left: &[Vec<f64>], right: &[Vec<f64>]) -> Result<Kernels, TheoryError> {
        self.check(left)?;
        self.check(right)?;
        let (of_left, of_right) = (self.variances(left), self.variances(right));
        let pair = |place: usize| {
            let (i, j) = (place / right.len(), place % right.len());
            self.pair(&left[i], &right[j], &of_left[i], &of_right[j])
        };
        let (nngp, ntk) = (0..left.len() * right.len()).into_par_iter().map(pair).unzip();
        Ok(Kernels { rows: left.len(), cols: right.len(), nngp, ntk })
    }

    fn check(&self, inputs: &[Vec<f64>]) -> Result<(), TheoryError> {
        for input in inputs {
            if input.len() != self.input_size() {
                let (expected, found) = (self.input.clone(), vec![input.len()]);
                return Err(TheoryError::Shape { name: "input", expected, found });
            }
            if let Some(found) = input.iter().copied().find(|v| !v.is_finite()) {
                return Err(TheoryError::Range { name: "input", expected: "finite numbers", found });
            }
        }
        Ok(())
    }

    /// The variances of each input in front of each activation.
    fn variances(&self, inputs: &[Vec<f64>]) -> Vec<Vec<Vec<f64>>> {
        let one = |x: &Vec<f64>| {
            let mut kept = Vec::new();
            Block::input(self, x, x).through(&self.steps, &mut Variances::Record(&mut kept));
            kept
        };
        inputs.par_iter().map(one).collect()
    }

    fn pair(&self, x: &[f64], y: &[f64], of_x: &[Vec<f64>], of_y: &[Vec<f64>]) -> (f64, f64) {
        let mut variances = Variances::Replay(of_x.iter(), of_y.iter());
        Block::input(self, x, y).through(&self.steps, &mut variances).output()
    }
}
