//! Certificates of networks that multiply, divide and bend variables: what is decided is shown, and no falsehood is.

use dashu_ratio::RBig;
use secateur_check::proof::Rejection;
use secateur_check::proof::format::{Claim, Next, Record, Row, Sides, Slopes, Step, Table};
use secateur_check::{Precision, evaluate};
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op, Value, Window};
use secateur_nn::property::{Case, LinearConstraint, Property};
use secateur_tests::bent::{at_most, random, sampled};
use secateur_tests::proofs::{Kept, accepted, mutate};
use secateur_verify::{Outcome, Settings, Silent, verify, verify_traced};
use std::sync::Arc;
use std::time::Duration;

fn power(exponent: i64) -> RBig {
    let size = dashu_int::UBig::ONE << exponent.unsigned_abs() as usize;
    if exponent < 0 { RBig::from_parts(1.into(), size) } else { RBig::from(size) }
}

#[test]
fn what_is_decided_is_shown_and_no_falsehood_is() {
    let mut source = Random::new(29);
    let settings = Settings { threads: 1, timeout: Some(Duration::from_secs(2)), ..Settings::default() };
    let (mut decided, mut refused, mut mutants) = (0, 0, 0);
    for round in 0..120 {
        let graph = random(&mut source).expect("shapes fit");
        let radius = power(-2 - (round % 4));
        let (lower, upper, least) = sampled(&graph, &mut source, &radius);
        // Clearly below, though bounds may be further away.
        let margin = RBig::from_parts(1.into(), 4_u8.into());
        let holds = at_most((&lower, &upper), &least - margin);
        let fails = at_most((&lower, &upper), least);
        let mut kept = Kept::default();
        let report = verify_traced(&graph, &holds, &settings, &Silent, Some(&mut kept)).expect("supported");
        if report.outcome != Outcome::Unsat {
            continue;
        }
        decided += 1;
        let plain = verify(&graph, &holds, &settings, &Silent).expect("supported").outcome;
        assert_eq!(plain, Outcome::Unsat, "round {round}: verdicts differ with and without a certificate");
        match accepted(&graph, &holds, &kept.0) {
            Ok(()) => {}
            Err(why @ Rejection::Bound { .. }) => {
                println!("round {round}: {why}");
                refused += 1;
            }
            Err(why) => panic!("round {round}: {why}"),
        }
        assert!(accepted(&graph, &fails, &kept.0).is_err(), "round {round}: a falsehood was accepted");
        for _ in 0..12 {
            let mut mutant = kept.0.clone();
            (0..1 + source.index(3)).for_each(|_| {
                if !mutant.is_empty() {
                    mutate(&mut mutant, &mut source);
                }
            });
            mutants += 1;
            assert!(accepted(&graph, &fails, &mutant).is_err(), "round {round}: a mutant shows a falsehood");
        }
    }
    println!("{decided} decided, {refused} refused, {mutants} mutants");
    assert!(decided > 50, "{decided} decided");
    assert_eq!(refused, 0, "of {decided}");
}

/// Whether `unsat` is said with a certificate that is accepted.
fn is_shown(what: &str, graph: &Graph, property: &Property) {
    let settings = Settings { threads: 1, timeout: Some(Duration::from_secs(20)), ..Settings::default() };
    let mut kept = Kept::default();
    let report = verify_traced(graph, property, &settings, &Silent, Some(&mut kept)).expect("supported");
    assert_eq!(report.outcome, Outcome::Unsat, "{what}");
    accepted(graph, property, &kept.0).unwrap_or_else(|why| panic!("{what}: {why}"));
}

#[test]
fn differences_of_an_entry_and_itself_are_zero() {
    let thousandths = |v: i64| RBig::from_parts(v.into(), 1000_u16.into());
    let corner = |ends: [i64; 4]| ends.map(thousandths).to_vec();
    let (lower, upper) = (corner([-4, 516, -579, -338]), corner([596, 516, 21, 262]));
    let of = |inputs: usize, property: Property| Property { inputs, outputs: 1, ..property };
    let bound = RBig::from_parts((-305_382_876_i64).into(), 1_000_000_000_u32.into());
    for what in ["minimum", "maximum", "rectified difference"] {
        let mut builder = GraphBuilder::new("x", vec![1, 4], ElementType::F32);
        let x = builder.input();
        let mut add = |name: &str, op: Op, arguments: &[_]| builder.add(name, op, arguments).expect("fits");
        let same = match what {
            "minimum" => add("same", Op::Min, &[x, x]),
            "maximum" => add("same", Op::Max, &[x, x]),
            _ => {
                let zero = add("zero", Op::Sub, &[x, x]);
                let rectified = add("rectified", Op::Relu, &[zero]);
                add("same", Op::Add, &[x, rectified])
            }
        };
        let shares = add("shares", Op::Softmax { axis: 1 }, &[same]);
        let turned = add("turned", Op::Transpose { axes: vec![1, 0] }, &[shares]);
        let sum = add("sum", Op::MatMul, &[shares, turned]);
        let y = add("y", Op::Neg, &[sum]);
        let graph = builder.finish(y).expect("a network");
        is_shown(what, &graph, &of(4, at_most((&lower, &upper), bound.clone())));
    }
    // More of them than the checker splits by itself, also in the windows of a pool that padding cuts off.
    let (lower, upper) = (vec![-RBig::ONE; 36], vec![RBig::ONE; 36]);
    for what in ["rectified differences", "cut windows"] {
        let mut builder = GraphBuilder::new("x", vec![1, 12, 3], ElementType::F32);
        let x = builder.input();
        let mut add = |name: &str, op: Op, arguments: &[_]| builder.add(name, op, arguments).expect("fits");
        let zeros = if what == "cut windows" {
            let (pads_begin, pads_end) = (vec![1], vec![0]);
            let window = Window { kernel: vec![2], strides: vec![2], pads_begin, pads_end, dilations: vec![1] };
            let pool = add("pool", Op::MaxPool { window, ceil_mode: false }, &[x]);
            let first = || Op::Slice { starts: vec![0; 3], steps: vec![1; 3], lengths: vec![1, 12, 1] };
            let (greatest, only) = (add("greatest", first(), &[pool]), add("only", first(), &[x]));
            add("zeros", Op::Sub, &[greatest, only])
        } else {
            let difference = add("difference", Op::Sub, &[x, x]);
            add("zeros", Op::Relu, &[difference])
        };
        let sum = add("sum", Op::ReduceSum { axes: vec![1, 2], keep: false }, &[zeros]);
        let y = add("y", Op::Neg, &[sum]);
        let graph = builder.finish(y).expect("a network");
        is_shown(what, &graph, &of(36, at_most((&lower, &upper), thousandths(-1))));
    }
}

/// A network of one curved function, or the product of its two inputs.
fn single(op: Option<(Op, f32)>) -> Graph {
    let n = if op.is_some() { 1 } else { 2 };
    let mut builder = GraphBuilder::new("x", vec![1, n], ElementType::F32);
    let x = builder.input();
    let constant = |builder: &mut GraphBuilder, name: &str, shape: &[usize], data: Vec<f32>| {
        builder.constant(name, Value::F32(Arc::new(Tensor::new(shape.to_vec(), data)))).expect("a constant")
    };
    let y = match op {
        Some((Op::Pow, exponent)) => {
            let exponent = constant(&mut builder, "exponent", &[1], vec![exponent]);
            builder.add("y", Op::Pow, &[x, exponent])
        }
        Some((Op::Div, _)) => {
            let one = constant(&mut builder, "one", &[1, 1], vec![1.0]);
            builder.add("y", Op::Div, &[one, x])
        }
        Some((op, _)) => builder.add("y", op, &[x]),
        None => {
            let pick = |b: &mut GraphBuilder, name: &str, at: usize| {
                let slice = Op::Slice { starts: vec![0, at], steps: vec![1, 1], lengths: vec![1, 1] };
                b.add(name, slice, &[x]).expect("fits")
            };
            let (a, b) = (pick(&mut builder, "a", 0), pick(&mut builder, "b", 1));
            builder.add("y", Op::Mul, &[a, b])
        }
    };
    builder.finish(y.expect("fits")).expect("a network")
}

fn refuted(alpha: Vec<(u32, Vec<(u32, u32)>)>) -> Record {
    let slopes = Slopes { alpha, ..Slopes::default() };
    let rows = vec![Row { objective: 0, weight: 1, slopes }];
    Record::Step(Step { refuted: vec![Claim { disjunct: 0, rows }], ..Step::new(Next::Closed) })
}

/// Whatever lines and planes are taken, what holds at a point of a range is not refuted: ranges of every size, slopes of every
/// size, tangents and shares anywhere, ranges that a table makes wider up to where they are refused.
#[test]
fn lines_and_planes_of_extreme_ranges_show_no_falsehood() {
    let mut source = Random::new(31);
    let functions: Vec<(Op, f32)> = vec![
        (Op::Exp, 0.0),
        (Op::Sin, 0.0),
        (Op::Cos, 0.0),
        (Op::Sqrt, 0.0),
        (Op::Sign, 0.0),
        (Op::Floor, 0.0),
        (Op::Div, 0.0),
        (Op::Pow, 2.0),
        (Op::Pow, 3.0),
        (Op::Pow, 63.0),
        (Op::Pow, 64.0),
        (Op::Pow, -0.5),
        (Op::Pow, -3.0),
    ];
    let mut asked = 0;
    for round in 0..1500 {
        let op = functions.get(round % (functions.len() + 3)).cloned();
        let from_zero = matches!(op, Some((Op::Sqrt | Op::Div, _))) || op.as_ref().is_some_and(|(_, n)| *n < 0.0);
        let small = matches!(op, Some((Op::Exp, _)));
        let graph = single(op.clone());
        let n = if op.is_some() { 1 } else { 2 };
        let spread = if small { 6 } else { 60 };
        let mut end = || {
            let exponent = source.index(2 * spread) as i64 - spread as i64;
            let sign = if from_zero || source.index(2) == 0 { 1 } else { -1 };
            RBig::from(sign * (1 + source.index(1 << 12) as i64)) * power(exponent - 12)
        };
        let ends: Vec<(RBig, RBig)> =
            (0..n).map(|_| (end(), end())).map(|(a, b)| (a.clone().min(b.clone()), a.max(b))).collect();
        let share = RBig::from_parts(source.index(9).into(), 8_u8.into());
        let point: Vec<RBig> = ends.iter().map(|(l, u)| l + (u - l) * &share).collect();
        let Ok(found) = evaluate(&graph, &point, Precision::ROUNDED) else { continue };
        // y - s x at the point, with slopes between none and steep ones.
        let slopes: Vec<RBig> =
            (0..n).map(|_| RBig::from(source.index(5) as i64 - 2) * power(source.index(80) as i64 - 40)).collect();
        let bound = slopes.iter().zip(&point).fold(found[0].upper.clone(), |b, (s, x)| b - s * x);
        let constraint = LinearConstraint {
            inputs: slopes.iter().enumerate().map(|(i, s)| (i, -s.clone())).collect(),
            outputs: vec![(0, RBig::ONE)],
            bound,
            strict: false,
        };
        let (lower, upper) = ends.iter().cloned().unzip();
        let case = Case { lower, upper, ball: None, unsafe_set: vec![vec![constraint]] };
        let property = Property { inputs: n, outputs: 1, cases: vec![case], declared: None };
        let mut records = Vec::new();
        if source.index(2) == 0 {
            let wide = 2f64.powi(source.index(130) as i32 - 60);
            let sides: Sides = vec![(0, -wide, wide)];
            records.push(Record::Table(Table { id: 0, layers: Vec::new(), ranges: vec![(0, sides)] }));
        }
        let alpha = [0, 1, 1 << 12, 1 << 23, (1 << 24) - 1, 1 << 24][source.index(6)];
        records.push(refuted(vec![(0, vec![(0, alpha)])]));
        asked += 1;
        assert!(accepted(&graph, &property, &records).is_err(), "round {round}: {op:?}, {ends:?} at {share}");
    }
    assert!(asked > 1200, "{asked}");
}

/// Shares and places of tangents outside of [0, 1] are refused, as slopes are.
#[test]
fn shares_lie_between_0_and_1() {
    let unit = |sign: i8| RBig::from(sign);
    for op in [None, Some((Op::Exp, 0.0f32))] {
        let graph = single(op);
        let n = graph.node(graph.input()).shape[1];
        let constraint = LinearConstraint {
            inputs: Vec::new(),
            outputs: vec![(0, RBig::ONE)],
            bound: RBig::from(-9),
            strict: false,
        };
        let case =
            Case { lower: vec![unit(-1); n], upper: vec![unit(1); n], ball: None, unsafe_set: vec![vec![constraint]] };
        let property = Property { inputs: n, outputs: 1, cases: vec![case], declared: None };
        let with = |share: u32| accepted(&graph, &property, &[refuted(vec![(0, vec![(0, share)])])]);
        assert!(with(1 << 24).is_ok() && with(0).is_ok());
        assert!(matches!(with((1 << 24) + 1), Err(Rejection::Slopes)));
    }
}

/// Where a divisor may be 0 or a root's argument negative, nothing is shown.
#[test]
fn functions_that_are_not_defined_show_nothing() {
    for (op, l) in [((Op::Div, 0.0), -1), ((Op::Div, 0.0), 0), ((Op::Sqrt, 0.0), -1), ((Op::Pow, -0.5), 0)] {
        let graph = single(Some(op.clone()));
        let constraint = LinearConstraint {
            inputs: Vec::new(),
            outputs: vec![(0, RBig::ONE)],
            bound: RBig::from(-9),
            strict: false,
        };
        let case =
            Case { lower: vec![RBig::from(l)], upper: vec![RBig::ONE], ball: None, unsafe_set: vec![vec![constraint]] };
        let property = Property { inputs: 1, outputs: 1, cases: vec![case], declared: None };
        let found = accepted(&graph, &property, &[refuted(Vec::new())]);
        assert!(matches!(found, Err(Rejection::Domain(_))), "{op:?} from {l}: {found:?}");
    }
}

/// A softmax of three entries, of which the differences to the first are inputs, and a weighted sum of its shares.
fn shares(weights: [f32; 3], scale: f32) -> Graph {
    let mut builder = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
    let constant = |builder: &mut GraphBuilder, name: &str, shape: [usize; 2], data: Vec<f32>| {
        builder.constant(name, Value::F32(Arc::new(Tensor::new(shape.to_vec(), data)))).expect("a constant")
    };
    let spread = constant(&mut builder, "spread", [2, 3], vec![0.0, scale, 0.0, 0.0, 0.0, 1.0]);
    let weights = constant(&mut builder, "weights", [3, 1], weights.to_vec());
    let x = builder.input();
    let z = builder.add("z", Op::MatMul, &[x, spread]).expect("fits");
    let s = builder.add("s", Op::Softmax { axis: 1 }, &[z]).expect("fits");
    let y = builder.add("y", Op::MatMul, &[s, weights]).expect("fits");
    builder.finish(y).expect("a network")
}

/// Summands of a softmax too large to have an upper bound show nothing that is false, whatever a table says of them.
#[test]
fn unbounded_summands_show_no_falsehood() {
    let mut source = Random::new(37);
    for round in 0..600 {
        let weights = [0; 3].map(|_| source.index(9) as f32 - 4.0);
        let graph = shares(weights, 2f32.powi(source.index(10) as i32));
        let mut end = |at: f64| RBig::from((source.normal() * at).round() as i64);
        let mut ends = || {
            let (a, b) = (end(20.0), end(20.0));
            (a.clone().min(b.clone()), a.max(b))
        };
        let ends = [ends(), ends()];
        let share = RBig::from_parts(source.index(9).into(), 8_u8.into());
        let point: Vec<RBig> = ends.iter().map(|(l, u)| l + (u - l) * &share).collect();
        let Ok(found) = evaluate(&graph, &point, Precision::ROUNDED) else { continue };
        let sides: Vec<RBig> = ends.iter().map(|(l, _)| l.clone()).collect();
        let upper: Vec<RBig> = ends.iter().map(|(_, u)| u.clone()).collect();
        let constraint = LinearConstraint {
            inputs: Vec::new(),
            outputs: vec![(0, RBig::ONE)],
            bound: found[0].upper.clone(),
            strict: false,
        };
        let case = Case { lower: sides, upper, ball: None, unsafe_set: vec![vec![constraint]] };
        let property = Property { inputs: 2, outputs: 1, cases: vec![case], declared: None };
        let wide = 2f64.powi(source.index(60) as i32);
        let ranges = vec![(source.index(2) as u32, vec![(source.index(3) as u32, -wide, wide)])];
        let table = Record::Table(Table { id: 0, layers: Vec::new(), ranges });
        for records in [vec![refuted(Vec::new())], vec![table, refuted(Vec::new())]] {
            assert!(accepted(&graph, &property, &records).is_err(), "round {round}: {ends:?} at {share}");
        }
    }
}

/// Beside summands of any size, others keep their bounds: a share of at least $1 / (1 + e + e^{-60})$ is shown to be above 1/5.
#[test]
fn large_summands_leave_others_their_bounds() {
    // The second entry is tiny beside the first, and the first huge beside it.
    let graph = shares([1.0, 0.0, 0.0], 1.0);
    let constraint = LinearConstraint {
        inputs: Vec::new(),
        outputs: vec![(0, RBig::ONE)],
        bound: RBig::from_parts(1.into(), 5_u8.into()),
        strict: false,
    };
    let case = Case {
        lower: vec![RBig::from(-90), -RBig::ONE],
        upper: vec![RBig::from(-60), RBig::ONE],
        ball: None,
        unsafe_set: vec![vec![constraint]],
    };
    let property = Property { inputs: 2, outputs: 1, cases: vec![case], declared: None };
    accepted(&graph, &property, &[refuted(Vec::new())]).expect("the bounds show it");
}

/// What is known of executions in single precision does not hold of products of variables.
#[test]
fn products_of_variables_have_no_known_executions() {
    let ops = [Op::Mul, Op::MatMul, Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false }];
    for op in ops {
        let mut builder = GraphBuilder::new("x", vec![2, 2], ElementType::F32);
        let x = builder.input();
        let y = builder.add("y", op, &[x, x]).expect("fits");
        let graph = builder.finish(y).expect("a network");
        assert!(secateur_check::semantics::admit(&graph).is_err());
    }
}
