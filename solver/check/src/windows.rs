//! Sliding windows: `MaxPool` and `AveragePool`, and the taps that convolutions share with them.

use crate::error::Fault;
use crate::tensor::DyadicTensor;
use dashu_int::IBig;
use secateur_nn::op::Window;

/// For each tap of the kernel, the pairs (window, entry of the channel) where the tap is inside the channel.
///
/// # Shapes
/// `extents` and `positions` hold one number per spatial axis: entries of a channel, and windows.
pub fn taps(window: &Window, extents: &[usize], positions: &[usize]) -> Vec<Vec<(usize, usize)>> {
    let mut taps = vec![vec![(0, 0)]];
    for axis in 0..extents.len() {
        let on_axis: Vec<Vec<(usize, usize)>> = (0..window.kernel[axis])
            .map(|tap| {
                let place = |p: usize| p * window.strides[axis] + tap * window.dilations[axis];
                (0..positions[axis])
                    .filter_map(|p| Some((p, place(p).checked_sub(window.pads_begin[axis])?)))
                    .filter(|(_, entry)| *entry < extents[axis])
                    .collect()
            })
            .collect();
        taps = taps
            .iter()
            .flat_map(|outer: &Vec<(usize, usize)>| {
                on_axis.iter().map(move |inner| {
                    outer
                        .iter()
                        .flat_map(|(p, i)| {
                            inner.iter().map(move |(q, j)| (p * positions[axis] + q, i * extents[axis] + j))
                        })
                        .collect()
                })
            })
            .collect();
    }
    taps
}

/// How many entries each window counts.
pub fn counts(window: &Window, extents: &[usize], positions: &[usize], include_pad: bool) -> Vec<u64> {
    let counted = if include_pad {
        let padded: Vec<usize> =
            (0..extents.len()).map(|a| extents[a] + window.pads_begin[a] + window.pads_end[a]).collect();
        taps(&Window { pads_begin: vec![0; extents.len()], ..window.clone() }, &padded, positions)
    } else {
        taps(window, extents, positions)
    };
    let mut counts = vec![0; positions.iter().product()];
    counted.iter().flatten().for_each(|(p, _)| counts[*p] += 1);
    counts
}

/// Maximum over windows; padding never wins.
///
/// # Errors
/// [`Fault::Domain`] at a window that holds padding only.
pub fn max_pool(x: &DyadicTensor, window: &Window, shape: &[usize]) -> Result<DyadicTensor, Fault> {
    let (extents, positions) = (&x.shape()[2..], &shape[2..]);
    let taps = taps(window, extents, positions);
    let (size, count): (usize, usize) = (extents.iter().product(), positions.iter().product());
    let maxima = |ends: &[IBig]| -> Result<Vec<IBig>, Fault> {
        let mut best: Vec<Option<&IBig>> = vec![None; shape.iter().product()];
        for channel in 0..shape[0] * shape[1] {
            for (p, i) in taps.iter().flatten() {
                let (best, entry) = (&mut best[channel * count + p], &ends[channel * size + i]);
                *best = Some(best.map_or(entry, |best| best.max(entry)));
            }
        }
        best.into_iter().enumerate().map(|(i, best)| best.cloned().ok_or(Fault::Domain(i))).collect()
    };
    let upper = if x.is_exact() { None } else { Some(maxima(x.upper())?) };
    Ok(DyadicTensor::new(shape.to_vec(), x.exponent(), maxima(x.lower())?, upper))
}

/// Mean over windows: exact where all counts are powers of two, else with `bits` more bits.
///
/// With `count_include_pad` a mean is over every tap inside the padded channel; taps beyond it, which rounding the
/// number of windows up brings in, never count.
///
/// # Errors
/// [`Fault::Domain`] at a window that counts nothing.
pub fn average_pool(
    x: &DyadicTensor,
    window: &Window,
    count_include_pad: bool,
    shape: &[usize],
    bits: usize,
) -> Result<DyadicTensor, Fault> {
    let (extents, positions) = (&x.shape()[2..], &shape[2..]);
    let inside = taps(window, extents, positions);
    let (size, count): (usize, usize) = (extents.iter().product(), positions.iter().product());
    let channels = shape[0] * shape[1];
    let sums = |ends: &[IBig]| {
        let mut sums = vec![IBig::ZERO; channels * count];
        for channel in 0..channels {
            inside.iter().flatten().for_each(|(p, i)| sums[channel * count + p] += &ends[channel * size + i]);
        }
        sums
    };
    let divisors = counts(window, extents, positions, count_include_pad);
    if let Some(empty) = divisors.iter().position(|d| *d == 0) {
        return Err(Fault::Domain(empty));
    }
    let upper = (!x.is_exact()).then(|| sums(x.upper()));
    let sums = DyadicTensor::new(shape.to_vec(), x.exponent(), sums(x.lower()), upper);
    Ok(sums.divided(&divisors.repeat(channels), bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_of_a_padded_strided_plane() {
        let window = Window {
            kernel: vec![1, 2],
            strides: vec![1, 2],
            pads_begin: vec![0, 1],
            pads_end: vec![0, 0],
            dilations: vec![1, 2],
        };
        // One row of four entries, two windows of taps at (-1, 1) and (1, 3).
        assert_eq!(taps(&window, &[1, 4], &[1, 2]), [vec![(1, 1)], vec![(0, 1), (1, 3)]]);
        // Two rows.
        assert_eq!(taps(&window, &[2, 4], &[2, 2])[0], [(1, 1), (3, 5)]);
    }
}
