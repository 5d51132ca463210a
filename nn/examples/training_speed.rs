//! Steps a second of training, on one thread.
//!
//! ```text
//! cargo run --release -p secateur-nn --example training_speed [-- mlp|lenet300|lenet5|resnet20 …]
//! ```
//!
//! `training_speed.py` beside it runs this and PyTorch in turns. Inputs are random; no step depends on what they are.

use secateur_linalg::random::Random;
use secateur_nn::NnError;
use secateur_nn::data::{Dataset, Inputs, Targets};
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_nn::models::{Initialisation, ResNet, lenet_5, lenet_300_100, mlp};
use secateur_nn::train::{Settings, Silent, train};
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn random_data(shape: &[usize], classes: usize, count: usize) -> Result<Dataset, NnError> {
    let mut random = Random::new(0);
    let size: usize = shape.iter().product();
    let values = (0..size * count).map(|_| random.uniform(0.0, 1.0) as f32).collect();
    let inputs = Inputs::Dense { shape: shape.to_vec(), values: Arc::new(values) };
    let labels = (0..count).map(|_| random.index(classes)).collect();
    Dataset::new("random", inputs, Targets::Classes { classes, labels: Arc::new(labels) })
}

fn main() -> Result<(), NnError> {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let how = Initialisation::Uniform;
    // Name, network, shape of a sample, samples of a batch, steps.
    let cases: [(&str, Graph, &[usize], usize, usize); 4] = [
        ("mlp", mlp(&[17, 256, 256, 6], how, 0)?, &[17], 256, 400),
        ("lenet300", lenet_300_100(how, 0)?, &[784], 128, 300),
        ("lenet5", lenet_5(how, 0)?, &[1, 28, 28], 64, 100),
        ("resnet20", ResNet::cifar_20(16).build(how, 0)?, &[3, 32, 32], 64, 10),
    ];
    for (name, graph, shape, batch, steps) in cases {
        if !chosen.is_empty() && !chosen.iter().any(|c| c == name) {
            continue;
        }
        let classes = graph.node(graph.output()).shape[1];
        let data = random_data(shape, classes, batch * steps.min(50))?;
        let per_epoch = data.len() / batch;
        let epochs = steps.div_ceil(per_epoch);
        let settings = Settings { epochs, batch, threads: 1, ..Settings::default() };
        let begin = Instant::now();
        train(&graph, &data, None, &Masks::default(), &settings, &Silent)?;
        println!("{name} {:.2}", (epochs * per_epoch) as f64 / begin.elapsed().as_secs_f64());
    }
    Ok(())
}
