//! Batch normalisation by the moments of the batch itself.
//!
//! $$ \hat x = (x - \mu)\,r, \quad y = \gamma \hat x + \beta, \qquad
//! \mu = \tfrac1m \sum x, \quad r = \Big(\tfrac1m \sum (x - \mu)^2 + \epsilon\Big)^{-1/2}, $$
//!
//! per channel, over all samples and positions of the batch; and back
//!
//! $$ \bar x = \gamma r \Big( \bar y - \tfrac1m \sum \bar y - \hat x\, \tfrac1m \sum \bar y \hat x \Big), \quad
//! \bar\gamma = \sum \bar y \hat x, \quad \bar\beta = \sum \bar y. $$
//!
//! # Shapes
//! `N × C × …`; every sum is over all axes but the second.
//!
//! # Source
//! Ioffe and Szegedy 2015; the running variance is the unbiased one, as in PyTorch.

/// Share of the batch in the running statistics.
pub(super) const MOMENTUM: f64 = 0.1;

/// Partial sums that a loop keeps side by side, so that it vectorises.
const WIDTH: usize = 16;

/// Two sums per channel.
pub(super) type Sums = Vec<[f64; 2]>;

/// What every lane needs to know of the batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments {
    /// $\mu$.
    pub(super) mean: Vec<f32>,
    /// Biased variance.
    pub(super) variance: Vec<f64>,
    /// $r$.
    pub(super) root: Vec<f32>,
    /// $m$, values per channel.
    pub(super) count: usize,
}

impl Moments {
    /// From $\sum x$ and $\sum x^2$ of the whole batch.
    pub(super) fn new(sums: &Sums, count: usize, epsilon: f32) -> Self {
        let m = count as f64;
        let mean: Vec<f64> = sums.iter().map(|s| s[0] / m).collect();
        let variance: Vec<f64> = sums.iter().zip(&mean).map(|(s, mean)| (s[1] / m - mean * mean).max(0.0)).collect();
        let root = variance.iter().map(|v| (1.0 / (v + f64::from(epsilon)).sqrt()) as f32).collect();
        Self { mean: mean.iter().map(|v| *v as f32).collect(), variance, root, count }
    }

    /// The running statistics after this batch.
    pub(super) fn update(&self, mean: &mut [f32], variance: &mut [f32]) {
        let blend = |old: &mut f32, new: f64| *old = ((1.0 - MOMENTUM) * f64::from(*old) + MOMENTUM * new) as f32;
        let unbiased = self.count as f64 / (self.count as f64 - 1.0);
        mean.iter_mut().zip(&self.mean).for_each(|(old, new)| blend(old, f64::from(*new)));
        variance.iter_mut().zip(&self.variance).for_each(|(old, new)| blend(old, new * unbiased));
    }
}

/// Adds the sums of two values of every entry to those of its channel.
fn accumulate(channels: usize, positions: usize, entries: usize, f: impl Fn(usize, usize) -> [f64; 2]) -> Sums {
    let mut sums = vec![[0.0; 2]; channels];
    if positions == 1 {
        // Channels lie side by side: the loop over them vectorises.
        for row in (0..entries).step_by(channels.max(1)) {
            for (c, sum) in sums.iter_mut().enumerate() {
                let [a, b] = f(row + c, c);
                *sum = [sum[0] + a, sum[1] + b];
            }
        }
        return sums;
    }
    for (plane, start) in (0..entries).step_by(positions.max(1)).enumerate() {
        let c = plane % channels;
        let mut parts = [[0.0; 2]; WIDTH];
        for block in (0..positions).step_by(WIDTH) {
            for (lane, part) in parts.iter_mut().take(positions - block).enumerate() {
                let [a, b] = f(start + block + lane, c);
                *part = [part[0] + a, part[1] + b];
            }
        }
        for part in parts {
            sums[c] = [sums[c][0] + part[0], sums[c][1] + part[1]];
        }
    }
    sums
}

/// $\sum x$ and $\sum x^2$ of some samples.
pub(super) fn sums(x: &[f32], channels: usize, positions: usize) -> Sums {
    accumulate(channels, positions, x.len(), |i, _| {
        let v = f64::from(x[i]);
        [v, v * v]
    })
}

/// $\sum \bar y$ and $\sum \bar y \hat x$ of some samples.
pub(super) fn backward_sums(x: &[f32], cotangent: &[f32], moments: &Moments, positions: usize) -> Sums {
    let cotangent = &cotangent[..x.len()];
    accumulate(moments.mean.len(), positions, x.len(), |i, c| {
        let (g, hat) = (f64::from(cotangent[i]), (x[i] - moments.mean[c]) * moments.root[c]);
        [g, g * f64::from(hat)]
    })
}

/// $y$ of some samples, in place of what `y` holds.
pub(super) fn normalise(x: &[f32], moments: &Moments, [scale, shift]: [&[f32]; 2], positions: usize, y: &mut [f32]) {
    let channels = moments.mean.len();
    let planes = y.chunks_exact_mut(positions.max(1)).zip(x.chunks_exact(positions.max(1)));
    for (plane, (y, x)) in planes.enumerate() {
        let c = plane % channels;
        let (mean, factor, shift) = (moments.mean[c], moments.root[c] * scale[c], shift[c]);
        y.iter_mut().zip(x).for_each(|(y, x)| *y = (x - mean) * factor + shift);
    }
}

/// $\bar x$ of some samples, in place of $\bar y$, from the sums over the whole batch.
pub(super) fn pull_back(
    x: &[f32],
    cotangent: &mut [f32],
    moments: &Moments,
    scale: &[f32],
    sums: &Sums,
    positions: usize,
) {
    let channels = moments.mean.len();
    let m = moments.count as f64;
    for (plane, (g, x)) in
        cotangent.chunks_exact_mut(positions.max(1)).zip(x.chunks_exact(positions.max(1))).enumerate()
    {
        let c = plane % channels;
        let (mean, root) = (moments.mean[c], moments.root[c]);
        let (first, second) = ((sums[c][0] / m) as f32, (sums[c][1] / m) as f32);
        let factor = scale[c] * root;
        g.iter_mut().zip(x).for_each(|(g, x)| *g = factor * (*g - first - (x - mean) * root * second));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normalised_batch_has_mean_zero_and_variance_one() {
        let x: Vec<f32> = (0..40).map(|i| ((i * 7) % 11) as f32 * 0.5 + 3.0).collect();
        for positions in [1, 4, 20] {
            let channels = 2;
            let moments = Moments::new(&sums(&x, channels, positions), x.len() / channels, 0.0);
            let mut y = vec![0.0; x.len()];
            normalise(&x, &moments, [&[1.0, 1.0], &[0.0, 0.0]], positions, &mut y);
            for [first, second] in sums(&y, channels, positions) {
                // Sums of 20 numbers near 1 in f32.
                assert!(first.abs() < 1e-4 && (second - 20.0).abs() < 1e-4, "{first} {second}");
            }
        }
    }

    #[test]
    fn the_gradient_is_a_derivative() {
        let x: Vec<f32> = (0..12).map(|i| ((i * 5) % 7) as f32 * 0.3).collect();
        let weight: Vec<f32> = (0..12).map(|i| ((i * 3) % 5) as f32 - 1.7).collect();
        let (scale, shift) = ([1.5_f32, -0.5], [0.1_f32, 0.2]);
        let value = |x: &[f32]| -> f64 {
            let moments = Moments::new(&sums(x, 2, 3), 6, 1e-2);
            let mut y = vec![0.0; x.len()];
            normalise(x, &moments, [&scale, &shift], 3, &mut y);
            y.iter().zip(&weight).map(|(a, b)| f64::from(a * b)).sum()
        };
        let moments = Moments::new(&sums(&x, 2, 3), 6, 1e-2);
        let totals = backward_sums(&x, &weight, &moments, 3);
        let mut gradient = weight.clone();
        pull_back(&x, &mut gradient, &moments, &scale, &totals, 3);
        for i in 0..12 {
            let moved = |step: f32| {
                let mut x = x.clone();
                x[i] += step;
                value(&x)
            };
            let expected = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            // A central difference in f32: truncation and rounding near 1e-3.
            assert!((f64::from(gradient[i]) - expected).abs() < 5e-3, "{} {expected}", gradient[i]);
        }
    }
}
