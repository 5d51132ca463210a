//! Sliding windows in any number of spatial axes.

use crate::op::Window;

/// Marks a tap that lies in the padding.
pub(crate) const OUTSIDE: usize = usize::MAX;

/// Which entry of a channel each tap of each window touches.
#[derive(Clone, Debug)]
pub(crate) struct Patches {
    /// Taps of the kernel.
    pub(crate) taps: usize,
    /// Windows.
    pub(crate) positions: usize,
    /// Entries of a channel.
    pub(crate) size: usize,
    /// Entry of the channel for tap $t$ of window $p$ at `t * positions + p`, or [`OUTSIDE`].
    pub(crate) table: Vec<usize>,
}

impl Patches {
    /// The windows at `positions` over a channel of the given `extents`.
    pub(crate) fn new(window: &Window, extents: &[usize], positions: &[usize]) -> Self {
        let taps = window.kernel.iter().product();
        let count = positions.iter().product();
        let mut table = vec![0; taps * count];
        for axis in 0..extents.len() {
            // Entry of this axis for (tap, position), combined with the axes before it.
            let (inner_taps, inner_positions): (usize, usize) =
                (window.kernel[axis + 1..].iter().product(), positions[axis + 1..].iter().product());
            for t in 0..taps {
                let tap = t / inner_taps % window.kernel[axis];
                for p in 0..count {
                    let position = p / inner_positions % positions[axis];
                    let entry = &mut table[t * count + p];
                    let place = position * window.strides[axis] + tap * window.dilations[axis];
                    let inside = place.checked_sub(window.pads_begin[axis]).filter(|i| *i < extents[axis]);
                    *entry = match inside {
                        Some(i) if *entry != OUTSIDE => *entry * extents[axis] + i,
                        _ => OUTSIDE,
                    };
                }
            }
        }
        Self { taps, positions: count, size: extents.iter().product(), table }
    }

    /// Whether every window is one tap on the entry of the same number.
    pub(crate) fn is_identity(&self) -> bool {
        self.taps == 1 && self.positions == self.size && self.table.iter().enumerate().all(|(p, i)| p == *i)
    }

    /// The entries that tap `t` touches, window by window.
    pub(crate) fn tap(&self, t: usize) -> &[usize] {
        &self.table[t * self.positions..(t + 1) * self.positions]
    }

    /// Calls `f(position, entry)` for all taps inside the channel.
    pub(crate) fn for_each(&self, mut f: impl FnMut(usize, usize)) {
        for t in 0..self.taps {
            self.tap(t).iter().enumerate().filter(|(_, i)| **i != OUTSIDE).for_each(|(p, i)| f(p, *i));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_of_a_padded_dilated_row() {
        let window =
            Window { kernel: vec![2], strides: vec![2], pads_begin: vec![1], pads_end: vec![0], dilations: vec![2] };
        let patches = Patches::new(&window, &[4], &[2]);
        assert_eq!(patches.tap(0), [OUTSIDE, 1]);
        assert_eq!(patches.tap(1), [1, 3]);
    }

    #[test]
    fn taps_of_a_plane() {
        let window = Window {
            kernel: vec![1, 2],
            strides: vec![1, 1],
            pads_begin: vec![0, 0],
            pads_end: vec![1, 0],
            dilations: vec![1, 1],
        };
        let patches = Patches::new(&window, &[1, 3], &[2, 2]);
        assert_eq!(patches.tap(0), [0, 1, OUTSIDE, OUTSIDE]);
        assert_eq!(patches.tap(1), [1, 2, OUTSIDE, OUTSIDE]);
    }
}
