//! Matrices that stay on a device.

use super::{DeviceError, Memory};
use crate::Csr;

/// Extents of a two-dimensional convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Groups that channels are divided into.
    pub groups: usize,
    /// Input channels, height, width.
    pub input: [usize; 3],
    /// Output channels, height, width.
    pub output: [usize; 3],
    /// Kernel height, width.
    pub kernel: [usize; 2],
    /// Steps down, right.
    pub strides: [usize; 2],
    /// Padding above, left.
    pub pads: [usize; 2],
    /// Distance between taps down, right.
    pub dilations: [usize; 2],
}

impl Geometry {
    /// Number of input entries.
    pub fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    /// Number of output entries.
    pub fn outputs(&self) -> usize {
        self.output.iter().product()
    }

    /// Entries of the kernel.
    pub fn weights(&self) -> usize {
        self.output[0] * (self.input[0] / self.groups) * self.kernel[0] * self.kernel[1]
    }

    /// The extents in the order in which the kernels read them.
    fn words(&self) -> Vec<u32> {
        let parts: [&[usize]; 6] =
            [&self.input, &self.output, &self.kernel, &self.strides, &self.pads, &self.dilations];
        let all = [self.groups].into_iter().chain(parts.into_iter().flatten().copied());
        all.map(|extent| u32::try_from(extent).expect("an extent below 2³²")).collect()
    }
}

/// A sparse matrix on a device.
pub struct Sparse<M: Memory + ?Sized> {
    pub(super) starts: M::Words,
    pub(super) columns: M::Words,
    pub(super) values: M::Floats,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl<M: Memory + ?Sized> Sparse<M> {
    /// A copy of a matrix.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(device: &M, matrix: &Csr<f32>) -> Result<Self, DeviceError> {
        let word = |index: usize| u32::try_from(index).expect("fewer than 2³² entries");
        let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        for r in 0..matrix.rows() {
            for (c, v) in matrix.row(r) {
                columns.push(word(c));
                values.push(v);
            }
            starts.push(word(values.len()));
        }
        let (starts, columns, values) = (device.words(&starts)?, device.words(&columns)?, device.floats(&values)?);
        Ok(Self { starts, columns, values, rows: matrix.rows(), cols: matrix.cols() })
    }
}

/// A convolution on a device.
pub struct Convolution<M: Memory + ?Sized> {
    pub(super) geometry: Geometry,
    pub(super) extents: M::Words,
    pub(super) weight: M::Floats,
}

impl<M: Memory + ?Sized> Convolution<M> {
    /// A copy of a convolution.
    ///
    /// # Shapes
    /// `weight` is output channels × (input channels / groups) × kernel height × kernel width.
    ///
    /// # Errors
    /// The device fails.
    #[track_caller]
    pub fn new(device: &M, geometry: &Geometry, weight: &[f32]) -> Result<Self, DeviceError> {
        let g = geometry;
        assert!(g.input[0].is_multiple_of(g.groups) && g.output[0].is_multiple_of(g.groups), "groups divide channels");
        assert_eq!(weight.len(), g.weights(), "a kernel of another size");
        assert!(g.strides.iter().all(|stride| *stride > 0), "a stride of 0");
        let (extents, weight) = (device.words(&g.words())?, device.floats(weight)?);
        Ok(Self { geometry: geometry.clone(), extents, weight })
    }
}
