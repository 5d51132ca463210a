//! Gate flips: a neuron gains or loses a sample, and its drive turns.
//!
//! With small steps a gate may flip at every step for a long time: the sample pushes the neuron out while the others push it
//! in. Such a gate is at its edge; in gradient flow it stays there (`gates.rs`). The effective dataset of a neuron changes
//! only with a flip that lasts.

use super::closed_form::angle;
use super::task::Task;
use super::{Drive, Moment};
use serde::{Deserialize, Serialize};

/// A gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// $w_1 \cdot x < 0$.
    Off,
    /// $w_1 \cdot x = 0$, and the sample keeps it there.
    Edge,
    /// $w_1 \cdot x > 0$.
    On,
}

/// A change of a neuron's effective dataset.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flip {
    /// When the pre-activation was zero, or left it.
    pub time: f64,
    /// Which neuron.
    pub neuron: usize,
    /// Which sample.
    pub sample: usize,
    /// The gate before.
    pub from: Gate,
    /// The gate after.
    pub to: Gate,
    /// The angle by which the flip turns $D_\alpha$, in radians.
    pub jump: f64,
}

impl Flip {
    /// Whether the neuron gains (some of) the sample.
    pub fn gains(&self) -> bool {
        let share = |gate| match gate {
            Gate::Off => 0,
            Gate::Edge => 1,
            Gate::On => 2,
        };
        share(self.to) > share(self.from)
    }
}

/// The lasting flips of a gradient descent.
///
/// # Soundness
/// The time of a flip is where the chord of the pre-activation between two steps is zero: for a pre-activation that is monotone
/// between them it is off by less than one step, and by $O(\eta^2)$ of it where it is smooth.
#[derive(Clone, Debug)]
pub struct FlipLog {
    dwell: f64,
    time: f64,
    /// The last pre-activations.
    before: Vec<f64>,
    now: Vec<bool>,
    settled: Vec<bool>,
    since: Vec<f64>,
    raw: usize,
    flips: Vec<Flip>,
}

impl FlipLog {
    /// A log of flips that last at least `dwell`.
    pub fn new(dwell: f64) -> Self {
        let (before, now, settled, since) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { dwell, time: 0.0, before, now, settled, since, raw: 0, flips: Vec::new() }
    }

    /// Reads the gates of a moment; moments come in the order of time, at every step.
    pub fn observe(&mut self, task: &Task, moment: &Moment<'_>) {
        let pre = &moment.drive.pre;
        if self.before.is_empty() {
            self.now = pre.iter().map(|z| *z > 0.0).collect();
            self.settled = self.now.clone();
            self.since = vec![f64::NEG_INFINITY; pre.len()];
        } else {
            let span = moment.time - self.time;
            for (place, z) in pre.iter().enumerate() {
                let on = *z > 0.0;
                if on != self.now[place] {
                    self.now[place] = on;
                    self.raw += 1;
                    let (z0, z1) = (self.before[place], *z);
                    self.since[place] = self.time + span * (z0 / (z0 - z1)).clamp(0.0, 1.0);
                }
                if on != self.settled[place] && moment.time - self.since[place] >= self.dwell {
                    self.settled[place] = on;
                    self.flips.push(self.flip(task, moment.drive, place));
                }
            }
        }
        self.before.clone_from(pre);
        self.time = moment.time;
    }

    fn flip(&self, task: &Task, drive: &Drive, place: usize) -> Flip {
        let (neuron, sample, on) = (place / task.samples(), place % task.samples(), self.now[place]);
        let weight = drive.residuals()[sample] / task.samples() as f64 * if on { -1.0 } else { 1.0 };
        let without: Vec<f64> = drive.of(neuron).iter().zip(task.input(sample)).map(|(d, x)| d + weight * x).collect();
        let (from, to) = if on { (Gate::Off, Gate::On) } else { (Gate::On, Gate::Off) };
        Flip { time: self.since[place], neuron, sample, from, to, jump: angle(&without, drive.of(neuron)) }
    }

    /// The flips that lasted, in the order in which they were known to.
    pub fn flips(&self) -> &[Flip] {
        &self.flips
    }

    /// How often any gate flipped, lasting or not.
    pub fn raw(&self) -> usize {
        self.raw
    }

    /// How many gates flipped less than `dwell` ago.
    pub fn restless(&self) -> usize {
        self.since.iter().filter(|since| self.time - **since < self.dwell).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::{Loss, Neurons, testing};

    #[test]
    fn only_lasting_flips_are_logged() {
        let task = testing::mixture(6, 3, 1);
        let mut log = FlipLog::new(1.0);
        let mut drive = Drive::new(&task, 1);
        let x = task.input(0).to_vec();
        // One neuron that moves along a sample: its gate flips for one step at 0.2, and for good at 0.4.
        let positions = [-1.0, 1.0, -1.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0];
        for (step, position) in positions.iter().enumerate() {
            let w1 = x.iter().map(|v| position * v).collect();
            let neurons = Neurons::new(task.dimension(), w1, vec![0.1]).expect("a neuron");
            drive.evaluate(&task, Loss::Mse, &neurons);
            let time = 0.2 * step as f64;
            log.observe(&task, &Moment { time, neurons: &neurons, drive: &drive });
        }
        let mine: Vec<&Flip> = log.flips().iter().filter(|flip| flip.sample == 0).collect();
        assert_eq!(mine.len(), 1, "{mine:?}");
        assert!(mine[0].gains() && (mine[0].from, mine[0].to) == (Gate::Off, Gate::On));
        // From -1 at 0.4 to 3 at 0.6: zero a quarter of the way.
        assert!((mine[0].time - 0.45).abs() < 1e-12, "{mine:?}");
        assert!(log.raw() > log.flips().len() && log.restless() == 0);
        // Every other sample flips with it or against it, so the drive after is that of the samples that are on.
        let mut without = drive.of(0).to_vec();
        let weight = drive.residuals()[0] / task.samples() as f64;
        without.iter_mut().zip(&x).for_each(|(d, x)| *d -= weight * x);
        assert!(mine[0].jump > 0.0 && without.len() == task.dimension());
    }
}
