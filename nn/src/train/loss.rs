//! What training minimises: the mean over rows (classes) or entries (numbers) of a loss.

use super::fault::TrainFault;
use crate::data::dataset::BatchTargets;

/// A loss.
#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    /// $-\sum_k q_k \ln p_k$ with $p$ the softmax of a row and $q = (1 - \varepsilon)\,e_\ell + \varepsilon / K$.
    CrossEntropy {
        /// $\varepsilon$, 0 for none.
        smoothing: f64,
    },
    /// $(y - t)^2$.
    MeanSquaredError,
    /// $\tfrac12 r^2$ for $|r| \le \delta$, else $\delta\,(|r| - \tfrac12 \delta)$, of $r = y - t$.
    Huber {
        /// $\delta$.
        delta: f64,
    },
}

/// The loss of some samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    /// Sum over rows or entries.
    pub(super) loss: f64,
    /// Rows whose class has the highest score.
    pub(super) correct: usize,
    /// Rows or entries.
    pub(super) count: usize,
}

impl Sum {
    pub(super) fn add(&mut self, other: Sum) {
        self.loss += other.loss;
        self.correct += other.correct;
        self.count += other.count;
    }
}

impl Loss {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Loss::CrossEntropy { .. } => "cross-entropy",
            Loss::MeanSquaredError => "mse",
            Loss::Huber { .. } => "huber",
        }
    }

    /// Whether its targets are classes.
    pub fn takes_classes(&self) -> bool {
        matches!(self, Loss::CrossEntropy { .. })
    }

    pub(super) fn check(&self) -> Result<(), TrainFault> {
        let refuse =
            |setting, expected, found: f64| Err(TrainFault::Setting { setting, expected, found: found.to_string() });
        match *self {
            Loss::CrossEntropy { smoothing } if !(0.0..=1.0).contains(&smoothing) => {
                refuse("smoothing", "a share from 0 to 1", smoothing)
            }
            Loss::Huber { delta } if !(delta > 0.0 && delta.is_finite()) => refuse("huber", "a positive limit", delta),
            _ => Ok(()),
        }
    }

    /// The summed loss of some samples; turns their outputs into the gradient of the mean over `total` rows or entries
    /// when there is one.
    #[track_caller]
    pub(super) fn of(&self, output: &mut [f32], targets: &BatchTargets, total: Option<usize>) -> Sum {
        match (self, targets) {
            (Loss::CrossEntropy { smoothing }, BatchTargets::Classes(labels)) => {
                cross_entropy(output, labels, *smoothing as f32, total)
            }
            (Loss::MeanSquaredError, BatchTargets::Values(values)) => {
                entries(output, values, total, |r| (f64::from(r) * f64::from(r), 2.0 * r))
            }
            (Loss::Huber { delta }, BatchTargets::Values(values)) => {
                let (d, delta) = (*delta as f32, *delta);
                entries(output, values, total, |r| match r.abs() <= d {
                    true => (0.5 * f64::from(r) * f64::from(r), r),
                    false => (delta * (f64::from(r.abs()) - 0.5 * delta), d * r.signum()),
                })
            }
            _ => panic!("targets of another kind were refused"),
        }
    }
}

fn cross_entropy(output: &mut [f32], labels: &[usize], smoothing: f32, total: Option<usize>) -> Sum {
    let classes = output.len() / labels.len();
    let share = smoothing / classes as f32;
    let mut sum = Sum { count: labels.len(), ..Sum::default() };
    for (row, &label) in output.chunks_exact_mut(classes).zip(labels) {
        let score = row[label];
        let (largest, best) =
            row.iter().zip(0..).fold((f32::NEG_INFINITY, 0), |m, (v, k)| if *v > m.0 { (*v, k) } else { m });
        sum.correct += usize::from(best == label);
        let mean = if smoothing > 0.0 { row.iter().sum::<f32>() / classes as f32 } else { 0.0 };
        row.iter_mut().for_each(|v| *v = (*v - largest).exp());
        let mass: f32 = row.iter().sum();
        let top = mass.ln() + largest;
        sum.loss +=
            f64::from((1.0 - smoothing) * (top - score) + if smoothing > 0.0 { smoothing * (top - mean) } else { 0.0 });
        if let Some(total) = total {
            let (inverse, count) = (1.0 / mass, 1.0 / total as f32);
            row.iter_mut().for_each(|v| *v = (*v * inverse - share) * count);
            row[label] -= (1.0 - smoothing) * count;
        }
    }
    sum
}

fn entries(output: &mut [f32], values: &[f32], total: Option<usize>, f: impl Fn(f32) -> (f64, f32)) -> Sum {
    let mut sum = Sum { count: values.len(), ..Sum::default() };
    let count = total.map_or(0.0, |total| 1.0 / total as f32);
    for (y, t) in output.iter_mut().zip(values) {
        let (loss, slope) = f(*y - *t);
        sum.loss += loss;
        *y = slope * count;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gradient against a central difference; the step of 1e-2 and sums in `f32` leave an error near 1e-4.
    fn check(loss: &Loss, targets: &BatchTargets) {
        let start = [0.3_f32, -0.7, 1.9, 0.2, 0.1, -0.4];
        let total = match targets {
            BatchTargets::Classes(l) => l.len(),
            BatchTargets::Values(v) => v.len(),
        };
        let mut gradient = start;
        loss.of(&mut gradient, targets, Some(total));
        let at = |i: usize, step: f32| {
            let mut moved = start;
            moved[i] += step;
            loss.of(&mut moved, targets, None).loss / total as f64
        };
        for (i, found) in gradient.iter().enumerate() {
            let expected = (at(i, 1e-2) - at(i, -1e-2)) / 2e-2;
            assert!((f64::from(*found) - expected).abs() < 2e-4, "{loss:?} {i}: {found} {expected}");
        }
    }

    #[test]
    fn gradients_are_derivatives() {
        let labels = BatchTargets::Classes(vec![2, 0]);
        check(&Loss::CrossEntropy { smoothing: 0.0 }, &labels);
        check(&Loss::CrossEntropy { smoothing: 0.2 }, &labels);
        let values = BatchTargets::Values(vec![0.0, 1.0, 1.5, 0.2, -0.3, 0.0]);
        check(&Loss::MeanSquaredError, &values);
        check(&Loss::Huber { delta: 0.35 }, &values);
    }

    #[test]
    fn the_first_of_equal_scores_counts() {
        let loss = Loss::CrossEntropy { smoothing: 0.0 };
        let sum = loss.of(&mut [1.0, 1.0, 1.0, 1.0], &BatchTargets::Classes(vec![0, 1]), None);
        assert_eq!((sum.correct, sum.count), (1, 2));
        assert!((sum.loss - 2.0 * std::f64::consts::LN_2).abs() < 1e-6, "roundings of f32");
    }
}
