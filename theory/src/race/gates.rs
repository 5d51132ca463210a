//! Gates of gradient flow, which may stay at their edge.
//!
//! Across $w_{1,\alpha} \cdot x_s = 0$ the velocity of the pre-activation jumps by $w_{2,\alpha} \rho_s |x_s|^2 / N$. Where it is
//! positive below the edge and negative above, the flow stays at the edge (Filippov's solution): the sample counts with the
//! share $\lambda_s \in [0, 1]$ that keeps its pre-activation at zero. For the samples $E$ at the edge of one neuron
//!
//! $$ D = D_0 + \sum_{s \in E} m_s x_s, \qquad \sum_{t \in E} (x_s \cdot x_t)\, m_t = - x_s \cdot D_0, \qquad
//! \lambda_s = N m_s / \rho_s, $$
//!
//! with $D_0$ the drive of the open gates: the part of $D_0$ in the span of the samples at the edge is projected out.

use super::closed_form::angle;
use super::drive::Drive;
use super::flips::{Flip, Gate};
use super::loss::Loss;
use super::task::Task;
use secateur_linalg::cholesky;

/// By how much a share leaves $[0, 1]$ before that is an event: far above the roundoff of small linear systems.
pub(super) const SHARE_TOLERANCE: f64 = 1e-9;

/// The gates of all neurons.
#[derive(Clone, Debug)]
pub(super) struct Gates {
    state: Vec<Gate>,
    /// The samples at the edge of each neuron, in ascending order.
    edges: Vec<Vec<usize>>,
}

impl Gates {
    /// As the pre-activations have them: none at the edge.
    pub(super) fn of(pre: &[f64], width: usize) -> Self {
        let state = pre.iter().map(|z| if *z > 0.0 { Gate::On } else { Gate::Off }).collect();
        Self { state, edges: vec![Vec::new(); width] }
    }

    pub(super) fn at(&self, place: usize) -> Gate {
        self.state[place]
    }

    /// The samples at the edge of a neuron, in the order of shares.
    pub(super) fn edge(&self, neuron: usize) -> &[usize] {
        &self.edges[neuron]
    }

    /// How many gates are at their edge.
    pub(super) fn at_edge(&self) -> usize {
        self.edges.iter().map(Vec::len).sum()
    }

    fn set(&mut self, task: &Task, neuron: usize, sample: usize, gate: Gate) {
        self.state[neuron * task.samples() + sample] = gate;
        let edges = &mut self.edges[neuron];
        match (edges.binary_search(&sample), gate) {
            (Err(place), Gate::Edge) => edges.insert(place, sample),
            (Ok(place), Gate::Off | Gate::On) => {
                edges.remove(place);
            }
            _ => {}
        }
    }

    /// Evaluates a drive with these gates, samples at the edge projected out; the shares $\lambda_s$ of those, neuron by neuron.
    pub(super) fn evaluate(&self, drive: &mut Drive, task: &Task, loss: Loss, w1: &[f64], w2: &[f64]) -> Vec<Vec<f64>> {
        drive.evaluate_gated(task, loss, w1, w2, |place, _| self.state[place] == Gate::On);
        let neurons = self.edges.iter().zip(drive.drives.chunks_exact_mut(task.dimension()));
        neurons.map(|(edges, d)| shares(task, &drive.residuals, edges, d)).collect()
    }

    /// $D_0$: the drive of the open gates of a neuron.
    fn open(&self, task: &Task, drive: &Drive, neuron: usize) -> Vec<f64> {
        let mut d = vec![0.0; task.dimension()];
        let row = &self.state[neuron * task.samples()..(neuron + 1) * task.samples()];
        for (s, _) in row.iter().enumerate().filter(|(_, gate)| **gate == Gate::On) {
            add(&mut d, drive.residuals()[s] / task.samples() as f64, task.input(s));
        }
        d
    }

    /// Decides where the gate of a sample goes that reached its edge, by the velocities of the pre-activation with the gate
    /// closed and open. Then every sample at the edge of the neuron whose share is not in $[0, 1]$ leaves it.
    pub(super) fn settle(
        &mut self,
        task: &Task,
        drive: &Drive,
        w2: f64,
        (neuron, sample): (usize, usize),
        time: f64,
        flips: &mut Vec<Flip>,
    ) {
        let from = self.at(neuron * task.samples() + sample);
        if from == Gate::Edge {
            return self.expel(task, drive, neuron, time, flips);
        }
        let before = self.drive_of(task, drive, neuron);
        self.set(task, neuron, sample, Gate::Off);
        let closed = w2 * dot(task.input(sample), &self.drive_of(task, drive, neuron));
        self.set(task, neuron, sample, Gate::On);
        let open = w2 * dot(task.input(sample), &self.drive_of(task, drive, neuron));
        let to = match from {
            Gate::Off if open > 0.0 => Gate::On,
            Gate::Off if closed > 0.0 => Gate::Edge,
            Gate::On if closed < 0.0 => Gate::Off,
            Gate::On if open < 0.0 => Gate::Edge,
            other => other,
        };
        self.set(task, neuron, sample, to);
        if to != from {
            let jump = angle(&before, &self.drive_of(task, drive, neuron));
            flips.push(Flip { time, neuron, sample, from, to, jump });
        }
        self.expel(task, drive, neuron, time, flips);
    }

    /// Lets samples leave the edge of a neuron, the one that fits least first, until all shares are in $[0, 1]$.
    fn expel(&mut self, task: &Task, drive: &Drive, neuron: usize, time: f64, flips: &mut Vec<Flip>) {
        loop {
            let mut d = self.open(task, drive, neuron);
            let shares = shares(task, &drive.residuals, &self.edges[neuron], &mut d);
            let excess = |share: f64| (-share).max(share - 1.0);
            let worst = shares.iter().zip(&self.edges[neuron]).max_by(|a, b| excess(*a.0).total_cmp(&excess(*b.0)));
            let Some((share, sample)) = worst.map(|(share, sample)| (*share, *sample)) else { return };
            // What was an event must not stay for a rounding, so half of the tolerance is enough here.
            if excess(share) <= 0.5 * SHARE_TOLERANCE {
                return;
            }
            let before = d;
            let to = if share > 1.0 { Gate::On } else { Gate::Off };
            self.set(task, neuron, sample, to);
            let jump = angle(&before, &self.drive_of(task, drive, neuron));
            flips.push(Flip { time, neuron, sample, from: Gate::Edge, to, jump });
        }
    }

    /// $D$ of one neuron with these gates and the residuals of a drive.
    fn drive_of(&self, task: &Task, drive: &Drive, neuron: usize) -> Vec<f64> {
        let mut d = self.open(task, drive, neuron);
        project(task, &self.edges[neuron], &mut d);
        d
    }
}

/// Removes from `d` its part in the span of samples at the edge; their shares $\lambda_s$. A sample without a residual does
/// nothing anywhere, and counts as closed.
fn shares(task: &Task, residuals: &[f64], edges: &[usize], d: &mut [f64]) -> Vec<f64> {
    let share = |(m, s): (f64, &usize)| match residuals[*s] {
        0.0 => 0.0,
        rho => m * task.samples() as f64 / rho,
    };
    project(task, edges, d).into_iter().zip(edges).map(share).collect()
}

/// Removes from `d` its part in the span of some samples; the multipliers $m_s$ of what was added.
fn project(task: &Task, edges: &[usize], d: &mut [f64]) -> Vec<f64> {
    let k = edges.len();
    if k == 0 {
        return Vec::new();
    }
    let mut gram: Vec<f64> = edges.iter().flat_map(|s| edges.iter().map(|t| task.product(*s, *t))).collect();
    let right: Vec<f64> = edges.iter().map(|s| -dot(task.input(*s), d)).collect();
    let factor = cholesky::factor(&gram, k).or_else(|| {
        // Samples at one edge that depend on each other: the least change that makes the system regular.
        let trace: f64 = (0..k).map(|i| gram[i * k + i]).sum();
        (0..k).for_each(|i| gram[i * k + i] += 1e-12 * trace);
        cholesky::factor(&gram, k)
    });
    let Some(factor) = factor else { return vec![0.0; k] };
    let multipliers = cholesky::solve(&factor, k, &right, 1);
    multipliers.iter().zip(edges).for_each(|(m, s)| add(d, *m, task.input(*s)));
    multipliers
}

fn add(d: &mut [f64], scale: f64, x: &[f64]) {
    d.iter_mut().zip(x).for_each(|(d, x)| *d += scale * x);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::testing;

    #[test]
    fn what_is_projected_is_orthogonal_to_the_edge() {
        let task = testing::mixture(12, 9, 3);
        let mut d: Vec<f64> = (0..task.dimension()).map(|k| 1.0 / (1.0 + k as f64)).collect();
        let before = d.clone();
        let edges = [1, 4, 10];
        let multipliers = project(&task, &edges, &mut d);
        for s in edges {
            // Roundoff of sums of nine products of order 1.
            assert!(dot(task.input(s), &d).abs() < 1e-13, "{s}");
        }
        let mut again = before;
        multipliers.iter().zip(edges).for_each(|(m, s)| add(&mut again, *m, task.input(s)));
        assert_eq!(again, d);
    }
}
