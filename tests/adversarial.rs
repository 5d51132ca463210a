//! Questions that are meant to bring out wrong answers.
//!
//! `SECATEUR_TRIALS` multiplies the number of trials; `./test adversarial` takes twenty times as many.

use dashu_ratio::RBig;
use secateur_check::interval::{Dyadic, Interval};
use secateur_check::proof::Rejection;
use secateur_check::transcendental;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_nn::property::{Case, LinearConstraint, Property};
use secateur_tests::curves::{self, Curve, Segment};
use secateur_tests::proofs::{Kept, accepted};
use secateur_verify::{Branching, Outcome, Settings, Silent, verify_traced};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn trials(base: usize) -> usize {
    let factor = std::env::var("SECATEUR_TRIALS").ok().map(|text| text.parse().expect("SECATEUR_TRIALS is a number"));
    base * factor.unwrap_or(1)
}

fn at_most(output: usize, bound: RBig) -> LinearConstraint {
    LinearConstraint { inputs: Vec::new(), outputs: vec![(output, RBig::ONE)], bound, strict: false }
}

fn power_of_half(exponent: usize) -> RBig {
    RBig::from_parts(1.into(), dashu_int::UBig::ONE << exponent)
}

/// Asks, and has the proof of an `unsat` checked; says whether it was refused.
fn ask(name: &str, graph: &Graph, property: &Property, branching: Branching, limit: Duration) -> (Outcome, bool) {
    let settings = Settings { timeout: Some(limit), threads: 1, branching, ..Settings::default() };
    let mut kept = Kept::default();
    let report = verify_traced(graph, property, &settings, &Silent, Some(&mut kept));
    let outcome = report.unwrap_or_else(|error| panic!("{name}: {error}")).outcome;
    let mut refused = false;
    if outcome == Outcome::Unsat {
        match accepted(graph, property, &kept.0) {
            Ok(()) => {}
            Err(why @ Rejection::Bound { .. }) => {
                println!("{name}: {why}");
                refused = true;
            }
            Err(why) => panic!("{name}: {why}"),
        }
    }
    (outcome, refused)
}

/// What the last function of a network makes of a number, between two numbers.
fn image(last: Option<&Op>, z: &RBig) -> (RBig, RBig) {
    let at = |function: fn(&Interval, usize) -> Interval| {
        // A dyadic number on either side of z.
        let scaled = z * RBig::from_parts(dashu_int::IBig::ONE << 80, 1_u8.into());
        let side = |mantissa| Dyadic::new(mantissa, -80);
        let found = function(&Interval::new(side(scaled.floor()), side(scaled.ceil())), 70);
        (found.lower.to_rational(), found.upper.to_rational())
    };
    match last {
        None => (z.clone(), z.clone()),
        Some(Op::Sigmoid) => at(transcendental::sigmoid),
        Some(_) => at(transcendental::tanh),
    }
}

/// Every operator, on a segment where the exact least values are known.
#[test]
fn verdicts_on_random_networks_are_the_exact_ones_and_proved() {
    let mut random = Random::new(31);
    let mut operators: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut counts, mut refused) = ([0usize; 3], 0);
    let rules = [Branching::Auto, Branching::Input, Branching::Kfsb, Branching::Babsr];
    for round in 0..trials(1000) {
        let Segment { graph, corners, outputs, last, operators: used } =
            curves::random(&mut random).expect("shapes fit");
        used.into_iter().for_each(|name| *operators.entry(name).or_default() += 1);
        let margin = power_of_half(3 + random.index(14));
        // Thresholds beside the least values; both at once where one alone would not do.
        let least = outputs.iter().map(|curve| image(last.as_ref(), &curve.minimum())).collect::<Vec<_>>();
        let (unsafe_set, expected) = match random.index(4) {
            0 => (vec![vec![at_most(0, &least[0].1 + &margin)]], true),
            1 => (vec![vec![at_most(0, &least[0].0 - &margin)], vec![at_most(1, &least[1].0 - &margin)]], false),
            2 => (vec![vec![at_most(0, &least[0].0 - &margin)], vec![at_most(1, &least[1].1 + &margin)]], true),
            _ if last.is_none() => {
                // Both outputs at once: the least of the greater of the two.
                let level = Curve::max(&outputs[0], &outputs[1]).minimum();
                let sat = random.index(2) == 0;
                let bound = if sat { level + &margin } else { level - &margin };
                (vec![vec![at_most(0, bound.clone()), at_most(1, bound)]], sat)
            }
            _ => (vec![vec![at_most(0, &least[0].0 - &margin)]], false),
        };
        let (lower, upper) = corners;
        let inputs = lower.len();
        let case = Case { lower, upper, ball: None, unsafe_set };
        let property = Property { inputs, outputs: 2, cases: vec![case], declared: None };
        let rule = rules[random.index(rules.len())];
        let name = format!("network {round} by {rule:?}");
        if let Ok(only) = std::env::var("DBGX")
            && only.split(' ').all(|o| o.parse::<usize>().unwrap() != round)
        {
            continue;
        }
        let (outcome, is_refused) = ask(&name, &graph, &property, rule, Duration::from_millis(1500));
        refused += usize::from(is_refused);
        match outcome {
            Outcome::Sat(_) => {
                assert!(expected, "{name}: sat, but the exact answer is unsat");
                counts[0] += 1;
            }
            Outcome::Unsat => {
                assert!(!expected, "{name}: unsat, but the exact answer is sat");
                counts[1] += 1;
            }
            _ => counts[2] += 1,
        }
    }
    let [sat, unsat, undecided] = counts;
    println!("sat {sat}, unsat {unsat}, undecided {undecided}, proofs refused {refused}; {operators:?}");
    assert!(operators.len() >= 18, "{operators:?}");
    assert!(undecided * 10 < sat + unsat, "sat {sat}, unsat {unsat}, undecided {undecided}");
    // Bounds of the checker differ from those of the search in the seventh digit; margins here are as small.
    assert!(refused * 500 <= unsat, "{refused} proofs of {unsat} are refused");
}

/// $\max\big(1 - \sum_i |x_i - c_i| / w, 0\big)$ and a second output that is always 0: no gradient leads to the spike.
fn spike(centre: &[f32], width: f32) -> Graph {
    let n = centre.len();
    let mut builder = GraphBuilder::new("x", vec![1, n], ElementType::F32);
    let constant = |builder: &mut GraphBuilder, name: &str, shape: Vec<usize>, values: Vec<f32>| {
        builder.constant(name.to_owned(), Value::F32(Arc::new(Tensor::new(shape, values)))).expect("a constant")
    };
    let signs =
        (0..2 * n).flat_map(|row| (0..n).map(move |i| if i == row / 2 { 1.0 - 2.0 * (row % 2) as f32 } else { 0.0 }));
    let signs = signs.collect();
    let offsets = (0..2 * n).map(|row| centre[row / 2] * (2.0 * (row % 2) as f32 - 1.0)).collect();
    let (w, b) =
        (constant(&mut builder, "w", vec![2 * n, n], signs), constant(&mut builder, "b", vec![2 * n], offsets));
    let (v, c) = (
        constant(&mut builder, "v", vec![1, 2 * n], vec![-1.0 / width; 2 * n]),
        constant(&mut builder, "c", vec![1], vec![1.0]),
    );
    let gemm = || Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
    let x = builder.input();
    let away = builder.add("away", gemm(), &[x, w, b]).expect("fits");
    let away = builder.add("distance", Op::Relu, &[away]).expect("fits");
    let height = builder.add("height", gemm(), &[away, v, c]).expect("fits");
    let output = builder.add("spike", Op::Relu, &[height]).expect("fits");
    builder.finish(output).expect("a network")
}

/// $y \ge c$ somewhere on $[-1, 1]^n$?
fn reaches(inputs: usize, level: RBig) -> Property {
    let constraint =
        LinearConstraint { inputs: Vec::new(), outputs: vec![(0, -RBig::ONE)], bound: -level, strict: false };
    let case = Case {
        lower: vec![-RBig::ONE; inputs],
        upper: vec![RBig::ONE; inputs],
        ball: None,
        unsafe_set: vec![vec![constraint]],
    };
    Property { inputs, outputs: 1, cases: vec![case], declared: None }
}

#[test]
fn hidden_counterexamples_are_never_missed_and_safe_networks_never_attacked() {
    let mut random = Random::new(37);
    let (mut found, mut proved) = (0, 0);
    let count = trials(60);
    for round in 0..count {
        let inputs = 1 + round % 8;
        let width = 0.5f32.powi(3 + random.index(16) as i32);
        // Centres on a grid that no attack starts from.
        let centre: Vec<f32> =
            (0..inputs).map(|_| (random.uniform(-0.9, 0.9) * 4096.0).round() as f32 / 4096.0).collect();
        let graph = spike(&centre, width);
        let rule = [Branching::Auto, Branching::Input, Branching::Kfsb][round % 3];
        let limit = Duration::from_millis(700);
        let name = format!("spike {round} of width {width} at {centre:?} by {rule:?}");
        // The top of the spike is 1, at the centre alone.
        let (outcome, _) = ask(&name, &graph, &reaches(inputs, RBig::ONE - power_of_half(4)), rule, limit);
        assert_ne!(outcome, Outcome::Unsat, "{name}");
        found += usize::from(matches!(outcome, Outcome::Sat(_)));
        let (outcome, refused) = ask(&name, &graph, &reaches(inputs, RBig::ONE + power_of_half(10)), rule, limit);
        assert!(!matches!(outcome, Outcome::Sat(_)) && !refused, "{name}");
        proved += usize::from(outcome == Outcome::Unsat);
    }
    println!("found {found} of {count}, proved {proved} of {count}");
    assert!(found * 2 > count && proved * 2 > count, "found {found}, proved {proved} of {count}");
}
