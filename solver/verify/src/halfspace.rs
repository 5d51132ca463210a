//! Intervals of first-layer pre-activations on a subproblem.
//!
//! A pre-activation that reads the input directly is an exact affine function $\langle w, x \rangle + b$,
//! and so is the sign of a split there: it cuts the box with a half-space. For multipliers
//! $\gamma_k \ge 0$ of half-spaces $\langle A_k, x \rangle + c_k \le 0$,
//! $$ b + \langle w, x \rangle \;\ge\; b + \sum_k \gamma_k c_k
//!    + \min_{x \in \text{box}} \Big\langle w + \sum_k \gamma_k A_k, x \Big\rangle $$
//!
//! on the part of the box inside all of them. The right side is concave and piecewise linear in each $\gamma_k$; from the last
//! half-space to the first, each is put where the slope changes sign. The objective's own bound
//! gives one more half-space: where it exceeds the goal there is nothing to find.
//!
//! On networks with few inputs and one wide layer this fixes signs that would otherwise have to be split.
//!
//! # Source
//! Zhou et al., *Clip-and-verify*, 2025 (linear constraints on intermediate bounds).

use crate::crown::InputBound;
use crate::network::{Function, Kind, Network};
use crate::rounding::{SAFETY, gamma};
use secateur_linalg::Scalar;

/// The half-space $\langle A, x \rangle + c \le 0$.
#[derive(Clone, Debug)]
pub struct HalfSpace {
    /// $A$.
    pub coefficients: Vec<f64>,
    /// $c$.
    pub constant: f64,
}

/// A ReLU layer whose inputs are exact affine functions of the network's input.
#[derive(Clone, Debug)]
pub struct Exact {
    /// The activation layer.
    pub activation: usize,
    /// Its source.
    pub source: usize,
    /// $w$, `size × n`.
    weights: Vec<f64>,
    /// $b$.
    bias: Vec<f64>,
}

/// More than all underflow together can lose, with coordinates of any size that `f32` has.
const UNDERFLOW: f64 = 1e-200;

/// Slopes below this share of the sum of magnitudes are none.
const FLAT: f64 = 1.0 / (1 << 27) as f64;

/// A multiplier where more is better, in units of the one that makes masses equal.
const BEYOND: f64 = 64.0;

impl Exact {
    /// Every such layer of a network.
    pub fn layers<T: Scalar>(network: &Network<T>) -> Vec<Self> {
        let exact = |(activation, source, function): (usize, usize, Function)| {
            let Kind::Affine(affine) = &network.layers[source].kind else { return None };
            let [(0, map)] = affine.terms.as_slice() else { return None };
            if function != Function::Relu
                || affine.roundings > 0
                || !affine.executed.is_exact()
                || affine.error.iter().any(|e| *e > T::ZERO)
            {
                return None;
            }
            let row = |j: usize| {
                let mut row = vec![T::ZERO; map.inputs()];
                map.add_row(j, T::ONE, &mut row);
                row.into_iter().map(|w| w.to_f64())
            };
            let weights = (0..network.layers[source].size).flat_map(row).collect();
            let bias = affine.bias.iter().map(|b| b.to_f64()).collect();
            Some(Self { activation, source, weights, bias })
        };
        network.activations().filter_map(exact).collect()
    }

    /// The side of a split's hyperplane where the split's sign holds.
    pub fn side(&self, neuron: usize, active: bool) -> HalfSpace {
        let sign = if active { -1.0 } else { 1.0 };
        let coefficients = self.row(neuron).iter().map(|w| sign * w).collect();
        HalfSpace { coefficients, constant: sign * self.bias[neuron] }
    }

    fn row(&self, neuron: usize) -> &[f64] {
        let n = self.weights.len() / self.bias.len().max(1);
        &self.weights[neuron * n..(neuron + 1) * n]
    }

    /// Narrows the intervals `[l, u]` of the layer's open pre-activations to the part of the box inside the
    /// half-spaces.
    ///
    /// # Soundness
    /// Weights and half-spaces are exact numbers here; every sum is in `f64` with an a-priori error term
    /// and rounded outward to `T`.
    pub fn narrow<T: Scalar>(&self, corners: (&[f64], &[f64]), spaces: &[HalfSpace], l: &mut [T], u: &mut [T]) {
        for j in 0..l.len() {
            if l[j] < T::ZERO && u[j] > T::ZERO {
                let below = least(self.row(j).to_vec(), self.bias[j], corners, spaces);
                let above = least(self.row(j).iter().map(|w| -w).collect(), -self.bias[j], corners, spaces);
                l[j] = T::round_down(below).max(l[j]);
                u[j] = (-T::round_down(above)).min(u[j]);
            }
        }
    }
}

impl<T: Scalar> InputBound<T> {
    /// Where row `r`, a lower bound of an objective, does not exceed the goal.
    ///
    /// # Soundness
    /// The constant is lowered by the row's error and by four roundings in `f64`.
    pub fn half_space(&self, r: usize, goal: f64) -> HalfSpace {
        let (d, e) = (self.constant[r].to_f64(), SAFETY * self.error[r].to_f64());
        let rounding = 4.0 * f64::EPSILON * (d.abs() + e + goal.abs());
        HalfSpace { coefficients: self.row(r).iter().map(|a| a.to_f64()).collect(), constant: d - e - goal - rounding }
    }
}

/// A lower bound of $\langle a, x \rangle + d$ on the part of the box inside the half-spaces.
fn least(mut a: Vec<f64>, mut d: f64, (lower, upper): (&[f64], &[f64]), spaces: &[HalfSpace]) -> f64 {
    let mut mass: Vec<f64> = a.iter().map(|a| a.abs()).collect();
    let (mut constants, mut mixes) = (d.abs(), 0);
    for space in spaces.iter().rev() {
        let gamma = multiplier(&a, (lower, upper), space);
        if gamma > 0.0 {
            for i in 0..a.len() {
                a[i] += gamma * space.coefficients[i];
                mass[i] += gamma * space.coefficients[i].abs();
            }
            d += gamma * space.constant;
            constants += gamma * space.constant.abs();
            mixes += 1;
        }
    }
    let (mut sum, mut magnitude) = (0.0, constants);
    for i in 0..a.len() {
        sum += (a[i] * lower[i]).min(a[i] * upper[i]);
        magnitude += mass[i] * lower[i].abs().max(upper[i].abs());
    }
    let value = sum + d - gamma::<f64>(2 * a.len() + 4 * mixes + 16) * magnitude - UNDERFLOW;
    if value.is_nan() { f64::NEG_INFINITY } else { value }
}

/// The $\gamma \ge 0$ that about maximises $\min_x \langle a + \gamma A, x \rangle + \gamma c$ over the box: concave and linear
/// between the $\gamma_i = -a_i / A_i$, where the slope falls by $|A_i| (u_i - l_i)$.
fn multiplier(a: &[f64], (lower, upper): (&[f64], &[f64]), space: &HalfSpace) -> f64 {
    let (mut slope, mut mass) = (space.constant, space.constant.abs());
    let mut kinks: Vec<(f64, f64)> = Vec::with_capacity(a.len());
    for (i, of) in space.coefficients.iter().enumerate() {
        slope += of * if a[i] >= 0.0 { lower[i] } else { upper[i] };
        mass += of.abs() * lower[i].abs().max(upper[i].abs());
        if *of != 0.0 && (a[i] >= 0.0) == (*of < 0.0) {
            kinks.push((-a[i] / of, of.abs() * (upper[i] - lower[i])));
        }
    }
    // A slope that rounding may have made counts as none.
    let flat = FLAT * mass;
    if slope <= flat || slope.is_nan() {
        return 0.0;
    }
    kinks.sort_unstable_by(|x, y| x.0.total_cmp(&y.0));
    for (at, fall) in &kinks {
        slope -= fall;
        if slope <= flat {
            return if at.is_finite() { *at } else { 0.0 };
        }
    }
    // It rises without end: nothing lies inside.
    let mass = |v: &[f64]| v.iter().map(|a| a.abs()).sum::<f64>();
    let far = BEYOND * mass(a) / mass(&space.coefficients);
    if far.is_finite() { far } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_linalg::random::Random;

    /// Corners of a box, a layer, and half-spaces through the box.
    fn problem(random: &mut Random, n: usize, size: usize, cuts: usize) -> (Vec<f64>, Vec<f64>, Exact, Vec<HalfSpace>) {
        let mut numbers = |count: usize| (0..count).map(|_| f64::from(random.normal() as f32)).collect::<Vec<f64>>();
        let lower = numbers(n);
        let upper = lower.iter().zip(numbers(n)).map(|(l, w)| l + w.abs()).collect();
        let exact = Exact { activation: 2, source: 1, weights: numbers(n * size), bias: numbers(size) };
        let spaces = (0..cuts).map(|_| HalfSpace { coefficients: numbers(n), constant: numbers(1)[0] }).collect();
        (lower, upper, exact, spaces)
    }

    #[test]
    fn narrowed_intervals_enclose_and_are_narrower() {
        let (mut held, mut before, mut after) = (0, 0.0, 0.0);
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (n, size) = (3 + seed as usize % 4, 6);
            let (lower, upper, exact, spaces) = problem(&mut random, n, size, 1 + seed as usize % 3);
            let (mut l, mut u) = (vec![-1e3f32; size], vec![1e3f32; size]);
            exact.narrow((&lower, &upper), &[], &mut l, &mut u);
            let plain: Vec<f32> = l.iter().zip(&u).map(|(l, u)| u - l).collect();
            exact.narrow((&lower, &upper), &spaces, &mut l, &mut u);
            for _ in 0..300 {
                let x: Vec<f64> = (0..n).map(|i| lower[i] + (upper[i] - lower[i]) * random.unit()).collect();
                let value = |a: &[f64], c: f64| a.iter().zip(&x).map(|(a, x)| a * x).sum::<f64>() + c;
                if spaces.iter().any(|s| value(&s.coefficients, s.constant) > 0.0) {
                    continue;
                }
                held += 1;
                for j in 0..size {
                    let z = value(exact.row(j), exact.bias[j]);
                    assert!(f64::from(l[j]) <= z + 1e-9 && z <= f64::from(u[j]) + 1e-9, "seed {seed}, entry {j}");
                }
            }
            if l.iter().zip(&u).all(|(l, u)| l <= u) {
                before += f64::from(plain.iter().sum::<f32>());
                after += l.iter().zip(&u).map(|(l, u)| f64::from(u - l)).sum::<f64>();
            }
        }
        assert!(held > 10_000, "only {held} points lie inside");
        assert!(after < 0.93 * before, "{before} became only {after}");
    }

    #[test]
    fn one_half_space_is_cut_exactly() {
        // x + y ≤ 1 on the unit square: the greatest x + y is 1, the least −x − 2 y is −2 at (0, 1).
        let space = HalfSpace { coefficients: vec![1.0, 1.0], constant: -1.0 };
        let corners: (&[f64], &[f64]) = (&[0.0, 0.0], &[1.0, 1.0]);
        let close = |found: f64, exact: f64| found <= exact && found > exact - 0.02;
        assert!(close(least(vec![-1.0, -1.0], 0.0, corners, std::slice::from_ref(&space)), -1.0));
        assert!(close(least(vec![-1.0, -2.0], 0.0, corners, &[space]), -2.0));
    }

    #[test]
    fn contradicting_half_spaces_empty_an_interval() {
        // x ≥ 2 on [0, 1].
        let exact = Exact { activation: 2, source: 1, weights: vec![1.0], bias: vec![-0.5] };
        let space = HalfSpace { coefficients: vec![-1.0], constant: 2.0 };
        let (mut l, mut u) = (vec![-0.5f64], vec![0.5]);
        exact.narrow((&[0.0], &[1.0]), &[space], &mut l, &mut u);
        assert!(l[0] > u[0], "[{}, {}]", l[0], u[0]);
    }
}
