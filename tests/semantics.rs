//! Verdicts about executions in single precision.

use dashu_ratio::RBig;
use secateur_check::proof::Rejection;
use secateur_check::proof::format::{Record, Witness};
use secateur_check::semantics::{Semantics, admit};
use secateur_check::single::{Single, execute};
use secateur_check::{CheckError, Enclosure};
use secateur_linalg::random::Random;
use secateur_linalg::{Scalar, Tensor};
use secateur_nn::eval::Evaluator;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_nn::property::{Case, LinearConstraint, Property};
use secateur_nn::{onnx, vnnlib};
use secateur_tests::curves::{self, Segment};
use secateur_tests::dense::Dense;
use secateur_tests::proofs::{Kept, accepted_as};
use secateur_tests::root;
use secateur_verify::bounds::{self, Boxes, Method};
use secateur_verify::lower::lower_as;
use secateur_verify::{Outcome, Settings, Silent, verify_traced};
use std::sync::Arc;
use std::time::Duration;

fn exact(v: f32) -> RBig {
    RBig::try_from(v).expect("finite")
}

fn number(v: &RBig) -> f32 {
    v.to_f64().value() as f32
}

/// Any finite number, small and large ones, and neighbours of others.
fn any(random: &mut Random) -> f32 {
    loop {
        let bits = match random.index(3) {
            0 => random.bits() as u32,
            1 => (random.bits() as u32 & 0x807f_ffff) | (100 + random.index(60) as u32) << 23,
            _ => (random.bits() as u32 & 0x8000_0007) | (random.index(255) as u32) << 23,
        };
        let value = f32::from_bits(bits);
        if value.is_finite() {
            return value;
        }
    }
}

#[test]
fn sums_and_products_are_those_of_the_machine() {
    let mut random = Random::new(3);
    let same = |found: Option<Single>, value: f32, what: &str| match found {
        None => assert!(value.is_infinite(), "{what}: {value} has no number"),
        Some(found) => assert_eq!(number(&found.dyadic().to_rational()), value, "{what}"),
    };
    for _ in 0..400_000 {
        let (a, b) = (any(&mut random), any(&mut random));
        let [x, y] = [a, b].map(|v| Single::stored(v).expect("finite"));
        assert_eq!(x.dyadic().to_rational(), exact(a));
        same(x.plus(y), a + b, &format!("{a:e} + {b:e}"));
        same(x.times(y), a * b, &format!("{a:e} * {b:e}"));
    }
}

/// A network with the executor's order, written down once more.
fn left_to_right(network: &Dense, x: &[f32]) -> Vec<f32> {
    let mut values = x.to_vec();
    for (index, layer) in network.layers.iter().enumerate() {
        if index > 0 {
            values.iter_mut().for_each(|v| *v = v.max(0.0));
        }
        let row = |(weights, bias): (&Vec<f32>, &f32)| {
            weights.iter().zip(&values).fold(0.0, |sum, (w, v)| sum + w * v) + bias
        };
        values = layer.weights.iter().zip(&layer.bias).map(row).collect();
    }
    values
}

/// The same in a random order, with products fused or not and small results flushed.
fn in_any_order(network: &Dense, x: &[f32], random: &mut Random) -> Vec<f32> {
    let mut values = x.to_vec();
    for (index, layer) in network.layers.iter().enumerate() {
        if index > 0 {
            values.iter_mut().for_each(|v| *v = v.max(0.0));
        }
        let mut next = Vec::new();
        for (weights, bias) in layer.weights.iter().zip(&layer.bias) {
            let mut sums: Vec<f32> = weights.iter().zip(&values).map(|(w, v)| w * v).collect();
            sums.push(*bias);
            if random.index(3) == 0 {
                sums = vec![weights.iter().zip(&values).rev().fold(*bias, |sum, (w, v)| w.mul_add(*v, sum))];
            }
            // Any tree: two of the summands become one.
            while sums.len() > 1 {
                let a = sums.swap_remove(random.index(sums.len()));
                let b = sums.swap_remove(random.index(sums.len()));
                let sum = a + b;
                sums.push(if sum.is_subnormal() { 0.0 } else { sum });
            }
            next.push(sums[0]);
        }
        values = next;
    }
    values
}

fn wide(sizes: &[usize], random: &mut Random) -> Dense {
    let mut network = Dense::random(sizes, random);
    for layer in &mut network.layers {
        // Weights of 24 bits, so that products round.
        layer.weights.iter_mut().flatten().chain(&mut layer.bias).for_each(|w| *w *= 1.0 + random.unit() as f32);
    }
    network
}

#[test]
fn the_execution_is_left_to_right() {
    let mut random = Random::new(4);
    for _ in 0..50 {
        let network = wide(&[4, 9, 7, 3], &mut random);
        let graph = network.graph().expect("shapes fit");
        let x: Vec<f32> = (0..4).map(|_| random.uniform(-1.0, 1.0) as f32).collect();
        let point: Vec<RBig> = x.iter().map(|v| exact(*v)).collect();
        let found: Vec<f32> = execute(&graph, &point).expect("in range").iter().map(number).collect();
        assert_eq!(found, left_to_right(&network, &x));
    }
}

/// Bounds of all layers' outputs on a box.
fn output_bounds<T: Scalar>(graph: &Graph, lower: &[f64], upper: &[f64], method: Method) -> Vec<(f64, f64)> {
    let network = lower_as(graph, Semantics::Single).expect("supported").cast::<T>();
    let [low, high] = [lower, upper].map(|v| v.iter().map(|v| T::from_f64(*v)).collect::<Vec<_>>());
    let (found, magnitudes) = bounds::bound(&network, &Boxes::one(&low, &high, None), method, &[], &|| false);
    let size = network.outputs();
    let rows = |sign: T| {
        let mut rows = secateur_verify::crown::Rows::new(network.layers.len(), vec![0; size]);
        let mut unit = vec![T::ZERO; size * size];
        (0..size).for_each(|j| unit[j * size + j] = sign);
        rows.coefficients[network.output()] = Some(unit);
        let none = secateur_verify::crown::Multipliers::NONE;
        let form = secateur_verify::crown::back_substitute(&network, &magnitudes, &found.lines, rows, none, false);
        (0..size).map(|j| form.box_minimum(j, &low, &high).to_f64()).collect::<Vec<f64>>()
    };
    rows(T::ONE).into_iter().zip(rows(-T::ONE)).map(|(l, minus_u)| (l, -minus_u)).collect()
}

#[test]
fn every_order_of_summation_lies_within_the_bounds() {
    let mut random = Random::new(5);
    let mut beyond = 0;
    for round in 0..60 {
        let network = wide(&[5, 40, 30, 2], &mut random);
        let graph = network.graph().expect("shapes fit");
        // Single points: what is left of the bounds' widths is rounding.
        let x: Vec<f32> = (0..5).map(|_| random.uniform(-1.0, 1.0) as f32).collect();
        let point: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
        let real = secateur_check::enclose(&graph, &point).expect("supported");
        let executed: Vec<Vec<f32>> = (0..200).map(|_| in_any_order(&network, &x, &mut random)).collect();
        for method in [Method::Interval, Method::Crown] {
            let double = output_bounds::<f64>(&graph, &point, &point, method);
            let single = output_bounds::<f32>(&graph, &point, &point, method);
            for (side, (l, u)) in double.iter().chain(&single).enumerate() {
                let j = side % 2;
                for y in &executed {
                    assert!(*l <= f64::from(y[j]) && f64::from(y[j]) <= *u, "round {round}: {} in [{l}, {u}]", y[j]);
                }
                // Bounds in single precision pay for their own rounding too.
                assert!(u - l < if side < 2 { 1e-3 } else { 1e-2 }, "round {round}: [{l}, {u}]");
                beyond += executed.iter().filter(|y| !real[j].holds(&exact(y[j]))).count();
            }
        }
    }
    assert!(beyond > 1000, "executions differ from real arithmetic");
}

fn at_least(output: usize, bound: RBig) -> LinearConstraint {
    LinearConstraint { inputs: Vec::new(), outputs: vec![(output, -RBig::ONE)], bound: -bound, strict: false }
}

/// Networks of every operator, with thresholds that an execution reaches exactly.
#[test]
fn what_an_execution_reaches_is_never_unsat() {
    let mut random = Random::new(6);
    let settings = Settings {
        timeout: Some(Duration::from_millis(400)),
        threads: 1,
        semantics: Semantics::Single,
        ..Settings::default()
    };
    let (mut sat, mut unsat, mut beyond) = (0, 0, 0);
    for round in 0..120 {
        let Segment { graph, corners: (lower, upper), .. } = curves::random(&mut random).expect("shapes fit");
        if let Err(why) = admit(&graph) {
            assert!(matches!(why, CheckError::Executed { .. }), "{why}");
            continue;
        }
        let evaluator = Evaluator::<f32>::new(&graph).expect("supported");
        let shape = graph.node(graph.input()).shape.clone();
        let mut best: Option<RBig> = None;
        for step in 0..=64 {
            let t = RBig::from_parts(step.into(), 64_u8.into());
            let point: Vec<RBig> = lower.iter().zip(&upper).map(|(l, u)| exact(number(&(l + (u - l) * &t)))).collect();
            let by_hand = execute(&graph, &point).expect("in range");
            let input = point.iter().map(number).collect();
            let by_machine = evaluator.forward(&Tensor::new(shape.clone(), input)).expect("finite").into_data();
            let most = by_hand[0].clone().max(exact(by_machine[0]));
            best = Some(best.map_or(most.clone(), |best| best.max(most)));
        }
        let best = best.expect("points");
        let ask = |bound: RBig| {
            let case = Case {
                lower: lower.clone(),
                upper: upper.clone(),
                ball: None,
                unsafe_set: vec![vec![at_least(0, bound)]],
            };
            let property = Property { inputs: lower.len(), outputs: 2, cases: vec![case], declared: None };
            let mut kept = Kept::default();
            let report = verify_traced(&graph, &property, &settings, &Silent, Some(&mut kept)).expect("supported");
            (property, report.outcome, kept.0)
        };
        let (property, outcome, _) = ask(best.clone());
        assert!(!matches!(outcome, Outcome::Unsat), "round {round}: {best} is reached");
        if let Outcome::Sat(found) = outcome {
            sat += 1;
            let outputs = execute(&graph, &found.input).expect("in range");
            assert_eq!(outputs.iter().map(number).collect::<Vec<_>>(), found.outputs);
            beyond += usize::from(matches!(
                secateur_check::replay(&graph, &property, &found.input),
                Ok(secateur_check::Replay::NotViolated { .. })
            ));
        }
        // Far enough beyond there is a proof, which holds of executions too.
        let (property, outcome, records) = ask(best + RBig::from_parts(1.into(), 16_u8.into()));
        if outcome == Outcome::Unsat {
            unsat += 1;
            match accepted_as(Semantics::Single, &graph, &property, &records) {
                Ok(()) | Err(Rejection::Bound { .. }) => {}
                Err(why) => panic!("round {round}: {why}"),
            }
        }
    }
    println!("sat {sat} ({beyond} of them only as executed), unsat {unsat}");
    assert!(sat > 20 && unsat > 20, "sat {sat}, unsat {unsat}");
}

/// The property that `bench-suites/results/f32/find.py` found.
#[test]
fn real_arithmetic_and_execution_disagree() {
    let graph = onnx::read(root().join("examples/mnist_24x24.onnx")).expect("a network");
    let property = vnnlib::read(root().join("examples/mnist_f32.vnnlib")).expect("a property");
    let ask = |semantics| {
        let mut kept = Kept::default();
        let settings = Settings { semantics, ..Settings::default() };
        let report = verify_traced(&graph, &property, &settings, &Silent, Some(&mut kept)).expect("supported");
        (report.outcome, kept.0)
    };
    let (outcome, records) = ask(Semantics::Real);
    assert_eq!(outcome, Outcome::Unsat);
    accepted_as(Semantics::Real, &graph, &property, &records).expect("a proof");
    let refused = accepted_as(Semantics::Single, &graph, &property, &records);
    assert!(matches!(refused, Err(Rejection::Bound { .. })), "{refused:?}");

    let (Outcome::Sat(found), _) = ask(Semantics::Single) else { panic!("an execution is unsafe") };
    let exactly = |y: &f32| Enclosure { lower: exact(*y), upper: exact(*y) };
    let outputs: Vec<Enclosure> = found.outputs.iter().map(exactly).collect();
    let witness = |outputs| vec![Record::Witness(Witness { point: found.input.clone(), outputs })];
    accepted_as(Semantics::Single, &graph, &property, &witness(outputs.clone())).expect("an execution");
    assert!(accepted_as(Semantics::Real, &graph, &property, &witness(outputs.clone())).is_err());
    let mut other = outputs;
    other[3] = exactly(&found.outputs[3].next_up());
    assert!(accepted_as(Semantics::Single, &graph, &property, &witness(other)).is_err());
}

#[test]
fn unknown_executions_are_refused() {
    let network = |op: Op| {
        let mut builder = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
        let x = builder.input();
        let y = builder.add("node".to_owned(), op, &[x]).expect("shapes fit");
        builder.finish(y).expect("a graph")
    };
    let why = admit(&network(Op::Softmax { axis: 1 })).expect_err("no known execution");
    assert_eq!(why.to_string(), "node `node`: how Softmax is executed in f32 is not known here");
    assert!(admit(&network(Op::Clip { min: Some(0.1), max: None })).is_err(), "0.1 would be rounded");
    assert!(admit(&network(Op::Clip { min: Some(0.5), max: None })).is_ok());
    let mut builder = GraphBuilder::new("x", vec![1, 2], ElementType::F64);
    let (x, w) = (builder.input(), Value::F64(Arc::new(Tensor::new(vec![2, 2], vec![1.0; 4]))));
    let w = builder.constant("w".to_owned(), w).expect("a constant");
    let y = builder.add("y".to_owned(), Op::MatMul, &[x, w]).expect("shapes fit");
    assert!(admit(&builder.finish(y).expect("a graph")).is_err(), "it is executed in f64");
}
