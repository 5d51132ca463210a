//! An architecture against its shapes: what every layer does to covariances, worked out once.
//!
//! A state has *types* (neurons or channels that are alike; at the input, the coordinates or channels themselves) and
//! *positions* (rows times columns of an image, else 1).

use super::activation::Activation;
use super::architecture::{Architecture, Conv, Gradient, Layer, Padding, Pool, Values, Weights};
use super::density::{DensityGrid, kept_second_moment};
use crate::TheoryError;
use std::ops::Range;

/// Marks a tap that lies beyond the border.
pub(crate) const OUTSIDE: usize = usize::MAX;

/// An architecture, ready to be evaluated.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) input: Vec<usize>,
    pub(crate) steps: Vec<Step>,
    /// Whether covariances between different positions are needed at the input.
    pub(crate) full: bool,
}

/// One layer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Affine(Box<Affine>),
    Activation(Activation),
    Flatten,
    Pool(Mean),
    Residual(Vec<Step>),
}

/// What an affine layer does: for out type $v$ and pair of positions $p, p'$, sums over in types $u$ and taps $t$ with
/// coefficients by $(u, t)$ and $v$.
#[derive(Clone, Debug)]
pub(crate) struct Affine {
    /// $s^2\,\mathrm E (M w)^2 / n$: of covariances and kernels that come from below.
    pub(crate) forward: Vec<f64>,
    /// $s^2 W / n$, or $s^2 / n$ for [`Gradient::All`]: of the layer's own term.
    pub(crate) own: Vec<f64>,
    /// $b^2$.
    pub(crate) bias: f64,
    /// Types behind it.
    pub(crate) types: usize,
    /// Which positions a window reads.
    pub(crate) windows: Windows,
    /// For drawing one.
    pub(crate) draw: Draw,
}

/// How the weights of an affine layer are drawn.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    pub(crate) grid: DensityGrid,
    /// The grid's rows for each input, by `type * taps + tap`.
    pub(crate) rows: Vec<Range<usize>>,
    pub(crate) values: Values,
    /// $s$, over the root of the mean density where it is rescaled.
    pub(crate) std: f64,
    pub(crate) bias: f64,
    /// Types that it reads.
    pub(crate) types: usize,
    pub(crate) conv: Option<Conv>,
}

/// Windows over the positions of a channel.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    pub(crate) taps: usize,
    pub(crate) extent: [usize; 2],
    /// Position that tap $t$ of window $p$ reads at `t * windows + p`, or [`OUTSIDE`].
    pub(crate) table: Vec<usize>,
}

/// Means over windows.
#[derive(Clone, Debug)]
pub(crate) struct Mean {
    pub(crate) windows: Windows,
    /// Whether a later pool needs covariances between positions.
    pub(crate) full: bool,
    /// For drawing one; none for the mean over everything.
    pub(crate) pool: Option<Pool>,
}

/// What is known of a state while planning.
#[derive(Clone, Copy)]
struct State {
    types: usize,
    extent: [usize; 2],
    /// Whether it is normal, so that an activation may follow.
    normal: bool,
    /// Whether it is uncorrelated with what the residual layer around it adds it to.
    fresh: bool,
}

impl Plan {
    /// Checks an architecture and prepares it.
    ///
    /// # Errors
    /// A layer that does not fit what comes before it, named with its place and the rule; numbers out of range.
    pub fn new(architecture: &Architecture) -> Result<Self, TheoryError> {
        let Architecture { input, layers, gradient } = architecture;
        let (types, extent) = match input.as_slice() {
            [numbers] if *numbers > 0 => (*numbers, [1, 1]),
            [channels, rows, cols] if channels * rows * cols > 0 => (*channels, [*rows, *cols]),
            _ => {
                let reason = "expected its numbers, or its channels, rows and columns, none of them 0";
                return Err(TheoryError::Layer { layer: "input".to_owned(), reason });
            }
        };
        let pools =
            layers.iter().filter(|layer| matches!(layer, Layer::AveragePool(_) | Layer::GlobalAveragePool)).count();
        let mut planner = Planner { gradient: *gradient, pools, inside: false };
        let start = State { types, extent, normal: false, fresh: false };
        let (steps, end) = planner.layers(layers, start, "")?;
        if end.extent != [1, 1] {
            let reason = "the network ends with an image: add `flatten` and a dense layer, or a pool";
            return Err(TheoryError::Layer { layer: "the last".to_owned(), reason });
        }
        if !has_affine(layers) {
            let reason = "expected a dense or convolutional layer";
            return Err(TheoryError::Layer { layer: "all".to_owned(), reason });
        }
        Ok(Self { input: input.clone(), steps, full: pools > 0 })
    }

    /// Numbers of a sample.
    pub fn input_size(&self) -> usize {
        self.input.iter().product()
    }
}

fn has_affine(layers: &[Layer]) -> bool {
    layers.iter().any(|layer| match layer {
        Layer::Dense(_) | Layer::Conv(_) => true,
        Layer::Residual(branch) => has_affine(branch),
        _ => false,
    })
}

struct Planner {
    gradient: Gradient,
    /// Pools that are still to come.
    pools: usize,
    /// Whether the layers are those of a residual branch.
    inside: bool,
}

impl Planner {
    fn layers(&mut self, layers: &[Layer], mut state: State, place: &str) -> Result<(Vec<Step>, State), TheoryError> {
        let mut steps = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            let place = format!("{place}{}", index + 1);
            let name = format!("{place} ({})", layer.name());
            let step = self.layer(layer, &mut state, &place).map_err(|fault| fault.named(&name))?;
            steps.push(step);
        }
        Ok((steps, state))
    }

    fn layer(&mut self, layer: &Layer, state: &mut State, place: &str) -> Result<Step, Fault> {
        match layer {
            Layer::Dense(weights) => {
                if state.extent != [1, 1] {
                    return Err("it reads an image: put `flatten` or a pool before it".into());
                }
                self.affine(weights, Windows::identity([1, 1]), None, state)
            }
            Layer::Conv(conv) => {
                let windows = Windows::of_conv(conv, state.extent)?;
                self.affine(&conv.weights, windows, Some(conv), state)
            }
            Layer::Relu | Layer::Erf => {
                if !state.normal {
                    let reason = "it reads what is not normal: put a dense or convolutional layer before it, and before \
                                  every residual layer whose sum it reads";
                    return Err(reason.into());
                }
                (state.normal, state.fresh) = (false, false);
                Ok(Step::Activation(if matches!(layer, Layer::Relu) { Activation::Relu } else { Activation::Erf }))
            }
            Layer::Flatten => {
                (state.types, state.extent) = (state.types * state.extent[0] * state.extent[1], [1, 1]);
                Ok(Step::Flatten)
            }
            Layer::AveragePool(pool) => self.pool(Windows::of_pool(pool, state.extent)?, Some(pool), state),
            Layer::GlobalAveragePool => self.pool(Windows::whole(state.extent), None, state),
            Layer::Residual(branch) => {
                let outside = std::mem::replace(&mut self.inside, true);
                let begin = State { fresh: false, ..*state };
                let (steps, end) = self.layers(branch, begin, &format!("{place}."))?;
                self.inside = outside;
                if !end.fresh {
                    return Err("its branch has to end with a dense or convolutional layer".into());
                }
                if end.extent != state.extent || end.types != state.types {
                    return Err("its branch has another shape than what it is added to: put a dense or convolutional \
                                layer before it"
                        .into());
                }
                // A sum is as fresh, and as normal, as the lesser of its parts.
                state.normal &= end.normal;
                Ok(Step::Residual(steps))
            }
        }
    }

    fn affine(
        &self,
        weights: &Weights,
        windows: Windows,
        conv: Option<&Conv>,
        state: &mut State,
    ) -> Result<Step, Fault> {
        let Weights { std, bias, density, values, rescaled } = weights;
        for (name, number) in [("std", *std), ("bias", *bias)] {
            if !(number.is_finite() && number >= 0.0) {
                return Err(TheoryError::Range { name, expected: "a deviation, at least 0", found: number }.into());
            }
        }
        let grid = density.grid()?;
        let (inputs, mean) = (state.types * windows.taps, grid.mean());
        if *rescaled && mean == 0.0 {
            return Err("without weights there is nothing to rescale".into());
        }
        let std = if *rescaled { std / mean.sqrt() } else { *std };
        let factor = std * std / inputs as f64;
        let rows = (0..inputs).map(|input| rows(&grid, state.types, windows.taps, input));
        let rows = rows.collect::<Result<Vec<_>, Fault>>()?;
        let types = grid.shape().1;
        let table = |moments: &[f64]| -> Vec<f64> {
            let cell = |range: &Range<usize>, col: usize| -> f64 {
                range.clone().map(|row| moments[row * types + col]).sum::<f64>() * factor / range.len() as f64
            };
            rows.iter().flat_map(|range| (0..types).map(|col| cell(range, col)).collect::<Vec<_>>()).collect()
        };
        let forward = match values {
            Values::Reinit => table(grid.values()),
            Values::Kept => table(&grid.values().iter().map(|share| kept_second_moment(*share)).collect::<Vec<_>>()),
        };
        let own = match self.gradient {
            Gradient::Kept => table(grid.values()),
            Gradient::All => table(&vec![1.0; grid.values().len()]),
        };
        let draw = Draw { grid, rows, values: *values, std, bias: *bias, types: state.types, conv: conv.cloned() };
        *state = State { types, extent: windows.extent, normal: true, fresh: true };
        Ok(Step::Affine(Box::new(Affine { forward, own, bias: bias * bias, types, windows, draw })))
    }

    fn pool(&mut self, windows: Windows, pool: Option<&Pool>, state: &mut State) -> Result<Step, Fault> {
        if self.inside {
            return Err("a residual branch has no pools".into());
        }
        self.pools -= 1;
        state.extent = windows.extent;
        Ok(Step::Pool(Mean { windows, full: self.pools > 0, pool: pool.cloned() }))
    }
}

/// The rows of a grid that belong to an input: `type * taps + tap`.
fn rows(grid: &DensityGrid, types: usize, taps: usize, input: usize) -> Result<Range<usize>, Fault> {
    let (inputs, (rows, _)) = (types * taps, grid.shape());
    match rows {
        1 => Ok(0..1),
        _ if rows == inputs => Ok(input..input + 1),
        _ if rows == taps => Ok(input % taps..input % taps + 1),
        _ if taps == 1 && inputs.is_multiple_of(rows) => {
            let row = input / (inputs / rows);
            Ok(row..row + 1)
        }
        _ if taps == 1 && rows.is_multiple_of(inputs) => {
            let span = rows / inputs;
            Ok(input * span..(input + 1) * span)
        }
        _ => Err(Fault::Rows { inputs, rows }),
    }
}

impl Windows {
    pub(crate) fn positions(&self) -> usize {
        self.extent[0] * self.extent[1]
    }

    fn identity(extent: [usize; 2]) -> Self {
        Self { taps: 1, extent, table: (0..extent[0] * extent[1]).collect() }
    }

    fn whole(extent: [usize; 2]) -> Self {
        let taps = extent[0] * extent[1];
        Self { taps, extent: [1, 1], table: (0..taps).collect() }
    }

    fn of_conv(conv: &Conv, extent: [usize; 2]) -> Result<Self, Fault> {
        let Conv { kernel, stride, pad, padding, .. } = conv;
        let place = |position: usize, tap: usize, length: usize| {
            let place = position * stride + tap;
            match padding {
                Padding::Zero => place.checked_sub(*pad).filter(|p| *p < length),
                Padding::Circular => Some((place + length * pad - pad) % length),
            }
        };
        Self::new(*kernel, *stride, *pad, extent, place)
    }

    fn of_pool(pool: &Pool, extent: [usize; 2]) -> Result<Self, Fault> {
        let stride = pool.stride.unwrap_or(pool.kernel);
        Self::new(pool.kernel, stride, 0, extent, |position, tap, _| Some(position * stride + tap))
    }

    fn new(
        kernel: usize,
        stride: usize,
        pad: usize,
        extent: [usize; 2],
        place: impl Fn(usize, usize, usize) -> Option<usize>,
    ) -> Result<Self, Fault> {
        if kernel == 0 || stride == 0 {
            return Err("expected a kernel and a stride of at least 1".into());
        }
        if pad > extent[0] || pad > extent[1] {
            return Err("expected at most as much padding as there are rows and columns".into());
        }
        if extent.iter().any(|length| length + 2 * pad < kernel) {
            return Err("the kernel is larger than the image with its padding".into());
        }
        let out = extent.map(|length| (length + 2 * pad - kernel) / stride + 1);
        let mut table = Vec::with_capacity(kernel * kernel * out[0] * out[1]);
        for tap in 0..kernel * kernel {
            for position in 0..out[0] * out[1] {
                let row = place(position / out[1], tap / kernel, extent[0]);
                let col = place(position % out[1], tap % kernel, extent[1]);
                table.push(row.zip(col).map_or(OUTSIDE, |(row, col)| row * extent[1] + col));
            }
        }
        Ok(Self { taps: kernel * kernel, extent: out, table })
    }

    /// The positions that tap `tap` reads, window by window.
    pub(crate) fn tap(&self, tap: usize) -> &[usize] {
        let positions = self.positions();
        &self.table[tap * positions..(tap + 1) * positions]
    }
}

/// What is wrong with a layer, before its place is known.
#[derive(Debug)]
pub(crate) enum Fault {
    Reason(&'static str),
    Rows { inputs: usize, rows: usize },
    Other(TheoryError),
}

impl From<&'static str> for Fault {
    fn from(reason: &'static str) -> Self {
        Fault::Reason(reason)
    }
}

impl From<TheoryError> for Fault {
    fn from(error: TheoryError) -> Self {
        Fault::Other(error)
    }
}

impl Fault {
    fn named(self, layer: &str) -> TheoryError {
        let layer = layer.to_owned();
        match self {
            Fault::Reason(reason) => TheoryError::Layer { layer, reason },
            Fault::Rows { inputs, rows } => TheoryError::DensityRows { layer, inputs, rows },
            Fault::Other(error @ TheoryError::Layer { .. }) => error,
            Fault::Other(error) => TheoryError::InLayer { layer, source: Box::new(error) },
        }
    }
}
