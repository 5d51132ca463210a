//! What must not matter: the order of neurons, the scale of a ReLU layer, how a layer is written, threads, batches.

use dashu_ratio::RBig;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_nn::property::{Case, LinearConstraint, Property};
use secateur_tests::dense::{Dense, Layer};
use secateur_tests::pieces::{minimum, pieces};
use secateur_tests::proofs::{Kept, accepted};
use secateur_verify::bounds::{self, Boxes, Method};
use secateur_verify::lower::lower;
use secateur_verify::{Branching, Outcome, Settings, Silent, alpha, verify_traced};
use std::sync::Arc;

fn half(exponent: usize) -> RBig {
    RBig::from_parts(1.into(), dashu_int::UBig::ONE << exponent)
}

/// The same function with the hidden neurons in another order.
fn permuted(network: &Dense, random: &mut Random) -> Dense {
    let mut layers = network.layers.clone();
    for index in 1..layers.len() {
        let size = layers[index - 1].bias.len();
        let mut order: Vec<usize> = (0..size).collect();
        (1..size).rev().for_each(|i| order.swap(i, random.index(i + 1)));
        let before = layers[index - 1].clone();
        layers[index - 1].weights = order.iter().map(|i| before.weights[*i].clone()).collect();
        layers[index - 1].bias = order.iter().map(|i| before.bias[*i]).collect();
        for row in &mut layers[index].weights {
            *row = order.iter().map(|i| row[*i]).collect();
        }
    }
    Dense { layers }
}

/// The same function: each hidden neuron times a power of two, which the next layer takes back.
fn scaled(network: &Dense, random: &mut Random) -> Dense {
    let mut layers = network.layers.clone();
    for index in 1..layers.len() {
        for neuron in 0..layers[index - 1].bias.len() {
            let factor = 2.0f32.powi(random.index(9) as i32 - 4);
            layers[index - 1].weights[neuron].iter_mut().for_each(|w| *w *= factor);
            layers[index - 1].bias[neuron] *= factor;
            layers[index].weights.iter_mut().for_each(|row| row[neuron] /= factor);
        }
    }
    Dense { layers }
}

/// The same function: each layer is two products, one for the first rows and one for the others; and what they give is
/// multiplied by a matrix and its inverse before the last.
fn divided(network: &Dense) -> Graph {
    let inputs = network.layers[0].weights[0].len();
    let mut builder = GraphBuilder::new("x", vec![1, inputs], ElementType::F32);
    let mut last = builder.input();
    let product = |builder: &mut GraphBuilder, name: &str, x: NodeId, rows: &[Vec<f32>], bias: &[f32]| {
        let weights = Tensor::new(vec![rows.len(), rows[0].len()], rows.concat());
        let w = builder.constant(format!("w{name}"), Value::F32(Arc::new(weights))).expect("a constant");
        let b = Tensor::vector(bias.to_vec());
        let b = builder.constant(format!("b{name}"), Value::F32(Arc::new(b))).expect("a constant");
        let gemm = Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
        builder.add(format!("z{name}"), gemm, &[x, w, b]).expect("fits")
    };
    for (index, Layer { weights, bias }) in network.layers.iter().enumerate() {
        if index > 0 {
            last = builder.add(format!("relu{index}"), Op::Relu, &[last]).expect("fits");
        }
        let middle = weights.len() / 2;
        let first = product(&mut builder, &format!("{index}a"), last, &weights[..middle], &bias[..middle]);
        let second = product(&mut builder, &format!("{index}b"), last, &weights[middle..], &bias[middle..]);
        last = builder.add(format!("both{index}"), Op::Concat { axis: 1 }, &[first, second]).expect("fits");
        // x ↦ (x_1 + x_2, x_2, …) and back.
        let size = weights.len();
        for (name, entry) in [("forth", 1.0), ("back", -1.0)] {
            let row = |i: usize| {
                (0..size).map(move |j| {
                    if i == j {
                        1.0
                    } else if (i, j) == (0, 1) {
                        entry
                    } else {
                        0.0
                    }
                })
            };
            let rows: Vec<Vec<f32>> = (0..size).map(|i| row(i).collect()).collect();
            last = product(&mut builder, &format!("{index}{name}"), last, &rows, &vec![0.0; size]);
        }
    }
    builder.finish(last).expect("a network")
}

/// Some output, of the first two, at or below its threshold.
fn property(bounds: &[RBig]) -> Property {
    let at_most = |(output, bound): (usize, &RBig)| {
        let outputs = vec![(output, RBig::ONE)];
        vec![LinearConstraint { inputs: Vec::new(), outputs, bound: bound.clone(), strict: false }]
    };
    let unsafe_set = bounds.iter().enumerate().map(at_most).collect();
    let case = Case { lower: vec![-RBig::ONE; 2], upper: vec![RBig::ONE; 2], ball: None, unsafe_set };
    Property { inputs: 2, outputs: 3, cases: vec![case], declared: None }
}

#[test]
fn verdicts_stay_the_same() {
    let mut random = Random::new(41);
    let settings = [
        (Branching::Auto, 1),
        (Branching::Auto, 3),
        (Branching::Input, 2),
        (Branching::Kfsb, 1),
        (Branching::Kfsb, 2),
        (Branching::Babsr, 1),
    ];
    for round in 0..12 {
        let sizes: &[usize] = if round % 2 == 0 { &[2, 7, 6, 3] } else { &[2, 6, 5, 5, 3] };
        let network = Dense::random(sizes, &mut random);
        let pieces = pieces(&network, &[-RBig::ONE, -RBig::ONE], &[RBig::ONE, RBig::ONE]);
        let least: Vec<RBig> = (0..2).map(|j| minimum(&pieces, j)).collect();
        let margin = half(4 + round % 8);
        let sat = property(&[&least[0] - &margin, &least[1] + &margin]);
        let unsat = property(&[&least[0] - &margin, &least[1] - &margin]);
        let graphs = [
            network.graph().expect("fits"),
            network.reversed().graph().expect("fits"),
            permuted(&network, &mut random).graph().expect("fits"),
            scaled(&network, &mut random).graph().expect("fits"),
            divided(&network),
        ];
        for (form, graph) in graphs.iter().enumerate() {
            for (branching, threads) in settings {
                let settings = Settings { branching, threads, ..Settings::default() };
                let ask = |property: &Property, kept: &mut Kept| {
                    verify_traced(graph, property, &settings, &Silent, Some(kept)).expect("supported").outcome
                };
                let name = format!("round {round}, form {form}, {branching:?} on {threads}");
                assert!(matches!(ask(&sat, &mut Kept::default()), Outcome::Sat(_)), "{name}");
                let mut kept = Kept::default();
                assert_eq!(ask(&unsat, &mut kept), Outcome::Unsat, "{name}");
                accepted(graph, &unsat, &kept.0).unwrap_or_else(|why| panic!("{name}: {why}"));
            }
        }
    }
}

#[test]
fn bounds_stay_the_same() {
    let mut random = Random::new(43);
    let ascent = alpha::Params { steps: 10, alpha_rate: 0.25, beta_rate: 0.0, decay: 0.95 };
    for round in 0..20 {
        let network = Dense::random(&[3, 9, 8, 7, 4], &mut random);
        let corner: Vec<f64> = (0..3).map(|_| random.uniform(-1.0, 0.5)).collect();
        let upper: Vec<f64> = corner.iter().map(|l| l + 0.7).collect();
        let graphs = [
            network.graph().expect("fits"),
            permuted(&network, &mut random).graph().expect("fits"),
            scaled(&network, &mut random).graph().expect("fits"),
        ];
        for method in [Method::Crown, Method::AlphaCrown(ascent)] {
            let of = |graph: &Graph, batch: usize| {
                let network = lower(graph).expect("supported");
                let boxes = Boxes::one(&corner, &upper, None).repeat(batch);
                // Those of the outputs are intervals on top of tight hidden layers; through the more layers of a divided
                // network intervals would be wider.
                let (found, _) = bounds::bound(&network, &boxes, method, &[], &|| false);
                let output = network.output();
                (found.lower[output].clone(), found.upper[output].clone())
            };
            let (l, u) = of(&graphs[0], 1);
            let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-9 * (1.0 + a.abs()));
            for batch in [2, 7] {
                let (many_l, many_u) = of(&graphs[0], batch);
                assert!(
                    close(&many_l, &l.repeat(batch)) && close(&many_u, &u.repeat(batch)),
                    "round {round}, {batch} boxes"
                );
            }
            for (form, graph) in graphs.iter().enumerate() {
                let (other_l, other_u) = of(graph, 1);
                assert!(
                    close(&other_l, &l) && close(&other_u, &u),
                    "round {round}, form {form}: {other_l:?} and {l:?}"
                );
            }
        }
    }
}
