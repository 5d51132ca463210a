//! Programs of small random networks, against each other and against branch and bound.

use secateur_global::encoding::{Encoding, margin};
use secateur_global::{NlpCc, Params, Start, mip};
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_nn::property::{Case, LinearConstraint, Property};
use secateur_opt::MipSettings;
use secateur_verify::alpha::Split;
use secateur_verify::lower::lower;
use secateur_verify::network::Network;
use secateur_verify::node::{self, Node};
use secateur_verify::specification::Specification;
use secateur_verify::{Explorer, Settings, Silent, Until, interval, interval_with};
use std::sync::Arc;

/// Two hidden layers; with `residual` the second is added to the first before the output.
fn graph(seed: u64, residual: bool) -> Graph {
    let mut random = Random::new(seed);
    let mut b = GraphBuilder::new("x", vec![1, 4], ElementType::F32);
    let mut draw = |shape: Vec<usize>, deviation: f64| {
        let mut data = vec![0.0f32; shape.iter().product()];
        random.fill_normal(&mut data, deviation);
        Value::F32(Arc::new(Tensor::new(shape, data)))
    };
    let sizes = [4, 9, 9, 2];
    let mut layers = Vec::new();
    for (k, s) in sizes.windows(2).enumerate() {
        let w = b.constant(format!("w{k}"), draw(vec![s[1], s[0]], 1.0 / (s[0] as f64).sqrt())).expect("weights");
        let c = b.constant(format!("c{k}"), draw(vec![s[1]], 0.3)).expect("biases");
        layers.push((w, c));
    }
    let gemm = Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
    let mut h = b.input();
    for (k, (w, c)) in layers.into_iter().enumerate() {
        let before = h;
        h = b.add(format!("z{k}"), gemm.clone(), &[h, w, c]).expect("a layer");
        if k == 1 && residual {
            h = b.add("sum", Op::Add, &[h, before]).expect("a sum");
        }
        if k < 2 {
            h = b.add(format!("h{k}"), Op::Relu, &[h]).expect("an activation");
        }
    }
    b.finish(h).expect("a graph")
}

/// Unsafe where every one of the first `constraints` of: output 0 at most output 1; output 0 at most 0.1.
fn property(constraints: usize) -> Property {
    use dashu_ratio::RBig;
    let tenth = RBig::from_parts(1.into(), 10u8.into());
    let below = |outputs, bound| LinearConstraint { inputs: Vec::new(), outputs, bound, strict: false };
    let all = [below(vec![(0, RBig::ONE), (1, -RBig::ONE)], RBig::ZERO), below(vec![(0, RBig::ONE)], tenth)];
    let unsafe_set = vec![all[..constraints].to_vec()];
    let case = Case { lower: vec![-RBig::ONE; 4], upper: vec![RBig::ONE; 4], ball: None, unsafe_set };
    Property { inputs: 4, outputs: 2, cases: vec![case], declared: None }
}

struct Question {
    graph: Graph,
    network: Network<f64>,
    property: Property,
    root: Node,
}

impl Question {
    fn new(seed: u64, residual: bool, constraints: usize) -> Self {
        let (graph, property) = (graph(seed, residual), property(constraints));
        let network = lower(&graph).expect("a network");
        let region = Specification::<f64>::new(&property).regions.remove(0);
        let root = Arc::new(node::root_box(&network, &region));
        let (lower, upper, bounds) = (root.lower.clone(), root.upper.clone(), root.bounds.clone());
        let objectives = region.disjuncts[0].clone();
        let root = Node { region: 0, objectives, root, lower, upper, bounds, splits: Vec::new() };
        Self { graph, network, property, root }
    }

    fn all() -> impl Iterator<Item = Question> {
        (0..8).flat_map(|seed| [(false, 1), (true, 1), (false, 2)].map(|(r, c)| Question::new(seed, r, c)))
    }

    fn margin(&self, x: &[f64]) -> f64 {
        margin(&self.root.objectives, x, &self.network.evaluate(x, 1)[self.network.output()])
    }

    /// The root with the sign of one open ReLU fixed.
    fn child(&self, encoding: &Encoding, active: bool) -> Node {
        let pair = encoding.pairs[0];
        let mut child = self.root.clone();
        let source = self.network.sources()[pair.layer as usize];
        let end = if active { &mut child.bounds.lower } else { &mut child.bounds.upper };
        end[source][pair.neuron as usize] = 0.0;
        child.splits = vec![Split { layer: pair.layer, neuron: pair.neuron, active }];
        child
    }
}

/// The tolerance of points that go through floating-point sums of a few dozen terms of size 1.
const SUMS: f64 = 1e-9;

#[test]
fn evaluations_are_feasible_points() {
    for question in Question::all() {
        let encoding = Encoding::new(&question.network, &question.root.root, &question.root.objectives).expect("rows");
        let mut random = Random::new(7);
        for _ in 0..50 {
            let x: Vec<f64> = (0..4).map(|_| random.uniform(-1.0, 1.0)).collect();
            let point = encoding.point(&question.network, &x, &question.root.objectives);
            assert!(encoding.program.violation(&point) <= SUMS);
            assert!((encoding.program.value(&point) + encoding.constant - question.margin(&x)).abs() <= SUMS);
            let product = |p: &secateur_global::encoding::Pair| point[p.positive] * point[p.negative];
            assert!(encoding.pairs.iter().all(|p| product(p) == 0.0));
        }
    }
}

#[test]
fn a_child_holds_what_its_sign_allows() {
    for question in Question::all() {
        let encoding = Encoding::new(&question.network, &question.root.root, &question.root.objectives).expect("rows");
        let children = [true, false]
            .map(|active| encoding.column_bounds(&question.child(&encoding, active)).expect("neither side is empty"));
        let mut random = Random::new(8);
        for _ in 0..50 {
            let x: Vec<f64> = (0..4).map(|_| random.uniform(-1.0, 1.0)).collect();
            let point = encoding.point(&question.network, &x, &question.root.objectives);
            let inside = |(lower, upper): &(Vec<f64>, Vec<f64>)| {
                point.iter().zip(lower.iter().zip(upper)).all(|(v, (l, u))| l - SUMS <= *v && *v <= u + SUMS)
            };
            let active = point[encoding.pairs[0].positive] > 0.0;
            assert!(inside(&children[if active { 0 } else { 1 }]));
            assert!(!inside(&children[if active { 1 } else { 0 }]) || point[encoding.pairs[0].positive] < SUMS);
        }
    }
}

#[test]
fn nonlinear_and_mixed_integer_programs_meet_branch_and_bound() {
    let (epsilon, mut exact) = (1e-3, 0);
    let mut questions = 0;
    for question in Question::all() {
        let settings = Settings { threads: 1, ..Settings::default() };
        let found = interval(&question.graph, &question.property, epsilon, Until::Narrow, &settings, &Silent);
        let found = found.expect("an interval");
        assert!(found.upper - found.lower <= epsilon);
        let best =
            mip::minimum(&question.network, &question.root.root, &question.root.objectives, &MipSettings::default());
        let best = best.expect("a minimum");
        let (_, at_point) = best.point.expect("a point");
        // The mixed-integer solver takes integers and rows to 1e-6, times weights of size 1.
        assert!(
            best.optimal && at_point >= found.lower - 1e-4 && at_point <= found.upper + 1e-4,
            "{at_point} {found:?}"
        );
        assert!(best.bound <= found.upper + 1e-4, "{} {found:?}", best.bound);

        let mut explorer = NlpCc::new(&question.graph, Params::default()).expect("an explorer");
        let (point, value) = explorer.minimise(&question.root, None).expect("solved").expect("a point");
        assert!(point.iter().all(|x| (-1.0..=1.0).contains(x)));
        assert!((question.margin(&point) - value).abs() <= SUMS, "the margin is not the point's own");
        assert!(value >= found.lower - SUMS, "{value} is below the proved {}", found.lower);
        exact += usize::from(value <= found.upper + epsilon);
        questions += 1;
    }
    // From the centre of the box the solver may end in a local optimum; it does in 7 of 24.
    assert!(2 * exact >= questions, "only {exact} of {questions}");
}

#[test]
fn a_solution_without_kinks_solves_its_pattern() {
    let mut checked = 0;
    for question in Question::all() {
        let mut explorer = NlpCc::new(&question.graph, Params::default()).expect("an explorer");
        explorer.minimise(&question.root, None).expect("solved");
        let solve = explorer.solves.last().expect("a solve");
        if let (0, true, Some(gap)) = (solve.kinks, solve.status.is_solved(), solve.pattern_gap) {
            // The relaxation leaves products of up to 1e-6.
            assert!(gap <= 1e-3, "the pattern's program is better by {gap}");
            checked += 1;
        }
    }
    assert!(checked >= 8, "only {checked} solutions without kinks");
}

#[test]
fn a_warm_start_takes_fewer_iterations_where_the_parent_stays_feasible() {
    let (mut warm, mut cold, mut children) = (0, 0, 0);
    for question in Question::all() {
        let encoding = Encoding::new(&question.network, &question.root.root, &question.root.objectives).expect("rows");
        let params = |start| Params { start, patterns: 0, ..Params::default() };
        let mut from_parent = NlpCc::new(&question.graph, params(Start::Parent)).expect("an explorer");
        let mut from_point = NlpCc::new(&question.graph, params(Start::Cold)).expect("an explorer");
        for explorer in [&mut from_parent, &mut from_point] {
            explorer.minimise(&question.root, None).expect("solved");
            for active in [true, false] {
                explorer.minimise(&question.child(&encoding, active), None).expect("solved");
            }
        }
        for (w, c) in from_parent.solves.iter().zip(&from_point.solves).skip(1) {
            // A solution that the child cuts off is not started from.
            assert_eq!((w.warm, c.warm), (w.parent_feasible == Some(true), false));
            if w.parent_feasible == Some(true) {
                (warm, cold, children) = (warm + w.iterations, cold + c.iterations, children + 1);
            }
        }
    }
    assert!(children >= 8, "only {children} children whose parent's solution stays feasible");
    assert!(2 * warm <= cold, "{warm} iterations against {cold} from scratch, {children} children");
}

#[test]
fn exploring_does_not_change_what_is_proved() {
    for question in Question::all() {
        let settings = Settings { threads: 2, ..Settings::default() };
        let (graph, property) = (&question.graph, &question.property);
        let plain = interval(graph, property, 0.01, Until::Narrow, &settings, &Silent).expect("an interval");
        let mut explorer = NlpCc::new(graph, Params::default()).expect("an explorer");
        let explorer: &mut dyn Explorer = &mut explorer;
        let found = interval_with(graph, property, 0.01, Until::Narrow, &settings, &Silent, Some(explorer));
        let found = found.expect("an interval");
        for interval in [&plain, &found] {
            assert!(interval.upper - interval.lower <= 0.01);
        }
        assert!(found.lower <= plain.upper && plain.lower <= found.upper, "{plain:?} {found:?}");
    }
}
