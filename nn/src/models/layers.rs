//! Layers with seeded weights, one after the other.

use crate::error::NnError;
use crate::graph::{Graph, GraphBuilder, NodeId};
use crate::op::{ElementType, Op, Value, Window};
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use std::sync::Arc;

/// How weights begin. `inputs` and `outputs` count the numbers that go into, and the numbers that a weight goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Initialisation {
    /// Weights and biases uniform in $\pm 1/\sqrt{\text{inputs}}$: PyTorch's default for linear layers and convolutions.
    ///
    /// # Source
    /// He et al. 2015 with the slope $\sqrt 5$.
    #[default]
    Uniform,
    /// Weights normal with variance $2 / \text{inputs}$, biases zero.
    ///
    /// # Source
    /// He et al. 2015.
    He,
    /// Weights normal with variance $2 / (\text{inputs} + \text{outputs})$, biases zero.
    ///
    /// # Source
    /// Glorot and Bengio 2010.
    Xavier,
}

/// Builds a network layer by layer.
pub struct Layers {
    builder: GraphBuilder,
    random: Random,
    how: Initialisation,
}

impl Layers {
    /// A network that consists of its input, of `shape` with axis 0 of length 1.
    pub fn new(shape: &[usize], how: Initialisation, seed: u64) -> Self {
        let builder = GraphBuilder::new("input", shape.to_vec(), ElementType::F32);
        Self { builder, random: Random::new(seed), how }
    }

    /// The input.
    pub fn input(&self) -> NodeId {
        self.builder.input()
    }

    /// The shape of a node.
    #[track_caller]
    pub fn shape(&self, x: NodeId) -> &[usize] {
        &self.builder.node(x).shape
    }

    /// Any operator.
    ///
    /// # Errors
    /// As [`GraphBuilder::add`].
    #[track_caller]
    pub fn add(&mut self, name: &str, op: Op, arguments: &[NodeId]) -> Result<NodeId, NnError> {
        self.builder.add(name, op, arguments)
    }

    /// A stored tensor with every entry equal.
    ///
    /// # Errors
    /// As [`GraphBuilder::constant`].
    pub fn filled(&mut self, name: &str, shape: &[usize], value: f32) -> Result<NodeId, NnError> {
        self.builder.constant(name, Value::F32(Arc::new(Tensor::full(shape.to_vec(), value))))
    }

    /// A weight by the network's initialisation.
    ///
    /// # Errors
    /// As [`GraphBuilder::constant`].
    pub fn weight(&mut self, name: &str, shape: &[usize], inputs: usize, outputs: usize) -> Result<NodeId, NnError> {
        let mut data = vec![0.0_f32; shape.iter().product()];
        match self.how {
            Initialisation::Uniform => self.fill_uniform(&mut data, 1.0 / (inputs as f64).sqrt()),
            Initialisation::He => self.random.fill_normal(&mut data, (2.0 / inputs as f64).sqrt()),
            Initialisation::Xavier => self.random.fill_normal(&mut data, (2.0 / (inputs + outputs) as f64).sqrt()),
        }
        self.builder.constant(name, Value::F32(Arc::new(Tensor::new(shape.to_vec(), data))))
    }

    /// A bias by the network's initialisation.
    ///
    /// # Errors
    /// As [`GraphBuilder::constant`].
    pub fn bias(&mut self, name: &str, shape: &[usize], inputs: usize) -> Result<NodeId, NnError> {
        let mut data = vec![0.0_f32; shape.iter().product()];
        if self.how == Initialisation::Uniform {
            self.fill_uniform(&mut data, 1.0 / (inputs as f64).sqrt());
        }
        self.builder.constant(name, Value::F32(Arc::new(Tensor::new(shape.to_vec(), data))))
    }

    fn fill_uniform(&mut self, data: &mut [f32], bound: f64) {
        data.iter_mut().for_each(|v| *v = self.random.uniform(-bound, bound) as f32);
    }

    /// $x W^\top + b$ for rows.
    ///
    /// # Shapes
    /// `1 × inputs` to `1 × outputs`.
    ///
    /// # Errors
    /// The name is taken, or `x` is no row.
    pub fn dense(&mut self, name: &str, x: NodeId, outputs: usize) -> Result<NodeId, NnError> {
        let inputs = self.shape(x).last().copied().unwrap_or(0);
        let w = self.weight(&format!("{name}.weight"), &[outputs, inputs], inputs, outputs)?;
        let b = self.bias(&format!("{name}.bias"), &[outputs], inputs)?;
        self.add(name, Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true }, &[x, w, b])
    }

    /// $x W + b$ for the last axis of any tensor.
    ///
    /// # Errors
    /// The name is taken.
    pub fn project(&mut self, name: &str, x: NodeId, outputs: usize) -> Result<NodeId, NnError> {
        let shape = self.shape(x).to_vec();
        let inputs = shape.last().copied().unwrap_or(0);
        let w = self.weight(&format!("{name}.weight"), &[inputs, outputs], inputs, outputs)?;
        let b = self.bias(&format!("{name}.bias"), &[&vec![1; shape.len() - 1][..], &[outputs]].concat(), inputs)?;
        let product = self.add(&format!("{name}.product"), Op::MatMul, &[x, w])?;
        self.add(name, Op::Add, &[product, b])
    }

    /// A square convolution.
    ///
    /// # Shapes
    /// `1 × C × H × W`.
    ///
    /// # Errors
    /// The name is taken, or the kernel does not fit.
    pub fn conv(&mut self, name: &str, x: NodeId, outputs: usize, size: Square, bias: bool) -> Result<NodeId, NnError> {
        let inputs = self.shape(x)[1];
        let (taps, kernel) = (size.kernel * size.kernel, [outputs, inputs, size.kernel, size.kernel]);
        let mut arguments = vec![x, self.weight(&format!("{name}.weight"), &kernel, inputs * taps, outputs * taps)?];
        if bias {
            arguments.push(self.bias(&format!("{name}.bias"), &[outputs], inputs * taps)?);
        }
        self.add(name, Op::Conv { window: size.window(), groups: 1 }, &arguments)
    }

    /// Batch normalisation with scale 1, shift 0 and the statistics of a standard normal.
    ///
    /// # Errors
    /// The name is taken.
    pub fn batch_norm(&mut self, name: &str, x: NodeId) -> Result<NodeId, NnError> {
        let channels = self.shape(x)[1];
        let mut arguments = vec![x];
        for (part, value) in [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)] {
            arguments.push(self.filled(&format!("{name}.{part}"), &[channels], value)?);
        }
        self.add(name, Op::BatchNormalization { epsilon: 1e-5 }, &arguments)
    }

    /// $\gamma \odot (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$ over the last axis, in elementary operators.
    ///
    /// # Errors
    /// The name is taken.
    ///
    /// # Source
    /// Ba, Kiros and Hinton 2016.
    pub fn layer_norm(&mut self, name: &str, x: NodeId) -> Result<NodeId, NnError> {
        let shape = self.shape(x).to_vec();
        let (axis, width) = (shape.len() - 1, shape[shape.len() - 1]);
        let affine = [&vec![1; axis][..], &[width]].concat();
        let scale = self.filled(&format!("{name}.weight"), &affine, 1.0)?;
        let shift = self.filled(&format!("{name}.bias"), &affine, 0.0)?;
        let epsilon = self.filled(&format!("{name}.epsilon"), &[], 1e-5)?;
        let part = |part: &str| format!("{name}.{part}");
        let mean = self.add(&part("mean"), Op::ReduceMean { axes: vec![axis], keep: true }, &[x])?;
        let centred = self.add(&part("centred"), Op::Sub, &[x, mean])?;
        let square = self.add(&part("square"), Op::Mul, &[centred, centred])?;
        let variance = self.add(&part("variance"), Op::ReduceMean { axes: vec![axis], keep: true }, &[square])?;
        let raised = self.add(&part("raised"), Op::Add, &[variance, epsilon])?;
        let deviation = self.add(&part("deviation"), Op::Sqrt, &[raised])?;
        let unit = self.add(&part("unit"), Op::Div, &[centred, deviation])?;
        let scaled = self.add(&part("scaled"), Op::Mul, &[unit, scale])?;
        self.add(name, Op::Add, &[scaled, shift])
    }

    /// The largest of every 2 × 2 block.
    ///
    /// # Errors
    /// The name is taken.
    pub fn max_pool(&mut self, name: &str, x: NodeId) -> Result<NodeId, NnError> {
        let window = Square { kernel: 2, stride: 2, pad: 0 }.window();
        self.add(name, Op::MaxPool { window, ceil_mode: false }, &[x])
    }

    /// All numbers of a sample in a row.
    ///
    /// # Errors
    /// The name is taken.
    pub fn flatten(&mut self, name: &str, x: NodeId) -> Result<NodeId, NnError> {
        let size = self.shape(x).iter().product();
        self.add(name, Op::Reshape { shape: vec![1, size] }, &[x])
    }

    /// The finished network.
    ///
    /// # Errors
    /// As [`GraphBuilder::finish`].
    #[track_caller]
    pub fn finish(self, output: NodeId) -> Result<Graph, NnError> {
        self.builder.finish(output)
    }
}

/// Geometry of a square kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Square {
    /// Taps along each side.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Padding on every side.
    pub pad: usize,
}

impl Square {
    fn window(self) -> Window {
        Window {
            kernel: vec![self.kernel; 2],
            strides: vec![self.stride; 2],
            pads_begin: vec![self.pad; 2],
            pads_end: vec![self.pad; 2],
            dilations: vec![1; 2],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::Evaluator;

    fn drawn(how: Initialisation, seed: u64) -> Tensor<f32> {
        let mut layers = Layers::new(&[1, 400], how, seed);
        let y = layers.dense("y", layers.input(), 200).unwrap();
        let graph = layers.finish(y).unwrap();
        let (id, _) = graph.nodes().find(|(_, node)| node.name == "y.weight").unwrap();
        Evaluator::<f32>::new(&graph).unwrap().constant(id).unwrap().clone()
    }

    #[test]
    fn weights_have_the_variance_of_their_rule() {
        let variance = |t: &Tensor<f32>| t.data().iter().map(|v| f64::from(v * v)).sum::<f64>() / t.len() as f64;
        let rules = [
            (Initialisation::Uniform, 1.0 / 1200.0),
            (Initialisation::He, 1.0 / 200.0),
            (Initialisation::Xavier, 1.0 / 300.0),
        ];
        for (how, expected) in rules {
            let found = variance(&drawn(how, 3));
            // Five standard errors of 80 000 draws: 5·√2/√80000 = 2.5 %.
            assert!((found / expected - 1.0).abs() < 0.025, "{how:?}: {found} {expected}");
        }
        assert!(drawn(Initialisation::Uniform, 3).data().iter().all(|v| v.abs() <= 0.05));
        assert_eq!(drawn(Initialisation::He, 5), drawn(Initialisation::He, 5));
        assert_ne!(drawn(Initialisation::He, 5), drawn(Initialisation::He, 6));
    }
}
