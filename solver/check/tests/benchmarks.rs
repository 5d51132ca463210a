//! Networks of public benchmark suites: exact values agree with evaluation in `f64`, and in time.
//!
//! Set `SECATEUR_BENCH` to the folder of suites to run these.

use secateur_check::{Precision, dyadic, evaluate};
use secateur_linalg::Tensor;
use secateur_nn::eval::forward;
use secateur_nn::onnx;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A network's file below the suites, and the time that one evaluation may take.
const NETWORKS: [(&str, u64); 17] = [
    ("acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx.gz", 200),
    ("mnist_fc/onnx/mnist-net_256x6.onnx.gz", 3_000),
    ("cifar10_resnet/onnx/resnet_2b.onnx.gz", 60_000),
    ("cifar10_resnet/onnx/resnet_4b.onnx.gz", 60_000),
    ("tllverifybench/onnx/tllBench_n=2_N=M=64_m=1_instance_7_0.onnx.gz", 60_000),
    ("collins_rul_cnn/onnx/NN_rul_full_window_40.onnx.gz", 60_000),
    ("dist_shift/onnx/mnist_concat.onnx.gz", 60_000),
    ("cora/onnx/mnist-trades.onnx.gz", 60_000),
    ("linearizenn/onnx/AllInOne_10_10.onnx.gz", 60_000),
    ("oval21/onnx/cifar_base_kw.onnx.gz", 60_000),
    ("sri_resnet_a/onnx/resnet_3b2_bn_mixup_adv_4.0_bs128_lr-1.onnx.gz", 60_000),
    ("marabou_cifar10/nets/cifar10_small.onnx.gz", 60_000),
    ("safenlp/onnx/medical/perturbations_0.onnx.gz", 60_000),
    ("reach_prob_density/onnx/vdp.onnx.gz", 60_000),
    ("rl_benchmarks/onnx/lunarlander.onnx.gz", 60_000),
    ("test/test_nano.onnx.gz", 60_000),
    ("vit/onnx/pgd_2_3_16.onnx.gz", 120_000),
];

#[test]
fn exact_values_agree_with_f64() {
    let Some(root) = std::env::var_os("SECATEUR_BENCH").map(PathBuf::from) else {
        println!("skipped: SECATEUR_BENCH is not set");
        return;
    };
    for (file, limit) in NETWORKS {
        let graph = onnx::read(root.join(file)).unwrap();
        let shape = graph.node(graph.input()).shape.clone();
        let count: usize = shape.iter().product();
        let input: Vec<f64> = (0..count).map(|i| ((i * 37 + 11) % 101) as f64 / 101.0).collect();
        let point: Vec<_> = input.iter().map(|v| dyadic(*v).unwrap()).collect();
        let floats = forward(&graph, &Tensor::new(shape, input)).unwrap();
        let size = floats.data().iter().fold(1.0, |size: f64, v| size.max(v.abs()));
        for precision in [Precision::ROUNDED, Precision::EXACT] {
            let start = Instant::now();
            let outputs = evaluate(&graph, &point, precision).unwrap();
            let time = start.elapsed();
            let gap = outputs
                .iter()
                .zip(floats.data())
                .map(|(y, v)| (y.lower.to_f64().value() - v).abs().max((y.upper.to_f64().value() - v).abs()))
                .fold(0.0, f64::max);
            let exact = outputs.iter().all(|y| y.is_exact());
            println!("{file} rounded {}: {time:?}, off by {gap:e}, exact {exact}", precision.rounded);
            // Rounding errors of f64 along the network stay far below this; a wrong operator does not.
            assert!(gap < 1e-9 * size, "{file}: off by {gap} of {size}");
            assert!(!precision.rounded || time < Duration::from_millis(limit), "{file} took {time:?}");
        }
    }
}
