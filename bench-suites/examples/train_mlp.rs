//! Trains the fully connected networks of the experiments and writes them as ONNX.
//!
//! ```text
//! cargo run --release -p secateur-bench-suites --example train_mlp -- DATA mnist 50,50 20 1 OUT.onnx
//! ```
//!
//! Arguments: the directory of data, `mnist` or `cifar`, the hidden sizes, epochs, the seed, the file to write.
//! MNIST is read from its idx files. CIFAR-10 is read from `cifar/train/CLASS/*.jpg` with the class names below;
//! its test images from `cifar/cifar10_exact_subset.bin`. One thread; the same seed gives the same weights.
//!
//! The objective is cross-entropy, minimised by Adam with a step size that falls along a half cosine. Half of the
//! CIFAR-10 images are mirrored.

use secateur_bench_suites::images::{self, DataSet, Image};
use secateur_linalg::Tensor;
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op, Value};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const BATCH: usize = 128;
const RATE: f32 = 1e-3;
const DECAY: (f32, f32) = (0.9, 0.999);
const WEIGHT_DECAY: f32 = 1e-4;

/// One layer with the state of its optimiser.
struct Layer {
    inputs: usize,
    outputs: usize,
    /// Weights, row by row, then biases.
    values: Vec<f32>,
    gradient: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Layer {
    fn new(inputs: usize, outputs: usize, random: &mut Random) -> Self {
        let size = inputs * outputs + outputs;
        let mut values = vec![0.0; size];
        random.fill_normal(&mut values[..inputs * outputs], (2.0 / inputs as f64).sqrt());
        Self { inputs, outputs, values, gradient: vec![0.0; size], first: vec![0.0; size], second: vec![0.0; size] }
    }

    fn weight(&self) -> View<'_, f32> {
        View::new(&self.values[..self.inputs * self.outputs], self.outputs, self.inputs)
    }

    fn forward(&self, x: &[f32], batch: usize) -> Vec<f32> {
        let mut y = self.values[self.inputs * self.outputs..].repeat(batch);
        gemm(&mut y, View::new(x, batch, self.inputs), self.weight().t(), true);
        y
    }

    /// Takes the gradient at the outputs, keeps that of the weights, returns that at the inputs.
    fn backward(&mut self, x: &[f32], dy: &[f32], batch: usize) -> Vec<f32> {
        let (weights, biases) = self.gradient.split_at_mut(self.inputs * self.outputs);
        gemm(weights, View::new(dy, batch, self.outputs).t(), View::new(x, batch, self.inputs), false);
        biases.fill(0.0);
        for row in dy.chunks_exact(self.outputs) {
            biases.iter_mut().zip(row).for_each(|(b, d)| *b += d);
        }
        let mut dx = vec![0.0; batch * self.inputs];
        gemm(&mut dx, View::new(dy, batch, self.outputs), self.weight(), false);
        dx
    }

    fn step(&mut self, rate: f32, count: i32) {
        let (c1, c2) = (1.0 - DECAY.0.powi(count), 1.0 - DECAY.1.powi(count));
        let state = self.values.iter_mut().zip(&self.gradient).zip(self.first.iter_mut().zip(&mut self.second));
        for ((v, g), (m, s)) in state {
            *m = DECAY.0 * *m + (1.0 - DECAY.0) * g;
            *s = DECAY.1 * *s + (1.0 - DECAY.1) * g * g;
            *v -= rate * ((*m / c1) / ((*s / c2).sqrt() + 1e-8) + WEIGHT_DECAY * *v);
        }
    }
}

/// Outputs of every layer, after the ReLU but for the last.
fn forward(layers: &[Layer], x: Vec<f32>, batch: usize) -> Vec<Vec<f32>> {
    let mut values = vec![x];
    for (k, layer) in layers.iter().enumerate() {
        let mut y = layer.forward(values.last().expect("the input"), batch);
        if k + 1 < layers.len() {
            y.iter_mut().for_each(|v| *v = v.max(0.0));
        }
        values.push(y);
    }
    values
}

/// Cross-entropy of each row; turns the scores into its gradient.
fn cross_entropy(scores: &mut [f32], labels: &[usize], classes: usize) -> f32 {
    let mut loss = 0.0;
    for (row, label) in scores.chunks_exact_mut(classes).zip(labels) {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|v| (v - most).exp()).sum();
        loss += sum.ln() + most - row[*label];
        row.iter_mut().for_each(|v| *v = (*v - most).exp() / sum / labels.len() as f32);
        row[*label] -= 1.0 / labels.len() as f32;
    }
    loss / labels.len() as f32
}

fn accuracy(layers: &[Layer], images: &[Image]) -> f64 {
    let mut right = 0;
    for chunk in images.chunks(1000) {
        let x = chunk.iter().flat_map(|image| image.pixels.iter().map(|p| f32::from(*p) / 255.0)).collect();
        let values = forward(layers, x, chunk.len());
        let scores = values.last().expect("scores").chunks_exact(10);
        let best = |row: &[f32]| (0..10).max_by(|a, b| row[*a].total_cmp(&row[*b]));
        right += scores.zip(chunk).filter(|(row, image)| best(row) == Some(image.label)).count();
    }
    right as f64 / images.len() as f64
}

/// Training and test images.
fn load(data: &Path, set: DataSet) -> Result<(Vec<Image>, Vec<Image>), Box<dyn Error>> {
    let test = images::load(set, data)?;
    if set == DataSet::Mnist {
        return Ok((images::mnist(&data.join("mnist"), "train")?, test));
    }
    let mut train = Vec::new();
    for (label, class) in CLASSES.iter().enumerate() {
        let mut files: Vec<_> = std::fs::read_dir(data.join("cifar/train").join(class))?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        for file in files {
            let rgb = jpeg_decoder::Decoder::new(std::fs::File::open(&file)?).decode()?;
            // Planes, as in the binary files.
            let plane = |channel: usize| rgb.iter().skip(channel).step_by(3).copied();
            let pixels: Vec<u8> = (0..3).flat_map(plane).collect();
            train.push(Image { label, pixels });
        }
    }
    Ok((train, test))
}

fn graph(layers: &[Layer]) -> Result<Graph, Box<dyn Error>> {
    let mut b = GraphBuilder::new("image", vec![1, layers[0].inputs], ElementType::F32);
    let mut h = b.input();
    let value = |shape: Vec<usize>, data: &[f32]| Value::F32(Arc::new(Tensor::new(shape, data.to_vec())));
    for (k, layer) in layers.iter().enumerate() {
        let (weights, biases) = layer.values.split_at(layer.inputs * layer.outputs);
        let w = b.constant(format!("weight{k}"), value(vec![layer.outputs, layer.inputs], weights))?;
        let c = b.constant(format!("bias{k}"), value(vec![layer.outputs], biases))?;
        h =
            b.add(format!("linear{k}"), Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true }, &[h, w, c])?;
        if k + 1 < layers.len() {
            h = b.add(format!("relu{k}"), Op::Relu, &[h])?;
        }
    }
    Ok(b.finish(h)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, set, hidden, epochs, seed, out] = arguments.as_slice() else {
        return Err("expected: DATA mnist|cifar HIDDEN,HIDDEN EPOCHS SEED OUT.onnx".into());
    };
    let (set, epochs, seed): (DataSet, usize, u64) = (set.parse()?, epochs.parse()?, seed.parse()?);
    let hidden: Vec<usize> = hidden.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let (train, test) = load(Path::new(data), set)?;
    let mut random = Random::new(seed);
    let sizes: Vec<usize> = [train[0].pixels.len()].into_iter().chain(hidden).chain([10]).collect();
    let mut layers: Vec<Layer> = sizes.windows(2).map(|s| Layer::new(s[0], s[1], &mut random)).collect();
    let steps = epochs * train.len().div_ceil(BATCH);
    let mut count = 0;
    for epoch in 1..=epochs {
        let mut loss = 0.0;
        for batch in random.permutation(train.len()).chunks(BATCH) {
            let labels: Vec<usize> = batch.iter().map(|i| train[*i].label).collect();
            let mut x: Vec<f32> = Vec::with_capacity(batch.len() * sizes[0]);
            batch.iter().for_each(|i| x.extend(train[*i].pixels.iter().map(|p| f32::from(*p) / 255.0)));
            if set == DataSet::Cifar {
                mirror_some(&mut x, &mut random);
            }
            let mut values = forward(&layers, x, batch.len());
            let mut gradient = values.pop().expect("scores");
            loss += cross_entropy(&mut gradient, &labels, 10) * batch.len() as f32;
            count += 1;
            let rate = RATE * 0.5 * (1.0 + (std::f32::consts::PI * count as f32 / steps as f32).cos());
            for (k, layer) in layers.iter_mut().enumerate().rev() {
                gradient = layer.backward(&values[k], &gradient, batch.len());
                // The ReLU below, whose outputs these inputs are.
                if k > 0 {
                    gradient.iter_mut().zip(&values[k]).filter(|(_, h)| **h <= 0.0).for_each(|(g, _)| *g = 0.0);
                }
                layer.step(rate, count);
            }
        }
        let (on_train, on_test) = (accuracy(&layers, &train), accuracy(&layers, &test));
        println!("epoch {epoch}: loss {:.4}, train {on_train:.4}, test {on_test:.4}", loss / train.len() as f32);
    }
    secateur_nn::onnx::write(&graph(&layers)?, out)?;
    Ok(())
}

/// Mirrors half of the images: rows of 32 pixels.
fn mirror_some(x: &mut [f32], random: &mut Random) {
    for image in x.chunks_exact_mut(3072) {
        if random.unit() < 0.5 {
            image.chunks_exact_mut(32).for_each(<[f32]>::reverse);
        }
    }
}
