//! Small networks and samples for tests.

use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value, Window};
use std::sync::Arc;

/// A stored tensor of normal numbers.
pub(crate) fn constant(b: &mut GraphBuilder, name: &str, shape: &[usize], seed: u64) -> NodeId {
    let mut data = vec![0.0f32; shape.iter().product()];
    Random::new(seed).fill_normal(&mut data, 0.7);
    b.constant(name, Value::F32(Arc::new(Tensor::new(shape.to_vec(), data)))).expect("a constant")
}

/// A square window.
pub(crate) fn window(kernel: usize, stride: usize, pad: usize) -> Window {
    Window {
        kernel: vec![kernel; 2],
        strides: vec![stride; 2],
        pads_begin: vec![pad; 2],
        pads_end: vec![pad; 2],
        dilations: vec![1; 2],
    }
}

/// Dense layers `w0`, `b0`, … with ReLU between them.
pub(crate) fn mlp(widths: &[usize], seed: u64) -> Graph {
    let mut b = GraphBuilder::new("x", vec![1, widths[0]], ElementType::F32);
    let mut x = b.input();
    for (layer, pair) in widths.windows(2).enumerate() {
        let w = constant(&mut b, &format!("w{layer}"), &[pair[0], pair[1]], seed + 2 * layer as u64);
        let bias = constant(&mut b, &format!("b{layer}"), &[pair[1]], seed + 2 * layer as u64 + 1);
        x = b.add(format!("dense{layer}"), Op::MatMul, &[x, w]).expect("a product");
        x = b.add(format!("sum{layer}"), Op::Add, &[x, bias]).expect("a sum");
        if layer + 2 < widths.len() {
            x = b.add(format!("relu{layer}"), Op::Relu, &[x]).expect("a ReLU");
        }
    }
    b.finish(x).expect("a network")
}

/// Normal samples.
pub(crate) fn samples(count: usize, entries: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = Random::new(seed);
    let mut one = || {
        let mut sample = vec![0.0f32; entries];
        random.fill_normal(&mut sample, 1.0);
        sample
    };
    (0..count).map(|_| one()).collect()
}
