//! Layers of an infinitely wide network.
//!
//! Masks are random with the given densities (a density of 0 or 1 says exactly which weights are there). The limit is one of many
//! neurons *and* of many inputs to each: a random mask on few inputs leaves neurons that differ by the inputs they got, which no
//! single normal distribution describes.
//!
//! As TOML:
//!
//! ```toml
//! input = [1, 28, 28]
//! layers = [
//!     { conv = { kernel = 3, pad = 1, weights = { std = 1.41421356, density = 0.3 } } },
//!     "relu",
//!     { residual = [{ conv = { kernel = 3, pad = 1 } }] },
//!     "global-average-pool",
//!     { dense = { density = 0.5, rescaled = true } },
//! ]
//! ```

use super::density::Density;
use serde::{Deserialize, Serialize};

/// A network: layers from the input to the output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Architecture {
    /// Shape of a sample: numbers, or channels, rows and columns.
    pub input: Vec<usize>,
    /// The layers.
    pub layers: Vec<Layer>,
    /// Which weights the kernel sums over.
    #[serde(default)]
    pub gradient: Gradient,
}

/// Which of a sparse layer's own weights are trained.
///
/// A layer of density $c$ passes a factor $c$ on in both directions. Its own term of the kernel has another factor $c$ if the
/// derivatives of removed weights do not count: with ReLUs, no biases, $L$ hidden layers and $L + 1$ sparse layers in all, the kernel
/// is $c^{L+1}$ times that of the dense network for [`Gradient::Kept`], and $c^L$ times for [`Gradient::All`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gradient {
    /// Kept weights: removed ones stay 0, as in training after pruning.
    #[default]
    Kept,
    /// All weights: removed ones begin at 0 and may grow.
    All,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// $z = \frac{s}{\sqrt n} (M \odot w)\, h + b\,\beta$ with $w, \beta$ standard normal, $n$ inputs, mask $M$.
    Dense(Weights),
    /// The same with the entries of a patch as inputs.
    Conv(Conv),
    /// $\max(z, 0)$.
    Relu,
    /// $\operatorname{erf} z$.
    Erf,
    /// Positions become coordinates: index $c\,P + p$ for channel $c$ and position $p$ of $P$.
    Flatten,
    /// Means over windows.
    AveragePool(Pool),
    /// The mean over all positions.
    GlobalAveragePool,
    /// $h + g(h)$ for the layers $g$.
    Residual(Vec<Layer>),
}

/// The weights of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Weights {
    /// $s$: weights have deviation $s / \sqrt n$.
    #[serde(default = "one")]
    pub std: f64,
    /// $b$: biases have deviation $b$.
    #[serde(default)]
    pub bias: f64,
    /// The share that is there.
    #[serde(default)]
    pub density: Density,
    /// How large those are.
    #[serde(default)]
    pub values: Values,
    /// Divide weights by the root of the layer's mean density.
    #[serde(default)]
    pub rescaled: bool,
}

/// The values of the weights that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Values {
    /// Independent of the mask: drawn anew, or masked at random. The variance of $M w$ is $W$.
    #[default]
    Reinit,
    /// Those that were kept because they are large: $\mathrm E (M w)^2$ is that of
    /// [`super::density::kept_second_moment`].
    Kept,
}

/// A square convolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Conv {
    /// Taps along each side.
    pub kernel: usize,
    /// Step.
    #[serde(default = "step")]
    pub stride: usize,
    /// Entries added on every side.
    #[serde(default)]
    pub pad: usize,
    /// What they are.
    #[serde(default)]
    pub padding: Padding,
    /// The weights; inputs are the entries of a patch.
    #[serde(default)]
    pub weights: Weights,
}

/// What lies beyond the border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Zeros.
    #[default]
    Zero,
    /// The other side of the image.
    Circular,
}

/// Square windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pool {
    /// Entries along each side.
    pub kernel: usize,
    /// Step; the kernel if not given.
    #[serde(default)]
    pub stride: Option<usize>,
}

fn one() -> f64 {
    1.0
}

fn step() -> usize {
    1
}

impl Default for Weights {
    fn default() -> Self {
        Self { std: 1.0, bias: 0.0, density: Density::default(), values: Values::default(), rescaled: false }
    }
}

impl Weights {
    /// Dense weights with these deviations.
    pub fn new(std: f64, bias: f64) -> Self {
        Self { std, bias, ..Self::default() }
    }

    /// The same, of which a share is there.
    pub fn with_density(self, density: impl Into<Density>) -> Self {
        Self { density: density.into(), ..self }
    }
}

impl From<f64> for Density {
    fn from(share: f64) -> Self {
        Density::Uniform(share)
    }
}

impl Architecture {
    /// A fully connected network of `hidden` hidden layers and an output layer, all with the same weights.
    pub fn fully_connected(inputs: usize, hidden: usize, activation: &Layer, weights: &Weights) -> Self {
        let block = [Layer::Dense(weights.clone()), activation.clone()];
        let mut layers: Vec<Layer> = block.iter().cycle().take(2 * hidden).cloned().collect();
        layers.push(Layer::Dense(weights.clone()));
        Self { input: vec![inputs], layers, gradient: Gradient::default() }
    }
}

impl Layer {
    /// Its name in files.
    pub fn name(&self) -> &'static str {
        match self {
            Layer::Dense(_) => "dense",
            Layer::Conv(_) => "conv",
            Layer::Relu => "relu",
            Layer::Erf => "erf",
            Layer::Flatten => "flatten",
            Layer::AveragePool(_) => "average-pool",
            Layer::GlobalAveragePool => "global-average-pool",
            Layer::Residual(_) => "residual",
        }
    }
}
