//! Counterexamples: true ones are accepted, near misses are not.

use dashu_int::UBig;
use dashu_ratio::RBig;
use secateur_check::{CheckError, Precision, Replay, dyadic, replay, replay_with};
use secateur_linalg::Tensor;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_nn::property::{Case, LinearConstraint, Property};
use std::sync::Arc;

fn exact(value: f64) -> RBig {
    dyadic(value).unwrap()
}

/// $y = (x_0 + x_1,\; x_0 - x_1)$.
fn sum_and_difference() -> Graph {
    let mut builder = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
    let input = builder.input();
    let weight = Value::F32(Arc::new(Tensor::new(vec![2, 2], vec![1.0, 1.0, 1.0, -1.0])));
    let weight = builder.constant("w", weight).unwrap();
    let output = builder.add("y", Op::MatMul, &[input, weight]).unwrap();
    builder.finish(output).unwrap()
}

/// $y = \sigma(x)$.
fn logistic() -> Graph {
    let mut builder = GraphBuilder::new("x", vec![1], ElementType::F32);
    let input = builder.input();
    let output = builder.add("y", Op::Sigmoid, &[input]).unwrap();
    builder.finish(output).unwrap()
}

fn constraint(outputs: &[(usize, i32)], bound: RBig, strict: bool) -> LinearConstraint {
    let outputs = outputs.iter().map(|(i, v)| (*i, RBig::from(*v))).collect();
    LinearConstraint { inputs: vec![], outputs, bound, strict }
}

fn property(inputs: usize, outputs: usize, upper: f64, unsafe_set: Vec<Vec<LinearConstraint>>) -> Property {
    let case = Case { lower: vec![exact(0.0); inputs], upper: vec![exact(upper); inputs], ball: None, unsafe_set };
    Property { inputs, outputs, cases: vec![case], declared: None }
}

#[test]
fn a_true_violation_is_accepted_with_its_place() {
    let graph = sum_and_difference();
    let never = constraint(&[(0, 1)], RBig::from(-1), false);
    // Y₀ ≥ 1 and Y₁ ≤ 0.
    let conjunction = vec![constraint(&[(0, -1)], RBig::from(-1), false), constraint(&[(1, 1)], RBig::ZERO, false)];
    let property = property(2, 2, 1.0, vec![vec![never], conjunction]);
    let found = replay(&graph, &property, &[exact(0.5), exact(0.5)]).unwrap();
    let Replay::Violated { case: 0, conjunction: 1, outputs } = found else { panic!("found {found:?}") };
    assert!(outputs.iter().all(|y| y.is_exact()));
    assert_eq!(outputs.iter().map(|y| y.lower.clone()).collect::<Vec<_>>(), [RBig::ONE, RBig::ZERO]);
    // The same point with one coordinate less by one unit in the last place.
    let below = replay(&graph, &property, &[exact(0.5_f64.next_down()), exact(0.5)]).unwrap();
    assert!(matches!(below, Replay::NotViolated { ref inside, .. } if *inside == [0]), "found {below:?}");
}

#[test]
fn a_point_outside_by_one_unit_in_the_last_place_is_refused() {
    let graph = sum_and_difference();
    let property = property(2, 2, 1.0, vec![vec![]]);
    assert!(matches!(replay(&graph, &property, &[exact(1.0), exact(0.0)]), Ok(Replay::Violated { .. })));
    for outside in [[1.0_f64.next_up(), 0.0], [1.0, -f64::from_bits(1)]] {
        let found = replay(&graph, &property, &outside.map(exact)).unwrap();
        assert_eq!(found, Replay::NotViolated { inside: vec![], outputs: vec![] });
    }
}

#[test]
fn a_box_of_decimals_is_compared_as_decimals() {
    // The float nearest to 0.1 is above 1/10.
    let graph = sum_and_difference();
    let mut property = property(2, 2, 1.0, vec![vec![]]);
    property.cases[0].upper = vec![RBig::from_parts(1.into(), 10_u8.into()); 2];
    assert!(matches!(replay(&graph, &property, &[exact(0.1), exact(0.0)]), Ok(Replay::NotViolated { .. })));
    assert!(matches!(
        replay(&graph, &property, &[exact(0.1_f64.next_down()), exact(0.0)]),
        Ok(Replay::Violated { .. })
    ));
    let tenth = RBig::from_parts(1.into(), 10_u8.into());
    assert!(matches!(replay(&graph, &property, &[tenth, exact(0.0)]), Ok(Replay::Violated { .. })));
}

#[test]
fn a_tie_violates_only_a_constraint_that_allows_equality() {
    let graph = sum_and_difference();
    let point = [exact(0.25), exact(0.25)];
    for (strict, violated) in [(false, true), (true, false)] {
        // Y₁ - Y₀ ≤ -1/2, or <.
        let half = RBig::from_parts((-1).into(), 2_u8.into());
        let property = property(2, 2, 1.0, vec![vec![constraint(&[(0, -1), (1, 1)], half, strict)]]);
        let found = replay(&graph, &property, &point).unwrap();
        assert_eq!(matches!(found, Replay::Violated { .. }), violated, "{found:?}");
        assert_eq!(matches!(found, Replay::NotViolated { .. }), !violated, "{found:?}");
    }
}

#[test]
fn constraints_on_inputs_count() {
    let graph = sum_and_difference();
    // X₀ + Y₁ ≤ 1 at (0.75, 0.25) is 1.25, at (0.5, 0.25) is 0.75.
    let mixed = LinearConstraint {
        inputs: vec![(0, RBig::ONE)],
        outputs: vec![(1, RBig::ONE)],
        bound: RBig::ONE,
        strict: false,
    };
    let property = property(2, 2, 1.0, vec![vec![mixed]]);
    assert!(matches!(replay(&graph, &property, &[exact(0.75), exact(0.25)]), Ok(Replay::NotViolated { .. })));
    assert!(matches!(replay(&graph, &property, &[exact(0.5), exact(0.25)]), Ok(Replay::Violated { .. })));
}

#[test]
fn an_open_answer_is_decided_with_more_bits() {
    let graph = logistic();
    // The bound lies between σ(1) and σ(1) + 2⁻⁵⁹: 40 bits leave open what 100 decide.
    let point = [exact(1.0)];
    let near = secateur_check::evaluate(&graph, &point, Precision { bits: 60, rounded: true }).unwrap();
    let property = property(1, 1, 1.0, vec![vec![constraint(&[(0, 1)], near[0].upper.clone(), true)]]);
    let coarse = Precision { bits: 40, rounded: true };
    let fine = Precision { bits: 100, rounded: true };
    assert!(matches!(replay_with(&graph, &property, &point, &[coarse]), Ok(Replay::Undecided { .. })));
    assert!(matches!(replay_with(&graph, &property, &point, &[coarse, fine]), Ok(Replay::Violated { .. })));
    assert!(matches!(replay(&graph, &property, &point), Ok(Replay::Violated { .. })));
}

#[test]
fn a_sum_that_cancels_below_the_rounding_is_decided_without_rounding() {
    // y = (x₀ + x₁) - x₀ with x₁ = 2⁻⁹⁰⁰ is lost in 256 bits.
    let mut builder = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
    let input = builder.input();
    let weight = |data| Value::F32(Arc::new(Tensor::new(vec![2, 2], data)));
    let first = builder.constant("w", weight(vec![1.0, 1.0, 0.0, 1.0])).unwrap();
    let hidden = builder.add("h", Op::MatMul, &[input, first]).unwrap();
    let second = builder.constant("v", weight(vec![-1.0, 0.0, 1.0, 0.0])).unwrap();
    let output = builder.add("y", Op::MatMul, &[hidden, second]).unwrap();
    let graph = builder.finish(output).unwrap();
    let property = property(2, 2, 1.0, vec![vec![constraint(&[(0, -1)], RBig::ZERO, true)]]);
    let point = [RBig::ONE, RBig::from_parts(1.into(), UBig::ONE << 900)];
    assert!(matches!(replay_with(&graph, &property, &point, &[Precision::ROUNDED]), Ok(Replay::Undecided { .. })));
    assert!(matches!(replay(&graph, &property, &point), Ok(Replay::Violated { .. })));
}

#[test]
fn what_no_precision_can_tell_stays_undecided() {
    // σ(x) - σ(x) < 0 is false, but enclosures do not know that the two are equal.
    let mut builder = GraphBuilder::new("x", vec![1], ElementType::F32);
    let input = builder.input();
    let sigmoid = builder.add("s", Op::Sigmoid, &[input]).unwrap();
    let output = builder.add("y", Op::Sub, &[sigmoid, sigmoid]).unwrap();
    let graph = builder.finish(output).unwrap();
    let property = property(1, 1, 1.0, vec![vec![constraint(&[(0, 1)], RBig::ZERO, true)]]);
    assert!(matches!(replay(&graph, &property, &[exact(1.0)]), Ok(Replay::Undecided { .. })));
}

#[test]
fn sizes_that_do_not_fit_are_errors() {
    let graph = sum_and_difference();
    let good = property(2, 2, 1.0, vec![vec![constraint(&[(1, 1)], RBig::ZERO, false)]]);
    let point = [exact(0.5), exact(0.5)];
    assert_eq!(replay(&graph, &good, &point[..1]), Err(CheckError::InputCount { expected: 2, found: 1 }));
    let more = Property { inputs: 3, ..good.clone() };
    assert_eq!(replay(&graph, &more, &point), Err(CheckError::PropertyInputs { property: 3, network: 2 }));
    let fewer = Property { outputs: 1, ..good.clone() };
    assert_eq!(replay(&graph, &fewer, &point), Err(CheckError::PropertyOutputs { property: 1, network: 2 }));
    let absent = property(2, 2, 1.0, vec![vec![constraint(&[(2, 1)], RBig::ZERO, false)]]);
    assert_eq!(replay(&graph, &absent, &point), Err(CheckError::PropertyVariable { case: 0 }));
}
