//! Cross-correlation and its two adjoints, by patches and products.
//!
//! $y_{n,m,p} = \sum_{c,t} w_{m,c,t}\, x_{n,c,\text{patch}(t,p)}$ is linear in $x$ and in $w$. `Conv`
//! evaluates it, `ConvTranspose` evaluates its adjoint in $x$, and their derivatives are the same
//! three maps again.

use super::number::{Matrix, Number};
use super::windows::{OUTSIDE, Patches, Run};
use crate::op::Window;

/// The geometry of $y = w \star x$.
#[derive(Clone, Debug)]
pub(crate) struct Correlation {
    batch: usize,
    groups: usize,
    /// Channels of $x$ and of $y$ per group.
    inputs: usize,
    outputs: usize,
    patches: Patches,
    /// Stretches of entries side by side, tap by tap; none where they are too short to be worth their while.
    runs: Option<Vec<Vec<Run>>>,
    identity: bool,
}

/// Memory for columns and rows, to be used again.
#[derive(Debug, Default)]
pub(crate) struct Scratch<N> {
    columns: Vec<N>,
    rows: Vec<N>,
}

/// Entries that a stretch must have on average, to be copied as one.
const RUN: usize = 4;

/// Columns that one product covers: several small images share one.
const COLUMNS: usize = 1024;

impl Correlation {
    /// The correlation from `x` (`N × C × …`) to `y` (`N × M × …`).
    #[track_caller]
    pub(crate) fn new(window: &Window, groups: usize, x: &[usize], y: &[usize]) -> Self {
        assert_eq!(x[0], y[0], "batches differ");
        let patches = Patches::new(window, &x[2..], &y[2..]);
        let identity = patches.is_identity();
        let runs = patches.runs();
        let entries = |runs: &[Run]| runs.iter().map(|run| run.length).sum::<usize>();
        let long = runs.iter().all(|tap| entries(tap) >= RUN * tap.len());
        let (inputs, outputs, runs) = (x[1] / groups, y[1] / groups, long.then_some(runs));
        Self { batch: x[0], groups, inputs, outputs, patches, runs, identity }
    }

    fn taps(&self) -> usize {
        self.inputs * self.patches.taps
    }

    /// Ranges of images that share a product.
    fn blocks(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let (batch, size) = (self.batch, (COLUMNS / self.patches.positions.max(1)).max(1));
        (0..batch).step_by(size).map(move |n| n..(n + size).min(batch))
    }

    /// First entry of a group's channels in an image.
    fn x_start(&self, n: usize, g: usize) -> usize {
        (n * self.groups + g) * self.inputs * self.patches.size
    }

    fn y_start(&self, n: usize, g: usize) -> usize {
        (n * self.groups + g) * self.outputs * self.patches.positions
    }

    /// Patches of some images as columns: `C/groups · taps` rows of `images · positions` entries, in place of what `out` holds.
    fn columns<N: Number>(&self, x: &[N], images: std::ops::Range<usize>, g: usize, out: &mut Vec<N>) {
        let (size, taps, positions) = (self.patches.size, self.patches.taps, self.patches.positions);
        out.clear();
        out.reserve(self.taps() * images.len() * positions);
        for row in 0..self.taps() {
            let (channel, t) = (row / taps, row % taps);
            for n in images.clone() {
                let start = self.x_start(n, g) + channel * size;
                let entries = &x[start..start + size];
                match &self.runs {
                    _ if self.identity => out.extend_from_slice(entries),
                    Some(runs) => {
                        let end = out.len() + positions;
                        for run in &runs[t] {
                            out.resize(end - positions + run.position, N::default());
                            out.extend_from_slice(&entries[run.entry..run.entry + run.length]);
                        }
                        out.resize(end, N::default());
                    }
                    None => {
                        let tap = self.patches.tap(t);
                        out.extend(tap.iter().map(|i| if *i == OUTSIDE { N::default() } else { entries[*i] }));
                    }
                }
            }
        }
    }

    /// The adjoint of [`Correlation::columns`].
    fn add_columns<N: Number>(&self, columns: &[N], images: std::ops::Range<usize>, g: usize, x: &mut [N]) {
        let (size, taps) = (self.patches.size, self.patches.taps);
        let mut rest = columns;
        for row in 0..self.taps() {
            let (channel, t) = (row / taps, row % taps);
            for n in images.clone() {
                let start = self.x_start(n, g) + channel * size;
                let (values, others) = rest.split_at(self.patches.positions);
                rest = others;
                let entries = &mut x[start..start + size];
                match &self.runs {
                    Some(runs) => {
                        for run in &runs[t] {
                            let target = &mut entries[run.entry..run.entry + run.length];
                            let values = &values[run.position..run.position + run.length];
                            target.iter_mut().zip(values).for_each(|(t, v)| *t += *v);
                        }
                    }
                    None => {
                        let tap = self.patches.tap(t).iter();
                        for (i, v) in tap.zip(values).filter(|(i, _)| **i != OUTSIDE) {
                            entries[*i] += *v;
                        }
                    }
                }
            }
        }
    }

    /// Output channels of some images side by side: `M/groups` rows of `images · positions` entries, in `held` where they do
    /// not lie so already.
    fn rows<'a, N: Number>(
        &self,
        y: &'a [N],
        images: std::ops::Range<usize>,
        g: usize,
        held: &'a mut Vec<N>,
    ) -> &'a [N] {
        let positions = self.patches.positions;
        if images.len() == 1 {
            let start = self.y_start(images.start, g);
            return &y[start..start + self.outputs * positions];
        }
        held.clear();
        for channel in 0..self.outputs {
            for n in images.clone() {
                let start = self.y_start(n, g) + channel * positions;
                held.extend_from_slice(&y[start..start + positions]);
            }
        }
        held
    }

    /// A group's part of the weight: `M/groups` rows of `C/groups · taps` entries.
    fn weight<'a, N>(&self, w: &'a [N], g: usize) -> Matrix<'a, N> {
        let size = self.outputs * self.taps();
        Matrix::new(&w[g * size..(g + 1) * size], self.outputs, self.taps())
    }

    /// $y = w \star x$.
    pub(crate) fn forward<N: Number>(&self, w: &[N], x: &[N]) -> Vec<N> {
        let mut y = vec![N::default(); self.batch * self.groups * self.outputs * self.patches.positions];
        self.forward_into(w, x, &mut y, &mut Scratch::default());
        y
    }

    /// [`Correlation::forward`], in place of what `y` holds.
    pub(crate) fn forward_into<N: Number>(&self, w: &[N], x: &[N], y: &mut [N], scratch: &mut Scratch<N>) {
        let positions = self.patches.positions;
        let Scratch { columns: held, rows } = scratch;
        for images in self.blocks() {
            for g in 0..self.groups {
                let width = images.len() * positions;
                self.columns(x, images.clone(), g, held);
                let columns = Matrix::new(held, self.taps(), width);
                if images.len() == 1 {
                    let start = self.y_start(images.start, g);
                    N::gemm(&mut y[start..start + self.outputs * positions], self.weight(w, g), columns, false);
                    continue;
                }
                rows.resize(self.outputs * width, N::default());
                N::gemm(rows, self.weight(w, g), columns, false);
                for channel in 0..self.outputs {
                    for (place, n) in images.clone().enumerate() {
                        let (start, from) =
                            (self.y_start(n, g) + channel * positions, channel * width + place * positions);
                        y[start..start + positions].copy_from_slice(&rows[from..from + positions]);
                    }
                }
            }
        }
    }

    /// $x = w^\top \star y$, the adjoint in $x$.
    pub(crate) fn adjoint<N: Number>(&self, w: &[N], y: &[N]) -> Vec<N> {
        let mut x = vec![N::default(); self.batch * self.groups * self.inputs * self.patches.size];
        self.add_adjoint(w, y, &mut x, &mut Scratch::default());
        x
    }

    /// Adds [`Correlation::adjoint`] to what `x` holds.
    pub(crate) fn add_adjoint<N: Number>(&self, w: &[N], y: &[N], x: &mut [N], scratch: &mut Scratch<N>) {
        let Scratch { columns, rows: held } = scratch;
        for images in self.blocks() {
            for g in 0..self.groups {
                let width = images.len() * self.patches.positions;
                let rows = Matrix::new(self.rows(y, images.clone(), g, held), self.outputs, width);
                columns.resize(self.taps() * width, N::default());
                N::gemm(columns, self.weight(w, g).t(), rows, false);
                self.add_columns(columns, images.clone(), g, x);
            }
        }
    }

    /// The adjoint in $w$: $\sum_{n,p} y_{n,m,p}\, x_{n,c,\text{patch}(t,p)}$.
    pub(crate) fn weight_adjoint<N: Number>(&self, x: &[N], y: &[N], scratch: &mut Scratch<N>) -> Vec<N> {
        let size = self.outputs * self.taps();
        let mut w = vec![N::default(); self.groups * size];
        let Scratch { columns, rows: held } = scratch;
        for images in self.blocks() {
            for g in 0..self.groups {
                let width = images.len() * self.patches.positions;
                self.columns(x, images.clone(), g, columns);
                let rows = Matrix::new(self.rows(y, images.clone(), g, held), self.outputs, width);
                let columns = Matrix::new(columns, self.taps(), width);
                N::gemm(&mut w[g * size..(g + 1) * size], rows, columns.t(), true);
            }
        }
        w
    }
}

/// Adds one number to every entry of each channel of an `N × M × …` tensor.
pub(crate) fn add_bias<N: Number>(y: &mut [N], bias: &[N], positions: usize) {
    if positions > 0 {
        for (i, channel) in y.chunks_exact_mut(positions).enumerate() {
            let b = bias[i % bias.len()];
            channel.iter_mut().for_each(|v| *v += b);
        }
    }
}

/// The adjoint of [`add_bias`] in the bias: the sum of each channel.
pub(crate) fn channel_sums<N: Number>(y: &[N], channels: usize, positions: usize) -> Vec<N> {
    // Partial sums side by side: the loop vectorises.
    const WIDTH: usize = 16;
    let mut sums = vec![N::default(); channels];
    if positions > 0 {
        for (i, channel) in y.chunks_exact(positions).enumerate() {
            let mut parts = [N::default(); WIDTH];
            for block in channel.chunks(WIDTH) {
                parts.iter_mut().zip(block).for_each(|(part, v)| *part += *v);
            }
            sums[i % channels] += parts.into_iter().fold(N::default(), |sum, part| sum + part);
        }
    }
    sums
}
