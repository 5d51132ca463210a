//! Every step of a device against the reference, on random numbers and odd sizes.
//!
//! Outputs that a step should replace begin as NaN, so that what it leaves unwritten is seen. Sums are compared up to their
//! rounding in another order, everything else bit by bit.

mod emulator;

use emulator::Emulator;
use secateur_linalg::Csr;
use secateur_linalg::device::{
    Boxes, Convolution, Cuda, Device, Entries, Extents, Geometry, Lines, Memory, Reference, Shape, Sparse, Step, Sum,
};
use secateur_linalg::random::Random;

/// Random buffers on a device and on the reference alike.
struct Pair<'a, D: Device> {
    device: &'a D,
    random: Random,
}

/// A buffer on both.
struct Both<D: Device>(D::Floats, Vec<f32>);

impl<D: Device> Pair<'_, D> {
    fn draw(&mut self, len: usize) -> Vec<f32> {
        let mut data = vec![0.0; len];
        self.random.fill_normal(&mut data, 1.0);
        // Zeros of both signs are where comparisons turn.
        data.iter_mut().step_by(7).for_each(|v| *v = if *v > 0.0 { 0.0 } else { -0.0 });
        data
    }

    fn numbers(&mut self, len: usize) -> Both<D> {
        let data = self.draw(len);
        self.both(data)
    }

    fn both(&self, data: Vec<f32>) -> Both<D> {
        Both(self.device.floats(&data).expect("memory"), data)
    }

    fn poisoned(&self, len: usize) -> Both<D> {
        let buffer = self.device.poisoned(len).expect("memory");
        let read = self.device.read(&buffer).expect("memory");
        assert!(read.len() == len && read.iter().all(|v| v.is_nan()), "what is not written is NaN");
        Both(buffer, vec![f32::NAN; len])
    }

    /// Poisoned, or numbers to add to.
    fn target(&mut self, len: usize, sum: Sum) -> Both<D> {
        if sum == Sum::Add { self.numbers(len) } else { self.poisoned(len) }
    }

    fn indices(&mut self, len: usize, below: usize) -> Vec<u32> {
        (0..len).map(|_| self.random.index(below) as u32).collect()
    }

    #[track_caller]
    fn same(&self, what: &str, both: &Both<D>) {
        self.near(what, both, 0.0);
    }

    /// Equal up to a share of the reference's largest number.
    #[track_caller]
    fn near(&self, what: &str, Both(device, reference): &Both<D>, share: f32) {
        let found = self.device.read(device).expect("memory");
        assert_eq!(found.len(), reference.len());
        let most = reference.iter().fold(1.0f32, |most, v| most.max(v.abs()));
        for (i, (found, expected)) in found.iter().zip(reference).enumerate() {
            let equal = if share == 0.0 { found == expected } else { (found - expected).abs() <= share * most };
            assert!(equal, "{what}: entry {i} is {found}, not {expected}");
        }
    }
}

/// Rounding of sums of some hundred normal numbers in another order: 2^-24 times a few hundred.
const ROUNDING: f32 = 2e-5;

const SHAPES: [Shape; 4] = [
    Shape { rows: 1, size: 1 },
    Shape { rows: 3, size: 127 },
    Shape { rows: 7, size: 129 },
    Shape { rows: 33, size: 61 },
];

fn check_products<D: Device>(pair: &mut Pair<'_, D>) {
    for (m, n, k) in [(1, 1, 1), (3, 5, 7), (17, 33, 65), (2, 1, 130)] {
        for (transposed, sum) in [(false, Sum::Replace), (true, Sum::Replace), (false, Sum::Add), (true, Sum::Add)] {
            let (a, b, mut c) = (pair.numbers(m * k), pair.numbers(k * n), pair.target(m * n, sum));
            let extents = Extents { m, n, k };
            pair.device.gemm(&mut c.0, &a.0, &b.0, extents, transposed, sum).expect("a product");
            Reference.gemm(&mut c.1, &a.1, &b.1, extents, transposed, sum).expect("a product");
            pair.near("gemm", &c, ROUNDING);
        }
    }
    let (rows, m, n) = (5, 37, 29);
    let mut weights = pair.draw(m * n);
    weights.iter_mut().enumerate().filter(|(i, _)| i % 5 > 0 || i / n == 3).for_each(|(_, w)| *w = 0.0);
    let matrix = Csr::from_dense(&weights, m, n);
    let maps = (Sparse::new(pair.device, &matrix).expect("memory"), Sparse::new(&Reference, &matrix).expect("memory"));
    for sum in [Sum::Replace, Sum::Add] {
        let (x, mut y) = (pair.numbers(rows * n), pair.target(rows * m, sum));
        pair.device.sparse(&mut y.0, &x.0, &maps.0, rows, sum).expect("a product");
        Reference.sparse(&mut y.1, &x.1, &maps.1, rows, sum).expect("a product");
        pair.near("sparse", &y, ROUNDING);
    }
}

fn geometries() -> [Geometry; 3] {
    let plain = Geometry {
        groups: 1,
        input: [3, 7, 5],
        output: [4, 7, 5],
        kernel: [3, 3],
        strides: [1, 1],
        pads: [1, 1],
        dilations: [1, 1],
    };
    let grouped = Geometry {
        groups: 2,
        input: [4, 5, 6],
        output: [6, 3, 2],
        kernel: [3, 2],
        strides: [2, 3],
        pads: [1, 1],
        dilations: [1, 2],
    };
    let strided = Geometry {
        groups: 1,
        input: [2, 8, 9],
        output: [5, 3, 4],
        kernel: [4, 3],
        strides: [3, 2],
        pads: [2, 0],
        dilations: [1, 1],
    };
    [plain, grouped, strided]
}

fn check_convolutions<D: Device>(pair: &mut Pair<'_, D>) {
    for geometry in geometries() {
        let weight = pair.draw(geometry.weights());
        let device = Convolution::new(pair.device, &geometry, &weight).expect("memory");
        let reference = Convolution::new(&Reference, &geometry, &weight).expect("memory");
        let (rows, n, m) = (3, geometry.inputs(), geometry.outputs());
        for sum in [Sum::Replace, Sum::Add] {
            let (x, mut y) = (pair.numbers(rows * n), pair.target(rows * m, sum));
            pair.device.convolve(&mut y.0, &x.0, &device, rows, sum).expect("a convolution");
            Reference.convolve(&mut y.1, &x.1, &reference, rows, sum).expect("a convolution");
            pair.near("convolve", &y, ROUNDING);
            let (y, mut x) = (pair.numbers(rows * m), pair.target(rows * n, sum));
            pair.device.convolve_back(&mut x.0, &y.0, &device, rows, sum).expect("a convolution");
            Reference.convolve_back(&mut x.1, &y.1, &reference, rows, sum).expect("a convolution");
            pair.near("convolve_back", &x, ROUNDING);
        }
    }
}

fn check_rows<D: Device>(pair: &mut Pair<'_, D>, shape: Shape) {
    let Shape { rows, size } = shape;
    let (x, mut y) = (pair.numbers(rows * size), pair.numbers(rows * size));
    pair.device.add(&mut y.0, &x.0, shape).expect("a step");
    Reference.add(&mut y.1, &x.1, shape).expect("a step");
    pair.same("add", &y);
    let mut copy = pair.poisoned(rows * size);
    pair.device.copy(&mut copy.0, &y.0).expect("a step");
    Reference.copy(&mut copy.1, &y.1).expect("a step");
    pair.same("copy", &copy);
    let (vector, mut y) = (pair.numbers(size), pair.poisoned(rows * size));
    pair.device.spread(&mut y.0, &vector.0, shape).expect("a step");
    Reference.spread(&mut y.1, &vector.1, shape).expect("a step");
    pair.same("spread", &y);
    let mut constant = pair.numbers(rows);
    pair.device.dot(&mut constant.0, &x.0, &vector.0, shape).expect("a step");
    Reference.dot(&mut constant.1, &x.1, &vector.1, shape).expect("a step");
    pair.near("dot", &constant, ROUNDING);

    let (l, u) = (pair.numbers(2 * size), pair.numbers(2 * size));
    let domain = pair.indices(rows, 2);
    let domains = (pair.device.indices(&domain).expect("memory"), Reference.indices(&domain).expect("memory"));
    let device = || Boxes { lower: &l.0, upper: &u.0, domain: &domains.0 };
    let reference = || Boxes { lower: &l.1, upper: &u.1, domain: &domains.1 };
    let mut least = pair.poisoned(rows);
    pair.device.minimum(&mut least.0, &x.0, &constant.0, device(), shape).expect("a step");
    Reference.minimum(&mut least.1, &x.1, &constant.1, reference(), shape).expect("a step");
    pair.near("minimum", &least, ROUNDING);
    let mut corner = pair.poisoned(rows * size);
    pair.device.minimiser(&mut corner.0, &x.0, device(), shape).expect("a step");
    Reference.minimiser(&mut corner.1, &x.1, reference(), shape).expect("a step");
    pair.same("minimiser", &corner);

    let (minimum, mut best, mut better) = (pair.numbers(rows), pair.numbers(rows), pair.poisoned(rows));
    pair.device.rise(&mut best.0, &mut better.0, &minimum.0).expect("a step");
    Reference.rise(&mut best.1, &mut better.1, &minimum.1).expect("a step");
    pair.same("rise: best", &best);
    pair.same("rise: better", &better);
    let (now, mut kept) = (pair.numbers(rows * size), pair.numbers(rows * size));
    pair.device.keep_rows(&mut kept.0, &now.0, &better.0, shape).expect("a step");
    Reference.keep_rows(&mut kept.1, &now.1, &better.1, shape).expect("a step");
    pair.same("keep_rows", &kept);
}

fn check_lines<D: Device>(pair: &mut Pair<'_, D>, shape: Shape) {
    let Shape { rows, size } = shape;
    let above = (0..3 * size).map(|i| [0.0, 0.25, 1.0, 0.5, 0.75][(i * i) % 5]).collect();
    let (above, intercept) = (pair.both(above), pair.numbers(3 * size));
    let domain = pair.indices(rows, 3);
    let domains = (pair.device.indices(&domain).expect("memory"), Reference.indices(&domain).expect("memory"));
    let device = || Lines { above: &above.0, intercept: &intercept.0, domain: &domains.0 };
    let reference = || Lines { above: &above.1, intercept: &intercept.1, domain: &domains.1 };
    let slopes = (0..rows * size).map(|_| pair.random.unit() as f32).collect();
    let (a, z, mut alpha) = (pair.numbers(rows * size), pair.numbers(rows * size), pair.both(slopes));
    for sum in [Sum::Replace, Sum::Add] {
        let (mut out, mut constant) = (pair.target(rows * size, sum), pair.numbers(rows));
        let lines = device();
        pair.device.relax_back(&mut out.0, &mut constant.0, &a.0, &alpha.0, lines, shape, sum).expect("a step");
        Reference.relax_back(&mut out.1, &mut constant.1, &a.1, &alpha.1, reference(), shape, sum).expect("a step");
        pair.same("relax_back", &out);
        pair.near("relax_back: constant", &constant, ROUNDING);
    }
    let mut h = pair.poisoned(rows * size);
    pair.device.relax_forward(&mut h.0, &z.0, &a.0, &alpha.0, device(), shape).expect("a step");
    Reference.relax_forward(&mut h.1, &z.1, &a.1, &alpha.1, reference(), shape).expect("a step");
    pair.same("relax_forward", &h);

    let (mut first, mut second) = (pair.both(vec![0.0; rows * size]), pair.both(vec![0.0; rows * size]));
    for turn in 1..4 {
        let correct = |decay: f64| (1.0 / (1.0 - decay.powi(turn))) as f32;
        let step = Step { rate: 0.25, first: correct(0.9), second: correct(0.999) };
        let moments = (&mut first.0, &mut second.0);
        pair.device.alpha_step(&mut alpha.0, moments, &a.0, &z.0, device(), step, shape).expect("a step");
        let moments = (&mut first.1, &mut second.1);
        Reference.alpha_step(&mut alpha.1, moments, &a.1, &z.1, reference(), step, shape).expect("a step");
        pair.same("alpha_step", &alpha);
        pair.same("alpha_step: first moment", &first);
        pair.same("alpha_step: second moment", &second);
    }
    assert!(alpha.1.iter().all(|alpha| (0.0..=1.0).contains(alpha)));
}

fn check_entries<D: Device>(pair: &mut Pair<'_, D>, shape: Shape) {
    let Shape { rows, size } = shape;
    let chosen: Vec<usize> = (0..rows * size).filter(|at| at % 3 == 1).collect();
    let row: Vec<u32> = chosen.iter().map(|at| (at / size) as u32).collect();
    let neuron: Vec<u32> = chosen.iter().map(|at| (at % size) as u32).collect();
    let number = chosen.len();
    let signs = (0..number).map(|e| if e % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let sign = pair.both(signs);
    let on = pair.device;
    let words = (on.indices(&row).expect("memory"), on.indices(&neuron).expect("memory"));
    let plain = (Reference.indices(&row).expect("memory"), Reference.indices(&neuron).expect("memory"));
    let device = || Entries { row: &words.0, neuron: &words.1, sign: &sign.0 };
    let reference = || Entries { row: &plain.0, neuron: &plain.1, sign: &sign.1 };
    let z = pair.numbers(rows * size);
    let mut beta = pair.both(vec![0.0; number]);
    let (mut first, mut second) = (pair.both(vec![0.0; number]), pair.both(vec![0.0; number]));
    for turn in 1..4 {
        let correct = |decay: f64| (1.0 / (1.0 - decay.powi(turn))) as f32;
        let step = Step { rate: 0.3, first: correct(0.9), second: correct(0.999) };
        on.beta_step(&mut beta.0, (&mut first.0, &mut second.0), &z.0, device(), step, shape).expect("a step");
        let moments = (&mut first.1, &mut second.1);
        Reference.beta_step(&mut beta.1, moments, &z.1, reference(), step, shape).expect("a step");
        pair.same("beta_step", &beta);
    }
    let mut a = pair.numbers(rows * size);
    on.subtract(&mut a.0, &beta.0, device(), shape).expect("a step");
    Reference.subtract(&mut a.1, &beta.1, reference(), shape).expect("a step");
    pair.same("subtract", &a);
    let better = pair.both((0..rows).map(|r| (r % 2) as f32).collect());
    let mut best = pair.numbers(number);
    on.keep_entries(&mut best.0, &beta.0, &better.0, device()).expect("a step");
    Reference.keep_entries(&mut best.1, &beta.1, &better.1, reference()).expect("a step");
    pair.same("keep_entries", &best);
}

fn check<D: Device>(device: &D) {
    let mut pair = Pair { device, random: Random::new(5) };
    check_products(&mut pair);
    check_convolutions(&mut pair);
    for shape in SHAPES {
        check_rows(&mut pair, shape);
        check_lines(&mut pair, shape);
        check_entries(&mut pair, shape);
    }
}

#[test]
fn the_reference_is_a_device() {
    check(&Reference);
}

#[test]
fn kernels_on_the_processor_do_what_the_reference_does() {
    if let Some(emulator) = Emulator::start() {
        check(&emulator);
    }
}

#[test]
fn kernels_on_the_device_do_what_the_reference_does() {
    match Cuda::open() {
        Ok(cuda) => check(&cuda),
        Err(reason) => println!("no device, nothing was compared: {reason}"),
    }
}

/// The reference's convolution against the definition of one, as a matrix.
#[test]
fn convolving_back_is_the_transpose() {
    for geometry in geometries() {
        let mut random = Random::new(9);
        let mut weight = vec![0.0; geometry.weights()];
        random.fill_normal(&mut weight, 1.0);
        let map = Convolution::new(&Reference, &geometry, &weight).expect("memory");
        let (n, m) = (geometry.inputs(), geometry.outputs());
        let unit = |size: usize| (0..size * size).map(|i| if i / size == i % size { 1.0 } else { 0.0 }).collect();
        let (mut forward, mut back) = (vec![f32::NAN; n * m], vec![f32::NAN; n * m]);
        Reference.convolve(&mut forward, &unit(n), &map, n, Sum::Replace).expect("a convolution");
        Reference.convolve_back(&mut back, &unit(m), &map, m, Sum::Replace).expect("a convolution");
        assert!(forward.iter().any(|v| *v != 0.0));
        for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
            assert_eq!(forward[i * m + j], back[j * n + i]);
        }
    }
}
