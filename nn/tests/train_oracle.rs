//! Training against PyTorch: losses step by step, and the weights at the end (`fixtures/training.py`).

use secateur_linalg::Tensor;
use secateur_nn::data::{Dataset, Inputs, Targets};
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_nn::models::{Gru, Initialisation, Layers, Square, Transformer, mlp};
use secateur_nn::op::{Op, Value};
use secateur_nn::train::{Decay, Loss, Optimiser, Schedule, Settings, Silent, train};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Deserialize)]
struct Fixture {
    frozen: BTreeSet<String>,
    networks: Vec<Network>,
}

#[derive(Deserialize)]
struct Network {
    name: String,
    shape: Vec<usize>,
    inputs: String,
    labels: Vec<usize>,
    values: String,
    start: BTreeMap<String, String>,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    optimiser: Rule,
    schedule: (String, f64, usize),
    clip: Option<f64>,
    smoothing: f64,
    losses: Vec<f64>,
    end: BTreeMap<String, String>,
}

/// A rule with its numbers.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Rule {
    Sgd(String, f64, bool, f64),
    Adam(String, f64),
}

fn numbers(text: &str) -> Vec<f32> {
    let byte = |i: usize| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hexadecimal");
    (0..text.len() / 8).map(|i| f32::from_le_bytes([0, 1, 2, 3].map(|k| byte(4 * i + k)))).collect()
}

fn graph(name: &str) -> Graph {
    let how = Initialisation::Uniform;
    let built = match name {
        "mlp" => {
            let mut layers = Layers::new(&[1, 5], how, 0);
            let w = layers.weight("w", &[5, 8], 5, 8).unwrap();
            let x = layers.add("product", Op::MatMul, &[layers.input(), w]).unwrap();
            let x = layers.batch_norm("norm", x).unwrap();
            let x = layers.add("relu", Op::Relu, &[x]).unwrap();
            let x = layers.dense("fc", x, 3).unwrap();
            layers.finish(x)
        }
        "conv" => {
            let mut layers = Layers::new(&[1, 1, 6, 6], how, 0);
            let x = layers.conv("conv", layers.input(), 4, Square { kernel: 3, stride: 1, pad: 1 }, false).unwrap();
            let x = layers.batch_norm("norm", x).unwrap();
            let x = layers.add("relu", Op::Relu, &[x]).unwrap();
            let x = layers.max_pool("pool", x).unwrap();
            let x = layers.flatten("flat", x).unwrap();
            let x = layers.dense("fc", x, 3).unwrap();
            layers.finish(x)
        }
        "attention" => {
            Transformer { length: 4, features: 5, width: 6, heads: 2, hidden: 8, blocks: 1, classes: 3 }.build(how, 0)
        }
        "gru" => Gru { length: 4, features: 3, hidden: 5, classes: 3 }.build(how, 0),
        "regression" => mlp(&[4, 6, 2], how, 0),
        other => panic!("{other}"),
    };
    built.unwrap()
}

fn constants(graph: &Graph) -> BTreeMap<String, Tensor<f32>> {
    let all = graph.nodes().filter_map(|(_, node)| match &node.op {
        Op::Constant(Value::F32(t)) => Some((node.name.clone(), (**t).clone())),
        _ => None,
    });
    all.collect()
}

fn settings(run: &Run, classes: bool, frozen: &BTreeSet<String>) -> Settings {
    let optimiser = match &run.optimiser {
        Rule::Sgd(name, momentum, nesterov, weight_decay) => {
            assert_eq!(name, "sgd");
            Optimiser::Sgd { momentum: *momentum, nesterov: *nesterov, weight_decay: *weight_decay }
        }
        Rule::Adam(name, weight_decay) => Optimiser::Adam {
            betas: (0.9, 0.999),
            epsilon: 1e-8,
            weight_decay: *weight_decay,
            decoupled: name == "adamw",
        },
    };
    let (name, rate, warmup) = run.schedule.clone();
    let decay = match name.as_str() {
        "constant" => Decay::Constant,
        "step" => Decay::Step { epochs: 4, factor: 0.5 },
        "cosine" => Decay::Cosine { least: 0.0 },
        _ => Decay::OneCycle,
    };
    let loss = match (classes, run.smoothing) {
        (true, smoothing) => Loss::CrossEntropy { smoothing },
        (false, 0.0) => Loss::MeanSquaredError,
        (false, delta) => Loss::Huber { delta },
    };
    Settings {
        epochs: run.losses.len(),
        batch: 24,
        optimiser,
        schedule: Schedule { rate, warmup, decay },
        loss,
        clip: run.clip,
        threads: 1,
        frozen: frozen.clone(),
        ..Settings::default()
    }
}

#[test]
fn losses_and_weights_are_those_of_pytorch() {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/training.json")).unwrap();
    let (mut worst_loss, mut worst_weight) = (0.0_f64, 0.0_f64);
    for network in &fixture.networks {
        let graph = graph(&network.name);
        let held = constants(&graph);
        let start = network.start.iter();
        let start = start.map(|(name, text)| (name.clone(), Tensor::new(held[name].shape().to_vec(), numbers(text))));
        let graph = graph.with_constants(&start.collect()).unwrap();
        let inputs = Inputs::Dense { shape: network.shape.clone(), values: Arc::new(numbers(&network.inputs)) };
        let classes = network.values.is_empty();
        let targets = match classes {
            true => Targets::Classes { classes: 3, labels: Arc::new(network.labels.clone()) },
            false => Targets::Values { width: 2, values: Arc::new(numbers(&network.values)) },
        };
        let data = Dataset::new(&network.name, inputs, targets).unwrap();
        for run in &network.runs {
            let settings = settings(run, classes, &fixture.frozen);
            let report = train(&graph, &data, None, &Masks::default(), &settings, &Silent).unwrap();
            let what = format!("{} {:?} {:?}", network.name, run.optimiser, run.schedule);
            // PyTorch ran in f64. Twelve steps in f32 leave losses near 1e-6; where a gradient is itself near Adam's ε a
            // weight is off by more, but never by a hundredth of a step of size 1e-2.
            for (epoch, expected) in report.history.iter().zip(&run.losses) {
                let difference = (epoch.loss - expected).abs();
                worst_loss = worst_loss.max(difference);
                assert!(difference < 2e-5, "{what}, step {}: loss {} {expected}", epoch.epoch, epoch.loss);
            }
            let found = constants(&report.graph);
            for (name, text) in &run.end {
                for (a, b) in found[name].data().iter().zip(numbers(text)) {
                    let difference = f64::from((a - b).abs());
                    worst_weight = worst_weight.max(difference);
                    assert!(difference < 1e-4, "{what}, `{name}`: {a} {b}");
                }
            }
        }
    }
    println!("largest differences: losses {worst_loss:.1e}, weights {worst_weight:.1e}");
}
