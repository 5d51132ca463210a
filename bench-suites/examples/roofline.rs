//! Ceilings of this machine and how far below them the bound step is, as a table in Markdown.
//!
//!     cargo run --release -p secateur-bench-suites --example roofline
//!     SECATEUR_BENCH=DIR cargo run …        # with networks of the public suites in DIR
//!
//! The last table has batches of all sizes, on all cores and on a CUDA device where there is one.
//!
//! One thread each but there; every time is the median of several runs. Operations are those of the matrix products alone (two for each
//! weight that is not zero, or for each tap of a convolution); bytes are those of the matrices and of the coefficients that are
//! read and written once per layer.

use rayon::prelude::*;
use secateur_linalg::device::Cuda;
use secateur_linalg::gemm::{View, gemm};
use secateur_linalg::{Csr, Scalar};
use secateur_nn::{onnx, vnnlib};
use secateur_verify::Accelerator;
use secateur_verify::alpha::{self, Slopes};
use secateur_verify::bounds::{self, Boxes, Method};
use secateur_verify::crown::{Multipliers, Rows, back_substitute};
use secateur_verify::device::Home;
use secateur_verify::linear::Linear;
use secateur_verify::lower::lower;
use secateur_verify::network::{Kind, Network};
use secateur_verify::reduce::{Reduction, reduce};
use secateur_verify::rounding::Magnitudes;
use secateur_verify::specification::{self, Objective, Specification};
use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Rows that go through a step together.
const ROWS: usize = 64;

/// The median of the seconds of one call.
fn seconds(mut call: impl FnMut()) -> f64 {
    let begin = Instant::now();
    call();
    let once = begin.elapsed().as_secs_f64();
    let repeats = ((0.02 / once.max(1e-9)) as usize).clamp(1, 100_000);
    let mut times: Vec<f64> = (0..7)
        .map(|_| {
            let begin = Instant::now();
            (0..repeats).for_each(|_| call());
            begin.elapsed().as_secs_f64() / repeats as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn product<T: Scalar>(m: usize, k: usize, n: usize) -> f64 {
    let (a, b) = (vec![T::ONE; m * k], vec![T::ONE; k * n]);
    let mut c = vec![T::ZERO; m * n];
    let time = seconds(|| gemm(black_box(&mut c), View::new(&a, m, k), View::new(&b, k, n), false));
    2e-9 * (m * k * n) as f64 / time
}

/// GB/s of a sum over an array of so many bytes.
fn bandwidth(bytes: usize) -> f64 {
    let data = vec![1.0f32; bytes / 4];
    let sum = |data: &[f32]| {
        let mut lanes = [0.0f32; 64];
        data.chunks_exact(64).for_each(|chunk| lanes.iter_mut().zip(chunk).for_each(|(lane, v)| *lane += v));
        lanes.iter().sum::<f32>()
    };
    1e-9 * bytes as f64
        / seconds(|| {
            black_box(sum(black_box(&data)));
        })
}

fn ceilings() {
    println!("| ceiling, one thread | |\n|---|---|");
    for (m, k, n) in [(64, 50, 50), (64, 256, 256), (64, 400, 784), (64, 400, 3072), (512, 512, 512)] {
        println!("| product {m} × {k} × {n} in f32 | {:.0} GFLOP/s |", product::<f32>(m, k, n));
    }
    println!("| product 512 × 512 × 512 in f64 | {:.0} GFLOP/s |", product::<f64>(512, 512, 512));
    let stripes = (0..400).map(|r: usize| (0..48).map(|c| ((r * 7 + c * 61) % 3072, 1.0f32)).collect());
    let sparse = Csr::from_rows(3072, stripes);
    let (x, mut y) = (vec![1.0f32; 64 * 400], vec![0.0f32; 64 * 3072]);
    let time = seconds(|| sparse.multiply_add_transposed(black_box(&x), 64, &mut y));
    println!(
        "| product 64 × 400 × 3072, 48 weights a row, sparse | {:.0} GFLOP/s |",
        2e-9 * (64 * 400 * 48) as f64 / time
    );
    for (name, bytes) in [("first-level cache", 16 << 10), ("second-level cache", 512 << 10), ("memory", 512 << 20)] {
        println!("| read from {name} | {:.0} GB/s |", bandwidth(bytes));
    }
    println!();
}

/// Operations and bytes of one back-substitution of `rows` rows of the output.
fn work(network: &Network<f32>, rows: usize) -> (f64, f64) {
    let (mut operations, mut bytes) = (0.0, 0.0);
    for layer in &network.layers {
        bytes += 8.0 * (rows * layer.size) as f64;
        if let Kind::Affine(affine) = &layer.kind {
            for (_, map) in &affine.terms {
                let stored = match map {
                    Linear::Identity { .. } | Linear::Select { .. } => 0,
                    Linear::Convolution(c) | Linear::Transposed(c) => c.weight().len(),
                    _ => map.products(),
                };
                operations += 2.0 * (rows * map.products()) as f64;
                bytes += 4.0 * stored as f64;
            }
        }
    }
    (operations, bytes)
}

/// Steps of an ascent whose time is taken for a batch, and rows that a core takes at once.
const STEPS: usize = 10;
const CHUNK: usize = 64;

struct Question {
    network: Network<f32>,
    magnitudes: Magnitudes<f32>,
    bounds: bounds::Bounds<f32>,
    boxes: Boxes<f32>,
    objective: Objective<f32>,
}

impl Question {
    fn rows(&self, batch: usize) -> Rows<f32> {
        let pairs: Vec<(u32, &Objective<f32>)> = (0..batch as u32).map(|_| (0, &self.objective)).collect();
        specification::rows(&self.network, &self.magnitudes, &pairs)
    }

    fn report(&self, name: &str) {
        let (operations, bytes) = work(&self.network, ROWS);
        let rows = self.rows(ROWS);
        let (network, magnitudes, lines) = (&self.network, &self.magnitudes, &self.bounds.lines);
        let back = seconds(|| {
            drop(black_box(back_substitute(network, magnitudes, lines, rows.clone(), Multipliers::NONE, false)));
        });
        let ascent = |steps| {
            let params = alpha::Params { steps, alpha_rate: 0.1, beta_rate: 0.1, decay: 0.9 };
            let slopes = Slopes::initial(network, lines, &rows.domain, &[]);
            let never = |_: usize, _: f32| false;
            seconds(|| {
                let slopes = slopes.clone();
                let (bounds, boxes) = (&self.bounds, &self.boxes);
                drop(black_box(alpha::optimise(network, magnitudes, bounds, boxes, &rows, &[], slopes, params, never)));
            })
        };
        let step = (ascent(5) - ascent(1)) / 4.0;
        let entries: usize = network.layers.iter().map(|layer| layer.size).sum();
        println!(
            "| {name} | {entries} | {:.2} | {:.1} | {:.0} | {:.0} | {:.1} | {:.0} | {:.0} |",
            operations / ROWS as f64 * 1e-6,
            operations / bytes,
            1e6 * back / ROWS as f64,
            1e-9 * operations / back,
            1e-9 * bytes / back,
            1e6 * step / ROWS as f64,
            2e-9 * operations / step,
        );
    }
}

impl Question {
    /// Rows a second that an ascent takes, for batches of several sizes.
    fn batches(&self, name: &str, device: Option<&Arc<Accelerator>>) {
        let params = alpha::Params { steps: STEPS, alpha_rate: 0.1, beta_rate: 0.1, decay: 0.9 };
        let ascend = |network: &Network<f32>, count: usize| {
            let rows = self.rows(count);
            let slopes = Slopes::initial(network, &self.bounds.lines, &rows.domain, &[]);
            let (magnitudes, bounds, boxes) = (&self.magnitudes, &self.bounds, &self.boxes);
            let never = |_: usize, _: f32| false;
            drop(black_box(alpha::optimise(network, magnitudes, bounds, boxes, &rows, &[], slopes, params, never)));
        };
        for power in 0..8 {
            let count = 4usize.pow(power);
            let cores = seconds(|| {
                let starts: Vec<usize> = (0..count).step_by(CHUNK).collect();
                starts.par_iter().for_each(|first| ascend(&self.network, CHUNK.min(count - first)));
            });
            let there = device.map(|device| {
                let network = Network { home: Home::new(Some(device.clone())), ..self.network.clone() };
                ascend(&network, count);
                seconds(|| ascend(&network, count))
            });
            let rate = |seconds: f64| format!("{:.0}", count as f64 / seconds);
            println!("| {name} | {count} | {} | {} |", rate(cores), there.map_or("–".to_owned(), rate));
        }
    }
}

fn ask(name: &str, model: &Path, property: &Path) -> Result<Vec<(String, Question)>, Box<dyn Error>> {
    let graph = onnx::read(model)?;
    let property = vnnlib::read(property)?;
    let precise = lower(&graph)?;
    let network = precise.cast::<f32>();
    let region = Specification::<f32>::new(&property).regions.remove(0);
    let boxes = region.boxes();
    let (bounds, magnitudes) = bounds::bound(&network, &boxes, Method::Crown, &[], &|| false);
    let objective = region.disjuncts.first().and_then(|d| d.first()).ok_or("the property has no constraint")?.clone();
    let small = reduce(&precise, &bounds);
    let whole = Question { network, magnitudes, bounds, boxes: boxes.clone(), objective: objective.clone() };
    let mut questions = vec![(name.to_owned(), whole)];
    if let Some(Reduction { network, bounds, magnitudes, .. }) = small {
        questions.push((format!("{name}, reduced"), Question { network, magnitudes, bounds, boxes, objective }));
    }
    questions.iter().for_each(|(name, question)| question.report(name));
    Ok(questions)
}

/// The last question of each network, which is the one that a search asks, in batches.
fn batches(questions: &[(String, Question)]) {
    let device = match Cuda::open() {
        Ok(cuda) => Some(Arc::new(Accelerator::of(cuda))),
        Err(reason) => {
            eprintln!("no device: {reason}");
            None
        }
    };
    println!("\n| ascent of {STEPS} steps | rows | rows a second, all cores | on the device |\n|---|---|---|---|");
    questions.iter().for_each(|(name, question)| question.batches(name, device.as_ref()));
    // A device that failed was left alone, and its column holds the processor's numbers.
    if let Some(used) = device.and_then(|device| device.used()) {
        println!("\nThe device was {used}.");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    ceilings();
    println!(
        "| bound step, {ROWS} rows | entries | Mop a row | op / byte | back µs a row | GFLOP/s | GB/s | ascent step µs a row | GFLOP/s |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut questions = ask("acasxu 1_1", &examples.join("acasxu_1_1.onnx"), &examples.join("prop_3.vnnlib"))?;
    let Some(suites) = std::env::var_os("SECATEUR_BENCH").map(PathBuf::from) else {
        eprintln!("SECATEUR_BENCH is not set: networks of the public suites are left out");
        batches(&questions);
        return Ok(());
    };
    for (name, model, property) in [
        ("mnist_fc 256x4", "mnist_fc/onnx/mnist-net_256x4.onnx.gz", "mnist_fc/vnnlib/prop_6_0.03.vnnlib.gz"),
        (
            "oval21 deep",
            "oval21/onnx/cifar_deep_kw.onnx.gz",
            "oval21/vnnlib/cifar_deep_kw-img1052-eps0.010718954248366015.vnnlib.gz",
        ),
        (
            "cifar10 resnet_2b",
            "cifar10_resnet/onnx/resnet_2b.onnx.gz",
            "cifar10_resnet/vnnlib_properties_pgd_filtered/resnet2b_pgd_filtered/prop_4_eps_0.008.vnnlib.gz",
        ),
    ] {
        questions.extend(ask(name, &suites.join(model), &suites.join(property))?.pop());
    }
    batches(&questions);
    Ok(())
}
