//! Random small networks whose verdicts are computed exactly from their linear pieces.

use dashu_ratio::RBig;
use secateur_bench_suites::verdict::Verdict;
use secateur_linalg::random::Random;
use secateur_nn::property::{Case, LinearConstraint, Property};
use secateur_tests::conformance::{Question, ask};
use secateur_tests::dense::Dense;
use secateur_tests::pieces::{Piece, holds_somewhere, minimum, pieces};
use secateur_verify::{Branching, Outcome, Settings, Silent, verify};
use std::time::Duration;

/// How far a threshold is put from the exact optimum.
fn margin() -> RBig {
    RBig::from_parts(1.into(), 128_u8.into())
}

fn one() -> RBig {
    RBig::from(1_u8)
}

/// $y_j \le c$.
fn at_most(output: usize, bound: RBig) -> LinearConstraint {
    LinearConstraint { inputs: Vec::new(), outputs: vec![(output, one())], bound, strict: false }
}

/// $y_j \ge y_k + c$.
fn above(output: usize, other: usize, bound: RBig) -> LinearConstraint {
    let mut outputs = vec![(output, -one()), (other, one())];
    outputs.sort_by_key(|(index, _)| *index);
    LinearConstraint { inputs: Vec::new(), outputs, bound: -bound, strict: false }
}

fn property(conjunction: Vec<LinearConstraint>) -> Property {
    let case =
        Case { lower: vec![-one(), -one()], upper: vec![one(), one()], ball: None, unsafe_set: vec![conjunction] };
    Property { inputs: 2, outputs: 3, cases: vec![case], declared: None }
}

/// The exact verdict, unless it changes within the margin.
fn exact(pieces: &[Piece], conjunction: &[LinearConstraint]) -> Option<Verdict> {
    let tight = holds_somewhere(pieces, conjunction, &-margin());
    let loose = holds_somewhere(pieces, conjunction, &margin());
    (tight == loose).then_some(if tight { Verdict::Sat } else { Verdict::Unsat })
}

fn decide(question: &Question, branching: Branching, threads: usize) {
    let settings = Settings { timeout: Some(Duration::from_secs(60)), threads, branching, ..Settings::default() };
    ask(question, |graph, property| -> Outcome {
        verify(graph, property, &settings, &Silent).expect("supported").outcome
    });
}

#[test]
fn verdicts_are_the_exact_ones_whatever_the_rule_threads_or_order_of_neurons() {
    let mut random = Random::new(2024);
    let mut counts = [0, 0];
    for round in 0..60 {
        let sizes: &[usize] = if round % 2 == 0 { &[2, 6, 5, 3] } else { &[2, 5, 4, 4, 3] };
        let network = Dense::random(sizes, &mut random);
        let pieces = pieces(&network, &[-one(), -one()], &[one(), one()]);
        let least = minimum(&pieces, 0);
        let middle = (minimum(&pieces, 1) + one()) / RBig::from(2_u8);
        let questions = [
            vec![at_most(0, &least - margin())],
            vec![at_most(0, &least + margin())],
            vec![at_most(0, least + margin() * RBig::from(8_u8)), above(1, 2, RBig::from(0_u8))],
            vec![above(2, 0, margin()), above(2, 1, margin()), at_most(1, middle)],
        ];
        for (index, conjunction) in questions.into_iter().enumerate() {
            let half = RBig::from_parts(1.into(), 2_u8.into());
            // The first two sit exactly one margin from the optimum; the slack is then half of it.
            let expected = if index < 2 {
                let verdict = [Verdict::Unsat, Verdict::Sat][index];
                let found = holds_somewhere(&pieces, &conjunction, &(-margin() * &half));
                assert_eq!(found, verdict == Verdict::Sat, "round {round}: the reference contradicts itself");
                Some(verdict)
            } else {
                exact(&pieces, &conjunction)
            };
            let Some(expected) = expected else { continue };
            counts[usize::from(expected == Verdict::Sat)] += 1;
            for (variant, network) in [("", network.clone()), (", reversed", network.reversed())] {
                let graph = network.graph().expect("the layers fit");
                let name = format!("round {round}, question {index}{variant}");
                let property = property(conjunction.clone());
                let question = Question { name, graph, property, expected };
                for branching in Branching::ALL {
                    decide(&question, branching, 1);
                }
                decide(&question, Branching::Auto, 2);
            }
        }
    }
    assert!(counts.iter().all(|count| *count >= 60), "both verdicts occur often: {counts:?}");
}
