//! Two-dimensional convolutions as matrix products over patches.
//!
//! Forward: gather the patches of the input into columns and multiply by the kernel matrix.
//! Backward: multiply by its transpose and scatter-add the columns. One-dimensional convolutions
//! have height 1.

use secateur_linalg::Scalar;
pub use secateur_linalg::device::Geometry;
use secateur_linalg::gemm::{View, gemm};

/// A convolution without its bias.
#[derive(Clone, Debug)]
pub struct Convolution<T> {
    geometry: Geometry,
    weight: Vec<T>,
    absolute: Vec<T>,
}

impl<T: Scalar> Convolution<T> {
    /// A convolution from its kernel.
    ///
    /// # Shapes
    /// `weight` is output channels × (input channels / groups) × kernel height × kernel width.
    #[track_caller]
    pub fn new(geometry: Geometry, weight: Vec<T>) -> Self {
        let [channels, _, _] = geometry.input;
        let taps = geometry.kernel[0] * geometry.kernel[1];
        assert_eq!(weight.len(), geometry.output[0] * (channels / geometry.groups) * taps);
        let absolute = weight.iter().map(|w| w.abs()).collect();
        Self { geometry, weight, absolute }
    }

    /// The kernel.
    pub fn weight(&self) -> &[T] {
        &self.weight
    }

    /// Number of input entries.
    pub fn inputs(&self) -> usize {
        self.geometry.input.iter().product()
    }

    /// Number of output entries.
    pub fn outputs(&self) -> usize {
        self.geometry.output.iter().product()
    }

    /// Products summed into one output.
    pub fn forward_terms(&self) -> usize {
        self.patch()
    }

    /// Products summed into one input, at most.
    pub fn backward_terms(&self) -> usize {
        let g = &self.geometry;
        g.output[0] / g.groups * g.kernel[0] * g.kernel[1]
    }

    /// The same convolution with another scalar type.
    pub fn cast<U: Scalar>(&self) -> Convolution<U> {
        let convert = |w: &T| U::from_f64(w.to_f64());
        Convolution {
            geometry: self.geometry.clone(),
            weight: self.weight.iter().map(convert).collect(),
            absolute: self.absolute.iter().map(convert).collect(),
        }
    }

    /// Entries of one patch: input channels of a group times kernel taps.
    fn patch(&self) -> usize {
        let g = &self.geometry;
        g.input[0] / g.groups * g.kernel[0] * g.kernel[1]
    }

    /// Visits the runs of one group's patches: patch row, first output position, first input position
    /// (relative to the group's first channel) and length; outputs in a run are neighbours, inputs lie
    /// a stride apart.
    fn runs(&self, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let g = &self.geometry;
        let ([_, height, width], [_, rows, cols]) = (g.input, g.output);
        let channels = g.input[0] / g.groups;
        let mut patch_row = 0;
        for c in 0..channels {
            for (ky, kx) in (0..g.kernel[0]).flat_map(|y| (0..g.kernel[1]).map(move |x| (y, x))) {
                // Columns ox with pad ≤ ox · stride + shift < width + pad.
                let shift = kx * g.dilations[1];
                let first = g.pads[1].saturating_sub(shift).div_ceil(g.strides[1]);
                let end = (width + g.pads[1]).saturating_sub(shift).div_ceil(g.strides[1]).min(cols);
                for oy in 0..rows {
                    let y = oy * g.strides[0] + ky * g.dilations[0];
                    if y < g.pads[0] || y - g.pads[0] >= height || first >= end {
                        continue;
                    }
                    let from = (c * height + y - g.pads[0]) * width + first * g.strides[1] + shift - g.pads[1];
                    visit(patch_row, oy * cols + first, from, end - first);
                }
                patch_row += 1;
            }
        }
    }

    /// $y \leftarrow y + W x$ for a batch; with $|W|$ when `absolute`.
    #[track_caller]
    pub fn forward(&self, absolute: bool, x: &[T], batch: usize, y: &mut [T]) {
        let g = &self.geometry;
        let (n, m, patch) = (self.inputs(), self.outputs(), self.patch());
        assert_eq!((x.len(), y.len()), (batch * n, batch * m));
        let (positions, group_in, group_out) = (g.output[1] * g.output[2], n / g.groups, g.output[0] / g.groups);
        let weight = if absolute { &self.absolute } else { &self.weight };
        let mut columns = vec![T::ZERO; patch * positions];
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(m)) {
            for (group, y) in y.chunks_exact_mut(group_out * positions).enumerate() {
                let x = &x[group * group_in..(group + 1) * group_in];
                self.runs(|row, position, from, length| {
                    let start = row * positions + position;
                    let inputs = x[from..].iter().step_by(g.strides[1]);
                    columns[start..start + length].iter_mut().zip(inputs).for_each(|(c, x)| *c = *x);
                });
                let kernel = &weight[group * group_out * patch..(group + 1) * group_out * patch];
                gemm(y, View::new(kernel, group_out, patch), View::new(&columns, patch, positions), true);
            }
        }
    }

    /// $a' \leftarrow a' + a W$ for a batch of rows; with $|W|$ when `absolute`.
    #[track_caller]
    pub fn backward(&self, absolute: bool, a: &[T], batch: usize, out: &mut [T]) {
        let g = &self.geometry;
        let (n, m, patch) = (self.inputs(), self.outputs(), self.patch());
        assert_eq!((a.len(), out.len()), (batch * m, batch * n));
        let (positions, group_in, group_out) = (g.output[1] * g.output[2], n / g.groups, g.output[0] / g.groups);
        let weight = if absolute { &self.absolute } else { &self.weight };
        let mut columns = vec![T::ZERO; patch * positions];
        for (a, out) in a.chunks_exact(m).zip(out.chunks_exact_mut(n)) {
            for (group, a) in a.chunks_exact(group_out * positions).enumerate() {
                if a.iter().all(|v| *v == T::ZERO) {
                    continue;
                }
                let kernel = &weight[group * group_out * patch..(group + 1) * group_out * patch];
                let kernel = View::new(kernel, group_out, patch).t();
                gemm(&mut columns, kernel, View::new(a, group_out, positions), false);
                let out = &mut out[group * group_in..(group + 1) * group_in];
                self.runs(|row, position, to, length| {
                    let start = row * positions + position;
                    let outputs = out[to..].iter_mut().step_by(g.strides[1]);
                    columns[start..start + length].iter().zip(outputs).for_each(|(c, out)| *out += *c);
                });
            }
        }
    }

    /// `out ← out + sign · W[j, :]`.
    pub fn add_row(&self, j: usize, sign: T, out: &mut [T]) {
        let g = &self.geometry;
        let ([_, height, width], [_, rows, cols]) = (g.input, g.output);
        let (channel, oy, ox) = (j / (rows * cols), j / cols % rows, j % cols);
        let (channels, group) = (g.input[0] / g.groups, channel / (g.output[0] / g.groups));
        let kernel = &self.weight[channel * self.patch()..(channel + 1) * self.patch()];
        for (k, w) in kernel.iter().enumerate() {
            let (c, ky, kx) = (k / (g.kernel[0] * g.kernel[1]), k / g.kernel[1] % g.kernel[0], k % g.kernel[1]);
            let (y, x) = (oy * g.strides[0] + ky * g.dilations[0], ox * g.strides[1] + kx * g.dilations[1]);
            let inside = y >= g.pads[0] && y - g.pads[0] < height && x >= g.pads[1] && x - g.pads[1] < width;
            if inside {
                out[((group * channels + c) * height + y - g.pads[0]) * width + x - g.pads[1]] += sign * *w;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_linalg::random::Random;

    fn example() -> Convolution<f64> {
        let geometry = Geometry {
            groups: 2,
            input: [4, 5, 6],
            output: [6, 3, 2],
            kernel: [3, 2],
            strides: [2, 3],
            pads: [1, 1],
            dilations: [1, 2],
        };
        let mut weight = vec![0.0; 6 * 2 * 6];
        Random::new(3).fill_normal(&mut weight, 1.0);
        Convolution::new(geometry, weight)
    }

    #[test]
    fn forward_backward_and_rows_are_one_matrix() {
        let c = example();
        let (n, m) = (c.inputs(), c.outputs());
        let mut matrix = vec![0.0; m * n];
        for j in 0..m {
            c.add_row(j, 1.0, &mut matrix[j * n..(j + 1) * n]);
        }
        let identity: Vec<f64> = (0..m * m).map(|k| if k / m == k % m { 1.0 } else { 0.0 }).collect();
        let mut backward = vec![0.0; m * n];
        c.backward(false, &identity, m, &mut backward);
        assert_eq!(matrix, backward);
        let mut x = vec![0.0; 2 * n];
        Random::new(4).fill_normal(&mut x, 1.0);
        let mut y = vec![0.0; 2 * m];
        c.forward(false, &x, 2, &mut y);
        for (r, value) in y.iter().enumerate() {
            let (batch, j) = (r / m, r % m);
            let dot: f64 = (0..n).map(|i| matrix[j * n + i] * x[batch * n + i]).sum();
            // Sums of at most 12 normal numbers: 1e-12 is a thousand roundings.
            assert!((dot - value).abs() < 1e-12);
        }
    }
}
