//! A device that bounds many subproblems at once: buffers, and the steps that the ascent on slopes is made of.
//!
//! | concept | file |
//! |---|---|
//! | the interface: what each step computes | this one |
//! | matrices that stay on a device | [`maps`] |
//! | the steps in plain Rust, which every other device is compared with | [`reference`](mod@reference) |
//! | the steps as launches of kernels | [`launch`] |
//! | the kernels | `kernels.cu` |
//! | CUDA, looked for when the program runs | [`cuda`] |
//!
//! Rows are objectives on their way through a network, `rows × size` coefficients row by row; each row lies in a domain that
//! has lines for every ReLU and a box.
//!
//! # Soundness
//! Nothing here bounds its rounding. Whoever takes slopes from a device bounds with them again.

pub mod cuda;
pub mod launch;
pub mod maps;
pub mod reference;

pub use cuda::Cuda;
pub use maps::{Convolution, Geometry, Sparse};
pub use reference::Reference;

use thiserror::Error;

/// Why a device cannot be used, or stopped half way.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceError {
    /// A library that comes with the driver or with CUDA.
    #[error("the library {library} is not where the system looks for libraries")]
    NoLibrary {
        /// Its name.
        library: &'static str,
    },
    /// The driver is there, but no device answers.
    #[error("no device answers the CUDA driver: {reason}")]
    NoDevice {
        /// What the driver says.
        reason: String,
    },
    /// The kernels were refused.
    #[error("the kernels do not compile for this device: {reason}")]
    Kernels {
        /// What the compiler says.
        reason: String,
    },
    /// A call failed.
    #[error("the device failed: {reason}")]
    Failed {
        /// What the driver says.
        reason: String,
    },
}

/// What a step returns.
pub type Done = Result<(), DeviceError>;

/// Whether a result replaces what is there or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// $y \leftarrow \dots$
    Replace,
    /// $y \leftarrow y + \dots$
    Add,
}

/// Indices on a device, all below a limit that is known here.
#[derive(Debug)]
pub struct Indices<W> {
    buffer: W,
    len: usize,
    below: usize,
}

impl<W> Indices<W> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Extents of a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extents {
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Products in each entry.
    pub k: usize,
}

/// Rows, and entries of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub rows: usize,
    /// Entries of each.
    pub size: usize,
}

/// One step of Adam, $\beta_1 = 0.9$, $\beta_2 = 0.999$.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The step size.
    pub rate: f32,
    /// $1 / (1 - \beta_1^t)$.
    pub first: f32,
    /// $1 / (1 - \beta_2^t)$.
    pub second: f32,
}

/// Buffers on a device, and the product that libraries do best.
pub trait Memory: Send + Sync {
    /// Numbers.
    type Floats: Send + Sync;
    /// Unsigned integers.
    type Words: Send + Sync;

    /// What the device is called.
    fn name(&self) -> String;
    /// A copy of these numbers.
    fn floats(&self, data: &[f32]) -> Result<Self::Floats, DeviceError>;
    /// A copy of these integers.
    fn words(&self, data: &[u32]) -> Result<Self::Words, DeviceError>;
    /// Numbers to be written: every one is NaN until it is.
    fn poisoned(&self, len: usize) -> Result<Self::Floats, DeviceError>;
    /// How many numbers a buffer has.
    fn len(&self, buffer: &Self::Floats) -> usize;
    /// The numbers of a buffer, after all steps that write it.
    fn read(&self, buffer: &Self::Floats) -> Result<Vec<f32>, DeviceError>;
    /// Copies one buffer over another of the same length.
    fn copy(&self, to: &mut Self::Floats, from: &Self::Floats) -> Done;
    /// $C \leftarrow A B$ or $C + A B$, and with $B^\top$ when `transposed`.
    ///
    /// # Shapes
    /// `a` is $m \times k$, `b` is $k \times n$ ($n \times k$ when transposed), `c` is $m \times n$, all row by row.
    fn gemm(
        &self,
        c: &mut Self::Floats,
        a: &Self::Floats,
        b: &Self::Floats,
        extents: Extents,
        transposed: bool,
        sum: Sum,
    ) -> Done;

    /// A copy of these integers that knows how large they are.
    fn indices(&self, data: &[u32]) -> Result<Indices<Self::Words>, DeviceError> {
        let below = data.iter().max().map_or(0, |most| *most as usize + 1);
        Ok(Indices { buffer: self.words(data)?, len: data.len(), below })
    }
}

/// The lines above the ReLUs of one layer, and where each row finds its own.
///
/// # Shapes
/// `above` and `intercept` are `domains × size`, `domain` has one entry per row.
pub struct Lines<'a, M: Memory + ?Sized> {
    /// Slopes above; 0 and 1 mark a ReLU whose sign is known.
    pub above: &'a M::Floats,
    /// Intercepts above.
    pub intercept: &'a M::Floats,
    /// The domain of each row.
    pub domain: &'a Indices<M::Words>,
}

/// The boxes of inputs, and which is each row's.
///
/// # Shapes
/// `lower` and `upper` are `boxes × n`, `domain` has one entry per row.
pub struct Boxes<'a, M: Memory + ?Sized> {
    /// Lower corners.
    pub lower: &'a M::Floats,
    /// Upper corners.
    pub upper: &'a M::Floats,
    /// The box of each row.
    pub domain: &'a Indices<M::Words>,
}

/// The splits in one layer, each with a multiplier: (row, neuron, sign), no pair of row and neuron twice.
pub struct Entries<'a, M: Memory + ?Sized> {
    /// The rows.
    pub row: &'a Indices<M::Words>,
    /// The neurons.
    pub neuron: &'a Indices<M::Words>,
    /// The signs $s = \pm 1$ of their inputs.
    pub sign: &'a M::Floats,
}

/// The steps of the ascent.
pub trait Device: Memory {
    /// $y \leftarrow x M^\top$ for every row $x$ of a batch, or added to $y$.
    ///
    /// # Shapes
    /// With $M$ of $m \times n$, `x` is `rows × n` and `y` is `rows × m`.
    fn sparse(&self, y: &mut Self::Floats, x: &Self::Floats, matrix: &Sparse<Self>, rows: usize, sum: Sum) -> Done;

    /// $y \leftarrow W x$ for every row $x$ with the matrix $W$ of a convolution, or added to $y$.
    fn convolve(&self, y: &mut Self::Floats, x: &Self::Floats, w: &Convolution<Self>, rows: usize, sum: Sum) -> Done;

    /// $x \leftarrow y W$ for every row $y$ with the matrix $W$ of a convolution, or added to $x$.
    fn convolve_back(
        &self,
        x: &mut Self::Floats,
        y: &Self::Floats,
        w: &Convolution<Self>,
        rows: usize,
        sum: Sum,
    ) -> Done;

    /// $y \leftarrow y + x$.
    fn add(&self, y: &mut Self::Floats, x: &Self::Floats, shape: Shape) -> Done;

    /// Every row of $y$ becomes the vector.
    fn spread(&self, y: &mut Self::Floats, vector: &Self::Floats, shape: Shape) -> Done;

    /// $d_r \leftarrow d_r + \langle a_r, v \rangle$.
    fn dot(&self, constant: &mut Self::Floats, a: &Self::Floats, vector: &Self::Floats, shape: Shape) -> Done;

    /// Takes rows through ReLU lines: with $\lambda$ the slope above, $\mu$ its intercept, and $s$ the slope below
    /// ($\alpha$, or $\lambda$ where that is 0 or 1),
    /// $$ a'_j = \max(a_j, 0)\, s_j + \min(a_j, 0)\, \lambda_j, \qquad d \leftarrow d + \sum_j \min(a_j, 0)\, \mu_j. $$
    #[allow(clippy::too_many_arguments)]
    fn relax_back(
        &self,
        out: &mut Self::Floats,
        constant: &mut Self::Floats,
        a: &Self::Floats,
        alpha: &Self::Floats,
        lines: Lines<'_, Self>,
        shape: Shape,
        sum: Sum,
    ) -> Done;

    /// $h_j = s_j z_j$ where $a_j \ge 0$, else $\lambda_j z_j + \mu_j$.
    fn relax_forward(
        &self,
        h: &mut Self::Floats,
        z: &Self::Floats,
        a: &Self::Floats,
        alpha: &Self::Floats,
        lines: Lines<'_, Self>,
        shape: Shape,
    ) -> Done;

    /// $a_{rj} \leftarrow a_{rj} - b_e$ for every entry $e = (r, j)$.
    fn subtract(&self, a: &mut Self::Floats, beta: &Self::Floats, entries: Entries<'_, Self>, shape: Shape) -> Done;

    /// $m_r = d_r + \sum_i \min(a_{ri} l_i, a_{ri} u_i)$.
    fn minimum(
        &self,
        out: &mut Self::Floats,
        a: &Self::Floats,
        constant: &Self::Floats,
        boxes: Boxes<'_, Self>,
        shape: Shape,
    ) -> Done;

    /// The corner where each row is least: $l_i$ where $a_i \ge 0$, else $u_i$.
    fn minimiser(&self, x: &mut Self::Floats, a: &Self::Floats, boxes: Boxes<'_, Self>, shape: Shape) -> Done;

    /// Marks with 1 the rows whose minimum is greater than the best, which it replaces, and with 0 the others.
    fn rise(&self, best: &mut Self::Floats, better: &mut Self::Floats, minimum: &Self::Floats) -> Done;

    /// Copies the marked rows.
    fn keep_rows(&self, best: &mut Self::Floats, now: &Self::Floats, better: &Self::Floats, shape: Shape) -> Done;

    /// Copies the entries of marked rows.
    fn keep_entries(
        &self,
        best: &mut Self::Floats,
        now: &Self::Floats,
        better: &Self::Floats,
        entries: Entries<'_, Self>,
    ) -> Done;

    /// Moves the slopes below open ReLUs along $\max(a_j, 0)\, z_j$ by a step of Adam, into $[0, 1]$, and rounds them to
    /// multiples of $2^{-12}$.
    #[allow(clippy::too_many_arguments)]
    fn alpha_step(
        &self,
        alpha: &mut Self::Floats,
        moments: (&mut Self::Floats, &mut Self::Floats),
        a: &Self::Floats,
        z: &Self::Floats,
        lines: Lines<'_, Self>,
        step: Step,
        shape: Shape,
    ) -> Done;

    /// Moves multipliers $b = s \beta$ along $-s z_j$ by a step of Adam, keeps $\beta \ge 0$, and cuts it to 16 bits.
    fn beta_step(
        &self,
        beta: &mut Self::Floats,
        moments: (&mut Self::Floats, &mut Self::Floats),
        z: &Self::Floats,
        entries: Entries<'_, Self>,
        step: Step,
        shape: Shape,
    ) -> Done;
}
