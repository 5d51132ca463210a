//! The steps as launches of the kernels in `kernels.cu`: which arguments, in which order, on how many blocks.
//!
//! Whatever can launch a kernel by name is a device: CUDA is, and so are the kernels compiled for the processor, which is how
//! everything but the launch itself is tested where there is no device.
//!
//! # Soundness
//! A kernel does not check where it reads and writes. Here the length of every buffer, and the limit of every index, is
//! compared with what its kernel is told.

use super::maps::{Convolution, Sparse};
use super::{Boxes, Device, DeviceError, Done, Entries, Indices, Lines, Memory, Shape, Step, Sum};

/// The kernels.
pub const KERNELS: &str = include_str!("kernels.cu");

/// Their names.
pub const NAMES: [&str; 16] = [
    "sparse",
    "convolve",
    "convolve_back",
    "add",
    "spread",
    "dot",
    "relax_back",
    "relax_forward",
    "subtract",
    "minimum",
    "minimiser",
    "rise",
    "keep_rows",
    "keep_entries",
    "alpha_step",
    "beta_step",
];

/// Threads of a block.
pub const THREADS: usize = 128;

/// Blocks of one launch, at most.
const MOST_BLOCKS: usize = i32::MAX as usize;

/// An argument of a kernel.
pub enum Argument<'a, M: Memory + ?Sized> {
    /// `const float *`
    In(&'a M::Floats),
    /// `float *`
    Out(&'a mut M::Floats),
    /// `const unsigned *`
    Words(&'a M::Words),
    /// `unsigned`
    Count(u32),
    /// `float`
    Real(f32),
}

use Argument::{In, Out, Real, Words};

/// Memory beside something that runs kernels.
pub trait Launcher: Memory {
    /// Runs a kernel of `kernels.cu` on so many blocks of [`THREADS`] threads; a launch of no blocks does nothing.
    fn launch(&self, kernel: &'static str, blocks: usize, arguments: Vec<Argument<'_, Self>>) -> Done;
}

#[track_caller]
fn count<'a, M: Memory + ?Sized>(n: usize) -> Argument<'a, M> {
    Argument::Count(u32::try_from(n).expect("a count below 2³²"))
}

fn flag<'a, M: Memory + ?Sized>(sum: Sum) -> Argument<'a, M> {
    Argument::Count(u32::from(sum == Sum::Add))
}

/// Blocks with a thread for each element.
fn blocks(elements: usize) -> Result<usize, DeviceError> {
    let blocks = elements.div_ceil(THREADS);
    if blocks > MOST_BLOCKS {
        return Err(DeviceError::Failed { reason: format!("{elements} elements are too many for one launch") });
    }
    Ok(blocks)
}

impl Shape {
    fn entries(self) -> usize {
        self.rows * self.size
    }
}

#[track_caller]
fn fits<M: Memory + ?Sized>(device: &M, buffer: &M::Floats, len: usize) {
    assert_eq!(device.len(buffer), len, "a buffer of another length");
}

impl<M: Memory + ?Sized> Lines<'_, M> {
    #[track_caller]
    fn check(&self, device: &M, shape: Shape) {
        assert_eq!(self.domain.len, shape.rows, "a domain for each row");
        assert_eq!(device.len(self.above), device.len(self.intercept), "an intercept for each slope");
        assert!(self.domain.below * shape.size <= device.len(self.above), "lines for each domain");
    }
}

impl<M: Memory + ?Sized> Boxes<'_, M> {
    #[track_caller]
    fn check(&self, device: &M, shape: Shape) {
        assert_eq!(self.domain.len, shape.rows, "a box for each row");
        assert_eq!(device.len(self.lower), device.len(self.upper), "two corners");
        assert!(self.domain.below * shape.size <= device.len(self.lower), "corners of each box");
    }
}

impl<M: Memory + ?Sized> Entries<'_, M> {
    #[track_caller]
    fn check(&self, device: &M, shape: Shape) -> usize {
        assert!(self.row.below <= shape.rows && self.neuron.below <= shape.size, "entries of other rows");
        assert!(self.row.len == self.neuron.len && self.row.len == device.len(self.sign), "a sign for each entry");
        self.row.len
    }
}

fn buffer<W>(indices: &Indices<W>) -> &W {
    &indices.buffer
}

impl<L: Launcher> Device for L {
    #[track_caller]
    fn sparse(&self, y: &mut L::Floats, x: &L::Floats, matrix: &Sparse<L>, rows: usize, sum: Sum) -> Done {
        let (m, n) = (matrix.rows, matrix.cols);
        fits(self, x, rows * n);
        fits(self, y, rows * m);
        let Sparse { starts, columns, values, .. } = matrix;
        let matrix = [Out(y), In(x), Words(starts), Words(columns), In(values)];
        let counts = [count(rows), count(m), count(n), flag(sum)];
        self.launch("sparse", blocks(rows * m)?, matrix.into_iter().chain(counts).collect())
    }

    #[track_caller]
    fn convolve(&self, y: &mut L::Floats, x: &L::Floats, w: &Convolution<L>, rows: usize, sum: Sum) -> Done {
        fits(self, x, rows * w.geometry.inputs());
        fits(self, y, rows * w.geometry.outputs());
        let on = blocks(rows * w.geometry.outputs())?;
        self.launch("convolve", on, vec![Out(y), In(x), In(&w.weight), Words(&w.extents), count(rows), flag(sum)])
    }

    #[track_caller]
    fn convolve_back(&self, x: &mut L::Floats, y: &L::Floats, w: &Convolution<L>, rows: usize, sum: Sum) -> Done {
        fits(self, x, rows * w.geometry.inputs());
        fits(self, y, rows * w.geometry.outputs());
        let on = blocks(rows * w.geometry.inputs())?;
        self.launch("convolve_back", on, vec![Out(x), In(y), In(&w.weight), Words(&w.extents), count(rows), flag(sum)])
    }

    #[track_caller]
    fn add(&self, y: &mut L::Floats, x: &L::Floats, shape: Shape) -> Done {
        fits(self, x, shape.entries());
        fits(self, y, shape.entries());
        self.launch("add", blocks(shape.entries())?, vec![Out(y), In(x), count(shape.rows), count(shape.size)])
    }

    #[track_caller]
    fn spread(&self, y: &mut L::Floats, vector: &L::Floats, shape: Shape) -> Done {
        fits(self, y, shape.entries());
        fits(self, vector, shape.size);
        self.launch("spread", blocks(shape.entries())?, vec![Out(y), In(vector), count(shape.rows), count(shape.size)])
    }

    #[track_caller]
    fn dot(&self, constant: &mut L::Floats, a: &L::Floats, vector: &L::Floats, shape: Shape) -> Done {
        fits(self, constant, shape.rows);
        fits(self, a, shape.entries());
        fits(self, vector, shape.size);
        self.launch("dot", shape.rows, vec![Out(constant), In(a), In(vector), count(shape.size)])
    }

    #[track_caller]
    fn relax_back(
        &self,
        out: &mut L::Floats,
        constant: &mut L::Floats,
        a: &L::Floats,
        alpha: &L::Floats,
        lines: Lines<'_, L>,
        shape: Shape,
        sum: Sum,
    ) -> Done {
        [&*out, a, alpha].into_iter().for_each(|all| fits(self, all, shape.entries()));
        fits(self, constant, shape.rows);
        lines.check(self, shape);
        let rows = [Out(out), Out(constant), In(a), In(alpha)];
        let lines = [In(lines.above), In(lines.intercept), Words(buffer(lines.domain))];
        let counts = [count(shape.size), flag(sum)];
        self.launch("relax_back", shape.rows, rows.into_iter().chain(lines).chain(counts).collect())
    }

    #[track_caller]
    fn relax_forward(
        &self,
        h: &mut L::Floats,
        z: &L::Floats,
        a: &L::Floats,
        alpha: &L::Floats,
        lines: Lines<'_, L>,
        shape: Shape,
    ) -> Done {
        [&*h, z, a, alpha].into_iter().for_each(|all| fits(self, all, shape.entries()));
        lines.check(self, shape);
        let rows = [Out(h), In(z), In(a), In(alpha)];
        let lines = [In(lines.above), In(lines.intercept), Words(buffer(lines.domain))];
        let counts = [count(shape.rows), count(shape.size)];
        self.launch("relax_forward", blocks(shape.entries())?, rows.into_iter().chain(lines).chain(counts).collect())
    }

    #[track_caller]
    fn subtract(&self, a: &mut L::Floats, beta: &L::Floats, entries: Entries<'_, L>, shape: Shape) -> Done {
        let number = entries.check(self, shape);
        fits(self, a, shape.entries());
        fits(self, beta, number);
        let pairs = [Words(buffer(entries.row)), Words(buffer(entries.neuron)), count(number), count(shape.size)];
        self.launch("subtract", blocks(number)?, [Out(a), In(beta)].into_iter().chain(pairs).collect())
    }

    #[track_caller]
    fn minimum(
        &self,
        out: &mut L::Floats,
        a: &L::Floats,
        constant: &L::Floats,
        boxes: Boxes<'_, L>,
        shape: Shape,
    ) -> Done {
        fits(self, out, shape.rows);
        fits(self, constant, shape.rows);
        fits(self, a, shape.entries());
        boxes.check(self, shape);
        let boxes = [In(boxes.lower), In(boxes.upper), Words(buffer(boxes.domain)), count(shape.size)];
        self.launch("minimum", shape.rows, [Out(out), In(a), In(constant)].into_iter().chain(boxes).collect())
    }

    #[track_caller]
    fn minimiser(&self, x: &mut L::Floats, a: &L::Floats, boxes: Boxes<'_, L>, shape: Shape) -> Done {
        fits(self, x, shape.entries());
        fits(self, a, shape.entries());
        boxes.check(self, shape);
        let boxes = [In(boxes.lower), In(boxes.upper), Words(buffer(boxes.domain))];
        let counts = [count(shape.rows), count(shape.size)];
        self.launch(
            "minimiser",
            blocks(shape.entries())?,
            [Out(x), In(a)].into_iter().chain(boxes).chain(counts).collect(),
        )
    }

    #[track_caller]
    fn rise(&self, best: &mut L::Floats, better: &mut L::Floats, minimum: &L::Floats) -> Done {
        let rows = self.len(minimum);
        fits(self, best, rows);
        fits(self, better, rows);
        self.launch("rise", blocks(rows)?, vec![Out(best), Out(better), In(minimum), count(rows)])
    }

    #[track_caller]
    fn keep_rows(&self, best: &mut L::Floats, now: &L::Floats, better: &L::Floats, shape: Shape) -> Done {
        fits(self, best, shape.entries());
        fits(self, now, shape.entries());
        fits(self, better, shape.rows);
        let counts = [count(shape.rows), count(shape.size)];
        self.launch(
            "keep_rows",
            blocks(shape.entries())?,
            [Out(best), In(now), In(better)].into_iter().chain(counts).collect(),
        )
    }

    #[track_caller]
    fn keep_entries(&self, best: &mut L::Floats, now: &L::Floats, better: &L::Floats, entries: Entries<'_, L>) -> Done {
        let number = entries.row.len;
        fits(self, best, number);
        fits(self, now, number);
        assert!(entries.row.below <= self.len(better), "entries of other rows");
        let on = blocks(number)?;
        self.launch("keep_entries", on, vec![Out(best), In(now), In(better), Words(buffer(entries.row)), count(number)])
    }

    #[track_caller]
    fn alpha_step(
        &self,
        alpha: &mut L::Floats,
        (first, second): (&mut L::Floats, &mut L::Floats),
        a: &L::Floats,
        z: &L::Floats,
        lines: Lines<'_, L>,
        step: Step,
        shape: Shape,
    ) -> Done {
        [&*alpha, &*first, &*second, a, z].into_iter().for_each(|all| fits(self, all, shape.entries()));
        lines.check(self, shape);
        let rows = [Out(alpha), Out(first), Out(second), In(a), In(z), In(lines.above), Words(buffer(lines.domain))];
        let step = [Real(step.rate), Real(step.first), Real(step.second), count(shape.rows), count(shape.size)];
        self.launch("alpha_step", blocks(shape.entries())?, rows.into_iter().chain(step).collect())
    }

    #[track_caller]
    fn beta_step(
        &self,
        beta: &mut L::Floats,
        (first, second): (&mut L::Floats, &mut L::Floats),
        z: &L::Floats,
        entries: Entries<'_, L>,
        step: Step,
        shape: Shape,
    ) -> Done {
        let number = entries.check(self, shape);
        [&*beta, &*first, &*second].into_iter().for_each(|all| fits(self, all, number));
        fits(self, z, shape.entries());
        let all = [Out(beta), Out(first), Out(second), In(z)];
        let entries = [Words(buffer(entries.row)), Words(buffer(entries.neuron)), In(entries.sign)];
        let step = [Real(step.rate), Real(step.first), Real(step.second), count(number), count(shape.size)];
        self.launch("beta_step", blocks(number)?, all.into_iter().chain(entries).chain(step).collect())
    }
}
