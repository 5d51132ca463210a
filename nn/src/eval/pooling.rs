//! `MaxPool` and `AveragePool`.

use super::number::Number;
use super::windows::Patches;
use crate::op::Window;

/// Maximum over windows, channel by channel; padding never wins.
pub(super) fn max_pool<N: Number>(patches: &Patches, x: &[N]) -> Vec<N> {
    if patches.size == 0 {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(x.len() / patches.size * patches.positions);
    let least = N::of(f64::NEG_INFINITY);
    for channel in x.chunks_exact(patches.size) {
        out.extend((0..patches.positions).map(|p| patches.maximum(p, channel).map_or(least, |(_, v)| v)));
    }
    out
}

/// The number of entries that each window's mean is over.
///
/// With `count_include_pad` that is every tap inside the padded channel; taps beyond it, which
/// rounding the output extent up brings in, never count.
pub(crate) fn divisors(window: &Window, extents: &[usize], positions: &[usize], count_include_pad: bool) -> Vec<f64> {
    let (counted, extents) = if count_include_pad {
        let padded = (0..extents.len()).map(|a| extents[a] + window.pads_begin[a] + window.pads_end[a]).collect();
        (Window { pads_begin: vec![0; extents.len()], ..window.clone() }, padded)
    } else {
        (window.clone(), extents.to_vec())
    };
    let patches = Patches::new(&counted, &extents, positions);
    let mut counts = vec![0.0; patches.positions];
    patches.for_each(|p, _| counts[p] += 1.0);
    counts
}

/// Mean over windows, channel by channel.
pub(super) fn average_pool<N: Number>(patches: &Patches, divisors: &[f64], x: &[N]) -> Vec<N> {
    if patches.size == 0 {
        return Vec::new();
    }
    let means = |channel: &[N]| {
        let mut sums = vec![N::default(); patches.positions];
        patches.for_each(|p, i| sums[p] += channel[i]);
        sums.iter_mut().zip(divisors).for_each(|(s, d)| *s = *s / N::of(*d));
        sums
    };
    x.chunks_exact(patches.size).flat_map(means).collect()
}
