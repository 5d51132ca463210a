//! A finite network of an architecture: drawn masks and weights, in the parameterisation of its kernel.
//!
//! Weights and biases are standard normal numbers; the factors $s/\sqrt n$ and $b$ are part of the graph, so that
//! $J J^\top$ over the drawn numbers is what the infinite network's $\Theta$ is the limit of.

use super::architecture::{Conv, Padding, Values};
use super::density::threshold;
use super::plan::{Affine, Draw, Mean, Plan, Step};
use crate::TheoryError;
use crate::ntk::Activation;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::mask::Masks;
use secateur_nn::op::{ElementType, Op, Value, Window};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Draws a network with `width` neurons or channels in every layer but the last, which has `outputs`. Weights that its masks
/// remove are 0.
///
/// # Errors
/// An activation that graphs do not have (erf), fewer neurons than the groups of a density, a network that is too large.
pub fn finite(plan: &Plan, width: usize, outputs: usize, seed: u64) -> Result<(Graph, Masks), TheoryError> {
    let shape = [&[1][..], &plan.input].concat();
    let builder = GraphBuilder::new("input", shape, ElementType::F32);
    let x = builder.input();
    let kinds = (0..plan.input[0]).collect();
    let mut drawing = Drawing { builder, masks: BTreeMap::new(), seed, layer: 0, nodes: 0, width, outputs };
    let last = plan.steps.iter().rposition(|step| matches!(step, Step::Affine(_))).unwrap_or(0);
    let mut state = Drawn { x, kinds };
    for (index, step) in plan.steps.iter().enumerate() {
        state = drawing.step(step, state, index == last)?;
    }
    Ok((drawing.builder.finish(state.x)?, Masks(drawing.masks)))
}

struct Drawing {
    builder: GraphBuilder,
    masks: BTreeMap<String, Tensor<bool>>,
    seed: u64,
    layer: usize,
    nodes: usize,
    width: usize,
    outputs: usize,
}

/// A node, with the type of each of its channels or numbers.
#[derive(Clone)]
struct Drawn {
    x: NodeId,
    kinds: Vec<usize>,
}

impl Drawing {
    fn step(&mut self, step: &Step, state: Drawn, last: bool) -> Result<Drawn, TheoryError> {
        match step {
            Step::Affine(affine) => self.affine(affine, state, if last { self.outputs } else { self.width }),
            Step::Activation(Activation::Relu) => self.alike(Op::Relu, state),
            Step::Activation(Activation::Erf) => {
                let reason = "finite networks have no erf: the graph has no such operator";
                Err(TheoryError::Layer { layer: "erf".to_owned(), reason })
            }
            Step::Flatten => {
                let shape = self.builder.node(state.x).shape.clone();
                let positions: usize = shape[2..].iter().product();
                let name = self.name("flat");
                let x = self.builder.add(name, Op::Reshape { shape: vec![1, shape.iter().product()] }, &[state.x])?;
                let kinds = state.kinds.iter().flat_map(|kind| (0..positions).map(move |p| kind * positions + p));
                Ok(Drawn { x, kinds: kinds.collect() })
            }
            Step::Pool(Mean { pool: None, .. }) => {
                let rank = self.builder.node(state.x).shape.len();
                if rank < 4 {
                    return Ok(state);
                }
                self.alike(Op::ReduceMean { axes: vec![2, 3], keep: false }, state)
            }
            Step::Pool(Mean { pool: Some(pool), .. }) => {
                let window = square(pool.kernel, pool.stride.unwrap_or(pool.kernel), 0);
                self.alike(Op::AveragePool { window, ceil_mode: false, count_include_pad: false }, state)
            }
            Step::Residual(branch) => {
                let mut end = state.clone();
                for step in branch {
                    end = self.step(step, end, false)?;
                }
                let name = self.name("sum");
                let (a, b) = (state.x, end.x);
                let (found, expected) = (self.builder.node(b).shape.clone(), self.builder.node(a).shape.clone());
                if found != expected {
                    return Err(TheoryError::Shape { name: "residual branch at this width", expected, found });
                }
                let x = self.builder.add(name, Op::Add, &[a, b])?;
                Ok(Drawn { x, kinds: state.kinds })
            }
        }
    }

    /// An operator that keeps channels apart.
    fn alike(&mut self, op: Op, state: Drawn) -> Result<Drawn, TheoryError> {
        let name = self.name(op.name());
        let x = self.builder.add(name, op, &[state.x])?;
        Ok(Drawn { x, ..state })
    }

    fn affine(&mut self, affine: &Affine, state: Drawn, outputs: usize) -> Result<Drawn, TheoryError> {
        let draw = &affine.draw;
        let (inputs, taps) = (state.kinds.len(), affine.windows.taps);
        let cols = draw.grid.shape().1;
        if outputs < cols {
            let (expected, found) = (vec![cols], vec![outputs]);
            return Err(TheoryError::Shape { name: "width for the groups of a density", expected, found });
        }
        let kinds: Vec<usize> = (0..outputs).map(|j| j * cols / outputs).collect();
        let rows = rows(draw, taps, &state.kinds);
        // The size from which a weight is kept, by cell.
        let size = |share: &f64| if *share > 0.0 { threshold(*share) } else { f64::INFINITY };
        let sizes: Vec<f64> = match draw.values {
            Values::Kept => draw.grid.values().iter().map(size).collect(),
            Values::Reinit => Vec::new(),
        };
        let mut random = Random::stream(self.seed, self.layer as u64);
        // Inputs × taps × outputs, in the order of the stream.
        let mut drawn = Vec::with_capacity(inputs * taps * outputs);
        for row in &rows {
            for kind in &kinds {
                let (weight, place, cell) = (random.normal(), random.unit(), row * cols + kind);
                let kept = match draw.values {
                    Values::Reinit => place < draw.grid.values()[cell],
                    Values::Kept => weight.abs() >= sizes[cell],
                };
                drawn.push(kept.then_some(weight as f32));
            }
        }
        let (shape, order) = match &draw.conv {
            None => (vec![inputs, outputs], (0..inputs * outputs).collect()),
            Some(conv) => {
                let place = |k: usize| k % (inputs * taps) * outputs + k / (inputs * taps);
                let order: Vec<usize> = (0..drawn.len()).map(place).collect();
                (vec![outputs, inputs, conv.kernel, conv.kernel], order)
            }
        };
        let values = order.iter().map(|i| drawn[*i].unwrap_or(0.0)).collect();
        let mask = order.iter().map(|i| drawn[*i].is_some()).collect();
        let name = self.name("weight");
        self.masks.insert(name.clone(), Tensor::new(shape.clone(), mask));
        let weight = self.constant(name, Tensor::new(shape, values))?;
        let factor = draw.std / ((inputs * taps) as f64).sqrt();
        let x = match &draw.conv {
            None => self.dense(state.x, weight, factor)?,
            Some(conv) => self.conv(conv, state.x, weight, factor)?,
        };
        let x = if draw.bias == 0.0 { x } else { self.bias(x, outputs, draw.bias, &mut random)? };
        self.layer += 1;
        Ok(Drawn { x, kinds })
    }

    fn dense(&mut self, x: NodeId, weight: NodeId, factor: f64) -> Result<NodeId, TheoryError> {
        let name = self.name("dense");
        let gemm = Op::Gemm { alpha: factor as f32, beta: 0.0, trans_a: false, trans_b: false };
        Ok(self.builder.add(name, gemm, &[x, weight])?)
    }

    fn conv(&mut self, conv: &Conv, x: NodeId, weight: NodeId, factor: f64) -> Result<NodeId, TheoryError> {
        let (x, pad) = match conv.padding {
            Padding::Zero => (x, conv.pad),
            Padding::Circular => (self.wrap(x, conv.pad)?, 0),
        };
        let window = square(conv.kernel, conv.stride, pad);
        let name = self.name("product");
        let product = self.builder.add(name, Op::Conv { window, groups: 1 }, &[x, weight])?;
        let name = self.name("factor");
        let factor = self.constant(name, Tensor::scalar(factor as f32))?;
        let name = self.name("conv");
        Ok(self.builder.add(name, Op::Mul, &[product, factor])?)
    }

    /// The image with `pad` rows and columns of the other side around it.
    fn wrap(&mut self, mut x: NodeId, pad: usize) -> Result<NodeId, TheoryError> {
        for axis in [2, 3] {
            if pad == 0 {
                break;
            }
            let shape = self.builder.node(x).shape.clone();
            let part = |drawing: &mut Self, start: usize, what: &str| {
                let (mut starts, mut lengths) = (vec![0; 4], shape.clone());
                (starts[axis], lengths[axis]) = (start, pad);
                let name = drawing.name(&format!("{what}{axis}"));
                drawing.builder.add(name, Op::Slice { starts, steps: vec![1; 4], lengths }, &[x])
            };
            let before = part(self, shape[axis] - pad, "before")?;
            let after = part(self, 0, "after")?;
            let name = self.name(&format!("wrapped{axis}"));
            x = self.builder.add(name, Op::Concat { axis }, &[before, x, after])?;
        }
        Ok(x)
    }

    /// $z + b\,\beta$.
    fn bias(&mut self, x: NodeId, outputs: usize, deviation: f64, random: &mut Random) -> Result<NodeId, TheoryError> {
        let rank = self.builder.node(x).shape.len();
        let mut shape = vec![1; rank];
        shape[1] = outputs;
        let mut values = vec![0.0_f32; outputs];
        random.fill_normal(&mut values, 1.0);
        let (bias, factor, scaled, sum) =
            (self.name("bias"), self.name("bias factor"), self.name("scaled bias"), self.name("affine"));
        let bias = self.constant(bias, Tensor::new(shape, values))?;
        let factor = self.constant(factor, Tensor::scalar(deviation as f32))?;
        let scaled = self.builder.add(scaled, Op::Mul, &[bias, factor])?;
        Ok(self.builder.add(sum, Op::Add, &[x, scaled])?)
    }

    fn constant(&mut self, name: String, value: Tensor<f32>) -> Result<NodeId, TheoryError> {
        Ok(self.builder.constant(name, Value::F32(Arc::new(value)))?)
    }

    /// A name that no other node has: the number of the affine layer, what it is, and the number of the node.
    fn name(&mut self, what: &str) -> String {
        self.nodes += 1;
        format!("layer{}.{what}.{}", self.layer + 1, self.nodes)
    }
}

/// The row of the grid for every entry of a patch, channel by channel: that of its type, and where a type has several rows, the one of
/// its place among its equals.
fn rows(draw: &Draw, taps: usize, kinds: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; draw.types];
    kinds.iter().for_each(|kind| counts[*kind] += 1);
    let mut seen = vec![0; draw.types];
    let mut rows = Vec::with_capacity(kinds.len() * taps);
    for kind in kinds {
        for tap in 0..taps {
            let range = &draw.rows[kind * taps + tap];
            rows.push(range.start + seen[*kind] * range.len() / counts[*kind]);
        }
        seen[*kind] += 1;
    }
    rows
}

fn square(kernel: usize, stride: usize, pad: usize) -> Window {
    Window {
        kernel: vec![kernel; 2],
        strides: vec![stride; 2],
        pads_begin: vec![pad; 2],
        pads_end: vec![pad; 2],
        dilations: vec![1; 2],
    }
}
