//! Fully connected networks.

use super::layers::{Initialisation, Layers};
use crate::error::NnError;
use crate::graph::Graph;
use crate::op::Op;

/// A multilayer perceptron: rows of `widths[0]` numbers, ReLUs between affine layers.
///
/// # Errors
/// A layer is too large.
///
/// # Panics
/// Fewer than two widths.
#[track_caller]
pub fn mlp(widths: &[usize], how: Initialisation, seed: u64) -> Result<Graph, NnError> {
    assert!(widths.len() >= 2, "a perceptron has inputs and outputs");
    let mut layers = Layers::new(&[1, widths[0]], how, seed);
    let mut x = layers.input();
    for (k, width) in widths[1..].iter().enumerate() {
        x = layers.dense(&format!("fc{}", k + 1), x, *width)?;
        if k + 2 < widths.len() {
            x = layers.add(&format!("relu{}", k + 1), Op::Relu, &[x])?;
        }
    }
    layers.finish(x)
}

/// The perceptron 784-300-100-10.
///
/// # Errors
/// None in practice.
///
/// # Source
/// LeCun, Bottou, Bengio and Haffner 1998, with ReLUs.
pub fn lenet_300_100(how: Initialisation, seed: u64) -> Result<Graph, NnError> {
    mlp(&[784, 300, 100, 10], how, seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::parameters;

    #[test]
    fn lenet_300_100_has_its_parameters() {
        let graph = lenet_300_100(Initialisation::default(), 0).unwrap();
        let count: usize = parameters(&graph).iter().map(|id| graph.node(*id).shape.iter().product::<usize>()).sum();
        assert_eq!(count, 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10);
        assert_eq!(graph.with_batch(7).unwrap().node(graph.output()).shape, [7, 10]);
    }
}
