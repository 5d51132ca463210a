//! Bounds against exact rational evaluation, on random networks of every layer kind.
//!
//! Point boxes make the rounding errors visible: there a bound differs from the exact value by
//! rounding alone, so a missing error term fails at once.

use dashu_ratio::RBig;
use proptest::prelude::*;
use secateur_linalg::random::Random;
use secateur_linalg::{Scalar, Tensor};
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value, Window};
use secateur_verify::alpha::{self, Slopes, Split};
use secateur_verify::bounds::{self, Bounds, Boxes, Method};
use secateur_verify::crown::{Multipliers, back_substitute};
use secateur_verify::lower::lower;
use secateur_verify::network::{Function, Kind, Network};
use secateur_verify::reduce;
use secateur_verify::refine;
use secateur_verify::rounding::Magnitudes;
use secateur_verify::specification::{self, Objective};
use std::sync::Arc;

/// Builds random graphs over a `1 × 2 × 4 × 4` input.
struct Maker {
    random: Random,
    builder: GraphBuilder,
    count: usize,
    scale: f64,
}

impl Maker {
    fn name(&mut self) -> String {
        self.count += 1;
        format!("n{}", self.count)
    }

    fn weights(&mut self, shape: Vec<usize>) -> NodeId {
        let mut data = vec![0.0f32; shape.iter().product()];
        let deviation = self.scale;
        self.random.fill_normal(&mut data, deviation);
        let name = self.name();
        self.builder.constant(&name, Value::F32(Arc::new(Tensor::new(shape, data)))).expect("finite weights")
    }

    fn add(&mut self, op: Op, arguments: &[NodeId]) -> NodeId {
        let name = self.name();
        self.builder.add(&name, op, arguments).expect("shapes fit")
    }

    fn window(kernel: usize, stride: usize, pad: usize) -> Window {
        Window {
            kernel: vec![kernel; 2],
            strides: vec![stride; 2],
            pads_begin: vec![pad; 2],
            pads_end: vec![pad; 2],
            dilations: vec![1; 2],
        }
    }

    fn convolution(&mut self, x: NodeId) -> NodeId {
        let (w, b) = (self.weights(vec![2, 2, 3, 3]), self.weights(vec![2]));
        self.add(Op::Conv { window: Self::window(3, 1, 1), groups: 1 }, &[x, w, b])
    }

    fn dense(&mut self, x: NodeId, from: usize, to: usize) -> NodeId {
        let (w, b) = (self.weights(vec![to, from]), self.weights(vec![to]));
        self.add(Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true }, &[x, w, b])
    }
}

fn activation(kind: u64) -> Op {
    match kind % 3 {
        0 => Op::Relu,
        1 => Op::LeakyRelu { slope: 0.125 },
        _ => Op::Clip { min: Some(0.0), max: Some(6.0) },
    }
}

/// Convolution, activation, residual sum, max-pool, two dense layers: 32 inputs, 3 outputs.
fn random_graph(seed: u64, scale: f64) -> Graph {
    let random = Random::new(seed);
    let builder = GraphBuilder::new("x", vec![1, 2, 4, 4], ElementType::F32);
    let mut m = Maker { random, builder, count: 0, scale };
    let x = m.builder.input();
    let first = m.convolution(x);
    let kind = m.random.bits();
    let first = m.add(activation(kind), &[first]);
    let second = m.convolution(first);
    let residual = m.add(Op::Add, &[second, first]);
    let pooled = m.add(Op::MaxPool { window: Maker::window(2, 2, 0), ceil_mode: false }, &[residual]);
    let flat = m.add(Op::Reshape { shape: vec![1, 8] }, &[pooled]);
    let hidden = m.dense(flat, 8, 20);
    let kind = m.random.bits();
    let hidden = m.add(activation(kind), &[hidden]);
    let sliced = m.add(Op::Slice { starts: vec![0, 3], steps: vec![1, 2], lengths: vec![1, 8] }, &[hidden]);
    let joined = m.add(Op::Concat { axis: 1 }, &[sliced, flat]);
    let y = m.dense(joined, 16, 3);
    m.builder.finish(y).expect("a graph")
}

fn rational(v: f64) -> RBig {
    RBig::try_from(v).expect("finite")
}

/// Every layer's exact values; activations must be ReLUs.
fn evaluate(network: &Network<f64>, x: &[f64]) -> Vec<Vec<RBig>> {
    let mut values: Vec<Vec<RBig>> = Vec::new();
    for layer in &network.layers {
        let value = match &layer.kind {
            Kind::Input => x.iter().map(|v| rational(*v)).collect(),
            Kind::Affine(affine) => {
                let mut y: Vec<RBig> = affine.bias.iter().map(|b| rational(*b)).collect();
                for (source, map) in &affine.terms {
                    for (j, y) in y.iter_mut().enumerate() {
                        let mut row = vec![0.0; map.inputs()];
                        map.add_row(j, 1.0, &mut row);
                        for (w, h) in row.iter().zip(&values[*source]).filter(|(w, _)| **w != 0.0) {
                            *y += rational(*w) * h;
                        }
                    }
                }
                y
            }
            Kind::Activation { source, function } => {
                assert_eq!(*function, Function::Relu);
                values[*source].iter().map(|z| if *z > RBig::ZERO { z.clone() } else { RBig::ZERO }).collect()
            }
            Kind::Product(_) => unreachable!("the graph multiplies no variables"),
        };
        values.push(value);
    }
    values
}

struct Problem<T> {
    network: Network<T>,
    exact: Network<f64>,
    boxes: Boxes<T>,
    bounds: Bounds<T>,
    magnitudes: Magnitudes<T>,
}

impl<T: Scalar> Problem<T> {
    fn new(seed: u64, scale: f64, radius: f32, method: Method) -> Self {
        let exact = lower(&random_graph(seed, scale)).expect("every operator is supported");
        let network = exact.cast::<T>();
        let mut random = Random::stream(seed, 1);
        let centre: Vec<f32> = (0..32).map(|_| random.uniform(-1.0, 1.0) as f32).collect();
        let corner = |sign: f32| centre.iter().map(|c| T::from_f32(c + sign * radius)).collect::<Vec<T>>();
        let boxes = Boxes::one(&corner(-1.0), &corner(1.0), None);
        let (bounds, magnitudes) = bounds::bound(&network, &boxes, method, &[], &|| false);
        Self { network, exact, boxes, bounds, magnitudes }
    }

    /// Corners and inner points of the box.
    fn points(&self, seed: u64) -> Vec<Vec<f64>> {
        let mut random = Random::stream(seed, 2);
        let mut point = |inner: bool| {
            let ends = self.boxes.lower.iter().zip(&self.boxes.upper);
            ends.map(|(l, u)| {
                let share = if inner { random.unit() } else { random.unit().round() };
                (l.to_f64() + share * (u.to_f64() - l.to_f64())).clamp(l.to_f64(), u.to_f64())
            })
            .collect::<Vec<f64>>()
        };
        (0..4).map(|i| point(i % 2 == 0)).collect()
    }

    fn objective(&self, seed: u64) -> Objective<T> {
        let mut random = Random::stream(seed, 3);
        let outputs = (0..3).map(|j| (j, T::from_f32(random.normal() as f32))).collect();
        let inputs = vec![(5, T::from_f32(0.75))];
        Objective { inputs, outputs, constant: T::from_f32(-0.5), rounded: false, strict: false }
    }
}

fn exact_objective<T: Scalar>(objective: &Objective<T>, x: &[f64], y: &[RBig]) -> RBig {
    let mut sum = rational(objective.constant.to_f64());
    objective.inputs.iter().for_each(|(i, a)| sum += rational(a.to_f64()) * rational(x[*i]));
    objective.outputs.iter().for_each(|(j, b)| sum += rational(b.to_f64()) * &y[*j]);
    sum
}

fn layers_enclose<T: Scalar>(seed: u64, scale: f64, radius: f32, method: Method) {
    let problem = Problem::<T>::new(seed, scale, radius, method);
    for x in problem.points(seed) {
        for (k, values) in evaluate(&problem.exact, &x).iter().enumerate() {
            for (j, value) in values.iter().enumerate() {
                let (l, u) = (problem.bounds.lower[k][j].to_f64(), problem.bounds.upper[k][j].to_f64());
                assert!(
                    rational(l) <= *value && *value <= rational(u),
                    "layer {k}, entry {j}: {value} not in [{l}, {u}]"
                );
            }
        }
    }
}

fn objectives_are_bounded<T: Scalar>(seed: u64, scale: f64, radius: f32) {
    let p = Problem::<T>::new(seed, scale, radius, Method::Crown);
    let objective = p.objective(seed);
    let rows = specification::rows(&p.network, &p.magnitudes, &[(0, &objective)]);
    let plain = back_substitute(&p.network, &p.magnitudes, &p.bounds.lines, rows.clone(), Multipliers::NONE, false);
    let minimum = plain.minimum(0, p.boxes.set(0));
    let slopes = Slopes::initial(&p.network, &p.bounds.lines, &[0], &[]);
    let params = alpha::Params { steps: 6, alpha_rate: 0.3, beta_rate: 0.3, decay: 0.9 };
    let never = |_: usize, _: T| false;
    let best = alpha::optimise(&p.network, &p.magnitudes, &p.bounds, &p.boxes, &rows, &[], slopes, params, never);
    assert!(best.minimum[0] >= minimum, "the ascent loosened the bound");
    for x in p.points(seed) {
        let y = evaluate(&p.exact, &x);
        let value = exact_objective(&objective, &x, &y[p.exact.output()]);
        assert!(rational(best.minimum[0].to_f64()) <= value, "α: {} > {value}", best.minimum[0]);
        let mut linear = rational(plain.constant[0].to_f64()) - rational(1.05 * plain.error[0].to_f64());
        plain.row(0).iter().zip(&x).for_each(|(a, x)| linear += rational(a.to_f64()) * rational(*x));
        assert!(linear <= value, "the affine bound exceeds the objective at a point");
    }
}

/// What a reduced network computes from exact values is the exact value, up to its error.
fn reductions_agree<T: Scalar>(seed: u64, scale: f64, radius: f32) {
    let p = Problem::<T>::new(seed, scale, radius, Method::Crown);
    let small = reduce::reduce(&p.exact, &p.bounds).expect("small matrices");
    for x in p.points(seed) {
        let exact = evaluate(&p.exact, &x);
        let value = |k: usize, j: usize| {
            let (k, j) = small.origin.entry(k, j);
            &exact[k][j]
        };
        for (k, layer) in small.network.layers.iter().enumerate() {
            let Kind::Affine(affine) = &layer.kind else { continue };
            for j in 0..layer.size {
                let mut sum = rational(affine.bias[j].to_f64());
                for (source, map) in &affine.terms {
                    let mut row = vec![T::ZERO; map.inputs()];
                    map.add_row(j, T::ONE, &mut row);
                    let products = row.iter().enumerate().filter(|(_, w)| w.to_f64() != 0.0);
                    products.for_each(|(i, w)| sum += rational(w.to_f64()) * value(*source, i));
                }
                let away = sum - value(k, j);
                let away = if away < RBig::ZERO { -away } else { away };
                assert!(away <= rational(affine.error[j].to_f64()), "layer {k}, entry {j}: off by {away}");
            }
        }
    }
}

/// Rows that are decided leave the ascent; the others go on as if nothing had happened.
fn decided_rows_leave_the_rest_alone<T: Scalar>(seed: u64, radius: f32) {
    const SUBPROBLEMS: usize = 4;
    let p = Problem::<T>::new(seed, 1.0, radius, Method::Crown);
    let mut splits: Vec<Vec<Split>> = vec![Vec::new(); SUBPROBLEMS];
    for (k, source, _) in p.network.activations() {
        let (l, u) = (&p.bounds.lower[source], &p.bounds.upper[source]);
        let open = (0..l.len()).filter(|j| l[*j] < T::ZERO && u[*j] > T::ZERO);
        for (d, neuron) in open.enumerate().take(2 * SUBPROBLEMS) {
            let split = Split { layer: k as u32, neuron: neuron as u32, active: d % 3 == 0 };
            splits[d % SUBPROBLEMS].push(split);
        }
    }
    let splits: Vec<&[Split]> = splits.iter().map(Vec::as_slice).collect();
    let picks: Vec<(usize, &[Split])> = splits.iter().map(|splits| (0, *splits)).collect();
    let (bounds, boxes) = (p.bounds.gather(&p.network, &picks), p.boxes.repeat(SUBPROBLEMS));
    let objective = p.objective(seed);
    let pairs: Vec<_> = (0..SUBPROBLEMS as u32).map(|d| (d, &objective)).collect();
    let rows = specification::rows(&p.network, &p.magnitudes, &pairs);
    let params = alpha::Params { steps: 8, alpha_rate: 0.3, beta_rate: 0.5, decay: 0.9 };
    let ascent = |steps: usize, decided: &dyn Fn(usize) -> bool| {
        let slopes = Slopes::initial(&p.network, &bounds.lines, &rows.domain, &splits);
        let params = alpha::Params { steps, ..params };
        let done = |r: usize, _: T| decided(r);
        alpha::optimise(&p.network, &p.magnitudes, &bounds, &boxes, &rows, &splits, slopes, params, done)
    };
    let (start, all, some) = (ascent(0, &|_| false), ascent(8, &|_| false), ascent(8, &|r| r % 2 == 0));
    let keys = |beta: &[(u32, u32, T)]| beta.iter().map(|(r, j, _)| (*r, *j)).collect::<Vec<_>>();
    for (all, some) in all.slopes.beta.iter().zip(&some.slopes.beta) {
        assert_eq!(keys(all), keys(some), "multipliers changed places");
    }
    for r in 0..SUBPROBLEMS {
        let expected = if r % 2 == 0 { start.minimum[r] } else { all.minimum[r] }.to_f64();
        let found = some.minimum[r].to_f64();
        // Products of fewer rows may add up in another order.
        assert!((found - expected).abs() <= 1e-3 * (1.0 + expected.abs()), "row {r}: {found}, not {expected}");
        // What it reports is what its slopes give.
        let from = Slopes { alpha: some.slopes.alpha.clone(), beta: some.slopes.beta.clone() };
        let again = back_substitute(&p.network, &p.magnitudes, &bounds.lines, rows.clone(), from.multipliers(), false);
        let again = again.minimum(r, boxes.set(r)).to_f64();
        assert!((found - again).abs() <= 1e-3 * (1.0 + found.abs()), "row {r}: {found}, its slopes give {again}");
    }
}

/// With splits the bound holds where the signs do.
fn splits_are_sound<T: Scalar>(seed: u64, scale: f64, radius: f32) {
    let p = Problem::<T>::new(seed, scale, radius, Method::Crown);
    let mut random = Random::stream(seed, 4);
    // The signs of an inner point, so that at least it lies in the subproblem.
    let signs = evaluate(&p.exact, &p.points(seed)[0]);
    let mut splits: Vec<Split> = Vec::new();
    let mut bounds = p.bounds.clone();
    for (k, source, _) in p.network.activations() {
        let neuron = random.index(p.network.layers[k].size);
        let (l, u) = (bounds.lower[source][neuron], bounds.upper[source][neuron]);
        if l < T::ZERO && u > T::ZERO {
            let active = signs[source][neuron] >= RBig::ZERO;
            splits.push(Split { layer: k as u32, neuron: neuron as u32, active });
            let slope = if active { T::ONE } else { T::ZERO };
            (bounds.lines.lower_slope[k][neuron], bounds.lines.upper_slope[k][neuron]) = (slope, slope);
            bounds.lines.upper_intercept[k][neuron] = T::ZERO;
            *(if active { &mut bounds.lower } else { &mut bounds.upper })[source].get_mut(neuron).expect("a neuron") =
                T::ZERO;
        }
    }
    let objective = p.objective(seed);
    let rows = specification::rows(&p.network, &p.magnitudes, &[(0, &objective)]);
    let slopes = Slopes::initial(&p.network, &bounds.lines, &[0], &[&splits]);
    let params = alpha::Params { steps: 8, alpha_rate: 0.3, beta_rate: 0.5, decay: 0.9 };
    let never = |_: usize, _: T| false;
    let best = alpha::optimise(&p.network, &p.magnitudes, &bounds, &p.boxes, &rows, &[&splits], slopes, params, never);
    // A fixed β, whether or not it helps: the affine bound itself must hold where the signs do.
    let mut beta = vec![Vec::new(); p.network.layers.len()];
    for split in &splits {
        let signed = T::from_f64(if split.active { 0.5 } else { -0.5 });
        beta[split.layer as usize].push((0, split.neuron, signed));
    }
    let multipliers = Multipliers { alpha: &[], beta: &beta };
    let forced = back_substitute(&p.network, &p.magnitudes, &bounds.lines, rows.clone(), multipliers, false);
    let sources: Vec<(usize, usize)> = p.network.activations().map(|(k, source, _)| (k, source)).collect();
    for x in p.points(seed) {
        let y = evaluate(&p.exact, &x);
        let holds = splits.iter().all(|s| {
            let source = sources.iter().find(|(k, _)| *k == s.layer as usize).expect("an activation").1;
            let z = &y[source][s.neuron as usize];
            if s.active { *z >= RBig::ZERO } else { *z <= RBig::ZERO }
        });
        if holds {
            let value = exact_objective(&objective, &x, &y[p.exact.output()]);
            assert!(rational(best.minimum[0].to_f64()) <= value, "β: {} > {value}", best.minimum[0]);
            let mut linear = rational(forced.constant[0].to_f64()) - rational(1.05 * forced.error[0].to_f64());
            forced.row(0).iter().zip(&x).for_each(|(a, x)| linear += rational(a.to_f64()) * rational(*x));
            assert!(linear <= value, "the affine bound with β exceeds the objective at a point");
        }
    }
}

const ASCENT: alpha::Params = alpha::Params { steps: 4, alpha_rate: 0.25, beta_rate: 0.0, decay: 0.9 };

fn refined(splits: usize) -> Method {
    let leaf = alpha::Params { steps: 4, alpha_rate: 0.1, beta_rate: 0.3, decay: 0.95 };
    Method::Refined(ASCENT, refine::Params { splits, ascent: leaf })
}

fn methods() -> [Method; 4] {
    [Method::Interval, Method::Crown, Method::AlphaCrown(ASCENT), refined(6)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bounds_of_points_enclose(seed in any::<u64>(), scale in prop::sample::select(vec![0.1, 1.0, 30.0])) {
        for method in methods() {
            layers_enclose::<f32>(seed, scale, 0.0, method);
            layers_enclose::<f64>(seed, scale, 0.0, method);
        }
        objectives_are_bounded::<f32>(seed, scale, 0.0);
        objectives_are_bounded::<f64>(seed, scale, 0.0);
    }

    #[test]
    fn bounds_of_boxes_enclose(seed in any::<u64>(), radius in prop::sample::select(vec![1e-6f32, 0.01, 0.3])) {
        for method in methods() {
            layers_enclose::<f32>(seed, 0.5, radius, method);
            layers_enclose::<f64>(seed, 0.5, radius, method);
        }
        objectives_are_bounded::<f32>(seed, 0.5, radius);
        objectives_are_bounded::<f64>(seed, 0.5, radius);
    }

    #[test]
    fn reduced_networks_agree(seed in any::<u64>(), radius in prop::sample::select(vec![0.0f32, 1e-6, 0.01, 0.3]), scale in prop::sample::select(vec![0.5, 10.0])) {
        reductions_agree::<f32>(seed, scale, radius);
        reductions_agree::<f64>(seed, scale, radius);
    }

    #[test]
    fn ascents_do_not_depend_on_decided_rows(seed in any::<u64>(), radius in prop::sample::select(vec![0.01f32, 0.3])) {
        decided_rows_leave_the_rest_alone::<f32>(seed, radius);
        decided_rows_leave_the_rest_alone::<f64>(seed, radius);
    }

    #[test]
    fn bounds_with_splits_hold_where_the_signs_do(seed in any::<u64>(), radius in prop::sample::select(vec![0.01f32, 0.3])) {
        splits_are_sound::<f32>(seed, 0.5, radius);
        splits_are_sound::<f64>(seed, 0.5, radius);
    }
}

#[test]
fn crown_is_never_looser_than_intervals() {
    for seed in 0..20 {
        let crown = Problem::<f64>::new(seed, 0.5, 0.1, Method::Crown);
        let interval = Problem::<f64>::new(seed, 0.5, 0.1, Method::Interval);
        for k in 0..crown.network.layers.len() {
            for j in 0..crown.network.layers[k].size {
                // Both round: a few units in the last place of the largest intermediate (about 1e3).
                assert!(crown.bounds.lower[k][j] >= interval.bounds.lower[k][j] - 1e-9);
                assert!(crown.bounds.upper[k][j] <= interval.bounds.upper[k][j] + 1e-9);
            }
        }
    }
}

#[test]
fn lowering_preserves_the_outputs_exactly() {
    for seed in 0..40 {
        let graph = random_graph(seed, 0.5);
        let network = lower(&graph).expect("every operator is supported");
        let mut random = Random::stream(seed, 5);
        let x: Vec<f64> = (0..32).map(|_| f64::from(random.uniform(-1.0, 1.0) as f32)).collect();
        let point: Vec<RBig> = x.iter().map(|v| rational(*v)).collect();
        let expected = secateur_check::evaluate(&graph, &point, secateur_check::Precision::EXACT).expect("outputs");
        let found = &evaluate(&network, &x)[network.output()];
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert!(expected.is_exact() && expected.holds(found), "seed {seed}: {found} is not {expected:?}");
        }
    }
}

/// Two inputs, two hidden layers: the grid's extremes are nearly the exact ones.
#[test]
fn refining_never_loosens_and_nearly_closes_the_gap() {
    let (mut plain_gap, mut refined_gap) = (0.0, 0.0);
    for seed in 0..20 {
        let random = Random::new(seed);
        let builder = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
        let mut m = Maker { random, builder, count: 0, scale: 0.6 };
        let mut h = m.builder.input();
        for (from, to) in [(2, 8), (8, 8)] {
            let z = m.dense(h, from, to);
            h = m.add(Op::Relu, &[z]);
        }
        let y = m.dense(h, 8, 3);
        // Read by an activation, so that it is bounded like a hidden layer.
        let y = m.add(Op::Relu, &[y]);
        let network = lower(&m.builder.finish(y).expect("a graph")).expect("every operator is supported");
        let single = network.cast::<f32>();
        let boxes = Boxes::one(&[-1.0f32; 2], &[1.0f32; 2], None);
        let run = |method, known: &[Option<&_>]| bounds::bound(&single, &boxes, method, known, &|| false).0;
        let plain = run(Method::Crown, &[]);
        let known = plain.preactivations(&single, 0);
        let refined = run(refined(64), &[Some(&known)]);
        let steps = 64;
        let at = |i: usize| -1.0 + 2.0 * i as f64 / steps as f64;
        let grid: Vec<f64> = (0..=steps).flat_map(|i| (0..=steps).flat_map(move |j| [at(i), at(j)])).collect();
        let values = network.evaluate(&grid, grid.len() / 2);
        for (_, k, _) in network.activations() {
            let size = network.layers[k].size;
            for j in 0..size {
                let column = values[k].iter().skip(j).step_by(size).copied();
                let least = column.clone().fold(f64::INFINITY, f64::min);
                let greatest = column.fold(f64::NEG_INFINITY, f64::max);
                let ends = |b: &Bounds<f32>| (f64::from(b.lower[k][j]), f64::from(b.upper[k][j]));
                let (loose, tight) = (ends(&plain), ends(&refined));
                assert!(tight.0 >= loose.0 && tight.1 <= loose.1, "seed {seed}, layer {k}, entry {j}: looser");
                // An entry whose sign is known is left alone.
                assert!(tight.0 <= least + 1e-6 && tight.1 >= greatest - 1e-6, "seed {seed}, layer {k}, entry {j}");
                if tight.0 < 0.0 && tight.1 > 0.0 {
                    plain_gap += (least - loose.0) + (loose.1 - greatest);
                    refined_gap += (least - tight.0) + (tight.1 - greatest);
                }
            }
        }
    }
    assert!(refined_gap < 0.2 * plain_gap, "the gap fell only from {plain_gap} to {refined_gap}");
}
