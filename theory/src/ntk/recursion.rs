//! Covariance and kernel of one pair of inputs, layer by layer.
//!
//! With $K$ the covariance (NNGP) and $\Theta$ the tangent kernel, by type $u$ and pair of positions, and
//! $V = \mathrm E (M w)^2$ the second moment of the weights, $W$ the density:
//!
//! $$ \text{affine:}\quad K'_v = \tfrac{s^2}{n} \sum_{u} V_{uv} K_u + b^2, \qquad
//! \Theta'_v = \tfrac{s^2}{n} \sum_{u} \big( W_{uv} K_u + V_{uv} \Theta_u \big) + b^2, $$
//! $$ \text{activation:}\quad K' = \mathrm E\,\sigma\sigma', \qquad \Theta' = \mathrm E\,\dot\sigma\dot\sigma'\; \Theta. $$
//!
//! # Source
//! Jacot, Gabriel, Hongler 2018, and for convolutions Arora et al. 2019, section 4; the factors $W$ and $V$ of sparse
//! layers are derived in `proofs-notes/ntk/sparse-layers.md`.

use super::activation::Activation;
use super::plan::{Affine, Mean, OUTSIDE, Plan, Step, Windows};

/// The covariances of one pair of inputs.
///
/// # Shapes
/// Both arrays hold, type by type, one number per pair of positions (all pairs, or those of equal positions).
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// $K$.
    pub nngp: Vec<f64>,
    /// $\Theta$.
    pub ntk: Vec<f64>,
    types: usize,
    positions: usize,
    full: bool,
}

/// The variances in front of each activation, by type and position, for the two inputs of a pair.
pub enum Variances<'a> {
    /// Both inputs are the same: take them from its covariances, and keep them.
    Record(&'a mut Vec<Vec<f64>>),
    /// Those that were recorded of either input, in the order of activations.
    Replay(std::slice::Iter<'a, Vec<f64>>, std::slice::Iter<'a, Vec<f64>>),
}

impl Block {
    /// The products of two inputs' numbers, and no kernel yet.
    #[track_caller]
    pub fn input(plan: &Plan, x: &[f64], y: &[f64]) -> Self {
        assert_eq!((x.len(), y.len()), (plan.input_size(), plan.input_size()), "samples have the input's size");
        let types = plan.input[0];
        let positions = x.len() / types;
        let full = plan.full && positions > 1;
        let nngp: Vec<f64> = if full {
            let channels = x.chunks_exact(positions).zip(y.chunks_exact(positions));
            channels.flat_map(|(x, y)| x.iter().flat_map(|a| y.iter().map(move |b| a * b))).collect()
        } else {
            x.iter().zip(y).map(|(a, b)| a * b).collect()
        };
        Self { ntk: vec![0.0; nngp.len()], nngp, types, positions, full }
    }

    /// The covariances behind some layers.
    pub(crate) fn through(mut self, steps: &[Step], variances: &mut Variances<'_>) -> Self {
        for step in steps {
            self = match step {
                Step::Affine(affine) => self.affine(affine),
                Step::Activation(activation) => self.activation(*activation, variances),
                Step::Flatten => self.flatten(),
                Step::Pool(mean) => self.pool(mean),
                Step::Residual(branch) => self.clone().through(branch, variances).plus(&self),
            };
        }
        self
    }

    /// Covariance and kernel of the output, as means over its types.
    pub(crate) fn output(&self) -> (f64, f64) {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        (mean(&self.nngp), mean(&self.ntk))
    }

    fn affine(&self, affine: &Affine) -> Self {
        let Affine { forward, own, bias, types, windows, .. } = affine;
        let mut nngp = self.gather(&self.nngp, forward, *types, windows);
        let mut ntk = self.gather(&self.nngp, own, *types, windows);
        // In front of the first layer there is no kernel.
        if self.ntk.iter().any(|value| *value != 0.0) {
            let below = self.gather(&self.ntk, forward, *types, windows);
            ntk.iter_mut().zip(below).for_each(|(sum, part)| *sum += part);
        }
        nngp.iter_mut().chain(&mut ntk).for_each(|value| *value += bias);
        Self { nngp, ntk, types: *types, positions: windows.positions(), full: self.full }
    }

    /// Sums over types and taps with coefficients by `(type, tap)` and out type.
    fn gather(&self, values: &[f64], coefficients: &[f64], types: usize, windows: &Windows) -> Vec<f64> {
        let (from, to) = (self.pairs(self.positions), self.pairs(windows.positions()));
        let mut out = vec![0.0; types * to];
        for (input, row) in coefficients.chunks_exact(types).enumerate() {
            let values = &values[input / windows.taps * from..][..from];
            if to == 1 && from == 1 && windows.taps == 1 {
                out.iter_mut().zip(row).for_each(|(sum, coefficient)| *sum += coefficient * values[0]);
                continue;
            }
            let tap = windows.tap(input % windows.taps);
            for (out, coefficient) in out.chunks_exact_mut(to).zip(row).filter(|(_, c)| **c != 0.0) {
                if self.full {
                    let rows = out.chunks_exact_mut(tap.len()).zip(tap).filter(|(_, row)| **row != OUTSIDE);
                    for (out, row) in rows {
                        let values = &values[row * self.positions..][..self.positions];
                        let places = out.iter_mut().zip(tap).filter(|(_, col)| **col != OUTSIDE);
                        places.for_each(|(sum, col)| *sum += coefficient * values[*col]);
                    }
                } else {
                    let places = out.iter_mut().zip(tap).filter(|(_, place)| **place != OUTSIDE);
                    places.for_each(|(sum, place)| *sum += coefficient * values[*place]);
                }
            }
        }
        out
    }

    fn activation(mut self, activation: Activation, variances: &mut Variances<'_>) -> Self {
        let own;
        let (left, right): (&[f64], &[f64]) = match variances {
            Variances::Record(kept) => {
                own = self.diagonal();
                kept.push(own.clone());
                (&own, &own)
            }
            Variances::Replay(left, right) => {
                let next = left.next().zip(right.next());
                let (left, right) = next.expect("every activation of the same plan was recorded");
                (left, right)
            }
        };
        let (pairs, positions, full) = (self.pairs(self.positions), self.positions, self.full);
        for (place, (nngp, ntk)) in self.nngp.iter_mut().zip(&mut self.ntk).enumerate() {
            let (kind, pair) = (place / pairs, place % pairs);
            let (p, q) = if full { (pair / positions, pair % positions) } else { (pair, pair) };
            let dual = activation.dual(left[kind * positions + p], right[kind * positions + q], *nngp);
            (*nngp, *ntk) = (dual.value, dual.slope * *ntk);
        }
        self
    }

    /// Variances by type and position.
    fn diagonal(&self) -> Vec<f64> {
        if !self.full {
            return self.nngp.clone();
        }
        let step = self.positions + 1;
        self.nngp.chunks_exact(self.positions * self.positions).flat_map(|c| c.iter().step_by(step)).copied().collect()
    }

    fn flatten(self) -> Self {
        let types = self.types * self.positions;
        let (positions, full) = (1, false);
        if !self.full {
            return Self { types, positions, full, ..self };
        }
        let equal = |values: &[f64]| -> Vec<f64> {
            let channels = values.chunks_exact(self.positions * self.positions);
            channels.flat_map(|c| c.iter().step_by(self.positions + 1)).copied().collect()
        };
        Self { nngp: equal(&self.nngp), ntk: equal(&self.ntk), types, positions, full }
    }

    /// Means over pairs of windows; only those of equal windows where no later pool needs more.
    fn pool(&self, mean: &Mean) -> Self {
        let Mean { windows, full, .. } = mean;
        let positions = windows.positions();
        let full = *full && positions > 1;
        let pool = |values: &[f64]| match self.full {
            // One position: a pool has nothing to do.
            false => values.to_vec(),
            true => values
                .chunks_exact(self.positions * self.positions)
                .flat_map(|channel| pooled(channel, self.positions, windows, full))
                .collect(),
        };
        Self { nngp: pool(&self.nngp), ntk: pool(&self.ntk), types: self.types, positions, full }
    }

    fn plus(mut self, other: &Self) -> Self {
        self.nngp.iter_mut().zip(&other.nngp).for_each(|(a, b)| *a += b);
        self.ntk.iter_mut().zip(&other.ntk).for_each(|(a, b)| *a += b);
        self
    }

    fn pairs(&self, positions: usize) -> usize {
        if self.full { positions * positions } else { positions }
    }
}

/// The mean over every pair of windows, or over pairs of equal ones.
fn pooled(channel: &[f64], positions: usize, windows: &Windows, full: bool) -> Vec<f64> {
    let (out, share) = (windows.positions(), 1.0 / windows.taps as f64);
    let mut rows = vec![0.0; out * positions];
    for tap in 0..windows.taps {
        for (row, place) in rows.chunks_exact_mut(positions).zip(windows.tap(tap)) {
            let values = &channel[place * positions..][..positions];
            row.iter_mut().zip(values).for_each(|(sum, value)| *sum += share * value);
        }
    }
    let mean = |row: &[f64], window: usize| -> f64 {
        share * (0..windows.taps).map(|tap| row[windows.tap(tap)[window]]).sum::<f64>()
    };
    let rows = rows.chunks_exact(positions);
    if full {
        rows.flat_map(|row| (0..out).map(move |window| mean(row, window))).collect()
    } else {
        rows.enumerate().map(|(window, row)| mean(row, window)).collect()
    }
}
