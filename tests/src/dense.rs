//! Fully connected networks with ReLUs between their layers.

use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::NnError;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op, Value};
use std::sync::Arc;

/// One affine layer $z = W a + b$.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Rows of $W$.
    pub weights: Vec<Vec<f32>>,
    /// $b$.
    pub bias: Vec<f32>,
}

/// Affine layers with a ReLU after each but the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// The layers, from the input.
    pub layers: Vec<Layer>,
}

impl Dense {
    /// A random network whose weights are multiples of $2^{-6}$, about $1/\sqrt{n}$ large.
    pub fn random(sizes: &[usize], random: &mut Random) -> Self {
        let mut entry = |scale: f64| ((random.normal() * scale * 64.0).round() / 64.0) as f32;
        let layers = sizes.windows(2).map(|pair| {
            let scale = 1.5 / (pair[0] as f64).sqrt();
            Layer {
                weights: (0..pair[1]).map(|_| (0..pair[0]).map(|_| entry(scale)).collect()).collect(),
                bias: (0..pair[1]).map(|_| entry(0.3)).collect(),
            }
        });
        Dense { layers: layers.collect() }
    }

    /// The same function with the hidden neurons in reverse order.
    pub fn reversed(&self) -> Self {
        let mut layers = self.layers.clone();
        for index in 1..layers.len() {
            layers[index - 1].weights.reverse();
            layers[index - 1].bias.reverse();
            layers[index].weights.iter_mut().for_each(|row| row.reverse());
        }
        Dense { layers }
    }

    /// The network as a graph, with an input of shape `1 × n`.
    ///
    /// # Errors
    /// Layers whose sizes do not fit together.
    pub fn graph(&self) -> Result<Graph, NnError> {
        let inputs = self.layers.first().map_or(0, |layer| layer.weights.first().map_or(0, Vec::len));
        let mut builder = GraphBuilder::new("x", vec![1, inputs], ElementType::F32);
        let mut last = builder.input();
        for (index, Layer { weights, bias }) in self.layers.iter().enumerate() {
            if index > 0 {
                last = builder.add(format!("relu{index}"), Op::Relu, &[last])?;
            }
            let shape = vec![weights.len(), weights.first().map_or(0, Vec::len)];
            let matrix = Tensor::new(shape, weights.concat());
            let matrix = builder.constant(format!("w{index}"), Value::F32(Arc::new(matrix)))?;
            let bias = builder.constant(format!("b{index}"), Value::F32(Arc::new(Tensor::vector(bias.clone()))))?;
            let gemm = Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
            last = builder.add(format!("z{index}"), gemm, &[last, matrix, bias])?;
        }
        builder.finish(last)
    }
}
