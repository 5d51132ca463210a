//! Clusters: neurons whose total weight vectors $(w_1, w_2)$ point the same way.

use super::neurons::Neurons;
use crate::error::TheoryError;
use std::cmp::Reverse;

/// Connected components of the graph that joins neurons of one sign of $w_2$ whose cosine exceeds a threshold.
///
/// Components, because they do not depend on any order, and because they are the finest partition that never separates
/// two neurons that may be merged. A chain of neurons could join far ends; [`Clusters::tightness`] says whether one did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    labels: Vec<usize>,
    members: Vec<Vec<usize>>,
}

impl Clusters {
    /// The clusters, largest first, then by first neuron.
    ///
    /// # Shapes
    /// `cosines` is $n \times n$, from [`Neurons::cosines`].
    ///
    /// # Errors
    /// The threshold is not in $[0, 1)$.
    #[track_caller]
    pub fn new(neurons: &Neurons, cosines: &[f64], threshold: f64) -> Result<Self, TheoryError> {
        if !(0.0..1.0).contains(&threshold) {
            let (name, expected) = ("the threshold of cosines", "a number from 0 to below 1");
            return Err(TheoryError::Range { name, expected, found: threshold });
        }
        let (width, w2) = (neurons.width(), neurons.w2());
        assert_eq!(cosines.len(), width * width, "a cosine for every pair");
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut seen = vec![false; width];
        for first in 0..width {
            if std::mem::replace(&mut seen[first], true) {
                continue;
            }
            let (mut cluster, mut next) = (vec![first], 0);
            while next < cluster.len() {
                let alpha = cluster[next];
                for beta in 0..width {
                    let joined = cosines[alpha * width + beta] > threshold && w2[alpha] * w2[beta] > 0.0;
                    if joined && !seen[beta] {
                        seen[beta] = true;
                        cluster.push(beta);
                    }
                }
                next += 1;
            }
            cluster.sort_unstable();
            members.push(cluster);
        }
        members.sort_by_key(|cluster| (Reverse(cluster.len()), cluster[0]));
        let mut labels = vec![0; width];
        for (label, cluster) in members.iter().enumerate() {
            cluster.iter().for_each(|alpha| labels[*alpha] = label);
        }
        Ok(Self { labels, members })
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// The neurons of the largest.
    pub fn largest(&self) -> &[usize] {
        self.members.first().map_or(&[], Vec::as_slice)
    }

    /// The neurons of each.
    pub fn members(&self) -> &[Vec<usize>] {
        &self.members
    }

    /// The cluster of each neuron.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The least cosine within the clusters.
    pub fn tightness(&self, cosines: &[f64]) -> f64 {
        let width = self.labels.len();
        let pairs = self.members.iter().flat_map(|c| c.iter().flat_map(move |a| c.iter().map(move |b| a * width + b)));
        pairs.map(|place| cosines[place]).fold(1.0, f64::min)
    }

    /// The neurons cluster by cluster, in each from the greatest amplitude down.
    pub fn order(&self, amplitudes: &[f64]) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.labels.len());
        for cluster in &self.members {
            let mut sorted = cluster.clone();
            sorted.sort_by(|a, b| amplitudes[*b].total_cmp(&amplitudes[*a]));
            order.extend(sorted);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neurons(angles: &[f64], signs: &[f64]) -> Neurons {
        let w1 = angles.iter().flat_map(|t: &f64| [t.cos(), t.sin()]).collect();
        Neurons::new(2, w1, signs.to_vec()).expect("neurons")
    }

    fn clusters(neurons: &Neurons) -> Clusters {
        Clusters::new(neurons, &neurons.cosines(), 0.99).expect("clusters")
    }

    #[test]
    fn neurons_of_one_sign_and_direction_are_together() {
        // Angles 0, .1, .2 are a chain: 1 - cos(.1)/2 joins neighbours, the ends have (cos .2 + 1) / 2 = .990 > .99.
        let all = neurons(&[0.0, 2.0, 0.1, 0.0, 0.35], &[1.0, 1.0, 1.0, -1.0, 1.0]);
        let found = clusters(&all);
        assert_eq!(found.members(), [vec![0, 2], vec![1], vec![3], vec![4]]);
        assert_eq!((found.labels(), found.count(), found.largest()), (&[0, 1, 0, 2, 3][..], 4, &[0, 2][..]));
        assert!((found.tightness(&all.cosines()) - (0.5 + 0.5 * 0.1_f64.cos())).abs() < 1e-12);
        assert_eq!(found.order(&[1.0, 5.0, 3.0, 0.0, 0.0]), [2, 0, 1, 3, 4]);
        assert!(Clusters::new(&all, &all.cosines(), 1.0).is_err());
    }

    #[test]
    fn chains_are_one_cluster_and_show() {
        let chain = neurons(&[0.0, 0.15, 0.3, 0.45], &[1.0; 4]);
        let found = clusters(&chain);
        assert_eq!(found.count(), 1);
        assert!(found.tightness(&chain.cosines()) < 0.96);
    }
}
