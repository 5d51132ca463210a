//! What a model is worth: its macro-F1 above that of naming the most frequent class always.
//!
//! $$ v = \max\big(0,\; F(\text{model}) - F(\text{most frequent class})\big), \qquad
//!   F = \frac1{|C|} \sum_{c \in C} \frac{2\,\mathrm{tp}_c}{2\,\mathrm{tp}_c + \mathrm{fp}_c + \mathrm{fn}_c}, $$
//!
//! over the classes $C$ of the test.

use super::players::labels;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::NnError;
use secateur_nn::data::{Augmentation, Dataset};
use secateur_nn::eval::Evaluator;
use secateur_nn::graph::Graph;

/// Samples that are evaluated at once.
const CHUNK: usize = 256;

/// $F$ of predictions.
pub fn macro_f1(truth: &[usize], said: &[usize], classes: usize) -> f64 {
    let count = |test: &dyn Fn(usize, usize) -> bool| truth.iter().zip(said).filter(|(t, s)| test(**t, **s)).count();
    let f1 = |class: usize| {
        let right = count(&|t, s| t == class && s == class);
        let wrong = count(&|t, s| (t == class) != (s == class));
        2.0 * right as f64 / (2 * right + wrong) as f64
    };
    let present: Vec<usize> = (0..classes).filter(|class| truth.contains(class)).collect();
    present.iter().map(|class| f1(*class)).sum::<f64>() / present.len().max(1) as f64
}

/// $v$ of a model on a test.
///
/// # Errors
/// The model and the test do not fit.
pub fn worth(model: &Graph, test: &Dataset) -> Result<f64, NnError> {
    let (truth, classes) = (labels(test), test.output_size());
    let frequent = |class: &usize| truth.iter().filter(|label| *label == class).count();
    let most = (0..classes).max_by_key(|class| (frequent(class), std::cmp::Reverse(*class))).unwrap_or(0);
    let baseline = macro_f1(&truth, &vec![most; truth.len()], classes);
    Ok((macro_f1(&truth, &predictions(model, test)?, classes) - baseline).max(0.0))
}

/// The classes with the highest scores, the first of them where they are equal.
fn predictions(model: &Graph, test: &Dataset) -> Result<Vec<usize>, NnError> {
    let all: Vec<usize> = (0..test.len()).collect();
    let chunk = |samples: &[usize]| -> Result<Vec<usize>, NnError> {
        let evaluator = Evaluator::<f32>::new(&model.with_batch(samples.len())?)?;
        let inputs = test.gather(samples, &Augmentation::default(), |_| Random::new(0));
        let shape = evaluator.node(evaluator.input()).shape.clone();
        let scores = evaluator.forward(&Tensor::new(shape, inputs))?;
        let best =
            |row: &[f32]| (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best });
        Ok(scores.data().chunks_exact(test.output_size()).map(best).collect())
    };
    let parts = all.chunks(CHUNK).map(chunk).collect::<Result<Vec<_>, _>>()?;
    Ok(parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_by_hand() {
        // Class 0: 2 right, 1 said wrongly, 0 missed; class 1: 1, 0, 1; class 2 does not occur.
        assert!((macro_f1(&[0, 0, 1, 1], &[0, 0, 0, 1], 3) - 0.5 * (0.8 + 2.0 / 3.0)).abs() < 1e-12);
        assert_eq!(macro_f1(&[0, 1], &[0, 1], 2), 1.0);
        assert_eq!(macro_f1(&[0, 1], &[1, 0], 2), 0.0);
    }
}
