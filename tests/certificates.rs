//! Certificates: every `unsat` has one that is accepted, and none shows what is not so.

use dashu_ratio::RBig;
use secateur_check::Semantics;
use secateur_check::proof::format::{MAGIC, Record};
use secateur_check::proof::{check, format, lines};
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op};
use secateur_nn::property::{Case, LinearConstraint, Property};
use secateur_tests::dense::Dense;
use secateur_tests::pieces::{minimum, pieces};
use secateur_tests::proofs::{Kept, NO_FILES, accepted, mutate, packed, stream};
use secateur_verify::network::Function;
use secateur_verify::relax::relax;
use secateur_verify::{Branching, Outcome, Settings, Silent, Technique, Until, interval, verify_traced};

fn one() -> RBig {
    RBig::from(1_u8)
}

fn power_of_half(exponent: usize) -> RBig {
    RBig::from_parts(1.into(), dashu_int::UBig::ONE << exponent)
}

/// One disjunct per output: $y_j \le c_j$.
fn property(bounds: &[(usize, RBig)]) -> Property {
    let at_most = |(output, bound): &(usize, RBig)| {
        vec![LinearConstraint {
            inputs: Vec::new(),
            outputs: vec![(*output, one())],
            bound: bound.clone(),
            strict: false,
        }]
    };
    let unsafe_set = bounds.iter().map(at_most).collect();
    let case = Case { lower: vec![-one(), -one()], upper: vec![one(), one()], ball: None, unsafe_set };
    Property { inputs: 2, outputs: 3, cases: vec![case], declared: None }
}

/// Splitting inputs, splitting ReLUs, and the same with lemmas, which are learned where no ranges are narrowed.
const METHODS: [(Branching, &str, &[Technique]); 3] = [
    (Branching::Input, "input splitting", &[]),
    (Branching::Kfsb, "relu splitting", &[]),
    (Branching::Kfsb, "relu splitting", &[Technique::Narrow, Technique::Refine]),
];

/// The records that prove `unsat`.
fn proof(
    graph: &Graph,
    property: &Property,
    threads: usize,
    (branching, method, without): (Branching, &str, &[Technique]),
) -> Vec<Record> {
    let settings = Settings { threads, branching, without: without.to_vec(), ..Settings::default() };
    let mut kept = Kept::default();
    let report = verify_traced(graph, property, &settings, &Silent, Some(&mut kept)).expect("supported");
    assert!(matches!(report.outcome, Outcome::Unsat), "{:?}", report.outcome);
    assert_eq!(report.statistics.method, method);
    kept.0
}

/// A network, a property that holds by `margin`, and one that fails by as much.
fn questions(random: &mut Random, round: usize, margin: &RBig) -> (Graph, Property, Property) {
    let sizes: &[usize] = if round.is_multiple_of(2) { &[2, 8, 6, 3] } else { &[2, 6, 5, 5, 3] };
    let network = Dense::random(sizes, random);
    let pieces = pieces(&network, &[-one(), -one()], &[one(), one()]);
    let least: Vec<(usize, RBig)> = (0..2).map(|j| (j, minimum(&pieces, j))).collect();
    let shifted = |by: [RBig; 2]| -> Vec<(usize, RBig)> {
        least.iter().zip(by).map(|((j, bound), by)| (*j, bound + by)).collect()
    };
    let holds = property(&shifted([-margin.clone(), -margin.clone()]));
    let fails = property(&shifted([-margin.clone(), margin.clone()]));
    (network.graph().expect("the layers fit"), holds, fails)
}

#[test]
fn every_unsat_has_an_accepted_certificate_that_does_not_fit_a_falsehood() {
    let mut random = Random::new(7);
    let mut parts = [0, 0, 0];
    let mut lemmas = 0;
    let mut tables = 0;
    for round in 0..40 {
        let (graph, holds, fails) = questions(&mut random, round, &power_of_half(4 + round % 12));
        for (index, method) in METHODS.into_iter().enumerate() {
            let records = proof(&graph, &holds, 1 + round % 2, method);
            parts[index] += records.len();
            tables += records.iter().filter(|record| matches!(record, Record::Table(_))).count();
            let lemma = |record: &&Record| matches!(record, Record::Step(step) if !step.without.is_empty());
            lemmas += records.iter().filter(lemma).count();
            accepted(&graph, &holds, &records).unwrap_or_else(|why| panic!("round {round}, {}: {why}", method.1));
            assert!(accepted(&graph, &fails, &records).is_err(), "round {round}: a falsehood was accepted");
        }
    }
    assert!(parts[0] > 400 && parts[1] > 200 && tables > 20, "some proofs split: {parts:?} parts, {tables} tables");
    assert!(lemmas > 20, "some parts are closed by lemmas: {lemmas}");
}

/// What lemmas exclude counts towards the lower bound of a margin.
#[test]
fn bounds_of_margins_hold_where_lemmas_exclude_parts() {
    let mut random = Random::new(19);
    let mut wide = 0;
    for round in 0..60 {
        let network = Dense::random(&[2, 10, 8, 3], &mut random);
        let least = minimum(&pieces(&network, &[-one(), -one()], &[one(), one()]), 0);
        // The margin is a little above 0, and the goal below.
        let property = property(&[(0, &least - power_of_half(5 + round % 6))]);
        let margin = power_of_half(5 + round % 6).to_f64().value();
        let graph = network.graph().expect("the layers fit");
        for (until, epsilon) in [(Until::Decided, 0.5), (Until::Narrow, 0.25), (Until::Narrow, 0.02)] {
            let without = vec![Technique::Narrow, Technique::Refine, Technique::Tighten];
            let settings = Settings { branching: Branching::Kfsb, without, ..Settings::default() };
            let found = interval(&graph, &property, epsilon, until, &settings, &Silent).expect("an interval");
            assert!(found.lower <= margin && margin <= found.upper, "round {round}: {found:?} without {margin}");
            wide += usize::from(found.upper > found.lower);
        }
    }
    assert!(wide > 60, "{wide} intervals are wide");
}

#[test]
fn padding_with_a_number_is_a_bias() {
    let mut builder = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
    let pad = Op::Pad { begin: vec![0, 1], end: vec![0, 2], value: 1.5 };
    let padded = builder.add("padded", pad, &[builder.input()]).expect("fits");
    let rectified = builder.add("rectified", Op::Relu, &[padded]).expect("fits");
    let y = builder.add("y", Op::ReduceSum { axes: vec![1], keep: true }, &[rectified]).expect("fits");
    let graph = builder.finish(y).expect("a network");
    // The inputs are -1 and the padding is 4.5.
    let question = |hundredths: i64| {
        let bound = RBig::from_parts(hundredths.into(), 100_u8.into());
        Property { outputs: 1, ..property(&[(0, bound)]) }
    };
    let (holds, fails) = (question(449), question(451));
    let settings = Settings { threads: 1, ..Settings::default() };
    let mut kept = Kept::default();
    let report = verify_traced(&graph, &holds, &settings, &Silent, Some(&mut kept)).expect("supported");
    assert_eq!(report.outcome, Outcome::Unsat);
    accepted(&graph, &holds, &kept.0).expect("the certificate is right");
    assert!(accepted(&graph, &fails, &kept.0).is_err(), "a falsehood was accepted");
    let report = verify_traced(&graph, &fails, &settings, &Silent, None).expect("supported");
    assert!(matches!(report.outcome, Outcome::Sat(..)), "{:?}", report.outcome);
}

#[test]
fn no_mutant_shows_a_falsehood() {
    let mut random = Random::new(11);
    let (mut refused, mut mutants) = (0, 0);
    for round in 0..40 {
        let (graph, holds, fails) = questions(&mut random, round, &power_of_half(8));
        let records = proof(&graph, &holds, 1, METHODS[round / 2 % 3]);
        for _ in 0..250 {
            let mut mutant = records.clone();
            for _ in 0..1 + random.index(3) {
                if !mutant.is_empty() {
                    mutate(&mut mutant, &mut random);
                }
            }
            mutants += 1;
            refused += usize::from(accepted(&graph, &holds, &mutant).is_err());
            assert!(accepted(&graph, &fails, &mutant).is_err(), "round {round}: a mutant shows a falsehood");
        }
    }
    assert!(refused * 3 > mutants, "{refused} of {mutants} mutants of a truth were refused");
}

#[test]
fn damaged_files_are_refused() {
    let mut random = Random::new(13);
    for method in METHODS {
        let (graph, holds, fails) = questions(&mut random, 1, &power_of_half(6));
        let plain = stream(&proof(&graph, &holds, 1, method));
        let whole = packed(&plain);
        check(&graph, &holds, &NO_FILES, Semantics::Real, whole.as_slice()).expect("the whole file");
        for length in 0..whole.len() - 8 {
            assert!(
                check(&graph, &holds, &NO_FILES, Semantics::Real, &whole[..length]).is_err(),
                "cut off at {length}"
            );
        }
        for _ in 0..400 {
            let mut damaged = plain.clone();
            let at = MAGIC.len() + random.index(damaged.len() - MAGIC.len());
            damaged[at] ^= 1 << random.index(8);
            assert!(
                check(&graph, &fails, &NO_FILES, Semantics::Real, packed(&damaged).as_slice()).is_err(),
                "byte {at}"
            );
        }
    }
}

#[test]
fn the_checkers_lines_are_as_tight_as_the_searchs() {
    let mut random = Random::new(17);
    for (function, of) in [(Function::Sigmoid, lines::Function::Sigmoid), (Function::Tanh, lines::Function::Tanh)] {
        for _ in 0..300 {
            let (l, width) = (random.uniform(-9.0, 6.0), random.uniform(0.0, 1.0).powi(3) * 12.0);
            let u = l + width;
            let end = |v: f64| format::exact(v).expect("finite");
            let [below, above] = lines::lines(of, &end(l), &end(u));
            let theirs = relax(function, l, u);
            for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
                let z = l + share * width;
                let at = |line: lines::Line| {
                    line.slope as f64 / f64::from(1 << 24) * z + line.intercept as f64 / (1u64 << 60) as f64
                };
                let (low, high) =
                    (theirs.lower_slope * z + theirs.lower_intercept, theirs.upper_slope * z + theirs.upper_intercept);
                assert!(
                    (at(below) - low).abs() < 2e-6 && (at(above) - high).abs() < 2e-6,
                    "{function:?} on [{l}, {u}] at {z}: {} {low}, {} {high}",
                    at(below),
                    at(above)
                );
            }
        }
    }
}
