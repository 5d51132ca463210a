//! Questions that every engine must answer, whatever its branching rule.

use crate::dense::{Dense, Layer};
use crate::root;
use secateur_bench_suites::suite::discover;
use secateur_bench_suites::verdict::Verdict;
use secateur_check::{Replay, replay};
use secateur_nn::graph::Graph;
use secateur_nn::property::Property;
use secateur_nn::{onnx, vnnlib};
use secateur_verify::{Outcome, Witness};

/// A question with its answer.
pub struct Question {
    /// What it is called in a failure.
    pub name: String,
    /// The network.
    pub graph: Graph,
    /// The property.
    pub property: Property,
    /// `sat` or `unsat`.
    pub expected: Verdict,
}

/// Asks an engine every question of [`corpus`].
///
/// # Panics
/// A wrong verdict, or a witness that does not violate the property.
#[track_caller]
pub fn check(engine: impl Fn(&Graph, &Property) -> Outcome) {
    for question in corpus() {
        ask(&question, &engine);
    }
}

/// Asks an engine one question.
///
/// # Panics
/// As [`check`].
#[track_caller]
pub fn ask(question: &Question, engine: impl Fn(&Graph, &Property) -> Outcome) {
    let Question { name, graph, property, expected } = question;
    let outcome = engine(graph, property);
    assert_eq!(outcome.verdict(), expected.name(), "{name}: {outcome:?}");
    if let Outcome::Sat(witness) = &outcome {
        check_witness(name, graph, property, witness);
    }
}

/// Replays a witness exactly and compares its outputs with an evaluation in f32.
///
/// # Panics
/// The witness violates nothing, or its outputs are not the network's.
#[track_caller]
pub fn check_witness(name: &str, graph: &Graph, property: &Property, witness: &Witness) {
    let replayed = replay(graph, property, &witness.input).expect("the question is well formed");
    assert!(matches!(replayed, Replay::Violated { .. }), "{name}: {replayed:?}");
    let input = witness.input.iter().map(|v| v.to_f32().value()).collect();
    let input = secateur_linalg::Tensor::new(graph.node(graph.input()).shape.clone(), input);
    let outputs = secateur_nn::eval::forward::<f32>(graph, &input).expect("the network evaluates");
    assert_eq!(outputs.data(), witness.outputs, "{name}");
}

/// The corpus: small networks made by hand, then the networks under `examples/` but the two largest.
#[track_caller]
pub fn corpus() -> Vec<Question> {
    let mut questions: Vec<Question> = made_by_hand().into_iter().map(question).collect();
    questions.extend(examples(|name| !name.starts_with("acasxu") && !name.starts_with("smooth")));
    questions
}

/// The questions of `examples/` whose network's name passes.
#[track_caller]
pub fn examples(wanted: impl Fn(&str) -> bool) -> Vec<Question> {
    let suites = discover(&root().join("examples")).expect("the examples are a suite");
    let wanted = suites.iter().flat_map(|s| s.instances.iter().map(move |i| (s, i))).filter(|(_, i)| wanted(&i.onnx));
    wanted
        .map(|(suite, instance)| Question {
            name: instance.vnnlib.clone(),
            graph: onnx::read(suite.resolve(&instance.onnx)).expect("a network"),
            property: vnnlib::read(suite.resolve(&instance.vnnlib)).expect("a property"),
            expected: instance.expected.expect("every example has a known verdict"),
        })
        .collect()
}

/// Name, network, assertions, answer.
type Row = (&'static str, Dense, &'static str, Verdict);

fn question((name, network, assertions, expected): Row) -> Question {
    let graph = network.graph().expect("the layers fit");
    let size = |id| graph.node(id).shape.iter().product::<usize>();
    let declare = |letter: &str, count: usize| {
        (0..count).map(|i| format!("(declare-const {letter}_{i} Real)\n")).collect::<String>()
    };
    let text = declare("X", size(graph.input())) + &declare("Y", size(graph.output())) + assertions;
    let property = vnnlib::parse(text, name).expect("well-formed assertions");
    Question { name: name.to_owned(), graph, property, expected }
}

fn layer(weights: &[&[f32]], bias: &[f32]) -> Layer {
    Layer { weights: weights.iter().map(|row| row.to_vec()).collect(), bias: bias.to_vec() }
}

fn made_by_hand() -> Vec<Row> {
    use Verdict::{Sat, Unsat};
    let line = || Dense { layers: vec![layer(&[&[2.0, -1.0], &[0.5, 0.5]], &[0.25, 0.0])] };
    let relu = || Dense { layers: vec![layer(&[&[1.0]], &[0.0]), layer(&[&[1.0]], &[0.0])] };
    // |x| as relu(x) + relu(-x), and x itself as their difference.
    let absolute =
        || Dense { layers: vec![layer(&[&[1.0], &[-1.0]], &[0.0; 2]), layer(&[&[1.0, 1.0], &[1.0, -1.0]], &[0.0; 2])] };
    let dead =
        || Dense { layers: vec![layer(&[&[1.0, 1.0]], &[-10.0]), layer(&[&[3.0]], &[1.0]), layer(&[&[1.0]], &[0.5])] };
    let unit = "(assert (>= X_0 -1)) (assert (<= X_0 1))";
    let square = "(assert (>= X_0 0)) (assert (<= X_0 1)) (assert (>= X_1 0)) (assert (<= X_1 1))";
    // The property's text is leaked so that rows can be written as one table; there are a dozen of them.
    let with = |a: &str, b: &str| -> &'static str { Box::leak(format!("{a} {b}").into_boxed_str()) };
    vec![
        ("affine, out of reach", line(), with(square, "(assert (>= Y_0 2.375))"), Unsat),
        ("affine, within reach", line(), with(square, "(assert (>= Y_0 2.125))"), Sat),
        ("affine, output against output", line(), with(square, "(assert (<= Y_0 Y_1)) (assert (>= Y_1 0.25))"), Sat),
        (
            "affine, outputs that exclude each other",
            line(),
            with(square, "(assert (>= Y_0 2)) (assert (>= Y_1 0.75))"),
            Unsat,
        ),
        ("a kink, below", relu(), with(unit, "(assert (<= Y_0 -0.001))"), Unsat),
        ("a kink, touched on a whole edge", relu(), with(unit, "(assert (<= Y_0 0))"), Sat),
        (
            "two kinks joined: |x| is far from x only for negative x",
            absolute(),
            with(unit, "(assert (>= Y_0 0.5)) (assert (<= Y_1 -0.5))"),
            Sat,
        ),
        (
            "two kinks joined: |x| is not less than x",
            absolute(),
            with(unit, "(assert (<= Y_0 0.5)) (assert (>= Y_1 0.625))"),
            Unsat,
        ),
        (
            "a disjunction with one branch that holds",
            absolute(),
            with(unit, "(assert (or (and (>= Y_0 2)) (and (<= Y_1 -0.75))))"),
            Sat,
        ),
        (
            "a disjunction with no branch that holds",
            absolute(),
            with(unit, "(assert (or (and (>= Y_0 1.125)) (and (<= Y_0 -0.125))))"),
            Unsat,
        ),
        (
            "two boxes, the second of which reaches",
            absolute(),
            "(assert (or (and (>= X_0 -0.25) (<= X_0 0.25) (>= Y_0 0.5)) (and (>= X_0 0.5) (<= X_0 1) (>= Y_0 0.75))))",
            Sat,
        ),
        (
            "two boxes, neither of which reaches",
            absolute(),
            "(assert (or (and (>= X_0 -0.25) (<= X_0 0.25) (>= Y_0 0.5)) (and (>= X_0 0.5) (<= X_0 1) (>= Y_0 1.5))))",
            Unsat,
        ),
        (
            "a box that is a point, safe",
            absolute(),
            "(assert (>= X_0 -0.5)) (assert (<= X_0 -0.5)) (assert (>= Y_0 0.625))",
            Unsat,
        ),
        (
            "a box that is a point, unsafe",
            absolute(),
            "(assert (>= X_0 -0.5)) (assert (<= X_0 -0.5)) (assert (>= Y_0 0.375))",
            Sat,
        ),
        ("dead neurons, constant output", dead(), with(square, "(assert (>= Y_0 1.625))"), Unsat),
        ("dead neurons, constant output, unsafe", dead(), with(square, "(assert (>= Y_0 1.375))"), Sat),
    ]
}
