//! Small tasks for tests.

use super::task::Task;
use secateur_linalg::random::Random;

/// Two Gaussian clouds around opposite means.
pub fn mixture(samples: usize, dimension: usize, seed: u64) -> Task {
    let mut random = Random::new(seed);
    let mut inputs = vec![0.0; samples * dimension];
    random.fill_normal(&mut inputs, 1.0);
    let labels: Vec<f64> = (0..samples).map(|s| if s % 2 == 0 { 1.0 } else { -1.0 }).collect();
    for (row, y) in inputs.chunks_exact_mut(dimension).zip(&labels) {
        row[0] += 1.5 * y;
    }
    Task::new(&inputs, &labels).expect("a task")
}
