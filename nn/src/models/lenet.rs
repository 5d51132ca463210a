//! LeNet-5.

use super::layers::{Initialisation, Layers, Square};
use crate::error::NnError;
use crate::graph::Graph;
use crate::op::Op;

/// LeNet-5 as Caffe has it: two convolutions of 20 and 50 kernels of 5 × 5, each with a 2 × 2 maximum, and dense layers of
/// 500 and 10, with a ReLU in between. Takes pixels as `1 × 1 × 28 × 28`.
///
/// # Errors
/// None in practice.
///
/// # Source
/// LeCun, Bottou, Bengio and Haffner 1998; sizes as in Caffe's `lenet.prototxt`, with ReLUs after the convolutions too.
pub fn lenet_5(how: Initialisation, seed: u64) -> Result<Graph, NnError> {
    let mut layers = Layers::new(&[1, 1, 28, 28], how, seed);
    let mut x = layers.input();
    for (k, channels) in [20, 50].into_iter().enumerate() {
        let size = Square { kernel: 5, stride: 1, pad: 0 };
        x = layers.conv(&format!("conv{}", k + 1), x, channels, size, true)?;
        x = layers.add(&format!("relu{}", k + 1), Op::Relu, &[x])?;
        x = layers.max_pool(&format!("pool{}", k + 1), x)?;
    }
    x = layers.flatten("flat", x)?;
    x = layers.dense("fc1", x, 500)?;
    x = layers.add("relu3", Op::Relu, &[x])?;
    x = layers.dense("fc2", x, 10)?;
    layers.finish(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::parameters;

    #[test]
    fn it_has_431_080_parameters() {
        let graph = lenet_5(Initialisation::default(), 0).unwrap();
        let count: usize = parameters(&graph).iter().map(|id| graph.node(*id).shape.iter().product::<usize>()).sum();
        assert_eq!(count, 431_080, "20·25 + 20 + 50·500 + 50 + 800·500 + 500 + 500·10 + 10");
        assert!(graph.with_batch(2).is_ok());
    }
}
