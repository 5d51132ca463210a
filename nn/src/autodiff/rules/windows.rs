//! Reverse rules of convolutions and pools.

use super::{Application, Parts};
use crate::eval::Number;
use crate::eval::convolution::{Correlation, Scratch, channel_sums};
use crate::eval::pooling::divisors;
use crate::eval::windows::Patches;
use crate::op::Window;

impl<N: Number> Application<'_, N> {
    fn bias(&self, cotangent: &[N]) -> Vec<N> {
        let shape = self.value.shape();
        channel_sums(cotangent, shape[1], shape[2..].iter().product())
    }

    pub(super) fn conv(&self, cotangent: &[N], window: &Window, groups: usize) -> Parts<N> {
        let (x, w) = (self.real(0), self.real(1));
        let correlation = Correlation::new(window, groups, x.shape(), self.value.shape());
        vec![
            self.part(0, || correlation.adjoint(w.data(), cotangent)),
            self.part(1, || correlation.weight_adjoint(x.data(), cotangent, &mut Scratch::default())),
            self.part(2, || self.bias(cotangent)),
        ]
    }

    /// The forward map is a correlation's adjoint, so argument and cotangent change places.
    pub(super) fn conv_transpose(&self, cotangent: &[N], window: &Window, groups: usize) -> Parts<N> {
        let (x, w) = (self.real(0), self.real(1));
        let correlation = Correlation::new(window, groups, self.value.shape(), x.shape());
        vec![
            self.part(0, || correlation.forward(w.data(), cotangent)),
            self.part(1, || correlation.weight_adjoint(cotangent, x.data(), &mut Scratch::default())),
            self.part(2, || self.bias(cotangent)),
        ]
    }

    /// All of a window's cotangent goes to the entry that attains its maximum first.
    pub(super) fn max_pool(&self, cotangent: &[N], window: &Window) -> Vec<N> {
        let x = self.real(0);
        let patches = Patches::new(window, &x.shape()[2..], &self.value.shape()[2..]);
        let mut out = vec![N::default(); x.len()];
        if patches.size == 0 || patches.positions == 0 {
            return out;
        }
        let channels = out.chunks_exact_mut(patches.size).zip(x.data().chunks_exact(patches.size));
        for ((out, channel), g) in channels.zip(cotangent.chunks_exact(patches.positions)) {
            for (p, g) in g.iter().enumerate() {
                if let Some((i, _)) = patches.maximum(p, channel) {
                    out[i] += *g;
                }
            }
        }
        out
    }

    pub(super) fn average_pool(&self, cotangent: &[N], window: &Window, count_include_pad: bool) -> Vec<N> {
        let (x, shape) = (self.real(0), self.value.shape());
        let patches = Patches::new(window, &x.shape()[2..], &shape[2..]);
        let divisors = divisors(window, &x.shape()[2..], &shape[2..], count_include_pad);
        let mut out = vec![N::default(); x.len()];
        if patches.size == 0 || patches.positions == 0 {
            return out;
        }
        for (out, g) in out.chunks_exact_mut(patches.size).zip(cotangent.chunks_exact(patches.positions)) {
            let shares: Vec<N> = g.iter().zip(&divisors).map(|(g, d)| *g / N::of(*d)).collect();
            patches.for_each(|p, i| out[i] += shares[p]);
        }
        out
    }
}
