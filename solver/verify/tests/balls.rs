//! Verdicts on ℓ₁ and ℓ₂ balls cut to boxes.

use dashu_ratio::RBig;
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_nn::property::{Ball, Case, LinearConstraint, Norm, Property};
use secateur_verify::{Branching, Outcome, Settings, Silent, verify};
use std::sync::Arc;
use std::time::Duration;

fn rational(v: f64) -> RBig {
    RBig::try_from(v).expect("finite")
}

/// Dense layers with ReLUs between them; `draw` gives the weights.
fn network(sizes: &[usize], mut draw: impl FnMut() -> f32) -> Graph {
    let mut b = GraphBuilder::new("x", vec![1, sizes[0]], ElementType::F32);
    let mut h = b.input();
    let last = sizes.len() - 2;
    for (i, pair) in sizes.windows(2).enumerate() {
        let mut constant = |b: &mut GraphBuilder, name: String, shape: Vec<usize>| {
            let data: Vec<f32> = (0..shape.iter().product()).map(|_| draw()).collect();
            b.constant(name, Value::F32(Arc::new(secateur_linalg::Tensor::new(shape, data)))).expect("a constant")
        };
        let w = constant(&mut b, format!("w{i}"), vec![pair[1], pair[0]]);
        let c = constant(&mut b, format!("b{i}"), vec![pair[1]]);
        let gemm = Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
        h = b.add(format!("z{i}"), gemm, &[h, w, c]).expect("a layer");
        if i < last {
            h = b.add(format!("h{i}"), Op::Relu, &[h]).expect("an activation");
        }
    }
    b.finish(h).expect("a graph")
}

/// Whether output 0 falls to `bound` in the ball around 0 cut to the box.
fn question(inputs: usize, ends: (f64, f64), norm: Norm, radius: f64, bound: RBig) -> Property {
    let centre = vec![RBig::ZERO; inputs];
    let case = Case {
        lower: vec![rational(ends.0.max(-radius)); inputs],
        upper: vec![rational(ends.1.min(radius)); inputs],
        ball: Some(Ball { norm, centre, radius: rational(radius) }),
        unsafe_set: vec![vec![LinearConstraint {
            inputs: Vec::new(),
            outputs: vec![(0, RBig::ONE)],
            bound,
            strict: false,
        }]],
    };
    Property { inputs, outputs: 1, cases: vec![case], declared: None }
}

fn ask(graph: &Graph, property: &Property, branching: Branching) -> Outcome {
    let timeout = Some(Duration::from_secs(20));
    let settings = Settings { timeout, threads: 2, seed: 1, branching, ..Settings::default() };
    verify(graph, property, &settings, &Silent).expect("a verdict").outcome
}

/// An affine network is least at the dual norm of its weights: 3 x + 4 y on the ball of radius 2.
#[test]
fn affine_networks_are_decided_to_the_edge() {
    let mut weights = [3.0f32, 4.0, 0.0].into_iter();
    let graph = network(&[2, 1], || weights.next().expect("three"));
    for (norm, least) in [(Norm::L2, -10.0), (Norm::L1, -8.0)] {
        for branching in [Branching::Auto, Branching::Input, Branching::Kfsb] {
            let at = |shift: f64| question(2, (-5.0, 5.0), norm, 2.0, rational(least + shift));
            assert_eq!(ask(&graph, &at(-1e-4), branching), Outcome::Unsat, "{norm:?}, {branching}");
            let property = at(1e-3);
            let Outcome::Sat(witness) = ask(&graph, &property, branching) else { panic!("{norm:?}, {branching}") };
            assert!(property.cases[0].contains(&witness.input), "{norm:?}, {branching}");
        }
    }
}

/// No verdict contradicts a sample, each way of splitting agrees with the other, and both verdicts occur.
#[test]
fn verdicts_agree_with_samples_and_with_each_other() {
    let (mut sat, mut unsat) = (0, 0);
    for seed in 0..24u64 {
        let mut random = Random::new(seed);
        let graph = network(&[3, 8, 6, 1], || random.normal() as f32);
        let norm = [Norm::L1, Norm::L2][seed as usize % 2];
        let (radius, ends) = (0.8, (-0.5, 1.0));
        let evaluator = secateur_nn::eval::Evaluator::<f64>::new(&graph).expect("an evaluator");
        let value =
            |x: Vec<f64>| evaluator.forward(&secateur_linalg::Tensor::new(vec![1, 3], x)).expect("a value").data()[0];
        let mut least = f64::INFINITY;
        for _ in 0..4000 {
            let x: Vec<f64> =
                (0..3).map(|_| ends.0 + (ends.1 - ends.0) * random.unit()).map(|v: f64| v.min(radius)).collect();
            let ball = Ball { norm, centre: vec![RBig::ZERO; 3], radius: rational(radius) };
            if ball.contains(&x.iter().map(|v| rational(*v)).collect::<Vec<_>>()) {
                least = least.min(value(x));
            }
        }
        // Near the least value that was seen: below it nothing is known.
        for shift in [0.05, -0.15, -0.6] {
            let property = question(3, ends, norm, radius, rational(least + shift));
            let answers = [Branching::Input, Branching::Kfsb].map(|branching| ask(&graph, &property, branching));
            for answer in &answers {
                match answer {
                    Outcome::Sat(witness) => {
                        assert!(property.cases[0].contains(&witness.input), "seed {seed}");
                        sat += 1;
                    }
                    Outcome::Unsat => {
                        assert!(shift < 0.0, "seed {seed}: a sample is unsafe");
                        unsat += 1;
                    }
                    _ => {}
                }
            }
            let [a, b] = answers.map(|answer| match answer {
                Outcome::Sat(_) => Some(true),
                Outcome::Unsat => Some(false),
                _ => None,
            });
            assert!(a.is_none() || b.is_none() || a == b, "seed {seed}, {shift}");
        }
    }
    assert!(sat >= 40 && unsat >= 60, "{sat} sat, {unsat} unsat");
}
