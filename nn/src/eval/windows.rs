//! Sliding windows in any number of spatial axes.

use super::number::Number;
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

/// Windows from `position` on whose tap touches entries from `entry` on, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) position: usize,
    pub(crate) entry: usize,
    pub(crate) length: usize,
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

    /// The entry with the largest value of a window, the first of equals, and that value; `None` for a window that lies in
    /// the padding.
    pub(crate) fn maximum<N: Number>(&self, position: usize, channel: &[N]) -> Option<(usize, N)> {
        let mut best: Option<(usize, N)> = None;
        for entry in self.table[position..].iter().step_by(self.positions) {
            if *entry != OUTSIDE && best.is_none_or(|(_, value)| channel[*entry].exceeds(value)) {
                best = Some((*entry, channel[*entry]));
            }
        }
        best
    }

    /// For each tap, the stretches of windows whose entries lie side by side.
    pub(crate) fn runs(&self) -> Vec<Vec<Run>> {
        let of = |t: usize| {
            let mut runs: Vec<Run> = Vec::new();
            for (position, entry) in self.tap(t).iter().enumerate().filter(|(_, entry)| **entry != OUTSIDE) {
                match runs.last_mut() {
                    Some(run) if run.position + run.length == position && run.entry + run.length == *entry => {
                        run.length += 1;
                    }
                    _ => runs.push(Run { position, entry: *entry, length: 1 }),
                }
            }
            runs
        };
        (0..self.taps).map(of).collect()
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
        let run = |position, entry| Run { position, entry, length: 1 };
        assert_eq!(patches.runs(), [vec![run(1, 1)], vec![run(0, 1), run(1, 3)]]);
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
        let run = |entry| vec![Run { position: 0, entry, length: 2 }];
        assert_eq!(patches.runs(), [run(0), run(1)]);
    }
}
