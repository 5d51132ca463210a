//! CROWN: back-substitution of linear objectives through linear relaxations, to the input.
//!
//! For an objective $\langle c, h_k \rangle$ the layers are eliminated from the last to the first:
//! an affine layer by $A_i \leftarrow A_i + A_k W_{ki}$, $d \leftarrow d + \langle A_k, b_k \rangle$;
//! an activation by its line below where $A \ge 0$ and its line above where $A < 0$; a product by a mixture of its two planes
//! below or of its two planes above. What remains is
//! $$ \text{objective}(x) \ge \langle A_0, x \rangle + d - e $$
//! with the rounding error term $e$ of [`crate::rounding`]. Rows of many subproblems go through one
//! matrix product per layer.
//!
//! With split constraints $s_j z_j \ge 0$ ($s_j = \pm 1$) and multipliers $\beta_j \ge 0$ the
//! objective becomes $\langle c, h \rangle - \sum_j \beta_j s_j z_j$, which is not larger on the
//! subproblem; with slopes $\alpha_j \in [0, 1]$ below unstable ReLUs any choice is sound. This is
//! α- and β-CROWN.
//!
//! # Source
//! Zhang et al. 2018 (CROWN); Xu et al. 2021 (α-CROWN); Wang et al. 2021 (β-CROWN).

use crate::ball::Set;
use crate::network::{Function, Kind, Network, Product};
use crate::relax::{self, Plane, Planes};
use crate::rounding::{Magnitudes, SAFETY, gamma, inner};
use secateur_linalg::Scalar;

/// Lines of every activation for a batch of subproblems.
///
/// # Shapes
/// For activation layer `k`, `batch × size` each; empty for other layers.
#[derive(Clone, Debug)]
pub struct Lines<T> {
    /// Slopes below.
    pub lower_slope: Vec<Vec<T>>,
    /// Intercepts below; empty for ReLUs, where they are 0.
    pub lower_intercept: Vec<Vec<T>>,
    /// Slopes above.
    pub upper_slope: Vec<Vec<T>>,
    /// Intercepts above.
    pub upper_intercept: Vec<Vec<T>>,
    /// For product layers the planes, `batch × size`.
    pub planes: Vec<Vec<Planes<T>>>,
}

/// The share of the second plane where nothing else is asked for: in the middle the slopes are those of the product.
pub const EVEN_SHARE: f64 = 0.5;

impl Product {
    /// The ranges of the two factors of every product, one domain after the other.
    pub(crate) fn ranges<'a, T: Scalar>(
        &'a self,
        lower: &'a [Vec<T>],
        upper: &'a [Vec<T>],
        [n, m]: [usize; 2],
    ) -> impl Iterator<Item = ((T, T), (T, T))> + 'a {
        let batch = lower[self.left.source].len() / n.max(1);
        let range = |k: usize, at: usize| (lower[k][at], upper[k][at]);
        (0..batch).flat_map(move |d| {
            let pairs = self.left.index.iter().zip(&self.right.index);
            pairs.map(move |(i, j)| {
                (range(self.left.source, d * n + *i as usize), range(self.right.source, d * m + *j as usize))
            })
        })
    }
}

impl<T: Scalar> Plane<T> {
    /// The mixture with the share `s` of the second plane.
    #[inline]
    pub fn mixed([first, second]: &[Self; 2], s: T) -> Self {
        let mix = |a: T, b: T| a + s * (b - a);
        Plane {
            left: mix(first.left, second.left),
            right: mix(first.right, second.right),
            intercept: mix(first.intercept, second.intercept),
        }
    }
}

impl<T: Scalar> Lines<T> {
    /// No lines yet, for a network of `layers` layers.
    pub fn new(layers: usize) -> Self {
        let none = || vec![Vec::new(); layers];
        let planes = vec![Vec::new(); layers];
        Self { lower_slope: none(), lower_intercept: none(), upper_slope: none(), upper_intercept: none(), planes }
    }

    /// Sets the planes of product layer `k` from bounds on all layers before it.
    ///
    /// # Shapes
    /// `lower` and `upper` hold `batch × size` per layer, of which `sizes` are the sizes.
    pub fn set_product(&mut self, k: usize, product: &Product, lower: &[Vec<T>], upper: &[Vec<T>], sizes: [usize; 2]) {
        self.planes[k] = product.ranges(lower, upper, sizes).map(|(x, y)| relax::product(x, y)).collect();
    }

    /// Sets the lines of layer `k` from bounds on its source.
    pub fn set(&mut self, k: usize, function: Function, lower: &[T], upper: &[T]) {
        let n = lower.len();
        let (mut ls, mut us, mut ui) = (vec![T::ZERO; n], vec![T::ZERO; n], vec![T::ZERO; n]);
        if function == Function::Relu {
            for j in 0..n {
                let line = relax::relu(lower[j], upper[j]);
                (ls[j], us[j], ui[j]) = (line.lower_slope, line.upper_slope, line.upper_intercept);
            }
        } else {
            let mut li = vec![T::ZERO; n];
            for j in 0..n {
                let line = relax::relax(function, lower[j], upper[j]);
                (ls[j], li[j], us[j], ui[j]) =
                    (line.lower_slope, line.lower_intercept, line.upper_slope, line.upper_intercept);
            }
            self.lower_intercept[k] = li;
        }
        (self.lower_slope[k], self.upper_slope[k], self.upper_intercept[k]) = (ls, us, ui);
    }
}

/// Objectives on the way to the input: one row each.
#[derive(Clone, Debug)]
pub struct Rows<T> {
    /// The subproblem of each row.
    pub domain: Vec<u32>,
    /// Coefficients on layer `k`, `rows × size`, where there are any.
    pub coefficients: Vec<Option<Vec<T>>>,
    /// $d$.
    pub constant: Vec<T>,
    /// $e$.
    pub error: Vec<T>,
}

/// Where a row's slopes below and split multipliers come from.
#[derive(Clone, Copy)]
pub struct Multipliers<'a, T> {
    /// For activation layer `k`: $\alpha$, `rows × size`, used below open ReLUs; for product layers the share of the second
    /// plane; empty slices leave the lines as they are.
    pub alpha: &'a [Vec<T>],
    /// For activation layer `k`: (row, neuron, $s \beta$), to subtract from the coefficient of the
    /// neuron's input.
    pub beta: &'a [Vec<(u32, u32, T)>],
}

impl<T> Multipliers<'_, T> {
    /// The default lines and no splits.
    pub const NONE: Self = Self { alpha: &[], beta: &[] };
}

/// Affine functions of the input below the objectives, and where they came from.
#[derive(Clone, Debug)]
pub struct InputBound<T> {
    /// $A_0$, `rows × n`.
    pub coefficients: Vec<T>,
    /// $d$.
    pub constant: Vec<T>,
    /// $e$.
    pub error: Vec<T>,
    /// For activation layer `k`: the coefficients $A_k$ before its elimination, if they were asked
    /// for.
    pub tape: Vec<Vec<T>>,
}

impl<T: Scalar> Rows<T> {
    /// Rows without an objective, one per entry of `domain`.
    pub fn new(layers: usize, domain: Vec<u32>) -> Self {
        let rows = domain.len();
        Self { domain, coefficients: vec![None; layers], constant: vec![T::ZERO; rows], error: vec![T::ZERO; rows] }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.domain.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.domain.is_empty()
    }

    /// Rows $\pm h_{kj}$ of an affine layer, already taken through it: `neurons` lists
    /// (subproblem, neuron, sign).
    ///
    /// # Soundness
    /// Nothing rounds unless two maps overlap in a source, which is counted.
    #[track_caller]
    pub fn units(network: &Network<T>, magnitudes: &Magnitudes<T>, k: usize, neurons: &[(u32, u32, T)]) -> Self {
        let Kind::Affine(affine) = &network.layers[k].kind else { panic!("layer {k} is not affine") };
        let mut rows = Self::new(network.layers.len(), neurons.iter().map(|(d, _, _)| *d).collect());
        for (source, map) in &affine.terms {
            let size = map.inputs();
            let out = rows.coefficients[*source].get_or_insert_with(|| vec![T::ZERO; neurons.len() * size]);
            for ((_, j, sign), out) in neurons.iter().zip(out.chunks_exact_mut(size.max(1))) {
                map.add_row(*j as usize, *sign, out);
            }
        }
        let factor = gamma::<T>(2 * affine.terms.len() + affine.roundings) + SAFETY * affine.executed.share;
        let (factor, more) = (T::round_up(factor), T::round_up(SAFETY * affine.executed.more));
        for (r, (d, j, sign)) in neurons.iter().enumerate() {
            let known = affine.error.get(*j as usize).copied().unwrap_or(T::ZERO);
            rows.constant[r] = *sign * affine.bias[*j as usize];
            // The layer's own magnitudes are known only after its bounds: sum them here.
            let rounded = affine.terms.len() > 1 || affine.roundings > 0 || !affine.executed.is_exact();
            rows.error[r] = match rounded {
                true => factor * magnitudes.row(network, k, *d, *j as usize) + more,
                false => T::ZERO,
            };
            rows.error[r] += known;
        }
        rows
    }
}

impl<T: Scalar> Magnitudes<T> {
    /// $\sum_i |W_i|_{j} H_i + |b_j|$ for one entry of an affine layer whose sources are known.
    fn row(&self, network: &Network<T>, k: usize, d: u32, j: usize) -> T {
        let Kind::Affine(affine) = &network.layers[k].kind else { return T::ZERO };
        let mut sum = affine.bias_magnitude[j];
        for (source, map) in &affine.terms {
            let mut row = vec![T::ZERO; map.inputs()];
            map.add_row(j, T::ONE, &mut row);
            sum += inner(&row, &row, self.values(*source, d)).1;
        }
        sum
    }
}

/// Eliminates every layer but the input.
///
/// # Soundness
/// See [`crate::rounding`]; `magnitudes` must cover the subproblems of all rows, and the lines must
/// be valid on them.
#[track_caller]
pub fn back_substitute<T: Scalar>(
    network: &Network<T>,
    magnitudes: &Magnitudes<T>,
    lines: &Lines<T>,
    mut rows: Rows<T>,
    multipliers: Multipliers<'_, T>,
    keep_tape: bool,
) -> InputBound<T> {
    let count = rows.len();
    let mut tape = vec![Vec::new(); if keep_tape { network.layers.len() } else { 0 }];
    for k in (1..network.layers.len()).rev() {
        let Some(mut a) = rows.coefficients[k].take() else { continue };
        let (factor, underflow) = (magnitudes.gamma[k], magnitudes.underflow[k]);
        let size = network.layers[k].size;
        match &network.layers[k].kind {
            Kind::Input => {}
            Kind::Affine(affine) => {
                let in_all = factor + magnitudes.executed[k];
                for (r, a) in a.chunks_exact(size.max(1)).enumerate() {
                    let (constant, magnitude) = inner(a, &affine.bias, magnitudes.weighted(k, rows.domain[r]));
                    rows.add_constant(r, constant, in_all * magnitude + underflow);
                }
                for (source, map) in &affine.terms {
                    let out = rows.accumulator(*source, map.inputs(), factor, magnitudes);
                    map.backward(&a, count, out);
                }
            }
            Kind::Activation { source, .. } => {
                if keep_tape {
                    tape[k].clone_from(&a);
                }
                let alpha = multipliers.alpha.get(k).filter(|alpha| !alpha.is_empty());
                for r in 0..count {
                    let weighted = magnitudes.weighted(k, rows.domain[r]);
                    let at = rows.domain[r] as usize * size;
                    let row = &mut a[r * size..(r + 1) * size];
                    let below = match alpha {
                        Some(alpha) => &alpha[r * size..(r + 1) * size],
                        None => &lines.lower_slope[k][at..at + size],
                    };
                    let above = &lines.upper_slope[k][at..at + size];
                    let intercept = &lines.upper_intercept[k][at..at + size];
                    let (constant, magnitude) = match lines.lower_intercept[k].get(at..at + size) {
                        Some(low) => through_lines(row, below, low, above, intercept, weighted),
                        None => through_relu(row, below, above, intercept, weighted),
                    };
                    rows.add_constant(r, constant, factor * magnitude + underflow);
                }
                for &(r, j, signed) in multipliers.beta.get(k).map_or(&[][..], Vec::as_slice) {
                    let (r, j) = (r as usize, j as usize);
                    let old = a[r * size + j];
                    a[r * size + j] = old - signed;
                    let rounding = T::from_f64(2.0 * SAFETY * T::UNIT_ROUNDOFF);
                    rows.error[r] +=
                        rounding * (old.abs() + signed.abs()) * magnitudes.values(*source, rows.domain[r])[j];
                }
                let out = &mut rows.coefficients[*source];
                match out {
                    None => *out = Some(a),
                    Some(_) => {
                        let out = rows.accumulator(*source, size, factor, magnitudes);
                        for (out, a) in out.iter_mut().zip(&a) {
                            *out += *a;
                        }
                    }
                }
            }
            Kind::Product(product) => {
                if keep_tape {
                    tape[k].clone_from(&a);
                }
                let shares = multipliers.alpha.get(k).filter(|alpha| !alpha.is_empty());
                // Slopes take the place of the coefficients, side by side.
                let mut right = vec![T::ZERO; a.len()];
                for r in 0..count {
                    let at = rows.domain[r] as usize * size;
                    let planes = &lines.planes[k][at..at + size];
                    let here = r * size..(r + 1) * size;
                    let shares = shares.map(|shares| &shares[here.clone()]);
                    let (left, right) = (&mut a[here.clone()], &mut right[here]);
                    let weighted = magnitudes.weighted(k, rows.domain[r]);
                    let (constant, magnitude) = through_planes((left, right), planes, shares, weighted);
                    rows.add_constant(r, constant, factor * magnitude + underflow);
                }
                for (factor_of, slopes) in [(&product.left, &a), (&product.right, &right)] {
                    let n = network.layers[factor_of.source].size;
                    let out = rows.accumulator(factor_of.source, n, factor, magnitudes);
                    for (slopes, out) in slopes.chunks_exact(size).zip(out.chunks_exact_mut(n)) {
                        slopes.iter().zip(&factor_of.index).for_each(|(a, i)| out[*i as usize] += *a);
                    }
                }
            }
        }
    }
    let coefficients = rows.coefficients[0].take().unwrap_or_else(|| vec![T::ZERO; count * network.inputs()]);
    InputBound { coefficients, constant: rows.constant, error: rows.error, tape }
}

impl<T: Scalar> Rows<T> {
    /// $d \leftarrow d + c$, $e \leftarrow e + \varepsilon$, with the rounding of the sum.
    #[inline]
    pub(crate) fn add_constant(&mut self, r: usize, constant: T, error: T) {
        let sum = self.constant[r] + constant;
        self.constant[r] = sum;
        self.error[r] += error + T::from_f64(2.0 * T::UNIT_ROUNDOFF) * sum.abs();
    }

    /// The coefficients of a layer, to add into; what is there already may round once more.
    pub(crate) fn accumulator(&mut self, k: usize, size: usize, factor: T, magnitudes: &Magnitudes<T>) -> &mut Vec<T> {
        if let Some(present) = &self.coefficients[k] {
            for (r, a) in present.chunks_exact(size.max(1)).enumerate() {
                self.error[r] += factor * inner(a, a, magnitudes.values(k, self.domain[r])).1;
            }
        }
        let count = self.domain.len();
        self.coefficients[k].get_or_insert_with(|| vec![T::ZERO; count * size])
    }
}

/// Takes a row through ReLU lines in place; returns the constant and $\langle |a|, w \rangle$.
#[inline]
fn through_relu<T: Scalar>(a: &mut [T], below: &[T], above: &[T], intercept: &[T], weighted: &[T]) -> (T, T) {
    const LANES: usize = crate::rounding::LANES;
    let (mut constant, mut magnitude) = ([T::ZERO; LANES], [T::ZERO; LANES]);
    let n = a.len();
    let (below, above, intercept, weighted) = (&below[..n], &above[..n], &intercept[..n], &weighted[..n]);
    let whole = n - n % LANES;
    let mut start = 0;
    while start < whole {
        let a = &mut a[start..start + LANES];
        let (below, above) = (&below[start..start + LANES], &above[start..start + LANES]);
        let (intercept, weighted) = (&intercept[start..start + LANES], &weighted[start..start + LANES]);
        for i in 0..LANES {
            let (plus, minus) = (a[i].max(T::ZERO), a[i].min(T::ZERO));
            constant[i] += minus * intercept[i];
            magnitude[i] += a[i].abs() * weighted[i];
            a[i] = plus * slope_below(below[i], above[i]) + minus * above[i];
        }
        start += LANES;
    }
    for i in whole..n {
        let (plus, minus) = (a[i].max(T::ZERO), a[i].min(T::ZERO));
        constant[i - whole] += minus * intercept[i];
        magnitude[i - whole] += a[i].abs() * weighted[i];
        a[i] = plus * slope_below(below[i], above[i]) + minus * above[i];
    }
    (constant.into_iter().sum(), magnitude.into_iter().sum())
}

/// A ReLU whose line above has slope 0 or 1 is fixed: the line below is the same. (A chord's slope that
/// rounds to 0 or 1 is as sound below as any other in $[0, 1]$.)
#[inline(always)]
fn slope_below<T: Scalar>(below: T, above: T) -> T {
    if above == T::ZERO || above == T::ONE { above } else { below }
}

/// The same for lines with intercepts on both sides.
fn through_lines<T: Scalar>(a: &mut [T], below: &[T], low: &[T], above: &[T], high: &[T], weighted: &[T]) -> (T, T) {
    const LANES: usize = crate::rounding::LANES;
    let (mut constant, mut magnitude) = ([T::ZERO; LANES], [T::ZERO; LANES]);
    for i in 0..a.len() {
        let (plus, minus) = (a[i].max(T::ZERO), a[i].min(T::ZERO));
        constant[i % LANES] += plus * low[i] + minus * high[i];
        magnitude[i % LANES] += a[i].abs() * weighted[i];
        a[i] = plus * below[i] + minus * above[i];
    }
    (constant.into_iter().sum(), magnitude.into_iter().sum())
}

/// Takes a row through planes: the coefficients become those of the left factors, and those of the right factors are written
/// beside them; returns the constant and $\langle |a|, w \rangle$.
fn through_planes<T: Scalar>(
    (a, right): (&mut [T], &mut [T]),
    planes: &[Planes<T>],
    shares: Option<&[T]>,
    weighted: &[T],
) -> (T, T) {
    const LANES: usize = crate::rounding::LANES;
    let (mut constant, mut magnitude) = ([T::ZERO; LANES], [T::ZERO; LANES]);
    let even = T::from_f64(EVEN_SHARE);
    for j in 0..a.len() {
        let pair = if a[j] >= T::ZERO { &planes[j].below } else { &planes[j].above };
        let plane = Plane::mixed(pair, shares.map_or(even, |shares| shares[j]));
        constant[j % LANES] += a[j] * plane.intercept;
        magnitude[j % LANES] += a[j].abs() * weighted[j];
        right[j] = a[j] * plane.right;
        a[j] *= plane.left;
    }
    (constant.into_iter().sum(), magnitude.into_iter().sum())
}

impl<T: Scalar> InputBound<T> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.constant.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.constant.is_empty()
    }

    /// The coefficients of one row.
    pub fn row(&self, r: usize) -> &[T] {
        let n = self.coefficients.len() / self.len().max(1);
        &self.coefficients[r * n..(r + 1) * n]
    }

    /// A number that row `r` is certainly not below on the set: on its box, and where there is a ball the
    /// greater of that and of the bound on the part inside ([`crate::ball`]).
    pub fn minimum(&self, r: usize, set: Set<'_, T>) -> T {
        let plain = self.box_minimum(r, set.lower, set.upper);
        let Some(ball) = set.ball else { return plain };
        let (d, e) = (self.constant[r].to_f64(), SAFETY * self.error[r].to_f64());
        let inside = ball.least(self.row(r), set.lower, set.upper) + d - e;
        let rounding = 4.0 * f64::EPSILON * (inside.abs() + d.abs() + e);
        let inside = inside - rounding;
        if inside.is_nan() { plain } else { T::round_down(inside).max(plain) }
    }

    /// A number that row `r` is certainly not below on the box:
    /// $\sum_i \min(A_i l_i, A_i u_i) + d - e$, less the rounding of this sum.
    pub fn box_minimum(&self, r: usize, lower: &[T], upper: &[T]) -> T {
        const LANES: usize = crate::rounding::LANES;
        let a = self.row(r);
        let (mut sum, mut magnitude) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        let mut add = |a: &[T], l: &[T], u: &[T]| {
            for i in 0..a.len() {
                let low = (a[i] * l[i]).min(a[i] * u[i]);
                sum[i] += low;
                magnitude[i] += low.abs();
            }
        };
        let whole = a.len() - a.len() % LANES;
        let chunks = a[..whole].chunks_exact(LANES).zip(lower[..whole].chunks_exact(LANES));
        for ((a, l), u) in chunks.zip(upper[..whole].chunks_exact(LANES)) {
            add(&a[..LANES], &l[..LANES], &u[..LANES]);
        }
        add(&a[whole..], &lower[whole..a.len()], &upper[whole..a.len()]);
        let (sum, magnitude): (T, T) = (sum.into_iter().sum(), magnitude.into_iter().sum());
        let factor = T::from_f64(gamma::<T>(a.len() / LANES + LANES + 4));
        let tiny = T::from_f64(T::SMALLEST_NORMAL * (a.len() + 1) as f64);
        let safety = T::from_f64(SAFETY);
        let error = self.error[r] * safety + factor * (magnitude + self.constant[r].abs()) + tiny;
        (sum + self.constant[r]) - error
    }

    /// Where row `r` is about least.
    pub fn minimiser(&self, r: usize, set: Set<'_, T>, out: &mut [T]) {
        let Set { lower, upper, ball } = set;
        if let Some(ball) = ball {
            return ball.minimiser(self.row(r), lower, upper, out);
        }
        for (out, ((a, l), u)) in out.iter_mut().zip(self.row(r).iter().zip(lower).zip(upper)) {
            *out = if *a >= T::ZERO { *l } else { *u };
        }
    }
}
