//! Masked and compacted networks compute the same, on random networks of every kind of structure.

use proptest::prelude::*;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::eval::forward;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::mask::Masks;
use secateur_nn::op::{ElementType, Op, Value, Window};
use secateur_prune::cost::cost;
use secateur_prune::structured::{Block, Kind, blocks};
use secateur_prune::weights::weights;
use secateur_prune::{PruneError, compact, structure};
use std::collections::BTreeMap;
use std::sync::Arc;

struct Builder {
    b: GraphBuilder,
    random: Random,
    count: usize,
}

impl Builder {
    fn new(shape: &[usize], seed: u64) -> Self {
        Self { b: GraphBuilder::new("x", shape.to_vec(), ElementType::F32), random: Random::new(seed), count: 0 }
    }

    fn constant(&mut self, shape: &[usize]) -> NodeId {
        let mut data = vec![0.0f32; shape.iter().product()];
        self.random.fill_normal(&mut data, 0.6);
        self.stored(shape, data)
    }

    fn positive(&mut self, shape: &[usize]) -> NodeId {
        let data = (0..shape.iter().product()).map(|_| self.random.uniform(0.5, 2.0) as f32).collect();
        self.stored(shape, data)
    }

    fn stored(&mut self, shape: &[usize], data: Vec<f32>) -> NodeId {
        self.count += 1;
        let name = format!("c{}", self.count);
        self.b.constant(name, Value::F32(Arc::new(Tensor::new(shape.to_vec(), data)))).unwrap()
    }

    fn add(&mut self, op: Op, arguments: &[NodeId]) -> NodeId {
        self.count += 1;
        self.b.add(format!("n{}", self.count), op, arguments).unwrap()
    }

    fn shape(&self, id: NodeId) -> Vec<usize> {
        self.b.node(id).shape.clone()
    }

    fn dense(&mut self, x: NodeId, outputs: usize, gemm: bool) -> NodeId {
        let inputs = *self.shape(x).last().unwrap();
        let bias = self.constant(&[outputs]);
        if gemm {
            let w = self.constant(&[outputs, inputs]);
            return self.add(Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true }, &[x, w, bias]);
        }
        let w = self.constant(&[inputs, outputs]);
        let product = self.add(Op::MatMul, &[x, w]);
        self.add(Op::Add, &[product, bias])
    }

    fn conv(&mut self, x: NodeId, outputs: usize, kernel: usize, groups: usize, bias: bool) -> NodeId {
        let inputs = self.shape(x)[1];
        let w = self.constant(&[outputs, inputs / groups, kernel, kernel]);
        let mut arguments = vec![x, w];
        if bias {
            arguments.push(self.constant(&[outputs]));
        }
        self.add(Op::Conv { window: window(kernel, kernel / 2), groups }, &arguments)
    }

    fn norm(&mut self, x: NodeId) -> NodeId {
        let channels = [self.shape(x)[1]];
        let parts = [self.constant(&channels), self.constant(&channels), self.constant(&channels)];
        let variance = self.positive(&channels);
        self.add(Op::BatchNormalization { epsilon: 1e-5 }, &[x, parts[0], parts[1], parts[2], variance])
    }

    fn reshape(&mut self, x: NodeId, shape: &[usize]) -> NodeId {
        self.add(Op::Reshape { shape: shape.to_vec() }, &[x])
    }

    fn transpose(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        self.add(Op::Transpose { axes: axes.to_vec() }, &[x])
    }

    fn finish(self, output: NodeId) -> Graph {
        self.b.finish(output).unwrap()
    }
}

fn window(kernel: usize, pad: usize) -> Window {
    Window {
        kernel: vec![kernel; 2],
        strides: vec![1; 2],
        pads_begin: vec![pad; 2],
        pads_end: vec![pad; 2],
        dilations: vec![1; 2],
    }
}

fn mlp(seed: u64) -> Graph {
    let mut b = Builder::new(&[1, 4], seed);
    let mut x = b.b.input();
    for width in [6, 5, 7] {
        x = b.dense(x, width, seed.is_multiple_of(2));
        x = b.add([Op::Relu, Op::Sigmoid, Op::Tanh][(seed % 3) as usize].clone(), &[x]);
    }
    let y = b.dense(x, 3, false);
    b.finish(y)
}

/// Convolutions with normalisation, a residual sum, a concatenation, grouped and depthwise parts, a pool, a dense end.
fn convolutional(seed: u64) -> Graph {
    let mut b = Builder::new(&[1, 3, 6, 6], seed);
    let input = b.b.input();
    let stem = b.conv(input, 6, 3, 1, true);
    let stem = b.norm(stem);
    let stem = b.add(Op::Relu, &[stem]);
    let inner = b.conv(stem, 5, 3, 1, false);
    let inner = b.norm(inner);
    let inner = b.add(Op::Relu, &[inner]);
    let inner = b.conv(inner, 6, 3, 1, true);
    let sum = b.add(Op::Add, &[stem, inner]);
    let sum = b.add(Op::Relu, &[sum]);
    let depthwise = b.conv(sum, 6, 3, 6, true);
    let grouped = b.conv(sum, 4, 1, 2, true);
    let joined = b.add(Op::Concat { axis: 1 }, &[depthwise, grouped]);
    let pooled =
        b.add(Op::MaxPool { window: Window { strides: vec![2; 2], ..window(2, 0) }, ceil_mode: false }, &[joined]);
    // Half of the channels again, by a slice.
    let sliced = Op::Slice { starts: vec![0, 8, 0, 0], steps: vec![1, -2, 1, 1], lengths: vec![1, 4, 3, 3] };
    let sliced = b.add(sliced, &[pooled]);
    let wide = b.add(Op::Concat { axis: 1 }, &[pooled, sliced]);
    let features = 14 * 9;
    let flat = b.reshape(wide, &[1, features]);
    let hidden = b.dense(flat, 5, true);
    let hidden = b.add(Op::Relu, &[hidden]);
    let y = b.dense(hidden, 3, false);
    b.finish(y)
}

/// Attention with four heads that share two keys and values, and a gated dense part, both in residual sums.
fn transformer(seed: u64, fused: bool) -> Graph {
    let (tokens, width, heads, shared, size) = (3, 8, 4, if fused { 4 } else { 2 }, 2);
    let mut b = Builder::new(&[1, tokens, width], seed);
    let x = b.b.input();
    let (q, k, v) = if fused {
        let all = b.dense(x, 3 * heads * size, false);
        let all = b.reshape(all, &[1, tokens, 3, heads, size]);
        let all = b.transpose(all, &[2, 0, 3, 1, 4]);
        let mut part = |i| b.add(Op::Gather { axis: 0, indices: Tensor::scalar(i) }, &[all]);
        (part(0), part(1), part(2))
    } else {
        let mut project = |count: usize| {
            let y = b.dense(x, count * size, false);
            let y = b.reshape(y, &[1, tokens, count, size]);
            let y = b.transpose(y, &[0, 2, 1, 3]);
            if count == heads {
                return y;
            }
            let y = b.reshape(y, &[1, count, 1, tokens, size]);
            let y = b.add(Op::Expand { shape: vec![1, count, heads / count, tokens, size] }, &[y]);
            b.reshape(y, &[1, heads, tokens, size])
        };
        (project(heads), project(shared), project(shared))
    };
    let k = b.transpose(k, &[0, 1, 3, 2]);
    let scores = b.add(Op::MatMul, &[q, k]);
    let scores = b.add(Op::Softmax { axis: 3 }, &[scores]);
    let mixed = b.add(Op::MatMul, &[scores, v]);
    let mixed = b.transpose(mixed, &[0, 2, 1, 3]);
    let mixed = b.reshape(mixed, &[1, tokens, heads * size]);
    let mixed = b.dense(mixed, width, false);
    let sum = b.add(Op::Add, &[x, mixed]);
    let gate = b.dense(sum, 7, false);
    let half = b.add(Op::Sigmoid, &[gate]);
    let gate = b.add(Op::Mul, &[gate, half]);
    let up = b.dense(sum, 7, false);
    let product = b.add(Op::Mul, &[gate, up]);
    let down = b.dense(product, width, false);
    let y = b.add(Op::Add, &[sum, down]);
    b.finish(y)
}

fn networks(seed: u64) -> Vec<(&'static str, Graph)> {
    vec![
        ("mlp", mlp(seed)),
        ("convolutional", convolutional(seed)),
        ("grouped queries", transformer(seed, false)),
        ("fused attention", transformer(seed, true)),
    ]
}

/// Largest difference relative to the largest output, over a few inputs, in `f64`.
fn difference(a: &Graph, b: &Graph, seed: u64) -> f64 {
    let shape = a.node(a.input()).shape.clone();
    let mut random = Random::new(seed);
    let (mut most, mut size) = (0.0f64, 1e-3f64);
    for _ in 0..3 {
        let mut data = vec![0.0f64; shape.iter().product()];
        random.fill_normal(&mut data, 1.0);
        let x = Tensor::new(shape.clone(), data);
        let (a, b) = (forward(a, &x).unwrap(), forward(b, &x).unwrap());
        assert_eq!(a.shape(), b.shape());
        for (a, b) in a.data().iter().zip(b.data()) {
            most = most.max((a - b).abs());
            size = size.max(a.abs());
        }
    }
    most / size
}

fn entries(graph: &Graph) -> usize {
    cost(graph).unwrap().parameters
}

#[test]
fn units_are_found() {
    let count = |graph: &Graph| {
        let structure = structure(graph).unwrap();
        let of = |kind| structure.units.iter().filter(|u| u.kind == kind).count();
        [of(Kind::Neuron), of(Kind::Channel), of(Kind::Head)]
    };
    assert_eq!(count(&mlp(2)), [18, 0, 0]);
    // The grouped convolution ties its input channels, hence the residual ones, in two halves; the inner ones are free.
    assert_eq!(count(&convolutional(1)), [5, 5 + 2, 0]);
    assert_eq!(count(&transformer(1, false)), [7, 0, 2]);
    assert_eq!(count(&transformer(1, true)), [7, 0, 4]);
}

#[test]
fn heads_that_share_keys_are_one_unit() {
    let graph = transformer(5, false);
    let structure = structure(&graph).unwrap();
    let head = structure.units.iter().find(|u| u.kind == Kind::Head).unwrap();
    let widths: Vec<usize> = head.parts.iter().filter(|p| p.weight).map(|p| p.indices.len()).collect();
    // Two query heads of two entries, one key and one value of two, and the rows that read both heads.
    assert_eq!(widths, [4, 2, 2, 4]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn removing_units_is_masking_them(seed in 0u64..1000, share in 0.1f64..0.9) {
        for (name, graph) in networks(seed) {
            let structure = structure(&graph).unwrap();
            let mut random = Random::new(seed + 1);
            let removed: Vec<usize> = (0..structure.units.len()).filter(|_| random.unit() < share).collect();
            let masks = structure.masks(&graph, removed.iter().copied());
            let masked = masks.apply(&graph).unwrap();
            let small = match compact(&graph, &masks) {
                Err(PruneError::Constant { .. }) => continue,
                other => other.unwrap(),
            };
            // Weights are rounded to f32 where biases were folded.
            prop_assert!(difference(&masked, &small.graph, seed) < 1e-6, "{name}");
            if !removed.is_empty() && small.narrow == 0 {
                prop_assert!(entries(&small.graph) < entries(&graph), "{name}: {removed:?}");
            }
        }
    }

    #[test]
    fn dead_neurons_leave_their_constant_behind(seed in 0u64..1000, share in 0.1f64..0.9) {
        for (name, graph) in networks(seed) {
            let structure = structure(&graph).unwrap();
            let mut random = Random::new(seed + 2);
            let mut values: BTreeMap<String, Tensor<f32>> = BTreeMap::new();
            for unit in structure.units.iter().filter(|_| random.unit() < share) {
                for part in unit.parts.iter().filter(|p| p.produces) {
                    let stored = values.entry(part.constant.clone()).or_insert_with(|| {
                        let found = weights(&graph).unwrap().into_iter().find(|w| w.name == part.constant);
                        (*found.unwrap().value).clone()
                    });
                    let shape = stored.shape().to_vec();
                    part.positions(&shape).into_iter().for_each(|at| stored.data_mut()[at] = 0.0);
                }
            }
            let dead = graph.with_constants(&values).unwrap();
            let small = match compact(&dead, &Masks::default()) {
                Err(PruneError::Constant { .. }) => continue,
                other => other.unwrap(),
            };
            // Biases take up sums that are rounded to f32.
            prop_assert!(difference(&dead, &small.graph, seed) < 1e-6, "{name}");
        }
    }

    #[test]
    fn single_zeros_change_nothing(seed in 0u64..1000, density in 0.02f64..0.5) {
        for (name, graph) in networks(seed) {
            let mut random = Random::new(seed + 3);
            let masks = weights(&graph).unwrap().into_iter().map(|w| {
                let keep = (0..w.len()).map(|_| random.unit() < density).collect();
                (w.name.clone(), Tensor::new(w.value.shape().to_vec(), keep))
            });
            let masks = Masks(masks.collect());
            let small = match compact(&graph, &masks) {
                Err(PruneError::Constant { .. }) => continue,
                other => other.unwrap(),
            };
            prop_assert!(difference(&masks.apply(&graph).unwrap(), &small.graph, seed) < 1e-6, "{name}");
        }
    }
}

#[test]
fn residual_branches_are_removed_as_a_whole() {
    let graph = transformer(3, false);
    let found = blocks(&graph).unwrap();
    assert_eq!(found.iter().map(|b| b.weights.len()).collect::<Vec<_>>(), [4, 3]);
    for removed in [&found[..1], &found[1..]] {
        let masks = Block::masks(&graph, removed);
        let small = compact(&graph, &masks).unwrap();
        assert!(difference(&masks.apply(&graph).unwrap(), &small.graph, 1) < 1e-6);
        let left: Vec<String> = weights(&small.graph).unwrap().into_iter().map(|w| w.name).collect();
        assert!(removed[0].weights.iter().all(|name| !left.contains(name)), "{left:?}");
    }
}

#[test]
fn a_layer_without_weights_becomes_its_constant_and_a_cut_network_is_an_error() {
    let graph = convolutional(4);
    let names: Vec<String> = weights(&graph).unwrap().into_iter().map(|w| w.name).collect();
    for name in &names {
        let stored = weights(&graph).unwrap().into_iter().find(|w| w.name == *name).unwrap().value;
        let masks = Masks(BTreeMap::from([(name.clone(), Tensor::full(stored.shape().to_vec(), false))]));
        match compact(&graph, &masks) {
            Ok(small) => assert!(difference(&masks.apply(&graph).unwrap(), &small.graph, 1) < 1e-6, "{name}"),
            Err(PruneError::Constant { output }) => assert_eq!(output, graph.node(graph.output()).name),
            Err(other) => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn a_shared_weight_is_cut_only_where_both_layers_agree() {
    let mut b = Builder::new(&[1, 4], 1);
    let w = b.constant(&[4, 4]);
    let input = b.b.input();
    let first = b.dense(input, 4, false);
    let first = b.add(Op::Relu, &[first]);
    let second = b.add(Op::MatMul, &[first, w]);
    let second = b.add(Op::Relu, &[second]);
    let third = b.add(Op::MatMul, &[second, w]);
    let third = b.add(Op::Relu, &[third]);
    let y = b.dense(third, 2, false);
    let graph = b.finish(y);
    let structure = structure(&graph).unwrap();
    // Rows and columns of the shared matrix stand for one index each: four units for all three layers.
    assert_eq!(structure.units.len(), 4);
    let masks = structure.masks(&graph, [1, 2]);
    let small = compact(&graph, &masks).unwrap();
    assert_eq!(small.removed, 2);
    assert!(difference(&masks.apply(&graph).unwrap(), &small.graph, 1) < 1e-6);
}

#[test]
fn a_network_without_removable_outputs_says_what_holds_them() {
    let mut b = Builder::new(&[1, 4], 1);
    let input = b.b.input();
    let hidden = b.dense(input, 4, false);
    let y = b.add(Op::Softmax { axis: 1 }, &[hidden]);
    let graph = b.finish(y);
    let found = structure(&graph).unwrap();
    assert!(found.units.is_empty());
    let softmax = found.fixed.iter().any(|f| f.op == "Softmax");
    assert!(softmax, "{:?}", found.fixed);
}

#[test]
fn layers_in_double_precision_follow() {
    let mut b = Builder::new(&[1, 4], 1);
    let input = b.b.input();
    let hidden = b.dense(input, 5, false);
    let hidden = b.add(Op::Relu, &[hidden]);
    let wide = b.add(Op::Cast(ElementType::F64), &[hidden]);
    let data = (0..10).map(|i| f64::from(i) - 4.5).collect();
    let v = b.b.constant("v", Value::F64(Arc::new(Tensor::new(vec![5, 2], data)))).unwrap();
    let y = b.add(Op::MatMul, &[wide, v]);
    let graph = b.finish(y);
    let structure = structure(&graph).unwrap();
    assert_eq!(structure.units.len(), 5);
    // Rows of f64 are not masked, so what is cut off is a constant 0: weights and biases are 0 before the ReLU.
    let masks = structure.masks(&graph, [0, 3]);
    let small = compact(&graph, &masks).unwrap();
    assert_eq!((small.removed, small.folded), (2, 2));
    assert!(difference(&masks.apply(&graph).unwrap(), &small.graph, 1) < 1e-6);
}
