//! The empirical kernel against Jacobians that are formed as a whole.

use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::autodiff::vjp;
use secateur_nn::eval::Evaluator;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::mask::Masks;
use secateur_nn::models::{self, Initialisation, Layers, Square};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_nn::train::parameters;
use secateur_theory::TheoryError;
use secateur_theory::ntk::{Outputs, Settings, Zeros, empirical};
use std::collections::BTreeMap;
use std::sync::Arc;

fn samples(graph: &Graph, count: usize) -> Vec<Vec<f32>> {
    let size: usize = graph.node(graph.input()).shape.iter().product();
    let mut random = Random::new(2);
    (0..count).map(|_| (0..size).map(|_| random.normal() as f32).collect()).collect()
}

/// $J J^\top$ from every row of $J$, with the masks' zeros.
fn whole(graph: &Graph, masks: &Masks, samples: &[Vec<f32>]) -> (usize, Vec<f64>) {
    let evaluator = Evaluator::<f64>::new(graph).expect("an evaluator");
    let wrt = parameters(graph);
    let outputs: usize = graph.node(graph.output()).shape.iter().product();
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for sample in samples {
        let input =
            Tensor::new(graph.node(graph.input()).shape.clone(), sample.iter().map(|v| f64::from(*v)).collect());
        for k in 0..outputs {
            let unit = (0..outputs).map(|i| f64::from(u8::from(i == k))).collect();
            let unit = Tensor::new(graph.node(graph.output()).shape.clone(), unit);
            let (_, gradients) = vjp(&evaluator, &input, &unit, &wrt).expect("derivatives");
            let mut row = Vec::new();
            for (id, gradient) in wrt.iter().zip(gradients) {
                let mask = masks.get(&graph.node(*id).name);
                let keep = |i: usize| mask.is_none_or(|mask| mask.data()[i]);
                row.extend(gradient.data().iter().enumerate().map(|(i, g)| if keep(i) { *g } else { 0.0 }));
            }
            rows.push(row);
        }
    }
    let n = rows.len();
    let product = |i: usize, j: usize| rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum::<f64>();
    (outputs, (0..n * n).map(|k| product(k / n, k % n)).collect())
}

fn random_masks(graph: &Graph, share: f64) -> Masks {
    let mut random = Random::new(8);
    let masks = parameters(graph).into_iter().map(|id| graph.node(id)).filter(|node| node.shape.len() > 1);
    Masks(
        masks
            .map(|node| {
                let keep = (0..node.shape.iter().product()).map(|_| random.unit() < share).collect();
                (node.name.clone(), Tensor::new(node.shape.clone(), keep))
            })
            .collect(),
    )
}

/// A network with convolutions, a normalisation, products and additions of every kind.
fn convolutional() -> Graph {
    let mut layers = Layers::new(&[1, 2, 5, 5], Initialisation::Uniform, 4);
    let size = Square { kernel: 3, stride: 1, pad: 1 };
    let x = layers.conv("conv1", layers.input(), 4, size, true).expect("a layer");
    let x = layers.batch_norm("norm", x).expect("a layer");
    let x = layers.add("relu1", Op::Relu, &[x]).expect("a layer");
    let x = layers.conv("conv2", x, 3, size, false).expect("a layer");
    let x = layers.flatten("flat", x).expect("a layer");
    let x = layers.project("project", x, 6).expect("a layer");
    let x = layers.add("relu2", Op::Relu, &[x]).expect("a layer");
    let x = layers.dense("dense", x, 3).expect("a layer");
    layers.finish(x).expect("a network")
}

/// A network that takes no batches: one weight is used twice.
fn tied() -> Graph {
    let mut b = GraphBuilder::new("x", vec![3], ElementType::F32);
    let mut random = Random::new(6);
    let data = (0..9).map(|_| random.normal() as f32).collect();
    let w = b.constant("w", Value::F32(Arc::new(Tensor::new(vec![3, 3], data)))).expect("a node");
    let h = b.add("h", Op::MatMul, &[b.input(), w]).expect("a node");
    let h = b.add("r", Op::Relu, &[h]).expect("a node");
    let y = b.add("y", Op::MatMul, &[h, w]).expect("a node");
    b.finish(y).expect("a network")
}

fn networks() -> Vec<Graph> {
    vec![models::mlp(&[7, 9, 8, 3], Initialisation::Uniform, 1).expect("a network"), convolutional(), tied()]
}

#[test]
fn every_way_of_summing_gives_the_same_kernel() {
    for graph in networks() {
        // More than one batch, and a last one that is shorter.
        let samples = samples(&graph, 37);
        for masks in [Masks::default(), random_masks(&graph, 0.4)] {
            let (outputs, expected) = whole(&graph, &masks, &samples);
            let rows = samples.len() * outputs;
            let size = expected.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            for memory in [1 << 28, 20_000, 1] {
                let settings = Settings { outputs: Outputs::Each, zeros: Zeros::Keep, memory };
                let found = empirical::<f64>(&graph, Some(&masks), &samples, &settings).expect("a kernel");
                assert_eq!((found.rows, found.outputs), (rows, outputs));
                for (a, b) in found.kernel.iter().zip(&expected) {
                    // Sums of a few hundred products in f64, in other orders.
                    assert!((a - b).abs() < 1e-12 * size, "{a} {b}");
                }
                let settings = Settings { outputs: Outputs::Mean, ..settings };
                let mean = empirical::<f64>(&graph, Some(&masks), &samples, &settings).expect("a kernel");
                for i in 0..samples.len() {
                    for j in 0..samples.len() {
                        let place = |k: usize| expected[(i * outputs + k) * rows + j * outputs + k];
                        let trace = (0..outputs).map(place).sum::<f64>() / outputs as f64;
                        assert!((mean.kernel[i * samples.len() + j] - trace).abs() < 1e-12 * size);
                    }
                }
            }
            let settings = Settings { outputs: Outputs::Each, ..Settings::default() };
            let single = empirical::<f32>(&graph, Some(&masks), &samples, &settings).expect("a kernel");
            for (a, b) in single.kernel.iter().zip(&expected) {
                // A few hundred roundings of single precision, most of them of either sign.
                assert!((a - b).abs() < 1e-5 * size, "{a} {b}");
            }
        }
    }
}

#[test]
fn zeros_count_as_asked() {
    let graph = models::mlp(&[5, 6, 2], Initialisation::He, 3).expect("a network");
    let masks = random_masks(&graph, 0.5);
    let masked = masks.apply(&graph).expect("a network");
    let samples = samples(&graph, 6);
    let of = |masks: Option<&Masks>, zeros| {
        empirical::<f64>(&masked, masks, &samples, &Settings { zeros, ..Settings::default() }).expect("a kernel")
    };
    let (dropped, by_mask, kept) = (of(None, Zeros::Drop), of(Some(&masks), Zeros::Keep), of(None, Zeros::Keep));
    assert_eq!(dropped, by_mask);
    // Biases are all 0 and count: 5·6 + 6·2 weights and 8 biases.
    assert_eq!((kept.weights, kept.all_weights), (50, 50));
    assert_eq!(dropped.weights, masks.count().0 + 8);
    assert!(kept.kernel[0] > dropped.kernel[0]);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let graph = convolutional();
    let samples = samples(&graph, 70);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| empirical::<f32>(&graph, None, &samples, &Settings::default()).expect("a kernel"))
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn what_does_not_fit_is_refused() {
    let graph = models::mlp(&[3, 4, 2], Initialisation::He, 3).expect("a network");
    let settings = Settings::default();
    assert!(matches!(empirical::<f64>(&graph, None, &[], &settings), Err(TheoryError::Shape { name: "samples", .. })));
    let short = vec![vec![1.0_f32; 2]];
    assert!(matches!(
        empirical::<f64>(&graph, None, &short, &settings),
        Err(TheoryError::Shape { name: "sample", .. })
    ));
    let masks = Masks(BTreeMap::from([("fc1.weight".to_owned(), Tensor::full(vec![2, 2], true))]));
    let one = vec![vec![1.0_f32; 3]];
    assert!(matches!(
        empirical::<f64>(&graph, Some(&masks), &one, &settings),
        Err(TheoryError::Shape { name: "mask", .. })
    ));
    let broken = vec![vec![f32::NAN; 3]];
    assert!(matches!(empirical::<f64>(&graph, None, &broken, &settings), Err(TheoryError::Network(_))));
}
