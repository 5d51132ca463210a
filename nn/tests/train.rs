//! Training from end to end on synthetic data.

use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::data::{Augmentation, Dataset, Inputs, Targets};
use secateur_nn::eval::forward;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::mask::Masks;
use secateur_nn::models::{Gru, Initialisation, Layers, ResNet, Square, Transformer, mlp};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_nn::train::{
    Decay, Epoch, Loss, Observer, Optimiser, Report, Schedule, Settings, Silent, StopReason, TrainFault, evaluate,
    train,
};
use secateur_nn::{NnError, onnx};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Two arms of a spiral, with a little noise.
fn spiral(count: usize, seed: u64) -> Dataset {
    let mut random = Random::new(seed);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for i in 0..count {
        let (label, t) = (i % 2, random.uniform(0.5, 3.0));
        let angle = 2.0 * t + std::f64::consts::PI * label as f64;
        values.push((t * angle.cos() / 3.0 + 0.02 * random.normal()) as f32);
        values.push((t * angle.sin() / 3.0 + 0.02 * random.normal()) as f32);
        labels.push(label);
    }
    let inputs = Inputs::Dense { shape: vec![2], values: Arc::new(values) };
    Dataset::new("spiral", inputs, Targets::Classes { classes: 2, labels: Arc::new(labels) }).unwrap()
}

/// Images of 1 × 8 × 8 with a bright row (class 0) or column (class 1).
fn bars(count: usize, seed: u64) -> Dataset {
    let mut random = Random::new(seed);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for i in 0..count {
        let (label, place) = (i % 2, random.index(8));
        let bright = |pixel: usize| if label == 0 { pixel / 8 == place } else { pixel % 8 == place };
        values.extend((0..64).map(|pixel| (f64::from(u8::from(bright(pixel))) + 0.3 * random.normal()) as f32));
        labels.push(label);
    }
    let inputs = Inputs::Dense { shape: vec![1, 8, 8], values: Arc::new(values) };
    Dataset::new("bars", inputs, Targets::Classes { classes: 2, labels: Arc::new(labels) }).unwrap()
}

fn perceptron() -> Graph {
    mlp(&[2, 32, 32, 2], Initialisation::He, 1).unwrap()
}

/// A small network of everything: convolution, batch normalisation, pool, dense.
fn convolutional() -> Graph {
    let mut layers = Layers::new(&[1, 1, 8, 8], Initialisation::Uniform, 2);
    let x = layers.conv("conv", layers.input(), 6, Square { kernel: 3, stride: 1, pad: 1 }, true).unwrap();
    let x = layers.batch_norm("norm", x).unwrap();
    let x = layers.add("relu", Op::Relu, &[x]).unwrap();
    let x = layers.max_pool("pool", x).unwrap();
    let x = layers.flatten("flat", x).unwrap();
    let x = layers.dense("fc", x, 2).unwrap();
    layers.finish(x).unwrap()
}

fn settings(epochs: usize) -> Settings {
    Settings { epochs, batch: 100, schedule: Schedule::cosine(1e-2), threads: 1, ..Settings::default() }
}

fn run(graph: &Graph, data: &Dataset, settings: &Settings) -> Report {
    train(graph, data, None, &Masks::default(), settings, &Silent).unwrap()
}

fn fault(result: Result<Report, NnError>) -> TrainFault {
    match result {
        Err(NnError::Train(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

/// The numbers of all constants of type `f32`.
fn constants(graph: &Graph) -> BTreeMap<String, Vec<u32>> {
    let bits = |t: &Tensor<f32>| t.data().iter().map(|v| v.to_bits()).collect();
    let all = graph.nodes().filter_map(|(_, node)| match &node.op {
        Op::Constant(Value::F32(t)) => Some((node.name.clone(), bits(t))),
        _ => None,
    });
    all.collect()
}

#[test]
fn a_perceptron_learns_a_spiral_and_is_exported() {
    let (data, test) = (spiral(2000, 1), spiral(500, 2));
    let report = run(&perceptron(), &data, &settings(30));
    let found = evaluate(&report.graph, &test).unwrap();
    assert!(found.accuracy.unwrap() > 0.97, "{found:?}");
    assert_eq!((report.stop, report.history.len()), (StopReason::Finished, 30));
    assert!(report.history[29].loss < 0.2 * report.history[0].loss);
    let exported = onnx::parse(&onnx::to_bytes(&report.graph).unwrap(), "exported").unwrap();
    assert_eq!(evaluate(&exported, &test).unwrap(), found);
}

#[test]
fn a_network_with_batch_normalisation_learns_and_its_statistics_follow() {
    let (data, test) = (bars(400, 1), bars(200, 2));
    let start = convolutional();
    let report = run(&start, &data, &settings(8));
    // Inference with running statistics is as good as training was.
    assert!(evaluate(&report.graph, &test).unwrap().accuracy.unwrap() > 0.95);
    let (before, after) = (constants(&start), constants(&report.graph));
    assert_ne!(before["norm.running_mean"], after["norm.running_mean"]);
    assert_ne!(before["norm.running_var"], after["norm.running_var"]);
}

#[test]
fn other_networks_learn() {
    let cases = [
        (
            "resnet",
            ResNet { image: [1, 8, 8], blocks: 1, width: 4, ..ResNet::cifar_20(4) }.build(Initialisation::He, 3),
            6,
        ),
        ("gru", Gru { length: 8, features: 8, hidden: 12, classes: 2 }.build(Initialisation::Uniform, 3), 15),
        (
            "transformer",
            Transformer { length: 8, features: 8, width: 12, heads: 3, hidden: 24, blocks: 1, classes: 2 }
                .build(Initialisation::Uniform, 3),
            15,
        ),
    ];
    for (name, graph, epochs) in cases {
        let settings = Settings { batch: 50, clip: Some(1.0), ..settings(epochs) };
        let report = run(&graph.unwrap(), &bars(400, 1), &settings);
        let found = evaluate(&report.graph, &bars(200, 2)).unwrap();
        assert!(found.accuracy.unwrap() > 0.85, "{name}: {found:?}");
    }
}

#[test]
fn numbers_are_fitted_by_least_squares_and_robustly() {
    let mut random = Random::new(4);
    let x: Vec<f32> = (0..600).map(|_| random.normal() as f32).collect();
    let y: Vec<f32> = x.chunks(3).map(|x| 2.0 * x[0] - x[1] + 0.5).collect();
    let inputs = Inputs::Dense { shape: vec![3], values: Arc::new(x) };
    let data = Dataset::new("line", inputs, Targets::Values { width: 1, values: Arc::new(y) }).unwrap();
    let graph = mlp(&[3, 1], Initialisation::Uniform, 0).unwrap();
    for loss in [Loss::MeanSquaredError, Loss::Huber { delta: 1.0 }] {
        let optimiser = Optimiser::sgd(0.9, true);
        let settings = Settings { loss, optimiser, schedule: Schedule::cosine(0.05), batch: 20, ..settings(40) };
        let report = run(&graph, &data, &settings);
        let found = evaluate(&report.graph, &data).unwrap();
        // The data lie on the plane; what is left is rounding.
        assert!(found.loss < 1e-8 && found.accuracy.is_none(), "{found:?}");
    }
}

#[test]
fn the_result_does_not_depend_on_the_threads() {
    let data = bars(300, 1);
    let with = |threads: usize| {
        let augmentation = Augmentation { flip: true, crop: 1 };
        let settings = Settings { threads, batch: 150, augmentation, clip: Some(0.5), ..settings(2) };
        train(&convolutional(), &data, Some(&bars(150, 2)), &Masks::default(), &settings, &Silent).unwrap()
    };
    let (one, three) = (with(1), with(3));
    assert_eq!(constants(&one.graph), constants(&three.graph));
    let figures =
        |report: &Report| report.history.iter().map(|e| (e.loss, e.accuracy, e.validation)).collect::<Vec<_>>();
    assert_eq!(figures(&one), figures(&three));
    let other = run(&convolutional(), &data, &Settings { seed: 1, ..settings(2) });
    assert_ne!(constants(&one.graph), constants(&other.graph));
}

/// Stops after so many steps.
struct StopAfter(usize, AtomicUsize);

impl Observer for StopAfter {
    fn stop(&self) -> bool {
        self.1.fetch_add(1, Ordering::Relaxed) >= self.0
    }
}

#[test]
fn a_resumed_run_ends_as_the_uninterrupted_one() {
    let place = tempfile::tempdir().unwrap();
    let (data, validation) = (bars(300, 1), bars(100, 2));
    let optimisers = [Optimiser::sgd(0.9, true), Optimiser::adam(), Optimiser::adamw(0.05)];
    for (number, optimiser) in optimisers.into_iter().enumerate() {
        let checkpoint = Some(place.path().join(format!("{number}.safetensors")));
        let whole = Settings {
            optimiser,
            patience: Some(3),
            augmentation: Augmentation { flip: true, crop: 1 },
            ..settings(5)
        };
        let part = Settings { checkpoint, resume: true, ..whole.clone() };
        let go = |settings: &Settings, observer: &dyn Observer| {
            train(&convolutional(), &data, Some(&validation), &Masks::default(), settings, observer).unwrap()
        };
        let expected = go(&whole, &Silent);
        // Three steps an epoch: the third epoch is broken off in its middle.
        let broken = go(&part, &StopAfter(7, AtomicUsize::new(0)));
        assert_eq!((broken.stop, broken.history.len()), (StopReason::Interrupted, 2));
        let resumed = go(&part, &Silent);
        assert_eq!(constants(&resumed.graph), constants(&expected.graph));
        let figures =
            |r: &Report| r.history.iter().map(|e| (e.epoch, e.loss, e.validation, e.rate)).collect::<Vec<_>>();
        assert_eq!(figures(&resumed), figures(&expected));
        assert_eq!((resumed.best, resumed.stop), (expected.best, expected.stop));

        let other = Settings { batch: 99, ..part };
        let error = fault(train(&convolutional(), &data, Some(&validation), &Masks::default(), &other, &Silent));
        assert!(matches!(error, TrainFault::OtherRun { what: "epochs and batch", .. }), "{error}");
    }
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("c.safetensors");
    let settings = Settings { checkpoint: Some(path.clone()), resume: true, ..settings(1) };
    run(&perceptron(), &spiral(200, 1), &settings);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let again = train(&perceptron(), &spiral(200, 1), None, &Masks::default(), &settings, &Silent);
    assert!(matches!(again, Err(NnError::Safetensors { .. })));
    std::fs::write(&path, &bytes).unwrap();
    let other = mlp(&[2, 30, 32, 2], Initialisation::He, 1).unwrap();
    let error = fault(train(&other, &spiral(200, 1), None, &Masks::default(), &settings, &Silent));
    assert!(matches!(error, TrainFault::Incomplete { .. }), "{error}");
}

#[test]
fn masked_weights_stay_zero() {
    let mut random = Random::new(9);
    let mask = Tensor::new(vec![32, 2], (0..64).map(|_| random.bits() & 1 == 1).collect());
    let masks = Masks(BTreeMap::from([("fc1.weight".to_owned(), mask.clone())]));
    for optimiser in [Optimiser::sgd(0.9, false), Optimiser::adamw(0.1)] {
        let settings = Settings { optimiser, ..settings(3) };
        let report = train(&perceptron(), &spiral(500, 1), None, &masks, &settings, &Silent).unwrap();
        for (bits, kept) in constants(&report.graph)["fc1.weight"].iter().zip(mask.data()) {
            assert_eq!(f32::from_bits(*bits) != 0.0, *kept, "pruned weights are zero, kept ones move");
        }
    }
}

#[test]
fn frozen_constants_stay_as_they_are() {
    let frozen = BTreeSet::from(["fc1.weight".to_owned(), "fc1.bias".to_owned()]);
    let report = run(&perceptron(), &spiral(500, 1), &Settings { frozen, ..settings(2) });
    let (before, after) = (constants(&perceptron()), constants(&report.graph));
    assert_eq!(before["fc1.weight"], after["fc1.weight"]);
    assert_ne!(before["fc2.weight"], after["fc2.weight"]);

    let frozen = BTreeSet::from(["norm.running_mean".to_owned()]);
    let start = run(&convolutional(), &bars(400, 1), &settings(2)).graph;
    let report = run(&start, &bars(400, 1), &Settings { frozen, ..settings(2) });
    let (before, after) = (constants(&start), constants(&report.graph));
    for name in ["norm.running_mean", "norm.running_var"] {
        assert_eq!(before[name], after[name], "statistics stay when one of them is frozen");
    }
    assert_ne!(before["norm.weight"], after["norm.weight"]);
    // Training normalises as inference does, so the last step's loss is near the exported network's.
    let (trained, found) = (report.history[1].loss, evaluate(&report.graph, &bars(400, 1)).unwrap().loss);
    assert!((trained - found).abs() < 0.1, "{trained} {found}");
}

#[test]
fn patience_ends_a_run_and_gives_back_the_best_weights() {
    // Labels at random: what is learnt by heart does not carry over.
    let noise = |seed: u64| {
        let mut random = Random::new(seed);
        let inputs =
            Inputs::Dense { shape: vec![2], values: Arc::new((0..80).map(|_| random.normal() as f32).collect()) };
        let labels = Arc::new((0..40).map(|_| random.index(2)).collect());
        Dataset::new("noise", inputs, Targets::Classes { classes: 2, labels }).unwrap()
    };
    let settings = Settings { patience: Some(3), batch: 10, ..settings(200) };
    let report = train(&perceptron(), &noise(1), Some(&noise(2)), &Masks::default(), &settings, &Silent).unwrap();
    let best = report.best.unwrap();
    assert_eq!((report.stop, report.history.len()), (StopReason::NoImprovement, best + 3));
    let least = report.history.iter().map(|e| e.validation.unwrap().loss).fold(f64::INFINITY, f64::min);
    assert_eq!(evaluate(&report.graph, &noise(2)).unwrap().loss, least);
}

#[test]
fn a_network_that_takes_one_sample_at_a_time_is_trained_too() {
    // Its reshape drops the axis of the batch.
    let mut b = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
    let tensor = |shape: &[usize], seed: u64| {
        let mut data = vec![0.0; shape.iter().product()];
        Random::new(seed).fill_normal(&mut data, 1.0);
        Value::F32(Arc::new(Tensor::new(shape.to_vec(), data)))
    };
    let w = b.constant("w", tensor(&[2, 24], 1)).unwrap();
    let c = b.constant("c", tensor(&[24], 2)).unwrap();
    let u = b.constant("u", tensor(&[24, 2], 3)).unwrap();
    let flat = b.add("flat", Op::Reshape { shape: vec![2] }, &[b.input()]).unwrap();
    let y = b.add("y", Op::MatMul, &[flat, w]).unwrap();
    let y = b.add("y2", Op::Add, &[y, c]).unwrap();
    let y = b.add("y3", Op::Tanh, &[y]).unwrap();
    let y = b.add("y4", Op::MatMul, &[y, u]).unwrap();
    let graph = b.finish(y).unwrap();
    assert!(graph.with_batch(2).is_err());
    let report = run(&graph, &spiral(500, 1), &settings(20));
    assert!(report.history[19].loss < 0.5 * report.history[0].loss);
    let single: f64 = evaluate(&report.graph, &spiral(100, 2)).unwrap().loss;
    assert!(single < 0.6, "{single}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let (graph, data) = (perceptron(), spiral(200, 1));
    let go = |graph: &Graph, data: &Dataset, settings: &Settings| {
        fault(train(graph, data, None, &Masks::default(), settings, &Silent))
    };
    let base = settings(1);
    let empty = train(&graph, &data.subset(&[]), None, &Masks::default(), &base, &Silent);
    assert!(empty.unwrap_err().to_string().contains("no samples"));
    assert!(matches!(go(&graph, &bars(10, 1), &base), TrainFault::InputSize { expected: 2, found: 64 }));
    let one = mlp(&[2, 4, 1], Initialisation::He, 0).unwrap();
    assert!(matches!(go(&one, &data, &base), TrainFault::OutputSize { expected: 2, found: 1 }));
    let squares = Settings { loss: Loss::MeanSquaredError, ..base.clone() };
    assert!(matches!(go(&graph, &data, &squares), TrainFault::Targets { loss: "mse", .. }));
    let patient = Settings { patience: Some(1), ..base.clone() };
    assert!(matches!(go(&graph, &data, &patient), TrainFault::Setting { setting: "patience", .. }));
    let nothing = Settings { frozen: constants(&graph).into_keys().collect(), ..base.clone() };
    assert!(matches!(go(&graph, &data, &nothing), TrainFault::NoParameters));
    let masks = Masks(BTreeMap::from([("fc1.weight".to_owned(), Tensor::full(vec![2, 32], true))]));
    let masked = train(&graph, &data, None, &masks, &base, &Silent);
    assert!(matches!(fault(masked), TrainFault::Mask { .. }));

    let mut b = Layers::new(&[1, 2], Initialisation::He, 0);
    let y = b.dense("y", b.input(), 2).unwrap();
    let y = b.add("p", Op::Softmax { axis: 1 }, &[y]).unwrap();
    assert!(matches!(go(&b.finish(y).unwrap(), &data, &base), TrainFault::Softmax { node } if node == "p"));

    let mut b = Layers::new(&[1, 2], Initialisation::He, 0);
    let y = b.dense("y", b.input(), 2).unwrap();
    let y = b.batch_norm("norm", y).unwrap();
    let normal = b.finish(y).unwrap();
    let uneven = Settings { batch: 199, ..base.clone() };
    assert!(matches!(go(&normal, &data, &uneven), TrainFault::OneValue { .. }));
}

#[test]
fn divergence_is_an_error_that_names_a_node() {
    let settings =
        Settings { optimiser: Optimiser::sgd(0.0, false), schedule: Schedule::constant(1e30), ..settings(5) };
    let error = train(&perceptron(), &spiral(500, 1), None, &Masks::default(), &settings, &Silent).unwrap_err();
    assert!(matches!(error, NnError::NonFinite { .. } | NnError::NonFiniteDerivative { .. }), "{error}");
}

/// Counts epochs.
struct Counter(AtomicUsize);

impl Observer for Counter {
    fn epoch(&self, epoch: &Epoch) {
        assert_eq!(self.0.fetch_add(1, Ordering::Relaxed) + 1, epoch.epoch);
    }
}

#[test]
fn step_sizes_follow_the_schedule() {
    let schedule = Schedule { rate: 0.1, warmup: 2, decay: Decay::Step { epochs: 1, factor: 0.5 } };
    let counter = Counter(AtomicUsize::new(0));
    let settings = Settings { schedule, ..settings(3) };
    let report = train(&perceptron(), &spiral(200, 1), None, &Masks::default(), &settings, &counter).unwrap();
    // Two steps an epoch: warm-up, then one epoch each at 0.1 and 0.05.
    let rates: Vec<f64> = report.history.iter().map(|e| e.rate).collect();
    assert_eq!((counter.0.into_inner(), rates), (3, vec![0.1, 0.1, 0.05]));
}

#[test]
fn training_in_batches_is_the_gradient_of_the_mean() {
    // One step of SGD with a whole batch against the difference quotient of the loss, over lanes of different sizes.
    let data = spiral(130, 3);
    let graph = mlp(&[2, 3, 2], Initialisation::He, 5).unwrap();
    let rate = 0.5;
    let settings = Settings {
        batch: 130,
        optimiser: Optimiser::sgd(0.0, false),
        schedule: Schedule::constant(rate),
        ..settings(1)
    };
    let after = constants(&run(&graph, &data, &settings).graph);
    let before = constants(&graph);
    for (name, bits) in &before {
        let old: Vec<f32> = bits.iter().map(|b| f32::from_bits(*b)).collect();
        for (i, new) in after[name].iter().enumerate() {
            let shape = graph.nodes().find(|(_, n)| n.name == *name).unwrap().1.shape.clone();
            let loss = |step: f32| {
                let mut moved = old.clone();
                moved[i] += step;
                let values = BTreeMap::from([(name.clone(), Tensor::new(shape.clone(), moved))]);
                evaluate(&graph.with_constants(&values).unwrap(), &data).unwrap().loss
            };
            let slope = (loss(1e-2) - loss(-1e-2)) / 2e-2;
            let found = f64::from(old[i] - f32::from_bits(*new)) / rate;
            // Truncation, kinks that the step crosses, and sums in f32.
            assert!((found - slope).abs() < 3e-3, "{name}[{i}]: {found} {slope}");
        }
    }
    assert!(forward(&graph, &Tensor::new(vec![1, 2], vec![0.0_f32, 0.0])).is_ok());
}
