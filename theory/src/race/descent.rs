//! Gradient descent on all samples at once.

use super::drive::Drive;
use super::loss::Loss;
use super::neurons::Neurons;
use super::task::Task;
use super::{Moment, Verdict};
use crate::error::TheoryError;

/// How to descend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Descent {
    /// The step size.
    pub rate: f64,
    /// How many steps.
    pub steps: usize,
}

/// Steps down the loss; `watch` sees every moment, the first and the last included, and may end the descent.
///
/// $$ w_1 \leftarrow w_1 + \eta\, w_2 D, \qquad w_2 \leftarrow w_2 + \eta\, w_1 \cdot D \quad \text{(with the old } w_1 \text{).} $$
///
/// A step changes $\|w_1\|^2 - w_2^2$ by exactly $\eta^2 (w_2^2 |D|^2 - (w_1 \cdot D)^2)$.
///
/// # Errors
/// The rate is not positive, or the loss is no number any more.
pub fn descend(
    task: &Task,
    loss: Loss,
    start: &Neurons,
    descent: &Descent,
    watch: &mut dyn FnMut(&Moment<'_>) -> Verdict,
) -> Result<Neurons, TheoryError> {
    let Descent { rate, steps } = *descent;
    if !(rate > 0.0 && rate.is_finite()) {
        return Err(TheoryError::Range { name: "the step size", expected: "a positive number", found: rate });
    }
    let mut neurons = start.clone();
    let mut drive = Drive::new(task, neurons.width());
    for step in 0..=steps {
        drive.evaluate(task, loss, &neurons);
        if !drive.loss().is_finite() {
            return Err(TheoryError::Diverged { time: step as f64 * rate });
        }
        let moment = Moment { time: step as f64 * rate, neurons: &neurons, drive: &drive };
        if watch(&moment).is_break() || step == steps {
            break;
        }
        advance(&mut neurons, &drive, rate);
    }
    Ok(neurons)
}

fn advance(neurons: &mut Neurons, drive: &Drive, rate: f64) {
    let dimension = neurons.dimension();
    for (alpha, (w1, w2)) in neurons.w1.chunks_exact_mut(dimension).zip(&mut neurons.w2).enumerate() {
        let d = drive.of(alpha);
        let slope: f64 = w1.iter().zip(d).map(|(w, d)| w * d).sum();
        w1.iter_mut().zip(d).for_each(|(w, d)| *w += rate * *w2 * d);
        *w2 += rate * slope;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::{Start, testing};
    use std::ops::ControlFlow::Continue;

    #[test]
    fn a_step_changes_the_imbalance_by_its_square() {
        let task = testing::mixture(20, 8, 1);
        let start = Neurons::start(&task, 9, Start::Gaussian, 0.3, 2).expect("neurons");
        let rate = 0.2;
        let mut before: Option<(Neurons, Drive)> = None;
        let mut losses = Vec::new();
        let mut watch = |moment: &Moment<'_>| {
            if let Some((neurons, drive)) = &before {
                for alpha in 0..9 {
                    let d2 = drive.strength(alpha).powi(2);
                    let product: f64 = neurons.w1(alpha).iter().zip(drive.of(alpha)).map(|(w, d)| w * d).sum();
                    let expected = rate * rate * (neurons.w2()[alpha].powi(2) * d2 - product * product);
                    let found = moment.neurons.imbalance(alpha) - neurons.imbalance(alpha);
                    // Roundoff of squared norms of order 1.
                    assert!((found - expected).abs() < 1e-13, "{alpha}: {found} {expected}");
                }
            }
            before = Some((moment.neurons.clone(), moment.drive.clone()));
            losses.push(moment.drive.loss());
            Continue(())
        };
        descend(&task, Loss::Mse, &start, &Descent { rate, steps: 40 }, &mut watch).expect("neurons");
        assert_eq!(losses.len(), 41);
        assert!(losses[40] < 0.5 * losses[0], "{losses:?}");
    }

    #[test]
    fn coordinates_of_the_span_are_exact() {
        // The same descent on all 40 numbers of 10 samples, by hand.
        let (samples, ambient, width) = (10, 40, 6);
        let mut random = secateur_linalg::random::Random::new(4);
        let mut inputs = vec![0.0; samples * ambient];
        random.fill_normal(&mut inputs, 1.0);
        let labels: Vec<f64> = (0..samples).map(|s| if s < 4 { 1.0 } else { -1.0 }).collect();
        let task = Task::new(&inputs, &labels).expect("a task");
        let start = Neurons::start(&task, width, Start::Gaussian, 0.5, 7).expect("neurons");
        let full = |neurons: &Neurons| -> Vec<f64> {
            let r = task.dimension();
            let entry = |row: &[f64], j: usize| (0..r).map(|k| row[k] * task.basis()[k * ambient + j]).sum::<f64>();
            (0..width).flat_map(|a| (0..ambient).map(move |j| (a, j))).map(|(a, j)| entry(neurons.w1(a), j)).collect()
        };
        let x: Vec<f64> = (0..samples)
            .flat_map(|s| (0..ambient).map(move |j| (s, j)))
            .map(|(s, j)| (0..task.dimension()).map(|k| task.input(s)[k] * task.basis()[k * ambient + j]).sum())
            .collect();
        let (mut w1, mut w2) = (full(&start), start.w2().to_vec());
        for _ in 0..25 {
            let z = |a: usize, s: usize, w1: &[f64]| -> f64 {
                (0..ambient).map(|j| w1[a * ambient + j] * x[s * ambient + j]).sum()
            };
            let f = |s: usize| (0..width).map(|a| w2[a] * z(a, s, &w1).max(0.0)).sum::<f64>();
            let rho: Vec<f64> = (0..samples).map(|s| labels[s] - f(s)).collect();
            let (mut new1, mut new2) = (w1.clone(), w2.clone());
            for a in 0..width {
                for s in (0..samples).filter(|s| z(a, *s, &w1) > 0.0) {
                    for j in 0..ambient {
                        new1[a * ambient + j] += 0.2 * w2[a] * rho[s] * x[s * ambient + j] / samples as f64;
                    }
                    new2[a] += 0.2 * rho[s] * z(a, s, &w1) / samples as f64;
                }
            }
            (w1, w2) = (new1, new2);
        }
        let end = descend(&task, Loss::Mse, &start, &Descent { rate: 0.2, steps: 25 }, &mut |_| Continue(()))
            .expect("neurons");
        for (found, expected) in full(&end).iter().chain(end.w2()).zip(w1.iter().chain(&w2)) {
            assert!((found - expected).abs() < 1e-11, "{found} {expected}");
        }
    }

    #[test]
    fn what_diverges_is_an_error() {
        let task = testing::mixture(20, 8, 1);
        let start = Neurons::start(&task, 9, Start::Equal, 1.0, 2).expect("neurons");
        let run = |rate| descend(&task, Loss::Mse, &start, &Descent { rate, steps: 3000 }, &mut |_| Continue(()));
        assert!(matches!(run(50.0), Err(TheoryError::Diverged { .. })));
        assert!(matches!(run(0.0), Err(TheoryError::Range { .. })));
    }
}
