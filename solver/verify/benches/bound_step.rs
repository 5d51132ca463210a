//! The products that dominate the search, in the shapes that the search gives them.
//!
//! `acasxu`: 32 boxes of a 5–50×6–5 network, every open ReLU bounded again. `mnist`: 16 subproblems'
//! worth of rows of a 784–256×4–10 network taken to the input, and a plain product of that shape.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use secateur_linalg::Tensor;
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::random::Random;
use secateur_nn::graph::GraphBuilder;
use secateur_nn::op::{ElementType, Op, Value};
use secateur_verify::bounds::{self, Boxes, Method};
use secateur_verify::crown::{Multipliers, Rows, back_substitute};
use secateur_verify::lower::lower;
use secateur_verify::network::Network;
use std::hint::black_box;
use std::sync::Arc;

/// A dense ReLU network with normal weights of variance 2 / inputs.
fn network(widths: &[usize]) -> Network<f32> {
    let mut random = Random::new(1);
    let mut builder = GraphBuilder::new("x", vec![1, widths[0]], ElementType::F32);
    let mut x = builder.input();
    for (k, pair) in widths.windows(2).enumerate() {
        let mut weight = vec![0.0f32; pair[0] * pair[1]];
        random.fill_normal(&mut weight, (2.0 / pair[0] as f64).sqrt());
        let weight = Value::F32(Arc::new(Tensor::new(vec![pair[1], pair[0]], weight)));
        let weight = builder.constant(format!("w{k}"), weight).expect("finite");
        let op = Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
        x = builder.add(format!("z{k}"), op, &[x, weight]).expect("shapes fit");
        if k + 2 < widths.len() {
            x = builder.add(format!("h{k}"), Op::Relu, &[x]).expect("shapes fit");
        }
    }
    lower(&builder.finish(x).expect("a graph")).expect("supported").cast()
}

fn boxes(inputs: usize, batch: usize, radius: f32) -> Boxes<f32> {
    let mut random = Random::new(2);
    let centre: Vec<f32> = (0..batch * inputs).map(|_| random.uniform(-0.5, 0.5) as f32).collect();
    let corner = |sign: f32| centre.iter().map(|c| c + sign * radius).collect();
    Boxes { batch, lower: corner(-1.0), upper: corner(1.0), balls: Vec::new() }
}

fn acasxu(c: &mut Criterion) {
    let network = network(&[5, 50, 50, 50, 50, 50, 50, 5]);
    let boxes = boxes(5, 32, 0.05);
    let mut group = c.benchmark_group("acasxu");
    group.throughput(Throughput::Elements(32));
    group.bench_function("32 boxes", |b| {
        b.iter(|| bounds::bound(&network, black_box(&boxes), Method::Crown, &[], &|| false));
    });
    group.finish();
}

fn mnist(c: &mut Criterion) {
    let network = network(&[784, 256, 256, 256, 256, 10]);
    let (bounds, magnitudes) = bounds::bound(&network, &boxes(784, 1, 0.02), Method::Crown, &[], &|| false);
    let last = network.activations().map(|(_, source, _)| source).max().expect("ReLUs");
    let neurons: Vec<(u32, u32, f32)> = (0..1024u32).map(|r| (0, r % 256, if r < 512 { 1.0 } else { -1.0 })).collect();
    let products = 1024 * (256 * 256 * 2 + 784 * 256);
    let mut group = c.benchmark_group("mnist");
    group.throughput(Throughput::Elements(products as u64));
    group.bench_function("1024 rows to the input", |b| {
        b.iter(|| {
            let rows = Rows::units(&network, &magnitudes, last, &neurons);
            back_substitute(&network, &magnitudes, &bounds.lines, rows, Multipliers::NONE, false)
        });
    });
    let (a, w) = (vec![0.5f32; 1024 * 256], vec![0.25f32; 256 * 784]);
    let mut out = vec![0.0f32; 1024 * 784];
    group.throughput(Throughput::Elements(1024 * 256 * 784));
    group.bench_function("1024 × 256 × 784 product", |b| {
        b.iter(|| gemm(black_box(&mut out), View::new(&a, 1024, 256), View::new(&w, 256, 784), false));
    });
    group.finish();
}

criterion_group!(benches, acasxu, mnist);
criterion_main!(benches);
