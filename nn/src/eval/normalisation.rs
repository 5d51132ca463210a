//! `BatchNormalization` and `Softmax`.

use super::number::Number;
use secateur_linalg::Tensor;

/// $\text{scale} \cdot (x - \text{mean}) / \sqrt{\text{variance} + \epsilon} + \text{shift}$ per channel.
pub(super) fn batch_normalization<N: Number>(
    x: &Tensor<N>,
    [scale, shift, mean, variance]: [&Tensor<N>; 4],
    epsilon: f32,
) -> Tensor<N> {
    let shape = x.shape().to_vec();
    let positions: usize = shape[2..].iter().product();
    let mut out = x.data().to_vec();
    if positions > 0 {
        for (i, channel) in out.chunks_exact_mut(positions).enumerate() {
            let c = i % shape[1];
            let factor = scale.data()[c] / (variance.data()[c] + N::of(f64::from(epsilon))).sqrt();
            let (mean, shift) = (mean.data()[c], shift.data()[c]);
            channel.iter_mut().for_each(|v| *v = (*v - mean) * factor + shift);
        }
    }
    Tensor::new(shape, out)
}

/// An axis of a tensor: how many slices lie outside it, its length, and its stride.
pub(crate) fn axis_extents(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}

/// $e^{x_i - \max x} / \sum_j e^{x_j - \max x}$ along one axis.
pub(super) fn softmax<N: Number>(x: &Tensor<N>, axis: usize) -> Tensor<N> {
    let (outer, length, stride) = axis_extents(x.shape(), axis);
    let mut out = x.data().to_vec();
    for o in 0..outer {
        for s in 0..stride {
            let at = |i: usize| (o * length + i) * stride + s;
            let largest = (0..length).map(|i| out[at(i)]).reduce(|a, b| if b.exceeds(a) { b } else { a });
            let Some(largest) = largest else { continue };
            let mut sum = N::default();
            for i in 0..length {
                let e = (out[at(i)] - largest).exp();
                out[at(i)] = e;
                sum += e;
            }
            (0..length).for_each(|i| out[at(i)] = out[at(i)] / sum);
        }
    }
    Tensor::new(x.shape().to_vec(), out)
}
