//! The steps in plain Rust, as they read in the interface.

use super::maps::{Convolution, Sparse};
use super::{Boxes, Device, DeviceError, Done, Entries, Extents, Lines, Memory, Shape, Step, Sum};
use crate::gemm::{View, gemm};

/// The processor, one thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl Memory for Reference {
    type Floats = Vec<f32>;
    type Words = Vec<u32>;

    fn name(&self) -> String {
        "reference".to_owned()
    }

    fn floats(&self, data: &[f32]) -> Result<Vec<f32>, DeviceError> {
        Ok(data.to_vec())
    }

    fn words(&self, data: &[u32]) -> Result<Vec<u32>, DeviceError> {
        Ok(data.to_vec())
    }

    fn poisoned(&self, len: usize) -> Result<Vec<f32>, DeviceError> {
        Ok(vec![f32::NAN; len])
    }

    fn len(&self, buffer: &Vec<f32>) -> usize {
        buffer.len()
    }

    fn read(&self, buffer: &Vec<f32>) -> Result<Vec<f32>, DeviceError> {
        Ok(buffer.clone())
    }

    #[track_caller]
    fn copy(&self, to: &mut Vec<f32>, from: &Vec<f32>) -> Done {
        to.copy_from_slice(from);
        Ok(())
    }

    #[track_caller]
    fn gemm(
        &self,
        c: &mut Vec<f32>,
        a: &Vec<f32>,
        b: &Vec<f32>,
        Extents { m, n, k }: Extents,
        transposed: bool,
        sum: Sum,
    ) -> Done {
        let b = if transposed { View::new(b, n, k).t() } else { View::new(b, k, n) };
        gemm(c, View::new(a, m, k), b, sum == Sum::Add);
        Ok(())
    }
}

/// $\max(x, y)$ and $\min(x, y)$ as the kernels have them: `y` where `x` is NaN.
fn larger(x: f32, y: f32) -> f32 {
    if x > y { x } else { y }
}

fn smaller(x: f32, y: f32) -> f32 {
    if x < y { x } else { y }
}

fn is_fixed(above: f32) -> bool {
    above == 0.0 || above == 1.0
}

fn slope(alpha: f32, above: f32) -> f32 {
    if is_fixed(above) { above } else { alpha }
}

fn put(to: &mut f32, value: f32, sum: Sum) {
    *to = if sum == Sum::Add { *to + value } else { value };
}

/// Adam's direction.
fn direction(gradient: f32, first: &mut f32, second: &mut f32, step: Step) -> f32 {
    *first = 0.9 * *first + (1.0 - 0.9) * gradient;
    *second = 0.999 * *second + (1.0 - 0.999) * gradient * gradient;
    *first * step.first / ((*second * step.second).sqrt() + 1e-12)
}

/// Visits the products of a convolution: output, input, weight.
fn taps(w: &Convolution<Reference>, mut visit: impl FnMut(usize, usize, f32)) {
    let g = &w.geometry;
    let ([_, height, width], [filters, rows, cols]) = (g.input, g.output);
    let channels = g.input[0] / g.groups;
    for (filter, oy, ox) in places([filters, rows, cols]) {
        let group = filter / (filters / g.groups);
        for (c, ky, kx) in places([channels, g.kernel[0], g.kernel[1]]) {
            let (y, x) = (oy * g.strides[0] + ky * g.dilations[0], ox * g.strides[1] + kx * g.dilations[1]);
            let inside = y >= g.pads[0] && y - g.pads[0] < height && x >= g.pads[1] && x - g.pads[1] < width;
            if inside {
                let input = ((group * channels + c) * height + y - g.pads[0]) * width + x - g.pads[1];
                let weight = ((filter * channels + c) * g.kernel[0] + ky) * g.kernel[1] + kx;
                visit((filter * rows + oy) * cols + ox, input, w.weight[weight]);
            }
        }
    }
}

fn places([a, b, c]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

impl Device for Reference {
    #[track_caller]
    fn sparse(&self, y: &mut Vec<f32>, x: &Vec<f32>, matrix: &Sparse<Self>, rows: usize, sum: Sum) -> Done {
        let (m, n) = (matrix.rows, matrix.cols);
        assert_eq!((x.len(), y.len()), (rows * n, rows * m));
        for r in 0..rows {
            for j in 0..m {
                let stored = matrix.starts[j] as usize..matrix.starts[j + 1] as usize;
                let product = |e: usize| matrix.values[e] * x[r * n + matrix.columns[e] as usize];
                put(&mut y[r * m + j], stored.map(product).sum(), sum);
            }
        }
        Ok(())
    }

    #[track_caller]
    fn convolve(&self, y: &mut Vec<f32>, x: &Vec<f32>, w: &Convolution<Self>, rows: usize, sum: Sum) -> Done {
        let (n, m) = (w.geometry.inputs(), w.geometry.outputs());
        assert_eq!((x.len(), y.len()), (rows * n, rows * m));
        if sum == Sum::Replace {
            y.fill(0.0);
        }
        taps(w, |j, i, weight| (0..rows).for_each(|r| y[r * m + j] += weight * x[r * n + i]));
        Ok(())
    }

    #[track_caller]
    fn convolve_back(&self, x: &mut Vec<f32>, y: &Vec<f32>, w: &Convolution<Self>, rows: usize, sum: Sum) -> Done {
        let (n, m) = (w.geometry.inputs(), w.geometry.outputs());
        assert_eq!((x.len(), y.len()), (rows * n, rows * m));
        if sum == Sum::Replace {
            x.fill(0.0);
        }
        taps(w, |j, i, weight| (0..rows).for_each(|r| x[r * n + i] += weight * y[r * m + j]));
        Ok(())
    }

    #[track_caller]
    fn add(&self, y: &mut Vec<f32>, x: &Vec<f32>, shape: Shape) -> Done {
        assert_eq!((x.len(), y.len()), (shape.rows * shape.size, shape.rows * shape.size));
        y.iter_mut().zip(x).for_each(|(y, x)| *y += *x);
        Ok(())
    }

    #[track_caller]
    fn spread(&self, y: &mut Vec<f32>, vector: &Vec<f32>, shape: Shape) -> Done {
        assert_eq!((y.len(), vector.len()), (shape.rows * shape.size, shape.size));
        y.chunks_exact_mut(shape.size.max(1)).for_each(|y| y.copy_from_slice(vector));
        Ok(())
    }

    #[track_caller]
    fn dot(&self, constant: &mut Vec<f32>, a: &Vec<f32>, vector: &Vec<f32>, shape: Shape) -> Done {
        assert_eq!((constant.len(), a.len()), (shape.rows, shape.rows * shape.size));
        for (d, a) in constant.iter_mut().zip(a.chunks_exact(shape.size.max(1))) {
            *d += a.iter().zip(vector).map(|(a, v)| a * v).sum::<f32>();
        }
        Ok(())
    }

    #[track_caller]
    fn relax_back(
        &self,
        out: &mut Vec<f32>,
        constant: &mut Vec<f32>,
        a: &Vec<f32>,
        alpha: &Vec<f32>,
        lines: Lines<'_, Self>,
        Shape { rows, size }: Shape,
        sum: Sum,
    ) -> Done {
        assert_eq!((out.len(), constant.len()), (rows * size, rows));
        for (r, constant) in constant.iter_mut().enumerate() {
            let domain = lines.domain.buffer[r] as usize;
            let mut added = 0.0;
            for j in 0..size {
                let (at, line) = (r * size + j, domain * size + j);
                let (plus, minus, above) = (larger(a[at], 0.0), smaller(a[at], 0.0), lines.above[line]);
                added += minus * lines.intercept[line];
                put(&mut out[at], plus * slope(alpha[at], above) + minus * above, sum);
            }
            *constant += added;
        }
        Ok(())
    }

    #[track_caller]
    fn relax_forward(
        &self,
        h: &mut Vec<f32>,
        z: &Vec<f32>,
        a: &Vec<f32>,
        alpha: &Vec<f32>,
        lines: Lines<'_, Self>,
        Shape { rows, size }: Shape,
    ) -> Done {
        assert_eq!(h.len(), rows * size);
        for (at, h) in h.iter_mut().enumerate() {
            let line = lines.domain.buffer[at / size] as usize * size + at % size;
            let above = lines.above[line];
            *h = if a[at] >= 0.0 { slope(alpha[at], above) * z[at] } else { above * z[at] + lines.intercept[line] };
        }
        Ok(())
    }

    #[track_caller]
    fn subtract(&self, a: &mut Vec<f32>, beta: &Vec<f32>, entries: Entries<'_, Self>, shape: Shape) -> Done {
        for ((r, j), beta) in entries.row.buffer.iter().zip(&entries.neuron.buffer).zip(beta) {
            a[*r as usize * shape.size + *j as usize] -= *beta;
        }
        Ok(())
    }

    #[track_caller]
    fn minimum(
        &self,
        out: &mut Vec<f32>,
        a: &Vec<f32>,
        constant: &Vec<f32>,
        boxes: Boxes<'_, Self>,
        Shape { rows, size }: Shape,
    ) -> Done {
        assert_eq!(out.len(), rows);
        for r in 0..rows {
            let from = boxes.domain.buffer[r] as usize * size;
            let least = |i: usize| {
                let a = a[r * size + i];
                smaller(a * boxes.lower[from + i], a * boxes.upper[from + i])
            };
            out[r] = (0..size).map(least).sum::<f32>() + constant[r];
        }
        Ok(())
    }

    #[track_caller]
    fn minimiser(&self, x: &mut Vec<f32>, a: &Vec<f32>, boxes: Boxes<'_, Self>, Shape { rows, size }: Shape) -> Done {
        assert_eq!(x.len(), rows * size);
        for (at, x) in x.iter_mut().enumerate() {
            let from = boxes.domain.buffer[at / size] as usize * size + at % size;
            *x = if a[at] >= 0.0 { boxes.lower[from] } else { boxes.upper[from] };
        }
        Ok(())
    }

    #[track_caller]
    fn rise(&self, best: &mut Vec<f32>, better: &mut Vec<f32>, minimum: &Vec<f32>) -> Done {
        assert_eq!((best.len(), better.len()), (minimum.len(), minimum.len()));
        for ((best, better), minimum) in best.iter_mut().zip(better).zip(minimum) {
            *better = if minimum > best { 1.0 } else { 0.0 };
            *best = larger(*minimum, *best);
        }
        Ok(())
    }

    #[track_caller]
    fn keep_rows(&self, best: &mut Vec<f32>, now: &Vec<f32>, better: &Vec<f32>, Shape { rows, size }: Shape) -> Done {
        for r in (0..rows).filter(|r| better[*r] > 0.0) {
            best[r * size..(r + 1) * size].copy_from_slice(&now[r * size..(r + 1) * size]);
        }
        Ok(())
    }

    #[track_caller]
    fn keep_entries(&self, best: &mut Vec<f32>, now: &Vec<f32>, better: &Vec<f32>, entries: Entries<'_, Self>) -> Done {
        for (e, _) in entries.row.buffer.iter().enumerate().filter(|(_, r)| better[**r as usize] > 0.0) {
            best[e] = now[e];
        }
        Ok(())
    }

    #[track_caller]
    fn alpha_step(
        &self,
        alpha: &mut Vec<f32>,
        (first, second): (&mut Vec<f32>, &mut Vec<f32>),
        a: &Vec<f32>,
        z: &Vec<f32>,
        lines: Lines<'_, Self>,
        step: Step,
        Shape { rows, size }: Shape,
    ) -> Done {
        assert_eq!(alpha.len(), rows * size);
        for (at, alpha) in alpha.iter_mut().enumerate() {
            let line = lines.domain.buffer[at / size] as usize * size + at % size;
            if is_fixed(lines.above[line]) {
                continue;
            }
            let gradient = larger(a[at], 0.0) * z[at];
            let moved = *alpha + step.rate * direction(gradient, &mut first[at], &mut second[at], step);
            // Adding this constant leaves 12 bits behind the point.
            const SHIFT: f32 = 3072.0;
            *alpha = (smaller(larger(moved, 0.0), 1.0) + SHIFT) - SHIFT;
        }
        Ok(())
    }

    #[track_caller]
    fn beta_step(
        &self,
        beta: &mut Vec<f32>,
        (first, second): (&mut Vec<f32>, &mut Vec<f32>),
        z: &Vec<f32>,
        entries: Entries<'_, Self>,
        step: Step,
        shape: Shape,
    ) -> Done {
        for (e, beta) in beta.iter_mut().enumerate() {
            let (r, j, sign) = (entries.row.buffer[e], entries.neuron.buffer[e], entries.sign[e]);
            let gradient = -sign * z[r as usize * shape.size + j as usize];
            let moved = *beta * sign + step.rate * direction(gradient, &mut first[e], &mut second[e], step);
            *beta = sign * f32::from_bits(larger(moved, 0.0).to_bits() & !0xff);
        }
        Ok(())
    }
}
