//! A network on a device: its matrices in the form that the device multiplies fastest.

use crate::alpha::Slopes;
use crate::ascent;
use crate::device::Propose;
use crate::linear::{Linear, NOTHING};
use crate::network::{Kind, Network};
use crate::proposal::Task;
use secateur_linalg::Csr;
use secateur_linalg::device::{Convolution, Device, DeviceError, Done, Extents, Shape, Sparse, Sum};
use std::sync::Arc;

/// A linear map on a device.
pub enum Map<D: Device> {
    /// $y = x$.
    Identity {
        /// Dimension.
        size: usize,
    },
    /// A dense matrix, `outputs × inputs`.
    Dense {
        /// Its entries.
        weight: D::Floats,
        /// Rows.
        outputs: usize,
        /// Columns.
        inputs: usize,
    },
    /// A sparse matrix or a selection, and its transpose: either way every output gathers its own inputs.
    Sparse {
        /// The matrix.
        forward: Sparse<D>,
        /// Its transpose.
        back: Sparse<D>,
    },
    /// A convolution, or the transpose of one.
    Convolution {
        /// The convolution.
        weight: Convolution<D>,
        /// Whether the map is its transpose.
        transposed: bool,
    },
}

impl<D: Device> Map<D> {
    fn new(device: &D, map: &Linear<f32>) -> Result<Self, DeviceError> {
        let sparse = |matrix: &Csr<f32>| {
            let (forward, back) = (Sparse::new(device, matrix)?, Sparse::new(device, &matrix.transpose())?);
            Ok(Map::Sparse { forward, back })
        };
        match map {
            Linear::Identity { size } => Ok(Map::Identity { size: *size }),
            Linear::Select { inputs, index } => {
                let row = |i: &u32| if *i == NOTHING { Vec::new() } else { vec![(*i as usize, 1.0)] };
                sparse(&Csr::from_rows(*inputs, index.iter().map(row)))
            }
            Linear::Dense(w) => Ok(Map::Dense { weight: device.floats(&w.weight)?, outputs: w.rows, inputs: w.cols }),
            Linear::Sparse { weight, .. } => sparse(weight),
            Linear::Convolution(c) | Linear::Transposed(c) => Ok(Map::Convolution {
                weight: Convolution::new(device, c.geometry(), c.weight())?,
                transposed: matches!(map, Linear::Transposed(_)),
            }),
        }
    }

    /// $y \leftarrow y + W x$ for so many rows.
    pub fn forward(&self, device: &D, y: &mut D::Floats, x: &D::Floats, rows: usize) -> Done {
        match self {
            Map::Identity { size } => device.add(y, x, Shape { rows, size: *size }),
            Map::Dense { weight, outputs, inputs } => {
                device.gemm(y, x, weight, Extents { m: rows, n: *outputs, k: *inputs }, true, Sum::Add)
            }
            Map::Sparse { forward, .. } => device.sparse(y, x, forward, rows, Sum::Add),
            Map::Convolution { weight, transposed: false } => device.convolve(y, x, weight, rows, Sum::Add),
            Map::Convolution { weight, transposed: true } => device.convolve_back(y, x, weight, rows, Sum::Add),
        }
    }

    /// $a' \leftarrow a W$ for so many rows, or added to $a'$.
    pub fn back(&self, device: &D, out: &mut D::Floats, a: &D::Floats, rows: usize, sum: Sum) -> Done {
        match self {
            Map::Identity { size } if sum == Sum::Add => device.add(out, a, Shape { rows, size: *size }),
            Map::Identity { .. } => device.copy(out, a),
            Map::Dense { weight, outputs, inputs } => {
                device.gemm(out, a, weight, Extents { m: rows, n: *inputs, k: *outputs }, false, sum)
            }
            Map::Sparse { back, .. } => device.sparse(out, a, back, rows, sum),
            Map::Convolution { weight, transposed: false } => device.convolve_back(out, a, weight, rows, sum),
            Map::Convolution { weight, transposed: true } => device.convolve(out, a, weight, rows, sum),
        }
    }
}

/// A layer on a device.
pub enum Stage<D: Device> {
    /// The input.
    Input,
    /// An affine layer.
    Affine {
        /// Source layers and their maps.
        terms: Vec<(usize, Map<D>)>,
        /// The bias.
        bias: D::Floats,
    },
    /// ReLUs of an earlier layer.
    Relu {
        /// The layer.
        source: usize,
    },
}

/// A network on a device.
pub struct Resident<D: Device> {
    /// The device.
    pub device: Arc<D>,
    /// The layers, each with its size.
    pub layers: Vec<(usize, Stage<D>)>,
}

impl<D: Device> Resident<D> {
    /// A copy of a network of affine layers and ReLUs.
    ///
    /// # Errors
    /// The device fails.
    #[track_caller]
    pub fn new(device: Arc<D>, network: &Network<f32>) -> Result<Self, DeviceError> {
        let mut layers = Vec::with_capacity(network.layers.len());
        for layer in &network.layers {
            let stage = match &layer.kind {
                Kind::Input => Stage::Input,
                Kind::Affine(affine) => {
                    let map = |(source, map): &(usize, Linear<f32>)| Ok((*source, Map::new(&*device, map)?));
                    let terms = affine.terms.iter().map(map).collect::<Result<_, DeviceError>>()?;
                    Stage::Affine { terms, bias: device.floats(&affine.bias)? }
                }
                Kind::Activation { source, .. } => Stage::Relu { source: *source },
                Kind::Product(_) => panic!("products are not for devices"),
            };
            layers.push((layer.size, stage));
        }
        Ok(Self { device, layers })
    }
}

impl<D: Device> Propose for Resident<D> {
    fn propose(&self, task: &Task<'_>) -> Result<Slopes<f32>, DeviceError> {
        ascent::propose(self, task)
    }
}
