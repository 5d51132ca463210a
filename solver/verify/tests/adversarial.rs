//! Questions with exactly known answers, as close to the edge as numbers allow.
//!
//! Along one varying input a ReLU network is piecewise linear, and its least value is found in rational
//! arithmetic. A threshold at that value is attained, one just below it is not.

use dashu_ratio::RBig;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value, Window};
use secateur_nn::property::{Case, Conjunction, LinearConstraint, Property};
use secateur_verify::bounds::{self, Boxes, Method};
use secateur_verify::node::Node;
use secateur_verify::{
    Branching, Certainty, Explorer, Outcome, Settings, Silent, Until, interval, interval_with, verify,
};
use std::sync::Arc;
use std::time::Duration;

fn rational(v: f64) -> RBig {
    RBig::try_from(v).expect("finite")
}

fn constant(b: &mut GraphBuilder, name: &str, shape: Vec<usize>, data: Vec<f32>) -> NodeId {
    b.constant(name, Value::F32(Arc::new(Tensor::new(shape, data)))).expect("a constant")
}

fn gemm() -> Op {
    Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true }
}

fn at_most(inputs: Vec<(usize, RBig)>, outputs: Vec<(usize, RBig)>, bound: RBig, strict: bool) -> LinearConstraint {
    LinearConstraint { inputs, outputs, bound, strict }
}

/// $y_j \le c$.
fn below(j: usize, bound: RBig) -> LinearConstraint {
    at_most(Vec::new(), vec![(j, RBig::ONE)], bound, false)
}

/// $y_j \ge c$.
fn above(j: usize, bound: RBig) -> LinearConstraint {
    at_most(Vec::new(), vec![(j, -RBig::ONE)], -bound, false)
}

fn property(ends: &[(f64, f64)], outputs: usize, unsafe_set: Vec<Conjunction>) -> Property {
    let case = Case {
        lower: ends.iter().map(|(l, _)| rational(*l)).collect(),
        upper: ends.iter().map(|(_, u)| rational(*u)).collect(),
        ball: None,
        unsafe_set,
    };
    Property { inputs: ends.len(), outputs, cases: vec![case], declared: None }
}

fn ask_within(graph: &Graph, property: &Property, branching: Branching, milliseconds: u64) -> Outcome {
    let settings = Settings {
        timeout: Some(Duration::from_millis(milliseconds)),
        threads: 1,
        seed: 7,
        branching,
        ..Settings::default()
    };
    verify(graph, property, &settings, &Silent).expect("a verdict").outcome
}

fn ask(graph: &Graph, property: &Property, branching: Branching) -> Outcome {
    ask_within(graph, property, branching, 10_000)
}

fn is_sat(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Sat(_))
}

/// Dense layers of an exactly evaluated network.
struct Layers {
    sizes: Vec<usize>,
    weights: Vec<Vec<f32>>,
    biases: Vec<Vec<f32>>,
    slope: f32,
}

impl Layers {
    fn random(random: &mut Random, sizes: &[usize], slope: f32) -> Self {
        let mut draw = |n: usize| -> Vec<f32> {
            // Some exactly representable in few bits, so that sums tie; some with full mantissas.
            let coarse = random.unit() < 0.5;
            (0..n).map(|_| random.normal() as f32).map(|v| if coarse { (v * 4.0).round() / 4.0 } else { v }).collect()
        };
        let weights = sizes.windows(2).map(|s| draw(s[0] * s[1])).collect();
        let biases = sizes[1..].iter().map(|s| draw(*s)).collect();
        Self { sizes: sizes.to_vec(), weights, biases, slope }
    }

    fn graph(&self) -> Graph {
        let mut b = GraphBuilder::new("x", vec![1, self.sizes[0]], ElementType::F32);
        let mut h = b.input();
        for (i, (w, bias)) in self.weights.iter().zip(&self.biases).enumerate() {
            let w = constant(&mut b, &format!("w{i}"), vec![self.sizes[i + 1], self.sizes[i]], w.clone());
            let c = constant(&mut b, &format!("b{i}"), vec![self.sizes[i + 1]], bias.clone());
            h = b.add(format!("z{i}"), gemm(), &[h, w, c]).expect("a layer");
            if i + 1 < self.weights.len() {
                let op = if self.slope == 0.0 { Op::Relu } else { Op::LeakyRelu { slope: self.slope } };
                h = b.add(format!("h{i}"), op, &[h]).expect("an activation");
            }
        }
        b.finish(h).expect("a graph")
    }

    /// The outputs at the points where any of them bends, as the first input goes from `l` to `u`.
    fn trace(&self, fixed: &[f64], l: f64, u: f64) -> Vec<(RBig, Vec<RBig>)> {
        let start = |x: f64| {
            let all = std::iter::once(x).chain(fixed.iter().copied());
            (rational(x), all.map(rational).collect::<Vec<RBig>>())
        };
        let mut points = vec![start(l), start(u)];
        let slope = rational(f64::from(self.slope));
        for (i, (w, bias)) in self.weights.iter().zip(&self.biases).enumerate() {
            for (_, h) in &mut points {
                let row = |j: usize| {
                    let row = w[j * h.len()..(j + 1) * h.len()].iter().zip(h.iter());
                    row.fold(rational(f64::from(bias[j])), |sum, (w, h)| sum + rational(f64::from(*w)) * h)
                };
                *h = (0..bias.len()).map(row).collect();
            }
            if i + 1 == self.weights.len() {
                break;
            }
            for j in 0..bias.len() {
                let mut with_kinks = vec![points[0].clone()];
                for pair in points.windows(2) {
                    let (a, b) = (&pair[0], &pair[1]);
                    if (a.1[j] < RBig::ZERO && b.1[j] > RBig::ZERO) || (a.1[j] > RBig::ZERO && b.1[j] < RBig::ZERO) {
                        with_kinks.push(between(a, b, &(&a.1[j] / (&a.1[j] - &b.1[j]))));
                    }
                    with_kinks.push(b.clone());
                }
                points = with_kinks;
            }
            for z in points.iter_mut().flat_map(|(_, h)| h).filter(|z| **z < RBig::ZERO) {
                *z *= &slope;
            }
        }
        points
    }
}

fn between(a: &(RBig, Vec<RBig>), b: &(RBig, Vec<RBig>), share: &RBig) -> (RBig, Vec<RBig>) {
    let mix = |a: &RBig, b: &RBig| a + share * (b - a);
    (mix(&a.0, &b.0), a.1.iter().zip(&b.1).map(|(a, b)| mix(a, b)).collect())
}

/// Checks every rule on a threshold that is attained, one just below, and two that are clear.
fn check_edge(graph: &Graph, ends: &[(f64, f64)], outputs: usize, others: &[LinearConstraint], j: usize, least: &RBig) {
    let question = |bound: RBig| {
        let conjunction = others.iter().cloned().chain([below(j, bound)]).collect();
        property(ends, outputs, vec![conjunction])
    };
    let briefly = |bound: RBig, branching| ask_within(graph, &question(bound), branching, 150);
    let ask = |bound: RBig, branching| ask(graph, &question(bound), branching);
    let whisker = rational(2f64.powi(-70));
    let clear = rational(0.01);
    for branching in [Branching::Input, Branching::Babsr, Branching::Fsb, Branching::Kfsb] {
        assert_ne!(briefly(least.clone(), branching), Outcome::Unsat, "{branching}: the threshold is attained");
        assert!(!is_sat(&briefly(least - &whisker, branching)), "{branching}: the threshold is not attained");
        assert_eq!(ask(least - &clear, branching), Outcome::Unsat, "{branching}: clearly safe");
        if others.is_empty() {
            assert!(is_sat(&ask(least + &clear, branching)), "{branching}: clearly unsafe");
        }
    }
}

#[test]
fn ties_along_one_input() {
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let slope = [0.0, 0.0, 0.125, -0.5, 1.5][seed as usize % 5];
        let layers = Layers::random(&mut random, &[3, 5, 4, 2], slope);
        let fixed = [0.5, f64::from(random.normal() as f32)];
        let ends = [(-1.0, 1.5), (fixed[0], fixed[0]), (fixed[1], fixed[1])];
        let trace = layers.trace(&fixed, -1.0, 1.5);
        let graph = layers.graph();
        let least = trace.iter().map(|(_, y)| &y[0]).min().expect("points");
        check_edge(&graph, &ends, 2, &[], 0, least);
        // The same below a value of the second output that is taken somewhere between.
        let level = (trace.iter().map(|(_, y)| &y[1]).min().expect("points") + &trace[0].1[1]) / RBig::from(2);
        let crossings = trace.windows(2).filter_map(|pair| {
            let (a, b) = (&pair[0].1[1] - &level, &pair[1].1[1] - &level);
            let crosses = (a > RBig::ZERO) != (b > RBig::ZERO) && a != b;
            crosses.then(|| between(&pair[0], &pair[1], &(&a / (&a - &b))))
        });
        let feasible = trace.iter().filter(|(_, y)| y[1] <= level).cloned().chain(crossings);
        if let Some(least) = feasible.map(|(_, y)| y[0].clone()).min() {
            check_edge(&graph, &ends, 2, &[below(1, level)], 0, &least);
        }
    }
}

/// The exact margin lies in every interval, at whatever sign, and the interval is as narrow as asked for.
#[test]
fn intervals_contain_the_exact_margin() {
    let epsilon = 0.01;
    for seed in 0..10 {
        let mut random = Random::new(seed);
        let layers = Layers::random(&mut random, &[2, 6, 5, 2], [0.0, 0.125][seed as usize % 2]);
        let fixed = [f64::from(random.normal() as f32)];
        let (ends, graph) = ([(-1.0, 1.5), (fixed[0], fixed[0])], layers.graph());
        let trace = layers.trace(&fixed, -1.0, 1.5);
        let least = |j: usize| trace.iter().map(|(_, y)| y[j].clone()).min().expect("points");
        let (first, second) = (least(0), least(1));
        for (shift, branching) in [(-0.5, Branching::Input), (0.004, Branching::Kfsb), (0.5, Branching::Input)]
            .into_iter()
            .chain([(-0.5, Branching::Kfsb), (-0.004, Branching::Input), (0.5, Branching::Babsr)])
        {
            // Two ways to be unsafe, whose margins are `-shift` and 1 more.
            let shift = rational(shift);
            let unsafe_set = vec![vec![below(0, &first + &shift)], vec![below(1, &second + &shift - RBig::ONE)]];
            let question = property(&ends, 2, unsafe_set);
            let settings = Settings {
                timeout: Some(Duration::from_secs(20)),
                threads: 1,
                seed: 3,
                branching,
                ..Settings::default()
            };
            let find = |until| interval(&graph, &question, epsilon, until, &settings, &Silent).expect("an interval");
            let exact = -shift.clone();
            let narrow = find(Until::Narrow);
            let decided = find(Until::Decided);
            for found in [&narrow, &decided] {
                let finite = |v: f64| v.is_finite().then(|| rational(v));
                assert!(finite(found.lower).is_none_or(|l| l <= exact), "{branching}, {shift}: {}", found.lower);
                assert!(finite(found.upper).expect("a point") >= exact, "{branching}, {shift}: {}", found.upper);
                let falls = found.history.windows(2).any(|w| w[1].lower < w[0].lower || w[1].upper > w[0].upper);
                assert!(!falls, "{branching}, {shift}: a bound went back");
            }
            assert!(narrow.upper - narrow.lower <= epsilon, "{branching}, {shift}: {narrow:?}");
            let (safe, unsafe_) = (shift < rational(-0.1), shift > rational(0.1));
            match decided.certainty {
                Certainty::Safe => assert!(shift < RBig::ZERO),
                Certainty::Unsafe(_) => assert!(shift >= RBig::ZERO),
                Certainty::EpsilonGlobal => assert!(!safe && !unsafe_, "{branching}, {shift}: {decided:?}"),
                Certainty::Unknown(ref reason) => panic!("{branching}, {shift}: {reason:?}"),
            }
        }
    }
}

/// An explorer that hands out any point with any margin.
struct Liar(Random);

impl Explorer for Liar {
    fn explore(&mut self, node: &Node, _: Option<&[f64]>) -> Option<(Vec<f64>, f64)> {
        let claims = [-1e9, -1e-9, 0.0, f64::NEG_INFINITY, f64::NAN, 1e-9];
        let claim = claims[(self.0.unit() * 5.999) as usize];
        let mut point = node.lower.clone();
        // Some points lie far outside the box, some are not numbers.
        point.iter_mut().for_each(|x| *x += 100.0 * (self.0.unit() - 0.5));
        if self.0.unit() < 0.2 {
            point[0] = f64::NAN;
        }
        (self.0.unit() < 0.9).then_some((point, claim))
    }
}

#[test]
fn no_claim_of_an_explorer_decides_anything() {
    let epsilon = 0.01;
    for seed in 0..12 {
        let mut random = Random::new(200 + seed);
        let layers = Layers::random(&mut random, &[2, 6, 5, 1], 0.0);
        let fixed = [f64::from(random.normal() as f32)];
        let (ends, graph) = ([(-1.0, 1.5), (fixed[0], fixed[0])], layers.graph());
        let least = layers.trace(&fixed, -1.0, 1.5).iter().map(|(_, y)| y[0].clone()).min().expect("points");
        for (shift, branching) in [(-0.1, Branching::Kfsb), (0.1, Branching::Input), (-0.1, Branching::Aligned)] {
            let question = property(&ends, 1, vec![vec![below(0, &least + rational(shift))]]);
            let settings = Settings { threads: 1, seed, branching, ..Settings::default() };
            for until in [Until::Narrow, Until::Decided] {
                let mut liar = Liar(Random::new(seed));
                let found = interval_with(&graph, &question, epsilon, until, &settings, &Silent, Some(&mut liar));
                let found = found.expect("an interval");
                let not_above = found.lower == f64::NEG_INFINITY || rational(found.lower) <= rational(-shift);
                assert!(not_above, "seed {seed}: lower {}", found.lower);
                assert!(rational(found.upper) >= rational(-shift), "seed {seed}: upper {}", found.upper);
                match found.certainty {
                    Certainty::Safe => assert!(shift < 0.0, "seed {seed}"),
                    Certainty::Unsafe(_) => assert!(shift > 0.0, "seed {seed}"),
                    ref other => panic!("seed {seed}: {other:?}"),
                }
            }
        }
    }
}

/// Half-spaces leave out where the margin exceeds the goal: the lower bound must not forget that.
#[test]
fn lower_bounds_stay_below_what_is_attained() {
    let mut splits = 0;
    for seed in 0..16 {
        let mut random = Random::new(100 + seed);
        let graph = Layers::random(&mut random, &[5, 40, 1], 0.0).graph();
        let ask = |bound: RBig, until| {
            let question = property(&[(-1.0, 1.0); 5], 1, vec![vec![below(0, bound)]]);
            let settings = Settings {
                timeout: Some(Duration::from_secs(20)),
                threads: 2,
                seed,
                branching: Branching::Kfsb,
                ..Settings::default()
            };
            interval(&graph, &question, 0.01, until, &settings, &Silent).expect("an interval")
        };
        let narrow = ask(RBig::ZERO, Until::Narrow);
        assert!(narrow.upper - narrow.lower <= 0.01, "seed {seed}: {narrow:?}");
        // At the incumbent the margin is now 0.05, and it is at least 0.04 everywhere.
        let decided = ask(rational(narrow.upper) - rational(0.05), Until::Decided);
        splits += decided.statistics.domains;
        assert_eq!(decided.certainty, Certainty::Safe, "seed {seed}");
        assert!(decided.lower <= 0.05 && decided.lower <= decided.upper, "seed {seed}: {}", decided.lower);
    }
    assert!(splits > 160, "only {splits} subproblems");
}

/// Evaluates one input exactly.
fn outputs(graph: &Graph, x: &[f64]) -> Vec<RBig> {
    let point: Vec<RBig> = x.iter().map(|v| rational(*v)).collect();
    let enclosures = secateur_check::evaluate(graph, &point, secateur_check::Precision::EXACT).expect("outputs");
    enclosures.into_iter().map(|e| (e.lower + e.upper) / RBig::from(2)).collect()
}

#[test]
fn what_a_sample_attains_is_never_refuted() {
    for seed in 100..130 {
        let mut random = Random::new(seed);
        let layers = Layers::random(&mut random, &[3, 6, 5, 1], if seed % 3 == 0 { 0.01 } else { 0.0 });
        let graph = layers.graph();
        // Coordinate descent in f32 numbers, from corner to corner and then inside.
        let mut best: Option<(RBig, Vec<f64>)> = None;
        for start in 0..60 {
            let point: Vec<f64> = (0..3)
                .map(|i| match (start, &best) {
                    (0..8, _) | (_, None) => {
                        if start >> i & 1 == 0 {
                            -1.0
                        } else {
                            1.0
                        }
                    }
                    (_, Some((_, x))) => {
                        let step = 0.5 * 0.9f64.powi(start) * random.normal();
                        f64::from((x[i] + step).clamp(-1.0, 1.0) as f32)
                    }
                })
                .collect();
            let value = outputs(&graph, &point).remove(0);
            if best.as_ref().is_none_or(|(least, _)| value < *least) {
                best = Some((value, point));
            }
        }
        let (least, _) = best.expect("a point");
        let question = property(&[(-1.0, 1.0); 3], 1, vec![vec![below(0, least)]]);
        for branching in [Branching::Input, Branching::Babsr, Branching::Kfsb] {
            assert_ne!(ask_within(&graph, &question, branching, 150), Outcome::Unsat, "seed {seed}, {branching}");
        }
    }
}

/// A graph on a `1 × n` input.
struct Small {
    builder: GraphBuilder,
    count: usize,
}

impl Small {
    fn new(shape: Vec<usize>) -> Self {
        Self { builder: GraphBuilder::new("x", shape, ElementType::F32), count: 0 }
    }

    fn numbers(&mut self, shape: Vec<usize>, data: Vec<f32>) -> NodeId {
        self.count += 1;
        constant(&mut self.builder, &format!("c{}", self.count), shape, data)
    }

    fn add(&mut self, op: Op, arguments: &[NodeId]) -> NodeId {
        self.count += 1;
        self.builder.add(format!("n{}", self.count), op, arguments).expect("shapes fit")
    }

    /// $W h$ for a row vector $h$.
    fn product(&mut self, h: NodeId, rows: usize, cols: usize, weight: Vec<f32>) -> NodeId {
        let w = self.numbers(vec![rows, cols], weight);
        self.add(Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true }, &[h, w])
    }
}

#[test]
fn a_summand_stays_out_of_values_read_elsewhere() {
    // y = 2x is read by the sum z = y + 5 through an operator that moves nothing, and by the output.
    let nothing: Vec<Op> = vec![
        Op::Slice { starts: vec![0, 0], steps: vec![1, 1], lengths: vec![1, 1] },
        Op::Transpose { axes: vec![1, 0] },
        Op::Expand { shape: vec![1, 1] },
        Op::Reshape { shape: vec![1, 1] },
        Op::Concat { axis: 1 },
        Op::Pad { begin: vec![0, 0], end: vec![0, 0], value: 0.0 },
        Op::Clip { min: None, max: None },
    ];
    for op in nothing {
        let name = op.name();
        let mut g = Small::new(vec![1, 1]);
        let y = g.product(g.builder.input(), 1, 1, vec![2.0]);
        let same = g.add(op, &[y]);
        let five = g.numbers(vec![1, 1], vec![5.0]);
        let z = g.add(Op::Add, &[same, five]);
        let both = g.add(Op::Concat { axis: 1 }, &[y, z]);
        let graph = g.builder.finish(both).expect("a graph");
        let unsafe_set = vec![vec![below(0, rational(1.0)), above(1, rational(5.5))]];
        let outcome = ask(&graph, &property(&[(0.0, 1.0)], 2, unsafe_set), Branching::Auto);
        assert!(is_sat(&outcome), "{name}: {outcome:?}");
    }
}

#[test]
fn infinite_bounds_do_not_become_finite() {
    // r₁ − r₂ = 1e20 x, whose bounds overflow on the whole box; y = relu(relu(±1e-30 (r₁ − r₂))).
    let mut g = Small::new(vec![1, 1]);
    let wide = g.product(g.builder.input(), 2, 1, vec![1e20, -1e20]);
    let parts = g.add(Op::Relu, &[wide]);
    let back = g.product(parts, 2, 2, vec![1e-30, -1e-30, -1e-30, 1e-30]);
    let y = g.add(Op::Relu, &[back]);
    let y = g.product(y, 2, 2, vec![1.0, 0.0, 0.0, 1.0]);
    let y = g.add(Op::Relu, &[y]);
    let y = g.product(y, 1, 2, vec![1.0, 1.0]);
    let graph = g.builder.finish(y).expect("a graph");
    let network = secateur_verify::lower::lower(&graph).expect("supported");
    let boxes = Boxes::one(&[-1e30f32], &[1e30], None);
    let (bounds, _) = bounds::bound(&network.cast::<f32>(), &boxes, Method::Crown, &[], &|| false);
    for (k, values) in network.evaluate(&[1e18], 1).iter().enumerate() {
        for (j, value) in values.iter().enumerate() {
            let (l, u) = (f64::from(bounds.lower[k][j]), f64::from(bounds.upper[k][j]));
            assert!(l <= *value && *value <= u, "layer {k}, entry {j}: {value} not in [{l}, {u}]");
        }
    }
    // |y| = 1e-10 |x| lies between 1e7 and 2e7 where |x| lies between 1e17 and 2e17.
    let unsafe_set = vec![vec![above(0, rational(1e7)), below(0, rational(2e7))]];
    let question = property(&[(-1e30, 1e30)], 1, unsafe_set);
    for branching in Branching::ALL {
        assert_ne!(ask_within(&graph, &question, branching, 150), Outcome::Unsat, "{branching}");
    }
}

#[test]
fn input_splitting_with_many_inputs() {
    // 100 inputs of which 2 vary; two hidden layers.
    let mut random = Random::new(5);
    let layers = Layers::random(&mut random, &[100, 8, 8, 1], 0.0);
    let graph = layers.graph();
    let ends: Vec<(f64, f64)> = (0..100).map(|i| if i < 2 { (-1.0, 1.0) } else { (0.125, 0.125) }).collect();
    let middle: Vec<f64> = ends.iter().map(|(l, u)| 0.5 * (l + u)).collect();
    let value = outputs(&graph, &middle).remove(0);
    for branching in Branching::ALL {
        let attained = property(&ends, 1, vec![vec![below(0, value.clone())]]);
        assert_ne!(ask(&graph, &attained, branching), Outcome::Unsat, "{branching}");
        let far = property(&ends, 1, vec![vec![below(0, &value - rational(1e4))]]);
        assert_eq!(ask(&graph, &far, branching), Outcome::Unsat, "{branching}");
    }
}

#[test]
fn tiny_coefficients_count() {
    // −1e-46 y + 5e-9 ≤ 0 holds at y = 1e38, although 1e-46 is no f32.
    let mut g = Small::new(vec![1, 1]);
    let y = g.product(g.builder.input(), 1, 1, vec![1e38]);
    let r = g.add(Op::Relu, &[y]);
    let graph = g.builder.finish(r).expect("a graph");
    let tiny = RBig::ONE / rational(1e46);
    let constraint = at_most(Vec::new(), vec![(0, -tiny)], -rational(5e-9), false);
    for branching in Branching::ALL {
        let question = property(&[(0.0, 1.0)], 1, vec![vec![constraint.clone()]]);
        assert_ne!(ask(&graph, &question, branching), Outcome::Unsat, "{branching}");
    }
}

#[test]
fn questions_without_a_network_to_speak_of() {
    let identity = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
    let x = identity.input();
    let identity = identity.finish(x).expect("a graph");
    let mut g = Small::new(vec![1, 2]);
    let c = g.numbers(vec![1, 1], vec![0.5]);
    let fixed = g.builder.finish(c).expect("a graph");
    let mut g = Small::new(vec![1, 2]);
    let c = g.numbers(vec![1, 1], vec![-0.5]);
    let c = g.add(Op::Relu, &[c]);
    let fixed_relu = g.builder.finish(c).expect("a graph");
    let half = rational(0.5);
    let third = RBig::from_parts(1.into(), 3u8.into());
    let sum = |bound: RBig, strict| at_most(vec![(0, RBig::ONE), (1, RBig::ONE)], Vec::new(), bound, strict);
    for branching in Branching::ALL {
        let on = |graph: &Graph, outputs: usize, ends: &[(f64, f64)], unsafe_set: Vec<Conjunction>| {
            ask_within(graph, &property(ends, outputs, unsafe_set), branching, 2_000)
        };
        let unit = [(0.0, 1.0); 2];
        assert!(is_sat(&on(&identity, 2, &unit, vec![vec![below(0, third.clone())]])));
        assert_eq!(on(&identity, 2, &unit, vec![vec![below(0, -third.clone())]]), Outcome::Unsat);
        assert!(!is_sat(&on(
            &identity,
            2,
            &unit,
            vec![vec![at_most(Vec::new(), vec![(0, RBig::ONE)], RBig::ZERO, true)]]
        )));
        // Nothing to violate, with and without another way to be unsafe.
        assert!(is_sat(&on(&identity, 2, &unit, vec![vec![]])));
        assert!(is_sat(&on(&fixed, 1, &unit, vec![vec![below(0, RBig::ZERO)], vec![]])));
        // Inputs alone.
        assert_eq!(on(&fixed, 1, &unit, vec![vec![sum(-third.clone(), false)]]), Outcome::Unsat);
        assert!(is_sat(&on(&fixed, 1, &unit, vec![vec![sum(third.clone(), true)]])));
        // A constant output, at, below and above its value; a box that is a point.
        assert!(is_sat(&on(&fixed, 1, &unit, vec![vec![below(0, half.clone())]])));
        assert!(is_sat(&on(&fixed, 1, &[(0.25, 0.25); 2], vec![vec![below(0, half.clone())]])));
        assert_eq!(on(&fixed, 1, &unit, vec![vec![below(0, third.clone())]]), Outcome::Unsat);
        assert_eq!(on(&fixed_relu, 1, &unit, vec![vec![above(0, third.clone())]]), Outcome::Unsat);
        assert!(is_sat(&on(&fixed_relu, 1, &unit, vec![vec![below(0, RBig::ZERO), above(0, RBig::ZERO)]])));
        // Boxes beyond f32.
        let wide = [(-1e300, 1e300); 2];
        assert_ne!(on(&identity, 2, &wide, vec![vec![above(0, rational(1e299))]]), Outcome::Unsat);
        assert_ne!(on(&identity, 2, &wide, vec![vec![sum(rational(-1e300), false)]]), Outcome::Unsat);
    }
}

#[test]
fn networks_that_overflow_never_prove_anything() {
    // With h = relu(1e30 x₀ ± x₁) > 0 the output is 1e30 (relu(1e30 (h₁ + h₂)) ± relu(1e30 (h₁ − h₂))): positive in
    // real arithmetic (double precision may prove that), beyond the range of f32.
    for output in [vec![1e30f32, 1e30], vec![1e30, -1e30]] {
        let mut g = Small::new(vec![1, 2]);
        let z = g.product(g.builder.input(), 2, 2, vec![1e30, 1.0, 1e30, -1.0]);
        let h = g.add(Op::Relu, &[z]);
        let z = g.product(h, 2, 2, vec![1e30, 1e30, 1e30, -1e30]);
        let h = g.add(Op::Relu, &[z]);
        let y = g.product(h, 1, 2, output.clone());
        let graph = g.builder.finish(y).expect("a graph");
        for branching in Branching::ALL {
            for conjunction in
                [vec![below(0, RBig::ZERO)], vec![above(0, RBig::ZERO)], vec![above(0, rational(1e50))], vec![]]
            {
                let question = property(&[(1.0, 2.0), (-1.0, 1.0)], 1, vec![conjunction.clone()]);
                let outcome = ask_within(&graph, &question, branching, 150);
                let true_unsat = conjunction == vec![below(0, RBig::ZERO)];
                assert!(true_unsat || outcome != Outcome::Unsat, "{branching}: {conjunction:?}");
            }
        }
    }
}

#[test]
fn activations_with_unusual_parameters() {
    // (operator, its least value on [−1, 2], its greatest)
    let table: Vec<(Op, f64, f64)> = vec![
        (Op::LeakyRelu { slope: 3.0 }, -3.0, 2.0),
        (Op::LeakyRelu { slope: -2.0 }, 0.0, 2.0),
        (Op::LeakyRelu { slope: 1e30 }, -f64::from(1e30f32), 2.0),
        (Op::LeakyRelu { slope: 1e-30 }, -f64::from(1e-30f32), 2.0),
        (Op::LeakyRelu { slope: 1.0 }, -1.0, 2.0),
        (Op::Clip { min: Some(1.0), max: Some(0.0) }, 0.0, 0.0),
        (Op::Clip { min: Some(-0.5), max: Some(1.5) }, -0.5, 1.5),
        (Op::Clip { min: None, max: Some(0.25) }, -1.0, 0.25),
        (Op::Clip { min: Some(0.0), max: Some(f64::from(f32::MAX)) }, 0.0, 2.0),
        (Op::Clip { min: Some(f64::from(f32::MIN)), max: Some(f64::from(f32::MAX)) }, -1.0, 2.0),
    ];
    for (op, least, greatest) in table {
        let mut g = Small::new(vec![1, 1]);
        let y = g.add(op.clone(), &[g.builder.input()]);
        let graph = g.builder.finish(y).expect("a graph");
        for branching in [Branching::Input, Branching::Kfsb] {
            let on =
                |constraint| ask_within(&graph, &property(&[(-1.0, 2.0)], 1, vec![vec![constraint]]), branching, 150);
            assert_ne!(on(below(0, rational(least))), Outcome::Unsat, "{op:?}");
            assert_ne!(on(above(0, rational(greatest))), Outcome::Unsat, "{op:?}");
            if matches!(op, Op::Clip { max: Some(limit), .. } if limit > 1e6) {
                continue; // The limit's rounding error drowns every bound.
            }
            let margin = 0.01 * (1.0 + least.abs());
            assert_eq!(on(below(0, rational(least - margin))), Outcome::Unsat, "{op:?} below");
            if least > -1e6 {
                assert_eq!(on(above(0, rational(greatest + 0.01))), Outcome::Unsat, "{op:?} above");
            }
        }
    }
}

#[test]
fn windows_at_the_edge() {
    // Three entries, windows of two with stride two: the last reaches beyond the end.
    let window = |begin: usize, end: usize| Window {
        kernel: vec![2],
        strides: vec![2],
        pads_begin: vec![begin],
        pads_end: vec![end],
        dilations: vec![1],
    };
    let mean = |window: Window, count_include_pad: bool| Op::AveragePool { window, ceil_mode: true, count_include_pad };
    // (operator, entry of the output, its greatest value on [−1, 2]³)
    let table = vec![
        (mean(window(0, 0), true), 1, 2.0),
        (mean(window(0, 0), false), 1, 2.0),
        (mean(window(1, 0), true), 0, 1.0),
        (mean(window(1, 0), false), 0, 2.0),
        (Op::MaxPool { window: window(1, 0), ceil_mode: true }, 0, 2.0),
        (Op::MaxPool { window: window(0, 0), ceil_mode: true }, 1, 2.0),
    ];
    for (op, j, greatest) in table {
        let mut g = Small::new(vec![1, 1, 3]);
        let y = g.add(op.clone(), &[g.builder.input()]);
        let graph = g.builder.finish(y).expect("a graph");
        let size = graph.node(graph.output()).shape.iter().product();
        let on = |constraint| ask(&graph, &property(&[(-1.0, 2.0); 3], size, vec![vec![constraint]]), Branching::Auto);
        assert!(is_sat(&on(above(j, rational(greatest)))), "{op:?}");
        assert_eq!(on(above(j, rational(greatest + 0.01))), Outcome::Unsat, "{op:?}");
    }
}

#[test]
fn smooth_activations_at_every_scale() {
    for (seed, scale) in (0..8).zip([0.01f32, 1.0, 30.0, 1e6].into_iter().cycle()) {
        for op in [Op::Sigmoid, Op::Tanh] {
            let mut random = Random::new(seed);
            let mut g = Small::new(vec![1, 2]);
            let mut draw = |n: usize, scale: f32| (0..n).map(|_| random.normal() as f32 * scale).collect::<Vec<f32>>();
            let (first, second, third) = (draw(8, scale), draw(16, scale), draw(4, 1.0));
            let z = g.product(g.builder.input(), 4, 2, first);
            let h = g.add(op.clone(), &[z]);
            let z = g.product(h, 4, 4, second);
            let h = g.add(op.clone(), &[z]);
            let y = g.product(h, 1, 4, third);
            let graph = g.builder.finish(y).expect("a graph");
            let grid = (0..400).map(|i| [f64::from(i % 20) / 9.5 - 1.0, f64::from(i / 20) / 9.5 - 1.0]);
            let grid = grid.map(|p| p.map(|v| f64::from(v.clamp(-1.0, 1.0) as f32)));
            let network = secateur_verify::lower::lower(&graph).expect("supported");
            let value = |p: &[f64; 2]| network.evaluate(p, 1)[network.output()][0];
            let least = grid.map(|p| value(&p)).fold(f64::INFINITY, f64::min);
            // 1e-12: the values here are themselves rounded.
            let question = property(&[(-1.0, 1.0); 2], 1, vec![vec![below(0, rational(least + 1e-12))]]);
            for branching in [Branching::Input, Branching::Kfsb] {
                assert_ne!(ask_within(&graph, &question, branching, 150), Outcome::Unsat, "{op:?}, scale {scale}");
            }
        }
    }
}
