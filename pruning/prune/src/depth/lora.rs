//! Recovery by LoRA: matrices get low-rank additions, which are trained on calibration tokens and then merged.
//!
//! $$ W + \frac{\alpha}{r} B A, \qquad B \in \mathbb R^{\text{out} \times r}, \quad A \in \mathbb R^{r \times \text{in}} $$

use super::backward::summed;
use super::loss::loss;
use super::progress::Progress;
use super::streams::Sequences;
use crate::error::PruneError;
use rayon::prelude::*;
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::random::Random;
use secateur_nn::lm::{Matrix, Model};
use serde::{Deserialize, Serialize};

/// Decay of the means of derivatives, and of their squares, and what is added to the root of those (Adam).
const ADAM: (f64, f64, f64) = (0.9, 0.999, 1e-8);

/// How a model recovers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lora {
    /// $r$.
    pub rank: usize,
    /// $\alpha$.
    pub alpha: f64,
    /// Steps of Adam are of this size.
    pub rate: f64,
    /// Passes over the sequences.
    pub epochs: usize,
    /// Sequences of a step.
    pub batch: usize,
    /// The seed of $A$ and of the order of sequences.
    pub seed: u64,
}

impl Default for Lora {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, rate: 1e-4, epochs: 2, batch: 8, seed: 1 }
    }
}

impl Lora {
    /// Refuses parameters that mean nothing.
    ///
    /// # Errors
    /// A number is not positive.
    pub fn check(&self) -> Result<(), PruneError> {
        let Self { rank, alpha, rate, epochs, batch, .. } = *self;
        let numbers = [
            ("rank of additions", rank as f64),
            ("alpha of additions", alpha),
            ("rate of recovery", rate),
            ("epochs of recovery", epochs as f64),
            ("batch of recovery", batch as f64),
        ];
        match numbers.into_iter().find(|(_, found)| !(*found > 0.0 && found.is_finite())) {
            Some((what, found)) => Err(PruneError::Positive { what, found }),
            None => Ok(()),
        }
    }
}

/// One factor with its means for Adam.
struct Factor {
    data: Vec<f32>,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Factor {
    fn new(data: Vec<f32>) -> Self {
        let zeros = vec![0.0; data.len()];
        Self { data, first: zeros.clone(), second: zeros }
    }

    /// A step of Adam, the `step`-th from 1.
    fn step(&mut self, slopes: &[f32], rate: f64, step: i32) {
        let (b1, b2, small) = ADAM;
        let (c1, c2) = (1.0 - b1.powi(step), 1.0 - b2.powi(step));
        let means = self.first.iter_mut().zip(&mut self.second);
        for ((x, slope), (first, second)) in self.data.iter_mut().zip(slopes).zip(means) {
            let slope = f64::from(*slope);
            *first = b1 * *first + (1.0 - b1) * slope;
            *second = b2 * *second + (1.0 - b2) * slope * slope;
            *x -= (rate * (*first / c1) / ((*second / c2).sqrt() + small)) as f32;
        }
    }
}

/// The addition to one matrix.
struct Addition {
    a: Factor,
    b: Factor,
    rank: usize,
}

impl Addition {
    /// $B = 0$ and $A$ uniform in $\pm 1 / \sqrt{\text{in}}$, so that training begins with the model as it is.
    fn new(weights: &Matrix, rank: usize, random: &mut Random) -> Self {
        let most = 1.0 / (weights.cols() as f64).sqrt();
        let a = (0..rank * weights.cols()).map(|_| random.uniform(-most, most) as f32).collect();
        Self { a: Factor::new(a), b: Factor::new(vec![0.0; weights.rows() * rank]), rank }
    }

    /// $W + s B A$.
    fn merged(&self, weights: &Matrix, scale: f32) -> Vec<f32> {
        let (rows, cols) = (weights.rows(), weights.cols());
        let mut sum = vec![0.0; rows * cols];
        gemm(&mut sum, View::new(&self.b.data, rows, self.rank), View::new(&self.a.data, self.rank, cols), false);
        sum.iter_mut().zip(weights.data()).for_each(|(sum, w)| *sum = *w + scale * *sum);
        sum
    }

    /// A step from the derivatives at the merged matrix: $\dot B = s \dot W A^\top$, $\dot A = s B^\top \dot W$.
    fn step(&mut self, slopes: &[f32], scale: f32, rate: f64, step: i32) {
        let (rows, cols) = (self.b.data.len() / self.rank, self.a.data.len() / self.rank);
        let slopes: Vec<f32> = slopes.iter().map(|d| d * scale).collect();
        let slopes = View::new(&slopes, rows, cols);
        let (mut a, mut b) = (vec![0.0; self.a.data.len()], vec![0.0; self.b.data.len()]);
        gemm(&mut a, View::new(&self.b.data, rows, self.rank).t(), slopes, false);
        gemm(&mut b, slopes, View::new(&self.a.data, self.rank, cols).t(), false);
        self.a.step(&a, rate, step);
        self.b.step(&b, rate, step);
    }
}

/// The model after recovery, and the mean loss of every epoch on its way.
///
/// All matrices of all blocks get additions; embedding, head, norms and biases stay. The model, and derivatives of its
/// blocks for the sequences of a step, are in memory.
///
/// # Errors
/// The model has no row for a token; a number of the parameters is 0 or less; the loss is no longer finite; the caller
/// stopped.
///
/// # Source
/// LoRA: arXiv 2106.09685. FlattenGPT recovers with $r = 8$, rate $10^{-4}$, two epochs; $\alpha$ and the batch are
/// ours.
pub fn recovered(
    model: &Model,
    sequences: &Sequences,
    params: &Lora,
    progress: &dyn Progress,
) -> Result<(Model, Vec<f64>), PruneError> {
    params.check()?;
    sequences.all().iter().try_for_each(|tokens| model.check(tokens))?;
    let scale = (params.alpha / params.rank as f64) as f32;
    let mut random = Random::new(params.seed);
    let mut additions: Vec<Vec<Addition>> = Vec::new();
    for block in &model.blocks {
        additions.push(block.matrices().map(|w| Addition::new(w, params.rank, &mut random)).into());
    }
    let (mut current, mut losses, mut step) = (model.clone(), Vec::new(), 0);
    let steps = params.epochs * sequences.all().len().div_ceil(params.batch);
    for _ in 0..params.epochs {
        let (mut sum, mut count) = (0.0, 0);
        for batch in random.permutation(sequences.all().len()).chunks(params.batch) {
            progress.begin(step as usize, steps, "steps of recovery")?;
            let batch: Vec<&Vec<u32>> = batch.iter().map(|at| &sequences.all()[*at]).collect();
            let tokens: usize = batch.iter().map(|tokens| tokens.len() - 1).sum();
            let (loss, slopes) = summed(&current, &batch, progress)?;
            (sum, count, step) = (sum + loss, count + tokens, step + 1);
            let blocks = additions.par_iter_mut().zip(&slopes).zip(&mut current.blocks).zip(&model.blocks);
            blocks.for_each(|(((additions, slopes), current), original)| {
                let parts = additions.iter_mut().zip(slopes).zip(current.matrices_mut()).zip(original.matrices());
                for (((addition, slopes), current), original) in parts {
                    let mean: Vec<f32> = slopes.iter().map(|d| d / tokens as f32).collect();
                    addition.step(&mean, scale, params.rate, step);
                    current.data_mut().copy_from_slice(&addition.merged(original, scale));
                }
            });
        }
        losses.push(sum / count as f64);
    }
    // A loss is of before its step, and what the last one led to is yet to be seen.
    if losses.iter().all(|loss| loss.is_finite()) && loss(&current, sequences, progress)?.is_finite() {
        return Ok((current, losses));
    }
    Err(PruneError::Activations { first: 0, last: model.blocks.len() - 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::progress::Silent;
    use crate::depth::testing::{Shape, tokens};

    #[test]
    fn training_lowers_the_loss_of_what_it_sees() {
        let model = Shape::small(3).model(5);
        let sequences = Sequences::new((0..4).map(|seed| tokens(&model.config, 20, seed)).collect()).expect("tokens");
        let before = loss(&model, &sequences, &Silent).expect("known");
        let params = Lora { rate: 1e-2, epochs: 20, batch: 2, ..Lora::default() };
        let (after, losses) = recovered(&model, &sequences, &params, &Silent).expect("finite");
        assert_eq!(losses.len(), 20);
        assert!((losses[0] - before).abs() < 0.3 * before);
        let found = loss(&after, &sequences, &Silent).expect("known");
        assert!(found < 0.8 * before, "{before} {found}");
        // What has no additions is as before.
        assert_eq!((&after.embedding, &after.blocks[1].q_bias), (&model.embedding, &model.blocks[1].q_bias));
        assert_eq!(recovered(&model, &sequences, &params, &Silent).expect("finite").0, after);
    }

    #[test]
    fn numbers_must_be_positive() {
        let model = Shape::small(2).model(5);
        let sequences = Sequences::new(vec![tokens(&model.config, 5, 1)]).expect("tokens");
        for params in [
            Lora { rank: 0, ..Lora::default() },
            Lora { rate: -1.0, ..Lora::default() },
            Lora { batch: 0, ..Lora::default() },
        ] {
            assert!(matches!(recovered(&model, &sequences, &params, &Silent), Err(PruneError::Positive { .. })));
        }
    }
}
