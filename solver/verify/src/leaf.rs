//! Leaves: every ReLU has a sign, so the network is affine and a linear program decides.
//!
//! $$ \min_{x \in \text{box},\, t} t \quad\text{s.t.}\quad g_i(x) - \text{goal} \le t, \quad -s_j z_j(x) \le t. $$
//! A positive optimum refutes the leaf: its multipliers $\lambda_i, \beta_j \ge 0$ make
//! $\sum_i \lambda_i (g_i - \text{goal}) - \sum_j \beta_j s_j z_j$ positive on the whole box, and that claim is
//! bounded again by back-substitution, with rounding errors. An optimum that is not positive gives a
//! point.
//!
//! # Soundness
//! The solver only proposes; no leaf is closed on its word.

use crate::alpha::Split;
use crate::bounds::Bounds;
use crate::crown::{InputBound, Multipliers, Rows, back_substitute};
use crate::relu_split::ReluSplitting;
use crate::specification::{self, Objective};
use dashu_ratio::RBig;
use secateur_linalg::Scalar;
use secateur_opt::{InteriorPoint, LinearProgram, LpOutcome, LpSettings, LpSolver, Row};
use std::collections::BTreeMap;

/// What the program of a leaf says.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf<T> {
    /// The margin exceeds the goal everywhere on it, as these multipliers of the objectives and of the splits show.
    Refuted(Vec<f64>, Vec<f64>),
    /// This point satisfies everything, up to rounding.
    Point(Vec<T>),
    /// The solver failed, or its multipliers do not prove what it says.
    Unclear,
}

/// Decides a leaf; `bounds` are its own (batch size 1) and fix every ReLU.
pub fn solve<T: Scalar>(problem: &ReluSplitting<'_, T>, bounds: &Bounds<T>, splits: &[Split], goal: f64) -> Leaf<T> {
    let (network, magnitudes) = (problem.network, &problem.root.magnitudes);
    let through = |rows: Rows<T>| back_substitute(network, magnitudes, &bounds.lines, rows, Multipliers::NONE, false);
    let goals = through(problem.rows(1));
    let sources = network.sources();
    let signs: Vec<InputBound<T>> = splits
        .iter()
        .map(|split| {
            let sign = if split.active { T::ONE } else { -T::ONE };
            through(Rows::units(network, magnitudes, sources[split.layer as usize], &[(0, split.neuron, sign)]))
        })
        .collect();

    let (lower, upper) = (&problem.region.lower, &problem.region.upper);
    let free: Vec<usize> = (0..network.inputs()).filter(|i| lower[*i] < upper[*i]).collect();
    let t = free.len();
    let corner = |side: &[T]| free.iter().map(|i| side[*i].to_f64()).collect::<Vec<f64>>();
    let mut objective = vec![0.0; t + 1];
    objective[t] = 1.0;
    let (mut low, mut high) = (corner(lower), corner(upper));
    low.push(f64::NEG_INFINITY);
    high.push(f64::INFINITY);
    let mut program = LinearProgram::new(objective, low, high);
    let mut require = |found: &InputBound<T>, r: usize, sign: f64, goal: f64| {
        let a = found.row(r);
        let mut entries: Vec<(usize, f64)> = free.iter().enumerate().map(|(c, i)| (c, sign * a[*i].to_f64())).collect();
        entries.push((t, -1.0));
        let fixed = (0..network.inputs()).filter(|i| lower[*i] >= upper[*i]);
        let constant: f64 = found.constant[r].to_f64() + fixed.map(|i| a[i].to_f64() * lower[i].to_f64()).sum::<f64>();
        program.rows.push(Row::at_most(entries, goal - sign * constant));
    };
    (0..goals.len()).for_each(|r| require(&goals, r, 1.0, goal));
    signs.iter().for_each(|z| require(z, 0, -1.0, 0.0));

    match InteriorPoint.solve(&program, &LpSettings::default()) {
        Ok(LpOutcome::Optimal { point, value, row_duals, .. }) if value > 0.0 => {
            let multipliers: Vec<f64> = row_duals.iter().map(|y| (-y).max(0.0)).collect();
            match refutes(problem, &bounds.lines, splits, &multipliers, goal) {
                true => {
                    let (goals, signs) = multipliers.split_at(problem.objectives.len());
                    Leaf::Refuted(goals.to_vec(), signs.to_vec())
                }
                false => Leaf::Point(full(lower, &free, &point)),
            }
        }
        Ok(LpOutcome::Optimal { point, .. }) => Leaf::Point(full(lower, &free, &point)),
        _ => Leaf::Unclear,
    }
}

fn full<T: Scalar>(lower: &[T], free: &[usize], point: &[f64]) -> Vec<T> {
    let mut x = lower.to_vec();
    free.iter().zip(point).for_each(|(i, v)| x[*i] = T::from_f64(*v));
    x
}

/// Whether the multipliers (objectives first, then splits) prove the leaf empty.
fn refutes<T: Scalar>(
    problem: &ReluSplitting<'_, T>,
    lines: &crate::crown::Lines<T>,
    splits: &[Split],
    multipliers: &[f64],
    goal: f64,
) -> bool {
    let (goals, signs) = multipliers.split_at(problem.objectives.len());
    let Some(combined) = combine(problem.objectives, goals, goal) else { return false };
    let rows = specification::rows(problem.network, &problem.root.magnitudes, &[(0, &combined)]);
    let mut beta = vec![Vec::new(); problem.network.layers.len()];
    for (split, value) in splits.iter().zip(signs) {
        let signed = T::from_f64(if split.active { *value } else { -*value });
        beta[split.layer as usize].push((0, split.neuron, signed));
    }
    let multipliers = Multipliers { alpha: &[], beta: &beta };
    let magnitudes = &problem.root.magnitudes;
    let found = back_substitute(problem.network, magnitudes, lines, rows, multipliers, false);
    // Positive, not only non-negative: the weights of strict and non-strict objectives are mixed.
    found.minimum(0, problem.region.set()) > T::ZERO
}

/// $\sum_i \lambda_i (g_i - \text{goal})$, added exactly and then rounded once. `None` when the objectives themselves are
/// rounded: their errors would not be relative to the sum.
fn combine<T: Scalar>(objectives: &[Objective<T>], weights: &[f64], goal: f64) -> Option<Objective<T>> {
    if objectives.iter().any(|o| o.rounded) {
        return None;
    }
    let exact = |v: f64| RBig::try_from(v).ok();
    let goal = exact(goal)?;
    let (mut inputs, mut outputs) = (BTreeMap::new(), BTreeMap::new());
    let mut constant = RBig::ZERO;
    for (objective, weight) in objectives.iter().zip(weights) {
        let weight = exact(*weight)?;
        for (sums, terms) in [(&mut inputs, &objective.inputs), (&mut outputs, &objective.outputs)] {
            for (index, value) in terms {
                *sums.entry(*index).or_insert(RBig::ZERO) += exact(value.to_f64())? * &weight;
            }
        }
        constant += (exact(objective.constant.to_f64())? - &goal) * &weight;
    }
    let nearest = |sums: BTreeMap<usize, RBig>| -> Vec<(usize, T)> {
        sums.into_iter().map(|(index, v)| (index, T::from_f64(v.to_f64().value()))).collect()
    };
    Some(Objective {
        inputs: nearest(inputs),
        outputs: nearest(outputs),
        constant: T::round_down(specification::round_down(&constant)),
        rounded: true,
        strict: false,
    })
}
