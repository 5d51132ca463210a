//! Reverse rules of `BatchNormalization` and `Softmax`.

use super::{Application, Parts};
use crate::eval::Number;
use crate::eval::normalisation::axis_extents;

impl<N: Number> Application<'_, N> {
    /// With $r = 1 / \sqrt{\text{variance} + \epsilon}$ per channel:
    /// $\bar x = \text{scale}\, r\, \bar y$, and sums of $\bar y$ and $\bar y (x - \text{mean})$.
    pub(super) fn batch_normalization(&self, cotangent: &[N], epsilon: f32) -> Parts<N> {
        let (x, shape) = (self.real(0), self.value.shape());
        let [scale, mean, variance] = [1, 3, 4].map(|position| self.real(position).data());
        let (channels, positions) = (shape[1], shape[2..].iter().product::<usize>());
        let one = N::of(1.0);
        let roots: Vec<N> = variance.iter().map(|v| one / (*v + N::of(f64::from(epsilon))).sqrt()).collect();
        let mut x_part = cotangent.to_vec();
        // Sums of the cotangent, and of the cotangent times the centred input.
        let (mut sums, mut moments) = (vec![N::default(); channels], vec![N::default(); channels]);
        if positions > 0 {
            let inputs = x.data().chunks_exact(positions);
            for (i, (part, x)) in x_part.chunks_exact_mut(positions).zip(inputs).enumerate() {
                let c = i % channels;
                let factor = scale[c] * roots[c];
                for (g, x) in part.iter_mut().zip(x) {
                    sums[c] += *g;
                    moments[c] += *g * (*x - mean[c]);
                    *g = factor * *g;
                }
            }
        }
        let per_channel = |f: &dyn Fn(usize) -> N| (0..channels).map(f).collect::<Vec<N>>();
        vec![
            self.part(0, || x_part),
            self.part(1, || per_channel(&|c| moments[c] * roots[c])),
            self.part(2, || sums.clone()),
            self.part(3, || per_channel(&|c| -(scale[c] * roots[c] * sums[c]))),
            self.part(4, || per_channel(&|c| N::of(-0.5) * scale[c] * moments[c] * roots[c] * roots[c] * roots[c])),
        ]
    }

    /// $\bar x_i = y_i (\bar y_i - \sum_j \bar y_j y_j)$.
    pub(super) fn softmax(&self, mut cotangent: Vec<N>, axis: usize) -> Vec<N> {
        let y = self.value.data();
        let (outer, length, stride) = axis_extents(self.value.shape(), axis);
        for o in 0..outer {
            for s in 0..stride {
                let at = |i: usize| (o * length + i) * stride + s;
                let mean = (0..length).fold(N::default(), |sum, i| sum + cotangent[at(i)] * y[at(i)]);
                (0..length).for_each(|i| cotangent[at(i)] = y[at(i)] * (cotangent[at(i)] - mean));
            }
        }
        cotangent
    }
}
