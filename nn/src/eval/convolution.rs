//! Cross-correlation and its two adjoints, by patches and products.
//!
//! $y_{n,m,p} = \sum_{c,t} w_{m,c,t}\, x_{n,c,\text{patch}(t,p)}$ is linear in $x$ and in $w$. `Conv`
//! evaluates it, `ConvTranspose` evaluates its adjoint in $x$, and their derivatives are the same
//! three maps again.

use super::number::{Matrix, Number};
use super::windows::{OUTSIDE, Patches};
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
    identity: bool,
}

/// Columns that one product covers: several small images share one.
const COLUMNS: usize = 1024;

impl Correlation {
    /// The correlation from `x` (`N × C × …`) to `y` (`N × M × …`).
    #[track_caller]
    pub(crate) fn new(window: &Window, groups: usize, x: &[usize], y: &[usize]) -> Self {
        assert_eq!(x[0], y[0], "batches differ");
        let patches = Patches::new(window, &x[2..], &y[2..]);
        let identity = patches.is_identity();
        Self { batch: x[0], groups, inputs: x[1] / groups, outputs: y[1] / groups, patches, identity }
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

    /// Patches of some images as columns: `C/groups · taps` rows of `images · positions` entries.
    fn columns<N: Number>(&self, x: &[N], images: std::ops::Range<usize>, g: usize) -> Vec<N> {
        let (size, taps) = (self.patches.size, self.patches.taps);
        let mut out = Vec::with_capacity(self.taps() * images.len() * self.patches.positions);
        for row in 0..self.taps() {
            let (channel, tap) = (row / taps, self.patches.tap(row % taps));
            for n in images.clone() {
                let start = self.x_start(n, g) + channel * size;
                let entries = &x[start..start + size];
                if self.identity {
                    out.extend_from_slice(entries);
                } else {
                    out.extend(tap.iter().map(|i| if *i == OUTSIDE { N::default() } else { entries[*i] }));
                }
            }
        }
        out
    }

    /// The adjoint of [`Correlation::columns`].
    fn add_columns<N: Number>(&self, columns: &[N], images: std::ops::Range<usize>, g: usize, x: &mut [N]) {
        let (size, taps) = (self.patches.size, self.patches.taps);
        let mut rest = columns;
        for row in 0..self.taps() {
            let (channel, tap) = (row / taps, self.patches.tap(row % taps));
            for n in images.clone() {
                let start = self.x_start(n, g) + channel * size;
                let (values, others) = rest.split_at(self.patches.positions);
                rest = others;
                let entries = &mut x[start..start + size];
                for (i, v) in tap.iter().zip(values).filter(|(i, _)| **i != OUTSIDE) {
                    entries[*i] += *v;
                }
            }
        }
    }

    /// Output channels of some images side by side: `M/groups` rows of `images · positions` entries.
    fn rows<N: Number>(&self, y: &[N], images: std::ops::Range<usize>, g: usize) -> Vec<N> {
        let positions = self.patches.positions;
        let mut out = Vec::with_capacity(self.outputs * images.len() * positions);
        for channel in 0..self.outputs {
            for n in images.clone() {
                let start = self.y_start(n, g) + channel * positions;
                out.extend_from_slice(&y[start..start + positions]);
            }
        }
        out
    }

    /// A group's part of the weight: `M/groups` rows of `C/groups · taps` entries.
    fn weight<'a, N>(&self, w: &'a [N], g: usize) -> Matrix<'a, N> {
        let size = self.outputs * self.taps();
        Matrix::new(&w[g * size..(g + 1) * size], self.outputs, self.taps())
    }

    /// $y = w \star x$.
    pub(crate) fn forward<N: Number>(&self, w: &[N], x: &[N]) -> Vec<N> {
        let positions = self.patches.positions;
        let mut y = vec![N::default(); self.batch * self.groups * self.outputs * positions];
        for images in self.blocks() {
            for g in 0..self.groups {
                let width = images.len() * positions;
                let columns = self.columns(x, images.clone(), g);
                let columns = Matrix::new(&columns, self.taps(), width);
                if images.len() == 1 {
                    let start = self.y_start(images.start, g);
                    N::gemm(&mut y[start..start + self.outputs * positions], self.weight(w, g), columns, false);
                    continue;
                }
                let mut rows = vec![N::default(); self.outputs * width];
                N::gemm(&mut rows, self.weight(w, g), columns, false);
                for channel in 0..self.outputs {
                    for (place, n) in images.clone().enumerate() {
                        let (start, from) =
                            (self.y_start(n, g) + channel * positions, channel * width + place * positions);
                        y[start..start + positions].copy_from_slice(&rows[from..from + positions]);
                    }
                }
            }
        }
        y
    }

    /// $x = w^\top \star y$, the adjoint in $x$.
    pub(crate) fn adjoint<N: Number>(&self, w: &[N], y: &[N]) -> Vec<N> {
        let mut x = vec![N::default(); self.batch * self.groups * self.inputs * self.patches.size];
        for images in self.blocks() {
            for g in 0..self.groups {
                let width = images.len() * self.patches.positions;
                let rows = self.rows(y, images.clone(), g);
                let mut columns = vec![N::default(); self.taps() * width];
                N::gemm(&mut columns, self.weight(w, g).t(), Matrix::new(&rows, self.outputs, width), false);
                self.add_columns(&columns, images.clone(), g, &mut x);
            }
        }
        x
    }

    /// The adjoint in $w$: $\sum_{n,p} y_{n,m,p}\, x_{n,c,\text{patch}(t,p)}$.
    pub(crate) fn weight_adjoint<N: Number>(&self, x: &[N], y: &[N]) -> Vec<N> {
        let size = self.outputs * self.taps();
        let mut w = vec![N::default(); self.groups * size];
        for images in self.blocks() {
            for g in 0..self.groups {
                let width = images.len() * self.patches.positions;
                let (rows, columns) = (self.rows(y, images.clone(), g), self.columns(x, images.clone(), g));
                let (rows, columns) =
                    (Matrix::new(&rows, self.outputs, width), Matrix::new(&columns, self.taps(), width));
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
    let mut sums = vec![N::default(); channels];
    if positions > 0 {
        for (i, channel) in y.chunks_exact(positions).enumerate() {
            sums[i % channels] += channel.iter().fold(N::default(), |sum, v| sum + *v);
        }
    }
    sums
}
