//! What devices propose, and what they cannot break.
//!
//! The ascent over the reference device proposes slopes whose bounds are those of the processor's ascent. A device that answers
//! nonsense, or nothing, costs bounds and never soundness.

use dashu_ratio::RBig;
use secateur_linalg::Tensor;
use secateur_linalg::device::launch::{Argument, Launcher};
use secateur_linalg::device::{Cuda, DeviceError, Done, Extents, Memory, Reference, Sum};
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value, Window};
use secateur_nn::property::{Case, LinearConstraint, Property};
use secateur_verify::alpha::{self, Optimised, Params, Slopes, Split};
use secateur_verify::bounds::{self, Bounds, Boxes, Method};
use secateur_verify::device::Home;
use secateur_verify::lower::lower;
use secateur_verify::network::{Function, Network};
use secateur_verify::rounding::Magnitudes;
use secateur_verify::specification::{self, Objective};
use secateur_verify::{Accelerator, Branching, Choice, Outcome, Settings, Silent, verify};
use std::sync::Arc;
use std::time::Duration;

struct Maker {
    random: Random,
    builder: GraphBuilder,
    count: usize,
}

impl Maker {
    fn new(seed: u64, shape: Vec<usize>) -> (Self, NodeId) {
        let builder = GraphBuilder::new("x", shape, ElementType::F32);
        let x = builder.input();
        (Self { random: Random::new(seed), builder, count: 0 }, x)
    }

    fn add(&mut self, op: Op, arguments: &[NodeId]) -> NodeId {
        self.count += 1;
        self.builder.add(format!("n{}", self.count), op, arguments).expect("shapes fit")
    }

    fn weights(&mut self, shape: Vec<usize>, deviation: f64) -> NodeId {
        let mut data = vec![0.0f32; shape.iter().product()];
        self.random.fill_normal(&mut data, deviation);
        self.count += 1;
        let value = Value::F32(Arc::new(Tensor::new(shape, data)));
        self.builder.constant(format!("w{}", self.count), value).expect("finite weights")
    }

    fn dense(&mut self, x: NodeId, from: usize, to: usize) -> NodeId {
        let (w, b) = (self.weights(vec![to, from], (2.0 / from as f64).sqrt()), self.weights(vec![to], 0.1));
        self.add(Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true }, &[x, w, b])
    }

    fn convolution(&mut self, x: NodeId, [from, to]: [usize; 2], stride: usize) -> NodeId {
        let deviation = (2.0 / (9 * from) as f64).sqrt();
        let (w, b) = (self.weights(vec![to, from, 3, 3], deviation), self.weights(vec![to], 0.1));
        let two = |extent| vec![extent; 2];
        let window =
            Window { kernel: two(3), strides: two(stride), pads_begin: two(1), pads_end: two(1), dilations: two(1) };
        self.add(Op::Conv { window, groups: 1 }, &[x, w, b])
    }
}

fn dense(seed: u64) -> Graph {
    let (mut m, x) = Maker::new(seed, vec![1, 9]);
    let mut h = x;
    for (from, to) in [(9, 31), (31, 23), (23, 17)] {
        let z = m.dense(h, from, to);
        h = m.add(Op::Relu, &[z]);
    }
    let y = m.dense(h, 17, 3);
    m.builder.finish(y).expect("a graph")
}

/// Convolutions with a sum around one of them, a selection of entries, and dense layers.
fn residual(seed: u64) -> Graph {
    let (mut m, x) = Maker::new(seed, vec![1, 2, 6, 6]);
    let z = m.convolution(x, [2, 4], 2);
    let first = m.add(Op::Relu, &[z]);
    let z = m.convolution(first, [4, 4], 1);
    let second = m.add(Op::Relu, &[z]);
    let z = m.convolution(second, [4, 4], 1);
    let sum = m.add(Op::Add, &[z, first]);
    let third = m.add(Op::Relu, &[sum]);
    let flat = m.add(Op::Reshape { shape: vec![1, 36] }, &[third]);
    let z = m.dense(flat, 36, 20);
    let hidden = m.add(Op::Relu, &[z]);
    let some = m.add(Op::Slice { starts: vec![0, 3], steps: vec![1, 2], lengths: vec![1, 8] }, &[hidden]);
    let joined = m.add(Op::Concat { axis: 1 }, &[some, flat]);
    let y = m.dense(joined, 44, 3);
    m.builder.finish(y).expect("a graph")
}

fn graphs(seed: u64) -> [Graph; 2] {
    [dense(seed), residual(seed)]
}

/// A network, and a batch of subproblems of a box with one row for each of two objectives.
struct Batch {
    network: Network<f32>,
    magnitudes: Magnitudes<f32>,
    bounds: Bounds<f32>,
    boxes: Boxes<f32>,
    objectives: Vec<Objective<f32>>,
    splits: Vec<Vec<Split>>,
}

const SUBPROBLEMS: usize = 5;

impl Batch {
    fn new(graph: &Graph, seed: u64, radius: f64) -> Self {
        let network = lower(graph).expect("every operator is supported").cast::<f32>();
        let mut random = Random::stream(seed, 1);
        let centre: Vec<f64> = (0..network.inputs()).map(|_| random.uniform(-0.5, 0.5)).collect();
        let corner = |sign: f64| centre.iter().map(|c| (c + sign * radius) as f32).collect::<Vec<f32>>();
        let one = Boxes::one(&corner(-1.0), &corner(1.0), None);
        let (root, magnitudes) = bounds::bound(&network, &one, Method::Crown, &[], &|| false);
        let mut splits = vec![Vec::new(); SUBPROBLEMS];
        for (d, splits) in splits.iter_mut().enumerate() {
            for (k, source, function) in network.activations() {
                assert_eq!(function, Function::Relu);
                let open: Vec<usize> = (0..network.layers[k].size)
                    .filter(|j| root.lower[source][*j] < 0.0 && root.upper[source][*j] > 0.0)
                    .collect();
                // No split in the first subproblem, up to two a layer in the others.
                for _ in 0..d.min(2).min(open.len()) {
                    let neuron = open[random.index(open.len())] as u32;
                    let split = Split { layer: k as u32, neuron, active: random.bits().is_multiple_of(2) };
                    if splits.iter().all(|s: &Split| (s.layer, s.neuron) != (split.layer, split.neuron)) {
                        splits.push(split);
                    }
                }
            }
        }
        let picks: Vec<(usize, &[Split])> = splits.iter().map(|splits| (0, splits.as_slice())).collect();
        let bounds = root.gather(&network, &picks);
        let mut objective = |inputs| {
            let outputs = (0..3).map(|j| (j, random.normal() as f32)).collect();
            Objective { inputs, outputs, constant: 0.25, rounded: false, strict: false }
        };
        let objectives = vec![objective(Vec::new()), objective(vec![(1, 0.5)])];
        Self { network, magnitudes, bounds, boxes: one.repeat(SUBPROBLEMS), objectives, splits }
    }

    fn optimise(&self, accelerator: Option<Accelerator>, steps: usize) -> Optimised<f32> {
        let home = Home::new(accelerator.map(Arc::new));
        let network = Network { home, ..self.network.clone() };
        let splits: Vec<&[Split]> = self.splits.iter().map(Vec::as_slice).collect();
        let all = |d| self.objectives.iter().map(move |objective| (d, objective));
        let pairs: Vec<(u32, &Objective<f32>)> = (0..SUBPROBLEMS as u32).flat_map(all).collect();
        let rows = specification::rows(&network, &self.magnitudes, &pairs);
        let slopes = Slopes::initial(&network, &self.bounds.lines, &rows.domain, &splits);
        let params = Params { steps, alpha_rate: 0.25, beta_rate: 0.2, decay: 0.95 };
        let (bounds, boxes) = (&self.bounds, &self.boxes);
        alpha::optimise(&network, &self.magnitudes, bounds, boxes, &rows, &splits, slopes, params, |_, _| false)
    }

    /// The least objective at random points of each subproblem that are found in it.
    fn sampled(&self) -> Vec<f64> {
        let mut random = Random::new(77);
        let (exact, n) = (self.network.cast::<f64>(), self.network.inputs());
        let mut least = vec![f64::INFINITY; SUBPROBLEMS * self.objectives.len()];
        for _ in 0..2000 {
            let (lower, upper) = self.boxes.corners(0);
            let x: Vec<f64> = (0..n).map(|i| random.uniform(f64::from(lower[i]), f64::from(upper[i]))).collect();
            let values = exact.evaluate(&x, 1);
            for (d, splits) in self.splits.iter().enumerate() {
                let sources = exact.sources();
                let holds = |s: &Split| {
                    let z = values[sources[s.layer as usize]][s.neuron as usize];
                    if s.active { z >= 0.0 } else { z <= 0.0 }
                };
                if splits.iter().all(holds) {
                    for (o, objective) in self.objectives.iter().enumerate() {
                        let y = &values[exact.output()];
                        let outputs: f64 = objective.outputs.iter().map(|(j, b)| f64::from(*b) * y[*j]).sum();
                        let inputs: f64 = objective.inputs.iter().map(|(i, a)| f64::from(*a) * x[*i]).sum();
                        let at = &mut least[d * self.objectives.len() + o];
                        *at = at.min(outputs + inputs + f64::from(objective.constant));
                    }
                }
            }
        }
        least
    }
}

/// Both ascents take the same steps on sums taken in another order; a slope that rounds to the other of two multiples of 2⁻¹²
/// then moves a bound by some thousandths of what the ascent gains.
const SAME: f32 = 1e-3;

#[test]
fn the_reference_device_finds_the_bounds_of_the_processor() {
    let mut gained = 0;
    for seed in 0..6 {
        for graph in graphs(seed) {
            let batch = Batch::new(&graph, seed, 0.2);
            let start = batch.optimise(None, 0);
            let (cpu, device) = (batch.optimise(None, 20), batch.optimise(Some(Accelerator::of(Reference)), 20));
            assert_eq!(start.tape, device.tape, "branching sees the first step");
            for r in 0..cpu.minimum.len() {
                let (start, cpu, device) = (start.minimum[r], cpu.minimum[r], device.minimum[r]);
                let tolerance = SAME * (1.0 + (cpu - start).abs());
                assert!((cpu - device).abs() <= tolerance, "row {r}: {device}, not {cpu} (from {start})");
                assert!(device >= start);
                gained += usize::from(cpu > start + 0.05);
            }
        }
    }
    assert!(gained > 60, "the ascent gains something in {gained} rows only");
}

#[test]
fn the_cuda_device_finds_the_bounds_of_the_processor() {
    if let Err(reason) = Cuda::open() {
        println!("no device, nothing was compared: {reason}");
        return;
    }
    for seed in 0..6 {
        for graph in graphs(seed) {
            let batch = Batch::new(&graph, seed, 0.2);
            let accelerator = Accelerator::of(Cuda::open().expect("a device"));
            let (cpu, device) = (batch.optimise(None, 20), batch.optimise(Some(accelerator), 20));
            for (cpu, device) in cpu.minimum.iter().zip(&device.minimum) {
                // Products in yet another order.
                assert!((cpu - device).abs() <= 3.0 * SAME * (1.0 + cpu.abs()), "{device}, not {cpu}");
            }
        }
    }
}

/// A device on which every number is the same whatever was computed; or on which everything fails.
#[derive(Clone, Copy, Debug)]
enum Liar {
    Says(f32),
    ForgetsHalf,
    Fails,
}

impl Memory for Liar {
    type Floats = usize;
    type Words = ();

    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn floats(&self, data: &[f32]) -> Result<usize, DeviceError> {
        Ok(data.len())
    }

    fn words(&self, _: &[u32]) -> Result<(), DeviceError> {
        Ok(())
    }

    fn poisoned(&self, len: usize) -> Result<usize, DeviceError> {
        Ok(len)
    }

    fn len(&self, buffer: &usize) -> usize {
        *buffer
    }

    fn read(&self, buffer: &usize) -> Result<Vec<f32>, DeviceError> {
        match self {
            Liar::Says(value) => Ok(vec![*value; *buffer]),
            Liar::ForgetsHalf => Ok(vec![0.5; buffer / 2]),
            Liar::Fails => Err(DeviceError::Failed { reason: "on purpose".to_owned() }),
        }
    }

    fn copy(&self, _: &mut usize, _: &usize) -> Done {
        Ok(())
    }

    fn gemm(&self, _: &mut usize, _: &usize, _: &usize, _: Extents, _: bool, _: Sum) -> Done {
        Ok(())
    }
}

impl Launcher for Liar {
    fn launch(&self, _: &'static str, _: usize, _: Vec<Argument<'_, Self>>) -> Done {
        Ok(())
    }
}

impl Liar {
    /// Whether what it says may be slopes and multipliers.
    fn passes_for_honest(self) -> bool {
        matches!(self, Liar::Says(0.3))
    }
}

const LIARS: [Liar; 8] = [
    Liar::Says(f32::NAN),
    Liar::Says(2.0),
    Liar::Says(-1.0),
    Liar::Says(0.3),
    Liar::Says(f32::INFINITY),
    Liar::Says(f32::NEG_INFINITY),
    Liar::ForgetsHalf,
    Liar::Fails,
];

#[test]
fn nonsense_is_bounded_like_anything_else() {
    for seed in 0..3 {
        for graph in graphs(seed) {
            let batch = Batch::new(&graph, seed, 0.2);
            let (start, cpu) = (batch.optimise(None, 0), batch.optimise(None, 10));
            let least = batch.sampled();
            for liar in LIARS {
                let found = batch.optimise(Some(Accelerator::of(liar)), 10);
                if !liar.passes_for_honest() {
                    assert_eq!(found.minimum, cpu.minimum, "{liar:?} is found out, and the processor goes on alone");
                }
                for (r, least) in least.iter().enumerate() {
                    assert!(found.minimum[r] >= start.minimum[r], "{liar:?} loosened a bound");
                    assert!(f64::from(found.minimum[r]) <= *least, "{liar:?}: {} > {least}", found.minimum[r]);
                }
                assert!(found.slopes.alpha.iter().flatten().all(|alpha| (0.0..=1.0).contains(alpha)), "{liar:?}");
                let signs = batch.splits.iter().flatten().count() * batch.objectives.len();
                let beta = found.slopes.beta.iter().flatten();
                assert_eq!(beta.clone().count(), signs);
                assert!(beta.clone().all(|(_, _, beta)| beta.is_finite()), "{liar:?}");
            }
        }
    }
}

fn rational(v: f64) -> RBig {
    RBig::try_from(v).expect("finite")
}

/// Whether output 0 falls to `bound` in a box around 0.
fn question(graph: &Graph, radius: f64, bound: f64) -> Property {
    let inputs: usize = graph.node(graph.input()).shape.iter().product();
    let constraint =
        LinearConstraint { inputs: Vec::new(), outputs: vec![(0, RBig::ONE)], bound: rational(bound), strict: false };
    let case = Case {
        lower: vec![rational(-radius); inputs],
        upper: vec![rational(radius); inputs],
        ball: None,
        unsafe_set: vec![vec![constraint]],
    };
    Property { inputs, outputs: 3, cases: vec![case], declared: None }
}

fn ask(graph: &Graph, property: &Property, device: Choice) -> (Outcome, String) {
    ask_within(Duration::from_secs(60), graph, property, device)
}

fn ask_within(limit: Duration, graph: &Graph, property: &Property, device: Choice) -> (Outcome, String) {
    let settings = Settings {
        timeout: Some(limit),
        threads: 2,
        seed: 1,
        branching: Branching::Auto,
        device,
        ..Settings::default()
    };
    let report = verify(graph, property, &settings, &Silent).expect("a verdict");
    (report.outcome, report.statistics.device)
}

#[test]
fn verdicts_do_not_depend_on_the_device() {
    let mut verdicts = Vec::new();
    for seed in 0..3 {
        for graph in graphs(seed) {
            let centre = lower(&graph).expect("supported");
            let at = centre.evaluate(&vec![0.0; centre.inputs()], 1)[centre.output()][0];
            for below in [0.05, 0.35] {
                let property = question(&graph, 0.12, at - below);
                let (expected, device) = ask(&graph, &property, Choice::Cpu);
                assert_eq!(device, "cpu");
                verdicts.push(expected.verdict());
                let (found, _) = ask(&graph, &property, Choice::Given(Arc::new(Accelerator::of(Reference))));
                assert_eq!(found.verdict(), expected.verdict(), "reference");
                for liar in LIARS {
                    let choice = Choice::Given(Arc::new(Accelerator::of(liar)));
                    let limit = Duration::from_secs(if liar.passes_for_honest() { 2 } else { 60 });
                    let (found, _) = ask_within(limit, &graph, &property, choice);
                    // Slopes that are slopes, but bad ones, cost time.
                    let late = liar.passes_for_honest() && found.verdict() == "timeout";
                    assert!(late || found.verdict() == expected.verdict(), "{liar:?}: {}", found.verdict());
                }
            }
        }
    }
    assert!(verdicts.contains(&"sat") && verdicts.contains(&"unsat"), "{verdicts:?}");
}

#[test]
fn the_device_that_was_used_is_told() {
    let graph = dense(1);
    let centre = lower(&graph).expect("supported");
    let at = centre.evaluate(&[0.0; 9], 1)[centre.output()][0];
    let property = question(&graph, 0.12, at - 0.35);
    let told = |device| ask(&graph, &property, device).1;
    assert_eq!(told(Choice::Given(Arc::new(Accelerator::of(Reference)))), "reference");
    assert_eq!(told(Choice::Given(Arc::new(Accelerator::of(Liar::Fails)))), "cpu");
    // Far too small for a device, whether or not there is one.
    assert_eq!(told(Choice::Auto), "cpu");
    match Cuda::open() {
        Ok(_) => assert!(told(Choice::Cuda).starts_with("cuda")),
        Err(_) => assert!(Choice::Cuda.open().is_err()),
    }
    assert_eq!("auto".parse::<Choice>().expect("a choice").name(), "auto");
    assert!("gpu".parse::<Choice>().is_err());
}
