//! Merging neurons of one direction, and pruning by amplitude.

use super::clusters::Clusters;
use super::neurons::Neurons;
use secateur_linalg::random::Random;

/// One neuron for each cluster:
///
/// $$ u = \sum_{\alpha} |w_{2,\alpha}| w_{1,\alpha}, \qquad w_1 = u / \sqrt{\|u\|}, \quad w_2 = \pm \sqrt{\|u\|}. $$
///
/// # Soundness
/// The function is the same where all directions of a cluster agree; otherwise it changes where gates of a cluster differ
/// (`proofs-notes/race/merge.md`).
pub fn merge(neurons: &Neurons, clusters: &Clusters) -> Neurons {
    let width = neurons.width();
    let members = clusters.members();
    let mut sums = vec![0.0; members.len() * width];
    for (row, cluster) in sums.chunks_exact_mut(width).zip(members) {
        cluster.iter().for_each(|alpha| row[*alpha] = neurons.w2()[*alpha].abs());
    }
    let signs: Vec<f64> = members.iter().map(|cluster| neurons.w2()[cluster[0]].signum()).collect();
    let raw = neurons.combined(&sums, signs.clone());
    let norms: Vec<f64> = (0..members.len()).map(|k| raw.norm(k)).collect();
    for (row, norm) in sums.chunks_exact_mut(width).zip(&norms) {
        let scale = if *norm > 0.0 { norm.sqrt().recip() } else { 0.0 };
        row.iter_mut().for_each(|c| *c *= scale);
    }
    let w2 = signs.iter().zip(&norms).map(|(sign, norm)| sign * norm.sqrt()).collect();
    neurons.combined(&sums, w2)
}

/// Which neurons to keep first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The greatest amplitudes.
    Top,
    /// The least amplitudes.
    Bottom,
    /// Any, by a seed.
    Random(u64),
}

/// So many neurons, in the order in which they are kept.
#[track_caller]
pub fn keep(neurons: &Neurons, count: usize, order: Order) -> Vec<usize> {
    assert!(count <= neurons.width(), "no more than there are");
    let amplitudes = neurons.amplitudes();
    let mut kept = match order {
        Order::Random(seed) => Random::new(seed).permutation(neurons.width()),
        Order::Top | Order::Bottom => {
            let mut sorted: Vec<usize> = (0..neurons.width()).collect();
            sorted.sort_by(|a, b| amplitudes[*b].total_cmp(&amplitudes[*a]).then(a.cmp(b)));
            if order == Order::Bottom {
                sorted.reverse();
            }
            sorted
        }
    };
    kept.truncate(count);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::{Drive, Loss, testing};

    #[test]
    fn merging_one_direction_changes_nothing() {
        let task = testing::mixture(15, 6, 5);
        let r = task.dimension();
        let mut random = Random::new(2);
        let directions: Vec<Vec<f64>> = (0..2).map(|_| (0..r).map(|_| random.normal()).collect()).collect();
        let (scales, w2) = ([0.2, 1.5, 0.7, 2.0, 0.1], vec![0.5, 2.0, 0.3, -1.0, -0.4]);
        let w1 = scales
            .iter()
            .zip([0, 0, 0, 1, 1])
            .flat_map(|(s, k): (&f64, usize)| directions[k].iter().map(move |d| s * d));
        let neurons = Neurons::new(r, w1.collect(), w2).expect("neurons");
        // All of one direction and sign together, whatever their ratio of norms.
        let cosines: Vec<f64> = (0..25).map(|k| if (k / 5 < 3) == (k % 5 < 3) { 1.0 } else { 0.0 }).collect();
        let clusters = Clusters::new(&neurons, &cosines, 0.99).expect("clusters");
        let merged = merge(&neurons, &clusters);
        assert_eq!(merged.width(), 2);
        let outputs = |neurons: &Neurons| {
            let mut drive = Drive::new(&task, neurons.width());
            drive.evaluate(&task, Loss::Mse, neurons);
            drive.outputs().to_vec()
        };
        for (a, b) in outputs(&neurons).iter().zip(outputs(&merged)) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
        for k in 0..2 {
            let sum: f64 = clusters.members()[k].iter().map(|alpha| neurons.amplitude(*alpha)).sum();
            assert!((merged.amplitude(k) - sum).abs() < 1e-12 && merged.imbalance(k).abs() < 1e-12);
        }
    }

    #[test]
    fn who_is_kept() {
        let neurons = Neurons::new(1, vec![1.0, 3.0, 2.0, 0.5], vec![1.0, -1.0, 1.0, 1.0]).expect("neurons");
        assert_eq!(keep(&neurons, 2, Order::Top), [1, 2]);
        assert_eq!(keep(&neurons, 3, Order::Bottom), [3, 0, 2]);
        assert_eq!(keep(&neurons, 4, Order::Random(1)), keep(&neurons, 4, Order::Random(1)));
    }
}
